/* engine/operator/aggregate.h: aggregates as data: steps over accumulators.
 *
 * The list of a pen_aggregation is compiled once into steps. A key's accumulators lie one behind
 * the other in its entry, each 8-aligned, all zeros when empty; a step adds a whole batch to one
 * accumulator of each record's key, and writes one field of a result.
 */
#ifndef ENG_OPERATOR_AGGREGATE_H
#define ENG_OPERATOR_AGGREGATE_H

#include "engine/flow/context.h"

struct eng_aggregate_step {
    enum pen_aggregate_kind kind;
    uint32_t offset_bytes; /* of the accumulator in the entry */
    uint32_t size_bytes;
    const struct eng_field *from; /* of the records; NULL: none needed */
    const struct eng_field *into; /* of the result; NULL: the custom one fills what it likes */
    const struct eng_field *only; /* a bool: others are not looked at */
    const struct pen_function *custom;
};

struct eng_aggregate_plan {
    struct eng_aggregate_step *steps;
    uint32_t step_count;
    uint32_t value_bytes; /* of all accumulators of a key */
    bool has_custom;
};

/* False: *reason says what is wrong with the list. `updating`: the input takes rows back. */
bool eng_aggregate_plan_open(struct eng_aggregate_plan *plan, const struct pen_aggregate *list,
                             const struct eng_layout *in, const struct eng_layout *out,
                             bool updating, char *reason, uint32_t reason_bytes);
void eng_aggregate_plan_close(struct eng_aggregate_plan *plan);

/* Adds the records of a batch, takes back those whose row kind says so; values[i]: the entry of
 * record i's key. False: an overflow or a custom function failed the job. */
bool eng_aggregate_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct eng_batch *batch, void *const *values);

/* Writes the fields of a result from the accumulators. */
void eng_aggregate_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                          const void *value, void *result);

#endif
