/* iouring/file: names, and replacing a file so that readers never see half of it. What is durable
 * when is shown on the simulated disk (sim_iouring_disk_test); here the calls do what they say. */
#include "iouring/file.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/iouring_scratch.h"

static struct scratch scratch;

static bool is_there(const char *name)
{
    return faccessat(scratch.directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void a_new_file_must_be_new(void)
{
    int fd = iou_file_open(scratch.directory, "new", IOU_CREATE);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(iou_file_open(scratch.directory, "new", IOU_CREATE), -EEXIST);
    CU_ASSERT_EQUAL(iou_file_open(scratch.directory, "new", IOU_CREATE_DIRECT), -EEXIST);
    CU_ASSERT_TRUE(is_there("new"));
    struct stat status;
    CU_ASSERT_EQUAL(fstat(fd, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 0777, 0600);
    iou_file_close(fd);
    CU_ASSERT_EQUAL(iou_file_open(scratch.directory, "absent", IOU_READ), -ENOENT);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "new"), 0);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "new"), -ENOENT);
}

static void a_link_is_not_followed(void)
{
    CU_ASSERT_EQUAL(symlinkat("/etc/passwd", scratch.directory, "link"), 0);
    CU_ASSERT_EQUAL(iou_file_open(scratch.directory, "link", IOU_READ), -ELOOP);
    CU_ASSERT_EQUAL(iou_directory_lock(scratch.directory, "link"), -ELOOP);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "link"), 0);
}

static void blocking_reads_and_writes_do_all_or_fail(void)
{
    char bytes[10] = "";
    int fd = iou_file_open(scratch.directory, "all", IOU_CREATE);
    CU_ASSERT_EQUAL(iou_file_write(fd, "0123456789", 10, 5), 0);
    CU_ASSERT_EQUAL(iou_file_size(fd), 15);
    CU_ASSERT_EQUAL(iou_file_read(fd, bytes, 10, 5), 0);
    CU_ASSERT_EQUAL(memcmp(bytes, "0123456789", 10), 0);
    CU_ASSERT_EQUAL(iou_file_read(fd, bytes, 10, 6), -EIO);
    CU_ASSERT_EQUAL(iou_file_resize(fd, 7), 0);
    CU_ASSERT_EQUAL(iou_file_size(fd), 7);
    CU_ASSERT_EQUAL(iou_file_sync(fd), 0);
    iou_file_close(fd);
    iou_file_close(-1);

    int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    CU_ASSERT_EQUAL(iou_file_write(full, bytes, 10, 0), -ENOSPC);
    close(full);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "all"), 0);
}

static void publishing_replaces_the_whole_file(void)
{
    void *bytes = NULL;
    uint64_t size_bytes = 0;
    static char large[100000];
    memset(large, 'x', sizeof large);

    CU_ASSERT_EQUAL(iou_publish(scratch.directory, "manifest", large, sizeof large), 0);
    CU_ASSERT_EQUAL(iou_publish(scratch.directory, "manifest", "short", 5), 0);
    CU_ASSERT_EQUAL_FATAL(iou_load(scratch.directory, "manifest", 100, &bytes, &size_bytes), 0);
    CU_ASSERT_EQUAL(size_bytes, 5);
    CU_ASSERT_EQUAL(memcmp(bytes, "short", 5), 0);
    free(bytes);
    CU_ASSERT_FALSE(is_there("manifest" IOU_TEMPORARY));

    CU_ASSERT_EQUAL(iou_publish(scratch.directory, "manifest", "", 0), 0);
    CU_ASSERT_EQUAL(iou_load(scratch.directory, "manifest", 0, &bytes, &size_bytes), 0);
    CU_ASSERT_EQUAL(size_bytes, 0);
    free(bytes);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "manifest"), 0);
}

static void publishing_goes_past_what_a_crash_left(void)
{
    void *bytes = NULL;
    uint64_t size_bytes = 0;
    int fd = iou_file_open(scratch.directory, "m" IOU_TEMPORARY, IOU_CREATE);
    CU_ASSERT_EQUAL(iou_file_write(fd, "half of a very long thing", 25, 0), 0);
    iou_file_close(fd);
    CU_ASSERT_EQUAL(iou_publish(scratch.directory, "m", "whole", 5), 0);
    CU_ASSERT_EQUAL_FATAL(iou_load(scratch.directory, "m", 100, &bytes, &size_bytes), 0);
    CU_ASSERT_EQUAL(size_bytes, 5);
    free(bytes);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "m"), 0);
}

static void a_failed_publishing_leaves_the_old_file(void)
{
    void *bytes = NULL;
    uint64_t size_bytes = 0;
    CU_ASSERT_EQUAL(iou_publish(scratch.directory, "m", "old", 3), 0);

    /* The temporary name is taken by what cannot be removed. */
    int inner = iou_directory_make_in(scratch.directory, "m" IOU_TEMPORARY);
    iou_file_close(iou_file_open(inner, "x", IOU_CREATE));
    CU_ASSERT_EQUAL(iou_publish(scratch.directory, "m", "new", 3), -ENOTEMPTY);
    CU_ASSERT_EQUAL_FATAL(iou_load(scratch.directory, "m", 3, &bytes, &size_bytes), 0);
    CU_ASSERT_EQUAL(memcmp(bytes, "old", 3), 0);
    free(bytes);
    CU_ASSERT_EQUAL(iou_directory_remove(inner, "x"), 0);
    iou_file_close(inner);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "m" IOU_TEMPORARY), 0);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "m"), 0);

    char name[IOU_NAME_BYTES];
    memset(name, 'n', sizeof name);
    name[IOU_NAME_BYTES - 1] = 0;
    CU_ASSERT_EQUAL(iou_publish(scratch.directory, name, "new", 3), -ENAMETOOLONG);
}

static void loading_is_bounded(void)
{
    void *bytes = &scratch;
    uint64_t size_bytes = 77;
    CU_ASSERT_EQUAL(iou_publish(scratch.directory, "big", "0123456789", 10), 0);
    CU_ASSERT_EQUAL(iou_load(scratch.directory, "big", 9, &bytes, &size_bytes), -EFBIG);
    CU_ASSERT_EQUAL(iou_load(scratch.directory, "absent", 9, &bytes, &size_bytes), -ENOENT);
    CU_ASSERT_PTR_EQUAL(bytes, &scratch);
    CU_ASSERT_EQUAL(size_bytes, 77);
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "big"), 0);
}

static bool list_append(const char *name, void *arg)
{
    strcat(strcat(arg, name), " ");
    return strcmp(name, "c") != 0;
}

static void names_are_listed_in_order(void)
{
    char text[64] = "";
    const char *const names[] = {"d", "b", "c", "a"};
    int inner = iou_directory_make_in(scratch.directory, "list");
    CU_ASSERT_TRUE_FATAL(inner >= 0);
    for (unsigned i = 0; i < 4; i++)
        iou_file_close(iou_file_open(inner, names[i], IOU_CREATE));
    CU_ASSERT_EQUAL(iou_directory_list(inner, list_append, text), 0);
    CU_ASSERT_STRING_EQUAL(text, "a b c ");
    text[0] = 0;
    CU_ASSERT_EQUAL(iou_directory_rename(inner, "b", "a"), 0);
    CU_ASSERT_EQUAL(iou_directory_list(inner, list_append, text), 0);
    CU_ASSERT_STRING_EQUAL(text, "a c ");
    CU_ASSERT_EQUAL(iou_directory_remove(scratch.directory, "list"), -ENOTEMPTY);
    scratch_remove("list", &scratch.directory);
    iou_file_close(inner);
}

static void directories_are_made_with_those_above(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/deep/er/est//", scratch.path);
    for (unsigned i = 0; i < 2; i++) {
        int fd = iou_directory_make(path);
        CU_ASSERT_TRUE_FATAL(fd >= 0);
        CU_ASSERT_EQUAL(iou_directory_sync(fd), 0);
        CU_ASSERT_TRUE(iou_directory_free_bytes(fd) > 0);
        iou_file_close(fd);
    }
    CU_ASSERT_TRUE(is_there("deep/er/est"));
    iou_file_close(iou_file_open(scratch.directory, "file", IOU_CREATE));
    snprintf(path, sizeof path, "%s/file/below", scratch.path);
    CU_ASSERT_EQUAL(iou_directory_make(path), -ENOTDIR);
    CU_ASSERT_EQUAL(iou_directory_open("/absent/directory"), -ENOENT);
    CU_ASSERT_EQUAL(iou_directory_open_in(scratch.directory, "file"), -ENOTDIR);
    CU_ASSERT_EQUAL(iou_directory_make_in(scratch.directory, "file"), -ENOTDIR);
}

static void a_lock_is_given_back_by_death(void)
{
    int lock = iou_directory_lock(scratch.directory, "lock");
    CU_ASSERT_TRUE_FATAL(lock >= 0);
    CU_ASSERT_EQUAL(iou_directory_lock(scratch.directory, "lock"), -EWOULDBLOCK);
    iou_file_close(lock);

    int ready[2];
    CU_ASSERT_EQUAL(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        if (iou_directory_lock(scratch.directory, "lock") < 0) _exit(2);
        if (write(ready[1], "r", 1) != 1) _exit(3);
        for (;;)
            pause();
    }
    char byte;
    CU_ASSERT_EQUAL(read(ready[0], &byte, 1), 1);
    CU_ASSERT_EQUAL(iou_directory_lock(scratch.directory, "lock"), -EWOULDBLOCK);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    lock = iou_directory_lock(scratch.directory, "lock");
    CU_ASSERT_TRUE(lock >= 0);
    iou_file_close(lock);
    close(ready[0]);
    close(ready[1]);
}

int main(void)
{
    scratch_open(&scratch);
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("iouring/file", NULL, NULL);
    CU_ADD_TEST(suite, a_new_file_must_be_new);
    CU_ADD_TEST(suite, a_link_is_not_followed);
    CU_ADD_TEST(suite, blocking_reads_and_writes_do_all_or_fail);
    CU_ADD_TEST(suite, publishing_replaces_the_whole_file);
    CU_ADD_TEST(suite, publishing_goes_past_what_a_crash_left);
    CU_ADD_TEST(suite, a_failed_publishing_leaves_the_old_file);
    CU_ADD_TEST(suite, loading_is_bounded);
    CU_ADD_TEST(suite, names_are_listed_in_order);
    CU_ADD_TEST(suite, directories_are_made_with_those_above);
    CU_ADD_TEST(suite, a_lock_is_given_back_by_death);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    scratch_close(&scratch);
    return failures > 0;
}
