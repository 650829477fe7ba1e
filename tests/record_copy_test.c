/* engine/record/copy: fields of one record into the fields of the same names of another.
 * Method: random schemas; the target has a random choice of the source's fields, shuffled, with
 * nulls in the other form, and fields of its own. Each field is compared by itself. Plans in both
 * ways. */
#include "engine/record/build.h"
#include "engine/record/key.h"

#include <errno.h>

#include "tests/record_random.h"

/* A field of the target from one of the source: the same value, another form of null. */
static void target_field(struct random *random, struct pen_field *field, uint32_t *bits)
{
    uint32_t base = field->type % PEN_TYPE_NULLABLE;
    bool nullable = field->type >= PEN_TYPE_NULLABLE || field->null_bit != 0;
    bool opt_possible = base != PEN_TYPE_CHARS && (field->type >= PEN_TYPE_NULLABLE ||
                                                   field->size_bytes == eng_type_size(base));

    if (field->type >= PEN_TYPE_NULLABLE) field->size_bytes = eng_type_size(base);
    field->type = base;
    field->null_bit = 0;
    if (!nullable && random_below(random, 2)) return;
    if (opt_possible && random_below(random, 2)) {
        field->type += PEN_TYPE_NULLABLE;
        field->size_bytes += eng_type_align(base);
    } else {
        field->null_bit = (uint16_t)++ * bits;
    }
}

/* `some`: a third of the source's fields is left out, and there is one more. */
static void target_open(struct random *random, struct random_schema *to,
                        const struct random_schema *from, bool some, bool without_texts)
{
    uint32_t count = 0, bits = 0;

    memset(to, 0, sizeof *to);
    for (uint32_t i = 0; i < from->schema.field_count; i++) {
        if (some && random_below(random, 3) == 0) continue;
        if (without_texts && eng_type_is_text(from->fields[i].type)) continue;
        to->fields[count++] = from->fields[i];
    }
    for (uint32_t i = count; i > 1; i--) {
        uint32_t k = random_below(random, i);
        struct pen_field swap = to->fields[i - 1];
        to->fields[i - 1] = to->fields[k];
        to->fields[k] = swap;
    }
    for (uint32_t i = 0; i < count; i++)
        target_field(random, &to->fields[i], &bits);
    if (count == 0 || (some && count < RANDOM_FIELDS_MAX))
        to->fields[count++] =
            (struct pen_field){.name = "own", .type = PEN_TYPE_INT64, .size_bytes = 8};
    to->schema = (struct pen_schema){.abi = PEN_ABI,
                                     .field_count = count,
                                     .name = "target",
                                     .fields = to->fields,
                                     .field_size_bytes = sizeof to->fields[0]};
    random_place(to, bits);
    char reason[ENG_REASON_BYTES] = "";
    if (eng_layout_open(&to->layout, &to->schema, reason, sizeof reason) != 0) {
        printf("%s\n", reason);
        CU_FAIL_FATAL("the target was refused");
    }
}

static bool field_same(const struct eng_field *a, const void *record_a, const struct eng_field *b,
                       const void *record_b)
{
    if (eng_field_is_null(a, record_a) != eng_field_is_null(b, record_b)) return false;
    if (eng_type_is_text(a->type))
        return pen_view_equal_views(eng_field_text(a, record_a), eng_field_text(b, record_b));
    if (!eng_field_is_null(a, record_a))
        return memcmp(eng_field_of(a, record_a), eng_field_of(b, record_b), a->size_bytes) == 0;
    const char *bytes = eng_field_of(b, record_b); /* null: zeros */
    for (uint32_t i = 0; i < b->size_bytes; i++)
        if (bytes[i] != 0) return false;
    return true;
}

/* Counts the fields of `to` that are not those of `from`; a field of its own must be as it was. */
static uint32_t differences(const struct eng_layout *from, const void *source,
                            const struct eng_layout *to, const void *target, int64_t own)
{
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < to->field_count; i++) {
        const struct eng_field *field = &to->fields[i], *other = eng_layout_find(from, field->name);
        if (other)
            wrong += !field_same(other, source, field, target);
        else
            wrong += eng_field_int(field, target) != own;
    }
    return wrong;
}

static void every_field_that_both_have_arrives_and_no_other_changes(void)
{
    uint64_t steps = 0, nulls = 0, texts = 0;

    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct random random = {seed};
        struct random_schema from, to;
        struct eng_builder source, target;
        struct eng_copy_plan plan;
        struct eng_reason reason;

        random_schema_open(&random, &from, false);
        target_open(&random, &to, &from, true, false);
        CU_ASSERT_EQUAL_FATAL(eng_copy_plan_open(&plan, &from.layout, &to.layout, true, &reason),
                              0);
        eng_builder_open(&source, &from.layout, 0);
        eng_builder_open(&target, &to.layout, 0);
        for (uint32_t turn = 0; turn < 10; turn++) {
            uint32_t bytes = 0, own = to.layout.field_count - 1, wrong;
            bool has_own = strcmp(to.layout.fields[own].name, "own") == 0;
            const void *record = random_record(&random, &source, false, &bytes), *copy;

            random_record(&random, &target, false, NULL); /* what is overwritten */
            if (has_own) CU_ASSERT_TRUE(eng_builder_set_int(&target, own, (int64_t)seed, NULL));
            CU_ASSERT_TRUE_FATAL(eng_copy_plan_build(&plan, record, &target, &reason));
            copy = eng_builder_finish(&target, &bytes);
            CU_ASSERT_EQUAL(eng_record_verify(&to.layout, copy, bytes), 0);
            wrong = differences(&from.layout, record, &to.layout, copy, (int64_t)seed);
            if (wrong) printf("\n  seed %llu\n", (unsigned long long)seed);
            CU_ASSERT_EQUAL(wrong, 0);
            for (uint32_t i = 0; i < from.layout.field_count; i++)
                nulls += eng_field_is_null(&from.layout.fields[i], record);
        }
        steps += plan.step_count;
        texts += plan.text_count;
        eng_copy_plan_close(&plan);
        eng_copy_plan_close(&plan);
        eng_builder_close(&source);
        eng_builder_close(&target);
        eng_layout_close(&from.layout);
        eng_layout_close(&to.layout);
    }
    CU_ASSERT_TRUE(steps > 1000 && nulls > 1000 && texts > 100); /* it tested something */
}

static void a_plan_without_texts_is_the_same_both_ways(void)
{
    for (uint64_t seed = 1000; seed < 1200; seed++) {
        struct random random = {seed};
        struct random_schema all, from, to;
        struct eng_builder source, target;
        struct eng_copy_plan plan;
        struct eng_reason reason;
        const void *record;
        char *fixed;

        random_schema_open(&random, &all, false);
        target_open(&random, &from, &all, false, true);
        target_open(&random, &to, &from, false, true);
        CU_ASSERT_EQUAL_FATAL(eng_copy_plan_open(&plan, &from.layout, &to.layout, true, &reason),
                              0);
        eng_builder_open(&source, &from.layout, 0);
        eng_builder_open(&target, &to.layout, 0);
        record = random_record(&random, &source, false, NULL);
        random_record(&random, &target, false, NULL);
        fixed = malloc(to.layout.fixed_bytes);
        CU_ASSERT_PTR_NOT_NULL_FATAL(fixed);
        memcpy(fixed, eng_builder_record(&target), to.layout.fixed_bytes);
        eng_copy_plan_fixed(&plan, record, fixed);
        CU_ASSERT_TRUE(eng_copy_plan_build(&plan, record, &target, &reason));
        CU_ASSERT_TRUE(eng_record_equal(&to.layout, fixed, eng_builder_finish(&target, NULL)));
        free(fixed);
        eng_copy_plan_close(&plan);
        eng_builder_close(&source);
        eng_builder_close(&target);
        eng_layout_close(&all.layout);
        eng_layout_close(&from.layout);
        eng_layout_close(&to.layout);
    }
}

struct money {
    pen_string text;
    pen_opt_string other;
};
PEN_RECORD(money, text, other);

static void a_text_that_does_not_fit_is_refused_with_a_reason(void)
{
    struct eng_layout layout;
    struct eng_builder from, to;
    struct eng_copy_plan plan;
    struct eng_reason reason = {""};
    char buffer[64] __attribute__((aligned(8))), text[100];

    memset(text, 't', sizeof text);
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &money_schema, NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_copy_plan_open(&plan, &layout, &layout, false, NULL), 0);
    eng_builder_open(&from, &layout, 0);
    eng_builder_open_in(&to, &layout, buffer, sizeof buffer);
    CU_ASSERT_TRUE(eng_builder_set_text(&from, 0, pen_view_sized(text, sizeof text), NULL));
    CU_ASSERT_FALSE(eng_copy_plan_build(&plan, eng_builder_finish(&from, NULL), &to, &reason));
    CU_ASSERT_NOT_EQUAL(reason.text[0], '\0');
    eng_builder_begin(&from); /* and a null text leaves one that was there null */
    eng_builder_begin(&to);
    CU_ASSERT_TRUE(eng_builder_set_text(&to, 1, pen_view_from("old"), NULL));
    CU_ASSERT_TRUE(eng_copy_plan_build(&plan, eng_builder_finish(&from, NULL), &to, &reason));
    CU_ASSERT_TRUE(eng_field_is_null(&layout.fields[1], eng_builder_finish(&to, NULL)));
    eng_copy_plan_close(&plan);
    eng_builder_close(&from);
    eng_layout_close(&layout);
}

static void other_digits_are_another_type(void)
{
    struct pen_field a = {.name = "price",
                          .size_bytes = 8,
                          .type = PEN_TYPE_DECIMAL64,
                          .precision = 10,
                          .scale = 2},
                     b = a;
    struct pen_schema from = {PEN_ABI, 8, 8, 1, "from", &a, sizeof a, 0},
                      to = {PEN_ABI, 8, 8, 1, "to", &b, sizeof b, 0};
    struct eng_layout from_layout, to_layout;
    struct eng_copy_plan plan;
    struct eng_reason reason;

    b.scale = 3;
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&from_layout, &from, NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&to_layout, &to, NULL, 0), 0);
    CU_ASSERT_EQUAL(eng_copy_plan_open(&plan, &from_layout, &to_layout, false, &reason), -EINVAL);
    assert_says(reason.text, "decimal64 of another size in to");
    eng_layout_close(&from_layout);
    eng_layout_close(&to_layout);
}

int main(void)
{
    static const struct record_test tests[] = {
        RECORD_TEST(every_field_that_both_have_arrives_and_no_other_changes),
        RECORD_TEST(a_plan_without_texts_is_the_same_both_ways),
        RECORD_TEST(a_text_that_does_not_fit_is_refused_with_a_reason),
        RECORD_TEST(other_digits_are_another_type),
    };
    return record_run("record/copy", tests, sizeof tests / sizeof tests[0]);
}
