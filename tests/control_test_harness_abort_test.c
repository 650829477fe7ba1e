/* What a test does wrong, and how its job fails: told on standard error, and the program aborts.
 * Shows: engine/control/test (test.c, test_ends.c, test_state.c).
 * Method: each in a child, whose signal and standard error are looked at. */
#include "tests/control_test_harness.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs it in a child, which must abort and say `part` on standard error. */
static void aborts(void (*body)(void), const char *part)
{
    static char said[65536];
    int pipe_fds[2], status;
    size_t used = 0;
    ssize_t got;

    fflush(NULL);
    CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
    pid_t child = fork();
    CU_ASSERT_TRUE_FATAL(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        dup2(pipe_fds[1], STDERR_FILENO);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        body();
        _exit(0);
    }
    close(pipe_fds[1]);
    while ((got = read(pipe_fds[0], said + used, sizeof said - 1 - used)) > 0)
        used += (size_t)got;
    said[used] = '\0';
    close(pipe_fds[0]);
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    bool good = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, part);
    if (!good)
        fprintf(stderr, "\n  expected: %s\n  status %x, it said: %s\n", part, (unsigned)status,
                said);
    CU_ASSERT_TRUE(good);
}

static void fail_at_13(pen_context *ctx, const struct event *event)
{
    if (event->value == 13) pen_fail(ctx, "it is %d", 13);
    pen_send(ctx, event, event);
}
PEN_MAP(fail_at_13, event, event);

static void open_failing(uint32_t parallelism)
{
    test = pen_test_open();
    pen_test_parallelism(test, parallelism);
    in = pen_test_input(test, event, NULL);
    out = pen_test_output(test, pen_map(in, fail_at_13));
    pen_test_start(test);
    for (int i = 0; i < 13; i++)
        pen_test_push(test, in, event, .value = i);
}

enum { FAILING_LINE = __LINE__ + 4 };
static void push_what_fails(void)
{
    open_failing(1);
    pen_test_push(test, in, event, .value = 13);
}

static void push_what_fails_elsewhere(void)
{
    open_failing(3);
    pen_test_push(test, in, event, .value = 13);
    pen_test_push(test, in, event, .value = 13);
}

static void fail_always(pen_context *ctx)
{
    pen_fail(ctx, "no disk");
}

static void fail_in_open(void)
{
    test = pen_test_open();
    pen_test_output(test, pen_map(pen_test_input(test, event, NULL), pass, .open = fail_always));
    pen_test_start(test);
}

static void fail_in_close(void)
{
    test = pen_test_open();
    pen_test_output(test, pen_map(pen_test_input(test, event, NULL), pass, .close = fail_always));
    pen_test_start(test);
    pen_test_end(test);
}

static void make_mistakes(void)
{
    test = pen_test_open();
    pen_stream notes = pen_test_input(test, note, NULL);
    pen_test_output(test, pen_map(notes, pass));
    pen_test_output(test, pen_process(pen_key_by(notes, "nubmer"), write_down));
    pen_test_start(test);
}

static void give_an_unknown_argument(void)
{
    test = pen_test_open();
    pen_test_arg(test, "gab", "1");
    pen_arg_int(pen_test_graph(test), "gap", 1, "");
    pen_test_output(test, pen_test_input(test, event, NULL));
    pen_test_start(test);
}

static void start_without_an_end(void)
{
    test = pen_test_open();
    pen_test_output(test, pen_generate(pen_test_graph(test), make_tick));
    pen_test_start(test);
}

static void start_twice(void)
{
    open_straight();
    pen_test_start(test);
}

static void name_a_missing_time_field(void)
{
    test = pen_test_open();
    pen_test_input(test, event, "when");
}

static void name_a_number_as_time_field(void)
{
    test = pen_test_open();
    pen_test_input(test, event, "key");
}

static void add_an_input_too_late(void)
{
    open_straight();
    pen_test_input(test, event, NULL);
}

static void push_before_the_start(void)
{
    test = pen_test_open();
    in = pen_test_input(test, event, NULL);
    pen_test_push(test, in, event, .value = 1);
}

static void push_after_the_end(void)
{
    open_straight();
    pen_test_end(test);
    pen_test_push(test, in, event, .value = 1);
}

static void push_another_type(void)
{
    open_straight();
    pen_test_push(test, in, note, .number = 1);
}

static void push_into_an_output(void)
{
    open_sums(1);
    pen_test_push(test, out, event, .value = 1);
}

static void push_a_row_kind(void)
{
    open_straight();
    pen_test_push_as(test, in, PEN_DELETE, event, .value = 1);
}

static void push_no_row_kind(void)
{
    open_straight();
    pen_test_push_as(test, in, PEN_SAME, event, .value = 1);
}

static void open_notes(void)
{
    test = pen_test_open();
    in = pen_test_input(test, note, NULL);
    out = pen_test_output(test, in);
    pen_test_start(test);
}

static void push_a_text_twice(void)
{
    open_notes();
    pen_string text = pen_put(pen_test_context(test), "once");
    pen_test_push(test, in, note, .text = text);
    pen_test_push(test, in, note, .text = text);
}

static void push_a_text_by_assignment(void)
{
    open_notes();
    pen_test_push(test, in, note, .text = pen_put(pen_test_context(test), "once"));
    const struct note *note = pen_test_next(test, out, note);
    pen_test_push(test, in, note, .text = note->text);
}

static void emit_at_the_desk(void)
{
    open_notes();
    pen_emit(pen_test_context(test), note, .number = 1);
}

static void say_a_watermark_without_event_time(void)
{
    open_notes();
    pen_test_watermark(test, in, second(1));
}

static void turn_the_clock_back(void)
{
    open_straight();
    pen_test_clock(test, second(2));
    pen_test_clock(test, second(1));
}

static void begin_before_the_epoch(void)
{
    open_straight();
    pen_test_clock(test, second(-1));
}

static void read_another_type(void)
{
    open_straight();
    (void)pen_test_next(test, out, note);
}

static void read_no_output(void)
{
    open_sums(1);
    (void)pen_test_next(test, in, event);
}

static void ask_for_the_row_of_nothing(void)
{
    open_straight();
    pen_test_push(test, in, event, .value = 1);
    (void)pen_test_row(test, out);
}

static void ask_for_the_time_of_nothing(void)
{
    open_straight();
    (void)pen_test_next(test, out, event);
    (void)pen_test_record_time(test, out);
}

static void ask_for_the_state_of_nobody(void)
{
    open_sums(1);
    (void)pen_test_state(test, "summs", sum, pen_int(1));
}

static void ask_for_the_state_of_a_map(void)
{
    open_sums(1);
    (void)pen_test_state(test, "pass", sum, pen_int(1));
}

static void ask_for_another_state(void)
{
    open_sums(1);
    (void)pen_test_state(test, "sums", diary, pen_int(1));
}

static void ask_for_one_of_two_keys(void)
{
    test = pen_test_open();
    in = pen_test_input(test, event, NULL);
    pen_process(pen_key_by(in, "key", "value"), add, .id = "pairs");
    pen_test_start(test);
    pen_test_push(test, in, event, .key = 1, .value = 10);
    pen_test_push(test, in, event, .key = 1, .value = 20);
    (void)pen_test_state(test, "pairs", sum, pen_int(1));
}

static void ask_for_a_state_too_early(void)
{
    test = pen_test_open();
    (void)pen_test_state(test, "pairs", sum, pen_int(1));
}

static void take_a_checkpoint(void)
{
    open_straight();
    pen_test_checkpoint(test);
}

static void crash_it(void)
{
    open_straight();
    pen_test_crash(test);
}

static void use_no_test(void)
{
    pen_test_start((pen_test *)NULL);
}

static void failing_job(pen_graph *graph)
{
    pen_sink(pen_map(pen_generate(graph, make_tick, .count = 20), fail_at_13), add_up);
}

static void run_what_fails(void)
{
    pen_test_run(failing_job, NULL);
}

static void run_with_mistakes(void)
{
    static const char *const arguments[] = {"--cuont", "1000", NULL};
    pen_test_run(whole_job, arguments);
}

static void failures_of_the_job_are_told_and_abort(void)
{
    char where[64];

    aborts(push_what_fails, "job test failed: map(fail_at_13) (");
    aborts(push_what_fails, "): it is 13\n");
    snprintf(where, sizeof where, "control_test_harness_abort_test.c:%d: job", FAILING_LINE);
    aborts(push_what_fails, where);
    aborts(push_what_fails_elsewhere, "): it is 13\n");
    aborts(fail_in_open, "map(pass)");
    aborts(fail_in_open, "no disk");
    aborts(fail_in_close, "no disk");
    aborts(run_what_fails, "job test failed: map(fail_at_13) (");
}

static void mistakes_in_the_graph_are_told_and_abort(void)
{
    aborts(make_mistakes, "pen_map(pass): it takes event, the stream carries note");
    aborts(make_mistakes, "did you mean number?");
    aborts(give_an_unknown_argument, "--gab");
    aborts(run_with_mistakes, "--cuont");
    aborts(start_without_an_end, "pen_generate(make_tick) never ends");
    aborts(name_a_missing_time_field, "event has no field when");
    aborts(name_a_number_as_time_field, "key of event is int64");
}

static void calls_at_the_wrong_time_abort(void)
{
    aborts(use_no_test, "the test is NULL");
    aborts(start_twice, "pen_test_start: the test has started");
    aborts(add_an_input_too_late, "pen_test_input: the test has started");
    aborts(push_before_the_start, "pen_test_push: pen_test_start comes before");
    aborts(push_after_the_end, "pen_test_push: the inputs have ended");
    aborts(ask_for_a_state_too_early, "pen_test_state: pen_test_start comes before");
    aborts(ask_for_the_row_of_nothing, "pen_test_row: pen_test_next has returned no record");
    aborts(ask_for_the_time_of_nothing, "pen_test_record_time: pen_test_next has returned no");
    aborts(turn_the_clock_back, "cannot go back");
    aborts(begin_before_the_epoch, "cannot go back");
    aborts(take_a_checkpoint, "takes no checkpoints yet");
    aborts(crash_it, "cannot restore a job yet");
}

static void records_and_streams_of_another_kind_abort(void)
{
    aborts(push_another_type, "a record of note, and the input has event");
    aborts(push_into_an_output, "no pen_test_input of this test");
    aborts(push_a_row_kind, "inserts only");
    aborts(push_no_row_kind, "no row kind 4");
    aborts(push_a_text_twice, "was put for an earlier record");
    aborts(push_a_text_by_assignment, "field text is a copy of a text");
    aborts(emit_at_the_desk, "emits where no record is at hand");
    aborts(say_a_watermark_without_event_time, "has no event time");
    aborts(read_another_type, "it asks for note, and the output has event");
    aborts(read_no_output, "no pen_test_output of this test");
    aborts(ask_for_the_state_of_nobody, "no operator has the id summs; did you mean sums?");
    aborts(ask_for_the_state_of_a_map, "map(pass) keeps no state argument");
    aborts(ask_for_another_state, "it asks for diary, and process(add) keeps sum");
    aborts(ask_for_one_of_two_keys, "several keys of process(add) begin so");
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("what aborts a test", NULL, NULL);
    CU_ADD_TEST(suite, failures_of_the_job_are_told_and_abort);
    CU_ADD_TEST(suite, mistakes_in_the_graph_are_told_and_abort);
    CU_ADD_TEST(suite, calls_at_the_wrong_time_abort);
    CU_ADD_TEST(suite, records_and_streams_of_another_kind_abort);
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
