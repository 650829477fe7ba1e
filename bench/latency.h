/* bench/latency.h: how long records took, as the job and the bare loop count it.
 *
 * A log-linear histogram of nanoseconds: 64 buckets of one, then 32 for each power of two, so a
 * value is known within 1/32. A percentile is the largest value that its bucket holds, which never
 * flatters; the maximum is exact. Both measured programs write the buckets out as JSON and
 * bench/run adds them up: so nothing but the path that a record takes is different between them.
 *
 * A latency is counted from the moment a record was due, not from when it was made: a generator
 * that stands still makes its records late, and they count as late (else a pause of a second would
 * show in one record and be missing in all those that it held up).
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { LATENCY_FINE_BITS = 5, LATENCY_BUCKETS = 64 + 58 * 32 };

struct latency {
    uint64_t count;
    uint64_t max_ns;
    uint64_t buckets[LATENCY_BUCKETS];
};

static inline uint32_t latency_bucket(uint64_t ns)
{
    if (ns < 64) return (uint32_t)ns;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(ns) - LATENCY_FINE_BITS;
    return (shift << LATENCY_FINE_BITS) + (uint32_t)(ns >> shift);
}

/* The largest value of a bucket. */
static inline uint64_t latency_ceiling(uint32_t bucket)
{
    if (bucket < 64) return bucket;
    uint32_t shift = (bucket >> LATENCY_FINE_BITS) - 1;
    return ((uint64_t)(32 + bucket % 32 + 1) << shift) - 1;
}

static inline void latency_add(struct latency *latency, uint64_t ns)
{
    latency->buckets[latency_bucket(ns)]++;
    latency->count++;
    if (ns > latency->max_ns) latency->max_ns = ns;
}

/* {"count":..,"max_ns":..,"buckets":[[largest value, how many], ...]} */
static inline void latency_write(const struct latency *latency, FILE *out)
{
    bool first = true;

    fprintf(out, "{\"count\":%llu,\"max_ns\":%llu,\"buckets\":[",
            (unsigned long long)latency->count, (unsigned long long)latency->max_ns);
    for (uint32_t bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
        if (latency->buckets[bucket] == 0) continue;
        fprintf(out, "%s[%llu,%llu]", first ? "" : ",", (unsigned long long)latency_ceiling(bucket),
                (unsigned long long)latency->buckets[bucket]);
        first = false;
    }
    fputs("]}", out);
}

#endif
