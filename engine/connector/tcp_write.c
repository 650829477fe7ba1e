/* pen_write_tcp: a line for each record, to whoever listens at an address.
 *
 * One subtask, one connection, made when the first record comes. A record is taken when all its
 * bytes are with the kernel. What the kernel does not take now is not kept here: the record counts
 * as not taken, is handed in again, and is sent from the byte where it was cut. So the stream waits
 * while the other side does not read, and nothing is left over when it ends.
 *
 * With `.reconnect` a lost connection is made again and the record that was cut is sent whole. What
 * the kernel had taken and the other side had not read is lost then: at most what its buffers hold.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "engine/connector/encoding.h"
#include "engine/connector/tcp.h"
#include "engine/flow/batch.h"
#include "engine/flow/context.h"
#include "engine/job/graph.h"
#include "shm/check.h"

enum { TCP_WRITE_BYTES = 64 * 1024 }; /* encoded and sent at once */

struct tcp_local {
    struct eng_dial dial;
    struct eng_encoding encoding;
    struct eng_text_out out;
    bool head_sent;    /* of this connection */
    size_t sent_bytes; /* of the first record that was not taken */
    /* Where each encoded record ends in `out`. */
    uint32_t count;
    size_t ends[ENG_BATCH_RECORDS_MAX];
};

static void tcp_open(pen_context *ctx)
{
    const struct eng_tcp *tcp = pen_user(ctx);
    struct tcp_local *local = pen_local(ctx, sizeof *local);
    enum pen_format format = tcp->format ? tcp->format : PEN_JSON;
    struct eng_reason reason;

    if (!eng_tcp_open(ctx, &local->dial)) return;
    if (eng_encoding_open(&local->encoding, format, ctx->node->ports[0].layout, NULL, NULL,
                          &reason) < 0)
        pen_fail(ctx, "%s", reason.text);
}

/* Whoever closes a connection with bytes unread resets it, and the other side may lose the last
 * lines. */
static void tcp_drain(int fd)
{
    char bytes[4096];

    shutdown(fd, SHUT_WR);
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
}

static void tcp_close(pen_context *ctx)
{
    struct tcp_local *local = pen_local(ctx, sizeof *local);

    if (local->dial.state == ENG_DIAL_CONNECTED) tcp_drain(local->dial.fd);
    eng_dial_close(&local->dial);
    eng_encoding_close(&local->encoding);
    eng_text_out_close(&local->out);
}

/* Records from `from` on, until there is enough to send. */
static void tcp_encode(pen_context *ctx, struct tcp_local *local, const struct pen_batch *batch,
                       uint32_t from)
{
    local->count = 0;
    eng_text_out_clear(&local->out);
    if (!local->head_sent) eng_encoding_head(&local->encoding, &local->out);
    for (uint32_t i = from; i < batch->count && local->out.size_bytes < TCP_WRITE_BYTES; i++) {
        CHECK(local->count < ENG_BATCH_RECORDS_MAX);
        eng_encoding_put(&local->encoding, batch->records[i], pen_row(ctx), &local->out);
        local->ends[local->count++] = local->out.size_bytes;
    }
}

/* Sends what is encoded, from the byte where the first record was cut. False: the connection is
 * lost, or the job has failed. *full: the kernel takes no more. */
static bool tcp_send(pen_context *ctx, struct tcp_local *local, size_t *at_bytes, bool *full)
{
    struct eng_reason reason;

    while (*at_bytes < local->out.size_bytes) {
        ssize_t sent = send(local->dial.fd, local->out.bytes + *at_bytes,
                            local->out.size_bytes - *at_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            *at_bytes += (size_t)sent;
            continue;
        }
        if (errno == EINTR) continue;
        *full = errno == EAGAIN;
        if (*full) return true;
        eng_reason_set(&reason, "lost the connection to %s: %s", local->dial.address,
                       strerror(errno));
        eng_tcp_lost(ctx, &local->dial, reason.text);
        local->head_sent = false;
        local->sent_bytes = 0;
        return false;
    }
    return true;
}

/* How many of the encoded records are with the kernel; what is left of the next one is remembered.
 */
static uint32_t tcp_taken(struct tcp_local *local, size_t at_bytes)
{
    uint32_t taken = 0;

    while (taken < local->count && local->ends[taken] <= at_bytes)
        taken++;
    size_t begin = taken > 0 ? local->ends[taken - 1] : 0;
    CHECK(at_bytes >= begin);
    local->sent_bytes = at_bytes - begin;
    /* The head travels with the first record: it is done when that is. */
    if (taken > 0) local->head_sent = true;
    return taken;
}

static void tcp_loop(pen_context *ctx, const struct pen_batch *batch)
{
    struct tcp_local *local = pen_local(ctx, sizeof *local);
    bool full = false;

    *batch->current = 0;
    if (!eng_tcp_is_connected(ctx, &local->dial)) return;
    while (*batch->current < batch->count && !full) {
        uint32_t from = *batch->current;
        size_t at_bytes = local->sent_bytes;

        tcp_encode(ctx, local, batch, from);
        CHECK(at_bytes < local->out.size_bytes);
        if (!tcp_send(ctx, local, &at_bytes, &full)) return;
        *batch->current = from + tcp_taken(local, at_bytes);
    }
}

static int tcp_wake_fd(pen_context *ctx)
{
    const struct tcp_local *local = pen_local(ctx, sizeof *local);
    return local->dial.fd; /* writable: connected, or room again */
}

void pen_add_write_tcp(pen_stream stream, const struct pen_tcp *given)
{
    struct pen_graph *graph = stream.graph;
    const struct pen_tcp *options = eng_graph_read(graph, "pen_write_tcp", given, sizeof *options);
    const struct eng_layout *layout = options ? eng_graph_stream_layout(stream) : NULL;

    if (!layout) return;
    const struct eng_tcp *tcp = eng_tcp_keep(graph, "pen_write_tcp", options);
    if (!tcp) return;
    struct pen_function *function = eng_graph_keep(graph, sizeof *function);
    *function = (struct pen_function){
        .abi = PEN_ABI,
        .size_bytes = sizeof *function,
        .kind = PEN_IS_SINK,
        .name = tcp->address,
        .in = layout->schema,
        .loop = tcp_loop,
    };
    struct pen_sink sink = {
        .origin = options->origin,
        .write = function,
        .wake_fd = tcp_wake_fd,
        .id = options->id,
        .parallelism = 1,
        .user = tcp,
        .open = tcp_open,
        .close = tcp_close,
        .group = options->group,
    };
    sink.origin.size_bytes = sizeof sink;
    sink.origin.name = tcp->address;
    eng_graph_add_sink(stream, &sink, "pen_write_tcp");
}
