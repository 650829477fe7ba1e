/* engine/flow/key_timers.h: the timers of a keyed operator, as pen_timer_set and its kin see them.
 *
 * The timers of a key hang on its entry (engine/state/timers.h). When each is due stands in two
 * wheels of the subtask (engine/state/wheel.h), one by event time and one by the wall clock, whose
 * items name the key and the timer's number. A wheel's item is a hint: the entry decides whether
 * the timer still is, and when. So moving a timer to a later time touches the entry only.
 *
 * engine/operator/process_timers.c takes what is due out of the wheels and calls the user.
 */
#ifndef ENG_FLOW_KEY_TIMERS_H
#define ENG_FLOW_KEY_TIMERS_H

#include <penstock.h>

#include "engine/state/timers.h"
#include "engine/state/wheel.h"

struct eng_key_timers {
    struct eng_wheel *wheels[2]; /* by enum pen_clock_kind */
    uint32_t offset_bytes;       /* of a key's struct eng_timers in its entry */
    const uint64_t *numbers;     /* while timers fire: of each in the batch; else NULL */
};

/* Both wheels. False: refused, and the job has failed. */
bool eng_key_timers_open(pen_context *ctx, struct eng_key_timers *timers);
void eng_key_timers_close(struct eng_key_timers *timers);

static inline enum eng_timer_clock eng_key_timers_clock(enum pen_clock_kind clock)
{
    return clock == PEN_CLOCK_TIME ? ENG_TIMER_WALL : ENG_TIMER_EVENT;
}

static inline struct eng_timers *eng_key_timers_of(const struct eng_key_timers *timers, char *entry)
{
    return (struct eng_timers *)(void *)(entry + timers->offset_bytes);
}

#endif
