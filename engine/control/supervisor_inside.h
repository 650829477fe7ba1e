/* engine/control/supervisor_inside.h: what the parts of the supervisor share: supervisor.c runs the
 * loop, supervisor_memory.c shares memory, supervisor_worker.c makes workers and is what they run.
 */
#ifndef ENG_CONTROL_SUPERVISOR_INSIDE_H
#define ENG_CONTROL_SUPERVISOR_INSIDE_H

#include <poll.h>
#include <signal.h>

#include "engine/control/draft.h"
#include "engine/control/progress.h"
#include "engine/control/summary.h"
#include "engine/control/supervisor.h"
#include "shm/region.h"
#include "shm/spawn.h"

enum supervisor_phase {
    SUPERVISOR_OPENING,
    SUPERVISOR_RUNNING,
    SUPERVISOR_CLOSING,
    SUPERVISOR_KILLING,
};

struct supervisor {
    const struct eng_run_options *options;
    FILE *err;
    struct eng_draft draft;
    struct eng_summary_file summary_file;

    struct shm_region region; /* base NULL: there is none */
    struct eng_board *board;
    int ring_memory_fd; /* -1: there are no rings */

    struct shm_process *workers; /* by number */
    int deaths_fd;               /* an epoll of their pidfds, each told once */
    uint64_t *worker_peak_bytes;
    uint32_t alive;

    enum supervisor_phase phase;
    uint32_t seen_opened, seen_ended; /* workers in these states, when last looked */
    enum eng_outcome outcome;
    char *failure; /* NULL: none */
    uint64_t begun_ns, running_ns, ended_ns, cpu_before_ns;
    uint32_t signals; /* that have come */
    int signal_fd;
    sigset_t mask_before;
    struct sigaction pipe_before, child_before;
    struct eng_progress progress;
};

/* ---- supervisor_memory.c --------------------------------------------------------------------- */

/* Sweeps stale regions, makes ours, lays out the board and the rings. False: told on err. */
bool eng_supervisor_share(struct supervisor *s);
void eng_supervisor_unshare(struct supervisor *s); /* removes; accepts what is half made */

/* ---- supervisor_worker.c --------------------------------------------------------------------- */

/* Forks one worker. 0 or -errno. */
int eng_supervisor_spawn(struct supervisor *s, uint32_t number);

/* The most memory that a living worker has had so far. */
uint64_t eng_supervisor_peak_bytes(const struct shm_process *process);

#endif
