/* pen_event_time: from here on a field is the event time, and watermarks follow the records.
 *
 * The watermark stays `.out_of_order` and a microsecond behind the largest time seen, because
 * another record with that very time may still come; or it is what a field of the records says. A
 * silent subtask is idle after `.idle_after` and is left out downstream until its next record. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/flow/context.h"
#include "engine/flow/worker.h"
#include "engine/operator/operators.h"
#include "shm/counter.h"

struct event_time_plan {
    const struct eng_field *field;
    const struct eng_field *watermark; /* NULL: by the largest time */
    pen_duration out_of_order_us, idle_after_us;
};

struct event_time {
    int64_t times_us[ENG_BATCH_RECORDS_MAX];
    int64_t largest_us;
    uint64_t heard_ns; /* the last record */
    bool any, idle;
};

static bool event_time_prepare(struct eng_node *node, char *reason, uint32_t reason_bytes)
{
    const struct pen_event_time *options = node->options;
    struct event_time_plan *plan = calloc(1, sizeof *plan);

    CHECK(plan != NULL);
    node->compiled = plan;
    plan->field = eng_layout_find(node->ports[0].layout, options->field);
    if (!plan->field || plan->field->type != PEN_TYPE_TIME || eng_field_nullable(plan->field)) {
        snprintf(reason, reason_bytes, "%s must be a pen_time that cannot be null", options->field);
        return false;
    }
    if (options->watermark) {
        plan->watermark = eng_layout_find(node->ports[0].layout, options->watermark);
        if (!plan->watermark || plan->watermark->type != PEN_TYPE_TIME) {
            snprintf(reason, reason_bytes, "%s must be a pen_time or pen_opt_time",
                     options->watermark);
            return false;
        }
    }
    if (options->out_of_order < 0 || options->idle_after < 0) {
        snprintf(reason, reason_bytes, ".out_of_order and .idle_after cannot be negative");
        return false;
    }
    plan->out_of_order_us = options->out_of_order;
    plan->idle_after_us = options->idle_after;
    return true;
}

static void event_time_release(struct eng_node *node)
{
    free(node->compiled);
}

static void event_time_open(pen_context *ctx)
{
    struct event_time *self = ctx->self;
    self->largest_us = INT64_MIN;
}

static void event_time_raise(pen_context *ctx, int64_t watermark_us)
{
    struct event_time *self = ctx->self;

    /* Back from being idle, the watermark is said again, even if it has not risen. */
    if (watermark_us <= ctx->watermark_us) {
        if (!self->idle) return;
        watermark_us = ctx->watermark_us;
    }
    self->idle = false;
    ctx->watermark_us = watermark_us;
    shm_store_own(&ctx->board->watermark_us, (uint64_t)watermark_us);
    eng_pass_watermark(ctx, watermark_us);
}

/* Far from both ends, so that nothing overflows: the smallest watermark there is says nothing. */
static int64_t event_time_behind(int64_t time_us, pen_duration behind_us)
{
    int64_t watermark_us;
    if (__builtin_sub_overflow(time_us, behind_us + 1, &watermark_us)) return ENG_WATERMARK_NONE;
    if (watermark_us < ENG_WATERMARK_NONE) return ENG_WATERMARK_NONE;
    return watermark_us;
}

static void event_time_batch(pen_context *ctx, const struct eng_batch *batch)
{
    const struct event_time_plan *plan = ctx->node->compiled;
    struct event_time *self = ctx->self;
    struct eng_batch timed = *batch;
    int64_t watermark_us = ENG_WATERMARK_NONE;

    for (uint32_t i = 0; i < batch->count; i++) {
        const pen_time *time = eng_field_of(plan->field, batch->records[i]);
        self->times_us[i] = time->us;
        if (time->us > self->largest_us) self->largest_us = time->us;
        if (!plan->watermark || eng_field_is_null(plan->watermark, batch->records[i])) continue;
        int64_t said_us = eng_field_int(plan->watermark, batch->records[i]);
        if (said_us > watermark_us) watermark_us = said_us;
    }
    self->heard_ns = ctx->worker->now_ns;
    self->any = true;
    timed.times_us = self->times_us;
    eng_context_pass(ctx, 0, &timed);
    if (!plan->watermark) watermark_us = event_time_behind(self->largest_us, plan->out_of_order_us);
    event_time_raise(ctx, watermark_us);
}

/* Only infinity counts of what comes from before: the times of before are not ours. */
static void event_time_watermark(pen_context *ctx, int64_t watermark_us)
{
    if (watermark_us == ENG_WATERMARK_END) eng_pass_watermark(ctx, watermark_us);
}

static unsigned event_time_step(pen_context *ctx)
{
    const struct event_time_plan *plan = ctx->node->compiled;
    struct event_time *self = ctx->self;

    if (plan->idle_after_us == 0 || self->idle) return 0;
    if (self->heard_ns == 0) self->heard_ns = ctx->worker->now_ns;
    uint64_t idle_ns = self->heard_ns + (uint64_t)plan->idle_after_us * 1000;
    if (ctx->worker->now_ns < idle_ns) {
        eng_worker_wake_at(ctx->worker, idle_ns);
        return 0;
    }
    self->idle = true;
    eng_pass_watermark(ctx, ENG_WATERMARK_IDLE);
    return 1;
}

const struct eng_class eng_event_time_class = {
    .name = "event_time",
    .self_bytes = sizeof(struct event_time),
    .prepare = event_time_prepare,
    .release = event_time_release,
    .open = event_time_open,
    .batch = event_time_batch,
    .watermark = event_time_watermark,
    .step = event_time_step,
};
