/* engine/state/bag.h: values in order, each with how often it is there.
 *
 * For results that need the least or the greatest of what comes and goes: min and max of an
 * updating stream. A value is a run of bytes, in the order of memcmp, a shorter one before a longer
 * one that begins with it; numbers are put in as bytes of that order (see
 * engine/operator/aggregate_order.c).
 *
 * A treap: a search tree by value that is a heap by priority, where the priority of a node is its
 * address, mixed. Blobs of the arena never move, so a priority costs no byte, and the tree is as
 * deep as one that was filled in random order, whatever the order of the values: O(log n) for each
 * call below. A node is one blob of 24 bytes and the value: 32 bytes for a number.
 *
 * A count may be below zero: a value that was taken back before it came is owed. What is at zero is
 * not there and costs nothing. All zeros is an empty bag; it may be moved by memcpy.
 *
 * In an image (after a fork) it can be walked. When the arena refuses, nothing has changed.
 */
#ifndef ENG_STATE_BAG_H
#define ENG_STATE_BAG_H

#include "engine/state/arena.h"

enum { ENG_BAG_VALUE_BYTES_MAX = (1 << 26) - 1 };

struct eng_bag_node {
    struct eng_bag_node *less, *more;
    int64_t word; /* count, then 26 bits for the size */
    char bytes[];
};

/* How often the value is there; never 0. */
static inline int64_t eng_bag_count(const struct eng_bag_node *node)
{
    return node->word >> 26;
}
static inline uint32_t eng_bag_size(const struct eng_bag_node *node)
{
    return (uint32_t)(node->word & ENG_BAG_VALUE_BYTES_MAX);
}

struct eng_bag {
    struct eng_bag_node *root;
    uint64_t owned_bytes; /* in the arena, as it counts them */
};

/* Adds `by` to the count of a value. False: the arena refused. */
bool eng_bag_change(struct eng_arena *arena, struct eng_bag *bag, const void *bytes,
                    uint32_t size_bytes, int64_t by);

/* The least, and the greatest, whose count is above zero; NULL: there is none. They are found at
 * once unless values that are owed lie before them. */
const struct eng_bag_node *eng_bag_least(const struct eng_bag *bag);
const struct eng_bag_node *eng_bag_greatest(const struct eng_bag *bag);

/* All nodes in order, owed ones too; NULL first, and NULL at the end. */
const struct eng_bag_node *eng_bag_next(const struct eng_bag *bag,
                                        const struct eng_bag_node *previous);

void eng_bag_clear(struct eng_arena *arena, struct eng_bag *bag);

#endif
