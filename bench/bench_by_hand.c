/* bench_by_hand: the keyed count without an engine: what the machine allows.
 *
 *        worker 0                                  worker 1
 *     generate a batch                          generate a batch
 *      | mine   | theirs  ---- ring of ---->     | mine   | theirs
 *      v        |              blocks            v        |
 *     count <---|-------- ring of blocks <-------|--------+
 *      |                                         |
 *     sum of all updated counts                 sum
 *
 * Both make uniform keys below K: the i-th is the high half of SplitMix64(i) * K. (A remainder
 * would spend more on the division than on all the rest; the engine's job makes the same keys.) A
 * worker owns half of the hashes. A record {key, 1} of its own goes straight to its table, others
 * go into a block of 8 KiB in shared memory, which is published when it is nearly full. Every
 * updated count goes to the sink, which adds it up. No state is saved, nothing can be recovered,
 * rescaled, looked at, or used for anything but this: the engine is measured against it.
 *
 * What makes it fast. Sorting records into mine and theirs has no branch: both places are written
 * and one of the two indices moves. A table is one flat array of 16-byte slots, allocated whole
 * before the clock starts, 4/5 full at the end, in huge pages, with linear probing; the hash is one
 * multiplication. Slots are prefetched a fixed distance ahead of their use.
 *
 * The sum is checked against plain counting: n records of a key contribute 1 + 2 + ... + n.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "shm/clock.h"

enum {
    BATCH = 128, /* records generated at a time */
    BLOCK_BYTES = 8192,
    BLOCKS = 64, /* a ring: 512 KiB */
    AHEAD = 24,  /* how far ahead of its use a slot is fetched: what a core can have in flight */
    WORKERS_MAX = 2,
};

struct record {
    uint64_t key;
    int64_t value;
};

enum { BLOCK_RECORDS = (BLOCK_BYTES - SHM_CACHELINE) / (int)sizeof(struct record) };

struct block {
    uint64_t count;
    _Alignas(SHM_CACHELINE) struct record records[BLOCK_RECORDS];
};
_Static_assert(sizeof(struct block) == BLOCK_BYTES, "blocks lie at whole pages");

struct ring {
    _Alignas(SHM_CACHELINE) _Atomic uint64_t tail;
    _Atomic uint64_t ended; /* after the last tail */
    _Alignas(SHM_CACHELINE) _Atomic uint64_t head;
};

struct slot {
    uint64_t key_plus_one; /* 0: empty */
    int64_t count;
};

struct result {
    _Alignas(SHM_CACHELINE) uint64_t start_ns;
    uint64_t end_ns, records, sum, sent;
};

struct plan {
    uint64_t keys, records, workers;
    struct bench_gate gate;
    struct ring rings[WORKERS_MAX]; /* by consumer */
    struct result results[WORKERS_MAX];
    struct block *blocks[WORKERS_MAX];
};

struct worker {
    /* counting */
    struct slot *slots;
    uint64_t slot_count;
    uint64_t sum, counted;

    /* generating */
    uint64_t number, workers, keys;
    uint64_t next, records; /* the next index to make, and where they end */
    struct record mine[BATCH + 1];

    /* sending */
    struct ring *out;
    struct block *out_blocks;
    uint64_t out_tail, out_head_seen;
    uint64_t fill; /* records in the block at out_tail */

    /* receiving */
    struct ring *in;
    const struct block *in_blocks;
    uint64_t in_head;
};

static inline uint64_t key_of(uint64_t index, uint64_t keys)
{
    return bench_reduce(bench_split_mix(index), keys);
}

static inline uint64_t hash_of(uint64_t key)
{
    return key * 0x9e3779b97f4a7c15u;
}

/* The highest bit of a hash chooses the worker, the others the slot. */
static inline struct slot *slot_of(const struct worker *worker, uint64_t key)
{
    uint64_t hash = worker->workers == 1 ? hash_of(key) : hash_of(key) << 1;
    return worker->slots + bench_reduce(hash, worker->slot_count);
}

/* ---- Counting -------------------------------------------------------------------------------- */

static inline int64_t slot_add(const struct worker *worker, struct slot *slot, struct record record)
{
    while (__builtin_expect(slot->key_plus_one != record.key + 1, 0)) {
        if (slot->key_plus_one == 0) {
            slot->key_plus_one = record.key + 1;
            break;
        }
        if (++slot == worker->slots + worker->slot_count) slot = worker->slots;
    }
    slot->count += record.value;
    return slot->count;
}

static void count_records(struct worker *worker, const struct record *records, uint64_t count)
{
    struct slot *slots[AHEAD];
    uint64_t ahead = count < AHEAD ? count : AHEAD;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < ahead; i++) {
        slots[i] = slot_of(worker, records[i].key);
        __builtin_prefetch(slots[i], 1);
    }
    for (uint64_t i = 0, turn = 0; i < count; i++) {
        struct slot *slot = slots[turn];
        if (i + AHEAD < count) {
            slots[turn] = slot_of(worker, records[i + AHEAD].key);
            __builtin_prefetch(slots[turn], 1);
        }
        turn = turn + 1 == AHEAD ? 0 : turn + 1;
        sum += (uint64_t)slot_add(worker, slot, records[i]);
    }
    worker->sum += sum;
    worker->counted += count;
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

/* Room for a batch in the block that is being filled. False: the other worker has not kept up. */
static bool out_ready(struct worker *worker)
{
    if (worker->out_tail - worker->out_head_seen < BLOCKS) return true;
    worker->out_head_seen = shm_load_acquire(&worker->out->head); /* pairs with [hand.freed] */
    return worker->out_tail - worker->out_head_seen < BLOCKS;
}

static void out_publish(struct worker *worker)
{
    worker->out_blocks[worker->out_tail % BLOCKS].count = worker->fill;
    worker->out_tail++;
    worker->fill = 0;
    shm_store_release(&worker->out->tail, worker->out_tail); /* [hand.filled] */
}

/* True if there was a block. */
static bool in_take(struct worker *worker)
{
    if (shm_load_acquire(&worker->in->tail) == worker->in_head)
        return false; /* pairs with [hand.filled] */
    const struct block *block = &worker->in_blocks[worker->in_head % BLOCKS];
    CHECK(block->count <= BLOCK_RECORDS);
    count_records(worker, block->records, block->count);
    worker->in_head++;
    shm_store_release(&worker->in->head, worker->in_head); /* [hand.freed] */
    return true;
}

/* ---- Generating ------------------------------------------------------------------------------ */

/* Batches of indices are dealt out in turn. Both places are written, so both have one spare. */
static void generate(struct worker *worker)
{
    struct record *theirs = worker->out_blocks[worker->out_tail % BLOCKS].records + worker->fill;
    struct record *mine = worker->mine;
    uint64_t until =
        worker->next + BATCH < worker->records ? worker->next + BATCH : worker->records;
    uint64_t mine_count = 0, theirs_count = 0, keys = worker->keys, number = worker->number;

    for (uint64_t i = worker->next; i < until; i++) {
        struct record record = {.key = key_of(i, keys), .value = 1};
        bool is_mine = hash_of(record.key) >> 63 == number;
        mine[mine_count] = record;
        theirs[theirs_count] = record;
        mine_count += is_mine;
        theirs_count += !is_mine;
    }
    worker->next += BATCH * worker->workers;
    worker->fill += theirs_count;
    if (worker->fill + BATCH >= BLOCK_RECORDS) out_publish(worker);
    count_records(worker, mine, mine_count);
}

static void generate_alone(struct worker *worker)
{
    uint64_t until =
        worker->next + BATCH < worker->records ? worker->next + BATCH : worker->records;
    uint64_t count = 0;
    for (uint64_t i = worker->next; i < until; i++)
        worker->mine[count++] = (struct record){.key = key_of(i, worker->keys), .value = 1};
    worker->next = until;
    count_records(worker, worker->mine, count);
}

/* ---- A worker -------------------------------------------------------------------------------- */

static void worker_loop(struct worker *worker)
{
    if (worker->workers == 1) {
        while (worker->next < worker->records)
            generate_alone(worker);
        return;
    }
    while (worker->next < worker->records) {
        if (out_ready(worker)) generate(worker);
        in_take(worker);
    }
    while (worker->fill > 0) {
        if (out_ready(worker)) out_publish(worker);
        in_take(worker);
    }
    shm_store_release(&worker->out->ended, 1); /* [hand.ended] */
    for (;;) {
        bool ended = shm_load_acquire(&worker->in->ended) != 0; /* pairs with [hand.ended] */
        if (!in_take(worker) && ended) break;
    }
}

static void worker_run(struct plan *plan, uint64_t number)
{
    struct worker *worker = calloc(1, sizeof *worker);
    CHECK(worker);
    uint64_t other = plan->workers - 1 - number;
    uint64_t own_keys = plan->keys / plan->workers;
    /* Hashes are not dealt out exactly: a little to spare, and more of it for few keys. */
    uint64_t slot_count = own_keys + own_keys / 4 + 64;
    *worker = (struct worker){
        .slots = bench_map_private(slot_count * sizeof(struct slot), true),
        .slot_count = slot_count,
        .number = number,
        .workers = plan->workers,
        .keys = plan->keys,
        .next = number * BATCH,
        .records = plan->records,
        .out = &plan->rings[other],
        .out_blocks = plan->blocks[other],
        .in = &plan->rings[number],
        .in_blocks = plan->blocks[number],
    };
    struct result *result = &plan->results[number];
    bench_gate_pass(&plan->gate, plan->workers);
    result->start_ns = shm_clock_ns();
    worker_loop(worker);
    result->end_ns = shm_clock_ns();
    result->records = worker->counted;
    result->sum = worker->sum;
    result->sent = worker->out_tail * BLOCK_BYTES;
    bench_unmap(worker->slots, slot_count * sizeof(struct slot));
    free(worker);
}

static void worker_1(void *arg)
{
    worker_run(arg, 1);
}

/* ---- Checking -------------------------------------------------------------------------------- */

static uint64_t expected_sum(uint64_t keys, uint64_t records)
{
    uint64_t *counts = bench_map_private(keys * sizeof *counts, true);
    uint64_t sum = 0;
    for (uint64_t i = 0; i < records; i++)
        counts[key_of(i, keys)]++;
    for (uint64_t key = 0; key < keys; key++)
        sum += counts[key] * (counts[key] + 1) / 2;
    bench_unmap(counts, keys * sizeof *counts);
    return sum;
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv,
                    (const char *const[]){"keys", "records", "workers", "verify", NULL});
    struct plan *plan = bench_map_shared(sizeof *plan, false);
    plan->keys = bench_number(argc, argv, "keys", 1000000);
    plan->records = bench_number(argc, argv, "records", 100000000);
    plan->workers = bench_number(argc, argv, "workers", 2);
    CHECK(plan->keys > 0);
    CHECK(plan->workers >= 1 && plan->workers <= WORKERS_MAX);
    for (uint64_t i = 0; i < plan->workers; i++)
        plan->blocks[i] = bench_map_shared(BLOCKS * sizeof(struct block), true);

    bench_pin(0);
    pid_t second = plan->workers == 2 ? bench_start(1, worker_1, plan) : 0;
    worker_run(plan, 0);
    if (second) bench_join(second);

    uint64_t start_ns = UINT64_MAX, end_ns = 0, records = 0, sum = 0;
    for (uint64_t i = 0; i < plan->workers; i++) {
        const struct result *result = &plan->results[i];
        start_ns = result->start_ns < start_ns ? result->start_ns : start_ns;
        end_ns = result->end_ns > end_ns ? result->end_ns : end_ns;
        records += result->records;
        sum += result->sum;
    }
    CHECK(records == plan->records);
    bool verify = bench_number(argc, argv, "verify", 1) != 0;
    if (verify) CHECK(sum == expected_sum(plan->keys, plan->records));
    double seconds = (double)(end_ns - start_ns) / 1e9;
    printf("{\"bench\":\"by_hand\",\"keys\":%lu,\"records\":%lu,\"workers\":%lu,\"seconds\":%.6f,"
           "\"million_per_second\":%.3f,\"sum\":%lu,\"verified\":%s}\n",
           (unsigned long)plan->keys, (unsigned long)plan->records, (unsigned long)plan->workers,
           seconds, (double)plan->records / seconds / 1e6, (unsigned long)sum,
           verify ? "true" : "false");
    return 0;
}
