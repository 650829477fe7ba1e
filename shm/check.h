/* shm/check.h: what cannot happen.
 *
 * CHECK(condition) is always compiled in. When it fails, file, line and expression become this
 * process's last words (see shm/slot.h); if it has no slot for them, they go to standard error.
 * Then it aborts. So a worker's failure is told once, in its supervisor's report, which knows
 * operator, record and backtrace as well.
 * One condition for each CHECK. What the world does to us is an error, not a CHECK.
 */
#ifndef SHM_CHECK_H
#define SHM_CHECK_H

_Noreturn void shm_check_failed(const char *file, int line, const char *expression);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0)) shm_check_failed(__FILE__, __LINE__, #condition);   \
    } while (0)

#endif
