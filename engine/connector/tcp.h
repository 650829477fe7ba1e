/* engine/connector/tcp.h: what pen_read_tcp and pen_write_tcp have in common.
 *
 * Their options, checked when the graph is built and then the operator's `.user`, and what becomes
 * of a dial while the job runs: whoever is called with records to read or write asks
 * eng_tcp_is_connected first and calls eng_tcp_lost when the connection breaks. That says it: the
 * job fails, or with `.reconnect` a line is logged and the dial begins anew. Nothing here outlives
 * the process.
 */
#ifndef ENG_CONNECTOR_TCP_H
#define ENG_CONNECTOR_TCP_H

#include <penstock/connector.h>

#include "engine/connector/dial.h"

struct eng_tcp {
    const char *address;
    enum pen_format format; /* 0: none was named */
    bool reconnect;
};

/* In the graph's memory. NULL: what is wrong has been told, under the name of the call. */
const struct eng_tcp *eng_tcp_keep(pen_graph *graph, const char *call, const struct pen_tcp *given);

/* For operators with a struct eng_tcp as their `.user`. False: the job has failed. */
bool eng_tcp_open(pen_context *ctx, struct eng_dial *dial);
/* False: not yet, or the job has failed. */
bool eng_tcp_is_connected(pen_context *ctx, struct eng_dial *dial);
/* The connection broke. */
void eng_tcp_lost(pen_context *ctx, struct eng_dial *dial, const char *why);

#endif
