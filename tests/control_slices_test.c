/* engine/operator/{slices,slices_fire,slices_again} and engine/job/window_check: whole jobs with
 * aligned windows, against plain loops.
 * Method: a job makes records from their index; the model makes the same ones, puts each into all
 * its windows by the definition of these, and adds up. Rows must be the model's, whatever the
 * parallelism, the rings and the disorder. Rows that are given again must fold to the model's, each
 * step of it right. */
#include "tests/local_jobs.h"
#include "engine/record/zone.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS = 37, RECORDS = 6000, ROWS_MAX = 1 << 20, DELETED_EVERY = 3 };

struct event {
    pen_time at;
    int64_t key;
    int64_t value;
};
PEN_RECORD(event, at, key, value);

struct row {
    int64_t key;
    pen_time from, to;
    int64_t count;
    int64_t sum;
    int64_t most;
};
PEN_RECORD(row, key, from, to, count, sum, most);

/* ---- What the test at hand runs -------------------------------------------------------------- */

static struct {
    const char *name;
    struct pen_window window;
    int64_t (*at)(uint64_t index); /* time of a record */
    int64_t disorder;              /* that pen_event_time knows of */
    pen_duration lateness;
    bool no_before, takes_back, late;
    bool exact; /* a watermark after each record: what is late is the same in every run */
    uint64_t count;
} now;

static struct event event_of(uint64_t index)
{
    return (struct event){.at = {now.at(index)},
                          .key = (int64_t)(local_mix(index * 7 + 1) % KEYS),
                          .value = (int64_t)(local_mix(index * 3 + 2) % 1000) - 500};
}

/* 100 a record, up to 3000 out of order. */
static int64_t at_disorder(uint64_t index)
{
    return (int64_t)index * 100 - 600000 - (int64_t)(local_mix(index) % 3000);
}

/* With stretches of nothing, and records that are very late. */
static int64_t at_jumps(uint64_t index)
{
    int64_t at = (int64_t)index * 50 + (int64_t)(index / 500) * 7000000;

    return at - (local_mix(index) % 50 == 0 ? (int64_t)(local_mix(index + 5) % 60000) : 0);
}

/* Nine hours each: years, over several changes of the clocks. */
static int64_t at_hours(uint64_t index)
{
    return ((int64_t)index - 3000) * 32400000000 + (int64_t)(local_mix(index) % 1000000);
}

/* From year 1 to year 9999, and all of them at the epoch. */
static int64_t at_ages(uint64_t index)
{
    static const int64_t times[] = {
        -62135596800000000, -62135596799999999, -10000000,         -1, 0, 1, 9999999,
        10000000,           253402300799000000, 253402300799999999};
    return times[index * 10 / now.count];
}

/* ---- The job --------------------------------------------------------------------------------- */

static void make(pen_context *ctx, uint64_t index)
{
    struct event event = event_of(index);
    pen_send(ctx, event, &event);
}
PEN_GENERATE(make, event);

struct nothing {
    int64_t nothing;
};
PEN_RECORD(nothing, nothing);

/* All are inserted, every third is deleted again. */
static void take_back(pen_context *ctx, const struct event *event, struct nothing *state)
{
    (void)state;
    pen_emit_as(ctx, PEN_INSERT, event, .at = event->at, .key = event->key, .value = event->value);
    if (event->value % DELETED_EVERY == 0)
        pen_emit_as(ctx, PEN_DELETE, event, .at = event->at, .key = event->key,
                    .value = event->value);
}
PEN_PROCESS(take_back, event, nothing, event);

static struct row *rows; /* as they came, or folded */
static uint32_t row_count, wrong_times, wrong_order, wrong_steps, late_count, updates;
static int64_t late_sum, last_at[8];

static int row_compare(const void *a_, const void *b_)
{
    const struct row *a = a_, *b = b_;

    if (a->to.us != b->to.us) return a->to.us < b->to.us ? -1 : 1;
    if (a->from.us != b->from.us) return a->from.us < b->from.us ? -1 : 1;
    return (a->key > b->key) - (a->key < b->key);
}

/* The row of a key and window that stands; NULL: none. Rows are few where this is used. */
enum { FOLD_BUCKETS = 1 << 16 };
static uint32_t *fold_index; /* number of a row + 1, chained through fold_next */
static uint32_t *fold_next;

static struct row *fold_find(const struct row *row, uint32_t *bucket)
{
    *bucket =
        local_mix((uint64_t)row->to.us * 31 + (uint64_t)row->from.us * 7 + (uint64_t)row->key) %
        FOLD_BUCKETS;
    for (uint32_t i = fold_index[*bucket]; i; i = fold_next[i - 1])
        if (row_compare(&rows[i - 1], row) == 0 && rows[i - 1].count > 0) return &rows[i - 1];
    return NULL;
}

static void fold(enum pen_row kind, const struct row *row)
{
    uint32_t bucket;
    struct row *stands = fold_find(row, &bucket);

    switch (kind) {
    case PEN_INSERT:
        if (stands) wrong_steps++;
        rows[row_count] = *row;
        fold_next[row_count] = fold_index[bucket];
        fold_index[bucket] = ++row_count;
        return;
    case PEN_UPDATE_BEFORE:
        if (!stands || memcmp(stands, row, sizeof *row) != 0 || now.no_before) wrong_steps++;
        return;
    case PEN_UPDATE_AFTER:
        updates++;
        if (!stands || memcmp(stands, row, sizeof *row) == 0) wrong_steps++;
        if (stands) *stands = *row;
        return;
    case PEN_DELETE:
        if (!stands || memcmp(stands, row, sizeof *row) != 0) wrong_steps++;
        if (stands) stands->count = 0;
        return;
    default:
        wrong_steps++;
    }
}

static enum pen_taken see(pen_context *ctx, const struct row *row)
{
    int64_t at = pen_record_time(ctx).us;
    uint32_t subtask = pen_subtask(ctx);

    if (at != row->to.us - 1) wrong_times++;
    if (now.lateness == 0) {
        if (at <= pen_watermark(ctx).us || at < last_at[subtask]) wrong_order++;
        last_at[subtask] = at;
    }
    fold(pen_row(ctx), row);
    return PEN_TAKEN;
}
PEN_SINK(see, row);

static enum pen_taken see_late(pen_context *ctx, const struct event *event)
{
    if (pen_record_time(ctx).us != event->at.us) wrong_times++;
    late_count++;
    late_sum += event->value;
    return PEN_TAKEN;
}
PEN_SINK(see_late, event);

static void job(pen_graph *graph)
{
    pen_stream late, events = pen_generate(graph, make, .count = now.count, .id = "events",
                                           .parallelism = now.exact ? 1 : 0);

    events = pen_event_time(events, "at", .out_of_order = now.disorder, .every_record = now.exact);
    if (now.takes_back)
        events = pen_process(pen_key_by(events, "key"), take_back, .gives_updates = true);
    pen_stream result = pen_aggregate(
        pen_key_by(events, "key"), row, .window = now.window, .allowed_lateness = now.lateness,
        .no_before = now.no_before, .late = now.late ? &late : NULL, .id = "windows",
        .aggregates =
            PEN_AGGREGATES(pen_window_start("from"), pen_window_end("to"), pen_count("count"),
                           pen_sum("value", "sum"), pen_max("value", "most")));
    pen_sink(result, see, .id = "rows", .takes_updates = true);
    if (now.late) pen_sink(late, see_late, .id = "late", .takes_updates = true);
}

/* ---- The model ------------------------------------------------------------------------------- */

static struct row *model;
static uint32_t model_count;

static uint32_t model_late;
static int64_t model_late_sum, model_watermark;
static bool model_is_late;

static void model_add(const struct event *event, int64_t from, int64_t to)
{
    if (now.exact && model_watermark >= to - 1 + now.lateness) {
        model_is_late = true;
        return;
    }
    if (model_count == ROWS_MAX) CU_FAIL_FATAL("the model has too many rows");
    model[model_count++] = (struct row){event->key, {from}, {to}, 1, event->value, event->value};
}

static int64_t floor_to(int64_t at, int64_t unit)
{
    int64_t rest = at % unit;
    return at - (rest < 0 ? rest + unit : rest);
}

static struct eng_zone *zone; /* of a calendar; compared with others in tests/record_zone_test.c */

static void model_put(const struct event *event)
{
    const struct pen_window *window = &now.window;
    int64_t at = event->at.us - window->offset, start, end;

    switch (window->kind) {
    case PEN_WINDOW_TUMBLING:
    case PEN_WINDOW_SLIDING:
        for (start = floor_to(at, window->slide); start > at - window->size; start -= window->slide)
            model_add(event, start + window->offset, start + window->offset + window->size);
        return;
    case PEN_WINDOW_CUMULATING:
        start = floor_to(at, window->size);
        for (end = start + window->slide; end <= start + window->size; end += window->slide)
            if (at < end) model_add(event, start + window->offset, end + window->offset);
        return;
    case PEN_WINDOW_CALENDAR:
        eng_zone_unit(zone, window->calendar, window->offset, event->at.us, &start, &end);
        model_add(event, start, end);
        return;
    default:
        CU_FAIL_FATAL("no window of the model");
    }
}

static void model_make(void)
{
    uint32_t folded = 0;

    model_count = model_late = 0;
    model_late_sum = 0;
    model_watermark = INT64_MIN;
    zone = NULL;
    if (now.window.zone) CU_ASSERT_EQUAL_FATAL(eng_zone_open(&zone, now.window.zone, NULL), 0);
    for (uint64_t i = 0; i < now.count; i++) {
        struct event event = event_of(i);
        uint32_t before = model_count;
        if (now.takes_back && event.value % DELETED_EVERY == 0) continue;
        model_is_late = false;
        model_put(&event);
        if (model_is_late && model_count == before) {
            model_late++;
            model_late_sum += event.value;
        }
        if (event.at.us - now.disorder - 1 > model_watermark)
            model_watermark = event.at.us - now.disorder - 1;
    }
    eng_zone_close(zone);
    qsort(model, model_count, sizeof *model, row_compare);
    for (uint32_t i = 0; i < model_count; i++) {
        if (folded > 0 && row_compare(&model[folded - 1], &model[i]) == 0) {
            struct row *row = &model[folded - 1];
            row->count += model[i].count;
            row->sum += model[i].sum;
            if (model[i].most > row->most) row->most = model[i].most;
        } else {
            model[folded++] = model[i];
        }
    }
    model_count = folded;
}

/* ---- Runs ------------------------------------------------------------------------------------ */

static void reset(void)
{
    row_count = wrong_times = wrong_order = wrong_steps = late_count = updates = 0;
    late_sum = 0;
    memset(fold_index, 0, FOLD_BUCKETS * sizeof *fold_index);
    for (uint32_t i = 0; i < 8; i++)
        last_at[i] = INT64_MIN;
}

static void run(uint32_t parallelism, bool tiny, struct eng_local *local)
{
    struct eng_local_options options = {.parallelism = parallelism,
                                        .ring_bytes = tiny ? SHM_RING_BYTES_MIN : 0};
    char reason[4096];

    reset();
    if (eng_local_open(local, job, &options, reason, sizeof reason) < 0) {
        printf("\n%s: %s\n", now.name, reason);
        CU_FAIL_FATAL("the job does not open");
    }
    if (eng_local_run(local) < 0) {
        printf("\n%s: %s\n", now.name, eng_local_failure(local));
        CU_FAIL_FATAL("the job failed");
    }
    /* All windows are over, and with them all that they kept. */
    for (uint32_t w = 0; w < local->worker_count && !now.takes_back; w++)
        CU_ASSERT_EQUAL(eng_arena_bytes(local->workers[w]->arena), 0);
    CU_ASSERT_EQUAL(wrong_times, 0);
    CU_ASSERT_EQUAL(wrong_order, 0);
    CU_ASSERT_EQUAL(wrong_steps, 0);
}

static uint64_t counted_late(const struct eng_local *local)
{
    uint64_t sum = 0;

    for (uint32_t n = 0; n < local->plan.node_count; n++) {
        if (strcmp(local->plan.nodes[n]->id, "windows") != 0) continue;
        const struct eng_board_node *node = eng_board_node(local->board, n);
        for (uint32_t s = 0; s < node->parallelism; s++)
            sum += shm_load_own(
                &eng_board_subtask(local->board, node->first_subtask + s)->counters[0]);
    }
    return sum;
}

/* Rows that stand, sorted. */
static void rows_sort(void)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < row_count; i++)
        if (rows[i].count > 0) rows[kept++] = rows[i];
    row_count = kept;
    qsort(rows, row_count, sizeof *rows, row_compare);
}

static void rows_are_the_models(uint32_t parallelism)
{
    rows_sort();
    if (row_count == model_count && memcmp(rows, model, row_count * sizeof *rows) == 0) return;
    uint32_t i = 0;
    while (i < row_count && i < model_count && memcmp(&rows[i], &model[i], sizeof *rows) == 0)
        i++;
    printf("\n%s, %u workers: %u rows, %u in the model; row %u is key %lld [%lld, %lld) %lld, must "
           "be key %lld [%lld, %lld) %lld\n",
           now.name, parallelism, row_count, model_count, i, (long long)rows[i].key,
           (long long)rows[i].from.us, (long long)rows[i].to.us, (long long)rows[i].count,
           (long long)model[i].key, (long long)model[i].from.us, (long long)model[i].to.us,
           (long long)model[i].count);
    CU_FAIL("other rows than the model's");
}

static void run_everywhere(void)
{
    static const uint32_t parallelisms[] = {1, 2, 3, 8};

    model_make();
    CU_ASSERT_TRUE(model_count > 0);
    for (uint32_t p = 0; p < 4; p++) {
        struct eng_local local;
        run(parallelisms[p], p % 2 == 1, &local);
        CU_ASSERT_EQUAL(counted_late(&local), model_late);
        CU_ASSERT_EQUAL(late_count, now.late ? model_late : 0);
        CU_ASSERT_EQUAL(late_sum, now.late ? model_late_sum : 0);
        rows_are_the_models(parallelisms[p]);
        eng_local_close(&local);
    }
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static struct pen_window windows[16];
static const char *const window_names[] = {
    "tumbling",           "tumbling, shifted", "sliding 10/5", "sliding 10/3",
    "sliding, with gaps", "sliding by one",    "cumulating",   "cumulating, shifted",
};
enum { WINDOWS = sizeof window_names / sizeof window_names[0] };

static void make_windows(void)
{
    windows[0] = pen_tumbling(10000);
    windows[1] = pen_shifted(pen_tumbling(10000), -3333);
    windows[2] = pen_sliding(10000, 5000);
    windows[3] = pen_sliding(10000, 3000);
    windows[4] = pen_sliding(3000, 10000);
    windows[5] = pen_shifted(pen_sliding(2000, 100), 50);
    windows[6] = pen_cumulating(60000, 5000);
    windows[7] = pen_shifted(pen_cumulating(60000, 20000), 7);
}

static void use(uint32_t window)
{
    memset(&now, 0, sizeof now);
    make_windows();
    now.name = window_names[window];
    now.window = windows[window];
    now.count = RECORDS;
}

static void all_windows_of_all_kinds_have_their_rows(void)
{
    for (uint32_t w = 0; w < WINDOWS; w++) {
        use(w);
        now.at = at_disorder;
        now.disorder = 3000;
        run_everywhere();
    }
}

static void jumps_in_time_cost_nothing_and_lose_nothing(void)
{
    for (uint32_t w = 0; w < WINDOWS; w++) {
        use(w);
        now.at = at_jumps;
        now.disorder = 60000;
        run_everywhere();
    }
}

static void calendar_days_of_a_place(void)
{
    for (enum pen_calendar unit = PEN_DAY; unit <= PEN_YEAR; unit++) {
        use(0);
        now.name = "calendar";
        now.window = pen_shifted(pen_calendar_of(unit, "America/New_York"),
                                 unit == PEN_DAY ? PEN_HOURS(6) : 0);
        now.at = at_hours;
        now.disorder = 1000000;
        run_everywhere();
    }
}

static void years_1_and_9999_and_the_epoch(void)
{
    const struct pen_window ages[] = {
        pen_tumbling(PEN_SECONDS(10)),
        pen_sliding(PEN_SECONDS(10), PEN_SECONDS(3)),
        pen_cumulating(PEN_SECONDS(10), PEN_SECONDS(5)),
        pen_calendar_of(PEN_WEEK, "Asia/Kathmandu"),
        pen_tumbling(1),
        pen_tumbling(PEN_DAYS(365 * 3000)),
    };

    for (uint32_t w = 0; w < sizeof ages / sizeof ages[0]; w++) {
        use(0);
        now.name = "ages";
        now.window = ages[w];
        now.at = at_ages;
        now.count = 1000;
        run_everywhere();
    }
}

static void late_records_give_rows_again_until_these_are_right(void)
{
    for (uint32_t w = 0; w < WINDOWS; w++)
        for (uint32_t no_before = 0; no_before < 2; no_before++) {
            use(w);
            now.at = no_before ? at_jumps : at_disorder;
            now.lateness = 1000000;
            now.no_before = no_before;
            run_everywhere();
        }
}

static void rows_that_are_taken_back_leave_no_trace(void)
{
    for (uint32_t w = 0; w < WINDOWS; w++)
        for (uint32_t late = 0; late < 2; late++) {
            use(w);
            now.at = at_disorder;
            now.takes_back = true;
            now.disorder = late ? 0 : 3000;
            now.lateness = late ? 1000000 : 0;
            run_everywhere();
        }
}

static void what_is_late_is_what_the_watermark_says(void)
{
    static const pen_duration lateness[] = {0, 3000, 30000};
    uint32_t too_late = 0, in_time = 0;

    for (uint32_t w = 0; w < WINDOWS; w++)
        for (uint32_t l = 0; l < 3; l++) {
            use(w);
            now.at = l == 1 ? at_disorder : at_jumps;
            now.lateness = lateness[l];
            now.late = w % 2;
            now.disorder = l == 2 ? 1000 : 0;
            now.exact = true;
            run_everywhere();
            too_late += model_late;
            in_time += updates;
        }
    CU_ASSERT_TRUE(too_late > 500);
    CU_ASSERT_TRUE(in_time > 1000);
}

/* Windows by the clock: every record is in exactly one, and all fire by the end of the input. */
static void by_the_clock_every_record_is_in_one_window(void)
{
    for (uint32_t p = 1; p <= 3; p++) {
        struct eng_local local;
        int64_t count = 0, sum = 0, sum_all = 0;
        use(0);
        now.name = "by the clock";
        now.window = pen_by_clock(pen_tumbling(PEN_MILLISECONDS(1)));
        now.at = at_disorder; /* what its records say does not matter */
        run(p, false, &local);
        rows_sort();
        for (uint32_t i = 0; i < row_count; i++) {
            count += rows[i].count;
            sum += rows[i].sum;
            wrong_times += rows[i].from.us % 1000 != 0 || rows[i].to.us - rows[i].from.us != 1000;
            if (i > 0) wrong_steps += row_compare(&rows[i], &rows[i - 1]) == 0;
        }
        for (uint64_t i = 0; i < now.count; i++)
            sum_all += event_of(i).value;
        CU_ASSERT_EQUAL((uint64_t)count, now.count);
        CU_ASSERT_EQUAL(sum, sum_all);
        CU_ASSERT_EQUAL(wrong_times + wrong_steps, 0);
        eng_local_close(&local);
    }
}

/* ---- Accumulators that own memory, keys with texts ------------------------------------------- */

enum { TEXT_RECORDS = 1500, TEXT_ROWS_MAX = 400, TEXT_BYTES = 16384 };

struct saying {
    pen_time at;
    pen_string who;
    pen_string what;
};
PEN_RECORD(saying, at, who, what);

struct sayings {
    pen_string who;
    pen_time from, to;
    pen_string all;
    pen_string most;
};
PEN_RECORD(sayings, who, from, to, all, most);

struct text_row {
    char who[40], most[16], all[TEXT_BYTES];
    int64_t from, to;
};

static struct text_row *text_model;
static uint32_t text_model_count;
static uint64_t text_sum, text_rows;

static int64_t saying_at(uint64_t index)
{
    return (int64_t)index * 20 - 7000 - (int64_t)(local_mix(index) % 4000);
}

static const char *saying_who(uint64_t index)
{
    static const char *const names[] = {"a", "", "a long name, longer than what fits in", "b", "c"};
    return names[local_mix(index + 1) % 5];
}

static const char *saying_what(uint64_t index, char *to)
{
    sprintf(to, "%.*s%u", (int)(index % 7), "zyxwvut", (unsigned)(local_mix(index + 2) % 100));
    return to;
}

static void make_saying(pen_context *ctx, uint64_t index)
{
    char what[16];

    pen_emit(ctx, saying, .at = {saying_at(index)}, .who = pen_put(ctx, saying_who(index)),
             .what = pen_put(ctx, saying_what(index, what)));
}
PEN_GENERATE(make_saying, saying);

static uint64_t text_hash(uint64_t hash, const char *text, size_t bytes)
{
    hash = local_mix(hash + bytes);
    for (size_t i = 0; i < bytes; i++)
        hash = local_mix(hash ^ (uint8_t)text[i]);
    return hash;
}

static enum pen_taken see_sayings(pen_context *ctx, const struct sayings *row)
{
    enum pen_row kind = pen_row(ctx);
    pen_view who = pen_view_of(&row->who), all = pen_view_of(&row->all);
    pen_view most = pen_view_of(&row->most);
    uint64_t hash = local_mix((uint64_t)row->from.us ^ local_mix((uint64_t)row->to.us));
    bool back = kind == PEN_UPDATE_BEFORE || kind == PEN_DELETE;

    hash = text_hash(hash, who.data, who.size_bytes);
    hash = text_hash(hash, all.data, all.size_bytes);
    hash = text_hash(hash, most.data, most.size_bytes);
    text_sum += back ? 0 - hash : hash;
    text_rows += back ? (uint64_t)-1 : 1;
    updates += kind == PEN_UPDATE_AFTER;
    return PEN_TAKEN;
}
PEN_SINK(see_sayings, sayings);

static void text_job(pen_graph *graph)
{
    pen_stream said =
        pen_event_time(pen_generate(graph, make_saying, .count = TEXT_RECORDS, .parallelism = 1),
                       "at", .out_of_order = now.disorder, .every_record = true);
    pen_stream result = pen_aggregate(
        pen_key_by(said, "who"), sayings, .window = now.window, .allowed_lateness = now.lateness,
        .aggregates = PEN_AGGREGATES(pen_window_start("from"), pen_window_end("to"),
                                     pen_concat("what", "+", "all"), pen_max("what", "most")));
    pen_sink(result, see_sayings, .takes_updates = true);
}

static void text_put(uint64_t index, int64_t from, int64_t to)
{
    struct text_row *row = text_model, *end = text_model + text_model_count;
    char what[16];

    saying_what(index, what);
    for (; row < end; row++)
        if (row->from == from && row->to == to && strcmp(row->who, saying_who(index)) == 0) break;
    if (row == end) {
        CU_ASSERT_TRUE_FATAL(text_model_count++ < TEXT_ROWS_MAX);
        *row = (struct text_row){.from = from, .to = to};
        strcpy(row->who, saying_who(index));
    } else {
        strcat(row->all, "+");
    }
    CU_ASSERT_TRUE_FATAL(strlen(row->all) < TEXT_BYTES - 32);
    strcat(row->all, what);
    if (strcmp(what, row->most) > 0) strcpy(row->most, what);
}

static void text_model_make(void)
{
    const struct pen_window *window = &now.window;

    text_model_count = 0;
    for (uint64_t i = 0; i < TEXT_RECORDS; i++) {
        int64_t at = saying_at(i), start, end;
        if (window->kind == PEN_WINDOW_CUMULATING) {
            start = floor_to(at, window->size);
            for (end = start + window->slide; end <= start + window->size; end += window->slide)
                if (at < end) text_put(i, start, end);
        } else {
            start = floor_to(at, window->slide);
            for (; start > at - window->size; start -= window->slide)
                text_put(i, start, start + window->size);
        }
    }
}

static uint64_t text_model_sum(void)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < text_model_count; i++) {
        const struct text_row *row = &text_model[i];
        uint64_t hash = local_mix((uint64_t)row->from ^ local_mix((uint64_t)row->to));
        hash = text_hash(hash, row->who, strlen(row->who));
        hash = text_hash(hash, row->all, strlen(row->all));
        sum += text_hash(hash, row->most, strlen(row->most));
    }
    return sum;
}

static void texts_in_keys_and_accumulators_are_whole_and_given_back(void)
{
    text_model = calloc(TEXT_ROWS_MAX, sizeof *text_model);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text_model);
    for (uint32_t w = 0; w < WINDOWS; w += 3)
        for (uint32_t late = 0; late < 2; late++) {
            use(w);
            now.disorder = late ? 0 : 4000;
            now.lateness = late ? 100000 : 0;
            text_model_make();
            for (uint32_t p = 1; p <= 3; p += 2) {
                struct eng_local_options options = {.parallelism = p};
                struct eng_local local;
                char reason[4096] = "";
                text_sum = text_rows = updates = 0;
                int opened = eng_local_open(&local, text_job, &options, reason, sizeof reason);
                if (opened < 0) printf("\n%s\n", reason);
                CU_ASSERT_EQUAL_FATAL(opened, 0);
                CU_ASSERT_EQUAL(eng_local_run(&local), 0);
                CU_ASSERT_EQUAL(text_rows, text_model_count);
                CU_ASSERT_EQUAL(text_sum, text_model_sum());
                if (late) CU_ASSERT_TRUE(updates > 10);
                for (uint32_t i = 0; i < local.worker_count; i++)
                    CU_ASSERT_EQUAL(eng_arena_bytes(local.workers[i]->arena), 0);
                eng_local_close(&local);
            }
        }
    free(text_model);
}

static void endless_job(pen_graph *graph)
{
    now.count = 0;
    job(graph);
}

static void a_stop_fires_nothing_and_a_drain_fires_all(void)
{
    for (uint32_t drain = 0; drain < 2; drain++)
        for (uint32_t clock = 0; clock < 2; clock++) {
            struct eng_local_options options = {.parallelism = 2};
            struct eng_local local;
            char reason[4096];
            int64_t count = 0;
            use(0);
            now.window = pen_tumbling(PEN_DAYS(3650000)); /* nobody waits for its end */
            now.window = pen_shifted(now.window, PEN_DAYS(1825000));
            if (clock) now.window = pen_by_clock(now.window);
            now.at = at_disorder;
            reset();
            CU_ASSERT_EQUAL_FATAL(
                eng_local_open(&local, endless_job, &options, reason, sizeof reason), 0);
            for (int i = 0; i < 100; i++)
                CU_ASSERT_TRUE(eng_local_step(&local));
            CU_ASSERT_EQUAL(row_count, 0);
            eng_local_command(&local, drain ? ENG_COMMAND_DRAIN : ENG_COMMAND_STOP);
            CU_ASSERT_EQUAL(eng_local_run(&local), 0);
            for (uint32_t i = 0; i < row_count; i++)
                count += rows[i].count;
            CU_ASSERT_TRUE(eng_local_records_in(&local, "windows") > 1000);
            CU_ASSERT_EQUAL((uint64_t)count, drain ? eng_local_records_in(&local, "windows") : 0);
            eng_local_close(&local);
        }
}

static int allocate(void)
{
    rows = calloc(ROWS_MAX, sizeof *rows);
    model = calloc(ROWS_MAX, sizeof *model);
    fold_index = calloc(FOLD_BUCKETS, sizeof *fold_index);
    fold_next = calloc(ROWS_MAX, sizeof *fold_next);
    return !rows || !model || !fold_index || !fold_next;
}

static int release(void)
{
    free(rows);
    free(model);
    free(fold_index);
    free(fold_next);
    return 0;
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("aligned windows of aggregates", allocate, release);
    CU_ADD_TEST(suite, all_windows_of_all_kinds_have_their_rows);
    CU_ADD_TEST(suite, jumps_in_time_cost_nothing_and_lose_nothing);
    CU_ADD_TEST(suite, calendar_days_of_a_place);
    CU_ADD_TEST(suite, years_1_and_9999_and_the_epoch);
    CU_ADD_TEST(suite, late_records_give_rows_again_until_these_are_right);
    CU_ADD_TEST(suite, rows_that_are_taken_back_leave_no_trace);
    CU_ADD_TEST(suite, what_is_late_is_what_the_watermark_says);
    CU_ADD_TEST(suite, by_the_clock_every_record_is_in_one_window);
    CU_ADD_TEST(suite, texts_in_keys_and_accumulators_are_whole_and_given_back);
    CU_ADD_TEST(suite, a_stop_fires_nothing_and_a_drain_fires_all);
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
