#!/bin/sh
# A function that emits without end: the job fails and names it, and takes no more memory than it may.
# A function that crashes: the report names the very record.
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

cat >crash.c <<'C'
#include <penstock.h>

struct event {
    uint64_t key;
};
PEN_RECORD(event, key);

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, event, .key = index);
}
PEN_GENERATE(make, event);

static int *volatile nowhere;

static void crash(pen_context *ctx, const struct event *event)
{
    if (event->key == 12345) *nowhere = 1;
    pen_send(ctx, event, event);
}
PEN_MAP(crash, event, event);

void pen_job(pen_graph *graph)
{
    pen_discard(pen_map(pen_generate(graph, make, .count = 100000), crash));
}
C
expect 0 "$penstock" build crash.c -o crash.so
expect 1 "$penstock" run ./crash.so --parallelism 1 --quiet
in_err "died of SIGSEGV at address 0x0, in operator map(crash) ("
in_err ", at its record 12345; backtrace:"
nothing_left crash
finish
