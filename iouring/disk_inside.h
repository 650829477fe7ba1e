/* iouring/disk_inside.h: the inside of the simulated disk, for file_sim.c and uring_sim.c.
 *
 * An inode is a file or a directory; names refer to inodes by number, descriptors as well. An inode
 * is freed when neither the names that are seen, nor those on the platter, nor a pending change,
 * nor a descriptor, nor an operation under way refers to it. What the disk does when, and what a
 * crash leaves, is told in disk_sim.h.
 */
#ifndef IOURING_DISK_INSIDE_H
#define IOURING_DISK_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "iouring/body.h"
#include "iouring/disk_sim.h"
#include "iouring/file.h"
#include "shm/random.h"

enum { IOU_DISK_ROOT = 1 }; /* the inode of /; inode 0 means none */

struct iou_disk_name {
    char text[IOU_NAME_BYTES];
    uint32_t inode;
};

struct iou_disk_names {
    struct iou_disk_name *list;
    uint32_t count, room;
};

/* A change of a directory. `from` is empty where a name is new, `to` where one is removed. */
struct iou_disk_change {
    char from[IOU_NAME_BYTES], to[IOU_NAME_BYTES];
    uint32_t inode;
};

struct iou_disk_inode {
    bool directory, marked;

    uint8_t *seen, *platter; /* the two images of a file; room_bytes each, zero beyond the size */
    uint8_t *pending;        /* a byte for each sector: is seen, is not on the platter */
    uint64_t seen_bytes, platter_bytes, room_bytes;

    struct iou_disk_names names, durable;
    struct iou_disk_change *changes; /* from `durable` to `names`, in order */
    uint32_t change_count, change_room;
};

struct iou_disk_handle {
    uint32_t inode; /* 0: closed */
    bool writable, direct, locked;
};

/* An operation under way. It has its own copy of the bytes: its process may be dead when it is
 * done. */
struct iou_disk_operation {
    struct iou_disk_operation *next;
    const struct iou_uring *owner;
    struct iou_request *request;
    enum iou_kind kind;
    uint32_t inode;
    bool direct, done;
    uint8_t *bytes;
    uint32_t size_bytes;
    uint64_t offset_bytes;
    uint64_t due_ns;
    int64_t result;
};

struct iou_disk {
    struct shm_random_stream chance;
    struct iou_sim_faults faults;
    struct iou_sim_counts counts;
    struct iou_disk_inode **inodes;
    uint32_t inode_count;
    struct iou_disk_handle *handles; /* never used twice, so that a stale one is noticed */
    uint32_t handle_count;
    uint32_t handle_count_crash; /* those below are of a time before the last crash */
    uint64_t used_bytes;
    struct iou_disk_operation *operations;
};

/* The one disk: files are found by path, as in the kernel, not through an argument. */
extern struct iou_disk iou_disk;

bool iou_disk_draw(uint32_t rate); /* true with a probability of rate / 10,000 */
uint64_t iou_disk_now(void);       /* SHM_CLOCK_NEVER outside of a simulation: all is due */
uint64_t iou_disk_delay(void);
void iou_disk_pause(void); /* of a blocking call: time passes, others run */

uint32_t iou_disk_inode_make(bool directory);
struct iou_disk_inode *iou_disk_inode(uint32_t number);
uint32_t iou_disk_find(uint32_t directory, const char *name); /* 0: there is none */
void iou_disk_change(uint32_t directory, const char *from, const char *to, uint32_t inode);
void iou_disk_directory_sync(uint32_t directory);
void iou_disk_sweep(void); /* frees inodes without a reference */

int iou_disk_handle_open(uint32_t inode, bool writable, bool direct);
struct iou_disk_handle *iou_disk_handle(int fd); /* NULL: it is of a time before a crash */

/* As the system calls of these names, faults included. */
int64_t iou_disk_read(uint32_t inode, void *into, uint64_t size_bytes, uint64_t offset_bytes,
                      bool direct);
int64_t iou_disk_write(uint32_t inode, const void *from, uint64_t size_bytes, uint64_t offset_bytes,
                       bool direct);
int iou_disk_sync(uint32_t inode);
int iou_disk_resize(uint32_t inode, uint64_t size_bytes);

void iou_disk_advance(void); /* performs the operations that are due */

#endif
