/* engine/operator/window_span.h: aligned windows as arithmetic: which of them a time lies in.
 *
 * A window is aligned when it depends on time alone and not on what the records are: tumbling,
 * sliding, cumulating and calendar windows. The other kinds (session, counting, global, attached)
 * are checked here and computed elsewhere.
 *
 * Slices. All windows' edges together cut time into slices, and a window is a run of whole slices.
 * So a record is added once, to its slice, however many windows it lies in:
 *
 *     sliding, size 5, slide 2        slices     | |  | |  | |  | |  |      from 2k and 2k + 5
 *                                     windows    [-----------)
 *                                                     [-----------)
 *     cumulating, size 6, step 2      slices     |   |   |   |   |   |   |
 *                                     windows    [---)       [---)
 *                                                [-------)   [-------)
 *                                                [-----------[-----------)
 *
 * Where size is not a multiple of slide every slide has two slices, no more. Where slide is larger
 * than size there are slices in no window.
 *
 *     eng_window_span_slice   time -> slice           false: it is in no window
 *     eng_window_span_next    slice -> its windows, in the order of their ends
 *
 *     for (after = INT64_MIN; eng_window_span_next(span, slice, after, &window);
 *          after = window.to_us)
 *
 * Windows start at multiples of size (slide) plus offset, for negative times too: division is
 * floored. A bound beyond int64 is INT64_MIN or INT64_MAX, and of all windows that would end beyond
 * it there is the first one only; so every time has a window, whatever it is.
 *
 * Pure but for open and close. Opened before the fork, read by all.
 */
#ifndef ENG_OPERATOR_WINDOW_SPAN_H
#define ENG_OPERATOR_WINDOW_SPAN_H

#include <penstock/window.h>

#include "engine/record/reason.h"
#include "engine/record/zone.h"

enum {
    /* Windows that one record may lie in: each of them looks at so many slices when it fires. */
    ENG_WINDOW_OVERLAP_MAX = 10000,
};

/* [from_us, to_us): a window, or a slice. */
struct eng_window {
    int64_t from_us, to_us;
};

struct eng_window_span {
    enum pen_window_kind kind;
    int64_t size_us, slide_us; /* cumulating: slide is the step */
    int64_t offset_us;
    enum pen_calendar calendar;
    struct eng_zone *zone; /* of a calendar */
};

/* Whether a window of any kind is one: sizes, counts, zone, and no option that its kind has not.
 * False: *reason says why, beginning with the name of the function that makes it. Fields of records
 * are the caller's to look for. */
bool eng_window_check(const struct pen_window *window, struct eng_reason *reason);

static inline bool eng_window_is_aligned(enum pen_window_kind kind)
{
    return kind == PEN_WINDOW_TUMBLING || kind == PEN_WINDOW_SLIDING ||
           kind == PEN_WINDOW_CUMULATING || kind == PEN_WINDOW_CALENDAR;
}

/* For aligned windows. Checks, too. 0 or -EINVAL, with a reason. */
int eng_window_span_open(struct eng_window_span *span, const struct pen_window *window,
                         struct eng_reason *reason);
void eng_window_span_close(struct eng_window_span *span); /* accepts zeros */

/* The slice that a time lies in; false: it lies in no window. */
bool eng_window_span_slice(const struct eng_window_span *span, int64_t at_us,
                           struct eng_window *slice);

/* Of the windows that contain a slice and end after `after_us` the one that ends first. */
bool eng_window_span_next(const struct eng_window_span *span, const struct eng_window *slice,
                          int64_t after_us, struct eng_window *window);

/* When the last of its windows ends. */
int64_t eng_window_span_last_end(const struct eng_window_span *span,
                                 const struct eng_window *slice);

/* Whether windows are made of one slice each. */
static inline bool eng_window_span_is_slice(const struct eng_window_span *span)
{
    return span->kind == PEN_WINDOW_TUMBLING || span->kind == PEN_WINDOW_CALENDAR;
}

/* The last instant of a window, after which it may fire. */
static inline int64_t eng_window_last(const struct eng_window *window)
{
    return window->to_us - 1;
}

/* Saturating. */
static inline int64_t eng_time_add(int64_t at_us, int64_t by_us)
{
    int64_t sum;

    if (!__builtin_add_overflow(at_us, by_us, &sum)) return sum;
    return by_us > 0 ? INT64_MAX : INT64_MIN;
}

#endif
