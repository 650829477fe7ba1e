/* engine/control/assemble.h: a plan becomes a running worker.
 *
 * Called in the worker's own process, after the fork: it maps the memory of the rings that this
 * worker writes or reads and no others, builds its chains with their contexts, lanes and inputs,
 * joins them, and opens the operators. Nothing of it is shared but the board and the rings. */
#ifndef ENG_CONTROL_ASSEMBLE_H
#define ENG_CONTROL_ASSEMBLE_H

#include "engine/flow/worker.h"
#include "engine/job/plan.h"

/* Ring memory: by descriptor of a memfd, mapped ring by ring; or memory that is there already, as
 * in the simulator and in tests, where ring_memory is not NULL and the descriptor is not looked at.
 */
struct eng_assembly {
    const struct eng_plan *plan;
    const struct eng_worker_settings *settings;
    struct eng_board *board;
    int ring_memory_fd;
    void *ring_memory;
};

/* 0, or -errno with a reason. When an operator's open failed the job, the worker is made and
 * worker->failed is set. */
int eng_assemble(struct eng_worker **worker, const struct eng_assembly *assembly, uint32_t number,
                 char *reason, size_t reason_bytes);
void eng_worker_close(struct eng_worker *worker); /* accepts NULL */

/* Fills a board from a plan, before any worker exists. The board is zeroed memory of
 * plan->board_bytes. 0, or -errno: no descriptors left for the workers' doorbells. */
int eng_assemble_board(struct eng_board *board, const struct eng_plan *plan, const char *job);

#endif
