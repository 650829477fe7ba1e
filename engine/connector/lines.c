#include "engine/connector/lines.h"

#include <string.h>

#include "shm/check.h"

void eng_lines_open(struct eng_lines *lines, struct eng_intake *intake,
                    const struct eng_lines_options *options)
{
    CHECK(options->end_offset >= 0);
    *lines = (struct eng_lines){
        .intake = intake,
        .options = *options,
        .scan = {.separator = options->separator, .multiline = options->multiline},
        .position = intake->offset,
        .next_number = options->line_number,
    };
    if (options->end_offset != INT64_MAX) intake->end_hint = options->end_offset;
}

/* Bytes of `bytes` up to the end of the line, \n included; 0: the end is not among them. */
static inline size_t lines_find_end(struct eng_lines *lines, const char *bytes, size_t size_bytes)
{
    if (lines->options.multiline) return eng_csv_line_end(&lines->scan, bytes, size_bytes);
    const char *end = memchr(bytes, '\n', size_bytes);
    return end ? (size_t)(end - bytes) + 1 : 0;
}

/* The line of `bytes` bytes, its end included, is done. */
static void lines_advance(struct eng_lines *lines, uint64_t bytes)
{
    lines->offset = lines->position;
    lines->number = lines->next_number;
    lines->bytes = bytes;
    lines->position += (int64_t)bytes;
    if (lines->next_number > 0) lines->next_number++;
    lines->scanned_bytes = 0;
    lines->passing = false;
    CHECK(lines->position == lines->intake->offset);
}

/* What people see of it: no end, no byte order mark. */
static pen_view lines_trim(const struct eng_lines *lines, const char *bytes, size_t size_bytes)
{
    if (size_bytes > 0 && bytes[size_bytes - 1] == '\n') {
        size_bytes--;
        if (size_bytes > 0 && bytes[size_bytes - 1] == '\r') size_bytes--;
    }
    if (lines->offset == 0 && size_bytes >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) {
        bytes += 3;
        size_bytes -= 3;
    }
    return (pen_view){bytes, (uint32_t)size_bytes};
}

/* The first `size_bytes` of the window end the line at hand. */
static enum eng_lines_next lines_finish(struct eng_lines *lines, size_t size_bytes, pen_view *line)
{
    size_t window_bytes;
    const char *window = eng_intake_window(lines->intake, &window_bytes);
    bool passing = lines->passing;

    CHECK(size_bytes <= window_bytes);
    eng_intake_take(lines->intake, size_bytes);
    lines_advance(lines, (uint64_t)(lines->intake->offset - lines->position));
    if (passing) return ENG_LINES_LONG;
    *line = lines_trim(lines, window, size_bytes);
    return line->size_bytes > ENG_RECORD_BYTES_MAX ? ENG_LINES_LONG : ENG_LINES_ONE;
}

/* The input has ended. What is in the window is the last line, which has no end of its own. */
static enum eng_lines_next lines_end(struct eng_lines *lines, pen_view *line)
{
    size_t window_bytes;

    eng_intake_window(lines->intake, &window_bytes);
    if (lines->options.follow) return ENG_LINES_LATER;
    if (window_bytes == 0 && !lines->passing) return ENG_LINES_END;
    lines->scan.state = 0;
    return lines_finish(lines, window_bytes, line);
}

enum eng_lines_next eng_lines_next(struct eng_lines *lines, pen_view *line,
                                   struct eng_reason *reason)
{
    struct eng_intake *intake = lines->intake;

    if (lines->position >= lines->options.end_offset) return ENG_LINES_END;
    for (unsigned filled = 0;; filled++) {
        size_t window_bytes;
        const char *window = eng_intake_window(intake, &window_bytes);
        size_t scanned = lines->scanned_bytes;

        CHECK(scanned <= window_bytes);
        if (scanned < window_bytes) {
            size_t end = lines_find_end(lines, window + scanned, window_bytes - scanned);
            if (end > 0) return lines_finish(lines, scanned + end, line);
            lines->scanned_bytes = window_bytes;
        }
        /* Two bytes more for the end: a line of exactly the limit is no longer than that. */
        if (lines->passing || window_bytes > ENG_RECORD_BYTES_MAX + 2) {
            lines->passing = true;
            lines->scanned_bytes = 0;
            eng_intake_take(intake, window_bytes);
        }
        if (filled > 0) return ENG_LINES_MORE;
        switch (eng_intake_fill(intake, reason)) {
        case ENG_FILLED_MORE:
            break;
        case ENG_FILLED_LATER:
            return ENG_LINES_LATER;
        case ENG_FILLED_END:
            return lines_end(lines, line);
        case ENG_FILLED_FAILED:
            return ENG_LINES_FAILED;
        }
    }
}
