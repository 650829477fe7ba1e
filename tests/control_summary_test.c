/* control/summary: the figures of a run, for people and for programs. Method: a filled board; the
 * JSON is read back with yajl, which accepts nothing that is not JSON. */
#include "engine/control/summary.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yajl/yajl_tree.h>

#include "tests/control_board.h"

static char scratch[] = "summary-XXXXXX";

static struct eng_summary summary_of(const struct eng_board *board)
{
    return (struct eng_summary){
        .board = board,
        .run = "0123456789abcdef",
        .running_ns = 2000000000,
        .total_ns = 2500000000,
        .cpu_ns = 3900000000,
        .memory_peak_bytes = 35651584,
    };
}

static struct eng_board *board_of_a_run(void)
{
    struct eng_board *board = control_board_new();

    control_count(board, CONTROL_SOURCE, 0, 0, 600000);
    control_count(board, CONTROL_SOURCE, 1, 0, 400000);
    control_count(board, CONTROL_MAP, 0, 600000, 3000000);
    control_count(board, CONTROL_MAP, 1, 400000, 2000000);
    control_count(board, CONTROL_SINK, 0, 5000000, 0);
    shm_store_own(&eng_board_subtask(board, 3)->rejected, 12);
    shm_store_own(&eng_board_subtask(board, 2)->counters[0], 7);
    shm_store_own(&eng_board_worker(board, 1)->steps, 4321);
    shm_store_own(&eng_board_worker(board, 1)->busy_ns, 1500000000);
    return board;
}

static void people_read_times_rates_and_operators(void)
{
    struct eng_board *board = board_of_a_run();
    struct eng_summary summary = summary_of(board);
    char *text = NULL;

    PRINTED(text, out, eng_summary_print(&summary, out));
    EXPECT_IN(text,
              "word_count ended after 2.50 s, 2.00 s of it running: 1,000,000 records, 500 k/s");
    EXPECT_IN(text, "3 workers, 3.90 s of CPU, 34.0 MiB of memory at most, 12 bad records");
    EXPECT_IN(text, "map(split)                             1,000,000       5,000,000         12");
    EXPECT_IN(text, "print                                  5,000,000               -          -");
    free(text);
    summary.outcome = ENG_OUTCOME_STOPPED;
    PRINTED(text, out, eng_summary_print(&summary, out));
    EXPECT_IN(text, "word_count stopped after");
    free(text);
    free(board);
}

static yajl_val json_at(yajl_val root, const char *a, const char *b)
{
    const char *path[] = {a, b, NULL};
    yajl_val value = yajl_tree_get(root, path, yajl_t_any);
    if (!value) fprintf(stderr, "\nno %s %s\n", a, b ? b : "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    return value;
}

static void programs_read_one_json_object(void)
{
    struct eng_board *board = board_of_a_run();
    struct eng_summary summary = summary_of(board);
    const char *counters[] = {"say \"hundreds\"", NULL};
    struct eng_node nodes[CONTROL_NODES] = {
        {.id = "book.txt", .title = "read_lines(book.txt)"},
        {.id = "split", .title = "map(a\\b)", .counters = counters, .counter_count = 1},
        {.id = "print", .title = "print"}};
    struct eng_node *pointers[] = {&nodes[0], &nodes[1], &nodes[2]};
    uint64_t peaks[] = {1, 2, 3};
    char *text = NULL, error[256] = "";

    summary.nodes = pointers;
    summary.worker_peak_bytes = peaks;
    summary.outcome = ENG_OUTCOME_FAILED;
    summary.exit_status = 1;
    summary.failure = "worker 1 died\nof \"SIGSEGV\"";
    PRINTED(text, out, eng_summary_write_json(&summary, out));
    yajl_val root = yajl_tree_parse(text, error, sizeof error);
    if (!root) fprintf(stderr, "\n%s\n%s\n", text, error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    CU_ASSERT_STRING_EQUAL(YAJL_GET_STRING(json_at(root, "job", NULL)), "word_count");
    CU_ASSERT_STRING_EQUAL(YAJL_GET_STRING(json_at(root, "outcome", NULL)), "failed");
    CU_ASSERT_STRING_EQUAL(YAJL_GET_STRING(json_at(root, "failure", NULL)), summary.failure);
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(root, "exit_status", NULL)), 1);
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(root, "records", NULL)), 1000000);
    CU_ASSERT_EQUAL(YAJL_GET_DOUBLE(json_at(root, "seconds_running", NULL)), 2.0);
    CU_ASSERT_EQUAL(YAJL_GET_DOUBLE(json_at(root, "records_per_second", NULL)), 500000);
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(root, "rejected", NULL)), 12);

    yajl_val operators = json_at(root, "operators", NULL), workers = json_at(root, "workers", NULL);
    CU_ASSERT_EQUAL_FATAL(YAJL_GET_ARRAY(operators)->len, 3);
    CU_ASSERT_EQUAL_FATAL(YAJL_GET_ARRAY(workers)->len, 3);
    yajl_val map = YAJL_GET_ARRAY(operators)->values[1], one = YAJL_GET_ARRAY(workers)->values[1];
    CU_ASSERT_STRING_EQUAL(YAJL_GET_STRING(json_at(map, "title", NULL)), "map(a\\b)");
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(map, "records_in", NULL)), 1000000);
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(map, "records_out", NULL)), 5000000);
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(map, "counters", counters[0])), 7);
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(one, "records_out", NULL)), 2400000);
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(one, "steps", NULL)), 4321);
    CU_ASSERT_EQUAL(YAJL_GET_DOUBLE(json_at(one, "busy_seconds", NULL)), 1.5);
    CU_ASSERT_EQUAL(YAJL_GET_INTEGER(json_at(one, "memory_peak_bytes", NULL)), 2);
    yajl_tree_free(root);
    free(text);
    free(board);
}

static void the_file_appears_whole_or_not_at_all(void)
{
    struct eng_board *board = board_of_a_run();
    struct eng_summary summary = summary_of(board);
    struct eng_summary_file file;

    CU_ASSERT_EQUAL_FATAL(eng_summary_file_open(&file, "s.json"), 0);
    CU_ASSERT_NOT_EQUAL(access("s.json", F_OK), 0);
    eng_summary_file_drop(&file);
    CU_ASSERT_NOT_EQUAL(access("s.json", F_OK), 0);

    CU_ASSERT_EQUAL_FATAL(eng_summary_file_open(&file, "s.json"), 0);
    CU_ASSERT_EQUAL(eng_summary_file_finish(&file, &summary), 0);
    struct stat first, second;
    CU_ASSERT_EQUAL_FATAL(stat("s.json", &first), 0);
    CU_ASSERT_TRUE(first.st_size > 100);

    /* A second run replaces it; one that is given up leaves it. */
    CU_ASSERT_EQUAL_FATAL(eng_summary_file_open(&file, "s.json"), 0);
    eng_summary_file_drop(&file);
    CU_ASSERT_EQUAL_FATAL(stat("s.json", &second), 0);
    CU_ASSERT_EQUAL(first.st_ino, second.st_ino);
    CU_ASSERT_EQUAL_FATAL(eng_summary_file_open(&file, "s.json"), 0);
    CU_ASSERT_EQUAL(eng_summary_file_finish(&file, &summary), 0);
    CU_ASSERT_EQUAL_FATAL(stat("s.json", &second), 0);
    CU_ASSERT_NOT_EQUAL(first.st_ino, second.st_ino);
    CU_ASSERT_EQUAL(unlink("s.json"), 0);
    free(board);
}

static void a_file_that_cannot_be_written_is_told_before_the_run(void)
{
    struct eng_summary_file file;

    CU_ASSERT_EQUAL(eng_summary_file_open(&file, "missing/s.json"), -ENOENT);
    CU_ASSERT_PTR_NULL(file.out);
    CU_ASSERT_EQUAL(eng_summary_file_open(&file, "."), -EISDIR);
    CU_ASSERT_EQUAL(eng_summary_file_open(&file, "/proc/version/s.json"), -ENOTDIR);
    eng_summary_file_drop(&file);
}

static void a_pipe_is_written_directly(void)
{
    struct eng_board *board = board_of_a_run();
    struct eng_summary summary = summary_of(board);
    struct eng_summary_file file;
    struct stat stat_now;
    char text[64] = "";

    CU_ASSERT_EQUAL_FATAL(mkfifo("pipe", 0600), 0);
    int reader = open("pipe", O_RDONLY | O_NONBLOCK);
    CU_ASSERT_EQUAL_FATAL(eng_summary_file_open(&file, "pipe"), 0);
    CU_ASSERT_EQUAL(eng_summary_file_finish(&file, &summary), 0);
    CU_ASSERT_TRUE(read(reader, text, sizeof text - 1) > 0);
    EXPECT_IN(text, "{\"job\":\"word_count\"");
    CU_ASSERT_EQUAL(stat("pipe", &stat_now), 0);
    CU_ASSERT_TRUE(S_ISFIFO(stat_now.st_mode)); /* and has not been replaced */
    close(reader);
    CU_ASSERT_EQUAL(unlink("pipe"), 0);
    free(board);
}

int main(void)
{
    if (!mkdtemp(scratch) || chdir(scratch) != 0) return 1;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control/summary", NULL, NULL);
    CU_ADD_TEST(suite, people_read_times_rates_and_operators);
    CU_ADD_TEST(suite, programs_read_one_json_object);
    CU_ADD_TEST(suite, the_file_appears_whole_or_not_at_all);
    CU_ADD_TEST(suite, a_file_that_cannot_be_written_is_told_before_the_run);
    CU_ADD_TEST(suite, a_pipe_is_written_directly);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    /* Fails when something was left behind in it. */
    return failures > 0 || chdir("..") != 0 || rmdir(scratch) != 0;
}
