/* Fuzzes what is read from a short text: times, dates, numbers, decimals, base64. What is read is
 * printed, and what is printed is read as the same. */
#include <math.h>
#include <stdlib.h>

#include "engine/record/value.h"
#include "shm/check.h"

static void fuzz_times(pen_view text)
{
    char printed[ENG_NUMBER_TEXT_BYTES];
    pen_time time, time_back = {0};
    pen_date date, date_back = {0};
    int64_t us, us_back = -1;

    if (pen_parse_time(text, &time)) {
        pen_view view = pen_view_sized(printed, eng_time_print(time, printed));
        CHECK(pen_parse_time(view, &time_back));
        CHECK(time_back.us == time.us);
    }
    if (eng_date_parse(text, &date)) {
        pen_view view = pen_view_sized(printed, eng_date_print(date, printed));
        CHECK(pen_view_equal_views(view, text));
        CHECK(eng_date_parse(view, &date_back));
        CHECK(date_back.days == date.days);
    }
    if (eng_time_of_day_parse(text, &us)) {
        pen_view view = pen_view_sized(printed, eng_time_of_day_print(us, printed));
        CHECK(us >= 0);
        CHECK(eng_time_of_day_parse(view, &us_back));
        CHECK(us_back == us);
    }
}

static void fuzz_numbers(pen_view text)
{
    char printed[ENG_NUMBER_TEXT_BYTES];
    int64_t integer, integer_back = 0;
    double real, real_back = 0;
    eng_int128 wide, wide_back = 0;

    if (pen_parse_int(text, &integer)) {
        CHECK(
            pen_parse_int(pen_view_sized(printed, eng_int_print(integer, printed)), &integer_back));
        CHECK(integer_back == integer);
    }
    if (pen_parse_double(text, &real)) {
        CHECK(
            pen_parse_double(pen_view_sized(printed, eng_double_print(real, printed)), &real_back));
        CHECK(isnan(real) ? isnan(real_back) : memcmp(&real, &real_back, sizeof real) == 0);
        eng_float_print((float)real, printed);
        /* The library agrees, where it reads the same grammar. */
        if (text.size_bytes < sizeof printed && isfinite(real)) {
            memcpy(printed, text.data, text.size_bytes);
            printed[text.size_bytes] = '\0';
            CHECK(strtod(printed, NULL) == real);
        }
    }
    for (uint32_t scale = 0; scale <= 38; scale += 19) {
        if (!eng_decimal_parse(text, 38, scale, &wide)) continue;
        CHECK(eng_decimal_parse(pen_view_sized(printed, eng_decimal128_print(wide, scale, printed)),
                                38, scale, &wide_back));
        CHECK(wide_back == wide);
    }
}

static void fuzz_base64(pen_view text)
{
    char *bytes = malloc(text.size_bytes + 1);
    struct eng_text_out out = {0};
    int64_t size;

    CHECK(bytes);
    size = eng_base64_decode(text, bytes);
    if (size >= 0) {
        CHECK(size <= (int64_t)text.size_bytes * 3 / 4);
        eng_base64_put(&out, bytes, (uint32_t)size);
        CHECK(pen_view_equal_views(eng_text_out_view(&out), text));
    }
    eng_text_out_clear(&out);
    eng_json_string_put(&out, text);
    CHECK(out.size_bytes >= 2);
    eng_text_out_close(&out);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pen_view text = {(const char *)data, (uint32_t)size};

    if (size == 0 || size > 1 << 16) return 0;
    fuzz_times(text);
    fuzz_numbers(text);
    fuzz_base64(text);
    return 0;
}
