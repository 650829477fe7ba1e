/* engine/record/copy.c: fields of one record into the fields of the same names of another; see
 * key.h. */
#include <errno.h>
#include <stdlib.h>

#include "engine/record/key.h"
#include "shm/check.h"

static bool copy_types_same(const struct eng_field *a, const struct eng_field *b)
{
    return a->type == b->type && a->size_bytes == b->size_bytes && a->precision == b->precision &&
           a->scale == b->scale;
}

/* False: a mistake. */
static bool copy_step(const struct eng_copy_plan *plan, const struct eng_field *from,
                      const struct eng_field *to, struct eng_copy_step *step,
                      struct eng_reason *reason)
{
    if (!copy_types_same(from, to)) {
        bool decimal = from->type == to->type;
        eng_reason_set(reason, "field %s is %s in %s and %s%s in %s: the types must be the same",
                       from->name, eng_type_name(from->type), plan->from->schema->name,
                       eng_type_name(to->type), decimal ? " of another size" : "",
                       plan->to->schema->name);
        return false;
    }
    if (eng_field_nullable(from) && !eng_field_nullable(to)) {
        eng_reason_set(reason, "field %s can be null in %s, but not in %s", from->name,
                       plan->from->schema->name, plan->to->schema->name);
        return false;
    }
    *step = eng_copy_step_of(from, to, (uint32_t)(to - plan->to->fields));
    return true;
}

int eng_copy_plan_open(struct eng_copy_plan *plan, const struct eng_layout *from,
                       const struct eng_layout *to, bool missing_ok, struct eng_reason *reason)
{
    struct eng_copy_plan opened = {.from = from, .to = to};

    opened.steps = malloc((from->field_count + 1) * sizeof *opened.steps);
    if (!opened.steps) {
        eng_reason_set(reason, "out of memory");
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < from->field_count; i++) {
        struct eng_copy_step *step = &opened.steps[opened.step_count];
        const struct eng_field *field = eng_layout_find(to, from->fields[i].name);

        if (!field && missing_ok) continue;
        if (!field) {
            eng_reason_set(reason, "%s has no field %s", to->schema->name, from->fields[i].name);
            goto fail;
        }
        if (!copy_step(&opened, &from->fields[i], field, step, reason)) goto fail;
        opened.text_count += step->is_text;
        opened.step_count++;
    }
    *plan = opened;
    return 0;

fail:
    free(opened.steps);
    return -EINVAL;
}

void eng_copy_plan_close(struct eng_copy_plan *plan)
{
    free(plan->steps);
    *plan = (struct eng_copy_plan){0};
}

/* One that is no text. */
static inline void copy_value(const struct eng_copy_step *step, const char *from, char *to)
{
    if (!eng_copy_step_is_null(step, from)) {
        eng_copy_step_value(step, from, to);
        return;
    }
    memset(to + step->to_offset, 0, step->size_bytes);
    to[step->to_presence] = (char)((uint8_t)to[step->to_presence] & ~step->to_mask);
}

void eng_copy_plan_fixed(const struct eng_copy_plan *plan, const void *from, void *to)
{
    CHECK(plan->text_count == 0);
    for (uint32_t i = 0; i < plan->step_count; i++)
        copy_value(&plan->steps[i], from, to);
}

bool eng_copy_plan_build(const struct eng_copy_plan *plan, const void *from, struct eng_builder *to,
                         struct eng_reason *reason)
{
    CHECK(to->layout == plan->to);
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const struct eng_copy_step *step = &plan->steps[i];

        if (!step->is_text) {
            copy_value(step, from, to->bytes);
            continue;
        }
        if (eng_copy_step_is_null(step, from)) {
            CHECK(eng_builder_set_null(to, step->to_field, NULL));
            continue;
        }
        if (!eng_builder_set_text(to, step->to_field, eng_copy_step_text(step, from), reason))
            return false;
    }
    return true;
}
