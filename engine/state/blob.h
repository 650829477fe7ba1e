/* engine/state/blob.h: the part of an arena that gives out memory of any size.
 *
 * A jemalloc arena of its own, whose extents come from the range of the eng_arena: jemalloc has the
 * size classes, we have the addresses. Used by arena.c only; everybody else calls eng_arena_blob().
 *
 * The jemalloc arena is made when the first blob is wanted, since most states never want one. It
 * never gives an extent back (the hook refuses, which makes jemalloc keep and reuse it) and never
 * purges: what is freed between a fork and the image's end would only cost faults.
 *
 * Calls use no thread cache, so all memory of an arena is in its extents, and jemalloc's own locks
 * are free whenever the worker forks. An image must not call anything here.
 */
#ifndef ENG_STATE_BLOB_H
#define ENG_STATE_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jemalloc/jemalloc.h>

/* Where extents come from: size_bytes at an address that `alignment` divides, zeroed; or NULL. */
typedef void *eng_blob_source(void *owner, size_t size_bytes, size_t alignment);

struct eng_blobs {
    extent_hooks_t hooks; /* first: jemalloc hands its address back to the hooks */
    eng_blob_source *source;
    void *owner;
    unsigned arena; /* jemalloc's number of it */
    bool open;
};

void eng_blobs_open(struct eng_blobs *blobs, eng_blob_source *source, void *owner);
void eng_blobs_close(struct eng_blobs *blobs); /* before the range is unmapped */

void *eng_blobs_allocate(struct eng_blobs *blobs, uint64_t size_bytes); /* NULL: no more extents */
void eng_blobs_free(struct eng_blobs *blobs, void *blob, uint64_t size_bytes);
uint64_t eng_blobs_class_bytes(uint64_t size_bytes); /* what a blob of that size takes up */

#endif
