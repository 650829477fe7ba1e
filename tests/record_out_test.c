/* engine/record/out: text that grows.
 * Method: everything that is put is also put into a plain array; the two must be equal at all
 * times, with every way of putting and across every growth. */
#include "engine/record/out.h"

#include "tests/record_random.h"

static void what_was_put_is_there_across_every_growth(void)
{
    enum { BYTES = 1 << 20 };
    struct random random = {11};
    struct eng_text_out out = {0};
    char *wanted = malloc(BYTES + 9000);
    size_t size = 0, grown = 0, capacity = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(wanted);
    while (size < BYTES) {
        char piece[9000];
        uint32_t bytes = random_below(&random, random_below(&random, 50) ? 60 : 9000);

        memset(piece, (int)(random_next(&random) & 0xff), bytes);
        memcpy(wanted + size, piece, bytes);
        switch (random_below(&random, 3)) {
        case 0:
            eng_text_out_put(&out, piece, bytes);
            break;
        case 1:
            for (uint32_t i = 0; i < bytes; i++)
                eng_text_out_char(&out, piece[i]);
            break;
        default: /* reserves more than it uses */
            memcpy(eng_text_out_reserve(&out, bytes + 100), piece, bytes);
            CU_ASSERT_TRUE_FATAL(out.capacity_bytes - out.size_bytes >= bytes + 100);
            out.size_bytes += bytes;
            break;
        }
        size += bytes;
        CU_ASSERT_EQUAL_FATAL(out.size_bytes, size);
        CU_ASSERT_TRUE_FATAL(out.capacity_bytes >= capacity); /* never shrinks */
        if (out.capacity_bytes == capacity) continue;
        CU_ASSERT_TRUE(capacity == 0 ||
                       out.capacity_bytes >= 2 * capacity); /* else it is quadratic */
        capacity = out.capacity_bytes;
        grown++;
        CU_ASSERT_EQUAL_FATAL(memcmp(out.bytes, wanted, size), 0);
    }
    CU_ASSERT_EQUAL(memcmp(out.bytes, wanted, size), 0);
    CU_ASSERT_TRUE(grown > 5);
    eng_text_out_close(&out);
    free(wanted);
}

static void an_empty_one_has_nothing_and_needs_no_close(void)
{
    struct eng_text_out out = {0};

    eng_text_out_put(&out, NULL, 0);
    CU_ASSERT_PTR_NULL(out.bytes);
    CU_ASSERT_EQUAL(eng_text_out_view(&out).size_bytes, 0);
    eng_text_out_close(&out);
    eng_text_out_close(&out);
    CU_ASSERT_EQUAL(out.capacity_bytes, 0);
}

static void clearing_keeps_the_memory(void)
{
    struct eng_text_out out = {0};
    const char *bytes;
    pen_view view;

    for (uint32_t i = 0; i < 10000; i++)
        eng_text_out_char(&out, 'a');
    bytes = out.bytes;
    eng_text_out_clear(&out);
    CU_ASSERT_EQUAL(out.size_bytes, 0);
    for (uint32_t i = 0; i < 10000; i++)
        eng_text_out_char(&out, 'b');
    CU_ASSERT_PTR_EQUAL(out.bytes, bytes);
    view = eng_text_out_view(&out);
    CU_ASSERT_PTR_EQUAL(view.data, bytes);
    CU_ASSERT_EQUAL(view.size_bytes, 10000);
    CU_ASSERT_PTR_NULL(memchr(view.data, 'a', view.size_bytes));
    eng_text_out_close(&out);
}

static void exactly_full_does_not_grow_and_one_more_does(void)
{
    struct eng_text_out out = {0};
    size_t capacity;

    eng_text_out_char(&out, 'x');
    capacity = out.capacity_bytes;
    while (out.size_bytes < capacity)
        eng_text_out_char(&out, 'x');
    CU_ASSERT_EQUAL(out.capacity_bytes, capacity);
    eng_text_out_reserve(&out, 0);
    CU_ASSERT_EQUAL(out.capacity_bytes, capacity);
    eng_text_out_char(&out, 'y');
    CU_ASSERT_TRUE(out.capacity_bytes > capacity);
    CU_ASSERT_EQUAL(out.bytes[capacity - 1], 'x');
    CU_ASSERT_EQUAL(out.bytes[capacity], 'y');
    eng_text_out_close(&out);
}

int main(void)
{
    static const struct record_test tests[] = {
        RECORD_TEST(what_was_put_is_there_across_every_growth),
        RECORD_TEST(an_empty_one_has_nothing_and_needs_no_close),
        RECORD_TEST(clearing_keeps_the_memory),
        RECORD_TEST(exactly_full_does_not_grow_and_one_more_does),
    };
    return record_run("record/out", tests, sizeof tests / sizeof tests[0]);
}
