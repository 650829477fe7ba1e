/* What a join refuses when the graph is built, and what the rows of its result are. */
#include "tests/job_graph.h"

struct click {
    pen_time at;
    int64_t user;
    int32_t small;
    pen_time from, to;
};
PEN_RECORD(click, at, user, small, from, to);

struct view {
    pen_time at;
    int64_t user;
    pen_time from;
    pen_opt_time to;
};
PEN_RECORD(view, at, user, from, to);

struct seen {
    int64_t user;
    int64_t count;
};
PEN_RECORD(seen, user, count);

static void clicks(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, click, .user = (int64_t)index);
}
PEN_GENERATE(clicks, click);

static void views(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, view, .user = (int64_t)index);
}
PEN_GENERATE(views, view);

static void both(pen_context *ctx, const struct click *left, const struct view *right)
{
    (void)left, (void)right;
    pen_emit(ctx, seen, .count = 1);
}
PEN_JOIN(both, click, view, seen);

static void counted(pen_context *ctx, const struct seen *left, const struct view *right)
{
    (void)left, (void)right;
    pen_emit(ctx, seen, .count = 1);
}
PEN_JOIN(counted, seen, view, seen);

static void viewed(pen_context *ctx, const struct view *left, const struct seen *right)
{
    (void)left, (void)right;
    pen_emit(ctx, seen, .count = 1);
}
PEN_JOIN(viewed, view, seen, seen);

static enum pen_taken take(pen_context *ctx, const struct seen *seen)
{
    (void)ctx, (void)seen;
    return PEN_TAKEN;
}
PEN_SINK(take, seen);

struct streams {
    struct pen_graph *graph;
    pen_keyed clicks, views;             /* with event time */
    pen_keyed plain_clicks, plain_views; /* without */
    pen_keyed counts, bare_counts;       /* updating; without PEN_UPDATE_BEFORE */
};

static struct streams streams_open(void)
{
    struct streams streams = {.graph = eng_graph_open()};
    pen_stream left = pen_generate(streams.graph, clicks, .id = "clicks");
    pen_stream right = pen_generate(streams.graph, views, .id = "views");
    pen_stream timed = pen_event_time(left, "at");

    streams.plain_clicks = pen_key_by(left, "user");
    streams.plain_views = pen_key_by(right, "user");
    streams.clicks = pen_key_by(timed, "user");
    streams.views = pen_key_by(pen_event_time(right, "at", .id = "views_time"), "user");
    streams.counts = pen_key_by(pen_aggregate(streams.clicks, seen, .id = "counts",
                                              .aggregates = PEN_AGGREGATES(pen_count("count"))),
                                "user");
    streams.bare_counts =
        pen_key_by(pen_aggregate(streams.clicks, seen, .id = "bare", .no_before = true,
                                 .aggregates = PEN_AGGREGATES(pen_count("count"))),
                   "user");
    return streams;
}

static void a_join_needs_the_times_that_it_looks_at(void)
{
    struct streams s = streams_open();
#line 1 "job.c"
    pen_interval_join(s.plain_clicks, s.views, both, .from = 0, .to = 5);
#line 2 "job.c"
    pen_temporal_join(s.clicks, s.plain_views, both);
#line 3 "job.c"
    pen_join(s.plain_clicks, s.views, both, .window = pen_tumbling(5));
#line 4 "job.c"
    pen_join(s.clicks, s.plain_views, both, .window = pen_tumbling(5));
#line 5 "job.c"
    pen_join(s.clicks, s.plain_views, both, .ttl = 5);
#line 6 "job.c"
    pen_sink(pen_join(s.plain_clicks, s.plain_views, both, .ttl = 5, .ttl_clock = PEN_CLOCK_TIME),
             take);
#line 7 "job.c"
    pen_sink(pen_join(s.plain_clicks, s.plain_views, both, .id = "windows",
                      .window = pen_by_clock(pen_tumbling(5))),
             take, .id = "take");
    EXPECT_MISTAKES(
        s.graph,
        "job.c:1: pen_interval_join(both): partners are found by their event times, and the left "
        "stream has no event time: put pen_event_time before it\n"
        "job.c:2: pen_temporal_join(both): versions are found by their event times, and the right "
        "stream has no event time: put pen_event_time before it\n"
        "job.c:3: pen_join(both): its window goes by event time, and the stream has none: put "
        "pen_event_time before it, or write pen_by_clock(...)\n"
        "job.c:4: pen_join(both): its window goes by event time, and the stream has none: put "
        "pen_event_time before it, or write pen_by_clock(...)\n"
        "job.c:5: pen_join(both): .ttl goes by event time (else write .ttl_clock = "
        "PEN_CLOCK_TIME), and the right stream has no event time: put pen_event_time before it\n");
}

static void options_of_other_joins_are_refused(void)
{
    struct streams s = streams_open();
    static struct pen_state state = PEN_SUBTASK_LIST("state", seen);
#line 1 "job.c"
    pen_interval_join(s.clicks, s.views, both, .from = 5, .to = 4);
#line 2 "job.c"
    pen_interval_join(s.clicks, s.views, both, .valid_for = 5, .window = pen_tumbling(5), .ttl = 5);
#line 3 "job.c"
    pen_temporal_join(s.clicks, s.views, both, .from = 5, .valid_for = -1, .outer = PEN_OUTER_BOTH);
#line 4 "job.c"
    pen_join(s.clicks, s.views, both, .to = 5, .ttl = -1, .ttl_since = PEN_SINCE_READ);
#line 5 "job.c"
    pen_join(s.clicks, s.views, both, .no_before = true, .outer = (enum pen_outer)9);
#line 6 "job.c"
    pen_join(s.clicks, s.views, both, .window = pen_tumbling(5), .ttl = 5, .no_before = true);
#line 7 "job.c"
    pen_join(s.clicks, s.views, both, .uses = PEN_USES(&state));
#line 8 "job.c"
    pen_join(s.clicks, s.views, both, .ttl_clock = PEN_CLOCK_TIME);
    EXPECT_MISTAKES(
        s.graph,
        "job.c:1: pen_interval_join(both): .from is larger than .to, so nothing lies between "
        "them\n"
        "job.c:2: pen_interval_join(both): .valid_for is for pen_temporal_join\n"
        "job.c:2: pen_interval_join(both): .window is for pen_join\n"
        "job.c:2: pen_interval_join(both): .ttl is for pen_join without a .window; this join "
        "forgets by itself what is over\n"
        "job.c:3: pen_temporal_join(both): .from and .to are for pen_interval_join\n"
        "job.c:3: pen_temporal_join(both): .valid_for is less than 0\n"
        "job.c:3: pen_temporal_join(both): .outer: versions that no record asks for are not "
        "given; only PEN_OUTER_LEFT has a meaning here\n"
        "job.c:4: pen_join(both): .from and .to are for pen_interval_join\n"
        "job.c:4: pen_join(both): .ttl is less than 0\n"
        "job.c:4: pen_join(both): .ttl_since: rows of a join live since they came, whoever reads "
        "them\n"
        "job.c:5: pen_join(both): .outer is 9, and none of PEN_OUTER_\n"
        "job.c:6: pen_join(both): .ttl is for pen_join without a .window; a window forgets its "
        "records when it is over\n"
        "job.c:6: pen_join(both): .no_before says something about an updating result, and this "
        "one has inserts only\n"
        "job.c:7: pen_join(both): .uses: what a join's function gives depends on the two records "
        "only, so that it can be taken back\n"
        "job.c:8: pen_join(both): .ttl_clock says something about .ttl, which is not set\n");
}

static void windows_that_two_streams_cannot_share_are_refused(void)
{
    struct streams s = streams_open();
#line 1 "job.c"
    pen_join(s.clicks, s.views, both, .window = pen_session(5));
#line 2 "job.c"
    pen_join(s.clicks, s.views, both, .window = pen_counting(5));
#line 3 "job.c"
    pen_join(s.clicks, s.views, both, .window = pen_global());
#line 4 "job.c"
    pen_join(s.clicks, s.views, both, .window = pen_tumbling(0));
#line 5 "job.c"
    pen_join(s.clicks, s.views, both, .window = pen_attached("from", "to"));
    EXPECT_MISTAKES(s.graph,
                    "job.c:1: pen_join(both): its .window is none that both streams share: a join "
                    "takes tumbling, sliding, cumulating, calendar and attached windows\n"
                    "job.c:2: pen_join(both): its .window is none that both streams share: a join "
                    "takes tumbling, sliding, cumulating, calendar and attached windows\n"
                    "job.c:3: pen_join(both): its .window is none that both streams share: a join "
                    "takes tumbling, sliding, cumulating, calendar and attached windows\n"
                    "job.c:4: pen_join(both): .window: pen_tumbling: its size is 0, and must be "
                    "more than 0\n"
                    "job.c:5: pen_join(both): pen_attached takes a field of type time, and to is "
                    "optional time\n");
}

static void updating_streams_go_where_rows_can_be_taken_back(void)
{
    struct streams s = streams_open();
#line 1 "job.c"
    pen_interval_join(s.counts, s.views, counted, .to = 5);
#line 2 "job.c"
    pen_temporal_join(s.counts, s.views, counted);
#line 3 "job.c"
    pen_join(s.counts, s.views, counted, .window = pen_tumbling(5));
#line 4 "job.c"
    pen_join(s.bare_counts, s.views, counted);
#line 5 "job.c"
    pen_sink(pen_temporal_join(s.views, s.bare_counts, viewed), take);
    EXPECT_MISTAKES(
        s.graph,
        "job.c:1: pen_interval_join(counted): the left stream is an updating one (rows +I -U +U "
        "-D), and this join takes inserts only there\n"
        "job.c:2: pen_temporal_join(counted): the left stream is an updating one (rows +I -U +U "
        "-D), and this join takes inserts only there\n"
        "job.c:3: pen_join(counted): the left stream is an updating one (rows +I -U +U -D), and a "
        "join with a window takes inserts only there\n"
        "job.c:4: pen_join(counted): the left stream goes without PEN_UPDATE_BEFORE (.no_before), "
        "and the join needs it to know which row an update replaces\n");
}

static void expect_rows(pen_stream stream, bool timed, bool updating)
{
    struct eng_stream_kind kind = eng_graph_stream_kind(stream);

    CU_ASSERT_EQUAL(kind.timed, timed);
    CU_ASSERT_EQUAL(kind.updating, updating);
}

static void results_are_updating_only_where_they_must(void)
{
    struct streams s = streams_open();

    expect_rows(pen_join(s.clicks, s.views, both), true, false);
    expect_rows(pen_join(s.plain_clicks, s.views, both, .id = "b"), false, false);
    expect_rows(pen_join(s.clicks, s.views, both, .id = "c", .outer = PEN_OUTER_LEFT), true, true);
    expect_rows(pen_join(s.counts, s.views, counted, .id = "d"), true, true);
    expect_rows(pen_join(s.clicks, s.views, both, .id = "e", .outer = PEN_OUTER_BOTH,
                         .window = pen_tumbling(5)),
                true, false);
    expect_rows(pen_interval_join(s.clicks, s.views, both, .id = "f", .outer = PEN_OUTER_BOTH),
                true, false);
    expect_rows(pen_temporal_join(s.views, s.counts, viewed, .id = "g", .outer = PEN_OUTER_LEFT),
                true, false);
    eng_graph_close(s.graph);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("job/join", NULL, NULL);
    CU_ADD_TEST(suite, a_join_needs_the_times_that_it_looks_at);
    CU_ADD_TEST(suite, options_of_other_joins_are_refused);
    CU_ADD_TEST(suite, windows_that_two_streams_cannot_share_are_refused);
    CU_ADD_TEST(suite, updating_streams_go_where_rows_can_be_taken_back);
    CU_ADD_TEST(suite, results_are_updating_only_where_they_must);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
