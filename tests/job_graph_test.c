/* engine/job/{graph,call,stream,finish}: graphs without mistakes: what nodes, inputs, ports and
 * streams are made. Method: small graphs, with macros and without any, and a look at every member a
 * worker depends on. */
#include "engine/job/graph_inside.h"
#include "engine/operator/operators.h"
#include "tests/job_graph.h"

struct seen {
    int64_t count;
    pen_string last;
};
PEN_RECORD(seen, count, last);

static void hear(pen_context *ctx, const struct word *word, struct seen *seen)
{
    (void)ctx, (void)word, (void)seen;
}
PEN_PROCESS(hear, word, seen, word);

static void learn(pen_context *ctx, const struct word *word)
{
    (void)ctx, (void)word;
}
PEN_RULE(learn, word);

struct first_letter {
    int32_t letter;
};
PEN_RECORD(first_letter, letter);

static void by_letter(pen_context *ctx, const struct word *word, struct first_letter *key)
{
    (void)ctx, (void)word, (void)key;
}
PEN_KEY(by_letter, word, first_letter);

static struct eng_node *node_at(struct pen_graph *graph, uint32_t number)
{
    uint32_t count;
    struct eng_node **nodes = eng_graph_nodes(graph, &count);
    CU_ASSERT_TRUE_FATAL(number < count);
    CU_ASSERT_EQUAL(nodes[number]->number, number);
    return nodes[number];
}

static void expect_good(struct pen_graph *graph)
{
    if (!eng_graph_finish(graph)) eng_graph_print_mistakes(graph, stderr);
    CU_ASSERT_EQUAL(eng_graph_mistakes(graph), 0);
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static void a_word_count_is_four_nodes(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream lines = pen_generate(graph, number, .count = 10);
    pen_stream words = pen_map(lines, split, .user = "u", .counters = PEN_COUNTERS("a", "b"));
    pen_stream tallies = pen_aggregate(pen_key_by(words, "text"), tally, .id = "tallies",
                                       .aggregates = PEN_AGGREGATES(pen_count("count")));
    pen_sink(tallies, put_tally, .takes_updates = true);
    expect_good(graph);
    EXPECT_WARNINGS(graph, "");
    uint32_t count;
    eng_graph_nodes(graph, &count);
    CU_ASSERT_EQUAL_FATAL(count, 4);

    const struct eng_node *source = node_at(graph, 0), *map = node_at(graph, 1);
    const struct eng_node *aggregate = node_at(graph, 2), *sink = node_at(graph, 3);
    CU_ASSERT_PTR_EQUAL(source->class, &eng_generate_class);
    CU_ASSERT_STRING_EQUAL(source->title, "generate(number)");
    CU_ASSERT_STRING_EQUAL(source->id, "number");
    CU_ASSERT_EQUAL(source->input_count, 0);
    CU_ASSERT_EQUAL(source->port_count, 0);
    CU_ASSERT_EQUAL(((const struct pen_generate *)source->options)->count, 10);

    CU_ASSERT_PTR_EQUAL(map->class, &eng_map_class);
    CU_ASSERT_STRING_EQUAL(map->title, "map(split)");
    CU_ASSERT_TRUE(map->id_is_default);
    CU_ASSERT_PTR_EQUAL(map->function, PEN_FN(split));
    CU_ASSERT_STRING_EQUAL(map->user, "u");
    CU_ASSERT_EQUAL(map->counter_count, 2);
    CU_ASSERT_STRING_EQUAL(map->counters[1], "b");
    CU_ASSERT_PTR_NULL(map->counters[2]);
    CU_ASSERT_EQUAL(map->inputs[0].kind, ENG_FORWARD);
    CU_ASSERT_PTR_NOT_NULL(map->ports[0].layout);
    CU_ASSERT_PTR_NULL(map->ports[0].key);

    CU_ASSERT_PTR_EQUAL(aggregate->class, &eng_aggregate_class);
    CU_ASSERT_STRING_EQUAL(aggregate->title, "aggregate(tally)");
    CU_ASSERT_STRING_EQUAL(aggregate->id, "tallies");
    CU_ASSERT_FALSE(aggregate->id_is_default);
    CU_ASSERT_EQUAL(aggregate->inputs[0].kind, ENG_KEYED);
    CU_ASSERT_PTR_NOT_NULL(aggregate->inputs[0].key);
    CU_ASSERT_PTR_EQUAL(aggregate->inputs[0].key, aggregate->ports[0].key);
    CU_ASSERT_EQUAL(aggregate->inputs[0].key->layout.field_count, 1);
    CU_ASSERT_PTR_NOT_NULL(aggregate->compiled); /* prepared */
    CU_ASSERT_STRING_EQUAL(aggregate->outputs[0].schema->name, "tally");
    CU_ASSERT_EQUAL(aggregate->outputs[0].layout.text_count, 1);
    CU_ASSERT_TRUE(aggregate->outputs[0].stream.updating);

    CU_ASSERT_PTR_EQUAL(sink->class, &eng_sink_class);
    CU_ASSERT_EQUAL(sink->output_count, 0);
    CU_ASSERT_TRUE(sink->ports[0].stream.updating);
    eng_graph_close(graph);
}

static void row_kinds_and_times_flow_through(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream all = pen_generate(graph, bids);
    CU_ASSERT_FALSE(eng_graph_stream_kind(all).timed);
    pen_stream timed = pen_event_time(pen_filter(all, cheap), "at", .out_of_order = 5);
    CU_ASSERT_TRUE(eng_graph_stream_kind(timed).timed);
    CU_ASSERT_FALSE(eng_graph_stream_kind(timed).updating);
    pen_stream counts = pen_aggregate(pen_key_by(timed, "auction"), bid, .no_before = true,
                                      .aggregates = PEN_AGGREGATES(pen_custom_of(NULL)));
    CU_ASSERT_PTR_NULL(eng_graph_stream_layout(counts)); /* a mistake absorbs */
    eng_graph_close(graph);

    graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number);
    pen_stream tallies = pen_aggregate(pen_key_by(words, "text"), word, .no_before = true);
    CU_ASSERT_TRUE(eng_graph_stream_kind(tallies).updating);
    CU_ASSERT_TRUE(eng_graph_stream_kind(tallies).no_before);
    pen_stream mapped = pen_map(pen_rebalance(tallies), split);
    CU_ASSERT_TRUE(eng_graph_stream_kind(mapped).updating);
    CU_ASSERT_TRUE(eng_graph_stream_kind(mapped).no_before);
    pen_stream both = pen_union(mapped, words);
    CU_ASSERT_TRUE(eng_graph_stream_kind(both).updating);
    pen_stream heard = pen_process(pen_key_by(both, "text"), hear, .takes_updates = true);
    CU_ASSERT_FALSE(eng_graph_stream_kind(heard).updating);
    pen_stream given =
        pen_process(pen_key_by(heard, "text"), hear, .id = "given", .gives_updates = true);
    CU_ASSERT_TRUE(eng_graph_stream_kind(given).updating);
    pen_sink(given, put, .takes_updates = true);
    expect_good(graph);
    eng_graph_close(graph);
}

static void unions_keys_and_rebalances_are_inputs(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream a = pen_generate(graph, number, .id = "a"),
               b = pen_generate(graph, number, .id = "b");
    pen_stream c = pen_generate(graph, number, .id = "c");
    pen_stream some = pen_union(a, pen_rebalance(pen_union(b, c)));
    pen_map(some, split);
    pen_process(pen_key_with(some, by_letter), hear);
    pen_sink(pen_process(pen_key_all(pen_rebalance(a)), hear, .id = "all"), put);
    expect_good(graph);

    const struct eng_node *map = node_at(graph, 3), *process = node_at(graph, 4),
                          *all = node_at(graph, 5);
    CU_ASSERT_EQUAL_FATAL(map->input_count, 3);
    CU_ASSERT_EQUAL(map->inputs[0].kind, ENG_FORWARD);
    CU_ASSERT_EQUAL(map->inputs[1].kind, ENG_REBALANCE);
    CU_ASSERT_EQUAL(map->inputs[2].kind, ENG_REBALANCE);
    CU_ASSERT_EQUAL(map->inputs[2].from_node, 2);
    CU_ASSERT_EQUAL(map->port_count, 1);
    CU_ASSERT_EQUAL_FATAL(process->input_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(process->inputs[i].kind, ENG_KEYED);
        CU_ASSERT_PTR_EQUAL(process->inputs[i].key_function, PEN_FN(by_letter));
        CU_ASSERT_STRING_EQUAL(process->inputs[i].key->layout.fields[0].name, "letter");
    }
    CU_ASSERT_PTR_EQUAL(process->ports[0].key, process->inputs[0].key);
    CU_ASSERT_EQUAL(all->inputs[0].kind, ENG_KEYED);
    CU_ASSERT_PTR_NULL(all->inputs[0].key_function);
    eng_graph_close(graph);
}

static void side_outputs_are_streams(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream late = {0}, odd = {0};
    pen_stream words =
        pen_map(pen_generate(graph, number), split,
                .side = PEN_SIDES(PEN_SIDE("late", tally, &late), PEN_SIDE("odd", bid, &odd)));
    pen_sink(words, put);
    pen_sink(late, put_tally);
    pen_sink(odd, put_bid);
    expect_good(graph);
    const struct eng_node *map = node_at(graph, 1);
    CU_ASSERT_EQUAL_FATAL(map->output_count, 3);
    CU_ASSERT_STRING_EQUAL(map->outputs[0].name, "main");
    CU_ASSERT_STRING_EQUAL(map->outputs[1].name, "late");
    CU_ASSERT_STRING_EQUAL(map->outputs[2].schema->name, "bid");
    CU_ASSERT_EQUAL(node_at(graph, 3)->inputs[0].from_output, 1);
    CU_ASSERT_EQUAL(node_at(graph, 4)->inputs[0].from_output, 2);
    eng_graph_close(graph);
}

static void broadcasts_are_sequenced(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number),
               rules = pen_generate(graph, number, .id = "rules");
    pen_stream one = pen_generate(graph, number, .id = "one", .parallelism = 1);
    pen_sink(pen_process_broadcast(pen_key_by(words, "text"), hear, rules, learn), put);
    pen_sink(pen_map_broadcast(words, split, one, learn), put);
    pen_sink(pen_map_broadcast(words, split, pen_union(one, one), learn), put);
    expect_good(graph);

    const struct eng_node *sequence = node_at(graph, 3), *process = node_at(graph, 4);
    CU_ASSERT_PTR_EQUAL(sequence->class, &eng_pass_class);
    CU_ASSERT_STRING_EQUAL(sequence->title, "sequence(hear)");
    CU_ASSERT_EQUAL(eng_graph_node_of(node_at(graph, 3))->wanted, 1);
    CU_ASSERT_EQUAL(sequence->inputs[0].from_node, 1);
    CU_ASSERT_PTR_EQUAL(process->class, &eng_process_two_class);
    CU_ASSERT_EQUAL_FATAL(process->input_count, 2);
    CU_ASSERT_EQUAL(process->port_count, 2);
    CU_ASSERT_EQUAL(process->inputs[0].kind, ENG_KEYED);
    CU_ASSERT_EQUAL(process->inputs[0].port, 0);
    CU_ASSERT_EQUAL(process->inputs[1].kind, ENG_BROADCAST);
    CU_ASSERT_EQUAL(process->inputs[1].port, 1);
    CU_ASSERT_EQUAL(process->inputs[1].from_node, 3);
    CU_ASSERT_PTR_NULL(process->ports[1].key);

    /* One subtask has one order already. */
    const struct eng_node *map = node_at(graph, 6);
    CU_ASSERT_PTR_EQUAL(map->class, &eng_map_broadcast_class);
    CU_ASSERT_EQUAL(map->inputs[1].from_node, 2);
    CU_ASSERT_PTR_EQUAL(node_at(graph, 8)->class, &eng_pass_class);
    CU_ASSERT_EQUAL(node_at(graph, 8)->input_count, 2);
    eng_graph_close(graph);
}

static void two_keyed_streams_meet_at_two_ports(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number),
               more = pen_generate(graph, number, .id = "more");
    pen_sink(pen_process_two(pen_key_by(words, "text"), hear, pen_key_by(more, "text"), hear), put);
    expect_good(graph);
    const struct eng_node *two = node_at(graph, 2);
    CU_ASSERT_EQUAL_FATAL(two->input_count, 2);
    CU_ASSERT_EQUAL(two->inputs[1].port, 1);
    CU_ASSERT_EQUAL(two->inputs[1].kind, ENG_KEYED);
    CU_ASSERT_PTR_EQUAL(two->ports[1].key, two->inputs[1].key);
    CU_ASSERT_PTR_EQUAL(((const struct pen_process *)two->options)->on_right, PEN_FN(hear));
    eng_graph_close(graph);
}

/* ---- Ids and warnings ------------------------------------------------------------------------ */

static void stateless_operators_get_numbers(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number);
    pen_stream a = pen_map(words, split), b = pen_map(a, split),
               c = pen_map(b, split, .id = "split#2");
    pen_stream d = pen_map(c, split, .id = "number");
    pen_sink(d, put);
    expect_good(graph);
    CU_ASSERT_STRING_EQUAL(node_at(graph, 1)->id, "split");
    CU_ASSERT_STRING_EQUAL(node_at(graph, 2)->id, "split#2");
    CU_ASSERT_STRING_EQUAL(node_at(graph, 3)->id, "split#2#2");
    CU_ASSERT_STRING_EQUAL(node_at(graph, 4)->id,
                           "number#2"); /* the source's is found again by it */
    CU_ASSERT_STRING_EQUAL(node_at(graph, 0)->id, "number");
    eng_graph_close(graph);
}

static void what_is_odd_is_a_warning(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream late;
#line 3 "job.c"
    pen_configure(graph, .checkpoint_every = PEN_SECONDS(1));
#line 4 "job.c"
    pen_stream words = pen_generate(graph, number);
#line 5 "job.c"
    pen_map(words, split, .side = PEN_SIDES(PEN_SIDE("late", word, &late)));
#line 6 "job.c"
    pen_sink(pen_process(pen_key_by(words, "text"), hear), put);
#line 7 "job.c"
    pen_sink(pen_aggregate(pen_key_by(words, "text"), word), put, .takes_updates = true);
#line 8 "job.c"
    pen_key_by(words, "text");
#line 9 "job.c"
    pen_stream timed = pen_event_time(pen_generate(graph, bids), "at");
#line 10 "job.c"
    pen_sink(pen_union(timed, pen_generate(graph, bids, .id = "more")), put_bid);
    expect_good(graph);
    EXPECT_WARNINGS(
        graph, "job.c:3: warning: pen_configure: this version of Penstock takes no checkpoints "
               "yet: after a "
               "failure the job begins anew\n"
               "job.c:5: warning: pen_map(split): nobody reads its stream\n"
               "job.c:5: warning: pen_map(split): nobody reads its side output late\n"
               "job.c:8: warning: pen_key_by: nobody reads its stream\n"
               "job.c:10: warning: pen_union: only some of its streams have an event time, so the "
               "result has "
               "none; call pen_event_time on all of them, or behind the union\n");
    CU_ASSERT_EQUAL(eng_graph_warnings(graph), 5);
    eng_graph_close(graph);
}

static void settings_are_kept(void)
{
    struct pen_graph *graph = eng_graph_open();
    char *name = strdup("my job"), *folder = strdup("dead");
    pen_configure(graph, .job_name = name, .parallelism = 3, .dead_letters = folder,
                  .rejects_max = 9, .delivery = PEN_AT_LEAST_ONCE,
                  .on_bad_record = PEN_BAD_DEAD_LETTER);
    memset(name, 'x', strlen(name));
    memset(folder, 'x', strlen(folder));
    const struct eng_graph_settings *settings = eng_graph_settings(graph);
    CU_ASSERT_STRING_EQUAL(settings->job_name, "my job");
    CU_ASSERT_STRING_EQUAL(settings->dead_letters, "dead");
    CU_ASSERT_EQUAL(settings->parallelism, 3);
    CU_ASSERT_EQUAL(settings->rejects_max, 9);
    CU_ASSERT_EQUAL(settings->delivery, PEN_AT_LEAST_ONCE);
    CU_ASSERT_EQUAL(settings->on_bad_record, PEN_BAD_DEAD_LETTER);
    free(name);
    free(folder);
    eng_graph_close(graph);
}

static void evolutions_are_kept(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_evolve(graph, seen, .was = "heard", .renamed = PEN_RENAMED({"n", "count"}),
               .added = PEN_DEFAULTS(seen, .count = 7));
    const struct pen_evolution *evolution = eng_graph_evolution(graph, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(evolution);
    CU_ASSERT_STRING_EQUAL(evolution->was, "heard");
    CU_ASSERT_STRING_EQUAL(evolution->renamed[0].then, "n");
    CU_ASSERT_PTR_NULL(evolution->renamed[1].then);
    CU_ASSERT_EQUAL(((const struct seen *)evolution->added)->count, 7);
    CU_ASSERT_PTR_NULL(eng_graph_evolution(graph, 1));
    eng_graph_close(graph);
}

/* ---- Without macros -------------------------------------------------------------------------- */

static void loop(pen_context *ctx, const struct pen_batch *batch)
{
    (void)ctx, (void)batch;
}

static void generate(pen_context *ctx, uint64_t from, uint64_t to)
{
    (void)ctx, (void)from, (void)to;
}

/* What a planner or a binding does: everything is made at run time and freed after the call, but
 * for what must stay: schemas and functions. */
static const struct pen_field row_fields[] = {
    {"person.id", 8, 8, PEN_TYPE_INT64, 1, 0, 0},
    {"price", 16, 8, PEN_TYPE_DECIMAL64, 2, 10, 2},
    {"cheap", 24, 1, PEN_TYPE_BOOL, 0, 0, 0},
};
static const struct pen_schema row = {PEN_ABI, 32, 8, 3, "row", row_fields, sizeof *row_fields, 0};

static struct pen_function function_of(enum pen_kind kind, const char *name)
{
    return (struct pen_function){.abi = PEN_ABI,
                                 .size_bytes = sizeof(struct pen_function),
                                 .kind = kind,
                                 .name = name,
                                 .in = &row,
                                 .state = &row,
                                 .out = &row,
                                 .loop = loop,
                                 .generate = generate};
}

static struct pen_origin origin_of(uint32_t line, size_t size_bytes, const char *name)
{
    return (struct pen_origin){PEN_ABI, (uint32_t)size_bytes, line, 0, "query.sql", name};
}

static pen_stream scan_and_filter(struct pen_graph *graph, const struct pen_function *make,
                                  const struct pen_function *keep)
{
    struct pen_generate *scan = calloc(1, sizeof *scan);
    struct pen_filter *filter = calloc(1, sizeof *filter);
    char *id = strdup("an id"), *group = strdup("io"), *name = strdup("scan of rows");

    scan->origin = origin_of(1, sizeof *scan, name);
    scan->make = make;
    pen_stream rows = pen_add_generate(graph, scan);
    filter->origin = origin_of(2, sizeof *filter, NULL);
    filter->keep = keep;
    filter->id = id;
    filter->group = group;
    rows = pen_add_filter(rows, filter);
    memset(id, 'x', strlen(id));
    memset(group, 'x', strlen(group));
    memset(name, 'x', strlen(name));
    memset(scan, 0x55, sizeof *scan);
    memset(filter, 0x55, sizeof *filter);
    free(id);
    free(group);
    free(name);
    free(scan);
    free(filter);
    return rows;
}

static pen_keyed key_by_person(pen_stream rows)
{
    char *field = strdup("person.id");
    const char **names = calloc(2, sizeof *names);

    names[0] = field;
    struct pen_key_by key_by = {.origin = origin_of(3, sizeof key_by, NULL), .fields = names};
    pen_keyed keyed = pen_add_key_by(rows, &key_by);
    memset(field, 'x', strlen(field));
    memset(names, 0x55, 2 * sizeof *names);
    free(field);
    free(names);
    return keyed;
}

static void a_graph_made_at_run_time(void)
{
    struct pen_graph *graph = eng_graph_open();
    struct pen_function make = function_of(PEN_IS_GENERATE, "scan");
    struct pen_function keep = function_of(PEN_IS_FILTER, "where");
    struct pen_function hears = function_of(PEN_IS_PROCESS, "hears");
    struct pen_function write = function_of(PEN_IS_SINK, "deliver");

    keep.size_bytes = offsetof(struct pen_function, closure); /* of an older binding */
    keep.closure = &keep;
    pen_keyed keyed = key_by_person(scan_and_filter(graph, &make, &keep));
    struct pen_process process = {.origin = origin_of(4, sizeof process, NULL), .on_left = &hears};
    struct pen_sink sink = {.origin = origin_of(5, sizeof sink, NULL), .write = &write};
    pen_add_sink(pen_add_process(keyed, &process), &sink);
    expect_good(graph);
    CU_ASSERT_STRING_EQUAL(node_at(graph, 0)->title, "generate(scan of rows)");
    CU_ASSERT_STRING_EQUAL(node_at(graph, 0)->id, "scan of rows");
    CU_ASSERT_STRING_EQUAL(node_at(graph, 1)->id, "an id");
    CU_ASSERT_STRING_EQUAL(node_at(graph, 1)->group, "io");
    CU_ASSERT_STRING_EQUAL(node_at(graph, 1)->file, "query.sql");
    CU_ASSERT_EQUAL(node_at(graph, 1)->line, 2);
    CU_ASSERT_PTR_NULL(node_at(graph, 1)->function->closure); /* it knew of none */
    CU_ASSERT_STRING_EQUAL(node_at(graph, 2)->inputs[0].key->layout.fields[0].name, "person.id");
    eng_graph_close(graph);
}

/* A connector is made of the same parts and has a name of its own. */
static enum pen_taken put_any(pen_context *ctx, const struct word *word)
{
    (void)ctx, (void)word;
    return PEN_TAKEN;
}
PEN_SINK(put_any, word);

static void connectors_have_their_own_names(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream tallies = pen_aggregate(pen_key_by(pen_generate(graph, number), "text"), word);
    struct pen_sink sink = {.origin = {PEN_ABI, sizeof sink, 12, 0, "job.c", "out.csv"},
                            .write = PEN_FN(put_any),
                            .blocking = true};
    eng_graph_add_sink(tallies, &sink, "pen_write_csv");
    CU_ASSERT_EQUAL(eng_graph_mistakes(graph), 1);
    sink.takes_updates = true;
    sink.origin.line = 13;
    eng_graph_add_sink(tallies, &sink, "pen_write_csv");
    CU_ASSERT_STRING_EQUAL(node_at(graph, 2)->title, "write_csv(out.csv)");
    CU_ASSERT_STRING_EQUAL(node_at(graph, 2)->id, "out.csv");
    CU_ASSERT_TRUE(node_at(graph, 2)->blocking);
    CU_ASSERT_EQUAL(eng_graph_node_of(node_at(graph, 2))->wanted, 1);
    EXPECT_MISTAKES(
        graph, "job.c:12: pen_write_csv(out.csv): the stream is an updating one (rows +I -U +U "
               "-D), and it takes inserts only\n");
}

#define TEST(name) CU_add_test(suite, #name, name)

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS) return 1;
    CU_pSuite suite = CU_add_suite("job/graph", NULL, NULL);
    TEST(a_word_count_is_four_nodes);
    TEST(row_kinds_and_times_flow_through);
    TEST(unions_keys_and_rebalances_are_inputs);
    TEST(side_outputs_are_streams);
    TEST(broadcasts_are_sequenced);
    TEST(two_keyed_streams_meet_at_two_ports);
    TEST(stateless_operators_get_numbers);
    TEST(what_is_odd_is_a_warning);
    TEST(settings_are_kept);
    TEST(evolutions_are_kept);
    TEST(a_graph_made_at_run_time);
    TEST(connectors_have_their_own_names);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures ? 1 : 0;
}
