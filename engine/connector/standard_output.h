/* engine/connector/standard_output.h: records as lines on standard output.
 *
 * For sinks that run in a process that may block: the terminal, or a program behind a pipe, reads
 * as fast as it likes, and what it has not read holds the job back. A batch is encoded, then
 * written whole, so that a line is never cut by another process of the job that writes there too.
 *
 * Nobody reads any more (`... | head`): the job fails and says so.
 *
 * Lines that were written are seen; nothing is repeated or taken back here.
 */
#ifndef ENG_CONNECTOR_STANDARD_OUTPUT_H
#define ENG_CONNECTOR_STANDARD_OUTPUT_H

#include <penstock.h>

#include "engine/connector/encoding.h"

/* What pen_local is in such a sink. Zeros are one that was not opened. */
struct eng_standard_output {
    struct eng_encoding encoding;
    struct eng_text_out out; /* encoded and not yet written */
};

/* Before the encoding is opened. */
void eng_standard_output_open(struct eng_standard_output *output);

/* Writes what is in `out`, and waits as long as that takes. False: pen_fail was called. */
bool eng_standard_output_flush(pen_context *ctx, struct eng_standard_output *output);

/* The loop and the close of the sink. */
void eng_standard_output_loop(pen_context *ctx, const struct pen_batch *batch);
void eng_standard_output_close(pen_context *ctx);

#endif
