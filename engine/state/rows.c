#include "engine/state/rows.h"

#include <string.h>

#include "shm/check.h"

/* [R1] A chunk has at least one row, and is where the head (one chunk) or the directory says.
 * [R2] range[i].from <= every order in chunk i <= range[i + 1].from, so that equal orders may lie
 * in several chunks, in the order of adding. */

enum { ROWS_DIRECTORY_MIN = 8 };

/* ---- Blobs ----------------------------------------------------------------------------------- */

/* size_bytes is what a blob of that size takes anyway, so that it is what is counted. */
static void *rows_blob(struct eng_rows_memory *memory, uint64_t size_bytes)
{
    void *blob = eng_arena_blob(memory->arena, size_bytes);

    if (blob) memory->bytes += size_bytes;
    return blob;
}

static void rows_blob_free(struct eng_rows_memory *memory, void *blob, uint64_t size_bytes)
{
    CHECK(memory->bytes >= size_bytes);
    memory->bytes -= size_bytes;
    eng_arena_blob_free(memory->arena, blob, size_bytes);
}

/* An empty chunk of at least size_bytes. */
static struct eng_rows_chunk *rows_chunk_new(struct eng_rows_memory *memory, uint64_t size_bytes)
{
    size_bytes = eng_arena_blob_bytes(size_bytes);
    CHECK(size_bytes <= UINT32_MAX);
    struct eng_rows_chunk *chunk = rows_blob(memory, size_bytes);
    if (!chunk) return NULL;
    *chunk = (struct eng_rows_chunk){.size_bytes = (uint32_t)size_bytes};
    return chunk;
}

static void rows_chunk_free(struct eng_rows_memory *memory, struct eng_rows_chunk *chunk)
{
    rows_blob_free(memory, chunk, chunk->size_bytes);
}

static uint32_t rows_round(uint32_t size_bytes)
{
    return (size_bytes + 7) & ~7u;
}

/* What a row takes in a chunk. */
static uint64_t rows_cost(uint32_t size_bytes)
{
    return (uint64_t)rows_round(size_bytes) + sizeof(struct eng_rows_slot);
}

static uint64_t rows_free_bytes(const struct eng_rows_chunk *chunk)
{
    return chunk->size_bytes - sizeof *chunk - chunk->used_bytes -
           (uint64_t)chunk->end * sizeof(struct eng_rows_slot);
}

/* What a chunk would take without what has gone from it. */
static uint64_t rows_live_bytes(const struct eng_rows_chunk *chunk)
{
    return sizeof *chunk + chunk->used_bytes - chunk->gone_bytes +
           (uint64_t)(chunk->end - chunk->first) * sizeof(struct eng_rows_slot);
}

/* Where the bytes of a new row go whose slot is `slot`; there is room. */
static void *rows_chunk_put(struct eng_rows_chunk *chunk, uint32_t slot, int64_t order,
                            uint32_t size_bytes)
{
    CHECK(rows_free_bytes(chunk) >= rows_cost(size_bytes));
    struct eng_rows_slot *at = eng_rows_slot(chunk, slot);
    memmove(at + 1, at, (size_t)(chunk->end - slot) * sizeof *at);
    chunk->used_bytes += rows_round(size_bytes);
    *at = (struct eng_rows_slot){order, chunk->size_bytes - chunk->used_bytes, size_bytes};
    chunk->end++;
    return (char *)chunk + at->offset_bytes;
}

/* Copies the rows of slots from .. end - 1 behind those of `to`. */
static void rows_chunk_copy(struct eng_rows_chunk *to, const struct eng_rows_chunk *chunk,
                            uint32_t from, uint32_t end)
{
    for (uint32_t i = from; i < end; i++) {
        const struct eng_rows_slot *slot = eng_rows_slot(chunk, i);
        void *row = rows_chunk_put(to, to->end, slot->order, slot->size_bytes);
        memcpy(row, (const char *)chunk + slot->offset_bytes, rows_round(slot->size_bytes));
    }
}

/* The first slot with an order at or above (above: beyond) it; chunk->end: none. */
static uint32_t rows_chunk_find(const struct eng_rows_chunk *chunk, int64_t order, bool beyond)
{
    uint32_t low = chunk->first, high = chunk->end;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int64_t at = eng_rows_slot(chunk, middle)->order;
        if (at < order || (beyond && at == order))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- The directory --------------------------------------------------------------------------- */

static struct eng_rows_directory *rows_directory(const struct eng_rows *rows)
{
    CHECK(rows->chunks > 1);
    return (struct eng_rows_directory *)(uintptr_t)rows->where;
}

static struct eng_rows_range *rows_ranges(const struct eng_rows *rows)
{
    struct eng_rows_directory *directory = rows_directory(rows);
    return directory->ranges + directory->first;
}

static struct eng_rows_chunk *rows_chunk(const struct eng_rows *rows, uint32_t index)
{
    CHECK(index < rows->chunks);
    if (rows->chunks == 1) return (struct eng_rows_chunk *)(uintptr_t)rows->where;
    return rows_ranges(rows)[index].chunk;
}

static uint64_t rows_directory_bytes(uint32_t capacity)
{
    return eng_arena_blob_bytes(sizeof(struct eng_rows_directory) +
                                (uint64_t)capacity * sizeof(struct eng_rows_range));
}

/* The last chunk whose range begins at or below (below: strictly) an order; else the first. */
static uint32_t rows_index(const struct eng_rows *rows, int64_t order, bool below)
{
    if (rows->chunks == 1) return 0;
    const struct eng_rows_range *ranges = rows_ranges(rows);
    uint32_t low = 1, high = rows->chunks;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ranges[middle].from < order || (!below && ranges[middle].from == order))
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

/* Makes room for one more range. False: the arena refused. */
static bool rows_directory_reserve(struct eng_rows_memory *memory, struct eng_rows *rows)
{
    uint32_t capacity = ROWS_DIRECTORY_MIN;

    if (rows->chunks > 1) {
        struct eng_rows_directory *old = rows_directory(rows);
        if (old->first + rows->chunks < old->capacity) return true;
        if (old->first > old->capacity / 4) {
            memmove(old->ranges, old->ranges + old->first, rows->chunks * sizeof *old->ranges);
            old->first = 0;
            return true;
        }
        CHECK(old->capacity <= UINT32_MAX / 2);
        capacity = old->capacity * 2;
    }
    struct eng_rows_directory *directory = rows_blob(memory, rows_directory_bytes(capacity));
    if (!directory) return false;
    *directory = (struct eng_rows_directory){.capacity = capacity};
    if (rows->chunks > 1) {
        struct eng_rows_directory *old = rows_directory(rows);
        memcpy(directory->ranges, old->ranges + old->first, rows->chunks * sizeof *old->ranges);
        rows_blob_free(memory, old, rows_directory_bytes(old->capacity));
        rows->where = (uintptr_t)directory;
    } else {
        /* A directory of one chunk: the caller is about to add the second. */
        directory->ranges[0] = (struct eng_rows_range){INT64_MIN, rows_chunk(rows, 0)};
        rows->where = (uintptr_t)directory;
    }
    return true;
}

/* Puts a chunk at an index; room for it was reserved. */
static void rows_directory_put(struct eng_rows *rows, uint32_t index, int64_t from,
                               struct eng_rows_chunk *chunk)
{
    struct eng_rows_directory *directory = (struct eng_rows_directory *)(uintptr_t)rows->where;
    struct eng_rows_range *ranges = directory->ranges + directory->first;

    memmove(ranges + index + 1, ranges + index, (rows->chunks - index) * sizeof *ranges);
    ranges[index] = (struct eng_rows_range){from, chunk};
    rows->chunks++;
}

static void rows_directory_remove(struct eng_rows_memory *memory, struct eng_rows *rows,
                                  uint32_t index)
{
    struct eng_rows_directory *directory = rows_directory(rows);
    struct eng_rows_range *ranges = directory->ranges + directory->first;

    if (index == 0)
        directory->first++;
    else
        memmove(ranges + index, ranges + index + 1, (rows->chunks - index - 1) * sizeof *ranges);
    if (--rows->chunks > 1) return;
    rows->where = (uintptr_t)directory->ranges[directory->first].chunk;
    rows_blob_free(memory, directory, rows_directory_bytes(directory->capacity));
}

static void rows_set_chunk(struct eng_rows *rows, uint32_t index, struct eng_rows_chunk *chunk)
{
    if (rows->chunks == 1)
        rows->where = (uintptr_t)chunk;
    else
        rows_ranges(rows)[index].chunk = chunk;
}

/* ---- Adding ---------------------------------------------------------------------------------- */

/* A chunk with the same rows and nothing between them. False: refused. */
static bool rows_rebuild(struct eng_rows_memory *memory, struct eng_rows *rows, uint32_t index,
                         uint64_t size_bytes)
{
    struct eng_rows_chunk *old = rows_chunk(rows, index);
    struct eng_rows_chunk *chunk = rows_chunk_new(memory, size_bytes);

    if (!chunk) return false;
    rows_chunk_copy(chunk, old, old->first, old->end);
    rows_set_chunk(rows, index, chunk);
    rows_chunk_free(memory, old);
    return true;
}

/* A new chunk before or behind one, for a row that goes there. */
static bool rows_open_beside(struct eng_rows_memory *memory, struct eng_rows *rows, uint32_t index,
                             bool behind, uint64_t cost)
{
    uint64_t bytes = sizeof(struct eng_rows_chunk) + cost;
    struct eng_rows_chunk *beside = rows_chunk(rows, index);
    struct eng_rows_chunk *chunk =
        rows_chunk_new(memory, bytes > ENG_ROWS_CHUNK_BYTES ? bytes : ENG_ROWS_CHUNK_BYTES);

    if (!chunk) return false;
    if (!rows_directory_reserve(memory, rows)) {
        rows_chunk_free(memory, chunk);
        return false;
    }
    if (behind) { /* from the last order on, so that what comes next between them goes there, too */
        rows_directory_put(rows, index + 1, eng_rows_slot(beside, beside->end - 1)->order, chunk);
        return true;
    }
    struct eng_rows_directory *directory = (struct eng_rows_directory *)(uintptr_t)rows->where;
    struct eng_rows_range *range = directory->ranges + directory->first + index;
    int64_t from = range->from;
    range->from = eng_rows_slot(beside, beside->first)->order;
    rows_directory_put(rows, index, from, chunk);
    return true;
}

static bool rows_split(struct eng_rows_memory *memory, struct eng_rows *rows, uint32_t index)
{
    struct eng_rows_chunk *old = rows_chunk(rows, index);
    uint32_t middle = old->first + (old->end - old->first) / 2;
    uint64_t bytes = rows_live_bytes(old);
    uint64_t size_bytes = bytes > ENG_ROWS_CHUNK_BYTES ? bytes : ENG_ROWS_CHUNK_BYTES;
    struct eng_rows_chunk *left = rows_chunk_new(memory, size_bytes);
    struct eng_rows_chunk *right = left ? rows_chunk_new(memory, size_bytes) : NULL;

    CHECK(middle > old->first);
    CHECK(middle < old->end);
    if (!right || !rows_directory_reserve(memory, rows)) {
        if (right) rows_chunk_free(memory, right);
        if (left) rows_chunk_free(memory, left);
        return false;
    }
    rows_chunk_copy(left, old, old->first, middle);
    rows_chunk_copy(right, old, middle, old->end);
    struct eng_rows_directory *directory = (struct eng_rows_directory *)(uintptr_t)rows->where;
    directory->ranges[directory->first + index].chunk = left;
    rows_directory_put(rows, index + 1, eng_rows_slot(right, right->first)->order, right);
    rows_chunk_free(memory, old);
    return true;
}

/* Makes room for a row in the chunk where it belongs, or puts another one there. */
static bool rows_make_room(struct eng_rows_memory *memory, struct eng_rows *rows, uint32_t index,
                           uint32_t slot, uint64_t cost)
{
    const struct eng_rows_chunk *chunk = rows_chunk(rows, index);
    uint64_t live_bytes = rows_live_bytes(chunk), bytes = live_bytes + cost;

    if (rows->chunks == 1 && bytes <= ENG_ROWS_CHUNK_BYTES &&
        chunk->size_bytes < ENG_ROWS_CHUNK_BYTES) {
        uint64_t twice = bytes + live_bytes;
        return rows_rebuild(memory, rows, index,
                            twice < ENG_ROWS_CHUNK_BYTES ? twice : ENG_ROWS_CHUNK_BYTES);
    }
    if (bytes <= ENG_ROWS_CHUNK_BYTES * 3 / 4)
        return rows_rebuild(memory, rows, index, ENG_ROWS_CHUNK_BYTES);
    if (slot == chunk->end || slot == chunk->first)
        return rows_open_beside(memory, rows, index, slot == chunk->end, cost);
    return rows_split(memory, rows, index);
}

void *eng_rows_add(struct eng_rows_memory *memory, struct eng_rows *rows, int64_t order,
                   uint32_t size_bytes)
{
    uint64_t cost = rows_cost(size_bytes);

    CHECK(size_bytes > 0);
    CHECK(rows->count < UINT32_MAX);
    if (rows->chunks == 0) {
        struct eng_rows_chunk *chunk = rows_chunk_new(memory, sizeof *chunk + cost);
        if (!chunk) return NULL;
        *rows = (struct eng_rows){.where = (uintptr_t)chunk, .count = 1, .chunks = 1};
        return rows_chunk_put(chunk, 0, order, size_bytes);
    }
    for (;;) { /* each turn makes the chunk at hand smaller, or larger once */
        uint32_t index = rows_index(rows, order, false);
        struct eng_rows_chunk *chunk = rows_chunk(rows, index);
        uint32_t slot = chunk->end;

        if (slot > chunk->first && eng_rows_slot(chunk, slot - 1)->order > order)
            slot = rows_chunk_find(chunk, order, true);
        if (rows_free_bytes(chunk) >= cost) {
            rows->count++;
            return rows_chunk_put(chunk, slot, order, size_bytes);
        }
        if (!rows_make_room(memory, rows, index, slot, cost)) return NULL;
    }
}

/* ---- Removing -------------------------------------------------------------------------------- */

static void rows_chunk_drop(struct eng_rows_memory *memory, struct eng_rows *rows, uint32_t index)
{
    struct eng_rows_chunk *chunk = rows_chunk(rows, index);

    if (rows->chunks == 1)
        *rows = (struct eng_rows){0};
    else
        rows_directory_remove(memory, rows, index);
    rows_chunk_free(memory, chunk);
}

/* A chunk that is nearly empty and the one behind it become one. A refusal costs nothing. */
static void rows_merge(struct eng_rows_memory *memory, struct eng_rows *rows, uint32_t index)
{
    if (index + 1 >= rows->chunks) return;
    struct eng_rows_chunk *left = rows_chunk(rows, index), *right = rows_chunk(rows, index + 1);

    if (rows_live_bytes(left) > ENG_ROWS_CHUNK_BYTES / 4) return;
    if (rows_live_bytes(left) + rows_live_bytes(right) > ENG_ROWS_CHUNK_BYTES * 3 / 4) return;
    struct eng_rows_chunk *chunk = rows_chunk_new(memory, ENG_ROWS_CHUNK_BYTES);
    if (!chunk) return;
    rows_chunk_copy(chunk, left, left->first, left->end);
    rows_chunk_copy(chunk, right, right->first, right->end);
    rows_set_chunk(rows, index, chunk);
    rows_directory_remove(memory, rows, index + 1);
    rows_chunk_free(memory, left);
    rows_chunk_free(memory, right);
}

static struct eng_rows_at rows_at(const struct eng_rows *rows, uint32_t index, uint32_t slot)
{
    if (index >= rows->chunks) return (struct eng_rows_at){0};
    struct eng_rows_at at = {rows_chunk(rows, index), index, slot};
    return slot == at.chunk->end ? eng_rows_next_chunk(rows, at) : at;
}

void eng_rows_remove(struct eng_rows_memory *memory, struct eng_rows *rows, struct eng_rows_at *at)
{
    struct eng_rows_chunk *chunk = at->chunk;
    uint32_t index = at->index, place = at->slot - chunk->first;

    CHECK(chunk == rows_chunk(rows, index));
    CHECK(at->slot >= chunk->first);
    CHECK(at->slot < chunk->end);
    rows->count--;
    chunk->gone_bytes += rows_round(eng_rows_row_bytes(*at));
    if (place == 0) {
        chunk->first++;
    } else {
        struct eng_rows_slot *slot = eng_rows_slot(chunk, at->slot);
        chunk->end--;
        memmove(slot, slot + 1, (size_t)(chunk->end - at->slot) * sizeof *slot);
    }
    if (chunk->first == chunk->end) {
        rows_chunk_drop(memory, rows, index);
        *at = rows->chunks > index ? rows_at(rows, index, rows_chunk(rows, index)->first)
                                   : (struct eng_rows_at){0};
        return;
    }
    rows_merge(memory, rows, index);
    *at = rows_at(rows, index, rows_chunk(rows, index)->first + place);
}

void eng_rows_drop(struct eng_rows_memory *memory, struct eng_rows *rows, int64_t order)
{
    while (rows->chunks > 0) {
        struct eng_rows_chunk *chunk = rows_chunk(rows, 0);
        uint32_t slot = chunk->end;

        if (eng_rows_slot(chunk, slot - 1)->order > order)
            slot = rows_chunk_find(chunk, order, true);
        rows->count -= slot - chunk->first;
        if (slot == chunk->end) {
            rows_chunk_drop(memory, rows, 0);
            continue;
        }
        for (; chunk->first < slot; chunk->first++)
            chunk->gone_bytes += rows_round(eng_rows_slot(chunk, chunk->first)->size_bytes);
        return;
    }
}

void eng_rows_clear(struct eng_rows_memory *memory, struct eng_rows *rows)
{
    eng_rows_drop(memory, rows, INT64_MAX);
    CHECK(rows->count == 0);
}

/* ---- Places ---------------------------------------------------------------------------------- */

struct eng_rows_at eng_rows_next_chunk(const struct eng_rows *rows, struct eng_rows_at at)
{
    if (at.index + 1 >= rows->chunks) return (struct eng_rows_at){0};
    struct eng_rows_chunk *chunk = rows_chunk(rows, at.index + 1);
    return (struct eng_rows_at){chunk, at.index + 1, chunk->first};
}

struct eng_rows_at eng_rows_begin(const struct eng_rows *rows)
{
    if (rows->chunks == 0) return (struct eng_rows_at){0};
    return rows_at(rows, 0, rows_chunk(rows, 0)->first);
}

struct eng_rows_at eng_rows_seek(const struct eng_rows *rows, int64_t order)
{
    if (rows->chunks == 0) return (struct eng_rows_at){0};
    uint32_t index = rows_index(rows, order, true);
    return rows_at(rows, index, rows_chunk_find(rows_chunk(rows, index), order, false));
}

struct eng_rows_at eng_rows_seek_last(const struct eng_rows *rows, int64_t order)
{
    if (rows->chunks == 0) return (struct eng_rows_at){0};
    uint32_t index = rows_index(rows, order, false);
    struct eng_rows_chunk *chunk = rows_chunk(rows, index);
    uint32_t slot = rows_chunk_find(chunk, order, true);

    if (slot > chunk->first) return (struct eng_rows_at){chunk, index, slot - 1};
    if (index == 0) return (struct eng_rows_at){0};
    chunk = rows_chunk(rows, index - 1);
    return (struct eng_rows_at){chunk, index - 1, chunk->end - 1};
}
