#include "engine/flow/queue.h"

#include <stdlib.h>

#include "shm/check.h"

static struct eng_queue_chunk *queue_chunk_new(struct eng_queue *queue, uint64_t size_bytes)
{
    uint64_t capacity = size_bytes > ENG_QUEUE_CHUNK_BYTES ? size_bytes : ENG_QUEUE_CHUNK_BYTES;
    struct eng_queue_chunk *chunk = queue->spare;

    if (chunk && chunk->capacity_bytes >= capacity) {
        queue->spare = NULL;
    } else {
        chunk = malloc(sizeof *chunk + capacity);
        CHECK(chunk != NULL);
        chunk->capacity_bytes = capacity;
        queue->memory_bytes += sizeof *chunk + capacity;
    }
    chunk->next = NULL;
    chunk->used_bytes = 0;
    return chunk;
}

static void queue_chunk_drop(struct eng_queue *queue, struct eng_queue_chunk *chunk)
{
    if (!queue->spare && chunk->capacity_bytes == ENG_QUEUE_CHUNK_BYTES) {
        queue->spare = chunk;
        return;
    }
    queue->memory_bytes -= sizeof *chunk + chunk->capacity_bytes;
    free(chunk);
}

/* Makes the chunk the place to write. */
static void queue_begin(struct eng_queue *queue, struct eng_queue_chunk *chunk)
{
    queue->last = chunk;
    queue->at = chunk->frames;
    queue->limit = chunk->frames + chunk->capacity_bytes;
}

void eng_queue_open(struct eng_queue *queue)
{
    *queue = (struct eng_queue){0};
    queue->first = queue_chunk_new(queue, 0);
    queue_begin(queue, queue->first);
    queue->read = queue->at;
}

void eng_queue_close(struct eng_queue *queue)
{
    for (struct eng_queue_chunk *chunk = queue->first, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(queue->spare);
    *queue = (struct eng_queue){0};
}

void eng_queue_grow(struct eng_queue *queue, uint64_t size_bytes)
{
    struct eng_queue_chunk *last = queue->last;

    CHECK(size_bytes % 8 == 0);
    last->used_bytes = (uint64_t)(queue->at - last->frames);
    last->next = queue_chunk_new(queue, size_bytes);
    queue_begin(queue, last->next);
}

uint64_t eng_queue_peek(struct eng_queue *queue, const char **frames)
{
    for (;;) {
        struct eng_queue_chunk *first = queue->first;
        const char *end = first == queue->last ? queue->at : first->frames + first->used_bytes;

        if (queue->read != end) {
            *frames = queue->read;
            return (uint64_t)(end - queue->read);
        }
        if (first == queue->last) return 0;
        queue->first = first->next;
        queue->read = queue->first->frames;
        queue_chunk_drop(queue, first);
    }
}

void eng_queue_advance(struct eng_queue *queue, uint64_t size_bytes)
{
    queue->read += size_bytes;
    if (queue->first != queue->last || queue->read != queue->at) return;

    /* All is read: back to the beginning, where the memory is warm. A chunk that was made for a
     * giant is not kept. */
    struct eng_queue_chunk *chunk = queue->first;
    if (chunk->capacity_bytes != ENG_QUEUE_CHUNK_BYTES) {
        queue->first = queue_chunk_new(queue, 0);
        queue_chunk_drop(queue, chunk);
        chunk = queue->first;
    }
    queue_begin(queue, chunk);
    queue->read = queue->at;
}
