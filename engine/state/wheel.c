#include "engine/state/wheel.h"

#include <errno.h>
#include <string.h>

#include "shm/check.h"

/* Times are unsigned inside, the sign bit flipped, and *effective*: not below the position at which
 * the item was added.
 *
 * [W1] No item that has not been taken is earlier than the position.
 * [W2] An item in a slot of level n has, above digit n, the digits of the position. So all items
 *      of a level are earlier than all of the next one, and in a level slots are in order.
 * [W3] What is in the front or is being dealt out came from one slot, and has its range. Items
 *      added in that range go there, too; the levels below are empty when it begins. At most one of
 *      both is going on.
 * [W4] In a chain items of the same time are in the order in which they were added: they have
 *      always been in the same chain. */

enum {
    WHEEL_DIGIT_BITS = 6,
    WHEEL_SLOTS = 1 << WHEEL_DIGIT_BITS,
    WHEEL_LEVELS = 11,
    WHEEL_CHUNK_BYTES_MIN = 256,
    WHEEL_CHUNK_BYTES_MAX = 4096,
    WHEEL_SPARES_MAX = 16,
    WHEEL_SORTED_MAX = 64, /* a slot with as many items or fewer goes to the front at once */
    WHEEL_FRONT_MAX = 2 * WHEEL_SORTED_MAX,
};

struct wheel_chunk {
    struct wheel_chunk *next;
    uint32_t size_bytes;
    uint32_t used_bytes;  /* where the next item goes */
    uint32_t taken_bytes; /* where the next item comes from */
    uint32_t count;       /* items ever put in */
};

struct wheel_chain {
    struct wheel_chunk *first, *last;
};

struct wheel_slot {
    struct wheel_chain chain;
    uint64_t at_min; /* of its items; anything where it is empty */
};

struct wheel_sorted {
    uint64_t at;
    struct eng_wheel_item *item;
};

struct eng_wheel {
    struct eng_arena *arena;
    uint64_t position;
    uint64_t until; /* of the last take */
    uint64_t count;
    uint64_t bytes;

    /* The front: sorted[first .. end) are to be taken next. Their chain has what is taken, too,
     * marked by `reserved`. */
    uint32_t front_first, front_end;
    uint32_t front_level; /* of the slot that it came from, which is level 1 or above */
    uint64_t front_last;  /* where that slot ends */
    struct wheel_chain front;

    bool dealing; /* out of this chain, to the levels below this one */
    uint32_t deal_level;
    struct wheel_chain deal;

    struct wheel_chain given; /* chunks with items that the last take returned */
    struct wheel_chunk *spares;
    uint32_t spare_count;

    uint64_t occupied[WHEEL_LEVELS];
    struct wheel_sorted sorted[WHEEL_FRONT_MAX];
    struct wheel_slot slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

static uint64_t wheel_from_time(int64_t at_us)
{
    return (uint64_t)at_us ^ (uint64_t)1 << 63;
}

static int64_t wheel_to_time(uint64_t at)
{
    return (int64_t)(at ^ (uint64_t)1 << 63);
}

static uint32_t wheel_level(const struct eng_wheel *wheel, uint64_t at)
{
    uint64_t apart = at ^ wheel->position;
    return apart == 0 ? 0 : (63 - (uint32_t)__builtin_clzll(apart)) / WHEEL_DIGIT_BITS;
}

static uint32_t wheel_digit(uint64_t at, uint32_t level)
{
    return at >> level * WHEEL_DIGIT_BITS & (WHEEL_SLOTS - 1);
}

/* The part of a time below a digit, all ones. */
static uint64_t wheel_below(uint32_t level)
{
    return ((uint64_t)1 << level * WHEEL_DIGIT_BITS) - 1;
}

static bool wheel_has_front(const struct eng_wheel *wheel)
{
    return wheel->front_first != wheel->front_end;
}

/* ---- Chunks ---------------------------------------------------------------------------------- */

/* `beyond`: even beyond the budget. */
static void *wheel_blob(struct eng_wheel *wheel, uint32_t size_bytes, bool beyond)
{
    struct eng_arena *arena = wheel->arena;
    void *blob = eng_arena_blob(arena, size_bytes);
    uint64_t budget_bytes = eng_arena_budget(arena);
    if (blob == NULL && beyond && budget_bytes != UINT64_MAX) {
        eng_arena_set_budget(arena, 0);
        blob = eng_arena_blob(arena, size_bytes);
        eng_arena_set_budget(arena, budget_bytes);
    }
    if (blob != NULL) wheel->bytes += eng_arena_blob_bytes(size_bytes);
    return blob;
}

static void wheel_blob_free(struct eng_wheel *wheel, void *blob, uint32_t size_bytes)
{
    wheel->bytes -= eng_arena_blob_bytes(size_bytes);
    eng_arena_blob_free(wheel->arena, blob, size_bytes);
}

static bool wheel_chunk_is_single(const struct wheel_chunk *chunk)
{
    return chunk->size_bytes > WHEEL_CHUNK_BYTES_MAX;
}

static void wheel_chunk_free(struct eng_wheel *wheel, struct wheel_chunk *chunk)
{
    if (chunk->size_bytes == WHEEL_CHUNK_BYTES_MAX && wheel->spare_count < WHEEL_SPARES_MAX) {
        chunk->next = wheel->spares;
        wheel->spares = chunk;
        wheel->spare_count++;
        return;
    }
    wheel_blob_free(wheel, chunk, chunk->size_bytes);
}

static struct wheel_chunk *wheel_chunk_new(struct eng_wheel *wheel, uint32_t size_bytes,
                                           bool beyond)
{
    struct wheel_chunk *chunk;
    if (size_bytes == WHEEL_CHUNK_BYTES_MAX && wheel->spares != NULL) {
        chunk = wheel->spares;
        wheel->spares = chunk->next;
        wheel->spare_count--;
    } else {
        chunk = wheel_blob(wheel, size_bytes, beyond);
        if (chunk == NULL) return NULL;
    }
    *chunk = (struct wheel_chunk){
        .size_bytes = size_bytes,
        .used_bytes = sizeof *chunk,
        .taken_bytes = sizeof *chunk,
    };
    return chunk;
}

static void wheel_chain_link(struct wheel_chain *chain, struct wheel_chunk *chunk)
{
    chunk->next = NULL;
    if (chain->last == NULL)
        chain->first = chunk;
    else
        chain->last->next = chunk;
    chain->last = chunk;
}

static struct wheel_chunk *wheel_chain_unlink_first(struct wheel_chain *chain)
{
    struct wheel_chunk *chunk = chain->first;
    chain->first = chunk->next;
    if (chain->first == NULL) chain->last = NULL;
    return chunk;
}

static void wheel_chain_free(struct eng_wheel *wheel, struct wheel_chain *chain)
{
    while (chain->first != NULL)
        wheel_chunk_free(wheel, wheel_chain_unlink_first(chain));
}

/* Hangs all of a chain behind another. */
static void wheel_chain_move(struct wheel_chain *to, struct wheel_chain *from)
{
    if (from->first == NULL) return;
    if (to->last == NULL)
        to->first = from->first;
    else
        to->last->next = from->first;
    to->last = from->last;
    *from = (struct wheel_chain){NULL, NULL};
}

/* A sparse slot costs little, and a long chain has chunks of full size. */
static uint32_t wheel_chunk_bytes(const struct wheel_chain *chain, uint32_t item_bytes)
{
    uint32_t need_bytes = (uint32_t)sizeof(struct wheel_chunk) + item_bytes;
    if (need_bytes > WHEEL_CHUNK_BYTES_MAX) return need_bytes;
    uint32_t size_bytes = WHEEL_CHUNK_BYTES_MIN;
    if (chain->last != NULL && chain->last->size_bytes >= size_bytes)
        size_bytes = chain->last->size_bytes * 4;
    while (size_bytes < need_bytes)
        size_bytes *= 4;
    return size_bytes < WHEEL_CHUNK_BYTES_MAX ? size_bytes : WHEEL_CHUNK_BYTES_MAX;
}

/* Room for one more item at the end of a chain. NULL: refused. */
static struct eng_wheel_item *wheel_chain_room(struct eng_wheel *wheel, struct wheel_chain *chain,
                                               uint32_t item_bytes, bool beyond)
{
    struct wheel_chunk *chunk = chain->last;
    if (chunk == NULL || item_bytes > chunk->size_bytes - chunk->used_bytes) {
        chunk = wheel_chunk_new(wheel, wheel_chunk_bytes(chain, item_bytes), beyond);
        if (chunk == NULL) return NULL;
        wheel_chain_link(chain, chunk);
    }
    char *room = (char *)chunk + chunk->used_bytes;
    chunk->used_bytes += item_bytes;
    chunk->count++;
    return (struct eng_wheel_item *)(void *)room;
}

/* 0: too large for any chunk. */
static uint32_t wheel_item_bytes(uint32_t key_bytes)
{
    uint64_t bytes = sizeof(struct eng_wheel_item) + (((uint64_t)key_bytes + 7) & ~(uint64_t)7);
    return bytes > UINT32_MAX - sizeof(struct wheel_chunk) ? 0 : (uint32_t)bytes;
}

static struct eng_wheel_item *wheel_chunk_item(const struct wheel_chunk *chunk)
{
    return (struct eng_wheel_item *)(void *)((char *)(uintptr_t)chunk + chunk->taken_bytes);
}

/* ---- Open and close -------------------------------------------------------------------------- */

int eng_wheel_open(struct eng_wheel **result, struct eng_arena *arena)
{
    struct eng_wheel *wheel = eng_arena_blob(arena, sizeof *wheel);
    if (wheel == NULL) return -ENOMEM;
    memset(wheel, 0, sizeof *wheel);
    wheel->arena = arena;
    wheel->bytes = eng_arena_blob_bytes(sizeof *wheel);
    *result = wheel;
    return 0;
}

void eng_wheel_close(struct eng_wheel *wheel)
{
    if (wheel == NULL) return;
    for (uint32_t level = 0; level < WHEEL_LEVELS; level++)
        for (uint64_t left = wheel->occupied[level]; left != 0; left &= left - 1)
            wheel_chain_free(wheel, &wheel->slots[level][__builtin_ctzll(left)].chain);
    wheel_chain_free(wheel, &wheel->front);
    wheel_chain_free(wheel, &wheel->deal);
    wheel_chain_free(wheel, &wheel->given);
    while (wheel->spares != NULL) {
        struct wheel_chunk *chunk = wheel->spares;
        wheel->spares = chunk->next;
        wheel_blob_free(wheel, chunk, chunk->size_bytes);
    }
    CHECK(wheel->bytes == eng_arena_blob_bytes(sizeof *wheel));
    eng_arena_blob_free(wheel->arena, wheel, sizeof *wheel);
}

/* ---- Adding ---------------------------------------------------------------------------------- */

/* The slot of a time. Who puts an item there calls wheel_slot_occupy. */
static struct wheel_slot *wheel_slot_of(struct eng_wheel *wheel, uint64_t at, uint32_t *level)
{
    CHECK(at >= wheel->position); /* [W1] */
    *level = wheel_level(wheel, at);
    return &wheel->slots[*level][wheel_digit(at, *level)];
}

static void wheel_slot_occupy(struct eng_wheel *wheel, struct wheel_slot *slot, uint32_t level,
                              uint64_t at)
{
    uint64_t bit = (uint64_t)1 << wheel_digit(at, level);
    if ((wheel->occupied[level] & bit) == 0 || at < slot->at_min) slot->at_min = at;
    wheel->occupied[level] |= bit;
}

static void wheel_front_insert(struct eng_wheel *wheel, uint64_t at, struct eng_wheel_item *item)
{
    CHECK(wheel->front_end < WHEEL_FRONT_MAX);
    uint32_t i = wheel->front_end++;
    for (; i > wheel->front_first && wheel->sorted[i - 1].at > at; i--)
        wheel->sorted[i] = wheel->sorted[i - 1];
    wheel->sorted[i] = (struct wheel_sorted){.at = at, .item = item};
}

/* The front has become too long to be sorted into: the next take deals it out. */
static void wheel_front_give_up(struct eng_wheel *wheel)
{
    CHECK(!wheel->dealing);
    wheel->dealing = true;
    wheel->deal_level = wheel->front_level;
    wheel->deal = wheel->front;
    wheel->front = (struct wheel_chain){NULL, NULL};
    wheel->front_first = wheel->front_end = 0;
}

static bool wheel_add(struct eng_wheel *wheel, int64_t at_us, uint64_t hash, uint64_t tag,
                      const void *key, uint32_t key_bytes, bool beyond)
{
    uint32_t item_bytes = wheel_item_bytes(key_bytes);
    if (item_bytes == 0) return false;
    uint64_t at = wheel_from_time(at_us);
    if (at < wheel->position) at = wheel->position;

    if (wheel_has_front(wheel) && at <= wheel->front_last && wheel->front_end == WHEEL_FRONT_MAX)
        wheel_front_give_up(wheel);
    bool to_front = wheel_has_front(wheel) && at <= wheel->front_last;
    uint32_t level;
    struct wheel_slot *slot = wheel_slot_of(wheel, at, &level);
    bool to_deal = wheel->dealing && level < wheel->deal_level;
    struct wheel_chain *chain = to_front ? &wheel->front : to_deal ? &wheel->deal : &slot->chain;
    struct eng_wheel_item *item = wheel_chain_room(wheel, chain, item_bytes, beyond);
    if (item == NULL) return false;
    item->at_us = at_us;
    item->hash = hash;
    item->tag = tag;
    item->key_bytes = key_bytes;
    item->reserved = 0;
    if (key_bytes == 8)
        memcpy(item->key, key, 8);
    else if (key_bytes > 0)
        memcpy(item->key, key, key_bytes);
    wheel->count++;
    if (to_front)
        wheel_front_insert(wheel, at, item);
    else if (!to_deal)
        wheel_slot_occupy(wheel, slot, level, at);
    return true;
}

bool eng_wheel_add(struct eng_wheel *wheel, int64_t at_us, uint64_t hash, uint64_t tag,
                   const void *key, uint32_t key_bytes)
{
    return wheel_add(wheel, at_us, hash, tag, key, key_bytes, false);
}

bool eng_wheel_add_again(struct eng_wheel *wheel, const struct eng_wheel_item *item, int64_t at_us)
{
    return wheel_add(wheel, at_us, item->hash, item->tag, item->key, item->key_bytes, true);
}

/* ---- Taking ---------------------------------------------------------------------------------- */

static bool wheel_lowest(const struct eng_wheel *wheel, uint32_t *level, uint32_t *digit)
{
    for (*level = 0; *level < WHEEL_LEVELS; ++*level) {
        if (wheel->occupied[*level] == 0) continue;
        *digit = (uint32_t)__builtin_ctzll(wheel->occupied[*level]);
        return true;
    }
    return false;
}

static uint32_t wheel_take_front(struct eng_wheel *wheel, uint64_t until,
                                 const struct eng_wheel_item **items, uint32_t max)
{
    uint32_t count = 0;
    while (count < max && wheel_has_front(wheel)) {
        struct wheel_sorted *next = &wheel->sorted[wheel->front_first];
        if (next->at > until) break;
        next->item->reserved = 1;
        items[count++] = next->item;
        wheel->front_first++;
    }
    if (!wheel_has_front(wheel)) {
        wheel_chain_move(&wheel->given, &wheel->front);
        wheel->front_first = wheel->front_end = 0;
    }
    wheel->count -= count;
    return count;
}

/* All items of a slot of the lowest level have the same effective time: they are taken as they
 * lie. */
static uint32_t wheel_take_slot(struct eng_wheel *wheel, uint32_t digit,
                                const struct eng_wheel_item **items, uint32_t max)
{
    struct wheel_chain *chain = &wheel->slots[0][digit].chain;
    uint32_t count = 0;
    while (count < max && chain->first != NULL) {
        struct wheel_chunk *chunk = chain->first;
        while (count < max && chunk->taken_bytes < chunk->used_bytes) {
            struct eng_wheel_item *item = wheel_chunk_item(chunk);
            chunk->taken_bytes += wheel_item_bytes(item->key_bytes);
            items[count++] = item;
        }
        if (chunk->taken_bytes == chunk->used_bytes)
            wheel_chain_link(&wheel->given, wheel_chain_unlink_first(chain));
    }
    if (chain->first == NULL) wheel->occupied[0] &= ~((uint64_t)1 << digit);
    wheel->count -= count;
    return count;
}

/* Whether a chain, of which nothing has been taken, has few enough items to be sorted. */
static bool wheel_is_short(const struct wheel_chain *chain)
{
    uint32_t count = 0;
    for (const struct wheel_chunk *chunk = chain->first; chunk != NULL; chunk = chunk->next) {
        count += chunk->count;
        if (count > WHEEL_SORTED_MAX) return false;
    }
    return true;
}

static uint64_t wheel_effective(const struct eng_wheel *wheel, const struct eng_wheel_item *item)
{
    uint64_t at = wheel_from_time(item->at_us);
    return at < wheel->position ? wheel->position : at;
}

/* Sorts the front's chain: by insertion, since it is short, and items of one slot often come in
 * order; equal ones stay in order. */
static void wheel_front_fill(struct eng_wheel *wheel)
{
    wheel->front_first = wheel->front_end = 0;
    for (struct wheel_chunk *chunk = wheel->front.first; chunk != NULL; chunk = chunk->next) {
        for (uint32_t at_bytes = chunk->taken_bytes; at_bytes < chunk->used_bytes;) {
            struct eng_wheel_item *item = (void *)((char *)chunk + at_bytes);
            wheel_front_insert(wheel, wheel_effective(wheel, item), item);
            at_bytes += wheel_item_bytes(item->key_bytes);
        }
    }
    CHECK(wheel_has_front(wheel));
}

/* The position comes to a slot above the lowest level: its items go to the front, or are dealt
 * out. */
static void wheel_open_slot(struct eng_wheel *wheel, uint32_t level, uint32_t digit)
{
    CHECK(level > 0);
    CHECK(!wheel->dealing);
    CHECK(!wheel_has_front(wheel));
    struct wheel_slot *slot = &wheel->slots[level][digit];
    bool is_short = wheel_is_short(&slot->chain);
    wheel_chain_move(is_short ? &wheel->front : &wheel->deal, &slot->chain);
    wheel->occupied[level] &= ~((uint64_t)1 << digit);
    if (is_short) {
        wheel->front_level = level;
        wheel->front_last = slot->at_min | wheel_below(level);
        wheel_front_fill(wheel);
    } else {
        wheel->dealing = true;
        wheel->deal_level = level;
    }
}

/* One item goes down. */
static bool wheel_deal_item(struct eng_wheel *wheel, const struct eng_wheel_item *item,
                            uint32_t item_bytes)
{
    uint64_t at = wheel_effective(wheel, item);
    uint32_t level;
    struct wheel_slot *slot = wheel_slot_of(wheel, at, &level);
    CHECK(level < wheel->deal_level); /* [W2] */
    struct eng_wheel_item *copy = wheel_chain_room(wheel, &slot->chain, item_bytes, true);
    if (copy == NULL) return false;
    if (item_bytes == sizeof *item + 8)
        memcpy(copy, item, sizeof *item + 8);
    else
        memcpy(copy, item, item_bytes);
    wheel_slot_occupy(wheel, slot, level, at);
    return true;
}

/* A chunk with one large item goes down as it is. */
static void wheel_deal_single(struct eng_wheel *wheel)
{
    struct wheel_chunk *chunk = wheel_chain_unlink_first(&wheel->deal);
    struct eng_wheel_item *item = wheel_chunk_item(chunk);
    if (item->reserved != 0) {
        wheel_chunk_free(wheel, chunk);
        return;
    }
    uint64_t at = wheel_effective(wheel, item);
    uint32_t level;
    struct wheel_slot *slot = wheel_slot_of(wheel, at, &level);
    CHECK(level < wheel->deal_level);
    wheel_chain_link(&slot->chain, chunk);
    wheel_slot_occupy(wheel, slot, level, at);
}

/* Deals out at most *work items. 0, or -ENOMEM: the item at hand stays. */
static int wheel_deal(struct eng_wheel *wheel, uint32_t *work)
{
    struct wheel_chain *chain = &wheel->deal;
    while (chain->first != NULL) {
        struct wheel_chunk *chunk = chain->first;
        if (wheel_chunk_is_single(chunk)) {
            if (*work == 0) return 0;
            --*work;
            wheel_deal_single(wheel);
            continue;
        }
        __builtin_prefetch(chunk->next);
        for (; chunk->taken_bytes < chunk->used_bytes; --*work) {
            if (*work == 0) return 0;
            const struct eng_wheel_item *item = wheel_chunk_item(chunk);
            uint32_t item_bytes = wheel_item_bytes(item->key_bytes);
            if (item->reserved == 0 && !wheel_deal_item(wheel, item, item_bytes)) return -ENOMEM;
            chunk->taken_bytes += item_bytes;
        }
        wheel_chunk_free(wheel, wheel_chain_unlink_first(chain));
    }
    wheel->dealing = false;
    return 0;
}

/* All that is due has been taken: the position follows, as far as every item stays where it
 * belongs. So what is added next lies low. */
static void wheel_follow(struct eng_wheel *wheel, uint64_t until)
{
    uint64_t position = until;
    uint32_t level, digit;
    CHECK(!wheel->dealing);
    if (!wheel_has_front(wheel) && wheel_lowest(wheel, &level, &digit)) {
        uint64_t from = wheel->slots[level][digit].at_min & ~wheel_below(level);
        if (position >= from) position = from - 1;
    }
    if (position > wheel->position) wheel->position = position;
}

int32_t eng_wheel_take(struct eng_wheel *wheel, int64_t until_us,
                       const struct eng_wheel_item **items, uint32_t max, bool *more)
{
    CHECK(max > 0);
    CHECK(max <= INT32_MAX);
    uint64_t until = wheel_from_time(until_us);
    if (until < wheel->until) until = wheel->until;
    wheel->until = until;
    wheel_chain_free(wheel, &wheel->given);

    uint32_t count = 0, work = ENG_WHEEL_PIECE, level, digit;
    *more = true;
    for (;;) {
        if (wheel_has_front(wheel)) {
            count += wheel_take_front(wheel, until, items + count, max - count);
            if (!wheel_has_front(wheel)) continue;
            if (wheel->sorted[wheel->front_first].at > until) break;
            return (int32_t)count;
        }
        if (wheel->dealing) {
            int status = wheel_deal(wheel, &work);
            if (status < 0 && count == 0) return status;
            if (wheel->dealing) return (int32_t)count;
        }
        if (!wheel_lowest(wheel, &level, &digit)) break;
        uint64_t at_min = wheel->slots[level][digit].at_min;
        if (at_min > until) break;
        if (count == max) return (int32_t)count;
        CHECK(at_min >= wheel->position);
        wheel->position = at_min;
        if (level == 0)
            count += wheel_take_slot(wheel, digit, items + count, max - count);
        else
            wheel_open_slot(wheel, level, digit);
    }
    wheel_follow(wheel, until);
    *more = false;
    return (int32_t)count;
}

/* ---- Facts ----------------------------------------------------------------------------------- */

int64_t eng_wheel_next(const struct eng_wheel *wheel)
{
    uint32_t level, digit;
    if (wheel_has_front(wheel)) return wheel_to_time(wheel->sorted[wheel->front_first].at);
    if (wheel->dealing) return wheel_to_time(wheel->position);
    if (!wheel_lowest(wheel, &level, &digit)) return INT64_MAX;
    return wheel_to_time(wheel->slots[level][digit].at_min);
}

uint64_t eng_wheel_count(const struct eng_wheel *wheel)
{
    return wheel->count;
}

uint64_t eng_wheel_bytes(const struct eng_wheel *wheel)
{
    return wheel->bytes;
}

static void wheel_visit_chain(const struct wheel_chain *chain,
                              void (*visit)(void *owner, const struct eng_wheel_item *item),
                              void *owner)
{
    for (const struct wheel_chunk *chunk = chain->first; chunk != NULL; chunk = chunk->next) {
        for (uint32_t at_bytes = chunk->taken_bytes; at_bytes < chunk->used_bytes;) {
            const struct eng_wheel_item *item = (const void *)((const char *)chunk + at_bytes);
            if (item->reserved == 0) visit(owner, item);
            at_bytes += wheel_item_bytes(item->key_bytes);
        }
    }
}

void eng_wheel_visit(const struct eng_wheel *wheel,
                     void (*visit)(void *owner, const struct eng_wheel_item *item), void *owner)
{
    wheel_visit_chain(&wheel->front, visit, owner);
    wheel_visit_chain(&wheel->deal, visit, owner);
    for (uint32_t level = 0; level < WHEEL_LEVELS; level++)
        for (uint64_t left = wheel->occupied[level]; left != 0; left &= left - 1)
            wheel_visit_chain(&wheel->slots[level][__builtin_ctzll(left)].chain, visit, owner);
}
