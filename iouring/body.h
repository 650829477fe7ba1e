/* iouring/body.h: what iou.c asks of whoever carries the operations out. Nobody else includes it.
 *
 *     uring.c        the kernel, by io_uring; uring_sim.c stands in for it: the simulated disk
 *     plain.c        the kernel, by pread, pwrite and fdatasync, one at a time, when it is reaped
 *
 * A body takes at most `depth` operations at a time and gives each back once, in any order, with
 * what the system call would have returned: short counts, EINTR and all. iou.c makes requests of
 * that.
 */
#ifndef IOURING_BODY_H
#define IOURING_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "iouring/iou.h"

enum iou_kind {
    IOU_KIND_READ = 1,
    IOU_KIND_WRITE,
    IOU_KIND_SYNC,
};

struct iou_completion {
    struct iou_request *request;
    int64_t result;
};

/* The part of a request that the next operation shall do. */
static inline uint32_t iou_rest_bytes(const struct iou_request *request)
{
    return request->size_bytes - request->own.done_bytes;
}

static inline uint64_t iou_rest_offset(const struct iou_request *request)
{
    return request->offset_bytes + request->own.done_bytes;
}

static inline void *iou_rest_into(const struct iou_request *request)
{
    return (char *)request->into + request->own.done_bytes;
}

static inline const void *iou_rest_from(const struct iou_request *request)
{
    return (const char *)request->from + request->own.done_bytes;
}

struct iou_uring;

/* 0; -ENOSYS: this machine has none for us, use the plain one; or another -errno. */
int iou_uring_open(struct iou_uring **uring, unsigned depth);
void iou_uring_close(struct iou_uring *uring); /* nothing in flight */
void iou_uring_start(struct iou_uring *uring, struct iou_request *request);

/* Up to `limit` completions. With `wait` at least one; something must be in flight then. */
unsigned iou_uring_reap(struct iou_uring *uring, struct iou_completion *completions, unsigned limit,
                        bool wait);

struct iou_plain;

int iou_plain_open(struct iou_plain **plain, unsigned depth);
void iou_plain_close(struct iou_plain *plain);
void iou_plain_start(struct iou_plain *plain, struct iou_request *request);
unsigned iou_plain_reap(struct iou_plain *plain, struct iou_completion *completions,
                        unsigned limit);

#endif
