/* The functions of penstock/function.h for keyed functions.
 *
 * The struct of state that a function is handed lies in a table; where it has texts, in a working
 * copy (struct eng_keep) that does not move while the function runs: pen_keep lays texts behind it,
 * and the operator writes the copy back when the function has returned. */
#include <string.h>
#include <sys/mman.h>

#include "engine/flow/context.h"
#include "engine/flow/worker.h"

enum {
    KEEP_BYTES = 2 * ENG_RECORD_BYTES_MAX
}; /* address space; what is not touched costs nothing */

void eng_keep_open(struct eng_keep *keep)
{
    void *bytes = mmap(NULL, KEEP_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(bytes != MAP_FAILED);
    *keep = (struct eng_keep){.bytes = bytes, .capacity_bytes = KEEP_BYTES};
}

void eng_keep_close(struct eng_keep *keep)
{
    if (keep->bytes) munmap(keep->bytes, keep->capacity_bytes);
    *keep = (struct eng_keep){0};
}

void pen_forget(pen_context *ctx)
{
    if (!ctx->key) {
        eng_context_fail(ctx, "it calls pen_forget and has no key");
        return;
    }
    /* The loop stops behind this record; then the operator drops the key and goes on with the rest.
     */
    ctx->forget = true;
    if (ctx->view.count > ctx->room.current + 1) ctx->view.count = ctx->room.current + 1;
}

void pen_keep_view(pen_context *ctx, pen_string *field, pen_view text)
{
    struct eng_keep *keep = &ctx->keep;
    char *at = (char *)field;

    if (!keep->bytes || at < keep->bytes || at >= keep->bytes + keep->fixed_bytes) {
        eng_context_fail(ctx, "pen_keep sets a text that is not in its state");
        return;
    }
    if (text.size_bytes == 0) {
        *field = (pen_string){0, 0};
        return;
    }
    if (keep->used_bytes + text.size_bytes > keep->capacity_bytes) {
        eng_context_fail(ctx,
                         "its state grows beyond %u bytes; what is so large belongs into a list "
                         "or a dict",
                         ENG_RECORD_BYTES_MAX);
        return;
    }
    memmove(keep->bytes + keep->used_bytes, text.data, text.size_bytes);
    field->offset_bytes = (int32_t)(keep->bytes + keep->used_bytes - at);
    field->size_bytes = text.size_bytes;
    keep->used_bytes += text.size_bytes;
    keep->changed = true;
}

void pen_keep_bytes(pen_context *ctx, pen_bytes *field, const void *bytes, uint32_t size_bytes)
{
    pen_string text = {0, 0};
    _Static_assert(sizeof text == sizeof *field, "both are an offset and a size");

    memcpy(&text, field, sizeof text);
    pen_keep_view(ctx, (pen_string *)(void *)field, pen_view_sized(bytes, size_bytes));
}

/* ---- What the graph refuses for now, so that no job can get here ------------------------------
 */

static void keyed_not_yet(pen_context *ctx, const char *what)
{
    eng_context_fail(ctx, "%s: this version of Penstock cannot do that yet", what);
}

void pen_timer_set(pen_context *ctx, uint64_t timer, pen_time at)
{
    (void)timer, (void)at;
    keyed_not_yet(ctx, "pen_timer_set");
}

void pen_timer_set_clock(pen_context *ctx, uint64_t timer, pen_time at)
{
    (void)timer, (void)at;
    keyed_not_yet(ctx, "pen_timer_set_clock");
}

void pen_timer_clear(pen_context *ctx, uint64_t timer)
{
    (void)timer;
    keyed_not_yet(ctx, "pen_timer_clear");
}

uint64_t pen_timer(pen_context *ctx)
{
    keyed_not_yet(ctx, "pen_timer");
    return 0;
}

pen_time pen_window_from(pen_context *ctx)
{
    keyed_not_yet(ctx, "pen_window_from");
    return (pen_time){0};
}

pen_time pen_window_to(pen_context *ctx)
{
    keyed_not_yet(ctx, "pen_window_to");
    return (pen_time){0};
}

uint64_t pen_state_count(pen_context *ctx, struct pen_state *state)
{
    (void)state;
    keyed_not_yet(ctx, "pen_state_count");
    return 0;
}

void pen_state_remove(pen_context *ctx, struct pen_state *state, const void *element)
{
    (void)state, (void)element;
    keyed_not_yet(ctx, "pen_state_remove");
}

void pen_state_clear(pen_context *ctx, struct pen_state *state)
{
    (void)state;
    keyed_not_yet(ctx, "pen_state_clear");
}

void pen_dict_remove(pen_context *ctx, struct pen_state *state, pen_dict_key key)
{
    (void)state, (void)key;
    keyed_not_yet(ctx, "pen_dict_remove");
}

pen_dict_key pen_dict_key_of(pen_context *ctx, struct pen_state *state, const void *element)
{
    (void)state, (void)element;
    keyed_not_yet(ctx, "pen_dict_key_of");
    return pen_int(0);
}

void *pen_dict_find(pen_context *ctx, struct pen_state *state, const struct pen_schema *schema,
                    pen_dict_key key, bool create)
{
    (void)state, (void)key;
    keyed_not_yet(ctx, "state beyond the struct");
    return create ? eng_context_text(ctx, schema->size_bytes) : NULL;
}

void pen_dict_set_record(pen_context *ctx, struct pen_state *state, const struct pen_schema *schema,
                         pen_dict_key key, const void *record)
{
    (void)state, (void)schema, (void)key, (void)record;
    keyed_not_yet(ctx, "state beyond the struct");
}

void pen_list_append_record(pen_context *ctx, struct pen_state *state,
                            const struct pen_schema *schema, const void *record)
{
    (void)state, (void)schema, (void)record;
    keyed_not_yet(ctx, "state beyond the struct");
}

const void *pen_state_next(pen_context *ctx, struct pen_state *state,
                           const struct pen_schema *schema, const void *previous)
{
    (void)state, (void)schema, (void)previous;
    keyed_not_yet(ctx, "state beyond the struct");
    return NULL;
}
