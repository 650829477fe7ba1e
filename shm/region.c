#include "shm/region.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shm/check.h"
#include "shm/clock.h"
#include "shm/histogram.h"
#include "shm/park.h"
#include "shm/ring.h"
#include "shm/slot.h"
#include "shm/spawn.h"

#define REGION_MAGIC          0x6b636f74736e6570u /* "penstock" */
#define REGION_LAYOUT_VERSION 1u

uint64_t shm_region_layout(void)
{
    /* A size in blocks fits in eight bits. What changes within a struct changes the version. */
    _Static_assert(sizeof(struct shm_slot) / SHM_CACHELINE < 256, "layout number");
    return (uint64_t)REGION_LAYOUT_VERSION << 48 |
           (uint64_t)(sizeof(struct shm_region_header) / SHM_CACHELINE) << 40 |
           (uint64_t)(sizeof(struct shm_slot) / SHM_CACHELINE) << 32 |
           (uint64_t)(sizeof(struct shm_histogram) / SHM_CACHELINE) << 24 |
           (uint64_t)(sizeof(struct shm_ring) / SHM_CACHELINE) << 16 |
           (uint64_t)(sizeof(struct shm_doorbell) / SHM_CACHELINE) << 8 |
           (uint64_t)sizeof(struct shm_frame);
}

__attribute__((format(printf, 3, 4))) static void region_say(char *reason, size_t reason_bytes,
                                                             const char *format, ...)
{
    if (!reason || reason_bytes == 0) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, reason_bytes, format, arguments);
    va_end(arguments);
}

/* ---- The directory --------------------------------------------------------------------------- */

/* A directory that is ours alone, opened; or -errno. */
static int region_open_directory(const char *path, char *reason, size_t reason_bytes)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        int result = -errno;
        if (result == -ELOOP || result == -ENOTDIR) {
            region_say(reason, reason_bytes,
                       "%s is not a directory (a symbolic link is not accepted): remove it, or set "
                       "PENSTOCK_RUN_DIR to a directory of your own on a tmpfs",
                       path);
            return -EPERM;
        }
        region_say(reason, reason_bytes, "cannot open %s: %s", path, strerror(-result));
        return result;
    }

    struct stat stat;
    CHECK(fstat(fd, &stat) == 0);
    if (stat.st_uid != geteuid()) {
        region_say(reason, reason_bytes,
                   "%s belongs to user %u, not to you (%u): set PENSTOCK_RUN_DIR to a directory of "
                   "your own on a tmpfs",
                   path, stat.st_uid, geteuid());
    } else if ((stat.st_mode & 077) != 0) {
        region_say(reason, reason_bytes,
                   "%s is open to others (mode %04o), who could read what jobs hold in memory. "
                   "Run: chmod 700 %s",
                   path, stat.st_mode & 07777, path);
    } else {
        return fd;
    }
    close(fd);
    return -EPERM;
}

int shm_region_directory(char *path, size_t path_bytes, char *reason, size_t reason_bytes)
{
    const char *wanted = getenv("PENSTOCK_RUN_DIR");
    int size;
    if (wanted && *wanted)
        size = snprintf(path, path_bytes, "%s", wanted);
    else
        size = snprintf(path, path_bytes, "/dev/shm/penstock-%u", geteuid());
    if (size < 0 || (size_t)size >= path_bytes || size >= SHM_REGION_PATH_BYTES / 2) {
        region_say(reason, reason_bytes, "PENSTOCK_RUN_DIR is too long: at most %d bytes",
                   SHM_REGION_PATH_BYTES / 2 - 1);
        return -ENAMETOOLONG;
    }
    while (size > 1 && path[size - 1] == '/') /* with it, a link would be followed */
        path[--size] = 0;

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        int result = -errno;
        region_say(reason, reason_bytes,
                   "cannot make the directory %s for shared memory: %s. Set PENSTOCK_RUN_DIR to a "
                   "directory of your own on a tmpfs",
                   path, strerror(-result));
        return result;
    }
    int fd = region_open_directory(path, reason, reason_bytes);
    if (fd < 0) return fd;
    close(fd);
    return 0;
}

/* ---- The owner ------------------------------------------------------------------------------- */

static bool region_job_is_valid(const char *job)
{
    size_t size = strlen(job);
    if (size == 0 || size >= SHM_REGION_JOB_BYTES || job[0] == '.') return false;
    return strspn(job, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == size;
}

/* Takes the lock of a stale file and removes it. False: it is alive, or has just gone. */
static bool region_remove_stale(const char *path)
{
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    struct stat ours, named;
    bool stale = flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &ours) == 0 &&
                 lstat(path, &named) == 0 && ours.st_ino == named.st_ino &&
                 ours.st_dev == named.st_dev && S_ISREG(ours.st_mode);
    if (stale) stale = unlink(path) == 0; /* under the lock: nobody makes it alive in between */
    close(fd);
    return stale;
}

/* A new, empty, locked file of that name; or -errno. */
static int region_open_new(const char *path, char *reason, size_t reason_bytes)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST) {
            /* Of an earlier process with our pid; or ours, and then its lock is held. */
            if (region_remove_stale(path) || access(path, F_OK) != 0) continue;
            region_say(reason, reason_bytes, "%s exists and is in use: give the job another name",
                       path);
            return -EEXIST;
        }
        if (fd < 0) {
            int result = -errno;
            region_say(reason, reason_bytes, "cannot make %s: %s", path, strerror(-result));
            return result;
        }
        /* A sweeper may have taken it for stale before we have locked it: then make another. One
         * that only looks holds the lock for an instant, so waiting for it is right. */
        while (flock(fd, LOCK_EX) != 0)
            CHECK(errno == EINTR);
        struct stat stat;
        CHECK(fstat(fd, &stat) == 0);
        if (stat.st_nlink == 1) return fd;
        close(fd);
    }
}

static int region_allocate(int fd, uint64_t size_bytes, const char *path, char *reason,
                           size_t reason_bytes)
{
    int result;
    do
        result = posix_fallocate(fd, 0, (off_t)size_bytes);
    while (result == EINTR);
    if (result == 0) return 0;
    if (result != ENOSPC && result != ENOMEM && result != EFBIG) {
        region_say(reason, reason_bytes, "cannot allocate %s: %s", path, strerror(result));
        return -result;
    }

    struct statvfs file_system;
    uint64_t free_bytes = 0;
    if (ftruncate(fd, 0) == 0 && fstatvfs(fd, &file_system) == 0)
        free_bytes = (uint64_t)file_system.f_bavail * file_system.f_frsize;
    double unit = size_bytes < 1048576 ? 1024 : 1048576;
    const char *name = size_bytes < 1048576 ? "KiB" : "MiB";
    region_say(reason, reason_bytes,
               "not enough shared memory: %s needs %.1f %s, and %.1f %s are free there. Remove "
               "what is stale, make that tmpfs larger (mount -o remount,size=..., or --shm-size of "
               "a container), or set PENSTOCK_RUN_DIR to a directory of another tmpfs",
               path, (double)size_bytes / unit, name, (double)free_bytes / unit, name);
    return -ENOSPC;
}

static void region_write_header(struct shm_region *region, const char *job)
{
    struct shm_region_header *header = shm_region_header(region);
    header->magic = REGION_MAGIC;
    header->layout = shm_region_layout();
    header->size_bytes = region->size_bytes;
    header->owner_pid = (uint64_t)shm_process_self();
    header->owner_start_ticks = shm_process_start_ticks(shm_process_self());
    header->created_us = shm_clock_wall_us();
    memcpy(header->job, job, strlen(job) + 1);
}

int shm_region_create(struct shm_region *region, const char *job, uint64_t size_bytes, char *reason,
                      size_t reason_bytes)
{
    CHECK(size_bytes >= SHM_REGION_HEADER_BYTES);
    if (!region_job_is_valid(job)) {
        region_say(reason, reason_bytes,
                   "'%s' cannot be a job's name: 1 to %d letters, digits, '-', '_' and '.', the "
                   "first not a '.'",
                   job, SHM_REGION_JOB_BYTES - 1);
        return -EINVAL;
    }
    char directory[SHM_REGION_PATH_BYTES / 2];
    int result = shm_region_directory(directory, sizeof directory, reason, reason_bytes);
    if (result < 0) return result;

    struct shm_region made = {.size_bytes = shm_memory_round_up(size_bytes),
                              .carved_bytes = SHM_REGION_HEADER_BYTES};
    snprintf(made.path, sizeof made.path, "%s/%s.%d.region", directory, job,
             (int)shm_process_self());
    made.fd = region_open_new(made.path, reason, reason_bytes);
    if (made.fd < 0) return made.fd;

    result = region_allocate(made.fd, made.size_bytes, made.path, reason, reason_bytes);
    if (result < 0) goto fail;
    made.base = shm_memory_map(made.fd, 0, made.size_bytes);
    if (!made.base) {
        result = -errno;
        region_say(reason, reason_bytes, "cannot map %s: %s", made.path, strerror(-result));
        goto fail;
    }
    region_write_header(&made, job);
    *region = made;
    return 0;

fail: /* *region is untouched */
    unlink(made.path);
    close(made.fd);
    return result;
}

void shm_region_dry(struct shm_region *region)
{
    *region = (struct shm_region){
        .size_bytes = UINT64_MAX, .carved_bytes = SHM_REGION_HEADER_BYTES, .fd = -1};
}

shm_offset shm_region_carve(struct shm_region *region, uint64_t size_bytes, uint64_t align_bytes)
{
    CHECK(align_bytes > 0);
    CHECK((align_bytes & (align_bytes - 1)) == 0);
    CHECK(align_bytes <= shm_memory_round_up(1)); /* the base is aligned to no more */
    CHECK(region->carved_bytes <= region->size_bytes);
    uint64_t begin = (region->carved_bytes + align_bytes - 1) & ~(align_bytes - 1);
    CHECK(begin >= region->carved_bytes);
    CHECK(begin <= region->size_bytes);
    CHECK(size_bytes <= region->size_bytes - begin); /* the sum came from a dry region */
    region->carved_bytes = begin + size_bytes;
    return (shm_offset){begin};
}

void shm_region_publish(struct shm_region *region, shm_offset root)
{
    struct shm_region_header *header = shm_region_header(region);
    CHECK(region->fd >= 0);
    CHECK(header->ready == 0);
    CHECK(root.bytes < region->carved_bytes);
    header->carved_bytes = region->carved_bytes;
    header->root = root;
    shm_store_release(&header->ready, 1); /* [region.ready] */
}

void shm_region_close(struct shm_region *region)
{
    if (region->base) shm_memory_unmap(region->base, region->size_bytes);
    if (region->fd >= 0) close(region->fd);
    region->base = NULL;
    region->fd = -1;
}

void shm_region_remove(struct shm_region *region)
{
    CHECK(region->fd >= 0);
    CHECK(shm_region_header(region)->owner_pid == (uint64_t)shm_process_self());
    unlink(region->path); /* somebody may have done it by hand */
    shm_region_close(region);
}

/* ---- Everyone -------------------------------------------------------------------------------- */

void *shm_region_at(const struct shm_region *region, shm_offset offset, uint64_t size_bytes)
{
    CHECK(region->base);
    if (offset.bytes < SHM_REGION_HEADER_BYTES) return NULL; /* none, or the header */
    if (offset.bytes > region->size_bytes) return NULL;
    if (size_bytes > region->size_bytes - offset.bytes) return NULL;
    return region->base + offset.bytes;
}

/* The three answers, for a mapping of that many bytes. */
static int region_verify(const struct shm_region_header *header, uint64_t size_bytes)
{
    if (shm_load_acquire(&header->ready) == 0) return -EAGAIN; /* pairs with [region.ready] */
    if (header->magic != REGION_MAGIC) return -EPROTO;
    if (header->layout != shm_region_layout()) return -EPROTO;
    if (header->size_bytes != size_bytes) return -EPROTO;
    if (header->carved_bytes > size_bytes) return -EPROTO;
    if (header->root.bytes >= size_bytes) return -EPROTO;
    if (memchr(header->job, 0, sizeof header->job) == NULL) return -EPROTO;
    return 0;
}

static int region_map(struct shm_region *region, int fd, bool writable)
{
    struct stat stat;
    CHECK(fstat(fd, &stat) == 0);
    if (!S_ISREG(stat.st_mode)) return -EPROTO;
    region->size_bytes = (uint64_t)stat.st_size;
    if (region->size_bytes < SHM_REGION_HEADER_BYTES) return -EAGAIN; /* not even allocated */
    region->base = writable ? shm_memory_map(fd, 0, region->size_bytes)
                            : shm_memory_map_read_only(fd, 0, region->size_bytes);
    if (!region->base) return -errno;
    int result = region_verify(shm_region_header(region), region->size_bytes);
    if (result < 0)
        shm_memory_unmap(region->base, region->size_bytes);
    else
        region->carved_bytes = shm_region_header(region)->carved_bytes;
    return result;
}

int shm_region_attach(struct shm_region *region, const char *path, bool writable, char *reason,
                      size_t reason_bytes)
{
    struct shm_region made = {.fd = -1};
    if (snprintf(made.path, sizeof made.path, "%s", path) >= (int)sizeof made.path)
        return -ENAMETOOLONG;
    int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    int result = fd < 0 ? -errno : region_map(&made, fd, writable);
    if (fd >= 0) close(fd);

    if (result == -EAGAIN)
        region_say(reason, reason_bytes, "%s is not ready yet: its job is still starting", path);
    else if (result == -EPROTO)
        region_say(reason, reason_bytes,
                   "%s is damaged, or was made by another version of Penstock: use the tools of "
                   "that version",
                   path);
    else if (result < 0)
        region_say(reason, reason_bytes, "cannot open the shared memory of a job, %s: %s", path,
                   strerror(-result));
    else
        *region = made;
    return result;
}

/* ---- All of a directory ---------------------------------------------------------------------- */

/* "JOB.PID.region": false for any other name. */
static bool region_parse_name(const char *name, struct shm_region_entry *entry)
{
    static const char ending[] = ".region";
    size_t size = strlen(name);
    if (size <= sizeof ending - 1 || strcmp(name + size - (sizeof ending - 1), ending) != 0)
        return false;
    size -= sizeof ending - 1;
    size_t dot = size;
    while (dot > 0 && name[dot - 1] >= '0' && name[dot - 1] <= '9')
        dot--;
    if (dot == size || size - dot > 9 || dot < 2 || name[dot - 1] != '.') return false;
    if (dot - 1 >= SHM_REGION_JOB_BYTES) return false;
    entry->pid = atoi(name + dot);
    memcpy(entry->job, name, dot - 1);
    entry->job[dot - 1] = 0;
    return region_job_is_valid(entry->job);
}

/* False: it has gone in between, or is no region. */
static bool region_inspect(const char *directory, const char *name, struct shm_region_entry *entry)
{
    *entry = (struct shm_region_entry){.pid = 0};
    if (!region_parse_name(name, entry)) return false;
    if (snprintf(entry->path, sizeof entry->path, "%s/%s", directory, name) >=
        (int)sizeof entry->path)
        return false;
    int fd = open(entry->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    struct stat stat;
    bool found = fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
    if (found) {
        entry->size_bytes = (uint64_t)stat.st_size;
        entry->alive = flock(fd, LOCK_SH | LOCK_NB) != 0;
        struct shm_region region = {.fd = -1};
        if (region_map(&region, fd, false) == 0) {
            entry->ready = true;
            shm_region_close(&region);
        }
    }
    close(fd);
    return found;
}

int shm_region_list(const char *directory, bool (*visit)(const struct shm_region_entry *, void *),
                    void *arg)
{
    DIR *files = opendir(directory);
    if (!files) return -errno;
    int count = 0;
    for (struct dirent *file; (file = readdir(files));) {
        struct shm_region_entry entry;
        if (!region_inspect(directory, file->d_name, &entry)) continue;
        count++;
        if (!visit(&entry, arg)) break;
    }
    closedir(files);
    return count;
}

static bool region_sweep_one(const struct shm_region_entry *entry, void *arg)
{
    if (!entry->alive && region_remove_stale(entry->path)) ++*(int *)arg;
    return true;
}

int shm_region_sweep(const char *directory)
{
    int removed = 0;
    int count = shm_region_list(directory, region_sweep_one, &removed);
    return count < 0 ? count : removed;
}
