/* bench/state_timers: what one core makes of timers, millions of them pending.
 *
 *     state_timers [--timers 10000000] [--rounds 3]
 *
 * One timer for each 8-byte key, in the key's entry of a table and in a wheel, as a process
 * operator has them (see engine/flow/key_timers.h), for random times within an hour; keys come in
 * batches of 256, so the table's look-ups prefetch. `set` makes key and timer, `find` is the
 * look-up alone, `move` looks a random key up and sets its timer to a later time, `fire` takes
 * everything out of the wheel in steps of a second, finds the keys and asks each timer whether it
 * is due, which those that moved are not at first. Nanoseconds a timer, the best round and the
 * median one, in one JSON object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "engine/state/table.h"
#include "engine/state/timers.h"
#include "engine/state/wheel.h"
#include "shm/clock.h"
#include "shm/hash.h"

enum { TIMERS_BATCH = 256, TIMERS_HOUR_S = 3600, TIMERS_SECOND_US = 1000000 };

struct entry {
    uint64_t state;
    struct eng_timers timers;
};

struct timers_bench {
    uint64_t timers, random;
    struct eng_arena *arena;
    struct eng_table *table;
    struct eng_wheel *wheel;
    uint64_t ids[TIMERS_BATCH], hashes[TIMERS_BATCH];
    const void *keys[TIMERS_BATCH];
    void *entries[TIMERS_BATCH];
};

static uint64_t timers_random(struct timers_bench *bench)
{
    bench->random ^= bench->random << 13;
    bench->random ^= bench->random >> 7;
    bench->random ^= bench->random << 17;
    return bench->random;
}

static int64_t timers_time(struct timers_bench *bench, uint64_t span_s)
{
    return (int64_t)(timers_random(bench) % (span_s * TIMERS_SECOND_US));
}

static void timers_key(struct timers_bench *bench, uint32_t i, uint64_t id)
{
    bench->ids[i] = id;
    bench->hashes[i] = shm_hash(&bench->ids[i], 8);
    bench->keys[i] = &bench->ids[i];
}

/* Sets the timers of the entries found. */
static void timers_set(struct timers_bench *bench, uint32_t count, int64_t later_us)
{
    for (uint32_t i = 0; i < count; i++) {
        struct entry *entry = bench->entries[i];
        int64_t at_us = later_us + timers_time(bench, TIMERS_HOUR_S);
        int queue = eng_timers_set(bench->arena, &entry->timers, 0, ENG_TIMER_EVENT, at_us);
        CHECK(queue >= 0);
        if (queue > 0)
            CHECK(eng_wheel_add(bench->wheel, at_us, bench->hashes[i], 0, bench->keys[i], 8));
    }
}

static double timers_fill(struct timers_bench *bench)
{
    uint64_t spent_ns = 0;

    for (uint64_t id = 1; id <= bench->timers;) {
        uint32_t count = 0;
        while (count < TIMERS_BATCH && id <= bench->timers)
            timers_key(bench, count++, id++);
        uint64_t start_ns = shm_clock_ns();
        CHECK(eng_table_upsert(bench->table, count, bench->hashes, bench->keys, NULL,
                               bench->entries));
        timers_set(bench, count, 0);
        spent_ns += shm_clock_ns() - start_ns;
    }
    return (double)spent_ns / (double)bench->timers;
}

/* Random keys: a tenth as many look-ups as there are timers. */
static double timers_touch(struct timers_bench *bench, bool move)
{
    uint64_t spent_ns = 0, done = 0;

    while (done < bench->timers / 10) {
        for (uint32_t i = 0; i < TIMERS_BATCH; i++)
            timers_key(bench, i, 1 + timers_random(bench) % bench->timers);
        uint64_t start_ns = shm_clock_ns();
        eng_table_find_writable(bench->table, TIMERS_BATCH, bench->hashes, bench->keys, NULL,
                                bench->entries);
        if (move)
            timers_set(bench, TIMERS_BATCH, (int64_t)TIMERS_HOUR_S * TIMERS_SECOND_US);
        else
            for (uint32_t i = 0; i < TIMERS_BATCH; i++)
                ((struct entry *)bench->entries[i])->state++;
        spent_ns += shm_clock_ns() - start_ns;
        done += TIMERS_BATCH;
    }
    return (double)spent_ns / (double)done;
}

static uint64_t timers_fire_batch(struct timers_bench *bench,
                                  const struct eng_wheel_item *const *items, uint32_t count)
{
    uint64_t fired = 0;

    for (uint32_t i = 0; i < count; i++) {
        bench->hashes[i] = items[i]->hash;
        bench->keys[i] = items[i]->key;
    }
    eng_table_find_writable(bench->table, count, bench->hashes, bench->keys, NULL, bench->entries);
    for (uint32_t i = 0; i < count; i++) {
        struct entry *entry = bench->entries[i];
        int64_t at_us;
        CHECK(entry != NULL);
        switch (eng_timers_due(bench->arena, &entry->timers, 0, ENG_TIMER_EVENT, items[i]->at_us,
                               &at_us)) {
        case ENG_TIMER_FIRE:
            entry->state++;
            fired++;
            break;
        case ENG_TIMER_LATER:
            CHECK(eng_wheel_add_again(bench->wheel, items[i], at_us));
            break;
        case ENG_TIMER_STALE:
            break;
        }
    }
    return fired;
}

static double timers_fire(struct timers_bench *bench)
{
    const struct eng_wheel_item *items[TIMERS_BATCH];
    uint64_t fired = 0, start_ns = shm_clock_ns();

    for (int64_t second = 1; fired < bench->timers; second++) {
        bool more = true;
        CHECK(second <= 2 * TIMERS_HOUR_S);
        while (more) {
            int32_t count =
                eng_wheel_take(bench->wheel, second * TIMERS_SECOND_US, items, TIMERS_BATCH, &more);
            CHECK(count >= 0);
            if (count > 0) fired += timers_fire_batch(bench, items, (uint32_t)count);
        }
    }
    CHECK(eng_wheel_count(bench->wheel) == 0);
    return (double)(shm_clock_ns() - start_ns) / (double)bench->timers;
}

static void timers_print(const char *name, const struct bench_samples *samples)
{
    printf(", \"%s\": {\"best\": %.2f, \"median\": %.2f}", name, bench_min(samples),
           bench_median(samples));
}

int main(int argc, char **argv)
{
    static struct timers_bench bench;
    static const char *const names[] = {"timers", "rounds", NULL};
    static struct bench_samples set, find, move, fire, bytes;

    bench_arguments(argc, argv, names);
    bench.timers = bench_number(argc, argv, "timers", 10000000);
    uint64_t rounds = bench_number(argc, argv, "rounds", 3);
    CHECK(bench.timers > 0 && rounds > 0 && rounds <= BENCH_ROUNDS_MAX);
    bench.random = 88172645463325252;
    bench_pin(0);
    for (uint64_t round = 0; round < rounds; round++) {
        struct eng_table_spec spec = {
            .name = "bench", .key_bytes = 8, .value_bytes = sizeof(struct entry)};
        CHECK(eng_arena_open(&bench.arena, 0, 0) == 0);
        CHECK(eng_table_open(&bench.table, bench.arena, &spec) == 0);
        CHECK(eng_wheel_open(&bench.wheel, bench.arena) == 0);
        bench_add(&set, timers_fill(&bench));
        bench_add(&bytes, (double)eng_arena_bytes(bench.arena) / (double)bench.timers);
        bench_add(&find, timers_touch(&bench, false));
        bench_add(&move, timers_touch(&bench, true));
        bench_add(&fire, timers_fire(&bench));
        eng_wheel_close(bench.wheel);
        eng_table_close(bench.table);
        CHECK(eng_arena_bytes(bench.arena) == 0);
        eng_arena_close(bench.arena);
    }
    printf("{\"bench\": \"state_timers\", \"timers\": %llu", (unsigned long long)bench.timers);
    timers_print("set_ns", &set);
    timers_print("find_ns", &find);
    timers_print("move_ns", &move);
    timers_print("fire_ns", &fire);
    printf(", \"bytes_per_timer\": %.1f}\n", bench_median(&bytes));
    return 0;
}
