#include <stdlib.h>
#include <string.h>

#include "engine/operator/slices.h"

/* ---- Results --------------------------------------------------------------------------------- */

void eng_slices_begin_results(pen_context *ctx)
{
    struct slices *self = ctx->self;

    CHECK(ctx->batch == NULL);
    ctx->batch = &self->results;
    self->result_count = 0;
}

void eng_slices_end_results(pen_context *ctx)
{
    eng_context_deliver(ctx);
    ctx->batch = NULL;
    ctx->room.current = 0;
}

const void *eng_slices_result(pen_context *ctx, const void *image, const void *entry,
                              const struct eng_window *window, uint32_t *size_bytes)
{
    const struct slices_plan *plan = eng_slices_plan(ctx);
    struct slices *self = ctx->self;
    struct eng_reason why;

    eng_builder_begin(&self->result);
    if (!eng_copy_plan_build(&plan->key, image, &self->result, &why)) {
        eng_context_fail(ctx, "a key does not fit into the result: %s", why.text);
        return NULL;
    }
    if (!eng_aggregate_finish(ctx, &self->aggregates, (const char *)entry + plan->head_bytes,
                              window->from_us, window->to_us, &self->result))
        return NULL;
    return eng_builder_finish(&self->result, size_bytes);
}

void eng_slices_emit(pen_context *ctx, enum pen_row row, const void *record,
                     const struct eng_window *window)
{
    struct slices *self = ctx->self;

    if (self->result_count == ENG_BATCH_RECORDS_MAX) {
        eng_context_deliver(ctx);
        self->result_count = 0;
    }
    ctx->room.current = self->result_count++;
    self->times_us[ctx->room.current] = eng_window_last(window);
    if (!ctx->outputs[0].has_rows) row = PEN_SAME;
    eng_context_emit(ctx, 0, row, ctx->node->outputs[0].schema, record);
}

/* ---- What is due ----------------------------------------------------------------------------- */

/* The first slice with a window that has not fired: all behind it have one, too. */
static uint32_t slices_first_pending(const struct slices *self)
{
    uint32_t low = 0, high = self->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (self->slices[middle].last_end_us <= self->fired_us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void eng_slices_note_due(pen_context *ctx, const struct slices_slice *slice)
{
    struct slices *self = ctx->self;
    struct eng_window window;
    int64_t due_us = eng_slices_closes(eng_slices_plan(ctx), slice);

    if (eng_slices_pending(ctx, slice, &window)) due_us = eng_window_last(&window);
    if (due_us < self->due_us) self->due_us = due_us;
}

/* All that ends until now has fired, also what was empty. */
static void slices_all_fired(pen_context *ctx, int64_t now_us)
{
    struct slices *self = ctx->self;
    int64_t end_us = eng_time_add(now_us, 1);

    if (end_us > self->fired_us) self->fired_us = end_us;
}

static void slices_find_due(pen_context *ctx)
{
    struct slices *self = ctx->self;
    uint32_t pending = slices_first_pending(self);

    self->due_us = INT64_MAX;
    if (self->count == 0) return;
    self->due_us = eng_slices_closes(eng_slices_plan(ctx), &self->slices[0]);
    if (pending < self->count) eng_slices_note_due(ctx, &self->slices[pending]);
}

static void slices_remove(struct slices *self, uint32_t at)
{
    CHECK(at < self->count);
    self->count--;
    memmove(self->slices + at, self->slices + at + 1, (self->count - at) * sizeof *self->slices);
    if (self->last > at) self->last--;
}

void eng_slices_drop(struct slices *self, uint32_t at)
{
    eng_table_close(self->slices[at].table);
    slices_remove(self, at);
}

/* ---- One window ------------------------------------------------------------------------------ */

static void slices_begin_emit(struct slices *self)
{
    self->phase = SLICES_EMIT;
    eng_table_walk_all(&self->walk, self->table);
}

static void slices_begin_merge(struct slices *self)
{
    if (self->merge_at == self->merge_end) {
        slices_begin_emit(self);
        return;
    }
    self->phase = SLICES_MERGE;
    eng_table_walk_all(&self->walk, self->slices[self->merge_at].table);
}

/* The window at hand has `count` slices from `first` on. */
static void slices_begin(pen_context *ctx, uint32_t first, uint32_t count)
{
    struct slices *self = ctx->self;

    self->table = self->slices[first].table;
    self->merge_at = self->merge_end = first + count;
    if (eng_slices_plan(ctx)->coalesces) {
        self->slices[first].span = self->window;
        self->merge_at = first + 1;
    } else if (count > 1) {
        if (!eng_slices_open_table(ctx, &self->merged)) return;
        self->table = self->merged;
        self->merge_at = first;
    }
    slices_begin_merge(self);
}

/* The next thing that is due, begun. False: there is none. */
static bool slices_next(pen_context *ctx, int64_t now_us)
{
    const struct slices_plan *plan = eng_slices_plan(ctx);
    struct slices *self = ctx->self;
    uint32_t pending = slices_first_pending(self), end;

    if (pending > 0 && eng_slices_closes(plan, &self->slices[0]) <= now_us) {
        if (plan->aggregates.owns_memory) {
            self->phase = SLICES_FREE;
            self->table = self->slices[0].table;
            eng_table_walk_all(&self->walk, self->table);
            slices_remove(self, 0);
        } else {
            eng_slices_drop(self, 0);
        }
        return true;
    }
    if (pending == self->count) return false;
    CHECK(eng_slices_pending(ctx, &self->slices[pending], &self->window));
    if (eng_window_last(&self->window) > now_us) return false;
    end = pending + 1;
    while (end < self->count && self->slices[end].span.from_us < self->window.to_us)
        end++;
    slices_begin(ctx, pending, end - pending);
    return true;
}

/* Adds a piece of the slice at hand to the table of the window. Returns how many keys. */
static uint32_t slices_merge_piece(pen_context *ctx, uint32_t most)
{
    struct slices *self = ctx->self;
    struct eng_gather *gather = &self->gather;
    bool fixed = eng_table_key_bytes(self->table) > 0, coalesces = eng_slices_plan(ctx)->coalesces;
    uint32_t n = 0;
    void *source;

    if (most > ENG_BATCH_RECORDS_MAX) most = ENG_BATCH_RECORDS_MAX;
    while (n < most && eng_table_walk_next(&self->walk, &gather->hashes[n], &gather->keys[n],
                                           &gather->key_sizes[n], &source))
        self->sources[n++] = source;
    if (n == 0) {
        if (coalesces) {
            eng_slices_drop(self, self->merge_at);
            self->merge_end--;
        } else {
            self->merge_at++;
        }
        slices_begin_merge(self);
        return 1;
    }
    if (!eng_table_upsert(self->table, n, gather->hashes, gather->keys,
                          fixed ? NULL : gather->key_sizes, self->values)) {
        eng_slices_no_memory(ctx, self->table);
        return n;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!eng_slices_merge(ctx, self->values[i], self->sources[i])) return n;
        if (coalesces) eng_slices_free(ctx, self->sources[i]);
    }
    return n;
}

static uint32_t slices_emit_piece(pen_context *ctx, uint32_t most)
{
    const struct slices_plan *plan = eng_slices_plan(ctx);
    struct slices *self = ctx->self;
    uint32_t n = 0, bytes;
    const void *key;
    void *entry;

    for (; n < most && eng_table_walk_next(&self->walk, NULL, &key, NULL, &entry); n++) {
        if (eng_slices_has_rows(plan, entry)) {
            const void *record = eng_slices_result(ctx, key, entry, &self->window, &bytes);
            if (!record) return n;
            eng_slices_emit(ctx, PEN_INSERT, record, &self->window);
        }
        if (self->merged) eng_slices_free(ctx, entry);
    }
    if (n == most) return n;
    eng_table_close(self->merged);
    self->merged = self->table = NULL;
    self->fired_us = self->window.to_us;
    self->phase = SLICES_IDLE;
    return n + 1;
}

static uint32_t slices_free_piece(pen_context *ctx, uint32_t most)
{
    struct slices *self = ctx->self;
    uint32_t n = 0;
    void *entry;

    for (; n < most && eng_table_walk_next(&self->walk, NULL, NULL, NULL, &entry); n++)
        eng_slices_free(ctx, entry);
    if (n == most) return n;
    eng_table_close(self->table);
    self->table = NULL;
    self->phase = SLICES_IDLE;
    return n + 1;
}

bool eng_slices_fire(pen_context *ctx, unsigned *work)
{
    struct slices *self = ctx->self;
    int64_t now_us = eng_slices_now(ctx);
    uint32_t left = ENG_FIRE_MAX, done = 0;
    bool more = true;

    if (self->phase == SLICES_IDLE && now_us < self->due_us) {
        slices_all_fired(ctx, now_us);
        return true;
    }
    eng_slices_begin_results(ctx);
    for (; more && left > 0 && !eng_context_has_failed(ctx); left -= done < left ? done : left) {
        switch (self->phase) {
        case SLICES_IDLE:
            more = slices_next(ctx, now_us);
            done = 1;
            break;
        case SLICES_MERGE:
            done = slices_merge_piece(ctx, left);
            break;
        case SLICES_EMIT:
            done = slices_emit_piece(ctx, left);
            break;
        case SLICES_FREE:
            done = slices_free_piece(ctx, left);
            break;
        }
        *work += done;
    }
    eng_slices_end_results(ctx);
    if (more) return false;
    slices_all_fired(ctx, now_us);
    slices_find_due(ctx);
    return true;
}
