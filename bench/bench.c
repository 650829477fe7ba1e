#include "bench/bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define BENCH_HUGE_BYTES ((size_t)2 << 20)

_Noreturn static void bench_fail(const char *what, const char *detail)
{
    fprintf(stderr, "bench: %s: %s\n", what, detail);
    exit(2);
}

uint64_t bench_number(int argc, char **argv, const char *name, uint64_t fallback)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) != 0 || strcmp(argv[i] + 2, name) != 0) continue;
        char *end = argv[i + 1];
        errno = 0;
        uint64_t number = strtoull(argv[i + 1], &end, 10);
        if (end == argv[i + 1] || *end != 0 || errno != 0) bench_fail(argv[i], "needs a number");
        return number;
    }
    return fallback;
}

void bench_arguments(int argc, char **argv, const char *const *names)
{
    for (int i = 1; i < argc; i += 2) {
        bool known = false;
        for (uint32_t n = 0; names[n]; n++)
            known = known || (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, names[n]) == 0);
        if (!known) bench_fail(argv[i], "is not an argument of this program");
        if (i + 1 == argc) bench_fail(argv[i], "needs a number");
    }
}

/* The cores this program was given, before it pinned itself to one of them. */
static cpu_set_t bench_cores;

void bench_pin(uint32_t index)
{
    if (CPU_COUNT(&bench_cores) == 0 && sched_getaffinity(0, sizeof bench_cores, &bench_cores) != 0)
        bench_fail("affinity", strerror(errno));
    uint32_t wanted = index % (uint32_t)CPU_COUNT(&bench_cores);
    for (size_t core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET(core, &bench_cores) || wanted-- != 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(core, &one);
        if (sched_setaffinity(0, sizeof one, &one) != 0) bench_fail("pinning", strerror(errno));
        return;
    }
}

static size_t bench_round_up(size_t size_bytes)
{
    return (size_bytes + BENCH_HUGE_BYTES - 1) & ~(BENCH_HUGE_BYTES - 1);
}

/* Reserves one huge page more than needed, and begins where one begins. */
static void *bench_map(size_t size_bytes, bool huge, int flags)
{
    size_t bytes = bench_round_up(size_bytes);
    char *reserved = mmap(NULL, bytes + BENCH_HUGE_BYTES, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) bench_fail("memory", strerror(errno));
    char *memory = (char *)bench_round_up((size_t)(uintptr_t)reserved);
    if (memory > reserved) munmap(reserved, (size_t)(memory - reserved));
    munmap(memory + bytes, BENCH_HUGE_BYTES - (size_t)(memory - reserved));
    if (mmap(memory, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
        (void *)memory)
        bench_fail("memory", strerror(errno));
    if (huge) madvise(memory, bytes, MADV_HUGEPAGE); /* refused: then without */
    for (size_t at = 0; at < bytes; at += 4096)
        *(volatile char *)(memory + at) = 0;
    return memory;
}

void *bench_map_shared(size_t size_bytes, bool huge)
{
    return bench_map(size_bytes, huge, MAP_SHARED);
}

void *bench_map_private(size_t size_bytes, bool huge)
{
    return bench_map(size_bytes, huge, MAP_PRIVATE);
}

void bench_unmap(void *memory, size_t size_bytes)
{
    munmap(memory, bench_round_up(size_bytes));
}

void bench_gate_pass(struct bench_gate *gate, uint64_t count)
{
    shm_add(&gate->arrived, 1);
    while (shm_load_acquire(&gate->arrived) < count) {
    }
}

pid_t bench_start(uint32_t core, void (*body)(void *arg), void *arg)
{
    pid_t parent = getpid();
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) bench_fail("fork", strerror(errno));
    if (child > 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    bench_pin(core);
    body(arg);
    _exit(0);
}

void bench_join(pid_t child)
{
    int status = 0;
    if (waitpid(child, &status, 0) != child) bench_fail("waitpid", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) bench_fail("a process", "has failed");
}

void bench_add(struct bench_samples *samples, double value)
{
    CHECK(samples->count < BENCH_ROUNDS_MAX);
    samples->values[samples->count++] = value;
}

static int bench_compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static struct bench_samples bench_sorted(const struct bench_samples *samples)
{
    struct bench_samples sorted = *samples;
    CHECK(sorted.count > 0);
    qsort(sorted.values, sorted.count, sizeof sorted.values[0], bench_compare);
    return sorted;
}

double bench_median(const struct bench_samples *samples)
{
    struct bench_samples sorted = bench_sorted(samples);
    uint32_t half = sorted.count / 2;
    return sorted.count % 2 ? sorted.values[half]
                            : (sorted.values[half - 1] + sorted.values[half]) / 2;
}

double bench_min(const struct bench_samples *samples)
{
    return bench_sorted(samples).values[0];
}

double bench_max(const struct bench_samples *samples)
{
    return bench_sorted(samples).values[samples->count - 1];
}

void bench_print_samples(const char *name, const struct bench_samples *samples)
{
    printf("\"%s\":{\"median\":%.4f,\"min\":%.4f,\"max\":%.4f}", name, bench_median(samples),
           bench_min(samples), bench_max(samples));
}
