/* engine/job/{call,stream,stateless,keyed,aggregate,ends,top,window,settings,finish}: every mistake
 * of a graph, by its exact words. Method: each test builds a graph as a user would, with #line so
 * that the place of the call is known, and compares all that is told. A call that is looked at
 * stands on one line, because compilers differ in which line a macro of several is on. */
#include <sys/wait.h>
#include <unistd.h>

#include "tests/job_graph.h"

/* ---- Functions that do not fit --------------------------------------------------------------- */

struct seen {
    int64_t count;
};
PEN_RECORD(seen, count);

struct other_state {
    int64_t count;
};
PEN_RECORD(other_state, count);

static void hear(pen_context *ctx, const struct bid *bid, struct seen *seen)
{
    (void)ctx, (void)bid, (void)seen;
}
PEN_PROCESS(hear, bid, seen, word);

static void hear_word(pen_context *ctx, const struct word *word, struct seen *seen)
{
    (void)ctx, (void)word, (void)seen;
}
PEN_PROCESS(hear_word, word, seen, word);

static void hear_other(pen_context *ctx, const struct word *word, struct other_state *seen)
{
    (void)ctx, (void)word, (void)seen;
}
PEN_PROCESS(hear_other, word, other_state, tally);

static void miss(pen_context *ctx, struct seen *seen)
{
    (void)ctx, (void)seen;
}
PEN_TIMER(miss, seen);

static void miss_other(pen_context *ctx, struct other_state *seen)
{
    (void)ctx, (void)seen;
}
PEN_TIMER(miss_other, other_state);

static void learn(pen_context *ctx, const struct word *word)
{
    (void)ctx, (void)word;
}
PEN_RULE(learn, word);

static void by_price(pen_context *ctx, const struct bid *bid, struct seen *key)
{
    (void)ctx, (void)bid, (void)key;
}
PEN_KEY(by_price, bid, seen);

static void function_on_a_stream_of_another_type(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream all = pen_generate(graph, bids);
#line 71 "job.c"
    pen_stream words = pen_map(all, split);
#line 72 "job.c"
    pen_sink(words, put); /* absorbed */
#line 73 "job.c"
    pen_sink(all, put);
    EXPECT_MISTAKES(graph, "job.c:71: pen_map(split): it takes word, the stream carries bid\n"
                           "job.c:73: pen_sink(put): it takes word, the stream carries bid\n");
}

static void functions_of_the_wrong_kind_or_none(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream all = pen_generate(graph, bids);
#line 1 "job.c"
    pen_map(all, cheap);
#line 2 "job.c"
    pen_filter(all, hear);
#line 3 "job.c"
    pen_add_map(all, &(struct pen_map){.origin = PEN_ORIGIN_(pen_map, NULL)});
#line 4 "job.c"
    pen_map(all, cheap, .on_rule = PEN_FN(learn));
    EXPECT_MISTAKES(
        graph,
        "job.c:1: pen_map(cheap): cheap is a PEN_FILTER function, and it must be a PEN_MAP "
        "function\n"
        "job.c:2: pen_filter(hear): hear is a PEN_PROCESS function, and it must be a PEN_FILTER "
        "function\n"
        "job.c:3: pen_map: a PEN_MAP function is missing\n"
        "job.c:4: pen_map(cheap): cheap is a PEN_FILTER function, and it must be a PEN_MAP "
        "function\n"
        "job.c:4: pen_map(cheap): .on_rule is for pen_map_broadcast, which has a stream of "
        "rules\n");
}

static void functions_that_were_filled_by_hand_and_not_wholly(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream all = pen_generate(graph, bids);
    struct pen_function no_loop = split_PEN_, old = split_PEN_, newer = split_PEN_;
    struct {
        struct pen_function known;
        uint64_t unknown;
    } larger = {split_PEN_, 0};

    no_loop.loop = NULL;
    old.abi = 7;
    newer.kind = (enum pen_kind)77;
#line 1 "job.c"
    pen_add_map(all, &(struct pen_map){.origin = PEN_ORIGIN_(pen_map, NULL), .each = &no_loop});
#line 2 "job.c"
    pen_add_map(all, &(struct pen_map){.origin = PEN_ORIGIN_(pen_map, NULL), .each = &old});
#line 3 "job.c"
    pen_add_map(all, &(struct pen_map){.origin = PEN_ORIGIN_(pen_map, NULL), .each = &newer});
    larger.known.size_bytes = sizeof larger;
    larger.unknown = 1;
    struct pen_function *grown = &larger.known;
#line 4 "job.c"
    pen_add_map(all, &(struct pen_map){.origin = PEN_ORIGIN_(pen_map, NULL), .each = grown});
    EXPECT_MISTAKES(
        graph,
        "job.c:1: pen_map(split): split was filled without `loop`, which a PEN_MAP function needs\n"
        "job.c:2: pen_map: its function was built for ABI 7 of Penstock, and this one has 1: build "
        "it "
        "again with this version's headers\n"
        "job.c:3: pen_map(split): split is of a kind that nobody knows, and it must be a PEN_MAP "
        "function\n"
        "job.c:4: pen_map(split): split was built with a newer header and uses what this Penstock "
        "(0.1.0) does not know: use a newer Penstock\n");
}

static void structs_of_other_versions(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number);
    struct {
        struct pen_map known;
        uint64_t unknown;
    } newer = {{.origin = {PEN_ABI, sizeof newer, 10, 0, "job.c", NULL}, .each = PEN_FN(split)}, 0};
    struct pen_map older = {
        .origin = {PEN_ABI, offsetof(struct pen_map, on_rule), 12, 0, "job.c", NULL},
        .each = PEN_FN(split),
        .parallelism = 99999}; /* beyond what it knew */
    struct pen_map foreign = newer.known;

    pen_add_sink(pen_add_map(words, &newer.known),
                 &(struct pen_sink){.origin = PEN_ORIGIN_(pen_sink, NULL), .write = PEN_FN(put)});
    pen_add_sink(pen_add_map(words, &older),
                 &(struct pen_sink){.origin = PEN_ORIGIN_(pen_sink, NULL), .write = PEN_FN(put)});
    CU_ASSERT_EQUAL(eng_graph_mistakes(graph), 0);
    newer.unknown = 1;
    pen_add_map(words, &newer.known);
    foreign.origin.abi = 2;
    foreign.origin.line = 11;
    pen_add_map(words, &foreign);
    foreign.origin.abi = PEN_ABI;
    foreign.origin.size_bytes = 4;
    foreign.origin.line = 13;
    pen_add_map(words, &foreign);
    EXPECT_MISTAKES(
        graph, "job.c:10: pen_map: the job was built with a newer header and uses an option that "
               "this Penstock (0.1.0) does not know: use a newer Penstock\n"
               "job.c:11: pen_map: the job was built for ABI 2 of Penstock, and this one has 1: "
               "build it again with this version's headers\n"
               "job.c:13: pen_map: its struct was not filled: origin.size_bytes is 4\n");
}

/* ---- Streams --------------------------------------------------------------------------------- */

static void streams_that_are_none(void)
{
    struct pen_graph *graph = eng_graph_open(), *other = eng_graph_open();
    pen_stream words = pen_generate(graph, number), foreign = pen_generate(other, number);
    pen_stream invented = {graph, 99, 0};
#line 1 "job.c"
    pen_union(words, foreign);
#line 2 "job.c"
    pen_map(invented, split);
#line 3 "job.c"
    pen_process_two(pen_key_by(words, "text"), hear_word, (pen_keyed){0}, hear_word);
    EXPECT_MISTAKES(
        graph, "job.c:1: pen_union: its streams are of different graphs\n"
               "job.c:2: pen_map(split): its stream is none that a call of this graph returned\n"
               "job.c:3: pen_process_two(hear_word): one of its streams was never set\n");
    eng_graph_close(other);
}

/* There is no graph to note it in: the process ends with a message, in a child here. */
static void expect_stop(void (*call)(struct pen_graph *), struct pen_graph *graph,
                        const char *expected)
{
    char text[256] = "";
    int fds[2], status;

    CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        call(graph);
        _exit(0);
    }
    close(fds[1]);
    CU_ASSERT_TRUE(read(fds[0], text, sizeof text - 1) > 0);
    close(fds[0]);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, EXIT_FAILURE << 8);
    EXPECT_TEXT(text, expected);
}

static void read_nothing(struct pen_graph *graph)
{
    pen_stream unset = {0};
    (void)graph;
#line 5 "job.c"
    pen_map(unset, split);
}

static void build_late(struct pen_graph *graph)
{
#line 6 "job.c"
    pen_generate(graph, number);
}

static void calls_that_cannot_be_noted_end_the_process(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_sink(pen_generate(graph, number), put);
    CU_ASSERT_TRUE(eng_graph_finish(graph));
    expect_stop(read_nothing, NULL, "job.c:5: pen_map: the stream was never set\n");
    expect_stop(build_late, graph,
                "job.c:6: pen_generate: graphs are built in pen_job, which has returned\n");
    eng_graph_close(graph);
}

static void keyed_and_not(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number);
    pen_keyed keyed = pen_key_by(words, "text"), unkeyed = {words};
#line 1 "job.c"
    pen_map(keyed.stream, split);
#line 2 "job.c"
    pen_process(unkeyed, hear_word);
    EXPECT_MISTAKES(
        graph, "job.c:1: pen_map(split): its stream is keyed, and it looks at no key: hand in the "
               "stream from before pen_key_by\n"
               "job.c:2: pen_process(hear_word): its stream has no key: pen_key_by comes before\n");
}

static void unions_of_different_types(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number), all = pen_generate(graph, bids);
#line 9 "job.c"
    pen_union(words, words, all);
    EXPECT_MISTAKES(graph,
                    "job.c:9: pen_union: the first stream carries word, stream 3 carries bid\n");
}

static void schemas_are_compared_by_their_fields(void)
{
    static const struct pen_field twin_fields[] = {{"text", 0, 8, PEN_TYPE_STRING, 0, 0, 0}};
    static const struct pen_field liar_fields[] = {{"text", 0, 8, PEN_TYPE_BYTES, 0, 0, 0}};
    static const struct pen_field longer_fields[] = {{"text", 0, 8, PEN_TYPE_STRING, 0, 0, 0},
                                                     {"n", 8, 8, PEN_TYPE_INT64, 0, 0, 0}};
    static const struct pen_schema twin = {
        PEN_ABI, 8, 4, 1, "word", twin_fields, sizeof *twin_fields, 0};
    static const struct pen_schema liar = {
        PEN_ABI, 8, 4, 1, "word", liar_fields, sizeof *liar_fields, 0};
    static const struct pen_schema longer = {
        PEN_ABI, 16, 8, 2, "word", longer_fields, sizeof *longer_fields, 0};
    struct pen_graph *graph = eng_graph_open();
    struct pen_function of_twin = split_PEN_, of_liar = split_PEN_, of_longer = split_PEN_;
    pen_stream words = pen_generate(graph, number);

    of_twin.in = &twin;
    of_liar.in = &liar;
    of_longer.in = &longer;
    pen_stream same = pen_add_map(
        words, &(struct pen_map){.origin = PEN_ORIGIN_(pen_map, NULL), .each = &of_twin});
    CU_ASSERT_EQUAL(eng_graph_mistakes(graph), 0);
    CU_ASSERT_PTR_NOT_NULL(eng_graph_stream_layout(same));
#line 1 "job.c"
    pen_add_map(words, &(struct pen_map){.origin = PEN_ORIGIN_(pen_map, NULL), .each = &of_liar});
#line 2 "job.c"
    pen_add_map(words, &(struct pen_map){.origin = PEN_ORIGIN_(pen_map, NULL), .each = &of_longer});
    EXPECT_MISTAKES(graph,
                    "job.c:1: pen_map(split): it takes word, the stream carries another word: text "
                    "is bytes in the first and string in the second\n"
                    "job.c:2: pen_map(split): it takes word, the stream carries another word: only "
                    "the first has a field n\n");
}

/* ---- Fields ---------------------------------------------------------------------------------- */

static void keys_on_what_is_no_field_or_a_float(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream all = pen_generate(graph, bids);
#line 1 "job.c"
    pen_key_by(all, "acution");
#line 2 "job.c"
    pen_key_by(all, "price", "zebra", "auction", "auction");
#line 3 "job.c"
    pen_key_with(pen_generate(graph, number, .id = "more"), by_price);
    EXPECT_MISTAKES(
        graph,
        "job.c:1: pen_key_by: bid has no field acution; did you mean auction?\n"
        "job.c:2: pen_key_by: price is double, which makes no key, because equal sums need not be "
        "equal bits; key by an integer or a text\n"
        "job.c:2: pen_key_by: bid has no field zebra; it has at, auction, bidder, price, rating, "
        "mark, channel, cheap\n"
        "job.c:2: pen_key_by: auction is named twice\n"
        "job.c:3: pen_key_with(by_price): it takes bid, the stream carries word\n");
}

static void placed_keys_are_not_there_yet(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream all = pen_generate(graph, bids);
#line 5 "job.c"
    pen_add_key_by(all, &(struct pen_key_by){.origin = PEN_ORIGIN_(pen_key_by, "key_by"),
                                             .fields = PEN_FIELDS("auction", "bidder"),
                                             .placed_by = PEN_FIELDS("auction"),
                                             .in_place = true});
    EXPECT_MISTAKES(graph,
                    "job.c:5: pen_key_by: this version of Penstock cannot do .placed_by yet\n"
                    "job.c:5: pen_key_by: this version of Penstock cannot do .in_place yet\n");
}

static void event_times_of_the_wrong_type(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream all = pen_generate(graph, bids);
#line 1 "job.c"
    pen_event_time(all, "auction");
#line 2 "job.c"
    pen_event_time(all, "mark");
#line 3 "job.c"
    pen_event_time(all, "att", .idle_after = -1);
#line 4 "job.c"
    pen_event_time(all, "at", .watermark = "channel", .ahead_max = -5);
#line 5 "job.c"
    pen_event_time(pen_rebalance(all), "at", .ahead_max = 5);
#line 6 "job.c"
    pen_event_time(pen_union(all, all), "at", .splits_overlap = true);
    EXPECT_MISTAKES(
        graph,
        "job.c:1: pen_event_time(auction): auction is int64; the event time is a pen_time\n"
        "job.c:2: pen_event_time(mark): mark may be null, and every record needs an event time: "
        "pen_filter or pen_map comes before\n"
        "job.c:3: pen_event_time(att): bid has no field att; did you mean at?\n"
        "job.c:3: pen_event_time(att): .idle_after is negative\n"
        "job.c:4: pen_event_time(at): .watermark: channel is code; it must be a pen_opt_time\n"
        "job.c:4: pen_event_time(at): .ahead_max is negative\n"
        "job.c:5: pen_event_time(at): .ahead_max is about the splits of a source: it works right "
        "behind one, with nothing but pen_map, pen_filter and pen_project in between\n"
        "job.c:6: pen_event_time(at): .splits_overlap is about the splits of a source: it works "
        "right behind one, with nothing but pen_map, pen_filter and pen_project in between\n");
}

struct narrow {
    int64_t auction;
    int32_t rating;
    int32_t price;
    int64_t colour;
};
PEN_RECORD(narrow, auction, rating, price, colour);

static void projections_that_cannot_be(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream all = pen_generate(graph, bids);
#line 8 "job.c"
    pen_project(all, narrow);
    EXPECT_MISTAKES(
        graph, "job.c:8: pen_project(narrow): rating may be null in bid and cannot be in narrow\n"
               "job.c:8: pen_project(narrow): price is double in bid and int32 in narrow\n"
               "job.c:8: pen_project(narrow): bid has no field colour; it has at, auction, bidder, "
               "price, rating, mark, channel, cheap\n");
}

struct forgetful {
    int64_t kept;
    int64_t forgotten;
};
PEN_RECORD(forgetful, kept);

static void forget(pen_context *ctx, const struct word *word)
{
    (void)ctx, (void)word;
}
PEN_MAP(forget, word, forgetful);

static void a_record_with_a_forgotten_field_is_told_once(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number);
    char *text = NULL;
#line 3 "job.c"
    pen_map(words, forget);
    pen_map(words, forget);
    CU_ASSERT_FALSE(eng_graph_finish(graph));
    CU_ASSERT_EQUAL(eng_graph_mistakes(graph), 1);
    JOB_PRINTED(text, out, eng_graph_print_mistakes(graph, out));
    CU_ASSERT_EQUAL(strncmp(text, "job.c:3: pen_map(forget): forgetful", 35), 0);
    free(text);
    eng_graph_close(graph);
}

/* ---- Options --------------------------------------------------------------------------------- */

static void options_beyond_the_limits(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number);
#line 1 "job.c"
    pen_map(words, split, .parallelism = 10000);
#line 2 "job.c"
    pen_map(words, split, .id = "");
#line 3 "job.c"
    pen_map(words, split, .id = "a\nb");
#line 4 "job.c"
    pen_map(words, split, .counters = PEN_COUNTERS("a", "b", "a"));
#line 5 "job.c"
    pen_map(words, split, .counters = PEN_COUNTERS("1", "2", "3", "4", "5", "6", "7", "8", "9"));
    EXPECT_MISTAKES(
        graph,
        "job.c:1: pen_map(split): .parallelism is 10000, and 256 workers at most are possible "
        "(ENG_WORKERS_MAX)\n"
        "job.c:2: pen_map(split): .id is empty\n"
        "job.c:3: pen_map(split): .id has a character that cannot be shown\n"
        "job.c:4: pen_map(split): .counters has a twice\n"
        "job.c:5: pen_map(split): .counters has 9 names, and 8 at most are counted\n");
}

static void side_outputs_that_are_not_whole(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number), late, twin, good;
    const struct pen_side no_type[] = {{"late", NULL, &late}, {NULL, NULL, NULL}};
    const struct pen_side no_stream[] = {{"late", &word_schema, NULL}, {NULL, NULL, NULL}};
#line 1 "job.c"
    pen_map(words, split, .side = no_type);
#line 2 "job.c"
    pen_map(words, split, .side = no_stream);
    const struct pen_side twins[] = {PEN_SIDE("a", word, &late), PEN_SIDE("a", word, &twin), {0}};
#line 3 "job.c"
    pen_map(words, split, .side = twins);
#line 4 "job.c"
    pen_sink(words, put, .side = PEN_SIDES(PEN_SIDE("late", word, &good)));
#line 5 "job.c"
    pen_map(late, forget); /* absorbed */
    EXPECT_MISTAKES(graph, "job.c:1: pen_map(split): side output late has no type\n"
                           "job.c:2: pen_map(split): side output late has no stream to be set\n"
                           "job.c:3: pen_map(split): two side outputs have the name a\n"
                           "job.c:4: pen_sink(put): .side: a sink has no outputs\n");
}

static struct pen_state table = PEN_BROADCAST_DICT("table", word);
static struct pen_state recent = PEN_KEYED_LIST("recent", word);
static struct pen_state known = PEN_BROADCAST_DICT("known", word);
static struct pen_state fading_rules = PEN_BROADCAST_DICT("fading", word, .ttl = 5);

static void states_in_the_wrong_place(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number),
               rules = pen_generate(graph, number, .id = "rules");
#line 1 "job.c"
    pen_sink(pen_map_broadcast(words, split, rules, learn, .uses = PEN_USES(&table)), put);
#line 2 "job.c"
    pen_map_broadcast(words, split, rules, learn, .uses = PEN_USES(&table));
#line 3 "job.c"
    pen_map(words, split, .uses = PEN_USES(&recent));
#line 4 "job.c"
    pen_process_broadcast(pen_key_by(words, "text"), hear_word, rules, learn, .id = "hear",
                          .uses = PEN_USES(&fading_rules));
#line 5 "job.c"
    pen_process(pen_key_by(words, "text"), hear_word, .uses = PEN_USES(&known, &recent));
    EXPECT_MISTAKES(
        graph,
        "job.c:2: pen_map_broadcast(split): .uses table, which pen_map_broadcast(split) uses: "
        "a state belongs to one operator\n"
        "job.c:3: pen_map(split): the state recent belongs to a key, and the operator has none: "
        "key the stream\n"
        "job.c:4: pen_process_broadcast(hear_word): the state fading has a .ttl, and only states "
        "of a key may have one\n"
        "job.c:5: pen_process(hear_word): .uses recent, which pen_map(split) uses: a state belongs "
        "to one operator\n");
}

static void ids_of_operators_with_state(void)
{
    struct pen_graph *graph = eng_graph_open();
#line 90 "job.c"
    pen_stream words = pen_generate(graph, number);
#line 1 "job.c"
    pen_sink(pen_process(pen_key_by(words, "text"), hear_word), put);
#line 2 "job.c"
    pen_sink(pen_process(pen_key_by(words, "text"), hear_word), put);
#line 3 "job.c"
    pen_sink(pen_process(pen_key_by(words, "text"), hear_word, .id = "number"), put);
    EXPECT_MISTAKES(
        graph,
        "job.c:2: pen_process(hear_word): its id is \"hear_word\" by default, as that of "
        "pen_process(hear_word) in job.c:1; state is found by the id, so write another .id\n"
        "job.c:3: pen_process(hear_word): its id is \"number\", as that of pen_generate(number) in "
        "job.c:90; state is found by the id, so write another .id\n");
}

/* ---- Row kinds ------------------------------------------------------------------------------- */

static void put_number(pen_context *ctx, const struct tally *tally, struct seen *seen)
{
    (void)ctx, (void)tally, (void)seen;
}
PEN_PROCESS(put_number, tally, seen, tally);

static void updating_streams_into_what_cannot_take_them(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number);
    pen_stream tallies = pen_aggregate(pen_key_by(words, "text"), tally,
                                       .aggregates = PEN_AGGREGATES(pen_count("count")));
#line 1 "job.c"
    pen_sink(tallies, put_tally);
#line 2 "job.c"
    pen_process(pen_key_by(tallies, "text"), put_number);
#line 3 "job.c"
    pen_sink(tallies, put_tally, .takes_updates = true);
    pen_keyed keyed = pen_key_by(tallies, "text");
#line 4 "job.c"
    pen_sink(pen_process(keyed, put_number, .takes_updates = true), put_tally);
#line 5 "job.c"
    pen_aggregate(keyed, tally, .aggregates = PEN_AGGREGATES(pen_last("count", "count")));
    pen_stream shy = pen_aggregate(pen_key_by(words, "text"), tally, .id = "shy", .no_before = true,
                                   .aggregates = PEN_AGGREGATES(pen_count("count")));
    pen_keyed keyed_shy = pen_key_by(shy, "text");
#line 7 "job.c"
    pen_aggregate(keyed_shy, tally, .aggregates = PEN_AGGREGATES(pen_max("count", "count")));
    EXPECT_MISTAKES(graph, "job.c:1: pen_sink(put_tally): the stream is an updating one (rows +I "
                           "-U +U -D), and it takes "
                           "inserts only: write .takes_updates = true if it looks at pen_row\n"
                           "job.c:2: pen_process(put_number): the stream is an updating one (rows "
                           "+I -U +U -D), and it takes "
                           "inserts only: write .takes_updates = true if it looks at pen_row\n"
                           "job.c:5: pen_aggregate(tally): pen_last cannot take a row back, and "
                           "the stream is an updating "
                           "one\n"
                           "job.c:7: pen_aggregate(tally): the stream goes without "
                           "PEN_UPDATE_BEFORE (.no_before), and an "
                           "aggregate needs it to take rows back\n");
}

/* ---- Aggregates ------------------------------------------------------------------------------ */

struct summary {
    int64_t auction;
    int64_t n;
    int64_t total;
    double mean;
    int32_t worst;
    pen_string names;
    int64_t nothing;
};
PEN_RECORD(summary, auction, n, total, mean, worst, names, nothing);

static void aggregates_that_cannot_fill_the_result(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_keyed all = pen_key_by(pen_generate(graph, bids), "auction");
    const struct pen_aggregate *some = PEN_AGGREGATES(
        pen_count("n"), pen_count("n"), pen_sum("price", "total"), pen_mean("channel", "mean"),
        pen_min("rating", "worst"), pen_concat("chanel", ",", "names"));
    const struct pen_aggregate *others = PEN_AGGREGATES(
        pen_count("m"), pen_where("auction", pen_count("n")),
        pen_where("cheap", pen_max("bidder", "total")), pen_quantile("price", 99, "mean"),
        pen_window_start("nothing"), pen_count("auction"), pen_count("worst"));
#line 1 "job.c"
    pen_aggregate(all, summary, .aggregates = some);
#line 9 "job.c"
    pen_aggregate(all, summary, .aggregates = others);
    EXPECT_MISTAKES(
        graph,
        "job.c:1: pen_aggregate(summary): n is filled twice, by pen_count and by pen_count\n"
        "job.c:1: pen_aggregate(summary): pen_sum gives double, and total of summary is int64\n"
        "job.c:1: pen_aggregate(summary): pen_mean takes a number, and channel is code\n"
        "job.c:1: pen_aggregate(summary): pen_min of rating may have nothing to give, so worst of "
        "summary "
        "must be a pen_opt_\n"
        "job.c:1: pen_aggregate(summary): pen_concat: bid has no field chanel; did you mean "
        "channel?\n"
        "job.c:1: pen_aggregate(summary): nothing of summary is filled by no aggregate and is no "
        "field of "
        "the key\n"
        "job.c:9: pen_aggregate(summary): pen_count: summary has no field m; it has auction, n, "
        "total, mean, "
        "worst, names, nothing\n"
        "job.c:9: pen_aggregate(summary): pen_where takes a bool, and auction is int64\n"
        "job.c:9: pen_aggregate(summary): pen_max of bidder may have nothing to give, so total of "
        "summary "
        "must be a pen_opt_\n"
        "job.c:9: pen_aggregate(summary): pen_quantile: 99 is not between 0 and 1\n"
        "job.c:9: pen_aggregate(summary): pen_window_start needs a .window\n"
        "job.c:9: pen_aggregate(summary): pen_window_start gives time, and nothing of summary is "
        "int64\n"
        "job.c:9: pen_aggregate(summary): auction is filled twice, by the key and by pen_count\n"
        "job.c:9: pen_aggregate(summary): pen_count gives int64, and worst of summary is int32\n"
        "job.c:9: pen_aggregate(summary): names of summary is filled by no aggregate and is no "
        "field of "
        "the key\n");
}

static void options_about_windows_without_one(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_keyed k = pen_key_by(pen_generate(graph, number), "text");
    pen_stream late = {0};
    const struct pen_aggregate *n = PEN_AGGREGATES(pen_count("count"));
    pen_stream *l = &late;
#line 1 "job.c"
    pen_aggregate(k, tally, .aggregates = n, .purge = true, .late = l, .updating = true, .ttl = 1);
    CU_ASSERT_PTR_EQUAL(late.graph, graph);
#line 2 "job.c"
    pen_sink(late, put);
    EXPECT_MISTAKES(
        graph, "job.c:1: pen_aggregate(tally): when it fires is said without a .window that could "
               "fire\n"
               "job.c:1: pen_aggregate(tally): late records are spoken of without a .window to be "
               "late for\n"
               "job.c:1: pen_aggregate(tally): .updating is about windows; without one the result "
               "always is\n"
               "job.c:1: pen_aggregate(tally): this version of Penstock cannot do .ttl yet\n");
}

/* ---- Functions with state -------------------------------------------------------------------- */

static void two_functions_that_share_nothing(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number), all = pen_generate(graph, bids);
#line 1 "job.c"
    pen_process_two(pen_key_by(all, "channel"), hear, pen_key_by(words, "text"), hear_other);
    pen_keyed keyed = pen_key_by(all, "channel");
#line 2 "job.c"
    pen_process(keyed, hear, .on_timer = PEN_FN(miss_other), .ttl = 1, .no_before = true);
    char *text = NULL;

    eng_graph_finish(graph);
    JOB_PRINTED(text, out, eng_graph_print_mistakes(graph, out));
    EXPECT_TEXT(
        strstr(text, "job.c:2:"),
        "job.c:2: pen_process(hear): .ttl is by event time, and its records have none: put "
        "pen_event_time before it, or say .ttl_clock = PEN_CLOCK_TIME\n"
        "job.c:2: pen_process(hear): .no_before says something about .gives_updates, which is not "
        "set\n"
        "job.c:2: pen_process(hear): it has the state seen, .on_timer other_state\n");
    CU_ASSERT_EQUAL(
        strncmp(text,
                "job.c:1: pen_process_two(hear): the two functions share a state: the left "
                "has seen, the right other_state\n"
                "job.c:1: pen_process_two(hear): the two functions give one type: the left "
                "gives word, the right tally\n"
                "job.c:1: pen_process_two(hear): its streams are not keyed alike: ",
                strlen("job.c:1: pen_process_two(hear): the two functions share a state: the "
                       "left has seen, the right other_state\n")),
        0);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "its streams are not keyed alike: "));
    free(text);
    eng_graph_close(graph);
}

static void rules_must_be_inserts_of_their_type(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number), all = pen_generate(graph, bids);
    pen_stream tallies = pen_aggregate(pen_key_by(words, "text"), word, .aggregates = NULL);
#line 1 "job.c"
    pen_process_broadcast(pen_key_by(words, "text"), hear_word, all, learn);
#line 2 "job.c"
    pen_process_broadcast(pen_key_by(words, "text"), hear_word, tallies, split);
#line 3 "job.c"
    pen_map_broadcast(words, split, tallies, learn);
    EXPECT_MISTAKES(
        graph,
        "job.c:1: pen_process_broadcast(hear_word): on_rule takes word, the stream carries bid\n"
        "job.c:2: pen_process_broadcast(hear_word): on_rule split is a PEN_MAP function, and it "
        "must be "
        "a PEN_RULE function\n"
        "job.c:2: pen_process_broadcast(hear_word): the stream is an updating one (rows +I -U +U "
        "-D), "
        "and on_rule takes inserts only\n"
        "job.c:3: pen_map_broadcast(split): the stream is an updating one (rows +I -U +U -D), and "
        "on_rule takes inserts only\n");
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void graphs_without_an_end_or_a_beginning(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_map(pen_generate(graph, number), split);
    EXPECT_MISTAKES(graph,
                    "the job has no sink, so nothing would come out of it: a stream ends with "
                    "pen_print, pen_write_csv, pen_sink ...\n");

    EXPECT_MISTAKES(
        eng_graph_open(),
        "the job has no source: a graph begins with pen_read_lines, pen_generate, pen_source "
        "...\n"
        "the job has no sink, so nothing would come out of it: a stream ends with pen_print, "
        "pen_write_csv, pen_sink ...\n");
}

static void a_call_in_a_loop_makes_one_mistake(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number);
    for (int i = 0; i < 1000; i++)
#line 4 "job.c"
        pen_key_by(words, "txt");
    CU_ASSERT_EQUAL(eng_graph_mistakes(graph), 1);
    EXPECT_MISTAKES(graph, "job.c:4: pen_key_by: word has no field txt; did you mean text?\n");
}

static void mistakes_come_in_the_order_of_lines_and_are_cut_at_a_hundred(void)
{
    struct pen_graph *graph = eng_graph_open();
    char *text = NULL;

    for (uint32_t i = 0; i < 150; i++) {
        const struct pen_origin origin = {PEN_ABI, 0, 150 - i, 0, i % 2 ? "a.c" : "b.c", NULL};
        eng_graph_mistake(graph, &origin, "mistake %u", i);
    }
    CU_ASSERT_EQUAL(eng_graph_mistakes(graph), 150);
    JOB_PRINTED(text, out, eng_graph_print_mistakes(graph, out));
    const char *first = "a.c:51: mistake 99\na.c:53: mistake 97\n",
               *last = "b.c:150: mistake 0\n... and 50 more\n";
    CU_ASSERT_EQUAL(strncmp(text, first, strlen(first)), 0);
    CU_ASSERT_STRING_EQUAL(text + strlen(text) - strlen(last), last);
    free(text);
    eng_graph_close(graph);
}

static void settings_that_contradict_themselves(void)
{
    struct pen_graph *graph = eng_graph_open();
    const enum pen_poison q = PEN_POISON_QUARANTINE;
    const enum pen_on_bad_record bad = PEN_BAD_DEAD_LETTER;
    const enum pen_backend disk = PEN_BACKEND_DISK;
#line 1 "job.c"
    pen_configure(graph, .parallelism = 257, .backend = disk, .poison = q, .on_bad_record = bad);
#line 2 "job.c"
    pen_configure(graph, .on_bad_record = PEN_BAD_FAIL, .rejects_max = 5, .checkpoint_every = -1);
    pen_sink(pen_generate(graph, number), put);
    EXPECT_MISTAKES(
        graph,
        "job.c:1: pen_configure: .parallelism is 257, and 256 workers at most are possible "
        "(ENG_WORKERS_MAX)\n"
        "job.c:1: pen_configure: this version of Penstock cannot do .backend = PEN_BACKEND_DISK "
        "yet\n"
        "job.c:1: pen_configure: this version of Penstock cannot do .poison = "
        "PEN_POISON_QUARANTINE yet\n"
        "job.c:1: pen_configure: .on_bad_record = PEN_BAD_DEAD_LETTER needs a directory for them: "
        ".dead_letters\n"
        "job.c:2: pen_configure: it is called twice; the first time was job.c:1\n"
        "job.c:2: pen_configure: .checkpoint_every is negative\n"
        "job.c:2: pen_configure: .rejects_max allows some and .on_bad_record = PEN_BAD_FAIL "
        "none\n");
}

struct old_sensor {
    int64_t id;
    pen_string name;
};
PEN_RECORD(old_sensor, id, name);

static void evolutions_of_fields_that_are_not_there(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_sink(pen_generate(graph, number), put);
    const struct pen_renamed *renamed = PEN_RENAMED({"was", "nmae"}, {"was", "id"});
    const struct old_sensor *added = PEN_DEFAULTS(old_sensor, .name = {8, 3});
#line 1 "job.c"
    pen_evolve(graph, old_sensor, .renamed = renamed, .added = added);
    CU_ASSERT_PTR_NULL(eng_graph_evolution(graph, 0));
    EXPECT_MISTAKES(
        graph,
        "job.c:1: pen_evolve(old_sensor): .renamed: old_sensor has no field nmae; did you "
        "mean name?\n"
        "job.c:1: pen_evolve(old_sensor): .renamed: was is renamed twice\n"
        "job.c:1: pen_evolve(old_sensor): .added: name is a text, and a default text must be "
        "empty\n");
}

/* ---- Sources, sinks, and what is not there yet ----------------------------------------------- */

struct position {
    int64_t at;
};
PEN_RECORD(position, at);

static enum pen_poll poll(pen_context *ctx, struct position *position)
{
    (void)ctx, (void)position;
    return PEN_END;
}
PEN_SOURCE(poll, position, word);

static void plan(pen_context *ctx)
{
    (void)ctx;
}

static bool position_seal(pen_context *ctx, struct position *position)
{
    (void)ctx, (void)position;
    return false;
}
static void position_flush(pen_context *ctx, const struct position *position)
{
    (void)ctx, (void)position;
}
static void position_commit(pen_context *ctx, const struct position *position)
{
    (void)ctx, (void)position;
}
static void position_abort(pen_context *ctx)
{
    (void)ctx;
}
static enum pen_taken put_twice(pen_context *ctx, const struct word *word)
{
    (void)ctx, (void)word;
    return PEN_TAKEN;
}
PEN_TWO_PHASE(put_twice, word, position);

static void sources_and_sinks_that_cannot_be(void)
{
    struct pen_graph *graph = eng_graph_open();
#line 1 "job.c"
    pen_source(graph, poll);
#line 2 "job.c"
    pen_source(graph, poll, .plan = plan, .plan_every = PEN_SECONDS(1));
#line 3 "job.c"
    pen_generate(graph, number, .rate = -1);
#line 4 "job.c"
    pen_sink(pen_generate(graph, number), put_twice);
    EXPECT_MISTAKES(
        graph,
        "job.c:1: pen_source(poll): .plan is missing: without splits there is nothing to read\n"
        "job.c:2: pen_source(poll): this version of Penstock cannot do .plan_every yet\n"
        "job.c:3: pen_generate(number): .rate is -1 records a second\n"
        "job.c:4: pen_sink(put_twice): this version of Penstock cannot do sinks in two phases "
        "yet\n");
}

static void exactly_once_from_what_cannot_be_rewound(void)
{
    struct pen_graph *graph = eng_graph_open();
#line 1 "job.c"
    pen_configure(graph, .checkpoint_every = PEN_SECONDS(1));
#line 2 "job.c"
    pen_sink(pen_source(graph, poll, .plan = plan, .no_rewind = true), put);
    EXPECT_MISTAKES(graph,
                    "job.c:2: pen_source(poll): it cannot give its records a second time, so with "
                    "checkpoints it is not exactly-once; say .delivery = PEN_AT_LEAST_ONCE in "
                    "pen_configure if that will do\n");
}

static void match(pen_context *ctx, const struct bid *left, const struct word *right)
{
    (void)ctx, (void)left, (void)right;
}
PEN_JOIN(match, bid, word, word);

static void median(pen_context *ctx, const struct pen_batch *records)
{
    (void)ctx, (void)records;
}
PEN_WINDOW(median, bid, word);

static void operators_of_later_versions_say_so(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number), all = pen_generate(graph, bids), late;
    pen_keyed keyed = pen_key_by(all, "channel");
#line 1 "job.c"
    pen_join(keyed, pen_key_all(words), match);
#line 2 "job.c"
    pen_interval_join(pen_key_all(all), pen_key_all(words), match, .from = 0, .to = 5);
#line 3 "job.c"
    pen_process_window(keyed, median, .window = pen_session(5), .late = &late);
#line 4 "job.c"
    pen_async(words, split, .in_flight = 5000, .timeout = -5);
#line 5 "job.c"
    pen_top(keyed, word, .order = PEN_ORDER({"prize", true, false}), .limit = 3);
#line 6 "job.c"
    pen_distinct(keyed);
#line 7 "job.c"
    pen_latest(keyed, "att");
#line 8 "job.c"
    pen_earliest(keyed, "at");
#line 9 "job.c"
    pen_aggregate(keyed, bid, .window = pen_session(5));
    char *text = NULL;

    eng_graph_finish(graph);
    JOB_PRINTED(text, out, eng_graph_print_mistakes(graph, out));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "job.c:1: pen_join(match): its streams are not keyed alike"));
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text, "job.c:5: pen_top(word): .order: bid has no field prize; did you mean price?\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text, "job.c:4: pen_async(split): .in_flight is 5000, and 1024 processes at most are "));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "job.c:4: pen_async(split): .timeout is -5us; it must not be negative\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "job.c:7: pen_latest: bid has no field att; did you mean at?\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "job.c:9: pen_aggregate(bid): this version of Penstock "
                                        "cannot do .window of this kind yet\n"));
    free(text);
    eng_graph_close(graph);
}

#define TEST(name) CU_add_test(suite, #name, name)

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS) return 1;
    CU_pSuite suite = CU_add_suite("job/mistake", NULL, NULL);
    (void)miss_PEN_;
    TEST(function_on_a_stream_of_another_type);
    TEST(functions_of_the_wrong_kind_or_none);
    TEST(functions_that_were_filled_by_hand_and_not_wholly);
    TEST(structs_of_other_versions);
    TEST(streams_that_are_none);
    TEST(calls_that_cannot_be_noted_end_the_process);
    TEST(keyed_and_not);
    TEST(unions_of_different_types);
    TEST(schemas_are_compared_by_their_fields);
    TEST(keys_on_what_is_no_field_or_a_float);
    TEST(placed_keys_are_not_there_yet);
    TEST(event_times_of_the_wrong_type);
    TEST(projections_that_cannot_be);
    TEST(a_record_with_a_forgotten_field_is_told_once);
    TEST(options_beyond_the_limits);
    TEST(side_outputs_that_are_not_whole);
    TEST(states_in_the_wrong_place);
    TEST(ids_of_operators_with_state);
    TEST(updating_streams_into_what_cannot_take_them);
    TEST(aggregates_that_cannot_fill_the_result);
    TEST(options_about_windows_without_one);
    TEST(two_functions_that_share_nothing);
    TEST(rules_must_be_inserts_of_their_type);
    TEST(graphs_without_an_end_or_a_beginning);
    TEST(a_call_in_a_loop_makes_one_mistake);
    TEST(mistakes_come_in_the_order_of_lines_and_are_cut_at_a_hundred);
    TEST(settings_that_contradict_themselves);
    TEST(evolutions_of_fields_that_are_not_there);
    TEST(sources_and_sinks_that_cannot_be);
    TEST(exactly_once_from_what_cannot_be_rewound);
    TEST(operators_of_later_versions_say_so);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures ? 1 : 0;
}
