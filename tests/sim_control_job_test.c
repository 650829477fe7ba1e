/* A whole job under a seed: workers are simulated processes that lose the processor inside every
 * atomic verb and every seam call, and whose stores become visible late. Method: the keyed count
 * over the smallest rings, so that they wrap and are full; for each seed the sums must be those of
 * a plain loop, no wake-up may be lost (then the run is stuck, and says so), and the same seed must
 * take the same turns. */
#include "engine/control/local.h"

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

#include "shm/clock.h"
#include "shm/sim.h"
#include "shm/spawn.h"

enum { KEYS = 16, RECORDS = 600, WORKERS = 3, SEEDS = 300 };

struct event {
    uint64_t key;
    int64_t value;
};
PEN_RECORD(event, key, value);

struct counted {
    int64_t count;
};
PEN_RECORD(counted, count);

static int64_t sum_of[KEYS], seen;

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, event, .key = index * 7 % KEYS, .value = (int64_t)index);
}
PEN_GENERATE(make, event);

static void count(pen_context *ctx, const struct event *event, struct counted *state)
{
    state->count++;
    pen_emit(ctx, event, .key = event->key, .value = event->value);
}
PEN_PROCESS(count, event, counted, event);

static enum pen_taken see(pen_context *ctx, const struct event *event)
{
    (void)ctx;
    sum_of[event->key] += event->value;
    seen++;
    return PEN_TAKEN;
}
PEN_SINK(see, event);

static void job(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make, .count = RECORDS);
    pen_stream counted = pen_process(pen_key_by(events, "key"), count, .id = "count");
    pen_sink(pen_rebalance(counted), see, .id = "seen");
}

struct start {
    struct eng_local *local;
    uint32_t number;
};

static void worker_main(void *arg)
{
    const struct start *start = arg;
    char reason[512];
    struct eng_worker *worker =
        eng_local_make_worker(start->local, start->number, reason, sizeof reason);

    CHECK(worker != NULL);
    eng_worker_run(worker);
    eng_worker_close(worker);
}

static bool all_ended(const struct eng_local *local)
{
    for (uint32_t w = 0; w < local->worker_count; w++) {
        const struct eng_board_worker *worker = eng_board_worker(local->board, w);
        uint64_t state = shm_load_acquire(&worker->state); /* pairs with [worker.state] */
        CHECK(state != ENG_WORKER_FAILED);
        if (state != ENG_WORKER_ENDED) return false;
    }
    return true;
}

static void supervise(void *arg)
{
    struct eng_local local;
    struct eng_local_options options = {
        .parallelism = WORKERS, .ring_bytes = SHM_RING_BYTES_MIN, .plan_only = true};
    struct start starts[WORKERS];
    struct shm_process processes[WORKERS];
    char reason[4096];

    (void)arg;
    CHECK(eng_local_open(&local, job, &options, reason, sizeof reason) == 0);
    CHECK(local.worker_count == WORKERS);
    for (uint32_t w = 0; w < WORKERS; w++) {
        starts[w] = (struct start){&local, w};
        CHECK(shm_spawn(&processes[w], worker_main, &starts[w]) == 0);
    }
    while (!all_ended(&local))
        shm_clock_sleep_until(shm_clock_ns() + 10000);
    eng_local_command(&local, ENG_COMMAND_EXIT);
    shm_fence();
    for (uint32_t w = 0; w < WORKERS; w++)
        shm_ring_bell(&eng_board_worker(local.board, w)->doorbell);
    for (uint32_t w = 0; w < WORKERS; w++) {
        struct shm_ending ending;
        CHECK(shm_process_wait(&processes[w], &ending, SHM_CLOCK_NEVER));
        CHECK(ending.signal == 0);
    }
    eng_local_close(&local);
}

static uint64_t run(uint64_t seed)
{
    memset(sum_of, 0, sizeof sum_of);
    seen = 0;
    struct shm_sim_result result = shm_sim_try(seed, 0, supervise, NULL);
    if (result.outcome != SHM_SIM_DONE)
        fprintf(stderr, "seed %llu: outcome %d after %llu steps: %s\n", (unsigned long long)seed,
                (int)result.outcome, (unsigned long long)result.steps, result.failure);
    CU_ASSERT_EQUAL(result.outcome, SHM_SIM_DONE);
    return result.trace;
}

static void every_seed_gives_the_sums_of_a_plain_loop(void)
{
    int64_t model[KEYS] = {0};

    for (uint64_t i = 0; i < RECORDS; i++)
        model[i * 7 % KEYS] += (int64_t)i;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(seed);
        CU_ASSERT_EQUAL(seen, RECORDS);
        CU_ASSERT_EQUAL(memcmp(model, sum_of, sizeof model), 0);
    }
}

static void a_seed_takes_the_same_turns_again(void)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        CU_ASSERT_EQUAL(run(seed), run(seed));
    CU_ASSERT_NOT_EQUAL(run(1), run(2));
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("a job under the simulator", NULL, NULL);
    CU_ADD_TEST(suite, every_seed_gives_the_sums_of_a_plain_loop);
    CU_ADD_TEST(suite, a_seed_takes_the_same_turns_again);
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
