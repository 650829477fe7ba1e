/* The job of the cli_ tests: numbers, counted by their last digits, that dies in the way it is
 * told.
 *
 *   --count N       numbers (0: without end)
 *   --rate R        a second (0: as fast as it goes)
 *   --how WAY       segv, abort, exit, hang, fail, reject, open; describe, mistake: in pen_job
 *   --at N          at which record of a subtask */
#include <penstock.h>

#include <stdlib.h>
#include <string.h>

struct number {
    int64_t value;
    pen_time at;
};
PEN_RECORD(number, value, at);

struct counted {
    int64_t value;
    int64_t count;
};
PEN_RECORD(counted, value, count);

struct settings {
    const char *how;
    int64_t at;
};
static struct settings settings;

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, number, .value = (int64_t)(index % 1000),
             .at = {1356998400000000 + (int64_t)index * 1000});
}
PEN_GENERATE(make, number);

static int *volatile nowhere = (int *)8; /* the compiler must not know */

static void strike(pen_context *ctx)
{
    if (strcmp(settings.how, "segv") == 0) *nowhere = 1;
    if (strcmp(settings.how, "abort") == 0) abort();
    if (strcmp(settings.how, "exit") == 0) exit(3);
    if (strcmp(settings.how, "fail") == 0) pen_fail(ctx, "the disk %d is full", 7);
    while (strcmp(settings.how, "hang") == 0) {
    }
}

static void touch(pen_context *ctx, const struct number *number)
{
    int64_t *seen = pen_local(ctx, sizeof *seen);

    if (++*seen == settings.at) strike(ctx);
    if (strcmp(settings.how, "reject") == 0 && number->value == 7) {
        pen_reject(ctx, "seven is not welcome");
        return;
    }
    if (number->value % 100 == 0) pen_counter_add(ctx, 0, 1);
    pen_send(ctx, number, number);
}
PEN_MAP(touch, number, number);

static void open_touch(pen_context *ctx)
{
    if (strcmp(settings.how, "open") == 0) pen_fail(ctx, "cannot open the door");
}

void pen_job(pen_graph *graph)
{
    uint64_t count = (uint64_t)pen_arg_int(graph, "count", 100000, "numbers; 0: without end");
    double rate = pen_arg_double(graph, "rate", 0, "numbers a second; 0: as fast as it goes");

    settings.how = pen_arg_text(graph, "how", "none", "how it dies");
    settings.at = pen_arg_int(graph, "at", 100, "at which record");
    if (strcmp(settings.how, "describe") == 0) *nowhere = 1;
    if (strcmp(settings.how, "mistake") == 0)
        pen_print(pen_key_by(pen_generate(graph, make), "valu").stream);

    pen_stream numbers = pen_generate(graph, make, .count = count, .rate = rate);
    pen_stream timed = pen_event_time(numbers, "at");
    pen_stream touched =
        pen_map(timed, touch, .open = open_touch, .counters = PEN_COUNTERS("hundreds"));
    pen_stream counts = pen_aggregate(pen_key_by(touched, "value"), counted, .id = "counts",
                                      .aggregates = PEN_AGGREGATES(pen_count("count")));
    pen_print(counts);
}
