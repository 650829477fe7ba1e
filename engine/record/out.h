/* engine/record/out.h: text that grows: where encoders write.
 *
 * A sink opens one, encodes many records into it, hands its bytes on and clears it. It grows by
 * doubling and never shrinks, so a sink soon stops allocating. Running out of memory aborts: a
 * worker that cannot hold one encoded record cannot go on, and its supervisor says so. Private
 * memory; lost with the process. */
#ifndef ENG_RECORD_OUT_H
#define ENG_RECORD_OUT_H

#include <stddef.h>
#include <string.h>

#include <penstock/record.h>

struct eng_text_out {
    char *bytes;
    size_t size_bytes;
    size_t capacity_bytes;
};

/* Zeros are an open, empty one: nothing is allocated before the first write. */
void eng_text_out_close(struct eng_text_out *out);

static inline void eng_text_out_clear(struct eng_text_out *out)
{
    out->size_bytes = 0;
}

void eng_text_out_grow(struct eng_text_out *out, size_t more_bytes);

/* Room for so many bytes at the end. Write there, then add what was written to size_bytes. */
static inline char *eng_text_out_reserve(struct eng_text_out *out, size_t more_bytes)
{
    if (out->capacity_bytes - out->size_bytes < more_bytes) eng_text_out_grow(out, more_bytes);
    return out->bytes + out->size_bytes;
}

static inline void eng_text_out_put(struct eng_text_out *out, const void *bytes, size_t size_bytes)
{
    if (size_bytes == 0) return; /* bytes may be NULL then */
    memcpy(eng_text_out_reserve(out, size_bytes), bytes, size_bytes);
    out->size_bytes += size_bytes;
}

static inline void eng_text_out_char(struct eng_text_out *out, char c)
{
    *eng_text_out_reserve(out, 1) = c;
    out->size_bytes++;
}

static inline pen_view eng_text_out_view(const struct eng_text_out *out)
{
    pen_view view = {out->bytes, (uint32_t)out->size_bytes};
    return view;
}

#endif
