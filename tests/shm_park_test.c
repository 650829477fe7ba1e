/* shm/park: sleeping and waking across processes.
 * Method: what each call promises, one by one, on the real kernel; then two processes that hand a
 * turn to each other and park without a deadline, so that a lost wake-up hangs and the alarm ends
 * the test. */
#include "shm/park.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    struct shm_doorbell bells[2];
    _Alignas(SHM_CACHELINE) _Atomic uint64_t turn;
    _Alignas(SHM_CACHELINE) _Atomic uint64_t about_to_park;
};

static struct shared *shared_new(bool with_fd)
{
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_NOT_EQUAL_FATAL((void *)shared, MAP_FAILED);
    CU_ASSERT_EQUAL(shm_doorbell_init(&shared->bells[0], with_fd), 0);
    CU_ASSERT_EQUAL(shm_doorbell_init(&shared->bells[1], with_fd), 0);
    return shared;
}

static void shared_free(struct shared *shared)
{
    shm_doorbell_close(&shared->bells[0]);
    shm_doorbell_close(&shared->bells[1]);
    munmap(shared, sizeof *shared);
}

static uint64_t after_ms(uint64_t ms)
{
    return shm_clock_ns() + ms * 1000000u;
}

static bool yes(void *arg)
{
    ++*(int *)arg;
    return true;
}

static bool no(void *arg)
{
    ++*(int *)arg;
    return false;
}

static void who_has_work_does_not_sleep(void)
{
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        struct shared *shared = shared_new(with_fd);
        int looks = 0;
        CU_ASSERT_TRUE(shm_park(&shared->bells[0], SHM_CLOCK_NEVER, yes, &looks));
        CU_ASSERT_EQUAL(looks, 1);
        CU_ASSERT_EQUAL(shared->bells[0].sleeping, 0);
        CU_ASSERT_TRUE(shm_park(&shared->bells[0], 0, yes, &looks)); /* work counts before time */
        shared_free(shared);
    }
}

static void a_deadline_ends_the_sleep(void)
{
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        struct shared *shared = shared_new(with_fd);
        int looks = 0;
        uint64_t deadline_ns = after_ms(20);
        CU_ASSERT_FALSE(shm_park(&shared->bells[0], deadline_ns, no, &looks));
        CU_ASSERT_TRUE(shm_clock_ns() >= deadline_ns);
        CU_ASSERT_EQUAL(shared->bells[0].sleeping, 0);
        CU_ASSERT_FALSE(shm_park(&shared->bells[0], 0, no, &looks)); /* long past */
        CU_ASSERT_EQUAL(looks, 2);
        shared_free(shared);
    }
}

/* The child rings once the parent sleeps; the parent sleeps without a deadline. */
static void a_bell_ends_the_sleep(void)
{
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        struct shared *shared = shared_new(with_fd);
        int looks = 0;
        pid_t child = fork();
        if (child == 0) {
            while (shm_load_acquire32(&shared->bells[0].sleeping) == 0)
                usleep(100);
            usleep(2000);
            shm_store_release(&shared->turn, 1);
            shm_fence();
            shm_ring_bell(&shared->bells[0]);
            _exit(0);
        }
        CU_ASSERT_TRUE(shm_park(&shared->bells[0], SHM_CLOCK_NEVER, no, &looks));
        CU_ASSERT_EQUAL(shm_load_acquire(&shared->turn), 1);
        CU_ASSERT_EQUAL(shared->bells[0].sleeping, 0);
        CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
        shared_free(shared);
    }
}

static void a_bell_that_nobody_sleeps_at_is_only_looked_at(void)
{
    struct shared *shared = shared_new(true);
    for (int i = 0; i < 1000; i++)
        shm_ring_bell(&shared->bells[0]);
    int looks = 0; /* no ring is left over in the descriptor */
    CU_ASSERT_FALSE(shm_park(&shared->bells[0], after_ms(5), no, &looks));
    shared_free(shared);
}

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
    (void)number;
    signals++;
}

static void a_signal_ends_the_sleep(void)
{
    struct sigaction action = {.sa_handler = on_signal}, before;
    sigaction(SIGUSR1, &action, &before);
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        struct shared *shared = shared_new(with_fd);
        signals = 0;
        pid_t parent = getpid();
        pid_t child = fork();
        if (child == 0) {
            while (shm_load_acquire32(&shared->bells[0].sleeping) == 0)
                usleep(100);
            for (;;) { /* until we are killed: one may come before the parent sleeps */
                usleep(5000);
                kill(parent, SIGUSR1);
            }
        }
        CU_ASSERT_TRUE(shm_park(&shared->bells[0], SHM_CLOCK_NEVER, NULL, NULL));
        CU_ASSERT_TRUE(signals > 0);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        shared_free(shared);
    }
    sigaction(SIGUSR1, &before, NULL);
}

static void a_descriptor_ends_the_sleep_and_is_named(void)
{
    struct shared *shared = shared_new(true);
    int pipes[2][2];
    CU_ASSERT_EQUAL_FATAL(pipe(pipes[0]), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(pipes[1]), 0);
    struct pollfd fds[] = {{.fd = pipes[0][0], .events = POLLIN},
                           {.fd = pipes[1][0], .events = POLLIN}};
    int looks = 0;
    CU_ASSERT_FALSE(shm_park_poll(&shared->bells[0], after_ms(5), no, &looks, fds, 2));
    CU_ASSERT_EQUAL(write(pipes[1][1], "x", 1), 1);
    CU_ASSERT_TRUE(shm_park_poll(&shared->bells[0], SHM_CLOCK_NEVER, no, &looks, fds, 2));
    CU_ASSERT_EQUAL(fds[0].revents, 0);
    CU_ASSERT_EQUAL(fds[1].revents, POLLIN);

    fds[0].revents = POLLIN; /* left over from before: not to be believed when work came first */
    CU_ASSERT_TRUE(shm_park_poll(&shared->bells[0], SHM_CLOCK_NEVER, yes, &looks, fds, 2));
    CU_ASSERT_EQUAL(fds[0].revents, 0);
    for (int i = 0; i < 4; i++)
        close(pipes[i / 2][i % 2]);
    shared_free(shared);
}

/* However a ringer is killed, the next one wakes the sleeper. */
static void a_killed_ringer_does_not_silence_the_bell(void)
{
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        struct shared *shared = shared_new(with_fd);
        pid_t sleeper = fork();
        if (sleeper == 0) {
            for (;;) {
                shm_store_release(&shared->about_to_park, shm_load_own(&shared->about_to_park) + 1);
                shm_park(&shared->bells[0], SHM_CLOCK_NEVER, NULL, NULL);
            }
        }
        for (int round = 0; round < 200; round++) {
            pid_t ringer = fork();
            if (ringer == 0)
                for (;;) {
                    shm_fence();
                    shm_ring_bell(&shared->bells[0]);
                }
            usleep((useconds_t)(round % 20) * 20);
            kill(ringer, SIGKILL);
            waitpid(ringer, NULL, 0);

            /* Let the sleeper fall asleep, so that only a ring can move it. */
            while (shm_load_acquire32(&shared->bells[0].sleeping) == 0)
                usleep(10);
            uint64_t before = shm_load_acquire(&shared->about_to_park);
            shm_fence();
            shm_ring_bell(&shared->bells[0]);
            while (shm_load_acquire(&shared->about_to_park) == before)
                usleep(10); /* a silenced bell hangs here */
        }
        kill(sleeper, SIGKILL);
        waitpid(sleeper, NULL, 0);
        shared_free(shared);
    }
    CU_PASS("nobody hung");
}

struct turn {
    struct shared *shared;
    uint64_t parity;
};

static bool is_my_turn(void *arg)
{
    const struct turn *turn = arg;
    return shm_load_acquire(&turn->shared->turn) % 2 == turn->parity;
}

static void play(struct shared *shared, uint64_t parity, uint64_t turns)
{
    struct turn turn = {shared, parity};
    for (uint64_t i = 0; i < turns; i++) {
        while (!is_my_turn(&turn))
            shm_park(&shared->bells[parity], SHM_CLOCK_NEVER, is_my_turn, &turn);
        shm_store_release(&shared->turn, shm_load_acquire(&shared->turn) + 1);
        shm_fence();
        shm_ring_bell(&shared->bells[1 - parity]);
    }
}

static void no_wake_up_is_lost_between_two_processes(void)
{
    enum { TURNS = 50000 };
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        struct shared *shared = shared_new(with_fd);
        pid_t child = fork();
        if (child == 0) {
            play(shared, 1, TURNS);
            _exit(0);
        }
        play(shared, 0, TURNS);
        int status = -1;
        CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
        CU_ASSERT_EQUAL(status, 0);
        CU_ASSERT_EQUAL(shared->turn, 2 * TURNS);
        shared_free(shared);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"who has work does not sleep", who_has_work_does_not_sleep},
        {"a deadline ends the sleep", a_deadline_ends_the_sleep},
        {"a bell ends the sleep", a_bell_ends_the_sleep},
        {"a bell that nobody sleeps at is only looked at",
         a_bell_that_nobody_sleeps_at_is_only_looked_at},
        {"a signal ends the sleep", a_signal_ends_the_sleep},
        {"a descriptor ends the sleep and is named", a_descriptor_ends_the_sleep_and_is_named},
        {"a killed ringer does not silence the bell", a_killed_ringer_does_not_silence_the_bell},
        {"no wake-up is lost between two processes", no_wake_up_is_lost_between_two_processes},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/park", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    alarm(100); /* nothing here has a deadline: what hangs has lost a wake-up */
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
