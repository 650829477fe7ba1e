#include "engine/state/table.h"

#include <errno.h>

#include "engine/state/table_inside.h"

_Static_assert((int)ENG_TABLE_ENTRY_BYTES_MAX == (int)ENG_SEGMENT_BODY_BYTES_MAX, "one limit");

enum {
    TABLE_AHEAD = 32, /* keys between the prefetch of a home block and the look into it */
    TABLE_SECOND_AHEAD = 12, /* between the prefetch of what comes after it and the look */
    TABLE_STEPS_AHEAD = 3, /* blocks: in a segment that is nearly full a search takes some steps */
    TABLE_MISSED_PART = 24, /* one key in so many not in its home block: worth the second prefetch */
    TABLE_COLD_BYTES = 256 << 10, /* of tables that are worth the second prefetch */
};

/* How a key becomes a word and where its body lies; a constant in each copy of the loops below. */
enum table_kind {
    TABLE_LINE, /* narrow, keys and bodies of 8 bytes: a block is a cache line */
    TABLE_NARROW_8,
    TABLE_NARROW,
    TABLE_WIDE,
};

/* ---- Open and close -------------------------------------------------------------------------- */

int eng_table_open(struct eng_table **result, struct eng_arena *arena,
                   const struct eng_table_spec *spec)
{
    CHECK(arena != NULL);
    CHECK(spec->name != NULL);
    uint64_t last = spec->hash_first == 0 && spec->hash_last == 0 ? UINT64_MAX : spec->hash_last;
    if (spec->hash_first > last) return -EINVAL;
    struct eng_segment_layout layout;
    int status = eng_segment_layout_init(&layout, spec->key_bytes, spec->value_bytes,
                                         spec->value_align, spec->hash_is_stored);
    if (status < 0) return status;
    struct eng_table *table = eng_arena_block(arena, ENG_BLOCK_BYTES_MIN);
    if (table == NULL) return -ENOMEM;

    *table = (struct eng_table){
        .base = eng_arena_base(arena),
        .layout = layout,
        .arena = arena,
        .bytes = ENG_BLOCK_BYTES_MIN,
        .hash_first = spec->hash_first,
        .hash_last = last,
    };
    for (uint32_t i = 0; i < ENG_TABLE_NAME_BYTES_MAX && spec->name[i] != '\0'; i++)
        table->name[i] = spec->name[i];
    eng_table_start_directory(table);
    *result = table;
    return 0;
}

/* Gives back the blob of a key of variable size, if it has one. */
static void table_free_key(struct eng_table *table, const struct eng_segment *segment,
                           uint32_t slot)
{
    if (table->layout.key_bytes != 0) return;
    const struct eng_segment_text *text =
        (const struct eng_segment_text *)(void *)eng_segment_body(&table->layout, segment, slot);
    if (text->size_bytes <= ENG_SEGMENT_TEXT_INLINE_BYTES) return;
    table->bytes -= eng_arena_blob_bytes(text->size_bytes);
    eng_arena_blob_free(table->arena, text->blob, text->size_bytes);
}

static void table_free_keys(struct eng_table *table)
{
    for (uint64_t i = 0, first, last; i < table->directory_count; i = last + 1) {
        last = i;
        uint32_t unit = table->directory[i].segment;
        if (unit == 0) continue;
        eng_table_run(table, i, eng_table_segment(table, unit)->depth, &first, &last);
        for (; unit != 0; unit = eng_table_segment(table, unit)->next) {
            struct eng_segment *segment = eng_table_segment(table, unit);
            for (uint32_t slot = 0; slot < eng_segment_slots(&table->layout); slot++)
                if (eng_segment_occupied(&table->layout, segment, slot))
                    table_free_key(table, segment, slot);
        }
    }
}

void eng_table_close(struct eng_table *table)
{
    if (table == NULL) return;
    if (table->layout.key_bytes == 0) table_free_keys(table);
    eng_table_drop_all(table);
    CHECK(table->bytes == ENG_BLOCK_BYTES_MIN);
    eng_arena_block_free(table->arena, table, ENG_BLOCK_BYTES_MIN);
}

/* ---- One key --------------------------------------------------------------------------------- */

static struct eng_segment_key table_key(const struct eng_table *table, uint64_t hash,
                                        const void *bytes, uint32_t size_bytes)
{
    const struct eng_segment_layout *layout = &table->layout;
    struct eng_segment_key key = {.hash = hash, .bytes = bytes, .size_bytes = size_bytes};
    if (layout->narrow) {
        key.word = eng_segment_narrow_word(bytes, layout->key_bytes);
    } else {
        key.word = key.hash = eng_segment_wide_word(hash);
    }
    if (layout->key_bytes != 0) key.size_bytes = layout->key_bytes;
    return key;
}

/* The value of a key, or NULL. */
static void *table_find_one(const struct eng_table *table, const struct eng_segment_key *key)
{
    uint32_t unit = table->directory[eng_table_index(table, key->hash)].segment;
    while (unit != 0) {
        const struct eng_segment *segment = eng_table_segment(table, unit);
        int32_t slot = eng_segment_seek(&table->layout, segment, key);
        if (slot >= 0) return eng_segment_value(&table->layout, segment, (uint32_t)slot);
        unit = segment->next;
    }
    return NULL;
}

/* Makes what the body of a key of variable size begins with. False: the arena refused. */
static bool table_make_text(struct eng_table *table, const struct eng_segment_key *key,
                            struct eng_segment_text *text)
{
    *text = (struct eng_segment_text){.size_bytes = key->size_bytes};
    if (key->size_bytes == 0) return true;
    if (key->size_bytes <= ENG_SEGMENT_TEXT_INLINE_BYTES) {
        memcpy((char *)text + offsetof(struct eng_segment_text, prefix), key->bytes,
               key->size_bytes);
        return true;
    }
    char *blob = eng_arena_blob(table->arena, key->size_bytes);
    if (blob == NULL) return false;
    memcpy(blob, key->bytes, key->size_bytes);
    memcpy(text->prefix, key->bytes, sizeof text->prefix);
    text->blob = blob;
    table->bytes += eng_arena_blob_bytes(key->size_bytes);
    return true;
}

/* A segment of the chain that has room, or NULL. */
static struct eng_segment *table_roomy(const struct eng_table *table, uint32_t unit)
{
    while (unit != 0) {
        struct eng_segment *segment = eng_table_segment(table, unit);
        if (segment->count < table->layout.limit) return segment;
        unit = segment->next;
    }
    return NULL;
}

/* Puts in a key that is not there. NULL: the arena refused, and nothing changed but, perhaps, which
 * segment an entry is in. */
static void *table_insert_one(struct eng_table *table, const struct eng_segment_key *key)
{
    if (!table->layout.hash_is_stored)
        CHECK(key->hash == eng_segment_wide_word(shm_hash(key->bytes, key->size_bytes)));
    struct eng_segment *segment;
    for (;;) {
        uint64_t index = eng_table_index(table, key->hash);
        if (table->directory[index].segment == 0 && !eng_table_create_segment(table, index))
            return NULL;
        CHECK(table->directory[index].epoch == eng_arena_epoch(table->arena)); /* [T3] */
        segment = table_roomy(table, table->directory[index].segment);
        if (segment != NULL) break;
        if (!eng_table_grow(table, key->hash)) return NULL;
    }
    struct eng_segment_text text, *text_used = NULL;
    if (table->layout.key_bytes == 0) {
        if (!table_make_text(table, key, &text)) return NULL;
        text_used = &text;
    }
    void *value = eng_segment_insert(&table->layout, segment, key, text_used);
    table->count++;
    return value;
}

bool eng_table_remove(struct eng_table *table, uint64_t hash, const void *bytes,
                      uint32_t key_bytes)
{
    struct eng_segment_key key = table_key(table, hash, bytes, key_bytes);
    if (table_find_one(table, &key) == NULL) return false;
    uint64_t index = eng_table_index(table, key.hash);
    if (table->directory[index].epoch != eng_arena_epoch(table->arena))
        eng_table_writable(table, index);

    struct eng_segment *segment = eng_table_segment(table, table->directory[index].segment);
    int32_t slot;
    while ((slot = eng_segment_seek(&table->layout, segment, &key)) < 0) {
        CHECK(segment->next != 0); /* it was found above */
        segment = eng_table_segment(table, segment->next);
    }
    table_free_key(table, segment, (uint32_t)slot);
    eng_segment_remove(&table->layout, segment, (uint32_t)slot);
    CHECK(table->count > 0);
    table->count--;
    if (segment->count == 0) eng_table_drop_segment(table, index, segment);
    return true;
}

/* ---- Batches --------------------------------------------------------------------------------- */

struct table_batch {
    uint32_t count;
    const uint64_t *hashes;
    const void *const *keys;
    const uint32_t *key_sizes;
    void **values; /* of a key that is still ahead: its home block */
    uint32_t missed; /* keys that were not in their home block */
    uint64_t inserted[ENG_TABLE_BATCH_MAX / 64]; /* a bit for each key that was new */
};

static struct eng_segment_key table_batch_key(const struct eng_table *table,
                                              const struct table_batch *batch, uint32_t i)
{
    return table_key(table, batch->hashes[i], batch->keys[i],
                     batch->key_sizes == NULL ? 0 : batch->key_sizes[i]);
}

static enum table_kind table_kind_of(const struct eng_table *table)
{
    const struct eng_segment_layout *layout = &table->layout;
    if (!layout->narrow) return TABLE_WIDE;
    if (layout->key_bytes != 8) return TABLE_NARROW;
    return layout->body_bytes == 8 ? TABLE_LINE : TABLE_NARROW_8;
}

/* What the loops need of the table, in registers rather than behind a pointer. */
struct table_view {
    const struct eng_table_entry *directory;
    uint64_t directory_count, directory_first;
    char *blocks_base; /* of a segment at the arena's base */
    uint32_t shift, epoch, blocks, block_bytes, body_bytes, size_bytes;
    bool second; /* looks twice at what comes */
};

static inline __attribute__((always_inline)) struct table_view
table_look(const struct eng_table *table, enum table_kind kind)
{
    uint32_t line_bytes = ENG_SEGMENT_WORDS_BYTES + ENG_SEGMENT_SLOTS * 8;
    return (struct table_view){
        .directory = table->directory,
        .directory_count = table->directory_count,
        .directory_first = table->directory_first,
        .blocks_base = table->base + ENG_SEGMENT_HEADER_BYTES,
        .shift = 64 - table->depth,
        .epoch = (uint32_t)eng_arena_epoch(table->arena),
        .blocks = table->layout.blocks,
        .block_bytes = kind == TABLE_LINE ? line_bytes : table->layout.block_bytes,
        .body_bytes = kind == TABLE_LINE ? 8 : table->layout.body_bytes,
        .size_bytes = table->layout.size_bytes,
        .second = (kind == TABLE_WIDE || table->misses) && table->bytes > TABLE_COLD_BYTES,
    };
}

/* The home block of a hash, prefetched; `writes` is NULL for reading. Where there is no segment it
 * lies in the arena's unit 0, which reads as empty. */
static inline __attribute__((always_inline)) char *
table_home(const struct table_view *view, struct eng_table *writes, uint64_t hash)
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
table_word(const struct eng_table *table, enum table_kind kind, uint64_t hash, const void *key)
{
    if (kind == TABLE_WIDE) return eng_segment_wide_word(hash);
    return eng_segment_narrow_word(key, kind == TABLE_NARROW ? table->layout.key_bytes : 8);
}

/* The value of key i if it is in that block, else NULL. */
static inline __attribute__((always_inline)) void *
table_probe(const struct eng_table *table, enum table_kind kind, uint32_t body_bytes,
            const struct table_batch *batch, uint32_t i, uint64_t word, char *block)
{
    uint32_t hits = eng_segment_match(block, word);
    if (__builtin_expect(hits == 0, 0)) return NULL;
    char *body = block + ENG_SEGMENT_WORDS_BYTES + (uint64_t)eng_segment_first(hits) * body_bytes;
    if (kind == TABLE_WIDE) {
        uint32_t size_bytes = batch->key_sizes == NULL ? 0 : batch->key_sizes[i];
        if (!eng_segment_is_key(&table->layout, body, batch->keys[i], size_bytes)) return NULL;
        body += table->layout.value_offset;
    }
    if (kind != TABLE_LINE) __builtin_prefetch(body, 1);
    return body;
}

/* Begins the look-up of key i: its home block goes to values[i]. */
static inline __attribute__((always_inline)) void
table_start(const struct table_view *view, struct eng_table *writes,
            const struct table_batch *batch, uint32_t i)
{
    batch->values[i] = table_home(view, writes, batch->hashes[i]);
}

/* The home block of key i has come: fetches what its look-up reads next. That is a body in a wide
 * table; the next block where this one is full and has not got it; and if it is not there, the
 * segment's header, for all headers fall into the same few sets of the caches. In a narrow table it
 * costs more than it gains, unless many keys are new or displaced. */
static inline __attribute__((always_inline)) void
table_second(const struct eng_table *table, const struct table_view *view, enum table_kind kind,
             const struct table_batch *batch, uint32_t i)
{
    char *block = batch->values[i];
    uint64_t word = table_word(table, kind, batch->hashes[i], batch->keys[i]);
    uint32_t hits = eng_segment_match(block, word);
    if (kind == TABLE_WIDE || (kind != TABLE_LINE && view->block_bytes > 64)) {
        uint32_t index = hits == 0 ? 0 : eng_segment_first(hits);
        __builtin_prefetch(block + ENG_SEGMENT_WORDS_BYTES + index * view->body_bytes, 1);
    }
    uint32_t stays = hits | eng_segment_match(block, 0);
    if (stays == 0)
        for (uint32_t step = 1; step <= TABLE_STEPS_AHEAD; step++)
            __builtin_prefetch(block + step * view->block_bytes, 1);
    uint64_t offset = (uint64_t)(block - view->blocks_base) & (view->size_bytes - 1);
    __builtin_prefetch(block - (hits == 0 ? offset + ENG_SEGMENT_HEADER_BYTES : 0), 1);
}

/* Goes on where the home block of key i did not have it: the value, or NULL with the block in
 * *room that has an empty slot for it. NULL and NULL: the slow way decides. */
static inline __attribute__((always_inline)) void *
table_displaced(const struct eng_table *table, enum table_kind kind, const struct table_batch *batch,
                uint32_t i, char **room)
{
    const struct eng_segment_layout *layout = &table->layout;
    uint32_t block_bytes = layout->block_bytes, body_bytes = layout->body_bytes;
    uint64_t word = table_word(table, kind, batch->hashes[i], batch->keys[i]);
    char *block = batch->values[i];
    *room = NULL;
    if (kind != TABLE_WIDE && word == 0) return NULL;
    /* Equal hashes of different keys are for the slow way. */
    if (kind == TABLE_WIDE && eng_segment_match(block, word) != 0) return NULL;
    uint64_t offset = (uint64_t)(block - table->base) & (layout->size_bytes - 1);
    char *segment = block - offset, *end = eng_segment_block(
                                        layout, (struct eng_segment *)(void *)segment, layout->blocks);
    while (eng_segment_match(block, 0) == 0) {
        __builtin_prefetch(block + TABLE_STEPS_AHEAD * block_bytes, 1);
        block += block_bytes;
        if (block == end) block = segment + ENG_SEGMENT_HEADER_BYTES;
        void *value = table_probe(table, kind, body_bytes, batch, i, word, block);
        if (value != NULL) return value;
        if (kind == TABLE_WIDE && eng_segment_match(block, word) != 0) return NULL;
    }
    *room = block;
    return NULL;
}

/* Looks up again what growth has moved: keys before i whose value lay where entries were taken
 * from, all of them if that was more than one place. */
static void table_find_moved(struct eng_table *table, struct table_batch *batch, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++) {
        uint64_t offset = (uint64_t)((char *)batch->values[j] - table->moved_from);
        if (table->moves == 1 && offset >= table->moved_from_bytes) continue;
        struct eng_segment_key key = table_batch_key(table, batch, j);
        batch->values[j] = table_find_one(table, &key);
        CHECK(batch->values[j] != NULL);
    }
    table->moves = 0;
}

/* The slow way for key i: in overflow, or new and perhaps without room. False: the arena refused. */
static __attribute__((noinline)) bool table_upsert_slow(struct eng_table *table,
                                                        struct table_batch *batch, uint32_t i)
{
    struct eng_segment_key key = table_batch_key(table, batch, i);
    batch->values[i] = table_find_one(table, &key);
    if (batch->values[i] != NULL) return true;
    batch->values[i] = table_insert_one(table, &key);
    if (batch->values[i] == NULL) return false;
    batch->inserted[i / 64] |= (uint64_t)1 << i % 64;
    return true;
}

/* For key i, whose home block does not have it: displaced, or new and where it goes is known once
 * the search has ended [S1]. False: the arena refused. */
static inline __attribute__((always_inline)) bool
table_upsert_missed(struct eng_table *table, enum table_kind kind, struct table_batch *batch,
                    uint32_t i)
{
    char *room;
    void *value = table_displaced(table, kind, batch, i, &room);
    if (value != NULL) {
        batch->values[i] = value;
        return true;
    }
    uint64_t hash = batch->hashes[i];
    struct eng_table_entry entry = table->directory[eng_table_index(table, hash)];
    struct eng_segment *segment = eng_table_segment(table, entry.segment);
    if (room == NULL || entry.segment == 0 || segment->next != 0 ||
        segment->count >= table->layout.limit)
        return table_upsert_slow(table, batch, i);
    /* The range has got its first segment since the look-up began. */
    if ((uint64_t)(room - (char *)segment) >= table->layout.size_bytes)
        return table_upsert_slow(table, batch, i);
    CHECK(entry.epoch == eng_arena_epoch(table->arena)); /* [T3] */

    uint64_t word = table_word(table, kind, hash, batch->keys[i]);
    struct eng_segment_key key;
    struct eng_segment_text text;
    if (kind != TABLE_WIDE) {
        CHECK(hash == shm_hash(&word, kind == TABLE_NARROW ? table->layout.key_bytes : 8));
    } else {
        key = table_batch_key(table, batch, i);
        if (!table->layout.hash_is_stored) CHECK(hash == shm_hash(key.bytes, key.size_bytes));
        if (table->layout.key_bytes == 0 && !table_make_text(table, &key, &text)) return false;
    }
    uint32_t body_bytes = kind == TABLE_LINE ? 8 : table->layout.body_bytes;
    uint32_t index = eng_segment_first(eng_segment_match(room, 0));
    char *body = room + ENG_SEGMENT_WORDS_BYTES + (uint64_t)index * body_bytes;
    ((uint64_t *)(void *)room)[index] = word;
    memset(body, 0, body_bytes);
    if (kind == TABLE_WIDE) {
        if (table->layout.key_bytes == 0) memcpy(body, &text, sizeof text);
        else memcpy(body, key.bytes, key.size_bytes);
        body += table->layout.value_offset;
    }
    segment->count++;
    table->count++;
    batch->inserted[i / 64] |= (uint64_t)1 << i % 64;
    batch->values[i] = body;
    return true;
}

#define TABLE_MISSED(name, kind)                                                                   \
    static __attribute__((noinline)) bool name(struct eng_table *table, struct table_batch *batch, \
                                               uint32_t i)                                         \
    {                                                                                              \
        return table_upsert_missed(table, kind, batch, i);                                         \
    }
TABLE_MISSED(table_missed_line, TABLE_LINE)
TABLE_MISSED(table_missed_narrow_8, TABLE_NARROW_8)
TABLE_MISSED(table_missed_narrow, TABLE_NARROW)
TABLE_MISSED(table_missed_wide, TABLE_WIDE)

static inline __attribute__((always_inline)) bool
table_missed(struct eng_table *table, enum table_kind kind, struct table_batch *batch, uint32_t i)
{
    if (kind == TABLE_LINE) return table_missed_line(table, batch, i);
    if (kind == TABLE_NARROW_8) return table_missed_narrow_8(table, batch, i);
    if (kind == TABLE_NARROW) return table_missed_narrow(table, batch, i);
    return table_missed_wide(table, batch, i);
}

/* Growth has moved entries: looks again at where the next keys are, and at those before. */
static __attribute__((noinline)) void table_moved(struct eng_table *table, enum table_kind kind,
                                                  struct table_batch *batch, uint32_t i)
{
    table_find_moved(table, batch, i);
    struct table_view view = table_look(table, kind);
    for (uint32_t j = i + 1; j < batch->count && j <= i + TABLE_AHEAD; j++)
        table_start(&view, table, batch, j);
}

/* Ends the look-up of key i. False: the arena refused. */
static inline __attribute__((always_inline)) bool
table_upsert_one(struct eng_table *table, enum table_kind kind, const struct table_batch *lanes,
                 struct table_batch *batch, uint32_t i, struct table_view *view)
{
    uint64_t word = table_word(table, kind, lanes->hashes[i], lanes->keys[i]);
    void *value = table_probe(table, kind, view->body_bytes, lanes, i, word, lanes->values[i]);
    if (__builtin_expect(value != NULL && (kind == TABLE_WIDE || word != 0), 1)) {
        lanes->values[i] = value;
        return true;
    }
    batch->missed++;
    if (!table_missed(table, kind, batch, i)) return false;
    if (__builtin_expect(table->moves != 0, 0)) {
        table_moved(table, kind, batch, i);
        *view = table_look(table, kind);
    }
    return true;
}

static inline __attribute__((always_inline)) bool
table_upsert_run(struct eng_table *table, enum table_kind kind, struct table_batch *batch)
{
    struct table_view view = table_look(table, kind);
    const struct table_batch lanes = *batch; /* where its arrays are, in registers */
    bool second = view.second;
    uint32_t count = batch->count, i = 0, started = count < TABLE_AHEAD ? count : TABLE_AHEAD;
    for (uint32_t j = 0; j < started; j++)
        table_start(&view, table, &lanes, j);

    if (second) {
        for (; i + TABLE_AHEAD < count; i++) {
            table_start(&view, table, &lanes, i + TABLE_AHEAD);
            table_second(table, &view, kind, &lanes, i + TABLE_SECOND_AHEAD);
            if (!table_upsert_one(table, kind, &lanes, batch, i, &view)) return false;
        }
    } else {
        for (; i + TABLE_AHEAD < count; i++) {
            table_start(&view, table, &lanes, i + TABLE_AHEAD);
            if (!table_upsert_one(table, kind, &lanes, batch, i, &view)) return false;
        }
    }
    for (; i < count; i++) {
        if (second && i + TABLE_SECOND_AHEAD < count)
            table_second(table, &view, kind, &lanes, i + TABLE_SECOND_AHEAD);
        if (!table_upsert_one(table, kind, &lanes, batch, i, &view)) return false;
    }
    return true;
}

/* The arena refused in the middle of a batch: takes out what the batch put in. */
static void table_undo(struct eng_table *table, const struct table_batch *batch)
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
    struct table_batch batch = {
        .count = count, .hashes = hashes, .keys = keys, .key_sizes = key_sizes, .values = values};
    table->moves = 0;
    bool done = false;
    switch (table_kind_of(table)) {
    case TABLE_LINE: done = table_upsert_run(table, TABLE_LINE, &batch); break;
    case TABLE_NARROW_8: done = table_upsert_run(table, TABLE_NARROW_8, &batch); break;
    case TABLE_NARROW: done = table_upsert_run(table, TABLE_NARROW, &batch); break;
    case TABLE_WIDE: done = table_upsert_run(table, TABLE_WIDE, &batch); break;
    }
    table->misses = batch.missed * TABLE_MISSED_PART > count; /* a guess at the next batch */
    if (!done) table_undo(table, &batch);
    return done;
}

/* For key i, whose home block does not have it. */
static __attribute__((noinline)) void *table_find_missed(const struct eng_table *table,
                                                         const struct table_batch *batch, uint32_t i)
{
    struct eng_segment_key key = table_batch_key(table, batch, i);
    return table_find_one(table, &key);
}

static inline __attribute__((always_inline)) void
table_find_run(const struct eng_table *table, enum table_kind kind, const struct table_batch *batch)
{
    struct table_view view = table_look(table, kind);
    uint32_t count = batch->count, started = count < TABLE_AHEAD ? count : TABLE_AHEAD;
    for (uint32_t i = 0; i < started; i++)
        table_start(&view, NULL, batch, i);

    for (uint32_t i = 0; i < count; i++) {
        if (i + TABLE_AHEAD < count) table_start(&view, NULL, batch, i + TABLE_AHEAD);
        if (view.second && i + TABLE_SECOND_AHEAD < count)
            table_second(table, &view, kind, batch, i + TABLE_SECOND_AHEAD);
        uint64_t word = table_word(table, kind, batch->hashes[i], batch->keys[i]);
        void *value = table_probe(table, kind, view.body_bytes, batch, i, word, batch->values[i]);
        if (__builtin_expect(value == NULL || (kind != TABLE_WIDE && word == 0), 0))
            value = table_find_missed(table, batch, i);
        batch->values[i] = value;
    }
}

void eng_table_find(const struct eng_table *table, uint32_t count, const uint64_t *hashes,
                    const void *const *keys, const uint32_t *key_sizes, void **values)
{
    CHECK(count <= ENG_TABLE_BATCH_MAX);
    CHECK(table->layout.key_bytes != 0 || key_sizes != NULL || count == 0);
    const struct table_batch batch = {
        .count = count, .hashes = hashes, .keys = keys, .key_sizes = key_sizes, .values = values};
    switch (table_kind_of(table)) {
    case TABLE_LINE: table_find_run(table, TABLE_LINE, &batch); break;
    case TABLE_NARROW_8: table_find_run(table, TABLE_NARROW_8, &batch); break;
    case TABLE_NARROW: table_find_run(table, TABLE_NARROW, &batch); break;
    case TABLE_WIDE: table_find_run(table, TABLE_WIDE, &batch); break;
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

/* ---- Facts ----------------------------------------------------------------------------------- */

uint64_t eng_table_count(const struct eng_table *table)
{
    return table->count;
}

uint64_t eng_table_bytes(const struct eng_table *table)
{
    return table->bytes;
}

const char *eng_table_name(const struct eng_table *table)
{
    return table->name;
}

struct eng_arena *eng_table_arena(const struct eng_table *table)
{
    return table->arena;
}

uint32_t eng_table_key_bytes(const struct eng_table *table)
{
    return table->layout.key_bytes;
}

uint32_t eng_table_value_bytes(const struct eng_table *table)
{
    return table->layout.value_bytes;
}

void eng_table_set_epoch(struct eng_table *table, uint64_t epoch)
{
    eng_arena_set_epoch(table->arena, epoch);
}

void eng_table_statistics(const struct eng_table *table, struct eng_table_statistics *statistics)
{
    *statistics = table->statistics;
    statistics->directory_entries = table->directory_count;
}
