/* shm/region: the named shared memory of a job.
 * Method: a directory of its own for each test; owners are children that live, die or are killed at
 * will; a tmpfs that is too small is a real one, mounted in a namespace of its own (skipped without
 * the right to mount). */
#include "shm/region.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/check.h"

static char directory[64];
static char reason[1024];

static int directory_make(void)
{
    strcpy(directory, "/dev/shm/penstock-test-XXXXXX");
    if (!mkdtemp(directory)) return 1;
    return setenv("PENSTOCK_RUN_DIR", directory, 1);
}

static int directory_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command) != 0;
}

static bool says(const char *words)
{
    bool found = strstr(reason, words) != NULL;
    if (!found) fprintf(stderr, "the reason is: %s\n", reason);
    return found;
}

static int create(struct shm_region *region, const char *job, uint64_t size_bytes)
{
    memset(reason, 0, sizeof reason);
    return shm_region_create(region, job, size_bytes, reason, sizeof reason);
}

static int attach(struct shm_region *region, const char *path, bool writable)
{
    memset(reason, 0, sizeof reason);
    return shm_region_attach(region, path, writable, reason, sizeof reason);
}

/* ---- Making one ------------------------------------------------------------------------------ */

static void it_is_a_file_for_its_owner_only(void)
{
    mode_t before = umask(0);
    struct shm_region region;
    CU_ASSERT_EQUAL_FATAL(create(&region, "count-words", 100000), 0);
    umask(before);

    char expected[256];
    snprintf(expected, sizeof expected, "%s/count-words.%d.region", directory, (int)getpid());
    CU_ASSERT_STRING_EQUAL(region.path, expected);
    struct stat stat;
    CU_ASSERT_EQUAL(lstat(region.path, &stat), 0);
    CU_ASSERT_EQUAL(stat.st_mode & 07777, 0600);
    CU_ASSERT_EQUAL((uint64_t)stat.st_size, shm_memory_round_up(100000));
    CU_ASSERT_EQUAL((uint64_t)stat.st_blocks * 512, shm_memory_round_up(100000)); /* all of it */
    shm_region_remove(&region);
    CU_ASSERT_EQUAL(lstat(expected, &stat), -1);
    CU_ASSERT_EQUAL(region.fd, -1);
    CU_ASSERT_PTR_NULL(region.base);
}

static void a_dry_region_tells_how_much_is_needed(void)
{
    struct shm_region regions[2];
    shm_region_dry(&regions[0]);
    shm_offset offsets[2][4];
    for (unsigned i = 0; i < 2; i++) {
        struct shm_region *region = &regions[i];
        offsets[i][0] = shm_region_carve(region, 1, 1);
        offsets[i][1] = shm_region_carve(region, 1000, SHM_CACHELINE);
        offsets[i][2] = shm_region_carve(region, 3, 8);
        offsets[i][3] = shm_region_carve(region, 5000, 4096);
        if (i == 0) CU_ASSERT_EQUAL_FATAL(create(&regions[1], "dry", regions[0].carved_bytes), 0);
    }
    CU_ASSERT_EQUAL(regions[0].carved_bytes, regions[1].carved_bytes);
    CU_ASSERT_EQUAL(regions[0].carved_bytes, 4096 + 5000);
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(offsets[0][i].bytes, offsets[1][i].bytes);
    CU_ASSERT_EQUAL(offsets[1][0].bytes, SHM_REGION_HEADER_BYTES);
    CU_ASSERT_EQUAL(offsets[1][1].bytes % SHM_CACHELINE, 0);

    const char *memory = shm_region_at(&regions[1], offsets[1][3], 5000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    CU_ASSERT_EQUAL((uintptr_t)memory % 4096, 0);
    for (unsigned i = 0; i < 5000; i++)
        if (memory[i] != 0) CU_FAIL("not zeroed");
    shm_region_remove(&regions[1]);
}

static void offsets_are_checked(void)
{
    struct shm_region region;
    CU_ASSERT_EQUAL_FATAL(create(&region, "offsets", 8192), 0);
    CU_ASSERT_PTR_NULL(shm_region_at(&region, (shm_offset){0}, 0)); /* none */
    CU_ASSERT_PTR_NULL(shm_region_at(&region, (shm_offset){SHM_REGION_HEADER_BYTES - 1}, 1));
    CU_ASSERT_PTR_NOT_NULL(shm_region_at(&region, (shm_offset){SHM_REGION_HEADER_BYTES}, 1));
    CU_ASSERT_PTR_NOT_NULL(shm_region_at(&region, (shm_offset){8191}, 1));
    CU_ASSERT_PTR_NULL(shm_region_at(&region, (shm_offset){8191}, 2));
    CU_ASSERT_PTR_NOT_NULL(shm_region_at(&region, (shm_offset){8192}, 0));
    CU_ASSERT_PTR_NULL(shm_region_at(&region, (shm_offset){8193}, 0));
    CU_ASSERT_PTR_NULL(shm_region_at(&region, (shm_offset){4096}, UINT64_MAX));
    CU_ASSERT_PTR_NULL(shm_region_at(&region, (shm_offset){UINT64_MAX}, 1));
    shm_region_remove(&region);
}

static void names_of_jobs_are_checked(void)
{
    const char *bad[] = {
        "",        ".",        "..",
        ".hidden", "a/b",      "a b",
        "a\n",     "\xc3\xa4", "a234567890123456789012345678901234567890123456789012345678901234"};
    struct shm_region region;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        CU_ASSERT_EQUAL(create(&region, bad[i], 4096), -EINVAL);
        CU_ASSERT_TRUE(says("cannot be a job's name"));
    }
    CU_ASSERT_EQUAL(create(&region, "A-1_b.2", 4096), 0);
    shm_region_remove(&region);
}

static void a_second_one_of_the_same_name_is_refused(void)
{
    struct shm_region region, other;
    CU_ASSERT_EQUAL_FATAL(create(&region, "twice", 4096), 0);
    CU_ASSERT_EQUAL(create(&other, "twice", 4096), -EEXIST);
    CU_ASSERT_TRUE(says("in use"));
    shm_region_close(&region); /* the file stays, as if an earlier process had had this pid */
    CU_ASSERT_EQUAL(create(&other, "twice", 4096), 0);
    shm_region_remove(&other);
}

/* ---- The directory --------------------------------------------------------------------------- */

static int ask_directory(const char *wanted, char *path)
{
    setenv("PENSTOCK_RUN_DIR", wanted, 1);
    memset(reason, 0, sizeof reason);
    int result = shm_region_directory(path, 256, reason, sizeof reason);
    setenv("PENSTOCK_RUN_DIR", directory, 1);
    return result;
}

static void the_directory_is_made_and_must_be_ours(void)
{
    char wanted[256], path[256], target[256];
    struct stat stat;
    mode_t before = umask(0);
    snprintf(wanted, sizeof wanted, "%s/sub", directory);
    CU_ASSERT_EQUAL(ask_directory(wanted, path), 0);
    umask(before);
    CU_ASSERT_EQUAL(lstat(path, &stat), 0);
    CU_ASSERT_EQUAL(stat.st_mode & 07777, 0700);

    chmod(wanted, 0750);
    CU_ASSERT_EQUAL(ask_directory(wanted, path), -EPERM);
    CU_ASSERT_TRUE(says("open to others (mode 0750)"));
    chmod(wanted, 0700);

    snprintf(target, sizeof target, "%s/link", directory);
    CU_ASSERT_EQUAL(symlink(wanted, target), 0);
    CU_ASSERT_EQUAL(ask_directory(target, path), -EPERM);
    CU_ASSERT_TRUE(says("symbolic link"));
    strcat(target, "//"); /* which would follow it */
    CU_ASSERT_EQUAL(ask_directory(target, path), -EPERM);

    snprintf(target, sizeof target, "%s/missing/sub", directory);
    CU_ASSERT_EQUAL(ask_directory(target, path), -ENOENT);
    CU_ASSERT_TRUE(says("cannot make the directory"));

    char longest[400];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    CU_ASSERT_EQUAL(ask_directory(longest, path), -ENAMETOOLONG);

    if (geteuid() == 0) {
        CU_ASSERT_EQUAL(chown(wanted, 65534, 65534), 0);
        CU_ASSERT_EQUAL(ask_directory(wanted, path), -EPERM);
        CU_ASSERT_TRUE(says("belongs to user 65534"));
    }
}

static void without_the_variable_it_is_on_dev_shm(void)
{
    char path[256], expected[64];
    unsetenv("PENSTOCK_RUN_DIR");
    snprintf(expected, sizeof expected, "/dev/shm/penstock-%u", geteuid());
    bool there = access(expected, F_OK) == 0;
    CU_ASSERT_EQUAL(shm_region_directory(path, sizeof path, reason, sizeof reason), 0);
    CU_ASSERT_STRING_EQUAL(path, expected);
    if (!there) rmdir(expected);
    setenv("PENSTOCK_RUN_DIR", directory, 1);
}

/* ---- Attaching ------------------------------------------------------------------------------- */

static void attaching_has_three_answers(void)
{
    struct shm_region region, tool;
    CU_ASSERT_EQUAL(attach(&tool, "/dev/shm/no-such-region", false), -ENOENT);
    CU_ASSERT_TRUE(says("no-such-region"));

    CU_ASSERT_EQUAL_FATAL(create(&region, "answers", 20000), 0);
    CU_ASSERT_EQUAL(attach(&tool, region.path, false), -EAGAIN);
    CU_ASSERT_TRUE(says("not ready"));
    shm_offset root = shm_region_carve(&region, 100, 8);
    strcpy(shm_region_at(&region, root, 100), "hello");
    CU_ASSERT_EQUAL(attach(&tool, region.path, false), -EAGAIN);
    shm_region_publish(&region, root);

    CU_ASSERT_EQUAL_FATAL(attach(&tool, region.path, false), 0);
    CU_ASSERT_STRING_EQUAL(shm_region_root(&tool, 100), "hello");
    CU_ASSERT_EQUAL(tool.carved_bytes, region.carved_bytes);
    CU_ASSERT_STRING_EQUAL(shm_region_header(&tool)->job, "answers");
    CU_ASSERT_EQUAL(shm_region_header(&tool)->owner_pid, (uint64_t)getpid());
    strcpy(shm_region_at(&region, root, 100), "again"); /* it is the same memory */
    CU_ASSERT_STRING_EQUAL(shm_region_root(&tool, 100), "again");
    shm_region_close(&tool);
    CU_ASSERT_EQUAL(access(region.path, F_OK), 0); /* closing removes nothing */

    CU_ASSERT_EQUAL_FATAL(attach(&tool, region.path, true), 0);
    strcpy(shm_region_root(&tool, 100), "tool");
    CU_ASSERT_STRING_EQUAL(shm_region_root(&region, 100), "tool");
    shm_region_close(&tool);
    shm_region_remove(&region);
}

static void strangers_and_damage_are_refused(void)
{
    struct shm_region region, tool;
    CU_ASSERT_EQUAL_FATAL(create(&region, "damage", 20000), 0);
    shm_region_publish(&region, shm_region_carve(&region, 8, 8));
    struct shm_region_header *header = shm_region_header(&region);
    struct shm_region_header good = *header;

    struct {
        void *field;
        uint64_t value;
    } damages[] = {
        {&header->magic, 7},
        {&header->layout, shm_region_layout() + 1},
        {&header->size_bytes, good.size_bytes + 4096},
        {&header->size_bytes, 0},
        {&header->carved_bytes, good.size_bytes + 1},
        {&header->root, good.size_bytes},
    };
    for (unsigned i = 0; i < sizeof damages / sizeof *damages; i++) {
        uint64_t before;
        memcpy(&before, damages[i].field, 8);
        memcpy(damages[i].field, &damages[i].value, 8);
        CU_ASSERT_EQUAL(attach(&tool, region.path, false), -EPROTO);
        CU_ASSERT_TRUE(says("another version"));
        memcpy(damages[i].field, &before, 8);
    }
    memset(header->job, 'x', sizeof header->job);
    CU_ASSERT_EQUAL(attach(&tool, region.path, false), -EPROTO);
    memcpy(header->job, good.job, sizeof good.job);
    CU_ASSERT_EQUAL(attach(&tool, region.path, false), 0);
    shm_region_close(&tool);

    CU_ASSERT_EQUAL(truncate(region.path, 100), 0); /* no header: as before it was made */
    CU_ASSERT_EQUAL(attach(&tool, region.path, false), -EAGAIN);
    CU_ASSERT_EQUAL(truncate(region.path, (off_t)good.size_bytes), 0);
    shm_region_remove(&region);
    CU_ASSERT_EQUAL(attach(&tool, directory, false), -EPROTO); /* no file at all */
}

static void a_tool_cannot_write_by_mistake(void)
{
    struct shm_region region, tool;
    CU_ASSERT_EQUAL_FATAL(create(&region, "readonly", 20000), 0);
    shm_region_publish(&region, shm_region_carve(&region, 8, 8));
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        if (attach(&tool, region.path, false) == 0) *(volatile char *)shm_region_root(&tool, 8) = 1;
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    CU_ASSERT_TRUE(WIFSIGNALED(status));
    CU_ASSERT_EQUAL(WTERMSIG(status), SIGSEGV);
    shm_region_remove(&region);
}

/* ---- Dead or alive --------------------------------------------------------------------------- */

struct found {
    unsigned count, alive, ready;
    int pid;
    char job[SHM_REGION_JOB_BYTES];
};

static bool count_regions(const struct shm_region_entry *entry, void *arg)
{
    struct found *found = arg;
    found->count++;
    found->alive += entry->alive;
    found->ready += entry->ready;
    found->pid = entry->pid;
    strcpy(found->job, entry->job);
    return true;
}

static struct found list(void)
{
    struct found found = {0};
    int count = shm_region_list(directory, count_regions, &found);
    CU_ASSERT_EQUAL(count, (int)found.count);
    return found;
}

/* A child that owns a region, and a grandchild that inherited it. Both wait to be killed. */
static pid_t start_owner(const char *job, pid_t *worker)
{
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pid_t owner = fork();
    if (owner == 0) {
        struct shm_region region;
        CHECK(create(&region, job, 10000) == 0);
        shm_region_publish(&region, shm_region_carve(&region, 8, 8));
        pid_t child = fork();
        if (child == 0)
            for (;;)
                pause();
        CHECK(write(ends[1], &child, sizeof child) == sizeof child);
        for (;;)
            pause();
    }
    close(ends[1]);
    CU_ASSERT_EQUAL_FATAL(read(ends[0], worker, sizeof *worker), sizeof *worker);
    close(ends[0]);
    return owner;
}

/* The grandchild is not ours to wait for; its lock goes while it dies. */
static bool becomes_stale(void)
{
    for (unsigned i = 0; i < 2000 && list().alive > 0; i++)
        usleep(1000);
    return list().alive == 0;
}

static void a_region_lives_as_long_as_any_process_of_its_job(void)
{
    pid_t worker;
    pid_t owner = start_owner("job.v2", &worker);
    struct found found = list();
    CU_ASSERT_EQUAL(found.count, 1);
    CU_ASSERT_EQUAL(found.alive, 1);
    CU_ASSERT_EQUAL(found.ready, 1);
    CU_ASSERT_EQUAL(found.pid, owner);
    CU_ASSERT_STRING_EQUAL(found.job, "job.v2");
    CU_ASSERT_EQUAL(shm_region_sweep(directory), 0);

    kill(owner, SIGKILL);
    waitpid(owner, NULL, 0);
    CU_ASSERT_EQUAL(list().alive, 1); /* its worker still has it */
    CU_ASSERT_EQUAL(shm_region_sweep(directory), 0);

    kill(worker, SIGKILL);
    CU_ASSERT_TRUE(becomes_stale());
    CU_ASSERT_EQUAL(list().count, 1); /* there for a look at what happened */
    CU_ASSERT_EQUAL(shm_region_sweep(directory), 1);
    CU_ASSERT_EQUAL(list().count, 0);
}

static void a_region_that_never_became_ready_is_swept_too(void)
{
    pid_t owner = fork();
    if (owner == 0) {
        struct shm_region region;
        CHECK(create(&region, "unready", 10000) == 0);
        _exit(0);
    }
    waitpid(owner, NULL, 0);
    struct found found = list();
    CU_ASSERT_EQUAL(found.count, 1);
    CU_ASSERT_EQUAL(found.ready, 0);
    CU_ASSERT_EQUAL(found.alive, 0);
    CU_ASSERT_EQUAL(shm_region_sweep(directory), 1);
}

static void only_regions_are_listed_and_swept(void)
{
    static const char *names[] = {"notes.txt",   ".region",      "a.region", "a..region",
                                  "a.1b.region", ".a.12.region", "12.region"};
    char path[256];
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        close(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    }
    snprintf(path, sizeof path, "%s/dir.12.region", directory);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/link.12.region", directory);
    CU_ASSERT_EQUAL(symlink("/etc/passwd", path), 0);
    CU_ASSERT_EQUAL(list().count, 0);
    CU_ASSERT_EQUAL(shm_region_sweep(directory), 0);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        CU_ASSERT_EQUAL(unlink(path), 0); /* still there */
    }
    CU_ASSERT_EQUAL(shm_region_list("/no/such/directory", count_regions, NULL), -ENOENT);
}

/* Creators against sweepers: every region that was made is there as long as its owner lives. */
static void sweepers_do_not_take_what_is_being_made(void)
{
    pid_t sweeper = fork();
    if (sweeper == 0)
        for (;;)
            shm_region_sweep(directory);
    unsigned lost = 0;
    for (unsigned i = 0; i < 2000; i++) {
        struct shm_region region;
        if (create(&region, "contended", 5000) != 0) {
            lost++;
            continue;
        }
        struct stat ours, named;
        if (fstat(region.fd, &ours) != 0 || stat(region.path, &named) != 0 ||
            ours.st_ino != named.st_ino)
            lost++;
        shm_region_remove(&region);
    }
    CU_ASSERT_EQUAL(lost, 0);
    kill(sweeper, SIGKILL);
    waitpid(sweeper, NULL, 0);
    CU_ASSERT_EQUAL(list().count, 0);
}

/* ---- A small tmpfs --------------------------------------------------------------------------- */

static int create_on_small_tmpfs(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", directory, "tmpfs", 0, "size=1m,mode=0700") != 0)
        return 77;
    struct shm_region region;
    if (create(&region, "large", 4 << 20) != -ENOSPC) return 1;
    if (!says("needs 4.0 MiB, and 1.0 MiB are free") || !says("PENSTOCK_RUN_DIR")) return 2;
    if (shm_region_list(directory, count_regions, &(struct found){0}) != 0) return 3;

    /* One that fits can be written to its last byte, whatever else then fills the tmpfs. */
    if (create(&region, "fits", 900 * 1024) != 0) return 4;
    struct shm_region other;
    if (create(&other, "second", 900 * 1024) != -ENOSPC) return 5;
    memset(region.base + SHM_REGION_HEADER_BYTES, 1, region.size_bytes - SHM_REGION_HEADER_BYTES);
    shm_region_remove(&region);
    return create(&other, "second", 900 * 1024) == 0 ? 0 : 6;
}

static void too_small_a_tmpfs_is_told(void)
{
    pid_t child = fork();
    if (child == 0) _exit(create_on_small_tmpfs());
    int status;
    waitpid(child, &status, 0);
    CU_ASSERT_TRUE_FATAL(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        fprintf(stderr, "(skipped: no right to mount) ");
    else
        CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"it is a file for its owner only", it_is_a_file_for_its_owner_only},
        {"a dry region tells how much is needed", a_dry_region_tells_how_much_is_needed},
        {"offsets are checked", offsets_are_checked},
        {"names of jobs are checked", names_of_jobs_are_checked},
        {"a second one of the same name is refused", a_second_one_of_the_same_name_is_refused},
        {"the directory is made and must be ours", the_directory_is_made_and_must_be_ours},
        {"without the variable it is on /dev/shm", without_the_variable_it_is_on_dev_shm},
        {"attaching has three answers", attaching_has_three_answers},
        {"strangers and damage are refused", strangers_and_damage_are_refused},
        {"a tool cannot write by mistake", a_tool_cannot_write_by_mistake},
        {"a region lives as long as any process of its job",
         a_region_lives_as_long_as_any_process_of_its_job},
        {"a region that never became ready is swept too",
         a_region_that_never_became_ready_is_swept_too},
        {"only regions are listed and swept", only_regions_are_listed_and_swept},
        {"sweepers do not take what is being made", sweepers_do_not_take_what_is_being_made},
        {"too small a tmpfs is told", too_small_a_tmpfs_is_told},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"shm/region", directory_make, directory_remove, NULL, NULL, tests},
                             CU_SUITE_INFO_NULL};
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
