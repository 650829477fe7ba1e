#include "shm/ending.h"

#include <stdio.h>
#include <string.h>

#include "shm/check.h"

const char *shm_ending_text(const struct shm_ending *ending, char *text, size_t text_bytes)
{
    CHECK((ending->signal == 0) == (ending->status >= 0));
    if (ending->signal == 0) {
        snprintf(text, text_bytes, "exited with status %d", ending->status);
        return text;
    }
    const char *name = sigdescr_np(ending->signal);
    snprintf(text, text_bytes, "was killed by signal %d (%s)%s", ending->signal,
             name ? name : "unknown", ending->core_dumped ? ", core dumped" : "");
    return text;
}
