#include "engine/operator/keyed.h"

#include <string.h>

#include "engine/flow/worker.h"

/* The first hash of the range of subtask i of n: the smallest one with shm_hash_range(hash, n) ==
 * i. */
static uint64_t keyed_range_first(uint64_t i, uint64_t n)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((((wide)i << 64) + n - 1) / n);
}

bool eng_keyed_open_table(pen_context *ctx, struct eng_table **table, uint32_t value_bytes)
{
    const struct eng_key *key = ctx->node->ports[0].key;

    CHECK(key != NULL);
    struct eng_table_spec spec = {
        .name = ctx->node->id,
        .key_bytes = key->has_text ? 0 : key->size_bytes,
        .value_bytes = value_bytes,
    };
    if (ctx->parallelism > 1) {
        spec.hash_first = keyed_range_first(ctx->subtask, ctx->parallelism);
        spec.hash_last = ctx->subtask + 1 == ctx->parallelism
                             ? UINT64_MAX
                             : keyed_range_first(ctx->subtask + 1, ctx->parallelism) - 1;
    }
    int result = eng_table_open(table, ctx->worker->arena, &spec);
    if (result < 0)
        eng_context_fail(ctx, "cannot open its state of %u + %u bytes a key: %s", spec.key_bytes,
                         value_bytes, strerror(-result));
    return result == 0;
}

void eng_keyed_open(pen_context *ctx, struct eng_keyed *keyed, uint32_t value_bytes)
{
    keyed->key = ctx->node->ports[0].key;
    eng_keyed_open_table(ctx, &keyed->table, value_bytes);
}

void eng_keyed_close(struct eng_keyed *keyed)
{
    eng_table_close(keyed->table);
    keyed->table = NULL;
    eng_key_scratch_close(&keyed->scratch);
}

/* Where the images of the batch's keys are. Most lie in the records themselves. */
static const void *const *keyed_images(struct eng_keyed *keyed, const struct eng_key *key,
                                       const struct eng_batch *batch)
{
    if (batch->keys) {
        memcpy(keyed->sizes, batch->key_sizes, batch->count * sizeof *keyed->sizes);
        return batch->keys;
    }
    if (key->direct && key->direct_offset == 0 && key->size_bytes > 0) return batch->records;
    eng_key_images(key, batch->records, batch->count, &keyed->scratch, keyed->gathered,
                   keyed->sizes);
    return keyed->gathered;
}

bool eng_keyed_find(pen_context *ctx, struct eng_keyed *keyed, const struct eng_batch *batch)
{
    bool fixed = eng_key_is_fixed(keyed->key);

    CHECK(batch->hashes != NULL); /* an exchange by key lies before */
    const struct eng_key *key = ctx->node->ports[batch->port].key; /* alike, but laid out as ever */
    keyed->images = ctx->key_images = keyed_images(keyed, key, batch);
    ctx->key_sizes = fixed ? NULL : keyed->sizes;
    if (eng_table_upsert(keyed->table, batch->count, batch->hashes, keyed->images,
                         fixed ? NULL : keyed->sizes, keyed->values))
        return true;
    eng_context_fail(ctx, "its state has %llu keys in %llu bytes, and there is no memory for more",
                     (unsigned long long)eng_table_count(keyed->table),
                     (unsigned long long)eng_table_bytes(keyed->table));
    return false;
}

void eng_keyed_look_up(const struct eng_keyed *keyed, uint32_t count, const uint64_t *hashes,
                       const void *const *images, const uint32_t *sizes, void **entries)
{
    eng_table_find_writable(keyed->table, count, hashes, images,
                            eng_key_is_fixed(keyed->key) ? NULL : sizes, entries);
}

void eng_keyed_remove(struct eng_keyed *keyed, const struct eng_batch *batch, uint32_t index)
{
    CHECK(index < batch->count);
    CHECK(eng_table_remove(keyed->table, batch->hashes[index], keyed->images[index],
                           keyed->key->has_text ? keyed->sizes[index] : keyed->key->size_bytes));
}

void eng_keyed_show(pen_context *ctx, const struct eng_keyed *keyed)
{
    shm_store_own(&ctx->board->keys, eng_table_count(keyed->table));
    shm_store_own(&ctx->board->state_bytes, eng_table_bytes(keyed->table));
}
