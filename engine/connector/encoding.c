#include "engine/connector/encoding.h"

#include <penstock.h>

#include "engine/record/binary.h"
#include "engine/record/value.h"
#include "shm/check.h"

const char *eng_row_name(enum pen_row row)
{
    switch (row) {
    case PEN_INSERT:
        return "+I";
    case PEN_UPDATE_BEFORE:
        return "-U";
    case PEN_UPDATE_AFTER:
        return "+U";
    case PEN_DELETE:
        return "-D";
    case PEN_SAME:
        break;
    }
    CHECK(row <= PEN_DELETE);
    return "?";
}

const char *eng_format_extension(enum pen_format format)
{
    switch (format) {
    case PEN_CSV:
        return ".csv";
    case PEN_JSON:
        return ".jsonl";
    case PEN_BINARY:
        return ".bin";
    }
    return ".txt";
}

int eng_encoding_open(struct eng_encoding *encoding, enum pen_format format,
                      const struct eng_layout *layout, const char *row_column, const char *prefix,
                      struct eng_reason *reason)
{
    int result = 0;

    CHECK(format <= PEN_BINARY);
    CHECK(format != PEN_BINARY || (!row_column && !prefix));
    *encoding = (struct eng_encoding){
        .format = format, .layout = layout, .row_column = row_column, .prefix = prefix};
    if (format == PEN_CSV)
        result = eng_csv_open(&encoding->csv, layout, 0, (pen_view){NULL, 0}, reason);
    else if (format == PEN_JSON)
        result = eng_json_open(&encoding->json, layout, reason);
    return result;
}

void eng_encoding_close(struct eng_encoding *encoding)
{
    if (encoding->format == PEN_CSV) eng_csv_close(&encoding->csv);
    if (encoding->format == PEN_JSON) eng_json_close(&encoding->json);
    *encoding = (struct eng_encoding){0};
}

static void encoding_text(struct eng_text_out *out, const char *text)
{
    if (text) eng_text_out_put(out, text, strlen(text));
}

/* A name as a column of CSV: with quotes only where it needs them. */
static void encoding_csv_name(struct eng_text_out *out, const char *name)
{
    if (!strpbrk(name, ",\"\r\n")) {
        encoding_text(out, name);
        return;
    }
    eng_text_out_char(out, '"');
    for (; *name; name++) {
        if (*name == '"') eng_text_out_char(out, '"');
        eng_text_out_char(out, *name);
    }
    eng_text_out_char(out, '"');
}

void eng_encoding_head(const struct eng_encoding *encoding, struct eng_text_out *out)
{
    if (encoding->format == PEN_BINARY) {
        eng_binary_encode_header(encoding->layout, out);
    } else if (encoding->format == PEN_CSV) {
        encoding_text(out, encoding->prefix);
        if (encoding->row_column) {
            encoding_csv_name(out, encoding->row_column);
            eng_text_out_char(out, ',');
        }
        eng_csv_encode_header(&encoding->csv, out);
    }
}

static void encoding_csv(const struct eng_encoding *encoding, const void *record, enum pen_row row,
                         struct eng_text_out *out)
{
    if (encoding->row_column) {
        encoding_text(out, eng_row_name(row));
        eng_text_out_char(out, ',');
    }
    eng_csv_encode(&encoding->csv, record, out);
}

/* The row kind goes into the object, before its other members. */
static void encoding_json(const struct eng_encoding *encoding, const void *record, enum pen_row row,
                          struct eng_text_out *out)
{
    if (encoding->row_column) {
        eng_text_out_char(out, '{');
        eng_json_string_put(out, pen_view_from(encoding->row_column));
        encoding_text(out, ":\"");
        encoding_text(out, eng_row_name(row));
        eng_text_out_char(out, '"');
        size_t brace = out->size_bytes;
        eng_json_encode(&encoding->json, record, out);
        CHECK(out->size_bytes >= brace + 2);
        CHECK(out->bytes[brace] == '{');
        /* The object's own brace becomes the comma, or goes when the object is empty. */
        if (out->bytes[brace + 1] == '}') {
            out->bytes[brace] = '}';
            out->size_bytes = brace + 1;
        } else {
            out->bytes[brace] = ',';
        }
    } else {
        eng_json_encode(&encoding->json, record, out);
    }
    eng_text_out_char(out, '\n');
}

bool eng_encoding_put(const struct eng_encoding *encoding, const void *record, enum pen_row row,
                      struct eng_text_out *out)
{
    if (encoding->format == PEN_BINARY) return eng_binary_encode(encoding->layout, record, out);
    encoding_text(out, encoding->prefix);
    if (encoding->format == PEN_CSV) {
        encoding_csv(encoding, record, row, out);
    } else if (encoding->format == PEN_JSON) {
        encoding_json(encoding, record, row, out);
    } else {
        if (encoding->row_column) {
            encoding_text(out, eng_row_name(row));
            eng_text_out_char(out, ' ');
        }
        eng_record_print(encoding->layout, record, out);
        eng_text_out_char(out, '\n');
    }
    return true;
}
