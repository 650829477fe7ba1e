/* What the tests of penstock/test.h share: records, functions under test, small jobs. */
#ifndef TESTS_CONTROL_TEST_HARNESS_H
#define TESTS_CONTROL_TEST_HARNESS_H

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>

#include <penstock/test.h>

struct event {
    pen_time at;
    int64_t key;
    int64_t value;
};
PEN_RECORD(event, at, key, value);

struct note {
    int64_t number;
    pen_string text;
    pen_opt_string remark;
};
PEN_RECORD(note, number, text, remark);

static pen_time second(int64_t seconds)
{
    return pen_time_plus((pen_time){0}, PEN_SECONDS(seconds));
}
/* ---- Functions under test -------------------------------------------------------------------- */

static void pass(pen_context *ctx, const struct event *event)
{
    if (event->value < 0) {
        pen_reject(ctx, "value %lld", (long long)event->value);
        return;
    }
    pen_send(ctx, event, event);
}
PEN_MAP(pass, event, event);

static bool is_even(const struct event *event)
{
    return event->value % 2 == 0;
}
PEN_FILTER(is_even, event);

struct sum {
    int64_t count;
    int64_t sum;
};
PEN_RECORD(sum, count, sum);

static void add(pen_context *ctx, const struct event *event, struct sum *sum)
{
    sum->count++;
    sum->sum += event->value;
    pen_emit(ctx, event, .at = event->at, .key = event->key, .value = sum->sum);
}
PEN_PROCESS(add, event, sum, event);

struct diary {
    int64_t notes;
    pen_string last;
};
PEN_RECORD(diary, notes, last);

static void write_down(pen_context *ctx, const struct note *note, struct diary *diary)
{
    if (note->number < 0) {
        pen_forget(ctx);
        return;
    }
    diary->notes++;
    pen_keep(ctx, &diary->last, &note->remark.value);
    pen_emit(ctx, note, .number = diary->notes, .text = pen_put(ctx, &note->text));
}
PEN_PROCESS(write_down, note, diary, note);

static void make_tick(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, event, .at = pen_generate_due(ctx, index), .value = (int64_t)index);
}
PEN_GENERATE(make_tick, event);

static int64_t run_sum, run_limit;

static enum pen_taken add_up(pen_context *ctx, const struct event *event)
{
    (void)ctx;
    run_sum += event->value;
    return PEN_TAKEN;
}
PEN_SINK(add_up, event);

static void whole_job(pen_graph *graph)
{
    run_limit = pen_arg_int(graph, "count", 10, "how many");
    pen_configure(graph, .parallelism = (uint32_t)pen_arg_int(graph, "workers", 0, "workers"));
    pen_stream made = pen_generate(graph, make_tick, .count = (uint64_t)run_limit, .rate = 20000);
    pen_sink(pen_map(pen_rebalance(made), pass), add_up, .parallelism = 1);
}

/* ---- Jobs in a test ---------------------------------------------------------------------------
 */

static pen_test *test;
static pen_stream in, out;

static void open_sums(uint32_t parallelism)
{
    test = pen_test_open();
    if (parallelism > 0) pen_test_parallelism(test, parallelism);
    in = pen_test_input(test, event, "at");
    pen_stream even = pen_filter(pen_map(in, pass), is_even);
    out = pen_test_output(test, pen_process(pen_key_by(even, "key"), add, .id = "sums"));
    pen_test_start(test);
}

static void open_straight(void)
{
    test = pen_test_open();
    in = pen_test_input(test, event, "at");
    out = pen_test_output(test, in);
    pen_test_start(test);
}

#endif
