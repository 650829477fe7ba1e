/* What is over and nobody asks for: a walk over the table, a segment a turn.
 *
 * A sweep begins when a quarter of the shortest time to live has passed since the last one began,
 * so what is over leaves memory after a quarter more than its time, and the time a sweep takes.
 * Reading never sees it: whoever meets it before treats it as gone. A segment has some hundred
 * keys; what one key has in lists and dicts is looked through in one go. */
#include <stdlib.h>
#include <string.h>

#include "engine/operator/process.h"

enum {
    SWEEP_KEYS_MAX = 512, /* removed in one turn */
};

struct sweep_dead {
    uint64_t hash;
    uint64_t offset; /* of the key's copy */
    uint32_t key_bytes;
};

/* Begins a sweep when it is time. */
static bool sweep_begin(pen_context *ctx)
{
    const struct process_plan *plan = ctx->node->compiled;
    struct process *self = ctx->self;
    pen_duration pause_us = plan->sweep_ttl_us / 4;
    int64_t now_us = eng_states_now(ctx, plan->sweep_clock);

    if (now_us <= ENG_WATERMARK_NONE) return false; /* no event time yet */
    if (self->swept_us != INT64_MIN && !eng_states_is_over(self->swept_us, pause_us + 1, now_us)) {
        if (plan->sweep_clock == PEN_CLOCK_TIME)
            eng_worker_wake_at_wall(ctx->worker, self->swept_us + pause_us + 1);
        return false;
    }
    self->swept_us = now_us;
    self->sweep = (struct eng_table_cursor){0};
    self->sweeping = true;
    return true;
}

static void sweep_note(struct process *self, struct sweep_dead *dead, const void *key,
                       uint64_t *used)
{
    if (*used + dead->key_bytes > self->keys_room) {
        self->keys_room = 2 * (*used + dead->key_bytes);
        self->keys = realloc(self->keys, self->keys_room);
        CHECK(self->keys != NULL);
    }
    if (dead->key_bytes > 0) memcpy(self->keys + *used, key, dead->key_bytes);
    dead->offset = *used;
    *used += (dead->key_bytes + 7) & ~7u;
}

/* Nothing is left of the key that a later record could tell from a key never seen. */
static bool sweep_is_empty(pen_context *ctx, char *entry)
{
    const struct process_plan *plan = ctx->node->compiled;
    struct process *self = ctx->self;

    if (!ctx->states || plan->ttl_us > 0) return false;
    if (plan->has_timers && eng_timers_count(eng_key_timers_of(&self->timers, entry)) > 0)
        return false;
    if (!eng_states_are_empty(ctx->states, entry + plan->heads_offset)) return false;
    uint32_t argument_bytes =
        plan->has_texts ? sizeof(struct eng_state_blob) : plan->state.fixed_bytes;
    for (uint32_t i = 0; i < argument_bytes; i += 8) {
        uint64_t word;
        memcpy(&word, entry + i, 8);
        if (word != 0) return false;
    }
    return true;
}

unsigned eng_process_sweep(pen_context *ctx)
{
    const struct process_plan *plan = ctx->node->compiled;
    struct process *self = ctx->self;
    struct sweep_dead dead[SWEEP_KEYS_MAX];
    struct eng_table_walk walk;
    struct eng_table_cursor before = self->sweep;
    uint32_t dead_count = 0, key_bytes;
    uint64_t hash, used = 0;
    const void *key;
    void *entry;
    unsigned looked = 0;

    if (!self->sweeping && !sweep_begin(ctx)) return 0;
    if (!eng_table_walk_step(&walk, self->keyed.table, &self->sweep)) {
        self->sweeping = false;
        return 1;
    }
    int64_t now_us = plan->ttl_us > 0 ? eng_states_now(ctx, plan->ttl_clock) : 0;
    while (eng_table_walk_next(&walk, &hash, &key, &key_bytes, &entry)) {
        looked++;
        bool is_dead = plan->ttl_us > 0 && process_is_over(plan, entry, now_us);
        if (!is_dead && ctx->states && ctx->states->plan->expires) {
            eng_states_sweep(ctx, (char *)entry + plan->heads_offset);
            is_dead = sweep_is_empty(ctx, entry);
        }
        if (is_dead) {
            struct sweep_dead *one = &dead[dead_count++];
            *one = (struct sweep_dead){.hash = hash, .key_bytes = key_bytes};
            sweep_note(self, one, key, &used);
        }
        if (dead_count < SWEEP_KEYS_MAX) continue;
        self->sweep = before; /* the same segment again: it has less by then */
        break;
    }
    for (uint32_t i = 0; i < dead_count; i++) {
        const void *dead_key = self->keys + dead[i].offset;
        uint32_t size_bytes = dead[i].key_bytes;
        eng_table_find_writable(self->keyed.table, 1, &dead[i].hash, &dead_key, &size_bytes,
                                &entry);
        CHECK(entry != NULL);
        eng_process_empty(ctx, entry);
        CHECK(eng_table_remove(self->keyed.table, dead[i].hash, dead_key, size_bytes));
    }
    return looked + 1;
}
