/* pen_process_window: a function with all records of a window. */
#include "engine/job/stream.h"

pen_stream pen_add_process_window(pen_keyed from, const struct pen_process_window *given)
{
    struct pen_graph *graph = from.stream.graph;
    struct eng_call call;
    struct pen_process_window *options =
        eng_call_open(&call, graph, "pen_process_window", given, sizeof *options);

    if (!options) return eng_graph_bad_stream(graph);
    struct eng_common common = ENG_COMMON_OF(options);
    if (options->late) *options->late = eng_graph_bad_stream(graph);
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
