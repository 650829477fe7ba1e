#include "shm/futex.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shm/check.h"
#include "shm/clock.h"

static struct timespec futex_timespec(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
}

int shm_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    /* The BITSET kind takes an absolute time. Not PRIVATE: the word is shared by processes. */
    struct timespec until = futex_timespec(deadline_ns);
    long result =
        syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected,
                deadline_ns == SHM_CLOCK_NEVER ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    if (result == 0 || errno == EAGAIN) return 0;
    CHECK(errno == ETIMEDOUT || errno == EINTR); /* all else is a bad word */
    return -errno;
}

void shm_futex_clear_and_wake(_Atomic uint32_t *word)
{
    /* "*word = 0; wake one". The comparison (of the old value with 4095) never holds: it would wake
     * a second time. */
    long result = syscall(SYS_futex, word, FUTEX_WAKE_OP, 1, NULL, word,
                          FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 0xfff));
    CHECK(result >= 0);
}

int shm_futex_poll(struct pollfd *fds, uint32_t count, uint64_t deadline_ns)
{
    struct timespec left = {0, 0};
    if (deadline_ns != SHM_CLOCK_NEVER) {
        uint64_t now_ns = shm_clock_ns();
        if (deadline_ns > now_ns) left = futex_timespec(deadline_ns - now_ns);
    }
    int ready = ppoll(fds, count, deadline_ns == SHM_CLOCK_NEVER ? NULL : &left, NULL);
    if (ready >= 0) return ready;
    CHECK(errno == EINTR || errno == ENOMEM); /* all else is a bad array */
    return -EINTR; /* no memory for an instant: as if it had been interrupted */
}
