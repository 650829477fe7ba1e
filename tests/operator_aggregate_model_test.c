/* Every aggregate against plain loops over the records that are left.
 * Shows: engine/operator/aggregate_{plan,steps,order,sums,variance,values,distinct,sketch,concat}.
 * Method: random records, with nulls, extreme values, NaN and infinities, arrive in random batches,
 * each at one of several accumulators; some are taken back, there or elsewhere. Then all are merged
 * in random order. The result must be what loops over the records that are left say, whichever way
 * it was computed. Owned bytes must be what the arena has given out, all the time. */
#include "tests/operator_aggregate.h"

/* Results, since PEN_RECORD takes 40 fields: numbers of records, and their extremes, which can take
 * rows back, and what cannot. */
struct moments {
    int64_t records, records_of, distinct_large, distinct_name, distinct_price, distinct_wide;
    pen_opt_int64 sum_tiny, sum_whole, sum_cheap;
    pen_opt_double sum_price, sum_level, sum_cents, sum_wide;
    pen_opt_double mean_large, mean_natural, mean_price, mean_cents, mean_maybe;
    pen_opt_double variance_price, variance_whole, deviation_level, deviation_cents;
    pen_time from, to;
};
PEN_RECORD(moments, records, records_of, distinct_large, distinct_name, distinct_price,
           distinct_wide, sum_tiny, sum_whole, sum_cheap, sum_price, sum_level, sum_cents, sum_wide,
           mean_large, mean_natural, mean_price, mean_cents, mean_maybe, variance_price,
           variance_whole, deviation_level, deviation_cents, from, to);

struct extremes {
    pen_opt_int64 min_large, max_large, min_maybe;
    pen_opt_uint64 min_natural, max_natural;
    pen_opt_double min_price, max_price, max_level;
    pen_opt_float min_ratio, max_ratio;
    pen_opt_code min_code, max_code;
    pen_opt_date min_day, max_day;
    pen_opt_time min_at, max_at;
    pen_opt_string min_name, max_name, max_note;
    char min_tag[12], max_tag[12];
    uint64_t min_wide[2], max_wide[2];
};
PEN_RECORD(extremes, min_large, max_large, min_maybe, min_natural, max_natural, min_price,
           max_price, max_level, min_ratio, max_ratio, min_code, max_code, min_day, max_day, min_at,
           max_at, min_name, max_name, max_note, min_tag, max_tag, min_wide, max_wide);

struct others {
    int64_t about_name, about_price;
    pen_opt_double median_price, high_price, low_tiny, high_cents, high_level;
    pen_opt_string first_name, last_name, last_note;
    pen_opt_int64 first_large, last_large;
    pen_opt_double last_price;
    char first_tag[12];
    uint64_t last_wide[2];
    pen_opt_string all_names, all_notes, all_codes;
};
PEN_RECORD(others, about_name, about_price, median_price, high_price, low_tiny, high_cents,
           high_level, first_name, last_name, last_note, first_large, last_large, last_price,
           first_tag, last_wide, all_names, all_notes, all_codes);

static const struct pen_aggregate moments_list[] = {
    {.kind = PEN_AGGREGATE_COUNT, .into = "records"},
    {.kind = PEN_AGGREGATE_COUNT_OF, .from = "note", .into = "records_of"},
    {.kind = PEN_AGGREGATE_COUNT_DISTINCT, .from = "large", .into = "distinct_large"},
    {.kind = PEN_AGGREGATE_COUNT_DISTINCT, .from = "name", .into = "distinct_name"},
    {.kind = PEN_AGGREGATE_COUNT_DISTINCT, .from = "price", .into = "distinct_price"},
    {.kind = PEN_AGGREGATE_COUNT_DISTINCT, .from = "wide", .into = "distinct_wide"},
    {.kind = PEN_AGGREGATE_SUM, .from = "tiny", .into = "sum_tiny"},
    {.kind = PEN_AGGREGATE_SUM, .from = "whole", .into = "sum_whole"},
    {.kind = PEN_AGGREGATE_SUM, .from = "cheap", .into = "sum_cheap", .only = "cheap"},
    {.kind = PEN_AGGREGATE_SUM, .from = "price", .into = "sum_price"},
    {.kind = PEN_AGGREGATE_SUM, .from = "level", .into = "sum_level"},
    {.kind = PEN_AGGREGATE_SUM, .from = "cents", .into = "sum_cents"},
    {.kind = PEN_AGGREGATE_SUM, .from = "wide", .into = "sum_wide"},
    {.kind = PEN_AGGREGATE_MEAN, .from = "large", .into = "mean_large"},
    {.kind = PEN_AGGREGATE_MEAN, .from = "natural", .into = "mean_natural"},
    {.kind = PEN_AGGREGATE_MEAN, .from = "price", .into = "mean_price"},
    {.kind = PEN_AGGREGATE_MEAN, .from = "cents", .into = "mean_cents"},
    {.kind = PEN_AGGREGATE_MEAN, .from = "maybe", .into = "mean_maybe", .only = "cheap"},
    {.kind = PEN_AGGREGATE_VARIANCE, .from = "price", .into = "variance_price"},
    {.kind = PEN_AGGREGATE_VARIANCE, .from = "whole", .into = "variance_whole"},
    {.kind = PEN_AGGREGATE_DEVIATION, .from = "level", .into = "deviation_level"},
    {.kind = PEN_AGGREGATE_DEVIATION, .from = "cents", .into = "deviation_cents"},
    {.kind = PEN_AGGREGATE_WINDOW_START, .into = "from"},
    {.kind = PEN_AGGREGATE_WINDOW_END, .into = "to"},
    {.kind = 0},
};

static const struct pen_aggregate extremes_list[] = {
    {.kind = PEN_AGGREGATE_MIN, .from = "large", .into = "min_large"},
    {.kind = PEN_AGGREGATE_MAX, .from = "large", .into = "max_large"},
    {.kind = PEN_AGGREGATE_MIN, .from = "maybe", .into = "min_maybe", .only = "cheap"},
    {.kind = PEN_AGGREGATE_MIN, .from = "natural", .into = "min_natural"},
    {.kind = PEN_AGGREGATE_MAX, .from = "natural", .into = "max_natural"},
    {.kind = PEN_AGGREGATE_MIN, .from = "price", .into = "min_price"},
    {.kind = PEN_AGGREGATE_MAX, .from = "price", .into = "max_price"},
    {.kind = PEN_AGGREGATE_MAX, .from = "level", .into = "max_level"},
    {.kind = PEN_AGGREGATE_MIN, .from = "ratio", .into = "min_ratio"},
    {.kind = PEN_AGGREGATE_MAX, .from = "ratio", .into = "max_ratio"},
    {.kind = PEN_AGGREGATE_MIN, .from = "code", .into = "min_code"},
    {.kind = PEN_AGGREGATE_MAX, .from = "code", .into = "max_code"},
    {.kind = PEN_AGGREGATE_MIN, .from = "day", .into = "min_day"},
    {.kind = PEN_AGGREGATE_MAX, .from = "day", .into = "max_day"},
    {.kind = PEN_AGGREGATE_MIN, .from = "at", .into = "min_at"},
    {.kind = PEN_AGGREGATE_MAX, .from = "at", .into = "max_at", .only = "cheap"},
    {.kind = PEN_AGGREGATE_MIN, .from = "name", .into = "min_name"},
    {.kind = PEN_AGGREGATE_MAX, .from = "name", .into = "max_name"},
    {.kind = PEN_AGGREGATE_MAX, .from = "note", .into = "max_note"},
    {.kind = PEN_AGGREGATE_MIN, .from = "tag", .into = "min_tag"},
    {.kind = PEN_AGGREGATE_MAX, .from = "tag", .into = "max_tag"},
    {.kind = PEN_AGGREGATE_MIN, .from = "wide", .into = "min_wide"},
    {.kind = PEN_AGGREGATE_MAX, .from = "wide", .into = "max_wide"},
    {.kind = 0},
};

static const struct pen_aggregate others_list[] = {
    {.kind = PEN_AGGREGATE_COUNT_ABOUT, .from = "name", .into = "about_name"},
    {.kind = PEN_AGGREGATE_COUNT_ABOUT, .from = "price", .into = "about_price", .only = "cheap"},
    {.kind = PEN_AGGREGATE_QUANTILE, .from = "price", .into = "median_price", .parameter = 0.5},
    {.kind = PEN_AGGREGATE_QUANTILE, .from = "price", .into = "high_price", .parameter = 0.99},
    {.kind = PEN_AGGREGATE_QUANTILE,
     .from = "tiny",
     .into = "low_tiny",
     .parameter = 0.1,
     .only = "cheap"},
    {.kind = PEN_AGGREGATE_QUANTILE, .from = "cents", .into = "high_cents", .parameter = 0.9},
    {.kind = PEN_AGGREGATE_QUANTILE, .from = "level", .into = "high_level", .parameter = 1},
    {.kind = PEN_AGGREGATE_FIRST, .from = "name", .into = "first_name"},
    {.kind = PEN_AGGREGATE_LAST, .from = "name", .into = "last_name"},
    {.kind = PEN_AGGREGATE_LAST, .from = "note", .into = "last_note"},
    {.kind = PEN_AGGREGATE_FIRST, .from = "large", .into = "first_large"},
    {.kind = PEN_AGGREGATE_LAST, .from = "large", .into = "last_large", .only = "cheap"},
    {.kind = PEN_AGGREGATE_LAST, .from = "price", .into = "last_price"},
    {.kind = PEN_AGGREGATE_FIRST, .from = "tag", .into = "first_tag"},
    {.kind = PEN_AGGREGATE_LAST, .from = "wide", .into = "last_wide"},
    {.kind = PEN_AGGREGATE_CONCAT, .from = "name", .into = "all_names", .separator = ", "},
    {.kind = PEN_AGGREGATE_CONCAT, .from = "note", .into = "all_notes", .only = "cheap"},
    {.kind = PEN_AGGREGATE_CONCAT, .from = "code", .into = "all_codes", .separator = "\n"},
    {.kind = 0},
};

enum { FIELDS_MAX = 40, RECORDS_MAX = 700, PARTS_MAX = 6 };

/* Fields whose names end in wide are decimals. */
static const struct pen_schema *with_decimals(const struct pen_schema *schema)
{
    static struct pen_field fields[FIELDS_MAX];
    static struct pen_schema copy;

    memcpy(fields, schema->fields, schema->field_count * sizeof *fields);
    bench_decimal(fields, schema->field_count, "min_wide", PEN_TYPE_DECIMAL128, 38, 3);
    bench_decimal(fields, schema->field_count, "max_wide", PEN_TYPE_DECIMAL128, 38, 3);
    bench_decimal(fields, schema->field_count, "last_wide", PEN_TYPE_DECIMAL128, 38, 3);
    copy = *schema;
    copy.fields = fields;
    return &copy;
}

/* ---- Records --------------------------------------------------------------------------------- */

static struct shm_random_stream stream;

static uint64_t below(uint64_t bound)
{
    return shm_random_below(&stream, bound);
}

static int64_t any_int(void)
{
    static const int64_t ends[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};

    if (below(4) == 0) return ends[below(7)];
    return below(2) ? (int64_t)below(20) - 10 : (int64_t)shm_random_next(&stream);
}

static double any_double(bool odd)
{
    static const double ends[] = {0.0, -0.0, NAN, INFINITY, -INFINITY, 5e-324, -2.5e-310, 1e15};

    if (odd && below(6) == 0) return ends[below(8)];
    if (below(2)) return (double)((int64_t)below(40) - 20) / 4;
    return ((double)(shm_random_next(&stream) >> 11) * 0x1p-53 - 0.5) * 1e6;
}

static const char *any_text(char *to)
{
    uint32_t length = (uint32_t)below(below(10) ? 4 : 200);

    for (uint32_t i = 0; i < length; i++)
        to[i] = (char)("ab\xc3\xa4z"[below(5)]);
    to[length] = '\0';
    return to;
}

static struct sample *any_sample(bool odd)
{
    struct sample sample;
    char name[256], note[256];
    bool has_note = below(3) != 0;

    memset(&sample, 0, sizeof sample);
    sample.at.us = (int64_t)below(50) - 10;
    sample.cheap = below(2);
    sample.tiny = (int8_t)below(256);
    sample.whole = (int32_t)shm_random_next(&stream);
    sample.large = any_int();
    sample.natural = (uint64_t)any_int();
    sample.ratio = (float)any_double(odd);
    sample.price = any_double(odd);
    if (below(3)) sample.maybe = (pen_opt_int64){any_int() / 16, true};
    if (below(3)) sample.level = (pen_opt_double){any_double(false), true};
    for (uint32_t i = 0; i < below(9); i++)
        sample.code.text[i] = (char)('A' + below(3));
    sample.day.days = (int32_t)below(100) - 50;
    for (uint32_t i = 0; i < below(13); i++)
        sample.tag[i] = (char)('x' + below(3));
    sample.cents = (int64_t)below(1000000) - 300000;
    eng_int128 wide = (eng_int128)any_int() * (int64_t)(below(1000) + 1);
    memcpy(sample.wide, &wide, sizeof wide);
    return bench_lay(&sample, any_text(name), has_note ? any_text(note) : NULL);
}

/* ---- The model ------------------------------------------------------------------------------- */

struct model {
    const struct bench *bench;
    struct sample *records[RECORDS_MAX];
    bool is_there[RECORDS_MAX]; /* added, and not taken back */
    uint32_t count;             /* in order of arrival */
};

/* What one aggregate looks at. */
struct look {
    const struct pen_aggregate *wish;
    const struct eng_field *from, *into;
    const struct sample *seen[RECORDS_MAX];
    uint32_t count;
};

static void look_at(struct look *look, const struct model *model, const struct pen_aggregate *wish)
{
    *look = (struct look){.wish = wish};
    look->from = wish->from ? eng_layout_find(&model->bench->in, wish->from) : NULL;
    look->into = eng_layout_find(&model->bench->out, wish->into);
    for (uint32_t i = 0; i < model->count; i++) {
        const struct sample *sample = model->records[i];
        if (!model->is_there[i] || (wish->only && !sample->cheap)) continue;
        if (look->from && eng_field_is_null(look->from, sample)) continue;
        look->seen[look->count++] = sample;
    }
}

static bool is_real(const struct eng_field *field)
{
    return field->type == PEN_TYPE_DOUBLE || field->type == PEN_TYPE_FLOAT;
}

static bool is_text(const struct eng_field *field)
{
    return field->type == PEN_TYPE_CODE || field->type == PEN_TYPE_CHARS ||
           eng_type_is_text(field->type);
}

static int compare(const struct eng_field *field, const void *a, const void *b)
{
    if (is_text(field)) {
        pen_view x = eng_field_text(field, a), y = eng_field_text(field, b);
        uint32_t both = x.size_bytes < y.size_bytes ? x.size_bytes : y.size_bytes;
        int order = both ? memcmp(x.data, y.data, both) : 0;
        return order ? order : (x.size_bytes > y.size_bytes) - (x.size_bytes < y.size_bytes);
    }
    if (is_real(field)) {
        double x = eng_field_double(field, a), y = eng_field_double(field, b);
        if (isnan(x) || isnan(y)) return !!isnan(x) - !!isnan(y);
        return (x > y) - (x < y);
    }
    if (field->type == PEN_TYPE_DECIMAL128) {
        eng_int128 x, y;
        memcpy(&x, eng_field_of(field, a), sizeof x);
        memcpy(&y, eng_field_of(field, b), sizeof y);
        return (x > y) - (x < y);
    }
    int64_t x = eng_field_int(field, a), y = eng_field_int(field, b);
    if (field->type == PEN_TYPE_UINT64)
        return ((uint64_t)x > (uint64_t)y) - ((uint64_t)x < (uint64_t)y);
    return (x > y) - (x < y);
}

/* A value of a record, and the one in the result: equal, however they are held. */
static bool same(const struct look *look, const void *record, const void *result)
{
    if (eng_field_is_null(look->into, result)) return false;
    if (is_text(look->from))
        return pen_view_equal_views(eng_field_text(look->from, record),
                                    eng_field_text(look->into, result));
    if (is_real(look->from)) {
        double x = eng_field_double(look->from, record), y = eng_field_double(look->into, result);
        return x == y || (isnan(x) && isnan(y));
    }
    return memcmp(eng_field_of(look->from, record), eng_field_of(look->into, result),
                  look->from->size_bytes) == 0;
}

static int64_t count_different(const struct look *look)
{
    int64_t different = 0;

    for (uint32_t i = 0; i < look->count; i++) {
        bool again = false;
        for (uint32_t j = 0; j < i && !again; j++)
            again = compare(look->from, look->seen[i], look->seen[j]) == 0;
        different += !again;
    }
    return different;
}

/* share: of the sum of magnitudes, since terms of both signs cancel. */
static bool near(double is, long double wanted, long double magnitude, long double share)
{
    if (isnan((double)wanted)) return isnan(is);
    if (isinf((double)wanted)) return is == (double)wanted;
    return fabsl((long double)is - wanted) <= share * magnitude + 1e-300L;
}

/* Sum, mean, variance, deviation, by long doubles. */
static bool check_moments(const struct look *look, const void *result)
{
    long double sum = 0, magnitude = 0, squares = 0, n = look->count;
    double is = eng_field_double(look->into, result);

    for (uint32_t i = 0; i < look->count; i++) {
        double x = eng_field_double(look->from, look->seen[i]);
        sum += x;
        magnitude += fabsl((long double)x);
    }
    if (look->wish->kind == PEN_AGGREGATE_SUM && look->into->type == PEN_TYPE_INT64)
        return eng_field_int(look->into, result) == (int64_t)sum;
    if (look->wish->kind == PEN_AGGREGATE_SUM) return near(is, sum, magnitude, 1e-13L);
    if (look->wish->kind == PEN_AGGREGATE_MEAN) return near(is, sum / n, magnitude / n, 1e-13L);
    for (uint32_t i = 0; i < look->count; i++) {
        long double apart = eng_field_double(look->from, look->seen[i]) - sum / n;
        squares += apart * apart;
    }
    long double variance = look->count > 1 ? squares / (n - 1) : 0;
    if (look->wish->kind == PEN_AGGREGATE_VARIANCE) return near(is, variance, variance, 1e-9L);
    return near(is, sqrtl(variance), sqrtl(variance), 1e-9L);
}

static bool check_extreme(const struct look *look, const void *result)
{
    const struct sample *best = look->seen[0];

    for (uint32_t i = 1; i < look->count; i++) {
        int order = compare(look->from, look->seen[i], best);
        if (look->wish->kind == PEN_AGGREGATE_MIN ? order < 0 : order > 0) best = look->seen[i];
    }
    return same(look, best, result);
}

static bool check_edge(const struct look *look, const void *result)
{
    const struct sample *best = look->seen[0];

    for (uint32_t i = 1; i < look->count; i++) {
        int64_t us = look->seen[i]->at.us;
        if (look->wish->kind == PEN_AGGREGATE_FIRST ? us < best->at.us : us >= best->at.us)
            best = look->seen[i];
    }
    return same(look, best, result);
}

static bool check_quantile(const struct look *look, const void *result)
{
    double sorted[RECORDS_MAX], is = eng_field_double(look->into, result);

    for (uint32_t i = 0; i < look->count; i++) {
        double x = eng_field_double(look->from, look->seen[i]);
        uint32_t at = i;
        for (; at > 0 && (sorted[at - 1] > x || (isnan(sorted[at - 1]) && !isnan(x))); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = x;
    }
    double place = ceil(look->wish->parameter * look->count - 1e-9);
    double wanted = sorted[place < 1 ? 0 : (uint32_t)place - 1];
    if (fabs(wanted) < 1e-9)
        return fabs(is) < 0.01; /* far below others: its bucket is not its own */
    return near(is, wanted, fabsl((long double)wanted), 0.01L);
}

static bool check_concat(const struct look *look, const void *result)
{
    pen_view is = eng_field_text(look->into, result);
    uint32_t at = 0;
    const char *between = look->wish->separator ? look->wish->separator : "";

    for (uint32_t i = 0; i < look->count; i++) {
        pen_view text = eng_field_text(look->from, look->seen[i]);
        uint32_t gap = i ? (uint32_t)strlen(between) : 0;
        if (is.size_bytes - at < gap + text.size_bytes) return false;
        if (memcmp(is.data + at, between, gap) != 0) return false;
        if (text.size_bytes && memcmp(is.data + at + gap, text.data, text.size_bytes) != 0)
            return false;
        at += gap + text.size_bytes;
    }
    return at == is.size_bytes;
}

static bool check_one(const struct look *look, const void *result)
{
    switch (look->wish->kind) {
    case PEN_AGGREGATE_COUNT:
    case PEN_AGGREGATE_COUNT_OF:
        return eng_field_int(look->into, result) == look->count;
    case PEN_AGGREGATE_COUNT_DISTINCT:
    case PEN_AGGREGATE_COUNT_ABOUT: /* exact while there are few */
        return eng_field_int(look->into, result) == count_different(look);
    case PEN_AGGREGATE_WINDOW_START:
        return eng_field_int(look->into, result) == -77;
    case PEN_AGGREGATE_WINDOW_END:
        return eng_field_int(look->into, result) == 1234;
    default:
        break;
    }
    if (look->count == 0)
        return eng_field_nullable(look->into) ? eng_field_is_null(look->into, result) : true;
    if (eng_field_is_null(look->into, result)) return false;
    switch (look->wish->kind) {
    case PEN_AGGREGATE_MIN:
    case PEN_AGGREGATE_MAX:
        return check_extreme(look, result);
    case PEN_AGGREGATE_FIRST:
    case PEN_AGGREGATE_LAST:
        return check_edge(look, result);
    case PEN_AGGREGATE_QUANTILE:
        return check_quantile(look, result);
    case PEN_AGGREGATE_CONCAT:
        return check_concat(look, result);
    default:
        return check_moments(look, result);
    }
}

static void check(const struct model *model, const struct pen_aggregate *list, const void *result)
{
    static struct look look;

    CU_ASSERT_FATAL(result != NULL);
    for (; list->kind; list++) {
        look_at(&look, model, list);
        if (check_one(&look, result)) continue;
        struct eng_text_out out = {0};
        eng_value_print(look.into, result, &out);
        fprintf(stderr, "%s of %u records is %.*s\n", list->into, look.count, (int)out.size_bytes,
                out.bytes);
        eng_text_out_close(&out);
        CU_FAIL("not what the loop says");
    }
}

/* ---- Runs ------------------------------------------------------------------------------------ */

/* Adds and takes back: what happens to which record, and to which part. */
struct step {
    uint32_t record, part;
    bool back;
};

/* Rows come in their order; a row that is taken back comes later, or, when it is another part's
 * business, at any time. */
static uint32_t plan_steps(struct model *model, struct step *steps, uint32_t parts, bool updating)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < model->count; i++) {
        steps[count++] = (struct step){i, (uint32_t)below(parts), false};
        model->is_there[i] = true;
    }
    if (!updating) return count;
    for (uint32_t i = 0; i < model->count; i++) {
        if (below(3) == 0) continue;
        uint32_t part = (uint32_t)below(parts), at = 0;
        while (steps[at].record != i || steps[at].back)
            at++;
        bool elsewhere = part != steps[at].part;
        at = elsewhere ? (uint32_t)below(count + 1) : at + 1 + (uint32_t)below(count - at);
        memmove(steps + at + 1, steps + at, (count - at) * sizeof *steps);
        steps[at] = (struct step){i, part, true};
        model->is_there[i] = false;
        count++;
    }
    return count;
}

static void add_all(struct bench *bench, const struct model *model, const struct step *steps,
                    uint32_t count, void *const *values, bool updating)
{
    for (uint32_t done = 0; done < count;) {
        const void *records[ENG_BATCH_RECORDS_MAX];
        int64_t times_us[ENG_BATCH_RECORDS_MAX];
        uint8_t rows[ENG_BATCH_RECORDS_MAX];
        void *at[ENG_BATCH_RECORDS_MAX];
        struct eng_batch batch = {
            .records = records, .times_us = times_us, .rows = updating ? rows : NULL};
        batch.count = 1 + (uint32_t)below(ENG_BATCH_RECORDS_MAX);
        if (batch.count > count - done) batch.count = count - done;
        for (uint32_t i = 0; i < batch.count; i++, done++) {
            const struct step *step = &steps[done];
            records[i] = model->records[step->record];
            times_us[i] = model->records[step->record]->at.us;
            at[i] = values[step->part];
            rows[i] = (uint8_t)(step->back ? (below(2) ? PEN_UPDATE_BEFORE : PEN_DELETE)
                                           : (below(2) ? PEN_INSERT : PEN_UPDATE_AFTER));
        }
        CU_ASSERT_FATAL(eng_aggregate_add(&bench->ctx, &bench->plan, &batch, at));
        CU_ASSERT_EQUAL(bench->self.owned_bytes, eng_arena_bytes(bench->arena));
    }
}

static void run(const struct pen_schema *schema, const struct pen_aggregate *list, uint32_t most,
                uint32_t parts, bool updating, bool odd)
{
    static struct model model;
    static struct step steps[2 * RECORDS_MAX];
    struct bench bench;
    void *values[PARTS_MAX];

    if (!bench_open(&bench, bench_sample_schema(), with_decimals(schema), list, updating, true)) {
        fprintf(stderr, "%s\n", bench.reason);
        CU_FAIL_FATAL("the plan is refused");
    }
    CU_ASSERT(bench.plan.owns_memory);
    CU_ASSERT(bench.plan.merges);
    memset(&model, 0, sizeof model);
    model.bench = &bench;
    model.count = (uint32_t)below(most + 1);
    for (uint32_t i = 0; i < model.count; i++)
        model.records[i] = any_sample(odd);
    uint32_t count = plan_steps(&model, steps, parts, updating);
    for (uint32_t i = 0; i < parts; i++)
        values[i] = bench_value(&bench);
    add_all(&bench, &model, steps, count, values, updating);
    for (uint32_t left = parts; left > 1; left--) {
        uint32_t into = (uint32_t)below(left), from = (uint32_t)below(left - 1);
        from += from >= into;
        CU_ASSERT_FATAL(eng_aggregate_merge(&bench.ctx, &bench.plan, values[into], values[from]));
        CU_ASSERT_EQUAL(bench.self.owned_bytes, eng_arena_bytes(bench.arena));
        bench_drop(&bench, values[from]);
        values[from] = values[left - 1];
    }
    check(&model, list, bench_finish(&bench, values[0], -77, 1234));
    bench_drop(&bench, values[0]);
    for (uint32_t i = 0; i < model.count; i++)
        free(model.records[i]);
    bench_close(&bench);
}

/* parts 0: two to six of them. */
static void run_many(uint32_t times, uint32_t parts, bool updating)
{
    for (uint32_t i = 0; i < times; i++) {
        uint32_t most = i % 5 ? 40 : RECORDS_MAX, many = parts ? parts : 2 + i % (PARTS_MAX - 1);
        run(&moments_schema, moments_list, most, many, updating, i % 2);
        run(&extremes_schema, extremes_list, most, many, updating, i % 2);
        if (!updating) run(&others_schema, others_list, most, many, false, i % 2);
    }
}

static void one_accumulator_gives_what_loops_give(void)
{
    run_many(60, 1, false);
}

static void merged_in_any_order_they_give_the_same(void)
{
    run_many(100, 0, false);
}

static void rows_that_are_taken_back_leave_nothing_behind(void)
{
    run_many(60, 1, true);
}

static void rows_may_be_taken_back_where_they_never_came(void)
{
    run_many(100, 0, true);
}

int main(void)
{
    shm_random_seed(&stream, 31);
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("operator_aggregate_model", NULL, NULL);
    CU_ADD_TEST(suite, one_accumulator_gives_what_loops_give);
    CU_ADD_TEST(suite, merged_in_any_order_they_give_the_same);
    CU_ADD_TEST(suite, rows_that_are_taken_back_leave_nothing_behind);
    CU_ADD_TEST(suite, rows_may_be_taken_back_where_they_never_came);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    int failures = (int)CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
