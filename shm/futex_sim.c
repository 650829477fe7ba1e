/* Waiting in the simulation: see shm/sim.h. As in the kernel, a changed word alone wakes nobody. */
#include "shm/futex.h"

#include <errno.h>
#include <stddef.h>

#include "shm/atomic.h"
#include "shm/check.h"
#include "shm/clock.h"
#include "shm/sim.h"

int shm_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    uint32_t value = shm_load_acquire32(word);
    shm_sim_flush(); /* a system call is a fence; from here to the sleep nobody else runs */
    if (value != expected) return 0;
    return shm_sim_sleep(word, deadline_ns) ? 0 : -ETIMEDOUT;
}

void shm_futex_clear_and_wake(_Atomic uint32_t *word)
{
    shm_store_release32(word, 0);
    shm_sim_flush();
    shm_sim_wake(word);
}

struct futex_poll {
    struct pollfd *fds;
    uint32_t count;
};

/* Descriptors of simulated processes are numbers that no real one has. */
static int futex_poll_once(const struct futex_poll *wait)
{
    int ready = 0;
    for (uint32_t i = 0; i < wait->count; i++) {
        struct pollfd *fd = &wait->fds[i];
        fd->revents = 0;
        if (fd->fd >= SHM_SIM_PIDFD) {
            uint32_t process = (uint32_t)(fd->fd - SHM_SIM_PIDFD);
            if (shm_sim_ended(process, NULL, NULL)) fd->revents = fd->events & POLLIN;
        } else if (fd->fd >= 0) {
            int result = poll(fd, 1, 0);
            CHECK(result >= 0 || errno == EINTR);
        }
        if (fd->revents) ready++;
    }
    return ready;
}

static bool futex_poll_ready(void *arg)
{
    return futex_poll_once(arg) > 0;
}

int shm_futex_poll(struct pollfd *fds, uint32_t count, uint64_t deadline_ns)
{
    struct futex_poll wait = {fds, count};
    shm_sim_wait(deadline_ns, futex_poll_ready, &wait);
    return futex_poll_once(&wait);
}
