/* Files that are hidden until they are whole: nothing before, everything after, nothing left
 * behind. */
#include "engine/connector/outfile.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/connector_scratch.h"

static void put(struct eng_outfile *file, const char *text)
{
    struct eng_reason reason;
    eng_text_out_put(&file->buffer, text, strlen(text));
    CU_ASSERT_EQUAL(eng_outfile_written(file, &reason), 0);
}

static bool file_is(const char *path, const char *wanted)
{
    char *bytes = scratch_read(path, NULL);
    bool same = bytes && strcmp(bytes, wanted) == 0;
    free(bytes);
    return same;
}

static void a_file_is_shown_whole_or_not_at_all(void)
{
    struct eng_outfile file;
    struct eng_reason reason;

    mkdir(scratch_name("a"), 0777);
    CU_ASSERT_EQUAL_FATAL(
        eng_outfile_open(&file, scratch_name("a"), "out.csv", "run1", false, &reason), 0);
    put(&file, "one\n");
    CU_ASSERT_NOT_EQUAL(access(scratch_name("a/out.csv"), F_OK), 0);
    put(&file, "two\n");
    CU_ASSERT_EQUAL(file.size_bytes, 8);
    CU_ASSERT_EQUAL(eng_outfile_show(&file, &reason), 0);
    CU_ASSERT_FALSE(eng_outfile_is_open(&file));
    CU_ASSERT_TRUE(file_is(scratch_name("a/out.csv"), "one\ntwo\n"));
    CU_ASSERT_EQUAL(scratch_count(scratch_name("a")), 1);

    CU_ASSERT_EQUAL_FATAL(
        eng_outfile_open(&file, scratch_name("a"), "gone.csv", "run1", false, &reason), 0);
    put(&file, "never seen\n");
    eng_outfile_discard(&file);
    CU_ASSERT_EQUAL(scratch_count(scratch_name("a")), 1);
}

static void large_files_go_out_in_pieces(void)
{
    struct eng_outfile file;
    struct eng_reason reason;
    char piece[10001];
    size_t size_bytes = 0;

    memset(piece, 'y', sizeof piece - 1);
    piece[sizeof piece - 1] = '\0';
    mkdir(scratch_name("b"), 0777);
    CU_ASSERT_EQUAL_FATAL(
        eng_outfile_open(&file, scratch_name("b"), "large", "run1", false, &reason), 0);
    for (unsigned i = 0; i < 2500; i++) { /* 25 MB */
        put(&file, piece);
        CU_ASSERT(file.buffer.size_bytes < ENG_OUTFILE_BUFFER_BYTES);
    }
    CU_ASSERT_EQUAL(eng_outfile_show(&file, &reason), 0);
    char *bytes = scratch_read(scratch_name("b/large"), &size_bytes);
    CU_ASSERT_EQUAL(size_bytes, 25000000);
    CU_ASSERT(bytes && strspn(bytes, "y") == size_bytes);
    free(bytes);
}

static void an_earlier_file_is_kept_or_replaced_as_asked(void)
{
    struct eng_outfile file;
    struct eng_reason reason;

    mkdir(scratch_name("c"), 0777);
    scratch_write("c/out", "old");
    CU_ASSERT_EQUAL_FATAL(eng_outfile_open(&file, scratch_name("c"), "out", "run2", false, &reason),
                          0);
    put(&file, "new");
    CU_ASSERT_EQUAL(eng_outfile_show(&file, &reason), -EEXIST);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "c/out"));
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "earlier run"));
    eng_outfile_discard(&file);
    CU_ASSERT_TRUE(file_is(scratch_name("c/out"), "old"));

    CU_ASSERT_EQUAL_FATAL(eng_outfile_open(&file, scratch_name("c"), "out", "run2", true, &reason),
                          0);
    put(&file, "new");
    CU_ASSERT_TRUE(file_is(scratch_name("c/out"), "old"));
    CU_ASSERT_EQUAL(eng_outfile_show(&file, &reason), 0);
    CU_ASSERT_TRUE(file_is(scratch_name("c/out"), "new"));
    CU_ASSERT_EQUAL(scratch_count(scratch_name("c")), 1);
}

/* Where files must have names: the same, with a hidden one. */
static void named_files_are_hidden_and_removed(void)
{
    struct eng_outfile file;
    struct eng_reason reason;

    for (unsigned replaces = 0; replaces < 2; replaces++) {
        mkdir(scratch_name("d"), 0777);
        CU_ASSERT_EQUAL_FATAL(
            eng_outfile_open(&file, scratch_name("d"), "out", "run3", replaces, &reason), 0);
        /* As outfile_create leaves it on such a file system. */
        close(file.fd);
        file.hidden = strdup(".out.run3.tmp");
        file.fd = openat(file.directory_fd, file.hidden, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        put(&file, "text");
        CU_ASSERT_NOT_EQUAL(access(scratch_name("d/out"), F_OK), replaces ? -1 : 0);
        CU_ASSERT_EQUAL(eng_outfile_show(&file, &reason), 0);
        CU_ASSERT_TRUE(file_is(scratch_name("d/out"), "text"));
        CU_ASSERT_EQUAL(scratch_count(scratch_name("d")), 1);
    }
}

static void a_full_disk_is_told_and_leaves_nothing(void)
{
    struct rlimit before, small = {1 << 20, 1 << 20};
    struct eng_outfile file;
    struct eng_reason reason;
    int result = 0;

    /* A limit on the size of files stands for the disk: the write fails in the same place. */
    signal(SIGXFSZ, SIG_IGN);
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    mkdir(scratch_name("e"), 0777);
    CU_ASSERT_EQUAL_FATAL(eng_outfile_open(&file, scratch_name("e"), "out", "run4", false, &reason),
                          0);
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (unsigned i = 0; i < 3000 && result == 0; i++) {
        char *room = eng_text_out_reserve(&file.buffer, 1000);
        memset(room, 'z', 1000);
        file.buffer.size_bytes += 1000;
        result = eng_outfile_written(&file, &reason);
    }
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &before), 0);
    CU_ASSERT_EQUAL(result, -EFBIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "e/out"));
    CU_ASSERT_EQUAL(eng_outfile_written(&file, &reason), -EFBIG); /* it stays failed */
    CU_ASSERT_EQUAL(eng_outfile_show(&file, &reason), -EFBIG);
    eng_outfile_discard(&file);
    CU_ASSERT_EQUAL(scratch_count(scratch_name("e")), 0);
}

static void a_process_that_is_killed_leaves_nothing(void)
{
    mkdir(scratch_name("f"), 0777);
    pid_t child = fork();
    if (child == 0) {
        struct eng_outfile file;
        struct eng_reason reason;
        if (eng_outfile_open(&file, scratch_name("f"), "out", "run5", false, &reason) == 0)
            for (unsigned i = 0; i < 100000; i++) {
                eng_text_out_put(&file.buffer, "0123456789", 10);
                eng_outfile_written(&file, &reason);
            }
        raise(SIGKILL);
    }
    CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
    CU_ASSERT_EQUAL(scratch_count(scratch_name("f")), 0);
}

static void what_cannot_be_written_says_why(void)
{
    struct eng_outfile file;
    struct eng_reason reason;

    CU_ASSERT_EQUAL(eng_outfile_open(&file, scratch_name("no/such"), "out", "run6", false, &reason),
                    -ENOENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "no/such/out"));
    CU_ASSERT_FALSE(eng_outfile_is_open(&file));
    scratch_write("plain", "");
    CU_ASSERT_EQUAL(eng_outfile_open(&file, scratch_name("plain"), "out", "run6", false, &reason),
                    -ENOTDIR);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/outfile", scratch_open, scratch_close);
    CU_ADD_TEST(suite, a_file_is_shown_whole_or_not_at_all);
    CU_ADD_TEST(suite, large_files_go_out_in_pieces);
    CU_ADD_TEST(suite, an_earlier_file_is_kept_or_replaced_as_asked);
    CU_ADD_TEST(suite, named_files_are_hidden_and_removed);
    CU_ADD_TEST(suite, a_full_disk_is_told_and_leaves_nothing);
    CU_ADD_TEST(suite, a_process_that_is_killed_leaves_nothing);
    CU_ADD_TEST(suite, what_cannot_be_written_says_why);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
