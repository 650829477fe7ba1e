/* control/tally: counters of subtasks and workers, summed up for operators and for the job. */
#include "engine/control/tally.h"

#include "tests/control_board.h"

static void an_operator_is_the_sum_of_its_subtasks(void)
{
    struct eng_board *board = control_board_new();

    control_count(board, CONTROL_MAP, 0, 10, 30);
    control_count(board, CONTROL_MAP, 1, 5, 7);
    control_count(board, CONTROL_SINK, 0, 1000, 0); /* somebody else's */
    for (uint32_t s = 2; s < 4; s++) {
        struct eng_board_subtask *subtask = eng_board_subtask(board, s);
        shm_store_own(&subtask->rejected, 2);
        shm_store_own(&subtask->keys, 3);
        shm_store_own(&subtask->state_bytes, 100);
        shm_store_own(&subtask->bytes_in, 4);
        shm_store_own(&subtask->counters[7], 9);
    }
    shm_store_own(&eng_board_subtask(board, 3)->ended, 1);
    struct eng_tally_node tally = eng_tally_node(board, CONTROL_MAP);
    CU_ASSERT_EQUAL(tally.records_in, 15);
    CU_ASSERT_EQUAL(tally.records_out, 37);
    CU_ASSERT_EQUAL(tally.rejected, 4);
    CU_ASSERT_EQUAL(tally.keys, 6);
    CU_ASSERT_EQUAL(tally.state_bytes, 200);
    CU_ASSERT_EQUAL(tally.bytes_in, 8);
    CU_ASSERT_EQUAL(tally.counters[7], 18);
    CU_ASSERT_EQUAL(tally.ended, 1);
    free(board);
}

static void the_watermark_is_the_smallest_without_the_idle(void)
{
    struct eng_board *board = control_board_new();
    _Atomic uint64_t *a = &eng_board_subtask(board, 2)->watermark_us;
    _Atomic uint64_t *b = &eng_board_subtask(board, 3)->watermark_us;

    CU_ASSERT_EQUAL(eng_tally_node(board, CONTROL_MAP).watermark_us, ENG_WATERMARK_NONE);
    shm_store_own(a, 500);
    CU_ASSERT_EQUAL(eng_tally_node(board, CONTROL_MAP).watermark_us, ENG_WATERMARK_NONE);
    shm_store_own(b, (uint64_t)-7);
    CU_ASSERT_EQUAL(eng_tally_node(board, CONTROL_MAP).watermark_us, -7);
    shm_store_own(b, (uint64_t)ENG_WATERMARK_IDLE);
    CU_ASSERT_EQUAL(eng_tally_node(board, CONTROL_MAP).watermark_us, 500);
    shm_store_own(b, (uint64_t)ENG_WATERMARK_END);
    CU_ASSERT_EQUAL(eng_tally_node(board, CONTROL_MAP).watermark_us, 500);
    shm_store_own(a, (uint64_t)ENG_WATERMARK_END);
    CU_ASSERT_EQUAL(eng_tally_node(board, CONTROL_MAP).watermark_us, ENG_WATERMARK_END);
    /* Of those that have not ended, all are idle. */
    shm_store_own(b, (uint64_t)ENG_WATERMARK_IDLE);
    CU_ASSERT_EQUAL(eng_tally_node(board, CONTROL_MAP).watermark_us, ENG_WATERMARK_IDLE);
    shm_store_own(a, (uint64_t)ENG_WATERMARK_IDLE);
    CU_ASSERT_EQUAL(eng_tally_node(board, CONTROL_MAP).watermark_us, ENG_WATERMARK_IDLE);
    shm_store_own(&eng_board_subtask(board, 4)->watermark_us, (uint64_t)ENG_WATERMARK_IDLE);
    CU_ASSERT_EQUAL(eng_tally_job(board).watermark_us, ENG_WATERMARK_NONE);
    CU_ASSERT_FALSE(eng_tally_is_time(ENG_WATERMARK_END));
    CU_ASSERT_FALSE(eng_tally_is_time(ENG_WATERMARK_NONE));
    CU_ASSERT_FALSE(eng_tally_is_time(ENG_WATERMARK_IDLE));
    CU_ASSERT_TRUE(eng_tally_is_time(0));
    free(board);
}

static void the_job_counts_what_its_sources_gave(void)
{
    struct eng_board *board = control_board_new();

    control_count(board, CONTROL_SOURCE, 0, 0, 100);
    control_count(board, CONTROL_SOURCE, 1, 0, 11);
    control_count(board, CONTROL_MAP, 0, 100, 9999);
    shm_store_own(&eng_board_subtask(board, 1)->bytes_in, 640);
    shm_store_own(&eng_board_subtask(board, 3)->rejected, 2);
    for (uint32_t w = 0; w < 3; w++) {
        shm_store_own(&eng_board_worker(board, w)->busy_ns, 1000);
        shm_store_own(&eng_board_worker(board, w)->blocked_ns, 100);
        shm_store_own(&eng_board_worker(board, w)->idle_ns, 10);
        shm_store_own(&eng_board_worker(board, w)->memory_bytes, 4096);
    }
    struct eng_tally_job job = eng_tally_job(board);
    CU_ASSERT_EQUAL(job.records, 111);
    CU_ASSERT_EQUAL(job.bytes_in, 640);
    CU_ASSERT_EQUAL(job.rejected, 2);
    CU_ASSERT_EQUAL(job.busy_ns, 3000);
    CU_ASSERT_EQUAL(job.blocked_ns, 300);
    CU_ASSERT_EQUAL(job.idle_ns, 30);
    CU_ASSERT_EQUAL(job.memory_bytes, 3 * 4096);
    CU_ASSERT_EQUAL(job.watermark_us, ENG_WATERMARK_NONE);
    shm_store_own(&eng_board_subtask(board, 4)->watermark_us, 77);
    CU_ASSERT_EQUAL(eng_tally_job(board).watermark_us, 77);
    free(board);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control/tally", NULL, NULL);
    CU_ADD_TEST(suite, an_operator_is_the_sum_of_its_subtasks);
    CU_ADD_TEST(suite, the_watermark_is_the_smallest_without_the_idle);
    CU_ADD_TEST(suite, the_job_counts_what_its_sources_gave);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
