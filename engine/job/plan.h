/* engine/job/plan.h: where everything runs.
 *
 * The planner turns the nodes of a graph into chains, exchanges, workers and rings. Pure: the same
 * graph and options give the same plan, and a graph may be planned again with others. It writes one
 * thing into the graph, the parallelism and claim of each node.
 *
 *   Chains.     A node joins the chain of its only input when that is a forward one and
 * parallelism, group and blocking are the same. Every other node begins a chain. So a chain is a
 * tree: its head, and what is called directly from there. Workers.    One for each core that the
 * job may use: every worker hosts one subtask of each chain of its group, as far as the chain's
 * parallelism goes. Subtasks of a chain with fewer subtasks than workers start at different
 * workers, chain by chain, to spread. A group has workers of its own; chains that may block have
 * helper processes of their own, one for each subtask. Chains of the same parallelism that a
 * forward edge joins lie on the same workers, so that the edge needs no ring. Exchanges.  One for
 * each input of a chain's head. A forward input between different parallelisms is a rebalancing
 * one; a rebalancing one between two single subtasks is forward. Rings.      One for each pair of
 * different workers that an exchange joins. Sorted by the worker that reads them, so that what it
 * touches first lies together.
 *
 * Numbers of workers: the job's own first, then each group's in the order of the graph, then
 * helpers.
 */
#ifndef ENG_JOB_PLAN_H
#define ENG_JOB_PLAN_H

#include <stdio.h>

#include "engine/flow/node.h"

struct pen_graph;

struct eng_plan_chain {
    uint32_t number;
    uint32_t *nodes; /* the head first, then in the order of the graph */
    uint32_t node_count;
    uint32_t parallelism;
    uint32_t *workers; /* of each subtask */
    const char *group;
    bool blocking;
};

struct eng_plan_exchange {
    uint32_t number;
    uint32_t from_chain, from_node, from_output;
    uint32_t to_chain, to_node, input; /* input: index in to_node's inputs */
    enum eng_exchange_kind kind;       /* not that of the input: see above */
    uint64_t ring_bytes;               /* of each of its rings; 0: it has none */
    uint32_t ring_count;
};

struct eng_plan_ring {
    uint32_t exchange;
    uint32_t from_worker, to_worker;
    uint32_t ready_bit; /* among to_worker's inbound rings */
    uint64_t memory_offset, capacity_bytes;
};

struct eng_plan_worker {
    uint32_t number;
    const char *group; /* NULL: the job's own */
    bool blocking;     /* a helper process: owns no core, may block */
    int core;          /* -1: not pinned */
    uint32_t inbound;  /* rings */
};

struct eng_plan {
    struct eng_node **nodes;
    uint32_t node_count;
    struct eng_plan_chain *chains; /* upstream first */
    uint32_t chain_count;
    struct eng_plan_exchange *exchanges;
    uint32_t exchange_count;
    struct eng_plan_ring *rings;
    uint32_t ring_count;
    struct eng_plan_worker *workers;
    uint32_t worker_count;
    uint32_t core_worker_count; /* those that want a core: all but the helpers */
    uint32_t core_count;        /* cores that the job may use */
    uint32_t subtask_count;     /* of all nodes */
    uint32_t claim_count;       /* sources */
    uint64_t ring_memory_bytes;
    uint64_t board_bytes;
};

struct eng_plan_options {
    uint32_t parallelism; /* 0: the job's own, else one for each core */
    const int *cores;     /* which may be used; NULL: those this process may run on */
    uint32_t core_count;
};

/* Plans a graph that has no mistakes. -EINVAL: cannot be planned, reason says why and what to do.
 */
int eng_plan_open(struct eng_plan *plan, struct pen_graph *graph,
                  const struct eng_plan_options *options, char *reason, size_t reason_bytes);
void eng_plan_close(struct eng_plan *plan); /* accepts zeros */

/* What a board of this plan has to show (see flow/board.h). */
struct eng_board_counts;
void eng_plan_counts(const struct eng_plan *plan, struct eng_board_counts *counts);

/* The plan as people read it: chains, their operators, exchanges, workers, bytes. */
void eng_plan_explain(const struct eng_plan *plan, FILE *out);
void eng_plan_print_memory(const struct eng_plan *plan, FILE *out); /* for --dry-run: every byte */

/* "16 KiB", "1.5 MiB": bytes for people; `to` has 32 bytes. Returns it. */
const char *eng_plan_bytes_text(uint64_t bytes, char *to);

#endif
