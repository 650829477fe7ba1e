/* pen_generate: records made from their index.
 *
 * Indexes are dealt out in blocks, subtask s makes the blocks s, s + P, s + 2 P ... So all subtasks
 * are at about the same index, and the position of a subtask is one number: the next index it
 * makes. */
#include "engine/flow/context.h"
#include "engine/flow/worker.h"
#include "engine/operator/operators.h"
#include "engine/operator/splits.h"

enum { GENERATE_BLOCK = 512, GENERATE_BLOCK_RATED = 8, GENERATE_STEP = 1024 };

struct generate {
    struct eng_splits marks; /* first: for splits.h; what a subtask makes is one split */
    uint32_t slot;
    uint64_t next; /* the next index of this subtask; always inside one of its blocks */
    uint64_t block;
};

static void generate_open(pen_context *ctx)
{
    const struct pen_generate *options = ctx->node->options;
    struct generate *self = ctx->self;

    self->block = options->rate > 0 ? GENERATE_BLOCK_RATED : GENERATE_BLOCK;
    self->next = ctx->subtask * self->block;
    eng_splits_open(ctx);
    self->slot = eng_splits_begin(ctx);
}

static void generate_end(pen_context *ctx)
{
    struct generate *self = ctx->self;

    eng_splits_end(ctx, self->slot);
    eng_source_ended(ctx);
}

static void generate_close(pen_context *ctx)
{
    eng_splits_close(ctx);
}

/* The first index that is not due yet. */
static uint64_t generate_due_end(const pen_context *ctx, double rate)
{
    uint64_t now_ns = ctx->worker->now_ns, start_ns = ctx->worker->board->started_ns;
    if (now_ns < start_ns) return 0;
    return (uint64_t)((double)(now_ns - start_ns) * rate / 1e9) + 1;
}

/* A nanosecond late rather than early: who comes early finds that nothing is due. */
static uint64_t generate_due_ns(const pen_context *ctx, double rate, uint64_t index)
{
    return ctx->worker->board->started_ns + (uint64_t)((double)index * 1e9 / rate) + 1;
}

static unsigned generate_step(pen_context *ctx)
{
    const struct pen_generate *options = ctx->node->options;
    struct generate *self = ctx->self;
    uint64_t end = options->count ? options->count : UINT64_MAX;
    unsigned made = 0;

    if (eng_source_must_stop(ctx)) {
        generate_end(ctx);
        return 1;
    }
    if (eng_splits_must_wait(ctx, self->slot)) return 0;
    uint64_t due_end = options->rate > 0 ? generate_due_end(ctx, options->rate) : UINT64_MAX;
    if (due_end > end) due_end = end;
    eng_splits_enter(ctx, self->slot);
    while (made < GENERATE_STEP && self->next < due_end) {
        uint64_t block_end = self->next - self->next % self->block + self->block;
        uint64_t to = block_end < due_end ? block_end : due_end;
        ctx->function->generate(ctx, self->next, to);
        if (eng_context_has_failed(ctx)) return made;
        made += (unsigned)(to - self->next);
        self->next = to;
        if (to == block_end) self->next += (ctx->parallelism - 1) * self->block;
    }
    eng_context_deliver(ctx);
    eng_splits_leave(ctx);
    if (self->next >= end) {
        generate_end(ctx);
        return made + 1;
    }
    if (self->next >= due_end)
        eng_worker_wake_at(ctx->worker, generate_due_ns(ctx, options->rate, self->next));
    return made;
}

pen_time pen_generate_due(pen_context *ctx, uint64_t index)
{
    const struct pen_generate *options = ctx->node->options;
    int64_t start_us = ctx->worker->board->started_us;
    if (ctx->node->class != &eng_generate_class || options->rate <= 0) return (pen_time){start_us};
    return (pen_time){start_us + (int64_t)((double)index * 1e6 / options->rate)};
}

const struct eng_class eng_generate_class = {
    .name = "generate",
    .self_bytes = sizeof(struct generate),
    .open = generate_open,
    .step = generate_step,
    .close = generate_close,
};
