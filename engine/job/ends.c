/* Where a graph begins and ends: pen_source, pen_generate, pen_sink, and the connectors made of
 * them. */
#include <math.h>
#include <string.h>

#include "engine/job/stream.h"
#include "engine/operator/operators.h"

/* What may block runs in a process of its own, and one is enough unless more are asked for. */
static void ends_set_blocking(struct eng_node *node, bool blocking)
{
    struct graph_node *made = eng_graph_node_of(node);

    node->blocking = blocking;
    if (blocking && made->wanted == 0) made->wanted = 1;
}

pen_stream eng_graph_add_source(struct pen_graph *graph, const struct pen_source *given,
                                const char *name)
{
    struct eng_call call;
    struct pen_source *options = eng_call_open(&call, graph, name, given, sizeof *options);
    const struct eng_layout *out = NULL;

    graph->source_calls++;
    if (!options) return eng_graph_bad_stream(graph);
    struct eng_common common = ENG_COMMON_OF(options);
    eng_call_about(&call, options->poll);
    options->poll = eng_call_function(&call, options->poll, PEN_IS_SOURCE, NULL);
    if (options->poll) {
        out = eng_call_layout(&call, options->poll->out, "its result");
        eng_call_layout(&call, options->poll->state, "its split");
    }
    if (!options->plan)
        eng_call_mistake(&call, ".plan is missing: without splits there is nothing to read");
    if (options->plan_every < 0) eng_call_mistake(&call, ".plan_every is negative");
    if (options->plan_every > 0) eng_call_not_yet(&call, ".plan_every");
    eng_call_common(&call, &common);
    if (call.failed) return eng_call_give_up(&call, &common);

    struct eng_node *node = eng_call_node(&call, &eng_source_class, options, &common, options->poll,
                                          out, (struct eng_stream_kind){0});
    ends_set_blocking(node, options->blocking);
    node->cannot_rewind = options->no_rewind;
    eng_graph_node_of(node)->has_state = true;
    return eng_call_streams(&call, node, &common);
}

pen_stream pen_add_source(struct pen_graph *graph, const struct pen_source *source)
{
    return eng_graph_add_source(graph, source, "pen_source");
}

pen_stream pen_add_generate(struct pen_graph *graph, const struct pen_generate *given)
{
    struct eng_call call;
    struct pen_generate *options =
        eng_call_open(&call, graph, "pen_generate", given, sizeof *options);
    const struct eng_layout *out = NULL;

    graph->source_calls++;
    if (!options) return eng_graph_bad_stream(graph);
    struct eng_common common = ENG_COMMON_OF(options);
    eng_call_about(&call, options->make);
    options->make = eng_call_function(&call, options->make, PEN_IS_GENERATE, NULL);
    if (options->make) out = eng_call_layout(&call, options->make->out, "its result");
    if (!(options->rate >= 0) || !isfinite(options->rate))
        eng_call_mistake(&call, ".rate is %g records a second", options->rate);
    eng_call_common(&call, &common);
    if (call.failed) return eng_call_give_up(&call, &common);

    struct eng_node *node = eng_call_node(&call, &eng_generate_class, options, &common,
                                          options->make, out, (struct eng_stream_kind){0});
    eng_graph_node_of(node)->has_state = true;
    return eng_call_streams(&call, node, &common);
}

void eng_graph_add_sink(pen_stream from, const struct pen_sink *given, const char *name)
{
    struct eng_call call;
    struct pen_sink *options = eng_call_open(&call, from.graph, name, given, sizeof *options);

    from.graph->sink_calls++;
    if (!options) return;
    struct eng_common common = ENG_COMMON_OF(options);
    eng_call_about(&call, options->write);
    const struct graph_stream *stream = eng_call_stream(&call, from);
    if (!stream) return;

    options->write = eng_call_function(&call, options->write, PEN_IS_SINK, NULL);
    if (options->write) {
        eng_call_fits(&call, "it", options->write->in, stream->layout->schema);
        if (options->write->seal || options->write->commit)
            eng_call_not_yet(&call, "sinks in two phases");
    }
    if (!options->takes_updates)
        eng_call_inserts_only(&call, stream, "it",
                              strcmp(name, "pen_sink") == 0
                                  ? "write .takes_updates = true if it looks at pen_row"
                                  : NULL);
    if (options->side && options->side->name)
        eng_call_mistake(&call, ".side: a sink has no outputs");
    eng_call_common(&call, &common);
    if (call.failed) return;

    struct eng_node *node = eng_call_node(&call, &eng_sink_class, options, &common, options->write,
                                          NULL, (struct eng_stream_kind){0});
    ends_set_blocking(node, options->blocking);
    eng_graph_node_of(node)->is_sink = true;
    eng_stream_feed(&call, node, 0, stream, ENG_FORWARD);
}

void pen_add_sink(pen_stream from, const struct pen_sink *sink)
{
    eng_graph_add_sink(from, sink, "pen_sink");
}
