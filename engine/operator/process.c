/* pen_process: a function with the state of each record's key.
 *
 * A state of fixed size lies in the table and is changed there, for a whole batch of records in one
 * call. One with texts is a blob that the table points to: each record gets a working copy (see
 * engine/flow/keyed.c), which is written back when it has changed. So such a state is read and
 * written whole, one record at a time.
 *
 * A watermark is handed on when all timers that it made due have fired, in pieces if they are many.
 */
#include "engine/operator/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/memory.h"
#include "engine/operator/operators.h"

enum { PROCESS_ENTRY_BYTES_MAX = 3072, PROCESS_STATE_BYTES_MAX = 2048 };

/* ---- The entry ------------------------------------------------------------------------------- */

static bool process_lay_out(const struct eng_node *node, struct process_plan *plan, char *reason,
                            uint32_t reason_bytes)
{
    const struct pen_process *options = node->options;
    uint32_t at =
        plan->has_texts ? (uint32_t)sizeof(struct eng_state_blob) : plan->state.fixed_bytes;

    if (plan->ttl_us > 0) {
        plan->stamp_offset = at;
        at += 8;
    }
    if (options->on_timer) {
        plan->has_timers = true;
        plan->timers_offset = at;
        at += (uint32_t)sizeof(struct eng_timers);
    }
    plan->heads_offset = at;
    if (node->states) at += node->states->key_bytes;
    plan->entry_bytes = at;
    if (at <= PROCESS_ENTRY_BYTES_MAX) return true;
    snprintf(reason, reason_bytes,
             "a key takes %u bytes with its state and the heads of its states in .uses; %d is the "
             "most",
             at, PROCESS_ENTRY_BYTES_MAX);
    return false;
}

/* The shortest time to live paces the sweeps. */
static void process_pace(const struct eng_node *node, struct process_plan *plan)
{
    plan->sweep_ttl_us = plan->ttl_us;
    plan->sweep_clock = plan->ttl_clock;
    for (uint32_t i = 0; node->states && i < node->states->count; i++) {
        const struct pen_state *state = node->states->states[i].state;
        bool is_shorter = plan->sweep_ttl_us == 0 || state->ttl < plan->sweep_ttl_us;
        if (state->ttl <= 0 || !is_shorter) continue;
        plan->sweep_ttl_us = state->ttl;
        plan->sweep_clock = state->ttl_clock;
    }
}

static bool process_prepare(struct eng_node *node, char *reason, uint32_t reason_bytes)
{
    const struct pen_process *options = node->options;
    struct process_plan *plan = calloc(1, sizeof *plan);

    CHECK(plan != NULL);
    node->compiled = plan;
    if (eng_layout_open(&plan->state, node->function->state, reason, reason_bytes) < 0)
        return false;
    plan->has_texts = plan->state.text_count > 0;
    if (!plan->has_texts && plan->state.fixed_bytes > PROCESS_STATE_BYTES_MAX) {
        snprintf(reason, reason_bytes, "its state %s has %u bytes; up to %d are kept for each key",
                 node->function->state->name, plan->state.fixed_bytes, PROCESS_STATE_BYTES_MAX);
        return false;
    }
    plan->one_by_one = plan->has_texts || (node->states && node->states->settles);
    plan->ttl_us = options->ttl;
    plan->ttl_clock = options->ttl_clock;
    process_pace(node, plan);
    return process_lay_out(node, plan, reason, reason_bytes);
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

    eng_keyed_open(ctx, &self->keyed, plan->entry_bytes);
    if (plan->has_texts) {
        eng_keep_open(&ctx->keep);
        ctx->keep.fixed_bytes = plan->state.fixed_bytes;
    }
    if (plan->has_timers) {
        self->timers.offset_bytes = plan->timers_offset;
        if (!eng_key_timers_open(ctx, &self->timers)) return;
        ctx->timers = &self->timers;
    }
    if (ctx->states) ctx->states->heads_offset = plan->heads_offset;
    self->swept_us = INT64_MIN;
    ctx->outputs[0].has_rows = options->gives_updates;
}

void eng_process_empty(pen_context *ctx, char *entry)
{
    const struct process_plan *plan = ctx->node->compiled;
    struct process *self = ctx->self;
    struct eng_arena *arena = ctx->worker->arena;

    if (plan->has_texts) {
        struct eng_state_blob *blob = (struct eng_state_blob *)(void *)entry;
        if (blob->record) {
            eng_arena_blob_free(arena, blob->record, blob->size_bytes);
            self->texts_bytes -= eng_arena_blob_bytes(blob->size_bytes);
        }
    }
    if (plan->has_timers) eng_timers_drop(arena, eng_key_timers_of(&self->timers, entry));
    if (ctx->states) eng_states_forget(ctx, entry + plan->heads_offset);
    memset(entry, 0, plan->entry_bytes);
}

/* ---- States with texts ----------------------------------------------------------------------- */

/* Makes the working copy. */
static void process_load(pen_context *ctx, const struct eng_state_blob *blob)
{
    struct eng_keep *keep = &ctx->keep;

    keep->used_bytes = 0;
    keep->changed = false;
    CHECK(eng_keep_copy(keep, blob->record, blob->record ? blob->size_bytes : keep->fixed_bytes) ==
          keep->bytes);
}

/* Puts the working copy back. False: no memory. */
static bool process_store(pen_context *ctx, struct eng_state_blob *blob)
{
    const struct process_plan *plan = ctx->node->compiled;
    struct process *self = ctx->self;
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
    self->texts_bytes += eng_arena_blob_bytes(bytes);
    if (blob->record) {
        eng_arena_blob_free(arena, blob->record, blob->size_bytes);
        self->texts_bytes -= eng_arena_blob_bytes(blob->size_bytes);
    }
    *blob = (struct eng_state_blob){record, bytes};
    return true;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static uint32_t process_call_with_texts(pen_context *ctx, const struct pen_function *function,
                                        const struct eng_batch *one, char *entry)
{
    struct eng_state_blob *blob = (struct eng_state_blob *)(void *)entry;
    void *state = ctx->keep.bytes;

    process_load(ctx, blob);
    eng_context_call(ctx, function, one, &state, NULL);
    if (eng_context_has_failed(ctx)) return 0;
    if (!ctx->forget && !process_store(ctx, blob)) return 0;
    return 1;
}

uint32_t eng_process_call(pen_context *ctx, const struct pen_function *function,
                          const struct eng_batch *batch, void *const *entries)
{
    const struct process_plan *plan = ctx->node->compiled;
    struct process *self = ctx->self;
    uint32_t done;

    ctx->forget = false;
    ctx->entries = entries;
    if (!plan->has_texts) ctx->keep.used_bytes = 0;
    if (plan->has_texts)
        done = process_call_with_texts(ctx, function, batch, entries[0]);
    else
        done = eng_context_call(ctx, function, batch, entries, NULL);
    if (ctx->states && !eng_context_has_failed(ctx)) eng_states_settle(ctx);
    ctx->entries = NULL;
    if (eng_context_has_failed(ctx)) return 0;
    CHECK(done > 0);
    CHECK(done <= batch->count);
    if (ctx->forget) {
        eng_process_empty(ctx, entries[done - 1]);
        eng_keyed_remove(&self->keyed, batch, done - 1);
    }
    return done;
}

/* ---- Records --------------------------------------------------------------------------------- */

static int64_t process_record_now(const pen_context *ctx, const struct process_plan *plan,
                                  const struct eng_batch *batch, uint32_t i)
{
    if (plan->ttl_clock == PEN_CLOCK_TIME) return eng_worker_wall_us(ctx->worker);
    int64_t time_us = batch->times_us ? batch->times_us[i] : INT64_MIN;
    return time_us > ctx->watermark_us ? time_us : ctx->watermark_us;
}

/* Stamps the keys of a batch, after emptying those that were silent for too long. Returns how many
 * records may be handed on before a key of theirs, in this very batch, is over. */
static uint32_t process_stamp_batch(pen_context *ctx, const struct eng_batch *batch,
                                    void *const *entries)
{
    const struct process_plan *plan = ctx->node->compiled;

    for (uint32_t i = 0; i < batch->count; i++) {
        char *entry = entries[i];
        int64_t now_us = process_record_now(ctx, plan, batch, i);
        if (process_is_over(plan, entry, now_us)) {
            for (uint32_t j = 0; j < i; j++)
                if (entries[j] == entry) return i;
            eng_process_empty(ctx, entry);
        }
        if (now_us > process_stamp_read(plan, entry)) process_stamp_write(plan, entry, now_us);
    }
    return batch->count;
}

static void process_with(pen_context *ctx, const struct pen_function *function,
                         const struct eng_batch *batch)
{
    const struct process_plan *plan = ctx->node->compiled;
    struct process *self = ctx->self;
    struct eng_batch rest = *batch;

    while (rest.count > 0) {
        struct eng_batch run = rest;
        if (plan->one_by_one) run.count = 1;
        if (!eng_keyed_find(ctx, &self->keyed, &run)) return;
        if (plan->ttl_us > 0) run.count = process_stamp_batch(ctx, &run, self->keyed.values);
        uint32_t done = eng_process_call(ctx, function, &run, self->keyed.values);
        if (done == 0) return;
        rest = eng_batch_part(&rest, done);
    }
    ctx->key_images = NULL;
}

static void process_show(pen_context *ctx)
{
    struct process *self = ctx->self;
    uint64_t bytes = eng_table_bytes(self->keyed.table) + self->texts_bytes;

    if (ctx->states) bytes += ctx->states->owned_bytes;
    if (ctx->timers)
        bytes += eng_wheel_bytes(self->timers.wheels[0]) + eng_wheel_bytes(self->timers.wheels[1]);
    shm_store_own(&ctx->board->keys, eng_table_count(self->keyed.table));
    shm_store_own(&ctx->board->state_bytes, bytes);
}

static void process_batch(pen_context *ctx, const struct eng_batch *batch)
{
    process_with(ctx, ctx->node->function, batch);
    process_show(ctx);
}

/* Two inputs that share the state of a key; or a keyed one, and rules that have no key. */
static void process_two_batch(pen_context *ctx, const struct eng_batch *batch)
{
    const struct pen_process *options = ctx->node->options;
    const struct pen_function *function = batch->port == 0 ? options->on_left : options->on_right;

    if (function->kind == PEN_IS_RULE)
        eng_states_call(ctx, function, batch);
    else
        process_with(ctx, function, batch);
    process_show(ctx);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void process_watermark(pen_context *ctx, int64_t watermark_us)
{
    unsigned work = 0;

    if (watermark_us != ENG_WATERMARK_IDLE && ctx->timers &&
        !eng_process_fire_due(ctx, PEN_EVENT_TIME, watermark_us, &work)) {
        ctx->firing = true;
        return;
    }
    if (work > 0) process_show(ctx);
    eng_context_reset_text(ctx);
    if (!eng_context_has_failed(ctx)) eng_pass_watermark(ctx, watermark_us);
}

static unsigned process_fire(pen_context *ctx)
{
    const struct process_plan *plan = ctx->node->compiled;
    struct process *self = ctx->self;
    unsigned work = 0;

    if (ctx->firing) {
        bool done = eng_process_fire_due(ctx, PEN_EVENT_TIME, ctx->watermark_us, &work);
        eng_context_reset_text(ctx);
        if (!done) return work;
        if (eng_context_has_failed(ctx)) return work;
        ctx->firing = false;
        process_show(ctx);
        eng_pass_watermark(ctx, ctx->watermark_us);
    }
    if (ctx->timers && eng_wheel_count(self->timers.wheels[PEN_CLOCK_TIME]) > 0)
        eng_process_fire_due(ctx, PEN_CLOCK_TIME, eng_worker_wall_us(ctx->worker), &work);
    if (plan->sweep_ttl_us > 0) work += eng_process_sweep(ctx);
    if (work > 0) process_show(ctx);
    eng_context_reset_text(ctx);
    return work;
}

static void process_weigh(pen_context *ctx, struct eng_memory_keys *keys)
{
    const struct process_plan *plan = ctx->node->compiled;
    struct process *self = ctx->self;
    struct eng_table_walk walk;
    const void *key;
    void *entry;

    eng_table_walk_all(&walk, self->keyed.table);
    while (eng_table_walk_next(&walk, NULL, &key, NULL, &entry)) {
        uint64_t bytes = plan->entry_bytes;
        if (plan->has_texts) bytes += ((struct eng_state_blob *)entry)->size_bytes;
        if (plan->has_timers) bytes += eng_timers_bytes(eng_key_timers_of(&self->timers, entry));
        if (ctx->states) bytes += eng_states_bytes(ctx->states, (char *)entry + plan->heads_offset);
        eng_memory_add_key(ctx, keys, key, bytes);
    }
}

static void process_close(pen_context *ctx)
{
    struct process *self = ctx->self;

    eng_key_timers_close(&self->timers);
    eng_keyed_close(&self->keyed); /* blobs go with the arena */
    free(self->keys);
}

const struct eng_class eng_process_class = {
    .name = "process",
    .self_bytes = sizeof(struct process),
    .has_entries = true,
    .prepare = process_prepare,
    .release = process_release,
    .open = process_open,
    .batch = process_batch,
    .watermark = process_watermark,
    .fire = process_fire,
    .weigh = process_weigh,
    .close = process_close,
};

const struct eng_class eng_process_two_class = {
    .name = "process_two",
    .self_bytes = sizeof(struct process),
    .has_entries = true,
    .prepare = process_prepare,
    .release = process_release,
    .open = process_open,
    .batch = process_two_batch,
    .watermark = process_watermark,
    .fire = process_fire,
    .weigh = process_weigh,
    .close = process_close,
};
