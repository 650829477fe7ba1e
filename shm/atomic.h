/* shm/atomic.h: the only file that names a memory order.
 *
 * Words in shared memory have one writer each, with few exceptions that use the read-modify-write
 * verbs. Every release store in the code carries a tag in a comment, such as [ring.filled], and
 * every acquire names the tag it pairs with, so that grep shows both ends.
 *
 *     own       this process is the only writer of the word: plain load, plain store
 *     acquire   what the writer did before its release is seen after it
 *     release   the counterpart
 *     fence     a full fence: "publish, fence, look whether the other sleeps" against "say that I
 *               sleep, fence, look whether there is something"
 *     or, take  a bitmap with many writers and one reader: set bits; take all and clear
 *     raise     a word that only rises, with writers that may be stale
 *
 * In the simulated build (see shm/sim.h) every verb but the `own` ones first lets another process
 * of the simulation run, and release stores wait in a simulated store buffer, so that the orders
 * which a machine may show are explored.
 */
#ifndef SHM_ATOMIC_H
#define SHM_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock inside libatomic is not shared memory");

#define SHM_CACHELINE 128 /* two lines: the adjacent one is fetched with it */

#ifdef SHM_SIM
void shm_sim_yield(void);
void shm_sim_flush(void);
bool shm_sim_store(void *word, uint64_t value, uint32_t size_bytes);       /* true: buffered */
bool shm_sim_load(const void *word, uint64_t *value, uint32_t size_bytes); /* true: from there */
#else
static inline void shm_sim_yield(void)
{
}
static inline void shm_sim_flush(void)
{
}
static inline bool shm_sim_store(void *word, uint64_t value, uint32_t size_bytes)
{
    (void)word, (void)value, (void)size_bytes;
    return false;
}
static inline bool shm_sim_load(const void *word, uint64_t *value, uint32_t size_bytes)
{
    (void)word, (void)value, (void)size_bytes;
    return false;
}
#endif

static inline uint64_t shm_load_own(const _Atomic uint64_t *word)
{
    uint64_t value;
    if (shm_sim_load(word, &value, 8)) return value;
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void shm_store_own(_Atomic uint64_t *word, uint64_t value)
{
    uint64_t older;
    if (shm_sim_load(word, &older, 8)) shm_sim_flush(); /* or it would come after this one */
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline uint64_t shm_load_acquire(const _Atomic uint64_t *word)
{
    uint64_t value;
    shm_sim_yield();
    if (shm_sim_load(word, &value, 8)) return value;
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline void shm_store_release(_Atomic uint64_t *word, uint64_t value)
{
    shm_sim_yield();
    if (shm_sim_store(word, value, 8)) return;
    atomic_store_explicit(word, value, memory_order_release);
}

static inline uint32_t shm_load_acquire32(const _Atomic uint32_t *word)
{
    uint64_t value;
    shm_sim_yield();
    if (shm_sim_load(word, &value, 4)) return (uint32_t)value;
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline void shm_store_release32(_Atomic uint32_t *word, uint32_t value)
{
    shm_sim_yield();
    if (shm_sim_store(word, value, 4)) return;
    atomic_store_explicit(word, value, memory_order_release);
}

/* gcc says that its thread sanitizer does not model fences. It need not: what the fences of parking
 * order is no data, and the real fence is still executed. */
#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif
static inline void shm_fence(void)
{
    shm_sim_yield();
    shm_sim_flush();
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void shm_or(_Atomic uint64_t *word, uint64_t bits)
{
    shm_sim_yield();
    shm_sim_flush();
    atomic_fetch_or_explicit(word, bits, memory_order_seq_cst);
}

static inline uint64_t shm_take(_Atomic uint64_t *word)
{
    shm_sim_yield();
    shm_sim_flush();
    return atomic_exchange_explicit(word, 0, memory_order_seq_cst);
}

/* Returns the value before. */
static inline uint64_t shm_add(_Atomic uint64_t *word, uint64_t amount)
{
    shm_sim_yield();
    shm_sim_flush();
    return atomic_fetch_add_explicit(word, amount, memory_order_seq_cst);
}

/* Writes `value` if the word is `*seen`; else *seen is what it is. */
static inline bool shm_swap_if(_Atomic uint64_t *word, uint64_t *seen, uint64_t value)
{
    shm_sim_yield();
    shm_sim_flush();
    return atomic_compare_exchange_strong_explicit(word, seen, value, memory_order_acq_rel,
                                                   memory_order_acquire);
}

/* False: the word is already at or above `value`. */
static inline bool shm_raise(_Atomic uint64_t *word, uint64_t value)
{
    shm_sim_yield();
    shm_sim_flush();
    uint64_t seen = atomic_load_explicit(word, memory_order_acquire);
    while (seen < value)
        if (atomic_compare_exchange_weak_explicit(word, &seen, value, memory_order_acq_rel,
                                                  memory_order_acquire))
            return true;
    return false;
}

#endif
