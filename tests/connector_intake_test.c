/* Bytes through a window: plain, compressed, from a descriptor, from any offset, in any pieces.
 * Method: the bytes that come out, taken in random pieces, are compared with those that went in. */
#include "engine/connector/intake.h"

#include <CUnit/Basic.h>
#include <errno.h>

#include "tests/connector_scratch.h"

enum { BYTES = 3 * 1000 * 1000 };

static char *content;

static int open_all(void)
{
    uint64_t random = 7;

    content = malloc(BYTES);
    CHECK(content != NULL);
    for (size_t i = 0; i < BYTES; i++) /* compresses, but not to nothing */
        content[i] = "0123456789abcdef\n,"[scratch_random(&random) % 18];
    return scratch_open();
}

static int close_all(void)
{
    free(content);
    return scratch_close();
}

/* Reads all there is, in random pieces, and compares it with `wanted`. */
static void reads(struct eng_intake *intake, const char *wanted, size_t wanted_bytes, uint64_t seed)
{
    struct eng_reason reason = {{0}};
    int64_t first = intake->offset;
    size_t done = 0;
    enum eng_filled filled = ENG_FILLED_MORE;

    while (filled == ENG_FILLED_MORE) {
        size_t window_bytes;
        const char *window = eng_intake_window(intake, &window_bytes);
        size_t piece = window_bytes;
        if (piece > 0 && scratch_random(&seed) % 4) piece = scratch_random(&seed) % piece;
        CU_ASSERT_FATAL(done + piece <= wanted_bytes);
        CU_ASSERT(memcmp(window, wanted + done, piece) == 0);
        eng_intake_take(intake, piece);
        done += piece;
        CU_ASSERT_EQUAL(intake->offset, first + (int64_t)done);
        if (window_bytes < 4 * ENG_INTAKE_FILL_BYTES) filled = eng_intake_fill(intake, &reason);
    }
    CU_ASSERT_EQUAL(filled, ENG_FILLED_END);
    size_t left_bytes;
    const char *left = eng_intake_window(intake, &left_bytes);
    CU_ASSERT_EQUAL_FATAL(done + left_bytes, wanted_bytes);
    CU_ASSERT(memcmp(left, wanted + done, left_bytes) == 0);
    CU_ASSERT_EQUAL(eng_intake_fill(intake, &reason), ENG_FILLED_END);
}

static void reads_file(const char *path, int64_t offset, uint64_t seed)
{
    struct eng_intake intake;
    struct eng_reason reason = {{0}};

    CU_ASSERT_EQUAL_FATAL(eng_intake_open_file(&intake, path, offset, &reason), 0);
    reads(&intake, content + offset, (size_t)(BYTES - offset), seed);
    eng_intake_close(&intake);
}

static const int64_t offsets[] = {0, 1, 8, 4095, 262143, 262144, 1500000, BYTES - 1, BYTES};

static void a_plain_file_is_read_from_any_offset(void)
{
    const char *path = scratch_write_bytes("plain", content, BYTES);

    for (unsigned i = 0; i < sizeof offsets / sizeof offsets[0]; i++)
        reads_file(path, offsets[i], i);
}

static void a_gzip_file_is_read_from_any_offset_of_its_content(void)
{
    const char *path = scratch_gzip("one.gz", content, BYTES);

    for (unsigned i = 0; i < sizeof offsets / sizeof offsets[0]; i++)
        reads_file(path, offsets[i], i);
}

static void gzip_members_are_one_content_and_padding_is_none(void)
{
    static const char zeros[700];

    scratch_gzip("many.gz", content, 1);
    scratch_gzip("many.gz", content + 1, 999999);
    scratch_gzip("many.gz", content, 0);
    const char *path = scratch_gzip("many.gz", content + 1000000, BYTES - 1000000);
    reads_file(path, 0, 1);
    reads_file(path, 1000001, 2);

    int fd = open(path, O_WRONLY | O_APPEND);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, zeros, sizeof zeros), (ssize_t)sizeof zeros);
    close(fd);
    reads_file(path, 0, 3);
}

/* A block of one byte repeated comes out of few compressed ones: more than the window has room for,
 * so the decompressor holds bytes back when its input is used up. */
static void what_the_decompressor_holds_back_is_not_lost(void)
{
    struct eng_intake intake;
    struct eng_reason reason = {{0}};
    static char same[2 * 1000 * 1000];

    memset(same, 'x', sizeof same);
    const char *path = scratch_gzip("same.gz", same, sizeof same);
    CU_ASSERT_EQUAL_FATAL(eng_intake_open_file(&intake, path, 0, &reason), 0);
    reads(&intake, same, sizeof same, 5);
    eng_intake_close(&intake);
}

static enum eng_filled fill_to_the_end(const char *path, struct eng_reason *reason)
{
    struct eng_intake intake;
    enum eng_filled filled;

    CU_ASSERT_EQUAL_FATAL(eng_intake_open_file(&intake, path, 0, reason), 0);
    do {
        size_t bytes;
        eng_intake_window(&intake, &bytes);
        eng_intake_take(&intake, bytes);
        filled = eng_intake_fill(&intake, reason);
    } while (filled == ENG_FILLED_MORE);
    eng_intake_close(&intake);
    return filled;
}

static void damaged_gzip_fails_and_says_which_file(void)
{
    struct eng_reason reason;
    size_t size_bytes = 0;
    char *bytes = scratch_read(scratch_name("one.gz"), &size_bytes);
    const char *path;

    CU_ASSERT_FATAL(bytes != NULL);
    path = scratch_write_bytes("short.gz", bytes, size_bytes / 2);
    CU_ASSERT_EQUAL(fill_to_the_end(path, &reason), ENG_FILLED_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "short.gz"));
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "ends in the middle"));

    bytes[size_bytes / 3] ^= 0x55;
    path = scratch_write_bytes("bad.gz", bytes, size_bytes);
    CU_ASSERT_EQUAL(fill_to_the_end(path, &reason), ENG_FILLED_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "bad.gz"));

    path = scratch_write("text.gz", "this is no gzip file\n");
    CU_ASSERT_EQUAL(fill_to_the_end(path, &reason), ENG_FILLED_FAILED);
    path = scratch_write("empty.gz", "");
    CU_ASSERT_EQUAL(fill_to_the_end(path, &reason), ENG_FILLED_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "empty"));
    free(bytes);
}

static void bytes_behind_the_last_member_are_damage_unless_they_are_zeros(void)
{
    struct eng_reason reason;
    const char *path = scratch_gzip("tail.gz", content, 1000);
    int fd = open(path, O_WRONLY | O_APPEND);

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, "rubbish", 7), 7);
    close(fd);
    CU_ASSERT_EQUAL(fill_to_the_end(path, &reason), ENG_FILLED_FAILED);
}

static void a_descriptor_gives_what_has_come_and_never_waits(void)
{
    struct eng_intake intake;
    struct eng_reason reason;
    int ends[2];
    size_t bytes;

    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    eng_intake_open_descriptor(&intake, ends[0], "a pipe");
    CU_ASSERT_EQUAL(eng_intake_fill(&intake, &reason), ENG_FILLED_LATER);
    CU_ASSERT_EQUAL(write(ends[1], "hello", 5), 5);
    CU_ASSERT_EQUAL(eng_intake_fill(&intake, &reason), ENG_FILLED_MORE);
    CU_ASSERT_EQUAL(eng_intake_fill(&intake, &reason), ENG_FILLED_LATER);
    CU_ASSERT(memcmp(eng_intake_window(&intake, &bytes), "hello", 5) == 0);
    CU_ASSERT_EQUAL(bytes, 5);
    close(ends[1]);
    CU_ASSERT_EQUAL(eng_intake_fill(&intake, &reason), ENG_FILLED_END);
    eng_intake_close(&intake);
    CU_ASSERT_EQUAL(fcntl(ends[0], F_GETFD) < 0, 0); /* the descriptor is the caller's */
    close(ends[0]);
}

static void what_cannot_be_opened_says_why_and_what_to_do(void)
{
    struct eng_intake intake;
    struct eng_reason reason;

    CU_ASSERT_EQUAL(eng_intake_open_file(&intake, "no/such/file", 0, &reason), -ENOENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "no/such/file"));
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "check the path"));
    CU_ASSERT_EQUAL(eng_intake_open_file(&intake, scratch_path, 0, &reason), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "not a regular file"));
    CU_ASSERT_EQUAL_FATAL(mkfifo(scratch_name("fifo"), 0600), 0);
    CU_ASSERT_EQUAL(eng_intake_open_file(&intake, scratch_name("fifo"), 0, &reason), -EINVAL);
}

static void consumed_bytes_are_those_of_the_input(void)
{
    static const char *const names[] = {"plain", "one.gz"};

    for (unsigned i = 0; i < 2; i++) {
        struct eng_intake intake;
        struct eng_reason reason;
        struct stat about;
        uint64_t consumed = 0;
        enum eng_filled filled;

        CU_ASSERT_EQUAL_FATAL(eng_intake_open_file(&intake, scratch_name(names[i]), 0, &reason), 0);
        do {
            size_t bytes;
            filled = eng_intake_fill(&intake, &reason);
            eng_intake_window(&intake, &bytes);
            eng_intake_take(&intake, bytes);
            consumed += eng_intake_consumed(&intake);
        } while (filled == ENG_FILLED_MORE);
        CU_ASSERT_EQUAL_FATAL(stat(scratch_name(names[i]), &about), 0);
        CU_ASSERT_EQUAL(consumed, (uint64_t)about.st_size);
        eng_intake_close(&intake);
    }
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/intake", open_all, close_all);
    CU_ADD_TEST(suite, a_plain_file_is_read_from_any_offset);
    CU_ADD_TEST(suite, a_gzip_file_is_read_from_any_offset_of_its_content);
    CU_ADD_TEST(suite, gzip_members_are_one_content_and_padding_is_none);
    CU_ADD_TEST(suite, what_the_decompressor_holds_back_is_not_lost);
    CU_ADD_TEST(suite, damaged_gzip_fails_and_says_which_file);
    CU_ADD_TEST(suite, bytes_behind_the_last_member_are_damage_unless_they_are_zeros);
    CU_ADD_TEST(suite, a_descriptor_gives_what_has_come_and_never_waits);
    CU_ADD_TEST(suite, what_cannot_be_opened_says_why_and_what_to_do);
    CU_ADD_TEST(suite, consumed_bytes_are_those_of_the_input);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
