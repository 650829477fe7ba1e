#include "engine/flow/exchange.h"

#include <string.h>

#include "shm/hash.h"

#define EXCHANGE_WATERMARK_NS 1000000u /* watermarks of one exchange: not more often */

enum { EXCHANGE_AHEAD_BYTES = 512 };

static const int64_t exchange_no_times[ENG_BATCH_RECORDS_MAX];
static const uint8_t exchange_no_rows[ENG_BATCH_RECORDS_MAX];

/* ---- Lanes ----------------------------------------------------------------------------------- */

/* Keeps the exchange's sum true after the queue has grown or shrunk. */
static inline void lane_tell_memory(struct eng_lane *lane)
{
    if (lane->queue.memory_bytes == lane->memory_told_bytes) return;
    *lane->memory_bytes += lane->queue.memory_bytes - lane->memory_told_bytes;
    lane->memory_told_bytes = lane->queue.memory_bytes;
}

void eng_lane_open_local(struct eng_lane *lane, struct eng_exchange *exchange)
{
    *lane = (struct eng_lane){.memory_bytes = &exchange->memory_bytes};
    eng_queue_open(&lane->queue);
    lane_tell_memory(lane);
    lane->at = lane->queue.at;
    lane->limit = lane->queue.limit;
}

void eng_lane_open_ring(struct eng_lane *lane, struct eng_exchange *exchange, struct shm_ring *ring,
                        void *memory, const struct eng_board *board,
                        struct eng_board_worker *consumer, uint32_t ready_bit)
{
    CHECK(ready_bit / 64 < consumer->ready_words);
    *lane = (struct eng_lane){
        .has_ring = true,
        .in_ring = true,
        .consumer = consumer,
        .ready_word = (_Atomic uint64_t *)eng_board_at(board, consumer->ready) + ready_bit / 64,
        .ready_bit = ready_bit,
        .memory_bytes = &exchange->memory_bytes,
    };
    eng_queue_open(&lane->queue);
    lane_tell_memory(lane);
    shm_ring_writer_open(&lane->writer, ring, memory);
    lane->at = lane->writer.at;
    lane->limit = lane->writer.limit;
}

void eng_lane_close(struct eng_lane *lane)
{
    eng_queue_close(&lane->queue);
}

static void lane_write_to_queue(struct eng_lane *lane)
{
    lane->in_ring = false;
    lane->at = lane->queue.at;
    lane->limit = lane->queue.limit;
}

static void lane_write_to_ring(struct eng_lane *lane)
{
    lane->in_ring = true;
    lane->at = lane->writer.at;
    lane->limit = lane->writer.limit;
}

/* The largest frame that goes into the ring in one piece. */
static uint64_t lane_frame_bytes_max(const struct eng_lane *lane)
{
    return lane->writer.capacity_bytes / 4;
}

void *eng_lane_make_room(struct eng_lane *lane, uint64_t size_bytes)
{
    CHECK(size_bytes % 8 == 0);
    if (lane->in_ring) {
        lane->writer.at = lane->at;
        if (size_bytes <= lane_frame_bytes_max(lane) &&
            shm_ring_make_room(&lane->writer, (uint32_t)size_bytes)) {
            lane_write_to_ring(lane);
            void *frame = lane->at;
            lane->at += size_bytes;
            return frame;
        }
        lane_write_to_queue(lane);
    }
    lane->queue.at = lane->at;
    void *frame = eng_queue_claim(&lane->queue, size_bytes);
    lane->at = lane->queue.at;
    lane->limit = lane->queue.limit;
    lane_tell_memory(lane);
    return frame;
}

struct eng_queue *eng_lane_queue(struct eng_lane *lane)
{
    CHECK(!lane->in_ring);
    lane->queue.at = lane->at;
    return &lane->queue;
}

void eng_lane_queue_read(struct eng_lane *lane, uint64_t size_bytes)
{
    eng_queue_advance(&lane->queue, size_bytes);
    lane->at = lane->queue.at;
    lane->limit = lane->queue.limit;
    lane_tell_memory(lane);
}

/* Moves a frame that is larger than the ring takes in one piece, as far as there is room. `done` is
 * how much of it has moved. */
static bool lane_move_pieces(struct eng_lane *lane, const char *frame, uint64_t size_bytes,
                             uint64_t *done)
{
    uint64_t piece_max = lane_frame_bytes_max(lane) - sizeof(struct shm_frame);

    while (*done < size_bytes) {
        uint64_t bytes = size_bytes - *done < piece_max ? size_bytes - *done : piece_max;
        char *to = shm_ring_claim(&lane->writer, (uint32_t)(sizeof(struct shm_frame) + bytes));
        if (!to) return false;
        *(struct shm_frame *)(void *)to = (struct shm_frame){
            .size_bytes = (uint32_t)(sizeof(struct shm_frame) + bytes),
            .kind = ENG_FRAME_FRAGMENT,
            .time_us = (int64_t)size_bytes,
            .hash = *done,
        };
        memcpy(to + sizeof(struct shm_frame), frame + *done, bytes);
        *done += bytes;
    }
    return true;
}

/* Moves overflow into the ring while there is room. True: there is none left. */
static bool lane_move_overflow(struct eng_lane *lane)
{
    const char *frames;
    uint64_t bytes;

    lane->queue.at = lane->at;
    while ((bytes = eng_queue_peek(&lane->queue, &frames)) > 0) {
        uint32_t size_bytes = shm_frame_size((const struct shm_frame *)(const void *)frames, bytes);
        if (size_bytes > lane_frame_bytes_max(lane)) {
            if (!lane_move_pieces(lane, frames, size_bytes, &lane->pieces_done)) break;
            lane->pieces_done = 0;
        } else {
            char *to = shm_ring_claim(&lane->writer, size_bytes);
            if (!to) break;
            memcpy(to, frames, size_bytes);
        }
        eng_queue_advance(&lane->queue, size_bytes);
    }
    lane->at = lane->queue.at;
    lane->limit = lane->queue.limit;
    lane_tell_memory(lane);
    if (bytes > 0) return false;
    lane_write_to_ring(lane);
    return true;
}

static void lane_account_full(struct eng_lane *lane, bool is_full, uint64_t now_ns)
{
    if (is_full == (lane->full_since_ns != 0)) return;
    if (is_full) {
        lane->full_since_ns = now_ns;
        return;
    }
    uint64_t full_ns = now_ns > lane->full_since_ns ? now_ns - lane->full_since_ns : 0;
    shm_store_own(&lane->writer.ring->full_ns, shm_load_own(&lane->writer.ring->full_ns) + full_ns);
    lane->full_since_ns = 0;
}

/* True: nothing of it is in private memory. */
static bool lane_flush(struct eng_lane *lane, uint64_t now_ns)
{
    if (!lane->has_ring) {
        /* The chain that reads it comes first in a step: what it has left, it has not kept up with.
         */
        lane->queue.at = lane->at;
        return eng_queue_is_empty(&lane->queue);
    }
    bool moved = true;
    if (!lane->in_ring)
        moved = lane_move_overflow(lane);
    else
        lane->writer.at = lane->at;
    if (shm_ring_publish(&lane->writer)) lane->published = true;
    lane_account_full(lane, !moved, now_ns);
    return moved;
}

/* ---- Sending records ------------------------------------------------------------------------- */

static inline void exchange_write(struct eng_lane *lane, const struct eng_batch *batch, uint32_t i,
                                  uint64_t hash, uint32_t record_bytes)
{
    uint32_t size_bytes = (uint32_t)sizeof(struct shm_frame) + record_bytes;
    struct shm_frame *frame = eng_lane_claim(lane, size_bytes);

    shm_frame_set_head(frame, size_bytes, ENG_FRAME_RECORD, batch->rows[i]);
    frame->time_us = batch->times_us[i];
    frame->hash = hash;
    memcpy(frame + 1, batch->records[i], record_bytes);
}

/* Hot leaf: the lane of a record is the part of the hash space that its consumer owns. record_bytes
 * and `plain` (no times, no row kinds: nobody will look at them) are constants where this is
 * inlined, so that a frame is a few stores. */
static inline __attribute__((always_inline)) void exchange_scatter(struct eng_exchange *exchange,
                                                                   const struct eng_batch *batch,
                                                                   uint32_t record_bytes,
                                                                   bool plain)
{
    struct eng_lane *const lanes = exchange->lanes;
    const uint64_t lane_count = exchange->lane_count;
    const uint64_t *const hashes = exchange->hashes;
    const void *const *const records = batch->records;
    const uint32_t count = batch->count;
    const uint32_t size_bytes = (uint32_t)sizeof(struct shm_frame) + record_bytes;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t hash = hashes[i];
        struct eng_lane *lane = &lanes[shm_hash_range(hash, lane_count)];
        struct shm_frame *frame = eng_lane_claim(lane, size_bytes);
        __builtin_prefetch((char *)frame + EXCHANGE_AHEAD_BYTES, 1); /* the reader owned it last */
        shm_frame_set_head(frame, size_bytes, ENG_FRAME_RECORD, plain ? 0 : batch->rows[i]);
        if (!plain) frame->time_us = batch->times_us[i];
        frame->hash = hash;
        memcpy(frame + 1, records[i], record_bytes);
    }
}

static inline __attribute__((always_inline)) void
exchange_scatter_sized(struct eng_exchange *exchange, const struct eng_batch *batch, bool plain)
{
    switch (exchange->layout->fixed_bytes) {
    case 8:
        exchange_scatter(exchange, batch, 8, plain);
        return;
    case 16:
        exchange_scatter(exchange, batch, 16, plain);
        return;
    case 24:
        exchange_scatter(exchange, batch, 24, plain);
        return;
    case 32:
        exchange_scatter(exchange, batch, 32, plain);
        return;
    case 40:
        exchange_scatter(exchange, batch, 40, plain);
        return;
    case 48:
        exchange_scatter(exchange, batch, 48, plain);
        return;
    case 64:
        exchange_scatter(exchange, batch, 64, plain);
        return;
    default:
        exchange_scatter(exchange, batch, exchange->layout->fixed_bytes, plain);
    }
}

static void exchange_send_by_field(struct eng_exchange *exchange, const struct eng_batch *batch)
{
    const struct eng_layout *layout = exchange->layout;

    eng_key_hashes(exchange->key, batch->records, batch->count, exchange->hashes);
    if (layout->text_count > 0) {
        for (uint32_t i = 0; i < batch->count; i++) {
            uint64_t hash = exchange->hashes[i];
            uint32_t lane = shm_hash_range(hash, exchange->lane_count);
            uint32_t bytes = eng_record_bytes(layout, batch->records[i]);
            exchange_write(&exchange->lanes[lane], batch, i, hash, bytes);
        }
        return;
    }
    if (batch->times_us == exchange_no_times && batch->rows == exchange_no_rows)
        exchange_scatter_sized(exchange, batch, true);
    else
        exchange_scatter_sized(exchange, batch, false);
}

/* A key that a function has computed travels before its record. */
static void exchange_send_by_function(struct eng_exchange *exchange, const struct eng_batch *batch)
{
    struct eng_key_call *call = exchange->key_call;
    const uint8_t *rejected = eng_key_call_make(call, batch, exchange->hashes);

    for (uint32_t i = 0; i < batch->count; i++) {
        if (rejected && rejected[i]) continue;
        uint64_t hash = exchange->hashes[i];
        uint32_t lane = shm_hash_range(hash, exchange->lane_count);
        uint32_t bytes = eng_record_bytes(exchange->layout, batch->records[i]);
        uint64_t key_bytes = call->image_bytes[i];
        uint64_t key_room = (key_bytes + 7) & ~(uint64_t)7;
        uint64_t size_bytes = sizeof(struct shm_frame) + 8 + key_room + bytes;
        struct shm_frame *frame = eng_lane_claim(&exchange->lanes[lane], size_bytes);
        char *to = (char *)(frame + 1);

        *frame = (struct shm_frame){(uint32_t)size_bytes, ENG_FRAME_RECORD,   batch->rows[i],
                                    ENG_TAG_KEY,          batch->times_us[i], hash};
        memcpy(to, &key_bytes, 8);
        memcpy(to + 8, call->image[i], key_bytes);
        memset(to + 8 + key_bytes, 0, key_room - key_bytes);
        memcpy(to + 8 + key_room, batch->records[i], bytes);
    }
}

static void exchange_send_dealt(struct eng_exchange *exchange, const struct eng_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t bytes = eng_record_bytes(exchange->layout, batch->records[i]);
        exchange_write(&exchange->lanes[exchange->next], batch, i, 0, bytes);
        if (++exchange->next == exchange->lane_count) exchange->next = 0;
    }
}

static void exchange_send_to_all(struct eng_exchange *exchange, const struct eng_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t bytes = eng_record_bytes(exchange->layout, batch->records[i]);
        for (uint32_t lane = 0; lane < exchange->lane_count; lane++)
            exchange_write(&exchange->lanes[lane], batch, i, 0, bytes);
    }
}

void eng_exchange_send(struct eng_exchange *exchange, const struct eng_batch *batch)
{
    struct eng_batch whole = *batch;

    CHECK(!exchange->ended);
    CHECK(batch->count <= ENG_BATCH_RECORDS_MAX);
    if (!whole.times_us) whole.times_us = exchange_no_times;
    if (!whole.rows) whole.rows = exchange_no_rows;
    exchange->dirty = true;
    switch (exchange->kind) {
    case ENG_KEYED:
        if (exchange->key_call)
            exchange_send_by_function(exchange, &whole);
        else
            exchange_send_by_field(exchange, &whole);
        return;
    case ENG_FORWARD:
    case ENG_REBALANCE:
        exchange_send_dealt(exchange, &whole);
        return;
    case ENG_BROADCAST:
        exchange_send_to_all(exchange, &whole);
        return;
    }
    CHECK(false); /* there is no other kind */
}

/* ---- Watermarks and the end ------------------------------------------------------------------ */

static void exchange_say(struct eng_exchange *exchange, enum eng_frame_kind kind, int64_t time_us)
{
    for (uint32_t lane = 0; lane < exchange->lane_count; lane++) {
        struct shm_frame *frame = eng_lane_claim(&exchange->lanes[lane], sizeof *frame);
        *frame = (struct shm_frame){
            .size_bytes = sizeof *frame, .kind = (uint8_t)kind, .time_us = time_us};
    }
    exchange->dirty = true;
}

static void exchange_send_watermark(struct eng_exchange *exchange, uint64_t now_ns)
{
    if (exchange->watermark_us == exchange->watermark_sent_us) return;
    exchange->watermark_sent_us = exchange->watermark_us;
    exchange->watermark_sent_ns = now_ns;
    exchange_say(exchange, ENG_FRAME_WATERMARK, exchange->watermark_us);
}

void eng_exchange_watermark(struct eng_exchange *exchange, int64_t watermark_us)
{
    bool at_once = exchange->every_watermark || watermark_us == ENG_WATERMARK_END ||
                   watermark_us == ENG_WATERMARK_IDLE ||
                   exchange->watermark_sent_us == ENG_WATERMARK_IDLE;

    if (watermark_us == ENG_WATERMARK_IDLE)
        exchange_send_watermark(exchange, exchange->watermark_sent_ns);
    exchange->watermark_us = watermark_us;
    exchange->dirty = true;
    if (at_once) exchange_send_watermark(exchange, exchange->watermark_sent_ns);
}

void eng_exchange_end(struct eng_exchange *exchange)
{
    CHECK(!exchange->ended);
    exchange_send_watermark(exchange, 0);
    exchange_say(exchange, ENG_FRAME_END, 0);
    exchange->ended = true;
}

bool eng_exchange_flush(struct eng_exchange *exchange, uint64_t now_ns)
{
    if (!exchange->dirty) return !exchange->overflowing;
    /* After ENG_FLUSH_ALL, the difference to any time is large. */
    if (!exchange->ended &&
        (now_ns == ENG_FLUSH_ALL || now_ns - exchange->watermark_sent_ns >= EXCHANGE_WATERMARK_NS))
        exchange_send_watermark(exchange, now_ns);

    bool flushed = true;
    for (uint32_t lane = 0; lane < exchange->lane_count; lane++)
        flushed &= lane_flush(&exchange->lanes[lane], now_ns);
    exchange->overflowing = !flushed;
    exchange->dirty = !flushed || exchange->watermark_us != exchange->watermark_sent_us;
    return flushed;
}

void eng_exchange_ring_bells(struct eng_exchange *exchange)
{
    for (uint32_t i = 0; i < exchange->lane_count; i++) {
        struct eng_lane *lane = &exchange->lanes[i];
        if (!lane->published) continue;
        lane->published = false;
        struct eng_board_worker *consumer = lane->consumer;
        uint64_t bit = 1ull << (lane->ready_bit % 64);
        _Atomic uint64_t *word = lane->ready_word;
        if (!(shm_load_acquire(word) & bit)) shm_or(word, bit); /* [worker.ready] */
        shm_ring_bell(&consumer->doorbell);
    }
}
