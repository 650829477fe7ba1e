/* engine/state/table: dirty epochs, relocation while an image lives, a budget that refuses, growth
 * in bounded steps.
 * Method: a second map is kept up to date from dirty ranges alone, as a checkpoint would be, and
 * must equal the table; segments that an image sees are compared byte for byte with what they were.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "engine/state/table_inside.h"
#include "tests/state_model.h"

static const struct eng_table_spec plain = {.key_bytes = 8, .value_bytes = 8};

static void batch_random(struct model *model, struct model_batch *batch, uint32_t count,
                         uint32_t below)
{
    batch->count = count;
    for (uint32_t i = 0; i < count; i++)
        batch->ids[i] = (uint32_t)model_random(model, below);
}

/* Without growth: a range is dirty if and only if one of its keys was touched. */
static void exactly_the_touched_ranges_are_dirty(void)
{
    enum { IDS = 100000 };
    struct model model;
    struct model_batch *batch = calloc(1, sizeof *batch);
    model_open(&model, plain, IDS, NULL);
    model_upsert_ids(&model, 0, IDS);
    for (uint64_t epoch = 2; epoch < 30; epoch++) {
        eng_table_set_epoch(model.table, epoch);
        CU_ASSERT_EQUAL(eng_arena_epoch(model.arena), epoch);
        batch_random(&model, batch, 1 + (uint32_t)model_random(&model, 60), IDS);
        uint32_t written = batch->count / 3, found = written * 2;
        struct model_batch *all = calloc(1, sizeof *all);
        *all = *batch;
        batch->count = written;
        CU_ASSERT_TRUE(model_upsert(&model, batch));
        *batch = *all;
        memmove(batch->ids, batch->ids + written, (found - written) * sizeof *batch->ids);
        batch->count = found - written;
        model_make(&model, batch);
        eng_table_find_writable(model.table, batch->count, batch->hashes, batch->keys, NULL,
                                batch->values);
        *batch = *all;
        memmove(batch->ids, batch->ids + found, (all->count - found) * sizeof *batch->ids);
        batch->count = all->count - found;
        model_find(&model, batch); /* finding leaves no trace */

        uint32_t wrong = 0, dirty = 0;
        for (uint64_t at = 0;;) {
            struct eng_table_range range;
            eng_table_range_at(model.table, at, &range);
            bool touched = false;
            for (uint32_t i = 0; i < found; i++) {
                uint64_t id = all->ids[i], hash = shm_hash(&id, 8);
                touched |= hash >= range.first && hash <= range.last;
            }
            wrong += touched != (range.epoch == epoch);
            dirty += touched;
            if (range.last == UINT64_MAX) break;
            at = range.last + 1;
        }
        CU_ASSERT_EQUAL(wrong, 0);
        CU_ASSERT_TRUE(dirty > 0 || found == 0);
        free(all);
    }
    free(batch);
    model_close(&model);
}

static void looking_for_absent_keys_to_write_dirties_nothing(void)
{
    struct model model;
    struct model_batch *batch = calloc(1, sizeof *batch);
    model_open(&model, plain, 20000, NULL);
    model_upsert_ids(&model, 0, 10000);
    eng_table_set_epoch(model.table, 2);
    batch->count = 500;
    for (uint32_t i = 0; i < 500; i++)
        batch->ids[i] = 10000 + i;
    model_make(&model, batch);
    eng_table_find_writable(model.table, 500, batch->hashes, batch->keys, NULL, batch->values);
    model_remove(&model, 15000);
    for (uint64_t at = 0;;) {
        struct eng_table_range range;
        eng_table_range_at(model.table, at, &range);
        CU_ASSERT_EQUAL(range.epoch, 1);
        if (range.last == UINT64_MAX) break;
        at = range.last + 1;
    }
    free(batch);
    model_close(&model);
}

/* Applies what a part of epoch `since` would say: each dirty range now holds exactly these. */
static void shadow_apply(struct model *model, uint32_t *shadow, uint64_t since)
{
    for (uint64_t at = 0;;) {
        struct eng_table_range range;
        eng_table_range_at(model->table, at, &range);
        if (range.epoch >= since) {
            for (uint64_t id = 0; id < model->ids; id++) {
                uint64_t hash = shm_hash(&id, 8);
                if (hash >= range.first && hash <= range.last) shadow[id] = 0;
            }
            struct eng_table_walk walk;
            const void *key;
            void *value;
            eng_table_walk_range(&walk, model->table, range.first, range.last);
            while (eng_table_walk_next(&walk, NULL, &key, NULL, &value)) {
                uint64_t id;
                memcpy(&id, key, 8);
                CU_ASSERT_TRUE(model_value_is(model, id, model->version[id], value));
                shadow[id] = model->version[id];
            }
        }
        if (range.last == UINT64_MAX) break;
        at = range.last + 1;
    }
}

static void dirty_ranges_are_all_that_a_checkpoint_needs(void)
{
    enum { IDS = 6000 };
    struct model model;
    struct model_batch *batch = calloc(1, sizeof *batch);
    uint32_t *shadow = calloc(IDS, sizeof *shadow);
    model_open(&model, plain, IDS, NULL);
    for (uint64_t epoch = 1; epoch < 120; epoch++) {
        bool image = epoch > 1 && epoch % 3 == 0;
        if (image)
            eng_arena_freeze(model.arena, epoch);
        else
            eng_table_set_epoch(model.table, epoch);
        for (uint32_t i = 0; i < epoch % 4; i++) {
            batch_random(&model, batch, (uint32_t)model_random(&model, 100),
                         epoch > 60 ? 900 : IDS);
            CU_ASSERT_TRUE(model_upsert(&model, batch));
        }
        uint32_t removals = epoch % 40 == 39 ? IDS : (uint32_t)model_random(&model, 80);
        for (uint32_t i = 0; i < removals; i++)
            model_remove(&model, removals == IDS ? i : (uint32_t)model_random(&model, IDS));
        if (image) CU_ASSERT_TRUE(eng_arena_thaw(model.arena, UINT64_MAX, UINT32_MAX));
        shadow_apply(&model, shadow, epoch);
        CU_ASSERT_EQUAL(memcmp(shadow, model.version, IDS * sizeof *shadow), 0);
    }
    free(shadow);
    free(batch);
    model_close(&model);
}

/* Segments as they are, with the checksum of their bytes. */
struct pictures {
    uint32_t count;
    struct {
        const struct eng_segment *segment;
        uint64_t hash;
    } of[4096];
};

static void pictures_take(struct pictures *pictures, const struct model *model)
{
    pictures->count = 0;
    for (uint64_t i = 0, last; i < model->table->directory_count; i = last + 1) {
        last = i;
        uint32_t unit = model->table->directory[i].segment;
        if (unit == 0) continue;
        uint64_t first;
        eng_table_run(model->table, i, eng_table_segment(model->table, unit)->depth, &first, &last);
        for (; unit != 0; unit = eng_table_segment(model->table, unit)->next) {
            const struct eng_segment *segment = eng_table_segment(model->table, unit);
            CU_ASSERT_TRUE_FATAL(pictures->count < 4096);
            pictures->of[pictures->count].segment = segment;
            pictures->of[pictures->count].hash = shm_hash(segment, model->table->layout.size_bytes);
            pictures->count++;
        }
    }
}

static uint32_t pictures_changed(const struct pictures *pictures, const struct model *model)
{
    uint32_t changed = 0;
    for (uint32_t i = 0; i < pictures->count; i++)
        changed += shm_hash(pictures->of[i].segment, model->table->layout.size_bytes) !=
                   pictures->of[i].hash;
    return changed;
}

static void while_an_image_lives_no_segment_of_it_is_written(void)
{
    enum { IDS = 120000 };
    struct model model;
    struct model_batch *batch = calloc(1, sizeof *batch);
    struct pictures *pictures = calloc(1, sizeof *pictures);
    struct eng_table_statistics before, after;
    model_open(&model, plain, IDS, NULL);
    model_upsert_ids(&model, 0, 60000);
    for (uint64_t epoch = 2; epoch < 8; epoch++) {
        eng_table_statistics(model.table, &before);
        eng_arena_freeze(model.arena, epoch);
        pictures_take(pictures, &model);
        CU_ASSERT_EQUAL(pictures->count, before.segments);

        batch_random(&model, batch, 20, 60000); /* a few segments, each copied once */
        CU_ASSERT_TRUE(model_upsert(&model, batch));
        CU_ASSERT_TRUE(model_upsert(&model, batch));
        eng_table_statistics(model.table, &after);
        uint64_t touched = 0;
        for (uint64_t at = 0;;) {
            struct eng_table_range range;
            eng_table_range_at(model.table, at, &range);
            touched += range.epoch == epoch;
            if (range.last == UINT64_MAX) break;
            at = range.last + 1;
        }
        CU_ASSERT_EQUAL(after.relocated - before.relocated, touched);
        CU_ASSERT_TRUE(eng_arena_retired_bytes(model.arena) >= touched * 16384);

        uint32_t from = (uint32_t)(60000 + (epoch - 2) * 10000);
        model_upsert_ids(&model, 0, 60000);
        model_upsert_ids(&model, from, from + 10000); /* with splits of copied segments */
        for (uint32_t i = 0; i < 3000; i++)
            model_remove(&model, (uint32_t)model_random(&model, from));
        CU_ASSERT_EQUAL(pictures_changed(pictures, &model), 0);
        model_check(&model);
        eng_table_statistics(model.table, &after);
        CU_ASSERT_EQUAL(after.refused, 0);
        CU_ASSERT_TRUE(after.relocated - before.relocated == before.segments);
        CU_ASSERT_TRUE(eng_arena_thaw(model.arena, UINT64_MAX, UINT32_MAX));
        CU_ASSERT_EQUAL(eng_arena_retired_bytes(model.arena), 0);
        model_check(&model);
        for (uint32_t id = 0; id < 60000; id++)
            if (model.version[id] == 0) {
                batch->count = 1;
                batch->ids[0] = id;
                CU_ASSERT_TRUE(model_upsert(&model, batch));
            }
    }
    free(pictures);
    free(batch);
    model_close(&model);
}

static void overflow_chains_are_relocated_whole(void)
{
    struct model model;
    struct model_batch *batch = calloc(1, sizeof *batch);
    struct pictures *pictures = calloc(1, sizeof *pictures);
    struct eng_table_statistics statistics;
    model_open(&model, plain, 3000, NULL);
    eng_table_close(model.table);
    model.spec.hash_is_stored = true;
    CU_ASSERT_EQUAL_FATAL(eng_table_open(&model.table, model.arena, &model.spec), 0);
    void *value;
    for (uint64_t id = 1; id < 3000; id++) {
        const void *key = &id;
        uint64_t hash = 42;
        CU_ASSERT_TRUE(eng_table_upsert(model.table, 1, &hash, &key, NULL, &value));
        *(uint64_t *)value = id;
    }
    eng_table_statistics(model.table, &statistics);
    CU_ASSERT_TRUE(statistics.overflow_segments >= 3);
    uint64_t segments = statistics.segments + statistics.overflow_segments;
    eng_arena_freeze(model.arena, 2);
    pictures_take(pictures, &model);
    for (uint64_t id = 1; id < 3000; id += 7) {
        const void *key = &id;
        uint64_t hash = 42;
        eng_table_find_writable(model.table, 1, &hash, &key, NULL, &value);
        CU_ASSERT_PTR_NOT_NULL_FATAL(value);
        CU_ASSERT_EQUAL(*(uint64_t *)value, id);
        *(uint64_t *)value += 100000;
    }
    CU_ASSERT_EQUAL(pictures_changed(pictures, &model), 0);
    eng_table_statistics(model.table, &statistics);
    CU_ASSERT_EQUAL(statistics.relocated, segments);
    CU_ASSERT_EQUAL(eng_arena_retired_bytes(model.arena), segments * 16384);
    for (uint64_t id = 1; id < 3000; id++) {
        const void *key = &id;
        uint64_t hash = 42;
        eng_table_find(model.table, 1, &hash, &key, NULL, &value);
        CU_ASSERT_EQUAL(*(uint64_t *)value, id % 7 == 1 ? id + 100000 : id);
    }
    free(pictures);
    free(batch);
    model_close(&model);
}

/* No room for copies: the table writes in place, and says so. */
static void without_budget_for_copies_it_writes_in_place(void)
{
    struct model model;
    struct eng_table_statistics statistics;
    model_open(&model, plain, 50000, NULL);
    model_upsert_ids(&model, 0, 50000);
    uint64_t bytes = eng_arena_bytes(model.arena);
    eng_arena_set_budget(model.arena, bytes + 10 * 16384);
    eng_arena_freeze(model.arena, 2);
    model_upsert_ids(&model, 0, 50000);
    eng_table_statistics(model.table, &statistics);
    CU_ASSERT_EQUAL(statistics.relocated, 10);
    CU_ASSERT_EQUAL(statistics.refused, statistics.segments - 10);
    CU_ASSERT_EQUAL(eng_arena_bytes(model.arena), bytes + 10 * 16384);
    model_check(&model);
    CU_ASSERT_TRUE(eng_arena_thaw(model.arena, UINT64_MAX, UINT32_MAX));
    CU_ASSERT_EQUAL(eng_arena_bytes(model.arena), bytes);
    model_close(&model);
}

static void an_image_walks_the_table_as_it_was(void)
{
    enum { IDS = 40000 };
    struct model model;
    model_open(&model, (struct eng_table_spec){.value_bytes = 8}, IDS, NULL);
    model_upsert_ids(&model, 0, IDS / 2);
    int go[2];
    CU_ASSERT_EQUAL_FATAL(pipe(go), 0);
    eng_arena_freeze(model.arena, 2);
    pid_t image = fork();
    if (image == 0) {
        char byte;
        if (read(go[0], &byte, 1) != 1) _exit(2);
        struct eng_table_walk walk;
        const void *key;
        void *value;
        uint32_t key_bytes, walked = 0;
        eng_table_walk_all(&walk, model.table);
        while (eng_table_walk_next(&walk, NULL, &key, &key_bytes, &value)) {
            uint32_t id = model_id_of(&model, key, key_bytes);
            if (id >= IDS / 2 || !model_value_is(&model, id, 1, value)) _exit(3);
            walked++;
        }
        _exit(walked == IDS / 2 ? 0 : 4);
    }
    model_upsert_ids(&model, 0, IDS);
    for (uint32_t id = 0; id < IDS; id += 3)
        model_remove(&model, id);
    CU_ASSERT_EQUAL(write(go[1], "x", 1), 1);
    int status;
    CU_ASSERT_EQUAL(waitpid(image, &status, 0), image);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_TRUE(eng_arena_thaw(model.arena, UINT64_MAX, UINT32_MAX));
    model_check(&model);
    close(go[0]);
    close(go[1]);
    model_close(&model);
}

static void a_refused_batch_leaves_the_table_as_it_was(struct eng_table_spec spec, uint32_t ids)
{
    struct model model;
    struct model_batch *batch = calloc(1, sizeof *batch);
    model_open(&model, spec, ids, NULL);
    uint32_t refused = 0, next = 8;
    uint64_t budget = 2048;
    while (next < ids) {
        eng_arena_set_budget(model.arena, budget);
        batch->count = 0;
        while (batch->count < 200 && next + batch->count < ids) {
            uint32_t i = batch->count++;
            /* Old keys, new keys, and the same new key twice. */
            batch->ids[i] = i % 3 == 0 ? (uint32_t)model_random(&model, next) : next + i - i % 2;
        }
        if (model_upsert(&model, batch)) {
            next += batch->count;
            continue;
        }
        refused++;
        CU_ASSERT_EQUAL(eng_table_count(model.table), model.count);
        model_check(&model); /* all values as they were, none of the new keys, exact bytes */
        CU_ASSERT_TRUE(eng_arena_bytes(model.arena) <= budget);
        budget += 1500 + budget / 16;
    }
    CU_ASSERT_TRUE(refused > 10);
    model_check(&model);
    free(batch);
    model_close(&model);
}

static void a_budget_refuses_whole_batches(void)
{
    a_refused_batch_leaves_the_table_as_it_was(plain, 30000);
    a_refused_batch_leaves_the_table_as_it_was((struct eng_table_spec){.value_bytes = 8}, 10000);
    a_refused_batch_leaves_the_table_as_it_was(
        (struct eng_table_spec){.key_bytes = 16, .value_bytes = 500}, 5000);
}

static void growing_to_a_million_keys_never_moves_many_at_once(void)
{
    struct eng_arena *arena;
    struct eng_table *table;
    struct eng_table_spec spec = {.name = "million", .key_bytes = 8, .value_bytes = 8};
    CU_ASSERT_EQUAL_FATAL(eng_arena_open(&arena, (uint64_t)4 << 30, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_table_open(&table, arena, &spec), 0);
    CU_ASSERT_TRUE(eng_table_bytes(table) <= 512);
    static uint64_t keys[256], hashes[256];
    static const void *pointers[256];
    static void *values[256];
    struct eng_table_statistics before = {0}, after;
    uint64_t moved_max = 0, wrong = 0;
    for (uint64_t key = 0; key < 1000000; key += 250) {
        for (uint32_t i = 0; i < 250; i++) {
            keys[i] = key + i;
            hashes[i] = shm_hash(&keys[i], 8);
            pointers[i] = &keys[i];
        }
        CU_ASSERT_TRUE_FATAL(eng_table_upsert(table, 250, hashes, pointers, NULL, values));
        for (uint32_t i = 0; i < 250; i++) {
            wrong += *(uint64_t *)values[i] != 0;
            *(uint64_t *)values[i] = key + i + 1;
        }
        if (key == 0) CU_ASSERT_TRUE(eng_table_bytes(table) <= 512 + 8192);
        eng_table_statistics(table, &after);
        if (after.moved - before.moved > moved_max) moved_max = after.moved - before.moved;
        before = after;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(after.moved_max <= 892); /* one split: at most the entries of one segment */
    CU_ASSERT_TRUE(moved_max <= 250 * 40);  /* one batch: a few splits */
    CU_ASSERT_TRUE(after.moved <= 2 * 1000000);
    CU_ASSERT_EQUAL(after.overflow_segments, 0);
    CU_ASSERT_TRUE(after.directory_entries <= after.segments * 8);
    CU_ASSERT_TRUE(eng_table_bytes(table) <= 1000000 * 40);
    for (uint64_t key = 0; key < 1000000; key++) {
        uint64_t hash = shm_hash(&key, 8);
        const void *pointer = &key;
        void *value;
        eng_table_find(table, 1, &hash, &pointer, NULL, &value);
        wrong += value == NULL || *(uint64_t *)value != key + 1;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    eng_table_close(table);
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), 0);
    eng_arena_close(arena);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("state/epoch", NULL, NULL);
    CU_ADD_TEST(suite, exactly_the_touched_ranges_are_dirty);
    CU_ADD_TEST(suite, looking_for_absent_keys_to_write_dirties_nothing);
    CU_ADD_TEST(suite, dirty_ranges_are_all_that_a_checkpoint_needs);
    CU_ADD_TEST(suite, while_an_image_lives_no_segment_of_it_is_written);
    CU_ADD_TEST(suite, overflow_chains_are_relocated_whole);
    CU_ADD_TEST(suite, without_budget_for_copies_it_writes_in_place);
    CU_ADD_TEST(suite, an_image_walks_the_table_as_it_was);
    CU_ADD_TEST(suite, a_budget_refuses_whole_batches);
    CU_ADD_TEST(suite, growing_to_a_million_keys_never_moves_many_at_once);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
