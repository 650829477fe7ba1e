/* Sources of a user's own, projections and decoded texts, as whole jobs in one process.
 * Shows: engine/operator/{source,project} and engine/flow/decode.
 * Method: splits of known numbers; every number must be seen exactly once, whichever subtask reads
 * it, and a split that begins in the middle gives exactly the rest. */
#include "engine/control/local.h"

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

enum { SPLITS = 23, SPLIT_NUMBERS = 1000, NUMBERS = SPLITS * SPLIT_NUMBERS };

struct part {
    int64_t number;
    pen_string name;
    int64_t position;
};
PEN_RECORD(part, number, name, position);

struct number {
    int64_t value;
    int64_t square;
    pen_string name;
};
PEN_RECORD(number, value, square, name);

struct short_number {
    pen_string name;
    int64_t value;
};
PEN_RECORD(short_number, name, value);

static int64_t start_position;
static uint32_t planned_twice, opened, closed, idles, seen_count[NUMBERS], wrong;
static uint64_t checksum;

static void plan_parts(pen_context *ctx)
{
    for (int64_t i = 0; i < SPLITS; i++) {
        pen_add_split(ctx, part, .number = i, .name = pen_putf(ctx, "part-%d", (int)i),
                      .position = start_position);
        /* Known by its first field: ignored. */
        if (planned_twice) pen_add_split(ctx, part, .number = i, .position = 0);
    }
}

struct open_part {
    int64_t number;
    uint32_t polls;
};

static void open_part(pen_context *ctx)
{
    struct open_part *local = pen_local(ctx, sizeof *local);
    local->number = pen_split(ctx, part)->number;
    opened++;
}

/* A few numbers a call; odd calls of every third split have nothing now. */
static enum pen_poll poll_part(pen_context *ctx, struct part *part)
{
    struct open_part *local = pen_local(ctx, sizeof *local);

    if (local->number != part->number) wrong++;
    if (part->number % 3 == 0 && local->polls++ % 2 == 1) {
        idles++;
        return PEN_IDLE;
    }
    for (int i = 0; i < 37 && part->position < SPLIT_NUMBERS; i++, part->position++) {
        int64_t value = part->number * SPLIT_NUMBERS + part->position;
        pen_emit(ctx, number, .value = value, .square = value * value,
                 .name = pen_put(ctx, &part->name));
    }
    return part->position < SPLIT_NUMBERS ? PEN_MORE : PEN_END;
}
PEN_SOURCE(poll_part, part, number);

static void close_part(pen_context *ctx)
{
    struct open_part *local = pen_local(ctx, sizeof *local);
    if (local->number != pen_split(ctx, part)->number) wrong++;
    closed++;
}

static enum pen_taken see_short(pen_context *ctx, const struct short_number *number)
{
    char name[32];
    (void)ctx;
    snprintf(name, sizeof name, "part-%d", (int)(number->value / SPLIT_NUMBERS));
    if (!pen_text_equal(&number->name, (const char *)name)) wrong++;
    seen_count[number->value]++;
    checksum += (uint64_t)number->value;
    return PEN_TAKEN;
}
PEN_SINK(see_short, short_number);

static void parts_job(pen_graph *graph)
{
    pen_stream numbers = pen_source(graph, poll_part, .id = "parts", .plan = plan_parts,
                                    .open = open_part, .close = close_part);
    pen_sink(pen_rebalance(pen_project(numbers, short_number)), see_short, .id = "seen");
}

static void run_job(void (*job)(pen_graph *), uint32_t parallelism, struct eng_local *local)
{
    struct eng_local_options options = {.parallelism = parallelism};
    char reason[4096];

    opened = closed = idles = wrong = 0;
    checksum = 0;
    memset(seen_count, 0, sizeof seen_count);
    if (eng_local_open(local, job, &options, reason, sizeof reason) < 0) {
        fprintf(stderr, "%s\n", reason);
        CU_FAIL_FATAL("the job does not open");
    }
    if (eng_local_run(local) < 0) {
        fprintf(stderr, "%s\n", eng_local_failure(local));
        CU_FAIL("the job failed");
    }
}

static void every_split_is_read_once_and_whole(void)
{
    static const uint32_t parallelisms[] = {1, 2, 5, 40};
    struct eng_local local;

    start_position = 0;
    for (uint32_t p = 0; p < 4; p++)
        for (planned_twice = 0; planned_twice < 2; planned_twice++) {
            run_job(parts_job, parallelisms[p], &local);
            for (uint32_t i = 0; i < NUMBERS; i++)
                CU_ASSERT_EQUAL_FATAL(seen_count[i], 1);
            CU_ASSERT_EQUAL(wrong, 0);
            CU_ASSERT_EQUAL(opened, SPLITS);
            CU_ASSERT_EQUAL(closed, SPLITS);
            CU_ASSERT_TRUE(idles > SPLITS / 3);
            eng_local_close(&local);
        }
}

static void a_split_that_begins_later_gives_exactly_the_rest(void)
{
    struct eng_local local;

    planned_twice = 0;
    for (start_position = 0; start_position <= SPLIT_NUMBERS; start_position += 333) {
        run_job(parts_job, 3, &local);
        for (uint32_t i = 0; i < NUMBERS; i++)
            CU_ASSERT_EQUAL_FATAL(seen_count[i], i % SPLIT_NUMBERS >= start_position);
        eng_local_close(&local);
    }
    start_position = 0;
}

/* ---- A plan that fails ----------------------------------------------------------------------- */

static void fail_plan(pen_context *ctx)
{
    pen_fail(ctx, "there is no such directory");
}

static void failing_job(pen_graph *graph)
{
    pen_stream numbers = pen_source(graph, poll_part, .id = "parts", .plan = fail_plan);
    pen_sink(pen_project(numbers, short_number), see_short);
}

static void a_failing_plan_is_told_before_anything_runs(void)
{
    struct eng_local local;
    struct eng_local_options options = {.parallelism = 2};
    char reason[4096] = "";

    CU_ASSERT_TRUE(eng_local_open(&local, failing_job, &options, reason, sizeof reason) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason, "there is no such directory"));
}

/* ---- Decoding -------------------------------------------------------------------------------- */

static uint32_t decode_as_json;

/* A line of CSV or an object of JSON for each number; every tenth is broken. */
static void write_text(pen_context *ctx, const struct number *number)
{
    const char *name = pen_cstr(ctx, &number->name);
    long long value = number->value;

    if (number->value % 10 == 3)
        pen_emit(ctx, pen_line,
                 .text = pen_putf(ctx, decode_as_json ? "{\"value\": %lld" : "\"%lld", value));
    else if (decode_as_json)
        pen_emit(ctx, pen_line,
                 .text =
                     pen_putf(ctx, "{\"name\":\"%s\", \"value\":%lld, \"more\":[1]}", name, value));
    else
        pen_emit(ctx, pen_line, .text = pen_putf(ctx, "\"%s\",%lld", name, value));
}
PEN_MAP(write_text, number, pen_line);

static void read_text(pen_context *ctx, const struct pen_line *line)
{
    bool decoded = decode_as_json ? pen_emit_json(ctx, PEN_MAIN, short_number, &line->text)
                                  : pen_emit_csv(ctx, PEN_MAIN, short_number, &line->text);
    if (!decoded) wrong++;
}
PEN_MAP(read_text, pen_line, short_number);

static void decode_job(pen_graph *graph)
{
    pen_configure(graph, .on_bad_record = PEN_BAD_SKIP);
    pen_stream numbers =
        pen_source(graph, poll_part, .id = "parts", .plan = plan_parts, .open = open_part);
    pen_stream lines = pen_map(numbers, write_text, .id = "write");
    pen_sink(pen_map(pen_rebalance(lines), read_text, .id = "read"), see_short, .id = "seen");
}

static void texts_are_decoded_and_broken_ones_rejected(void)
{
    struct eng_local local;

    for (decode_as_json = 0; decode_as_json < 2; decode_as_json++) {
        run_job(decode_job, 2, &local);
        for (uint32_t i = 0; i < NUMBERS; i++)
            CU_ASSERT_EQUAL_FATAL(seen_count[i], i % 10 != 3);
        CU_ASSERT_EQUAL(wrong, NUMBERS / 10);
        CU_ASSERT_EQUAL(eng_local_rejected(&local, "read"), NUMBERS / 10);
        eng_local_close(&local);
    }
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("sources, projections, decoded texts", NULL, NULL);
    CU_ADD_TEST(suite, every_split_is_read_once_and_whole);
    CU_ADD_TEST(suite, a_split_that_begins_later_gives_exactly_the_rest);
    CU_ADD_TEST(suite, a_failing_plan_is_told_before_anything_runs);
    CU_ADD_TEST(suite, texts_are_decoded_and_broken_ones_rejected);
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
