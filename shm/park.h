/* shm/park.h: sleeping until there is work, without lost wake-ups.
 *
 * A process that finds nothing to do parks on its one doorbell. Who gives it work rings that bell.
 *
 *     sleeper                                  ringer
 *     -------                                  ------
 *     1. sleeping = 1                          a. publish the work (a ring's tail, a command)
 *     2. full fence                            b. full fence
 *     3. is there work? then do not sleep      c. is sleeping != 0? then wake
 *     4. sleep while sleeping == 1
 *
 * Of the two who store and then look at the other's store, at least one sees it: either 3 sees what
 * a published, or c sees what 1 stored. Both fences are needed, and so is the second look: without
 * any of them a wake-up is lost, and tests/sim_shm_park_test.c shows each loss.
 *
 * The caller of shm_ring_bell() has done a and b. One fence serves any number of bells, and any
 * number of rings published before it: publish all, fence once, ring all. Ringing a bell whose
 * owner is awake is one load.
 *
 * The ringer sets sleeping = 0 and wakes in one system call (or, if the bell has a descriptor,
 * makes that readable and lets the sleeper clear the word), so a ringer that is killed at any
 * instruction has either woken the sleeper or done nothing: and what it published before, the next
 * wake-up shows.
 * A sleeper that is killed leaves sleeping = 1: ringers make one system call in vain each time,
 * nothing worse. A successor calls shm_doorbell_init() anew, before it has ringers.
 *
 * Wake-ups may be spurious. Nobody parks without being able to look again.
 */
#ifndef SHM_PARK_H
#define SHM_PARK_H

#include <poll.h>
#include <stdbool.h>

#include "shm/atomic.h"
#include "shm/clock.h"

enum { SHM_PARK_FDS_MAX = 255 };

struct shm_doorbell {
    /* 1: the owner sleeps. Set by the owner, cleared by whoever wakes it. Alone on its block:
     * ringers read it often, and it changes only when somebody sleeps. */
    _Alignas(SHM_CACHELINE) _Atomic uint32_t sleeping;

    /* An eventfd that ringers inherited over fork under this number; -1: none. It decides how the
     * owner sleeps, for good: were it to change, a late ringer could clear the word of a sleeper
     * without waking it. */
    int32_t fd;
};
_Static_assert(sizeof(struct shm_doorbell) == SHM_CACHELINE, "alone on its block");

/* with_fd: the owner will use shm_park_poll(); then it must be made before owner and ringers are
 * forked. 0 or -errno (no descriptors left); without a descriptor it cannot fail. */
int shm_doorbell_init(struct shm_doorbell *doorbell, bool with_fd);
void shm_doorbell_close(struct shm_doorbell *doorbell); /* closes this process's descriptor */

/* Sleeps until the bell rings, has_work(arg) says so before falling asleep, a signal comes, or the
 * deadline by shm_clock_ns() passes (SHM_CLOCK_NEVER: none). Returns false only for the deadline.
 * has_work may be NULL if the owner's work is announced in no other way than by signals. */
bool shm_park(struct shm_doorbell *doorbell, uint64_t deadline_ns, bool (*has_work)(void *),
              void *arg);

/* The same for a doorbell with a descriptor, and also until one of `fds` is ready: revents say. */
bool shm_park_poll(struct shm_doorbell *doorbell, uint64_t deadline_ns, bool (*has_work)(void *),
                   void *arg, struct pollfd *fds, uint32_t fd_count);

void shm_doorbell_wake(struct shm_doorbell *doorbell); /* shm_ring_bell()'s slow half */

/* After publishing and a full fence, both the caller's. */
static inline void shm_ring_bell(struct shm_doorbell *doorbell)
{
    if (__builtin_expect(shm_load_acquire32(&doorbell->sleeping) != 0, 0))
        shm_doorbell_wake(doorbell);
}

#endif
