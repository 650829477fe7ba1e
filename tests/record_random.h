/* Random schemas and records, for the tests of engine/record. Everything follows from a seed, which
 * is printed when a test fails. */
#ifndef TESTS_RECORD_RANDOM_H
#define TESTS_RECORD_RANDOM_H

#include <CUnit/Basic.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/record/build.h"
#include "engine/record/layout.h"
#include "engine/record/value.h"

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint32_t random_below(struct random *random, uint32_t bound)
{
    return (uint32_t)(random_next(random) % bound);
}

/* Small, large, and at the ends, all equally often. */
static inline int64_t random_int(struct random *random, uint32_t bits)
{
    uint64_t value = random_next(random);

    switch (random_below(random, 4)) {
    case 0:
        return (int64_t)(value % 20) - 10;
    case 1:
        value = (uint64_t)1 << (bits - 1);
        value = random_below(random, 2) ? value : value - 1;
        break;
    default:
        value >>= random_below(random, bits);
        break;
    }
    return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

static inline double random_double(struct random *random)
{
    double value;
    uint64_t bits = random_next(random);

    switch (random_below(random, 4)) {
    case 0:
        return (double)random_int(random, 40) / 100;
    case 1:
        return (double)random_int(random, 64);
    default:
        memcpy(&value, &bits, sizeof value);
        return isfinite(value) ? value : -0.0;
    }
}

enum { RANDOM_FIELDS_MAX = 24, RANDOM_TEXT_MAX = 40 };

/* A schema made at run time, as a planner would. */
struct random_schema {
    struct pen_schema schema;
    struct pen_field fields[RANDOM_FIELDS_MAX];
    char names[RANDOM_FIELDS_MAX][32];
    struct eng_layout layout;
};

/* Fills the places of the fields, natural alignment, null words first. */
static inline void random_place(struct random_schema *s, uint32_t bits)
{
    uint32_t end = (bits + 63) / 64 * 8, align = bits ? 8 : 1;

    for (uint32_t i = 0; i < s->schema.field_count; i++) {
        uint32_t own = eng_type_align(s->fields[i].type);
        if (own > align) align = own;
        s->fields[i].offset_bytes = (end + own - 1) / own * own;
        end = s->fields[i].offset_bytes + s->fields[i].size_bytes;
    }
    s->schema.align_bytes = align;
    s->schema.size_bytes = (end + align - 1) / align * align;
}

/* without_real: no float and double. */
static inline void random_schema_open(struct random *random, struct random_schema *s,
                                      bool without_real)
{
    char reason[ENG_REASON_BYTES] = "";
    uint32_t bits = 0, count = 1 + random_below(random, RANDOM_FIELDS_MAX);

    memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < count; i++) {
        struct pen_field *field = &s->fields[i];
        uint32_t base;

        do {
            base = 1 + random_below(random, PEN_TYPE_DECIMAL128);
        } while (without_real && (base == PEN_TYPE_FLOAT || base == PEN_TYPE_DOUBLE));
        snprintf(s->names[i], sizeof s->names[i], random_below(random, 3) ? "f%u" : "o%u.f%u",
                 random_below(random, 2) ? i : i % 3, i);
        if (s->names[i][0] == 'f') snprintf(s->names[i], sizeof s->names[i], "f%u", i);
        *field = (struct pen_field){.name = s->names[i], .type = base};
        field->size_bytes = eng_type_size(base);
        if (base == PEN_TYPE_CHARS) field->size_bytes = 1 + random_below(random, 12);
        if (base <= PEN_TYPE_DOUBLE && random_below(random, 6) == 0)
            field->size_bytes *= 2 + random_below(random, 4);
        if (base == PEN_TYPE_DECIMAL64 || base == PEN_TYPE_DECIMAL128) {
            uint32_t most = base == PEN_TYPE_DECIMAL64 ? 18 : 38;
            field->precision = (uint8_t)(1 + random_below(random, most));
            field->scale = (uint8_t)random_below(random, field->precision + 1u);
        }
        switch (random_below(random, 4)) {
        case 0:
            field->null_bit = (uint16_t)++bits;
            break;
        case 1:
            if (base == PEN_TYPE_CHARS || field->size_bytes != eng_type_size(base)) break;
            field->type += PEN_TYPE_NULLABLE;
            field->size_bytes += eng_type_align(base);
            break;
        default:
            break;
        }
    }
    s->schema = (struct pen_schema){.abi = PEN_ABI,
                                    .field_count = count,
                                    .name = "made",
                                    .fields = s->fields,
                                    .field_size_bytes = sizeof s->fields[0]};
    random_place(s, bits);
    if (eng_layout_open(&s->layout, &s->schema, reason, sizeof reason) != 0) {
        printf("%s\n", reason);
        CU_FAIL_FATAL("a random schema was refused");
    }
}

/* Text as people write it, and as they do not. utf8: only what JSON can hold. */
static inline uint32_t random_text(struct random *random, char *to, bool utf8)
{
    static const char *const pieces[] = {"a",
                                         "Zz",
                                         ",",
                                         "\"",
                                         "\"\"",
                                         "\n",
                                         "\r\n",
                                         " ",
                                         "\\",
                                         "0",
                                         "-1",
                                         "\t",
                                         "null",
                                         "\x01",
                                         ";",
                                         "\x7f",
                                         "\xc3\xa9",
                                         "/",
                                         "{",
                                         "}",
                                         "x y",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x9a\x80",
                                         ""};
    uint32_t size = 0, count = random_below(random, 8);

    for (uint32_t i = 0; i < count; i++) {
        const char *piece = pieces[random_below(random, sizeof pieces / sizeof pieces[0])];
        uint32_t bytes = (uint32_t)strlen(piece);

        if (!utf8 && random_below(random, 8) == 0) {
            to[size++] = (char)random_next(random);
            continue;
        }
        memcpy(to + size, piece, bytes);
        size += bytes;
    }
    return size;
}

static inline void random_number(struct random *random, struct eng_builder *builder,
                                 const struct eng_field *field, uint32_t index, uint32_t element)
{
    eng_int128 wide;
    char text[ENG_NUMBER_TEXT_BYTES];

    switch (field->type) {
    case PEN_TYPE_BOOL:
        CU_ASSERT_TRUE_FATAL(
            eng_builder_set_element_int(builder, index, element, random_below(random, 2), NULL));
        return;
    case PEN_TYPE_FLOAT:
        CU_ASSERT_TRUE_FATAL(eng_builder_set_element_double(
            builder, index, element, (double)(float)random_int(random, 50) / 64, NULL));
        return;
    case PEN_TYPE_DOUBLE:
        CU_ASSERT_TRUE_FATAL(
            eng_builder_set_element_double(builder, index, element, random_double(random), NULL));
        return;
    case PEN_TYPE_DECIMAL64:
    case PEN_TYPE_DECIMAL128:
        wide = 0;
        for (uint32_t i = random_below(random, field->precision + 1u); i > 0; i--)
            wide = wide * 10 + random_below(random, 10);
        if (random_below(random, 2)) wide = -wide;
        CU_ASSERT_TRUE_FATAL(eng_builder_parse(
            builder, index, pen_view_sized(text, eng_decimal128_print(wide, field->scale, text)),
            NULL));
        return;
    case PEN_TYPE_UINT8:
    case PEN_TYPE_UINT16:
    case PEN_TYPE_UINT32:
    case PEN_TYPE_UINT64: {
        uint32_t bits = 8 * eng_type_size(field->type);
        uint64_t value = (uint64_t)random_int(random, bits) << (64 - bits) >> (64 - bits);
        CU_ASSERT_TRUE_FATAL(eng_builder_set_element_uint(builder, index, element, value, NULL));
        return;
    }
    default:
        CU_ASSERT_TRUE_FATAL(eng_builder_set_element_int(
            builder, index, element, random_int(random, 8 * eng_type_size(field->type)), NULL));
        return;
    }
}

/* A random record in the builder, which is begun here. */
static inline const void *random_record(struct random *random, struct eng_builder *builder,
                                        bool utf8, uint32_t *bytes)
{
    const struct eng_layout *layout = builder->layout;
    char text[RANDOM_TEXT_MAX];

    eng_builder_begin(builder);
    for (uint32_t i = 0; i < layout->field_count; i++) {
        const struct eng_field *field = &layout->fields[i];
        uint32_t size;

        if (eng_field_nullable(field) && random_below(random, 3) == 0) continue;
        switch (field->type) {
        case PEN_TYPE_STRING:
        case PEN_TYPE_BYTES:
            size = random_text(random, text, utf8 && field->type == PEN_TYPE_STRING);
            CU_ASSERT_TRUE_FATAL(
                eng_builder_set_text(builder, i, pen_view_sized(text, size), NULL));
            break;
        case PEN_TYPE_CODE:
        case PEN_TYPE_CHARS:
            do {
                size = random_text(random, text, utf8);
            } while (size > field->size_bytes || memchr(text, 0, size));
            CU_ASSERT_TRUE_FATAL(
                eng_builder_set_text(builder, i, pen_view_sized(text, size), NULL));
            break;
        default:
            for (uint32_t k = 0; k < field->element_count; k++)
                random_number(random, builder, field, i, k);
            break;
        }
    }
    return eng_builder_finish(builder, bytes);
}

/* What every test program ends with. */
struct record_test {
    const char *name;
    void (*run)(void);
};
#define RECORD_TEST(fn)                                                                            \
    {                                                                                              \
#fn, fn                                                                                    \
    }

static inline int record_run(const char *suite_name, const struct record_test *tests,
                             uint32_t count)
{
    unsigned failures;
    CU_pSuite suite;

    if (CU_initialize_registry() != CUE_SUCCESS) return 1;
    suite = CU_add_suite(suite_name, NULL, NULL);
    for (uint32_t i = 0; suite && i < count; i++)
        if (!CU_add_test(suite, tests[i].name, tests[i].run)) return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0 || !suite;
}

/* The reason says it: prints it when it does not. */
static inline void assert_says(const char *reason, const char *words)
{
    if (!strstr(reason, words)) printf("\n  says: %s\n  not:  %s\n", reason, words);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason, words));
}

#endif
