/* engine/operator/slices.h: pen_aggregate with aligned windows: one table of accumulators a slice.
 *
 *     slices.c         the class; a batch of records goes into its slices
 *     slices_fire.c    windows that are over give their rows
 *     slices_again.c   late records that are allowed change rows that were given
 *
 * Time is cut into slices (see window_span.h), and each slice that has a record has a table, key ->
 * accumulators. So a record costs one look-up, whatever windows it lies in. Open slices stand in an
 * array, sorted by their start; most records lie in the slice of the record before.
 *
 *     slices    [ table | table | table | ... ]        fired_us: windows that end at or before have
 *                                                      given their rows
 *     window            [---------------)
 *
 * A window that is over gives its rows in the order of the windows' ends. One of a single slice
 * (tumbling, calendar) is a walk over that table. Others make a union of their slices' tables, key
 * by key, and walk that. Cumulating windows which nothing can change any more make it once: what
 * was united stays one slice from the start of the windows on.
 *
 * Firing is done in pieces (class->fire) and meanwhile the chain takes no input, so the array and
 * the tables change by firing alone:
 *
 *     IDLE --> MERGE --> EMIT --> IDLE       one window; MERGE only where it has several slices
 *     IDLE --> FREE --> IDLE                 a slice that is not needed any more, where its
 *                                            accumulators own memory; else it is closed at once
 *
 * Late. A record is too late when the last of its windows is more than `.allowed_lateness` over: it
 * goes to `.late`, or nowhere, and the counter "late" counts it either way. One that comes in time
 * for some of its windows is in those. Slices are kept as long as a record may come for them.
 *
 * By the clock, the time of a record is the clock of the step that reads it, made not to run
 * backwards, and the operator says itself how far time has come: its rows' times are the clock's,
 * and so are the watermarks behind it. At the end of the input what is left fires.
 *
 * A job that stops without draining fires nothing. Memory: value_bytes and the key, for each key
 * and slice; all of it lies in the worker's arena.
 */
#ifndef ENG_OPERATOR_SLICES_H
#define ENG_OPERATOR_SLICES_H

#include "engine/flow/chain.h"
#include "engine/operator/aggregate.h"
#include "engine/operator/keyed.h"
#include "engine/operator/window_span.h"

struct slices_plan {
    struct eng_aggregate_plan aggregates;
    struct eng_copy_plan key; /* the key's fields, from its image into the result */
    struct eng_window_span span;
    int64_t lateness_us;
    uint32_t head_bytes; /* of an entry: 8 for the number of rows where the input takes them back */
    uint32_t entry_bytes; /* head and accumulators */
    bool by_clock;
    bool coalesces; /* cumulating, and rows are never given again */
    bool has_late;  /* output 1 */
    bool updates;   /* rows may be given again */
};

struct slices_slice {
    struct eng_window span;
    int64_t last_end_us; /* of the windows it is in */
    struct eng_table *table;
};

enum slices_phase { SLICES_IDLE, SLICES_MERGE, SLICES_EMIT, SLICES_FREE };

/* A row of a window that has fired, before and after a batch. */
struct slices_change {
    uint64_t hash;
    const void *image; /* of the key, in the batch */
    uint32_t image_bytes;
    uint32_t old_bytes; /* 0: there was no row */
    uint64_t old_at;    /* in `rows` */
    struct eng_window window;
};

struct slices_again {
    struct slices_change *changes;
    uint32_t *index; /* by hash: number of a change + 1; 0: free */
    uint32_t count, room, index_room;
    char *rows; /* as they were */
    uint64_t rows_bytes, rows_room;
};

struct slices {
    struct eng_keyed keyed; /* its table is that of the slice at hand */
    struct eng_aggregate_plan aggregates;
    struct eng_aggregate_self aggregate_self;
    struct slices_slice *slices; /* sorted by start, not overlapping */
    uint32_t count, room, last;  /* last: where the last record was */
    int64_t fired_us;            /* windows that end at or before have fired */
    int64_t due_us;              /* nothing to fire or close while time is below */
    int64_t clock_us;            /* by the clock: never falls */
    int64_t boundary_us;         /* by the clock: say how far it is when it is here */
    bool ended;                  /* by the clock: the input has */

    /* Firing. */
    enum slices_phase phase;
    struct eng_window window;
    struct eng_table_walk walk;
    struct eng_table *table;      /* being walked to emit; or freed */
    struct eng_table *merged;     /* a union of slices, to be closed; NULL: table is a slice's */
    uint32_t merge_at, merge_end; /* slices to be merged */

    /* Results on their way: a batch that has their times. */
    struct eng_builder result;
    struct eng_batch results;
    int64_t times_us[ENG_BATCH_RECORDS_MAX];
    uint32_t result_count;

    struct eng_key_scratch image_scratch;
    const void *images[ENG_BATCH_RECORDS_MAX]; /* of a batch's keys, where it lies in many slices */
    uint32_t image_sizes[ENG_BATCH_RECORDS_MAX];
    struct eng_gather gather; /* a part of it */
    void *values[ENG_BATCH_RECORDS_MAX];
    void *sources[ENG_BATCH_RECORDS_MAX];
    void *scratch;              /* an entry */
    struct slices_again *again; /* NULL: rows are given once */
    uint32_t batches;           /* since the board was told */
};

static inline const struct slices_plan *eng_slices_plan(const pen_context *ctx)
{
    return ctx->node->compiled;
}

/* Whether an entry stands for a row: not where all its records were taken back. */
static inline bool eng_slices_has_rows(const struct slices_plan *plan, const void *entry)
{
    int64_t rows = 1;

    if (plan->head_bytes > 0) __builtin_memcpy(&rows, entry, sizeof rows);
    return rows > 0;
}

/* ---- slices.c -------------------------------------------------------------------------------- */

/* How far time has come: all that ends at or before may fire. */
int64_t eng_slices_now(const pen_context *ctx);

/* The slice that a time lies in. *at: its place, or where it would go. NULL: it is not open. */
struct slices_slice *eng_slices_find(const struct slices *self, int64_t at_us, uint32_t *at);

/* Whether a window that a slice is in has not fired; sets it, the one that ends first. */
bool eng_slices_pending(const pen_context *ctx, const struct slices_slice *slice,
                        struct eng_window *window);
/* When a slice is not needed any more. */
int64_t eng_slices_closes(const struct slices_plan *plan, const struct slices_slice *slice);

/* Adds the records from..to - 1 of a batch, each to the table that it has a place in, and in the
 * order in which they came; NULL: to none. self->images are those of the batch. False: failed. */
bool eng_slices_add(pen_context *ctx, const struct eng_batch *batch, struct eng_table **tables,
                    uint32_t from, uint32_t to);
bool eng_slices_open_table(pen_context *ctx, struct eng_table **table);
void eng_slices_no_memory(pen_context *ctx, const struct eng_table *table);

/* Entries: adds one to another; gives back what one owns. */
bool eng_slices_merge(pen_context *ctx, void *entry, const void *other);
void eng_slices_free(pen_context *ctx, void *entry);

/* ---- slices_fire.c --------------------------------------------------------------------------- */

/* A piece of what is due. True: nothing is left to do. */
bool eng_slices_fire(pen_context *ctx, unsigned *work);
/* Something has been opened: notes when it is due. */
void eng_slices_note_due(pen_context *ctx, const struct slices_slice *slice);
void eng_slices_drop(struct slices *self, uint32_t at);

/* The row of a key and a window, in the builder; NULL: failed. */
const void *eng_slices_result(pen_context *ctx, const void *image, const void *entry,
                              const struct eng_window *window, uint32_t *size_bytes);
/* Between these two rows are emitted, with times of their own. */
void eng_slices_begin_results(pen_context *ctx);
void eng_slices_emit(pen_context *ctx, enum pen_row row, const void *record,
                     const struct eng_window *window);
void eng_slices_end_results(pen_context *ctx);

/* ---- slices_again.c -------------------------------------------------------------------------- */

/* As eng_slices_add for a whole batch, where records with late[i] come late and are allowed: rows
 * of windows that have fired are given again. */
bool eng_slices_again(pen_context *ctx, const struct eng_batch *batch, struct eng_table **tables,
                      const bool *late);
/* Of windows that have fired and may still change, the one that contains the slice and ends first
 * after after_us. */
bool eng_slices_again_window(const pen_context *ctx, const struct eng_window *slice,
                             int64_t after_us, struct eng_window *window);
void eng_slices_again_close(struct slices_again *again); /* accepts NULL */

#endif
