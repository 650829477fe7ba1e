#include "engine/operator/window_span.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "engine/record/value.h"
#include "shm/check.h"

/* ---- Checking -------------------------------------------------------------------------------- */

static const char *window_name(enum pen_window_kind kind)
{
    switch (kind) {
    case PEN_WINDOW_TUMBLING:
        return "pen_tumbling";
    case PEN_WINDOW_SLIDING:
        return "pen_sliding";
    case PEN_WINDOW_SESSION:
        return "pen_session";
    case PEN_WINDOW_CALENDAR:
        return "pen_calendar_of";
    case PEN_WINDOW_COUNT:
        return "pen_counting";
    case PEN_WINDOW_GLOBAL:
        return "pen_global";
    case PEN_WINDOW_CUMULATING:
        return "pen_cumulating";
    case PEN_WINDOW_ATTACHED:
        return "pen_attached";
    case PEN_WINDOW_NONE:
        break;
    }
    return NULL;
}

/* Durations in the largest unit that is exact, as people write them. */
struct window_duration {
    char text[32];
};

static struct window_duration window_duration(int64_t us)
{
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {{"d", 86400000000}, {"h", 3600000000}, {"min", 60000000},
                 {"s", 1000000},     {"ms", 1000},      {"us", 1}};
    struct window_duration duration;
    uint32_t unit = 0;

    while (us % units[unit].us != 0)
        unit++;
    if (us == 0)
        snprintf(duration.text, sizeof duration.text, "0");
    else
        snprintf(duration.text, sizeof duration.text, "%" PRId64 "%s", us / units[unit].us,
                 units[unit].name);
    return duration;
}

static bool window_check_positive(const char *name, const char *what, int64_t us,
                                  struct eng_reason *reason)
{
    if (us > 0) return true;
    eng_reason_set(reason, "%s: its %s is %s, and must be more than 0", name, what,
                   window_duration(us).text);
    return false;
}

static bool window_check_overlap(const char *name, const char *what,
                                 const struct pen_window *window, struct eng_reason *reason)
{
    if (window->size / window->slide <= ENG_WINDOW_OVERLAP_MAX) return true;
    eng_reason_set(reason, "%s: a size of %s and a %s of %s put a record into more than %d windows",
                   name, window_duration(window->size).text, what,
                   window_duration(window->slide).text, ENG_WINDOW_OVERLAP_MAX);
    return false;
}

static bool window_check_calendar(const struct pen_window *window, struct eng_reason *reason)
{
    struct eng_zone *zone = NULL;
    struct eng_reason why = {{0}};

    if (window->calendar < PEN_DAY || window->calendar > PEN_YEAR) {
        eng_reason_set(reason,
                       "pen_calendar_of: %u is none of PEN_DAY, PEN_WEEK, PEN_MONTH, "
                       "PEN_QUARTER, PEN_YEAR",
                       (unsigned)window->calendar);
        return false;
    }
    if (eng_zone_open(&zone, window->zone, &why) < 0) {
        eng_reason_set(reason, "pen_calendar_of: %s", why.text);
        return false;
    }
    eng_zone_close(zone);
    return true;
}

static bool window_check_kind(const char *name, const struct pen_window *window,
                              struct eng_reason *reason)
{
    switch (window->kind) {
    case PEN_WINDOW_TUMBLING:
        return window_check_positive(name, "size", window->size, reason);
    case PEN_WINDOW_SLIDING:
        return window_check_positive(name, "size", window->size, reason) &&
               window_check_positive(name, "slide", window->slide, reason) &&
               window_check_overlap(name, "slide", window, reason);
    case PEN_WINDOW_CUMULATING:
        if (!window_check_positive(name, "size", window->size, reason) ||
            !window_check_positive(name, "step", window->slide, reason))
            return false;
        if (window->size % window->slide == 0)
            return window_check_overlap(name, "step", window, reason);
        eng_reason_set(reason, "%s: its size of %s is no multiple of its step of %s", name,
                       window_duration(window->size).text, window_duration(window->slide).text);
        return false;
    case PEN_WINDOW_SESSION:
        if (window->gap_field) return true;
        return window_check_positive(name, "gap", window->gap, reason);
    case PEN_WINDOW_CALENDAR:
        return window_check_calendar(window, reason);
    case PEN_WINDOW_COUNT:
        if (window->count > 0) return true;
        eng_reason_set(reason, "%s: it counts to %" PRId64 ", and must count to 1 at least", name,
                       window->count);
        return false;
    case PEN_WINDOW_ATTACHED:
        if (window->start_field && window->end_field) return true;
        eng_reason_set(reason, "%s: it needs the names of two fields", name);
        return false;
    case PEN_WINDOW_GLOBAL:
    case PEN_WINDOW_NONE:
        return true;
    }
    CHECK(false);
}

bool eng_window_check(const struct pen_window *window, struct eng_reason *reason)
{
    const char *name = window_name(window->kind);

    if (!name) {
        eng_reason_set(reason, "the window is of kind %u, which this Penstock does not know",
                       (unsigned)window->kind);
        return false;
    }
    if (window->clock != PEN_EVENT_TIME && window->clock != PEN_CLOCK_TIME) {
        eng_reason_set(reason, "%s: its clock is %u, which this Penstock does not know", name,
                       (unsigned)window->clock);
        return false;
    }
    if (window->offset != 0 && !eng_window_is_aligned(window->kind)) {
        eng_reason_set(reason, "pen_shifted: a window of %s starts where its records say", name);
        return false;
    }
    if (window->clock == PEN_CLOCK_TIME &&
        (window->kind == PEN_WINDOW_COUNT || window->kind == PEN_WINDOW_ATTACHED)) {
        eng_reason_set(reason, "pen_by_clock: a window of %s does not go by time", name);
        return false;
    }
    return window_check_kind(name, window, reason);
}

int eng_window_span_open(struct eng_window_span *span, const struct pen_window *window,
                         struct eng_reason *reason)
{
    CHECK(eng_window_is_aligned(window->kind));
    if (!eng_window_check(window, reason)) return -EINVAL;
    *span = (struct eng_window_span){
        .kind = window->kind,
        .size_us = window->size,
        .slide_us = window->kind == PEN_WINDOW_TUMBLING ? window->size : window->slide,
        .offset_us = window->offset,
        .calendar = window->calendar,
    };
    if (window->kind != PEN_WINDOW_CALENDAR) return 0;
    return eng_zone_open(&span->zone, window->zone, reason) < 0 ? -EINVAL : 0;
}

void eng_window_span_close(struct eng_window_span *span)
{
    eng_zone_close(span->zone);
    span->zone = NULL;
}

/* ---- Arithmetic ------------------------------------------------------------------------------ */

static int64_t span_clamp(eng_int128 us)
{
    return us < INT64_MIN ? INT64_MIN : us > INT64_MAX ? INT64_MAX : (int64_t)us;
}

/* The multiple of `unit` at or below. */
static eng_int128 span_floor(eng_int128 us, int64_t unit)
{
    eng_int128 rest = us % unit;
    return us - (rest < 0 ? rest + unit : rest);
}

static struct eng_window span_bounds(const struct eng_window_span *span, eng_int128 from,
                                     eng_int128 to)
{
    return (struct eng_window){span_clamp(from + span->offset_us),
                               span_clamp(to + span->offset_us)};
}

bool eng_window_span_slice(const struct eng_window_span *span, int64_t at_us,
                           struct eng_window *slice)
{
    if (span->kind == PEN_WINDOW_CALENDAR) {
        eng_zone_unit(span->zone, span->calendar, span->offset_us, at_us, &slice->from_us,
                      &slice->to_us);
        return true;
    }
    eng_int128 at = (eng_int128)at_us - span->offset_us, start = span_floor(at, span->slide_us);
    int64_t rest = span->kind == PEN_WINDOW_SLIDING ? span->size_us % span->slide_us : 0;

    if (rest == 0) {
        *slice = span_bounds(span, start, start + span->slide_us);
    } else if (at < start + rest) {
        *slice = span_bounds(span, start, start + rest);
    } else {
        *slice = span_bounds(span, start + rest, start + span->slide_us);
        return span->size_us > span->slide_us;
    }
    return true;
}

/* A time in the slice, without the offset; one of its bounds may be cut off. */
static eng_int128 span_inside(const struct eng_window_span *span, const struct eng_window *slice)
{
    int64_t inside = slice->to_us == INT64_MAX ? slice->from_us : slice->to_us - 1;

    return (eng_int128)inside - span->offset_us;
}

bool eng_window_span_next(const struct eng_window_span *span, const struct eng_window *slice,
                          int64_t after_us, struct eng_window *window)
{
    if (eng_window_span_is_slice(span)) {
        *window = *slice;
        return slice->to_us > after_us;
    }
    eng_int128 at = span_inside(span, slice), after = (eng_int128)after_us - span->offset_us;
    eng_int128 start, end;

    if (after < at) after = at;
    if (span->kind == PEN_WINDOW_SLIDING) {
        start = span_floor(after - span->size_us, span->slide_us) + span->slide_us;
        end = start + span->size_us;
        if (start > at) return false;
    } else {
        start = span_floor(at, span->size_us);
        end = span_floor(after, span->slide_us) + span->slide_us;
        if (end > start + span->size_us) return false;
    }
    *window = span_bounds(span, start, end);
    return window->to_us > after_us;
}

int64_t eng_window_span_last_end(const struct eng_window_span *span, const struct eng_window *slice)
{
    if (eng_window_span_is_slice(span)) return slice->to_us;
    eng_int128 at = span_inside(span, slice);
    int64_t unit = span->kind == PEN_WINDOW_SLIDING ? span->slide_us : span->size_us;

    return span_bounds(span, 0, span_floor(at, unit) + span->size_us).to_us;
}
