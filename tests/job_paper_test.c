/* The public headers, on paper: Nexmark's q4, q5 and q9 as a planner would build them, every struct
 * filled by hand with schemas made at run time, no macro but the lists'.
 *
 * This shows that the structs can say what these queries need. What they need and this version does
 * not have is told in exact words; a query whose operators have come must then be run, not written.
 */
#include "tests/job_graph.h"

/* ---- Schemas made at run time ---------------------------------------------------------------- */

struct column {
    const char *name;
    uint32_t type;
};

/* Columns in order at their natural places, null bits in the first word for those that may be null.
 */
static struct pen_schema *schema_of(const char *name, const struct column *columns, uint32_t count)
{
    struct pen_schema *schema = calloc(1, sizeof *schema);
    struct pen_field *fields = calloc(count, sizeof *fields);
    uint32_t offset = 0;

    for (uint32_t i = 0; i < count; i++)
        if (columns[i].type & PEN_TYPE_NULLABLE) offset = 8; /* the null word */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t type = columns[i].type & ~(uint32_t)PEN_TYPE_NULLABLE;
        fields[i] = (struct pen_field){
            .name = columns[i].name,
            .offset_bytes = offset,
            .size_bytes = eng_type_size(type),
            .type = type,
            .null_bit = columns[i].type & PEN_TYPE_NULLABLE ? (uint16_t)(i + 1) : 0};
        offset += 8;
        CU_ASSERT_TRUE(fields[i].size_bytes <= 8);
    }
    *schema = (struct pen_schema){.abi = PEN_ABI,
                                  .size_bytes = offset,
                                  .align_bytes = 8,
                                  .field_count = count,
                                  .name = name,
                                  .fields = fields,
                                  .field_size_bytes = sizeof *fields,
                                  .null_offset_bytes = 0};
    return schema;
}
#define SCHEMA(name, ...)                                                                          \
    schema_of(name, (const struct column[]){__VA_ARGS__},                                          \
              sizeof(const struct column[]){__VA_ARGS__} / sizeof(struct column))

static void schema_free(struct pen_schema *schema)
{
    free((void *)(uintptr_t)schema->fields);
    free(schema);
}

enum { INT = PEN_TYPE_INT64, TIME = PEN_TYPE_TIME, TEXT = PEN_TYPE_STRING };

/* ---- One interpreter serves all -------------------------------------------------------------- */

static void interpret(pen_context *ctx, const struct pen_batch *batch)
{
    (void)ctx, (void)batch;
}

static void scan(pen_context *ctx, uint64_t from, uint64_t to)
{
    (void)ctx, (void)from, (void)to;
}

static struct pen_origin at(uint32_t line, size_t size_bytes, const char *name)
{
    return (struct pen_origin){PEN_ABI, (uint32_t)size_bytes, line, 0, "query.sql", name};
}

struct query {
    struct pen_graph *graph;
    struct pen_schema *auction, *bid;
    struct pen_function scan_auctions, scan_bids, match, keep, write;
    pen_stream auctions, bids;
};

static struct pen_function function_of(enum pen_kind kind, const char *name)
{
    return (struct pen_function){.abi = PEN_ABI,
                                 .size_bytes = sizeof(struct pen_function),
                                 .kind = kind,
                                 .name = name,
                                 .loop = interpret,
                                 .closure = "the program of this function"};
}

static pen_stream query_read(struct query *query, struct pen_function *function,
                             struct pen_schema *schema, uint32_t line)
{
    *function = function_of(PEN_IS_GENERATE, schema->name);
    function->generate = scan;
    function->out = schema;
    struct pen_generate generate = {.origin = at(line, sizeof generate, NULL), .make = function};
    pen_stream stream = pen_add_generate(query->graph, &generate);
    struct pen_event_time event_time = {.origin = at(line + 1, sizeof event_time, NULL),
                                        .field = "at",
                                        .out_of_order = PEN_SECONDS(4),
                                        .idle_after = PEN_SECONDS(10)};
    return pen_add_event_time(stream, &event_time);
}

static void query_open(struct query *query)
{
    query->graph = eng_graph_open();
    query->auction = SCHEMA("auction", {"id", INT}, {"item", TEXT | PEN_TYPE_NULLABLE},
                            {"at", TIME}, {"expires", TIME}, {"category", INT}, {"reserve", INT});
    query->bid = SCHEMA("bid", {"auction", INT}, {"bidder", INT}, {"price", INT},
                        {"channel", TEXT | PEN_TYPE_NULLABLE}, {"at", TIME});
    query->auctions = query_read(query, &query->scan_auctions, query->auction, 1);
    query->bids = query_read(query, &query->scan_bids, query->bid, 3);
}

static pen_keyed query_key(pen_stream stream, uint32_t line, const char *const *fields,
                           const char *const *placed_by)
{
    struct pen_key_by key_by = {
        .origin = at(line, sizeof key_by, "key_by"), .fields = fields, .placed_by = placed_by};
    return pen_add_key_by(stream, &key_by);
}

static pen_stream query_join(struct query *query, struct pen_schema *out, pen_keyed left,
                             pen_keyed right, uint32_t line)
{
    query->match = function_of(PEN_IS_JOIN, "match");
    query->match.in = query->auction;
    query->match.other = query->bid;
    query->match.out = out;
    struct pen_join join = {.origin = at(line, sizeof join, NULL),
                            .kind = PEN_JOIN_ALL,
                            .match = &query->match,
                            .outer = PEN_OUTER_NONE,
                            .ttl = PEN_HOURS(1),
                            .ttl_clock = PEN_EVENT_TIME,
                            .id = "valid"};
    return pen_add_join(left, right, &join);
}

static void query_write(struct query *query, pen_stream stream, struct pen_schema *in,
                        uint32_t line)
{
    query->write = function_of(PEN_IS_SINK, "deliver");
    query->write.in = in;
    struct pen_sink sink = {
        .origin = at(line, sizeof sink, NULL), .write = &query->write, .takes_updates = true};
    pen_add_sink(stream, &sink);
}

static void query_close(struct query *query, const char *expected)
{
    EXPECT_MISTAKES(query->graph, expected);
    schema_free(query->auction);
    schema_free(query->bid);
}

/* ---- The queries ----------------------------------------------------------------------------- */

/* q4: the mean of the winning bids of each category: join, max, mean, all of them updating. */
static void q4_can_be_written(void)
{
    struct query query;
    query_open(&query);
    struct pen_schema *valid =
        SCHEMA("valid_bid", {"auction", INT}, {"category", INT}, {"price", INT});
    struct pen_schema *mean =
        SCHEMA("category_price", {"category", INT}, {"mean_price", PEN_TYPE_DOUBLE});

    pen_stream joined =
        query_join(&query, valid, query_key(query.auctions, 5, PEN_FIELDS("id"), NULL),
                   query_key(query.bids, 6, PEN_FIELDS("auction"), NULL), 7);
    struct pen_aggregation best = {.origin = at(9, sizeof best, "valid_bid"),
                                   .out = valid,
                                   .aggregates = PEN_AGGREGATES(pen_max("price", "price")),
                                   .id = "best"};
    /* A bid meets its auction's worker; the best of each auction is found there. */
    pen_stream bests = pen_add_aggregate(
        query_key(joined, 8, PEN_FIELDS("auction", "category"), PEN_FIELDS("auction")), &best);
    struct pen_aggregation means = {.origin = at(11, sizeof means, "category_price"),
                                    .out = mean,
                                    .aggregates = PEN_AGGREGATES(pen_mean("price", "mean_price")),
                                    .update_every = PEN_SECONDS(1),
                                    .id = "means"};
    query_write(&query,
                pen_add_aggregate(query_key(bests, 10, PEN_FIELDS("category"), NULL), &means), mean,
                12);
    query_close(&query,
                "query.sql:8: pen_key_by: this version of Penstock cannot do .placed_by yet\n");
    schema_free(valid);
    schema_free(mean);
}

/* The same with the join's result given, so that the two aggregates are judged as well. */
static void q4_without_its_join_is_a_graph(void)
{
    struct query query;
    query_open(&query);
    struct pen_schema *mean =
        SCHEMA("auction_price", {"auction", INT}, {"mean_price", PEN_TYPE_DOUBLE});
    struct pen_schema *top = SCHEMA("best_bid", {"auction", INT}, {"price", INT});
    struct pen_aggregation best = {.origin = at(9, sizeof best, "best_bid"),
                                   .out = top,
                                   .aggregates = PEN_AGGREGATES(pen_max("price", "price")),
                                   .id = "best"};
    pen_stream bests =
        pen_add_aggregate(query_key(query.bids, 8, PEN_FIELDS("auction"), NULL), &best);
    struct pen_aggregation means = {.origin = at(11, sizeof means, "auction_price"),
                                    .out = mean,
                                    .aggregates = PEN_AGGREGATES(pen_mean("price", "mean_price")),
                                    .id = "means"};
    query_write(&query,
                pen_add_aggregate(query_key(bests, 10, PEN_FIELDS("auction"), NULL), &means), mean,
                12);
    CU_ASSERT_TRUE(eng_graph_stream_kind(bests).updating);
    CU_ASSERT_TRUE(eng_graph_stream_kind(bests).timed);
    query_close(&query, "");
    schema_free(mean);
    schema_free(top);
}

/* q5: which auctions got the most bids in the last ten seconds, every two seconds: a sliding count,
 * the largest of each window by a window that the rows carry, and both joined by it. */
static void q5_can_be_written(void)
{
    struct query query;
    query_open(&query);
    struct pen_schema *count = SCHEMA("bid_count", {"auction", INT}, {"bids", INT},
                                      {"window_from", TIME}, {"window_to", TIME});
    struct pen_schema *most =
        SCHEMA("most", {"bids", INT}, {"window_from", TIME}, {"window_to", TIME});

    struct pen_aggregation counts = {.origin = at(6, sizeof counts, "bid_count"),
                                     .out = count,
                                     .window = pen_sliding(PEN_SECONDS(10), PEN_SECONDS(2)),
                                     .aggregates = PEN_AGGREGATES(pen_count("bids"),
                                                                  pen_window_start("window_from"),
                                                                  pen_window_end("window_to")),
                                     .id = "counts"};
    pen_stream counted =
        pen_add_aggregate(query_key(query.bids, 5, PEN_FIELDS("auction"), NULL), &counts);
    struct pen_aggregation largest = {.origin = at(8, sizeof largest, "most"),
                                      .out = most,
                                      .window = pen_attached("window_from", "window_to"),
                                      .aggregates = PEN_AGGREGATES(pen_max("bids", "bids")),
                                      .id = "largest"};
    pen_stream most_bids = pen_add_aggregate(
        query_key(counted, 7, PEN_FIELDS("window_from", "window_to"), NULL), &largest);
    query.match = function_of(PEN_IS_JOIN, "as_many");
    query.match.in = count;
    query.match.other = most;
    query.match.out = count;
    struct pen_join join = {.origin = at(11, sizeof join, NULL),
                            .kind = PEN_JOIN_ALL,
                            .match = &query.match,
                            .window = pen_attached("window_from", "window_to"),
                            .id = "hottest"};
    const char *const *by_window = PEN_FIELDS("window_from", "window_to");
    query_write(&query,
                pen_add_join(query_key(counted, 9, by_window, NULL),
                             query_key(most_bids, 10, by_window, NULL), &join),
                count, 12);
    query_close(
        &query,
        "query.sql:8: pen_aggregate(most): this version of Penstock cannot do .window of this kind "
        "yet\n");
    schema_free(count);
    schema_free(most);
}

/* q9: the winning bid of each auction: join, then the first of each auction by price and, among
 * equals, by time. */
static void q9_can_be_written(void)
{
    struct query query;
    query_open(&query);
    struct pen_schema *valid = SCHEMA("valid", {"auction", INT}, {"bidder", INT}, {"price", INT},
                                      {"at", TIME}, {"item", TEXT | PEN_TYPE_NULLABLE});
    pen_stream joined =
        query_join(&query, valid, query_key(query.auctions, 5, PEN_FIELDS("id"), NULL),
                   query_key(query.bids, 6, PEN_FIELDS("auction"), NULL), 7);
    struct pen_top winner = {.origin = at(9, sizeof winner, "valid"),
                             .out = valid,
                             .order = PEN_ORDER({"price", true, false}, {"at", false, false}),
                             .from = 1,
                             .limit = 1,
                             .rank_kind = PEN_ROW_NUMBER,
                             .id = "winner"};
    query_write(&query, pen_add_top(query_key(joined, 8, PEN_FIELDS("auction"), NULL), &winner),
                valid, 10);
    query_close(&query,
                "query.sql:9: pen_top(valid): this version of Penstock cannot do that yet\n");

    /* The last step by itself, over all bids. */
    query_open(&query);
    winner.out = query.bid;
    query_write(&query, pen_add_top(query_key(query.bids, 8, PEN_FIELDS("auction"), NULL), &winner),
                query.bid, 10);
    query_close(&query,
                "query.sql:9: pen_top(valid): this version of Penstock cannot do that yet\n");
    schema_free(valid);
}

#define TEST(name) CU_add_test(suite, #name, name)

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS) return 1;
    CU_pSuite suite = CU_add_suite("job/paper", NULL, NULL);
    TEST(q4_can_be_written);
    TEST(q4_without_its_join_is_a_graph);
    TEST(q5_can_be_written);
    TEST(q9_can_be_written);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures ? 1 : 0;
}
