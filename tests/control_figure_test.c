/* control/figure: figures as people read them. */
#include "engine/control/figure.h"

#include <CUnit/Basic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/control_board.h"

static char text[ENG_FIGURE_BYTES];

static void counts_have_commas_in_threes(void)
{
    CU_ASSERT_STRING_EQUAL(eng_figure_count(text, 0), "0");
    CU_ASSERT_STRING_EQUAL(eng_figure_count(text, 999), "999");
    CU_ASSERT_STRING_EQUAL(eng_figure_count(text, 1000), "1,000");
    CU_ASSERT_STRING_EQUAL(eng_figure_count(text, 1234567), "1,234,567");
    CU_ASSERT_STRING_EQUAL(eng_figure_count(text, UINT64_MAX), "18,446,744,073,709,551,615");
}

static void rates_have_three_digits_and_a_unit(void)
{
    CU_ASSERT_STRING_EQUAL(eng_figure_rate(text, 0), "0 /s");
    CU_ASSERT_STRING_EQUAL(eng_figure_rate(text, 999.4), "999 /s");
    CU_ASSERT_STRING_EQUAL(eng_figure_rate(text, 999.6), "1.00 k/s");
    CU_ASSERT_STRING_EQUAL(eng_figure_rate(text, 12345), "12.3 k/s");
    CU_ASSERT_STRING_EQUAL(eng_figure_rate(text, 123456789), "123 M/s");
    CU_ASSERT_STRING_EQUAL(eng_figure_rate(text, 999.6e3), "1.00 M/s");
    CU_ASSERT_STRING_EQUAL(eng_figure_rate(text, -5), "0 /s");
    CU_ASSERT_STRING_EQUAL(eng_figure_rate(text, 0.0 / 0.0), "0 /s");
}

static void bytes_count_in_powers_of_two(void)
{
    CU_ASSERT_STRING_EQUAL(eng_figure_bytes(text, 0), "0 B");
    CU_ASSERT_STRING_EQUAL(eng_figure_bytes(text, 1023), "1023 B");
    CU_ASSERT_STRING_EQUAL(eng_figure_bytes(text, 1024), "1.00 KiB");
    CU_ASSERT_STRING_EQUAL(eng_figure_bytes(text, 1536u << 20), "1.50 GiB");
    CU_ASSERT_STRING_EQUAL(eng_figure_bytes(text, UINT64_MAX), "16.0 EiB");
}

static void durations_use_the_unit_that_fits(void)
{
    CU_ASSERT_STRING_EQUAL(eng_figure_duration(text, 1500), "1.50 us");
    CU_ASSERT_STRING_EQUAL(eng_figure_duration(text, 12300000), "12.3 ms");
    CU_ASSERT_STRING_EQUAL(eng_figure_duration(text, 1234000000), "1.23 s");
    CU_ASSERT_STRING_EQUAL(eng_figure_duration(text, 125000000000), "2 min 05 s");
    CU_ASSERT_STRING_EQUAL(eng_figure_duration(text, 7380000000000), "2 h 03 min");
    CU_ASSERT_TRUE(strlen(eng_figure_duration(text, UINT64_MAX)) < ENG_FIGURE_BYTES);
}

static void times_are_those_of_utc(void)
{
    CU_ASSERT_STRING_EQUAL(eng_figure_time(text, 0), "1970-01-01 00:00:00 UTC");
    CU_ASSERT_STRING_EQUAL(eng_figure_time(text, -1), "1969-12-31 23:59:59 UTC");
    CU_ASSERT_STRING_EQUAL(eng_figure_time(text, 1357017420000000), "2013-01-01 05:17:00 UTC");
    CU_ASSERT_TRUE(strlen(eng_figure_time(text, INT64_MAX)) < ENG_FIGURE_BYTES);
}

static void signals_have_their_names(void)
{
    CU_ASSERT_STRING_EQUAL(eng_figure_signal(text, SIGSEGV), "SIGSEGV");
    CU_ASSERT_STRING_EQUAL(eng_figure_signal(text, 1000), "signal 1000");
}

static void json_texts_are_escaped_and_bounded(void)
{
    char *json = NULL;

    PRINTED(json, out, eng_figure_json(out, "a\"b\\c\n\x01\xff", 100));
    CU_ASSERT_TRUE(json[0] == '"' && json[strlen(json) - 1] == '"');
    EXPECT_IN(json, "a\\\"b\\\\c");
    EXPECT_NOT_IN(json, "\n");
    EXPECT_NOT_IN(json, "\x01");
    free(json);
    PRINTED(json, out, eng_figure_json(out, "abcdef", 3));
    CU_ASSERT_STRING_EQUAL(json, "\"abc\"");
    free(json);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control/figure", NULL, NULL);
    CU_ADD_TEST(suite, counts_have_commas_in_threes);
    CU_ADD_TEST(suite, rates_have_three_digits_and_a_unit);
    CU_ADD_TEST(suite, bytes_count_in_powers_of_two);
    CU_ADD_TEST(suite, durations_use_the_unit_that_fits);
    CU_ADD_TEST(suite, times_are_those_of_utc);
    CU_ADD_TEST(suite, signals_have_their_names);
    CU_ADD_TEST(suite, json_texts_are_escaped_and_bounded);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
