/* engine/connector/{tcp,tcp_read}: what a graph refuses. What goes over the wire is tested with
 * whole jobs. */
#include <CUnit/Basic.h>

#include "tests/connector_graph.h"

struct number {
    int64_t number;
};
PEN_RECORD(number, number);

static struct pen_tcp wanted;

static void tcp_job(pen_graph *graph)
{
    struct pen_tcp tcp = wanted;

    tcp.origin = (struct pen_origin)PEN_ORIGIN_(pen_tcp, NULL);
    pen_discard(pen_add_read_tcp(graph, &tcp));
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
    refuses((struct pen_tcp){.out = &pen_line_schema}, "the address is NULL");
    refuses((struct pen_tcp){.out = &pen_line_schema, .address = "nowhere"},
            "pen_read_tcp(nowhere): the address is not like localhost:9999");
    refuses((struct pen_tcp){.out = &number_schema, .address = "localhost:1"}, ".format");
    refuses((struct pen_tcp){.format = PEN_JSON, .address = "localhost:1"}, ".out is missing");
    refuses((struct pen_tcp){.format = PEN_BINARY, .out = &number_schema, .address = "localhost:1"},
            "PEN_CSV or PEN_JSON");
    /* All that is wrong is told at once. */
    struct pen_tcp all = {.format = PEN_BINARY, .address = "nowhere"};
    refuses(all, "pen_read_tcp(nowhere): the address is not like");
    refuses(all, "pen_read_tcp(nowhere): .format may be");
    refuses(all, "pen_read_tcp(nowhere): .out is missing");
}

static void a_connection_is_one_split_that_cannot_be_rewound(void)
{
    wanted = (struct pen_tcp){.format = PEN_JSON, .out = &number_schema, .address = "[::1]:9999"};
    CU_ASSERT_STRING_EQUAL_FATAL(graph_begin(tcp_job), "");
    CU_ASSERT_PTR_NULL(graph_plan());
    CU_ASSERT_EQUAL(graph_node(0)->split_count, 1);
    CU_ASSERT_TRUE(graph_node(0)->cannot_rewind);
    CU_ASSERT_FALSE(graph_node(0)->blocking);
    graph_end();
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/tcp_read", NULL, NULL);
    CU_ADD_TEST(suite, a_graph_refuses_what_cannot_be_meant);
    CU_ADD_TEST(suite, a_connection_is_one_split_that_cannot_be_rewound);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
