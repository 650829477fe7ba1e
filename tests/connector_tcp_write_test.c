/* engine/connector/{tcp,tcp_write}: what a graph refuses. What goes over the wire is tested with
 * whole jobs. */
#include <CUnit/Basic.h>

#include "tests/connector_graph.h"

struct number {
    int64_t number;
};
PEN_RECORD(number, number);

struct total {
    int64_t number;
    int64_t seen;
};
PEN_RECORD(total, number, seen);

static struct pen_tcp wanted;
static bool updating;

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, number, .number = (int64_t)index);
}
PEN_GENERATE(make, number);

static void tcp_job(pen_graph *graph)
{
    struct pen_tcp tcp = wanted;
    pen_stream numbers = pen_generate(graph, make, .count = 1);

    tcp.origin = (struct pen_origin)PEN_ORIGIN_(pen_tcp, NULL);
    if (updating)
        numbers = pen_aggregate(pen_key_by(numbers, "number"), total,
                                .aggregates = PEN_AGGREGATES(pen_count("seen")));
    pen_add_write_tcp(numbers, &tcp);
}

static void refuses(struct pen_tcp tcp, const char *part)
{
    wanted = tcp;
    const char *mistakes = graph_begin(tcp_job);
    if (!strstr(mistakes, part)) fprintf(stderr, "\nwanted %s, got %s\n", part, mistakes);
    CU_ASSERT_PTR_NOT_NULL(strstr(mistakes, part));
    graph_end();
}

static void a_graph_refuses_what_cannot_be_meant(void)
{
    refuses((struct pen_tcp){.address = NULL}, "the address is NULL");
    refuses((struct pen_tcp){.address = "::1:9"}, "[::1]:9999");
    struct pen_tcp both = {.address = "nowhere", .format = PEN_BINARY};
    refuses(both, "pen_write_tcp(nowhere): the address is not like");
    refuses(both, "pen_write_tcp(nowhere): .format may be");
    refuses((struct pen_tcp){.address = "localhost:1", .format = PEN_BINARY},
            "PEN_CSV or PEN_JSON");
    updating = true;
    refuses((struct pen_tcp){.address = "localhost:1"}, "updating");
    updating = false;
}

static void one_subtask_has_the_connection(void)
{
    wanted = (struct pen_tcp){.address = "localhost:1"};
    CU_ASSERT_STRING_EQUAL(graph_begin(tcp_job), "");
    const struct pen_sink *sink = graph_node(1)->options;
    CU_ASSERT_EQUAL(sink->parallelism, 1);
    CU_ASSERT_FALSE(graph_node(1)->blocking);
    graph_end();
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/tcp_write", NULL, NULL);
    CU_ADD_TEST(suite, a_graph_refuses_what_cannot_be_meant);
    CU_ADD_TEST(suite, one_subtask_has_the_connection);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
