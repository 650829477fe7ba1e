#include "shm/ring.h"

void shm_ring_writer_open(struct shm_ring_writer *writer, struct shm_ring *ring, void *data)
{
    CHECK(ring->capacity_bytes >= SHM_RING_BYTES_MIN);
    CHECK((ring->capacity_bytes & (ring->capacity_bytes - 1)) == 0);
    uint64_t tail = shm_load_own(&ring->tail);
    uint64_t offset = tail & (ring->capacity_bytes - 1);
    *writer = (struct shm_ring_writer){
        .at = (char *)data + offset,
        .limit = (char *)data + offset, /* the first claim looks at the other side */
        .data = data,
        .origin = tail - offset,
        .capacity_bytes = ring->capacity_bytes,
        .head_seen = shm_load_acquire(&ring->head), /* pairs with [ring.freed] */
        .published = tail,
        .ring = ring,
    };
}

/* Sets the limit to what is free at `at` without going around. */
static void ring_set_limit(struct shm_ring_writer *writer)
{
    uint64_t claimed = shm_ring_claimed(writer);
    CHECK(claimed - writer->head_seen <= writer->capacity_bytes);
    uint64_t room = writer->capacity_bytes - (claimed - writer->head_seen);
    uint64_t to_end = writer->capacity_bytes - (uint64_t)(writer->at - writer->data);
    writer->limit = writer->at + (room < to_end ? room : to_end);
}

bool shm_ring_make_room(struct shm_ring_writer *writer, uint32_t size_bytes)
{
    CHECK(size_bytes <= writer->capacity_bytes / 4);
    CHECK(size_bytes % 8 == 0);
    writer->head_seen = shm_load_acquire(&writer->ring->head); /* pairs with [ring.freed] */
    ring_set_limit(writer);

    uint64_t to_end = writer->capacity_bytes - (uint64_t)(writer->at - writer->data);
    if (to_end < size_bytes && (uint64_t)(writer->limit - writer->at) == to_end) {
        if (to_end > 0) {
            struct shm_frame *skip = (struct shm_frame *)(void *)writer->at;
            skip->size_bytes = (uint32_t)to_end;
            skip->kind = SHM_FRAME_SKIP;
        }
        writer->origin += writer->capacity_bytes;
        writer->at = writer->data;
        ring_set_limit(writer);
    }
    if ((uint64_t)(writer->limit - writer->at) >= size_bytes) return true;
    shm_store_own(&writer->ring->full_count, shm_load_own(&writer->ring->full_count) + 1);
    return false;
}

void shm_ring_reader_open(struct shm_ring_reader *reader, struct shm_ring *ring, const void *data)
{
    CHECK(ring->capacity_bytes >= SHM_RING_BYTES_MIN);
    CHECK((ring->capacity_bytes & (ring->capacity_bytes - 1)) == 0);
    uint64_t head = shm_load_own(&ring->head);
    *reader = (struct shm_ring_reader){
        .cursor = head,
        .tail_seen = head,
        .released = head,
        .data = data,
        .capacity_bytes = ring->capacity_bytes,
        .ring = ring,
    };
}
