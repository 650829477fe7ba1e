/* bench_latency_bare: the latency of two processes and one ring, with nothing around them.
 *
 *   bench_latency_bare [--rate 100000] [--milliseconds 5000] [--skip 500] [--keys 1000]
 *
 *     core 1: a record is due? write it, publish ---- shm/ring.h ----> core 0: now - due
 *
 * What bench/jobs/latency.c does, without an engine: the same records at the same rate, through the
 * same ring, into the same histogram; both loops do nothing else and never sleep. So this is what
 * the machine allows, its interruptions included. It is no use for anything: two cores burn for it,
 * there is one ring and no state.
 *
 * The consumer checks that every index arrived once and in order.
 */
#include <stdio.h>

#include "bench/bench.h"
#include "bench/latency.h"
#include "shm/clock.h"
#include "shm/ring.h"

enum { BARE_RING_BYTES = 1 << 20, BARE_BATCH = 1024 };

struct bare_record {
    uint64_t index;
    uint64_t key;
    uint64_t due_ns; /* 0: not counted */
};

enum { BARE_FRAME_BYTES = (int)(sizeof(struct shm_frame) + sizeof(struct bare_record)) };

struct bare_run {
    double rate;
    uint64_t records, skip, keys;
    struct bench_gate gate;
    struct shm_ring ring;
    struct latency latency;
    char *data;
};

static void bare_put(struct shm_ring_writer *writer, const struct bare_run *run, uint64_t start_ns,
                     uint64_t index)
{
    struct shm_frame *frame;

    while (!(frame = shm_ring_claim(writer, BARE_FRAME_BYTES)))
        shm_ring_publish(writer);
    uint64_t key = bench_reduce(bench_split_mix(index), run->keys);
    uint64_t due_ns = start_ns + (uint64_t)((double)index * 1e9 / run->rate);
    *frame = (struct shm_frame){.size_bytes = BARE_FRAME_BYTES, .kind = 1, .hash = key};
    *(struct bare_record *)(void *)(frame + 1) =
        (struct bare_record){.index = index, .key = key, .due_ns = index < run->skip ? 0 : due_ns};
}

static void bare_produce(void *arg)
{
    struct bare_run *run = arg;
    struct shm_ring_writer writer;

    shm_ring_writer_open(&writer, &run->ring, run->data);
    bench_gate_pass(&run->gate, 2);
    uint64_t start_ns = shm_clock_ns();
    for (uint64_t index = 0; index < run->records;) {
        double passed_ns = (double)(shm_clock_ns() - start_ns);
        uint64_t until = (uint64_t)(passed_ns * run->rate / 1e9) + 1;
        if (until > run->records) until = run->records;
        if (until > index + BARE_BATCH) until = index + BARE_BATCH;
        for (; index < until; index++)
            bare_put(&writer, run, start_ns, index);
        shm_ring_publish(&writer);
    }
}

static void bare_consume(struct bare_run *run)
{
    struct shm_ring_reader reader;
    uint64_t index = 0;

    shm_ring_reader_open(&reader, &run->ring, run->data);
    bench_gate_pass(&run->gate, 2);
    while (index < run->records) {
        const char *frames = NULL;
        uint64_t readable = shm_ring_peek(&reader, &frames), done = 0;
        while (done < readable) {
            const struct shm_frame *frame = (const struct shm_frame *)(const void *)(frames + done);
            done += shm_frame_size(frame, readable - done);
            if (frame->kind == SHM_FRAME_SKIP) continue;
            const struct bare_record *record =
                (const struct bare_record *)(const void *)(frame + 1);
            CHECK(record->index == index);
            index++;
            if (record->due_ns == 0) continue;
            uint64_t now_ns = shm_clock_ns();
            latency_add(&run->latency, now_ns > record->due_ns ? now_ns - record->due_ns : 0);
        }
        shm_ring_advance(&reader, done);
        shm_ring_release(&reader);
    }
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv,
                    (const char *const[]){"rate", "milliseconds", "skip", "keys", NULL});
    struct bare_run *run = bench_map_shared(sizeof *run, false);
    uint64_t rate = bench_number(argc, argv, "rate", 100000);
    run->rate = (double)rate;
    run->skip = bench_number(argc, argv, "skip", 500) * rate / 1000;
    run->records = run->skip + bench_number(argc, argv, "milliseconds", 5000) * rate / 1000;
    run->keys = bench_number(argc, argv, "keys", 1000);
    run->data = bench_map_shared(BARE_RING_BYTES, false);
    run->ring.capacity_bytes = BARE_RING_BYTES;
    CHECK(rate > 0 && run->keys > 0);

    bench_pin(0);
    pid_t producer = bench_start(1, bare_produce, run);
    bare_consume(run);
    bench_join(producer);
    CHECK(run->latency.count == run->records - run->skip);

    printf("{\"bench\":\"latency_bare\",\"rate\":%lu,\"crossed\":", (unsigned long)rate);
    latency_write(&run->latency, stdout);
    printf("}\n");
    return 0;
}
