/* shm/random.h: the seam for chance, and a small generator for everyone else.
 *
 * shm_random() is for what must differ between runs: run ids, jitter of restarts. random.c gets it
 * from the kernel, random_sim.c from the seed of the simulation. Not for secrets that outlive a
 * run.
 *
 * struct shm_random_stream is a private generator (xoshiro256**, seeded by splitmix64): the same
 * seed gives the same numbers on every machine. Tests, the simulator and sampling use it.
 */
#ifndef SHM_RANDOM_H
#define SHM_RANDOM_H

#include <stdint.h>

#include "shm/check.h"

uint64_t shm_random(void);

struct shm_random_stream {
    uint64_t state[4];
};

/* The next of a sequence that visits every 64-bit number once. */
static inline uint64_t shm_random_split(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline void shm_random_seed(struct shm_random_stream *stream, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++)
        stream->state[i] = shm_random_split(&seed);
}

static inline uint64_t shm_random_rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static inline uint64_t shm_random_next(struct shm_random_stream *stream)
{
    uint64_t *s = stream->state;
    uint64_t result = shm_random_rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = shm_random_rotate(s[3], 45);
    return result;
}

/* 0 .. bound-1. The bias is bound / 2^32 for bounds below 2^32: nothing that a test could see. */
static inline uint64_t shm_random_below(struct shm_random_stream *stream, uint64_t bound)
{
    CHECK(bound > 0);
    if (bound >> 32) return shm_random_next(stream) % bound;
    return (shm_random_next(stream) >> 32) * bound >> 32;
}

#endif
