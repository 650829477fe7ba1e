/* Shows: engine/record/loglog.
 * Method: hashes of counted numbers, so that the true count is known. The error is looked at over
 * many seeds: its mean says whether the estimate leans to a side, its root mean square whether the
 * sketch is as good as its registers allow. Merging is compared with one sketch of all. */
#include "engine/record/loglog.h"

#include <CUnit/Basic.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/hash.h"
#include "shm/random.h"

static uint64_t hash_of(uint64_t seed, uint64_t i)
{
    uint64_t words[2] = {seed, i};
    return shm_hash(words, sizeof words);
}

static void grow(struct eng_loglog *sketch)
{
    uint32_t bytes = eng_loglog_wanted_bytes(sketch);
    CU_ASSERT_FATAL(bytes <= ENG_LOGLOG_BYTES_MAX);
    free(eng_loglog_move(sketch, malloc(bytes)));
}

static void add(struct eng_loglog *sketch, uint64_t hash)
{
    while (!eng_loglog_add(sketch, hash))
        grow(sketch);
}

static void merge(struct eng_loglog *sketch, const struct eng_loglog *other)
{
    while (!eng_loglog_merge(sketch, other))
        grow(sketch);
}

static void drop(struct eng_loglog *sketch)
{
    free(sketch->bytes);
    *sketch = (struct eng_loglog){0};
}

static void few_values_are_counted_exactly(void)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct eng_loglog sketch = {0};
        CU_ASSERT_EQUAL(eng_loglog_estimate(&sketch), 0);
        for (uint64_t n = 1; n <= 1000; n++) {
            add(&sketch, hash_of(seed, n));
            add(&sketch, hash_of(seed, 1 + n / 2)); /* again */
            if (llabs(llround(eng_loglog_estimate(&sketch)) - (long long)n) > (n > 500))
                CU_FAIL("not exact");
        }
        CU_ASSERT_FALSE(sketch.dense);
        drop(&sketch);
    }
}

static void many_values_are_counted_within_one_percent(void)
{
    static const uint64_t counts[] = {2500, 3100, 5000, 20000, 60000, 150000, 600000};

    for (uint32_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        uint32_t runs = counts[c] > 100000 ? 20 : 60, within = 0;
        double mean = 0, squares = 0, worst = 0;
        for (uint64_t seed = 0; seed < runs; seed++) {
            struct eng_loglog sketch = {0};
            for (uint64_t i = 0; i < counts[c]; i++)
                add(&sketch, hash_of(seed + 1000, i));
            CU_ASSERT(sketch.size_bytes <= ENG_LOGLOG_BYTES_MAX);
            double error = eng_loglog_estimate(&sketch) / (double)counts[c] - 1;
            mean += error / runs;
            squares += error * error / runs;
            within += fabs(error) <= 0.01;
            if (fabs(error) > worst) worst = fabs(error);
            drop(&sketch);
        }
        printf(
            "\n    %8llu values: mean %+.3f %%, rms %.3f %%, worst %.3f %%, within 1 %%: %u of %u",
            (unsigned long long)counts[c], 100 * mean, 100 * sqrt(squares), 100 * worst, within,
            runs);
        CU_ASSERT(sqrt(squares) < 0.0075);
        CU_ASSERT(fabs(mean) < 0.0025);
        CU_ASSERT(within * 10 >= runs * 8);
        CU_ASSERT(worst < 0.025);
    }
    printf("\n  ");
}

/* As if 2^40 values had been seen: the level of each register is drawn by its distribution. */
static void very_many_values_are_counted_too(void)
{
    struct shm_random_stream stream;
    double mean = 0;

    shm_random_seed(&stream, 5);
    for (uint32_t run = 0; run < 10; run++) {
        struct eng_loglog sketch = {0};
        while (!sketch.dense)
            grow(&sketch);
        double per_place = 0x1p40 / 16384;
        for (uint64_t place = 0; place < 16384; place++)
            for (uint32_t level = 1; level <= 50; level++) {
                double chance = -expm1(-per_place * ldexp(1, -(int)level));
                if ((double)(shm_random_next(&stream) >> 11) * 0x1p-53 >= chance) continue;
                add(&sketch, place << 50 | (uint64_t)1 << (50 - level));
            }
        mean += (eng_loglog_estimate(&sketch) / 0x1p40 - 1) / 10;
        drop(&sketch);
    }
    CU_ASSERT(fabs(mean) < 0.006);
}

static void a_merge_is_the_sketch_of_both(void)
{
    struct shm_random_stream stream;

    shm_random_seed(&stream, 9);
    for (uint32_t round = 0; round < 60; round++) {
        struct eng_loglog whole = {0}, parts[4] = {{0}}, merged = {0};
        uint64_t count = shm_random_below(&stream, round % 3 == 0 ? 300 : 12000);
        for (uint64_t i = 0; i < count; i++) {
            uint64_t hash = hash_of(round, shm_random_below(&stream, count));
            add(&whole, hash);
            add(&parts[shm_random_below(&stream, round % 2 ? 4 : 2)], hash);
        }
        uint32_t first = (uint32_t)shm_random_below(&stream, 4);
        for (uint32_t i = 0; i < 4; i++)
            merge(&merged, &parts[(first + i) % 4]);
        CU_ASSERT_EQUAL(merged.dense, whole.dense);
        if (merged.dense && whole.dense)
            CU_ASSERT_EQUAL(memcmp(merged.bytes, whole.bytes, ENG_LOGLOG_BYTES_MAX), 0);
        CU_ASSERT_EQUAL(eng_loglog_estimate(&merged), eng_loglog_estimate(&whole));
        for (uint32_t i = 0; i < 4; i++)
            drop(&parts[i]);
        drop(&whole);
        drop(&merged);
    }
}

/* A token must say as much of a hash as the registers keep. */
static void a_dense_sketch_is_the_same_by_either_way(void)
{
    struct eng_loglog by_tokens = {0}, direct = {0};

    while (!direct.dense)
        grow(&direct);
    for (uint32_t level = 0; level <= 50; level++)
        for (uint64_t place = 0; place < 50; place++) {
            uint64_t hash = (place * 300) << 50 | (level < 50 ? (uint64_t)1 << (49 - level) : 0);
            add(&by_tokens, hash);
            add(&direct, hash);
        }
    CU_ASSERT_FALSE(by_tokens.dense);
    while (!by_tokens.dense)
        grow(&by_tokens);
    CU_ASSERT_EQUAL(memcmp(by_tokens.bytes, direct.bytes, ENG_LOGLOG_BYTES_MAX), 0);
    drop(&by_tokens);
    drop(&direct);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("record_loglog", NULL, NULL);
    CU_ADD_TEST(suite, few_values_are_counted_exactly);
    CU_ADD_TEST(suite, many_values_are_counted_within_one_percent);
    CU_ADD_TEST(suite, very_many_values_are_counted_too);
    CU_ADD_TEST(suite, a_merge_is_the_sketch_of_both);
    CU_ADD_TEST(suite, a_dense_sketch_is_the_same_by_either_way);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    int failures = (int)CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
