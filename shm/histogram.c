#include "shm/histogram.h"

_Static_assert(SHM_HISTOGRAM_MAX_NS < (uint64_t)1 << 42, "the last bucket is below 2^42");
_Static_assert(sizeof(struct shm_histogram) == 9856, "shared layout changed");

uint64_t shm_histogram_floor(uint32_t bucket)
{
    CHECK(bucket < SHM_HISTOGRAM_BUCKETS);
    if (bucket < SHM_HISTOGRAM_LINEAR) return bucket;
    uint32_t shift = (bucket >> SHM_HISTOGRAM_FINE_BITS) - 1;
    return (uint64_t)(bucket - (shift << SHM_HISTOGRAM_FINE_BITS)) << shift;
}

void shm_histogram_reset(struct shm_histogram *histogram)
{
    shm_counter_set(&histogram->count, 0);
    shm_counter_set(&histogram->sum, 0);
    shm_counter_set(&histogram->max, 0);
    for (uint32_t i = 0; i < SHM_HISTOGRAM_BUCKETS; i++)
        shm_counter_set(&histogram->buckets[i], 0);
}

void shm_histogram_merge(struct shm_histogram *into, const struct shm_histogram *other)
{
    /* The count is that of the buckets as they are read, so that percentiles add up although the
     * other one moves. */
    for (uint32_t i = 0; i < SHM_HISTOGRAM_BUCKETS; i++) {
        uint64_t times = shm_counter_get(&other->buckets[i]);
        if (times == 0) continue;
        shm_counter_add(&into->buckets[i], times);
        shm_counter_add(&into->count, times);
    }
    shm_counter_add(&into->sum, shm_counter_get(&other->sum));
    shm_counter_max(&into->max, shm_counter_get(&other->max));
}

void shm_histogram_subtract(struct shm_histogram *into, const struct shm_histogram *other)
{
    uint64_t count = 0;
    uint32_t last = SHM_HISTOGRAM_BUCKETS;
    for (uint32_t i = 0; i < SHM_HISTOGRAM_BUCKETS; i++) {
        uint64_t times = shm_counter_get(&into->buckets[i]);
        uint64_t before = shm_counter_get(&other->buckets[i]);
        times -= before < times ? before : times; /* it was reset in between: nothing is left */
        shm_counter_set(&into->buckets[i], times);
        count += times;
        if (times > 0) last = i;
    }
    uint64_t sum = shm_counter_get(&into->sum);
    uint64_t before = shm_counter_get(&other->sum);
    shm_counter_set(&into->sum, sum > before ? sum - before : 0);
    shm_counter_set(&into->count, count);

    /* The largest of what is left is known by its bucket only, unless it is the largest of all. */
    uint64_t max = shm_counter_get(&into->max);
    if (last == SHM_HISTOGRAM_BUCKETS)
        shm_counter_set(&into->max, 0);
    else if (shm_histogram_bucket(max) != last)
        shm_counter_set(&into->max, shm_histogram_floor(last + 1) - 1);
}

uint64_t shm_histogram_percentile(const struct shm_histogram *histogram, double percent)
{
    CHECK(percent >= 0);
    CHECK(percent <= 100);
    uint64_t count = 0;
    for (uint32_t i = 0; i < SHM_HISTOGRAM_BUCKETS; i++)
        count += shm_counter_get(&histogram->buckets[i]);
    if (count == 0) return 0;

    /* The rank, from 1, of the value asked for: the smallest that `percent` do not exceed. */
    double exact = (double)count * percent / 100;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact || rank == 0) rank++;

    uint64_t max = shm_counter_get(&histogram->max);
    uint64_t below = 0;
    for (uint32_t i = 0; i < SHM_HISTOGRAM_BUCKETS; i++) {
        below += shm_counter_get(&histogram->buckets[i]);
        if (below < rank) continue;
        uint64_t top = i + 1 < SHM_HISTOGRAM_BUCKETS ? shm_histogram_floor(i + 1) - 1 : max;
        return top < max ? top : max;
    }
    return max; /* buckets were counted down while we read: a reset */
}

double shm_histogram_mean(const struct shm_histogram *histogram)
{
    uint64_t count = shm_counter_get(&histogram->count);
    return count == 0 ? 0 : (double)shm_counter_get(&histogram->sum) / (double)count;
}
