/* engine/connector/decoding.h: a line becomes a record, in whichever format it is written.
 *
 * One for each split that is read. Lines become struct pen_line; a line of CSV or JSON a record of
 * the job's type. The columns of a CSV file are those of its own first line, so two files of a
 * directory may have them in different orders: whoever opens a file hands the header in before its
 * first line.
 *
 * Empty lines are nothing in CSV and JSON, and a record without text among plain lines.
 *
 * Private memory of the process that reads; nothing of it is saved.
 */
#ifndef ENG_CONNECTOR_DECODING_H
#define ENG_CONNECTOR_DECODING_H

#include <penstock/function.h>

#include "engine/record/csv.h"
#include "engine/record/json.h"

#define ENG_FORMAT_LINES ((enum pen_format)0)

enum eng_decoded {
    ENG_DECODED_ONE,     /* a record */
    ENG_DECODED_NOTHING, /* an empty line */
    ENG_DECODED_BAD,     /* reason says why */
};

struct eng_decoding {
    enum pen_format format; /* 0: lines */
    const struct eng_layout *layout;
    char separator;
    struct eng_csv csv;
    struct eng_json json;
    struct eng_builder builder;
    struct eng_text_out line; /* a struct pen_line and its text */
};

/* 0, or -errno with a reason. CSV has its columns in the order of the fields until a header says
 * otherwise. The layout must stay. */
int eng_decoding_open(struct eng_decoding *decoding, enum pen_format format,
                      const struct eng_layout *layout, char separator, struct eng_reason *reason);
void eng_decoding_close(struct eng_decoding *decoding); /* accepts zeros */

/* The first line of a CSV file. */
int eng_decoding_header(struct eng_decoding *decoding, pen_view line, struct eng_reason *reason);

/* The record is one run of bytes, valid until the next call. */
enum eng_decoded eng_decoding_line(struct eng_decoding *decoding, pen_view line,
                                   const void **record, struct eng_reason *reason);

#endif
