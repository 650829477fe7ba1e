/* engine/flow/node.h: what the graph knows of one operator, and a worker needs to run it.
 *
 * Nodes are made by engine/job while pen_job runs, in the supervisor, and are complete before the
 * first worker is forked: each worker has them as a private copy and none changes them. An operator
 * kind is a class, one table of functions in engine/operator or engine/connector; a node is one use
 * of it with its options; a pen_context is one running subtask of a node.
 *
 * An input says where records come from and how they change owner on the way:
 *
 *     ENG_FORWARD     they stay where they are (or change worker one to one where groups differ)
 *     ENG_KEYED       to the owner of their key's hash
 *     ENG_REBALANCE   dealt out evenly
 *     ENG_BROADCAST   to all, in one order
 *
 * Several inputs may arrive at one port: that is all that a union is.
 */
#ifndef ENG_FLOW_NODE_H
#define ENG_FLOW_NODE_H

#include <penstock.h>

#include "engine/record/key.h"
#include "engine/record/layout.h"

enum eng_exchange_kind { ENG_FORWARD, ENG_KEYED, ENG_REBALANCE, ENG_BROADCAST };

/* What the rows of a stream are. */
struct eng_stream_kind {
    bool timed;     /* records have an event time, watermarks follow them */
    bool updating;  /* row kinds matter */
    bool no_before; /* updating without PEN_UPDATE_BEFORE */
};

struct eng_node_output {
    const char *name; /* "main", or the side output's */
    const struct pen_schema *schema;
    struct eng_layout layout;
    struct eng_stream_kind stream;
};

struct eng_node_input {
    uint32_t from_node, from_output;
    uint32_t port; /* 0: left or only; 1: right, or rules */
    enum eng_exchange_kind kind;
    const struct eng_key *key; /* ENG_KEYED: compiled for the records that arrive */
    /* How a key function makes the key: it is called by the sender. NULL: the key is fields. */
    const struct pen_function *key_function;
};

struct eng_node_port {
    const struct eng_layout *layout; /* of the records that arrive; NULL: a source has no port */
    struct eng_stream_kind stream;
    const struct eng_key *key; /* NULL: not keyed */
};

struct eng_class;
struct eng_states_plan;

enum { ENG_PORTS_MAX = 2 };

struct eng_node {
    uint32_t number;
    const struct eng_class *class;
    const char *id;    /* finds its state again */
    const char *title; /* for people: map(split) */
    const char *file;  /* of the call in pen_job */
    uint32_t line;
    bool id_is_default;

    const struct pen_function *function; /* the main one: each, keep, poll, write ... */
    const void *options;                 /* a deep copy of the operator's public struct */
    const void *user;
    void (*open)(pen_context *ctx);
    void (*close)(pen_context *ctx);
    const char *const *counters; /* ended by NULL; may be NULL */
    uint32_t counter_count;

    struct eng_node_input *inputs;
    uint32_t input_count;
    struct eng_node_port ports[ENG_PORTS_MAX];
    uint32_t port_count;
    struct eng_node_output *outputs; /* the main one first; none for a sink */
    uint32_t output_count;

    uint32_t parallelism; /* decided by the planner */
    const char *group;
    bool blocking;      /* may block: its chain runs in processes of its own that own no core */
    bool cannot_rewind; /* a source that cannot give its records a second time */
    struct eng_states_plan *states; /* of `.uses`; NULL: none */
    void *compiled;                 /* the class's, made by its `prepare` before the fork */

    /* Sources: the splits that plan gave, one record of function->state each. */
    void **splits;
    uint32_t split_count, split_room;
    uint32_t claim; /* index of this node's word among the board's claim words */
};

#endif
