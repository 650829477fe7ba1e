/* engine/flow/states.h: what an operator keeps besides its results: the states of `.uses`.
 *
 * A state is a value, a list or a dict (enum pen_shape) of records, and belongs to a key or to the
 * subtask (enum pen_scope). What it holds hangs on a *head* of fixed size, zeros when empty:
 *
 *     of a key        in the key's entry of the operator's table, at plan->heads_offset
 *     of the subtask  in memory of the subtask (broadcast dicts, operator and union lists)
 *
 *     value  | present 8 | element |          list  | struct eng_list |      dict  | struct
 * eng_dict |
 *
 *     element, in a value's head and in a dict:
 *            | stamp 8, with .ttl | the record, if it has a fixed size and is small |
 *            | stamp 8, with .ttl | struct eng_state_blob: the record in the arena  |
 *     element of a list: the record, texts behind it, with the stamp before it
 *
 * So one look-up of the key finds the heads of all its states, which the batch has fetched already,
 * and forgetting a key frees what hangs on its entry.
 *
 * Working copies. A record of fixed size is changed where it lies. One with texts cannot be:
 * pen_dict_at and pen_value_at hand out a copy (struct eng_keep) on which pen_keep works, and
 * eng_states_settle writes it back when the function has returned. The class calls the function
 * for one record at a time then (plan->settles).
 *
 * Time to live. The stamp is the time of the last write, or of the last read with PEN_SINCE_READ,
 * by the wall clock or by event time: eng_states_now. What is expired is removed by whoever meets
 * it; eng_states_sweep does it for a whole entry, the class walks the table in pieces.
 *
 * Everything is private memory of one worker, in its arena, so a fork has a picture of it. A
 * refusal of the arena fails the job and names the state.
 */
#ifndef ENG_FLOW_STATES_H
#define ENG_FLOW_STATES_H

#include <penstock.h>

#include "engine/flow/batch.h"
#include "engine/record/layout.h"
#include "engine/state/arena.h"
#include "engine/state/dict.h"
#include "engine/state/list.h"

struct eng_node;

struct eng_state_blob {
    void *record; /* NULL: all zeros */
    uint64_t size_bytes;
};

/* One state of .uses, compiled. */
struct eng_state_plan {
    const struct pen_state *state;
    const struct eng_layout *element;
    bool of_key;
    bool is_inline;         /* the record lies in its place, else in a blob */
    uint32_t record_offset; /* in an element: behind the stamp */
    uint32_t element_bytes;
    uint32_t head_offset; /* among the heads of its scope */
    uint32_t head_bytes;
};

struct eng_states_plan {
    struct eng_state_plan *states; /* by slot */
    uint32_t count;
    uint32_t key_bytes, subtask_bytes; /* of all heads */
    bool settles;                      /* working copies: one record at a time */
    bool expires;                      /* some state of a key has a .ttl */
};

/* Compiles the states of an operator; NULL layouts and lists do not occur. Memory: `new` gives
 * zeroed memory that lives as long as the plan (the graph's). False: reason says why. */
bool eng_states_plan_open(struct eng_states_plan *plan, struct pen_state *const *uses,
                          const struct eng_layout *const *elements, bool has_key,
                          void *(*new)(void *owner, size_t size_bytes), void *owner, char *reason,
                          size_t reason_bytes);

/* A working copy that is out. */
struct eng_state_copy {
    const struct eng_state_plan *plan;
    char *head; /* whose state */
    pen_dict_key key;
    char *record; /* NULL: given up */
};

/* A subtask's. */
struct eng_states {
    const struct eng_states_plan *plan;
    struct eng_arena *arena;
    char *subtask_heads;
    uint32_t heads_offset; /* in a key's entry; set by the class */
    uint64_t owned_bytes;  /* of the arena, by all that hangs on heads */
    struct eng_state_copy *copies;
    uint32_t copy_count, copy_room;
    const struct eng_dict *walked; /* the dict that pen_state_next is walking */
    struct eng_dict_walk walk;
    void *walked_element;      /* where it stands, */
    const void *walked_record; /* and what it returned */
    const void *removed;       /* the element that was removed last from a list, */
    void *removed_next;        /* and what followed it */
};

void eng_states_open(pen_context *ctx, const struct eng_states_plan *plan);
void eng_states_close(pen_context *ctx); /* what hangs on keys goes with the arena */

/* Now, for whoever may expire: the wall clock, or event time: the watermark, or the time of the
 * record at hand where that is later. */
int64_t eng_states_now(const pen_context *ctx, enum pen_clock_kind clock);
/* Calls a function without a key of its own for a batch: with rules, or in a map. */
void eng_states_call(pen_context *ctx, const struct pen_function *function,
                     const struct eng_batch *batch);

/* Whether what was stamped then is over. Times to live are positive. */
static inline bool eng_states_is_over(int64_t stamp_us, pen_duration ttl_us, int64_t now_us)
{
    int64_t age_us;
    return __builtin_sub_overflow(now_us, stamp_us, &age_us) ? now_us > stamp_us : age_us >= ttl_us;
}

/* Writes all working copies back; when the function has returned. */
void eng_states_settle(pen_context *ctx);

/* Frees all that hangs on the heads of an entry, which are zeros then. */
void eng_states_forget(pen_context *ctx, char *heads);

/* Removes what is over by now from an entry. */
void eng_states_sweep(pen_context *ctx, char *heads);

/* What hangs on the heads of an entry takes in the arena. */
uint64_t eng_states_bytes(const struct eng_states *states, const char *heads);

/* True: nothing hangs on any head. */
bool eng_states_are_empty(const struct eng_states *states, const char *heads);

#endif
