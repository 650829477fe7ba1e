/* Bad records: counted, shown a few times a second, and written down where the job wants it.
 *
 * A dead letter is a line of JSON in DIRECTORY/dead-letters-WORKER.jsonl: time, operator, subtask,
 * reason, and the record as text. One write for each, so lines are whole; a worker has its own
 * file.
 *
 * A line is JSON that every reader takes, whatever was in the record: a byte that is no UTF-8 is
 * written as U+FFFD. So what the record was byte for byte is not known from the letter; the reason
 * says where it stands. A text of more than 64 KiB is cut between two characters. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/flow/context.h"
#include "engine/flow/worker.h"
#include "engine/record/json.h"
#include "engine/record/out.h"
#include "engine/record/utf8.h"
#include "engine/record/value.h"
#include "shm/clock.h"
#include "shm/counter.h"

enum { REJECT_SAY_NS = 200 * 1000 * 1000, REJECT_TEXT_BYTES_MAX = 64 * 1024 };

/* So much of the text, without a character that would be cut. Bytes that are no UTF-8 are no reason
 * to cut elsewhere: a run of them may be as long as it likes. */
static pen_view reject_cut(pen_view text, uint32_t bytes_max)
{
    uint32_t back = 0;

    if (text.size_bytes <= bytes_max) return text;
    while (back < 3 && back < bytes_max && ((uint8_t)text.data[bytes_max - back] & 0xc0) == 0x80)
        back++;
    uint32_t at = bytes_max - back;
    if (eng_utf8_size(text.data + at, text.size_bytes - at) <= back) at = bytes_max;
    return pen_view_sized(text.data, at);
}

static void reject_put(struct eng_text_out *out, const char *text)
{
    eng_text_out_put(out, text, strlen(text));
}

static void reject_letter(pen_context *ctx, struct eng_text_out *out, const char *reason,
                          pen_view record, bool is_json)
{
    time_t seconds;
    struct tm utc;
    char text[96];
    int64_t now_us = eng_worker_wall_us(ctx->worker);

    seconds = (time_t)(now_us / 1000000);
    gmtime_r(&seconds, &utc);
    strftime(text, sizeof text, "{\"time\":\"%Y-%m-%dT%H:%M:%SZ\",\"operator\":", &utc);
    reject_put(out, text);
    eng_json_string_put(out, pen_view_from(ctx->node->title));
    snprintf(text, sizeof text, ",\"subtask\":%u,\"reason\":", ctx->subtask);
    reject_put(out, text);
    eng_json_string_put(out, pen_view_from(reason));
    reject_put(out, ",\"record\":");
    if (is_json)
        eng_text_out_put(out, record.data, record.size_bytes);
    else
        eng_json_string_put(out, record);
    reject_put(out, "}\n");
}

static bool reject_write(pen_context *ctx, const char *reason, pen_view record, bool is_json)
{
    struct eng_worker *worker = ctx->worker;
    const char *directory = worker->settings.dead_letters;
    struct eng_text_out out = {0};
    char path[4096];

    snprintf(path, sizeof path, "%s/dead-letters-%u.jsonl", directory, worker->number);
    if (worker->dead_letter_fd < 0) {
        if (mkdir(directory, 0777) < 0 && errno != EEXIST) {
            eng_context_fail(ctx, "cannot make the directory of dead letters %s: %s", directory,
                             strerror(errno));
            return false;
        }
        worker->dead_letter_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    }
    reject_letter(ctx, &out, reason, record, is_json);
    ssize_t written =
        worker->dead_letter_fd < 0 ? -1 : write(worker->dead_letter_fd, out.bytes, out.size_bytes);
    bool whole = written == (ssize_t)out.size_bytes;
    eng_text_out_close(&out);
    if (!whole)
        eng_context_fail(ctx, "cannot write the dead letter to %s: %s", path,
                         written < 0 ? strerror(errno) : "the disk is full");
    return whole;
}

static void reject_say(pen_context *ctx, const char *reason)
{
    const struct eng_worker_witness *witness = ctx->worker->settings.witness;
    uint64_t now_ns = shm_clock_ns();

    if (witness && witness->rejected) {
        witness->rejected(witness->self, reason);
        return;
    }
    if (ctx->said_ns != 0 && now_ns - ctx->said_ns < REJECT_SAY_NS) {
        ctx->unsaid++;
        return;
    }
    if (ctx->unsaid > 0)
        fprintf(stderr, "%s: bad record: %s (and %u more before it)\n", ctx->node->title, reason,
                ctx->unsaid);
    else
        fprintf(stderr, "%s: bad record: %s\n", ctx->node->title, reason);
    ctx->said_ns = now_ns;
    ctx->unsaid = 0;
}

static void reject_one(pen_context *ctx, const char *reason, pen_view record, bool is_json)
{
    struct eng_worker *worker = ctx->worker;
    enum pen_on_bad_record policy = worker->settings.on_bad_record;

    shm_counter_add(&ctx->board->rejected, 1);
    worker->rejected++;
    if (policy == PEN_BAD_FAIL) {
        eng_context_fail(ctx, "bad record: %s (--on-bad-record skip goes on without it)", reason);
        return;
    }
    reject_say(ctx, reason);
    if (policy != PEN_BAD_SKIP && worker->settings.dead_letters)
        if (!reject_write(ctx, reason, record, is_json)) return;
    if (worker->settings.rejects_max > 0 && worker->rejected > worker->settings.rejects_max)
        eng_context_fail(ctx, "more than %llu bad records; the last one: %s",
                         (unsigned long long)worker->settings.rejects_max, reason);
}

void eng_context_reject(pen_context *ctx, const char *reason, pen_view record)
{
    reject_one(ctx, reason, reject_cut(record, REJECT_TEXT_BYTES_MAX), false);
}

void pen_reject(pen_context *ctx, const char *format, ...)
{
    char reason[512];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);

    if (ctx->worker->failed) return;
    if (ctx->phase != ENG_PHASE_RECORD && ctx->phase != ENG_PHASE_PURE) {
        eng_context_fail(ctx, "it rejects where no record is at hand: %s", reason);
        return;
    }
    if (!ctx->batch) {
        eng_context_reject(ctx, reason,
                           (pen_view){"", 0}); /* a source: it says where in the reason */
        return;
    }
    if (!ctx->rejected) {
        ctx->rejected = calloc(1, ENG_BATCH_RECORDS_MAX);
        CHECK(ctx->rejected != NULL);
    }
    ctx->rejected[ctx->room.current] = 1;

    const void *record = ctx->batch->records[ctx->room.current];
    uint32_t port = ctx->batch->port;
    if (!record && ctx->view.others) { /* an outer join: there is the right record only */
        record = ctx->view.others[ctx->room.current];
        port = 1;
    }
    const struct eng_layout *layout = record ? ctx->node->ports[port].layout : NULL;
    struct eng_reason why = {{0}};
    struct eng_text_out out = {0};
    struct eng_json json = {0};
    if (ctx->worker->settings.dead_letters && layout && eng_json_open(&json, layout, &why) == 0)
        eng_json_encode(&json, record, &out);
    if (out.size_bytes > 0)
        reject_one(ctx, reason, eng_text_out_view(&out), true);
    else
        reject_one(ctx, reason, (pen_view){"", 0}, false);
    eng_json_close(&json);
    eng_text_out_close(&out);
}
