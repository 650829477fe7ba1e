/* engine/record/build.h: makes one record, field by field, from values that may not fit.
 *
 * Decoders, the copying of keys into results and the control API make records whose types they
 * learn at run time. A builder is opened once, for a layout, and makes one record after the other:
 *
 *     begin -> set, set, set ... -> finish
 *
 * The record of finish is one run of bytes in the builder's buffer, texts behind the fixed part in
 * the order in which they were set, zeros in all padding; it is valid until the next begin. A field
 * that was not set is zero or null. Setting a field again replaces it. A setter that returns false
 * has said why, and may have changed that field and no other: the caller goes on or begins anew.
 *
 * The buffer is the builder's own and grows up to the limit, or it is the caller's and does not. A
 * record of exactly the limit is made, one of more is refused: a bad record must not take the
 * memory of the good ones.
 */
#ifndef ENG_RECORD_BUILD_H
#define ENG_RECORD_BUILD_H

#include "engine/record/layout.h"

struct eng_builder {
    const struct eng_layout *layout;
    char *bytes;         /* a multiple of 8 */
    uint32_t size_bytes; /* fixed part and the texts so far; not yet rounded up */
    uint32_t capacity_bytes;
    uint32_t limit_bytes;
    bool own; /* the buffer is ours and may grow */
};

/* Its own buffer. limit_bytes: 0 is ENG_RECORD_BYTES_MAX. */
void eng_builder_open(struct eng_builder *builder, const struct eng_layout *layout,
                      uint32_t limit_bytes);
/* The caller's: 8-aligned, at least layout->fixed_bytes; its size is the limit. Needs no close. */
void eng_builder_open_in(struct eng_builder *builder, const struct eng_layout *layout, void *buffer,
                         uint32_t buffer_bytes);
void eng_builder_close(struct eng_builder *builder); /* accepts zeros */

void eng_builder_begin(struct eng_builder *builder);
/* Begins with a copy of a record of the layout. False: it does not fit. */
bool eng_builder_begin_with(struct eng_builder *builder, const void *record,
                            struct eng_reason *reason);
const void *eng_builder_finish(struct eng_builder *builder, uint32_t *size_bytes);

/* The record as it is now, to be read or to have numbers set in it directly. Moves when a text is
 * set. */
static inline void *eng_builder_record(struct eng_builder *builder)
{
    return builder->bytes;
}

/* `field` is an index. A value goes into any field that can hold it exactly: an integer into
 * integers, float and double, bool (0, 1), time, date, time of day and decimals; a double into a
 * double, into a float (the nearest, if there is one), and like an integer if it is whole.
 * Everything else is refused with a reason that names field, value and type. */
bool eng_builder_set_int(struct eng_builder *builder, uint32_t field, int64_t value,
                         struct eng_reason *reason);
bool eng_builder_set_uint(struct eng_builder *builder, uint32_t field, uint64_t value,
                          struct eng_reason *reason);
bool eng_builder_set_double(struct eng_builder *builder, uint32_t field, double value,
                            struct eng_reason *reason);
bool eng_builder_set_bool(struct eng_builder *builder, uint32_t field, bool value,
                          struct eng_reason *reason);
bool eng_builder_set_time(struct eng_builder *builder, uint32_t field, pen_time value,
                          struct eng_reason *reason);
/* Into texts, bytes, codes and char[N]: the bytes as they are. The text may lie anywhere but in the
 * builder. */
bool eng_builder_set_text(struct eng_builder *builder, uint32_t field, pen_view text,
                          struct eng_reason *reason);
/* Refused where the field cannot be null. */
bool eng_builder_set_null(struct eng_builder *builder, uint32_t field, struct eng_reason *reason);

/* One element of an array, by a number. An array's element_count elements are zero until set. */
bool eng_builder_set_element_int(struct eng_builder *builder, uint32_t field, uint32_t element,
                                 int64_t value, struct eng_reason *reason);
bool eng_builder_set_element_uint(struct eng_builder *builder, uint32_t field, uint32_t element,
                                  uint64_t value, struct eng_reason *reason);
bool eng_builder_set_element_double(struct eng_builder *builder, uint32_t field, uint32_t element,
                                    double value, struct eng_reason *reason);

/* A value of any type from its text, as value.h reads it. */
bool eng_builder_parse(struct eng_builder *builder, uint32_t field, pen_view text,
                       struct eng_reason *reason);

#endif
