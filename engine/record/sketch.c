#include "engine/record/sketch.h"

#include <math.h>
#include <string.h>

#include "shm/check.h"

/* A little below log(1.01 / 0.99), so that rounding cannot make it more than 1 %. */
#define SKETCH_LOG_GAMMA 0.01999
#define SKETCH_MIDDLE    0.99000533 /* of a bucket, by its upper border: 2 / (1 + gamma) */

enum {
    SKETCH_STORE_BUCKETS_MIN = 16,
    SKETCH_EXACT_MIN = 4,
};

/* ---- Buckets --------------------------------------------------------------------------------- */

/* Bucket i holds (gamma^(i - 1), gamma^i]. */
static int32_t sketch_bucket(double magnitude)
{
    return (int32_t)ceil(log(magnitude) * (1 / SKETCH_LOG_GAMMA));
}

static double sketch_value(int32_t bucket)
{
    return exp(bucket * SKETCH_LOG_GAMMA) * SKETCH_MIDDLE;
}

static int32_t store_buckets(const struct eng_sketch_store *store)
{
    return (int32_t)(store->size_bytes / sizeof *store->counts);
}

/* Where there is something: low > high when there is nothing. */
struct sketch_span {
    int32_t low, high;
};
static const struct sketch_span sketch_span_none = {INT32_MAX, INT32_MIN};

static struct sketch_span store_span(const struct eng_sketch_store *store)
{
    int32_t from = 0, to = store_buckets(store) - 1;

    while (from <= to && store->counts[from] == 0)
        from++;
    while (from <= to && store->counts[to] == 0)
        to--;
    if (from > to) return sketch_span_none;
    return (struct sketch_span){store->first + from, store->first + to};
}

static void span_include(struct sketch_span *span, int32_t bucket)
{
    if (bucket < span->low) span->low = bucket;
    if (bucket > span->high) span->high = bucket;
}

/* Where a store has to reach so that it holds `more`, too. False: it does already. */
static bool store_reach(const struct eng_sketch_store *store, struct sketch_span more,
                        struct eng_sketch_store *wanted)
{
    int32_t have = store_buckets(store), last = store->first + have - 1;

    if (more.low > more.high) return false;
    if (have && more.low >= store->first && more.high <= last) return false;
    if (have == ENG_SKETCH_BUCKETS_MAX && more.high <= last && store->counts[have - 1] > 0)
        return false; /* what is below goes into the lowest */

    struct sketch_span span = store_span(store);
    bool upwards = more.high > span.high;
    span_include(&span, more.low);
    span_include(&span, more.high);
    if (span.high - span.low >= ENG_SKETCH_BUCKETS_MAX)
        span.low = span.high - ENG_SKETCH_BUCKETS_MAX + 1;
    if (have && span.low >= store->first && span.high <= last) return false;
    int32_t need = span.high - span.low + 1, size = need + need / 2;
    if (size < SKETCH_STORE_BUCKETS_MIN) size = SKETCH_STORE_BUCKETS_MIN;
    if (size > ENG_SKETCH_BUCKETS_MAX) size = ENG_SKETCH_BUCKETS_MAX;
    *wanted = (struct eng_sketch_store){
        .size_bytes = (uint32_t)size * (uint32_t)sizeof *store->counts,
        .first =
            have == 0 ? span.low - (size - need) / 2 : (upwards ? span.low : span.high - size + 1),
        .infinite = store->infinite,
    };
    return true;
}

/* After store_reach nothing lies above; what lies below is counted in the lowest. */
static void store_count(struct eng_sketch_store *store, int32_t bucket, uint64_t count)
{
    int32_t at = bucket < store->first ? 0 : bucket - store->first;

    CHECK(at < store_buckets(store));
    store->counts[at] += count;
}

static void store_count_all(struct eng_sketch_store *store, const struct eng_sketch_store *other)
{
    for (int32_t i = 0; i < store_buckets(other); i++)
        if (other->counts[i]) store_count(store, other->first + i, other->counts[i]);
}

static bool store_get(struct eng_sketch_store *wanted, const struct eng_sketch_memory *memory)
{
    wanted->counts = memory->get(memory->owner, wanted->size_bytes);
    if (!wanted->counts) return false;
    memset(wanted->counts, 0, wanted->size_bytes);
    return true;
}

static void store_give_back(struct eng_sketch_store *store, const struct eng_sketch_memory *memory)
{
    if (store->counts) memory->give_back(memory->owner, store->counts, store->size_bytes);
    *store = (struct eng_sketch_store){0};
}

static void store_replace(struct eng_sketch_store *store, struct eng_sketch_store *wanted,
                          const struct eng_sketch_memory *memory)
{
    store_count_all(wanted, store);
    store_give_back(store, memory);
    *store = *wanted;
}

/* Makes both stores reach. False: refused, and nothing has changed. */
static bool sketch_reach(struct eng_sketch *sketch, struct sketch_span positive,
                         struct sketch_span negative, const struct eng_sketch_memory *memory)
{
    struct eng_sketch_store more, less;
    bool want_more = store_reach(&sketch->positive, positive, &more);
    bool want_less = store_reach(&sketch->negative, negative, &less);

    if (want_more && !store_get(&more, memory)) return false;
    if (want_less && !store_get(&less, memory)) {
        if (want_more) store_give_back(&more, memory);
        return false;
    }
    if (want_more) store_replace(&sketch->positive, &more, memory);
    if (want_less) store_replace(&sketch->negative, &less, memory);
    return true;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static bool sketch_has_bucket(double value)
{
    return isfinite(value) && value != 0;
}

/* One that has been reached for. */
static void sketch_count_one(struct eng_sketch *sketch, double value)
{
    struct eng_sketch_store *store = value > 0 ? &sketch->positive : &sketch->negative;

    if (isnan(value))
        sketch->nans++;
    else if (value == 0)
        sketch->zeros++;
    else if (isinf(value))
        store->infinite++;
    else
        store_count(store, sketch_bucket(fabs(value)), 1);
    if (value < sketch->least) sketch->least = value;
    if (value > sketch->greatest) sketch->greatest = value;
}

static bool sketch_reach_values(struct eng_sketch *sketch, const double *values, uint64_t count,
                                const struct eng_sketch_memory *memory)
{
    struct sketch_span positive = sketch_span_none, negative = sketch_span_none;

    for (uint64_t i = 0; i < count; i++)
        if (sketch_has_bucket(values[i]))
            span_include(values[i] > 0 ? &positive : &negative, sketch_bucket(fabs(values[i])));
    return sketch_reach(sketch, positive, negative, memory);
}

/* From numbers to buckets. */
static bool sketch_begin_to_count(struct eng_sketch *sketch, const struct eng_sketch_memory *memory)
{
    if (sketch->counted) return true;
    if (!sketch_reach_values(sketch, sketch->exact, sketch->count, memory)) return false;
    sketch->counted = true;
    sketch->least = INFINITY;
    sketch->greatest = -INFINITY;
    for (uint64_t i = 0; i < sketch->count; i++)
        sketch_count_one(sketch, sketch->exact[i]);
    if (sketch->exact) memory->give_back(memory->owner, sketch->exact, sketch->exact_bytes);
    sketch->exact = NULL;
    sketch->exact_bytes = 0;
    return true;
}

/* Room for so many exact ones. */
static bool sketch_exact_room(struct eng_sketch *sketch, uint64_t count,
                              const struct eng_sketch_memory *memory)
{
    uint32_t room = SKETCH_EXACT_MIN;

    CHECK(count <= ENG_SKETCH_EXACT_MAX);
    if (count * sizeof(double) <= sketch->exact_bytes) return true;
    while (room < count)
        room *= 2;
    double *exact = memory->get(memory->owner, room * (uint32_t)sizeof *exact);
    if (!exact) return false;
    if (sketch->exact) {
        memcpy(exact, sketch->exact, sketch->count * sizeof *exact);
        memory->give_back(memory->owner, sketch->exact, sketch->exact_bytes);
    }
    sketch->exact = exact;
    sketch->exact_bytes = room * (uint32_t)sizeof *exact;
    return true;
}

static bool sketch_add_values(struct eng_sketch *sketch, const double *values, uint64_t count,
                              const struct eng_sketch_memory *memory)
{
    if (count == 0) return true;
    if (!sketch->counted && sketch->count + count <= ENG_SKETCH_EXACT_MAX) {
        if (!sketch_exact_room(sketch, sketch->count + count, memory)) return false;
        memcpy(sketch->exact + sketch->count, values, count * sizeof *values);
        sketch->count += count;
        return true;
    }
    if (!sketch_begin_to_count(sketch, memory)) return false;
    if (!sketch_reach_values(sketch, values, count, memory)) return false;
    for (uint64_t i = 0; i < count; i++)
        sketch_count_one(sketch, values[i]);
    sketch->count += count;
    return true;
}

bool eng_sketch_add(struct eng_sketch *sketch, double value, const struct eng_sketch_memory *memory)
{
    return sketch_add_values(sketch, &value, 1, memory);
}

bool eng_sketch_merge(struct eng_sketch *sketch, const struct eng_sketch *other,
                      const struct eng_sketch_memory *memory)
{
    if (!other->counted) return sketch_add_values(sketch, other->exact, other->count, memory);
    if (!sketch_begin_to_count(sketch, memory)) return false;
    if (!sketch_reach(sketch, store_span(&other->positive), store_span(&other->negative), memory))
        return false;
    store_count_all(&sketch->positive, &other->positive);
    store_count_all(&sketch->negative, &other->negative);
    sketch->positive.infinite += other->positive.infinite;
    sketch->negative.infinite += other->negative.infinite;
    sketch->count += other->count;
    sketch->zeros += other->zeros;
    sketch->nans += other->nans;
    if (other->least < sketch->least) sketch->least = other->least;
    if (other->greatest > sketch->greatest) sketch->greatest = other->greatest;
    return true;
}

void eng_sketch_clear(struct eng_sketch *sketch, const struct eng_sketch_memory *memory)
{
    if (sketch->exact) memory->give_back(memory->owner, sketch->exact, sketch->exact_bytes);
    store_give_back(&sketch->positive, memory);
    store_give_back(&sketch->negative, memory);
    *sketch = (struct eng_sketch){0};
}

/* ---- Quantiles ------------------------------------------------------------------------------- */

static bool sketch_comes_first(double a, double b)
{
    return a < b || (isnan(b) && !isnan(a));
}

static double sketch_exact_at(const struct eng_sketch *sketch, uint64_t rank)
{
    double sorted[ENG_SKETCH_EXACT_MAX];

    for (uint64_t i = 0; i < sketch->count; i++) {
        uint64_t at = i;
        for (; at > 0 && sketch_comes_first(sketch->exact[i], sorted[at - 1]); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = sketch->exact[i];
    }
    return sorted[rank];
}

static double sketch_within(const struct eng_sketch *sketch, double value)
{
    if (value < sketch->least) return sketch->least;
    return value > sketch->greatest ? sketch->greatest : value;
}

/* rank: from 0. */
static double sketch_counted_at(const struct eng_sketch *sketch, uint64_t rank)
{
    const struct eng_sketch_store *positive = &sketch->positive, *negative = &sketch->negative;

    if (rank >= sketch->count - sketch->nans) return NAN;
    if (rank == 0) return sketch->least;
    if (rank + 1 == sketch->count - sketch->nans) return sketch->greatest;
    if (rank < negative->infinite) return -INFINITY;
    rank -= negative->infinite;
    for (int32_t i = store_buckets(negative) - 1; i >= 0; i--) {
        if (rank < negative->counts[i])
            return sketch_within(sketch, -sketch_value(negative->first + i));
        rank -= negative->counts[i];
    }
    if (rank < sketch->zeros) return 0;
    rank -= sketch->zeros;
    for (int32_t i = 0; i < store_buckets(positive); i++) {
        if (rank < positive->counts[i])
            return sketch_within(sketch, sketch_value(positive->first + i));
        rank -= positive->counts[i];
    }
    return INFINITY;
}

double eng_sketch_quantile(const struct eng_sketch *sketch, double quantile)
{
    CHECK(sketch->count > 0);
    /* 0.07 of 100 is 7.000000000000001 in doubles, and the 7th is meant. */
    double place = ceil(quantile * (double)sketch->count * (1 - 0x1p-50));
    uint64_t rank = place >= 1 ? (uint64_t)place - 1 : 0;

    if (rank >= sketch->count) rank = sketch->count - 1;
    return sketch->counted ? sketch_counted_at(sketch, rank) : sketch_exact_at(sketch, rank);
}
