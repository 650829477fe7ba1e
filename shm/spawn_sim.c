/* Processes of the simulation: see shm/sim.h. Handlers are not simulated: any signal ends one. */
#include "shm/spawn.h"

#include <stdlib.h>

#include "shm/check.h"
#include "shm/sim.h"

enum { SPAWN_PID_FIRST = 1000 }; /* of the first process of a run */

int shm_spawn(struct shm_process *process, void (*main)(void *arg), void *arg)
{
    shm_sim_yield();
    uint32_t number = shm_sim_spawn(main, arg);
    *process = (struct shm_process){(pid_t)number + SPAWN_PID_FIRST, (int)number + SHM_SIM_PIDFD};
    shm_sim_yield();
    return 0;
}

static uint32_t spawn_number(const struct shm_process *process)
{
    CHECK(process->pid >= SPAWN_PID_FIRST);
    return (uint32_t)(process->pid - SPAWN_PID_FIRST);
}

bool shm_process_reap(struct shm_process *process, struct shm_ending *ending)
{
    shm_sim_yield();
    *ending = (struct shm_ending){.status = -1};
    if (!shm_sim_ended(spawn_number(process), &ending->status, &ending->signal)) return false;
    *process = (struct shm_process){0, -1};
    return true;
}

static bool spawn_has_ended(void *arg)
{
    return shm_sim_ended(spawn_number(arg), NULL, NULL);
}

bool shm_process_wait(struct shm_process *process, struct shm_ending *ending, uint64_t deadline_ns)
{
    return shm_sim_wait(deadline_ns, spawn_has_ended, process) && shm_process_reap(process, ending);
}

void shm_process_kill(struct shm_process *process, int signal)
{
    shm_sim_yield();
    if (process->pid != 0 && signal != 0) shm_sim_kill(spawn_number(process), signal);
}

_Noreturn void shm_process_exit(int status)
{
    shm_sim_exit(status);
}

_Noreturn void shm_process_abort(const char *text)
{
    shm_sim_fail(text);
}

pid_t shm_process_self(void)
{
    return (pid_t)shm_sim_self() + SPAWN_PID_FIRST;
}

uint64_t shm_process_start_ticks(pid_t pid)
{
    if (pid < SPAWN_PID_FIRST) return 0;
    uint32_t number = (uint32_t)(pid - SPAWN_PID_FIRST);
    return shm_sim_ended(number, NULL, NULL) ? 0 : number + 1u;
}

void **shm_process_local(void)
{
    return shm_sim_local();
}
