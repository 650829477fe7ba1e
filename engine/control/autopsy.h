/* engine/control/autopsy.h: what a dead worker died of, as far as anyone knows.
 *
 * Read by the supervisor when a worker has ended before it was told to. What is left of the worker
 * is its block of the board: state, failure, slot with last words, signal, backtrace (see
 * shm/slot.h). Of the process itself only how it ended is known. The supervisor has the same
 * mappings as the workers that it forked, so it can name the addresses of the backtrace; lines come
 * from the program addr2line, when there is one, else the object and the offset in it are printed,
 * from which anyone can find them later.
 *
 *     worker 1 died of SIGSEGV at address 0x8, in operator map(split) (job.c:12), in a batch that
 *     begins at its record 1234; backtrace:
 *         split at job.c:14
 *             split_loop at job.c:20
 *         eng_context_call at context.c:170
 */
#ifndef ENG_CONTROL_AUTOPSY_H
#define ENG_CONTROL_AUTOPSY_H

#include <stdio.h>

#include "engine/flow/board.h"
#include "engine/flow/node.h"
#include "shm/ending.h"

/* The sentence about a worker that ended before its time; no line end. nodes: NULL: as the board
 * knows them. */
void eng_autopsy_sentence(const struct eng_board *board, uint32_t worker,
                          const struct shm_ending *ending, struct eng_node *const *nodes,
                          FILE *out);

/* The backtrace, a frame a line; nothing if there is none. True: something was printed. */
bool eng_autopsy_backtrace(const struct shm_slot *slot, FILE *out);

#endif
