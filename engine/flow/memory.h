/* engine/flow/memory.h: one number for the memory of a whole job.
 *
 * --memory SIZE is for everything that grows or is large: state (with what images keep of it),
 * queues, rings, the board. Programs and libraries, a few megabytes a process, come on top.
 *
 *     limit = board + rings + reserve + granted to workers + left
 *
 * Rings and board are fixed when the job starts. The rest is one word of the board from which
 * workers take pieces when their arena or their queues need more; a piece is given back only by
 * queues. So skew does no harm: one worker may have nearly all of it. The reserve, an eighth, is
 * what allocators waste.
 *
 * Near the limit (a sixteenth is left) sources wait while something is queued that its readers have
 * not taken: that drains. Otherwise nothing can be won by waiting, and when a piece is refused the
 * job fails with a message that says where its memory is, and which keys are the largest. It is
 * never the kernel that decides.
 *
 * Without a limit there are no pieces, and none of this costs anything. Crash: the word dies with
 * the job.
 */
#ifndef ENG_FLOW_MEMORY_H
#define ENG_FLOW_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/flow/board.h"

struct eng_worker;
struct pen_context;

/* The least that a job with so many workers and so much fixed memory can be given. */
uint64_t eng_memory_least(uint32_t workers, uint64_t fixed_bytes);

/* By the supervisor, before the workers start: limit_bytes is at least eng_memory_least. */
void eng_memory_share(struct eng_board *board, uint64_t limit_bytes, uint64_t fixed_bytes);

/* In a worker: its arena asks for pieces from here on. */
void eng_memory_open(struct eng_worker *worker);

/* Once a step, with a limit: queues are counted, and whether sources are to wait. */
void eng_memory_count(struct eng_worker *worker);

/* When the job fails because of it: where the memory of this worker is. Returns the bytes used. */
size_t eng_memory_tell(struct eng_worker *worker, char *text, size_t text_bytes);

/* The largest keys of an operator: its class visits all, and adds each. */
enum { ENG_MEMORY_KEYS = 3 };
struct eng_memory_keys {
    struct {
        uint64_t bytes;
        char name[64];
    } largest[ENG_MEMORY_KEYS];
    uint64_t least_bytes; /* of all keys */
};
void eng_memory_add_key(struct pen_context *ctx, struct eng_memory_keys *keys, const void *image,
                        uint64_t bytes);

#endif
