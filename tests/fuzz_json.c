/* Fuzzes the JSON reader: each line is an object. What is read is verified, written and read again,
 * and must then be written the same. */
#include <stdlib.h>

#include "engine/record/json.h"
#include "engine/record/utf8.h"
#include "shm/check.h"

static struct pen_field fuzz_fields[] = {
    {"flag", 8, 1, PEN_TYPE_BOOL, 1, 0, 0},       {"i8", 9, 1, PEN_TYPE_INT8, 2, 0, 0},
    {"u16", 10, 2, PEN_TYPE_UINT16, 3, 0, 0},     {"f", 12, 4, PEN_TYPE_FLOAT, 4, 0, 0},
    {"a.i", 16, 8, PEN_TYPE_INT64, 5, 0, 0},      {"a.u", 24, 8, PEN_TYPE_UINT64, 6, 0, 0},
    {"a.b.d", 32, 8, PEN_TYPE_DOUBLE, 7, 0, 0},   {"a.b.t", 40, 8, PEN_TYPE_TIME, 8, 0, 0},
    {"s", 48, 8, PEN_TYPE_STRING, 9, 0, 0},       {"x", 56, 8, PEN_TYPE_BYTES, 10, 0, 0},
    {"c", 64, 8, PEN_TYPE_CODE, 11, 0, 0},        {"m", 72, 8, PEN_TYPE_DECIMAL64, 12, 10, 2},
    {"w", 80, 16, PEN_TYPE_DECIMAL128, 13, 0, 9}, {"day", 96, 4, PEN_TYPE_DATE, 14, 0, 0},
    {"l", 100, 12, PEN_TYPE_INT32, 15, 0, 0},     {"tod", 112, 8, PEN_TYPE_TIME_OF_DAY, 16, 0, 0},
    {"n", 120, 8, PEN_TYPE_STRING, 0, 0, 0},
};
static struct pen_schema fuzz_schema = {
    PEN_ABI, 128, 8, 17, "fuzzed", fuzz_fields, sizeof(struct pen_field), 0};

static void fuzz_line(const struct eng_json *json, pen_view line, struct eng_builder *builder,
                      struct eng_builder *again, struct eng_text_out *out)
{
    struct eng_reason reason;
    const void *record, *back;
    uint32_t bytes;
    size_t size;

    if (!eng_json_decode(json, line, builder, &reason)) {
        CHECK(memchr(reason.text, 0, sizeof reason.text));
        return;
    }
    record = eng_builder_finish(builder, &bytes);
    CHECK(eng_record_verify(json->layout, record, bytes) == 0);
    eng_text_out_clear(out);
    eng_json_encode(json, record, out);
    size = out->size_bytes;
    CHECK(eng_utf8_good(eng_text_out_view(out)) == size);
    CHECK(eng_json_decode(json, eng_text_out_view(out), again, &reason));
    back = eng_builder_finish(again, &bytes);
    CHECK(eng_record_verify(json->layout, back, bytes) == 0);
    CHECK(eng_record_equal(json->layout, record, back));
    eng_json_encode(json, back, out);
    CHECK(out->size_bytes == 2 * size);
    CHECK(memcmp(out->bytes, out->bytes + size, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct eng_layout layout;
    struct eng_json json;
    struct eng_builder builder, again;
    struct eng_text_out out = {0};
    pen_view rest = {(const char *)data, (uint32_t)size}, line;

    if (size == 0 || size > 1 << 20) return 0;
    CHECK(eng_layout_open(&layout, &fuzz_schema, NULL, 0) == 0);
    CHECK(eng_json_open(&json, &layout, NULL) == 0);
    eng_builder_open(&builder, &layout, 0);
    eng_builder_open(&again, &layout, 0);
    while (pen_view_field(&rest, "\n", &line))
        fuzz_line(&json, line, &builder, &again, &out);
    eng_builder_close(&builder);
    eng_builder_close(&again);
    eng_json_close(&json);
    eng_layout_close(&layout);
    eng_text_out_close(&out);
    return 0;
}
