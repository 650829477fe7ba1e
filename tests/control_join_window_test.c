/* pen_join with a window, against a plain loop.
 * Shows: engine/operator/join_window.
 * Method: random records around a clock that moves, some late; tumbling, sliding, cumulating,
 * calendar and attached windows, by event time and by the clock. When the watermark has passed
 * windows, everything that came out is as the loop over all pairs says; before that nothing is. */
#include "tests/join_model.h"

enum { STEPS = 1200, WINDOWS_MAX = 8 };

struct span {
    int64_t from, to;
};

struct model {
    struct join_record *records;
    int64_t *arrived; /* the watermark then */
    uint32_t count;
    struct pen_window window;
    bool outer[2];
    int64_t watermark;
};

static int64_t floor_to(int64_t at, int64_t step)
{
    int64_t rest = at % step;
    return at - (rest < 0 ? rest + step : rest);
}

/* The windows that a record lies in. */
static uint32_t windows_of(const struct model *model, const struct join_record *record,
                           struct span *spans)
{
    const struct pen_window *window = &model->window;
    int64_t at = record->at - window->offset;
    uint32_t count = 0;

    switch (window->kind) {
    case PEN_WINDOW_ATTACHED:
        if (record->from < record->to) spans[count++] = (struct span){record->from, record->to};
        return count;
    case PEN_WINDOW_CALENDAR: /* days of a place without summer time, in these tests */
        spans[count].from = floor_to(at, PEN_DAYS(1));
        spans[count].to = spans[count].from + PEN_DAYS(1);
        return 1;
    case PEN_WINDOW_CUMULATING:
        for (int64_t to = floor_to(at, window->slide) + window->slide;
             to <= floor_to(at, window->size) + window->size; to += window->slide)
            spans[count++] =
                (struct span){floor_to(at, window->size) + window->offset, to + window->offset};
        return count;
    default:
        for (int64_t from = floor_to(at, window->slide); from + window->size > at;
             from -= window->slide)
            spans[count++] =
                (struct span){from + window->offset, from + window->size + window->offset};
        return count;
    }
}

/* Whether a record takes part in a window: it lies in it, and came before it ended. */
static bool takes_part(const struct model *model, uint32_t i, struct span window)
{
    struct span spans[WINDOWS_MAX];
    uint32_t count = windows_of(model, &model->records[i], spans);

    for (uint32_t w = 0; w < count; w++)
        if (spans[w].from == window.from && spans[w].to == window.to)
            return window.to - 1 > model->arrived[i];
    return false;
}

static void model_window(struct model *model, struct join_test *join, uint32_t own,
                         struct span window)
{
    const struct join_record *record = &model->records[own];
    bool alone = true;

    for (uint32_t i = 0; i < model->count; i++) {
        const struct join_record *other = &model->records[i];
        if (other->side == record->side || other->key != record->key) continue;
        if (!takes_part(model, i, window)) continue;
        alone = false;
        if (record->side == LEFT) /* else it is given by the left one */
            join_expect(join, record->id, other->id, window.to - 1, PEN_INSERT);
    }
    if (alone && model->outer[record->side])
        join_expect_of(join, record->side, record->id, -1, window.to - 1, PEN_INSERT);
}

static void model_watermark(struct model *model, struct join_test *join, int64_t watermark)
{
    struct span spans[WINDOWS_MAX];

    if (watermark <= model->watermark) return;
    for (uint32_t i = 0; i < model->count; i++) {
        uint32_t count = windows_of(model, &model->records[i], spans);
        for (uint32_t w = 0; w < count; w++)
            if (spans[w].to - 1 > model->arrived[i] && spans[w].to - 1 > model->watermark &&
                spans[w].to - 1 <= watermark)
                model_window(model, join, i, spans[w]);
    }
    model->watermark = watermark;
}

static void model_push(struct model *model, const struct join_record *record)
{
    model->arrived[model->count] = model->watermark;
    model->records[model->count++] = *record;
}

static void run(struct pen_window window, enum pen_outer outer, uint32_t parallelism, uint32_t keys,
                int64_t scale)
{
    struct join_test join;
    struct model model = {.window = window, .watermark = INT64_MIN + 1};
    bool by_clock = window.clock == PEN_CLOCK_TIME;
    int64_t clock = by_clock ? 0 : -200 * scale;
    model.records = calloc(STEPS, sizeof *model.records);
    model.arrived = calloc(STEPS, sizeof *model.arrived);
    CU_ASSERT_TRUE_FATAL(model.records && model.arrived);
    model.outer[LEFT] = outer == PEN_OUTER_LEFT || outer == PEN_OUTER_BOTH;
    model.outer[RIGHT] = outer == PEN_OUTER_RIGHT || outer == PEN_OUTER_BOTH;

    join_open(&join, (uint64_t)window.kind * 100 + outer * 10 + parallelism, parallelism, false,
              false);
    join_start(&join,
               pen_join(pen_key_by(join.inputs[LEFT], "key"), pen_key_by(join.inputs[RIGHT], "key"),
                        match, .id = "join", .window = window, .outer = outer));
    for (uint32_t step = 0; step < STEPS; step++) {
        if (join_random(&join, 12) == 0 && by_clock) {
            clock += (int64_t)join_random(&join, 30) * scale;
            pen_test_clock(join.test, (pen_time){clock});
            model_watermark(&model, &join, clock - 1);
        } else if (join_random(&join, 12) == 0) {
            int64_t at = clock - (int64_t)join_random(&join, 30) * scale;
            at = join_watermark(&join, (int)join_random(&join, 2), at);
            if (!by_clock && at > INT64_MIN) model_watermark(&model, &join, at);
        } else {
            struct join_record record = {
                .side = (int)join_random(&join, 2),
                .key = (int64_t)join_random(&join, keys) + JOIN_NULL_KEY,
                .at = clock - (int64_t)join_random(&join, 60) * scale,
                .id = step,
            };
            record.from = floor_to(record.at, 10);
            record.to = record.from + 10 * (int64_t)join_random(&join, 3);
            if (!by_clock) clock += (int64_t)join_random(&join, 3) * scale;
            join_push(&join, &record);
            if (by_clock) record.at = clock;
            model_push(&model, &record);
        }
        if (!join_check(&join)) CU_FAIL_FATAL("the join differs from the loop");
    }
    pen_test_end(join.test);
    model_watermark(&model, &join, INT64_MAX);
    CU_ASSERT_TRUE(join_check(&join));
    join_close(&join);
    free(model.records);
    free(model.arrived);
}

static void pairs_of_a_window_come_when_it_ends(void)
{
    const struct pen_window windows[] = {
        pen_tumbling(20),      pen_shifted(pen_tumbling(7), 3),
        pen_sliding(20, 5),    pen_sliding(10, 4),
        pen_sliding(5, 8), /* gaps between */
        pen_cumulating(24, 6), pen_attached("from", "to"),
    };
    for (uint32_t i = 0; i < sizeof windows / sizeof windows[0]; i++)
        for (enum pen_outer outer = PEN_OUTER_NONE; outer <= PEN_OUTER_BOTH; outer++)
            run(windows[i], outer, 1 + (i + outer) % 3, 3, 1);
}

static void days_are_windows_too(void)
{
    run(pen_calendar_of(PEN_DAY, "UTC"), PEN_OUTER_BOTH, 2, 3, PEN_HOURS(1));
}

static void windows_may_go_by_the_clock(void)
{
    for (enum pen_outer outer = PEN_OUTER_NONE; outer <= PEN_OUTER_BOTH; outer++) {
        run(pen_by_clock(pen_tumbling(20)), outer, 1, 3, 1);
        run(pen_by_clock(pen_sliding(20, 5)), outer, 2, 3, 1);
    }
}

static void many_workers_make_no_difference(void)
{
    run(pen_sliding(20, 5), PEN_OUTER_BOTH, 8, 40, 1);
    run(pen_attached("from", "to"), PEN_OUTER_BOTH, 8, 40, 1);
}

/* A year of one key that is due at once. */
static void windows_that_end_together_are_each_looked_at_once(void)
{
    enum { MINUTES = 20000 };
    struct join_test join;
    join_open(&join, 1, 1, false, false);
    join_start(&join, pen_join(pen_key_by(join.inputs[LEFT], "key"),
                               pen_key_by(join.inputs[RIGHT], "key"), match, .id = "join",
                               .window = pen_sliding(PEN_MINUTES(1), PEN_SECONDS(30))));
    for (int64_t i = 0; i < MINUTES; i++)
        for (int side = 0; side < 2; side++)
            join_push(&join,
                      &(struct join_record){.side = side, .key = 1, .at = PEN_MINUTES(i), .id = i});
    pen_test_end(join.test);
    for (int64_t i = 0; i < MINUTES; i++) {
        join_expect(&join, i, i, PEN_MINUTES(i) + PEN_SECONDS(30) - 1, PEN_INSERT);
        join_expect(&join, i, i, PEN_MINUTES(i) + PEN_SECONDS(60) - 1, PEN_INSERT);
    }
    CU_ASSERT_TRUE(join_check(&join));
    join_close(&join);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("join/window", NULL, NULL);
    CU_ADD_TEST(suite, pairs_of_a_window_come_when_it_ends);
    CU_ADD_TEST(suite, days_are_windows_too);
    CU_ADD_TEST(suite, windows_may_go_by_the_clock);
    CU_ADD_TEST(suite, many_workers_make_no_difference);
    CU_ADD_TEST(suite, windows_that_end_together_are_each_looked_at_once);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
