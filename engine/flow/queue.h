/* engine/flow/queue.h: a record queue: private memory in ring format.
 *
 * One kind of queue holds every frame that is not in a ring: records for the worker itself, records
 * that were emitted while a ring was full, and, later, records restored from a checkpoint. One
 * process writes and reads it, so it has no protocol: chunks of memory in a list, frames in each, a
 * place to write and a place to read. When all has been read it begins again at the first chunk, so
 * that a queue which is emptied at once stays in the cache.
 *
 *     first                                  last
 *     [ read . . . . . ] -> [ . . . . . ] -> [ . . . at | limit ]
 */
#ifndef ENG_FLOW_QUEUE_H
#define ENG_FLOW_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/ring.h"

enum { ENG_QUEUE_CHUNK_BYTES = 64 * 1024 };

struct eng_queue_chunk {
    struct eng_queue_chunk *next;
    uint64_t capacity_bytes;
    uint64_t used_bytes; /* final once there is a next one */
    uint64_t reserved;
    char frames[];
};

struct eng_queue {
    char *at, *limit; /* where the next frame goes, in the last chunk */
    const char *read; /* in the first chunk */
    struct eng_queue_chunk *first, *last;
    struct eng_queue_chunk *spare; /* one kept, so that a full chunk costs no malloc */
    uint64_t memory_bytes;         /* of all chunks */
};

void eng_queue_open(struct eng_queue *queue);
void eng_queue_close(struct eng_queue *queue);

/* Makes room for a frame of any size; after that queue->at has it. */
void eng_queue_grow(struct eng_queue *queue, uint64_t size_bytes);

static inline void *eng_queue_claim(struct eng_queue *queue, uint64_t size_bytes)
{
    if (__builtin_expect((uint64_t)(queue->limit - queue->at) < size_bytes, 0))
        eng_queue_grow(queue, size_bytes);
    char *frame = queue->at;
    queue->at += size_bytes;
    return frame;
}

static inline bool eng_queue_is_empty(const struct eng_queue *queue)
{
    return queue->read == queue->at;
}

/* The bytes of whole frames at the read position, as shm_ring_peek gives them; 0: empty. */
uint64_t eng_queue_peek(struct eng_queue *queue, const char **frames);
void eng_queue_advance(struct eng_queue *queue, uint64_t size_bytes);

#endif
