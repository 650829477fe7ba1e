/* Shared by the tests of engine/job: a graph, its mistakes as text, and types of their own. */
#ifndef TESTS_JOB_GRAPH_H
#define TESTS_JOB_GRAPH_H

#include <CUnit/Basic.h>
#include <penstock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/job/graph.h"
#include "engine/job/plan.h"

/* What a printing function wrote, in memory that the caller frees. */
#define JOB_PRINTED(text, out, ...)                                                                \
    do {                                                                                           \
        size_t bytes_;                                                                             \
        FILE *out = open_memstream(&(text), &bytes_);                                              \
        __VA_ARGS__;                                                                               \
        fclose(out);                                                                               \
    } while (0)

/* Compares and shows both when they differ. */
static inline void job_expect_text(const char *got, const char *expected, const char *file,
                                   int line)
{
    if (strcmp(got, expected) != 0)
        fprintf(stderr, "\n%s:%d: expected\n%s\ngot\n%s\n", file, line, expected, got);
    CU_ASSERT_STRING_EQUAL(got, expected);
}
#define EXPECT_TEXT(got, expected) job_expect_text(got, expected, __FILE__, __LINE__)

/* Finishes the graph and expects exactly these mistakes, one a line. Closes it. */
static inline void job_expect_mistakes(struct pen_graph *graph, const char *expected,
                                       const char *file, int line)
{
    char *text = NULL;

    CU_ASSERT_EQUAL(eng_graph_finish(graph), *expected == '\0');
    JOB_PRINTED(text, out, eng_graph_print_mistakes(graph, out));
    job_expect_text(text, expected, file, line);
    free(text);
    eng_graph_close(graph);
}
#define EXPECT_MISTAKES(graph, expected) job_expect_mistakes(graph, expected, __FILE__, __LINE__)

static inline void job_expect_warnings(struct pen_graph *graph, const char *expected,
                                       const char *file, int line)
{
    char *text = NULL;

    JOB_PRINTED(text, out, eng_graph_print_warnings(graph, out));
    job_expect_text(text, expected, file, line);
    free(text);
}
#define EXPECT_WARNINGS(graph, expected) job_expect_warnings(graph, expected, __FILE__, __LINE__)

/* ---- Types and functions --------------------------------------------------------------------- */

struct word {
    pen_string text;
};
PEN_RECORD(word, text);

struct tally {
    pen_string text;
    int64_t count;
};
PEN_RECORD(tally, text, count);

struct bid {
    pen_time at;
    int64_t auction;
    int64_t bidder;
    double price;
    pen_opt_int32 rating;
    pen_opt_time mark;
    pen_code channel;
    bool cheap;
};
PEN_RECORD(bid, at, auction, bidder, price, rating, mark, channel, cheap);

static void number(pen_context *ctx, uint64_t index)
{
    (void)ctx, (void)index;
}
PEN_GENERATE(number, word);

static void bids(pen_context *ctx, uint64_t index)
{
    (void)ctx, (void)index;
}
PEN_GENERATE(bids, bid);

static void split(pen_context *ctx, const struct word *line)
{
    (void)ctx, (void)line;
}
PEN_MAP(split, word, word);

static bool cheap(const struct bid *bid)
{
    return bid->cheap;
}
PEN_FILTER(cheap, bid);

static enum pen_taken put(pen_context *ctx, const struct word *word)
{
    (void)ctx, (void)word;
    return PEN_TAKEN;
}
PEN_SINK(put, word);

static enum pen_taken put_bid(pen_context *ctx, const struct bid *bid)
{
    (void)ctx, (void)bid;
    return PEN_TAKEN;
}
PEN_SINK(put_bid, bid);

static enum pen_taken put_tally(pen_context *ctx, const struct tally *tally)
{
    (void)ctx, (void)tally;
    return PEN_TAKEN;
}
PEN_SINK(put_tally, tally);

#endif
