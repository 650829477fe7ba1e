/* Operators that the interface promises and this version cannot run. Each says so in the user's
 * line, and what can be checked without running it is checked. */
#include "engine/job/stream.h"

/* The late records of an operator that was not made: absorbed, too. */
static void later_absorb(struct pen_graph *graph, pen_stream *late)
{
    if (late) *late = eng_graph_bad_stream(graph);
}

pen_stream pen_add_async(pen_stream from, const struct pen_async *given)
{
    struct eng_call call;
    struct pen_async *options =
        eng_call_open(&call, from.graph, "pen_async", given, sizeof *options);

    if (!options) return eng_graph_bad_stream(from.graph);
    struct eng_common common = ENG_COMMON_OF(options);
    eng_call_about(&call, options->each);
    const struct graph_stream *stream = eng_call_stream(&call, from);
    if (!stream) return eng_call_give_up(&call, &common);
    const struct pen_function *each = eng_call_function(&call, options->each, PEN_IS_MAP, NULL);
    if (each) eng_call_fits(&call, "it", each->in, stream->layout->schema);
    eng_call_common(&call, &common);
    eng_call_not_yet(&call, NULL);
    return eng_call_give_up(&call, &common);
}

/* Fields that an order names. */
static void later_check_order(struct eng_call *call, const struct pen_order *order,
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
    later_check_order(&call, options->order, stream->layout);
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
    later_check_order(&call, options->order, stream->layout);
    eng_call_not_yet(&call, NULL);
    return eng_call_give_up(&call, NULL);
}

pen_stream pen_add_process_window(pen_keyed from, const struct pen_process_window *given)
{
    struct pen_graph *graph = from.stream.graph;
    struct eng_call call;
    struct pen_process_window *options =
        eng_call_open(&call, graph, "pen_process_window", given, sizeof *options);

    if (!options) return eng_graph_bad_stream(graph);
    struct eng_common common = ENG_COMMON_OF(options);
    later_absorb(graph, options->late);
    eng_call_about(&call, options->fire);
    const struct graph_stream *stream = eng_call_keyed(&call, from);
    if (!stream) return eng_call_give_up(&call, &common);
    const struct pen_function *fire = eng_call_function(&call, options->fire, PEN_IS_WINDOW, NULL);
    if (fire) eng_call_fits(&call, "it", fire->in, stream->layout->schema);
    if (options->window.kind == PEN_WINDOW_NONE) eng_call_mistake(&call, ".window is missing");
    eng_call_common(&call, &common);
    eng_call_not_yet(&call, NULL);
    return eng_call_give_up(&call, &common);
}

pen_stream pen_add_join(pen_keyed left_from, pen_keyed right_from, const struct pen_join *given)
{
    struct pen_graph *graph = left_from.stream.graph;
    const char *name = given->kind == PEN_JOIN_INTERVAL   ? "pen_interval_join"
                       : given->kind == PEN_JOIN_TEMPORAL ? "pen_temporal_join"
                                                          : "pen_join";
    struct eng_call call;
    struct eng_reason reason = {{0}};
    struct pen_join *options = eng_call_open(&call, graph, name, given, sizeof *options);

    if (!options) return eng_graph_bad_stream(graph);
    struct eng_common common = ENG_COMMON_OF(options);
    eng_call_about(&call, options->match);
    const struct graph_stream *left = eng_call_keyed(&call, left_from);
    const struct graph_stream *right = eng_call_keyed(&call, right_from);
    if (!left || !right) return eng_call_give_up(&call, &common);
    const struct pen_function *match = eng_call_function(&call, options->match, PEN_IS_JOIN, NULL);
    if (match) {
        eng_call_fits(&call, "on the left it", match->in, left->layout->schema);
        eng_call_fits(&call, "on the right it", match->other, right->layout->schema);
    }
    if (eng_key_match(left->key, right->key, &reason) < 0)
        eng_call_mistake(&call, "its streams are not keyed alike: %s", reason.text);
    eng_call_common(&call, &common);
    eng_call_not_yet(&call, NULL);
    return eng_call_give_up(&call, &common);
}
