/* Aggregates of the user's own.
 *
 * An accumulator of fixed size lies in the value and is changed there. One with texts is a blob:
 * the functions get a working copy of it in memory that does not move (struct eng_keep, see
 * engine/flow/keyed.c), behind which pen_keep lays texts, and which is written back when the next
 * record is for another accumulator. What was never written is no blob, and zeros.
 *
 * While a function runs it can neither emit nor reject: it is called when results are made, and for
 * records that have been counted. The context's keep is ours meanwhile: the operator may have one.
 */
#include <string.h>

#include "engine/operator/aggregate_inside.h"

/* ---- Calls ----------------------------------------------------------------------------------- */

/* What a call changes in the context, and what is put back behind it. */
struct custom_call {
    enum eng_phase phase;
    const struct pen_schema *room;
    const struct pen_function *function;
    struct eng_keep keep;
    uint32_t current, put_bytes;
};

static void custom_begin(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, struct custom_call *call)
{
    *call = (struct custom_call){
        .phase = ctx->phase,
        .room = ctx->room.schema,
        .function = ctx->function,
        .keep = ctx->keep,
        .current = ctx->room.current,
        .put_bytes = ctx->put.used_bytes,
    };
    ctx->phase = ENG_PHASE_NONE;
    ctx->room.schema = NULL; /* the short way of pen_emit asks for nothing else */
    ctx->function = step->custom;
    ctx->keep = plan->self->keep;
}

/* False: the function has failed the job. */
static bool custom_end(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct custom_call *call)
{
    plan->self->keep = ctx->keep;
    ctx->phase = call->phase;
    if (!eng_context_has_failed(ctx)) ctx->room.schema = call->room;
    ctx->room.current = call->current;
    ctx->function = call->function;
    ctx->keep = call->keep;
    ctx->put.used_bytes = call->put_bytes;
    return !eng_context_has_failed(ctx);
}

/* Adds, or takes back, records from..from + count - 1 of a batch. */
static void custom_run(pen_context *ctx, const struct eng_aggregate_step *step,
                       const struct eng_batch *batch, uint32_t from, uint32_t count,
                       void *const *states, int sign)
{
    ctx->view = (struct pen_batch){
        .count = count,
        .current = &ctx->room.current,
        .records = batch->records + from,
        .states = states,
    };
    if (sign > 0)
        step->custom->loop(ctx, &ctx->view);
    else
        step->custom->retract(ctx, &ctx->view);
}

/* ---- Of fixed size --------------------------------------------------------------------------- */

static bool custom_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct eng_aggregate_step *step, const struct eng_batch *batch,
                       void *const *values)
{
    void *states[ENG_BATCH_RECORDS_MAX];
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    struct custom_call call;

    for (uint32_t i = 0; i < batch->count; i++)
        states[i] = eng_aggregate_at(step, values[i]);
    custom_begin(ctx, plan, step, &call);
    if (eng_aggregate_signs(step, batch, signs)) {
        custom_run(ctx, step, batch, 0, batch->count, states, 1);
    } else {
        for (uint32_t i = 0; i < batch->count && !eng_context_has_failed(ctx); i++)
            if (signs[i] != 0) custom_run(ctx, step, batch, i, 1, &states[i], signs[i]);
    }
    return custom_end(ctx, plan, &call);
}

static bool custom_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, void *at, const void *other)
{
    struct custom_call call;

    custom_begin(ctx, plan, step, &call);
    step->custom->merge(ctx, at, other);
    return custom_end(ctx, plan, &call);
}

/* ---- With texts ------------------------------------------------------------------------------ */

static void custom_load(pen_context *ctx, const struct eng_aggregate_step *step,
                        const struct eng_aggregate_text *record)
{
    struct eng_keep *keep = &ctx->keep;

    if (!keep->bytes) eng_keep_open(keep);
    keep->fixed_bytes = step->state.fixed_bytes;
    keep->used_bytes = record->bytes ? record->size_bytes : step->state.fixed_bytes;
    keep->changed = false;
    if (record->bytes)
        memcpy(keep->bytes, record->bytes, record->size_bytes);
    else
        memset(keep->bytes, 0, step->state.fixed_bytes);
}

static bool custom_store(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, struct eng_aggregate_text *record)
{
    const struct eng_keep *keep = &ctx->keep;
    uint32_t bytes = eng_record_bytes(&step->state, keep->bytes);

    if (bytes == 0) {
        eng_context_fail(ctx, "the accumulator of %s has more than %u bytes", step->custom->name,
                         ENG_RECORD_BYTES_MAX);
        return false;
    }
    if (!keep->changed && record->bytes && bytes == record->size_bytes) {
        memcpy(record->bytes, keep->bytes, step->state.fixed_bytes); /* texts are where they were */
        return true;
    }
    record->size_bytes = 0;
    if (!eng_aggregate_text_room(ctx, plan, step, record, bytes)) return false;
    record->size_bytes =
        eng_record_copy(&step->state, record->bytes, record->capacity_bytes, keep->bytes);
    CHECK(record->size_bytes == bytes);
    return true;
}

/* One after the other: the working copy is of the accumulator `loaded`. */
static bool custom_text_run(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, const struct eng_batch *batch,
                            void *const *values, const int8_t *signs)
{
    struct eng_aggregate_text *loaded = NULL;

    for (uint32_t i = 0; i < batch->count; i++) {
        struct eng_aggregate_text *wanted = eng_aggregate_at(step, values[i]);
        int sign = signs ? signs[i] : 1;
        if (sign == 0) continue;
        /* Texts that were set again lie there still: no more of them than would fill half of it. */
        bool is_full = loaded && ctx->keep.used_bytes > ctx->keep.capacity_bytes / 2;
        if (loaded && (loaded != wanted || is_full)) {
            if (!custom_store(ctx, plan, step, loaded)) return false;
            loaded = NULL;
        }
        if (!loaded) custom_load(ctx, step, wanted);
        loaded = wanted;
        void *state = ctx->keep.bytes;
        custom_run(ctx, step, batch, i, 1, &state, sign);
        if (eng_context_has_failed(ctx)) return false;
    }
    return !loaded || custom_store(ctx, plan, step, loaded);
}

static bool custom_text_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, const struct eng_batch *batch,
                            void *const *values)
{
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool plain = eng_aggregate_signs(step, batch, signs);
    struct custom_call call;

    custom_begin(ctx, plan, step, &call);
    bool good = custom_text_run(ctx, plan, step, batch, values, plain ? NULL : signs);
    return custom_end(ctx, plan, &call) && good;
}

static bool custom_text_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                              const struct eng_aggregate_step *step, void *at, const void *from)
{
    const struct eng_aggregate_text *other = from;
    struct custom_call call;

    if (!other->bytes) return true; /* an empty one */
    custom_begin(ctx, plan, step, &call);
    custom_load(ctx, step, at);
    step->custom->merge(ctx, ctx->keep.bytes, other->bytes);
    bool good = !eng_context_has_failed(ctx) && custom_store(ctx, plan, step, at);
    return custom_end(ctx, plan, &call) && good;
}

static void custom_text_free(pen_context *ctx, const struct eng_aggregate_plan *plan,
                             const struct eng_aggregate_step *step, void *at)
{
    (void)step;
    eng_aggregate_text_free(ctx, plan, at);
}

/* ---- Results --------------------------------------------------------------------------------- */

/* A text of the result as the function has set it: it was put, or it is none. False: failed. */
static bool custom_set_text(pen_context *ctx, const struct eng_aggregate_step *step,
                            const struct eng_field *field, pen_string set,
                            struct eng_builder *result)
{
    uint32_t index = (uint32_t)(field - result->layout->fields);
    struct eng_reason why;
    pen_view text = {"", 0};

    if (eng_field_is_null(field, eng_builder_record(result)))
        return eng_builder_set_null(result, index, NULL);
    if (set.size_bytes > 0) {
        uint64_t position = (uint64_t)(-(int64_t)set.offset_bytes - 1);
        if (set.offset_bytes >= 0 || position + set.size_bytes > ctx->put.used_bytes) {
            eng_context_fail(ctx,
                             "%s sets field %s to a copy of a text, and a text cannot be copied "
                             "with =; use pen_put",
                             step->custom->name, field->name);
            return false;
        }
        text = pen_view_sized(ctx->put.bytes + position, set.size_bytes);
    }
    if (eng_builder_set_text(result, index, text, &why)) return true;
    eng_context_fail(ctx, "%s: %s", step->custom->name, why.text);
    return false;
}

/* Texts of the result that the function has put are laid into it. Until then their fields are as
 * the builder had them: it moves texts as others are set. */
static bool custom_fill(pen_context *ctx, const struct eng_aggregate_step *step, const void *state,
                        struct eng_builder *result)
{
    const struct eng_layout *layout = result->layout;
    pen_string before[ENG_FIELDS_MAX], after[ENG_FIELDS_MAX];
    bool changed[ENG_FIELDS_MAX];
    void *record = eng_builder_record(result);

    for (uint32_t i = 0; i < layout->text_count; i++)
        memcpy(&before[i], eng_field_of(layout->texts[i], record), sizeof before[i]);
    step->custom->finish(ctx, state, record);
    for (uint32_t i = 0; i < layout->text_count; i++) {
        void *at = eng_field_at(layout->texts[i], record);
        memcpy(&after[i], at, sizeof after[i]);
        memcpy(at, &before[i], sizeof before[i]);
        changed[i] = memcmp(&after[i], &before[i], sizeof before[i]) != 0;
    }
    if (eng_context_has_failed(ctx)) return false;
    for (uint32_t i = 0; i < layout->text_count; i++)
        if (changed[i] && !custom_set_text(ctx, step, layout->texts[i], after[i], result))
            return false;
    return true;
}

static bool custom_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                          const struct eng_aggregate_step *step, const void *at,
                          struct eng_builder *result)
{
    struct custom_call call;

    custom_begin(ctx, plan, step, &call);
    bool good = custom_fill(ctx, step, at, result);
    return custom_end(ctx, plan, &call) && good;
}

static bool custom_text_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                               const struct eng_aggregate_step *step, const void *at,
                               struct eng_builder *result)
{
    const struct eng_aggregate_text *record = at;
    struct custom_call call;

    custom_begin(ctx, plan, step, &call);
    if (!record->bytes) custom_load(ctx, step, record);
    bool good = custom_fill(ctx, step, record->bytes ? record->bytes : ctx->keep.bytes, result);
    return custom_end(ctx, plan, &call) && good;
}

const struct eng_aggregate_family eng_aggregate_custom_family = {
    .add = custom_add,
    .merge = custom_merge,
    .finish = custom_finish,
};

const struct eng_aggregate_family eng_aggregate_custom_text_family = {
    .size_bytes = sizeof(struct eng_aggregate_text),
    .owns_memory = true,
    .add = custom_text_add,
    .merge = custom_text_merge,
    .finish = custom_text_finish,
    .free = custom_text_free,
};
