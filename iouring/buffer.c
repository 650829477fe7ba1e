#include "iouring/buffer.h"

#include <stddef.h>
#include <sys/mman.h>

#include "iouring/iou.h"
#include "shm/check.h"

uint64_t iou_round_up(uint64_t size_bytes)
{
    CHECK(size_bytes <= UINT64_MAX - IOU_BLOCK_BYTES);
    return (size_bytes + IOU_BLOCK_BYTES - 1) / IOU_BLOCK_BYTES * IOU_BLOCK_BYTES;
}

void *iou_buffer_open(uint64_t size_bytes)
{
    CHECK(size_bytes > 0);
    void *buffer = mmap(NULL, iou_round_up(size_bytes), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return buffer == MAP_FAILED ? NULL : buffer;
}

void iou_buffer_close(void *buffer, uint64_t size_bytes)
{
    if (buffer) CHECK(munmap(buffer, iou_round_up(size_bytes)) == 0);
}
