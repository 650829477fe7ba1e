#include "engine/control/summary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/control/figure.h"
#include "engine/control/tally.h"
#include "shm/counter.h"

enum { SUMMARY_TITLE_COLUMNS = 32, SUMMARY_TEXT_BYTES_MAX = 4096 };

static const char *const summary_words[] = {
    [ENG_OUTCOME_ENDED] = "ended",     [ENG_OUTCOME_STOPPED] = "stopped",
    [ENG_OUTCOME_DRAINED] = "drained", [ENG_OUTCOME_FAILED] = "failed",
    [ENG_OUTCOME_KILLED] = "killed",
};

static const char *summary_title(const struct eng_summary *summary, uint32_t node)
{
    return summary->nodes ? summary->nodes[node]->title
                          : eng_board_node(summary->board, node)->title;
}

static const char *summary_id(const struct eng_summary *summary, uint32_t node)
{
    if (summary->nodes && summary->nodes[node]->id) return summary->nodes[node]->id;
    return eng_board_node(summary->board, node)->id;
}

static double summary_per_second(uint64_t count, uint64_t ns)
{
    return ns > 0 ? (double)count * 1e9 / (double)ns : 0;
}

/* ---- For people ------------------------------------------------------------------------------ */

static void summary_print_counters(const struct eng_summary *summary, uint32_t node,
                                   const struct eng_tally_node *tally, FILE *out)
{
    char text[ENG_FIGURE_BYTES];

    if (!summary->nodes || summary->nodes[node]->counter_count == 0) return;
    fprintf(out, "  %*s", SUMMARY_TITLE_COLUMNS, "");
    for (uint32_t c = 0; c < summary->nodes[node]->counter_count; c++)
        fprintf(out, "  %s %s", summary->nodes[node]->counters[c],
                eng_figure_count(text, tally->counters[c]));
    fputc('\n', out);
}

void eng_summary_print(const struct eng_summary *summary, FILE *out)
{
    const struct eng_board *board = summary->board;
    struct eng_tally_job job = eng_tally_job(board);
    char a[ENG_FIGURE_BYTES], b[ENG_FIGURE_BYTES], c[ENG_FIGURE_BYTES], d[ENG_FIGURE_BYTES];

    fprintf(out, "%s %s after %s, %s of it running: %s records, %s\n", board->job,
            summary_words[summary->outcome], eng_figure_duration(a, summary->total_ns),
            eng_figure_duration(b, summary->running_ns), eng_figure_count(c, job.records),
            eng_figure_rate(d, summary_per_second(job.records, summary->running_ns)));
    fprintf(out, "  %u worker%s, %s of CPU, %s of memory at most", board->counts.workers,
            board->counts.workers == 1 ? "" : "s", eng_figure_duration(a, summary->cpu_ns),
            eng_figure_bytes(b, summary->memory_peak_bytes));
    if (job.rejected > 0) fprintf(out, ", %s bad records", eng_figure_count(c, job.rejected));
    fprintf(out, "\n  %-*s %15s %15s %10s\n", SUMMARY_TITLE_COLUMNS, "operator", "in", "out",
            "bad");
    for (uint32_t n = 0; n < board->counts.nodes; n++) {
        const struct eng_board_node *shown = eng_board_node(board, n);
        struct eng_tally_node tally = eng_tally_node(board, n);
        fprintf(out, "  %-*s %15s %15s %10s\n", SUMMARY_TITLE_COLUMNS, summary_title(summary, n),
                shown->is_source ? "-" : eng_figure_count(a, tally.records_in),
                shown->is_sink ? "-" : eng_figure_count(b, tally.records_out),
                tally.rejected ? eng_figure_count(c, tally.rejected) : "-");
        summary_print_counters(summary, n, &tally, out);
    }
}

/* ---- For programs ---------------------------------------------------------------------------- */

static void summary_text(FILE *out, const char *name, const char *text)
{
    fprintf(out, "\"%s\":", name);
    if (text)
        eng_figure_json(out, text, SUMMARY_TEXT_BYTES_MAX);
    else
        fputs("null", out);
}

static void summary_number(FILE *out, const char *name, uint64_t number)
{
    fprintf(out, ",\"%s\":%llu", name, (unsigned long long)number);
}

static void summary_seconds(FILE *out, const char *name, uint64_t ns)
{
    fprintf(out, ",\"%s\":%llu.%09llu", name, (unsigned long long)(ns / 1000000000),
            (unsigned long long)(ns % 1000000000));
}

static void summary_operator(const struct eng_summary *summary, uint32_t n, FILE *out)
{
    struct eng_tally_node tally = eng_tally_node(summary->board, n);

    fputs("{", out);
    summary_text(out, "id", summary_id(summary, n));
    fputs(",", out);
    summary_text(out, "title", summary_title(summary, n));
    summary_number(out, "parallelism", eng_board_node(summary->board, n)->parallelism);
    summary_number(out, "records_in", tally.records_in);
    summary_number(out, "records_out", tally.records_out);
    summary_number(out, "rejected", tally.rejected);
    summary_number(out, "bytes_in", tally.bytes_in);
    summary_number(out, "state_bytes", tally.state_bytes);
    summary_number(out, "keys", tally.keys);
    fputs(",\"counters\":{", out);
    uint32_t count = summary->nodes ? summary->nodes[n]->counter_count : 0;
    for (uint32_t c = 0; c < count; c++) {
        if (c > 0) fputs(",", out);
        eng_figure_json(out, summary->nodes[n]->counters[c], SUMMARY_TEXT_BYTES_MAX);
        fprintf(out, ":%llu", (unsigned long long)tally.counters[c]);
    }
    fputs("}}", out);
}

static void summary_worker(const struct eng_summary *summary, uint32_t w, FILE *out)
{
    const struct eng_board *board = summary->board;
    const struct eng_board_worker *worker = eng_board_worker(board, w);
    uint64_t records_in = 0, records_out = 0;

    for (uint32_t s = 0; s < board->counts.subtasks; s++) {
        const struct eng_board_subtask *subtask = eng_board_subtask(board, s);
        if (subtask->worker != w) continue;
        records_in += shm_counter_get(&subtask->records_in);
        records_out += shm_counter_get(&subtask->records_out);
    }
    fprintf(out, "{\"worker\":%u,\"core\":%d", w, worker->core);
    summary_number(out, "records_in", records_in);
    summary_number(out, "records_out", records_out);
    summary_number(out, "steps", shm_counter_get(&worker->steps));
    summary_number(out, "steps_idle", shm_counter_get(&worker->steps_idle));
    summary_number(out, "parks", shm_counter_get(&worker->parks));
    summary_seconds(out, "busy_seconds", shm_counter_get(&worker->busy_ns));
    summary_seconds(out, "blocked_seconds", shm_counter_get(&worker->blocked_ns));
    summary_seconds(out, "idle_seconds", shm_counter_get(&worker->idle_ns));
    summary_seconds(out, "cpu_seconds", shm_counter_get(&worker->slot.cpu_ns));
    summary_number(out, "memory_peak_bytes",
                   summary->worker_peak_bytes ? summary->worker_peak_bytes[w] : 0);
    fputs("}", out);
}

void eng_summary_write_json(const struct eng_summary *summary, FILE *out)
{
    const struct eng_board *board = summary->board;
    struct eng_tally_job job = eng_tally_job(board);

    fputs("{", out);
    summary_text(out, "job", board->job);
    fputs(",", out);
    summary_text(out, "run", summary->run);
    fputs(",", out);
    summary_text(out, "outcome", summary_words[summary->outcome]);
    fprintf(out, ",\"exit_status\":%d,", summary->exit_status);
    summary_text(out, "failure", summary->failure);
    summary_seconds(out, "seconds_running", summary->running_ns);
    summary_seconds(out, "seconds_total", summary->total_ns);
    summary_seconds(out, "cpu_seconds", summary->cpu_ns);
    summary_number(out, "peak_memory_bytes", summary->memory_peak_bytes);
    summary_number(out, "records", job.records);
    fprintf(out, ",\"records_per_second\":%.3f",
            summary_per_second(job.records, summary->running_ns));
    summary_number(out, "rejected", job.rejected);
    fputs(",\n\"operators\":[", out);
    for (uint32_t n = 0; n < board->counts.nodes; n++) {
        fputs(n > 0 ? ",\n" : "\n", out);
        summary_operator(summary, n, out);
    }
    fputs("],\n\"workers\":[", out);
    for (uint32_t w = 0; w < board->counts.workers; w++) {
        fputs(w > 0 ? ",\n" : "\n", out);
        summary_worker(summary, w, out);
    }
    fputs("]}\n", out);
}

/* ---- The file -------------------------------------------------------------------------------- */

int eng_summary_file_open(struct eng_summary_file *file, const char *path)
{
    struct stat stat_now;
    int fd;

    *file = (struct eng_summary_file){0};
    bool exists = stat(path, &stat_now) == 0;
    if (exists && S_ISDIR(stat_now.st_mode)) return -EISDIR;
    if (exists && !S_ISREG(stat_now.st_mode)) { /* a pipe, /dev/stdout: nothing to rename */
        fd = open(path, O_WRONLY | O_CLOEXEC);
    } else {
        if (exists && access(path, W_OK) != 0) return -errno;
        CHECK(asprintf(&file->temporary, "%s.%d.tmp", path, (int)getpid()) > 0);
        fd = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    }
    if (fd < 0) {
        int result = -errno;
        free(file->temporary);
        *file = (struct eng_summary_file){0};
        return result;
    }
    if (file->temporary) file->path = strdup(path);
    file->out = fdopen(fd, "w");
    CHECK(file->out != NULL);
    return 0;
}

int eng_summary_file_finish(struct eng_summary_file *file, const struct eng_summary *summary)
{
    int result = 0;

    CHECK(file->out != NULL);
    eng_summary_write_json(summary, file->out);
    if (ferror(file->out)) result = -EIO;
    if (fclose(file->out) != 0) result = -errno;
    file->out = NULL;
    if (result == 0 && file->path && rename(file->temporary, file->path) != 0) result = -errno;
    if (result == 0) { /* it has gone to its place */
        free(file->temporary);
        file->temporary = NULL;
    }
    eng_summary_file_drop(file);
    return result;
}

void eng_summary_file_drop(struct eng_summary_file *file)
{
    if (file->out) fclose(file->out);
    if (file->temporary) unlink(file->temporary);
    free(file->temporary);
    free(file->path);
    *file = (struct eng_summary_file){0};
}
