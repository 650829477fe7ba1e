/* engine/record/text.c: cutting text into pieces, and integers out of text. Public: see record.h.
 */
#include "engine/record/value.h"

#include "shm/check.h"

/* Where the first of the separators is; the size when there is none. */
static uint32_t text_find(pen_view text, const char *separators)
{
    uint64_t set[4] = {0};

    if (text.size_bytes == 0) return 0;
    if (separators[0] != '\0' && separators[1] == '\0') {
        const char *at = memchr(text.data, separators[0], text.size_bytes);
        return at ? (uint32_t)(at - text.data) : text.size_bytes;
    }
    for (const char *c = separators; *c; c++)
        set[(uint8_t)*c / 64] |= (uint64_t)1 << (uint8_t)*c % 64;
    for (uint32_t i = 0; i < text.size_bytes; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (set[c / 64] >> c % 64 & 1) return i;
    }
    return text.size_bytes;
}

/* After the last piece *rest has no data: that tells "nothing left" from "an empty piece left". */
static void text_cut(pen_view *rest, uint32_t at, pen_view *piece)
{
    CHECK(at <= rest->size_bytes);
    *piece = pen_view_sized(rest->data, at);
    if (at == rest->size_bytes)
        *rest = pen_view_sized(NULL, 0);
    else
        *rest = pen_view_sized(rest->data + at + 1, rest->size_bytes - at - 1);
}

bool pen_view_field(pen_view *rest, const char *separators, pen_view *field)
{
    if (!rest->data) return false;
    text_cut(rest, text_find(*rest, separators), field);
    return true;
}

bool pen_view_word(pen_view *rest, const char *separators, pen_view *word)
{
    pen_view piece;

    while (rest->data) {
        text_cut(rest, text_find(*rest, separators), &piece);
        if (piece.size_bytes == 0) continue;
        *word = piece;
        return true;
    }
    return false;
}

/* Digits only, at least one. */
static bool text_digits(pen_view text, uint64_t *value)
{
    uint64_t sum = 0;

    if (text.size_bytes == 0) return false;
    for (uint32_t i = 0; i < text.size_bytes; i++) {
        unsigned digit = (unsigned)(uint8_t)text.data[i] - '0';

        if (digit > 9) return false;
        if (__builtin_mul_overflow(sum, 10, &sum)) return false;
        if (__builtin_add_overflow(sum, digit, &sum)) return false;
    }
    *value = sum;
    return true;
}

bool eng_uint_parse(pen_view text, uint64_t *value)
{
    if (text.size_bytes > 0 && text.data[0] == '+')
        text = pen_view_sized(text.data + 1, text.size_bytes - 1);
    return text_digits(text, value);
}

bool pen_parse_int(pen_view text, int64_t *value)
{
    bool negative = text.size_bytes > 0 && text.data[0] == '-';
    uint64_t digits;

    if (!negative) {
        if (!eng_uint_parse(text, &digits)) return false;
    } else if (!text_digits(pen_view_sized(text.data + 1, text.size_bytes - 1), &digits)) {
        return false;
    }
    if (digits > (uint64_t)INT64_MAX + negative) return false;
    *value = (int64_t)(negative ? 0 - digits : digits);
    return true;
}

bool eng_bool_parse(pen_view text, bool *value)
{
    if (text.size_bytes == 1 && (text.data[0] == '0' || text.data[0] == '1')) {
        *value = text.data[0] == '1';
        return true;
    }
    if (pen_view_equal_views(text, pen_view_sized("true", 4))) {
        *value = true;
        return true;
    }
    if (pen_view_equal_views(text, pen_view_sized("false", 5))) {
        *value = false;
        return true;
    }
    return false;
}
