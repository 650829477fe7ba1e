/* engine/record/time.c: the Gregorian calendar, and RFC 3339.
 *
 * Days are counted from 0000-03-01, because then the leap day is the last day of a year and the
 * months before it repeat every 153 days in fives. No time zone data, no libc: a user's TZ and
 * locale must not change what a record says.
 */
#include "engine/record/value.h"

#include "shm/check.h"

#define TIME_SECOND 1000000LL
#define TIME_DAY    (86400 * TIME_SECOND)
#define TIME_MIN    (TIME_DAY * TIME_DAYS_MIN)
#define TIME_MAX    (TIME_DAY * (TIME_DAYS_MAX + 1) - 1)

enum {
    TIME_ERA_DAYS = 146097,   /* in 400 years */
    TIME_EPOCH_DAYS = 719468, /* 1970-01-01 counted from 0000-03-01 */
    TIME_DAYS_MIN = -719162,  /* 0001-01-01 */
    TIME_DAYS_MAX = 2932896,  /* 9999-12-31 */
    TIME_OF_DAY_PRINTED = 8,  /* 10:15:00 */
    TIME_DATE_PRINTED = 10,   /* 2013-01-01 */
};

/* ---- Calendar -------------------------------------------------------------------------------- */

int32_t eng_days_of_date(int32_t year, uint32_t month, uint32_t day)
{
    int32_t y = year - (month <= 2), era, of_era;
    int32_t month_from_march = ((int32_t)month + 9) % 12;

    CHECK(year >= 1 && year <= 9999);
    CHECK(month >= 1 && month <= 12);
    CHECK(day >= 1 && day <= 31);
    era = y / 400; /* y is not negative */
    of_era = y % 400;
    return era * TIME_ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 +
           (153 * month_from_march + 2) / 5 + (int32_t)day - 1 - TIME_EPOCH_DAYS;
}

void eng_date_of_days(int32_t days, int32_t *year, uint32_t *month, uint32_t *day)
{
    int32_t from_march = days + TIME_EPOCH_DAYS;
    int32_t era = from_march / TIME_ERA_DAYS, of_era = from_march % TIME_ERA_DAYS;
    int32_t y, day_of_year, m;

    CHECK(days >= TIME_DAYS_MIN && days <= TIME_DAYS_MAX);
    /* A year has 365 days but for one day in 4 years, less one in 100, and one in 400. */
    y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    day_of_year = of_era - (365 * y + y / 4 - y / 100);
    m = (5 * day_of_year + 2) / 153;
    *day = (uint32_t)(day_of_year - (153 * m + 2) / 5 + 1);
    *month = (uint32_t)(m < 10 ? m + 3 : m - 9);
    *year = era * 400 + y + (*month <= 2);
}

static uint32_t time_month_days(uint32_t year, uint32_t month)
{
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    if (month == 2) return leap ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static bool time_two(const char *at, uint32_t *value)
{
    unsigned tens = (unsigned)(uint8_t)at[0] - '0', ones = (unsigned)(uint8_t)at[1] - '0';

    *value = tens * 10 + ones;
    return (tens <= 9) & (ones <= 9);
}

/* Ten bytes, 2013-01-31. */
static bool time_read_date(const char *at, int32_t *days)
{
    uint32_t century, rest, month, day;

    if (!time_two(at, &century) || !time_two(at + 2, &rest)) return false;
    if (!time_two(at + 5, &month) || !time_two(at + 8, &day)) return false;
    if (at[4] != '-' || at[7] != '-') return false;
    rest += century * 100;
    if (rest < 1 || month < 1 || month > 12 || day < 1) return false;
    if (day > 28 && day > time_month_days(rest, month)) return false;
    *days = eng_days_of_date((int32_t)rest, month, day);
    return true;
}

/* 10:15:00, 10:15:00.25: returns the bytes read, 0 if it is none. Digits behind the sixth are cut.
 * Second 60 is read as the last moment of second 59, so that time does not run backwards. */
static uint32_t time_read_clock(const char *at, uint32_t size, int64_t *us)
{
    uint32_t hour, minute, second, used = TIME_OF_DAY_PRINTED, digits = 0;
    int64_t fraction = 0;

    if (size < TIME_OF_DAY_PRINTED) return 0;
    if (!time_two(at, &hour) || !time_two(at + 3, &minute) || !time_two(at + 6, &second)) return 0;
    if (at[2] != ':' || at[5] != ':') return 0;
    if (hour > 23 || minute > 59 || second > 60) return 0;
    if (used < size && at[used] == '.') {
        for (used++; used < size && (uint8_t)(at[used] - '0') <= 9; used++, digits++)
            if (digits < 6) fraction = fraction * 10 + (at[used] - '0');
        if (digits == 0) return 0;
        for (; digits < 6; digits++)
            fraction *= 10;
    }
    if (second == 60) {
        second = 59;
        fraction = TIME_SECOND - 1;
    }
    *us = (int64_t)(hour * 3600 + minute * 60 + second) * TIME_SECOND + fraction;
    return used;
}

/* Z, +01:00, or nothing at all, which is UTC. */
static bool time_read_zone(const char *at, uint32_t size, int64_t *us)
{
    uint32_t hour, minute;

    *us = 0;
    if (size == 0) return true;
    if (size == 1) return at[0] == 'Z' || at[0] == 'z';
    if (size != 6 || (at[0] != '+' && at[0] != '-') || at[3] != ':') return false;
    if (!time_two(at + 1, &hour) || !time_two(at + 4, &minute)) return false;
    if (hour > 23 || minute > 59) return false;
    *us = (int64_t)(hour * 60 + minute) * 60 * TIME_SECOND * (at[0] == '-' ? -1 : 1);
    return true;
}

bool pen_parse_time(pen_view text, pen_time *value)
{
    int32_t days;
    int64_t clock_us, zone_us, us;
    uint32_t used;

    if (text.size_bytes < TIME_DATE_PRINTED + 1 + TIME_OF_DAY_PRINTED) return false;
    if (!time_read_date(text.data, &days)) return false;
    if (text.data[10] != 'T' && text.data[10] != ' ' && text.data[10] != 't') return false;
    used = time_read_clock(text.data + 11, text.size_bytes - 11, &clock_us);
    if (used == 0) return false;
    used += 11;
    if (!time_read_zone(text.data + used, text.size_bytes - used, &zone_us)) return false;
    us = days * TIME_DAY + clock_us - zone_us;
    if (us < TIME_MIN || us > TIME_MAX) return false;
    value->us = us;
    return true;
}

bool eng_date_parse(pen_view text, pen_date *date)
{
    int32_t days;

    if (text.size_bytes != TIME_DATE_PRINTED || !time_read_date(text.data, &days)) return false;
    date->days = days;
    return true;
}

bool eng_time_of_day_parse(pen_view text, int64_t *us)
{
    int64_t read;

    if (text.size_bytes == 0) return false;
    if (time_read_clock(text.data, text.size_bytes, &read) != text.size_bytes) return false;
    *us = read;
    return true;
}

/* ---- Printing -------------------------------------------------------------------------------- */

static char *time_put_two(char *to, uint32_t value)
{
    CHECK(value <= 99);
    to[0] = (char)('0' + value / 10);
    to[1] = (char)('0' + value % 10);
    return to + 2;
}

static char *time_put_date(char *to, int32_t days)
{
    int32_t year;
    uint32_t month, day;

    eng_date_of_days(days, &year, &month, &day);
    to = time_put_two(to, (uint32_t)year / 100);
    to = time_put_two(to, (uint32_t)year % 100);
    *to++ = '-';
    to = time_put_two(to, month);
    *to++ = '-';
    return time_put_two(to, day);
}

static char *time_put_clock(char *to, int64_t us)
{
    uint32_t seconds = (uint32_t)(us / TIME_SECOND), fraction = (uint32_t)(us % TIME_SECOND);

    to = time_put_two(to, seconds / 3600);
    *to++ = ':';
    to = time_put_two(to, seconds / 60 % 60);
    *to++ = ':';
    to = time_put_two(to, seconds % 60);
    if (fraction == 0) return to;
    *to++ = '.';
    for (uint32_t unit = 100000; fraction > 0; fraction %= unit, unit /= 10)
        *to++ = (char)('0' + fraction / unit);
    return to;
}

uint32_t eng_time_print(pen_time time, char *to)
{
    int64_t days, of_day;
    char *end;

    if (time.us < TIME_MIN || time.us > TIME_MAX) return eng_int_print(time.us, to);
    of_day = time.us % TIME_DAY;
    if (of_day < 0) of_day += TIME_DAY;
    days = (time.us - of_day) / TIME_DAY;
    end = time_put_date(to, (int32_t)days);
    *end++ = 'T';
    end = time_put_clock(end, of_day);
    *end++ = 'Z';
    return (uint32_t)(end - to);
}

uint32_t eng_date_print(pen_date date, char *to)
{
    if (date.days < TIME_DAYS_MIN || date.days > TIME_DAYS_MAX) return eng_int_print(date.days, to);
    return (uint32_t)(time_put_date(to, date.days) - to);
}

uint32_t eng_time_of_day_print(int64_t us, char *to)
{
    if (us < 0 || us >= TIME_DAY) return eng_int_print(us, to);
    return (uint32_t)(time_put_clock(to, us) - to);
}
