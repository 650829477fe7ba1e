/* engine/control/draft.h: a job that has been described and planned, and not begun.
 *
 * The first half of a run: load the job object, let pen_job describe the graph, tell its mistakes,
 * let sources plan their splits, plan chains, workers and rings. No process has been started and no
 * memory is shared yet, so giving up costs nothing and leaves nothing behind.
 *
 *     object -> graph -> mistakes? -> settings -> splits -> plan
 *
 * The supervisor makes a run of it; `penstock check`, --explain and --dry-run look at it and stop.
 * User code runs in here, in this process: when it crashes, the signal is told with a backtrace.
 */
#ifndef ENG_CONTROL_DRAFT_H
#define ENG_CONTROL_DRAFT_H

#include "engine/control/options.h"
#include "engine/flow/worker.h"
#include "engine/job/graph.h"
#include "engine/job/plan.h"
#include "shm/region.h"

struct eng_draft {
    char name[SHM_REGION_JOB_BYTES];
    char run[20]; /* what pen_run returns: of this run and of no other */
    void *object; /* of eng_load; NULL: the job is part of this program */
    struct pen_graph *graph;
    struct eng_plan plan;
    bool is_planned;
    struct eng_worker_settings settings;
};

/* ENG_EXIT_OK: it is complete, or there is nothing to run (`*is_done`: the job's help, a check or a
 * plan has been printed on `out`). Else it has been told on `err` what is wrong. Close it in any
 * case. */
enum eng_exit eng_draft_open(struct eng_draft *draft, const struct eng_run_options *options,
                             bool *is_done, FILE *out, FILE *err);
void eng_draft_close(struct eng_draft *draft);

#endif
