/* engine/record/schema.c: looks at a schema that somebody else made, before anything believes it.
 *
 * The fields are walked in the order of their offsets. Each must begin where the one before it
 * ends, rounded up to its own alignment: earlier is an overlap, later is a hole. Inside that
 * padding a small forgotten field can still hide (an int32 between an int32 and an int64); what it
 * holds is lost, and no schema can tell.
 */
#include "engine/record/schema.h"

#include <stdio.h>

#include "shm/check.h"

enum { SCHEMA_TYPES = PEN_TYPE_DECIMAL128 + 1, SCHEMA_FIELD_BYTES_MAX = 4096 };

static const struct {
    const char *name;
    const char *optional_name;
    uint8_t size_bytes;
    uint8_t align_bytes;
} schema_types[SCHEMA_TYPES] = {
    [PEN_TYPE_BOOL] = {"bool", "optional bool", 1, 1},
    [PEN_TYPE_INT8] = {"int8", "optional int8", 1, 1},
    [PEN_TYPE_INT16] = {"int16", "optional int16", 2, 2},
    [PEN_TYPE_INT32] = {"int32", "optional int32", 4, 4},
    [PEN_TYPE_INT64] = {"int64", "optional int64", 8, 8},
    [PEN_TYPE_UINT8] = {"uint8", "optional uint8", 1, 1},
    [PEN_TYPE_UINT16] = {"uint16", "optional uint16", 2, 2},
    [PEN_TYPE_UINT32] = {"uint32", "optional uint32", 4, 4},
    [PEN_TYPE_UINT64] = {"uint64", "optional uint64", 8, 8},
    [PEN_TYPE_FLOAT] = {"float", "optional float", 4, 4},
    [PEN_TYPE_DOUBLE] = {"double", "optional double", 8, 8},
    [PEN_TYPE_TIME] = {"time", "optional time", 8, 8},
    [PEN_TYPE_CODE] = {"code", "optional code", 8, 1},
    [PEN_TYPE_STRING] = {"string", "optional string", 8, 4},
    [PEN_TYPE_BYTES] = {"bytes", "optional bytes", 8, 4},
    [PEN_TYPE_CHARS] = {"chars", "optional chars", 0, 1},
    [PEN_TYPE_DATE] = {"date", "optional date", 4, 4},
    [PEN_TYPE_TIME_OF_DAY] = {"time of day", "optional time of day", 8, 8},
    [PEN_TYPE_DECIMAL64] = {"decimal64", "optional decimal64", 8, 8},
    [PEN_TYPE_DECIMAL128] = {"decimal128", "optional decimal128", 16, 8},
};

static uint32_t schema_base(uint32_t type)
{
    uint32_t base = type >= PEN_TYPE_NULLABLE ? type - PEN_TYPE_NULLABLE : type;
    return base < SCHEMA_TYPES ? base : 0; /* 0 is no type */
}

const char *eng_type_name(uint32_t type)
{
    uint32_t base = schema_base(type);

    if (base == 0) return "unknown type";
    return type >= PEN_TYPE_NULLABLE ? schema_types[base].optional_name : schema_types[base].name;
}

bool eng_type_is_text(uint32_t type)
{
    uint32_t base = schema_base(type);
    return base == PEN_TYPE_STRING || base == PEN_TYPE_BYTES;
}

bool eng_type_is_integer(uint32_t type)
{
    uint32_t base = schema_base(type);
    return base >= PEN_TYPE_INT8 && base <= PEN_TYPE_UINT64;
}

uint32_t eng_type_size(uint32_t type)
{
    return schema_types[schema_base(type)].size_bytes;
}

uint32_t eng_type_align(uint32_t type)
{
    return schema_types[schema_base(type)].align_bytes;
}

const struct pen_field *eng_field_find(const struct pen_schema *schema, const char *name)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct pen_field *field = eng_schema_field(schema, i);
        if (strcmp(field->name, name) == 0) return field;
    }
    return NULL;
}

bool eng_schema_same(const struct pen_schema *a, const struct pen_schema *b)
{
    if (a == b) return true;
    if (a->size_bytes != b->size_bytes) return false;
    if (a->align_bytes != b->align_bytes) return false;
    if (a->field_count != b->field_count) return false;
    if (strcmp(a->name, b->name) != 0) return false;
    for (uint32_t i = 0; i < a->field_count; i++) {
        const struct pen_field *x = eng_schema_field(a, i), *y = eng_schema_field(b, i);

        if (strcmp(x->name, y->name) != 0) return false;
        if (x->offset_bytes != y->offset_bytes) return false;
        if (x->size_bytes != y->size_bytes) return false;
        if (x->type != y->type) return false;
        if (x->null_bit != y->null_bit) return false;
        if (x->null_bit && a->null_offset_bytes != b->null_offset_bytes) return false;
        if (x->precision != y->precision || x->scale != y->scale) return false;
    }
    return true;
}

static uint32_t schema_round(uint32_t bytes, uint32_t align)
{
    return (bytes + align - 1) & ~(align - 1);
}

uint32_t eng_field_expected_bytes(uint32_t type)
{
    uint32_t size = eng_type_size(type);

    if (type < PEN_TYPE_NULLABLE || size == 0) return size;
    return schema_round(size + 1, eng_type_align(type)); /* value, present */
}

static bool schema_name_good(const char *name)
{
    if (!name || name[0] == '\0') return false;
    if (strnlen(name, ENG_NAME_BYTES_MAX + 1) > ENG_NAME_BYTES_MAX) return false;
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) return false;
    return true;
}

/* The schema by itself, before its fields are looked at. */
static bool schema_head_good(const struct pen_schema *schema, struct eng_reason *reason)
{
    const char *name;

    if (!schema) {
        eng_reason_set(reason, "there is no schema");
        return false;
    }
    if (schema->abi != PEN_ABI) {
        eng_reason_set(reason, "a schema made for ABI %u; this is %u: build the job anew",
                       schema->abi, PEN_ABI);
        return false;
    }
    if (!schema_name_good(schema->name)) {
        eng_reason_set(reason,
                       "a schema without a name, or with one over %d bytes or not printable",
                       ENG_NAME_BYTES_MAX);
        return false;
    }
    name = schema->name;
    if (schema->field_count > ENG_FIELDS_MAX) {
        eng_reason_set(reason, "%s: %u fields; there can be %d", name, schema->field_count,
                       ENG_FIELDS_MAX);
        return false;
    }
    if (schema->field_count > 0 && !schema->fields) {
        eng_reason_set(reason, "%s: has %u fields but no list of them", name, schema->field_count);
        return false;
    }
    if (schema->field_size_bytes < sizeof(struct pen_field) ||
        schema->field_size_bytes > SCHEMA_FIELD_BYTES_MAX ||
        schema->field_size_bytes % _Alignof(struct pen_field) != 0) {
        eng_reason_set(reason, "%s: field_size_bytes is %u, not sizeof(struct pen_field), %zu",
                       name, schema->field_size_bytes, sizeof(struct pen_field));
        return false;
    }
    if (schema->align_bytes == 0 || schema->align_bytes > ENG_RECORD_ALIGN_BYTES ||
        (schema->align_bytes & (schema->align_bytes - 1)) != 0) {
        eng_reason_set(reason, "%s: aligned to %u bytes; 1, 2, 4 and 8 are possible", name,
                       schema->align_bytes);
        return false;
    }
    if (schema->size_bytes > ENG_RECORD_FIXED_BYTES_MAX) {
        eng_reason_set(reason, "%s: %u bytes; a struct can have %d, long data is for texts", name,
                       schema->size_bytes, ENG_RECORD_FIXED_BYTES_MAX);
        return false;
    }
    return true;
}

static bool schema_decimal_good(const char *name, const struct pen_field *field, uint32_t base,
                                struct eng_reason *reason)
{
    uint32_t most =
        base == PEN_TYPE_DECIMAL64 ? ENG_DECIMAL64_DIGITS_MAX : ENG_DECIMAL128_DIGITS_MAX;
    uint32_t precision = field->precision ? field->precision : most;

    if (precision <= most && field->scale <= precision) return true;
    eng_reason_set(reason, "%s: field %s: a %s of %u digits, %u behind the point; it has up to %u",
                   name, field->name, eng_type_name(base), field->precision, field->scale, most);
    return false;
}

/* One field by itself. */
static bool schema_field_good(const struct pen_schema *schema, const struct pen_field *field,
                              struct eng_reason *reason)
{
    const char *name = schema->name;
    uint32_t base = schema_base(field->type);
    uint32_t one = eng_field_expected_bytes(field->type);
    bool optional = field->type >= PEN_TYPE_NULLABLE;
    bool array_good = !optional && base >= PEN_TYPE_BOOL && base <= PEN_TYPE_DOUBLE;
    bool size_good;

    if (base == 0 || (optional && base == PEN_TYPE_CHARS)) {
        eng_reason_set(reason, "%s: field %s: there is no type %u", name, field->name, field->type);
        return false;
    }
    size_good = base == PEN_TYPE_CHARS ? field->size_bytes > 0
                : array_good           ? field->size_bytes > 0 && field->size_bytes % one == 0
                                       : field->size_bytes == one;
    if (!size_good) {
        eng_reason_set(reason, "%s: field %s: %u bytes, but %s has %u", name, field->name,
                       field->size_bytes, eng_type_name(field->type), one);
        return false;
    }
    if (field->size_bytes > schema->size_bytes ||
        field->offset_bytes > schema->size_bytes - field->size_bytes) {
        eng_reason_set(reason, "%s: field %s: bytes %u to %u are outside the struct of %u bytes",
                       name, field->name, field->offset_bytes,
                       field->offset_bytes + field->size_bytes, schema->size_bytes);
        return false;
    }
    if (field->offset_bytes % eng_type_align(field->type) != 0) {
        eng_reason_set(reason, "%s: field %s: at byte %u, but %s is aligned to %u", name,
                       field->name, field->offset_bytes, eng_type_name(field->type),
                       eng_type_align(field->type));
        return false;
    }
    if (schema->align_bytes < eng_type_align(field->type)) {
        eng_reason_set(reason, "%s: aligned to %u bytes, but field %s needs %u", name,
                       schema->align_bytes, field->name, eng_type_align(field->type));
        return false;
    }
    if (optional && field->null_bit) {
        eng_reason_set(reason, "%s: field %s: is optional by its type and has a null bit too", name,
                       field->name);
        return false;
    }
    if (base == PEN_TYPE_DECIMAL64 || base == PEN_TYPE_DECIMAL128)
        return schema_decimal_good(name, field, base, reason);
    return true;
}

/* Names and null bits of the fields; *null_bytes: how long the null words are. */
static bool schema_fields_good(const struct pen_schema *schema, uint32_t *null_bytes,
                               struct eng_reason *reason)
{
    uint64_t used[ENG_FIELDS_MAX / 64] = {0};
    uint32_t bits = 0;

    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct pen_field *field = eng_schema_field(schema, i);

        if (!schema_name_good(field->name)) {
            eng_reason_set(reason,
                           "%s: field %u has no name, or one over %d bytes or not printable",
                           schema->name, i, ENG_NAME_BYTES_MAX);
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(eng_schema_field(schema, k)->name, field->name) != 0) continue;
            eng_reason_set(reason, "%s: two fields are called %s", schema->name, field->name);
            return false;
        }
        if (!schema_field_good(schema, field, reason)) return false;
        if (field->null_bit == 0) continue;
        if (field->null_bit > ENG_FIELDS_MAX) {
            eng_reason_set(reason, "%s: field %s: null bit %u; there can be %d", schema->name,
                           field->name, field->null_bit, ENG_FIELDS_MAX);
            return false;
        }
        if (used[(field->null_bit - 1u) / 64] >> (field->null_bit - 1u) % 64 & 1) {
            eng_reason_set(reason, "%s: field %s: null bit %u belongs to another field",
                           schema->name, field->name, field->null_bit);
            return false;
        }
        used[(field->null_bit - 1u) / 64] |= (uint64_t)1 << (field->null_bit - 1u) % 64;
        if (field->null_bit > bits) bits = field->null_bit;
    }
    *null_bytes = (bits + 63) / 64 * 8;
    return true;
}

/* The next thing in the struct: *end is where the one before it ended. */
static bool schema_place(const struct pen_schema *schema, const char *what, uint32_t offset,
                         uint32_t bytes, uint32_t align, uint32_t *end, struct eng_reason *reason)
{
    if (offset < *end) {
        eng_reason_set(reason, "%s: %s: at byte %u, before what lies before it ends, at %u",
                       schema->name, what, offset, *end);
        return false;
    }
    if (offset != schema_round(*end, align)) {
        eng_reason_set(reason, "%s: bytes %u to %u hold a field that PEN_RECORD does not name",
                       schema->name, *end, offset);
        return false;
    }
    *end = offset + bytes;
    return true;
}

static bool schema_places_good(const struct pen_schema *schema, uint32_t null_bytes,
                               struct eng_reason *reason)
{
    char what[ENG_NAME_BYTES_MAX + 16];
    uint32_t end = 0;
    bool null_due = null_bytes > 0;

    if (null_due && (schema->null_offset_bytes % 8 != 0 || schema->align_bytes != 8 ||
                     schema->null_offset_bytes > schema->size_bytes ||
                     null_bytes > schema->size_bytes - schema->null_offset_bytes)) {
        eng_reason_set(reason, "%s: null words at byte %u: outside the struct, or not aligned to 8",
                       schema->name, schema->null_offset_bytes);
        return false;
    }
    for (uint32_t i = 0; i <= schema->field_count; i++) {
        const struct pen_field *field =
            i < schema->field_count ? eng_schema_field(schema, i) : NULL;

        if (null_due && (!field || schema->null_offset_bytes <= field->offset_bytes)) {
            if (!schema_place(schema, "null words", schema->null_offset_bytes, null_bytes, 8, &end,
                              reason))
                return false;
            null_due = false;
        }
        if (!field) break;
        snprintf(what, sizeof what, "field %s", field->name);
        if (!schema_place(schema, what, field->offset_bytes, field->size_bytes,
                          eng_type_align(field->type), &end, reason))
            return false;
    }
    CHECK(end <= schema->size_bytes);
    if (schema_round(end, schema->align_bytes) == schema->size_bytes) return true;
    eng_reason_set(reason, "%s: bytes %u to %u hold a field that PEN_RECORD does not name",
                   schema->name, end, schema->size_bytes);
    return false;
}

bool eng_schema_verify(const struct pen_schema *schema, struct eng_reason *reason)
{
    uint32_t null_bytes;

    if (!schema_head_good(schema, reason)) return false;
    if (!schema_fields_good(schema, &null_bytes, reason)) return false;
    return schema_places_good(schema, null_bytes, reason);
}
