/* Aggregates at their limits: sums that are too large, texts that are too long, memory that is
 * refused, sketches of many values, and what rows that were taken back must not leave behind.
 * Shows: engine/operator/aggregate_{plan,sums,variance,concat,sketch}. */
#include "tests/operator_aggregate.h"

struct limits {
    int64_t count;
    pen_opt_int64 sum;
    pen_opt_double real;
    pen_opt_double spread;
    pen_string text;
    int64_t large;
    pen_time time;
};
PEN_RECORD(limits, count, sum, real, spread, text, large, time);

static struct bench bench;
static void *value;

static void open_with(const struct pen_aggregate *list, bool updating)
{
    if (!bench_open(&bench, bench_sample_schema(), &limits_schema, list, updating, true)) {
        fprintf(stderr, "%s\n", bench.reason);
        CU_FAIL_FATAL("the plan is refused");
    }
    value = bench_value(&bench);
}

static void close_all(void)
{
    bench_drop(&bench, value);
    bench_close(&bench);
}

static bool add(const struct sample *sample, enum pen_row row)
{
    struct sample *laid = bench_lay(sample, "", NULL);
    bool good = bench_add(&bench, value, laid, row);
    free(laid);
    return good;
}

static bool add_price(double price, enum pen_row row)
{
    struct sample sample;
    memset(&sample, 0, sizeof sample);
    sample.price = price;
    return add(&sample, row);
}

static bool add_large(int64_t large, enum pen_row row)
{
    struct sample sample;
    memset(&sample, 0, sizeof sample);
    sample.large = large;
    sample.natural = (uint64_t)large;
    return add(&sample, row);
}

static const struct limits *finish(void)
{
    const struct limits *limits = bench_finish(&bench, value, 0, 0);
    CU_ASSERT_FATAL(limits != NULL);
    return limits;
}

/* ---- Sums ------------------------------------------------------------------------------------ */

static void a_sum_beyond_its_type_fails_the_job(void)
{
    struct sample sample;
    eng_int128 most = (eng_int128)((eng_uint128)-1 >> 1);

    open_with(PEN_AGGREGATES(pen_sum("large", "sum")), true);
    CU_ASSERT(add_large(INT64_MAX, PEN_INSERT));
    CU_ASSERT(add_large(-1, PEN_INSERT));
    CU_ASSERT(add_large(INT64_MIN, PEN_INSERT));
    CU_ASSERT_EQUAL(finish()->sum.value, -2);
    CU_ASSERT(add_large(INT64_MIN, PEN_DELETE)); /* no such number as -INT64_MIN is needed */
    CU_ASSERT_EQUAL(finish()->sum.value, INT64_MAX - 1);
    CU_ASSERT_FALSE(add_large(2, PEN_INSERT));
    CU_ASSERT_STRING_EQUAL(bench_failure(&bench), "the sum of large is beyond an int64");
    close_all();

    open_with(PEN_AGGREGATES(pen_sum("natural", "sum")), false);
    CU_ASSERT(add_large(INT64_MAX, PEN_INSERT));
    CU_ASSERT_EQUAL(finish()->sum.value, INT64_MAX);
    CU_ASSERT_FALSE(add_large(INT64_MIN, PEN_INSERT)); /* 2^63 */
    CU_ASSERT_STRING_EQUAL(bench_failure(&bench), "the sum of natural is beyond an int64");
    close_all();

    open_with(PEN_AGGREGATES(pen_sum("wide", "real")), false);
    memset(&sample, 0, sizeof sample);
    memcpy(sample.wide, &most, sizeof most);
    CU_ASSERT(add(&sample, PEN_INSERT));
    CU_ASSERT_DOUBLE_EQUAL(finish()->real.value / 1.7014118346046923e35, 1, 1e-15);
    CU_ASSERT_FALSE(add(&sample, PEN_INSERT));
    CU_ASSERT_STRING_EQUAL(bench_failure(&bench), "the sum of wide is beyond 38 digits");
    close_all();

    open_with(PEN_AGGREGATES(pen_sum("large", "sum")), false);
    void *other = bench_value(&bench), *first = value;
    CU_ASSERT(add_large(INT64_MAX, PEN_INSERT));
    value = other;
    CU_ASSERT(add_large(1, PEN_INSERT));
    CU_ASSERT_FALSE(eng_aggregate_merge(&bench.ctx, &bench.plan, first, other));
    CU_ASSERT_STRING_EQUAL(bench_failure(&bench), "the sum of large is beyond an int64");
    bench_drop(&bench, first);
    close_all();
}

static void the_mean_of_large_integers_is_exact(void)
{
    open_with(PEN_AGGREGATES(pen_mean("large", "real"), pen_mean("natural", "spread")), true);
    for (uint32_t i = 0; i < 1000; i++)
        CU_ASSERT(add_large(INT64_MAX, PEN_INSERT));
    CU_ASSERT(add_large(3, PEN_INSERT));
    CU_ASSERT(add_large(INT64_MIN, PEN_INSERT));
    for (uint32_t i = 0; i < 1000; i++)
        CU_ASSERT(add_large(INT64_MAX, PEN_DELETE));
    CU_ASSERT_EQUAL(finish()->real.value, (3 - 0x1p63) / 2);
    CU_ASSERT_EQUAL(finish()->spread.value, (3 + 0x1p63) / 2);
    CU_ASSERT(add_large(INT64_MIN, PEN_DELETE));
    CU_ASSERT_EQUAL(finish()->real.value, 3);
    CU_ASSERT_EQUAL(finish()->spread.value, 3);
    CU_ASSERT(add_large(3, PEN_DELETE));
    CU_ASSERT_FALSE(finish()->real.present);
    close_all();
}

static void what_is_taken_back_leaves_no_noise_in_a_sum(void)
{
    static const double gone[] = {1e20, -3.7e18, INFINITY, NAN, -INFINITY, 1e140, 1.5e9};
    enum { GONE = sizeof gone / sizeof *gone };

    open_with(PEN_AGGREGATES(pen_sum("price", "real"), pen_mean("price", "spread")), true);
    for (uint32_t i = 0; i < GONE; i++) {
        if (i != 5) CU_ASSERT(add_price(gone[i], PEN_INSERT));
        if (i < 3) CU_ASSERT(add_price(i + 1, PEN_UPDATE_AFTER));
    }
    CU_ASSERT(isnan(finish()->real.value));
    CU_ASSERT(isnan(finish()->spread.value));
    for (uint32_t i = 0; i < GONE; i++)
        if (i != 5) CU_ASSERT(add_price(gone[i], PEN_DELETE));
    CU_ASSERT_EQUAL(finish()->real.value, 6);
    CU_ASSERT_EQUAL(finish()->spread.value, 2);
    for (uint32_t i = 0; i < 3; i++)
        CU_ASSERT(add_price(i + 1, PEN_DELETE));
    CU_ASSERT_FALSE(finish()->real.present);
    CU_ASSERT_FALSE(finish()->spread.present);
    close_all();
}

static void what_is_taken_back_leaves_no_noise_in_a_variance(void)
{
    static const double gone[] = {-1e9, 3e9, INFINITY, NAN, -INFINITY, 1e140};
    enum { GONE = sizeof gone / sizeof *gone };

    open_with(PEN_AGGREGATES(pen_variance("price", "spread")), true);
    for (uint32_t i = 0; i < GONE; i++) {
        CU_ASSERT(add_price(gone[i], PEN_INSERT));
        if (i < 3) CU_ASSERT(add_price(i + 1, PEN_UPDATE_AFTER));
    }
    CU_ASSERT(isnan(finish()->spread.value));
    for (uint32_t i = 0; i < GONE; i++) {
        if (i == GONE - 1) CU_ASSERT(isinf(finish()->spread.value)); /* of its square */
        CU_ASSERT(add_price(gone[i], PEN_DELETE));
    }
    CU_ASSERT_DOUBLE_EQUAL(finish()->spread.value, 1, 1e-9); /* of 1, 2, 3 */
    CU_ASSERT(add_price(1, PEN_DELETE));
    CU_ASSERT(add_price(2, PEN_DELETE));
    CU_ASSERT_EQUAL(finish()->spread.value, 0); /* of one record */
    CU_ASSERT(add_price(3, PEN_DELETE));
    CU_ASSERT_FALSE(finish()->spread.present);
    close_all();
}

/* Microseconds since 1970, a few apart; in one accumulator and in two. */
static void a_small_spread_about_a_large_mean_is_found(void)
{
    for (uint32_t round = 0; round < 4; round++) {
        bool updating = round & 1, merged = round & 2;
        open_with(PEN_AGGREGATES(pen_variance("price", "spread")), updating);
        void *parts[2] = {value, merged ? bench_value(&bench) : value};
        for (uint32_t i = 0; i < 1000; i++) {
            value = parts[i / 2 % 2];
            CU_ASSERT(add_price(1.4e15 + i % 10, PEN_INSERT));
        }
        value = parts[0];
        if (merged) {
            CU_ASSERT(eng_aggregate_merge(&bench.ctx, &bench.plan, parts[0], parts[1]));
            bench_drop(&bench, parts[1]);
        }
        CU_ASSERT_DOUBLE_EQUAL(finish()->spread.value, 8.25 * 1000 / 999, 1e-9);
        close_all();
    }
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static void a_concat_beyond_the_largest_record_fails_the_job(void)
{
    static char megabyte[(1 << 20) + 1];
    struct sample sample;

    memset(megabyte, 'm', 1 << 20);
    memset(&sample, 0, sizeof sample);
    struct sample *laid = bench_lay(&sample, megabyte, NULL);
    open_with(PEN_AGGREGATES(pen_concat("name", ",", "text")), false);
    for (uint32_t i = 0; i < 15; i++)
        CU_ASSERT(bench_add(&bench, value, laid, PEN_INSERT));
    CU_ASSERT_EQUAL(finish()->text.size_bytes, 15 * (1 << 20) + 14);
    CU_ASSERT_FALSE(bench_add(&bench, value, laid, PEN_INSERT));
    CU_ASSERT_STRING_EQUAL(bench_failure(&bench),
                           "pen_concat of name: the text of one result has more than 16777216 "
                           "bytes");
    close_all();

    open_with(PEN_AGGREGATES(pen_concat("name", "", "text")), false);
    for (uint32_t i = 0; i < 16; i++)
        CU_ASSERT(bench_add(&bench, value, laid, PEN_INSERT));
    CU_ASSERT_PTR_NULL(bench_finish(&bench, value, 0, 0)); /* with the struct it is too large */
    CU_ASSERT(strstr(bench_failure(&bench), "the record is larger than 16777216") != NULL);
    close_all();
    free(laid);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void refused_memory_fails_the_job_and_nothing_is_lost(void)
{
    const struct pen_aggregate one_each[] = {
        pen_count_distinct("large", "count"),
        pen_count_about("large", "count"),
        pen_quantile("price", 0.5, "real"),
        pen_concat("name", "", "text"),
        pen_min("name", "text"),
        pen_last("name", "text"),
        pen_max("large", "large"),
    };
    for (uint32_t kind = 0; kind < sizeof one_each / sizeof *one_each; kind++)
        for (uint64_t budget = 1; budget < 20000; budget = budget * 3 + 50) {
            open_with(PEN_AGGREGATES(one_each[kind]), one_each[kind].kind == PEN_AGGREGATE_MAX);
            eng_arena_set_budget(bench.arena, budget);
            bool good = true;
            for (uint32_t i = 0; i < 4000 && good; i++) {
                struct sample sample;
                char name[5000];
                memset(&sample, 0, sizeof sample);
                sample.large = i;
                sample.price = pow(1.05, i % 3000) - 1;
                memset(name, 'z' - (int)(i % 20), 1 + i);
                name[i + 1] = '\0';
                struct sample *laid = bench_lay(&sample, name, NULL);
                good = bench_add(&bench, value, laid, PEN_INSERT);
                free(laid);
                CU_ASSERT_EQUAL(bench.self.owned_bytes, eng_arena_bytes(bench.arena));
                CU_ASSERT(eng_arena_bytes(bench.arena) <= budget);
            }
            if (!good)
                CU_ASSERT(strncmp(bench_failure(&bench), "there is no memory for what pen_", 32) ==
                          0);
            if (budget == 1 || kind == 0) CU_ASSERT_FALSE(good);
            close_all();
        }
}

static void sketches_of_many_values_stay_small(void)
{
    open_with(
        PEN_AGGREGATES(pen_count_about("large", "count"), pen_quantile("price", 0.99, "real")),
        false);
    enum { MANY = 100000 };
    for (uint32_t i = 0; i < MANY; i++) {
        struct sample sample;
        memset(&sample, 0, sizeof sample);
        sample.large = i / 2;
        sample.price = i;
        const void *record = &sample;
        CU_ASSERT_FATAL(bench_add(&bench, value, record, PEN_INSERT));
    }
    CU_ASSERT(bench.self.owned_bytes <= (16 + 16) << 10);
    const struct limits *limits = finish();
    CU_ASSERT(fabs((double)limits->count / (MANY / 2) - 1) < 0.02);
    CU_ASSERT(fabs(limits->real.value / (0.99 * MANY) - 1) < 0.0101);
    close_all();
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static void refused(const struct pen_aggregate *list, bool updating, bool windowed,
                    const char *reason)
{
    bool good = bench_open(&bench, bench_sample_schema(), &limits_schema, list, updating, windowed);
    CU_ASSERT_FALSE(good);
    if (strcmp(bench.reason, reason) != 0) fprintf(stderr, "%s\n", bench.reason);
    CU_ASSERT_STRING_EQUAL(bench.reason, reason);
    bench_close(&bench);
}

static void lists_that_make_no_sense_are_refused(void)
{
    const struct pen_aggregate back[] = {
        pen_count_about("large", "count"), pen_quantile("price", 0.5, "real"),
        pen_first("name", "text"), pen_last("name", "text"), pen_concat("name", "", "text")};
    static const char *const names[] = {"pen_count_about", "pen_quantile", "pen_first", "pen_last",
                                        "pen_concat"};

    for (uint32_t i = 0; i < 5; i++) {
        char reason[200];
        snprintf(reason, sizeof reason,
                 "%s cannot take a row back, and the stream is an updating one", names[i]);
        refused(PEN_AGGREGATES(back[i]), true, true, reason);
    }
    refused(PEN_AGGREGATES(pen_window_start("time")), false, false,
            "pen_window_start needs a window");
    refused(PEN_AGGREGATES(pen_count("count"), pen_window_end("time")), false, false,
            "pen_window_end needs a window");
    refused(PEN_AGGREGATES(pen_quantile("price", 1.5, "real")), false, true,
            "pen_quantile: 1.5 is not between 0 and 1");
    refused(PEN_AGGREGATES(pen_sum("name", "sum")), false, true,
            "pen_sum cannot be made of field name, which is string");
    refused(PEN_AGGREGATES(pen_sum("price", "sum")), false, true,
            "pen_sum gives double, field sum is int64");
    refused(PEN_AGGREGATES(pen_min("maybe", "large")), false, true,
            "pen_min may have nothing to give, so field large must be able to be null");
    refused(PEN_AGGREGATES(pen_where("tiny", pen_count("count"))), false, true,
            "pen_where: sample has no bool field tiny");
    refused(PEN_AGGREGATES(pen_max("nothing", "sum")), false, true,
            "pen_max: sample has no field nothing");
    refused(PEN_AGGREGATES(pen_max("large", "nothing")), false, true,
            "pen_max: limits has no field nothing");
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("operator_aggregate_limit", NULL, NULL);
    CU_ADD_TEST(suite, a_sum_beyond_its_type_fails_the_job);
    CU_ADD_TEST(suite, the_mean_of_large_integers_is_exact);
    CU_ADD_TEST(suite, what_is_taken_back_leaves_no_noise_in_a_sum);
    CU_ADD_TEST(suite, what_is_taken_back_leaves_no_noise_in_a_variance);
    CU_ADD_TEST(suite, a_small_spread_about_a_large_mean_is_found);
    CU_ADD_TEST(suite, a_concat_beyond_the_largest_record_fails_the_job);
    CU_ADD_TEST(suite, refused_memory_fails_the_job_and_nothing_is_lost);
    CU_ADD_TEST(suite, sketches_of_many_values_stay_small);
    CU_ADD_TEST(suite, lists_that_make_no_sense_are_refused);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    int failures = (int)CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
