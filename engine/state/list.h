/* engine/state/list.h: elements of any size under one key, in the order of appending.
 *
 * A head of 16 bytes in the key's entry; all zeros: empty. Elements lie in chunks, blobs of the
 * arena that are linked in a ring:
 *
 *      head { last, count }
 *               |
 *      first <--+-> [chunk | element | element | (removed) | element | free ]     64 B to 4 KiB
 *
 *      element      [ stamp 8, where asked for ][ size 4, where its chunk begins 4 ][ bytes ... ]
 *
 * The first chunks are as small as their element, later ones double up to 4 KiB; an element that
 * is larger has its own. Appending is O(1), and so is removing: an element is marked, and its chunk
 * is given back when nothing is left in it. Elements never move: a pointer to one is good until it
 * is removed. Bytes are aligned to 8, may be changed in place, and 0 of them are an element, too.
 *
 * A list is stamped or not, all of it: the first append decides, the same call must be used until
 * the list is empty again. The stamp is the caller's, for times to live.
 *
 * A walk that removes the element at hand goes on with what eng_list_remove returns:
 *
 *     void *element = eng_list_next(list, NULL, NULL);
 *     while (element != NULL)
 *         element = unwanted(element) ? eng_list_remove(arena, list, element)
 *                                     : eng_list_next(list, element, NULL);
 *
 * What elements point to is the caller's to free. The head may be moved as bytes, with its entry.
 * In an image a list may be read and walked.
 */
#ifndef ENG_STATE_LIST_H
#define ENG_STATE_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/state/arena.h"

struct eng_list {
    void *last; /* chunk; NULL: empty */
    uint64_t count;
};

/* Copies `size_bytes` at `bytes`; NULL bytes: the caller fills the element. *at (may be NULL) is
 * the element. False: the arena refused, nothing changed. */
bool eng_list_append(struct eng_arena *arena, struct eng_list *list, const void *bytes,
                     uint32_t size_bytes, void **at);
bool eng_list_append_stamped(struct eng_arena *arena, struct eng_list *list, const void *bytes,
                             uint32_t size_bytes, int64_t stamp, void **at);

/* The element after `previous`, the first after NULL; NULL after the last. size_bytes may be NULL.
 */
void *eng_list_next(const struct eng_list *list, const void *previous, uint32_t *size_bytes);

/* Removes an element; returns the one that followed it, or NULL. */
void *eng_list_remove(struct eng_arena *arena, struct eng_list *list, void *element);

void eng_list_clear(struct eng_arena *arena, struct eng_list *list); /* zeros then */
uint64_t eng_list_bytes(const struct eng_list *list); /* in the arena, beyond the head; O(1) */

static inline uint64_t eng_list_count(const struct eng_list *list)
{
    return list->count;
}

static inline uint32_t eng_list_size(const void *element)
{
    return ((const uint32_t *)element)[-2];
}

/* Of an element of a stamped list; may be written. */
static inline int64_t *eng_list_stamp(const void *element)
{
    return (int64_t *)(uintptr_t)element - 2;
}

#endif
