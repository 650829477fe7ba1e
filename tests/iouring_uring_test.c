/* iouring/uring: what is io_uring's own. Whether the machine refuses it, in each of the ways that
 * machines have, and that a child does not inherit the rings. Requests: see iouring_iou_test. */
#include <CUnit/Basic.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iouring/iou.h"

/* From here on a system call fails with an error, as in a container. */
static bool forbid(uint32_t call, uint32_t error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void written_done(struct iou_request *request, int64_t result)
{
    request->fd = result == 5 ? -2 : -3;
}

/* Opens one in a child under a rule, and works with what it got: 0, plain; 1, uring; else a
 * failure. */
static int opened_under(uint32_t call, uint32_t error)
{
    FILE *file = tmpfile();
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    pid_t child = fork();
    if (child == 0) {
        struct iou *io = NULL;
        if (call && !forbid(call, error)) _exit(77);
        if (iou_open(&io, 4) < 0) _exit(2);
        struct iou_request request = {
            .fd = fileno(file), .size_bytes = 5, .from = "bytes", .done = written_done};
        iou_write(io, &request);
        while (iou_wait(io) > 0) {
        }
        if (request.fd != -2) _exit(3);
        bool uring = iou_is_uring(io);
        iou_close(io);
        _exit(uring);
    }
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    fclose(file);
    CU_ASSERT_TRUE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_machine_that_refuses_gets_plain_calls(void)
{
    CU_ASSERT_EQUAL(opened_under(SYS_io_uring_setup, ENOSYS), 0);
    CU_ASSERT_EQUAL(opened_under(SYS_io_uring_setup, EPERM), 0);
    CU_ASSERT_EQUAL(opened_under(SYS_io_uring_setup, ENOMEM), 0);
    CU_ASSERT_EQUAL(opened_under(SYS_io_uring_enter, EPERM), 0); /* set up, then forbidden */
    CU_ASSERT_EQUAL(opened_under(SYS_io_uring_register, EPERM), 0);
}

static void the_environment_may_refuse(void)
{
    int before = opened_under(0, 0);
    CU_ASSERT_TRUE(before == 0 || before == 1);
    setenv("PENSTOCK_NO_URING", "1", 1);
    CU_ASSERT_EQUAL(opened_under(0, 0), 0);
    setenv("PENSTOCK_NO_URING", "0", 1);
    CU_ASSERT_EQUAL(opened_under(0, 0), before);
    unsetenv("PENSTOCK_NO_URING");
    printf("(this machine %s io_uring) ", before ? "has" : "refuses");
}

/* Of the mappings, how many are rings, and how many of those a child does not get ("dc"). */
static void rings_count(unsigned *rings, unsigned *kept)
{
    char line[512];
    bool ring = false;
    FILE *maps = fopen("/proc/self/smaps", "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(maps);
    *rings = *kept = 0;
    while (fgets(line, sizeof line, maps)) {
        if (strstr(line, "anon_inode:[io_uring]")) {
            ring = true;
            ++*rings;
        }
        if (ring && strncmp(line, "VmFlags:", 8) == 0) {
            if (strstr(line, " dc")) ++*kept;
            ring = false;
        }
    }
    fclose(maps);
}

static void a_child_does_not_inherit_the_rings(void)
{
    struct iou *io = NULL;
    unsigned rings, kept;
    CU_ASSERT_EQUAL_FATAL(iou_open(&io, 8), 0);
    if (iou_is_uring(io)) {
        rings_count(&rings, &kept);
        CU_ASSERT_TRUE(rings >= 2);
        CU_ASSERT_EQUAL(kept, rings);
        pid_t child = fork();
        if (child == 0) {
            rings_count(&rings, &kept);
            _exit((int)rings);
        }
        int status = 0;
        CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
        CU_ASSERT_EQUAL(status, 0);
    }
    iou_close(io);
}

static void a_shortage_of_descriptors_is_an_error(void)
{
    struct iou *io = NULL;
    int before = opened_under(0, 0);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {3, 3};
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0) _exit(2);
        _exit(iou_open(&io, 4) == (before ? -EMFILE : 0) ? 0 : 3);
    }
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("iouring/uring", NULL, NULL);
    CU_ADD_TEST(suite, a_machine_that_refuses_gets_plain_calls);
    CU_ADD_TEST(suite, the_environment_may_refuse);
    CU_ADD_TEST(suite, a_child_does_not_inherit_the_rings);
    CU_ADD_TEST(suite, a_shortage_of_descriptors_is_an_error);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
