/* pen_sink: the end of a stream. What write cannot take now is kept here, in order, and offered
 * again; until it has been taken the chain takes no new input, so a slow sink slows its sources. */
#include <string.h>

#include "engine/flow/context.h"
#include "engine/flow/worker.h"
#include "engine/operator/operators.h"

enum { SINK_RETRY_NS = 1000 * 1000, SINK_OFFER_MAX = ENG_BATCH_RECORDS_MAX };

struct sink {
    struct eng_queue held; /* frames of records that were not taken */
    const void *records[SINK_OFFER_MAX];
    int64_t times_us[SINK_OFFER_MAX];
    uint8_t rows[SINK_OFFER_MAX];
    uint32_t sizes[SINK_OFFER_MAX];
};

static void sink_open(pen_context *ctx)
{
    struct sink *sink = ctx->self;
    eng_queue_open(&sink->held);
}

/* How many records write has taken, from the first on. */
static uint32_t sink_write(pen_context *ctx, const struct eng_batch *batch)
{
    ctx->batch = batch;
    ctx->view = (struct pen_batch){
        .count = batch->count, .current = &ctx->room.current, .records = batch->records};
    ctx->function->loop(ctx, &ctx->view);
    uint32_t taken = ctx->room.current;
    ctx->batch = NULL;
    ctx->room.current = 0;
    return taken;
}

static void sink_hold(pen_context *ctx, const struct eng_batch *batch, uint32_t from)
{
    struct sink *sink = ctx->self;
    const struct eng_layout *layout = ctx->node->ports[0].layout;

    for (uint32_t i = from; i < batch->count; i++) {
        uint32_t bytes = eng_record_bytes(layout, batch->records[i]);
        struct shm_frame *frame = eng_queue_claim(&sink->held, sizeof *frame + bytes);
        *frame = (struct shm_frame){
            .size_bytes = (uint32_t)sizeof *frame + bytes,
            .kind = ENG_FRAME_RECORD,
            .row = batch->rows ? batch->rows[i] : PEN_INSERT,
            .time_us = batch->times_us ? batch->times_us[i] : 0,
        };
        memcpy(frame + 1, batch->records[i], bytes);
    }
}

static void sink_ask_to_be_called(pen_context *ctx)
{
    const struct pen_sink *options = ctx->node->options;

    int fd = options->wake_fd ? options->wake_fd(ctx) : -1;
    if (fd >= 0)
        eng_worker_wake_on(ctx->worker, fd, POLLOUT);
    else
        eng_worker_wake_at(ctx->worker, ctx->worker->now_ns + SINK_RETRY_NS);
}

static void sink_batch(pen_context *ctx, const struct eng_batch *batch)
{
    struct sink *sink = ctx->self;
    uint32_t taken = eng_queue_is_empty(&sink->held) ? sink_write(ctx, batch) : 0;

    if (taken < batch->count && !eng_context_has_failed(ctx)) {
        sink_hold(ctx, batch, taken);
        sink_ask_to_be_called(ctx);
    }
}

/* The first of what is held, as a batch. Returns its bytes. */
static uint64_t sink_gather(struct sink *sink, struct eng_batch *batch)
{
    const char *frames;
    uint64_t bytes = eng_queue_peek(&sink->held, &frames), at = 0;
    uint32_t count = 0;

    while (at < bytes && count < SINK_OFFER_MAX) {
        const struct shm_frame *frame = (const struct shm_frame *)(const void *)(frames + at);
        sink->records[count] = frame + 1;
        sink->times_us[count] = frame->time_us;
        sink->rows[count] = frame->row;
        sink->sizes[count] = frame->size_bytes;
        count++;
        at += frame->size_bytes;
    }
    *batch = (struct eng_batch){
        .count = count, .records = sink->records, .times_us = sink->times_us, .rows = sink->rows};
    return at;
}

static unsigned sink_step(pen_context *ctx)
{
    struct sink *sink = ctx->self;
    struct eng_batch batch;
    uint64_t done = 0;

    if (eng_queue_is_empty(&sink->held) || eng_context_has_failed(ctx)) return 0;
    sink_gather(sink, &batch);
    uint32_t taken = sink_write(ctx, &batch);
    for (uint32_t i = 0; i < taken && i < batch.count; i++)
        done += sink->sizes[i];
    eng_queue_advance(&sink->held, done);
    if (!eng_queue_is_empty(&sink->held)) sink_ask_to_be_called(ctx);
    return taken;
}

static bool sink_waits(pen_context *ctx)
{
    struct sink *sink = ctx->self;
    return !eng_queue_is_empty(&sink->held);
}

static void sink_flush(pen_context *ctx)
{
    const struct pen_sink *options = ctx->node->options;
    if (options->flush) options->flush(ctx);
}

static void sink_close(pen_context *ctx)
{
    struct sink *sink = ctx->self;
    eng_queue_close(&sink->held);
}

const struct eng_class eng_sink_class = {
    .name = "sink",
    .self_bytes = sizeof(struct sink),
    .open = sink_open,
    .batch = sink_batch,
    .step = sink_step,
    .waits = sink_waits,
    .flush = sink_flush,
    .close = sink_close,
};
