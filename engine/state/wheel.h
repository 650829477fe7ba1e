/* engine/state/wheel.h: items in order of time: the timers and windows of one operator on one
 * clock.
 *
 * A hierarchical wheel without a tick. Time, 64 bits, is eleven digits of base 64. An item lies at
 * the highest digit in which its time differs from the wheel's position, in the slot of its own
 * digit there; so each slot's items are later than the position, and earlier than all of the next:
 *
 *      position  ..  5 17 40          level 2   [ ] ..  [6]  [7] ..       one slot: 4096 us
 *      at        ..  5 17 52  ---->   level 1   [18] [19] ..              one slot: 64 us
 *                     level 0, 52     level 0   [41] ..  [52] ..          one slot: 1 us
 *
 * Adding is an append to a slot. When the position comes to a slot with more than a few items, its
 * items are dealt out to the slots of the lower levels: a sequential copy, in pieces of at most
 * ENG_WHEEL_PIECE items a call. A slot with few items is sorted at once into the *front*, a short
 * array that is taken from directly. A slot is a chain of chunks, 256 bytes to 4 KiB, blobs of the
 * arena; an item is 32 bytes and its key, which is copied. A key that is larger than a chunk has
 * its own, which moves from slot to slot as it is.
 *
 * Order. Items come out in order of at_us, equal ones in the order in which they were added. Only
 * an item that is late when it is added, at_us at or below the last `until_us`, is put where the
 * wheel stands: it comes out before all that was not due yet, and its order among other due items
 * is not promised (it is the same each time, though).
 *
 * The wheel does not know whether an item is still wanted: there is no removal. What has been
 * moved or cleared comes out at its old time, and its owner knows better (see timers.h).
 *
 * Memory. Adding is refused by budget or range, and then nothing has happened. Taking cannot wait
 * for the budget, since only taking gives memory back: while it deals out a slot it may exceed the
 * budget by at most 64 chunks, for as long as that takes.
 *
 * In an image a wheel may be walked, not changed. What parts save is the timers and windows
 * themselves, and a restored operator adds them anew: nobody saves wheels.
 */
#ifndef ENG_STATE_WHEEL_H
#define ENG_STATE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/state/arena.h"

enum { ENG_WHEEL_PIECE = 512 }; /* items that one eng_wheel_take moves at most */

struct eng_wheel;

/* As the owner gave it. Keys are aligned to 8. */
struct eng_wheel_item {
    int64_t at_us;
    uint64_t hash;
    uint64_t tag;
    uint32_t key_bytes;
    uint32_t reserved;
    char key[];
};

/* 0 or -ENOMEM; on failure *wheel is untouched. Takes 20 KiB. */
int eng_wheel_open(struct eng_wheel **wheel, struct eng_arena *arena);
void eng_wheel_close(struct eng_wheel *wheel); /* gives everything back; accepts NULL */

/* False: the arena refused, nothing happened. The key may lie in an item that was just taken. */
bool eng_wheel_add(struct eng_wheel *wheel, int64_t at_us, uint64_t hash, uint64_t tag,
                   const void *key, uint32_t key_bytes);

/* Adds an item of the last take again, for another time. As it stands in for one that goes, it is
 * not refused for the budget; false means that there is no memory at all. */
bool eng_wheel_add_again(struct eng_wheel *wheel, const struct eng_wheel_item *item, int64_t at_us);

/* Takes at most `max` > 0 items with at_us <= until_us, in order: pointers into the wheel, good
 * until the next take (adding meanwhile is fine). Returns how many. *more: not done, call again,
 * now or in the next step, with the same or a later until_us; also when 0 were returned, which was
 * work inside then. An earlier until_us than before counts as that one. -ENOMEM: dealing out needs
 * memory, and there is none even beyond the budget; nothing is lost, call again when there is. */
int32_t eng_wheel_take(struct eng_wheel *wheel, int64_t until_us,
                       const struct eng_wheel_item **items, uint32_t max, bool *more);

/* The time of the next item, or, while a slot is being dealt out, one that is not later and is due:
 * a take for an earlier time returns nothing. INT64_MAX when empty. */
int64_t eng_wheel_next(const struct eng_wheel *wheel);

uint64_t eng_wheel_count(const struct eng_wheel *wheel); /* added and not taken */
uint64_t eng_wheel_bytes(const struct eng_wheel *wheel); /* in the arena, all of it */

/* Calls visit for every item that has not been taken, in no order. For images, tools and tests;
 * nothing may be added or taken meanwhile. */
void eng_wheel_visit(const struct eng_wheel *wheel,
                     void (*visit)(void *owner, const struct eng_wheel_item *item), void *owner);

#endif
