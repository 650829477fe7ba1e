/* engine/operator/splits.h: which split of a source the records in its chain come from.
 *
 * A source reads several splits in turns, and what it emits goes down its chain mixed. But between
 * a source and an operator in the same chain, with only operators in between that are done with a
 * record when their call returns (map, filter, project and their like), everything happens within
 * one call of poll: so what arrives while a split is being polled is of that split. Nothing has to
 * travel with the records.
 *
 * The source keeps a struct eng_splits as the first member of its self and says what happens:
 *
 *     begin ---> enter  poll, records go down the chain  leave ---> ... ---> end
 *
 * A split has a slot, a small number that is free again after its end. Operators that ask for it by
 * eng_splits_before when they are opened are told (today pen_event_time; see event_time.h). They
 * are opened before the source is, so they hear of every split.
 */
#ifndef ENG_OPERATOR_SPLITS_H
#define ENG_OPERATOR_SPLITS_H

#include "engine/flow/context.h"

#define ENG_SPLIT_NONE UINT32_MAX /* no split is being polled */

struct eng_splits {
    pen_context **watchers;
    uint32_t watcher_count;
    uint32_t current; /* the slot of the split being polled */
    bool *taken;      /* by slot */
    uint32_t slot_count;
};

/* ---- For sources ----------------------------------------------------------------------------- */

void eng_splits_open(pen_context *source); /* first of all, with self still zero */
void eng_splits_close(pen_context *source);

uint32_t eng_splits_begin(pen_context *source);
void eng_splits_end(pen_context *source, uint32_t slot);
void eng_splits_enter(pen_context *source, uint32_t slot);
void eng_splits_leave(pen_context *source);

/* The split is so far ahead of others that it must not be polled now. Sees to it that the source is
 * called again soon. */
bool eng_splits_must_wait(pen_context *source, uint32_t slot);

/* How many splits each subtask shall read side by side; 0: as few as keep it busy. */
uint32_t eng_splits_side_by_side(const pen_context *source);

/* ---- For those that watch -------------------------------------------------------------------- */

/* The source of an operator that is being opened, which is told of its splits from now on. NULL:
 * records do not come straight from one. */
pen_context *eng_splits_before(pen_context *watcher);

/* The slot that the records at hand are of. */
uint32_t eng_splits_current(const pen_context *source);

/* Every split of the source has been claimed by one of its subtasks. */
bool eng_splits_all_claimed(const pen_context *source);

/* Whether a node hands on each record within the call that brings it, in the same chain if it is
 * fused: then what lies behind it sees splits as if it were not there. */
bool eng_splits_pass(const struct eng_class *class);

#endif
