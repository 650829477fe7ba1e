/* A graph of one connector, and what is told about it: for tests that need no running job. */
#ifndef TESTS_CONNECTOR_GRAPH_H
#define TESTS_CONNECTOR_GRAPH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/job/graph.h"
#include "engine/operator/operators.h"
#include "shm/check.h"

static struct pen_graph *graph_at_hand;

/* The mistakes of the graph at hand, all together; "" where there are none. Valid until the next
 * call. */
static inline const char *graph_mistakes(void)
{
    static char *text;
    size_t bytes = 0;

    free(text);
    text = NULL;
    FILE *out = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    if (!eng_graph_finish(graph_at_hand)) eng_graph_print_mistakes(graph_at_hand, out);
    fclose(out);
    return text;
}

/* Describes a job and returns its mistakes. Close with graph_end. */
static inline const char *graph_begin(void (*job)(pen_graph *graph))
{
    graph_at_hand = eng_graph_open();
    job(graph_at_hand);
    return graph_mistakes();
}

static inline struct eng_node *graph_node(uint32_t number)
{
    uint32_t count;
    struct eng_node **nodes = eng_graph_nodes(graph_at_hand, &count);
    CHECK(number < count);
    return nodes[number];
}

/* Plans its first node, a source. NULL: it worked; else why not. */
static inline const char *graph_plan(void)
{
    static char reason[1024];
    return eng_source_plan(graph_node(0), reason, sizeof reason) ? NULL : reason;
}

static inline void graph_end(void)
{
    eng_graph_close(graph_at_hand);
    graph_at_hand = NULL;
}

#endif
