/* shm/futex.h: the seam for waiting.
 *
 * What shm/park.h is built of: the protocol there is the same code in the real and in the simulated
 * build, and only these three calls have two bodies. Words lie in memory shared by processes.
 */
#ifndef SHM_FUTEX_H
#define SHM_FUTEX_H

#include <poll.h>
#include <stdint.h>

/* Sleeps while *word is `expected`. 0: woken, or it was another value; -ETIMEDOUT; -EINTR. */
int shm_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/* Sets *word to 0 and wakes its sleeper, as one action: a caller killed here did both or none. */
void shm_futex_clear_and_wake(_Atomic uint32_t *word);

/* Like poll(2), with a deadline by shm_clock_ns(). The number of ready descriptors; 0: the
 * deadline; -EINTR. In the simulation also descriptors of simulated processes (shm/spawn.h). */
int shm_futex_poll(struct pollfd *fds, uint32_t count, uint64_t deadline_ns);

#endif
