/* iouring/buffer.h: memory for direct reads and writes.
 *
 * Direct access needs memory aligned to IOU_BLOCK_BYTES. It is mapped, not from malloc: an image
 * makes its buffers after the fork and gives them back whole, so the parent's heap has no part in
 * it.
 */
#ifndef IOURING_BUFFER_H
#define IOURING_BUFFER_H

#include <stdint.h>

void *iou_buffer_open(uint64_t size_bytes);               /* zeroed; NULL when there is no memory */
void iou_buffer_close(void *buffer, uint64_t size_bytes); /* accepts NULL */

/* The next multiple of IOU_BLOCK_BYTES. */
uint64_t iou_round_up(uint64_t size_bytes);

#endif
