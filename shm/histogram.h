/* shm/histogram.h: how long things took.
 *
 * A latency histogram in shared memory with a fixed layout: one process records, everyone may read.
 * Values are nanoseconds (or anything else that counts from 0); those above an hour are counted as
 * an hour. Buckets are log-linear:
 *
 *     0 .. 63            one bucket a value: exact
 *     64 .. 2^42         32 buckets for each power of two: a value is off by at most 1/32
 *
 *     value      0  1 ..  63 | 64 66 68 .. 126 | 128 132 .. 252 | 256 ...
 *     bucket     0  1 ..  63 | 64 65 66 ..  95 |  96  97 .. 127 | 128 ...
 *
 * Recording is a few instructions and no lock; a reader may see a record counted in its bucket and
 * not yet in the sum. A tool that wants the last second keeps a copy and subtracts it.
 */
#ifndef SHM_HISTOGRAM_H
#define SHM_HISTOGRAM_H

#include "shm/atomic.h"
#include "shm/check.h"
#include "shm/counter.h"

#define SHM_HISTOGRAM_MAX_NS 3600000000000u /* an hour, below 2^42 */

enum {
    SHM_HISTOGRAM_FINE_BITS = 5, /* 32 buckets for each power of two */
    SHM_HISTOGRAM_LINEAR = 2 << SHM_HISTOGRAM_FINE_BITS,
    SHM_HISTOGRAM_BUCKETS = SHM_HISTOGRAM_LINEAR + (42 - 6) * (1 << SHM_HISTOGRAM_FINE_BITS),
};

struct shm_histogram {
    _Alignas(SHM_CACHELINE) _Atomic uint64_t count;
    _Atomic uint64_t sum;
    _Atomic uint64_t max; /* exact */
    _Atomic uint64_t reserved;
    _Atomic uint64_t buckets[SHM_HISTOGRAM_BUCKETS];
};

/* The bucket of a value, and the smallest value of a bucket. */
static inline uint32_t shm_histogram_bucket(uint64_t value)
{
    if (value < SHM_HISTOGRAM_LINEAR) return (uint32_t)value;
    if (value > SHM_HISTOGRAM_MAX_NS) value = SHM_HISTOGRAM_MAX_NS;
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(value) - SHM_HISTOGRAM_FINE_BITS;
    return (shift << SHM_HISTOGRAM_FINE_BITS) + (uint32_t)(value >> shift);
}

uint64_t shm_histogram_floor(uint32_t bucket);

/* By the one writer. */
static inline void shm_histogram_record_many(struct shm_histogram *histogram, uint64_t value,
                                             uint64_t times)
{
    shm_counter_add(&histogram->buckets[shm_histogram_bucket(value)], times);
    shm_counter_add(&histogram->count, times);
    shm_counter_add(&histogram->sum, value * times);
    shm_counter_max(&histogram->max, value);
}

static inline void shm_histogram_record(struct shm_histogram *histogram, uint64_t value)
{
    shm_histogram_record_many(histogram, value, 1);
}

void shm_histogram_reset(struct shm_histogram *histogram);

/* into += other, into -= other. `into` is the caller's own, `other` may be moving. Subtracting an
 * older copy of the same histogram leaves what came since; its max is then that of a bucket. */
void shm_histogram_merge(struct shm_histogram *into, const struct shm_histogram *other);
void shm_histogram_subtract(struct shm_histogram *into, const struct shm_histogram *other);

/* The value that `percent` (0 .. 100) of all values do not exceed, within 1/32; 0 if empty. */
uint64_t shm_histogram_percentile(const struct shm_histogram *histogram, double percent);
double shm_histogram_mean(const struct shm_histogram *histogram);

#endif
