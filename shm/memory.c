#include "shm/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/check.h"
#include "shm/proc.h"

/* What the machine could give without swapping; UINT64_MAX if it does not say. Limits of a cgroup
 * are not looked at. */
static uint64_t memory_available_bytes(void)
{
    char text[4096];
    static const char name[] = "MemAvailable:";
    if (!shm_proc_read(0, "meminfo", text, sizeof text)) return UINT64_MAX;
    const char *at = strstr(text, name);
    return at ? strtoull(at + sizeof name - 1, NULL, 10) * 1024u : UINT64_MAX;
}

int shm_memory_create(uint64_t size_bytes)
{
    CHECK(size_bytes > 0);
    /* Asked for too much, the kernel would not refuse but kill somebody. */
    if (size_bytes > memory_available_bytes()) return -ENOMEM;

    int fd = memfd_create("penstock", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -errno;
    int result;
    do
        result = posix_fallocate(fd, 0, (off_t)size_bytes);
    while (result == EINTR);
    if (result != 0) goto fail;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        result = errno;
        goto fail;
    }
    return fd;

fail:
    close(fd);
    return -result;
}

static void *memory_map(int fd, uint64_t offset, uint64_t size_bytes, int protection)
{
    CHECK(size_bytes > 0);
    CHECK(shm_memory_round_up(offset) == offset);
    void *memory = mmap(NULL, size_bytes, protection, MAP_SHARED, fd, (off_t)offset);
    return memory == MAP_FAILED ? NULL : memory;
}

void *shm_memory_map(int fd, uint64_t offset, uint64_t size_bytes)
{
    return memory_map(fd, offset, size_bytes, PROT_READ | PROT_WRITE);
}

void *shm_memory_map_read_only(int fd, uint64_t offset, uint64_t size_bytes)
{
    return memory_map(fd, offset, size_bytes, PROT_READ);
}

void shm_memory_unmap(void *memory, uint64_t size_bytes)
{
    CHECK(munmap(memory, size_bytes) == 0);
}

uint64_t shm_memory_round_up(uint64_t size_bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    return (size_bytes + page - 1) & ~(page - 1);
}
