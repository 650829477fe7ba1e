/* Lines on standard output: slow readers, readers that have gone, full disks.
 * Method: the flush runs in a child whose standard output is a pipe that this test reads as it
 * likes. */
#include "engine/connector/standard_output.h"

#include <CUnit/Basic.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/flow/context.h"
#include "engine/flow/worker.h"

enum { BYTES = 5 * 1000 * 1000 };

/* A context that can fail, and no more. */
static struct eng_board_worker place;
static struct eng_worker worker = {.place = &place};
static struct eng_node node = {.title = "print", .file = "job.c", .line = 7};
static pen_context ctx = {.node = &node, .worker = &worker};

/* In a child: flushes BYTES bytes into fd. Exits with 0, or with 1 when the job failed and the
 * reason holds `part`. */
static pid_t child_flushes(int fd, int other_end, bool nonblocking, const char *part)
{
    pid_t child = fork();
    if (child != 0) return child;
    if (other_end >= 0) close(other_end); /* or it would be a reader of its own output */

    struct eng_standard_output output;
    eng_standard_output_open(&output);
    dup2(fd, STDOUT_FILENO);
    if (nonblocking) fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    for (unsigned i = 0; i < BYTES; i++)
        eng_text_out_char(&output.out, (char)('a' + i % 26));
    bool flushed = eng_standard_output_flush(&ctx, &output);
    if (flushed) _exit(output.out.size_bytes == 0 ? 0 : 2);
    _exit(worker.failed && strstr(place.failure, part) ? 1 : 3);
}

static int status_of(pid_t child)
{
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void all_bytes_arrive_however_slowly_they_are_read(void)
{
    for (unsigned nonblocking = 0; nonblocking < 2; nonblocking++) {
        char bytes[70000];
        int ends[2];
        unsigned at = 0, wrong = 0;
        ssize_t got;

        CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
        pid_t child = child_flushes(ends[1], ends[0], nonblocking, "");
        close(ends[1]);
        while ((got = read(ends[0], bytes, at % 3 ? sizeof bytes : 100)) > 0) {
            for (ssize_t i = 0; i < got; i++, at++)
                wrong += bytes[i] != (char)('a' + at % 26);
            if (at < 500000) usleep(1000);
        }
        CU_ASSERT_EQUAL(at, BYTES);
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT_EQUAL(status_of(child), 0);
        close(ends[0]);
    }
}

static void a_reader_that_has_gone_fails_the_job_with_a_sentence(void)
{
    char bytes[1000];
    int ends[2];

    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pid_t child = child_flushes(ends[1], ends[0], false, "standard output was closed");
    close(ends[1]);
    CU_ASSERT(read(ends[0], bytes, sizeof bytes) > 0);
    close(ends[0]);
    CU_ASSERT_EQUAL(status_of(child), 1);
}

static void a_full_disk_fails_the_job_with_advice(void)
{
    int fd = open("/dev/full", O_WRONLY);

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(status_of(child_flushes(fd, -1, false, "make room")), 1);
    close(fd);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/standard_output", NULL, NULL);
    CU_ADD_TEST(suite, all_bytes_arrive_however_slowly_they_are_read);
    CU_ADD_TEST(suite, a_reader_that_has_gone_fails_the_job_with_a_sentence);
    CU_ADD_TEST(suite, a_full_disk_fails_the_job_with_advice);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
