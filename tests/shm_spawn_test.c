/* shm/spawn and shm/ending: real processes, their ends and what is told about them. */
#include "shm/spawn.h"

#include <CUnit/Basic.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/atomic.h"
#include "shm/clock.h"

static void child_returns(void *arg)
{
    (void)arg;
}

static void child_exits(void *arg)
{
    shm_process_exit(*(int *)arg);
}

static void child_pauses(void *arg)
{
    (void)arg;
    for (;;)
        pause();
}

static void child_aborts(void *arg)
{
    (void)arg;
    close(STDERR_FILENO);
    shm_process_abort("as it should");
}

static void an_exit_is_told_with_its_status(void)
{
    struct shm_process process;
    struct shm_ending ending;
    char text[64];
    int status = 3;
    CU_ASSERT_EQUAL_FATAL(shm_spawn(&process, child_exits, &status), 0);
    CU_ASSERT_TRUE(shm_process_wait(&process, &ending, SHM_CLOCK_NEVER));
    CU_ASSERT_EQUAL(ending.status, 3);
    CU_ASSERT_EQUAL(ending.signal, 0);
    CU_ASSERT_STRING_EQUAL(shm_ending_text(&ending, text, sizeof text), "exited with status 3");
    CU_ASSERT_EQUAL(process.pid, 0);
    CU_ASSERT_EQUAL(process.pidfd, -1);

    CU_ASSERT_EQUAL_FATAL(shm_spawn(&process, child_returns, NULL), 0);
    CU_ASSERT_TRUE(shm_process_wait(&process, &ending, SHM_CLOCK_NEVER));
    CU_ASSERT_EQUAL(ending.status, 0);
}

static void a_signal_is_told_by_name(void)
{
    struct shm_process process;
    struct shm_ending ending;
    char text[64];
    CU_ASSERT_EQUAL_FATAL(shm_spawn(&process, child_pauses, NULL), 0);
    CU_ASSERT_FALSE(shm_process_reap(&process, &ending));
    CU_ASSERT_FALSE(shm_process_wait(&process, &ending, shm_clock_ns() + 10000000));
    shm_process_kill(&process, 0); /* allowed, and does nothing */
    shm_process_kill(&process, SIGKILL);
    CU_ASSERT_TRUE(shm_process_wait(&process, &ending, SHM_CLOCK_NEVER));
    CU_ASSERT_EQUAL(ending.status, -1);
    CU_ASSERT_EQUAL(ending.signal, SIGKILL);
    CU_ASSERT_STRING_EQUAL(shm_ending_text(&ending, text, sizeof text),
                           "was killed by signal 9 (Killed)");
    shm_process_kill(&process, SIGKILL); /* gone: nobody is hit */

    CU_ASSERT_EQUAL_FATAL(shm_spawn(&process, child_aborts, NULL), 0);
    CU_ASSERT_TRUE(shm_process_wait(&process, &ending, SHM_CLOCK_NEVER));
    CU_ASSERT_EQUAL(ending.signal, SIGABRT);
}

static void a_signal_to_an_unreaped_dead_one_hits_nobody(void)
{
    struct shm_process process;
    struct shm_ending ending;
    CU_ASSERT_EQUAL_FATAL(shm_spawn(&process, child_returns, NULL), 0);
    struct pollfd fd = {.fd = process.pidfd, .events = POLLIN};
    CU_ASSERT_EQUAL(poll(&fd, 1, 5000), 1); /* the descriptor tells that it has ended */
    shm_process_kill(&process, SIGKILL);
    CU_ASSERT_TRUE(shm_process_reap(&process, &ending));
    CU_ASSERT_EQUAL(ending.status, 0);
}

struct family {
    _Atomic uint64_t child, grandchild;
};

static void child_with_a_child(void *arg)
{
    struct family *family = arg;
    struct shm_process process;
    shm_store_release(&family->child, (uint64_t)getpid());
    if (shm_spawn(&process, child_pauses, NULL) == 0)
        shm_store_release(&family->grandchild, (uint64_t)process.pid);
    child_pauses(NULL);
}

static void children_die_with_their_parent(void)
{
    struct family *family =
        mmap(NULL, sizeof *family, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_NOT_EQUAL_FATAL((void *)family, MAP_FAILED);
    CU_ASSERT_EQUAL(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* so that we see it end */
    for (unsigned i = 0; i < 20; i++) {
        family->grandchild = 0;
        struct shm_process process;
        struct shm_ending ending;
        CU_ASSERT_EQUAL_FATAL(shm_spawn(&process, child_with_a_child, family), 0);
        while (shm_load_acquire(&family->grandchild) == 0)
            usleep(100);
        shm_process_kill(&process, SIGKILL);
        CU_ASSERT_TRUE(shm_process_wait(&process, &ending, SHM_CLOCK_NEVER));
        int status = 0;
        pid_t grandchild = (pid_t)family->grandchild;
        CU_ASSERT_EQUAL(waitpid(grandchild, &status, 0), grandchild);
        /* Killed, or it saw by itself that its parent had gone before it was bound to it. */
        CU_ASSERT_TRUE(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : status != 0);
    }
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    munmap(family, sizeof *family);
}

static void child_looks_at_its_word(void *arg)
{
    (void)arg;
    shm_process_exit(*shm_process_local() == NULL ? 0 : 1);
}

static void a_child_starts_with_an_empty_word(void)
{
    int something;
    *shm_process_local() = &something;
    struct shm_process process;
    struct shm_ending ending;
    CU_ASSERT_EQUAL_FATAL(shm_spawn(&process, child_looks_at_its_word, NULL), 0);
    CU_ASSERT_TRUE(shm_process_wait(&process, &ending, SHM_CLOCK_NEVER));
    CU_ASSERT_EQUAL(ending.status, 0);
    CU_ASSERT_PTR_EQUAL(*shm_process_local(), &something);
    *shm_process_local() = NULL;
}

static void pid_and_start_name_a_process(void)
{
    CU_ASSERT_EQUAL(shm_process_self(), getpid());
    uint64_t ticks = shm_process_start_ticks(getpid());
    CU_ASSERT_TRUE(ticks > 0);
    CU_ASSERT_EQUAL(shm_process_start_ticks(getpid()), ticks);
    char before[16] = "";
    prctl(PR_GET_NAME, before);
    prctl(PR_SET_NAME, "a) R 1 2 (3"); /* a name that looks like fields */
    CU_ASSERT_EQUAL(shm_process_start_ticks(getpid()), ticks);
    prctl(PR_SET_NAME, before);
    CU_ASSERT_TRUE(shm_process_start_ticks(1) <= ticks);
    CU_ASSERT_EQUAL(shm_process_start_ticks(0x7ffffff0), 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"an exit is told with its status", an_exit_is_told_with_its_status},
        {"a signal is told by name", a_signal_is_told_by_name},
        {"a signal to an unreaped dead one hits nobody",
         a_signal_to_an_unreaped_dead_one_hits_nobody},
        {"children die with their parent", children_die_with_their_parent},
        {"a child starts with an empty word", a_child_starts_with_an_empty_word},
        {"pid and start name a process", pid_and_start_name_a_process},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/spawn", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
