/* shm/sim.h: the simulator: many processes, one thread, every interleaving from a seed.
 *
 * Only in the simulated build (libraries *_sim, compiled with SHM_SIM). Simulated processes are
 * coroutines. Code above the seams is the real code; it hands control over at every verb of
 * shm/atomic.h and at every call of a seam, through shm_sim_yield(), and the seed decides who goes
 * on.
 *
 *     RUNNABLE --- shm_sim_wait() ---> WAITING --- condition true, or time has come ---> RUNNABLE
 *        |                                |
 *        +--- main returns, exit, kill ---+---> ENDED --- reaped ---> (free)
 *
 * Time is virtual: it creeps while processes run and jumps to the next deadline when all wait. If
 * all wait and there is no deadline, nothing will ever happen: the run is stuck, which is how a
 * lost wake-up shows. A run is also over after a limit of steps.
 *
 * Stores are delayed as a store buffer delays them: a release store becomes visible to others at
 * some later point, in order, at the latest at the next fence or read-modify-write of its process.
 * So a missing fence is found too, though all runs on one core. (Reordering that x86 does not do is
 * not simulated; the tags of shm/atomic.h and ThreadSanitizer answer for that.) A process that
 * waits or ends has first made its stores visible; before it frees memory that it stored to, it
 * fences.
 *
 * When a process dies its children die, killed between any two steps. Memory that it had allocated
 * is lost: a run with kills leaks, and the leak sanitizer does not look at simulated processes.
 *
 * Each run draws its own habits from the seed: how often control changes hands, how long stores
 * stay in the buffer, how fast time creeps. Nothing may depend on addresses or on real time, or a
 * seed would not reproduce.
 */
#ifndef SHM_SIM_H
#define SHM_SIM_H

#include <stdbool.h>
#include <stdint.h>

enum shm_sim_outcome {
    SHM_SIM_DONE,    /* main returned */
    SHM_SIM_STUCK,   /* everyone waits, for ever */
    SHM_SIM_ENDLESS, /* steps_max reached */
    SHM_SIM_FAILED,  /* a CHECK failed */
};

struct shm_sim_result {
    enum shm_sim_outcome outcome;
    uint64_t steps;    /* points at which another process could have gone on */
    uint64_t switches; /* at which one did */
    uint64_t trace;    /* a hash of who ran when: two runs of a seed agree in it */
    uint64_t end_ns;   /* virtual */
    char failure[256];
};

/* Runs main(arg) as the first process. When main returns, all others are killed and the run is
 * over. Anything but SHM_SIM_DONE prints the seed and aborts. */
void shm_sim_run(uint64_t seed, void (*main)(void *), void *arg);

/* The same, but tells instead of aborting. steps_max 0: the usual limit. */
struct shm_sim_result shm_sim_try(uint64_t seed, uint64_t steps_max, void (*main)(void *),
                                  void *arg);

bool shm_sim_running(void); /* false outside of a run: seams then behave as well as they can */
uint64_t shm_sim_random(void);
uint64_t shm_sim_now_ns(void);

/* ---- For shm/atomic.h ------------------------------------------------------------------------ */

void shm_sim_yield(void); /* does nothing outside of a run */
void shm_sim_flush(void); /* this process's stores become visible */
bool shm_sim_store(void *word, uint64_t value, uint32_t size_bytes);
bool shm_sim_load(const void *word, uint64_t *value, uint32_t size_bytes);

/* ---- For the bodies of seams ----------------------------------------------------------------- */

/* Sleeps on an address until shm_sim_wake() of it or the deadline; false means the deadline. */
bool shm_sim_sleep(const void *address, uint64_t deadline_ns);
void shm_sim_wake(const void *address); /* one sleeper, if there is any */

/* Waits until ready(arg) or the deadline; false means the deadline. `ready` must not use seams. */
bool shm_sim_wait(uint64_t deadline_ns, bool (*ready)(void *arg), void *arg);

/* Processes have small numbers that are not used again within a run; the first one has 0. Their
 * descriptors for poll are this plus the number: no real descriptor is so large. */
#define SHM_SIM_PIDFD (1 << 24)
uint32_t shm_sim_spawn(void (*main)(void *), void *arg);
uint32_t shm_sim_self(void);
bool shm_sim_ended(uint32_t process, int *status, int *signal);
void shm_sim_kill(uint32_t process, int signal);
void **shm_sim_local(void);
_Noreturn void shm_sim_exit(int status);
_Noreturn void shm_sim_fail(const char *text); /* of a CHECK */

#endif
