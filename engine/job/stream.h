/* engine/job/stream.h: what a pen_stream stands for.
 *
 * A stream is an output of a node, or a way to read others: a union, a rebalanced one, a keyed one.
 * Building an operator on a stream resolves it into inputs of the operator's node, one for each
 * output at its bottom; the outermost way decides how records change owner:
 *
 *     union(a, rebalance(b))        a forward, b rebalanced
 *     key_by(union(a, b))           both keyed
 *     rebalance(key_by(...))        cannot be written: a keyed stream is another type
 */
#ifndef ENG_JOB_STREAM_H
#define ENG_JOB_STREAM_H

#include "engine/job/call.h"

/* NULL: absorbed, the call makes nothing; either the stream is bad, or it is no stream of this
 * graph, which is told. Marks it as read. */
const struct graph_stream *eng_call_stream(struct eng_call *call, pen_stream stream);
/* The same, and a mistake if it has no key. */
const struct graph_stream *eng_call_keyed(struct eng_call *call, pen_keyed keyed);

/* A new stream of the graph. The parts are copied. */
struct graph_stream *eng_stream_new(struct eng_call *call, enum graph_stream_kind kind,
                                    pen_stream *handle);

/* Makes a port of the node and its inputs. kind: ENG_FORWARD is overridden by what the stream says;
 * ENG_BROADCAST is not. */
void eng_stream_feed(struct eng_call *call, struct eng_node *node, uint32_t port,
                     const struct graph_stream *stream, enum eng_exchange_kind kind);

/* A stream that comes out of one subtask, so that all who read it see one order: the stream itself
 * or one behind a new node that passes it on. */
const struct graph_stream *eng_stream_sequence(struct eng_call *call,
                                               const struct graph_stream *stream);

/* Notes a mistake unless the rows of the stream are inserts only. who: "it", "on_rule learn"; hint:
 * what to do, or NULL. */
void eng_call_inserts_only(struct eng_call *call, const struct graph_stream *stream,
                           const char *who, const char *hint);

#endif
