#include "engine/operator/aggregate_inside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/worker.h"

/* Accumulators. Zeros are empty. */
struct sum_int {
    int64_t sum, count;
};
struct sum_double {
    double sum;
    int64_t count;
};
struct extreme {
    int64_t count;
    unsigned char value[16]; /* as the field has it */
};
struct variance { /* Welford: sum of squares about the mean, without cancellation */
    int64_t count;
    double mean, squares;
};

static bool step_is_integer(const struct eng_field *field)
{
    return eng_type_is_integer(field->type) || field->type == PEN_TYPE_BOOL;
}

static bool step_is_number(const struct eng_field *field)
{
    return step_is_integer(field) || field->type == PEN_TYPE_FLOAT ||
           field->type == PEN_TYPE_DOUBLE;
}

/* ---- Compiling ------------------------------------------------------------------------------- */

static bool step_wants_field(enum pen_aggregate_kind kind)
{
    return kind != PEN_AGGREGATE_COUNT && kind != PEN_AGGREGATE_CUSTOM;
}

static const char *step_name(enum pen_aggregate_kind kind)
{
    switch (kind) {
    case PEN_AGGREGATE_COUNT:
        return "pen_count";
    case PEN_AGGREGATE_COUNT_OF:
        return "pen_count_of";
    case PEN_AGGREGATE_SUM:
        return "pen_sum";
    case PEN_AGGREGATE_MIN:
        return "pen_min";
    case PEN_AGGREGATE_MAX:
        return "pen_max";
    case PEN_AGGREGATE_MEAN:
        return "pen_mean";
    case PEN_AGGREGATE_VARIANCE:
        return "pen_variance";
    case PEN_AGGREGATE_DEVIATION:
        return "pen_deviation";
    case PEN_AGGREGATE_CUSTOM:
        return "pen_custom";
    case PEN_AGGREGATE_COUNT_DISTINCT:
        return "pen_count_distinct";
    case PEN_AGGREGATE_COUNT_ABOUT:
        return "pen_count_about";
    case PEN_AGGREGATE_QUANTILE:
        return "pen_quantile";
    case PEN_AGGREGATE_FIRST:
        return "pen_first";
    case PEN_AGGREGATE_LAST:
        return "pen_last";
    case PEN_AGGREGATE_CONCAT:
        return "pen_concat";
    case PEN_AGGREGATE_WINDOW_START:
        return "pen_window_start";
    case PEN_AGGREGATE_WINDOW_END:
        return "pen_window_end";
    }
    return "aggregate";
}

/* The type that the result's field must have; 0: that of the field it comes from. */
static uint8_t step_result_type(const struct eng_aggregate_step *step)
{
    switch (step->kind) {
    case PEN_AGGREGATE_COUNT:
    case PEN_AGGREGATE_COUNT_OF:
        return PEN_TYPE_INT64;
    case PEN_AGGREGATE_SUM:
        return step_is_integer(step->from) ? PEN_TYPE_INT64 : PEN_TYPE_DOUBLE;
    case PEN_AGGREGATE_MEAN:
    case PEN_AGGREGATE_VARIANCE:
    case PEN_AGGREGATE_DEVIATION:
        return PEN_TYPE_DOUBLE;
    default:
        return 0;
    }
}

static uint32_t step_size(const struct eng_aggregate_step *step)
{
    switch (step->kind) {
    case PEN_AGGREGATE_COUNT:
    case PEN_AGGREGATE_COUNT_OF:
        return sizeof(int64_t);
    case PEN_AGGREGATE_SUM:
    case PEN_AGGREGATE_MEAN:
        return sizeof(struct sum_int);
    case PEN_AGGREGATE_MIN:
    case PEN_AGGREGATE_MAX:
        return sizeof(struct extreme);
    case PEN_AGGREGATE_VARIANCE:
    case PEN_AGGREGATE_DEVIATION:
        return sizeof(struct variance);
    default:
        return 0; /* not yet */
    }
}

static bool step_check_into(const struct eng_aggregate_step *step, const struct pen_aggregate *wish,
                            const struct eng_layout *out, char *reason, uint32_t reason_bytes)
{
    uint8_t type = step_result_type(step);

    if (!step->into) {
        snprintf(reason, reason_bytes, "%s: %s has no field %s", step_name(step->kind),
                 out->schema->name, wish->into ? wish->into : "(NULL)");
        return false;
    }
    if (type == 0) type = step->from->type;
    if (step->into->type != type) {
        snprintf(reason, reason_bytes, "%s gives %s, field %s is %s", step_name(step->kind),
                 eng_type_name(type), step->into->name, eng_type_name(step->into->type));
        return false;
    }
    bool counts = step->kind == PEN_AGGREGATE_COUNT || step->kind == PEN_AGGREGATE_COUNT_OF;
    bool may_be_null = !counts && (step->only || eng_field_nullable(step->from));
    if (may_be_null && !eng_field_nullable(step->into)) {
        snprintf(reason, reason_bytes,
                 "%s of %s may have nothing to give, so field %s must be a pen_opt_",
                 step_name(step->kind), step->from->name, step->into->name);
        return false;
    }
    return true;
}

static bool step_open_custom(struct eng_aggregate_step *step, const struct pen_aggregate *wish,
                             const struct eng_layout *in, const struct eng_layout *out,
                             bool updating, char *reason, uint32_t reason_bytes)
{
    struct eng_layout state = {0};

    step->custom = wish->custom;
    if (!wish->custom || wish->custom->kind != PEN_IS_AGGREGATE) {
        snprintf(reason, reason_bytes, "pen_custom takes what PEN_AGGREGATE declares");
        return false;
    }
    const char *name = wish->custom->name;
    if (!eng_schema_same(wish->custom->in, in->schema)) {
        snprintf(reason, reason_bytes, "pen_custom(%s) takes %s, the stream carries %s", name,
                 wish->custom->in->name, in->schema->name);
        return false;
    }
    if (!eng_schema_same(wish->custom->out, out->schema)) {
        snprintf(reason, reason_bytes, "pen_custom(%s) fills %s, the result is %s", name,
                 wish->custom->out->name, out->schema->name);
        return false;
    }
    if (updating && !wish->custom->retract) {
        snprintf(reason, reason_bytes,
                 "pen_custom(%s) cannot take rows back, and the stream is updating; use "
                 "PEN_AGGREGATE_RETRACTING",
                 name);
        return false;
    }
    if (eng_layout_open(&state, wish->custom->state, reason, reason_bytes) < 0) return false;
    bool has_texts = state.text_count > 0;
    step->size_bytes = state.fixed_bytes;
    eng_layout_close(&state);
    if (has_texts) {
        snprintf(reason, reason_bytes,
                 "pen_custom(%s): an accumulator with texts: this version of Penstock cannot do "
                 "that yet",
                 name);
        return false;
    }
    return true;
}

static bool step_open(struct eng_aggregate_step *step, const struct pen_aggregate *wish,
                      const struct eng_layout *in, const struct eng_layout *out, bool updating,
                      char *reason, uint32_t reason_bytes)
{
    *step = (struct eng_aggregate_step){.kind = wish->kind};
    if (wish->only) {
        step->only = eng_layout_find(in, wish->only);
        if (!step->only || step->only->type != PEN_TYPE_BOOL) {
            snprintf(reason, reason_bytes, "pen_where: %s has no bool field %s", in->schema->name,
                     wish->only);
            return false;
        }
    }
    if (wish->kind == PEN_AGGREGATE_CUSTOM)
        return step_open_custom(step, wish, in, out, updating, reason, reason_bytes);
    step->size_bytes = step_size(step);
    if (step->size_bytes == 0) {
        snprintf(reason, reason_bytes, "%s: this version of Penstock cannot do that yet",
                 step_name(wish->kind));
        return false;
    }
    if (step_wants_field(wish->kind)) {
        step->from = wish->from ? eng_layout_find(in, wish->from) : NULL;
        if (!step->from) {
            snprintf(reason, reason_bytes, "%s: %s has no field %s", step_name(wish->kind),
                     in->schema->name, wish->from ? wish->from : "(NULL)");
            return false;
        }
    }
    bool extreme = wish->kind == PEN_AGGREGATE_MIN || wish->kind == PEN_AGGREGATE_MAX;
    bool fits =
        !step->from || wish->kind == PEN_AGGREGATE_COUNT_OF || step_is_number(step->from) ||
        (extreme && (step->from->type == PEN_TYPE_TIME || step->from->type == PEN_TYPE_CODE ||
                     step->from->type == PEN_TYPE_DATE));
    if (!fits || (step->from && step->from->element_count != 1)) {
        snprintf(reason, reason_bytes, "%s cannot be made of field %s, which is %s",
                 step_name(wish->kind), step->from->name, eng_type_name(step->from->type));
        return false;
    }
    if (extreme && updating) {
        snprintf(reason, reason_bytes,
                 "%s of an updating stream: this version of Penstock cannot do that yet",
                 step_name(wish->kind));
        return false;
    }
    step->into = wish->into ? eng_layout_find(out, wish->into) : NULL;
    return step_check_into(step, wish, out, reason, reason_bytes);
}

bool eng_aggregate_plan_open(struct eng_aggregate_plan *plan, const struct pen_aggregate *list,
                             const struct eng_layout *in, const struct eng_layout *out,
                             bool updating, bool windowed, char *reason, uint32_t reason_bytes)
{
    uint32_t count = 0;

    (void)windowed;
    *plan = (struct eng_aggregate_plan){0};
    while (list && list[count].kind)
        count++;
    plan->steps = calloc(count ? count : 1, sizeof *plan->steps);
    CHECK(plan->steps != NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct eng_aggregate_step *step = &plan->steps[i];
        if (!step_open(step, &list[i], in, out, updating, reason, reason_bytes)) return false;
        step->offset_bytes = plan->value_bytes;
        plan->value_bytes += (step->size_bytes + 7) & ~7u;
        plan->has_custom |= step->kind == PEN_AGGREGATE_CUSTOM;
        plan->step_count++;
    }
    return true;
}

void eng_aggregate_plan_close(struct eng_aggregate_plan *plan)
{
    free(plan->steps);
    *plan = (struct eng_aggregate_plan){0};
}

/* ---- Adding a batch -------------------------------------------------------------------------- */

/* +1: the record is added; -1: a row is taken back; 0: the step does not look at it. */
static inline int step_sign(const struct eng_aggregate_step *step, const struct eng_batch *batch,
                            uint32_t i)
{
    const void *record = batch->records[i];

    if (step->only && !*(const bool *)eng_field_of(step->only, record)) return 0;
    if (step->from && eng_field_is_null(step->from, record)) return 0;
    if (!batch->rows) return 1;
    return batch->rows[i] == PEN_UPDATE_BEFORE || batch->rows[i] == PEN_DELETE ? -1 : 1;
}

static inline void *step_at(const struct eng_aggregate_step *step, void *value)
{
    return (char *)value + step->offset_bytes;
}

static void step_add_count(const struct eng_aggregate_step *step, const struct eng_batch *batch,
                           void *const *values)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        int64_t *count = step_at(step, values[i]);
        *count += step_sign(step, batch, i);
    }
}

static bool step_add_sum_int(const struct eng_aggregate_step *step, const struct eng_batch *batch,
                             void *const *values)
{
    bool overflow = false;

    for (uint32_t i = 0; i < batch->count; i++) {
        int sign = step_sign(step, batch, i);
        if (sign == 0) continue;
        struct sum_int *sum = step_at(step, values[i]);
        int64_t amount = eng_field_int(step->from, batch->records[i]);
        if (step->from->type == PEN_TYPE_UINT64 && amount < 0) overflow = true;
        overflow |= sign > 0 ? __builtin_add_overflow(sum->sum, amount, &sum->sum)
                             : __builtin_sub_overflow(sum->sum, amount, &sum->sum);
        sum->count += sign;
    }
    return !overflow;
}

static void step_add_sum_double(const struct eng_aggregate_step *step,
                                const struct eng_batch *batch, void *const *values)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        int sign = step_sign(step, batch, i);
        if (sign == 0) continue;
        struct sum_double *sum = step_at(step, values[i]);
        sum->sum += sign * eng_field_double(step->from, batch->records[i]);
        sum->count += sign;
    }
}

static void step_add_variance(const struct eng_aggregate_step *step, const struct eng_batch *batch,
                              void *const *values)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        int sign = step_sign(step, batch, i);
        if (sign == 0) continue;
        struct variance *variance = step_at(step, values[i]);
        double x = eng_field_double(step->from, batch->records[i]);
        double before = variance->mean;
        int64_t count = variance->count + sign;
        variance->count = count;
        if (count == 0) {
            variance->mean = variance->squares = 0;
            continue;
        }
        variance->mean += sign * (x - before) / (double)count;
        variance->squares += sign * (x - before) * (x - variance->mean);
    }
}

/* Below 0: a comes first. As the field's type has it; NaN comes last. */
static int step_compare(const struct eng_field *field, const void *a, const void *b)
{
    if (field->type == PEN_TYPE_CODE) return memcmp(a, b, sizeof(pen_code));
    if (field->type == PEN_TYPE_FLOAT || field->type == PEN_TYPE_DOUBLE) {
        struct eng_field at_zero = *field;
        at_zero.offset_bytes = 0;
        at_zero.presence_mask = 0;
        double x = eng_field_double(&at_zero, a), y = eng_field_double(&at_zero, b);
        if (isnan(x) || isnan(y)) return isnan(x) - isnan(y);
        return (x > y) - (x < y);
    }
    struct eng_field at_zero = *field;
    at_zero.offset_bytes = 0;
    at_zero.presence_mask = 0;
    int64_t x = eng_field_int(&at_zero, a), y = eng_field_int(&at_zero, b);
    if (field->type == PEN_TYPE_UINT64)
        return ((uint64_t)x > (uint64_t)y) - ((uint64_t)x < (uint64_t)y);
    return (x > y) - (x < y);
}

static void step_add_extreme(const struct eng_aggregate_step *step, const struct eng_batch *batch,
                             void *const *values)
{
    bool want_least = step->kind == PEN_AGGREGATE_MIN;

    for (uint32_t i = 0; i < batch->count; i++) {
        if (step_sign(step, batch, i) == 0) continue;
        struct extreme *extreme = step_at(step, values[i]);
        const void *value = eng_field_of(step->from, batch->records[i]);
        int order = extreme->count > 0 ? step_compare(step->from, value, extreme->value) : 0;
        if (extreme->count++ == 0 || (want_least ? order < 0 : order > 0))
            memcpy(extreme->value, value, step->from->size_bytes);
    }
}

static void step_add_custom(pen_context *ctx, const struct eng_aggregate_step *step,
                            const struct eng_batch *batch, void *const *values)
{
    for (uint32_t i = 0; i < batch->count && !ctx->worker->failed; i++) {
        int sign = step_sign(step, batch, i);
        if (sign == 0) continue;
        void *state = step_at(step, values[i]);
        uint32_t current = 0;
        struct pen_batch one = {
            .count = 1, .current = &current, .records = &batch->records[i], .states = &state};
        if (sign > 0)
            step->custom->loop(ctx, &one);
        else
            step->custom->retract(ctx, &one);
    }
}

bool eng_aggregate_add(pen_context *ctx, const struct eng_aggregate_plan *plan,
                       const struct eng_batch *batch, void *const *values)
{
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct eng_aggregate_step *step = &plan->steps[s];
        switch (step->kind) {
        case PEN_AGGREGATE_COUNT:
        case PEN_AGGREGATE_COUNT_OF:
            step_add_count(step, batch, values);
            break;
        case PEN_AGGREGATE_SUM:
            if (!step_is_integer(step->from)) {
                step_add_sum_double(step, batch, values);
            } else if (!step_add_sum_int(step, batch, values)) {
                eng_context_fail(ctx, "the sum of %s is beyond an int64", step->from->name);
                return false;
            }
            break;
        case PEN_AGGREGATE_MEAN:
            step_add_sum_double(step, batch, values);
            break;
        case PEN_AGGREGATE_VARIANCE:
        case PEN_AGGREGATE_DEVIATION:
            step_add_variance(step, batch, values);
            break;
        case PEN_AGGREGATE_MIN:
        case PEN_AGGREGATE_MAX:
            step_add_extreme(step, batch, values);
            break;
        case PEN_AGGREGATE_CUSTOM:
            step_add_custom(ctx, step, batch, values);
            if (ctx->worker->failed) return false;
            break;
        default:
            CHECK(false); /* compiling refused it */
        }
    }
    return true;
}

/* ---- Results --------------------------------------------------------------------------------- */

static void step_set_double(const struct eng_field *into, void *result, double value)
{
    memcpy(eng_field_at(into, result), &value, sizeof value);
    eng_field_set_present(into, result);
}

static void step_set_int(const struct eng_field *into, void *result, int64_t value)
{
    memcpy(eng_field_at(into, result), &value, sizeof value);
    eng_field_set_present(into, result);
}

static void step_finish_variance(const struct eng_aggregate_step *step,
                                 const struct variance *variance, void *result)
{
    if (variance->count == 0) return;
    double spread = variance->count > 1 ? variance->squares / (double)(variance->count - 1) : 0;
    if (spread < 0) spread = 0; /* rows were taken back: rounding may leave a little below */
    step_set_double(step->into, result,
                    step->kind == PEN_AGGREGATE_DEVIATION ? sqrt(spread) : spread);
}

static void step_finish(pen_context *ctx, const struct eng_aggregate_step *step, const void *at,
                        void *result)
{
    const struct sum_int *sum_int = at;
    const struct sum_double *sum_double = at;
    const struct extreme *extreme = at;

    switch (step->kind) {
    case PEN_AGGREGATE_COUNT:
    case PEN_AGGREGATE_COUNT_OF:
        step_set_int(step->into, result, *(const int64_t *)at);
        return;
    case PEN_AGGREGATE_SUM:
        /* Of nothing: null where the field can say so, as in SQL, else 0. */
        if (sum_int->count == 0 && eng_field_nullable(step->into)) return;
        if (step_is_integer(step->from))
            step_set_int(step->into, result, sum_int->sum);
        else
            step_set_double(step->into, result, sum_double->sum);
        return;
    case PEN_AGGREGATE_MEAN:
        if (sum_double->count > 0)
            step_set_double(step->into, result, sum_double->sum / (double)sum_double->count);
        return;
    case PEN_AGGREGATE_VARIANCE:
    case PEN_AGGREGATE_DEVIATION:
        step_finish_variance(step, at, result);
        return;
    case PEN_AGGREGATE_MIN:
    case PEN_AGGREGATE_MAX:
        if (extreme->count == 0) return;
        memcpy(eng_field_at(step->into, result), extreme->value, step->from->size_bytes);
        eng_field_set_present(step->into, result);
        return;
    case PEN_AGGREGATE_CUSTOM:
        step->custom->finish(ctx, at, result);
        return;
    default:
        CHECK(false); /* compiling refused it */
    }
}

bool eng_aggregate_finish(pen_context *ctx, const struct eng_aggregate_plan *plan,
                          const void *value, int64_t from_us, int64_t to_us,
                          struct eng_builder *result)
{
    (void)from_us, (void)to_us;
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct eng_aggregate_step *step = &plan->steps[s];
        step_finish(ctx, step, (const char *)value + step->offset_bytes,
                    eng_builder_record(result));
    }
    return !ctx->worker->failed;
}

bool eng_aggregate_fills(const struct eng_aggregate_plan *plan, const struct eng_field *field)
{
    for (uint32_t s = 0; s < plan->step_count; s++)
        if (plan->steps[s].into == field) return true;
    return false;
}

bool eng_aggregate_merge(pen_context *ctx, const struct eng_aggregate_plan *plan, void *value,
                         const void *other)
{
    (void)plan, (void)value, (void)other;
    eng_context_fail(ctx, "merging aggregates: this version of Penstock cannot do that yet");
    return false;
}

void eng_aggregate_free(pen_context *ctx, const struct eng_aggregate_plan *plan, void *value)
{
    (void)ctx;
    memset(value, 0, plan->value_bytes);
}

void eng_aggregate_self_close(struct eng_aggregate_self *self)
{
    *self = (struct eng_aggregate_self){0};
}
