/* Keys that a user's function computes: called once for each record, by the sender. */
#include <stdlib.h>
#include <string.h>

#include "engine/flow/context.h"
#include "engine/flow/worker.h"
#include "shm/hash.h"

void eng_key_call_open(struct eng_key_call *call, const struct pen_function *function,
                       const struct eng_key *key, pen_context *sender)
{
    uint32_t stride = key->record->fixed_bytes;

    *call = (struct eng_key_call){.function = function, .key = key};
    call->structs = calloc(ENG_BATCH_RECORDS_MAX, stride);
    call->states = calloc(ENG_BATCH_RECORDS_MAX, sizeof *call->states);
    call->records = calloc(ENG_BATCH_RECORDS_MAX, sizeof *call->records);
    call->image = calloc(ENG_BATCH_RECORDS_MAX, sizeof *call->image);
    call->image_bytes = calloc(ENG_BATCH_RECORDS_MAX, sizeof *call->image_bytes);
    call->context = calloc(1, sizeof *call->context);
    CHECK(call->structs && call->states && call->records && call->image && call->image_bytes &&
          call->context);
    for (uint32_t i = 0; i < ENG_BATCH_RECORDS_MAX; i++)
        call->states[i] = call->structs + (size_t)i * stride;
    /* It runs as a part of the operator that sends: fails and rejects in its name. */
    call->context->node = sender->node;
    call->context->class = sender->class;
    call->context->chain = sender->chain;
    call->context->worker = sender->worker;
    call->context->board = sender->board;
    call->context->subtask = sender->subtask;
    call->context->parallelism = sender->parallelism;
    call->context->phase = ENG_PHASE_PURE;
    call->context->watermark_us = ENG_WATERMARK_NONE;
}

void eng_key_call_close(struct eng_key_call *call)
{
    free(call->structs);
    free(call->states);
    free(call->records);
    free(call->image);
    free(call->image_bytes);
    free(call->context->put.bytes);
    free(call->context->rejected);
    if (call->context->text_is_open) eng_queue_close(&call->context->text);
    free(call->context);
    eng_key_scratch_close(&call->scratch);
}

/* Texts of the key structs were put; they become readable where the struct points. */
static bool key_call_place_texts(struct eng_key_call *call, void *key)
{
    const struct eng_layout *layout = call->key->record;
    const struct eng_put *put = &call->context->put;

    for (uint32_t i = 0; i < layout->text_count; i++) {
        pen_string *text = eng_field_at(layout->texts[i], key);
        if (text->size_bytes == 0 || text->offset_bytes >= 0) continue;
        uint64_t position = (uint64_t)(-(int64_t)text->offset_bytes - 1);
        if (position + text->size_bytes > put->used_bytes) return false;
        int64_t offset = put->bytes + position - (char *)text;
        if (offset != (int32_t)offset) return false;
        text->offset_bytes = (int32_t)offset;
    }
    return true;
}

const uint8_t *eng_key_call_make(struct eng_key_call *call, const struct eng_batch *batch,
                                 uint64_t *hashes)
{
    pen_context *ctx = call->context;
    const struct eng_layout *layout = call->key->record;
    uint8_t *rejected = NULL;

    ctx->function = call->function;
    ctx->put.used_bytes = 0;
    memset(call->structs, 0, (size_t)batch->count * layout->fixed_bytes);
    if (ctx->rejected) memset(ctx->rejected, 0, ENG_BATCH_RECORDS_MAX);
    ctx->batch = batch;
    ctx->view = (struct pen_batch){
        .count = batch->count,
        .current = &ctx->room.current,
        .records = batch->records,
        .states = call->states,
    };
    call->function->loop(ctx, &ctx->view);
    ctx->batch = NULL;
    rejected = ctx->rejected;
    if (ctx->worker->failed) {
        if (!rejected) rejected = ctx->rejected = calloc(1, ENG_BATCH_RECORDS_MAX);
        CHECK(rejected != NULL);
        memset(rejected, 1, ENG_BATCH_RECORDS_MAX);
        return rejected;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        call->records[i] = call->states[i];
        if (layout->text_count > 0 && !key_call_place_texts(call, call->states[i]))
            eng_context_fail(ctx, "a text of the key that %s made was not put with pen_put",
                             call->function->name);
    }
    eng_key_images(call->key, call->records, batch->count, &call->scratch, call->image,
                   call->image_bytes);
    for (uint32_t i = 0; i < batch->count; i++)
        hashes[i] = shm_hash(call->image[i], call->image_bytes[i]);
    return rejected;
}
