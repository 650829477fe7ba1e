/* pen_print: a stream on standard output, for people. pen_discard: a stream that is not looked at.
 *
 * A row of an updating stream is shown with its kind: +I -U +U -D. In CSV and JSON the kind is a
 * column `op`. What a failure repeats is printed again: there is no taking back a line that was
 * read. */
#include <string.h>

#include "engine/connector/standard_output.h"
#include "engine/flow/context.h"
#include "engine/job/graph.h"

#define PRINT_ROW_COLUMN "op"

struct print_program {
    enum pen_format format; /* 0: for people */
    const char *prefix;
    bool updating;
};

static void print_open(pen_context *ctx)
{
    const struct print_program *program = pen_user(ctx);
    struct eng_standard_output *output = pen_local(ctx, sizeof *output);
    struct eng_reason reason;

    eng_standard_output_open(output);
    if (eng_encoding_open(&output->encoding, program->format, ctx->node->ports[0].layout,
                          program->updating ? PRINT_ROW_COLUMN : NULL, program->prefix,
                          &reason) < 0) {
        pen_fail(ctx, "%s", reason.text);
        return;
    }
    eng_encoding_head(&output->encoding, &output->out);
    eng_standard_output_flush(ctx, output);
}

/* Touches nothing: what it costs is what the stream before it costs. */
static void discard_loop(pen_context *ctx, const struct pen_batch *batch)
{
    (void)ctx;
    *batch->current = batch->count;
}

static bool print_options_good(pen_stream stream, const struct pen_print *print,
                               const struct eng_layout *layout)
{
    struct pen_graph *graph = stream.graph;

    if ((unsigned)print->format > PEN_JSON) {
        eng_graph_mistake(graph, &print->origin, "pen_print: .format may be PEN_CSV or PEN_JSON");
        return false;
    }
    if (print->to_nowhere || !print->format) return true;
    if (eng_graph_stream_kind(stream).updating && eng_layout_find(layout, PRINT_ROW_COLUMN)) {
        eng_graph_mistake(graph, &print->origin,
                          "pen_print: the stream is updating and has a field \"" PRINT_ROW_COLUMN
                          "\", where the row kind would be printed");
        return false;
    }
    return true;
}

void pen_add_print(pen_stream stream, const struct pen_print *given)
{
    struct pen_graph *graph = stream.graph;
    const struct pen_print *print = eng_graph_read(graph, "pen_print", given, sizeof *print);
    const struct eng_layout *layout = print ? eng_graph_stream_layout(stream) : NULL;

    if (!layout || !print_options_good(stream, print, layout)) return;
    struct print_program *program = eng_graph_keep(graph, sizeof *program);
    struct pen_function *function = eng_graph_keep(graph, sizeof *function);
    *program = (struct print_program){
        .format = print->format,
        .prefix = eng_graph_keep_text(graph, print->prefix),
        .updating = eng_graph_stream_kind(stream).updating,
    };
    *function = (struct pen_function){
        .abi = PEN_ABI,
        .size_bytes = sizeof *function,
        .kind = PEN_IS_SINK,
        .name = print->to_nowhere ? "discard" : "print",
        .in = layout->schema,
        .loop = print->to_nowhere ? discard_loop : eng_standard_output_loop,
    };
    struct pen_sink sink = {
        .origin = print->origin,
        .write = function,
        .takes_updates = true,
        .id = print->id,
        .user = program,
    };
    sink.origin.size_bytes = sizeof sink;
    if (!print->to_nowhere) {
        sink.blocking = true;
        sink.parallelism = 1;
        sink.open = print_open;
        sink.close = eng_standard_output_close;
    }
    eng_graph_add_sink(stream, &sink, print->to_nowhere ? "pen_discard" : "pen_print");
}
