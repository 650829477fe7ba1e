/* Count_distinct: how many different values, exactly.
 *
 * All of them with how often they came (engine/state/bag.h). That may be below zero, in one of two
 * accumulators that are to be merged: a row was taken back in one and had come in the other. */
#include "engine/operator/aggregate_inside.h"
#include "engine/state/bag.h"

struct distinct {
    struct eng_bag bag;
    int64_t present; /* values with a count above zero */
};

/* 0.0 and -0.0 are one number. */
static int64_t distinct_rank(const struct eng_field *field, int64_t rank)
{
    bool real = field->type == PEN_TYPE_FLOAT || field->type == PEN_TYPE_DOUBLE;
    return real && rank == -1 ? 0 : rank;
}

static bool distinct_change(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, struct distinct *distinct,
                            pen_view bytes, int64_t by)
{
    uint64_t before = distinct->bag.owned_bytes;
    const struct eng_bag_node *node = eng_bag_find(&distinct->bag, bytes.data, bytes.size_bytes);
    int64_t count = node ? eng_bag_count(node) : 0;

    if (node && !step->updating) return true;
    if (!eng_bag_change(ctx->worker->arena, &distinct->bag, bytes.data, bytes.size_bytes, by))
        return eng_aggregate_no_memory(ctx, plan, step);
    distinct->present += (count + by > 0) - (count > 0);
    eng_aggregate_owned(plan, before, distinct->bag.owned_bytes);
    return true;
}

static bool distinct_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, const struct eng_batch *batch,
                         void *const *values)
{
    int64_t ranks[ENG_BATCH_RECORDS_MAX];
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool plain = eng_aggregate_signs(step, batch, signs);
    bool has_rank = eng_aggregate_has_rank(step->from);
    char wide[ENG_AGGREGATE_WIDE_BYTES];

    if (has_rank) eng_aggregate_ranks(step->from, batch, ranks);
    for (uint32_t i = 0; i < batch->count; i++) {
        int64_t rank = has_rank ? distinct_rank(step->from, ranks[i]) : 0;
        pen_view bytes = pen_view_sized((const char *)&rank, sizeof rank);
        if (!plain && signs[i] == 0) continue;
        if (!has_rank) bytes = eng_aggregate_bytes(step->from, batch->records[i], wide);
        if (!distinct_change(ctx, plan, step, eng_aggregate_at(step, values[i]), bytes,
                             plain ? 1 : signs[i]))
            return false;
    }
    return true;
}

static bool distinct_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                           const struct eng_aggregate_step *step, void *at, const void *from)
{
    const struct distinct *other = from;
    const struct eng_bag_node *node = NULL;

    while ((node = eng_bag_next(&other->bag, node)) != NULL)
        if (!distinct_change(ctx, plan, step, at, pen_view_sized(node->bytes, eng_bag_size(node)),
                             eng_bag_count(node)))
            return false;
    return true;
}

static bool distinct_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, const void *at,
                            struct eng_builder *result)
{
    const struct distinct *distinct = at;

    (void)ctx, (void)plan;
    eng_aggregate_set_int(step, distinct->present, result);
    return true;
}

static void distinct_free(pen_context *ctx, const struct eng_aggregate_plan *plan,
                          const struct eng_aggregate_step *step, void *at)
{
    struct distinct *distinct = at;

    (void)step;
    eng_aggregate_owned(plan, distinct->bag.owned_bytes, 0);
    eng_bag_clear(ctx->worker->arena, &distinct->bag);
}

const struct eng_aggregate_family eng_aggregate_distinct_family = {
    .size_bytes = sizeof(struct distinct),
    .owns_memory = true,
    .add = distinct_add,
    .merge = distinct_merge,
    .finish = distinct_finish,
    .free = distinct_free,
};
