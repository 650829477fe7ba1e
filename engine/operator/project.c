/* pen_project: fields copied to the fields of the same names in another type. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/flow/context.h"
#include "engine/operator/operators.h"

static bool project_prepare(struct eng_node *node, char *reason, uint32_t reason_bytes)
{
    struct eng_copy_plan *plan = calloc(1, sizeof *plan);
    struct eng_reason why = {{0}};

    CHECK(plan != NULL);
    node->compiled = plan;
    /* Every field of the result must come from somewhere, so it is the target that is complete. */
    for (uint32_t i = 0; i < node->outputs[0].layout.field_count; i++) {
        const char *name = node->outputs[0].layout.fields[i].name;
        if (eng_layout_find(node->ports[0].layout, name)) continue;
        snprintf(reason, reason_bytes, "%s has no field %s to take it from",
                 node->ports[0].layout->schema->name, name);
        return false;
    }
    if (eng_copy_plan_open(plan, node->ports[0].layout, &node->outputs[0].layout, true, &why) < 0) {
        snprintf(reason, reason_bytes, "%s", why.text);
        return false;
    }
    return true;
}

static void project_release(struct eng_node *node)
{
    if (node->compiled) eng_copy_plan_close(node->compiled);
    free(node->compiled);
}

static void project_open(pen_context *ctx)
{
    eng_builder_open(ctx->self, &ctx->node->outputs[0].layout, 0);
}

static void project_batch(pen_context *ctx, const struct eng_batch *batch)
{
    const struct eng_copy_plan *plan = ctx->node->compiled;
    struct eng_builder *builder = ctx->self;
    struct eng_reason why;

    ctx->batch = batch;
    for (uint32_t i = 0; i < batch->count && !eng_context_has_failed(ctx); i++) {
        uint32_t size_bytes;
        ctx->room.current = i;
        eng_builder_begin(builder);
        CHECK(
            eng_copy_plan_build(plan, batch->records[i], builder, &why)); /* it was larger before */
        const void *record = eng_builder_finish(builder, &size_bytes);
        eng_context_emit(ctx, 0, PEN_SAME, ctx->node->outputs[0].schema, record);
    }
    eng_context_deliver(ctx);
    ctx->batch = NULL;
    ctx->room.current = 0;
}

static void project_close(pen_context *ctx)
{
    eng_builder_close(ctx->self);
}

const struct eng_class eng_project_class = {
    .name = "project",
    .self_bytes = sizeof(struct eng_builder),
    .prepare = project_prepare,
    .release = project_release,
    .open = project_open,
    .batch = project_batch,
    .close = project_close,
};
