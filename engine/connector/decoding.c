#include "engine/connector/decoding.h"

#include <penstock.h>

#include "shm/check.h"

static int decoding_open_csv(struct eng_decoding *decoding, pen_view header,
                             struct eng_reason *reason)
{
    struct eng_csv csv = {0};
    int result = eng_csv_open(&csv, decoding->layout, decoding->separator, header, reason);

    if (result < 0) return result;
    eng_csv_close(&decoding->csv);
    decoding->csv = csv;
    return 0;
}

int eng_decoding_open(struct eng_decoding *decoding, enum pen_format format,
                      const struct eng_layout *layout, char separator, struct eng_reason *reason)
{
    int result = 0;

    *decoding = (struct eng_decoding){.format = format, .layout = layout, .separator = separator};
    if (format == PEN_CSV)
        result = decoding_open_csv(decoding, (pen_view){NULL, 0}, reason);
    else if (format == PEN_JSON)
        result = eng_json_open(&decoding->json, layout, reason);
    else
        CHECK(format == ENG_FORMAT_LINES);
    if (result < 0) return result;
    if (format == ENG_FORMAT_LINES)
        CHECK(layout->schema->size_bytes == sizeof(struct pen_line));
    else
        eng_builder_open(&decoding->builder, layout, 0);
    return 0;
}

void eng_decoding_close(struct eng_decoding *decoding)
{
    if (decoding->format == PEN_CSV) eng_csv_close(&decoding->csv);
    if (decoding->format == PEN_JSON) eng_json_close(&decoding->json);
    eng_builder_close(&decoding->builder);
    eng_text_out_close(&decoding->line);
    *decoding = (struct eng_decoding){0};
}

int eng_decoding_header(struct eng_decoding *decoding, pen_view line, struct eng_reason *reason)
{
    CHECK(decoding->format == PEN_CSV);
    CHECK(line.data != NULL); /* no data would mean: no header */
    return decoding_open_csv(decoding, line, reason);
}

/* A struct pen_line with its text right behind it. */
static enum eng_decoded decoding_plain(struct eng_decoding *decoding, pen_view line,
                                       const void **record, struct eng_reason *reason)
{
    struct pen_line head = {.text = {0, line.size_bytes}};

    if (line.size_bytes > ENG_RECORD_BYTES_MAX - sizeof head) {
        eng_reason_set(reason, "it has %u bytes; a record holds %u", line.size_bytes,
                       ENG_RECORD_BYTES_MAX);
        return ENG_DECODED_BAD;
    }
    if (line.size_bytes > 0) head.text.offset_bytes = (int32_t)sizeof head;
    eng_text_out_clear(&decoding->line);
    eng_text_out_put(&decoding->line, &head, sizeof head);
    eng_text_out_put(&decoding->line, line.data, line.size_bytes);
    *record = decoding->line.bytes;
    return ENG_DECODED_ONE;
}

enum eng_decoded eng_decoding_line(struct eng_decoding *decoding, pen_view line,
                                   const void **record, struct eng_reason *reason)
{
    uint32_t size_bytes;
    bool good;

    if (decoding->format == ENG_FORMAT_LINES) return decoding_plain(decoding, line, record, reason);
    if (line.size_bytes == 0) return ENG_DECODED_NOTHING;
    if (decoding->format == PEN_CSV)
        good = eng_csv_decode(&decoding->csv, line, &decoding->builder, reason);
    else
        good = eng_json_decode(&decoding->json, line, &decoding->builder, reason);
    if (!good) return ENG_DECODED_BAD;
    *record = eng_builder_finish(&decoding->builder, &size_bytes);
    return ENG_DECODED_ONE;
}
