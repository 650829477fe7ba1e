/* pen_interval_join: pairs whose event times are close: a left record at t with the right ones in
 * [t + from, t + to].
 *
 * Kept: both sides, ordered by event time. A record meets what is kept of the other side when it
 * arrives, so each pair is given once, by the later of the two, with the later of their times. A
 * record is kept until the watermark says that no partner can come: a left one at t until t + to,
 * a right one until t - from. Not kept at all is what comes later than that.
 *
 * What comes late (its time at or below the watermark) is treated like everything else: it meets
 * what is still kept.
 *
 * Outer. A record that has had no partner when it is over is given alone, with its own time; so is
 * one that comes so late that it is not kept and meets nobody. Since that is up to `to` (right: the
 * negative of `from`) after its time, the watermark is passed on so much later.
 *
 * A row's head, in outer joins only: whether it has had a partner. */
#include <stdlib.h>

#include "engine/operator/join.h"
#include "engine/operator/operators.h"

struct interval_head {
    uint64_t matched;
};

static struct interval_head *interval_head(struct eng_rows_at at)
{
    return eng_rows_row(at);
}

/* Records of a side up to over_us are over: no partner of theirs can follow. False: none is. */
static bool interval_over(const struct eng_join_plan *plan, uint32_t port, int64_t watermark_us,
                          int64_t *over_us)
{
    *over_us = INT64_MAX;
    if (watermark_us == ENG_WATERMARK_END) return true;
    if (!__builtin_sub_overflow(watermark_us, plan->high_us[port], over_us)) return true;
    *over_us = INT64_MAX;
    return plan->high_us[port] < 0;
}

/* Where the partners of a record lie among the rows of the other side. */
static void interval_span(const struct eng_join_plan *plan, uint32_t port, int64_t time_us,
                          int64_t *low_us, int64_t *high_us)
{
    *low_us = eng_time_add(time_us, plan->low_us[port]);
    *high_us = eng_time_add(time_us, plan->high_us[port]);
}

static bool interval_has_partner(const struct eng_join_plan *plan, uint32_t port,
                                 const struct eng_rows *others, int64_t time_us)
{
    int64_t low_us, high_us;

    interval_span(plan, port, time_us, &low_us, &high_us);
    struct eng_rows_at at = eng_rows_seek(others, low_us);
    return !eng_rows_is_end(at) && eng_rows_order(at) <= high_us;
}

static void interval_keep(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                          struct eng_join_entry *entry)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);
    uint32_t port = batch->port;
    int64_t time_us = batch->times_us[i];
    int64_t over_us;
    bool over = interval_over(plan, port, ctx->watermark_us, &over_us) && time_us <= over_us;
    bool matched =
        plan->outer[port] && interval_has_partner(plan, port, &entry->sides[!port], time_us);

    if (over) {
        if (plan->outer[port] && !matched) self->meeting.notes[i] = ENG_JOIN_ALONE;
        return;
    }
    void *row = eng_join_add(ctx, batch, i, &entry->sides[port], time_us);
    if (!row) return;
    if (plan->row_head > 0) ((struct interval_head *)row)->matched = matched;
    eng_join_wake(ctx, batch, i, entry, eng_time_add(time_us, plan->high_us[port]));
}

static bool interval_meet(pen_context *ctx, uint32_t i)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);
    const struct eng_join_meeting *meeting = &self->meeting;
    uint32_t port = meeting->port;
    const struct eng_rows *others = &meeting->entries[i]->sides[!port];
    int64_t time_us = meeting->times_us[i], low_us, high_us;

    if (meeting->notes[i] & ENG_JOIN_ALONE) {
        eng_join_give_of(ctx, port, meeting->records[i], NULL, time_us, PEN_INSERT);
        return true;
    }
    interval_span(plan, port, time_us, &low_us, &high_us);
    if (!self->begun) self->at[0] = eng_rows_seek(others, low_us);
    self->begun = true;
    for (; !eng_rows_is_end(self->at[0]); eng_rows_step(others, &self->at[0])) {
        int64_t order = eng_rows_order(self->at[0]);
        if (order > high_us) break;
        if (eng_join_must_stop(ctx)) return false;
        if (plan->outer[!port]) interval_head(self->at[0])->matched = true;
        eng_join_give_of(ctx, port, meeting->records[i], eng_join_record(plan, self->at[0]),
                         eng_join_max(time_us, order), PEN_INSERT);
    }
    return true;
}

/* Gives what is over and has had no partner. */
static bool interval_due(pen_context *ctx, struct eng_join_entry *entry, int64_t until_us)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);

    if (plan->row_head == 0) return true; /* no side is outer */
    if (!self->begun) {
        self->step = ENG_JOIN_LEFT;
        self->at[0] = eng_rows_begin(&entry->sides[ENG_JOIN_LEFT]);
        self->begun = true;
    }
    for (;;) {
        uint32_t port = self->step;
        const struct eng_rows *rows = &entry->sides[port];
        int64_t over_us;
        bool any = plan->outer[port] && interval_over(plan, port, until_us, &over_us);
        for (; any && !eng_rows_is_end(self->at[0]); eng_rows_step(rows, &self->at[0])) {
            int64_t order = eng_rows_order(self->at[0]);
            if (order > over_us) break;
            if (eng_join_must_stop(ctx)) return false;
            if (!interval_head(self->at[0])->matched)
                eng_join_give_of(ctx, port, eng_join_record(plan, self->at[0]), NULL, order,
                                 PEN_INSERT);
        }
        if (port == ENG_JOIN_RIGHT) return true;
        self->step = ENG_JOIN_RIGHT;
        self->at[0] = eng_rows_begin(&entry->sides[ENG_JOIN_RIGHT]);
    }
}

static void interval_drop(pen_context *ctx, struct eng_join_entry *entry, int64_t until_us)
{
    struct eng_join *self = eng_join(ctx);
    int64_t over_us;

    for (uint32_t port = 0; port < 2; port++)
        if (interval_over(eng_join_plan(ctx), port, until_us, &over_us))
            eng_rows_drop(&self->memory, &entry->sides[port], over_us);
}

static bool interval_next(const pen_context *ctx, const struct eng_join_entry *entry,
                          int64_t *at_us)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);

    *at_us = INT64_MAX;
    for (uint32_t port = 0; port < 2; port++) {
        struct eng_rows_at at = eng_rows_begin(&entry->sides[port]);
        if (eng_rows_is_end(at)) continue;
        int64_t over_us = eng_time_add(eng_rows_order(at), plan->high_us[port]);
        if (over_us < *at_us) *at_us = over_us;
    }
    return true; /* there is a row: who has none is removed */
}

static const struct eng_join_kind interval_kind = {
    .keep = interval_keep,
    .meet = interval_meet,
    .due = interval_due,
    .drop = interval_drop,
    .next = interval_next,
};

static bool interval_prepare(struct eng_node *node, char *reason, uint32_t reason_bytes)
{
    const struct pen_join *options = node->options;
    struct eng_join_plan *plan = eng_join_prepare(node, &interval_kind);

    (void)reason, (void)reason_bytes;
    plan->low_us[ENG_JOIN_LEFT] = options->from;
    plan->high_us[ENG_JOIN_LEFT] = options->to;
    plan->low_us[ENG_JOIN_RIGHT] = eng_join_minus(options->to);
    plan->high_us[ENG_JOIN_RIGHT] = eng_join_minus(options->from);
    for (uint32_t port = 0; port < 2; port++) {
        if (!plan->outer[port]) continue;
        plan->row_head = (uint32_t)sizeof(struct interval_head);
        plan->hold_us = eng_join_max(plan->hold_us, plan->high_us[port]);
    }
    return true;
}

const struct eng_class eng_join_interval_class = ENG_JOIN_CLASS("join_interval", interval_prepare);
