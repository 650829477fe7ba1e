/* Concat: all texts in order of arrival, with a separator between them.
 *
 * The text lies ready in one blob, so that a result is one copy. In windows the parts of a result
 * are merged (slices, sessions), in any order, while the order of arrival goes through all of them:
 * there each piece is noted with its arrival and where it ends.
 *
 *     text     a, b, c            separators belong to the piece behind them
 *     pieces   {17, 1} {23, 4} {24, 7}
 */
#include <string.h>

#include "engine/operator/aggregate_inside.h"

/* Empty texts without a separator between them add nothing to the text. */
enum { CONCAT_PIECES_BYTES_MAX = 512 << 20 };

struct concat {
    struct eng_aggregate_text text;
    struct eng_aggregate_text pieces; /* struct concat_piece; without windows none */
    uint64_t count;
};

struct concat_piece {
    uint64_t arrival;
    uint64_t end_bytes; /* where it ends in the text */
};

static uint64_t concat_noted(const struct concat *concat)
{
    return concat->pieces.size_bytes / sizeof(struct concat_piece);
}

static struct concat_piece *concat_pieces(const struct concat *concat)
{
    return (struct concat_piece *)(void *)concat->pieces.bytes;
}

/* The text of a piece, without the separator in front of it. */
static pen_view concat_piece_text(const struct eng_aggregate_step *step,
                                  const struct concat *concat, uint64_t i)
{
    const struct concat_piece *pieces = concat_pieces(concat);
    uint64_t from = i ? pieces[i - 1].end_bytes + step->separator_bytes : 0;

    return pen_view_sized(concat->text.bytes ? concat->text.bytes + from : "",
                          (uint32_t)(pieces[i].end_bytes - from));
}

static bool concat_too_large(pen_context *ctx, const struct eng_aggregate_step *step)
{
    eng_context_fail(ctx, "pen_concat of %s: the text of one result has more than %u bytes",
                     step->from->name, ENG_RECORD_BYTES_MAX);
    return false;
}

/* Room for one more, or for all of another one. */
static bool concat_room(pen_context *ctx, const struct eng_aggregate_plan *plan,
                        const struct eng_aggregate_step *step, struct concat *concat,
                        uint64_t text_bytes, uint64_t piece_count)
{
    uint64_t text = concat->text.size_bytes + text_bytes;
    uint64_t pieces = concat->pieces.size_bytes + piece_count * sizeof(struct concat_piece);

    if (text > ENG_RECORD_BYTES_MAX) return concat_too_large(ctx, step);
    if (pieces > CONCAT_PIECES_BYTES_MAX) return concat_too_large(ctx, step);
    if (!eng_aggregate_text_room(ctx, plan, step, &concat->text, text)) return false;
    return !step->windowed || eng_aggregate_text_room(ctx, plan, step, &concat->pieces, pieces);
}

/* Puts a piece behind the last; there is room. */
static void concat_put(const struct eng_aggregate_step *step, struct concat *concat, pen_view text,
                       uint64_t arrival)
{
    char *end = concat->text.bytes + concat->text.size_bytes;
    uint32_t separator_bytes = concat->count ? step->separator_bytes : 0;

    if (separator_bytes) memcpy(end, step->separator, separator_bytes);
    if (text.size_bytes) memcpy(end + separator_bytes, text.data, text.size_bytes);
    concat->text.size_bytes += separator_bytes + text.size_bytes;
    concat->count++;
    if (!step->windowed) return;
    concat_pieces(concat)[concat_noted(concat)] =
        (struct concat_piece){arrival, concat->text.size_bytes};
    concat->pieces.size_bytes += (uint32_t)sizeof(struct concat_piece);
}

static bool concat_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct eng_aggregate_step *step, const struct eng_batch *batch,
                       void *const *values)
{
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool plain = eng_aggregate_signs(step, batch, signs);

    for (uint32_t i = 0; i < batch->count; i++) {
        struct concat *concat = eng_aggregate_at(step, values[i]);
        if (!plain && signs[i] == 0) continue;
        pen_view text = eng_field_text(step->from, batch->records[i]);
        if (!concat_room(ctx, plan, step, concat, (uint64_t)step->separator_bytes + text.size_bytes,
                         1))
            return false;
        concat_put(step, concat, text, plan->self->arrivals + i);
    }
    return true;
}

/* Pieces of both by arrival, into new memory: into none of the two, since what comes first may have
 * come last. */
static bool concat_weave(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, struct concat *concat,
                         const struct concat *other)
{
    struct concat both = {0};
    uint64_t a = 0, b = 0;
    uint64_t text_bytes =
        (uint64_t)concat->text.size_bytes + other->text.size_bytes + step->separator_bytes;

    if (!concat_room(ctx, plan, step, &both, text_bytes, concat->count + other->count)) {
        eng_aggregate_text_free(ctx, plan, &both.text);
        return false;
    }
    while (a < concat->count || b < other->count) {
        bool from_other = a == concat->count ||
                          (b < other->count &&
                           concat_pieces(other)[b].arrival < concat_pieces(concat)[a].arrival);
        const struct concat *from = from_other ? other : concat;
        uint64_t i = from_other ? b++ : a++;
        concat_put(step, &both, concat_piece_text(step, from, i), concat_pieces(from)[i].arrival);
    }
    eng_aggregate_text_free(ctx, plan, &concat->text);
    eng_aggregate_text_free(ctx, plan, &concat->pieces);
    *concat = both;
    return true;
}

static bool concat_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, void *at, const void *from)
{
    struct concat *concat = at;
    const struct concat *other = from;

    CHECK(step->windowed);
    if (other->count == 0) return true;
    if (concat->count > 0 &&
        concat_pieces(concat)[concat->count - 1].arrival > concat_pieces(other)[0].arrival)
        return concat_weave(ctx, plan, step, concat, other);
    if (!concat_room(ctx, plan, step, concat,
                     (uint64_t)step->separator_bytes + other->text.size_bytes, other->count))
        return false;
    for (uint64_t i = 0; i < other->count; i++)
        concat_put(step, concat, concat_piece_text(step, other, i),
                   concat_pieces(other)[i].arrival);
    return true;
}

static bool concat_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                          const struct eng_aggregate_step *step, const void *at,
                          struct eng_builder *result)
{
    const struct concat *concat = at;

    (void)plan;
    if (concat->count == 0) return true;
    return eng_aggregate_set_text(ctx, step, eng_aggregate_text_view(&concat->text), result);
}

static void concat_free(pen_context *ctx, const struct eng_aggregate_plan *plan,
                        const struct eng_aggregate_step *step, void *at)
{
    struct concat *concat = at;

    (void)step;
    eng_aggregate_text_free(ctx, plan, &concat->text);
    eng_aggregate_text_free(ctx, plan, &concat->pieces);
}

const struct eng_aggregate_family eng_aggregate_concat_family = {
    .size_bytes = sizeof(struct concat),
    .owns_memory = true,
    .add = concat_add,
    .merge = concat_merge,
    .finish = concat_finish,
    .free = concat_free,
};
