/* The body that has the simulated disk do it. Operations end in any order, each after a delay of
 * its own; they take effect when their time has come, whether their process lives or not. */
#include "iouring/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iouring/disk_inside.h"
#include "shm/check.h"
#include "shm/clock.h"
#include "shm/sim.h"

struct iou_uring {
    unsigned depth;
    unsigned in_flight;
};

int iou_uring_open(struct iou_uring **uring, unsigned depth)
{
    struct iou_uring *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    made->depth = depth;
    *uring = made;
    return 0;
}

void iou_uring_close(struct iou_uring *uring)
{
    CHECK(uring->in_flight == 0);
    free(uring);
}

/* What the kernel refuses at once. */
static int64_t uring_refusal(const struct iou_request *request,
                             const struct iou_disk_handle *handle)
{
    if (!handle || iou_disk_inode(handle->inode)->directory) return -EBADF;
    if (request->own.kind == IOU_KIND_SYNC) return 0;
    if (request->own.kind == IOU_KIND_WRITE && !handle->writable) return -EBADF;
    uint64_t bits =
        iou_rest_offset(request) | iou_rest_bytes(request) | (uintptr_t)iou_rest_into(request);
    return handle->direct && bits % IOU_BLOCK_BYTES != 0 ? -EINVAL : 0;
}

void iou_uring_start(struct iou_uring *uring, struct iou_request *request)
{
    CHECK(uring->in_flight < uring->depth);
    uring->in_flight++;

    struct iou_disk_operation *o = calloc(1, sizeof *o);
    CHECK(o != NULL);
    o->owner = uring;
    o->request = request;
    o->kind = (enum iou_kind)request->own.kind;
    o->next = iou_disk.operations;
    iou_disk.operations = o;

    const struct iou_disk_handle *handle = iou_disk_handle(request->fd);
    o->result = uring_refusal(request, handle);
    o->done = o->result < 0;
    if (o->done) return;
    o->inode = handle->inode;
    o->direct = handle->direct;
    o->due_ns = shm_sim_running() ? shm_sim_now_ns() + iou_disk_delay() : iou_disk_delay();
    if (o->kind == IOU_KIND_SYNC) return;
    o->size_bytes = iou_rest_bytes(request);
    o->offset_bytes = iou_rest_offset(request);
    o->bytes = malloc(o->size_bytes);
    CHECK(o->bytes != NULL);
    if (o->kind == IOU_KIND_WRITE) memcpy(o->bytes, iou_rest_from(request), o->size_bytes);
}

/* One that is done and ours, any of them; taken out of the list. */
static struct iou_disk_operation *uring_take(const struct iou_uring *uring)
{
    struct iou_disk_operation **chosen = NULL;
    uint64_t seen = 0;
    for (struct iou_disk_operation **o = &iou_disk.operations; *o; o = &(*o)->next)
        if ((*o)->owner == uring && (*o)->done && shm_random_below(&iou_disk.chance, ++seen) == 0)
            chosen = o;
    if (!chosen) return NULL;
    struct iou_disk_operation *taken = *chosen;
    *chosen = taken->next;
    return taken;
}

static unsigned uring_collect(struct iou_uring *uring, struct iou_completion *completions,
                              unsigned limit)
{
    unsigned count = 0;
    while (count < limit) {
        struct iou_disk_operation *o = uring_take(uring);
        if (!o) break;
        if (o->kind == IOU_KIND_READ && o->result > 0)
            memcpy(iou_rest_into(o->request), o->bytes, (size_t)o->result);
        /* What is being written belongs to the disk until it is done. */
        if (o->kind == IOU_KIND_WRITE && o->bytes)
            CHECK(memcmp(iou_rest_from(o->request), o->bytes, o->size_bytes) == 0);
        completions[count++] = (struct iou_completion){o->request, o->result};
        free(o->bytes);
        free(o);
    }
    CHECK(count <= uring->in_flight);
    uring->in_flight -= count;
    return count;
}

static uint64_t uring_due(const struct iou_uring *uring)
{
    uint64_t due = SHM_CLOCK_NEVER;
    for (const struct iou_disk_operation *o = iou_disk.operations; o; o = o->next)
        if (o->owner == uring && !o->done && o->due_ns < due) due = o->due_ns;
    return due;
}

unsigned iou_uring_reap(struct iou_uring *uring, struct iou_completion *completions, unsigned limit,
                        bool wait)
{
    CHECK(!wait || uring->in_flight > 0);
    for (;;) {
        shm_sim_yield();
        iou_disk_advance();
        unsigned count = uring_collect(uring, completions, limit);
        if (count > 0 || !wait) return count;
        shm_clock_sleep_until(uring_due(uring));
    }
}
