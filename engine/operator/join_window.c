/* pen_join with a window: pairs that lie in one window, when it ends.
 *
 * Aligned windows (tumbling, sliding, cumulating, calendar): both sides are kept ordered by time,
 * each record once, however many windows it lies in. When a window [from, to) ends, its pairs are
 * the rows of both sides in that span. Attached windows: records carry theirs, and meet those that
 * carry the same; they are kept ordered by their window's end. A window ends when the watermark
 * passes its last instant, to - 1, which is the event time of its pairs. Records are dropped with
 * the last window that they lie in.
 *
 * By the clock, records lie in the windows of the time at which they come, and what is left at the
 * end of the input is given then. Their pairs have times of the clock, too, and so is the
 * watermark.
 *
 * Late. A record is late for a window that has ended; one that is late for all of its windows is
 * dropped and counted; so is dropped one that lies in none (a gap between windows) or carries an
 * empty one.
 *
 * Outer. Of a window in which the other side has no record of the key, each record is given alone.
 * Both sides are inserts, and so are the results.
 *
 * A row's head, of attached windows: where its window begins. */
#include <stdio.h>

#include "engine/operator/join.h"
#include "engine/operator/operators.h"
#include "shm/counter.h"

struct window_head {
    int64_t from_us;
};

static int64_t window_from(struct eng_rows_at at)
{
    return ((const struct window_head *)eng_rows_row(at))->from_us;
}

/* Windows that end here or before have ended: their last instant is at or before until_us. */
static int64_t window_ended(int64_t until_us)
{
    return until_us == INT64_MAX ? INT64_MAX : until_us + 1;
}

static int64_t window_now(const pen_context *ctx)
{
    return eng_join_plan(ctx)->by_clock ? eng_join(ctx)->done_us : ctx->watermark_us;
}

/* ---- Keeping --------------------------------------------------------------------------------- */

static void window_count_late(pen_context *ctx)
{
    int32_t counter = eng_join_plan(ctx)->late_counter;

    if (counter >= 0) shm_counter_add(&ctx->board->counters[counter], 1);
}

static void window_keep_aligned(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                                struct eng_join_entry *entry)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_window slice, window;
    int64_t time_us = eng_join_time(batch, i);

    if (plan->by_clock) /* a clock that was set back does not make records late */
        time_us = eng_join_max(eng_worker_wall_us(ctx->worker), eng_time_add(window_now(ctx), 1));
    if (!eng_window_span_slice(&plan->span, time_us, &slice)) return;
    if (!eng_window_span_next(&plan->span, &slice, window_ended(window_now(ctx)), &window)) {
        window_count_late(ctx);
        return;
    }
    if (eng_join_add(ctx, batch, i, &entry->sides[batch->port], time_us))
        eng_join_wake(ctx, batch, i, entry, eng_window_last(&window));
}

static void window_keep_attached(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                                 struct eng_join_entry *entry)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    const void *record = batch->records[i];
    int64_t from_us = eng_field_int(plan->bounds[batch->port][0], record);
    int64_t to_us = eng_field_int(plan->bounds[batch->port][1], record);

    if (from_us >= to_us) return;
    if (to_us <= window_ended(ctx->watermark_us)) {
        window_count_late(ctx);
        return;
    }
    struct window_head *head = eng_join_add(ctx, batch, i, &entry->sides[batch->port], to_us);
    if (!head) return;
    head->from_us = from_us;
    eng_join_wake(ctx, batch, i, entry, to_us - 1);
}

static void window_keep(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                        struct eng_join_entry *entry)
{
    eng_join(ctx)->meeting.notes[i] = ENG_JOIN_SKIP; /* pairs come when the window ends */
    if (eng_join_plan(ctx)->attached)
        window_keep_attached(ctx, batch, i, entry);
    else
        window_keep_aligned(ctx, batch, i, entry);
}

/* ---- Aligned windows ------------------------------------------------------------------------- */

static int64_t window_last_end(const struct eng_join_plan *plan, struct eng_rows_at at)
{
    struct eng_window slice;

    CHECK(eng_window_span_slice(&plan->span, eng_rows_order(at), &slice));
    return eng_window_span_last_end(&plan->span, &slice);
}

/* No window is longer. */
static int64_t window_longest(const struct eng_window_span *span)
{
    static const int days[] = {
        [PEN_DAY] = 2, [PEN_WEEK] = 8, [PEN_MONTH] = 32, [PEN_QUARTER] = 93, [PEN_YEAR] = 367};

    if (span->kind != PEN_WINDOW_CALENDAR) return span->size_us;
    return days[span->calendar] * PEN_DAYS(1);
}

/* Of the windows that have rows and end after after_us the one that ends first. Since windows that
 * begin later end later, it is one of the first row that still has any. */
static bool window_next_of(const struct eng_join_plan *plan, const struct eng_rows *rows,
                           int64_t after_us, struct eng_window *window)
{
    struct eng_window slice;
    int64_t first_us = eng_time_add(after_us, -window_longest(&plan->span));

    for (struct eng_rows_at at = eng_rows_seek(rows, first_us); !eng_rows_is_end(at);
         eng_rows_step(rows, &at)) {
        CHECK(eng_window_span_slice(&plan->span, eng_rows_order(at), &slice));
        if (eng_window_span_next(&plan->span, &slice, after_us, window)) return true;
        /* All rows of the slice are done with. */
        at = eng_rows_seek_last(rows, slice.to_us == INT64_MAX ? INT64_MAX : slice.to_us - 1);
    }
    return false;
}

static bool window_next_aligned(const struct eng_join_plan *plan,
                                const struct eng_join_entry *entry, int64_t after_us,
                                struct eng_window *window)
{
    struct eng_window other;
    bool any = window_next_of(plan, &entry->sides[ENG_JOIN_LEFT], after_us, window);

    if (!window_next_of(plan, &entry->sides[ENG_JOIN_RIGHT], after_us, &other)) return any;
    if (!any || other.to_us < window->to_us) *window = other;
    return true;
}

static bool window_is_in(const struct eng_window *window, struct eng_rows_at at)
{
    if (eng_rows_is_end(at)) return false;
    return eng_rows_order(at) < window->to_us || window->to_us == INT64_MAX;
}

enum { WINDOW_NEXT, WINDOW_BEGIN, WINDOW_PAIRS, WINDOW_ALONE };

/* Gives the rows of one side of self->window alone. */
static bool window_give_alone(pen_context *ctx, struct eng_join_entry *entry, uint32_t port)
{
    struct eng_join *self = eng_join(ctx);

    for (; window_is_in(&self->window, self->at[port]);
         eng_rows_step(&entry->sides[port], &self->at[port])) {
        if (eng_join_must_stop(ctx)) return false;
        eng_join_give_of(ctx, port, eng_join_record(eng_join_plan(ctx), self->at[port]), NULL,
                         eng_window_last(&self->window), PEN_INSERT);
    }
    return true;
}

/* Gives all pairs of self->window. */
static bool window_give_pairs(pen_context *ctx, struct eng_join_entry *entry)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);
    const struct eng_rows *rights = &entry->sides[ENG_JOIN_RIGHT];
    struct eng_rows_at *left = &self->at[ENG_JOIN_LEFT], *right = &self->at[ENG_JOIN_RIGHT];

    while (window_is_in(&self->window, *left)) {
        for (; window_is_in(&self->window, *right); eng_rows_step(rights, right)) {
            if (eng_join_must_stop(ctx)) return false;
            eng_join_give(ctx, eng_join_record(plan, *left), eng_join_record(plan, *right),
                          eng_window_last(&self->window), PEN_INSERT);
        }
        eng_rows_step(&entry->sides[ENG_JOIN_LEFT], left);
        *right = eng_rows_seek(rights, self->window.from_us);
    }
    return true;
}

static bool window_give_one(pen_context *ctx, struct eng_join_entry *entry)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);

    if (self->step == WINDOW_BEGIN) {
        bool in[2];
        for (uint32_t port = 0; port < 2; port++) {
            self->at[port] = eng_rows_seek(&entry->sides[port], self->window.from_us);
            in[port] = window_is_in(&self->window, self->at[port]);
        }
        self->step = in[ENG_JOIN_LEFT] && in[ENG_JOIN_RIGHT] ? WINDOW_PAIRS : WINDOW_ALONE;
    }
    if (self->step == WINDOW_PAIRS) return window_give_pairs(ctx, entry);
    /* One of the sides has nothing. */
    for (uint32_t port = 0; port < 2; port++)
        if (plan->outer[port] && !window_give_alone(ctx, entry, port)) return false;
    return true;
}

static bool window_due_aligned(pen_context *ctx, struct eng_join_entry *entry, int64_t until_us)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);

    if (!self->begun) {
        self->after_us = window_ended(self->done_us);
        self->step = WINDOW_NEXT;
        self->begun = true;
    }
    for (;;) {
        if (self->step == WINDOW_NEXT) {
            if (eng_join_must_stop(ctx)) return false;
            if (!window_next_aligned(plan, entry, self->after_us, &self->window)) return true;
            if (self->window.to_us > window_ended(until_us)) return true;
            self->step = WINDOW_BEGIN;
        }
        if (!window_give_one(ctx, entry)) return false;
        self->after_us = self->window.to_us;
        self->step = WINDOW_NEXT;
    }
}

/* ---- Attached windows ------------------------------------------------------------------------ */

/* The rows of the other side with the window of the row at hand, from self->at[1] on; alone when
 * there is none. `pairs`: else they are only looked for. */
static bool window_give_attached(pen_context *ctx, struct eng_join_entry *entry, uint32_t port,
                                 bool pairs)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);
    const struct eng_rows *others = &entry->sides[!port];
    int64_t to_us = eng_rows_order(self->at[0]), from_us = window_from(self->at[0]);
    const void *own = eng_join_record(plan, self->at[0]);

    for (; !eng_rows_is_end(self->at[1]); eng_rows_step(others, &self->at[1])) {
        if (eng_rows_order(self->at[1]) != to_us || (self->found && !pairs)) break;
        if (eng_join_must_stop(ctx)) return false;
        if (window_from(self->at[1]) != from_us) continue;
        self->found = true;
        if (pairs)
            eng_join_give_of(ctx, port, own, eng_join_record(plan, self->at[1]), to_us - 1,
                             PEN_INSERT);
    }
    if (!self->found && plan->outer[port])
        eng_join_give_of(ctx, port, own, NULL, to_us - 1, PEN_INSERT);
    return true;
}

/* First all left rows, with their partners; then, in a right outer join, the right rows alone. */
static bool window_due_attached(pen_context *ctx, struct eng_join_entry *entry, int64_t until_us)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);

    if (!self->begun) {
        self->step = ENG_JOIN_LEFT;
        self->at[0] = eng_rows_begin(&entry->sides[ENG_JOIN_LEFT]);
        self->found = false;
        if (!eng_rows_is_end(self->at[0]))
            self->at[1] = eng_rows_seek(&entry->sides[ENG_JOIN_RIGHT], eng_rows_order(self->at[0]));
        self->begun = true;
    }
    for (;;) {
        uint32_t port = self->step;
        const struct eng_rows *rows = &entry->sides[port];
        while (!eng_rows_is_end(self->at[0]) &&
               eng_rows_order(self->at[0]) <= window_ended(until_us)) {
            if (!window_give_attached(ctx, entry, port, port == ENG_JOIN_LEFT)) return false;
            eng_rows_step(rows, &self->at[0]);
            self->found = false;
            if (!eng_rows_is_end(self->at[0]))
                self->at[1] = eng_rows_seek(&entry->sides[!port], eng_rows_order(self->at[0]));
        }
        if (port == ENG_JOIN_RIGHT || !plan->outer[ENG_JOIN_RIGHT]) return true;
        self->step = ENG_JOIN_RIGHT;
        self->at[0] = eng_rows_begin(&entry->sides[ENG_JOIN_RIGHT]);
        if (!eng_rows_is_end(self->at[0]))
            self->at[1] = eng_rows_seek(&entry->sides[ENG_JOIN_LEFT], eng_rows_order(self->at[0]));
    }
}

/* ---- The kind -------------------------------------------------------------------------------- */

static bool window_due(pen_context *ctx, struct eng_join_entry *entry, int64_t until_us)
{
    if (eng_join_plan(ctx)->attached) return window_due_attached(ctx, entry, until_us);
    return window_due_aligned(ctx, entry, until_us);
}

static void window_drop(pen_context *ctx, struct eng_join_entry *entry, int64_t until_us)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_rows_memory *memory = &eng_join(ctx)->memory;
    int64_t ended_us = window_ended(until_us);
    struct eng_window slice;

    for (uint32_t port = 0; port < 2; port++) {
        struct eng_rows *rows = &entry->sides[port];
        if (plan->attached) {
            eng_rows_drop(memory, rows, ended_us);
            continue;
        }
        for (struct eng_rows_at at = eng_rows_begin(rows);
             !eng_rows_is_end(at) && window_last_end(plan, at) <= ended_us;
             at = eng_rows_begin(rows)) {
            CHECK(eng_window_span_slice(&plan->span, eng_rows_order(at), &slice));
            eng_rows_drop(memory, rows, slice.to_us == INT64_MAX ? INT64_MAX : slice.to_us - 1);
        }
    }
}

static bool window_next(const pen_context *ctx, const struct eng_join_entry *entry, int64_t *at_us)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_window window;

    if (!plan->attached) {
        if (!window_next_aligned(plan, entry, window_ended(eng_join(ctx)->until_us), &window))
            return false;
        *at_us = eng_window_last(&window);
        return true;
    }
    *at_us = INT64_MAX;
    for (uint32_t port = 0; port < 2; port++) {
        struct eng_rows_at at = eng_rows_begin(&entry->sides[port]);
        if (!eng_rows_is_end(at) && eng_rows_order(at) - 1 < *at_us)
            *at_us = eng_rows_order(at) - 1;
    }
    return true;
}

/* No `meet`: every record is skipped. */
static const struct eng_join_kind window_kind = {
    .keep = window_keep,
    .due = window_due,
    .drop = window_drop,
    .next = window_next,
};

static bool window_prepare(struct eng_node *node, char *reason, uint32_t reason_bytes)
{
    const struct pen_join *options = node->options;
    struct eng_join_plan *plan = eng_join_prepare(node, &window_kind);
    struct eng_reason why = {{0}};

    plan->by_clock = plan->gives_clock = options->window.clock == PEN_CLOCK_TIME;
    /* The graph has put it behind those of the user. */
    plan->late_counter =
        node->counters != options->counters ? (int32_t)node->counter_count - 1 : -1;
    plan->attached = options->window.kind == PEN_WINDOW_ATTACHED;
    if (plan->attached) {
        plan->row_head = (uint32_t)sizeof(struct window_head);
        for (uint32_t port = 0; port < 2; port++) {
            const struct eng_layout *layout = node->ports[port].layout;
            plan->bounds[port][0] = eng_layout_find(layout, options->window.start_field);
            plan->bounds[port][1] = eng_layout_find(layout, options->window.end_field);
            CHECK(plan->bounds[port][0] && plan->bounds[port][1]);
        }
        return true;
    }
    if (eng_window_span_open(&plan->span, &options->window, &why) == 0) return true;
    snprintf(reason, reason_bytes, "%s", why.text);
    return false;
}

const struct eng_class eng_join_window_class = ENG_JOIN_CLASS("join_window", window_prepare);
