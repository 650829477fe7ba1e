/* Names of files and directories, on the simulated disk. */
#include "iouring/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iouring/disk_inside.h"
#include "shm/check.h"

static bool file_is_name(const char *name)
{
    return name[0] != 0 && !strchr(name, '/') && strlen(name) < IOU_NAME_BYTES;
}

/* The inode of a descriptor of the kind that is wanted, or -errno. */
static int64_t file_inode(int fd, bool directory)
{
    const struct iou_disk_handle *handle = iou_disk_handle(fd);
    if (!handle) return -EBADF;
    if (iou_disk_inode(handle->inode)->directory != directory)
        return directory ? -ENOTDIR : -EISDIR;
    return handle->inode;
}

/* A change of names costs time and may fail. */
static int64_t file_change(int directory)
{
    iou_disk_pause();
    int64_t d = file_inode(directory, true);
    if (d < 0) return d;
    iou_disk.counts.names++;
    if (iou_disk_draw(iou_disk.faults.name_error)) {
        iou_disk.counts.name_errors++;
        return -EIO;
    }
    return d;
}

static int64_t file_create(int directory, const char *name, bool is_directory)
{
    int64_t d = file_change(directory);
    if (d < 0) return d;
    if (iou_disk_find((uint32_t)d, name)) return -EEXIST;
    uint32_t number = iou_disk_inode_make(is_directory);
    iou_disk_change((uint32_t)d, "", name, number);
    return number;
}

int iou_file_open(int directory, const char *name, enum iou_file_mode mode)
{
    bool direct = mode == IOU_READ_DIRECT || mode == IOU_CREATE_DIRECT;
    CHECK(file_is_name(name));

    if (mode == IOU_CREATE || mode == IOU_CREATE_DIRECT) {
        int64_t number = file_create(directory, name, false);
        return number < 0 ? (int)number : iou_disk_handle_open((uint32_t)number, true, direct);
    }
    iou_disk_pause();
    int64_t d = file_inode(directory, true);
    if (d < 0) return (int)d;
    uint32_t number = iou_disk_find((uint32_t)d, name);
    if (!number) return -ENOENT;
    return iou_disk_handle_open(number, false, direct);
}

void iou_file_close(int fd)
{
    if (fd < 0) return;
    struct iou_disk_handle *handle = iou_disk_handle(fd);
    if (handle) *handle = (struct iou_disk_handle){0};
}

int64_t iou_file_size(int fd)
{
    int64_t number = file_inode(fd, false);
    return number < 0 ? number : (int64_t)iou_disk_inode((uint32_t)number)->seen_bytes;
}

/* A file that may be written, or -errno. */
static int64_t file_writable(int fd)
{
    int64_t number = file_inode(fd, false);
    return number >= 0 && !iou_disk_handle(fd)->writable ? -EBADF : number;
}

int iou_file_resize(int fd, uint64_t size_bytes)
{
    iou_disk_pause();
    int64_t number = file_writable(fd);
    return number < 0 ? (int)number : iou_disk_resize((uint32_t)number, size_bytes);
}

int iou_file_sync(int fd)
{
    iou_disk_pause();
    int64_t number = file_inode(fd, false);
    return number < 0 ? (int)number : iou_disk_sync((uint32_t)number);
}

int iou_file_read(int fd, void *into, uint64_t size_bytes, uint64_t offset_bytes)
{
    for (uint64_t done = 0; done < size_bytes;) {
        iou_disk_pause();
        int64_t number = file_inode(fd, false);
        if (number < 0) return (int)number;
        int64_t returned = iou_disk_read((uint32_t)number, (char *)into + done, size_bytes - done,
                                         offset_bytes + done, false);
        if (returned == -EINTR || returned == -EAGAIN) continue;
        if (returned <= 0) return returned < 0 ? (int)returned : -EIO;
        done += (uint64_t)returned;
    }
    return 0;
}

int iou_file_write(int fd, const void *from, uint64_t size_bytes, uint64_t offset_bytes)
{
    for (uint64_t done = 0; done < size_bytes;) {
        iou_disk_pause();
        int64_t number = file_writable(fd);
        if (number < 0) return (int)number;
        int64_t returned = iou_disk_write((uint32_t)number, (const char *)from + done,
                                          size_bytes - done, offset_bytes + done, false);
        if (returned == -EINTR || returned == -EAGAIN) continue;
        if (returned <= 0) return returned < 0 ? (int)returned : -EIO;
        done += (uint64_t)returned;
    }
    return 0;
}

/* Follows a path, and makes what is missing if `make` is set. */
static int directory_walk(const char *path, bool make)
{
    char *names = strdup(path), *rest = NULL;
    CHECK(names != NULL);
    int at = iou_disk_handle_open(IOU_DISK_ROOT, false, false);

    for (char *name = strtok_r(names, "/", &rest); name && at >= 0;
         name = strtok_r(NULL, "/", &rest)) {
        if (strcmp(name, ".") == 0) continue;
        int below = make ? iou_directory_make_in(at, name) : iou_directory_open_in(at, name);
        if (below >= 0 && make) {
            int error = iou_directory_sync(at);
            if (error < 0) {
                iou_file_close(below);
                below = error;
            }
        }
        iou_file_close(at);
        at = below;
    }
    free(names);
    return at;
}

int iou_directory_open(const char *path)
{
    return directory_walk(path, false);
}

int iou_directory_make(const char *path)
{
    return directory_walk(path, true);
}

int iou_directory_open_in(int directory, const char *name)
{
    CHECK(file_is_name(name));
    iou_disk_pause();
    int64_t d = file_inode(directory, true);
    if (d < 0) return (int)d;
    uint32_t number = iou_disk_find((uint32_t)d, name);
    if (!number) return -ENOENT;
    if (!iou_disk_inode(number)->directory) return -ENOTDIR;
    return iou_disk_handle_open(number, false, false);
}

int iou_directory_make_in(int directory, const char *name)
{
    CHECK(file_is_name(name));
    int64_t number = file_create(directory, name, true);
    if (number < 0 && number != -EEXIST) return (int)number;
    return iou_directory_open_in(directory, name);
}

int iou_directory_sync(int directory)
{
    int64_t d = file_change(directory);
    if (d < 0) return (int)d;
    iou_disk_directory_sync((uint32_t)d);
    return 0;
}

int iou_directory_rename(int directory, const char *from, const char *to)
{
    CHECK(file_is_name(from));
    CHECK(file_is_name(to));
    int64_t d = file_change(directory);
    if (d < 0) return (int)d;
    uint32_t number = iou_disk_find((uint32_t)d, from);
    uint32_t old = iou_disk_find((uint32_t)d, to);
    if (!number) return -ENOENT;
    if (old == number) return 0;
    if (old && iou_disk_inode(old)->directory != iou_disk_inode(number)->directory)
        return iou_disk_inode(old)->directory ? -EISDIR : -ENOTDIR;
    if (old && iou_disk_inode(old)->names.count > 0) return -ENOTEMPTY;
    iou_disk_change((uint32_t)d, from, to, number);
    return 0;
}

int iou_directory_remove(int directory, const char *name)
{
    CHECK(file_is_name(name));
    int64_t d = file_change(directory);
    if (d < 0) return (int)d;
    uint32_t number = iou_disk_find((uint32_t)d, name);
    if (!number) return -ENOENT;
    if (iou_disk_inode(number)->names.count > 0) return -ENOTEMPTY;
    iou_disk_change((uint32_t)d, name, "", number);
    return 0;
}

static int directory_compare(const void *left, const void *right)
{
    return strcmp(((const struct iou_disk_name *)left)->text,
                  ((const struct iou_disk_name *)right)->text);
}

int iou_directory_list(int directory, bool (*seen)(const char *name, void *arg), void *arg)
{
    iou_disk_pause();
    int64_t d = file_inode(directory, true);
    if (d < 0) return (int)d;

    /* A copy: seen() may change the directory. */
    const struct iou_disk_names *names = &iou_disk_inode((uint32_t)d)->names;
    uint32_t count = names->count;
    if (count == 0) return 0;
    struct iou_disk_name *list = malloc(count * sizeof *list);
    CHECK(list != NULL);
    memcpy(list, names->list, count * sizeof *list);
    qsort(list, count, sizeof *list, directory_compare);
    for (uint32_t i = 0; i < count && seen(list[i].text, arg); i++) {
    }
    free(list);
    return 0;
}

static bool directory_is_locked(uint32_t inode)
{
    for (uint32_t i = 0; i < iou_disk.handle_count; i++)
        if (iou_disk.handles[i].locked && iou_disk.handles[i].inode == inode) return true;
    return false;
}

int iou_directory_lock(int directory, const char *name)
{
    CHECK(file_is_name(name));
    int64_t number = file_create(directory, name, false);
    if (number == -EEXIST) {
        int64_t d = file_inode(directory, true);
        number = d < 0 ? d : (int64_t)iou_disk_find((uint32_t)d, name);
    }
    if (number < 0) return (int)number;
    if (directory_is_locked((uint32_t)number)) return -EWOULDBLOCK;
    int fd = iou_disk_handle_open((uint32_t)number, true, false);
    iou_disk_handle(fd)->locked = true;
    return fd;
}

int64_t iou_directory_free_bytes(int directory)
{
    int64_t d = file_inode(directory, true);
    if (d < 0) return d;
    uint64_t capacity = iou_disk.faults.capacity_bytes;
    if (capacity == 0) return INT64_MAX;
    return capacity > iou_disk.used_bytes ? (int64_t)(capacity - iou_disk.used_bytes) : 0;
}
