/* Making workers, and what a worker's process does from its first instruction to its last. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "engine/control/assemble.h"
#include "engine/control/supervisor_inside.h"
#include "shm/proc.h"

enum { WORKER_NAME_BYTES = 15 }; /* that the kernel shows of a process */

struct worker_birth {
    struct supervisor *supervisor;
    uint32_t number;
};

/* ---- In the worker's process ----------------------------------------------------------------- */

/* The job's name gives way, the number does not. */
static void worker_set_process_name(const char *job, uint32_t number)
{
    char name[64], tail[16];

    int tail_size = snprintf(tail, sizeof tail, ":w%u", number);
    CHECK(tail_size > 0 && tail_size < (int)sizeof tail);
    snprintf(name, sizeof name, "pen:%.*s%s", WORKER_NAME_BYTES - 4 - tail_size, job, tail);
    prctl(PR_SET_NAME, name);
}

/* A terminal sends its signals to all processes of the job: they are the supervisor's business. Who
 * writes into a pipe that nobody reads shall be told so and not be killed. */
static void worker_set_signals(const struct supervisor *s)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    CHECK(sigprocmask(SIG_SETMASK, &s->mask_before, NULL) == 0);
}

/* When memory runs out a worker shall go rather than the supervisor, which can tell what happened.
 */
static void worker_set_oom(void)
{
    static const char score[] = "300\n";
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd < 0) return;
    if (write(fd, score, sizeof score - 1) < 0) { /* only who is less welcome already is refused */
    }
    close(fd);
}

static void worker_pin(int core)
{
    cpu_set_t set;

    if (core < 0 || core >= CPU_SETSIZE) return;
    CPU_ZERO(&set);
    CPU_SET((size_t)core, &set);
    sched_setaffinity(0, sizeof set, &set); /* a core that has just been taken away: run anywhere */
}

static void worker_prepare(const struct supervisor *s, uint32_t number)
{
    struct eng_board_worker *place = eng_board_worker(s->board, number);
    char role[SHM_SLOT_ROLE_BYTES];

    snprintf(role, sizeof role, "%s %u", place->blocking ? "helper" : "worker", number);
    shm_slot_open(&place->slot, role);
    int result = shm_slot_install_handlers();
    CHECK(result == 0);
    worker_set_process_name(s->draft.name, number);
    worker_set_signals(s);
    worker_set_oom();
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    worker_pin(place->core);
    /* What the job prints shall not be lost when it is killed, nor come in pieces. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    close(s->signal_fd);
}

/* A core to itself makes it worth to wait for work without sleeping. */
static bool worker_may_spin(const struct supervisor *s, uint32_t number)
{
    const struct eng_plan *plan = &s->draft.plan;
    const struct eng_plan_worker *own = &plan->workers[number];

    if (own->blocking || own->core < 0) return false;
    for (uint32_t w = 0; w < plan->worker_count; w++)
        if (w != number && plan->workers[w].core == own->core) return false;
    return true;
}

static void worker_main(void *arg)
{
    const struct worker_birth *birth = arg;
    struct supervisor *s = birth->supervisor;
    struct eng_board_worker *place = eng_board_worker(s->board, birth->number);
    struct eng_worker_settings settings = s->draft.settings;
    struct eng_worker *worker = NULL;

    worker_prepare(s, birth->number);
    settings.spin = worker_may_spin(s, birth->number);
    struct eng_assembly assembly = {
        .plan = &s->draft.plan,
        .settings = &settings,
        .board = s->board,
        .ring_memory_fd = s->ring_memory_fd,
    };
    if (eng_assemble(&worker, &assembly, birth->number, place->failure, sizeof place->failure) <
        0) {
        eng_board_set_state(s->board, birth->number, ENG_WORKER_FAILED);
        shm_process_exit(1);
    }
    if (worker->failed)
        eng_worker_set_state(worker, ENG_WORKER_FAILED);
    else
        eng_worker_run(worker);
    int status = worker->failed ? 1 : 0;
    eng_worker_close(worker);
    fflush(NULL);
    shm_process_exit(status);
}

/* ---- In the supervisor's --------------------------------------------------------------------- */

int eng_supervisor_spawn(struct supervisor *s, uint32_t number)
{
    struct worker_birth birth = {s, number};

    CHECK(number < s->draft.plan.worker_count);
    CHECK(s->workers[number].pid == 0);
    fflush(NULL); /* or the worker would write it a second time */
    return shm_spawn(&s->workers[number], worker_main, &birth);
}

uint64_t eng_supervisor_peak_bytes(const struct shm_process *process)
{
    char text[4096];

    if (process->pid == 0) return 0;
    if (!shm_proc_read(process->pid, "status", text, sizeof text)) return 0;
    const char *line = strstr(text, "\nVmHWM:");
    return line ? strtoull(line + sizeof "\nVmHWM:" - 1, NULL, 10) * 1024 : 0;
}
