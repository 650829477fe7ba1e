#include "engine/control/assemble.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/memory.h"
#include "engine/operator/event_time.h"
#include "engine/operator/operators.h"
#include "shm/memory.h"

/* What is needed only while a worker is put together. */
struct assembler {
    const struct eng_assembly *assembly;
    const struct eng_plan *plan;
    struct eng_worker *worker;
    pen_context **context_of_node;     /* of this worker's subtask; NULL: it has none */
    struct eng_exchange **exchange_of; /* sending sides, by number of the exchange */
    char *reason;
    size_t reason_bytes;
};

static void *assemble_new(size_t count, size_t size_bytes)
{
    void *memory = calloc(count ? count : 1, size_bytes ? size_bytes : 1);
    CHECK(memory != NULL);
    return memory;
}

/* The subtask of a chain that a worker hosts; UINT32_MAX: none. */
static uint32_t assemble_subtask_on(const struct eng_plan_chain *chain, uint32_t worker)
{
    for (uint32_t subtask = 0; subtask < chain->parallelism; subtask++)
        if (chain->workers[subtask] == worker) return subtask;
    return UINT32_MAX;
}

static uint32_t assemble_first_subtask(const struct eng_plan *plan, uint32_t node)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < node; i++)
        first += plan->nodes[i]->parallelism;
    return first;
}

/* ---- The board ------------------------------------------------------------------------------- */

static void assemble_board_nodes(struct eng_board *board, const struct eng_plan *plan)
{
    uint32_t first = 0;

    for (uint32_t c = 0; c < plan->chain_count; c++) {
        const struct eng_plan_chain *chain = &plan->chains[c];
        for (uint32_t n = 0; n < chain->node_count; n++)
            eng_board_node(board, chain->nodes[n])->chain = chain->number;
    }
    for (uint32_t n = 0; n < plan->node_count; n++) {
        const struct eng_node *node = plan->nodes[n];
        struct eng_board_node *shown = eng_board_node(board, n);
        const struct eng_plan_chain *chain = &plan->chains[shown->chain];

        snprintf(shown->title, sizeof shown->title, "%s", node->title);
        snprintf(shown->id, sizeof shown->id, "%s", node->id ? node->id : "");
        shown->parallelism = node->parallelism;
        shown->first_subtask = first;
        shown->is_source = node->port_count == 0;
        shown->is_sink = node->output_count == 0;
        shown->is_aligned = eng_event_time_is_aligned(node);
        for (uint32_t s = 0; s < node->parallelism; s++) {
            struct eng_board_subtask *subtask = eng_board_subtask(board, first + s);
            subtask->node = n;
            subtask->worker = chain->workers[s];
            shm_store_own(&subtask->watermark_us, (uint64_t)ENG_WATERMARK_NONE);
        }
        first += node->parallelism;
    }
    CHECK(first == plan->subtask_count);
}

int eng_assemble_board(struct eng_board *board, const struct eng_plan *plan, const char *job)
{
    struct eng_board_counts counts;
    uint32_t *inbound = assemble_new(plan->worker_count, sizeof *inbound);

    for (uint32_t w = 0; w < plan->worker_count; w++)
        inbound[w] = plan->workers[w].inbound;
    eng_plan_counts(plan, &counts);
    eng_board_open(board, &counts, inbound);
    free(inbound);
    snprintf(board->job, sizeof board->job, "%s", job);
    for (uint32_t w = 0; w < plan->worker_count; w++) {
        struct eng_board_worker *worker = eng_board_worker(board, w);
        worker->number = w;
        worker->core = plan->workers[w].core;
        worker->blocking = plan->workers[w].blocking;
        /* Sources and sinks may wait for descriptors, so every bell can be heard in poll. */
        int result = shm_doorbell_init(&worker->doorbell, true);
        if (result < 0) return result;
    }
    assemble_board_nodes(board, plan);
    for (uint32_t e = 0; e < plan->exchange_count; e++) {
        const struct eng_plan_exchange *exchange = &plan->exchanges[e];
        *eng_board_exchange(board, e) = (struct eng_board_exchange){
            .from_node = exchange->from_node,
            .to_node = exchange->to_node,
            .to_port = plan->nodes[exchange->to_node]->inputs[exchange->input].port,
            .kind = exchange->kind,
        };
    }
    for (uint32_t r = 0; r < plan->ring_count; r++) {
        const struct eng_plan_ring *ring = &plan->rings[r];
        struct eng_board_ring *shown = eng_board_ring(board, r);
        shown->exchange = ring->exchange;
        shown->from_worker = ring->from_worker;
        shown->to_worker = ring->to_worker;
        shown->ready_bit = ring->ready_bit;
        shown->memory_offset = ring->memory_offset;
        shown->ring.capacity_bytes = ring->capacity_bytes;
    }
    return 0;
}

/* ---- Rings ----------------------------------------------------------------------------------- */

static const struct eng_plan_ring *assemble_find_ring(const struct eng_plan *plan,
                                                      uint32_t exchange, uint32_t from, uint32_t to,
                                                      uint32_t *number)
{
    for (uint32_t r = 0; r < plan->ring_count; r++) {
        const struct eng_plan_ring *ring = &plan->rings[r];
        if (ring->exchange != exchange || ring->from_worker != from || ring->to_worker != to)
            continue;
        *number = r;
        return ring;
    }
    return NULL;
}

static void *assemble_ring_memory(struct assembler *a, const struct eng_plan_ring *ring)
{
    const struct eng_assembly *assembly = a->assembly;

    if (assembly->ring_memory) return (char *)assembly->ring_memory + ring->memory_offset;
    void *memory =
        shm_memory_map(assembly->ring_memory_fd, ring->memory_offset, ring->capacity_bytes);
    if (memory) return memory;
    snprintf(a->reason, a->reason_bytes, "cannot map a ring of %llu bytes: %s",
             (unsigned long long)ring->capacity_bytes, strerror(errno));
    return NULL;
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* The lane to one consuming subtask. */
static int assemble_lane(struct assembler *a, const struct eng_plan_exchange *planned,
                         struct eng_exchange *exchange, struct eng_lane *lane, uint32_t to_worker)
{
    uint32_t from_worker = a->worker->number, number;

    if (to_worker == from_worker) {
        eng_lane_open_local(lane, exchange);
        return 0;
    }
    const struct eng_plan_ring *ring =
        assemble_find_ring(a->plan, planned->number, from_worker, to_worker, &number);
    CHECK(ring != NULL);
    void *memory = assemble_ring_memory(a, ring);
    if (!memory) return -ENOMEM;
    struct eng_board *board = a->assembly->board;
    eng_lane_open_ring(lane, exchange, &eng_board_ring(board, number)->ring, memory, board,
                       eng_board_worker(board, to_worker), ring->ready_bit);
    return 0;
}

/* One pen_event_time that asks for it is enough: what lies behind it is not worth finding out. */
static bool assemble_every_watermark(const struct eng_plan *plan)
{
    for (uint32_t n = 0; n < plan->node_count; n++)
        if (eng_event_time_every_record(plan->nodes[n])) return true;
    return false;
}

static int assemble_exchange(struct assembler *a, const struct eng_plan_exchange *planned,
                             uint32_t subtask)
{
    const struct eng_node *to = a->plan->nodes[planned->to_node];
    const struct eng_node_input *input = &to->inputs[planned->input];
    const struct eng_plan_chain *consumers = &a->plan->chains[planned->to_chain];
    pen_context *sender = a->context_of_node[planned->from_node];
    struct eng_exchange *exchange = assemble_new(1, sizeof *exchange);
    bool one_to_one = planned->kind == ENG_FORWARD;

    CHECK(sender != NULL);
    exchange->kind = planned->kind;
    exchange->layout = to->ports[input->port].layout;
    exchange->key = input->key;
    exchange->watermark_us = exchange->watermark_sent_us = ENG_WATERMARK_NONE;
    exchange->every_watermark = assemble_every_watermark(a->plan);
    exchange->hashes = assemble_new(ENG_BATCH_RECORDS_MAX, sizeof *exchange->hashes);
    exchange->lane_count = one_to_one ? 1 : consumers->parallelism;
    /* Subtasks that deal records out begin at different consumers. */
    exchange->next = subtask % exchange->lane_count;
    exchange->lanes = assemble_new(exchange->lane_count, sizeof *exchange->lanes);
    if (input->key_function) {
        exchange->key_call = assemble_new(1, sizeof *exchange->key_call);
        eng_key_call_open(exchange->key_call, input->key_function, input->key, sender);
    }
    for (uint32_t i = 0; i < exchange->lane_count; i++) {
        uint32_t to_worker = consumers->workers[one_to_one ? subtask : i];
        int result = assemble_lane(a, planned, exchange, &exchange->lanes[i], to_worker);
        if (result < 0) return result;
    }
    a->exchange_of[planned->number] = exchange;
    eng_context_add_target(sender, planned->from_output, (struct eng_target){.exchange = exchange});

    struct eng_chain *chain = sender->chain;
    chain->exchanges =
        realloc(chain->exchanges, (chain->exchange_count + 1) * sizeof *chain->exchanges);
    CHECK(chain->exchanges != NULL);
    chain->exchanges[chain->exchange_count++] = exchange;
    return 0;
}

/* ---- Receiving ------------------------------------------------------------------------------- */

/* The lane of this worker's own sending side that leads to the subtask. */
static struct eng_lane *assemble_own_lane(struct assembler *a,
                                          const struct eng_plan_exchange *planned, uint32_t subtask)
{
    struct eng_exchange *exchange = a->exchange_of[planned->number];
    CHECK(exchange != NULL);
    return &exchange->lanes[planned->kind == ENG_FORWARD ? 0 : subtask];
}

static int assemble_input(struct assembler *a, const struct eng_plan_exchange *planned,
                          struct eng_chain *chain, uint32_t from_worker)
{
    const struct eng_node_input *from = &a->plan->nodes[planned->to_node]->inputs[planned->input];
    struct eng_input *input = &chain->inputs[chain->input_count++];
    uint32_t number;

    *input = (struct eng_input){.port = from->port, .keys_travel = from->key_function != NULL};
    if (from_worker == a->worker->number) {
        input->lane = assemble_own_lane(a, planned, chain->subtask);
        input->readable = true;
        return 0;
    }
    const struct eng_plan_ring *ring =
        assemble_find_ring(a->plan, planned->number, from_worker, a->worker->number, &number);
    CHECK(ring != NULL);
    void *memory = assemble_ring_memory(a, ring);
    if (!memory) return -ENOMEM;
    shm_ring_reader_open(&input->reader, &eng_board_ring(a->assembly->board, number)->ring, memory);
    CHECK(ring->ready_bit < a->worker->bell_count);
    a->worker->bells[ring->ready_bit].input = input;
    return 0;
}

/* Inputs without event time, such as rules beside timed records, hold no watermark back. */
static void assemble_untimed(struct eng_chain *chain)
{
    const struct eng_node *head = chain->contexts[0]->node;
    bool any_timed = false;

    for (uint32_t p = 0; p < head->port_count; p++)
        any_timed |= head->ports[p].stream.timed;
    for (uint32_t i = 0; i < chain->input_count && any_timed; i++)
        if (!head->ports[chain->inputs[i].port].stream.timed)
            chain->watermark_inputs[i].idle = true;
}

/* Every sender of every exchange that ends at this chain is an input of its own. */
static int assemble_inputs(struct assembler *a, struct eng_chain *chain)
{
    const struct eng_plan *plan = a->plan;
    uint32_t senders = 0;

    for (uint32_t e = 0; e < plan->exchange_count; e++)
        if (plan->exchanges[e].to_chain == chain->number)
            senders += plan->exchanges[e].kind == ENG_FORWARD
                           ? 1
                           : plan->chains[plan->exchanges[e].from_chain].parallelism;
    chain->inputs = assemble_new(senders, sizeof *chain->inputs);
    for (uint32_t e = 0; e < plan->exchange_count; e++) {
        const struct eng_plan_exchange *planned = &plan->exchanges[e];
        const struct eng_plan_chain *from = &plan->chains[planned->from_chain];
        if (planned->to_chain != chain->number) continue;
        for (uint32_t s = 0; s < from->parallelism; s++) {
            if (planned->kind == ENG_FORWARD && s != chain->subtask) continue;
            int result = assemble_input(a, planned, chain, from->workers[s]);
            if (result < 0) return result;
        }
    }
    CHECK(chain->input_count == senders);
    chain->inputs_open = senders;
    chain->watermark_inputs = assemble_new(senders, sizeof *chain->watermark_inputs);
    eng_watermark_open(&chain->watermark, chain->watermark_inputs, senders);
    assemble_untimed(chain);
    return 0;
}

/* ---- Chains ---------------------------------------------------------------------------------- */

static struct eng_chain *assemble_chain(struct assembler *a, const struct eng_plan_chain *planned,
                                        uint32_t subtask)
{
    struct eng_chain *chain = assemble_new(1, sizeof *chain);

    chain->worker = a->worker;
    chain->number = planned->number;
    chain->subtask = subtask;
    chain->context_count = planned->node_count;
    chain->contexts = assemble_new(planned->node_count, sizeof *chain->contexts);
    for (uint32_t i = 0; i < planned->node_count; i++) {
        const struct eng_node *node = a->plan->nodes[planned->nodes[i]];
        uint32_t on_board = assemble_first_subtask(a->plan, node->number) + subtask;
        pen_context *ctx = assemble_new(1, sizeof *ctx);

        eng_context_open(ctx, node, chain, a->worker,
                         eng_board_subtask(a->assembly->board, on_board), subtask,
                         planned->parallelism);
        chain->contexts[i] = ctx;
        a->context_of_node[node->number] = ctx;
        if (i == 0) continue;
        CHECK(node->input_count == 1);
        eng_context_add_target(a->context_of_node[node->inputs[0].from_node],
                               node->inputs[0].from_output, (struct eng_target){.context = ctx});
    }
    chain->is_source = chain->contexts[0]->node->port_count == 0;
    return chain;
}

/* Upstream first: a chain's sending side is there before a chain on this worker reads from it. */
static int assemble_chains(struct assembler *a)
{
    const struct eng_plan *plan = a->plan;
    struct eng_worker *worker = a->worker;

    worker->chains = assemble_new(plan->chain_count, sizeof *worker->chains);
    for (uint32_t c = 0; c < plan->chain_count; c++) {
        uint32_t subtask = assemble_subtask_on(&plan->chains[c], worker->number);
        if (subtask == UINT32_MAX) continue;
        struct eng_chain *chain = assemble_chain(a, &plan->chains[c], subtask);
        worker->chains[worker->chain_count++] = chain;
        int result = assemble_inputs(a, chain);
        if (result < 0) return result;
        for (uint32_t e = 0; e < plan->exchange_count; e++) {
            if (plan->exchanges[e].from_chain != chain->number) continue;
            result = assemble_exchange(a, &plan->exchanges[e], subtask);
            if (result < 0) return result;
        }
    }
    /* The worker runs those furthest downstream first. */
    for (uint32_t i = 0; i < worker->chain_count / 2; i++) {
        struct eng_chain *chain = worker->chains[i];
        worker->chains[i] = worker->chains[worker->chain_count - 1 - i];
        worker->chains[worker->chain_count - 1 - i] = chain;
    }
    return 0;
}

/* Downstream first, so that who is called is open before who calls. */
static void assemble_start(struct eng_worker *worker)
{
    for (uint32_t c = 0; c < worker->chain_count; c++)
        for (uint32_t i = worker->chains[c]->context_count; i-- > 0 && !worker->failed;) {
            pen_context *ctx = worker->chains[c]->contexts[i];
            shm_slot_enter(worker->slot, ctx->node->number, 0, worker->now_ns);
            eng_context_start(ctx);
            shm_slot_leave(worker->slot);
        }
}

int eng_assemble(struct eng_worker **made, const struct eng_assembly *assembly, uint32_t number,
                 char *reason, size_t reason_bytes)
{
    const struct eng_plan *plan = assembly->plan;
    struct eng_worker *worker = assemble_new(1, sizeof *worker);
    struct assembler a = {.assembly = assembly,
                          .plan = plan,
                          .worker = worker,
                          .reason = reason,
                          .reason_bytes = reason_bytes};

    CHECK(number < plan->worker_count);
    worker->number = number;
    worker->board = assembly->board;
    worker->place = eng_board_worker(assembly->board, number);
    worker->slot = &worker->place->slot;
    worker->settings = *assembly->settings;
    worker->dead_letter_fd = -1;
    worker->bell_count = plan->workers[number].inbound;
    worker->bells = assemble_new(worker->bell_count, sizeof *worker->bells);
    a.context_of_node = assemble_new(plan->node_count, sizeof *a.context_of_node);
    a.exchange_of = assemble_new(plan->exchange_count, sizeof *a.exchange_of);

    int result = eng_arena_open(&worker->arena, 0, 0);
    if (result < 0)
        snprintf(reason, reason_bytes, "cannot reserve memory for state: %s", strerror(-result));
    else
        eng_memory_open(worker);
    if (result == 0) result = assemble_chains(&a);
    free(a.context_of_node);
    free(a.exchange_of);
    if (result < 0) {
        eng_worker_close(worker);
        return result;
    }
    assemble_start(worker);
    *made = worker;
    return 0;
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void assemble_close_exchange(struct eng_exchange *exchange)
{
    for (uint32_t i = 0; i < exchange->lane_count; i++)
        eng_lane_close(&exchange->lanes[i]);
    if (exchange->key_call) eng_key_call_close(exchange->key_call);
    free(exchange->key_call);
    free(exchange->lanes);
    free(exchange->hashes);
    free(exchange);
}

static void assemble_close_chain(struct eng_chain *chain)
{
    for (uint32_t i = 0; i < chain->context_count; i++) {
        if (!chain->contexts[i]) continue;
        eng_context_close(chain->contexts[i]);
        free(chain->contexts[i]);
    }
    for (uint32_t i = 0; i < chain->exchange_count; i++)
        assemble_close_exchange(chain->exchanges[i]);
    for (uint32_t i = 0; i < chain->input_count; i++)
        free(chain->inputs[i].pieces);
    free(chain->contexts);
    free(chain->exchanges);
    free(chain->inputs);
    free(chain->watermark_inputs);
    free(chain);
}

void eng_worker_close(struct eng_worker *worker)
{
    if (!worker) return;
    for (uint32_t i = 0; i < worker->chain_count; i++)
        assemble_close_chain(worker->chains[i]);
    eng_arena_close(worker->arena);
    free(worker->chains);
    free(worker->bells);
    free(worker->fds);
    free(worker);
}
