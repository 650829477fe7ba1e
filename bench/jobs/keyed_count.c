/* keyed_count: how many records a second does a keyed job pass, from generator to sink?
 *
 *   penstock run ./keyed_count.so --parallelism 2 -- --keys 1000000 --records 100000000
 *
 *     generate {key, 1} --- by key, to the worker that owns it --- count[key] += 1 --- add up
 *
 * The job as anybody would write it, no trick and no batch function. It makes the records that
 * bench_by_hand makes, in the same order, and emits every updated count, so that the sums of both
 * are equal: a record that was lost, doubled or counted under another key shows.
 *
 *   --keys N      different keys, uniform below N
 *   --records N
 *   --sums PATH   each subtask of the sink writes its sum to PATH.0, PATH.1 ...; else to the log
 */
#include <penstock.h>

#include "bench/jobs/total.h"
#include "bench/mix.h"

struct event {
    uint64_t key;
    int64_t value;
};
PEN_RECORD(event, key, value);

struct tally {
    int64_t count;
};
PEN_RECORD(tally, count);

struct counted {
    uint64_t key;
    int64_t count;
};
PEN_RECORD(counted, key, count);

struct settings {
    uint64_t keys;
    const char *sums;
};
static struct settings settings; /* read by all, each in its own copy */

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, event, .key = bench_reduce(bench_split_mix(index), settings.keys), .value = 1);
}
PEN_GENERATE(make, event);

static void count(pen_context *ctx, const struct event *event, struct tally *tally)
{
    tally->count += event->value;
    pen_emit(ctx, counted, .key = event->key, .count = tally->count);
}
PEN_PROCESS(count, event, tally, counted);

/* ---- The sum --------------------------------------------------------------------------------- */

static enum pen_taken add_up(pen_context *ctx, const struct counted *counted)
{
    struct total *total = pen_local(ctx, sizeof *total);
    total->sum += (uint64_t)counted->count;
    total->count++;
    return PEN_TAKEN;
}
PEN_SINK(add_up, counted);

static void tell(pen_context *ctx)
{
    total_tell(ctx, settings.sums, "records", "counts' sum");
}

void pen_job(pen_graph *graph)
{
    int64_t keys = pen_arg_int(graph, "keys", 1000000, "different keys");
    int64_t records = pen_arg_int(graph, "records", 100000000, "records to make");

    settings.keys = keys > 0 ? (uint64_t)keys : 1;
    settings.sums = pen_arg_text(graph, "sums", "", "where the sums go: PATH.0, PATH.1 ...");

    pen_stream events = pen_generate(graph, make, .count = (uint64_t)records);
    pen_stream counts = pen_process(pen_key_by(events, "key"), count, .id = "count");
    pen_sink(counts, add_up, .close = tell);
}
