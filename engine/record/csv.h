/* engine/record/csv.h: lines of RFC 4180, with a separator of one's choice.
 *
 *     eng_csv_line_end   finds where a line ends, in pieces of a file
 *     eng_csv_decode     one line -> one record in a builder
 *     eng_csv_encode     one record -> one line
 *
 * Columns stand in the order of the fields, or in the order that a first line gives: then columns
 * that are no field are skipped, and fields that are no column are null (or a mistake where they
 * cannot be).
 *
 * A column that begins with a quote ends at the next single quote; two quotes are one; separators
 * and line ends inside are text. Anywhere else a quote is an ordinary character. Every line has the
 * same number of columns: one that has not is a bad record, since nobody knows which one is
 * missing.
 *
 * Null and empty. An unquoted empty column is null; where the field cannot be null it is the empty
 * text, or for all but texts a bad record. A quoted empty column is the empty text. So encoded
 * records come back as they were. An empty line is a record of one column that is null, and nothing
 * else is encoded as one.
 *
 * Values are read and written as value.h says; spaces around them are part of them.
 */
#ifndef ENG_RECORD_CSV_H
#define ENG_RECORD_CSV_H

#include "engine/record/build.h"
#include "engine/record/layout.h"
#include "engine/record/out.h"
#include "engine/record/reason.h"

struct eng_csv {
    const struct eng_layout *layout;
    uint32_t column_count;
    char separator;
    bool named; /* the columns have names of their own: a header was read */
    struct eng_csv_column *columns;
};

/* One entry for each column of a line. */
struct eng_csv_column {
    const struct eng_field *to; /* NULL: skipped */
    uint32_t field;             /* its index, or ENG_CSV_SKIPPED */
    uint8_t how;                /* which loop reads it, see csv.c */
};
#define ENG_CSV_SKIPPED UINT32_MAX

/* separator: 0 is a comma; a quote, a line end or a byte above 127 is refused. header: a view
 * without data for columns in the order of the fields, else the first line, without its end (a byte
 * order mark is skipped). 0, -EINVAL with a reason, -ENOMEM. The layout must stay; the header need
 * not. */
int eng_csv_open(struct eng_csv *csv, const struct eng_layout *layout, char separator,
                 pen_view header, struct eng_reason *reason);
void eng_csv_close(struct eng_csv *csv); /* accepts zeros */

/* One logical line, with or without its end. False: a bad record, and why. The builder is begun
 * here and must be of the same layout; the caller finishes it. */
bool eng_csv_decode(const struct eng_csv *csv, pen_view line, struct eng_builder *builder,
                    struct eng_reason *reason);

/* The names of the fields, or the record, as one line with '\n' at its end. */
void eng_csv_encode_header(const struct eng_csv *csv, struct eng_text_out *out);
void eng_csv_encode(const struct eng_csv *csv, const void *record, struct eng_text_out *out);

/* ---- Where lines end ------------------------------------------------------------------------- */

/* A file comes in pieces, and a line may lie in several. `multiline` lets quoted columns hold line
 * ends; a reader that enters a file in its middle cannot know where quotes are, and must do
 * without. */
struct eng_csv_scan {
    char separator; /* 0: a comma */
    bool multiline;
    uint8_t state; /* inside the line: see csv.c; 0 between lines */
};

/* Where the line that the scan is in ends in these bytes: how many of them belong to it, its '\n'
 * included; then the scan stands before the next line. 0: it does not end here; go on with the
 * bytes that follow these. */
size_t eng_csv_line_end(struct eng_csv_scan *scan, const char *bytes, size_t size_bytes);

#endif
