#include "engine/job/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int64_t us;
} duration_units[] = {
    {"d", PEN_DAYS(1)},    {"h", PEN_HOURS(1)},         {"min", PEN_MINUTES(1)},
    {"s", PEN_SECONDS(1)}, {"ms", PEN_MILLISECONDS(1)}, {"us", 1},
};
enum { DURATION_UNITS = sizeof duration_units / sizeof duration_units[0] };

static bool duration_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The unit at *text, which ends before the next number. 0: there is none. */
static int64_t duration_unit(const char **text)
{
    size_t bytes = 0;

    while ((*text)[bytes] >= 'a' && (*text)[bytes] <= 'z')
        bytes++;
    for (uint32_t i = 0; i < DURATION_UNITS; i++) {
        if (strlen(duration_units[i].name) != bytes) continue;
        if (memcmp(duration_units[i].name, *text, bytes) != 0) continue;
        *text += bytes;
        return duration_units[i].us;
    }
    return 0;
}

/* One number with its unit: 1.5h. A fraction must come out at whole microseconds. */
static bool duration_part(const char **text, int64_t *us)
{
    int64_t whole = 0, fraction = 0, divisor = 1;

    if (!duration_is_digit(**text)) return false;
    for (; duration_is_digit(**text); (*text)++)
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, **text - '0', &whole))
            return false;
    if (**text == '.') {
        (*text)++;
        if (!duration_is_digit(**text)) return false;
        for (; duration_is_digit(**text); (*text)++) {
            if (divisor > 100000) return false;
            fraction = fraction * 10 + (**text - '0');
            divisor *= 10;
        }
    }
    int64_t unit_us = duration_unit(text), fraction_us;
    if (unit_us == 0) return false;
    if (__builtin_mul_overflow(fraction, unit_us, &fraction_us)) return false;
    if (fraction_us % divisor != 0) return false;
    if (__builtin_mul_overflow(whole, unit_us, &whole)) return false;
    return !__builtin_add_overflow(whole, fraction_us / divisor, us);
}

bool eng_duration_parse(const char *text, pen_duration *duration)
{
    bool is_negative = *text == '-';
    int64_t sum_us = 0;

    if (is_negative) text++;
    if (strcmp(text, "0") == 0) {
        *duration = 0;
        return true;
    }
    do {
        int64_t us;
        if (!duration_part(&text, &us)) return false;
        if (__builtin_add_overflow(sum_us, us, &sum_us)) return false;
    } while (*text);
    *duration = is_negative ? -sum_us : sum_us;
    return true;
}

const char *eng_duration_print(pen_duration duration, char *to)
{
    for (uint32_t i = 0; i < DURATION_UNITS && duration != 0; i++) {
        if (duration % duration_units[i].us != 0) continue;
        snprintf(to, ENG_DURATION_BYTES, "%" PRId64 "%s", duration / duration_units[i].us,
                 duration_units[i].name);
        return to;
    }
    snprintf(to, ENG_DURATION_BYTES, "0");
    return to;
}
