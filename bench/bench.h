/* bench/bench.h: what the measuring programs share.
 *
 * A measuring program is small: it takes numbers by name (--records 1000), runs two processes that
 * are pinned to two cores, measures each variant in turn, several rounds of all of them (A B A B
 * ...), and prints one JSON object in one line. bench/run starts it, compares, and makes the table.
 * With --rounds 1 and small numbers it is a test: ctest runs it so, and it fails if what it
 * computed is wrong.
 *
 * Wall time on a machine that also does something else is an upper bound: the best of many rounds
 * says what the machine can do, the median what it did. Both are printed, and never one alone.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/mix.h"
#include "shm/atomic.h"
#include "shm/check.h"

enum { BENCH_ROUNDS_MAX = 101 };

/* The number behind --name; ends the program with a message if it is no number. */
uint64_t bench_number(int argc, char **argv, const char *name, uint64_t fallback);

/* Ends the program with a message for an argument that is in none of `names` (NULL at the end). */
void bench_arguments(int argc, char **argv, const char *const *names);

/* To the index-th core that this program may use, counted from 0 and around. The parent pins
 * itself before it starts others: then they know all cores. */
void bench_pin(uint32_t index);

/* Zeroed memory, shared over fork or private, every page of it present. Rounded up to huge pages
 * if they are wanted. */
void *bench_map_shared(size_t size_bytes, bool huge);
void *bench_map_private(size_t size_bytes, bool huge);
void bench_unmap(void *memory, size_t size_bytes);

/* Two processes start together: each arrives, all leave when the last has arrived. In shared
 * memory, zeroed; one gate is used once. */
struct bench_gate {
    _Alignas(SHM_CACHELINE) _Atomic uint64_t arrived;
};
void bench_gate_pass(struct bench_gate *gate, uint64_t count);

/* Forks; the child is pinned, runs body(arg) and exits; it dies with its parent. */
pid_t bench_start(uint32_t core, void (*body)(void *arg), void *arg);
void bench_join(pid_t child); /* ends the program if the child failed */

struct bench_samples {
    uint32_t count;
    double values[BENCH_ROUNDS_MAX];
};
void bench_add(struct bench_samples *samples, double value);
double bench_median(const struct bench_samples *samples);
double bench_max(const struct bench_samples *samples);
double bench_min(const struct bench_samples *samples);

/* "name":{"median":..,"min":..,"max":..} */
void bench_print_samples(const char *name, const struct bench_samples *samples);

#endif
