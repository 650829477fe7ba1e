/* engine/state/wheel: items in order of time.
 * Method: random adds and takes beside a plain array of what is pending. Whatever comes out must be
 * pending and due, in order; when a take says that it is done, nothing due may be left. Times are
 * dense, sparse, equal, negative and extreme; keys are of any size; budgets refuse. */
#include "engine/state/wheel.h"

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/random.h"

enum { MODEL_TAKE_MAX = 300, MODEL_KEY_BYTES_MAX = 20000 };

struct pending {
    int64_t at_us;
    int64_t late_until; /* of the last take when it was added */
    uint32_t key_bytes;
    bool late, there;
};

struct model {
    struct eng_arena *arena;
    struct eng_wheel *wheel;
    struct pending *items; /* by tag: in the order of adding */
    uint32_t count, room, there;
    int64_t until;
    int64_t last_at; /* of the items that were not late: the last one out */
    uint64_t last_tag;
    bool any_out, all_added_in_time;
    struct shm_random_stream random;
    char key[MODEL_KEY_BYTES_MAX];
};

static void model_open(struct model *model, uint32_t room, uint64_t seed)
{
    *model = (struct model){.room = room, .until = INT64_MIN, .all_added_in_time = true};
    model->items = calloc(room, sizeof *model->items);
    shm_random_seed(&model->random, seed);
    CU_ASSERT_EQUAL_FATAL(eng_arena_open(&model->arena, (uint64_t)8 << 30, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_wheel_open(&model->wheel, model->arena), 0);
    for (uint32_t i = 0; i < MODEL_KEY_BYTES_MAX; i++)
        model->key[i] = (char)(i * 7);
}

static void model_close(struct model *model)
{
    CU_ASSERT_EQUAL(eng_wheel_bytes(model->wheel), eng_arena_bytes(model->arena));
    eng_wheel_close(model->wheel);
    CU_ASSERT_EQUAL(eng_arena_bytes(model->arena), 0);
    eng_arena_close(model->arena);
    free(model->items);
}

static uint64_t model_hash(uint64_t tag)
{
    return tag * 0x9e3779b97f4a7c15u;
}

/* A key is some bytes of the pattern, the first of which depends on the tag. */
static const char *model_key(const struct model *model, uint64_t tag, uint32_t key_bytes)
{
    return model->key + (key_bytes < 64 ? tag % 64 : 0);
}

static bool model_add(struct model *model, int64_t at_us, uint32_t key_bytes)
{
    uint32_t tag = model->count;
    CU_ASSERT_TRUE_FATAL(tag < model->room);
    uint64_t before = eng_wheel_count(model->wheel);
    if (!eng_wheel_add(model->wheel, at_us, model_hash(tag), tag, model_key(model, tag, key_bytes),
                       key_bytes)) {
        CU_ASSERT_EQUAL(eng_wheel_count(model->wheel), before);
        return false;
    }
    model->items[tag] = (struct pending){.at_us = at_us,
                                         .late_until = model->until,
                                         .key_bytes = key_bytes,
                                         .late = at_us <= model->until,
                                         .there = true};
    if (model->items[tag].late) model->all_added_in_time = false;
    model->count++;
    model->there++;
    return true;
}

/* 0: all right. A scan over what is pending tells whether a late one was left behind. */
static uint32_t model_on_item(struct model *model, const struct eng_wheel_item *item, bool scan)
{
    if (item->tag >= model->count) return 1;
    struct pending *pending = &model->items[item->tag];
    uint32_t wrong = !pending->there || item->at_us != pending->at_us || item->at_us > model->until;
    wrong += item->hash != model_hash(item->tag) || item->key_bytes != pending->key_bytes;
    wrong += (uintptr_t)item->key % 8 != 0;
    if (wrong > 0) return wrong;
    wrong = memcmp(item->key, model_key(model, item->tag, item->key_bytes), item->key_bytes) != 0;
    pending->there = false;
    model->there--;
    if (pending->late) return wrong;
    if (model->any_out) {
        wrong += item->at_us < model->last_at;
        wrong += item->at_us == model->last_at && item->tag < model->last_tag;
    }
    model->any_out = true;
    model->last_at = item->at_us;
    model->last_tag = item->tag;
    for (uint32_t i = 0; scan && i < model->count; i++)
        wrong += model->items[i].there && model->items[i].late &&
                 model->items[i].late_until < item->at_us;
    return wrong;
}

static void model_take(struct model *model, int64_t until_us, uint32_t max, bool *more)
{
    const struct eng_wheel_item *items[MODEL_TAKE_MAX];
    int64_t next = eng_wheel_next(model->wheel);
    if (until_us > model->until) model->until = until_us;
    int32_t count = eng_wheel_take(model->wheel, until_us, items, max, more);
    uint32_t wrong = count < 0 || (uint32_t)count > max || (count > 0 && next > model->until);
    for (int32_t i = 0; i < count; i++)
        wrong += model_on_item(model, items[i], model->room < 20000);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(eng_wheel_count(model->wheel), model->there);
    CU_ASSERT_EQUAL(eng_wheel_bytes(model->wheel), eng_arena_bytes(model->arena));
}

/* Nothing due is left, and the wheel knows what comes next. */
static void model_check_done(struct model *model)
{
    int64_t first = INT64_MAX;
    uint32_t due = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        if (!model->items[i].there) continue;
        due += model->items[i].at_us <= model->until;
        if (model->items[i].at_us < first) first = model->items[i].at_us;
    }
    CU_ASSERT_EQUAL(due, 0);
    CU_ASSERT_EQUAL(eng_wheel_next(model->wheel), first);
}

static void model_take_all(struct model *model, int64_t until_us)
{
    bool more = true;
    for (uint32_t turns = 0; more; turns++) {
        CU_ASSERT_TRUE_FATAL(turns < 10000000);
        model_take(model, until_us, MODEL_TAKE_MAX, &more);
    }
    model_check_done(model);
}

/* ---- Shapes of time -------------------------------------------------------------------------- */

static int64_t shape_any(struct model *model)
{
    return (int64_t)shm_random_next(&model->random);
}

static int64_t shape_dense(struct model *model)
{
    return (int64_t)shm_random_below(&model->random, 3000) - 1500;
}

/* Some bits, so that every digit has its turn. */
static int64_t shape_bits(struct model *model)
{
    return (int64_t)shm_random_next(&model->random) >> shm_random_below(&model->random, 64);
}

static int64_t shape_few(struct model *model)
{
    static const int64_t times[] = {INT64_MIN, INT64_MIN + 2, -1,        0,   1, 63,
                                    64,        INT64_MAX - 1, INT64_MAX, 4095};
    return times[shm_random_below(&model->random, sizeof times / sizeof times[0])];
}

static int64_t shape_clock(struct model *model)
{
    int64_t base = model->until < 0 ? 1700000000000000 : model->until;
    return base + (int64_t)shm_random_below(&model->random, 5000000) - 500000;
}

static uint32_t model_random_key_bytes(struct model *model)
{
    switch (shm_random_below(&model->random, 40)) {
    case 0:
        return (uint32_t)shm_random_below(&model->random, MODEL_KEY_BYTES_MAX);
    case 1:
    case 2:
        return (uint32_t)shm_random_below(&model->random, 300);
    case 3:
        return 0;
    default:
        return 8;
    }
}

static void model_run(struct model *model, int64_t (*shape)(struct model *model))
{
    bool more = false;
    while (model->count < model->room) {
        uint32_t adds = (uint32_t)shm_random_below(&model->random, 4) == 0
                            ? (uint32_t)shm_random_below(&model->random, 700)
                            : (uint32_t)shm_random_below(&model->random, 5);
        for (; adds > 0 && model->count < model->room; adds--)
            CU_ASSERT_TRUE(model_add(model, shape(model), model_random_key_bytes(model)));
        int64_t until = model->until;
        if (!more) {
            until = shape(model);
            if (shm_random_below(&model->random, 2) == 0) until = eng_wheel_next(model->wheel);
        }
        if (until > INT64_MAX - 10 && model->count < model->room) continue;
        uint32_t max = 1 + (uint32_t)shm_random_below(&model->random, MODEL_TAKE_MAX);
        if (shm_random_below(&model->random, 3) == 0) max = 1;
        model_take(model, until, max, &more);
        if (!more) model_check_done(model);
    }
    model_take_all(model, INT64_MAX);
    CU_ASSERT_EQUAL(model->there, 0);
}

static void run_shape(int64_t (*shape)(struct model *model))
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct model model;
        model_open(&model, 3000, seed);
        model_run(&model, shape);
        model_close(&model);
    }
}

static void items_come_out_in_order_whatever_their_times(void)
{
    run_shape(shape_any);
    run_shape(shape_bits);
    run_shape(shape_clock);
}

static void equal_times_come_out_in_the_order_of_adding(void)
{
    run_shape(shape_dense);
    run_shape(shape_few);
}

static void everything_at_once_is_sorted(void)
{
    int64_t (*shapes[])(struct model * model) = {shape_any, shape_dense, shape_bits, shape_few};
    for (uint32_t shape = 0; shape < 4; shape++) {
        struct model model;
        model_open(&model, 60000, shape);
        CU_ASSERT_EQUAL(eng_wheel_next(model.wheel), INT64_MAX);
        while (model.count < model.room)
            CU_ASSERT_TRUE(model_add(&model, shapes[shape](&model), 8));
        if (shape != 3) model_take_all(&model, 17);
        model_take_all(&model, INT64_MAX);
        CU_ASSERT_EQUAL(model.there, 0);
        model_close(&model);
    }
}

/* One out, one in, a little later: the front is sorted into, given up and filled again. */
static void a_queue_of_events_stays_in_order(void)
{
    struct model model;
    model_open(&model, 15000, 5);
    bool more;
    int64_t now = -100000;
    for (uint32_t i = 0; i < 50; i++)
        CU_ASSERT_TRUE(
            model_add(&model, now + (int64_t)shm_random_below(&model.random, 100000), 8));
    while (model.count < model.room) {
        now = eng_wheel_next(model.wheel);
        model_take(&model, now, 1, &more);
        uint64_t spread = shm_random_below(&model.random, 2) == 0 ? 100 : 100000;
        if (model.there < 40 || shm_random_below(&model.random, 3) > 0)
            CU_ASSERT_TRUE(
                model_add(&model, now + 1 + (int64_t)shm_random_below(&model.random, spread), 8));
    }
    CU_ASSERT_TRUE(model.all_added_in_time);
    CU_ASSERT_TRUE(eng_wheel_bytes(model.wheel) < 2 << 20);
    model_take_all(&model, INT64_MAX);
    model_close(&model);
}

static void what_is_added_while_a_slot_is_dealt_out_finds_its_place(void)
{
    struct model model;
    model_open(&model, 12000, 6);
    bool more = true;
    for (uint32_t i = 0; i < 5000; i++)
        CU_ASSERT_TRUE(model_add(&model, 1000000 + (int64_t)(i * 7919 % 5000), 8));
    model_take(&model, 1004000, 10, &more);
    CU_ASSERT_TRUE(more);
    for (uint32_t turns = 0; more; turns++) { /* times above what is out, and what is not due */
        for (uint32_t i = 0; i < 50 && model.count < model.room; i++)
            CU_ASSERT_TRUE(
                model_add(&model, 1003000 + (int64_t)shm_random_below(&model.random, 3000), 8));
        model_take(&model, 1004000, 10, &more);
        CU_ASSERT_TRUE_FATAL(turns < 10000);
    }
    model_check_done(&model);
    model_take_all(&model, 2000000);
    CU_ASSERT_EQUAL(model.there, 0);
    model_close(&model);
}

static void pointers_hold_while_items_are_added(void)
{
    struct model model;
    model_open(&model, 1000, 7);
    const struct eng_wheel_item *items[64];
    bool more;
    for (uint32_t i = 0; i < 64; i++)
        CU_ASSERT_TRUE(model_add(&model, 100 + i, 8));
    int32_t count = eng_wheel_take(model.wheel, 140, items, 64, &more);
    CU_ASSERT_EQUAL_FATAL(count, 41);
    uint64_t bytes = eng_wheel_bytes(model.wheel);
    for (uint32_t i = 0; i < 500; i++) /* gives the front up in between */
        CU_ASSERT_TRUE(eng_wheel_add_again(model.wheel, items[i % 41], 150 + i % 9));
    CU_ASSERT_TRUE(eng_wheel_bytes(model.wheel) > bytes);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < 41; i++)
        wrong += items[i]->at_us != 100 + i || items[i]->tag != i ||
                 memcmp(items[i]->key, model.key + i % 64, 8) != 0;
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(eng_wheel_count(model.wheel), 64 - 41 + 500);

    uint64_t taken = 0;
    int64_t last = 0;
    do {
        count = eng_wheel_take(model.wheel, 1000, items, 64, &more);
        for (int32_t i = 0; i < count; i++) {
            wrong += items[i]->at_us < last;
            wrong += memcmp(items[i]->key, model.key + items[i]->tag % 64, 8) != 0;
            last = items[i]->at_us;
        }
        taken += (uint64_t)count;
    } while (more);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(taken, 64 - 41 + 500);
    model_close(&model);
}

/* What is late comes out with the next take, whatever that asks for. */
static void late_items_are_due_at_once(void)
{
    struct model model;
    model_open(&model, 100, 8);
    model_take_all(&model, 5000);
    CU_ASSERT_TRUE(model_add(&model, 6000, 8));
    CU_ASSERT_TRUE(model_add(&model, INT64_MIN, 8));
    CU_ASSERT_TRUE(model_add(&model, 5000, 8));
    CU_ASSERT_TRUE(eng_wheel_next(model.wheel) <= 5000);
    model_take_all(&model, 10);
    CU_ASSERT_EQUAL(model.there, 1);
    CU_ASSERT_EQUAL(eng_wheel_next(model.wheel), 6000);
    model_take_all(&model, INT64_MAX);
    CU_ASSERT_TRUE(model_add(&model, INT64_MAX, 0));
    CU_ASSERT_TRUE(model_add(&model, 0, 0));
    model_take_all(&model, INT64_MAX);
    CU_ASSERT_EQUAL(model.there, 0);
    model_close(&model);
}

static void work_of_a_call_is_bounded(void)
{
    struct model model;
    model_open(&model, 100000, 9);
    for (uint32_t i = 0; i < 100000; i++) /* one slot of a high level */
        CU_ASSERT_TRUE(model_add(&model, ((int64_t)1 << 40) + i, 8));
    const struct eng_wheel_item *items[MODEL_TAKE_MAX];
    bool more;
    uint32_t empty = 0;
    int32_t count;
    while ((count = eng_wheel_take(model.wheel, INT64_MAX, items, 8, &more)) == 0 && more)
        empty++;
    CU_ASSERT_TRUE(empty >= 100000 / ENG_WHEEL_PIECE); /* it was spread over calls */
    CU_ASSERT_EQUAL(count, 8);
    CU_ASSERT_EQUAL(eng_wheel_count(model.wheel), 100000 - 8);
    CU_ASSERT_EQUAL(eng_wheel_bytes(model.wheel), eng_arena_bytes(model.arena));
    model_close(&model);
}

static void a_refused_add_changes_nothing_and_taking_goes_on(void)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct model model;
        model_open(&model, 15000, seed);
        uint32_t refused = 0;
        bool more = false;
        while (model.count < model.room) {
            uint64_t spare = shm_random_below(&model.random, 6000);
            eng_arena_set_budget(model.arena, eng_arena_bytes(model.arena) + spare);
            for (uint32_t i = 0; i < 200 && model.count < model.room; i++) {
                uint32_t key_bytes = model_random_key_bytes(&model);
                if (!model_add(&model, shape_clock(&model), key_bytes)) refused++;
            }
            eng_arena_set_budget(model.arena, 1); /* nothing at all */
            int64_t until = model.until < 0 ? 1700000000000000 : model.until + 100000;
            model_take(&model, until, MODEL_TAKE_MAX, &more);
            if (refused > 20000) break;
        }
        CU_ASSERT_TRUE(refused > 100);
        if (model.count < model.room) CU_ASSERT_FALSE(model_add(&model, INT64_MAX, 19000));
        uint64_t before = eng_arena_bytes(model.arena);
        model_take_all(&model, INT64_MAX); /* beyond the budget, where it must */
        CU_ASSERT_TRUE(eng_arena_bytes(model.arena) <= before);
        CU_ASSERT_EQUAL(model.there, 0);
        model_close(&model);
    }
}

static void an_item_costs_what_it_is(void)
{
    enum { ITEMS = 2000000 };
    struct eng_arena *arena;
    struct eng_wheel *wheel;
    struct shm_random_stream random;
    shm_random_seed(&random, 3);
    CU_ASSERT_EQUAL_FATAL(eng_arena_open(&arena, 0, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_wheel_open(&wheel, arena), 0);
    CU_ASSERT_TRUE(eng_wheel_add(wheel, 5000000000, 1, 0, "12345678", 8));
    CU_ASSERT_TRUE(eng_wheel_bytes(wheel) <= (20 << 10) + 256);
    const struct eng_wheel_item *items[MODEL_TAKE_MAX];
    bool more = true;
    CU_ASSERT_EQUAL(eng_wheel_take(wheel, 1, items, 1, &more), 0);
    CU_ASSERT_FALSE(more);
    for (uint64_t i = 1; i < ITEMS; i++) {
        int64_t at = (int64_t)shm_random_below(&random, 3600000000);
        if (!eng_wheel_add(wheel, at, i, i, &i, 8)) CU_FAIL_FATAL("refused");
    }
    CU_ASSERT_TRUE(eng_wheel_bytes(wheel) < ITEMS * (uint64_t)41);
    uint64_t taken = 0, most = 0, wrong = 0;
    int64_t last = INT64_MIN;
    more = true;
    while (more) {
        int32_t count = eng_wheel_take(wheel, INT64_MAX, items, MODEL_TAKE_MAX, &more);
        for (int32_t i = 0; i < count; i++) {
            wrong += items[i]->at_us < last;
            last = items[i]->at_us;
        }
        taken += (uint64_t)count;
        if (eng_wheel_bytes(wheel) > most) most = eng_wheel_bytes(wheel);
    }
    CU_ASSERT_EQUAL(taken, ITEMS);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(most < ITEMS * (uint64_t)42); /* dealing out costs no second copy */
    CU_ASSERT_TRUE(eng_wheel_bytes(wheel) < 200 << 10);
    eng_wheel_close(wheel);
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), 0);
    eng_arena_close(arena);
}

static void sum_tags(void *owner, const struct eng_wheel_item *item)
{
    uint64_t *sums = owner;
    sums[0]++;
    sums[1] += item->tag;
}

static void an_image_sees_what_was_pending(void)
{
    struct model model;
    model_open(&model, 8000, 4);
    bool more;
    for (uint32_t i = 0; i < 4000; i++)
        CU_ASSERT_TRUE(model_add(&model, shape_clock(&model), model_random_key_bytes(&model)));
    model_take(&model, 1700000001000000, 100, &more);
    model_take(&model, 1700000001000000, 100, &more);
    uint64_t sums[2] = {0, 0}, expected[2] = {model.there, 0};
    for (uint32_t i = 0; i < model.count; i++)
        if (model.items[i].there) expected[1] += i;
    eng_wheel_visit(model.wheel, sum_tags, sums);
    CU_ASSERT_EQUAL(sums[0], expected[0]);
    CU_ASSERT_EQUAL(sums[1], expected[1]);

    int started[2];
    CU_ASSERT_EQUAL_FATAL(pipe(started), 0);
    eng_arena_freeze(model.arena, 2);
    pid_t image = fork();
    if (image == 0) {
        char byte;
        if (read(started[0], &byte, 1) != 1) _exit(2);
        uint64_t seen[2] = {0, 0};
        eng_wheel_visit(model.wheel, sum_tags, seen);
        _exit(seen[0] == expected[0] && seen[1] == expected[1] ? 0 : 1);
    }
    for (uint32_t i = 0; i < 4000; i++)
        CU_ASSERT_TRUE(model_add(&model, shape_clock(&model), 8));
    model_take_all(&model, 1700000003000000);
    CU_ASSERT_EQUAL(write(started[1], "x", 1), 1);
    int status;
    CU_ASSERT_EQUAL(waitpid(image, &status, 0), image);
    CU_ASSERT_EQUAL(status, 0);
    close(started[0]);
    close(started[1]);
    eng_arena_thaw(model.arena, UINT64_MAX, UINT32_MAX);
    model_take_all(&model, INT64_MAX);
    model_close(&model);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("state/wheel", NULL, NULL);
    CU_ADD_TEST(suite, items_come_out_in_order_whatever_their_times);
    CU_ADD_TEST(suite, equal_times_come_out_in_the_order_of_adding);
    CU_ADD_TEST(suite, everything_at_once_is_sorted);
    CU_ADD_TEST(suite, a_queue_of_events_stays_in_order);
    CU_ADD_TEST(suite, what_is_added_while_a_slot_is_dealt_out_finds_its_place);
    CU_ADD_TEST(suite, pointers_hold_while_items_are_added);
    CU_ADD_TEST(suite, late_items_are_due_at_once);
    CU_ADD_TEST(suite, work_of_a_call_is_bounded);
    CU_ADD_TEST(suite, a_refused_add_changes_nothing_and_taking_goes_on);
    CU_ADD_TEST(suite, an_item_costs_what_it_is);
    CU_ADD_TEST(suite, an_image_sees_what_was_pending);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
