/* engine/record/sketch.h: quantiles of numbers, within 1 % of the value.
 *
 * For pen_quantile. Up to ENG_SKETCH_EXACT_MAX numbers are kept as they are, and what is asked for
 * is one of them. More are counted in buckets whose borders grow by a factor of a little less than
 * 1.01 / 0.99, so that the number of a bucket is a logarithm of what it holds, and its middle is
 * within 1 % of all of it: DDSketch, Masson, Rim and Lee, "DDSketch: A Fast and Fully-Mergeable
 * Quantile Sketch with Relative-Error Guarantees" (2019). Numbers below zero have buckets of their
 * own, by their magnitude; zeros, infinities and NaN are counted apart.
 *
 *     a store, the buckets of one sign:  first ... first + size_bytes / 8 - 1
 *
 * A store reaches as far as its numbers do, up to ENG_SKETCH_BUCKETS_MAX buckets: then the largest
 * magnitude is 6 * 10^17 times the smallest. Where there is more between them, the smallest ones
 * share the lowest bucket and lose their accuracy; the largest never do.
 *
 * The order of numbers does not matter, and two sketches can be merged: the result is the sketch of
 * both inputs. Nothing can be taken back.
 *
 * Memory is the caller's, by two functions. All zeros is an empty sketch, which has none. The
 * struct may be moved.
 */
#ifndef ENG_RECORD_SKETCH_H
#define ENG_RECORD_SKETCH_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ENG_SKETCH_EXACT_MAX = 32,
    ENG_SKETCH_BUCKETS_MAX = 2048, /* of each sign */
};

struct eng_sketch_memory {
    void *(*get)(void *owner, uint32_t size_bytes); /* 8-aligned; NULL: refused */
    void (*give_back)(void *owner, void *bytes, uint32_t size_bytes);
    void *owner;
};

struct eng_sketch_store {
    uint64_t *counts; /* of each bucket */
    uint32_t size_bytes;
    int32_t first;
    uint64_t infinite;
};

struct eng_sketch {
    double *exact; /* NULL: none yet, or counted */
    uint32_t exact_bytes;
    bool counted;
    uint64_t count; /* of all numbers */
    uint64_t zeros, nans;
    double least, greatest; /* of all but NaN */
    struct eng_sketch_store positive, negative;
};

/* False: memory was refused, and nothing has changed. */
bool eng_sketch_add(struct eng_sketch *sketch, double value,
                    const struct eng_sketch_memory *memory);
/* Adds all that other has, which stays as it is. False: as above. */
bool eng_sketch_merge(struct eng_sketch *sketch, const struct eng_sketch *other,
                      const struct eng_sketch_memory *memory);
/* Gives all memory back; zeros are left. */
void eng_sketch_clear(struct eng_sketch *sketch, const struct eng_sketch_memory *memory);

/* The smallest number so that at least `quantile` (0 to 1) of all are not above it, within 1 % of
 * it; NaN lies above all others. Exact for the least and the greatest. count must not be 0. */
double eng_sketch_quantile(const struct eng_sketch *sketch, double quantile);

#endif
