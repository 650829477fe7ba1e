/* pen_emit_decoded: a line of CSV or an object of JSON becomes a record. */
#include <stdlib.h>

#include "engine/flow/context.h"
#include "engine/flow/worker.h"
#include "engine/record/csv.h"
#include "engine/record/json.h"

struct eng_decoder {
    struct eng_decoder *next;
    const struct pen_schema *schema;
    enum pen_format format;
    const struct eng_layout *layout;
    struct eng_csv csv;
    struct eng_json json;
    struct eng_builder builder;
};

static struct eng_decoder *decode_open(pen_context *ctx, uint32_t output, enum pen_format format,
                                       const struct pen_schema *schema)
{
    struct eng_reason reason = {{0}};

    if (output >= ctx->output_count ||
        !eng_schema_same(schema, ctx->outputs[output].node->schema)) {
        eng_context_fail(ctx, "it decodes a %s for output %u, which is of another type",
                         schema->name, output);
        return NULL;
    }
    struct eng_decoder *decoder = calloc(1, sizeof *decoder);
    CHECK(decoder != NULL);
    decoder->schema = schema;
    decoder->format = format;
    decoder->layout = &ctx->outputs[output].node->layout;
    int result = format == PEN_CSV
                     ? eng_csv_open(&decoder->csv, decoder->layout, 0, (pen_view){NULL, 0}, &reason)
                     : eng_json_open(&decoder->json, decoder->layout, &reason);
    if (result < 0) {
        eng_context_fail(ctx, "it cannot decode a %s: %s", schema->name, reason.text);
        free(decoder);
        return NULL;
    }
    eng_builder_open(&decoder->builder, decoder->layout, 0);
    decoder->next = ctx->decoders;
    ctx->decoders = decoder;
    return decoder;
}

static struct eng_decoder *decode_find(pen_context *ctx, enum pen_format format,
                                       const struct pen_schema *schema)
{
    for (struct eng_decoder *decoder = ctx->decoders; decoder; decoder = decoder->next)
        if (decoder->schema == schema && decoder->format == format) return decoder;
    return NULL;
}

bool pen_emit_decoded(pen_context *ctx, uint32_t output, enum pen_format format,
                      const struct pen_schema *schema, pen_view text)
{
    struct eng_reason reason = {{0}};
    struct eng_decoder *decoder = decode_find(ctx, format, schema);

    if (format != PEN_CSV && format != PEN_JSON) {
        eng_context_fail(ctx, "it decodes a text of format %d; there are PEN_CSV and PEN_JSON",
                         (int)format);
        return false;
    }
    if (!decoder) decoder = decode_open(ctx, output, format, schema);
    if (!decoder) return false;
    bool decoded = format == PEN_CSV
                       ? eng_csv_decode(&decoder->csv, text, &decoder->builder, &reason)
                       : eng_json_decode(&decoder->json, text, &decoder->builder, &reason);
    if (!decoded) {
        eng_context_reject(ctx, reason.text, text);
        return false;
    }
    uint32_t size_bytes;
    const void *record = eng_builder_finish(&decoder->builder, &size_bytes);
    eng_context_emit(ctx, output, PEN_SAME, schema, record);
    return !ctx->worker->failed;
}

void eng_context_decoders_close(pen_context *ctx)
{
    for (struct eng_decoder *decoder = ctx->decoders, *next; decoder; decoder = next) {
        next = decoder->next;
        eng_builder_close(&decoder->builder);
        eng_csv_close(&decoder->csv);
        eng_json_close(&decoder->json);
        free(decoder);
    }
    ctx->decoders = NULL;
}
