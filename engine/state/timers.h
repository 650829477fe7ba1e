/* engine/state/timers.h: the timers of one key, by number.
 *
 * A head of 32 bytes in the key's entry; all zeros: no timer. One timer lies in the head, up to 16
 * in a blob, more in a table of their own. A number is set on one clock at a time: event time, or
 * the wall clock.
 *
 * The owner has a wheel for each clock (wheel.h) in which `tag` is the number, and a timer knows
 * for when its item there is queued. Moving a timer to a later time changes `at` only and leaves
 * the item where it is; when the item comes out it is added again for the later time. So what is
 * moved on with every record, such as the end of a session, touches no wheel:
 *
 *      set(7, 100)  1: add to the wheel at 100       at 100  queued 100
 *      set(7, 160)  0                                at 160  queued 100
 *      wheel: 7, queued for 100: ENG_TIMER_LATER, add again at 160
 *      set(7, 130)  1: add at 130                    at 130  queued 130     (160 is stale now)
 *      wheel: 7, queued for 130: ENG_TIMER_FIRE, the timer is gone
 *      wheel: 7, queued for 160: ENG_TIMER_STALE
 *
 * Clearing leaves a mark, so that setting the timer again for no earlier time needs no new item
 * either: without it, setting and clearing by turns would fill the wheel. The mark goes when its
 * item comes out, and is no timer: counts and walks do not see it. When eng_timers_count is 0 the
 * head may be dropped with eng_timers_drop; items that come out for it then are stale.
 *
 * The protocol of firing. For an item that came out of the wheel of `clock`: find the key's entry
 * (none: stale), call eng_timers_due with the item's at_us. FIRE: call the function. LATER: add
 * the item again (eng_wheel_add_again) for *at_us. STALE: forget it.
 *
 * The head may be moved as bytes, with its entry. In an image it may be read and walked.
 */
#ifndef ENG_STATE_TIMERS_H
#define ENG_STATE_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/state/arena.h"
#include "engine/state/table.h"

enum eng_timer_clock { ENG_TIMER_EVENT, ENG_TIMER_WALL };

enum eng_timer_due { ENG_TIMER_FIRE, ENG_TIMER_STALE, ENG_TIMER_LATER };

struct eng_timers {
    uint64_t words[4]; /* timers.c knows; all zeros: none */
};

/* 1: the caller adds {at_us, tag = number} to the wheel of that clock; 0: need not. -ENOMEM: the
 * arena refused, nothing changed. Should the wheel refuse, the caller calls eng_timers_forget. */
int eng_timers_set(struct eng_arena *arena, struct eng_timers *timers, uint64_t number,
                   enum eng_timer_clock clock, int64_t at_us);

/* False: it was not set. Never refused. */
bool eng_timers_clear(struct eng_arena *arena, struct eng_timers *timers, uint64_t number);

/* Removes the timer, and the mark of a cleared one: what is queued is stale. Setting it again
 * returns 1. */
void eng_timers_forget(struct eng_arena *arena, struct eng_timers *timers, uint64_t number);

/* The wheel of `clock` gave the item of this number that was added for queued_us. FIRE: the timer
 * is due, and is removed. LATER: it is set for *at_us > queued_us, and is queued for then: add it.
 * STALE: no such timer, or another item stands for it. at_us may be NULL if LATER cannot be. */
enum eng_timer_due eng_timers_due(struct eng_arena *arena, struct eng_timers *timers,
                                  uint64_t number, enum eng_timer_clock clock, int64_t queued_us,
                                  int64_t *at_us);

/* False: it is not set. Either result may be NULL. */
bool eng_timers_get(const struct eng_timers *timers, uint64_t number, enum eng_timer_clock *clock,
                    int64_t *at_us);

void eng_timers_drop(struct eng_arena *arena, struct eng_timers *timers); /* all: zeros then */
uint64_t eng_timers_count(const struct eng_timers *timers);               /* that are set */
uint64_t eng_timers_bytes(const struct eng_timers *timers); /* in the arena, beyond the head */

/* A walk over the timers that are set, in no order; nothing may change meanwhile.
 *
 *     struct eng_timers_walk walk = {0};
 *     while (eng_timers_next(timers, &walk, &timer)) ...
 */
struct eng_timer {
    uint64_t number;
    int64_t at_us;
    enum eng_timer_clock clock;
};

struct eng_timers_walk {
    struct eng_table_walk table;
    uint32_t next;
};

bool eng_timers_next(const struct eng_timers *timers, struct eng_timers_walk *walk,
                     struct eng_timer *timer);

#endif
