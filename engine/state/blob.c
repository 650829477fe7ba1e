#include "engine/state/blob.h"

#include <stdio.h>

#include "engine/state/poison.h"
#include "shm/check.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BLOB_THREAD_SANITIZER 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define BLOB_THREAD_SANITIZER 1
#endif

#ifdef BLOB_THREAD_SANITIZER
/* jemalloc holds all its locks across a fork, more than the deadlock detector can count: it would
 * abort. We have no locks to detect deadlocks of. TSAN_OPTIONS still has the last word. */
const char *__tsan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
    return "detect_deadlocks=0";
}
#endif

enum {
    BLOB_ALIGN_BYTES = 16,
    BLOB_EXTENT_BYTES_MAX = 8 << 20, /* else extents grow without end, each twice the last */
};

static void *blob_on_alloc(extent_hooks_t *hooks, void *new_address, size_t size_bytes,
                           size_t alignment, bool *zero, bool *commit, unsigned arena)
{
    struct eng_blobs *blobs = (struct eng_blobs *)hooks;
    (void)arena;
    if (new_address != NULL) return NULL; /* extents come from above: none grows in place */
    void *extent = blobs->source(blobs->owner, size_bytes, alignment);
    if (extent == NULL) return NULL;
    *zero = true;
    *commit = true;
    return extent;
}

static bool blob_on_dalloc(extent_hooks_t *hooks, void *address, size_t size_bytes, bool committed,
                           unsigned arena)
{
    (void)hooks, (void)address, (void)size_bytes, (void)committed, (void)arena;
    return true; /* keep it, and use it again */
}

static void blob_on_destroy(extent_hooks_t *hooks, void *address, size_t size_bytes, bool committed,
                            unsigned arena)
{
    (void)hooks, (void)address, (void)size_bytes, (void)committed, (void)arena;
}

static bool blob_on_split(extent_hooks_t *hooks, void *address, size_t size_bytes, size_t size_a,
                          size_t size_b, bool committed, unsigned arena)
{
    (void)hooks, (void)address, (void)size_bytes, (void)size_a, (void)size_b, (void)committed;
    (void)arena;
    return false; /* may be done */
}

static bool blob_on_merge(extent_hooks_t *hooks, void *a, size_t size_a, void *b, size_t size_b,
                          bool committed, unsigned arena)
{
    (void)hooks, (void)a, (void)size_a, (void)b, (void)size_b, (void)committed, (void)arena;
    return false; /* may be done: it is all one mapping */
}

static int blob_flags(const struct eng_blobs *blobs)
{
    return (int)MALLOCX_ARENA(blobs->arena) | MALLOCX_TCACHE_NONE | MALLOCX_ALIGN(BLOB_ALIGN_BYTES);
}

void eng_blobs_open(struct eng_blobs *blobs, eng_blob_source *source, void *owner)
{
    CHECK(source != NULL);
    *blobs = (struct eng_blobs){
        .hooks = {.alloc = blob_on_alloc,
                  .dalloc = blob_on_dalloc,
                  .destroy = blob_on_destroy,
                  .split = blob_on_split,
                  .merge = blob_on_merge},
        .source = source,
        .owner = owner,
    };
}

/* False: jemalloc has no more arenas, or no memory for its own books. */
static bool blob_arena_open(struct eng_blobs *blobs)
{
    extent_hooks_t *hooks = &blobs->hooks;
    size_t size = sizeof blobs->arena;
    if (mallctl("arenas.create", &blobs->arena, &size, &hooks, sizeof hooks) != 0) return false;

    char name[64];
    ssize_t never = -1;
    size_t grow = BLOB_EXTENT_BYTES_MAX;
    snprintf(name, sizeof name, "arena.%u.dirty_decay_ms", blobs->arena);
    CHECK(mallctl(name, NULL, NULL, &never, sizeof never) == 0);
    snprintf(name, sizeof name, "arena.%u.muzzy_decay_ms", blobs->arena);
    CHECK(mallctl(name, NULL, NULL, &never, sizeof never) == 0);
    snprintf(name, sizeof name, "arena.%u.retain_grow_limit", blobs->arena);
    mallctl(name, NULL, NULL, &grow, sizeof grow); /* fails where opt.retain is off: no matter */
    blobs->open = true;
    return true;
}

void eng_blobs_close(struct eng_blobs *blobs)
{
    if (!blobs->open) return;
    char name[64];
    snprintf(name, sizeof name, "arena.%u.destroy", blobs->arena);
    CHECK(mallctl(name, NULL, NULL, NULL, 0) == 0);
    blobs->open = false;
}

void *eng_blobs_allocate(struct eng_blobs *blobs, uint64_t size_bytes)
{
    CHECK(size_bytes > 0);
    if (!blobs->open && !blob_arena_open(blobs)) return NULL;
    void *blob = mallocx(size_bytes, blob_flags(blobs));
    if (blob != NULL) eng_poison_given(blob, size_bytes);
    return blob;
}

void eng_blobs_free(struct eng_blobs *blobs, void *blob, uint64_t size_bytes)
{
    CHECK(blobs->open);
    CHECK(blob != NULL);
    sdallocx(blob, size_bytes, blob_flags(blobs));
    eng_poison_taken(blob, size_bytes);
}

uint64_t eng_blobs_class_bytes(uint64_t size_bytes)
{
    CHECK(size_bytes > 0);
    return nallocx(size_bytes, MALLOCX_ALIGN(BLOB_ALIGN_BYTES));
}
