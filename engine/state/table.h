/* engine/state/table.h: one keyed state of one worker: keys to values, in an arena.
 *
 * Extendible hashing. The directory is indexed by the top bits of the 64-bit hash, so walking it in
 * order walks ranges of the hash space in order; an entry holds a segment and the epoch that last
 * dirtied it:
 *
 *      directory                 segments (blocks of the arena)
 *      [000] seg, epoch  ----->  [ header | block | block | ... ]      local depth 2
 *      [001] seg, epoch  ----/
 *      [010] seg, epoch  ----->  [ ... ]                               local depth 3
 *      [011] seg, epoch  ----->  [ ... ] --> [ overflow ]              hashes too alike to split
 *      [100] none, epoch                                               nothing in this range
 *
 * A segment owns one contiguous, aligned range of the hash space. Growth splits one full segment in
 * two: at most a few thousand entries move, there is no rehash. A table starts with a directory
 * inside itself and one segment of 512 bytes that doubles up to the full size (16 KiB) before
 * splits begin. A segment that becomes empty is given back; halves are not merged again. What a
 * segment looks like inside is in segment.h and in README.md.
 *
 * Batches. Whoever updates state hashes a batch of keys, calls eng_table_upsert() once and gets one
 * pointer for each key to its value, zeroed if the key is new; equal keys get the same pointer.
 * The pointers are valid together until the next upsert or remove. The look-up prefetches across
 * the batch: that is where the speed is, so batches of 64 and more are worth gathering.
 *
 * Hashes. `hash` is shm_hash() of the key's bytes and is not looked at again when the key is in
 * the table: narrow tables do not store it. A table whose hashes are anything else says
 * `.hash_is_stored = true`; a wrong hash fails a CHECK when the key is inserted. A stored hash of 0
 * counts as 1 and is handed back as 1.
 *
 * Epochs. Every upsert marks the segments it touches with the arena's epoch; so "what changed since
 * cut n" is the ranges whose epoch is n or later (eng_table_range_at). The first write to a
 * segment in an epoch that began with eng_arena_freeze() copies it first, and leaves the old block
 * to the image. All of that hides behind one comparison per key.
 *
 * In an image (after a fork) a table may be read and walked, never written.
 *
 * Values that own blobs: the table does not know; remove, close and their blobs are the caller's.
 */
#ifndef ENG_STATE_TABLE_H
#define ENG_STATE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/state/arena.h"

enum {
    ENG_TABLE_BATCH_MAX = 512,        /* keys in one upsert or find */
    ENG_TABLE_ENTRY_BYTES_MAX = 4096, /* key and value of one entry; what is larger is a blob */
    ENG_TABLE_NAME_BYTES_MAX = 63,
};

/* Use designated initialisers: zero is the default of every field but the name. */
struct eng_table_spec {
    const char *name;     /* copied; cut off after ENG_TABLE_NAME_BYTES_MAX */
    uint32_t key_bytes;   /* 0: keys of variable size */
    uint32_t value_bytes; /* 0: a set */
    uint32_t value_align; /* 0 to 8: 8; 16 */
    bool hash_is_stored;  /* hashes are not shm_hash(key): keep them, 8 bytes an entry */
    uint64_t hash_first;  /* the range that the table's owner owns, both ends included; */
    uint64_t hash_last;   /* 0, 0: all of the hash space. Keeps directories small. */
};

struct eng_table;

/* 0 or -errno: -EINVAL for a specification that cannot be, -ENOMEM when the arena refuses. On
 * failure *table is untouched. */
int eng_table_open(struct eng_table **table, struct eng_arena *arena,
                   const struct eng_table_spec *spec);
void eng_table_close(struct eng_table *table); /* gives everything back; accepts NULL */

/* Finds or inserts every key of a batch of at most ENG_TABLE_BATCH_MAX. key_sizes is NULL when keys
 * are of fixed size. False: the arena refused; no key was inserted, and values[] means nothing. */
bool eng_table_upsert(struct eng_table *table, uint32_t count, const uint64_t *hashes,
                      const void *const *keys, const uint32_t *key_sizes, void **values);

/* Finds without inserting: NULL for a key that is not there. For reading: a write through these
 * pointers is not recorded as dirty, and an image might see it. */
void eng_table_find(const struct eng_table *table, uint32_t count, const uint64_t *hashes,
                    const void *const *keys, const uint32_t *key_sizes, void **values);

/* As eng_table_find, for writing: segments are marked dirty, as with upsert, if the key is there.
 */
void eng_table_find_writable(struct eng_table *table, uint32_t count, const uint64_t *hashes,
                             const void *const *keys, const uint32_t *key_sizes, void **values);

/* False: it was not there. key_bytes is ignored when keys are of fixed size. */
bool eng_table_remove(struct eng_table *table, uint64_t hash, const void *key, uint32_t key_bytes);

uint64_t eng_table_count(const struct eng_table *table);
uint64_t eng_table_bytes(const struct eng_table *table); /* segments, directory, keys: all of it */
const char *eng_table_name(const struct eng_table *table);
struct eng_arena *eng_table_arena(const struct eng_table *table);
uint32_t eng_table_key_bytes(const struct eng_table *table); /* as in the specification */
uint32_t eng_table_value_bytes(const struct eng_table *table);

/* The epoch is the worker's: this sets it for all tables of the arena (eng_arena_set_epoch). */
void eng_table_set_epoch(struct eng_table *table, uint64_t epoch);

/* ---- Ranges and walks ------------------------------------------------------------------------ */

/* The range that one segment covers: the unit of dirtiness and of parts. Empty neighbours of the
 * same epoch are one range. */
struct eng_table_range {
    uint64_t first, last; /* both included */
    uint64_t epoch;       /* last changed in it; 0 never */
    uint64_t count;       /* entries */
    uint64_t bytes;       /* of its segments */
};

/* The range in which hash lies. All ranges in order: begin with hash_first of the table (0), go on
 * with last + 1, end when last is hash_last of the table (UINT64_MAX). */
void eng_table_range_at(const struct eng_table *table, uint64_t hash,
                        struct eng_table_range *range);

/* A walk over the entries of [from, last], in order of the segments' ranges; within one segment in
 * no order. Nothing may be inserted or removed meanwhile (values may be read; to write, use
 * eng_table_find_writable). Key and value are pointers into the table. */
struct eng_table_walk {
    const struct eng_table *table;
    uint64_t from, last; /* what is asked for */
    uint64_t index;      /* directory entry that comes next */
    const char *segment; /* being walked, or NULL */
    uint32_t slot;       /* in it, that comes next */
    bool whole;          /* the range being walked lies inside [from, last] */
};

void eng_table_walk_all(struct eng_table_walk *walk, const struct eng_table *table);
void eng_table_walk_range(struct eng_table_walk *walk, const struct eng_table *table, uint64_t from,
                          uint64_t last);
/* False: that was all. Any of the results may be NULL. */
bool eng_table_walk_next(struct eng_table_walk *walk, uint64_t *hash, const void **key,
                         uint32_t *key_bytes, void **value);

/* A walk in pieces between which the table may change: each call sets up a walk over one segment's
 * range. An entry that stays all the time is seen exactly once. False: that was all.
 *
 *     struct eng_table_cursor cursor = {0};
 *     while (eng_table_walk_step(&walk, table, &cursor)) {
 *         while (eng_table_walk_next(&walk, ...)) ...
 *         ... here the table may change
 *     }
 */
struct eng_table_cursor {
    uint64_t next; /* hashes below have been seen */
    bool begun, done;
};
bool eng_table_walk_step(struct eng_table_walk *walk, const struct eng_table *table,
                         struct eng_table_cursor *cursor);

/* ---- For tests and tools --------------------------------------------------------------------- */

struct eng_table_statistics {
    uint64_t segments, overflow_segments, directory_entries;
    uint64_t moved;     /* entries ever moved by growth */
    uint64_t moved_max; /* by one split or doubling, the most */
    uint64_t splits;    /* splits and doublings */
    uint64_t relocated; /* segments copied for images */
    uint64_t refused;   /* copies that the budget did not allow: written in place */
};
void eng_table_statistics(const struct eng_table *table, struct eng_table_statistics *statistics);

#endif
