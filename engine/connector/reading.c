#include "engine/connector/reading.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/context.h"
#include "shm/check.h"

enum {
    READING_RECORDS_MAX = 512, /* of one poll */
    READING_TURNS_MAX = 4,     /* without a record, of one poll */
};

/* ---- Opening and closing --------------------------------------------------------------------- */

static bool reading_has_header(const struct eng_reading *reading)
{
    return reading->options.format == PEN_CSV && !reading->options.no_header;
}

static bool reading_is_binary(const struct eng_reading *reading)
{
    return reading->options.format == PEN_BINARY;
}

static int reading_begin(struct eng_reading *reading, const struct eng_reading_options *options,
                         const char *name, struct eng_reason *reason)
{
    *reading = (struct eng_reading){.options = *options, .name = strdup(name)};
    CHECK(reading->name != NULL);
    if (reading_is_binary(reading)) {
        eng_builder_open(&reading->builder, options->layout, 0);
        return 0;
    }
    return eng_decoding_open(&reading->decoding, options->format, options->layout,
                             options->separator, reason);
}

static void reading_open_lines(struct eng_reading *reading, const struct eng_reading_place *place)
{
    struct eng_lines_options lines = {
        .end_offset = place->end_offset,
        .line_number = place->line_number,
        .multiline = reading->options.multiline,
        .separator = reading->options.separator,
        .follow = reading->options.follow,
    };

    if (!reading_is_binary(reading)) eng_lines_open(&reading->lines, &reading->intake, &lines);
}

int eng_reading_open_descriptor(struct eng_reading *reading,
                                const struct eng_reading_options *options, int fd, const char *name,
                                struct eng_reason *reason)
{
    struct eng_reading_place place = {.end_offset = INT64_MAX, .line_number = 1};
    int result = reading_begin(reading, options, name, reason);

    if (result < 0) {
        eng_reading_close(reading);
        return result;
    }
    eng_intake_open_descriptor(&reading->intake, fd, reading->name);
    reading->header_due = reading_has_header(reading);
    reading_open_lines(reading, &place);
    return 0;
}

static void reading_close_binary(struct eng_reading *reading)
{
    if (reading->head_done) {
        eng_copy_plan_close(&reading->plan);
        eng_binary_close(&reading->binary);
    }
    eng_builder_close(&reading->builder);
}

void eng_reading_close(struct eng_reading *reading)
{
    if (!reading->name) return;
    if (reading_is_binary(reading))
        reading_close_binary(reading);
    else
        eng_decoding_close(&reading->decoding);
    eng_intake_close(&reading->intake);
    free(reading->name);
    *reading = (struct eng_reading){0};
}

/* ---- The head of a file ---------------------------------------------------------------------- */

/* A reason about the whole file. */
static int reading_refuse(const struct eng_reading *reading, struct eng_reason *reason, int result)
{
    struct eng_reason why = *reason;
    eng_reason_set(reason, "%s: %s", reading->name, why.text);
    return result;
}

static int reading_take_header(struct eng_reading *reading, pen_view line,
                               struct eng_reason *reason)
{
    int result = eng_decoding_header(&reading->decoding, line, reason);

    reading->header_due = false;
    return result < 0 ? reading_refuse(reading, reason, result) : 0;
}

/* The head of a binary file, once enough of it is in the window. -EAGAIN: it is not. */
static int reading_take_head(struct eng_reading *reading, struct eng_reason *reason)
{
    size_t bytes;
    const char *window = eng_intake_window(&reading->intake, &bytes);
    int64_t head_bytes = eng_binary_open(&reading->binary, window, bytes, reason);

    if (head_bytes == -EAGAIN) return -EAGAIN;
    if (head_bytes < 0) return reading_refuse(reading, reason, (int)head_bytes);
    int result = eng_copy_plan_open(&reading->plan, &reading->binary.layout,
                                    reading->options.layout, true, reason);
    if (result < 0) {
        eng_binary_close(&reading->binary);
        return reading_refuse(reading, reason, result);
    }
    reading->head_done = true;
    eng_intake_take(&reading->intake, (size_t)head_bytes);
    return 0;
}

/* The head is in the next line, or at the window's front. 1: there is none, the file is empty. */
static int reading_read_head(struct eng_reading *reading, struct eng_reason *reason)
{
    pen_view line;

    for (;;) {
        if (reading_is_binary(reading)) {
            size_t bytes;
            int result = reading_take_head(reading, reason);
            if (result != -EAGAIN) return result;
            enum eng_filled filled = eng_intake_fill(&reading->intake, reason);
            if (filled == ENG_FILLED_FAILED) return -EIO;
            if (filled == ENG_FILLED_MORE) continue;
            eng_intake_window(&reading->intake, &bytes);
            if (bytes == 0) return 1;
            eng_reason_set(reason, "%s: the file ends in its head", reading->name);
            return -EBADMSG;
        }
        switch (eng_lines_next(&reading->lines, &line, reason)) {
        case ENG_LINES_ONE:
            return reading_take_header(reading, line, reason);
        case ENG_LINES_LONG:
            eng_reason_set(reason,
                           "%s: its first line, which should name the columns, has %llu bytes",
                           reading->name, (unsigned long long)reading->lines.bytes);
            return -EBADMSG;
        case ENG_LINES_MORE:
            break;
        case ENG_LINES_FAILED:
            return -EIO;
        case ENG_LINES_LATER:
        case ENG_LINES_END:
            return 1;
        }
    }
}

/* Reads the head in advance, with an intake of its own that begins where the file does. */
static int reading_open_head(struct eng_reading *reading, struct eng_reason *reason)
{
    struct eng_reading_place start = {.end_offset = INT64_MAX, .line_number = 1};
    int result = eng_intake_open_file(&reading->intake, reading->name, 0, reason);

    if (result < 0) return result;
    reading->intake.end_hint = 1; /* a header is short: do not read much */
    reading_open_lines(reading, &start);
    result = reading_read_head(reading, reason);
    eng_intake_close(&reading->intake);
    return result;
}

int eng_reading_open_file(struct eng_reading *reading, const struct eng_reading_options *options,
                          const char *path, const struct eng_reading_place *place,
                          struct eng_reason *reason)
{
    CHECK(place->position >= 0);
    int result = reading_begin(reading, options, path, reason);
    bool has_head = reading_has_header(reading) || reading_is_binary(reading);

    if (result == 0 && has_head && place->position > 0) {
        result = reading_open_head(reading, reason);
        if (result > 0) { /* it has become empty; then there is nothing at the position either */
            eng_reason_set(reason, "%s was cut short while it was being read", path);
            result = -EIO;
        }
    }
    if (result == 0)
        result = eng_intake_open_file(&reading->intake, reading->name, place->position, reason);
    if (result < 0) {
        eng_reading_close(reading);
        return result;
    }
    reading->header_due = reading_has_header(reading) && place->position == 0;
    reading_open_lines(reading, place);
    return 0;
}

int eng_reading_check_file(const struct eng_reading_options *options, const char *path,
                           struct eng_reason *reason)
{
    struct eng_reading reading;
    int result = reading_begin(&reading, options, path, reason);

    if (result == 0 && (reading_has_header(&reading) || reading_is_binary(&reading)))
        result = reading_open_head(&reading, reason);
    eng_reading_close(&reading);
    return result < 0 ? result : 0;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* file:line: reason, or what is known of the place. */
static void reading_place(const struct eng_reading *reading, struct eng_reason *reason)
{
    struct eng_reason why = *reason;

    if (reading->lines.number > 0)
        eng_reason_set(reason, "%s:%lld: %s", reading->name, (long long)reading->lines.number,
                       why.text);
    else
        eng_reason_set(reason, "%s, byte %lld: %s", reading->name, (long long)reading->lines.offset,
                       why.text);
}

static enum eng_read_step reading_step_line(struct eng_reading *reading, const void **record,
                                            pen_view *line, struct eng_reason *reason)
{
    switch (eng_lines_next(&reading->lines, line, reason)) {
    case ENG_LINES_ONE:
        break;
    case ENG_LINES_LONG:
        *line = (pen_view){"", 0};
        eng_reason_set(reason, "a line of %llu bytes; the longest record has %u%s",
                       (unsigned long long)reading->lines.bytes, ENG_RECORD_BYTES_MAX,
                       reading->options.multiline ? " (is a quote never closed?)" : "");
        reading_place(reading, reason);
        return reading->header_due ? ENG_READ_FAILED : ENG_READ_BAD;
    case ENG_LINES_MORE:
        return ENG_READ_MORE;
    case ENG_LINES_LATER:
        return ENG_READ_LATER;
    case ENG_LINES_END:
        return ENG_READ_END;
    case ENG_LINES_FAILED:
        return ENG_READ_FAILED;
    }
    if (reading->header_due)
        return reading_take_header(reading, *line, reason) < 0 ? ENG_READ_FAILED : ENG_READ_MORE;
    switch (eng_decoding_line(&reading->decoding, *line, record, reason)) {
    case ENG_DECODED_ONE:
        return ENG_READ_ONE;
    case ENG_DECODED_NOTHING:
        return ENG_READ_MORE;
    case ENG_DECODED_BAD:
        break;
    }
    reading_place(reading, reason);
    return ENG_READ_BAD;
}

/* ---- Binary records -------------------------------------------------------------------------- */

/* The window does not hold all of what comes next. */
static enum eng_read_step reading_fill_binary(struct eng_reading *reading,
                                              struct eng_reason *reason)
{
    size_t bytes;

    switch (eng_intake_fill(&reading->intake, reason)) {
    case ENG_FILLED_MORE:
        return ENG_READ_MORE;
    case ENG_FILLED_LATER:
        return ENG_READ_LATER;
    case ENG_FILLED_FAILED:
        return ENG_READ_FAILED;
    case ENG_FILLED_END:
        break;
    }
    if (reading->options.follow) return ENG_READ_LATER;
    eng_intake_window(&reading->intake, &bytes);
    if (bytes == 0) return ENG_READ_END;
    /* Whoever wrote it did not finish. What stands before is good and has been read. */
    eng_reason_set(reason,
                   "%s, byte %lld: the file ends in the middle of a record, %zu bytes of it",
                   reading->name, (long long)reading->intake.offset, bytes);
    eng_intake_take(&reading->intake, bytes);
    return ENG_READ_BAD;
}

static enum eng_read_step reading_step_binary(struct eng_reading *reading, const void **record,
                                              struct eng_reason *reason)
{
    size_t bytes;
    uint32_t record_bytes;

    if (!reading->head_done) {
        int result = reading_take_head(reading, reason);
        if (result == 0) return ENG_READ_MORE;
        return result == -EAGAIN ? reading_fill_binary(reading, reason) : ENG_READ_FAILED;
    }
    const char *window = eng_intake_window(&reading->intake, &bytes);
    int64_t taken = eng_binary_next(&reading->binary, window, bytes, record, &record_bytes, reason);
    if (taken == -EAGAIN) return reading_fill_binary(reading, reason);
    if (taken < 0) { /* nobody knows where the next record begins */
        struct eng_reason why = *reason;
        eng_reason_set(reason, "%s, byte %lld: %s", reading->name,
                       (long long)reading->intake.offset, why.text);
        return ENG_READ_FAILED;
    }
    eng_intake_take(&reading->intake, (size_t)taken);
    if (eng_schema_same(&reading->binary.schema, reading->options.layout->schema))
        return ENG_READ_ONE;
    eng_builder_begin(&reading->builder);
    if (!eng_copy_plan_build(&reading->plan, *record, &reading->builder, reason))
        return ENG_READ_BAD;
    *record = eng_builder_finish(&reading->builder, &record_bytes);
    return ENG_READ_ONE;
}

/* ---- Records --------------------------------------------------------------------------------- */

enum eng_read_step eng_reading_step(struct eng_reading *reading, const void **record,
                                    pen_view *line, struct eng_reason *reason)
{
    *line = (pen_view){"", 0};
    if (reading_is_binary(reading)) return reading_step_binary(reading, record, reason);
    return reading_step_line(reading, record, line, reason);
}

static enum eng_read_step reading_emit(pen_context *ctx, struct eng_reading *reading,
                                       struct eng_reason *reason)
{
    const struct pen_schema *schema = reading->options.layout->schema;
    const void *record;
    pen_view line;
    unsigned turns = 0;

    for (unsigned records = 0; records < READING_RECORDS_MAX;) {
        enum eng_read_step step = eng_reading_step(reading, &record, &line, reason);
        switch (step) {
        case ENG_READ_ONE:
            eng_context_emit(ctx, PEN_MAIN, PEN_SAME, schema, record);
            records++;
            break;
        case ENG_READ_BAD:
            eng_context_reject(ctx, reason->text, line);
            records++;
            break;
        case ENG_READ_MORE:
            if (++turns == READING_TURNS_MAX) return ENG_READ_MORE;
            break;
        case ENG_READ_LATER:
        case ENG_READ_END:
        case ENG_READ_FAILED:
            return step;
        }
        if (eng_context_has_failed(ctx)) return ENG_READ_END;
    }
    return ENG_READ_MORE;
}

enum eng_read_step eng_reading_emit(pen_context *ctx, struct eng_reading *reading,
                                    struct eng_reason *reason)
{
    enum eng_read_step step = reading_emit(ctx, reading, reason);

    eng_source_progress(ctx, eng_intake_consumed(&reading->intake));
    return step;
}

enum pen_poll eng_reading_result(enum eng_read_step step)
{
    switch (step) {
    case ENG_READ_ONE:
    case ENG_READ_BAD:
    case ENG_READ_MORE:
        return PEN_MORE;
    case ENG_READ_LATER:
        return PEN_IDLE;
    case ENG_READ_END:
    case ENG_READ_FAILED:
        break;
    }
    return PEN_END;
}

enum pen_poll eng_reading_poll(pen_context *ctx, struct eng_reading *reading)
{
    struct eng_reason reason;
    enum eng_read_step step = eng_reading_emit(ctx, reading, &reason);

    if (step == ENG_READ_FAILED) pen_fail(ctx, "%s", reason.text);
    return eng_reading_result(step);
}

int64_t eng_reading_position(const struct eng_reading *reading)
{
    return reading_is_binary(reading) ? reading->intake.offset : reading->lines.position;
}

int64_t eng_reading_line_number(const struct eng_reading *reading)
{
    return reading_is_binary(reading) ? 0 : reading->lines.next_number;
}
