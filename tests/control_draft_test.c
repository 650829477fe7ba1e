/* control/draft: from a command line to a plan, with nothing started. */
#include "engine/control/draft.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/control_board.h"

struct item {
    int64_t value;
};
PEN_RECORD(item, value);

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, item, .value = (int64_t)index);
}
PEN_GENERATE(make, item);

static enum pen_taken take(pen_context *ctx, const struct item *item)
{
    (void)ctx, (void)item;
    return PEN_TAKEN;
}
PEN_SINK(take, item);

struct piece {
    int64_t from;
};
PEN_RECORD(piece, from);

static void plan_nothing(pen_context *ctx)
{
    pen_fail(ctx, "the shelf is empty");
}

static enum pen_poll poll_piece(pen_context *ctx, struct piece *piece)
{
    (void)ctx, (void)piece;
    return PEN_END;
}
PEN_SOURCE(poll_piece, piece, item);

static const char *job_name;

static void plain_job(pen_graph *graph)
{
    pen_configure(graph, .job_name = job_name, .dead_letters = "dead", .rejects_max = 5,
                  .on_bad_record = PEN_BAD_DEAD_LETTER);
    pen_sink(
        pen_generate(graph, make, .count = (uint64_t)pen_arg_int(graph, "count", 1, "how many")),
        take, .id = "take");
}

static void unplannable_job(pen_graph *graph)
{
    pen_sink(pen_source(graph, poll_piece, .plan = plan_nothing), take, .id = "take");
}

static void crashing_job(pen_graph *graph)
{
    (void)graph;
    raise(SIGSEGV);
}

/* Drafts; what was printed on either stream is the caller's to free. */
static enum eng_exit draft(struct eng_draft *d, const struct eng_run_options *options,
                           bool *is_done, char **printed)
{
    enum eng_exit status = ENG_EXIT_FAILED;
    PRINTED(*printed, out, status = eng_draft_open(d, options, is_done, out, out));
    return status;
}

static void a_draft_is_a_plan_with_settings_and_a_name(void)
{
    struct eng_run_options options = {.program = "run", .job = plain_job, .parallelism = 2};
    struct eng_draft d, other;
    bool is_done = true;
    char *printed = NULL;

    job_name = "flights of 2013/a";
    CU_ASSERT_EQUAL(draft(&d, &options, &is_done, &printed), ENG_EXIT_OK);
    CU_ASSERT_FALSE(is_done);
    CU_ASSERT_STRING_EQUAL(printed, "");
    CU_ASSERT_STRING_EQUAL(d.name, "flights-of-2013-a"); /* it becomes a file's */
    CU_ASSERT_EQUAL(d.plan.worker_count, 2);
    CU_ASSERT_EQUAL(d.plan.node_count, 2);
    CU_ASSERT_EQUAL(d.settings.on_bad_record, PEN_BAD_DEAD_LETTER);
    CU_ASSERT_STRING_EQUAL(d.settings.dead_letters, "dead");
    CU_ASSERT_EQUAL(d.settings.rejects_max, 5);
    CU_ASSERT_EQUAL(strlen(d.settings.run), 16);
    free(printed);

    CU_ASSERT_EQUAL(draft(&other, &options, &is_done, &printed), ENG_EXIT_OK);
    CU_ASSERT_STRING_NOT_EQUAL(d.settings.run, other.settings.run);
    eng_draft_close(&other);
    eng_draft_close(&d);
    free(printed);
}

static void the_command_line_has_the_last_word(void)
{
    struct eng_run_options options = {.program = "run",
                                      .job = plain_job,
                                      .parallelism = 1,
                                      .name = "mine",
                                      .on_bad_record = PEN_BAD_SKIP,
                                      .dead_letters = "elsewhere"};
    struct eng_draft d;
    bool is_done;
    char *printed = NULL;

    job_name = "theirs";
    CU_ASSERT_EQUAL(draft(&d, &options, &is_done, &printed), ENG_EXIT_OK);
    CU_ASSERT_STRING_EQUAL(d.name, "mine");
    CU_ASSERT_EQUAL(d.settings.on_bad_record, PEN_BAD_SKIP);
    CU_ASSERT_STRING_EQUAL(d.settings.dead_letters, "elsewhere");
    eng_draft_close(&d);
    free(printed);

    options.on_bad_record = PEN_BAD_DEFAULT; /* a directory alone means: write them down */
    CU_ASSERT_EQUAL(draft(&d, &options, &is_done, &printed), ENG_EXIT_OK);
    CU_ASSERT_EQUAL(d.settings.on_bad_record, PEN_BAD_DEAD_LETTER);
    eng_draft_close(&d);
    free(printed);
}

static void a_job_without_a_name_has_that_of_its_program(void)
{
    struct eng_run_options options = {.program = "run", .job = plain_job, .parallelism = 1};
    struct eng_draft d;
    bool is_done;
    char *printed = NULL;

    job_name = NULL;
    CU_ASSERT_EQUAL(draft(&d, &options, &is_done, &printed), ENG_EXIT_OK);
    CU_ASSERT_STRING_EQUAL(d.name, "control_draft_test");
    eng_draft_close(&d);
    free(printed);

    job_name = "..a-name-that-is-much-longer-than-what-fits-into-the-name-of-a-region-file";
    CU_ASSERT_EQUAL(draft(&d, &options, &is_done, &printed), ENG_EXIT_OK);
    CU_ASSERT_EQUAL(strlen(d.name), sizeof d.name - 1);
    CU_ASSERT_EQUAL(strncmp(d.name, "-.a-name", 8), 0);
    eng_draft_close(&d);
    free(printed);
}

static void help_checks_and_plans_stop_here(void)
{
    char *help[] = {(char *)(uintptr_t) "--help"};
    struct eng_run_options options = {
        .program = "run", .job = plain_job, .arguments = help, .argument_count = 1};
    struct eng_draft d;
    bool is_done = false;
    char *printed = NULL;

    job_name = "helpful";
    CU_ASSERT_EQUAL(draft(&d, &options, &is_done, &printed), ENG_EXIT_OK);
    CU_ASSERT_TRUE(is_done);
    EXPECT_IN(printed, "--count");
    EXPECT_IN(printed, "how many");
    eng_draft_close(&d);
    free(printed);

    options = (struct eng_run_options){.program = "check", .job = plain_job, .check = true};
    CU_ASSERT_EQUAL(draft(&d, &options, &is_done, &printed), ENG_EXIT_OK);
    CU_ASSERT_TRUE(is_done);
    CU_ASSERT_STRING_EQUAL(printed, "");
    eng_draft_close(&d);
    free(printed);

    /* A check does not ask the world: that a source finds nothing today is no mistake of the graph.
     */
    options.job = unplannable_job;
    CU_ASSERT_EQUAL(draft(&d, &options, &is_done, &printed), ENG_EXIT_OK);
    eng_draft_close(&d);
    free(printed);
}

static void what_a_source_cannot_plan_is_told(void)
{
    struct eng_run_options options = {.program = "run", .job = unplannable_job};
    struct eng_draft d;
    bool is_done;
    char *printed = NULL;

    CU_ASSERT_EQUAL(draft(&d, &options, &is_done, &printed), ENG_EXIT_FAILED);
    EXPECT_IN(printed, "run: source(poll_piece) (");
    EXPECT_IN(printed, "control_draft_test.c:");
    EXPECT_IN(printed, "): the shelf is empty\n");
    /* Who and where are said once. */
    CU_ASSERT_PTR_NULL(strstr(strstr(printed, "poll_piece") + 1, "poll_piece"));
    CU_ASSERT_PTR_NULL(
        strstr(strstr(printed, "control_draft_test.c:") + 1, "control_draft_test.c:"));
    eng_draft_close(&d);
    free(printed);
}

static void a_wrong_argument_is_a_mistake(void)
{
    char *words[] = {(char *)(uintptr_t) "--cuont", (char *)(uintptr_t) "3"};
    struct eng_run_options options = {
        .program = "run", .job = plain_job, .arguments = words, .argument_count = 2};
    struct eng_draft d;
    bool is_done;
    char *printed = NULL;

    CU_ASSERT_EQUAL(draft(&d, &options, &is_done, &printed), ENG_EXIT_USAGE);
    EXPECT_IN(printed, "did you mean --count?");
    EXPECT_IN(printed, "nothing was run");
    eng_draft_close(&d);
    free(printed);
}

static void a_missing_object_is_told(void)
{
    struct eng_run_options options = {.program = "run", .object = "missing/job.so"};
    struct eng_draft d;
    bool is_done;
    char *printed = NULL;

    CU_ASSERT_EQUAL(draft(&d, &options, &is_done, &printed), ENG_EXIT_USAGE);
    EXPECT_IN(printed, "run: missing/job.so: there is no such file");
    eng_draft_close(&d);
    free(printed);
}

static void a_crash_in_pen_job_says_where(void)
{
    struct eng_run_options options = {.program = "run", .job = crashing_job};
    char text[4096] = "";
    int ends[2], status;

    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct eng_draft d;
        bool is_done;
        dup2(ends[1], STDERR_FILENO);
        eng_draft_open(&d, &options, &is_done, stderr, stderr);
        _exit(0);
    }
    close(ends[1]);
    for (size_t used = 0; used < sizeof text - 1;) {
        ssize_t size = read(ends[0], text + used, sizeof text - 1 - used);
        if (size <= 0) break;
        used += (size_t)size;
    }
    close(ends[0]);
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    EXPECT_IN(text, "the job crashed while it was being described");
    EXPECT_IN(text, "control_draft_test");
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control/draft", NULL, NULL);
    CU_ADD_TEST(suite, a_draft_is_a_plan_with_settings_and_a_name);
    CU_ADD_TEST(suite, the_command_line_has_the_last_word);
    CU_ADD_TEST(suite, a_job_without_a_name_has_that_of_its_program);
    CU_ADD_TEST(suite, help_checks_and_plans_stop_here);
    CU_ADD_TEST(suite, what_a_source_cannot_plan_is_told);
    CU_ADD_TEST(suite, a_wrong_argument_is_a_mistake);
    CU_ADD_TEST(suite, a_missing_object_is_told);
    CU_ADD_TEST(suite, a_crash_in_pen_job_says_where);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
