/* engine/connector/lines.h: the lines of an intake, one after the other, and exactly where each
 * began.
 *
 *     enum eng_lines_next next = eng_lines_next(&lines, &line, &reason);
 *
 * A line is handed out without its end, which is \n or \r\n; the last one of a file may have none.
 * A byte order mark before the first is no part of it. `position` is where the next line begins:
 * all that a source has to save, since lines opened there again give exactly the rest.
 *
 * A reader may own a range of a file only: the lines that begin before `end_offset`. The last of
 * them may reach beyond it.
 *
 * With `multiline`, lines are those of CSV, where a quoted column may hold line ends.
 *
 * A line longer than a record may be is not held in memory: it is passed over, piece by piece, and
 * then told as ENG_LINES_LONG. `position` stays at its beginning until its end was found.
 *
 * A call does a bounded amount of work: at most one fill of the intake.
 */
#ifndef ENG_CONNECTOR_LINES_H
#define ENG_CONNECTOR_LINES_H

#include "engine/connector/intake.h"
#include "engine/record/csv.h"

enum eng_lines_next {
    ENG_LINES_ONE,   /* a line; its bytes are valid until the next call */
    ENG_LINES_LONG,  /* a line that is longer than ENG_RECORD_BYTES_MAX; `bytes` says how long */
    ENG_LINES_MORE,  /* none yet: call again */
    ENG_LINES_LATER, /* none for now: nothing comes in */
    ENG_LINES_END,
    ENG_LINES_FAILED, /* the intake has; reason says why */
};

struct eng_lines_options {
    int64_t end_offset;  /* INT64_MAX: the end of the intake */
    int64_t line_number; /* of the first line; 0: not known */
    bool multiline;
    char separator; /* multiline: the one of the columns; 0: a comma */
    bool follow;    /* at the end wait for more instead: LATER, and a line must have its end */
};

struct eng_lines {
    struct eng_intake *intake;
    struct eng_lines_options options;
    struct eng_csv_scan scan;
    size_t scanned_bytes; /* of the window, which hold no line end */
    bool passing;         /* over a line that is too long */

    int64_t position;    /* where the next line begins */
    int64_t next_number; /* of the next line, from 1; 0: not known */
    /* Of the line that was returned last. */
    int64_t offset, number;
    uint64_t bytes; /* with its end */
};

/* The intake must stay, at its current offset a line begins. Nothing to close. */
void eng_lines_open(struct eng_lines *lines, struct eng_intake *intake,
                    const struct eng_lines_options *options);

enum eng_lines_next eng_lines_next(struct eng_lines *lines, pen_view *line,
                                   struct eng_reason *reason);

#endif
