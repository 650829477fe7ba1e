#include "engine/state/table_inside.h"

enum {
    BATCH_AHEAD = 32,        /* keys between the prefetch of a home block and the look into it */
    BATCH_SECOND_AHEAD = 12, /* between the prefetch of what comes after it and the look */
    BATCH_STEPS_AHEAD = 3,  /* blocks: in a segment that is nearly full a search takes some steps */
    BATCH_MISSED_PART = 24, /* one key in so many not at home: worth the second prefetch */
    BATCH_COLD_BYTES = 256 << 10, /* of tables that are worth the second prefetch */
};

/* How a key becomes a word and where its body lies; a constant in each copy of the loops below. */
enum batch_kind {
    BATCH_LINE, /* narrow, keys and bodies of 8 bytes: a block is a cache line */
    BATCH_NARROW_8,
    BATCH_NARROW,
    BATCH_WIDE,
};

struct batch {
    uint32_t count;
    const uint64_t *hashes;
    const void *const *keys;
    const uint32_t *key_sizes;
    void **values;                               /* of a key that is still ahead: its home block */
    uint32_t missed;                             /* keys that were not in their home block */
    uint64_t inserted[ENG_TABLE_BATCH_MAX / 64]; /* a bit for each key that was new */
};

static struct eng_segment_key batch_key(const struct eng_table *table, const struct batch *batch,
                                        uint32_t i)
{
    return eng_table_key(table, batch->hashes[i], batch->keys[i],
                         batch->key_sizes == NULL ? 0 : batch->key_sizes[i]);
}

static enum batch_kind batch_kind_of(const struct eng_table *table)
{
    const struct eng_segment_layout *layout = &table->layout;
    if (!layout->narrow) return BATCH_WIDE;
    if (layout->key_bytes != 8) return BATCH_NARROW;
    return layout->body_bytes == 8 ? BATCH_LINE : BATCH_NARROW_8;
}

/* What the loops need of the table, in registers rather than behind a pointer. */
struct batch_view {
    const struct eng_table_entry *directory;
    uint64_t directory_count, directory_first;
    char *blocks_base; /* of a segment at the arena's base */
    uint32_t shift, epoch, blocks, block_bytes, body_bytes, size_bytes;
    bool second; /* looks twice at what comes */
};

static inline __attribute__((always_inline)) struct batch_view
batch_look(const struct eng_table *table, enum batch_kind kind)
{
    uint32_t line_bytes = ENG_SEGMENT_WORDS_BYTES + ENG_SEGMENT_SLOTS * 8;
    return (struct batch_view){
        .directory = table->directory,
        .directory_count = table->directory_count,
        .directory_first = table->directory_first,
        .blocks_base = table->base + ENG_SEGMENT_HEADER_BYTES,
        .shift = 64 - table->depth,
        .epoch = (uint32_t)eng_arena_epoch(table->arena),
        .blocks = table->layout.blocks,
        .block_bytes = kind == BATCH_LINE ? line_bytes : table->layout.block_bytes,
        .body_bytes = kind == BATCH_LINE ? 8 : table->layout.body_bytes,
        .size_bytes = table->layout.size_bytes,
        .second = (kind == BATCH_WIDE || table->misses) && table->bytes > BATCH_COLD_BYTES,
    };
}

/* The home block of a hash, prefetched; `writes` is NULL for reading. Where there is no segment it
 * lies in the arena's unit 0, which reads as empty. */
static inline __attribute__((always_inline)) char *
batch_home(const struct batch_view *view, struct eng_table *writes, uint64_t hash)
{
    uint64_t index = (hash >> view->shift) - view->directory_first;
    CHECK(index < view->directory_count);
    const struct eng_table_entry *entry = &view->directory[index];
    if (writes != NULL && __builtin_expect(entry->epoch != view->epoch, 0))
        eng_table_writable(writes, index);
    char *block = view->blocks_base + (uint64_t)entry->segment * ENG_BLOCK_BYTES_MIN +
                  (uint64_t)eng_segment_home(hash, view->blocks) * view->block_bytes;
    __builtin_prefetch(block, 1);
    return block;
}

static inline __attribute__((always_inline)) uint64_t
batch_word(const struct eng_table *table, enum batch_kind kind, uint64_t hash, const void *key)
{
    if (kind == BATCH_WIDE) return eng_segment_wide_word(hash);
    return eng_segment_narrow_word(key, kind == BATCH_NARROW ? table->layout.key_bytes : 8);
}

/* The value of key i if it is in that block, else NULL. */
static inline __attribute__((always_inline)) void *
batch_probe(const struct eng_table *table, enum batch_kind kind, uint32_t body_bytes,
            const struct batch *batch, uint32_t i, uint64_t word, char *block)
{
    uint32_t hits = eng_segment_match(block, word);
    if (__builtin_expect(hits == 0, 0)) return NULL;
    char *body = block + ENG_SEGMENT_WORDS_BYTES + (uint64_t)eng_segment_first(hits) * body_bytes;
    if (kind == BATCH_WIDE) {
        uint32_t size_bytes = batch->key_sizes == NULL ? 0 : batch->key_sizes[i];
        if (!eng_segment_is_key(&table->layout, body, batch->keys[i], size_bytes)) return NULL;
        body += table->layout.value_offset;
    }
    if (kind != BATCH_LINE) __builtin_prefetch(body, 1);
    return body;
}

/* Begins the look-up of key i: its home block goes to values[i]. */
static inline __attribute__((always_inline)) void batch_start(const struct batch_view *view,
                                                              struct eng_table *writes,
                                                              const struct batch *batch, uint32_t i)
{
    batch->values[i] = batch_home(view, writes, batch->hashes[i]);
}

/* The home block of key i has come: fetches what its look-up reads next. That is a body in a wide
 * table; the next block where this one is full and has not got it; and if it is not there, the
 * segment's header, for all headers fall into the same few sets of the caches. In a narrow table it
 * costs more than it gains, unless many keys are new or displaced. */
static inline __attribute__((always_inline)) void
batch_second(const struct eng_table *table, const struct batch_view *view, enum batch_kind kind,
             const struct batch *batch, uint32_t i)
{
    char *block = batch->values[i];
    uint64_t word = batch_word(table, kind, batch->hashes[i], batch->keys[i]);
    uint32_t hits = eng_segment_match(block, word);
    if (kind == BATCH_WIDE || (kind != BATCH_LINE && view->block_bytes > 64)) {
        uint32_t index = hits == 0 ? 0 : eng_segment_first(hits);
        __builtin_prefetch(block + ENG_SEGMENT_WORDS_BYTES + index * view->body_bytes, 1);
    }
    uint32_t stays = hits | eng_segment_match(block, 0);
    if (stays == 0)
        for (uint32_t step = 1; step <= BATCH_STEPS_AHEAD; step++)
            __builtin_prefetch(block + step * view->block_bytes, 1);
    uint64_t offset = (uint64_t)(block - view->blocks_base) & (view->size_bytes - 1);
    __builtin_prefetch(block - (hits == 0 ? offset + ENG_SEGMENT_HEADER_BYTES : 0), 1);
}

/* Goes on where the home block of key i did not have it: the value, or NULL with the block in
 * *room that has an empty slot for it. NULL and NULL: the slow way decides. */
static inline __attribute__((always_inline)) void *batch_displaced(const struct eng_table *table,
                                                                   enum batch_kind kind,
                                                                   const struct batch *batch,
                                                                   uint32_t i, char **room)
{
    const struct eng_segment_layout *layout = &table->layout;
    uint32_t block_bytes = layout->block_bytes, body_bytes = layout->body_bytes;
    uint64_t word = batch_word(table, kind, batch->hashes[i], batch->keys[i]);
    char *block = batch->values[i];
    *room = NULL;
    if (kind != BATCH_WIDE && word == 0) return NULL;
    /* Equal hashes of different keys are for the slow way. */
    if (kind == BATCH_WIDE && eng_segment_match(block, word) != 0) return NULL;
    uint64_t offset = (uint64_t)(block - table->base) & (layout->size_bytes - 1);
    char *segment = block - offset;
    char *end = segment + ENG_SEGMENT_HEADER_BYTES + (uint64_t)layout->blocks * block_bytes;
    while (eng_segment_match(block, 0) == 0) {
        __builtin_prefetch(block + BATCH_STEPS_AHEAD * block_bytes, 1);
        block += block_bytes;
        if (block == end) block = segment + ENG_SEGMENT_HEADER_BYTES;
        CHECK(block != batch->values[i]); /* a segment is never quite full */
        void *value = batch_probe(table, kind, body_bytes, batch, i, word, block);
        if (value != NULL) return value;
        if (kind == BATCH_WIDE && eng_segment_match(block, word) != 0) return NULL;
    }
    *room = block;
    return NULL;
}

/* Looks up again what growth has moved: keys before i whose value lay where entries were taken
 * from, all of them if that was more than one place. */
static void batch_find_moved(struct eng_table *table, struct batch *batch, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++) {
        uint64_t offset = (uint64_t)((char *)batch->values[j] - table->moved_from);
        if (table->moves == 1 && offset >= table->moved_from_bytes) continue;
        struct eng_segment_key key = batch_key(table, batch, j);
        batch->values[j] = eng_table_find_one(table, &key);
        CHECK(batch->values[j] != NULL);
    }
    table->moves = 0;
}

/* The slow way for key i: in overflow, or new, perhaps without room. False: the arena refused. */
static __attribute__((noinline)) bool batch_upsert_slow(struct eng_table *table,
                                                        struct batch *batch, uint32_t i)
{
    struct eng_segment_key key = batch_key(table, batch, i);
    batch->values[i] = eng_table_find_one(table, &key);
    if (batch->values[i] != NULL) return true;
    batch->values[i] = eng_table_insert_one(table, &key);
    if (batch->values[i] == NULL) return false;
    batch->inserted[i / 64] |= (uint64_t)1 << i % 64;
    return true;
}

/* For key i, whose home block does not have it: displaced, or new and where it goes is known once
 * the search has ended [S1]. False: the arena refused. */
static inline __attribute__((always_inline)) bool
batch_upsert_missed(struct eng_table *table, enum batch_kind kind, struct batch *batch, uint32_t i)
{
    char *room;
    void *value = batch_displaced(table, kind, batch, i, &room);
    if (value != NULL) {
        batch->values[i] = value;
        return true;
    }
    uint64_t hash = batch->hashes[i];
    struct eng_table_entry entry = table->directory[eng_table_index(table, hash)];
    struct eng_segment *segment = eng_table_segment(table, entry.segment);
    if (room == NULL || entry.segment == 0 || segment->next != 0 ||
        segment->count >= table->layout.limit)
        return batch_upsert_slow(table, batch, i);
    /* The range has got its first segment since the look-up began. */
    if ((uint64_t)(room - (char *)segment) >= table->layout.size_bytes)
        return batch_upsert_slow(table, batch, i);
    CHECK(entry.epoch == eng_arena_epoch(table->arena)); /* [T3] */

    uint64_t word = batch_word(table, kind, hash, batch->keys[i]);
    struct eng_segment_key key;
    struct eng_segment_text text;
    if (kind != BATCH_WIDE) {
        CHECK(hash == shm_hash(&word, kind == BATCH_NARROW ? table->layout.key_bytes : 8));
    } else {
        key = batch_key(table, batch, i);
        if (!table->layout.hash_is_stored) CHECK(hash == shm_hash(key.bytes, key.size_bytes));
        if (table->layout.key_bytes == 0 && !eng_table_make_text(table, &key, &text)) return false;
    }
    uint32_t body_bytes = kind == BATCH_LINE ? 8 : table->layout.body_bytes;
    uint32_t index = eng_segment_first(eng_segment_match(room, 0));
    char *body = room + ENG_SEGMENT_WORDS_BYTES + (uint64_t)index * body_bytes;
    ((uint64_t *)(void *)room)[index] = word;
    memset(body, 0, body_bytes);
    if (kind == BATCH_WIDE) {
        if (table->layout.key_bytes == 0)
            memcpy(body, &text, sizeof text);
        else
            memcpy(body, key.bytes, key.size_bytes);
        body += table->layout.value_offset;
    }
    segment->count++;
    table->count++;
    batch->inserted[i / 64] |= (uint64_t)1 << i % 64;
    batch->values[i] = body;
    return true;
}

#define BATCH_MISSED(name, kind)                                                                   \
    static __attribute__((noinline)) bool name(struct eng_table *table, struct batch *batch,       \
                                               uint32_t i)                                         \
    {                                                                                              \
        return batch_upsert_missed(table, kind, batch, i);                                         \
    }
BATCH_MISSED(batch_missed_line, BATCH_LINE)
BATCH_MISSED(batch_missed_narrow_8, BATCH_NARROW_8)
BATCH_MISSED(batch_missed_narrow, BATCH_NARROW)
BATCH_MISSED(batch_missed_wide, BATCH_WIDE)

static inline __attribute__((always_inline)) bool
batch_missed(struct eng_table *table, enum batch_kind kind, struct batch *batch, uint32_t i)
{
    if (kind == BATCH_LINE) return batch_missed_line(table, batch, i);
    if (kind == BATCH_NARROW_8) return batch_missed_narrow_8(table, batch, i);
    if (kind == BATCH_NARROW) return batch_missed_narrow(table, batch, i);
    return batch_missed_wide(table, batch, i);
}

/* Growth has moved entries: looks again at where the next keys are, and at those before. */
static __attribute__((noinline)) void batch_moved(struct eng_table *table, enum batch_kind kind,
                                                  struct batch *batch, uint32_t i)
{
    batch_find_moved(table, batch, i);
    struct batch_view view = batch_look(table, kind);
    for (uint32_t j = i + 1; j < batch->count && j <= i + BATCH_AHEAD; j++)
        batch_start(&view, table, batch, j);
}

/* Ends the look-up of key i. False: the arena refused. */
static inline __attribute__((always_inline)) bool
batch_upsert_one(struct eng_table *table, enum batch_kind kind, const struct batch *lanes,
                 struct batch *batch, uint32_t i, struct batch_view *view)
{
    uint64_t word = batch_word(table, kind, lanes->hashes[i], lanes->keys[i]);
    void *value = batch_probe(table, kind, view->body_bytes, lanes, i, word, lanes->values[i]);
    if (__builtin_expect(value != NULL && (kind == BATCH_WIDE || word != 0), 1)) {
        lanes->values[i] = value;
        return true;
    }
    batch->missed++;
    if (!batch_missed(table, kind, batch, i)) return false;
    if (__builtin_expect(table->moves != 0, 0)) {
        batch_moved(table, kind, batch, i);
        *view = batch_look(table, kind);
    }
    return true;
}

static inline __attribute__((always_inline)) bool
batch_upsert_run(struct eng_table *table, enum batch_kind kind, struct batch *batch)
{
    struct batch_view view = batch_look(table, kind);
    const struct batch lanes = *batch; /* where its arrays are, in registers */
    bool second = view.second;
    uint32_t count = batch->count, i = 0, started = count < BATCH_AHEAD ? count : BATCH_AHEAD;
    for (uint32_t j = 0; j < started; j++)
        batch_start(&view, table, &lanes, j);

    if (second) {
        for (; i + BATCH_AHEAD < count; i++) {
            batch_start(&view, table, &lanes, i + BATCH_AHEAD);
            batch_second(table, &view, kind, &lanes, i + BATCH_SECOND_AHEAD);
            if (!batch_upsert_one(table, kind, &lanes, batch, i, &view)) return false;
        }
    } else {
        for (; i + BATCH_AHEAD < count; i++) {
            batch_start(&view, table, &lanes, i + BATCH_AHEAD);
            if (!batch_upsert_one(table, kind, &lanes, batch, i, &view)) return false;
        }
    }
    for (; i < count; i++) {
        if (second && i + BATCH_SECOND_AHEAD < count)
            batch_second(table, &view, kind, &lanes, i + BATCH_SECOND_AHEAD);
        if (!batch_upsert_one(table, kind, &lanes, batch, i, &view)) return false;
    }
    return true;
}

/* The arena refused in the middle of a batch: takes out what the batch put in. */
static void batch_undo(struct eng_table *table, const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if ((batch->inserted[i / 64] >> i % 64 & 1) == 0) continue;
        bool removed = eng_table_remove(table, batch->hashes[i], batch->keys[i],
                                        batch->key_sizes == NULL ? 0 : batch->key_sizes[i]);
        CHECK(removed);
    }
}

bool eng_table_upsert(struct eng_table *table, uint32_t count, const uint64_t *hashes,
                      const void *const *keys, const uint32_t *key_sizes, void **values)
{
    CHECK(count <= ENG_TABLE_BATCH_MAX);
    CHECK(table->layout.key_bytes != 0 || key_sizes != NULL || count == 0);
    struct batch batch = {
        .count = count, .hashes = hashes, .keys = keys, .key_sizes = key_sizes, .values = values};
    table->moves = 0;
    bool done = false;
    switch (batch_kind_of(table)) {
    case BATCH_LINE:
        done = batch_upsert_run(table, BATCH_LINE, &batch);
        break;
    case BATCH_NARROW_8:
        done = batch_upsert_run(table, BATCH_NARROW_8, &batch);
        break;
    case BATCH_NARROW:
        done = batch_upsert_run(table, BATCH_NARROW, &batch);
        break;
    case BATCH_WIDE:
        done = batch_upsert_run(table, BATCH_WIDE, &batch);
        break;
    }
    table->misses = batch.missed * BATCH_MISSED_PART > count; /* a guess at the next batch */
    if (!done) batch_undo(table, &batch);
    return done;
}

/* For key i, whose home block does not have it. */
static __attribute__((noinline)) void *batch_find_missed(const struct eng_table *table,
                                                         const struct batch *batch, uint32_t i)
{
    struct eng_segment_key key = batch_key(table, batch, i);
    return eng_table_find_one(table, &key);
}

static inline __attribute__((always_inline)) void
batch_find_run(const struct eng_table *table, enum batch_kind kind, const struct batch *batch)
{
    struct batch_view view = batch_look(table, kind);
    uint32_t count = batch->count, started = count < BATCH_AHEAD ? count : BATCH_AHEAD;
    for (uint32_t i = 0; i < started; i++)
        batch_start(&view, NULL, batch, i);

    for (uint32_t i = 0; i < count; i++) {
        if (i + BATCH_AHEAD < count) batch_start(&view, NULL, batch, i + BATCH_AHEAD);
        if (view.second && i + BATCH_SECOND_AHEAD < count)
            batch_second(table, &view, kind, batch, i + BATCH_SECOND_AHEAD);
        uint64_t word = batch_word(table, kind, batch->hashes[i], batch->keys[i]);
        void *value = batch_probe(table, kind, view.body_bytes, batch, i, word, batch->values[i]);
        if (__builtin_expect(value == NULL || (kind != BATCH_WIDE && word == 0), 0))
            value = batch_find_missed(table, batch, i);
        batch->values[i] = value;
    }
}

void eng_table_find(const struct eng_table *table, uint32_t count, const uint64_t *hashes,
                    const void *const *keys, const uint32_t *key_sizes, void **values)
{
    CHECK(count <= ENG_TABLE_BATCH_MAX);
    CHECK(table->layout.key_bytes != 0 || key_sizes != NULL || count == 0);
    const struct batch batch = {
        .count = count, .hashes = hashes, .keys = keys, .key_sizes = key_sizes, .values = values};
    switch (batch_kind_of(table)) {
    case BATCH_LINE:
        batch_find_run(table, BATCH_LINE, &batch);
        break;
    case BATCH_NARROW_8:
        batch_find_run(table, BATCH_NARROW_8, &batch);
        break;
    case BATCH_NARROW:
        batch_find_run(table, BATCH_NARROW, &batch);
        break;
    case BATCH_WIDE:
        batch_find_run(table, BATCH_WIDE, &batch);
        break;
    }
}

void eng_table_find_writable(struct eng_table *table, uint32_t count, const uint64_t *hashes,
                             const void *const *keys, const uint32_t *key_sizes, void **values)
{
    uint64_t epoch = eng_arena_epoch(table->arena);
    bool moved = false;
    eng_table_find(table, count, hashes, keys, key_sizes, values);
    for (uint32_t i = 0; i < count; i++) {
        if (values[i] == NULL) continue;
        uint64_t index = eng_table_index(table, hashes[i]);
        if (table->directory[index].epoch == epoch) continue;
        eng_table_writable(table, index);
        moved = true;
    }
    if (moved) eng_table_find(table, count, hashes, keys, key_sizes, values);
}
