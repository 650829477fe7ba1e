/* pen_interval_join, against a plain loop.
 * Shows: engine/operator/{join,join_interval}.
 * Method: random records of both sides around a clock that moves, some of them late, with few keys;
 * watermarks of both sides in turn. After each step everything that came out is as the loop says:
 * pairs, rows without a partner, event times. */
#include "tests/join_model.h"

enum { STEPS = 1200 };

struct model {
    struct join_record *records;
    bool *matched, *gone;
    uint32_t count;
    int64_t low, high; /* of the right side's times, from the left one's */
    bool outer[2];
    int64_t watermark;
};

static int64_t over_at(const struct model *model, const struct join_record *record)
{
    return record->at + (record->side == LEFT ? model->high : -model->low);
}

static void model_push(struct model *model, struct join_test *join,
                       const struct join_record *record)
{
    uint32_t own = model->count++;
    model->records[own] = *record;
    for (uint32_t i = 0; i < own; i++) {
        const struct join_record *other = &model->records[i];
        if (other->side == record->side || other->key != record->key) continue;
        if (over_at(model, other) <= model->watermark) continue;
        int64_t apart = record->side == LEFT ? other->at - record->at : record->at - other->at;
        if (apart < model->low || apart > model->high) continue;
        model->matched[own] = model->matched[i] = true;
        join_expect_of(join, record->side, record->id, other->id,
                       record->at > other->at ? record->at : other->at, PEN_INSERT);
    }
    if (over_at(model, record) > model->watermark) return;
    model->gone[own] = true;
    if (model->outer[record->side] && !model->matched[own])
        join_expect_of(join, record->side, record->id, -1, record->at, PEN_INSERT);
}

static void model_watermark(struct model *model, struct join_test *join, int64_t watermark)
{
    if (watermark > model->watermark) model->watermark = watermark;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct join_record *record = &model->records[i];
        if (model->gone[i] || over_at(model, record) > model->watermark) continue;
        model->gone[i] = true;
        if (model->outer[record->side] && !model->matched[i])
            join_expect_of(join, record->side, record->id, -1, record->at, PEN_INSERT);
    }
}

static void run(int64_t low, int64_t high, enum pen_outer outer, uint32_t parallelism,
                uint32_t keys)
{
    struct join_test join;
    struct model model = {.low = low, .high = high, .watermark = INT64_MIN + 1};
    uint64_t seed = (uint64_t)(low * 31 + high * 7) + outer * 1000 + parallelism;
    model.records = calloc(STEPS, sizeof *model.records);
    model.matched = calloc(STEPS, 1);
    model.gone = calloc(STEPS, 1);
    CU_ASSERT_TRUE_FATAL(model.records && model.matched && model.gone);
    model.outer[LEFT] = outer == PEN_OUTER_LEFT || outer == PEN_OUTER_BOTH;
    model.outer[RIGHT] = outer == PEN_OUTER_RIGHT || outer == PEN_OUTER_BOTH;

    join_open(&join, seed, parallelism, false, false);
    join_start(&join, pen_interval_join(pen_key_by(join.inputs[LEFT], "key"),
                                        pen_key_by(join.inputs[RIGHT], "key"), match, .id = "join",
                                        .from = low, .to = high, .outer = outer));
    int64_t clock = -200;
    for (uint32_t step = 0; step < STEPS; step++) {
        clock += (int64_t)join_random(&join, 3);
        if (join_random(&join, 12) == 0) {
            int64_t at = clock - (int64_t)join_random(&join, 30);
            model_watermark(&model, &join, join_watermark(&join, (int)join_random(&join, 2), at));
        } else {
            struct join_record record = {
                .side = (int)join_random(&join, 2),
                .key = (int64_t)join_random(&join, keys) + JOIN_NULL_KEY,
                .at = clock - (int64_t)join_random(&join, 60),
                .id = step,
            };
            join_push(&join, &record);
            model_push(&model, &join, &record);
        }
        if (!join_check(&join)) CU_FAIL_FATAL("the join differs from the loop");
    }
    pen_test_end(join.test);
    model_watermark(&model, &join, INT64_MAX);
    CU_ASSERT_TRUE(join_check(&join));
    join_close(&join);
    free(model.records);
    free(model.matched);
    free(model.gone);
}

static void pairs_are_those_of_a_loop(void)
{
    static const int64_t spans[][2] = {{0, 20}, {-15, 15}, {-20, 0}, {10, 30}, {-30, -10}, {0, 0}};
    for (uint32_t i = 0; i < 6; i++)
        for (enum pen_outer outer = PEN_OUTER_NONE; outer <= PEN_OUTER_BOTH; outer++)
            run(spans[i][0], spans[i][1], outer, 1 + (i + outer) % 3, 3);
}

static void one_key_and_many_workers_make_no_difference(void)
{
    run(-15, 25, PEN_OUTER_BOTH, 8, 40);
    run(-15, 25, PEN_OUTER_BOTH, 1, 1);
}

/* ---- The watermark behind an outer join ------------------------------------------------------ */

struct seen {
    int64_t watermark; /* when it came */
    int64_t at;
};
PEN_RECORD(seen, watermark, at);

static void look(pen_context *ctx, const struct pair *pair)
{
    (void)pair;
    pen_emit(ctx, seen, .watermark = pen_watermark(ctx).us, .at = pen_record_time(ctx).us);
}
PEN_MAP(look, pair, seen);

/* Records that come in time never make a result that is late. */
static void what_is_in_time_stays_in_time(void)
{
    for (enum pen_outer outer = PEN_OUTER_NONE; outer <= PEN_OUTER_BOTH; outer++) {
        struct join_test join;
        const struct seen *seen;
        uint32_t count = 0;
        join_open(&join, outer + 5, 1, false, false);
        join_start(&join,
                   pen_map(pen_interval_join(pen_key_by(join.inputs[LEFT], "key"),
                                             pen_key_by(join.inputs[RIGHT], "key"), match,
                                             .id = "join", .from = -20, .to = 35, .outer = outer),
                           look));
        int64_t watermarks[2] = {-100, -100};
        for (uint32_t step = 0; step < 1000; step++) {
            int side = (int)join_random(&join, 2);
            if (join_random(&join, 4) == 0) {
                watermarks[side] += (int64_t)join_random(&join, 10);
                join_watermark(&join, side, watermarks[side]);
            } else {
                join_push(&join, &(struct join_record){.side = side,
                                                       .key = (int64_t)join_random(&join, 5),
                                                       .at = watermarks[side] + 1 +
                                                             (int64_t)join_random(&join, 30),
                                                       .id = step});
            }
            while ((seen = pen_test_next(join.test, join.out, seen))) {
                count++;
                CU_ASSERT_TRUE(seen->at > seen->watermark);
            }
        }
        CU_ASSERT_TRUE(count > 300);
        join_close(&join);
    }
}

static void times_at_the_ends_of_time_are_defined(void)
{
    static const int64_t times[] = {INT64_MIN, INT64_MIN + 5, 0, INT64_MAX - 5, INT64_MAX};
    struct join_test join;
    join_open(&join, 1, 1, false, false);
    join_start(&join, pen_interval_join(pen_key_by(join.inputs[LEFT], "key"),
                                        pen_key_by(join.inputs[RIGHT], "key"), match, .id = "join",
                                        .from = -10, .to = 10, .outer = PEN_OUTER_BOTH));
    for (uint32_t i = 0; i < 5; i++)
        for (int side = 0; side < 2; side++)
            join_push(&join, &(struct join_record){.side = side, .at = times[i], .id = i});
    for (uint32_t i = 0; i < 5; i++)
        for (uint32_t j = 0; j < 5; j++)
            if (i == j || (i < 2 && j < 2) || (i > 2 && j > 2))
                join_expect(&join, i, j, times[i] > times[j] ? times[i] : times[j], PEN_INSERT);
    CU_ASSERT_TRUE(join_check(&join));
    join_push(&join, &(struct join_record){.side = LEFT, .key = 1, .at = INT64_MAX, .id = 7});
    join_watermark(&join, LEFT, INT64_MAX - 1);
    join_watermark(&join, RIGHT, INT64_MAX - 1);
    CU_ASSERT_TRUE(join_check(&join));
    pen_test_end(join.test);
    join_expect(&join, 7, -1, INT64_MAX, PEN_INSERT);
    CU_ASSERT_TRUE(join_check(&join));
    join_close(&join);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("join/interval", NULL, NULL);
    CU_ADD_TEST(suite, pairs_are_those_of_a_loop);
    CU_ADD_TEST(suite, one_key_and_many_workers_make_no_difference);
    CU_ADD_TEST(suite, what_is_in_time_stays_in_time);
    CU_ADD_TEST(suite, times_at_the_ends_of_time_are_defined);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
