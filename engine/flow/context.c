#include "engine/flow/context.h"

#include <stdlib.h>
#include <string.h>

#include "engine/flow/states.h"
#include "engine/flow/worker.h"
#include "shm/counter.h"

enum { CONTEXT_OUTPUT_BYTES = 64 * 1024 };

/* ---- Opening and closing --------------------------------------------------------------------- */

static void *context_new(size_t size_bytes)
{
    void *memory = calloc(1, size_bytes ? size_bytes : 1);
    CHECK(memory != NULL);
    return memory;
}

static void output_open(struct eng_output *output, const struct eng_node_output *node)
{
    const struct eng_layout *layout = &node->layout;

    output->node = node;
    output->fixed = layout->text_count == 0;
    output->stride_bytes = layout->fixed_bytes;
    output->count_max = ENG_BATCH_RECORDS_MAX;
    output->capacity_bytes = CONTEXT_OUTPUT_BYTES;
    if (output->fixed) {
        uint32_t fit = CONTEXT_OUTPUT_BYTES / layout->fixed_bytes;
        if (fit < output->count_max) output->count_max = fit ? fit : 1;
        output->capacity_bytes = (uint64_t)output->count_max * layout->fixed_bytes;
    }
    output->bytes = output->at = context_new(output->capacity_bytes);
    output->records = context_new(output->count_max * sizeof *output->records);
    output->from = context_new(output->count_max * sizeof *output->from);
    output->rows = context_new(output->count_max);
    output->times_us = context_new(output->count_max * sizeof *output->times_us);
    if (output->fixed)
        for (uint32_t i = 0; i < output->count_max; i++)
            output->records[i] = output->bytes + (size_t)i * output->stride_bytes;
}

static void output_close(struct eng_output *output)
{
    free(output->targets);
    free(output->bytes);
    free(output->records);
    free(output->from);
    free(output->rows);
    free(output->times_us);
}

/* Where the main output's next record goes, for pen_emit. Its short way is open for records of
 * fixed size whose row kinds are those of what they come from. */
static void context_open_room(pen_context *ctx)
{
    if (ctx->output_count == 0) return;
    struct eng_output *output = &ctx->outputs[0];
    const struct eng_stream_kind *stream = &output->node->stream;

    output->keeps_from = stream->timed || stream->updating;
    ctx->room.at = output->bytes;
    ctx->room.limit = output->bytes + output->capacity_bytes;
    ctx->room.from = output->keeps_from ? output->from : NULL;
    ctx->room.schema = output->fixed && !output->has_rows ? output->node->schema : NULL;
}

void eng_context_open(pen_context *ctx, const struct eng_node *node, struct eng_chain *chain,
                      struct eng_worker *worker, struct eng_board_subtask *board, uint32_t subtask,
                      uint32_t parallelism)
{
    *ctx = (pen_context){
        .node = node,
        .class = node->class,
        .chain = chain,
        .worker = worker,
        .board = board,
        .subtask = subtask,
        .parallelism = parallelism,
        .output_count = node->output_count,
        .watermark_us = ENG_WATERMARK_NONE,
        .key = node->port_count > 0 ? node->ports[0].key : NULL,
        .function = node->function,
    };
    ctx->outputs = context_new(node->output_count * sizeof *ctx->outputs);
    for (uint32_t i = 0; i < node->output_count; i++)
        output_open(&ctx->outputs[i], &node->outputs[i]);
    ctx->self = context_new(node->class->self_bytes);
    if (node->states) eng_states_open(ctx, node->states);
}

void eng_context_add_target(pen_context *ctx, uint32_t output, struct eng_target target)
{
    CHECK(output < ctx->output_count);
    CHECK((target.context == NULL) != (target.exchange == NULL));
    struct eng_output *out = &ctx->outputs[output];

    out->targets = realloc(out->targets, (out->target_count + 1) * sizeof *out->targets);
    CHECK(out->targets != NULL);
    out->targets[out->target_count++] = target;
}

void eng_context_start(pen_context *ctx)
{
    ctx->phase = ENG_PHASE_OPEN;
    ctx->class_is_open = true;
    if (ctx->class->open) ctx->class->open(ctx);
    if (ctx->node->open && ctx->node->port_count > 0) ctx->node->open(ctx);
    ctx->is_open = true;
    ctx->phase = ENG_PHASE_RECORD;
    context_open_room(ctx);
}

void eng_context_finish(pen_context *ctx)
{
    if (!ctx->is_open) return;
    ctx->is_open = false;
    ctx->room.schema = NULL;
    ctx->phase = ENG_PHASE_OPEN;
    if (ctx->class->flush) ctx->class->flush(ctx);
    if (ctx->worker->failed) return;
    if (ctx->node->close && ctx->node->port_count > 0) ctx->node->close(ctx);
    shm_store_own(&ctx->board->ended, 1);
}

void eng_context_close(pen_context *ctx)
{
    if (ctx->class_is_open && ctx->class->close) ctx->class->close(ctx);
    for (uint32_t i = 0; i < ctx->output_count; i++)
        output_close(&ctx->outputs[i]);
    free(ctx->outputs);
    free(ctx->self);
    free(ctx->local);
    free(ctx->put.bytes);
    free(ctx->rejected);
    eng_states_close(ctx);
    eng_keep_close(&ctx->keep);
    if (ctx->text_is_open) eng_queue_close(&ctx->text);
    eng_context_decoders_close(ctx);
}

/* ---- Records in ------------------------------------------------------------------------------ */

void eng_context_reset_text(pen_context *ctx)
{
    const char *bytes;
    uint64_t size_bytes;

    if (!ctx->text_is_open || eng_queue_is_empty(&ctx->text)) return;
    while ((size_bytes = eng_queue_peek(&ctx->text, &bytes)) > 0)
        eng_queue_advance(&ctx->text, size_bytes);
}

void eng_context_take(pen_context *ctx, const struct eng_batch *batch)
{
    struct shm_slot *slot = ctx->worker->slot;

    if (ctx->worker->failed) return;
    CHECK(batch->count > 0);
    CHECK(batch->count <= ENG_BATCH_RECORDS_MAX);
    uint64_t records_in = shm_load_own(&ctx->board->records_in);
    uint64_t upstream = shm_load_own(&slot->operator_id);
    uint64_t upstream_position = shm_load_own(&slot->position);
    shm_slot_enter(slot, ctx->node->number, records_in, ctx->worker->now_ns);
    const uint32_t *watched = shm_slot_watch(&ctx->room.current);
    ctx->class->batch(ctx, batch);
    shm_slot_watch(watched);
    shm_store_own(&ctx->board->records_in, records_in + batch->count);
    shm_slot_enter(slot, (uint32_t)upstream, upstream_position, ctx->worker->now_ns);
    eng_context_reset_text(ctx);
}

/* The user's loop over the view that was made of a batch. */
static void context_run(pen_context *ctx, const struct pen_function *function,
                        const struct eng_batch *batch)
{
    ctx->batch = batch;
    ctx->function = function;
    function->loop(ctx, &ctx->view);
    eng_context_deliver(ctx);
    ctx->batch = NULL;
    ctx->room.current = 0;
}

uint32_t eng_context_call(pen_context *ctx, const struct pen_function *function,
                          const struct eng_batch *batch, void *const *states, uint8_t *results)
{
    ctx->view = (struct pen_batch){
        .count = batch->count,
        .current = &ctx->room.current,
        .records = batch->records,
        .states = states,
        .results = results,
    };
    context_run(ctx, function, batch);
    return ctx->view.count;
}

void eng_context_call_pairs(pen_context *ctx, const struct pen_function *function,
                            const struct eng_batch *batch, const void *const *others)
{
    ctx->view = (struct pen_batch){
        .count = batch->count,
        .current = &ctx->room.current,
        .records = batch->records,
        .others = others,
    };
    context_run(ctx, function, batch);
    eng_context_reset_text(ctx);
}

/* ---- Records out ----------------------------------------------------------------------------- */

/* A call that emits and emits cannot be stopped from outside: it never comes back. */
static void context_send(pen_context *ctx, struct eng_exchange *exchange,
                         const struct eng_batch *batch)
{
    eng_exchange_send(exchange, batch);
    if (__builtin_expect(exchange->memory_bytes > ENG_EXCHANGE_BYTES_MAX, 0))
        eng_context_die(ctx,
                        "one call has emitted more than %llu MiB that nobody could take meanwhile; "
                        "does it emit without end?",
                        (unsigned long long)(ENG_EXCHANGE_BYTES_MAX >> 20));
}

void eng_context_pass(pen_context *ctx, uint32_t output, const struct eng_batch *batch)
{
    struct eng_output *out = &ctx->outputs[output];

    shm_counter_add(&ctx->board->records_out, batch->count);
    for (uint32_t i = 0; i < out->target_count; i++) {
        if (out->targets[i].context)
            eng_context_take(out->targets[i].context, batch);
        else if (!ctx->worker->failed)
            context_send(ctx, out->targets[i].exchange, batch);
    }
}

/* What was emitted has the event time and the row kind of what it came from. */
static void output_inherit(const pen_context *ctx, struct eng_output *output,
                           struct eng_batch *batch)
{
    const struct eng_batch *in = ctx->batch;

    if (output->node->stream.timed) {
        if (in && in->times_us)
            for (uint32_t i = 0; i < batch->count; i++)
                output->times_us[i] = in->times_us[output->from[i]];
        batch->times_us = output->times_us;
    }
    if (!output->node->stream.updating) return;
    if (!output->has_rows) {
        if (!in || !in->rows) return;
        for (uint32_t i = 0; i < batch->count; i++)
            output->rows[i] = in->rows[output->from[i]];
    }
    batch->rows = output->rows;
}

uint32_t eng_output_count(const pen_context *ctx, const struct eng_output *output)
{
    if (output != ctx->outputs || !output->fixed) return output->count;
    return (uint32_t)((uint64_t)(ctx->room.at - output->bytes) / output->stride_bytes);
}

void eng_output_deliver(pen_context *ctx, struct eng_output *output)
{
    bool is_main = output == ctx->outputs;
    uint32_t count = eng_output_count(ctx, output);

    if (count == 0) return;
    struct eng_batch batch = {.count = count, .records = output->records};
    output_inherit(ctx, output, &batch);
    eng_context_pass(ctx, (uint32_t)(output - ctx->outputs), &batch);
    output->count = 0;
    output->at = output->bytes;
    if (is_main) {
        ctx->room.at = output->bytes;
        ctx->room.from = output->keeps_from ? output->from : NULL;
    }
}

void eng_context_deliver(pen_context *ctx)
{
    for (uint32_t i = 0; i < ctx->output_count; i++)
        eng_output_deliver(ctx, &ctx->outputs[i]);
}

/* ---- Watermarks ------------------------------------------------------------------------------ */

void eng_pass_watermark(pen_context *ctx, int64_t watermark_us)
{
    for (uint32_t i = 0; i < ctx->output_count; i++) {
        struct eng_output *out = &ctx->outputs[i];
        for (uint32_t t = 0; t < out->target_count; t++) {
            if (out->targets[t].context)
                eng_context_hear(out->targets[t].context, watermark_us);
            else
                eng_exchange_watermark(out->targets[t].exchange, watermark_us);
        }
    }
}

void eng_context_hear(pen_context *ctx, int64_t watermark_us)
{
    if (watermark_us != ENG_WATERMARK_IDLE) {
        CHECK(watermark_us >= ctx->watermark_us);
        ctx->watermark_us = watermark_us;
    }
    shm_store_own(&ctx->board->watermark_us, (uint64_t)watermark_us);
    if (ctx->class->watermark)
        ctx->class->watermark(ctx, watermark_us);
    else
        eng_pass_watermark(ctx, watermark_us);
}

/* ---- Sources --------------------------------------------------------------------------------- */

void eng_source_ended(pen_context *ctx)
{
    CHECK(!ctx->is_ended);
    ctx->is_ended = true;
    if (ctx->worker->command != ENG_COMMAND_STOP) eng_context_hear(ctx, ENG_WATERMARK_END);
}

bool eng_source_must_stop(const pen_context *ctx)
{
    return ctx->worker->command >= ENG_COMMAND_STOP;
}

void eng_source_progress(pen_context *ctx, uint64_t bytes)
{
    shm_counter_add(&ctx->board->bytes_in, bytes);
}
