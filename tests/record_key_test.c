/* engine/record/key: images and hashes of keys, and fields copied by name.
 * Method: equality of images against equality of fields, on random records whose padding is
 * garbage; the same key in records of different layouts; every reason. */
#include "engine/record/key.h"

#include <errno.h>

#include "shm/hash.h"
#include "tests/record_random.h"

struct flight {
    pen_time at;
    pen_code origin;
    pen_code dest;
    int32_t number;
    uint8_t day;
    pen_opt_int32 delay;
    pen_string tail;
    double distance;
    int64_t seat;
    int32_t legs[2];
};
PEN_RECORD(flight, at, origin, dest, number, day, delay, tail, distance, seat, legs);

static struct eng_layout layout;
static struct eng_reason reason;

static void open_flights(void)
{
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &flight_schema, NULL, 0), 0);
}

static void opens(struct eng_key *key, const char *const *names, uint32_t count)
{
    CU_ASSERT_EQUAL_FATAL(eng_key_open(key, &layout, names, count, &reason), 0);
}

#define NAMES(...)                                                                                 \
    (const char *const[]){__VA_ARGS__},                                                            \
        (uint32_t)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void a_key_without_holes_lies_in_the_record(void)
{
    static const struct {
        const char *names[3];
        uint32_t count, offset, size;
        bool direct;
    } cases[] = {
        {{"origin"}, 1, offsetof(struct flight, origin), 8, true},
        {{"origin", "dest"}, 2, offsetof(struct flight, origin), 16, true},
        {{"at", "origin", "dest"}, 3, 0, 24, true},
        {{"number"}, 1, offsetof(struct flight, number), 4, true},
        {{"legs"}, 1, offsetof(struct flight, legs), 8, true},
        {{"dest", "number"}, 2, offsetof(struct flight, dest), 12, true},
        {{"dest", "origin"}, 2, 0, 16, false},
        {{"number", "day"}, 2, 0, 8, false}, /* a hole at its end */
        {{"day", "number"}, 2, 0, 8, false},
        {{"delay"}, 1, 0, 8, false},
        {{"tail"}, 1, 0, 8, false},
        {{"seat", "number"}, 2, 0, 16, false},
    };

    open_flights();
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct eng_key key;

        opens(&key, cases[i].names, cases[i].count);
        CU_ASSERT_EQUAL(key.direct, cases[i].direct);
        CU_ASSERT_EQUAL(key.size_bytes, cases[i].size);
        if (key.direct) CU_ASSERT_EQUAL(key.direct_offset, cases[i].offset);
        CU_ASSERT_EQUAL(eng_key_schema(&key)->field_count, cases[i].count);
        CU_ASSERT_STRING_EQUAL(eng_key_schema(&key)->fields[0].name, cases[i].names[0]);
        eng_key_close(&key);
        eng_key_close(&key);
    }
    eng_layout_close(&layout);
}

static void what_cannot_be_a_key_is_refused(void)
{
    const char *many[ENG_KEY_FIELDS_MAX + 1];
    struct eng_key key;

    open_flights();
    CU_ASSERT_EQUAL(eng_key_open(&key, &layout, NAMES("distance"), &reason), -EINVAL);
    assert_says(reason.text, "flight: field distance is double");
    CU_ASSERT_EQUAL(eng_key_open(&key, &layout, NAMES("nothing"), &reason), -EINVAL);
    CU_ASSERT_STRING_EQUAL(reason.text, "flight has no field nothing");
    CU_ASSERT_EQUAL(eng_key_open(&key, &layout, NAMES("origin", "at", "origin"), &reason), -EINVAL);
    assert_says(reason.text, "field origin is twice");
    CU_ASSERT_EQUAL(eng_key_open(&key, &layout, NULL, 0, &reason), -EINVAL);
    assert_says(reason.text, "distance");
    for (uint32_t i = 0; i <= ENG_KEY_FIELDS_MAX; i++)
        many[i] = "origin";
    CU_ASSERT_EQUAL(eng_key_open(&key, &layout, many, ENG_KEY_FIELDS_MAX + 1, &reason), -EINVAL);
    assert_says(reason.text, "a key of 33 fields; it can have 32");
    eng_key_close(&key);
    eng_layout_close(&layout);
}

static void the_empty_key_is_one_key(void)
{
    const struct flight a = {.number = 1}, b = {.number = 2};
    const void *records[] = {&a, &b}, *images[2];
    uint32_t sizes[2];
    uint64_t hashes[2];
    struct eng_key_scratch scratch = {0};
    struct eng_key key;

    open_flights();
    opens(&key, (const char *const[]){"none"}, 0);
    eng_key_hashes(&key, records, 2, hashes);
    eng_key_images(&key, records, 2, &scratch, images, sizes);
    CU_ASSERT_EQUAL(hashes[0], hashes[1]);
    CU_ASSERT_EQUAL(sizes[0], 0);
    CU_ASSERT_EQUAL(sizes[1], 0);
    eng_key_close(&key);
    eng_key_scratch_close(&scratch);
    eng_layout_close(&layout);
}

/* Fills every byte of a record that no field owns with garbage, and what nulls hold as well. */
static void spoil(struct random *random, const struct eng_layout *of, void *record)
{
    uint8_t owned[4096] = {0}, *bytes = record;

    for (uint32_t i = 0; i < of->field_count; i++) {
        const struct eng_field *field = &of->fields[i];

        if (field->presence_mask) owned[field->presence_offset] |= field->presence_mask;
        if (field->presence_mask == 1) owned[field->presence_offset] = 0xff; /* may be a bool */
        if (!eng_field_is_null(field, record))
            memset(owned + field->offset_bytes, 0xff, field->size_bytes);
    }
    /* The first eight bytes may be null words, of which bits may belong to nobody. */
    for (uint32_t i = 8; i < of->schema->size_bytes; i++)
        if (!owned[i]) bytes[i] = (uint8_t)random_next(random);
}

static bool keys_equal(const struct eng_layout *of, const char *const *names, uint32_t count,
                       const void *a, const void *b)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct eng_field *field = eng_layout_find(of, names[i]);
        bool null = eng_field_is_null(field, a);

        if (null != eng_field_is_null(field, b)) return false;
        if (null) continue;
        if (eng_type_is_text(field->type)
                ? !pen_view_equal_views(eng_field_text(field, a), eng_field_text(field, b))
                : memcmp(eng_field_of(field, a), eng_field_of(field, b), field->size_bytes) != 0)
            return false;
    }
    return true;
}

enum { RECORDS = 24 };

static void images_are_equal_when_the_fields_are(void)
{
    struct eng_key_scratch scratch = {0};
    uint32_t equal = 0, different = 0;

    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct random random = {seed};
        struct random_schema s;
        struct eng_builder builder;
        struct eng_key key;
        static _Alignas(8) char memory[RECORDS][4096];
        const void *records[RECORDS], *images[RECORDS];
        uint32_t sizes[RECORDS], count, bytes;
        uint64_t hashes[RECORDS];
        const char *names[4];

        random_schema_open(&random, &s, true);
        eng_builder_open(&builder, &s.layout, 0);
        count = 1 + random_below(&random, s.layout.field_count < 4 ? s.layout.field_count : 4);
        for (uint32_t i = 0; i < count; i++)
            names[i] = s.names[(seed + i) % s.layout.field_count];
        CU_ASSERT_EQUAL_FATAL(eng_key_open(&key, &s.layout, names, count, &reason), 0);
        for (uint32_t i = 0; i < RECORDS; i++) {
            records[i] = memory[i];
            if (i % 3 == 2) { /* equal to the one before, but for its garbage */
                memcpy(memory[i], memory[i - 1], sizeof memory[i]);
            } else {
                const void *record = random_record(&random, &builder, false, &bytes);
                CU_ASSERT_TRUE_FATAL(bytes <= sizeof memory[i]);
                memcpy(memory[i], record, bytes);
            }
            spoil(&random, &s.layout, memory[i]);
        }
        eng_key_hashes(&key, records, RECORDS, hashes);
        eng_key_images(&key, records, RECORDS, &scratch, images, sizes);
        for (uint32_t i = 0; i < RECORDS; i++) {
            CU_ASSERT_EQUAL(hashes[i], shm_hash(images[i], sizes[i]));
            if (!key.direct) {
                CU_ASSERT_EQUAL((uintptr_t)images[i] % 8, 0);
                CU_ASSERT_EQUAL(eng_record_verify(&key.layout, images[i], sizes[i]), 0);
            }
            for (uint32_t k = 0; k < i; k++) {
                bool same = keys_equal(&s.layout, names, count, records[i], records[k]);

                CU_ASSERT_EQUAL(sizes[i] == sizes[k] && memcmp(images[i], images[k], sizes[i]) == 0,
                                same);
                equal += same;
                different += !same;
            }
        }
        eng_key_close(&key);
        eng_builder_close(&builder);
        eng_layout_close(&s.layout);
    }
    CU_ASSERT_TRUE(equal > 2000);
    CU_ASSERT_TRUE(different > 2000);
    eng_key_scratch_close(&scratch);
}

static void the_image_is_a_record_of_the_keys_schema(void)
{
    struct eng_builder builder;
    struct eng_key key;
    struct eng_key_scratch scratch = {0};
    const void *record, *image;
    uint32_t size;
    uint32_t tail;

    open_flights();
    eng_builder_open(&builder, &layout, 0);
    tail = (uint32_t)(eng_layout_find(&layout, "tail") - layout.fields);
    CU_ASSERT_TRUE(eng_builder_set_text(&builder, tail, pen_view_from("N619AA"), NULL));
    CU_ASSERT_TRUE(eng_builder_set_int(&builder, tail - 1, -3, NULL));
    record = eng_builder_finish(&builder, NULL);
    opens(&key, NAMES("delay", "tail", "day"));
    eng_key_images(&key, &record, 1, &scratch, &image, &size);
    CU_ASSERT_EQUAL(size, key.layout.fixed_bytes + 8);
    CU_ASSERT_EQUAL(eng_field_int(eng_layout_find(&key.layout, "delay"), image), -3);
    CU_ASSERT_TRUE(
        pen_text_equal(eng_field_text(eng_layout_find(&key.layout, "tail"), image), "N619AA"));
    eng_key_close(&key);
    eng_key_scratch_close(&scratch);
    eng_builder_close(&builder);
    eng_layout_close(&layout);
}

/* The same key in two layouts: once direct, once gathered. */
struct route_first {
    pen_code from;
    pen_code to;
};
PEN_RECORD(route_first, from, to);
struct route_apart {
    pen_code to;
    int32_t number;
    pen_code from;
};
PEN_RECORD(route_apart, to, number, from);

static void keys_of_two_streams_meet(void)
{
    const struct route_first a = {{"JFK"}, {"LAX"}};
    const struct route_apart b = {{"LAX"}, 5, {"JFK"}};
    const void *record_a = &a, *record_b = &b;
    struct eng_layout other;
    struct eng_key first, apart, number;
    uint64_t hash_a, hash_b;

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &route_first_schema, NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&other, &route_apart_schema, NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_key_open(&first, &layout, NULL, 0, &reason), 0);
    CU_ASSERT_EQUAL_FATAL(eng_key_open(&apart, &other, NAMES("from", "to"), &reason), 0);
    CU_ASSERT_TRUE(first.direct);
    CU_ASSERT_FALSE(apart.direct);
    CU_ASSERT_EQUAL(eng_key_match(&first, &apart, &reason), 0);
    eng_key_hashes(&first, &record_a, 1, &hash_a);
    eng_key_hashes(&apart, &record_b, 1, &hash_b);
    CU_ASSERT_EQUAL(hash_a, hash_b);

    CU_ASSERT_EQUAL_FATAL(eng_key_open(&number, &other, NAMES("from", "number"), &reason), 0);
    CU_ASSERT_EQUAL(eng_key_match(&first, &number, &reason), -EINVAL);
    assert_says(reason.text, "field to is code of 8 bytes and field number is int32 of 4 bytes");
    eng_key_close(&number);
    CU_ASSERT_EQUAL_FATAL(eng_key_open(&number, &other, NAMES("from"), &reason), 0);
    CU_ASSERT_EQUAL(eng_key_match(&first, &number, &reason), -EINVAL);
    assert_says(reason.text, "one key has 2 fields, the other 1");
    eng_key_close(&number);
    eng_key_close(&first);
    eng_key_close(&apart);
    eng_layout_close(&layout);
    eng_layout_close(&other);
}

static void hashes_of_all_direct_sizes_agree_with_the_hash(void)
{
    struct random random = {21};
    struct pen_field fields[] = {{"pad", 0, 1, PEN_TYPE_UINT8, 0, 0, 0},
                                 {"key", 1, 0, PEN_TYPE_CHARS, 0, 0, 0}};

    for (uint32_t size = 1; size <= 300; size++) {
        struct pen_schema schema = {PEN_ABI, 1 + size, 1, 2, "s", fields, sizeof fields[0], 0};
        struct eng_key key;
        char record[304];
        const void *records[] = {record};
        uint64_t hash;

        fields[1].size_bytes = size;
        for (uint32_t i = 0; i < sizeof record; i++)
            record[i] = (char)random_next(&random);
        CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &schema, reason.text, sizeof reason.text),
                              0);
        opens(&key, NAMES("key"));
        CU_ASSERT_TRUE(key.direct);
        eng_key_hashes(&key, records, 1, &hash);
        CU_ASSERT_EQUAL(hash, shm_hash(record + 1, size));
        eng_key_close(&key);
        eng_layout_close(&layout);
    }
}

static void a_key_with_a_huge_text_is_hashed(void)
{
    enum { SIZE = 3 << 20 };
    struct eng_builder builder;
    struct eng_key key;
    struct eng_key_scratch scratch = {0};
    char *text = malloc(SIZE);
    const void *record, *image;
    uint32_t size;
    uint64_t hash;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    memset(text, 'k', SIZE);
    open_flights();
    eng_builder_open(&builder, &layout, 0);
    CU_ASSERT_TRUE(eng_builder_set_text(&builder, 6, pen_view_sized(text, SIZE), NULL));
    record = eng_builder_finish(&builder, NULL);
    opens(&key, NAMES("tail"));
    eng_key_hashes(&key, &record, 1, &hash);
    eng_key_images(&key, &record, 1, &scratch, &image, &size);
    CU_ASSERT_EQUAL(size, 8 + SIZE);
    CU_ASSERT_EQUAL(hash, shm_hash(image, size));
    eng_key_close(&key);
    eng_key_scratch_close(&scratch);
    eng_builder_close(&builder);
    eng_layout_close(&layout);
    free(text);
}

/* ---- Copying --------------------------------------------------------------------------------- */

struct result {
    pen_code dest;
    int64_t count;
    pen_string tail;
    pen_opt_int32 number;
    pen_opt_int32 delay;
};
PEN_RECORD(result, dest, count, tail, number, delay);

struct strict {
    int32_t delay;
};
PEN_RECORD(strict, delay);
struct wider {
    int64_t number;
};
PEN_RECORD(wider, number);

static void fields_of_the_same_name_are_copied(void)
{
    struct eng_layout result_layout;
    struct eng_copy_plan plan;
    struct eng_builder from, to;
    const struct result *result;
    uint32_t bytes;

    open_flights();
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&result_layout, &result_schema, NULL, 0), 0);
    CU_ASSERT_EQUAL(eng_copy_plan_open(&plan, &layout, &result_layout, false, &reason), -EINVAL);
    CU_ASSERT_STRING_EQUAL(reason.text, "result has no field at");
    CU_ASSERT_EQUAL_FATAL(eng_copy_plan_open(&plan, &layout, &result_layout, true, &reason), 0);
    CU_ASSERT_EQUAL(plan.step_count, 4);
    CU_ASSERT_EQUAL(plan.text_count, 1);
    eng_builder_open(&from, &layout, 0);
    eng_builder_open(&to, &result_layout, 0);
    CU_ASSERT_TRUE(eng_builder_set_text(&from, 2, pen_view_from("LAX"), NULL));
    CU_ASSERT_TRUE(eng_builder_set_int(&from, 3, 17, NULL));
    CU_ASSERT_TRUE(eng_builder_set_text(&from, 6, pen_view_from("N1"), NULL));
    CU_ASSERT_TRUE(eng_builder_set_int(&to, 1, 99, NULL));
    CU_ASSERT_TRUE(eng_builder_set_int(&to, 4, 4, NULL)); /* will be null */
    CU_ASSERT_TRUE(eng_copy_plan_build(&plan, eng_builder_finish(&from, NULL), &to, &reason));
    result = eng_builder_finish(&to, &bytes);
    CU_ASSERT_EQUAL(eng_record_verify(&result_layout, result, bytes), 0);
    CU_ASSERT_TRUE(pen_text_equal(&result->dest, "LAX"));
    CU_ASSERT_TRUE(pen_text_equal(&result->tail, "N1"));
    CU_ASSERT_EQUAL(result->count, 99);
    CU_ASSERT_TRUE(result->number.present && result->number.value == 17);
    CU_ASSERT_FALSE(result->delay.present);
    CU_ASSERT_EQUAL(result->delay.value, 0);
    eng_builder_close(&from);
    eng_builder_close(&to);
    eng_copy_plan_close(&plan);
    eng_layout_close(&layout);
    eng_layout_close(&result_layout);
}

static void nothing_is_widened_and_null_has_nowhere_to_go(void)
{
    struct eng_layout strict_layout, wider_layout;
    struct eng_copy_plan plan;

    open_flights();
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&strict_layout, &strict_schema, NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&wider_layout, &wider_schema, NULL, 0), 0);
    CU_ASSERT_EQUAL(eng_copy_plan_open(&plan, &layout, &strict_layout, true, &reason), -EINVAL);
    CU_ASSERT_STRING_EQUAL(reason.text, "field delay can be null in flight, but not in strict");
    CU_ASSERT_EQUAL(eng_copy_plan_open(&plan, &layout, &wider_layout, true, &reason), -EINVAL);
    CU_ASSERT_STRING_EQUAL(
        reason.text,
        "field number is int32 in flight and int64 in wider: the types must be the same");
    eng_layout_close(&layout);
    eng_layout_close(&strict_layout);
    eng_layout_close(&wider_layout);
}

static void a_plan_without_texts_needs_no_builder(void)
{
    const struct route_first from = {{"JFK"}, {"LAX"}};
    struct route_apart to = {.number = 3};
    struct eng_layout to_layout;
    struct eng_copy_plan plan;

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &route_first_schema, NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&to_layout, &route_apart_schema, NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_copy_plan_open(&plan, &layout, &to_layout, false, &reason), 0);
    eng_copy_plan_fixed(&plan, &from, &to);
    CU_ASSERT_TRUE(pen_code_equal(to.from, from.from));
    CU_ASSERT_TRUE(pen_code_equal(to.to, from.to));
    CU_ASSERT_EQUAL(to.number, 3);
    eng_copy_plan_close(&plan);
    eng_layout_close(&layout);
    eng_layout_close(&to_layout);
}

int main(void)
{
    static const struct record_test tests[] = {
        RECORD_TEST(a_key_without_holes_lies_in_the_record),
        RECORD_TEST(what_cannot_be_a_key_is_refused),
        RECORD_TEST(the_empty_key_is_one_key),
        RECORD_TEST(images_are_equal_when_the_fields_are),
        RECORD_TEST(the_image_is_a_record_of_the_keys_schema),
        RECORD_TEST(keys_of_two_streams_meet),
        RECORD_TEST(hashes_of_all_direct_sizes_agree_with_the_hash),
        RECORD_TEST(a_key_with_a_huge_text_is_hashed),
        RECORD_TEST(fields_of_the_same_name_are_copied),
        RECORD_TEST(nothing_is_widened_and_null_has_nowhere_to_go),
        RECORD_TEST(a_plan_without_texts_needs_no_builder),
    };
    return record_run("record/key", tests, sizeof tests / sizeof tests[0]);
}
