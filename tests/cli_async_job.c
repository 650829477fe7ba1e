/* The job of cli_async_test.sh: numbers that are looked up by a function that sleeps.
 *
 *   --count N   numbers (0: without end)
 *   --sleep T   for each
 *   --how WAY   what the function does to number 5, in each try: segv, exit, hang; or nothing */
#include <penstock.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct number {
    int64_t value;
};
PEN_RECORD(number, value);

static struct {
    const char *how;
    pen_duration sleep;
} settings;

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, number, .value = (int64_t)index);
}
PEN_GENERATE(make, number);

static int *volatile nowhere = (int *)8; /* the compiler must not know */

static void look_up(pen_context *ctx, const struct number *number)
{
    struct timespec sleep = {settings.sleep / 1000000, settings.sleep % 1000000 * 1000};

    nanosleep(&sleep, NULL);
    if (number->value == 5 && strcmp(settings.how, "segv") == 0) *nowhere = 1;
    if (number->value == 5 && strcmp(settings.how, "exit") == 0) exit(3);
    while (number->value == 5 && strcmp(settings.how, "hang") == 0)
        nanosleep(&(struct timespec){1, 0}, NULL);
    pen_emit(ctx, number, .value = number->value);
}
PEN_MAP(look_up, number, number);

void pen_job(pen_graph *graph)
{
    uint64_t count = (uint64_t)pen_arg_int(graph, "count", 0, "how many; 0: without end");

    settings.sleep = pen_arg_duration(graph, "sleep", 0, "for each");
    settings.how = pen_arg_text(graph, "how", "nothing", "what is done to number 5");
    pen_stream numbers = pen_generate(graph, make, .count = count);
    pen_print(pen_async(numbers, look_up, .in_flight = 4, .timeout = PEN_MILLISECONDS(300),
                        .tries = 2, .ordered = true));
}
