/* shm/region.h: the named shared memory of one job.
 *
 * A region is a file of mode 0600 in a directory of mode 0700 on a tmpfs. Whoever may open the file
 * may look at the job: tools need nothing from any of its processes, so they work on a hung job and
 * on a dead one.
 *
 *     $PENSTOCK_RUN_DIR, else /dev/shm/penstock-UID        the directory
 *     JOB.PID.region                                       the file; PID made it
 *
 *     +--------+----------------------------------------+-------------+
 *     | header | what the owner carved, 128-byte aligned | unused      |
 *     +--------+----------------------------------------+-------------+
 *     0        SHM_REGION_HEADER_BYTES                   carved_bytes  size_bytes
 *
 * Inside are offsets from its first byte, never pointers.
 *
 *     owner:     shm_region_dry, carve ...     how much is needed
 *                shm_region_create             allocates all of it: a full tmpfs is told here, not
 * by SIGBUS
 *                shm_region_carve ...          the same again, now for real
 *                shm_region_publish            stores `ready`
 *     others:    shm_region_attach             yes (0), not yet (-EAGAIN), never (-EPROTO)
 *
 * Dead or alive. The owner holds an flock on the file. Its forked children share that lock with the
 * descriptor they inherit and must leave it open: it is released by the kernel when the last
 * process of the job has ended. So a region that can be locked is stale: nobody writes to it any
 * more, and it stays for a look at what happened until shm_region_sweep() removes it. A program
 * that a child executes does not keep it (O_CLOEXEC).
 *
 * If the owner dies before `ready`, the file is stale and not ready: swept like the others. A
 * creator whose new file is swept before it could lock it notices and makes another.
 *
 * Functions return 0 or -errno. `reason` (may be NULL) then holds a sentence for people: what,
 * where, and what to do.
 */
#ifndef SHM_REGION_H
#define SHM_REGION_H

#include <stddef.h>

#include "shm/atomic.h"
#include "shm/memory.h"

enum {
    SHM_REGION_JOB_BYTES = 64,
    SHM_REGION_PATH_BYTES = 512,
    SHM_REGION_HEADER_BYTES = 256,
};

typedef struct {
    uint64_t bytes;
} shm_offset; /* from the first byte of the region; 0 means none */

struct shm_region_header {
    uint64_t magic;
    uint64_t layout; /* of the build that made the region: shm_region_layout() */
    uint64_t size_bytes;
    uint64_t carved_bytes; /* the header included */
    uint64_t owner_pid;
    uint64_t owner_start_ticks;
    int64_t created_us;
    char job[SHM_REGION_JOB_BYTES];
    shm_offset root;                                /* where the owner's own structure begins */
    _Alignas(SHM_CACHELINE) _Atomic uint64_t ready; /* stored last: [region.ready] */
};
_Static_assert(sizeof(struct shm_region_header) == SHM_REGION_HEADER_BYTES,
               "shared layout changed");

struct shm_region {
    char *base; /* NULL: a dry one, which only sums */
    uint64_t size_bytes;
    uint64_t carved_bytes;
    int fd; /* holds the owner's lock; -1 for those who attached */
    uint32_t reserved;
    char path[SHM_REGION_PATH_BYTES];
};

/* The directory of this user's regions, made if it is missing. -EPERM: it is not ours alone. */
int shm_region_directory(char *path, size_t path_bytes, char *reason, size_t reason_bytes);

/* job: letters, digits, '-', '_' and '.', not at the beginning. -ENOSPC: the tmpfs is too small. */
int shm_region_create(struct shm_region *region, const char *job, uint64_t size_bytes, char *reason,
                      size_t reason_bytes);

/* Begins a region that only sums: carve from it, then create one of its carved_bytes. */
void shm_region_dry(struct shm_region *region);

/* Space for the owner, zeroed. align_bytes is a power of two up to a page. The region must have it.
 */
shm_offset shm_region_carve(struct shm_region *region, uint64_t size_bytes, uint64_t align_bytes);

/* Everything is in place: others may attach. root: found again by shm_region_root(). */
void shm_region_publish(struct shm_region *region, shm_offset root);

/* -ENOENT: no such file. -EAGAIN: not ready, try later. -EPROTO: damaged, or of another build. */
int shm_region_attach(struct shm_region *region, const char *path, bool writable, char *reason,
                      size_t reason_bytes);

/* Unmaps. The file stays; an owner that closes gives up the lock, as far as it is concerned. */
void shm_region_close(struct shm_region *region);

/* By the owner: removes the file, and closes. */
void shm_region_remove(struct shm_region *region);

/* NULL if these bytes do not lie inside: offsets in a stranger's region are not to be believed. */
void *shm_region_at(const struct shm_region *region, shm_offset offset, uint64_t size_bytes);

static inline struct shm_region_header *shm_region_header(const struct shm_region *region)
{
    return (struct shm_region_header *)(void *)region->base;
}

static inline void *shm_region_root(const struct shm_region *region, uint64_t size_bytes)
{
    return shm_region_at(region, shm_region_header(region)->root, size_bytes);
}

struct shm_region_entry {
    char path[SHM_REGION_PATH_BYTES];
    char job[SHM_REGION_JOB_BYTES];
    int pid;
    bool alive; /* a process of the job lives */
    bool ready;
    uint64_t size_bytes;
};

/* Calls visit for each region in the directory until it returns false. How many, or -errno. */
int shm_region_list(const char *directory, bool (*visit)(const struct shm_region_entry *, void *),
                    void *arg);

/* Removes the stale ones. How many, or -errno. */
int shm_region_sweep(const char *directory);

/* Changes when the layout of anything that lies in regions changes. */
uint64_t shm_region_layout(void);

#endif
