/* The helper processes of one subtask, as the worker sees them.
 *
 *     NONE --asked for--> UNBORN --born--> OPENING --READY--> IDLE <--> BUSY
 *
 *     BUSY over its time: killed, DOOMED       IDLE when all is done: shut down, CLOSING
 *     dead, from anywhere but NONE and UNBORN: NONE
 *
 * Only what the nursery says makes a helper NONE again. By then it has ended, so all that it ever
 * said lies in its socket, and is heard before its end is. All descriptors are in one epoll, the
 * nursery's socket and its pidfd among them: a turn asks the kernel once. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/operator/async.h"
#include "shm/clock.h"
#include "shm/spawn.h"

enum {
    CREW_EVENTS_MAX = 64, /* in a turn */
    CREW_READ_BYTES = 4096,
    CREW_FDS_SPARE = 256,             /* beside two for each helper */
    CREW_END_NS = 1000 * 1000 * 1000, /* that a nursery may take to end, before it is killed */
};
#define CREW_IS_NURSERY UINT32_MAX /* in an event, instead of a helper's number */
#define CREW_IS_DEATH   (UINT32_MAX - 1)

enum crew_state {
    CREW_NONE,
    CREW_UNBORN,
    CREW_OPENING,
    CREW_IDLE,
    CREW_BUSY,
    CREW_DOOMED,
    CREW_CLOSING,
};

struct crew_helper {
    enum crew_state state;
    int fd; /* -1: none */
    struct eng_async_entry *entry;
    uint32_t sent_bytes; /* of the entry's request */
    bool is_stuck;       /* the rest waits for room in the socket */
    uint64_t deadline_ns;
    struct eng_text_out heard;
    size_t looked_at; /* bytes of whole frames in it */
};

struct eng_crew {
    pen_context *ctx;
    struct shm_process nursery;
    int fd; /* to the nursery */
    int epoll_fd;
    uint32_t helpers_max;
    uint64_t timeout_ns;
    uint64_t due_ns; /* no deadline is before this */
    bool ending, told_to_exit, gone;
    struct crew_helper *helpers;
    uint32_t *idle, *none; /* numbers of helpers in these states, as stacks */
    uint32_t idle_count, none_count;
    uint32_t coming_count; /* unborn, or opening */
};

/* ---- Opening --------------------------------------------------------------------------------- */

bool eng_crew_is_possible(const pen_context *ctx)
{
    return ctx->worker->settings.virtual_wall_us == NULL;
}

static void crew_raise_fds(uint32_t helpers)
{
    struct rlimit limit;
    rlim_t wanted = 2 * (rlim_t)helpers + CREW_FDS_SPARE;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit); /* where it is not enough, a helper cannot be made: told */
}

static void crew_watch(struct eng_crew *crew, int fd, uint32_t what, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = what};

    if (epoll_ctl(crew->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0) return;
    CHECK(errno == EEXIST);
    CHECK(epoll_ctl(crew->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0);
}

/* Workers are pinned, helpers run where the supervisor may. */
static void crew_find_cpus(const struct eng_crew *crew, struct eng_nursery *given)
{
    given->moves = crew->ctx->worker->place->core >= 0 &&
                   sched_getaffinity(getppid(), sizeof given->cpus, &given->cpus) == 0;
}

static int crew_fork_nursery(struct eng_crew *crew)
{
    struct eng_nursery given = {.ctx = crew->ctx, .helpers_max = crew->helpers_max};
    int ends[2];

    crew->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (crew->epoll_fd < 0) return -errno;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return -errno;
    crew->fd = ends[0];
    given.fd = ends[1];
    given.worker_fds[0] = ends[0];
    given.worker_fds[1] = crew->epoll_fd;
    crew_find_cpus(crew, &given);
    fflush(NULL); /* or the helpers would write it a second time */
    int result = shm_spawn(&crew->nursery, eng_nursery_main, &given);
    close(ends[1]);
    if (result < 0) return result;
    crew_watch(crew, crew->fd, CREW_IS_NURSERY, EPOLLIN);
    crew_watch(crew, crew->nursery.pidfd, CREW_IS_DEATH, EPOLLIN);
    return 0;
}

struct eng_crew *eng_crew_open(pen_context *ctx, uint32_t helpers_max, uint64_t timeout_ns)
{
    struct eng_crew *crew = calloc(1, sizeof *crew);

    CHECK(crew != NULL);
    CHECK(helpers_max > 0);
    CHECK(helpers_max <= ENG_IN_FLIGHT_MAX);
    *crew = (struct eng_crew){
        .ctx = ctx,
        .nursery = {0, -1},
        .fd = -1,
        .epoll_fd = -1,
        .helpers_max = helpers_max,
        .timeout_ns = timeout_ns,
        .due_ns = UINT64_MAX,
        .helpers = calloc(helpers_max, sizeof *crew->helpers),
        .idle = calloc(helpers_max, sizeof *crew->idle),
        .none = calloc(helpers_max, sizeof *crew->none),
    };
    CHECK(crew->helpers != NULL);
    CHECK(crew->idle != NULL);
    CHECK(crew->none != NULL);
    for (uint32_t i = helpers_max; i-- > 0;) {
        crew->helpers[i].fd = -1;
        crew->none[crew->none_count++] = i;
    }
    crew_raise_fds(helpers_max);
    int result = crew_fork_nursery(crew);
    if (result == 0) return crew;
    eng_context_fail(ctx, "cannot start its helper processes: %s", strerror(-result));
    eng_crew_close(crew);
    return NULL;
}

static void crew_end_nursery(struct eng_crew *crew)
{
    const struct eng_nursery_word word = {.verb = ENG_NURSERY_EXIT};
    struct shm_ending ending;

    if (crew->nursery.pid == 0) return;
    eng_nursery_send(crew->fd, &word, -1, MSG_DONTWAIT);
    if (shm_process_wait(&crew->nursery, &ending, shm_clock_ns() + CREW_END_NS)) return;
    shm_process_kill(&crew->nursery, SIGKILL); /* and the kernel its helpers */
    shm_process_wait(&crew->nursery, &ending, SHM_CLOCK_NEVER);
}

void eng_crew_close(struct eng_crew *crew)
{
    if (!crew) return;
    crew_end_nursery(crew);
    for (uint32_t i = 0; i < crew->helpers_max; i++) {
        if (crew->helpers[i].fd >= 0) close(crew->helpers[i].fd);
        eng_text_out_close(&crew->helpers[i].heard);
    }
    if (crew->fd >= 0) close(crew->fd);
    if (crew->epoll_fd >= 0) close(crew->epoll_fd);
    free(crew->helpers);
    free(crew->idle);
    free(crew->none);
    free(crew);
}

/* ---- Giving ---------------------------------------------------------------------------------- */

static void crew_set_idle(struct eng_crew *crew, uint32_t number)
{
    struct crew_helper *helper = &crew->helpers[number];

    if (crew->ending) {
        helper->state = CREW_CLOSING;
        shutdown(helper->fd, SHUT_WR);
        return;
    }
    helper->state = CREW_IDLE;
    crew->idle[crew->idle_count++] = number;
}

/* As much of the request as goes. Where the helper has gone, the nursery will say so. */
static void crew_send(struct eng_crew *crew, uint32_t number)
{
    struct crew_helper *helper = &crew->helpers[number];
    const char *bytes = (const char *)&helper->entry->ask;
    uint32_t whole_bytes = helper->entry->ask.size_bytes;

    while (helper->sent_bytes < whole_bytes) {
        ssize_t sent = send(helper->fd, bytes + helper->sent_bytes,
                            whole_bytes - helper->sent_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) {
            if (!helper->is_stuck) crew_watch(crew, helper->fd, number, EPOLLIN | EPOLLOUT);
            helper->is_stuck = true;
            return;
        }
        if (sent < 0) break;
        helper->sent_bytes += (uint32_t)sent;
    }
    if (helper->is_stuck) crew_watch(crew, helper->fd, number, EPOLLIN);
    helper->is_stuck = false;
}

static void crew_ask_for_more(struct eng_crew *crew, uint32_t wanted)
{
    while (crew->coming_count < wanted && crew->none_count > 0) {
        uint32_t number = crew->none[crew->none_count - 1];
        const struct eng_nursery_word word = {.verb = ENG_NURSERY_SPAWN, .helper = number};
        if (eng_nursery_send(crew->fd, &word, -1, MSG_DONTWAIT) < 0) return; /* full, for now */
        crew->none_count--;
        crew->coming_count++;
        crew->helpers[number].state = CREW_UNBORN;
    }
}

bool eng_crew_give(struct eng_crew *crew, struct eng_async_entry *entry, uint32_t waiting)
{
    CHECK(!crew->ending);
    if (crew->idle_count == 0) {
        crew_ask_for_more(crew, waiting);
        return false;
    }
    uint32_t number = crew->idle[--crew->idle_count];
    struct crew_helper *helper = &crew->helpers[number];
    CHECK(helper->state == CREW_IDLE);
    CHECK(helper->heard.size_bytes == 0);
    helper->state = CREW_BUSY;
    helper->entry = entry;
    helper->sent_bytes = 0;
    helper->deadline_ns = UINT64_MAX;
    if (crew->timeout_ns > 0) {
        helper->deadline_ns = shm_clock_ns() + crew->timeout_ns;
        if (helper->deadline_ns < crew->due_ns) crew->due_ns = helper->deadline_ns;
        eng_worker_wake_at(crew->ctx->worker, crew->due_ns);
    }
    crew_send(crew, number);
    return true;
}

/* ---- Hearing --------------------------------------------------------------------------------- */

static void crew_on_done(struct eng_crew *crew, uint32_t number)
{
    struct crew_helper *helper = &crew->helpers[number];
    struct eng_async_entry *entry = helper->entry;
    struct eng_text_out result = helper->heard;

    helper->heard = (struct eng_text_out){0};
    helper->looked_at = 0;
    helper->entry = NULL;
    crew_set_idle(crew, number);
    eng_async_done(crew->ctx, entry, &result);
}

/* Looks at frames that have come whole. False: it is none that a helper writes, so its memory has
 * been written over. */
static bool crew_look(struct eng_crew *crew, uint32_t number)
{
    struct crew_helper *helper = &crew->helpers[number];
    struct eng_async_frame frame;

    while (helper->heard.size_bytes - helper->looked_at >= sizeof frame) {
        const char *at = helper->heard.bytes + helper->looked_at;
        memcpy(&frame, at, sizeof frame);
        if (frame.size_bytes < sizeof frame || frame.size_bytes % 8 != 0) return false;
        if (helper->heard.size_bytes - helper->looked_at < frame.size_bytes) break;
        helper->looked_at += frame.size_bytes;
        switch (frame.kind) {
        case ENG_ASYNC_EMIT:
            if (frame.number >= crew->ctx->output_count) return false;
            break;
        case ENG_ASYNC_REJECT:
        case ENG_ASYNC_COUNT:
            break;
        case ENG_ASYNC_READY:
            if (helper->state != CREW_OPENING) return false;
            crew->coming_count--;
            eng_async_count(crew->ctx, &helper->heard);
            eng_text_out_clear(&helper->heard);
            helper->looked_at = 0;
            crew_set_idle(crew, number);
            break;
        case ENG_ASYNC_DONE:
            if (helper->state == CREW_DOOMED) break; /* the record is somebody else's by now */
            if (helper->state != CREW_BUSY) return false;
            if (helper->looked_at != helper->heard.size_bytes) return false;
            crew_on_done(crew, number);
            break;
        case ENG_ASYNC_FAIL:
            eng_context_fail(crew->ctx, "%.*s", (int)(frame.size_bytes - sizeof frame),
                             at + sizeof frame);
            break;
        default:
            return false;
        }
    }
    return true;
}

/* Its end of the socket is closed: it has ended, or has lost the way to us, which is as good. The
 * nursery will tell; how it has ended stays as it is. */
static void crew_on_silence(struct eng_crew *crew, uint32_t number)
{
    const struct eng_nursery_word word = {.verb = ENG_NURSERY_KILL, .helper = number};

    if (eng_nursery_send(crew->fd, &word, -1, MSG_DONTWAIT) < 0) return; /* the next turn sees it */
    CHECK(epoll_ctl(crew->epoll_fd, EPOLL_CTL_DEL, crew->helpers[number].fd, NULL) == 0);
}

/* Reads all that has come. False: nothing more will. */
static bool crew_hear(struct eng_crew *crew, uint32_t number)
{
    struct crew_helper *helper = &crew->helpers[number];

    while (!eng_context_has_failed(crew->ctx)) {
        char *to = eng_text_out_reserve(&helper->heard, CREW_READ_BYTES);
        size_t room_bytes = helper->heard.capacity_bytes - helper->heard.size_bytes;
        ssize_t received = recv(helper->fd, to, room_bytes, MSG_DONTWAIT);
        if (received < 0 && errno == EINTR) continue;
        if (received < 0 && errno == EAGAIN) return true;
        if (received <= 0) return false;
        helper->heard.size_bytes += (size_t)received;
        if (!crew_look(crew, number)) {
            eng_context_fail(crew->ctx,
                             "helper %u says what no helper says: its function has "
                             "written over memory that is not its own",
                             number);
            return true;
        }
        if ((size_t)received < room_bytes) return true;
    }
    return true;
}

/* ---- The nursery's news ---------------------------------------------------------------------- */

static void crew_on_born(struct eng_crew *crew, uint32_t number, int fd)
{
    struct crew_helper *helper = &crew->helpers[number];

    CHECK(helper->state == CREW_UNBORN);
    helper->state = CREW_OPENING;
    helper->fd = fd;
    if (fd < 0)
        eng_context_fail(crew->ctx,
                         "there is no descriptor left for helper process %u of %u: raise the limit "
                         "of open files (ulimit -n), or say a smaller .in_flight",
                         number + 1, crew->helpers_max);
    else
        crew_watch(crew, fd, number, EPOLLIN);
}

static void crew_on_barren(struct eng_crew *crew, uint32_t number, int error)
{
    CHECK(crew->helpers[number].state == CREW_UNBORN);
    crew->coming_count--;
    crew->helpers[number].state = CREW_NONE;
    crew->none[crew->none_count++] = number;
    eng_context_fail(crew->ctx,
                     "cannot start helper process %u of %u: %s. Say a smaller .in_flight, or raise "
                     "the limits of processes, open files and memory",
                     number + 1, crew->helpers_max, strerror(error));
}

static void crew_on_dead(struct eng_crew *crew, uint32_t number, const struct shm_ending *ending)
{
    struct crew_helper *helper = &crew->helpers[number];
    char text[64];

    CHECK(helper->state >= CREW_OPENING);
    while (helper->fd >= 0 && crew_hear(crew, number) && !eng_context_has_failed(crew->ctx)) {
        /* what it said before */
    }
    enum crew_state was = helper->state;
    struct eng_async_entry *entry = helper->entry;
    if (was == CREW_OPENING) crew->coming_count--;
    if (was == CREW_CLOSING) eng_async_count(crew->ctx, &helper->heard);
    if (was == CREW_IDLE) {
        uint32_t at = 0;
        while (crew->idle[at] != number)
            at++;
        crew->idle[at] = crew->idle[--crew->idle_count];
    }
    if (helper->fd >= 0) close(helper->fd); /* leaves the epoll, too: nobody else has it */
    eng_text_out_close(&helper->heard);
    *helper = (struct crew_helper){.state = CREW_NONE, .fd = -1};
    crew->none[crew->none_count++] = number;
    if (eng_context_has_failed(crew->ctx)) return;
    shm_ending_text(ending, text, sizeof text);
    if (was == CREW_OPENING)
        eng_context_fail(crew->ctx, "a helper process %s in open", text);
    else if (was == CREW_CLOSING && (ending->signal != 0 || ending->status != 0))
        eng_context_fail(crew->ctx, "a helper process %s in close", text);
    else if (was == CREW_BUSY)
        eng_async_lost(crew->ctx, entry, ending);
}

/* Returns how many messages there were. */
static unsigned crew_hear_nursery(struct eng_crew *crew)
{
    struct eng_nursery_word word;
    unsigned count = 0;
    int fd;

    while (eng_nursery_receive(crew->fd, &word, &fd, MSG_DONTWAIT) > 0) {
        const struct shm_ending ending = {.status = word.status, .signal = word.signal};
        CHECK(word.helper < crew->helpers_max);
        count++;
        if (word.verb == ENG_NURSERY_BORN)
            crew_on_born(crew, word.helper, fd);
        else if (word.verb == ENG_NURSERY_BARREN)
            crew_on_barren(crew, word.helper, word.status);
        else if (word.verb == ENG_NURSERY_DEAD)
            crew_on_dead(crew, word.helper, &ending);
        else
            CHECK(false);
    }
    return count;
}

static void crew_on_nursery_death(struct eng_crew *crew)
{
    struct shm_ending ending;
    char text[64];

    if (!shm_process_reap(&crew->nursery, &ending)) return;
    crew->gone = true;
    if (!crew->told_to_exit || ending.signal != 0 || ending.status != 0)
        eng_context_fail(crew->ctx, "the process that makes its helpers %s",
                         shm_ending_text(&ending, text, sizeof text));
}

/* ---- The end -----------------------------------------------------------------------------------
 */

static void crew_see_to_the_end(struct eng_crew *crew)
{
    const struct eng_nursery_word word = {.verb = ENG_NURSERY_EXIT};

    if (!crew->ending || crew->told_to_exit) return;
    if (crew->none_count < crew->helpers_max) return;
    crew->told_to_exit = eng_nursery_send(crew->fd, &word, -1, MSG_DONTWAIT) == 0;
}

void eng_crew_end(struct eng_crew *crew)
{
    if (crew->ending) return;
    crew->ending = true;
    while (crew->idle_count > 0) {
        uint32_t number = crew->idle[--crew->idle_count];
        CHECK(crew->helpers[number].state == CREW_IDLE);
        crew_set_idle(crew, number);
    }
    crew_see_to_the_end(crew);
}

bool eng_crew_is_gone(const struct eng_crew *crew)
{
    return crew->gone;
}

/* ---- A turn ---------------------------------------------------------------------------------- */

static void crew_see_to_deadlines(struct eng_crew *crew)
{
    uint64_t now_ns = shm_clock_ns();

    if (now_ns < crew->due_ns) return;
    crew->due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < crew->helpers_max; i++) {
        struct crew_helper *helper = &crew->helpers[i];
        const struct eng_nursery_word word = {.verb = ENG_NURSERY_KILL, .helper = i};
        if (helper->state != CREW_BUSY) continue;
        if (helper->deadline_ns <= now_ns &&
            eng_nursery_send(crew->fd, &word, -1, MSG_DONTWAIT) == 0) {
            struct eng_async_entry *entry = helper->entry;
            helper->state = CREW_DOOMED;
            helper->entry = NULL;
            eng_async_lost(crew->ctx, entry, NULL);
            continue;
        }
        if (helper->deadline_ns < crew->due_ns) crew->due_ns = helper->deadline_ns;
    }
}

unsigned eng_crew_step(struct eng_crew *crew)
{
    struct epoll_event events[CREW_EVENTS_MAX];
    bool nursery_speaks = false, nursery_died = false;
    unsigned work = 0;

    if (crew->gone || eng_context_has_failed(crew->ctx)) return 0;
    int count = epoll_wait(crew->epoll_fd, events, CREW_EVENTS_MAX, 0);
    CHECK(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++) {
        uint32_t number = events[i].data.u32;
        nursery_speaks |= number == CREW_IS_NURSERY;
        nursery_died |= number == CREW_IS_DEATH;
        if (number >= crew->helpers_max) continue;
        if (crew->helpers[number].is_stuck && crew->helpers[number].state == CREW_BUSY)
            crew_send(crew, number);
        if (!crew_hear(crew, number)) crew_on_silence(crew, number);
        work++;
    }
    /* After the helpers: an event of this turn may be about one that is dead by now. */
    if (nursery_speaks || nursery_died) work += crew_hear_nursery(crew);
    if (nursery_died) crew_on_nursery_death(crew);
    if (crew->gone || eng_context_has_failed(crew->ctx)) return work + 1;
    crew_see_to_deadlines(crew);
    crew_see_to_the_end(crew);
    eng_worker_wake_on(crew->ctx->worker, crew->epoll_fd, POLLIN);
    if (crew->due_ns != UINT64_MAX) eng_worker_wake_at(crew->ctx->worker, crew->due_ns);
    return work;
}
