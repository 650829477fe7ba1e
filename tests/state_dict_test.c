/* Dicts, lists and timers of one key against plain arrays.
 * Shows: engine/state/{dict,list,timers}.
 * Method: random operations under a few seeds; after each the container must say what the array
 * says. At the end all memory has been given back, and in between the bytes that a container claims
 * are those that the arena has given out. */
#include "engine/state/dict.h"
#include "engine/state/list.h"
#include "engine/state/timers.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 400, ROUNDS = 60000, MANY = 100000 };

static uint64_t state;

static uint32_t chance(uint32_t below)
{
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) % below);
}

static struct eng_arena *open_arena(uint64_t budget_bytes)
{
    struct eng_arena *arena;
    CU_ASSERT_EQUAL_FATAL(eng_arena_open(&arena, (uint64_t)1 << 32, budget_bytes), 0);
    return arena;
}

static void close_arena(struct eng_arena *arena, uint64_t before_bytes)
{
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), before_bytes);
    eng_arena_close(arena);
}

/* ---- Dicts ----------------------------------------------------------------------------------- */

/* Even keys are numbers, odd ones texts of 0 to 40 bytes. */
static struct eng_dict_key key_of(uint32_t k, char *text)
{
    if (k % 2 == 0) return eng_dict_number((int64_t)k - KEYS / 2);
    int size =
        snprintf(text, 64, "%u%.*s", k, (int)(k % 40), "----------------------------------------");
    return k == 1 ? eng_dict_text(NULL, 0) : eng_dict_text(text, (uint32_t)size);
}

static bool keys_are_equal(struct eng_dict_key a, struct eng_dict_key b)
{
    if (!a.bytes || !b.bytes) return !a.bytes && !b.bytes && a.number == b.number;
    return a.size_bytes == b.size_bytes && memcmp(a.bytes, b.bytes, a.size_bytes) == 0;
}

static void check_walk(const struct eng_dict *dict, const int64_t *model)
{
    struct eng_dict_walk walk = {0};
    uint64_t found = 0, wanted = 0;
    char text[64];
    int64_t *value;

    for (uint32_t k = 0; k < KEYS; k++)
        wanted += model[k] != 0;
    while ((value = eng_dict_next(dict, &walk)) != NULL) {
        struct eng_dict_key key = eng_dict_key_of(dict, value);
        uint32_t k = (uint32_t)value[1];
        CU_ASSERT_FATAL(k < KEYS);
        CU_ASSERT(keys_are_equal(key, key_of(k, text)));
        CU_ASSERT_EQUAL(value[0], model[k]);
        found++;
    }
    CU_ASSERT_EQUAL(found, wanted);
    CU_ASSERT_EQUAL(eng_dict_count(dict), wanted);
}

/* Removes those with an odd value, the element at hand each time. */
static void remove_in_walk(struct eng_arena *arena, struct eng_dict *dict, int64_t *model)
{
    struct eng_dict_walk walk = {0};
    int64_t *value;

    while ((value = eng_dict_next(dict, &walk)) != NULL) {
        if (value[0] % 2 == 0) continue;
        struct eng_dict_key key = eng_dict_key_of(dict, value);
        model[value[1]] = 0;
        CU_ASSERT(eng_dict_remove(arena, dict, &key));
    }
    check_walk(dict, model);
}

static void a_dict_is_a_map(void)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct eng_arena *arena = open_arena(0);
        uint64_t before = eng_arena_bytes(arena);
        struct eng_dict dict = {0};
        int64_t model[KEYS] = {0};
        uint32_t live_keys = 10;

        state = seed;
        for (uint32_t round = 1; round <= ROUNDS; round++) {
            char text[64];
            if (round % 5000 == 0) live_keys = live_keys == 10 ? 40 : live_keys == 40 ? KEYS : 10;
            uint32_t k = chance(live_keys), what = chance(10);
            struct eng_dict_key key = key_of(k, text);
            int64_t *value = eng_dict_find(&dict, &key);
            CU_ASSERT_EQUAL(value ? value[0] : 0, model[k]);
            if (what < 5) {
                bool added;
                value = eng_dict_upsert(arena, &dict, 16, &key, &added);
                CU_ASSERT_PTR_NOT_NULL_FATAL(value);
                CU_ASSERT_EQUAL(added, model[k] == 0);
                CU_ASSERT(!added || (value[0] == 0 && value[1] == 0));
                value[0] = model[k] = round;
                value[1] = k;
            } else if (what < 9) {
                CU_ASSERT_EQUAL(eng_dict_remove(arena, &dict, &key), model[k] != 0);
                model[k] = 0;
            } else if (chance(200) == 0) {
                remove_in_walk(arena, &dict, model);
            }
            if (round % 1000 == 0) {
                check_walk(&dict, model);
                CU_ASSERT_EQUAL(eng_arena_bytes(arena) - before, eng_dict_bytes(&dict));
            }
        }
        eng_dict_clear(arena, &dict);
        CU_ASSERT_PTR_NULL(dict.store);
        close_arena(arena, before);
    }
}

static void a_dict_that_is_refused_stays_as_it_was(void)
{
    struct eng_arena *arena = open_arena(200 * 1024);
    uint64_t before = eng_arena_bytes(arena), count = 0;
    struct eng_dict dict = {0};
    int64_t *value;

    for (int64_t i = 0;; i++) {
        struct eng_dict_key key = eng_dict_number(i);
        value = eng_dict_upsert(arena, &dict, 16, &key, NULL);
        if (!value) break;
        value[0] = i;
        count++;
    }
    CU_ASSERT(count > 1000);
    CU_ASSERT_EQUAL(eng_dict_count(&dict), count);
    for (int64_t i = 0; i < (int64_t)count; i++) {
        struct eng_dict_key key = eng_dict_number(i);
        value = eng_dict_find(&dict, &key);
        CU_ASSERT_FATAL(value != NULL && value[0] == i);
    }
    eng_dict_clear(arena, &dict);
    close_arena(arena, before);
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static void a_list_keeps_its_order(void)
{
    static uint32_t model[MANY];
    struct eng_arena *arena = open_arena(0);
    uint64_t before = eng_arena_bytes(arena);
    struct eng_list list = {0};
    uint32_t count = 0, next = 0;

    state = 5;
    for (uint32_t round = 0; round < 40; round++) {
        uint32_t more = chance(300);
        for (uint32_t i = 0; i < more; i++) {
            char bytes[6000];
            uint32_t size = chance(50) == 0 ? chance(6000) : chance(40);
            void *at;
            memset(bytes, (int)next, sizeof bytes);
            CU_ASSERT_FATAL(eng_list_append_stamped(arena, &list, bytes, size, next, &at));
            model[count++] = next++;
        }
        uint32_t kept = 0, index = 0;
        void *element = eng_list_next(&list, NULL, NULL);
        while (element) {
            uint32_t number = (uint32_t)*eng_list_stamp(element), size = eng_list_size(element);
            CU_ASSERT_FATAL(index < count);
            CU_ASSERT_EQUAL(number, model[index]);
            CU_ASSERT(size == 0 || (uint8_t) * (char *)element == (uint8_t)number);
            index++;
            bool keep = chance(3) > 0 && round < 39;
            if (keep) model[kept++] = number;
            element =
                keep ? eng_list_next(&list, element, NULL) : eng_list_remove(arena, &list, element);
        }
        CU_ASSERT_EQUAL(index, count);
        count = kept;
        CU_ASSERT_EQUAL(eng_list_count(&list), count);
        CU_ASSERT_EQUAL(eng_arena_bytes(arena) - before, eng_list_bytes(&list));
    }
    CU_ASSERT_PTR_NULL(list.last);
    for (uint32_t i = 0; i < MANY; i++)
        CU_ASSERT_FATAL(eng_list_append(arena, &list, &i, sizeof i, NULL));
    eng_list_clear(arena, &list);
    close_arena(arena, before);
}

/* ---- Timers ---------------------------------------------------------------------------------- */

struct model_timer {
    bool is_set;
    enum eng_timer_clock clock;
    int64_t at_us;
};

/* What a wheel would hold. */
struct queued {
    uint64_t number;
    enum eng_timer_clock clock;
    int64_t at_us;
};

static void check_timers(const struct eng_timers *timers, const struct model_timer *model,
                         uint32_t numbers)
{
    struct eng_timers_walk walk = {.next = 0};
    struct eng_timer timer;
    uint64_t wanted = 0, found = 0;

    for (uint32_t n = 0; n < numbers; n++) {
        int64_t at_us;
        wanted += model[n].is_set;
        CU_ASSERT_EQUAL(eng_timers_get(timers, n, NULL, &at_us), model[n].is_set);
        if (model[n].is_set) CU_ASSERT_EQUAL(at_us, model[n].at_us);
    }
    CU_ASSERT_EQUAL(eng_timers_count(timers), wanted);
    while (eng_timers_next(timers, &walk, &timer)) {
        CU_ASSERT(model[timer.number].is_set && model[timer.number].at_us == timer.at_us);
        found++;
    }
    CU_ASSERT_EQUAL(found, wanted);
}

/* Numbers few enough for the head, for a blob, and for a table. Time moves on; what is queued for
 * then comes out, and exactly the timers that are due must fire. */
static void timers_fire_when_they_are_set_for(uint32_t numbers)
{
    struct eng_arena *arena = open_arena(0);
    uint64_t before = eng_arena_bytes(arena);
    struct eng_timers timers = {{0}};
    struct model_timer *model = calloc(numbers, sizeof *model);
    struct queued *queue = calloc(ROUNDS + 1, sizeof *queue);
    uint32_t queued = 0, queued_most = 0;

    state = numbers;
    for (int64_t now = 1; now <= ROUNDS / 4; now++) {
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t n = chance(numbers);
            if (chance(4) == 0) {
                CU_ASSERT_EQUAL(eng_timers_clear(arena, &timers, n), model[n].is_set);
                model[n].is_set = false;
                continue;
            }
            enum eng_timer_clock clock = chance(10) == 0 ? ENG_TIMER_WALL : ENG_TIMER_EVENT;
            int64_t at_us = now + 1 + chance(50);
            int result = eng_timers_set(arena, &timers, n, clock, at_us);
            CU_ASSERT_FATAL(result >= 0);
            if (result > 0) queue[queued++] = (struct queued){n, clock, at_us};
            model[n] = (struct model_timer){true, clock, at_us};
        }
        for (uint32_t q = 0; q < queued;) {
            struct queued item = queue[q];
            int64_t at_us = 0;
            if (item.at_us > now) {
                q++;
                continue;
            }
            queue[q] = queue[--queued];
            switch (eng_timers_due(arena, &timers, item.number, item.clock, item.at_us, &at_us)) {
            case ENG_TIMER_FIRE:
                CU_ASSERT(model[item.number].is_set && model[item.number].at_us <= now &&
                          model[item.number].clock == item.clock);
                model[item.number].is_set = false;
                break;
            case ENG_TIMER_LATER:
                CU_ASSERT_EQUAL(at_us, model[item.number].at_us);
                queue[queued++] = (struct queued){item.number, item.clock, at_us};
                break;
            case ENG_TIMER_STALE:
                break;
            }
        }
        for (uint32_t n = 0; n < numbers; n++)
            CU_ASSERT(!model[n].is_set || model[n].at_us > now);
        if (queued > queued_most) queued_most = queued;
        if (now % 100 == 0) {
            check_timers(&timers, model, numbers);
            CU_ASSERT_EQUAL(eng_arena_bytes(arena) - before, eng_timers_bytes(&timers));
        }
    }
    /* Setting, moving and clearing leave few items behind. */
    CU_ASSERT(queued_most <= 4 * numbers + 200);
    eng_timers_drop(arena, &timers);
    free(model);
    free(queue);
    close_arena(arena, before);
}

static void one_timer_few_timers_many_timers(void)
{
    timers_fire_when_they_are_set_for(1);
    timers_fire_when_they_are_set_for(5);
    timers_fire_when_they_are_set_for(60);
}

static void timers_at_the_ends_of_time(void)
{
    struct eng_arena *arena = open_arena(0);
    struct eng_timers timers = {{0}};
    int64_t at_us;

    CU_ASSERT_EQUAL(eng_timers_set(arena, &timers, UINT64_MAX, ENG_TIMER_EVENT, INT64_MIN), 1);
    CU_ASSERT_EQUAL(eng_timers_set(arena, &timers, UINT64_MAX, ENG_TIMER_EVENT, INT64_MAX), 0);
    CU_ASSERT_EQUAL(eng_timers_due(arena, &timers, UINT64_MAX, ENG_TIMER_EVENT, INT64_MIN, &at_us),
                    ENG_TIMER_LATER);
    CU_ASSERT_EQUAL(at_us, INT64_MAX);
    CU_ASSERT_EQUAL(eng_timers_due(arena, &timers, UINT64_MAX, ENG_TIMER_EVENT, INT64_MAX, &at_us),
                    ENG_TIMER_FIRE);
    CU_ASSERT_EQUAL(eng_timers_count(&timers), 0);
    eng_arena_close(arena);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("state: dict, list, timers", NULL, NULL);
    CU_ADD_TEST(suite, a_dict_is_a_map);
    CU_ADD_TEST(suite, a_dict_that_is_refused_stays_as_it_was);
    CU_ADD_TEST(suite, a_list_keeps_its_order);
    CU_ADD_TEST(suite, one_timer_few_timers_many_timers);
    CU_ADD_TEST(suite, timers_at_the_ends_of_time);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
