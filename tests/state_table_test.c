/* engine/state/table: keys to values, compared with a plain map.
 * Method: random batches of upserts and finds, with equal keys in one batch, and removals, over all
 * kinds of keys and values; what the table says is compared after each batch, all of it, in order
 * and to the byte, now and then. */
#include "tests/state_model.h"

static void model_run(struct eng_table_spec spec, uint32_t ids, uint32_t rounds,
                      uint64_t (*hash_of)(uint64_t))
{
    struct model model;
    struct model_batch *batch = calloc(1, sizeof *batch);
    model_open(&model, spec, ids, hash_of);
    for (uint32_t round = 0; round < rounds; round++) {
        /* Grow at first, shrink at last, so that every size is passed in both directions. */
        uint32_t removals = (uint32_t)model_random(&model, round * 3 < rounds ? 20 : 600);
        uint64_t among = 1 + model_random(&model, ids);
        batch->count = (uint32_t)model_random(&model, ENG_TABLE_BATCH_MAX + 1);
        for (uint32_t i = 0; i < batch->count; i++)
            batch->ids[i] = (uint32_t)model_random(&model, among);
        CU_ASSERT_TRUE(model_upsert(&model, batch));
        for (uint32_t i = 0; i < batch->count; i++)
            batch->ids[i] = (uint32_t)model_random(&model, ids);
        model_find(&model, batch);
        for (uint32_t i = 0; i < removals; i++)
            model_remove(&model, (uint32_t)model_random(&model, ids));
        CU_ASSERT_EQUAL(eng_table_count(model.table), model.count);
        if (round % 32 == 0) model_check(&model);
    }
    model_check(&model);
    for (uint32_t id = 0; id < ids; id++)
        model_remove(&model, id);
    model_check(&model);
    CU_ASSERT_EQUAL(eng_table_bytes(model.table), 512); /* all memory came back */
    model_upsert_ids(&model, 0, ids < 3000 ? ids : 3000);
    model_check(&model);
    model_close(&model);
    free(batch);
}

static void narrow_keys_behave_like_a_map(void)
{
    model_run((struct eng_table_spec){.key_bytes = 8, .value_bytes = 8}, 30000, 400, NULL);
    model_run((struct eng_table_spec){.key_bytes = 8, .value_bytes = 24}, 5000, 200, NULL);
    model_run((struct eng_table_spec){.key_bytes = 8, .value_bytes = 40}, 5000, 200, NULL);
    model_run((struct eng_table_spec){.key_bytes = 4, .value_bytes = 4}, 20000, 200, NULL);
    model_run((struct eng_table_spec){.key_bytes = 3, .value_bytes = 1}, 5000, 100, NULL);
    model_run((struct eng_table_spec){.key_bytes = 1, .value_bytes = 9}, 256, 100, NULL);
}

static void sets_have_no_values(void)
{
    model_run((struct eng_table_spec){.key_bytes = 8}, 20000, 200, NULL);
    model_run((struct eng_table_spec){.key_bytes = 24}, 5000, 100, NULL);
    model_run((struct eng_table_spec){.key_bytes = 0}, 5000, 100, NULL);
}

static void wide_keys_behave_like_a_map(void)
{
    model_run((struct eng_table_spec){.key_bytes = 16, .value_bytes = 16, .value_align = 16}, 20000,
              200, NULL);
    model_run((struct eng_table_spec){.key_bytes = 8, .value_bytes = 48}, 5000, 100, NULL);
    model_run((struct eng_table_spec){.key_bytes = 11, .value_bytes = 100}, 5000, 100, NULL);
    model_run((struct eng_table_spec){.key_bytes = 8, .value_bytes = 32, .value_align = 16}, 5000,
              100, NULL);
    model_run((struct eng_table_spec){.key_bytes = 40, .value_bytes = 2000}, 2000, 60, NULL);
    model_run((struct eng_table_spec){.key_bytes = 96, .value_bytes = 4000}, 600, 30, NULL);
}

static void keys_of_variable_size_behave_like_a_map(void)
{
    model_run((struct eng_table_spec){.value_bytes = 8}, 20000, 200, NULL);
    model_run((struct eng_table_spec){.value_bytes = 16, .value_align = 16}, 3000, 100, NULL);
}

static void a_key_may_be_empty_or_of_a_megabyte(void)
{
    struct model model;
    model_open(&model, (struct eng_table_spec){.value_bytes = 8}, 10, NULL);
    model_upsert_ids(&model, 0, 10); /* 0 is empty, 7 has a megabyte */
    CU_ASSERT_TRUE(eng_table_bytes(model.table) >= MODEL_KEY_BYTES_MAX);
    model_check(&model);
    model_remove(&model, 7);
    model_remove(&model, 0);
    CU_ASSERT_TRUE(eng_table_bytes(model.table) < 4096);
    model_check(&model);
    model_close(&model);
}

static uint64_t hash_equal(uint64_t id)
{
    (void)id;
    return 0x123456789abcdef0;
}
static uint64_t hash_zero(uint64_t id)
{
    return id & 1;
}
static uint64_t hash_low_byte(uint64_t id)
{
    return 0xfedcba9876543200 | (shm_hash(&id, 8) & 0xff);
}
static uint64_t hash_sequential(uint64_t id)
{
    return id;
}
static uint64_t hash_high_byte(uint64_t id)
{
    return shm_hash(&id, 8) << 56;
}
static uint64_t hash_half_alike(uint64_t id)
{
    return id % 2 == 0 ? shm_hash(&id, 8) : 0x8000000000000000 | (id & 3);
}

static void hostile_hashes_are_slow_but_right(void)
{
    uint64_t (*hostile[])(uint64_t) = {hash_equal,      hash_zero,      hash_low_byte,
                                       hash_sequential, hash_high_byte, hash_half_alike};
    for (uint32_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        model_run((struct eng_table_spec){.key_bytes = 8, .value_bytes = 8}, 3000, 60, hostile[i]);
        model_run((struct eng_table_spec){.value_bytes = 8}, 1500, 40, hostile[i]);
    }
    model_run((struct eng_table_spec){.key_bytes = 8, .value_bytes = 8}, 40000, 100,
              hash_half_alike);
}

static void stored_hashes_behave_like_a_map(void)
{
    model_run((struct eng_table_spec){.key_bytes = 8, .value_bytes = 8, .hash_is_stored = true},
              20000, 100, NULL);
}

static void a_range_walk_sees_exactly_its_hashes(void)
{
    struct model model;
    model_open(&model, (struct eng_table_spec){.key_bytes = 8, .value_bytes = 8}, 20000, NULL);
    model_upsert_ids(&model, 0, 20000);
    for (uint32_t round = 0; round < 200; round++) {
        uint64_t a = model_random(&model, UINT64_MAX) << 11, b = model_random(&model, UINT64_MAX)
                                                                 << 11;
        uint64_t from = a < b ? a : b, last = round % 3 == 0 ? from + (b >> 20) : a < b ? b : a;
        uint64_t expected = 0, walked = 0, outside = 0, hash;
        if (last < from) continue;
        for (uint64_t id = 0; id < 20000; id++) {
            hash = shm_hash(&id, 8);
            expected += hash >= from && hash <= last;
        }
        struct eng_table_walk walk;
        eng_table_walk_range(&walk, model.table, from, last);
        while (eng_table_walk_next(&walk, &hash, NULL, NULL, NULL)) {
            walked++;
            outside += hash < from || hash > last;
        }
        CU_ASSERT_EQUAL(walked, expected);
        CU_ASSERT_EQUAL(outside, 0);
        walked = 0;
        eng_table_walk_range(&walk, model.table, from, last);
        while (eng_table_walk_next(&walk, NULL, NULL, NULL, NULL))
            walked++;
        CU_ASSERT_EQUAL(walked, expected);
    }
    model_close(&model);
}

static void a_walk_in_pieces_survives_changes(void)
{
    struct model model;
    model_open(&model, (struct eng_table_spec){.key_bytes = 8, .value_bytes = 8}, 60000, NULL);
    model_upsert_ids(&model, 0, 20000); /* these stay, all others come and go */
    char *seen = calloc(60000, 1);
    struct eng_table_cursor cursor = {0};
    struct eng_table_walk walk;
    uint32_t steps = 0, added = 20000, twice = 0;
    while (eng_table_walk_step(&walk, model.table, &cursor)) {
        const void *key;
        uint32_t key_bytes, in_step = 0;
        while (eng_table_walk_next(&walk, NULL, &key, &key_bytes, NULL)) {
            uint32_t id = model_id_of(&model, key, key_bytes);
            if (id < 20000) twice += seen[id]++ != 0;
            in_step++;
        }
        CU_ASSERT_TRUE(in_step <= 1020);
        if (++steps % 2 == 0 && added + 1000 <= 60000) {
            model_upsert_ids(&model, added, added + 1000);
            added += 1000;
        }
        for (uint32_t i = 0; i < 100; i++)
            model_remove(&model, 20000 + (uint32_t)model_random(&model, 40000));
    }
    uint32_t missed = 0;
    for (uint32_t id = 0; id < 20000; id++)
        missed += !seen[id];
    CU_ASSERT_EQUAL(missed, 0);
    CU_ASSERT_EQUAL(twice, 0);
    CU_ASSERT_TRUE(steps > 20);
    free(seen);
    model_close(&model);
}

/* A worker of three owns a third of the hashes: its directory is no larger for that, and its walk
 * begins and ends at the bounds of its range. */
static void a_table_may_own_a_part_of_the_hashes(void)
{
    struct model model;
    uint64_t first = UINT64_MAX / 3 + 1, last = UINT64_MAX / 3 * 2;
    model_open(&model,
               (struct eng_table_spec){
                   .key_bytes = 8, .value_bytes = 8, .hash_first = first, .hash_last = last},
               400000, NULL);
    struct model_batch *batch = calloc(1, sizeof *batch);
    for (uint64_t id = 0; id < 400000;) {
        batch->count = 0;
        for (; id < 400000 && batch->count < 300; id++) {
            uint64_t hash = shm_hash(&id, 8);
            if (hash >= first && hash <= last) batch->ids[batch->count++] = (uint32_t)id;
        }
        CU_ASSERT_TRUE(model_upsert(&model, batch));
    }
    model_check(&model);
    struct eng_table_statistics statistics;
    eng_table_statistics(model.table, &statistics);
    CU_ASSERT_TRUE(statistics.directory_entries <= statistics.segments * 4);
    CU_ASSERT_EQUAL(statistics.overflow_segments, 0);
    for (uint32_t id = 0; id < 400000; id++)
        if (model.version[id] != 0) model_remove(&model, id);
    model_check(&model);
    free(batch);
    model_close(&model);
}

static void specifications_that_cannot_be_are_refused(void)
{
    struct eng_arena *arena;
    struct eng_table *table = NULL;
    CU_ASSERT_EQUAL_FATAL(eng_arena_open(&arena, (uint64_t)1 << 30, 0), 0);
    struct eng_table_spec bad[] = {
        {.name = "large", .key_bytes = 8, .value_bytes = ENG_TABLE_ENTRY_BYTES_MAX + 1},
        {.name = "long", .key_bytes = UINT32_MAX, .value_bytes = 8},
        {.name = "both", .key_bytes = 3000, .value_bytes = 3000},
        {.name = "align", .key_bytes = 8, .value_bytes = 8, .value_align = 32},
        {.name = "odd", .key_bytes = 8, .value_bytes = 8, .value_align = 3},
        {.name = "range", .key_bytes = 8, .value_bytes = 8, .hash_first = 9, .hash_last = 8},
    };
    for (uint32_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_TRUE(eng_table_open(&table, arena, &bad[i]) < 0);
    CU_ASSERT_PTR_NULL(table);
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), 0);
    eng_arena_close(arena);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("state/table", NULL, NULL);
    CU_ADD_TEST(suite, narrow_keys_behave_like_a_map);
    CU_ADD_TEST(suite, sets_have_no_values);
    CU_ADD_TEST(suite, wide_keys_behave_like_a_map);
    CU_ADD_TEST(suite, keys_of_variable_size_behave_like_a_map);
    CU_ADD_TEST(suite, a_key_may_be_empty_or_of_a_megabyte);
    CU_ADD_TEST(suite, stored_hashes_behave_like_a_map);
    CU_ADD_TEST(suite, hostile_hashes_are_slow_but_right);
    CU_ADD_TEST(suite, a_range_walk_sees_exactly_its_hashes);
    CU_ADD_TEST(suite, a_walk_in_pieces_survives_changes);
    CU_ADD_TEST(suite, a_table_may_own_a_part_of_the_hashes);
    CU_ADD_TEST(suite, specifications_that_cannot_be_are_refused);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
