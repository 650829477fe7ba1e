/* engine/job/{window_check,aggregate}: mistakes of calls with a window, and the streams they make.
 * Method: as in tests/job_mistake_test.c; a call that is looked at stands on one line. */
#include "engine/job/window_check.h"

#include "tests/job_graph.h"

struct per_channel {
    pen_code channel;
    int64_t n;
};
PEN_RECORD(per_channel, channel, n);

static enum pen_taken put_per_channel(pen_context *ctx, const struct per_channel *row)
{
    (void)ctx, (void)row;
    return PEN_TAKEN;
}
PEN_SINK(put_per_channel, per_channel);

struct seen {
    int64_t count;
};
PEN_RECORD(seen, count);

static bool enough(pen_context *ctx, const struct bid *bid, struct seen *seen)
{
    (void)ctx, (void)bid, (void)seen;
    return true;
}
PEN_TRIGGER(enough, bid, seen);

static bool enough_words(pen_context *ctx, const struct word *word, struct seen *seen)
{
    (void)ctx, (void)word, (void)seen;
    return true;
}
PEN_TRIGGER(enough_words, word, seen);

static struct pen_window ten;

static pen_keyed timed(struct pen_graph *graph)
{
    ten = pen_tumbling(PEN_SECONDS(10));
    return pen_key_by(pen_event_time(pen_generate(graph, bids), "at"), "channel");
}

static void windows_that_cannot_be(void)
{
    const struct pen_aggregate *n = PEN_AGGREGATES(pen_count("n"));
    struct pen_graph *graph = eng_graph_open();
    pen_keyed k = timed(graph),
              untimed = pen_key_by(pen_generate(graph, bids, .id = "b"), "channel");
    struct pen_window w = pen_tumbling(0);
#line 1 "job.c"
    pen_aggregate(k, per_channel, .aggregates = n, .window = w);
    w = pen_calendar_of(PEN_DAY, "Europe/Pariss");
#line 2 "job.c"
    pen_aggregate(k, per_channel, .aggregates = n, .window = w);
#line 3 "job.c"
    pen_aggregate(untimed, per_channel, .aggregates = n, .window = ten);
    w = pen_session_by("gap");
#line 4 "job.c"
    pen_aggregate(k, per_channel, .aggregates = n, .window = w);
    w = pen_attached("at", "mark");
#line 5 "job.c"
    pen_aggregate(k, per_channel, .aggregates = n, .window = w);
    EXPECT_MISTAKES(
        graph,
        "job.c:1: pen_aggregate(per_channel): .window: pen_tumbling: its size is 0, and must be "
        "more than 0\n"
        "job.c:2: pen_aggregate(per_channel): .window: pen_calendar_of: there is no time zone "
        "\"Europe/Pariss\"\n"
        "job.c:3: pen_aggregate(per_channel): its window goes by event time, and the stream has "
        "none: put pen_event_time before it, or write pen_by_clock(...)\n"
        "job.c:4: pen_aggregate(per_channel): pen_session_by: bid has no field gap; it has at, "
        "auction, bidder, price, rating, mark, channel, cheap\n"
        "job.c:4: pen_aggregate(per_channel): this version of Penstock cannot do .window of this "
        "kind yet\n"
        "job.c:5: pen_aggregate(per_channel): pen_attached takes a field of type time, and mark is "
        "optional time\n"
        "job.c:5: pen_aggregate(per_channel): this version of Penstock cannot do .window of this "
        "kind yet\n");
}

static void options_that_do_not_go_with_the_window(void)
{
    const struct pen_aggregate *n = PEN_AGGREGATES(pen_count("n"));
    struct pen_graph *graph = eng_graph_open();
    pen_keyed k = timed(graph);
    struct pen_window clock = pen_by_clock(ten);
    const struct pen_function *words = PEN_FN(enough_words), *good = PEN_FN(enough);
    pen_stream late;
#line 1 "job.c"
    pen_aggregate(k, per_channel, .aggregates = n, .window = ten, .allowed_lateness = -1);
#line 2 "job.c"
    pen_aggregate(k, per_channel, .aggregates = n, .window = clock, .late = &late);
    CU_ASSERT_PTR_EQUAL(late.graph, graph);
#line 3 "job.c"
    pen_aggregate(k, per_channel, .aggregates = n, .window = ten, .ttl = 5, .update_every = 5);
#line 4 "job.c"
    pen_aggregate(k, per_channel, .aggregates = n, .window = ten, .no_before = true);
#line 5 "job.c"
    pen_aggregate(k, per_channel, .aggregates = n, .window = ten, .trigger = words);
#line 6 "job.c"
    pen_aggregate(k, per_channel, .aggregates = n, .window = ten, .trigger = good, .purge = true);
#line 7 "job.c"
    pen_aggregate(k, per_channel, .aggregates = n, .window = ten, .early_every = -5);
#line 8 "job.c"
    pen_aggregate(k, per_channel, .aggregates = n, .window = ten, .updating = true);
#line 9 "job.c"
    pen_map(late, split); /* absorbed */
    EXPECT_MISTAKES(
        graph,
        "job.c:1: pen_aggregate(per_channel): .allowed_lateness is less than 0\n"
        "job.c:2: pen_aggregate(per_channel): late records are spoken of, and by the clock none is "
        "late\n"
        "job.c:3: pen_aggregate(per_channel): .ttl is for an aggregate without a window; a window "
        "forgets its keys when it is over\n"
        "job.c:3: pen_aggregate(per_channel): .update_every is for an aggregate without a window\n"
        "job.c:4: pen_aggregate(per_channel): .no_before says something about an updating result, "
        "and this one has inserts only: there is no .allowed_lateness\n"
        "job.c:5: pen_aggregate(per_channel): .trigger takes word, the stream carries bid\n"
        "job.c:5: pen_aggregate(per_channel): this version of Penstock cannot do .trigger yet\n"
        "job.c:6: pen_aggregate(per_channel): this version of Penstock cannot do .trigger yet\n"
        "job.c:6: pen_aggregate(per_channel): this version of Penstock cannot do .purge yet\n"
        "job.c:7: pen_aggregate(per_channel): .early_every is less than 0\n"
        "job.c:7: pen_aggregate(per_channel): this version of Penstock cannot do early firings "
        "yet\n"
        "job.c:8: pen_aggregate(per_channel): this version of Penstock cannot do .updating yet\n");
}

/* Inserts only, unless late records change rows; late records are as they came. */
static void the_streams_that_windows_make(void)
{
    const struct pen_aggregate *n = PEN_AGGREGATES(pen_count("n"));
    struct pen_graph *graph = eng_graph_open();
    pen_keyed k = timed(graph),
              untimed = pen_key_by(pen_generate(graph, bids, .id = "b"), "channel");
    struct pen_window clock = pen_by_clock(ten);
    pen_stream late, once, again, by_clock;

    once = pen_aggregate(k, per_channel, .aggregates = n, .window = ten, .late = &late);
    again = pen_aggregate(k, per_channel, .aggregates = n, .window = ten, .allowed_lateness = 5,
                          .id = "again");
    by_clock =
        pen_aggregate(untimed, per_channel, .aggregates = n, .window = clock, .id = "by_clock");
    pen_sink(once, put_per_channel);
    pen_sink(late, put_bid);
    /* Its rows have times: windows can follow. */
    pen_sink(pen_aggregate(pen_key_by(by_clock, "channel"), per_channel, .aggregates = n,
                           .window = ten, .id = "behind"),
             put_per_channel, .id = "put_2");
#line 1 "job.c"
    pen_sink(again, put_per_channel, .id = "put_3");
    EXPECT_MISTAKES(graph,
                    "job.c:1: pen_sink(put_per_channel): the stream is an updating one (rows "
                    "+I -U +U -D), and it takes inserts only: write .takes_updates = true "
                    "if it looks at pen_row\n");
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("job/window_check", NULL, NULL);
    CU_ADD_TEST(suite, windows_that_cannot_be);
    CU_ADD_TEST(suite, options_that_do_not_go_with_the_window);
    CU_ADD_TEST(suite, the_streams_that_windows_make);
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
