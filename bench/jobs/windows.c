/* windows: how many records a second does an aggregate of windows pass, from generator to sink?
 *
 *   penstock run ./windows.so --parallelism 2 -- --keys 1000 --records 100000000 --slide 1s
 *
 *     generate {at, key} --- by key, to the worker that owns it --- count a key and window --- add
 * up
 *
 * The job as anybody would write it. Event time rises by a microsecond a record, so a window of 10
 * s has 10 million of them. Keys are those of keyed_count. What comes out is added up in a way that
 * shows a record that was lost, doubled or counted elsewhere: the squares of all counts.
 *
 *   --keys N      different keys, uniform below N
 *   --records N
 *   --size D      of a window
 *   --slide D     a window so often; as long as the size: tumbling
 *   --sums PATH   each subtask of the sink writes its sum to PATH.0, PATH.1 ...
 */
#include <penstock.h>

#include "bench/jobs/total.h"
#include "bench/mix.h"

struct event {
    pen_time at;
    uint64_t key;
};
PEN_RECORD(event, at, key);

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
    pen_emit(ctx, event, .at = {(int64_t)index},
             .key = bench_reduce(bench_split_mix(index), settings.keys));
}
PEN_GENERATE(make, event);

static enum pen_taken add_up(pen_context *ctx, const struct counted *counted)
{
    struct total *total = pen_local(ctx, sizeof *total);
    total->sum += (uint64_t)counted->count * (uint64_t)counted->count;
    total->count++;
    return PEN_TAKEN;
}
PEN_SINK(add_up, counted);

static void tell(pen_context *ctx)
{
    total_tell(ctx, settings.sums, "rows", "squares' sum");
}

void pen_job(pen_graph *graph)
{
    int64_t keys = pen_arg_int(graph, "keys", 1000000, "different keys");
    int64_t records = pen_arg_int(graph, "records", 100000000, "records to make");
    pen_duration size = pen_arg_duration(graph, "size", PEN_SECONDS(10), "of a window");
    pen_duration slide = pen_arg_duration(graph, "slide", PEN_SECONDS(10), "a window so often");

    settings.keys = keys > 0 ? (uint64_t)keys : 1;
    settings.sums = pen_arg_text(graph, "sums", "", "where the sums go: PATH.0, PATH.1 ...");

    pen_stream events = pen_event_time(pen_generate(graph, make, .count = (uint64_t)records), "at");
    pen_stream counts =
        pen_aggregate(pen_key_by(events, "key"), counted, .id = "count",
                      .window = slide == size ? pen_tumbling(size) : pen_sliding(size, slide),
                      .aggregates = PEN_AGGREGATES(pen_count("count")));
    pen_sink(counts, add_up, .close = tell);
}
