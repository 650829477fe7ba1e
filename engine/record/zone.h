/* engine/record/zone.h: the local time of a place, for calendar windows.
 *
 * A zone is read once, when a job's graph is built, from the system's files (TZif in
 * /usr/share/zoneinfo, package tzdata), and is plain private memory from then on: workers have it
 * by fork, nobody changes it, and a user's TZ or locale have no say. "UTC" is known without a file.
 *
 *     file      | transitions: instant -> offset | ... |  a rule for all that come later
 *     instant   ------[-------[------[------[---------------- ... rule: twice a year, for ever
 *
 * Instants are microseconds since the epoch; the local time of an instant is the instant plus its
 * offset. Leap seconds are ignored, as everywhere: a file that counts them is refused.
 *
 * Calendar units. Local time jumps, so a unit's start is defined by what can be found out: the
 * first instant at which local time has reached the boundary. From that follow
 *
 *     a midnight that does not exist    the day starts with the first instant of its date
 *     a midnight that comes twice       the day starts with the first of them
 *     a date that does not exist        is a unit without an instant, which nobody ever sees
 *     days of 23 or 25 hours            as they are
 *
 * and that units lie end to end without holes, for every instant there is. What would lie beyond
 * int64 is INT64_MIN or INT64_MAX. The calendar is the Gregorian one, for all years.
 */
#ifndef ENG_RECORD_ZONE_H
#define ENG_RECORD_ZONE_H

#include <penstock/window.h>

#include "engine/record/reason.h"

enum {
    ENG_ZONE_FILE_BYTES_MAX = 1 << 20, /* the largest there are have 4 KiB */
    ENG_ZONE_OFFSET_S_MAX = 26 * 3600, /* either way; more is no local time */
};

struct eng_zone;

/* 0; -EINVAL: no such zone, or no name of one ("../etc/passwd"); -EBADMSG: its file is none;
 * -errno: it cannot be read. On failure *zone is untouched and reason says why. */
int eng_zone_open(struct eng_zone **zone, const char *name, struct eng_reason *reason);
/* The same from the bytes of a file that anybody may have made. */
int eng_zone_read(struct eng_zone **zone, const void *bytes, size_t size_bytes,
                  struct eng_reason *reason);
void eng_zone_close(struct eng_zone *zone); /* accepts NULL */

/* Seconds east of Greenwich. */
int32_t eng_zone_offset_s(const struct eng_zone *zone, int64_t at_us);

/* The day, week (from Monday), month, quarter or year that contains an instant: [*from_us, *to_us).
 * Units begin shift_us after the calendar's, by the clock on the wall: with six hours a day starts
 * at six, whatever happened in the night. */
void eng_zone_unit(const struct eng_zone *zone, enum pen_calendar unit, int64_t shift_us,
                   int64_t at_us, int64_t *from_us, int64_t *to_us);

#endif
