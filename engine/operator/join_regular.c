/* pen_join without a window: every left with every right row of the key.
 *
 * Kept: the rows of both sides that there are. PEN_INSERT and PEN_UPDATE_AFTER add a row,
 * PEN_UPDATE_BEFORE and PEN_DELETE take one back that is equal to it, whole record by whole record;
 * when there is none (it was dropped, see below) nothing happens. A record meets the rows that the
 * other side has when it arrives, so each pair is given once, and taken back with the first of its
 * rows that goes. Nothing is late.
 *
 * Results. A pair has the row kind of the record that made it: what takes a row back takes its
 * pairs back. Its event time is the later one of that record's and of the partner's. With inserts
 * only and no outer side the result has inserts only; else it is updating.
 *
 * Outer. A row is given alone, with NULL, while there is no row of the other side under its key. It
 * is taken back by a PEN_DELETE when the first one comes, and given again by a PEN_INSERT when the
 * last one goes; whether the function emits something for a pair does not matter to it.
 *
 * Without PEN_UPDATE_BEFORE (`.no_before`) results of such rows are left out. That is right where
 * an update leaves the row under its key. An input without them is refused by the graph: the join
 * could not know which row an update replaces.
 *
 * Time to live. A row is over `ttl` after its event time (when the watermark, or the record at
 * hand, is so far) or after it came by the clock. It then meets nobody and goes silently: what it
 * has given stays given, also alone or not alone. Memory comes back soon after that.
 *
 * Rows are ordered by what is in them where rows are taken back (so that the equal one is found),
 * else by when they came into being with a ttl, else as they come. */
#include <string.h>

#include "engine/operator/join.h"
#include "engine/operator/operators.h"
#include "shm/hash.h"

struct regular_head {
    int64_t time_us;  /* event time */
    int64_t stamp_us; /* what its ttl counts from */
    uint64_t alone;   /* it is given without a partner */
};

static struct regular_head *regular_head(struct eng_rows_at at)
{
    return eng_rows_row(at);
}

/* ---- What is in a record --------------------------------------------------------------------- */

/* Whether all bytes of the struct are fields that are never null. */
static bool regular_is_plain(const struct eng_layout *layout)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < layout->field_count; i++) {
        if (eng_field_nullable(&layout->fields[i])) return false;
        bytes += layout->fields[i].size_bytes;
    }
    return layout->text_count == 0 && bytes == layout->schema->size_bytes;
}

/* Equal records (eng_record_equal) have equal hashes. */
static int64_t regular_hash(const struct eng_layout *layout, bool plain, const void *record)
{
    uint64_t hash = 0;

    if (plain) return (int64_t)shm_hash(record, layout->schema->size_bytes);
    for (uint32_t i = 0; i < layout->field_count; i++) {
        const struct eng_field *field = &layout->fields[i];
        uint64_t of_field;
        if (eng_field_is_null(field, record)) {
            of_field = 1;
        } else if (eng_type_is_text(field->type)) {
            pen_view text = eng_field_text(field, record);
            of_field = shm_hash(text.data, text.size_bytes);
        } else {
            of_field = shm_hash(eng_field_of(field, record), field->size_bytes);
        }
        hash = (hash ^ of_field) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    return (int64_t)hash;
}

/* ---- Time to live ---------------------------------------------------------------------------- */

/* Rows stamped then or before are over, for a record of this time. */
static int64_t regular_over(const pen_context *ctx, int64_t time_us)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);

    if (plan->ttl_us == 0) return INT64_MIN;
    int64_t now_us =
        plan->by_clock ? eng_worker_wall_us(ctx->worker) : eng_join_max(ctx->watermark_us, time_us);
    return eng_time_add(now_us, -plan->ttl_us);
}

static bool regular_is_over(const struct eng_join_plan *plan, struct eng_rows_at at,
                            int64_t over_us)
{
    if (plan->ttl_us == 0) return false;
    return (plan->by_hash ? regular_head(at)->stamp_us : eng_rows_order(at)) <= over_us;
}

/* The first row that is not over; its order says so where rows are ordered by their stamp. */
static struct eng_rows_at regular_first(const struct eng_join_plan *plan,
                                        const struct eng_rows *rows, int64_t over_us)
{
    if (plan->ttl_us > 0 && !plan->by_hash)
        return over_us == INT64_MAX ? (struct eng_rows_at){0} : eng_rows_seek(rows, over_us + 1);
    struct eng_rows_at at = eng_rows_begin(rows);
    while (!eng_rows_is_end(at) && regular_is_over(plan, at, over_us))
        eng_rows_step(rows, &at);
    return at;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static void regular_add(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                        struct eng_join_entry *entry, int64_t over_us)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    uint32_t port = batch->port;
    int64_t time_us = eng_join_time(batch, i), order = 0;
    int64_t stamp_us = plan->by_clock ? eng_worker_wall_us(ctx->worker) : time_us;

    if (plan->by_hash)
        order = regular_hash(ctx->node->ports[port].layout, plan->plain[port], batch->records[i]);
    else if (plan->ttl_us > 0)
        order = stamp_us;
    struct regular_head *head = eng_join_add(ctx, batch, i, &entry->sides[port], order);
    if (!head) return;
    *head = (struct regular_head){.time_us = time_us, .stamp_us = stamp_us};
    if (plan->outer[port])
        head->alone = eng_rows_is_end(regular_first(plan, &entry->sides[!port], over_us));
    if (head->alone) eng_join(ctx)->meeting.notes[i] |= ENG_JOIN_ALONE;
    if (plan->ttl_us > 0) eng_join_wake(ctx, batch, i, entry, eng_time_add(stamp_us, plan->ttl_us));
}

static void regular_take_back(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                              struct eng_join_entry *entry, int64_t over_us)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);
    uint32_t port = batch->port;
    const struct eng_layout *layout = ctx->node->ports[port].layout;
    struct eng_rows *rows = &entry->sides[port];
    int64_t order = regular_hash(layout, plan->plain[port], batch->records[i]);
    struct eng_rows_at at = eng_rows_seek(rows, order);

    for (; !eng_rows_is_end(at) && eng_rows_order(at) == order; eng_rows_step(rows, &at)) {
        if (regular_is_over(plan, at, over_us)) continue;
        if (!eng_record_equal(layout, batch->records[i], eng_join_record(plan, at))) continue;
        if (regular_head(at)->alone) self->meeting.notes[i] |= ENG_JOIN_ALONE;
        eng_rows_remove(&self->memory, rows, &at);
        if (eng_rows_is_end(regular_first(plan, rows, over_us)))
            self->meeting.notes[i] |= ENG_JOIN_LAST;
        return;
    }
    self->meeting.notes[i] = ENG_JOIN_SKIP;
}

static bool regular_is_back(uint8_t row)
{
    return row == PEN_UPDATE_BEFORE || row == PEN_DELETE;
}

static void regular_keep(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                         struct eng_join_entry *entry)
{
    int64_t over_us = regular_over(ctx, eng_join_time(batch, i));

    if (batch->rows && regular_is_back(batch->rows[i]))
        regular_take_back(ctx, batch, i, entry, over_us);
    else
        regular_add(ctx, batch, i, entry, over_us);
}

/* A row of the other side, when record i has come or gone. */
static void regular_give(pen_context *ctx, uint32_t i, struct eng_rows_at at)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    const struct eng_join_meeting *meeting = &eng_join(ctx)->meeting;
    struct regular_head *head = regular_head(at);
    const void *other = eng_join_record(plan, at);
    int64_t time_us = eng_join_max(meeting->times_us[i], head->time_us);

    if (head->alone && !regular_is_back(meeting->rows[i])) {
        eng_join_give_of(ctx, meeting->port, NULL, other, time_us, PEN_DELETE);
        head->alone = false;
    }
    eng_join_give_of(ctx, meeting->port, meeting->records[i], other, time_us,
                     (enum pen_row)meeting->rows[i]);
    if (meeting->notes[i] & ENG_JOIN_LAST && plan->outer[!meeting->port]) {
        eng_join_give_of(ctx, meeting->port, NULL, other, time_us, PEN_INSERT);
        head->alone = true;
    }
}

static bool regular_meet(pen_context *ctx, uint32_t i)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_join *self = eng_join(ctx);
    const struct eng_join_meeting *meeting = &self->meeting;
    const struct eng_rows *others = &meeting->entries[i]->sides[!meeting->port];
    int64_t over_us = regular_over(ctx, meeting->times_us[i]);

    if (!self->begun) {
        if (meeting->notes[i] & ENG_JOIN_ALONE)
            eng_join_give_of(ctx, meeting->port, meeting->records[i], NULL, meeting->times_us[i],
                             (enum pen_row)meeting->rows[i]);
        self->at[0] = regular_first(plan, others, over_us);
        self->begun = true;
    }
    for (; !eng_rows_is_end(self->at[0]); eng_rows_step(others, &self->at[0])) {
        if (eng_join_must_stop(ctx)) return false;
        if (!regular_is_over(plan, self->at[0], over_us)) regular_give(ctx, i, self->at[0]);
    }
    return true;
}

/* ---- What is over ---------------------------------------------------------------------------- */

static void regular_drop(pen_context *ctx, struct eng_join_entry *entry, int64_t until_us)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    struct eng_rows_memory *memory = &eng_join(ctx)->memory;
    int64_t over_us = until_us == INT64_MAX ? INT64_MAX : eng_time_add(until_us, -plan->ttl_us);

    for (uint32_t port = 0; port < 2; port++) {
        struct eng_rows *rows = &entry->sides[port];
        if (!plan->by_hash) {
            eng_rows_drop(memory, rows, over_us);
            continue;
        }
        struct eng_rows_at at = eng_rows_begin(rows);
        while (!eng_rows_is_end(at)) {
            if (regular_is_over(plan, at, over_us))
                eng_rows_remove(memory, rows, &at);
            else
                eng_rows_step(rows, &at);
        }
    }
}

/* Rows that are ordered by what is in them must be looked at one by one. So that each is looked at
 * a few times only, a quarter of the ttl goes by between two such walks. */
static bool regular_next(const pen_context *ctx, const struct eng_join_entry *entry, int64_t *at_us)
{
    const struct eng_join_plan *plan = eng_join_plan(ctx);
    int64_t stamp_us = INT64_MAX;

    for (uint32_t port = 0; port < 2; port++)
        for (struct eng_rows_at at = eng_rows_begin(&entry->sides[port]); !eng_rows_is_end(at);
             eng_rows_step(&entry->sides[port], &at)) {
            int64_t of_row_us = plan->by_hash ? regular_head(at)->stamp_us : eng_rows_order(at);
            if (of_row_us < stamp_us) stamp_us = of_row_us;
            if (!plan->by_hash) break;
        }
    *at_us = eng_time_add(stamp_us, plan->ttl_us);
    if (plan->by_hash) *at_us = eng_time_add(*at_us, plan->ttl_us / 4);
    return true;
}

static const struct eng_join_kind regular_kind = {
    .keep = regular_keep,
    .meet = regular_meet,
    .drop = regular_drop,
    .next = regular_next,
};

static bool regular_prepare(struct eng_node *node, char *reason, uint32_t reason_bytes)
{
    const struct pen_join *options = node->options;
    struct eng_join_plan *plan = eng_join_prepare(node, &regular_kind);

    (void)reason, (void)reason_bytes;
    plan->row_head = (uint32_t)sizeof(struct regular_head);
    plan->ttl_us = options->ttl;
    plan->by_clock = options->ttl > 0 && options->ttl_clock == PEN_CLOCK_TIME;
    plan->has_wheel = options->ttl > 0;
    for (uint32_t port = 0; port < 2; port++) {
        plan->by_hash |= node->ports[port].stream.updating;
        plan->plain[port] = regular_is_plain(node->ports[port].layout);
    }
    return true;
}

const struct eng_class eng_join_regular_class = ENG_JOIN_CLASS("join", regular_prepare);
