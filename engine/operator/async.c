/* pen_async: a function that may block, in helper processes.
 *
 * The processes. A subtask of pen_async forks one process when it opens, the nursery, and that
 * forks helpers when they are first needed, up to `.in_flight`. The nursery never holds state, so a
 * helper that is replaced in the middle of a run costs a fork of a few megabytes, not of the
 * worker's gigabytes, and shares no page that the worker would have to copy. A helper has a socket
 * to the worker. It opens (the user's open, pen_local), then answers records, one at a time, then
 * closes. Nothing is shared: what the function emits, rejects and counts comes back as frames
 * (async.h), and the worker does with them what a map would have done, in one place, when the call
 * has returned. So a call that dies half done has done nothing.
 *
 *     supervisor --- worker --- nursery --- helper 0
 *                       |  \________________/   |       each dies with the one to its left
 *                       +----------------- helper 1
 *
 * A record.
 *
 *     WAITING --a helper is free--> RUNNING --DONE--> done --its turn--> results go on, freed
 *        ^                             |                ^
 *        +-- timeout, death of helper -+                |
 *                                      +-- tries spent --> dead letter, no results
 *
 * Order. The stream is cut into segments by its watermarks: a segment is the records between two of
 * them and the watermark that ends it. Results go on from the first segment only; when none of its
 * records is left its watermark goes on, and the next segment is the first. So no result passes a
 * watermark in either direction. Within a segment there is a list, and results go on from its head
 * as far as it is done. `.ordered` or not is when a record joins the list: when it comes, or when
 * it is done.
 *
 * Backpressure. The chain is asked to hand in nothing more while a record waits for a helper, or
 * while more is held than a bound. A batch that was handed in is always taken whole. Results go on
 * only while nothing behind is blocked; until then they are held, and new calls are begun only as
 * long as that is little. The oldest record can always run, so this ends.
 *
 * The end. When all inputs have ended the subtask waits until no segment is left, shuts the helpers
 * down, waits for them and for the nursery, and is closed. A STOP ends inputs without a watermark,
 * and is nothing else.
 *
 * Who dies. A helper, of whatever: the nursery reaps it and says so; what the helper had said is in
 * the socket and counts. Its record was tried. In open or close, where no record is to blame, the
 * job fails. A helper over its time: the worker has the nursery kill it. The nursery: the kernel
 * kills its helpers, the worker sees its pidfd and fails the job. The worker: the kernel kills the
 * nursery and that its helpers. The supervisor: the same, one earlier. No memory is shared, so
 * there is nothing to find in a bad state.
 *
 * Where no processes can be made (time is virtual, or everything is simulated) the worker calls the
 * function itself: all is as above with a helper that answers at once. */
#include <stdlib.h>
#include <string.h>

#include "engine/operator/async.h"
#include "engine/operator/operators.h"
#include "shm/clock.h"
#include "shm/counter.h"

enum {
    ASYNC_HELD_FACTOR = 4, /* records held for each helper ... */
    ASYNC_HELD_SPARE = ENG_BATCH_RECORDS_MAX,
    ASYNC_HELD_BYTES_MAX = 16 << 20,
};

struct async_segment {
    struct async_segment *next;
    struct eng_async_entry *first, *last; /* whose results go on in this order */
    uint32_t undone;                      /* records that have no result yet, listed or not */
    bool is_closed;                       /* a watermark ends it: */
    bool is_idle;                         /* ... and after it the stream is idle */
    int64_t watermark_us;                 /* ENG_WATERMARK_NONE: only that */
};

struct async {
    struct eng_crew *crew;         /* NULL: */
    struct eng_async_call *inside; /* the worker calls the function itself */
    struct eng_text_out answer;    /* of such a call */
    struct async_segment *first, *last, *before_last;
    struct eng_async_entry *all; /* whatever is held */
    struct eng_async_entry *waiting_first, *waiting_last;
    uint32_t waiting_count, running_count;
    uint32_t held_count;
    uint64_t held_bytes;
    uint32_t tries_max;
    bool is_ordered, ending;
    struct eng_batch batch; /* that results inherit from; its records are gone */
    int64_t times_us[ENG_BATCH_RECORDS_MAX];
    uint8_t rows[ENG_BATCH_RECORDS_MAX];
};

/* ---- Segments -------------------------------------------------------------------------------- */

static void async_add_segment(struct async *async)
{
    struct async_segment *segment = calloc(1, sizeof *segment);

    CHECK(segment != NULL);
    segment->watermark_us = ENG_WATERMARK_NONE;
    async->before_last = async->last;
    if (async->last)
        async->last->next = segment;
    else
        async->first = segment;
    async->last = segment;
}

static bool async_segment_is_empty(const struct async_segment *segment)
{
    return segment->undone == 0 && segment->first == NULL;
}

static void async_list(struct eng_async_entry *entry)
{
    struct async_segment *segment = entry->segment;

    entry->next = NULL;
    if (segment->last)
        segment->last->next = entry;
    else
        segment->first = entry;
    segment->last = entry;
}

/* Nothing is held: no record, no watermark. */
static bool async_is_empty(const struct async *async)
{
    return async->held_count == 0 && !async->first->is_closed;
}

/* The head of the first segment may go on. */
static bool async_is_ready(const struct async *async)
{
    const struct async_segment *segment = async->first;

    if (segment->first) return segment->first->done;
    return segment->is_closed && segment->undone == 0;
}

/* ---- Entries --------------------------------------------------------------------------------- */

static uint64_t async_entry_bytes(const struct eng_async_entry *entry)
{
    return sizeof *entry + entry->ask.size_bytes + entry->result.capacity_bytes;
}

static struct eng_async_entry *async_new_entry(pen_context *ctx, const struct eng_batch *batch,
                                               uint32_t i)
{
    struct async *async = ctx->self;
    uint32_t bytes = eng_record_bytes(ctx->node->ports[0].layout, batch->records[i]);
    struct eng_async_entry *entry = malloc(sizeof *entry + bytes);

    CHECK(bytes > 0);
    CHECK(bytes % 8 == 0);
    CHECK(entry != NULL);
    *entry = (struct eng_async_entry){
        .ask = {.size_bytes = (uint32_t)sizeof entry->ask + bytes,
                .kind = ENG_ASYNC_ASK,
                .number = batch->rows ? batch->rows[i] : PEN_INSERT,
                .time_us = batch->times_us ? batch->times_us[i] : 0,
                .watermark_us = ctx->watermark_us},
    };
    memcpy(&entry->ask + 1, batch->records[i], bytes);
    entry->all_next = async->all;
    if (async->all) async->all->all_before = entry;
    async->all = entry;
    async->held_count++;
    async->held_bytes += async_entry_bytes(entry);
    return entry;
}

static void async_free_entry(struct async *async, struct eng_async_entry *entry)
{
    CHECK(async->held_count > 0);
    async->held_count--;
    async->held_bytes -= async_entry_bytes(entry);
    if (entry->all_next) entry->all_next->all_before = entry->all_before;
    if (entry->all_before)
        entry->all_before->all_next = entry->all_next;
    else
        async->all = entry->all_next;
    eng_text_out_close(&entry->result);
    free(entry);
}

static void async_wait(struct async *async, struct eng_async_entry *entry, bool at_once)
{
    async->waiting_count++;
    entry->waiting_next = at_once ? async->waiting_first : NULL;
    if (at_once || !async->waiting_first) async->waiting_first = entry;
    if (!at_once && async->waiting_last) async->waiting_last->waiting_next = entry;
    if (!at_once || !entry->waiting_next) async->waiting_last = entry;
}

static void async_unwait(struct async *async)
{
    CHECK(async->waiting_count > 0);
    async->waiting_count--;
    async->waiting_first = async->waiting_first->waiting_next;
    if (!async->waiting_first) async->waiting_last = NULL;
}

/* ---- Results --------------------------------------------------------------------------------- */

static const struct eng_async_frame *async_next_frame(const struct eng_text_out *frames, size_t *at)
{
    if (*at == frames->size_bytes) return NULL;
    const struct eng_async_frame *frame = (const void *)(frames->bytes + *at);
    CHECK(frame->size_bytes <= frames->size_bytes - *at);
    *at += frame->size_bytes;
    return frame;
}

static void async_add_counts(pen_context *ctx, const struct eng_async_frame *frame)
{
    uint64_t counts[sizeof ctx->board->counters / sizeof *ctx->board->counters];

    CHECK(frame->size_bytes == sizeof *frame + sizeof counts);
    memcpy(counts, frame + 1, sizeof counts);
    for (uint32_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i] != 0) shm_counter_add(&ctx->board->counters[i], counts[i]);
}

void eng_async_count(pen_context *ctx, const struct eng_text_out *frames)
{
    const struct eng_async_frame *frame;

    for (size_t at = 0; (frame = async_next_frame(frames, &at));)
        if (frame->kind == ENG_ASYNC_COUNT) async_add_counts(ctx, frame);
}

static void async_reject(pen_context *ctx, const struct eng_async_entry *entry, const char *reason)
{
    const void *record = &entry->ask + 1;
    const struct eng_batch batch = {.count = 1, .records = &record};

    ctx->batch = &batch;
    ctx->room.current = 0;
    pen_reject(ctx, "%s", reason);
    ctx->batch = NULL;
}

/* It has its result, be it none. */
static void async_settle(struct async *async, struct eng_async_entry *entry)
{
    CHECK(!entry->done);
    CHECK(entry->segment->undone > 0);
    entry->done = true;
    entry->segment->undone--;
    if (!async->is_ordered) async_list(entry);
}

void eng_async_done(pen_context *ctx, struct eng_async_entry *entry, struct eng_text_out *result)
{
    struct async *async = ctx->self;
    const struct eng_async_frame *frame;
    bool emits = false;

    CHECK(async->running_count > 0);
    async->running_count--;
    for (size_t at = 0; (frame = async_next_frame(result, &at));) {
        emits |= frame->kind == ENG_ASYNC_EMIT;
        if (frame->kind == ENG_ASYNC_REJECT) async_reject(ctx, entry, (const char *)(frame + 1));
        if (frame->kind == ENG_ASYNC_COUNT) async_add_counts(ctx, frame);
    }
    if (emits) {
        entry->result = *result;
        async->held_bytes += result->capacity_bytes;
    } else {
        eng_text_out_close(result);
    }
    async_settle(async, entry);
}

/* "timed out after 3 tries of 500ms", "helper died of SIGSEGV in try 2 of 2". */
static void async_say_lost(const pen_context *ctx, const struct eng_async_entry *entry,
                           const struct shm_ending *ending, char *text, size_t text_bytes)
{
    const struct async *async = ctx->self;
    const struct eng_async_options *options = ctx->node->options;
    const char *name;

    if (!ending) {
        snprintf(text, text_bytes, "timed out after %u %s of %s", entry->tries,
                 entry->tries == 1 ? "try" : "tries", options->timeout);
    } else if (ending->signal == 0) {
        snprintf(text, text_bytes, "its helper process exited with status %d in try %u of %u",
                 ending->status, entry->tries, async->tries_max);
    } else {
        name = sigabbrev_np(ending->signal);
        snprintf(text, text_bytes, "its helper process died of SIG%s in try %u of %u",
                 name ? name : "RT", entry->tries, async->tries_max);
    }
}

void eng_async_lost(pen_context *ctx, struct eng_async_entry *entry,
                    const struct shm_ending *ending)
{
    struct async *async = ctx->self;
    char reason[128];

    CHECK(async->running_count > 0);
    async->running_count--;
    if (++entry->tries < async->tries_max) {
        async_wait(async, entry, true);
        return;
    }
    async_say_lost(ctx, entry, ending, reason, sizeof reason);
    async_reject(ctx, entry, reason);
    async_settle(async, entry);
}

/* ---- Running --------------------------------------------------------------------------------- */

static void async_on_failure(void *self, const char *why)
{
    eng_context_fail(self, "%s", why);
}

static void async_run_inside(pen_context *ctx, struct eng_async_entry *entry)
{
    struct async *async = ctx->self;

    eng_async_call_run(async->inside, &entry->ask);
    if (eng_async_call_has_failed(async->inside)) return;
    struct eng_text_out result = async->answer;
    async->answer = (struct eng_text_out){0};
    eng_async_done(ctx, entry, &result);
}

/* What is held is too much already: then only what must go on for it to become less. */
static bool async_must_hold_back(const struct async *async)
{
    if (async->held_bytes < ASYNC_HELD_BYTES_MAX) return false;
    return async->running_count > 0 || async_is_ready(async);
}

static void async_run_waiting(pen_context *ctx)
{
    struct async *async = ctx->self;

    while (async->waiting_first && !eng_context_has_failed(ctx)) {
        struct eng_async_entry *entry = async->waiting_first;
        if (async_must_hold_back(async)) return;
        if (async->crew && !eng_crew_give(async->crew, entry, async->waiting_count)) return;
        async_unwait(async);
        async->running_count++;
        if (!async->crew) async_run_inside(ctx, entry);
    }
}

/* ---- Going on -------------------------------------------------------------------------------- */

static bool async_something_behind_fires(const pen_context *ctx)
{
    const struct eng_chain *chain = ctx->chain;
    uint32_t i = chain->context_count;

    while (chain->contexts[--i] != ctx)
        if (chain->contexts[i]->firing) return true;
    return false;
}

/* Nothing behind is blocked, waits or still does what a watermark made due. */
static bool async_may_emit(const pen_context *ctx)
{
    const struct eng_chain *chain = ctx->chain;
    uint32_t i = chain->context_count;

    if (ctx->worker->failed || async_something_behind_fires(ctx)) return false;
    for (uint32_t e = 0; e < chain->exchange_count; e++)
        if (eng_exchange_is_blocked(chain->exchanges[e])) return false;
    while (chain->contexts[--i] != ctx)
        if (chain->contexts[i]->class->waits &&
            chain->contexts[i]->class->waits(chain->contexts[i]))
            return false;
    return true;
}

static void async_deliver(pen_context *ctx)
{
    struct async *async = ctx->self;

    eng_context_deliver(ctx);
    ctx->batch = NULL;
    ctx->room.current = 0;
    async->batch.count = 0;
}

static void async_emit(pen_context *ctx, const struct eng_async_entry *entry)
{
    struct async *async = ctx->self;
    const struct eng_async_frame *frame;
    uint32_t current = async->batch.count++;

    async->times_us[current] = entry->ask.time_us;
    async->rows[current] = (uint8_t)entry->ask.number;
    ctx->batch = &async->batch;
    ctx->room.current = current;
    for (size_t at = 0; (frame = async_next_frame(&entry->result, &at));)
        if (frame->kind == ENG_ASYNC_EMIT)
            eng_context_emit(ctx, frame->number, PEN_SAME, ctx->node->outputs[frame->number].schema,
                             frame + 1);
    if (async->batch.count == ENG_BATCH_RECORDS_MAX) async_deliver(ctx);
}

static unsigned async_pass_results(pen_context *ctx)
{
    struct async *async = ctx->self;
    struct async_segment *segment = async->first;
    unsigned work = 0;

    while (segment->first && segment->first->done && work < ENG_FIRE_MAX) {
        struct eng_async_entry *entry = segment->first;
        if (!async_may_emit(ctx)) break;
        segment->first = entry->next;
        if (!segment->first) segment->last = NULL;
        async_emit(ctx, entry);
        async_free_entry(async, entry);
        work++;
    }
    async_deliver(ctx);
    return work;
}

static void async_pass_watermark(pen_context *ctx)
{
    struct async *async = ctx->self;
    struct async_segment *segment = async->first;

    CHECK(segment->next != NULL);
    async->first = segment->next;
    if (async->before_last == segment) async->before_last = NULL;
    if (segment->watermark_us != ENG_WATERMARK_NONE) eng_pass_watermark(ctx, segment->watermark_us);
    if (segment->is_idle) eng_pass_watermark(ctx, ENG_WATERMARK_IDLE);
    free(segment);
}

/* Whatever may go on now, up to a bound. */
static unsigned async_pass(pen_context *ctx)
{
    struct async *async = ctx->self;
    unsigned work = 0;

    while (async_is_ready(async) && async_may_emit(ctx) && work < ENG_FIRE_MAX) {
        work += async_pass_results(ctx);
        if (async->first->first || !async_is_ready(async) || !async_may_emit(ctx)) continue;
        async_pass_watermark(ctx);
        work++;
    }
    return work;
}

/* ---- The class ------------------------------------------------------------------------------- */

static void async_open(pen_context *ctx)
{
    struct async *async = ctx->self;
    const struct pen_async *options = ctx->node->options;

    if (ctx->node->ports[0].stream.timed) async->batch.times_us = async->times_us;
    if (ctx->node->ports[0].stream.updating) async->batch.rows = async->rows;
    async->is_ordered = options->ordered;
    async->tries_max = options->tries;
    async_add_segment(async);
    if (eng_crew_is_possible(ctx)) {
        uint64_t timeout_us = (uint64_t)options->timeout;
        if (timeout_us > INT64_MAX / 1000) timeout_us = 0; /* centuries */
        async->crew = eng_crew_open(ctx, options->in_flight, timeout_us * 1000);
        return;
    }
    async->inside = eng_async_call_open(ctx, &async->answer, async_on_failure, ctx);
    eng_async_call_start(async->inside);
    eng_async_count(ctx, &async->answer);
    eng_text_out_clear(&async->answer);
}

static void async_batch(pen_context *ctx, const struct eng_batch *batch)
{
    struct async *async = ctx->self;

    for (uint32_t i = 0; i < batch->count; i++) {
        struct eng_async_entry *entry = async_new_entry(ctx, batch, i);
        entry->segment = async->last;
        entry->segment->undone++;
        if (async->is_ordered) async_list(entry);
        async_wait(async, entry, false);
    }
    async_run_waiting(ctx);
    if (async->inside) async_pass(ctx);
}

/* Ends the last segment, or raises the watermark that has just ended the one before it. */
static void async_watermark(pen_context *ctx, int64_t watermark_us)
{
    struct async *async = ctx->self;
    struct async_segment *segment = async->before_last;

    if (!segment || !async_segment_is_empty(async->last)) {
        segment = async->last;
        async_add_segment(async);
    }
    segment->is_closed = true;
    segment->is_idle = watermark_us == ENG_WATERMARK_IDLE;
    if (!segment->is_idle) segment->watermark_us = watermark_us;
    async_pass(ctx);
}

static unsigned async_step(pen_context *ctx)
{
    struct async *async = ctx->self;
    unsigned work = 0;

    if (async->crew) work += eng_crew_step(async->crew);
    if (eng_context_has_failed(ctx)) return work;
    work += async_pass(ctx);
    async_run_waiting(ctx);
    if (async->ending && async->crew && async_is_empty(async)) eng_crew_end(async->crew);
    return work;
}

static bool async_waits(pen_context *ctx)
{
    struct async *async = ctx->self;
    const struct pen_async *options = ctx->node->options;

    /* What fires is to go on, and takes care that nothing is handed in. */
    if (async_something_behind_fires(ctx)) return false;
    if (async->ending)
        return !async_is_empty(async) || (async->crew && !eng_crew_is_gone(async->crew));
    return async->waiting_count > 0 || async->held_bytes >= ASYNC_HELD_BYTES_MAX ||
           async->held_count >= ASYNC_HELD_FACTOR * options->in_flight + ASYNC_HELD_SPARE;
}

static void async_end(pen_context *ctx)
{
    struct async *async = ctx->self;
    async->ending = true;
}

static void async_flush(pen_context *ctx)
{
    struct async *async = ctx->self;

    CHECK(async_is_empty(async));
    if (!async->inside) return;
    eng_async_call_finish(async->inside);
    eng_async_count(ctx, &async->answer);
}

static void async_close(pen_context *ctx)
{
    struct async *async = ctx->self;

    eng_crew_close(async->crew);
    eng_async_call_close(async->inside);
    eng_text_out_close(&async->answer);
    while (async->all)
        async_free_entry(async, async->all);
    while (async->first) {
        struct async_segment *next = async->first->next;
        free(async->first);
        async->first = next;
    }
}

const struct eng_class eng_async_class = {
    .name = "async",
    .self_bytes = sizeof(struct async),
    .open = async_open,
    .batch = async_batch,
    .watermark = async_watermark,
    .step = async_step,
    .waits = async_waits,
    .end = async_end,
    .flush = async_flush,
    .close = async_close,
};
