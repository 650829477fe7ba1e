#!/bin/sh
# A function that emits without end: the job fails and names it, and takes no more memory than it may.
. "${PENSTOCK_SOURCE:-$(dirname "$0")/..}/tests/cli.sh"

cat >flood.c <<'C'
#include <penstock.h>

struct event {
    uint64_t key;
    char ballast[1000];
};
PEN_RECORD(event, key, ballast);

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, event, .key = index);
}
PEN_GENERATE(make, event);

static void flood(pen_context *ctx, const struct event *event)
{
    for (uint64_t i = 0;; i++)
        pen_emit(ctx, event, .key = event->key + i);
}
PEN_MAP(flood, event, event);

void pen_job(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make, .count = 10);
    pen_discard(pen_rebalance(pen_map(events, flood)));
}
C
expect 0 "$penstock" build flood.c -o flood.so
expect 1 "$penstock" run ./flood.so --parallelism 2 --quiet
in_err "map(flood)"
in_err "flood.c:25"
in_err "without end"
nothing_left flood
finish
