#include "engine/connector/standard_output.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { STANDARD_OUTPUT_WAIT_MS = 1000 };

void eng_standard_output_open(struct eng_standard_output *output)
{
    *output = (struct eng_standard_output){0};
    /* A pipe whose reader has gone is an error with a sentence, not a signal that ends the process.
     * It is a process of this sink's own. */
    signal(SIGPIPE, SIG_IGN);
}

static void standard_output_fail(pen_context *ctx, int error)
{
    if (error == EPIPE)
        pen_fail(ctx, "standard output was closed: whoever reads the job's output has ended");
    else
        pen_fail(ctx, "cannot write to standard output: %s%s", strerror(error),
                 error == ENOSPC ? "; make room, then start the job again" : "");
}

bool eng_standard_output_flush(pen_context *ctx, struct eng_standard_output *output)
{
    const char *bytes = output->out.bytes;
    size_t left_bytes = output->out.size_bytes;

    while (left_bytes > 0) {
        ssize_t written = write(STDOUT_FILENO, bytes, left_bytes);
        if (written >= 0) {
            bytes += written;
            left_bytes -= (size_t)written;
        } else if (errno == EAGAIN) { /* whoever started the job made it so */
            struct pollfd wait = {.fd = STDOUT_FILENO, .events = POLLOUT};
            poll(&wait, 1, STANDARD_OUTPUT_WAIT_MS);
        } else if (errno != EINTR) {
            standard_output_fail(ctx, errno);
            return false;
        }
    }
    eng_text_out_clear(&output->out);
    return true;
}

void eng_standard_output_loop(pen_context *ctx, const struct pen_batch *batch)
{
    struct eng_standard_output *output = pen_local(ctx, sizeof *output);
    uint32_t i = 0;

    for (*batch->current = 0; i < batch->count; *batch->current = ++i)
        eng_encoding_put(&output->encoding, batch->records[i], pen_row(ctx), &output->out);
    eng_standard_output_flush(ctx, output);
}

void eng_standard_output_close(pen_context *ctx)
{
    struct eng_standard_output *output = pen_local(ctx, sizeof *output);

    eng_encoding_close(&output->encoding);
    eng_text_out_close(&output->out);
}
