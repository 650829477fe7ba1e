/* engine/record/out.c: see out.h. */
#include "engine/record/out.h"

#include <stdlib.h>

#include "shm/check.h"

enum { OUT_BYTES_MIN = 4096 };

void eng_text_out_grow(struct eng_text_out *out, size_t more_bytes)
{
    size_t wanted = out->capacity_bytes ? out->capacity_bytes : OUT_BYTES_MIN;
    char *bytes;

    CHECK(out->size_bytes <= out->capacity_bytes);
    CHECK(more_bytes <= SIZE_MAX / 4);
    while (wanted - out->size_bytes < more_bytes)
        wanted *= 2;
    bytes = realloc(out->bytes, wanted);
    CHECK(bytes); /* see the header */
    out->bytes = bytes;
    out->capacity_bytes = wanted;
}

void eng_text_out_close(struct eng_text_out *out)
{
    free(out->bytes);
    *out = (struct eng_text_out){0};
}
