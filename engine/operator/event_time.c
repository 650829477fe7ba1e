/* pen_event_time: from here on a field is the event time, and watermarks follow the records.
 *
 * One watermark for each split. It stays `.out_of_order` and a microsecond behind the largest time
 * seen in the split, because another record with that very time may still come; or it is the
 * largest that a field of its records says. It never falls: a smaller one says nothing.
 *
 * The subtask's watermark is the smallest over the splits that it is reading, and never falls
 * either. A split counts from the moment it is claimed: until its first record it holds the
 * watermark where it is. A split that has ended, or has been silent for `.idle_after`, is left out.
 * When all are silent, nobody holds anybody back: the largest holds, and the subtask says that it
 * is idle. Where records do not come straight from a source (see splits.h), the subtask's whole
 * input is treated as one split.
 *
 * Splits that no subtask has claimed. What they hold is not known, so what may the watermark be?
 *
 *     by default         they are taken to be later than what has been read, as ranges of a sorted
 *                        file and rotated logs are, and hold nothing back. If one begins behind the
 *                        watermark its records are late, and we say so, once
 *     .splits_overlap    they may hold any time: no watermark at all is said before every split of
 *                        the source has been claimed. So that this is soon, subtasks read an even
 *                        share of the splits side by side instead of one after the other
 *
 * The second is safe without an agreement between subtasks: whoever claims the last split has its
 * own watermark held until then, and that split counts from there on. So the smallest over the
 * subtasks, which is all that anybody behind us uses, is the smallest over all splits.
 *
 * Silence is time in which a split was asked in every turn and gave nothing. While it is not asked,
 * because the chain is blocked or the split waits for slower ones, no time passes; and of a long
 * pause of the whole process only a little counts. Else a slow consumer would make its sources look
 * idle.
 *
 * Infinity is what the engine says at the end of the input, and nobody else: a record whose time or
 * watermark field says INT64_MAX takes the watermark to a microsecond before it.
 */
#include "engine/operator/event_time.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/flow/worker.h"
#include "engine/operator/alignment.h"
#include "engine/operator/operators.h"
#include "engine/operator/splits.h"
#include "engine/record/value.h"
#include "shm/counter.h"

enum { EVENT_TIME_GAP_NS_MAX = 200 * 1000 * 1000 }; /* twice the longest that a worker sleeps */

struct event_time_plan {
    const struct eng_field *field;
    const struct eng_field *watermark; /* NULL: by the largest time */
    pen_duration out_of_order_us, ahead_max_us;
    uint64_t idle_after_ns; /* 0: never */
    bool every_record, splits_overlap;
};

struct event_time_split {
    bool open;
    bool any;   /* it has given a record */
    bool heard; /* since it was last asked */
    bool idle;
    int64_t watermark_us; /* the highest that its records say */
    uint64_t asked_turn;  /* last, in steps of the worker from 1 on; 0: never */
    uint64_t asked_ns;
    uint64_t silent_ns; /* see above */
};

struct event_time {
    int64_t times_us[ENG_BATCH_RECORDS_MAX];
    pen_context *source; /* NULL: all that comes is split 0 */
    struct event_time_split *splits;
    uint32_t split_count;
    struct eng_alignment alignment;
    int64_t watermark_us; /* told; ctx->watermark_us is what came from before */
    bool idle;            /* told */
    bool holding;         /* there are splits that nobody has claimed */
    bool warned;
};

/* ---- Options --------------------------------------------------------------------------------- */

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
    if (options->out_of_order < 0 || options->idle_after < 0 || options->ahead_max < 0) {
        snprintf(reason, reason_bytes,
                 ".out_of_order, .idle_after and .ahead_max cannot be negative");
        return false;
    }
    plan->out_of_order_us = options->out_of_order;
    plan->ahead_max_us = options->ahead_max;
    plan->idle_after_ns = options->idle_after < INT64_MAX / 1000
                              ? (uint64_t)options->idle_after * 1000
                              : (uint64_t)INT64_MAX;
    plan->every_record = options->every_record;
    plan->splits_overlap = options->splits_overlap;
    return true;
}

static void event_time_release(struct eng_node *node)
{
    free(node->compiled);
}

bool eng_event_time_splits_overlap(const struct eng_node *node)
{
    const struct pen_event_time *options = node->options;
    return node->class == &eng_event_time_class && options->splits_overlap;
}

bool eng_event_time_is_aligned(const struct eng_node *node)
{
    const struct pen_event_time *options = node->options;
    return node->class == &eng_event_time_class && options->ahead_max > 0;
}

bool eng_event_time_every_record(const struct eng_node *node)
{
    const struct pen_event_time *options = node->options;
    return node->class == &eng_event_time_class && options->every_record;
}

/* ---- What is told ---------------------------------------------------------------------------- */

static void event_time_show(pen_context *ctx)
{
    const struct event_time *self = ctx->self;
    bool idle = self->idle && self->watermark_us != ENG_WATERMARK_END;

    shm_store_own(&ctx->board->watermark_us,
                  (uint64_t)(idle ? ENG_WATERMARK_IDLE : self->watermark_us));
}

/* Back from being idle, the watermark is said again, even if it has not risen; going idle, it is
 * said before. */
static void event_time_tell(pen_context *ctx, int64_t watermark_us, bool idle)
{
    struct event_time *self = ctx->self;
    bool rises = watermark_us > self->watermark_us, turns = idle != self->idle;

    if (!rises && !turns) return;
    if (rises) self->watermark_us = watermark_us;
    self->idle = idle;
    event_time_show(ctx);
    if (rises || !idle) eng_pass_watermark(ctx, self->watermark_us);
    if (idle) eng_pass_watermark(ctx, ENG_WATERMARK_IDLE);
}

struct event_time_sum {
    uint32_t open, active;
    int64_t slowest_us; /* of the active */
    int64_t largest_us; /* of the open */
};

static struct event_time_sum event_time_sum(const struct event_time *self)
{
    struct event_time_sum sum = {.slowest_us = ENG_WATERMARK_END, .largest_us = ENG_WATERMARK_NONE};

    for (uint32_t i = 0; i < self->split_count; i++) {
        const struct event_time_split *split = &self->splits[i];
        if (!split->open) continue;
        sum.open++;
        if (split->watermark_us > sum.largest_us) sum.largest_us = split->watermark_us;
        if (split->idle) continue;
        sum.active++;
        if (split->watermark_us < sum.slowest_us) sum.slowest_us = split->watermark_us;
    }
    return sum;
}

/* What the splits say together. Between two splits there is nothing new to say. */
static int64_t event_time_candidate(const struct event_time *self, const struct event_time_sum *sum,
                                    bool *idle)
{
    *idle = sum->open > 0 ? sum->active == 0 && !self->holding : self->idle;
    if (self->holding || sum->open == 0) return ENG_WATERMARK_NONE;
    return sum->active > 0 ? sum->slowest_us : sum->largest_us;
}

static void event_time_settle(pen_context *ctx)
{
    const struct event_time_plan *plan = ctx->node->compiled;
    struct event_time *self = ctx->self;
    struct event_time_sum sum = event_time_sum(self);
    bool idle;

    if (self->watermark_us == ENG_WATERMARK_END) return;
    if (plan->ahead_max_us > 0) eng_alignment_say(&self->alignment, sum.slowest_us);
    /* A job that is stopped raises no watermark: the ends of its splits are none of the input. */
    if (self->source && ctx->worker->command == ENG_COMMAND_STOP) return;
    if (self->holding && eng_splits_all_claimed(self->source)) self->holding = false;
    int64_t watermark_us = event_time_candidate(self, &sum, &idle);
    event_time_tell(ctx, watermark_us, idle);
}

/* ---- Splits ---------------------------------------------------------------------------------- */

void eng_event_time_begin(pen_context *ctx, uint32_t slot)
{
    struct event_time *self = ctx->self;

    while (self->split_count <= slot) {
        self->splits = realloc(self->splits, (self->split_count + 1) * sizeof *self->splits);
        CHECK(self->splits != NULL);
        self->splits[self->split_count++] = (struct event_time_split){0};
    }
    CHECK(!self->splits[slot].open);
    self->splits[slot] =
        (struct event_time_split){.open = true, .watermark_us = ENG_WATERMARK_NONE};
    event_time_settle(ctx);
}

void eng_event_time_end(pen_context *ctx, uint32_t slot)
{
    struct event_time *self = ctx->self;

    CHECK(slot < self->split_count);
    CHECK(self->splits[slot].open);
    self->splits[slot].open = false;
    event_time_settle(ctx);
}

void eng_event_time_asked(pen_context *ctx, uint32_t slot)
{
    const struct event_time_plan *plan = ctx->node->compiled;
    struct event_time *self = ctx->self;
    struct event_time_split *split = &self->splits[slot];
    uint64_t now_ns = ctx->worker->now_ns;

    CHECK(slot < self->split_count);
    CHECK(split->open);
    uint64_t turn = shm_load_own(&ctx->worker->place->steps) + 1;
    bool at_once = split->asked_turn > 0 && turn == split->asked_turn + 1;
    uint64_t gap_ns = at_once ? now_ns - split->asked_ns : 0;
    split->asked_turn = turn;
    split->asked_ns = now_ns;
    if (plan->idle_after_ns == 0 || split->idle) return;
    /* Virtual time passes in leaps, and all of it on purpose. */
    if (gap_ns > EVENT_TIME_GAP_NS_MAX && !ctx->worker->settings.virtual_wall_us)
        gap_ns = EVENT_TIME_GAP_NS_MAX;
    if (split->heard)
        split->silent_ns = 0;
    else
        split->silent_ns += gap_ns;
    split->heard = false;
    if (split->silent_ns < plan->idle_after_ns) {
        eng_worker_wake_at(ctx->worker, now_ns + plan->idle_after_ns - split->silent_ns);
        return;
    }
    split->idle = true;
    event_time_settle(ctx);
}

bool eng_event_time_must_wait(pen_context *ctx, uint32_t slot)
{
    const struct event_time_plan *plan = ctx->node->compiled;
    struct event_time *self = ctx->self;

    CHECK(slot < self->split_count);
    if (plan->ahead_max_us == 0 || self->splits[slot].idle) return false;
    return eng_alignment_must_wait(&self->alignment, self->splits[slot].watermark_us);
}

/* ---- Records --------------------------------------------------------------------------------- */

/* Far from both ends, so that nothing overflows: the smallest watermark there is says nothing. */
static int64_t event_time_behind(int64_t time_us, pen_duration behind_us)
{
    int64_t watermark_us;

    if (__builtin_sub_overflow(time_us, behind_us, &watermark_us)) return ENG_WATERMARK_NONE;
    if (watermark_us <= ENG_WATERMARK_NONE) return ENG_WATERMARK_NONE;
    return watermark_us - 1;
}

static int64_t event_time_said(const struct event_time_plan *plan, const void *record)
{
    if (eng_field_is_null(plan->watermark, record)) return ENG_WATERMARK_NONE;
    int64_t said_us = eng_field_int(plan->watermark, record);
    if (said_us < ENG_WATERMARK_NONE) return ENG_WATERMARK_NONE;
    return said_us < ENG_WATERMARK_END ? said_us : ENG_WATERMARK_END - 1;
}

/* Hot leaf: the times of a batch. Returns the largest; *smallest as well. */
static int64_t event_time_read(const struct event_time_plan *plan, const struct eng_batch *batch,
                               int64_t *restrict times_us, int64_t *smallest)
{
    int64_t largest_us = INT64_MIN, smallest_us = INT64_MAX;

    for (uint32_t i = 0; i < batch->count; i++) {
        const pen_time *time = eng_field_of(plan->field, batch->records[i]);
        times_us[i] = time->us;
        if (time->us > largest_us) largest_us = time->us;
        if (time->us < smallest_us) smallest_us = time->us;
    }
    *smallest = smallest_us;
    return largest_us;
}

/* The splits of a sorted input do not begin behind what has been read. */
static void event_time_warn(pen_context *ctx, int64_t smallest_us)
{
    const struct event_time_plan *plan = ctx->node->compiled;
    struct event_time *self = ctx->self;
    char begins[ENG_NUMBER_TEXT_BYTES], reached[ENG_NUMBER_TEXT_BYTES];

    if (self->warned || !self->source || plan->splits_overlap) return;
    if (self->watermark_us == ENG_WATERMARK_NONE) return;
    if (smallest_us > self->watermark_us || self->source->node->split_count < 2) return;
    self->warned = true;
    begins[eng_time_print((pen_time){smallest_us}, begins)] = '\0';
    reached[eng_time_print((pen_time){self->watermark_us}, reached)] = '\0';
    pen_log(ctx,
            "a split of the source begins with %s, and the watermark has reached %s: such records "
            "are late; with .splits_overlap = true it waits until all splits are being read",
            begins, reached);
}

static struct event_time_split *event_time_split(struct event_time *self)
{
    uint32_t slot = self->source ? eng_splits_current(self->source) : 0;

    CHECK(slot < self->split_count);
    CHECK(self->splits[slot].open);
    return &self->splits[slot];
}

/* Cut wherever the watermark rises: what lies behind sees each rise where it belongs. */
static void event_time_each(pen_context *ctx, const struct eng_batch *batch,
                            struct event_time_split *split)
{
    const struct event_time_plan *plan = ctx->node->compiled;
    struct event_time *self = ctx->self;
    uint32_t from = 0;
    bool idle;

    for (uint32_t i = 0; i < batch->count && !ctx->worker->failed; i++) {
        int64_t watermark_us = plan->watermark
                                   ? event_time_said(plan, batch->records[i])
                                   : event_time_behind(self->times_us[i], plan->out_of_order_us);
        if (watermark_us <= split->watermark_us) continue;
        split->watermark_us = watermark_us;
        struct event_time_sum sum = event_time_sum(self);
        if (event_time_candidate(self, &sum, &idle) <= self->watermark_us) continue;
        struct eng_batch part = eng_batch_part(batch, from);
        part.count = i + 1 - from;
        eng_context_pass(ctx, 0, &part);
        from = i + 1;
        event_time_settle(ctx);
    }
    if (from == batch->count || ctx->worker->failed) return;
    struct eng_batch part = eng_batch_part(batch, from);
    eng_context_pass(ctx, 0, &part);
}

static void event_time_batch(pen_context *ctx, const struct eng_batch *batch)
{
    const struct event_time_plan *plan = ctx->node->compiled;
    struct event_time *self = ctx->self;
    struct event_time_split *split = event_time_split(self);
    struct eng_batch timed = *batch;
    int64_t smallest_us;

    int64_t largest_us = event_time_read(plan, batch, self->times_us, &smallest_us);
    timed.times_us = self->times_us;
    if (!split->any) event_time_warn(ctx, smallest_us);
    split->any = split->heard = true;
    if (split->idle) {
        split->idle = false;
        event_time_settle(ctx); /* it counts again before its records come */
    }
    if (plan->every_record) {
        event_time_each(ctx, &timed, split);
    } else {
        eng_context_pass(ctx, 0, &timed);
        int64_t watermark_us = ENG_WATERMARK_NONE;
        if (!plan->watermark) watermark_us = event_time_behind(largest_us, plan->out_of_order_us);
        for (uint32_t i = 0; i < batch->count && plan->watermark; i++) {
            int64_t said_us = event_time_said(plan, batch->records[i]);
            if (said_us > watermark_us) watermark_us = said_us;
        }
        if (watermark_us > split->watermark_us) split->watermark_us = watermark_us;
    }
    if (!ctx->worker->failed) event_time_settle(ctx);
}

/* ---- From before ----------------------------------------------------------------------------- */

/* Only infinity counts of what comes from before: the times of before are not ours. */
static void event_time_watermark(pen_context *ctx, int64_t watermark_us)
{
    const struct event_time_plan *plan = ctx->node->compiled;
    struct event_time *self = ctx->self;

    if (watermark_us == ENG_WATERMARK_END) {
        self->watermark_us = ENG_WATERMARK_END;
        if (plan->ahead_max_us > 0) eng_alignment_say(&self->alignment, ENG_WATERMARK_END);
        eng_pass_watermark(ctx, ENG_WATERMARK_END);
    }
    event_time_show(ctx);
}

static unsigned event_time_step(pen_context *ctx)
{
    struct event_time *self = ctx->self;

    if (!self->source && !ctx->chain->blocked) eng_event_time_asked(ctx, 0);
    if (self->holding && eng_splits_all_claimed(self->source)) event_time_settle(ctx);
    return 0;
}

static void event_time_open(pen_context *ctx)
{
    const struct event_time_plan *plan = ctx->node->compiled;
    struct event_time *self = ctx->self;

    self->watermark_us = ENG_WATERMARK_NONE;
    self->source = eng_splits_before(ctx);
    if (plan->ahead_max_us > 0)
        eng_alignment_open(&self->alignment, ctx->worker->board, ctx->board, plan->ahead_max_us);
    if (self->source) {
        self->holding = plan->splits_overlap;
        return;
    }
    if (plan->ahead_max_us > 0 || plan->splits_overlap)
        eng_context_fail(ctx, ".ahead_max and .splits_overlap work right behind a source, and what "
                              "lies between has a .parallelism or .group of its own");
    eng_event_time_begin(ctx, 0);
}

static void event_time_close(pen_context *ctx)
{
    struct event_time *self = ctx->self;
    free(self->splits);
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
    .close = event_time_close,
};
