/* shm/random: the same numbers on every machine, and no visible pattern. */
#include "shm/random.h"

#include <CUnit/Basic.h>

static void a_seed_gives_the_same_numbers_for_ever(void)
{
    /* Written down once: recorded seeds of failures must keep their meaning. */
    struct shm_random_stream stream;
    shm_random_seed(&stream, 42);
    CU_ASSERT_EQUAL(shm_random_next(&stream), 1546998764402558742u);
    CU_ASSERT_EQUAL(shm_random_next(&stream), 6990951692964543102u);
    CU_ASSERT_EQUAL(shm_random_next(&stream), 12544586762248559009u);
    uint64_t state = 1234567;
    CU_ASSERT_EQUAL(shm_random_split(&state), 6457827717110365317u);
}

static void numbers_below_a_bound_are_even(void)
{
    struct shm_random_stream stream;
    shm_random_seed(&stream, 0);
    unsigned counts[7] = {0};
    for (unsigned i = 0; i < 70000; i++)
        counts[shm_random_below(&stream, 7)]++;
    for (unsigned i = 0; i < 7; i++)
        CU_ASSERT_TRUE(counts[i] > 9600 && counts[i] < 10400); /* four deviations */
    for (unsigned i = 0; i < 1000; i++) {
        CU_ASSERT_EQUAL(shm_random_below(&stream, 1), 0);
        CU_ASSERT_TRUE(shm_random_below(&stream, (uint64_t)1 << 40) < (uint64_t)1 << 40);
    }
}

static void every_bit_is_even(void)
{
    struct shm_random_stream stream;
    shm_random_seed(&stream, 1);
    unsigned ones[64] = {0};
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t value = shm_random_next(&stream);
        for (unsigned bit = 0; bit < 64; bit++)
            ones[bit] += (unsigned)(value >> bit & 1);
    }
    for (unsigned bit = 0; bit < 64; bit++)
        CU_ASSERT_TRUE(ones[bit] > 4750 && ones[bit] < 5250);
}

static void chance_differs(void)
{
    CU_ASSERT_NOT_EQUAL(shm_random(), shm_random());
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a seed gives the same numbers for ever", a_seed_gives_the_same_numbers_for_ever},
        {"numbers below a bound are even", numbers_below_a_bound_are_even},
        {"every bit is even", every_bit_is_even},
        {"chance differs", chance_differs},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/random", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
