/* engine/operator/{event_time,alignment,splits}: silence and running ahead.
 * Method: whole jobs in virtual time, a step at a time. The test decides when a split has something
 * to give and how fast its times go, and reads the watermark from the board after each step. How
 * far a split runs ahead is seen where it is polled. Whatever happens the job must come to its end
 * in a bounded number of steps. */
#include "engine/control/local.h"

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/watermark.h"

enum { PARTS_MAX = 8, STEPS_MAX = 100000, STEP_US = 10000 };

struct part {
    int64_t number;
};
PEN_RECORD(part, number);

struct reading {
    pen_time at;
    int64_t part;
};
PEN_RECORD(reading, at, part);

static struct {
    uint32_t parts;
    pen_duration idle_after, ahead_max;
    bool overlap, behind, two_sources;
} scene;

/* What the test has decided of each part, and what has become of it. */
static struct {
    int64_t gives; /* records that it has; then it is silent, */
    bool ends;     /* or ends */
    uint32_t burst;
    int64_t next_us, step_us;
    bool open, any;
    int64_t largest_us;
} parts[PARTS_MAX];

static int64_t now_us, lead_most_us;
static bool stuck;
static uint64_t seen, ends;
static int64_t closed_us; /* how far event time came, at the end, far from the source */
static uint32_t open_count, open_most;

/* ---- The source ------------------------------------------------------------------------------ */

static void plan_parts(pen_context *ctx)
{
    const int64_t *first = pen_user(ctx);
    int64_t count = scene.two_sources ? scene.parts / 2 : scene.parts;

    for (int64_t i = 0; i < count; i++)
        pen_add_split(ctx, part, .number = *first + i);
}

static void open_part(pen_context *ctx)
{
    parts[pen_split(ctx, part)->number].open = true;
    if (++open_count > open_most) open_most = open_count;
}

static void close_part(pen_context *ctx)
{
    parts[pen_split(ctx, part)->number].open = false;
    open_count--;
}

/* How far a part that is asked for more is ahead of the slowest that has given something. */
static void measure_lead(int64_t number)
{
    int64_t slowest_us = INT64_MAX;

    if (!parts[number].any) return;
    for (uint32_t p = 0; p < scene.parts; p++)
        if (parts[p].open && parts[p].any && parts[p].largest_us < slowest_us)
            slowest_us = parts[p].largest_us;
    int64_t lead_us = parts[number].largest_us - slowest_us;
    if (lead_us > lead_most_us) lead_most_us = lead_us;
}

static enum pen_poll poll_part(pen_context *ctx, struct part *part)
{
    int64_t number = part->number;
    uint32_t i = 0;

    if (parts[number].gives == 0) return parts[number].ends ? PEN_END : PEN_IDLE;
    measure_lead(number);
    for (; i < parts[number].burst && parts[number].gives > 0; i++, parts[number].gives--) {
        pen_emit(ctx, reading, .at = {parts[number].next_us}, .part = number);
        if (!parts[number].any || parts[number].next_us > parts[number].largest_us)
            parts[number].largest_us = parts[number].next_us;
        parts[number].any = true;
        parts[number].next_us += parts[number].step_us;
    }
    return PEN_MORE;
}
PEN_SOURCE(poll_part, part, reading);

struct nothing {
    int64_t unused;
};
PEN_RECORD(nothing, unused);

/* Behind an exchange, whatever the parallelism. */
static void pass(pen_context *ctx, const struct reading *reading, struct nothing *state)
{
    (void)state;
    pen_send(ctx, reading, reading);
}
PEN_PROCESS(pass, reading, nothing, reading);

static enum pen_taken see(pen_context *ctx, const struct reading *reading)
{
    (void)ctx;
    (void)reading;
    if (stuck) return PEN_AGAIN;
    seen++;
    return PEN_TAKEN;
}
PEN_SINK(see, reading);

static void see_close(pen_context *ctx)
{
    closed_us = pen_watermark(ctx).us;
    ends += closed_us == INT64_MAX;
}

/* ---- The job --------------------------------------------------------------------------------- */

static pen_stream source_stream(pen_graph *graph, const int64_t *first, const char *source_id,
                                const char *id)
{
    pen_stream readings = pen_source(graph, poll_part, .plan = plan_parts, .open = open_part,
                                     .close = close_part, .user = first, .id = source_id);
    if (scene.behind) readings = pen_union(readings, readings);
    return pen_event_time(readings, "at", .idle_after = scene.idle_after,
                          .ahead_max = scene.ahead_max, .splits_overlap = scene.overlap, .id = id);
}

static void job(pen_graph *graph)
{
    static int64_t first, second;

    first = 0;
    second = scene.parts / 2;
    pen_stream timed = source_stream(graph, &first, "source", "time");
    pen_sink(timed, see, .id = "near");
    pen_stream far = pen_process(pen_key_by(timed, "part"), pass, .id = "pass");
    pen_sink(far, see, .id = "far", .close = see_close);
    if (scene.two_sources)
        pen_sink(source_stream(graph, &second, "source2", "time2"), see, .id = "near2");
}

static struct eng_local local;

/* Every part: bursts of 100, a millisecond a record, from a tenth of a second of its own on. */
static void set_scene(uint32_t part_count)
{
    memset(&scene, 0, sizeof scene);
    memset(parts, 0, sizeof parts);
    scene.parts = part_count;
    for (uint32_t p = 0; p < PARTS_MAX; p++) {
        parts[p].burst = 100;
        parts[p].step_us = 1000;
        parts[p].next_us = p * 100000;
    }
    now_us = 1000000;
    lead_most_us = 0;
    stuck = false;
    seen = ends = 0;
    open_count = open_most = 0;
}

static void begin(uint32_t parallelism)
{
    struct eng_local_options options = {.parallelism = parallelism, .virtual_wall_us = &now_us};
    char reason[4096];

    if (eng_local_open(&local, job, &options, reason, sizeof reason) < 0) {
        fprintf(stderr, "%s\n", reason);
        CU_FAIL_FATAL("the job does not open");
    }
}

static void step(uint32_t steps)
{
    for (uint32_t i = 0; i < steps; i++) {
        now_us += STEP_US;
        eng_local_step(&local);
    }
    CU_ASSERT_PTR_NULL(eng_local_failure(&local));
}

/* To the end, which must come by itself. */
static void finish(void)
{
    uint32_t steps = 0;

    while (steps < STEPS_MAX && eng_local_step(&local)) {
        now_us += STEP_US;
        steps++;
    }
    CU_ASSERT_TRUE(steps < STEPS_MAX);
    CU_ASSERT_PTR_NULL(eng_local_failure(&local));
    eng_local_close(&local);
}

static void finish_by(enum eng_command command)
{
    eng_local_command(&local, command);
    finish();
}

/* What the board says of a subtask. */
static int64_t figure(const char *id, uint32_t subtask)
{
    for (uint32_t n = 0; n < local.board->counts.nodes; n++) {
        const struct eng_board_node *node = eng_board_node(local.board, n);
        if (strcmp(node->id, id) == 0)
            return (int64_t)shm_load_own(
                &eng_board_subtask(local.board, node->first_subtask + subtask)->watermark_us);
    }
    CU_FAIL_FATAL("there is no such operator");
    return 0;
}

static void figure_is(const char *id, int64_t watermark_us)
{
    CU_ASSERT_EQUAL(figure(id, 0), watermark_us);
    if (figure(id, 0) != watermark_us)
        fprintf(stderr, "%s: %lld, expected %lld\n", id, (long long)figure(id, 0),
                (long long)watermark_us);
}

/* ---- Silence --------------------------------------------------------------------------------- */

static void a_silent_split_is_left_out_until_its_next_record(void)
{
    set_scene(2);
    scene.overlap = true;
    scene.idle_after = PEN_SECONDS(1);
    begin(1);
    parts[0].gives = parts[1].gives = 1;
    step(4);
    figure_is("time", -1);
    figure_is("far", -1);
    for (uint32_t i = 0; i < 90; i++) {
        parts[1].gives = 1;
        step(1);
        figure_is("time", -1);
    }
    for (uint32_t i = 0; i < 20; i++) {
        parts[1].gives = 1;
        step(1);
    }
    figure_is("time", 100000 + 110 * 1000 - 1);
    /* It comes back far behind: nothing falls, and it holds the watermark again. */
    parts[0].gives = 1;
    step(1);
    parts[1].gives = 50;
    step(4);
    figure_is("time", 100000 + 110 * 1000 - 1);
    figure_is("far", 100000 + 110 * 1000 - 1);
    parts[0].next_us = 100000 + 150 * 1000;
    parts[0].gives = 1;
    step(4);
    figure_is("time", 100000 + 150 * 1000 - 1);
    finish_by(ENG_COMMAND_STOP);
}

static void when_all_are_silent_the_largest_holds_and_it_is_idle(void)
{
    for (uint32_t p = 0; p < 2; p++) {
        set_scene(2);
        scene.overlap = true;
        scene.idle_after = PEN_SECONDS(1);
        begin(1);
        parts[0].gives = parts[1].gives = 1;
        step(50);
        parts[p].gives = 1; /* the other one is idle first */
        step(60);
        figure_is("time", p == 1 ? 101000 - 1 : 1000 - 1);
        step(60);
        figure_is("time", ENG_WATERMARK_IDLE);
        figure_is("near", ENG_WATERMARK_IDLE);
        figure_is("far", ENG_WATERMARK_IDLE);
        /* Back again: what had been said before holds. */
        parts[0].next_us = 50;
        parts[0].gives = 1;
        step(4);
        figure_is("time", p == 1 ? 101000 - 1 : 100000 - 1);
        figure_is("far", p == 1 ? 101000 - 1 : 100000 - 1);
        finish_by(ENG_COMMAND_STOP);
    }
    /* What is said in the same breath as idleness is not lost on the way. */
    set_scene(2);
    scene.overlap = true;
    scene.idle_after = PEN_SECONDS(1);
    begin(1);
    parts[0].gives = parts[1].gives = 1;
    step(50);
    parts[0].gives = 1;
    step(200);
    finish_by(ENG_COMMAND_STOP);
    CU_ASSERT_EQUAL(closed_us, 100000 - 1);
}

static void silence_for_ever_ends_as_it_is_told_to(void)
{
    for (uint32_t drain = 0; drain < 2; drain++) {
        set_scene(3);
        scene.idle_after = PEN_SECONDS(1);
        begin(2);
        step(90);
        figure_is("time", ENG_WATERMARK_NONE);
        step(2000); /* not one record, ever */
        figure_is("time", ENG_WATERMARK_IDLE);
        CU_ASSERT_EQUAL(figure("time", 1), ENG_WATERMARK_IDLE);
        eng_local_command(&local, drain ? ENG_COMMAND_DRAIN : ENG_COMMAND_STOP);
        step(10);
        figure_is("time", drain ? ENG_WATERMARK_END : ENG_WATERMARK_IDLE);
        finish();
        CU_ASSERT_EQUAL(ends, drain ? 2 : 0);
        CU_ASSERT_EQUAL(seen, 0);
    }
    /* Nothing is idle that was not asked to be. */
    set_scene(2);
    scene.overlap = true;
    begin(1);
    parts[0].gives = parts[1].gives = 1;
    step(5000);
    figure_is("time", -1);
    /* Splits that stop raise nothing, though one that held the watermark goes first. */
    parts[0].gives = 300;
    step(8);
    figure_is("time", 100000 - 1);
    finish_by(ENG_COMMAND_STOP);
    CU_ASSERT_EQUAL(closed_us, 100000 - 1);
}

static void only_time_in_which_a_split_is_asked_is_silence(void)
{
    for (uint32_t behind = 0; behind < 2; behind++) {
        set_scene(behind ? 1 : 2);
        scene.behind = behind;
        scene.overlap = !behind;
        scene.idle_after = PEN_SECONDS(1);
        begin(1);
        parts[0].gives = parts[1].gives = 1;
        step(4);
        figure_is("time", -1);
        /* What follows takes nothing for a minute. */
        stuck = true;
        parts[0].next_us = 10;
        parts[0].gives = 1;
        step(6000);
        figure_is("time", 10 - 1);
        stuck = false;
        step(50);
        figure_is("time", 10 - 1);
        step(200);
        figure_is("time", ENG_WATERMARK_IDLE);
        finish_by(ENG_COMMAND_STOP);
    }
}

/* ---- Running ahead --------------------------------------------------------------------------- */

/* Parts of very different speeds. */
static void set_speeds(uint32_t part_count, int64_t records)
{
    set_scene(part_count);
    scene.overlap = true;
    for (uint32_t p = 0; p < part_count; p++) {
        parts[p].next_us = 0;
        parts[p].burst = 1 + p * 20;
        parts[p].gives = records;
        parts[p].ends = true;
    }
}

static void nobody_is_further_ahead_than_that(void)
{
    int64_t without_us = 0;

    for (uint32_t parallelism = 1; parallelism <= 4; parallelism++)
        for (uint32_t variant = 0; variant < 3; variant++) {
            set_speeds(5, 3000);
            scene.ahead_max = variant * PEN_MILLISECONDS(150);
            begin(parallelism);
            finish();
            CU_ASSERT_EQUAL(seen, 2 * 5 * 3000);
            if (variant == 0) without_us = lead_most_us;
            if (variant == 0) continue;
            CU_ASSERT_TRUE(lead_most_us > scene.ahead_max / 2);
            CU_ASSERT_TRUE(lead_most_us <= scene.ahead_max + 1);
        }
    CU_ASSERT_TRUE(without_us > PEN_MILLISECONDS(1500));
}

static void all_sources_of_a_job_are_aligned_with_each_other(void)
{
    for (uint32_t parallelism = 1; parallelism <= 3; parallelism++) {
        set_speeds(4, 2000); /* the slow two are one source's, the fast two the other's */
        scene.two_sources = true;
        scene.ahead_max = PEN_MILLISECONDS(100);
        begin(parallelism);
        finish();
        CU_ASSERT_EQUAL(seen, 3 * 2 * 2000);
        CU_ASSERT_TRUE(lead_most_us > PEN_MILLISECONDS(50));
        CU_ASSERT_TRUE(lead_most_us <= PEN_MILLISECONDS(100) + 1);
    }
}

/* One after the other, with subtasks that get no split at all, and some that end early. */
static void who_has_nothing_to_give_holds_nobody(void)
{
    for (uint32_t parallelism = 1; parallelism <= 8; parallelism++)
        for (uint32_t overlap = 0; overlap < 2; overlap++) {
            set_speeds(4, 2000);
            scene.overlap = overlap;
            scene.ahead_max = PEN_MILLISECONDS(50);
            parts[0].gives = 10;
            parts[1].gives = 0;
            begin(parallelism);
            finish();
            CU_ASSERT_EQUAL(seen, 2 * (2 * 2000 + 10));
            CU_ASSERT_EQUAL(ends, parallelism);
        }
}

static void who_waits_takes_no_other_split(void)
{
    set_speeds(8, 1000);
    for (uint32_t p = 0; p < 8; p++)
        parts[p].next_us = p * PEN_SECONDS(1); /* each waits for the one before */
    scene.overlap = false;
    scene.ahead_max = PEN_MILLISECONDS(50);
    begin(2);
    finish();
    CU_ASSERT_EQUAL(seen, 2 * 8 * 1000);
    CU_ASSERT_EQUAL(open_most, 2);
}

static void who_is_silent_holds_the_others_until_it_is_idle(void)
{
    for (uint32_t parallelism = 1; parallelism <= 3; parallelism++)
        for (uint32_t idle = 0; idle < 2; idle++) {
            set_speeds(3, 2000);
            scene.ahead_max = PEN_MILLISECONDS(100);
            scene.idle_after = idle ? PEN_SECONDS(1) : 0;
            parts[0].gives = 1;
            parts[0].ends = false;
            begin(parallelism);
            step(50); /* half a second: it is not idle yet */
            CU_ASSERT_TRUE(parts[1].gives > 1500);
            CU_ASSERT_TRUE(parts[2].gives > 1500);
            step(500);
            CU_ASSERT_EQUAL(parts[1].gives == 0, idle);
            CU_ASSERT_EQUAL(parts[2].gives == 0, idle);
            finish_by(ENG_COMMAND_DRAIN); /* also while they wait */
        }
}

/* The slow one's chain is blocked for long: the others wait, and are not taken for idle. */
static void who_waits_is_not_idle(void)
{
    set_speeds(2, 2000);
    scene.ahead_max = PEN_MILLISECONDS(100);
    scene.idle_after = PEN_SECONDS(1);
    parts[0].gives = 0;
    parts[0].ends = parts[1].ends = false;
    begin(1);
    for (uint32_t i = 0; i < 1000; i++) {
        parts[0].gives = i % 50 == 0; /* now and then: never silent for a second */
        step(1);
    }
    int64_t waiting_us = parts[1].largest_us;
    CU_ASSERT_TRUE(waiting_us > PEN_MILLISECONDS(100));
    CU_ASSERT_TRUE(parts[1].gives > 0);
    /* The slow one overtakes it. Were the other idle, the watermark would follow the slow one. */
    parts[0].next_us = PEN_SECONDS(100);
    parts[0].gives = 1;
    parts[1].gives = 0;
    step(3);
    figure_is("time", waiting_us - 1);
    finish_by(ENG_COMMAND_STOP);
}

static void a_blocked_chain_holds_the_others_and_goes_on(void)
{
    for (uint32_t parallelism = 1; parallelism <= 3; parallelism++) {
        set_speeds(4, 2000);
        scene.ahead_max = PEN_MILLISECONDS(100);
        begin(parallelism);
        step(30);
        stuck = true;
        step(500);
        stuck = false;
        finish();
        CU_ASSERT_EQUAL(seen, 2 * 4 * 2000);
        CU_ASSERT_TRUE(lead_most_us <= PEN_MILLISECONDS(100) + 1);
    }
}

/* ---- Generators ------------------------------------------------------------------------------ */

enum { MADE = 60000, MADE_EACH = MADE / 3, MADE_IN_A_TURN = 1024 };

static int64_t made[3], made_us[3];

/* The times of the first subtask go ten times slower than those of the others. */
static void make(pen_context *ctx, uint64_t index)
{
    uint32_t s = pen_subtask(ctx);

    (void)index;
    made_us[s] = made[s]++ * (s == 0 ? 1 : 10);
    if (made[0] < MADE_EACH - 512 && made_us[s] - made_us[0] > lead_most_us)
        lead_most_us = made_us[s] - made_us[0];
    pen_emit(ctx, reading, .at = {made_us[s]}, .part = s);
}
PEN_GENERATE(make, reading);

static void made_job(pen_graph *graph)
{
    pen_sink(pen_event_time(pen_generate(graph, make, .count = MADE), "at",
                            .ahead_max = scene.ahead_max),
             see);
}

static void make_none(pen_context *ctx, uint64_t index)
{
    (void)ctx;
    (void)index;
}
PEN_GENERATE(make_none, reading);

static void silent_job(pen_graph *graph)
{
    pen_sink(pen_event_time(pen_generate(graph, make_none), "at", .idle_after = PEN_SECONDS(1),
                            .id = "time"),
             see);
}

static void a_generator_that_makes_nothing_is_silent_from_its_start(void)
{
    struct eng_local_options options = {.parallelism = 1, .virtual_wall_us = &now_us};
    char reason[4096];

    set_scene(0);
    CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, silent_job, &options, reason, sizeof reason), 0);
    step(100);
    figure_is("time", ENG_WATERMARK_NONE);
    step(2);
    figure_is("time", ENG_WATERMARK_IDLE);
    finish_by(ENG_COMMAND_STOP);
}

static void generators_wait_too(void)
{
    for (uint32_t aligned = 0; aligned < 2; aligned++) {
        struct eng_local_options options = {.parallelism = 3, .virtual_wall_us = &now_us};
        char reason[4096];

        set_scene(0);
        memset(made, 0, sizeof made);
        scene.ahead_max = aligned ? 1000 : 0;
        CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, made_job, &options, reason, sizeof reason), 0);
        finish();
        CU_ASSERT_EQUAL(seen, MADE);
        CU_ASSERT_EQUAL(lead_most_us > 1000 + 10 * MADE_IN_A_TURN, !aligned);
    }
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("engine/operator/alignment", NULL, NULL);
    CU_ADD_TEST(suite, a_silent_split_is_left_out_until_its_next_record);
    CU_ADD_TEST(suite, when_all_are_silent_the_largest_holds_and_it_is_idle);
    CU_ADD_TEST(suite, silence_for_ever_ends_as_it_is_told_to);
    CU_ADD_TEST(suite, only_time_in_which_a_split_is_asked_is_silence);
    CU_ADD_TEST(suite, nobody_is_further_ahead_than_that);
    CU_ADD_TEST(suite, all_sources_of_a_job_are_aligned_with_each_other);
    CU_ADD_TEST(suite, who_has_nothing_to_give_holds_nobody);
    CU_ADD_TEST(suite, who_waits_takes_no_other_split);
    CU_ADD_TEST(suite, who_is_silent_holds_the_others_until_it_is_idle);
    CU_ADD_TEST(suite, who_waits_is_not_idle);
    CU_ADD_TEST(suite, a_blocked_chain_holds_the_others_and_goes_on);
    CU_ADD_TEST(suite, a_generator_that_makes_nothing_is_silent_from_its_start);
    CU_ADD_TEST(suite, generators_wait_too);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
