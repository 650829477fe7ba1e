/* shm/ending.h: how a process ended. The same for real and simulated ones (shm/spawn.h). */
#ifndef SHM_ENDING_H
#define SHM_ENDING_H

#include <stdbool.h>
#include <stddef.h>

struct shm_ending {
    int status; /* what it passed to exit; -1 if a signal ended it */
    int signal; /* 0: it exited */
    bool core_dumped;
};

/* "exited with status 3", "was killed by signal 11 (Segmentation fault)". Returns text. */
const char *shm_ending_text(const struct shm_ending *ending, char *text, size_t text_bytes);

#endif
