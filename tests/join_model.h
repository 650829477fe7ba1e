/* Shared by the tests of joins: two streams that a test pushes, and what came out of their join,
 * compared row by row with what a plain loop says should.
 *
 * Records have keys that may be null, at different places in the two structs, and texts of any
 * length. A pair says which records it is of, and how long their texts were. */
#ifndef TESTS_JOIN_MODEL_H
#define TESTS_JOIN_MODEL_H

#include <CUnit/Basic.h>
#include <penstock.h>
#include <penstock/test.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct side_left {
    pen_time at;
    pen_opt_int64 key;
    int64_t id;
    pen_string note;
    pen_time from, to; /* a window that it carries */
};
PEN_RECORD(side_left, at, key, id, note, from, to);

struct side_right {
    int64_t id;
    pen_time at, from, to;
    pen_opt_int64 key;
    pen_opt_string note;
};
PEN_RECORD(side_right, id, at, from, to, key, note);

struct pair {
    int64_t left, right; /* -1: there was none */
    int64_t bytes;       /* of both notes; below 0: they are not what they were */
};
PEN_RECORD(pair, left, right, bytes);

static inline uint32_t join_note_bytes(int64_t id)
{
    return (uint32_t)(id * 7 % 90) * (id % 5 == 0 ? 10 : 1);
}

static inline const char *join_note(int64_t id)
{
    static char bytes[1024];
    memset(bytes, 'a' + (int)(id % 26), sizeof bytes);
    return bytes;
}

static inline int64_t join_note_check(pen_view note, int64_t id)
{
    if (note.size_bytes != join_note_bytes(id)) return -100000;
    for (uint32_t i = 0; i < note.size_bytes; i++)
        if (note.data[i] != 'a' + (char)(id % 26)) return -200000;
    return note.size_bytes;
}

static void match(pen_context *ctx, const struct side_left *left, const struct side_right *right)
{
    int64_t bytes = 0;
    if (left) bytes += join_note_check(pen_view_of(&left->note), left->id);
    if (right) bytes += join_note_check(pen_view_of(&right->note.value), right->id);
    pen_emit(ctx, pair, .left = left ? left->id : -1, .right = right ? right->id : -1,
             .bytes = bytes);
}
PEN_JOIN(match, side_left, side_right, pair);

enum { LEFT, RIGHT, JOIN_ROWS_MAX = 200000, JOIN_NULL_KEY = -1 };

/* A record as the model sees it. */
struct join_record {
    int side;
    int64_t key, at, id, from, to;
    enum pen_row row;
};

struct join_row {
    int64_t left, right, at;
    enum pen_row row;
};

struct join_test {
    pen_test *test;
    pen_stream inputs[2], out;
    int64_t watermarks[2]; /* INT64_MIN: none yet */
    uint64_t random;
    struct join_row *expected, *got;
    uint32_t expected_count, got_count;
    bool updating; /* the result */
    uint32_t wrong;
};

static inline uint64_t join_random(struct join_test *join, uint64_t below)
{
    join->random = join->random * 6364136223846793005u + 1442695040888963407u;
    return (join->random >> 33) % below;
}

/* Inputs are there; the caller joins them and calls join_start. */
static inline void join_open(struct join_test *join, uint64_t seed, uint32_t parallelism,
                             bool left_updating, bool right_updating)
{
    *join = (struct join_test){.test = pen_test_open(), .random = seed};
    join->watermarks[LEFT] = join->watermarks[RIGHT] = INT64_MIN;
    join->expected = calloc(JOIN_ROWS_MAX, sizeof *join->expected);
    join->got = calloc(JOIN_ROWS_MAX, sizeof *join->got);
    CU_ASSERT_TRUE_FATAL(join->expected && join->got);
    pen_test_parallelism(join->test, parallelism);
    join->inputs[LEFT] = left_updating ? pen_test_updating_input(join->test, side_left, "at")
                                       : pen_test_input(join->test, side_left, "at");
    join->inputs[RIGHT] = right_updating ? pen_test_updating_input(join->test, side_right, "at")
                                         : pen_test_input(join->test, side_right, "at");
}

static inline void join_start(struct join_test *join, pen_stream joined)
{
    join->out = pen_test_output(join->test, joined);
    pen_test_start(join->test);
}

static inline void join_close(struct join_test *join)
{
    pen_test_close(join->test);
    free(join->expected);
    free(join->got);
}

static inline void join_push(struct join_test *join, const struct join_record *record)
{
    pen_context *ctx = pen_test_context(join->test);
    pen_view note = pen_view_sized(join_note(record->id), join_note_bytes(record->id));
    pen_opt_int64 key = {record->key, true};
    if (record->key == JOIN_NULL_KEY) key = (pen_opt_int64){0, false};

    if (record->side == LEFT)
        pen_test_push_as(join->test, join->inputs[LEFT], record->row, side_left, .at = {record->at},
                         .key = key, .id = record->id, .note = pen_put(ctx, note),
                         .from = {record->from}, .to = {record->to});
    else
        pen_test_push_as(join->test, join->inputs[RIGHT], record->row, side_right,
                         .at = {record->at}, .key = key, .id = record->id,
                         .note = {pen_put(ctx, note), true}, .from = {record->from},
                         .to = {record->to});
}

/* The watermark of the join after that of one side. INT64_MIN: none yet. */
static inline int64_t join_watermark(struct join_test *join, int side, int64_t at)
{
    pen_test_watermark(join->test, join->inputs[side], (pen_time){at});
    if (at > join->watermarks[side]) join->watermarks[side] = at;
    return join->watermarks[LEFT] < join->watermarks[RIGHT] ? join->watermarks[LEFT]
                                                            : join->watermarks[RIGHT];
}

static inline void join_expect(struct join_test *join, int64_t left, int64_t right, int64_t at,
                               enum pen_row row)
{
    CU_ASSERT_TRUE_FATAL(join->expected_count < JOIN_ROWS_MAX);
    join->expected[join->expected_count++] = (struct join_row){left, right, at, row};
}

/* Of a record of this side. partner -1: alone. */
static inline void join_expect_of(struct join_test *join, int side, int64_t own, int64_t partner,
                                  int64_t at, enum pen_row row)
{
    if (side == LEFT)
        join_expect(join, own, partner, at, row);
    else
        join_expect(join, partner, own, at, row);
}

static inline int join_compare(const void *a_, const void *b_)
{
    const struct join_row *a = a_, *b = b_;
    if (a->left != b->left) return a->left < b->left ? -1 : 1;
    if (a->right != b->right) return a->right < b->right ? -1 : 1;
    if (a->at != b->at) return a->at < b->at ? -1 : 1;
    return (int)a->row - (int)b->row;
}

static inline void join_collect(struct join_test *join)
{
    const struct pair *pair;

    while ((pair = pen_test_next(join->test, join->out, pair))) {
        CU_ASSERT_TRUE_FATAL(join->got_count < JOIN_ROWS_MAX);
        struct join_row *row = &join->got[join->got_count++];
        *row = (struct join_row){pair->left, pair->right,
                                 pen_test_record_time(join->test, join->out).us,
                                 pen_test_row(join->test, join->out)};
        int64_t bytes = (pair->left < 0 ? 0 : (int64_t)join_note_bytes(pair->left)) +
                        (pair->right < 0 ? 0 : (int64_t)join_note_bytes(pair->right));
        if (pair->bytes != bytes) join->wrong++;
    }
}

static inline void join_show(const char *what, const struct join_row *row)
{
    static const char *const rows[] = {"+I", "-U", "+U", "-D"};
    fprintf(stderr, "%s %s left %lld right %lld at %lld\n", what, rows[row->row],
            (long long)row->left, (long long)row->right, (long long)row->at);
}

/* Everything since the last check, as a multiset. False: it differs. */
static inline bool join_check(struct join_test *join)
{
    join_collect(join);
    qsort(join->expected, join->expected_count, sizeof *join->expected, join_compare);
    qsort(join->got, join->got_count, sizeof *join->got, join_compare);
    bool same = join->expected_count == join->got_count && join->wrong == 0;
    for (uint32_t i = 0; same && i < join->got_count; i++)
        same = join_compare(&join->expected[i], &join->got[i]) == 0;
    if (!same) {
        uint32_t i = 0, j = 0, shown = 0;
        while ((i < join->expected_count || j < join->got_count) && shown < 10) {
            int order = i == join->expected_count ? 1
                        : j == join->got_count    ? -1
                                                  : join_compare(&join->expected[i], &join->got[j]);
            if (order < 0) join_show("missing", &join->expected[i++]), shown++;
            if (order > 0) join_show("too much", &join->got[j++]), shown++;
            if (order == 0) i++, j++;
        }
    }
    join->expected_count = join->got_count = 0;
    return same;
}

#endif
