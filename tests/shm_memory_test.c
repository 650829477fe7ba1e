/* shm/memory: nameless memory that processes share and nobody can shrink. */
#include "shm/memory.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void it_is_shared_over_a_fork(void)
{
    int fd = shm_memory_create(3 * 4096);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    pid_t child = fork();
    if (child == 0) {
        char *part = shm_memory_map(fd, 4096, 4096); /* maps its own part only */
        if (part) strcpy(part, "from the child");
        _exit(0);
    }
    waitpid(child, NULL, 0);
    const char *whole = shm_memory_map_read_only(fd, 0, 3 * 4096);
    CU_ASSERT_PTR_NOT_NULL_FATAL(whole);
    CU_ASSERT_EQUAL(whole[0], 0);
    CU_ASSERT_STRING_EQUAL(whole + 4096, "from the child");
    shm_memory_unmap((void *)(uintptr_t)whole, 3 * 4096);
    close(fd);
}

static void all_of_it_is_there_from_the_start(void)
{
    int fd = shm_memory_create(1 << 20);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    struct stat stat;
    CU_ASSERT_EQUAL(fstat(fd, &stat), 0);
    CU_ASSERT_EQUAL(stat.st_size, 1 << 20);
    CU_ASSERT_EQUAL(stat.st_blocks * 512, 1 << 20);
    close(fd);
}

static void its_size_cannot_be_changed(void)
{
    int fd = shm_memory_create(8192);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(ftruncate(fd, 4096), -1);
    CU_ASSERT_EQUAL(errno, EPERM);
    CU_ASSERT_EQUAL(ftruncate(fd, 16384), -1);
    CU_ASSERT_EQUAL(errno, EPERM);
    CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1); /* nor can the seals */
    close(fd);
}

static void more_than_the_machine_has_is_refused(void)
{
    CU_ASSERT_EQUAL(shm_memory_create((uint64_t)1 << 50), -ENOMEM);
}

static void sizes_are_rounded_to_pages(void)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    CU_ASSERT_EQUAL(shm_memory_round_up(0), 0);
    CU_ASSERT_EQUAL(shm_memory_round_up(1), page);
    CU_ASSERT_EQUAL(shm_memory_round_up(page), page);
    CU_ASSERT_EQUAL(shm_memory_round_up(page + 1), 2 * page);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"it is shared over a fork", it_is_shared_over_a_fork},
        {"all of it is there from the start", all_of_it_is_there_from_the_start},
        {"its size cannot be changed", its_size_cannot_be_changed},
        {"more than the machine has is refused", more_than_the_machine_has_is_refused},
        {"sizes are rounded to pages", sizes_are_rounded_to_pages},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/memory", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
