/* penstock/window.h: windows and aggregates. Both are data: small structs that the functions below
 * fill, and that the engine can share, slice, pre-aggregate and show.
 */
#ifndef PENSTOCK_WINDOW_H
#define PENSTOCK_WINDOW_H

#include <penstock/function.h>

#ifdef __cplusplus
extern "C" {
#endif

PEN_API_BEGIN_

/* An order of records, as data: the fields that decide, the first one first.
 *
 *     .order = PEN_ORDER({"delay_min", .descending = true}, {"at"})
 *
 * What is equal in all of them keeps the order of arrival, the earlier first, or the later first
 * where the operator is asked to keep the last. */
struct pen_order {
    const char *field; /* NULL: the end of the list */
    bool descending;
    bool nulls_first; /* default: last, whichever the direction */
};
#define PEN_ORDER(...)                                                                             \
    PEN_ARRAY_(struct pen_order, PEN_LITERAL_(pen_order, NULL, false, false), __VA_ARGS__)

/* ---- Windows --------------------------------------------------------------------------------- */

enum pen_window_kind {
    PEN_WINDOW_NONE,
    PEN_WINDOW_TUMBLING,
    PEN_WINDOW_SLIDING,
    PEN_WINDOW_SESSION,
    PEN_WINDOW_CALENDAR,
    PEN_WINDOW_COUNT,
    PEN_WINDOW_GLOBAL,
    PEN_WINDOW_CUMULATING,
    PEN_WINDOW_ATTACHED,
};

enum pen_calendar { PEN_DAY = 1, PEN_WEEK, PEN_MONTH, PEN_QUARTER, PEN_YEAR };

/* It is embedded in the structs of operators, so its size is fixed: new members come out of the
 * reserve. */
struct pen_window {
    enum pen_window_kind kind;
    enum pen_clock_kind clock;
    pen_duration size, slide, gap;
    pen_duration offset; /* windows start at multiples of size (slide) plus this */
    const char *gap_field;
    int64_t count;
    const char *zone;
    const char *start_field, *end_field; /* of a window that the records carry */
    enum pen_calendar calendar;
    uint32_t reserved32;
    uint64_t reserved[4];
};

/* [0, size), [size, 2 size) ... from 1970-01-01T00:00Z. */
static inline struct pen_window pen_tumbling(pen_duration size)
{
    struct pen_window window;
    memset(&window, 0, sizeof window);
    window.kind = PEN_WINDOW_TUMBLING;
    window.size = size;
    window.slide = size;
    return window;
}

/* Windows of `size`, one every `slide`; a record belongs to all that cover it. size need not be a
 * multiple of slide. With a larger slide there are times in no window: their records are in none,
 * and are not late. */
static inline struct pen_window pen_sliding(pen_duration size, pen_duration slide)
{
    struct pen_window window = pen_tumbling(size);
    window.kind = PEN_WINDOW_SLIDING;
    window.slide = slide;
    return window;
}

/* From a key's first record until it has been silent for `gap`. */
static inline struct pen_window pen_session(pen_duration gap)
{
    struct pen_window window = pen_tumbling(0);
    window.kind = PEN_WINDOW_SESSION;
    window.gap = gap;
    return window;
}

/* The same with the gap in a field of each record, int64 microseconds. */
static inline struct pen_window pen_session_by(const char *gap_field)
{
    struct pen_window window = pen_session(0);
    window.gap_field = gap_field;
    return window;
}

/* Calendar days, weeks (from Monday), months ... of a place: pen_calendar_of(PEN_DAY,
 * "America/New_York"). A day may have 23 or 25 hours. An unknown zone is a mistake. */
static inline struct pen_window pen_calendar_of(enum pen_calendar calendar, const char *zone)
{
    struct pen_window window = pen_tumbling(0);
    window.kind = PEN_WINDOW_CALENDAR;
    window.calendar = calendar;
    window.zone = zone;
    return window;
}

/* Each `count` records of a key, in the order of arrival. What is left over at the end of the input
 * makes a last, smaller window. */
static inline struct pen_window pen_counting(int64_t count)
{
    struct pen_window window = pen_tumbling(0);
    window.kind = PEN_WINDOW_COUNT;
    window.count = count;
    return window;
}

/* One window for each key, which ends with the input; with an option below that fires it before. */
static inline struct pen_window pen_global(void)
{
    struct pen_window window = pen_tumbling(0);
    window.kind = PEN_WINDOW_GLOBAL;
    return window;
}

/* Growing windows: from each multiple of `size` on, one that ends after `step`, one after 2 `step`
 * ... and the last after `size`. size is a multiple of step. */
static inline struct pen_window pen_cumulating(pen_duration size, pen_duration step)
{
    struct pen_window window = pen_tumbling(size);
    window.kind = PEN_WINDOW_CUMULATING;
    window.slide = step;
    return window;
}

/* The window that each record carries, as the result of an aggregate before does: from
 * `start_field` up to `end_field`, which does not belong to it. It fires when the watermark passes
 * its end. */
static inline struct pen_window pen_attached(const char *start_field, const char *end_field)
{
    struct pen_window window = pen_tumbling(0);
    window.kind = PEN_WINDOW_ATTACHED;
    window.start_field = start_field;
    window.end_field = end_field;
    return window;
}

/* The same window shifted: pen_shifted(pen_tumbling(PEN_DAYS(1)), PEN_HOURS(6)) starts at six. A
 * calendar's is shifted by the clock on the wall: its day starts at six, and may have 23 hours. */
static inline struct pen_window pen_shifted(struct pen_window window, pen_duration offset)
{
    window.offset = offset;
    return window;
}

/* The same window by the wall clock: pen_by_clock(pen_tumbling(PEN_SECONDS(10))). The clock decides
 * when a record is read, the records' own times do not matter; results have times of the clock, and
 * what follows may have windows of them. What is left at the end of the input fires then. */
static inline struct pen_window pen_by_clock(struct pen_window window)
{
    window.clock = PEN_CLOCK_TIME;
    return window;
}

/* When a window gives rows. Without any of these: once, when the watermark passes its end, and the
 * row's event time is the window's last instant. Late records within `.allowed_lateness` and early
 * firings give its row again, so the result is an updating stream; with `.purge` each firing is of
 * new records only, and the stream has inserts only.
 *
 * A trigger is called for each record of a window, and with record NULL when a timer that it set
 * fires. True: the window fires now, this record included.
 *
 *     bool fn(pen_context *, const struct In *record, struct State *)             PEN_TRIGGER
 *
 * State is the trigger's, one for each key and window. With a trigger nothing fires by itself at
 * the window's end: set a timer for pen_window_to to have that, too.
 *
 * A record is too late for a window when the watermark has passed its end by `.allowed_lateness`,
 * and too late at all when it is so for all its windows: then it goes to `.late`, else nowhere. The
 * counter "late" of the operator counts it either way. A window without a record gives no row. */
#define PEN_FIRING_OPTIONS_                                                                        \
    pen_duration early_every;           /* by the clock, while there is something new */           \
    int64_t early_count;                /* after each so many records */                           \
    const struct pen_function *trigger; /* PEN_FN(fn) */                                           \
    bool purge;                         /* after a firing the window is empty */                   \
    pen_duration allowed_lateness;      /* kept so long: late records give its row again */        \
    pen_stream *late                    /* set to the stream of records later than that */

/* ---- Aggregates ------------------------------------------------------------------------------ */

enum pen_aggregate_kind {
    PEN_AGGREGATE_COUNT = 1,
    PEN_AGGREGATE_COUNT_OF,
    PEN_AGGREGATE_COUNT_DISTINCT,
    PEN_AGGREGATE_COUNT_ABOUT,
    PEN_AGGREGATE_SUM,
    PEN_AGGREGATE_MIN,
    PEN_AGGREGATE_MAX,
    PEN_AGGREGATE_MEAN,
    PEN_AGGREGATE_VARIANCE,
    PEN_AGGREGATE_DEVIATION,
    PEN_AGGREGATE_QUANTILE,
    PEN_AGGREGATE_FIRST,
    PEN_AGGREGATE_LAST,
    PEN_AGGREGATE_CONCAT,
    PEN_AGGREGATE_WINDOW_START,
    PEN_AGGREGATE_WINDOW_END,
    PEN_AGGREGATE_CUSTOM,
};

/* An element of the list `.aggregates`, so its size is fixed, too. */
struct pen_aggregate {
    enum pen_aggregate_kind kind; /* 0: the end of the list */
    uint32_t reserved32;
    const char *from; /* field of the records */
    const char *into; /* field of the result */
    const char *only; /* bool field of the records: others are not looked at */
    double parameter;
    const char *separator;
    const struct pen_function *custom;
    uint64_t reserved[4];
};

/* The list: .aggregates = PEN_AGGREGATES(pen_count("n"), pen_mean("delay", "mean_delay")) */
#define PEN_AGGREGATES(...) PEN_ARRAY_(struct pen_aggregate, pen_aggregate_end_(), __VA_ARGS__)
static inline struct pen_aggregate pen_aggregate_end_(void)
{
    struct pen_aggregate aggregate;
    memset(&aggregate, 0, sizeof aggregate);
    return aggregate;
}

static inline struct pen_aggregate pen_aggregate_of(enum pen_aggregate_kind kind, const char *from,
                                                    const char *into)
{
    struct pen_aggregate aggregate = pen_aggregate_end_();
    aggregate.kind = kind;
    aggregate.from = from;
    aggregate.into = into;
    return aggregate;
}

/* What the built-in ones write, and into which field. Nulls are skipped, as in SQL; where all may
 * be null, the result's field must be pen_opt_.
 *
 *     pen_count("n")                   records                               int64
 *     pen_count_of("delay", "n")       records whose delay is not null       int64
 *     pen_count_distinct("user", "n")  different users, exactly              int64
 *     pen_count_about("user", "n")     different users, within 1 % as a rule (the standard error
 *                                      is 0.6 %, few are exact), in 16 KiB at most     int64
 *     pen_sum("price", "total")        int64 of integers, double of others; an overflow fails
 *     pen_min, pen_max, pen_first, pen_last("at", "first_at")                the field's type
 *     pen_mean("price", "mean")        double
 *     pen_variance, pen_deviation("price", "spread")   of a sample; double, 0 of one record
 *     pen_quantile("ms", 0.99, "p99")  double, within 1 % of the least number that 99 % of all are
 *                                      not above; of up to 32 numbers exactly that one
 *     pen_concat("page", ", ", "all")  pen_string: the texts in order of arrival
 *     pen_window_start, _end("from")   pen_time; the end does not belong to the window
 *     pen_where("is_cheap", pen_count("cheap"))     records whose bool field is_cheap is true
 *
 * first and last are by event time, and by arrival among equals. min, max, first, last and concat
 * take texts too, which come in the order of their bytes; NaN comes behind all numbers. A sum of
 * integers beyond an int64 and a concat beyond 16 MiB fail the job.
 *
 * On an updating stream all can take a row back but quantile, first, last, concat and count_about.
 * min and max then keep every value, 32 bytes each, and count_distinct does so in any case. Sums,
 * means and variances lose nothing by it: not even an infinity or a NaN stays behind. */
static inline struct pen_aggregate pen_count(const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_COUNT, NULL, into);
}
static inline struct pen_aggregate pen_count_of(const char *from, const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_COUNT_OF, from, into);
}
static inline struct pen_aggregate pen_count_distinct(const char *from, const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_COUNT_DISTINCT, from, into);
}
static inline struct pen_aggregate pen_sum(const char *from, const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_SUM, from, into);
}
static inline struct pen_aggregate pen_min(const char *from, const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_MIN, from, into);
}
static inline struct pen_aggregate pen_max(const char *from, const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_MAX, from, into);
}
static inline struct pen_aggregate pen_mean(const char *from, const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_MEAN, from, into);
}
static inline struct pen_aggregate pen_count_about(const char *from, const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_COUNT_ABOUT, from, into);
}
static inline struct pen_aggregate pen_variance(const char *from, const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_VARIANCE, from, into);
}
static inline struct pen_aggregate pen_deviation(const char *from, const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_DEVIATION, from, into);
}
static inline struct pen_aggregate pen_concat(const char *from, const char *separator,
                                              const char *into)
{
    struct pen_aggregate aggregate = pen_aggregate_of(PEN_AGGREGATE_CONCAT, from, into);
    aggregate.separator = separator;
    return aggregate;
}
static inline struct pen_aggregate pen_quantile(const char *from, double quantile, const char *into)
{
    struct pen_aggregate aggregate = pen_aggregate_of(PEN_AGGREGATE_QUANTILE, from, into);
    aggregate.parameter = quantile;
    return aggregate;
}
static inline struct pen_aggregate pen_first(const char *from, const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_FIRST, from, into);
}
static inline struct pen_aggregate pen_last(const char *from, const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_LAST, from, into);
}
static inline struct pen_aggregate pen_window_start(const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_WINDOW_START, NULL, into);
}
static inline struct pen_aggregate pen_window_end(const char *into)
{
    return pen_aggregate_of(PEN_AGGREGATE_WINDOW_END, NULL, into);
}
static inline struct pen_aggregate pen_where(const char *only, struct pen_aggregate aggregate)
{
    aggregate.only = only;
    return aggregate;
}

/* One of your own is a struct, the accumulator, and functions that begin with its name. For
 * `struct speed`, `PEN_AGGREGATE(speed, flight, route)` at file scope, below them, and
 * `pen_custom(speed)` among the aggregates:
 *
 *     void speed_add(pen_context *, struct speed *, const struct flight *)
 *     void speed_merge(pen_context *, struct speed *, const struct speed *other)   in any order
 *     void speed_finish(pen_context *, const struct speed *, struct route *)  fills fields of route
 *     void speed_retract(pen_context *, struct speed *, const struct flight *)
 *         undoes add: PEN_AGGREGATE_RETRACTING, which can then take updating streams, too
 *
 * All zeros is the empty accumulator, which may be merged like any other. It may hold texts: then
 * it is copied for each record, so let it be small. The functions depend on their arguments only:
 * the context is for pen_keep into the accumulator, pen_put into the result, and pen_fail. */
#define pen_custom(accumulator) pen_custom_of(PEN_FN(accumulator))
static inline struct pen_aggregate pen_custom_of(const struct pen_function *custom)
{
    struct pen_aggregate aggregate = pen_aggregate_of(PEN_AGGREGATE_CUSTOM, NULL, NULL);
    aggregate.custom = custom;
    return aggregate;
}

#define PEN_AGGREGATE(acc, in_, out_)                                                              \
    PEN_ACCUMULATOR_(acc, in_, out_)                                                               \
    PEN_FUNCTION_(acc, AGGREGATE, .in = &in_##_schema, .state = &acc##_schema,                     \
                  .out = &out_##_schema, .loop = acc##_loop_, .merge = acc##_merge_,               \
                  .finish = acc##_finish_)
#define PEN_AGGREGATE_RETRACTING(acc, in_, out_)                                                   \
    PEN_ACCUMULATOR_(acc, in_, out_)                                                               \
    PEN_SIGNATURE_(acc##_retract, void, (pen_context *, struct acc *, const struct in_ *));        \
    PEN_LOOP_(acc##_retract, acc##_retract(ctx_, (struct acc *)batch_->states[i_],                 \
                                           (const struct in_ *)batch_->records[i_]))               \
    PEN_FUNCTION_(acc, AGGREGATE, .in = &in_##_schema, .state = &acc##_schema,                     \
                  .out = &out_##_schema, .loop = acc##_loop_, .retract = acc##_retract_loop_,      \
                  .merge = acc##_merge_, .finish = acc##_finish_)
#define PEN_ACCUMULATOR_(acc, in_, out_)                                                           \
    PEN_SIGNATURE_(acc##_add, void, (pen_context *, struct acc *, const struct in_ *));            \
    PEN_SIGNATURE_(acc##_merge, void, (pen_context *, struct acc *, const struct acc *));          \
    PEN_SIGNATURE_(acc##_finish, void, (pen_context *, const struct acc *, struct out_ *));        \
    PEN_LOOP_(acc, acc##_add(ctx_, (struct acc *)batch_->states[i_],                               \
                             (const struct in_ *)batch_->records[i_]))                             \
    PEN_UNUSED_ static void acc##_merge_(pen_context *ctx_, void *into_, const void *other_)       \
    {                                                                                              \
        acc##_merge(ctx_, (struct acc *)into_, (const struct acc *)other_);                        \
    }                                                                                              \
    PEN_UNUSED_ static void acc##_finish_(pen_context *ctx_, const void *acc_, void *out_of_)      \
    {                                                                                              \
        acc##_finish(ctx_, (const struct acc *)acc_, (struct out_ *)out_of_);                      \
    }

PEN_API_END_

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
