/* shm/counter.h: counters that one process writes and everyone may read.
 *
 * A load and a store without a lock prefix: safe because a counter has one writer. Tools read them
 * from a read-only mapping at any time; a value is never torn, and two counters may disagree by
 * what happened between the two reads.
 */
#ifndef SHM_COUNTER_H
#define SHM_COUNTER_H

#include "shm/atomic.h"

static inline void shm_counter_add(_Atomic uint64_t *counter, uint64_t amount)
{
    shm_store_own(counter, shm_load_own(counter) + amount);
}

static inline void shm_counter_set(_Atomic uint64_t *counter, uint64_t value)
{
    shm_store_own(counter, value);
}

/* Keeps the largest. */
static inline void shm_counter_max(_Atomic uint64_t *counter, uint64_t value)
{
    if (shm_load_own(counter) < value) shm_store_own(counter, value);
}

/* For readers that are not the writer: fresh, torn never. */
static inline uint64_t shm_counter_get(const _Atomic uint64_t *counter)
{
    return shm_load_own(counter);
}

#endif
