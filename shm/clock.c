#include "shm/clock.h"

#include <errno.h>
#include <time.h>

#include "shm/check.h"

static uint64_t clock_read_ns(clockid_t id)
{
    struct timespec now;
    CHECK(clock_gettime(id, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t shm_clock_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

int64_t shm_clock_wall_us(void)
{
    return (int64_t)(clock_read_ns(CLOCK_REALTIME) / 1000u);
}

uint64_t shm_clock_cpu_ns(void)
{
    return clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
}

void shm_clock_sleep_until(uint64_t ns)
{
    struct timespec until = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    int result;
    do
        result = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    while (result == EINTR);
    CHECK(result == 0);
}
