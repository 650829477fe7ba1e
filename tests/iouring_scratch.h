/* A directory for one test program, gone when it ends. */
#ifndef TESTS_IOURING_SCRATCH_H
#define TESTS_IOURING_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iouring/file.h"
#include "shm/check.h"

struct scratch {
    char path[64];
    int directory;
};

static inline void scratch_open(struct scratch *scratch)
{
    strcpy(scratch->path, "iou-XXXXXX"); /* below the build tree: a disk, not a tmpfs */
    CHECK(mkdtemp(scratch->path) != NULL);
    scratch->directory = iou_directory_open(scratch->path);
    CHECK(scratch->directory >= 0);
}

static inline bool scratch_remove(const char *name, void *arg)
{
    int directory = *(int *)arg;
    int inner = iou_directory_open_in(directory, name);
    if (inner >= 0) iou_directory_list(inner, scratch_remove, &inner);
    iou_file_close(inner);
    CHECK(iou_directory_remove(directory, name) == 0);
    return true;
}

static inline void scratch_close(struct scratch *scratch)
{
    CHECK(iou_directory_list(scratch->directory, scratch_remove, &scratch->directory) == 0);
    iou_file_close(scratch->directory);
    remove(scratch->path);
}

#endif
