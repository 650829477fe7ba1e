/* pen_join without a window, against a plain loop.
 * Shows: engine/operator/join_regular.
 * Method: random rows that come, change and go, equal ones among them, take-backs of rows that were
 * never there; with and without outer sides, a time to live by event time and by the clock. After
 * each step everything that came out is as the loop says: pairs, rows alone, row kinds, times. And
 * folded they are, at any time, the join of the rows that there are. */
#include "tests/join_model.h"

enum { STEPS = 1500 };

struct row {
    struct join_record record;
    int64_t stamp;
    bool alone;
};

struct model {
    struct row *rows[2];
    uint32_t counts[2];
    bool outer[2];
    int64_t ttl; /* 0: none */
    bool by_clock, no_before;
    int64_t watermark, clock;
};

static bool is_live(const struct model *model, const struct row *row, int64_t now)
{
    return model->ttl == 0 || row->stamp + model->ttl > now;
}

static bool any_live(const struct model *model, int side, int64_t key, int64_t now)
{
    for (uint32_t i = 0; i < model->counts[side]; i++)
        if (model->rows[side][i].record.key == key && is_live(model, &model->rows[side][i], now))
            return true;
    return false;
}

static void expect(const struct model *model, struct join_test *join, int side, int64_t own,
                   int64_t partner, int64_t at, enum pen_row row)
{
    if (model->no_before && row == PEN_UPDATE_BEFORE) return;
    join_expect_of(join, side, own, partner, at, join->updating ? row : PEN_INSERT);
}

/* Takes out the row that is equal. -1: there is none; else whether it was alone. */
static int model_take_out(struct model *model, const struct join_record *record, int64_t now)
{
    struct row *rows = model->rows[record->side];

    for (uint32_t i = 0; i < model->counts[record->side]; i++) {
        struct row *row = &rows[i];
        if (row->record.key != record->key || row->record.id != record->id ||
            row->record.at != record->at || !is_live(model, row, now))
            continue;
        int alone = row->alone;
        rows[i] = rows[--model->counts[record->side]];
        return alone;
    }
    return -1;
}

static void model_push(struct model *model, struct join_test *join,
                       const struct join_record *record)
{
    int side = record->side, other = !side;
    int64_t event = record->at > model->watermark ? record->at : model->watermark;
    int64_t now = model->by_clock ? model->clock : event;
    bool back = record->row == PEN_UPDATE_BEFORE || record->row == PEN_DELETE, last = false;
    int alone;

    if (back) {
        alone = model_take_out(model, record, now);
        if (alone < 0) return;
        last = !any_live(model, side, record->key, now);
    } else {
        alone = model->outer[side] && !any_live(model, other, record->key, now);
        model->rows[side][model->counts[side]++] =
            (struct row){*record, model->by_clock ? model->clock : record->at, alone};
    }
    if (alone) expect(model, join, side, record->id, -1, record->at, record->row);
    for (uint32_t i = 0; i < model->counts[other]; i++) {
        struct row *row = &model->rows[other][i];
        if (row->record.key != record->key || !is_live(model, row, now)) continue;
        int64_t at = row->record.at > record->at ? row->record.at : record->at;
        if (row->alone && !back) {
            expect(model, join, other, row->record.id, -1, at, PEN_DELETE);
            row->alone = false;
        }
        expect(model, join, side, record->id, row->record.id, at, record->row);
        if (last && model->outer[other]) {
            expect(model, join, other, row->record.id, -1, at, PEN_INSERT);
            row->alone = true;
        }
    }
}

/* ---- What the results add up to -------------------------------------------------------------- */

enum { FOLD = STEPS + 1 };

struct fold {
    int16_t *counts; /* [left + 1][right + 1] */
};

static void fold_add(struct fold *fold, const struct join_test *join)
{
    for (uint32_t i = 0; i < join->got_count; i++) {
        const struct join_row *row = &join->got[i];
        bool back = row->row == PEN_UPDATE_BEFORE || row->row == PEN_DELETE;
        int16_t *count = &fold->counts[(row->left + 1) * FOLD + row->right + 1];
        *count = (int16_t)(*count + (back ? -1 : 1));
        if (*count < 0) CU_FAIL("a row is taken back that was not given");
    }
}

static void fold_check(struct fold *fold, const struct model *model)
{
    for (uint32_t l = 0; l < model->counts[LEFT]; l++) {
        const struct join_record *left = &model->rows[LEFT][l].record;
        bool alone = true;
        for (uint32_t r = 0; r < model->counts[RIGHT]; r++) {
            const struct join_record *right = &model->rows[RIGHT][r].record;
            if (right->key != left->key) continue;
            alone = false;
            fold->counts[(left->id + 1) * FOLD + right->id + 1]--;
        }
        if (alone && model->outer[LEFT]) fold->counts[(left->id + 1) * FOLD]--;
    }
    for (uint32_t r = 0; r < model->counts[RIGHT]; r++) {
        const struct join_record *right = &model->rows[RIGHT][r].record;
        if (model->outer[RIGHT] && !any_live(model, LEFT, right->key, 0))
            fold->counts[right->id + 1]--;
    }
    for (uint32_t i = 0; i < FOLD * FOLD; i++)
        if (fold->counts[i] != 0) {
            CU_FAIL("the results do not add up to the join");
            return;
        }
}

/* ---- Runs ------------------------------------------------------------------------------------ */

struct options {
    enum pen_outer outer;
    bool left_updating, right_updating, by_clock, no_before;
    int64_t ttl;
    uint32_t parallelism, keys;
};

/* A row that is there, mostly, to be taken back. */
static void choose_back(struct join_test *join, const struct model *model,
                        struct join_record *record)
{
    uint32_t count = model->counts[record->side];

    record->row = join_random(join, 2) ? PEN_DELETE : PEN_UPDATE_BEFORE;
    if (count == 0 || join_random(join, 10) == 0) return;
    const struct row *row = &model->rows[record->side][join_random(join, count)];
    record->key = row->record.key;
    record->at = row->record.at;
    record->id = row->record.id;
}

static void step_record(struct join_test *join, struct model *model, const struct options *options,
                        uint32_t step, int64_t clock)
{
    struct join_record record = {
        .side = (int)join_random(join, 2),
        .key = (int64_t)join_random(join, options->keys) + JOIN_NULL_KEY,
        .at = clock - (int64_t)join_random(join, 60),
        .id = (int64_t)step - (int64_t)join_random(join, 2), /* sometimes another one's */
    };
    if (record.id < 0) record.id = 0;
    bool updating = record.side == LEFT ? options->left_updating : options->right_updating;

    if (updating && join_random(join, 5) < 2)
        choose_back(join, model, &record);
    else if (updating && join_random(join, 3) == 0)
        record.row = PEN_UPDATE_AFTER;
    if (updating && join_random(join, 20) == 0 && model->counts[record.side] > 0)
        record.id = model->rows[record.side][0].record.id;
    join_push(join, &record);
    model_push(model, join, &record);
}

static pen_stream join_with(const struct join_test *join, const struct options *options)
{
    return pen_join(pen_key_by(join->inputs[LEFT], "key"), pen_key_by(join->inputs[RIGHT], "key"),
                    match, .id = "join", .outer = options->outer, .ttl = options->ttl,
                    .ttl_clock = options->by_clock ? PEN_CLOCK_TIME : PEN_EVENT_TIME,
                    .no_before = options->no_before);
}

static void run(struct options options)
{
    struct join_test join;
    struct model model = {.watermark = INT64_MIN + 1,
                          .ttl = options.ttl,
                          .by_clock = options.by_clock,
                          .no_before = options.no_before};
    struct fold fold = {calloc(FOLD * FOLD, sizeof *fold.counts)};
    uint64_t seed = options.outer * 100 + options.left_updating * 10 + options.right_updating * 20 +
                    (uint64_t)options.ttl + options.parallelism;
    bool adds_up = options.ttl == 0 && !options.no_before;
    for (int side = 0; side < 2; side++)
        model.rows[side] = calloc(STEPS, sizeof *model.rows[side]);
    CU_ASSERT_TRUE_FATAL(fold.counts && model.rows[LEFT] && model.rows[RIGHT]);
    model.outer[LEFT] = options.outer == PEN_OUTER_LEFT || options.outer == PEN_OUTER_BOTH;
    model.outer[RIGHT] = options.outer == PEN_OUTER_RIGHT || options.outer == PEN_OUTER_BOTH;

    join_open(&join, seed, options.parallelism, options.left_updating, options.right_updating);
    join.updating = options.outer || options.left_updating || options.right_updating;
    join_start(&join, join_with(&join, &options));
    int64_t clock = 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        clock += (int64_t)join_random(&join, 4);
        if (join_random(&join, 12) == 0) {
            int64_t at = clock - (int64_t)join_random(&join, 30);
            at = join_watermark(&join, (int)join_random(&join, 2), at);
            if (at > model.watermark) model.watermark = at;
        } else if (options.by_clock && join_random(&join, 8) == 0) {
            model.clock += (int64_t)join_random(&join, 60);
            pen_test_clock(join.test, (pen_time){model.clock});
        } else {
            step_record(&join, &model, &options, step, clock);
        }
        join_collect(&join);
        if (adds_up) fold_add(&fold, &join);
        if (!join_check(&join)) CU_FAIL_FATAL("the join differs from the loop");
    }
    pen_test_end(join.test);
    CU_ASSERT_TRUE(join_check(&join));
    if (adds_up) fold_check(&fold, &model);
    join_close(&join);
    for (int side = 0; side < 2; side++)
        free(model.rows[side]);
    free(fold.counts);
}

static void inserts_make_pairs(void)
{
    run((struct options){.parallelism = 1, .keys = 20});
    run((struct options){.parallelism = 3, .keys = 40});
}

static void rows_that_go_take_their_pairs_along(void)
{
    for (enum pen_outer outer = PEN_OUTER_NONE; outer <= PEN_OUTER_BOTH; outer++)
        for (uint32_t updating = 0; updating < 4; updating++)
            run((struct options){.outer = outer,
                                 .left_updating = updating & 1,
                                 .right_updating = updating & 2,
                                 .parallelism = 1 + (updating + outer) % 3,
                                 .keys = 12 + 8 * updating});
    run((struct options){.outer = PEN_OUTER_BOTH,
                         .left_updating = true,
                         .right_updating = true,
                         .parallelism = 8,
                         .keys = 200});
}

static void results_may_go_without_what_was_before(void)
{
    run((struct options){.outer = PEN_OUTER_BOTH,
                         .left_updating = true,
                         .right_updating = true,
                         .no_before = true,
                         .parallelism = 2,
                         .keys = 15});
}

static void what_lives_too_long_goes_in_silence(void)
{
    for (enum pen_outer outer = PEN_OUTER_NONE; outer <= PEN_OUTER_BOTH; outer++)
        for (uint32_t updating = 0; updating < 2; updating++)
            for (uint32_t by_clock = 0; by_clock < 2; by_clock++)
                run((struct options){.outer = outer,
                                     .left_updating = updating,
                                     .right_updating = updating,
                                     .by_clock = by_clock,
                                     .ttl = 100,
                                     .parallelism = 1 + updating,
                                     .keys = 12});
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("join/regular", NULL, NULL);
    CU_ADD_TEST(suite, inserts_make_pairs);
    CU_ADD_TEST(suite, rows_that_go_take_their_pairs_along);
    CU_ADD_TEST(suite, results_may_go_without_what_was_before);
    CU_ADD_TEST(suite, what_lives_too_long_goes_in_silence);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
