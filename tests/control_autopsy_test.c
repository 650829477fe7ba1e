/* control/autopsy: what is said about a dead worker. Method: slots that the test fills, and a child
 * that really crashes in a function of this program. */
#include "engine/control/autopsy.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/clock.h"
#include "tests/control_board.h"

static struct eng_node nodes[CONTROL_NODES] = {
    {.title = "read_lines(book.txt)", .file = "job.c", .line = 10},
    {.title = "map(split)", .file = "job.c", .line = 12},
    {.title = "print", .file = "job.c", .line = 15},
};
static struct eng_node *const node_pointers[] = {&nodes[0], &nodes[1], &nodes[2]};

static char *sentence(const struct eng_board *board, struct shm_ending ending,
                      struct eng_node *const *known)
{
    char *text = NULL;
    PRINTED(text, out, eng_autopsy_sentence(board, 1, &ending, known, out));
    return text;
}

static struct shm_slot *slot_of(struct eng_board *board)
{
    struct shm_slot *slot = &eng_board_worker(board, 1)->slot;

    shm_store_own(&slot->pid, 1);
    shm_store_own(&slot->operator_id, CONTROL_MAP);
    shm_store_own(&slot->position, 1234);
    return slot;
}

static void a_signal_is_told_with_address_operator_and_record(void)
{
    struct eng_board *board = control_board_new();
    struct shm_slot *slot = slot_of(board);

    shm_store_own(&slot->signal, SIGSEGV);
    slot->signal_code = SEGV_MAPERR;
    slot->fault_address = 0x10;
    char *text = sentence(board, (struct shm_ending){-1, SIGSEGV, false}, node_pointers);
    CU_ASSERT_STRING_EQUAL(text, "worker 1 died of SIGSEGV at address 0x10, in operator map(split) "
                                 "(job.c:12), at its record 1234");
    free(text);

    /* A signal that somebody sent has no address. */
    slot->signal_code = (uint64_t)(int64_t)SI_USER;
    text = sentence(board, (struct shm_ending){-1, SIGSEGV, false}, NULL);
    CU_ASSERT_STRING_EQUAL(text,
                           "worker 1 died of SIGSEGV, in operator map(split), at its record 1234");
    free(text);
    free(board);
}

static void last_words_are_told(void)
{
    struct eng_board *board = control_board_new();
    struct shm_slot *slot = slot_of(board);

    shm_slot_say(slot, "table.c:12: CHECK(%s) failed", "left == right");
    shm_store_own(&slot->operator_id, SHM_SLOT_NO_OPERATOR);
    char *text = sentence(board, (struct shm_ending){-1, SIGABRT, false}, node_pointers);
    CU_ASSERT_STRING_EQUAL(text,
                           "worker 1 died of SIGABRT, in no operator: table.c:12: CHECK(left == "
                           "right) failed");
    free(text);
    free(board);
}

static void who_failed_is_told_in_its_own_words(void)
{
    struct eng_board *board = control_board_new();
    struct eng_board_worker *worker = eng_board_worker(board, 1);

    slot_of(board);
    shm_store_own(&worker->state, ENG_WORKER_FAILED);
    memset(worker->failure, 'x', sizeof worker->failure); /* without an end */
    char *text = sentence(board, (struct shm_ending){1, 0, false}, node_pointers);
    CU_ASSERT_EQUAL(strlen(text), ENG_BOARD_FAILURE_BYTES);
    free(text);
    snprintf(worker->failure, sizeof worker->failure, "print: the disk is full");
    text = sentence(board, (struct shm_ending){1, 0, false}, node_pointers);
    CU_ASSERT_STRING_EQUAL(text, "print: the disk is full");
    free(text);
    free(board);
}

static void a_worker_that_never_came_to_itself_is_told(void)
{
    struct eng_board *board = control_board_new();
    char *text = sentence(board, (struct shm_ending){-1, SIGKILL, false}, node_pointers);

    EXPECT_IN(text, "worker 1 died of SIGKILL: somebody killed it");
    EXPECT_NOT_IN(text, "operator");
    free(text);
    text = sentence(board, (struct shm_ending){7, 0, false}, node_pointers);
    EXPECT_IN(text,
              "worker 1 exited with status 7, though nobody told it to: the job must not call");
    free(text);
    free(board);
}

/* Not static and not inlined: found with and without debug information. */
void control_autopsy_crash(int *where);
__attribute__((noinline)) void control_autopsy_crash(int *where)
{
    *where = 1;
}
static int *volatile nowhere = (int *)8;

static void the_backtrace_names_the_functions(void)
{
    struct shm_slot *slot =
        mmap(NULL, sizeof *slot, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *text = NULL;
    bool told = false;
    int status;

    CU_ASSERT_NOT_EQUAL_FATAL((void *)slot, MAP_FAILED);
    PRINTED(text, out, told = eng_autopsy_backtrace(slot, out));
    CU_ASSERT_FALSE(told);
    CU_ASSERT_STRING_EQUAL(text, "");
    free(text);

    pid_t child = fork();
    if (child == 0) {
        shm_slot_open(slot, "worker 1");
        if (shm_slot_install_handlers() != 0) _exit(1);
        control_autopsy_crash(nowhere);
        _exit(0);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    PRINTED(text, out, told = eng_autopsy_backtrace(slot, out));
    CU_ASSERT_TRUE(told);
    if (access("/usr/bin/addr2line", X_OK) == 0) {
        EXPECT_IN(text, "control_autopsy_crash at control_autopsy_test.c:");
        EXPECT_IN(text, "the_backtrace_names_the_functions at control_autopsy_test.c:");
        EXPECT_NOT_IN(text, "discriminator");
    }
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1); /* addr2line has gone, too */
    free(text);

    /* Without the program: the object, and the place in it. */
    CU_ASSERT_EQUAL(setenv("PATH", "/nonexistent", 1), 0);
    PRINTED(text, out, told = eng_autopsy_backtrace(slot, out));
    CU_ASSERT_TRUE(told);
    EXPECT_IN(text, "control_autopsy_test+0x");
    free(text);

    /* A slot that a stranger has filled. */
    shm_store_own(&slot->frame_count, UINT64_MAX);
    for (int i = 0; i < SHM_SLOT_FRAMES_MAX; i++)
        slot->frames[i] = (uint64_t)i * 0x123456789abcdefu;
    PRINTED(text, out, told = eng_autopsy_backtrace(slot, out));
    CU_ASSERT_TRUE(told);
    EXPECT_IN(text, "0x123456789abcdef\n");
    free(text);
    munmap(slot, sizeof *slot);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control/autopsy", NULL, NULL);
    CU_ADD_TEST(suite, a_signal_is_told_with_address_operator_and_record);
    CU_ADD_TEST(suite, last_words_are_told);
    CU_ADD_TEST(suite, who_failed_is_told_in_its_own_words);
    CU_ADD_TEST(suite, a_worker_that_never_came_to_itself_is_told);
    CU_ADD_TEST(suite, the_backtrace_names_the_functions);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
