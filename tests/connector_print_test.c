/* pen_print and pen_discard: what a graph makes of them. */
#include <CUnit/Basic.h>

#include "tests/connector_graph.h"

struct total {
    int64_t op;
    int64_t seen;
};
PEN_RECORD(total, op, seen);

struct number {
    int64_t op;
};
PEN_RECORD(number, op);

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, number, .op = (int64_t)index);
}
PEN_GENERATE(make, number);

static enum pen_format format_wanted;
static bool updating, discarding;

static void print_job(pen_graph *graph)
{
    pen_stream numbers = pen_generate(graph, make, .count = 1);

    if (updating)
        numbers = pen_aggregate(pen_key_by(numbers, "op"), total,
                                .aggregates = PEN_AGGREGATES(pen_count("seen")));
    if (discarding)
        pen_discard(numbers);
    else
        pen_print(numbers, .format = format_wanted);
}

static bool tells(const char *part)
{
    const char *mistakes = graph_begin(print_job);
    bool told = part[0] ? strstr(mistakes, part) != NULL : mistakes[0] == '\0';
    if (!told) fprintf(stderr, "\nwanted %s, got %s\n", part, mistakes);
    graph_end();
    return told;
}

static void printing_is_for_one_process_that_may_block(void)
{
    CU_ASSERT_STRING_EQUAL(graph_begin(print_job), "");
    const struct eng_node *node = graph_node(1);
    const struct pen_sink *sink = node->options;
    CU_ASSERT_TRUE(node->blocking);
    CU_ASSERT_EQUAL(sink->parallelism, 1);
    graph_end();
}

static void a_row_kind_needs_a_name_of_its_own(void)
{
    updating = true;
    CU_ASSERT_TRUE(tells(""));
    format_wanted = PEN_CSV;
    CU_ASSERT_TRUE(tells("\"op\""));
    updating = false;
    CU_ASSERT_TRUE(tells(""));
    format_wanted = PEN_BINARY;
    CU_ASSERT_TRUE(tells("PEN_CSV or PEN_JSON"));
    format_wanted = (enum pen_format)0;
}

static void discarding_takes_every_record_and_every_stream(void)
{
    discarding = true;
    updating = true;
    CU_ASSERT_STRING_EQUAL(graph_begin(print_job), "");
    const struct eng_node *node = graph_node(2);
    CU_ASSERT_FALSE(node->blocking);
    uint32_t current = 0;
    struct pen_batch batch = {.count = 300, .current = &current};
    node->function->loop(NULL, &batch); /* touches neither context nor records */
    CU_ASSERT_EQUAL(current, 300);
    graph_end();
    discarding = updating = false;
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/print", NULL, NULL);
    CU_ADD_TEST(suite, printing_is_for_one_process_that_may_block);
    CU_ADD_TEST(suite, a_row_kind_needs_a_name_of_its_own);
    CU_ADD_TEST(suite, discarding_takes_every_record_and_every_stream);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
