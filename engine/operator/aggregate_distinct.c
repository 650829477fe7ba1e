/* Count_distinct: how many different values, exactly.
 *
 * A dict of the values (engine/state/dict.h): few of them are packed, many are a table. Where rows
 * are taken back each value has its count. That may be below zero, in one of two values that are to
 * be merged: a row was taken back in one and had come in the other. */
#include "engine/operator/aggregate_inside.h"
#include "engine/state/dict.h"

struct distinct {
    struct eng_dict dict;
    int64_t present; /* values with a count above zero; with inserts only the dict knows it */
};

static bool distinct_change(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, struct distinct *distinct,
                            const struct eng_dict_key *key, int64_t by)
{
    struct eng_arena *arena = ctx->worker->arena;
    uint64_t before = eng_dict_bytes(&distinct->dict);
    uint32_t value_bytes = step->updating ? sizeof(int64_t) : 0;
    int64_t *count = eng_dict_upsert(arena, &distinct->dict, value_bytes, key, NULL);

    if (!count) return eng_aggregate_no_memory(ctx, plan, step);
    if (step->updating) {
        bool was_present = *count > 0;
        *count += by;
        distinct->present += (*count > 0) - was_present;
        if (*count == 0) CHECK(eng_dict_remove(arena, &distinct->dict, key));
    }
    eng_aggregate_owned(plan, before, eng_dict_bytes(&distinct->dict));
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
        struct eng_dict_key key;
        if (!plain && signs[i] == 0) continue;
        if (has_rank) {
            key = eng_dict_number(eng_aggregate_same_rank(step->from, ranks[i]));
        } else {
            pen_view bytes = eng_aggregate_bytes(step->from, batch->records[i], wide);
            key = eng_dict_text(bytes.data, bytes.size_bytes);
        }
        if (!distinct_change(ctx, plan, step, eng_aggregate_at(step, values[i]), &key,
                             plain ? 1 : signs[i]))
            return false;
    }
    return true;
}

static bool distinct_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                           const struct eng_aggregate_step *step, void *at, const void *from)
{
    const struct distinct *other = from;
    struct eng_dict_walk walk = {0};
    const int64_t *count;

    while ((count = eng_dict_next(&other->dict, &walk)) != NULL) {
        struct eng_dict_key key = eng_dict_key_of(&other->dict, count);
        if (!distinct_change(ctx, plan, step, at, &key, step->updating ? *count : 1)) return false;
    }
    return true;
}

static bool distinct_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, const void *at,
                            struct eng_builder *result)
{
    const struct distinct *distinct = at;

    (void)ctx, (void)plan;
    eng_aggregate_set_int(
        step, step->updating ? distinct->present : (int64_t)eng_dict_count(&distinct->dict),
        result);
    return true;
}

static void distinct_free(pen_context *ctx, const struct eng_aggregate_plan *plan,
                          const struct eng_aggregate_step *step, void *at)
{
    struct distinct *distinct = at;

    (void)step;
    eng_aggregate_owned(plan, eng_dict_bytes(&distinct->dict), 0);
    eng_dict_clear(ctx->worker->arena, &distinct->dict);
}

const struct eng_aggregate_family eng_aggregate_distinct_family = {
    .size_bytes = sizeof(struct distinct),
    .owns_memory = true,
    .add = distinct_add,
    .merge = distinct_merge,
    .finish = distinct_finish,
    .free = distinct_free,
};
