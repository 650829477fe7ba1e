/* shm/hash.h: the one hash of the project, XXH3 with 64 bits, inlined. The only file that includes
 * xxhash. Keys, ranges of state and checksums on disk depend on it: it never changes. */
#ifndef SHM_HASH_H
#define SHM_HASH_H

#include <stdint.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#define XXH_INLINE_ALL
#include <xxhash.h>
#pragma GCC diagnostic pop

static inline uint64_t shm_hash(const void *bytes, uint64_t size_bytes)
{
    return XXH3_64bits(bytes, size_bytes);
}

/* Which of `count` equal, contiguous ranges of the hash space a hash lies in: 0 .. count - 1. */
static inline uint32_t shm_hash_range(uint64_t hash, uint64_t count)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint32_t)((wide)hash * count >> 64);
}

#endif
