/* What a path stands for, and where files may be cut. */
#include "engine/connector/files.h"

#include <CUnit/Basic.h>
#include <errno.h>

#include "tests/connector_scratch.h"

static void a_file_stands_for_itself(void)
{
    struct eng_files files;
    struct eng_reason reason;
    const char *path = scratch_write("one", "12345");

    CU_ASSERT_EQUAL_FATAL(eng_files_open(&files, path, &reason), 0);
    CU_ASSERT_EQUAL(files.count, 1);
    CU_ASSERT_STRING_EQUAL(files.files[0].path, path);
    CU_ASSERT_EQUAL(files.files[0].size_bytes, 5);
    CU_ASSERT_FALSE(files.is_directory);
    eng_files_close(&files);
    CU_ASSERT_PTR_NULL(files.files);
}

static void a_directory_stands_for_its_regular_visible_files_sorted(void)
{
    struct eng_files files;
    struct eng_reason reason;

    mkdir(scratch_name("many"), 0777);
    mkdir(scratch_name("many/inner"), 0777);
    scratch_write("many/inner/deep", "x");
    scratch_write("many/.hidden", "x");
    scratch_write("many/c", "ccc");
    scratch_write("many/a", "a");
    scratch_write("many/b", "bb");
    CU_ASSERT_EQUAL(mkfifo(scratch_name("many/pipe"), 0600), 0);
    CU_ASSERT_EQUAL(symlink("a", scratch_name("many/d")), 0);

    for (unsigned slash = 0; slash < 2; slash++) {
        CU_ASSERT_EQUAL_FATAL(
            eng_files_open(&files, scratch_name(slash ? "many/" : "many"), &reason), 0);
        CU_ASSERT_TRUE(files.is_directory);
        CU_ASSERT_EQUAL_FATAL(files.count, 4);
        CU_ASSERT_STRING_EQUAL(files.files[0].path, scratch_name("many/a"));
        CU_ASSERT_STRING_EQUAL(files.files[1].path, scratch_name("many/b"));
        CU_ASSERT_STRING_EQUAL(files.files[2].path, scratch_name("many/c"));
        CU_ASSERT_STRING_EQUAL(files.files[3].path, scratch_name("many/d"));
        CU_ASSERT_EQUAL(files.files[2].size_bytes, 3);
        eng_files_close(&files);
    }
}

static void a_pattern_stands_for_the_files_that_match(void)
{
    struct eng_files files;
    struct eng_reason reason;

    CU_ASSERT_EQUAL_FATAL(eng_files_open(&files, scratch_name("many/[bc]"), &reason), 0);
    CU_ASSERT_EQUAL_FATAL(files.count, 2);
    CU_ASSERT_STRING_EQUAL(files.files[1].path, scratch_name("many/c"));
    eng_files_close(&files);
    CU_ASSERT_EQUAL_FATAL(eng_files_open(&files, scratch_name("many/*"), &reason), 0);
    CU_ASSERT_EQUAL(files.count, 4); /* no directory, no pipe, nothing hidden */
    eng_files_close(&files);

    scratch_write("od*d", "a file named like a pattern is meant");
    CU_ASSERT_EQUAL_FATAL(eng_files_open(&files, scratch_name("od*d"), &reason), 0);
    CU_ASSERT_EQUAL(files.count, 1);
    eng_files_close(&files);
}

static void nothing_is_a_failure_that_names_the_path(void)
{
    struct eng_files files;
    struct eng_reason reason;

    CU_ASSERT_EQUAL(eng_files_open(&files, "no/such/file.csv", &reason), -ENOENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "no/such/file.csv"));
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "where the job was started"));
    CU_ASSERT_EQUAL(eng_files_open(&files, "no/such/*.csv", &reason), -ENOENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "no/such/*.csv"));
    mkdir(scratch_name("empty"), 0777);
    scratch_write("empty/.hidden", "");
    CU_ASSERT_EQUAL(eng_files_open(&files, scratch_name("empty"), &reason), -ENOENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, scratch_name("empty")));
    CU_ASSERT_EQUAL(eng_files_open(&files, scratch_name("many/pipe"), &reason), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "standard input"));
}

static void a_file_that_may_not_be_read_is_found_before_it_is_opened(void)
{
    struct eng_files files;
    struct eng_reason reason;

    if (geteuid() == 0) return; /* who may read everything */
    chmod(scratch_name("many/b"), 0);
    CU_ASSERT_EQUAL(eng_files_open(&files, scratch_name("many"), &reason), -EACCES);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "many/b"));
    chmod(scratch_name("many/b"), 0600);
}

static void a_cut_moves_to_the_next_beginning_of_a_line(void)
{
    static const char text[] = "ab\n\ncdef\ng";
    static const int64_t wanted[] = {-1, 3, 3, 3, 4, 9, 9, 9, 9, 9, 10};
    const char *path = scratch_write("cut", text);
    struct eng_reason reason;
    int fd = open(path, O_RDONLY);

    CU_ASSERT_FATAL(fd >= 0);
    for (int64_t at = 1; at <= 10; at++)
        CU_ASSERT_EQUAL(eng_files_line_begin(fd, path, at, 10, &reason), wanted[at]);
    close(fd);
}

static void a_cut_is_found_behind_a_line_of_any_length(void)
{
    size_t bytes = 500000;
    char *text = malloc(bytes);
    struct eng_reason reason;

    CHECK(text != NULL);
    memset(text, 'x', bytes);
    text[bytes - 10] = '\n';
    const char *path = scratch_write_bytes("wide", text, bytes);
    int fd = open(path, O_RDONLY);
    CU_ASSERT_EQUAL(eng_files_line_begin(fd, path, 1, (int64_t)bytes, &reason), (int64_t)bytes - 9);
    CU_ASSERT_EQUAL(eng_files_line_begin(fd, path, (int64_t)bytes - 9, (int64_t)bytes, &reason),
                    (int64_t)bytes - 9);
    CU_ASSERT_EQUAL(eng_files_line_begin(fd, path, (int64_t)bytes - 8, (int64_t)bytes, &reason),
                    (int64_t)bytes);
    close(fd);
    free(text);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/files", scratch_open, scratch_close);
    CU_ADD_TEST(suite, a_file_stands_for_itself);
    CU_ADD_TEST(suite, a_directory_stands_for_its_regular_visible_files_sorted);
    CU_ADD_TEST(suite, a_pattern_stands_for_the_files_that_match);
    CU_ADD_TEST(suite, nothing_is_a_failure_that_names_the_path);
    CU_ADD_TEST(suite, a_file_that_may_not_be_read_is_found_before_it_is_opened);
    CU_ADD_TEST(suite, a_cut_moves_to_the_next_beginning_of_a_line);
    CU_ADD_TEST(suite, a_cut_is_found_behind_a_line_of_any_length);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
