/* engine/record/json_decode.c: JSON into records, by the callbacks of yajl.
 *
 * yajl keeps the grammar; the callbacks keep a stack of the schema's objects that are open and
 * where the next value goes. A value that goes nowhere is skipped: `skipping` counts how deep.
 *
 * yajl allocates for each object that is parsed. It gets its memory from a piece of the stack,
 * which is enough for ordinary records, so that a record costs no malloc.
 *
 * Two things yajl is too lenient about are looked at before: bytes that are not UTF-8, and escapes
 * that are half a surrogate pair.
 */
#include <stdlib.h>
#include <yajl/yajl_parse.h>

#include "engine/record/json_member.h"
#include "engine/record/utf8.h"
#include "engine/record/value.h"
#include "shm/check.h"

enum {
    JSON_ARENA_BYTES = 16384,
    JSON_SEEN_WORDS = ENG_FIELDS_MAX / 64,
    JSON_NOWHERE = 0, /* a member that is none: the record is no member of anything */
};

/* ---- Memory for yajl ------------------------------------------------------------------------- */

struct json_arena {
    uint32_t used;
    _Alignas(16) char bytes[JSON_ARENA_BYTES];
};

/* What an allocation begins with, so that it can be moved. */
struct json_block {
    _Alignas(16) size_t size_bytes;
};

static bool json_in_arena(const struct json_arena *arena, const void *at)
{
    return (uintptr_t)at - (uintptr_t)arena->bytes < sizeof arena->bytes;
}

static void *json_malloc(void *context, size_t size_bytes)
{
    struct json_arena *arena = context;
    size_t whole = (sizeof(struct json_block) + size_bytes + 15) & ~(size_t)15;
    struct json_block *block;

    if (whole <= sizeof arena->bytes - arena->used) {
        block = (struct json_block *)(void *)(arena->bytes + arena->used);
        arena->used += (uint32_t)whole;
    } else {
        block = malloc(whole);
        CHECK(block); /* yajl would not look either */
    }
    block->size_bytes = size_bytes;
    return block + 1;
}

static void json_free(void *context, void *at)
{
    if (at && !json_in_arena(context, at)) free((struct json_block *)at - 1);
}

static void *json_realloc(void *context, void *at, size_t size_bytes)
{
    void *moved = json_malloc(context, size_bytes);
    size_t old;

    if (!at) return moved;
    old = ((struct json_block *)at - 1)->size_bytes;
    memcpy(moved, at, old < size_bytes ? old : size_bytes);
    json_free(context, at);
    return moved;
}

/* ---- Where values go ------------------------------------------------------------------------- */

struct json_decode {
    const struct eng_json *json;
    struct eng_builder *builder;
    struct eng_reason *reason;
    bool refused;      /* the reason is ours; else yajl's */
    uint32_t depth;    /* objects and arrays that are open */
    uint32_t skipping; /* those of them that go nowhere */
    uint32_t objects;  /* the schema's objects that are open */
    uint32_t next;     /* the member that the next value is for */
    bool in_array;     /* it is an element of `next` */
    uint32_t element;
    uint32_t stack[ENG_JSON_DEPTH_MAX + 1]; /* of members that are objects */
    uint64_t seen[JSON_SEEN_WORDS];         /* fields that have a value */
};

static const struct eng_field *json_field(const struct json_decode *decode)
{
    const struct eng_json_member *member = &decode->json->members[decode->next];
    CHECK(member->field != ENG_JSON_OBJECT);
    return &decode->json->layout->fields[member->field];
}

static int json_refuse(struct json_decode *decode)
{
    decode->refused = true;
    return 0; /* yajl stops */
}

static int json_refuse_kind(struct json_decode *decode, const char *what)
{
    const struct eng_json_member *member = &decode->json->members[decode->next];

    if (decode->next == 0)
        eng_reason_set(decode->reason, "%s, not an object", what);
    else if (member->field == ENG_JSON_OBJECT)
        eng_reason_set(decode->reason, "member %.*s: %s, not an object", (int)member->name_bytes,
                       member->name, what);
    else
        eng_reason_set(decode->reason, "field %s: %s, not %s%s", json_field(decode)->name, what,
                       json_field(decode)->element_count > 1 && !decode->in_array ? "an array of "
                                                                                  : "",
                       eng_type_name(json_field(decode)->type));
    return json_refuse(decode);
}

/* A value that is neither object nor array comes. True: it is for a field, or for an element of
 * one. Else *result is what the callback returns. */
static bool json_scalar(struct json_decode *decode, const char *what, int *result)
{
    const struct eng_json_member *member = &decode->json->members[decode->next];

    *result = 1;
    if (decode->depth == 0) {
        *result = json_refuse_kind(decode, what);
        return false;
    }
    if (decode->skipping || decode->next == JSON_NOWHERE) return false;
    if (member->field == ENG_JSON_OBJECT ||
        (json_field(decode)->element_count > 1) != decode->in_array) {
        *result = json_refuse_kind(decode, what);
        return false;
    }
    if (decode->in_array && decode->element == json_field(decode)->element_count) {
        eng_reason_set(decode->reason, "field %s: more than %u elements", json_field(decode)->name,
                       decode->element);
        *result = json_refuse(decode);
        return false;
    }
    return true;
}

static int json_set(struct json_decode *decode, bool good)
{
    uint32_t field = decode->json->members[decode->next].field;

    if (!good) return json_refuse(decode);
    decode->seen[field / 64] |= (uint64_t)1 << field % 64;
    decode->element += decode->in_array;
    return 1;
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

/* Takes back what earlier members of the same name have set: the last one counts. */
static int json_on_null(void *context)
{
    struct json_decode *decode = context;
    const struct eng_json *json = decode->json;
    uint32_t end;

    if (decode->depth == 0 || decode->in_array) return json_refuse_kind(decode, "null");
    if (decode->skipping || decode->next == JSON_NOWHERE) return 1;
    end = json->members[decode->next].end;
    for (uint32_t i = decode->next; i < end; i++) {
        uint32_t field = json->members[i].field;

        if (field == ENG_JSON_OBJECT) continue;
        decode->seen[field / 64] &= ~((uint64_t)1 << field % 64);
        if (eng_field_nullable(&json->layout->fields[field]))
            CHECK(eng_builder_set_null(decode->builder, field, NULL));
    }
    return 1;
}

static int json_on_bool(void *context, int value)
{
    struct json_decode *decode = context;
    int result;

    if (!json_scalar(decode, value ? "true" : "false", &result)) return result;
    if (json_field(decode)->type != PEN_TYPE_BOOL)
        return json_refuse_kind(decode, value ? "true" : "false");
    return json_set(decode, eng_builder_set_element_int(decode->builder,
                                                        decode->json->members[decode->next].field,
                                                        decode->element, value, decode->reason));
}

static bool json_set_number(struct json_decode *decode, const struct eng_field *field,
                            pen_view text)
{
    uint32_t index = decode->json->members[decode->next].field, element = decode->element;
    struct eng_reason *reason = decode->reason;
    int64_t integer;
    uint64_t large;
    double real;

    switch (field->type) {
    case PEN_TYPE_FLOAT:
    case PEN_TYPE_DOUBLE:
        if (pen_parse_double(text, &real))
            return eng_builder_set_element_double(decode->builder, index, element, real, reason);
        break;
    case PEN_TYPE_DECIMAL64:
    case PEN_TYPE_DECIMAL128:
        return eng_builder_parse(decode->builder, index, text, reason);
    case PEN_TYPE_BOOL:
    case PEN_TYPE_STRING:
    case PEN_TYPE_CODE:
    case PEN_TYPE_CHARS:
    case PEN_TYPE_BYTES:
        break;
    default:
        if (pen_parse_int(text, &integer))
            return eng_builder_set_element_int(decode->builder, index, element, integer, reason);
        if (eng_uint_parse(text, &large))
            return eng_builder_set_element_uint(decode->builder, index, element, large, reason);
        break;
    }
    eng_reason_set(reason, "field %s: %s is no %s", field->name, eng_reason_quote(text).text,
                   eng_type_name(field->type));
    return false;
}

static int json_on_number(void *context, const char *text, size_t size_bytes)
{
    struct json_decode *decode = context;
    pen_view view = pen_view_sized(text, (uint32_t)size_bytes);
    int result;

    if (!json_scalar(decode, "a number", &result)) return result;
    return json_set(decode, json_set_number(decode, json_field(decode), view));
}

static int json_on_string(void *context, const unsigned char *text, size_t size_bytes)
{
    struct json_decode *decode = context;
    pen_view view = pen_view_sized((const char *)text, (uint32_t)size_bytes);
    int64_t number;
    int result;

    if (!json_scalar(decode, "a string", &result)) return result;
    switch (json_field(decode)->type) {
    case PEN_TYPE_TIME:
    case PEN_TYPE_DATE:
    case PEN_TYPE_TIME_OF_DAY:
        /* "2013" is somebody's year and not 2013 microseconds: those are numbers. */
        if (pen_parse_int(view, &number)) return json_refuse_kind(decode, "a number as a string");
        return json_set(decode, eng_builder_parse(decode->builder,
                                                  decode->json->members[decode->next].field, view,
                                                  decode->reason));
    case PEN_TYPE_STRING:
    case PEN_TYPE_CODE:
    case PEN_TYPE_CHARS:
    case PEN_TYPE_BYTES:
    case PEN_TYPE_DECIMAL64:
    case PEN_TYPE_DECIMAL128:
        return json_set(decode, eng_builder_parse(decode->builder,
                                                  decode->json->members[decode->next].field, view,
                                                  decode->reason));
    default:
        return json_refuse_kind(decode, "a string");
    }
}

static int json_deeper(struct json_decode *decode)
{
    if (++decode->depth <= ENG_JSON_DEPTH_MAX) return 1;
    eng_reason_set(decode->reason, "objects and arrays nested deeper than %d", ENG_JSON_DEPTH_MAX);
    return json_refuse(decode);
}

static int json_on_object(void *context)
{
    struct json_decode *decode = context;
    bool first = decode->depth == 0;

    if (!json_deeper(decode)) return 0;
    if (!first && (decode->skipping || decode->next == JSON_NOWHERE)) {
        decode->skipping++;
        return 1;
    }
    if (decode->in_array || decode->json->members[decode->next].field != ENG_JSON_OBJECT)
        return json_refuse_kind(decode, "an object");
    decode->stack[decode->objects++] = decode->next;
    return 1;
}

static int json_on_key(void *context, const unsigned char *text, size_t size_bytes)
{
    struct json_decode *decode = context;

    if (decode->skipping) return 1;
    CHECK(decode->objects > 0);
    decode->next =
        eng_json_find(decode->json, decode->stack[decode->objects - 1], text, size_bytes);
    return 1;
}

static int json_on_object_end(void *context)
{
    struct json_decode *decode = context;

    decode->depth--;
    if (decode->skipping)
        decode->skipping--;
    else
        decode->objects--;
    return 1;
}

static int json_on_array(void *context)
{
    struct json_decode *decode = context;

    if (decode->depth == 0) return json_refuse_kind(decode, "an array");
    if (!json_deeper(decode)) return 0;
    if (decode->skipping || decode->next == JSON_NOWHERE) {
        decode->skipping++;
        return 1;
    }
    if (decode->in_array || decode->json->members[decode->next].field == ENG_JSON_OBJECT ||
        json_field(decode)->element_count == 1)
        return json_refuse_kind(decode, "an array");
    decode->in_array = true;
    decode->element = 0;
    return 1;
}

static int json_on_array_end(void *context)
{
    struct json_decode *decode = context;

    decode->depth--;
    if (decode->skipping) {
        decode->skipping--;
        return 1;
    }
    CHECK(decode->in_array);
    if (decode->element != json_field(decode)->element_count) {
        eng_reason_set(decode->reason, "field %s: %u elements, not %u", json_field(decode)->name,
                       decode->element, json_field(decode)->element_count);
        return json_refuse(decode);
    }
    decode->in_array = false;
    decode->element = 0;
    return 1;
}

static const yajl_callbacks json_callbacks = {
    .yajl_null = json_on_null,
    .yajl_boolean = json_on_bool,
    .yajl_number = json_on_number, /* as text: integers stay exact */
    .yajl_string = json_on_string,
    .yajl_start_map = json_on_object,
    .yajl_map_key = json_on_key,
    .yajl_end_map = json_on_object_end,
    .yajl_start_array = json_on_array,
    .yajl_end_array = json_on_array_end,
};

/* ---- Decode ---------------------------------------------------------------------------------- */

static bool json_hex(const char *at, uint32_t *value)
{
    *value = 0;
    for (uint32_t i = 0; i < 4; i++) {
        char c = at[i], letter = (char)(c | 0x20);
        uint32_t digit = (uint8_t)(c - '0') <= 9 ? (uint32_t)(c - '0')
                         : (uint8_t)(letter - 'a') <= (uint8_t)('f' - 'a')
                             ? (uint32_t)(letter - 'a') + 10
                             : 16;
        if (digit > 15) return false;
        *value = *value << 4 | digit;
    }
    return true;
}

/* \ud83d\ude00: both halves, or none. Other mistakes in escapes yajl finds. */
static bool json_escapes_good(pen_view text)
{
    const char *at = text.data, *end = at + text.size_bytes;
    uint32_t unit, low;

    while (at < end && (at = memchr(at, '\\', (size_t)(end - at))) != NULL) {
        if (end - at < 6 || at[1] != 'u' || !json_hex(at + 2, &unit)) {
            at += 2;
            continue;
        }
        at += 6;
        if (unit < 0xd800 || unit > 0xdfff) continue;
        if (unit > 0xdbff || end - at < 6 || at[0] != '\\' || at[1] != 'u') return false;
        if (!json_hex(at + 2, &low) || low < 0xdc00 || low > 0xdfff) return false;
        at += 6;
    }
    return true;
}

static bool json_text_good(pen_view text, struct eng_reason *reason)
{
    uint32_t good = eng_utf8_good(text);

    if (good < text.size_bytes) {
        eng_reason_set(reason, "not UTF-8 at byte %u", good);
        return false;
    }
    if (!json_escapes_good(text)) {
        eng_reason_set(reason, "an escape \\u is half a surrogate pair");
        return false;
    }
    return true;
}

/* Every field that cannot be null has a value. */
static bool json_complete(const struct json_decode *decode)
{
    const struct eng_layout *layout = decode->json->layout;

    for (uint32_t i = 0; i < layout->field_count; i++) {
        if (eng_field_nullable(&layout->fields[i])) continue;
        if (decode->seen[i / 64] >> i % 64 & 1) continue;
        eng_reason_set(decode->reason, "field %s: absent or null, which %s cannot be",
                       layout->fields[i].name, eng_type_name(layout->fields[i].type));
        return false;
    }
    return true;
}

/* yajl's own words: one line, which says what but not where. */
static void json_explain(struct json_decode *decode, yajl_handle handle, pen_view text)
{
    unsigned char *words = yajl_get_error(handle, 0, NULL, 0);
    size_t at = yajl_get_bytes_consumed(handle);
    int size = words ? (int)strcspn((const char *)words, "\n") : 0;

    if (at > text.size_bytes) at = text.size_bytes;
    eng_reason_set(
        decode->reason, "not an object of JSON: %.*s, at byte %zu: %s", size,
        words ? (const char *)words : "", at,
        eng_reason_quote(pen_view_sized(text.data + at, (uint32_t)(text.size_bytes - at))).text);
    if (words) yajl_free_error(handle, words);
}

bool eng_json_decode(const struct eng_json *json, pen_view text, struct eng_builder *builder,
                     struct eng_reason *reason)
{
    struct json_arena arena;
    yajl_alloc_funcs functions = {json_malloc, json_realloc, json_free, &arena};
    struct json_decode decode = {.json = json, .builder = builder, .reason = reason};
    yajl_status status;
    yajl_handle handle;

    CHECK(builder->layout == json->layout);
    eng_builder_begin(builder);
    if (!text.data) text = pen_view_sized("", 0);
    if (!json_text_good(text, reason)) return false;

    arena.used = 0;
    handle = yajl_alloc(&json_callbacks, &functions, &decode);
    CHECK(handle);
    CHECK(yajl_config(handle, yajl_dont_validate_strings, 1)); /* that was done above */
    status = yajl_parse(handle, (const unsigned char *)text.data, text.size_bytes);
    if (status == yajl_status_ok) status = yajl_complete_parse(handle);
    if (status != yajl_status_ok && !decode.refused) json_explain(&decode, handle, text);
    yajl_free(handle);
    return status == yajl_status_ok && json_complete(&decode);
}
