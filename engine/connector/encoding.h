/* engine/connector/encoding.h: a record becomes text, in whichever format a sink writes.
 *
 *     0           name=value ..., for people
 *     PEN_CSV     a line; the names of the columns stand in the first one
 *     PEN_JSON    an object on a line
 *     PEN_BINARY  the record, behind a head that describes it; see engine/record/binary.h
 *
 * An updating stream has a kind for each row: +I, -U, +U, -D. CSV and JSON hold it in a column of
 * its own, the first one, when it has a name; for people it stands before the record.
 *
 * Private memory; the layout must stay.
 */
#ifndef ENG_CONNECTOR_ENCODING_H
#define ENG_CONNECTOR_ENCODING_H

#include <penstock/function.h>

#include "engine/record/csv.h"
#include "engine/record/json.h"

#define ENG_FORMAT_PEOPLE ((enum pen_format)0)

struct eng_encoding {
    enum pen_format format;
    const struct eng_layout *layout;
    const char *row_column; /* NULL: row kinds are not written; for people "" */
    const char *prefix;     /* before each line; NULL: nothing */
    struct eng_csv csv;
    struct eng_json json;
};

/* 0, or -errno with a reason. Texts must stay. */
int eng_encoding_open(struct eng_encoding *encoding, enum pen_format format,
                      const struct eng_layout *layout, const char *row_column, const char *prefix,
                      struct eng_reason *reason);
void eng_encoding_close(struct eng_encoding *encoding); /* accepts zeros */

/* What stands at the beginning of a file; nothing for JSON and people. */
void eng_encoding_head(const struct eng_encoding *encoding, struct eng_text_out *out);

/* Appends one record. False: it is too large for the format, and nothing is written. */
bool eng_encoding_put(const struct eng_encoding *encoding, const void *record, enum pen_row row,
                      struct eng_text_out *out);

const char *eng_row_name(enum pen_row row);               /* "+I" */
const char *eng_format_extension(enum pen_format format); /* ".csv" */

#endif
