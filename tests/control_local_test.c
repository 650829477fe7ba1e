/* Whole jobs in one process, against plain loops.
 * Shows: engine/flow/{context,chain,exchange,emit,call,keyed,key_call,reject,worker,board},
 * engine/operator/{map,filter,pass,process,keyed,aggregate,event_time,generate,sink} and
 * engine/control/{assemble,local}.
 * Method: the real graph, planner, workers and rings; workers are stepped in turn. Sinks add what
 * they see to counters of this test. Every job runs at several parallelisms, and with rings so
 * small that they are full most of the time. */
#include "tests/local_jobs.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS = 1000, RECORDS = 50000 };

struct event {
    uint64_t key;
    int64_t value;
};
PEN_RECORD(event, key, value);

struct tally {
    uint64_t key;
    int64_t count;
};
PEN_RECORD(tally, key, count);

static void make(pen_context *ctx, uint64_t index)
{
    pen_emit(ctx, event, .key = local_mix(index) % KEYS, .value = (int64_t)index);
}
PEN_GENERATE(make, event);

/* ---- Keyed count ----------------------------------------------------------------------------- */

struct counted {
    int64_t count;
};
PEN_RECORD(counted, count);

static int64_t largest[KEYS], sightings, out_of_order;

static void count(pen_context *ctx, const struct event *event, struct counted *state)
{
    state->count++;
    pen_emit(ctx, tally, .key = event->key, .count = state->count);
}
PEN_PROCESS(count, event, counted, tally);

static enum pen_taken see_tally(pen_context *ctx, const struct tally *tally)
{
    (void)ctx;
    sightings++;
    if (tally->count != largest[tally->key] + 1) out_of_order++;
    largest[tally->key] = tally->count;
    return PEN_TAKEN;
}
PEN_SINK(see_tally, tally);

static void keyed_count_job(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make, .id = "events", .count = RECORDS);
    pen_stream tallies = pen_process(pen_key_by(events, "key"), count, .id = "count");
    pen_sink(tallies, see_tally, .id = "seen");
}

static void keyed_count_reset(void)
{
    memset(largest, 0, sizeof largest);
    sightings = out_of_order = 0;
}

static void keyed_count_check(const struct eng_local *local)
{
    int64_t model[KEYS] = {0};
    for (uint64_t i = 0; i < RECORDS; i++)
        model[local_mix(i) % KEYS]++;
    CU_ASSERT_EQUAL(memcmp(model, largest, sizeof model), 0);
    CU_ASSERT_EQUAL(sightings, RECORDS);
    CU_ASSERT_EQUAL(out_of_order, 0);
    CU_ASSERT_EQUAL(eng_local_records_in(local, "count"), RECORDS);
    CU_ASSERT_EQUAL(eng_local_records_out(local, "events"), RECORDS);
}

static void every_record_is_counted_once_and_in_order(void)
{
    local_run_everywhere(keyed_count_job, keyed_count_reset, keyed_count_check);
}

/* ---- Texts, large and small ------------------------------------------------------------------ */

struct words {
    uint64_t number;
    pen_string text;
    pen_opt_string more;
};
PEN_RECORD(words, number, text, more);

static uint64_t words_seen, words_wrong, words_sum;

/* 0 to 60 bytes mostly, sometimes thousands, once a while far more than a ring of 4 KiB. */
static uint32_t words_bytes(uint64_t number)
{
    uint64_t kind = local_mix(number) % 200;
    if (kind == 0) return 20000;
    if (kind < 10) return 900;
    return (uint32_t)(kind % 61);
}

static void make_words(pen_context *ctx, uint64_t index)
{
    static char bytes[32768];
    memset(bytes, 'a' + (int)(index % 26), sizeof bytes);
    pen_view text = pen_view_sized(bytes, words_bytes(index));
    if (index % 3 == 0)
        pen_emit(ctx, words, .number = index, .text = pen_put(ctx, text));
    else
        pen_emit(ctx, words, .number = index, .text = pen_put(ctx, text),
                 .more = {pen_put(ctx, "more"), true});
}
PEN_GENERATE(make_words, words);

static bool is_all(pen_view text, char c)
{
    for (uint32_t i = 0; i < text.size_bytes; i++)
        if (text.data[i] != c) return false;
    return true;
}

static enum pen_taken see_words(pen_context *ctx, const struct words *words)
{
    pen_view text = pen_view_of(&words->text);
    (void)ctx;
    words_seen++;
    words_sum += words->number;
    if (text.size_bytes != words_bytes(words->number)) words_wrong++;
    if (!is_all(text, (char)('a' + words->number % 26))) words_wrong++;
    if (words->more.present != (words->number % 3 != 0)) words_wrong++;
    if (words->more.present && !pen_text_equal(&words->more.value, "more")) words_wrong++;
    return PEN_TAKEN;
}
PEN_SINK(see_words, words);

/* Changes one field and passes the rest on, texts included. */
static void pass_on(pen_context *ctx, const struct words *words)
{
    struct words *copy = pen_copy(ctx, words, words);
    copy->number = words->number;
    pen_send(ctx, words, copy);
}
PEN_MAP(pass_on, words, words);

static void words_job(pen_graph *graph)
{
    pen_stream made = pen_generate(graph, make_words, .count = 5000, .id = "made");
    pen_stream passed = pen_map(pen_rebalance(made), pass_on);
    pen_sink(pen_map(pen_rebalance(passed), pass_on, .id = "again"), see_words, .id = "seen");
}

static void words_reset(void)
{
    words_seen = words_wrong = words_sum = 0;
}

static void words_check(const struct eng_local *local)
{
    (void)local;
    CU_ASSERT_EQUAL(words_seen, 5000);
    CU_ASSERT_EQUAL(words_wrong, 0);
    CU_ASSERT_EQUAL(words_sum, 5000ull * 4999 / 2);
}

static void texts_of_any_size_arrive_whole(void)
{
    local_run_everywhere(words_job, words_reset, words_check);
}

/* ---- Map, filter, union, side outputs -------------------------------------------------------- */

static uint64_t small_seen, large_seen, odd_seen;

static bool is_even(const struct event *event)
{
    return event->value % 2 == 0;
}
PEN_FILTER(is_even, event);

/* None for multiples of 3, else value % 3 copies; every tenth goes to the side as well. */
static void copies(pen_context *ctx, const struct event *event)
{
    for (int64_t n = event->value % 3; n > 0; n--)
        pen_send(ctx, event, event);
    if (event->value % 10 == 0)
        pen_emit_to(ctx, 1, tally, .key = event->key, .count = event->value);
}
PEN_MAP(copies, event, event);

static enum pen_taken see_event(pen_context *ctx, const struct event *event)
{
    (void)ctx;
    small_seen++;
    large_seen += (uint64_t)event->value;
    return PEN_TAKEN;
}
PEN_SINK(see_event, event);

static enum pen_taken see_side(pen_context *ctx, const struct tally *tally)
{
    (void)ctx;
    odd_seen += (uint64_t)tally->count;
    return PEN_TAKEN;
}
PEN_SINK(see_side, tally);

static void flow_job(pen_graph *graph)
{
    pen_stream side;
    pen_stream events = pen_generate(graph, make, .count = RECORDS, .id = "events");
    pen_stream even = pen_filter(events, is_even);
    pen_stream copied = pen_map(even, copies, .side = PEN_SIDES(PEN_SIDE("tenth", tally, &side)));
    pen_sink(pen_union(copied, even), see_event, .id = "both");
    pen_sink(side, see_side, .id = "side");
}

static void flow_reset(void)
{
    small_seen = large_seen = odd_seen = 0;
}

static void flow_check(const struct eng_local *local)
{
    uint64_t seen = 0, sum = 0, side = 0;
    (void)local;
    for (uint64_t i = 0; i < RECORDS; i += 2) {
        seen += 1 + i % 3;
        sum += i * (1 + i % 3);
        if (i % 10 == 0) side += i;
    }
    CU_ASSERT_EQUAL(small_seen, seen);
    CU_ASSERT_EQUAL(large_seen, sum);
    CU_ASSERT_EQUAL(odd_seen, side);
}

static void none_one_many_union_and_sides_add_up(void)
{
    local_run_everywhere(flow_job, flow_reset, flow_check);
}

/* ---- Broadcast ------------------------------------------------------------------------------- */

enum { RULES = 3000 };
static uint64_t rules_of[8][RULES], rules_count[8];

static void take_rule(pen_context *ctx, const struct event *rule)
{
    uint32_t subtask = pen_subtask(ctx);
    rules_of[subtask][rules_count[subtask]++ % RULES] = (uint64_t)rule->value;
}
PEN_RULE(take_rule, event);

static void pass_event(pen_context *ctx, const struct event *event)
{
    pen_send(ctx, event, event);
}
PEN_MAP(pass_event, event, event);

static void broadcast_job(pen_graph *graph)
{
    pen_stream rules = pen_generate(graph, make, .count = RULES, .id = "rules");
    pen_stream events = pen_generate(graph, make, .count = 100, .id = "events");
    pen_sink(pen_map_broadcast(events, pass_event, rules, take_rule, .id = "mapped"), see_event,
             .id = "seen");
}

static void broadcast_reset(void)
{
    memset(rules_count, 0, sizeof rules_count);
    flow_reset();
}

static void broadcast_check(const struct eng_local *local)
{
    uint32_t subtasks = local->plan.worker_count > 8 ? 8 : local->plan.worker_count;
    CU_ASSERT_EQUAL(small_seen, 100);
    for (uint32_t s = 0; s < subtasks; s++) {
        CU_ASSERT_EQUAL(rules_count[s], RULES);
        CU_ASSERT_EQUAL(memcmp(rules_of[s], rules_of[0], sizeof rules_of[0]), 0);
    }
}

static void all_subtasks_see_all_rules_in_one_order(void)
{
    local_run_everywhere(broadcast_job, broadcast_reset, broadcast_check);
}

/* ---- Computed keys, state with texts, pen_forget, pen_reject --------------------------------- */

struct name {
    pen_string text;
};
PEN_RECORD(name, text);

struct log_entry {
    pen_string all;
    int64_t count;
};
PEN_RECORD(log_entry, all, count);

static uint64_t flushed_count, flushed_bytes;

static void by_name(pen_context *ctx, const struct event *event, struct name *name)
{
    if (event->value % 100 == 99) {
        pen_reject(ctx, "value %lld", (long long)event->value);
        return;
    }
    name->text = pen_putf(ctx, "key-%u", (unsigned)(event->key % 50));
}
PEN_KEY(by_name, event, name);

/* Collects a letter for each record; at ten says so and begins anew. */
static void collect(pen_context *ctx, const struct event *event, struct log_entry *entry)
{
    pen_view all = pen_view_of(&entry->all);
    char text[16];

    memcpy(text, all.data, all.size_bytes);
    text[all.size_bytes] = (char)('a' + entry->count % 26);
    pen_keep(ctx, &entry->all, pen_view_sized(text, all.size_bytes + 1));
    entry->count++;
    if (entry->count < 10) return;
    if (!pen_text_equal(pen_key_text(ctx, 0),
                        pen_format(ctx, "key-%u", (unsigned)(event->key % 50))))
        pen_fail(ctx, "the key is not what the record says");
    pen_emit(ctx, words, .number = event->key, .text = pen_put(ctx, &entry->all));
    pen_forget(ctx);
}
PEN_PROCESS(collect, event, log_entry, words);

static enum pen_taken see_collected(pen_context *ctx, const struct words *words)
{
    (void)ctx;
    flushed_count++;
    if (pen_text_equal(&words->text, "abcdefghij")) flushed_bytes += 10;
    return PEN_TAKEN;
}
PEN_SINK(see_collected, words);

static void texts_job(pen_graph *graph)
{
    pen_configure(graph, .on_bad_record = PEN_BAD_SKIP);
    pen_stream events = pen_generate(graph, make, .count = 20000, .id = "events");
    pen_sink(pen_process(pen_key_with(events, by_name), collect, .id = "collect"), see_collected,
             .id = "seen");
}

static void texts_reset(void)
{
    flushed_count = flushed_bytes = 0;
}

static void texts_check(const struct eng_local *local)
{
    uint64_t counts[50] = {0}, expected = 0;
    for (uint64_t i = 0; i < 20000; i++)
        if (i % 100 != 99 && ++counts[local_mix(i) % KEYS % 50] % 10 == 0) expected++;
    CU_ASSERT_EQUAL(flushed_count, expected);
    CU_ASSERT_EQUAL(flushed_bytes, 10 * expected);
    CU_ASSERT_EQUAL(eng_local_rejected(local, "events"), 200);
}

static void computed_keys_kept_texts_and_forgotten_keys(void)
{
    local_run_everywhere(texts_job, texts_reset, texts_check);
}

/* pen_forget with a state of fixed size, several times in one batch. */
static void count_to_three(pen_context *ctx, const struct event *event, struct counted *state)
{
    if (++state->count < 3) return;
    pen_emit(ctx, tally, .key = event->key, .count = 1);
    pen_forget(ctx);
}
PEN_PROCESS(count_to_three, event, counted, tally);

static int64_t threes;
static enum pen_taken see_three(pen_context *ctx, const struct tally *tally)
{
    (void)ctx;
    threes += tally->count;
    return PEN_TAKEN;
}
PEN_SINK(see_three, tally);

static void threes_job(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make, .count = RECORDS, .id = "events");
    pen_sink(pen_process(pen_key_by(events, "key"), count_to_three, .id = "threes"), see_three,
             .id = "seen");
}

static void threes_reset(void)
{
    threes = 0;
}

static void threes_check(const struct eng_local *local)
{
    int64_t counts[KEYS] = {0}, expected = 0;
    (void)local;
    for (uint64_t i = 0; i < RECORDS; i++)
        if (++counts[local_mix(i) % KEYS] % 3 == 0) expected++;
    CU_ASSERT_EQUAL(threes, expected);
}

static void a_forgotten_key_begins_anew(void)
{
    local_run_everywhere(threes_job, threes_reset, threes_check);
}

/* ---- Aggregates ------------------------------------------------------------------------------ */

struct total {
    uint64_t key;
    int64_t count;
    int64_t sum;
    int64_t least, most;
    double mean;
};
PEN_RECORD(total, key, count, sum, least, most, mean);

static struct total totals[KEYS];
static bool totals_there[KEYS];
static uint64_t totals_wrong;

static enum pen_taken fold_total(pen_context *ctx, const struct total *total)
{
    enum pen_row row = pen_row(ctx);
    bool there = totals_there[total->key];

    if ((row == PEN_INSERT) == there) totals_wrong++;
    if (row == PEN_UPDATE_BEFORE && memcmp(total, &totals[total->key], sizeof *total) != 0)
        totals_wrong++;
    totals_there[total->key] = true;
    if (row != PEN_UPDATE_BEFORE) totals[total->key] = *total;
    return PEN_TAKEN;
}
PEN_SINK(fold_total, total);

static void aggregate_job(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make, .count = RECORDS, .id = "events");
    pen_stream sums =
        pen_aggregate(pen_key_by(events, "key"), total, .id = "sums",
                      .aggregates = PEN_AGGREGATES(
                          pen_count("count"), pen_sum("value", "sum"), pen_min("value", "least"),
                          pen_max("value", "most"), pen_mean("value", "mean")));
    pen_sink(sums, fold_total, .id = "seen", .takes_updates = true, .parallelism = 1);
}

static void aggregate_reset(void)
{
    memset(totals, 0, sizeof totals);
    memset(totals_there, 0, sizeof totals_there);
    totals_wrong = 0;
}

static void aggregate_check(const struct eng_local *local)
{
    static struct total model[KEYS];
    (void)local;
    memset(model, 0, sizeof model);
    for (int64_t i = 0; i < RECORDS; i++) {
        struct total *total = &model[local_mix((uint64_t)i) % KEYS];
        if (total->count == 0) total->least = i;
        total->key = local_mix((uint64_t)i) % KEYS;
        total->count++;
        total->sum += i;
        total->most = i;
    }
    for (uint32_t k = 0; k < KEYS; k++) {
        model[k].mean = (double)model[k].sum / (double)model[k].count;
        CU_ASSERT_EQUAL_FATAL(totals[k].count, model[k].count);
        CU_ASSERT_EQUAL_FATAL(totals[k].sum, model[k].sum);
        CU_ASSERT_EQUAL_FATAL(totals[k].least, model[k].least);
        CU_ASSERT_EQUAL_FATAL(totals[k].most, model[k].most);
        CU_ASSERT_DOUBLE_EQUAL(totals[k].mean, model[k].mean, 1e-6);
    }
    CU_ASSERT_EQUAL(totals_wrong, 0);
}

static void updates_fold_to_the_plain_sums(void)
{
    local_run_everywhere(aggregate_job, aggregate_reset, aggregate_check);
}

/* An aggregate of an aggregate: rows are taken back. */
struct spread {
    int64_t count;
    int64_t keys;
};
PEN_RECORD(spread, count, keys);

static int64_t spread_keys[RECORDS];
static bool spread_there[RECORDS];

static enum pen_taken fold_spread(pen_context *ctx, const struct spread *spread)
{
    spread_there[spread->count] = pen_row(ctx) != PEN_DELETE;
    if (pen_row(ctx) != PEN_UPDATE_BEFORE) spread_keys[spread->count] = spread->keys;
    return PEN_TAKEN;
}
PEN_SINK(fold_spread, spread);

static void spread_job(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make, .count = RECORDS, .id = "events");
    pen_stream counts = pen_aggregate(pen_key_by(events, "key"), tally, .id = "counts",
                                      .aggregates = PEN_AGGREGATES(pen_count("count")));
    pen_stream spreads = pen_aggregate(pen_key_by(counts, "count"), spread, .id = "spreads",
                                       .aggregates = PEN_AGGREGATES(pen_count("keys")));
    pen_sink(spreads, fold_spread, .id = "seen", .takes_updates = true, .parallelism = 1);
}

static void spread_reset(void)
{
    memset(spread_keys, 0, sizeof spread_keys);
    memset(spread_there, 0, sizeof spread_there);
}

static void spread_check(const struct eng_local *local)
{
    static int64_t counts[KEYS], model[RECORDS];
    (void)local;
    memset(counts, 0, sizeof counts);
    memset(model, 0, sizeof model);
    for (uint64_t i = 0; i < RECORDS; i++)
        counts[local_mix(i) % KEYS]++;
    for (uint32_t k = 0; k < KEYS; k++)
        model[counts[k]]++;
    for (uint32_t c = 1; c < RECORDS; c++)
        CU_ASSERT_EQUAL_FATAL(spread_there[c] ? spread_keys[c] : 0, model[c]);
}

static void rows_are_taken_back_through_two_aggregates(void)
{
    local_run_everywhere(spread_job, spread_reset, spread_check);
}

/* ---- A slow sink ----------------------------------------------------------------------------- */

static uint64_t slow_seen, slow_sum, slow_refusals, memory_most;

static enum pen_taken see_slowly(pen_context *ctx, const struct event *event)
{
    (void)ctx;
    if (local_mix(slow_seen + slow_refusals * 7919) % 4 != 0) {
        slow_refusals++;
        return PEN_AGAIN;
    }
    slow_seen++;
    slow_sum += (uint64_t)event->value;
    return PEN_TAKEN;
}
PEN_SINK(see_slowly, event);

static void slow_job(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make, .count = 20000, .id = "events");
    pen_sink(pen_map(pen_rebalance(events), pass_event), see_slowly, .id = "slow");
}

static void a_slow_sink_slows_the_source_and_memory_stays_bounded(void)
{
    for (uint32_t parallelism = 1; parallelism <= 3; parallelism++) {
        struct eng_local local;
        struct eng_local_options options = {.parallelism = parallelism,
                                            .ring_bytes = SHM_RING_BYTES_MIN};
        char reason[4096];
        uint64_t ahead_most = 0;

        slow_seen = slow_sum = slow_refusals = memory_most = 0;
        CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, slow_job, &options, reason, sizeof reason), 0);
        while (eng_local_step(&local)) {
            uint64_t ahead = eng_local_records_out(&local, "events") - slow_seen;
            if (ahead > ahead_most) ahead_most = ahead;
        }
        CU_ASSERT_PTR_NULL(eng_local_failure(&local));
        CU_ASSERT_EQUAL(slow_seen, 20000);
        CU_ASSERT_EQUAL(slow_sum, 20000ull * 19999 / 2);
        CU_ASSERT_TRUE(slow_refusals > 20000);
        CU_ASSERT_TRUE(ahead_most < 16384);
        eng_local_close(&local);
    }
}

/* ---- Event time ------------------------------------------------------------------------------ */

struct reading {
    pen_time at;
    int64_t sensor;
};
PEN_RECORD(reading, at, sensor);

static uint64_t late, readings_seen, wrong_times;
static int64_t last_watermark[8];

/* Times go up by a second, each up to 5 s out of order. */
static void make_reading(pen_context *ctx, uint64_t index)
{
    int64_t disorder = (int64_t)(local_mix(index) % 5000000);
    pen_emit(ctx, reading, .at = {(int64_t)index * 1000000 - disorder},
             .sensor = (int64_t)(index % 7));
}
PEN_GENERATE(make_reading, reading);

static enum pen_taken see_reading(pen_context *ctx, const struct reading *reading)
{
    pen_time watermark = pen_watermark(ctx);
    uint32_t subtask = pen_subtask(ctx);

    readings_seen++;
    if (reading->at.us <= watermark.us) late++;
    if (pen_record_time(ctx).us != reading->at.us) wrong_times++;
    if (watermark.us < last_watermark[subtask]) wrong_times++;
    last_watermark[subtask] = watermark.us;
    return PEN_TAKEN;
}
PEN_SINK(see_reading, reading);

static void see_end(pen_context *ctx)
{
    if (pen_watermark(ctx).us == INT64_MAX) late += 1000000; /* a mark for the check */
}

static void time_job(pen_graph *graph)
{
    pen_stream readings = pen_event_time(pen_generate(graph, make_reading, .count = 30000), "at",
                                         .out_of_order = PEN_SECONDS(5));
    pen_sink(pen_rebalance(readings), see_reading, .id = "seen", .close = see_end);
}

static void time_reset(void)
{
    late = readings_seen = wrong_times = 0;
    for (uint32_t i = 0; i < 8; i++)
        last_watermark[i] = INT64_MIN;
}

static void time_check(const struct eng_local *local)
{
    CU_ASSERT_EQUAL(readings_seen, 30000);
    CU_ASSERT_EQUAL(wrong_times, 0);
    /* None is late, and every subtask has heard infinity before it closed. */
    CU_ASSERT_EQUAL(late, 1000000ull * local->plan.worker_count);
}

static void no_record_is_late_within_the_promised_disorder(void)
{
    local_run_everywhere(time_job, time_reset, time_check);
}

/* ---- The end, and failures ------------------------------------------------------------------- */

static void endless_job(pen_graph *graph)
{
    pen_stream readings =
        pen_event_time(pen_generate(graph, make_reading), "at", .out_of_order = PEN_SECONDS(5));
    pen_sink(pen_rebalance(readings), see_reading, .id = "seen", .close = see_end);
}

static void stop_ends_without_and_drain_with_the_last_watermark(void)
{
    for (uint32_t drain = 0; drain < 2; drain++) {
        struct eng_local local;
        struct eng_local_options options = {.parallelism = 3};
        char reason[4096];

        time_reset();
        CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, endless_job, &options, reason, sizeof reason),
                              0);
        for (int i = 0; i < 100; i++)
            CU_ASSERT_TRUE(eng_local_step(&local));
        eng_local_command(&local, drain ? ENG_COMMAND_DRAIN : ENG_COMMAND_STOP);
        CU_ASSERT_EQUAL(eng_local_run(&local), 0);
        CU_ASSERT_EQUAL(readings_seen, eng_local_records_in(&local, "seen"));
        CU_ASSERT_TRUE(readings_seen > 1000);
        CU_ASSERT_EQUAL(late, drain ? 3000000 : 0);
        eng_local_close(&local);
    }
}

static void fail_at_1000(pen_context *ctx, const struct event *event)
{
    if (event->value == 1000) {
        pen_fail(ctx, "the world ended at %d", 1000);
        return;
    }
    pen_send(ctx, event, event);
}
PEN_MAP(fail_at_1000, event, event);

static void failing_job(pen_graph *graph)
{
    pen_stream events = pen_generate(graph, make, .count = RECORDS);
    pen_sink(pen_map(events, fail_at_1000, .id = "doomed"), see_event);
}

static void copy_a_text_by_assignment(pen_context *ctx, const struct words *words)
{
    pen_emit(ctx, words, .number = words->number, .text = words->text);
}
PEN_MAP(copy_a_text_by_assignment, words, words);

static void copying_job(pen_graph *graph)
{
    pen_stream made = pen_generate(graph, make_words, .count = 5000);
    pen_sink(pen_map(made, copy_a_text_by_assignment), see_words);
}

static void failure_says(void (*job)(pen_graph *), const char *part)
{
    struct eng_local local;
    struct eng_local_options options = {.parallelism = 2};
    char reason[4096];

    CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, job, &options, reason, sizeof reason), 0);
    CU_ASSERT_NOT_EQUAL(eng_local_run(&local), 0);
    const char *failure = eng_local_failure(&local);
    CU_ASSERT_PTR_NOT_NULL_FATAL(failure);
    if (!strstr(failure, part)) fprintf(stderr, "it says: %s\n", failure);
    CU_ASSERT_PTR_NOT_NULL(strstr(failure, part));
    CU_ASSERT_PTR_NOT_NULL(strstr(failure, "control_local_test.c:"));
    eng_local_close(&local);
}

static void a_failure_names_operator_place_and_reason(void)
{
    failure_says(failing_job, "the world ended at 1000");
}

static void a_text_copied_by_assignment_is_found_out(void)
{
    failure_says(copying_job, "field text is a copy of a text");
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("whole jobs in one process", NULL, NULL);
    CU_ADD_TEST(suite, every_record_is_counted_once_and_in_order);
    CU_ADD_TEST(suite, texts_of_any_size_arrive_whole);
    CU_ADD_TEST(suite, none_one_many_union_and_sides_add_up);
    CU_ADD_TEST(suite, all_subtasks_see_all_rules_in_one_order);
    CU_ADD_TEST(suite, computed_keys_kept_texts_and_forgotten_keys);
    CU_ADD_TEST(suite, a_forgotten_key_begins_anew);
    CU_ADD_TEST(suite, updates_fold_to_the_plain_sums);
    CU_ADD_TEST(suite, rows_are_taken_back_through_two_aggregates);
    CU_ADD_TEST(suite, a_slow_sink_slows_the_source_and_memory_stays_bounded);
    CU_ADD_TEST(suite, no_record_is_late_within_the_promised_disorder);
    CU_ADD_TEST(suite, stop_ends_without_and_drain_with_the_last_watermark);
    CU_ADD_TEST(suite, a_failure_names_operator_place_and_reason);
    CU_ADD_TEST(suite, a_text_copied_by_assignment_is_found_out);
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
