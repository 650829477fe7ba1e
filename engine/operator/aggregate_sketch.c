/* Count_about and quantile: what the sketches of engine/record can say, with memory of the arena.
 */
#include <math.h>

#include "engine/operator/aggregate_inside.h"
#include "engine/record/loglog.h"
#include "engine/record/sketch.h"
#include "shm/hash.h"

/* ---- Count_about ----------------------------------------------------------------------------- */

static bool about_grow(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct eng_aggregate_step *step, struct eng_loglog *sketch)
{
    uint32_t old_bytes = sketch->size_bytes;
    void *bytes = eng_aggregate_blob(ctx, plan, step, eng_loglog_wanted_bytes(sketch));

    if (!bytes) return false;
    void *old = eng_loglog_move(sketch, bytes);
    if (old) eng_aggregate_blob_free(ctx, plan, old, old_bytes);
    return true;
}

static bool about_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                      const struct eng_aggregate_step *step, const struct eng_batch *batch,
                      void *const *values)
{
    int64_t ranks[ENG_BATCH_RECORDS_MAX];
    uint64_t hashes[ENG_BATCH_RECORDS_MAX];
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool plain = eng_aggregate_signs(step, batch, signs);
    char wide[ENG_AGGREGATE_WIDE_BYTES];

    if (eng_aggregate_has_rank(step->from)) {
        eng_aggregate_ranks(step->from, batch, ranks);
        for (uint32_t i = 0; i < batch->count; i++) {
            int64_t rank = eng_aggregate_same_rank(step->from, ranks[i]);
            hashes[i] = shm_hash(&rank, sizeof rank);
        }
    } else {
        for (uint32_t i = 0; i < batch->count; i++) {
            hashes[i] = 0;
            if (!plain && signs[i] == 0) continue;
            pen_view bytes = eng_aggregate_bytes(step->from, batch->records[i], wide);
            hashes[i] = shm_hash(bytes.data, bytes.size_bytes);
        }
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        struct eng_loglog *sketch = eng_aggregate_at(step, values[i]);
        if (!plain && signs[i] == 0) continue;
        while (!eng_loglog_add(sketch, hashes[i]))
            if (!about_grow(ctx, plan, step, sketch)) return false;
    }
    return true;
}

static bool about_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                        const struct eng_aggregate_step *step, void *at, const void *other)
{
    while (!eng_loglog_merge(at, other))
        if (!about_grow(ctx, plan, step, at)) return false;
    return true;
}

static bool about_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, const void *at,
                         struct eng_builder *result)
{
    (void)ctx, (void)plan;
    eng_aggregate_set_int(step, llround(eng_loglog_estimate(at)), result);
    return true;
}

static void about_free(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct eng_aggregate_step *step, void *at)
{
    struct eng_loglog *sketch = at;

    (void)step;
    if (sketch->bytes) eng_aggregate_blob_free(ctx, plan, sketch->bytes, sketch->size_bytes);
}

const struct eng_aggregate_family eng_aggregate_about_family = {
    .size_bytes = sizeof(struct eng_loglog),
    .owns_memory = true,
    .add = about_add,
    .merge = about_merge,
    .finish = about_finish,
    .free = about_free,
};

/* ---- Quantile -------------------------------------------------------------------------------- */

struct quantile_owner {
    pen_context *ctx;
    const struct eng_aggregate_plan *plan;
    const struct eng_aggregate_step *step;
};

static void *quantile_get(void *owner, uint32_t size_bytes)
{
    const struct quantile_owner *of = owner;
    return eng_aggregate_blob(of->ctx, of->plan, of->step, size_bytes);
}

static void quantile_give_back(void *owner, void *bytes, uint32_t size_bytes)
{
    const struct quantile_owner *of = owner;
    eng_aggregate_blob_free(of->ctx, of->plan, bytes, size_bytes);
}

static struct eng_sketch_memory quantile_memory(struct quantile_owner *owner)
{
    return (struct eng_sketch_memory){quantile_get, quantile_give_back, owner};
}

static bool quantile_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, const struct eng_batch *batch,
                         void *const *values)
{
    struct quantile_owner owner = {ctx, plan, step};
    struct eng_sketch_memory memory = quantile_memory(&owner);
    double numbers[ENG_BATCH_RECORDS_MAX];
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool plain = eng_aggregate_signs(step, batch, signs);

    eng_aggregate_doubles(step, batch, numbers);
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!plain && signs[i] == 0) continue;
        if (!eng_sketch_add(eng_aggregate_at(step, values[i]), numbers[i], &memory)) return false;
    }
    return true;
}

static bool quantile_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                           const struct eng_aggregate_step *step, void *at, const void *other)
{
    struct quantile_owner owner = {ctx, plan, step};
    struct eng_sketch_memory memory = quantile_memory(&owner);

    return eng_sketch_merge(at, other, &memory);
}

static bool quantile_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, const void *at,
                            struct eng_builder *result)
{
    const struct eng_sketch *sketch = at;

    (void)ctx, (void)plan;
    if (sketch->count > 0)
        eng_aggregate_set_double(step, eng_sketch_quantile(sketch, step->quantile), result);
    return true;
}

static void quantile_free(pen_context *ctx, const struct eng_aggregate_plan *plan,
                          const struct eng_aggregate_step *step, void *at)
{
    struct quantile_owner owner = {ctx, plan, step};
    struct eng_sketch_memory memory = quantile_memory(&owner);

    eng_sketch_clear(at, &memory);
}

const struct eng_aggregate_family eng_aggregate_quantile_family = {
    .size_bytes = sizeof(struct eng_sketch),
    .owns_memory = true,
    .add = quantile_add,
    .merge = quantile_merge,
    .finish = quantile_finish,
    .free = quantile_free,
};
