/* Timers that are due: out of the wheel, checked against their keys' entries, and to the user.
 *
 * A turn takes what is due from a wheel, a batch at most, in order of time, and finds the keys'
 * entries together. It calls the function for a run of timers at once. What a timer's function does
 * may decide about a later timer of its key: so a run ends before a key that it already has. */
#include <string.h>

#include "engine/operator/process.h"

enum { TIMERS_TURNS_MAX = 4 }; /* batches in one call */

/* Keys of a run, by a bit each: a second one with the same bit may be the same. */
struct timers_seen {
    uint64_t bits[16];
};

static bool timers_see(struct timers_seen *seen, const char *entry)
{
    uint64_t mix = ((uint64_t)(uintptr_t)entry >> 3) * 0x9e3779b97f4a7c15u >> 54;
    uint64_t bit = 1ull << (mix & 63);
    bool before = (seen->bits[mix >> 6] & bit) != 0;

    seen->bits[mix >> 6] |= bit;
    return before;
}

/* What has been taken from a wheel. */
struct timers_due {
    enum pen_clock_kind clock;
    uint32_t count;
    const struct eng_wheel_item *items[ENG_BATCH_RECORDS_MAX];
    uint64_t hashes[ENG_BATCH_RECORDS_MAX];
    const void *keys[ENG_BATCH_RECORDS_MAX];
    uint32_t key_sizes[ENG_BATCH_RECORDS_MAX];
};

static void timers_find(struct process *self, const struct timers_due *due, uint32_t from,
                        void **entries)
{
    eng_keyed_look_up(&self->keyed, due->count - from, due->hashes + from, due->keys + from,
                      due->key_sizes + from, entries + from);
}

/* The time that what it emits has: its own, or by the clock one that no watermark has passed. */
static int64_t timers_time(const pen_context *ctx, enum pen_clock_kind clock, int64_t at_us)
{
    if (clock == PEN_EVENT_TIME || ctx->watermark_us == ENG_WATERMARK_NONE) return at_us;
    return ctx->watermark_us == ENG_WATERMARK_END ? ENG_WATERMARK_END : ctx->watermark_us + 1;
}

/* Is it still set, and for now? */
static bool timers_is_due(pen_context *ctx, const struct timers_due *due, uint32_t i, char *entry,
                          int64_t *at_us)
{
    const struct process_plan *plan = ctx->node->compiled;
    struct process *self = ctx->self;
    const struct eng_wheel_item *item = due->items[i];
    struct eng_timers *timers = eng_key_timers_of(&self->timers, entry);

    *at_us = item->at_us;
    switch (eng_timers_due(ctx->worker->arena, timers, item->tag, eng_key_timers_clock(due->clock),
                           item->at_us, at_us)) {
    case ENG_TIMER_STALE:
        return false;
    case ENG_TIMER_LATER:
        if (!eng_wheel_add_again(self->timers.wheels[due->clock], item, *at_us))
            eng_context_fail(ctx, "there is no memory for a timer that was moved");
        return false;
    case ENG_TIMER_FIRE:
        break;
    }
    /* A key that was over at the timer's time is not woken: the sweep will find it. So a watermark
     * that leaps, to infinity at the end, leaves out no timer on its way. Of another clock than the
     * timer's only the time now is known. */
    int64_t now_us = due->clock == plan->ttl_clock ? *at_us : eng_states_now(ctx, plan->ttl_clock);
    return plan->ttl_us == 0 || !process_is_over(plan, entry, now_us);
}

/* Calls the user for `count` timers of different keys, whose entries are found. */
static void timers_call(pen_context *ctx, struct timers_due *due, const uint32_t *chosen,
                        uint32_t count, void **entries)
{
    static const void *const no_records[ENG_BATCH_RECORDS_MAX];
    const struct process_plan *plan = ctx->node->compiled;
    const struct pen_process *options = ctx->node->options;
    struct process *self = ctx->self;
    uint64_t hashes[ENG_BATCH_RECORDS_MAX];
    const void *keys[ENG_BATCH_RECORDS_MAX];
    uint32_t sizes[ENG_BATCH_RECORDS_MAX];
    void *mine[ENG_BATCH_RECORDS_MAX];

    for (uint32_t i = 0; i < count; i++) {
        uint32_t c = chosen[i];
        hashes[i] = due->hashes[c];
        keys[i] = due->keys[c];
        sizes[i] = due->key_sizes[c];
        mine[i] = entries[c];
    }
    for (uint32_t at = 0; at < count && !eng_context_has_failed(ctx);) {
        struct eng_batch run = {
            .count = plan->one_by_one ? 1 : count - at,
            .records = no_records,
            .times_us = self->times_us + at,
            .hashes = hashes + at,
        };
        ctx->key_images = keys + at;
        ctx->key_sizes = eng_key_is_fixed(self->keyed.key) ? NULL : sizes + at;
        self->keyed.images = ctx->key_images; /* for a key that is forgotten */
        memcpy(self->keyed.sizes, sizes + at, run.count * sizeof *sizes);
        self->timers.numbers = self->numbers + at;
        uint32_t done = eng_process_call(ctx, options->on_timer, &run, mine + at);
        at += done;
        if (done == 0) break;
        if (ctx->forget && at < count) /* entries have moved */
            eng_keyed_look_up(&self->keyed, count - at, hashes + at, keys + at, sizes + at,
                              mine + at);
    }
    self->timers.numbers = NULL;
    ctx->key_images = NULL;
    ctx->key_sizes = NULL;
}

static void timers_fire(pen_context *ctx, struct timers_due *due)
{
    struct process *self = ctx->self;
    void *entries[ENG_BATCH_RECORDS_MAX];
    uint32_t chosen[ENG_BATCH_RECORDS_MAX], count = 0;
    struct timers_seen seen = {{0}};

    timers_find(self, due, 0, entries);
    for (uint32_t i = 0; i < due->count && !eng_context_has_failed(ctx); i++) {
        if (!entries[i]) continue; /* the key was forgotten */
        if (timers_see(&seen, entries[i])) {
            timers_call(ctx, due, chosen, count, entries);
            if (eng_context_has_failed(ctx)) return;
            count = 0;
            seen = (struct timers_seen){{0}};
            timers_find(self, due, i, entries); /* keys may have been forgotten: entries moved */
            if (!entries[i]) continue;
            timers_see(&seen, entries[i]);
        }
        int64_t at_us;
        if (!timers_is_due(ctx, due, i, entries[i], &at_us)) continue;
        self->numbers[count] = due->items[i]->tag;
        self->times_us[count] = timers_time(ctx, due->clock, at_us);
        chosen[count++] = i;
    }
    if (count > 0 && !eng_context_has_failed(ctx)) timers_call(ctx, due, chosen, count, entries);
}

bool eng_process_fire_due(pen_context *ctx, enum pen_clock_kind clock, int64_t until_us,
                          unsigned *work)
{
    struct process *self = ctx->self;
    struct eng_wheel *wheel = self->timers.wheels[clock];
    struct timers_due due; /* some kilobytes, of which `count` are in use */
    bool more = true;

    due.clock = clock;
    for (uint32_t turn = 0; turn < TIMERS_TURNS_MAX && more; turn++) {
        int32_t taken = eng_wheel_take(wheel, until_us, due.items, ENG_BATCH_RECORDS_MAX, &more);
        if (taken < 0) {
            eng_context_fail(ctx, "there is no memory to put its timers in order");
            return true;
        }
        due.count = (uint32_t)taken;
        *work += due.count + more;
        if (due.count == 0) continue;
        for (uint32_t i = 0; i < due.count; i++) {
            due.hashes[i] = due.items[i]->hash;
            due.keys[i] = due.items[i]->key;
            due.key_sizes[i] = due.items[i]->key_bytes;
        }
        timers_fire(ctx, &due);
        if (eng_context_has_failed(ctx)) return true;
        more = true; /* they may have set timers that are due */
    }
    if (clock == PEN_CLOCK_TIME) {
        int64_t next_us = eng_wheel_next(wheel);
        if (next_us != INT64_MAX) eng_worker_wake_at_wall(ctx->worker, next_us);
    }
    return !more;
}
