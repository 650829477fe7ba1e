/* What is made of the calls of file.c, and of file_sim.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iouring/file.h"
#include "shm/check.h"

static int publish_write(int directory, const char *name, const void *bytes, uint64_t size_bytes)
{
    int fd = iou_file_open(directory, name, IOU_CREATE);
    if (fd < 0) return fd;
    int result = iou_file_write(fd, bytes, size_bytes, 0);
    if (result == 0) result = iou_file_sync(fd);
    iou_file_close(fd);
    return result;
}

int iou_publish(int directory, const char *name, const void *bytes, uint64_t size_bytes)
{
    char temporary[IOU_NAME_BYTES];
    if (strlen(name) + sizeof IOU_TEMPORARY > sizeof temporary) return -ENAMETOOLONG;
    snprintf(temporary, sizeof temporary, "%s" IOU_TEMPORARY, name);

    /* Whoever died here left one. Never go on with it: its bytes may have failed to sync. */
    int result = iou_directory_remove(directory, temporary);
    if (result < 0 && result != -ENOENT) return result;

    result = publish_write(directory, temporary, bytes, size_bytes);
    if (result == 0) result = iou_directory_rename(directory, temporary, name);
    if (result < 0) {
        (void)iou_directory_remove(directory, temporary);
        return result;
    }
    return iou_directory_sync(directory);
}

int iou_load(int directory, const char *name, uint64_t size_bytes_max, void **bytes,
             uint64_t *size_bytes)
{
    int fd = iou_file_open(directory, name, IOU_READ);
    if (fd < 0) return fd;

    void *loaded = NULL;
    int64_t size = iou_file_size(fd);
    int result = size < 0 ? (int)size : 0;
    if (result == 0 && (uint64_t)size > size_bytes_max) result = -EFBIG;
    if (result == 0 && !(loaded = malloc(size > 0 ? (size_t)size : 1))) result = -ENOMEM;
    if (result == 0) result = iou_file_read(fd, loaded, (uint64_t)size, 0);
    iou_file_close(fd);
    if (result < 0) {
        free(loaded);
        return result;
    }
    *bytes = loaded;
    *size_bytes = (uint64_t)size;
    return 0;
}
