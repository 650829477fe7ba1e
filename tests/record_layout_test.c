/* engine/record/{layout,reason}: schemas are checked, records measured, copied, verified, compared.
 * Method: the schema of a struct that has every type, spoilt in one place at a time; random
 * records. */
#include "engine/record/layout.h"

#include <errno.h>

#include "tests/record_random.h"

enum colour { RED, GREEN };

struct every {
    bool flag;
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    enum colour colour;
    float real;
    double large;
    pen_time at;
    pen_date day;
    pen_code code;
    pen_string text;
    pen_bytes bytes;
    char chars[5];
    int16_t numbers[3];
    pen_opt_bool opt_flag;
    pen_opt_int8 opt_i8;
    pen_opt_int16 opt_i16;
    pen_opt_int32 opt_i32;
    pen_opt_int64 opt_i64;
    pen_opt_double opt_large;
    pen_opt_time opt_at;
    pen_opt_date opt_day;
    pen_opt_code opt_code;
    pen_opt_string opt_text;
    pen_opt_bytes opt_bytes;
};
PEN_RECORD(every, flag, i8, i16, i32, i64, u8, u16, u32, u64, colour, real, large, at, day, code,
           text, bytes, chars, numbers, opt_flag, opt_i8, opt_i16, opt_i32, opt_i64, opt_large,
           opt_at, opt_day, opt_code, opt_text, opt_bytes);

struct point {
    int64_t x;
    int64_t y;
};
PEN_RECORD(point, x, y);

struct forgetful {
    int64_t x;
    int64_t forgotten;
    int64_t y;
};
PEN_RECORD(forgetful, x, y);

struct forgetful_at_the_end {
    int64_t x;
    char forgotten[9];
};
PEN_RECORD(forgetful_at_the_end, x);

struct two_texts {
    int32_t number;
    pen_string first;
    pen_opt_string second;
};
PEN_RECORD(two_texts, number, first, second);

static void every_type_of_the_public_header_has_a_place(void)
{
    char reason[ENG_REASON_BYTES] = "";
    struct eng_layout layout;

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &every_schema, reason, sizeof reason), 0);
    CU_ASSERT_EQUAL(layout.field_count, every_schema.field_count);
    CU_ASSERT_EQUAL(layout.fixed_bytes, (sizeof(struct every) + 7) / 8 * 8);
    CU_ASSERT_EQUAL(layout.text_count, 4);
    for (uint32_t i = 0; i < layout.field_count; i++) {
        const struct pen_field *field = eng_schema_field(&every_schema, i);
        CU_ASSERT_PTR_EQUAL(eng_layout_find(&layout, field->name), &layout.fields[i]);
        CU_ASSERT_PTR_EQUAL(eng_field_find(&every_schema, field->name), field);
        CU_ASSERT_EQUAL(eng_field_nullable(&layout.fields[i]), strncmp(field->name, "opt", 3) == 0);
    }
    CU_ASSERT_PTR_NULL(eng_layout_find(&layout, "nothing"));
    CU_ASSERT_EQUAL(eng_layout_find(&layout, "numbers")->element_count, 3);
    CU_ASSERT_EQUAL(eng_layout_find(&layout, "chars")->element_count, 1);
    CU_ASSERT_EQUAL(eng_layout_find(&layout, "opt_text")->presence_offset,
                    offsetof(struct every, opt_text.present));
    eng_layout_close(&layout);
    eng_layout_close(&layout);
}

static void a_field_that_is_not_named_is_found(void)
{
    char reason[ENG_REASON_BYTES] = "";
    struct eng_layout layout;

    CU_ASSERT_EQUAL(eng_layout_open(&layout, &forgetful_schema, reason, sizeof reason), -EINVAL);
    CU_ASSERT_STRING_EQUAL(reason,
                           "forgetful: bytes 8 to 16 hold a field that PEN_RECORD does not name");
    CU_ASSERT_EQUAL(eng_layout_open(&layout, &forgetful_at_the_end_schema, reason, sizeof reason),
                    -EINVAL);
    assert_says(reason, "bytes 8 to 24 hold a field");
}

/* Opens the point's schema after `spoil` has changed it, and looks at the reason. */
static void refuses(void (*spoil)(struct pen_schema *, struct pen_field *), const char *words)
{
    struct pen_field fields[2] = {point_fields[0], point_fields[1]};
    struct pen_schema schema = point_schema;
    char reason[ENG_REASON_BYTES] = "";
    struct eng_layout layout;

    schema.fields = fields;
    spoil(&schema, fields);
    CU_ASSERT_EQUAL(eng_layout_open(&layout, &schema, reason, sizeof reason), -EINVAL);
    assert_says(reason, words);
}

#define SPOIL(name, code)                                                                          \
    static void name(struct pen_schema *schema, struct pen_field *fields)                          \
    {                                                                                              \
        (void)schema;                                                                              \
        (void)fields;                                                                              \
        code;                                                                                      \
    }
SPOIL(abi, schema->abi = 7)
SPOIL(nameless, schema->name = NULL)
SPOIL(odd_name, schema->name = "a\nb")
SPOIL(align_3, schema->align_bytes = 3)
SPOIL(align_16, schema->align_bytes = 16)
SPOIL(align_4, schema->align_bytes = 4)
SPOIL(stride, schema->field_size_bytes = 8)
SPOIL(too_many, schema->field_count = ENG_FIELDS_MAX + 1)
SPOIL(no_list, schema->fields = NULL)
SPOIL(too_large, schema->size_bytes = ENG_RECORD_FIXED_BYTES_MAX + 8)
SPOIL(small_struct, schema->size_bytes = 8)
SPOIL(tail, schema->size_bytes = 24)
SPOIL(odd_size, schema->size_bytes = 17)
SPOIL(nameless_field, fields[1].name = "")
SPOIL(twins, fields[1].name = "x")
SPOIL(no_type, fields[1].type = 0)
SPOIL(map_type, fields[1].type = PEN_TYPE_MAP)
SPOIL(large_type, fields[1].type = UINT32_MAX)
SPOIL(optional_chars, fields[1].type = PEN_TYPE_NULLABLE + PEN_TYPE_CHARS)
SPOIL(wrong_size, fields[1].size_bytes = 4)
SPOIL(no_size, fields[1].size_bytes = 0)
SPOIL(outside, fields[1].offset_bytes = UINT32_MAX - 7)
SPOIL(misaligned, fields[1].offset_bytes = 7)
SPOIL(overlap, fields[1].offset_bytes = 0)
SPOIL(order, fields[0].offset_bytes = 8; fields[1].offset_bytes = 0)
SPOIL(null_twice, fields[0].null_bit = 1; fields[1].null_bit = 1)
SPOIL(null_far, fields[0].null_bit = ENG_FIELDS_MAX + 1)
SPOIL(null_outside, fields[0].null_bit = 1; schema->null_offset_bytes = 16)
SPOIL(null_over, fields[0].null_bit = 1; schema->null_offset_bytes = 0)
SPOIL(null_both, fields[1].type = PEN_TYPE_NULLABLE + PEN_TYPE_INT32; fields[1].null_bit = 1)
SPOIL(digits, fields[1].type = PEN_TYPE_DECIMAL64; fields[1].precision = 19)
SPOIL(scale, fields[1].type = PEN_TYPE_DECIMAL64; fields[1].precision = 3; fields[1].scale = 4)

static void a_schema_is_refused_for_each_mistake(void)
{
    char long_name[ENG_NAME_BYTES_MAX + 2], reason[8];
    struct pen_schema schema = point_schema;
    struct eng_layout layout;

    refuses(abi, "ABI 7");
    refuses(nameless, "without a name");
    refuses(odd_name, "not printable");
    refuses(align_3, "aligned to 3");
    refuses(align_16, "aligned to 16");
    refuses(align_4, "field x needs 8");
    refuses(stride, "field_size_bytes is 8");
    refuses(too_many, "1025 fields");
    refuses(no_list, "no list");
    refuses(too_large, "texts");
    refuses(small_struct, "outside the struct");
    refuses(tail, "bytes 16 to 24 hold a field");
    refuses(odd_size, "bytes 16 to 17");
    refuses(nameless_field, "field 1 has no name");
    refuses(twins, "two fields are called x");
    refuses(no_type, "no type 0");
    refuses(map_type, "no type 33");
    refuses(large_type, "no type 4294967295");
    refuses(optional_chars, "no type 80");
    refuses(wrong_size, "4 bytes, but int64 has 8");
    refuses(no_size, "0 bytes");
    refuses(outside, "outside the struct");
    refuses(misaligned, "aligned to 8");
    refuses(overlap, "field y: at byte 0");
    refuses(order, "bytes 0 to 8");
    refuses(null_twice, "null bit 1 belongs to another");
    refuses(null_far, "null bit 1025");
    refuses(null_outside, "null words");
    refuses(null_over, "before what lies before it");
    refuses(null_both, "null bit too");
    refuses(digits, "19 digits");
    refuses(scale, "4 behind the point");

    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    schema.name = long_name;
    CU_ASSERT_EQUAL(eng_layout_open(&layout, &schema, reason, sizeof reason), -EINVAL);
    CU_ASSERT_EQUAL(strlen(reason), sizeof reason - 1); /* cut, and terminated */
    CU_ASSERT_EQUAL(eng_layout_open(&layout, NULL, NULL, 0), -EINVAL);
}

static void a_schema_of_a_later_version_has_longer_fields(void)
{
    struct later {
        struct pen_field field;
        uint64_t more;
    } fields[2] = {{point_fields[0], 1}, {point_fields[1], 2}};
    struct pen_schema schema = point_schema;
    struct eng_layout layout;

    schema.fields = &fields[0].field;
    schema.field_size_bytes = sizeof fields[0];
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &schema, NULL, 0), 0);
    CU_ASSERT_STRING_EQUAL(layout.fields[1].name, "y");
    CU_ASSERT_TRUE(eng_schema_same(&schema, &point_schema));
    fields[1].field.scale = 1;
    CU_ASSERT_FALSE(eng_schema_same(&schema, &point_schema));
    eng_layout_close(&layout);
}

static void a_schema_without_fields_is_a_schema(void)
{
    struct pen_schema schema = {PEN_ABI, 0, 1, 0, "all", NULL, sizeof(struct pen_field), 0};
    struct eng_layout layout;
    uint64_t to = 1;

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &schema, NULL, 0), 0);
    CU_ASSERT_EQUAL(eng_record_bytes(&layout, NULL), 8);
    CU_ASSERT_EQUAL(eng_record_copy(&layout, &to, 8, NULL), 8);
    CU_ASSERT_EQUAL(to, 0);
    eng_layout_close(&layout);
}

static void a_copy_brings_texts_from_anywhere(void)
{
    struct {
        char before[24];
        struct two_texts record;
        char behind[8];
    } memory = {.before = "before it", .behind = "behind"};
    struct two_texts *record = &memory.record, *copy;
    _Alignas(8) char to[64];
    struct eng_layout layout;

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &two_texts_schema, NULL, 0), 0);
    record->number = 5;
    record->first.offset_bytes = (int32_t)(memory.behind - (char *)&record->first);
    record->first.size_bytes = 6;
    record->second.value.offset_bytes = (int32_t)(memory.before - (char *)&record->second.value);
    record->second.value.size_bytes = 9;
    record->second.present = true;
    CU_ASSERT_EQUAL(eng_record_bytes(&layout, record), 24 + 16);

    memset(to, 0x55, sizeof to);
    CU_ASSERT_EQUAL(eng_record_copy(&layout, to, 39, record), 0);
    CU_ASSERT_EQUAL(eng_record_copy(&layout, to, 40, record), 40);
    copy = (struct two_texts *)(void *)to;
    CU_ASSERT_TRUE(pen_text_equal(&copy->first, "behind"));
    CU_ASSERT_TRUE(pen_text_equal(&copy->second.value, "before it"));
    CU_ASSERT_EQUAL(copy->first.offset_bytes, 24 - 4);
    CU_ASSERT_EQUAL(to[39], 0);
    CU_ASSERT_EQUAL(to[40], 0x55);
    CU_ASSERT_EQUAL(eng_record_verify(&layout, to, 40), 0);
    CU_ASSERT_TRUE(eng_record_equal(&layout, record, copy));

    record->second.present = false; /* what a null holds is not copied */
    CU_ASSERT_EQUAL(eng_record_copy(&layout, to, 32, record), 32);
    CU_ASSERT_EQUAL(copy->second.value.size_bytes, 0);
    CU_ASSERT_EQUAL(eng_record_verify(&layout, to, 32), 0);
    eng_layout_close(&layout);
}

static void a_record_from_a_file_is_not_believed(void)
{
    _Alignas(8) char bytes[40];
    struct two_texts *record = (struct two_texts *)(void *)bytes;
    struct two_texts good = {.number = 1, .first = {20, 4}, .second = {{16, 12}, true}};
    struct eng_layout layout;

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &two_texts_schema, NULL, 0), 0);
    memset(bytes, 'x', sizeof bytes);
#define WITH(change, result)                                                                       \
    do {                                                                                           \
        memcpy(bytes, &good, sizeof good);                                                         \
        change;                                                                                    \
        CU_ASSERT_EQUAL(eng_record_verify(&layout, bytes, sizeof bytes), result);                  \
    } while (0)
    WITH((void)0, 0);
    WITH(record->first.offset_bytes = -4, -EBADMSG);
    WITH(record->first.offset_bytes = 16, -EBADMSG); /* inside the struct */
    WITH(record->first.offset_bytes = 33, -EBADMSG);
    WITH(record->first.offset_bytes = INT32_MAX, -EBADMSG);
    WITH(record->first.size_bytes = 5, -EBADMSG); /* together longer than what there is */
    WITH(record->first.size_bytes = UINT32_MAX, -EBADMSG);
    WITH(record->second.value.size_bytes = 13, -EBADMSG);
    WITH((bytes[offsetof(struct two_texts, second.present)] = 2), -EBADMSG);
    WITH((bytes[offsetof(struct two_texts, second.present)] = 0,
          record->second.value.offset_bytes = 99),
         -EBADMSG);
    CU_ASSERT_EQUAL(eng_record_verify(&layout, bytes, 23), -EBADMSG);
    eng_layout_close(&layout);
}

static void random_records_are_copied_and_equal(void)
{
    static _Alignas(8) char to[8192];

    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct random random = {seed};
        struct random_schema s;
        struct eng_builder builder;
        uint32_t bytes;

        random_schema_open(&random, &s, false);
        eng_builder_open(&builder, &s.layout, 0);
        for (uint32_t i = 0; i < 20; i++) {
            const void *record = random_record(&random, &builder, false, &bytes);

            CU_ASSERT_EQUAL_FATAL(eng_record_verify(&s.layout, record, bytes), 0);
            CU_ASSERT_EQUAL(eng_record_bytes(&s.layout, record), bytes);
            CU_ASSERT_EQUAL(eng_record_copy(&s.layout, to, sizeof to, record), bytes);
            CU_ASSERT_EQUAL(memcmp(to, record, bytes), 0); /* set in order, so the same */
            CU_ASSERT_TRUE(eng_record_equal(&s.layout, to, record));
            if (bytes > s.layout.fixed_bytes)
                CU_ASSERT_EQUAL(eng_record_copy(&s.layout, to, bytes - 8, record), 0);
        }
        eng_builder_close(&builder);
        eng_layout_close(&s.layout);
    }
}

static void a_change_of_any_field_is_a_difference(void)
{
    struct random random = {77};
    static _Alignas(8) char other[8192];

    for (uint32_t round = 0; round < 300; round++) {
        struct random_schema s;
        struct eng_builder builder;
        uint32_t bytes, index;
        const struct eng_field *field;
        const void *record;

        random_schema_open(&random, &s, false);
        eng_builder_open(&builder, &s.layout, 0);
        record = random_record(&random, &builder, false, &bytes);
        CU_ASSERT_EQUAL(eng_record_copy(&s.layout, other, sizeof other, record), bytes);
        index = random_below(&random, s.layout.field_count);
        field = &s.layout.fields[index];
        if (eng_field_is_null(field, other)) {
            eng_field_set_present(field, other);
        } else if (eng_field_nullable(field)) {
            eng_field_set_null(field, other);
        } else if (!eng_type_is_text(field->type)) {
            ((char *)eng_field_at(field, other))[random_below(&random, field->size_bytes)] ^= 1;
        } else if (eng_field_text(field, other).size_bytes) {
            *(char *)(uintptr_t)eng_field_text(field, other).data ^= 1;
        } else {
            index = s.layout.field_count; /* an empty text cannot be changed so easily */
        }
        CU_ASSERT_EQUAL(eng_record_equal(&s.layout, record, other), index == s.layout.field_count);
        eng_builder_close(&builder);
        eng_layout_close(&s.layout);
    }
}

static void null_bits_and_opt_fields_read_the_same(void)
{
    struct pen_field fields[] = {
        {"a", 16, 8, PEN_TYPE_INT64, 65, 0, 0},
        {"b", 24, 16, PEN_TYPE_NULLABLE + PEN_TYPE_INT64, 0, 0, 0},
        {"c", 40, 4, PEN_TYPE_INT32, 9, 0, 0},
    };
    struct pen_schema schema = {PEN_ABI, 48, 8, 3, "nulls", fields, sizeof fields[0], 0};
    uint64_t record[6] = {0};
    struct eng_layout layout;
    char reason[ENG_REASON_BYTES] = "";

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &schema, reason, sizeof reason), 0);
    for (uint32_t i = 0; i < 3; i++) {
        const struct eng_field *field = &layout.fields[i];

        CU_ASSERT_TRUE(eng_field_is_null(field, record));
        eng_field_set_present(field, record);
        CU_ASSERT_FALSE(eng_field_is_null(field, record));
        *(char *)eng_field_at(field, record) = 9;
        CU_ASSERT_EQUAL(eng_field_int(field, record), 9);
    }
    CU_ASSERT_EQUAL(record[0], 1u << 8);
    CU_ASSERT_EQUAL(record[1], 1);
    CU_ASSERT_EQUAL(((const uint8_t *)&record[4])[0], 1);
    for (uint32_t i = 0; i < 3; i++)
        eng_field_set_null(&layout.fields[i], record);
    for (uint32_t i = 0; i < 6; i++)
        CU_ASSERT_EQUAL(record[i], 0);
    eng_layout_close(&layout);
}

static void a_record_of_the_limit_is_measured_and_one_byte_more_is_not(void)
{
    struct two_texts *near;
    struct eng_layout layout;
    char *text = malloc(ENG_RECORD_BYTES_MAX), *to = malloc(ENG_RECORD_BYTES_MAX);

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &two_texts_schema, NULL, 0), 0);
    memset(text, 't', ENG_RECORD_BYTES_MAX);
    near = (struct two_texts *)(void *)text;
    *near = (struct two_texts){.first = {20, ENG_RECORD_BYTES_MAX - 24}};
    CU_ASSERT_EQUAL(eng_record_bytes(&layout, near), ENG_RECORD_BYTES_MAX);
    CU_ASSERT_EQUAL(eng_record_verify(&layout, near, ENG_RECORD_BYTES_MAX), 0);
    CU_ASSERT_EQUAL(eng_record_copy(&layout, to, ENG_RECORD_BYTES_MAX, near), ENG_RECORD_BYTES_MAX);
    CU_ASSERT_EQUAL(eng_record_copy(&layout, to, ENG_RECORD_BYTES_MAX - 1, near), 0);
    near->first.size_bytes++;
    CU_ASSERT_EQUAL(eng_record_bytes(&layout, near), 0);
    CU_ASSERT_EQUAL(eng_record_verify(&layout, near, ENG_RECORD_BYTES_MAX), -EBADMSG);
    near->first.size_bytes = UINT32_MAX;
    near->second = (pen_opt_string){{8, UINT32_MAX}, true};
    CU_ASSERT_EQUAL(eng_record_bytes(&layout, near), 0); /* no wrap around */
    free(text);
    free(to);
    eng_layout_close(&layout);
}

static void types_have_names(void)
{
    CU_ASSERT_STRING_EQUAL(eng_type_name(PEN_TYPE_INT64), "int64");
    CU_ASSERT_STRING_EQUAL(eng_type_name(PEN_TYPE_NULLABLE + PEN_TYPE_TIME), "optional time");
    CU_ASSERT_STRING_EQUAL(eng_type_name(0), "unknown type");
    CU_ASSERT_STRING_EQUAL(eng_type_name(PEN_TYPE_ROW), "unknown type");
    CU_ASSERT_STRING_EQUAL(eng_type_name(UINT32_MAX), "unknown type");
    CU_ASSERT_TRUE(eng_type_is_text(PEN_TYPE_NULLABLE + PEN_TYPE_BYTES));
    CU_ASSERT_FALSE(eng_type_is_text(PEN_TYPE_CODE));
    CU_ASSERT_TRUE(eng_type_is_integer(PEN_TYPE_UINT64));
    CU_ASSERT_FALSE(eng_type_is_integer(PEN_TYPE_BOOL));
}

static void a_reason_shows_what_it_quotes_and_no_more(void)
{
    char text[100];
    struct eng_reason reason;

    CU_ASSERT_STRING_EQUAL(eng_reason_quote(pen_view_from("abc")).text, "\"abc\"");
    CU_ASSERT_STRING_EQUAL(eng_reason_quote(pen_view_sized("", 0)).text, "\"\"");
    CU_ASSERT_STRING_EQUAL(eng_reason_quote(pen_view_sized("a\0\x1b[\xff\xc2\x9b", 7)).text,
                           "\"a??[??\"");
    memset(text, 'x', sizeof text);
    CU_ASSERT_EQUAL(strlen(eng_reason_quote(pen_view_sized(text, 40)).text), 42);
    CU_ASSERT_STRING_EQUAL(eng_reason_quote(pen_view_sized(text, 41)).text + 41, "\"...");
    memcpy(text + 39, "\xe2\x82\xac", 3); /* would be cut in its middle */
    CU_ASSERT_EQUAL(strlen(eng_reason_quote(pen_view_sized(text, 100)).text), 1 + 39 + 4);
    eng_reason_set(NULL, "%d", 1);
    eng_reason_set(&reason, "%0300d", 1);
    CU_ASSERT_EQUAL(strlen(reason.text), sizeof reason.text - 1);
}

int main(void)
{
    static const struct record_test tests[] = {
        RECORD_TEST(every_type_of_the_public_header_has_a_place),
        RECORD_TEST(a_field_that_is_not_named_is_found),
        RECORD_TEST(a_schema_is_refused_for_each_mistake),
        RECORD_TEST(a_schema_of_a_later_version_has_longer_fields),
        RECORD_TEST(a_schema_without_fields_is_a_schema),
        RECORD_TEST(a_copy_brings_texts_from_anywhere),
        RECORD_TEST(a_record_from_a_file_is_not_believed),
        RECORD_TEST(random_records_are_copied_and_equal),
        RECORD_TEST(a_change_of_any_field_is_a_difference),
        RECORD_TEST(null_bits_and_opt_fields_read_the_same),
        RECORD_TEST(a_record_of_the_limit_is_measured_and_one_byte_more_is_not),
        RECORD_TEST(types_have_names),
        RECORD_TEST(a_reason_shows_what_it_quotes_and_no_more),
    };
    return record_run("record/layout", tests, sizeof tests / sizeof tests[0]);
}
