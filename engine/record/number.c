/* engine/record/number.c: numbers as text, and back.
 *
 * Doubles go through the C library, which rounds correctly, but only ever in a form that no locale
 * changes: digits and an exponent, without a point. What is common and short (prices, delays,
 * counts) is done here, where it is exact: up to 15 digits and a power of ten up to 22 are doubles
 * themselves, so one multiplication or division of them is rounded once.
 */
#include "engine/record/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "shm/check.h"

enum {
    NUMBER_DIGITS_FAST = 15,
    NUMBER_POWER_FAST = 22,
    NUMBER_DIGITS_MAX = 780, /* no double needs more to be rounded right, with a digit that says
                                whether something follows */
    NUMBER_EXPONENT_MAX = 100000, /* whatever lies beyond is 0 or too large */
};

/* A written exponent is added to the places of the digits, of which a text may have millions, and
 * only the sum tells how large the number is: 1 may be written with a million zeros and e-1000000.
 * No text is long enough to make up for this one. */
#define NUMBER_EXPONENT_WRITTEN_MAX ((int64_t)UINT32_MAX * 4)

static const double number_powers[NUMBER_POWER_FAST + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* ---- Reading doubles ------------------------------------------------------------------------- */

/* A number taken apart: digits times ten to the exponent. Leading zeros are no digits. */
struct number_parts {
    bool negative;
    uint32_t digit_count;
    int32_t exponent;
    char digits[NUMBER_DIGITS_MAX + 16]; /* and the exponent, for the library */
};

static bool number_word(pen_view text, const char *word)
{
    uint32_t i = 0;

    for (; i < text.size_bytes && word[i]; i++)
        if ((text.data[i] | 0x20) != word[i]) return false;
    return i == text.size_bytes && word[i] == '\0';
}

/* e-12: whole text. */
static bool number_exponent(pen_view text, int64_t *exponent)
{
    bool negative = text.size_bytes > 0 && text.data[0] == '-';
    uint32_t i = negative || (text.size_bytes > 0 && text.data[0] == '+');
    int64_t value = 0;

    if (i == text.size_bytes) return false;
    for (; i < text.size_bytes; i++) {
        unsigned digit = (unsigned)(uint8_t)text.data[i] - '0';
        if (digit > 9) return false;
        if (value < NUMBER_EXPONENT_WRITTEN_MAX) value = value * 10 + (int64_t)digit;
    }
    *exponent = negative ? -value : value;
    return true;
}

static bool number_take_apart(pen_view text, struct number_parts *parts)
{
    bool point = false, any = false, more = false;
    int64_t dropped = 0; /* digits not kept, less digits behind the point */
    int64_t exponent = 0;
    uint32_t i = 0;

    parts->digit_count = 0;
    for (; i < text.size_bytes; i++) {
        char c = text.data[i];

        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if ((uint8_t)(c - '0') > 9) break;
        any = true;
        if (point) dropped--;
        if (parts->digit_count == 0 && c == '0') continue;
        if (parts->digit_count < NUMBER_DIGITS_MAX) {
            parts->digits[parts->digit_count++] = c;
        } else {
            dropped++;
            more |= c != '0';
        }
    }
    if (!any) return false;
    if (i < text.size_bytes) {
        if ((text.data[i] | 0x20) != 'e') return false;
        if (!number_exponent(pen_view_sized(text.data + i + 1, text.size_bytes - i - 1), &exponent))
            return false;
    }
    /* What was dropped can only matter where the kept digits lie exactly between two doubles. */
    if (more) parts->digits[NUMBER_DIGITS_MAX - 1] |= 1;
    dropped += exponent;
    if (dropped > NUMBER_EXPONENT_MAX) dropped = NUMBER_EXPONENT_MAX;
    if (dropped < -NUMBER_EXPONENT_MAX) dropped = -NUMBER_EXPONENT_MAX;
    parts->exponent = (int32_t)dropped;
    return true;
}

static bool number_of_parts(struct number_parts *parts, double *value)
{
    double number = 0;

    if (parts->digit_count <= NUMBER_DIGITS_FAST && parts->exponent >= -NUMBER_POWER_FAST &&
        parts->exponent <= NUMBER_POWER_FAST) {
        uint64_t digits = 0;
        for (uint32_t i = 0; i < parts->digit_count; i++)
            digits = digits * 10 + (uint64_t)(parts->digits[i] - '0');
        number = (double)digits;
        if (parts->exponent < 0)
            number /= number_powers[-parts->exponent];
        else
            number *= number_powers[parts->exponent];
    } else if (parts->digit_count > 0) {
        snprintf(parts->digits + parts->digit_count, sizeof parts->digits - parts->digit_count,
                 "e%d", parts->exponent);
        number = strtod(parts->digits, NULL);
        if (isinf(number)) return false; /* too large; too small is 0 */
    }
    *value = parts->negative ? -number : number;
    return true;
}

bool pen_parse_double(pen_view text, double *value)
{
    struct number_parts parts;

    parts.negative = text.size_bytes > 0 && text.data[0] == '-';
    if (text.size_bytes > 0 && (text.data[0] == '-' || text.data[0] == '+'))
        text = pen_view_sized(text.data + 1, text.size_bytes - 1);
    if (text.size_bytes == 0) return false;
    if ((uint8_t)(text.data[0] - '0') > 9 && text.data[0] != '.') {
        if (number_word(text, "nan")) {
            *value = (double)NAN;
            return true;
        }
        if (!number_word(text, "inf") && !number_word(text, "infinity")) return false;
        *value = parts.negative ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    if (!number_take_apart(text, &parts)) return false;
    return number_of_parts(&parts, value);
}

/* ---- Printing -------------------------------------------------------------------------------- */

uint32_t eng_uint_print(uint64_t value, char *to)
{
    char digits[20];
    uint32_t count = 0;

    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (uint32_t i = 0; i < count; i++)
        to[i] = digits[count - 1 - i];
    return count;
}

uint32_t eng_int_print(int64_t value, char *to)
{
    if (value >= 0) return eng_uint_print((uint64_t)value, to);
    *to = '-';
    return 1 + eng_uint_print(0 - (uint64_t)value, to + 1);
}

static uint32_t number_print_odd(double value, char *to)
{
    const char *word = isnan(value) ? "nan" : value < 0 ? "-inf" : "inf";
    uint32_t size = (uint32_t)strlen(word);

    memcpy(to, word, size);
    return size;
}

/* A number of up to 15 digits with up to six of them behind the point: the same as %.15g, without
 * the library. 0: it is none. */
static uint32_t number_print_short(double value, char *to)
{
    double most = value < 0 ? -value : value;

    if (!(most < 1e15) || (most < 1e-4 && most != 0) || (value == 0 && signbit(value))) return 0;
    for (uint32_t scale = 0; scale <= 6; scale++) {
        double scaled = most * number_powers[scale];
        uint64_t digits;

        if (scaled >= 1e15) return 0;
        digits = (uint64_t)(scaled + 0.5);
        if ((double)digits / number_powers[scale] != most) continue;
        return eng_decimal64_print(value < 0 ? -(int64_t)digits : (int64_t)digits, scale, to);
    }
    return 0;
}

/* The library's point is the locale's. */
static uint32_t number_print_digits(double value, int digits, char *to)
{
    int size = snprintf(to, ENG_NUMBER_TEXT_BYTES, "%.*g", digits, value);

    CHECK(size > 0 && size < ENG_NUMBER_TEXT_BYTES);
    for (int i = 0; i < size; i++)
        if ((uint8_t)(to[i] - '0') > 9 && to[i] != '-' && to[i] != '+' && to[i] != 'e') to[i] = '.';
    return (uint32_t)size;
}

uint32_t eng_double_print(double value, char *to)
{
    uint32_t size;
    double back;

    if (!isfinite(value)) return number_print_odd(value, to);
    size = number_print_short(value, to);
    if (size > 0) return size;
    for (int digits = 15;; digits++) {
        size = number_print_digits(value, digits, to);
        /* DBL_MAX in 15 digits is more than DBL_MAX, and so no number. */
        if (pen_parse_double(pen_view_sized(to, size), &back) && back == value) return size;
        CHECK(digits < 17);
    }
}

uint32_t eng_float_print(float value, char *to)
{
    uint32_t size;
    double back;

    if (!isfinite(value)) return number_print_odd((double)value, to);
    for (int digits = 6;; digits++) {
        size = number_print_digits((double)value, digits, to);
        if (pen_parse_double(pen_view_sized(to, size), &back) && (float)back == value) return size;
        CHECK(digits < 9);
    }
}

/* ---- Decimals -------------------------------------------------------------------------------- */

static uint32_t number_print_decimal(eng_uint128 value, bool negative, uint32_t scale, char *to)
{
    char digits[ENG_DECIMAL128_DIGITS_MAX + 2];
    uint32_t count = 0, size = 0;

    CHECK(scale <= ENG_DECIMAL128_DIGITS_MAX);
    while (value > 0 || count <= scale) {
        digits[count++] = (char)('0' + (int)(value % 10));
        value /= 10;
    }
    if (negative) to[size++] = '-';
    while (count > 0) {
        if (count == scale) to[size++] = '.';
        to[size++] = digits[--count];
    }
    return size;
}

uint32_t eng_decimal128_print(eng_int128 value, uint32_t scale, char *to)
{
    return number_print_decimal(value < 0 ? 0 - (eng_uint128)value : (eng_uint128)value, value < 0,
                                scale, to);
}

uint32_t eng_decimal64_print(int64_t value, uint32_t scale, char *to)
{
    uint64_t most = value < 0 ? 0 - (uint64_t)value : (uint64_t)value, unit;
    uint32_t size = 0, behind = scale;

    if (scale > ENG_DECIMAL64_DIGITS_MAX) return eng_decimal128_print(value, scale, to);
    for (unit = 1; behind > 0; behind--)
        unit *= 10;
    if (value < 0) to[size++] = '-';
    size += eng_uint_print(most / unit, to + size);
    if (scale == 0) return size;
    to[size++] = '.';
    for (most %= unit; scale > 0; scale--, most %= unit) {
        unit /= 10;
        to[size++] = (char)('0' + most / unit);
    }
    return size;
}

bool eng_decimal_parse(pen_view text, uint32_t precision, uint32_t scale, eng_int128 *value)
{
    bool negative = text.size_bytes > 0 && text.data[0] == '-', point = false, any = false;
    uint32_t i = negative || (text.size_bytes > 0 && text.data[0] == '+');
    uint32_t digits = 0, behind = 0;
    eng_uint128 sum = 0;

    CHECK(precision <= ENG_DECIMAL128_DIGITS_MAX);
    CHECK(scale <= precision);
    for (; i < text.size_bytes; i++) {
        unsigned digit = (unsigned)(uint8_t)text.data[i] - '0';

        if (text.data[i] == '.' && !point) {
            point = true;
            continue;
        }
        if (digit > 9) return false;
        any = true;
        if (point && behind == scale) {
            if (digit != 0) return false; /* would be lost */
            continue;
        }
        behind += point;
        if (digits == 0 && digit == 0) continue; /* a leading zero is no digit */
        if (++digits > precision) return false;
        sum = sum * 10 + digit;
    }
    if (!any) return false;
    for (; behind < scale; behind++) {
        if (sum > 0 && ++digits > precision) return false;
        sum *= 10;
    }
    *value = negative ? -(eng_int128)sum : (eng_int128)sum;
    return true;
}
