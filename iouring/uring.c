/* The body that has the kernel do it. The only file that knows liburing. */
#include "iouring/body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Its inline functions are written for another set of warnings. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <liburing.h>
#pragma GCC diagnostic pop

#include "shm/check.h"
#include "shm/clock.h"

#define URING_PAUSE_NS 1000000u

struct iou_uring {
    struct io_uring ring;
    unsigned in_flight;
};

/* Containers and sandboxes may let us set a ring up and then forbid its use, and old kernels lack
 * operations. One nothing, there and back, shows it now rather than in a checkpoint. */
static int uring_try(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    if (!probe) return -ENOSYS;
    bool able = io_uring_opcode_supported(probe, IORING_OP_READ) &&
                io_uring_opcode_supported(probe, IORING_OP_WRITE) &&
                io_uring_opcode_supported(probe, IORING_OP_FSYNC);
    io_uring_free_probe(probe);
    if (!able) return -ENOSYS;

    struct io_uring_cqe *cqe = NULL;
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    CHECK(sqe != NULL);
    io_uring_prep_nop(sqe);
    int returned;
    do
        returned = io_uring_submit_and_wait(ring, 1);
    while (returned == -EINTR);
    if (returned < 0 || io_uring_peek_cqe(ring, &cqe) < 0) return -ENOSYS;
    io_uring_cqe_seen(ring, cqe);
    return 0;
}

int iou_uring_open(struct iou_uring **uring, unsigned depth)
{
    const char *refused = getenv("PENSTOCK_NO_URING");
    if (refused && strcmp(refused, "0") != 0) return -ENOSYS;

    struct iou_uring *made = calloc(1, sizeof *made);
    if (!made) return -ENOMEM;
    int result = io_uring_queue_init(depth, &made->ring, 0);
    if (result < 0) {
        free(made);
        /* No descriptors left is a shortage. All else is a machine that does not want us to. */
        return result == -EMFILE || result == -ENFILE ? result : -ENOSYS;
    }
    /* A child that inherited the rings could answer the kernel in our place. */
    result = io_uring_ring_dontfork(&made->ring);
    if (result == 0) result = uring_try(&made->ring);
    if (result < 0) {
        io_uring_queue_exit(&made->ring);
        free(made);
        return result;
    }
    CHECK(*made->ring.sq.kring_entries >= depth);
    CHECK(*made->ring.cq.kring_entries >= depth);
    *uring = made;
    return 0;
}

void iou_uring_close(struct iou_uring *uring)
{
    CHECK(uring->in_flight == 0);
    io_uring_queue_exit(&uring->ring);
    free(uring);
}

void iou_uring_start(struct iou_uring *uring, struct iou_request *request)
{
    /* There is room: what is in the queue is in flight, and that is less than the depth. */
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    CHECK(sqe != NULL);

    switch ((enum iou_kind)request->own.kind) {
    case IOU_KIND_READ:
        io_uring_prep_read(sqe, request->fd, iou_rest_into(request), iou_rest_bytes(request),
                           iou_rest_offset(request));
        break;
    case IOU_KIND_WRITE:
        io_uring_prep_write(sqe, request->fd, iou_rest_from(request), iou_rest_bytes(request),
                            iou_rest_offset(request));
        break;
    case IOU_KIND_SYNC:
        io_uring_prep_fsync(sqe, request->fd, IORING_FSYNC_DATASYNC);
        break;
    default:
        CHECK(false);
    }
    io_uring_sqe_set_data(sqe, request);
    uring->in_flight++;
    CHECK(uring->in_flight <= *uring->ring.cq.kring_entries); /* each has a place to end in */
}

static unsigned uring_collect(struct iou_uring *uring, struct iou_completion *completions,
                              unsigned limit)
{
    unsigned count = 0;
    struct io_uring_cqe *cqe;

    while (count < limit && io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
        completions[count].request = io_uring_cqe_get_data(cqe);
        completions[count].result = cqe->res;
        CHECK(completions[count].request != NULL);
        io_uring_cqe_seen(&uring->ring, cqe);
        count++;
    }
    CHECK(*uring->ring.cq.koverflow == 0);
    CHECK(count <= uring->in_flight);
    uring->in_flight -= count;
    return count;
}

unsigned iou_uring_reap(struct iou_uring *uring, struct iou_completion *completions, unsigned limit,
                        bool wait)
{
    CHECK(!wait || uring->in_flight > 0);
    for (;;) {
        int returned = 0;
        if (io_uring_sq_ready(&uring->ring) > 0) returned = io_uring_submit(&uring->ring);
        unsigned count = uring_collect(uring, completions, limit);
        if (count > 0 || !wait) return count;

        /* The kernel has no memory for it now, and may have nothing of ours that could end and
         * wake us: look again after a while. */
        if (returned == -EAGAIN || returned == -EBUSY)
            shm_clock_sleep_until(shm_clock_ns() + URING_PAUSE_NS);
        else if (returned >= 0)
            returned = io_uring_submit_and_wait(&uring->ring, 1);
        CHECK(returned >= 0 || returned == -EAGAIN || returned == -EBUSY || returned == -EINTR);
    }
}
