/* engine/operator/{event_time,splits}, engine/flow/exchange: watermarks, split by split.
 * Method: whole jobs over a source of this test, whose splits are asked in turns and often have
 * nothing to give, at parallelisms 1 to 4 and with tiny rings. Every record carries the largest
 * time that came before it in its split, so a sink can tell whether it was late there already: no
 * other record may be behind the watermark. Where the order of records is known, the watermark that
 * each one sees is that of a plain loop. */
#include "tests/local_jobs.h"

#include <stdlib.h>
#include <string.h>

#include "engine/flow/watermark.h"

enum { PARTS_MAX = 600, OUT_OF_ORDER_US = 5000, STEPS_MAX = 200000 };

struct part {
    int64_t number;
    int64_t position;
};
PEN_RECORD(part, number, position);

struct reading {
    pen_time at;
    pen_time other; /* another time, for a second pen_event_time */
    pen_opt_time mark;
    int64_t part, index;
    int64_t largest_before_us; /* in its part; INT64_MIN: it is the first */
};
PEN_RECORD(reading, at, other, mark, part, index, largest_before_us);

/* ---- The source ------------------------------------------------------------------------------ */

static struct {
    uint32_t parts, records; /* of each part */
    bool sorted;             /* parts follow each other in time; else all have the same times */
    bool slow;               /* one record a call */
    bool overlap, every_record, marked, two_times, keyed, blocking;
    uint32_t source_parallelism;
} scene;

static int64_t largest_us[PARTS_MAX];
static uint32_t opened, open_count, open_most;
static bool is_open[PARTS_MAX];

/* A millisecond a record; up to 8 ms out of order, which is more than is promised, where parts
 * overlap: such records are late at their own part. */
static int64_t time_of(int64_t part, int64_t index)
{
    uint64_t random = local_mix((uint64_t)(part * 1000003 + index));
    int64_t base = scene.sorted ? (part * scene.records + index) * 1000 : index * 1000;
    return base - (int64_t)(random % (scene.sorted ? 4000 : 8000));
}

static void plan_parts(pen_context *ctx)
{
    for (int64_t i = 0; i < scene.parts; i++)
        pen_add_split(ctx, part, .number = i, .position = 0);
}

static void open_part(pen_context *ctx)
{
    int64_t number = pen_split(ctx, part)->number;
    is_open[number] = true;
    largest_us[number] = INT64_MIN;
    opened++;
    if (++open_count > open_most) open_most = open_count;
}

static void close_part(pen_context *ctx)
{
    is_open[pen_split(ctx, part)->number] = false;
    open_count--;
}

static enum pen_poll poll_part(pen_context *ctx, struct part *part)
{
    uint64_t *polls = pen_local(ctx, sizeof *polls);
    uint64_t random = local_mix((uint64_t)part->number * 7919 + (*polls)++);

    if (random % 4 == 0) return PEN_IDLE;
    for (uint64_t i = 0;
         i < 1 + random / 8 % (scene.slow ? 1 : 60) && part->position < scene.records; i++) {
        int64_t at_us = time_of(part->number, part->position);
        bool says = part->position % 5 == 4;
        pen_emit(ctx, reading, .at = {at_us}, .other = {at_us / 2 - 7},
                 .mark = {.value = {at_us - 3000 * (part->position % 3)}, .present = says},
                 .part = part->number, .index = part->position,
                 .largest_before_us = largest_us[part->number]);
        if (at_us > largest_us[part->number]) largest_us[part->number] = at_us;
        part->position++;
    }
    return part->position < scene.records ? PEN_MORE : PEN_END;
}
PEN_SOURCE(poll_part, part, reading);

static void same(pen_context *ctx, const struct reading *reading)
{
    pen_send(ctx, reading, reading);
}
PEN_MAP(same, reading, reading);

static bool all(const struct reading *reading)
{
    return reading->index >= 0;
}
PEN_FILTER(all, reading);

/* ---- What a sink sees ------------------------------------------------------------------------ */

static uint64_t seen, late, wrongly_late, falls, ends, early;
static int64_t last_us[16], latest_us;

static enum pen_taken see(pen_context *ctx, const struct reading *reading)
{
    int64_t watermark_us = pen_watermark(ctx).us;
    int64_t *last = &last_us[pen_subtask(ctx)];
    int64_t time_us = scene.two_times ? reading->other.us : reading->at.us;

    seen++;
    if (pen_record_time(ctx).us != time_us) falls++;
    if (watermark_us < *last) falls++;
    *last = watermark_us;
    if (watermark_us > latest_us) latest_us = watermark_us;
    if (scene.overlap && opened < scene.parts && watermark_us > ENG_WATERMARK_NONE) early++;
    if (time_us > watermark_us) return PEN_TAKEN;
    late++;
    if (reading->largest_before_us == INT64_MIN ||
        reading->at.us >= reading->largest_before_us - OUT_OF_ORDER_US)
        wrongly_late++;
    return PEN_TAKEN;
}
PEN_SINK(see, reading);

static void see_close(pen_context *ctx)
{
    ends += pen_watermark(ctx).us == INT64_MAX;
}

static void parts_job(pen_graph *graph)
{
    pen_stream readings = pen_source(graph, poll_part, .plan = plan_parts, .open = open_part,
                                     .close = close_part, .id = "parts", .blocking = scene.blocking,
                                     .parallelism = scene.source_parallelism);
    if (!scene.blocking && !scene.source_parallelism)
        readings = pen_map(pen_filter(readings, all), same);
    pen_stream timed = pen_event_time(readings, "at", .out_of_order = OUT_OF_ORDER_US,
                                      .splits_overlap = scene.overlap,
                                      .every_record = scene.every_record, .id = "time");
    if (scene.two_times)
        timed = pen_event_time(timed, "other", .out_of_order = OUT_OF_ORDER_US / 2,
                               .splits_overlap = scene.overlap);
    if (scene.keyed)
        pen_sink(pen_rebalance(timed), see, .id = "seen", .close = see_close);
    else
        pen_sink(timed, see, .id = "seen", .close = see_close);
}

static void reset(void)
{
    seen = late = wrongly_late = falls = ends = early = 0;
    opened = open_count = open_most = 0;
    latest_us = INT64_MIN;
    for (uint32_t i = 0; i < 16; i++)
        last_us[i] = INT64_MIN;
}

static void run(void (*job)(pen_graph *), uint32_t parallelism, bool tiny)
{
    static int64_t now_us; /* stands still: what was said goes out in every step */
    struct eng_local local;
    struct eng_local_options options = {.parallelism = parallelism,
                                        .ring_bytes = tiny ? SHM_RING_BYTES_MIN : 0,
                                        .virtual_wall_us = &now_us};
    char reason[4096];
    uint32_t steps = 0;

    now_us = 1000000;
    reset();
    if (eng_local_open(&local, job, &options, reason, sizeof reason) < 0) {
        fprintf(stderr, "%s\n", reason);
        CU_FAIL_FATAL("the job does not open");
    }
    while (steps++ < STEPS_MAX && eng_local_step(&local))
        now_us++;
    if (eng_local_failure(&local)) {
        fprintf(stderr, "%s\n", eng_local_failure(&local));
        CU_FAIL("the job failed");
    }
    CU_ASSERT_TRUE(steps < STEPS_MAX);
    eng_local_close(&local);
}

/* ---- Splits ---------------------------------------------------------------------------------- */

static void a_record_is_late_only_if_it_was_in_its_own_split(void)
{
    for (uint32_t variant = 0; variant < 24; variant++) {
        memset(&scene, 0, sizeof scene);
        scene.parts = 23;
        scene.records = 400;
        scene.overlap = true;
        scene.every_record = variant / 4 % 2;
        scene.keyed = variant / 8 == 1;
        scene.two_times = variant / 8 == 2;
        run(parts_job, 1 + variant % 4, variant % 2);
        CU_ASSERT_EQUAL(seen, 23 * 400);
        CU_ASSERT_EQUAL(wrongly_late, 0);
        CU_ASSERT_EQUAL(falls, 0);
        CU_ASSERT_EQUAL(early, 0);
        CU_ASSERT_EQUAL(ends, 1 + variant % 4);
        /* Not for want of watermarks: they have come far before the end. */
        if (variant < 8) CU_ASSERT_TRUE(latest_us > 200 * 1000);
        if (variant >= 4 && variant < 8) CU_ASSERT_TRUE(late > 0);
    }
}

static void splits_that_follow_each_other_need_no_option(void)
{
    for (uint32_t variant = 0; variant < 16; variant++) {
        memset(&scene, 0, sizeof scene);
        scene.parts = 23;
        scene.records = 400;
        scene.sorted = true;
        scene.every_record = variant / 4 % 2;
        scene.keyed = variant / 8;
        run(parts_job, 1 + variant % 4, variant % 2);
        CU_ASSERT_EQUAL(seen, 23 * 400);
        CU_ASSERT_EQUAL(late, 0);
        CU_ASSERT_EQUAL(falls, 0);
        /* Event time goes on while there is much to read. */
        CU_ASSERT_TRUE(latest_us > 15 * 400 * 1000);
    }
}

/* What the public header says of splits that are not read in the order of their times. */
static void without_the_option_a_split_read_later_is_late(void)
{
    memset(&scene, 0, sizeof scene);
    scene.parts = 23;
    scene.records = 400;
    run(parts_job, 1, false);
    CU_ASSERT_EQUAL(seen, 23 * 400);
    CU_ASSERT_TRUE(wrongly_late > 400);
    CU_ASSERT_TRUE(open_most < 23);
}

static void with_it_splits_are_read_side_by_side_as_far_as_that_goes(void)
{
    memset(&scene, 0, sizeof scene);
    scene.overlap = scene.slow = true;
    scene.records = 400;
    scene.parts = 100;
    run(parts_job, 4, false);
    CU_ASSERT_EQUAL(open_most, 100);
    CU_ASSERT_EQUAL(early, 0);
    scene.parts = PARTS_MAX;
    run(parts_job, 1, false);
    CU_ASSERT_TRUE(open_most >= 256);
    CU_ASSERT_TRUE(open_most <= 300); /* more only when none has anything to give */
    CU_ASSERT_EQUAL(early, 0);
    CU_ASSERT_EQUAL(wrongly_late, 0);
    CU_ASSERT_EQUAL(seen, PARTS_MAX * 400);
}

/* It stays with its source, which may have another parallelism, or be a helper. */
static void it_stays_with_its_source(void)
{
    for (uint32_t blocking = 0; blocking < 2; blocking++) {
        memset(&scene, 0, sizeof scene);
        scene.parts = 23;
        scene.records = 400;
        scene.overlap = scene.every_record = true;
        scene.blocking = blocking;
        scene.source_parallelism = 2;
        run(parts_job, 3, false);
        CU_ASSERT_EQUAL(seen, 23 * 400);
        CU_ASSERT_EQUAL(wrongly_late, 0);
        CU_ASSERT_TRUE(late > 0);
        CU_ASSERT_EQUAL(early, 0);
    }
}

static void torn_job(pen_graph *graph)
{
    pen_stream readings =
        pen_source(graph, poll_part, .plan = plan_parts, .open = open_part, .close = close_part);
    pen_stream timed = pen_event_time(pen_map(readings, same, .parallelism = 3), "at",
                                      .out_of_order = OUT_OF_ORDER_US, .splits_overlap = true);
    pen_sink(timed, see);
}

static void what_needs_splits_says_so_where_there_are_none(void)
{
    struct eng_local local;
    struct eng_local_options options = {.parallelism = 2};
    char reason[4096];

    scene.parts = 1;
    CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, torn_job, &options, reason, sizeof reason), 0);
    CU_ASSERT_TRUE(eng_local_run(&local) < 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(eng_local_failure(&local));
    CU_ASSERT_PTR_NOT_NULL(strstr(eng_local_failure(&local), "right behind a source"));
    eng_local_close(&local);
}

/* ---- Every record ---------------------------------------------------------------------------- */

/* A plain loop over what arrives in one subtask: the largest of each part that is being read, the
 * smallest over these, and never less than before. */
static int64_t model_us[PARTS_MAX], model_all_us;
static uint64_t model_wrong, model_rises;

static int64_t model_said(const struct reading *reading)
{
    if (!scene.marked) return reading->at.us - OUT_OF_ORDER_US - 1;
    return reading->mark.present ? reading->mark.value.us : ENG_WATERMARK_NONE;
}

static enum pen_taken compare(pen_context *ctx, const struct reading *reading)
{
    int64_t smallest_us = INT64_MAX;

    if (reading->index == 0) model_us[reading->part] = ENG_WATERMARK_NONE;
    for (uint32_t p = 0; p < scene.parts; p++)
        if (is_open[p] && model_us[p] < smallest_us) smallest_us = model_us[p];
    if (smallest_us > model_all_us && opened == scene.parts) {
        model_all_us = smallest_us;
        model_rises++;
    }
    if (pen_watermark(ctx).us != model_all_us) model_wrong++;
    int64_t said_us = model_said(reading);
    if (said_us > model_us[reading->part]) model_us[reading->part] = said_us;
    seen++;
    return PEN_TAKEN;
}
PEN_SINK(compare, reading);

static pen_stream exact_stream(pen_graph *graph)
{
    pen_stream readings = pen_source(graph, poll_part, .plan = plan_parts, .open = open_part,
                                     .close = close_part, .parallelism = 1);
    return pen_event_time(readings, "at", .out_of_order = scene.marked ? 0 : OUT_OF_ORDER_US,
                          .watermark = scene.marked ? "mark" : NULL, .every_record = true,
                          .splits_overlap = scene.overlap);
}

static void exact_job(pen_graph *graph)
{
    pen_sink(exact_stream(graph), compare);
}

static void every_record_gives_the_watermarks_of_a_plain_loop(void)
{
    for (uint32_t variant = 0; variant < 4; variant++) {
        memset(&scene, 0, sizeof scene);
        scene.parts = variant < 2 ? 1 : 9;
        scene.records = 2000;
        scene.marked = variant % 2;
        scene.overlap = true;
        model_wrong = model_rises = 0;
        model_all_us = ENG_WATERMARK_NONE;
        for (uint32_t p = 0; p < PARTS_MAX; p++)
            model_us[p] = ENG_WATERMARK_NONE;
        run(exact_job, 1, false);
        CU_ASSERT_EQUAL(seen, (uint64_t)scene.parts * 2000);
        CU_ASSERT_EQUAL(model_wrong, 0);
        CU_ASSERT_TRUE(model_rises > (scene.marked ? 100 : 200));
    }
}

/* Behind an exchange, too, each record sees what all before it in the one split have said. */
static enum pen_taken compare_far(pen_context *ctx, const struct reading *reading)
{
    int64_t expected_us = reading->largest_before_us == INT64_MIN
                              ? ENG_WATERMARK_NONE
                              : reading->largest_before_us - OUT_OF_ORDER_US - 1;

    if (pen_watermark(ctx).us != expected_us) model_wrong++;
    seen++;
    return PEN_TAKEN;
}
PEN_SINK(compare_far, reading);

static void exact_far_job(pen_graph *graph)
{
    pen_sink(pen_map(pen_rebalance(exact_stream(graph)), same), compare_far);
}

static void exchanges_keep_every_rise_where_it_belongs(void)
{
    for (uint32_t parallelism = 1; parallelism <= 4; parallelism++)
        for (uint32_t tiny = 0; tiny < 2; tiny++) {
            memset(&scene, 0, sizeof scene);
            scene.parts = 1;
            scene.records = 5000;
            model_wrong = 0;
            run(exact_far_job, parallelism, tiny);
            CU_ASSERT_EQUAL(seen, 5000);
            CU_ASSERT_EQUAL(model_wrong, 0);
        }
}

/* ---- Hostile times --------------------------------------------------------------------------- */

__extension__ typedef __int128 wide;

static const int64_t hostile_us[] = {INT64_MIN,
                                     INT64_MIN + 1,
                                     INT64_MIN + 2,
                                     -62135596800000000 /* year 1 */,
                                     -1,
                                     0,
                                     1,
                                     -5000,
                                     253402300799999999 /* the last of year 9999 */,
                                     INT64_MAX - 1,
                                     INT64_MAX,
                                     0,
                                     INT64_MIN};
enum { HOSTILE = sizeof hostile_us / sizeof *hostile_us };

static pen_duration hostile_out_of_order;
static uint32_t hostile_round;
static int64_t hostile_watermark_us;

/* Each order begins somewhere else, so that each time is met by low and by high watermarks. */
static void make_hostile(pen_context *ctx, uint64_t index)
{
    int64_t at_us = hostile_us[(index + hostile_round) % HOSTILE];
    pen_emit(ctx, reading, .at = {at_us},
             .mark = {.value = {hostile_us[(index * 5 + hostile_round) % HOSTILE]},
                      .present = index % 3 != 0},
             .index = (int64_t)index);
}
PEN_GENERATE(make_hostile, reading);

static enum pen_taken see_hostile(pen_context *ctx, const struct reading *reading)
{
    if (pen_watermark(ctx).us != hostile_watermark_us) model_wrong++;
    if (pen_record_time(ctx).us != reading->at.us) model_wrong++;
    wide said = (wide)reading->at.us - hostile_out_of_order - 1;
    if (scene.marked) said = reading->mark.present ? reading->mark.value.us : ENG_WATERMARK_NONE;
    if (said > INT64_MAX - 1) said = INT64_MAX - 1; /* infinity is not a record's to say */
    if (said > hostile_watermark_us) hostile_watermark_us = (int64_t)said;
    seen++;
    return PEN_TAKEN;
}
PEN_SINK(see_hostile, reading);

static void hostile_job(pen_graph *graph)
{
    pen_stream readings = pen_generate(graph, make_hostile, .count = HOSTILE, .parallelism = 1);
    pen_sink(pen_event_time(readings, "at", .out_of_order = hostile_out_of_order,
                            .watermark = scene.marked ? "mark" : NULL, .every_record = true),
             see_hostile, .close = see_close);
}

static void any_time_gives_a_watermark_that_can_be_said(void)
{
    static const pen_duration out_of_order[] = {0, 1, 5000, INT64_MAX - 1, INT64_MAX};

    for (scene.marked = 0;; scene.marked = true) {
        for (uint32_t o = 0; o < (scene.marked ? 1u : 5u); o++)
            for (hostile_round = 0; hostile_round < HOSTILE; hostile_round++) {
                hostile_out_of_order = out_of_order[o];
                hostile_watermark_us = ENG_WATERMARK_NONE;
                model_wrong = 0;
                run(hostile_job, 1, false);
                CU_ASSERT_EQUAL(seen, HOSTILE);
                CU_ASSERT_EQUAL(model_wrong, 0);
                CU_ASSERT_EQUAL(ends, 1);
            }
        if (scene.marked) break;
    }
    scene.marked = false;
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("engine/operator/event_time", NULL, NULL);
    CU_ADD_TEST(suite, a_record_is_late_only_if_it_was_in_its_own_split);
    CU_ADD_TEST(suite, splits_that_follow_each_other_need_no_option);
    CU_ADD_TEST(suite, without_the_option_a_split_read_later_is_late);
    CU_ADD_TEST(suite, with_it_splits_are_read_side_by_side_as_far_as_that_goes);
    CU_ADD_TEST(suite, it_stays_with_its_source);
    CU_ADD_TEST(suite, what_needs_splits_says_so_where_there_are_none);
    CU_ADD_TEST(suite, every_record_gives_the_watermarks_of_a_plain_loop);
    CU_ADD_TEST(suite, exchanges_keep_every_rise_where_it_belongs);
    CU_ADD_TEST(suite, any_time_gives_a_watermark_that_can_be_said);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
