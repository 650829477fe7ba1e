/* pen_source: records from outside, split by split.
 *
 * `plan` runs once, in the supervisor, and leaves the splits in the node; every worker has them as
 * a copy. Which subtask reads which split is settled by one word on the board: who adds one to it
 * owns the split of the number it had. A subtask reads the splits that it owns in turns, and takes
 * another one when none of them has anything to give, or pen_event_time behind it asks for several
 * side by side. A split that is too far ahead in event time is passed over: it is no reason to take
 * another one. A split's struct is its position: it changes in poll only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/context.h"
#include "engine/flow/worker.h"
#include "engine/operator/operators.h"
#include "engine/operator/splits.h"

enum { SOURCE_RETRY_NS = 1000 * 1000 };

struct source_split {
    struct source_split *next;
    void *split; /* the user's struct, texts behind it */
    void *local; /* pen_local is for each split */
    size_t local_bytes;
    uint32_t slot; /* see splits.h */
    bool idle, ended;
};

struct source {
    struct eng_splits marks;     /* first: for splits.h */
    struct source_split *splits; /* being read */
    uint32_t split_count;
    bool all_taken;
};

/* ---- Planning -------------------------------------------------------------------------------- */

static bool source_same_first_field(const struct eng_layout *layout, const void *a, const void *b)
{
    const struct eng_field *first = &layout->fields[0];

    if (eng_type_is_text(first->type)) {
        pen_view x = eng_field_text(first, a), y = eng_field_text(first, b);
        return pen_view_equal_views(x, y);
    }
    return memcmp(eng_field_of(first, a), eng_field_of(first, b), first->size_bytes) == 0;
}

void pen_add_split_record(pen_context *ctx, const struct pen_schema *schema, const void *split)
{
    struct eng_node *node = ctx->planning;
    struct eng_layout layout = {0};
    char reason[512];
    uint32_t size_bytes;

    if (!node) {
        eng_context_fail(ctx, "it calls pen_add_split outside of plan");
        return;
    }
    if (!eng_schema_same(schema, node->function->state)) {
        eng_context_fail(ctx, "plan adds a split of %s, poll takes %s", schema->name,
                         node->function->state->name);
        return;
    }
    if (eng_layout_open(&layout, schema, reason, sizeof reason) < 0) {
        eng_context_fail(ctx, "%s", reason);
        return;
    }
    void *copy = eng_context_lay(ctx, &layout, split, &size_bytes);
    for (uint32_t i = 0; copy && i < node->split_count; i++) {
        if (!source_same_first_field(&layout, copy, node->splits[i])) continue;
        free(copy);
        copy = NULL;
    }
    eng_layout_close(&layout);
    if (!copy) return;
    if (node->split_count == node->split_room) {
        node->split_room = node->split_room ? 2 * node->split_room : 16;
        node->splits = realloc(node->splits, node->split_room * sizeof *node->splits);
        CHECK(node->splits != NULL);
    }
    node->splits[node->split_count++] = copy;
}

bool eng_source_plan(struct eng_node *node, char *reason, uint32_t reason_bytes)
{
    const struct pen_source *options = node->options;
    struct eng_board_worker *place = calloc(1, sizeof *place);
    struct eng_board_subtask board = {.node = node->number};
    struct eng_worker worker = {
        .place = place, .slot = place ? &place->slot : NULL, .dead_letter_fd = -1};
    pen_context ctx;

    CHECK(place != NULL);
    worker.settings.run = "plan";
    eng_context_open(&ctx, node, NULL, &worker, &board, 0, 1);
    ctx.phase = ENG_PHASE_OPEN;
    ctx.planning = node;
    if (options->plan) options->plan(&ctx);
    bool planned = !worker.failed;
    if (!planned) snprintf(reason, reason_bytes, "%s", place->failure);
    eng_context_close(&ctx);
    free(place);
    return planned;
}

static void source_release(struct eng_node *node)
{
    for (uint32_t i = 0; i < node->split_count; i++)
        free(node->splits[i]);
    free(node->splits);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* pen_local and pen_split are those of the split at hand. */
static void source_enter(pen_context *ctx, struct source_split *split)
{
    ctx->local = split->local;
    ctx->local_bytes = split->local_bytes;
    ctx->split = split->split;
}

static void source_leave(pen_context *ctx, struct source_split *split)
{
    split->local = ctx->local;
    split->local_bytes = ctx->local_bytes;
    ctx->local = NULL;
    ctx->local_bytes = 0;
    ctx->split = NULL;
}

const void *pen_split_record(pen_context *ctx, const struct pen_schema *schema)
{
    if (ctx->split && eng_schema_same(schema, ctx->node->function->state)) return ctx->split;
    eng_context_die(ctx, "pen_split(%s): there is no such split at hand", schema->name);
}

static void source_call(pen_context *ctx, struct source_split *split, void (*call)(pen_context *))
{
    if (!call) return;
    source_enter(ctx, split);
    ctx->phase = ENG_PHASE_OPEN;
    call(ctx);
    ctx->phase = ENG_PHASE_RECORD;
    source_leave(ctx, split);
}

static bool source_take_split(pen_context *ctx)
{
    struct source *source = ctx->self;
    const struct eng_node *node = ctx->node;

    if (source->all_taken) return false;
    uint64_t index = shm_add(eng_board_claim(ctx->worker->board, node->claim), 1);
    if (index >= node->split_count) {
        source->all_taken = true;
        return false;
    }
    struct source_split *split = calloc(1, sizeof *split);
    CHECK(split != NULL);
    split->split = node->splits[index];
    split->next = source->splits;
    source->splits = split;
    source->split_count++;
    split->slot = eng_splits_begin(ctx);
    source_call(ctx, split, node->open);
    return true;
}

static void source_drop_ended(pen_context *ctx)
{
    struct source *source = ctx->self;

    for (struct source_split **at = &source->splits; *at;) {
        struct source_split *split = *at;
        if (!split->ended) {
            at = &split->next;
            continue;
        }
        *at = split->next;
        source->split_count--;
        source_call(ctx, split, ctx->node->close);
        eng_splits_end(ctx, split->slot);
        free(split->local);
        free(split);
    }
}

static void source_poll(pen_context *ctx, struct source_split *split)
{
    const struct pen_source *options = ctx->node->options;

    source_enter(ctx, split);
    eng_splits_enter(ctx, split->slot);
    enum pen_poll result = (enum pen_poll)ctx->function->poll(ctx, split->split);
    eng_context_deliver(ctx);
    eng_splits_leave(ctx);
    split->idle = result == PEN_IDLE;
    split->ended = result == PEN_END;
    if (split->idle && !eng_context_has_failed(ctx)) {
        int fd = options->wake_fd ? options->wake_fd(ctx) : -1;
        if (fd >= 0)
            eng_worker_wake_on(ctx->worker, fd, POLLIN);
        else
            eng_worker_wake_at(ctx->worker, ctx->worker->now_ns + SOURCE_RETRY_NS);
    }
    source_leave(ctx, split);
}

static unsigned source_step(pen_context *ctx)
{
    struct source *source = ctx->self;
    uint64_t before = shm_load_own(&ctx->board->records_out);
    unsigned busy = 0, waiting = 0;

    if (eng_source_must_stop(ctx)) {
        for (struct source_split *split = source->splits; split; split = split->next)
            split->ended = true;
        source_drop_ended(ctx);
        if (!eng_context_has_failed(ctx)) eng_source_ended(ctx);
        return 1;
    }
    for (struct source_split *split = source->splits; split; split = split->next) {
        if (eng_splits_must_wait(ctx, split->slot)) {
            waiting++;
            continue;
        }
        source_poll(ctx, split);
        if (eng_context_has_failed(ctx)) return 1;
        if (!split->idle) busy++;
    }
    source_drop_ended(ctx);
    bool wants = busy + waiting == 0 || source->split_count < eng_splits_side_by_side(ctx);
    if (wants && source_take_split(ctx)) busy++;
    if (!source->splits && source->all_taken && !eng_context_has_failed(ctx)) {
        eng_source_ended(ctx);
        return 1;
    }
    return busy + (unsigned)(shm_load_own(&ctx->board->records_out) - before);
}

static void source_open(pen_context *ctx)
{
    eng_splits_open(ctx);
}

/* Of a job that has failed, the splits that were being read. */
static void source_close(pen_context *ctx)
{
    struct source *source = ctx->self;

    while (source->splits) {
        struct source_split *split = source->splits;
        source->splits = split->next;
        free(split->local);
        free(split);
    }
    eng_splits_close(ctx);
}

const struct eng_class eng_source_class = {
    .name = "source",
    .self_bytes = sizeof(struct source),
    .release = source_release,
    .open = source_open,
    .step = source_step,
    .close = source_close,
};
