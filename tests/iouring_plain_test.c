/* iouring/plain: operations wait until they are reaped, in order, and no more of them than asked
 * for. Everything that a caller of iou.h sees is in iouring_iou_test, which runs with this body
 * too. */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <unistd.h>

#include "iouring/body.h"

static struct iou_request write_of(int fd, const char *bytes, uint64_t offset_bytes)
{
    return (struct iou_request){.fd = fd,
                                .size_bytes = 1,
                                .offset_bytes = offset_bytes,
                                .from = bytes,
                                .own.kind = IOU_KIND_WRITE};
}

static void operations_happen_when_they_are_reaped(void)
{
    FILE *file = tmpfile();
    int fd = fileno(file);
    struct iou_plain *plain = NULL;
    struct iou_request requests[4];
    struct iou_completion completions[4];
    char text[4];

    CU_ASSERT_EQUAL_FATAL(iou_plain_open(&plain, 4), 0);
    CU_ASSERT_EQUAL(iou_plain_reap(plain, completions, 4), 0);
    for (unsigned lap = 0; lap < 3; lap++) { /* laps of the circle that do not begin at 0 */
        CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
        for (unsigned i = 0; i < 3; i++) {
            requests[i] = write_of(fd, &"abc"[i], i);
            iou_plain_start(plain, &requests[i]);
        }
        CU_ASSERT_EQUAL(pread(fd, text, 4, 0), 0);
        CU_ASSERT_EQUAL(iou_plain_reap(plain, completions, 2), 2);
        CU_ASSERT_PTR_EQUAL(completions[0].request, &requests[0]);
        CU_ASSERT_PTR_EQUAL(completions[1].request, &requests[1]);
        CU_ASSERT_EQUAL(completions[1].result, 1);
        CU_ASSERT_EQUAL(pread(fd, text, 4, 0), 2);
        CU_ASSERT_EQUAL(iou_plain_reap(plain, completions, 4), 1);
        CU_ASSERT_EQUAL(pread(fd, text, 4, 0), 3);
        CU_ASSERT_NSTRING_EQUAL(text, "abc", 3);
    }
    iou_plain_close(plain);
    fclose(file);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("iouring/plain", NULL, NULL);
    CU_ADD_TEST(suite, operations_happen_when_they_are_reaped);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
