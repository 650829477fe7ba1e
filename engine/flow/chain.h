/* engine/flow/chain.h: one subtask of a chain: inputs, a tree of operators, exchanges.
 *
 * A chain takes a batch from one of its inputs, hands it to its head, and what comes out at the end
 * of the calls goes into its exchanges. It takes nothing while something it has sent is still in
 * private memory (an overflowing exchange) or an operator waits; it never blocks. Inputs are a ring
 * each, or the queue of a lane on the same worker.
 *
 * A watermark is one event: while an operator is still firing what it made due, in bounded pieces,
 * the chain takes no input, so nothing comes between.
 *
 * Watermarks and ends come in band. The chain's watermark is the smallest over its inputs; when all
 * have ended the operators emit what is left, are closed, and the exchanges pass the end on.
 */
#ifndef ENG_FLOW_CHAIN_H
#define ENG_FLOW_CHAIN_H

#include "engine/flow/context.h"

struct eng_worker;

struct eng_input {
    uint32_t port;
    bool ended;
    bool readable;         /* there may be something: a bell has rung, or it was not emptied */
    bool keys_travel;      /* keys stand before the records */
    struct eng_lane *lane; /* on the same worker; NULL: a ring */
    struct shm_ring_reader reader;
    char *pieces; /* a large frame being put together */
    uint64_t pieces_bytes, pieces_room;
};

/* The arrays of the batch being read. One for each worker is enough: it is in use only while frames
 * are gathered and the batch is handed down. */
struct eng_gather {
    const void *records[ENG_BATCH_RECORDS_MAX];
    int64_t times_us[ENG_BATCH_RECORDS_MAX];
    uint64_t hashes[ENG_BATCH_RECORDS_MAX];
    uint8_t rows[ENG_BATCH_RECORDS_MAX];
    const void *keys[ENG_BATCH_RECORDS_MAX];
    uint32_t key_sizes[ENG_BATCH_RECORDS_MAX];
};

struct eng_chain {
    struct eng_worker *worker;
    uint32_t number, subtask;
    pen_context **contexts; /* the head first; what a context emits goes to later ones only */
    uint32_t context_count;
    struct eng_input *inputs;
    uint32_t input_count, inputs_open;
    struct eng_watermark watermark;
    struct eng_watermark_input *watermark_inputs;
    struct eng_exchange **exchanges;
    uint32_t exchange_count;
    struct eng_gather gather;
    uint32_t end_next; /* all inputs have ended: the context that is told next */
    bool is_source, ended, blocked;
};

/* A turn: bounded, never blocks, returns how much it did. */
unsigned eng_chain_step(struct eng_chain *chain);

/* Moves overflow and publishes what was sent; true: something must be told to consumers. */
bool eng_chain_flush(struct eng_chain *chain, uint64_t now_ns);

/* True: an exchange overflows, or an operator waits for the world. */
bool eng_chain_is_blocked(const struct eng_chain *chain);

/* True: it is blocked by what nobody rings a bell about, a ring without room for one. An operator
 * that waits has said when it is to be called, and on what. */
bool eng_chain_must_look_again(const struct eng_chain *chain);

/* True: there is input at hand that it could take. */
bool eng_chain_has_work(const struct eng_chain *chain);

#endif
