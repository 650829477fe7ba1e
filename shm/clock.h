/* shm/clock.h: the seam for time. The only place that reads a clock.
 *
 * Durations and deadlines are nanoseconds of a clock that never goes back; event times are
 * microseconds since the epoch. clock.c asks the kernel, clock_sim.c the simulator, whose time
 * stands still while anything can run and jumps when everyone waits. A step of a worker reads the
 * clock once and hands the value on.
 */
#ifndef SHM_CLOCK_H
#define SHM_CLOCK_H

#include <stdint.h>

#define SHM_CLOCK_NEVER UINT64_MAX /* a deadline that does not come */

uint64_t shm_clock_ns(void);     /* monotonic, the same in all processes of the machine */
int64_t shm_clock_wall_us(void); /* since the epoch; may be set back by whoever sets clocks */
uint64_t shm_clock_cpu_ns(void); /* what this thread has used of a core */
void shm_clock_sleep_until(uint64_t ns); /* a deadline by shm_clock_ns(); signals do not end it */

#endif
