/* trivial: one record, made and printed. How long is it from `penstock run` to the first byte? */
#include <penstock.h>

struct greeting {
    int64_t number;
};
PEN_RECORD(greeting, number);

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, greeting, .number = (int64_t)index + 1);
}
PEN_GENERATE(make, greeting);

void pen_job(pen_graph *graph)
{
    pen_print(pen_generate(graph, make, .count = 1));
}
