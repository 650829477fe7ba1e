/* Virtual time: see shm/sim.h. */
#include "shm/clock.h"

#include <stddef.h>

#include "shm/sim.h"

/* When the simulated world began: 2026-01-01 00:00:00 UTC. */
#define CLOCK_EPOCH_US 1767225600000000

uint64_t shm_clock_ns(void)
{
    shm_sim_yield();
    return shm_sim_now_ns();
}

int64_t shm_clock_wall_us(void)
{
    shm_sim_yield();
    return CLOCK_EPOCH_US + (int64_t)(shm_sim_now_ns() / 1000u);
}

uint64_t shm_clock_cpu_ns(void)
{
    return shm_sim_now_ns();
}

void shm_clock_sleep_until(uint64_t ns)
{
    shm_sim_wait(ns, NULL, NULL);
}
