/* engine/job/graph_inside.h: the inside of a graph, for the files of this folder.
 *
 *     graph.c      memory, mistakes
 *     argument.c   pen_arg_, --help
 *     settings.c   pen_configure, pen_evolve
 *     call.c       one pen_add_ call: its struct, its function, its options, the node it makes
 *     stream.c     handles: what a pen_stream stands for, unions, keys
 *     stateless.c, keyed.c, aggregate.c, top.c, join.c, window.c, async.c, ends.c    the pen_add_
 *                 functions
 *     finish.c     what can be checked only when all is there
 *
 * Handles. A pen_stream's `node` is the number of a stream here, from 1 on, not of a node: an
 * output of a node is a stream, and so are a union, a keyed and a rebalanced one, which are no
 * nodes but ways to read others. They are resolved when an operator is built on them: see stream.h.
 */
#ifndef ENG_JOB_GRAPH_INSIDE_H
#define ENG_JOB_GRAPH_INSIDE_H

#include "engine/job/graph.h"
#include "engine/job/limits.h"

struct graph_block { /* of memory that lives as long as the graph */
    struct graph_block *next;
    _Alignas(16) char bytes[];
};

struct graph_note {   /* a mistake or a warning */
    const char *file; /* NULL: it concerns no line */
    uint32_t line;
    uint32_t number; /* in the order of telling */
    const char *text;
};

struct graph_notes {
    struct graph_note *notes;
    uint32_t count, room;
    uint32_t untold; /* more than ENG_MISTAKES_MAX */
};

/* An argument that was given on the command line. */
struct graph_given {
    const char *text;  /* as it was given */
    const char *name;  /* without the dashes; NULL: it is a value, or nothing */
    const char *value; /* behind a `=` */
    bool used;
};

enum graph_argument_kind {
    GRAPH_ARGUMENT_TEXT = 1,
    GRAPH_ARGUMENT_INT,
    GRAPH_ARGUMENT_DOUBLE,
    GRAPH_ARGUMENT_FLAG,
    GRAPH_ARGUMENT_DURATION,
};

/* An argument that the job asked for. */
struct graph_argument {
    enum graph_argument_kind kind;
    const char *name, *help;
    const char *fallback; /* as text; NULL: required */
    const char *text;     /* the answer */
    int64_t number;       /* int, flag, duration */
    double real;
};

/* A schema that was met: checked once, told once. */
struct graph_layout {
    const struct pen_schema *schema;
    struct eng_layout layout;
    bool good;
};

enum graph_stream_kind {
    GRAPH_STREAM_BAD, /* absorbs */
    GRAPH_STREAM_OUTPUT,
    GRAPH_STREAM_UNION,
    GRAPH_STREAM_REBALANCED,
    GRAPH_STREAM_KEYED,
};

struct graph_stream {
    enum graph_stream_kind kind;
    const struct pen_origin *origin; /* of the call that made it */
    const char *call;                /* pen_map(split) */
    const char *side;                /* a side output's name; NULL: the main one */
    const struct eng_layout *layout;
    struct eng_stream_kind rows;
    uint32_t node, output; /* an output */
    const uint32_t *parts; /* others: the streams it is made of */
    uint32_t part_count;
    const struct eng_key *key; /* keyed: for its records, or for what the function makes of them */
    const struct pen_function *key_function;
    bool read;
};

struct graph_node {
    struct eng_node node; /* first: handed out */
    const struct pen_origin *origin;
    const char *call;
    uint32_t wanted; /* parallelism; 0: the job's */
    bool has_state, is_sink;
};

struct graph_used_state {
    const struct pen_state *state;
    const char *call;
};

struct pen_graph {
    struct graph_block *blocks;
    struct graph_notes mistakes, warnings;

    struct graph_given *given;
    uint32_t given_count;
    struct graph_argument **arguments;
    uint32_t argument_count, argument_room;
    bool wants_help;
    const char *missing; /* what stands for a required argument that was not given */

    struct eng_graph_settings settings;
    const struct pen_origin *settings_origin; /* NULL: pen_configure was not called */
    struct pen_evolution **evolutions;
    uint32_t evolution_count, evolution_room;

    struct graph_layout **layouts;
    uint32_t layout_count, layout_room;
    struct eng_key **keys; /* to be closed */
    uint32_t key_count, key_room;

    struct graph_stream **streams; /* by number; 0 is the bad one */
    uint32_t stream_count, stream_room;
    struct eng_node **nodes; /* each the first member of a graph_node */
    uint32_t node_count, node_room;
    struct graph_used_state *used_states;
    uint32_t used_state_count, used_state_room;
    uint32_t sink_calls, source_calls; /* those with mistakes too */
    bool finished;
};

/* Room for one more element in an array of the graph, which moves. */
void *eng_graph_grow(void *array, uint32_t count, uint32_t *room, size_t element_bytes);

/* The layout of a schema, checked when it is first met. NULL: the schema is a mistake, which
 * *reason says when it is met for the first time, and which is empty later. */
const struct eng_layout *eng_graph_layout(struct pen_graph *graph, const struct pen_schema *schema,
                                          char *reason, size_t reason_bytes);

/* Arguments that nobody asked for; in argument.c. */
void eng_graph_check_arguments(struct pen_graph *graph);

static inline struct graph_node *eng_graph_node_of(struct eng_node *node)
{
    return (struct graph_node *)(void *)node;
}

#endif
