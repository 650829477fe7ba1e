/* pen_write_...: what a graph refuses. What is written is tested with whole jobs. */
#include <CUnit/Basic.h>

#include "tests/connector_graph.h"
#include "tests/connector_scratch.h"

struct count {
    int64_t number;
    pen_string text;
};
PEN_RECORD(count, number, text);

struct total {
    int64_t number;
    int64_t seen;
};
PEN_RECORD(total, number, seen);

static struct pen_write write_wanted;
static bool updating;

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, count, .number = (int64_t)index);
}
PEN_GENERATE(make, count);

static void write_job(pen_graph *graph)
{
    struct pen_write write = write_wanted;
    pen_stream counts = pen_generate(graph, make, .count = 1);

    write.origin = (struct pen_origin)PEN_ORIGIN_(pen_write, NULL);
    if (updating)
        counts = pen_aggregate(pen_key_by(counts, "number"), total,
                               .aggregates = PEN_AGGREGATES(pen_count("seen")));
    pen_add_write(counts, &write);
}

static void refuses(struct pen_write write, const char *part)
{
    write_wanted = write;
    const char *mistakes = graph_begin(write_job);
    if (!strstr(mistakes, part)) fprintf(stderr, "\nwanted %s, got %s\n", part, mistakes);
    CU_ASSERT_PTR_NOT_NULL(strstr(mistakes, part));
    graph_end();
}

static void accepts(struct pen_write write, uint32_t parallelism, bool blocking)
{
    write_wanted = write;
    const char *mistakes = graph_begin(write_job);
    CU_ASSERT_STRING_EQUAL(mistakes, "");
    const struct pen_sink *sink = graph_node(updating ? 2 : 1)->options;
    CU_ASSERT_EQUAL(sink->parallelism, parallelism);
    CU_ASSERT_EQUAL(graph_node(updating ? 2 : 1)->blocking, blocking);
    graph_end();
}

static void a_graph_refuses_what_cannot_be_meant(void)
{
    static const char *const key[] = {"number", NULL};

    updating = false;
    refuses((struct pen_write){.format = PEN_CSV}, "the path is NULL");
    refuses((struct pen_write){.format = PEN_CSV, .path = ""}, "the path is empty");
    refuses((struct pen_write){.path = "out"}, "no format 0");
    refuses((struct pen_write){.format = PEN_CSV, .path = "out", .upsert_key = key}, ".upsert_key");
    refuses((struct pen_write){.format = PEN_BINARY, .path = "out", .row_column = "op"},
            ".row_column is for CSV and JSON");
    refuses((struct pen_write){.format = PEN_CSV, .path = "out", .row_column = "text"},
            "which is a field of count");
    refuses((struct pen_write){.format = PEN_CSV, .path = "out", .row_column = ""}, "empty name");
    refuses((struct pen_write){.format = PEN_CSV, .path = "out", .roll_bytes = -1}, "negative");
    refuses((struct pen_write){.format = PEN_CSV, .path = "out.csv.gz"}, "compressed");
    refuses((struct pen_write){.format = PEN_CSV, .path = "out.csv", .parallelism = 2},
            "by one subtask");
    refuses((struct pen_write){.format = PEN_CSV, .path = "out.csv", .roll_bytes = 10},
            "for a directory");
    refuses((struct pen_write){.format = PEN_BINARY, .path = "-"}, "binary records go to files");
}

static void an_updating_stream_needs_a_column_for_its_rows(void)
{
    updating = true;
    refuses((struct pen_write){.format = PEN_CSV, .path = "out"}, "updating");
    refuses((struct pen_write){.format = PEN_BINARY, .path = "out"}, "updating");
    accepts((struct pen_write){.format = PEN_CSV, .path = "out", .row_column = "op"}, 0, false);
    updating = false;
}

static void the_path_says_who_writes(void)
{
    accepts((struct pen_write){.format = PEN_CSV, .path = "out"}, 0, false);
    accepts((struct pen_write){.format = PEN_CSV, .path = "out", .parallelism = 3}, 3, false);
    accepts((struct pen_write){.format = PEN_CSV, .path = "out.csv"}, 1, false);
    accepts((struct pen_write){.format = PEN_JSON, .path = "a/out.jsonl"}, 1, false);
    accepts((struct pen_write){.format = PEN_BINARY, .path = "/out.bin"}, 1, false);
    accepts((struct pen_write){.format = PEN_CSV, .path = "-"}, 1, true);
    mkdir(scratch_name("dir.csv"), 0777); /* it is there and a directory: that is meant */
    accepts((struct pen_write){.format = PEN_CSV, .path = scratch_name("dir.csv")}, 0, false);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/write", scratch_open, scratch_close);
    CU_ADD_TEST(suite, a_graph_refuses_what_cannot_be_meant);
    CU_ADD_TEST(suite, an_updating_stream_needs_a_column_for_its_rows);
    CU_ADD_TEST(suite, the_path_says_who_writes);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
