/* control/view: tables and JSON of two snapshots. Method: boards that the test fills, so that every
 * rate and share is known beforehand. */
#include "engine/control/view.h"

#include <signal.h>
#include <yajl/yajl_tree.h>

#include "tests/control_board.h"

enum { SECOND = 1000000000 };

static struct eng_snapshot_process processes[2][3];

static struct eng_snapshot snapshot_of(struct eng_board *board, uint32_t which, uint64_t taken_ns)
{
    return (struct eng_snapshot){.board = board,
                                 .processes = processes[which],
                                 .taken_ns = taken_ns,
                                 .supervisor = 4711,
                                 .supervisor_alive = true};
}

/* Two looks, two seconds apart, at a job that runs since 8 seconds. */
static void fill(struct eng_snapshot *before, struct eng_snapshot *now)
{
    struct eng_board *old = control_board_new(), *board = control_board_new();

    memset(processes, 0, sizeof processes);
    for (uint32_t w = 0; w < 3; w++) {
        struct eng_board_worker *worker = eng_board_worker(board, w);
        processes[0][w].alive = processes[1][w].alive = true;
        shm_store_own(&worker->slot.pid, 5000 + w);
        shm_store_own(&worker->slot.operator_id, SHM_SLOT_NO_OPERATOR);
        shm_store_own(&worker->slot.heartbeat_ns, 10ull * SECOND - 1500);
        shm_store_own(&worker->state, ENG_WORKER_RUNNING);
    }
    processes[1][1].cpu_ns = SECOND; /* half of the time */
    struct eng_board_worker *one = eng_board_worker(board, 1);
    shm_store_own(&one->busy_ns, 600);
    shm_store_own(&one->blocked_ns, 300);
    shm_store_own(&one->idle_ns, 100);
    shm_store_own(&one->steps, 2468);
    shm_store_own(&one->memory_bytes, 3u << 20);
    shm_store_own(&one->slot.operator_id, CONTROL_MAP);
    shm_store_own(&one->slot.since_ns, 7ull * SECOND); /* it hangs there */
    control_count(old, CONTROL_SOURCE, 0, 0, 1000);
    control_count(board, CONTROL_SOURCE, 0, 0, 5000);
    control_count(board, CONTROL_MAP, 1, 5000, 80000);
    shm_store_own(&eng_board_subtask(board, 0)->ended, 1);
    shm_store_own(&eng_board_subtask(board, 4)->watermark_us, 1357017420000000);
    shm_store_own(&eng_board_ring(board, 1)->ring.head, 1024);
    shm_store_own(&eng_board_ring(board, 1)->ring.tail, 1024 + 4096);
    shm_store_own(&eng_board_ring(board, 1)->ring.full_count, 99);
    shm_store_own(&board->command, ENG_COMMAND_RUN);
    old->started_ns = board->started_ns = 2ull * SECOND;
    *before = snapshot_of(old, 0, 8ull * SECOND);
    *now = snapshot_of(board, 1, 10ull * SECOND);
}

static void empty(struct eng_snapshot *before, struct eng_snapshot *now)
{
    free(before->board);
    free(now->board);
}

static void the_tables_show_where_time_and_records_go(void)
{
    struct eng_snapshot before, now;
    char *text = NULL;

    fill(&before, &now);
    PRINTED(text, out, eng_view_print(&before, &now, UINT32_MAX, out));
    EXPECT_IN(text, "word_count, process 4711, running for 8.00 s: 5,000 records, 2.00 k/s, "
                    "event time 2013-01-01 05:17:00 UTC");
    /* worker, process, core, state, cpu, busy, blocked, idle, steps/s, heard of, memory, operator
     */
    EXPECT_IN(text,
              "1             5001    1 running   50.0  60.0     30.0  10.0      1234   1.50 us"
              "   3.00 MiB  map(split) for 3.00 s");
    EXPECT_IN(text, "2 helper      5002    - running");
    EXPECT_IN(text, "read_lines(book.txt)");
    EXPECT_IN(text, "ended 1/2");
    EXPECT_IN(text, "40.0 k/s"); /* of the map's results */
    EXPECT_IN(text, "1 -> 2    map(split) -> print");
    EXPECT_IN(text, "25.0   16.0 KiB");
    free(text);
    empty(&before, &now);
}

static void the_fullest_rings_are_shown_when_there_is_no_room_for_all(void)
{
    struct eng_snapshot before, now;
    char *text = NULL;

    fill(&before, &now);
    PRINTED(text, out, eng_view_print(&before, &now, 1, out));
    EXPECT_IN(text, "1 -> 2    map(split) -> print");
    EXPECT_NOT_IN(text, "0 -> 2    map(split) -> print");
    EXPECT_IN(text, "and 1 rings that are less full");
    free(text);
    PRINTED(text, out, eng_view_print(&before, &now, 0, out));
    EXPECT_NOT_IN(text, "->");
    free(text);
    empty(&before, &now);
}

static void states_of_processes_are_told_apart(void)
{
    struct eng_snapshot before, now;
    char *text = NULL;

    fill(&before, &now);
    processes[1][0].stopped = true;
    processes[1][1].alive = false;
    struct eng_board_worker *helper = eng_board_worker(now.board, 2);
    shm_store_own(&helper->state, ENG_WORKER_FAILED);
    snprintf(helper->failure, sizeof helper->failure, "print: the pipe is broken");
    now.supervisor_alive = false;
    PRINTED(text, out, eng_view_print(&before, &now, UINT32_MAX, out));
    EXPECT_IN(text, "dead, begun for 8.00 s");
    EXPECT_IN(text, "5000    0 stopped");
    EXPECT_IN(text, "5001    1 gone");
    EXPECT_IN(text, "5002    - failed");
    EXPECT_IN(text, "          print: the pipe is broken\n");
    free(text);

    struct shm_slot *slot = &eng_board_worker(now.board, 1)->slot;
    shm_store_own(&slot->signal, SIGSEGV);
    slot->signal_code = 1;
    slot->fault_address = 8;
    PRINTED(text, out, eng_view_print(&before, &now, UINT32_MAX, out));
    EXPECT_IN(text, "5001    1 crashed");
    EXPECT_IN(text, "worker 1 died of SIGSEGV at address 0x8, in operator map(split)");
    free(text);
    empty(&before, &now);
}

static void numbers_that_no_healthy_board_has_are_shown_without_harm(void)
{
    struct eng_snapshot before, now;
    char *text = NULL;

    fill(&before, &now);
    shm_store_own(&eng_board_ring(now.board, 0)->ring.head, UINT64_MAX);
    eng_board_ring(now.board, 0)->ring.capacity_bytes = 0;
    shm_store_own(&now.board->command, 12345);
    shm_store_own(&eng_board_worker(now.board, 0)->state, UINT64_MAX);
    shm_store_own(&eng_board_worker(now.board, 0)->slot.operator_id, 3);
    shm_store_own(&eng_board_worker(now.board, 0)->slot.signal, UINT64_MAX);
    shm_store_own(&eng_board_worker(now.board, 0)->slot.heartbeat_ns, UINT64_MAX);
    shm_store_own(&eng_board_worker(before.board, 1)->busy_ns, UINT64_MAX); /* it went back */
    eng_board_exchange(now.board, 0)->kind = 77;
    memset(eng_board_worker(now.board, 2)->failure, 'x', ENG_BOARD_FAILURE_BYTES);
    shm_store_own(&eng_board_worker(now.board, 2)->state, ENG_WORKER_FAILED);
    CU_ASSERT_TRUE_FATAL(eng_board_verify(now.board, control_board_bytes()));
    PRINTED(text, out, eng_view_print(&before, &now, UINT32_MAX, out));
    CU_ASSERT_TRUE(strlen(text) > 500);
    free(text);
    PRINTED(text, out, eng_view_write_json(&before, &now, out));
    yajl_val root = yajl_tree_parse(text, NULL, 0);
    CU_ASSERT_PTR_NOT_NULL(root);
    yajl_tree_free(root);
    free(text);
    empty(&before, &now);
}

static yajl_val json_at(yajl_val object, const char *name)
{
    const char *path[] = {name, NULL};
    yajl_val value = yajl_tree_get(object, path, yajl_t_any);
    if (!value) fprintf(stderr, "\nno %s\n", name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    return value;
}

static void programs_get_the_same_as_json(void)
{
    struct eng_snapshot before, now;
    char *text = NULL;

    fill(&before, &now);
    PRINTED(text, out, eng_view_write_json(&before, &now, out));
    yajl_val root = yajl_tree_parse(text, NULL, 0);
    if (!root) fprintf(stderr, "\n%s\n", text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    CU_ASSERT_STRING_EQUAL(YAJL_GET_STRING(json_at(root, "command")), "running");
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(root, "pid")), 4711);
    CU_ASSERT_TRUE(YAJL_IS_TRUE(json_at(root, "alive")));
    CU_ASSERT_EQUAL(YAJL_GET_DOUBLE(json_at(root, "records_per_second")), 2000);
    CU_ASSERT_EQUAL_FATAL(YAJL_GET_ARRAY(json_at(root, "workers"))->len, 3);
    CU_ASSERT_EQUAL_FATAL(YAJL_GET_ARRAY(json_at(root, "operators"))->len, 3);
    CU_ASSERT_EQUAL_FATAL(YAJL_GET_ARRAY(json_at(root, "rings"))->len, 2);
    yajl_val worker = YAJL_GET_ARRAY(json_at(root, "workers"))->values[1];
    CU_ASSERT_STRING_EQUAL(YAJL_GET_STRING(json_at(worker, "operator")), "map(split)");
    CU_ASSERT_EQUAL(YAJL_GET_DOUBLE(json_at(worker, "operator_seconds")), 3.0);
    CU_ASSERT_EQUAL(YAJL_GET_DOUBLE(json_at(worker, "blocked_percent")), 30.0);
    CU_ASSERT_EQUAL(YAJL_GET_DOUBLE(json_at(worker, "cpu_percent")), 50.0);
    CU_ASSERT_TRUE(YAJL_IS_NULL(json_at(worker, "failure")));
    yajl_val map = YAJL_GET_ARRAY(json_at(root, "operators"))->values[1];
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(map, "records_out")), 80000);
    CU_ASSERT_TRUE(YAJL_IS_NULL(json_at(map, "watermark_us")));
    yajl_val sink = YAJL_GET_ARRAY(json_at(root, "operators"))->values[2];
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(sink, "watermark_us")), 1357017420000000);
    yajl_val ring = YAJL_GET_ARRAY(json_at(root, "rings"))->values[1];
    CU_ASSERT_EQUAL(YAJL_GET_DOUBLE(json_at(ring, "fill_percent")), 25.0);
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(ring, "full_count")), 99);
    CU_ASSERT_STRING_EQUAL(YAJL_GET_STRING(json_at(ring, "kind")), "rebalance");
    yajl_tree_free(root);
    free(text);
    empty(&before, &now);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control/view", NULL, NULL);
    CU_ADD_TEST(suite, the_tables_show_where_time_and_records_go);
    CU_ADD_TEST(suite, the_fullest_rings_are_shown_when_there_is_no_room_for_all);
    CU_ADD_TEST(suite, states_of_processes_are_told_apart);
    CU_ADD_TEST(suite, numbers_that_no_healthy_board_has_are_shown_without_harm);
    CU_ADD_TEST(suite, programs_get_the_same_as_json);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
