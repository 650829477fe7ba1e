/* engine/operator/process.h: a process operator, for its own files.
 *
 *     process.c          the entry of a key, records
 *     process_timers.c   timers that are due
 *     process_sweep.c    what is over and nobody asks for
 *
 * All that the operator knows of a key is one entry of one table:
 *
 *     0                  the state argument, or with texts where its record is
 *     stamp_offset       with .ttl: when the last record came, in microseconds
 *     timers_offset      with .on_timer: struct eng_timers
 *     heads_offset       the heads of the states of .uses, see engine/flow/states.h
 */
#ifndef ENG_OPERATOR_PROCESS_H
#define ENG_OPERATOR_PROCESS_H

#include "engine/flow/key_timers.h"
#include "engine/flow/states.h"
#include "engine/flow/worker.h"
#include "engine/operator/keyed.h"

struct process_plan {
    struct eng_layout state;
    bool has_texts, has_timers;
    bool one_by_one;     /* a call for each record: there are working copies to be written back */
    pen_duration ttl_us; /* 0: keys stay */
    enum pen_clock_kind ttl_clock;
    pen_duration sweep_ttl_us; /* the shortest, of keys and of states; 0: nothing expires */
    enum pen_clock_kind sweep_clock;
    uint32_t stamp_offset, timers_offset, heads_offset;
    uint32_t entry_bytes;
};

struct process {
    struct eng_keyed keyed;
    struct eng_key_timers timers;
    uint64_t texts_bytes; /* of state arguments with texts */

    /* Timers being fired; in process_timers.c. */
    uint64_t numbers[ENG_BATCH_RECORDS_MAX];
    int64_t times_us[ENG_BATCH_RECORDS_MAX];

    /* In process_sweep.c. */
    struct eng_table_cursor sweep;
    bool sweeping;
    int64_t swept_us; /* when the last sweep began */
    char *keys;       /* of what is to be removed */
    uint64_t keys_room;
};

static inline int64_t *process_stamp(const struct process_plan *plan, char *entry)
{
    return (int64_t *)(void *)(entry + plan->stamp_offset);
}

/* A stamp of zeros is that of a key never seen. */
static inline int64_t process_stamp_read(const struct process_plan *plan, char *entry)
{
    return *process_stamp(plan, entry) ^ INT64_MIN;
}
static inline void process_stamp_write(const struct process_plan *plan, char *entry, int64_t us)
{
    *process_stamp(plan, entry) = us ^ INT64_MIN;
}

/* Whether the key has been silent for too long. */
static inline bool process_is_over(const struct process_plan *plan, char *entry, int64_t now_us)
{
    int64_t stamp_us = process_stamp_read(plan, entry);
    return stamp_us != INT64_MIN && eng_states_is_over(stamp_us, plan->ttl_us, now_us);
}

/* Frees all that hangs on an entry; it is zeros then. */
void eng_process_empty(pen_context *ctx, char *entry);

/* Calls a function with one run of a batch whose entries are found; forgets the key it asks to
 * forget. Returns how many records are done; 0: the job has failed. */
uint32_t eng_process_call(pen_context *ctx, const struct pen_function *function,
                          const struct eng_batch *batch, void *const *entries);

/* A turn of process_timers.c: true, all that is due at or before until_us has fired. */
bool eng_process_fire_due(pen_context *ctx, enum pen_clock_kind clock, int64_t until_us,
                          unsigned *work);

/* A turn of process_sweep.c. Returns how many keys it looked at. */
unsigned eng_process_sweep(pen_context *ctx);

#endif
