#include "engine/record/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/record/value.h"
#include "shm/check.h"

#define ZONE_DIRECTORY "/usr/share/zoneinfo/"
#define ZONE_SECOND    1000000LL
#define ZONE_DAY_S     86400LL
#define ZONE_DAY       (ZONE_DAY_S * ZONE_SECOND)

enum {
    ZONE_NAME_BYTES_MAX = 100,
    ZONE_HEAD_BYTES = 44,
    ZONE_ERA_DAYS = 146097,   /* in 400 years */
    ZONE_EPOCH_DAYS = 719468, /* 1970-01-01 counted from 0000-03-01 */
    ZONE_RULE_TIME_S_MAX = 167 * 3600,
};

/* When a rule changes the clocks: M3.2.0/2, J60, 59/24. */
struct zone_change {
    char kind; /* 'M': the week-th weekday of a month; 'J': a day 1..365, never Feb 29; '0': 0..365
                */
    int32_t month, week, weekday, day;
    int32_t time_s; /* of that day, by the clock that is about to be changed */
};

struct zone_rule {
    bool changes;
    int32_t standard_s, summer_s;
    struct zone_change begin, end; /* of summer time */
};

struct eng_zone {
    uint32_t count;
    int32_t before_s; /* before the first transition */
    bool has_rule;
    struct zone_rule rule;
    int64_t *at_us; /* rising */
    int32_t *offset_s;
};

/* A stretch of time with one offset. */
struct zone_segment {
    int64_t from_us, to_us; /* INT64_MAX: for ever */
    int32_t offset_s;
};

static int64_t zone_clamp(eng_int128 us)
{
    return us < INT64_MIN ? INT64_MIN : us > INT64_MAX ? INT64_MAX : (int64_t)us;
}

static int64_t zone_floor_div(eng_int128 a, int64_t b)
{
    eng_int128 quotient = a / b;
    return (int64_t)(quotient - (a % b < 0));
}

/* ---- The calendar, for all years of int64 microseconds --------------------------------------- */

static int64_t zone_days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = year - (month <= 2), era = zone_floor_div(y, 400), of_era = y - era * 400;

    return era * ZONE_ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 +
           (153 * ((month + 9) % 12) + 2) / 5 + day - 1 - ZONE_EPOCH_DAYS;
}

/* Months since year 0. */
static int64_t zone_month_of(int64_t days)
{
    int64_t from_march = days + ZONE_EPOCH_DAYS, era = zone_floor_div(from_march, ZONE_ERA_DAYS);
    int64_t of_era = from_march - era * ZONE_ERA_DAYS;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t m = (5 * (of_era - (365 * y + y / 4 - y / 100)) + 2) / 153;

    return (era * 400 + y) * 12 + m + 2; /* m counts from March */
}

/* Units are numbered; days since the epoch of the first day of one, and back. */
static int64_t zone_first_day(enum pen_calendar unit, int64_t number)
{
    int64_t months = unit == PEN_MONTH ? number : unit == PEN_QUARTER ? number * 3 : number * 12;
    int64_t year;

    if (unit == PEN_DAY) return number;
    if (unit == PEN_WEEK) return number * 7 - 3; /* 1970-01-01 was a Thursday */
    year = zone_floor_div(months, 12);
    return zone_days_of(year, months - year * 12 + 1, 1);
}

static int64_t zone_unit_of(enum pen_calendar unit, int64_t days)
{
    switch (unit) {
    case PEN_DAY:
        return days;
    case PEN_WEEK:
        return zone_floor_div((eng_int128)days + 3, 7);
    case PEN_MONTH:
        return zone_month_of(days);
    case PEN_QUARTER:
        return zone_floor_div(zone_month_of(days), 3);
    case PEN_YEAR:
        return zone_floor_div(zone_month_of(days), 12);
    }
    CHECK(false);
}

/* ---- The rule -------------------------------------------------------------------------------- */

/* Seconds since the epoch, by the clock on the wall. */
static int64_t zone_change_at(const struct zone_change *change, int64_t year)
{
    int64_t days = zone_days_of(year, 1, 1), weekday, next;

    switch (change->kind) {
    case 'J':
        days += change->day - 1;
        /* The 60th is March 1, also where there is a February 29. */
        if (change->day >= 60) days += zone_days_of(year, 3, 1) - zone_days_of(year, 1, 1) - 59;
        break;
    case '0':
        days += change->day;
        break;
    case 'M':
        days = zone_days_of(year, change->month, 1);
        next = change->month == 12 ? zone_days_of(year + 1, 1, 1)
                                   : zone_days_of(year, change->month + 1, 1);
        weekday = (days % 7 + 7 + 4) % 7; /* Sunday is 0 */
        days += (change->weekday - weekday + 7) % 7 + (change->week - 1) * 7;
        if (days >= next) days -= 7; /* the fifth is the last */
        break;
    default:
        CHECK(false);
    }
    return days * ZONE_DAY_S + change->time_s;
}

/* The segment of an instant among those that the rule makes. */
static struct zone_segment zone_rule_segment(const struct zone_rule *rule, int64_t at_us)
{
    struct zone_segment found = {INT64_MIN, INT64_MAX, rule->standard_s};
    int64_t begun_us = INT64_MIN, year;
    bool begun = false;

    if (!rule->changes) return found;
    year = zone_unit_of(PEN_YEAR, zone_floor_div(at_us, ZONE_DAY));
    /* The latest change at or before the instant, and the first one behind it. Where summer ends
     * and begins at one instant it goes on: so the end is looked at first. */
    for (int64_t y = year - 1; y <= year + 1; y++)
        for (int pass = 0; pass < 2; pass++) {
            const struct zone_change *change = pass == 0 ? &rule->end : &rule->begin;
            int32_t old_s = pass == 0 ? rule->summer_s : rule->standard_s;
            int32_t new_s = pass == 0 ? rule->standard_s : rule->summer_s;
            eng_int128 exact = ((eng_int128)zone_change_at(change, y) - old_s) * ZONE_SECOND;
            int64_t us = zone_clamp(exact);
            bool later = !begun || us > begun_us || (us == begun_us && pass == 1);
            if (us <= at_us && later) {
                begun = true;
                begun_us = us;
                found.offset_s = new_s;
            }
            if (us > at_us && us < found.to_us) found.to_us = us;
        }
    found.from_us = begun_us;
    return found;
}

/* ---- Segments -------------------------------------------------------------------------------- */

static struct zone_segment zone_segment_at(const struct eng_zone *zone, int64_t at_us)
{
    uint32_t low = 0, high = zone->count; /* transitions below low are at or before the instant */

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (zone->at_us[middle] <= at_us)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == zone->count && zone->has_rule) {
        struct zone_segment segment = zone_rule_segment(&zone->rule, at_us);
        if (low > 0 && segment.from_us < zone->at_us[low - 1])
            segment.from_us = zone->at_us[low - 1];
        return segment;
    }
    return (struct zone_segment){
        .from_us = low > 0 ? zone->at_us[low - 1] : INT64_MIN,
        .to_us = low < zone->count ? zone->at_us[low] : INT64_MAX,
        .offset_s = low > 0 ? zone->offset_s[low - 1] : zone->before_s,
    };
}

int32_t eng_zone_offset_s(const struct eng_zone *zone, int64_t at_us)
{
    return zone_segment_at(zone, at_us).offset_s;
}

/* The first instant at which local time has reached `local`. No offset is more than 26 hours, so
 * local time cannot have reached it earlier than that before it. */
static int64_t zone_reached(const struct eng_zone *zone, eng_int128 local)
{
    int64_t at_us = zone_clamp(local - ENG_ZONE_OFFSET_S_MAX * ZONE_SECOND);

    while (true) {
        struct zone_segment segment = zone_segment_at(zone, at_us);
        int64_t reached = zone_clamp(local - segment.offset_s * ZONE_SECOND);
        if (reached < segment.from_us) reached = segment.from_us;
        if (reached < segment.to_us || segment.to_us == INT64_MAX) return reached;
        at_us = segment.to_us;
    }
}

void eng_zone_unit(const struct eng_zone *zone, enum pen_calendar unit, int64_t shift_us,
                   int64_t at_us, int64_t *from_us, int64_t *to_us)
{
    eng_int128 local = (eng_int128)at_us + eng_zone_offset_s(zone, at_us) * ZONE_SECOND;
    int64_t number = zone_unit_of(unit, zone_floor_div(local - shift_us, ZONE_DAY));
    int64_t from =
        zone_reached(zone, (eng_int128)zone_first_day(unit, number) * ZONE_DAY + shift_us);

    /* Where the clock was put back over a boundary, the next unit may have begun already. */
    while (true) {
        int64_t to =
            zone_reached(zone, (eng_int128)zone_first_day(unit, ++number) * ZONE_DAY + shift_us);
        if (to > at_us || to == INT64_MAX) {
            CHECK(from <= at_us);
            *from_us = from;
            *to_us = to;
            return;
        }
        from = to;
    }
}

/* ---- Reading the rule: <+0330>-3:30, EST5EDT,M3.2.0,M11.1.0 ---------------------------------- */

/* A number of at most four digits. */
static bool rule_number(const char **at, int32_t most, int32_t *value)
{
    int32_t sum = 0;
    int digits = 0;

    for (; **at >= '0' && **at <= '9' && digits < 4; (*at)++, digits++)
        sum = sum * 10 + (**at - '0');
    *value = sum;
    return digits > 0 && sum <= most;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool rule_time(const char **at, int32_t hours_max, int32_t *seconds)
{
    int32_t sign = **at == '-' ? -1 : 1, hours, minutes = 0, rest = 0;

    if (**at == '-' || **at == '+') (*at)++;
    if (!rule_number(at, hours_max, &hours)) return false;
    if (**at == ':') {
        (*at)++;
        if (!rule_number(at, 59, &minutes)) return false;
        if (**at == ':') {
            (*at)++;
            if (!rule_number(at, 59, &rest)) return false;
        }
    }
    *seconds = sign * (hours * 3600 + minutes * 60 + rest);
    return true;
}

static bool rule_name(const char **at)
{
    const char *begin = *at;

    if (**at == '<') {
        while (**at && **at != '>')
            (*at)++;
        return *(*at)++ == '>' && *at > begin + 2;
    }
    while ((**at >= 'A' && **at <= 'Z') || (**at >= 'a' && **at <= 'z'))
        (*at)++;
    return *at > begin;
}

static bool rule_skip(const char **at, char c)
{
    if (**at != c) return false;
    (*at)++;
    return true;
}

static bool rule_change(const char **at, struct zone_change *change)
{
    *change = (struct zone_change){.kind = '0', .time_s = 2 * 3600};
    if (rule_skip(at, 'M')) {
        change->kind = 'M';
        if (!rule_number(at, 12, &change->month) || !rule_skip(at, '.')) return false;
        if (!rule_number(at, 5, &change->week) || !rule_skip(at, '.')) return false;
        if (!rule_number(at, 6, &change->weekday)) return false;
        if (change->month < 1 || change->week < 1) return false;
    } else {
        if (rule_skip(at, 'J')) change->kind = 'J';
        if (!rule_number(at, 365, &change->day)) return false;
        if (change->kind == 'J' && change->day < 1) return false;
    }
    if (!rule_skip(at, '/')) return true;
    return rule_time(at, ZONE_RULE_TIME_S_MAX / 3600, &change->time_s);
}

static bool rule_read(struct zone_rule *rule, const char *at)
{
    int32_t west_s;

    /* A rule says how far west a place is. */
    if (!rule_name(&at) || !rule_time(&at, 24, &west_s)) return false;
    *rule = (struct zone_rule){.standard_s = -west_s};
    if (*at == '\0') return true;
    rule->changes = true;
    if (!rule_name(&at)) return false;
    rule->summer_s = rule->standard_s + 3600;
    if (*at != ',') {
        if (!rule_time(&at, 24, &west_s)) return false;
        rule->summer_s = -west_s;
    }
    if (!rule_skip(&at, ',') || !rule_change(&at, &rule->begin)) return false;
    if (!rule_skip(&at, ',') || !rule_change(&at, &rule->end)) return false;
    return *at == '\0';
}

/* ---- Reading a file -------------------------------------------------------------------------- */

/* The counts of a block, in their order in its head. */
struct zone_head {
    uint32_t universal, standard, leaps, times, types, chars;
};

static uint64_t zone_big_endian(const uint8_t *at, uint32_t bytes)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

static bool zone_read_head(const uint8_t *at, size_t size_bytes, struct zone_head *head)
{
    if (size_bytes < ZONE_HEAD_BYTES || memcmp(at, "TZif", 4) != 0) return false;
    uint32_t *counts[] = {&head->universal, &head->standard, &head->leaps,
                          &head->times,     &head->types,    &head->chars};
    for (uint32_t i = 0; i < 6; i++)
        *counts[i] = (uint32_t)zone_big_endian(at + 20 + 4 * i, 4);
    return true;
}

static uint64_t zone_block_bytes(const struct zone_head *head, uint32_t time_bytes)
{
    return (uint64_t)head->times * (time_bytes + 1) + (uint64_t)head->types * 6 + head->chars +
           (uint64_t)head->leaps * (time_bytes + 4) + head->standard + head->universal;
}

/* Transitions of the block at `times`. False: it contradicts itself. */
static bool zone_read_block(struct eng_zone *zone, const struct zone_head *head,
                            const uint8_t *times)
{
    const uint8_t *kinds = times + (size_t)head->times * 8, *types = kinds + head->times;
    int64_t before = INT64_MIN;

    for (uint32_t i = 0; i < head->types; i++) {
        int32_t offset_s = (int32_t)zone_big_endian(types + (size_t)i * 6, 4);
        if (offset_s > ENG_ZONE_OFFSET_S_MAX || offset_s < -ENG_ZONE_OFFSET_S_MAX) return false;
        if (i == 0) zone->before_s = offset_s;
    }
    for (uint32_t i = 0; i < head->times; i++) {
        int64_t second = (int64_t)zone_big_endian(times + (size_t)i * 8, 8);
        int64_t us = zone_clamp((eng_int128)second * ZONE_SECOND);
        if (kinds[i] >= head->types || (i > 0 && second <= before)) return false;
        before = second;
        /* Before and behind all that can be said in microseconds. */
        if (zone->count > 0 && zone->at_us[zone->count - 1] == us) zone->count--;
        if (us == INT64_MAX) return true;
        zone->at_us[zone->count] = us;
        zone->offset_s[zone->count++] = (int32_t)zone_big_endian(types + (size_t)kinds[i] * 6, 4);
    }
    return true;
}

/* The text between the line ends at the end of a file. */
static bool zone_read_rule(struct eng_zone *zone, const char *at, size_t size_bytes)
{
    char text[128];
    const char *end;

    if (size_bytes < 2 || at[0] != '\n') return false;
    end = memchr(at + 1, '\n', size_bytes - 1);
    if (!end) return false;
    size_t length = (size_t)(end - at - 1);
    if (length == 0) return true; /* nobody knows what comes */
    if (length >= sizeof text || memchr(at + 1, '\0', length)) return false;
    memcpy(text, at + 1, length);
    text[length] = '\0';
    zone->has_rule = rule_read(&zone->rule, text);
    return zone->has_rule;
}

static int zone_refuse(struct eng_reason *reason, const char *why)
{
    eng_reason_set(reason, "%s", why);
    return -EBADMSG;
}

int eng_zone_read(struct eng_zone **zone, const void *bytes_, size_t size_bytes,
                  struct eng_reason *reason)
{
    const uint8_t *bytes = bytes_;
    struct zone_head head;

    if (!zone_read_head(bytes, size_bytes, &head)) return zone_refuse(reason, "it is no TZif file");
    if (bytes[4] < '2') return zone_refuse(reason, "it is a TZif file of version 1, too old");
    uint64_t skip = ZONE_HEAD_BYTES + zone_block_bytes(&head, 4);
    if (skip > size_bytes || !zone_read_head(bytes + skip, size_bytes - skip, &head))
        return zone_refuse(reason, "it is a TZif file that is cut off");
    skip += ZONE_HEAD_BYTES;
    if (zone_block_bytes(&head, 8) > size_bytes - skip)
        return zone_refuse(reason, "it is a TZif file that is cut off");
    if (head.leaps > 0)
        return zone_refuse(reason, "it counts leap seconds, and times here do not: take the zone "
                                   "of the same name without right/");
    if (head.types == 0 || head.types > 256)
        return zone_refuse(reason, "it is a TZif file that contradicts itself");

    struct eng_zone *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    made->at_us = calloc(head.times ? head.times : 1, sizeof *made->at_us);
    made->offset_s = calloc(head.times ? head.times : 1, sizeof *made->offset_s);
    CHECK(made->at_us != NULL);
    CHECK(made->offset_s != NULL);
    uint64_t rule = skip + zone_block_bytes(&head, 8);
    if (!zone_read_block(made, &head, bytes + skip) ||
        !zone_read_rule(made, (const char *)bytes + rule, size_bytes - rule)) {
        eng_zone_close(made);
        return zone_refuse(reason, "it is a TZif file that contradicts itself");
    }
    *zone = made;
    return 0;
}

/* ---- By name --------------------------------------------------------------------------------- */

/* Letters, digits, + - _ and single slashes between names that do not begin with a dot: nothing
 * that leaves the directory. */
static bool zone_name_is_good(const char *name)
{
    if (*name == '\0' || strlen(name) > ZONE_NAME_BYTES_MAX) return false;
    for (const char *at = name; *at; at++) {
        bool begins = at == name || at[-1] == '/';
        bool word = (*at >= 'A' && *at <= 'Z') || (*at >= 'a' && *at <= 'z');
        bool more = (*at >= '0' && *at <= '9') || strchr("+-_", *at);
        if (*at == '/' && !begins && at[1] != '\0') continue;
        if (*at == '.' && !begins) continue;
        if (!word && !(more && !begins)) return false;
    }
    return true;
}

/* The whole file, at most one byte more than it may have. Bytes, or -errno. */
static ssize_t zone_load(const char *path, char *to)
{
    struct stat status;
    ssize_t bytes = 0, got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) return -errno;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return -EISDIR;
    }
    while (bytes <= ENG_ZONE_FILE_BYTES_MAX) {
        got = read(fd, to + bytes, (size_t)(ENG_ZONE_FILE_BYTES_MAX + 1 - bytes));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        bytes += got;
    }
    got = got < 0 ? -errno : bytes;
    close(fd);
    return got;
}

static struct eng_zone *zone_utc(void)
{
    struct eng_zone *zone = calloc(1, sizeof *zone);

    CHECK(zone != NULL);
    return zone;
}

int eng_zone_open(struct eng_zone **zone, const char *name, struct eng_reason *reason)
{
    char path[sizeof ZONE_DIRECTORY + ZONE_NAME_BYTES_MAX];
    struct eng_reason why = {{0}};
    struct eng_reason_quote quote;

    if (!name) {
        eng_reason_set(reason, "a time zone's name is missing");
        return -EINVAL;
    }
    quote = eng_reason_quote(pen_view_sized(name, (uint32_t)strnlen(name, UINT16_MAX)));
    if (strcmp(name, "UTC") == 0) {
        *zone = zone_utc();
        return 0;
    }
    if (!zone_name_is_good(name)) {
        eng_reason_set(reason, "%s is no name of a time zone, as Europe/Berlin is", quote.text);
        return -EINVAL;
    }
    memcpy(path, ZONE_DIRECTORY, sizeof ZONE_DIRECTORY);
    memcpy(path + sizeof ZONE_DIRECTORY - 1, name, strlen(name) + 1);
    char *bytes = malloc(ENG_ZONE_FILE_BYTES_MAX + 1);
    CHECK(bytes != NULL);
    ssize_t size_bytes = zone_load(path, bytes);
    int result = (int)size_bytes;
    if (size_bytes == -ENOENT || size_bytes == -ENOTDIR || size_bytes == -EISDIR) {
        result = -EINVAL;
        if (access(ZONE_DIRECTORY, F_OK) < 0)
            eng_reason_set(reason, "time zone %s is not known, since the package tzdata is missing",
                           quote.text);
        else
            eng_reason_set(reason, "there is no time zone %s", quote.text);
    } else if (size_bytes < 0) {
        eng_reason_set(reason, "time zone %s cannot be read: %s", quote.text, strerror(-result));
    } else if (size_bytes > ENG_ZONE_FILE_BYTES_MAX) {
        result = -EBADMSG;
        eng_reason_set(reason, "%s is no time zone: its file is too large", quote.text);
    } else {
        result = eng_zone_read(zone, bytes, (size_t)size_bytes, &why);
        if (result < 0) eng_reason_set(reason, "%s is no time zone: %s", quote.text, why.text);
    }
    free(bytes);
    return result;
}

void eng_zone_close(struct eng_zone *zone)
{
    if (!zone) return;
    free(zone->at_us);
    free(zone->offset_s);
    free(zone);
}
