/* engine/record/build.c: see build.h. */
#include "engine/record/build.h"

#include <math.h>
#include <stdlib.h>

#include "engine/record/value.h"
#include "shm/check.h"

enum { BUILD_TEXT_BYTES = 256 }; /* room for texts in a new buffer */

/* ---- The buffer ------------------------------------------------------------------------------ */

static void build_check(const struct eng_builder *builder)
{
    CHECK(builder->limit_bytes % ENG_RECORD_ALIGN_BYTES == 0);
    CHECK(builder->limit_bytes <= ENG_RECORD_BYTES_MAX);
    CHECK(builder->limit_bytes >= builder->layout->fixed_bytes);
    CHECK(builder->capacity_bytes >= builder->layout->fixed_bytes);
}

void eng_builder_open(struct eng_builder *builder, const struct eng_layout *layout,
                      uint32_t limit_bytes)
{
    uint32_t limit =
        limit_bytes ? limit_bytes & ~(uint32_t)(ENG_RECORD_ALIGN_BYTES - 1) : ENG_RECORD_BYTES_MAX;
    uint32_t capacity = layout->fixed_bytes + (layout->text_count ? BUILD_TEXT_BYTES : 0);

    *builder = (struct eng_builder){.layout = layout,
                                    .bytes = malloc(capacity),
                                    .capacity_bytes = capacity,
                                    .limit_bytes = limit,
                                    .own = true};
    CHECK(builder->bytes);
    build_check(builder);
    eng_builder_begin(builder);
}

void eng_builder_open_in(struct eng_builder *builder, const struct eng_layout *layout, void *buffer,
                         uint32_t buffer_bytes)
{
    uint32_t bytes = buffer_bytes < ENG_RECORD_BYTES_MAX ? buffer_bytes : ENG_RECORD_BYTES_MAX;

    bytes &= ~(uint32_t)(ENG_RECORD_ALIGN_BYTES - 1);
    CHECK((uintptr_t)buffer % ENG_RECORD_ALIGN_BYTES == 0);
    *builder = (struct eng_builder){
        .layout = layout, .bytes = buffer, .capacity_bytes = bytes, .limit_bytes = bytes};
    build_check(builder);
    eng_builder_begin(builder);
}

void eng_builder_close(struct eng_builder *builder)
{
    if (builder->own) free(builder->bytes);
    *builder = (struct eng_builder){0};
}

/* The size with a text of so many bytes more is within the limit. Makes room for it. */
static bool build_room(struct eng_builder *builder, uint32_t more_bytes)
{
    uint32_t wanted;
    char *bytes;

    if (more_bytes > builder->limit_bytes - builder->size_bytes) return false;
    wanted = eng_record_round(builder->size_bytes + more_bytes);
    CHECK(wanted <= builder->limit_bytes);
    if (wanted <= builder->capacity_bytes) return true;
    CHECK(builder->own); /* else the capacity is the limit */
    if (wanted < 2 * builder->capacity_bytes) wanted = 2 * builder->capacity_bytes;
    if (wanted > builder->limit_bytes) wanted = builder->limit_bytes;
    bytes = realloc(builder->bytes, wanted);
    CHECK(bytes);
    builder->bytes = bytes;
    builder->capacity_bytes = wanted;
    return true;
}

void eng_builder_begin(struct eng_builder *builder)
{
    builder->size_bytes = builder->layout->fixed_bytes;
    memset(builder->bytes, 0, builder->size_bytes);
}

bool eng_builder_begin_with(struct eng_builder *builder, const void *record,
                            struct eng_reason *reason)
{
    const struct eng_layout *layout = builder->layout;
    uint32_t bytes = eng_record_bytes(layout, record);

    builder->size_bytes = layout->fixed_bytes;
    if (bytes == 0 || !build_room(builder, bytes - layout->fixed_bytes)) {
        eng_builder_begin(builder);
        eng_reason_set(reason, "the record is larger than %u bytes", builder->limit_bytes);
        return false;
    }
    CHECK(eng_record_copy(layout, builder->bytes, builder->capacity_bytes, record) == bytes);
    for (uint32_t i = 0; i < layout->text_count; i++)
        builder->size_bytes += eng_field_text(layout->texts[i], builder->bytes).size_bytes;
    CHECK(eng_record_round(builder->size_bytes) == bytes);
    return true;
}

const void *eng_builder_finish(struct eng_builder *builder, uint32_t *size_bytes)
{
    uint32_t end = eng_record_round(builder->size_bytes);

    CHECK(end <= builder->capacity_bytes);
    memset(builder->bytes + builder->size_bytes, 0, end - builder->size_bytes);
    if (size_bytes) *size_bytes = end;
    return builder->bytes;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static const struct eng_field *build_field(const struct eng_builder *builder, uint32_t field)
{
    CHECK(field < builder->layout->field_count);
    return &builder->layout->fields[field];
}

static const char *build_type_name(const struct eng_field *field)
{
    return eng_type_name(field->type + (field->presence_mask ? PEN_TYPE_NULLABLE : 0u));
}

static bool build_refuse(const struct eng_field *field, pen_view text, const char *why,
                         struct eng_reason *reason)
{
    eng_reason_set(reason, "field %s: %s %s %s", field->name, eng_reason_quote(text).text, why,
                   build_type_name(field));
    return false;
}

#define BUILD_STORE(type, value)                                                                   \
    do {                                                                                           \
        type value_ = (type)(value);                                                               \
        memcpy(at, &value_, sizeof value_);                                                        \
        return true;                                                                               \
    } while (0)
#define BUILD_STORE_INT(type, min, max)                                                            \
    do {                                                                                           \
        if (value < (eng_int128)(min) || value > (eng_int128)(max)) return false;                  \
        BUILD_STORE(type, value);                                                                  \
    } while (0)

static bool build_store_decimal(const struct eng_field *field, void *at, eng_int128 value)
{
    eng_int128 most = 1;

    for (uint32_t i = 0; i < field->precision; i++)
        most *= 10;
    for (uint32_t i = 0; i < field->scale; i++)
        if (__builtin_mul_overflow(value, (eng_int128)10, &value)) return false;
    if (value >= most || value <= -most) return false;
    if (field->type == PEN_TYPE_DECIMAL64) BUILD_STORE(int64_t, value);
    BUILD_STORE(eng_int128, value);
}

/* An integer from int64's least to uint64's most, which int128 holds. False: it does not fit. */
static bool build_store_int(const struct eng_field *field, void *at, eng_int128 value)
{
    switch (field->type) {
    case PEN_TYPE_BOOL:
        BUILD_STORE_INT(uint8_t, 0, 1);
    case PEN_TYPE_INT8:
        BUILD_STORE_INT(int8_t, INT8_MIN, INT8_MAX);
    case PEN_TYPE_INT16:
        BUILD_STORE_INT(int16_t, INT16_MIN, INT16_MAX);
    case PEN_TYPE_INT32:
    case PEN_TYPE_DATE:
        BUILD_STORE_INT(int32_t, INT32_MIN, INT32_MAX);
    case PEN_TYPE_INT64:
    case PEN_TYPE_TIME:
    case PEN_TYPE_TIME_OF_DAY:
        BUILD_STORE_INT(int64_t, INT64_MIN, INT64_MAX);
    case PEN_TYPE_UINT8:
        BUILD_STORE_INT(uint8_t, 0, UINT8_MAX);
    case PEN_TYPE_UINT16:
        BUILD_STORE_INT(uint16_t, 0, UINT16_MAX);
    case PEN_TYPE_UINT32:
        BUILD_STORE_INT(uint32_t, 0, UINT32_MAX);
    case PEN_TYPE_UINT64:
        BUILD_STORE_INT(uint64_t, 0, UINT64_MAX);
    case PEN_TYPE_FLOAT:
        if ((eng_int128)(float)value != value) return false;
        BUILD_STORE(float, value);
    case PEN_TYPE_DOUBLE:
        if ((eng_int128)(double)value != value) return false;
        BUILD_STORE(double, value);
    case PEN_TYPE_DECIMAL64:
    case PEN_TYPE_DECIMAL128:
        return build_store_decimal(field, at, value);
    default:
        return false; /* texts */
    }
}

static bool build_store_double(const struct eng_field *field, void *at, double value)
{
    if (field->type == PEN_TYPE_DOUBLE) BUILD_STORE(double, value);
    if (field->type == PEN_TYPE_FLOAT) {
        if (isfinite(value) && !(fabs(value) <= (double)__FLT_MAX__)) return false;
        BUILD_STORE(float, value); /* the nearest */
    }
    if (!(value >= -0x1p63 && value < 0x1p64) || trunc(value) != value) return false;
    return build_store_int(field, at, (eng_int128)value);
}

static void *build_element(struct eng_builder *builder, const struct eng_field *field,
                           uint32_t element)
{
    CHECK(element < field->element_count);
    return builder->bytes + field->offset_bytes +
           (size_t)element * (field->size_bytes / field->element_count);
}

static bool build_set_integer(struct eng_builder *builder, uint32_t field, uint32_t element,
                              eng_int128 value, struct eng_reason *reason)
{
    const struct eng_field *to = build_field(builder, field);
    char text[ENG_NUMBER_TEXT_BYTES];

    if (build_store_int(to, build_element(builder, to, element), value)) {
        eng_field_set_present(to, builder->bytes);
        return true;
    }
    return build_refuse(to, pen_view_sized(text, eng_decimal128_print(value, 0, text)),
                        "does not fit into", reason);
}

bool eng_builder_set_element_int(struct eng_builder *builder, uint32_t field, uint32_t element,
                                 int64_t value, struct eng_reason *reason)
{
    return build_set_integer(builder, field, element, value, reason);
}

bool eng_builder_set_element_uint(struct eng_builder *builder, uint32_t field, uint32_t element,
                                  uint64_t value, struct eng_reason *reason)
{
    return build_set_integer(builder, field, element, value, reason);
}

bool eng_builder_set_element_double(struct eng_builder *builder, uint32_t field, uint32_t element,
                                    double value, struct eng_reason *reason)
{
    const struct eng_field *to = build_field(builder, field);
    char text[ENG_NUMBER_TEXT_BYTES];

    if (build_store_double(to, build_element(builder, to, element), value)) {
        eng_field_set_present(to, builder->bytes);
        return true;
    }
    return build_refuse(to, pen_view_sized(text, eng_double_print(value, text)),
                        "does not fit into", reason);
}

bool eng_builder_set_int(struct eng_builder *builder, uint32_t field, int64_t value,
                         struct eng_reason *reason)
{
    return eng_builder_set_element_int(builder, field, 0, value, reason);
}

bool eng_builder_set_uint(struct eng_builder *builder, uint32_t field, uint64_t value,
                          struct eng_reason *reason)
{
    return eng_builder_set_element_uint(builder, field, 0, value, reason);
}

bool eng_builder_set_double(struct eng_builder *builder, uint32_t field, double value,
                            struct eng_reason *reason)
{
    return eng_builder_set_element_double(builder, field, 0, value, reason);
}

bool eng_builder_set_bool(struct eng_builder *builder, uint32_t field, bool value,
                          struct eng_reason *reason)
{
    const struct eng_field *to = build_field(builder, field);

    if (to->type != PEN_TYPE_BOOL)
        return build_refuse(to, pen_view_from(value ? "true" : "false"), "does not fit into",
                            reason);
    return eng_builder_set_int(builder, field, value, reason);
}

bool eng_builder_set_time(struct eng_builder *builder, uint32_t field, pen_time value,
                          struct eng_reason *reason)
{
    const struct eng_field *to = build_field(builder, field);
    char text[ENG_NUMBER_TEXT_BYTES];

    if (to->type != PEN_TYPE_TIME)
        return build_refuse(to, pen_view_sized(text, eng_time_print(value, text)),
                            "does not fit into", reason);
    return eng_builder_set_int(builder, field, value.us, reason);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

/* Takes a text out of the record again and closes the gap. */
static void build_remove_text(struct eng_builder *builder, const struct eng_field *field)
{
    pen_string *string = eng_field_at(field, builder->bytes);
    uint32_t from = field->offset_bytes + (uint32_t)string->offset_bytes;
    uint32_t size = string->size_bytes;

    if (size == 0) return;
    CHECK(from >= builder->layout->fixed_bytes);
    CHECK(from + size <= builder->size_bytes);
    memmove(builder->bytes + from, builder->bytes + from + size, builder->size_bytes - from - size);
    builder->size_bytes -= size;
    *string = (pen_string){0, 0};
    for (uint32_t i = 0; i < builder->layout->text_count; i++) {
        const struct eng_field *other = builder->layout->texts[i];
        pen_string *moved = eng_field_at(other, builder->bytes);

        if (moved->size_bytes && other->offset_bytes + (uint32_t)moved->offset_bytes > from)
            moved->offset_bytes -= (int32_t)size;
    }
}

/* Room for a text of a pen_string or pen_bytes; NULL: the record would be too large. */
static char *build_text_room(struct eng_builder *builder, const struct eng_field *field,
                             uint32_t size, struct eng_reason *reason)
{
    pen_string *string = eng_field_at(field, builder->bytes);
    uint32_t old = string->size_bytes;

    if (size > old && size - old > builder->limit_bytes - builder->size_bytes) {
        eng_reason_set(reason, "field %s: with its %u bytes the record is larger than %u",
                       field->name, size, builder->limit_bytes);
        return NULL;
    }
    build_remove_text(builder, field);
    CHECK(build_room(builder, size));
    string = eng_field_at(field, builder->bytes); /* the record may have moved */
    *string = (pen_string){size ? (int32_t)(builder->size_bytes - field->offset_bytes) : 0, size};
    builder->size_bytes += size;
    eng_field_set_present(field, builder->bytes);
    return builder->bytes + builder->size_bytes - size;
}

static bool build_set_code(struct eng_builder *builder, const struct eng_field *field,
                           pen_view text, struct eng_reason *reason)
{
    char *at = eng_field_at(field, builder->bytes);

    if (text.size_bytes > field->size_bytes) {
        eng_reason_set(reason, "field %s: %s is longer than its %u bytes", field->name,
                       eng_reason_quote(text).text, field->size_bytes);
        return false;
    }
    if (text.size_bytes && memchr(text.data, 0, text.size_bytes)) {
        eng_reason_set(reason, "field %s: %s holds a zero byte, which ends a text of fixed size",
                       field->name, eng_reason_quote(text).text);
        return false;
    }
    if (text.size_bytes) memcpy(at, text.data, text.size_bytes);
    memset(at + text.size_bytes, 0, field->size_bytes - text.size_bytes);
    eng_field_set_present(field, builder->bytes);
    return true;
}

bool eng_builder_set_text(struct eng_builder *builder, uint32_t field, pen_view text,
                          struct eng_reason *reason)
{
    const struct eng_field *to = build_field(builder, field);
    char *room;

    if (to->type == PEN_TYPE_CODE || to->type == PEN_TYPE_CHARS)
        return build_set_code(builder, to, text, reason);
    if (!eng_type_is_text(to->type)) return build_refuse(to, text, "is a text, not", reason);
    room = build_text_room(builder, to, text.size_bytes, reason);
    if (!room) return false;
    if (text.size_bytes) memcpy(room, text.data, text.size_bytes);
    return true;
}

bool eng_builder_set_null(struct eng_builder *builder, uint32_t field, struct eng_reason *reason)
{
    const struct eng_field *to = build_field(builder, field);

    if (!eng_field_nullable(to)) {
        eng_reason_set(reason, "field %s: null, which %s cannot be", to->name,
                       eng_type_name(to->type));
        return false;
    }
    if (eng_type_is_text(to->type)) build_remove_text(builder, to);
    eng_field_set_null(to, builder->bytes);
    return true;
}

/* ---- From text ------------------------------------------------------------------------------- */

/* One element, by its text. *fits: it was read, but is too large. */
static bool build_parse_number(const struct eng_field *field, void *at, pen_view text, bool *fits)
{
    eng_int128 wide;
    int64_t number;
    uint64_t large;
    double real;
    pen_time time;
    pen_date date;
    bool flag;

    *fits = true;
    switch (field->type) {
    case PEN_TYPE_BOOL:
        return eng_bool_parse(text, &flag) && build_store_int(field, at, flag);
    case PEN_TYPE_FLOAT:
    case PEN_TYPE_DOUBLE:
        if (!pen_parse_double(text, &real)) return false;
        return *fits = build_store_double(field, at, real);
    case PEN_TYPE_DECIMAL64:
    case PEN_TYPE_DECIMAL128:
        if (!eng_decimal_parse(text, field->precision, field->scale, &wide)) return false;
        if (field->type == PEN_TYPE_DECIMAL64) BUILD_STORE(int64_t, wide);
        BUILD_STORE(eng_int128, wide);
    case PEN_TYPE_TIME:
        if (pen_parse_time(text, &time)) return build_store_int(field, at, time.us);
        break;
    case PEN_TYPE_DATE:
        if (eng_date_parse(text, &date)) return build_store_int(field, at, date.days);
        break;
    case PEN_TYPE_TIME_OF_DAY:
        if (eng_time_of_day_parse(text, &number)) return build_store_int(field, at, number);
        break;
    default:
        break;
    }
    if (pen_parse_int(text, &number)) return *fits = build_store_int(field, at, number);
    if (eng_uint_parse(text, &large)) return *fits = build_store_int(field, at, large);
    return false;
}

static bool build_parse_bytes(struct eng_builder *builder, const struct eng_field *field,
                              pen_view text, struct eng_reason *reason)
{
    uint32_t padding = 0, size;
    char *room;

    while (padding < 2 && padding < text.size_bytes &&
           text.data[text.size_bytes - 1 - padding] == '=')
        padding++;
    if (text.size_bytes % 4 != 0) return build_refuse(field, text, "is no base64:", reason);
    size = text.size_bytes / 4 * 3 - padding;
    room = build_text_room(builder, field, size, reason);
    if (!room) return false;
    if (eng_base64_decode(text, room) == size) return true;
    /* Nothing was there before that is worth keeping: the record is bad. */
    build_remove_text(builder, field);
    return build_refuse(field, text, "is no base64:", reason);
}

static bool build_parse_array(struct eng_builder *builder, uint32_t index, pen_view text,
                              struct eng_reason *reason)
{
    const struct eng_field *field = build_field(builder, index);
    pen_view rest = text, word;
    uint32_t count = 0;
    bool fits;

    while (pen_view_word(&rest, " ", &word)) {
        if (count < field->element_count &&
            !build_parse_number(field, build_element(builder, field, count), word, &fits))
            return build_refuse(
                field, word,
                fits ? "is no element of an array of" : "does not fit into an array of", reason);
        count++;
    }
    if (count != field->element_count) {
        eng_reason_set(reason, "field %s: %u elements in %s, not %u", field->name, count,
                       eng_reason_quote(text).text, field->element_count);
        return false;
    }
    eng_field_set_present(field, builder->bytes);
    return true;
}

bool eng_builder_parse(struct eng_builder *builder, uint32_t field, pen_view text,
                       struct eng_reason *reason)
{
    const struct eng_field *to = build_field(builder, field);
    bool fits;

    if (to->type == PEN_TYPE_BYTES) return build_parse_bytes(builder, to, text, reason);
    if (to->type == PEN_TYPE_STRING || to->type == PEN_TYPE_CODE || to->type == PEN_TYPE_CHARS)
        return eng_builder_set_text(builder, field, text, reason);
    if (to->element_count > 1) return build_parse_array(builder, field, text, reason);
    if (!build_parse_number(to, build_element(builder, to, 0), text, &fits))
        return build_refuse(to, text, fits ? "is no" : "does not fit into", reason);
    eng_field_set_present(to, builder->bytes);
    return true;
}
