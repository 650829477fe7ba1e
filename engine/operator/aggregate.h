/* engine/operator/aggregate.h: aggregates as data: steps over accumulators.
 *
 * The list of a pen_aggregation is compiled once, before the fork, into a plan: one step for each
 * aggregate. The accumulators of one key (of one window of it, of one slice) lie one behind the
 * other, each 8-aligned, in plan.value_bytes that the operator keeps wherever it likes: in the
 * entry of a table, in a blob. They may be moved by memcpy. All zeros are empty ones.
 *
 *     compile   eng_aggregate_plan_open       in the operator's prepare
 *     open      struct copy of the plan, with .self pointing to zeros of the subtask's own
 *     batch     eng_aggregate_add             a whole batch to one value for each of its records
 *     slices    eng_aggregate_merge           one value into another one
 *     fire      eng_aggregate_finish          fields of a result
 *     gone      eng_aggregate_free            what a value owns in the arena
 *     close     eng_aggregate_self_close
 *
 * Where plan.owns_memory, a value may hold blobs of the worker's arena (texts, sets, sketches):
 * then a memcpy is a move and no copy, and each value is freed once. A value that was freed is
 * zeros, an empty one. self.owned_bytes is what all values of the subtask own at the moment, to the
 * byte, as the arena counts it.
 *
 * What each costs, for one value:
 *
 *     count, count_of                 8 bytes
 *     sum, mean, variance, deviation  16 to 72; those that take rows back are the larger ones, and
 *                                     add in twice the precision, so that nothing is left behind
 *     min, max                        16; texts: 24 and a blob of the best one. Taking rows back: a
 *                                     blob for each different value, of 32 bytes (texts: 24 and the
 *                                     text), and O(log n) a record
 *     first, last                     24; texts: 32 and a blob
 *     count_distinct                  24, and all values, with 30 to 64 bytes each and their texts
 *     count_about                     16, and 6 to 11 bytes a value, until that is 16 KiB
 *     quantile                        104, and 8 to 16 bytes a value up to 32 of them, which are
 *                                     exact; then 8 bytes for each 2 % between the least and the
 *                                     greatest, up to 32 KiB
 *     concat                          40 and the text; in windows 16 bytes for each piece of it,
 * too custom                          its struct; with texts 16 and a blob, copied for each record
 *
 * Order of arrival (first, last among equals, concat) is self.arrivals, which counts the records
 * added: values can be merged in any order and the result is that of one value. A checkpoint has to
 * keep that number.
 *
 * All functions that return false have failed the job with a reason; values are then whatever they
 * are, but can still be freed.
 */
#ifndef ENG_OPERATOR_AGGREGATE_H
#define ENG_OPERATOR_AGGREGATE_H

#include "engine/flow/context.h"

struct eng_aggregate_step;

/* What one subtask has of its own. Zeros when it opens. */
struct eng_aggregate_self {
    uint64_t owned_bytes; /* of all values, in the arena */
    uint64_t arrivals;    /* records added so far */
    struct eng_keep keep; /* working copy of a custom accumulator with texts; opened when needed */
};

struct eng_aggregate_plan {
    struct eng_aggregate_step *steps;
    uint32_t step_count;
    uint32_t value_bytes; /* of all accumulators of a key, a multiple of 8; may be 0 */
    bool has_custom;
    bool owns_memory;                /* some accumulator may own blobs */
    bool merges;                     /* eng_aggregate_merge can be called */
    struct eng_aggregate_self *self; /* NULL in the compiled one, which all workers share */
};

/* False: *reason says what is wrong with the list; close it all the same. `updating`: the input
 * takes rows back. `windowed`: results are of windows, and from and to of finish mean something. */
bool eng_aggregate_plan_open(struct eng_aggregate_plan *plan, const struct pen_aggregate *list,
                             const struct eng_layout *in, const struct eng_layout *out,
                             bool updating, bool windowed, char *reason, uint32_t reason_bytes);
void eng_aggregate_plan_close(struct eng_aggregate_plan *plan);

/* Whether a field of the result is one that an aggregate fills; false for what a custom one does.
 */
bool eng_aggregate_fills(const struct eng_aggregate_plan *plan, const struct eng_field *field);

/* Closes what the subtask had; values have been freed before. */
void eng_aggregate_self_close(struct eng_aggregate_self *self);

/* Adds the records of a batch, takes back those whose row kind says so; values[i]: where the
 * accumulators of record i's key are. Many records may have the same. */
bool eng_aggregate_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct eng_batch *batch, void *const *values);

/* Adds what `other` has to `value`. other stays as it is and owns what it owned. */
bool eng_aggregate_merge(pen_context *ctx, const struct eng_aggregate_plan *plan, void *value,
                         const void *other);

/* Sets the fields of a result, texts too, in the record that is being built. The window is
 * [from_us, to_us); whatever, without one. */
bool eng_aggregate_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                          const void *value, int64_t from_us, int64_t to_us,
                          struct eng_builder *result);

/* Gives back what the accumulators own; then they are zeros. */
void eng_aggregate_free(pen_context *ctx, const struct eng_aggregate_plan *plan, void *value);

#endif
