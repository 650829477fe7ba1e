/* engine/record/layout.h: a schema, checked and compiled: where the fields of a record lie.
 *
 * A schema (struct pen_schema) comes from a user's program: from PEN_RECORD, from a binding for
 * another language, or from a planner at run time. Nothing in it is believed before eng_layout_open
 * has looked at it. After that every function of this layer takes the layout, and checks no more.
 *
 *     record ->  +-------------------------+---+--------+--------+-----+
 *                | the struct: size_bytes  | 0 | text 1 | text 2 |  0  |
 *                +-------------------------+---+--------+--------+-----+
 *                0                    fixed_bytes               record bytes, a multiple of 8
 *
 * A record begins at a multiple of 8. Its texts lie behind the fixed part when it is one run of
 * bytes (in a ring, in a file, as made by eng_record_copy or a builder), and anywhere while it is a
 * state somebody changes in place: a text is found by its offset from its own field, with either
 * sign. A user's struct on the stack has size_bytes and no more; between there and fixed_bytes
 * nothing is read, and zeros are written. Padding inside the struct is whatever the compiler left
 * there: two equal records need not be equal bytes. Keys are (see key.h).
 *
 * Null has two forms, `present` of a pen_opt_ and a bit of the null words. Both are a bit of some
 * byte of the record, and here that is all they are: presence_offset and presence_mask.
 *
 * A layout is private memory, made before the workers are forked, read by all and changed by
 * nobody. The schema must stay as long as the layout; nothing else must. All functions but open and
 * close are pure.
 */
#ifndef ENG_RECORD_LAYOUT_H
#define ENG_RECORD_LAYOUT_H

#include <stddef.h>

#include <penstock/record.h>

#include "engine/record/limits.h"
#include "engine/record/reason.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "null words are addressed by the byte");

/* A field of a record. */
struct eng_field {
    const char *name;
    uint32_t offset_bytes;    /* of the value */
    uint32_t size_bytes;      /* of the value, without `present`; an array: of all its elements */
    uint32_t element_count;   /* 1, or the length of the array */
    uint32_t presence_offset; /* of the byte that holds the bit */
    uint8_t presence_mask;    /* 0: the field is never null */
    uint8_t type;             /* enum pen_type, without PEN_TYPE_NULLABLE */
    uint8_t precision;        /* decimals: digits in all, never 0 */
    uint8_t scale;
};

struct eng_layout {
    const struct pen_schema *schema;
    uint32_t fixed_bytes; /* schema->size_bytes rounded up to 8; never 0 */
    uint32_t field_count;
    uint32_t text_count;
    uint32_t reserved;
    const struct eng_field *fields;       /* in the order of the schema */
    const struct eng_field *const *texts; /* those that are pen_string or pen_bytes, in order */
};

/* 0, or -EINVAL with a reason that begins with the schema's name, or -ENOMEM. A schema may be a
 * mistake in many ways: another ABI, a field outside the struct, misaligned, over another one, of a
 * type that does not exist or of the wrong size for it, two fields of one name or of one null bit,
 * too large, or with a hole that alignment does not explain, which is a field that PEN_RECORD does
 * not name and every checkpoint would lose. A schema without fields is none. */
int eng_layout_open(struct eng_layout *layout, const struct pen_schema *schema, char *reason,
                    size_t reason_bytes);
void eng_layout_close(struct eng_layout *layout); /* accepts a layout of zeros */

/* ---- Schemas --------------------------------------------------------------------------------- */

/* The i-th field; the step is what the schema's maker says it is, since the struct may grow. */
static inline const struct pen_field *eng_schema_field(const struct pen_schema *schema, uint32_t i)
{
    const char *fields = (const char *)schema->fields + (size_t)i * schema->field_size_bytes;
    return (const struct pen_field *)(const void *)fields;
}

/* The same name, the same fields in the same places: what one program calls `bid` and another one
 * calls `bid`. Safe for schemas that were opened before; schemas of different programs welcome. */
bool eng_schema_same(const struct pen_schema *a, const struct pen_schema *b);

/* NULL: there is none. */
const struct pen_field *eng_field_find(const struct pen_schema *schema, const char *name);
const struct eng_field *eng_layout_find(const struct eng_layout *layout, const char *name);

/* "int64", "optional time", "array of double": for people. Static texts. */
const char *eng_type_name(uint32_t type);
bool eng_type_is_text(uint32_t type);    /* pen_string, pen_bytes, nullable or not */
bool eng_type_is_integer(uint32_t type); /* int8 .. uint64; not bool, not times */

/* Bytes and alignment of one value, without `present`. 0: no such type, or chars (any size). */
uint32_t eng_type_size(uint32_t type);
uint32_t eng_type_align(uint32_t type);

/* ---- Fields of a record ---------------------------------------------------------------------- */

static inline void *eng_field_at(const struct eng_field *field, void *record)
{
    return (char *)record + field->offset_bytes;
}
static inline const void *eng_field_of(const struct eng_field *field, const void *record)
{
    return (const char *)record + field->offset_bytes;
}
static inline bool eng_field_nullable(const struct eng_field *field)
{
    return field->presence_mask != 0;
}
static inline bool eng_field_is_null(const struct eng_field *field, const void *record)
{
    const uint8_t *bytes = (const uint8_t *)record;
    return field->presence_mask && !(bytes[field->presence_offset] & field->presence_mask);
}
/* The value is not touched. A field that is never null is always present. */
static inline void eng_field_set_present(const struct eng_field *field, void *record)
{
    if (field->presence_mask) ((uint8_t *)record)[field->presence_offset] |= field->presence_mask;
}
/* Null, and the value zeros. The field must be nullable. */
void eng_field_set_null(const struct eng_field *field, void *record);

/* The text of a pen_string or pen_bytes, a pen_code or a char[N] without its zeros. Empty if null.
 * */
pen_view eng_field_text(const struct eng_field *field, const void *record);

/* A bool, any integer, a time, a date, a time of day, a decimal64, as a number; uint64 as its bits.
 * Of an array the first element. Null reads as 0. */
int64_t eng_field_int(const struct eng_field *field, const void *record);
/* Any of these, float and double, decimals as the number they stand for, as double. */
double eng_field_double(const struct eng_field *field, const void *record);

/* ---- Records --------------------------------------------------------------------------------- */

static inline uint32_t eng_record_round(uint32_t bytes)
{
    return (bytes + (ENG_RECORD_ALIGN_BYTES - 1)) & ~(uint32_t)(ENG_RECORD_ALIGN_BYTES - 1);
}

uint32_t eng_record_bytes_of_texts(const struct eng_layout *layout, const void *record);

/* How long the record is as one run of bytes: fixed part, texts, and zeros up to a multiple of 8.
 * 0: it is longer than ENG_RECORD_BYTES_MAX. Believes the record. */
static inline uint32_t eng_record_bytes(const struct eng_layout *layout, const void *record)
{
    return layout->text_count ? eng_record_bytes_of_texts(layout, record) : layout->fixed_bytes;
}

/* Copies the record and its texts, wherever those lie, to `to` (a multiple of 8, not overlapping
 * the record or its texts): fixed part, then the texts in the order of their fields, then zeros up
 * to a multiple of 8. Null texts lose what they hold. Returns the bytes written, or 0 when they do
 * not fit into capacity or the limit; then `to` is unspecified. Padding inside the struct is
 * copied. */
uint32_t eng_record_copy(const struct eng_layout *layout, void *to, uint32_t capacity_bytes,
                         const void *record);

/* For bytes that a disk, a peer or a user's program made: whether they can be read as a record of
 * `bytes` bytes. All texts lie behind the struct and inside the bytes and do not add up to more
 * than these, bools are 0 or 1. 0 or -EBADMSG. The record must begin at a multiple of 8. */
int eng_record_verify(const struct eng_layout *layout, const void *record, uint32_t bytes);

/* Equal field by field: padding, null values and places of texts do not count; doubles by their
 * bits, so that a NaN equals itself. */
bool eng_record_equal(const struct eng_layout *layout, const void *a, const void *b);

#endif
