/* pen_read_tcp: lines from a connection.
 *
 * Connects when the job starts, without waiting, and reads what the other side sends until it
 * closes: that is the end of the stream, or with `.reconnect` a reason to connect again. What a
 * connection ends in the middle of a line is taken for a line. Nothing can be read twice. */
#include "engine/connector/dial.h"
#include "engine/connector/reading.h"
#include "engine/flow/context.h"
#include "engine/flow/worker.h"
#include "engine/job/graph.h"
#include "shm/check.h"

struct tcp_split {
    pen_string address;
};
PEN_RECORD(tcp_split, address);

struct tcp_program {
    const char *address;
    bool reconnect;
    struct eng_reading_options reading; /* without the layout */
};

struct tcp_local {
    struct eng_dial dial;
    struct eng_reading reading; /* of the connection at hand; zeros: none */
};

static void tcp_plan(pen_context *ctx)
{
    const struct tcp_program *program = pen_user(ctx);
    pen_add_split(ctx, tcp_split, .address = pen_put(ctx, program->address));
}

static void tcp_open(pen_context *ctx)
{
    const struct tcp_program *program = pen_user(ctx);
    struct tcp_local *local = pen_local(ctx, sizeof *local);
    struct eng_reason reason;

    if (eng_dial_open(&local->dial, program->address, program->reconnect, &reason) < 0)
        pen_fail(ctx, "%s", reason.text);
}

static void tcp_close(pen_context *ctx)
{
    struct tcp_local *local = pen_local(ctx, sizeof *local);

    eng_reading_close(&local->reading);
    eng_dial_close(&local->dial);
}

/* The connection has ended, or was lost. */
static enum pen_poll tcp_ended(pen_context *ctx, struct tcp_local *local)
{
    const struct tcp_program *program = pen_user(ctx);

    eng_reading_close(&local->reading);
    if (!program->reconnect) return PEN_END;
    eng_dial_lost(&local->dial, ctx->worker->now_ns);
    return PEN_IDLE;
}

static enum pen_poll tcp_read(pen_context *ctx, struct tcp_local *local)
{
    const struct tcp_program *program = pen_user(ctx);
    struct eng_reason reason;

    switch (eng_reading_emit(ctx, &local->reading, &reason)) {
    case ENG_READ_ONE:
    case ENG_READ_BAD:
    case ENG_READ_MORE:
        return PEN_MORE;
    case ENG_READ_LATER:
        return PEN_IDLE;
    case ENG_READ_END:
        return tcp_ended(ctx, local);
    case ENG_READ_FAILED:
        break;
    }
    if (program->reconnect)
        pen_log(ctx, "%s; connecting again", reason.text);
    else
        pen_fail(ctx, "%s", reason.text);
    return tcp_ended(ctx, local);
}

static int tcp_poll(pen_context *ctx, void *split)
{
    const struct tcp_program *program = pen_user(ctx);
    struct tcp_local *local = pen_local(ctx, sizeof *local);
    struct eng_reading_options options = program->reading;
    struct eng_reason reason;

    (void)split;
    if (local->reading.name) return (int)tcp_read(ctx, local);
    switch (eng_dial_step(&local->dial, ctx->worker->now_ns, &reason)) {
    case ENG_DIAL_CLOSED:
    case ENG_DIAL_CONNECTING:
    case ENG_DIAL_WAITING:
        return PEN_IDLE;
    case ENG_DIAL_FAILED:
        pen_fail(ctx, "%s", reason.text);
        return PEN_END;
    case ENG_DIAL_CONNECTED:
        break;
    }
    options.layout = &ctx->node->outputs[0].layout;
    if (eng_reading_open_descriptor(&local->reading, &options, local->dial.fd, program->address,
                                    &reason) < 0) {
        pen_fail(ctx, "%s", reason.text);
        return PEN_END;
    }
    return PEN_MORE;
}

/* Only once connected: a connection being made is told by POLLOUT. */
static int tcp_wake_fd(pen_context *ctx)
{
    const struct tcp_local *local = pen_local(ctx, sizeof *local);
    return local->reading.name ? local->dial.fd : -1;
}

static bool tcp_options_good(struct pen_graph *graph, const struct pen_tcp *tcp)
{
    const struct pen_origin *origin = &tcp->origin;
    uint32_t mistakes = eng_graph_mistakes(graph);
    struct eng_reason reason;

    if (!tcp->address) {
        eng_graph_mistake(graph, origin, "pen_read_tcp: the address is NULL");
        return false;
    }
    if (!eng_graph_is_missing(graph, tcp->address) && !eng_dial_address_good(tcp->address, &reason))
        eng_graph_mistake(graph, origin, "pen_read_tcp(%s): %s", tcp->address, reason.text);
    if ((unsigned)tcp->format > PEN_JSON)
        eng_graph_mistake(graph, origin, "pen_read_tcp(%s): .format may be PEN_CSV or PEN_JSON",
                          tcp->address);
    if (!tcp->out && tcp->format)
        eng_graph_mistake(graph, origin, "pen_read_tcp(%s): .out is missing", tcp->address);
    else if (tcp->out && !tcp->format && !eng_schema_same(tcp->out, &pen_line_schema))
        eng_graph_mistake(graph, origin,
                          "pen_read_tcp(%s): lines are records of pen_line, not of %s; say which "
                          ".format they have",
                          tcp->address, tcp->out->name);
    return eng_graph_mistakes(graph) == mistakes && !eng_graph_is_missing(graph, tcp->address);
}

pen_stream pen_add_read_tcp(pen_graph *graph, const struct pen_tcp *given)
{
    const struct pen_tcp *tcp = eng_graph_read(graph, "pen_read_tcp", given, sizeof *tcp);

    if (!tcp || !tcp_options_good(graph, tcp)) return eng_graph_bad_stream(graph);
    struct tcp_program *program = eng_graph_keep(graph, sizeof *program);
    struct pen_function *function = eng_graph_keep(graph, sizeof *function);
    *program = (struct tcp_program){
        .address = eng_graph_keep_text(graph, tcp->address),
        .reconnect = tcp->reconnect,
        .reading = {.format = tcp->format},
    };
    *function = (struct pen_function){
        .abi = PEN_ABI,
        .size_bytes = sizeof *function,
        .kind = PEN_IS_SOURCE,
        .name = program->address,
        .state = &tcp_split_schema,
        .out = tcp->out ? tcp->out : &pen_line_schema,
        .poll = tcp_poll,
    };
    struct pen_source source = {
        .origin = tcp->origin,
        .poll = function,
        .plan = tcp_plan,
        .wake_fd = tcp_wake_fd,
        .no_rewind = true,
        .id = tcp->id,
        .parallelism = 1,
        .user = program,
        .open = tcp_open,
        .close = tcp_close,
        .group = tcp->group,
    };
    source.origin.size_bytes = sizeof source;
    source.origin.name = program->address;
    return eng_graph_add_source(graph, &source, "pen_read_tcp");
}
