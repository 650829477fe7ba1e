#include "engine/operator/slices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/worker.h"
#include "engine/operator/operators.h"
#include "shm/counter.h"

enum {
    SLICES_ENTRY_BYTES_MAX = 2048,
    SLICES_SHOWN_EVERY = 64, /* batches */
    SLICES_COUNTER_LATE = 0,
};

/* ---- Compiling ------------------------------------------------------------------------------- */

static bool slices_refuse(char *reason, uint32_t reason_bytes, const char *why)
{
    snprintf(reason, reason_bytes, "%s", why);
    return false;
}

static bool slices_prepare(struct eng_node *node, char *reason, uint32_t reason_bytes)
{
    const struct pen_aggregation *options = node->options;
    const struct eng_layout *out = &node->outputs[0].layout;
    struct slices_plan *plan = calloc(1, sizeof *plan);
    struct eng_reason why = {{0}};

    CHECK(plan != NULL);
    node->compiled = plan;
    if (!eng_aggregate_plan_open(&plan->aggregates, options->aggregates, node->ports[0].layout, out,
                                 node->ports[0].stream.updating, true, reason, reason_bytes))
        return false;
    if (eng_copy_plan_open(&plan->key, &node->ports[0].key->layout, out, true, &why) < 0 ||
        eng_window_span_open(&plan->span, &options->window, &why) < 0)
        return slices_refuse(reason, reason_bytes, why.text);
    plan->lateness_us = options->allowed_lateness;
    plan->by_clock = options->window.clock == PEN_CLOCK_TIME;
    plan->updates = plan->lateness_us > 0;
    plan->coalesces = plan->span.kind == PEN_WINDOW_CUMULATING && !plan->updates;
    plan->has_late = node->output_count > 1;
    plan->head_bytes = node->ports[0].stream.updating ? sizeof(int64_t) : 0;
    plan->entry_bytes = plan->head_bytes + plan->aggregates.value_bytes;
    if (!eng_window_span_is_slice(&plan->span) && !plan->aggregates.merges)
        return slices_refuse(reason, reason_bytes,
                             "one of its aggregates cannot be merged, which windows that overlap "
                             "need");
    if (plan->entry_bytes <= SLICES_ENTRY_BYTES_MAX) return true;
    snprintf(reason, reason_bytes,
             "its accumulators have %u bytes; up to %d are kept for each key and window",
             plan->aggregates.value_bytes, SLICES_ENTRY_BYTES_MAX - 8);
    return false;
}

static void slices_release(struct eng_node *node)
{
    struct slices_plan *plan = node->compiled;

    if (!plan) return;
    eng_aggregate_plan_close(&plan->aggregates);
    eng_copy_plan_close(&plan->key);
    eng_window_span_close(&plan->span);
    free(plan);
}

/* ---- A subtask ------------------------------------------------------------------------------- */

static void slices_open(pen_context *ctx)
{
    const struct slices_plan *plan = eng_slices_plan(ctx);
    struct slices *self = ctx->self;

    self->keyed.key = ctx->node->ports[0].key;
    self->aggregates = plan->aggregates;
    self->aggregates.self = &self->aggregate_self;
    self->fired_us = self->clock_us = self->boundary_us = INT64_MIN;
    self->due_us = INT64_MAX;
    self->results = (struct eng_batch){.count = ENG_BATCH_RECORDS_MAX, .times_us = self->times_us};
    self->scratch = calloc(1, plan->entry_bytes ? plan->entry_bytes : 1);
    CHECK(self->scratch != NULL);
    eng_builder_open(&self->result, &ctx->node->outputs[0].layout, 0);
    ctx->outputs[0].has_rows = ctx->node->outputs[0].stream.updating;
    if (!plan->updates) return;
    self->again = calloc(1, sizeof *self->again);
    CHECK(self->again != NULL);
}

static void slices_close(pen_context *ctx)
{
    struct slices *self = ctx->self;

    /* What accumulators own goes with the arena. */
    for (uint32_t i = 0; i < self->count; i++)
        eng_table_close(self->slices[i].table);
    if (self->phase == SLICES_FREE)
        eng_table_close(self->table);
    else
        eng_table_close(self->merged);
    self->keyed.table = NULL;
    eng_keyed_close(&self->keyed);
    eng_key_scratch_close(&self->image_scratch);
    eng_aggregate_self_close(&self->aggregate_self);
    eng_slices_again_close(self->again);
    eng_builder_close(&self->result);
    free(self->slices);
    free(self->scratch);
}

static void slices_show(pen_context *ctx)
{
    const struct slices *self = ctx->self;
    uint64_t keys = 0, bytes = self->aggregate_self.owned_bytes;

    for (uint32_t i = 0; i < self->count; i++) {
        keys += eng_table_count(self->slices[i].table);
        bytes += eng_table_bytes(self->slices[i].table);
    }
    if (self->merged) bytes += eng_table_bytes(self->merged);
    shm_store_own(&ctx->board->keys, keys);
    shm_store_own(&ctx->board->state_bytes, bytes);
}

/* ---- Slices ---------------------------------------------------------------------------------- */

int64_t eng_slices_now(const pen_context *ctx)
{
    const struct slices *self = ctx->self;

    if (!eng_slices_plan(ctx)->by_clock) return ctx->watermark_us;
    /* All records to come are at the clock or later. */
    return self->ended ? INT64_MAX : eng_time_add(self->clock_us, -1);
}

bool eng_slices_pending(const pen_context *ctx, const struct slices_slice *slice,
                        struct eng_window *window)
{
    const struct slices *self = ctx->self;

    return eng_window_span_next(&eng_slices_plan(ctx)->span, &slice->span, self->fired_us, window);
}

int64_t eng_slices_closes(const struct slices_plan *plan, const struct slices_slice *slice)
{
    return eng_time_add(slice->last_end_us - 1, plan->lateness_us);
}

static inline bool slices_contains(const struct slices_slice *slice, int64_t at_us)
{
    return slice->span.from_us <= at_us &&
           (at_us < slice->span.to_us || slice->span.to_us == INT64_MAX);
}

struct slices_slice *eng_slices_find(const struct slices *self, int64_t at_us, uint32_t *at)
{
    uint32_t low = 0, high = self->count; /* slices below low start at or before it */

    if (self->last < self->count && slices_contains(&self->slices[self->last], at_us)) {
        *at = self->last;
        return &self->slices[self->last];
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (self->slices[middle].span.from_us <= at_us)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    if (low == 0 || !slices_contains(&self->slices[low - 1], at_us)) return NULL;
    *at = low - 1;
    return &self->slices[low - 1];
}

void eng_slices_no_memory(pen_context *ctx, const struct eng_table *table)
{
    eng_context_fail(ctx, "a window has %llu keys in %llu bytes, and there is no memory for more",
                     (unsigned long long)eng_table_count(table),
                     (unsigned long long)eng_table_bytes(table));
}

bool eng_slices_open_table(pen_context *ctx, struct eng_table **table)
{
    return eng_keyed_open_table(ctx, table, eng_slices_plan(ctx)->entry_bytes);
}

/* Opens the slice `span` at a place of the array. NULL: failed. */
static struct slices_slice *slices_insert(pen_context *ctx, uint32_t at,
                                          const struct eng_window *span)
{
    const struct slices_plan *plan = eng_slices_plan(ctx);
    struct slices *self = ctx->self;
    struct slices_slice slice = {.span = *span};

    if (!eng_slices_open_table(ctx, &slice.table)) return NULL;
    slice.last_end_us = eng_window_span_last_end(&plan->span, span);
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 8;
        self->slices = realloc(self->slices, self->room * sizeof *self->slices);
        CHECK(self->slices != NULL);
    }
    CHECK(at == 0 || self->slices[at - 1].span.to_us <= span->from_us);
    CHECK(at == self->count || span->to_us <= self->slices[at].span.from_us);
    memmove(self->slices + at + 1, self->slices + at, (self->count - at) * sizeof slice);
    self->slices[at] = slice;
    self->count++;
    eng_slices_note_due(ctx, &slice);
    return &self->slices[at];
}

/* ---- Entries --------------------------------------------------------------------------------- */

bool eng_slices_merge(pen_context *ctx, void *entry, const void *other)
{
    const struct slices_plan *plan = eng_slices_plan(ctx);
    const struct slices *self = ctx->self;

    if (plan->head_bytes > 0) *(int64_t *)entry += *(const int64_t *)other;
    return eng_aggregate_merge(ctx, &self->aggregates, (char *)entry + plan->head_bytes,
                               (const char *)other + plan->head_bytes);
}

void eng_slices_free(pen_context *ctx, void *entry)
{
    const struct slices_plan *plan = eng_slices_plan(ctx);
    const struct slices *self = ctx->self;

    if (plan->aggregates.owns_memory)
        eng_aggregate_free(ctx, &self->aggregates, (char *)entry + plan->head_bytes);
}

/* From the entries to their accumulators; in between the row is counted. */
static void slices_count_rows(const struct eng_batch *batch, void *const *entries,
                              void **accumulators)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        bool back =
            batch->rows && (batch->rows[i] == PEN_UPDATE_BEFORE || batch->rows[i] == PEN_DELETE);
        int64_t *rows = entries[i];
        *rows += back ? -1 : 1;
        accumulators[i] = rows + 1;
    }
}

static bool slices_accumulate(pen_context *ctx, const struct eng_batch *batch, void *const *entries)
{
    struct slices *self = ctx->self;

    if (eng_slices_plan(ctx)->head_bytes > 0) {
        slices_count_rows(batch, entries, self->values);
        entries = self->values;
    }
    return eng_aggregate_add(ctx, &self->aggregates, batch, entries);
}

/* The whole batch lies in one slice. */
static void slices_add_whole(pen_context *ctx, struct eng_table *table,
                             const struct eng_batch *batch)
{
    struct slices *self = ctx->self;

    self->keyed.table = table;
    if (eng_keyed_find(ctx, &self->keyed, batch)) slices_accumulate(ctx, batch, self->keyed.values);
    ctx->key_images = NULL;
    self->keyed.table = NULL;
}

/* Of the records first..to - 1 those that have this table: their entries. Clears their places. */
static bool slices_upsert(pen_context *ctx, const struct eng_batch *batch,
                          struct eng_table **tables, uint32_t first, uint32_t to)
{
    struct slices *self = ctx->self;
    struct eng_gather *gather = &self->gather;
    struct eng_table *table = tables[first];
    uint32_t places[ENG_BATCH_RECORDS_MAX], n = 0;
    bool fixed = eng_table_key_bytes(table) > 0;

    for (uint32_t i = first; i < to; i++) {
        if (tables[i] != table) continue;
        tables[i] = NULL;
        places[n] = i;
        gather->hashes[n] = batch->hashes[i];
        gather->keys[n] = self->images[i];
        gather->key_sizes[n++] = self->image_sizes[i];
    }
    if (!eng_table_upsert(table, n, gather->hashes, gather->keys, fixed ? NULL : gather->key_sizes,
                          self->keyed.values)) {
        eng_slices_no_memory(ctx, table);
        return false;
    }
    for (uint32_t k = 0; k < n; k++)
        self->values[places[k]] = self->keyed.values[k];
    return true;
}

bool eng_slices_add(pen_context *ctx, const struct eng_batch *batch, struct eng_table **tables,
                    uint32_t from, uint32_t to)
{
    struct slices *self = ctx->self;
    struct eng_gather *gather = &self->gather;
    struct eng_batch part = *batch;

    CHECK(to <= batch->count);
    memset(self->values, 0, sizeof self->values);
    for (uint32_t i = from; i < to; i++)
        if (tables[i] && !slices_upsert(ctx, batch, tables, i, to)) return false;
    part.count = 0;
    for (uint32_t i = from; i < to; i++) {
        if (!self->values[i]) continue;
        gather->records[part.count] = batch->records[i];
        gather->hashes[part.count] = batch->hashes[i];
        if (batch->times_us) gather->times_us[part.count] = batch->times_us[i];
        if (batch->rows) gather->rows[part.count] = batch->rows[i];
        gather->keys[part.count] = self->images[i];
        gather->key_sizes[part.count] = self->image_sizes[i];
        self->keyed.values[part.count++] = self->values[i];
    }
    if (part.count == 0) return true;
    part.records = gather->records;
    part.hashes = gather->hashes;
    part.times_us = batch->times_us ? gather->times_us : NULL;
    part.rows = batch->rows ? gather->rows : NULL;
    part.keys = ctx->key_images = gather->keys;
    part.key_sizes = gather->key_sizes;
    bool added = slices_accumulate(ctx, &part, self->keyed.values);
    ctx->key_images = NULL;
    return added;
}

/* ---- Batches --------------------------------------------------------------------------------- */

static void slices_too_late(pen_context *ctx, const struct eng_batch *batch, uint32_t i)
{
    shm_counter_add(&ctx->board->counters[SLICES_COUNTER_LATE], 1);
    if (!eng_slices_plan(ctx)->has_late) return;
    ctx->batch = batch;
    ctx->room.current = i;
    eng_context_emit(ctx, 1, PEN_SAME, ctx->node->outputs[1].schema, batch->records[i]);
}

/* Finds or opens the slice of a record. NULL: it is too late, or in no window, or all has failed.
 * *again: windows of it that have fired change. */
static struct eng_table *slices_place(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                                      bool *again)
{
    const struct slices_plan *plan = eng_slices_plan(ctx);
    int64_t at_us = batch->times_us[i], now_us = ctx->watermark_us;
    struct slices *self = ctx->self;
    struct slices_slice made, *slice;
    struct eng_window window;
    uint32_t at;

    slice = eng_slices_find(self, at_us, &at);
    if (!slice) {
        if (!eng_window_span_slice(&plan->span, at_us, &made.span)) return NULL;
        made.last_end_us = eng_window_span_last_end(&plan->span, &made.span);
    }
    if (at_us <= now_us) {
        if (eng_slices_closes(plan, slice ? slice : &made) <= now_us) {
            slices_too_late(ctx, batch, i);
            return NULL;
        }
        *again = plan->updates && eng_slices_again_window(ctx, slice ? &slice->span : &made.span,
                                                          INT64_MIN, &window);
    }
    if (!slice) slice = slices_insert(ctx, at, &made.span);
    if (!slice) return NULL;
    self->last = at;
    return slice->table;
}

static void slices_find_images(struct slices *self, const struct eng_batch *batch)
{
    if (batch->keys) {
        memcpy(self->images, batch->keys, batch->count * sizeof *self->images);
        memcpy(self->image_sizes, batch->key_sizes, batch->count * sizeof *self->image_sizes);
    } else {
        eng_key_images(self->keyed.key, batch->records, batch->count, &self->image_scratch,
                       self->images, self->image_sizes);
    }
}

/* Some records lie in other slices, or come late. */
static void slices_scatter(pen_context *ctx, const struct eng_batch *batch)
{
    struct eng_table *tables[ENG_BATCH_RECORDS_MAX];
    bool again[ENG_BATCH_RECORDS_MAX], any_again = false;
    struct slices *self = ctx->self;

    for (uint32_t i = 0; i < batch->count && !eng_context_has_failed(ctx); i++) {
        again[i] = false;
        tables[i] = slices_place(ctx, batch, i, &again[i]);
        any_again |= again[i];
    }
    if (eng_context_has_failed(ctx)) return;
    if (ctx->batch) eng_context_deliver(ctx); /* the late ones, while their batch is at hand */
    ctx->batch = NULL;
    ctx->room.current = 0;
    slices_find_images(self, batch);
    if (any_again)
        eng_slices_again(ctx, batch, tables, again);
    else
        eng_slices_add(ctx, batch, tables, 0, batch->count);
}

static void slices_by_time(pen_context *ctx, const struct eng_batch *batch)
{
    struct slices *self = ctx->self;
    int64_t least_us = batch->times_us[0], most_us = least_us;

    for (uint32_t i = 1; i < batch->count; i++) {
        int64_t at_us = batch->times_us[i];
        least_us = at_us < least_us ? at_us : least_us;
        most_us = at_us > most_us ? at_us : most_us;
    }
    /* Nearly always: all in the slice of the batch before, and none of them late. */
    if (least_us > ctx->watermark_us && self->last < self->count &&
        slices_contains(&self->slices[self->last], least_us) &&
        slices_contains(&self->slices[self->last], most_us))
        slices_add_whole(ctx, self->slices[self->last].table, batch);
    else
        slices_scatter(ctx, batch);
}

static void slices_read_clock(pen_context *ctx)
{
    struct slices *self = ctx->self;
    int64_t wall_us = eng_worker_wall_us(ctx->worker);

    if (wall_us > self->clock_us) self->clock_us = wall_us;
}

static void slices_by_clock(pen_context *ctx, const struct eng_batch *batch)
{
    struct slices *self = ctx->self;
    struct slices_slice *slice;
    struct eng_window span;
    uint32_t at;

    slices_read_clock(ctx);
    slice = eng_slices_find(self, self->clock_us, &at);
    if (!slice) {
        if (!eng_window_span_slice(&eng_slices_plan(ctx)->span, self->clock_us, &span)) return;
        slice = slices_insert(ctx, at, &span);
        if (!slice) return;
    }
    self->last = at;
    slices_add_whole(ctx, slice->table, batch);
}

static void slices_batch(pen_context *ctx, const struct eng_batch *batch)
{
    struct slices *self = ctx->self;

    CHECK(self->phase == SLICES_IDLE);
    if (eng_slices_plan(ctx)->by_clock)
        slices_by_clock(ctx, batch);
    else
        slices_by_time(ctx, batch);
    if (self->batches++ % SLICES_SHOWN_EVERY == 0) slices_show(ctx);
}

/* ---- Time ------------------------------------------------------------------------------------ */

/* All is fired that was due: says so to what lies behind. By the clock that is said when a slice is
 * over, so that what waits there for time hears of it also when nothing has happened. */
static void slices_say(pen_context *ctx)
{
    struct slices *self = ctx->self;
    int64_t now_us = eng_slices_now(ctx);
    struct eng_window slice;

    if (eng_slices_plan(ctx)->by_clock && now_us != INT64_MAX) {
        if (self->clock_us < self->boundary_us) return;
        eng_window_span_slice(&eng_slices_plan(ctx)->span, self->clock_us, &slice);
        self->boundary_us = slice.to_us;
    }
    eng_pass_watermark(ctx, now_us);
}

static unsigned slices_go_on(pen_context *ctx)
{
    struct slices *self = ctx->self;
    unsigned work = 0;

    ctx->firing = !eng_slices_fire(ctx, &work);
    if (eng_context_has_failed(ctx)) return work;
    if (work > 0) slices_show(ctx);
    if (!ctx->firing) slices_say(ctx);
    if (eng_slices_plan(ctx)->by_clock && !self->ended && self->due_us != INT64_MAX)
        eng_worker_wake_at_wall(ctx->worker, eng_time_add(self->due_us, 1));
    return work;
}

static unsigned slices_fire(pen_context *ctx)
{
    struct slices *self = ctx->self;

    if (!eng_slices_plan(ctx)->by_clock) return ctx->firing ? slices_go_on(ctx) : 0;
    if (self->ended && !ctx->firing) return 0;
    slices_read_clock(ctx);
    return slices_go_on(ctx);
}

static void slices_watermark(pen_context *ctx, int64_t watermark_us)
{
    struct slices *self = ctx->self;

    CHECK(!ctx->firing);
    if (eng_slices_plan(ctx)->by_clock) {
        if (watermark_us != ENG_WATERMARK_END) return;
        self->ended = true;
    } else if (watermark_us == ENG_WATERMARK_IDLE) {
        eng_pass_watermark(ctx, watermark_us);
        return;
    }
    slices_go_on(ctx);
}

const struct eng_class eng_slices_class = {
    .name = "slices",
    .self_bytes = sizeof(struct slices),
    .prepare = slices_prepare,
    .release = slices_release,
    .open = slices_open,
    .batch = slices_batch,
    .watermark = slices_watermark,
    .fire = slices_fire,
    .close = slices_close,
};
