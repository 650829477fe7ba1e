#include "engine/connector/tcp.h"

#include "engine/flow/context.h"
#include "engine/flow/worker.h"
#include "engine/job/graph.h"

const struct eng_tcp *eng_tcp_keep(pen_graph *graph, const char *call, const struct pen_tcp *given)
{
    const struct pen_origin *origin = &given->origin;
    struct eng_reason reason;
    bool good = true;

    if (!given->address) {
        eng_graph_mistake(graph, origin, "%s: the address is NULL", call);
        return NULL;
    }
    if (eng_graph_is_missing(graph, given->address)) {
        good = false;
    } else if (!eng_dial_address_good(given->address, &reason)) {
        eng_graph_mistake(graph, origin, "%s(%s): %s", call, given->address, reason.text);
        good = false;
    }
    if ((unsigned)given->format > PEN_JSON) {
        eng_graph_mistake(graph, origin, "%s(%s): .format may be PEN_CSV or PEN_JSON", call,
                          given->address);
        good = false;
    }
    if (!good) return NULL;
    struct eng_tcp *tcp = eng_graph_keep(graph, sizeof *tcp);
    *tcp = (struct eng_tcp){
        .address = eng_graph_keep_text(graph, given->address),
        .format = given->format,
        .reconnect = given->reconnect,
    };
    return tcp;
}

bool eng_tcp_open(pen_context *ctx, struct eng_dial *dial)
{
    const struct eng_tcp *tcp = pen_user(ctx);
    struct eng_reason reason;

    if (eng_dial_open(dial, tcp->address, tcp->reconnect, &reason) == 0) return true;
    pen_fail(ctx, "%s", reason.text);
    return false;
}

bool eng_tcp_is_connected(pen_context *ctx, struct eng_dial *dial)
{
    struct eng_reason reason;
    enum eng_dial_state state = eng_dial_step(dial, ctx->worker->now_ns, &reason);

    if (state == ENG_DIAL_FAILED) pen_fail(ctx, "%s", reason.text);
    return state == ENG_DIAL_CONNECTED;
}

void eng_tcp_lost(pen_context *ctx, struct eng_dial *dial, const char *why)
{
    if (dial->again)
        pen_log(ctx, "%s; connecting again", why);
    else
        pen_fail(ctx, "%s", why);
    eng_dial_lost(dial, ctx->worker->now_ns);
}
