/* engine/record/value.c: values and records as text; numbers are in number.c, times in time.c. */
#include "engine/record/value.h"

#include "engine/record/utf8.h"
#include "shm/check.h"

/* ---- Base64 ---------------------------------------------------------------------------------- */

static const char value_base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void eng_base64_put(struct eng_text_out *out, const void *bytes, uint32_t size_bytes)
{
    const uint8_t *from = bytes;
    char *start = eng_text_out_reserve(out, ((size_t)size_bytes + 2) / 3 * 4), *to = start;

    for (uint32_t i = 0; i < size_bytes; i += 3) {
        uint32_t left = size_bytes - i;
        uint32_t word = (uint32_t)from[i] << 16;

        if (left > 1) word |= (uint32_t)from[i + 1] << 8;
        if (left > 2) word |= from[i + 2];
        *to++ = value_base64[word >> 18];
        *to++ = value_base64[word >> 12 & 63];
        *to++ = left > 1 ? value_base64[word >> 6 & 63] : '=';
        *to++ = left > 2 ? value_base64[word & 63] : '=';
    }
    out->size_bytes += (size_t)(to - start);
}

static uint32_t value_base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z') return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9') return (uint32_t)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

int64_t eng_base64_decode(pen_view text, void *to)
{
    uint8_t *at = to;

    if (text.size_bytes % 4 != 0) return -1;
    for (uint32_t i = 0; i < text.size_bytes; i += 4) {
        const char *c = text.data + i;
        bool last = i + 4 == text.size_bytes;
        uint32_t padding = last && c[3] == '=' ? 1u + (c[2] == '=') : 0;
        uint32_t a = value_base64_digit(c[0]), b = value_base64_digit(c[1]);
        uint32_t d = padding > 1 ? 0 : value_base64_digit(c[2]);
        uint32_t e = padding > 0 ? 0 : value_base64_digit(c[3]);
        uint32_t word = a << 18 | b << 12 | d << 6 | e;

        if ((a | b | d | e) > 63) return -1;
        /* Bits behind the last byte must be zero: one text for each value. */
        if (padding && word & (padding == 1 ? 0xffu : 0xffffu)) return -1;
        *at++ = (uint8_t)(word >> 16);
        if (padding < 2) *at++ = (uint8_t)(word >> 8);
        if (padding < 1) *at++ = (uint8_t)word;
    }
    return at - (uint8_t *)to;
}

/* ---- JSON strings ---------------------------------------------------------------------------- */

static void value_escape(struct eng_text_out *out, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    const char *letter = c == '\n'   ? "\\n"
                         : c == '\r' ? "\\r"
                         : c == '\t' ? "\\t"
                         : c == '"'  ? "\\\""
                         : c == '\\' ? "\\\\"
                                     : NULL;
    char code[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    if (letter)
        eng_text_out_put(out, letter, 2);
    else
        eng_text_out_put(out, code, sizeof code);
}

void eng_json_string_put(struct eng_text_out *out, pen_view text)
{
    uint32_t from = 0, at = 0;

    eng_text_out_reserve(out, (size_t)text.size_bytes + 2);
    eng_text_out_char(out, '"');
    while (at < text.size_bytes) {
        uint8_t c = (uint8_t)text.data[at];
        uint32_t size = 1;

        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            at++;
            continue;
        }
        if (c >= 0x80) {
            size = eng_utf8_size(text.data + at, text.size_bytes - at);
            if (size > 0) {
                at += size;
                continue;
            }
        }
        eng_text_out_put(out, text.data + from, at - from);
        if (c >= 0x80)
            eng_text_out_put(out, "\xef\xbf\xbd", 3);
        else
            value_escape(out, c);
        from = ++at;
    }
    eng_text_out_put(out, text.data + from, at - from);
    eng_text_out_char(out, '"');
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* One element, without nulls and texts. */
static uint32_t value_print_number(const struct eng_field *field, const void *at, char *to)
{
    struct eng_field one = *field;
    eng_int128 wide;

    one.offset_bytes = 0;
    one.presence_mask = 0;
    switch (field->type) {
    case PEN_TYPE_BOOL:
        if (eng_field_int(&one, at)) {
            memcpy(to, "true", 4);
            return 4;
        }
        memcpy(to, "false", 5);
        return 5;
    case PEN_TYPE_UINT64:
        return eng_uint_print((uint64_t)eng_field_int(&one, at), to);
    case PEN_TYPE_FLOAT:
        return eng_float_print((float)eng_field_double(&one, at), to);
    case PEN_TYPE_DOUBLE:
        return eng_double_print(eng_field_double(&one, at), to);
    case PEN_TYPE_TIME:
        return eng_time_print((pen_time){eng_field_int(&one, at)}, to);
    case PEN_TYPE_DATE:
        return eng_date_print((pen_date){(int32_t)eng_field_int(&one, at)}, to);
    case PEN_TYPE_TIME_OF_DAY:
        return eng_time_of_day_print(eng_field_int(&one, at), to);
    case PEN_TYPE_DECIMAL64:
        return eng_decimal64_print(eng_field_int(&one, at), field->scale, to);
    case PEN_TYPE_DECIMAL128:
        memcpy(&wide, at, sizeof wide);
        return eng_decimal128_print(wide, field->scale, to);
    default:
        return eng_int_print(eng_field_int(&one, at), to);
    }
}

static bool value_is_text(const struct eng_field *field)
{
    return field->type == PEN_TYPE_STRING || field->type == PEN_TYPE_CODE ||
           field->type == PEN_TYPE_CHARS;
}

void eng_value_print_element(const struct eng_field *field, uint32_t element, const void *record,
                             struct eng_text_out *out)
{
    const char *at = eng_field_of(field, record);
    uint32_t one = field->size_bytes / field->element_count;

    CHECK(element < field->element_count);
    CHECK(!value_is_text(field) && field->type != PEN_TYPE_BYTES);
    out->size_bytes += value_print_number(field, at + (size_t)element * one,
                                          eng_text_out_reserve(out, ENG_NUMBER_TEXT_BYTES));
}

void eng_value_print(const struct eng_field *field, const void *record, struct eng_text_out *out)
{
    pen_view text;

    if (eng_field_is_null(field, record)) return;
    if (value_is_text(field)) {
        text = eng_field_text(field, record);
        eng_text_out_put(out, text.data, text.size_bytes);
        return;
    }
    if (field->type == PEN_TYPE_BYTES) {
        text = eng_field_text(field, record);
        eng_base64_put(out, text.data, text.size_bytes);
        return;
    }
    for (uint32_t i = 0; i < field->element_count; i++) {
        if (i > 0) eng_text_out_char(out, ' ');
        eng_value_print_element(field, i, record, out);
    }
}

void eng_record_print(const struct eng_layout *layout, const void *record, struct eng_text_out *out)
{
    for (uint32_t i = 0; i < layout->field_count; i++) {
        const struct eng_field *field = &layout->fields[i];

        if (i > 0) eng_text_out_char(out, ' ');
        eng_text_out_put(out, field->name, strlen(field->name));
        eng_text_out_char(out, '=');
        if (eng_field_is_null(field, record))
            eng_text_out_put(out, "null", 4);
        else if (value_is_text(field))
            eng_json_string_put(out, eng_field_text(field, record));
        else if (field->element_count > 1) {
            eng_text_out_char(out, '[');
            eng_value_print(field, record, out);
            eng_text_out_char(out, ']');
        } else {
            eng_value_print(field, record, out);
        }
    }
}
