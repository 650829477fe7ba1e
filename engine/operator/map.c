/* pen_map: calls a function for each record; it emits none, one or many. */
#include "engine/flow/context.h"
#include "engine/flow/states.h"
#include "engine/operator/operators.h"

static void map_batch(pen_context *ctx, const struct eng_batch *batch)
{
    eng_states_call(ctx, ctx->node->function, batch);
}

const struct eng_class eng_map_class = {
    .name = "map",
    .batch = map_batch,
};

/* pen_map_broadcast: the same, and a second port with rules, each seen by every subtask. */
static void map_broadcast_batch(pen_context *ctx, const struct eng_batch *batch)
{
    const struct pen_map *options = ctx->node->options;
    const struct pen_function *function = batch->port == 0 ? options->each : options->on_rule;

    eng_states_call(ctx, function, batch);
}

const struct eng_class eng_map_broadcast_class = {
    .name = "map_broadcast",
    .batch = map_broadcast_batch,
};
