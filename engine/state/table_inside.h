/* engine/state/table_inside.h: a table as its own files see it. Others include table.h.
 *
 *      table.c        open and close, one key at a time, removal
 *      table_batch.c  batches of look-ups
 *      table_grow.c   everything that changes which segment is where: the directory
 *      table_walk.c   ranges and walks: reading only, safe in an image
 *
 * [T1] The entries of one segment are one aligned run of the directory (cut off where the table's
 * own range ends), all with the same segment and the same epoch. [T2] While segments are smaller
 * than full size there is at most one, without overflow. [T3] Whoever writes to a segment has
 * called eng_table_writable() for it in this epoch: there is no other way to it.
 */
#ifndef ENG_STATE_TABLE_INSIDE_H
#define ENG_STATE_TABLE_INSIDE_H

#include "engine/state/arena.h"
#include "engine/state/segment.h"
#include "engine/state/table.h"
#include "shm/check.h"

enum {
    ENG_TABLE_DEPTH_MAX = 40,
    ENG_TABLE_INLINE_ENTRIES = 2,
};

struct eng_table_entry {
    uint32_t segment; /* its place in units of the arena; 0 none */
    uint32_t epoch;   /* last changed */
};

struct eng_table {
    /* What the loops over a batch read. */
    struct eng_table_entry *directory;
    uint64_t directory_count;
    uint64_t directory_first; /* the top bits of hash_first: the index that is directory[0] */
    uint32_t depth;           /* bits of the hash that index the directory, at least 1 */
    bool misses;              /* many keys of the last batch were not in their home block */
    char *base;               /* of the arena */
    struct eng_segment_layout layout;

    struct eng_arena *arena;
    uint64_t count;
    uint64_t bytes;
    uint64_t hash_first, hash_last;
    uint32_t depth_first; /* of the first segment: bits that all hashes of the table share */
    struct eng_table_statistics statistics;

    /* Where entries were moved from since this was last cleared. */
    uint32_t moves;
    const char *moved_from;
    uint64_t moved_from_bytes;

    struct eng_table_entry directory_inline[ENG_TABLE_INLINE_ENTRIES];
    char name[ENG_TABLE_NAME_BYTES_MAX + 1];
};
_Static_assert(sizeof(struct eng_table) <= ENG_BLOCK_BYTES_MIN, "a table is one smallest block");

static inline uint64_t eng_table_index(const struct eng_table *table, uint64_t hash)
{
    uint64_t index = (hash >> (64 - table->depth)) - table->directory_first;
    CHECK(index < table->directory_count); /* else the hash is not in the table's range */
    return index;
}

static inline struct eng_segment *eng_table_segment(const struct eng_table *table, uint32_t unit)
{
    return (struct eng_segment *)(void *)(table->base + (uint64_t)unit * ENG_BLOCK_BYTES_MIN);
}

static inline uint32_t eng_table_unit(const struct eng_table *table,
                                      const struct eng_segment *segment)
{
    return (uint32_t)((uint64_t)((const char *)segment - table->base) / ENG_BLOCK_BYTES_MIN);
}

/* ---- table.c: one key ------------------------------------------------------------------------ */

struct eng_segment_key eng_table_key(const struct eng_table *table, uint64_t hash,
                                     const void *bytes, uint32_t size_bytes);

/* The value of a key, or NULL. */
void *eng_table_find_one(const struct eng_table *table, const struct eng_segment_key *key);

/* Puts in a key that is not there. NULL: the arena refused, and nothing changed but, perhaps, which
 * segment an entry is in. */
void *eng_table_insert_one(struct eng_table *table, const struct eng_segment_key *key);

/* Makes what the body of a key of variable size begins with. False: the arena refused. */
bool eng_table_make_text(struct eng_table *table, const struct eng_segment_key *key,
                         struct eng_segment_text *text);

/* ---- table_grow.c ---------------------------------------------------------------------------- */

/* The run of directory entries, both ends included, that a segment of that depth has. */
void eng_table_run(const struct eng_table *table, uint64_t index, uint32_t depth, uint64_t *first,
                   uint64_t *last);

/* The seam through which every write to a segment goes: marks it dirty and, if an image may still
 * see it, moves it to a block of its own first. Called when the entry's epoch is not the current.
 */
void eng_table_writable(struct eng_table *table, uint64_t index);

/* Gives an empty range a segment. False: the arena refused. */
bool eng_table_create_segment(struct eng_table *table, uint64_t index);

/* Makes room for one more entry with this hash: doubles, splits or chains. False: it refused. */
bool eng_table_grow(struct eng_table *table, uint64_t hash);

/* Gives back a segment that has become empty; the directory too when that was the last one. */
void eng_table_drop_segment(struct eng_table *table, uint64_t index, struct eng_segment *segment);

/* Gives back all segments and the directory; the keys' blobs are gone by then. */
void eng_table_drop_all(struct eng_table *table);

void eng_table_start_directory(struct eng_table *table);

#endif
