/* What a run shares with its workers and shows to tools: the region with the board, and the rings.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/control/assemble.h"
#include "engine/control/figure.h"
#include "engine/control/supervisor_inside.h"
#include "engine/flow/memory.h"
#include "shm/clock.h"

enum { MEMORY_REASON_BYTES = 1024, MEMORY_FDS_SPARE = 256 };

struct memory_namesake {
    const char *name;
    int pid; /* 0: there is none */
};

static bool memory_visit(const struct shm_region_entry *entry, void *arg)
{
    struct memory_namesake *namesake = arg;

    if (entry->alive && entry->pid != (int)getpid() && strcmp(entry->job, namesake->name) == 0)
        namesake->pid = entry->pid;
    return namesake->pid == 0;
}

/* Between looking for a job of the same name and making our own region nobody else may do the same:
 * the directory is locked meanwhile. The descriptor, or -1. */
static int memory_lock(struct supervisor *s, char *directory, size_t directory_bytes)
{
    char reason[MEMORY_REASON_BYTES] = "";

    if (shm_region_directory(directory, directory_bytes, reason, sizeof reason) < 0) {
        fprintf(s->err, "%s: %s\n", s->options->program, reason);
        return -1;
    }
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(s->err, "%s: cannot open %s: %s\n", s->options->program, directory,
                strerror(errno));
        return -1;
    }
    while (flock(fd, LOCK_EX) != 0)
        CHECK(errno == EINTR);
    return fd;
}

static bool memory_name_is_free(struct supervisor *s, const char *directory)
{
    struct memory_namesake namesake = {.name = s->draft.name};

    shm_region_list(directory, memory_visit, &namesake);
    if (namesake.pid == 0) return true;
    fprintf(
        s->err,
        "%s: a job named %s runs already, as process %d. Stop that one, or give this one another "
        "name: --name NAME\n",
        s->options->program, s->draft.name, namesake.pid);
    return false;
}

/* Two descriptors for each worker: its bell and its pidfd. The spare ones are for what the job
 * opens. */
static void memory_raise_fds(uint32_t workers)
{
    struct rlimit limit;
    rlim_t wanted = 2 * (rlim_t)workers + MEMORY_FDS_SPARE;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit); /* where it is not enough, making the bells says so */
}

static bool memory_make_region(struct supervisor *s)
{
    const struct eng_plan *plan = &s->draft.plan;
    char reason[MEMORY_REASON_BYTES] = "";
    struct shm_region dry;

    shm_region_dry(&dry);
    shm_region_carve(&dry, plan->board_bytes, SHM_CACHELINE);
    int result =
        shm_region_create(&s->region, s->draft.name, dry.carved_bytes, reason, sizeof reason);
    if (result < 0) {
        fprintf(s->err, "%s: %s\n", s->options->program, reason);
        s->region.base = NULL;
        return false;
    }
    shm_offset root = shm_region_carve(&s->region, plan->board_bytes, SHM_CACHELINE);
    s->board = shm_region_at(&s->region, root, plan->board_bytes);
    CHECK(s->board != NULL);
    memory_raise_fds(plan->worker_count);
    result = eng_assemble_board(s->board, plan, s->draft.name);
    if (result == 0) result = shm_doorbell_init(&s->board->bell, true);
    if (result < 0) {
        fprintf(s->err,
                "%s: cannot make the bells of %u workers: %s. Raise the limit of open files "
                "(ulimit -n), or use fewer workers (--parallelism)\n",
                s->options->program, plan->worker_count, strerror(-result));
        return false;
    }
    CHECK(eng_board_verify(s->board, plan->board_bytes));
    s->board->started_ns = shm_clock_ns();
    s->board->started_us = shm_clock_wall_us();
    shm_region_publish(&s->region, root);
    return true;
}

/* --memory, where it was given: the job's number, of which rings and board are spent already. */
static bool memory_limit(struct supervisor *s)
{
    const struct eng_plan *plan = &s->draft.plan;
    uint64_t limit_bytes = s->options->memory_bytes;
    uint64_t fixed_bytes = plan->ring_memory_bytes + plan->board_bytes;
    uint64_t least_bytes = eng_memory_least(plan->worker_count, fixed_bytes);
    char asked[ENG_FIGURE_BYTES], least[ENG_FIGURE_BYTES], fixed[ENG_FIGURE_BYTES];

    if (limit_bytes == 0) return true;
    if (limit_bytes < least_bytes) {
        fprintf(s->err,
                "%s: --memory %s is too little: %u workers need %s, of which %s are rings. Give "
                "more, or use fewer workers (--parallelism)\n",
                s->options->program, eng_figure_bytes(asked, limit_bytes), plan->worker_count,
                eng_figure_bytes(least, least_bytes), eng_figure_bytes(fixed, fixed_bytes));
        return false;
    }
    eng_memory_share(s->board, limit_bytes, fixed_bytes);
    return true;
}

static bool memory_make_rings(struct supervisor *s)
{
    uint64_t size_bytes = s->draft.plan.ring_memory_bytes;
    char text[ENG_FIGURE_BYTES];

    if (size_bytes == 0) return true;
    s->ring_memory_fd = shm_memory_create(size_bytes);
    if (s->ring_memory_fd >= 0) return true;
    fprintf(
        s->err,
        "%s: there are no %s of memory for the rings between the workers: %s. Use fewer workers: "
        "--parallelism (--dry-run prints what is needed)\n",
        s->options->program, eng_figure_bytes(text, size_bytes), strerror(-s->ring_memory_fd));
    s->ring_memory_fd = -1;
    return false;
}

bool eng_supervisor_share(struct supervisor *s)
{
    char directory[SHM_REGION_PATH_BYTES];
    int lock = memory_lock(s, directory, sizeof directory);

    if (lock < 0) return false;
    shm_region_sweep(directory);
    bool good = memory_name_is_free(s, directory) && memory_make_region(s);
    close(lock);
    return good && memory_limit(s) && memory_make_rings(s);
}

void eng_supervisor_unshare(struct supervisor *s)
{
    if (s->board) {
        for (uint32_t w = 0; w < s->board->counts.workers; w++)
            shm_doorbell_close(&eng_board_worker(s->board, w)->doorbell);
        shm_doorbell_close(&s->board->bell);
    }
    s->board = NULL;
    if (s->region.base) shm_region_remove(&s->region);
    if (s->ring_memory_fd >= 0) close(s->ring_memory_fd);
    s->ring_memory_fd = -1;
}
