/* Aggregates of a user's own, with texts and without.
 * Shows: engine/operator/aggregate_custom.
 * Method: as in operator_aggregate_model_test.c, over names of random length: batches for several
 * accumulators at once, merged in random order; what the functions should have found is found by a
 * loop. Then what they must not do. */
#include "tests/operator_aggregate.h"

struct tale {
    int64_t count;
    int64_t bytes;
    pen_string longest; /* the least of them, where several are */
    pen_opt_string least;
    pen_bytes greatest;
};
PEN_RECORD(tale, count, bytes, longest, least, greatest);

struct shape {
    int64_t sum;
    int32_t highest;
    int32_t calls;
};
PEN_RECORD(shape, sum, highest, calls);

struct report {
    pen_code key;
    pen_string before; /* set by another aggregate, ahead of the custom one */
    int64_t count, bytes;
    pen_string longest;
    pen_opt_string least;
    pen_bytes greatest;
    pen_string all;
    int64_t sum;
    int32_t highest;
    pen_opt_string after;
};
PEN_RECORD(report, key, before, count, bytes, longest, least, greatest, all, sum, highest, after);

static int view_order(pen_view a, pen_view b)
{
    uint32_t both = a.size_bytes < b.size_bytes ? a.size_bytes : b.size_bytes;
    int order = both ? memcmp(a.data, b.data, both) : 0;
    return order ? order : (a.size_bytes > b.size_bytes) - (a.size_bytes < b.size_bytes);
}

static bool is_longer(pen_view a, pen_view b)
{
    if (a.size_bytes != b.size_bytes) return a.size_bytes > b.size_bytes;
    return view_order(a, b) < 0;
}

static void tale_see(pen_context *ctx, struct tale *tale, pen_view name, pen_view greatest)
{
    if (is_longer(name, pen_view_of(&tale->longest))) pen_keep(ctx, &tale->longest, name);
    if (view_order(greatest, pen_view_of(&tale->greatest)) > 0)
        pen_keep_bytes(ctx, &tale->greatest, greatest.data, greatest.size_bytes);
}

static void tale_see_least(pen_context *ctx, struct tale *tale, pen_view name)
{
    if (tale->least.present && view_order(name, pen_view_of(&tale->least.value)) >= 0) return;
    pen_keep(ctx, &tale->least.value, name);
    tale->least.present = true;
}

static void tale_add(pen_context *ctx, struct tale *tale, const struct sample *sample)
{
    pen_view name = pen_view_of(&sample->name);

    tale->count++;
    tale->bytes += name.size_bytes;
    tale_see(ctx, tale, name, name);
    tale_see_least(ctx, tale, name);
}

static void tale_merge(pen_context *ctx, struct tale *tale, const struct tale *other)
{
    tale->count += other->count;
    tale->bytes += other->bytes;
    tale_see(ctx, tale, pen_view_of(&other->longest), pen_view_of(&other->greatest));
    if (other->least.present) tale_see_least(ctx, tale, pen_view_of(&other->least.value));
}

static void tale_finish(pen_context *ctx, const struct tale *tale, struct report *report)
{
    report->count = tale->count;
    report->bytes = tale->bytes;
    /* Not in the order of the fields. */
    report->all =
        pen_putf(ctx, "%lld names, %lld bytes", (long long)tale->count, (long long)tale->bytes);
    report->least.present = tale->least.present;
    report->least.value = pen_put(ctx, &tale->least.value);
    report->longest = pen_put(ctx, &tale->longest);
    pen_view greatest = pen_view_of(&tale->greatest);
    report->greatest = pen_put_bytes(ctx, greatest.data, greatest.size_bytes);
}
PEN_AGGREGATE(tale, sample, report);

static void shape_add(pen_context *ctx, struct shape *shape, const struct sample *sample)
{
    (void)ctx;
    shape->sum += sample->tiny;
    shape->calls++;
    if (shape->calls == 1 || sample->whole > shape->highest) shape->highest = sample->whole;
}

static void shape_retract(pen_context *ctx, struct shape *shape, const struct sample *sample)
{
    (void)ctx;
    shape->sum -= sample->tiny;
    shape->calls++;
}

static void shape_merge(pen_context *ctx, struct shape *shape, const struct shape *other)
{
    (void)ctx;
    shape->sum += other->sum;
    if (shape->calls == 0 || (other->calls > 0 && other->highest > shape->highest))
        shape->highest = other->highest;
    shape->calls += other->calls;
}

static void shape_finish(pen_context *ctx, const struct shape *shape, struct report *report)
{
    (void)ctx;
    report->sum = shape->sum;
    report->highest = shape->highest;
}
PEN_AGGREGATE_RETRACTING(shape, sample, report);

static struct shm_random_stream stream;

static uint64_t below(uint64_t bound)
{
    return shm_random_below(&stream, bound);
}

enum { RECORDS = 900, PARTS = 5 };

static struct sample *samples[RECORDS];
static uint32_t sample_count;

static void make_samples(uint32_t count)
{
    sample_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct sample sample;
        char name[3000];
        uint32_t bytes = (uint32_t)below(below(20) ? 12 : sizeof name);
        memset(&sample, 0, sizeof sample);
        sample.tiny = (int8_t)below(256);
        sample.whole = (int32_t)shm_random_next(&stream);
        sample.cheap = below(2);
        for (uint32_t b = 0; b < bytes; b++)
            name[b] = (char)('a' + below(3));
        name[bytes] = '\0';
        samples[i] = bench_lay(&sample, name, NULL);
    }
}

static void drop_samples(void)
{
    for (uint32_t i = 0; i < sample_count; i++)
        free(samples[i]);
}

static void add_samples(struct bench *bench, void *const *values, uint32_t parts)
{
    for (uint32_t done = 0; done < sample_count;) {
        const void *records[ENG_BATCH_RECORDS_MAX];
        void *at[ENG_BATCH_RECORDS_MAX];
        struct eng_batch batch = {.records = records};
        for (; batch.count < 1 + below(ENG_BATCH_RECORDS_MAX) && done < sample_count; done++) {
            records[batch.count] = samples[done];
            at[batch.count++] = values[below(parts)];
            if (batch.count == ENG_BATCH_RECORDS_MAX) break;
        }
        CU_ASSERT_FATAL(eng_aggregate_add(&bench->ctx, &bench->plan, &batch, at));
        CU_ASSERT_EQUAL(bench->self.owned_bytes, eng_arena_bytes(bench->arena));
    }
}

static bool is_text(pen_view view, const char *text)
{
    return pen_view_equal_views(view, pen_view_from(text));
}

static void check_report(const struct report *report, bool only_cheap)
{
    pen_view longest = {"", 0}, least = {"", 0}, greatest = {"", 0};
    long long count = 0, bytes = 0, sum = 0;
    int32_t highest = 0;
    char all[100];

    for (uint32_t i = 0; i < sample_count; i++) {
        pen_view name = pen_view_of(&samples[i]->name);
        sum += samples[i]->tiny;
        if (i == 0 || samples[i]->whole > highest) highest = samples[i]->whole;
        if (only_cheap && !samples[i]->cheap) continue;
        if (is_longer(name, longest)) longest = name;
        if (count == 0 || view_order(name, least) < 0) least = name;
        if (view_order(name, greatest) > 0) greatest = name;
        count++;
        bytes += name.size_bytes;
    }
    CU_ASSERT_EQUAL(report->count, count);
    CU_ASSERT_EQUAL(report->bytes, bytes);
    CU_ASSERT_EQUAL(report->sum, sum);
    CU_ASSERT_EQUAL(report->highest, highest);
    CU_ASSERT(pen_view_equal_views(pen_view_of(&report->longest), longest));
    CU_ASSERT(pen_view_equal_views(pen_view_of(&report->greatest), greatest));
    CU_ASSERT_EQUAL(report->least.present, count > 0);
    if (count > 0) CU_ASSERT(pen_view_equal_views(pen_view_of(&report->least.value), least));
    snprintf(all, sizeof all, "%lld names, %lld bytes", count, bytes);
    CU_ASSERT(is_text(pen_view_of(&report->all), all));
}

static void open_report(struct bench *bench, const struct pen_aggregate *list, bool updating)
{
    if (bench_open(bench, &sample_schema, &report_schema, list, updating, true)) return;
    fprintf(stderr, "%s\n", bench->reason);
    CU_FAIL_FATAL("the plan is refused");
}

/* With an aggregate that sets a text ahead of the custom one, and one behind. */
static void they_find_what_a_loop_finds(void)
{
    for (uint32_t round = 0; round < 60; round++) {
        bool only_cheap = round % 3 == 0;
        struct pen_aggregate tales = pen_custom(tale);
        struct bench bench;
        void *values[PARTS];
        if (only_cheap) tales = pen_where("cheap", tales);
        open_report(&bench,
                    PEN_AGGREGATES(pen_min("name", "before"), pen_custom(shape), tales,
                                   pen_concat("note", "", "after")),
                    false);
        CU_ASSERT(bench.plan.has_custom);
        make_samples((uint32_t)below(round % 4 ? 30 : RECORDS));
        uint32_t parts = 1 + (uint32_t)below(PARTS);
        for (uint32_t i = 0; i < parts; i++)
            values[i] = bench_value(&bench);
        add_samples(&bench, values, parts);
        for (uint32_t left = parts; left > 1; left--) {
            uint32_t into = (uint32_t)below(left), from = (uint32_t)below(left - 1);
            from += from >= into;
            CU_ASSERT(eng_aggregate_merge(&bench.ctx, &bench.plan, values[into], values[from]));
            bench_drop(&bench, values[from]);
            values[from] = values[left - 1];
        }
        const struct report *report = bench_finish(&bench, values[0], 0, 0);
        CU_ASSERT_FATAL(report != NULL);
        check_report(report, only_cheap);
        CU_ASSERT_FALSE(report->after.present);
        CU_ASSERT_EQUAL(bench.ctx.put.used_bytes, 0);
        CU_ASSERT_EQUAL(bench.ctx.phase, ENG_PHASE_RECORD);
        CU_ASSERT_PTR_NULL(bench.ctx.keep.bytes);
        bench_drop(&bench, values[0]);
        drop_samples();
        bench_close(&bench);
    }
}

/* The key is copied into the result first; a text of it is set again by the function. */
static void a_text_that_was_there_is_replaced(void)
{
    struct bench bench;
    struct eng_reason why;
    void *value;

    open_report(&bench, PEN_AGGREGATES(pen_custom(tale)), false);
    make_samples(20);
    value = bench_value(&bench);
    add_samples(&bench, &value, 1);
    eng_builder_begin(&bench.builder);
    CU_ASSERT(eng_builder_set_text(&bench.builder, 7, pen_view_from("of the key"), &why)); /* all */
    CU_ASSERT(eng_builder_set_text(&bench.builder, 1, pen_view_from("kept"), &why)); /* before */
    CU_ASSERT(eng_aggregate_finish(&bench.ctx, &bench.plan, value, 0, 0, &bench.builder));
    const struct report *report = eng_builder_finish(&bench.builder, NULL);
    CU_ASSERT(is_text(pen_view_of(&report->before), "kept"));
    CU_ASSERT(strncmp(pen_view_of(&report->all).data, "20 names, ", 10) == 0);
    bench_drop(&bench, value);
    drop_samples();
    bench_close(&bench);
}

static void rows_are_taken_back(void)
{
    struct bench bench;
    int64_t sum = 0;

    open_report(&bench, PEN_AGGREGATES(pen_where("cheap", pen_custom(shape))), true);
    CU_ASSERT_FALSE(bench.plan.owns_memory);
    make_samples(200);
    void *value = bench_value(&bench);
    for (uint32_t i = 0; i < sample_count; i++)
        CU_ASSERT(bench_add(&bench, value, samples[i], PEN_INSERT));
    for (uint32_t i = 0; i < sample_count; i++) {
        if (i % 3) {
            CU_ASSERT(bench_add(&bench, value, samples[i], i % 2 ? PEN_DELETE : PEN_UPDATE_BEFORE));
        } else if (samples[i]->cheap) {
            sum += samples[i]->tiny;
        }
    }
    const struct report *report = bench_finish(&bench, value, 0, 0);
    CU_ASSERT_EQUAL(report->sum, sum);
    bench_drop(&bench, value);
    drop_samples();
    bench_close(&bench);
}

/* ---- What they must not do ------------------------------------------------------------------- */

enum bad { BAD_FAIL, BAD_EMIT, BAD_REJECT, BAD_KEEP, BAD_COPY, BAD_LARGE, BAD_NULL_MEMORY };
static enum bad bad;

struct rogue {
    pen_string text;
};
PEN_RECORD(rogue, text);

static void rogue_add(pen_context *ctx, struct rogue *rogue, const struct sample *sample)
{
    static char large[ENG_RECORD_BYTES_MAX];
    pen_string elsewhere;

    switch (bad) {
    case BAD_FAIL:
        pen_fail(ctx, "no %s", "more");
        return;
    case BAD_EMIT:
        pen_emit(ctx, sample, .tiny = 1);
        return;
    case BAD_REJECT:
        pen_reject(ctx, "not this one");
        return;
    case BAD_KEEP:
        pen_keep(ctx, &elsewhere, "text");
        return;
    case BAD_LARGE:
        pen_keep(ctx, &rogue->text, pen_view_sized(large, sizeof large));
        return;
    default:
        pen_keep(ctx, &rogue->text, &sample->name);
    }
}

static void rogue_merge(pen_context *ctx, struct rogue *rogue, const struct rogue *other)
{
    (void)ctx, (void)rogue, (void)other;
}

static void rogue_finish(pen_context *ctx, const struct rogue *rogue, struct report *report)
{
    (void)ctx;
    report->longest = rogue->text;
}
PEN_AGGREGATE(rogue, sample, report);

static void what_they_must_not_do_fails_the_job(void)
{
    static const char *const reasons[] = {
        [BAD_FAIL] = "no more",
        [BAD_EMIT] = "it emits where no record is at hand",
        [BAD_REJECT] = "it rejects where no record is at hand: not this one",
        [BAD_KEEP] = "pen_keep sets a text that is not in its state",
        [BAD_COPY] = "rogue sets field longest to a copy of a text",
        [BAD_LARGE] = "the accumulator of rogue has more than 16777216 bytes",
        [BAD_NULL_MEMORY] = "there is no memory for what rogue keeps",
    };
    for (bad = BAD_FAIL; bad <= BAD_NULL_MEMORY; bad++) {
        struct bench bench;
        open_report(&bench, PEN_AGGREGATES(pen_custom(rogue)), false);
        make_samples(3);
        void *value = bench_value(&bench);
        if (bad == BAD_NULL_MEMORY) eng_arena_set_budget(bench.arena, 1);
        bool good = bench_add(&bench, value, samples[0], PEN_INSERT);
        CU_ASSERT_EQUAL(good, bad == BAD_COPY);
        if (good) CU_ASSERT_PTR_NULL(bench_finish(&bench, value, 0, 0));
        const char *failure = bench_failure(&bench);
        if (strncmp(failure, reasons[bad], strlen(reasons[bad])) != 0) {
            fprintf(stderr, "%s\n", failure);
            CU_FAIL("another reason");
        }
        bench_drop(&bench, value);
        drop_samples();
        bench_close(&bench);
    }
}

static void lists_that_do_not_fit_are_refused(void)
{
    struct bench bench;

    CU_ASSERT_FALSE(bench_open(&bench, &sample_schema, &report_schema,
                               PEN_AGGREGATES(pen_custom(tale)), true, true));
    CU_ASSERT_STRING_EQUAL(bench.reason,
                           "pen_custom(tale) cannot take rows back, and the stream is updating; "
                           "use PEN_AGGREGATE_RETRACTING");
    bench_close(&bench);
    CU_ASSERT_FALSE(bench_open(&bench, &report_schema, &report_schema,
                               PEN_AGGREGATES(pen_custom(tale)), false, true));
    CU_ASSERT_STRING_EQUAL(bench.reason,
                           "pen_custom(tale) takes sample, the stream carries report");
    bench_close(&bench);
    CU_ASSERT_FALSE(bench_open(&bench, &sample_schema, &sample_schema,
                               PEN_AGGREGATES(pen_custom(tale)), false, true));
    CU_ASSERT_STRING_EQUAL(bench.reason, "pen_custom(tale) fills report, the result is sample");
    bench_close(&bench);
}

int main(void)
{
    shm_random_seed(&stream, 8);
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("operator_aggregate_custom", NULL, NULL);
    CU_ADD_TEST(suite, they_find_what_a_loop_finds);
    CU_ADD_TEST(suite, a_text_that_was_there_is_replaced);
    CU_ADD_TEST(suite, rows_are_taken_back);
    CU_ADD_TEST(suite, what_they_must_not_do_fails_the_job);
    CU_ADD_TEST(suite, lists_that_do_not_fit_are_refused);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    int failures = (int)CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
