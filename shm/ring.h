/* shm/ring.h: a one-way pipe of variable-length frames between two processes.
 *
 *        consumer                                    producer
 *           |                                           |
 *           v head                                      v tail
 *     . . . [ frame ][ frame      ][ frame ][ frame   ] . . .       byte = position & (capacity -
 * 1)
 *
 * Exactly one process writes and exactly one reads, fixed when the region is made. Both positions
 * count bytes, only grow, and are compared only by their difference. A frame begins with struct
 * shm_frame, is a multiple of 8 bytes long and never wraps: where it would, a skip frame fills the
 * memory to its end.
 *
 * The control words (struct shm_ring) lie in the region, where tools see them; the memory of the
 * frames lies apart and is mapped by its two processes only. What a side needs often is in a
 * private struct (shm_ring_writer, shm_ring_reader), where no peer can write it. The other side's
 * position is read once, checked, and then believed.
 *
 *     writer:  claim, write in place, claim, ... publish              all frames appear at once
 *     reader:  peek, read in place, advance, ... release              licence to overwrite
 *
 * If the writer dies before it publishes, the frames were never there. If the reader dies before it
 * releases, the frames are still there. Nobody repairs a ring: after a death both sides restart.
 */
#ifndef SHM_RING_H
#define SHM_RING_H

#include <stddef.h>
#include <stdint.h>

#include "shm/atomic.h"
#include "shm/check.h"

enum {
    SHM_RING_BYTES_MIN = 4096,
    SHM_FRAME_SKIP = 255, /* the kind of the frame that fills the memory up to its end */
};

/* What a frame begins with. The ring itself looks at size_bytes and at the skip kind. */
struct shm_frame {
    uint32_t size_bytes; /* of the whole frame, this header included; a multiple of 8 */
    uint8_t kind;
    uint8_t row;
    uint16_t tag;
    int64_t time_us;
    uint64_t hash;
};
_Static_assert(sizeof(struct shm_frame) == 24, "shared layout changed");

/* The first eight bytes of a frame as one word, so that they are one store, and one comparison
 * where all frames are alike. Frames are little-endian. */
static inline uint64_t shm_frame_head(uint32_t size_bytes, uint8_t kind, uint8_t row)
{
    return (uint64_t)size_bytes | (uint64_t)kind << 32 | (uint64_t)row << 40;
}

static inline void shm_frame_set_head(struct shm_frame *frame, uint32_t size_bytes, uint8_t kind,
                                      uint8_t row)
{
    uint64_t head = shm_frame_head(size_bytes, kind, row);
    __builtin_memcpy(frame, &head, sizeof head);
}

struct shm_ring {
    /* Written once, before the region is ready. */
    uint64_t capacity_bytes; /* a power of two */
    uint64_t reserved;

    /* Written by the producer only. */
    _Alignas(SHM_CACHELINE) _Atomic uint64_t tail; /* what has been published */
    _Atomic uint64_t frames;     /* how many, for tools; approximate while it moves */
    _Atomic uint64_t full_count; /* claims refused */
    _Atomic uint64_t full_ns;    /* time that the producer stood still for it */

    /* Written by the consumer only. */
    _Alignas(SHM_CACHELINE) _Atomic uint64_t head; /* what may be overwritten */
};
_Static_assert(sizeof(struct shm_ring) == 3 * SHM_CACHELINE, "one block per writer");

/* ---- The producer's side --------------------------------------------------------------------- */

struct shm_ring_writer {
    char *at;        /* where the next frame goes */
    char *limit;     /* frames up to here need no look at the other side */
    char *data;      /* the ring's memory */
    uint64_t origin; /* position of data[0] in this lap */
    uint64_t capacity_bytes;
    uint64_t head_seen; /* the last look at the other side */
    uint64_t published;
    struct shm_ring *ring;
};

void shm_ring_writer_open(struct shm_ring_writer *writer, struct shm_ring *ring, void *data);

static inline uint64_t shm_ring_claimed(const struct shm_ring_writer *writer)
{
    return writer->origin + (uint64_t)(writer->at - writer->data);
}

/* Looks at the other side and, where the memory ends, goes back to its beginning. False means full:
 * backpressure, not an error. size_bytes is at most a quarter of the capacity. */
bool shm_ring_make_room(struct shm_ring_writer *writer, uint32_t size_bytes);

/* Room for one frame, or NULL when the ring is full. */
static inline void *shm_ring_claim(struct shm_ring_writer *writer, uint32_t size_bytes)
{
    if (__builtin_expect((uint64_t)(writer->limit - writer->at) < size_bytes, 0) &&
        !shm_ring_make_room(writer, size_bytes))
        return NULL;
    char *frame = writer->at;
    writer->at += size_bytes;
    return frame;
}

/* Shows what was claimed since the last time. True if there was something. */
static inline bool shm_ring_publish(struct shm_ring_writer *writer)
{
    uint64_t claimed = shm_ring_claimed(writer);
    if (claimed == writer->published) return false;
    writer->published = claimed;
    shm_store_release(&writer->ring->tail, claimed); /* [ring.filled] */
    return true;
}

/* ---- The consumer's side --------------------------------------------------------------------- */

struct shm_ring_reader {
    uint64_t cursor;    /* the next frame to read */
    uint64_t tail_seen; /* the last look at the other side */
    uint64_t released;
    const char *data;
    uint64_t capacity_bytes;
    struct shm_ring *ring;
};

void shm_ring_reader_open(struct shm_ring_reader *reader, struct shm_ring *ring, const void *data);

/* The published bytes at the cursor, up to the end of the memory: whole frames, of which the last
 * may be a skip frame. 0 means empty. */
static inline uint64_t shm_ring_peek(struct shm_ring_reader *reader, const char **frames)
{
    if (reader->cursor == reader->tail_seen) {
        uint64_t tail = shm_load_acquire(&reader->ring->tail); /* pairs with [ring.filled] */
        CHECK(tail - reader->cursor <= reader->capacity_bytes);
        reader->tail_seen = tail;
        if (reader->cursor == tail) return 0;
    }
    uint64_t offset = reader->cursor & (reader->capacity_bytes - 1);
    uint64_t readable = reader->tail_seen - reader->cursor;
    uint64_t to_end = reader->capacity_bytes - offset;
    *frames = reader->data + offset;
    return readable < to_end ? readable : to_end;
}

/* The size of a frame that a peer wrote, checked: at least `least`, and inside what is readable. */
static inline uint32_t shm_frame_size(const struct shm_frame *frame, uint64_t readable)
{
    uint32_t size_bytes = *(const volatile uint32_t *)&frame->size_bytes; /* once: it is not ours */
    CHECK(size_bytes - 8 <= readable - 8); /* at least 8, and size 0 wraps around */
    CHECK(size_bytes % 8 == 0);
    return size_bytes;
}

static inline void shm_ring_advance(struct shm_ring_reader *reader, uint64_t size_bytes)
{
    reader->cursor += size_bytes;
}

static inline void shm_ring_release(struct shm_ring_reader *reader)
{
    if (reader->released == reader->cursor) return;
    reader->released = reader->cursor;
    shm_store_release(&reader->ring->head, reader->cursor); /* [ring.freed] */
}

#endif
