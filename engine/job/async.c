/* pen_async: a function that may block, in helper processes. */
#include "engine/job/stream.h"

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
