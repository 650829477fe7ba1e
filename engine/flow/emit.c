/* The functions of penstock/function.h that put records into outputs. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/context.h"
#include "engine/flow/worker.h"

enum {
    EMIT_BYTES_MAX = 1 << 30, /* of one call that never returns: then it is a bug of the job */
};

/* ---- Checks ---------------------------------------------------------------------------------- */

/* Whether the output exists and carries records of this schema; else the job fails. */
static struct eng_output *emit_output(pen_context *ctx, uint32_t output,
                                      const struct pen_schema *schema)
{
    if (ctx->worker->failed) return NULL;
    if (ctx->phase != ENG_PHASE_RECORD) {
        eng_context_fail(ctx,
                         "it emits where no record is at hand (in open, close or a key function)");
        return NULL;
    }
    if (output >= ctx->output_count) {
        eng_context_fail(ctx, "it emits to output %u, and has %u (list it in .side)", output,
                         ctx->output_count);
        return NULL;
    }
    struct eng_output *out = &ctx->outputs[output];
    if (schema != out->node->schema && !eng_schema_same(schema, out->node->schema)) {
        eng_context_fail(ctx, "it emits %s to an output of %s", schema->name,
                         out->node->schema->name);
        return NULL;
    }
    return out;
}

/* Records whose texts can be read where they are: what was handed in, what pen_copy made, state. */
static bool emit_is_placed(const pen_context *ctx, const void *record)
{
    const struct pen_batch *view = &ctx->view;

    if (record == ctx->copied) return true;
    if (eng_keep_holds(&ctx->keep, record)) return true;
    if (eng_arena_holds(ctx->worker->arena, record)) return true;
    if (!ctx->batch) return false;
    uint32_t current = ctx->room.current;
    if (record == ctx->batch->records[current]) return true;
    if (view->others && record == view->others[current]) return true;
    for (uint32_t i = 0; i < ctx->batch->count; i++)
        if (record == ctx->batch->records[i]) return true;
    return false;
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static bool emit_text_is_null(const struct eng_field *field, const void *record)
{
    return eng_field_nullable(field) && eng_field_is_null(field, record);
}

/* Where the bytes of a text are now, or NULL and the job has failed. */
static const char *emit_text_source(pen_context *ctx, const struct eng_field *field,
                                    const pen_string *text, bool placed)
{
    if (text->offset_bytes < 0) {
        uint64_t position = (uint64_t)(-(int64_t)text->offset_bytes - 1);
        if (position + text->size_bytes <= ctx->put.used_bytes) return ctx->put.bytes + position;
        eng_context_fail(
            ctx,
            "the text of field %s was put for an earlier record; call pen_put again for "
            "each record that is emitted",
            field->name);
        return NULL;
    }
    if (placed && text->offset_bytes > 0) return (const char *)text + text->offset_bytes;
    eng_context_fail(
        ctx,
        "field %s is a copy of a text, and a text cannot be copied with =; write .%s = "
        "pen_put(ctx, &record->%s), or use pen_copy and pen_send",
        field->name, field->name, field->name);
    return NULL;
}

/* The bytes of all texts of a record that is about to be emitted. False: failed. */
static bool emit_texts_bytes(const struct eng_layout *layout, const void *record, uint64_t *bytes)
{
    *bytes = 0;
    for (uint32_t i = 0; i < layout->text_count; i++) {
        const struct eng_field *field = layout->texts[i];
        const pen_string *text = eng_field_of(field, record);
        if (!emit_text_is_null(field, record)) *bytes += text->size_bytes;
    }
    return *bytes + layout->fixed_bytes <= ENG_RECORD_BYTES_MAX;
}

/* Lays the texts of the record at `to` (a copy of `record`) behind its fixed part. Returns the
 * whole size, 0: failed. */
static uint32_t emit_lay_texts(pen_context *ctx, const struct eng_layout *layout, char *to,
                               const void *record, bool placed)
{
    uint32_t end = layout->fixed_bytes;

    for (uint32_t i = 0; i < layout->text_count; i++) {
        const struct eng_field *field = layout->texts[i];
        const pen_string *from = eng_field_of(field, record);
        pen_string *into = eng_field_at(field, to);

        if (from->size_bytes == 0 || emit_text_is_null(field, record)) {
            *into = (pen_string){0, 0};
            continue;
        }
        const char *source = emit_text_source(ctx, field, from, placed);
        if (!source) return 0;
        memcpy(to + end, source, from->size_bytes);
        into->offset_bytes = (int32_t)(to + end - (char *)into);
        into->size_bytes = from->size_bytes;
        end += from->size_bytes;
    }
    uint32_t whole = eng_record_round(end);
    memset(to + end, 0, whole - end);
    return whole;
}

/* ---- Places for records ---------------------------------------------------------------------- */

/* A place of size_bytes for the next record of an output. Delivers what is there when it is full.
 */
static char *output_place(pen_context *ctx, struct eng_output *out, uint64_t size_bytes)
{
    bool is_main = out == ctx->outputs;
    char *at = is_main ? ctx->room.at : out->at;

    if (eng_output_count(ctx, out) == out->count_max ||
        (uint64_t)(out->bytes + out->capacity_bytes - at) < size_bytes) {
        eng_output_deliver(ctx, out);
        if (out->capacity_bytes < size_bytes) {
            free(out->bytes);
            out->capacity_bytes = size_bytes;
            out->bytes = out->at = malloc(size_bytes);
            CHECK(out->bytes != NULL);
            if (is_main) {
                ctx->room.at = out->bytes;
                ctx->room.limit = out->bytes + size_bytes;
            }
        }
        at = out->bytes;
    }
    return at;
}

/* The record at `at` is complete. */
static void output_take(pen_context *ctx, struct eng_output *out, char *at, uint32_t size_bytes,
                        uint32_t from, enum pen_row row)
{
    uint32_t count = eng_output_count(ctx, out);

    out->records[count] = at;
    out->from[count] = from;
    if (out->has_rows) {
        const struct eng_batch *in = ctx->batch;
        if (row == PEN_SAME) row = in && in->rows ? (enum pen_row)in->rows[from] : PEN_INSERT;
        out->rows[count] = (uint8_t)row;
    }
    if (out == ctx->outputs) {
        ctx->room.at = at + size_bytes;
        if (ctx->room.from) ctx->room.from++;
    } else {
        out->at = at + size_bytes;
    }
    out->count++; /* of the main output with records of fixed size nobody looks at it */
}

static void emit_one(pen_context *ctx, struct eng_output *out, uint32_t from, enum pen_row row,
                     const void *record, bool placed)
{
    const struct eng_layout *layout = &out->node->layout;
    uint64_t texts_bytes = 0;

    if (row != PEN_SAME && !out->has_rows) {
        eng_context_fail(ctx, "it gives a record a row kind; say .gives_updates = true");
        return;
    }
    if (layout->text_count > 0 && !emit_texts_bytes(layout, record, &texts_bytes)) {
        eng_context_fail(ctx, "it emits a %s of %" PRIu64 " bytes; the limit is %u",
                         layout->schema->name, texts_bytes + layout->fixed_bytes,
                         ENG_RECORD_BYTES_MAX);
        return;
    }
    uint64_t room_bytes = eng_record_round((uint32_t)(layout->fixed_bytes + texts_bytes));
    char *at = output_place(ctx, out, room_bytes);
    uint32_t size_bytes = layout->fixed_bytes;

    memcpy(at, record, layout->schema->size_bytes);
    memset(at + layout->schema->size_bytes, 0, layout->fixed_bytes - layout->schema->size_bytes);
    if (layout->text_count > 0) {
        size_bytes = emit_lay_texts(ctx, layout, at, record, placed);
        if (size_bytes == 0) return;
    }
    output_take(ctx, out, at, size_bytes, from, row);
}

/* ---- Public ---------------------------------------------------------------------------------- */

void pen_emit_record(pen_context *ctx, uint32_t output, enum pen_row row,
                     const struct pen_schema *schema, const void *record)
{
    struct eng_output *out = emit_output(ctx, output, schema);

    if (!out) return;
    bool placed = out->node->layout.text_count > 0 && emit_is_placed(ctx, record);
    emit_one(ctx, out, ctx->room.current, row, record, placed);
    ctx->put.used_bytes = 0;
    ctx->copied = NULL;
}

void eng_context_emit(pen_context *ctx, uint32_t output, enum pen_row row,
                      const struct pen_schema *schema, const void *record)
{
    struct eng_output *out = emit_output(ctx, output, schema);

    if (out) emit_one(ctx, out, ctx->room.current, row, record, true);
}

uint32_t eng_context_laid_bytes(pen_context *ctx, const struct eng_layout *layout,
                                const void *record)
{
    uint64_t texts_bytes;

    if (emit_texts_bytes(layout, record, &texts_bytes))
        return eng_record_round((uint32_t)(layout->fixed_bytes + texts_bytes));
    eng_context_fail(ctx, "a %s is larger than %u bytes", layout->schema->name,
                     ENG_RECORD_BYTES_MAX);
    return 0;
}

bool eng_context_lay_at(pen_context *ctx, const struct eng_layout *layout, const void *record,
                        char *to)
{
    bool placed = layout->text_count > 0 && emit_is_placed(ctx, record);

    memcpy(to, record, layout->schema->size_bytes);
    memset(to + layout->schema->size_bytes, 0, layout->fixed_bytes - layout->schema->size_bytes);
    bool laid = emit_lay_texts(ctx, layout, to, record, placed) > 0;
    ctx->put.used_bytes = 0;
    return laid;
}

void *eng_context_lay(pen_context *ctx, const struct eng_layout *layout, const void *record,
                      uint32_t *size_bytes)
{
    uint64_t texts_bytes;

    if (!emit_texts_bytes(layout, record, &texts_bytes)) {
        eng_context_fail(ctx, "a %s is larger than %u bytes", layout->schema->name,
                         ENG_RECORD_BYTES_MAX);
        return NULL;
    }
    char *to = calloc(1, eng_record_round((uint32_t)(layout->fixed_bytes + texts_bytes)));
    CHECK(to != NULL);
    memcpy(to, record, layout->schema->size_bytes);
    *size_bytes = emit_lay_texts(ctx, layout, to, record, record == ctx->copied);
    ctx->put.used_bytes = 0;
    if (*size_bytes > 0) return to;
    free(to);
    return NULL;
}

void pen_emit_batch(pen_context *ctx, uint32_t output, const struct pen_schema *schema,
                    const void *const *records, const uint32_t *from, const uint8_t *rows,
                    uint32_t count)
{
    struct eng_output *out = emit_output(ctx, output, schema);

    if (!out) return;
    for (uint32_t i = 0; i < count && !ctx->worker->failed; i++)
        emit_one(ctx, out, from ? from[i] : ctx->room.current,
                 rows ? (enum pen_row)rows[i] : PEN_SAME, records[i],
                 out->node->layout.text_count > 0 && emit_is_placed(ctx, records[i]));
    ctx->put.used_bytes = 0;
}

void *pen_copy_record(pen_context *ctx, const struct pen_schema *schema, const void *record)
{
    const struct eng_layout *layout = eng_context_layout(ctx, schema);

    if (!layout) {
        eng_context_fail(ctx, "pen_copy of a %s, which is not among its records", schema->name);
        return eng_context_text(ctx, schema->size_bytes);
    }
    uint32_t bytes = eng_record_bytes(layout, record);
    CHECK(bytes > 0);
    void *copy = eng_context_text(ctx, bytes);
    CHECK(eng_record_copy(layout, copy, bytes, record) > 0);
    ctx->copied = copy;
    return copy;
}

/* ---- Putting texts --------------------------------------------------------------------------- */

static char *put_claim(pen_context *ctx, uint32_t size_bytes)
{
    struct eng_put *put = &ctx->put;
    uint64_t need = (uint64_t)put->used_bytes + size_bytes;

    if (need > put->capacity_bytes) {
        if (need > EMIT_BYTES_MAX)
            eng_context_die(ctx, "it puts texts of more than %u bytes for one record",
                            EMIT_BYTES_MAX);
        uint64_t capacity = put->capacity_bytes ? put->capacity_bytes : 1024;
        while (capacity < need)
            capacity *= 2;
        put->bytes = realloc(put->bytes, capacity);
        CHECK(put->bytes != NULL);
        put->capacity_bytes = (uint32_t)capacity;
    }
    char *at = put->bytes + put->used_bytes;
    put->used_bytes += size_bytes;
    return at;
}

/* Offsets below zero are positions among what was put: -1 is the first byte. */
static pen_string put_string(const pen_context *ctx, const char *at, uint32_t size_bytes)
{
    pen_string string = {0, size_bytes};
    if (size_bytes > 0) string.offset_bytes = -(int32_t)(at - ctx->put.bytes) - 1;
    return string;
}

pen_string pen_put_view(pen_context *ctx, pen_view text)
{
    if (text.size_bytes == 0) return (pen_string){0, 0};
    char *at = put_claim(ctx, text.size_bytes);
    memcpy(at, text.data, text.size_bytes);
    return put_string(ctx, at, text.size_bytes);
}

pen_string pen_putf(pen_context *ctx, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(size >= 0);
    char *at = put_claim(ctx, (uint32_t)size + 1);
    va_start(args, format);
    vsnprintf(at, (size_t)size + 1, format, args);
    va_end(args);
    ctx->put.used_bytes--; /* the NUL is not part of it */
    return put_string(ctx, at, (uint32_t)size);
}

pen_bytes pen_put_bytes(pen_context *ctx, const void *bytes, uint32_t size_bytes)
{
    pen_string put = pen_put_view(ctx, (pen_view){bytes, size_bytes});
    return (pen_bytes){put.offset_bytes, put.size_bytes};
}
