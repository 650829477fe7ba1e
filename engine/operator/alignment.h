/* engine/operator/alignment.h: how far the slowest split of a job has come.
 *
 * Every subtask of every pen_event_time with `.ahead_max` has a word on the board, `slowest`: the
 * smallest watermark of the splits that it is reading. It writes its own and reads the others', so
 * a split that is too far ahead of all of them can wait. A word is one of
 *
 *     a time                 of the slowest split that is not idle
 *     ENG_WATERMARK_NONE     a split has given nothing yet, or the subtask has not begun: hold on
 *     ENG_WATERMARK_END      nobody need wait for this subtask: it has no split, or all are idle
 *
 * and is stored so that memory of zeros is ENG_WATERMARK_NONE. The slowest split of all never
 * waits, and a split waits for no other reason, so somebody always goes on. The words are hints: a
 * reader that sees an older one waits a little longer or a little less.
 */
#ifndef ENG_OPERATOR_ALIGNMENT_H
#define ENG_OPERATOR_ALIGNMENT_H

#include "engine/flow/board.h"
#include "engine/flow/watermark.h"

struct eng_alignment {
    struct eng_board *board;
    struct eng_board_subtask *own;
    int64_t ahead_max_us;
    int64_t allowed_us; /* the slowest when last looked at, and `ahead_max` */
};

void eng_alignment_open(struct eng_alignment *alignment, struct eng_board *board,
                        struct eng_board_subtask *own, int64_t ahead_max_us);
void eng_alignment_say(struct eng_alignment *alignment, int64_t slowest_us);

/* Looks at the others only when what it knows does not suffice. */
bool eng_alignment_must_wait(struct eng_alignment *alignment, int64_t watermark_us);

#endif
