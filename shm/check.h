/* shm/check.h: what cannot happen.
 *
 * CHECK(condition) is always compiled in. When it fails, file, line and expression go into this
 * process's last words (see shm/slot.h) if it has a slot, and to standard error; then it aborts.
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
