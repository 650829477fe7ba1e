/* Sum and mean.
 *
 *     sum of integers             an int64; beyond it the job fails
 *     mean of integers,           an int128, exact: divided, or made a double, only at the end
 *     sum and mean of decimals
 *     sum and mean of doubles     a double, in the order of arrival, as IEEE 754 has it
 *     the same, where rows are    two doubles, the second one what the first has no digits for, so
 *     taken back                  that 1e20 + 1 - 1e20 is 1; infinities and NaN are counted, since
 *                                 no subtraction could take them out again. A sum that is once
 *                                 beyond all doubles is infinite from then on. */
#include <math.h>
#include <string.h>

#include "engine/operator/aggregate_inside.h"

/* In entries, which are 8-aligned. */
typedef eng_int128 sum_int128 __attribute__((aligned(8)));

struct sum_int {
    int64_t sum, count;
};
struct sum_wide {
    sum_int128 sum;
    int64_t count;
};
struct sum_double {
    double sum;
    int64_t count;
};
struct sum_back {
    double high, low;
    int64_t count; /* of all numbers */
    int64_t nans, above, below;
};

_Static_assert(sizeof(struct sum_wide) == 24, "no padding in entries");

/* ---- Integers -------------------------------------------------------------------------------- */

static bool sum_overflow(pen_context *ctx, const struct eng_aggregate_step *step, const char *what)
{
    eng_context_fail(ctx, "the sum of %s is beyond %s", step->from->name, what);
    return false;
}

static bool sum_int_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                        const struct eng_aggregate_step *step, const struct eng_batch *batch,
                        void *const *values)
{
    int64_t amounts[ENG_BATCH_RECORDS_MAX];
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    uint32_t offset_bytes = step->offset_bytes;
    bool unsigned_too = step->from->type == PEN_TYPE_UINT64, overflow = false;

    (void)plan;
    eng_aggregate_ranks(step->from, batch, amounts);
    if (unsigned_too) /* ranks are shifted by 2^63: back, and what was above is below zero now */
        for (uint32_t i = 0; i < batch->count; i++)
            amounts[i] = (int64_t)((uint64_t)amounts[i] ^ (uint64_t)1 << 63);
    if (eng_aggregate_signs(step, batch, signs)) {
        for (uint32_t i = 0; i < batch->count; i++) {
            struct sum_int *sum = (void *)((char *)values[i] + offset_bytes);
            overflow |= __builtin_add_overflow(sum->sum, amounts[i], &sum->sum);
            sum->count++;
        }
        if (unsigned_too)
            for (uint32_t i = 0; i < batch->count; i++)
                overflow |= amounts[i] < 0;
    } else {
        for (uint32_t i = 0; i < batch->count; i++) {
            struct sum_int *sum = (void *)((char *)values[i] + offset_bytes);
            if (signs[i] == 0) continue;
            overflow |= unsigned_too && amounts[i] < 0;
            overflow |= signs[i] > 0 ? __builtin_add_overflow(sum->sum, amounts[i], &sum->sum)
                                     : __builtin_sub_overflow(sum->sum, amounts[i], &sum->sum);
            sum->count += signs[i];
        }
    }
    return overflow ? sum_overflow(ctx, step, "an int64") : true;
}

static bool sum_int_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                          const struct eng_aggregate_step *step, void *at, const void *from)
{
    struct sum_int *sum = at;
    const struct sum_int *other = from;

    (void)plan;
    sum->count += other->count;
    if (!__builtin_add_overflow(sum->sum, other->sum, &sum->sum)) return true;
    return sum_overflow(ctx, step, "an int64");
}

/* Of nothing: null where the field can say so, as in SQL, else 0. */
static bool sum_is_none(const struct eng_aggregate_step *step, int64_t count)
{
    return count <= 0 && (eng_field_nullable(step->into) || step->kind == PEN_AGGREGATE_MEAN);
}

static bool sum_int_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                           const struct eng_aggregate_step *step, const void *at,
                           struct eng_builder *result)
{
    const struct sum_int *sum = at;

    (void)ctx, (void)plan;
    if (!sum_is_none(step, sum->count)) eng_aggregate_set_int(step, sum->sum, result);
    return true;
}

/* ---- Integers and decimals, wide ------------------------------------------------------------- */

static void sum_wide_load(const struct eng_aggregate_step *step, const struct eng_batch *batch,
                          eng_int128 *amounts)
{
    int64_t ranks[ENG_BATCH_RECORDS_MAX];

    if (step->from->type == PEN_TYPE_DECIMAL128) {
        for (uint32_t i = 0; i < batch->count; i++)
            memcpy(&amounts[i], eng_field_of(step->from, batch->records[i]), sizeof amounts[i]);
        return;
    }
    eng_aggregate_ranks(step->from, batch, ranks);
    eng_int128 shift = step->from->type == PEN_TYPE_UINT64 ? (eng_int128)1 << 63 : 0;
    for (uint32_t i = 0; i < batch->count; i++)
        amounts[i] = ranks[i] + shift;
}

static bool sum_wide_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, const struct eng_batch *batch,
                         void *const *values)
{
    eng_int128 amounts[ENG_BATCH_RECORDS_MAX];
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool overflow = false, plain = eng_aggregate_signs(step, batch, signs);

    (void)plan;
    sum_wide_load(step, batch, amounts);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct sum_wide *sum = eng_aggregate_at(step, values[i]);
        int sign = plain ? 1 : signs[i];
        eng_int128 total = sum->sum;
        if (sign == 0) continue;
        overflow |= sign > 0 ? __builtin_add_overflow(total, amounts[i], &total)
                             : __builtin_sub_overflow(total, amounts[i], &total);
        sum->sum = total;
        sum->count += sign;
    }
    return overflow ? sum_overflow(ctx, step, "38 digits") : true;
}

static bool sum_wide_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                           const struct eng_aggregate_step *step, void *at, const void *from)
{
    struct sum_wide *sum = at;
    const struct sum_wide *other = from;
    eng_int128 total = sum->sum;
    bool overflow = __builtin_add_overflow(total, (eng_int128)other->sum, &total);

    (void)plan;
    sum->sum = total;
    sum->count += other->count;
    return overflow ? sum_overflow(ctx, step, "38 digits") : true;
}

static bool sum_wide_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, const void *at,
                            struct eng_builder *result)
{
    const struct sum_wide *sum = at;
    double value = (double)sum->sum / step->scale;

    (void)ctx, (void)plan;
    if (sum_is_none(step, sum->count)) return true;
    if (step->kind == PEN_AGGREGATE_MEAN) value /= (double)sum->count;
    eng_aggregate_set_double(step, value, result);
    return true;
}

/* ---- Doubles --------------------------------------------------------------------------------- */

static bool sum_double_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                           const struct eng_aggregate_step *step, const struct eng_batch *batch,
                           void *const *values)
{
    double amounts[ENG_BATCH_RECORDS_MAX];
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    uint32_t offset_bytes = step->offset_bytes;

    (void)ctx, (void)plan;
    eng_aggregate_doubles(step, batch, amounts);
    if (eng_aggregate_signs(step, batch, signs)) {
        for (uint32_t i = 0; i < batch->count; i++) {
            struct sum_double *sum = (void *)((char *)values[i] + offset_bytes);
            sum->sum += amounts[i];
            sum->count++;
        }
        return true;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        struct sum_double *sum = (void *)((char *)values[i] + offset_bytes);
        if (signs[i] == 0) continue;
        CHECK(signs[i] > 0); /* a plan for an updating stream has sum_back */
        sum->sum += amounts[i];
        sum->count++;
    }
    return true;
}

static bool sum_double_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                             const struct eng_aggregate_step *step, void *at, const void *from)
{
    struct sum_double *sum = at;
    const struct sum_double *other = from;

    (void)ctx, (void)plan, (void)step;
    sum->sum += other->sum;
    sum->count += other->count;
    return true;
}

static void sum_set(const struct eng_aggregate_step *step, double sum, int64_t count,
                    struct eng_builder *result)
{
    if (sum_is_none(step, count)) return;
    if (step->kind == PEN_AGGREGATE_MEAN) sum /= (double)count;
    eng_aggregate_set_double(step, sum, result);
}

static bool sum_double_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                              const struct eng_aggregate_step *step, const void *at,
                              struct eng_builder *result)
{
    const struct sum_double *sum = at;

    (void)ctx, (void)plan;
    sum_set(step, sum->sum, sum->count, result);
    return true;
}

/* ---- Doubles that are taken back ------------------------------------------------------------- */

/* Adds without losing digits: Knuth's two-sum, then the sum is made canonical again. */
static void sum_back_add_number(struct sum_back *sum, double amount)
{
    double total = sum->high + amount;
    double part = total - sum->high;
    double lost = (sum->high - (total - part)) + (amount - part);

    if (!isfinite(total)) {
        sum->high = total;
        sum->low = 0;
        return;
    }
    lost += sum->low;
    sum->high = total + lost;
    sum->low = lost - (sum->high - total);
}

static bool sum_back_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, const struct eng_batch *batch,
                         void *const *values)
{
    double amounts[ENG_BATCH_RECORDS_MAX];
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool plain = eng_aggregate_signs(step, batch, signs);

    (void)ctx, (void)plan;
    eng_aggregate_doubles(step, batch, amounts);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct sum_back *sum = eng_aggregate_at(step, values[i]);
        int sign = plain ? 1 : signs[i];
        if (sign == 0) continue;
        sum->count += sign;
        if (isfinite(amounts[i]))
            sum_back_add_number(sum, sign * amounts[i]);
        else
            *(isnan(amounts[i]) ? &sum->nans : amounts[i] > 0 ? &sum->above : &sum->below) += sign;
    }
    return true;
}

static bool sum_back_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                           const struct eng_aggregate_step *step, void *at, const void *from)
{
    struct sum_back *sum = at;
    const struct sum_back *other = from;

    (void)ctx, (void)plan, (void)step;
    sum->count += other->count;
    sum->nans += other->nans;
    sum->above += other->above;
    sum->below += other->below;
    sum_back_add_number(sum, other->high);
    sum_back_add_number(sum, other->low);
    return true;
}

static bool sum_back_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, const void *at,
                            struct eng_builder *result)
{
    const struct sum_back *sum = at;
    double value = sum->high + sum->low;

    (void)ctx, (void)plan;
    if (sum->nans > 0 || (sum->above > 0 && sum->below > 0))
        value = NAN;
    else if (sum->above > 0 || sum->below > 0)
        value = sum->above > 0 ? INFINITY : -INFINITY;
    sum_set(step, value, sum->count, result);
    return true;
}

/* ---- Families -------------------------------------------------------------------------------- */

const struct eng_aggregate_family *eng_aggregate_sum_family(const struct eng_aggregate_step *step)
{
    static const struct eng_aggregate_family of_int = {.size_bytes = sizeof(struct sum_int),
                                                       .add = sum_int_add,
                                                       .merge = sum_int_merge,
                                                       .finish = sum_int_finish};
    static const struct eng_aggregate_family of_wide = {.size_bytes = sizeof(struct sum_wide),
                                                        .add = sum_wide_add,
                                                        .merge = sum_wide_merge,
                                                        .finish = sum_wide_finish};
    static const struct eng_aggregate_family of_double = {.size_bytes = sizeof(struct sum_double),
                                                          .add = sum_double_add,
                                                          .merge = sum_double_merge,
                                                          .finish = sum_double_finish};
    static const struct eng_aggregate_family of_back = {.size_bytes = sizeof(struct sum_back),
                                                        .add = sum_back_add,
                                                        .merge = sum_back_merge,
                                                        .finish = sum_back_finish};

    if (step->from->type == PEN_TYPE_FLOAT || step->from->type == PEN_TYPE_DOUBLE)
        return step->updating ? &of_back : &of_double;
    bool decimal =
        step->from->type == PEN_TYPE_DECIMAL64 || step->from->type == PEN_TYPE_DECIMAL128;
    return decimal || step->kind == PEN_AGGREGATE_MEAN ? &of_wide : &of_int;
}
