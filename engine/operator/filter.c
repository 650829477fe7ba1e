/* pen_filter: keeps the records for which a function is true. No record is copied: what is kept is
 * a shorter list of pointers. */
#include "engine/flow/context.h"
#include "engine/operator/operators.h"

struct filter {
    uint8_t kept[ENG_BATCH_RECORDS_MAX];
    const void *records[ENG_BATCH_RECORDS_MAX];
    int64_t times_us[ENG_BATCH_RECORDS_MAX];
    uint8_t rows[ENG_BATCH_RECORDS_MAX];
};

/* Hot leaf: the kept of `batch`, moved together. Returns how many. */
static uint32_t filter_select(struct filter *restrict filter, const struct eng_batch *batch)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < batch->count; i++) {
        filter->records[count] = batch->records[i];
        if (batch->times_us) filter->times_us[count] = batch->times_us[i];
        if (batch->rows) filter->rows[count] = batch->rows[i];
        count += filter->kept[i] != 0;
    }
    return count;
}

static void filter_batch(pen_context *ctx, const struct eng_batch *batch)
{
    struct filter *filter = ctx->self;

    eng_context_call(ctx, ctx->node->function, batch, NULL, filter->kept);
    if (eng_context_has_failed(ctx)) return;
    struct eng_batch kept = {
        .count = filter_select(filter, batch),
        .records = filter->records,
        .times_us = batch->times_us ? filter->times_us : NULL,
        .rows = batch->rows ? filter->rows : NULL,
    };
    if (kept.count > 0) eng_context_pass(ctx, 0, &kept);
}

const struct eng_class eng_filter_class = {
    .name = "filter",
    .self_bytes = sizeof(struct filter),
    .batch = filter_batch,
};
