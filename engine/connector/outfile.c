#include "engine/connector/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/check.h"

enum { OUTFILE_CARRY_BYTES = 8 << 20 }; /* how often the kernel is asked to begin writing back */

static int outfile_fail(struct eng_outfile *file, const char *what, int error,
                        struct eng_reason *reason)
{
    const char *advice = "";

    if (error == ENOSPC || error == EDQUOT) advice = "; make room, then start the job again";
    if (error == ENOENT || error == ENOTDIR) advice = "; make the directory first";
    if (error == EACCES || error == EPERM || error == EROFS)
        advice = "; it must be writable for the user who runs the job";
    if (error == EEXIST)
        advice = "; it is the result of an earlier run: remove it, or write elsewhere";
    eng_reason_set(reason, "cannot %s %s/%s: %s%s", what, file->directory, file->name,
                   strerror(error), advice);
    file->error = -error;
    return -error;
}

static char *outfile_text(const char *format, const char *a, const char *b)
{
    char *text;
    CHECK(asprintf(&text, format, a, b) >= 0);
    return text;
}

/* A file without a name; where that cannot be, a hidden one. */
static int outfile_create(struct eng_outfile *file, const char *run)
{
    file->fd = openat(file->directory_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (file->fd >= 0) return 0;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT) return -errno;
    file->hidden = outfile_text(".%s.%s.tmp", file->name, run);
    file->fd =
        openat(file->directory_fd, file->hidden, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return file->fd < 0 ? -errno : 0;
}

int eng_outfile_open(struct eng_outfile *file, const char *directory, const char *name,
                     const char *run, bool replaces, struct eng_reason *reason)
{
    CHECK(strchr(name, '/') == NULL);
    *file = (struct eng_outfile){.fd = -1, .directory_fd = -1, .replaces = replaces};
    file->directory = outfile_text("%s%s", directory, "");
    file->name = outfile_text("%s%s", name, "");
    file->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = file->directory_fd < 0 ? -errno : outfile_create(file, run);
    if (result == 0) return 0;
    outfile_fail(file, "write", -result, reason);
    eng_outfile_discard(file);
    return result;
}

static int outfile_write(struct eng_outfile *file, const char *bytes, size_t size_bytes,
                         struct eng_reason *reason)
{
    while (size_bytes > 0) {
        ssize_t written = write(file->fd, bytes, size_bytes);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return outfile_fail(file, "write", errno, reason);
        bytes += written;
        size_bytes -= (size_t)written;
        file->file_bytes += written;
    }
    return 0;
}

static int outfile_flush(struct eng_outfile *file, struct eng_reason *reason)
{
    int64_t before = file->file_bytes / OUTFILE_CARRY_BYTES;
    int result = outfile_write(file, file->buffer.bytes, file->buffer.size_bytes, reason);

    if (result < 0) return result;
    eng_text_out_clear(&file->buffer);
    int64_t after = file->file_bytes / OUTFILE_CARRY_BYTES;
    if (after > before) /* only a hint: the sync at the end tells of errors */
        sync_file_range(file->fd, before * OUTFILE_CARRY_BYTES,
                        (after - before) * OUTFILE_CARRY_BYTES, SYNC_FILE_RANGE_WRITE);
    return 0;
}

int eng_outfile_written(struct eng_outfile *file, struct eng_reason *reason)
{
    CHECK(file->fd >= 0);
    if (file->error) return file->error;
    file->size_bytes = file->file_bytes + (int64_t)file->buffer.size_bytes;
    return file->buffer.size_bytes < ENG_OUTFILE_BUFFER_BYTES ? 0 : outfile_flush(file, reason);
}

/* A name for a file that has none. */
static int outfile_link(struct eng_outfile *file, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", file->fd);
    if (linkat(AT_FDCWD, path, file->directory_fd, name, AT_SYMLINK_FOLLOW) < 0) return -errno;
    return 0;
}

/* Only a rename takes another file's place, and only a file with a name can be renamed. */
static int outfile_link_over(struct eng_outfile *file)
{
    char *hidden = outfile_text(".%s%s.tmp", file->name, "");
    int result;

    unlinkat(file->directory_fd, hidden, 0); /* of a process that died between the next two lines */
    result = outfile_link(file, hidden);
    if (result < 0) {
        free(hidden);
        return result;
    }
    file->hidden = hidden;
    return renameat(file->directory_fd, file->hidden, file->directory_fd, file->name) < 0 ? -errno
                                                                                          : 0;
}

static int outfile_name(struct eng_outfile *file)
{
    int fd = file->directory_fd;

    if (!file->hidden)
        return file->replaces ? outfile_link_over(file) : outfile_link(file, file->name);
    if (file->replaces) return renameat(fd, file->hidden, fd, file->name) < 0 ? -errno : 0;
    if (linkat(fd, file->hidden, fd, file->name, 0) < 0)
        return -errno; /* fails where rename replaces */
    unlinkat(fd, file->hidden, 0);
    return 0;
}

int eng_outfile_show(struct eng_outfile *file, struct eng_reason *reason)
{
    CHECK(file->fd >= 0);
    if (file->error) return file->error;
    int result = outfile_flush(file, reason);

    if (result < 0) return result;
    if (fsync(file->fd) < 0) return outfile_fail(file, "sync", errno, reason);
    result = outfile_name(file);
    if (result < 0) return outfile_fail(file, "show", -result, reason);
    free(file->hidden);
    file->hidden = NULL;
    if (fsync(file->directory_fd) < 0)
        return outfile_fail(file, "sync the directory of", errno, reason);
    eng_outfile_discard(file);
    return 0;
}

void eng_outfile_discard(struct eng_outfile *file)
{
    if (!file->directory) return;
    if (file->hidden) unlinkat(file->directory_fd, file->hidden, 0);
    if (file->fd >= 0) close(file->fd);
    if (file->directory_fd >= 0) close(file->directory_fd);
    free(file->directory);
    free(file->name);
    free(file->hidden);
    eng_text_out_close(&file->buffer);
    *file = (struct eng_outfile){.fd = -1, .directory_fd = -1};
}
