/* shm/check: a CHECK that fails says where, in the slot or else on standard error, and aborts. */
#include "shm/check.h"

#include <CUnit/Basic.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/slot.h"

static char text[4096];

/* Runs it in a child; standard error is in `text`. The status of waitpid(). */
static int run(void (*main)(struct shm_slot *), struct shm_slot *slot)
{
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        main(slot);
        _exit(0);
    }
    close(ends[1]);
    memset(text, 0, sizeof text);
    size_t size = 0;
    for (ssize_t got; (got = read(ends[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)got;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

static void check_what_holds(struct shm_slot *slot)
{
    CHECK(slot == NULL);
    CHECK(1 + 1 == 2);
}

static void check_what_does_not(struct shm_slot *slot)
{
    if (slot) shm_slot_open(slot, "worker 7");
    CHECK(1 + 1 == 3);
}

static void check_with_a_long_name(struct shm_slot *slot)
{
    char name[2000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    shm_slot_open(slot, "worker 7");
    shm_check_failed(name, 1234567890, "whatever");
}

static void what_holds_goes_on(void)
{
    CU_ASSERT_EQUAL(run(check_what_holds, NULL), 0);
    CU_ASSERT_STRING_EQUAL(text, "");
}

static void what_does_not_hold_aborts_and_says_where(void)
{
    int status = run(check_what_does_not, NULL);
    CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "shm_check_test.c:"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, ": CHECK failed: 1 + 1 == 3\n"));
}

static void it_becomes_the_last_words_of_the_slot(void)
{
    struct shm_slot *slot =
        mmap(NULL, sizeof *slot, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_NOT_EQUAL_FATAL((void *)slot, MAP_FAILED);
    run(check_what_does_not, slot);
    CU_ASSERT_PTR_NOT_NULL(strstr(slot->words, ": CHECK failed: 1 + 1 == 3"));
    CU_ASSERT_EQUAL(slot->words_size, strlen(slot->words));
    CU_ASSERT_STRING_EQUAL(text, ""); /* whoever reads the slot tells it */

    int status = run(check_with_a_long_name, slot); /* cut, not overrun */
    CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CU_ASSERT_EQUAL(slot->words_size, SHM_SLOT_WORDS_BYTES - 1);
    CU_ASSERT_EQUAL(slot->words[SHM_SLOT_WORDS_BYTES - 1], 0);
    munmap(slot, sizeof *slot);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what holds goes on", what_holds_goes_on},
        {"what does not hold aborts and says where", what_does_not_hold_aborts_and_says_where},
        {"it becomes the last words of the slot", it_becomes_the_last_words_of_the_slot},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/check", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
