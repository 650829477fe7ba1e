/* engine/control/progress.h: the line that says how a job gets on.
 *
 * Rewritten in place on a terminal, a few times a second; nothing at all is written when standard
 * error is a pipe or a file. Rates are those since the line before.
 *
 *     word_count  12,345,678 records  1.23 M/s  event time 2013-01-01 05:17:00 UTC  blocked 3 %
 * read 41 %
 */
#ifndef ENG_CONTROL_PROGRESS_H
#define ENG_CONTROL_PROGRESS_H

#include <stdio.h>

#include "engine/control/tally.h"

struct eng_progress {
    FILE *out; /* NULL: no line */
    bool is_shown;
    uint64_t shown_ns; /* when; 0: never */
    struct eng_tally_job shown;
};

/* No line unless `out` is a terminal and not `quiet`. */
void eng_progress_open(struct eng_progress *progress, FILE *out, bool quiet);

/* When it is time for another line, writes one. */
void eng_progress_step(struct eng_progress *progress, const struct eng_board *board,
                       uint64_t now_ns);

/* When eng_progress_step would write the next one; SHM_CLOCK_NEVER: there is no line. */
uint64_t eng_progress_due_ns(const struct eng_progress *progress);

/* Takes the line away, so that something else may be written. */
void eng_progress_clear(struct eng_progress *progress);

/* The line itself, without its end; `before` was taken passed_ns ago. */
void eng_progress_print(FILE *out, const struct eng_board *board,
                        const struct eng_tally_job *before, const struct eng_tally_job *now,
                        uint64_t passed_ns);

#endif
