/* What the tests of connectors share: a directory that goes with the test, and files in it. */
#ifndef TESTS_CONNECTOR_SCRATCH_H
#define TESTS_CONNECTOR_SCRATCH_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "shm/check.h"

static char scratch_path[64];

static inline int scratch_open(void)
{
    strcpy(scratch_path, "connector-XXXXXX");
    return mkdtemp(scratch_path) ? 0 : 1;
}

static inline int scratch_remove(const char *path, const struct stat *about, int kind,
                                 struct FTW *place)
{
    (void)about;
    (void)kind;
    (void)place;
    return remove(path);
}

static inline int scratch_close(void)
{
    return nftw(scratch_path, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of a name in it; four at a time. */
static inline const char *scratch_name(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", scratch_path, name);
    return path;
}

static inline const char *scratch_write_bytes(const char *name, const void *bytes,
                                              size_t size_bytes)
{
    const char *path = scratch_name(name);
    FILE *file = fopen(path, "wb");

    CHECK(file != NULL);
    CHECK(fwrite(bytes, 1, size_bytes, file) == size_bytes);
    CHECK(fclose(file) == 0);
    return path;
}

static inline const char *scratch_write(const char *name, const char *text)
{
    return scratch_write_bytes(name, text, strlen(text));
}

/* One more gzip member at the end of a file; the first one makes it. */
static inline const char *scratch_gzip(const char *name, const void *bytes, size_t size_bytes)
{
    const char *path = scratch_name(name);
    gzFile file = gzopen(path, "ab");

    CHECK(file != NULL);
    CHECK(gzwrite(file, bytes, (unsigned)size_bytes) == (int)size_bytes);
    CHECK(gzclose(file) == Z_OK);
    return path;
}

/* The whole file, terminated; free it. NULL: there is none. */
static inline char *scratch_read(const char *path, size_t *size_bytes)
{
    struct stat about;
    FILE *file = fopen(path, "rb");

    if (!file) return NULL;
    CHECK(fstat(fileno(file), &about) == 0);
    char *bytes = malloc((size_t)about.st_size + 1);
    CHECK(bytes != NULL);
    CHECK(fread(bytes, 1, (size_t)about.st_size, file) == (size_t)about.st_size);
    bytes[about.st_size] = '\0';
    if (size_bytes) *size_bytes = (size_t)about.st_size;
    fclose(file);
    return bytes;
}

/* How many entries the directory has, hidden ones included. */
static inline unsigned scratch_count(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    unsigned count = 0;

    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) count++;
    closedir(directory);
    return count;
}

/* Numbers that depend on a seed only. */
static inline uint64_t scratch_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

#endif
