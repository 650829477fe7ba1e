/* flow/board: the layout of a job's shared memory, and boards that lie.
 * Method: boards of many shapes, each array written through and read back; then every word of the
 * header and of each array's first element is bent, and the board must be refused or still be safe
 * to walk. */
#include "engine/flow/board.h"

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

static struct eng_board *board_new(const struct eng_board_counts *counts, const uint32_t *inbound,
                                   uint64_t *bytes)
{
    uint32_t words = 0;

    for (uint32_t w = 0; w < counts->workers; w++)
        words += (inbound[w] + 63) / 64;
    *bytes = eng_board_bytes(counts, words);
    struct eng_board *board = aligned_alloc(SHM_CACHELINE, *bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(board);
    memset(board, 0, *bytes);
    eng_board_open(board, counts, inbound);
    return board;
}

static const struct eng_board_counts usual = {
    .workers = 3, .nodes = 4, .chains = 2, .exchanges = 2, .rings = 6, .subtasks = 9, .claims = 2};
static const uint32_t usual_inbound[] = {2, 65, 0};

static void arrays_lie_apart_and_inside(void)
{
    static const struct eng_board_counts shapes[] = {
        {.workers = 1},
        {.workers = 1, .nodes = 1, .subtasks = 1},
        {3, 4, 2, 2, 6, 9, 2},
        {16, 20, 9, 8, 1920, 320, 3},
    };

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct eng_board_counts *c = &shapes[i];
        uint32_t *inbound = calloc(c->workers, sizeof *inbound);
        for (uint32_t w = 0; w < c->workers; w++)
            inbound[w] = c->rings / c->workers;
        uint64_t bytes;
        struct eng_board *board = board_new(c, inbound, &bytes);
        uint64_t ends[] = {
            sizeof *board,
            board->workers + c->workers * sizeof(struct eng_board_worker),
            board->nodes + c->nodes * sizeof(struct eng_board_node),
            board->exchanges + c->exchanges * sizeof(struct eng_board_exchange),
            board->rings + c->rings * sizeof(struct eng_board_ring),
            board->subtasks + c->subtasks * sizeof(struct eng_board_subtask),
            board->claims + c->claims * sizeof(uint64_t),
        };
        uint64_t begins[] = {board->workers, board->nodes,    board->exchanges,
                             board->rings,   board->subtasks, board->claims};
        /* Closing what was never made must not close somebody's standard input. */
        CU_ASSERT_EQUAL(board->bell.fd, -1);
        for (uint32_t w = 0; w < c->workers; w++)
            CU_ASSERT_EQUAL(eng_board_worker(board, w)->doorbell.fd, -1);
        for (int a = 0; a < 6; a++) {
            CU_ASSERT_EQUAL(begins[a] % SHM_CACHELINE, 0);
            CU_ASSERT_TRUE(begins[a] >= ends[a]);
        }
        CU_ASSERT_TRUE(ends[6] <= bytes);
        CU_ASSERT_EQUAL(board->size_bytes, bytes);
        CU_ASSERT_TRUE(eng_board_verify(board, bytes));
        free(board);
        free(inbound);
    }
}

static void ready_words_of_two_workers_share_no_block(void)
{
    uint64_t bytes;
    struct eng_board *board = board_new(&usual, usual_inbound, &bytes);
    uint64_t last_end = board->claims + usual.claims * sizeof(uint64_t);

    for (uint32_t w = 0; w < usual.workers; w++) {
        const struct eng_board_worker *worker = eng_board_worker(board, w);
        CU_ASSERT_EQUAL(worker->number, w);
        CU_ASSERT_EQUAL(worker->core, -1);
        CU_ASSERT_EQUAL(worker->ready_words, (usual_inbound[w] + 63) / 64);
        CU_ASSERT_EQUAL(worker->ready % SHM_CACHELINE, 0);
        CU_ASSERT_TRUE(worker->ready >= last_end);
        last_end = worker->ready + worker->ready_words * sizeof(uint64_t);
    }
    CU_ASSERT_TRUE(last_end <= bytes);
    free(board);
}

static void what_is_written_in_one_place_shows_in_no_other(void)
{
    uint64_t bytes;
    struct eng_board *board = board_new(&usual, usual_inbound, &bytes);

    for (uint32_t i = 0; i < usual.subtasks; i++)
        shm_store_own(&eng_board_subtask(board, i)->records_in, 1000 + i);
    for (uint32_t i = 0; i < usual.rings; i++)
        shm_store_own(&eng_board_ring(board, i)->ring.tail, 2000 + i);
    for (uint32_t i = 0; i < usual.claims; i++)
        shm_store_own(eng_board_claim(board, i), 3000 + i);
    for (uint32_t i = 0; i < usual.workers; i++) {
        struct eng_board_worker *worker = eng_board_worker(board, i);
        shm_store_own(&worker->steps, 4000 + i);
        memset(eng_board_at(board, worker->ready), 0xff, worker->ready_words * sizeof(uint64_t));
    }
    for (uint32_t i = 0; i < usual.subtasks; i++)
        CU_ASSERT_EQUAL(shm_load_own(&eng_board_subtask(board, i)->records_in), 1000 + i);
    for (uint32_t i = 0; i < usual.rings; i++)
        CU_ASSERT_EQUAL(shm_load_own(&eng_board_ring(board, i)->ring.tail), 2000 + i);
    for (uint32_t i = 0; i < usual.claims; i++)
        CU_ASSERT_EQUAL(shm_load_own(eng_board_claim(board, i)), 3000 + i);
    for (uint32_t i = 0; i < usual.workers; i++)
        CU_ASSERT_EQUAL(shm_load_own(&eng_board_worker(board, i)->steps), 4000 + i);
    CU_ASSERT_TRUE(eng_board_verify(board, bytes));
    free(board);
}

/* Reads everything a tool would. Under the address sanitizer a bad offset ends the test. */
static uint64_t board_walk(const struct eng_board *board)
{
    uint64_t sum = strlen(board->job);

    for (uint32_t i = 0; i < board->counts.workers; i++) {
        const struct eng_board_worker *worker = eng_board_worker(board, i);
        const uint64_t *words = eng_board_at(board, worker->ready);
        for (uint32_t word = 0; word < worker->ready_words; word++)
            sum += words[word];
    }
    for (uint32_t i = 0; i < board->counts.nodes; i++) {
        const struct eng_board_node *node = eng_board_node(board, i);
        sum += strlen(node->title) + strlen(node->id);
        for (uint32_t s = 0; s < node->parallelism; s++)
            sum += shm_load_own(&eng_board_subtask(board, node->first_subtask + s)->records_in);
    }
    for (uint32_t i = 0; i < board->counts.subtasks; i++) {
        sum += eng_board_node(board, eng_board_subtask(board, i)->node)->parallelism;
        sum += eng_board_worker(board, eng_board_subtask(board, i)->worker)->number;
    }
    for (uint32_t i = 0; i < board->counts.rings; i++) {
        const struct eng_board_ring *ring = eng_board_ring(board, i);
        const struct eng_board_exchange *exchange = eng_board_exchange(board, ring->exchange);
        sum += eng_board_node(board, exchange->from_node)->parallelism;
        sum += eng_board_node(board, exchange->to_node)->parallelism;
        sum += eng_board_worker(board, ring->from_worker)->number;
        sum += eng_board_worker(board, ring->to_worker)->number;
    }
    for (uint32_t i = 0; i < board->counts.claims; i++)
        sum += shm_load_own(eng_board_claim(board, i));
    return sum;
}

static void a_bent_board_is_refused_or_safe_to_walk(void)
{
    static const uint32_t lies[] = {0, 1, 3, 4, 0x7f, 0x80, 1u << 14, 1u << 26, UINT32_MAX};
    uint64_t bytes;
    struct eng_board *board = board_new(&usual, usual_inbound, &bytes);
    char *copy = aligned_alloc(SHM_CACHELINE, bytes);
    uint32_t refused = 0, walked = 0;

    memcpy(copy, board, bytes);
    /* Every 32-bit word of everything up to the second subtask: header, workers, nodes, rings ...
     */
    uint64_t until = board->subtasks + 2 * sizeof(struct eng_board_subtask);
    for (uint64_t at = 0; at < until; at += sizeof(uint32_t))
        for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
            memcpy((char *)board + at, &lies[i], sizeof lies[i]);
            if (eng_board_verify(board, bytes)) {
                board_walk(board);
                walked++;
            } else {
                refused++;
            }
            memcpy((char *)board + at, copy + at, sizeof(uint32_t));
        }
    CU_ASSERT_TRUE(eng_board_verify(board, bytes));
    CU_ASSERT_TRUE(refused > 100);
    CU_ASSERT_TRUE(walked > 100);
    free(copy);
    free(board);
}

static void a_board_that_is_cut_short_is_refused(void)
{
    uint64_t bytes;
    struct eng_board *board = board_new(&usual, usual_inbound, &bytes);

    CU_ASSERT_FALSE(eng_board_verify(board, 0));
    CU_ASSERT_FALSE(eng_board_verify(board, sizeof *board - 1));
    CU_ASSERT_FALSE(eng_board_verify(board, bytes - 1));
    CU_ASSERT_TRUE(eng_board_verify(board, bytes + 4096));
    free(board);
}

static void texts_without_an_end_are_refused(void)
{
    uint64_t bytes;
    struct eng_board *board = board_new(&usual, usual_inbound, &bytes);

    memset(board->job, 'x', sizeof board->job);
    CU_ASSERT_FALSE(eng_board_verify(board, bytes));
    board->job[sizeof board->job - 1] = 0;
    CU_ASSERT_TRUE(eng_board_verify(board, bytes));
    memset(eng_board_node(board, 3)->title, 'x', ENG_BOARD_NAME_BYTES);
    CU_ASSERT_FALSE(eng_board_verify(board, bytes));
    memset(eng_board_node(board, 3)->title, 0, ENG_BOARD_NAME_BYTES);
    memset(eng_board_node(board, 0)->id, 'x', ENG_BOARD_NAME_BYTES);
    CU_ASSERT_FALSE(eng_board_verify(board, bytes));
    free(board);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("flow/board", NULL, NULL);
    CU_ADD_TEST(suite, arrays_lie_apart_and_inside);
    CU_ADD_TEST(suite, ready_words_of_two_workers_share_no_block);
    CU_ADD_TEST(suite, what_is_written_in_one_place_shows_in_no_other);
    CU_ADD_TEST(suite, a_bent_board_is_refused_or_safe_to_walk);
    CU_ADD_TEST(suite, a_board_that_is_cut_short_is_refused);
    CU_ADD_TEST(suite, texts_without_an_end_are_refused);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
