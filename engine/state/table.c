#include "engine/state/table.h"

#include <errno.h>

#include "engine/state/table_inside.h"

_Static_assert((int)ENG_TABLE_ENTRY_BYTES_MAX == (int)ENG_SEGMENT_BODY_BYTES_MAX, "one limit");

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

struct eng_segment_key eng_table_key(const struct eng_table *table, uint64_t hash,
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

void *eng_table_find_one(const struct eng_table *table, const struct eng_segment_key *key)
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

bool eng_table_make_text(struct eng_table *table, const struct eng_segment_key *key,
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

void *eng_table_insert_one(struct eng_table *table, const struct eng_segment_key *key)
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
        if (!eng_table_make_text(table, key, &text)) return NULL;
        text_used = &text;
    }
    void *value = eng_segment_insert(&table->layout, segment, key, text_used);
    table->count++;
    return value;
}

bool eng_table_remove(struct eng_table *table, uint64_t hash, const void *bytes, uint32_t key_bytes)
{
    struct eng_segment_key key = eng_table_key(table, hash, bytes, key_bytes);
    if (eng_table_find_one(table, &key) == NULL) return false;
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
