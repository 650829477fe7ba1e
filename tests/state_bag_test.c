/* Shows: engine/state/bag.
 * Method: values from a small alphabet, so that they meet often, change by random counts; an array
 * of counts, by value in order, is the model. After each round: all nodes in order, the least and
 * the greatest, and the bytes that the arena has given out. */
#include "engine/state/bag.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <string.h>

#include "shm/random.h"

enum { VALUES = 600 };

static struct eng_arena *arena;
static struct shm_random_stream stream;
static int64_t model[VALUES];

/* Values in the order of memcmp: 0 is empty, then "a", "aa", "aaaaaaa...", "b", "bb" ... */
static uint32_t value_of(uint32_t i, char *to)
{
    uint32_t length = i == 0 ? 0 : 1 + (i - 1) % 25;

    memset(to, 'a' + (int)(i == 0 ? 0 : (i - 1) / 25), length);
    return length;
}

static void change(struct eng_bag *bag, uint32_t i, int64_t by)
{
    char value[32];
    uint32_t length = value_of(i, value);

    CU_ASSERT_FATAL(eng_bag_change(arena, bag, value, length, by));
    model[i] += by;
}

static bool is_value(const struct eng_bag_node *node, uint32_t i)
{
    char value[32];
    uint32_t length = value_of(i, value);

    return node && eng_bag_size(node) == length && memcmp(node->bytes, value, length) == 0 &&
           eng_bag_count(node) == model[i];
}

static void check(const struct eng_bag *bag)
{
    const struct eng_bag_node *node = NULL, *least = NULL, *greatest = NULL;
    bool good = true;

    for (uint32_t i = 0; i < VALUES; i++) {
        if (model[i] == 0) continue;
        node = eng_bag_next(bag, node);
        if (!is_value(node, i)) good = false;
        if (!node) break;
        if (model[i] > 0 && !least) least = node;
        if (model[i] > 0) greatest = node;
    }
    CU_ASSERT(good);
    if (node || !bag->root) CU_ASSERT_PTR_NULL(eng_bag_next(bag, node));
    CU_ASSERT_PTR_EQUAL(eng_bag_least(bag), least);
    CU_ASSERT_PTR_EQUAL(eng_bag_greatest(bag), greatest);
    CU_ASSERT_EQUAL(bag->owned_bytes, eng_arena_bytes(arena));
}

static void it_holds_what_a_plain_array_of_counts_holds(void)
{
    for (uint32_t round = 0; round < 30; round++) {
        struct eng_bag bag = {0};
        uint32_t values = 1 + (uint32_t)shm_random_below(&stream, VALUES);
        bool owes = round % 3 == 0;
        memset(model, 0, sizeof model);
        for (uint32_t step = 0; step < 3000; step++) {
            uint32_t i = (uint32_t)shm_random_below(&stream, values);
            int64_t by = (int64_t)shm_random_below(&stream, 5) - 2;
            if (!owes && model[i] + by < 0) by = -model[i];
            change(&bag, i, by);
            if (step % 100 == 0) check(&bag);
        }
        check(&bag);
        for (uint32_t i = 0; i < values; i++)
            if (round % 2 == 0) change(&bag, i, -model[i]);
        if (round % 2 == 0) CU_ASSERT_PTR_NULL(bag.root);
        eng_bag_clear(arena, &bag);
        CU_ASSERT_PTR_NULL(bag.root);
        CU_ASSERT_EQUAL(eng_arena_bytes(arena), 0);
    }
}

/* Ascending input makes a list of a tree that is not balanced, and this quadratic. */
static void values_in_order_take_no_longer_than_others(void)
{
    struct eng_bag bag = {0};
    enum { MANY = 200000 };

    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t value = __builtin_bswap32(i);
        CU_ASSERT_FATAL(eng_bag_change(arena, &bag, &value, sizeof value, 1));
    }
    CU_ASSERT_EQUAL(bag.owned_bytes, (uint64_t)MANY * eng_arena_blob_bytes(28));
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t value = __builtin_bswap32(i);
        CU_ASSERT_FATAL(memcmp(eng_bag_least(&bag)->bytes, &value, sizeof value) == 0);
        CU_ASSERT_FATAL(eng_bag_change(arena, &bag, &value, sizeof value, -1));
    }
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), 0);
}

static void a_refused_value_leaves_all_as_it_was(void)
{
    struct eng_bag bag = {0};
    uint32_t i = 1;

    memset(model, 0, sizeof model);
    eng_arena_set_budget(arena, 4096);
    for (; i < VALUES; i++) {
        char value[32];
        uint32_t length = value_of(i, value);
        if (!eng_bag_change(arena, &bag, value, length, 1)) break;
        model[i] = 1;
    }
    CU_ASSERT(i > 40);
    CU_ASSERT(i < VALUES);
    check(&bag);
    change(&bag, 1, 5); /* one that is there needs no memory */
    check(&bag);
    eng_arena_set_budget(arena, 0);
    eng_bag_clear(arena, &bag);
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), 0);
}

int main(void)
{
    if (eng_arena_open(&arena, 0, 0) < 0) return 1;
    shm_random_seed(&stream, 20240607);
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("state_bag", NULL, NULL);
    CU_ADD_TEST(suite, it_holds_what_a_plain_array_of_counts_holds);
    CU_ADD_TEST(suite, values_in_order_take_no_longer_than_others);
    CU_ADD_TEST(suite, a_refused_value_leaves_all_as_it_was);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    int failures = (int)CU_get_number_of_failures();
    CU_cleanup_registry();
    eng_arena_close(arena);
    return failures != 0;
}
