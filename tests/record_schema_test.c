/* engine/record/schema, and engine/record/reason through it: what is believed of a schema.
 * Method: a second opinion. Random schemas are spoilt at random; whether one is good is also found
 * out by painting the bytes of the struct, which knows nothing of how schema.c walks. What each
 * mistake says is tested with the layout. */
#include "engine/record/schema.h"

#include "tests/record_random.h"

enum { PAINT_BYTES_MAX = 8192 };

struct paint {
    uint8_t owners[PAINT_BYTES_MAX]; /* of each byte of the struct: 0, 1, more */
    bool outside;
};

static void paint(struct paint *paint, const struct pen_schema *schema, uint64_t offset,
                  uint64_t bytes)
{
    if (offset + bytes > schema->size_bytes) {
        paint->outside = true;
        return;
    }
    for (uint64_t i = offset; i < offset + bytes; i++)
        paint->owners[i]++;
}

/* The places of fields and null words are good when no byte has two owners, and each run of bytes
 * without one is what alignment needs: shorter than the alignment of what follows and up to there.
 */
static bool places_good(const struct pen_schema *schema)
{
    static struct paint picture;
    uint8_t aligns[PAINT_BYTES_MAX + 1] = {0}; /* of what begins at the byte */
    uint32_t bits = 0, run = 0, last = 0;

    picture = (struct paint){0};
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct pen_field *field = eng_schema_field(schema, i);
        uint32_t align = eng_type_align(field->type);

        if (field->offset_bytes % align != 0 || align > schema->align_bytes) return false;
        if (i > 0 && field->offset_bytes < last) return false; /* the order is that of the struct */
        last = field->offset_bytes;
        paint(&picture, schema, field->offset_bytes, field->size_bytes);
        if (picture.outside) return false;
        aligns[field->offset_bytes] = (uint8_t)align;
        if (field->null_bit > bits) bits = field->null_bit;
    }
    if (bits > 0) {
        if (schema->null_offset_bytes % 8 != 0 || schema->align_bytes != 8) return false;
        paint(&picture, schema, schema->null_offset_bytes, (bits + 63) / 64 * 8);
        if (picture.outside) return false;
        aligns[schema->null_offset_bytes] = 8;
    }
    aligns[schema->size_bytes] = (uint8_t)schema->align_bytes;
    for (uint32_t i = 0; i <= schema->size_bytes; i++) {
        if (i < schema->size_bytes && picture.owners[i] > 1) return false;
        if (i < schema->size_bytes && picture.owners[i] == 0) {
            run++;
            continue;
        }
        if (run >= (aligns[i] ? aligns[i] : 1u)) return false;
        if (run > 0 && i % aligns[i] != 0) return false;
        run = 0;
    }
    return schema->size_bytes % schema->align_bytes == 0;
}

/* Places only: what a planner, or a binding for another language, would get wrong. */
static void spoil_places(struct random *random, struct random_schema *s)
{
    struct pen_field *field = &s->fields[random_below(random, s->schema.field_count)];
    int32_t by = (int32_t)random_below(random, 33) - 16;

    switch (random_below(random, 5)) {
    case 0:
        if ((int64_t)field->offset_bytes + by >= 0) field->offset_bytes += (uint32_t)by;
        break;
    case 1:
        if ((int64_t)s->schema.size_bytes + by >= 0) s->schema.size_bytes += (uint32_t)by;
        break;
    case 2: /* two in each other's place */
    {
        struct pen_field *other = &s->fields[random_below(random, s->schema.field_count)];
        uint32_t offset = field->offset_bytes;
        field->offset_bytes = other->offset_bytes;
        other->offset_bytes = offset;
        break;
    }
    case 3:
        s->schema.null_offset_bytes += 4 * random_below(random, 5);
        break;
    default: /* one is forgotten */
        if (s->schema.field_count > 1 && field->null_bit == 0) {
            size_t behind = (size_t)(&s->fields[s->schema.field_count] - (field + 1));
            memmove(field, field + 1, behind * sizeof *field);
            s->schema.field_count--;
        }
        break;
    }
}

static void a_schema_is_good_when_the_painted_struct_is(void)
{
    uint32_t good = 0, bad = 0;

    for (uint64_t seed = 1; seed <= 20000; seed++) {
        struct random random = {seed};
        struct random_schema s;
        struct eng_reason reason = {""};
        bool believed, painted;

        random_schema_open(&random, &s, false);
        eng_layout_close(&s.layout);
        CU_ASSERT_TRUE_FATAL(s.schema.size_bytes + 16 < PAINT_BYTES_MAX);
        CU_ASSERT_TRUE(places_good(&s.schema));
        spoil_places(&random, &s);
        believed = eng_schema_verify(&s.schema, &reason);
        painted = places_good(&s.schema);
        if (believed != painted) {
            printf("\n  seed %llu: schema.c says %s\n", (unsigned long long)seed,
                   believed ? "good" : reason.text);
            CU_FAIL("two opinions");
        }
        if (!believed) CU_ASSERT_EQUAL(strncmp(reason.text, "made: ", 6), 0);
        good += believed;
        bad += !believed;
    }
    CU_ASSERT_TRUE(good > 1000 && bad > 1000); /* both happen */
}

/* Whatever the numbers are, it ends, reads nothing it should not, and says why in one line. */
static void garbage_is_refused_without_being_followed(void)
{
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        struct random random = {seed};
        struct random_schema s;
        struct eng_reason reason = {""};
        uint32_t count;

        random_schema_open(&random, &s, false);
        eng_layout_close(&s.layout);
        count = s.schema.field_count;
        for (uint32_t changes = 1 + random_below(&random, 3); changes > 0; changes--) {
            struct pen_field *field = &s.fields[random_below(&random, count)];
            uint32_t value = (uint32_t)random_int(&random, 32);

            switch (random_below(&random, 6)) {
            case 0:
                field->offset_bytes = value;
                break;
            case 1:
                field->size_bytes = value;
                break;
            case 2:
                field->type = value;
                break;
            case 3:
                field->null_bit = (uint16_t)value;
                break;
            case 4:
                s.schema.size_bytes = value;
                break;
            default:
                s.schema.null_offset_bytes = value;
                break;
            }
        }
        if (eng_schema_verify(&s.schema, &reason)) continue;
        CU_ASSERT_TRUE(reason.text[0] != '\0' && !strchr(reason.text, '\n'));
    }
}

static void schemas_are_the_same_when_nothing_differs(void)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct random random = {seed};
        struct random_schema s, other;
        struct pen_field *field;

        random_schema_open(&random, &s, false);
        eng_layout_close(&s.layout);
        other = s;
        other.schema.fields = other.fields;
        CU_ASSERT_TRUE(eng_schema_same(&s.schema, &other.schema));
        field = &other.fields[random_below(&random, other.schema.field_count)];
        switch (random_below(&random, 8)) {
        case 0:
            field->name = "another";
            break;
        case 1:
            field->offset_bytes++;
            break;
        case 2:
            field->size_bytes++;
            break;
        case 3:
            field->type++;
            break;
        case 4:
            field->null_bit++;
            break;
        case 5:
            other.schema.name = "another";
            break;
        case 6:
            other.schema.field_count--;
            break;
        default:
            other.schema.size_bytes++;
            break;
        }
        CU_ASSERT_FALSE(eng_schema_same(&s.schema, &other.schema));
        CU_ASSERT_FALSE(eng_schema_same(&other.schema, &s.schema));
    }
}

static void fields_are_found_by_their_whole_names(void)
{
    struct pen_field fields[] = {{.name = "id"}, {.name = "id.of"}, {.name = "i"}};
    struct pen_schema schema = {
        .field_count = 3, .fields = fields, .field_size_bytes = sizeof fields[0]};

    for (uint32_t i = 0; i < 3; i++)
        CU_ASSERT_PTR_EQUAL(eng_field_find(&schema, fields[i].name), &fields[i]);
    CU_ASSERT_PTR_NULL(eng_field_find(&schema, ""));
    CU_ASSERT_PTR_NULL(eng_field_find(&schema, "id.o"));
    CU_ASSERT_PTR_NULL(eng_field_find(&schema, "ID"));
}

/* What PEN_RECORD's compiler gives a struct of one value and `present`. */
#define SAME_SIZE(type, tag)                                                                       \
    CU_ASSERT_EQUAL(eng_field_expected_bytes(PEN_TYPE_NULLABLE + (tag)), sizeof(type))

static void optional_fields_have_the_size_the_compiler_gives_them(void)
{
    SAME_SIZE(pen_opt_bool, PEN_TYPE_BOOL);
    SAME_SIZE(pen_opt_int8, PEN_TYPE_INT8);
    SAME_SIZE(pen_opt_int16, PEN_TYPE_INT16);
    SAME_SIZE(pen_opt_int32, PEN_TYPE_INT32);
    SAME_SIZE(pen_opt_int64, PEN_TYPE_INT64);
    SAME_SIZE(pen_opt_uint8, PEN_TYPE_UINT8);
    SAME_SIZE(pen_opt_uint16, PEN_TYPE_UINT16);
    SAME_SIZE(pen_opt_uint32, PEN_TYPE_UINT32);
    SAME_SIZE(pen_opt_uint64, PEN_TYPE_UINT64);
    SAME_SIZE(pen_opt_float, PEN_TYPE_FLOAT);
    SAME_SIZE(pen_opt_double, PEN_TYPE_DOUBLE);
    SAME_SIZE(pen_opt_time, PEN_TYPE_TIME);
    SAME_SIZE(pen_opt_date, PEN_TYPE_DATE);
    SAME_SIZE(pen_opt_code, PEN_TYPE_CODE);
    SAME_SIZE(pen_opt_string, PEN_TYPE_STRING);
    SAME_SIZE(pen_opt_bytes, PEN_TYPE_BYTES);
    CU_ASSERT_EQUAL(eng_field_expected_bytes(PEN_TYPE_CHARS), 0);
    CU_ASSERT_EQUAL(eng_field_expected_bytes(PEN_TYPE_DECIMAL128), 16);
}

int main(void)
{
    static const struct record_test tests[] = {
        RECORD_TEST(a_schema_is_good_when_the_painted_struct_is),
        RECORD_TEST(garbage_is_refused_without_being_followed),
        RECORD_TEST(schemas_are_the_same_when_nothing_differs),
        RECORD_TEST(fields_are_found_by_their_whole_names),
        RECORD_TEST(optional_fields_have_the_size_the_compiler_gives_them),
    };
    return record_run("record/schema", tests, sizeof tests / sizeof tests[0]);
}
