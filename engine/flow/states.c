#include "engine/flow/states.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/context.h"
#include "engine/flow/states_inside.h"
#include "engine/flow/worker.h"

/* What is larger is a blob: entries and dicts stay small. */
enum { STATES_INLINE_BYTES_MAX = 256 };

/* ---- Compiling ------------------------------------------------------------------------------- */

static void states_lay_out(struct eng_states_plan *plan, struct eng_state_plan *to)
{
    const struct pen_state *state = to->state;
    bool has_texts = to->element->text_count > 0;

    to->of_key = state->scope == PEN_SCOPE_KEY;
    to->is_inline = !has_texts && to->element->fixed_bytes <= STATES_INLINE_BYTES_MAX;
    to->record_offset = state->ttl > 0 ? 8 : 0;
    to->element_bytes =
        to->record_offset +
        (to->is_inline ? to->element->fixed_bytes : (uint32_t)sizeof(struct eng_state_blob));
    to->head_bytes = state->shape == PEN_SHAPE_VALUE  ? 8 + to->element_bytes
                     : state->shape == PEN_SHAPE_LIST ? (uint32_t)sizeof(struct eng_list)
                                                      : (uint32_t)sizeof(struct eng_dict);
    uint32_t *bytes = to->of_key ? &plan->key_bytes : &plan->subtask_bytes;
    to->head_offset = *bytes;
    *bytes += to->head_bytes;
    plan->settles |= has_texts && state->shape != PEN_SHAPE_LIST;
    plan->expires |= to->of_key && state->ttl > 0;
}

/* What the operator cannot have: NULL, or why. */
static const char *states_refuse(const struct pen_state *state, bool has_key)
{
    bool is_dict = state->shape == PEN_SHAPE_DICT;

    switch (state->scope) {
    case PEN_SCOPE_KEY:
        if (!has_key) return "belongs to a key, and the operator has none: key the stream";
        break;
    case PEN_SCOPE_SUBTASK:
    case PEN_SCOPE_UNION:
        if (state->shape != PEN_SHAPE_LIST) return "belongs to the subtask and must be a list";
        break;
    case PEN_SCOPE_BROADCAST:
        if (!is_dict) return "is broadcast and must be a dict";
        break;
    default:
        return "has no scope: declare it with PEN_KEYED_VALUE and its kin";
    }
    if (state->shape < PEN_SHAPE_VALUE || state->shape > PEN_SHAPE_DICT)
        return "has no shape: declare it with PEN_KEYED_VALUE and its kin";
    if (state->ttl < 0) return "has a .ttl below zero";
    if (state->ttl > 0 && state->scope != PEN_SCOPE_KEY)
        return "has a .ttl, and only states of a key may have one";
    return NULL;
}

bool eng_states_plan_open(struct eng_states_plan *plan, struct pen_state *const *uses,
                          const struct eng_layout *const *elements, bool has_key,
                          void *(*new)(void *owner, size_t size_bytes), void *owner, char *reason,
                          size_t reason_bytes)
{
    uint32_t count = 0;

    while (uses[count])
        count++;
    *plan = (struct eng_states_plan){.count = count};
    plan->states = new (owner, count * sizeof *plan->states);
    for (uint32_t i = 0; i < count; i++) {
        const char *refused = states_refuse(uses[i], has_key);
        if (refused) {
            snprintf(reason, reason_bytes, "the state %s %s", uses[i]->name, refused);
            return false;
        }
        plan->states[i] = (struct eng_state_plan){.state = uses[i], .element = elements[i]};
        states_lay_out(plan, &plan->states[i]);
    }
    return true;
}

/* ---- A subtask's ----------------------------------------------------------------------------- */

void eng_states_open(pen_context *ctx, const struct eng_states_plan *plan)
{
    struct eng_states *states = calloc(1, sizeof *states);

    CHECK(states != NULL);
    *states = (struct eng_states){.plan = plan, .arena = ctx->worker->arena};
    states->subtask_heads = calloc(1, plan->subtask_bytes ? plan->subtask_bytes : 1);
    CHECK(states->subtask_heads != NULL);
    ctx->states = states;
}

void eng_states_close(pen_context *ctx)
{
    struct eng_states *states = ctx->states;

    if (!states) return;
    for (uint32_t i = 0; i < states->plan->count; i++) {
        struct eng_state_plan *plan = &states->plan->states[i];
        if (!plan->of_key) eng_state_clear(states, plan, states->subtask_heads + plan->head_offset);
    }
    free(states->subtask_heads);
    free(states->copies);
    free(states);
    ctx->states = NULL;
}

int64_t eng_states_now(const pen_context *ctx, enum pen_clock_kind clock)
{
    if (clock == PEN_CLOCK_TIME) return eng_worker_wall_us(ctx->worker);
    int64_t now_us = ctx->watermark_us;
    if (ctx->batch && ctx->batch->times_us && ctx->batch->times_us[ctx->room.current] > now_us)
        now_us = ctx->batch->times_us[ctx->room.current];
    return now_us;
}

void eng_states_call(pen_context *ctx, const struct pen_function *function,
                     const struct eng_batch *batch)
{
    if (!ctx->states || !ctx->states->plan->settles) {
        eng_context_call(ctx, function, batch, NULL, NULL);
        return;
    }
    for (uint32_t i = 0; i < batch->count && !ctx->worker->failed; i++) {
        struct eng_batch one = eng_batch_part(batch, i);
        one.count = 1;
        ctx->keep.used_bytes = 0;
        eng_context_call(ctx, function, &one, NULL, NULL);
        if (!ctx->worker->failed) eng_states_settle(ctx);
    }
}

/* ---- Elements -------------------------------------------------------------------------------- */

static struct eng_state_blob *state_blob(const struct eng_state_plan *plan, char *element)
{
    return (struct eng_state_blob *)(void *)(element + plan->record_offset);
}

void eng_state_free_element(struct eng_states *states, const struct eng_state_plan *plan,
                            char *element)
{
    if (plan->is_inline) return;
    struct eng_state_blob *blob = state_blob(plan, element);
    if (!blob->record) return;
    eng_arena_blob_free(states->arena, blob->record, blob->size_bytes);
    states->owned_bytes -= eng_arena_blob_bytes(blob->size_bytes);
    *blob = (struct eng_state_blob){0};
}

void *eng_state_record(const struct eng_state_plan *plan, char *element)
{
    return plan->is_inline ? element + plan->record_offset : state_blob(plan, element)->record;
}

void *eng_state_make_room(struct eng_states *states, const struct eng_state_plan *plan,
                          char *element, uint64_t size_bytes)
{
    if (plan->is_inline) return element + plan->record_offset;
    struct eng_state_blob *blob = state_blob(plan, element);
    if (blob->record && blob->size_bytes == size_bytes) return blob->record;
    void *record = eng_arena_blob(states->arena, size_bytes);
    if (!record) return NULL;
    eng_state_free_element(states, plan, element);
    states->owned_bytes += eng_arena_blob_bytes(size_bytes);
    *blob = (struct eng_state_blob){record, size_bytes};
    return record;
}

/* ---- Whole states ---------------------------------------------------------------------------- */

static void state_clear_dict(struct eng_states *states, const struct eng_state_plan *plan,
                             struct eng_dict *dict)
{
    struct eng_dict_walk walk = {0};
    char *element;

    while (!plan->is_inline && (element = eng_dict_next(dict, &walk)) != NULL)
        eng_state_free_element(states, plan, element);
    states->owned_bytes -= eng_dict_bytes(dict);
    eng_dict_clear(states->arena, dict);
}

void eng_state_clear(struct eng_states *states, const struct eng_state_plan *plan, char *head)
{
    switch (plan->state->shape) {
    case PEN_SHAPE_VALUE:
        eng_state_free_element(states, plan, head + 8);
        memset(head, 0, plan->head_bytes);
        break;
    case PEN_SHAPE_LIST:
        states->owned_bytes -= eng_list_bytes(eng_state_list(head));
        eng_list_clear(states->arena, eng_state_list(head));
        break;
    case PEN_SHAPE_DICT:
        state_clear_dict(states, plan, eng_state_dict(head));
        break;
    }
    for (uint32_t i = 0; i < states->copy_count; i++)
        if (states->copies[i].head == head) states->copies[i].record = NULL;
    if (states->walked == eng_state_dict(head)) states->walked = NULL;
}

void eng_states_forget(pen_context *ctx, char *heads)
{
    struct eng_states *states = ctx->states;

    for (uint32_t i = 0; i < states->plan->count; i++) {
        struct eng_state_plan *plan = &states->plan->states[i];
        if (plan->of_key) eng_state_clear(states, plan, heads + plan->head_offset);
    }
}

static uint64_t state_bytes(const struct eng_state_plan *plan, char *head)
{
    struct eng_dict_walk walk = {0};
    uint64_t bytes;
    char *element;

    if (plan->state->shape == PEN_SHAPE_LIST) return eng_list_bytes(eng_state_list(head));
    if (plan->state->shape == PEN_SHAPE_VALUE)
        return plan->is_inline ? 0 : state_blob(plan, head + 8)->size_bytes;
    bytes = eng_dict_bytes(eng_state_dict(head));
    while (!plan->is_inline && (element = eng_dict_next(eng_state_dict(head), &walk)) != NULL)
        bytes += state_blob(plan, element)->size_bytes;
    return bytes;
}

uint64_t eng_states_bytes(const struct eng_states *states, const char *heads)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < states->plan->count; i++) {
        const struct eng_state_plan *plan = &states->plan->states[i];
        if (plan->of_key) bytes += state_bytes(plan, (char *)(uintptr_t)heads + plan->head_offset);
    }
    return bytes;
}

bool eng_states_are_empty(const struct eng_states *states, const char *heads)
{
    for (uint32_t i = 0; i < states->plan->count; i++) {
        const struct eng_state_plan *plan = &states->plan->states[i];
        char *head = (char *)(uintptr_t)heads + plan->head_offset;
        uint64_t present;
        if (!plan->of_key) continue;
        memcpy(&present, head, 8); /* of a value; a list's and a dict's store */
        if (present != 0) return false;
    }
    return true;
}

/* ---- What is over ---------------------------------------------------------------------------- */

static void sweep_list(struct eng_states *states, const struct eng_state_plan *plan,
                       struct eng_list *list, int64_t now_us)
{
    uint64_t before = eng_list_bytes(list);
    void *element = eng_list_next(list, NULL, NULL);

    while (element) {
        if (eng_states_is_over(*eng_list_stamp(element), plan->state->ttl, now_us))
            element = eng_list_remove(states->arena, list, element);
        else if (plan->state->ttl_since == PEN_SINCE_WRITE)
            break; /* those behind it came later */
        else
            element = eng_list_next(list, element, NULL);
    }
    states->owned_bytes -= before - eng_list_bytes(list);
}

static void sweep_dict(struct eng_states *states, const struct eng_state_plan *plan,
                       struct eng_dict *dict, int64_t now_us)
{
    struct eng_dict_walk walk = {0};
    uint64_t before = eng_dict_bytes(dict);
    char *element;

    while ((element = eng_dict_next(dict, &walk)) != NULL) {
        if (!eng_states_is_over(*eng_state_stamp(element), plan->state->ttl, now_us)) continue;
        struct eng_dict_key key = eng_dict_key_of(dict, element);
        eng_state_free_element(states, plan, element);
        CHECK(eng_dict_remove(states->arena, dict, &key));
    }
    states->owned_bytes -= before - eng_dict_bytes(dict);
}

void eng_state_sweep(struct eng_states *states, const struct eng_state_plan *plan, char *head,
                     int64_t now_us)
{
    if (plan->state->shape == PEN_SHAPE_LIST)
        sweep_list(states, plan, eng_state_list(head), now_us);
    else if (plan->state->shape == PEN_SHAPE_DICT)
        sweep_dict(states, plan, eng_state_dict(head), now_us);
    else if (*eng_state_present(head) &&
             eng_states_is_over(*eng_state_stamp(head + 8), plan->state->ttl, now_us))
        eng_state_clear(states, plan, head);
}

void eng_states_sweep(pen_context *ctx, char *heads)
{
    struct eng_states *states = ctx->states;

    for (uint32_t i = 0; i < states->plan->count; i++) {
        const struct eng_state_plan *plan = &states->plan->states[i];
        if (!plan->of_key || plan->state->ttl <= 0) continue;
        eng_state_sweep(states, plan, heads + plan->head_offset,
                        eng_states_now(ctx, plan->state->ttl_clock));
    }
}
