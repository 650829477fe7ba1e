/* Shared by the tests of engine/control: a board as a job of two workers and a helper would have
 * it, and what printing functions wrote. */
#ifndef TESTS_CONTROL_BOARD_H
#define TESTS_CONTROL_BOARD_H

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/board.h"
#include "engine/flow/node.h"
#include "engine/flow/watermark.h"

/* What a printing function wrote, in memory that the caller frees. */
#define PRINTED(text, out, ...)                                                                    \
    do {                                                                                           \
        size_t bytes_;                                                                             \
        FILE *out = open_memstream(&(text), &bytes_);                                              \
        CU_ASSERT_PTR_NOT_NULL_FATAL(out);                                                         \
        __VA_ARGS__;                                                                               \
        fclose(out);                                                                               \
    } while (0)

/* Both are shown when it is not in there. */
static inline void control_expect_in(const char *text, const char *part, const char *file, int line)
{
    if (!strstr(text, part)) {
        fprintf(stderr, "\n%s:%d: expected\n    %s\nin\n%s\n", file, line, part, text);
        CU_FAIL("a text is missing");
    } else {
        CU_PASS("");
    }
}
#define EXPECT_IN(text, part)     control_expect_in(text, part, __FILE__, __LINE__)
#define EXPECT_NOT_IN(text, part) CU_ASSERT_PTR_NULL(strstr(text, part))

enum { CONTROL_SOURCE, CONTROL_MAP, CONTROL_SINK, CONTROL_NODES };

static const struct eng_board_counts control_counts = {
    .workers = 3, .nodes = 3, .chains = 2, .exchanges = 1, .rings = 2, .subtasks = 5, .claims = 1};
static const uint32_t control_inbound[] = {0, 0, 2};

static inline uint64_t control_board_bytes(void)
{
    return eng_board_bytes(&control_counts, 1);
}

/* source and map have a subtask on each of workers 0 and 1, the sink one on helper 2. */
static inline void control_board_fill(struct eng_board *board)
{
    static const char *const titles[] = {"read_lines(book.txt)", "map(split)", "print"};
    static const char *const ids[] = {"book.txt", "split", "print"};
    static const uint32_t first[] = {0, 2, 4}, parallelism[] = {2, 2, 1};

    eng_board_open(board, &control_counts, control_inbound);
    snprintf(board->job, sizeof board->job, "word_count");
    for (uint32_t n = 0; n < CONTROL_NODES; n++) {
        struct eng_board_node *node = eng_board_node(board, n);
        snprintf(node->title, sizeof node->title, "%s", titles[n]);
        snprintf(node->id, sizeof node->id, "%s", ids[n]);
        node->first_subtask = first[n];
        node->parallelism = parallelism[n];
        node->is_source = n == CONTROL_SOURCE;
        node->is_sink = n == CONTROL_SINK;
        for (uint32_t s = 0; s < parallelism[n]; s++) {
            struct eng_board_subtask *subtask = eng_board_subtask(board, first[n] + s);
            subtask->node = n;
            subtask->worker = n == CONTROL_SINK ? 2 : s;
            shm_store_own(&subtask->watermark_us, (uint64_t)ENG_WATERMARK_NONE);
        }
    }
    eng_board_worker(board, 0)->core = 0;
    eng_board_worker(board, 1)->core = 1;
    eng_board_worker(board, 2)->blocking = 1;
    *eng_board_exchange(board, 0) = (struct eng_board_exchange){CONTROL_MAP, CONTROL_SINK, 0, 2};
    for (uint32_t r = 0; r < 2; r++) {
        struct eng_board_ring *ring = eng_board_ring(board, r);
        ring->from_worker = r;
        ring->to_worker = 2;
        ring->ready_bit = r;
        ring->ring.capacity_bytes = 16384;
    }
}

static inline struct eng_board *control_board_new(void)
{
    struct eng_board *board = aligned_alloc(SHM_CACHELINE, control_board_bytes());
    CU_ASSERT_PTR_NOT_NULL_FATAL(board);
    memset(board, 0, control_board_bytes());
    control_board_fill(board);
    return board;
}

/* The records that subtask `s` of a node has had. */
static inline void control_count(struct eng_board *board, uint32_t node, uint32_t s, uint64_t in,
                                 uint64_t out)
{
    struct eng_board_subtask *subtask =
        eng_board_subtask(board, eng_board_node(board, node)->first_subtask + s);
    shm_store_own(&subtask->records_in, in);
    shm_store_own(&subtask->records_out, out);
}

#endif
