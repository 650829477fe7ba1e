#include "shm/park.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shm/check.h"
#include "shm/futex.h"

int shm_doorbell_init(struct shm_doorbell *doorbell, bool with_fd)
{
    int fd = -1;
    if (with_fd) {
        fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (fd < 0) return -errno;
    }
    doorbell->fd = fd;
    shm_store_release32(&doorbell->sleeping, 0);
    return 0;
}

void shm_doorbell_close(struct shm_doorbell *doorbell)
{
    if (doorbell->fd >= 0) close(doorbell->fd);
}

void shm_doorbell_wake(struct shm_doorbell *doorbell)
{
    if (doorbell->fd < 0) {
        shm_futex_clear_and_wake(&doorbell->sleeping);
        return;
    }
    /* The word stays: a ringer that cleared it and then died would have silenced the bell, and one
     * that cleared it late would clear the next sleep's. The sleeper clears it when it wakes. */
    uint64_t one = 1;
    ssize_t written = write(doorbell->fd, &one, sizeof one);
    CHECK(written == sizeof one || errno == EAGAIN); /* EAGAIN: rung 2^64 times, and readable */
}

/* Says that the owner sleeps, and looks again. True: there is work, so it does not sleep. */
static bool park_prepare(struct shm_doorbell *doorbell, bool (*has_work)(void *), void *arg)
{
    CHECK(shm_load_acquire32(&doorbell->sleeping) == 0); /* one owner, who sleeps in one place */
    shm_store_release32(&doorbell->sleeping, 1);
    shm_fence(); /* the other half is the ringer's, between publishing and shm_ring_bell() */
    if (!has_work || !has_work(arg)) return false;
    shm_store_release32(&doorbell->sleeping, 0);
    return true;
}

bool shm_park(struct shm_doorbell *doorbell, uint64_t deadline_ns, bool (*has_work)(void *),
              void *arg)
{
    if (doorbell->fd >= 0) return shm_park_poll(doorbell, deadline_ns, has_work, arg, NULL, 0);
    if (park_prepare(doorbell, has_work, arg)) return true;

    int result = shm_futex_wait(&doorbell->sleeping, 1, deadline_ns);
    CHECK(result == 0 || result == -ETIMEDOUT || result == -EINTR);
    bool rung = shm_load_acquire32(&doorbell->sleeping) == 0;
    if (!rung) shm_store_release32(&doorbell->sleeping, 0);
    return rung || result != -ETIMEDOUT;
}

bool shm_park_poll(struct shm_doorbell *doorbell, uint64_t deadline_ns, bool (*has_work)(void *),
                   void *arg, struct pollfd *fds, uint32_t fd_count)
{
    CHECK(doorbell->fd >= 0);
    CHECK(fd_count <= SHM_PARK_FDS_MAX);
    for (uint32_t i = 0; i < fd_count; i++)
        fds[i].revents = 0;
    if (park_prepare(doorbell, has_work, arg)) return true;

    struct pollfd all[SHM_PARK_FDS_MAX + 1];
    all[0] = (struct pollfd){.fd = doorbell->fd, .events = POLLIN};
    if (fd_count > 0) memcpy(all + 1, fds, fd_count * sizeof *fds);
    int ready = shm_futex_poll(all, fd_count + 1, deadline_ns);
    CHECK(ready >= 0 || ready == -EINTR);
    shm_store_release32(&doorbell->sleeping, 0);
    if (ready <= 0) return ready < 0;

    if (fd_count > 0) memcpy(fds, all + 1, fd_count * sizeof *fds);
    CHECK((all[0].revents & POLLNVAL) == 0);
    if (all[0].revents & POLLIN) {
        uint64_t rings;
        ssize_t got = read(doorbell->fd, &rings, sizeof rings);
        CHECK(got == sizeof rings || errno == EAGAIN || errno == EINTR);
    }
    return true;
}
