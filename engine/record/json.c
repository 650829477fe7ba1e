/* engine/record/json.c: the members that a schema's fields are, and encoding; json_decode.c reads.
 *
 * Names with dots make a tree. It is kept as a list in which an object stands right before all that
 * it holds, up to its `end`:
 *
 *     fields   id, person.id, person.name, at       members   0 (the record)   end 6
 *                                                              1   id
 *                                                              2   person       end 5
 *                                                              3     id
 *                                                              4     name
 *                                                              5   at
 */
#include "engine/record/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "engine/record/json_member.h"
#include "engine/record/value.h"
#include "shm/check.h"

/* ---- Open ------------------------------------------------------------------------------------ */

struct json_open {
    struct eng_json *json;
    const struct eng_field **order; /* fields, those of an object together */
    uint32_t members_max;
    struct eng_reason *reason;
};

static uint32_t json_part_bytes(const char *name)
{
    return (uint32_t)strcspn(name, ".");
}

static bool json_verify_name(const struct eng_field *field, struct eng_reason *reason)
{
    const char *part = field->name;
    uint32_t depth = 1;

    for (;; depth++) {
        uint32_t size = json_part_bytes(part);

        if (size == 0) {
            eng_reason_set(reason, "field %s: a part of the path is empty", field->name);
            return false;
        }
        if (depth >= ENG_JSON_DEPTH_MAX) {
            eng_reason_set(reason, "field %s: a path of more than %d parts", field->name,
                           ENG_JSON_DEPTH_MAX);
            return false;
        }
        if (part[size] == '\0') return true;
        part += size + 1;
    }
}

static struct eng_json_member *json_add(struct json_open *open, uint32_t parent, const char *name,
                                        uint32_t name_bytes)
{
    struct eng_json_member *member = &open->json->members[open->json->member_count];

    CHECK(open->json->member_count < open->members_max);
    *member = (struct eng_json_member){.name = name,
                                       .name_bytes = name_bytes,
                                       .parent = parent,
                                       .field = ENG_JSON_OBJECT,
                                       .optional = true};
    open->json->member_count++;
    return member;
}

static bool json_part_same(const char *a, const char *b)
{
    uint32_t size = json_part_bytes(a);
    return size == json_part_bytes(b) && memcmp(a, b, size) == 0;
}

/* Adds what lies below `parent`: the fields of order[from..to), whose names go on at byte `at`. An
 * object stands where its first field does. Recursion is bounded by json_verify_name. */
static bool json_add_level(struct json_open *open, uint32_t parent, uint32_t from, uint32_t to,
                           uint32_t at)
{
    while (from < to) {
        const struct eng_field *field = open->order[from];
        const char *part = field->name + at;
        uint32_t size = json_part_bytes(part), same = from + 1;
        uint32_t added = open->json->member_count;
        struct eng_json_member *member = json_add(open, parent, part, size);

        /* Bring the other fields of this part here, in their order. */
        for (uint32_t i = same; i < to; i++) {
            const struct eng_field *other = open->order[i];

            if (!json_part_same(part, other->name + at)) continue;
            if (part[size] == '\0' || other->name[at + size] == '\0') {
                eng_reason_set(open->reason, "%.*s is a field and an object that holds fields",
                               (int)(at + size), field->name);
                return false;
            }
            memmove(&open->order[same + 1], &open->order[same], (i - same) * sizeof *open->order);
            open->order[same++] = other;
        }
        if (part[size] == '\0') {
            member->field = (uint32_t)(field - open->json->layout->fields);
            member->optional = eng_field_nullable(field);
        } else if (!json_add_level(open, added, from, same, at + size + 1)) {
            return false;
        }
        open->json->members[added].end = open->json->member_count;
        open->json->members[parent].optional &= open->json->members[added].optional;
        from = same;
    }
    return true;
}

/* The text before each value: a comma is put by the encoder. */
static void json_add_keys(struct eng_json *json)
{
    struct eng_text_out out = {0};

    for (uint32_t i = 1; i < json->member_count; i++) {
        struct eng_json_member *member = &json->members[i];

        member->key_offset = (uint32_t)out.size_bytes;
        eng_json_string_put(&out, pen_view_sized(member->name, member->name_bytes));
        eng_text_out_char(&out, ':');
        member->key_bytes = (uint32_t)out.size_bytes - member->key_offset;
    }
    json->keys = out.bytes;
}

static void json_fill_table(struct eng_json *json)
{
    for (uint32_t i = 1; i < json->member_count; i++) {
        const struct eng_json_member *member = &json->members[i];
        uint64_t at = eng_json_hash(member->parent, member->name, member->name_bytes);

        while (json->table[at & json->table_mask] != 0)
            at++;
        json->table[at & json->table_mask] = i;
    }
}

int eng_json_open(struct eng_json *json, const struct eng_layout *layout, struct eng_reason *reason)
{
    struct eng_json opened = {.layout = layout};
    struct json_open open = {&opened, NULL, 1, reason};
    uint32_t slots = 4;
    int result = -ENOMEM;

    for (uint32_t i = 0; i < layout->field_count; i++) {
        if (!json_verify_name(&layout->fields[i], reason)) return -EINVAL;
        open.members_max++;
        for (const char *c = layout->fields[i].name; *c; c++)
            open.members_max += *c == '.';
    }
    while (slots < 2 * open.members_max)
        slots *= 2;
    opened.table_mask = slots - 1;
    opened.members = calloc(open.members_max, sizeof *opened.members);
    opened.table = calloc(slots, sizeof *opened.table);
    open.order = malloc((layout->field_count + 1) * sizeof *open.order);
    if (!opened.members || !opened.table || !open.order) {
        eng_reason_set(reason, "out of memory");
        goto fail;
    }
    for (uint32_t i = 0; i < layout->field_count; i++)
        open.order[i] = &layout->fields[i];

    json_add(&open, 0, "", 0);
    result = -EINVAL;
    if (!json_add_level(&open, 0, 0, layout->field_count, 0)) goto fail;
    opened.members[0].end = opened.member_count;
    json_add_keys(&opened);
    json_fill_table(&opened);
    free(open.order);
    *json = opened;
    return 0;

fail:
    free(open.order);
    eng_json_close(&opened);
    return result;
}

void eng_json_close(struct eng_json *json)
{
    free(json->members);
    free(json->table);
    free(json->keys);
    *json = (struct eng_json){0};
}

/* ---- Encode ---------------------------------------------------------------------------------- */

static bool json_is_odd(const struct eng_field *field, uint32_t element, const void *record)
{
    struct eng_field one = *field;

    if (field->type != PEN_TYPE_FLOAT && field->type != PEN_TYPE_DOUBLE) return false;
    one.offset_bytes += element * (field->size_bytes / field->element_count);
    return !isfinite(eng_field_double(&one, record));
}

static void json_encode_element(const struct eng_field *field, uint32_t element, const void *record,
                                struct eng_text_out *out)
{
    if (json_is_odd(field, element, record))
        eng_text_out_put(out, "null", 4);
    else
        eng_value_print_element(field, element, record, out);
}

/* Times and dates are strings, those that no calendar has are numbers. */
static void json_encode_time(const struct eng_field *field, const void *record,
                             struct eng_text_out *out)
{
    size_t from = out->size_bytes;
    char *text;
    size_t size;

    eng_value_print_element(field, 0, record, out);
    size = out->size_bytes - from;
    text = out->bytes + from;
    if (!memchr(text + 1, field->type == PEN_TYPE_TIME_OF_DAY ? ':' : '-', size - 1)) return;
    eng_text_out_reserve(out, 2);
    text = out->bytes + from;
    memmove(text + 1, text, size);
    text[0] = '"';
    text[size + 1] = '"';
    out->size_bytes += 2;
}

static void json_encode_field(const struct eng_field *field, const void *record,
                              struct eng_text_out *out)
{
    if (eng_field_is_null(field, record)) {
        eng_text_out_put(out, "null", 4);
        return;
    }
    switch (field->type) {
    case PEN_TYPE_STRING:
    case PEN_TYPE_CODE:
    case PEN_TYPE_CHARS:
        eng_json_string_put(out, eng_field_text(field, record));
        return;
    case PEN_TYPE_BYTES:
        eng_text_out_char(out, '"');
        eng_value_print(field, record, out);
        eng_text_out_char(out, '"');
        return;
    case PEN_TYPE_TIME:
    case PEN_TYPE_DATE:
    case PEN_TYPE_TIME_OF_DAY:
        json_encode_time(field, record, out);
        return;
    default:
        break;
    }
    if (field->element_count == 1) {
        json_encode_element(field, 0, record, out);
        return;
    }
    for (uint32_t i = 0; i < field->element_count; i++) {
        eng_text_out_char(out, i == 0 ? '[' : ',');
        json_encode_element(field, i, record, out);
    }
    eng_text_out_char(out, ']');
}

/* Whether the object holds anything but nulls. */
static bool json_object_present(const struct eng_json *json, const struct eng_json_member *object,
                                const void *record)
{
    const struct eng_json_member *end = json->members + object->end;

    if (!object->optional) return true;
    for (const struct eng_json_member *m = object + 1; m < end; m++)
        if (m->field != ENG_JSON_OBJECT &&
            !eng_field_is_null(&json->layout->fields[m->field], record))
            return true;
    return false;
}

void eng_json_encode(const struct eng_json *json, const void *record, struct eng_text_out *out)
{
    uint32_t open_end[ENG_JSON_DEPTH_MAX + 1];
    uint32_t depth = 0;
    bool first = true;

    eng_text_out_char(out, '{');
    for (uint32_t i = 1; i < json->member_count;) {
        const struct eng_json_member *member = &json->members[i];

        for (; depth > 0 && open_end[depth - 1] == i; depth--) {
            eng_text_out_char(out, '}');
            first = false;
        }
        if (member->field == ENG_JSON_OBJECT && !json_object_present(json, member, record)) {
            i = member->end;
            continue;
        }
        if (!first) eng_text_out_char(out, ',');
        eng_text_out_put(out, json->keys + member->key_offset, member->key_bytes);
        first = member->field == ENG_JSON_OBJECT;
        if (first) {
            CHECK(depth < ENG_JSON_DEPTH_MAX);
            open_end[depth++] = member->end;
            eng_text_out_char(out, '{');
        } else {
            json_encode_field(&json->layout->fields[member->field], record, out);
        }
        i++;
    }
    for (; depth > 0; depth--)
        eng_text_out_char(out, '}');
    eng_text_out_char(out, '}');
}
