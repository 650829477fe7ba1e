/* engine/state/dict.h: small keys to values, under one key.
 *
 * A head of 16 bytes in the outer key's entry; all zeros: empty. Keys are int64 or bytes of any
 * size (the number 5 and the text "5" are different keys); values have one fixed size for all of a
 * dict, which its owner knows and passes in (value_bytes).
 *
 * Elements lie side by side, in no gaps: a new one behind the last, and where one is removed the
 * last one takes its place. Up to 16 of them are one blob that is searched from end to end. Beyond
 * that they lie in chunks of 64, and two tables (table.h), for numbers and for bytes, tell where a
 * key's element is; so a million elements cost what a table costs.
 *
 *      packed   [ bytes of keys | room ][ key 16 | value ][ key 16 | value ] ...
 *      indexed  { count, chunks, numbers, texts } -> [ key 16 | value ] ...    -> key: position
 *
 * A value is aligned to 8, zeroed when it is new, and must not be kept: it may move when the dict
 * changes (upsert or removal of any key). From a value its key is found again: eng_dict_key_of.
 *
 * A walk goes from the last element to the first. It may remove the element at hand, that is, the
 * one last returned, and no other; it may look up and write any, and add none.
 *
 *     struct eng_dict_walk walk = {0};
 *     while ((value = eng_dict_next(dict, &walk)) != NULL)
 *         if (unwanted(value)) {
 *             struct eng_dict_key key = eng_dict_key_of(dict, value);
 *             eng_dict_remove(arena, dict, &key);
 *         }
 *
 * What values point to is the caller's to free. The head may be moved as bytes, with its entry. In
 * an image a dict may be read and walked.
 */
#ifndef ENG_STATE_DICT_H
#define ENG_STATE_DICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/state/arena.h"

enum { ENG_DICT_VALUE_BYTES_MAX = 4080 }; /* what is larger is a blob */

enum { ENG_DICT_INDEXED = INT32_MAX };

struct eng_dict {
    void *store; /* NULL: empty */
    uint32_t value_bytes;
    uint32_t packed; /* how many elements are; ENG_DICT_INDEXED: they are not */
};

struct eng_dict_key {
    int64_t number;
    const void *bytes;   /* NULL: the number */
    uint32_t size_bytes; /* of bytes */
};

static inline struct eng_dict_key eng_dict_number(int64_t number)
{
    return (struct eng_dict_key){.number = number};
}

/* The empty text is a key, too, even where bytes is NULL. */
static inline struct eng_dict_key eng_dict_text(const void *bytes, uint32_t size_bytes)
{
    return (struct eng_dict_key){.bytes = bytes != NULL ? bytes : "", .size_bytes = size_bytes};
}

/* NULL: it is not there. May be written to. */
void *eng_dict_find(const struct eng_dict *dict, const struct eng_dict_key *key);

/* Finds or inserts. *added (may be NULL) tells which. NULL: the arena refused, nothing changed.
 * value_bytes is at most ENG_DICT_VALUE_BYTES_MAX, may be 0, and is always the same for one dict.
 * The key is copied. */
void *eng_dict_upsert(struct eng_arena *arena, struct eng_dict *dict, uint32_t value_bytes,
                      const struct eng_dict_key *key, bool *added);

/* False: it was not there. The key may be one from eng_dict_key_of. */
bool eng_dict_remove(struct eng_arena *arena, struct eng_dict *dict,
                     const struct eng_dict_key *key);

/* The key of a value of this dict; its bytes are the dict's, good as long as the value is. */
struct eng_dict_key eng_dict_key_of(const struct eng_dict *dict, const void *value);

void eng_dict_clear(struct eng_arena *arena, struct eng_dict *dict); /* zeros then */
uint64_t eng_dict_count(const struct eng_dict *dict);
uint64_t eng_dict_bytes(const struct eng_dict *dict); /* in the arena, beyond the head; O(1) */

/* Where a walk stands: all zeros, at the beginning. */
struct eng_dict_walk {
    uint64_t left; /* elements that come; */
    bool begun;
};

/* The next element's value, or NULL: that was all. For reading; see above. */
void *eng_dict_next(const struct eng_dict *dict, struct eng_dict_walk *walk);

/* Sets a walk so that it goes on behind this value of the dict: for who has kept nothing but the
 * value. The order is the same as long as nothing was inserted. */
void eng_dict_walk_from(const struct eng_dict *dict, struct eng_dict_walk *walk, const void *value);

#endif
