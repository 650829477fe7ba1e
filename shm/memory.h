/* shm/memory.h: nameless shared memory, for rings.
 *
 * Containers give /dev/shm 64 MB; a memfd has no such limit. The supervisor makes one for all rings
 * of a job, children inherit the descriptor, and each maps only its own rings. All bytes are
 * allocated before anyone maps them, and the size is sealed, so that no access can end in SIGBUS.
 * It goes when the last process that has it ends.
 */
#ifndef SHM_MEMORY_H
#define SHM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* A descriptor, or -errno: -ENOSPC and -ENOMEM when there is not that much memory. Zeroed. */
int shm_memory_create(uint64_t size_bytes);

/* Maps a part, whose offset is a multiple of the page size. NULL: errno says why. */
void *shm_memory_map(int fd, uint64_t offset, uint64_t size_bytes);
void *shm_memory_map_read_only(int fd, uint64_t offset, uint64_t size_bytes);
void shm_memory_unmap(void *memory, uint64_t size_bytes);

/* The next multiple of the page size. */
uint64_t shm_memory_round_up(uint64_t size_bytes);

#endif
