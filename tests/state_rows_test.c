/* engine/state/rows: rows in an order, compared with a sorted array.
 * Method: random adding (in order, nearly in order, in any order, backwards, few different orders),
 * removing and dropping, rows of 1 to some thousand bytes and a few of more than a chunk; after
 * each round all rows, and all places that are sought, are as in the array. */
#include "engine/state/rows.h"

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

enum { MODEL_MAX = 60000 };

struct model_row {
    int64_t order;
    uint64_t id;
    uint32_t size_bytes;
};

struct model {
    struct eng_arena *arena;
    struct eng_rows_memory memory;
    struct eng_rows rows;
    struct model_row *sorted;
    uint32_t count;
    uint64_t next_id;
    uint64_t random;
};

static uint64_t model_random(struct model *model, uint64_t below)
{
    model->random = model->random * 6364136223846793005u + 1442695040888963407u;
    return (model->random >> 33) % below;
}

static void model_open(struct model *model, uint64_t seed)
{
    *model = (struct model){.random = seed};
    CU_ASSERT_EQUAL_FATAL(eng_arena_open(&model->arena, 0, 0), 0);
    model->memory.arena = model->arena;
    model->sorted = calloc(MODEL_MAX, sizeof *model->sorted);
    CU_ASSERT_PTR_NOT_NULL_FATAL(model->sorted);
}

/* Nothing may be left that the head does not know of. */
static void model_close(struct model *model)
{
    eng_rows_clear(&model->memory, &model->rows);
    CU_ASSERT_EQUAL(model->memory.bytes, 0);
    CU_ASSERT_EQUAL(eng_arena_bytes(model->arena), 0);
    eng_arena_close(model->arena);
    free(model->sorted);
}

static uint32_t model_first_beyond(const struct model *model, int64_t order)
{
    uint32_t low = 0, high = model->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (model->sorted[middle].order <= order)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void model_fill(char *row, uint64_t id, uint32_t size_bytes)
{
    for (uint32_t i = 0; i < size_bytes; i++)
        row[i] = (char)(id * 31 + i);
}

static bool model_is(const char *row, uint64_t id, uint32_t size_bytes)
{
    for (uint32_t i = 0; i < size_bytes; i++)
        if (row[i] != (char)(id * 31 + i)) return false;
    return true;
}

static bool model_add(struct model *model, int64_t order, uint32_t size_bytes)
{
    char *row = eng_rows_add(&model->memory, &model->rows, order, size_bytes);

    if (!row) return false;
    CU_ASSERT_EQUAL((uintptr_t)row % 8, 0);
    model_fill(row, model->next_id, size_bytes);
    uint32_t at = model_first_beyond(model, order);
    memmove(model->sorted + at + 1, model->sorted + at,
            (model->count - at) * sizeof *model->sorted);
    model->sorted[at] = (struct model_row){order, model->next_id++, size_bytes};
    model->count++;
    return true;
}

static bool model_same(struct eng_rows_at at, const struct model_row *row)
{
    return !eng_rows_is_end(at) && eng_rows_order(at) == row->order &&
           eng_rows_row_bytes(at) == row->size_bytes &&
           model_is(eng_rows_row(at), row->id, row->size_bytes);
}

static void model_check(const struct model *model)
{
    uint32_t i = 0;
    bool same = model->rows.count == model->count;

    for (struct eng_rows_at at = eng_rows_begin(&model->rows); !eng_rows_is_end(at);
         eng_rows_step(&model->rows, &at), i++)
        if (i >= model->count || !model_same(at, &model->sorted[i])) same = false;
    CU_ASSERT_EQUAL(i, model->count);
    CU_ASSERT_TRUE(same);
}

static void model_check_seek(const struct model *model, int64_t order)
{
    uint32_t beyond = model_first_beyond(model, order);
    uint32_t first = order == INT64_MIN ? 0 : model_first_beyond(model, order - 1);
    struct eng_rows_at at = eng_rows_seek(&model->rows, order);

    if (first == model->count)
        CU_ASSERT_TRUE(eng_rows_is_end(at))
    else
        CU_ASSERT_TRUE(model_same(at, &model->sorted[first]));
    at = eng_rows_seek_last(&model->rows, order);
    if (beyond == 0)
        CU_ASSERT_TRUE(eng_rows_is_end(at))
    else
        CU_ASSERT_TRUE(model_same(at, &model->sorted[beyond - 1]));
}

static void model_remove(struct model *model, uint32_t i)
{
    struct eng_rows_at at = eng_rows_seek(&model->rows, model->sorted[i].order);
    uint32_t equal = i;

    while (equal > 0 && model->sorted[equal - 1].order == model->sorted[i].order)
        equal--;
    for (; equal < i; equal++)
        eng_rows_step(&model->rows, &at);
    CU_ASSERT_TRUE_FATAL(model_same(at, &model->sorted[i]));
    eng_rows_remove(&model->memory, &model->rows, &at);
    model->count--;
    memmove(model->sorted + i, model->sorted + i + 1, (model->count - i) * sizeof *model->sorted);
    if (i == model->count)
        CU_ASSERT_TRUE(eng_rows_is_end(at))
    else
        CU_ASSERT_TRUE(model_same(at, &model->sorted[i]));
}

static void model_drop(struct model *model, int64_t order)
{
    uint32_t beyond = model_first_beyond(model, order);

    eng_rows_drop(&model->memory, &model->rows, order);
    model->count -= beyond;
    memmove(model->sorted, model->sorted + beyond, model->count * sizeof *model->sorted);
}

enum pattern { IN_ORDER, NEARLY, ANY, BACKWARDS, FEW, PATTERNS };

static int64_t model_order(struct model *model, enum pattern pattern, int64_t clock)
{
    switch (pattern) {
    case IN_ORDER:
        return clock;
    case NEARLY:
        return clock - (int64_t)model_random(model, 300);
    case ANY:
        return (int64_t)(model_random(model, 1u << 30) * model_random(model, 1u << 30));
    case BACKWARDS:
        return -clock;
    default:
        return (int64_t)model_random(model, 4) - 2;
    }
}

static uint32_t model_size(struct model *model, bool large)
{
    if (!large) return 24;
    if (model_random(model, 300) == 0) return 20000;
    if (model_random(model, 30) == 0) return 3000;
    return 1 + (uint32_t)model_random(model, 200);
}

static void model_round(struct model *model, enum pattern pattern, bool large, int64_t *clock)
{
    uint32_t adds = (uint32_t)model_random(model, 500),
             removes = (uint32_t)model_random(model, 300);

    for (uint32_t i = 0; i < adds; i++)
        CU_ASSERT_TRUE_FATAL(
            model_add(model, model_order(model, pattern, (*clock)++), model_size(model, large)));
    for (uint32_t i = 0; i < removes && model->count > 0; i++)
        model_remove(model, (uint32_t)model_random(model, model->count));
    for (uint32_t i = 0; i < 20; i++)
        model_check_seek(model, model_order(model, pattern, *clock));
    model_check_seek(model, INT64_MAX);
    model_check_seek(model, INT64_MIN);
    if (model->count > 0 && model_random(model, 4) == 0)
        model_drop(model, model->sorted[model_random(model, model->count)].order);
    model_check(model);
}

static void rows_are_in_order_whatever_happens_to_them(void)
{
    for (enum pattern pattern = 0; pattern < PATTERNS; pattern++)
        for (uint32_t large = 0; large < 2; large++) {
            struct model model;
            int64_t clock = 0;
            model_open(&model, pattern * 7 + large + 1);
            for (uint32_t round = 0; round < 60; round++)
                model_round(&model, pattern, large, &clock);
            model_close(&model);
        }
}

static void what_is_dropped_from_the_front_is_given_back(void)
{
    struct model model;
    model_open(&model, 3);
    for (int64_t i = 0; i < 50000; i++)
        CU_ASSERT_TRUE(model_add(&model, i, 40));
    uint64_t full = model.memory.bytes;
    CU_ASSERT_TRUE(full < 50000ull * (40 + 16) * 11 / 10);
    model_drop(&model, 39999);
    model_check(&model);
    CU_ASSERT_TRUE(model.memory.bytes < full * 3 / 10);
    /* A queue: as much comes as goes, and it stays as large as that. */
    for (int64_t i = 50000; i < 58000; i++) {
        CU_ASSERT_TRUE(model_add(&model, i, 40));
        model_drop(&model, i - 10000);
    }
    model_check(&model);
    CU_ASSERT_TRUE(model.memory.bytes < full * 3 / 10);
    model_close(&model);
}

static void what_is_removed_anywhere_is_given_back(void)
{
    struct model model;
    model_open(&model, 4);
    for (uint32_t i = 0; i < 20000; i++)
        CU_ASSERT_TRUE(model_add(&model, (int64_t)model_random(&model, 1u << 30), 40));
    uint64_t full = model.memory.bytes;
    while (model.count > 500)
        model_remove(&model, (uint32_t)model_random(&model, model.count));
    model_check(&model);
    CU_ASSERT_TRUE(model.memory.bytes < full / 8);
    model_close(&model);
}

static void a_single_row_takes_little(void)
{
    struct model model;
    model_open(&model, 5);
    CU_ASSERT_TRUE(model_add(&model, 1, 64));
    CU_ASSERT_EQUAL(model.memory.bytes, eng_arena_blob_bytes(24 + 16 + 64));
    model_close(&model);
}

static void a_refusal_changes_nothing(void)
{
    struct model model;
    uint32_t refused = 0;
    model_open(&model, 6);
    eng_arena_set_budget(model.arena, 100000);
    for (uint32_t i = 0; i < 3000; i++)
        if (!model_add(&model, (int64_t)model_random(&model, 1000), 50)) refused++;
    CU_ASSERT_TRUE(refused > 500);
    model_check(&model);
    model_drop(&model, 500);
    model_check(&model);
    CU_ASSERT_TRUE(model_add(&model, 7, 50));
    model_check(&model);
    model_close(&model);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("state/rows", NULL, NULL);
    CU_ADD_TEST(suite, rows_are_in_order_whatever_happens_to_them);
    CU_ADD_TEST(suite, what_is_dropped_from_the_front_is_given_back);
    CU_ADD_TEST(suite, what_is_removed_anywhere_is_given_back);
    CU_ADD_TEST(suite, a_single_row_takes_little);
    CU_ADD_TEST(suite, a_refusal_changes_nothing);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
