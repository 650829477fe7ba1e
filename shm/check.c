#include "shm/check.h"

#include <string.h>

#include "shm/slot.h"
#include "shm/spawn.h"

/* No printf: the process is broken, and who knows how. */
static void check_append(char *text, size_t text_bytes, const char *more)
{
    size_t used = strlen(text);
    size_t size = strlen(more);
    if (size > text_bytes - 1 - used) size = text_bytes - 1 - used;
    memcpy(text + used, more, size);
    text[used + size] = 0;
}

_Noreturn void shm_check_failed(const char *file, int line, const char *expression)
{
    char digits[12];
    char *number = digits + sizeof digits - 1;
    *number = 0;
    for (unsigned rest = (unsigned)line; rest > 0; rest /= 10)
        *--number = (char)('0' + rest % 10);

    const char *pieces[] = {file, ":", number, ": CHECK failed: ", expression, NULL};
    char text[SHM_SLOT_WORDS_BYTES] = "";
    for (const char **piece = pieces; *piece; piece++)
        check_append(text, sizeof text, *piece);

    shm_slot_say_pieces(NULL, (const char *const[]){text, NULL});
    shm_process_abort(text);
}
