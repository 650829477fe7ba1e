#include "engine/state/list.h"

#include <string.h>

#include "shm/check.h"

enum {
    LIST_CHUNK_BYTES_MIN = 64,
    LIST_CHUNK_BYTES_MAX = 4096,
    LIST_MARK_BYTES = 8, /* size and place, before the element's bytes */
};
#define LIST_REMOVED (1u << 31) /* in a size */

/* Chunks of a list are a ring. The sizes of all are added up in the last one. */
struct list_chunk {
    struct list_chunk *next, *previous;
    uint64_t all_bytes;  /* of all chunks, in the arena; valid in the last chunk */
    uint32_t size_bytes; /* as allocated, this header included */
    uint32_t used_bytes;
    uint32_t live; /* elements that are not removed */
    uint32_t is_stamped;
    char elements[];
};
_Static_assert(sizeof(struct list_chunk) % 8 == 0, "elements are aligned");

static struct list_chunk *list_last(const struct eng_list *list)
{
    return list->last;
}

static uint32_t list_round(uint32_t bytes)
{
    return (bytes + 7) & ~7u;
}

static uint32_t list_mark_bytes(bool is_stamped)
{
    return LIST_MARK_BYTES + (is_stamped ? 8 : 0);
}

/* ---- Elements -------------------------------------------------------------------------------- */

static uint32_t *list_size_of(const void *element)
{
    return (uint32_t *)(uintptr_t)element - 2;
}

static struct list_chunk *list_chunk_of(const void *element)
{
    return (struct list_chunk *)(void *)((char *)(uintptr_t)element -
                                         ((const uint32_t *)element)[-1]);
}

/* The first element at or behind a place in a chunk, or in the chunks behind it. */
static void *list_from(const struct eng_list *list, struct list_chunk *chunk, uint32_t at)
{
    for (;;) {
        while (at < chunk->used_bytes) {
            char *element = (char *)chunk + at + list_mark_bytes(chunk->is_stamped);
            uint32_t size_bytes = *list_size_of(element);
            if (!(size_bytes & LIST_REMOVED)) return element;
            at = (uint32_t)(element - (char *)chunk) + list_round(size_bytes & ~LIST_REMOVED);
        }
        if (chunk == list_last(list)) return NULL;
        chunk = chunk->next;
        at = sizeof *chunk;
    }
}

void *eng_list_next(const struct eng_list *list, const void *previous, uint32_t *size_bytes)
{
    if (!list->last) return NULL;
    struct list_chunk *chunk = previous ? list_chunk_of(previous) : list_last(list)->next;
    uint32_t at = sizeof *chunk;

    if (previous)
        at = (uint32_t)((const char *)previous - (const char *)chunk) +
             list_round(*list_size_of(previous) & ~LIST_REMOVED);
    void *element = list_from(list, chunk, at);
    if (element && size_bytes) *size_bytes = *list_size_of(element);
    return element;
}

/* ---- Chunks ---------------------------------------------------------------------------------- */

/* A chunk behind the last one, with room for an element of so many bytes, mark included. */
static struct list_chunk *list_add_chunk(struct eng_arena *arena, struct eng_list *list,
                                         uint32_t element_bytes, bool is_stamped)
{
    struct list_chunk *last = list_last(list);
    uint64_t need_bytes = sizeof *last + (uint64_t)element_bytes;
    uint64_t size_bytes = last ? 2 * (uint64_t)last->size_bytes : LIST_CHUNK_BYTES_MIN;

    if (size_bytes > LIST_CHUNK_BYTES_MAX) size_bytes = LIST_CHUNK_BYTES_MAX;
    if (size_bytes < need_bytes) size_bytes = need_bytes;
    if (size_bytes > UINT32_MAX) return NULL;
    struct list_chunk *chunk = eng_arena_blob(arena, size_bytes);
    if (!chunk) return NULL;
    *chunk = (struct list_chunk){
        .size_bytes = (uint32_t)size_bytes,
        .used_bytes = sizeof *chunk,
        .is_stamped = is_stamped,
        .all_bytes = eng_arena_blob_bytes(size_bytes) + (last ? last->all_bytes : 0),
    };
    chunk->next = last ? last->next : chunk;
    chunk->previous = last ? last : chunk;
    chunk->next->previous = chunk;
    chunk->previous->next = chunk;
    list->last = chunk;
    return chunk;
}

static void list_drop_chunk(struct eng_arena *arena, struct eng_list *list,
                            struct list_chunk *chunk)
{
    struct list_chunk *last = list_last(list);
    uint64_t left_bytes = last->all_bytes - eng_arena_blob_bytes(chunk->size_bytes);

    chunk->next->previous = chunk->previous;
    chunk->previous->next = chunk->next;
    if (chunk->next == chunk)
        list->last = NULL;
    else if (chunk == last)
        list->last = chunk->previous;
    if (list->last) list_last(list)->all_bytes = left_bytes;
    eng_arena_blob_free(arena, chunk, chunk->size_bytes);
}

/* ---- Appending and removing ------------------------------------------------------------------ */

static bool list_append(struct eng_arena *arena, struct eng_list *list, const void *bytes,
                        uint32_t size_bytes, bool is_stamped, void **at)
{
    struct list_chunk *chunk = list_last(list);
    uint32_t mark_bytes = list_mark_bytes(is_stamped);

    CHECK(size_bytes < LIST_REMOVED - 4096);
    uint32_t element_bytes = mark_bytes + list_round(size_bytes);
    if (chunk) CHECK((chunk->is_stamped != 0) == is_stamped);
    if (!chunk || chunk->size_bytes - chunk->used_bytes < element_bytes) {
        chunk = list_add_chunk(arena, list, element_bytes, is_stamped);
        if (!chunk) return false;
    }
    char *element = (char *)chunk + chunk->used_bytes + mark_bytes;
    *list_size_of(element) = size_bytes;
    ((uint32_t *)(void *)element)[-1] = chunk->used_bytes + mark_bytes;
    if (bytes && size_bytes > 0) memcpy(element, bytes, size_bytes);
    chunk->used_bytes += element_bytes;
    chunk->live++;
    list->count++;
    if (at) *at = element;
    return true;
}

bool eng_list_append(struct eng_arena *arena, struct eng_list *list, const void *bytes,
                     uint32_t size_bytes, void **at)
{
    return list_append(arena, list, bytes, size_bytes, false, at);
}

bool eng_list_append_stamped(struct eng_arena *arena, struct eng_list *list, const void *bytes,
                             uint32_t size_bytes, int64_t stamp, void **at)
{
    void *element;

    if (!list_append(arena, list, bytes, size_bytes, true, &element)) return false;
    *eng_list_stamp(element) = stamp;
    if (at) *at = element;
    return true;
}

void *eng_list_remove(struct eng_arena *arena, struct eng_list *list, void *element)
{
    struct list_chunk *chunk = list_chunk_of(element);
    void *next = eng_list_next(list, element, NULL);

    CHECK(!(*list_size_of(element) & LIST_REMOVED));
    CHECK(chunk->live > 0);
    *list_size_of(element) |= LIST_REMOVED;
    list->count--;
    if (--chunk->live == 0) list_drop_chunk(arena, list, chunk);
    CHECK((list->count == 0) == (list->last == NULL));
    return next;
}

void eng_list_clear(struct eng_arena *arena, struct eng_list *list)
{
    while (list->last)
        list_drop_chunk(arena, list, list_last(list));
    list->count = 0;
}

uint64_t eng_list_bytes(const struct eng_list *list)
{
    return list->last ? list_last(list)->all_bytes : 0;
}
