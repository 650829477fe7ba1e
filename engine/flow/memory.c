#include "engine/flow/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/worker.h"
#include "engine/record/json.h"
#include "engine/record/out.h"

enum {
    MEMORY_PIECE_BYTES = 1 << 20,
    MEMORY_WORKER_BYTES_MIN = 4 << 20, /* a table or two, and what a step sends */
    MEMORY_RESERVE = 8,                /* one part in so many */
    MEMORY_TIGHT = 16,
};

uint64_t eng_memory_least(uint32_t workers, uint64_t fixed_bytes)
{
    uint64_t least = fixed_bytes + (uint64_t)workers * MEMORY_WORKER_BYTES_MIN;
    return least + least / (MEMORY_RESERVE - 1) + 1;
}

void eng_memory_share(struct eng_board *board, uint64_t limit_bytes, uint64_t fixed_bytes)
{
    uint64_t usable_bytes = limit_bytes - limit_bytes / MEMORY_RESERVE;

    CHECK(usable_bytes > fixed_bytes);
    board->memory_limit_bytes = limit_bytes;
    shm_store_own(&board->memory_left_bytes, usable_bytes - fixed_bytes);
}

/* ---- Pieces ---------------------------------------------------------------------------------- */

/* Takes at least `need`, and a piece where there is one. 0: not even that is left. */
static uint64_t memory_take(struct eng_board *board, uint64_t need_bytes)
{
    uint64_t want_bytes = need_bytes > MEMORY_PIECE_BYTES ? need_bytes : MEMORY_PIECE_BYTES;
    uint64_t left_bytes = shm_load_acquire(&board->memory_left_bytes);

    for (;;) {
        uint64_t take_bytes = left_bytes < want_bytes ? left_bytes : want_bytes;
        if (take_bytes < need_bytes) return 0;
        if (shm_swap_if(&board->memory_left_bytes, &left_bytes, left_bytes - take_bytes))
            return take_bytes;
    }
}

static bool memory_more(void *owner, uint64_t need_bytes)
{
    struct eng_worker *worker = owner;
    uint64_t taken_bytes = memory_take(worker->board, need_bytes);

    if (taken_bytes == 0) {
        worker->memory_refused = true;
        return false;
    }
    eng_arena_set_budget(worker->arena, eng_arena_budget(worker->arena) + taken_bytes);
    return true;
}

void eng_memory_open(struct eng_worker *worker)
{
    if (worker->board->memory_limit_bytes == 0) return;
    eng_arena_set_budget(worker->arena, 1);
    eng_arena_on_budget(worker->arena, memory_more, worker);
}

/* ---- Queues ---------------------------------------------------------------------------------- */

static bool memory_is_draining(const struct eng_board *board)
{
    for (uint32_t w = 0; w < board->counts.workers; w++)
        if (shm_load_acquire(&eng_board_worker(board, w)->queued_bytes) > 0) return true;
    return false;
}

void eng_memory_count(struct eng_worker *worker)
{
    struct eng_board *board = worker->board;
    uint64_t all_bytes = 0, waiting_bytes = 0;

    for (uint32_t i = 0; i < worker->chain_count; i++)
        for (uint32_t e = 0; e < worker->chains[i]->exchange_count; e++) {
            const struct eng_exchange *exchange = worker->chains[i]->exchanges[e];
            all_bytes += exchange->memory_bytes;
            if (eng_exchange_is_blocked(exchange)) waiting_bytes += exchange->memory_bytes;
        }
    shm_store_release(&worker->place->queued_bytes, waiting_bytes);
    if (all_bytes > worker->queues_granted_bytes) {
        /* What is queued is there already: it is counted even when it is too much. */
        uint64_t need_bytes = all_bytes - worker->queues_granted_bytes;
        uint64_t taken_bytes = memory_take(board, need_bytes);
        worker->queues_granted_bytes += taken_bytes;
    } else if (worker->queues_granted_bytes - all_bytes > 2 * MEMORY_PIECE_BYTES) {
        uint64_t back_bytes = worker->queues_granted_bytes - all_bytes - MEMORY_PIECE_BYTES;
        worker->queues_granted_bytes -= back_bytes;
        shm_add(&board->memory_left_bytes, back_bytes);
    }
    worker->saves =
        shm_load_acquire(&board->memory_left_bytes) < board->memory_limit_bytes / MEMORY_TIGHT &&
        memory_is_draining(board);
}

/* ---- Telling --------------------------------------------------------------------------------- */

void eng_memory_add_key(pen_context *ctx, struct eng_memory_keys *keys, const void *image,
                        uint64_t bytes)
{
    struct eng_json json;
    struct eng_text_out out = {0};
    uint32_t at = ENG_MEMORY_KEYS;

    if (keys->least_bytes == 0 || bytes < keys->least_bytes) keys->least_bytes = bytes;
    while (at > 0 && bytes > keys->largest[at - 1].bytes)
        at--;
    if (at == ENG_MEMORY_KEYS) return;
    memmove(&keys->largest[at + 1], &keys->largest[at],
            (ENG_MEMORY_KEYS - 1 - at) * sizeof keys->largest[0]);
    keys->largest[at].bytes = bytes;
    keys->largest[at].name[0] = '\0';
    if (!ctx->key || eng_json_open(&json, &ctx->key->layout, NULL) < 0) return;
    eng_json_encode(&json, image, &out);
    snprintf(keys->largest[at].name, sizeof keys->largest[at].name, "%.*s", (int)out.size_bytes,
             out.bytes);
    eng_text_out_close(&out);
    eng_json_close(&json);
}

static double memory_mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static size_t memory_tell_keys(pen_context *ctx, char *text, size_t text_bytes)
{
    struct eng_memory_keys keys = {.least_bytes = 0};
    size_t used = 0;

    ctx->class->weigh(ctx, &keys);
    if (keys.largest[0].bytes <= 2 * keys.least_bytes) return 0; /* they are all alike */
    for (uint32_t i = 0; i < ENG_MEMORY_KEYS && keys.largest[i].bytes > 0 && used < text_bytes; i++)
        used += (size_t)snprintf(text + used, text_bytes - used, "%s%s %.3g MiB",
                                 i == 0 ? ", the largest " : ", ", keys.largest[i].name,
                                 memory_mib(keys.largest[i].bytes));
    return used;
}

size_t eng_memory_tell(struct eng_worker *worker, char *text, size_t text_bytes)
{
    size_t used = (size_t)snprintf(
        text, text_bytes, ". --memory %.6g MiB are used up; worker %u has %.3g MiB of queues",
        memory_mib(worker->board->memory_limit_bytes), worker->number,
        memory_mib(worker->queues_granted_bytes));

    for (uint32_t c = 0; c < worker->chain_count; c++)
        for (uint32_t i = 0; i < worker->chains[c]->context_count && used < text_bytes; i++) {
            pen_context *ctx = worker->chains[c]->contexts[i];
            uint64_t bytes = shm_load_own(&ctx->board->state_bytes);
            if (bytes < 1 << 16) continue;
            used += (size_t)snprintf(text + used, text_bytes - used,
                                     ", %.3g MiB of state of %s (%llu keys", memory_mib(bytes),
                                     ctx->node->id,
                                     (unsigned long long)shm_load_own(&ctx->board->keys));
            if (used < text_bytes && ctx->class->weigh)
                used += memory_tell_keys(ctx, text + used, text_bytes - used);
            if (used < text_bytes) used += (size_t)snprintf(text + used, text_bytes - used, ")");
        }
    return used < text_bytes ? used : text_bytes - 1;
}
