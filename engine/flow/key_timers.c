/* pen_timer_set, pen_timer_set_clock, pen_timer_clear, pen_timer. */
#include "engine/flow/key_timers.h"

#include "engine/flow/context.h"
#include "engine/flow/worker.h"

bool eng_key_timers_open(pen_context *ctx, struct eng_key_timers *timers)
{
    for (uint32_t clock = 0; clock < 2; clock++)
        if (eng_wheel_open(&timers->wheels[clock], ctx->worker->arena) < 0) {
            eng_context_fail(ctx, "there is no memory for its timers");
            return false;
        }
    return true;
}

void eng_key_timers_close(struct eng_key_timers *timers)
{
    for (uint32_t clock = 0; clock < 2; clock++)
        eng_wheel_close(timers->wheels[clock]);
}

/* The timers of the key at hand, or NULL and the job has failed. */
static struct eng_timers *timers_at_hand(pen_context *ctx, const char *call)
{
    if (ctx->worker->failed) return NULL;
    if (!ctx->timers) {
        eng_context_fail(ctx, "it calls %s and has no .on_timer", call);
        return NULL;
    }
    if (!ctx->entries || !ctx->batch) {
        eng_context_fail(ctx, "it calls %s where no key is at hand", call);
        return NULL;
    }
    return eng_key_timers_of(ctx->timers, ctx->entries[ctx->room.current]);
}

static void timers_set(pen_context *ctx, uint64_t number, enum pen_clock_kind clock, int64_t at_us,
                       const char *call)
{
    struct eng_timers *timers = timers_at_hand(ctx, call);
    struct eng_arena *arena = ctx->worker->arena;
    uint32_t current = ctx->room.current;

    if (!timers) return;
    int queue = eng_timers_set(arena, timers, number, eng_key_timers_clock(clock), at_us);
    if (queue > 0) {
        uint32_t key_bytes = ctx->key_sizes ? ctx->key_sizes[current] : ctx->key->size_bytes;
        if (!eng_wheel_add(ctx->timers->wheels[clock], at_us, ctx->batch->hashes[current], number,
                           ctx->key_images[current], key_bytes)) {
            eng_timers_forget(arena, timers, number);
            queue = -1;
        }
    }
    if (queue < 0) eng_context_fail(ctx, "there is no memory for another timer");
}

void pen_timer_set(pen_context *ctx, uint64_t timer, pen_time at)
{
    if (ctx->timers && !ctx->node->ports[0].stream.timed) {
        eng_context_fail(ctx, "it sets a timer by event time, and its records have none: put "
                              "pen_event_time before it, or use pen_timer_set_clock");
        return;
    }
    timers_set(ctx, timer, PEN_EVENT_TIME, at.us, "pen_timer_set");
}

void pen_timer_set_clock(pen_context *ctx, uint64_t timer, pen_time at)
{
    timers_set(ctx, timer, PEN_CLOCK_TIME, at.us, "pen_timer_set_clock");
}

void pen_timer_clear(pen_context *ctx, uint64_t timer)
{
    struct eng_timers *timers = timers_at_hand(ctx, "pen_timer_clear");

    if (timers) eng_timers_clear(ctx->worker->arena, timers, timer);
}

uint64_t pen_timer(pen_context *ctx)
{
    if (ctx->timers && ctx->timers->numbers) return ctx->timers->numbers[ctx->room.current];
    eng_context_fail(ctx, "it calls pen_timer where no timer has fired");
    return 0;
}
