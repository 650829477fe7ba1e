/* Compiling a list of aggregates. The graph has checked it and told the user in his words (see
 * engine/job/aggregate.c); what is refused here is what a list made by a program may get wrong. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/operator/aggregate_inside.h"

/* What an aggregate needs of the field it reads. */
enum plan_takes { PLAN_NOTHING, PLAN_ANY, PLAN_NUMBER, PLAN_TEXT };

static const struct plan_kind {
    const char *name;
    enum plan_takes takes;
    uint8_t gives;   /* type of the result's field; 0: that of the field it reads */
    bool takes_back; /* rows of an updating stream */
} plan_kinds[] = {
    [PEN_AGGREGATE_COUNT] = {"pen_count", PLAN_NOTHING, PEN_TYPE_INT64, true},
    [PEN_AGGREGATE_COUNT_OF] = {"pen_count_of", PLAN_ANY, PEN_TYPE_INT64, true},
    [PEN_AGGREGATE_COUNT_DISTINCT] = {"pen_count_distinct", PLAN_ANY, PEN_TYPE_INT64, true},
    [PEN_AGGREGATE_COUNT_ABOUT] = {"pen_count_about", PLAN_ANY, PEN_TYPE_INT64, false},
    [PEN_AGGREGATE_SUM] = {"pen_sum", PLAN_NUMBER, PEN_TYPE_DOUBLE, true}, /* or int64 */
    [PEN_AGGREGATE_MIN] = {"pen_min", PLAN_ANY, 0, true},
    [PEN_AGGREGATE_MAX] = {"pen_max", PLAN_ANY, 0, true},
    [PEN_AGGREGATE_MEAN] = {"pen_mean", PLAN_NUMBER, PEN_TYPE_DOUBLE, true},
    [PEN_AGGREGATE_VARIANCE] = {"pen_variance", PLAN_NUMBER, PEN_TYPE_DOUBLE, true},
    [PEN_AGGREGATE_DEVIATION] = {"pen_deviation", PLAN_NUMBER, PEN_TYPE_DOUBLE, true},
    [PEN_AGGREGATE_QUANTILE] = {"pen_quantile", PLAN_NUMBER, PEN_TYPE_DOUBLE, false},
    [PEN_AGGREGATE_FIRST] = {"pen_first", PLAN_ANY, 0, false},
    [PEN_AGGREGATE_LAST] = {"pen_last", PLAN_ANY, 0, false},
    [PEN_AGGREGATE_CONCAT] = {"pen_concat", PLAN_TEXT, PEN_TYPE_STRING, false},
    [PEN_AGGREGATE_WINDOW_START] = {"pen_window_start", PLAN_NOTHING, PEN_TYPE_TIME, true},
    [PEN_AGGREGATE_WINDOW_END] = {"pen_window_end", PLAN_NOTHING, PEN_TYPE_TIME, true},
    [PEN_AGGREGATE_CUSTOM] = {"pen_custom", PLAN_NOTHING, 0, true},
};
enum { PLAN_KINDS = sizeof plan_kinds / sizeof plan_kinds[0] };

/* What a step is compiled from. */
struct plan_wish {
    const struct pen_aggregate *aggregate;
    const struct eng_layout *in, *out;
    char *reason;
    uint32_t reason_bytes;
};

static bool plan_is_integer(const struct eng_field *field)
{
    return eng_type_is_integer(field->type) || field->type == PEN_TYPE_BOOL;
}

static bool plan_is_number(const struct eng_field *field)
{
    return plan_is_integer(field) || field->type == PEN_TYPE_FLOAT ||
           field->type == PEN_TYPE_DOUBLE || field->type == PEN_TYPE_DECIMAL64 ||
           field->type == PEN_TYPE_DECIMAL128;
}

static bool plan_is_text(const struct eng_field *field)
{
    return field->type == PEN_TYPE_STRING || field->type == PEN_TYPE_CODE ||
           field->type == PEN_TYPE_CHARS;
}

static bool plan_same_type(const struct eng_field *a, const struct eng_field *b)
{
    return a->type == b->type && a->size_bytes == b->size_bytes && a->scale == b->scale &&
           a->precision == b->precision;
}

/* ---- Fields ---------------------------------------------------------------------------------- */

static bool plan_from(struct eng_aggregate_step *step, const struct plan_wish *wish)
{
    enum plan_takes takes = plan_kinds[step->kind].takes;
    const char *name = wish->aggregate->from;

    if (takes == PLAN_NOTHING) return true;
    step->from = name ? eng_layout_find(wish->in, name) : NULL;
    if (!step->from) {
        snprintf(wish->reason, wish->reason_bytes, "%s: %s has no field %s", step->name,
                 wish->in->schema->name, name ? name : "(NULL)");
        return false;
    }
    step->scale = pow(10, step->from->scale);
    bool fits = takes == PLAN_ANY || (takes == PLAN_NUMBER && plan_is_number(step->from)) ||
                (takes == PLAN_TEXT && plan_is_text(step->from));
    if (fits && step->from->element_count == 1) return true;
    snprintf(wish->reason, wish->reason_bytes, "%s cannot be made of field %s, which is %s",
             step->name, step->from->name, eng_type_name(step->from->type));
    return false;
}

static bool plan_into(struct eng_aggregate_step *step, const struct plan_wish *wish)
{
    const char *name = wish->aggregate->into;
    uint8_t type = plan_kinds[step->kind].gives;

    step->into = name ? eng_layout_find(wish->out, name) : NULL;
    if (!step->into) {
        snprintf(wish->reason, wish->reason_bytes, "%s: %s has no field %s", step->name,
                 wish->out->schema->name, name ? name : "(NULL)");
        return false;
    }
    step->into_index = (uint32_t)(step->into - wish->out->fields);
    if (step->kind == PEN_AGGREGATE_SUM && plan_is_integer(step->from)) type = PEN_TYPE_INT64;
    if (type ? step->into->type != type : !plan_same_type(step->into, step->from)) {
        snprintf(wish->reason, wish->reason_bytes, "%s gives %s, field %s is %s", step->name,
                 eng_type_name(type ? type : step->from->type), step->into->name,
                 eng_type_name(step->into->type));
        return false;
    }
    uint8_t gives = plan_kinds[step->kind].gives;
    bool may_be_none = gives != PEN_TYPE_INT64 && gives != PEN_TYPE_TIME &&
                       (step->only || (step->from && eng_field_nullable(step->from)));
    if (may_be_none && !eng_field_nullable(step->into)) {
        snprintf(wish->reason, wish->reason_bytes,
                 "%s may have nothing to give, so field %s must be able to be null", step->name,
                 step->into->name);
        return false;
    }
    return true;
}

static bool plan_only(struct eng_aggregate_step *step, const struct plan_wish *wish)
{
    const char *name = wish->aggregate->only;

    if (!name) return true;
    step->only = eng_layout_find(wish->in, name);
    if (step->only && step->only->type == PEN_TYPE_BOOL && step->only->element_count == 1)
        return true;
    snprintf(wish->reason, wish->reason_bytes, "pen_where: %s has no bool field %s",
             wish->in->schema->name, name);
    return false;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static bool plan_custom(struct eng_aggregate_step *step, const struct plan_wish *wish)
{
    const struct pen_function *custom = wish->aggregate->custom;
    char *reason = wish->reason;
    uint32_t reason_bytes = wish->reason_bytes;

    if (!custom || custom->kind != PEN_IS_AGGREGATE) {
        snprintf(reason, reason_bytes, "pen_custom takes what PEN_AGGREGATE declares");
        return false;
    }
    step->custom = custom;
    step->name = custom->name;
    if (!eng_schema_same(custom->in, wish->in->schema)) {
        snprintf(reason, reason_bytes, "pen_custom(%s) takes %s, the stream carries %s",
                 custom->name, custom->in->name, wish->in->schema->name);
        return false;
    }
    if (!eng_schema_same(custom->out, wish->out->schema)) {
        snprintf(reason, reason_bytes, "pen_custom(%s) fills %s, the result is %s", custom->name,
                 custom->out->name, wish->out->schema->name);
        return false;
    }
    if (step->updating && !custom->retract) {
        snprintf(reason, reason_bytes,
                 "pen_custom(%s) cannot take rows back, and the stream is updating; use "
                 "PEN_AGGREGATE_RETRACTING",
                 custom->name);
        return false;
    }
    if (eng_layout_open(&step->state, custom->state, reason, reason_bytes) < 0) return false;
    if (step->state.text_count > 0) {
        step->family = &eng_aggregate_custom_text_family;
    } else {
        step->family = &eng_aggregate_custom_family;
        step->size_bytes = step->state.fixed_bytes;
    }
    return true;
}

static const struct eng_aggregate_family *plan_family(const struct eng_aggregate_step *step)
{
    switch (step->kind) {
    case PEN_AGGREGATE_COUNT:
    case PEN_AGGREGATE_COUNT_OF:
        return &eng_aggregate_count_family;
    case PEN_AGGREGATE_COUNT_DISTINCT:
        return &eng_aggregate_distinct_family;
    case PEN_AGGREGATE_COUNT_ABOUT:
        return &eng_aggregate_about_family;
    case PEN_AGGREGATE_SUM:
    case PEN_AGGREGATE_MEAN:
        return eng_aggregate_sum_family(step);
    case PEN_AGGREGATE_MIN:
    case PEN_AGGREGATE_MAX:
        return eng_aggregate_extreme_family(step);
    case PEN_AGGREGATE_VARIANCE:
    case PEN_AGGREGATE_DEVIATION:
        return eng_aggregate_variance_family(step);
    case PEN_AGGREGATE_QUANTILE:
        return &eng_aggregate_quantile_family;
    case PEN_AGGREGATE_FIRST:
    case PEN_AGGREGATE_LAST:
        return eng_aggregate_edge_family(step);
    case PEN_AGGREGATE_CONCAT:
        return &eng_aggregate_concat_family;
    case PEN_AGGREGATE_WINDOW_START:
    case PEN_AGGREGATE_WINDOW_END:
        return NULL;
    case PEN_AGGREGATE_CUSTOM:
        break;
    }
    CHECK(false); /* compiled by plan_custom */
    return NULL;
}

static bool plan_step(struct eng_aggregate_step *step, const struct plan_wish *wish)
{
    const struct pen_aggregate *aggregate = wish->aggregate;

    step->name = plan_kinds[step->kind].name;
    step->quantile = aggregate->parameter;
    step->separator = aggregate->separator ? aggregate->separator : "";
    step->separator_bytes = (uint32_t)strlen(step->separator);
    if (!plan_only(step, wish)) return false;
    if (step->kind == PEN_AGGREGATE_CUSTOM) return plan_custom(step, wish);
    if (step->updating && !plan_kinds[step->kind].takes_back) {
        snprintf(wish->reason, wish->reason_bytes,
                 "%s cannot take a row back, and the stream is an updating one", step->name);
        return false;
    }
    if (plan_kinds[step->kind].gives == PEN_TYPE_TIME && !step->windowed) {
        snprintf(wish->reason, wish->reason_bytes, "%s needs a window", step->name);
        return false;
    }
    if (step->kind == PEN_AGGREGATE_QUANTILE && !(step->quantile >= 0 && step->quantile <= 1)) {
        snprintf(wish->reason, wish->reason_bytes, "%s: %g is not between 0 and 1", step->name,
                 step->quantile);
        return false;
    }
    if (!plan_from(step, wish) || !plan_into(step, wish)) return false;
    step->family = plan_family(step);
    return true;
}

bool eng_aggregate_plan_open(struct eng_aggregate_plan *plan, const struct pen_aggregate *list,
                             const struct eng_layout *in, const struct eng_layout *out,
                             bool updating, bool windowed, char *reason, uint32_t reason_bytes)
{
    struct plan_wish wish = {.in = in, .out = out, .reason = reason, .reason_bytes = reason_bytes};
    uint32_t count = 0;

    *plan = (struct eng_aggregate_plan){.merges = true};
    while (list && list[count].kind)
        count++;
    plan->steps = calloc(count ? count : 1, sizeof *plan->steps);
    CHECK(plan->steps != NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct eng_aggregate_step *step = &plan->steps[plan->step_count];
        if ((unsigned)list[i].kind >= PLAN_KINDS) {
            snprintf(reason, reason_bytes, "an aggregate is of kind %u, which is none",
                     (unsigned)list[i].kind);
            return false;
        }
        plan->step_count++;
        step->kind = list[i].kind;
        step->updating = updating;
        step->windowed = windowed;
        wish.aggregate = &list[i];
        if (!plan_step(step, &wish)) return false;
        if (step->family && step->family->size_bytes) step->size_bytes = step->family->size_bytes;
        step->offset_bytes = plan->value_bytes;
        plan->value_bytes += (step->size_bytes + 7) & ~7u;
        plan->has_custom |= step->kind == PEN_AGGREGATE_CUSTOM;
        plan->merges &= step->kind != PEN_AGGREGATE_CONCAT || windowed;
        plan->owns_memory |= step->family && step->family->owns_memory;
    }
    return true;
}

void eng_aggregate_plan_close(struct eng_aggregate_plan *plan)
{
    for (uint32_t s = 0; s < plan->step_count; s++)
        eng_layout_close(&plan->steps[s].state);
    free(plan->steps);
    *plan = (struct eng_aggregate_plan){0};
}

bool eng_aggregate_fills(const struct eng_aggregate_plan *plan, const struct eng_field *field)
{
    for (uint32_t s = 0; s < plan->step_count; s++)
        if (plan->steps[s].into == field) return true;
    return false;
}
