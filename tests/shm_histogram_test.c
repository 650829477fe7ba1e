/* shm/histogram and shm/counter: percentiles against exact ones, from sorted values. */
#include "shm/histogram.h"

#include <CUnit/Basic.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shm/random.h"

enum { VALUES = 20000 };
static struct shm_histogram histogram, other;
static uint64_t values[VALUES];

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void buckets_join_without_a_gap(void)
{
    for (uint32_t i = 0; i < SHM_HISTOGRAM_BUCKETS; i++) {
        uint64_t first = shm_histogram_floor(i);
        if (first <= SHM_HISTOGRAM_MAX_NS) CU_ASSERT_EQUAL(shm_histogram_bucket(first), i);
        if (i == 0 || first > SHM_HISTOGRAM_MAX_NS) continue;
        CU_ASSERT_EQUAL(shm_histogram_bucket(first - 1), i - 1);
        uint64_t width = first - shm_histogram_floor(i - 1);
        CU_ASSERT_TRUE(width == 1 || width * 32 <= shm_histogram_floor(i - 1));
    }
    CU_ASSERT_TRUE(shm_histogram_bucket(UINT64_MAX) < SHM_HISTOGRAM_BUCKETS);
    CU_ASSERT_EQUAL(shm_histogram_bucket(UINT64_MAX), shm_histogram_bucket(SHM_HISTOGRAM_MAX_NS));
}

/* Never below the exact one, and at most 1/32 above. */
static bool percentile_is_right(double percent, uint64_t count)
{
    uint64_t rank = (uint64_t)ceil((double)count * percent / 100);
    uint64_t exact = values[rank == 0 ? 0 : rank - 1];
    uint64_t told = shm_histogram_percentile(&histogram, percent);
    bool right = told >= exact && told <= exact + exact / 32;
    if (!right)
        fprintf(stderr, "%g %%: %llu instead of %llu\n", percent, (unsigned long long)told,
                (unsigned long long)exact);
    return right;
}

static void percentiles_agree_with_sorted_values(void)
{
    static const double percents[] = {0, 0.1, 1, 10, 25, 50, 75, 90, 99, 99.9, 99.99, 100};
    struct shm_random_stream random;
    shm_random_seed(&random, 3);
    for (unsigned round = 0; round < 41; round++) {
        shm_histogram_reset(&histogram);
        uint64_t count = round < 3 ? round + 1 : VALUES;
        long double sum = 0;
        for (uint64_t i = 0; i < count; i++) {
            /* From all equal to all over the range. */
            values[i] = 1 + (shm_random_next(&random) >> 1) % ((uint64_t)1 << round);
            shm_histogram_record(&histogram, values[i]);
            sum += (long double)values[i];
        }
        qsort(values, count, sizeof *values, compare);
        for (unsigned i = 0; i < sizeof percents / sizeof *percents; i++)
            CU_ASSERT_TRUE(percentile_is_right(percents[i], count));
        CU_ASSERT_EQUAL(shm_histogram_percentile(&histogram, 100), values[count - 1]); /* exact */
        CU_ASSERT_EQUAL(histogram.count, count);
        CU_ASSERT_DOUBLE_EQUAL(shm_histogram_mean(&histogram), (double)(sum / count),
                               (double)(sum / count) * 1e-9);
    }
}

static void small_values_are_exact(void)
{
    shm_histogram_reset(&histogram);
    for (uint64_t i = 0; i < 64; i++)
        shm_histogram_record_many(&histogram, i, 100);
    for (uint64_t i = 0; i < 64; i++)
        CU_ASSERT_EQUAL(shm_histogram_percentile(&histogram, (double)(i + 1) * 100 / 64), i);
}

static void an_empty_one_says_nothing(void)
{
    shm_histogram_record(&histogram, 5);
    shm_histogram_reset(&histogram);
    CU_ASSERT_EQUAL(histogram.count, 0);
    CU_ASSERT_EQUAL(histogram.max, 0);
    CU_ASSERT_EQUAL(shm_histogram_percentile(&histogram, 50), 0);
    CU_ASSERT_EQUAL(shm_histogram_mean(&histogram), 0);
}

static void more_than_an_hour_counts_as_an_hour(void)
{
    shm_histogram_reset(&histogram);
    shm_histogram_record(&histogram, 7 * SHM_HISTOGRAM_MAX_NS);
    shm_histogram_record(&histogram, 10);
    CU_ASSERT_EQUAL(histogram.max, 7 * SHM_HISTOGRAM_MAX_NS);
    CU_ASSERT_EQUAL(shm_histogram_percentile(&histogram, 50), 10);
    CU_ASSERT_TRUE(shm_histogram_percentile(&histogram, 100) >= SHM_HISTOGRAM_MAX_NS);
}

static void merged_ones_are_as_one(void)
{
    shm_histogram_reset(&histogram);
    shm_histogram_reset(&other);
    static struct shm_histogram all;
    memset(&all, 0, sizeof all);
    struct shm_random_stream random;
    shm_random_seed(&random, 4);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t value = shm_random_next(&random) >> shm_random_below(&random, 40) >> 23;
        shm_histogram_record(i % 3 ? &histogram : &other, value);
        shm_histogram_record(&all, value);
    }
    shm_histogram_merge(&histogram, &other);
    CU_ASSERT_EQUAL(memcmp(&histogram, &all, sizeof all), 0);
}

static void subtracting_leaves_what_came_since(void)
{
    shm_histogram_reset(&histogram);
    shm_histogram_record_many(&histogram, 1000000, 50);
    other = histogram;
    for (uint64_t i = 0; i < 100; i++)
        shm_histogram_record(&histogram, 1000);
    static struct shm_histogram since;
    since = histogram;
    shm_histogram_subtract(&since, &other);
    CU_ASSERT_EQUAL(since.count, 100);
    CU_ASSERT_EQUAL(since.sum, 100000);
    CU_ASSERT_TRUE(since.max >= 1000); /* not the million of before */
    CU_ASSERT_TRUE(since.max <= 1000 + 1000 / 32);
    CU_ASSERT_TRUE(shm_histogram_percentile(&since, 100) <= 1000 + 1000 / 32);

    since = histogram;
    shm_histogram_record(&histogram, 5000000); /* a new largest is known exactly */
    since = histogram;
    shm_histogram_subtract(&since, &other);
    CU_ASSERT_EQUAL(since.max, 5000000);

    since = histogram;
    shm_histogram_subtract(&since, &histogram);
    CU_ASSERT_EQUAL(since.count, 0);
    CU_ASSERT_EQUAL(since.max, 0);

    shm_histogram_reset(&histogram); /* in between: less than before, and no negative numbers */
    shm_histogram_record(&histogram, 1000);
    since = histogram;
    shm_histogram_subtract(&since, &other);
    CU_ASSERT_EQUAL(since.count, 1);
}

static void counters_count(void)
{
    _Atomic uint64_t counter = 0;
    shm_counter_add(&counter, 5);
    shm_counter_add(&counter, 0);
    CU_ASSERT_EQUAL(shm_counter_get(&counter), 5);
    shm_counter_max(&counter, 4);
    CU_ASSERT_EQUAL(shm_counter_get(&counter), 5);
    shm_counter_max(&counter, 6);
    CU_ASSERT_EQUAL(shm_counter_get(&counter), 6);
    shm_counter_set(&counter, 1);
    CU_ASSERT_EQUAL(shm_counter_get(&counter), 1);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"buckets join without a gap", buckets_join_without_a_gap},
        {"percentiles agree with sorted values", percentiles_agree_with_sorted_values},
        {"small values are exact", small_values_are_exact},
        {"an empty one says nothing", an_empty_one_says_nothing},
        {"more than an hour counts as an hour", more_than_an_hour_counts_as_an_hour},
        {"merged ones are as one", merged_ones_are_as_one},
        {"subtracting leaves what came since", subtracting_leaves_what_came_since},
        {"counters count", counters_count},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/histogram", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
