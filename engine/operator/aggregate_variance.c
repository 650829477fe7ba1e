/* Variance and deviation of a sample.
 *
 * Where rows only come: Welford's count, mean and sum of squares about the mean, without
 * cancellation, and two of them are merged as in Chan, Golub and LeVeque, "Updating Formulae and a
 * Pairwise Algorithm for Computing Sample Variances" (1979).
 *
 * Where rows are taken back Welford's steps can be undone, but not what rounding did: after
 * 1e9, 1, 2, 3 and without 1e9 the squares of 1, 2, 3 are the noise of 1e18. So there the sum and
 * the sum of squares are kept as pairs of doubles, of 106 bits, and the cancellation that everybody
 * warns of happens in the last: an outlier of a million times the spread leaves 20 digits of it.
 * Adding and taking back are then the same, order does not matter, and merging is adding. Numbers
 * whose squares would leave no room are counted instead: with one of them the variance is infinite,
 * with an infinity or a NaN it is NaN.
 *
 * Both count from the first number that they saw, not from 0: times are large, and close together.
 */
#include <math.h>

#include "engine/operator/aggregate_inside.h"

/* ---- Welford --------------------------------------------------------------------------------- */

struct variance {
    int64_t count;
    double origin;
    double mean, squares; /* from the origin; about the mean */
};

static bool variance_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, const struct eng_batch *batch,
                         void *const *values)
{
    double numbers[ENG_BATCH_RECORDS_MAX];
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool plain = eng_aggregate_signs(step, batch, signs);

    (void)ctx, (void)plan;
    eng_aggregate_doubles(step, batch, numbers);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct variance *variance = eng_aggregate_at(step, values[i]);
        if (!plain && signs[i] == 0) continue;
        if (variance->count == 0 && isfinite(numbers[i])) variance->origin = numbers[i];
        double number = numbers[i] - variance->origin;
        double from_old = number - variance->mean;
        variance->mean += from_old / (double)++variance->count;
        variance->squares += from_old * (number - variance->mean);
    }
    return true;
}

static bool variance_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                           const struct eng_aggregate_step *step, void *at, const void *from)
{
    struct variance *variance = at;
    const struct variance *other = from;
    double a = (double)variance->count, b = (double)other->count;

    (void)ctx, (void)plan, (void)step;
    if (other->count == 0) return true;
    if (variance->count == 0) {
        *variance = *other;
        return true;
    }
    double between = (other->origin - variance->origin) + (other->mean - variance->mean);
    variance->count += other->count;
    variance->mean += between * (b / (a + b));
    variance->squares += other->squares + between * between * (a * b / (a + b));
    return true;
}

static void variance_set(const struct eng_aggregate_step *step, double spread,
                         struct eng_builder *result)
{
    if (spread < 0) spread = 0; /* the last digit of equal numbers */
    eng_aggregate_set_double(step, step->kind == PEN_AGGREGATE_DEVIATION ? sqrt(spread) : spread,
                             result);
}

static bool variance_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, const void *at,
                            struct eng_builder *result)
{
    const struct variance *variance = at;

    (void)ctx, (void)plan;
    if (variance->count == 0) return true;
    variance_set(step, variance->count > 1 ? variance->squares / (double)(variance->count - 1) : 0,
                 result);
    return true;
}

/* ---- Pairs of doubles ------------------------------------------------------------------------ */

/* high + low, where low is less than half a unit in the last place of high. Dekker 1971, Knuth. */
struct pair {
    double high, low;
};

static struct pair pair_quick(double high, double low)
{
    double sum = high + low;
    return (struct pair){sum, low - (sum - high)};
}

static struct pair pair_sum(double a, double b)
{
    double sum = a + b, part = sum - a;
    return (struct pair){sum, (a - (sum - part)) + (b - part)};
}

static struct pair pair_product(double a, double b)
{
    double product = a * b;
    return (struct pair){product, fma(a, b, -product)};
}

static struct pair pair_add(struct pair a, struct pair b)
{
    struct pair high = pair_sum(a.high, b.high), low = pair_sum(a.low, b.low);

    high = pair_quick(high.high, high.low + low.high);
    return pair_quick(high.high, high.low + low.low);
}

static struct pair pair_negate(struct pair a)
{
    return (struct pair){-a.high, -a.low};
}

static struct pair pair_times(struct pair a, struct pair b)
{
    struct pair product = pair_product(a.high, b.high);

    return pair_quick(product.high, product.low + (a.high * b.low + a.low * b.high));
}

/* ---- With rows taken back -------------------------------------------------------------------- */

#define VARIANCE_HUGE 1e130 /* its square times 10^48 is a double */

struct variance_back {
    struct pair sum, squares; /* from the origin, of the numbers that are neither huge nor odd */
    double origin;
    int64_t has_origin;
    int64_t count; /* of all */
    int64_t huge;
    int64_t odd; /* infinities, NaN */
};

static bool variance_back_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                              const struct eng_aggregate_step *step, const struct eng_batch *batch,
                              void *const *values)
{
    double numbers[ENG_BATCH_RECORDS_MAX];
    int8_t signs[ENG_BATCH_RECORDS_MAX];
    bool plain = eng_aggregate_signs(step, batch, signs);

    (void)ctx, (void)plan;
    eng_aggregate_doubles(step, batch, numbers);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct variance_back *variance = eng_aggregate_at(step, values[i]);
        int sign = plain ? 1 : signs[i];
        if (sign == 0) continue;
        variance->count += sign;
        if (!isfinite(numbers[i])) {
            variance->odd += sign;
        } else if (fabs(numbers[i]) > VARIANCE_HUGE) {
            variance->huge += sign;
        } else {
            if (!variance->has_origin) variance->origin = numbers[i];
            variance->has_origin = 1;
            struct pair number = pair_sum(numbers[i], -variance->origin);
            struct pair square = pair_times(number, number);
            variance->sum = pair_add(variance->sum, sign > 0 ? number : pair_negate(number));
            variance->squares =
                pair_add(variance->squares, sign > 0 ? square : pair_negate(square));
        }
    }
    return true;
}

/* Seen from an origin that lies `apart` below, n numbers sum up to n * apart more, and their
 * squares to 2 * apart * sum + n * apart^2. */
static bool variance_back_merge(pen_context *ctx, const struct eng_aggregate_plan *plan,
                                const struct eng_aggregate_step *step, void *at, const void *from)
{
    struct variance_back *variance = at;
    const struct variance_back *other = from;

    (void)ctx, (void)plan, (void)step;
    if (!variance->has_origin) variance->origin = other->origin;
    variance->has_origin |= other->has_origin;
    struct pair n = {(double)(other->count - other->huge - other->odd), 0};
    struct pair apart = {0, 0};
    if (other->has_origin) apart = pair_sum(other->origin, -variance->origin);
    struct pair n_apart = pair_times(n, apart);
    struct pair twice_sum = {2 * other->sum.high, 2 * other->sum.low};
    variance->squares = pair_add(variance->squares, other->squares);
    variance->squares =
        pair_add(variance->squares, pair_times(apart, pair_add(twice_sum, n_apart)));
    variance->sum = pair_add(variance->sum, pair_add(other->sum, n_apart));
    variance->count += other->count;
    variance->huge += other->huge;
    variance->odd += other->odd;
    return true;
}

/* (n * squares - sum^2) / (n * (n - 1)) */
static bool variance_back_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                                 const struct eng_aggregate_step *step, const void *at,
                                 struct eng_builder *result)
{
    const struct variance_back *variance = at;
    double n = (double)variance->count, spread = 0;

    (void)ctx, (void)plan;
    if (variance->count <= 0) return true;
    if (variance->count > 1) {
        struct pair above = pair_add(pair_times(variance->squares, (struct pair){n, 0}),
                                     pair_negate(pair_times(variance->sum, variance->sum)));
        spread = above.high / n / (n - 1);
        if (variance->huge > 0) spread = INFINITY;
        if (variance->odd > 0) spread = NAN;
    }
    variance_set(step, spread, result);
    return true;
}

const struct eng_aggregate_family *
eng_aggregate_variance_family(const struct eng_aggregate_step *step)
{
    static const struct eng_aggregate_family forward = {.size_bytes = sizeof(struct variance),
                                                        .add = variance_add,
                                                        .merge = variance_merge,
                                                        .finish = variance_finish};
    static const struct eng_aggregate_family back = {.size_bytes = sizeof(struct variance_back),
                                                     .add = variance_back_add,
                                                     .merge = variance_back_merge,
                                                     .finish = variance_back_finish};
    return step->updating ? &back : &forward;
}
