#include "engine/control/draft.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/job/load.h"
#include "engine/operator/operators.h"
#include "shm/check.h"
#include "shm/random.h"

enum { DRAFT_REASON_BYTES = 1024 };

/* ---- User code in the supervisor ------------------------------------------------------------- */

/* pen_job and `plan` are user code that runs before there is a worker with a slot. Without this a
 * crash in them would be a bare "Segmentation fault" of the shell. */
static void draft_on_signal(int signal_number)
{
    static const char text[] =
        "the job crashed while it was being described (in pen_job, or in the "
        "plan of a source). It stood at:\n";
    void *frames[32];

    if (write(STDERR_FILENO, text, sizeof text - 1) > 0) {
        int count = backtrace(frames, 32);
        int ours = count > 2 ? 2 : 0; /* this handler, and the kernel's way into it */
        backtrace_symbols_fd(frames + ours, count - ours, STDERR_FILENO);
    }
    raise(signal_number); /* SA_RESETHAND: this time it kills */
}

static const int draft_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { DRAFT_SIGNALS = sizeof draft_signals / sizeof *draft_signals };

struct draft_guard {
    struct sigaction before[DRAFT_SIGNALS];
};

static void draft_guard_up(struct draft_guard *guard)
{
    struct sigaction action = {.sa_handler = draft_on_signal, .sa_flags = (int)SA_RESETHAND};
    void *frame;

    backtrace(&frame, 1); /* the first call loads a library: not in the handler */
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < DRAFT_SIGNALS; i++)
        CHECK(sigaction(draft_signals[i], &action, &guard->before[i]) == 0);
}

static void draft_guard_down(const struct draft_guard *guard)
{
    for (int i = 0; i < DRAFT_SIGNALS; i++)
        CHECK(sigaction(draft_signals[i], &guard->before[i], NULL) == 0);
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static bool draft_describe(struct eng_draft *draft, const struct eng_run_options *options,
                           FILE *err)
{
    void (*job)(pen_graph * graph) = options->job;
    char reason[DRAFT_REASON_BYTES];
    struct draft_guard guard;

    if (!job) {
        if (eng_load(options->object, &job, &draft->object, reason, sizeof reason) < 0) {
            fprintf(err, "%s: %s\n", options->program, reason);
            return false;
        }
    }
    draft->graph = eng_graph_open();
    eng_graph_set_arguments(draft->graph, options->argument_count, options->arguments);
    draft_guard_up(&guard);
    job(draft->graph);
    draft_guard_down(&guard);
    return true;
}

/* A name that the job or its file gives may hold anything; that of a region may not. */
static void draft_set_name(struct eng_draft *draft, const struct eng_run_options *options)
{
    const char *from = options->name;
    char *to = draft->name;

    if (!from) from = eng_graph_settings(draft->graph)->job_name;
    if (!from || !*from) {
        from = options->object ? options->object : program_invocation_short_name;
        const char *slash = strrchr(from, '/');
        if (slash) from = slash + 1;
    }
    size_t size = strlen(from);
    if (options->object && from != options->name && size > 3 && strcmp(from + size - 3, ".so") == 0)
        size -= 3;
    if (size >= sizeof draft->name) size = sizeof draft->name - 1;
    for (size_t i = 0; i < size; i++) {
        char c = from[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || (c == '.' && i > 0);
        *to++ = good ? c : '-';
    }
    if (to == draft->name) *to++ = '-';
    *to = 0;
}

static bool draft_set_settings(struct eng_draft *draft, const struct eng_run_options *options,
                               FILE *err)
{
    const struct eng_graph_settings *wish = eng_graph_settings(draft->graph);
    struct eng_worker_settings *settings = &draft->settings;

    snprintf(draft->run, sizeof draft->run, "%016llx", (unsigned long long)shm_random());
    *settings = (struct eng_worker_settings){
        .on_bad_record = options->on_bad_record ? options->on_bad_record : wish->on_bad_record,
        .dead_letters = options->dead_letters ? options->dead_letters : wish->dead_letters,
        .rejects_max = wish->rejects_max,
        .run = draft->run,
    };
    /* Who names the directory on the command line wants letters in it. */
    if (options->dead_letters && !options->on_bad_record)
        settings->on_bad_record = PEN_BAD_DEAD_LETTER;
    if (settings->on_bad_record == PEN_BAD_DEAD_LETTER && !settings->dead_letters) {
        fprintf(err,
                "%s: bad records are to be written down, but nobody said where: add --dead-letters "
                "DIR\n",
                options->program);
        return false;
    }
    return true;
}

static bool draft_plan_sources(struct eng_draft *draft, const char *program, FILE *err)
{
    uint32_t node_count;
    struct eng_node **nodes = eng_graph_nodes(draft->graph, &node_count);
    char reason[DRAFT_REASON_BYTES] = "";
    struct draft_guard guard;
    bool good = true;

    draft_guard_up(&guard);
    for (uint32_t i = 0; i < node_count && good; i++) {
        if (nodes[i]->class != &eng_source_class) continue;
        good = eng_source_plan(nodes[i], reason, sizeof reason);
        if (!good) fprintf(err, "%s: %s\n", program, reason); /* it names operator and place */
    }
    draft_guard_down(&guard);
    return good;
}

static bool draft_plan(struct eng_draft *draft, const struct eng_run_options *options, FILE *err)
{
    struct eng_plan_options wish = {
        .parallelism = options->parallelism,
        .cores = options->cores,
        .core_count = options->core_count,
    };
    char reason[DRAFT_REASON_BYTES] = "";

    if (eng_plan_open(&draft->plan, draft->graph, &wish, reason, sizeof reason) < 0) {
        fprintf(err, "%s: %s\n", options->program, reason);
        return false;
    }
    draft->is_planned = true;
    return true;
}

static bool draft_tell_mistakes(struct eng_draft *draft, const struct eng_run_options *options,
                                FILE *err)
{
    bool good = eng_graph_finish(draft->graph);
    uint32_t mistakes = eng_graph_mistakes(draft->graph);

    CHECK(good == (mistakes == 0));
    if (!good) {
        eng_graph_print_mistakes(draft->graph, err);
        fprintf(err, "%s: %u mistake%s, nothing was run\n", options->program, mistakes,
                mistakes == 1 ? "" : "s");
    }
    eng_graph_print_warnings(draft->graph, err);
    return good;
}

static void draft_print_plan(const struct eng_draft *draft, const struct eng_run_options *options,
                             FILE *out)
{
    eng_plan_explain(&draft->plan, out);
    if (!options->dry_run) return;
    fputc('\n', out);
    eng_plan_print_memory(&draft->plan, out);
}

enum eng_exit eng_draft_open(struct eng_draft *draft, const struct eng_run_options *options,
                             bool *is_done, FILE *out, FILE *err)
{
    *draft = (struct eng_draft){.graph = NULL};
    *is_done = false;
    if (!draft_describe(draft, options, err)) return ENG_EXIT_USAGE;
    draft_set_name(draft, options);
    if (eng_graph_wants_help(draft->graph)) {
        eng_graph_print_help(draft->graph, draft->name, out);
        *is_done = true;
        return ENG_EXIT_OK;
    }
    if (!draft_tell_mistakes(draft, options, err)) return ENG_EXIT_USAGE;
    if (!draft_set_settings(draft, options, err)) return ENG_EXIT_USAGE;
    if (!options->check && !draft_plan_sources(draft, options->program, err))
        return ENG_EXIT_FAILED;
    if (!draft_plan(draft, options, err)) return ENG_EXIT_USAGE;
    *is_done = options->check || options->explain || options->dry_run;
    if (!options->check && *is_done) draft_print_plan(draft, options, out);
    return ENG_EXIT_OK;
}

void eng_draft_close(struct eng_draft *draft)
{
    if (draft->is_planned) eng_plan_close(&draft->plan);
    eng_graph_close(draft->graph);
    eng_load_close(draft->object);
    *draft = (struct eng_draft){.graph = NULL};
}
