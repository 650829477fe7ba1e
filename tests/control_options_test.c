/* control/options: the command line of a run, and every mistake in one message. */
#include "engine/control/options.h"

#include <sched.h>

#include "tests/control_board.h"

static void no_job(pen_graph *graph)
{
    (void)graph;
}

/* Parses words, which end with NULL, and returns what was told. The caller closes and frees. */
static char *parse(struct eng_run_options *options, void (*job)(pen_graph *), bool *good,
                   char *const *words)
{
    char *argv[32] = {(char *)(uintptr_t) "run"};
    int argc = 1;
    char *told = NULL;

    while (words[argc - 1]) {
        argv[argc] = words[argc - 1];
        argc++;
    }
    /* The job's arguments stay in argv, as they do in main. */
    static char *kept[32];
    memcpy(kept, argv, sizeof kept);
    PRINTED(told, err, *good = eng_options_open(options, "penstock run", job, argc, kept, err));
    return told;
}
#define WORDS(...)                                                                                 \
    (char *[])                                                                                     \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void expect_refusal(char *const *words, const char *part)
{
    struct eng_run_options options;
    bool good = true;
    char *told = parse(&options, NULL, &good, words);

    CU_ASSERT_FALSE(good);
    EXPECT_IN(told, part);
    CU_ASSERT_EQUAL(strncmp(told, "penstock run: ", 14), 0);
    CU_ASSERT_PTR_EQUAL(strchr(told, '\n'), told + strlen(told) - 1); /* one message */
    free(told);
    eng_options_close(&options);
}

static void all_options_are_understood(void)
{
    struct eng_run_options o;
    bool good = false;
    char *told =
        parse(&o, NULL, &good,
              WORDS("job.so", "--parallelism", "4", "--name=flights.2", "--explain", "--dry-run",
                    "--drain", "--summary-json", "s.json", "--on-bad-record", "dead-letter",
                    "--dead-letters", "dead", "-q", "--", "--input", "x.csv", "--quiet"));

    CU_ASSERT_TRUE(good);
    CU_ASSERT_STRING_EQUAL(told, "");
    CU_ASSERT_STRING_EQUAL(o.object, "job.so");
    CU_ASSERT_EQUAL(o.parallelism, 4);
    CU_ASSERT_STRING_EQUAL(o.name, "flights.2");
    CU_ASSERT_TRUE(o.explain && o.dry_run && o.drain && o.quiet);
    CU_ASSERT_STRING_EQUAL(o.summary_json, "s.json");
    CU_ASSERT_EQUAL(o.on_bad_record, PEN_BAD_DEAD_LETTER);
    CU_ASSERT_STRING_EQUAL(o.dead_letters, "dead");
    CU_ASSERT_EQUAL(o.argument_count, 3);
    CU_ASSERT_STRING_EQUAL(o.arguments[0], "--input");
    CU_ASSERT_STRING_EQUAL(o.arguments[2], "--quiet");
    free(told);
    eng_options_close(&o);
}

static void the_job_object_may_stand_anywhere_before_the_dashes(void)
{
    struct eng_run_options o;
    bool good = false;
    char *told = parse(&o, NULL, &good, WORDS("--quiet", "job.so", "--drain", "--", "more"));

    CU_ASSERT_TRUE(good);
    CU_ASSERT_STRING_EQUAL(o.object, "job.so");
    CU_ASSERT_TRUE(o.drain);
    CU_ASSERT_STRING_EQUAL(o.arguments[0], "more");
    free(told);
    eng_options_close(&o);
}

static void a_program_with_its_job_takes_no_object(void)
{
    struct eng_run_options o;
    bool good = false;
    char *told = parse(&o, no_job, &good, WORDS("--drain", "--", "x"));

    CU_ASSERT_TRUE(good);
    CU_ASSERT_PTR_NULL(o.object);
    CU_ASSERT_EQUAL(o.argument_count, 1);
    free(told);
    eng_options_close(&o);
    told = parse(&o, no_job, &good, WORDS("job.so"));
    CU_ASSERT_FALSE(good);
    EXPECT_IN(told, "'job.so' is one word too many");
    free(told);
    eng_options_close(&o);
}

static void unknown_options_name_the_nearest_known_one(void)
{
    expect_refusal(WORDS("job.so", "--paralelism", "4"), "Did you mean --parallelism?");
    expect_refusal(WORDS("job.so", "--sumary-json=x"), "no option --sumary-json. Did you mean");
    expect_refusal(WORDS("job.so", "--zzzzzzzz"), "no option --zzzzzzzz. `penstock run --help`");
    expect_refusal(WORDS("job.so", "-x"), "there is no option -x");
    expect_refusal(WORDS("job.so", "-qx"), "there is no option -x");
    expect_refusal(WORDS("job.so", "--name"), "--name needs a value");
    expect_refusal(WORDS("job.so", "other.so"), "'other.so' is one word too many");
    expect_refusal(WORDS("--quiet"), "which job?");
}

static void numbers_of_workers_are_bounded(void)
{
    expect_refusal(WORDS("job.so", "--parallelism", "0"), "a job has 1 to 256 workers");
    expect_refusal(WORDS("job.so", "--parallelism", "10000"), "a job has 1 to 256 workers");
    expect_refusal(WORDS("job.so", "--parallelism", "-1"), "a job has 1 to 256 workers");
    expect_refusal(WORDS("job.so", "--parallelism", "4x"), "a job has 1 to 256 workers");
    expect_refusal(WORDS("job.so", "--parallelism", ""), "a job has 1 to 256 workers");
    expect_refusal(WORDS("job.so", "--parallelism", "99999999999999999999"), "1 to 256 workers");
}

static void cores_are_those_that_one_may_use(void)
{
    cpu_set_t set;
    char text[64];
    struct eng_run_options o;
    bool good = false;

    CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof set, &set), 0);
    uint32_t first = 0;
    while (!CPU_ISSET(first, &set))
        first++;
    snprintf(text, sizeof text, "%u-%u", first, first);
    char *told = parse(&o, NULL, &good, WORDS("job.so", "--cores", text));
    CU_ASSERT_TRUE(good);
    CU_ASSERT_EQUAL(o.core_count, 1);
    CU_ASSERT_EQUAL(o.cores[0], (int)first);
    free(told);
    eng_options_close(&o);

    snprintf(text, sizeof text, "%u,%u", first, first);
    expect_refusal(WORDS("job.so", "--cores", text), "twice");
    expect_refusal(WORDS("job.so", "--cores", "1023"), "may not run on core 1023, only on ");
    expect_refusal(WORDS("job.so", "--cores", "99999"), "may not run on core 99999");
    expect_refusal(WORDS("job.so", "--cores", "3-1"), "write numbers and ranges");
    expect_refusal(WORDS("job.so", "--cores", "0,"), "write numbers and ranges");
    expect_refusal(WORDS("job.so", "--cores", "a"), "write numbers and ranges");
    expect_refusal(WORDS("job.so", "--cores", ""), "write numbers and ranges");
    expect_refusal(WORDS("job.so", "--cores", "0-100000"), "write numbers and ranges");
}

static void names_that_cannot_be_files_are_refused(void)
{
    expect_refusal(WORDS("job.so", "--name", "../../etc"), "letters, digits");
    expect_refusal(WORDS("job.so", "--name", ".hidden"), "letters, digits");
    expect_refusal(WORDS("job.so", "--name", ""), "letters, digits");
    expect_refusal(WORDS("job.so", "--on-bad-record", "skipp"), "Did you mean skip?");
    expect_refusal(WORDS("job.so", "--summary-json", ""), "--summary-json: the path is empty");
}

static void only_the_first_mistake_is_told(void)
{
    expect_refusal(WORDS("job.so", "--parallelism", "0", "--name", "", "--zz"), "--parallelism 0");
}

static void help_needs_no_job(void)
{
    struct eng_run_options o;
    bool good = false;
    char *told = parse(&o, NULL, &good, WORDS("--help")), *help = NULL;

    CU_ASSERT_TRUE(good);
    CU_ASSERT_TRUE(o.help);
    PRINTED(help, out, eng_options_print_help(&o, out));
    EXPECT_IN(help, "usage: penstock run JOB.so");
    EXPECT_IN(help, "--on-bad-record");
    free(help);
    free(told);
    eng_options_close(&o);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control/options", NULL, NULL);
    CU_ADD_TEST(suite, all_options_are_understood);
    CU_ADD_TEST(suite, the_job_object_may_stand_anywhere_before_the_dashes);
    CU_ADD_TEST(suite, a_program_with_its_job_takes_no_object);
    CU_ADD_TEST(suite, unknown_options_name_the_nearest_known_one);
    CU_ADD_TEST(suite, numbers_of_workers_are_bounded);
    CU_ADD_TEST(suite, cores_are_those_that_one_may_use);
    CU_ADD_TEST(suite, names_that_cannot_be_files_are_refused);
    CU_ADD_TEST(suite, only_the_first_mistake_is_told);
    CU_ADD_TEST(suite, help_needs_no_job);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
