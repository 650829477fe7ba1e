/* Fuzzes the CSV reader: the first byte chooses separator and header, the rest is a file. Its lines
 * are found, decoded, verified, encoded and decoded again: the record must be the same. */
#include <stdlib.h>

#include "engine/record/csv.h"
#include "shm/check.h"

struct every {
    bool flag;
    int8_t small;
    pen_opt_int32 number;
    int64_t large;
    pen_opt_uint64 huge;
    float real;
    pen_opt_double wide;
    pen_time at;
    pen_opt_date day;
    pen_code code;
    pen_opt_code opt_code;
    char chars[5];
    pen_string text;
    pen_opt_string more;
    pen_opt_bytes bytes;
    int16_t list[2];
};
PEN_RECORD(every, flag, small, number, large, huge, real, wide, at, day, code, opt_code, chars,
           text, more, bytes, list);

struct loose {
    pen_opt_int32 a;
    pen_opt_string b;
    pen_string c;
};
PEN_RECORD(loose, a, b, c);

static void fuzz_line(const struct eng_csv *csv, pen_view line, struct eng_builder *builder,
                      struct eng_builder *again, struct eng_text_out *out)
{
    struct eng_reason reason;
    const void *record, *back;
    uint32_t bytes;

    if (!eng_csv_decode(csv, line, builder, &reason)) {
        CHECK(memchr(reason.text, 0, sizeof reason.text));
        return;
    }
    record = eng_builder_finish(builder, &bytes);
    CHECK(eng_record_verify(csv->layout, record, bytes) == 0);
    if (csv->named) return; /* written in another order than it is read */
    eng_text_out_clear(out);
    eng_csv_encode(csv, record, out);
    CHECK(eng_csv_decode(csv, eng_text_out_view(out), again, &reason));
    back = eng_builder_finish(again, &bytes);
    CHECK(eng_record_verify(csv->layout, back, bytes) == 0);
    if (!eng_record_equal(csv->layout, record, back)) {
        /* The one thing that does not come back: which NaN it was. */
        size_t size = out->size_bytes;
        eng_csv_encode(csv, back, out);
        CHECK(out->size_bytes == 2 * size);
        CHECK(memcmp(out->bytes, out->bytes + size, size) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char separators[] = ",;\t|.-1 ";
    const struct pen_schema *schema;
    struct eng_layout layout;
    struct eng_csv csv;
    struct eng_builder builder, again;
    struct eng_text_out out = {0};
    struct eng_csv_scan scan = {0};
    const char *at = (const char *)data + 1, *end = (const char *)data + size;
    pen_view header = {NULL, 0};
    size_t found;

    if (size < 2 || size > 1 << 20) return 0;
    schema = data[0] & 8 ? &loose_schema : &every_schema;
    scan.separator = separators[data[0] & 7];
    scan.multiline = data[0] & 16;
    CHECK(eng_layout_open(&layout, schema, NULL, 0) == 0);
    if (data[0] & 32) {
        found = eng_csv_line_end(&scan, at, (size_t)(end - at));
        if (found == 0) found = (size_t)(end - at);
        header = pen_view_sized(at, (uint32_t)found);
        at += found;
        scan.state = 0;
    }
    if (eng_csv_open(&csv, &layout, scan.separator, header, NULL) == 0) {
        eng_builder_open(&builder, &layout, 0);
        eng_builder_open(&again, &layout, 0);
        while (at < end) {
            found = eng_csv_line_end(&scan, at, (size_t)(end - at));
            if (found == 0) found = (size_t)(end - at);
            fuzz_line(&csv, pen_view_sized(at, (uint32_t)found), &builder, &again, &out);
            at += found;
        }
        eng_builder_close(&builder);
        eng_builder_close(&again);
        eng_csv_close(&csv);
    }
    eng_text_out_close(&out);
    eng_layout_close(&layout);
    return 0;
}
