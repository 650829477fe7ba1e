/* engine/state/dict.h: small keys to values, under one key.
 *
 * A head of 16 bytes in the outer key's entry; all zeros: empty. Keys are int64 or bytes of any
 * size (the number 5 and the text "5" are different keys); values have one fixed size for all of a
 * dict, which its owner knows and passes in (value_bytes). Up to 16 elements, 4 KiB of them, are
 * packed in one blob that is searched from end to end; beyond that a dict is a table for numbers
 * and a table for bytes (table.h), so that a million elements cost what a table costs. It stays
 * one until it is empty.
 *
 *      packed   [ count | room | bytes of keys ][ key 16 | value ][ key 16 | value ] ...
 *      table    [ key 8 | value ] and [ key 16 | value ], as entries of tables
 *
 * A value is aligned to 8, zeroed when it is new, and must not be kept: it may move when the dict
 * changes (upsert or removal of any key), and, while an image lives, when eng_dict_find_writable
 * looks up any key. To write through a pointer it must come from eng_dict_upsert or
 * eng_dict_find_writable. From a value its key is found again: eng_dict_key_of.
 *
 * A walk may remove the element at hand, that is, the one last returned, and no other; and may
 * look up and write any.
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

struct eng_dict {
    void *store; /* NULL: empty */
    uint32_t value_bytes;
    uint32_t packed; /* or a pair of tables */
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

/* NULL: it is not there. For reading. */
void *eng_dict_find(const struct eng_dict *dict, const struct eng_dict_key *key);
/* The same for writing. Never refused. */
void *eng_dict_find_writable(struct eng_dict *dict, const struct eng_dict_key *key);

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

/* Where a walk stands: behind the element last returned. All zeros: at the beginning. */
struct eng_dict_walk {
    uint64_t range;      /* a hash of the segment at hand */
    uint64_t key[2];     /* of the element at hand, as its entry has it */
    uint32_t stage;      /* not begun, packed, numbers, bytes, ended */
    uint32_t chain;      /* how many segments of the range are done */
    uint32_t first_slot; /* where in the segment the walk began */
    uint32_t step;       /* slots behind it */
    bool in_segment;
    bool has_key;
};

/* The next element's value, or NULL: that was all. For reading; see above. */
void *eng_dict_next(const struct eng_dict *dict, struct eng_dict_walk *walk);

/* Sets a walk so that it goes on behind this value of the dict: for who has kept nothing but the
 * value. The order is the same as long as nothing was inserted. */
void eng_dict_walk_from(const struct eng_dict *dict, struct eng_dict_walk *walk, const void *value);

#endif
