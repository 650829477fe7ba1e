/* bench/jobs/total.h: how a job that is measured says what its sink has added up.
 *
 * Each subtask of the sink keeps a struct total and calls total_tell when it closes: a file of JSON
 * that bench/run reads, or a line for people. */
#ifndef BENCH_JOBS_TOTAL_H
#define BENCH_JOBS_TOTAL_H

#include <penstock.h>

#include <stdio.h>

struct total {
    uint64_t sum;
    uint64_t count;
};

/* counted: "records", what the count is of, and its name in the file; summed: what the sum is, for
 * people. sums: the file's path without its subtask; "": a line instead. */
static inline void total_tell(pen_context *ctx, const char *sums, const char *counted,
                              const char *summed)
{
    const struct total *total = pen_local(ctx, sizeof *total);
    const char *path = pen_format(ctx, "%s.%u", sums, pen_subtask(ctx));

    if (sums[0] == 0) {
        pen_log(ctx, "%llu %s, the %s is %llu", (unsigned long long)total->count, counted, summed,
                (unsigned long long)total->sum);
        return;
    }
    FILE *file = fopen(path, "w");
    if (!file) {
        pen_fail(ctx, "%s cannot be written", path);
        return;
    }
    fprintf(file, "{\"%s\":%llu,\"sum\":%llu}\n", counted, (unsigned long long)total->count,
            (unsigned long long)total->sum);
    if (fclose(file) != 0) pen_fail(ctx, "%s cannot be written", path);
}

#endif
