/* Look-ups in helper processes, against plain loops.
 * Shows: engine/operator/async, engine/job/async.
 * Method: whole jobs in one process whose helpers are real processes, at parallelisms 1 to 4, with
 * planned and with tiny rings. The function sleeps for up to 3 ms, emits none, one or two results
 * and rejects some records; sinks compare with what a plain loop says. What helpers do that no
 * record tells (opening, tries) is counted in memory that they share with the test. */
#include "tests/local_jobs.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/clock.h"
#include "shm/counter.h"

enum { RECORDS = 300, MS = 1000000, TEXT_BYTES = 3000000 };

struct question {
    pen_time at;
    int64_t number;
    int64_t order;        /* in which its subtask asks */
    int64_t watermark_us; /* when it was asked */
    pen_string text;
};
PEN_RECORD(question, at, number, order, watermark_us, text);

struct answer {
    int64_t number, copy, order;
    int64_t watermark_us, heard_us; /* the question's, and what pen_watermark said */
    pen_opt_string text;
};
PEN_RECORD(answer, number, copy, order, watermark_us, heard_us, text);

struct note {
    int64_t number;
};
PEN_RECORD(note, number);

/* What helpers and this process share. */
static struct shared {
    _Atomic uint64_t opened, closed, calls;
    _Atomic uint64_t gate;               /* 0: closed */
    _Atomic uint64_t begun, ended, most; /* calls that went on at the same time */
    _Atomic uint64_t tries[RECORDS];
    _Atomic uint64_t pid; /* of the helper that answered last */
} * shared;

static struct {
    bool ordered;
    uint32_t in_flight, tries;
    pen_duration timeout;
    uint64_t count;
    const char *how; /* what the function does to some records */
} job_settings;

static bool how(const char *word)
{
    return strcmp(job_settings.how, word) == 0;
}

/* ---- The function ---------------------------------------------------------------------------- */

static int *volatile nowhere = (int *)8; /* the compiler must not know */

static void sleep_ns(uint64_t ns)
{
    shm_clock_sleep_until(shm_clock_ns() + ns);
}

/* Every tenth record is struck, and every hundredth in every try. */
static bool is_struck(int64_t number)
{
    if (number % 10 != 7) return false;
    uint64_t before = shm_add(&shared->tries[number], 1);
    return before == 0 || number % 100 == 7;
}

static void strike(pen_context *ctx)
{
    signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own */
    if (how("segv")) *nowhere = 1;
    if (how("exit")) exit(3);
    if (how("kill")) kill(getpid(), SIGKILL);
    if (how("fail")) pen_fail(ctx, "the directory %d is closed", 7);
    while (how("hang"))
        sleep_ns(1000 * MS);
}

static void wait_at_gate(void)
{
    while (shm_load_own(&shared->gate) == 0)
        sleep_ns(MS);
}

static void answer_one(pen_context *ctx, const struct question *question)
{
    struct answer answer = {.number = question->number,
                            .order = question->order,
                            .watermark_us = question->watermark_us,
                            .heard_us = pen_watermark(ctx).us};

    for (answer.copy = 0; answer.copy < question->number % 3; answer.copy++) {
        answer.text.present = answer.copy == 0;
        if (answer.text.present) answer.text.value = pen_put(ctx, &question->text);
        pen_send(ctx, answer, &answer);
    }
    if (question->number % 5 == 0 && !how("double"))
        pen_emit_to(ctx, 1, note, .number = question->number);
}

static void look_up(pen_context *ctx, const struct question *question)
{
    const uint64_t *user = pen_user(ctx);
    uint64_t *calls = pen_local(ctx, sizeof *calls);

    shm_add(&shared->calls, 1);
    shm_store_own(&shared->pid, (uint64_t)getpid());
    CHECK(*user == 42);
    CHECK(*calls >= 1000); /* open was here */
    ++*calls;
    if (question->number % 10 == 7 && is_struck(question->number)) strike(ctx);
    shm_raise(&shared->most, shm_add(&shared->begun, 1) + 1 - shm_load_own(&shared->ended));
    if (how("gate")) wait_at_gate();
    if (how("sleep")) sleep_ns(local_mix((uint64_t)question->number) % (3 * MS));
    pen_counter_add(ctx, 1, question->number);
    if (question->number % 17 == 16)
        pen_reject(ctx, "%d is a multiple", (int)question->number);
    else
        answer_one(ctx, question);
    shm_add(&shared->ended, 1);
}
PEN_MAP(look_up, question, answer);

static void helper_open(pen_context *ctx)
{
    uint64_t *calls = pen_local(ctx, sizeof *calls);

    *calls = 1000;
    shm_add(&shared->opened, 1);
    pen_counter_add(ctx, 0, 1);
    if (how("open fails")) pen_fail(ctx, "no door");
    if (how("open dies")) abort();
}

static void helper_close(pen_context *ctx)
{
    uint64_t *calls = pen_local(ctx, sizeof *calls);

    CHECK(*calls >= 1000);
    shm_add(&shared->closed, 1);
    pen_counter_add(ctx, 0, 100);
    if (how("close fails")) pen_fail(ctx, "the door is stuck");
    if (how("close dies")) _exit(9);
}

/* ---- What sinks see -------------------------------------------------------------------------- */

static uint32_t seen[RECORDS][2], notes[RECORDS];
static int64_t last_of[4], last_watermark_us;
static uint64_t watermarks;
static uint64_t out_of_order, past_watermark, wrong_text, seen_count, reasons_count;
static char reasons[RECORDS][128];

static uint32_t text_bytes(int64_t number)
{
    if (how("large")) return number % 50 == 1 ? TEXT_BYTES : 10;
    return (uint32_t)(local_mix((uint64_t)number) % 60);
}

static enum pen_taken see(pen_context *ctx, const struct answer *answer)
{
    CHECK(answer->number >= 0 && answer->number < RECORDS);
    CHECK(answer->copy >= 0 && answer->copy < 2);
    seen[answer->number][answer->copy]++;
    seen_count++;
    int64_t *last = &last_of[pen_subtask(ctx)];
    if (answer->order * 2 + answer->copy <= *last) out_of_order++;
    *last = answer->order * 2 + answer->copy;
    if (answer->watermark_us != pen_watermark(ctx).us) past_watermark++;
    if (answer->watermark_us != answer->heard_us) past_watermark++;
    watermarks += answer->watermark_us != last_watermark_us;
    last_watermark_us = answer->watermark_us;
    if (answer->text.present != (answer->copy == 0)) wrong_text++;
    if (!answer->text.present) return PEN_TAKEN;
    pen_view text = pen_view_of(&answer->text.value);
    if (text.size_bytes != text_bytes(answer->number)) wrong_text++;
    for (uint32_t i = 0; i < text.size_bytes; i++)
        if (text.data[i] != (char)('a' + answer->number % 26)) wrong_text++;
    return PEN_TAKEN;
}
PEN_SINK(see, answer);

static enum pen_taken see_note(pen_context *ctx, const struct note *note)
{
    (void)ctx;
    CHECK(note->number >= 0 && note->number < RECORDS);
    notes[note->number]++;
    return PEN_TAKEN;
}
PEN_SINK(see_note, note);

static void hear_reason(void *self, const char *reason)
{
    (void)self;
    CHECK(reasons_count < RECORDS);
    snprintf(reasons[reasons_count++], sizeof *reasons, "%s", reason);
}

static uint32_t count_reasons(const char *wanted)
{
    uint32_t count = 0;
    for (uint64_t i = 0; i < reasons_count; i++)
        count += strcmp(reasons[i], wanted) == 0;
    return count;
}

/* ---- The job --------------------------------------------------------------------------------- */

/* Some records a poll, so that watermarks come often and at odd places. */
struct part {
    int64_t first, next;
};
PEN_RECORD(part, first, next);

static void plan(pen_context *ctx)
{
    pen_add_split(ctx, part, .first = 0);
}

static enum pen_poll poll_questions(pen_context *ctx, struct part *part)
{
    char *text = malloc(TEXT_BYTES);
    uint64_t some = local_mix((uint64_t)part->next) % 7 + 1;

    CHECK(text != NULL);
    for (; some > 0 && part->next < (int64_t)job_settings.count; some--) {
        uint32_t bytes = text_bytes(part->next);
        memset(text, 'a' + (int)(part->next % 26), bytes);
        pen_emit(ctx, question, .at = {part->next * 1000}, .number = part->next,
                 .text = pen_put(ctx, pen_view_sized(text, bytes)));
        part->next++;
    }
    free(text);
    if (how("gate") && shm_load_own(&shared->gate) < 2) return PEN_IDLE;
    return part->next < (int64_t)job_settings.count ? PEN_MORE : PEN_END;
}
PEN_SOURCE(poll_questions, part, question);

static void note_watermark(pen_context *ctx, const struct question *question)
{
    struct question *copy = pen_copy(ctx, question, question);
    int64_t *asked = pen_local(ctx, sizeof *asked);
    copy->order = (*asked)++;
    copy->watermark_us = pen_watermark(ctx).us;
    pen_send(ctx, question, copy);
}
PEN_MAP(note_watermark, question, question);

static void job(pen_graph *graph)
{
    static const uint64_t user = 42;
    pen_stream side;

    pen_configure(graph, .on_bad_record = PEN_BAD_SKIP);
    pen_stream made = pen_source(graph, poll_questions, .plan = plan, .id = "made");
    pen_stream timed = pen_event_time(pen_rebalance(made), "at", .out_of_order = 20000);
    pen_stream asked = pen_map(timed, note_watermark);
    pen_stream answers =
        pen_async(asked, look_up, .id = "answers", .ordered = job_settings.ordered,
                  .in_flight = job_settings.in_flight, .timeout = job_settings.timeout,
                  .tries = job_settings.tries, .user = &user, .open = helper_open,
                  .close = helper_close, .counters = PEN_COUNTERS("helpers", "sum"),
                  .side = PEN_SIDES(PEN_SIDE("notes", note, &side)));
    pen_sink(answers, see, .id = "see");
    pen_sink(pen_rebalance(side), see_note);
}

static void prepare(const char *what)
{
    memset((void *)shared, 0, sizeof *shared);
    memset(seen, 0, sizeof seen);
    memset(notes, 0, sizeof notes);
    memset(last_of, -1, sizeof last_of);
    watermarks = out_of_order = past_watermark = wrong_text = seen_count = reasons_count = 0;
    memset(&job_settings, 0, sizeof job_settings);
    job_settings.how = what;
    job_settings.count = RECORDS;
    job_settings.in_flight = 8;
}

static void open_job(struct eng_local *local, uint32_t parallelism, bool tiny)
{
    static const struct eng_worker_witness witness = {.rejected = hear_reason};
    struct eng_local_options options = {.parallelism = parallelism,
                                        .ring_bytes = tiny ? SHM_RING_BYTES_MIN : 0,
                                        .witness = &witness};
    char reason[4096] = "";

    if (eng_local_open(local, job, &options, reason, sizeof reason) == 0) return;
    fprintf(stderr, "%s\n", reason);
    CU_FAIL_FATAL("the job does not open");
}

static uint64_t counter(const struct eng_local *local, uint32_t index)
{
    uint64_t sum = 0;
    for (uint32_t n = 0; n < local->board->counts.nodes; n++) {
        const struct eng_board_node *node = eng_board_node(local->board, n);
        for (uint32_t s = 0; s < node->parallelism && strcmp(node->id, "answers") == 0; s++)
            sum += shm_counter_get(
                &eng_board_subtask(local->board, node->first_subtask + s)->counters[index]);
    }
    return sum;
}

/* No helper is left: not even one that nobody has reaped. */
static void expect_no_children(void)
{
    CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
    CU_ASSERT_EQUAL(errno, ECHILD);
}

/* Records that are in `lost` have no results, all others what a plain loop gives. */
static void expect_answers(bool (*lost)(int64_t number))
{
    uint32_t bad = 0;

    for (int64_t i = 0; i < RECORDS; i++) {
        bool none = i % 17 == 16 || i >= (int64_t)job_settings.count || (lost && lost(i));
        for (int64_t copy = 0; copy < 2; copy++)
            bad += seen[i][copy] != (!none && copy < i % 3);
        bad += notes[i] != (!none && i % 5 == 0);
    }
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT_EQUAL(past_watermark, 0);
    CU_ASSERT_EQUAL(wrong_text, 0);
    if (job_settings.ordered) CU_ASSERT_EQUAL(out_of_order, 0);
}

static void run_job(struct eng_local *local, uint32_t parallelism, bool tiny)
{
    open_job(local, parallelism, tiny);
    if (eng_local_run(local) < 0) {
        fprintf(stderr, "%s\n", eng_local_failure(local));
        CU_FAIL("the job failed");
    }
}

/* ---- Results --------------------------------------------------------------------------------- */

static void results_are_those_of_a_plain_loop_in_order_or_not(void)
{
    uint64_t unordered = 0;

    for (uint32_t parallelism = 1; parallelism <= 4; parallelism++)
        for (uint32_t variant = 0; variant < 4; variant++) {
            struct eng_local local;
            uint64_t sum = 0;

            prepare("sleep");
            job_settings.ordered = variant & 1;
            run_job(&local, parallelism, variant & 2);
            expect_answers(NULL);
            if (!job_settings.ordered) unordered += out_of_order;
            CU_ASSERT(parallelism > 1 || watermarks > 20); /* else that was not shown, either */
            for (uint64_t i = 0; i < RECORDS; i++)
                sum += i;
            CU_ASSERT_EQUAL(counter(&local, 1), sum);
            CU_ASSERT_EQUAL(reasons_count, RECORDS / 17);
            CU_ASSERT_EQUAL(eng_local_rejected(&local, "answers"), RECORDS / 17);
            CU_ASSERT_EQUAL(count_reasons("16 is a multiple"), 1);
            uint64_t opened = shm_load_own(&shared->opened);
            CU_ASSERT(opened >= 1 && opened <= 8 * parallelism);
            CU_ASSERT_EQUAL(shm_load_own(&shared->closed), opened);
            CU_ASSERT_EQUAL(counter(&local, 0), 101 * opened);
            CU_ASSERT_EQUAL(shm_load_own(&shared->calls), RECORDS);
            eng_local_close(&local);
            expect_no_children();
        }
    CU_ASSERT(unordered > 0); /* else nothing has been shown */
}

static void large_records_go_both_ways(void)
{
    for (uint32_t in_flight = 1; in_flight <= 4; in_flight += 3) {
        struct eng_local local;
        prepare("large");
        job_settings.in_flight = in_flight;
        job_settings.ordered = true;
        run_job(&local, 1, false);
        expect_answers(NULL);
        eng_local_close(&local);
        expect_no_children();
    }
}

static void helpers_work_at_the_same_time_and_are_made_when_needed(void)
{
    struct eng_local local;

    prepare("sleep");
    job_settings.in_flight = 32;
    run_job(&local, 1, false);
    CU_ASSERT(shm_load_own(&shared->opened) > 8);
    CU_ASSERT(shm_load_own(&shared->most) > 4); /* begun is counted before ended is read */
    CU_ASSERT(shm_load_own(&shared->most) <= 32);
    eng_local_close(&local);

    prepare("none");
    job_settings.in_flight = 32;
    job_settings.count = 1;
    run_job(&local, 1, false);
    CU_ASSERT_EQUAL(shm_load_own(&shared->opened), 1);
    eng_local_close(&local);
    expect_no_children();
}

static void no_record_makes_no_helper(void)
{
    struct eng_local local;

    prepare("none");
    job_settings.count = 0;
    run_job(&local, 2, false);
    CU_ASSERT_EQUAL(shm_load_own(&shared->opened), 0);
    eng_local_close(&local);
    expect_no_children();
}

/* A second look-up right behind the first, and a sink that says PEN_AGAIN: each holds up the one
 * before it. */
static void pass_on(pen_context *ctx, const struct answer *answer)
{
    if (answer->number % 4 == 0) sleep_ns(local_mix((uint64_t)answer->number) % MS);
    pen_send(ctx, answer, answer);
}
PEN_MAP(pass_on, answer, answer);

static uint64_t offers;

static enum pen_taken see_sometimes(pen_context *ctx, const struct answer *answer)
{
    if (local_mix(offers++) % 3 != 0) return PEN_AGAIN;
    return see(ctx, answer);
}
PEN_SINK(see_sometimes, answer);

static void double_job(pen_graph *graph)
{
    static const uint64_t user = 42;

    pen_configure(graph, .on_bad_record = PEN_BAD_SKIP);
    pen_stream made = pen_source(graph, poll_questions, .plan = plan, .id = "made");
    pen_stream timed = pen_event_time(pen_rebalance(made), "at", .out_of_order = 20000);
    pen_stream answers = pen_async(pen_map(timed, note_watermark), look_up,
                                   .ordered = job_settings.ordered, .in_flight = 3, .user = &user,
                                   .open = helper_open, .counters = PEN_COUNTERS("helpers", "sum"));
    pen_stream passed =
        pen_async(answers, pass_on, .ordered = job_settings.ordered, .in_flight = 2);
    pen_sink(passed, see_sometimes);
}

static void look_ups_behind_each_other_hold_each_other_up(void)
{
    for (uint32_t variant = 0; variant < 4; variant++) {
        struct eng_local_options options = {.parallelism = 1 + variant / 2 * 2,
                                            .ring_bytes = SHM_RING_BYTES_MIN};
        struct eng_local local;
        char reason[1024];

        prepare("double");
        job_settings.ordered = variant & 1;
        CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, double_job, &options, reason, sizeof reason),
                              0);
        CU_ASSERT_EQUAL(eng_local_run(&local), 0);
        for (int64_t i = 0; i < RECORDS; i++)
            notes[i] = i % 17 != 16 && i % 5 == 0; /* this job has no notes */
        expect_answers(NULL);
        eng_local_close(&local);
        expect_no_children();
    }
}

/* ---- Watermarks ------------------------------------------------------------------------------ */

static pen_context *context_of(const struct eng_local *local, const char *id)
{
    const struct eng_chain *chain = NULL;

    for (uint32_t c = 0; c < local->workers[0]->chain_count; c++) {
        chain = local->workers[0]->chains[c];
        for (uint32_t i = 0; i < chain->context_count; i++)
            if (strcmp(chain->contexts[i]->node->id, id) == 0) return chain->contexts[i];
    }
    CHECK(false);
}

static int64_t shown_watermark(const pen_context *ctx)
{
    return (int64_t)shm_counter_get(&ctx->board->watermark_us);
}

static void step_until_calls(struct eng_local *local, uint64_t calls)
{
    while (shm_load_own(&shared->calls) < calls)
        CU_ASSERT_FATAL(eng_local_step(local));
}

static void watermarks_and_idleness_wait_for_records_and_are_summed_up(void)
{
    static const int64_t told[][5] = {
        {1000000, 2000000, 3000000, 4000000, 5000000},
        {1000000, ENG_WATERMARK_IDLE, 2000000, ENG_WATERMARK_IDLE, 5000000},
        {1000000, ENG_WATERMARK_IDLE, ENG_WATERMARK_IDLE, 5000000, ENG_WATERMARK_IDLE},
    };

    for (uint32_t variant = 0; variant < 3; variant++) {
        struct eng_local local;

        prepare("gate");
        job_settings.count = 2; /* one that gives no result, and one that does */
        open_job(&local, 1, false);
        step_until_calls(&local, 2);
        pen_context *answers = context_of(&local, "answers"), *sink = context_of(&local, "see");
        int64_t before_us = shown_watermark(sink);
        CU_ASSERT(before_us < 1000000);
        for (uint32_t i = 0; i < 5; i++)
            eng_context_hear(answers, told[variant][i]);
        for (uint32_t i = 0; i < 100; i++)
            eng_local_step(&local);
        CU_ASSERT_EQUAL(shown_watermark(sink), before_us);
        shm_store_own(&shared->gate, 1);
        while (shown_watermark(sink) == before_us)
            CU_ASSERT_FATAL(eng_local_step(&local));
        CU_ASSERT_EQUAL(seen_count, 1);
        CU_ASSERT_EQUAL(sink->watermark_us, 5000000);
        CU_ASSERT_EQUAL(shown_watermark(sink), told[variant][4]);
        /* Nothing is held: it goes on at once. */
        eng_context_hear(answers, 6000000);
        CU_ASSERT_EQUAL(shown_watermark(sink), 6000000);
        shm_store_own(&shared->gate, 2);
        CU_ASSERT_EQUAL(eng_local_run(&local), 0);
        CU_ASSERT_EQUAL(shown_watermark(sink), ENG_WATERMARK_END);
        eng_local_close(&local);
    }
}

/* ---- Tries ----------------------------------------------------------------------------------- */

static bool is_lost_always(int64_t number)
{
    return number % 100 == 7;
}

static bool is_lost_once(int64_t number)
{
    return number % 10 == 7;
}

static void expect_tries(const char *what, const char *always, const char *once)
{
    for (uint32_t variant = 0; variant < 4; variant++) {
        struct eng_local local;
        bool twice = variant & 2;

        prepare(what);
        job_settings.ordered = variant & 1;
        job_settings.tries = twice ? 2 : 0;
        if (how("hang")) {
            job_settings.timeout = PEN_MILLISECONDS(250);
            job_settings.in_flight = 16;
            job_settings.count = 100;
        }
        uint64_t count = job_settings.count;
        run_job(&local, 1 + (variant & 1), false);
        expect_answers(twice ? is_lost_always : is_lost_once);
        CU_ASSERT_EQUAL(count_reasons(twice ? always : once), twice ? count / 100 : count / 10);
        CU_ASSERT_EQUAL(shm_load_own(&shared->calls), count + (twice ? count / 10 : 0));
        CU_ASSERT(shm_load_own(&shared->closed) < shm_load_own(&shared->opened));
        eng_local_close(&local);
        expect_no_children();
    }
}

static void what_crashes_is_tried_again_and_then_a_dead_letter(void)
{
    expect_tries("segv", "its helper process died of SIGSEGV in try 2 of 2",
                 "its helper process died of SIGSEGV in try 1 of 1");
    expect_tries("kill", "its helper process died of SIGKILL in try 2 of 2",
                 "its helper process died of SIGKILL in try 1 of 1");
    expect_tries("exit", "its helper process exited with status 3 in try 2 of 2",
                 "its helper process exited with status 3 in try 1 of 1");
}

static void what_takes_too_long_is_tried_again_and_then_a_dead_letter(void)
{
    expect_tries("hang", "timed out after 2 tries of 250ms", "timed out after 1 try of 250ms");
}

static void a_timeout_that_nobody_reaches_changes_nothing(void)
{
    struct eng_local local;

    prepare("sleep");
    job_settings.timeout = PEN_SECONDS(20);
    job_settings.tries = 3;
    run_job(&local, 2, false);
    expect_answers(NULL);
    CU_ASSERT_EQUAL(shm_load_own(&shared->calls), RECORDS);
    eng_local_close(&local);
}

/* ---- Failures -------------------------------------------------------------------------------- */

static void expect_failure(const char *what, const char *words)
{
    for (uint32_t parallelism = 1; parallelism <= 2; parallelism++) {
        struct eng_local local;

        prepare(what);
        open_job(&local, parallelism, false);
        CU_ASSERT_EQUAL(eng_local_run(&local), -EIO);
        const char *failure = eng_local_failure(&local);
        CU_ASSERT_PTR_NOT_NULL_FATAL(failure);
        if (!strstr(failure, words)) fprintf(stderr, "%s: %s\n", what, failure);
        CU_ASSERT_PTR_NOT_NULL(strstr(failure, words));
        CU_ASSERT_PTR_EQUAL(strstr(failure, "async(look_up) ("), failure);
        CU_ASSERT_PTR_NULL(strstr(failure + 1, "async(look_up)")); /* said once */
        eng_local_close(&local);
        expect_no_children();
    }
}

static void pen_fail_in_a_helper_fails_the_job(void)
{
    expect_failure("fail", "): the directory 7 is closed");
    expect_failure("open fails", "): no door");
    expect_failure("close fails", "): the door is stuck");
}

static void a_death_in_open_or_close_fails_the_job(void)
{
    expect_failure("open dies", "a helper process was killed by signal 6 (Aborted) in open");
    expect_failure("close dies", "a helper process exited with status 9 in close");
}

static void a_bad_record_fails_the_job_where_it_says_so(void)
{
    struct eng_local local;

    prepare("segv");
    open_job(&local, 1, false);
    for (uint32_t w = 0; w < local.worker_count; w++)
        local.workers[w]->settings.on_bad_record = PEN_BAD_FAIL;
    CU_ASSERT_EQUAL(eng_local_run(&local), -EIO);
    CU_ASSERT_PTR_NOT_NULL_FATAL(eng_local_failure(&local));
    CU_ASSERT_PTR_NOT_NULL(strstr(eng_local_failure(&local), "bad record: "));
    eng_local_close(&local);
    expect_no_children();
}

/* The nursery is this process's child; a helper's parent is the nursery. */
static pid_t parent_of(pid_t pid)
{
    char path[64], text[512] = "";
    int parent = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    if (fgets(text, sizeof text, file)) sscanf(strrchr(text, ')') + 1, " %*c %d", &parent);
    fclose(file);
    return parent;
}

static void the_death_of_a_nursery_fails_the_job_and_ends_its_helpers(void)
{
    struct eng_local local;

    prepare("sleep");
    open_job(&local, 1, false);
    while (shm_load_own(&shared->pid) == 0)
        CU_ASSERT_FATAL(eng_local_step(&local));
    pid_t helper = (pid_t)shm_load_own(&shared->pid);
    pid_t nursery = parent_of(helper);
    CU_ASSERT_EQUAL_FATAL(parent_of(nursery), getpid());
    kill(nursery, SIGKILL);
    CU_ASSERT_EQUAL(eng_local_run(&local), -EIO);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(eng_local_failure(&local), "the process that makes its helpers was killed by"));
    eng_local_close(&local);
    expect_no_children();
    for (uint32_t i = 0; i < 1000 && parent_of(helper) == nursery; i++)
        sleep_ns(MS);
    CU_ASSERT_NOT_EQUAL(parent_of(helper), nursery);
}

static void a_helper_that_is_killed_while_it_idles_is_replaced(void)
{
    struct eng_local local;
    uint64_t until_ns;

    prepare("none");
    job_settings.in_flight = 1;
    job_settings.tries = 2; /* it may be killed with a record in its socket */
    open_job(&local, 1, false);
    while (shm_load_own(&shared->pid) == 0)
        CU_ASSERT_FATAL(eng_local_step(&local));
    kill((pid_t)shm_load_own(&shared->pid), SIGKILL);
    until_ns = shm_clock_ns() + 20 * MS;
    while (shm_clock_ns() < until_ns && eng_local_step(&local)) {
    }
    CU_ASSERT_EQUAL(eng_local_run(&local), 0);
    expect_answers(NULL);
    CU_ASSERT_EQUAL(shm_load_own(&shared->opened), 2);
    eng_local_close(&local);
    expect_no_children();
}

/* ---- Stopping -------------------------------------------------------------------------------- */

static void a_stop_finishes_what_is_in_flight(void)
{
    for (uint32_t ordered = 0; ordered < 2; ordered++) {
        struct eng_local local;
        uint64_t results = 0;

        prepare("sleep");
        job_settings.ordered = ordered;
        open_job(&local, 2, false);
        while (seen_count < 20)
            CU_ASSERT_FATAL(eng_local_step(&local));
        eng_local_command(&local, ENG_COMMAND_STOP);
        CU_ASSERT_EQUAL(eng_local_run(&local), 0);
        uint64_t asked = eng_local_records_in(&local, "answers");
        CU_ASSERT_EQUAL(asked, eng_local_records_out(&local, "made"));
        CU_ASSERT_EQUAL(asked, shm_load_own(&shared->calls));
        for (int64_t i = 0; i < RECORDS; i++)
            results += seen[i][0] + seen[i][1];
        CU_ASSERT_EQUAL(results, eng_local_records_in(&local, "see"));
        CU_ASSERT_EQUAL(past_watermark, 0);
        eng_local_close(&local);
        expect_no_children();
    }
}

static void a_job_that_is_closed_in_the_middle_leaves_no_helper(void)
{
    struct eng_local local;

    prepare("hang");
    open_job(&local, 2, false);
    while (shm_load_own(&shared->calls) < 20)
        CU_ASSERT_FATAL(eng_local_step(&local));
    eng_local_close(&local);
    expect_no_children();
}

/* ---- Inside ---------------------------------------------------------------------------------- */

static void with_virtual_time_the_worker_calls_the_function_itself(void)
{
    static const int64_t wall_us = 1000000;

    for (uint32_t variant = 0; variant < 4; variant++) {
        static const struct eng_worker_witness witness = {.rejected = hear_reason};
        struct eng_local_options options = {.parallelism = 1 + (variant & 1),
                                            .ring_bytes = variant & 2 ? SHM_RING_BYTES_MIN : 0,
                                            .virtual_wall_us = &wall_us,
                                            .witness = &witness};
        struct eng_local local;
        char reason[1024];

        prepare("none");
        CU_ASSERT_EQUAL_FATAL(eng_local_open(&local, job, &options, reason, sizeof reason), 0);
        CU_ASSERT_EQUAL(eng_local_run(&local), 0);
        expect_answers(NULL);
        CU_ASSERT_EQUAL(out_of_order, 0);
        CU_ASSERT_EQUAL(shm_load_own(&shared->pid), (uint64_t)getpid());
        CU_ASSERT_EQUAL(shm_load_own(&shared->opened), options.parallelism);
        CU_ASSERT_EQUAL(shm_load_own(&shared->closed), options.parallelism);
        CU_ASSERT_EQUAL(counter(&local, 0), 101 * options.parallelism);
        CU_ASSERT_EQUAL(reasons_count, RECORDS / 17);
        eng_local_close(&local);
    }
}

int main(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("async", NULL, NULL);
    CU_ADD_TEST(suite, results_are_those_of_a_plain_loop_in_order_or_not);
    CU_ADD_TEST(suite, large_records_go_both_ways);
    CU_ADD_TEST(suite, helpers_work_at_the_same_time_and_are_made_when_needed);
    CU_ADD_TEST(suite, no_record_makes_no_helper);
    CU_ADD_TEST(suite, look_ups_behind_each_other_hold_each_other_up);
    CU_ADD_TEST(suite, watermarks_and_idleness_wait_for_records_and_are_summed_up);
    CU_ADD_TEST(suite, what_crashes_is_tried_again_and_then_a_dead_letter);
    CU_ADD_TEST(suite, what_takes_too_long_is_tried_again_and_then_a_dead_letter);
    CU_ADD_TEST(suite, a_timeout_that_nobody_reaches_changes_nothing);
    CU_ADD_TEST(suite, pen_fail_in_a_helper_fails_the_job);
    CU_ADD_TEST(suite, a_death_in_open_or_close_fails_the_job);
    CU_ADD_TEST(suite, a_bad_record_fails_the_job_where_it_says_so);
    CU_ADD_TEST(suite, the_death_of_a_nursery_fails_the_job_and_ends_its_helpers);
    CU_ADD_TEST(suite, a_helper_that_is_killed_while_it_idles_is_replaced);
    CU_ADD_TEST(suite, a_stop_finishes_what_is_in_flight);
    CU_ADD_TEST(suite, a_job_that_is_closed_in_the_middle_leaves_no_helper);
    CU_ADD_TEST(suite, with_virtual_time_the_worker_calls_the_function_itself);
    CU_basic_run_tests();
    return CU_get_number_of_failures() > 0;
}
