/* pen_async: a function that may block, in helper processes. */
#include "engine/job/duration.h"
#include "engine/job/stream.h"
#include "engine/operator/async.h"
#include "engine/operator/operators.h"

static void async_check(struct eng_call *call, struct pen_async *options)
{
    char text[ENG_DURATION_BYTES];

    if (options->in_flight == 0) options->in_flight = ENG_IN_FLIGHT;
    if (options->in_flight > ENG_IN_FLIGHT_MAX)
        eng_call_mistake(call,
                         ".in_flight is %u, and %d processes at most are made for each worker "
                         "(ENG_IN_FLIGHT_MAX)",
                         options->in_flight, ENG_IN_FLIGHT_MAX);
    if (options->tries == 0) options->tries = 1;
    if (options->timeout < 0)
        eng_call_mistake(call, ".timeout is %s; it must not be negative",
                         eng_duration_print(options->timeout, text));
}

/* open and close are the helpers': the node has none that a worker would call. */
static struct eng_node *async_node(struct eng_call *call, const struct pen_async *options,
                                   struct eng_common common, const struct eng_layout *out,
                                   const struct graph_stream *stream)
{
    struct eng_async_options *kept = eng_graph_keep(call->graph, sizeof *kept);
    char timeout[ENG_DURATION_BYTES];

    kept->given = *options;
    kept->timeout = eng_graph_keep_text(call->graph, eng_duration_print(options->timeout, timeout));
    common.open = common.close = NULL;
    return eng_call_node(call, &eng_async_class, kept, &common, options->each, out, stream->rows);
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

    const struct eng_layout *out = eng_call_each(&call, &options->each, stream->layout);
    async_check(&call, options);
    eng_call_common(&call, &common);
    if (call.failed) return eng_call_give_up(&call, &common);

    struct eng_node *node = async_node(&call, options, common, out, stream);
    eng_stream_feed(&call, node, 0, stream, ENG_FORWARD);
    return eng_call_streams(&call, node, &common);
}
