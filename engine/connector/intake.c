#include "engine/connector/intake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "shm/check.h"

enum {
    INTAKE_PACKED_BYTES = 128 * 1024,
    INTAKE_GZIP_WINDOW_BITS = 15 + 16, /* zlib's way to say: gzip, any window */
};

/* ---- Names ----------------------------------------------------------------------------------- */

static bool intake_ends_in(const char *path, const char *end)
{
    size_t path_bytes = strlen(path), end_bytes = strlen(end);
    return path_bytes > end_bytes && strcmp(path + path_bytes - end_bytes, end) == 0;
}

bool eng_name_is_gzip(const char *path)
{
    return intake_ends_in(path, ".gz");
}

bool eng_name_is_zstd(const char *path)
{
    return intake_ends_in(path, ".zst");
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void *intake_new(size_t size_bytes)
{
    void *memory = calloc(1, size_bytes);
    CHECK(memory != NULL);
    return memory;
}

static const char *intake_advice(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return "; check the path, which counts from the directory where the job was started";
    case EACCES:
        return "; it must be readable for the user who runs the job";
    case EMFILE:
    case ENFILE:
        return "; raise the limit of open files (ulimit -n)";
    default:
        return "";
    }
}

static int intake_open_descriptor(const char *path, struct eng_reason *reason)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a named pipe would wait here */

    if (fd < 0) {
        int error = errno;
        eng_reason_set(reason, "cannot open %s: %s%s", path, strerror(error), intake_advice(error));
        return -error;
    }
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) return fd;
    eng_reason_set(reason, "cannot read %s: it is not a regular file", path);
    close(fd);
    return -EINVAL;
}

int eng_intake_open_file(struct eng_intake *intake, const char *path, int64_t offset,
                         struct eng_reason *reason)
{
    CHECK(path != NULL);
    CHECK(offset >= 0);
    int fd = intake_open_descriptor(path, reason);

    if (fd < 0) return fd;
    *intake = (struct eng_intake){.name = path, .fd = fd, .is_file = true, .is_own = true};
    intake->capacity_bytes = ENG_INTAKE_FILL_BYTES;
    intake->buffer = intake_new(intake->capacity_bytes);
    intake->offset = offset;
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (!eng_name_is_gzip(path)) {
        intake->file_offset = offset;
        return 0;
    }
    intake->packed = intake_new(INTAKE_PACKED_BYTES);
    intake->inflater = intake_new(sizeof *intake->inflater);
    intake->drop_bytes = offset;
    intake->between_members = true;
    CHECK(inflateInit2(intake->inflater, INTAKE_GZIP_WINDOW_BITS) == Z_OK);
    return 0;
}

void eng_intake_open_descriptor(struct eng_intake *intake, int fd, const char *name)
{
    CHECK(fd >= 0);
    CHECK(name != NULL);
    *intake = (struct eng_intake){.name = name, .fd = fd};
    intake->capacity_bytes = ENG_INTAKE_FILL_BYTES;
    intake->buffer = intake_new(intake->capacity_bytes);
}

void eng_intake_close(struct eng_intake *intake)
{
    if (!intake->buffer) return;
    if (intake->inflater) inflateEnd(intake->inflater);
    free(intake->inflater);
    free(intake->packed);
    free(intake->buffer);
    if (intake->is_own) close(intake->fd);
    *intake = (struct eng_intake){.fd = -1};
}

/* ---- The window ------------------------------------------------------------------------------ */

void eng_intake_take(struct eng_intake *intake, size_t size_bytes)
{
    CHECK(size_bytes <= intake->to - intake->from);
    intake->from += size_bytes;
    intake->offset += (int64_t)size_bytes;
    if (!intake->inflater) intake->consumed_bytes += size_bytes;
    if (intake->from == intake->to) intake->from = intake->to = 0; /* nothing to move at a fill */
}

uint64_t eng_intake_consumed(struct eng_intake *intake)
{
    uint64_t bytes = intake->consumed_bytes;
    intake->consumed_bytes = 0;
    return bytes;
}

/* Room behind the window for a fill. What is left of the window, mostly a part of a line, moves to
 * the front of the buffer, which grows when the window fills it. */
static void intake_make_room(struct eng_intake *intake)
{
    size_t window_bytes = intake->to - intake->from;

    if (intake->from > 0) {
        if (window_bytes > 0) memmove(intake->buffer, intake->buffer + intake->from, window_bytes);
        intake->from = 0;
        intake->to = window_bytes;
    }
    if (intake->capacity_bytes - intake->to >= ENG_INTAKE_FILL_BYTES / 2) return;
    CHECK(window_bytes <= ENG_INTAKE_WINDOW_BYTES_MAX);
    intake->capacity_bytes *= 2;
    intake->buffer = realloc(intake->buffer, intake->capacity_bytes);
    CHECK(intake->buffer != NULL);
}

static enum eng_filled intake_fail(struct eng_intake *intake, int error, struct eng_reason *reason)
{
    eng_reason_set(reason, "cannot read %s at byte %lld: %s", intake->name,
                   (long long)(intake->is_file ? intake->file_offset : intake->offset),
                   strerror(error));
    return ENG_FILLED_FAILED;
}

/* ---- Plain files and descriptors ------------------------------------------------------------- */

static enum eng_filled intake_fill_plain(struct eng_intake *intake, struct eng_reason *reason)
{
    size_t room_bytes = intake->capacity_bytes - intake->to;
    int64_t to_hint_bytes = intake->end_hint - intake->file_offset;
    ssize_t bytes;

    if (room_bytes > ENG_INTAKE_FILL_BYTES) room_bytes = ENG_INTAKE_FILL_BYTES;
    if (to_hint_bytes > 0 && (uint64_t)to_hint_bytes + ENG_INTAKE_TAIL_BYTES < room_bytes)
        room_bytes = (size_t)to_hint_bytes + ENG_INTAKE_TAIL_BYTES;
    do
        bytes = pread(intake->fd, intake->buffer + intake->to, room_bytes, intake->file_offset);
    while (bytes < 0 && errno == EINTR);
    if (bytes < 0) return intake_fail(intake, errno, reason);
    if (bytes == 0) return ENG_FILLED_END;
    intake->to += (size_t)bytes;
    intake->file_offset += bytes;
    return ENG_FILLED_MORE;
}

static enum eng_filled intake_fill_descriptor(struct eng_intake *intake, struct eng_reason *reason)
{
    struct pollfd wait = {.fd = intake->fd, .events = POLLIN};
    size_t room_bytes = intake->capacity_bytes - intake->to;

    int ready = poll(&wait, 1, 0);
    if (ready == 0) return ENG_FILLED_LATER;
    if (ready < 0) return errno == EINTR ? ENG_FILLED_LATER : intake_fail(intake, errno, reason);
    ssize_t bytes = read(intake->fd, intake->buffer + intake->to, room_bytes);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return ENG_FILLED_LATER;
    if (bytes < 0) return intake_fail(intake, errno, reason);
    if (bytes == 0) return ENG_FILLED_END;
    intake->to += (size_t)bytes;
    return ENG_FILLED_MORE;
}

/* ---- gzip ------------------------------------------------------------------------------------ */

static enum eng_filled intake_damaged(struct eng_intake *intake, const char *how,
                                      struct eng_reason *reason)
{
    eng_reason_set(reason, "cannot read %s near its byte %lld: %s; gzip -t tests a file",
                   intake->name, (long long)intake->file_offset, how);
    return ENG_FILLED_FAILED;
}

/* More compressed bytes. END: the file has none; right only between members. */
static enum eng_filled intake_read_packed(struct eng_intake *intake, struct eng_reason *reason)
{
    ssize_t bytes;

    CHECK(intake->packed_from == intake->packed_to);
    do
        bytes = pread(intake->fd, intake->packed, INTAKE_PACKED_BYTES, intake->file_offset);
    while (bytes < 0 && errno == EINTR);
    if (bytes < 0) return intake_fail(intake, errno, reason);
    if (bytes == 0) {
        if (intake->between_members && intake->file_offset > 0) return ENG_FILLED_END;
        return intake_damaged(intake,
                              intake->file_offset == 0 ? "it is empty, which no gzip file is"
                                                       : "the file ends in the middle",
                              reason);
    }
    intake->packed_from = 0;
    intake->packed_to = (size_t)bytes;
    intake->file_offset += bytes;
    intake->consumed_bytes += (uint64_t)bytes;
    return ENG_FILLED_MORE;
}

/* Tapes and some programs pad with zeros. */
static void intake_skip_padding(struct eng_intake *intake)
{
    if (intake->file_offset == (int64_t)intake->packed_to && intake->packed_from == 0) return;
    while (intake->packed_from < intake->packed_to && intake->packed[intake->packed_from] == 0)
        intake->packed_from++;
}

/* What was decompressed and lies before the offset that was asked for. The window stays at the
 * front of the buffer, where it is aligned. */
static void intake_drop(struct eng_intake *intake)
{
    size_t window_bytes = intake->to - intake->from;
    size_t drop = window_bytes;

    if (intake->drop_bytes == 0) return;
    CHECK(intake->from == 0); /* all that came before was dropped, too */
    if ((uint64_t)intake->drop_bytes < drop) drop = (size_t)intake->drop_bytes;
    memmove(intake->buffer, intake->buffer + drop, window_bytes - drop);
    intake->to -= drop;
    intake->drop_bytes -= (int64_t)drop;
}

static enum eng_filled intake_fill_gzip(struct eng_intake *intake, struct eng_reason *reason)
{
    z_stream *inflater = intake->inflater;
    size_t room_bytes = intake->capacity_bytes - intake->to;

    if (intake->packed_from == intake->packed_to && !intake->holds_back) {
        enum eng_filled filled = intake_read_packed(intake, reason);
        if (filled != ENG_FILLED_MORE) return filled;
    }
    if (intake->between_members) {
        intake_skip_padding(intake);
        if (intake->packed_from == intake->packed_to) return ENG_FILLED_MORE;
        intake->between_members = false;
    }
    inflater->next_in = (Bytef *)intake->packed + intake->packed_from;
    inflater->avail_in = (uInt)(intake->packed_to - intake->packed_from);
    inflater->next_out = (Bytef *)intake->buffer + intake->to;
    inflater->avail_out = (uInt)room_bytes;
    int result = inflate(inflater, Z_NO_FLUSH);
    intake->packed_from = intake->packed_to - inflater->avail_in;
    intake->holds_back = result == Z_OK && inflater->avail_out == 0;
    intake->to += room_bytes - inflater->avail_out;
    intake_drop(intake);
    if (result == Z_STREAM_END) {
        CHECK(inflateReset(inflater) == Z_OK);
        intake->between_members = true;
        return ENG_FILLED_MORE;
    }
    /* Z_BUF_ERROR: nothing was held back after all, and there was no more input. */
    if (result == Z_OK || result == Z_BUF_ERROR) return ENG_FILLED_MORE;
    return intake_damaged(intake, inflater->msg ? inflater->msg : "it is damaged", reason);
}

enum eng_filled eng_intake_fill(struct eng_intake *intake, struct eng_reason *reason)
{
    CHECK(intake->buffer != NULL);
    intake_make_room(intake);
    if (!intake->is_file) return intake_fill_descriptor(intake, reason);
    if (intake->inflater) return intake_fill_gzip(intake, reason);
    return intake_fill_plain(intake, reason);
}
