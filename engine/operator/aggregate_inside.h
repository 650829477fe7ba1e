/* engine/operator/aggregate_inside.h: what the files aggregate_*.c share. Nobody else includes it.
 *
 *     aggregate_plan.c       compiling: which family computes a step
 *     aggregate_steps.c      the functions of aggregate.h: each step in turn; count; memory
 *     aggregate_order.c      values as numbers, or bytes, of the order of their type
 *     aggregate_sums.c       sum and mean
 *     aggregate_variance.c   variance and deviation
 *     aggregate_values.c     min, max, first and last
 *     aggregate_distinct.c   count_distinct
 *     aggregate_sketch.c     count_about and quantile
 *     aggregate_concat.c     concat
 *     aggregate_custom.c     custom
 *
 * A family is one way to compute an aggregate over one kind of field, chosen when the plan is made:
 * so its loop over a batch asks nothing that is the same for all records. Its functions see the
 * place of their own accumulator, not the whole value.
 */
#ifndef ENG_OPERATOR_AGGREGATE_INSIDE_H
#define ENG_OPERATOR_AGGREGATE_INSIDE_H

#include "engine/flow/worker.h"
#include "engine/operator/aggregate.h"
#include "engine/record/value.h"

struct eng_aggregate_family {
    uint32_t size_bytes; /* 0: the step's own, set when compiled */
    bool owns_memory;
    bool (*add)(pen_context *ctx, const struct eng_aggregate_plan *plan,
                const struct eng_aggregate_step *step, const struct eng_batch *batch,
                void *const *values);
    bool (*merge)(pen_context *ctx, const struct eng_aggregate_plan *plan,
                  const struct eng_aggregate_step *step, void *at, const void *other);
    bool (*finish)(pen_context *ctx, const struct eng_aggregate_plan *plan,
                   const struct eng_aggregate_step *step, const void *at,
                   struct eng_builder *result);
    /* Where it owns memory. The zeros are the caller's. */
    void (*free)(pen_context *ctx, const struct eng_aggregate_plan *plan,
                 const struct eng_aggregate_step *step, void *at);
};

struct eng_aggregate_step {
    enum pen_aggregate_kind kind;
    const struct eng_aggregate_family
        *family;           /* NULL: a border of the window, which keeps nothing */
    const char *name;      /* pen_sum */
    uint32_t offset_bytes; /* of the accumulator in the entry */
    uint32_t size_bytes;
    const struct eng_field *from; /* of the records; NULL: none needed */
    const struct eng_field *into; /* of the result; NULL: the custom one fills what it likes */
    const struct eng_field *only; /* a bool: others are not looked at */
    uint32_t into_index;
    bool updating, windowed;
    double quantile;
    double scale; /* of decimals: what one is, 10^scale */
    const char *separator;
    uint32_t separator_bytes;
    const struct pen_function *custom;
    struct eng_layout state; /* of a custom accumulator */
};

extern const struct eng_aggregate_family eng_aggregate_count_family;
extern const struct eng_aggregate_family eng_aggregate_custom_family;
extern const struct eng_aggregate_family eng_aggregate_custom_text_family;
extern const struct eng_aggregate_family eng_aggregate_distinct_family;
extern const struct eng_aggregate_family eng_aggregate_about_family;
extern const struct eng_aggregate_family eng_aggregate_quantile_family;
extern const struct eng_aggregate_family eng_aggregate_concat_family;
const struct eng_aggregate_family *eng_aggregate_sum_family(const struct eng_aggregate_step *step);
const struct eng_aggregate_family *
eng_aggregate_variance_family(const struct eng_aggregate_step *step);
const struct eng_aggregate_family *
eng_aggregate_extreme_family(const struct eng_aggregate_step *step);
const struct eng_aggregate_family *eng_aggregate_edge_family(const struct eng_aggregate_step *step);

/* ---- Records --------------------------------------------------------------------------------- */

/* signs[i]: +1 the record is added, -1 it is taken back, 0 the step does not look at it. True: all
 * are +1, and signs were not written. */
bool eng_aggregate_signs(const struct eng_aggregate_step *step, const struct eng_batch *batch,
                         int8_t *signs);

static inline void *eng_aggregate_at(const struct eng_aggregate_step *step, void *value)
{
    return (char *)value + step->offset_bytes;
}

/* ---- Values in their order (aggregate_order.c) ----------------------------------------------- */

/* Whether values of a field are numbers of 64 bits or less, times, dates, codes: then they have a
 * rank, an int64 of the same order. NaN is above all numbers, and -0.0 just below 0.0. */
bool eng_aggregate_has_rank(const struct eng_field *field);
/* Of every record, null or not; what a null one gives means nothing. */
void eng_aggregate_ranks(const struct eng_field *field, const struct eng_batch *batch,
                         int64_t *ranks);
/* The same for who asks which values are equal: 0.0 and -0.0 are one number, and have one rank. */
static inline int64_t eng_aggregate_same_rank(const struct eng_field *field, int64_t rank)
{
    bool real = field->type == PEN_TYPE_FLOAT || field->type == PEN_TYPE_DOUBLE;
    return real && rank == -1 ? 0 : rank;
}
/* The value with that rank, into a field of the same type. */
void eng_aggregate_set_rank(const struct eng_aggregate_step *step, int64_t rank,
                            struct eng_builder *result);

/* All others, as bytes in the order of memcmp: texts as they are, a decimal128 in `wide`. */
enum { ENG_AGGREGATE_WIDE_BYTES = 16 };
pen_view eng_aggregate_bytes(const struct eng_field *field, const void *record, char *wide);
bool eng_aggregate_set_bytes(pen_context *ctx, const struct eng_aggregate_step *step,
                             pen_view bytes, struct eng_builder *result);
/* Below 0: a comes first. */
int eng_aggregate_compare(pen_view a, pen_view b);

/* Of numbers, as numbers; decimals as what they stand for. */
void eng_aggregate_doubles(const struct eng_aggregate_step *step, const struct eng_batch *batch,
                           double *doubles);

/* ---- Memory ---------------------------------------------------------------------------------- */

/* A blob of the worker's arena, counted as owned. NULL: refused, and the job has failed. */
void *eng_aggregate_blob(pen_context *ctx, const struct eng_aggregate_plan *plan,
                         const struct eng_aggregate_step *step, uint64_t size_bytes);
void eng_aggregate_blob_free(pen_context *ctx, const struct eng_aggregate_plan *plan, void *blob,
                             uint64_t size_bytes);
/* What a container owns has changed. */
void eng_aggregate_owned(const struct eng_aggregate_plan *plan, uint64_t before_bytes,
                         uint64_t after_bytes);
bool eng_aggregate_no_memory(pen_context *ctx, const struct eng_aggregate_plan *plan,
                             const struct eng_aggregate_step *step);

/* Bytes of any length, in a blob that is used again while it is large enough. Zeros: none. */
struct eng_aggregate_text {
    char *bytes;
    uint32_t size_bytes, capacity_bytes;
};
/* Room for size_bytes; what is there stays. False: refused. */
bool eng_aggregate_text_room(pen_context *ctx, const struct eng_aggregate_plan *plan,
                             const struct eng_aggregate_step *step, struct eng_aggregate_text *text,
                             uint64_t size_bytes);
bool eng_aggregate_text_set(pen_context *ctx, const struct eng_aggregate_plan *plan,
                            const struct eng_aggregate_step *step, struct eng_aggregate_text *text,
                            pen_view bytes);
void eng_aggregate_text_free(pen_context *ctx, const struct eng_aggregate_plan *plan,
                             struct eng_aggregate_text *text);
static inline pen_view eng_aggregate_text_view(const struct eng_aggregate_text *text)
{
    return pen_view_sized(text->bytes ? text->bytes : "", text->size_bytes);
}

/* ---- Results --------------------------------------------------------------------------------- */

static inline void eng_aggregate_set_int(const struct eng_aggregate_step *step, int64_t value,
                                         struct eng_builder *result)
{
    memcpy(eng_field_at(step->into, eng_builder_record(result)), &value, sizeof value);
    eng_field_set_present(step->into, eng_builder_record(result));
}
static inline void eng_aggregate_set_double(const struct eng_aggregate_step *step, double value,
                                            struct eng_builder *result)
{
    memcpy(eng_field_at(step->into, eng_builder_record(result)), &value, sizeof value);
    eng_field_set_present(step->into, eng_builder_record(result));
}
/* A text, whichever kind; false: the record would be too large, and the job has failed. */
bool eng_aggregate_set_text(pen_context *ctx, const struct eng_aggregate_step *step, pen_view text,
                            struct eng_builder *result);

#endif
