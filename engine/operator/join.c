/* What the joins share: see join.h. */
#include "engine/operator/join.h"

#include <stdlib.h>
#include <string.h>

#include "shm/counter.h"

/* ---- Opening and closing --------------------------------------------------------------------- */

struct eng_join_plan *eng_join_prepare(struct eng_node *node, const struct eng_join_kind *kind)
{
    const struct pen_join *options = node->options;
    struct eng_join_plan *plan = calloc(1, sizeof *plan);

    CHECK(plan != NULL);
    node->compiled = plan;
    plan->kind = kind;
    plan->match = node->function;
    plan->outer[ENG_JOIN_LEFT] =
        options->outer == PEN_OUTER_LEFT || options->outer == PEN_OUTER_BOTH;
    plan->outer[ENG_JOIN_RIGHT] =
        options->outer == PEN_OUTER_RIGHT || options->outer == PEN_OUTER_BOTH;
    plan->no_before = options->no_before;
    plan->has_wheel = true;
    return plan;
}

void eng_join_release(struct eng_node *node)
{
    struct eng_join_plan *plan = node->compiled;

    if (plan) eng_window_span_close(&plan->span);
    free(plan);
}

void eng_join_open(pen_context *ctx)
{
    struct eng_join *self = eng_join(ctx);

    self->memory.arena = ctx->worker->arena;
    self->done_us = ENG_WATERMARK_NONE;
    eng_keyed_open(ctx, &self->keyed, (uint32_t)sizeof(struct eng_join_entry));
    if (!eng_join_plan(ctx)->has_wheel || eng_context_has_failed(ctx)) return;
    if (eng_wheel_open(&self->wheel, ctx->worker->arena) < 0)
        eng_context_fail(ctx, "there is no memory to note when its rows are over");
}

void eng_join_close(pen_context *ctx)
{
    struct eng_join *self = eng_join(ctx);

    eng_wheel_close(self->wheel);
    eng_keyed_close(&self->keyed); /* rows go with the arena */
    free(self->meeting.copies);
}

static void join_show(pen_context *ctx)
{
    const struct eng_join *self = eng_join(ctx);
    uint64_t bytes = eng_table_bytes(self->keyed.table) + self->memory.bytes;

    if (self->wheel) bytes += eng_wheel_bytes(self->wheel);
    shm_store_own(&ctx->board->keys, eng_table_count(self->keyed.table));
    shm_store_own(&ctx->board->state_bytes, bytes);
}

static void join_no_memory(pen_context *ctx)
{
    const struct eng_join *self = eng_join(ctx);

    eng_context_fail(ctx,
                     "its state keeps rows of %llu keys in %llu bytes, and there is no memory for "
                     "more",
                     (unsigned long long)eng_table_count(self->keyed.table),
                     (unsigned long long)self->memory.bytes);
}

/* ---- Pairs ----------------------------------------------------------------------------------- */

static void join_flush(pen_context *ctx)
{
    struct eng_join *self = eng_join(ctx);
    const struct eng_stream_kind *stream = &ctx->node->outputs[0].stream;

    if (self->pair_count == 0) return;
    struct eng_batch batch = {
        .count = self->pair_count,
        .records = self->pairs[ENG_JOIN_LEFT],
        .times_us = stream->timed ? self->pair_times_us : NULL,
        .rows = stream->updating ? self->pair_rows : NULL,
    };
    self->pair_count = 0;
    if (eng_context_has_failed(ctx)) return;
    eng_context_call_pairs(ctx, eng_join_plan(ctx)->match, &batch, self->pairs[ENG_JOIN_RIGHT]);
}

void eng_join_give(pen_context *ctx, const void *left, const void *right, int64_t time_us,
                   enum pen_row row)
{
    struct eng_join *self = eng_join(ctx);
    uint32_t i = self->pair_count;

    self->budget--;
    if (row == PEN_UPDATE_BEFORE && eng_join_plan(ctx)->no_before) return;
    self->pairs[ENG_JOIN_LEFT][i] = left;
    self->pairs[ENG_JOIN_RIGHT][i] = right;
    self->pair_times_us[i] = time_us;
    self->pair_rows[i] = (uint8_t)row;
    self->pair_count++;
    if (self->pair_count == ENG_BATCH_RECORDS_MAX) join_flush(ctx);
}

/* ---- Keeping --------------------------------------------------------------------------------- */

void *eng_join_add(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                   struct eng_rows *rows, int64_t order)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    const struct eng_layout *layout = ctx->node->ports[batch->port].layout;
    struct eng_join *self = eng_join(ctx);
    uint32_t bytes = eng_record_bytes(layout, batch->records[i]);

    CHECK(bytes > 0);
    char *row = eng_rows_add(&self->memory, rows, order, plan->row_head + bytes);
    if (!row) {
        join_no_memory(ctx);
        return NULL;
    }
    memset(row, 0, plan->row_head);
    CHECK(eng_record_copy(layout, row + plan->row_head, bytes, batch->records[i]) == bytes);
    return row;
}

/* Never is 0; the earliest time of all stands for the second earliest. */
static uint64_t join_encode(int64_t at_us)
{
    if (at_us == INT64_MIN) at_us++;
    return (uint64_t)at_us ^ (uint64_t)1 << 63;
}

void eng_join_wake(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                   struct eng_join_entry *entry, int64_t at_us)
{
    struct eng_join *self = eng_join(ctx);
    uint64_t wake = join_encode(at_us);
    const struct eng_key *key = self->keyed.key;

    if (entry->wake != 0 && entry->wake <= wake) return;
    uint32_t key_bytes =
        key->has_text || key->size_bytes == 0 ? self->keyed.sizes[i] : key->size_bytes;
    if (eng_wheel_add(self->wheel, at_us, batch->hashes[i], 0, self->keyed.images[i], key_bytes))
        entry->wake = wake;
    else
        join_no_memory(ctx);
}

static bool join_is_empty(const struct eng_join_entry *entry)
{
    return entry->sides[0].count == 0 && entry->sides[1].count == 0;
}

/* Keys of which nothing is kept after this batch are removed. Removing moves entries, so that the
 * others are looked up again. */
static void join_forget(pen_context *ctx, const struct eng_batch *batch)
{
    struct eng_join *self = eng_join(ctx);
    struct eng_keyed *keyed = &self->keyed;
    void **entries = keyed->values;
    bool any = false;
    bool empty[ENG_BATCH_RECORDS_MAX];

    for (uint32_t i = 0; i < batch->count; i++)
        any |= empty[i] = join_is_empty(entries[i]);
    if (!any) return;
    for (uint32_t i = 0; i < batch->count; i++)
        if (empty[i])
            eng_table_remove(keyed->table, batch->hashes[i], keyed->images[i], keyed->sizes[i]);
    eng_keyed_look_up(keyed, batch->count, batch->hashes, keyed->images, keyed->sizes, entries);
    for (uint32_t i = 0; i < batch->count; i++)
        if (!entries[i]) entries[i] = &self->nothing;
}

/* What follows looks at the rows of all of them. */
static void join_prefetch(struct eng_join_entry *const *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!entries[i]) continue;
        eng_rows_prefetch(&entries[i]->sides[ENG_JOIN_LEFT]);
        eng_rows_prefetch(&entries[i]->sides[ENG_JOIN_RIGHT]);
    }
}

/* ---- Meeting --------------------------------------------------------------------------------- */

/* True: all pairs of the batch have been given. */
static bool join_meet(pen_context *ctx)
{
    struct eng_join *self = eng_join(ctx);
    struct eng_join_meeting *meeting = &self->meeting;
    const struct eng_join_kind *kind = eng_join_plan(ctx)->kind;

    for (; meeting->next < meeting->count; meeting->next++) {
        if (!(meeting->notes[meeting->next] & ENG_JOIN_SKIP) && !kind->meet(ctx, meeting->next))
            break;
        self->begun = false;
    }
    join_flush(ctx);
    return meeting->next == meeting->count || eng_context_has_failed(ctx);
}

/* Copies the records that have not met all their partners: the batch goes away. */
static void join_save(pen_context *ctx)
{
    struct eng_join_meeting *meeting = &eng_join(ctx)->meeting;
    const struct eng_layout *layout = ctx->node->ports[meeting->port].layout;
    uint64_t bytes = 0, at = 0;

    CHECK(meeting->copies == NULL);
    for (uint32_t i = meeting->next; i < meeting->count; i++)
        bytes += eng_record_bytes(layout, meeting->records[i]);
    meeting->copies = malloc(bytes);
    CHECK(meeting->copies != NULL);
    for (uint32_t i = meeting->next; i < meeting->count; i++) {
        uint32_t size_bytes = eng_record_bytes(layout, meeting->records[i]);
        char *to = meeting->copies + at;
        CHECK(eng_record_copy(layout, to, size_bytes, meeting->records[i]) == size_bytes);
        meeting->records[i] = to;
        at += size_bytes;
    }
}

/* Goes on with what join_save has saved. */
static bool join_go_on(pen_context *ctx)
{
    struct eng_join_meeting *meeting = &eng_join(ctx)->meeting;

    if (meeting->next == meeting->count) return true;
    if (!join_meet(ctx)) return false;
    free(meeting->copies);
    meeting->copies = NULL;
    meeting->next = meeting->count = 0;
    return true;
}

void eng_join_batch(pen_context *ctx, const struct eng_batch *batch)
{
    const struct eng_join_kind *kind = eng_join_plan(ctx)->kind;
    struct eng_join *self = eng_join(ctx);
    struct eng_join_meeting *meeting = &self->meeting;

    CHECK(meeting->next == meeting->count);
    CHECK(self->group.next == self->group.count);
    if (!eng_keyed_find(ctx, &self->keyed, batch)) return;
    ctx->key_images = NULL; /* pairs have their records */
    meeting->port = batch->port;
    meeting->next = 0;
    meeting->count = batch->count;
    for (uint32_t i = 0; i < batch->count; i++)
        meeting->entries[i] = self->keyed.values[i];
    join_prefetch(meeting->entries, batch->count);
    for (uint32_t i = 0; i < batch->count; i++) {
        meeting->records[i] = batch->records[i];
        meeting->times_us[i] = eng_join_time(batch, i);
        meeting->rows[i] = batch->rows ? batch->rows[i] : PEN_INSERT;
        meeting->notes[i] = 0;
        kind->keep(ctx, batch, i, meeting->entries[i]);
        if (eng_context_has_failed(ctx)) return;
    }
    join_forget(ctx, batch);
    for (uint32_t i = 0; i < batch->count; i++)
        meeting->entries[i] = self->keyed.values[i];
    self->budget = ENG_JOIN_BUDGET;
    self->begun = false;
    if (!join_meet(ctx)) {
        join_save(ctx);
        ctx->firing = true;
    }
    join_show(ctx);
}

/* ---- What is due ----------------------------------------------------------------------------- */

/* Takes the next keys that are due. Returns false when there are none up to until_us, and may have
 * taken none yet when it returns true. */
static bool join_take(pen_context *ctx, int64_t until_us)
{
    struct eng_join *self = eng_join(ctx);
    struct eng_join_group *group = &self->group;
    bool more;
    uint64_t hashes[ENG_BATCH_RECORDS_MAX];
    const void *keys[ENG_BATCH_RECORDS_MAX];
    uint32_t sizes[ENG_BATCH_RECORDS_MAX];
    void *entries[ENG_BATCH_RECORDS_MAX];

    group->next = group->count = 0;
    int32_t taken =
        eng_wheel_take(self->wheel, until_us, group->items, ENG_BATCH_RECORDS_MAX, &more);
    if (taken < 0) {
        join_no_memory(ctx);
        return false;
    }
    if (taken == 0) return more;
    for (uint32_t i = 0; i < (uint32_t)taken; i++) {
        hashes[i] = group->items[i]->hash;
        keys[i] = group->items[i]->key;
        sizes[i] = group->items[i]->key_bytes;
    }
    eng_keyed_look_up(&self->keyed, (uint32_t)taken, hashes, keys, sizes, entries);
    group->count = (uint32_t)taken;
    for (uint32_t i = 0; i < group->count; i++) {
        struct eng_join_entry *entry = entries[i];
        if (entry && entry->wake == join_encode(group->items[i]->at_us))
            entry->wake = 0; /* so that a second item for the same time does not count */
        else
            entry = NULL;
        group->entries[i] = entry;
    }
    join_prefetch(group->entries, group->count);
    return true;
}

/* Behind the pairs of a group: removes what is over, and looks when the keys are due again. */
static void join_end_group(pen_context *ctx, int64_t until_us)
{
    const struct eng_join_kind *kind = eng_join_plan(ctx)->kind;
    struct eng_join *self = eng_join(ctx);
    struct eng_join_group *group = &self->group;
    bool empty[ENG_BATCH_RECORDS_MAX];

    for (uint32_t i = 0; i < group->count && !eng_context_has_failed(ctx); i++) {
        struct eng_join_entry *entry = group->entries[i];
        int64_t at_us;
        empty[i] = false;
        if (!entry) continue;
        kind->drop(ctx, entry, until_us);
        empty[i] = join_is_empty(entry);
        if (empty[i] || !kind->next(ctx, entry, &at_us)) continue;
        CHECK(at_us > until_us || until_us == INT64_MIN);
        if (eng_wheel_add_again(self->wheel, group->items[i], at_us))
            entry->wake = join_encode(at_us);
        else
            join_no_memory(ctx);
    }
    if (eng_context_has_failed(ctx)) return;
    for (uint32_t i = 0; i < group->count; i++) /* moves entries */
        if (empty[i])
            CHECK(eng_table_remove(self->keyed.table, group->items[i]->hash, group->items[i]->key,
                                   group->items[i]->key_bytes));
    group->next = group->count = 0;
}

/* True: all that is due up to until_us has been given. */
static bool join_due(pen_context *ctx, int64_t until_us)
{
    const struct eng_join_kind *kind = eng_join_plan(ctx)->kind;
    struct eng_join *self = eng_join(ctx);
    struct eng_join_group *group = &self->group;

    while (!eng_context_has_failed(ctx)) {
        if (group->next == group->count) {
            if (self->budget < 0) return false;
            self->budget -= 16; /* even if nothing is due */
            if (!join_take(ctx, until_us)) return true;
            self->begun = false;
        }
        for (; group->next < group->count; group->next++) {
            struct eng_join_entry *entry = group->entries[group->next];
            if (entry && kind->due && !kind->due(ctx, entry, until_us)) {
                join_flush(ctx);
                return false;
            }
            self->begun = false;
            self->budget--;
        }
        join_flush(ctx);
        join_end_group(ctx, until_us);
    }
    return true;
}

/* ---- Time ------------------------------------------------------------------------------------ */

/* Outer rows come `hold_us` after their event time, so that the watermark is so much later behind
 * the join. */
static void join_pass_watermark(pen_context *ctx)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);
    int64_t watermark_us = plan->gives_clock ? self->done_us : ctx->watermark_us;

    if (watermark_us != ENG_WATERMARK_END)
        watermark_us = eng_time_add(watermark_us, -plan->hold_us);
    if (self->told && watermark_us > ENG_WATERMARK_NONE) eng_pass_watermark(ctx, watermark_us);
    self->told = false;
    if (self->idle && !plan->gives_clock) eng_pass_watermark(ctx, ENG_WATERMARK_IDLE);
    self->idle = false;
}

/* Goes on with everything that was begun; what is due by the clock begins here. */
static void join_advance(pen_context *ctx)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);

    ctx->firing = true;
    if (!join_go_on(ctx)) return;
    if (plan->has_wheel) {
        if (self->group.next == self->group.count) {
            /* What ends at this very instant may still get records of it. */
            self->until_us = ctx->watermark_us;
            if (plan->by_clock)
                self->until_us = self->at_end ? INT64_MAX : eng_worker_wall_us(ctx->worker) - 1;
        }
        if (self->until_us > self->done_us || self->group.next < self->group.count) {
            if (!join_due(ctx, self->until_us)) return;
            self->done_us = eng_join_max(self->done_us, self->until_us);
            self->told |= plan->gives_clock;
        }
    }
    if (eng_context_has_failed(ctx)) return;
    ctx->firing = false;
    if (self->told || self->idle) join_pass_watermark(ctx);
}

void eng_join_watermark(pen_context *ctx, int64_t watermark_us)
{
    struct eng_join *self = eng_join(ctx);

    if (watermark_us == ENG_WATERMARK_IDLE)
        self->idle = true;
    else
        self->told = true;
    if (watermark_us == ENG_WATERMARK_END) self->at_end = true;
    if (ctx->firing) return; /* goes on in fire */
    self->budget = ENG_JOIN_BUDGET;
    join_advance(ctx);
    join_show(ctx);
}

unsigned eng_join_fire(pen_context *ctx)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);
    bool clock = plan->by_clock && self->wheel && eng_wheel_next(self->wheel) != INT64_MAX;
    unsigned work = 0;

    if (ctx->firing || (clock && eng_wheel_next(self->wheel) < eng_worker_wall_us(ctx->worker))) {
        self->budget = ENG_JOIN_BUDGET;
        join_advance(ctx);
        join_show(ctx);
        work = 1;
    }
    if (clock && !ctx->firing)
        eng_worker_wake_at_wall(ctx->worker, eng_time_add(eng_wheel_next(self->wheel), 1));
    return work;
}
