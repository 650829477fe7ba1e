/* The functions of aggregate.h: each step of a plan in turn. */
#include <string.h>

#include "engine/operator/aggregate_inside.h"

/* ---- Records --------------------------------------------------------------------------------- */

bool eng_aggregate_signs(const struct eng_aggregate_step *step, const struct eng_batch *batch,
                         int8_t *signs)
{
    const struct eng_field *from = step->from, *only = step->only;
    bool may_be_null = from && eng_field_nullable(from);

    if (!batch->rows && !only && !may_be_null) return true;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint8_t row = batch->rows ? batch->rows[i] : PEN_INSERT;
        signs[i] = row == PEN_UPDATE_BEFORE || row == PEN_DELETE ? -1 : 1;
    }
    if (may_be_null)
        for (uint32_t i = 0; i < batch->count; i++)
            if (eng_field_is_null(from, batch->records[i])) signs[i] = 0;
    if (!only) return false;
    for (uint32_t i = 0; i < batch->count; i++) {
        const void *record = batch->records[i];
        if (eng_field_is_null(only, record) || !*(const bool *)eng_field_of(only, record))
            signs[i] = 0;
    }
    return false;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

bool eng_aggregate_no_memory(pen_context *ctx, const struct eng_aggregate_plan *plan,
                             const struct eng_aggregate_step *step)
{
    eng_context_fail(ctx, "there is no memory for what %s keeps; its aggregates own %llu bytes",
                     step->name, (unsigned long long)plan->self->owned_bytes);
    return false;
}

void eng_aggregate_owned(const struct eng_aggregate_plan *plan, uint64_t before_bytes,
                         uint64_t after_bytes)
{
    CHECK(plan->self->owned_bytes >= before_bytes);
    plan->self->owned_bytes += after_bytes - before_bytes;
}

void *eng_aggregate_blob(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, uint64_t size_bytes)
{
    void *blob = eng_arena_blob(ctx->worker->arena, size_bytes);

    if (blob)
        eng_aggregate_owned(plan, 0, eng_arena_blob_bytes(size_bytes));
    else
        eng_aggregate_no_memory(ctx, plan, step);
    return blob;
}

void eng_aggregate_blob_free(pen_context *ctx, const struct eng_aggregate_plan *plan, void *blob,
                             uint64_t size_bytes)
{
    eng_aggregate_owned(plan, eng_arena_blob_bytes(size_bytes), 0);
    eng_arena_blob_free(ctx->worker->arena, blob, size_bytes);
}

bool eng_aggregate_text_room(pen_context *ctx, const struct eng_aggregate_plan *plan,
                             const struct eng_aggregate_step *step, struct eng_aggregate_text *text,
                             uint64_t size_bytes)
{
    if (size_bytes <= text->capacity_bytes) return true;
    CHECK(size_bytes <= UINT32_MAX / 4);
    uint64_t wanted = size_bytes;
    if (text->capacity_bytes && wanted < (uint64_t)text->capacity_bytes * 3 / 2)
        wanted = (uint64_t)text->capacity_bytes * 3 / 2;
    uint64_t capacity = eng_arena_blob_bytes(wanted); /* it costs that much in any case */
    char *bytes = eng_aggregate_blob(ctx, plan, step, capacity);
    if (!bytes) return false;
    if (text->size_bytes) memcpy(bytes, text->bytes, text->size_bytes);
    if (text->bytes) eng_aggregate_blob_free(ctx, plan, text->bytes, text->capacity_bytes);
    text->bytes = bytes;
    text->capacity_bytes = (uint32_t)capacity;
    return true;
}

bool eng_aggregate_text_set(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, struct eng_aggregate_text *text,
                            pen_view bytes)
{
    text->size_bytes = 0;
    if (!eng_aggregate_text_room(ctx, plan, step, text, bytes.size_bytes)) return false;
    if (bytes.size_bytes) memcpy(text->bytes, bytes.data, bytes.size_bytes);
    text->size_bytes = bytes.size_bytes;
    return true;
}

void eng_aggregate_text_free(pen_context *ctx, const struct eng_aggregate_plan *plan,
                             struct eng_aggregate_text *text)
{
    if (text->bytes) eng_aggregate_blob_free(ctx, plan, text->bytes, text->capacity_bytes);
    *text = (struct eng_aggregate_text){0};
}

bool eng_aggregate_set_text(pen_context *ctx, const struct eng_aggregate_step *step, pen_view text,
                            struct eng_builder *result)
{
    struct eng_reason why;

    if (eng_builder_set_text(result, step->into_index, text, &why)) return true;
    eng_context_fail(ctx, "%s: %s", step->name, why.text);
    return false;
}

/* ---- Count, and count_of --------------------------------------------------------------------- */

static bool count_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                      const struct eng_aggregate_step *step, const struct eng_batch *batch,
                      void *const *values)
{
    uint32_t offset_bytes = step->offset_bytes;
    int8_t signs[ENG_BATCH_RECORDS_MAX];

    (void)ctx, (void)plan;
    if (eng_aggregate_signs(step, batch, signs))
        for (uint32_t i = 0; i < batch->count; i++)
            ++*(int64_t *)(void *)((char *)values[i] + offset_bytes);
    else
        for (uint32_t i = 0; i < batch->count; i++)
            *(int64_t *)(void *)((char *)values[i] + offset_bytes) += signs[i];
    return true;
}

static bool count_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                        const struct eng_aggregate_step *step, void *at, const void *other)
{
    (void)ctx, (void)plan, (void)step;
    *(int64_t *)at += *(const int64_t *)other;
    return true;
}

static bool count_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, const void *at,
                         struct eng_builder *result)
{
    (void)ctx, (void)plan;
    eng_aggregate_set_int(step, *(const int64_t *)at, result);
    return true;
}

const struct eng_aggregate_family eng_aggregate_count_family = {
    .size_bytes = sizeof(int64_t),
    .add = count_add,
    .merge = count_merge,
    .finish = count_finish,
};

/* ---- All steps ------------------------------------------------------------------------------- */

bool eng_aggregate_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct eng_batch *batch, void *const *values)
{
    CHECK(plan->self != NULL);
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct eng_aggregate_step *step = &plan->steps[s];
        if (step->family && !step->family->add(ctx, plan, step, batch, values)) return false;
    }
    plan->self->arrivals += batch->count;
    return true;
}

bool eng_aggregate_merge(pen_context *ctx, const struct eng_aggregate_plan *plan, void *value,
                         const void *other)
{
    CHECK(plan->self != NULL);
    CHECK(value != other);
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct eng_aggregate_step *step = &plan->steps[s];
        if (step->family && !step->family->merge(ctx, plan, step, eng_aggregate_at(step, value),
                                                 (const char *)other + step->offset_bytes))
            return false;
    }
    return true;
}

bool eng_aggregate_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                          const void *value, int64_t from_us, int64_t to_us,
                          struct eng_builder *result)
{
    CHECK(plan->self != NULL);
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct eng_aggregate_step *step = &plan->steps[s];
        if (!step->family)
            eng_aggregate_set_int(step, step->kind == PEN_AGGREGATE_WINDOW_START ? from_us : to_us,
                                  result);
        else if (!step->family->finish(ctx, plan, step, (const char *)value + step->offset_bytes,
                                       result))
            return false;
    }
    return true;
}

void eng_aggregate_free(pen_context *ctx, const struct eng_aggregate_plan *plan, void *value)
{
    if (plan->owns_memory) {
        CHECK(plan->self != NULL);
        for (uint32_t s = 0; s < plan->step_count; s++) {
            const struct eng_aggregate_step *step = &plan->steps[s];
            if (step->family && step->family->free)
                step->family->free(ctx, plan, step, eng_aggregate_at(step, value));
        }
    }
    memset(value, 0, plan->value_bytes);
}

void eng_aggregate_self_close(struct eng_aggregate_self *self)
{
    eng_keep_close(&self->keep);
    *self = (struct eng_aggregate_self){0};
}
