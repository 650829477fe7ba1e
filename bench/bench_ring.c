/* bench_ring: how near does shm/ring.h come to what the two cores can hand to each other?
 *
 *   raw     64-byte lines in a shared array: one process writes them, the other reads them; the
 *           index is published and given back in batches, and nothing else is done. The limit.
 *   ring    frames of 64 bytes, header included, through shm/ring.h as a worker uses it: claim,
 *           write header and payload in place, publish a batch; peek, parse with the size check,
 *           read the payload, release a batch.
 *   bounce  one frame there, one frame back, through two rings: half of it is the one-way latency.
 *
 * Each variant runs with several sizes of its memory, every round all of them; each is then judged
 * by its best size. The consumer adds everything up, and the sum is checked.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "shm/clock.h"
#include "shm/ring.h"

enum {
    LINE_BYTES = 64,
    LINE_WORDS = LINE_BYTES / 8,
    PAYLOAD_WORDS = (LINE_BYTES - (int)sizeof(struct shm_frame)) / 8,
    BATCH_MAX = 256, /* what a worker takes at a time */
    VARIANTS = 8,
};

/* A line is moved as four vectors, and added up in as many sums: eight words in one chain of
 * additions would be slower than the memory. */
typedef uint64_t line_vector __attribute__((vector_size(16)));
enum { LINE_VECTORS = LINE_BYTES / (int)sizeof(line_vector) };

struct line {
    line_vector vectors[LINE_VECTORS];
};

struct payload {
    uint64_t words[PAYLOAD_WORDS];
};

/* The raw limit's two indices, apart like the ring's. */
struct raw {
    _Alignas(SHM_CACHELINE) _Atomic uint64_t tail;
    _Alignas(SHM_CACHELINE) _Atomic uint64_t head;
};

struct variant {
    bool raw;
    uint64_t memory_bytes;
    uint64_t batch;
    struct bench_samples rate; /* million a second */
};

/* One measurement: both processes see it, and what is shared lies behind it. */
struct run {
    uint64_t frames;
    uint64_t batch;
    uint64_t memory_bytes;
    struct bench_gate gate;
    struct raw raw;
    struct shm_ring ring, back; /* back: bounce only */
    char *data, *back_data;
};

/* ---- The limit ------------------------------------------------------------------------------- */

static void raw_produce(void *arg)
{
    struct run *run = arg;
    struct line *lines = (struct line *)(void *)run->data;
    uint64_t mask = run->memory_bytes / LINE_BYTES - 1;
    uint64_t head = 0;

    bench_gate_pass(&run->gate, 2);
    for (uint64_t at = 0; at < run->frames;) {
        uint64_t until = at + run->batch < run->frames ? at + run->batch : run->frames;
        while (until - head > mask + 1)
            head = shm_load_acquire(&run->raw.head); /* pairs with [raw.freed] */
        for (; at < until; at++) {
            struct line *line = &lines[at & mask];
            for (uint32_t i = 0; i < LINE_VECTORS; i++)
                line->vectors[i] = (line_vector){at, at};
        }
        shm_store_release(&run->raw.tail, at); /* [raw.filled] */
    }
}

static uint64_t raw_consume(struct run *run)
{
    const struct line *lines = (const struct line *)(const void *)run->data;
    uint64_t mask = run->memory_bytes / LINE_BYTES - 1;
    line_vector sums[LINE_VECTORS] = {{0}};
    uint64_t tail = 0;

    for (uint64_t at = 0; at < run->frames;) {
        while (tail == at)
            tail = shm_load_acquire(&run->raw.tail); /* pairs with [raw.filled] */
        uint64_t until = tail - at < BATCH_MAX ? tail : at + BATCH_MAX;
        for (; at < until; at++)
            for (uint32_t i = 0; i < LINE_VECTORS; i++)
                sums[i] += lines[at & mask].vectors[i];
        shm_store_release(&run->raw.head, at); /* [raw.freed] */
    }
    line_vector sum = sums[0] + sums[1] + sums[2] + sums[3];
    return sum[0] + sum[1];
}

/* ---- The ring -------------------------------------------------------------------------------- */

static void ring_put(struct shm_ring_writer *writer, uint64_t value)
{
    struct shm_frame *frame;
    while (!(frame = shm_ring_claim(writer, LINE_BYTES)))
        shm_ring_publish(writer);
    *frame = (struct shm_frame){
        .size_bytes = LINE_BYTES, .kind = 1, .time_us = (int64_t)value, .hash = value};
    struct payload *payload = (struct payload *)(void *)(frame + 1);
    for (uint32_t word = 0; word < PAYLOAD_WORDS; word++)
        payload->words[word] = value;
}

static void ring_produce(void *arg)
{
    struct run *run = arg;
    struct shm_ring_writer writer;

    shm_ring_writer_open(&writer, &run->ring, run->data);
    bench_gate_pass(&run->gate, 2);
    for (uint64_t at = 0; at < run->frames;) {
        uint64_t until = at + run->batch < run->frames ? at + run->batch : run->frames;
        for (; at < until; at++)
            ring_put(&writer, at);
        shm_ring_publish(&writer);
    }
}

/* What lies ready, a batch at most. Returns how many frames. */
static uint64_t ring_take(struct shm_ring_reader *reader, uint64_t *sum)
{
    const char *frames = NULL;
    uint64_t readable = shm_ring_peek(reader, &frames);
    uint64_t taken = 0, done = 0, added = 0;

    while (done < readable && taken < BATCH_MAX) {
        const struct shm_frame *frame = (const struct shm_frame *)(const void *)(frames + done);
        uint32_t size_bytes = shm_frame_size(frame, readable - done);
        done += size_bytes;
        if (frame->kind == SHM_FRAME_SKIP) continue;
        const struct payload *payload = (const struct payload *)(const void *)(frame + 1);
        for (uint32_t word = 0; word < PAYLOAD_WORDS; word++)
            added += payload->words[word];
        taken++;
    }
    *sum += added;
    shm_ring_advance(reader, done);
    shm_ring_release(reader);
    return taken;
}

static uint64_t ring_consume(struct run *run)
{
    struct shm_ring_reader reader;
    uint64_t sum = 0;

    shm_ring_reader_open(&reader, &run->ring, run->data);
    for (uint64_t taken = 0; taken < run->frames;)
        taken += ring_take(&reader, &sum);
    return sum;
}

/* ---- There and back -------------------------------------------------------------------------- */

static void bounce_wait(struct shm_ring_reader *reader)
{
    uint64_t sum = 0;
    while (ring_take(reader, &sum) == 0) {
    }
}

static void bounce_answer(void *arg)
{
    struct run *run = arg;
    struct shm_ring_reader reader;
    struct shm_ring_writer writer;

    shm_ring_reader_open(&reader, &run->ring, run->data);
    shm_ring_writer_open(&writer, &run->back, run->back_data);
    bench_gate_pass(&run->gate, 2);
    for (uint64_t i = 0; i < run->frames; i++) {
        bounce_wait(&reader);
        ring_put(&writer, i);
        shm_ring_publish(&writer);
    }
}

static void bounce_ask(struct run *run)
{
    struct shm_ring_reader reader;
    struct shm_ring_writer writer;

    shm_ring_writer_open(&writer, &run->ring, run->data);
    shm_ring_reader_open(&reader, &run->back, run->back_data);
    for (uint64_t i = 0; i < run->frames; i++) {
        ring_put(&writer, i);
        shm_ring_publish(&writer);
        bounce_wait(&reader);
    }
}

/* ---- Measuring ------------------------------------------------------------------------------- */

static struct run *run_open(uint64_t frames, uint64_t memory_bytes, uint64_t batch, bool huge)
{
    struct run *run = bench_map_shared(sizeof *run, false);
    run->frames = frames;
    run->batch = batch;
    run->memory_bytes = memory_bytes;
    run->data = bench_map_shared(memory_bytes, huge);
    run->back_data = bench_map_shared(memory_bytes, huge);
    run->ring.capacity_bytes = memory_bytes;
    run->back.capacity_bytes = memory_bytes;
    return run;
}

static void run_close(struct run *run)
{
    bench_unmap(run->back_data, run->memory_bytes);
    bench_unmap(run->data, run->memory_bytes);
    bench_unmap(run, sizeof *run);
}

static void variant_measure(struct variant *variant, uint64_t frames, bool huge)
{
    struct run *run = run_open(frames, variant->memory_bytes, variant->batch, huge);
    pid_t producer = bench_start(1, variant->raw ? raw_produce : ring_produce, run);

    bench_gate_pass(&run->gate, 2);
    uint64_t start_ns = shm_clock_ns();
    uint64_t sum = variant->raw ? raw_consume(run) : ring_consume(run);
    uint64_t spent_ns = shm_clock_ns() - start_ns;
    bench_join(producer);

    uint64_t words = variant->raw ? LINE_WORDS : PAYLOAD_WORDS;
    CHECK(sum == words * (frames * (frames - 1) / 2));
    bench_add(&variant->rate, (double)frames * 1e3 / (double)spent_ns);
    run_close(run);
}

static double bounce_measure(uint64_t frames)
{
    struct run *run = run_open(frames, 65536, 1, false);
    pid_t answerer = bench_start(1, bounce_answer, run);

    bench_gate_pass(&run->gate, 2);
    uint64_t start_ns = shm_clock_ns();
    bounce_ask(run);
    uint64_t spent_ns = shm_clock_ns() - start_ns;
    bench_join(answerer);
    run_close(run);
    return (double)spent_ns / (double)frames / 2;
}

static const struct variant *variant_best(const struct variant *variants, bool raw)
{
    const struct variant *best = NULL;
    for (uint32_t i = 0; i < VARIANTS; i++)
        if (variants[i].raw == raw &&
            (!best || bench_median(&variants[i].rate) > bench_median(&best->rate)))
            best = &variants[i];
    return best;
}

static void report(const struct variant *variants, const struct bench_samples *latency,
                   uint64_t frames)
{
    const struct variant *raw = variant_best(variants, true);
    const struct variant *ring = variant_best(variants, false);
    struct bench_samples ratio = {0};
    for (uint32_t i = 0; i < raw->rate.count; i++)
        bench_add(&ratio, ring->rate.values[i] / raw->rate.values[i]);

    printf("{\"bench\":\"ring\",\"frames\":%lu,\"rounds\":%u,", (unsigned long)frames,
           raw->rate.count);
    for (uint32_t side = 0; side < 2; side++) {
        const struct variant *best = side == 0 ? raw : ring;
        printf("\"%s\":{\"memory_bytes\":%lu,\"batch\":%lu,", side == 0 ? "raw" : "ring",
               (unsigned long)best->memory_bytes, (unsigned long)best->batch);
        bench_print_samples("million_per_second", &best->rate);
        printf("},");
    }
    bench_print_samples("ratio", &ratio);
    printf(",");
    bench_print_samples("one_way_ns", latency);
    printf(",\"variants\":[");
    for (uint32_t i = 0; i < VARIANTS; i++) {
        printf("%s{\"what\":\"%s\",\"memory_bytes\":%lu,\"batch\":%lu,", i ? "," : "",
               variants[i].raw ? "raw" : "ring", (unsigned long)variants[i].memory_bytes,
               (unsigned long)variants[i].batch);
        bench_print_samples("million_per_second", &variants[i].rate);
        printf("}");
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    bench_arguments(argc, argv, (const char *const[]){"frames", "bounces", "rounds", "huge", NULL});
    uint64_t frames = bench_number(argc, argv, "frames", 5000000);
    uint64_t bounces = bench_number(argc, argv, "bounces", 20000);
    uint64_t rounds = bench_number(argc, argv, "rounds", 25);
    bool huge = bench_number(argc, argv, "huge", 0) != 0;
    CHECK(frames > 0 && bounces > 0);
    CHECK(rounds > 0 && rounds <= BENCH_ROUNDS_MAX);

    struct variant variants[VARIANTS] = {
        {.raw = true, .memory_bytes = 256 << 10, .batch = 64},
        {.raw = false, .memory_bytes = 256 << 10, .batch = 256},
        {.raw = true, .memory_bytes = 512 << 10, .batch = 256},
        {.raw = false, .memory_bytes = 512 << 10, .batch = 256},
        {.raw = true, .memory_bytes = 1 << 20, .batch = 256},
        {.raw = false, .memory_bytes = 1 << 20, .batch = 256},
        {.raw = true, .memory_bytes = 4 << 20, .batch = 256},
        {.raw = false, .memory_bytes = 1 << 20, .batch = 64},
    };
    struct bench_samples latency = {0};
    bench_pin(0);
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < VARIANTS; i++)
            variant_measure(&variants[i], frames, huge);
        bench_add(&latency, bounce_measure(bounces));
    }
    report(variants, &latency, frames);
    return 0;
}
