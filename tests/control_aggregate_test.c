/* pen_aggregate without a window, in whole jobs, with accumulators that own memory.
 * Shows: engine/operator/aggregate, engine/job/aggregate.
 * Method: what comes out is a changelog, and must be one: a row that is taken back is the last one
 * of its key, to the byte of its texts, and no key is inserted twice. What it has left at the end
 * is compared with loops over the records that were pushed. */
#include <penstock.h>
#include <penstock/test.h>

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

#include "shm/random.h"

enum { KEYS = 40 };

struct visit {
    int64_t user;
    pen_time at;
    int64_t amount;
    bool paid;
    pen_string page;
};
PEN_RECORD(visit, user, at, amount, paid, page);

struct digest {
    int64_t user;
    int64_t visits, pages;
    pen_opt_int64 least, most;
    pen_string first_page, last_page, all_pages, top_page;
    pen_opt_string paid_page;
    double median;
    pen_string story;
};
PEN_RECORD(digest, user, visits, pages, least, most, first_page, last_page, all_pages, top_page,
           paid_page, median, story);

/* An accumulator of texts: the longest page, the least of several. */
struct saga {
    int64_t count;
    pen_string longest;
};
PEN_RECORD(saga, count, longest);

static void saga_see(pen_context *ctx, struct saga *saga, const pen_string *page)
{
    pen_view is = pen_view_of(&saga->longest), other = pen_view_of(page);
    bool better = other.size_bytes > is.size_bytes;

    if (other.size_bytes == is.size_bytes && is.size_bytes > 0)
        better = memcmp(other.data, is.data, is.size_bytes) < 0;
    if (better) pen_keep(ctx, &saga->longest, page);
}

static void saga_add(pen_context *ctx, struct saga *saga, const struct visit *visit)
{
    saga->count++;
    saga_see(ctx, saga, &visit->page);
}

static void saga_merge(pen_context *ctx, struct saga *saga, const struct saga *other)
{
    saga->count += other->count;
    saga_see(ctx, saga, &other->longest);
}

static void saga_finish(pen_context *ctx, const struct saga *saga, struct digest *digest)
{
    digest->story = pen_putf(ctx, "%lld: %.*s", (long long)saga->count,
                             (int)saga->longest.size_bytes, pen_view_of(&saga->longest).data);
}
PEN_AGGREGATE(saga, visit, digest);

/* ---- A changelog ----------------------------------------------------------------------------- */

struct held {
    struct digest digest;
    char *texts[6]; /* of first_page ... story; NULL: not there */
    bool is_there;
};
static struct held held[KEYS];

static void digest_texts(const struct digest *digest, pen_view *texts)
{
    texts[0] = pen_view_of(&digest->first_page);
    texts[1] = pen_view_of(&digest->last_page);
    texts[2] = pen_view_of(&digest->all_pages);
    texts[3] = pen_view_of(&digest->top_page);
    texts[4] =
        digest->paid_page.present ? pen_view_of(&digest->paid_page.value) : pen_view_from("(null)");
    texts[5] = pen_view_of(&digest->story);
}

static void hold(struct held *of, const struct digest *digest)
{
    pen_view texts[6];

    digest_texts(digest, texts);
    of->digest = *digest;
    of->is_there = true;
    for (uint32_t i = 0; i < 6; i++) {
        free(of->texts[i]);
        of->texts[i] = strndup(texts[i].data, texts[i].size_bytes);
    }
}

static bool holds(const struct held *of, const struct digest *digest)
{
    pen_view texts[6];

    if (!of->is_there) return false;
    digest_texts(digest, texts);
    for (uint32_t i = 0; i < 6; i++)
        if (!pen_view_equal_views(texts[i], pen_view_from(of->texts[i]))) return false;
    return of->digest.visits == digest->visits && of->digest.pages == digest->pages &&
           of->digest.median == digest->median &&
           of->digest.least.present == digest->least.present &&
           of->digest.least.value == digest->least.value &&
           of->digest.most.present == digest->most.present &&
           of->digest.most.value == digest->most.value;
}

static void let_go(void)
{
    for (uint32_t k = 0; k < KEYS; k++) {
        for (uint32_t i = 0; i < 6; i++)
            free(held[k].texts[i]);
        held[k] = (struct held){0};
    }
}

/* Takes all rows that have come. Returns how many. */
static uint32_t follow(pen_test *test, pen_stream digests)
{
    const struct digest *digest;
    uint32_t rows = 0;

    for (; (digest = pen_test_next(test, digests, digest)) != NULL; rows++) {
        struct held *of = &held[digest->user];
        switch (pen_test_row(test, digests)) {
        case PEN_INSERT:
            CU_ASSERT_FALSE(of->is_there);
            hold(of, digest);
            break;
        case PEN_UPDATE_AFTER:
            CU_ASSERT_FALSE(holds(of, digest)); /* else it is none */
            hold(of, digest);
            break;
        default: /* UPDATE_BEFORE, DELETE */
            CU_ASSERT(holds(of, digest));
            of->is_there = pen_test_row(test, digests) == PEN_UPDATE_BEFORE;
            break;
        }
    }
    return rows;
}

/* ---- What was pushed ------------------------------------------------------------------------- */

enum { VISITS = 3000 };
struct pushed {
    int64_t user, at, amount;
    bool paid, gone;
    char page[40];
};
static struct pushed pushed[VISITS];
static uint32_t pushed_count;
static struct shm_random_stream stream;

static uint64_t below(uint64_t bound)
{
    return shm_random_below(&stream, bound);
}

static void push(pen_test *test, pen_stream visits, const struct pushed *it, enum pen_row row)
{
    struct visit visit = {.user = it->user, .at = {it->at}, .amount = it->amount, .paid = it->paid};

    visit.page = pen_put(pen_test_context(test), (const char *)it->page);
    pen_test_push_record(test, visits, row, &visit_schema, &visit);
}

static struct pushed *new_visit(void)
{
    struct pushed *it = &pushed[pushed_count++];

    *it = (struct pushed){.user = (int64_t)below(KEYS),
                          .at = (int64_t)below(1000),
                          .amount = (int64_t)below(100) - 50,
                          .paid = below(3) == 0};
    memset(it->page, 'a' + (int)below(8), 1 + below(12));
    return it;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* What the loops say of one user, of those that are not gone; false: there is none. */
struct expected {
    int64_t visits, pages, least, most, median;
    const char *first, *last, *top, *paid;
    char all[VISITS * 16], story[100];
};

static bool expect(int64_t user, struct expected *to)
{
    static int64_t amounts[VISITS];
    int64_t first_at = 0, last_at = 0;
    const char *longest = "";
    size_t end = 0;

    *to = (struct expected){0};
    for (uint32_t i = 0; i < pushed_count; i++) {
        const struct pushed *it = &pushed[i];
        bool again = false;
        if (it->user != user || it->gone) continue;
        for (uint32_t j = 0; j < i && !again; j++)
            again =
                pushed[j].user == user && !pushed[j].gone && strcmp(pushed[j].page, it->page) == 0;
        to->pages += !again;
        if (to->visits == 0 || it->at < first_at) to->first = it->page, first_at = it->at;
        if (to->visits == 0 || it->at >= last_at) to->last = it->page, last_at = it->at;
        if (!to->top || strcmp(it->page, to->top) > 0) to->top = it->page;
        if (it->paid && (!to->paid || strcmp(it->page, to->paid) < 0)) to->paid = it->page;
        if (strlen(it->page) > strlen(longest) ||
            (strlen(it->page) == strlen(longest) && strcmp(it->page, longest) < 0))
            longest = it->page;
        end +=
            (size_t)snprintf(to->all + end, sizeof to->all - end, "%s%s", end ? " " : "", it->page);
        amounts[to->visits++] = it->amount;
    }
    if (to->visits == 0) return false;
    qsort(amounts, (size_t)to->visits, sizeof *amounts, by_number);
    to->least = amounts[0];
    to->most = amounts[to->visits - 1];
    to->median = amounts[(to->visits + 1) / 2 - 1];
    snprintf(to->story, sizeof to->story, "%lld: %s", (long long)to->visits, longest);
    return true;
}

static void check_numbers(int64_t user, const struct expected *expected, bool is_there)
{
    const struct digest *digest = &held[user].digest;

    CU_ASSERT_EQUAL(held[user].is_there, is_there);
    if (!is_there || !held[user].is_there) return;
    CU_ASSERT_EQUAL(digest->visits, expected->visits);
    CU_ASSERT_EQUAL(digest->pages, expected->pages);
    CU_ASSERT_EQUAL(digest->least.value, expected->least);
    CU_ASSERT_EQUAL(digest->most.value, expected->most);
    CU_ASSERT_STRING_EQUAL(held[user].texts[3], expected->top);
    CU_ASSERT_STRING_EQUAL(held[user].texts[4], expected->paid ? expected->paid : "(null)");
}

static void check_texts(int64_t user, const struct expected *expected)
{
    double median = (double)expected->median, apart = held[user].digest.median - median;

    CU_ASSERT_STRING_EQUAL(held[user].texts[0], expected->first);
    CU_ASSERT_STRING_EQUAL(held[user].texts[1], expected->last);
    CU_ASSERT_STRING_EQUAL(held[user].texts[2], expected->all);
    CU_ASSERT_STRING_EQUAL(held[user].texts[5], expected->story);
    CU_ASSERT(apart * apart <= 1.0001e-4 * median * median);
}

/* ---- Jobs ------------------------------------------------------------------------------------ */

static void inserts_become_a_changelog_of_all_aggregates(void)
{
    static struct expected expected;

    for (uint32_t parallelism = 1; parallelism <= 3; parallelism += 2) {
        pen_test *test = pen_test_open();
        pen_test_parallelism(test, parallelism);
        pen_stream visits = pen_test_input(test, visit, "at");
        pen_stream digests = pen_test_output(
            test,
            pen_aggregate(pen_key_by(visits, "user"), digest,
                          .aggregates = PEN_AGGREGATES(
                              pen_count("visits"), pen_count_distinct("page", "pages"),
                              pen_min("amount", "least"), pen_max("amount", "most"),
                              pen_first("page", "first_page"), pen_last("page", "last_page"),
                              pen_concat("page", " ", "all_pages"), pen_max("page", "top_page"),
                              pen_where("paid", pen_min("page", "paid_page")),
                              pen_quantile("amount", 0.5, "median"), pen_custom(saga))));
        pen_test_start(test);
        pushed_count = 0;
        for (uint32_t i = 0; i < 1500; i++) {
            push(test, visits, new_visit(), PEN_INSERT);
            if (i % 50 == 0) CU_ASSERT(follow(test, digests) > 0);
        }
        pen_test_end(test);
        follow(test, digests);
        for (int64_t user = 0; user < KEYS; user++) {
            bool is_there = expect(user, &expected);
            check_numbers(user, &expected, is_there);
            if (is_there) check_texts(user, &expected);
        }
        pen_test_close(test);
        let_go();
    }
}

struct brief {
    int64_t user;
    int64_t visits, pages;
    pen_opt_int64 least, most;
    pen_string top_page;
    pen_opt_string paid_page;
};
PEN_RECORD(brief, user, visits, pages, least, most, top_page, paid_page);

/* The same changelog, in the struct that follow() reads. */
static void widen(pen_context *ctx, const struct brief *brief)
{
    pen_emit(ctx, digest, .user = brief->user, .visits = brief->visits, .pages = brief->pages,
             .least = brief->least, .most = brief->most, .top_page = pen_put(ctx, &brief->top_page),
             .paid_page = {pen_put(ctx, &brief->paid_page.value), brief->paid_page.present});
}
PEN_MAP(widen, brief, digest);

static void rows_that_go_take_what_they_did_with_them(void)
{
    static struct expected expected;

    for (uint32_t parallelism = 1; parallelism <= 3; parallelism += 2) {
        pen_test *test = pen_test_open();
        pen_test_parallelism(test, parallelism);
        pen_stream visits = pen_test_updating_input(test, visit, "at");
        pen_stream briefs = pen_aggregate(
            pen_key_by(visits, "user"), brief,
            .aggregates = PEN_AGGREGATES(pen_count("visits"), pen_count_distinct("page", "pages"),
                                         pen_min("amount", "least"), pen_max("amount", "most"),
                                         pen_max("page", "top_page"),
                                         pen_where("paid", pen_min("page", "paid_page"))));
        pen_stream digests = pen_test_output(test, pen_map(briefs, widen));
        pen_test_start(test);
        pushed_count = 0;
        for (uint32_t i = 0; i < 4000 && pushed_count < VISITS; i++) {
            struct pushed *old = pushed_count ? &pushed[below(pushed_count)] : NULL;
            /* Most go again: so keys are emptied, and come back. */
            if (old && !old->gone && below(10) < 9) {
                old->gone = true;
                push(test, visits, old, below(2) ? PEN_DELETE : PEN_UPDATE_BEFORE);
            } else {
                push(test, visits, new_visit(), below(2) ? PEN_INSERT : PEN_UPDATE_AFTER);
            }
            if (i % 50 != 0) continue;
            follow(test, digests);
            for (int64_t user = 0; user < KEYS; user++)
                check_numbers(user, &expected, expect(user, &expected));
        }
        pen_test_end(test);
        follow(test, digests);
        for (int64_t user = 0; user < KEYS; user++)
            check_numbers(user, &expected, expect(user, &expected));
        pen_test_close(test);
        let_go();
    }
}

int main(void)
{
    shm_random_seed(&stream, 4);
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("control_aggregate", NULL, NULL);
    CU_ADD_TEST(suite, inserts_become_a_changelog_of_all_aggregates);
    CU_ADD_TEST(suite, rows_that_go_take_what_they_did_with_them);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    int failures = (int)CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
