/* penstock/record.h: what a record is.
 *
 * A record is a plain C struct and, for each text in it, bytes behind the struct. PEN_RECORD tells
 * the engine the struct's fields, so that it can hash keys, write checkpoints that outlive the
 * program, decode CSV and JSON, and show state to people:
 *
 *     struct bid {
 *         int64_t auction;
 *         pen_time at;
 *         pen_string channel;
 *         pen_opt_double rating;
 *     };
 *     PEN_RECORD(bid, auction, at, channel, rating);
 *
 *     +---------+----+-----------------+--------+-----------------+
 *     | auction | at | channel: +24, 6 | rating | G o o g l e     |   a record is one run of bytes,
 *     +---------+----+--------|--------+--------+-^---------------+   moved with memcpy
 *                             +-------------------+
 *
 * Rules. Fields are numbers, bool, enum, pen_time, pen_code, pen_string, pen_bytes, a pen_opt_ of
 * those, char[N], or a fixed array of numbers. No structs in structs. A pointer does not compile.
 * All zeros is a valid record: numbers 0, texts empty, optional fields null. A field that
 * PEN_RECORD does not name is an error when the graph is built, because a checkpoint would lose it.
 *
 * Everything here is pure: no context, no allocation, callable from any process and any thread.
 */
#ifndef PENSTOCK_RECORD_H
#define PENSTOCK_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <penstock/macro.h>

#ifdef __cplusplus
extern "C" {
#endif

PEN_API_BEGIN_

/* Layout of the structs in these headers. The engine refuses a job built for another number. */
#define PEN_ABI 1u

/* ---- Time ------------------------------------------------------------------------------------ */

typedef int64_t pen_duration; /* microseconds */

#define PEN_MILLISECONDS(n) ((pen_duration)(n)*1000)
#define PEN_SECONDS(n)      ((pen_duration)(n)*1000000)
#define PEN_MINUTES(n)      ((pen_duration)(n)*60000000)
#define PEN_HOURS(n)        ((pen_duration)(n)*3600000000)
#define PEN_DAYS(n)         ((pen_duration)(n)*86400000000)

/* A point in time. A struct, so that a time is never mistaken for a count or a duration. */
typedef struct pen_time {
    int64_t us; /* since 1970-01-01T00:00:00Z */
} pen_time;

static inline pen_time pen_time_plus(pen_time time, pen_duration duration)
{
    time.us += duration;
    return time;
}

static inline pen_duration pen_time_since(pen_time later, pen_time earlier)
{
    return later.us - earlier.us;
}

static inline bool pen_time_before(pen_time a, pen_time b)
{
    return a.us < b.us;
}

/* A calendar day, of no place in particular. */
typedef struct pen_date {
    int32_t days; /* since 1970-01-01 */
} pen_date;

/* ---- Text ------------------------------------------------------------------------------------ */

/* A pointer and a size: how text is read. Not a field. Valid as long as what it points into. */
typedef struct pen_view {
    const char *data; /* not terminated */
    uint32_t size_bytes;
} pen_view;

/* Text of any length in a record: where its bytes are, counted from the field itself.
 *
 *     offset > 0   behind the field, in the same record
 *     offset = 0   empty
 *     offset < 0   put by pen_put and not yet part of a record, so not readable; see pen_put
 *
 * Read it in place, with pen_view_of(&record->field). A copy of the field made by `=` would count
 * from the wrong place; pen_emit sees such a copy and says so, it never sends a wrong text. */
typedef struct pen_string {
    int32_t offset_bytes;
    uint32_t size_bytes;
} pen_string;

typedef struct pen_bytes {
    int32_t offset_bytes;
    uint32_t size_bytes;
} pen_bytes;

/* Up to eight bytes of text held in the record itself: airports, currencies, tickers. Padded with
 * zeros, so it is copied by `=`, compared as a number and the cheapest key there is. */
typedef struct pen_code {
    char text[8];
} pen_code;

/* Longer text is cut. */
static inline pen_code pen_code_from(const char *text)
{
    pen_code code = {{0}};
    for (uint32_t i = 0; i < sizeof code.text && text[i] != '\0'; i++)
        code.text[i] = text[i];
    return code;
}

static inline bool pen_code_equal(pen_code a, pen_code b)
{
    return memcmp(a.text, b.text, sizeof a.text) == 0;
}

/* ---- Fields that may be null ----------------------------------------------------------------- */

/* Value first, so {5, true} is a five and {0} is null. */
typedef struct pen_opt_bool {
    bool value, present;
} pen_opt_bool;
typedef struct pen_opt_int8 {
    int8_t value;
    bool present;
} pen_opt_int8;
typedef struct pen_opt_int16 {
    int16_t value;
    bool present;
} pen_opt_int16;
typedef struct pen_opt_uint8 {
    uint8_t value;
    bool present;
} pen_opt_uint8;
typedef struct pen_opt_uint16 {
    uint16_t value;
    bool present;
} pen_opt_uint16;
typedef struct pen_opt_int32 {
    int32_t value;
    bool present;
} pen_opt_int32;
typedef struct pen_opt_int64 {
    int64_t value;
    bool present;
} pen_opt_int64;
typedef struct pen_opt_uint32 {
    uint32_t value;
    bool present;
} pen_opt_uint32;
typedef struct pen_opt_uint64 {
    uint64_t value;
    bool present;
} pen_opt_uint64;
typedef struct pen_opt_float {
    float value;
    bool present;
} pen_opt_float;
typedef struct pen_opt_double {
    double value;
    bool present;
} pen_opt_double;
typedef struct pen_opt_time {
    pen_time value;
    bool present;
} pen_opt_time;
typedef struct pen_opt_date {
    pen_date value;
    bool present;
} pen_opt_date;
typedef struct pen_opt_code {
    pen_code value;
    bool present;
} pen_opt_code;
typedef struct pen_opt_string {
    pen_string value;
    bool present;
} pen_opt_string;
typedef struct pen_opt_bytes {
    pen_bytes value;
    bool present;
} pen_opt_bytes;

/* ---- Views ----------------------------------------------------------------------------------- */

static inline pen_view pen_view_sized(const char *data, uint32_t size_bytes)
{
    pen_view view = {data, size_bytes};
    return view;
}

static inline pen_view pen_view_from(const char *text)
{
    pen_view view = {text, (uint32_t)strlen(text)};
    return view;
}

static inline pen_view pen_view_of_string(const pen_string *string)
{
    pen_view view = {(const char *)string + string->offset_bytes, string->size_bytes};
    return view;
}

static inline pen_view pen_view_of_bytes(const pen_bytes *bytes)
{
    pen_view view = {(const char *)bytes + bytes->offset_bytes, bytes->size_bytes};
    return view;
}

static inline pen_view pen_view_of_code(const pen_code *code)
{
    pen_view view = {code->text, 0};
    while (view.size_bytes < sizeof code->text && code->text[view.size_bytes])
        view.size_bytes++;
    return view;
}

static inline pen_view pen_view_same(pen_view view)
{
    return view;
}

static inline bool pen_view_equal_views(pen_view a, pen_view b)
{
    return a.size_bytes == b.size_bytes && memcmp(a.data, b.data, a.size_bytes) == 0;
}

/* pen_text_equal(&bid->channel, "Google"): two texts of any kind. */
#define pen_text_equal(a, b) pen_view_equal_views(pen_view_of(a), pen_view_of(b))

/* Cuts the next piece off the front of *rest: what stands before the next of the separators.
 * False when there is no piece left. pen_view_word skips empty pieces (words), pen_view_field does
 * not (columns). */
bool pen_view_word(pen_view *rest, const char *separators, pen_view *word);
bool pen_view_field(pen_view *rest, const char *separators, pen_view *field);

/* Whole text only: "12x" is no number. False leaves the target as it was. What is too large is no
 * number, either: "1e400"; what is too small for a double is 0: "1e-400". */
bool pen_parse_int(pen_view text, int64_t *value);
bool pen_parse_double(pen_view text, double *value);
bool pen_parse_time(pen_view text,
                    pen_time *value); /* 2013-01-01T10:15:00.5Z; a space for T will do, UTC */

/* ---- Schema ---------------------------------------------------------------------------------- */

enum pen_type {
    PEN_TYPE_BOOL = 1,
    PEN_TYPE_INT8,
    PEN_TYPE_INT16,
    PEN_TYPE_INT32,
    PEN_TYPE_INT64,
    PEN_TYPE_UINT8,
    PEN_TYPE_UINT16,
    PEN_TYPE_UINT32,
    PEN_TYPE_UINT64,
    PEN_TYPE_FLOAT,
    PEN_TYPE_DOUBLE,
    PEN_TYPE_TIME,
    PEN_TYPE_CODE,
    PEN_TYPE_STRING,
    PEN_TYPE_BYTES,
    PEN_TYPE_CHARS,       /* char[N], padded with zeros */
    PEN_TYPE_DATE,        /* int32: days since 1970-01-01 */
    PEN_TYPE_TIME_OF_DAY, /* int64: microseconds since midnight */
    PEN_TYPE_DECIMAL64,   /* int64: the number times 10 to the field's scale; up to 18 digits */
    PEN_TYPE_DECIMAL128,  /* two's complement, low word first; up to 38 digits */
    PEN_TYPE_ARRAY = 32,  /* this and the next two are numbers kept for later */
    PEN_TYPE_MAP,
    PEN_TYPE_ROW,
    PEN_TYPE_NULLABLE = 64, /* added to the above for pen_opt_ */
};

/* Where a field lies. A name with dots is a path: JSON reads and writes `person.id` as a member of
 * an object, which is absent when all fields below it are null.
 *
 * A field is null when its pen_opt_ says so, or, for schemas that are made at run time and want to
 * be small, when bit `null_bit` - 1 of the 64-bit words at the schema's `null_offset_bytes` is not
 * set. So in both forms all zeros is null. */
struct pen_field {
    const char *name;
    uint32_t offset_bytes;
    uint32_t size_bytes; /* of the whole field; an array's length follows from it and the type */
    uint32_t type;       /* enum pen_type */
    uint16_t null_bit;   /* from 1; 0: the field has no bit in the null words */
    uint8_t precision;   /* decimals: digits in all */
    uint8_t scale;       /* decimals: digits behind the point */
};

/* What PEN_RECORD(bid, ...) defines as `bid_schema`. Other languages fill one themselves. */
struct pen_schema {
    uint32_t abi; /* PEN_ABI */
    uint32_t size_bytes;
    uint32_t align_bytes;
    uint32_t field_count;
    const char *name;
    const struct pen_field *fields; /* in the order of their offsets */
    uint32_t field_size_bytes;      /* sizeof(struct pen_field) of whoever filled them */
    uint32_t null_offset_bytes;     /* of the null words, where fields have a null_bit */
};

/* Names every field of `struct tag`, in order. At file scope, after the struct; in a header if the
 * struct is in a header. Two schemas with the same name and fields are the same schema. */
#define PEN_RECORD(tag, ...)                                                                       \
    PEN_FOR_EACH_(PEN_CHECK_FIELD_, tag, __VA_ARGS__)                                              \
    static const struct pen_field tag##_fields[] PEN_UNUSED_ = {                                   \
        PEN_FOR_EACH_(PEN_FIELD_, tag, __VA_ARGS__)};                                              \
    static const struct pen_schema tag##_schema PEN_UNUSED_ = {                                    \
        PEN_ABI,                                                                                   \
        sizeof(struct tag),                                                                        \
        PEN_ALIGN_(struct tag),                                                                    \
        sizeof tag##_fields / sizeof tag##_fields[0],                                              \
        #tag,                                                                                      \
        tag##_fields,                                                                              \
        sizeof tag##_fields[0],                                                                    \
        0}

#define PEN_FIELD_(tag, field)                                                                     \
    {#field,                                                                                       \
     offsetof(struct tag, field),                                                                  \
     sizeof(((struct tag *)0)->field),                                                             \
     PEN_TYPE_OF_(tag, field),                                                                     \
     0,                                                                                            \
     0,                                                                                            \
     0},

PEN_API_END_

#ifdef __cplusplus
} /* extern "C" */
#include <penstock/record_cxx.h>
#else

#define PEN_ALIGN_(type) _Alignof(type)
#define PEN_CHECK_FIELD_(tag, field)                                                               \
    _Static_assert(PEN_TYPE_OF_(tag, field) != 0, "a record cannot hold a pointer");
#define PEN_TYPE_OF_(tag, field) PEN_TYPE_OF_VALUE_(((struct tag *)0)->field)

/* An array reads as a pointer here, and a pointer must not pass for one: hence the outer look at
 * the address, which tells them apart. */
#define PEN_TYPE_OF_VALUE_(f)                                                                      \
    _Generic(&(f),                                                                                 \
        bool **: 0,                                                                                \
        char **: 0,                                                                                \
        signed char **: 0,                                                                         \
        short **: 0,                                                                               \
        int **: 0,                                                                                 \
        long **: 0,                                                                                \
        long long **: 0,                                                                           \
        unsigned char **: 0,                                                                       \
        unsigned short **: 0,                                                                      \
        unsigned int **: 0,                                                                        \
        unsigned long **: 0,                                                                       \
        unsigned long long **: 0,                                                                  \
        float **: 0,                                                                               \
        double **: 0,                                                                              \
        default: _Generic((f),                                                                     \
            bool: PEN_TYPE_BOOL,                                                                   \
            bool *: PEN_TYPE_BOOL,                                                                 \
            signed char: PEN_TYPE_INT8,                                                            \
            signed char *: PEN_TYPE_INT8,                                                          \
            short: PEN_TYPE_INT16,                                                                 \
            short *: PEN_TYPE_INT16,                                                               \
            int: PEN_TYPE_INT32,                                                                   \
            int *: PEN_TYPE_INT32,                                                                 \
            long: PEN_TYPE_INT64,                                                                  \
            long *: PEN_TYPE_INT64,                                                                \
            long long: PEN_TYPE_INT64,                                                             \
            long long *: PEN_TYPE_INT64,                                                           \
            unsigned char: PEN_TYPE_UINT8,                                                         \
            unsigned char *: PEN_TYPE_UINT8,                                                       \
            unsigned short: PEN_TYPE_UINT16,                                                       \
            unsigned short *: PEN_TYPE_UINT16,                                                     \
            unsigned int: PEN_TYPE_UINT32,                                                         \
            unsigned int *: PEN_TYPE_UINT32,                                                       \
            unsigned long: PEN_TYPE_UINT64,                                                        \
            unsigned long *: PEN_TYPE_UINT64,                                                      \
            unsigned long long: PEN_TYPE_UINT64,                                                   \
            unsigned long long *: PEN_TYPE_UINT64,                                                 \
            float: PEN_TYPE_FLOAT,                                                                 \
            float *: PEN_TYPE_FLOAT,                                                               \
            double: PEN_TYPE_DOUBLE,                                                               \
            double *: PEN_TYPE_DOUBLE,                                                             \
            pen_time: PEN_TYPE_TIME,                                                               \
            pen_code: PEN_TYPE_CODE,                                                               \
            pen_string: PEN_TYPE_STRING,                                                           \
            pen_bytes: PEN_TYPE_BYTES,                                                             \
            char *: PEN_TYPE_CHARS,                                                                \
            pen_opt_bool: PEN_TYPE_NULLABLE + PEN_TYPE_BOOL,                                       \
            pen_opt_int8: PEN_TYPE_NULLABLE + PEN_TYPE_INT8,                                       \
            pen_opt_int16: PEN_TYPE_NULLABLE + PEN_TYPE_INT16,                                     \
            pen_opt_uint8: PEN_TYPE_NULLABLE + PEN_TYPE_UINT8,                                     \
            pen_opt_uint16: PEN_TYPE_NULLABLE + PEN_TYPE_UINT16,                                   \
            pen_date: PEN_TYPE_DATE,                                                               \
            pen_opt_date: PEN_TYPE_NULLABLE + PEN_TYPE_DATE,                                       \
            pen_opt_int32: PEN_TYPE_NULLABLE + PEN_TYPE_INT32,                                     \
            pen_opt_int64: PEN_TYPE_NULLABLE + PEN_TYPE_INT64,                                     \
            pen_opt_uint32: PEN_TYPE_NULLABLE + PEN_TYPE_UINT32,                                   \
            pen_opt_uint64: PEN_TYPE_NULLABLE + PEN_TYPE_UINT64,                                   \
            pen_opt_float: PEN_TYPE_NULLABLE + PEN_TYPE_FLOAT,                                     \
            pen_opt_double: PEN_TYPE_NULLABLE + PEN_TYPE_DOUBLE,                                   \
            pen_opt_time: PEN_TYPE_NULLABLE + PEN_TYPE_TIME,                                       \
            pen_opt_code: PEN_TYPE_NULLABLE + PEN_TYPE_CODE,                                       \
            pen_opt_string: PEN_TYPE_NULLABLE + PEN_TYPE_STRING,                                   \
            pen_opt_bytes: PEN_TYPE_NULLABLE + PEN_TYPE_BYTES))

/* Text of any kind, as a view: a C string, the address of a pen_string, pen_bytes or pen_code in a
 * record, a view. Wherever a macro of these headers wants text it takes all of them. */
#define pen_view_of(text)                                                                          \
    _Generic((text),                                                                               \
        pen_view: pen_view_same,                                                                   \
        char *: pen_view_from,                                                                     \
        const char *: pen_view_from,                                                               \
        pen_string *: pen_view_of_string,                                                          \
        const pen_string *: pen_view_of_string,                                                    \
        pen_bytes *: pen_view_of_bytes,                                                            \
        const pen_bytes *: pen_view_of_bytes,                                                      \
        pen_code *: pen_view_of_code,                                                              \
        const pen_code *: pen_view_of_code)(text)
#endif

#endif
