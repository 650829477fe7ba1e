/* engine/control/summary.h: the figures of a run, when it is over.
 *
 * Made by the supervisor from the board, which is still there, and from what only it knows: times,
 * CPU, memory. Printed for people on standard error, and written for programs as one JSON object:
 *
 *     {"job", "run", "outcome", "exit_status", "failure", "seconds_running", "seconds_total",
 * "cpu_seconds", "peak_memory_bytes", "records", "records_per_second", "rejected", "operators":
 * [{"id", "title", "parallelism", "records_in", "records_out", "rejected", "bytes_in",
 *                     "state_bytes", "keys", "counters": {NAME: N}}],
 *      "workers":   [{"worker", "core", "records_in", "records_out", "steps", "steps_idle",
 * "parks", "busy_seconds", "blocked_seconds", "idle_seconds", "cpu_seconds", "memory_peak_bytes"}]}
 *
 * seconds_running is from the command to run until the last worker has ended; records are those
 * that the sources gave, per second of running.
 *
 * The file appears whole: it is written beside its place under a name of its own and renamed. That
 * it can be written is found out before the job runs, not after an hour of work.
 */
#ifndef ENG_CONTROL_SUMMARY_H
#define ENG_CONTROL_SUMMARY_H

#include <stdio.h>

#include "engine/flow/board.h"
#include "engine/flow/node.h"

enum eng_outcome {
    ENG_OUTCOME_ENDED,   /* all input was processed */
    ENG_OUTCOME_STOPPED, /* somebody asked it to */
    ENG_OUTCOME_DRAINED,
    ENG_OUTCOME_FAILED,
    ENG_OUTCOME_KILLED, /* by a second signal */
};

struct eng_summary {
    const struct eng_board *board;
    struct eng_node *const *nodes; /* for whole titles and names of counters; NULL: the board's */
    const char *run;
    enum eng_outcome outcome;
    int exit_status;
    const char *failure; /* NULL: none */
    uint64_t running_ns, total_ns, cpu_ns;
    uint64_t memory_peak_bytes;        /* of all workers */
    const uint64_t *worker_peak_bytes; /* of each; NULL: unknown */
};

void eng_summary_print(const struct eng_summary *summary, FILE *out);
void eng_summary_write_json(const struct eng_summary *summary, FILE *out);

struct eng_summary_file {
    FILE *out;  /* NULL: not open */
    char *path; /* where it shall appear; NULL: it is no regular file, written directly */
    char *temporary;
};

/* 0 or -errno. */
int eng_summary_file_open(struct eng_summary_file *file, const char *path);
/* Writes, and lets it appear. */
int eng_summary_file_finish(struct eng_summary_file *file, const struct eng_summary *summary);
/* As if it had not been opened. Accepts one that is not open. */
void eng_summary_file_drop(struct eng_summary_file *file);

#endif
