/* shm/spawn.h: the seam for processes: birth, death, and who am I.
 *
 * A supervisor forks its workers and helpers with shm_spawn(). spawn.c forks; spawn_sim.c starts a
 * coroutine of the simulator, in the same process and the same memory.
 *
 *     shm_spawn() ---> running ---> ended (descriptor readable) ---> shm_process_reap() ---> gone
 *
 * A child dies with its parent: the kernel kills it when the thread that forked it ends, so spawn
 * from a thread that lives as long as the children shall. The pidfd is readable when the child has
 * ended (park on it), and names this child for ever, so that a signal never hits a recycled pid.
 * Children inherit everything else: signal handlers, descriptors, mappings.
 */
#ifndef SHM_SPAWN_H
#define SHM_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/ending.h"

struct shm_process {
    pid_t pid; /* 0: none, or reaped */
    int pidfd; /* for poll; -1: none */
};

/* Starts main(arg) in a child, which exits with status 0 when main returns, without running exit
 * handlers and without flushing streams. 0 or -errno; on failure nothing runs. */
int shm_spawn(struct shm_process *process, void (*main)(void *arg), void *arg);

/* True: it has ended, *ending says how, and it is gone. False: it still runs. */
bool shm_process_reap(struct shm_process *process, struct shm_ending *ending);

/* Waits for the end. False: the deadline passed, it still runs. */
bool shm_process_wait(struct shm_process *process, struct shm_ending *ending, uint64_t deadline_ns);

/* Sends a signal; does nothing to a process that has ended. */
void shm_process_kill(struct shm_process *process, int signal);

/* Ends this process now: no exit handlers, no flushing. */
_Noreturn void shm_process_exit(int status);

/* Ends this process: abort(), or the end of the simulated run. Says why on standard error, unless
 * the process has a slot (see shm_process_local()): last words stand there, for the supervisor to
 * tell. */
_Noreturn void shm_process_abort(const char *text);

pid_t shm_process_self(void);

/* When a process started, in ticks since boot; 0 if there is none. With its pid it names a process
 * for ever, for those who are not its parent. */
uint64_t shm_process_start_ticks(pid_t pid);

/* A word of this process's own that starts as NULL, also in children: where shm/slot.c remembers
 * the slot. Safe in signal handlers. */
void **shm_process_local(void);

#endif
