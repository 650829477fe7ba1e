/* The body for machines that have no io_uring for us. Operations wait in a circle until they are
 * reaped, so that a step's limit bounds how many system calls it makes. */
#include "iouring/body.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "shm/check.h"

struct iou_plain {
    unsigned depth;
    unsigned first;
    unsigned count;
    struct iou_request *requests[];
};

int iou_plain_open(struct iou_plain **plain, unsigned depth)
{
    struct iou_plain *made = calloc(1, sizeof *made + depth * sizeof made->requests[0]);
    if (!made) return -ENOMEM;
    made->depth = depth;
    *plain = made;
    return 0;
}

void iou_plain_close(struct iou_plain *plain)
{
    CHECK(plain->count == 0);
    free(plain);
}

void iou_plain_start(struct iou_plain *plain, struct iou_request *request)
{
    CHECK(plain->count < plain->depth);
    plain->requests[(plain->first + plain->count) % plain->depth] = request;
    plain->count++;
}

static int64_t plain_run(const struct iou_request *request)
{
    ssize_t returned = -1;
    off_t offset = (off_t)iou_rest_offset(request);

    switch ((enum iou_kind)request->own.kind) {
    case IOU_KIND_READ:
        returned = pread(request->fd, iou_rest_into(request), iou_rest_bytes(request), offset);
        break;
    case IOU_KIND_WRITE:
        returned = pwrite(request->fd, iou_rest_from(request), iou_rest_bytes(request), offset);
        break;
    case IOU_KIND_SYNC:
        returned = fdatasync(request->fd);
        break;
    default:
        CHECK(false);
    }
    return returned < 0 ? -errno : returned;
}

unsigned iou_plain_reap(struct iou_plain *plain, struct iou_completion *completions, unsigned limit)
{
    unsigned count = 0;
    while (count < limit && plain->count > 0) {
        struct iou_request *request = plain->requests[plain->first];
        plain->first = (plain->first + 1) % plain->depth;
        plain->count--;
        completions[count++] = (struct iou_completion){request, plain_run(request)};
    }
    return count;
}
