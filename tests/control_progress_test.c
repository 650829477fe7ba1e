/* control/progress: the line of a running job. Method: a board that the test moves; a
 * pseudo-terminal for what only happens on a terminal. */
#include "engine/control/progress.h"

#include <fcntl.h>
#include <pty.h>
#include <unistd.h>

#include "tests/control_board.h"

enum { SECOND = 1000000000 };

static void the_line_says_how_much_and_how_fast(void)
{
    struct eng_board *board = control_board_new();
    char *line = NULL;

    control_count(board, CONTROL_SOURCE, 0, 0, 1000);
    struct eng_tally_job before = eng_tally_job(board);
    control_count(board, CONTROL_SOURCE, 0, 0, 5000);
    shm_store_own(&eng_board_worker(board, 0)->busy_ns, 60);
    shm_store_own(&eng_board_worker(board, 1)->blocked_ns, 25);
    shm_store_own(&eng_board_worker(board, 1)->idle_ns, 15);
    shm_store_own(&eng_board_subtask(board, 4)->watermark_us, 1357017420000000);
    shm_store_own(&eng_board_subtask(board, 0)->bytes_in, 512);
    struct eng_tally_job now = eng_tally_job(board);

    PRINTED(line, out, eng_progress_print(out, board, &before, &now, 2ull * SECOND));
    EXPECT_IN(line, "word_count  5,000 records  2.00 k/s");
    EXPECT_IN(line, "event time 2013-01-01 05:17:00 UTC");
    EXPECT_IN(line, "blocked 25 %");
    EXPECT_IN(line, "read 512 B"); /* of how much, nobody knows */
    EXPECT_NOT_IN(line, "rejected");
    EXPECT_NOT_IN(line, "\n");
    free(line);

    board->input_bytes = 1024;
    shm_store_own(&eng_board_subtask(board, 2)->rejected, 3);
    now = eng_tally_job(board);
    PRINTED(line, out, eng_progress_print(out, board, &before, &now, SECOND));
    EXPECT_IN(line, "read 50 %");
    EXPECT_IN(line, "3 rejected");
    free(line);
    free(board);
}

static void a_pipe_gets_no_line_at_all(void)
{
    struct eng_board *board = control_board_new();
    struct eng_progress progress;
    FILE *out = tmpfile();

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    eng_progress_open(&progress, out, false);
    CU_ASSERT_EQUAL(eng_progress_due_ns(&progress), UINT64_MAX); /* nobody is woken for it */
    for (uint64_t s = 1; s < 5; s++)
        eng_progress_step(&progress, board, s * SECOND);
    eng_progress_clear(&progress);
    CU_ASSERT_EQUAL(fseek(out, 0, SEEK_END), 0);
    CU_ASSERT_EQUAL(ftell(out), 0);
    fclose(out);
    free(board);
}

/* What has been written to the terminal so far. */
static size_t terminal_read(int fd, char *text, size_t text_bytes)
{
    ssize_t size = read(fd, text, text_bytes - 1);
    if (size < 0) size = 0;
    text[size] = 0;
    return (size_t)size;
}

static void a_terminal_gets_one_line_that_is_rewritten(void)
{
    struct eng_board *board = control_board_new();
    struct eng_progress progress;
    struct winsize size = {.ws_row = 10, .ws_col = 40};
    char text[4096];
    int master, slave;

    CU_ASSERT_EQUAL_FATAL(openpty(&master, &slave, NULL, NULL, &size), 0);
    CU_ASSERT_EQUAL(fcntl(master, F_SETFL, O_NONBLOCK), 0);
    FILE *out = fdopen(slave, "w");
    eng_progress_open(&progress, out, false);
    eng_progress_step(&progress, board, SECOND); /* only begins */
    CU_ASSERT_EQUAL(terminal_read(master, text, sizeof text), 0);
    eng_progress_step(&progress, board, SECOND + 1000); /* too early */
    CU_ASSERT_EQUAL(terminal_read(master, text, sizeof text), 0);
    control_count(board, CONTROL_SOURCE, 0, 0, 12345);
    eng_progress_step(&progress, board, 2ull * SECOND);
    CU_ASSERT_TRUE(terminal_read(master, text, sizeof text) > 0);
    CU_ASSERT_EQUAL(text[0], '\r');
    EXPECT_IN(text, "12,345 records");
    EXPECT_NOT_IN(text, "\n");
    CU_ASSERT_TRUE(strlen(text) < 40 + 8); /* with the escapes around it: it does not wrap */
    eng_progress_clear(&progress);
    CU_ASSERT_TRUE(terminal_read(master, text, sizeof text) > 0);
    CU_ASSERT_STRING_EQUAL(text, "\r\033[K");
    eng_progress_clear(&progress); /* there is none */
    CU_ASSERT_EQUAL(terminal_read(master, text, sizeof text), 0);

    eng_progress_open(&progress, out, true); /* --quiet */
    eng_progress_step(&progress, board, 3ull * SECOND);
    eng_progress_step(&progress, board, 4ull * SECOND);
    CU_ASSERT_EQUAL(terminal_read(master, text, sizeof text), 0);
    fclose(out);
    close(master);
    free(board);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control/progress", NULL, NULL);
    CU_ADD_TEST(suite, the_line_says_how_much_and_how_fast);
    CU_ADD_TEST(suite, a_pipe_gets_no_line_at_all);
    CU_ADD_TEST(suite, a_terminal_gets_one_line_that_is_rewritten);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
