/* control/inspect: finding a job and taking snapshots of it. Method: regions that this process and
 * its children make, in a run directory of the test's own; one is stopped, one is dead, one is
 * damaged. */
#include "engine/control/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/clock.h"
#include "tests/control_board.h"

static char run_directory[] = "inspect-run-XXXXXX";

static struct eng_board *region_new(struct shm_region *region, const char *job)
{
    struct shm_region dry;

    shm_region_dry(&dry);
    shm_region_carve(&dry, control_board_bytes(), SHM_CACHELINE);
    if (shm_region_create(region, job, dry.carved_bytes, NULL, 0) < 0) return NULL;
    shm_offset root = shm_region_carve(region, control_board_bytes(), SHM_CACHELINE);
    struct eng_board *board = shm_region_at(region, root, control_board_bytes());
    control_board_fill(board);
    snprintf(board->job, sizeof board->job, "%s", job);
    shm_region_publish(region, root);
    return board;
}

/* A process with a region of its own, which is also its worker 0. It ends when it is killed. */
static pid_t process_new(const char *job)
{
    int ready[2];
    char byte;

    CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
    pid_t child = fork();
    CU_ASSERT_TRUE_FATAL(child >= 0);
    if (child == 0) {
        struct shm_region region;
        struct eng_board *board = region_new(&region, job);
        if (!board) _exit(1);
        shm_slot_open(&eng_board_worker(board, 0)->slot, "worker 0");
        if (write(ready[1], "r", 1) != 1) _exit(1);
        for (;;)
            pause();
    }
    CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void process_end(pid_t child)
{
    kill(child, SIGKILL);
    CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
}

static void expect_no(const char *job, const char *part)
{
    struct eng_inspect inspect;
    char reason[1024] = "";

    CU_ASSERT_TRUE(eng_inspect_open(&inspect, job, reason, sizeof reason) < 0);
    EXPECT_IN(reason, part);
}

static pid_t found(const char *job)
{
    struct eng_inspect inspect;
    struct eng_snapshot snapshot;
    char reason[1024] = "";
    int result = eng_inspect_open(&inspect, job, reason, sizeof reason);

    if (result < 0) fprintf(stderr, "\n%s\n", reason);
    CU_ASSERT_EQUAL_FATAL(result, 0);
    CU_ASSERT_EQUAL_FATAL(eng_inspect_take(&inspect, &snapshot), 0);
    pid_t pid = snapshot.supervisor;
    eng_inspect_drop(&snapshot);
    eng_inspect_close(&inspect);
    return pid;
}

static void a_job_is_found_by_name_by_pid_or_as_the_only_one(void)
{
    char pid[32];

    expect_no(NULL, "no job of yours is running");
    expect_no("flights", "no job of yours is running");
    pid_t first = process_new("flights");
    CU_ASSERT_EQUAL(found(NULL), first);
    CU_ASSERT_EQUAL(found("flights"), first);
    snprintf(pid, sizeof pid, "%d", first);
    CU_ASSERT_EQUAL(found(pid), first);
    pid_t second = process_new("bids");
    expect_no(NULL, "which job? There are ");
    expect_no("fligths", "flights (process ");
    expect_no("fligths", "bids (process ");
    CU_ASSERT_EQUAL(found("bids"), second);
    process_end(first);
    process_end(second);
    CU_ASSERT_EQUAL(shm_region_sweep(run_directory), 2);
}

static void one_that_lives_is_preferred_to_a_dead_one(void)
{
    pid_t dead = process_new("flights");
    process_end(dead);
    CU_ASSERT_EQUAL(found("flights"), dead);
    pid_t alive = process_new("flights");
    CU_ASSERT_EQUAL(found("flights"), alive);
    CU_ASSERT_EQUAL(found(NULL), alive);
    process_end(alive);
    CU_ASSERT_EQUAL(shm_region_sweep(run_directory), 2);
}

static void a_stopped_process_is_seen_without_its_help(void)
{
    struct eng_inspect inspect;
    struct eng_snapshot snapshot;
    pid_t child = process_new("stopped");
    int status;

    CU_ASSERT_EQUAL_FATAL(eng_inspect_open(&inspect, "stopped", NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_inspect_take(&inspect, &snapshot), 0);
    CU_ASSERT_TRUE(snapshot.supervisor_alive);
    CU_ASSERT_TRUE(snapshot.processes[0].alive);
    CU_ASSERT_FALSE(snapshot.processes[0].stopped);
    CU_ASSERT_FALSE(snapshot.processes[1].alive); /* never was */
    eng_inspect_drop(&snapshot);

    CU_ASSERT_EQUAL(kill(child, SIGSTOP), 0);
    CU_ASSERT_EQUAL(waitpid(child, &status, WUNTRACED), child);
    CU_ASSERT_EQUAL_FATAL(eng_inspect_take(&inspect, &snapshot), 0);
    CU_ASSERT_TRUE(snapshot.processes[0].alive);
    CU_ASSERT_TRUE(snapshot.processes[0].stopped);
    eng_inspect_drop(&snapshot);

    /* Dead, and not even reaped: what it left can still be looked at. */
    CU_ASSERT_EQUAL(kill(child, SIGKILL), 0);
    siginfo_t info;
    CU_ASSERT_EQUAL(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    CU_ASSERT_EQUAL_FATAL(eng_inspect_take(&inspect, &snapshot), 0);
    CU_ASSERT_FALSE(snapshot.processes[0].alive);
    CU_ASSERT_STRING_EQUAL(snapshot.board->job, "stopped");
    eng_inspect_drop(&snapshot);
    CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
    eng_inspect_close(&inspect);
    CU_ASSERT_EQUAL(shm_region_sweep(run_directory), 1);
}

static void a_snapshot_does_not_move_with_the_board(void)
{
    struct shm_region region;
    struct eng_inspect inspect;
    struct eng_snapshot before, now;
    struct eng_board *board = region_new(&region, "moving");

    CU_ASSERT_PTR_NOT_NULL_FATAL(board);
    CU_ASSERT_EQUAL_FATAL(eng_inspect_open(&inspect, "moving", NULL, 0), 0);
    control_count(board, CONTROL_MAP, 0, 1, 2);
    CU_ASSERT_EQUAL_FATAL(eng_inspect_take(&inspect, &before), 0);
    control_count(board, CONTROL_MAP, 0, 100, 200);
    CU_ASSERT_EQUAL_FATAL(eng_inspect_take(&inspect, &now), 0);
    CU_ASSERT_EQUAL(shm_load_own(&eng_board_subtask(before.board, 2)->records_in), 1);
    CU_ASSERT_EQUAL(shm_load_own(&eng_board_subtask(now.board, 2)->records_in), 100);
    CU_ASSERT_TRUE(now.taken_ns >= before.taken_ns);
    eng_inspect_drop(&before);
    eng_inspect_drop(&now);
    eng_inspect_close(&inspect);
    shm_region_remove(&region);
}

static void a_damaged_board_is_refused(void)
{
    struct shm_region region;
    struct eng_inspect inspect;
    struct eng_snapshot snapshot;
    struct eng_board *board = region_new(&region, "damaged");

    CU_ASSERT_PTR_NOT_NULL_FATAL(board);
    CU_ASSERT_EQUAL_FATAL(eng_inspect_open(&inspect, "damaged", NULL, 0), 0);
    board->rings += 128;
    CU_ASSERT_EQUAL(eng_inspect_take(&inspect, &snapshot), -EPROTO);
    CU_ASSERT_PTR_NULL(snapshot.board);
    board->rings -= 128;
    board->counts.subtasks = 1u << 20;
    CU_ASSERT_EQUAL(eng_inspect_take(&inspect, &snapshot), -EPROTO);
    board->counts.subtasks = control_counts.subtasks;
    CU_ASSERT_EQUAL(eng_inspect_take(&inspect, &snapshot), 0);
    eng_inspect_drop(&snapshot);
    eng_inspect_close(&inspect);

    static const uint64_t sizes[] = {0, 1, 128, UINT64_MAX, UINT64_MAX - 127, 1ull << 40};
    uint64_t size_bytes = board->size_bytes;
    for (int i = 0; i < 6; i++) {
        board->size_bytes = sizes[i];
        expect_no("damaged", "is damaged, or of another version");
    }
    board->size_bytes = size_bytes;
    shm_region_header(&region)->root.bytes += 8;
    expect_no("damaged", "damaged");
    shm_region_header(&region)->root.bytes -= 8;
    CU_ASSERT_EQUAL(found("damaged"), getpid());
    shm_region_remove(&region);
}

int main(void)
{
    if (!mkdtemp(run_directory) || setenv("PENSTOCK_RUN_DIR", run_directory, 1) != 0) return 1;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control/inspect", NULL, NULL);
    CU_ADD_TEST(suite, a_job_is_found_by_name_by_pid_or_as_the_only_one);
    CU_ADD_TEST(suite, one_that_lives_is_preferred_to_a_dead_one);
    CU_ADD_TEST(suite, a_stopped_process_is_seen_without_its_help);
    CU_ADD_TEST(suite, a_snapshot_does_not_move_with_the_board);
    CU_ADD_TEST(suite, a_damaged_board_is_refused);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0 || rmdir(run_directory) != 0;
}
