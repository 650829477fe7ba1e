/* pen_top, pen_distinct, pen_latest, pen_earliest. */
#include "engine/job/stream.h"

/* Fields that an order names. */
static void top_check_order(struct eng_call *call, const struct pen_order *order,
                            const struct eng_layout *layout)
{
    for (; order && order->field; order++)
        eng_call_field(call, layout, order->field, ".order");
}

pen_stream pen_add_top(pen_keyed from, const struct pen_top *given)
{
    struct pen_graph *graph = from.stream.graph;
    struct eng_call call;
    struct pen_top *options = eng_call_open(&call, graph, "pen_top", given, sizeof *options);

    if (!options) return eng_graph_bad_stream(graph);
    const struct graph_stream *stream = eng_call_keyed(&call, from);
    if (!stream) return eng_call_give_up(&call, NULL);
    const struct eng_layout *out = eng_call_layout(&call, options->out, "its result");
    if (!options->order || !options->order->field) eng_call_mistake(&call, ".order is missing");
    top_check_order(&call, options->order, stream->layout);
    if (options->limit <= 0) eng_call_mistake(&call, ".limit is missing");
    if (options->rank && out) eng_call_field(&call, out, options->rank, ".rank");
    eng_call_not_yet(&call, NULL);
    return eng_call_give_up(&call, NULL);
}

pen_stream pen_add_dedup(pen_keyed from, const struct pen_dedup *given)
{
    struct pen_graph *graph = from.stream.graph;
    const char *name = given->keep_last ? "pen_latest"
                       : given->by      ? "pen_earliest"
                                        : "pen_distinct";
    struct eng_call call;
    struct pen_dedup *options = eng_call_open(&call, graph, name, given, sizeof *options);

    if (!options) return eng_graph_bad_stream(graph);
    const struct graph_stream *stream = eng_call_keyed(&call, from);
    if (!stream) return eng_call_give_up(&call, NULL);
    if (options->by) eng_call_field(&call, stream->layout, options->by, NULL);
    top_check_order(&call, options->order, stream->layout);
    eng_call_not_yet(&call, NULL);
    return eng_call_give_up(&call, NULL);
}
