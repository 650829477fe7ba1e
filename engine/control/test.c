#include "engine/control/test.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/job/graph_inside.h"
#include "engine/operator/operators.h"
#include "shm/clock.h"

enum {
    TEST_REASON_BYTES = 64 * 1024,
    TEST_IDLE_ROUNDS = 64,     /* without work, before it sleeps between them */
    TEST_NAP_NS = 1000 * 1000, /* then so long */
    TEST_WAIT_SECONDS = 60,    /* for a sink */
    TEST_TURNS_MAX =
        1 << 16, /* steps that were asked for at once and did nothing: somebody's bug */
};

/* ---- Failing --------------------------------------------------------------------------------- */

static _Noreturn void test_abort_v(const char *file, uint32_t line, const char *format,
                                   va_list args)
{
    fflush(stdout);
    if (file)
        fprintf(stderr, "%s:%u: ", file, line);
    else
        fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    fflush(stderr);
    abort();
}

_Noreturn void eng_test_abort(const struct pen_test *test, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    test_abort_v(test ? test->file : NULL, test ? test->line : 0, format, args);
}

static void test_on_failure(void *self, const char *failure)
{
    eng_test_abort(self, "job test failed: %s", failure);
}

/* Of the context that texts are put with: what is wrong is how the test uses it. */
static void test_on_misuse(void *self, const char *failure)
{
    eng_test_abort(self, "%s", failure);
}

static void test_on_reject(void *self, const char *reason)
{
    struct pen_test *test = self;
    size_t bytes = strlen(reason) + 1;
    uint32_t size_bytes = eng_record_round((uint32_t)(sizeof(struct shm_frame) + bytes));
    struct shm_frame *frame = eng_queue_claim(&test->rejects, size_bytes);

    *frame = (struct shm_frame){.size_bytes = size_bytes, .kind = ENG_FRAME_RECORD};
    memcpy(frame + 1, reason, bytes);
}

void eng_test_must_be_building(const struct pen_test *test, const char *call)
{
    if (test->started) eng_test_abort(test, "%s: the test has started: graphs come before", call);
}

void eng_test_must_be_running(const struct pen_test *test, const char *call)
{
    if (!test->started) eng_test_abort(test, "%s: pen_test_start comes before", call);
}

struct pen_origin eng_test_origin(const struct pen_test *test, uint32_t size_bytes)
{
    return (struct pen_origin){.abi = PEN_ABI,
                               .size_bytes = size_bytes,
                               .line = test->line,
                               .file = test->file ? test->file : "test"};
}

/* ---- Opening and closing --------------------------------------------------------------------- */

static const struct eng_class test_desk_class = {.name = "test"};

static struct test_desk *test_desk_open(struct pen_test *test)
{
    struct test_desk *desk = calloc(1, sizeof *desk);

    CHECK(desk != NULL);
    desk->worker.place = calloc(1, sizeof *desk->worker.place);
    CHECK(desk->worker.place != NULL);
    desk->worker.slot = &desk->worker.place->slot;
    desk->worker.dead_letter_fd = -1;
    desk->witness = (struct eng_worker_witness){.failed = test_on_misuse, .self = test};
    desk->worker.settings = (struct eng_worker_settings){
        .run = "test", .virtual_wall_us = &test->wall_us, .witness = &desk->witness};
    desk->node = (struct eng_node){
        .class = &test_desk_class, .id = "test", .title = "pen_test_context", .file = "test"};
    eng_context_open(&desk->ctx, &desk->node, NULL, &desk->worker, &desk->board, 0, 1);
    desk->ctx.phase = ENG_PHASE_OPEN; /* nothing can be emitted */
    return desk;
}

static void test_desk_close(struct test_desk *desk)
{
    eng_context_close(&desk->ctx);
    free(desk->worker.place);
    free(desk);
}

pen_test *pen_test_open(void)
{
    struct pen_test *test = calloc(1, sizeof *test);

    CHECK(test != NULL);
    test->graph = eng_graph_open();
    test->witness = (struct eng_worker_witness){
        .rejected = test_on_reject, .failed = test_on_failure, .self = test};
    eng_queue_open(&test->rejects);
    test->desk = test_desk_open(test);
    return test;
}

void pen_test_close(pen_test *test)
{
    if (!test) return;
    if (test->started)
        eng_local_close(&test->local);
    else
        eng_graph_close(test->graph);
    eng_test_close_ends(test);
    eng_queue_close(&test->rejects);
    test_desk_close(test->desk);
    free(test->looked_at);
    free(test);
}

/* ---- Before the start ------------------------------------------------------------------------ */

pen_test *pen_test_here(pen_test *test, const char *file, uint32_t line)
{
    if (!test) {
        struct pen_test nowhere = {.file = file, .line = line};
        eng_test_abort(&nowhere, "the test is NULL: pen_test_open comes before");
    }
    test->file = test->desk->node.file = file;
    test->line = test->desk->node.line = line;
    return test;
}

pen_graph *pen_test_graph(pen_test *test)
{
    return test->graph;
}

pen_context *pen_test_context(pen_test *test)
{
    return &test->desk->ctx;
}

void pen_test_arg(pen_test *test, const char *name, const char *text)
{
    size_t bytes = strlen(name) + (text ? strlen(text) : 0) + sizeof "--=";
    char *word = malloc(bytes);

    eng_test_must_be_building(test, "pen_test_arg");
    CHECK(word != NULL);
    snprintf(word, bytes, "--%s%s%s", name, text ? "=" : "", text ? text : "");
    eng_graph_set_arguments(test->graph, 1, &word);
    free(word);
}

void pen_test_parallelism(pen_test *test, uint32_t parallelism)
{
    eng_test_must_be_building(test, "pen_test_parallelism");
    if (parallelism == 0) eng_test_abort(test, "pen_test_parallelism: at least one worker");
    test->parallelism = parallelism;
}

/* A generator that never comes to an end nor to a rest would be a test that hangs. */
static void test_refuse_endless(const struct pen_test *test)
{
    uint32_t node_count;
    struct eng_node **nodes = eng_graph_nodes(test->graph, &node_count);

    for (uint32_t i = 0; i < node_count; i++) {
        const struct pen_generate *options = nodes[i]->options;
        if (nodes[i]->class != &eng_generate_class || options->count > 0 || options->rate > 0)
            continue;
        eng_test_abort(test,
                       "%s:%u: pen_%s never ends, so the test would never come to rest: give it a "
                       ".count, or a .rate, which goes by the test's clock",
                       nodes[i]->file, nodes[i]->line, nodes[i]->title);
    }
}

static uint32_t test_parallelism(const struct pen_graph *graph, uint32_t wanted)
{
    return wanted ? wanted : eng_graph_settings(graph)->parallelism;
}

/* As `penstock run` tells mistakes, each with its own place. */
static _Noreturn void test_abort_unstarted(const struct pen_test *test, const char *reason)
{
    size_t bytes = strlen(reason);

    while (bytes > 0 && reason[bytes - 1] == '\n')
        bytes--;
    if (memchr(reason, '\n', bytes))
        eng_test_abort(test, "the job cannot be run:\n%.*s", (int)bytes, reason);
    eng_test_abort(test, "the job cannot be run: %.*s", (int)bytes, reason);
}

void pen_test_start(pen_test *test)
{
    char *reason = calloc(1, TEST_REASON_BYTES);

    CHECK(reason != NULL);
    eng_test_must_be_building(test, "pen_test_start");
    test_refuse_endless(test);
    /* Who looks at states only needs no output. */
    if (!test->outputs) test->graph->sink_calls++;
    struct eng_local_options options = {
        .parallelism = test_parallelism(test->graph, test->parallelism),
        .virtual_wall_us = &test->wall_us,
        .witness = &test->witness,
    };
    test->started = true;
    if (eng_local_begin(&test->local, test->graph, &options, reason, TEST_REASON_BYTES) < 0)
        test_abort_unstarted(test, reason);
    free(reason);
    eng_test_settle(test);
}

/* ---- Settling -------------------------------------------------------------------------------- */

static unsigned test_round(const struct eng_local *local)
{
    unsigned work = 0;

    for (uint32_t w = 0; w < local->worker_count; w++)
        if (!eng_worker_is_done(local->workers[w])) work += eng_worker_step(local->workers[w]);
    return work;
}

enum test_rest {
    TEST_AT_REST,
    TEST_GOES_ON, /* the next step has something to do */
    TEST_BLOCKED, /* or it has when the world has moved */
};

static enum test_rest test_look(const struct eng_local *local)
{
    enum test_rest rest = TEST_AT_REST;

    for (uint32_t w = 0; w < local->worker_count; w++) {
        const struct eng_worker *worker = local->workers[w];
        if (eng_worker_is_done(worker)) continue;
        if (eng_worker_has_work(worker)) return TEST_GOES_ON;
        if (worker->wake_ns != 0 && worker->wake_ns <= worker->now_ns) return TEST_GOES_ON;
        if (eng_worker_is_blocked(worker)) rest = TEST_BLOCKED;
    }
    return rest;
}

/* The operator that holds something back; NULL: none does. */
static const struct eng_node *test_find_waiting(const struct eng_local *local)
{
    for (uint32_t w = 0; w < local->worker_count; w++)
        for (uint32_t c = 0; c < local->workers[w]->chain_count; c++) {
            const struct eng_chain *chain = local->workers[w]->chains[c];
            for (uint32_t i = 0; i < chain->context_count; i++) {
                pen_context *ctx = chain->contexts[i];
                if (ctx->class->waits && ctx->class->waits(ctx)) return ctx->node;
            }
        }
    return NULL;
}

static _Noreturn void test_abort_waiting(const struct pen_test *test)
{
    const struct eng_node *node = test_find_waiting(&test->local);

    if (!node) eng_test_abort(test, "the job does not come to rest, and does nothing");
    eng_test_abort(test,
                   "the job does not come to rest: for %d seconds %s (%s:%u) has taken nothing",
                   TEST_WAIT_SECONDS, node->title, node->file ? node->file : "?", node->line);
}

void eng_test_settle(struct pen_test *test)
{
    uint64_t idle_since_ns = 0;
    uint32_t idle = 0;

    for (;;) {
        if (test_round(&test->local) > 0) {
            idle = 0;
            continue;
        }
        enum test_rest rest = test_look(&test->local);
        if (rest == TEST_AT_REST) return;
        idle++;
        if (rest == TEST_GOES_ON && idle > TEST_TURNS_MAX) test_abort_waiting(test);
        if (rest == TEST_GOES_ON || idle < TEST_IDLE_ROUNDS) continue;

        uint64_t now_ns = shm_clock_ns();
        if (idle == TEST_IDLE_ROUNDS) idle_since_ns = now_ns;
        if (now_ns - idle_since_ns > TEST_WAIT_SECONDS * 1000000000ull) test_abort_waiting(test);
        shm_clock_sleep_until(now_ns + TEST_NAP_NS);
    }
}

void pen_test_clock(pen_test *test, pen_time now)
{
    eng_test_must_be_running(test, "pen_test_clock");
    if (now.us < test->wall_us)
        eng_test_abort(test, "pen_test_clock: it is %lld us, and cannot go back to %lld us",
                       (long long)test->wall_us, (long long)now.us);
    test->wall_us = now.us;
    eng_test_settle(test);
}

void pen_test_end(pen_test *test)
{
    eng_test_must_be_running(test, "pen_test_end");
    if (test->ended) return;
    test->ended = true;
    eng_test_end_inputs(test);
    eng_test_settle(test);
}

const char *pen_test_next_reject(pen_test *test)
{
    const char *frames;

    if (test->reject_at_hand) eng_queue_advance(&test->rejects, test->reject_at_hand->size_bytes);
    test->reject_at_hand = NULL;
    if (eng_queue_peek(&test->rejects, &frames) == 0) return NULL;
    test->reject_at_hand = (const struct shm_frame *)(const void *)frames;
    return (const char *)(test->reject_at_hand + 1);
}

/* ---- What comes with checkpoints ------------------------------------------------------------- */

void pen_test_checkpoint(pen_test *test)
{
    eng_test_abort(test, "pen_test_checkpoint: this version of Penstock takes no checkpoints yet");
}

void pen_test_crash(pen_test *test)
{
    eng_test_abort(test, "pen_test_crash: this version of Penstock cannot restore a job yet");
}

/* ---- A whole job ----------------------------------------------------------------------------- */

static void test_run_on_failure(void *self, const char *failure)
{
    (void)self;
    eng_test_abort(NULL, "job test failed: %s", failure);
}

void pen_test_run(void (*job)(pen_graph *graph), const char *const *arguments)
{
    static const struct eng_worker_witness witness = {.failed = test_run_on_failure};
    struct pen_graph *graph = eng_graph_open();
    char *reason = calloc(1, TEST_REASON_BYTES);
    struct eng_local local;
    int count = 0;

    CHECK(reason != NULL);
    while (arguments && arguments[count])
        count++;
    eng_graph_set_arguments(graph, count, (char *const *)(uintptr_t)arguments);
    job(graph);
    struct eng_local_options options = {.parallelism = test_parallelism(graph, 0),
                                        .witness = &witness};
    if (eng_local_begin(&local, graph, &options, reason, TEST_REASON_BYTES) < 0)
        test_abort_unstarted(NULL, reason);
    free(reason);
    for (bool open = true; open;) {
        unsigned work = test_round(&local);
        open = false;
        for (uint32_t w = 0; w < local.worker_count; w++)
            open |= !eng_worker_is_done(local.workers[w]);
        if (open && work == 0 && test_look(&local) != TEST_GOES_ON)
            shm_clock_sleep_until(shm_clock_ns() + TEST_NAP_NS);
    }
    eng_local_close(&local);
}
