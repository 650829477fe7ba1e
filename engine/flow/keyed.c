/* The functions of penstock/function.h for keyed functions: forgetting, texts of states, windows.
 *
 * The struct of state that a function is handed lies in a table; where it has texts, in a working
 * copy (struct eng_keep) that does not move while the function runs: pen_keep lays texts behind it,
 * and the operator writes the copy back when the function has returned. Elements of other states
 * that have texts lie there, too, while they are changed. */
#include <string.h>
#include <sys/mman.h>

#include "engine/flow/context.h"
#include "engine/flow/worker.h"

enum {
    KEEP_BYTES = 4 * ENG_RECORD_BYTES_MAX
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

char *eng_keep_copy(struct eng_keep *keep, const void *record, uint64_t bytes)
{
    if (!keep->bytes) eng_keep_open(keep);
    uint64_t at = (keep->used_bytes + 7) & ~(uint64_t)7;

    if (bytes > keep->capacity_bytes - at) return NULL;
    if (record)
        memcpy(keep->bytes + at, record, bytes);
    else
        memset(keep->bytes + at, 0, bytes);
    keep->used_bytes = at + bytes;
    return keep->bytes + at;
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

    if (!eng_keep_holds(keep, at)) {
        eng_context_fail(ctx,
                         "pen_keep sets a text that is not in its state, or is in one that was "
                         "got for reading (pen_dict_get, pen_list_next)");
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

/* ---- The window at hand ---------------------------------------------------------------------- */

static bool keyed_has_window(pen_context *ctx)
{
    if (!ctx->has_window) eng_context_fail(ctx, "it asks for its window, and has none");
    return ctx->has_window;
}

pen_time pen_window_from(pen_context *ctx)
{
    return (pen_time){keyed_has_window(ctx) ? ctx->window_from_us : 0};
}

pen_time pen_window_to(pen_context *ctx)
{
    return (pen_time){keyed_has_window(ctx) ? ctx->window_to_us : 0};
}
