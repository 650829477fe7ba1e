#include "engine/control/view.h"

#include <stdlib.h>

#include "engine/control/autopsy.h"
#include "engine/control/figure.h"
#include "engine/control/tally.h"
#include "engine/flow/node.h"
#include "engine/flow/watermark.h"
#include "shm/counter.h"

enum { VIEW_TITLE_COLUMNS = 30 };

/* ---- What is shown --------------------------------------------------------------------------- */

static double view_share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static double view_rate(uint64_t before, uint64_t now, uint64_t ns)
{
    return ns > 0 && now >= before ? (double)(now - before) * 1e9 / (double)ns : 0;
}

static uint64_t view_since(const _Atomic uint64_t *before, const _Atomic uint64_t *now)
{
    uint64_t from = shm_counter_get(before), to = shm_counter_get(now);
    return to > from ? to - from : 0;
}

struct view_worker {
    const char *state;
    const char *in_operator;         /* title, "" */
    double busy, blocked, idle, cpu; /* per cent */
    double steps;                    /* a second */
    uint64_t heartbeat_ns;           /* how long ago */
    uint64_t in_operator_ns;         /* how long; 0: in none */
};

static const char *view_state(const struct eng_snapshot *now, uint32_t w)
{
    static const char *const words[] = {"starting", "opened", "running", "ended", "failed"};
    const struct eng_board_worker *worker = eng_board_worker(now->board, w);
    uint64_t state = shm_counter_get(&worker->state);

    if (now->processes[w].stopped) return "stopped";
    if (shm_counter_get(&worker->slot.signal) != 0) return "crashed";
    if (!now->processes[w].alive && shm_counter_get(&worker->slot.pid) != 0 &&
        state < ENG_WORKER_ENDED)
        return "gone";
    return state < sizeof words / sizeof *words ? words[state] : "?";
}

static struct view_worker view_worker(const struct eng_snapshot *before,
                                      const struct eng_snapshot *now, uint32_t w)
{
    const struct eng_board_worker *old = eng_board_worker(before->board, w);
    const struct eng_board_worker *worker = eng_board_worker(now->board, w);
    uint64_t ns = now->taken_ns - before->taken_ns;
    uint64_t busy_ns = view_since(&old->busy_ns, &worker->busy_ns);
    uint64_t blocked_ns = view_since(&old->blocked_ns, &worker->blocked_ns);
    uint64_t idle_ns = view_since(&old->idle_ns, &worker->idle_ns);
    uint64_t all_ns = busy_ns + blocked_ns + idle_ns;
    uint64_t heartbeat_ns = shm_counter_get(&worker->slot.heartbeat_ns);
    uint64_t since_ns = shm_counter_get(&worker->slot.since_ns);
    uint64_t operator_id = shm_counter_get(&worker->slot.operator_id);
    bool is_in = shm_counter_get(&worker->slot.pid) != 0 && operator_id < now->board->counts.nodes;
    uint64_t cpu_ns = now->processes[w].cpu_ns - before->processes[w].cpu_ns;

    return (struct view_worker){
        .state = view_state(now, w),
        .in_operator = is_in ? eng_board_node(now->board, (uint32_t)operator_id)->title : "",
        .busy = view_share(busy_ns, all_ns),
        .blocked = view_share(blocked_ns, all_ns),
        .idle = view_share(idle_ns, all_ns),
        .cpu = now->processes[w].cpu_ns > before->processes[w].cpu_ns ? view_share(cpu_ns, ns) : 0,
        .steps = view_rate(shm_counter_get(&old->steps), shm_counter_get(&worker->steps), ns),
        .heartbeat_ns =
            heartbeat_ns > 0 && now->taken_ns > heartbeat_ns ? now->taken_ns - heartbeat_ns : 0,
        .in_operator_ns = is_in && now->taken_ns > since_ns ? now->taken_ns - since_ns : 0,
    };
}

static double view_ring_fill(const struct eng_board_ring *ring)
{
    uint64_t used = shm_counter_get(&ring->ring.tail) - shm_counter_get(&ring->ring.head);
    if (used > ring->ring.capacity_bytes) used = ring->ring.capacity_bytes; /* read in between */
    return view_share(used, ring->ring.capacity_bytes);
}

static const char *view_command(const struct eng_board *board)
{
    static const char *const words[] = {"starting", "running", "stopping", "draining", "ending"};
    uint64_t command = shm_counter_get(&board->command);
    return command < sizeof words / sizeof *words ? words[command] : "?";
}

/* ---- Tables ---------------------------------------------------------------------------------- */

static void view_print_head(const struct eng_snapshot *before, const struct eng_snapshot *now,
                            FILE *out)
{
    const struct eng_board *board = now->board;
    struct eng_tally_job job = eng_tally_job(board), old = eng_tally_job(before->board);
    char a[ENG_FIGURE_BYTES], b[ENG_FIGURE_BYTES], c[ENG_FIGURE_BYTES];

    fprintf(
        out, "%s, process %d, %s for %s: %s records, %s", board->job, now->supervisor,
        now->supervisor_alive ? view_command(board) : "dead, begun",
        eng_figure_duration(a, now->taken_ns - board->started_ns), eng_figure_count(b, job.records),
        eng_figure_rate(c, view_rate(old.records, job.records, now->taken_ns - before->taken_ns)));
    if (eng_tally_is_time(job.watermark_us))
        fprintf(out, ", event time %s", eng_figure_time(a, job.watermark_us));
    if (job.rejected > 0) fprintf(out, ", %s bad records", eng_figure_count(a, job.rejected));
    fputs("\n\n", out);
}

static void view_print_workers(const struct eng_snapshot *before, const struct eng_snapshot *now,
                               FILE *out)
{
    char a[ENG_FIGURE_BYTES], b[ENG_FIGURE_BYTES], c[ENG_FIGURE_BYTES];

    fprintf(out, "%-9s %8s %4s %-8s %5s %5s %7s %5s %9s %9s %10s  %s\n", "worker", "process",
            "core", "state", "cpu %", "busy%", "blocked%", "idle%", "steps/s", "heard of", "memory",
            "in operator");
    for (uint32_t w = 0; w < now->board->counts.workers; w++) {
        const struct eng_board_worker *worker = eng_board_worker(now->board, w);
        struct view_worker view = view_worker(before, now, w);
        char core[8] = "-", name[24];
        if (worker->core >= 0) snprintf(core, sizeof core, "%d", worker->core % 100000);
        snprintf(name, sizeof name, "%u%s", w, worker->blocking ? " helper" : "");
        fprintf(out, "%-9s %8llu %4s %-8s %5.1f %5.1f %8.1f %5.1f %9.0f %9s %10s  %s", name,
                (unsigned long long)shm_counter_get(&worker->slot.pid), core, view.state, view.cpu,
                view.busy, view.blocked, view.idle, view.steps,
                eng_figure_duration(a, view.heartbeat_ns),
                eng_figure_bytes(b, shm_counter_get(&worker->memory_bytes)), view.in_operator);
        if (view.in_operator_ns > 10 * 1000 * 1000) /* below, it is what one would expect */
            fprintf(out, " for %s", eng_figure_duration(c, view.in_operator_ns));
        fputc('\n', out);
        if (shm_counter_get(&worker->state) == ENG_WORKER_FAILED)
            fprintf(out, "          %.*s\n", ENG_BOARD_FAILURE_BYTES, worker->failure);
        uint64_t signal_number = shm_counter_get(&worker->slot.signal);
        if (signal_number != 0 && signal_number < 65) {
            struct shm_ending ending = {.status = -1, .signal = (int)signal_number};
            fputs("          ", out);
            eng_autopsy_sentence(now->board, w, &ending, NULL, out);
            fputc('\n', out);
        }
    }
}

static void view_print_watermark(int64_t watermark_us, FILE *out)
{
    char text[ENG_FIGURE_BYTES];

    if (watermark_us == ENG_WATERMARK_END)
        fputs("end", out);
    else if (watermark_us == ENG_WATERMARK_IDLE)
        fputs("idle", out);
    else if (eng_tally_is_time(watermark_us))
        fputs(eng_figure_time(text, watermark_us), out);
    else
        fputs("-", out);
}

static void view_print_operators(const struct eng_snapshot *before, const struct eng_snapshot *now,
                                 FILE *out)
{
    uint64_t ns = now->taken_ns - before->taken_ns;
    char a[ENG_FIGURE_BYTES], b[ENG_FIGURE_BYTES], c[ENG_FIGURE_BYTES], d[ENG_FIGURE_BYTES];
    char e[ENG_FIGURE_BYTES], f[ENG_FIGURE_BYTES];

    fprintf(out, "\n%-*s %8s %15s %9s %15s %9s %8s %10s  %s\n", VIEW_TITLE_COLUMNS, "operator",
            "subtasks", "in", "in/s", "out", "out/s", "bad", "keys", "watermark");
    for (uint32_t n = 0; n < now->board->counts.nodes; n++) {
        const struct eng_board_node *node = eng_board_node(now->board, n);
        struct eng_tally_node old = eng_tally_node(before->board, n);
        struct eng_tally_node tally = eng_tally_node(now->board, n);
        fprintf(
            out, "%-*s %8u %15s %9s %15s %9s %8s %10s  ", VIEW_TITLE_COLUMNS, node->title,
            node->parallelism, node->is_source ? "-" : eng_figure_count(a, tally.records_in),
            node->is_source ? "-"
                            : eng_figure_rate(b, view_rate(old.records_in, tally.records_in, ns)),
            node->is_sink ? "-" : eng_figure_count(c, tally.records_out),
            node->is_sink ? "-"
                          : eng_figure_rate(d, view_rate(old.records_out, tally.records_out, ns)),
            tally.rejected ? eng_figure_count(e, tally.rejected) : "-",
            tally.keys ? eng_figure_count(f, tally.keys) : "-");
        view_print_watermark(tally.watermark_us, out);
        if (tally.ended > 0) fprintf(out, "  ended %u/%u", tally.ended, node->parallelism);
        fputc('\n', out);
    }
}

static int view_compare_fill(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* From how full on a ring is shown, so that about rings_max are. */
static double view_least_fill(const struct eng_board *board, uint32_t rings_max)
{
    uint32_t count = board->counts.rings;
    if (count <= rings_max || rings_max == 0) return rings_max == 0 ? 101 : 0;
    double *fills = calloc(count, sizeof *fills);
    CHECK(fills != NULL);
    for (uint32_t r = 0; r < count; r++)
        fills[r] = view_ring_fill(eng_board_ring(board, r));
    qsort(fills, count, sizeof *fills, view_compare_fill);
    double least = fills[rings_max - 1];
    free(fills);
    return least;
}

static void view_print_rings(const struct eng_snapshot *before, const struct eng_snapshot *now,
                             uint32_t rings_max, FILE *out)
{
    const struct eng_board *board = now->board;
    uint64_t ns = now->taken_ns - before->taken_ns;
    double least = view_least_fill(board, rings_max);
    uint32_t shown = 0;
    char a[ENG_FIGURE_BYTES], b[ENG_FIGURE_BYTES], c[ENG_FIGURE_BYTES], d[ENG_FIGURE_BYTES];

    if (board->counts.rings == 0 || rings_max == 0) return;
    fprintf(out, "\n%-9s %-*s %6s %10s %9s %12s %9s\n", "ring", 2 * VIEW_TITLE_COLUMNS,
            "from -> to", "fill %", "size", "sent/s", "full", "full for");
    for (uint32_t r = 0; r < board->counts.rings && shown < rings_max; r++) {
        const struct eng_board_ring *ring = eng_board_ring(board, r);
        const struct eng_board_ring *old = eng_board_ring(before->board, r);
        const struct eng_board_exchange *exchange = eng_board_exchange(board, ring->exchange);
        double fill = view_ring_fill(ring);
        char name[24], path[2 * ENG_BOARD_NAME_BYTES + 8];
        if (fill < least) continue;
        shown++;
        snprintf(name, sizeof name, "%u -> %u", ring->from_worker, ring->to_worker);
        snprintf(path, sizeof path, "%s -> %s", eng_board_node(board, exchange->from_node)->title,
                 eng_board_node(board, exchange->to_node)->title);
        fprintf(out, "%-9s %-*s %6.1f %10s %9s %12s %9s\n", name, 2 * VIEW_TITLE_COLUMNS, path,
                fill, eng_figure_bytes(a, ring->ring.capacity_bytes),
                eng_figure_bytes(b, (uint64_t)view_rate(shm_counter_get(&old->ring.tail),
                                                        shm_counter_get(&ring->ring.tail), ns)),
                eng_figure_count(c, shm_counter_get(&ring->ring.full_count)),
                eng_figure_duration(d, shm_counter_get(&ring->ring.full_ns)));
    }
    if (shown < board->counts.rings)
        fprintf(out, "and %u rings that are less full\n", board->counts.rings - shown);
}

void eng_view_print(const struct eng_snapshot *before, const struct eng_snapshot *now,
                    uint32_t rings_max, FILE *out)
{
    CHECK(before->board->counts.nodes == now->board->counts.nodes);
    CHECK(before->board->counts.rings == now->board->counts.rings);
    view_print_head(before, now, out);
    view_print_workers(before, now, out);
    view_print_operators(before, now, out);
    view_print_rings(before, now, rings_max, out);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void view_json_worker(const struct eng_snapshot *before, const struct eng_snapshot *now,
                             uint32_t w, FILE *out)
{
    const struct eng_board_worker *worker = eng_board_worker(now->board, w);
    struct view_worker view = view_worker(before, now, w);

    fprintf(out,
            "{\"worker\":%u,\"pid\":%llu,\"core\":%d,\"helper\":%s,\"state\":\"%s\",\"alive\":%s,"
            "\"cpu_percent\":%.1f,\"busy_percent\":%.1f,\"blocked_percent\":%.1f,"
            "\"idle_percent\":%.1f,\"steps\":%llu,\"steps_per_second\":%.0f,"
            "\"heartbeat_age_seconds\":%.6f,\"memory_bytes\":%llu,\"operator\":",
            w, (unsigned long long)shm_counter_get(&worker->slot.pid), worker->core,
            worker->blocking ? "true" : "false", view.state,
            now->processes[w].alive ? "true" : "false", view.cpu, view.busy, view.blocked,
            view.idle, (unsigned long long)shm_counter_get(&worker->steps), view.steps,
            (double)view.heartbeat_ns / 1e9,
            (unsigned long long)shm_counter_get(&worker->memory_bytes));
    if (view.in_operator[0]) {
        eng_figure_json(out, view.in_operator, ENG_BOARD_NAME_BYTES);
        fprintf(out, ",\"operator_seconds\":%.6f", (double)view.in_operator_ns / 1e9);
    } else {
        fputs("null,\"operator_seconds\":null", out);
    }
    fputs(",\"failure\":", out);
    if (shm_counter_get(&worker->state) == ENG_WORKER_FAILED)
        eng_figure_json(out, worker->failure, sizeof worker->failure);
    else
        fputs("null", out);
    fputs("}", out);
}

static void view_json_operator(const struct eng_snapshot *before, const struct eng_snapshot *now,
                               uint32_t n, FILE *out)
{
    const struct eng_board_node *node = eng_board_node(now->board, n);
    struct eng_tally_node old = eng_tally_node(before->board, n);
    struct eng_tally_node tally = eng_tally_node(now->board, n);
    uint64_t ns = now->taken_ns - before->taken_ns;

    fputs("{\"id\":", out);
    eng_figure_json(out, node->id, sizeof node->id);
    fputs(",\"title\":", out);
    eng_figure_json(out, node->title, sizeof node->title);
    fprintf(out,
            ",\"parallelism\":%u,\"ended\":%u,\"records_in\":%llu,\"records_out\":%llu,"
            "\"rejected\":%llu,\"in_per_second\":%.1f,\"out_per_second\":%.1f,\"keys\":%llu,"
            "\"state_bytes\":%llu,\"bytes_in\":%llu,\"watermark_us\":",
            node->parallelism, tally.ended, (unsigned long long)tally.records_in,
            (unsigned long long)tally.records_out, (unsigned long long)tally.rejected,
            view_rate(old.records_in, tally.records_in, ns),
            view_rate(old.records_out, tally.records_out, ns), (unsigned long long)tally.keys,
            (unsigned long long)tally.state_bytes, (unsigned long long)tally.bytes_in);
    if (eng_tally_is_time(tally.watermark_us))
        fprintf(out, "%lld}", (long long)tally.watermark_us);
    else
        fputs(tally.watermark_us == ENG_WATERMARK_END    ? "\"end\"}"
              : tally.watermark_us == ENG_WATERMARK_IDLE ? "\"idle\"}"
                                                         : "null}",
              out);
}

static void view_json_ring(const struct eng_snapshot *now, uint32_t r, FILE *out)
{
    static const char *const kinds[] = {"forward", "keyed", "rebalance", "broadcast"};
    const struct eng_board *board = now->board;
    const struct eng_board_ring *ring = eng_board_ring(board, r);
    const struct eng_board_exchange *exchange = eng_board_exchange(board, ring->exchange);

    fprintf(out, "{\"from_worker\":%u,\"to_worker\":%u,\"from\":", ring->from_worker,
            ring->to_worker);
    eng_figure_json(out, eng_board_node(board, exchange->from_node)->title, ENG_BOARD_NAME_BYTES);
    fputs(",\"to\":", out);
    eng_figure_json(out, eng_board_node(board, exchange->to_node)->title, ENG_BOARD_NAME_BYTES);
    fprintf(out,
            ",\"kind\":\"%s\",\"capacity_bytes\":%llu,\"fill_percent\":%.1f,\"sent_bytes\":%llu,"
            "\"full_count\":%llu,\"full_seconds\":%.6f}",
            exchange->kind < sizeof kinds / sizeof *kinds ? kinds[exchange->kind] : "?",
            (unsigned long long)ring->ring.capacity_bytes, view_ring_fill(ring),
            (unsigned long long)shm_counter_get(&ring->ring.tail),
            (unsigned long long)shm_counter_get(&ring->ring.full_count),
            (double)shm_counter_get(&ring->ring.full_ns) / 1e9);
}

void eng_view_write_json(const struct eng_snapshot *before, const struct eng_snapshot *now,
                         FILE *out)
{
    const struct eng_board *board = now->board;
    struct eng_tally_job job = eng_tally_job(board), old = eng_tally_job(before->board);

    CHECK(before->board->counts.nodes == board->counts.nodes);
    fputs("{\"job\":", out);
    eng_figure_json(out, board->job, sizeof board->job);
    fprintf(out,
            ",\"pid\":%d,\"alive\":%s,\"command\":\"%s\",\"seconds\":%.6f,\"records\":%llu,"
            "\"records_per_second\":%.1f,\"rejected\":%llu,\n\"workers\":[",
            now->supervisor, now->supervisor_alive ? "true" : "false", view_command(board),
            (double)(now->taken_ns - board->started_ns) / 1e9, (unsigned long long)job.records,
            view_rate(old.records, job.records, now->taken_ns - before->taken_ns),
            (unsigned long long)job.rejected);
    for (uint32_t w = 0; w < board->counts.workers; w++) {
        fputs(w ? ",\n" : "\n", out);
        view_json_worker(before, now, w, out);
    }
    fputs("],\n\"operators\":[", out);
    for (uint32_t n = 0; n < board->counts.nodes; n++) {
        fputs(n ? ",\n" : "\n", out);
        view_json_operator(before, now, n, out);
    }
    fputs("],\n\"rings\":[", out);
    for (uint32_t r = 0; r < board->counts.rings; r++) {
        fputs(r ? ",\n" : "\n", out);
        view_json_ring(now, r, out);
    }
    fputs("]}\n", out);
}
