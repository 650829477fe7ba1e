/* engine/record/zone: offsets and calendar units of places.
 * Method: against glibc, which reads the same files by other code: random instants of 1901 to 2200
 * in zones of every kind, and rules that stand in no file. A unit's bounds are checked by what they
 * mean: local time before them, local time at them. Then files that are broken at random. */
#include "engine/record/zone.h"

#include <errno.h>
#include <time.h>

#include "tests/record_random.h"

#define SECOND 1000000LL
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

static struct random randomness = {5};
static struct eng_reason reason;

static const char *const names[] = {
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",   /* put its clocks forward at midnight */
    "America/St_Johns",    /* put them back at one minute past it */
    "America/Havana",      /* puts them back at one */
    "Asia/Kathmandu",      /* +05:45 */
    "Asia/Beirut",         /* midnight does not exist, in our time */
    "Australia/Lord_Howe", /* half an hour of summer time */
    "Pacific/Apia",        /* had no 30 December 2011 */
    "Africa/Casablanca",   /* summer time but for one month, by the moon */
    "Europe/Dublin",       /* the winter is what is saved */
    "America/Godthab",     /* changes on the evening before */
    "Antarctica/Troll",    /* two hours */
    "Africa/Monrovia",     /* seconds in its offset */
    "Asia/Tokyo",
};
enum { NAMES = sizeof names / sizeof names[0] };

static struct eng_zone *opens(const char *name)
{
    struct eng_zone *zone = NULL;

    if (eng_zone_open(&zone, name, &reason) < 0) {
        printf("\n%s\n", reason.text);
        CU_FAIL_FATAL("a zone does not open");
    }
    setenv("TZ", name, 1);
    tzset();
    return zone;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static struct tm local_of(int64_t at_us)
{
    time_t second = floor_div(at_us, SECOND);
    struct tm local;

    if (!localtime_r(&second, &local)) CU_FAIL_FATAL("localtime_r");
    return local;
}

/* What the clock on the wall says, as if it were UTC. */
static int64_t wall_of(int64_t at_us)
{
    struct tm local = local_of(at_us);
    return (int64_t)timegm(&local) * SECOND + at_us - floor_div(at_us, SECOND) * SECOND;
}

/* 1901 to 2200, and for one in two a change of the clocks nearby. */
static int64_t random_instant(struct random *random)
{
    int64_t at = -2177452800 + (int64_t)(random_next(random) % 9435484800ull);
    int64_t first = local_of(at * SECOND).tm_gmtoff;

    if (random_below(random, 2) == 0) return at * SECOND + random_below(random, 1000000);
    for (int i = 0; i < 400 && local_of(at * SECOND).tm_gmtoff == first; i++)
        at += 86400;
    return (at - 2 * 86400 + random_below(random, 3 * 86400)) * SECOND;
}

static void offsets_are_those_of_glibc(void)
{
    for (uint32_t z = 0; z < NAMES; z++) {
        struct eng_zone *zone = opens(names[z]);
        for (int i = 0; i < 3000; i++) {
            int64_t at_us = random_instant(&randomness);
            long wanted = local_of(at_us).tm_gmtoff, is = eng_zone_offset_s(zone, at_us);
            if (is == wanted) continue;
            printf("\n%s at %lld: %ld, not %ld\n", names[z], (long long)at_us, is, wanted);
            CU_FAIL_FATAL("another offset");
        }
        eng_zone_close(zone);
    }
}

/* The start, on the wall, of the unit that contains a local time. */
static int64_t wall_start(enum pen_calendar unit, int64_t wall_us)
{
    time_t day = floor_div(wall_us, DAY) * 86400;
    struct tm date;

    if (!gmtime_r(&day, &date)) CU_FAIL_FATAL("gmtime_r");
    switch (unit) {
    case PEN_WEEK:
        date.tm_mday -= (date.tm_wday + 6) % 7;
        break;
    case PEN_MONTH:
        date.tm_mday = 1;
        break;
    case PEN_QUARTER:
        date.tm_mday = 1;
        date.tm_mon -= date.tm_mon % 3;
        break;
    case PEN_YEAR:
        date.tm_mday = 1;
        date.tm_mon = 0;
        break;
    case PEN_DAY:
        break;
    }
    return (int64_t)timegm(&date) * SECOND;
}

/* [from, to) is a unit that contains the instant: its bounds are the first instants at which the
 * wall clock has reached a boundary, and there is no other boundary in between. */
static bool is_unit(enum pen_calendar unit, int64_t shift_us, int64_t at_us, int64_t from_us,
                    int64_t to_us)
{
    int64_t from_wall = wall_of(from_us) - shift_us, to_wall = wall_of(to_us) - shift_us;
    int64_t start = wall_start(unit, from_wall), next = wall_start(unit, to_wall);

    if (from_us > at_us || at_us >= to_us || start >= next) return false;
    for (int64_t back = 1; back < 26 * HOUR; back += 37 * 60 * SECOND) {
        if (wall_of(from_us - back) - shift_us >= start) return false;
        if (wall_of(to_us - back) - shift_us >= next) return false;
    }
    return wall_start(unit, wall_of(to_us - 1) - shift_us) == start;
}

static void units_begin_where_the_wall_clock_reaches_them(void)
{
    for (uint32_t z = 0; z < NAMES; z++) {
        struct eng_zone *zone = opens(names[z]);
        for (int i = 0; i < 200; i++) {
            int64_t at_us = random_instant(&randomness), from_us, to_us, before_us, same_us;
            enum pen_calendar unit = PEN_DAY + random_below(&randomness, 5);
            int64_t shift_us = random_below(&randomness, 2) ? 0 : 6 * HOUR;

            eng_zone_unit(zone, unit, shift_us, at_us, &from_us, &to_us);
            if (!is_unit(unit, shift_us, at_us, from_us, to_us)) {
                printf("\n%s, unit %u at %lld: [%lld, %lld)\n", names[z], (unsigned)unit,
                       (long long)at_us, (long long)from_us, (long long)to_us);
                CU_FAIL_FATAL("no unit");
            }
            /* All its instants say the same, and its neighbours lie end to end with it. */
            eng_zone_unit(zone, unit, shift_us, to_us - 1, &before_us, &same_us);
            CU_ASSERT_TRUE(before_us == from_us && same_us == to_us);
            eng_zone_unit(zone, unit, shift_us, from_us - 1, &before_us, &same_us);
            CU_ASSERT_EQUAL(same_us, from_us);
            eng_zone_unit(zone, unit, shift_us, to_us, &same_us, &before_us);
            CU_ASSERT_EQUAL(same_us, to_us);
        }
        eng_zone_close(zone);
    }
}

static void days_have_the_hours_they_have(void)
{
    static const struct {
        const char *zone, *at;
        int64_t hours;
    } days[] = {
        {"America/New_York", "2013-03-10T12:00:00Z", 23},
        {"America/New_York", "2013-11-03T12:00:00Z", 25},
        {"America/New_York", "2013-06-01T12:00:00Z", 24},
        {"Europe/Berlin", "2100-03-28T12:00:00Z", 23},
        {"Europe/Berlin", "2100-10-31T12:00:00Z", 25},
        {"America/Sao_Paulo", "2018-11-04T12:00:00Z", 23},
        {"Asia/Beirut", "2022-03-27T12:00:00Z", 23},
        {"Pacific/Apia", "2011-12-30T20:00:00Z", 24}, /* the 31st: the 30th was left out */
    };

    for (uint32_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        struct eng_zone *zone = opens(days[i].zone);
        pen_time at;
        int64_t from_us, to_us;
        CU_ASSERT_TRUE_FATAL(
            pen_parse_time(pen_view_sized(days[i].at, (uint32_t)strlen(days[i].at)), &at));
        eng_zone_unit(zone, PEN_DAY, 0, at.us, &from_us, &to_us);
        CU_ASSERT_EQUAL(to_us - from_us, days[i].hours * HOUR);
        eng_zone_close(zone);
    }
}

/* ---- Rules ----------------------------------------------------------------------------------- */

/* A file of version 2 with one offset and a rule. */
static size_t make_file(uint8_t *to, const char *rule)
{
    uint8_t *at = to;

    for (int block = 0; block < 2; block++) {
        memset(at, 0, 44);
        memcpy(at, "TZif2", 5);
        at[39] = 1; /* types */
        at[43] = 1; /* chars */
        memset(at + 44, 0, 7);
        at += 51;
    }
    return (size_t)(at - to) + (size_t)sprintf((char *)at, "\n%s\n", rule);
}

static void rules_are_read_as_glibc_reads_them(void)
{
    static const char *const rules[] = {
        "EST5EDT,M3.2.0,M11.1.0",          "CET-1CEST,M3.5.0,M10.5.0/3",
        "AEST-10AEDT,M10.1.0,M4.1.0/3",    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "IST-1GMT0,M10.5.0,M3.5.0/1",
        "AAA3BBB,J60,J300/5:30:10",        "AAA3BBB1,59/0,299/24",
        "EET-2EEST,M4.5.5/0,M10.5.4/24",   "XYZ0:0:5",
    };

    for (uint32_t r = 0; r < sizeof rules / sizeof rules[0]; r++) {
        uint8_t file[256];
        struct eng_zone *zone = NULL;
        CU_ASSERT_EQUAL_FATAL(eng_zone_read(&zone, file, make_file(file, rules[r]), &reason), 0);
        setenv("TZ", rules[r], 1);
        tzset();
        for (int i = 0; i < 3000; i++) {
            int64_t at_us = random_instant(&randomness);
            if (at_us < 370 * DAY) continue; /* there glibc has no rules */
            if (eng_zone_offset_s(zone, at_us) == local_of(at_us).tm_gmtoff) continue;
            printf("\n%s at %lld: %d\n", rules[r], (long long)at_us,
                   eng_zone_offset_s(zone, at_us));
            CU_FAIL_FATAL("another offset");
        }
        eng_zone_close(zone);
    }
}

static void a_summer_that_never_ends_goes_on_over_new_year(void)
{
    uint8_t file[256];
    struct eng_zone *zone = NULL;
    int64_t bad = 0;

    CU_ASSERT_EQUAL_FATAL(
        eng_zone_read(&zone, file, make_file(file, "XXX3EDT4,0/0,J365/23"), &reason), 0);
    for (int64_t at_us = 0; at_us < 3000 * DAY; at_us += HOUR / 2)
        if (eng_zone_offset_s(zone, at_us) != -4 * 3600) bad++;
    CU_ASSERT_EQUAL(bad, 0);
    eng_zone_close(zone);
}

static void rules_that_are_none_are_refused(void)
{
    static const char *const rules[] = {
        "E5",
        "5",
        "EST",
        "EST5EDT",
        "EST5EDT,M3.2.0",
        "EST25",
        "<>5",
        "<EST5",
        "EST5EDT,,",
        "EST5EDT,J0,J5",
        "EST5EDT,366,0",
        "EST5 ",
        "EST5:60",
        "EST5EDT,M13.1.0,M1.1.0",
        "EST5EDT,M1.6.0,M2.1.0",
        "EST5:1:99",
        "EST5EDT,M1.1.7,M2.1.0",
        "EST5EDT,M3.2.0/168,M11.1.0",
        "EST5EDT,M3.2.0,M11.1.0,",
    };

    for (uint32_t r = 1; r < sizeof rules / sizeof rules[0]; r++) {
        uint8_t file[256];
        struct eng_zone *zone = NULL;
        int result = eng_zone_read(&zone, file, make_file(file, rules[r]), &reason);
        if (result != -EBADMSG) printf("\n%s is taken\n", rules[r]);
        CU_ASSERT_EQUAL(result, -EBADMSG);
        if (result == 0) eng_zone_close(zone);
    }
}

/* ---- The ends of time, bad names, bad files -------------------------------------------------- */

static void the_ends_of_time_have_units_too(void)
{
    for (uint32_t z = 0; z < NAMES; z++) {
        struct eng_zone *zone = opens(names[z]);
        for (enum pen_calendar unit = PEN_DAY; unit <= PEN_YEAR; unit++) {
            static const int64_t instants[] = {INT64_MIN,
                                               INT64_MIN + 1,
                                               INT64_MAX,
                                               INT64_MAX - 1,
                                               0,
                                               -62135596800 * SECOND /* year 1 */,
                                               253402300799 * SECOND /* year 9999 */};
            for (uint32_t i = 0; i < 7; i++)
                for (uint32_t s = 0; s < 3; s++) {
                    static const int64_t shifts[] = {0, INT64_MIN, INT64_MAX};
                    int64_t from_us, to_us;
                    eng_zone_unit(zone, unit, shifts[s], instants[i], &from_us, &to_us);
                    CU_ASSERT_TRUE(from_us <= instants[i]);
                    CU_ASSERT_TRUE(instants[i] < to_us || to_us == INT64_MAX);
                }
        }
        eng_zone_close(zone);
    }
}

static void names_that_are_no_zones_are_refused(void)
{
    static const struct {
        const char *name, *says;
    } cases[] = {
        {"Europe/Berlni", "there is no time zone \"Europe/Berlni\""},
        {"Europe", "there is no time zone"},
        {"Europe/Berlin/x", "there is no time zone"},
        {"../etc/passwd", "no name of a time zone"},
        {"Europe/../../../../etc/passwd", "no name of a time zone"},
        {"Europe/.hidden", "no name of a time zone"},
        {"/etc/passwd", "no name of a time zone"},
        {"Europe//Berlin", "no name of a time zone"},
        {"Europe/", "no name of a time zone"},
        {"", "no name of a time zone"},
        {":Europe/Berlin", "no name of a time zone"},
        {"Europe/Ber\nlin", "no name of a time zone"},
        {"tzdata.zi", "is no time zone: it is no TZif file"},
        {"right/Europe/Berlin", "counts leap seconds"},
        {NULL, "name is missing"},
    };

    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct eng_zone *zone = NULL;
        CU_ASSERT_TRUE(eng_zone_open(&zone, cases[i].name, &reason) < 0);
        CU_ASSERT_PTR_NULL(zone);
        assert_says(reason.text, cases[i].says);
    }
}

static void broken_files_are_refused_or_make_sense(void)
{
    static uint8_t good[65536], bad[65536];
    FILE *file = fopen("/usr/share/zoneinfo/America/St_Johns", "rb");
    uint32_t refused = 0, taken = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    size_t size = fread(good, 1, sizeof good, file);
    fclose(file);
    for (size_t cut = 0; cut < size; cut += 1 + random_below(&randomness, 30)) {
        struct eng_zone *zone = NULL;
        uint8_t *exact = malloc(cut ? cut : 1); /* so that a sanitizer sees what lies behind */
        memcpy(exact, good, cut);
        CU_ASSERT_TRUE(eng_zone_read(&zone, exact, cut, &reason) < 0);
        free(exact);
    }
    for (int i = 0; i < 3000; i++) {
        struct eng_zone *zone = NULL;
        memcpy(bad, good, size);
        for (uint32_t n = 1 + random_below(&randomness, 4); n > 0; n--) {
            uint32_t where = random_below(&randomness, 3) ? (uint32_t)size : 100;
            bad[random_below(&randomness, where)] = (uint8_t)random_next(&randomness);
        }
        if (eng_zone_read(&zone, bad, size, &reason) < 0) {
            refused++;
            continue;
        }
        taken++;
        for (int k = 0; k < 10; k++) {
            int64_t at_us = random_int(&randomness, 64), from_us, to_us;
            eng_zone_unit(zone, PEN_DAY + random_below(&randomness, 5), 0, at_us, &from_us, &to_us);
            CU_ASSERT_TRUE(from_us <= at_us && (at_us < to_us || to_us == INT64_MAX));
        }
        eng_zone_close(zone);
    }
    CU_ASSERT_TRUE(refused > 100 && taken > 100);
}

int main(void)
{
    static const struct record_test tests[] = {
        RECORD_TEST(offsets_are_those_of_glibc),
        RECORD_TEST(units_begin_where_the_wall_clock_reaches_them),
        RECORD_TEST(days_have_the_hours_they_have),
        RECORD_TEST(rules_are_read_as_glibc_reads_them),
        RECORD_TEST(a_summer_that_never_ends_goes_on_over_new_year),
        RECORD_TEST(rules_that_are_none_are_refused),
        RECORD_TEST(the_ends_of_time_have_units_too),
        RECORD_TEST(names_that_are_no_zones_are_refused),
        RECORD_TEST(broken_files_are_refused_or_make_sense),
    };
    return record_run("time zones", tests, sizeof tests / sizeof tests[0]);
}
