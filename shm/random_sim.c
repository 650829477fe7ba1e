#include "shm/random.h"

#include "shm/sim.h"

uint64_t shm_random(void)
{
    shm_sim_yield();
    return shm_sim_random();
}
