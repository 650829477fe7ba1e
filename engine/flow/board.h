/* engine/flow/board.h: what a running job shows in shared memory.
 *
 * The board is the control part of a job's region: supervisor, workers and tools see the same
 * memory, tools read-only. It holds no pointers: arrays lie at offsets that the header names, and
 * every struct has one writer for each block of it. The memory of the rings lies apart (see
 * shm/ring.h).
 *
 *     who              writes
 *     supervisor       everything before the workers start; then `command`
 *     worker w         its eng_board_worker, the eng_board_subtask of its subtasks, its side of its
 *                      rings
 *     any worker       claim words (fetch-and-add), the ready bits of whom it has sent to
 *     tools            nothing
 *
 * Life of a worker, in its `state`. Whoever changes it rings the supervisor's bell
 * (eng_board_set_state), so the supervisor sleeps until something has happened.
 *
 *     STARTING ---> RUNNING ---> ENDED ---> (exits when `command` is EXIT)
 *         |            |
 *         +------------+--> FAILED: `failure` says why ---> (exits)
 *
 * If a worker dies, its block stays as it was: that is how the supervisor finds out where it stood.
 */
#ifndef ENG_FLOW_BOARD_H
#define ENG_FLOW_BOARD_H

#include "shm/atomic.h"
#include "shm/histogram.h"
#include "shm/park.h"
#include "shm/ring.h"
#include "shm/slot.h"

enum {
    ENG_BOARD_VERSION = 3,
    ENG_BOARD_NAME_BYTES = 64,
    ENG_BOARD_FAILURE_BYTES = 1024,
};

/* Words only rise. */
enum eng_command {
    ENG_COMMAND_START, /* workers open their operators and wait for the next */
    ENG_COMMAND_RUN,
    ENG_COMMAND_STOP,  /* sources end without raising a watermark; what is in flight is finished */
    ENG_COMMAND_DRAIN, /* sources end as at the end of their input: everything fires */
    ENG_COMMAND_EXIT,
};

enum eng_worker_state {
    ENG_WORKER_STARTING,
    ENG_WORKER_OPENED, /* all operators are open */
    ENG_WORKER_RUNNING,
    ENG_WORKER_ENDED,
    ENG_WORKER_FAILED,
};

struct eng_board_counts {
    uint32_t workers, nodes, chains, exchanges, rings, subtasks, claims;
};

struct eng_board_worker {
    struct shm_doorbell doorbell;

    /* Set by senders, taken by the worker: bit i of the words is its i-th inbound ring. */
    uint64_t ready; /* offset of the words from the board */
    uint32_t ready_words, number;
    int32_t core; /* -1: not pinned */
    uint32_t blocking;

    /* Written by the worker. */
    _Alignas(SHM_CACHELINE) _Atomic uint64_t state; /* enum eng_worker_state */
    _Atomic uint64_t steps, steps_idle;
    _Atomic uint64_t busy_ns, blocked_ns,
        idle_ns; /* wall time: working, waiting for room, no input */
    _Atomic uint64_t parks;
    _Atomic uint64_t memory_bytes; /* state and queues */
    _Atomic uint64_t queued_bytes; /* in queues whose readers are behind */
    _Atomic uint64_t step_ns_max;
    char failure[ENG_BOARD_FAILURE_BYTES];
    struct shm_slot slot;
};

struct eng_board_node {
    char title[ENG_BOARD_NAME_BYTES];
    char id[ENG_BOARD_NAME_BYTES];
    uint32_t chain, parallelism;
    uint32_t first_subtask; /* index of its subtask 0; the others follow */
    uint32_t is_source, is_sink;
    uint32_t is_aligned; /* its subtasks' `slowest` counts: see engine/operator/alignment.h */
};

struct eng_board_subtask {
    _Alignas(SHM_CACHELINE) uint32_t node;
    uint32_t worker;
    _Atomic uint64_t records_in, records_out, rejected;
    _Atomic uint64_t watermark_us; /* as int64_t; ENG_WATERMARK_IDLE while idle */
    _Atomic uint64_t bytes_in;     /* sources: of the input */
    _Atomic uint64_t state_bytes, keys;
    _Atomic uint64_t counters[8]; /* the user's */
    _Atomic uint64_t ended;
    _Atomic uint64_t slowest; /* of the splits being read: see engine/operator/alignment.h */
};

struct eng_board_exchange {
    uint32_t from_node, to_node, to_port, kind;
};

struct eng_board_ring {
    uint32_t exchange, from_worker, to_worker, ready_bit;
    uint64_t memory_offset; /* in the memory of the rings */
    struct shm_ring ring;
};

struct eng_board {
    uint32_t version;
    uint32_t reserved;
    uint64_t size_bytes;
    struct eng_board_counts counts;
    uint64_t workers, nodes, exchanges, rings, subtasks, claims; /* offsets from here */
    char job[ENG_BOARD_NAME_BYTES];
    uint64_t started_ns;         /* shm_clock_ns */
    int64_t started_us;          /* wall clock */
    uint64_t memory_limit_bytes; /* --memory; 0: none. See engine/flow/memory.h */
    uint64_t input_bytes;        /* of all sources that know, for progress; 0: unknown */
    _Alignas(SHM_CACHELINE) _Atomic uint64_t command;           /* enum eng_command */
    _Alignas(SHM_CACHELINE) _Atomic uint64_t memory_left_bytes; /* that workers may still take */
    struct shm_doorbell bell; /* the supervisor's; never rung where nobody sleeps on it */
};

/* Bytes that a board of these counts takes. ready_words: of all workers together. */
uint64_t eng_board_bytes(const struct eng_board_counts *counts, uint32_t ready_words);

/* Lays a board out in zeroed memory of that size; arrays are filled in by the caller, and bells
 * made. inbound[w]: how many inbound rings worker w has. */
void eng_board_open(struct eng_board *board, const struct eng_board_counts *counts,
                    const uint32_t *inbound);

/* Checks a board that a stranger made: version, offsets inside size_bytes. For tools. */
bool eng_board_verify(const struct eng_board *board, uint64_t size_bytes);

static inline void *eng_board_at(const struct eng_board *board, uint64_t offset)
{
    return (char *)(uintptr_t)board + offset;
}

static inline struct eng_board_worker *eng_board_worker(const struct eng_board *board, uint32_t i)
{
    CHECK(i < board->counts.workers);
    return (struct eng_board_worker *)eng_board_at(board, board->workers) + i;
}

/* For worker i. Who sees the state with acquire sees what the worker did before. */
static inline void eng_board_set_state(struct eng_board *board, uint32_t i,
                                       enum eng_worker_state state)
{
    shm_store_release(&eng_board_worker(board, i)->state, state); /* [worker.state] */
    shm_fence();
    shm_ring_bell(&board->bell);
}

static inline struct eng_board_node *eng_board_node(const struct eng_board *board, uint32_t i)
{
    CHECK(i < board->counts.nodes);
    return (struct eng_board_node *)eng_board_at(board, board->nodes) + i;
}

static inline struct eng_board_exchange *eng_board_exchange(const struct eng_board *board,
                                                            uint32_t i)
{
    CHECK(i < board->counts.exchanges);
    return (struct eng_board_exchange *)eng_board_at(board, board->exchanges) + i;
}

static inline struct eng_board_ring *eng_board_ring(const struct eng_board *board, uint32_t i)
{
    CHECK(i < board->counts.rings);
    return (struct eng_board_ring *)eng_board_at(board, board->rings) + i;
}

static inline struct eng_board_subtask *eng_board_subtask(const struct eng_board *board, uint32_t i)
{
    CHECK(i < board->counts.subtasks);
    return (struct eng_board_subtask *)eng_board_at(board, board->subtasks) + i;
}

static inline _Atomic uint64_t *eng_board_claim(const struct eng_board *board, uint32_t i)
{
    CHECK(i < board->counts.claims);
    return (_Atomic uint64_t *)eng_board_at(board, board->claims) + i;
}

#endif
