/* pen_aggregate without a window: one row a key, updated as records come.
 *
 * Changes of one batch become one row for each key: with the first record of a key in the batch its
 * accumulators are copied, and when the batch has been added the result of that copy and the new
 * one are compared. Accumulators that own memory cannot be copied: then it is the old result that
 * is made, and kept until then. An entry is { rows, stamp, accumulators ... }: `rows` counts the
 * records, so that a key whose rows were all taken back is deleted; `stamp` is the batch in which
 * it was last touched. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/worker.h"
#include "engine/operator/aggregate.h"
#include "engine/operator/keyed.h"
#include "engine/operator/operators.h"

struct aggregate_entry {
    int64_t rows;
    uint64_t stamp;
    char accumulators[];
};

struct aggregate_plan {
    struct eng_aggregate_plan aggregates;
    struct eng_copy_plan key; /* the key's fields, from its image into the result */
};

struct aggregate {
    struct eng_keyed keyed;
    struct eng_aggregate_plan aggregates;
    struct eng_aggregate_self own;
    uint64_t stamp;
    void *accumulators[ENG_BATCH_RECORDS_MAX]; /* of each record's key */
    uint32_t touched[ENG_BATCH_RECORDS_MAX];   /* the first record of each key in the batch */
    uint32_t touched_count;
    char *before; /* accumulators of each touched key, as they were; or old results */
    uint64_t before_used, before_capacity;
    uint64_t before_at[ENG_BATCH_RECORDS_MAX]; /* results only */
    uint32_t before_bytes[ENG_BATCH_RECORDS_MAX];
    int64_t before_rows[ENG_BATCH_RECORDS_MAX];
    struct eng_builder old, new;
};

static bool aggregate_all_filled(const struct eng_node *node, const struct aggregate_plan *plan,
                                 char *reason, uint32_t reason_bytes)
{
    const struct eng_layout *out = &node->outputs[0].layout;

    if (plan->aggregates.has_custom) return true; /* it fills what it likes */
    for (uint32_t i = 0; i < out->field_count; i++) {
        const struct eng_field *field = &out->fields[i];
        bool filled = eng_layout_find(&node->ports[0].key->layout, field->name) != NULL;
        if (filled || eng_aggregate_fills(&plan->aggregates, field)) continue;
        snprintf(reason, reason_bytes,
                 "field %s of %s is filled by no aggregate and is no field of the key", field->name,
                 out->schema->name);
        return false;
    }
    return true;
}

static bool aggregate_prepare(struct eng_node *node, char *reason, uint32_t reason_bytes)
{
    const struct pen_aggregation *options = node->options;
    struct aggregate_plan *plan = calloc(1, sizeof *plan);
    struct eng_reason why = {{0}};

    CHECK(plan != NULL);
    node->compiled = plan;
    if (!eng_aggregate_plan_open(&plan->aggregates, options->aggregates, node->ports[0].layout,
                                 &node->outputs[0].layout, node->ports[0].stream.updating, false,
                                 reason, reason_bytes))
        return false;
    if (eng_copy_plan_open(&plan->key, &node->ports[0].key->layout, &node->outputs[0].layout, true,
                           &why) < 0) {
        snprintf(reason, reason_bytes, "%s", why.text);
        return false;
    }
    if (sizeof(struct aggregate_entry) + plan->aggregates.value_bytes > 2048) {
        snprintf(reason, reason_bytes,
                 "its accumulators have %u bytes; up to 2000 are kept for each key",
                 plan->aggregates.value_bytes);
        return false;
    }
    return aggregate_all_filled(node, plan, reason, reason_bytes);
}

static void aggregate_release(struct eng_node *node)
{
    struct aggregate_plan *plan = node->compiled;

    if (!plan) return;
    eng_aggregate_plan_close(&plan->aggregates);
    eng_copy_plan_close(&plan->key);
    free(plan);
}

static void aggregate_open(pen_context *ctx)
{
    const struct aggregate_plan *plan = ctx->node->compiled;
    struct aggregate *self = ctx->self;
    uint32_t value_bytes = plan->aggregates.value_bytes;

    eng_keyed_open(ctx, &self->keyed, (uint32_t)sizeof(struct aggregate_entry) + value_bytes);
    self->aggregates = plan->aggregates;
    self->aggregates.self = &self->own;
    self->before_capacity = (uint64_t)ENG_BATCH_RECORDS_MAX * (value_bytes ? value_bytes : 8);
    self->before = malloc(self->before_capacity);
    CHECK(self->before != NULL);
    eng_builder_open(&self->old, &ctx->node->outputs[0].layout, 0);
    eng_builder_open(&self->new, &ctx->node->outputs[0].layout, 0);
    ctx->outputs[0].has_rows = true;
}

/* Notes which keys the batch touches, with what they held before. */
static void aggregate_touch(struct aggregate *self, const struct eng_batch *batch,
                            uint32_t value_bytes)
{
    self->stamp++;
    self->touched_count = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct aggregate_entry *entry = self->keyed.values[i];
        self->accumulators[i] = entry->accumulators;
        if (entry->stamp != self->stamp) {
            entry->stamp = self->stamp;
            self->before_rows[self->touched_count] = entry->rows;
            if (!self->aggregates.owns_memory)
                memcpy(self->before + (size_t)self->touched_count * value_bytes,
                       entry->accumulators, value_bytes);
            self->touched[self->touched_count++] = i;
        }
        bool back =
            batch->rows && (batch->rows[i] == PEN_UPDATE_BEFORE || batch->rows[i] == PEN_DELETE);
        entry->rows += back ? -1 : 1;
    }
}

static const void *aggregate_result(pen_context *ctx, struct eng_builder *builder,
                                    const void *image, const void *accumulators,
                                    uint32_t *size_bytes)
{
    const struct aggregate_plan *plan = ctx->node->compiled;
    const struct aggregate *self = ctx->self;
    struct eng_reason why;

    eng_builder_begin(builder);
    if (!eng_copy_plan_build(&plan->key, image, builder, &why)) {
        eng_context_fail(ctx, "a key does not fit into the result: %s", why.text);
        return NULL;
    }
    if (!eng_aggregate_finish(ctx, &self->aggregates, accumulators, 0, 0, builder)) return NULL;
    return eng_builder_finish(builder, size_bytes);
}

/* Where accumulators own memory: the results of the touched keys before the batch is added. */
static void aggregate_keep_results(pen_context *ctx)
{
    struct aggregate *self = ctx->self;

    self->before_used = 0;
    for (uint32_t t = 0; t < self->touched_count && !eng_context_has_failed(ctx); t++) {
        const struct aggregate_entry *entry = self->keyed.values[self->touched[t]];
        uint32_t bytes;
        if (self->before_rows[t] <= 0) continue;
        const void *old = aggregate_result(ctx, &self->old, self->keyed.images[self->touched[t]],
                                           entry->accumulators, &bytes);
        if (!old) return;
        if (self->before_used + bytes > self->before_capacity) {
            self->before_capacity = 2 * (self->before_used + bytes);
            self->before = realloc(self->before, self->before_capacity);
            CHECK(self->before != NULL);
        }
        self->before_at[t] = self->before_used;
        self->before_bytes[t] = bytes;
        memcpy(self->before + self->before_used, old, bytes);
        self->before_used += bytes;
    }
}

/* NULL: the job has failed. */
static const void *aggregate_old_result(pen_context *ctx, uint32_t touched, const void *image,
                                        uint32_t *size_bytes)
{
    struct aggregate *self = ctx->self;

    if (!self->aggregates.owns_memory)
        return aggregate_result(ctx, &self->old, image,
                                self->before + (size_t)touched * self->aggregates.value_bytes,
                                size_bytes);
    *size_bytes = self->before_bytes[touched];
    return self->before + self->before_at[touched];
}

static void aggregate_emit(pen_context *ctx, enum pen_row row, const void *record)
{
    if (record) eng_context_emit(ctx, 0, row, ctx->node->outputs[0].schema, record);
}

/* What has become of one key: nothing, a new row, another row, or none. */
static void aggregate_tell(pen_context *ctx, uint32_t touched)
{
    const struct pen_aggregation *options = ctx->node->options;
    struct aggregate *self = ctx->self;
    uint32_t i = self->touched[touched], old_bytes = 0, new_bytes = 0;
    const struct aggregate_entry *entry = self->keyed.values[i];
    const void *image = self->keyed.images[i], *old = NULL, *new = NULL;

    ctx->room.current = i;
    if (self->before_rows[touched] > 0) old = aggregate_old_result(ctx, touched, image, &old_bytes);
    if (entry->rows > 0)
        new = aggregate_result(ctx, &self->new, image, entry->accumulators, &new_bytes);
    if (eng_context_has_failed(ctx)) return;
    if (old && new &&old_bytes == new_bytes && memcmp(old, new, new_bytes) == 0) return;
    if (old && new && !options->no_before) aggregate_emit(ctx, PEN_UPDATE_BEFORE, old);
    if (old && !new) aggregate_emit(ctx, PEN_DELETE, old);
    if (new) aggregate_emit(ctx, old ? PEN_UPDATE_AFTER : PEN_INSERT, new);
}

/* Keys whose rows were all taken back. */
static void aggregate_remove(pen_context *ctx, const struct eng_batch *batch)
{
    struct aggregate *self = ctx->self;

    for (uint32_t t = 0; t < self->touched_count; t++) {
        struct aggregate_entry *entry = self->keyed.values[self->touched[t]];
        if (entry->rows > 0) continue;
        eng_aggregate_free(ctx, &self->aggregates, entry->accumulators);
        self->touched[t] |= 1u << 31; /* removing moves entries: mark first */
    }
    for (uint32_t t = 0; t < self->touched_count; t++)
        if (self->touched[t] >> 31)
            eng_keyed_remove(&self->keyed, batch, self->touched[t] & 0xffff);
}

static void aggregate_batch(pen_context *ctx, const struct eng_batch *batch)
{
    struct aggregate *self = ctx->self;

    if (!eng_keyed_find(ctx, &self->keyed, batch)) return;
    aggregate_touch(self, batch, self->aggregates.value_bytes);
    if (self->aggregates.owns_memory) aggregate_keep_results(ctx);
    if (eng_context_has_failed(ctx)) return;
    if (!eng_aggregate_add(ctx, &self->aggregates, batch, self->accumulators)) return;
    ctx->batch = batch;
    for (uint32_t t = 0; t < self->touched_count && !eng_context_has_failed(ctx); t++)
        aggregate_tell(ctx, t);
    eng_context_deliver(ctx);
    ctx->batch = NULL;
    ctx->room.current = 0;
    aggregate_remove(ctx, batch);
    ctx->key_images = NULL;
    eng_keyed_show(ctx, &self->keyed);
    shm_store_own(&ctx->board->state_bytes,
                  eng_table_bytes(self->keyed.table) + self->own.owned_bytes);
}

/* The table knows nothing of what its values own. */
static void aggregate_free_all(pen_context *ctx)
{
    struct aggregate *self = ctx->self;
    struct eng_table_walk walk;
    void *value;

    eng_table_walk_all(&walk, self->keyed.table);
    while (eng_table_walk_next(&walk, NULL, NULL, NULL, &value))
        eng_aggregate_free(ctx, &self->aggregates, ((struct aggregate_entry *)value)->accumulators);
    CHECK(self->own.owned_bytes == 0);
}

static void aggregate_close(pen_context *ctx)
{
    struct aggregate *self = ctx->self;

    if (self->keyed.table && self->aggregates.owns_memory) aggregate_free_all(ctx);
    eng_aggregate_self_close(&self->own);
    eng_keyed_close(&self->keyed);
    free(self->before);
    eng_builder_close(&self->old);
    eng_builder_close(&self->new);
}

const struct eng_class eng_aggregate_class = {
    .name = "aggregate",
    .self_bytes = sizeof(struct aggregate),
    .prepare = aggregate_prepare,
    .release = aggregate_release,
    .open = aggregate_open,
    .batch = aggregate_batch,
    .close = aggregate_close,
};
