#include "engine/state/arena.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/state/blob.h"
#include "engine/state/poison.h"
#include "shm/check.h"

enum {
    ARENA_RUN_BYTES = ENG_BLOCK_BYTES_MAX,
    ARENA_RUNS_PER_SLAB = ENG_SLAB_BYTES / ARENA_RUN_BYTES,
    ARENA_UNITS_PER_RUN = ARENA_RUN_BYTES / ENG_BLOCK_BYTES_MIN,
    ARENA_CLASSES = 8, /* 512 B << 0 .. 7 */
};
#define ARENA_RANGE_BYTES_MAX ((uint64_t)1 << 40)
#define ARENA_RANGE_BYTES_MIN ((uint64_t)64 << 20)

_Static_assert(ARENA_RUNS_PER_SLAB == 32, "a slab's free runs are one word of 32 bits");
_Static_assert(ARENA_UNITS_PER_RUN == 128, "a run's free blocks are two words of 64 bits");
_Static_assert(ENG_BLOCK_BYTES_MIN << (ARENA_CLASSES - 1) == ENG_BLOCK_BYTES_MAX, "classes");
_Static_assert(ARENA_RANGE_BYTES_MAX / ENG_BLOCK_BYTES_MIN <= UINT32_MAX, "units are 32 bits");

/* Runs and slabs are named by their index; run 0 and slab 0 are never given out, so 0 ends lists.
 * What is known of them lies apart from them: their pages hold nothing but blocks. */
struct arena_run {
    uint64_t free[2];                        /* one bit a block */
    uint64_t retired[2];                     /* freed, but an image may read it */
    uint32_t next, previous;                 /* runs of one class with free blocks */
    uint32_t retired_next, retired_previous; /* runs with retired blocks, oldest first */
    uint32_t retired_epoch;
    uint32_t used; /* blocks given out, retired ones included */
    uint32_t class;
    uint32_t reserved;
};

struct arena_slab {
    uint32_t free_runs; /* one bit a run */
    uint32_t born;      /* the epoch in which it was taken */
    uint32_t next, previous;
};

struct arena_list {
    uint32_t head, tail;
};

/* Old are slabs taken before the last freeze, while an image lives: they give out nothing. */
enum arena_age { ARENA_YOUNG, ARENA_OLD, ARENA_AGES };

struct eng_arena {
    char *base;
    uint64_t range_bytes, control_bytes;
    uint64_t bytes, retired_bytes, budget_bytes, extent_bytes;
    uint64_t epoch, frozen;
    eng_arena_more *more;
    void *more_owner;

    struct arena_run *runs;
    struct arena_slab *slabs;
    uint32_t slab_count; /* slabs ever taken, slab 0 included */
    uint32_t spare;      /* empty slabs, left out of forks, by next */
    char *extents;       /* lowest byte given to jemalloc; the range's end at first */
    struct arena_list run_lists[ARENA_AGES][ARENA_CLASSES]; /* with free blocks */
    struct arena_list slab_lists[ARENA_AGES];               /* with free runs */
    uint32_t retired_head, retired_tail;
    struct eng_blobs blobs;
};

/* ---- The range ------------------------------------------------------------------------------- */

static void *arena_map(uint64_t size_bytes)
{
    void *address = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return address == MAP_FAILED ? NULL : address;
}

/* A range aligned to a slab; the ends that alignment leaves over are unmapped. */
static char *arena_map_range(uint64_t size_bytes)
{
    char *raw = arena_map(size_bytes + ENG_SLAB_BYTES);
    if (raw == NULL) return NULL;
    uint64_t over = (uint64_t)(uintptr_t)raw % ENG_SLAB_BYTES;
    uint64_t before = over == 0 ? 0 : ENG_SLAB_BYTES - over;
    if (before > 0) munmap(raw, before);
    munmap(raw + before + size_bytes, ENG_SLAB_BYTES - before);
    return raw + before;
}

static uint64_t arena_control_bytes(uint64_t range_bytes)
{
    uint64_t runs = range_bytes / ARENA_RUN_BYTES, slabs = range_bytes / ENG_SLAB_BYTES;
    return sizeof(struct eng_arena) + 64 + runs * sizeof(struct arena_run) +
           slabs * sizeof(struct arena_slab);
}

/* For jemalloc: from the end of the range downwards, and never given back. */
static void *arena_on_extent(void *owner, size_t size_bytes, size_t alignment)
{
    struct eng_arena *arena = owner;
    char *bottom = arena->base + (uint64_t)arena->slab_count * ENG_SLAB_BYTES;
    if ((uint64_t)(arena->extents - bottom) < size_bytes) return NULL;
    uintptr_t address = ((uintptr_t)arena->extents - size_bytes) & ~((uintptr_t)alignment - 1);
    if (address < (uintptr_t)bottom) return NULL;
    arena->extent_bytes += (uint64_t)((uintptr_t)arena->extents - address);
    arena->extents = (char *)address;
    return arena->extents;
}

int eng_arena_open(struct eng_arena **result, uint64_t range_bytes, uint64_t budget_bytes)
{
    uint64_t range = range_bytes == 0 ? ARENA_RANGE_BYTES_MAX : range_bytes;
    if (range > ARENA_RANGE_BYTES_MAX) range = ARENA_RANGE_BYTES_MAX;
    range -= range % ENG_SLAB_BYTES;
    if (range < ARENA_RANGE_BYTES_MIN) range = ARENA_RANGE_BYTES_MIN;

    char *base = NULL, *control = NULL;
    for (;; range = range / 2 - range / 2 % ENG_SLAB_BYTES) {
        if (range < ARENA_RANGE_BYTES_MIN) return -ENOMEM;
        base = arena_map_range(range);
        if (base == NULL) continue;
        control = arena_map(arena_control_bytes(range));
        if (control != NULL) break;
        munmap(base, range);
    }
    madvise(base, range, MADV_HUGEPAGE); /* advice: without it, only slower */

    struct eng_arena *arena = (struct eng_arena *)control;
    uint64_t at = (sizeof *arena + 63) / 64 * 64;
    arena->runs = (struct arena_run *)(control + at);
    arena->slabs = (struct arena_slab *)(arena->runs + range / ARENA_RUN_BYTES);
    arena->base = base;
    arena->range_bytes = range;
    arena->control_bytes = arena_control_bytes(range);
    arena->budget_bytes = budget_bytes == 0 ? UINT64_MAX : budget_bytes;
    arena->epoch = 1;
    arena->slab_count = 1; /* slab 0: reads as zero, is nobody's */
    arena->extents = base + range;
    eng_blobs_open(&arena->blobs, arena_on_extent, arena);
    *result = arena;
    return 0;
}

void eng_arena_close(struct eng_arena *arena)
{
    if (arena == NULL) return;
    eng_blobs_close(&arena->blobs);
    eng_poison_given(arena->base, (uint64_t)arena->slab_count * ENG_SLAB_BYTES);
    eng_poison_given(arena->extents, (uint64_t)(arena->base + arena->range_bytes - arena->extents));
    CHECK(munmap(arena->base, arena->range_bytes) == 0);
    CHECK(munmap(arena, arena->control_bytes) == 0);
}

bool eng_arena_holds(const struct eng_arena *arena, const void *at)
{
    const char *byte = at;
    return arena && byte >= arena->base && byte < arena->base + arena->range_bytes;
}

char *eng_arena_base(const struct eng_arena *arena)
{
    return arena->base;
}

static bool arena_fits(const struct eng_arena *arena, uint64_t size_bytes)
{
    return arena->bytes <= arena->budget_bytes && size_bytes <= arena->budget_bytes - arena->bytes;
}

static bool arena_has_budget(struct eng_arena *arena, uint64_t size_bytes)
{
    if (__builtin_expect(arena_fits(arena, size_bytes), 1)) return true;
    return arena->more &&
           arena->more(arena->more_owner, arena->bytes + size_bytes - arena->budget_bytes) &&
           arena_fits(arena, size_bytes);
}

/* ---- Lists of slabs and of runs -------------------------------------------------------------- */

static void arena_run_link(struct eng_arena *arena, struct arena_list *list, uint32_t index)
{
    struct arena_run *run = &arena->runs[index];
    run->previous = 0;
    run->next = list->head;
    if (list->head != 0)
        arena->runs[list->head].previous = index;
    else
        list->tail = index;
    list->head = index;
}

static void arena_run_unlink(struct eng_arena *arena, struct arena_list *list, uint32_t index)
{
    struct arena_run *run = &arena->runs[index];
    if (run->previous != 0)
        arena->runs[run->previous].next = run->next;
    else
        list->head = run->next;
    if (run->next != 0)
        arena->runs[run->next].previous = run->previous;
    else
        list->tail = run->previous;
    run->next = run->previous = 0;
}

static void arena_slab_link(struct eng_arena *arena, struct arena_list *list, uint32_t index)
{
    struct arena_slab *slab = &arena->slabs[index];
    slab->previous = 0;
    slab->next = list->head;
    if (list->head != 0)
        arena->slabs[list->head].previous = index;
    else
        list->tail = index;
    list->head = index;
}

static void arena_slab_unlink(struct eng_arena *arena, struct arena_list *list, uint32_t index)
{
    struct arena_slab *slab = &arena->slabs[index];
    if (slab->previous != 0)
        arena->slabs[slab->previous].next = slab->next;
    else
        list->head = slab->next;
    if (slab->next != 0)
        arena->slabs[slab->next].previous = slab->previous;
    else
        list->tail = slab->previous;
    slab->next = slab->previous = 0;
}

/* Puts everything of one age behind what is of the other. Takes the same time for any number. */
static void arena_age_all(struct eng_arena *arena, enum arena_age from, enum arena_age to)
{
    for (uint32_t class = 0; class < ARENA_CLASSES; class ++) {
        struct arena_list *a = &arena->run_lists[to][class], *b = &arena->run_lists[from][class];
        if (b->head == 0) continue;
        if (a->head == 0) {
            *a = *b;
        } else {
            arena->runs[a->tail].next = b->head;
            arena->runs[b->head].previous = a->tail;
            a->tail = b->tail;
        }
        *b = (struct arena_list){0, 0};
    }
    struct arena_list *a = &arena->slab_lists[to], *b = &arena->slab_lists[from];
    if (b->head == 0) return;
    if (a->head == 0) {
        *a = *b;
    } else {
        arena->slabs[a->tail].next = b->head;
        arena->slabs[b->head].previous = a->tail;
        a->tail = b->tail;
    }
    *b = (struct arena_list){0, 0};
}

static enum arena_age arena_age_of(const struct eng_arena *arena, uint32_t slab)
{
    return arena->slabs[slab].born < arena->frozen ? ARENA_OLD : ARENA_YOUNG;
}

/* ---- Slabs and runs -------------------------------------------------------------------------- */

/* 0 when the range is exhausted. */
static uint32_t arena_slab_take(struct eng_arena *arena)
{
    uint32_t index = arena->spare;
    if (index != 0) {
        arena->spare = arena->slabs[index].next;
        madvise(arena->base + (uint64_t)index * ENG_SLAB_BYTES, ENG_SLAB_BYTES, MADV_DOFORK);
    } else {
        char *end = arena->base + (uint64_t)(arena->slab_count + 1) * ENG_SLAB_BYTES;
        if (end > arena->extents) return 0;
        index = arena->slab_count++;
        eng_poison_taken(end - ENG_SLAB_BYTES, ENG_SLAB_BYTES);
    }
    arena->slabs[index] =
        (struct arena_slab){.free_runs = UINT32_MAX, .born = (uint32_t)arena->epoch};
    arena_slab_link(arena, &arena->slab_lists[ARENA_YOUNG], index);
    return index;
}

static uint32_t arena_run_take(struct eng_arena *arena, uint32_t class)
{
    struct arena_list *slabs = &arena->slab_lists[ARENA_YOUNG];
    uint32_t slab_index = slabs->head;
    if (slab_index == 0) slab_index = arena_slab_take(arena);
    if (slab_index == 0) return 0;
    struct arena_slab *slab = &arena->slabs[slab_index];
    CHECK(slab->free_runs != 0);
    uint32_t bit = (uint32_t)__builtin_ctz(slab->free_runs);
    slab->free_runs &= slab->free_runs - 1;
    if (slab->free_runs == 0) arena_slab_unlink(arena, slabs, slab_index);

    uint32_t index = slab_index * ARENA_RUNS_PER_SLAB + bit;
    uint32_t blocks = (uint32_t)ARENA_UNITS_PER_RUN >> class;
    arena->runs[index] = (struct arena_run){
        .free = {blocks >= 64 ? UINT64_MAX : ((uint64_t)1 << blocks) - 1,
                 blocks == 128 ? UINT64_MAX : 0},
        .class = class,
    };
    arena_run_link(arena, &arena->run_lists[ARENA_YOUNG][class], index);
    return index;
}

/* A run without blocks goes back to its slab, and an empty slab to the spare ones, unless it is the
 * only one that blocks can be taken from. */
static void arena_run_return(struct eng_arena *arena, uint32_t index, enum arena_age age)
{
    uint32_t slab_index = index / ARENA_RUNS_PER_SLAB;
    struct arena_slab *slab = &arena->slabs[slab_index];
    struct arena_list *slabs = &arena->slab_lists[age];
    arena_run_unlink(arena, &arena->run_lists[age][arena->runs[index].class], index);
    uint32_t bit = (uint32_t)1 << index % ARENA_RUNS_PER_SLAB;
    CHECK((slab->free_runs & bit) == 0);
    if (slab->free_runs == 0) arena_slab_link(arena, slabs, slab_index);
    slab->free_runs |= bit;
    if (slab->free_runs != UINT32_MAX) return;
    if (slabs->head == slabs->tail && age == ARENA_YOUNG) return;
    arena_slab_unlink(arena, slabs, slab_index);
    /* An old slab is still mapped by an image: to write there would copy pages until a later fork
     * leaves it out. That is rare, and correct. */
    madvise(arena->base + (uint64_t)slab_index * ENG_SLAB_BYTES, ENG_SLAB_BYTES, MADV_DONTFORK);
    slab->next = arena->spare;
    arena->spare = slab_index;
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

static uint32_t arena_class_of(uint32_t size_bytes)
{
    CHECK(size_bytes >= ENG_BLOCK_BYTES_MIN);
    CHECK(size_bytes <= ENG_BLOCK_BYTES_MAX);
    CHECK((size_bytes & (size_bytes - 1)) == 0);
    return (uint32_t)__builtin_ctz(size_bytes / ENG_BLOCK_BYTES_MIN);
}

void *eng_arena_block(struct eng_arena *arena, uint32_t size_bytes)
{
    uint32_t class = arena_class_of(size_bytes);
    if (!arena_has_budget(arena, size_bytes)) return NULL;
    struct arena_list *list = &arena->run_lists[ARENA_YOUNG][class];
    uint32_t index = list->head;
    if (index == 0) index = arena_run_take(arena, class);
    if (index == 0) return NULL;

    struct arena_run *run = &arena->runs[index];
    uint32_t word = run->free[0] == 0;
    CHECK(run->free[word] != 0);
    uint32_t bit = word * 64 + (uint32_t)__builtin_ctzll(run->free[word]);
    run->free[word] &= run->free[word] - 1;
    run->used++;
    if ((run->free[0] | run->free[1]) == 0) arena_run_unlink(arena, list, index);
    arena->bytes += size_bytes;
    char *block = arena->base + (uint64_t)index * ARENA_RUN_BYTES + (uint64_t)bit * size_bytes;
    eng_poison_given(block, size_bytes);
    return block;
}

/* Marks blocks of a run free: those in bits[], `count` of them. */
static void arena_run_release(struct eng_arena *arena, uint32_t index, const uint64_t bits[2],
                              uint32_t count)
{
    struct arena_run *run = &arena->runs[index];
    enum arena_age age = arena_age_of(arena, index / ARENA_RUNS_PER_SLAB);
    CHECK(((run->free[0] & bits[0]) | (run->free[1] & bits[1])) == 0);
    CHECK(run->used >= count);
    bool was_full = (run->free[0] | run->free[1]) == 0;
    run->free[0] |= bits[0];
    run->free[1] |= bits[1];
    run->used -= count;
    arena->bytes -= (uint64_t)count * ((uint64_t)ENG_BLOCK_BYTES_MIN << run->class);
    if (was_full) arena_run_link(arena, &arena->run_lists[age][run->class], index);
    if (run->used == 0) arena_run_return(arena, index, age);
}

static void arena_retired_unlink(struct eng_arena *arena, uint32_t index)
{
    struct arena_run *run = &arena->runs[index];
    if (run->retired_previous != 0)
        arena->runs[run->retired_previous].retired_next = run->retired_next;
    else
        arena->retired_head = run->retired_next;
    if (run->retired_next != 0)
        arena->runs[run->retired_next].retired_previous = run->retired_previous;
    else
        arena->retired_tail = run->retired_previous;
    run->retired_next = run->retired_previous = 0;
}

/* The whole run takes the newest epoch of its retired blocks and goes to the end of the line: the
 * blocks retired before may wait longer than they must, and the line stays sorted. */
static void arena_retire(struct eng_arena *arena, uint32_t index, uint32_t bit)
{
    struct arena_run *run = &arena->runs[index];
    uint64_t mask = (uint64_t)1 << bit % 64;
    CHECK((run->retired[bit / 64] & mask) == 0);
    if ((run->retired[0] | run->retired[1]) != 0) arena_retired_unlink(arena, index);
    run->retired[bit / 64] |= mask;
    run->retired_epoch = (uint32_t)arena->epoch;
    run->retired_previous = arena->retired_tail;
    if (arena->retired_tail != 0)
        arena->runs[arena->retired_tail].retired_next = index;
    else
        arena->retired_head = index;
    arena->retired_tail = index;
    arena->retired_bytes += (uint64_t)ENG_BLOCK_BYTES_MIN << run->class;
}

void eng_arena_block_free(struct eng_arena *arena, void *block, uint32_t size_bytes)
{
    uint64_t offset = (uint64_t)((char *)block - arena->base);
    CHECK(offset < (uint64_t)arena->slab_count * ENG_SLAB_BYTES);
    uint32_t index = (uint32_t)(offset / ARENA_RUN_BYTES);
    struct arena_run *run = &arena->runs[index];
    CHECK(arena_class_of(size_bytes) == run->class);
    CHECK(offset % size_bytes == 0);
    uint32_t bit = (uint32_t)(offset % ARENA_RUN_BYTES / size_bytes);
    uint64_t bits[2] = {0, 0};
    bits[bit / 64] = (uint64_t)1 << bit % 64;
    CHECK((run->free[bit / 64] & bits[bit / 64]) == 0);
    if (arena_age_of(arena, index / ARENA_RUNS_PER_SLAB) == ARENA_OLD) {
        arena_retire(arena, index, bit);
        return;
    }
    CHECK((run->retired[bit / 64] & bits[bit / 64]) == 0);
    eng_poison_taken(block, size_bytes);
    arena_run_release(arena, index, bits, 1);
}

/* ---- Blobs ----------------------------------------------------------------------------------- */

void *eng_arena_blob(struct eng_arena *arena, uint64_t size_bytes)
{
    CHECK(size_bytes > 0);
    if (size_bytes > arena->range_bytes) return NULL;
    uint64_t class_bytes = eng_blobs_class_bytes(size_bytes);
    if (!arena_has_budget(arena, class_bytes)) return NULL;
    void *blob = eng_blobs_allocate(&arena->blobs, size_bytes);
    if (blob != NULL) arena->bytes += class_bytes;
    return blob;
}

void eng_arena_blob_free(struct eng_arena *arena, void *blob, uint64_t size_bytes)
{
    CHECK((char *)blob >= arena->extents);
    CHECK((char *)blob < arena->base + arena->range_bytes);
    arena->bytes -= eng_blobs_class_bytes(size_bytes);
    eng_blobs_free(&arena->blobs, blob, size_bytes);
}

uint64_t eng_arena_blob_bytes(uint64_t size_bytes)
{
    return eng_blobs_class_bytes(size_bytes);
}

/* ---- Accounting ------------------------------------------------------------------------------ */

uint64_t eng_arena_bytes(const struct eng_arena *arena)
{
    return arena->bytes;
}

uint64_t eng_arena_retired_bytes(const struct eng_arena *arena)
{
    return arena->retired_bytes;
}

uint64_t eng_arena_touched_bytes(const struct eng_arena *arena)
{
    return (uint64_t)(arena->slab_count - 1) * ENG_SLAB_BYTES + arena->extent_bytes;
}

uint64_t eng_arena_budget(const struct eng_arena *arena)
{
    return arena->budget_bytes;
}

void eng_arena_on_budget(struct eng_arena *arena, eng_arena_more *more, void *owner)
{
    arena->more = more;
    arena->more_owner = owner;
}

void eng_arena_set_budget(struct eng_arena *arena, uint64_t budget_bytes)
{
    arena->budget_bytes = budget_bytes == 0 ? UINT64_MAX : budget_bytes;
}

/* ---- Epochs and images ----------------------------------------------------------------------- */

uint64_t eng_arena_epoch(const struct eng_arena *arena)
{
    return arena->epoch;
}

void eng_arena_set_epoch(struct eng_arena *arena, uint64_t epoch)
{
    CHECK(epoch >= arena->epoch);
    CHECK(epoch <= UINT32_MAX);
    arena->epoch = epoch;
}

void eng_arena_freeze(struct eng_arena *arena, uint64_t epoch)
{
    CHECK(epoch > arena->epoch);
    eng_arena_set_epoch(arena, epoch);
    arena->frozen = epoch;
    arena_age_all(arena, ARENA_YOUNG, ARENA_OLD);
}

uint64_t eng_arena_frozen(const struct eng_arena *arena)
{
    return arena->frozen;
}

bool eng_arena_thaw(struct eng_arena *arena, uint64_t oldest, uint32_t runs_max)
{
    if (oldest == UINT64_MAX && arena->frozen != 0) {
        arena->frozen = 0;
        arena_age_all(arena, ARENA_OLD, ARENA_YOUNG);
    }
    uint32_t runs = 0;
    while (arena->retired_head != 0) {
        uint32_t index = arena->retired_head;
        struct arena_run *run = &arena->runs[index];
        if (run->retired_epoch >= oldest) break; /* an image of that cut sees it */
        if (runs++ == runs_max) return false;
        uint64_t bits[2] = {run->retired[0], run->retired[1]};
        uint32_t count = (uint32_t)(__builtin_popcountll(bits[0]) + __builtin_popcountll(bits[1]));
        uint64_t block_bytes = (uint64_t)ENG_BLOCK_BYTES_MIN << run->class;
        arena_retired_unlink(arena, index);
        run->retired[0] = run->retired[1] = 0;
        arena->retired_bytes -= count * block_bytes;
        char *base = arena->base + (uint64_t)index * ARENA_RUN_BYTES;
        for (uint32_t bit = 0; bit < ARENA_UNITS_PER_RUN; bit++)
            if (bits[bit / 64] >> bit % 64 & 1)
                eng_poison_taken(base + bit * block_bytes, block_bytes);
        arena_run_release(arena, index, bits, count);
    }
    return true;
}

uint64_t eng_arena_trim(struct eng_arena *arena)
{
    uint64_t bytes = 0;
    for (uint32_t index = arena->spare; index != 0; index = arena->slabs[index].next) {
        char *slab = arena->base + (uint64_t)index * ENG_SLAB_BYTES;
        if (madvise(slab, ENG_SLAB_BYTES, MADV_DONTNEED) == 0) bytes += ENG_SLAB_BYTES;
    }
    return bytes;
}
