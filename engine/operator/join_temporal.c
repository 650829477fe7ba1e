/* pen_temporal_join: each left record with the one right record that was valid at its event time.
 *
 * The right side is a history of versions: the version at a time is the latest right record at or
 * before it, of two at one time the one that came later. On an updating right side PEN_INSERT and
 * PEN_UPDATE_AFTER are versions, PEN_DELETE ends the one before it, and PEN_UPDATE_BEFORE means
 * nothing, because a version ends where the next one begins. A version is valid for `valid_for`
 * (both ends included), or until then.
 *
 * Kept: left records, ordered by event time, until the watermark has passed it and so every version
 * up to it is known; then each is given with its version, in order of their times within a key,
 * with the left record's time. No version: it is given alone (outer) or not at all. Versions are
 * kept as long as a left record that is not late may ask for them: until the watermark has passed a
 * later one, or they are no longer valid.
 *
 * Late. A left record at or below the watermark is given at once, with the version that is still
 * kept, if it is the right one: asked for an older one it counts as having none. A right record
 * that comes late is a version like others for the left records that follow.
 *
 * At the end of input all left records are given. Left records are inserts, and so are the results.
 *
 * A row's head, where the right side is updating: whether it ends the version before it. */
#include <stdlib.h>

#include "engine/operator/join.h"
#include "engine/operator/operators.h"

struct temporal_head {
    uint64_t ends; /* there is no version from here on */
};

static bool temporal_ends(const struct eng_join_plan *plan, struct eng_rows_at at)
{
    return plan->row_head > 0 && ((const struct temporal_head *)eng_rows_row(at))->ends;
}

/* Not asked for by anybody whose time is later than until_us. */
static bool temporal_is_over(const struct eng_join_plan *plan, struct eng_rows_at at,
                             int64_t until_us)
{
    if (eng_rows_order(at) > until_us) return false;
    if (temporal_ends(plan, at) || until_us == ENG_WATERMARK_END) return true;
    return plan->valid_us > 0 && eng_time_add(eng_rows_order(at), plan->valid_us) <= until_us;
}

/* Removes versions that are over or have been followed by another one. */
static void temporal_clean(pen_context *ctx, struct eng_join_entry *entry, int64_t until_us)
{
    struct eng_rows *versions = &entry->sides[ENG_JOIN_RIGHT];
    struct eng_rows_memory *memory = &eng_join(ctx)->memory;
    struct eng_rows_at at = eng_rows_seek_last(versions, until_us);

    if (eng_rows_is_end(at)) return;
    int64_t order = eng_rows_order(at);
    if (temporal_is_over(eng_join_plan(ctx), at, until_us)) {
        eng_rows_drop(memory, versions, order);
        return;
    }
    if (order > INT64_MIN) eng_rows_drop(memory, versions, order - 1);
    for (;;) { /* of those at one time the last one stays */
        struct eng_rows_at first = eng_rows_begin(versions), second = first;
        eng_rows_step(versions, &second);
        if (eng_rows_is_end(second) || eng_rows_order(second) > until_us) return;
        eng_rows_remove(memory, versions, &first);
    }
}

/* When the first version may be over or followed. False: it stays. */
static bool temporal_next_version(const struct eng_join_plan *plan,
                                  const struct eng_join_entry *entry, int64_t *at_us)
{
    struct eng_rows_at at = eng_rows_begin(&entry->sides[ENG_JOIN_RIGHT]);

    if (eng_rows_is_end(at)) return false;
    *at_us = eng_rows_order(at);
    if (temporal_ends(plan, at)) return true;
    *at_us = plan->valid_us > 0 ? eng_time_add(*at_us, plan->valid_us) : INT64_MAX;
    eng_rows_step(&entry->sides[ENG_JOIN_RIGHT], &at);
    if (eng_rows_is_end(at)) return *at_us < INT64_MAX;
    if (eng_rows_order(at) < *at_us) *at_us = eng_rows_order(at);
    return true;
}

static bool temporal_next(const pen_context *ctx, const struct eng_join_entry *entry,
                          int64_t *at_us)
{
    struct eng_rows_at left = eng_rows_begin(&entry->sides[ENG_JOIN_LEFT]);
    bool any = temporal_next_version(eng_join_plan(ctx), entry, at_us);

    if (eng_rows_is_end(left)) return any;
    if (!any || eng_rows_order(left) < *at_us) *at_us = eng_rows_order(left);
    return true;
}

/* Gives a left record with its version. */
static void temporal_give(pen_context *ctx, const struct eng_join_entry *entry, const void *left,
                          int64_t time_us)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_rows_at at = eng_rows_seek_last(&entry->sides[ENG_JOIN_RIGHT], time_us);
    const void *version = NULL;

    if (!eng_rows_is_end(at) && !temporal_ends(plan, at) &&
        (plan->valid_us == 0 || eng_time_add(eng_rows_order(at), plan->valid_us) >= time_us))
        version = eng_join_record(plan, at);
    if (version || plan->outer[ENG_JOIN_LEFT])
        eng_join_give(ctx, left, version, time_us, PEN_INSERT);
}

static void temporal_keep_version(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                                  struct eng_join_entry *entry)
{
    uint8_t row = batch->rows ? batch->rows[i] : PEN_INSERT;
    int64_t at_us;

    eng_join(ctx)->meeting.notes[i] = ENG_JOIN_SKIP;
    if (row == PEN_UPDATE_BEFORE) return;
    void *kept = eng_join_add(ctx, batch, i, &entry->sides[ENG_JOIN_RIGHT], batch->times_us[i]);
    if (!kept) return;
    if (row == PEN_DELETE) ((struct temporal_head *)kept)->ends = true;
    temporal_clean(ctx, entry, ctx->watermark_us);
    if (temporal_next_version(eng_join_plan(ctx), entry, &at_us))
        eng_join_wake(ctx, batch, i, entry, at_us);
}

static void temporal_keep(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                          struct eng_join_entry *entry)
{
    struct eng_join *self = eng_join(ctx);
    int64_t time_us = batch->times_us[i];

    if (batch->port == ENG_JOIN_RIGHT) {
        temporal_keep_version(ctx, batch, i, entry);
        return;
    }
    if (time_us <= ctx->watermark_us) return; /* late: it meets its version at once */
    self->meeting.notes[i] = ENG_JOIN_SKIP;
    if (eng_join_add(ctx, batch, i, &entry->sides[ENG_JOIN_LEFT], time_us))
        eng_join_wake(ctx, batch, i, entry, time_us);
}

static bool temporal_meet(pen_context *ctx, uint32_t i)
{
    const struct eng_join_meeting *meeting = &eng_join(ctx)->meeting;

    if (eng_join_must_stop(ctx)) return false;
    temporal_give(ctx, meeting->entries[i], meeting->records[i], meeting->times_us[i]);
    return true;
}

static bool temporal_due(pen_context *ctx, struct eng_join_entry *entry, int64_t until_us)
{
    struct eng_join *self = eng_join(ctx);
    const struct eng_rows *lefts = &entry->sides[ENG_JOIN_LEFT];

    if (!self->begun) self->at[0] = eng_rows_begin(lefts);
    self->begun = true;
    for (; !eng_rows_is_end(self->at[0]); eng_rows_step(lefts, &self->at[0])) {
        if (eng_rows_order(self->at[0]) > until_us) break;
        if (eng_join_must_stop(ctx)) return false;
        temporal_give(ctx, entry, eng_join_record(eng_join_plan(ctx), self->at[0]),
                      eng_rows_order(self->at[0]));
    }
    return true;
}

static void temporal_drop(pen_context *ctx, struct eng_join_entry *entry, int64_t until_us)
{
    eng_rows_drop(&eng_join(ctx)->memory, &entry->sides[ENG_JOIN_LEFT], until_us);
    temporal_clean(ctx, entry, until_us);
}

static const struct eng_join_kind temporal_kind = {
    .keep = temporal_keep,
    .meet = temporal_meet,
    .due = temporal_due,
    .drop = temporal_drop,
    .next = temporal_next,
};

static bool temporal_prepare(struct eng_node *node, char *reason, uint32_t reason_bytes)
{
    const struct pen_join *options = node->options;
    struct eng_join_plan *plan = eng_join_prepare(node, &temporal_kind);

    (void)reason, (void)reason_bytes;
    plan->valid_us = options->valid_for;
    if (node->ports[ENG_JOIN_RIGHT].stream.updating)
        plan->row_head = (uint32_t)sizeof(struct temporal_head);
    return true;
}

const struct eng_class eng_join_temporal_class = ENG_JOIN_CLASS("join_temporal", temporal_prepare);
