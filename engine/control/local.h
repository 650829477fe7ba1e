/* engine/control/local.h: a whole job in one process: all workers, no supervisor, no region.
 *
 * The workers are the real ones, over a board and rings in plain memory; somebody else decides who
 * runs. Tests step them in turn or at random, the simulator runs each as a process of its own (see
 * tests/sim_control_job_test.c). Nothing blocks: a worker that is idle returns 0.
 *
 *     open: graph, plan, board, workers -> step ... step -> close
 *
 * Who has described the graph already, call by call, begins with eng_local_begin. The witness and
 * virtual time are those of engine/flow/worker.h.
 */
#ifndef ENG_CONTROL_LOCAL_H
#define ENG_CONTROL_LOCAL_H

#include "engine/control/assemble.h"
#include "engine/job/graph.h"

struct eng_local {
    struct pen_graph *graph;
    struct eng_plan plan;
    struct eng_board *board;
    void *ring_memory;
    struct eng_worker **workers;
    uint32_t worker_count;
    struct eng_worker_settings settings;
    struct eng_assembly assembly;
};

struct eng_local_options {
    uint32_t parallelism; /* 0: 1 */
    uint32_t argument_count;
    char *const *arguments; /* of the job */
    uint64_t ring_bytes;    /* 0: as planned; else the capacity of every ring, to make them full */
    uint64_t memory_bytes;  /* for board, rings and all that grows; 0: no limit */
    bool plan_only;         /* make no worker: the simulator makes each in its own process */
    const int64_t *virtual_wall_us;           /* NULL: real clocks */
    const struct eng_worker_witness *witness; /* NULL: none */
};

/* 0; -EINVAL: the graph has mistakes, or cannot be planned, and reason holds them. */
int eng_local_open(struct eng_local *local, void (*job)(pen_graph *graph),
                   const struct eng_local_options *options, char *reason, size_t reason_bytes);
/* The same from a graph that is not finished; it belongs to *local from here on, whatever happens.
 */
int eng_local_begin(struct eng_local *local, struct pen_graph *graph,
                    const struct eng_local_options *options, char *reason, size_t reason_bytes);
void eng_local_close(struct eng_local *local); /* accepts zeros */

/* One worker, made here. NULL: reason says why. */
struct eng_worker *eng_local_make_worker(struct eng_local *local, uint32_t number, char *reason,
                                         size_t reason_bytes);

/* Steps every worker once; false: all have ended or one has failed. */
bool eng_local_step(struct eng_local *local);

/* Until the end. 0; -EIO: the job failed, see eng_local_failure. */
int eng_local_run(struct eng_local *local);
const char *eng_local_failure(const struct eng_local *local); /* NULL: none */

/* As the supervisor would: STOP or DRAIN. */
void eng_local_command(struct eng_local *local, enum eng_command command);

/* Sums over the subtasks of the operator with this id. */
uint64_t eng_local_records_in(const struct eng_local *local, const char *id);
uint64_t eng_local_records_out(const struct eng_local *local, const char *id);
uint64_t eng_local_rejected(const struct eng_local *local, const char *id);

#endif
