/* shm/slot: what is known about a process after its death.
 * Method: children that die in every way we know; the parent reads their slots. */
#include "shm/slot.h"

#include <CUnit/Basic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/check.h"
#include "shm/clock.h"
#include "shm/counter.h"
#include "shm/spawn.h"

#if defined(__has_feature)
#define HAS(feature) __has_feature(feature)
#else
#define HAS(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS(address_sanitizer) || defined(__SANITIZE_THREAD__) ||     \
    HAS(thread_sanitizer)
#define SANITIZED true /* their stacks are not ours to overflow */
#else
#define SANITIZED false
#endif

static struct shm_slot *slot;

static int slot_make(void)
{
    slot = mmap(NULL, sizeof *slot, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return slot == MAP_FAILED;
}

/* ---- Ways to die ----------------------------------------------------------------------------- */

/* Not inlined and not static: the backtrace shall name it. */
void slot_test_touch(volatile char *address);
__attribute__((noinline)) void slot_test_touch(volatile char *address)
{
    *address = 1;
    __asm__ volatile("" ::: "memory");
}

static void die_of_a_wild_write(void)
{
    slot_test_touch((volatile char *)(uintptr_t)0x1230);
}

static void die_of_a_wild_jump(void)
{
    void (*volatile nowhere)(void) = (void (*)(void))(uintptr_t)0x4560;
    nowhere();
}

static void die_of_a_full_stack(void)
{
    volatile char frame[4096];
    frame[0] = 1;
    slot_test_touch(frame);
    void (*volatile again)(void) = die_of_a_full_stack;
    again();
    frame[1] = 1;
}

static void die_of_a_check(void)
{
    CHECK(slot == NULL);
}

static void die_of_an_abort_after_words(void)
{
    shm_slot_say(NULL, "gave up after %d tries", 5);
    abort();
}

static void die_of_a_truncated_file(void)
{
    char path[] = "/dev/shm/penstock-slot-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK(unlink(path) == 0);
    CHECK(ftruncate(fd, 4096) == 0);
    char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(memory != MAP_FAILED);
    CHECK(ftruncate(fd, 0) == 0);
    slot_test_touch(memory);
}

static void die_of_a_kill(void)
{
    raise(SIGKILL);
}

static void die_of_a_signal_from_outside(void)
{
    kill(getpid(), SIGSEGV);
    for (;;)
        pause();
}

static void go_in_peace(void)
{
}

struct death {
    void (*die)(void);
};

static void child_main(void *arg)
{
    const struct death *death = arg;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    close(STDERR_FILENO);
    shm_slot_open(slot, "worker 3");
    CHECK(shm_slot_install_handlers() == 0);
    shm_slot_enter(slot, 12, 3456, shm_clock_ns());
    shm_slot_beat(slot, shm_clock_ns() + 1000000);
    death->die();
}

static struct shm_ending run(void (*die)(void))
{
    struct death death = {die};
    struct shm_process process;
    struct shm_ending ending = {0};
    CU_ASSERT_EQUAL_FATAL(shm_spawn(&process, child_main, &death), 0);
    CU_ASSERT_TRUE(shm_process_wait(&process, &ending, SHM_CLOCK_NEVER));
    return ending;
}

static char *report(void)
{
    static char text[16384];
    memset(text, 0, sizeof text);
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    shm_slot_report(slot, out);
    fclose(out);
    return text;
}

static bool report_has(const char *words)
{
    const char *text = report();
    bool found = strstr(text, words) != NULL;
    if (!found) fprintf(stderr, "no \"%s\" in: %s\n", words, text);
    return found;
}

/* Whether the first frame of the backtrace lies in the function. */
static bool died_in(void (*function)(volatile char *))
{
    uint64_t begin = (uint64_t)(uintptr_t)function;
    return slot->frame_count > 1 && slot->frames[0] >= begin && slot->frames[0] < begin + 256;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void a_wild_write_leaves_address_and_backtrace(void)
{
    struct shm_ending ending = run(die_of_a_wild_write);
    CU_ASSERT_EQUAL(ending.signal, SIGSEGV);
    CU_ASSERT_EQUAL(slot->signal, SIGSEGV);
    CU_ASSERT_EQUAL(slot->signal_code, SEGV_MAPERR);
    CU_ASSERT_EQUAL(slot->fault_address, 0x1230);
    CU_ASSERT_TRUE(died_in(slot_test_touch));
    CU_ASSERT_EQUAL(slot->frames[0], slot->instruction);
    CU_ASSERT_TRUE(report_has("worker 3, process "));
    CU_ASSERT_TRUE(report_has("died of signal 11 (Segmentation fault) at address 0x1230"));
    CU_ASSERT_TRUE(report_has("in operator 12 at record 3456 for 1."));
    CU_ASSERT_TRUE(report_has("    #0  0x"));
}

static void a_wild_jump_is_survived_long_enough(void)
{
    struct shm_ending ending = run(die_of_a_wild_jump);
    CU_ASSERT_EQUAL(ending.signal, SIGSEGV);
    CU_ASSERT_EQUAL(slot->signal, SIGSEGV);
    CU_ASSERT_EQUAL(slot->fault_address, 0x4560);
    CU_ASSERT_EQUAL(slot->instruction, 0x4560);
}

static void a_full_stack_is_told_on_another(void)
{
    if (SANITIZED) return;
    struct shm_ending ending = run(die_of_a_full_stack);
    CU_ASSERT_EQUAL(ending.signal, SIGSEGV);
    CU_ASSERT_EQUAL(slot->signal, SIGSEGV);
    CU_ASSERT_TRUE(slot->frame_count > 10);
}

static void a_check_leaves_words_and_backtrace(void)
{
    struct shm_ending ending = run(die_of_a_check);
    CU_ASSERT_EQUAL(ending.signal, SIGABRT);
    CU_ASSERT_EQUAL(slot->signal, SIGABRT);
    CU_ASSERT_EQUAL(slot->fault_address, 0);
    CU_ASSERT_TRUE(slot->frame_count > 3);
    CU_ASSERT_TRUE(report_has("CHECK failed: slot == NULL"));
    CU_ASSERT_TRUE(report_has("signal 6 (Aborted), in operator"));
}

static void words_are_kept(void)
{
    struct shm_ending ending = run(die_of_an_abort_after_words);
    CU_ASSERT_EQUAL(ending.signal, SIGABRT);
    CU_ASSERT_STRING_EQUAL(slot->words, "gave up after 5 tries");
    CU_ASSERT_TRUE(report_has("    gave up after 5 tries\n"));
}

static void a_truncated_file_is_a_bus_error(void)
{
    struct shm_ending ending = run(die_of_a_truncated_file);
    CU_ASSERT_EQUAL(ending.signal, SIGBUS);
    CU_ASSERT_EQUAL(slot->signal, SIGBUS);
    CU_ASSERT_TRUE(slot->fault_address != 0);
    CU_ASSERT_TRUE(died_in(slot_test_touch));
}

static void a_signal_from_outside_has_no_address(void)
{
    struct shm_ending ending = run(die_of_a_signal_from_outside);
    CU_ASSERT_EQUAL(ending.signal, SIGSEGV);
    CU_ASSERT_EQUAL(slot->signal, SIGSEGV);
    CU_ASSERT_EQUAL(slot->fault_address, 0);
}

static void after_a_kill_the_place_is_known(void)
{
    struct shm_ending ending = run(die_of_a_kill);
    CU_ASSERT_EQUAL(ending.signal, SIGKILL);
    CU_ASSERT_EQUAL(slot->signal, 0);
    CU_ASSERT_EQUAL(slot->words_size, 0);
    CU_ASSERT_EQUAL(slot->frame_count, 0);
    CU_ASSERT_TRUE(report_has(", gone, in operator 12 at record 3456"));
    CU_ASSERT_FALSE(shm_slot_alive(slot));
}

static void a_peaceful_end_leaves_nothing(void)
{
    struct shm_ending ending = run(go_in_peace);
    CU_ASSERT_EQUAL(ending.status, 0);
    CU_ASSERT_EQUAL(slot->signal, 0);
    CU_ASSERT_EQUAL(slot->words_size, 0);
}

static void own_child_says(void *arg)
{
    (void)arg;
    shm_slot_say(NULL, "from a child without a slot");
    shm_process_exit(shm_slot_own() == NULL ? 0 : 1);
}

static void a_slot_belongs_to_one_process(void)
{
    CU_ASSERT_PTR_NULL(shm_slot_own());
    shm_slot_open(slot, "supervisor");
    CU_ASSERT_PTR_EQUAL(shm_slot_own(), slot);
    CU_ASSERT_TRUE(shm_slot_alive(slot));
    CU_ASSERT_TRUE(report_has("supervisor, process "));
    CU_ASSERT_TRUE(report_has(", alive\n"));

    struct shm_process process;
    struct shm_ending ending;
    CU_ASSERT_EQUAL_FATAL(shm_spawn(&process, own_child_says, NULL), 0);
    CU_ASSERT_TRUE(shm_process_wait(&process, &ending, SHM_CLOCK_NEVER));
    CU_ASSERT_EQUAL(ending.status, 0);
    CU_ASSERT_EQUAL(slot->words_size, 0);

    slot->start_ticks++; /* the same pid, started at another time: another process */
    CU_ASSERT_FALSE(shm_slot_alive(slot));
    shm_slot_close(slot);
    CU_ASSERT_PTR_NULL(shm_slot_own());
    shm_slot_say(NULL, "nobody hears this");
    CU_ASSERT_EQUAL(slot->words_size, 0);
}

static void the_last_words_count_and_are_cut(void)
{
    shm_slot_open(slot, "supervisor");
    shm_slot_say(slot, "first");
    shm_slot_say(slot, "%s", "second");
    CU_ASSERT_STRING_EQUAL(slot->words, "second");
    char text[2 * SHM_SLOT_WORDS_BYTES];
    memset(text, 'w', sizeof text);
    text[sizeof text - 1] = 0;
    shm_slot_say(slot, "%s", text);
    CU_ASSERT_EQUAL(slot->words_size, SHM_SLOT_WORDS_BYTES - 1);
    shm_slot_say_pieces(slot, (const char *const[]){"a", "", "bc", NULL});
    CU_ASSERT_STRING_EQUAL(slot->words, "abc");
    shm_slot_say_pieces(slot, (const char *const[]){text, "more", NULL});
    CU_ASSERT_EQUAL(slot->words_size, SHM_SLOT_WORDS_BYTES - 1);
    shm_slot_close(slot);
}

static void a_slot_never_opened_and_a_damaged_one_are_readable(void)
{
    memset(slot, 0, sizeof *slot);
    CU_ASSERT_TRUE(report_has("never started"));
    CU_ASSERT_FALSE(shm_slot_alive(slot));
    memset(slot, 0xff, sizeof *slot); /* every field a lie, no text ended */
    CU_ASSERT_FALSE(shm_slot_alive(slot));
    CU_ASSERT_TRUE(report_has("died of signal"));
    memset(slot, 0, sizeof *slot);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a wild write leaves address and backtrace", a_wild_write_leaves_address_and_backtrace},
        {"a wild jump is survived long enough", a_wild_jump_is_survived_long_enough},
        {"a full stack is told on another", a_full_stack_is_told_on_another},
        {"a check leaves words and backtrace", a_check_leaves_words_and_backtrace},
        {"words are kept", words_are_kept},
        {"a truncated file is a bus error", a_truncated_file_is_a_bus_error},
        {"a signal from outside has no address", a_signal_from_outside_has_no_address},
        {"after a kill the place is known", after_a_kill_the_place_is_known},
        {"a peaceful end leaves nothing", a_peaceful_end_leaves_nothing},
        {"a slot belongs to one process", a_slot_belongs_to_one_process},
        {"the last words count and are cut", the_last_words_count_and_are_cut},
        {"a slot never opened and a damaged one are readable",
         a_slot_never_opened_and_a_damaged_one_are_readable},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/slot", slot_make, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
