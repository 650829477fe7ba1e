/* A plain map to compare a table with: keys are made from ids 0..n-1, the map is an array by id.
 * Every value is full of bytes that depend on the id and on how often it was written, so that a
 * value that lands in a wrong place, or only half of it, is seen. */
#ifndef TESTS_STATE_MODEL_H
#define TESTS_STATE_MODEL_H

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/state/table.h"
#include "shm/hash.h"

enum { MODEL_KEY_BYTES_MAX = 1 << 20 };

struct model {
    struct eng_arena *arena;
    struct eng_table *table;
    struct eng_table_spec spec;
    uint64_t (*hash_of)(uint64_t id); /* NULL: shm_hash of the key */
    uint32_t ids;
    uint64_t count;
    uint32_t *version; /* by id; 0: not there */
    char *keys[ENG_TABLE_BATCH_MAX];
    uint64_t random;
};

static inline uint64_t model_random(struct model *model, uint64_t below)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return (model->random * 0x9e3779b97f4a7c15u >> 11) % below;
}

/* Key 0 is all zeros, or empty. Keys of variable size are 0 to 40 bytes, and one is of a megabyte.
 */
static inline uint32_t model_key(const struct model *model, uint64_t id, char *key)
{
    if (model->spec.key_bytes != 0) {
        uint32_t bytes = model->spec.key_bytes;
        memset(key, 0, bytes);
        memcpy(key, &id, bytes < 8 ? bytes : 8);
        for (uint32_t i = 8; i < bytes; i++)
            key[i] = (char)(id * 31 + i * (id != 0));
        return bytes;
    }
    if (id == 0) return 0;
    uint32_t bytes = id == 7 ? MODEL_KEY_BYTES_MAX : 3 + (uint32_t)(id % 38);
    memset(key, 'x', bytes);
    memcpy(key + bytes - 3, &id, 3);
    return bytes;
}

static inline uint64_t model_hash(const struct model *model, uint64_t id, const char *key,
                                  uint32_t key_bytes)
{
    return model->hash_of != NULL ? model->hash_of(id) : shm_hash(key, key_bytes);
}

static inline void model_fill(const struct model *model, uint64_t id, uint32_t version, char *value)
{
    for (uint32_t i = 0; i < model->spec.value_bytes; i++)
        value[i] = version == 0 ? 0 : (char)(id * 7 + version * 13 + i);
}

static inline bool model_value_is(const struct model *model, uint64_t id, uint32_t version,
                                  const void *value)
{
    char expected[ENG_TABLE_ENTRY_BYTES_MAX];
    model_fill(model, id, version, expected);
    return memcmp(value, expected, model->spec.value_bytes) == 0;
}

static inline void model_open(struct model *model, struct eng_table_spec spec, uint32_t ids,
                              uint64_t (*hash_of)(uint64_t))
{
    *model =
        (struct model){.spec = spec, .hash_of = hash_of, .ids = ids, .random = 88172645463325252};
    model->version = calloc(ids, sizeof *model->version);
    for (uint32_t i = 0; i < ENG_TABLE_BATCH_MAX; i++)
        model->keys[i] = malloc(8192);
    if (spec.name == NULL) model->spec.name = "model";
    if (hash_of != NULL) model->spec.hash_is_stored = true;
    CU_ASSERT_EQUAL_FATAL(eng_arena_open(&model->arena, (uint64_t)8 << 30, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_table_open(&model->table, model->arena, &model->spec), 0);
}

static inline void model_close(struct model *model)
{
    eng_table_close(model->table);
    CU_ASSERT_EQUAL(eng_arena_bytes(model->arena), eng_arena_retired_bytes(model->arena));
    CU_ASSERT_TRUE(eng_arena_thaw(model->arena, UINT64_MAX, UINT32_MAX));
    CU_ASSERT_EQUAL(eng_arena_bytes(model->arena), 0);
    eng_arena_close(model->arena);
    for (uint32_t i = 0; i < ENG_TABLE_BATCH_MAX; i++)
        free(model->keys[i]);
    free(model->version);
}

struct model_batch {
    uint32_t count;
    uint32_t ids[ENG_TABLE_BATCH_MAX], sizes[ENG_TABLE_BATCH_MAX];
    uint64_t hashes[ENG_TABLE_BATCH_MAX];
    const void *keys[ENG_TABLE_BATCH_MAX];
    void *values[ENG_TABLE_BATCH_MAX];
};

/* Makes the keys of batch->ids. The key of a megabyte has a place of its own. */
static inline void model_make(struct model *model, struct model_batch *batch)
{
    static char big[MODEL_KEY_BYTES_MAX];
    for (uint32_t i = 0; i < batch->count; i++) {
        char *key = model->spec.key_bytes == 0 && batch->ids[i] == 7 ? big : model->keys[i];
        batch->sizes[i] = model_key(model, batch->ids[i], key);
        batch->keys[i] = key;
        batch->hashes[i] = model_hash(model, batch->ids[i], key, batch->sizes[i]);
    }
}

static inline const uint32_t *model_sizes(const struct model *model,
                                          const struct model_batch *batch)
{
    return model->spec.key_bytes == 0 ? batch->sizes : NULL;
}

/* Upserts and writes the values of a batch; every pointer is looked at before any is written. */
static inline bool model_upsert(struct model *model, struct model_batch *batch)
{
    model_make(model, batch);
    if (!eng_table_upsert(model->table, batch->count, batch->hashes, batch->keys,
                          model_sizes(model, batch), batch->values))
        return false;
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < batch->count; i++)
        wrong +=
            !model_value_is(model, batch->ids[i], model->version[batch->ids[i]], batch->values[i]);
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t *version = &model->version[batch->ids[i]];
        wrong += !model_value_is(model, batch->ids[i], *version, batch->values[i]);
        if (*version == 0) model->count++;
        ++*version;
        model_fill(model, batch->ids[i], *version, batch->values[i]);
        wrong += model->spec.value_align == 16 && (uintptr_t)batch->values[i] % 16 != 0;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(eng_table_count(model->table), model->count);
    return true;
}

static inline void model_find(struct model *model, struct model_batch *batch)
{
    model_make(model, batch);
    eng_table_find(model->table, batch->count, batch->hashes, batch->keys,
                   model_sizes(model, batch), batch->values);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t version = model->version[batch->ids[i]];
        wrong += (batch->values[i] != NULL) != (version != 0);
        if (batch->values[i] != NULL)
            wrong += !model_value_is(model, batch->ids[i], version, batch->values[i]);
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static inline void model_remove(struct model *model, uint32_t id)
{
    struct model_batch batch = {.count = 1, .ids = {id}};
    model_make(model, &batch);
    bool there = model->version[id] != 0;
    CU_ASSERT_EQUAL(eng_table_remove(model->table, batch.hashes[0], batch.keys[0], batch.sizes[0]),
                    there);
    if (there) model->count--;
    model->version[id] = 0;
}

static inline void model_upsert_ids(struct model *model, uint32_t from, uint32_t to)
{
    struct model_batch *batch = calloc(1, sizeof *batch);
    while (from < to) {
        batch->count = 0;
        while (from < to && batch->count < 256)
            batch->ids[batch->count++] = from++;
        CU_ASSERT_TRUE(model_upsert(model, batch));
    }
    free(batch);
}

static inline uint32_t model_id_of(const struct model *model, const void *key, uint32_t key_bytes)
{
    uint64_t id = 0;
    if (model->spec.key_bytes != 0)
        memcpy(&id, key, key_bytes < 8 ? key_bytes : 8);
    else if (key_bytes > 0)
        memcpy(&id, (const char *)key + key_bytes - 3, 3);
    return id < model->ids ? (uint32_t)id : UINT32_MAX;
}

/* Walks the table: every entry of the map once, no other, in order of ranges. And the bytes of the
 * table are the sum of what the walk has seen. */
static inline void model_check(struct model *model)
{
    struct eng_table_statistics statistics;
    eng_table_statistics(model->table, &statistics);
    uint64_t directory = statistics.directory_entries * 8, bytes = 512, entries = 0;
    if (statistics.directory_entries > 2) {
        uint64_t block = 512;
        while (block < directory)
            block *= 2;
        bytes += block <= 65536 ? block : eng_arena_blob_bytes(directory);
    }
    for (uint64_t at = model->spec.hash_first;;) {
        struct eng_table_range range;
        eng_table_range_at(model->table, at, &range);
        CU_ASSERT_EQUAL(range.first, at);
        bytes += range.bytes;
        entries += range.count;
        if (range.last == UINT64_MAX || range.last == model->spec.hash_last) break;
        at = range.last + 1;
    }
    CU_ASSERT_EQUAL(entries, model->count);

    char *seen = calloc(model->ids, 1);
    struct eng_table_walk walk;
    uint64_t hash, range_last = 0, range_first = 0, wrong = 0, walked = 0;
    const void *key;
    uint32_t key_bytes;
    void *value;
    eng_table_walk_all(&walk, model->table);
    while (eng_table_walk_next(&walk, &hash, &key, &key_bytes, &value)) {
        uint32_t id = model_id_of(model, key, key_bytes);
        if (id == UINT32_MAX || seen[id]) {
            wrong++;
            continue;
        }
        seen[id] = 1;
        walked++;
        uint64_t expected = model_hash(model, id, key, key_bytes);
        wrong += hash != expected + (model->hash_of != NULL && expected == 0);
        if (walked == 1 || hash > range_last) {
            struct eng_table_range range;
            eng_table_range_at(model->table, hash, &range);
            wrong += walked > 1 && range.first <= range_last;
            range_first = range.first;
            range_last = range.last;
        }
        wrong += hash < range_first;
        wrong += model->version[id] == 0;
        wrong += !model_value_is(model, id, model->version[id], value);
        if (model->spec.key_bytes == 0 && key_bytes > 12) bytes += eng_arena_blob_bytes(key_bytes);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(walked, model->count);
    CU_ASSERT_EQUAL(eng_table_bytes(model->table), bytes);
    CU_ASSERT_EQUAL(eng_arena_bytes(model->arena), bytes + eng_arena_retired_bytes(model->arena));
    free(seen);
}

#endif
