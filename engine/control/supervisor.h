/* engine/control/supervisor.h: one run of a job, from its command line to its exit status.
 *
 * The supervisor is the parent of a job's workers. It drafts the job (draft.h), shares its memory,
 * forks the workers, gives commands through one word of the board, and sleeps until something
 * happens: a worker rings its bell because it changed its state, a child ends, a signal comes. Only
 * the line of progress on a terminal wakes it by the clock.
 *
 *              all have opened           all have ended            all are reaped
 *     OPENING -----------------> RUNNING ---------------> CLOSING ---------------> (over)
 *        |                          |                        |                       ^
 *        | a worker died or failed, or a second signal came  |                       |
 *        +--------------------------+------------------------+---> KILLING ----------+
 *
 *     OPENING -> RUNNING    supervisor_on_states(): command RUN
 *     RUNNING -> CLOSING    supervisor_on_states(): command EXIT
 *     any     -> KILLING    supervisor_fail(), supervisor_on_signals(): SIGKILL to all workers
 *
 * The first SIGINT, SIGTERM or SIGHUP is the command STOP (or DRAIN, as the options say): sources
 * end, what is in flight is finished, and the run ends in order. The second one kills.
 *
 * A worker's death is seen through its pidfd. It is told with what the worker left on the board,
 * the others are killed, all are reaped and the region is removed: nothing stays behind. When the
 * supervisor itself is killed, the kernel kills its workers with it; the region is then stale,
 * tools can still look at it, and the next run of any job of this user sweeps it away.
 */
#ifndef ENG_CONTROL_SUPERVISOR_H
#define ENG_CONTROL_SUPERVISOR_H

#include "engine/control/options.h"

/* Plans and explanations go to `out`, everything else to `err`. */
enum eng_exit eng_run(const struct eng_run_options *options, FILE *out, FILE *err);

#endif
