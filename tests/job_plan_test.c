/* engine/job/{plan,explain}: what is fused, what lies where, which rings there are.
 * Method: graphs of every shape, planned for made-up cores; after each plan all invariants are
 * checked, then what is special about it. */
#include <errno.h>

#include "engine/flow/board.h"
#include "engine/job/limits.h"
#include "tests/job_graph.h"

struct seen {
    int64_t count;
};
PEN_RECORD(seen, count);

static void hear(pen_context *ctx, const struct word *word, struct seen *seen)
{
    (void)ctx, (void)word, (void)seen;
}
PEN_PROCESS(hear, word, seen, word);

static void learn(pen_context *ctx, const struct word *word)
{
    (void)ctx, (void)word;
}
PEN_RULE(learn, word);

struct position {
    int64_t at;
};
PEN_RECORD(position, at);

static enum pen_poll read_word(pen_context *ctx, struct position *position)
{
    (void)ctx, (void)position;
    return PEN_END;
}
PEN_SOURCE(read_word, position, word);

static void splits(pen_context *ctx)
{
    (void)ctx;
}

/* ---- Invariants ------------------------------------------------------------------------------ */

static void expect_chains_to_hold(const struct eng_plan *plan)
{
    uint32_t nodes = 0, subtasks = 0;

    for (uint32_t c = 0; c < plan->chain_count; c++) {
        const struct eng_plan_chain *chain = &plan->chains[c];
        CU_ASSERT_EQUAL(chain->number, c);
        nodes += chain->node_count;
        for (uint32_t n = 0; n < chain->node_count; n++) {
            const struct eng_node *node = plan->nodes[chain->nodes[n]];
            CU_ASSERT_EQUAL(node->parallelism, chain->parallelism);
            CU_ASSERT_EQUAL(node->blocking, chain->blocking);
            subtasks += node->parallelism;
            if (n > 0) CU_ASSERT_TRUE(chain->nodes[n] > chain->nodes[n - 1]);
            if (n > 0) CU_ASSERT_EQUAL(node->input_count, 1);
        }
        for (uint32_t s = 0; s < chain->parallelism; s++) {
            CU_ASSERT_TRUE_FATAL(chain->workers[s] < plan->worker_count);
            CU_ASSERT_EQUAL(plan->workers[chain->workers[s]].blocking, chain->blocking);
            for (uint32_t t = 0; t < s; t++)
                CU_ASSERT_NOT_EQUAL(chain->workers[s], chain->workers[t]);
        }
    }
    CU_ASSERT_EQUAL(nodes, plan->node_count);
    CU_ASSERT_EQUAL(subtasks, plan->subtask_count);
}

static void expect_rings_to_hold(const struct eng_plan *plan)
{
    uint64_t offset = 0;
    uint32_t *seen_inbound = calloc(plan->worker_count, sizeof *seen_inbound);
    uint32_t *seen_rings = calloc(plan->exchange_count + 1, sizeof *seen_rings);

    for (uint32_t r = 0; r < plan->ring_count; r++) {
        const struct eng_plan_ring *ring = &plan->rings[r];
        CU_ASSERT_NOT_EQUAL(ring->from_worker, ring->to_worker);
        CU_ASSERT_EQUAL(ring->memory_offset, offset);
        CU_ASSERT_EQUAL(ring->capacity_bytes & (ring->capacity_bytes - 1), 0);
        CU_ASSERT_TRUE(ring->capacity_bytes >= ENG_RING_BYTES_MIN);
        CU_ASSERT_TRUE(ring->capacity_bytes <= ENG_RING_BYTES_MAX);
        CU_ASSERT_EQUAL(ring->capacity_bytes, plan->exchanges[ring->exchange].ring_bytes);
        CU_ASSERT_EQUAL(ring->ready_bit, seen_inbound[ring->to_worker]++);
        seen_rings[ring->exchange]++;
        offset += ring->capacity_bytes;
    }
    CU_ASSERT_EQUAL(offset, plan->ring_memory_bytes);
    for (uint32_t w = 0; w < plan->worker_count; w++) {
        CU_ASSERT_EQUAL(plan->workers[w].number, w);
        CU_ASSERT_EQUAL(plan->workers[w].inbound, seen_inbound[w]);
    }
    for (uint32_t e = 0; e < plan->exchange_count; e++) {
        CU_ASSERT_EQUAL(plan->exchanges[e].number, e);
        CU_ASSERT_EQUAL(plan->exchanges[e].ring_count, seen_rings[e]);
        CU_ASSERT_TRUE(plan->exchanges[e].from_chain < plan->exchanges[e].to_chain);
    }
    free(seen_inbound);
    free(seen_rings);
}

static struct eng_plan plan_of(struct pen_graph *graph, uint32_t parallelism, uint32_t core_count)
{
    int cores[1024];
    char reason[256] = "";
    struct eng_plan plan;
    struct eng_plan_options options = {parallelism, cores, core_count};

    for (uint32_t i = 0; i < core_count; i++)
        cores[i] = 100 + (int)i;
    int result = eng_plan_open(&plan, graph, &options, reason, sizeof reason);
    CU_ASSERT_EQUAL_FATAL(result, 0);
    expect_chains_to_hold(&plan);
    expect_rings_to_hold(&plan);
    CU_ASSERT_TRUE(plan.board_bytes > 0);
    return plan;
}

static struct pen_graph *finished(struct pen_graph *graph)
{
    if (!eng_graph_finish(graph)) eng_graph_print_mistakes(graph, stderr);
    CU_ASSERT_EQUAL_FATAL(eng_graph_mistakes(graph), 0);
    return graph;
}

static void close_both(struct eng_plan *plan, struct pen_graph *graph)
{
    eng_plan_close(plan);
    eng_graph_close(graph);
}

static struct pen_graph *word_count(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_map(pen_generate(graph, number), split);
    pen_sink(pen_aggregate(pen_key_by(words, "text"), tally, .id = "tallies",
                           .aggregates = PEN_AGGREGATES(pen_count("count"))),
             put_tally, .takes_updates = true);
    return finished(graph);
}

/* ---- Shapes ---------------------------------------------------------------------------------- */

static void word_count_alone_has_no_ring(void)
{
    struct pen_graph *graph = word_count();
    struct eng_plan plan = plan_of(graph, 1, 2);

    CU_ASSERT_EQUAL(plan.worker_count, 1);
    CU_ASSERT_EQUAL(plan.chain_count, 2);
    CU_ASSERT_EQUAL(plan.chains[0].node_count, 2); /* generate, map */
    CU_ASSERT_EQUAL(plan.chains[1].node_count, 2); /* aggregate, sink */
    CU_ASSERT_EQUAL(plan.exchange_count, 1);
    CU_ASSERT_EQUAL(plan.exchanges[0].kind, ENG_KEYED);
    CU_ASSERT_EQUAL(plan.ring_count, 0);
    CU_ASSERT_EQUAL(plan.ring_memory_bytes, 0);
    CU_ASSERT_EQUAL(plan.workers[0].core, 100);
    CU_ASSERT_EQUAL(plan.subtask_count, 4);
    CU_ASSERT_EQUAL(plan.claim_count, 1);
    close_both(&plan, graph);
}

static void word_count_on_two_and_four_workers(void)
{
    struct pen_graph *graph = word_count();
    struct eng_plan plan = plan_of(graph, 0, 2); /* one for each core */

    CU_ASSERT_EQUAL(plan.worker_count, 2);
    CU_ASSERT_EQUAL(plan.ring_count, 2);
    CU_ASSERT_EQUAL(plan.exchanges[0].ring_bytes, 1 << 20); /* a pair alone */
    CU_ASSERT_EQUAL(plan.workers[1].core, 101);
    eng_plan_close(&plan);

    plan = plan_of(graph, 4, 4); /* the same graph, planned again */
    CU_ASSERT_EQUAL(plan.worker_count, 4);
    CU_ASSERT_EQUAL(plan.ring_count, 4 * 3);
    CU_ASSERT_EQUAL(plan.exchanges[0].ring_bytes, 512 << 10); /* three into 2 MiB */
    CU_ASSERT_EQUAL(plan.subtask_count, 16);
    for (uint32_t i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(plan.chains[0].workers[i], i);
        CU_ASSERT_EQUAL(plan.chains[1].workers[i], i);
    }
    struct eng_board_counts counts = {.workers = 4,
                                      .nodes = 4,
                                      .chains = 2,
                                      .exchanges = 1,
                                      .rings = 12,
                                      .subtasks = 16,
                                      .claims = 1};
    struct eng_board_counts counted;
    eng_plan_counts(&plan, &counted);
    CU_ASSERT_EQUAL(memcmp(&counted, &counts, sizeof counts), 0); /* words only: no gaps */
    CU_ASSERT_EQUAL(plan.board_bytes, eng_board_bytes(&counts, 4));
    close_both(&plan, graph);
}

static void all_to_all_of_many_workers_has_small_rings(void)
{
    struct pen_graph *graph = word_count();
    struct eng_plan plan = plan_of(graph, 256, 256);

    CU_ASSERT_EQUAL(plan.ring_count, 256 * 255);
    CU_ASSERT_EQUAL(plan.exchanges[0].ring_bytes, ENG_RING_BYTES_MIN);
    CU_ASSERT_EQUAL(plan.workers[255].core, 355);
    close_both(&plan, graph);
}

static void more_workers_than_cores_are_not_pinned(void)
{
    struct pen_graph *graph = word_count();
    struct eng_plan plan = plan_of(graph, 3, 2);
    char *text = NULL;

    for (uint32_t w = 0; w < 3; w++)
        CU_ASSERT_EQUAL(plan.workers[w].core, -1);
    JOB_PRINTED(text, out, eng_plan_explain(&plan, out));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "3 workers on 2 cores, not pinned, because there are more of them"));
    free(text);
    close_both(&plan, graph);
}

static void more_workers_than_there_may_be_are_refused(void)
{
    struct pen_graph *graph = word_count();
    struct eng_plan plan;
    char reason[256];
    int cores[2] = {0, 1};
    struct eng_plan_options options = {10000, cores, 2};

    CU_ASSERT_EQUAL(eng_plan_open(&plan, graph, &options, reason, sizeof reason), -EINVAL);
    EXPECT_TEXT(reason,
                "--parallelism 10000: 256 workers at most are possible (ENG_WORKERS_MAX); this "
                "machine gives the job 2 cores");
    eng_plan_close(&plan); /* nothing is left to close */
    eng_graph_close(graph);
}

static void the_job_and_the_command_line_say_how_many(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_configure(graph, .parallelism = 3);
    pen_sink(pen_map(pen_generate(graph, number), split), put);
    finished(graph);
    struct eng_plan plan = plan_of(graph, 0, 8);
    CU_ASSERT_EQUAL(plan.worker_count, 3);
    eng_plan_close(&plan);
    plan = plan_of(graph, 5, 8);
    CU_ASSERT_EQUAL(plan.worker_count, 5);
    close_both(&plan, graph);
}

static void different_parallelisms_are_rebalanced(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number, .parallelism = 2);
    pen_sink(pen_map(words, split), put, .parallelism = 1);
    finished(graph);
    struct eng_plan plan = plan_of(graph, 4, 4);

    CU_ASSERT_EQUAL_FATAL(plan.chain_count, 3);
    CU_ASSERT_EQUAL(plan.exchanges[0].kind, ENG_REBALANCE);
    CU_ASSERT_EQUAL(plan.exchanges[0].ring_count, 2 * 4 - 2);
    CU_ASSERT_EQUAL(plan.exchanges[1].kind, ENG_REBALANCE);
    CU_ASSERT_EQUAL(plan.exchanges[1].ring_count, 3);
    /* Narrow chains spread: the source on 0 and 1, the sink on 2. */
    CU_ASSERT_EQUAL(plan.chains[0].workers[0], 0);
    CU_ASSERT_EQUAL(plan.chains[0].workers[1], 1);
    CU_ASSERT_EQUAL(plan.chains[2].workers[0], 2);
    /* The node itself still says what the graph said. */
    CU_ASSERT_EQUAL(plan.nodes[1]->inputs[0].kind, ENG_FORWARD);
    close_both(&plan, graph);
}

static void a_wider_operator_has_its_workers(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_sink(pen_map(pen_generate(graph, number), split, .parallelism = 4), put);
    finished(graph);
    struct eng_plan plan = plan_of(graph, 1, 8);
    CU_ASSERT_EQUAL(plan.worker_count, 4);
    CU_ASSERT_EQUAL(plan.chain_count, 3);
    CU_ASSERT_EQUAL(plan.chains[0].parallelism, 1);
    close_both(&plan, graph);
}

static void unions_go_one_to_one_without_rings(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream a = pen_generate(graph, number, .id = "a"),
               b = pen_generate(graph, number, .id = "b");
    pen_sink(pen_map(pen_union(a, b), split), put);
    finished(graph);
    struct eng_plan plan = plan_of(graph, 3, 3);

    CU_ASSERT_EQUAL(plan.chain_count, 3);
    CU_ASSERT_EQUAL(plan.exchange_count, 2);
    CU_ASSERT_EQUAL(plan.exchanges[0].kind, ENG_FORWARD);
    CU_ASSERT_EQUAL(plan.exchanges[1].kind, ENG_FORWARD);
    CU_ASSERT_EQUAL(plan.ring_count, 0);
    close_both(&plan, graph);
}

static void narrow_chains_joined_by_a_forward_edge_lie_together(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream a = pen_generate(graph, number, .id = "a", .parallelism = 2);
    pen_stream b = pen_generate(graph, number, .id = "b", .parallelism = 2);
    pen_sink(pen_map(pen_union(a, b), split, .parallelism = 2), put, .parallelism = 2);
    pen_sink(pen_generate(graph, number, .id = "wide"), put);
    finished(graph);
    struct eng_plan plan = plan_of(graph, 8, 8);
    CU_ASSERT_EQUAL_FATAL(plan.chain_count, 4);
    CU_ASSERT_EQUAL(plan.chains[2].workers[0], plan.chains[0].workers[0]);
    CU_ASSERT_EQUAL(plan.chains[2].workers[1], plan.chains[0].workers[1]);
    CU_ASSERT_EQUAL(plan.exchanges[0].ring_count, 0);
    CU_ASSERT_EQUAL(plan.exchanges[1].ring_count, 2); /* b lies on other workers */
    close_both(&plan, graph);
}

static void a_diamond_joins_at_one_head(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number);
    pen_stream left = pen_map(words, split, .id = "left"),
               right = pen_map(words, split, .id = "right");
    pen_sink(pen_union(left, right), put);
    finished(graph);
    struct eng_plan plan = plan_of(graph, 2, 2);

    CU_ASSERT_EQUAL_FATAL(plan.chain_count, 2);
    CU_ASSERT_EQUAL(plan.chains[0].node_count, 3); /* a tree: both maps are called by the source */
    CU_ASSERT_EQUAL(plan.exchange_count, 2);
    CU_ASSERT_EQUAL(plan.exchanges[0].from_node, 1);
    CU_ASSERT_EQUAL(plan.exchanges[1].from_node, 2);
    CU_ASSERT_EQUAL(plan.exchanges[1].input, 1);
    CU_ASSERT_EQUAL(plan.ring_count, 0);
    close_both(&plan, graph);
}

static void rebalancing_is_an_exchange_unless_there_is_one_subtask(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_sink(pen_rebalance(pen_generate(graph, number)), put);
    finished(graph);
    struct eng_plan plan = plan_of(graph, 4, 4);
    CU_ASSERT_EQUAL(plan.chain_count, 2);
    CU_ASSERT_EQUAL(plan.exchanges[0].kind, ENG_REBALANCE);
    CU_ASSERT_EQUAL(plan.ring_count, 12);
    eng_plan_close(&plan);
    plan = plan_of(graph, 1, 4);
    CU_ASSERT_EQUAL(plan.chain_count, 1);
    CU_ASSERT_EQUAL(plan.exchange_count, 0);
    close_both(&plan, graph);
}

static void broadcasts_go_to_all_from_one(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_generate(graph, number),
               rules = pen_generate(graph, number, .id = "rules");
    pen_sink(pen_process_broadcast(pen_key_by(words, "text"), hear, rules, learn), put);
    finished(graph);
    struct eng_plan plan = plan_of(graph, 4, 4);

    CU_ASSERT_EQUAL_FATAL(plan.chain_count, 4); /* words, rules, sequence, process with its sink */
    CU_ASSERT_EQUAL(plan.chains[2].parallelism, 1);
    CU_ASSERT_EQUAL(plan.exchange_count, 3);
    CU_ASSERT_EQUAL(plan.exchanges[0].kind, ENG_REBALANCE); /* into the sequence */
    CU_ASSERT_EQUAL(plan.exchanges[1].kind, ENG_KEYED);
    CU_ASSERT_EQUAL(plan.exchanges[2].kind, ENG_BROADCAST);
    CU_ASSERT_EQUAL(plan.exchanges[2].ring_count, 3);
    CU_ASSERT_EQUAL(plan.exchanges[2].input, 1);
    eng_plan_close(&plan);

    plan = plan_of(graph, 1, 4); /* then the sequence is a call */
    CU_ASSERT_EQUAL(plan.chain_count, 3);
    CU_ASSERT_EQUAL(plan.chains[1].node_count, 2);
    close_both(&plan, graph);
}

/* ---- Groups and what blocks ------------------------------------------------------------------ */

static void a_group_has_workers_of_its_own(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words =
        pen_map(pen_generate(graph, number), split, .group = "slow", .parallelism = 2);
    pen_sink(words, put, .group = "slow", .parallelism = 2);
    finished(graph);
    struct eng_plan plan = plan_of(graph, 0, 8);

    CU_ASSERT_EQUAL(plan.worker_count, 8); /* six for the job, two for the group */
    CU_ASSERT_EQUAL(plan.chains[0].parallelism, 6);
    CU_ASSERT_EQUAL(plan.chain_count, 2);
    CU_ASSERT_EQUAL(plan.chains[1].node_count, 2);
    CU_ASSERT_EQUAL(plan.chains[1].workers[0], 6);
    CU_ASSERT_STRING_EQUAL(plan.workers[7].group, "slow");
    CU_ASSERT_EQUAL(plan.workers[7].core, 107);
    CU_ASSERT_EQUAL(plan.exchanges[0].kind, ENG_REBALANCE);
    CU_ASSERT_EQUAL(plan.ring_count, 12);
    close_both(&plan, graph);

    /* The same width in both: one to one, and a ring for each. */
    graph = eng_graph_open();
    pen_sink(pen_map(pen_generate(graph, number), split, .group = "slow"), put, .group = "slow");
    finished(graph);
    plan = plan_of(graph, 0, 8);
    CU_ASSERT_EQUAL(plan.worker_count, 8);
    CU_ASSERT_EQUAL(plan.exchanges[0].kind, ENG_FORWARD);
    CU_ASSERT_EQUAL(plan.ring_count, 4);
    eng_plan_close(&plan);
    plan = plan_of(graph, 0, 1);
    CU_ASSERT_EQUAL(plan.worker_count, 2);
    CU_ASSERT_EQUAL(plan.workers[0].core, -1);
    close_both(&plan, graph);
}

static void too_many_workers_in_groups_are_refused(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_sink(pen_map(pen_generate(graph, number), split, .group = "slow"), put, .group = "slower");
    finished(graph);
    struct eng_plan plan;
    char reason[256];
    int cores[1] = {0};
    struct eng_plan_options options = {100, cores, 1};
    CU_ASSERT_EQUAL(eng_plan_open(&plan, graph, &options, reason, sizeof reason), -EINVAL);
    EXPECT_TEXT(reason,
                "the job and its 2 groups would have 300 workers, and 256 at most are possible "
                "(ENG_WORKERS_MAX): use a smaller --parallelism");
    eng_graph_close(graph);
}

static void what_may_block_has_helpers(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream words = pen_source(graph, read_word, .plan = splits, .blocking = true);
    pen_stream mapped = pen_map(words, split);
    pen_sink(mapped, put, .blocking = true, .parallelism = 2);
    finished(graph);
    struct eng_plan plan = plan_of(graph, 2, 2);

    CU_ASSERT_EQUAL_FATAL(plan.chain_count, 3);
    CU_ASSERT_EQUAL(plan.core_worker_count, 2);
    CU_ASSERT_EQUAL(plan.worker_count, 2 + 1 + 2);
    CU_ASSERT_TRUE(plan.chains[0].blocking);
    CU_ASSERT_EQUAL(plan.chains[0].parallelism, 1);
    CU_ASSERT_EQUAL(plan.chains[0].workers[0], 2);
    CU_ASSERT_FALSE(plan.chains[1].blocking);
    CU_ASSERT_EQUAL(plan.chains[2].workers[1], 4);
    CU_ASSERT_EQUAL(plan.workers[4].core, -1);
    CU_ASSERT_TRUE(plan.workers[4].blocking);
    CU_ASSERT_EQUAL(plan.workers[0].core, 100); /* helpers do not count against cores */
    CU_ASSERT_EQUAL(plan.exchanges[0].kind, ENG_REBALANCE);
    CU_ASSERT_EQUAL(plan.exchanges[1].kind, ENG_FORWARD);
    CU_ASSERT_EQUAL(plan.exchanges[1].ring_count, 2); /* another process each */
    close_both(&plan, graph);
}

static void the_same_again_is_the_same_plan(void)
{
    struct pen_graph *graph = word_count();
    struct eng_plan a = plan_of(graph, 5, 5), b = plan_of(graph, 5, 5);
    CU_ASSERT_EQUAL(a.ring_count, b.ring_count);
    CU_ASSERT_EQUAL(memcmp(a.rings, b.rings, a.ring_count * sizeof *a.rings), 0);
    CU_ASSERT_EQUAL(memcmp(a.exchanges, b.exchanges, a.exchange_count * sizeof *a.exchanges), 0);
    eng_plan_close(&a);
    close_both(&b, graph);
}

static void without_options_the_machine_is_asked(void)
{
    struct pen_graph *graph = word_count();
    struct eng_plan plan;
    char reason[256] = "";
    struct eng_plan_options options = {0};
    CU_ASSERT_EQUAL_FATAL(eng_plan_open(&plan, graph, &options, reason, sizeof reason), 0);
    CU_ASSERT_TRUE(plan.core_count >= 1);
    CU_ASSERT_EQUAL(plan.worker_count,
                    plan.core_count < ENG_WORKERS_MAX ? plan.core_count : ENG_WORKERS_MAX);
    CU_ASSERT_TRUE(plan.workers[0].core >= 0 || plan.core_count > ENG_WORKERS_MAX);
    close_both(&plan, graph);
}

/* ---- As people read it ----------------------------------------------------------------------- */

static void a_plan_is_explained(void)
{
    struct pen_graph *graph = word_count();
    struct eng_plan plan = plan_of(graph, 2, 2);
    char *text = NULL, *lines, *line;

    JOB_PRINTED(text, out, eng_plan_explain(&plan, out));
    char *board = strstr(text, ", board with");
    CU_ASSERT_PTR_NOT_NULL_FATAL(board);
    *board = '\0';
    EXPECT_TEXT(
        text, "4 operators in 2 chains; 2 workers, each on a core of its own\n2 rings with 2 MiB");
    EXPECT_TEXT(strchr(board + 1, '\n'),
                "\n"
                "\n"
                "+- chain 0: 2 subtasks on workers 0-1 "
                "-------------------------------------------------------------+\n"
                "| generate(number)                                                                "
                "                 |\n"
                "| `- map(split)                                                                   "
                "                 |\n"
                "+---------------------------------------------------------------------------------"
                "-----------------+\n"
                "    |  map(split) -> chain 1 aggregate(tally), keyed by text, 2 rings of 1 MiB\n"
                "    v\n"
                "+- chain 1: 2 subtasks on workers 0-1 "
                "-------------------------------------------------------------+\n"
                "| aggregate(tally)                                   id tallies                   "
                "                 |\n"
                "| `- sink(put_tally)                                                              "
                "                 |\n"
                "+---------------------------------------------------------------------------------"
                "-----------------+\n"
                "\n"
                "cores: worker 0 on 100, worker 1 on 101\n");
    lines = board + 1;
    while ((line = strsep(&lines, "\n")) != NULL)
        CU_ASSERT_TRUE(strlen(line) <= 100);
    free(text);

    JOB_PRINTED(text, out, eng_plan_print_memory(&plan, out));
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text, "         2097152  exchange 0, map(split) -> aggregate(tally): 2 rings of 1 MiB\n"));
    char sum[32];
    snprintf(sum, sizeof sum, "%16llu  in all", (unsigned long long)(plan.board_bytes + (2 << 20)));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, sum));
    free(text);
    close_both(&plan, graph);
}

static void every_kind_of_exchange_has_its_words(void)
{
    struct pen_graph *graph = eng_graph_open();
    pen_stream odd;
    pen_stream words = pen_generate(graph, number, .side = PEN_SIDES(PEN_SIDE("odd", word, &odd)));
    pen_stream rules = pen_generate(graph, number, .id = "rules", .parallelism = 1);
    pen_stream heard = pen_process_broadcast(pen_key_all(words), hear, rules, learn);
    pen_sink(pen_union(heard, pen_rebalance(odd)), put, .group = "io");
    finished(graph);
    struct eng_plan plan = plan_of(graph, 2, 8);
    char *text = NULL;

    JOB_PRINTED(text, out, eng_plan_explain(&plan, out));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "generate(number) -> chain 2 process_broadcast(hear), all under one "
                     "key, 2 rings of 1 MiB\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "generate(number).odd -> chain 3 sink(put), dealt out evenly, 4 rings"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "process_broadcast(hear) -> chain 3 sink(put), one to one, 2 rings"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "(right), to all, in one order, 1 ring of"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "chain 1: 1 subtask on worker 0 -"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "workers 2-3, group io"));
    free(text);
    close_both(&plan, graph);
}

static void bytes_are_told_in_fitting_units(void)
{
    char text[32];
    CU_ASSERT_STRING_EQUAL(eng_plan_bytes_text(0, text), "0 bytes");
    CU_ASSERT_STRING_EQUAL(eng_plan_bytes_text(1023, text), "1023 bytes");
    CU_ASSERT_STRING_EQUAL(eng_plan_bytes_text(16384, text), "16 KiB");
    CU_ASSERT_STRING_EQUAL(eng_plan_bytes_text(1536 << 10, text), "1.5 MiB");
    CU_ASSERT_STRING_EQUAL(eng_plan_bytes_text(20ull << 30, text), "20 GiB");
}

#define TEST(name) CU_add_test(suite, #name, name)

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS) return 1;
    CU_pSuite suite = CU_add_suite("job/plan", NULL, NULL);
    TEST(word_count_alone_has_no_ring);
    TEST(word_count_on_two_and_four_workers);
    TEST(all_to_all_of_many_workers_has_small_rings);
    TEST(more_workers_than_cores_are_not_pinned);
    TEST(more_workers_than_there_may_be_are_refused);
    TEST(the_job_and_the_command_line_say_how_many);
    TEST(different_parallelisms_are_rebalanced);
    TEST(a_wider_operator_has_its_workers);
    TEST(unions_go_one_to_one_without_rings);
    TEST(narrow_chains_joined_by_a_forward_edge_lie_together);
    TEST(a_diamond_joins_at_one_head);
    TEST(rebalancing_is_an_exchange_unless_there_is_one_subtask);
    TEST(broadcasts_go_to_all_from_one);
    TEST(a_group_has_workers_of_its_own);
    TEST(too_many_workers_in_groups_are_refused);
    TEST(what_may_block_has_helpers);
    TEST(the_same_again_is_the_same_plan);
    TEST(without_options_the_machine_is_asked);
    TEST(a_plan_is_explained);
    TEST(every_kind_of_exchange_has_its_words);
    TEST(bytes_are_told_in_fitting_units);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures ? 1 : 0;
}
