#include "iouring/iou.h"

#include <errno.h>
#include <stdlib.h>

#include "iouring/body.h"
#include "iouring/file.h"
#include "shm/check.h"

/* A request's way:
 *
 *              iou_start()              iou_settle()
 *    WAITING -------------> IN FLIGHT ---------------> its callback runs
 *                             ^    |
 *                 iou_start() |    | iou_settle(): something is left to do
 *                             AGAIN
 *
 * [Q1] in_flight <= depth, so no queue of the kernel can overflow.
 * [Q2] A sync is in flight alone: the active requests are then that one.
 */
struct iou {
    struct iou_uring *uring; /* one of the two */
    struct iou_plain *plain;
    unsigned depth;
    unsigned in_flight;   /* in the body */
    unsigned active;      /* in flight or again */
    unsigned outstanding; /* active or waiting */
    bool sync_active;
    bool in_step;
    struct iou_request *waiting_first, *waiting_last;
    struct iou_request *again;
};

int iou_open(struct iou **io, unsigned depth)
{
    CHECK(depth > 0);
    CHECK(depth <= IOU_DEPTH_MAX);

    struct iou *made = calloc(1, sizeof *made);
    if (!made) return -ENOMEM;
    made->depth = depth;
    int result = iou_uring_open(&made->uring, depth);
    if (result == -ENOSYS) result = iou_plain_open(&made->plain, depth);
    if (result < 0) {
        free(made);
        return result;
    }
    *io = made;
    return 0;
}

void iou_close(struct iou *io)
{
    if (!io) return;
    CHECK(io->outstanding == 0);
    CHECK(!io->in_step);
    if (io->uring) iou_uring_close(io->uring);
    if (io->plain) iou_plain_close(io->plain);
    free(io);
}

bool iou_is_uring(const struct iou *io)
{
    return io->uring != NULL;
}

unsigned iou_outstanding(const struct iou *io)
{
    return io->outstanding;
}

static void iou_add(struct iou *io, struct iou_request *request, enum iou_kind kind)
{
    CHECK(request->done != NULL);
    request->own.next = NULL;
    request->own.done_bytes = 0;
    request->own.reached_bytes = 0;
    request->own.attempts = 0;
    request->own.kind = (uint8_t)kind;

    if (io->waiting_last)
        io->waiting_last->own.next = request;
    else
        io->waiting_first = request;
    io->waiting_last = request;
    io->outstanding++;
}

void iou_read(struct iou *io, struct iou_request *request)
{
    CHECK(request->size_bytes > 0);
    CHECK(request->size_bytes <= IOU_SIZE_MAX);
    iou_add(io, request, IOU_KIND_READ);
}

void iou_write(struct iou *io, struct iou_request *request)
{
    CHECK(request->size_bytes > 0);
    CHECK(request->size_bytes <= IOU_SIZE_MAX);
    iou_add(io, request, IOU_KIND_WRITE);
}

void iou_sync(struct iou *io, struct iou_request *request)
{
    iou_add(io, request, IOU_KIND_SYNC);
}

/* The next one that may begin, or NULL. */
static struct iou_request *iou_take(struct iou *io)
{
    struct iou_request *request = io->again;
    if (request) {
        io->again = request->own.next;
        return request;
    }
    request = io->waiting_first;
    if (!request || io->sync_active) return NULL;
    if (request->own.kind == IOU_KIND_SYNC) {
        if (io->active > 0) return NULL;
        io->sync_active = true;
    }
    io->waiting_first = request->own.next;
    if (!io->waiting_first) io->waiting_last = NULL;
    io->active++;
    return request;
}

static void iou_start(struct iou *io)
{
    while (io->in_flight < io->depth) {
        struct iou_request *request = iou_take(io);
        if (!request) break;
        request->own.next = NULL;
        io->in_flight++;
        if (io->uring)
            iou_uring_start(io->uring, request);
        else
            iou_plain_start(io->plain, request);
    }
    CHECK(io->in_flight <= io->depth); /* [Q1] */
    CHECK(io->active >= io->in_flight);
    CHECK(io->outstanding >= io->active);
    CHECK(!io->sync_active || io->active == 1); /* [Q2] */
}

static bool iou_is_aligned(const struct iou_request *request)
{
    uint64_t bits = request->offset_bytes | request->size_bytes | (uintptr_t)request->into;
    return bits % IOU_BLOCK_BYTES == 0;
}

/* Tries again, or gives up with `error`. */
static bool iou_settle_attempt(struct iou_request *request, int64_t *result, int64_t error)
{
    if (++request->own.attempts < IOU_ATTEMPTS_MAX) return false;
    *result = error;
    return true;
}

/* Part of it was transferred. A short read is the end of the file only if the file ends there: the
 * kernel may return less for reasons of its own. */
static bool iou_settle_short(struct iou_request *request, uint32_t reached, int64_t *result)
{
    if (request->own.kind == IOU_KIND_READ) {
        int64_t size = iou_file_size(request->fd);
        if (size < 0 || request->offset_bytes + reached >= (uint64_t)size) {
            *result = size < 0 ? size : (int64_t)reached;
            return true;
        }
    }
    bool progress = reached > request->own.reached_bytes;
    if (progress) {
        request->own.reached_bytes = reached;
        request->own.attempts = 0;
    }
    request->own.done_bytes =
        iou_is_aligned(request) ? reached - reached % IOU_BLOCK_BYTES : reached;
    return progress ? false : iou_settle_attempt(request, result, -EIO);
}

/* What an operation's result means for its request. True: it is done, *result is for the callback.
 * False: something is left to do. */
static bool iou_settle(struct iou_request *request, int64_t returned, int64_t *result)
{
    if (returned == -EINTR || returned == -EAGAIN)
        return iou_settle_attempt(request, result, returned);
    if (returned < 0 || request->own.kind == IOU_KIND_SYNC) {
        CHECK(returned <= 0);
        *result = returned;
        return true;
    }
    CHECK(returned <= iou_rest_bytes(request));
    uint32_t reached = request->own.done_bytes + (uint32_t)returned;
    if (reached < request->size_bytes) return iou_settle_short(request, reached, result);
    *result = reached;
    return true;
}

static unsigned iou_reap(struct iou *io, struct iou_completion *completions, unsigned limit,
                         bool wait)
{
    if (io->in_flight == 0) return 0;
    if (io->uring) return iou_uring_reap(io->uring, completions, limit, wait);
    return iou_plain_reap(io->plain, completions, limit);
}

static bool iou_on_completion(struct iou *io, struct iou_completion completion)
{
    struct iou_request *request = completion.request;
    int64_t result = 0;

    CHECK(io->in_flight > 0);
    io->in_flight--;
    if (!iou_settle(request, completion.result, &result)) {
        request->own.next = io->again;
        io->again = request;
        return false;
    }
    if (request->own.kind == IOU_KIND_SYNC) io->sync_active = false;
    io->active--;
    io->outstanding--;
    request->done(request, result); /* the request may be gone now */
    return true;
}

static unsigned iou_turn(struct iou *io, unsigned limit, bool wait)
{
    enum { BATCH = 64 };
    struct iou_completion completions[BATCH];
    unsigned ran = 0;

    CHECK(!io->in_step); /* a callback asks, it does not wait */
    io->in_step = true;
    while (ran < limit && io->outstanding > 0) {
        unsigned room = limit - ran < BATCH ? limit - ran : BATCH;
        iou_start(io);
        unsigned count = iou_reap(io, completions, room, wait && ran == 0);
        if (count == 0) break;
        for (unsigned i = 0; i < count; i++)
            ran += iou_on_completion(io, completions[i]);
    }
    io->in_step = false;
    return ran;
}

unsigned iou_step(struct iou *io, unsigned limit)
{
    return iou_turn(io, limit, false);
}

unsigned iou_wait(struct iou *io)
{
    unsigned ran = iou_turn(io, io->depth, true);
    CHECK(ran > 0 || io->outstanding == 0);
    return ran;
}
