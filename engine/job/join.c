/* pen_join, pen_interval_join, pen_temporal_join. */
#include "engine/job/stream.h"

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
