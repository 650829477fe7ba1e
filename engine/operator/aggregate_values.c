/* Min, max, first and last: one of the values, or of many the best.
 *
 * A value is kept as its rank where it has one, else as bytes (see aggregate_order.c), and comes
 * out as it went in, but that all NaN are one. Where rows are taken back, min and max keep all
 * values in order with their counts (engine/state/bag.h): the best may go, and then the next best
 * is it. */
#include <string.h>

#include "engine/operator/aggregate_inside.h"
#include "engine/state/bag.h"

/* ---- Min and max of ranks -------------------------------------------------------------------- */

struct extreme_rank {
    int64_t count;
    int64_t rank; /* of the best; of max its complement, so that the least is it in any case */
};

static int64_t extreme_flip(const struct eng_aggregate_step *step)
{
    return step->kind == PEN_AGGREGATE_MAX ? -1 : 0;
}

static bool rank_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                     const struct eng_aggregate_step *step, const struct eng_batch *batch,
                     void *const *values)
{
    int64_t ranks[ENG_BATCH_RECORDS_MAX], flip = extreme_flip(step);
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    uint32_t offset_bytes = step->offset_bytes;
    bool plain = eng_aggregate_signs(step, batch, signs);

    (void)ctx, (void)plan;
    eng_aggregate_ranks(step->from, batch, ranks);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct extreme_rank *extreme = (void *)((char *)values[i] + offset_bytes);
        int64_t rank = ranks[i] ^ flip;
        if (!plain && signs[i] == 0) continue;
        if (extreme->count++ == 0 || rank < extreme->rank) extreme->rank = rank;
    }
    return true;
}

static bool rank_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct eng_aggregate_step *step, void *at, const void *from)
{
    struct extreme_rank *extreme = at;
    const struct extreme_rank *other = from;

    (void)ctx, (void)plan, (void)step;
    if (other->count == 0) return true;
    if (extreme->count == 0 || other->rank < extreme->rank) extreme->rank = other->rank;
    extreme->count += other->count;
    return true;
}

static bool rank_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                        const struct eng_aggregate_step *step, const void *at,
                        struct eng_builder *result)
{
    const struct extreme_rank *extreme = at;

    (void)ctx, (void)plan;
    if (extreme->count > 0)
        eng_aggregate_set_rank(step, extreme->rank ^ extreme_flip(step), result);
    return true;
}

/* ---- Min and max of bytes -------------------------------------------------------------------- */

struct extreme_bytes {
    int64_t count;
    struct eng_aggregate_text best;
};

static bool bytes_offer(pen_context *ctx, const struct eng_aggregate_plan *plan,
                        const struct eng_aggregate_step *step, struct extreme_bytes *extreme,
                        pen_view bytes, int64_t count)
{
    if (extreme->count > 0) {
        int order = eng_aggregate_compare(bytes, eng_aggregate_text_view(&extreme->best));
        extreme->count += count;
        if (step->kind == PEN_AGGREGATE_MIN ? order >= 0 : order <= 0) return true;
    } else {
        extreme->count = count;
    }
    return eng_aggregate_text_set(ctx, plan, step, &extreme->best, bytes);
}

static bool bytes_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                      const struct eng_aggregate_step *step, const struct eng_batch *batch,
                      void *const *values)
{
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool plain = eng_aggregate_signs(step, batch, signs);
    char wide[ENG_AGGREGATE_WIDE_BYTES];

    for (uint32_t i = 0; i < batch->count; i++) {
        if (!plain && signs[i] == 0) continue;
        if (!bytes_offer(ctx, plan, step, eng_aggregate_at(step, values[i]),
                         eng_aggregate_bytes(step->from, batch->records[i], wide), 1))
            return false;
    }
    return true;
}

static bool bytes_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                        const struct eng_aggregate_step *step, void *at, const void *from)
{
    const struct extreme_bytes *other = from;

    if (other->count == 0) return true;
    return bytes_offer(ctx, plan, step, at, eng_aggregate_text_view(&other->best), other->count);
}

static bool bytes_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, const void *at,
                         struct eng_builder *result)
{
    const struct extreme_bytes *extreme = at;

    (void)plan;
    if (extreme->count == 0) return true;
    return eng_aggregate_set_bytes(ctx, step, eng_aggregate_text_view(&extreme->best), result);
}

static void bytes_free(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct eng_aggregate_step *step, void *at)
{
    struct extreme_bytes *extreme = at;

    (void)step;
    eng_aggregate_text_free(ctx, plan, &extreme->best);
}

/* ---- Min and max, with rows taken back ------------------------------------------------------- */

static bool bag_change(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct eng_aggregate_step *step, struct eng_bag *bag, pen_view bytes,
                       int64_t by)
{
    uint64_t before = bag->owned_bytes;

    if (!eng_bag_change(ctx->worker->arena, bag, bytes.data, bytes.size_bytes, by))
        return eng_aggregate_no_memory(ctx, plan, step);
    eng_aggregate_owned(plan, before, bag->owned_bytes);
    return true;
}

/* A rank as bytes of its order, and back. */
static pen_view bag_of_rank(int64_t rank, uint64_t *word)
{
    *word = __builtin_bswap64((uint64_t)rank ^ (uint64_t)1 << 63);
    return pen_view_sized((const char *)word, sizeof *word);
}

static int64_t bag_to_rank(const struct eng_bag_node *node)
{
    uint64_t word;

    CHECK(eng_bag_size(node) == sizeof word);
    memcpy(&word, node->bytes, sizeof word);
    return (int64_t)(__builtin_bswap64(word) ^ (uint64_t)1 << 63);
}

static bool bag_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                    const struct eng_aggregate_step *step, const struct eng_batch *batch,
                    void *const *values)
{
    int64_t ranks[ENG_BATCH_RECORDS_MAX];
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool plain = eng_aggregate_signs(step, batch, signs);
    bool has_rank = eng_aggregate_has_rank(step->from);
    char wide[ENG_AGGREGATE_WIDE_BYTES];
    uint64_t word;

    if (has_rank) eng_aggregate_ranks(step->from, batch, ranks);
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!plain && signs[i] == 0) continue;
        pen_view bytes = has_rank ? bag_of_rank(ranks[i], &word)
                                  : eng_aggregate_bytes(step->from, batch->records[i], wide);
        if (!bag_change(ctx, plan, step, eng_aggregate_at(step, values[i]), bytes,
                        plain ? 1 : signs[i]))
            return false;
    }
    return true;
}

static bool bag_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                      const struct eng_aggregate_step *step, void *at, const void *from)
{
    const struct eng_bag *other = from;
    const struct eng_bag_node *node = NULL;

    while ((node = eng_bag_next(other, node)) != NULL)
        if (!bag_change(ctx, plan, step, at, pen_view_sized(node->bytes, eng_bag_size(node)),
                        eng_bag_count(node)))
            return false;
    return true;
}

static bool bag_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct eng_aggregate_step *step, const void *at,
                       struct eng_builder *result)
{
    const struct eng_bag_node *best =
        step->kind == PEN_AGGREGATE_MIN ? eng_bag_least(at) : eng_bag_greatest(at);

    (void)plan;
    if (!best) return true;
    if (!eng_aggregate_has_rank(step->from))
        return eng_aggregate_set_bytes(ctx, step, pen_view_sized(best->bytes, eng_bag_size(best)),
                                       result);
    eng_aggregate_set_rank(step, bag_to_rank(best), result);
    return true;
}

static void bag_free(pen_context *ctx, const struct eng_aggregate_plan *plan,
                     const struct eng_aggregate_step *step, void *at)
{
    struct eng_bag *bag = at;

    (void)step;
    eng_aggregate_owned(plan, bag->owned_bytes, 0);
    eng_bag_clear(ctx->worker->arena, bag);
}

const struct eng_aggregate_family *
eng_aggregate_extreme_family(const struct eng_aggregate_step *step)
{
    static const struct eng_aggregate_family of_ranks = {.size_bytes = sizeof(struct extreme_rank),
                                                         .add = rank_add,
                                                         .merge = rank_merge,
                                                         .finish = rank_finish};
    static const struct eng_aggregate_family of_bytes = {.size_bytes = sizeof(struct extreme_bytes),
                                                         .owns_memory = true,
                                                         .add = bytes_add,
                                                         .merge = bytes_merge,
                                                         .finish = bytes_finish,
                                                         .free = bytes_free};
    static const struct eng_aggregate_family of_bags = {.size_bytes = sizeof(struct eng_bag),
                                                        .owns_memory = true,
                                                        .add = bag_add,
                                                        .merge = bag_merge,
                                                        .finish = bag_finish,
                                                        .free = bag_free};
    if (step->updating) return &of_bags;
    return eng_aggregate_has_rank(step->from) ? &of_ranks : &of_bytes;
}

/* ---- First and last -------------------------------------------------------------------------- */

struct edge {
    uint64_t arrival; /* 1 is the first record; 0: none */
    int64_t time_us;
};
struct edge_rank {
    struct edge edge;
    int64_t rank;
};
struct edge_bytes {
    struct edge edge;
    struct eng_aggregate_text bytes;
};

/* Whether a record takes the place of what is there. By event time, then by arrival. */
static bool edge_replaces(const struct eng_aggregate_step *step, const struct edge *there,
                          const struct edge *other)
{
    if (there->arrival == 0) return other->arrival != 0;
    if (other->arrival == 0) return false;
    bool earlier = other->time_us != there->time_us ? other->time_us < there->time_us
                                                    : other->arrival < there->arrival;
    return step->kind == PEN_AGGREGATE_FIRST ? earlier : !earlier;
}

static struct edge edge_of(const struct eng_aggregate_plan *plan, const struct eng_batch *batch,
                           uint32_t i)
{
    return (struct edge){plan->self->arrivals + i + 1, batch->times_us ? batch->times_us[i] : 0};
}

static bool edge_rank_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                          const struct eng_aggregate_step *step, const struct eng_batch *batch,
                          void *const *values)
{
    int64_t ranks[ENG_BATCH_RECORDS_MAX];
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool plain = eng_aggregate_signs(step, batch, signs);

    (void)ctx;
    eng_aggregate_ranks(step->from, batch, ranks);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct edge_rank *there = eng_aggregate_at(step, values[i]);
        struct edge edge = edge_of(plan, batch, i);
        if (!plain && signs[i] == 0) continue;
        if (edge_replaces(step, &there->edge, &edge)) *there = (struct edge_rank){edge, ranks[i]};
    }
    return true;
}

static bool edge_rank_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, void *at, const void *from)
{
    struct edge_rank *there = at;
    const struct edge_rank *other = from;

    (void)ctx, (void)plan;
    if (edge_replaces(step, &there->edge, &other->edge)) *there = *other;
    return true;
}

static bool edge_rank_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                             const struct eng_aggregate_step *step, const void *at,
                             struct eng_builder *result)
{
    const struct edge_rank *there = at;

    (void)ctx, (void)plan;
    if (there->edge.arrival != 0) eng_aggregate_set_rank(step, there->rank, result);
    return true;
}

static bool edge_bytes_offer(pen_context *ctx, const struct eng_aggregate_plan *plan,
                             const struct eng_aggregate_step *step, struct edge_bytes *there,
                             const struct edge *edge, pen_view bytes)
{
    if (!edge_replaces(step, &there->edge, edge)) return true;
    there->edge = *edge;
    return eng_aggregate_text_set(ctx, plan, step, &there->bytes, bytes);
}

static bool edge_bytes_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                           const struct eng_aggregate_step *step, const struct eng_batch *batch,
                           void *const *values)
{
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool plain = eng_aggregate_signs(step, batch, signs);
    char wide[ENG_AGGREGATE_WIDE_BYTES];

    for (uint32_t i = 0; i < batch->count; i++) {
        struct edge edge = edge_of(plan, batch, i);
        if (!plain && signs[i] == 0) continue;
        if (!edge_bytes_offer(ctx, plan, step, eng_aggregate_at(step, values[i]), &edge,
                              eng_aggregate_bytes(step->from, batch->records[i], wide)))
            return false;
    }
    return true;
}

static bool edge_bytes_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                             const struct eng_aggregate_step *step, void *at, const void *from)
{
    const struct edge_bytes *other = from;

    return edge_bytes_offer(ctx, plan, step, at, &other->edge,
                            eng_aggregate_text_view(&other->bytes));
}

static bool edge_bytes_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                              const struct eng_aggregate_step *step, const void *at,
                              struct eng_builder *result)
{
    const struct edge_bytes *there = at;

    (void)plan;
    if (there->edge.arrival == 0) return true;
    return eng_aggregate_set_bytes(ctx, step, eng_aggregate_text_view(&there->bytes), result);
}

static void edge_bytes_free(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, void *at)
{
    struct edge_bytes *there = at;

    (void)step;
    eng_aggregate_text_free(ctx, plan, &there->bytes);
}

const struct eng_aggregate_family *eng_aggregate_edge_family(const struct eng_aggregate_step *step)
{
    static const struct eng_aggregate_family of_ranks = {.size_bytes = sizeof(struct edge_rank),
                                                         .add = edge_rank_add,
                                                         .merge = edge_rank_merge,
                                                         .finish = edge_rank_finish};
    static const struct eng_aggregate_family of_bytes = {.size_bytes = sizeof(struct edge_bytes),
                                                         .owns_memory = true,
                                                         .add = edge_bytes_add,
                                                         .merge = edge_bytes_merge,
                                                         .finish = edge_bytes_finish,
                                                         .free = edge_bytes_free};
    return eng_aggregate_has_rank(step->from) ? &of_ranks : &of_bytes;
}
