/* engine/state/rows.h: records under one key, in an order.
 *
 * What joins keep of a key: rows sorted by a 64-bit number (event time, or a hash of what is in the
 * row), equal ones in the order of adding. The head is 16 bytes of a table's entry, zeros when
 * empty; everything else is blobs of the arena:
 *
 *     few rows    head -> chunk
 *     many        head -> directory -> chunk, chunk, chunk ...
 *
 *     chunk       | header | slot 0 | slot 1 | slot 2 ->     free     <- row | row | row |
 *     slot        order, where the row lies, its size; slots are sorted, rows lie as they came
 *
 * The header and the first two slots share a cache line.
 *
 * So what a row costs is its bytes and a slot of 16; adding one that is the largest is an append;
 * one that comes late moves the slots behind it, in one chunk of at most 8 KiB (a larger row has a
 * chunk to itself). A chunk that is full makes room where rows have gone, grows while it is the
 * only one, and is split else. The directory says from which order on a chunk holds rows, so that
 * finding a place among a million reads a few lines of memory. Dropping all rows up to an order
 * gives whole chunks back without looking at them.
 *
 * Pointers to rows and places (struct eng_rows_at) are good until a row of the same head is added
 * or removed. A row is aligned to 8. What is in it is the caller's, who may change it in place.
 *
 * In an image (after a fork) rows may be read, never changed.
 */
#ifndef ENG_STATE_ROWS_H
#define ENG_STATE_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/state/arena.h"

enum { ENG_ROWS_CHUNK_BYTES = 8192 };

struct eng_rows {
    uint64_t where; /* address of the chunk, or of the directory */
    uint32_t count;
    uint32_t chunks;
};

/* Where the rows of many heads lie, and how much they take. */
struct eng_rows_memory {
    struct eng_arena *arena;
    uint64_t bytes;
};

struct eng_rows_slot {
    int64_t order;
    uint32_t offset_bytes; /* of the row, from the chunk's begin */
    uint32_t size_bytes;
};

struct eng_rows_chunk {
    uint32_t size_bytes; /* all of it */
    uint32_t used_bytes; /* of rows, those that have gone included */
    uint32_t gone_bytes; /* of those */
    uint32_t first, end; /* slots in use */
    uint32_t reserved;
};

struct eng_rows_range { /* of a chunk: no row below `from`, no row above the next one's */
    int64_t from;       /* of the first chunk: means nothing */
    struct eng_rows_chunk *chunk;
};

struct eng_rows_directory {
    uint32_t capacity, first; /* ranges in use: first .. first + chunks - 1 */
    uint64_t reserved;
    struct eng_rows_range ranges[];
};

/* A place among the rows. */
struct eng_rows_at {
    struct eng_rows_chunk *chunk; /* NULL: behind the last row */
    uint32_t index;               /* of the chunk */
    uint32_t slot;
};

/* Adds a row of size_bytes > 0, behind those of the same order, and returns where its bytes go:
 * they are the caller's to fill. NULL: the arena refused, and the rows are as they were. */
void *eng_rows_add(struct eng_rows_memory *memory, struct eng_rows *rows, int64_t order,
                   uint32_t size_bytes);

/* Removes the row at a place, which then is that of the next row. */
void eng_rows_remove(struct eng_rows_memory *memory, struct eng_rows *rows, struct eng_rows_at *at);

/* Removes all rows up to an order, that one included. */
void eng_rows_drop(struct eng_rows_memory *memory, struct eng_rows *rows, int64_t order);
void eng_rows_clear(struct eng_rows_memory *memory, struct eng_rows *rows);

/* The first row at or above an order; the last one at or below it. */
struct eng_rows_at eng_rows_seek(const struct eng_rows *rows, int64_t order);
struct eng_rows_at eng_rows_seek_last(const struct eng_rows *rows, int64_t order);
/* The first row of all. */
struct eng_rows_at eng_rows_begin(const struct eng_rows *rows);
/* The first row of the next chunk; what eng_rows_step needs once in a while. */
struct eng_rows_at eng_rows_next_chunk(const struct eng_rows *rows, struct eng_rows_at at);

/* Fetches what the rows begin with, ahead of work on many heads. */
static inline void eng_rows_prefetch(const struct eng_rows *rows)
{
    if (rows->where) __builtin_prefetch((const void *)(uintptr_t)rows->where);
}

static inline bool eng_rows_is_end(struct eng_rows_at at)
{
    return !at.chunk;
}

static inline struct eng_rows_slot *eng_rows_slot(const struct eng_rows_chunk *chunk, uint32_t i)
{
    return (struct eng_rows_slot *)(void *)(uintptr_t)(chunk + 1) + i;
}

static inline int64_t eng_rows_order(struct eng_rows_at at)
{
    return eng_rows_slot(at.chunk, at.slot)->order;
}

static inline void *eng_rows_row(struct eng_rows_at at)
{
    return (char *)at.chunk + eng_rows_slot(at.chunk, at.slot)->offset_bytes;
}

static inline uint32_t eng_rows_row_bytes(struct eng_rows_at at)
{
    return eng_rows_slot(at.chunk, at.slot)->size_bytes;
}

/* To the next row. */
static inline void eng_rows_step(const struct eng_rows *rows, struct eng_rows_at *at)
{
    if (++at->slot == at->chunk->end) *at = eng_rows_next_chunk(rows, *at);
}

#endif
