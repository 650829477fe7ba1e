/* engine/state/arena.h: the private memory of one worker's keyed state.
 *
 *      base                                                                          base + range
 *       | slab | slab | slab | ...  -->           (untouched)          <-- ... | extent | extent |
 *       |<-- blocks: segments of tables -->|              |<-- blobs: a jemalloc arena's extents
 * -->|
 *
 * One range of address space is reserved when the worker starts: MAP_PRIVATE, so that fork() makes
 * an image of it, and MAP_NORESERVE, so that it costs nothing until it is touched. What lives in
 * it:
 *
 *   blocks  of a power of two bytes, 512 B to 64 KiB: segments of tables. From below come slabs of
 *           2 MiB (one huge page), each cut into runs of 64 KiB, each run into blocks of one size.
 *   blobs   of any size: values that vary, long keys, large directories. A jemalloc arena of its
 * own whose extents come from above by hooks.
 *
 * What is given out is counted to the byte (eng_arena_bytes), what has been touched by slab and
 * extent (eng_arena_touched_bytes). With a budget an allocation that would exceed it returns NULL:
 * the caller refuses and reports, nothing here aborts.
 *
 * Epochs and images. A worker's cut divides its writes into epochs. The number of the current one
 * lives here, since it is the same for all the worker's tables. While images of earlier cuts live
 * (forked processes that share these pages), a table copies a segment before it first writes to it
 * (see table.h), and the block it left behind is *retired*: it stays as it is until the images
 * that can see it have gone. Blocks given out meanwhile come from slabs that no image maps:
 *
 *      eng_arena_freeze(n)          at cut n, before the fork: slabs taken until now are old
 *      ... blocks are taken from young slabs only; a free of an old block retires it
 *      eng_arena_thaw(oldest)       images of cuts below `oldest` have gone: their blocks come back
 *
 * A slab that becomes empty is kept as a spare and left out of forks (MADV_DONTFORK) until it is
 * taken again, so that its next use finds whole huge pages that nobody shares. If the budget leaves
 * no room for a copy, the table writes in place and the kernel copies pages: slower, never wrong.
 *
 * One thread uses an arena. It has no state outside itself: many can live in one process.
 */
#ifndef ENG_STATE_ARENA_H
#define ENG_STATE_ARENA_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ENG_BLOCK_BYTES_MIN = 512,
    ENG_BLOCK_BYTES_MAX = 64 << 10,
    ENG_SLAB_BYTES = 2 << 20,
};

struct eng_arena;

/* Reserves the range: range_bytes of it, or 1 TiB for 0; where the limits of the process allow
 * less, the half, the quarter, and so on. budget_bytes is the most that may be given out, 0 for no
 * limit. Returns 0 or -errno; on failure *arena is untouched. */
int eng_arena_open(struct eng_arena **arena, uint64_t range_bytes, uint64_t budget_bytes);
void eng_arena_close(struct eng_arena *arena); /* everything in it is gone; accepts NULL */

/* The first address of the range. A block is named by its distance from here in units of
 * ENG_BLOCK_BYTES_MIN, which fits 32 bits. The first ENG_BLOCK_BYTES_MAX bytes are never given out
 * and read as zero: unit 0 means none, and looks like an empty segment. */
char *eng_arena_base(const struct eng_arena *arena);

/* Whether an address lies in the range. NULL as arena: no. */
bool eng_arena_holds(const struct eng_arena *arena, const void *at);

/* A block of a power of two from ENG_BLOCK_BYTES_MIN to _MAX, aligned to its size, not zeroed.
 * NULL: the budget or the range is exhausted. */
void *eng_arena_block(struct eng_arena *arena, uint32_t size_bytes);
void eng_arena_block_free(struct eng_arena *arena, void *block, uint32_t size_bytes);

/* A blob of size_bytes > 0, aligned to 16, not zeroed. NULL: budget or range are exhausted. It
 * never moves. size_bytes of the free is that of the allocation. */
void *eng_arena_blob(struct eng_arena *arena, uint64_t size_bytes);
void eng_arena_blob_free(struct eng_arena *arena, void *blob, uint64_t size_bytes);
/* What a blob of size_bytes is counted as: its size class. */
uint64_t eng_arena_blob_bytes(uint64_t size_bytes);

/* ---- Accounting ------------------------------------------------------------------------------ */

uint64_t eng_arena_bytes(const struct eng_arena *arena);         /* given out, retired included */
uint64_t eng_arena_retired_bytes(const struct eng_arena *arena); /* kept for images only */
uint64_t eng_arena_touched_bytes(const struct eng_arena *arena); /* slabs and extents ever taken */
uint64_t eng_arena_budget(const struct eng_arena *arena);        /* UINT64_MAX: no limit */
void eng_arena_set_budget(struct eng_arena *arena, uint64_t budget_bytes); /* 0: no limit */

/* Who is asked before an allocation is refused for the budget: it may raise the budget by
 * need_bytes or more and say true. */
typedef bool eng_arena_more(void *owner, uint64_t need_bytes);
void eng_arena_on_budget(struct eng_arena *arena, eng_arena_more *more, void *owner);

/* ---- Epochs and images ----------------------------------------------------------------------- */

/* Epochs begin at 1, fit 32 bits and only rise. */
uint64_t eng_arena_epoch(const struct eng_arena *arena);
void eng_arena_set_epoch(struct eng_arena *arena, uint64_t epoch);

/* Begins `epoch` at a cut that gets an image: call it right before the fork (or in its stead, for
 * an image of another kind). What was given out before stays readable, and as it is, to the image.
 * epoch is above the current one. */
void eng_arena_freeze(struct eng_arena *arena, uint64_t epoch);

/* The epoch of the last freeze while images live, else 0: blocks last written before it belong to
 * an image too. */
uint64_t eng_arena_frozen(const struct eng_arena *arena);

/* No image of a cut below `oldest` lives any more; UINT64_MAX when none lives at all. Gives back at
 * most runs_max runs' worth of retired blocks; true when there is nothing left to do, else call it
 * again in the next step. */
bool eng_arena_thaw(struct eng_arena *arena, uint64_t oldest, uint32_t runs_max);

/* Gives the memory of spare slabs back to the system. Returns the bytes. */
uint64_t eng_arena_trim(struct eng_arena *arena);

#endif
