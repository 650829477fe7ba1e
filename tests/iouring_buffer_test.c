/* iouring/buffer: memory that direct reads and writes accept. */
#include "iouring/buffer.h"

#include <CUnit/Basic.h>

#include "iouring/iou.h"

static void sizes_are_rounded_up_to_blocks(void)
{
    CU_ASSERT_EQUAL(iou_round_up(0), 0);
    CU_ASSERT_EQUAL(iou_round_up(1), IOU_BLOCK_BYTES);
    CU_ASSERT_EQUAL(iou_round_up(IOU_BLOCK_BYTES), IOU_BLOCK_BYTES);
    CU_ASSERT_EQUAL(iou_round_up(IOU_BLOCK_BYTES + 1), 2 * IOU_BLOCK_BYTES);
    CU_ASSERT_EQUAL(iou_round_up((UINT64_C(1) << 40) - 1), UINT64_C(1) << 40);
}

static void buffers_are_aligned_zero_and_all_of_them_usable(void)
{
    for (uint64_t size_bytes = 1; size_bytes < 100000; size_bytes = size_bytes * 3 + 1) {
        char *buffer = iou_buffer_open(size_bytes);
        CU_ASSERT_PTR_NOT_NULL_FATAL(buffer);
        CU_ASSERT_EQUAL((uintptr_t)buffer % IOU_BLOCK_BYTES, 0);
        uint64_t rounded = iou_round_up(size_bytes);
        for (uint64_t i = 0; i < rounded; i++)
            if (buffer[i] != 0) CU_FAIL("not zero");
        buffer[rounded - 1] = 1;
        iou_buffer_close(buffer, size_bytes);
    }
    iou_buffer_close(NULL, 1);
}

static void too_large_a_buffer_is_refused(void)
{
    CU_ASSERT_PTR_NULL(iou_buffer_open(UINT64_C(1) << 60));
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("iouring/buffer", NULL, NULL);
    CU_ADD_TEST(suite, sizes_are_rounded_up_to_blocks);
    CU_ADD_TEST(suite, buffers_are_aligned_zero_and_all_of_them_usable);
    CU_ADD_TEST(suite, too_large_a_buffer_is_refused);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
