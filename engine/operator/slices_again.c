/* Late records that are allowed. A batch with some of them is taken in runs: first the rows that
 * late records of the run touch are computed as they are, one for each key and window that has
 * fired, then the run is added, then the rows are computed again and those that differ are emitted.
 * So the changes of a run are one row a key and window, and nothing needs to be kept of a row that
 * was given. */
#include <stdlib.h>
#include <string.h>

#include "engine/operator/slices.h"

enum { AGAIN_CHANGES_MAX = 1024 }; /* a run ends when it has so many; one record may have more */

bool eng_slices_again_window(const pen_context *ctx, const struct eng_window *slice,
                             int64_t after_us, struct eng_window *window)
{
    const struct slices_plan *plan = eng_slices_plan(ctx);
    int64_t now_us = ctx->watermark_us;
    int64_t open_us = eng_time_add(eng_time_add(now_us, 1), -plan->lateness_us);

    if (after_us < open_us) after_us = open_us;
    return eng_window_span_next(&plan->span, slice, after_us, window) &&
           eng_window_last(window) <= now_us;
}

void eng_slices_again_close(struct slices_again *again)
{
    if (!again) return;
    free(again->changes);
    free(again->index);
    free(again->rows);
    free(again);
}

/* The row of a key and window as the slices have it. False: failed. *record NULL: there is none. */
static bool again_row(pen_context *ctx, const struct slices_change *change, const void **record,
                      uint32_t *bytes)
{
    const struct slices_plan *plan = eng_slices_plan(ctx);
    struct slices *self = ctx->self;
    void *found = NULL, *entry;
    bool merged = false, good = true;
    uint32_t at;

    *record = NULL;
    eng_slices_find(self, change->window.from_us, &at);
    for (; at < self->count && self->slices[at].span.from_us < change->window.to_us; at++) {
        const struct eng_table *table = self->slices[at].table;
        eng_table_find(table, 1, &change->hash, &change->image,
                       eng_table_key_bytes(table) > 0 ? NULL : &change->image_bytes, &entry);
        if (!entry) continue;
        if (!found) {
            found = entry;
            continue;
        }
        if (!merged) {
            memset(self->scratch, 0, plan->entry_bytes);
            merged = true;
            good = eng_slices_merge(ctx, self->scratch, found);
            found = self->scratch;
        }
        good = good && eng_slices_merge(ctx, self->scratch, entry);
        if (!good) break;
    }
    if (good && found && eng_slices_has_rows(plan, found)) {
        *record = eng_slices_result(ctx, change->image, found, &change->window, bytes);
        good = *record != NULL;
    }
    if (merged) eng_slices_free(ctx, self->scratch);
    return good;
}

/* ---- The changes of a run -------------------------------------------------------------------- */

static uint32_t again_place(const struct slices_again *again, const struct slices_change *change)
{
    uint64_t mixed = change->hash ^ (uint64_t)change->window.to_us * 0x9e3779b97f4a7c15u;

    return (uint32_t)(mixed >> 32) & (again->index_room - 1);
}

static bool again_is_same(const struct slices_change *a, const struct slices_change *b)
{
    return a->hash == b->hash && a->window.to_us == b->window.to_us &&
           a->window.from_us == b->window.from_us && a->image_bytes == b->image_bytes &&
           memcmp(a->image, b->image, a->image_bytes) == 0;
}

/* Room for one more, and an index that is at most half full. */
static void again_grow(struct slices_again *again)
{
    if (again->count < again->room) return;
    again->room = again->room ? 2 * again->room : 64;
    again->changes = realloc(again->changes, again->room * sizeof *again->changes);
    again->index_room = 2 * again->room;
    free(again->index);
    again->index = calloc(again->index_room, sizeof *again->index);
    CHECK(again->changes != NULL);
    CHECK(again->index != NULL);
    for (uint32_t i = 0; i < again->count; i++) {
        uint32_t place = again_place(again, &again->changes[i]);
        while (again->index[place])
            place = (place + 1) & (again->index_room - 1);
        again->index[place] = i + 1;
    }
}

static void again_keep_row(struct slices_again *again, struct slices_change *change,
                           const void *record, uint32_t bytes)
{
    if (again->rows_bytes + bytes > again->rows_room) {
        again->rows_room = 2 * (again->rows_bytes + bytes);
        again->rows = realloc(again->rows, again->rows_room);
        CHECK(again->rows != NULL);
    }
    change->old_at = again->rows_bytes;
    change->old_bytes = bytes;
    memcpy(again->rows + again->rows_bytes, record, bytes);
    again->rows_bytes += bytes;
}

/* A key and a window are about to change. False: failed. */
static bool again_note(pen_context *ctx, struct slices_change *change)
{
    struct slices *self = ctx->self;
    struct slices_again *again = self->again;
    const void *record;
    uint32_t bytes;

    again_grow(again);
    uint32_t place = again_place(again, change);
    for (; again->index[place]; place = (place + 1) & (again->index_room - 1))
        if (again_is_same(&again->changes[again->index[place] - 1], change)) return true;
    if (!again_row(ctx, change, &record, &bytes)) return false;
    change->old_bytes = 0;
    if (record) again_keep_row(again, change, record, bytes);
    again->changes[again->count++] = *change;
    again->index[place] = again->count;
    return true;
}

static bool again_note_record(pen_context *ctx, const struct eng_batch *batch, uint32_t i)
{
    struct slices *self = ctx->self;
    struct slices_change change = {
        .hash = batch->hashes[i],
        .image = self->images[i],
        .image_bytes = self->image_sizes[i],
    };
    int64_t after_us = INT64_MIN;
    uint32_t at;
    const struct slices_slice *slice = eng_slices_find(self, batch->times_us[i], &at);

    CHECK(slice != NULL);
    while (eng_slices_again_window(ctx, &slice->span, after_us, &change.window)) {
        if (!again_note(ctx, &change)) return false;
        after_us = change.window.to_us;
    }
    return true;
}

/* What has become of one row: nothing, a new one, another one, or none. */
static void again_tell(pen_context *ctx, const struct slices_change *change)
{
    const struct pen_aggregation *options = ctx->node->options;
    struct slices *self = ctx->self;
    const char *old = change->old_bytes > 0 ? self->again->rows + change->old_at : NULL;
    const struct eng_window *window = &change->window;
    const void *new;
    uint32_t bytes = 0;

    if (!again_row(ctx, change, &new, &bytes)) return;
    if (old && new && change->old_bytes == bytes && memcmp(old, new, bytes) == 0) return;
    if (old && new && !options->no_before) eng_slices_emit(ctx, PEN_UPDATE_BEFORE, old, window);
    if (old && !new) eng_slices_emit(ctx, PEN_DELETE, old, window);
    if (new) eng_slices_emit(ctx, old ? PEN_UPDATE_AFTER : PEN_INSERT, new, window);
}

/* ---- The batch ------------------------------------------------------------------------------- */

bool eng_slices_again(pen_context *ctx, const struct eng_batch *batch, struct eng_table **tables,
                      const bool *late)
{
    struct slices *self = ctx->self;
    struct slices_again *again = self->again;
    uint32_t from = 0, to = 0;

    for (; from < batch->count; from = to) {
        again->count = 0;
        again->rows_bytes = 0;
        if (again->index_room > 0)
            memset(again->index, 0, again->index_room * sizeof *again->index);
        for (; to < batch->count && again->count < AGAIN_CHANGES_MAX; to++)
            if (late[to] && tables[to] && !again_note_record(ctx, batch, to)) return false;
        if (!eng_slices_add(ctx, batch, tables, from, to)) return false;
        eng_slices_begin_results(ctx);
        for (uint32_t c = 0; c < again->count && !eng_context_has_failed(ctx); c++)
            again_tell(ctx, &again->changes[c]);
        eng_slices_end_results(ctx);
        if (eng_context_has_failed(ctx)) return false;
    }
    return true;
}
