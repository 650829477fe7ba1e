#include "engine/job/plan.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/board.h"
#include "engine/job/graph_inside.h"
#include "shm/check.h"

struct planner {
    struct eng_plan *plan;
    struct pen_graph *graph;
    char *reason;
    size_t reason_bytes;
    int *cores;
    uint32_t core_count;
    uint32_t parallelism; /* of nodes that say none, in the job's own group */
    bool is_given;        /* by the command line or the job, not by the number of cores */
    uint32_t *chain_of;   /* by node */
    const char **groups;  /* names, in the order of the graph; the first is NULL, the job's own */
    uint32_t group_count;
};

static void *plan_keep(size_t count, size_t size_bytes)
{
    void *memory = calloc(count ? count : 1, size_bytes);
    CHECK(memory != NULL);
    return memory;
}

static bool plan_refuse(struct planner *planner, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool plan_refuse(struct planner *planner, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(planner->reason, planner->reason_bytes, format, args);
    va_end(args);
    return false;
}

static bool plan_same_group(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* ---- Cores and parallelism ------------------------------------------------------------------- */

static void plan_take_cores(struct planner *planner, const struct eng_plan_options *options)
{
    cpu_set_t *set;
    uint32_t room = CPU_SETSIZE;

    if (options->cores && options->core_count > 0) {
        planner->core_count = options->core_count;
        planner->cores = plan_keep(options->core_count, sizeof *planner->cores);
        memcpy(planner->cores, options->cores, options->core_count * sizeof *planner->cores);
        return;
    }
    planner->cores = plan_keep(room, sizeof *planner->cores);
    set = CPU_ALLOC(room);
    CHECK(set != NULL);
    CPU_ZERO_S(CPU_ALLOC_SIZE(room), set);
    if (sched_getaffinity(0, CPU_ALLOC_SIZE(room), set) == 0)
        for (uint32_t core = 0; core < room; core++)
            if (CPU_ISSET_S(core, CPU_ALLOC_SIZE(room), set))
                planner->cores[planner->core_count++] = (int)core;
    CPU_FREE(set);
    if (planner->core_count == 0) planner->cores[planner->core_count++] = 0;
}

static uint32_t plan_wanted(const struct planner *planner, uint32_t node)
{
    CHECK(node < planner->plan->node_count);
    return eng_graph_node_of(planner->plan->nodes[node])->wanted;
}

static void plan_find_groups(struct planner *planner)
{
    struct eng_plan *plan = planner->plan;

    planner->groups = plan_keep(plan->node_count + 1, sizeof *planner->groups);
    planner->group_count = 1; /* the job's own, which has no name */
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const char *group = plan->nodes[i]->group;
        uint32_t g = 0;
        while (g < planner->group_count && !plan_same_group(planner->groups[g], group))
            g++;
        if (g == planner->group_count) planner->groups[planner->group_count++] = group;
    }
}

/* What the nodes of a group ask for: the most that one says, and whether some leave it to us. */
static uint32_t plan_group_wants(const struct planner *planner, const char *group, bool *is_open)
{
    const struct eng_plan *plan = planner->plan;
    uint32_t most = 0;

    *is_open = false;
    for (uint32_t i = 0; i < plan->node_count; i++) {
        if (!plan_same_group(plan->nodes[i]->group, group) || plan->nodes[i]->blocking) continue;
        uint32_t wanted = plan_wanted(planner, i);
        if (wanted == 0) *is_open = true;
        if (wanted > most) most = wanted;
    }
    return most;
}

/* One worker for each core, whatever the groups: those that say a number get it, the rest is shared
 * out evenly. A number that was given is meant for each of them. */
static void plan_share_cores(struct planner *planner)
{
    uint32_t taken = 0, open_count = 0;
    bool is_open;

    if (planner->is_given || planner->group_count == 1) return;
    for (uint32_t g = 0; g < planner->group_count; g++) {
        uint32_t most = plan_group_wants(planner, planner->groups[g], &is_open);
        if (is_open)
            open_count++;
        else
            taken += most;
    }
    if (open_count == 0) return;
    uint32_t left = planner->core_count > taken ? planner->core_count - taken : 0;
    planner->parallelism = left / open_count > 0 ? left / open_count : 1;
}

static bool plan_set_parallelism(struct planner *planner, const struct eng_plan_options *options)
{
    struct eng_plan *plan = planner->plan;
    uint32_t job = eng_graph_settings(planner->graph)->parallelism;

    planner->is_given = options->parallelism > 0 || job > 0;
    planner->parallelism = options->parallelism ? options->parallelism
                           : job                ? job
                                                : planner->core_count;
    if (!planner->is_given && planner->parallelism > ENG_WORKERS_MAX)
        planner->parallelism = ENG_WORKERS_MAX;
    if (planner->parallelism > ENG_WORKERS_MAX)
        return plan_refuse(planner,
                           "--parallelism %u: %d workers at most are possible "
                           "(ENG_WORKERS_MAX); this machine gives the job %u cores",
                           planner->parallelism, ENG_WORKERS_MAX, planner->core_count);
    plan_share_cores(planner);
    for (uint32_t i = 0; i < plan->node_count; i++) {
        uint32_t wanted = plan_wanted(planner, i);
        plan->nodes[i]->parallelism = wanted ? wanted : planner->parallelism;
        plan->subtask_count += plan->nodes[i]->parallelism;
        if (plan->nodes[i]->input_count == 0) plan->nodes[i]->claim = plan->claim_count++;
    }
    return true;
}

/* ---- Chains ---------------------------------------------------------------------------------- */

/* How records really change owner. */
static enum eng_exchange_kind plan_kind(const struct eng_plan *plan, const struct eng_node *to,
                                        const struct eng_node_input *input)
{
    uint32_t from_parallelism = plan->nodes[input->from_node]->parallelism;

    if (input->kind == ENG_FORWARD && from_parallelism != to->parallelism) return ENG_REBALANCE;
    if (input->kind == ENG_REBALANCE && from_parallelism == 1 && to->parallelism == 1)
        return ENG_FORWARD;
    return input->kind;
}

static bool plan_is_fused(const struct eng_plan *plan, const struct eng_node *node)
{
    if (node->input_count != 1) return false;
    const struct eng_node *from = plan->nodes[node->inputs[0].from_node];
    if (plan_kind(plan, node, &node->inputs[0]) != ENG_FORWARD) return false;
    return from->blocking == node->blocking && plan_same_group(from->group, node->group);
}

static void plan_make_chains(struct planner *planner)
{
    struct eng_plan *plan = planner->plan;

    planner->chain_of = plan_keep(plan->node_count, sizeof *planner->chain_of);
    plan->chains = plan_keep(plan->node_count, sizeof *plan->chains);
    for (uint32_t i = 0; i < plan->node_count; i++) {
        struct eng_node *node = plan->nodes[i];
        struct eng_plan_chain *chain;

        CHECK(node->number == i);
        if (plan_is_fused(plan, node)) {
            chain = &plan->chains[planner->chain_of[node->inputs[0].from_node]];
        } else {
            chain = &plan->chains[plan->chain_count];
            *chain = (struct eng_plan_chain){
                .number = plan->chain_count++,
                .nodes = plan_keep(plan->node_count, sizeof *chain->nodes),
                .parallelism = node->parallelism,
                .workers = plan_keep(node->parallelism, sizeof *chain->workers),
                .group = node->group,
                .blocking = node->blocking,
            };
        }
        CHECK(chain->parallelism == node->parallelism);
        chain->nodes[chain->node_count++] = i;
        planner->chain_of[i] = chain->number;
    }
}

/* ---- Workers --------------------------------------------------------------------------------- */

static void plan_add_workers(struct eng_plan *plan, uint32_t count, const char *group,
                             bool blocking)
{
    for (uint32_t i = 0; i < count; i++) {
        plan->workers[plan->worker_count] = (struct eng_plan_worker){
            .number = plan->worker_count, .group = group, .blocking = blocking, .core = -1};
        plan->worker_count++;
    }
}

/* The chain of the same width that a forward edge joins to this one; NULL: none. */
static const struct eng_plan_chain *plan_neighbour(const struct planner *planner,
                                                   const struct eng_plan_chain *chain)
{
    const struct eng_plan *plan = planner->plan;
    const struct eng_node *head = plan->nodes[chain->nodes[0]];

    for (uint32_t i = 0; i < head->input_count; i++) {
        const struct eng_plan_chain *from =
            &plan->chains[planner->chain_of[head->inputs[i].from_node]];
        if (plan_kind(plan, head, &head->inputs[i]) != ENG_FORWARD) continue;
        if (from->blocking || !plan_same_group(from->group, chain->group)) continue;
        CHECK(from->parallelism == chain->parallelism);
        return from;
    }
    return NULL;
}

/* Subtasks of the chains of a group on its workers, which are [first, first + count). */
static void plan_place_group(struct planner *planner, const char *group, uint32_t first,
                             uint32_t count)
{
    struct eng_plan *plan = planner->plan;
    uint32_t start = 0;

    for (uint32_t c = 0; c < plan->chain_count; c++) {
        struct eng_plan_chain *chain = &plan->chains[c];
        if (chain->blocking || !plan_same_group(chain->group, group)) continue;
        const struct eng_plan_chain *neighbour = plan_neighbour(planner, chain);
        if (neighbour) {
            memcpy(chain->workers, neighbour->workers, chain->parallelism * sizeof(uint32_t));
            continue;
        }
        uint32_t from = chain->parallelism < count ? start : 0;
        for (uint32_t s = 0; s < chain->parallelism; s++)
            chain->workers[s] = first + (from + s) % count;
        if (chain->parallelism < count) start = (start + chain->parallelism) % count;
    }
}

static uint32_t plan_group_width(const struct eng_plan *plan, const char *group)
{
    uint32_t width = 0;

    for (uint32_t c = 0; c < plan->chain_count; c++) {
        const struct eng_plan_chain *chain = &plan->chains[c];
        if (chain->blocking || !plan_same_group(chain->group, group)) continue;
        if (chain->parallelism > width) width = chain->parallelism;
    }
    return width;
}

static uint32_t plan_helper_count(const struct eng_plan *plan)
{
    uint32_t count = 0;

    for (uint32_t c = 0; c < plan->chain_count; c++)
        if (plan->chains[c].blocking) count += plan->chains[c].parallelism;
    return count;
}

static bool plan_make_workers(struct planner *planner)
{
    struct eng_plan *plan = planner->plan;
    uint32_t width = 0, helpers = plan_helper_count(plan);

    for (uint32_t g = 0; g < planner->group_count; g++)
        width += plan_group_width(plan, planner->groups[g]);
    if (width > ENG_WORKERS_MAX)
        return plan_refuse(planner,
                           "the job and its %u groups would have %u workers, and %d at most are "
                           "possible (ENG_WORKERS_MAX): use a smaller --parallelism",
                           planner->group_count - 1, width, ENG_WORKERS_MAX);
    if (helpers > ENG_HELPERS_MAX)
        return plan_refuse(planner,
                           "what may block would have %u processes, and %d at most are "
                           "possible (ENG_HELPERS_MAX): use a smaller .parallelism for it",
                           helpers, ENG_HELPERS_MAX);
    plan->workers = plan_keep(width + helpers, sizeof *plan->workers);
    for (uint32_t g = 0; g < planner->group_count; g++) {
        uint32_t first = plan->worker_count;
        uint32_t count = plan_group_width(plan, planner->groups[g]);
        plan_add_workers(plan, count, planner->groups[g], false);
        if (count > 0) plan_place_group(planner, planner->groups[g], first, count);
    }
    plan->core_worker_count = plan->worker_count;
    plan->core_count = planner->core_count;
    for (uint32_t c = 0; c < plan->chain_count; c++) {
        struct eng_plan_chain *chain = &plan->chains[c];
        if (!chain->blocking) continue;
        for (uint32_t s = 0; s < chain->parallelism; s++)
            chain->workers[s] = plan->worker_count + s;
        plan_add_workers(plan, chain->parallelism, chain->group, true);
    }
    /* Two workers pinned to one core would only wait for each other. */
    for (uint32_t w = 0; w < width && width <= planner->core_count; w++)
        plan->workers[w].core = planner->cores[w];
    return true;
}

/* ---- Exchanges and rings --------------------------------------------------------------------- */

static void plan_make_exchanges(struct planner *planner)
{
    struct eng_plan *plan = planner->plan;
    uint32_t room = 0;

    for (uint32_t i = 0; i < plan->node_count; i++)
        room += plan->nodes[i]->input_count;
    plan->exchanges = plan_keep(room, sizeof *plan->exchanges);
    for (uint32_t c = 0; c < plan->chain_count; c++) {
        const struct eng_node *head = plan->nodes[plan->chains[c].nodes[0]];
        for (uint32_t i = 0; i < head->input_count; i++) {
            const struct eng_node_input *input = &head->inputs[i];
            plan->exchanges[plan->exchange_count] = (struct eng_plan_exchange){
                .number = plan->exchange_count,
                .from_chain = planner->chain_of[input->from_node],
                .from_node = input->from_node,
                .from_output = input->from_output,
                .to_chain = c,
                .to_node = head->number,
                .input = i,
                .kind = plan_kind(plan, head, input),
            };
            CHECK(plan->exchanges[plan->exchange_count].from_chain < c);
            plan->exchange_count++;
        }
    }
}

/* The pairs of different workers that an exchange joins, as rings; with rings NULL only counts. */
static uint32_t plan_pair(const struct eng_plan *plan, const struct eng_plan_exchange *exchange,
                          struct eng_plan_ring *rings)
{
    const struct eng_plan_chain *from = &plan->chains[exchange->from_chain];
    const struct eng_plan_chain *to = &plan->chains[exchange->to_chain];
    bool is_forward = exchange->kind == ENG_FORWARD;
    uint32_t count = 0;

    if (is_forward) CHECK(from->parallelism == to->parallelism);
    for (uint32_t f = 0; f < from->parallelism; f++) {
        uint32_t first = is_forward ? f : 0, end = is_forward ? f + 1 : to->parallelism;
        for (uint32_t t = first; t < end; t++) {
            if (from->workers[f] == to->workers[t]) continue;
            if (rings)
                rings[count] = (struct eng_plan_ring){.exchange = exchange->number,
                                                      .from_worker = from->workers[f],
                                                      .to_worker = to->workers[t]};
            count++;
        }
    }
    return count;
}

static int plan_ring_order(const void *a_, const void *b_)
{
    const struct eng_plan_ring *a = a_, *b = b_;

    if (a->to_worker != b->to_worker) return a->to_worker < b->to_worker ? -1 : 1;
    if (a->exchange != b->exchange) return a->exchange < b->exchange ? -1 : 1;
    CHECK(a->from_worker != b->from_worker); /* a worker has one subtask of a chain at most */
    return a->from_worker < b->from_worker ? -1 : 1;
}

/* A worker's budget over its inbound rings, as a power of two. */
static uint64_t plan_ring_bytes(uint32_t inbound)
{
    uint64_t bytes = ENG_RING_BYTES_MAX;

    CHECK(inbound > 0);
    while (bytes > ENG_RING_BYTES_MIN && bytes * inbound > ENG_RING_BUDGET_BYTES)
        bytes /= 2;
    return bytes;
}

static void plan_make_rings(struct eng_plan *plan)
{
    uint32_t at = 0;

    for (uint32_t e = 0; e < plan->exchange_count; e++) {
        plan->exchanges[e].ring_count = plan_pair(plan, &plan->exchanges[e], NULL);
        plan->ring_count += plan->exchanges[e].ring_count;
    }
    plan->rings = plan_keep(plan->ring_count, sizeof *plan->rings);
    for (uint32_t e = 0; e < plan->exchange_count; e++)
        at += plan_pair(plan, &plan->exchanges[e], plan->rings + at);
    CHECK(at == plan->ring_count);
    qsort(plan->rings, plan->ring_count, sizeof *plan->rings, plan_ring_order);
    for (uint32_t r = 0; r < plan->ring_count; r++)
        plan->rings[r].ready_bit = plan->workers[plan->rings[r].to_worker].inbound++;

    /* All rings of an exchange are equal: as large as its busiest reader affords. */
    for (uint32_t r = 0; r < plan->ring_count; r++) {
        struct eng_plan_exchange *exchange = &plan->exchanges[plan->rings[r].exchange];
        uint64_t bytes = plan_ring_bytes(plan->workers[plan->rings[r].to_worker].inbound);
        if (exchange->ring_bytes == 0 || bytes < exchange->ring_bytes) exchange->ring_bytes = bytes;
    }
    for (uint32_t r = 0; r < plan->ring_count; r++) {
        plan->rings[r].capacity_bytes = plan->exchanges[plan->rings[r].exchange].ring_bytes;
        plan->rings[r].memory_offset = plan->ring_memory_bytes;
        plan->ring_memory_bytes += plan->rings[r].capacity_bytes;
    }
}

void eng_plan_counts(const struct eng_plan *plan, struct eng_board_counts *counts)
{
    *counts = (struct eng_board_counts){
        .workers = plan->worker_count,
        .nodes = plan->node_count,
        .chains = plan->chain_count,
        .exchanges = plan->exchange_count,
        .rings = plan->ring_count,
        .subtasks = plan->subtask_count,
        .claims = plan->claim_count,
    };
}

static void plan_measure_board(struct eng_plan *plan)
{
    struct eng_board_counts counts;
    uint32_t ready_words = 0;

    for (uint32_t w = 0; w < plan->worker_count; w++)
        ready_words += (plan->workers[w].inbound + 63) / 64;
    eng_plan_counts(plan, &counts);
    plan->board_bytes = eng_board_bytes(&counts, ready_words);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static bool plan_make(struct planner *planner, const struct eng_plan_options *options)
{
    if (planner->plan->node_count == 0) return plan_refuse(planner, "the job has no operators");
    plan_take_cores(planner, options);
    plan_find_groups(planner);
    if (!plan_set_parallelism(planner, options)) return false;
    plan_make_chains(planner);
    if (!plan_make_workers(planner)) return false;
    plan_make_exchanges(planner);
    plan_make_rings(planner->plan);
    plan_measure_board(planner->plan);
    return true;
}

int eng_plan_open(struct eng_plan *plan, struct pen_graph *graph,
                  const struct eng_plan_options *options, char *reason, size_t reason_bytes)
{
    struct planner planner = {
        .plan = plan, .graph = graph, .reason = reason, .reason_bytes = reason_bytes};

    CHECK(eng_graph_mistakes(graph) == 0);
    memset(plan, 0, sizeof *plan);
    plan->nodes = eng_graph_nodes(graph, &plan->node_count);
    bool is_made = plan_make(&planner, options);
    free(planner.cores);
    free(planner.chain_of);
    free(planner.groups);
    if (is_made) return 0;
    eng_plan_close(plan);
    return -EINVAL;
}

void eng_plan_close(struct eng_plan *plan)
{
    for (uint32_t c = 0; c < plan->chain_count; c++) {
        free(plan->chains[c].nodes);
        free(plan->chains[c].workers);
    }
    free(plan->chains);
    free(plan->exchanges);
    free(plan->rings);
    free(plan->workers);
    memset(plan, 0, sizeof *plan);
}
