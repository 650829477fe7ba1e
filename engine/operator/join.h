/* engine/operator/join.h: what the joins share.
 *
 * A join has two ports, the left and the right stream, keyed alike. All it knows of a key is one
 * entry of one table: the rows that it keeps of both sides, each in an order (engine/state/rows.h),
 * and when it wants to look at the key again.
 *
 *     join_regular.c    every pair of a key, as its rows come and go
 *     join_interval.c   pairs whose event times are close
 *     join_temporal.c   each left record with the version that was valid at its time
 *     join_window.c     pairs that lie in one window, when it ends
 *
 * Each of them is a struct eng_join_kind; join.c drives it. A batch, all of one side, goes in two
 * passes, because what is kept of one side does not change while the other side's records come:
 *
 *     keep    each record is put into its key's rows, or a row is taken out; wheels are set
 *     meet    each record's pairs are given, from the batch's record and the rows of the other side
 *
 * Time makes keys due, by an item of a wheel for each key (entry->wake_us says which item counts).
 * They are taken in groups, again in two passes: `due` gives pairs, `drop` removes what is over.
 *
 * Pairs are gathered, up to a batch, and the user's loop is called for them; their records lie in
 * the batch at hand or in rows that nobody touches before the call.
 *
 * Backpressure. A go gives some thousand pairs at most. When that is not enough, what is left of
 * the batch is copied, ctx->firing keeps the chain from taking input, and `fire` goes on: no row is
 * added or removed meanwhile, so places among rows stay good. `meet` and `due` therefore return
 * false when the budget is spent, and find in `step` and `at` where they were.
 *
 * Everything is private memory of one worker, in its arena. Refused memory fails the job.
 */
#ifndef ENG_OPERATOR_JOIN_H
#define ENG_OPERATOR_JOIN_H

#include "engine/flow/worker.h"
#include "engine/operator/keyed.h"
#include "engine/operator/window_span.h"
#include "engine/state/rows.h"
#include "engine/state/wheel.h"

enum { ENG_JOIN_LEFT, ENG_JOIN_RIGHT };

/* Pairs given and rows looked at, in one go. */
enum { ENG_JOIN_BUDGET = 4096 };

/* What the table holds for a key. */
struct eng_join_entry {
    struct eng_rows sides[2];
    uint64_t wake; /* encoded, so that zeros are none: see eng_join_wake_us */
};

struct eng_join;

struct eng_join_kind {
    /* Puts record i of the batch into the entry's rows and leaves a note for `meet`. */
    void (*keep)(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                 struct eng_join_entry *entry);
    /* Gives the pairs of record i of self->meeting. */
    bool (*meet)(pen_context *ctx, uint32_t i);
    /* Gives what time has made due in an entry, up to until_us. NULL: nothing ever. */
    bool (*due)(pen_context *ctx, struct eng_join_entry *entry, int64_t until_us);
    /* Removes what is over. */
    void (*drop)(pen_context *ctx, struct eng_join_entry *entry, int64_t until_us);
    /* When the entry wants to be due; false: never. */
    bool (*next)(const pen_context *ctx, const struct eng_join_entry *entry, int64_t *at_us);
};

/* What a row is about, left by `keep` for `meet`. */
enum {
    ENG_JOIN_ALONE = 1, /* a row without a partner, which is given so */
    ENG_JOIN_LAST = 2,  /* the last row of its side was taken back */
    ENG_JOIN_SKIP = 4,  /* nothing to do */
    ENG_JOIN_NOW = 8,   /* it came late and is not kept */
};

/* The records whose pairs are being given: those of the batch at hand, or copies of them. */
struct eng_join_meeting {
    uint32_t port, count, next; /* next: the record at hand */
    const void *records[ENG_BATCH_RECORDS_MAX];
    int64_t times_us[ENG_BATCH_RECORDS_MAX];
    uint8_t rows[ENG_BATCH_RECORDS_MAX];
    uint8_t notes[ENG_BATCH_RECORDS_MAX];
    struct eng_join_entry *entries[ENG_BATCH_RECORDS_MAX];
    char *copies; /* not NULL: the records lie here */
};

/* Keys that are due. */
struct eng_join_group {
    const struct eng_wheel_item *items[ENG_BATCH_RECORDS_MAX];
    struct eng_join_entry *entries[ENG_BATCH_RECORDS_MAX]; /* NULL: the item does not count */
    uint32_t count, next;
};

/* Compiled before the fork. */
struct eng_join_plan {
    const struct eng_join_kind *kind;
    const struct pen_function *match;
    bool outer[2];     /* this side's records are given without a partner, too */
    bool no_before;    /* rows PEN_UPDATE_BEFORE are not given */
    bool by_clock;     /* keys are due by the wall clock */
    bool gives_clock;  /* results have the clock's times, and its watermark */
    bool has_wheel;    /* something of a key depends on time */
    uint32_t row_head; /* bytes before the record in a row */
    int64_t hold_us;   /* the watermark is passed on so much later */

    int64_t low_us[2], high_us[2];        /* interval: where partners of a side's record lie */
    int64_t valid_us;                     /* temporal: 0: for ever */
    int64_t ttl_us;                       /* regular: 0: for ever */
    bool by_hash;                         /* regular: rows are ordered by what is in them */
    bool plain[2];                        /* regular: a record's bytes say what is in it */
    struct eng_window_span span;          /* window */
    const struct eng_field *bounds[2][2]; /* window: where a record of a side carries it */
    bool attached;
    int32_t late_counter; /* window: index among the node's counters; -1: none */
};

/* A subtask. */
struct eng_join {
    struct eng_keyed keyed;
    struct eng_wheel *wheel;
    struct eng_rows_memory memory;
    struct eng_join_entry nothing; /* of keys that were removed; stays zeros */

    uint32_t pair_count;
    const void *pairs[2][ENG_BATCH_RECORDS_MAX];
    int64_t pair_times_us[ENG_BATCH_RECORDS_MAX];
    uint8_t pair_rows[ENG_BATCH_RECORDS_MAX];

    int64_t budget;
    bool begun;    /* the record or entry at hand */
    uint32_t step; /* where in it; the kind's */
    struct eng_rows_at at[2];
    struct eng_window window; /* join_window.c: the one at hand, */
    int64_t after_us;         /* and when the one before it ended */
    bool found;

    struct eng_join_meeting meeting;
    struct eng_join_group group;
    int64_t until_us; /* what is due up to then is being given */
    int64_t done_us;  /* what was due up to then has been given; by the clock or event time */
    bool told;        /* a watermark is to be passed on when all is given */
    bool idle;        /* the same, and then that the input is idle */
    bool at_end;      /* by the clock: what is left at the end is due */
};

static inline const struct eng_join_plan *eng_join_plan(const pen_context *ctx)
{
    return (const struct eng_join_plan *)ctx->node->compiled;
}

static inline struct eng_join *eng_join(const pen_context *ctx)
{
    return (struct eng_join *)ctx->self;
}

/* ---- For kinds ------------------------------------------------------------------------------- */

/* Gives a pair; either may be NULL, and one of them may be a record of the batch. */
void eng_join_give(pen_context *ctx, const void *left, const void *right, int64_t time_us,
                   enum pen_row row);
/* The same where `own` is of side `port`. */
static inline void eng_join_give_of(pen_context *ctx, uint32_t port, const void *own,
                                    const void *other, int64_t time_us, enum pen_row row)
{
    if (port == ENG_JOIN_LEFT)
        eng_join_give(ctx, own, other, time_us, row);
    else
        eng_join_give(ctx, other, own, time_us, row);
}

/* The budget is spent: the kind returns false. Costs one. */
static inline bool eng_join_must_stop(pen_context *ctx)
{
    struct eng_join *self = eng_join(ctx);
    return --self->budget < 0 || eng_context_has_failed(ctx);
}

/* Copies record i of a batch into rows of an entry. Returns the row, its head zeros; NULL: no
 * memory, the job has failed. */
void *eng_join_add(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                   struct eng_rows *rows, int64_t order);

static inline const void *eng_join_record(const struct eng_join_plan *plan, struct eng_rows_at at)
{
    return (const char *)eng_rows_row(at) + plan->row_head;
}

/* The entry of record i of the batch wants to be due, unless it is before that. */
void eng_join_wake(pen_context *ctx, const struct eng_batch *batch, uint32_t i,
                   struct eng_join_entry *entry, int64_t at_us);

static inline int64_t eng_join_time(const struct eng_batch *batch, uint32_t i)
{
    return batch->times_us ? batch->times_us[i] : 0;
}

/* Saturating: -INT64_MIN is INT64_MAX. */
static inline int64_t eng_join_minus(int64_t us)
{
    return us == INT64_MIN ? INT64_MAX : -us;
}

static inline int64_t eng_join_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- The functions of the classes ------------------------------------------------------------ */

/* What all have in common of `prepare`: a plan with kind, match, outer. */
struct eng_join_plan *eng_join_prepare(struct eng_node *node, const struct eng_join_kind *kind);
void eng_join_release(struct eng_node *node);
void eng_join_open(pen_context *ctx);
void eng_join_batch(pen_context *ctx, const struct eng_batch *batch);
void eng_join_watermark(pen_context *ctx, int64_t watermark_us);
unsigned eng_join_fire(pen_context *ctx);
void eng_join_close(pen_context *ctx);

#define ENG_JOIN_CLASS(name_, prepare_)                                                            \
    {                                                                                              \
        .name = name_, .self_bytes = sizeof(struct eng_join), .prepare = prepare_,                 \
        .release = eng_join_release, .open = eng_join_open, .batch = eng_join_batch,               \
        .watermark = eng_join_watermark, .fire = eng_join_fire, .close = eng_join_close            \
    }

#endif
