/* Names of files and directories, by the kernel. */
#include "iouring/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shm/check.h"

/* What a system call returned, as we return it. */
static int file_result(int returned)
{
    return returned < 0 ? -errno : returned;
}

static bool file_is_name(const char *name)
{
    return name[0] != 0 && !strchr(name, '/') && strlen(name) < IOU_NAME_BYTES;
}

int iou_file_open(int directory, const char *name, enum iou_file_mode mode)
{
    int flags = O_CLOEXEC | O_NOFOLLOW;
    bool direct = mode == IOU_READ_DIRECT || mode == IOU_CREATE_DIRECT;

    CHECK(file_is_name(name));
    flags |= mode == IOU_READ || mode == IOU_READ_DIRECT ? O_RDONLY : O_RDWR | O_CREAT | O_EXCL;
    int fd = openat(directory, name, flags | (direct ? O_DIRECT : 0), 0600);
    if (fd >= 0 || errno != EINVAL || !direct) return file_result(fd);

    /* No direct access here. Some kernels have made the file before they noticed. */
    if (flags & O_CREAT) (void)unlinkat(directory, name, 0);
    return file_result(openat(directory, name, flags, 0600));
}

void iou_file_close(int fd)
{
    if (fd < 0) return;
    CHECK(close(fd) == 0 || errno != EBADF); /* twice: it may be someone else's by now */
}

int64_t iou_file_size(int fd)
{
    struct stat status;
    return fstat(fd, &status) < 0 ? -errno : status.st_size;
}

int iou_file_resize(int fd, uint64_t size_bytes)
{
    int returned;
    do
        returned = ftruncate(fd, (off_t)size_bytes);
    while (returned < 0 && errno == EINTR);
    return file_result(returned);
}

int iou_file_sync(int fd)
{
    return file_result(fdatasync(fd));
}

int iou_file_read(int fd, void *into, uint64_t size_bytes, uint64_t offset_bytes)
{
    for (uint64_t done = 0; done < size_bytes;) {
        ssize_t returned =
            pread(fd, (char *)into + done, size_bytes - done, (off_t)(offset_bytes + done));
        if (returned < 0 && errno == EINTR) continue;
        if (returned < 0) return -errno;
        if (returned == 0) return -EIO;
        done += (uint64_t)returned;
    }
    return 0;
}

int iou_file_write(int fd, const void *from, uint64_t size_bytes, uint64_t offset_bytes)
{
    for (uint64_t done = 0; done < size_bytes;) {
        ssize_t returned =
            pwrite(fd, (const char *)from + done, size_bytes - done, (off_t)(offset_bytes + done));
        if (returned < 0 && errno == EINTR) continue;
        if (returned < 0) return -errno;
        if (returned == 0) return -EIO;
        done += (uint64_t)returned;
    }
    return 0;
}

int iou_directory_open(const char *path)
{
    return file_result(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

int iou_directory_open_in(int directory, const char *name)
{
    CHECK(file_is_name(name));
    return file_result(openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
}

int iou_directory_make_in(int directory, const char *name)
{
    CHECK(file_is_name(name));
    if (mkdirat(directory, name, 0700) < 0 && errno != EEXIST) return -errno;
    return iou_directory_open_in(directory, name);
}

/* One step down a path; symbolic links in it are the owner's business. */
static int directory_descend(int above, const char *name)
{
    int error = 0;
    bool made = mkdirat(above, name, 0700) == 0;
    if (!made && errno != EEXIST) error = -errno;

    /* Where we may not write, what exists is good enough. */
    int below = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (below < 0) return error < 0 ? error : -errno;

    /* One that was there may be another process's, made a moment ago and not durable yet. */
    if (fsync(above) < 0 && made) {
        error = -errno;
        close(below);
        return error;
    }
    return below;
}

int iou_directory_make(const char *path)
{
    char *names = strdup(path), *rest = names;
    if (!names) return -ENOMEM;
    int at = iou_directory_open(path[0] == '/' ? "/" : ".");

    for (char *name = strtok_r(names, "/", &rest); name && at >= 0;
         name = strtok_r(NULL, "/", &rest)) {
        int below = directory_descend(at, name);
        close(at);
        at = below;
    }
    free(names);
    return at;
}

int iou_directory_sync(int directory)
{
    return file_result(fsync(directory));
}

int iou_directory_rename(int directory, const char *from, const char *to)
{
    CHECK(file_is_name(from));
    CHECK(file_is_name(to));
    return file_result(renameat(directory, from, directory, to));
}

int iou_directory_remove(int directory, const char *name)
{
    CHECK(file_is_name(name));
    if (unlinkat(directory, name, 0) == 0) return 0;
    if (errno != EISDIR && errno != EPERM) return -errno;
    return file_result(unlinkat(directory, name, AT_REMOVEDIR));
}

static int directory_compare(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

static int directory_filter(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

int iou_directory_list(int directory, bool (*seen)(const char *name, void *arg), void *arg)
{
    struct dirent **entries = NULL;
    int count = scandirat(directory, ".", &entries, directory_filter, directory_compare);
    if (count < 0) return -errno;
    bool on = true;
    for (int i = 0; i < count; i++) {
        on = on && seen(entries[i]->d_name, arg);
        free(entries[i]);
    }
    free(entries);
    return 0;
}

int iou_directory_lock(int directory, const char *name)
{
    CHECK(file_is_name(name));
    int fd = openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
    int error = -errno;
    close(fd);
    return error;
}

int64_t iou_directory_free_bytes(int directory)
{
    struct statvfs status;
    if (fstatvfs(directory, &status) < 0) return -errno;
    return (int64_t)(status.f_bavail * status.f_frsize);
}
