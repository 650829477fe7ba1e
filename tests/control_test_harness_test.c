/* penstock/test.h tested with itself.
 * Shows: engine/control/test (test.c, test_ends.c, test_state.c) and virtual time in
 * engine/flow/worker.
 * Method: small jobs whose results are known by hand, one worker and several. What must abort runs
 * in a child, whose signal and standard error are looked at. */
#include <CUnit/Basic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <penstock/test.h>

#include "shm/clock.h"

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

/* What a function is told of time. */
static void look_at_times(pen_context *ctx, const struct event *event)
{
    pen_emit(ctx, event, .at = pen_clock(ctx), .key = event->key, .value = pen_watermark(ctx).us);
}
PEN_MAP(look_at_times, event, event);

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

/* ---- Records --------------------------------------------------------------------------------- */

static void what_is_pushed_comes_out_before_push_returns(void)
{
    open_sums(0);
    CU_ASSERT_PTR_NULL(pen_test_next(test, out, event));
    for (int64_t i = 1; i <= 10; i++) {
        pen_test_push(test, in, event, .at = second(i), .key = 7, .value = 2 * i);
        pen_test_push(test, in, event, .at = second(i), .key = 7, .value = 1); /* odd */
        const struct event *event = pen_test_next(test, out, event);
        CU_ASSERT_PTR_NOT_NULL_FATAL(event);
        CU_ASSERT_EQUAL(event->value, i * (i + 1));
        CU_ASSERT_EQUAL(pen_test_record_time(test, out).us, second(i).us);
        CU_ASSERT_EQUAL(pen_test_row(test, out), PEN_INSERT);
        CU_ASSERT_PTR_NULL(pen_test_next(test, out, event));
    }
    pen_test_close(test);
}

static void a_record_stays_while_others_are_pushed(void)
{
    open_straight();
    pen_test_push(test, in, event, .value = 1);
    const struct event *first = pen_test_next(test, out, event);
    for (int64_t i = 2; i <= 20000; i++)
        pen_test_push(test, in, event, .value = i);
    CU_ASSERT_EQUAL(first->value, 1);
    for (int64_t i = 2; i <= 20000; i++) {
        const struct event *event = pen_test_next(test, out, event);
        CU_ASSERT_PTR_NOT_NULL_FATAL(event);
        CU_ASSERT_EQUAL_FATAL(event->value, i);
    }
    CU_ASSERT_PTR_NULL(pen_test_next(test, out, event));
    pen_test_close(test);
}

static void texts_are_copied_and_records_go_from_output_to_input(void)
{
    test = pen_test_open();
    pen_stream first = pen_test_input(test, note, NULL);
    pen_stream second = pen_test_input(test, note, NULL);
    pen_stream first_out = pen_test_output(test, first);
    pen_stream second_out = pen_test_output(test, second);
    CU_ASSERT_EQUAL(first_out.node, first.node); /* the stream itself */
    pen_test_start(test);
    pen_context *ctx = pen_test_context(test);
    char *large = malloc(3 << 20);
    CU_ASSERT_PTR_NOT_NULL_FATAL(large);
    memset(large, 'x', 3 << 20);

    char text[] = "a text";
    pen_test_push(test, first, note, .number = 1, .text = pen_put(ctx, text),
                  .remark = {pen_putf(ctx, "%d and more", 41), true});
    memset(text, '-', sizeof text - 1);
    pen_test_push(test, first, note, .number = 2,
                  .text = pen_put_view(ctx, pen_view_sized(large, 3 << 20)));
    pen_test_push(test, first, note, .number = 3);

    const struct note *note = pen_test_next(test, first_out, note);
    CU_ASSERT_PTR_NOT_NULL_FATAL(note);
    CU_ASSERT_TRUE(pen_text_equal(&note->text, "a text"));
    CU_ASSERT_TRUE(note->remark.present);
    CU_ASSERT_TRUE(pen_text_equal(&note->remark.value, "41 and more"));
    pen_test_push_record(test, second, PEN_INSERT, &note_schema, note);
    note = pen_test_next(test, first_out, note);
    CU_ASSERT_PTR_NOT_NULL_FATAL(note);
    CU_ASSERT_EQUAL(note->text.size_bytes, 3 << 20);
    CU_ASSERT_EQUAL(memcmp(pen_view_of(&note->text).data, large, 3 << 20), 0);
    pen_test_push_record(test, second, PEN_INSERT, &note_schema, note);
    note = pen_test_next(test, first_out, note);
    CU_ASSERT_PTR_NOT_NULL_FATAL(note);
    CU_ASSERT_EQUAL(note->number, 3);
    CU_ASSERT_EQUAL(note->text.size_bytes, 0);
    CU_ASSERT_FALSE(note->remark.present);

    note = pen_test_next(test, second_out, note);
    CU_ASSERT_PTR_NOT_NULL_FATAL(note);
    CU_ASSERT_TRUE(pen_text_equal(&note->text, "a text"));
    CU_ASSERT_TRUE(pen_text_equal(&note->remark.value, "41 and more"));
    note = pen_test_next(test, second_out, note);
    CU_ASSERT_PTR_NOT_NULL_FATAL(note);
    CU_ASSERT_EQUAL(memcmp(pen_view_of(&note->text).data, large, 3 << 20), 0);
    CU_ASSERT_PTR_NULL(pen_test_next(test, second_out, note));
    CU_ASSERT_STRING_EQUAL(pen_format(ctx, "%d", 5), "5");
    free(large);
    pen_test_close(test);
}

static void rows_of_an_updating_input_keep_their_kinds(void)
{
    static const enum pen_row rows[] = {PEN_INSERT, PEN_UPDATE_BEFORE, PEN_UPDATE_AFTER,
                                        PEN_DELETE};
    test = pen_test_open();
    in = pen_test_updating_input(test, event, NULL);
    out = pen_test_output(test, pen_map(in, pass));
    pen_test_start(test);
    for (int i = 0; i < 4; i++)
        pen_test_push_as(test, in, rows[i], event, .value = i);
    for (int i = 0; i < 4; i++) {
        const struct event *event = pen_test_next(test, out, event);
        CU_ASSERT_PTR_NOT_NULL_FATAL(event);
        CU_ASSERT_EQUAL(event->value, i);
        CU_ASSERT_EQUAL(pen_test_row(test, out), rows[i]);
        CU_ASSERT_EQUAL(pen_test_record_time(test, out).us, 0);
    }
    pen_test_close(test);
}

static void two_tests_at_once_are_strangers(void)
{
    open_sums(1);
    pen_test *other = test;
    pen_stream other_in = in, other_out = out;
    open_sums(2);
    pen_test_push(other, other_in, event, .key = 1, .value = 10);
    pen_test_push(test, in, event, .key = 1, .value = 20);
    CU_ASSERT_EQUAL(pen_test_next(other, other_out, event)->value, 10);
    CU_ASSERT_EQUAL(pen_test_next(test, out, event)->value, 20);
    pen_test_clock(other, second(5));
    pen_test_close(other);
    pen_test_push(test, in, event, .key = 1, .value = 20);
    CU_ASSERT_EQUAL(pen_test_next(test, out, event)->value, 40);
    pen_test_close(test);
}

static void a_test_closes_at_any_moment(void)
{
    pen_test_close(NULL);
    pen_test_close(pen_test_open());
    test = pen_test_open();
    pen_test_output(test, pen_map(pen_test_input(test, event, NULL), pass));
    pen_test_close(test);
    open_sums(3);
    pen_test_push(test, in, event, .value = 2);
    pen_test_close(test);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void neither_clock_nor_watermark_moves_by_itself(void)
{
    test = pen_test_open();
    in = pen_test_input(test, event, "at");
    pen_stream other = pen_test_input(test, event, "at");
    out = pen_test_output(test, pen_map(pen_union(in, other), look_at_times));
    pen_test_start(test);

    pen_test_push(test, in, event, .at = second(1000));
    const struct event *seen = pen_test_next(test, out, event);
    int64_t none_us = seen->value;
    CU_ASSERT_EQUAL(seen->at.us, 0);
    CU_ASSERT_TRUE(none_us < -PEN_DAYS(100000000)); /* no watermark yet */

    /* The smaller of the two counts, and a clock is not a watermark. */
    pen_test_watermark(test, in, second(10));
    pen_test_clock(test, second(3600));
    pen_test_push(test, in, event, .at = second(1000));
    seen = pen_test_next(test, out, event);
    CU_ASSERT_EQUAL(seen->value, none_us);
    CU_ASSERT_EQUAL(seen->at.us, second(3600).us);
    pen_test_watermark(test, other, second(8));
    pen_test_push(test, in, event, .at = second(1)); /* late, and let through */
    seen = pen_test_next(test, out, event);
    CU_ASSERT_EQUAL(seen->value, second(8).us);
    CU_ASSERT_EQUAL(pen_test_record_time(test, out).us, second(1).us);
    pen_test_watermark(test, other, second(7)); /* no news */
    pen_test_watermark(test, other, second(30));
    pen_test_push(test, other, event, .at = second(40));
    seen = pen_test_next(test, out, event);
    CU_ASSERT_EQUAL(seen->value, second(10).us);
    pen_test_close(test);
}

static void make_tick(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, event, .at = pen_generate_due(ctx, index), .value = (int64_t)index);
}
PEN_GENERATE(make_tick, event);

static void a_rate_goes_by_the_virtual_clock(void)
{
    test = pen_test_open();
    out = pen_test_output(test, pen_generate(pen_test_graph(test), make_tick, .rate = 3));
    pen_test_start(test);
    int64_t seen = 0;
    for (int64_t now_ms = 0; now_ms <= 100000; now_ms += 1000) {
        pen_test_clock(test, (pen_time){now_ms * 1000});
        for (const struct event *tick; (tick = pen_test_next(test, out, event)); seen++) {
            CU_ASSERT_EQUAL_FATAL(tick->value, seen);
            CU_ASSERT_EQUAL_FATAL(tick->at.us, seen * 1000000 / 3);
        }
        /* Ticks are at 0, 1/3, 2/3 ...; a third of a nanosecond may be missing. */
        CU_ASSERT_TRUE_FATAL(seen >= now_ms * 3 / 1000);
        CU_ASSERT_TRUE_FATAL(seen <= now_ms * 3 / 1000 + 1);
    }
    CU_ASSERT_TRUE(seen >= 300);
    pen_test_close(test);
}

static void silence_is_measured_by_the_virtual_clock(void)
{
    test = pen_test_open();
    in = pen_test_input(test, event, NULL);
    pen_stream other = pen_test_input(test, event, NULL);
    pen_stream timed = pen_event_time(in, "at", .idle_after = PEN_HOURS(1));
    pen_stream other_timed = pen_event_time(other, "at", .idle_after = PEN_HOURS(1));
    out = pen_test_output(test, pen_map(pen_union(timed, other_timed), look_at_times));
    pen_test_start(test);

    pen_test_push(test, in, event, .at = second(10));
    pen_test_push(test, other, event, .at = second(100));
    pen_test_clock(test, pen_time_plus(second(0), PEN_MINUTES(59)));
    pen_test_push(test, other, event, .at = second(100));
    int64_t last_us = 0;
    for (const struct event *seen; (seen = pen_test_next(test, out, event));)
        last_us = seen->value;
    CU_ASSERT_EQUAL(last_us, second(10).us - 1);
    pen_test_clock(test, pen_time_plus(second(0), PEN_MINUTES(61))); /* `in` is left out */
    pen_test_push(test, other, event, .at = second(100));
    CU_ASSERT_EQUAL(pen_test_next(test, out, event)->value, second(100).us - 1);
    pen_test_close(test);
}

static void the_clock_goes_as_far_as_a_time_can_be(void)
{
    test = pen_test_open();
    in = pen_test_input(test, event, NULL);
    out = pen_test_output(test, pen_map(in, look_at_times));
    pen_test_start(test);
    for (int64_t year = 1970; year < 290000; year += 7001) {
        pen_time now = pen_time_plus(second(0), (year - 1970) * PEN_DAYS(365));
        pen_test_clock(test, now);
        pen_test_push(test, in, event, .value = 0);
        CU_ASSERT_EQUAL(pen_test_next(test, out, event)->at.us, now.us);
    }
    pen_test_clock(test, (pen_time){INT64_MAX});
    pen_test_push(test, in, event, .value = 0);
    CU_ASSERT_EQUAL(pen_test_next(test, out, event)->at.us, INT64_MAX);
    pen_test_close(test);
}

/* ---- Timers and what expires ----------------------------------------------------------------- */

enum { BY_EVENT_TIME = 1, BY_THE_CLOCK };

static void set_both(pen_context *ctx, const struct event *event, struct sum *sum)
{
    sum->count++;
    pen_timer_set(ctx, BY_EVENT_TIME, event->at);
    pen_timer_set_clock(ctx, BY_THE_CLOCK, event->at);
}
PEN_PROCESS(set_both, event, sum, event);

static void ring(pen_context *ctx, struct sum *sum)
{
    sum->sum += (int64_t)pen_timer(ctx);
    pen_emit(ctx, event, .at = pen_clock(ctx), .key = pen_key_int(ctx, 0),
             .value = (int64_t)pen_timer(ctx));
}
PEN_TIMER(ring, sum);

/* How many rows there are, all of one timer, of which keys from 0 on. */
static int64_t count_rings(int64_t timer, pen_time at)
{
    static bool rung[2000];
    int64_t rings = 0;

    memset(rung, 0, sizeof rung);
    for (const struct event *row; (row = pen_test_next(test, out, event)); rings++) {
        CU_ASSERT_EQUAL_FATAL(row->value, timer);
        CU_ASSERT_EQUAL_FATAL(row->at.us, at.us);
        CU_ASSERT_FALSE_FATAL(rung[row->key]);
        rung[row->key] = true;
    }
    return rings;
}

/* More of them than one turn fires, at one time and at many. */
static void timers_fire_when_the_test_says_so(void)
{
    for (uint32_t parallelism = 1; parallelism <= 3; parallelism++) {
        test = pen_test_open();
        pen_test_parallelism(test, parallelism);
        in = pen_test_input(test, event, "at");
        out = pen_test_output(test, pen_process(pen_key_by(in, "key"), set_both, .id = "alarms",
                                                .on_timer = PEN_FN(ring)));
        pen_test_start(test);
        for (int64_t key = 0; key < 2000; key++)
            pen_test_push(test, in, event, .key = key, .at = second(key < 1000 ? 60 : key));

        pen_test_watermark(test, in, pen_time_plus(second(60), -1));
        pen_test_clock(test, pen_time_plus(second(60), -1));
        CU_ASSERT_EQUAL(count_rings(0, second(0)), 0);
        pen_test_watermark(test, in, second(60));
        CU_ASSERT_EQUAL(count_rings(BY_EVENT_TIME, pen_time_plus(second(60), -1)), 1000);
        pen_test_clock(test, second(60));
        CU_ASSERT_EQUAL(count_rings(BY_THE_CLOCK, second(60)), 1000);
        pen_test_clock(test, second(1500)); /* all of them see the new time */
        CU_ASSERT_EQUAL(count_rings(BY_THE_CLOCK, second(1500)), 501);
        CU_ASSERT_EQUAL(pen_test_state(test, "alarms", sum, pen_int(1500))->sum, BY_THE_CLOCK);
        CU_ASSERT_EQUAL(pen_test_state(test, "alarms", sum, pen_int(1501))->sum, 0);
        pen_test_end(test); /* event time goes to infinity, the clock stays */
        CU_ASSERT_EQUAL(count_rings(BY_EVENT_TIME, second(1500)), 1000);
        pen_test_close(test);
    }
}

static void a_state_that_has_expired_is_not_known(void)
{
    test = pen_test_open();
    in = pen_test_input(test, event, "at");
    pen_process(pen_key_by(in, "key"), add, .id = "by_clock", .ttl = PEN_HOURS(1),
                .ttl_clock = PEN_CLOCK_TIME);
    pen_process(pen_key_by(in, "key"), add, .id = "by_event_time", .ttl = PEN_HOURS(1));
    pen_test_start(test);
    pen_test_push(test, in, event, .at = second(0), .key = 1, .value = 5);
    pen_test_clock(test, second(3599));
    pen_test_watermark(test, in, second(3599));
    CU_ASSERT_PTR_NOT_NULL(pen_test_state(test, "by_clock", sum, pen_int(1)));
    CU_ASSERT_PTR_NOT_NULL(pen_test_state(test, "by_event_time", sum, pen_int(1)));
    pen_test_clock(test, second(3600));
    CU_ASSERT_PTR_NULL(pen_test_state(test, "by_clock", sum, pen_int(1)));
    CU_ASSERT_PTR_NOT_NULL(pen_test_state(test, "by_event_time", sum, pen_int(1)));
    pen_test_watermark(test, in, second(3600));
    CU_ASSERT_PTR_NULL(pen_test_state(test, "by_event_time", sum, pen_int(1)));
    pen_test_close(test);
}

/* ---- The end --------------------------------------------------------------------------------- */

static int64_t watermark_at_close_us, closed;

static void see_close(pen_context *ctx)
{
    watermark_at_close_us = pen_watermark(ctx).us;
    closed++;
}

static void the_end_closes_operators_and_leaves_results(void)
{
    for (uint32_t parallelism = 1; parallelism <= 3; parallelism++) {
        closed = watermark_at_close_us = 0;
        test = pen_test_open();
        pen_test_parallelism(test, parallelism);
        in = pen_test_input(test, event, "at");
        pen_stream sums = pen_process(pen_key_by(in, "key"), add, .id = "sums", .close = see_close);
        out = pen_test_output(test, sums);
        pen_test_start(test);
        pen_test_push(test, in, event, .key = 1, .value = 1);
        pen_test_watermark(test, in, second(1));
        CU_ASSERT_EQUAL(closed, 0);
        pen_test_end(test);
        pen_test_end(test); /* once is enough */
        CU_ASSERT_EQUAL(closed, parallelism);
        CU_ASSERT_EQUAL(watermark_at_close_us, INT64_MAX);
        CU_ASSERT_EQUAL(pen_test_next(test, out, event)->value, 1);
        CU_ASSERT_PTR_NULL(pen_test_next(test, out, event));
        CU_ASSERT_EQUAL(pen_test_state(test, "sums", sum, pen_int(1))->count, 1);
        pen_test_close(test);
        CU_ASSERT_EQUAL(closed, parallelism);
    }
}

/* ---- Arguments, rejects ---------------------------------------------------------------------- */

static void arguments_are_those_of_the_command_line(void)
{
    test = pen_test_open();
    pen_graph *graph = pen_test_graph(test);
    pen_test_arg(test, "gap", "30min");
    pen_test_arg(test, "name", "--odd");
    pen_test_arg(test, "loud", NULL);
    CU_ASSERT_EQUAL(pen_arg_duration(graph, "gap", 0, ""), PEN_MINUTES(30));
    CU_ASSERT_STRING_EQUAL(pen_arg_text(graph, "name", NULL, ""), "--odd");
    CU_ASSERT_TRUE(pen_arg_flag(graph, "loud", ""));
    CU_ASSERT_FALSE(pen_arg_flag(graph, "quiet", ""));
    CU_ASSERT_EQUAL(pen_arg_int(graph, "n", 5, ""), 5);
    pen_test_output(test, pen_test_input(test, event, NULL));
    pen_test_start(test);
    pen_test_close(test);
}

static void reasons_of_rejected_records_come_in_order(void)
{
    open_sums(0);
    CU_ASSERT_PTR_NULL(pen_test_next_reject(test));
    pen_test_push(test, in, event, .value = -1);
    pen_test_push(test, in, event, .value = 2);
    pen_test_push(test, in, event, .value = -222);
    CU_ASSERT_STRING_EQUAL(pen_test_next_reject(test), "value -1");
    CU_ASSERT_STRING_EQUAL(pen_test_next_reject(test), "value -222");
    CU_ASSERT_PTR_NULL(pen_test_next_reject(test));
    pen_test_push(test, in, event, .value = -3);
    CU_ASSERT_STRING_EQUAL(pen_test_next_reject(test), "value -3");
    CU_ASSERT_PTR_NULL(pen_test_next_reject(test));
    CU_ASSERT_EQUAL(pen_test_next(test, out, event)->value, 2);
    CU_ASSERT_PTR_NULL(pen_test_next(test, out, event));
    pen_test_close(test);
}

/* ---- State ----------------------------------------------------------------------------------- */

static void the_state_of_every_key_is_found_on_every_worker(void)
{
    for (uint32_t parallelism = 1; parallelism <= 4; parallelism++) {
        open_sums(parallelism);
        CU_ASSERT_PTR_NULL(pen_test_state(test, "sums", sum, pen_int(0)));
        for (int64_t round = 1; round <= 3; round++)
            for (int64_t key = -50; key < 50; key++)
                pen_test_push(test, in, event, .key = key, .value = 2 * key + 100);
        for (int64_t key = -50; key < 50; key++) {
            const struct sum *sum = pen_test_state(test, "sums", sum, pen_int(key));
            CU_ASSERT_PTR_NOT_NULL_FATAL(sum);
            CU_ASSERT_EQUAL(sum->count, 3);
            CU_ASSERT_EQUAL(sum->sum, 3 * (2 * key + 100));
        }
        CU_ASSERT_PTR_NULL(pen_test_state(test, "sums", sum, pen_int(50)));
        CU_ASSERT_PTR_NULL(pen_test_state(test, "sums", sum, pen_text("1")));
        uint32_t results = 0;
        while (pen_test_next(test, out, event))
            results++;
        CU_ASSERT_EQUAL(results, 300);
        pen_test_close(test);
    }
}

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

static void a_state_with_texts_is_found_by_the_text_of_its_key(void)
{
    test = pen_test_open();
    in = pen_test_input(test, note, NULL);
    pen_process(pen_key_by(in, "text"), write_down, .id = "diary");
    pen_test_start(test); /* without an output */
    pen_context *ctx = pen_test_context(test);

    pen_test_push(test, in, note, .text = pen_put(ctx, "anna"),
                  .remark = {pen_put(ctx, "the first entry"), true});
    pen_test_push(test, in, note, .text = pen_put(ctx, "bert"));
    pen_test_push(test, in, note, .text = pen_put(ctx, "anna"),
                  .remark = {pen_put(ctx, "a much longer entry than the first"), true});
    const struct diary *diary = pen_test_state(test, "diary", diary, pen_text("anna"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(diary);
    CU_ASSERT_EQUAL(diary->notes, 2);
    CU_ASSERT_TRUE(pen_text_equal(&diary->last, "a much longer entry than the first"));
    diary = pen_test_state(test, "diary", diary, pen_text("bert"));
    CU_ASSERT_PTR_NOT_NULL_FATAL(diary);
    CU_ASSERT_EQUAL(diary->notes, 1);
    CU_ASSERT_EQUAL(diary->last.size_bytes, 0);
    CU_ASSERT_PTR_NULL(pen_test_state(test, "diary", diary, pen_text("ann")));

    pen_test_push(test, in, note, .number = -1, .text = pen_put(ctx, "anna"));
    CU_ASSERT_PTR_NULL(pen_test_state(test, "diary", diary, pen_text("anna")));
    pen_test_close(test);
}

static void keys_of_several_fields_and_of_none_are_found(void)
{
    test = pen_test_open();
    in = pen_test_input(test, event, NULL);
    pen_process(pen_key_by(in, "key", "value"), add, .id = "pairs");
    pen_process(pen_key_all(in), add, .id = "all");
    pen_process(pen_key_by(in, "at"), add, .id = "times");
    pen_test_start(test);
    CU_ASSERT_PTR_NULL(pen_test_state(test, "all", sum, pen_int(0)));
    pen_test_push(test, in, event, .at = second(1), .key = 1, .value = 10);
    pen_test_push(test, in, event, .at = second(2), .key = 2, .value = 20);
    CU_ASSERT_EQUAL(pen_test_state(test, "pairs", sum, pen_int(1))->sum, 10);
    CU_ASSERT_EQUAL(pen_test_state(test, "pairs", sum, pen_int(2))->sum, 20);
    CU_ASSERT_EQUAL(pen_test_state(test, "all", sum, pen_int(0))->sum, 30);
    CU_ASSERT_EQUAL(pen_test_state(test, "all", sum, pen_text("any"))->sum, 30);
    CU_ASSERT_EQUAL(pen_test_state(test, "times", sum, pen_int(second(2).us))->sum, 20);
    pen_test_close(test);
}

/* ---- Coming to rest -------------------------------------------------------------------------- */

enum { MANY = 200000 };

static void emit_many(pen_context *ctx, const struct event *event)
{
    for (int64_t i = 0; i < event->value; i++)
        pen_emit(ctx, event, .key = i % 97, .value = 2);
}
PEN_MAP(emit_many, event, event);

/* More than the rings hold, so lanes overflow on the way: all of it is there when push returns. */
static void a_push_that_makes_much_is_done_when_it_returns(void)
{
    for (uint32_t parallelism = 1; parallelism <= 3; parallelism++) {
        test = pen_test_open();
        pen_test_parallelism(test, parallelism);
        in = pen_test_input(test, event, "at");
        pen_stream many = pen_map(in, emit_many, .parallelism = 1);
        pen_stream dealt = pen_map(pen_rebalance(many), pass, .id = "dealt");
        out = pen_test_output(test, pen_process(pen_key_by(dealt, "key"), add, .id = "sums"));
        pen_test_start(test);
        pen_test_push(test, in, event, .value = MANY);
        uint32_t results = 0;
        while (pen_test_next(test, out, event))
            results++;
        CU_ASSERT_EQUAL(results, MANY);
        CU_ASSERT_EQUAL(pen_test_state(test, "sums", sum, pen_int(0))->count, (MANY + 96) / 97);
        pen_test_close(test);
    }
}

static uint32_t offers, taken;

static enum pen_taken take_slowly(pen_context *ctx, const struct event *event)
{
    (void)ctx;
    if (++offers % 200 != 0) return PEN_AGAIN;
    taken += (uint32_t)event->value;
    return PEN_TAKEN;
}
PEN_SINK(take_slowly, event);

static void a_sink_that_holds_back_is_waited_for(void)
{
    offers = taken = 0;
    test = pen_test_open();
    in = pen_test_input(test, event, NULL);
    pen_sink(pen_map(in, pass), take_slowly);
    pen_test_start(test);
    for (uint32_t i = 1; i <= 3; i++) {
        pen_test_push(test, in, event, .value = 1);
        CU_ASSERT_EQUAL(taken, i);
    }
    CU_ASSERT_EQUAL(offers, 600);
    pen_test_close(test);
}

static void make_ten(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, event, .key = (int64_t)index, .value = 2);
}
PEN_GENERATE(make_ten, event);

static void sources_of_the_job_give_all_at_the_start(void)
{
    test = pen_test_open();
    pen_stream made = pen_generate(pen_test_graph(test), make_ten, .count = 10000);
    in = pen_test_input(test, event, NULL);
    out = pen_test_output(test, pen_union(made, in));
    pen_test_start(test);
    uint32_t results = 0;
    while (pen_test_next(test, out, event))
        results++;
    CU_ASSERT_EQUAL(results, 10000);
    pen_test_push(test, in, event, .value = 5);
    CU_ASSERT_EQUAL(pen_test_next(test, out, event)->value, 5);
    pen_test_end(test);
    pen_test_close(test);
}

/* ---- A whole job ----------------------------------------------------------------------------- */

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

static void a_whole_job_runs_to_its_end_by_real_clocks(void)
{
    static const char *const one[] = {"--count", "1000", NULL};
    static const char *const three[] = {"--count=2000", "--workers", "3", NULL};

    run_sum = 0;
    pen_test_run(whole_job, NULL);
    CU_ASSERT_EQUAL(run_sum, 45);
    run_sum = 0;
    uint64_t begun_ns = shm_clock_ns();
    pen_test_run(whole_job, one);
    CU_ASSERT_EQUAL(run_sum, 999 * 1000 / 2);
    CU_ASSERT_TRUE(shm_clock_ns() - begun_ns >= 49 * 1000 * 1000);
    run_sum = 0;
    pen_test_run(whole_job, three);
    CU_ASSERT_EQUAL(run_sum, 1999 * 2000 / 2);
}

/* ---- What aborts ----------------------------------------------------------------------------- */

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
    snprintf(where, sizeof where, "control_test_harness_test.c:%d: job", FAILING_LINE);
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
    CU_pSuite suite = CU_add_suite("jobs in a test", NULL, NULL);
    CU_ADD_TEST(suite, what_is_pushed_comes_out_before_push_returns);
    CU_ADD_TEST(suite, a_record_stays_while_others_are_pushed);
    CU_ADD_TEST(suite, texts_are_copied_and_records_go_from_output_to_input);
    CU_ADD_TEST(suite, rows_of_an_updating_input_keep_their_kinds);
    CU_ADD_TEST(suite, two_tests_at_once_are_strangers);
    CU_ADD_TEST(suite, a_test_closes_at_any_moment);
    CU_ADD_TEST(suite, neither_clock_nor_watermark_moves_by_itself);
    CU_ADD_TEST(suite, a_rate_goes_by_the_virtual_clock);
    CU_ADD_TEST(suite, silence_is_measured_by_the_virtual_clock);
    CU_ADD_TEST(suite, the_clock_goes_as_far_as_a_time_can_be);
    CU_ADD_TEST(suite, timers_fire_when_the_test_says_so);
    CU_ADD_TEST(suite, a_state_that_has_expired_is_not_known);
    CU_ADD_TEST(suite, the_end_closes_operators_and_leaves_results);
    CU_ADD_TEST(suite, arguments_are_those_of_the_command_line);
    CU_ADD_TEST(suite, reasons_of_rejected_records_come_in_order);
    CU_ADD_TEST(suite, the_state_of_every_key_is_found_on_every_worker);
    CU_ADD_TEST(suite, a_state_with_texts_is_found_by_the_text_of_its_key);
    CU_ADD_TEST(suite, keys_of_several_fields_and_of_none_are_found);
    CU_ADD_TEST(suite, a_push_that_makes_much_is_done_when_it_returns);
    CU_ADD_TEST(suite, a_sink_that_holds_back_is_waited_for);
    CU_ADD_TEST(suite, sources_of_the_job_give_all_at_the_start);
    CU_ADD_TEST(suite, a_whole_job_runs_to_its_end_by_real_clocks);
    CU_ADD_TEST(suite, failures_of_the_job_are_told_and_abort);
    CU_ADD_TEST(suite, mistakes_in_the_graph_are_told_and_abort);
    CU_ADD_TEST(suite, calls_at_the_wrong_time_abort);
    CU_ADD_TEST(suite, records_and_streams_of_another_kind_abort);
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
