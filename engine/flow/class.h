/* engine/flow/class.h: what a kind of operator is.
 *
 * One `const struct eng_class` for each kind, in its own file of engine/operator or
 * engine/connector. Its functions are called by the chain, one at a time, in the worker's process:
 *
 *     prepare   once, in the supervisor, when the graph is complete: compile options into
 *               node->compiled. False: not possible, *reason says why (a mistake of the graph)
 *     release   the graph is closed: free what prepare has made. After every node's last use
 *     open      once for each subtask, before the user's open
 *     batch     a run of records at one port. The class calls the user's loop by
 *               eng_context_call and returns; it never keeps the batch
 *     watermark the subtask's watermark has risen (never falls). NULL: it is passed on. A class
 *               that has it calls eng_pass_watermark itself when it is done with it. What takes
 *               longer than a step goes on in `fire`, and ctx->firing says so
 *     fire      a turn of the worker, when nothing holds up what is emitted: goes on with what a
 *               watermark made due (ctx->firing) or does what the clock made due. Bounded: some
 *               ENG_FIRE_MAX results. Clears ctx->firing and passes the watermark on when all is
 *               done; asks to be called again in time with eng_worker_wake_at_wall. Returns how
 *               much it did
 *     step      sources, and sinks that hold back records: a turn of the worker. Bounded, does
 *               not block, returns how much it did
 *     waits     true: what was handed in is not done with, hand in nothing more (a sink that said
 *               PEN_AGAIN). NULL: never
 *     end       all inputs have ended: emit what is left. Before close. What lies behind in the
 *               chain is told when nobody before it waits or fires any more
 *     flush     all is written: make it durable. After end, before the user's close (neither is
 *               called when the job fails)
 *     weigh     adds every key with its bytes (eng_memory_add_key): asked when memory is used up
 *     close     once, at the very end, also after a failure: frees what open has made
 */
#ifndef ENG_FLOW_CLASS_H
#define ENG_FLOW_CLASS_H

#include "engine/flow/node.h"

struct eng_batch;
struct eng_memory_keys;

enum { ENG_FIRE_MAX = 256 }; /* keys, windows or rows in one call of `fire` */

struct eng_class {
    const char *name;
    uint32_t self_bytes; /* private memory of a subtask, zeroed: ctx->self */
    bool has_entries;    /* of keys, with room for the states of `.uses` that belong to a key */
    bool (*prepare)(struct eng_node *node, char *reason, uint32_t reason_bytes);
    void (*release)(struct eng_node *node);
    void (*open)(pen_context *ctx);
    void (*batch)(pen_context *ctx, const struct eng_batch *batch);
    void (*watermark)(pen_context *ctx, int64_t watermark_us);
    unsigned (*fire)(pen_context *ctx);
    unsigned (*step)(pen_context *ctx);
    bool (*waits)(pen_context *ctx);
    void (*end)(pen_context *ctx);
    void (*flush)(pen_context *ctx);
    void (*weigh)(pen_context *ctx, struct eng_memory_keys *keys);
    void (*close)(pen_context *ctx);
};

#endif
