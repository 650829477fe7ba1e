#include "engine/state/dict.h"

#include <string.h>

#include "engine/state/table.h"
#include "shm/check.h"
#include "shm/hash.h"

enum {
    DICT_PACKED_MAX = 16,
    DICT_CHUNK_ELEMENTS = 64,
    DICT_KEY_INLINE_BYTES = 8,
};

/* A key as an element has it. `kind` 0: the number. Else a text of size - 1 bytes more than 0. */
struct dict_key {
    union {
        int64_t number;
        char rest[DICT_KEY_INLINE_BYTES]; /* a text that fits */
        char *blob;
    };
    uint64_t text; /* 0: a number; else its bytes and one */
};

struct dict_packed {
    uint64_t texts_bytes; /* of keys, in the arena */
    uint32_t room;
    uint32_t size_bytes; /* of this blob */
    char elements[];
};

struct dict_indexed {
    uint64_t count;
    uint64_t texts_bytes;
    struct eng_table *numbers, *texts; /* NULL: none yet */
    char **chunks;
    uint32_t chunk_count, chunk_room;
};

/* ---- Elements -------------------------------------------------------------------------------- */

static uint32_t dict_stride(const struct eng_dict *dict)
{
    return (uint32_t)sizeof(struct dict_key) + ((dict->value_bytes + 7) & ~7u);
}

static bool dict_is_indexed(const struct eng_dict *dict)
{
    return dict->packed == ENG_DICT_INDEXED;
}

static struct dict_packed *dict_packed(const struct eng_dict *dict)
{
    return dict->store;
}

static struct dict_indexed *dict_indexed(const struct eng_dict *dict)
{
    return dict->store;
}

static struct dict_key *dict_element(const struct eng_dict *dict, uint64_t index)
{
    uint64_t stride = dict_stride(dict);

    if (!dict_is_indexed(dict))
        return (struct dict_key *)(void *)(dict_packed(dict)->elements + index * stride);
    char *chunk = dict_indexed(dict)->chunks[index / DICT_CHUNK_ELEMENTS];
    return (struct dict_key *)(void *)(chunk + index % DICT_CHUNK_ELEMENTS * stride);
}

static const char *dict_text(const struct dict_key *key, uint64_t *size_bytes)
{
    *size_bytes = key->text - 1;
    return *size_bytes <= DICT_KEY_INLINE_BYTES ? key->rest : key->blob;
}

static bool dict_is(const struct dict_key *key, const struct eng_dict_key *wanted)
{
    uint64_t size_bytes;

    if (!wanted->bytes) return key->text == 0 && key->number == wanted->number;
    if (key->text != (uint64_t)wanted->size_bytes + 1) return false;
    const char *text = dict_text(key, &size_bytes);
    return size_bytes == 0 || memcmp(text, wanted->bytes, size_bytes) == 0;
}

/* False: refused. */
static bool dict_key_make(struct eng_arena *arena, const struct eng_dict_key *from,
                          struct dict_key *to, uint64_t *texts_bytes)
{
    *to = (struct dict_key){.number = from->bytes ? 0 : from->number};
    if (!from->bytes) return true;
    to->text = (uint64_t)from->size_bytes + 1;
    if (from->size_bytes <= DICT_KEY_INLINE_BYTES) {
        if (from->size_bytes > 0) memcpy(to->rest, from->bytes, from->size_bytes);
        return true;
    }
    to->blob = eng_arena_blob(arena, from->size_bytes);
    if (!to->blob) return false;
    memcpy(to->blob, from->bytes, from->size_bytes);
    *texts_bytes += eng_arena_blob_bytes(from->size_bytes);
    return true;
}

static void dict_key_free(struct eng_arena *arena, struct dict_key *key, uint64_t *texts_bytes)
{
    if (key->text <= DICT_KEY_INLINE_BYTES + 1) return;
    *texts_bytes -= eng_arena_blob_bytes(key->text - 1);
    eng_arena_blob_free(arena, key->blob, key->text - 1);
}

struct eng_dict_key eng_dict_key_of(const struct eng_dict *dict, const void *value)
{
    const struct dict_key *key = (const struct dict_key *)value - 1;
    uint64_t size_bytes;

    (void)dict;
    if (key->text == 0) return eng_dict_number(key->number);
    const char *text = dict_text(key, &size_bytes);
    return eng_dict_text(text, (uint32_t)size_bytes);
}

/* ---- The index ------------------------------------------------------------------------------- */

struct dict_lookup {
    struct eng_table *table;
    uint64_t hash;
    const void *bytes;
    uint32_t size_bytes;
};

static struct dict_lookup dict_look(const struct dict_indexed *indexed,
                                    const struct eng_dict_key *key)
{
    struct dict_lookup look = {
        .table = key->bytes ? indexed->texts : indexed->numbers,
        .bytes = key->bytes ? key->bytes : &key->number,
        .size_bytes = key->bytes ? key->size_bytes : 8,
    };
    look.hash = shm_hash(look.bytes, look.size_bytes);
    return look;
}

/* The position of a key; -1: it is not there. */
static int64_t dict_position(const struct eng_dict *dict, const struct eng_dict_key *key)
{
    struct dict_lookup look = dict_look(dict_indexed(dict), key);
    void *position;

    if (!look.table) return -1;
    eng_table_find(look.table, 1, &look.hash, &look.bytes, &look.size_bytes, &position);
    return position ? *(const int64_t *)position : -1;
}

static void dict_move_position(struct dict_indexed *indexed, const struct eng_dict_key *key,
                               int64_t to)
{
    struct dict_lookup look = dict_look(indexed, key);
    void *position;

    eng_table_find_writable(look.table, 1, &look.hash, &look.bytes, &look.size_bytes, &position);
    CHECK(position != NULL);
    *(int64_t *)position = to;
}

/* False: refused. */
static bool dict_add_position(struct eng_arena *arena, struct dict_indexed *indexed,
                              const struct eng_dict_key *key, int64_t at)
{
    struct eng_table **table = key->bytes ? &indexed->texts : &indexed->numbers;
    struct eng_table_spec spec = {
        .name = "dict", .key_bytes = key->bytes ? 0 : 8, .value_bytes = 8};
    void *position;

    if (!*table && eng_table_open(table, arena, &spec) < 0) return false;
    struct dict_lookup look = dict_look(indexed, key);
    if (!eng_table_upsert(look.table, 1, &look.hash, &look.bytes, &look.size_bytes, &position))
        return false;
    *(int64_t *)position = at;
    return true;
}

static void dict_drop_position(struct dict_indexed *indexed, const struct eng_dict_key *key)
{
    struct dict_lookup look = dict_look(indexed, key);

    CHECK(eng_table_remove(look.table, look.hash, look.bytes, look.size_bytes));
}

/* ---- Finding --------------------------------------------------------------------------------- */

uint64_t eng_dict_count(const struct eng_dict *dict)
{
    return dict_is_indexed(dict) ? dict_indexed(dict)->count : dict->packed;
}

static int64_t dict_find(const struct eng_dict *dict, const struct eng_dict_key *key)
{
    if (dict_is_indexed(dict)) return dict_position(dict, key);
    for (uint32_t i = 0; i < dict->packed; i++)
        if (dict_is(dict_element(dict, i), key)) return i;
    return -1;
}

void *eng_dict_find(const struct eng_dict *dict, const struct eng_dict_key *key)
{
    int64_t index = dict_find(dict, key);
    return index < 0 ? NULL : dict_element(dict, (uint64_t)index) + 1;
}

/* ---- Adding ---------------------------------------------------------------------------------- */

/* Room for one more in a packed dict of fewer than DICT_PACKED_MAX. False: refused. */
static bool dict_grow_packed(struct eng_arena *arena, struct eng_dict *dict)
{
    struct dict_packed *old = dict->store;
    uint32_t room = old ? 2 * old->room : 1;

    if (old && dict->packed < old->room) return true;
    uint32_t size_bytes = (uint32_t)sizeof *old + room * dict_stride(dict);
    struct dict_packed *packed = eng_arena_blob(arena, size_bytes);
    if (!packed) return false;
    *packed = (struct dict_packed){.room = room, .size_bytes = size_bytes};
    if (old) {
        packed->texts_bytes = old->texts_bytes;
        memcpy(packed->elements, old->elements, (size_t)dict->packed * dict_stride(dict));
        eng_arena_blob_free(arena, old, old->size_bytes);
    }
    dict->store = packed;
    return true;
}

/* Room for one more in an indexed dict. False: refused. */
static bool dict_grow_indexed(struct eng_arena *arena, struct eng_dict *dict)
{
    struct dict_indexed *indexed = dict->store;

    if (indexed->count < (uint64_t)indexed->chunk_count * DICT_CHUNK_ELEMENTS) return true;
    if (indexed->chunk_count == indexed->chunk_room) {
        uint32_t room = indexed->chunk_room ? 2 * indexed->chunk_room : 4;
        char **chunks = eng_arena_blob(arena, (uint64_t)room * sizeof *chunks);
        if (!chunks) return false;
        if (indexed->chunks) {
            uint64_t old_bytes = (uint64_t)indexed->chunk_room * sizeof *chunks;
            memcpy(chunks, indexed->chunks, old_bytes);
            eng_arena_blob_free(arena, indexed->chunks, old_bytes);
        }
        indexed->chunks = chunks;
        indexed->chunk_room = room;
    }
    char *chunk = eng_arena_blob(arena, (uint64_t)DICT_CHUNK_ELEMENTS * dict_stride(dict));
    if (!chunk) return false;
    indexed->chunks[indexed->chunk_count++] = chunk;
    return true;
}

static void dict_free_indexed(struct eng_arena *arena, struct eng_dict *dict)
{
    struct dict_indexed *indexed = dict->store;

    eng_table_close(indexed->numbers);
    eng_table_close(indexed->texts);
    for (uint32_t i = 0; i < indexed->chunk_count; i++)
        eng_arena_blob_free(arena, indexed->chunks[i],
                            (uint64_t)DICT_CHUNK_ELEMENTS * dict_stride(dict));
    if (indexed->chunks)
        eng_arena_blob_free(arena, indexed->chunks,
                            (uint64_t)indexed->chunk_room * sizeof *indexed->chunks);
    eng_arena_blob_free(arena, indexed, sizeof *indexed);
}

/* From packed to indexed. False: refused, and nothing has changed. */
static bool dict_index(struct eng_arena *arena, struct eng_dict *dict)
{
    struct dict_packed *packed = dict->store;
    struct eng_dict made = {.value_bytes = dict->value_bytes, .packed = ENG_DICT_INDEXED};
    struct dict_indexed *indexed = eng_arena_blob(arena, sizeof *indexed);

    if (!indexed) return false;
    *indexed = (struct dict_indexed){.texts_bytes = packed->texts_bytes};
    made.store = indexed;
    bool good = dict_grow_indexed(arena, &made);
    for (uint32_t i = 0; i < dict->packed && good; i++) {
        struct dict_key *element = dict_element(dict, i);
        struct eng_dict_key key = eng_dict_key_of(dict, element + 1);
        memcpy(dict_element(&made, i), element, dict_stride(dict));
        indexed->count++;
        good = dict_add_position(arena, indexed, &key, i);
    }
    if (!good) {
        dict_free_indexed(arena, &made);
        return false;
    }
    eng_arena_blob_free(arena, packed, packed->size_bytes);
    *dict = made;
    return true;
}

static uint64_t *dict_texts_bytes(struct eng_dict *dict)
{
    return dict_is_indexed(dict) ? &dict_indexed(dict)->texts_bytes
                                 : &dict_packed(dict)->texts_bytes;
}

void *eng_dict_upsert(struct eng_arena *arena, struct eng_dict *dict, uint32_t value_bytes,
                      const struct eng_dict_key *key, bool *added)
{
    struct dict_key made;

    CHECK(value_bytes <= ENG_DICT_VALUE_BYTES_MAX);
    if (!dict->store) dict->value_bytes = value_bytes;
    CHECK(dict->value_bytes == value_bytes);
    void *value = eng_dict_find(dict, key);
    if (added) *added = value == NULL;
    if (value) return value;
    if (dict->packed == DICT_PACKED_MAX && !dict_index(arena, dict)) return NULL;
    if (!(dict_is_indexed(dict) ? dict_grow_indexed(arena, dict) : dict_grow_packed(arena, dict)))
        return NULL;
    if (!dict_key_make(arena, key, &made, dict_texts_bytes(dict))) return NULL;
    uint64_t index = eng_dict_count(dict);
    if (dict_is_indexed(dict)) {
        if (!dict_add_position(arena, dict_indexed(dict), key, (int64_t)index)) {
            dict_key_free(arena, &made, dict_texts_bytes(dict));
            return NULL;
        }
        dict_indexed(dict)->count++;
    } else {
        dict->packed++;
    }
    struct dict_key *element = dict_element(dict, index);
    *element = made;
    memset(element + 1, 0, dict_stride(dict) - sizeof *element);
    return element + 1;
}

/* ---- Removing -------------------------------------------------------------------------------- */

/* The last element takes the place of one that goes. */
static void dict_fill(struct eng_dict *dict, uint64_t index)
{
    uint64_t last = eng_dict_count(dict) - 1;

    if (index == last) return;
    struct dict_key *from = dict_element(dict, last), *to = dict_element(dict, index);
    memcpy(to, from, dict_stride(dict));
    if (!dict_is_indexed(dict)) return;
    struct eng_dict_key key = eng_dict_key_of(dict, to + 1);
    dict_move_position(dict_indexed(dict), &key, (int64_t)index);
}

static void dict_shrink(struct eng_arena *arena, struct eng_dict *dict)
{
    struct dict_indexed *indexed = dict->store;

    if (!dict_is_indexed(dict)) {
        dict->packed--;
        return;
    }
    indexed->count--;
    /* One spare chunk stays, against a dict that goes up and down at a border. */
    if (indexed->count + 2 * DICT_CHUNK_ELEMENTS <=
        (uint64_t)indexed->chunk_count * DICT_CHUNK_ELEMENTS)
        eng_arena_blob_free(arena, indexed->chunks[--indexed->chunk_count],
                            (uint64_t)DICT_CHUNK_ELEMENTS * dict_stride(dict));
}

bool eng_dict_remove(struct eng_arena *arena, struct eng_dict *dict, const struct eng_dict_key *key)
{
    int64_t found = dict_find(dict, key);

    if (found < 0) return false;
    struct dict_key going = *dict_element(dict, (uint64_t)found);
    if (dict_is_indexed(dict)) dict_drop_position(dict_indexed(dict), key);
    dict_fill(dict, (uint64_t)found);
    dict_shrink(arena, dict);
    dict_key_free(arena, &going, dict_texts_bytes(dict)); /* last: `key` may lie there */
    if (eng_dict_count(dict) == 0) eng_dict_clear(arena, dict);
    return true;
}

void eng_dict_clear(struct eng_arena *arena, struct eng_dict *dict)
{
    uint64_t texts_bytes = UINT64_MAX;

    if (!dict->store) return;
    for (uint64_t i = 0; i < eng_dict_count(dict); i++)
        dict_key_free(arena, dict_element(dict, i), &texts_bytes);
    if (dict_is_indexed(dict))
        dict_free_indexed(arena, dict);
    else
        eng_arena_blob_free(arena, dict->store, dict_packed(dict)->size_bytes);
    *dict = (struct eng_dict){0};
}

/* ---- Walking and counting -------------------------------------------------------------------- */

uint64_t eng_dict_bytes(const struct eng_dict *dict)
{
    const struct dict_indexed *indexed = dict->store;

    if (!dict->store) return 0;
    if (!dict_is_indexed(dict))
        return eng_arena_blob_bytes(dict_packed(dict)->size_bytes) + dict_packed(dict)->texts_bytes;
    uint64_t bytes = eng_arena_blob_bytes(sizeof *indexed) + indexed->texts_bytes;
    if (indexed->chunks)
        bytes += eng_arena_blob_bytes((uint64_t)indexed->chunk_room * sizeof *indexed->chunks);
    bytes += indexed->chunk_count *
             eng_arena_blob_bytes((uint64_t)DICT_CHUNK_ELEMENTS * dict_stride(dict));
    if (indexed->numbers) bytes += eng_table_bytes(indexed->numbers);
    if (indexed->texts) bytes += eng_table_bytes(indexed->texts);
    return bytes;
}

void *eng_dict_next(const struct eng_dict *dict, struct eng_dict_walk *walk)
{
    if (!walk->begun) {
        walk->begun = true;
        walk->left = eng_dict_count(dict);
    }
    if (walk->left == 0) return NULL;
    return dict_element(dict, --walk->left) + 1;
}

void eng_dict_walk_from(const struct eng_dict *dict, struct eng_dict_walk *walk, const void *value)
{
    struct eng_dict_key key = eng_dict_key_of(dict, value);
    int64_t index = dict_find(dict, &key);

    CHECK(index >= 0);
    *walk = (struct eng_dict_walk){.left = (uint64_t)index, .begun = true};
}
