#include "engine/state/bag.h"

#include <stddef.h>
#include <string.h>

#include "shm/check.h"

#define BAG_COUNT_MAX (((int64_t)1 << 37) - 1)
_Static_assert(offsetof(struct eng_bag_node, bytes) == 24, "32 bytes for a number");

static uint64_t bag_node_bytes(uint32_t value_bytes)
{
    return offsetof(struct eng_bag_node, bytes) + (uint64_t)value_bytes;
}

static int64_t bag_word(int64_t count, uint32_t size_bytes)
{
    CHECK(count >= -BAG_COUNT_MAX);
    CHECK(count <= BAG_COUNT_MAX);
    return count * (ENG_BAG_VALUE_BYTES_MAX + 1) + size_bytes;
}

/* Addresses of neighbours differ in few bits; these differ in all. */
static uint64_t bag_priority(const struct eng_bag_node *node)
{
    uint64_t z = (uint64_t)(uintptr_t)node;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Below 0: the value comes before the node's. */
static int bag_compare(const void *bytes, uint32_t size_bytes, const struct eng_bag_node *node)
{
    uint32_t other_bytes = eng_bag_size(node);
    uint32_t both = size_bytes < other_bytes ? size_bytes : other_bytes;
    int order = both ? memcmp(bytes, node->bytes, both) : 0;

    if (order != 0) return order;
    return (size_bytes > other_bytes) - (size_bytes < other_bytes);
}

/* Takes the node that *link points to out: its subtrees become one. */
static void bag_remove(struct eng_arena *arena, struct eng_bag *bag, struct eng_bag_node **link)
{
    struct eng_bag_node *gone = *link, *less = gone->less, *more = gone->more;
    uint64_t bytes = bag_node_bytes(eng_bag_size(gone));

    while (less && more) {
        if (bag_priority(less) > bag_priority(more)) {
            *link = less;
            link = &less->more;
            less = less->more;
        } else {
            *link = more;
            link = &more->less;
            more = more->less;
        }
    }
    *link = less ? less : more;
    CHECK(bag->owned_bytes >= eng_arena_blob_bytes(bytes));
    bag->owned_bytes -= eng_arena_blob_bytes(bytes);
    eng_arena_blob_free(arena, gone, bytes);
}

/* Hangs a new node in: below those of higher priority; what it comes to lie above is cut in two. */
static void bag_insert(struct eng_bag *bag, struct eng_bag_node *node)
{
    uint64_t priority = bag_priority(node);
    uint32_t size_bytes = eng_bag_size(node);
    struct eng_bag_node **link = &bag->root, **less = &node->less, **more = &node->more;

    while (*link && bag_priority(*link) >= priority)
        link = bag_compare(node->bytes, size_bytes, *link) < 0 ? &(*link)->less : &(*link)->more;
    for (struct eng_bag_node *rest = *link; rest;) {
        if (bag_compare(node->bytes, size_bytes, rest) > 0) {
            *less = rest;
            less = &rest->more;
            rest = rest->more;
        } else {
            *more = rest;
            more = &rest->less;
            rest = rest->less;
        }
    }
    *less = *more = NULL;
    *link = node;
}

bool eng_bag_change(struct eng_arena *arena, struct eng_bag *bag, const void *bytes,
                    uint32_t size_bytes, int64_t by)
{
    struct eng_bag_node **link = &bag->root;

    CHECK(size_bytes <= ENG_BAG_VALUE_BYTES_MAX);
    if (by == 0) return true;
    while (*link) {
        int order = bag_compare(bytes, size_bytes, *link);
        if (order == 0) {
            int64_t count = eng_bag_count(*link) + by;
            if (count != 0)
                (*link)->word = bag_word(count, size_bytes);
            else
                bag_remove(arena, bag, link);
            return true;
        }
        link = order < 0 ? &(*link)->less : &(*link)->more;
    }
    struct eng_bag_node *node = eng_arena_blob(arena, bag_node_bytes(size_bytes));
    if (!node) return false;
    bag->owned_bytes += eng_arena_blob_bytes(bag_node_bytes(size_bytes));
    node->word = bag_word(by, size_bytes);
    if (size_bytes) memcpy(node->bytes, bytes, size_bytes);
    bag_insert(bag, node);
    return true;
}

const struct eng_bag_node *eng_bag_next(const struct eng_bag *bag,
                                        const struct eng_bag_node *previous)
{
    const struct eng_bag_node *node = bag->root, *best = NULL;

    while (node) {
        bool behind = !previous || bag_compare(previous->bytes, eng_bag_size(previous), node) < 0;
        if (behind) best = node;
        node = behind ? node->less : node->more;
    }
    return best;
}

static const struct eng_bag_node *bag_previous(const struct eng_bag *bag,
                                               const struct eng_bag_node *next)
{
    const struct eng_bag_node *node = bag->root, *best = NULL;

    while (node) {
        bool before = !next || bag_compare(next->bytes, eng_bag_size(next), node) > 0;
        if (before) best = node;
        node = before ? node->more : node->less;
    }
    return best;
}

const struct eng_bag_node *eng_bag_least(const struct eng_bag *bag)
{
    const struct eng_bag_node *node = bag->root;

    while (node && node->less)
        node = node->less;
    while (node && eng_bag_count(node) < 0)
        node = eng_bag_next(bag, node);
    return node;
}

const struct eng_bag_node *eng_bag_greatest(const struct eng_bag *bag)
{
    const struct eng_bag_node *node = bag->root;

    while (node && node->more)
        node = node->more;
    while (node && eng_bag_count(node) < 0)
        node = bag_previous(bag, node);
    return node;
}

/* Turns the tree to the right until the root has nothing less, and takes that off. */
void eng_bag_clear(struct eng_arena *arena, struct eng_bag *bag)
{
    struct eng_bag_node *root = bag->root;

    while (root) {
        struct eng_bag_node *less = root->less;
        if (less) {
            root->less = less->more;
            less->more = root;
            root = less;
        } else {
            struct eng_bag_node *more = root->more;
            eng_arena_blob_free(arena, root, bag_node_bytes(eng_bag_size(root)));
            root = more;
        }
    }
    *bag = (struct eng_bag){0};
}
