/* control/supervisor: whole runs with real processes, and all the ways in which they end.
 * Method: jobs that are part of this program, run by eng_run itself, with a run directory of the
 * test's own. What a job sees is counted in memory that is shared with its workers. After every
 * run, whatever happened, the run directory must be empty and no child may be left. */
#include "engine/control/supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/control/inspect.h"
#include "shm/clock.h"
#include "tests/control_board.h"

enum { RECORDS = 100000, MS = 1000000 };

/* What the workers and this process share. */
static struct seen {
    _Atomic uint64_t made, records, sum, opened, closed, striking;
} * seen;

static struct {
    const char *how; /* what strike() does */
    uint64_t at, count;
} job_settings;

static char run_directory[] = "supervisor-run-XXXXXX";

struct item {
    int64_t value;
};
PEN_RECORD(item, value);

/* ---- The job --------------------------------------------------------------------------------- */

static int *volatile nowhere = (int *)8; /* the compiler must not know */

static void strike(pen_context *ctx)
{
    const char *how = job_settings.how;

    shm_add(&seen->striking, 1);
    if (strcmp(how, "segv") == 0) *nowhere = 1;
    if (strcmp(how, "abort") == 0) abort();
    CHECK(strcmp(how, "check") != 0);
    if (strcmp(how, "exit") == 0) exit(3);
    if (strcmp(how, "exit 0") == 0) exit(0);
    if (strcmp(how, "fail") == 0) pen_fail(ctx, "the disk %d is full", 7);
    if (strcmp(how, "kill") == 0) kill(getpid(), SIGKILL);
    while (strcmp(how, "hang") == 0) {
    }
}

static void make(pen_context *ctx, uint64_t index)
{
    shm_add(&seen->made, 1);
    pen_emit(ctx, item, .value = (int64_t)index);
}
PEN_GENERATE(make, item);

static void pass(pen_context *ctx, const struct item *item)
{
    if ((uint64_t)item->value == job_settings.at) strike(ctx);
    if (strcmp(job_settings.how, "reject") == 0 && item->value % 1000 == 0)
        pen_reject(ctx, "not this one");
    else
        pen_send(ctx, item, item);
}
PEN_MAP(pass, item, item);

static enum pen_taken see(pen_context *ctx, const struct item *item)
{
    (void)ctx;
    shm_add(&seen->records, 1);
    shm_add(&seen->sum, (uint64_t)item->value);
    return PEN_TAKEN;
}
PEN_SINK(see, item);

static void see_open(pen_context *ctx)
{
    shm_add(&seen->opened, 1);
    if (strcmp(job_settings.how, "linger") == 0) shm_clock_sleep_until(shm_clock_ns() + 400 * MS);
    if (strcmp(job_settings.how, "open") == 0) pen_fail(ctx, "cannot open the door");
}

static void see_close(pen_context *ctx)
{
    (void)ctx;
    shm_add(&seen->closed, 1);
}

static void once(pen_context *ctx, const struct item *item, struct pen_none *none)
{
    if (none->nothing) return; /* the key has been seen: it must not be */
    none->nothing = true;
    pen_send(ctx, item, item);
}
PEN_PROCESS(once, item, pen_none, item);

static void keyed_job(pen_graph *graph)
{
    pen_stream items = pen_generate(graph, make, .count = job_settings.count);
    pen_stream firsts = pen_process(pen_key_by(items, "value"), once, .id = "once");
    pen_sink(firsts, see, .id = "see");
}

static void job(pen_graph *graph)
{
    pen_stream items = pen_generate(graph, make, .count = job_settings.count);
    pen_stream passed = pen_map(items, pass);
    pen_sink(pen_rebalance(passed), see, .id = "see", .open = see_open, .close = see_close);
}

static void mistaken_job(pen_graph *graph)
{
    pen_sink(pen_key_by(pen_generate(graph, make), "valeu").stream, see);
}

/* ---- Running it ------------------------------------------------------------------------------ */

static uint32_t files_in_run_directory(void)
{
    DIR *files = opendir(run_directory);
    uint32_t count = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(files);
    for (struct dirent *file; (file = readdir(files));)
        count += file->d_name[0] != '.';
    closedir(files);
    return count;
}

static struct eng_run_options options_of(const char *name)
{
    return (struct eng_run_options){.program = "run", .job = job, .name = name, .parallelism = 2};
}

static void prepare(const char *how, uint64_t at, uint64_t count)
{
    memset((void *)seen, 0, sizeof *seen);
    job_settings.how = how;
    job_settings.at = at;
    job_settings.count = count;
}

/* Runs, and checks that nothing is left. What was told is the caller's to free. */
static enum eng_exit run(const struct eng_run_options *options, char **told)
{
    enum eng_exit status = ENG_EXIT_USAGE;
    sigset_t before, after;

    sigprocmask(SIG_BLOCK, NULL, &before);
    PRINTED(*told, err, status = eng_run(options, err, err));
    sigprocmask(SIG_BLOCK, NULL, &after);
    for (int number = 1; number < 32; number++)
        CU_ASSERT_EQUAL(sigismember(&before, number), sigismember(&after, number));
    CU_ASSERT_EQUAL(files_in_run_directory(), 0);
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
    CU_ASSERT_EQUAL(errno, ECHILD);
    return status;
}

/* ---- It ends --------------------------------------------------------------------------------- */

static void a_job_runs_to_its_end_at_any_parallelism(void)
{
    static const uint32_t parallelisms[] = {1, 2, 5};

    for (int i = 0; i < 3; i++) {
        struct eng_run_options options = options_of("whole");
        char *told = NULL;
        options.parallelism = parallelisms[i];
        prepare("none", 0, RECORDS);
        CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_OK);
        CU_ASSERT_EQUAL(shm_load_own(&seen->records), RECORDS);
        CU_ASSERT_EQUAL(shm_load_own(&seen->sum), (uint64_t)RECORDS * (RECORDS - 1) / 2);
        CU_ASSERT_EQUAL(shm_load_own(&seen->opened), parallelisms[i]);
        CU_ASSERT_EQUAL(shm_load_own(&seen->closed), parallelisms[i]);
        EXPECT_IN(told, "whole ended after");
        EXPECT_IN(told, "100,000 records");
        EXPECT_IN(told, "map(pass)");
        free(told);
    }
}

static void a_quiet_job_says_nothing(void)
{
    struct eng_run_options options = options_of("quiet");
    char *told = NULL;

    options.quiet = true;
    prepare("none", 0, RECORDS);
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_OK);
    CU_ASSERT_STRING_EQUAL(told, "");
    CU_ASSERT_EQUAL(shm_load_own(&seen->records), RECORDS);
    free(told);
}

static void bad_records_are_dealt_with_as_the_command_line_says(void)
{
    struct eng_run_options options = options_of("bad");
    char *told = NULL;

    prepare("reject", UINT64_MAX, RECORDS);
    options.on_bad_record = PEN_BAD_SKIP;
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_OK);
    CU_ASSERT_EQUAL(shm_load_own(&seen->records), RECORDS - RECORDS / 1000);
    EXPECT_IN(told, "100 bad records");
    free(told);

    prepare("reject", UINT64_MAX, RECORDS);
    options.on_bad_record = PEN_BAD_FAIL;
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_FAILED);
    EXPECT_IN(told, "not this one");
    free(told);

    prepare("reject", UINT64_MAX, RECORDS);
    options.on_bad_record = PEN_BAD_DEAD_LETTER;
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_USAGE);
    EXPECT_IN(told, "add --dead-letters DIR");
    CU_ASSERT_EQUAL(shm_load_own(&seen->opened), 0);
    free(told);
}

/* ---- It fails -------------------------------------------------------------------------------- */

static void expect_failure(const char *how, const char *first, const char *second)
{
    struct eng_run_options options = options_of("failing");
    char *told = NULL;

    prepare(how, RECORDS / 2, 0);
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_FAILED);
    EXPECT_IN(told, "run: job failing failed: ");
    EXPECT_IN(told, first);
    EXPECT_IN(told, second);
    EXPECT_NOT_IN(told, " ended after ");
    CU_ASSERT_PTR_NULL(
        strstr(strstr(told, "job failing failed") + 1, "job failing failed")); /* one report */
    free(told);
}

static void a_crash_is_told_with_its_place(void)
{
    expect_failure("segv", " died of SIGSEGV at address 0x8, in operator map(pass) (",
                   "control_supervisor_test.c:");
    expect_failure("segv", "; backtrace:\n", "strike");
    expect_failure("segv", ", at its record ", "pass at ");
    expect_failure("abort", " died of SIGABRT, in operator map(pass) (", "backtrace");
    expect_failure("check", " died of SIGABRT, in operator map(pass) (",
                   ": CHECK failed: strcmp(how, \"check\") != 0; backtrace:\n");
}

static void a_worker_that_is_killed_or_leaves_fails_the_job(void)
{
    expect_failure("kill", " died of SIGKILL, in operator map(pass)", "for lack of memory");
    expect_failure("exit", " exited with status 3, though nobody told it to",
                   "must not call exit()");
    expect_failure("exit 0", " exited with status 0, though nobody told it to", "map(pass)");
}

static void pen_fail_is_told_in_the_words_of_the_job(void)
{
    expect_failure("fail", "the disk 7 is full", "map(pass)");
    CU_ASSERT_EQUAL(shm_load_own(&seen->striking), 1);
    expect_failure("open", "cannot open the door", "see");
    CU_ASSERT_EQUAL(shm_load_own(&seen->records), 0); /* no one ran before all were open */
}

static void a_failed_run_still_writes_its_summary(void)
{
    struct eng_run_options options = options_of("failing");
    char *told = NULL, text[4096] = "";

    options.summary_json = "supervisor-summary.json";
    prepare("fail", 5, 0);
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_FAILED);
    FILE *file = fopen(options.summary_json, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_TRUE(fread(text, 1, sizeof text - 1, file) > 100);
    fclose(file);
    EXPECT_IN(text, "\"outcome\":\"failed\",\"exit_status\":1");
    EXPECT_IN(text, "the disk 7 is full");
    CU_ASSERT_EQUAL(unlink(options.summary_json), 0);
    free(told);
}

/* ---- It is not run --------------------------------------------------------------------------- */

static void mistakes_run_nothing(void)
{
    struct eng_run_options options = options_of("mistaken");
    char *told = NULL;

    prepare("none", 0, RECORDS);
    options.job = mistaken_job;
    options.summary_json = "supervisor-summary.json";
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_USAGE);
    EXPECT_IN(told, "control_supervisor_test.c:");
    EXPECT_IN(told, "did you mean value?");
    EXPECT_IN(told, "nothing was run");
    CU_ASSERT_NOT_EQUAL(access(options.summary_json, F_OK), 0);
    free(told);

    options = options_of("mistaken");
    options.summary_json = "missing/summary.json";
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_USAGE);
    EXPECT_IN(told, "cannot write the summary to missing/summary.json: No such file or directory");
    CU_ASSERT_EQUAL(shm_load_own(&seen->opened), 0);
    free(told);
}

static void a_summary_that_cannot_be_written_is_no_success(void)
{
    struct eng_run_options options = options_of("unsaid");
    char *told = NULL;

    options.summary_json = "/dev/full";
    options.quiet = true;
    prepare("none", 0, 1000);
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_FAILED);
    EXPECT_IN(told, "cannot write the summary to /dev/full: No space left on device");
    CU_ASSERT_EQUAL(shm_load_own(&seen->records), 1000);
    free(told);
}

static long own_sleeps(void)
{
    struct rusage usage;
    CU_ASSERT_EQUAL(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_nvcsw;
}

static void a_supervisor_sleeps_until_something_happens(void)
{
    struct eng_run_options options = options_of("sleepy");
    char *told = NULL;

    prepare("linger", UINT64_MAX, 1000);
    long before = own_sleeps();
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_OK);
    /* Who looked every few milliseconds would have slept some hundred times. */
    CU_ASSERT_TRUE(own_sleeps() - before < 40);
    CU_ASSERT_EQUAL(shm_load_own(&seen->records), 1000);
    free(told);
}

static void who_ignores_the_deaths_of_children_hears_of_them_here(void)
{
    struct eng_run_options options = options_of("deaf");
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before, after;
    char *told = NULL;

    prepare("none", 0, 1000);
    CU_ASSERT_EQUAL(sigaction(SIGCHLD, &ignore, &before), 0);
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_OK);
    CU_ASSERT_EQUAL(sigaction(SIGCHLD, &before, &after), 0);
    CU_ASSERT_TRUE(after.sa_handler == SIG_IGN); /* it was given back */
    free(told);
}

static void a_run_directory_that_others_can_read_is_refused(void)
{
    struct eng_run_options options = options_of("open");
    char *told = NULL;

    prepare("none", 0, RECORDS);
    CU_ASSERT_EQUAL(chmod(run_directory, 0755), 0);
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_FAILED);
    EXPECT_IN(told, "is open to others");
    EXPECT_IN(told, "chmod 700");
    CU_ASSERT_EQUAL(shm_load_own(&seen->opened), 0);
    CU_ASSERT_EQUAL(chmod(run_directory, 0700), 0);
    free(told);
}

static void a_plan_is_printed_and_not_run(void)
{
    struct eng_run_options options = options_of("planned");
    char *told = NULL;

    prepare("none", 0, RECORDS);
    options.explain = true;
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_OK);
    EXPECT_IN(told, "map(pass)");
    EXPECT_NOT_IN(told, "in bytes");
    free(told);
    options.dry_run = true;
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_OK);
    EXPECT_IN(told, "in bytes");
    CU_ASSERT_EQUAL(shm_load_own(&seen->opened), 0);
    free(told);
}

/* ---- It is interrupted ----------------------------------------------------------------------- */

static bool wait_until(bool (*happened)(void))
{
    uint64_t deadline_ns = shm_clock_ns() + 60000ull * MS;

    while (!happened()) {
        if (shm_clock_ns() > deadline_ns) return false;
        shm_clock_sleep_until(shm_clock_ns() + MS);
    }
    return true;
}

static bool records_flow(void)
{
    return shm_load_own(&seen->records) > 1000;
}

static bool it_strikes(void)
{
    return shm_load_own(&seen->striking) > 0;
}

/* A run in a child of its own, which exits with the run's status. */
static pid_t run_apart(const struct eng_run_options *options)
{
    fflush(NULL);
    pid_t child = fork();
    CU_ASSERT_TRUE_FATAL(child >= 0);
    if (child > 0) return child;
    FILE *out = fopen("/dev/null", "w");
    _exit(out ? (int)eng_run(options, out, out) : 99);
}

static int end_of(pid_t child)
{
    int status = 0;

    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void the_first_signal_stops_in_order(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

    for (int i = 0; i < 3; i++) {
        struct eng_run_options options = options_of("stopped");
        options.drain = i == 1;
        prepare("none", UINT64_MAX, 0);
        pid_t child = run_apart(&options);
        CU_ASSERT_TRUE(wait_until(records_flow));
        CU_ASSERT_EQUAL(kill(child, signals[i]), 0);
        CU_ASSERT_EQUAL(end_of(child), ENG_EXIT_OK);
        CU_ASSERT_EQUAL(shm_load_own(&seen->closed), 2); /* sinks were closed, not killed */
        /* What was in flight has arrived. */
        CU_ASSERT_EQUAL(shm_load_own(&seen->made), shm_load_own(&seen->records));
        CU_ASSERT_EQUAL(files_in_run_directory(), 0);
    }
}

static void the_second_signal_kills_what_hangs(void)
{
    struct eng_run_options options = options_of("hanging");

    prepare("hang", 5000, 0);
    pid_t child = run_apart(&options);
    CU_ASSERT_TRUE(wait_until(it_strikes));
    CU_ASSERT_EQUAL(kill(child, SIGINT), 0);
    shm_clock_sleep_until(shm_clock_ns() + 200 * MS);
    CU_ASSERT_EQUAL(waitpid(child, NULL, WNOHANG), 0); /* it cannot stop */
    CU_ASSERT_EQUAL(kill(child, SIGINT), 0);
    CU_ASSERT_EQUAL(end_of(child), ENG_EXIT_INTERRUPTED);
    CU_ASSERT_EQUAL(shm_load_own(&seen->closed), 0);
    CU_ASSERT_EQUAL(files_in_run_directory(), 0);
}

static void workers_ignore_the_terminals_signals(void)
{
    struct eng_run_options options = options_of("group");
    char reason[256];
    struct eng_inspect inspect;
    struct eng_snapshot snapshot;

    prepare("none", UINT64_MAX, 0);
    pid_t child = run_apart(&options);
    CU_ASSERT_TRUE(wait_until(records_flow));
    CU_ASSERT_EQUAL_FATAL(eng_inspect_open(&inspect, "group", reason, sizeof reason), 0);
    CU_ASSERT_EQUAL_FATAL(eng_inspect_take(&inspect, &snapshot), 0);
    for (uint32_t w = 0; w < 2; w++) {
        pid_t worker = (pid_t)shm_load_own(&eng_board_worker(snapshot.board, w)->slot.pid);
        CU_ASSERT_EQUAL(kill(worker, SIGINT), 0);
        CU_ASSERT_EQUAL(kill(worker, SIGHUP), 0);
    }
    shm_clock_sleep_until(shm_clock_ns() + 50 * MS);
    CU_ASSERT_EQUAL(waitpid(child, NULL, WNOHANG), 0);
    eng_inspect_drop(&snapshot);
    eng_inspect_close(&inspect);
    CU_ASSERT_EQUAL(kill(child, SIGTERM), 0);
    CU_ASSERT_EQUAL(end_of(child), ENG_EXIT_OK);
}

/* ---- Others ---------------------------------------------------------------------------------- */

static void a_name_is_used_by_one_job_at_a_time(void)
{
    struct eng_run_options options = options_of("namesake"), second;
    char *told = NULL, expected[64];
    enum eng_exit status = ENG_EXIT_OK;

    prepare("none", UINT64_MAX, 0);
    options.quiet = true;
    pid_t child = run_apart(&options);
    CU_ASSERT_TRUE(wait_until(records_flow));
    PRINTED(told, err, status = eng_run(&options, err, err));
    CU_ASSERT_EQUAL(status, ENG_EXIT_FAILED);
    snprintf(expected, sizeof expected, "a job named namesake runs already, as process %d", child);
    EXPECT_IN(told, expected);
    EXPECT_IN(told, "--name NAME");
    free(told);
    CU_ASSERT_EQUAL(files_in_run_directory(), 1); /* the first one's */

    second = options_of("other");
    job_settings.count = 1000; /* of the job that is described now */
    PRINTED(told, err, status = eng_run(&second, err, err));
    CU_ASSERT_EQUAL(status, ENG_EXIT_OK);
    free(told);
    CU_ASSERT_EQUAL(kill(child, SIGTERM), 0);
    CU_ASSERT_EQUAL(end_of(child), ENG_EXIT_OK);
    CU_ASSERT_EQUAL(files_in_run_directory(), 0);
}

static void workers_die_with_their_supervisor_and_the_next_run_sweeps(void)
{
    struct eng_run_options options = options_of("orphaned");
    char reason[256], *told = NULL;
    struct eng_inspect inspect;
    struct eng_snapshot snapshot;

    prepare("none", UINT64_MAX, 0);
    pid_t child = run_apart(&options);
    CU_ASSERT_TRUE(wait_until(records_flow));
    CU_ASSERT_EQUAL_FATAL(eng_inspect_open(&inspect, "orphaned", reason, sizeof reason), 0);
    CU_ASSERT_EQUAL(kill(child, SIGKILL), 0);
    CU_ASSERT_EQUAL(end_of(child), -SIGKILL);

    /* The kernel kills the workers; somebody else reaps them. */
    uint64_t deadline_ns = shm_clock_ns() + 60000ull * MS;
    bool alive = true;
    while (alive && shm_clock_ns() < deadline_ns) {
        CU_ASSERT_EQUAL_FATAL(eng_inspect_take(&inspect, &snapshot), 0);
        CU_ASSERT_FALSE(snapshot.supervisor_alive);
        alive = snapshot.processes[0].alive || snapshot.processes[1].alive;
        eng_inspect_drop(&snapshot);
    }
    CU_ASSERT_FALSE(alive);
    eng_inspect_close(&inspect);
    CU_ASSERT_EQUAL(files_in_run_directory(), 1);

    prepare("none", 0, 1000);
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_OK); /* checks that the directory is empty */
    free(told);
}

/* ---- main ------------------------------------------------------------------------------------ */

static void keyed_jobs_run_too(void)
{
    struct eng_run_options options = options_of("keyed");
    char *told = NULL;

    options.job = keyed_job;
    prepare("none", 0, RECORDS);
    CU_ASSERT_EQUAL(run(&options, &told), ENG_EXIT_OK);
    CU_ASSERT_EQUAL(shm_load_own(&seen->records), RECORDS);
    free(told);
}

int main(void)
{
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seen == MAP_FAILED || !mkdtemp(run_directory)) return 1;
    if (setenv("PENSTOCK_RUN_DIR", run_directory, 1) != 0) return 1;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control/supervisor", NULL, NULL);
    CU_ADD_TEST(suite, a_job_runs_to_its_end_at_any_parallelism);
    CU_ADD_TEST(suite, keyed_jobs_run_too);
    CU_ADD_TEST(suite, a_quiet_job_says_nothing);
    CU_ADD_TEST(suite, bad_records_are_dealt_with_as_the_command_line_says);
    CU_ADD_TEST(suite, a_crash_is_told_with_its_place);
    CU_ADD_TEST(suite, a_worker_that_is_killed_or_leaves_fails_the_job);
    CU_ADD_TEST(suite, pen_fail_is_told_in_the_words_of_the_job);
    CU_ADD_TEST(suite, a_failed_run_still_writes_its_summary);
    CU_ADD_TEST(suite, mistakes_run_nothing);
    CU_ADD_TEST(suite, a_summary_that_cannot_be_written_is_no_success);
    CU_ADD_TEST(suite, a_supervisor_sleeps_until_something_happens);
    CU_ADD_TEST(suite, who_ignores_the_deaths_of_children_hears_of_them_here);
    CU_ADD_TEST(suite, a_run_directory_that_others_can_read_is_refused);
    CU_ADD_TEST(suite, a_plan_is_printed_and_not_run);
    CU_ADD_TEST(suite, the_first_signal_stops_in_order);
    CU_ADD_TEST(suite, the_second_signal_kills_what_hangs);
    CU_ADD_TEST(suite, workers_ignore_the_terminals_signals);
    CU_ADD_TEST(suite, a_name_is_used_by_one_job_at_a_time);
    CU_ADD_TEST(suite, workers_die_with_their_supervisor_and_the_next_run_sweeps);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0 || rmdir(run_directory) != 0;
}
