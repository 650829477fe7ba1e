/* iouring/file.h: names of files and directories, and when they are durable.
 *
 * Everything here blocks; none of it is for a worker's step. All take a directory's descriptor and
 * a plain name in it, so that a directory that is moved meanwhile does not matter; only
 * iou_directory_open() and iou_directory_make() take paths.
 *
 * What is durable when:
 *
 *     bytes and size of a file        when iou_sync() or iou_file_sync() has succeeded
 *     a name: made, renamed, removed  when iou_directory_sync() of its directory has succeeded
 *
 * After a crash, what is not durable may be there, in part or whole, in any order. iou_publish()
 * is the one way to replace a file: readers see the old bytes or the new, also after a crash. A
 * crash in it leaves a file with IOU_TEMPORARY at the end of its name, which the next publishing of
 * that name replaces.
 *
 * file.c asks the kernel; file_sim.c keeps everything in the simulated disk. All return 0 (or what
 * is said) or -errno.
 */
#ifndef IOURING_FILE_H
#define IOURING_FILE_H

#include <stdbool.h>
#include <stdint.h>

#define IOU_TEMPORARY ".tmp"

enum {
    IOU_NAME_BYTES = 256, /* a name with its end */
};

enum iou_file_mode {
    IOU_READ,          /* an existing file, from the page cache */
    IOU_READ_DIRECT,   /* past it, if the file system can; aligned requests only */
    IOU_CREATE,        /* a new file for reading and writing; -EEXIST if the name is taken */
    IOU_CREATE_DIRECT, /* past the page cache, if the file system can; aligned requests only */
};

/* A descriptor or -errno. Where a file system has no direct access (tmpfs of older kernels), the
 * descriptor is an ordinary one and nothing else changes. */
int iou_file_open(int directory, const char *name, enum iou_file_mode mode);
void iou_file_close(int fd); /* accepts -1 */
int64_t iou_file_size(int fd);
int iou_file_resize(int fd, uint64_t size_bytes); /* cuts off the padding of direct writes */
int iou_file_sync(int fd);                        /* bytes and size */

/* Blocking reads and writes of all of it: -EIO when the file ends before. */
int iou_file_read(int fd, void *into, uint64_t size_bytes, uint64_t offset_bytes);
int iou_file_write(int fd, const void *from, uint64_t size_bytes, uint64_t offset_bytes);

int iou_directory_open(const char *path);
/* Makes it and what is missing above it (0700), each made durable in its parent. Opens it. */
int iou_directory_make(const char *path);
/* Makes or opens one directory inside another; durable when the other is synced. */
int iou_directory_make_in(int directory, const char *name);
int iou_directory_open_in(int directory, const char *name);
int iou_directory_sync(int directory);
int iou_directory_rename(int directory, const char *from, const char *to); /* replaces `to` */
int iou_directory_remove(int directory, const char *name); /* a file, or an empty directory */

/* Calls seen(name, arg) for each name but . and .., in the order of strcmp, until it returns false.
 * The directory may be changed meanwhile: the names are those of the beginning. */
int iou_directory_list(int directory, bool (*seen)(const char *name, void *arg), void *arg);

/* One process at a time: -EWOULDBLOCK if another has it. A descriptor; closing it, or the end of
 * the process, gives it back. Children that inherit the descriptor share it. */
int iou_directory_lock(int directory, const char *name);

/* Bytes the file system still has for us. */
int64_t iou_directory_free_bytes(int directory);

/* ---- Made of the above ----------------------------------------------------------------------- */

/* Writes a temporary file, syncs it, renames it to `name`, syncs the directory. On failure the old
 * file is in place: but after a failure of the last sync alone either may be, also after a crash.
 */
int iou_publish(int directory, const char *name, const void *bytes, uint64_t size_bytes);

/* The whole of a file, in memory from malloc. -EFBIG above size_bytes_max; on failure *bytes and
 * *size_bytes are untouched. */
int iou_load(int directory, const char *name, uint64_t size_bytes_max, void **bytes,
             uint64_t *size_bytes);

#endif
