/* engine/record/layout.c: see layout.h; schemas are checked in schema.c. */
#include "engine/record/layout.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/record/schema.h"
#include "engine/record/value.h"
#include "shm/check.h"

/* ---- Open ------------------------------------------------------------------------------------ */

static struct eng_field layout_field(const struct pen_schema *schema, const struct pen_field *from)
{
    bool optional = from->type >= PEN_TYPE_NULLABLE;
    uint32_t base = optional ? from->type - PEN_TYPE_NULLABLE : from->type;
    uint32_t one = eng_type_size(base);
    struct eng_field field = {.name = from->name,
                              .offset_bytes = from->offset_bytes,
                              .size_bytes = optional ? one : from->size_bytes,
                              .element_count = 1,
                              .type = (uint8_t)base,
                              .precision = from->precision,
                              .scale = from->scale};

    if (base <= PEN_TYPE_DOUBLE) field.element_count = field.size_bytes / one;
    if (base == PEN_TYPE_DECIMAL64 && !from->precision) field.precision = ENG_DECIMAL64_DIGITS_MAX;
    if (base == PEN_TYPE_DECIMAL128 && !from->precision)
        field.precision = ENG_DECIMAL128_DIGITS_MAX;
    if (optional) {
        field.presence_offset = from->offset_bytes + one;
        field.presence_mask = 1; /* a bool */
    } else if (from->null_bit) {
        field.presence_offset = schema->null_offset_bytes + (from->null_bit - 1u) / 8;
        field.presence_mask = (uint8_t)(1u << (from->null_bit - 1u) % 8);
    }
    CHECK(field.element_count > 0);
    return field;
}

int eng_layout_open(struct eng_layout *layout, const struct pen_schema *schema, char *reason,
                    size_t reason_bytes)
{
    struct eng_reason why;
    struct eng_field *fields;
    const struct eng_field **texts;
    uint32_t text_count = 0;

    if (!eng_schema_verify(schema, &why)) {
        if (reason_bytes > 0) snprintf(reason, reason_bytes, "%s", why.text);
        return -EINVAL;
    }
    for (uint32_t i = 0; i < schema->field_count; i++)
        text_count += eng_type_is_text(eng_schema_field(schema, i)->type);

    fields = malloc(schema->field_count * sizeof *fields + text_count * sizeof *texts + 1);
    if (!fields) {
        if (reason_bytes > 0) snprintf(reason, reason_bytes, "%s: out of memory", schema->name);
        return -ENOMEM;
    }
    texts = (const struct eng_field **)(void *)(fields + schema->field_count);
    text_count = 0;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        fields[i] = layout_field(schema, eng_schema_field(schema, i));
        if (eng_type_is_text(fields[i].type)) texts[text_count++] = &fields[i];
    }
    *layout = (struct eng_layout){
        .schema = schema,
        .fixed_bytes =
            schema->size_bytes ? eng_record_round(schema->size_bytes) : ENG_RECORD_ALIGN_BYTES,
        .field_count = schema->field_count,
        .text_count = text_count,
        .fields = fields,
        .texts = texts,
    };
    return 0;
}

void eng_layout_close(struct eng_layout *layout)
{
    free((void *)(uintptr_t)layout->fields);
    *layout = (struct eng_layout){0};
}

const struct eng_field *eng_layout_find(const struct eng_layout *layout, const char *name)
{
    for (uint32_t i = 0; i < layout->field_count; i++)
        if (strcmp(layout->fields[i].name, name) == 0) return &layout->fields[i];
    return NULL;
}

/* ---- Fields of a record ---------------------------------------------------------------------- */

void eng_field_set_null(const struct eng_field *field, void *record)
{
    CHECK(field->presence_mask != 0);
    ((uint8_t *)record)[field->presence_offset] &= (uint8_t)~field->presence_mask;
    memset(eng_field_at(field, record), 0, field->size_bytes);
}

static uint32_t layout_text_bytes(const struct eng_field *field, const void *record)
{
    pen_string string;

    if (eng_field_is_null(field, record)) return 0;
    memcpy(&string, eng_field_of(field, record), sizeof string);
    return string.size_bytes;
}

pen_view eng_field_text(const struct eng_field *field, const void *record)
{
    const char *at = eng_field_of(field, record);
    pen_string string;
    pen_view view = {at, 0};

    if (eng_field_is_null(field, record)) return view;
    if (field->type == PEN_TYPE_CODE || field->type == PEN_TYPE_CHARS) {
        view.size_bytes = (uint32_t)strnlen(at, field->size_bytes);
        return view;
    }
    CHECK(eng_type_is_text(field->type));
    memcpy(&string, at, sizeof string);
    if (string.size_bytes) view.data = at + string.offset_bytes;
    view.size_bytes = string.size_bytes;
    return view;
}

#define LAYOUT_READ(type)                                                                          \
    do {                                                                                           \
        type value_;                                                                               \
        memcpy(&value_, at, sizeof value_);                                                        \
        return (int64_t)value_;                                                                    \
    } while (0)

int64_t eng_field_int(const struct eng_field *field, const void *record)
{
    const void *at = eng_field_of(field, record);

    if (eng_field_is_null(field, record)) return 0;
    switch (field->type) {
    case PEN_TYPE_BOOL:
    case PEN_TYPE_UINT8:
        LAYOUT_READ(uint8_t);
    case PEN_TYPE_INT8:
        LAYOUT_READ(int8_t);
    case PEN_TYPE_INT16:
        LAYOUT_READ(int16_t);
    case PEN_TYPE_UINT16:
        LAYOUT_READ(uint16_t);
    case PEN_TYPE_INT32:
    case PEN_TYPE_DATE:
        LAYOUT_READ(int32_t);
    case PEN_TYPE_UINT32:
        LAYOUT_READ(uint32_t);
    default:
        CHECK(field->type == PEN_TYPE_INT64 || field->type == PEN_TYPE_UINT64 ||
              field->type == PEN_TYPE_TIME || field->type == PEN_TYPE_TIME_OF_DAY ||
              field->type == PEN_TYPE_DECIMAL64);
        LAYOUT_READ(int64_t);
    }
}

double eng_field_double(const struct eng_field *field, const void *record)
{
    const void *at = eng_field_of(field, record);

    if (eng_field_is_null(field, record)) return 0;
    if (field->type == PEN_TYPE_FLOAT) {
        float value;
        memcpy(&value, at, sizeof value);
        return (double)value;
    }
    if (field->type == PEN_TYPE_DOUBLE) {
        double value;
        memcpy(&value, at, sizeof value);
        return value;
    }
    if (field->type == PEN_TYPE_DECIMAL128) {
        eng_int128 value;
        memcpy(&value, at, sizeof value);
        return (double)value / pow(10, field->scale);
    }
    if (field->type == PEN_TYPE_DECIMAL64)
        return (double)eng_field_int(field, record) / pow(10, field->scale);
    if (field->type == PEN_TYPE_UINT64) return (double)(uint64_t)eng_field_int(field, record);
    return (double)eng_field_int(field, record);
}

/* ---- Records --------------------------------------------------------------------------------- */

uint32_t eng_record_bytes_of_texts(const struct eng_layout *layout, const void *record)
{
    uint64_t bytes = layout->fixed_bytes;

    for (uint32_t i = 0; i < layout->text_count; i++)
        bytes += layout_text_bytes(layout->texts[i], record);
    return bytes <= ENG_RECORD_BYTES_MAX ? eng_record_round((uint32_t)bytes) : 0;
}

uint32_t eng_record_copy(const struct eng_layout *layout, void *to, uint32_t capacity_bytes,
                         const void *record)
{
    uint32_t struct_bytes = layout->schema->size_bytes;
    uint32_t at = layout->fixed_bytes, end;

    CHECK((uintptr_t)to % ENG_RECORD_ALIGN_BYTES == 0);
    if (capacity_bytes < layout->fixed_bytes) return 0;
    if (struct_bytes) memcpy(to, record, struct_bytes);
    memset((char *)to + struct_bytes, 0, layout->fixed_bytes - struct_bytes);
    if (layout->text_count == 0) return layout->fixed_bytes;

    if (capacity_bytes > ENG_RECORD_BYTES_MAX) capacity_bytes = ENG_RECORD_BYTES_MAX;
    for (uint32_t i = 0; i < layout->text_count; i++) {
        const struct eng_field *field = layout->texts[i];
        pen_view text = eng_field_text(field, record);
        pen_string string = {0, text.size_bytes};

        if (text.size_bytes) {
            if (text.size_bytes > capacity_bytes - at) return 0;
            memcpy((char *)to + at, text.data, text.size_bytes);
            string.offset_bytes = (int32_t)(at - field->offset_bytes);
            at += text.size_bytes;
        }
        memcpy(eng_field_at(field, to), &string, sizeof string);
    }
    end = eng_record_round(at);
    if (end > capacity_bytes) return 0;
    memset((char *)to + at, 0, end - at);
    return end;
}

static bool layout_bool_good(const void *at, uint32_t count)
{
    const uint8_t *bytes = at;
    uint8_t all = 0;

    for (uint32_t i = 0; i < count; i++)
        all |= bytes[i];
    return all <= 1;
}

int eng_record_verify(const struct eng_layout *layout, const void *record, uint32_t bytes)
{
    uint32_t struct_bytes = layout->schema->size_bytes;
    uint64_t text_bytes = 0;

    CHECK((uintptr_t)record % ENG_RECORD_ALIGN_BYTES == 0);
    if (bytes < struct_bytes || bytes > ENG_RECORD_BYTES_MAX) return -EBADMSG;
    for (uint32_t i = 0; i < layout->field_count; i++) {
        const struct eng_field *field = &layout->fields[i];
        bool by_type = eng_schema_field(layout->schema, i)->type >= PEN_TYPE_NULLABLE;

        if (field->type == PEN_TYPE_BOOL &&
            !layout_bool_good(eng_field_of(field, record), field->element_count))
            return -EBADMSG;
        if (by_type && !layout_bool_good((const char *)record + field->presence_offset, 1))
            return -EBADMSG;
    }
    for (uint32_t i = 0; i < layout->text_count; i++) {
        const struct eng_field *field = layout->texts[i];
        pen_string string;
        uint64_t from;

        /* Null ones too: a program may look at a value without looking at `present`. */
        memcpy(&string, eng_field_of(field, record), sizeof string);
        if (string.offset_bytes < 0) return -EBADMSG;
        from = (uint64_t)field->offset_bytes + (uint32_t)string.offset_bytes;
        if (string.size_bytes && from < struct_bytes) return -EBADMSG;
        if (from + string.size_bytes > bytes) return -EBADMSG;
        text_bytes += string.size_bytes;
    }
    /* Texts that lie over each other would make a copy of the record longer than the record. */
    return struct_bytes + text_bytes <= bytes ? 0 : -EBADMSG;
}

bool eng_record_equal(const struct eng_layout *layout, const void *a, const void *b)
{
    for (uint32_t i = 0; i < layout->field_count; i++) {
        const struct eng_field *field = &layout->fields[i];
        bool null = eng_field_is_null(field, a);

        if (null != eng_field_is_null(field, b)) return false;
        if (null) continue;
        if (eng_type_is_text(field->type)) {
            if (!pen_view_equal_views(eng_field_text(field, a), eng_field_text(field, b)))
                return false;
        } else if (memcmp(eng_field_of(field, a), eng_field_of(field, b), field->size_bytes) != 0) {
            return false;
        }
    }
    return true;
}
