/* engine/record/csv_encode.c: records into lines of CSV, and where lines end. */
#include "engine/record/csv.h"
#include "engine/record/value.h"

#include "shm/check.h"

/* ---- Encode ---------------------------------------------------------------------------------- */

/* Puts the text that was written from `from` on between quotes, if it needs them. */
static void csv_quote(struct eng_text_out *out, size_t from, char separator, bool always)
{
    size_t size = out->size_bytes - from, quotes = 0;
    bool needed = always;
    char *text;

    for (size_t i = from; i < out->size_bytes; i++) {
        char c = out->bytes[i];

        quotes += c == '"';
        needed |= c == separator || c == '\n' || c == '\r' || c == '"';
    }
    if (!needed) return;
    eng_text_out_reserve(out, quotes + 2);
    text = out->bytes + from;
    out->size_bytes += quotes + 2;
    /* From the back, so that nothing is overwritten before it has moved. */
    text[size + quotes + 1] = '"';
    for (size_t to = size + quotes; size > 0; size--) {
        text[to--] = text[size - 1];
        if (text[size - 1] == '"') text[to--] = '"';
    }
    text[0] = '"';
}

void eng_csv_encode_header(const struct eng_csv *csv, struct eng_text_out *out)
{
    for (uint32_t i = 0; i < csv->layout->field_count; i++) {
        const char *name = csv->layout->fields[i].name;
        size_t from;

        if (i > 0) eng_text_out_char(out, csv->separator);
        from = out->size_bytes;
        eng_text_out_put(out, name, strlen(name));
        csv_quote(out, from, csv->separator, false);
    }
    eng_text_out_char(out, '\n');
}

static void csv_encode_field(const struct eng_csv *csv, const struct eng_field *field,
                             const void *record, struct eng_text_out *out)
{
    size_t from = out->size_bytes;
    bool empty;

    if (eng_field_is_null(field, record)) return;
    eng_value_print(field, record, out);
    /* A text that is empty, where nothing at all would be null or an empty line. */
    empty = out->size_bytes == from && (eng_field_nullable(field) || csv->layout->field_count == 1);
    csv_quote(out, from, csv->separator, empty);
}

void eng_csv_encode(const struct eng_csv *csv, const void *record, struct eng_text_out *out)
{
    for (uint32_t i = 0; i < csv->layout->field_count; i++) {
        if (i > 0) eng_text_out_char(out, csv->separator);
        csv_encode_field(csv, &csv->layout->fields[i], record, out);
    }
    eng_text_out_char(out, '\n');
}

/* ---- Where lines end ------------------------------------------------------------------------- */

/*            "                    "                     "
 *   COLUMN ------->  QUOTED -------------> CLOSING ---------------> QUOTED
 *     |  ^              (line ends              | separator -> COLUMN, anything else -> PLAIN
 *     |  | separator     are text)              |
 *     v  |                                      v line end
 *    PLAIN --- line end ---> (the line is over, COLUMN again)
 *
 * The same rules as csv_cut: both must agree where a line ends, or a bad line would eat good ones.
 */
enum { CSV_COLUMN, CSV_PLAIN, CSV_QUOTED, CSV_CLOSING };

static uint8_t csv_scan_next(uint8_t state, char c, char separator)
{
    if (state == CSV_QUOTED) return c == '"' ? CSV_CLOSING : CSV_QUOTED;
    if (c == separator) return CSV_COLUMN;
    if (c == '"' && state == CSV_COLUMN) return CSV_QUOTED;
    if (c == '"' && state == CSV_CLOSING) return CSV_QUOTED;
    return CSV_PLAIN;
}

size_t eng_csv_line_end(struct eng_csv_scan *scan, const char *bytes, size_t size_bytes)
{
    char separator = scan->separator ? scan->separator : ',';
    uint8_t state = scan->state;
    const char *end;

    CHECK(state <= CSV_CLOSING);
    if (size_bytes == 0) return 0;
    /* No quote before the line end, and not inside one: the usual line. */
    if (state != CSV_QUOTED && state != CSV_CLOSING) {
        end = memchr(bytes, '\n', size_bytes);
        if (end && (!scan->multiline || !memchr(bytes, '"', (size_t)(end - bytes)))) {
            scan->state = CSV_COLUMN;
            return (size_t)(end - bytes) + 1;
        }
        if (!scan->multiline) return 0;
    }
    for (size_t i = 0; i < size_bytes; i++) {
        if (bytes[i] == '\n' && state != CSV_QUOTED) {
            scan->state = CSV_COLUMN;
            return i + 1;
        }
        state = csv_scan_next(state, bytes[i], separator);
    }
    scan->state = state;
    return 0;
}
