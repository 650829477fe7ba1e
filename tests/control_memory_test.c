/* One number for the memory of a job.
 * Shows: engine/flow/memory.
 * Method: jobs in one process with a limit. One whose state grows without end must fail with words
 * that name state and key, and never have taken more; one that is skewed to a worker may use what
 * the others leave; one whose sink is slow must finish, since queues drain. */
#include "engine/control/local.h"

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_MIB = 64 };

struct event {
    int64_t key, value;
};
PEN_RECORD(event, key, value);

struct nothing {
    int64_t count;
};
PEN_RECORD(nothing, count);

static struct pen_state all = PEN_KEYED_LIST("all", event);
static uint64_t seen;
static uint64_t records_wanted;
static bool hot;

static void make(pen_context *ctx, uint64_t index)
{
    int64_t key = hot && index % 8 != 0 ? 7 : (int64_t)(index % 1000);
    pen_emit(ctx, event, .key = key, .value = (int64_t)index);
}
PEN_GENERATE(make, event);

static void hoard(pen_context *ctx, const struct event *event, struct nothing *state)
{
    state->count++;
    pen_list_store(ctx, &all, event, event);
    pen_send(ctx, event, event);
}
PEN_PROCESS(hoard, event, nothing, event);

static enum pen_taken see(pen_context *ctx, const struct event *event)
{
    (void)ctx, (void)event;
    seen++;
    return PEN_TAKEN;
}
PEN_SINK(see, event);

static void hoard_job(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make, .id = "events", .count = records_wanted);
    pen_stream again =
        pen_process(pen_key_by(events, "key"), hoard, .id = "hoard", .uses = PEN_USES(&all));
    pen_sink(again, see, .id = "seen");
}

static uint64_t arena_bytes(const struct eng_local *local)
{
    uint64_t bytes = 0;
    for (uint32_t w = 0; w < local->worker_count; w++)
        bytes += eng_arena_bytes(local->workers[w]->arena);
    return bytes;
}

static void open_hoard(struct eng_local *local, uint32_t parallelism)
{
    struct eng_local_options options = {.parallelism = parallelism,
                                        .memory_bytes = (uint64_t)LIMIT_MIB << 20};
    char reason[1024];

    seen = 0;
    CU_ASSERT_EQUAL_FATAL(eng_local_open(local, hoard_job, &options, reason, sizeof reason), 0);
}

static void state_that_grows_without_end_fails_the_job_and_is_named(void)
{
    struct eng_local local;

    hot = true;
    records_wanted = UINT64_MAX / 2;
    open_hoard(&local, 2);
    uint64_t most = 0;
    while (eng_local_step(&local))
        if (arena_bytes(&local) > most) most = arena_bytes(&local);
    CU_ASSERT(most <= (uint64_t)LIMIT_MIB << 20);
    CU_ASSERT(most > (uint64_t)LIMIT_MIB << 19); /* skew has not kept it from most of it */
    const char *failure = eng_local_failure(&local);
    CU_ASSERT_PTR_NOT_NULL_FATAL(failure);
    CU_ASSERT_PTR_NOT_NULL(strstr(failure, "there is no memory for more in the state all"));
    CU_ASSERT_PTR_NOT_NULL(strstr(failure, "--memory 64 MiB are used up"));
    CU_ASSERT_PTR_NOT_NULL(strstr(failure, "of state of hoard ("));
    CU_ASSERT_PTR_NOT_NULL(strstr(failure, "the largest {\"key\":7} "));
    eng_local_close(&local);
}

static void what_fits_runs_to_its_end(void)
{
    for (uint32_t parallelism = 1; parallelism <= 4; parallelism++) {
        struct eng_local local;
        hot = parallelism % 2 == 0;
        records_wanted = 500000;
        open_hoard(&local, parallelism);
        CU_ASSERT_EQUAL(eng_local_run(&local), 0);
        CU_ASSERT_EQUAL(seen, records_wanted);
        eng_local_close(&local);
    }
}

/* A sink that takes little at a time, and forty results for a record: queues fill up. */
static uint32_t patience;

static enum pen_taken take_slowly(pen_context *ctx, const struct event *event)
{
    (void)ctx, (void)event;
    if (++patience % 100 == 0) return PEN_AGAIN;
    seen++;
    return PEN_TAKEN;
}
PEN_SINK(take_slowly, event);

static void blow_up(pen_context *ctx, const struct event *event)
{
    for (uint32_t i = 0; i < 4000; i++)
        pen_emit(ctx, event, .key = event->key * 4000 + i, .value = event->value);
}
PEN_MAP(blow_up, event, event);

static void slow_job(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make, .id = "events", .count = records_wanted);
    pen_stream more = pen_map(events, blow_up, .id = "more");
    pen_sink(pen_rebalance(more), take_slowly, .id = "slow", .parallelism = 1);
}

static void sources_wait_while_queues_drain(void)
{
    struct eng_local local;
    struct eng_local_options options = {.parallelism = 3, .memory_bytes = (uint64_t)32 << 20};
    char reason[1024];

    seen = 0;
    hot = false;
    records_wanted = 500;
    CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, slow_job, &options, reason, sizeof reason), 0);
    CU_ASSERT_EQUAL(eng_local_run(&local), 0);
    CU_ASSERT_EQUAL(seen, 4000 * records_wanted);
    eng_local_close(&local);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control: memory", NULL, NULL);
    CU_ADD_TEST(suite, state_that_grows_without_end_fails_the_job_and_is_named);
    CU_ADD_TEST(suite, what_fits_runs_to_its_end);
    CU_ADD_TEST(suite, sources_wait_while_queues_drain);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
