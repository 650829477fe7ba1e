/* pen_temporal_join, against a plain loop.
 * Shows: engine/operator/join_temporal.
 * Method: random left records and versions around a clock that moves, some late, some of one time;
 * on an updating right side also ends of versions. After each step everything that came out is as
 * the loop says, and the left records of a key come in the order of their times. */
#include "tests/join_model.h"

enum { STEPS = 1500 };

struct model {
    struct join_record *versions, *lefts;
    uint32_t version_count, left_count;
    int64_t valid_for;
    bool outer;
    int64_t watermark;
};

static bool is_later(const struct join_record *a, const struct join_record *b)
{
    return a->at != b->at ? a->at > b->at : a->id > b->id;
}

static bool is_valid(const struct model *model, const struct join_record *version, int64_t at)
{
    if (version->row == PEN_DELETE) return false;
    return model->valid_for == 0 || version->at + model->valid_for >= at;
}

/* Forgets what no record after the watermark can ask for. */
static void model_clean(struct model *model)
{
    uint32_t kept = 0;
    bool gone[STEPS];

    for (uint32_t i = 0; i < model->version_count; i++) {
        const struct join_record *version = &model->versions[i];
        gone[i] = version->at <= model->watermark &&
                  !is_valid(model, version,
                            model->watermark == INT64_MAX ? INT64_MAX : model->watermark + 1);
        for (uint32_t j = 0; j < model->version_count; j++)
            if (model->versions[j].key == version->key &&
                model->versions[j].at <= model->watermark && is_later(&model->versions[j], version))
                gone[i] = true;
    }
    for (uint32_t i = 0; i < model->version_count; i++)
        if (!gone[i]) model->versions[kept++] = model->versions[i];
    model->version_count = kept;
}

static void model_give(const struct model *model, struct join_test *join,
                       const struct join_record *left)
{
    const struct join_record *found = NULL;

    for (uint32_t i = 0; i < model->version_count; i++) {
        const struct join_record *version = &model->versions[i];
        if (version->key != left->key || version->at > left->at) continue;
        if (!found || is_later(version, found)) found = version;
    }
    if (found && is_valid(model, found, left->at))
        join_expect(join, left->id, found->id, left->at, PEN_INSERT);
    else if (model->outer)
        join_expect(join, left->id, -1, left->at, PEN_INSERT);
}

static void model_push(struct model *model, struct join_test *join,
                       const struct join_record *record)
{
    if (record->side == LEFT) {
        if (record->at <= model->watermark)
            model_give(model, join, record);
        else
            model->lefts[model->left_count++] = *record;
        return;
    }
    if (record->row == PEN_UPDATE_BEFORE) return;
    model->versions[model->version_count++] = *record;
    model_clean(model);
}

static void model_watermark(struct model *model, struct join_test *join, int64_t watermark)
{
    uint32_t kept = 0;

    if (watermark <= model->watermark) return;
    model->watermark = watermark;
    for (uint32_t i = 0; i < model->left_count; i++) {
        if (model->lefts[i].at <= watermark)
            model_give(model, join, &model->lefts[i]);
        else
            model->lefts[kept++] = model->lefts[i];
    }
    model->left_count = kept;
    model_clean(model);
}

/* What came out since the last check, before it is sorted. Without late records all lefts of a key
 * come in the order of their times; ids say which key. */
static bool in_order(struct join_test *join, const int64_t *keys, int64_t *last)
{
    bool good = true;

    join_collect(join);
    for (uint32_t i = 0; i < join->got_count; i++) {
        int64_t *before = &last[keys[join->got[i].left] - JOIN_NULL_KEY];
        if (join->got[i].at < *before) good = false;
        *before = join->got[i].at;
    }
    return good;
}

static void run(int64_t valid_for, bool outer, bool updating, bool late, uint32_t parallelism,
                uint32_t keys)
{
    struct join_test join;
    struct model model = {.valid_for = valid_for, .outer = outer, .watermark = INT64_MIN + 1};
    uint64_t seed = (uint64_t)valid_for * 8 + outer * 4 + updating * 2 + late + parallelism * 1000;
    int64_t key_of[STEPS], last[64], watermarks[2] = {-300, -300}, clock = -200;
    model.versions = calloc(STEPS, sizeof *model.versions);
    model.lefts = calloc(STEPS, sizeof *model.lefts);
    CU_ASSERT_TRUE_FATAL(model.versions && model.lefts);
    for (uint32_t i = 0; i < 64; i++)
        last[i] = INT64_MIN;

    join_open(&join, seed, parallelism, false, updating);
    join_start(&join, pen_temporal_join(pen_key_by(join.inputs[LEFT], "key"),
                                        pen_key_by(join.inputs[RIGHT], "key"), match, .id = "join",
                                        .valid_for = valid_for,
                                        .outer = outer ? PEN_OUTER_LEFT : PEN_OUTER_NONE));
    for (uint32_t step = 0; step < STEPS; step++) {
        clock += (int64_t)join_random(&join, 3);
        int side = (int)join_random(&join, 2);
        key_of[step] = (int64_t)join_random(&join, keys) + JOIN_NULL_KEY;
        if (join_random(&join, 12) == 0) {
            int64_t at = clock - (int64_t)join_random(&join, 30);
            if (at > watermarks[side]) watermarks[side] = at;
            int64_t both = join_watermark(&join, side, at);
            if (both > INT64_MIN) model_watermark(&model, &join, both);
        } else {
            struct join_record record = {
                .side = side,
                .key = key_of[step],
                .at = clock - (int64_t)join_random(&join, 50),
                .id = step,
            };
            if (updating && side == RIGHT) record.row = (enum pen_row)join_random(&join, 4);
            if (!late && record.at <= watermarks[side]) record.at = watermarks[side] + 1;
            join_push(&join, &record);
            model_push(&model, &join, &record);
        }
        if (!late) CU_ASSERT_TRUE(in_order(&join, key_of, last));
        if (!join_check(&join)) CU_FAIL_FATAL("the join differs from the loop");
    }
    pen_test_end(join.test);
    model_watermark(&model, &join, INT64_MAX);
    CU_ASSERT_TRUE(join_check(&join));
    join_close(&join);
    free(model.versions);
    free(model.lefts);
}

static void each_record_gets_the_version_of_its_time(void)
{
    for (uint32_t i = 0; i < 16; i++)
        run((i & 1) * 25, i & 2, i & 4, i & 8, 1 + i % 3, 3);
}

static void many_workers_make_no_difference(void)
{
    run(0, true, false, true, 8, 40);
    run(40, true, true, true, 8, 40);
}

/* A million versions of one key are no burden to those who ask for the latest one. */
static void old_versions_are_dropped(void)
{
    struct join_test join;
    join_open(&join, 1, 1, false, false);
    join_start(&join,
               pen_temporal_join(pen_key_by(join.inputs[LEFT], "key"),
                                 pen_key_by(join.inputs[RIGHT], "key"), match, .id = "join"));
    for (int64_t i = 0; i < 20000; i++) {
        join_push(&join, &(struct join_record){.side = RIGHT, .key = 5, .at = i, .id = i});
        if (i % 100 != 0) continue;
        join_push(&join, &(struct join_record){.side = LEFT, .key = 5, .at = i, .id = i});
        join_watermark(&join, LEFT, i);
        join_watermark(&join, RIGHT, i);
        join_expect(&join, i, i, i, PEN_INSERT);
    }
    CU_ASSERT_TRUE(join_check(&join));
    join_close(&join);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("join/temporal", NULL, NULL);
    CU_ADD_TEST(suite, each_record_gets_the_version_of_its_time);
    CU_ADD_TEST(suite, many_workers_make_no_difference);
    CU_ADD_TEST(suite, old_versions_are_dropped);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
