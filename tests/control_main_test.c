/* control/main: a job as a program. Method: this program is one, when it is called with a first
 * word that is no test's: it calls itself and looks at exit status and output. */
#include "engine/control/main.h"

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

static void job(pen_graph *graph)
{
    int64_t count = pen_arg_int(graph, "count", 3, "how many");
    pen_print(pen_generate(graph, make, .count = (uint64_t)count));
}

/* This program as a job: its exit status, and the output that comes first. */
static int program(const char *arguments, char *text, size_t text_bytes)
{
    char command[512], path[256];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);

    CU_ASSERT_TRUE_FATAL(size > 0);
    path[size] = 0;
    snprintf(command, sizeof command, "AS_A_JOB=1 %s %s 2>&1", path, arguments);
    FILE *out = popen(command, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    size_t used = fread(text, 1, text_bytes - 1, out);
    text[used] = 0;
    int status = pclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void pen_main_runs_the_job_with_the_arguments_of_run(void)
{
    char text[8192];

    CU_ASSERT_EQUAL(program("--quiet --parallelism 1 -- --count 2", text, sizeof text), 0);
    EXPECT_IN(text, "value=0");
    EXPECT_IN(text, "value=1");
    EXPECT_NOT_IN(text, "value=2");
    CU_ASSERT_EQUAL(program("", text, sizeof text), 0);
    EXPECT_IN(text, "value=2");
    EXPECT_IN(text, "3 records");
}

static void mistakes_are_told_under_the_programs_own_name(void)
{
    char text[8192];

    CU_ASSERT_EQUAL(program("--quite", text, sizeof text), ENG_EXIT_USAGE);
    EXPECT_IN(text, "control_main_test: there is no option --quite. Did you mean --quiet?");
    CU_ASSERT_EQUAL(program("job.so", text, sizeof text), ENG_EXIT_USAGE);
    EXPECT_IN(text, "one word too many");
    CU_ASSERT_EQUAL(program("-- --cuont 3", text, sizeof text), ENG_EXIT_USAGE);
    EXPECT_IN(text, "did you mean --count?");
}

static void help_is_printed(void)
{
    char text[8192];

    CU_ASSERT_EQUAL(program("--help", text, sizeof text), ENG_EXIT_OK);
    EXPECT_IN(text, "usage: control_main_test [options] [-- arguments of the job]");
    CU_ASSERT_EQUAL(program("-- --help", text, sizeof text), ENG_EXIT_OK);
    EXPECT_IN(text, "how many");
}

static void a_check_runs_nothing(void)
{
    char *words[] = {(char *)(uintptr_t) "check"};

    CU_ASSERT_EQUAL(eng_main("check", 1, words, job, true), ENG_EXIT_OK);
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
}

int main(int argc, char **argv)
{
    char run_directory[] = "main-run-XXXXXX";

    if (getenv("AS_A_JOB")) return pen_main(argc, argv, job);
    if (!mkdtemp(run_directory) || setenv("PENSTOCK_RUN_DIR", run_directory, 1) != 0) return 1;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control/main", NULL, NULL);
    CU_ADD_TEST(suite, pen_main_runs_the_job_with_the_arguments_of_run);
    CU_ADD_TEST(suite, mistakes_are_told_under_the_programs_own_name);
    CU_ADD_TEST(suite, help_is_printed);
    CU_ADD_TEST(suite, a_check_runs_nothing);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0 || rmdir(run_directory) != 0;
}
