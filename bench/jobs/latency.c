/* latency: how long is a record under way when the job is not overloaded?
 *
 *   penstock run ./latency.so --parallelism 2 -- --rate 100000 --seconds 5 --out /tmp/latency
 *
 *     generate at a rate --- by key, half of it to the other worker --- count --- now - due
 *
 * Index i is due at start + i / rate; the record carries that moment in nanoseconds, and the sink
 * looks at the clock for each record. The latency holds all there is between: how late the
 * generator was, the exchange, waking the other worker, the state, the sink. Records that crossed
 * to the other worker and those that stayed are counted apart (see bench/latency.h).
 *
 *   --rate N       records a second, of all generators together
 *   --seconds N    that are counted
 *   --skip-ms N    at the beginning, not counted: memory is touched and tables grow
 *   --keys N
 *   --out PATH     each subtask of the sink writes PATH.0, PATH.1 ...
 */
#include <penstock.h>

#include <time.h>

#include "bench/latency.h"
#include "bench/mix.h"

struct event {
    uint64_t key;
    int64_t due_ns; /* since 1970; 0: not counted */
    uint32_t from;  /* the subtask that made it */
};
PEN_RECORD(event, key, due_ns, from);

struct tally {
    int64_t count;
};
PEN_RECORD(tally, count);

struct settings {
    double rate;
    uint64_t keys;
    uint64_t skip; /* records */
    const char *out;
};
static struct settings settings; /* read by all, each in its own copy */

/* pen_generate_due is in microseconds, so it is asked for the start only. */
static void make(pen_context *ctx, uint64_t index)
{
    int64_t due_ns = 0;

    if (index >= settings.skip)
        due_ns =
            pen_generate_due(ctx, 0).us * 1000 + (int64_t)((double)index * 1e9 / settings.rate);
    pen_emit(ctx, event, .key = bench_reduce(bench_split_mix(index), settings.keys),
             .due_ns = due_ns, .from = pen_subtask(ctx));
}
PEN_GENERATE(make, event);

static void count(pen_context *ctx, const struct event *event, struct tally *tally)
{
    tally->count++;
    pen_send(ctx, event, event);
}
PEN_PROCESS(count, event, tally, event);

/* ---- The measurement ------------------------------------------------------------------------- */

struct measured {
    struct latency crossed, stayed;
};

static enum pen_taken measure(pen_context *ctx, const struct event *event)
{
    struct measured *measured = pen_local(ctx, sizeof *measured);
    struct timespec now;

    if (event->due_ns == 0) return PEN_TAKEN;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t late_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - event->due_ns;
    struct latency *latency =
        event->from == pen_subtask(ctx) ? &measured->stayed : &measured->crossed;
    latency_add(latency, late_ns > 0 ? (uint64_t)late_ns : 0);
    return PEN_TAKEN;
}
PEN_SINK(measure, event);

static void tell(pen_context *ctx)
{
    const struct measured *measured = pen_local(ctx, sizeof *measured);
    const char *path = pen_format(ctx, "%s.%u", settings.out, pen_subtask(ctx));
    FILE *file = fopen(path, "w");

    if (!file) {
        pen_fail(ctx, "%s cannot be written", path);
        return;
    }
    fputs("{\"crossed\":", file);
    latency_write(&measured->crossed, file);
    fputs(",\"stayed\":", file);
    latency_write(&measured->stayed, file);
    fputs("}\n", file);
    if (fclose(file) != 0) pen_fail(ctx, "%s cannot be written", path);
}

void pen_job(pen_graph *graph)
{
    double seconds = pen_arg_double(graph, "seconds", 5, "that are counted");
    double skip_ms = pen_arg_double(graph, "skip-ms", 500, "at the beginning, not counted");
    int64_t keys = pen_arg_int(graph, "keys", 1000, "different keys");

    settings.rate = pen_arg_double(graph, "rate", 100000, "records a second");
    settings.out = pen_arg_text(graph, "out", NULL, "where the histograms go: PATH.0, PATH.1 ...");
    settings.keys = keys > 0 ? (uint64_t)keys : 1;
    settings.skip = (uint64_t)(skip_ms / 1000 * settings.rate);
    uint64_t records = settings.skip + (uint64_t)(seconds * settings.rate);

    pen_stream events = pen_generate(graph, make, .count = records, .rate = settings.rate);
    pen_stream counted = pen_process(pen_key_by(events, "key"), count, .id = "count");
    pen_sink(counted, measure, .close = tell);
}
