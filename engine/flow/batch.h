/* engine/flow/batch.h: a run of records of one stream, on its way through a chain.
 *
 * Nothing is owned: records lie in a ring, in a queue or in the buffer of the operator that emitted
 * them, and are valid until the function that was handed the batch returns. What does not apply is
 * NULL: times where the stream has no event time, rows where it has inserts only, hashes where no
 * exchange by key lies before.
 */
#ifndef ENG_FLOW_BATCH_H
#define ENG_FLOW_BATCH_H

#include <stdint.h>

enum { ENG_BATCH_RECORDS_MAX = 256 };

struct eng_batch {
    uint32_t count; /* 1 .. ENG_BATCH_RECORDS_MAX */
    uint32_t port;
    const void *const *records;
    const int64_t *times_us;
    const uint8_t *rows;     /* enum pen_row */
    const uint64_t *hashes;  /* of the keys */
    const void *const *keys; /* key images that travelled with the records; NULL: fields of them */
    const uint32_t *key_sizes;
};

/* The rest of a batch, from a record on. */
static inline struct eng_batch eng_batch_part(const struct eng_batch *batch, uint32_t from)
{
    struct eng_batch part = *batch;
    part.count -= from;
    part.records += from;
    if (part.times_us) part.times_us += from;
    if (part.rows) part.rows += from;
    if (part.hashes) part.hashes += from;
    if (part.keys) part.keys += from;
    if (part.key_sizes) part.key_sizes += from;
    return part;
}

#endif
