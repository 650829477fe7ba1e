/* engine/job/{argument,duration,similar}: the arguments of a job, its help, durations, and what one
 * may have meant. Method: arguments as a shell would hand them over; every answer, every message,
 * the whole help.
 */
#include "engine/job/duration.h"
#include "engine/job/similar.h"
#include "tests/job_graph.h"

static struct pen_graph *open_with(int count, const char *const *arguments)
{
    struct pen_graph *graph = eng_graph_open();
    eng_graph_set_arguments(graph, count, (char *const *)(uintptr_t)arguments);
    return graph;
}
#define OPEN(...)                                                                                  \
    open_with((int)(sizeof(const char *[]){__VA_ARGS__} / sizeof(char *)),                         \
              (const char *[]){__VA_ARGS__})

/* Makes a job of it, so that nothing but arguments can be wrong. */
static void make_whole(struct pen_graph *graph)
{
    pen_sink(pen_generate(graph, number), put);
}

static void answers_of_every_kind(void)
{
    struct pen_graph *graph = OPEN("--input", "book.txt", "--count=17", "--gap", "1h30min",
                                   "--ratio", "-0.5", "--loud", "--from", "-5");
    CU_ASSERT_STRING_EQUAL(pen_arg_text(graph, "input", NULL, "file"), "book.txt");
    CU_ASSERT_EQUAL(pen_arg_int(graph, "count", 3, "how many"), 17);
    CU_ASSERT_EQUAL(pen_arg_duration(graph, "gap", 0, "gap"), PEN_MINUTES(90));
    CU_ASSERT_EQUAL(pen_arg_double(graph, "ratio", 1, "ratio"), -0.5);
    CU_ASSERT_TRUE(pen_arg_flag(graph, "loud", "loud"));
    CU_ASSERT_FALSE(pen_arg_flag(graph, "quiet", "quiet"));
    CU_ASSERT_EQUAL(pen_arg_int(graph, "from", 0, "first"), -5);
    CU_ASSERT_STRING_EQUAL(pen_arg_text(graph, "out", "-", "file"), "-");
    CU_ASSERT_EQUAL(pen_arg_int(graph, "seed", 42, "seed"), 42);
    make_whole(graph);
    EXPECT_MISTAKES(graph, "");
}

static void asking_twice_gives_the_same_answer(void)
{
    struct pen_graph *graph = OPEN("--input", "book.txt");
    const char *first = pen_arg_text(graph, "input", NULL, "file");
    CU_ASSERT_PTR_EQUAL(pen_arg_text(graph, "input", "other", "file"), first);
    CU_ASSERT_EQUAL(pen_arg_int(graph, "n", 1, ""), pen_arg_int(graph, "n", 2, ""));
    pen_arg_int(graph, "input", 0, "file");
    make_whole(graph);
    EXPECT_MISTAKES(graph, "--input: the job asks for it with pen_arg_text and with pen_arg_int\n");
}

static void values_that_are_none(void)
{
    struct pen_graph *graph =
        OPEN("--gap", "30minutes", "--count", "12x", "--big", "99999999999999999999", "--ratio",
             "wide", "--loud=yes", "--last");
    CU_ASSERT_EQUAL(pen_arg_duration(graph, "gap", 7, "gap"), 7);
    CU_ASSERT_EQUAL(pen_arg_int(graph, "count", 3, ""), 3);
    CU_ASSERT_EQUAL(pen_arg_int(graph, "big", 4, ""), 4);
    CU_ASSERT_EQUAL(pen_arg_double(graph, "ratio", 2, ""), 2);
    pen_arg_flag(graph, "loud", "");
    pen_arg_text(graph, "last", "x", "");
    make_whole(graph);
    EXPECT_MISTAKES(graph, "--gap 30minutes: not a duration; write 30min, 500ms, 2h\n"
                           "--count 12x: not a whole number\n"
                           "--big 99999999999999999999: larger than 64 bits hold\n"
                           "--ratio wide: not a number\n"
                           "--loud=yes: it is a switch and takes no value\n"
                           "--last: a value is missing behind it\n");
}

static void arguments_that_nobody_asked_for(void)
{
    struct pen_graph *graph =
        OPEN("--inptu", "book.txt", "stray", "--zebra=1", "--input", "a", "--input", "b");
    pen_arg_text(graph, "input", "-", "");
    make_whole(graph);
    EXPECT_MISTAKES(graph, "--input: it is given twice\n"
                           "--inptu: the job has no such argument; did you mean --input?\n"
                           "stray: arguments of a job begin with --\n"
                           "--zebra: the job has no such argument; --help lists those it has\n");
}

static void what_is_required_and_missing_is_told_once(void)
{
    struct pen_graph *graph = eng_graph_open();
    const char *path = pen_arg_text(graph, "input", NULL, "CSV file of flights");
    CU_ASSERT_STRING_EQUAL(path, "");
    CU_ASSERT_TRUE(eng_graph_is_missing(graph, path));
    CU_ASSERT_FALSE(eng_graph_is_missing(graph, ""));
    CU_ASSERT_FALSE(eng_graph_is_missing(graph, NULL));
    pen_arg_text(graph, "input", NULL, "CSV file of flights");
    make_whole(graph);
    EXPECT_MISTAKES(graph, "--input: it is missing, and required: CSV file of flights\n");
}

static void help_lists_all_in_the_order_of_asking(void)
{
    struct pen_graph *graph = OPEN("--help", "--count", "3");
    char *text = NULL;

    CU_ASSERT_TRUE(eng_graph_wants_help(graph));
    pen_arg_text(graph, "input", NULL, "file to read");
    pen_arg_text(graph, "out", "-", "where results go");
    pen_arg_int(graph, "count", 10, "");
    pen_arg_duration(graph, "gap", PEN_MINUTES(90), "silence that ends a session");
    pen_arg_double(graph, "ratio", 0.25, "of the whole");
    pen_arg_flag(graph, "loud", "say more");
    JOB_PRINTED(text, out, eng_graph_print_help(graph, "sessions", out));
    EXPECT_TEXT(text, "Arguments of sessions:\n"
                      "\n"
                      "  --input TEXT    file to read (required)\n"
                      "  --out TEXT      where results go (default: -)\n"
                      "  --count N       (default: 10)\n"
                      "  --gap DURATION  silence that ends a session (default: 90min)\n"
                      "  --ratio X       of the whole (default: 0.25)\n"
                      "  --loud          say more\n");
    free(text);
    CU_ASSERT_EQUAL(eng_graph_mistakes(graph), 0);
    eng_graph_close(graph);

    graph = eng_graph_open();
    CU_ASSERT_FALSE(eng_graph_wants_help(graph));
    JOB_PRINTED(text, out, eng_graph_print_help(graph, "plain", out));
    EXPECT_TEXT(text, "plain takes no arguments.\n");
    free(text);
    eng_graph_close(graph);
}

static void arguments_are_copied(void)
{
    struct pen_graph *graph = eng_graph_open();
    char *name = strdup("--input"), *value = strdup("book.txt"), *asked = strdup("input");
    char *arguments[] = {name, value};

    eng_graph_set_arguments(graph, 2, arguments);
    memset(name, 'x', strlen(name));
    memset(value, 'x', strlen(value));
    CU_ASSERT_STRING_EQUAL(pen_arg_text(graph, asked, NULL, asked), "book.txt");
    memset(asked, 'x', strlen(asked));
    CU_ASSERT_STRING_EQUAL(pen_arg_text(graph, "input", NULL, ""), "book.txt");
    free(name);
    free(value);
    free(asked);
    eng_graph_close(graph);
}

/* ---- Durations ------------------------------------------------------------------------------- */

static void durations_are_read_and_written(void)
{
    static const struct {
        const char *text, *back;
        pen_duration us;
    } good[] = {
        {"30min", "30min", PEN_MINUTES(30)},
        {"500ms", "500ms", PEN_MILLISECONDS(500)},
        {"2h", "2h", PEN_HOURS(2)},
        {"1d", "1d", PEN_DAYS(1)},
        {"7us", "7us", 7},
        {"0", "0", 0},
        {"1.5s", "1500ms", PEN_MILLISECONDS(1500)},
        {"-5s", "-5s", -PEN_SECONDS(5)},
        {"1h30min", "90min", PEN_MINUTES(90)},
        {"0s", "0", 0},
        {"24h", "1d", PEN_DAYS(1)},
        {"0.000001s", "1us", 1},
    };
    static const char *const bad[] = {"",
                                      "30",
                                      "min",
                                      "30minutes",
                                      "1.5us",
                                      "1 h",
                                      "h1",
                                      "1h-5s",
                                      "--5s",
                                      "1..5s",
                                      "1.s",
                                      "99999999999999999999s",
                                      "9999999999d",
                                      "5S",
                                      "5s "};
    char text[ENG_DURATION_BYTES];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        pen_duration us = 99;
        CU_ASSERT_TRUE(eng_duration_parse(good[i].text, &us));
        CU_ASSERT_EQUAL(us, good[i].us);
        CU_ASSERT_STRING_EQUAL(eng_duration_print(us, text), good[i].back);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pen_duration us = 99;
        if (eng_duration_parse(bad[i], &us)) fprintf(stderr, "taken: %s\n", bad[i]);
        CU_ASSERT_FALSE(eng_duration_parse(bad[i], &us));
        CU_ASSERT_EQUAL(us, 99);
    }
}

/* ---- Did you mean ---------------------------------------------------------------------------- */

static void distances_between_names(void)
{
    CU_ASSERT_EQUAL(eng_similar_distance("auction", "auction"), 0);
    CU_ASSERT_EQUAL(eng_similar_distance("auction", "Auction"), 0);
    CU_ASSERT_EQUAL(eng_similar_distance("acution", "auction"), 1); /* a swap */
    CU_ASSERT_EQUAL(eng_similar_distance("aucton", "auction"), 1);
    CU_ASSERT_EQUAL(eng_similar_distance("auctiion", "auction"), 1);
    CU_ASSERT_EQUAL(eng_similar_distance("auktion", "auction"), 1);
    CU_ASSERT_EQUAL(eng_similar_distance("kitten", "sitting"), 3);
    CU_ASSERT_EQUAL(eng_similar_distance("", "abc"), 3);
    CU_ASSERT_EQUAL(eng_similar_distance("abc", ""), 3);
    char longer[65];
    memset(longer, 'a', 64);
    longer[64] = '\0';
    CU_ASSERT_EQUAL(eng_similar_distance(longer, "a"), UINT32_MAX);
    longer[63] = '\0';
    CU_ASSERT_EQUAL(eng_similar_distance(longer, "a"), 62);
}

static void the_nearest_is_offered_if_it_is_near(void)
{
    struct eng_similar similar = {.wanted = "prise"};
    eng_similar_offer(&similar, "bidder");
    CU_ASSERT_PTR_NULL(similar.best);
    eng_similar_offer(&similar, "prise2");
    eng_similar_offer(&similar, "price");
    CU_ASSERT_STRING_EQUAL(similar.best, "prise2"); /* the first of equals */
    similar = (struct eng_similar){.wanted = "id"};
    eng_similar_offer(&similar, "at");
    CU_ASSERT_PTR_NULL(similar.best);
    eng_similar_offer(&similar, "ID");
    CU_ASSERT_STRING_EQUAL(similar.best, "ID");
    similar = (struct eng_similar){.wanted = "m"};
    eng_similar_offer(&similar, "n");
    CU_ASSERT_PTR_NULL(similar.best); /* nothing in common */
}

#define TEST(name) CU_add_test(suite, #name, name)

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS) return 1;
    CU_pSuite suite = CU_add_suite("job/argument", NULL, NULL);
    (void)put_bid_PEN_, (void)put_tally_PEN_;
    TEST(answers_of_every_kind);
    TEST(asking_twice_gives_the_same_answer);
    TEST(values_that_are_none);
    TEST(arguments_that_nobody_asked_for);
    TEST(what_is_required_and_missing_is_told_once);
    TEST(help_lists_all_in_the_order_of_asking);
    TEST(arguments_are_copied);
    TEST(durations_are_read_and_written);
    TEST(distances_between_names);
    TEST(the_nearest_is_offered_if_it_is_near);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures ? 1 : 0;
}
