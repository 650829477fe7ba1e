/* engine/record/build: records field by field, with values that do not fit and buffers that are
 * full. Method: each type at its ends and one beyond; texts set again in random order against a
 * model. */
#include "engine/record/build.h"

#include "tests/record_random.h"

struct all {
    bool flag;
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    float real;
    double large;
    pen_time at;
    pen_date day;
    pen_code code;
    char chars[3];
    pen_string text;
    pen_bytes bytes;
    int16_t list[3];
    pen_opt_int8 opt;
    pen_opt_string opt_text;
};
PEN_RECORD(all, flag, i8, i16, i32, i64, u8, u16, u32, u64, real, large, at, day, code, chars, text,
           bytes, list, opt, opt_text);

static struct eng_layout all_layout;
static struct eng_builder builder;
static struct eng_reason reason;

static void open_all(void)
{
    CU_ASSERT_EQUAL_FATAL(
        eng_layout_open(&all_layout, &all_schema, reason.text, sizeof reason.text), 0);
    eng_builder_open(&builder, &all_layout, 0);
}

static void close_all(void)
{
    eng_builder_close(&builder);
    eng_layout_close(&all_layout);
}

static uint32_t field(const char *name)
{
    const struct eng_field *found = eng_layout_find(&all_layout, name);

    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    return (uint32_t)(found - all_layout.fields);
}

static const struct all *record(void)
{
    return eng_builder_finish(&builder, NULL);
}

static void integers_fit_to_the_ends_of_their_types(void)
{
    static const struct {
        const char *name;
        int64_t min, max;
    } types[] = {{"flag", 0, 1},
                 {"i8", INT8_MIN, INT8_MAX},
                 {"i16", INT16_MIN, INT16_MAX},
                 {"i32", INT32_MIN, INT32_MAX},
                 {"u8", 0, UINT8_MAX},
                 {"u16", 0, UINT16_MAX},
                 {"u32", 0, UINT32_MAX},
                 {"day", INT32_MIN, INT32_MAX},
                 {"opt", INT8_MIN, INT8_MAX}};

    open_all();
    for (uint32_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        uint32_t index = field(types[i].name);
        const struct eng_field *f = &all_layout.fields[index];
        char words[64];

        CU_ASSERT_TRUE(eng_builder_set_int(&builder, index, types[i].min, &reason));
        CU_ASSERT_EQUAL(eng_field_int(f, record()), types[i].min);
        CU_ASSERT_TRUE(eng_builder_set_int(&builder, index, types[i].max, &reason));
        CU_ASSERT_EQUAL(eng_field_int(f, record()), types[i].max);
        CU_ASSERT_TRUE(eng_builder_set_double(&builder, index, (double)types[i].min, &reason));
        CU_ASSERT_FALSE(eng_builder_set_int(&builder, index, types[i].min - 1, &reason));
        snprintf(words, sizeof words, "field %s: \"%lld\" does not fit into", types[i].name,
                 (long long)types[i].min - 1);
        assert_says(reason.text, words);
        CU_ASSERT_FALSE(eng_builder_set_int(&builder, index, types[i].max + 1, &reason));
        CU_ASSERT_FALSE(eng_builder_set_double(&builder, index, (double)types[i].max + 1, &reason));
        CU_ASSERT_FALSE(eng_builder_set_double(&builder, index, 0.5, &reason));
        CU_ASSERT_FALSE(eng_builder_set_uint(&builder, index, UINT64_MAX, &reason));
        CU_ASSERT_EQUAL(eng_field_int(f, record()), types[i].min);
    }
    CU_ASSERT_TRUE(eng_builder_set_uint(&builder, field("u64"), UINT64_MAX, &reason));
    CU_ASSERT_EQUAL(record()->u64, UINT64_MAX);
    CU_ASSERT_FALSE(eng_builder_set_int(&builder, field("u64"), -1, &reason));
    CU_ASSERT_FALSE(eng_builder_set_uint(&builder, field("i64"), 1ull << 63, &reason));
    CU_ASSERT_FALSE(eng_builder_set_double(&builder, field("i64"), 0x1p63, &reason));
    CU_ASSERT_TRUE(eng_builder_set_double(&builder, field("u64"), 0x1p63, &reason));
    CU_ASSERT_EQUAL(record()->u64, 1ull << 63);
    CU_ASSERT_FALSE(eng_builder_set_double(&builder, field("i64"), (double)NAN, &reason));
    close_all();
}

static void doubles_take_integers_that_they_hold_exactly(void)
{
    open_all();
    CU_ASSERT_TRUE(eng_builder_set_int(&builder, field("large"), 1ll << 53, &reason));
    CU_ASSERT_FALSE(eng_builder_set_int(&builder, field("large"), (1ll << 53) + 1, &reason));
    CU_ASSERT_TRUE(eng_builder_set_int(&builder, field("real"), 1 << 24, &reason));
    CU_ASSERT_FALSE(eng_builder_set_int(&builder, field("real"), (1 << 24) + 1, &reason));
    CU_ASSERT_TRUE(eng_builder_set_double(&builder, field("real"), 0.1, &reason));
    CU_ASSERT_TRUE(record()->real == 0.1f);
    CU_ASSERT_FALSE(eng_builder_set_double(&builder, field("real"), 1e39, &reason));
    CU_ASSERT_TRUE(eng_builder_set_double(&builder, field("real"), (double)INFINITY, &reason));
    CU_ASSERT_TRUE(eng_builder_set_double(&builder, field("large"), (double)NAN, &reason));
    CU_ASSERT_TRUE(isnan(record()->large));
    close_all();
}

static void types_that_do_not_fit_are_refused(void)
{
    open_all();
    CU_ASSERT_FALSE(eng_builder_set_int(&builder, field("text"), 1, &reason));
    assert_says(reason.text, "field text: \"1\" does not fit into string");
    CU_ASSERT_FALSE(eng_builder_set_text(&builder, field("i32"), pen_view_from("x"), &reason));
    assert_says(reason.text, "field i32: \"x\" is a text, not int32");
    CU_ASSERT_FALSE(eng_builder_set_bool(&builder, field("i32"), true, &reason));
    CU_ASSERT_TRUE(eng_builder_set_bool(&builder, field("flag"), true, &reason));
    CU_ASSERT_FALSE(eng_builder_set_time(&builder, field("i64"), (pen_time){5}, &reason));
    CU_ASSERT_TRUE(eng_builder_set_time(&builder, field("at"), (pen_time){5}, &reason));
    CU_ASSERT_EQUAL(record()->at.us, 5);
    CU_ASSERT_FALSE(eng_builder_set_null(&builder, field("i32"), &reason));
    assert_says(reason.text, "field i32: null, which int32 cannot be");
    CU_ASSERT_TRUE(eng_builder_set_int(&builder, field("opt"), 4, &reason));
    CU_ASSERT_TRUE(record()->opt.present);
    CU_ASSERT_TRUE(eng_builder_set_null(&builder, field("opt"), &reason));
    CU_ASSERT_FALSE(record()->opt.present);
    close_all();
}

static void codes_are_refused_rather_than_cut(void)
{
    open_all();
    CU_ASSERT_TRUE(
        eng_builder_set_text(&builder, field("code"), pen_view_from("12345678"), &reason));
    CU_ASSERT_TRUE(pen_text_equal(&record()->code, "12345678"));
    CU_ASSERT_TRUE(eng_builder_set_text(&builder, field("code"), pen_view_from("AB"), &reason));
    CU_ASSERT_TRUE(pen_code_equal(record()->code, pen_code_from("AB")));
    CU_ASSERT_FALSE(
        eng_builder_set_text(&builder, field("code"), pen_view_from("123456789"), &reason));
    assert_says(reason.text, "field code: \"123456789\" is longer than its 8 bytes");
    CU_ASSERT_FALSE(
        eng_builder_set_text(&builder, field("code"), pen_view_sized("a\0b", 3), &reason));
    assert_says(reason.text, "zero byte");
    CU_ASSERT_TRUE(eng_builder_set_text(&builder, field("chars"), pen_view_from("abc"), &reason));
    CU_ASSERT_FALSE(eng_builder_set_text(&builder, field("chars"), pen_view_from("abcd"), &reason));
    CU_ASSERT_EQUAL(memcmp(record()->chars, "abc", 3), 0);
    close_all();
}

static void values_are_parsed_by_their_type(void)
{
    static const struct {
        const char *name, *text, *reason; /* reason NULL: good */
    } cases[] = {
        {"flag", "true", NULL},
        {"flag", "2", "\"2\" is no bool"},
        {"i8", "-128", NULL},
        {"i8", "128", "\"128\" does not fit into int8"},
        {"i8", "a", "\"a\" is no int8"},
        {"opt", "x", "\"x\" is no optional int8"},
        {"u64", "18446744073709551615", NULL},
        {"u64", "18446744073709551616", "is no uint64"},
        {"u8", "-1", "does not fit into uint8"},
        {"real", "1e39", "does not fit into float"},
        {"large", "1e309", "is no double"},
        {"large", "-1.5e3", NULL},
        {"at", "2013-01-01T10:15:00Z", NULL},
        {"at", "1357035300000000", NULL},
        {"at", "yesterday", "\"yesterday\" is no time"},
        {"day", "2013-01-01", NULL},
        {"day", "15706", NULL},
        {"day", "3000000000", "does not fit into date"},
        {"code", "EUR", NULL},
        {"bytes", "AAEC", NULL},
        {"bytes", "AAE", "is no base64"},
        {"bytes", "A*EC", "is no base64"},
        {"list", "1 2 3", NULL},
        {"list", "1 2", "2 elements in \"1 2\", not 3"},
        {"list", "1 2 3 4", "4 elements"},
        {"list", "1 2 x", "\"x\" is no element of an array of int16"},
        {"list", "1 2 40000", "\"40000\" does not fit into an array of int16"},
        {"text", "anything", NULL},
    };

    open_all();
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool good = eng_builder_parse(&builder, field(cases[i].name), pen_view_from(cases[i].text),
                                      &reason);

        CU_ASSERT_EQUAL(good, cases[i].reason == NULL);
        if (!good) assert_says(reason.text, cases[i].reason ? cases[i].reason : "nothing");
    }
    CU_ASSERT_EQUAL(record()->at.us, 1357035300000000);
    CU_ASSERT_EQUAL(record()->day.days, 15706);
    CU_ASSERT_EQUAL(record()->list[1], 2);
    close_all();
}

static void texts_set_again_replace_each_other(void)
{
    struct random random = {9};
    char model[3][RANDOM_TEXT_MAX];
    uint32_t sizes[3], bytes, fields[3];

    open_all();
    fields[0] = field("text");
    fields[1] = field("bytes");
    fields[2] = field("opt_text");
    for (uint32_t round = 0; round < 2000; round++) {
        uint32_t total = 0;
        const struct all *built;

        memset(sizes, 0, sizeof sizes);
        eng_builder_begin(&builder);
        for (uint32_t i = random_below(&random, 12); i > 0; i--) {
            uint32_t which = random_below(&random, 3);

            if (which == 2 && random_below(&random, 4) == 0) {
                CU_ASSERT_TRUE(eng_builder_set_null(&builder, fields[2], &reason));
                sizes[2] = 0;
                continue;
            }
            sizes[which] = random_text(&random, model[which], false);
            CU_ASSERT_TRUE(eng_builder_set_text(
                &builder, fields[which], pen_view_sized(model[which], sizes[which]), &reason));
        }
        built = eng_builder_finish(&builder, &bytes);
        CU_ASSERT_EQUAL_FATAL(eng_record_verify(&all_layout, built, bytes), 0);
        for (uint32_t i = 0; i < 3; i++) {
            CU_ASSERT_TRUE(
                pen_view_equal_views(eng_field_text(&all_layout.fields[fields[i]], built),
                                     pen_view_sized(model[i], sizes[i])));
            total += sizes[i];
        }
        CU_ASSERT_EQUAL(bytes, eng_record_round(all_layout.fixed_bytes + total));
    }
    close_all();
}

static void a_record_of_exactly_the_limit_is_made(void)
{
    uint32_t room, bytes;
    char *text = malloc(ENG_RECORD_BYTES_MAX);

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    memset(text, 't', ENG_RECORD_BYTES_MAX);
    open_all();
    room = ENG_RECORD_BYTES_MAX - all_layout.fixed_bytes;
    CU_ASSERT_TRUE(
        eng_builder_set_text(&builder, field("text"), pen_view_sized(text, room - 10), &reason));
    CU_ASSERT_TRUE(
        eng_builder_set_text(&builder, field("opt_text"), pen_view_sized(text, 10), &reason));
    CU_ASSERT_PTR_NOT_NULL(eng_builder_finish(&builder, &bytes));
    CU_ASSERT_EQUAL(bytes, ENG_RECORD_BYTES_MAX);
    CU_ASSERT_FALSE(
        eng_builder_set_text(&builder, field("opt_text"), pen_view_sized(text, 11), &reason));
    assert_says(reason.text,
                "field opt_text: with its 11 bytes the record is larger than 16777216");
    CU_ASSERT_FALSE(
        eng_builder_set_text(&builder, field("text"), pen_view_sized(text, UINT32_MAX), &reason));
    CU_ASSERT_EQUAL(record()->opt_text.value.size_bytes, 10);
    /* Replaced by one as long: there is room. */
    CU_ASSERT_TRUE(
        eng_builder_set_text(&builder, field("text"), pen_view_sized(text, room - 10), &reason));
    close_all();
    free(text);
}

static void a_buffer_of_the_caller_is_the_limit(void)
{
    _Alignas(8) char buffer[1024];
    struct eng_builder in;
    uint32_t bytes, room;

    open_all();
    memset(buffer, 0x55, sizeof buffer);
    room = all_layout.fixed_bytes + 16;
    eng_builder_open_in(&in, &all_layout, buffer, room + 7); /* no multiple of 8: 7 are of no use */
    CU_ASSERT_FALSE(eng_builder_set_text(&in, field("text"), pen_view_sized(buffer, 17), &reason));
    CU_ASSERT_TRUE(
        eng_builder_set_text(&in, field("text"), pen_view_from("sixteen bytes ok"), &reason));
    CU_ASSERT_PTR_EQUAL(eng_builder_finish(&in, &bytes), buffer);
    CU_ASSERT_EQUAL(bytes, room);
    CU_ASSERT_EQUAL(buffer[room], 0x55);
    eng_builder_close(&in);
    close_all();
}

static void a_record_begins_with_a_copy_and_goes_on(void)
{
    struct eng_builder second;
    uint32_t bytes;
    const struct all *copy;

    open_all();
    CU_ASSERT_TRUE(eng_builder_set_text(&builder, field("opt_text"), pen_view_from("kept"), NULL));
    CU_ASSERT_TRUE(eng_builder_set_text(&builder, field("text"), pen_view_from("old"), NULL));
    CU_ASSERT_TRUE(eng_builder_set_int(&builder, field("i32"), 12, NULL));
    eng_builder_open(&second, &all_layout, 0);
    CU_ASSERT_TRUE(eng_builder_begin_with(&second, record(), &reason));
    CU_ASSERT_TRUE(eng_builder_set_text(&second, field("text"), pen_view_from("longer"), &reason));
    copy = eng_builder_finish(&second, &bytes);
    CU_ASSERT_EQUAL(eng_record_verify(&all_layout, copy, bytes), 0);
    CU_ASSERT_EQUAL(bytes, all_layout.fixed_bytes + 16);
    CU_ASSERT_TRUE(pen_text_equal(&copy->text, "longer"));
    CU_ASSERT_TRUE(pen_text_equal(&copy->opt_text.value, "kept"));
    CU_ASSERT_EQUAL(copy->i32, 12);
    eng_builder_close(&second);

    eng_builder_open(&second, &all_layout, all_layout.fixed_bytes);
    CU_ASSERT_FALSE(eng_builder_begin_with(&second, record(), &reason));
    assert_says(reason.text, "larger than");
    eng_builder_close(&second);
    close_all();
}

static void decimals_are_scaled_and_bounded(void)
{
    struct pen_field fields[] = {
        {"small", 0, 8, PEN_TYPE_DECIMAL64, 0, 5, 2},
        {"full", 8, 8, PEN_TYPE_DECIMAL64, 0, 0, 0},
        {"wide", 16, 16, PEN_TYPE_DECIMAL128, 0, 38, 10},
    };
    struct pen_schema schema = {PEN_ABI, 32, 8, 3, "money", fields, sizeof fields[0], 0};
    struct eng_layout layout;
    struct eng_builder in;

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &schema, reason.text, sizeof reason.text), 0);
    eng_builder_open(&in, &layout, 0);
    CU_ASSERT_TRUE(eng_builder_set_int(&in, 0, 999, &reason));
    CU_ASSERT_EQUAL(eng_field_int(&layout.fields[0], eng_builder_record(&in)), 99900);
    CU_ASSERT_TRUE(eng_field_double(&layout.fields[0], eng_builder_record(&in)) == 999.0);
    CU_ASSERT_FALSE(eng_builder_set_int(&in, 0, 1000, &reason));
    CU_ASSERT_FALSE(eng_builder_set_int(&in, 0, INT64_MIN, &reason));
    CU_ASSERT_TRUE(eng_builder_set_int(&in, 1, 999999999999999999, &reason));
    CU_ASSERT_FALSE(eng_builder_set_int(&in, 1, 1000000000000000000, &reason));
    CU_ASSERT_TRUE(eng_builder_set_uint(&in, 2, UINT64_MAX, &reason));
    CU_ASSERT_TRUE(eng_builder_parse(&in, 0, pen_view_from("-1.25"), &reason));
    CU_ASSERT_EQUAL(eng_field_int(&layout.fields[0], eng_builder_record(&in)), -125);
    CU_ASSERT_FALSE(eng_builder_parse(&in, 0, pen_view_from("1.255"), &reason));
    assert_says(reason.text, "field small: \"1.255\" is no decimal64");
    eng_builder_close(&in);
    eng_layout_close(&layout);
}

int main(void)
{
    static const struct record_test tests[] = {
        RECORD_TEST(integers_fit_to_the_ends_of_their_types),
        RECORD_TEST(doubles_take_integers_that_they_hold_exactly),
        RECORD_TEST(types_that_do_not_fit_are_refused),
        RECORD_TEST(codes_are_refused_rather_than_cut),
        RECORD_TEST(values_are_parsed_by_their_type),
        RECORD_TEST(texts_set_again_replace_each_other),
        RECORD_TEST(a_record_of_exactly_the_limit_is_made),
        RECORD_TEST(a_buffer_of_the_caller_is_the_limit),
        RECORD_TEST(a_record_begins_with_a_copy_and_goes_on),
        RECORD_TEST(decimals_are_scaled_and_bounded),
    };
    return record_run("record/build", tests, sizeof tests / sizeof tests[0]);
}
