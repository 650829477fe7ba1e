#include "shm/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/check.h"
#include "shm/clock.h"
#include "shm/futex.h"
#include "shm/proc.h"

/* The word of shm_process_local() and whose it is: a fork leaves a stranger's word behind. */
static struct {
    pid_t pid;
    void *word;
} spawn_local;

static _Noreturn void spawn_child(pid_t parent, void (*main)(void *arg), void *arg)
{
    /* The parent may have died before the kernel was told to kill us with it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) _exit(EXIT_FAILURE);
    main(arg);
    _exit(0);
}

int shm_spawn(struct shm_process *process, void (*main)(void *arg), void *arg)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) return -errno;
    if (pid == 0) spawn_child(parent, main, arg);

    /* The pid is certainly still this child's: nobody has reaped it. */
    int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0) {
        int result = -errno;
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
        return result;
    }
    *process = (struct shm_process){pid, pidfd};
    return 0;
}

bool shm_process_reap(struct shm_process *process, struct shm_ending *ending)
{
    CHECK(process->pid > 0);
    int status;
    pid_t reaped;
    do
        reaped = waitpid(process->pid, &status, WNOHANG);
    while (reaped < 0 && errno == EINTR);
    if (reaped == 0) return false;
    CHECK(reaped == process->pid); /* a child of ours, reaped by nobody else */

    *ending = (struct shm_ending){.status = -1};
    if (WIFEXITED(status)) {
        ending->status = WEXITSTATUS(status);
    } else {
        ending->signal = WTERMSIG(status);
        ending->core_dumped = WCOREDUMP(status);
    }
    close(process->pidfd);
    *process = (struct shm_process){0, -1};
    return true;
}

bool shm_process_wait(struct shm_process *process, struct shm_ending *ending, uint64_t deadline_ns)
{
    while (!shm_process_reap(process, ending)) {
        struct pollfd fd = {.fd = process->pidfd, .events = POLLIN};
        if (shm_futex_poll(&fd, 1, deadline_ns) == 0) return shm_process_reap(process, ending);
    }
    return true;
}

void shm_process_kill(struct shm_process *process, int signal)
{
    if (process->pid == 0) return;
    CHECK(process->pidfd >= 0);
    if (pidfd_send_signal(process->pidfd, signal, NULL, 0) == 0) return;
    CHECK(errno == ESRCH); /* ended already; children of ours may always be signalled */
}

_Noreturn void shm_process_exit(int status)
{
    _exit(status);
}

_Noreturn void shm_process_abort(const char *text)
{
    /* Whoever reads the slot tells it, with all the rest: once is enough. */
    if (*shm_process_local()) abort();
    /* Two writes at most, without stdio: its lock may be held by what is broken. */
    size_t size = strlen(text);
    if (write(STDERR_FILENO, text, size) == (ssize_t)size && write(STDERR_FILENO, "\n", 1) == 1)
        abort();
    abort();
}

pid_t shm_process_self(void)
{
    return getpid();
}

uint64_t shm_process_start_ticks(pid_t pid)
{
    char text[1024];
    if (pid == 0 || !shm_proc_read(pid, "stat", text, sizeof text)) return 0;

    /* The second field is a name in parentheses that may hold anything; then one space and a field
     * each. The twenty-second is the start, in ticks. */
    const char *at = strrchr(text, ')');
    for (unsigned field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

void **shm_process_local(void)
{
    pid_t self = getpid();
    if (spawn_local.pid != self) {
        spawn_local.word = NULL;
        spawn_local.pid = self;
    }
    return &spawn_local.word;
}
