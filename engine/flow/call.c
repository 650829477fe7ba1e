/* The functions of penstock/function.h that ask the context, and what they share with classes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/context.h"
#include "engine/flow/memory.h"
#include "engine/flow/states.h"
#include "engine/flow/worker.h"
#include "shm/clock.h"
#include "shm/counter.h"
#include "shm/spawn.h"

enum { CALL_LOG_NS = 200 * 1000 * 1000 }; /* between two lines of one operator */

/* ---- Failing --------------------------------------------------------------------------------- */

static void call_fail_v(pen_context *ctx, const char *format, va_list args)
{
    struct eng_worker *worker = ctx->worker;

    if (worker->failed) return; /* the first reason is the cause */
    worker->failed = true;
    char *failure = worker->place->failure;
    int used = snprintf(failure, ENG_BOARD_FAILURE_BYTES, "%s (%s:%u): ", ctx->node->title,
                        ctx->node->file ? ctx->node->file : "?", ctx->node->line);
    if (used > 0 && used < ENG_BOARD_FAILURE_BYTES)
        used += vsnprintf(failure + used, (size_t)(ENG_BOARD_FAILURE_BYTES - used), format, args);
    if (worker->memory_refused && used > 0 && used < ENG_BOARD_FAILURE_BYTES)
        eng_memory_tell(worker, failure + used, (size_t)(ENG_BOARD_FAILURE_BYTES - used));
    ctx->view.count = 0; /* the loop at hand stops */
    ctx->room.schema = NULL;
    const struct eng_worker_witness *witness = worker->settings.witness;
    if (witness && witness->failed) witness->failed(witness->self, failure);
}

void eng_context_fail(pen_context *ctx, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    call_fail_v(ctx, format, args);
    va_end(args);
}

bool eng_context_has_failed(const pen_context *ctx)
{
    return ctx->worker->failed;
}

_Noreturn void eng_context_die(pen_context *ctx, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    call_fail_v(ctx, format, args);
    va_end(args);
    eng_worker_set_state(ctx->worker, ENG_WORKER_FAILED);
    shm_process_exit(1);
}

void pen_fail(pen_context *ctx, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    call_fail_v(ctx, format, args);
    va_end(args);
}

/* ---- Memory in place ------------------------------------------------------------------------- */

void *eng_context_text(pen_context *ctx, size_t size_bytes)
{
    if (!ctx->text_is_open) {
        eng_queue_open(&ctx->text);
        ctx->text_is_open = true;
    }
    return eng_queue_claim(&ctx->text, (size_bytes + 15) & ~(size_t)7);
}

const char *pen_cstr_of_view(pen_context *ctx, pen_view text)
{
    char *copy = eng_context_text(ctx, (size_t)text.size_bytes + 1);
    if (text.size_bytes > 0) memcpy(copy, text.data, text.size_bytes);
    copy[text.size_bytes] = '\0';
    return copy;
}

const char *pen_format(pen_context *ctx, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(size >= 0);
    char *text = eng_context_text(ctx, (size_t)size + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)size + 1, format, args);
    va_end(args);
    return text;
}

void *pen_local(pen_context *ctx, size_t size_bytes)
{
    if (!ctx->local) {
        ctx->local = calloc(1, size_bytes ? size_bytes : 1);
        CHECK(ctx->local != NULL);
        ctx->local_bytes = size_bytes;
    } else if (size_bytes > ctx->local_bytes) {
        eng_context_die(ctx,
                        "pen_local is asked for %zu bytes, and before for %zu; ask for the same",
                        size_bytes, ctx->local_bytes);
    }
    return ctx->local;
}

/* ---- Time ------------------------------------------------------------------------------------ */

pen_time pen_record_time(pen_context *ctx)
{
    if (!ctx->batch || !ctx->batch->times_us) return (pen_time){0};
    return (pen_time){ctx->batch->times_us[ctx->room.current]};
}

pen_time pen_watermark(pen_context *ctx)
{
    return (pen_time){ctx->watermark_us};
}

pen_time pen_clock(pen_context *ctx)
{
    return (pen_time){eng_worker_wall_us(ctx->worker)};
}

enum pen_row pen_row(pen_context *ctx)
{
    if (!ctx->batch || !ctx->batch->rows) return PEN_INSERT;
    return (enum pen_row)ctx->batch->rows[ctx->room.current];
}

/* ---- The key at hand ------------------------------------------------------------------------- */

static const void *call_key_field(pen_context *ctx, uint32_t index, uint8_t type_a, uint8_t type_b,
                                  const struct eng_field **field)
{
    static const char zeros[16];

    if (!ctx->key || !ctx->key_images) {
        eng_context_fail(ctx, "it asks for its key, and has none");
        return NULL;
    }
    if (index >= ctx->key->layout.field_count) {
        eng_context_fail(ctx, "it asks for field %u of a key of %u", index,
                         ctx->key->layout.field_count);
        return NULL;
    }
    *field = &ctx->key->layout.fields[index];
    bool fits = type_a == 0 ? eng_type_is_integer((*field)->type) : (*field)->type == type_a;
    if (!fits && (*field)->type != type_b) {
        eng_context_fail(ctx, "key field %s is %s", (*field)->name, eng_type_name((*field)->type));
        return NULL;
    }
    const void *image = ctx->key_images[ctx->room.current];
    return image ? image : zeros;
}

int64_t pen_key_int(pen_context *ctx, uint32_t index)
{
    const struct eng_field *field;
    const void *image = call_key_field(ctx, index, 0, PEN_TYPE_TIME, &field);
    return image ? eng_field_int(field, image) : 0;
}

pen_code pen_key_code(pen_context *ctx, uint32_t index)
{
    const struct eng_field *field;
    const void *image = call_key_field(ctx, index, PEN_TYPE_CODE, PEN_TYPE_CODE, &field);
    pen_code code = {{0}};
    if (image) memcpy(&code, eng_field_of(field, image), sizeof code);
    return code;
}

pen_view pen_key_text(pen_context *ctx, uint32_t index)
{
    const struct eng_field *field;
    const void *image = call_key_field(ctx, index, PEN_TYPE_STRING, PEN_TYPE_CODE, &field);
    return image ? eng_field_text(field, image) : (pen_view){"", 0};
}

/* ---- The rest -------------------------------------------------------------------------------- */

const void *pen_user(pen_context *ctx)
{
    return ctx->node->user;
}

const void *pen_closure(pen_context *ctx)
{
    return ctx->function ? ctx->function->closure : NULL;
}

uint32_t pen_subtask(pen_context *ctx)
{
    return ctx->subtask;
}

uint32_t pen_parallelism(pen_context *ctx)
{
    return ctx->parallelism;
}

const char *pen_run(pen_context *ctx)
{
    return ctx->worker->settings.run;
}

uint64_t pen_epoch(pen_context *ctx)
{
    (void)ctx;
    return 1; /* without checkpoints a run fills one epoch only */
}

void pen_log(pen_context *ctx, const char *format, ...)
{
    uint64_t now_ns = shm_clock_ns();
    if (ctx->said_ns != 0 && now_ns - ctx->said_ns < CALL_LOG_NS) {
        ctx->unsaid++;
        return;
    }
    char line[1024];
    va_list args;
    va_start(args, format);
    int used = snprintf(line, sizeof line, "%s.%u: ", ctx->node->title, ctx->subtask);
    if (used > 0 && (size_t)used < sizeof line)
        vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    va_end(args);
    if (ctx->unsaid > 0)
        fprintf(stderr, "%s (and %u lines before it)\n", line, ctx->unsaid);
    else
        fprintf(stderr, "%s\n", line);
    ctx->said_ns = now_ns;
    ctx->unsaid = 0;
}

void pen_counter_add(pen_context *ctx, uint32_t index, int64_t amount)
{
    if (index >= ctx->node->counter_count) {
        eng_context_fail(ctx, "it adds to counter %u and names %u in .counters", index,
                         ctx->node->counter_count);
        return;
    }
    shm_counter_add(&ctx->board->counters[index], (uint64_t)amount);
}

const struct eng_layout *eng_context_layout(const pen_context *ctx, const struct pen_schema *schema)
{
    const struct eng_node *node = ctx->node;

    for (uint32_t i = 0; i < node->port_count; i++)
        if (eng_schema_same(node->ports[i].layout->schema, schema)) return node->ports[i].layout;
    for (uint32_t i = 0; i < node->output_count; i++)
        if (eng_schema_same(node->outputs[i].schema, schema)) return &node->outputs[i].layout;
    for (uint32_t i = 0; node->states && i < node->states->count; i++)
        if (eng_schema_same(node->states->states[i].element->schema, schema))
            return node->states->states[i].element;
    return NULL;
}
