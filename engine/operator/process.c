/* pen_process: a function with the state of each record's key.
 *
 * A state of fixed size lies in the table and is changed there. One with texts is a blob that the
 * table points to: each record gets a working copy (see engine/flow/keyed.c), which is written back
 * when it has changed. So such a state is read and written whole, one record at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/worker.h"
#include "engine/operator/keyed.h"
#include "engine/operator/operators.h"

struct process_plan {
    struct eng_layout state;
};

/* What a table holds for a state with texts. */
struct process_blob {
    void *record; /* NULL: all zeros */
    uint64_t size_bytes;
};

struct process {
    struct eng_keyed keyed;
};

static bool process_prepare(struct eng_node *node, char *reason, uint32_t reason_bytes)
{
    struct process_plan *plan = calloc(1, sizeof *plan);

    CHECK(plan != NULL);
    node->compiled = plan;
    if (eng_layout_open(&plan->state, node->function->state, reason, reason_bytes) < 0)
        return false;
    if (plan->state.text_count == 0 && plan->state.fixed_bytes > 2048) {
        snprintf(reason, reason_bytes,
                 "its state %s has %u bytes; up to 2048 are kept for each key",
                 node->function->state->name, plan->state.fixed_bytes);
        return false;
    }
    return true;
}

static void process_release(struct eng_node *node)
{
    struct process_plan *plan = node->compiled;

    if (plan) eng_layout_close(&plan->state);
    free(plan);
}

static void process_open(pen_context *ctx)
{
    const struct process_plan *plan = ctx->node->compiled;
    const struct pen_process *options = ctx->node->options;
    struct process *self = ctx->self;
    bool has_texts = plan->state.text_count > 0;

    eng_keyed_open(ctx, &self->keyed,
                   has_texts ? (uint32_t)sizeof(struct process_blob) : plan->state.fixed_bytes);
    if (has_texts) {
        eng_keep_open(&ctx->keep);
        ctx->keep.fixed_bytes = plan->state.fixed_bytes;
    }
    ctx->outputs[0].has_rows = options->gives_updates;
}

/* ---- States with texts ----------------------------------------------------------------------- */

/* Makes the working copy. */
static void process_load(pen_context *ctx, const struct process_blob *blob)
{
    struct eng_keep *keep = &ctx->keep;

    if (blob->record) {
        memcpy(keep->bytes, blob->record, blob->size_bytes);
        keep->used_bytes = blob->size_bytes;
    } else {
        memset(keep->bytes, 0, keep->fixed_bytes);
        keep->used_bytes = keep->fixed_bytes;
    }
    keep->changed = false;
}

/* Puts the working copy back. False: no memory. */
static bool process_store(pen_context *ctx, struct process_blob *blob)
{
    const struct process_plan *plan = ctx->node->compiled;
    struct eng_keep *keep = &ctx->keep;
    struct eng_arena *arena = ctx->worker->arena;
    uint32_t bytes = eng_record_bytes(&plan->state, keep->bytes);

    if (bytes == 0) {
        eng_context_fail(ctx, "its state of one key has more than %u bytes", ENG_RECORD_BYTES_MAX);
        return false;
    }
    if (!keep->changed && blob->record && bytes == blob->size_bytes) {
        memcpy(blob->record, keep->bytes, keep->fixed_bytes); /* the texts are where they were */
        return true;
    }
    void *record = eng_arena_blob(arena, bytes);
    if (!record) {
        eng_context_fail(ctx, "there is no memory for a state of %u bytes", bytes);
        return false;
    }
    CHECK(eng_record_copy(&plan->state, record, bytes, keep->bytes) == bytes);
    if (blob->record) eng_arena_blob_free(arena, blob->record, blob->size_bytes);
    *blob = (struct process_blob){record, bytes};
    return true;
}

static void process_with_texts(pen_context *ctx, const struct pen_function *function,
                               const struct eng_batch *batch)
{
    struct process *self = ctx->self;
    void *state = ctx->keep.bytes;

    for (uint32_t i = 0; i < batch->count && !eng_context_has_failed(ctx); i++) {
        struct eng_batch one = eng_batch_part(batch, i);
        one.count = 1;
        if (!eng_keyed_find(ctx, &self->keyed, &one)) return;
        struct process_blob *blob = self->keyed.values[0];
        process_load(ctx, blob);
        ctx->forget = false;
        eng_context_call(ctx, function, &one, &state, NULL);
        if (eng_context_has_failed(ctx)) return;
        if (ctx->forget) {
            if (blob->record)
                eng_arena_blob_free(ctx->worker->arena, blob->record, blob->size_bytes);
            eng_keyed_remove(&self->keyed, &one, 0);
        } else if (!process_store(ctx, blob)) {
            return;
        }
    }
}

/* ---- States of fixed size -------------------------------------------------------------------- */

static void process_fixed(pen_context *ctx, const struct pen_function *function,
                          const struct eng_batch *batch)
{
    struct process *self = ctx->self;
    struct eng_batch rest = *batch;

    while (rest.count > 0) {
        if (!eng_keyed_find(ctx, &self->keyed, &rest)) return;
        ctx->forget = false;
        uint32_t done = eng_context_call(ctx, function, &rest, self->keyed.values, NULL);
        if (eng_context_has_failed(ctx)) return;
        if (ctx->forget) eng_keyed_remove(&self->keyed, &rest, done - 1);
        CHECK(done > 0);
        CHECK(done <= rest.count);
        rest = eng_batch_part(&rest, done);
    }
}

static void process_with(pen_context *ctx, const struct pen_function *function,
                         const struct eng_batch *batch)
{
    const struct process_plan *plan = ctx->node->compiled;
    struct process *self = ctx->self;

    if (plan->state.text_count > 0)
        process_with_texts(ctx, function, batch);
    else
        process_fixed(ctx, function, batch);
    ctx->key_images = NULL;
    eng_keyed_show(ctx, &self->keyed);
}

static void process_batch(pen_context *ctx, const struct eng_batch *batch)
{
    process_with(ctx, ctx->node->function, batch);
}

/* Two inputs that share the state of a key; or a keyed one, and rules that have no key. */
static void process_two_batch(pen_context *ctx, const struct eng_batch *batch)
{
    const struct pen_process *options = ctx->node->options;
    const struct pen_function *function = batch->port == 0 ? options->on_left : options->on_right;

    if (function->kind == PEN_IS_RULE)
        eng_context_call(ctx, function, batch, NULL, NULL);
    else
        process_with(ctx, function, batch);
}

static void process_close(pen_context *ctx)
{
    struct process *self = ctx->self;

    eng_keyed_close(&self->keyed); /* blobs go with the arena */
    eng_keep_close(&ctx->keep);
}

const struct eng_class eng_process_class = {
    .name = "process",
    .self_bytes = sizeof(struct process),
    .prepare = process_prepare,
    .release = process_release,
    .open = process_open,
    .batch = process_batch,
    .close = process_close,
};

const struct eng_class eng_process_two_class = {
    .name = "process_two",
    .self_bytes = sizeof(struct process),
    .prepare = process_prepare,
    .release = process_release,
    .open = process_open,
    .batch = process_two_batch,
    .close = process_close,
};
