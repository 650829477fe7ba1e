/* Shows: engine/record/sketch.
 * Method: numbers of several distributions are sorted; the quantile is the number at its place, and
 * the sketch must be within 1 % of it. Merging parts, in any order, must give the very bytes of one
 * sketch of all. Memory is counted, and refused at random. */
#include "engine/record/sketch.h"

#include <CUnit/Basic.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/random.h"

static struct shm_random_stream stream;
static uint64_t held_bytes;
static bool refuse;

static void *get(void *owner, uint32_t size_bytes)
{
    (void)owner;
    if (refuse && shm_random_below(&stream, 2)) return NULL;
    held_bytes += size_bytes;
    return malloc(size_bytes);
}

static void give_back(void *owner, void *bytes, uint32_t size_bytes)
{
    (void)owner;
    held_bytes -= size_bytes;
    free(bytes);
}

static const struct eng_sketch_memory memory = {get, give_back, NULL};

static double uniform(void)
{
    return (double)(shm_random_next(&stream) >> 11) * 0x1p-53;
}

static double draw(uint32_t kind)
{
    switch (kind) {
    case 0: /* latencies: log-normal, about */
        return exp(3 + 2 * (uniform() + uniform() + uniform() - 1.5));
    case 1: /* both signs, with zeros */
        return shm_random_below(&stream, 10) ? (uniform() - 0.3) * 1000 : 0;
    case 2: /* a heavy tail */
        return pow(uniform() + 1e-12, -1.5);
    case 3: /* everything there is */
        if (shm_random_below(&stream, 50) == 0)
            return shm_random_below(&stream, 2) ? INFINITY : NAN;
        if (shm_random_below(&stream, 50) == 0)
            return shm_random_below(&stream, 2) ? -INFINITY : -0.0;
        return (uniform() - 0.5) * 1e6;
    case 4: /* one value, and small whole numbers */
        return (double)shm_random_below(&stream, 7) + 1;
    default: /* all below zero */
        return -exp(10 * uniform());
    }
}
enum { KINDS = 6, NUMBERS_MAX = 20000 };

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    if (isnan(x) || isnan(y)) return !!isnan(x) - !!isnan(y);
    return (x > y) - (x < y);
}

static bool is_close(double is, double wanted, double share)
{
    if (isnan(wanted)) return isnan(is);
    if (!isfinite(wanted) || wanted == 0) return is == wanted;
    return fabs(is - wanted) <= share * fabs(wanted);
}

static void check(const struct eng_sketch *sketch, const double *sorted, uint64_t count)
{
    static const double quantiles[] = {0,   0.001, 0.01, 0.05, 0.1,   0.25, 0.5,
                                       0.7, 0.9,   0.95, 0.99, 0.999, 1};
    bool exact = count <= ENG_SKETCH_EXACT_MAX;

    for (uint32_t q = 0; q < sizeof quantiles / sizeof *quantiles; q++) {
        double place = ceil(quantiles[q] * (double)count - 1e-9);
        double wanted = sorted[place < 1 ? 0 : (uint64_t)place - 1];
        double is = eng_sketch_quantile(sketch, quantiles[q]);
        if (is_close(is, wanted, exact ? 0 : 0.01)) continue;
        fprintf(stderr, "quantile %g of %llu: %.17g, not %.17g\n", quantiles[q],
                (unsigned long long)count, is, wanted);
        CU_FAIL("not within 1 %");
    }
    if (count == 0 || isnan(sorted[count - 1])) return;
    CU_ASSERT_EQUAL(eng_sketch_quantile(sketch, 0), sorted[0]);
    CU_ASSERT_EQUAL(eng_sketch_quantile(sketch, 1), sorted[count - 1]);
}

static void quantiles_are_within_one_percent(void)
{
    static double numbers[NUMBERS_MAX];

    for (uint32_t round = 0; round < 30 * KINDS; round++) {
        struct eng_sketch sketch = {0};
        uint64_t most = round % 3 == 0 ? 40 : round % 3 == 1 ? 1000 : NUMBERS_MAX;
        uint64_t count = 1 + shm_random_below(&stream, most);
        for (uint64_t i = 0; i < count; i++) {
            numbers[i] = draw(round % KINDS);
            CU_ASSERT(eng_sketch_add(&sketch, numbers[i], &memory));
        }
        qsort(numbers, count, sizeof *numbers, by_number);
        check(&sketch, numbers, count);
        eng_sketch_clear(&sketch, &memory);
        CU_ASSERT_EQUAL(held_bytes, 0);
    }
}

static void add_always(struct eng_sketch *sketch, double number)
{
    while (!eng_sketch_add(sketch, number, &memory)) {
    }
}

/* Every quantile there can be, rather than bytes: stores may reach differently far. */
static bool are_same(const struct eng_sketch *a, const struct eng_sketch *b)
{
    if (a->count != b->count) return false;
    for (uint32_t i = 0; i <= 500 && a->count > 0; i++) {
        double x = eng_sketch_quantile(a, i / 500.0), y = eng_sketch_quantile(b, i / 500.0);
        if (memcmp(&x, &y, sizeof x) != 0 && !(isnan(x) && isnan(y)) && x != y) return false;
    }
    return true;
}

static void a_merge_is_the_sketch_of_both(void)
{
    for (uint32_t round = 0; round < 40 * KINDS; round++) {
        struct eng_sketch whole = {0}, parts[5] = {{0}}, merged = {0};
        uint64_t count = shm_random_below(&stream, round % 2 ? 60 : 3000);
        uint32_t used = 1 + (uint32_t)shm_random_below(&stream, 5);
        for (uint64_t i = 0; i < count; i++) {
            double number = draw((round / 2) % KINDS);
            add_always(&whole, number);
            add_always(&parts[shm_random_below(&stream, used)], number);
        }
        uint32_t first = (uint32_t)shm_random_below(&stream, 5);
        for (uint32_t i = 0; i < 5; i++)
            while (!eng_sketch_merge(&merged, &parts[(first + i) % 5], &memory)) {
            }
        CU_ASSERT(are_same(&merged, &whole));
        for (uint32_t i = 0; i < 5; i++)
            eng_sketch_clear(&parts[i], &memory);
        eng_sketch_clear(&whole, &memory);
        eng_sketch_clear(&merged, &memory);
    }
    CU_ASSERT_EQUAL(held_bytes, 0);
}

static void refused_memory_changes_nothing(void)
{
    refuse = true;
    a_merge_is_the_sketch_of_both();
    refuse = false;
}

static void a_span_without_end_keeps_its_largest_numbers(void)
{
    struct eng_sketch up = {0}, down = {0};
    static double numbers[4000];

    /* From 1e-300 to 1e300, upwards and downwards. */
    for (uint32_t i = 0; i < 4000; i++)
        numbers[i] = pow(10, -300 + i * 0.15);
    for (uint32_t i = 0; i < 4000; i++) {
        CU_ASSERT(eng_sketch_add(&up, numbers[i], &memory));
        CU_ASSERT(eng_sketch_add(&down, numbers[3999 - i], &memory));
    }
    CU_ASSERT(up.positive.size_bytes <= ENG_SKETCH_BUCKETS_MAX * sizeof(uint64_t));
    CU_ASSERT(down.positive.size_bytes <= ENG_SKETCH_BUCKETS_MAX * sizeof(uint64_t));
    CU_ASSERT(are_same(&up, &down));
    /* 17 decades below the largest are a hundred numbers and more. */
    for (uint32_t i = 3900; i < 4000; i++)
        CU_ASSERT(is_close(eng_sketch_quantile(&up, (i + 1) / 4000.0), numbers[i], 0.01));
    CU_ASSERT_EQUAL(eng_sketch_quantile(&up, 0), numbers[0]);
    eng_sketch_clear(&up, &memory);
    eng_sketch_clear(&down, &memory);

    /* The ends of doubles. */
    static const double ends[] = {5e-324, 2.3e-308, 1, 1.7976931348623157e308};
    for (uint32_t i = 0; i < 40; i++)
        for (uint32_t e = 0; e < 4; e++) {
            CU_ASSERT(eng_sketch_add(&up, ends[e], &memory));
            CU_ASSERT(eng_sketch_add(&up, -ends[e], &memory));
        }
    CU_ASSERT_EQUAL(eng_sketch_quantile(&up, 1), ends[3]);
    CU_ASSERT_EQUAL(eng_sketch_quantile(&up, 0), -ends[3]);
    CU_ASSERT(is_close(eng_sketch_quantile(&up, 0.95), ends[3], 0.01));
    CU_ASSERT(isfinite(eng_sketch_quantile(&up, 0.4)));
    eng_sketch_clear(&up, &memory);
    CU_ASSERT_EQUAL(held_bytes, 0);
}

int main(void)
{
    shm_random_seed(&stream, 77);
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("record_sketch", NULL, NULL);
    CU_ADD_TEST(suite, quantiles_are_within_one_percent);
    CU_ADD_TEST(suite, a_merge_is_the_sketch_of_both);
    CU_ADD_TEST(suite, refused_memory_changes_nothing);
    CU_ADD_TEST(suite, a_span_without_end_keeps_its_largest_numbers);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    int failures = (int)CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
