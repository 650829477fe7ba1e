/* iouring/iou.h: reads, writes and syncs of files that do not stop the process.
 *
 * Images write checkpoint parts with it, recovery reads them. A request is a struct of the
 * caller's, embedded in whatever waits for it; it and the memory it points to belong to this layer
 * from the call until `done` has begun. Requests cannot be refused: the callers' structs are the
 * queue.
 *
 *     struct iou *io;
 *     int error = iou_open(&io, 32);                 at most 32 operations at a time in the kernel
 *     iou_write(io, &block->request);                as many as you like
 *     iou_sync(io, &part->sync);                     begins when all requests before it have ended
 *     while (iou_wait(io) > 0) {}                    runs the callbacks
 *
 * What a caller need not know: short reads and writes are continued, from an aligned offset where
 * the request was aligned (a direct write has to stay so); EINTR and EAGAIN are tried again, with a
 * bound; the kernel's queue cannot overflow. What a caller must know: after a sync has failed, the
 * kernel may have dropped the pages. That file is dead: neither write nor sync it again, begin a
 * new one.
 *
 * Where the kernel refuses io_uring (containers often forbid it), or when the environment says
 * PENSTOCK_NO_URING=1, plain system calls inside iou_step() take its place. A simulated disk
 * stands in for both in the simulated build: see iouring/disk_sim.h.
 *
 * A struct iou belongs to the process that opened it. After a fork the child does not have it: its
 * memory is not inherited, and the child opens its own. If a process dies, what it had asked for
 * may or may not happen; nothing waits for it.
 */
#ifndef IOURING_IOU_H
#define IOURING_IOU_H

#include <stdbool.h>
#include <stdint.h>

enum {
    IOU_BLOCK_BYTES = 4096,  /* of direct files: offsets, sizes and memory are multiples of it */
    IOU_DEPTH_MAX = 1024,    /* operations in the kernel at a time */
    IOU_ATTEMPTS_MAX = 64,   /* in a row without one byte of progress: then the error stands */
    IOU_SIZE_MAX = 1u << 30, /* of one request */
};

struct iou;
struct iou_request;

/* A result is what was transferred in bytes, or -errno. Writes: size_bytes or an error, nothing
 * between. Reads: less than size_bytes only at the end of the file. Syncs: 0 or an error. The
 * request may be used again, or freed, inside the callback. */
typedef void iou_done(struct iou_request *request, int64_t result);

struct iou_request {
    int fd;
    uint32_t size_bytes; /* syncs: ignored */
    uint64_t offset_bytes;
    union {
        void *into;       /* reads */
        const void *from; /* writes */
    };
    iou_done *done;

    struct { /* ours, from the call until `done` */
        struct iou_request *next;
        uint32_t done_bytes;    /* transferred and kept: where the next operation begins */
        uint32_t reached_bytes; /* transferred at all; more than done_bytes after rounding down */
        uint16_t attempts;      /* without progress */
        uint8_t kind;
    } own;
};

/* 0 or -errno; on failure *io is untouched. depth: 1..IOU_DEPTH_MAX. */
int iou_open(struct iou **io, unsigned depth);
void iou_close(struct iou *io); /* accepts NULL; nothing may be outstanding */
bool iou_is_uring(const struct iou *io);

void iou_read(struct iou *io, struct iou_request *request);
void iou_write(struct iou *io, struct iou_request *request);

/* Makes a file's bytes and size durable (fdatasync). It begins when every request made before it
 * has ended, whatever their results, and requests made after it begin when it has. */
void iou_sync(struct iou *io, struct iou_request *request);

/* Hands requests to the kernel and runs up to `limit` callbacks. Never blocks on a uring. Returns
 * how many callbacks it ran. */
unsigned iou_step(struct iou *io, unsigned limit);

/* The same, but sleeps until there is at least one. 0 means that nothing is outstanding. */
unsigned iou_wait(struct iou *io);

unsigned iou_outstanding(const struct iou *io); /* requests whose `done` has not begun */

#endif
