/* iouring/iou: requests on real files. Every test runs twice, with io_uring and with plain calls.
 */
#include "iouring/iou.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iouring/buffer.h"
#include "iouring/file.h"
#include "shm/random.h"
#include "tests/iouring_scratch.h"

static struct scratch scratch;
static unsigned uring_opened, plain_opened;

/* A request that remembers how it ended. */
struct ending {
    struct iou_request request; /* first */
    int64_t result;
    unsigned count;
    unsigned order;
};

static unsigned ending_order;

static void ending_done(struct iou_request *request, int64_t result)
{
    struct ending *ending = (struct ending *)request;
    ending->result = result;
    ending->count++;
    ending->order = ++ending_order;
}

static struct ending ending_of(int fd, void *data, uint32_t size_bytes, uint64_t offset_bytes)
{
    return (struct ending){.request = {.fd = fd,
                                       .size_bytes = size_bytes,
                                       .offset_bytes = offset_bytes,
                                       .into = data,
                                       .done = ending_done},
                           .result = INT64_MIN};
}

static struct iou *iou_new(unsigned depth)
{
    struct iou *io = NULL;
    CU_ASSERT_EQUAL_FATAL(iou_open(&io, depth), 0);
    if (iou_is_uring(io))
        uring_opened++;
    else
        plain_opened++;
    return io;
}

static void iou_drain(struct iou *io)
{
    while (iou_wait(io) > 0) {
    }
    CU_ASSERT_EQUAL(iou_outstanding(io), 0);
}

static int64_t iou_one(void (*what)(struct iou *, struct iou_request *), int fd, void *data,
                       uint32_t size_bytes, uint64_t offset_bytes)
{
    struct iou *io = iou_new(4);
    struct ending ending = ending_of(fd, data, size_bytes, offset_bytes);
    what(io, &ending.request);
    CU_ASSERT_EQUAL(ending.count, 0); /* never inside the call */
    iou_drain(io);
    CU_ASSERT_EQUAL(ending.count, 1);
    iou_close(io);
    return ending.result;
}

static void fill(void *data, uint64_t size_bytes, uint64_t seed)
{
    struct shm_random_stream chance;
    shm_random_seed(&chance, seed);
    for (uint64_t i = 0; i < size_bytes; i++)
        ((uint8_t *)data)[i] = (uint8_t)shm_random_next(&chance);
}

static void what_was_written_is_read(void)
{
    enum { SIZE = 256 * 1024 };
    const enum iou_file_mode create[] = {IOU_CREATE, IOU_CREATE_DIRECT};
    const enum iou_file_mode read[] = {IOU_READ, IOU_READ_DIRECT};
    uint8_t *from = iou_buffer_open(SIZE), *into = iou_buffer_open(SIZE);

    for (unsigned i = 0; i < 2; i++) {
        fill(from, SIZE, i + 1);
        memset(into, 0, SIZE);
        int fd = iou_file_open(scratch.directory, "written", create[i]);
        CU_ASSERT_TRUE_FATAL(fd >= 0);
        CU_ASSERT_EQUAL(iou_one(iou_write, fd, from, SIZE, 4096), SIZE);
        CU_ASSERT_EQUAL(iou_one(iou_sync, fd, NULL, 0, 0), 0);
        CU_ASSERT_EQUAL(iou_file_size(fd), SIZE + 4096);
        iou_file_close(fd);

        fd = iou_file_open(scratch.directory, "written", read[i]);
        CU_ASSERT_TRUE_FATAL(fd >= 0);
        CU_ASSERT_EQUAL(iou_one(iou_read, fd, into, SIZE, 4096), SIZE);
        CU_ASSERT_EQUAL(memcmp(from, into, SIZE), 0);
        iou_file_close(fd);
        CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "written"), 0);
    }
    iou_buffer_close(from, SIZE);
    iou_buffer_close(into, SIZE);
}

static void a_read_ends_where_the_file_ends(void)
{
    enum { SIZE = 5000 };
    uint8_t *from = iou_buffer_open(8192), *into = iou_buffer_open(16384);
    int fd = iou_file_open(scratch.directory, "ends", IOU_CREATE_DIRECT);
    CU_ASSERT_TRUE_FATAL(fd >= 0);

    fill(from, 8192, 5);
    CU_ASSERT_EQUAL(iou_one(iou_write, fd, from, 8192, 0), 8192);
    CU_ASSERT_EQUAL(iou_file_resize(fd, SIZE), 0);
    CU_ASSERT_EQUAL(iou_one(iou_read, fd, into, 16384, 0), SIZE);
    CU_ASSERT_EQUAL(memcmp(from, into, SIZE), 0);
    CU_ASSERT_EQUAL(iou_one(iou_read, fd, into, 4096, 4096), SIZE - 4096);
    CU_ASSERT_EQUAL(memcmp(from + 4096, into, SIZE - 4096), 0);
    CU_ASSERT_EQUAL(iou_one(iou_read, fd, into, 4096, 8192), 0);
    iou_file_close(fd);

    fd = iou_file_open(scratch.directory, "ends", IOU_READ); /* unaligned, from the page cache */
    CU_ASSERT_EQUAL(iou_one(iou_read, fd, into + 1, 9000, 17), SIZE - 17);
    CU_ASSERT_EQUAL(memcmp(from + 17, into + 1, SIZE - 17), 0);
    iou_file_close(fd);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "ends"), 0);
    iou_buffer_close(from, 8192);
    iou_buffer_close(into, 16384);
}

/* Far more requests than the depth, in a random order of places; each once, each with its bytes. */
static void requests_may_be_many_times_the_depth(void)
{
    enum { COUNT = 500, PART = 512 };
    static struct ending endings[COUNT];
    static uint8_t from[COUNT * PART], into[COUNT * PART];
    struct iou *io = iou_new(8);
    int fd = iou_file_open(scratch.directory, "many", IOU_CREATE);
    CU_ASSERT_TRUE_FATAL(fd >= 0);

    fill(from, sizeof from, 6);
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned at = i * 137 % COUNT; /* a permutation: 137 and 500 have no common divisor */
        endings[i] = ending_of(fd, from + at * PART, PART, at * PART);
        iou_write(io, &endings[i].request);
    }
    CU_ASSERT_EQUAL(iou_outstanding(io), COUNT);
    iou_drain(io);
    for (unsigned i = 0; i < COUNT; i++) {
        CU_ASSERT_EQUAL(endings[i].count, 1);
        CU_ASSERT_EQUAL(endings[i].result, PART);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        endings[i] = ending_of(fd, into + i * PART, PART, i * PART);
        iou_read(io, &endings[i].request);
    }
    iou_drain(io);
    CU_ASSERT_EQUAL(memcmp(from, into, sizeof from), 0);
    iou_close(io);
    iou_file_close(fd);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "many"), 0);
}

static void a_sync_waits_for_what_was_before_and_holds_what_comes_after(void)
{
    enum { BEFORE = 40, ALL = 81 };
    static struct ending endings[ALL];
    static uint8_t bytes[64 * 1024];
    struct iou *io = iou_new(16);
    int fd = iou_file_open(scratch.directory, "fence", IOU_CREATE);
    CU_ASSERT_TRUE_FATAL(fd >= 0);

    ending_order = 0;
    for (unsigned i = 0; i < ALL; i++) {
        endings[i] = ending_of(fd, bytes, sizeof bytes, i * sizeof bytes);
        if (i == BEFORE)
            iou_sync(io, &endings[i].request);
        else
            iou_write(io, &endings[i].request);
    }
    iou_drain(io);
    CU_ASSERT_EQUAL(endings[BEFORE].order, BEFORE + 1);
    for (unsigned i = 0; i < ALL; i++) {
        CU_ASSERT_EQUAL(endings[i].order <= BEFORE, i < BEFORE);
        CU_ASSERT_EQUAL(endings[i].count, 1);
    }
    iou_close(io);
    iou_file_close(fd);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "fence"), 0);
}

static void a_step_runs_no_more_than_its_limit(void)
{
    enum { COUNT = 20 };
    struct ending endings[COUNT];
    uint8_t bytes[COUNT][8] = {{0}};
    struct iou *io = iou_new(COUNT);
    int fd = iou_file_open(scratch.directory, "limit", IOU_CREATE);

    CU_ASSERT_EQUAL(iou_step(io, 3), 0);
    for (unsigned i = 0; i < COUNT; i++) {
        endings[i] = ending_of(fd, bytes[i], 8, 8 * i);
        iou_write(io, &endings[i].request);
    }
    unsigned sum = 0;
    for (unsigned turns = 0; sum < COUNT; turns++) {
        unsigned ran = iou_step(io, 3);
        CU_ASSERT_TRUE(ran <= 3);
        sum += ran;
        CU_ASSERT_EQUAL(iou_outstanding(io), COUNT - sum);
        if (ran == 0) usleep(100);
        CU_ASSERT_TRUE_FATAL(turns < 100000);
    }
    CU_ASSERT_EQUAL(iou_wait(io), 0);
    iou_close(io);
    iou_file_close(fd);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "limit"), 0);
}

struct again {
    struct iou_request request; /* first */
    struct iou *io;
    unsigned left;
};

static void again_done(struct iou_request *request, int64_t result)
{
    struct again *again = (struct again *)request;
    CU_ASSERT_EQUAL(result, request->size_bytes);
    request->offset_bytes += request->size_bytes;
    if (again->left-- > 1) iou_write(again->io, request);
}

static void a_callback_may_use_its_request_again(void)
{
    uint8_t bytes[100] = {7};
    struct iou *io = iou_new(2);
    int fd = iou_file_open(scratch.directory, "again", IOU_CREATE);
    struct again again = {
        .request = {.fd = fd, .size_bytes = 100, .from = bytes, .done = again_done},
        .io = io,
        .left = 50};
    iou_write(io, &again.request);
    iou_drain(io);
    CU_ASSERT_EQUAL(again.left, 0);
    CU_ASSERT_EQUAL(iou_file_size(fd), 5000);
    iou_close(io);
    iou_file_close(fd);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "again"), 0);
}

static void errors_of_the_kernel_arrive(void)
{
    uint8_t bytes[4096] = {1};
    int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    CU_ASSERT_TRUE_FATAL(full >= 0);
    CU_ASSERT_EQUAL(iou_one(iou_write, full, bytes, sizeof bytes, 0), -ENOSPC);
    close(full);
    CU_ASSERT_EQUAL(iou_one(iou_write, 9999, bytes, sizeof bytes, 0), -EBADF);
    CU_ASSERT_EQUAL(iou_one(iou_sync, 9999, NULL, 0, 0), -EBADF);

    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(iou_one(iou_write, fd, bytes, sizeof bytes, 0), -EBADF);
    CU_ASSERT_EQUAL(iou_one(iou_sync, fd, NULL, 0, 0), -EINVAL);
    close(fd);
}

/* The kernel writes up to the limit, a short write, and refuses the rest. */
static void a_write_that_gets_half_way_fails(void)
{
    enum { SIZE = 64 * 1024, LIMIT = 40 * 1024 };
    uint8_t *bytes = iou_buffer_open(SIZE);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {LIMIT, LIMIT};
        struct iou *io = NULL;
        signal(SIGXFSZ, SIG_IGN);
        int fd = iou_file_open(scratch.directory, "half", IOU_CREATE);
        if (fd < 0 || setrlimit(RLIMIT_FSIZE, &limit) < 0 || iou_open(&io, 4) < 0) _exit(2);
        struct ending ending = ending_of(fd, bytes, SIZE, 0);
        iou_write(io, &ending.request);
        while (iou_wait(io) > 0) {
        }
        if (ending.result != -EFBIG) _exit(3);
        _exit(iou_file_size(fd) == LIMIT ? 0 : 4);
    }
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "half"), 0);
    iou_buffer_close(bytes, SIZE);
}

static int full_disk(void)
{
    enum { SIZE = 256 * 1024 };
    uint8_t *bytes = iou_buffer_open(SIZE);
    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) return 77;
    if (mkdir("iou-tiny", 0700) < 0 && errno != EEXIST) return 2;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return 77;
    if (mount("tmpfs", "iou-tiny", "tmpfs", 0, "size=128k") < 0) return 77;
    int directory = iou_directory_open("iou-tiny");
    if (iou_publish(directory, "kept", "old", 3) < 0) return 3;

    /* The large one does not fit, says so, and leaves the small one alone. */
    int fd = iou_file_open(directory, "large", IOU_CREATE_DIRECT);
    struct iou *io = NULL;
    if (fd < 0 || iou_open(&io, 4) < 0) return 4;
    struct ending ending = ending_of(fd, bytes, SIZE, 0);
    iou_write(io, &ending.request);
    while (iou_wait(io) > 0) {
    }
    if (ending.result != -ENOSPC) return 5;
    if (iou_publish(directory, "kept", bytes, SIZE) != -ENOSPC) return 6;
    iou_file_close(fd);
    if (iou_directory_remove(directory, "large") < 0) return 7;

    void *loaded = NULL;
    uint64_t size_bytes = 0;
    if (iou_load(directory, "kept", 100, &loaded, &size_bytes) < 0) return 8;
    if (size_bytes != 3 || memcmp(loaded, "old", 3) != 0) return 9;
    return iou_publish(directory, "kept", "new", 3) == 0 ? 0 : 10;
}

static void a_full_disk_fails_the_write_and_nothing_else(void)
{
    pid_t child = fork();
    if (child == 0) _exit(full_disk());
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    rmdir("iou-tiny");
    CU_ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        printf("(no right to mount: not tested) ");
    else
        CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

static void a_child_opens_its_own_while_the_parents_goes_on(void)
{
    static uint8_t bytes[1 << 20];
    struct iou *io = iou_new(8);
    int fd = iou_file_open(scratch.directory, "parent", IOU_CREATE);
    struct ending endings[16];
    for (unsigned i = 0; i < 16; i++) {
        endings[i] = ending_of(fd, bytes, sizeof bytes, i * sizeof bytes);
        iou_write(io, &endings[i].request);
    }
    iou_step(io, 1);
    pid_t child = fork();
    if (child == 0) {
        struct iou *own = NULL;
        int file = iou_file_open(scratch.directory, "child", IOU_CREATE);
        if (file < 0 || iou_open(&own, 8) < 0) _exit(2);
        struct ending ending = ending_of(file, bytes, sizeof bytes, 0);
        iou_write(own, &ending.request);
        while (iou_wait(own) > 0) {
        }
        iou_close(own);
        _exit(ending.result == sizeof bytes ? 0 : 3);
    }
    iou_drain(io);
    for (unsigned i = 0; i < 16; i++) {
        CU_ASSERT_EQUAL(endings[i].count, 1);
        CU_ASSERT_EQUAL(endings[i].result, sizeof bytes);
    }
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    iou_close(io);
    iou_file_close(fd);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "parent"), 0);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "child"), 0);
}

static const CU_TestInfo tests[] = {
    {"what was written is read", what_was_written_is_read},
    {"a read ends where the file ends", a_read_ends_where_the_file_ends},
    {"requests may be many times the depth", requests_may_be_many_times_the_depth},
    {"a sync waits for what was before and holds what comes after",
     a_sync_waits_for_what_was_before_and_holds_what_comes_after},
    {"a step runs no more than its limit", a_step_runs_no_more_than_its_limit},
    {"a callback may use its request again", a_callback_may_use_its_request_again},
    {"errors of the kernel arrive", errors_of_the_kernel_arrive},
    {"a write that gets half way fails", a_write_that_gets_half_way_fails},
    {"a full disk fails the write and nothing else", a_full_disk_fails_the_write_and_nothing_else},
    {"a child opens its own while the parent's goes on",
     a_child_opens_its_own_while_the_parents_goes_on},
    CU_TEST_INFO_NULL,
};

static int suite_uring(void)
{
    unsetenv("PENSTOCK_NO_URING");
    return 0;
}

static int suite_plain(void)
{
    uring_opened = plain_opened = 0;
    return setenv("PENSTOCK_NO_URING", "1", 1);
}

static int suite_plain_end(void)
{
    return uring_opened > 0 || plain_opened == 0; /* else the variable does nothing */
}

int main(void)
{
    const CU_SuiteInfo suites[] = {
        {"io_uring", suite_uring, NULL, NULL, NULL, (CU_TestInfo *)tests},
        {"plain", suite_plain, suite_plain_end, NULL, NULL, (CU_TestInfo *)tests},
        CU_SUITE_INFO_NULL,
    };
    scratch_open(&scratch);
    CHECK(CU_initialize_registry() == CUE_SUCCESS);
    CHECK(CU_register_suites((CU_SuiteInfo *)suites) == CUE_SUCCESS);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_ErrorCode error = CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures() + CU_get_number_of_suites_failed();
    CU_cleanup_registry();
    scratch_close(&scratch);
    return error != CUE_SUCCESS || failures > 0;
}
