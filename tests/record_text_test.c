/* engine/record/{text,time,number,value}: texts in pieces, values as text and back.
 * Method: against the C library (strtod, timegm, gmtime_r) on random values; every case that the
 * header names. The locale is changed where one can be, because a user's program may. */
#include "engine/record/value.h"

#include <locale.h>
#include <time.h>

#include "tests/record_random.h"

static bool view_is(pen_view view, const char *text)
{
    return pen_view_equal_views(view, pen_view_from(text));
}

static void words_skip_empty_pieces_and_columns_do_not(void)
{
    pen_view rest = pen_view_from("  to be,or not "), piece;

    CU_ASSERT_TRUE(pen_view_word(&rest, " ,", &piece) && view_is(piece, "to"));
    CU_ASSERT_TRUE(pen_view_word(&rest, " ,", &piece) && view_is(piece, "be"));
    CU_ASSERT_TRUE(pen_view_word(&rest, " ", &piece) && view_is(piece, "or"));
    CU_ASSERT_TRUE(pen_view_word(&rest, " ,", &piece) && view_is(piece, "not"));
    CU_ASSERT_FALSE(pen_view_word(&rest, " ,", &piece));
    CU_ASSERT_FALSE(pen_view_word(&rest, " ,", &piece));

    rest = pen_view_from("a,,b;");
    CU_ASSERT_TRUE(pen_view_field(&rest, ",", &piece) && view_is(piece, "a"));
    CU_ASSERT_TRUE(pen_view_field(&rest, ",", &piece) && view_is(piece, ""));
    CU_ASSERT_TRUE(pen_view_field(&rest, ",;", &piece) && view_is(piece, "b"));
    CU_ASSERT_TRUE(pen_view_field(&rest, ",;", &piece) && view_is(piece, ""));
    CU_ASSERT_FALSE(pen_view_field(&rest, ",;", &piece));

    rest = pen_view_from("");
    CU_ASSERT_TRUE(pen_view_field(&rest, ",", &piece) && view_is(piece, ""));
    CU_ASSERT_FALSE(pen_view_field(&rest, ",", &piece));
    rest = pen_view_sized(NULL, 0);
    CU_ASSERT_FALSE(pen_view_word(&rest, " ", &piece));
    rest = pen_view_from("whole");
    CU_ASSERT_TRUE(pen_view_field(&rest, "", &piece) && view_is(piece, "whole"));
    rest = pen_view_from("\xff\x80-");
    CU_ASSERT_TRUE(pen_view_field(&rest, "x\x80", &piece) && view_is(piece, "\xff"));
}

static void integers_are_read_to_their_ends_and_no_further(void)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      "12x",
                                      " 1",
                                      "1 ",
                                      "0x10",
                                      "1.0",
                                      "--1",
                                      "+-1",
                                      "1e3",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999999"};
    int64_t value = 7;
    uint64_t large = 7;

    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(pen_parse_int(pen_view_from(bad[i]), &value));
    CU_ASSERT_EQUAL(value, 7);
    CU_ASSERT_TRUE(pen_parse_int(pen_view_from("9223372036854775807"), &value));
    CU_ASSERT_EQUAL(value, INT64_MAX);
    CU_ASSERT_TRUE(pen_parse_int(pen_view_from("-9223372036854775808"), &value));
    CU_ASSERT_EQUAL(value, INT64_MIN);
    CU_ASSERT_TRUE(pen_parse_int(pen_view_from("+0007"), &value) && value == 7);
    CU_ASSERT_TRUE(pen_parse_int(pen_view_from("-0"), &value) && value == 0);
    CU_ASSERT_TRUE(eng_uint_parse(pen_view_from("18446744073709551615"), &large));
    CU_ASSERT_EQUAL(large, UINT64_MAX);
    CU_ASSERT_FALSE(eng_uint_parse(pen_view_from("18446744073709551616"), &large));
    CU_ASSERT_FALSE(eng_uint_parse(pen_view_from("-1"), &large));
}

static void integers_print_like_the_library(void)
{
    struct random random = {1};
    char text[ENG_NUMBER_TEXT_BYTES], wanted[ENG_NUMBER_TEXT_BYTES];

    for (uint32_t i = 0; i < 100000; i++) {
        int64_t value = random_int(&random, 64), back = 0;
        pen_view view = pen_view_sized(text, eng_int_print(value, text));

        snprintf(wanted, sizeof wanted, "%lld", (long long)value);
        CU_ASSERT_TRUE(view_is(view, wanted));
        CU_ASSERT_TRUE(pen_parse_int(view, &back) && back == value);
        view = pen_view_sized(text, eng_uint_print((uint64_t)value, text));
        snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)value);
        CU_ASSERT_TRUE(view_is(view, wanted));
    }
}

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void check_double(const char *text)
{
    double value = 0, wanted = strtod(text, NULL);

    if (!pen_parse_double(pen_view_from(text), &value) || !same_bits(value, wanted)) {
        printf("\n  %s: %a, not %a\n", text, value, wanted);
        CU_FAIL("a double was misread");
    }
}

static const char *const text_good_doubles[] = {
    "0",
    "-0",
    "1",
    "1.",
    ".5",
    "-.5",
    "0.1",
    "1e0",
    "1E+2",
    "1e-2",
    "123456789012345678",
    "0.000000000000000000000000000001",
    "1e22",
    "1e23",
    "9007199254740993",
    "4.9e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "1.7976931348623157e308",
    "1e-400",
    "0e999999999",
    "2.2250738585072011e-308",
    "123456789012345.6",
    "00000000000000000000001.5",
    "9007199254740992.99999999999999999999999999999999999999",
    "1e-9999999",
    "-1e-9999999",
    "0e9999999",
    "-0e9999999",
    "0.000e9999999",
    "1e-4294967296",
    "1e-00000000000000000000000000000000001",
    "1e-99999999999999999999"};
static const char *const text_bad_doubles[] = {"",
                                               "-",
                                               "+",
                                               ".",
                                               "-.",
                                               "e1",
                                               "1e",
                                               "1e+",
                                               "1x",
                                               " 1",
                                               "1 ",
                                               "0x1",
                                               "1e1.",
                                               "1..2",
                                               "1e400",
                                               "-1e309",
                                               "inf1",
                                               "nan()",
                                               "i",
                                               "1,5",
                                               "--1",
                                               "1e99999999999999999999",
                                               "1e9999999",
                                               "-1e9999999",
                                               "1e4294967296",
                                               "1e18446744073709551616",
                                               "0.1e9999999",
                                               "0e999999x"};

static void doubles_are_read_like_the_library_reads_them(void)
{
    struct random random = {2};
    char text[64];
    double value = 7;

    for (uint32_t i = 0; i < sizeof text_good_doubles / sizeof text_good_doubles[0]; i++)
        check_double(text_good_doubles[i]);
    for (uint32_t i = 0; i < sizeof text_bad_doubles / sizeof text_bad_doubles[0]; i++)
        CU_ASSERT_FALSE(pen_parse_double(pen_view_from(text_bad_doubles[i]), &value));
    CU_ASSERT_EQUAL(value, 7);
    CU_ASSERT_TRUE(pen_parse_double(pen_view_from("-Infinity"), &value) && value < 0 &&
                   isinf(value));
    CU_ASSERT_TRUE(pen_parse_double(pen_view_from("+inf"), &value) && value > 0 && isinf(value));
    CU_ASSERT_TRUE(pen_parse_double(pen_view_from("NaN"), &value) && isnan(value));
    for (uint32_t i = 0; i < 200000; i++) {
        snprintf(text, sizeof text, "%.*e", (int)random_below(&random, 25), random_double(&random));
        if (isinf(strtod(text, NULL))) continue;
        check_double(text);
        snprintf(text, sizeof text, "%.*f", (int)random_below(&random, 20),
                 (double)random_int(&random, 60) / 4096);
        check_double(text);
    }
}

/* Numbers that lie exactly between two doubles, and by one digit in the 900th place beside it. */
static void very_long_numbers_are_rounded_right(void)
{
    char text[1200];
    double value, below = 9007199254740992.0, above = 9007199254740994.0;
    uint32_t size = (uint32_t)snprintf(text, sizeof text, "9007199254740993.");

    memset(text + size, '0', 900);
    CU_ASSERT_TRUE(pen_parse_double(pen_view_sized(text, size + 900), &value));
    CU_ASSERT_TRUE(value == below); /* to even */
    text[size + 899] = '1';
    CU_ASSERT_TRUE(pen_parse_double(pen_view_sized(text, size + 900), &value));
    CU_ASSERT_TRUE(value == above);
    memset(text, '0', 1000);
    text[1000] = '7';
    CU_ASSERT_TRUE(pen_parse_double(pen_view_sized(text, 1001), &value) && value == 7);
    text[1] = '.';
    CU_ASSERT_TRUE(pen_parse_double(pen_view_sized(text, 1001), &value) && value == 0);
    memset(text, '9', 309);
    CU_ASSERT_FALSE(pen_parse_double(pen_view_sized(text, 309), &value));
}

/* Places and exponent may each be of any size: what counts is their sum. */
static void a_large_exponent_may_be_made_up_for_by_places(void)
{
    enum { PLACES = 1200000 };
    static const struct {
        const char *front, *back;
        double wanted; /* 0: too large */
    } some[] = {
        {"1", "e-1200000", 1},           {"9.", "e0", 9},
        {"1", "e-1199692", 1e308},       {"1", "e-1199691", 0},
        {"9", "e-1200323", 9e-323},      {"0.", "1e1200001", 1},
        {"0.", "1e1200309", 1e308},      {"0.", "1e1200310", 0},
        {"0.", "25e+1199999", 2.5e-2},   {"1", "e9999999", 0},
        {"1", "e-00000000001200000", 1},
    };
    char *text = malloc(PLACES + 64);
    double value;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (uint32_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        size_t front = strlen(some[i].front), back = strlen(some[i].back);
        memcpy(text, some[i].front, front);
        memset(text + front, '0', PLACES);
        memcpy(text + front + PLACES, some[i].back, back);
        value = 7;
        bool good =
            pen_parse_double(pen_view_sized(text, (uint32_t)(front + PLACES + back)), &value);
        CU_ASSERT_EQUAL(good, some[i].wanted != 0);
        if (good) CU_ASSERT_TRUE(same_bits(value, some[i].wanted));
        if (!good) CU_ASSERT_EQUAL(value, 7);
    }
    free(text);
}

/* The shortest of %.15g, %.16g, %.17g that the library reads back. */
static void shortest(double value, char *to)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(to, ENG_NUMBER_TEXT_BYTES, "%.*g", digits, value);
        if (strtod(to, NULL) == value) return;
    }
}

static void doubles_print_shortest_and_come_back(void)
{
    static const double some[] = {
        0.1,       0.2,           0.3,     1e15,   999999999999999.0,      1e-4, 0.00001,
        1e21,      123.5,         1.0 / 3, 5e-324, 1.7976931348623157e308, 1e14, 99999999999999.98,
        0.0001234, 1234567.890625};
    struct random random = {3};
    char text[ENG_NUMBER_TEXT_BYTES], wanted[ENG_NUMBER_TEXT_BYTES];

    for (uint32_t i = 0; i < 200000; i++) {
        uint32_t known = sizeof some / sizeof some[0];
        double value = i < known       ? some[i]
                       : i < 2 * known ? -some[i - known]
                                       : random_double(&random);
        double back = 0;
        pen_view view;

        if (i % 5 == 0 && i > 100) value = (double)random_int(&random, 45) / 1000000;
        view = pen_view_sized(text, eng_double_print(value, text));
        CU_ASSERT_TRUE(pen_parse_double(view, &back));
        CU_ASSERT_TRUE(same_bits(back, value));
        shortest(value, wanted);
        if (!view_is(view, wanted)) {
            printf("\n  %.*s, not %s\n", (int)view.size_bytes, view.data, wanted);
            CU_FAIL("a double was printed otherwise than the library does");
        }
    }
    CU_ASSERT_TRUE(view_is(pen_view_sized(text, eng_double_print(-0.0, text)), "-0"));
    CU_ASSERT_TRUE(view_is(pen_view_sized(text, eng_double_print((double)NAN, text)), "nan"));
    CU_ASSERT_TRUE(
        view_is(pen_view_sized(text, eng_double_print(-(double)INFINITY, text)), "-inf"));
}

static void floats_print_shortest_and_come_back(void)
{
    struct random random = {4};
    char text[ENG_NUMBER_TEXT_BYTES];

    for (uint32_t i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)random_next(&random);
        float value;
        double back = 0;

        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        CU_ASSERT_TRUE(pen_parse_double(pen_view_sized(text, eng_float_print(value, text)), &back));
        CU_ASSERT_TRUE((float)back == value);
    }
    CU_ASSERT_TRUE(view_is(pen_view_sized(text, eng_float_print(0.1f, text)), "0.1"));
    CU_ASSERT_TRUE(view_is(pen_view_sized(text, eng_float_print(16777216.0f, text)), "16777216"));
}

static void no_locale_changes_a_number(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    char text[ENG_NUMBER_TEXT_BYTES];
    double value = 0;
    uint32_t i = 0;

    while (i < 4 && !setlocale(LC_NUMERIC, names[i]))
        i++;
    if (i == 4) return; /* no such locale on this machine */
    CU_ASSERT_TRUE(
        view_is(pen_view_sized(text, eng_double_print(1.0 / 3, text)), "0.3333333333333333"));
    CU_ASSERT_TRUE(pen_parse_double(pen_view_from("0.33333333333333331"), &value));
    CU_ASSERT_TRUE(value == 1.0 / 3);
    setlocale(LC_NUMERIC, "C");
}

/* ---- Times ----------------------------------------------------------------------------------- */

static void times_agree_with_the_library(void)
{
    struct random random = {5};
    char text[ENG_NUMBER_TEXT_BYTES], wanted[64];

    for (uint32_t i = 0; i < 200000; i++) {
        int64_t range = 315537897600, seconds = (int64_t)(random_next(&random) % (uint64_t)range);
        int64_t us = random_below(&random, 3) ? random_below(&random, 1000000) : 0;
        time_t clock = (time_t)(seconds - 62135596800);
        pen_time time = {(int64_t)clock * 1000000 + us}, back = {0};
        struct tm tm;
        int size;
        pen_view view;

        CU_ASSERT_PTR_NOT_NULL_FATAL(gmtime_r(&clock, &tm));
        CU_ASSERT_EQUAL(timegm(&tm), clock);
        size = snprintf(wanted, sizeof wanted, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
                        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        if (us) {
            size += snprintf(wanted + size, 16, ".%06d", (int)us);
            while (wanted[size - 1] == '0')
                size--;
        }
        wanted[size++] = 'Z';
        wanted[size] = '\0';
        view = pen_view_sized(text, eng_time_print(time, text));
        CU_ASSERT_TRUE(view_is(view, wanted));
        CU_ASSERT_TRUE(pen_parse_time(pen_view_from(wanted), &back) && back.us == time.us);
        CU_ASSERT_EQUAL(
            eng_days_of_date(tm.tm_year + 1900, (uint32_t)tm.tm_mon + 1, (uint32_t)tm.tm_mday),
            (time.us - (((time.us % 86400000000) + 86400000000) % 86400000000)) / 86400000000);
    }
}

static int64_t time_of(const char *text)
{
    pen_time time = {-1};

    if (!pen_parse_time(pen_view_from(text), &time)) printf("\n  %s was refused\n", text);
    return time.us;
}

static void times_are_read_in_all_their_forms(void)
{
    int64_t noon = 1357041600000000; /* 2013-01-01T12:00:00Z */

    CU_ASSERT_EQUAL(time_of("2013-01-01T12:00:00Z"), noon);
    CU_ASSERT_EQUAL(time_of("2013-01-01 12:00:00"), noon);
    CU_ASSERT_EQUAL(time_of("2013-01-01t12:00:00z"), noon);
    CU_ASSERT_EQUAL(time_of("2013-01-01T13:30:00+01:30"), noon);
    CU_ASSERT_EQUAL(time_of("2013-01-01T00:00:00-12:00"), noon);
    CU_ASSERT_EQUAL(time_of("2012-12-31T23:00:00-13:00"), noon);
    CU_ASSERT_EQUAL(time_of("2013-01-01T12:00:00-00:00"), noon);
    CU_ASSERT_EQUAL(time_of("2013-01-01T12:00:00.5Z"), noon + 500000);
    CU_ASSERT_EQUAL(time_of("2013-01-01T12:00:00.000001Z"), noon + 1);
    CU_ASSERT_EQUAL(time_of("2013-01-01T12:00:00.1234567899999Z"), noon + 123456);
    CU_ASSERT_EQUAL(time_of("2013-01-01T12:00:00.25-01:00"), noon + 3600250000);
    CU_ASSERT_EQUAL(time_of("2016-12-31T23:59:60Z"), 1483228800000000 - 1);
    CU_ASSERT_EQUAL(time_of("2016-12-31T23:59:60.7Z"), 1483228800000000 - 1);
    CU_ASSERT_EQUAL(time_of("2012-02-29T00:00:00Z"), 1330473600000000);
    CU_ASSERT_EQUAL(time_of("0001-01-01T00:00:00Z"), -62135596800000000);
    CU_ASSERT_EQUAL(time_of("9999-12-31T23:59:59.999999Z"), 253402300799999999);
    CU_ASSERT_EQUAL(time_of("1969-12-31T23:59:59.999999Z"), -1);
}

static void what_is_no_time_is_refused(void)
{
    static const char *const bad[] = {"",
                                      "2013",
                                      "2013-01-01",
                                      "2013-01-01T12:00",
                                      "2013-01-01T12:00:00.Z",
                                      "2013-01-01T12:00:00,5Z",
                                      "2013-13-01T12:00:00Z",
                                      "2013-00-01T12:00:00Z",
                                      "2013-01-32T12:00:00Z",
                                      "2013-01-00T12:00:00Z",
                                      "2013-02-29T12:00:00Z",
                                      "1900-02-29T12:00:00Z",
                                      "2013-04-31T12:00:00Z",
                                      "2013-01-01T24:00:00Z",
                                      "2013-01-01T12:60:00Z",
                                      "2013-01-01T12:00:61Z",
                                      "2013-01-01T12:00:00+1:00",
                                      "0000-01-01T00:00:00Z",
                                      "2013-01-01T12:00:00+24:00",
                                      "2013-01-01T12:00:00+01:60",
                                      "2013-01-01T12:00:00+0100",
                                      "2013-01-01T12:00:00ZZ",
                                      "2013-01-01T12:00:00 Z",
                                      " 2013-01-01T12:00:00Z",
                                      "13-01-01T12:00:00Z",
                                      "2013-01-01X12:00:00Z",
                                      "2013/01/01T12:00:00Z",
                                      "2013-01-01T12-00-00Z",
                                      "+013-01-01T12:00:00Z",
                                      "2013-1-01T12:00:00Z ",
                                      "0001-01-01T00:00:00+00:01",
                                      "9999-12-31T23:59:59-00:01",
                                      "2013-01-01T1 :00:00Z",
                                      "201x-01-01T12:00:00Z",
                                      "2013-01-01T12:00:00.5.5Z",
                                      "2013-01-01T12:00:00.-5Z"};
    pen_time time = {7};

    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (pen_parse_time(pen_view_from(bad[i]), &time)) {
            printf("\n  %s was read\n", bad[i]);
            CU_FAIL("what is no time was read");
        }
    CU_ASSERT_EQUAL(time.us, 7);
}

static void dates_and_times_of_day_come_back(void)
{
    char text[ENG_NUMBER_TEXT_BYTES];
    pen_date date = {0};
    int64_t us = 0;

    for (int32_t days = -719162; days <= 2932896; days += 13) {
        pen_view view = pen_view_sized(text, eng_date_print((pen_date){days}, text));
        CU_ASSERT_EQUAL(view.size_bytes, 10);
        CU_ASSERT_TRUE(eng_date_parse(view, &date) && date.days == days);
    }
    CU_ASSERT_TRUE(
        view_is(pen_view_sized(text, eng_date_print((pen_date){2932897}, text)), "2932897"));
    CU_ASSERT_TRUE(
        view_is(pen_view_sized(text, eng_date_print((pen_date){INT32_MIN}, text)), "-2147483648"));
    CU_ASSERT_FALSE(eng_date_parse(pen_view_from("2013-02-30"), &date));
    CU_ASSERT_FALSE(eng_date_parse(pen_view_from("2013-02-03 "), &date));
    CU_ASSERT_TRUE(
        view_is(pen_view_sized(text, eng_time_of_day_print(36900500000, text)), "10:15:00.5"));
    CU_ASSERT_TRUE(eng_time_of_day_parse(pen_view_from("10:15:00.5"), &us) && us == 36900500000);
    CU_ASSERT_FALSE(eng_time_of_day_parse(pen_view_from("10:15:00.5Z"), &us));
    CU_ASSERT_FALSE(eng_time_of_day_parse(pen_view_from("10:15"), &us));
    CU_ASSERT_TRUE(
        view_is(pen_view_sized(text, eng_time_of_day_print(86400000000, text)), "86400000000"));
    CU_ASSERT_TRUE(view_is(pen_view_sized(text, eng_time_print((pen_time){INT64_MIN}, text)),
                           "-9223372036854775808"));
}

/* ---- Decimals, base64 ------------------------------------------------------------------------ */

static void decimals_come_back_and_lose_nothing(void)
{
    struct random random = {6};
    char text[ENG_NUMBER_TEXT_BYTES];
    eng_int128 value = 0, back = 0;

    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t precision = 1 + random_below(&random, 38),
                 scale = random_below(&random, precision + 1);

        value = 0;
        for (uint32_t k = random_below(&random, precision + 1); k > 0; k--)
            value = value * 10 + random_below(&random, 10);
        if (random_below(&random, 2)) value = -value;
        CU_ASSERT_TRUE(
            eng_decimal_parse(pen_view_sized(text, eng_decimal128_print(value, scale, text)),
                              precision, scale, &back));
        CU_ASSERT_TRUE(back == value);
        if (precision <= 18) {
            char small[ENG_NUMBER_TEXT_BYTES];
            uint32_t size = eng_decimal64_print((int64_t)value, scale, small);
            CU_ASSERT_EQUAL(size, eng_decimal128_print(value, scale, text));
            CU_ASSERT_EQUAL(memcmp(small, text, size), 0);
        }
    }
    CU_ASSERT_TRUE(view_is(pen_view_sized(text, eng_decimal64_print(-5, 2, text)), "-0.05"));
    CU_ASSERT_TRUE(eng_decimal_parse(pen_view_from("12.5"), 4, 2, &back) && back == 1250);
    CU_ASSERT_TRUE(eng_decimal_parse(pen_view_from("+012.500"), 4, 2, &back) && back == 1250);
    CU_ASSERT_TRUE(eng_decimal_parse(pen_view_from("0"), 2, 2, &back) && back == 0);
    CU_ASSERT_TRUE(eng_decimal_parse(pen_view_from(".99"), 2, 2, &back) && back == 99);
    CU_ASSERT_FALSE(eng_decimal_parse(pen_view_from("12.501"), 9, 2, &back));
    CU_ASSERT_FALSE(eng_decimal_parse(pen_view_from("123"), 4, 2, &back));
    CU_ASSERT_FALSE(eng_decimal_parse(pen_view_from("1e2"), 9, 2, &back));
    CU_ASSERT_FALSE(eng_decimal_parse(pen_view_from("."), 9, 2, &back));
    CU_ASSERT_FALSE(eng_decimal_parse(pen_view_from("-"), 9, 2, &back));
    CU_ASSERT_FALSE(eng_decimal_parse(pen_view_from("1.2.3"), 9, 2, &back));
}

static void base64_comes_back_and_has_one_form(void)
{
    static const char *const bad[] = {"A",    "AA",       "AAA",  "A===",   "AA=A", "AB==",
                                      "AAB=", "AA==AAAA", "AA*=", "AAAA\n", "====", "A A="};
    struct random random = {7};
    struct eng_text_out out = {0};
    uint8_t bytes[64], back[64];

    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t size = random_below(&random, sizeof bytes);

        for (uint32_t k = 0; k < size; k++)
            bytes[k] = (uint8_t)random_next(&random);
        eng_text_out_clear(&out);
        eng_base64_put(&out, bytes, size);
        CU_ASSERT_EQUAL(out.size_bytes, (size + 2) / 3 * 4);
        CU_ASSERT_EQUAL(eng_base64_decode(eng_text_out_view(&out), back), size);
        CU_ASSERT_EQUAL(memcmp(bytes, back, size), 0);
    }
    eng_text_out_clear(&out);
    eng_base64_put(&out, "Penstock", 8);
    CU_ASSERT_TRUE(view_is(eng_text_out_view(&out), "UGVuc3RvY2s="));
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_EQUAL(eng_base64_decode(pen_view_from(bad[i]), back), -1);
    eng_text_out_close(&out);
}

struct shown {
    int32_t number;
    pen_opt_int32 nothing;
    pen_string text;
    pen_time at;
    int16_t list[2];
    pen_code code;
};
PEN_RECORD(shown, number, nothing, text, at, list, code);

static void a_record_prints_for_people(void)
{
    struct {
        struct shown record;
        char text[8];
    } memory = {{.number = -4, .at = {0}, .list = {1, -2}, .code = {"EUR"}}, "a \"b\"\n"};
    struct eng_layout layout;
    struct eng_text_out out = {0};

    memory.record.text.offset_bytes = (int32_t)(memory.text - (char *)&memory.record.text);
    memory.record.text.size_bytes = 6;
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &shown_schema, NULL, 0), 0);
    eng_record_print(&layout, &memory.record, &out);
    CU_ASSERT_TRUE(view_is(eng_text_out_view(&out),
                           "number=-4 nothing=null text=\"a \\\"b\\\"\\n\" at=1970-01-01T00:00:00Z "
                           "list=[1 -2] code=\"EUR\""));
    eng_text_out_close(&out);
    eng_layout_close(&layout);
}

int main(void)
{
    static const struct record_test tests[] = {
        RECORD_TEST(words_skip_empty_pieces_and_columns_do_not),
        RECORD_TEST(integers_are_read_to_their_ends_and_no_further),
        RECORD_TEST(integers_print_like_the_library),
        RECORD_TEST(doubles_are_read_like_the_library_reads_them),
        RECORD_TEST(very_long_numbers_are_rounded_right),
        RECORD_TEST(a_large_exponent_may_be_made_up_for_by_places),
        RECORD_TEST(doubles_print_shortest_and_come_back),
        RECORD_TEST(floats_print_shortest_and_come_back),
        RECORD_TEST(no_locale_changes_a_number),
        RECORD_TEST(times_agree_with_the_library),
        RECORD_TEST(times_are_read_in_all_their_forms),
        RECORD_TEST(what_is_no_time_is_refused),
        RECORD_TEST(dates_and_times_of_day_come_back),
        RECORD_TEST(decimals_come_back_and_lose_nothing),
        RECORD_TEST(base64_comes_back_and_has_one_form),
        RECORD_TEST(a_record_prints_for_people),
    };
    return record_run("record/text", tests, sizeof tests / sizeof tests[0]);
}
