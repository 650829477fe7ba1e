#include "engine/connector/files.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/check.h"

enum { FILES_PIECE_BYTES = 64 * 1024 };

static void files_add(struct eng_files *files, const char *path, int64_t size_bytes)
{
    if (files->count == files->room) {
        files->room = files->room ? 2 * files->room : 16;
        files->files = realloc(files->files, files->room * sizeof *files->files);
        CHECK(files->files != NULL);
    }
    char *copy = strdup(path);
    CHECK(copy != NULL);
    files->files[files->count++] = (struct eng_files_one){copy, size_bytes};
}

static int files_order(const void *a, const void *b)
{
    const struct eng_files_one *x = a, *y = b;
    return strcmp(x->path, y->path);
}

static int files_of_directory(struct eng_files *files, const char *path, struct eng_reason *reason)
{
    size_t path_bytes = strlen(path);
    const char *slash = path_bytes > 0 && path[path_bytes - 1] == '/' ? "" : "/";
    DIR *directory = opendir(path);
    struct dirent *entry;

    files->is_directory = true;
    if (!directory) {
        int error = errno;
        eng_reason_set(reason, "cannot list %s: %s", path, strerror(error));
        return -error;
    }
    while ((entry = readdir(directory)) != NULL) {
        struct stat about;
        char *name;

        if (entry->d_name[0] == '.') continue;
        CHECK(asprintf(&name, "%s%s%s", path, slash, entry->d_name) > 0);
        if (stat(name, &about) == 0 && S_ISREG(about.st_mode))
            files_add(files, name, about.st_size);
        free(name);
    }
    closedir(directory);
    if (files->count > 0) return 0;
    eng_reason_set(reason, "there are no files in the directory %s (hidden ones do not count)",
                   path);
    return -ENOENT;
}

static bool files_is_pattern(const char *path)
{
    return strpbrk(path, "*?[") != NULL;
}

static int files_of_pattern(struct eng_files *files, const char *path, struct eng_reason *reason)
{
    glob_t found = {0};
    int result = glob(path, GLOB_NOSORT | GLOB_ERR, NULL, &found);
    int error = errno;

    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++) {
        struct stat about;
        if (stat(found.gl_pathv[i], &about) == 0 && S_ISREG(about.st_mode))
            files_add(files, found.gl_pathv[i], about.st_size);
    }
    globfree(&found);
    if (result == GLOB_ABORTED) {
        eng_reason_set(reason, "cannot look for %s: %s", path, strerror(error));
        return -(error ? error : EIO);
    }
    CHECK(result != GLOB_NOSPACE);
    if (files->count > 0) return 0;
    eng_reason_set(reason,
                   "no file matches %s; the pattern counts from the directory where the job was "
                   "started, and must reach it unchanged by the shell (quote it)",
                   path);
    return -ENOENT;
}

/* A path that stands for itself. A file may be named like a pattern; then it is meant. */
static int files_of_path(struct eng_files *files, const char *path, struct eng_reason *reason)
{
    struct stat about;

    if (stat(path, &about) < 0) {
        int error = errno;
        if (files_is_pattern(path)) return files_of_pattern(files, path, reason);
        eng_reason_set(reason, "cannot read %s: %s%s", path, strerror(error),
                       error == ENOENT
                           ? "; the path counts from the directory where the job was started"
                           : "");
        return -error;
    }
    if (S_ISDIR(about.st_mode)) return files_of_directory(files, path, reason);
    if (!S_ISREG(about.st_mode)) {
        eng_reason_set(reason,
                       "cannot read %s: it is neither a file nor a directory; what comes through a "
                       "pipe is read from standard input, as -",
                       path);
        return -EINVAL;
    }
    files_add(files, path, about.st_size);
    return 0;
}

/* What a worker could not read must not be found out in the middle of the job. */
static int files_check(const struct eng_files *files, struct eng_reason *reason)
{
    for (uint32_t i = 0; i < files->count; i++) {
        if (access(files->files[i].path, R_OK) == 0) continue;
        int error = errno;
        eng_reason_set(reason,
                       "cannot read %s: %s; it must be readable for the user who runs the job",
                       files->files[i].path, strerror(error));
        return -error;
    }
    return 0;
}

int eng_files_open(struct eng_files *files, const char *path, struct eng_reason *reason)
{
    CHECK(path != NULL);
    *files = (struct eng_files){0};
    int result = files_of_path(files, path, reason);

    if (result == 0) result = files_check(files, reason);
    if (result < 0) {
        eng_files_close(files);
        return result;
    }
    CHECK(files->count > 0);
    qsort(files->files, files->count, sizeof *files->files, files_order);
    return 0;
}

void eng_files_close(struct eng_files *files)
{
    for (uint32_t i = 0; i < files->count; i++)
        free(files->files[i].path);
    free(files->files);
    *files = (struct eng_files){0};
}

int64_t eng_files_line_begin(int fd, const char *path, int64_t offset, int64_t size_bytes,
                             struct eng_reason *reason)
{
    char piece[FILES_PIECE_BYTES];
    int64_t at = offset - 1; /* a line begins at `offset` if the byte before it ends one */

    CHECK(offset > 0);
    while (at < size_bytes) {
        ssize_t bytes = pread(fd, piece, sizeof piece, at);
        if (bytes < 0 && errno == EINTR) continue;
        if (bytes < 0) {
            int error = errno;
            eng_reason_set(reason, "cannot read %s at byte %lld: %s", path, (long long)at,
                           strerror(error));
            return -error;
        }
        if (bytes == 0) return size_bytes; /* it has become shorter */
        const char *end = memchr(piece, '\n', (size_t)bytes);
        if (end) {
            at += end - piece + 1;
            return at < size_bytes ? at : size_bytes;
        }
        at += bytes;
    }
    return size_bytes;
}
