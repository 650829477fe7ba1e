/* bench/state_table: what one core makes of a table of keyed state, beside a flat hash table made
 * for nothing else.
 *
 *     state_table [--keys 10000000] [--batches 4000] [--rounds 9] [--records 256] [--key 8]
 * [--value 8]
 *
 * `update` finds --records random keys that are all there and adds one to each value; `flat` does
 * the same in one array of 16-byte slots with the same prefetch distance; `insert` fills a new
 * table. The variants are measured in turn, round by round. `frozen` is an update in which an image
 * lives: each segment is copied at its first touch. Making keys and hashes is not in the time.
 * Nanoseconds for each key, the best round and the median one, in one JSON object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "engine/state/table.h"
#include "shm/clock.h"
#include "shm/hash.h"

enum { STATE_RECORDS_MAX = ENG_TABLE_BATCH_MAX, STATE_AHEAD = 32, STATE_KEY_BYTES_MAX = 64 };

struct state_bench {
    uint64_t keys, batches, random, key_bytes, value_bytes;
    uint32_t records;
    uint64_t hashes[STATE_RECORDS_MAX], ids[STATE_RECORDS_MAX];
    char images[STATE_RECORDS_MAX][STATE_KEY_BYTES_MAX];
    uint32_t sizes[STATE_RECORDS_MAX];
    const void *pointers[STATE_RECORDS_MAX];
    void *values[STATE_RECORDS_MAX];
    uint64_t (*flat)[2];
    uint64_t flat_mask;
    struct eng_table *table;
};

static uint64_t state_random_key(struct state_bench *bench)
{
    bench->random ^= bench->random << 13;
    bench->random ^= bench->random >> 7;
    bench->random ^= bench->random << 17;
    return 1 + ((bench->random >> 32) * bench->keys >> 32);
}

/* Variable keys are the number in decimal behind a few letters. */
static void state_make_key(struct state_bench *bench, uint32_t i, uint64_t id)
{
    char *image = bench->images[i];
    bench->ids[i] = id;
    if (bench->key_bytes == 0) {
        bench->sizes[i] =
            (uint32_t)snprintf(image, STATE_KEY_BYTES_MAX, "user-%llu", (unsigned long long)id);
    } else {
        bench->sizes[i] = (uint32_t)bench->key_bytes;
        memcpy(image, &id, bench->key_bytes < 8 ? bench->key_bytes : 8);
    }
    bench->hashes[i] = shm_hash(image, bench->sizes[i]);
    bench->pointers[i] = image;
}

static void state_make_batch(struct state_bench *bench)
{
    for (uint32_t i = 0; i < bench->records; i++)
        state_make_key(bench, i, state_random_key(bench));
}

static void state_touch(struct state_bench *bench)
{
    for (uint32_t i = 0; i < bench->records; i++) {
        uint64_t *count = bench->values[i];
        *count += 1;
    }
}

static double state_update(struct state_bench *bench)
{
    uint64_t spent_ns = 0;
    const uint32_t *sizes = bench->key_bytes == 0 ? bench->sizes : NULL;
    for (uint64_t batch = 0; batch < bench->batches; batch++) {
        state_make_batch(bench);
        uint64_t start_ns = shm_clock_ns();
        CHECK(eng_table_upsert(bench->table, bench->records, bench->hashes, bench->pointers, sizes,
                               bench->values));
        state_touch(bench);
        spent_ns += shm_clock_ns() - start_ns;
    }
    return (double)spent_ns / (double)(bench->batches * bench->records);
}

static __attribute__((noinline)) void state_flat_find(struct state_bench *bench)
{
    uint64_t(*flat)[2] = bench->flat, mask = bench->flat_mask;
    uint32_t count = bench->records;
    for (uint32_t i = 0; i < count && i < STATE_AHEAD; i++)
        __builtin_prefetch(flat[bench->hashes[i] & mask], 1);
    for (uint32_t i = 0; i < count; i++) {
        if (i + STATE_AHEAD < count)
            __builtin_prefetch(flat[bench->hashes[i + STATE_AHEAD] & mask], 1);
        uint64_t key, slot = bench->hashes[i] & mask;
        memcpy(&key, bench->pointers[i], 8);
        while (flat[slot][0] != key)
            slot = (slot + 1) & mask;
        bench->values[i] = &flat[slot][1];
    }
}

static double state_flat_update(struct state_bench *bench)
{
    uint64_t spent_ns = 0;
    for (uint64_t batch = 0; batch < bench->batches; batch++) {
        state_make_batch(bench);
        uint64_t start_ns = shm_clock_ns();
        state_flat_find(bench);
        state_touch(bench);
        spent_ns += shm_clock_ns() - start_ns;
    }
    return (double)spent_ns / (double)(bench->batches * bench->records);
}

static void state_flat_fill(struct state_bench *bench)
{
    uint64_t slots = 2;
    while (slots < bench->keys + bench->keys / 2)
        slots *= 2;
    bench->flat = bench_map_private(slots * 16, true);
    bench->flat_mask = slots - 1;
    for (uint64_t key = 1; key <= bench->keys; key++) {
        uint64_t slot = shm_hash(&key, 8) & bench->flat_mask;
        while (bench->flat[slot][0] != 0)
            slot = (slot + 1) & bench->flat_mask;
        bench->flat[slot][0] = key;
    }
}

static double state_fill(struct state_bench *bench, struct eng_arena *arena,
                         struct eng_table **table)
{
    struct eng_table_spec spec = {.name = "bench",
                                  .key_bytes = (uint32_t)bench->key_bytes,
                                  .value_bytes = (uint32_t)bench->value_bytes};
    uint64_t spent_ns = 0;
    const uint32_t *sizes = bench->key_bytes == 0 ? bench->sizes : NULL;
    CHECK(eng_table_open(table, arena, &spec) == 0);
    for (uint64_t key = 1; key <= bench->keys;) {
        uint32_t count = 0;
        while (count < bench->records && key <= bench->keys)
            state_make_key(bench, count++, key++);
        uint64_t start_ns = shm_clock_ns();
        CHECK(
            eng_table_upsert(*table, count, bench->hashes, bench->pointers, sizes, bench->values));
        spent_ns += shm_clock_ns() - start_ns;
    }
    CHECK(eng_table_count(*table) == bench->keys);
    return (double)spent_ns / (double)bench->keys;
}

/* Adds up all counts, so that no update was lost. */
static uint64_t state_sum(const struct eng_table *table)
{
    struct eng_table_walk walk;
    void *value;
    uint64_t sum = 0, count;
    eng_table_walk_all(&walk, table);
    while (eng_table_walk_next(&walk, NULL, NULL, NULL, &value)) {
        memcpy(&count, value, 8);
        sum += count;
    }
    return sum;
}

static void state_print(const char *name, const struct bench_samples *samples, const char *end)
{
    if (samples->count == 0) return;
    printf("\"%s\": {\"best\": %.2f, \"median\": %.2f}%s", name, bench_min(samples),
           bench_median(samples), end);
}

int main(int argc, char **argv)
{
    static struct state_bench bench;
    static const char *const names[] = {"keys", "batches", "rounds", "records",
                                        "key",  "value",   NULL};
    bench_arguments(argc, argv, names);
    bench.keys = bench_number(argc, argv, "keys", 10000000);
    bench.batches = bench_number(argc, argv, "batches", 4000);
    bench.records = (uint32_t)bench_number(argc, argv, "records", 256);
    bench.key_bytes = bench_number(argc, argv, "key", 8);
    bench.value_bytes = bench_number(argc, argv, "value", 8);
    uint64_t rounds = bench_number(argc, argv, "rounds", 9);
    CHECK(rounds > 0 && rounds <= BENCH_ROUNDS_MAX);
    CHECK(bench.records > 0 && bench.records <= STATE_RECORDS_MAX);
    CHECK(bench.key_bytes <= STATE_KEY_BYTES_MAX);
    CHECK(bench.value_bytes >= 8);
    bench.random = 88172645463325252;
    bench_pin(0);

    struct eng_arena *arena;
    static struct bench_samples update, flat, insert, frozen;
    bool has_flat = bench.key_bytes == 8 && bench.value_bytes == 8;
    CHECK(eng_arena_open(&arena, 0, 0) == 0);
    bench_add(&insert, state_fill(&bench, arena, &bench.table));
    if (has_flat) state_flat_fill(&bench);
    for (uint64_t round = 0; round < rounds; round++) {
        bench_add(&update, state_update(&bench));
        if (has_flat) bench_add(&flat, state_flat_update(&bench));
        eng_arena_freeze(arena, round + 2);
        bench_add(&frozen, state_update(&bench));
        CHECK(eng_arena_thaw(arena, UINT64_MAX, UINT32_MAX));
    }
    struct eng_table_statistics statistics;
    eng_table_statistics(bench.table, &statistics);
    CHECK(state_sum(bench.table) == rounds * 2 * bench.batches * bench.records);
    printf(
        "{\"bench\": \"state_table\", \"keys\": %llu, \"key_bytes\": %llu, \"value_bytes\": %llu, ",
        (unsigned long long)bench.keys, (unsigned long long)bench.key_bytes,
        (unsigned long long)bench.value_bytes);
    state_print("update_ns", &update, ", ");
    state_print("flat_ns", &flat, ", ");
    state_print("frozen_ns", &frozen, ", ");
    state_print("insert_ns", &insert, ", ");
    printf("\"bytes_per_key\": %.1f, \"segments\": %llu, \"relocated\": %llu}\n",
           (double)eng_table_bytes(bench.table) / (double)bench.keys,
           (unsigned long long)statistics.segments, (unsigned long long)statistics.relocated);
    eng_table_close(bench.table);
    CHECK(eng_arena_bytes(arena) == 0);
    eng_arena_close(arena);
    return 0;
}
