/* One call of the user's function, away from the worker's context.
 *
 * The function wants a pen_context, and that wants a worker and a board. So a helper makes itself
 * some of its own: a context of the same node whose class is that of a map, on a worker without
 * chains and a board that nobody else sees. Behind each output stands a collector, a context that
 * writes what it is handed as frames. A witness among the worker's settings hears of failures and
 * rejected records; counters are read from the private board after each call. */
#include <stdlib.h>
#include <string.h>

#include "engine/operator/async.h"
#include "shm/counter.h"

enum { CALL_COUNTERS = sizeof((struct eng_board_subtask *)0)->counters / sizeof(uint64_t) };

struct call_collector {
    struct eng_async_call *call;
    uint32_t output;
    struct eng_node node;
    pen_context *context;
};

struct eng_async_call {
    pen_context *context;
    struct eng_node node;
    struct eng_worker worker;
    struct eng_worker_witness witness;
    struct eng_board *board;
    struct call_collector *collectors; /* one for each output */
    struct eng_text_out *out;
    void (*failed)(void *self, const char *why);
    void *self;
};

static void *call_new(size_t count, size_t size_bytes)
{
    void *memory = calloc(count ? count : 1, size_bytes);
    CHECK(memory != NULL);
    return memory;
}

/* ---- Frames ---------------------------------------------------------------------------------- */

void *eng_async_put(struct eng_text_out *out, enum eng_async_kind kind, uint32_t number,
                    uint64_t size_bytes)
{
    uint64_t whole_bytes = (sizeof(struct eng_async_frame) + size_bytes + 7) & ~(uint64_t)7;

    CHECK(whole_bytes <= UINT32_MAX);
    struct eng_async_frame *frame = (void *)eng_text_out_reserve(out, whole_bytes);
    memset(frame, 0, whole_bytes);
    frame->size_bytes = (uint32_t)whole_bytes;
    frame->kind = kind;
    frame->number = number;
    out->size_bytes += whole_bytes;
    return frame + 1;
}

static void call_put_text(struct eng_text_out *out, enum eng_async_kind kind, const char *text)
{
    uint64_t size_bytes = strlen(text) + 1;
    memcpy(eng_async_put(out, kind, 0, size_bytes), text, size_bytes);
}

static void call_put_counts(struct eng_async_call *call)
{
    _Atomic uint64_t *counters = call->context->board->counters;
    uint64_t any = 0;

    for (uint32_t i = 0; i < CALL_COUNTERS; i++)
        any |= shm_load_own(&counters[i]);
    if (any == 0) return;
    uint64_t *counts = eng_async_put(call->out, ENG_ASYNC_COUNT, 0, CALL_COUNTERS * sizeof *counts);
    for (uint32_t i = 0; i < CALL_COUNTERS; i++) {
        counts[i] = shm_load_own(&counters[i]);
        shm_store_own(&counters[i], 0);
    }
}

/* ---- What the engine's own functions call ---------------------------------------------------- */

static void call_collect(pen_context *ctx, const struct eng_batch *batch)
{
    struct call_collector *const *self = ctx->self;
    struct call_collector *collector = *self;
    const struct eng_layout *layout = ctx->node->ports[0].layout;

    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t bytes = eng_record_bytes(layout, batch->records[i]);
        CHECK(bytes > 0);
        memcpy(eng_async_put(collector->call->out, ENG_ASYNC_EMIT, collector->output, bytes),
               batch->records[i], bytes);
    }
}

static const struct eng_class call_collector_class = {
    .name = "collector",
    .self_bytes = sizeof(struct call_collector *),
    .batch = call_collect,
};

static void call_batch(pen_context *ctx, const struct eng_batch *batch)
{
    eng_context_call(ctx, ctx->node->function, batch, NULL, NULL);
}

static const struct eng_class call_class = {
    .name = "async call",
    .batch = call_batch,
};

static void call_on_reject(void *self, const char *reason)
{
    struct eng_async_call *call = self;
    call_put_text(call->out, ENG_ASYNC_REJECT, reason);
}

/* The operator and its place come first: the worker says them again. */
static void call_on_failure(void *self, const char *failure)
{
    struct eng_async_call *call = self;
    const char *place = strstr(failure, "): ");
    call->failed(call->self, place ? place + strlen("): ") : failure);
}

/* ---- Opening and closing --------------------------------------------------------------------- */

static void call_open_worker(struct eng_async_call *call, const pen_context *of)
{
    struct eng_board_counts counts = {.workers = 1, .subtasks = 1};
    const uint32_t inbound[1] = {0};
    uint64_t board_bytes = eng_board_bytes(&counts, 0);

    board_bytes = (board_bytes + SHM_CACHELINE - 1) & ~(uint64_t)(SHM_CACHELINE - 1);
    call->board = aligned_alloc(SHM_CACHELINE, board_bytes);
    CHECK(call->board != NULL);
    memset(call->board, 0, board_bytes);
    eng_board_open(call->board, &counts, inbound);
    call->witness = (struct eng_worker_witness){
        .rejected = call_on_reject, .failed = call_on_failure, .self = call};
    call->worker = (struct eng_worker){
        .board = call->board,
        .place = eng_board_worker(call->board, 0),
        .settings = of->worker->settings,
        .arena = of->worker->arena,
        .dead_letter_fd = -1,
    };
    call->worker.slot = &call->worker.place->slot;
    /* What is rejected is dealt with where all of it is counted. */
    call->worker.settings.on_bad_record = PEN_BAD_SKIP;
    call->worker.settings.dead_letters = NULL;
    call->worker.settings.rejects_max = 0;
    call->worker.settings.witness = &call->witness;
}

static void call_open_collector(struct eng_async_call *call, uint32_t output)
{
    struct call_collector *collector = &call->collectors[output];

    *collector = (struct call_collector){.call = call, .output = output};
    collector->node = (struct eng_node){
        .class = &call_collector_class,
        .title = call->node.title,
        .port_count = 1,
        .ports = {{.layout = &call->node.outputs[output].layout}},
    };
    collector->context = call_new(1, sizeof *collector->context);
    eng_context_open(collector->context, &collector->node, NULL, &call->worker,
                     call->context->board, call->context->subtask, call->context->parallelism);
    memcpy(collector->context->self, &collector, sizeof collector);
    eng_context_add_target(call->context, output,
                           (struct eng_target){.context = collector->context});
}

struct eng_async_call *eng_async_call_open(const pen_context *of, struct eng_text_out *out,
                                           void (*failed)(void *self, const char *why), void *self)
{
    const struct pen_async *options = of->node->options;
    struct eng_async_call *call = call_new(1, sizeof *call);

    call->out = out;
    call->failed = failed;
    call->self = self;
    call->node = *of->node;
    call->node.class = &call_class;
    call->node.open = options->open;
    call->node.close = options->close;
    call_open_worker(call, of);
    call->context = call_new(1, sizeof *call->context);
    eng_context_open(call->context, &call->node, NULL, &call->worker,
                     eng_board_subtask(call->board, 0), of->subtask, of->parallelism);
    call->collectors = call_new(call->node.output_count, sizeof *call->collectors);
    for (uint32_t i = 0; i < call->node.output_count; i++)
        call_open_collector(call, i);
    return call;
}

void eng_async_call_close(struct eng_async_call *call)
{
    if (!call) return;
    for (uint32_t i = 0; i < call->node.output_count; i++) {
        eng_context_close(call->collectors[i].context);
        free(call->collectors[i].context);
    }
    eng_context_close(call->context);
    free(call->collectors);
    free(call->context);
    free(call->board);
    free(call);
}

bool eng_async_call_has_failed(const struct eng_async_call *call)
{
    return call->worker.failed;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

/* A turn of the worker that there is not: clocks are read anew. */
static void call_begin(struct eng_async_call *call)
{
    call->worker.now_ns = eng_worker_clock_ns(&call->worker.settings);
    call->worker.wall_us = 0;
}

void eng_async_call_start(struct eng_async_call *call)
{
    call_begin(call);
    eng_context_start(call->context);
    call_put_counts(call);
}

void eng_async_call_run(struct eng_async_call *call, const struct eng_async_frame *ask)
{
    const struct eng_stream_kind *stream = &call->node.ports[0].stream;
    const void *record = ask + 1;
    const uint8_t row = (uint8_t)ask->number;
    const struct eng_batch batch = {
        .count = 1,
        .records = &record,
        .times_us = stream->timed ? &ask->time_us : NULL,
        .rows = stream->updating ? &row : NULL,
    };

    CHECK(ask->kind == ENG_ASYNC_ASK);
    call_begin(call);
    call->context->watermark_us = ask->watermark_us;
    eng_context_take(call->context, &batch);
    if (call->worker.failed) return;
    call_put_counts(call);
    eng_async_put(call->out, ENG_ASYNC_DONE, 0, 0);
}

void eng_async_call_finish(struct eng_async_call *call)
{
    call_begin(call);
    eng_context_finish(call->context);
    call_put_counts(call);
}
