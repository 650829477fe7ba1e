#include "engine/control/local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/memory.h"
#include "engine/operator/operators.h"
#include "shm/clock.h"

static int local_mistakes(struct eng_local *local, char *reason, size_t reason_bytes)
{
    char *text = NULL;
    size_t text_bytes = 0;
    FILE *out = open_memstream(&text, &text_bytes);

    CHECK(out != NULL);
    eng_graph_print_mistakes(local->graph, out);
    fclose(out);
    snprintf(reason, reason_bytes, "%s", text);
    free(text);
    return -EINVAL;
}

static int local_plan(struct eng_local *local, const struct eng_local_options *options,
                      char *reason, size_t reason_bytes)
{
    struct eng_plan_options wish = {.parallelism = options->parallelism ? options->parallelism : 1};
    uint32_t node_count;
    struct eng_node **nodes = eng_graph_nodes(local->graph, &node_count);

    for (uint32_t i = 0; i < node_count; i++)
        if (nodes[i]->class == &eng_source_class &&
            !eng_source_plan(nodes[i], reason, (uint32_t)reason_bytes))
            return -EINVAL;
    int result = eng_plan_open(&local->plan, local->graph, &wish, reason, reason_bytes);
    if (result < 0 || options->ring_bytes == 0) return result;
    local->plan.ring_memory_bytes = 0;
    for (uint32_t r = 0; r < local->plan.ring_count; r++) {
        local->plan.rings[r].capacity_bytes = options->ring_bytes;
        local->plan.rings[r].memory_offset = local->plan.ring_memory_bytes;
        local->plan.ring_memory_bytes += options->ring_bytes;
    }
    return 0;
}

static void local_set_settings(struct eng_local *local, const struct eng_local_options *options)
{
    const struct eng_graph_settings *settings = eng_graph_settings(local->graph);

    local->settings = (struct eng_worker_settings){
        .on_bad_record = settings->on_bad_record,
        .dead_letters = settings->dead_letters,
        .rejects_max = settings->rejects_max,
        .run = "local",
        .virtual_wall_us = options->virtual_wall_us,
        .witness = options->witness,
    };
}

/* Memory for the board and the rings, and the board filled. 0 or -errno. */
static int local_open_board(struct eng_local *local, uint64_t memory_bytes)
{
    uint64_t board_bytes = (local->plan.board_bytes + SHM_CACHELINE - 1) & ~(SHM_CACHELINE - 1ull);
    local->board = aligned_alloc(SHM_CACHELINE, board_bytes);
    local->ring_memory = aligned_alloc(4096, (local->plan.ring_memory_bytes + 8191) & ~4095ull);
    CHECK(local->board != NULL);
    CHECK(local->ring_memory != NULL);
    memset(local->board, 0, board_bytes);
    int result = eng_assemble_board(local->board, &local->plan, "local");
    if (result < 0) return result;
    if (memory_bytes > 0)
        eng_memory_share(local->board, memory_bytes,
                         local->plan.ring_memory_bytes + local->plan.board_bytes);
    local->board->started_ns = eng_worker_clock_ns(&local->settings);
    local->board->started_us =
        local->settings.virtual_wall_us ? *local->settings.virtual_wall_us : shm_clock_wall_us();
    return 0;
}

int eng_local_open(struct eng_local *local, void (*job)(pen_graph *graph),
                   const struct eng_local_options *options, char *reason, size_t reason_bytes)
{
    struct pen_graph *graph = eng_graph_open();

    eng_graph_set_arguments(graph, (int)options->argument_count, options->arguments);
    job(graph);
    return eng_local_begin(local, graph, options, reason, reason_bytes);
}

int eng_local_begin(struct eng_local *local, struct pen_graph *graph,
                    const struct eng_local_options *options, char *reason, size_t reason_bytes)
{
    *local = (struct eng_local){.graph = graph};
    if (!eng_graph_finish(graph)) {
        local_mistakes(local, reason, reason_bytes);
        eng_local_close(local);
        return -EINVAL;
    }
    int result = local_plan(local, options, reason, reason_bytes);
    if (result < 0) {
        eng_local_close(local);
        return result;
    }
    local_set_settings(local, options);
    result = local_open_board(local, options->memory_bytes);
    if (result < 0) {
        snprintf(reason, reason_bytes, "cannot make doorbells: %s", strerror(-result));
        eng_local_close(local);
        return result;
    }
    local->assembly =
        (struct eng_assembly){&local->plan, &local->settings, local->board, -1, local->ring_memory};
    local->worker_count = local->plan.worker_count;
    local->workers = calloc(local->worker_count, sizeof *local->workers);
    CHECK(local->workers != NULL);
    shm_store_release(&local->board->command, ENG_COMMAND_RUN); /* [board.command] */
    for (uint32_t w = 0; w < local->worker_count && !options->plan_only; w++) {
        local->workers[w] = eng_local_make_worker(local, w, reason, reason_bytes);
        if (!local->workers[w]) {
            eng_local_close(local);
            return -EINVAL;
        }
    }
    return 0;
}

struct eng_worker *eng_local_make_worker(struct eng_local *local, uint32_t number, char *reason,
                                         size_t reason_bytes)
{
    struct eng_worker *worker = NULL;

    if (eng_assemble(&worker, &local->assembly, number, reason, reason_bytes) < 0) return NULL;
    eng_worker_start(worker);
    return worker;
}

void eng_local_close(struct eng_local *local)
{
    for (uint32_t w = 0; w < local->worker_count && local->workers; w++)
        eng_worker_close(local->workers[w]);
    if (local->board)
        for (uint32_t w = 0; w < local->worker_count; w++)
            shm_doorbell_close(&eng_board_worker(local->board, w)->doorbell);
    free(local->workers);
    free(local->board);
    free(local->ring_memory);
    eng_plan_close(&local->plan);
    eng_graph_close(local->graph);
    *local = (struct eng_local){0};
}

bool eng_local_step(struct eng_local *local)
{
    bool open = false;

    for (uint32_t w = 0; w < local->worker_count; w++) {
        struct eng_worker *worker = local->workers[w];
        if (eng_worker_is_done(worker)) continue;
        eng_worker_step(worker);
        if (worker->failed) return false;
        open |= !eng_worker_is_done(worker);
    }
    return open;
}

int eng_local_run(struct eng_local *local)
{
    while (eng_local_step(local)) {
    }
    return eng_local_failure(local) ? -EIO : 0;
}

const char *eng_local_failure(const struct eng_local *local)
{
    for (uint32_t w = 0; w < local->worker_count; w++)
        if (local->workers[w] && local->workers[w]->failed)
            return eng_board_worker(local->board, w)->failure;
    return NULL;
}

void eng_local_command(struct eng_local *local, enum eng_command command)
{
    shm_store_release(&local->board->command, command); /* [board.command] */
}

/* ---- Counters -------------------------------------------------------------------------------- */

static const struct eng_board_node *local_find(const struct eng_local *local, const char *id)
{
    for (uint32_t n = 0; n < local->board->counts.nodes; n++)
        if (strcmp(eng_board_node(local->board, n)->id, id) == 0)
            return eng_board_node(local->board, n);
    return NULL;
}

static uint64_t local_sum(const struct eng_local *local, const char *id, size_t member_offset)
{
    const struct eng_board_node *node = local_find(local, id);
    uint64_t sum = 0;

    CHECK(node != NULL);
    for (uint32_t s = 0; s < node->parallelism; s++) {
        char *subtask = (char *)eng_board_subtask(local->board, node->first_subtask + s);
        sum += shm_load_own((_Atomic uint64_t *)(void *)(subtask + member_offset));
    }
    return sum;
}

uint64_t eng_local_records_in(const struct eng_local *local, const char *id)
{
    return local_sum(local, id, offsetof(struct eng_board_subtask, records_in));
}

uint64_t eng_local_records_out(const struct eng_local *local, const char *id)
{
    return local_sum(local, id, offsetof(struct eng_board_subtask, records_out));
}

uint64_t eng_local_rejected(const struct eng_local *local, const char *id)
{
    return local_sum(local, id, offsetof(struct eng_board_subtask, rejected));
}
