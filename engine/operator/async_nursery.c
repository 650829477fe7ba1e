/* What runs in the processes of pen_async: one nursery for each subtask, and its helpers.
 *
 * The nursery forks helpers when the worker asks for them, kills them when it is told to, reaps
 * them and says how they ended. It holds no state and never blocks for long, so it stays as small
 * as the worker was when that opened its operators. A helper opens, answers records one at a time,
 * and closes when its socket is shut down. Both die with their parent (shm/spawn.h): the helpers
 * with the nursery, the nursery with the worker. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/operator/async.h"
#include "shm/clock.h"
#include "shm/futex.h"
#include "shm/spawn.h"

enum { NURSERY_NAME_BYTES = 16 }; /* of a process, as the kernel keeps it, with its NUL */

/* ---- Messages -------------------------------------------------------------------------------- */

union nursery_control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int))];
};

int eng_nursery_send(int fd, const struct eng_nursery_word *word, int carried_fd, int flags)
{
    union nursery_control control = {{0}};
    struct iovec vector = {(void *)(uintptr_t)word, sizeof *word};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    ssize_t sent;

    if (carried_fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof carried_fd);
        memcpy(CMSG_DATA(head), &carried_fd, sizeof carried_fd);
    }
    do
        sent = sendmsg(fd, &message, flags | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

int eng_nursery_receive(int fd, struct eng_nursery_word *word, int *carried_fd, int flags)
{
    union nursery_control control;
    struct iovec vector = {word, sizeof *word};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t received;

    *carried_fd = -1;
    do
        received = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received < 0) return errno == ECONNRESET ? 0 : -errno;
    if (received == 0) return 0;
    CHECK(received == (ssize_t)sizeof *word);
    const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_type == SCM_RIGHTS)
        memcpy(carried_fd, CMSG_DATA(head), sizeof *carried_fd);
    return 1;
}

/* The worker's name and what the process is to it: w0n, w0h3. */
static void nursery_set_name(const char *tail)
{
    char name[NURSERY_NAME_BYTES] = "";
    size_t room = NURSERY_NAME_BYTES - 1 - strlen(tail);

    if (prctl(PR_GET_NAME, name) != 0) return;
    if (strlen(name) > room) name[room] = '\0';
    strcat(name, tail);
    prctl(PR_SET_NAME, name);
}

/* ---- A helper -------------------------------------------------------------------------------- */

struct helper {
    const struct eng_nursery *nursery;
    uint32_t number;
    int fd;
    int others_fd; /* the worker's end */
    struct eng_text_out out;
    char *ask; /* aligned for a frame */
    uint32_t ask_room;
};

/* All of `out`. Where nobody hears it the worker has gone, and this process goes too. */
static void helper_say(struct helper *helper)
{
    size_t at = 0;

    while (at < helper->out.size_bytes) {
        ssize_t sent =
            send(helper->fd, helper->out.bytes + at, helper->out.size_bytes - at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) shm_process_exit(1);
        at += (size_t)sent;
    }
    eng_text_out_clear(&helper->out);
}

static void helper_fail(void *self, const char *why)
{
    struct helper *helper = self;
    size_t size_bytes = strlen(why) + 1;

    memcpy(eng_async_put(&helper->out, ENG_ASYNC_FAIL, 0, size_bytes), why, size_bytes);
    helper_say(helper);
}

/* False: the other side has shut down. */
static bool helper_hear(const struct helper *helper, void *to, size_t size_bytes)
{
    size_t at = 0;

    while (at < size_bytes) {
        ssize_t received = recv(helper->fd, (char *)to + at, size_bytes - at, 0);
        if (received < 0 && errno == EINTR) continue;
        if (received <= 0) return false;
        at += (size_t)received;
    }
    return true;
}

static const struct eng_async_frame *helper_hear_ask(struct helper *helper)
{
    struct eng_async_frame head;

    if (!helper_hear(helper, &head, sizeof head)) return NULL;
    CHECK(head.size_bytes >= sizeof head);
    if (helper->ask_room < head.size_bytes) {
        free(helper->ask);
        helper->ask = malloc(head.size_bytes);
        CHECK(helper->ask != NULL);
        helper->ask_room = head.size_bytes;
    }
    memcpy(helper->ask, &head, sizeof head);
    if (!helper_hear(helper, helper->ask + sizeof head, head.size_bytes - sizeof head)) return NULL;
    return (const struct eng_async_frame *)(const void *)helper->ask;
}

static void helper_main(void *arg)
{
    struct helper *helper = arg;
    const struct eng_async_frame *ask;
    char tail[NURSERY_NAME_BYTES];

    close(helper->others_fd);
    close(helper->nursery->fd);
    snprintf(tail, sizeof tail, "h%u", helper->number);
    nursery_set_name(tail);
    struct eng_async_call *call =
        eng_async_call_open(helper->nursery->ctx, &helper->out, helper_fail, helper);
    eng_async_call_start(call);
    if (!eng_async_call_has_failed(call)) {
        eng_async_put(&helper->out, ENG_ASYNC_READY, 0, 0);
        helper_say(helper);
    }
    while (!eng_async_call_has_failed(call) && (ask = helper_hear_ask(helper))) {
        eng_async_call_run(call, ask);
        if (!eng_async_call_has_failed(call)) helper_say(helper);
    }
    if (!eng_async_call_has_failed(call)) eng_async_call_finish(call);
    if (eng_async_call_has_failed(call)) shm_process_exit(1); /* it has said why */
    helper_say(helper);
    eng_async_call_close(call);
    fflush(NULL);
}

/* ---- The nursery ----------------------------------------------------------------------------- */

struct nursery {
    const struct eng_nursery *given;
    struct shm_process *helpers; /* by number */
    struct pollfd *fds;          /* the worker's first, then each helper's */
    uint32_t alive;
};

/* The worker reads whatever happens; if it is gone, so is everybody. */
static void nursery_tell(const struct nursery *nursery, const struct eng_nursery_word *word,
                         int carried_fd)
{
    if (eng_nursery_send(nursery->given->fd, word, carried_fd, 0) < 0) shm_process_exit(1);
}

static int nursery_fork(struct nursery *nursery, uint32_t number, int *worker_fd)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return -errno;
    struct helper helper = {
        .nursery = nursery->given, .number = number, .fd = ends[1], .others_fd = ends[0]};
    int result = shm_spawn(&nursery->helpers[number], helper_main, &helper);
    close(ends[1]);
    if (result < 0)
        close(ends[0]);
    else
        *worker_fd = ends[0];
    return result;
}

static void nursery_spawn(struct nursery *nursery, uint32_t number)
{
    struct eng_nursery_word word = {.verb = ENG_NURSERY_BORN, .helper = number};
    int worker_fd = -1;

    CHECK(nursery->helpers[number].pid == 0);
    int result = nursery_fork(nursery, number, &worker_fd);
    if (result < 0) {
        word.verb = ENG_NURSERY_BARREN;
        word.status = -result;
        nursery_tell(nursery, &word, -1);
        return;
    }
    nursery->alive++;
    nursery->fds[1 + number].fd = nursery->helpers[number].pidfd;
    nursery_tell(nursery, &word, worker_fd);
    close(worker_fd);
}

static void nursery_kill_all(struct nursery *nursery)
{
    for (uint32_t i = 0; i < nursery->given->helpers_max; i++)
        shm_process_kill(&nursery->helpers[i], SIGKILL);
    for (uint32_t i = 0; i < nursery->given->helpers_max; i++) {
        struct shm_ending ending;
        if (nursery->helpers[i].pid == 0) continue;
        shm_process_wait(&nursery->helpers[i], &ending, SHM_CLOCK_NEVER);
    }
}

/* False: it was told to end. */
static bool nursery_hear(struct nursery *nursery)
{
    struct eng_nursery_word word;
    int carried_fd;
    int result = eng_nursery_receive(nursery->given->fd, &word, &carried_fd, 0);

    if (result <= 0 || word.verb == ENG_NURSERY_EXIT) return false;
    CHECK(word.helper < nursery->given->helpers_max);
    if (word.verb == ENG_NURSERY_SPAWN) nursery_spawn(nursery, word.helper);
    if (word.verb == ENG_NURSERY_KILL)
        shm_process_kill(&nursery->helpers[word.helper], SIGKILL); /* it may have ended already */
    return true;
}

static void nursery_look_at(struct nursery *nursery, uint32_t number)
{
    struct shm_ending ending;

    if (!shm_process_reap(&nursery->helpers[number], &ending)) return;
    CHECK(nursery->alive > 0);
    nursery->alive--;
    nursery->fds[1 + number].fd = -1;
    struct eng_nursery_word word = {.verb = ENG_NURSERY_DEAD,
                                    .helper = number,
                                    .status = ending.status,
                                    .signal = ending.signal};
    nursery_tell(nursery, &word, -1);
}

static void nursery_run(struct nursery *nursery)
{
    uint32_t count = nursery->given->helpers_max;

    for (;;) {
        if (shm_futex_poll(nursery->fds, 1 + count, SHM_CLOCK_NEVER) <= 0) continue;
        for (uint32_t i = 0; i < count; i++)
            if (nursery->fds[1 + i].revents) nursery_look_at(nursery, i);
        if (nursery->fds[0].revents && !nursery_hear(nursery)) return;
    }
}

void eng_nursery_main(void *arg)
{
    const struct eng_nursery *given = arg;
    struct nursery nursery = {.given = given};

    close(given->worker_fds[0]);
    close(given->worker_fds[1]);
    if (given->moves) sched_setaffinity(0, sizeof given->cpus, &given->cpus);
    nursery_set_name("n");
    nursery.helpers = calloc(given->helpers_max, sizeof *nursery.helpers);
    nursery.fds = calloc(1 + given->helpers_max, sizeof *nursery.fds);
    CHECK(nursery.helpers != NULL);
    CHECK(nursery.fds != NULL);
    for (uint32_t i = 0; i <= given->helpers_max; i++)
        nursery.fds[i] = (struct pollfd){.fd = i == 0 ? given->fd : -1, .events = POLLIN};
    nursery_run(&nursery);
    nursery_kill_all(&nursery);
}
