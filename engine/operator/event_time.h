/* engine/operator/event_time.h: what a source's splits mean for pen_event_time behind it.
 *
 * Called by engine/operator/splits.c, for each split of the source in the same chain:
 *
 *     begin    being read from now on: holds the watermark where it is until its first record
 *     asked    it has been polled, and all it gave has passed
 *     end      holds nothing back any more
 */
#ifndef ENG_OPERATOR_EVENT_TIME_H
#define ENG_OPERATOR_EVENT_TIME_H

#include "engine/flow/context.h"

void eng_event_time_begin(pen_context *ctx, uint32_t slot);
void eng_event_time_asked(pen_context *ctx, uint32_t slot);
void eng_event_time_end(pen_context *ctx, uint32_t slot);

/* `.ahead_max`: the split is further ahead of the slowest one than that. */
bool eng_event_time_must_wait(pen_context *ctx, uint32_t slot);

/* ---- Of a node ------------------------------------------------------------------------------- */

bool eng_event_time_splits_overlap(const struct eng_node *node);
/* Takes part in alignment: its subtasks' words on the board count. */
bool eng_event_time_is_aligned(const struct eng_node *node);
/* Every rise of its watermark is an event of its own, which no exchange may skip. */
bool eng_event_time_every_record(const struct eng_node *node);

#endif
