/* engine/connector/reading.h: an intake becomes records of a running source.
 *
 *     intake -> lines -> decoding -> records        lines, CSV, JSON
 *     intake -> binary records                      PEN_BINARY
 *
 * What the sources for files, standard input and TCP have in common: their poll functions call
 * eng_reading_poll, save eng_reading_position in their split, and add what is their own. One for
 * each split, in the process that reads it.
 *
 * The first bytes of a file may be about all of it: the names of CSV's columns, the head of a
 * binary file. A reading that begins at 0 meets them on its way; one that begins later reads them
 * in advance (eng_reading_open does), so a split can be taken up anywhere.
 *
 * Bad records are rejected with file, place and reason; what concerns the whole file (a header
 * without a column that is needed, damaged compression, an error of the disk) fails the job.
 *
 * Its parts point to each other: once open it must not be moved.
 */
#ifndef ENG_CONNECTOR_READING_H
#define ENG_CONNECTOR_READING_H

#include <penstock.h>

#include "engine/connector/decoding.h"
#include "engine/connector/lines.h"
#include "engine/record/binary.h"
#include "engine/record/key.h"

struct eng_reading_options {
    enum pen_format format;
    const struct eng_layout *layout; /* of the records that come out */
    char separator;                  /* CSV: 0 is a comma */
    bool multiline, no_header, follow;
};

struct eng_reading_place {
    int64_t position;    /* where to begin */
    int64_t end_offset;  /* INT64_MAX: read all */
    int64_t line_number; /* of the line at position; 0: not known */
};

struct eng_reading {
    struct eng_reading_options options;
    char *name; /* of the file, or what people call the input */
    struct eng_intake intake;
    struct eng_lines lines;
    struct eng_decoding decoding;
    bool header_due; /* the next line is the header */

    bool head_done; /* PEN_BINARY: the members below are open */
    struct eng_binary binary;
    struct eng_copy_plan plan;
    struct eng_builder builder;
};

/* 0, or -errno with a reason for people; then nothing is open. */
int eng_reading_open_file(struct eng_reading *reading, const struct eng_reading_options *options,
                          const char *path, const struct eng_reading_place *place,
                          struct eng_reason *reason);
/* Another connection, another file: from the beginning. */
int eng_reading_open_descriptor(struct eng_reading *reading,
                                const struct eng_reading_options *options, int fd, const char *name,
                                struct eng_reason *reason);
void eng_reading_close(struct eng_reading *reading); /* accepts zeros */

/* Whether the file's head goes with the records: for a plan, before anything runs. 0 or -errno with
 * a reason. */
int eng_reading_check_file(const struct eng_reading_options *options, const char *path,
                           struct eng_reason *reason);

enum eng_read_step {
    ENG_READ_ONE,  /* *record: one run of bytes, valid until the next step */
    ENG_READ_BAD,  /* *line is no record; reason says where and why */
    ENG_READ_MORE, /* nothing yet: call again */
    ENG_READ_LATER,
    ENG_READ_END,
    ENG_READ_FAILED, /* reason says why */
};

/* The next record, without a context: what eng_reading_poll and tests are made of. */
enum eng_read_step eng_reading_step(struct eng_reading *reading, const void **record,
                                    pen_view *line, struct eng_reason *reason);

/* Emits some hundred records, or what there is, and rejects what is bad. MORE, LATER, END, or
 * FAILED with a reason. */
enum eng_read_step eng_reading_emit(pen_context *ctx, struct eng_reading *reading,
                                    struct eng_reason *reason);
/* What a poll function answers then. END and FAILED are the end. */
enum pen_poll eng_reading_result(enum eng_read_step step);
/* Both, for a poll function that has nothing to add: a failure fails the job. */
enum pen_poll eng_reading_poll(pen_context *ctx, struct eng_reading *reading);

/* Where the next record begins, and its line: what to save. */
int64_t eng_reading_position(const struct eng_reading *reading);
int64_t eng_reading_line_number(const struct eng_reading *reading);

#endif
