/* tests/local_jobs.h: what tests of whole jobs in one process share: numbers that look random, and
 * a job run in every way. */
#ifndef TESTS_LOCAL_JOBS_H
#define TESTS_LOCAL_JOBS_H

#include <CUnit/Basic.h>
#include <stdio.h>

#include "engine/control/local.h"

/* A pure function: jobs and models make the same numbers of an index. */
static inline uint64_t local_mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Runs a job at parallelisms 1, 2, 3 and 8, with planned and with tiny rings, which are full most
 * of the time: `reset` before each run, `check` after it. */
static inline void local_run_everywhere(void (*job)(pen_graph *), void (*reset)(void),
                                        void (*check)(const struct eng_local *))
{
    static const uint32_t parallelisms[] = {1, 2, 3, 8};
    char reason[4096];

    for (uint32_t p = 0; p < 4; p++)
        for (uint32_t tiny = 0; tiny < 2; tiny++) {
            struct eng_local local;
            struct eng_local_options options = {.parallelism = parallelisms[p],
                                                .ring_bytes = tiny ? SHM_RING_BYTES_MIN : 0};
            reset();
            if (eng_local_open(&local, job, &options, reason, sizeof reason) < 0) {
                fprintf(stderr, "%s\n", reason);
                CU_FAIL_FATAL("the job does not open");
            }
            if (eng_local_run(&local) < 0) {
                fprintf(stderr, "%s\n", eng_local_failure(&local));
                CU_FAIL("the job failed");
            }
            check(&local);
            eng_local_close(&local);
        }
}

#endif
