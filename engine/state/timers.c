#include "engine/state/timers.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "shm/check.h"
#include "shm/hash.h"

enum { TIMERS_PACKED_MAX = 16 };

/* What words[3] says of the others. */
enum timers_shape { TIMERS_NONE, TIMERS_ONE, TIMERS_PACKED, TIMERS_TABLE };

/* What is known of a timer beside its number. */
struct timer {
    int64_t at_us, queued_us;
    uint32_t clock;
    uint32_t is_cleared; /* a mark: its item is still queued */
};

struct timer_packed {
    uint64_t number;
    struct timer timer;
};

struct timers_one {
    uint64_t number;
    int64_t at_us, queued_us;
    uint8_t shape, clock, is_cleared, reserved[5];
};

struct timers_many {
    struct timer_packed *packed; /* either */
    struct eng_table *table;
    uint32_t count, room; /* packed: marks included, and places */
    uint8_t shape, reserved[3];
    uint32_t marks;
};
_Static_assert(sizeof(struct timers_one) == sizeof(struct eng_timers), "one");
_Static_assert(sizeof(struct timers_many) == sizeof(struct eng_timers), "many");
_Static_assert(offsetof(struct timers_one, shape) == offsetof(struct timers_many, shape), "shape");

static struct timers_one *timers_one(const struct eng_timers *timers)
{
    return (struct timers_one *)(uintptr_t)timers;
}

static struct timers_many *timers_many(const struct eng_timers *timers)
{
    return (struct timers_many *)(uintptr_t)timers;
}

static uint8_t timers_shape(const struct eng_timers *timers)
{
    return timers_one(timers)->shape;
}

/* ---- Finding --------------------------------------------------------------------------------- */

/* A timer or a mark, copied. False: there is none. */
static bool timers_read(const struct eng_timers *timers, uint64_t number, struct timer *timer)
{
    const struct timers_one *one = timers_one(timers);
    const struct timers_many *many = timers_many(timers);
    const void *key = &number;
    uint64_t hash;
    void *value;

    switch (timers_shape(timers)) {
    case TIMERS_ONE:
        if (one->number != number) return false;
        *timer = (struct timer){one->at_us, one->queued_us, one->clock, one->is_cleared};
        return true;
    case TIMERS_PACKED:
        for (uint32_t i = 0; i < many->count; i++) {
            if (many->packed[i].number != number) continue;
            *timer = many->packed[i].timer;
            return true;
        }
        return false;
    case TIMERS_TABLE:
        hash = shm_hash(&number, 8);
        eng_table_find(many->table, 1, &hash, &key, NULL, &value);
        if (value) memcpy(timer, value, sizeof *timer);
        return value != NULL;
    default:
        return false;
    }
}

/* Changes one that is there. */
static void timers_write(struct eng_timers *timers, uint64_t number, const struct timer *timer)
{
    struct timers_one *one = timers_one(timers);
    struct timers_many *many = timers_many(timers);
    const void *key = &number;
    uint64_t hash;
    void *value;

    switch (timers_shape(timers)) {
    case TIMERS_ONE:
        one->at_us = timer->at_us;
        one->queued_us = timer->queued_us;
        one->clock = (uint8_t)timer->clock;
        one->is_cleared = timer->is_cleared != 0;
        return;
    case TIMERS_PACKED:
        for (uint32_t i = 0; i < many->count; i++)
            if (many->packed[i].number == number) many->packed[i].timer = *timer;
        return;
    default:
        hash = shm_hash(&number, 8);
        eng_table_find_writable(many->table, 1, &hash, &key, NULL, &value);
        CHECK(value != NULL);
        memcpy(value, timer, sizeof *timer);
    }
}

/* ---- Adding ---------------------------------------------------------------------------------- */

static bool timers_put_in_table(struct eng_table *table, uint64_t number, const struct timer *timer)
{
    uint64_t hash = shm_hash(&number, 8);
    const void *key = &number;
    void *value;

    if (!eng_table_upsert(table, 1, &hash, &key, NULL, &value)) return false;
    memcpy(value, timer, sizeof *timer);
    return true;
}

/* Packed, with room for one more. False: refused. */
static bool timers_pack(struct eng_arena *arena, struct eng_timers *timers)
{
    struct timers_many *many = timers_many(timers), made = {.shape = TIMERS_PACKED};
    bool was_one = timers_shape(timers) == TIMERS_ONE;

    if (!was_one && many->count < many->room) return true;
    made.room = was_one ? 4 : 2 * many->room;
    made.packed = eng_arena_blob(arena, made.room * sizeof *made.packed);
    if (!made.packed) return false;
    if (was_one) {
        struct timers_one *one = timers_one(timers);
        made.packed[0].number = one->number;
        made.packed[0].timer =
            (struct timer){one->at_us, one->queued_us, one->clock, one->is_cleared};
        made.count = 1;
        made.marks = one->is_cleared;
    } else {
        memcpy(made.packed, many->packed, many->count * sizeof *many->packed);
        made.count = many->count;
        made.marks = many->marks;
        eng_arena_blob_free(arena, many->packed, many->room * sizeof *many->packed);
    }
    *many = made;
    return true;
}

/* From packed to a table. False: refused, nothing changed. */
static bool timers_tabulate(struct eng_arena *arena, struct eng_timers *timers)
{
    struct eng_table_spec spec = {
        .name = "timers", .key_bytes = 8, .value_bytes = sizeof(struct timer)};
    struct timers_many *many = timers_many(timers);
    struct timers_many made = {.shape = TIMERS_TABLE, .marks = many->marks};

    if (eng_table_open(&made.table, arena, &spec) < 0) return false;
    for (uint32_t i = 0; i < many->count; i++) {
        if (timers_put_in_table(made.table, many->packed[i].number, &many->packed[i].timer))
            continue;
        eng_table_close(made.table);
        return false;
    }
    eng_arena_blob_free(arena, many->packed, many->room * sizeof *many->packed);
    *many = made;
    return true;
}

static bool timers_add(struct eng_arena *arena, struct eng_timers *timers, uint64_t number,
                       const struct timer *timer)
{
    struct timers_many *many = timers_many(timers);

    if (timers_shape(timers) == TIMERS_NONE) {
        *timers_one(timers) = (struct timers_one){.number = number,
                                                  .at_us = timer->at_us,
                                                  .queued_us = timer->queued_us,
                                                  .shape = TIMERS_ONE,
                                                  .clock = (uint8_t)timer->clock};
        return true;
    }
    if (timers_shape(timers) == TIMERS_PACKED && many->count == TIMERS_PACKED_MAX &&
        !timers_tabulate(arena, timers))
        return false;
    if (timers_shape(timers) == TIMERS_TABLE)
        return timers_put_in_table(many->table, number, timer);
    if (!timers_pack(arena, timers)) return false;
    many->packed[many->count++] = (struct timer_packed){number, *timer};
    return true;
}

/* ---- Removing -------------------------------------------------------------------------------- */

void eng_timers_drop(struct eng_arena *arena, struct eng_timers *timers)
{
    struct timers_many *many = timers_many(timers);

    if (timers_shape(timers) == TIMERS_PACKED)
        eng_arena_blob_free(arena, many->packed, many->room * sizeof *many->packed);
    else if (timers_shape(timers) == TIMERS_TABLE)
        eng_table_close(many->table);
    *timers = (struct eng_timers){{0}};
}

/* Removes one that is there. */
static void timers_remove(struct eng_arena *arena, struct eng_timers *timers, uint64_t number,
                          const struct timer *timer)
{
    struct timers_many *many = timers_many(timers);

    if (timers_shape(timers) == TIMERS_ONE) {
        *timers = (struct eng_timers){{0}};
        return;
    }
    many->marks -= timer->is_cleared;
    if (timers_shape(timers) == TIMERS_TABLE) {
        CHECK(eng_table_remove(many->table, shm_hash(&number, 8), &number, 8));
        if (eng_table_count(many->table) == 0) eng_timers_drop(arena, timers);
        return;
    }
    for (uint32_t i = 0; i < many->count; i++)
        if (many->packed[i].number == number) {
            many->packed[i] = many->packed[--many->count];
            break;
        }
    if (many->count == 0) eng_timers_drop(arena, timers);
}

void eng_timers_forget(struct eng_arena *arena, struct eng_timers *timers, uint64_t number)
{
    struct timer timer;

    if (timers_read(timers, number, &timer)) timers_remove(arena, timers, number, &timer);
}

/* ---- Setting, clearing, firing --------------------------------------------------------------- */

int eng_timers_set(struct eng_arena *arena, struct eng_timers *timers, uint64_t number,
                   enum eng_timer_clock clock, int64_t at_us)
{
    struct timer made = {at_us, at_us, clock, 0}, timer;

    if (!timers_read(timers, number, &timer))
        return timers_add(arena, timers, number, &made) ? 1 : -ENOMEM;
    if (timer.is_cleared && timers_shape(timers) != TIMERS_ONE) timers_many(timers)->marks--;
    bool is_queued = timer.clock == clock && timer.queued_us <= at_us;
    if (is_queued) made.queued_us = timer.queued_us;
    timers_write(timers, number, &made);
    return is_queued ? 0 : 1;
}

bool eng_timers_clear(struct eng_arena *arena, struct eng_timers *timers, uint64_t number)
{
    struct timer timer;

    (void)arena;
    if (!timers_read(timers, number, &timer) || timer.is_cleared) return false;
    timer.is_cleared = 1;
    if (timers_shape(timers) != TIMERS_ONE) timers_many(timers)->marks++;
    timers_write(timers, number, &timer);
    return true;
}

enum eng_timer_due eng_timers_due(struct eng_arena *arena, struct eng_timers *timers,
                                  uint64_t number, enum eng_timer_clock clock, int64_t queued_us,
                                  int64_t *at_us)
{
    struct timer timer;

    if (!timers_read(timers, number, &timer) || timer.clock != clock ||
        timer.queued_us != queued_us)
        return ENG_TIMER_STALE;
    if (timer.is_cleared || timer.at_us <= queued_us) {
        if (at_us) *at_us = timer.at_us;
        timers_remove(arena, timers, number, &timer);
        return timer.is_cleared ? ENG_TIMER_STALE : ENG_TIMER_FIRE;
    }
    timer.queued_us = timer.at_us;
    timers_write(timers, number, &timer);
    CHECK(at_us != NULL);
    *at_us = timer.at_us;
    return ENG_TIMER_LATER;
}

bool eng_timers_get(const struct eng_timers *timers, uint64_t number, enum eng_timer_clock *clock,
                    int64_t *at_us)
{
    struct timer timer;

    if (!timers_read(timers, number, &timer) || timer.is_cleared) return false;
    if (clock) *clock = (enum eng_timer_clock)timer.clock;
    if (at_us) *at_us = timer.at_us;
    return true;
}

/* ---- Counting and walking -------------------------------------------------------------------- */

uint64_t eng_timers_count(const struct eng_timers *timers)
{
    const struct timers_many *many = timers_many(timers);

    switch (timers_shape(timers)) {
    case TIMERS_ONE:
        return timers_one(timers)->is_cleared ? 0 : 1;
    case TIMERS_PACKED:
        return many->count - many->marks;
    case TIMERS_TABLE:
        return eng_table_count(many->table) - many->marks;
    default:
        return 0;
    }
}

uint64_t eng_timers_bytes(const struct eng_timers *timers)
{
    const struct timers_many *many = timers_many(timers);

    if (timers_shape(timers) == TIMERS_PACKED)
        return eng_arena_blob_bytes(many->room * sizeof *many->packed);
    return timers_shape(timers) == TIMERS_TABLE ? eng_table_bytes(many->table) : 0;
}

static bool timers_give(uint64_t number, const struct timer *from, struct eng_timer *to)
{
    if (from->is_cleared) return false;
    *to = (struct eng_timer){number, from->at_us, (enum eng_timer_clock)from->clock};
    return true;
}

bool eng_timers_next(const struct eng_timers *timers, struct eng_timers_walk *walk,
                     struct eng_timer *timer)
{
    const struct timers_many *many = timers_many(timers);
    const struct timers_one *one = timers_one(timers);
    const void *key;
    void *value;

    if (timers_shape(timers) == TIMERS_ONE) {
        struct timer found = {one->at_us, one->queued_us, one->clock, one->is_cleared};
        return walk->next++ == 0 && timers_give(one->number, &found, timer);
    }
    if (timers_shape(timers) == TIMERS_PACKED) {
        while (walk->next < many->count) {
            const struct timer_packed *packed = &many->packed[walk->next++];
            if (timers_give(packed->number, &packed->timer, timer)) return true;
        }
        return false;
    }
    if (timers_shape(timers) == TIMERS_NONE) return false;
    if (walk->next++ == 0) eng_table_walk_all(&walk->table, many->table);
    while (eng_table_walk_next(&walk->table, NULL, &key, NULL, &value)) {
        uint64_t number;
        memcpy(&number, key, sizeof number);
        if (timers_give(number, value, timer)) return true;
    }
    return false;
}
