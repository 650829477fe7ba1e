/* word_count_test: a unit test of word_count.c, with CUnit.
 *
 *   cc word_count_test.c -lpenstock -lcunit && ./a.out
 *
 * The real engine runs inside this one process, and nothing moves but what a test pushes. The job's
 * file is included: what is tested is static there.
 */
#include <CUnit/Basic.h>

#include <penstock/test.h>

#include "word_count.c"

static pen_test *test;
static pen_stream lines, tallies;

static void open_test(void)
{
    test = pen_test_open();
    lines = pen_test_input(test, pen_line, NULL);
    tallies = pen_test_output(test, count_words(lines));
    pen_test_start(test);
}

static void close_test(void)
{
    pen_test_close(test);
}

static void push_line(const char *text)
{
    pen_test_push(test, lines, pen_line, .text = pen_put(pen_test_context(test), text));
}

/* The next row must be this one. */
static void expect_row(enum pen_row row, const char *text, int64_t count)
{
    const struct tally *tally = pen_test_next(test, tallies, tally);

    CU_ASSERT_PTR_NOT_NULL_FATAL(tally);
    CU_ASSERT_EQUAL(pen_test_row(test, tallies), row);
    CU_ASSERT_TRUE(pen_text_equal(&tally->text, text));
    CU_ASSERT_EQUAL(tally->count, count);
}

static void a_new_word_is_inserted(void)
{
    push_line("word");
    expect_row(PEN_INSERT, "word", 1);
    CU_ASSERT_PTR_NULL(pen_test_next(test, tallies, tally));
}

static void a_known_word_takes_its_count_back_first(void)
{
    push_line("word");
    push_line("word");
    expect_row(PEN_INSERT, "word", 1);
    expect_row(PEN_UPDATE_BEFORE, "word", 1);
    expect_row(PEN_UPDATE_AFTER, "word", 2);
    CU_ASSERT_PTR_NULL(pen_test_next(test, tallies, tally));
}

static void spaces_and_tabs_are_no_words(void)
{
    push_line("");
    push_line(" \t  ");
    CU_ASSERT_PTR_NULL(pen_test_next(test, tallies, tally));
    push_line("  two\twords ");
    int words = 0;
    while (pen_test_next(test, tallies, tally))
        words++;
    CU_ASSERT_EQUAL(words, 2);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite =
        CU_add_suite_with_setup_and_teardown("word_count", NULL, NULL, open_test, close_test);
    CU_ADD_TEST(suite, a_new_word_is_inserted);
    CU_ADD_TEST(suite, a_known_word_takes_its_count_back_first);
    CU_ADD_TEST(suite, spaces_and_tabs_are_no_words);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures == 0 ? 0 : 1;
}
