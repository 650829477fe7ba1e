/* penstock/test.h tested with itself.
 * Shows: engine/control/test (test.c, test_ends.c, test_state.c) and virtual time in
 * engine/flow/worker.
 * Method: small jobs whose results are known by hand, one worker and several. What must abort is in
 * control_test_harness_abort_test.c. */
#include "tests/control_test_harness.h"

#include "shm/clock.h"

/* What a function is told of time. */
static void look_at_times(pen_context *ctx, const struct event *event)
{
    pen_emit(ctx, event, .at = pen_clock(ctx), .key = event->key, .value = pen_watermark(ctx).us);
}
PEN_MAP(look_at_times, event, event);

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
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
