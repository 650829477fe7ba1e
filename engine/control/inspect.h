/* engine/control/inspect.h: looking at a job from outside.
 *
 * A tool maps a job's region read-only and needs nothing from any of the job's processes: it works
 * on a job that hangs or is stopped, and on what a dead one left behind. It never looks at the live
 * board twice for one thing: a snapshot copies the whole board, checks the copy, and everything
 * else works on that. So a region that is damaged or still moving cannot lead a tool astray. What
 * the board does not say is read from /proc: whether a process lives, is stopped, and what it has
 * used of a core.
 *
 *     open -> take, (wait,) take -> view.h prints -> drop -> close
 */
#ifndef ENG_CONTROL_INSPECT_H
#define ENG_CONTROL_INSPECT_H

#include "engine/flow/board.h"
#include "shm/region.h"

struct eng_inspect {
    struct shm_region region;
    uint64_t root, board_bytes; /* where the board lies in the region */
};

/* What is known of a worker's process besides its block of the board. */
struct eng_snapshot_process {
    bool alive;
    bool stopped; /* by a signal or a debugger */
    uint64_t cpu_ns;
};

struct eng_snapshot {
    struct eng_board *board;                /* a private copy */
    struct eng_snapshot_process *processes; /* one for each worker */
    uint64_t taken_ns;
    int supervisor;
    bool supervisor_alive;
};

/* Finds a job of this user by its name or its pid; NULL: the only one there is. One that lives is
 * preferred to what a dead one left. 0, or -errno with a reason that lists what there is. */
int eng_inspect_open(struct eng_inspect *inspect, const char *job, char *reason,
                     size_t reason_bytes);
void eng_inspect_close(struct eng_inspect *inspect);

/* 0; -EPROTO: the board is damaged, or of another version. */
int eng_inspect_take(const struct eng_inspect *inspect, struct eng_snapshot *snapshot);
void eng_inspect_drop(struct eng_snapshot *snapshot); /* accepts zeros */

#endif
