/* shm/clock: the real clocks. */
#include "shm/clock.h"

#include <CUnit/Basic.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

static void time_does_not_go_back(void)
{
    uint64_t before = shm_clock_ns();
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t now = shm_clock_ns();
        if (now < before) CU_FAIL("it went back");
        before = now;
    }
}

static void on_alarm(int number)
{
    (void)number;
}

static void a_sleep_lasts_until_its_end_in_spite_of_signals(void)
{
    struct sigaction action = {.sa_handler = on_alarm}, before;
    sigaction(SIGALRM, &action, &before);
    struct itimerval every_ms = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &every_ms, NULL);
    uint64_t until = shm_clock_ns() + 30000000;
    shm_clock_sleep_until(until);
    CU_ASSERT_TRUE(shm_clock_ns() >= until);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    shm_clock_sleep_until(0); /* long past */
    CU_ASSERT_TRUE(shm_clock_ns() < until + 20000000000u);
}

static void sleeping_costs_no_processor_and_working_does(void)
{
    uint64_t cpu = shm_clock_cpu_ns();
    shm_clock_sleep_until(shm_clock_ns() + 50000000);
    CU_ASSERT_TRUE(shm_clock_cpu_ns() - cpu < 25000000);
    cpu = shm_clock_cpu_ns();
    while (shm_clock_cpu_ns() - cpu < 5000000) {
    }
}

static void the_wall_clock_is_in_microseconds(void)
{
    time_t seconds = time(NULL);
    int64_t us = shm_clock_wall_us();
    CU_ASSERT_TRUE(us >= (int64_t)seconds * 1000000 - 1000000);
    CU_ASSERT_TRUE(us <= ((int64_t)seconds + 5) * 1000000);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"time does not go back", time_does_not_go_back},
        {"a sleep lasts until its end in spite of signals",
         a_sleep_lasts_until_its_end_in_spite_of_signals},
        {"sleeping costs no processor and working does",
         sleeping_costs_no_processor_and_working_does},
        {"the wall clock is in microseconds", the_wall_clock_is_in_microseconds},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/clock", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
