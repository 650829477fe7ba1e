/* iouring/disk_sim.h: the simulated disk. Only in the simulated build.
 *
 * One disk in memory holds a tree of directories and files. Code above iou.h and file.h cannot
 * tell. For each file there are two images: what readers see, and what the platter has. For each
 * directory there are its names and the changes that are not durable yet.
 *
 *     write    readers see it at once; each 512-byte sector it touched is pending
 *
 *     sync     pending sectors and the size are on the platter; or it fails, pending sectors are
 *              lost and the next sync succeeds, as on Linux
 *
 *     crash    any subset of the pending sectors, in any of their versions, is on the platter; of
 *              the writes under way any part; the size is the old, the new or between
 *
 *     names    at a crash, any subset of the changes since the last sync of the directory has
 *              happened, in order, each whole or not at all (a rename is one change)
 *
 * Faults are drawn from the seed, at the rates asked for. Descriptors are numbers from
 * IOU_SIM_FD_MIN, so that a mix-up with a real one is a CHECK. There is one disk, as there is one
 * root directory; it begins anew with iou_sim_open(). The death of a simulated process leaves the
 * disk as it is, and its descriptors open; its locks are given back by iou_sim_unlock().
 */
#ifndef IOURING_DISK_SIM_H
#define IOURING_DISK_SIM_H

#include <stdbool.h>
#include <stdint.h>

enum {
    IOU_SIM_FD_MIN = 1 << 25,
    IOU_SIM_SECTOR_BYTES = 512,
};

/* Rates are in 10,000 operations; all zero is a perfect disk. */
struct iou_sim_faults {
    uint32_t short_transfer; /* fewer bytes than asked for */
    uint32_t again;          /* EINTR or EAGAIN */
    uint32_t read_error;     /* EIO */
    uint32_t read_flip;      /* one bit is wrong in what is read; the platter is not */
    uint32_t write_error;    /* EIO; a part may be written */
    uint32_t sync_error;     /* EIO; pending sectors are lost */
    uint32_t name_error;     /* EIO of create, rename, remove, directory sync */
    uint64_t delay_ns_max;   /* an operation takes up to this, most of them far less */
    uint64_t capacity_bytes; /* ENOSPC beyond it; 0: no limit */
};

/* What happened, so that a test can see that it tested something. */
struct iou_sim_counts {
    uint64_t reads, writes, syncs, names;
    uint64_t shorts, agains, read_errors, read_flips, write_errors, sync_errors, name_errors;
    uint64_t full; /* ENOSPC */
    uint64_t crashes;
    uint64_t sectors_kept, sectors_lost; /* pending ones, at crashes */
    uint64_t changes_kept, changes_lost; /* of names, at crashes */
};

void iou_sim_open(uint64_t seed); /* an empty, perfect disk */
void iou_sim_close(void);         /* gives its memory back */
void iou_sim_set_faults(const struct iou_sim_faults *faults);
struct iou_sim_counts iou_sim_counts(void);

/* The power fails. All descriptors are gone, operations under way are forgotten (their callbacks do
 * not run; each struct iou made before is only good for iou_close()), and the platter is what there
 * is. */
void iou_sim_crash(void);

/* The locks that processes of the past left, which the kernel would have given back. */
void iou_sim_unlock(void);

/* Damage: flips one bit of a file, in both images. False: no such file, or not so long. */
bool iou_sim_flip(const char *path, uint64_t offset_bytes, unsigned bit);

uint64_t iou_sim_used_bytes(void);

#endif
