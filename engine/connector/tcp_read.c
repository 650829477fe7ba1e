/* pen_read_tcp: lines from a connection.
 *
 * Connects when the job starts, without waiting, and reads what the other side sends until it
 * closes: that is the end of the stream, or with `.reconnect` a reason to connect again. What a
 * connection ends in the middle of a line is taken for a line. Nothing can be read twice. */
#include "engine/connector/reading.h"
#include "engine/connector/tcp.h"
#include "engine/flow/context.h"
#include "engine/flow/worker.h"
#include "engine/job/graph.h"

struct tcp_split {
    pen_string address;
};
PEN_RECORD(tcp_split, address);

struct tcp_local {
    struct eng_dial dial;
    struct eng_reading reading; /* of the connection at hand; zeros: none */
};

static void tcp_plan(pen_context *ctx)
{
    const struct eng_tcp *tcp = pen_user(ctx);
    pen_add_split(ctx, tcp_split, .address = pen_put(ctx, tcp->address));
}

static void tcp_open(pen_context *ctx)
{
    struct tcp_local *local = pen_local(ctx, sizeof *local);

    eng_tcp_open(ctx, &local->dial);
}

static void tcp_close(pen_context *ctx)
{
    struct tcp_local *local = pen_local(ctx, sizeof *local);

    eng_reading_close(&local->reading);
    eng_dial_close(&local->dial);
}

static int tcp_begin(pen_context *ctx, struct tcp_local *local)
{
    const struct eng_tcp *tcp = pen_user(ctx);
    struct eng_reading_options options = {.format = tcp->format,
                                          .layout = &ctx->node->outputs[0].layout};
    struct eng_reason reason;

    if (!eng_tcp_is_connected(ctx, &local->dial)) return PEN_IDLE;
    if (eng_reading_open_descriptor(&local->reading, &options, local->dial.fd, tcp->address,
                                    &reason) == 0)
        return PEN_MORE;
    pen_fail(ctx, "%s", reason.text);
    return PEN_END;
}

static int tcp_poll(pen_context *ctx, void *split)
{
    const struct eng_tcp *tcp = pen_user(ctx);
    struct tcp_local *local = pen_local(ctx, sizeof *local);
    struct eng_reason reason;

    (void)split;
    if (!local->reading.name) return tcp_begin(ctx, local);
    enum eng_read_step step = eng_reading_emit(ctx, &local->reading, &reason);
    enum pen_poll result = eng_reading_result(step);
    if (result != PEN_END) return (int)result;

    eng_reading_close(&local->reading);
    if (step == ENG_READ_FAILED)
        eng_tcp_lost(ctx, &local->dial, reason.text);
    else if (tcp->reconnect)
        eng_dial_lost(&local->dial, ctx->worker->now_ns);
    return tcp->reconnect ? PEN_IDLE : PEN_END;
}

/* Only once connected: a connection being made is told by POLLOUT. */
static int tcp_wake_fd(pen_context *ctx)
{
    const struct tcp_local *local = pen_local(ctx, sizeof *local);
    return local->reading.name ? local->dial.fd : -1;
}

static bool tcp_out_good(struct pen_graph *graph, const struct pen_tcp *tcp)
{
    if (tcp->format && !tcp->out) {
        eng_graph_mistake(graph, &tcp->origin, "pen_read_tcp(%s): .out is missing", tcp->address);
        return false;
    }
    if (!tcp->format && tcp->out && !eng_schema_same(tcp->out, &pen_line_schema)) {
        eng_graph_mistake(graph, &tcp->origin,
                          "pen_read_tcp(%s): lines are records of pen_line, not of %s; say which "
                          ".format they have",
                          tcp->address, tcp->out->name);
        return false;
    }
    return true;
}

pen_stream pen_add_read_tcp(pen_graph *graph, const struct pen_tcp *given)
{
    const struct pen_tcp *options = eng_graph_read(graph, "pen_read_tcp", given, sizeof *options);

    if (!options) return eng_graph_bad_stream(graph);
    const struct eng_tcp *tcp = eng_tcp_keep(graph, "pen_read_tcp", options);
    bool out_good = options->address && tcp_out_good(graph, options);
    if (!tcp || !out_good) return eng_graph_bad_stream(graph);
    struct pen_function *function = eng_graph_keep(graph, sizeof *function);
    *function = (struct pen_function){
        .abi = PEN_ABI,
        .size_bytes = sizeof *function,
        .kind = PEN_IS_SOURCE,
        .name = tcp->address,
        .state = &tcp_split_schema,
        .out = options->out ? options->out : &pen_line_schema,
        .poll = tcp_poll,
    };
    struct pen_source source = {
        .origin = options->origin,
        .poll = function,
        .plan = tcp_plan,
        .wake_fd = tcp_wake_fd,
        .no_rewind = true,
        .id = options->id,
        .parallelism = 1,
        .user = tcp,
        .open = tcp_open,
        .close = tcp_close,
        .group = options->group,
    };
    source.origin.size_bytes = sizeof source;
    source.origin.name = tcp->address;
    return eng_graph_add_source(graph, &source, "pen_read_tcp");
}
