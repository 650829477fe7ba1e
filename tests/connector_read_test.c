/* pen_read_...: what a graph refuses, what a plan refuses, and the splits it makes.
 * Method: files are planned, then every split is read on its own; together they must give each
 * record of the files once. */
#include <CUnit/Basic.h>

#include "engine/connector/reading.h"
#include "tests/connector_graph.h"
#include "tests/connector_scratch.h"

struct count {
    int64_t number;
    pen_string text;
};
PEN_RECORD(count, number, text);

/* As engine/connector/read.c has it: what a split says. */
struct read_split {
    pen_string name;
    pen_string path;
    int64_t from, to;
    int64_t position;
    int64_t line;
};

static struct pen_read read_wanted;

static void read_job(pen_graph *graph)
{
    struct pen_read read = read_wanted;

    read.origin = (struct pen_origin)PEN_ORIGIN_(pen_read, NULL);
    pen_discard(pen_add_read(graph, &read));
}

static void refuses(struct pen_read read, const char *part)
{
    read_wanted = read;
    const char *mistakes = graph_begin(read_job);
    if (!strstr(mistakes, part)) fprintf(stderr, "\nwanted %s, got %s\n", part, mistakes);
    CU_ASSERT_PTR_NOT_NULL(strstr(mistakes, part));
    graph_end();
}

static void a_graph_refuses_what_cannot_be_meant(void)
{
    const struct pen_schema *out = &count_schema;

    refuses((struct pen_read){.format = PEN_CSV, .out = out}, "the path is NULL");
    refuses((struct pen_read){.format = PEN_CSV, .out = out, .path = ""}, "the path is empty");
    refuses((struct pen_read){.format = (enum pen_format)9, .out = out, .path = "x"},
            "no format 9");
    refuses((struct pen_read){.format = PEN_CSV, .path = "x"}, ".out is missing");
    refuses((struct pen_read){.out = out, .path = "x"}, "lines are records of pen_line");
    refuses((struct pen_read){.format = PEN_JSON, .out = out, .path = "x", .multiline = true},
            "are for CSV");
    refuses((struct pen_read){.format = PEN_CSV, .out = out, .path = "x.zst"}, ".zst");
    refuses((struct pen_read){.format = PEN_CSV, .out = out, .path = "-", .parallelism = 2},
            "by one subtask");
    read_wanted = (struct pen_read){.format = PEN_CSV, .out = out, .path = "x"};
    CU_ASSERT_STRING_EQUAL(graph_begin(read_job), "");
    graph_end();
}

/* The reason that a plan gives for not reading, or NULL. */
static void plan_refuses(enum pen_format format, const char *path, bool follow, const char *part)
{
    read_wanted =
        (struct pen_read){.format = format, .out = &count_schema, .path = path, .follow = follow};
    CU_ASSERT_STRING_EQUAL_FATAL(graph_begin(read_job), "");
    const char *reason = graph_plan();
    CU_ASSERT_PTR_NOT_NULL_FATAL(reason);
    if (!strstr(reason, part)) fprintf(stderr, "\nwanted %s, got %s\n", part, reason);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason, part));
    graph_end();
}

static void a_plan_refuses_what_cannot_be_read(void)
{
    plan_refuses(PEN_CSV, "no/such/file.csv", false, "no/such/file.csv");
    mkdir(scratch_name("empty"), 0777);
    plan_refuses(PEN_CSV, scratch_name("empty"), false, "no files");
    plan_refuses(PEN_CSV, scratch_name("no*.csv"), false, "no file matches");
    mkdir(scratch_name("mixed"), 0777);
    scratch_write("mixed/a.csv", "number,text\n1,a\n");
    scratch_write("mixed/b.csv", "text\na\n");
    plan_refuses(PEN_CSV, scratch_name("mixed"), false, "mixed/b.csv");
    plan_refuses(PEN_CSV, scratch_name("mixed"), true, "cannot follow");
    scratch_write("mixed/b.csv.zst", "");
    plan_refuses(PEN_JSON, scratch_name("mixed"), false, ".zst");
    plan_refuses(PEN_BINARY, scratch_name("mixed/a.csv"), false, "mixed/a.csv");
    plan_refuses(PEN_JSON, scratch_write("x.json.gz", "not gzip"), true, "does not grow");
}

/* ---- Splits ---------------------------------------------------------------------------------- */

/* Reads a split to its end; seen[number] counts each record. Returns how many there were. */
static unsigned read_split(const struct read_split *split, unsigned char *seen, unsigned seen_count)
{
    const struct eng_node *node = graph_node(0);
    struct eng_reading_options options = {.format = read_wanted.format,
                                          .layout = &node->outputs[0].layout,
                                          .separator = read_wanted.separator,
                                          .multiline = read_wanted.multiline,
                                          .no_header = read_wanted.no_header};
    struct eng_reading_place place = {split->position, split->to, split->line};
    pen_view path = pen_view_of(&split->path);
    struct eng_reading reading;
    struct eng_reason reason;
    char name[256];
    unsigned count = 0;

    snprintf(name, sizeof name, "%.*s", (int)path.size_bytes, path.data);
    if (eng_reading_open_file(&reading, &options, name, &place, &reason) < 0) {
        fprintf(stderr, "%s\n", reason.text);
        CU_FAIL_FATAL("a split cannot be opened");
    }
    for (;;) {
        const void *record;
        pen_view line;
        enum eng_read_step step = eng_reading_step(&reading, &record, &line, &reason);
        if (step == ENG_READ_MORE) continue;
        if (step == ENG_READ_END) break;
        if (step != ENG_READ_ONE) fprintf(stderr, "%s\n", reason.text);
        CU_ASSERT_EQUAL_FATAL(step, ENG_READ_ONE);
        int64_t number = ((const struct count *)record)->number;
        CU_ASSERT_FATAL(number >= 0 && number < (int64_t)seen_count);
        seen[number]++;
        count++;
    }
    eng_reading_close(&reading);
    return count;
}

/* Plans the path and reads all splits. Each number from 0 to count - 1 must come once. */
static unsigned reads_each_once(struct pen_read read, unsigned count)
{
    unsigned char *seen = calloc(count, 1);
    unsigned done = 0;

    CHECK(seen != NULL);
    read_wanted = read;
    CU_ASSERT_STRING_EQUAL_FATAL(graph_begin(read_job), "");
    const char *reason = graph_plan();
    if (reason) fprintf(stderr, "%s\n", reason);
    CU_ASSERT_PTR_NULL_FATAL(reason);
    const struct eng_node *node = graph_node(0);
    for (uint32_t i = 0; i < node->split_count; i++)
        done += read_split(node->splits[i], seen, count);
    CU_ASSERT_EQUAL(done, count);
    for (unsigned i = 0; i < count; i++)
        CU_ASSERT_EQUAL_FATAL(seen[i], 1);
    unsigned splits = node->split_count;
    graph_end();
    free(seen);
    return splits;
}

/* `count` records from number `first` on, columns in one of two orders. */
static const char *write_counts(const char *name, unsigned first, unsigned count, bool swapped)
{
    const char *path = scratch_name(name);
    FILE *file = fopen(path, "w");
    uint64_t random = first;

    CHECK(file != NULL);
    fputs(swapped ? "text,extra,number\r\n" : "number,text\n", file);
    for (unsigned i = first; i < first + count; i++) {
        int width = (int)(scratch_random(&random) % 120);
        if (swapped)
            fprintf(file, "%*d,x,%u\r\n", width, width, i);
        else
            fprintf(file, "%u,%*d\n", i, width, width);
    }
    CHECK(fclose(file) == 0);
    return path;
}

static void a_large_file_is_cut_into_ranges_that_give_each_record_once(void)
{
    const char *path = write_counts("large.csv", 0, 100000, false); /* some 6.5 MB */
    unsigned splits = reads_each_once(
        (struct pen_read){.format = PEN_CSV, .out = &count_schema, .path = path}, 100000);
    CU_ASSERT(splits >= 4);
    CU_ASSERT(splits <= 8);

    splits = reads_each_once(
        (struct pen_read){.format = PEN_CSV, .out = &count_schema, .path = path, .multiline = true},
        100000);
    CU_ASSERT_EQUAL(splits, 1);
}

static void a_compressed_file_is_one_split(void)
{
    size_t size_bytes = 0;
    char *bytes = scratch_read(scratch_name("large.csv"), &size_bytes);

    CU_ASSERT_FATAL(bytes != NULL);
    const char *path = scratch_gzip("large.csv.gz", bytes, size_bytes);
    free(bytes);
    CU_ASSERT_EQUAL(
        reads_each_once((struct pen_read){.format = PEN_CSV, .out = &count_schema, .path = path},
                        100000),
        1);
}

static void files_of_a_directory_may_have_columns_in_other_orders(void)
{
    mkdir(scratch_name("many"), 0777);
    write_counts("many/a.csv", 0, 1000, false);
    write_counts("many/b.csv", 1000, 60000, true);
    write_counts("many/c.csv", 61000, 10, false);
    write_counts("many/d.csv", 61010, 0, true);
    scratch_write("many/e.csv", "");
    unsigned splits = reads_each_once(
        (struct pen_read){.format = PEN_CSV, .out = &count_schema, .path = scratch_name("many")},
        61010);
    CU_ASSERT(splits > 5);
}

/* A line longer than a range makes a long range, not a broken one. */
static void ranges_with_lines_of_megabytes_give_each_record_once(void)
{
    const char *path = scratch_name("wide.csv");
    FILE *file = fopen(path, "w");

    CHECK(file != NULL);
    fputs("number,text\n", file);
    for (unsigned i = 0; i < 12; i++)
        fprintf(file, "%u,%*d\n", i, i % 3 ? 3000000 : 10, 1);
    CHECK(fclose(file) == 0);
    unsigned splits = reads_each_once(
        (struct pen_read){.format = PEN_CSV, .out = &count_schema, .path = path}, 12);
    CU_ASSERT(splits > 2);
}

static void standard_input_is_one_split_that_cannot_be_rewound(void)
{
    read_wanted = (struct pen_read){.format = PEN_CSV, .out = &count_schema, .path = "-"};
    CU_ASSERT_STRING_EQUAL_FATAL(graph_begin(read_job), "");
    CU_ASSERT_PTR_NULL(graph_plan());
    const struct eng_node *node = graph_node(0);
    CU_ASSERT_EQUAL(node->split_count, 1);
    CU_ASSERT_TRUE(node->cannot_rewind);
    CU_ASSERT_TRUE(node->blocking);
    graph_end();
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/read", scratch_open, scratch_close);
    CU_ADD_TEST(suite, a_graph_refuses_what_cannot_be_meant);
    CU_ADD_TEST(suite, a_plan_refuses_what_cannot_be_read);
    CU_ADD_TEST(suite, a_large_file_is_cut_into_ranges_that_give_each_record_once);
    CU_ADD_TEST(suite, a_compressed_file_is_one_split);
    CU_ADD_TEST(suite, files_of_a_directory_may_have_columns_in_other_orders);
    CU_ADD_TEST(suite, ranges_with_lines_of_megabytes_give_each_record_once);
    CU_ADD_TEST(suite, standard_input_is_one_split_that_cannot_be_rewound);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
