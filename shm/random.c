#include "shm/random.h"

#include <errno.h>
#include <sys/random.h>

uint64_t shm_random(void)
{
    uint64_t value;
    ssize_t got;
    do
        got = getrandom(&value, sizeof value, 0);
    while (got < 0 && errno == EINTR);
    CHECK(got == (ssize_t)sizeof value); /* up to 256 bytes come whole */
    return value;
}
