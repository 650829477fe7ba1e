/* shm/sim: the simulator itself. What it says must be repeatable, and it must be able to find
 * things: the litmus tests show that it explores what a store buffer allows, and nothing more. */
#include "shm/sim.h"

#include <CUnit/Basic.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/atomic.h"
#include "shm/check.h"
#include "shm/clock.h"
#include "shm/park.h"
#include "shm/random.h"
#include "shm/slot.h"
#include "shm/spawn.h"

/* Waits for all of them; true if all exited with 0. */
static bool all_well(struct shm_process *processes, unsigned count)
{
    bool well = true;
    for (unsigned i = 0; i < count; i++) {
        struct shm_ending ending;
        well = shm_process_wait(&processes[i], &ending, SHM_CLOCK_NEVER) && well;
        well = well && ending.signal == 0 && ending.status == 0;
    }
    return well;
}

static void start(struct shm_process *process, void (*main)(void *), void *arg)
{
    CHECK(shm_spawn(process, main, arg) == 0);
}

/* ---- Repeatable ------------------------------------------------------------------------------ */

struct crowd {
    _Atomic uint64_t sum, word;
    uint64_t random, order;
};

static void crowd_member(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; i < 20; i++) {
        shm_add(&crowd->sum, 1);
        shm_store_release(&crowd->word, (uint64_t)shm_process_self());
        crowd->order = crowd->order * 31 + shm_load_acquire(&crowd->word);
        if (i % 5 == 0) shm_clock_sleep_until(shm_clock_ns() + shm_random() % 1000);
    }
}

static void crowd_main(void *arg)
{
    struct crowd *crowd = arg;
    struct shm_process processes[4];
    for (unsigned i = 0; i < 4; i++)
        start(&processes[i], crowd_member, crowd);
    CHECK(all_well(processes, 4));
    crowd->random = shm_random();
}

static void a_seed_gives_the_same_run_again(void)
{
    unsigned different = 0;
    struct crowd before = {0};
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct crowd crowds[2] = {0};
        struct shm_sim_result results[2];
        for (unsigned i = 0; i < 2; i++)
            results[i] = shm_sim_try(seed, 0, crowd_main, &crowds[i]);
        CU_ASSERT_EQUAL(results[0].outcome, SHM_SIM_DONE);
        CU_ASSERT_EQUAL(results[0].steps, results[1].steps);
        CU_ASSERT_EQUAL(results[0].switches, results[1].switches);
        CU_ASSERT_EQUAL(results[0].trace, results[1].trace);
        CU_ASSERT_EQUAL(results[0].end_ns, results[1].end_ns);
        CU_ASSERT_EQUAL(crowds[0].random, crowds[1].random);
        CU_ASSERT_EQUAL(crowds[0].order, crowds[1].order);
        CU_ASSERT_EQUAL(crowds[0].sum, 80);
        different += crowds[0].order != before.order;
        before = crowds[0];
    }
    CU_ASSERT_TRUE(different > 190); /* and other seeds give other runs */
}

/* ---- What it finds --------------------------------------------------------------------------- */

struct litmus {
    _Atomic uint64_t x, y;
    uint64_t seen_x, seen_y;
    bool fenced;
};

static void litmus_left(void *arg)
{
    struct litmus *litmus = arg;
    shm_store_release(&litmus->x, 1);
    if (litmus->fenced) shm_fence();
    litmus->seen_y = shm_load_acquire(&litmus->y);
}

static void litmus_right(void *arg)
{
    struct litmus *litmus = arg;
    shm_store_release(&litmus->y, 1);
    if (litmus->fenced) shm_fence();
    litmus->seen_x = shm_load_acquire(&litmus->x);
}

static void litmus_main(void *arg)
{
    struct shm_process processes[2];
    start(&processes[0], litmus_left, arg);
    start(&processes[1], litmus_right, arg);
    CHECK(all_well(processes, 2));
}

/* Bit 2 * seen_y + seen_x for each outcome that was reached. */
static unsigned litmus_outcomes(bool fenced)
{
    unsigned outcomes = 0;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct litmus litmus = {.fenced = fenced};
        CHECK(shm_sim_try(seed, 0, litmus_main, &litmus).outcome == SHM_SIM_DONE);
        outcomes |= 1u << (2 * litmus.seen_y + litmus.seen_x);
    }
    return outcomes;
}

static void stores_may_pass_later_loads_unless_fenced(void)
{
    CU_ASSERT_EQUAL(litmus_outcomes(false), 0xf); /* 0,0 too: both looked before either was seen */
    CU_ASSERT_EQUAL(litmus_outcomes(true), 0xe);
}

static void message_writer(void *arg)
{
    struct litmus *litmus = arg;
    shm_store_release(&litmus->x, 1);
    shm_store_release(&litmus->y, 1);
}

static void message_reader(void *arg)
{
    struct litmus *litmus = arg;
    litmus->seen_y = shm_load_acquire(&litmus->y);
    litmus->seen_x = shm_load_acquire(&litmus->x);
}

static void message_main(void *arg)
{
    struct shm_process processes[2];
    start(&processes[0], message_writer, arg);
    start(&processes[1], message_reader, arg);
    CHECK(all_well(processes, 2));
}

static void stores_stay_in_order(void)
{
    unsigned outcomes = 0;
    for (uint64_t seed = 0; seed < 3000; seed++) {
        struct litmus litmus = {0};
        CHECK(shm_sim_try(seed, 0, message_main, &litmus).outcome == SHM_SIM_DONE);
        outcomes |= 1u << (2 * litmus.seen_y + litmus.seen_x);
    }
    CU_ASSERT_EQUAL(outcomes, 0xb); /* never y without x */
}

static void own_stores_are_seen_at_once(void *arg)
{
    struct litmus *litmus = arg;
    for (uint64_t i = 1; i < 100; i++) {
        shm_store_release(&litmus->x, i);
        CHECK(shm_load_own(&litmus->x) == i);
        CHECK(shm_load_acquire(&litmus->x) == i);
        shm_store_own(&litmus->x, i + 1000);
        CHECK(shm_load_own(&litmus->x) == i + 1000);
        shm_store_release(&litmus->y, i);
        CHECK(shm_raise(&litmus->y, i) == false);
    }
}

static void a_process_sees_its_own_stores(void)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct litmus litmus = {0};
        CU_ASSERT_EQUAL(shm_sim_try(seed, 0, own_stores_are_seen_at_once, &litmus).outcome,
                        SHM_SIM_DONE);
        CU_ASSERT_EQUAL(litmus.x, 1099); /* and in the end everyone does */
        CU_ASSERT_EQUAL(litmus.y, 99);
    }
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void wait_for_ever(void *arg)
{
    shm_sim_wait(SHM_CLOCK_NEVER, never, arg);
}

static void spin_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        shm_sim_yield();
}

static void check_something_wrong(void *arg)
{
    (void)arg;
    CHECK(1 + 1 == 3);
}

static void spawn_and_wait(void *arg)
{
    struct shm_process process;
    void (**main)(void *) = arg;
    start(&process, *main, NULL);
    struct shm_ending ending;
    shm_process_wait(&process, &ending, SHM_CLOCK_NEVER);
}

static void what_goes_wrong_is_told(void)
{
    void (*mains[])(void *) = {wait_for_ever, spin_for_ever, check_something_wrong};
    enum shm_sim_outcome outcomes[] = {SHM_SIM_STUCK, SHM_SIM_ENDLESS, SHM_SIM_FAILED};
    const char *texts[] = {"stuck", "endless", "1 + 1 == 3"};
    for (unsigned i = 0; i < 3; i++) {
        struct shm_sim_result result = shm_sim_try(i, 5000, mains[i], NULL);
        CU_ASSERT_EQUAL(result.outcome, outcomes[i]);
        CU_ASSERT_PTR_NOT_NULL(strstr(result.failure, texts[i]));
        result = shm_sim_try(i, 5000, spawn_and_wait, &mains[i]);
        CU_ASSERT_EQUAL(result.outcome, outcomes[i]);
        CU_ASSERT_PTR_NOT_NULL(strstr(result.failure, texts[i]));
    }
}

static void a_failing_run_prints_its_seed_and_aborts(void)
{
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        shm_sim_run(4711, check_something_wrong, NULL);
        _exit(0);
    }
    close(ends[1]);
    char text[1024] = "";
    ssize_t size = read(ends[0], text, sizeof text - 1);
    int status;
    waitpid(child, &status, 0);
    CU_ASSERT_TRUE(size > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "4711"));
    CU_ASSERT_TRUE(WIFSIGNALED(status));
    CU_ASSERT_EQUAL(WTERMSIG(status), SIGABRT);
    close(ends[0]);
}

/* ---- Time and processes ---------------------------------------------------------------------- */

static void sleep_a_day(void *arg)
{
    uint64_t *woke_ns = arg;
    uint64_t until_ns = shm_clock_ns() + 86400u * 1000000000u;
    shm_clock_sleep_until(until_ns);
    *woke_ns = shm_clock_ns();
    CHECK(*woke_ns >= until_ns);
    CHECK(*woke_ns < until_ns + 1000000000u);
}

static void time_jumps_when_all_sleep(void)
{
    uint64_t woke_ns = 0;
    struct shm_sim_result result = shm_sim_try(5, 1000, sleep_a_day, &woke_ns);
    CU_ASSERT_EQUAL(result.outcome, SHM_SIM_DONE);
    CU_ASSERT_TRUE(result.steps < 20);
    CU_ASSERT_TRUE(woke_ns > 86400u * 1000000000u);
}

static void grandchild(void *arg)
{
    *(uint64_t *)arg += 1;
    spin_for_ever(NULL);
}

static void child_with_a_child(void *arg)
{
    struct shm_process process;
    start(&process, grandchild, arg);
    spin_for_ever(NULL);
}

static void child_that_exits(void *arg)
{
    (void)arg;
    shm_process_exit(7);
}

static void lives_and_deaths(void *arg)
{
    struct shm_process process, other;
    struct shm_ending ending;
    uint64_t *spins = arg;
    start(&process, child_that_exits, NULL);
    CHECK(shm_process_wait(&process, &ending, SHM_CLOCK_NEVER));
    CHECK(ending.status == 7);
    CHECK(ending.signal == 0);
    CHECK(process.pid == 0);

    start(&process, child_with_a_child, spins);
    CHECK(!shm_process_reap(&process, &ending));
    CHECK(!shm_process_wait(&process, &ending, shm_clock_ns() + 200000));
    while (*spins == 0)
        shm_sim_yield();
    CHECK(!shm_sim_ended(3, NULL, NULL)); /* the grandchild */
    shm_process_kill(&process, SIGTERM);
    CHECK(shm_process_wait(&process, &ending, SHM_CLOCK_NEVER));
    CHECK(ending.status == -1);
    CHECK(ending.signal == SIGTERM);
    int signal;
    CHECK(shm_sim_ended(3, NULL, &signal)); /* died with its parent */
    CHECK(signal == SIGKILL);

    /* A descriptor of a process, in poll beside a doorbell. */
    struct shm_doorbell bell;
    CHECK(shm_doorbell_init(&bell, true) == 0);
    start(&other, spin_for_ever, NULL);
    struct pollfd fd = {.fd = other.pidfd, .events = POLLIN};
    CHECK(!shm_park_poll(&bell, shm_clock_ns() + 1000, never, NULL, &fd, 1));
    start(&process, child_that_exits, NULL);
    fd.fd = process.pidfd;
    CHECK(shm_park_poll(&bell, SHM_CLOCK_NEVER, never, NULL, &fd, 1));
    CHECK(fd.revents == POLLIN);
    CHECK(shm_process_reap(&process, &ending));
    shm_doorbell_close(&bell);
}

static void processes_live_and_die_as_real_ones(void)
{
    for (uint64_t seed = 0; seed < 100; seed++) {
        uint64_t spins = 0;
        struct shm_sim_result result = shm_sim_try(seed, 0, lives_and_deaths, &spins);
        CU_ASSERT_EQUAL(result.outcome, SHM_SIM_DONE);
        if (result.outcome != SHM_SIM_DONE) fprintf(stderr, "%s\n", result.failure);
    }
}

static void say_who_i_am(void *arg)
{
    struct shm_slot *slot = arg;
    CHECK(shm_slot_own() == NULL);
    shm_slot_open(slot, "worker");
    for (unsigned i = 0; i < 20; i++) {
        shm_sim_yield();
        CHECK(shm_slot_own() == slot);
    }
    shm_slot_say(NULL, "I was %d", (int)shm_process_self());
    CHECK(shm_slot_alive(slot));
}

static void slots_main(void *arg)
{
    struct shm_slot *slots = arg;
    struct shm_process processes[3];
    for (unsigned i = 0; i < 3; i++)
        start(&processes[i], say_who_i_am, &slots[i]);
    CHECK(all_well(processes, 3));
    CHECK(!shm_slot_alive(&slots[0]));
    CHECK(shm_slot_own() == NULL);
}

static void each_process_has_a_slot_of_its_own(void)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        static struct shm_slot slots[3];
        CU_ASSERT_EQUAL(shm_sim_try(seed, 0, slots_main, slots).outcome, SHM_SIM_DONE);
        CU_ASSERT_STRING_EQUAL(slots[0].words, "I was 1001");
        CU_ASSERT_STRING_EQUAL(slots[2].words, "I was 1003");
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a seed gives the same run again", a_seed_gives_the_same_run_again},
        {"stores may pass later loads unless fenced", stores_may_pass_later_loads_unless_fenced},
        {"stores stay in order", stores_stay_in_order},
        {"a process sees its own stores", a_process_sees_its_own_stores},
        {"what goes wrong is told", what_goes_wrong_is_told},
        {"a failing run prints its seed and aborts", a_failing_run_prints_its_seed_and_aborts},
        {"time jumps when all sleep", time_jumps_when_all_sleep},
        {"processes live and die as real ones", processes_live_and_die_as_real_ones},
        {"each process has a slot of its own", each_process_has_a_slot_of_its_own},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/sim", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
