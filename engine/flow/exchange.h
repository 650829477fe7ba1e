/* engine/flow/exchange.h: where records change owner: the sending side.
 *
 * An exchange of one subtask has a lane to each consuming subtask: a ring where that runs on
 * another worker, a record queue where it runs on this one. Sending never fails and never blocks:
 * when a ring is full its lane goes on in a queue behind it, the overflow, and the chain that sends
 * takes no new input until the overflow has moved into the ring. So order is kept, nothing
 * deadlocks, and what is in private memory is bounded by what one batch of input can emit.
 *
 *      claim         full or too large             overflow moved
 *     --------> RING -----------------> OVERFLOW ----------------> RING          a lane to a ring
 *     --------> QUEUE                                                            a lane to oneself
 *
 * Frames. All but the skip frame begin with a whole struct shm_frame:
 *
 *     RECORD     the record. tag is 0, or ENG_TAG_KEY: the image of a key that a function has
 *                computed stands before the record, behind a word with its size
 *     FRAGMENT   a piece of a frame that is larger than a quarter of the ring. time_us: the bytes
 *                of the whole frame; hash: where the piece begins in it
 *     WATERMARK  time_us: the watermark, or ENG_WATERMARK_IDLE
 *     END        nothing follows
 *
 * Publishing. At the end of a step the worker flushes every exchange that has sent: all lanes are
 * published, then one full fence, then the bells of those that sleep.
 */
#ifndef ENG_FLOW_EXCHANGE_H
#define ENG_FLOW_EXCHANGE_H

#include "engine/flow/batch.h"
#include "engine/flow/board.h"
#include "engine/flow/node.h"
#include "engine/flow/queue.h"
#include "engine/flow/watermark.h"

enum eng_frame_kind {
    ENG_FRAME_RECORD = 1,
    ENG_FRAME_FRAGMENT,
    ENG_FRAME_WATERMARK,
    ENG_FRAME_END,
};

enum { ENG_TAG_KEY = 1 };

/* What one batch of input may emit into one exchange before it counts as never ending. */
#define ENG_EXCHANGE_BYTES_MAX ((uint64_t)1 << 30)

struct eng_lane {
    char *at, *limit; /* room for the next frames: in the ring or in the queue */
    bool has_ring, in_ring;
    bool published; /* in this flush: ring the bell */
    struct shm_ring_writer writer;
    struct eng_queue queue; /* own records, or the overflow */
    uint64_t *memory_bytes; /* of the exchange: what all its queues hold */
    uint64_t memory_told_bytes;
    struct eng_board_worker *consumer;
    _Atomic uint64_t *ready_word; /* the consumer's, with our ring's bit */
    uint32_t ready_bit;
    uint64_t full_since_ns; /* overflow began; 0: there is none */
    uint64_t pieces_done;   /* of the first frame in the overflow, a large one: bytes moved */
};

/* How a computed key is made; see key_call.c. */
struct eng_key_call {
    pen_context *context; /* of the key function */
    const struct pen_function *function;
    const struct eng_key *key; /* all fields of the struct that the function fills */
    char *structs;             /* one for each record of a batch */
    void **states;             /* pointers to them */
    const void **records;      /* the same, as the functions of keys want them */
    struct eng_key_scratch scratch;
    const void **image;
    uint32_t *image_bytes;
};

void eng_key_call_open(struct eng_key_call *call, const struct pen_function *function,
                       const struct eng_key *key, pen_context *sender);
void eng_key_call_close(struct eng_key_call *call);

/* Calls the function for a batch; images, sizes and hashes are filled. What it rejected is marked
 * in the result, NULL: nothing was. */
const uint8_t *eng_key_call_make(struct eng_key_call *call, const struct eng_batch *batch,
                                 uint64_t *hashes);

struct eng_exchange {
    enum eng_exchange_kind kind;
    const struct eng_layout *layout;
    const struct eng_key *key;
    struct eng_key_call *key_call; /* NULL: the key is fields of the record */
    struct eng_lane *lanes;        /* one for each consuming subtask */
    uint32_t lane_count;
    uint32_t next;    /* rebalance: the lane that is next */
    bool dirty;       /* something was claimed since the last flush */
    bool overflowing; /* a lane has overflow */
    bool ended;
    uint64_t
        memory_bytes; /* of all queues; above ENG_EXCHANGE_BYTES_MAX somebody emits without end */
    bool every_watermark; /* each is sent at once, between the records that it was said between */
    int64_t watermark_us; /* the newest; else sent not more often than each millisecond */
    int64_t watermark_sent_us;
    uint64_t watermark_sent_ns;
    uint64_t *hashes; /* scratch of a batch */
};

void *eng_lane_make_room(struct eng_lane *lane, uint64_t size_bytes);

static inline void *eng_lane_claim(struct eng_lane *lane, uint64_t size_bytes)
{
    if (__builtin_expect((uint64_t)(lane->limit - lane->at) < size_bytes, 0))
        return eng_lane_make_room(lane, size_bytes);
    char *frame = lane->at;
    lane->at += size_bytes;
    return frame;
}

/* A lane's queue, for the chain on the same worker that reads it. */
struct eng_queue *eng_lane_queue(struct eng_lane *lane);
void eng_lane_queue_read(struct eng_lane *lane, uint64_t size_bytes);

void eng_exchange_send(struct eng_exchange *exchange, const struct eng_batch *batch);

/* Remembers a watermark, to be sent by a flush. At once go infinity, idleness, with the watermark
 * that it leaves behind, and the end of idleness, so that records find their input counted. */
void eng_exchange_watermark(struct eng_exchange *exchange, int64_t watermark_us);
void eng_exchange_end(struct eng_exchange *exchange);

/* Moves overflow and publishes. True: all is in the rings. `now_ns` paces watermarks, ENG_FLUSH_ALL
 * sends them at once; rings whose consumer must be told have lane->published set. */
#define ENG_FLUSH_ALL UINT64_MAX
bool eng_exchange_flush(struct eng_exchange *exchange, uint64_t now_ns);
/* After the fence: tells the consumers. */
void eng_exchange_ring_bells(struct eng_exchange *exchange);
/* Something is in private memory for another worker: the chain takes no new input. */
static inline bool eng_exchange_is_blocked(const struct eng_exchange *exchange)
{
    return exchange->overflowing;
}

/* `exchange` is the one that the lane belongs to. */
void eng_lane_open_local(struct eng_lane *lane, struct eng_exchange *exchange);
void eng_lane_open_ring(struct eng_lane *lane, struct eng_exchange *exchange, struct shm_ring *ring,
                        void *memory, const struct eng_board *board,
                        struct eng_board_worker *consumer, uint32_t ready_bit);
void eng_lane_close(struct eng_lane *lane);

#endif
