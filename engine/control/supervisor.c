#include "engine/control/supervisor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "engine/control/autopsy.h"
#include "engine/control/supervisor_inside.h"
#include "shm/clock.h"

enum { SUPERVISOR_DEATHS = 16 }; /* that are told at once */

/* ---- Times and memory ------------------------------------------------------------------------ */

static uint64_t supervisor_time_ns(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_usec * 1000;
}

/* CPU time of this process and of all children that have been reaped. */
static uint64_t supervisor_cpu_ns(void)
{
    struct rusage own, children;

    CHECK(getrusage(RUSAGE_SELF, &own) == 0);
    CHECK(getrusage(RUSAGE_CHILDREN, &children) == 0);
    return supervisor_time_ns(&own.ru_utime) + supervisor_time_ns(&own.ru_stime) +
           supervisor_time_ns(&children.ru_utime) + supervisor_time_ns(&children.ru_stime);
}

static void supervisor_look_at_memory(struct supervisor *s)
{
    for (uint32_t w = 0; w < s->draft.plan.worker_count; w++) {
        uint64_t bytes = eng_supervisor_peak_bytes(&s->workers[w]);
        if (bytes > s->worker_peak_bytes[w]) s->worker_peak_bytes[w] = bytes;
    }
}

/* ---- Commands -------------------------------------------------------------------------------- */

static void supervisor_command(struct supervisor *s, enum eng_command command)
{
    CHECK(shm_load_own(&s->board->command) <= command); /* words only rise */
    shm_store_release(&s->board->command, command);     /* [board.command] */
    shm_fence();
    for (uint32_t w = 0; w < s->board->counts.workers; w++)
        shm_ring_bell(&eng_board_worker(s->board, w)->doorbell);
}

static void supervisor_kill_all(struct supervisor *s)
{
    supervisor_look_at_memory(s);
    if (s->ended_ns == 0) s->ended_ns = shm_clock_ns();
    for (uint32_t w = 0; w < s->draft.plan.worker_count; w++)
        shm_process_kill(&s->workers[w], SIGKILL);
    s->phase = SUPERVISOR_KILLING;
}

/* ---- Failure --------------------------------------------------------------------------------- */

/* The worker has failed or died: `ending` is NULL while its process still lives. The first one
 * counts: others may only have followed it. */
static void supervisor_fail(struct supervisor *s, uint32_t number, const struct shm_ending *ending)
{
    static const struct shm_ending alive = {.status = 1};
    const struct eng_board_worker *place = eng_board_worker(s->board, number);
    size_t failure_bytes = 0;

    if (s->phase == SUPERVISOR_KILLING) return;
    supervisor_kill_all(s);
    s->outcome = ENG_OUTCOME_FAILED;
    CHECK(s->failure == NULL);
    FILE *text = open_memstream(&s->failure, &failure_bytes);
    CHECK(text != NULL);
    eng_autopsy_sentence(s->board, number, ending ? ending : &alive, s->draft.plan.nodes, text);
    CHECK(fclose(text) == 0);

    eng_progress_clear(&s->progress);
    bool has_trace = shm_load_acquire(&place->slot.frame_count) > 0; /* pairs with [slot.frames] */
    fprintf(s->err, "%s: job %s failed: %s%s\n", s->options->program, s->draft.name, s->failure,
            has_trace ? "; backtrace:" : "");
    if (has_trace) eng_autopsy_backtrace(&place->slot, s->err);
    fflush(s->err);
}

/* ---- What happens ---------------------------------------------------------------------------- */

static void supervisor_on_death(struct supervisor *s, uint32_t number,
                                const struct shm_ending *ending)
{
    CHECK(s->alive > 0);
    s->alive--;
    if (s->phase == SUPERVISOR_CLOSING && ending->status == 0) return;
    supervisor_fail(s, number, ending);
}

static void supervisor_on_deaths(struct supervisor *s)
{
    struct epoll_event events[SUPERVISOR_DEATHS];
    int count = epoll_wait(s->deaths_fd, events, SUPERVISOR_DEATHS, 0);

    CHECK(count >= 0 || errno == EINTR); /* what is left is ready at the next look, too */
    for (int i = 0; i < count; i++) {
        struct shm_ending ending;
        /* Its pidfd says so, and says it once. Who traces it may have to let go of it first. */
        bool ended = shm_process_wait(&s->workers[events[i].data.u32], &ending, SHM_CLOCK_NEVER);
        CHECK(ended);
        supervisor_on_death(s, events[i].data.u32, &ending);
    }
}

static void supervisor_run(struct supervisor *s, enum eng_command command)
{
    s->phase = SUPERVISOR_RUNNING;
    s->running_ns = shm_clock_ns();
    supervisor_command(s, command);
}

static void supervisor_stop(struct supervisor *s)
{
    enum eng_command command = s->options->drain ? ENG_COMMAND_DRAIN : ENG_COMMAND_STOP;

    s->outcome = s->options->drain ? ENG_OUTCOME_DRAINED : ENG_OUTCOME_STOPPED;
    eng_progress_clear(&s->progress);
    if (!s->options->quiet)
        fprintf(s->err, "%s: %s %s; a second signal kills it\n", s->options->program,
                s->options->drain ? "draining" : "stopping", s->draft.name);
    if (s->phase == SUPERVISOR_OPENING)
        supervisor_run(s, command);
    else if (s->phase == SUPERVISOR_RUNNING)
        supervisor_command(s, command);
}

static void supervisor_on_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;

    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        s->signals++;
        if (s->phase == SUPERVISOR_KILLING) continue;
        if (s->signals == 1) {
            supervisor_stop(s);
            continue;
        }
        s->outcome = ENG_OUTCOME_KILLED;
        eng_progress_clear(&s->progress);
        fprintf(s->err, "%s: job %s was killed by a second signal\n", s->options->program,
                s->draft.name);
        supervisor_kill_all(s);
    }
}

struct supervisor_look {
    uint32_t opened, ended, failed; /* opened: or further */
    uint32_t first_failed;
};

static struct supervisor_look supervisor_look_at_states(const struct supervisor *s)
{
    struct supervisor_look look = {0};

    for (uint32_t w = 0; w < s->draft.plan.worker_count; w++) {
        /* pairs with [worker.state] */
        uint64_t state = shm_load_acquire(&eng_board_worker(s->board, w)->state);
        if (state == ENG_WORKER_FAILED && look.failed++ == 0) look.first_failed = w;
        look.opened += state >= ENG_WORKER_OPENED;
        look.ended += state == ENG_WORKER_ENDED;
    }
    return look;
}

static void supervisor_on_states(struct supervisor *s)
{
    uint32_t count = s->draft.plan.worker_count;

    if (s->phase >= SUPERVISOR_CLOSING) return;
    struct supervisor_look look = supervisor_look_at_states(s);
    s->seen_opened = look.opened;
    s->seen_ended = look.ended;
    if (look.failed > 0) {
        supervisor_fail(s, look.first_failed, NULL);
        return;
    }
    if (s->phase == SUPERVISOR_OPENING && look.opened == count) supervisor_run(s, ENG_COMMAND_RUN);
    if (s->phase == SUPERVISOR_RUNNING && look.ended == count) {
        s->ended_ns = shm_clock_ns();
        supervisor_look_at_memory(s);
        s->phase = SUPERVISOR_CLOSING;
        supervisor_command(s, ENG_COMMAND_EXIT);
    }
}

/* What a worker's ring of the bell may be about. States only rise, so the sums tell. */
static bool supervisor_has_news(void *arg)
{
    const struct supervisor *s = arg;

    if (s->phase >= SUPERVISOR_CLOSING) return false;
    struct supervisor_look look = supervisor_look_at_states(s);
    return look.failed > 0 || look.opened != s->seen_opened || look.ended != s->seen_ended;
}

static void supervisor_loop(struct supervisor *s)
{
    while (s->alive > 0) {
        struct pollfd fds[] = {{.fd = s->signal_fd, .events = POLLIN},
                               {.fd = s->deaths_fd, .events = POLLIN}};
        uint64_t deadline_ns =
            s->phase == SUPERVISOR_RUNNING ? eng_progress_due_ns(&s->progress) : SHM_CLOCK_NEVER;
        shm_park_poll(&s->board->bell, deadline_ns, supervisor_has_news, s, fds, 2);
        if (fds[0].revents) supervisor_on_signals(s);
        /* Before the deaths: who says why it failed and then ends is not to be called a runaway. */
        supervisor_on_states(s);
        if (fds[1].revents) supervisor_on_deaths(s);
        if (s->phase == SUPERVISOR_RUNNING)
            eng_progress_step(&s->progress, s->board, shm_clock_ns());
    }
    eng_progress_clear(&s->progress);
}

/* ---- Before and after ------------------------------------------------------------------------ */

/* Signals arrive through a descriptor from here on; workers inherit that and undo it. */
static void supervisor_take_signals(struct supervisor *s)
{
    static const int taken[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, common = {.sa_handler = SIG_DFL};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        /* Who ignores a signal (nohup, a shell's background) has a reason; blocked, it would come.
         */
        struct sigaction before;
        CHECK(sigaction(taken[i], NULL, &before) == 0);
        if (before.sa_handler != SIG_IGN) sigaddset(&set, taken[i]);
    }
    CHECK(sigprocmask(SIG_BLOCK, &set, &s->mask_before) == 0);
    s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    CHECK(s->signal_fd >= 0);
    CHECK(sigaction(SIGPIPE, &ignore, &s->pipe_before) == 0);
    /* Who was started with this ignored would never learn how a child ended. */
    CHECK(sigaction(SIGCHLD, &common, &s->child_before) == 0);
}

static void supervisor_give_signals_back(struct supervisor *s)
{
    if (s->signal_fd < 0) return;
    supervisor_on_signals(s); /* they are dealt with: they must not kill us when unblocked */
    close(s->signal_fd);
    s->signal_fd = -1;
    CHECK(sigaction(SIGPIPE, &s->pipe_before, NULL) == 0);
    CHECK(sigaction(SIGCHLD, &s->child_before, NULL) == 0);
    CHECK(sigprocmask(SIG_SETMASK, &s->mask_before, NULL) == 0);
}

static bool supervisor_start_workers(struct supervisor *s)
{
    uint32_t count = s->draft.plan.worker_count;

    s->deaths_fd = epoll_create1(EPOLL_CLOEXEC);
    CHECK(s->deaths_fd >= 0);
    for (uint32_t w = 0; w < count; w++) {
        int result = eng_supervisor_spawn(s, w);
        if (result < 0) {
            fprintf(s->err,
                    "%s: cannot start worker %u of %u: %s. Use fewer workers (--parallelism), or "
                    "raise the limits of processes and memory\n",
                    s->options->program, w, count, strerror(-result));
            s->outcome = ENG_OUTCOME_FAILED;
            supervisor_kill_all(s);
            return false;
        }
        s->alive++;
        /* Once: later workers inherit this descriptor, so it stays ready when it is closed here. */
        struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = w};
        CHECK(epoll_ctl(s->deaths_fd, EPOLL_CTL_ADD, s->workers[w].pidfd, &event) == 0);
    }
    return true;
}

/* A script that asked for a file of figures must not take the lack of it for success. */
static enum eng_exit supervisor_sum_up(struct supervisor *s, enum eng_exit status)
{
    uint64_t now_ns = shm_clock_ns();
    struct eng_summary summary = {
        .board = s->board,
        .nodes = s->draft.plan.nodes,
        .run = s->draft.run,
        .outcome = s->outcome,
        .exit_status = (int)status,
        .failure = s->failure,
        .running_ns = s->running_ns ? (s->ended_ns ? s->ended_ns : now_ns) - s->running_ns : 0,
        .total_ns = now_ns - s->begun_ns,
        .cpu_ns = supervisor_cpu_ns() - s->cpu_before_ns,
        .worker_peak_bytes = s->worker_peak_bytes,
    };

    for (uint32_t w = 0; w < s->draft.plan.worker_count; w++)
        summary.memory_peak_bytes += s->worker_peak_bytes[w];
    if (s->outcome <= ENG_OUTCOME_DRAINED && !s->options->quiet)
        eng_summary_print(&summary, s->err);
    if (!s->summary_file.out) return status;
    int result = eng_summary_file_finish(&s->summary_file, &summary);
    if (result == 0) return status;
    fprintf(s->err, "%s: cannot write the summary to %s: %s. The job itself has been run\n",
            s->options->program, s->options->summary_json, strerror(-result));
    return status == ENG_EXIT_OK ? ENG_EXIT_FAILED : status;
}

static enum eng_exit supervisor_status(const struct supervisor *s)
{
    switch (s->outcome) {
    case ENG_OUTCOME_FAILED:
        return ENG_EXIT_FAILED;
    case ENG_OUTCOME_KILLED:
        return ENG_EXIT_INTERRUPTED;
    case ENG_OUTCOME_ENDED:
    case ENG_OUTCOME_STOPPED:
    case ENG_OUTCOME_DRAINED:
        return ENG_EXIT_OK;
    }
    CHECK(false);
}

/* Everything from shared memory to the last child. */
static enum eng_exit supervisor_execute(struct supervisor *s)
{
    uint32_t count = s->draft.plan.worker_count;
    int result = 0;

    if (s->options->summary_json)
        result = eng_summary_file_open(&s->summary_file, s->options->summary_json);
    if (result < 0) {
        fprintf(s->err, "%s: cannot write the summary to %s: %s. Nothing was run\n",
                s->options->program, s->options->summary_json, strerror(-result));
        return ENG_EXIT_USAGE;
    }
    if (!eng_supervisor_share(s)) return ENG_EXIT_FAILED;
    s->workers = calloc(count, sizeof *s->workers);
    s->worker_peak_bytes = calloc(count, sizeof *s->worker_peak_bytes);
    CHECK(s->workers != NULL);
    CHECK(s->worker_peak_bytes != NULL);
    eng_progress_open(&s->progress, s->err, s->options->quiet);
    supervisor_start_workers(s);
    supervisor_loop(s);
    CHECK(s->alive == 0);
    return supervisor_sum_up(s, supervisor_status(s));
}

enum eng_exit eng_run(const struct eng_run_options *options, FILE *out, FILE *err)
{
    struct supervisor s = {
        .options = options,
        .err = err,
        .ring_memory_fd = -1,
        .signal_fd = -1,
        .deaths_fd = -1,
        .begun_ns = shm_clock_ns(),
        .cpu_before_ns = supervisor_cpu_ns(),
    };
    bool is_done = false;
    enum eng_exit status = eng_draft_open(&s.draft, options, &is_done, out, err);

    if (status == ENG_EXIT_OK && !is_done) {
        supervisor_take_signals(&s);
        status = supervisor_execute(&s);
        eng_summary_file_drop(&s.summary_file);
        eng_supervisor_unshare(&s);
        if (s.deaths_fd >= 0) close(s.deaths_fd);
        s.phase = SUPERVISOR_KILLING; /* nothing is left that a late signal could stop */
        supervisor_give_signals_back(&s);
    }
    eng_draft_close(&s.draft);
    free(s.workers);
    free(s.worker_peak_bytes);
    free(s.failure);
    return status;
}
