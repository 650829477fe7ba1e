#include "engine/operator/splits.h"

#include <stdlib.h>

#include "engine/flow/worker.h"
#include "engine/operator/event_time.h"
#include "engine/operator/operators.h"

enum {
    SPLITS_WAIT_NS = 1000 * 1000, /* whoever is ahead looks again */
    SPLITS_OPEN_MAX = 256,        /* of one subtask: each may cost a file and a buffer */
};

static struct eng_splits *splits_of(const pen_context *source)
{
    CHECK(source->class == &eng_source_class || source->class == &eng_generate_class);
    return source->self;
}

/* ---- What the source says -------------------------------------------------------------------- */

void eng_splits_open(pen_context *source)
{
    struct eng_splits *splits = splits_of(source);

    CHECK(splits->slot_count == 0);
    splits->current = ENG_SPLIT_NONE;
}

void eng_splits_close(pen_context *source)
{
    struct eng_splits *splits = splits_of(source);

    free(splits->watchers);
    free(splits->taken);
    splits->watcher_count = splits->slot_count = 0;
}

uint32_t eng_splits_begin(pen_context *source)
{
    struct eng_splits *splits = splits_of(source);
    uint32_t slot = 0;

    CHECK(splits->current == ENG_SPLIT_NONE);
    while (slot < splits->slot_count && splits->taken[slot])
        slot++;
    if (slot == splits->slot_count) {
        splits->taken = realloc(splits->taken, ++splits->slot_count * sizeof *splits->taken);
        CHECK(splits->taken != NULL);
    }
    splits->taken[slot] = true;
    for (uint32_t i = 0; i < splits->watcher_count; i++)
        eng_event_time_begin(splits->watchers[i], slot);
    return slot;
}

void eng_splits_end(pen_context *source, uint32_t slot)
{
    struct eng_splits *splits = splits_of(source);

    CHECK(splits->current == ENG_SPLIT_NONE);
    CHECK(slot < splits->slot_count);
    CHECK(splits->taken[slot]);
    splits->taken[slot] = false;
    for (uint32_t i = 0; i < splits->watcher_count; i++)
        eng_event_time_end(splits->watchers[i], slot);
}

void eng_splits_enter(pen_context *source, uint32_t slot)
{
    struct eng_splits *splits = splits_of(source);

    CHECK(splits->current == ENG_SPLIT_NONE);
    CHECK(slot < splits->slot_count);
    CHECK(splits->taken[slot]);
    splits->current = slot;
}

void eng_splits_leave(pen_context *source)
{
    struct eng_splits *splits = splits_of(source);
    uint32_t slot = splits->current;

    CHECK(slot != ENG_SPLIT_NONE);
    splits->current = ENG_SPLIT_NONE;
    for (uint32_t i = 0; i < splits->watcher_count; i++)
        eng_event_time_asked(splits->watchers[i], slot);
}

bool eng_splits_must_wait(pen_context *source, uint32_t slot)
{
    struct eng_splits *splits = splits_of(source);

    for (uint32_t i = 0; i < splits->watcher_count; i++) {
        if (!eng_event_time_must_wait(splits->watchers[i], slot)) continue;
        eng_worker_wake_at(source->worker, source->worker->now_ns + SPLITS_WAIT_NS);
        return true;
    }
    return false;
}

/* An even share, so that all splits are being read soon, whichever subtask is quick to claim. */
uint32_t eng_splits_side_by_side(const pen_context *source)
{
    const struct eng_splits *splits = splits_of(source);
    bool overlap = false;

    for (uint32_t i = 0; i < splits->watcher_count; i++)
        overlap |= eng_event_time_splits_overlap(splits->watchers[i]->node);
    if (!overlap) return 0;
    uint32_t share = (source->node->split_count + source->parallelism - 1) / source->parallelism;
    return share < SPLITS_OPEN_MAX ? share : SPLITS_OPEN_MAX;
}

/* ---- Who watches ----------------------------------------------------------------------------- */

bool eng_splits_pass(const struct eng_class *class)
{
    return class == &eng_map_class || class == &eng_filter_class || class == &eng_project_class ||
           class == &eng_pass_class || class == &eng_event_time_class;
}

static pen_context *splits_context(const struct eng_chain *chain, uint32_t node)
{
    for (uint32_t i = 0; i < chain->context_count; i++)
        if (chain->contexts[i] && chain->contexts[i]->node->number == node)
            return chain->contexts[i];
    return NULL;
}

pen_context *eng_splits_before(pen_context *watcher)
{
    pen_context *at = watcher;

    CHECK(watcher->class == &eng_event_time_class);
    if (!watcher->chain->is_source) return NULL;
    while (at != watcher->chain->contexts[0]) {
        if (!eng_splits_pass(at->class)) return NULL;
        CHECK(at->node->input_count == 1);
        at = splits_context(watcher->chain, at->node->inputs[0].from_node);
        CHECK(at != NULL);
    }
    struct eng_splits *splits = splits_of(at);
    splits->watchers = realloc(splits->watchers, (splits->watcher_count + 1) * sizeof(void *));
    CHECK(splits->watchers != NULL);
    splits->watchers[splits->watcher_count++] = watcher;
    return at;
}

uint32_t eng_splits_current(const pen_context *source)
{
    return splits_of(source)->current;
}

bool eng_splits_all_claimed(const pen_context *source)
{
    uint64_t claimed = shm_load_own(eng_board_claim(source->worker->board, source->node->claim));
    return claimed >= source->node->split_count;
}
