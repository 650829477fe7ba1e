/* bench/mix.h: the keys of all benchmarks.
 *
 * Pure functions of an index, so that programs and jobs, in any language, make the same records.
 * The jobs are users' programs: this is all that they share with the measuring programs, beside the
 * histogram in latency.h. What jobs share among themselves is in jobs/total.h. */
#ifndef BENCH_MIX_H
#define BENCH_MIX_H

#include <stdint.h>

/* SplitMix64: the generator of that name, with the state index * gamma. */
static inline uint64_t bench_split_mix(uint64_t index)
{
    uint64_t z = (index + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number in 0 .. bound-1 from a hash: the high half of the product. No division. */
static inline uint64_t bench_reduce(uint64_t hash, uint64_t bound)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)hash * bound >> 64);
}

#endif
