#include "engine/flow/board.h"

#include <string.h>

/* Bounds that no board reaches: they keep the sums below from wrapping around when the counts are a
 * stranger's. */
enum {
    BOARD_WORKERS_MAX = 1 << 14,
    BOARD_COUNT_MAX = 1 << 26,
};

/* Where the arrays lie. The order is that of the header; each begins on a block of its own. */
struct board_layout {
    uint64_t workers, nodes, exchanges, rings, subtasks, claims, ready, size_bytes;
};

static uint64_t board_round_up(uint64_t bytes)
{
    return (bytes + SHM_CACHELINE - 1) / SHM_CACHELINE * SHM_CACHELINE;
}

/* Ready words are written by all who send to a worker: those of two workers never share a block.
 * The sum over workers is bounded by this without knowing how the words are dealt out. */
static uint64_t board_ready_bytes(uint64_t workers, uint64_t ready_words)
{
    return workers * SHM_CACHELINE + board_round_up(ready_words * sizeof(uint64_t));
}

static struct board_layout board_lay_out(const struct eng_board_counts *counts,
                                         uint64_t ready_words)
{
    struct board_layout at;
    uint64_t next = board_round_up(sizeof(struct eng_board));

    at.workers = next;
    next = board_round_up(next + counts->workers * sizeof(struct eng_board_worker));
    at.nodes = next;
    next = board_round_up(next + counts->nodes * sizeof(struct eng_board_node));
    at.exchanges = next;
    next = board_round_up(next + counts->exchanges * sizeof(struct eng_board_exchange));
    at.rings = next;
    next = board_round_up(next + counts->rings * sizeof(struct eng_board_ring));
    at.subtasks = next;
    next = board_round_up(next + counts->subtasks * sizeof(struct eng_board_subtask));
    at.claims = next;
    next = board_round_up(next + counts->claims * sizeof(uint64_t));
    at.ready = next;
    at.size_bytes = next + board_ready_bytes(counts->workers, ready_words);
    return at;
}

uint64_t eng_board_bytes(const struct eng_board_counts *counts, uint32_t ready_words)
{
    CHECK(counts->workers > 0);
    CHECK(counts->workers <= BOARD_WORKERS_MAX);
    return board_lay_out(counts, ready_words).size_bytes;
}

void eng_board_open(struct eng_board *board, const struct eng_board_counts *counts,
                    const uint32_t *inbound)
{
    uint32_t ready_words = 0;

    CHECK((uintptr_t)board % SHM_CACHELINE == 0);
    CHECK(counts->workers > 0);
    CHECK(counts->workers <= BOARD_WORKERS_MAX);
    for (uint32_t i = 0; i < counts->workers; i++)
        ready_words += (inbound[i] + 63) / 64;
    struct board_layout at = board_lay_out(counts, ready_words);

    board->version = ENG_BOARD_VERSION;
    board->size_bytes = at.size_bytes;
    board->counts = *counts;
    board->workers = at.workers;
    board->nodes = at.nodes;
    board->exchanges = at.exchanges;
    board->rings = at.rings;
    board->subtasks = at.subtasks;
    board->claims = at.claims;
    board->bell.fd = -1; /* zeroed memory would name somebody's standard input */

    uint64_t ready = at.ready;
    for (uint32_t i = 0; i < counts->workers; i++) {
        struct eng_board_worker *worker = eng_board_worker(board, i);
        worker->number = i;
        worker->core = -1;
        worker->doorbell.fd = -1;
        worker->ready = ready;
        worker->ready_words = (inbound[i] + 63) / 64;
        ready += board_round_up(worker->ready_words * sizeof(uint64_t));
    }
    CHECK(ready <= at.size_bytes);
    CHECK(eng_board_verify(board, at.size_bytes));
}

/* ---- A stranger's board ---------------------------------------------------------------------- */

static bool board_counts_are_sane(const struct eng_board_counts *counts)
{
    if (counts->workers == 0 || counts->workers > BOARD_WORKERS_MAX) return false;
    return counts->nodes <= BOARD_COUNT_MAX && counts->chains <= BOARD_COUNT_MAX &&
           counts->exchanges <= BOARD_COUNT_MAX && counts->rings <= BOARD_COUNT_MAX &&
           counts->subtasks <= BOARD_COUNT_MAX && counts->claims <= BOARD_COUNT_MAX;
}

static bool board_text_ends(const char *text, size_t bytes)
{
    return memchr(text, 0, bytes) != NULL;
}

static bool board_workers_are_sane(const struct eng_board *board)
{
    for (uint32_t i = 0; i < board->counts.workers; i++) {
        const struct eng_board_worker *worker = eng_board_worker(board, i);
        if (worker->number != i) return false;
        if (worker->ready % sizeof(uint64_t) != 0) return false;
        if (worker->ready > board->size_bytes) return false;
        if (worker->ready_words > (board->size_bytes - worker->ready) / sizeof(uint64_t))
            return false;
    }
    return true;
}

static bool board_nodes_are_sane(const struct eng_board *board)
{
    for (uint32_t i = 0; i < board->counts.nodes; i++) {
        const struct eng_board_node *node = eng_board_node(board, i);
        if (!board_text_ends(node->title, sizeof node->title)) return false;
        if (!board_text_ends(node->id, sizeof node->id)) return false;
        if (node->first_subtask > board->counts.subtasks) return false;
        if (node->parallelism > board->counts.subtasks - node->first_subtask) return false;
    }
    for (uint32_t i = 0; i < board->counts.subtasks; i++) {
        const struct eng_board_subtask *subtask = eng_board_subtask(board, i);
        if (board->counts.nodes > 0 && subtask->node >= board->counts.nodes) return false;
        if (subtask->worker >= board->counts.workers) return false;
    }
    return true;
}

/* A capacity of 0 is that of a ring which its owner has not described yet. */
static bool board_rings_are_sane(const struct eng_board *board)
{
    for (uint32_t i = 0; i < board->counts.exchanges; i++) {
        const struct eng_board_exchange *exchange = eng_board_exchange(board, i);
        if (board->counts.nodes > 0 && exchange->from_node >= board->counts.nodes) return false;
        if (board->counts.nodes > 0 && exchange->to_node >= board->counts.nodes) return false;
    }
    for (uint32_t i = 0; i < board->counts.rings; i++) {
        const struct eng_board_ring *ring = eng_board_ring(board, i);
        if (board->counts.exchanges > 0 && ring->exchange >= board->counts.exchanges) return false;
        if (ring->from_worker >= board->counts.workers) return false;
        if (ring->to_worker >= board->counts.workers) return false;
        if (ring->ring.capacity_bytes & (ring->ring.capacity_bytes - 1)) return false;
    }
    return true;
}

bool eng_board_verify(const struct eng_board *board, uint64_t size_bytes)
{
    if (size_bytes < sizeof *board) return false;
    if (board->version != ENG_BOARD_VERSION) return false;
    if (board->size_bytes > size_bytes) return false;
    if (!board_counts_are_sane(&board->counts)) return false;

    /* Where the arrays lie follows from the counts: another place is a lie. */
    struct board_layout at = board_lay_out(&board->counts, 0);
    if (at.size_bytes > board->size_bytes) return false;
    if (board->workers != at.workers || board->nodes != at.nodes) return false;
    if (board->exchanges != at.exchanges || board->rings != at.rings) return false;
    if (board->subtasks != at.subtasks || board->claims != at.claims) return false;

    if (!board_text_ends(board->job, sizeof board->job)) return false;
    if (!board_workers_are_sane(board)) return false;
    return board_nodes_are_sane(board) && board_rings_are_sane(board);
}
