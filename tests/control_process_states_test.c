/* States of `.uses`, timers and times to live, in whole jobs against plain loops.
 * Shows: engine/flow/{states,state_call,key_timers,keyed}, engine/operator/{process,process_timers,
 * process_sweep}.
 * Method: records of a generator with disorder; every job runs at parallelisms 1, 2, 3 and 8, with
 * planned and with tiny rings. What a sink has seen does not depend on who ran when, because each
 * job decides by event time only. */
#include "tests/local_jobs.h"

#include <penstock/test.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 50, RECORDS = 20000, BUCKET = 100, BUCKETS = RECORDS / BUCKET + 2, DISORDER = 300 };

struct event {
    pen_time at;
    int64_t key, value;
};
PEN_RECORD(event, at, key, value);

struct tally {
    int64_t key, bucket, count;
};
PEN_RECORD(tally, key, bucket, count);

/* Record i, out of order by DISORDER at most. */
static struct event event_at(uint64_t i)
{
    int64_t late = (int64_t)(local_mix(i) >> 32) % DISORDER;
    int64_t at = (int64_t)i - (late < 0 ? -late : late);

    return (struct event){
        .at = {at < 0 ? 0 : at}, .key = (int64_t)(local_mix(i) % KEYS) - 10, .value = (int64_t)i};
}

static void make(pen_context *ctx, uint64_t index)
{
    struct event event = event_at(index);
    pen_send(ctx, event, &event);
}
PEN_GENERATE(make, event);

static pen_keyed events_by_key(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make, .id = "events", .count = RECORDS);
    pen_stream timed = pen_event_time(events, "at", .out_of_order = DISORDER + 8);
    return pen_key_by(timed, "key");
}

/* ---- Windows made of timers and a dict ------------------------------------------------------- */

static int64_t seen[KEYS][BUCKETS], rows;

static void nothing_seen(void)
{
    memset(seen, 0, sizeof seen);
    rows = 0;
}

static enum pen_taken see(pen_context *ctx, const struct tally *tally)
{
    (void)ctx;
    seen[tally->key + 10][tally->bucket] += tally->count;
    rows++;
    return PEN_TAKEN;
}
PEN_SINK(see, tally);

struct cell {
    int64_t count;
};
PEN_RECORD(cell, count);

static struct pen_state cells = PEN_KEYED_DICT("cells", cell);

static void count(pen_context *ctx, const struct event *event, struct pen_none *none)
{
    int64_t bucket = event->at.us / BUCKET;

    (void)none;
    pen_dict_at(ctx, &cells, cell, pen_int(bucket))->count++;
    pen_timer_set(ctx, (uint64_t)bucket, (pen_time){(bucket + 1) * BUCKET - 1});
}
PEN_PROCESS(count, event, pen_none, tally);

static void tell(pen_context *ctx, struct pen_none *none)
{
    int64_t bucket = (int64_t)pen_timer(ctx);
    const struct cell *cell = pen_dict_get(ctx, &cells, cell, pen_int(bucket));

    (void)none;
    CU_ASSERT_PTR_NOT_NULL_FATAL(cell);
    CU_ASSERT_EQUAL(pen_record_time(ctx).us, (bucket + 1) * BUCKET - 1);
    CU_ASSERT(pen_watermark(ctx).us >= pen_record_time(ctx).us);
    pen_emit(ctx, tally, .key = pen_key_int(ctx, 0), .bucket = bucket, .count = cell->count);
    pen_dict_remove(ctx, &cells, pen_int(bucket));
    if (pen_state_count(ctx, &cells) == 0) pen_forget(ctx);
}
PEN_TIMER(tell, pen_none);

static void buckets_job(pen_graph *graph)
{
    pen_stream tallies = pen_process(events_by_key(graph), count, .id = "count",
                                     .on_timer = PEN_FN(tell), .uses = PEN_USES(&cells));
    pen_sink(tallies, see, .id = "seen");
}

static uint64_t state_of(const struct eng_local *local, const char *id, uint64_t *keys)
{
    uint64_t bytes = 0;
    *keys = 0;
    for (uint32_t i = 0; i < local->board->counts.subtasks; i++) {
        const struct eng_board_subtask *subtask = eng_board_subtask(local->board, i);
        if (strcmp(eng_board_node(local->board, subtask->node)->id, id) != 0) continue;
        bytes += shm_load_own(&subtask->state_bytes);
        *keys += shm_load_own(&subtask->keys);
    }
    return bytes;
}

static void buckets_check(const struct eng_local *local)
{
    static int64_t model[KEYS][BUCKETS];
    int64_t model_rows = 0;
    uint64_t keys;

    memset(model, 0, sizeof model);
    for (uint64_t i = 0; i < RECORDS; i++) {
        struct event event = event_at(i);
        if (model[event.key + 10][event.at.us / BUCKET]++ == 0) model_rows++;
    }
    CU_ASSERT_EQUAL(memcmp(model, seen, sizeof model), 0);
    CU_ASSERT_EQUAL(rows, model_rows); /* nothing was late, so each bucket came once */
    state_of(local, "count", &keys);
    CU_ASSERT_EQUAL(keys, 0);
}

static void timers_and_a_dict_make_windows(void)
{
    local_run_everywhere(buckets_job, nothing_seen, buckets_check);
}

/* ---- Lists, and values with texts ------------------------------------------------------------ */

struct label {
    pen_string text;
    int64_t changes;
};
PEN_RECORD(label, text, changes);

struct number {
    int64_t value;
    pen_string text;
};
PEN_RECORD(number, value, text);

static struct pen_state newest = PEN_KEYED_VALUE("newest", label);
static struct pen_state numbers = PEN_KEYED_LIST("numbers", number);
static struct pen_state word_counts = PEN_KEYED_DICT("words", label);
static const char *const colours[] = {"red", "green", "blue", "a colour with a longer name"};

static void collect(pen_context *ctx, const struct event *event, struct label *state)
{
    const char *colour = colours[event->value % 4];

    state->changes++;
    pen_keep(ctx, &state->text, colour);
    struct label *label = pen_value_at(ctx, &newest, label);
    label->changes++;
    pen_keep(ctx, &label->text, pen_format(ctx, "%s %lld", colour, (long long)label->changes));
    pen_list_append(ctx, &numbers, number, .value = event->value, .text = pen_put(ctx, colour));
    struct label *word = pen_dict_at(ctx, &word_counts, label, pen_text(colour));
    word->changes++;
    if (word->changes % 7 == 0) pen_keep(ctx, &word->text, colour);
    pen_timer_set(ctx, 1, (pen_time){RECORDS});
}
PEN_PROCESS(collect, event, label, tally);

static bool text_is(pen_view text, const char *wanted)
{
    return text.size_bytes == strlen(wanted) && memcmp(text.data, wanted, text.size_bytes) == 0;
}

/* All that a key has must agree with itself; the sums are told. */
static void add_up(pen_context *ctx, struct label *state)
{
    const struct label *label = pen_value_get(ctx, &newest, label);
    const struct number *number = NULL;
    const struct label *word = NULL;
    int64_t sum = 0, listed = 0, worded = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(label);
    CU_ASSERT_EQUAL(label->changes, state->changes);
    char *wanted = (char *)(uintptr_t)pen_format(ctx, "%s %lld", pen_cstr(ctx, &state->text),
                                                 (long long)state->changes);
    CU_ASSERT(text_is(pen_view_of(&label->text), wanted));
    while ((number = pen_list_next(ctx, &numbers, number, number)) != NULL) {
        CU_ASSERT(text_is(pen_view_of(&number->text), colours[number->value % 4]));
        sum += number->value;
        listed++;
        if (listed % 3 == 0) pen_state_remove(ctx, &numbers, number);
    }
    CU_ASSERT_EQUAL(listed, state->changes);
    CU_ASSERT_EQUAL(pen_state_count(ctx, &numbers), (uint64_t)(listed - listed / 3));
    while ((word = pen_dict_next(ctx, &word_counts, label, word)) != NULL) {
        pen_dict_key key = pen_dict_key_of(ctx, &word_counts, word);
        worded += word->changes;
        CU_ASSERT(word->changes < 7 || text_is(pen_view_of(&word->text), pen_cstr(ctx, key.text)));
        if (word->changes % 2 == 0) pen_state_remove(ctx, &word_counts, word);
    }
    CU_ASSERT_EQUAL(worded, state->changes);
    pen_emit(ctx, tally, .key = pen_key_int(ctx, 0), .bucket = 0, .count = sum);
    pen_forget(ctx);
}
PEN_TIMER(add_up, label);

static void collect_job(pen_graph *graph)
{
    pen_stream tallies =
        pen_process(events_by_key(graph), collect, .id = "collect", .on_timer = PEN_FN(add_up),
                    .uses = PEN_USES(&newest, &numbers, &word_counts));
    pen_sink(tallies, see, .id = "seen");
}

static void collect_check(const struct eng_local *local)
{
    int64_t model[KEYS] = {0};
    uint64_t keys, bytes;

    for (uint64_t i = 0; i < RECORDS; i++)
        model[event_at(i).key + 10] += (int64_t)i;
    for (uint32_t k = 0; k < KEYS; k++)
        CU_ASSERT_EQUAL(seen[k][0], model[k]);
    bytes = state_of(local, "collect", &keys);
    CU_ASSERT_EQUAL(keys, 0);
    /* Tables of texts are gone; what is left are empty wheels and the table itself. */
    CU_ASSERT(bytes < local->worker_count * (64u << 10));
}

static void values_lists_and_dicts_keep_texts(void)
{
    local_run_everywhere(collect_job, nothing_seen, collect_check);
}

/* ---- Time to live ---------------------------------------------------------------------------- */

enum { TTL = 500 };

static struct pen_state fading = PEN_KEYED_LIST("fading", cell, .ttl = TTL);

/* A key is as old as its last record: with one worker and times in order, a plain loop knows. */
static void age(pen_context *ctx, const struct event *event, struct cell *state)
{
    state->count++;
    pen_list_append(ctx, &fading, cell, .count = event->at.us);
    const struct cell *first = pen_list_next(ctx, &fading, cell, NULL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(first);
    CU_ASSERT(event->at.us - first->count < TTL);
    pen_emit(ctx, tally, .key = event->key, .bucket = (int64_t)pen_state_count(ctx, &fading),
             .count = state->count);
}
PEN_PROCESS(age, event, cell, tally);

static int64_t told[RECORDS][2];

static enum pen_taken note(pen_context *ctx, const struct tally *tally)
{
    (void)ctx;
    if (rows < RECORDS) {
        told[rows][0] = tally->count;
        told[rows][1] = tally->bucket;
    }
    rows++;
    return PEN_TAKEN;
}
PEN_SINK(note, tally);

/* Pauses of different lengths between the records of 7 keys. */
static struct event calm_at(uint64_t i)
{
    return (struct event){.at = {(int64_t)(i * 37 + (i / 40) * 300)},
                          .key = (int64_t)(local_mix(i) % 7)};
}

static void make_calm(pen_context *ctx, uint64_t index)
{
    struct event event = calm_at(index);
    pen_send(ctx, event, &event);
}
PEN_GENERATE(make_calm, event);

static void age_job(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make_calm, .id = "events", .count = RECORDS / 4);
    pen_stream timed = pen_event_time(events, "at");
    pen_stream tallies = pen_process(pen_key_by(timed, "key"), age, .id = "age", .ttl = TTL,
                                     .uses = PEN_USES(&fading));
    pen_sink(tallies, note, .id = "seen");
}

static void what_is_over_is_never_seen_again(void)
{
    static int64_t times[7][RECORDS];
    int64_t counts[7] = {0}, lengths[7] = {0}, last[7];
    struct eng_local local;
    struct eng_local_options options = {.parallelism = 1};
    char reason[1024];

    nothing_seen();
    CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, age_job, &options, reason, sizeof reason), 0);
    CU_ASSERT_EQUAL(eng_local_run(&local), 0);
    CU_ASSERT_EQUAL_FATAL(rows, RECORDS / 4);
    for (uint64_t i = 0; i < RECORDS / 4; i++) {
        struct event event = calm_at(i);
        uint32_t k = (uint32_t)event.key;
        if (counts[k] > 0 && event.at.us - last[k] >= TTL) counts[k] = 0;
        last[k] = event.at.us;
        times[k][lengths[k]++] = event.at.us;
        int64_t young = 0;
        for (int64_t j = lengths[k]; j-- > 0 && event.at.us - times[k][j] < TTL;)
            young++;
        CU_ASSERT_EQUAL(told[i][0], ++counts[k]);
        CU_ASSERT_EQUAL(told[i][1], young);
    }
    eng_local_close(&local);
}

/* ---- Rules ----------------------------------------------------------------------------------- */

static struct pen_state limits = PEN_BROADCAST_DICT("limits", label);

static void learn(pen_context *ctx, const struct number *rule)
{
    pen_dict_at(ctx, &limits, label, pen_int(rule->value))->changes++;
    struct label *limit = pen_dict_at(ctx, &limits, label, pen_int(rule->value));
    pen_keep(ctx, &limit->text, &rule->text);
}
PEN_RULE(learn, number);

static void judge(pen_context *ctx, const struct event *event, struct cell *state)
{
    const struct label *limit = pen_dict_get(ctx, &limits, label, pen_int(event->key));
    state->count++;
    if (limit && limit->changes == 2)
        CU_ASSERT(text_is(pen_view_of(&limit->text), colours[(event->key + 10) % 4]));
    pen_emit(ctx, tally, .key = event->key, .bucket = 0, .count = 1);
}
PEN_PROCESS(judge, event, cell, tally);

static void make_rule(pen_context *ctx, uint64_t index)
{
    int64_t key = (int64_t)(index % KEYS) - 10;
    pen_emit(ctx, number, .value = key,
             .text = pen_put(ctx, colours[(key + 10 + (index < KEYS ? 1 : 0)) % 4]));
}
PEN_GENERATE(make_rule, number);

static void rules_job(pen_graph *graph)
{
    pen_stream rules =
        pen_generate(graph, make_rule, .id = "rules", .count = 2 * KEYS, .parallelism = 1);
    pen_stream tallies = pen_process_broadcast(events_by_key(graph), judge, rules, learn,
                                               .id = "judge", .uses = PEN_USES(&limits));
    pen_sink(tallies, see, .id = "seen");
}

static void rules_check(const struct eng_local *local)
{
    int64_t model[KEYS] = {0};

    (void)local;
    for (uint64_t i = 0; i < RECORDS; i++)
        model[event_at(i).key + 10]++;
    for (uint32_t k = 0; k < KEYS; k++)
        CU_ASSERT_EQUAL(seen[k][0], model[k]);
}

static void rules_fill_a_broadcast_dict(void)
{
    local_run_everywhere(rules_job, nothing_seen, rules_check);
}

/* ---- By the clock, and by reading ------------------------------------------------------------ */

static struct pen_state read_often =
    PEN_KEYED_VALUE("read_often", cell, .ttl = PEN_SECONDS(10), .ttl_clock = PEN_CLOCK_TIME,
                    .ttl_since = PEN_SINCE_READ);
static struct pen_state written_once =
    PEN_KEYED_DICT("written_once", cell, .ttl = PEN_SECONDS(10), .ttl_clock = PEN_CLOCK_TIME);

/* Both are written with the first record of a key and read with each. Tells which are there. */
static void look(pen_context *ctx, const struct event *event, struct cell *state)
{
    if (event->value == 0) {
        pen_value_set(ctx, &read_often, cell, .count = 7);
        pen_dict_set(ctx, &written_once, cell, pen_text("x"), .count = 7);
    }
    state->count++;
    bool first = pen_value_get(ctx, &read_often, cell) != NULL;
    bool second = pen_dict_get(ctx, &written_once, cell, pen_text("x")) != NULL;
    CU_ASSERT_EQUAL(pen_state_count(ctx, &written_once), second ? 1 : 0);
    pen_emit(ctx, tally, .key = event->key, .bucket = first * 10 + second, .count = state->count);
}
PEN_PROCESS(look, event, cell, tally);

static const struct tally *look_at(pen_test *test, pen_stream events, pen_stream out,
                                   int64_t second, int64_t value)
{
    pen_test_clock(test, (pen_time){PEN_SECONDS(second)});
    pen_test_push(test, events, event, .key = 5, .value = value);
    return pen_test_next(test, out, tally);
}

static void the_clock_and_reading_count_where_the_state_says_so(void)
{
    pen_test *test = pen_test_open();
    pen_stream events = pen_test_input(test, event, NULL);
    pen_stream out =
        pen_test_output(test, pen_process(pen_key_by(events, "key"), look, .id = "look",
                                          .ttl = PEN_SECONDS(30), .ttl_clock = PEN_CLOCK_TIME,
                                          .uses = PEN_USES(&read_often, &written_once)));

    pen_test_start(test);
    CU_ASSERT_EQUAL(look_at(test, events, out, 100, 0)->bucket, 11);
    CU_ASSERT_EQUAL(look_at(test, events, out, 109, 1)->bucket, 11);
    CU_ASSERT_EQUAL(look_at(test, events, out, 110, 1)->bucket,
                    10); /* ten seconds after the write */
    CU_ASSERT_EQUAL(look_at(test, events, out, 119, 1)->bucket, 10); /* nine after the last read */
    CU_ASSERT_EQUAL(look_at(test, events, out, 129, 1)->bucket, 0);
    CU_ASSERT_EQUAL(look_at(test, events, out, 158, 1)->count, 6);
    CU_ASSERT_EQUAL(look_at(test, events, out, 188, 1)->count, 1); /* silent for thirty seconds */
    CU_ASSERT_PTR_NOT_NULL(pen_test_state(test, "look", cell, pen_int(5)));
    pen_test_clock(test, (pen_time){PEN_SECONDS(1000)}); /* nobody asks: a sweep finds it */
    CU_ASSERT_PTR_NULL(pen_test_state(test, "look", cell, pen_int(5)));
    pen_test_close(test);
}

/* ---- Lists of the subtask -------------------------------------------------------------------- */

static struct pen_state own = PEN_SUBTASK_LIST("own", number);
static struct pen_state everybodys = PEN_UNION_LIST("everybodys", number);

/* Keeps what comes, of the first list all, of the second the last three. */
static void keep_both(pen_context *ctx, const struct event *event)
{
    const struct number *number = NULL;
    int64_t sum = 0;

    pen_list_append(ctx, &own, number, .value = event->value, .text = pen_put(ctx, "a text"));
    pen_list_append(ctx, &everybodys, number, .value = event->value);
    if (pen_state_count(ctx, &everybodys) > 3)
        pen_state_remove(ctx, &everybodys, pen_list_next(ctx, &everybodys, number, NULL));
    while ((number = pen_list_next(ctx, &everybodys, number, number)) != NULL)
        sum += number->value;
    number = pen_list_next(ctx, &own, number, NULL);
    CU_ASSERT(text_is(pen_view_of(&number->text), "a text"));
    pen_emit(ctx, tally, .key = (int64_t)pen_state_count(ctx, &own), .bucket = number->value,
             .count = sum);
}
PEN_MAP(keep_both, event, tally);

static void a_subtask_has_lists_of_its_own(void)
{
    pen_test *test = pen_test_open();
    pen_stream events = pen_test_input(test, event, NULL);
    pen_stream out =
        pen_test_output(test, pen_map(events, keep_both, .uses = PEN_USES(&own, &everybodys)));

    pen_test_start(test);
    for (int64_t i = 1; i <= 100; i++) {
        pen_test_push(test, events, event, .value = i);
        const struct tally *tally = pen_test_next(test, out, tally);
        CU_ASSERT_EQUAL(tally->key, i);
        CU_ASSERT_EQUAL(tally->bucket, 1);
        CU_ASSERT_EQUAL(tally->count, i < 3 ? i * (i + 1) / 2 : 3 * i - 3);
    }
    pen_test_close(test);
}

/* ---- Large values ---------------------------------------------------------------------------- */

enum { LARGE = 15 << 20 };

static uint64_t large_text_seen;

/* One text in every kind of state, each read back; then smaller ones in their places. */
static void keep_large(pen_context *ctx, const struct event *event, struct label *state)
{
    static char text[LARGE];
    uint32_t bytes = event->value % 2 == 0 ? LARGE : 100;
    pen_view view;

    memset(text, 'a' + (int)(event->value % 26), bytes);
    view = pen_view_sized(text, bytes);
    pen_keep(ctx, &state->text, view);
    struct label *label = pen_value_at(ctx, &newest, label);
    pen_keep(ctx, &label->text, view);
    pen_state_clear(ctx, &numbers);
    pen_list_append(ctx, &numbers, number, .value = 1, .text = pen_put(ctx, view));
    pen_dict_set(ctx, &word_counts, label, pen_text("large"), .text = pen_put(ctx, view));
    const struct label *found = pen_dict_get(ctx, &word_counts, label, pen_text("large"));
    const struct number *listed = pen_list_next(ctx, &numbers, number, NULL);
    large_text_seen += pen_view_of(&found->text).size_bytes;
    CU_ASSERT_EQUAL(found->text.size_bytes, bytes);
    CU_ASSERT_EQUAL(listed->text.size_bytes, bytes);
    CU_ASSERT_EQUAL(memcmp(pen_view_of(&found->text).data, text, bytes), 0);
    CU_ASSERT_EQUAL(memcmp(pen_view_of(&listed->text).data, text, bytes), 0);
    pen_emit(ctx, tally, .key = event->key, .bucket = 0, .count = 1);
}
PEN_PROCESS(keep_large, event, label, tally);

static void large_job(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make, .id = "events", .count = 12);
    pen_stream tallies = pen_process(pen_key_by(events, "key"), keep_large, .id = "large",
                                     .uses = PEN_USES(&newest, &numbers, &word_counts));
    pen_sink(tallies, see, .id = "seen");
}

static void values_may_be_as_large_as_a_record(void)
{
    struct eng_local local;
    struct eng_local_options options = {.parallelism = 1};
    char reason[1024];

    nothing_seen();
    large_text_seen = 0;
    CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, large_job, &options, reason, sizeof reason), 0);
    if (eng_local_run(&local) < 0) CU_FAIL(eng_local_failure(&local));
    CU_ASSERT_EQUAL(rows, 12);
    CU_ASSERT_EQUAL(large_text_seen, 6 * (uint64_t)LARGE + 600);
    eng_local_close(&local);
}

/* ---- Failures -------------------------------------------------------------------------------- */

static struct pen_state unlisted = PEN_KEYED_VALUE("unlisted", cell);

static void use_unlisted(pen_context *ctx, const struct event *event, struct cell *state)
{
    (void)event, (void)state;
    pen_value_at(ctx, &unlisted, cell)->count++;
}
PEN_PROCESS(use_unlisted, event, cell, tally);

static void unlisted_job(pen_graph *graph)
{
    pen_sink(pen_process(events_by_key(graph), use_unlisted, .id = "x"), see, .id = "seen");
}

static void judge_and_change(pen_context *ctx, const struct event *event, struct cell *state)
{
    (void)state;
    pen_dict_at(ctx, &limits, label, pen_int(event->key))->changes++;
}
PEN_PROCESS(judge_and_change, event, cell, tally);

static void changed_rules_job(pen_graph *graph)
{
    pen_stream rules = pen_generate(graph, make_rule, .id = "rules", .count = 0, .parallelism = 1);
    pen_sink(pen_process_broadcast(events_by_key(graph), judge_and_change, rules, learn, .id = "x",
                                   .uses = PEN_USES(&limits)),
             see, .id = "seen");
}

static void set_without_on_timer(pen_context *ctx, const struct event *event, struct cell *state)
{
    (void)state;
    pen_timer_set(ctx, 1, event->at);
}
PEN_PROCESS(set_without_on_timer, event, cell, tally);

static void no_timer_job(pen_graph *graph)
{
    pen_sink(pen_process(events_by_key(graph), set_without_on_timer, .id = "x"), see, .id = "seen");
}

static void fails_with(void (*job)(pen_graph *), const char *words)
{
    struct eng_local local;
    struct eng_local_options options = {.parallelism = 2};
    char reason[1024];

    CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, job, &options, reason, sizeof reason), 0);
    CU_ASSERT(eng_local_run(&local) < 0);
    const char *failure = eng_local_failure(&local);
    CU_ASSERT_PTR_NOT_NULL_FATAL(failure);
    if (!strstr(failure, words)) {
        fprintf(stderr, "%s\n", failure);
        CU_FAIL("another failure");
    }
    eng_local_close(&local);
}

static void wrong_uses_fail_the_job_and_say_why(void)
{
    fails_with(unlisted_job, "the state unlisted, which is not listed in its .uses");
    fails_with(changed_rules_job, "changes the broadcast state limits");
    fails_with(no_timer_job, "has no .on_timer");
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("process: states, timers, times to live", NULL, NULL);
    CU_ADD_TEST(suite, timers_and_a_dict_make_windows);
    CU_ADD_TEST(suite, values_lists_and_dicts_keep_texts);
    CU_ADD_TEST(suite, what_is_over_is_never_seen_again);
    CU_ADD_TEST(suite, rules_fill_a_broadcast_dict);
    CU_ADD_TEST(suite, the_clock_and_reading_count_where_the_state_says_so);
    CU_ADD_TEST(suite, a_subtask_has_lists_of_its_own);
    CU_ADD_TEST(suite, values_may_be_as_large_as_a_record);
    CU_ADD_TEST(suite, wrong_uses_fail_the_job_and_say_why);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures > 0;
}
