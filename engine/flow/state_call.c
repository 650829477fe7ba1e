/* The functions of penstock/function.h about the states of `.uses`. */
#include <stdlib.h>
#include <string.h>

#include "engine/flow/context.h"
#include "engine/flow/states_inside.h"
#include "engine/flow/worker.h"

/* A state, as it is for the call at hand. */
struct state_use {
    struct eng_states *states;
    const struct eng_state_plan *plan;
    char *head;
};

/* ---- Which state ----------------------------------------------------------------------------- */

static bool state_is_at_hand(pen_context *ctx, const struct eng_state_plan *plan)
{
    if (!plan->of_key || (ctx->entries && ctx->batch)) return true;
    eng_context_fail(ctx, "it uses the state %s, which belongs to a key, where no key is at hand",
                     plan->state->name);
    return false;
}

static bool state_may_write(pen_context *ctx, const struct eng_state_plan *plan)
{
    if (plan->state->scope != PEN_SCOPE_BROADCAST || ctx->function->kind == PEN_IS_RULE)
        return true;
    eng_context_fail(ctx,
                     "it changes the broadcast state %s; only the function that is called with the "
                     "rules may, so that it stays the same on all workers",
                     plan->state->name);
    return false;
}

/* False: the job has failed. schema NULL: not asked. */
static bool state_open(pen_context *ctx, const struct pen_state *state,
                       const struct pen_schema *schema, bool writes, struct state_use *use)
{
    struct eng_states *states = ctx->states;

    if (ctx->worker->failed) return false;
    if (!states || state->slot >= states->plan->count ||
        states->plan->states[state->slot].state != state) {
        eng_context_fail(ctx, "it uses the state %s, which is not listed in its .uses",
                         state->name ? state->name : "");
        return false;
    }
    const struct eng_state_plan *plan = &states->plan->states[state->slot];
    if (schema && !eng_schema_same(schema, plan->element->schema)) {
        eng_context_fail(ctx, "it uses the state %s as one of %s, and it is one of %s", state->name,
                         schema->name, plan->element->schema->name);
        return false;
    }
    if (!state_is_at_hand(ctx, plan)) return false;
    if (writes && !state_may_write(ctx, plan)) return false;
    char *heads = plan->of_key ? (char *)ctx->entries[ctx->room.current] + states->heads_offset
                               : states->subtask_heads;
    *use = (struct state_use){states, plan, heads + plan->head_offset};
    return true;
}

static void state_refused(pen_context *ctx, const struct state_use *use)
{
    eng_context_fail(ctx, "there is no memory for more in the state %s", use->plan->state->name);
}

static void *state_nothing(pen_context *ctx, const struct pen_schema *schema)
{
    void *zeros = eng_context_text(ctx, schema->size_bytes); /* a job that has failed runs on */
    memset(zeros, 0, schema->size_bytes);
    return zeros;
}

/* ---- Time to live ---------------------------------------------------------------------------- */

static bool state_is_over(pen_context *ctx, const struct state_use *use, int64_t stamp_us)
{
    const struct pen_state *state = use->plan->state;
    return state->ttl > 0 &&
           eng_states_is_over(stamp_us, state->ttl, eng_states_now(ctx, state->ttl_clock));
}

/* An element is read or written: its time begins anew, if that counts. Never back in time. */
static void state_renew(pen_context *ctx, const struct state_use *use, int64_t *stamp_us,
                        bool written)
{
    const struct pen_state *state = use->plan->state;

    if (state->ttl <= 0 || (!written && state->ttl_since == PEN_SINCE_WRITE)) return;
    int64_t now_us = eng_states_now(ctx, state->ttl_clock);
    if (now_us > *stamp_us) *stamp_us = now_us;
}

/* ---- Elements of values and dicts ------------------------------------------------------------ */

static struct eng_dict_key state_dict_key(pen_dict_key key)
{
    return key.text.data ? eng_dict_text(key.text.data, key.text.size_bytes)
                         : eng_dict_number(key.number);
}

static bool state_is_value(const struct state_use *use)
{
    return use->plan->state->shape == PEN_SHAPE_VALUE;
}

static void state_remove_element(const struct state_use *use, char *element,
                                 const struct eng_dict_key *key)
{
    struct eng_dict *dict = eng_state_dict(use->head);

    if (state_is_value(use)) {
        eng_state_clear(use->states, use->plan, use->head);
        return;
    }
    eng_state_free_element(use->states, use->plan, element);
    uint64_t before = eng_dict_bytes(dict);
    CHECK(eng_dict_remove(use->states->arena, dict, key));
    use->states->owned_bytes -= before - eng_dict_bytes(dict);
}

/* NULL: there is none, or it was over and is gone. */
static char *state_find_element(pen_context *ctx, const struct state_use *use,
                                const struct eng_dict_key *key)
{
    char *element;

    if (state_is_value(use))
        element = *eng_state_present(use->head) ? use->head + 8 : NULL;
    else
        element = eng_dict_find(eng_state_dict(use->head), key);
    if (!element || use->plan->state->ttl <= 0) return element;
    if (!state_is_over(ctx, use, *eng_state_stamp(element))) return element;
    state_remove_element(use, element, key);
    return NULL;
}

/* One of zeros where there is none. NULL: refused, and the job has failed. */
static char *state_make_element(pen_context *ctx, const struct state_use *use,
                                const struct eng_dict_key *key)
{
    char *element = state_find_element(ctx, use, key);
    struct eng_dict *dict = eng_state_dict(use->head);

    if (!element && state_is_value(use)) {
        *eng_state_present(use->head) = 1;
        element = use->head + 8;
        if (use->plan->state->ttl > 0) *eng_state_stamp(element) = INT64_MIN;
    } else if (!element) {
        uint64_t before = eng_dict_bytes(dict);
        element = eng_dict_upsert(use->states->arena, dict, use->plan->element_bytes, key, NULL);
        use->states->owned_bytes += eng_dict_bytes(dict) - before;
        if (element && use->plan->state->ttl > 0) *eng_state_stamp(element) = INT64_MIN;
        if (!element) state_refused(ctx, use);
    }
    if (element && use->plan->state->ttl > 0) state_renew(ctx, use, eng_state_stamp(element), true);
    return element;
}

/* ---- Working copies -------------------------------------------------------------------------- */

static bool state_keys_equal(pen_dict_key a, pen_dict_key b)
{
    if (!a.text.data != !b.text.data) return false;
    if (!a.text.data) return a.number == b.number;
    return a.text.size_bytes == b.text.size_bytes &&
           (a.text.size_bytes == 0 || memcmp(a.text.data, b.text.data, a.text.size_bytes) == 0);
}

static struct eng_state_copy *state_copy_of(const struct state_use *use, pen_dict_key key)
{
    struct eng_states *states = use->states;

    for (uint32_t i = 0; i < states->copy_count; i++) {
        struct eng_state_copy *copy = &states->copies[i];
        if (copy->record && copy->head == use->head && state_keys_equal(copy->key, key))
            return copy;
    }
    return NULL;
}

static void *state_copy_out(pen_context *ctx, const struct state_use *use, pen_dict_key key,
                            char *element)
{
    struct eng_states *states = use->states;
    const void *record = eng_state_record(use->plan, element);
    const struct eng_layout *layout = use->plan->element;
    uint64_t bytes = record ? eng_record_bytes(layout, record) : layout->fixed_bytes;
    char *copy = eng_keep_copy(&ctx->keep, record, bytes);

    if (!copy) {
        eng_context_fail(ctx, "it changes too much with texts in one call: more than %u MiB",
                         (unsigned)(ctx->keep.capacity_bytes >> 20));
        return state_nothing(ctx, layout->schema);
    }
    if (states->copy_count == states->copy_room) {
        states->copy_room = states->copy_room ? 2 * states->copy_room : 8;
        states->copies = realloc(states->copies, states->copy_room * sizeof *states->copies);
        CHECK(states->copies != NULL);
    }
    if (key.text.data) key.text.data = pen_cstr_of_view(ctx, key.text);
    states->copies[states->copy_count++] =
        (struct eng_state_copy){.plan = use->plan, .head = use->head, .key = key, .record = copy};
    return copy;
}

static void state_copy_back(pen_context *ctx, const struct eng_state_copy *copy)
{
    struct state_use use = {ctx->states, copy->plan, copy->head};
    struct eng_dict_key key = state_dict_key(copy->key);
    const struct eng_layout *layout = copy->plan->element;
    uint32_t bytes = eng_record_bytes(layout, copy->record);
    char *element = state_make_element(ctx, &use, &key);

    if (!element) return;
    void *record = bytes ? eng_state_make_room(ctx->states, copy->plan, element, bytes) : NULL;
    if (bytes == 0)
        eng_context_fail(ctx, "an element of the state %s has more than %u bytes",
                         copy->plan->state->name, ENG_RECORD_BYTES_MAX);
    else if (!record)
        state_refused(ctx, &use);
    else
        CHECK(eng_record_copy(layout, record, bytes, copy->record) == bytes);
}

void eng_states_settle(pen_context *ctx)
{
    struct eng_states *states = ctx->states;

    for (uint32_t i = 0; i < states->copy_count && !ctx->worker->failed; i++)
        if (states->copies[i].record && !ctx->forget) state_copy_back(ctx, &states->copies[i]);
    states->copy_count = 0;
    states->walked = NULL;
}

/* ---- Values and dicts ------------------------------------------------------------------------ */

static bool state_is_list(pen_context *ctx, const struct state_use *use)
{
    if (use->plan->state->shape != PEN_SHAPE_LIST) return false;
    eng_context_fail(ctx, "it uses the list %s as a value or a dict", use->plan->state->name);
    return true;
}

void *pen_dict_find(pen_context *ctx, struct pen_state *state, const struct pen_schema *schema,
                    pen_dict_key key, bool create)
{
    struct eng_dict_key inner = state_dict_key(key);
    struct state_use use;

    if (!state_open(ctx, state, schema, create, &use) || state_is_list(ctx, &use))
        return create ? state_nothing(ctx, schema) : NULL;
    struct eng_state_copy *copy = state_copy_of(&use, key);
    if (copy) return copy->record;
    char *element =
        create ? state_make_element(ctx, &use, &inner) : state_find_element(ctx, &use, &inner);
    if (!element) return create ? state_nothing(ctx, schema) : NULL;
    if (state->ttl > 0) state_renew(ctx, &use, eng_state_stamp(element), create);
    if (create && use.plan->element->text_count > 0) return state_copy_out(ctx, &use, key, element);
    void *record = eng_state_record(use.plan, element);
    if (record) return record;
    record = eng_state_make_room(use.states, use.plan, element, use.plan->element->fixed_bytes);
    if (record) {
        memset(record, 0, use.plan->element->fixed_bytes);
        return record;
    }
    state_refused(ctx, &use);
    return create ? state_nothing(ctx, schema) : NULL;
}

void pen_dict_set_record(pen_context *ctx, struct pen_state *state, const struct pen_schema *schema,
                         pen_dict_key key, const void *record)
{
    struct eng_dict_key inner = state_dict_key(key);
    struct state_use use;

    if (!state_open(ctx, state, schema, true, &use) || state_is_list(ctx, &use)) return;
    uint32_t bytes = eng_context_laid_bytes(ctx, use.plan->element, record);
    if (bytes == 0) return;
    /* It may be an element of this state: put it together before anything moves. */
    char *laid = eng_context_text(ctx, bytes);
    if (!eng_context_lay_at(ctx, use.plan->element, record, laid)) return;
    struct eng_state_copy *copy = state_copy_of(&use, key);
    if (copy) copy->record = NULL;
    char *element = state_make_element(ctx, &use, &inner);
    if (!element) return;
    void *at = eng_state_make_room(use.states, use.plan, element, bytes);
    if (at)
        memcpy(at, laid, bytes);
    else
        state_refused(ctx, &use);
}

void pen_dict_remove(pen_context *ctx, struct pen_state *state, pen_dict_key key)
{
    struct eng_dict_key inner = state_dict_key(key);
    struct state_use use;

    if (!state_open(ctx, state, NULL, true, &use) || state_is_list(ctx, &use)) return;
    struct eng_state_copy *copy = state_copy_of(&use, key);
    if (copy) copy->record = NULL;
    char *element = state_find_element(ctx, &use, &inner);
    if (element) state_remove_element(&use, element, &inner);
}

/* ---- Lists ----------------------------------------------------------------------------------- */

void pen_list_append_record(pen_context *ctx, struct pen_state *state,
                            const struct pen_schema *schema, const void *record)
{
    struct state_use use;
    void *at;

    if (!state_open(ctx, state, schema, true, &use)) return;
    if (state->shape != PEN_SHAPE_LIST) {
        eng_context_fail(ctx, "it appends to the state %s, which is no list", state->name);
        return;
    }
    uint32_t bytes = eng_context_laid_bytes(ctx, use.plan->element, record);
    if (bytes == 0) return;
    struct eng_list *list = eng_state_list(use.head);
    uint64_t before = eng_list_bytes(list);
    bool done = state->ttl > 0 ? eng_list_append_stamped(use.states->arena, list, NULL, bytes,
                                                         eng_states_now(ctx, state->ttl_clock), &at)
                               : eng_list_append(use.states->arena, list, NULL, bytes, &at);
    if (!done) {
        state_refused(ctx, &use);
        return;
    }
    use.states->owned_bytes += eng_list_bytes(list) - before;
    eng_context_lay_at(ctx, use.plan->element, record, at);
}

static const void *state_next_in_list(pen_context *ctx, const struct state_use *use,
                                      const void *previous)
{
    struct eng_list *list = eng_state_list(use->head);
    void *element = use->states->removed && previous == use->states->removed
                        ? use->states->removed_next
                        : eng_list_next(list, previous, NULL);

    use->states->removed = NULL;
    while (element && use->plan->state->ttl > 0 &&
           state_is_over(ctx, use, *eng_list_stamp(element))) {
        uint64_t before = eng_list_bytes(list);
        element = eng_list_remove(use->states->arena, list, element);
        use->states->owned_bytes -= before - eng_list_bytes(list);
    }
    if (element && use->plan->state->ttl > 0) state_renew(ctx, use, eng_list_stamp(element), false);
    return element;
}

/* ---- Walking --------------------------------------------------------------------------------- */

/* The element of a value or a dict whose record the user has; NULL: none of this state. */
static char *state_element_of(const struct state_use *use, const void *record)
{
    struct eng_states *states = use->states;
    struct eng_dict *dict = eng_state_dict(use->head);
    struct eng_dict_walk walk = {0};
    char *element;

    if (state_is_value(use)) return *eng_state_present(use->head) ? use->head + 8 : NULL;
    for (uint32_t i = 0; i < states->copy_count; i++) {
        struct eng_dict_key key = state_dict_key(states->copies[i].key);
        if (states->copies[i].record == record && states->copies[i].head == use->head)
            return eng_dict_find(dict, &key);
    }
    if (use->plan->is_inline) return (char *)(uintptr_t)record - use->plan->record_offset;
    if (states->walked == dict && states->walked_record == record) return states->walked_element;
    while ((element = eng_dict_next(dict, &walk)) != NULL)
        if (eng_state_record(use->plan, element) == record) return element;
    return NULL;
}

/* What is over goes before a walk begins: inside it nothing moves. */
static const void *state_next_in_dict(const struct state_use *use, const void *previous)
{
    struct eng_states *states = use->states;
    struct eng_dict *dict = eng_state_dict(use->head);
    struct eng_dict_walk walk = {0};

    if (previous) {
        if (states->walked == dict && states->walked_record == previous)
            walk = states->walk;
        else
            eng_dict_walk_from(dict, &walk, state_element_of(use, previous));
    }
    char *element = eng_dict_next(dict, &walk);
    states->walked = element ? dict : NULL;
    states->walk = walk;
    states->walked_element = element;
    states->walked_record = element ? eng_state_record(use->plan, element) : NULL;
    return states->walked_record;
}

const void *pen_state_next(pen_context *ctx, struct pen_state *state,
                           const struct pen_schema *schema, const void *previous)
{
    struct state_use use;

    if (!state_open(ctx, state, schema, false, &use)) return NULL;
    if (state->shape == PEN_SHAPE_LIST) return state_next_in_list(ctx, &use, previous);
    if (use.states->copy_count > 0) eng_states_settle(ctx); /* what it changed is to be seen */
    if (!previous && state->ttl > 0)
        eng_state_sweep(use.states, use.plan, use.head, eng_states_now(ctx, state->ttl_clock));
    if (state_is_value(&use))
        return previous || !*eng_state_present(use.head) ? NULL
                                                         : eng_state_record(use.plan, use.head + 8);
    return state_next_in_dict(&use, previous);
}

uint64_t pen_state_count(pen_context *ctx, struct pen_state *state)
{
    struct state_use use;

    if (!state_open(ctx, state, NULL, false, &use)) return 0;
    if (state->ttl > 0)
        eng_state_sweep(use.states, use.plan, use.head, eng_states_now(ctx, state->ttl_clock));
    if (state->shape == PEN_SHAPE_LIST) return eng_list_count(eng_state_list(use.head));
    if (state->shape == PEN_SHAPE_DICT) return eng_dict_count(eng_state_dict(use.head));
    return *eng_state_present(use.head);
}

void pen_state_remove(pen_context *ctx, struct pen_state *state, const void *record)
{
    struct state_use use;

    if (!state_open(ctx, state, NULL, true, &use) || !record) return;
    struct eng_list *list = eng_state_list(use.head);
    if (state->shape == PEN_SHAPE_LIST) {
        uint64_t before = eng_list_bytes(list);
        use.states->removed_next =
            eng_list_remove(use.states->arena, list, (void *)(uintptr_t)record);
        use.states->removed = record; /* a walk may stand there */
        use.states->owned_bytes -= before - eng_list_bytes(list);
        return;
    }
    char *element = state_element_of(&use, record);
    if (!element) {
        eng_context_fail(ctx, "it removes what is no element of the state %s", state->name);
        return;
    }
    struct eng_dict_key key = {0};
    if (!state_is_value(&use)) key = eng_dict_key_of(eng_state_dict(use.head), element);
    for (uint32_t i = 0; i < use.states->copy_count; i++)
        if (use.states->copies[i].record == record) use.states->copies[i].record = NULL;
    state_remove_element(&use, element, &key);
}

void pen_state_clear(pen_context *ctx, struct pen_state *state)
{
    struct state_use use;

    if (state_open(ctx, state, NULL, true, &use)) eng_state_clear(use.states, use.plan, use.head);
}

pen_dict_key pen_dict_key_of(pen_context *ctx, struct pen_state *state, const void *record)
{
    struct state_use use;

    if (!state_open(ctx, state, NULL, false, &use) || state_is_list(ctx, &use)) return pen_int(0);
    if (state_is_value(&use)) return pen_int(0);
    char *element = state_element_of(&use, record);
    if (!element) {
        eng_context_fail(ctx, "it asks for the key of what is no element of the state %s",
                         state->name);
        return pen_int(0);
    }
    struct eng_dict_key key = eng_dict_key_of(eng_state_dict(use.head), element);
    if (!key.bytes) return pen_int(key.number);
    return (pen_dict_key){0, pen_view_sized(key.bytes, key.size_bytes)};
}
