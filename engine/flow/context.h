/* engine/flow/context.h: one running subtask of an operator: what is behind `pen_context *`.
 *
 * A chain is a tree of contexts. Records go down it by calls: an operator's class calls the user's
 * loop over a batch, what the loop emits gathers in the operator's outputs, and delivering an
 * output calls its targets: the contexts of the operators behind it, or the exchanges at the
 * chain's end. A full output is delivered in the middle of a loop, so buffers are small and stay in
 * the cache.
 *
 *     batch -> [ context: class->batch -> user's loop -> pen_emit ] -> output -> target
 *
 * The public struct pen_room_ comes first: pen_emit stores a record of fixed size through it
 * without a call (see penstock/function.h). `room.schema` is NULL when that way is closed: the
 * output's records have texts, its rows have kinds of their own, or nothing may be emitted now.
 */
#ifndef ENG_FLOW_CONTEXT_H
#define ENG_FLOW_CONTEXT_H

#include <penstock.h>

#include "engine/flow/batch.h"
#include "engine/flow/board.h"
#include "engine/flow/class.h"
#include "engine/flow/exchange.h"
#include "engine/flow/watermark.h"

struct eng_worker;
struct eng_chain;
struct eng_states;
struct eng_key_timers;

struct eng_target {
    pen_context *context; /* either */
    struct eng_exchange *exchange;
};

/* Texts that were put and not yet emitted: found by their position, so it may grow. */
struct eng_put {
    char *bytes;
    uint32_t used_bytes, capacity_bytes;
};

/* Working copies of records with texts that are being changed; see keyed.c. Texts that are set lie
 * behind them, so all are of one region. */
struct eng_keep {
    char *bytes; /* never moves */
    uint64_t capacity_bytes, used_bytes;
    uint32_t fixed_bytes; /* of the state argument, which comes first */
    bool changed;         /* a text was set */
};
void eng_keep_open(struct eng_keep *keep);
void eng_keep_close(struct eng_keep *keep);
/* A copy of a record that is one run of bytes, behind what is there; NULL: zeros of that size. NULL
 * is returned when there is no room for it. */
char *eng_keep_copy(struct eng_keep *keep, const void *record, uint64_t bytes);
static inline bool eng_keep_holds(const struct eng_keep *keep, const void *at)
{
    return keep->bytes && (const char *)at >= keep->bytes &&
           (const char *)at < keep->bytes + keep->used_bytes;
}

/* Decoders of pen_emit_decoded, made when first needed; see decode.c. */
struct eng_decoder;

struct eng_output {
    const struct eng_node_output *node;
    struct eng_target *targets;
    uint32_t target_count;
    bool fixed;      /* records have no texts: all of one stride */
    bool has_rows;   /* the operator chooses row kinds itself */
    bool keeps_from; /* times or row kinds are inherited: it matters where a record came from */
    uint32_t stride_bytes;
    uint32_t count, count_max; /* of records gathered; see eng_output_count */
    char *bytes, *at;
    uint64_t capacity_bytes;
    const void **records;
    uint32_t *from; /* index of the record each came from */
    uint8_t *rows;
    int64_t *times_us; /* filled when delivered */
};

/* Where a function may be called from; see the table in the public README. */
enum eng_phase {
    ENG_PHASE_NONE,
    ENG_PHASE_OPEN, /* open and close, plan, flush ... */
    ENG_PHASE_RECORD,
    ENG_PHASE_PURE, /* keys, aggregates: put and reject only */
};

struct pen_context {
    struct pen_room_ room; /* first: the public headers know it */

    const struct eng_node *node;
    const struct eng_class *class;
    struct eng_chain *chain;
    struct eng_worker *worker;
    struct eng_board_subtask *board;
    uint32_t subtask, parallelism;
    enum eng_phase phase;

    const struct eng_batch *batch;       /* at hand; NULL: none */
    const struct pen_function *function; /* being called */
    struct pen_batch view;               /* of the batch, as the user's loop sees it */
    uint8_t *rejected; /* of the batch: 1 where pen_reject was called; NULL: none yet */

    struct eng_output *outputs; /* the main one first */
    uint32_t output_count;

    void *self;  /* the class's */
    void *local; /* pen_local */
    size_t local_bytes;
    struct eng_put put;
    struct eng_queue
        text; /* memory that stays in place until the batch is done: C strings, copies */
    bool text_is_open;
    const void *copied;            /* what pen_copy returned last: its texts are in place */
    const void *const *key_images; /* of the batch, in keyed functions */
    const uint32_t *key_sizes;     /* NULL: all are as long as the key says */
    void *const *entries;          /* of the batch's keys in the operator's table */
    const struct eng_key *key;
    struct eng_keep keep;
    struct eng_states *states;     /* of `.uses`; NULL: none */
    struct eng_key_timers *timers; /* NULL: no `.on_timer` */
    bool has_window;               /* one is at hand: */
    int64_t window_from_us, window_to_us;
    bool forget; /* pen_forget was called for the current record */
    struct eng_decoder *decoders;
    uint64_t said_ns; /* when a rejected record or a log line was last shown */
    uint32_t unsaid;  /* not shown since */
    uint64_t wake_ns; /* sources: when to call step again; 0: no wish */
    int64_t watermark_us;
    bool is_ended, is_open, class_is_open;
    bool firing; /* what the watermark made due is not all done: the chain takes no input */

    const struct pen_schema *split_schema;
    const void *split;         /* pen_split */
    struct eng_node *planning; /* in plan: where splits go */
};

/* Opens everything but the user's function. Memory is the context's. */
void eng_context_open(pen_context *ctx, const struct eng_node *node, struct eng_chain *chain,
                      struct eng_worker *worker, struct eng_board_subtask *board, uint32_t subtask,
                      uint32_t parallelism);
void eng_context_add_target(pen_context *ctx, uint32_t output, struct eng_target target);
void eng_context_start(pen_context *ctx);  /* class's open, then the user's */
void eng_context_finish(pen_context *ctx); /* the user's close, then the class's */
void eng_context_close(pen_context *ctx);  /* frees */

/* ---- For classes ----------------------------------------------------------------------------- */

/* A batch comes in: counts it and hands it to the class. */
void eng_context_take(pen_context *ctx, const struct eng_batch *batch);

/* Calls a function's loop over a batch and delivers what it emitted. states and results as in
 * struct pen_batch, or NULL. Returns how many records the loop has done: fewer than there are when
 * something asked it to stop (pen_forget, pen_fail): then the class goes on with eng_batch_part. */
uint32_t eng_context_call(pen_context *ctx, const struct pen_function *function,
                          const struct eng_batch *batch, void *const *states, uint8_t *results);

/* The same for a PEN_JOIN function: records are the left ones, others the right ones; of each pair
 * one may be NULL. Memory in place for a call is done with when it returns. */
void eng_context_call_pairs(pen_context *ctx, const struct pen_function *function,
                            const struct eng_batch *batch, const void *const *others);

/* Delivers what has been emitted so far. */
void eng_context_deliver(pen_context *ctx);
void eng_output_deliver(pen_context *ctx, struct eng_output *output);
/* How many records are gathered: where pen_emit's short way was open, its place says so. */
uint32_t eng_output_count(const pen_context *ctx, const struct eng_output *output);

/* Hands a batch to the targets of an output, as it is. */
void eng_context_pass(pen_context *ctx, uint32_t output, const struct eng_batch *batch);

/* Passes a watermark (or ENG_WATERMARK_IDLE) on to what lies behind. */
void eng_pass_watermark(pen_context *ctx, int64_t watermark_us);
void eng_context_hear(pen_context *ctx, int64_t watermark_us);

/* For sources: the subtask has no more to give; step is not called again. Where the input has ended
 * (and was not stopped), the watermark goes to infinity. */
void eng_source_ended(pen_context *ctx);
bool eng_source_must_stop(const pen_context *ctx);
/* For sources: bytes of the input that were consumed, for the progress line. */
void eng_source_progress(pen_context *ctx, uint64_t bytes);

/* Emits a record that lies as one run of bytes with its texts in place. */
void eng_context_emit(pen_context *ctx, uint32_t output, enum pen_row row,
                      const struct pen_schema *schema, const void *record);
/* A copy in memory of its own (free it) of a record with texts that were put. NULL: the job has
 * failed. */
void *eng_context_lay(pen_context *ctx, const struct eng_layout *layout, const void *record,
                      uint32_t *size_bytes);
/* The same in memory of the caller: first how many bytes that takes, a multiple of 8 (0: failed),
 * then the record, laid there. */
uint32_t eng_context_laid_bytes(pen_context *ctx, const struct eng_layout *layout,
                                const void *record);
bool eng_context_lay_at(pen_context *ctx, const struct eng_layout *layout, const void *record,
                        char *to);
/* The layout of a schema that this operator's records have; NULL: none of them. */
const struct eng_layout *eng_context_layout(const pen_context *ctx,
                                            const struct pen_schema *schema);

/* The job cannot go on. The first reason is kept. */
void eng_context_fail(pen_context *ctx, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool eng_context_has_failed(const pen_context *ctx);
/* A call that does not come back cannot be stopped otherwise: ends the process. */
_Noreturn void eng_context_die(pen_context *ctx, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A bad record with its reason: counted, shown, written down. `record` as text for the dead letter.
 */
void eng_context_reject(pen_context *ctx, const char *reason, pen_view record);

/* Memory in place until the batch is done. */
void *eng_context_text(pen_context *ctx, size_t size_bytes);
/* The batch is done: for who calls functions outside of `batch`. */
void eng_context_reset_text(pen_context *ctx);
void eng_context_decoders_close(pen_context *ctx);

#endif
