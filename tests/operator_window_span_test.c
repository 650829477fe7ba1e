/* engine/operator/window_span: windows and slices of a time, and what is no window.
 * Method: against the definition. Of a random window a list of all its windows around a time is
 * made by counting; slices and the order of windows must be those of the list. */
#include "engine/operator/window_span.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint64_t seed = 77;

static uint64_t next(void)
{
    uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static int64_t below(int64_t bound)
{
    return (int64_t)(next() % (uint64_t)bound);
}

static struct pen_window random_window(void)
{
    int64_t size = 1 + below(60), slide = 1 + below(40);
    struct pen_window window;

    switch (below(3)) {
    case 0:
        window = pen_tumbling(size);
        break;
    case 1:
        window = pen_sliding(size, slide);
        break;
    default:
        window = pen_cumulating(slide * (1 + below(8)), slide);
        break;
    }
    return pen_shifted(window, below(3) ? below(400) - 200 : 0);
}

/* ---- The definition -------------------------------------------------------------------------- */

enum { LIST_MAX = 8192 };
static struct eng_window list[LIST_MAX]; /* all windows with an edge in [-1000, 1000], by end */
static uint32_t list_count;

static void list_add(int64_t from, int64_t to)
{
    uint32_t at = list_count++;

    CU_ASSERT_TRUE_FATAL(at < LIST_MAX);
    for (; at > 0 && list[at - 1].to_us > to; at--)
        list[at] = list[at - 1];
    list[at] = (struct eng_window){from, to};
}

static void list_make(const struct pen_window *window)
{
    int64_t every = window->kind == PEN_WINDOW_CUMULATING ? window->size : window->slide;

    list_count = 0;
    for (int64_t n = -1300 / every - 1; n <= 1300 / every + 1; n++) {
        int64_t from = n * every + window->offset;
        if (window->kind != PEN_WINDOW_CUMULATING)
            list_add(from, from + window->size);
        else
            for (int64_t to = window->slide; to <= window->size; to += window->slide)
                list_add(from, from + to);
    }
}

static bool contains(const struct eng_window *window, int64_t at)
{
    return window->from_us <= at && at < window->to_us;
}

/* The stretch around a time without an edge. */
static struct eng_window list_slice(int64_t at)
{
    struct eng_window slice = {INT64_MIN, INT64_MAX};

    for (uint32_t i = 0; i < list_count; i++)
        for (int edge = 0; edge < 2; edge++) {
            int64_t us = edge ? list[i].to_us : list[i].from_us;
            if (us <= at && us > slice.from_us) slice.from_us = us;
            if (us > at && us < slice.to_us) slice.to_us = us;
        }
    return slice;
}

static void slices_and_windows_are_those_of_the_definition(void)
{
    for (int i = 0; i < 4000; i++) {
        struct pen_window window = random_window();
        struct eng_window_span span = {0};
        struct eng_window slice, wanted, is;
        int64_t at = below(1200) - 600, after = INT64_MIN;

        CU_ASSERT_EQUAL_FATAL(eng_window_span_open(&span, &window, NULL), 0);
        list_make(&window);
        bool in_one = eng_window_span_slice(&span, at, &slice);
        wanted = list_slice(at);
        CU_ASSERT_TRUE(slice.from_us == wanted.from_us && slice.to_us == wanted.to_us);
        uint32_t seen = 0;
        int64_t last = 0;
        for (uint32_t w = 0; w < list_count; w++) {
            if (!contains(&list[w], at)) continue;
            CU_ASSERT_TRUE_FATAL(eng_window_span_next(&span, &slice, after, &is));
            CU_ASSERT_TRUE(is.from_us == list[w].from_us && is.to_us == list[w].to_us);
            after = is.to_us;
            last = is.to_us;
            seen++;
        }
        CU_ASSERT_FALSE(eng_window_span_next(&span, &slice, after, &is));
        CU_ASSERT_EQUAL(in_one, seen > 0);
        if (seen > 0) CU_ASSERT_EQUAL(eng_window_span_last_end(&span, &slice), last);
        /* From anywhere in between. */
        after = at + below(100) - 20;
        bool found = false;
        for (uint32_t w = 0; w < list_count && !found; w++) {
            if (!contains(&list[w], at) || list[w].to_us <= after) continue;
            found = true;
            CU_ASSERT_TRUE_FATAL(eng_window_span_next(&span, &slice, after, &is));
            CU_ASSERT_EQUAL(is.to_us, list[w].to_us);
        }
        CU_ASSERT_EQUAL(found, eng_window_span_next(&span, &slice, after, &is));
        eng_window_span_close(&span);
    }
}

/* ---- Calendars and the ends of time ---------------------------------------------------------- */

static void a_day_of_a_place_may_have_23_hours_and_start_at_six(void)
{
    struct pen_window window = pen_calendar_of(PEN_DAY, "Europe/Berlin");
    struct eng_window_span span = {0};
    struct eng_window slice, same;
    int64_t noon = 1711882800000000; /* 2024-03-31T11:00:00Z */

    CU_ASSERT_EQUAL_FATAL(eng_window_span_open(&span, &window, NULL), 0);
    CU_ASSERT_TRUE(eng_window_span_slice(&span, noon, &slice));
    CU_ASSERT_EQUAL(slice.from_us, noon - PEN_HOURS(12));
    CU_ASSERT_EQUAL(slice.to_us, noon + PEN_HOURS(11));
    CU_ASSERT_TRUE(eng_window_span_next(&span, &slice, INT64_MIN, &same));
    CU_ASSERT_TRUE(same.from_us == slice.from_us && same.to_us == slice.to_us);
    CU_ASSERT_FALSE(eng_window_span_next(&span, &slice, slice.to_us, &same));
    eng_window_span_close(&span);

    window = pen_shifted(window, PEN_HOURS(6));
    CU_ASSERT_EQUAL_FATAL(eng_window_span_open(&span, &window, NULL), 0);
    CU_ASSERT_TRUE(eng_window_span_slice(&span, noon, &slice));
    CU_ASSERT_EQUAL(slice.from_us, noon - PEN_HOURS(7)); /* at six by the new clock */
    CU_ASSERT_EQUAL(slice.to_us, noon + PEN_HOURS(17));
    eng_window_span_close(&span);
}

static void every_time_there_is_has_a_window_that_ends(void)
{
    static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1, 0, INT64_MAX - 1, INT64_MAX};
    static const int64_t sizes[] = {1, 3, PEN_SECONDS(10), PEN_DAYS(365), INT64_MAX / 2, INT64_MAX};
    static const int64_t offsets[] = {0, -1, PEN_HOURS(6), INT64_MIN, INT64_MAX};

    for (uint32_t s = 0; s < 6; s++)
        for (uint32_t o = 0; o < 5; o++)
            for (int kind = 0; kind < 3; kind++) {
                struct pen_window window = pen_tumbling(sizes[s]);
                struct eng_window_span span = {0};
                if (kind == 1) window = pen_sliding(sizes[s], sizes[s] / 3 + 1);
                if (kind == 2) window = pen_cumulating(sizes[s], sizes[s]);
                window = pen_shifted(window, offsets[o]);
                CU_ASSERT_EQUAL_FATAL(eng_window_span_open(&span, &window, NULL), 0);
                for (uint32_t t = 0; t < 6; t++) {
                    struct eng_window slice, is;
                    int64_t after = INT64_MIN;
                    uint32_t windows = 0;
                    CU_ASSERT_TRUE(eng_window_span_slice(&span, times[t], &slice));
                    CU_ASSERT_TRUE(slice.from_us <= times[t]);
                    CU_ASSERT_TRUE(times[t] < slice.to_us || slice.to_us == INT64_MAX);
                    while (eng_window_span_next(&span, &slice, after, &is)) {
                        CU_ASSERT_TRUE_FATAL(is.to_us > after);
                        CU_ASSERT_TRUE(is.from_us <= slice.from_us && is.to_us >= slice.to_us);
                        after = is.to_us;
                        windows++;
                    }
                    CU_ASSERT_TRUE(windows >= 1 && windows <= 3);
                    CU_ASSERT_EQUAL(after, eng_window_span_last_end(&span, &slice));
                }
                eng_window_span_close(&span);
            }
    CU_ASSERT_EQUAL(eng_time_add(INT64_MAX - 1, 5), INT64_MAX);
    CU_ASSERT_EQUAL(eng_time_add(INT64_MIN + 1, -5), INT64_MIN);
    CU_ASSERT_EQUAL(eng_time_add(-5, 7), 2);
}

/* ---- Mistakes -------------------------------------------------------------------------------- */

static struct pen_window odd(struct pen_window window, int what)
{
    if (what == 0) window.kind = (enum pen_window_kind)99;
    if (what == 1) window.clock = (enum pen_clock_kind)7;
    if (what == 2) window.calendar = (enum pen_calendar)9;
    return window;
}

static void what_is_no_window_is_refused_with_a_reason(void)
{
    const struct {
        struct pen_window window;
        const char *says;
    } cases[] = {
        {pen_tumbling(0), "pen_tumbling: its size is 0, and must be more than 0"},
        {pen_tumbling(-PEN_MINUTES(90)), "pen_tumbling: its size is -90min"},
        {pen_sliding(PEN_SECONDS(1), 0), "pen_sliding: its slide is 0"},
        {pen_sliding(-1, 5), "pen_sliding: its size is -1us"},
        {pen_sliding(PEN_DAYS(1), PEN_SECONDS(1)), "into more than 10000 windows"},
        {pen_cumulating(PEN_SECONDS(10), PEN_SECONDS(3)),
         "pen_cumulating: its size of 10s is no multiple of its step of 3s"},
        {pen_cumulating(PEN_SECONDS(10), -1), "its step is -1us"},
        {pen_session(0), "pen_session: its gap is 0"},
        {pen_counting(0), "pen_counting: it counts to 0"},
        {pen_attached("a", NULL), "pen_attached: it needs the names"},
        {pen_calendar_of(PEN_DAY, "Europe/Berlni"),
         "pen_calendar_of: there is no time zone \"Europe/Berlni\""},
        {pen_calendar_of(PEN_DAY, NULL), "pen_calendar_of: a time zone's name is missing"},
        {odd(pen_calendar_of(PEN_DAY, "UTC"), 2), "9 is none of PEN_DAY"},
        {odd(pen_tumbling(5), 0), "kind 99"},
        {odd(pen_tumbling(5), 1), "its clock is 7"},
        {pen_shifted(pen_session(5), 1), "pen_shifted: a window of pen_session"},
        {pen_by_clock(pen_counting(5)), "pen_by_clock: a window of pen_counting"},
    };

    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct eng_reason reason = {{0}};
        CU_ASSERT_FALSE(eng_window_check(&cases[i].window, &reason));
        if (!strstr(reason.text, cases[i].says)) printf("\nsays: %s\n", reason.text);
        CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, cases[i].says));
        if (!eng_window_is_aligned(cases[i].window.kind)) continue;
        struct eng_window_span span = {0};
        CU_ASSERT_EQUAL(eng_window_span_open(&span, &cases[i].window, NULL), -EINVAL);
        eng_window_span_close(&span);
    }
    const struct pen_window good[] = {pen_session(1),
                                      pen_session_by("gap"),
                                      pen_counting(1),
                                      pen_global(),
                                      pen_attached("a", "b"),
                                      pen_by_clock(pen_session(1)),
                                      pen_calendar_of(PEN_YEAR, "Asia/Kathmandu")};
    for (uint32_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CU_ASSERT_TRUE(eng_window_check(&good[i], NULL));
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("aligned windows", NULL, NULL);
    CU_ADD_TEST(suite, slices_and_windows_are_those_of_the_definition);
    CU_ADD_TEST(suite, a_day_of_a_place_may_have_23_hours_and_start_at_six);
    CU_ADD_TEST(suite, every_time_there_is_has_a_window_that_ends);
    CU_ADD_TEST(suite, what_is_no_window_is_refused_with_a_reason);
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
