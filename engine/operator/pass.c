/* Hands records on as they are: where only their way to a worker matters. */
#include "engine/flow/context.h"
#include "engine/operator/operators.h"

static void pass_batch(pen_context *ctx, const struct eng_batch *batch)
{
    struct eng_batch passed = *batch;

    passed.port = 0;
    passed.keys = NULL; /* what was computed for the way here is of no use behind */
    passed.key_sizes = NULL;
    eng_context_pass(ctx, 0, &passed);
}

const struct eng_class eng_pass_class = {
    .name = "pass",
    .batch = pass_batch,
};
