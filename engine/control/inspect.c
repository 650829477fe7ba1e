#include "engine/control/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/clock.h"
#include "shm/proc.h"
#include "shm/spawn.h"

/* ---- Finding --------------------------------------------------------------------------------- */

struct inspect_search {
    const char *job; /* NULL: any */
    long pid;        /* that `job` may be; 0: none */
    struct shm_region_entry best;
    uint32_t matches, live_matches;
    char *list; /* of all there are, for the reason */
    size_t list_bytes, list_used;
};

static bool inspect_visit(const struct shm_region_entry *entry, void *arg)
{
    struct inspect_search *search = arg;

    if (search->list_used < search->list_bytes) {
        int size =
            snprintf(search->list + search->list_used, search->list_bytes - search->list_used,
                     "%s%s (process %d%s)", search->list_used ? ", " : "", entry->job, entry->pid,
                     entry->alive ? "" : ", dead");
        search->list_used += (size_t)size;
    }
    bool matches = !search->job || strcmp(entry->job, search->job) == 0 ||
                   (search->pid > 0 && entry->pid == search->pid);
    if (!matches || !entry->ready) return true;
    if (search->matches == 0 || (entry->alive && search->live_matches == 0)) search->best = *entry;
    search->matches++;
    search->live_matches += entry->alive;
    return true;
}

static int inspect_find(const char *job, struct shm_region_entry *found, char *reason,
                        size_t reason_bytes)
{
    char directory[SHM_REGION_PATH_BYTES], list[512] = "";
    struct inspect_search search = {.job = job, .list = list, .list_bytes = sizeof list};
    int result = shm_region_directory(directory, sizeof directory, reason, reason_bytes);

    if (result < 0) return result;
    if (job) {
        char *end;
        search.pid = strtol(job, &end, 10);
        if (*end) search.pid = 0;
    }
    result = shm_region_list(directory, inspect_visit, &search);
    if (result < 0) {
        snprintf(reason, reason_bytes, "cannot look into %s: %s", directory, strerror(-result));
        return result;
    }
    *found = search.best;
    if (search.matches == 1 || search.live_matches == 1) return 0;
    if (search.matches > 1 && job) return 0; /* only dead ones: the first is as good as any */
    if (search.matches > 1)
        snprintf(reason, reason_bytes, "which job? There are %s", list);
    else if (list[0])
        snprintf(reason, reason_bytes, "there is no job %s in %s. There are %s", job ? job : "",
                 directory, list);
    else
        snprintf(reason, reason_bytes, "no job of yours is running (looked into %s)", directory);
    return -ENOENT;
}

int eng_inspect_open(struct eng_inspect *inspect, const char *job, char *reason,
                     size_t reason_bytes)
{
    struct shm_region_entry entry;
    int result = inspect_find(job, &entry, reason, reason_bytes);

    if (result < 0) return result;
    *inspect = (struct eng_inspect){.root = 0};
    result = shm_region_attach(&inspect->region, entry.path, false, reason, reason_bytes);
    if (result < 0) return result;

    const struct eng_board *board = shm_region_root(&inspect->region, sizeof *board);
    inspect->root = shm_region_header(&inspect->region)->root.bytes;
    if (board && inspect->root % SHM_CACHELINE == 0) {
        inspect->board_bytes = *(const volatile uint64_t *)&board->size_bytes; /* once */
        bool fits =
            inspect->board_bytes >= sizeof *board && inspect->board_bytes % SHM_CACHELINE == 0 &&
            shm_region_at(&inspect->region, (shm_offset){inspect->root}, inspect->board_bytes);
        if (fits) return 0;
    }
    snprintf(reason, reason_bytes, "%s is damaged, or of another version of Penstock", entry.path);
    shm_region_close(&inspect->region);
    return -EPROTO;
}

void eng_inspect_close(struct eng_inspect *inspect)
{
    shm_region_close(&inspect->region);
}

/* ---- Taking ---------------------------------------------------------------------------------- */

static struct eng_snapshot_process inspect_process(const struct shm_slot *slot)
{
    struct eng_snapshot_process process = {.alive = shm_slot_alive(slot)};
    pid_t pid = (pid_t)shm_load_own(&slot->pid);
    char text[1024];

    if (!process.alive) {
        process.cpu_ns = shm_load_own(&slot->cpu_ns); /* the last it said */
        return process;
    }
    if (shm_proc_read(pid, "schedstat", text, sizeof text))
        process.cpu_ns = strtoull(text, NULL, 10);
    if (shm_proc_read(pid, "stat", text, sizeof text)) {
        const char *state = strrchr(text, ')'); /* behind a name that may hold anything */
        if (state && state[1] == ' ') {
            process.stopped = state[2] == 'T' || state[2] == 't';
            if (state[2] == 'Z' || state[2] == 'X') process.alive = false;
        }
    }
    return process;
}

/* Word by word: each is whole, whatever its writer does meanwhile. */
static void inspect_copy(uint64_t *to, const _Atomic uint64_t *from, uint64_t size_bytes)
{
    for (uint64_t i = 0; i < size_bytes / sizeof *to; i++)
        to[i] = shm_load_own(&from[i]);
}

int eng_inspect_take(const struct eng_inspect *inspect, struct eng_snapshot *snapshot)
{
    const struct shm_region_header *header = shm_region_header(&inspect->region);
    const void *live =
        shm_region_at(&inspect->region, (shm_offset){inspect->root}, inspect->board_bytes);

    CHECK(live != NULL);
    *snapshot = (struct eng_snapshot){.taken_ns = shm_clock_ns()};
    snapshot->board = aligned_alloc(SHM_CACHELINE, inspect->board_bytes);
    if (!snapshot->board) return -ENOMEM;
    inspect_copy((uint64_t *)(void *)snapshot->board, live, inspect->board_bytes);
    if (!eng_board_verify(snapshot->board, inspect->board_bytes)) {
        eng_inspect_drop(snapshot);
        return -EPROTO;
    }
    uint32_t workers = snapshot->board->counts.workers;
    snapshot->processes = calloc(workers, sizeof *snapshot->processes);
    if (!snapshot->processes) {
        eng_inspect_drop(snapshot);
        return -ENOMEM;
    }
    for (uint32_t w = 0; w < workers; w++)
        snapshot->processes[w] = inspect_process(&eng_board_worker(snapshot->board, w)->slot);
    snapshot->supervisor = (int)header->owner_pid;
    snapshot->supervisor_alive =
        header->owner_start_ticks != 0 &&
        shm_process_start_ticks((pid_t)header->owner_pid) == header->owner_start_ticks;
    return 0;
}

void eng_inspect_drop(struct eng_snapshot *snapshot)
{
    free(snapshot->board);
    free(snapshot->processes);
    *snapshot = (struct eng_snapshot){.board = NULL};
}
