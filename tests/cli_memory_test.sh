#!/bin/sh
# `penstock run --memory`: one number that a job keeps to, and what it says when it cannot.
. "$(dirname "$0")/cli.sh"

cat >hoard.c <<'END'
#include <penstock.h>

struct event {
    int64_t key, value;
};
PEN_RECORD(event, key, value);

struct seen {
    int64_t count;
};
PEN_RECORD(seen, count);

static struct pen_state all = PEN_KEYED_LIST("all", event);

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, event, .key = index % 4 == 0 ? 42 : (int64_t)(index % 1000), .value = (int64_t)index);
}
PEN_GENERATE(make, event);

static void hoard(pen_context *ctx, const struct event *event, struct seen *seen)
{
    seen->count++;
    pen_list_store(ctx, &all, event, event);
    pen_send(ctx, event, event);
}
PEN_PROCESS(hoard, event, seen, event);

void pen_job(pen_graph *graph)
{
    int64_t count = pen_arg_int(graph, "count", 1000, "records");
    pen_stream events = pen_generate(graph, make, .id = "events", .count = (uint64_t)count);
    pen_stream out = pen_process(pen_key_by(events, "key"), hoard, .id = "hoard", .uses = PEN_USES(&all));
    pen_discard(out);
}
END
expect 0 "$penstock" build hoard.c

# ---- Mistakes
for wrong in 0 -5 lots 12parsecs 12MiBs; do
    expect 2 "$penstock" run hoard.so --memory "$wrong" && in_err "--memory $wrong: write a number and a unit" && one_message
done
expect 1 "$penstock" run hoard.so --memory 2MiB && in_err "is too little: " && one_message
nothing_left hoard

# ---- What fits runs
expect 0 "$penstock" run hoard.so --parallelism 2 --memory 100MiB -- --count 100000 && in_err "100,000 records"

# ---- What does not fails with words, and the kernel is never asked
expect 1 "$penstock" run hoard.so --parallelism 2 --memory 100MiB --summary-json summary.json -- --count 1000000000
in_err "there is no memory for more in the state all"
in_err "--memory 100 MiB are used up"
in_err "of state of hoard ("
nothing_left hoard
peak=$(sed -n 's/.*"peak_memory_bytes":\([0-9]*\).*/\1/p' summary.json)
# Programs and libraries come on top: some megabytes for each of three processes.
[ "$peak" -gt 50000000 ] && [ "$peak" -lt 140000000 ] || fail "the peak of memory was $peak bytes"

finish
