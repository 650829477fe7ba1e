/* engine/operator/keyed.h: what operators with state of a key share: a table, and the batch's keys.
 *
 * Opened in a subtask's `open` for its range of the hash space. For each batch: eng_keyed_find
 * gives every record the state of its key, all valid together; the keys' images are there as long
 * as the batch is. */
#ifndef ENG_OPERATOR_KEYED_H
#define ENG_OPERATOR_KEYED_H

#include "engine/flow/context.h"
#include "engine/state/table.h"

struct eng_keyed {
    struct eng_table *table;
    const struct eng_key *key;
    struct eng_key_scratch scratch;
    const void *const *images; /* of the batch at hand */
    const void *gathered[ENG_BATCH_RECORDS_MAX];
    uint32_t sizes[ENG_BATCH_RECORDS_MAX];
    void *values[ENG_BATCH_RECORDS_MAX];
};

void eng_keyed_open(pen_context *ctx, struct eng_keyed *keyed, uint32_t value_bytes);
/* One more table for the keys of a subtask, for an operator that has several: it is closed by its
 * owner. False: the job has failed. */
bool eng_keyed_open_table(pen_context *ctx, struct eng_table **table, uint32_t value_bytes);
void eng_keyed_close(struct eng_keyed *keyed);

/* False: there is no memory for a new key, and the job has failed. */
bool eng_keyed_find(pen_context *ctx, struct eng_keyed *keyed, const struct eng_batch *batch);
/* The entries of keys that are at hand as bytes, such as those of what a wheel gave; NULL for one
 * that is not there. For writing. sizes is not read where keys are of one size. */
void eng_keyed_look_up(const struct eng_keyed *keyed, uint32_t count, const uint64_t *hashes,
                       const void *const *images, const uint32_t *sizes, void **entries);
void eng_keyed_remove(struct eng_keyed *keyed, const struct eng_batch *batch, uint32_t index);

/* Shows keys and bytes on the board. */
void eng_keyed_show(pen_context *ctx, const struct eng_keyed *keyed);

#endif
