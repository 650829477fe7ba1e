/* Joins as parts of whole jobs: few keys with many partners each, disorder, 1 to 8 workers, and
 * rings so small that they are full most of the time.
 * Method: a sink adds up hashes of the rows that come out, and takes off those that are taken back;
 * a plain loop over all records adds up the same. A key has so many partners that no join can give
 * them in one go. */
#include "tests/local_jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 1500, KEYS = 3, ITEMS = 40, JITTER = 200, UNIT = 2048 };

struct event {
    uint64_t key;
    pen_time at;
    int64_t id;
    int64_t item;
};
PEN_RECORD(event, key, at, id, item);

struct pair {
    int64_t left, right; /* -1: there was none */
};
PEN_RECORD(pair, left, right);

static struct event event_at(uint64_t index, uint64_t side)
{
    uint64_t random = local_mix(index * 2 + side);
    return (struct event){.key = random % KEYS,
                          .at = {((int64_t)index * 10 - (int64_t)(random >> 32) % JITTER) * UNIT +
                                 (int64_t)index}, /* no two of a side are equal */
                          .id = (int64_t)index,
                          .item = (int64_t)((random >> 16) % ITEMS)};
}

static void make_left(pen_context *ctx, uint64_t index)
{
    struct event event = event_at(index, 0);
    pen_send(ctx, event, &event);
}
PEN_GENERATE(make_left, event);

static void make_right(pen_context *ctx, uint64_t index)
{
    struct event event = event_at(index, 1);
    pen_send(ctx, event, &event);
}
PEN_GENERATE(make_right, event);

static void match(pen_context *ctx, const struct event *left, const struct event *right)
{
    pen_emit(ctx, pair, .left = left ? left->id : -1, .right = right ? right->id : -1);
}
PEN_JOIN(match, event, event, pair);

static uint64_t sum, expected;
static int64_t rows, expected_rows;

static uint64_t row_hash(int64_t left, int64_t right, int64_t at)
{
    return local_mix(local_mix(local_mix((uint64_t)left) + (uint64_t)right) + (uint64_t)at);
}

static enum pen_taken see(pen_context *ctx, const struct pair *pair)
{
    sum += row_hash(pair->left, pair->right, pen_record_time(ctx).us);
    rows++;
    return PEN_TAKEN;
}
PEN_SINK(see, pair);

static enum pen_taken see_rows(pen_context *ctx, const struct pair *pair)
{
    bool back = pen_row(ctx) == PEN_DELETE || pen_row(ctx) == PEN_UPDATE_BEFORE;
    uint64_t hash = row_hash(pair->left, pair->right, 0);
    sum += back ? -hash : hash;
    rows += back ? -1 : 1;
    return PEN_TAKEN;
}
PEN_SINK(see_rows, pair);

static void expect(int64_t left, int64_t right, int64_t at)
{
    expected += row_hash(left, right, at);
    expected_rows++;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static pen_keyed left_of(pen_graph *graph)
{
    pen_stream made = pen_generate(graph, make_left, .id = "lefts", .count = RECORDS);
    return pen_key_by(pen_event_time(made, "at", .out_of_order = JITTER * UNIT), "key");
}

static pen_keyed right_of(pen_graph *graph)
{
    pen_stream made = pen_generate(graph, make_right, .id = "rights", .count = RECORDS);
    return pen_key_by(pen_event_time(made, "at", .out_of_order = JITTER * UNIT), "key");
}

static void nothing_seen(void)
{
    sum = 0;
    rows = 0;
}

static void is_as_expected(const struct eng_local *local)
{
    (void)local;
    CU_ASSERT_EQUAL(rows, expected_rows);
    CU_ASSERT_EQUAL(sum, expected);
}

static void run_everywhere(void (*job)(pen_graph *))
{
    local_run_everywhere(job, nothing_seen, is_as_expected);
    expected = 0;
    expected_rows = 0;
}

/* ---- Interval -------------------------------------------------------------------------------- */

enum { FROM = -3000 * UNIT, TO = 2000 * UNIT };

static void interval_job(pen_graph *graph)
{
    pen_sink(pen_interval_join(left_of(graph), right_of(graph), match, .id = "join", .from = FROM,
                               .to = TO, .outer = PEN_OUTER_BOTH),
             see);
}

static void intervals_of_hot_keys(void)
{
    static bool matched[2][RECORDS];
    for (uint64_t l = 0; l < RECORDS; l++)
        for (uint64_t r = 0; r < RECORDS; r++) {
            struct event left = event_at(l, 0), right = event_at(r, 1);
            int64_t apart = right.at.us - left.at.us;
            if (left.key != right.key || apart < FROM || apart > TO) continue;
            matched[0][l] = matched[1][r] = true;
            expect(left.id, right.id, later(left.at.us, right.at.us));
        }
    for (uint64_t i = 0; i < RECORDS; i++) {
        if (!matched[0][i]) expect((int64_t)i, -1, event_at(i, 0).at.us);
        if (!matched[1][i]) expect(-1, (int64_t)i, event_at(i, 1).at.us);
    }
    run_everywhere(interval_job);
}

/* ---- Regular --------------------------------------------------------------------------------- */

static void regular_job(pen_graph *graph)
{
    pen_sink(pen_join(left_of(graph), right_of(graph), match, .id = "join"), see);
}

static void every_pair_of_hot_keys(void)
{
    for (uint64_t l = 0; l < RECORDS; l++)
        for (uint64_t r = 0; r < RECORDS; r++) {
            struct event left = event_at(l, 0), right = event_at(r, 1);
            if (left.key == right.key) expect(left.id, right.id, later(left.at.us, right.at.us));
        }
    run_everywhere(regular_job);
}

struct tally {
    uint64_t key;
    int64_t item;
    int64_t count;
};
PEN_RECORD(tally, key, item, count);

static void match_tallies(pen_context *ctx, const struct tally *left, const struct tally *right)
{
    pen_emit(ctx, pair, .left = left ? left->item * 10000 + left->count : -1,
             .right = right ? right->item * 10000 + right->count : -1);
}
PEN_JOIN(match_tallies, tally, tally, pair);

static pen_stream tallies(pen_stream events, const char *id)
{
    return pen_aggregate(pen_key_by(events, "key", "item"), tally, .id = id,
                         .aggregates = PEN_AGGREGATES(pen_count("count")));
}

static bool is_of_first_key(const struct event *event)
{
    return event->key == 0;
}
PEN_FILTER(is_of_first_key, event);

static void updating_job(pen_graph *graph)
{
    pen_stream left = pen_generate(graph, make_left, .id = "lefts", .count = RECORDS);
    pen_stream right = pen_filter(pen_generate(graph, make_right, .id = "rights", .count = RECORDS),
                                  is_of_first_key);
    pen_sink(pen_join(pen_key_by(tallies(left, "left"), "key"),
                      pen_key_by(tallies(right, "right"), "key"), match_tallies, .id = "join",
                      .outer = PEN_OUTER_BOTH),
             see_rows, .takes_updates = true);
}

static void rows_that_change_under_hot_keys(void)
{
    static int64_t counts[2][KEYS][ITEMS];
    for (uint64_t side = 0; side < 2; side++)
        for (uint64_t i = 0; i < RECORDS; i++) {
            struct event event = event_at(i, side);
            counts[side][event.key][event.item]++;
        }
    for (int64_t key = 0; key < KEYS; key++)
        for (int64_t l = 0; l < ITEMS; l++) {
            if (key > 0) {
                expect(l * 10000 + counts[0][key][l], -1, 0);
                continue;
            }
            for (int64_t r = 0; r < ITEMS; r++)
                expect(l * 10000 + counts[0][key][l], r * 10000 + counts[1][key][r], 0);
        }
    run_everywhere(updating_job);
}

/* ---- Temporal -------------------------------------------------------------------------------- */

enum { VALID = 25 * UNIT };

static void temporal_job(pen_graph *graph)
{
    pen_sink(pen_temporal_join(left_of(graph), right_of(graph), match, .id = "join",
                               .valid_for = VALID, .outer = PEN_OUTER_LEFT),
             see);
}

static void versions_of_hot_keys(void)
{
    for (uint64_t l = 0; l < RECORDS; l++) {
        struct event left = event_at(l, 0);
        int64_t found = -1, found_at = INT64_MIN;
        for (uint64_t r = 0; r < RECORDS; r++) {
            struct event right = event_at(r, 1);
            if (right.key != left.key || right.at.us > left.at.us ||
                right.at.us + VALID < left.at.us || right.at.us < found_at)
                continue;
            found = right.id;
            found_at = right.at.us;
        }
        expect(left.id, found, left.at.us);
    }
    run_everywhere(temporal_job);
}

/* ---- Windows --------------------------------------------------------------------------------- */

enum { SIZE = 4000 * UNIT, SLIDE = 2000 * UNIT };

static void window_job(pen_graph *graph)
{
    pen_sink(pen_join(left_of(graph), right_of(graph), match, .id = "join",
                      .window = pen_sliding(SIZE, SLIDE), .outer = PEN_OUTER_BOTH),
             see);
}

static void windows_of_hot_keys(void)
{
    for (int64_t from = -SIZE; from < RECORDS * 10 * UNIT; from += SLIDE)
        for (uint64_t l = 0; l < RECORDS; l++) {
            struct event left = event_at(l, 0);
            if (left.at.us < from || left.at.us >= from + SIZE) continue;
            bool alone = true;
            for (uint64_t r = 0; r < RECORDS; r++) {
                struct event right = event_at(r, 1);
                if (right.key != left.key || right.at.us < from || right.at.us >= from + SIZE)
                    continue;
                alone = false;
                expect(left.id, right.id, from + SIZE - 1);
            }
            CU_ASSERT_FALSE(alone); /* hot as they are */
        }
    run_everywhere(window_job);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void make_many(pen_context *ctx, uint64_t index)
{
    struct event event = event_at(index, 0);
    event.key = index / 2;
    pen_send(ctx, event, &event);
}
PEN_GENERATE(make_many, event);

static pen_keyed many(pen_graph *graph, const char *id, uint64_t count)
{
    pen_stream made = pen_generate(graph, make_many, .id = id, .count = count);
    return pen_key_by(pen_event_time(made, "at", .out_of_order = JITTER * UNIT), "key");
}

static void hungry_job(pen_graph *graph)
{
    pen_sink(pen_join(many(graph, "lefts", 2000000), many(graph, "rights", 2000000), match,
                      .id = "join"),
             see);
}

static void a_join_that_needs_more_memory_than_there_is_says_so(void)
{
    struct eng_local local;
    struct eng_local_options options = {.parallelism = 1, .memory_bytes = 64 << 20};
    char reason[4096];

    CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, hungry_job, &options, reason, sizeof reason), 0);
    CU_ASSERT_EQUAL(eng_local_run(&local), -EIO);
    const char *failure = eng_local_failure(&local);
    CU_ASSERT_PTR_NOT_NULL_FATAL(failure);
    CU_ASSERT_PTR_NOT_NULL(strstr(failure, "join(match)"));
    CU_ASSERT_PTR_NOT_NULL(strstr(failure, "there is no memory for more"));
    eng_local_close(&local);
}

/* What is kept is bounded by the interval, not by how much has come. */
static void narrow_job(pen_graph *graph)
{
    pen_sink(pen_interval_join(many(graph, "lefts", 500000), many(graph, "rights", 500000), match,
                               .id = "join", .from = -10 * UNIT, .to = 10 * UNIT),
             see);
}

static void what_is_over_gives_its_memory_back(void)
{
    struct eng_local local;
    struct eng_local_options options = {.parallelism = 1, .memory_bytes = 64 << 20};
    char reason[4096];

    rows = 0;
    CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, narrow_job, &options, reason, sizeof reason), 0);
    CU_ASSERT_EQUAL(eng_local_run(&local), 0);
    if (eng_local_failure(&local)) fprintf(stderr, "%s\n", eng_local_failure(&local));
    CU_ASSERT_TRUE(rows >= 500000);
    eng_local_close(&local);
}

/* A row comes and goes at once. */
static void come_and_go(pen_context *ctx, const struct event *event, struct pen_none *none)
{
    (void)none;
    pen_emit_as(ctx, PEN_INSERT, event, .key = event->key, .id = event->id);
    pen_emit_as(ctx, PEN_DELETE, event, .key = event->key, .id = event->id);
    pen_forget(ctx);
}
PEN_PROCESS(come_and_go, event, pen_none, event);

static void passing_job(pen_graph *graph)
{
    pen_stream passing = pen_process(many(graph, "lefts", 600000), come_and_go, .id = "passing",
                                     .gives_updates = true);
    pen_sink(pen_join(pen_key_by(passing, "key"), many(graph, "rights", 10), match, .id = "join",
                      .outer = PEN_OUTER_LEFT),
             see_rows, .takes_updates = true);
}

static void keys_without_rows_are_forgotten(void)
{
    struct eng_local local;
    struct eng_local_options options = {.parallelism = 1, .memory_bytes = 24 << 20};
    char reason[4096];

    rows = 0;
    CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, passing_job, &options, reason, sizeof reason), 0);
    CU_ASSERT_EQUAL(eng_local_run(&local), 0);
    if (eng_local_failure(&local)) fprintf(stderr, "%s\n", eng_local_failure(&local));
    CU_ASSERT_EQUAL(rows, 0);
    CU_ASSERT_EQUAL(eng_local_records_in(&local, "join"), 1200010);
    eng_local_close(&local);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("join/flow", NULL, NULL);
    CU_ADD_TEST(suite, intervals_of_hot_keys);
    CU_ADD_TEST(suite, every_pair_of_hot_keys);
    CU_ADD_TEST(suite, rows_that_change_under_hot_keys);
    CU_ADD_TEST(suite, versions_of_hot_keys);
    CU_ADD_TEST(suite, windows_of_hot_keys);
    CU_ADD_TEST(suite, a_join_that_needs_more_memory_than_there_is_says_so);
    CU_ADD_TEST(suite, what_is_over_gives_its_memory_back);
    CU_ADD_TEST(suite, keys_without_rows_are_forgotten);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
