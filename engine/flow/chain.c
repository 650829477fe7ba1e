#include "engine/flow/chain.h"

#include <stdlib.h>
#include <string.h>

#include "engine/flow/worker.h"

/* Of one input in one step: bounds the time between two looks around. A queue on the same worker is
 * emptied, as far as that goes, while what is in it is in the cache. */
enum { CHAIN_BATCHES_MAX = 4, CHAIN_LOCAL_BATCHES_MAX = 64 };

/* What a batch costs besides its records, in records: where watermarks stand between all of them a
 * step takes more batches, of few records each. */
enum { CHAIN_BATCH_COST = 16 };

/* ---- Gathering frames ------------------------------------------------------------------------ */

/* Hot leaf: record frames from `frames` on, up to a batch of them. Stops before any other kind.
 * Returns the bytes gathered. What a stream does not have is not stored: timed and updating are
 * constants where this is inlined. */
static inline __attribute__((always_inline)) uint64_t
chain_gather(struct eng_gather *restrict gather, const char *frames, uint64_t bytes, bool timed,
             bool updating, uint32_t *count)
{
    uint64_t at = 0;
    uint32_t n = 0;

    while (at < bytes && n < ENG_BATCH_RECORDS_MAX) {
        const struct shm_frame *frame = (const struct shm_frame *)(const void *)(frames + at);
        if (frame->kind != ENG_FRAME_RECORD) break;
        gather->records[n] = frame + 1;
        gather->hashes[n] = frame->hash;
        if (timed) gather->times_us[n] = frame->time_us;
        if (updating) gather->rows[n] = frame->row;
        n++;
        at += shm_frame_size(frame, bytes - at);
    }
    *count = n;
    return at;
}

/* The same where all frames are alike: records of fixed size without time and row kind. A frame
 * whose head is as expected has been checked by that. */
static uint64_t chain_gather_alike(struct eng_gather *restrict gather, const char *frames,
                                   uint64_t bytes, uint32_t size_bytes, uint32_t *count)
{
    const uint64_t head = shm_frame_head(size_bytes, ENG_FRAME_RECORD, 0);
    uint64_t room = bytes / size_bytes;
    uint32_t most = room < ENG_BATCH_RECORDS_MAX ? (uint32_t)room : ENG_BATCH_RECORDS_MAX;
    uint32_t n = 0;

    for (; n < most; n++, frames += size_bytes) {
        const struct shm_frame *frame = (const struct shm_frame *)(const void *)frames;
        uint64_t found;
        memcpy(&found, frame, sizeof found);
        if (found != head) break;
        gather->records[n] = frame + 1;
        gather->hashes[n] = frame->hash;
    }
    *count = n;
    return (uint64_t)n * size_bytes;
}

/* The same where keys stand before the records. */
static uint64_t chain_gather_keys(struct eng_gather *gather, const char *frames, uint64_t bytes,
                                  uint32_t *count)
{
    uint64_t at = 0;
    uint32_t n = 0;

    while (at < bytes && n < ENG_BATCH_RECORDS_MAX) {
        const struct shm_frame *frame = (const struct shm_frame *)(const void *)(frames + at);
        if (frame->kind != ENG_FRAME_RECORD) break;
        uint32_t size_bytes = shm_frame_size(frame, bytes - at);
        uint64_t key_bytes;
        const char *key = (const char *)(frame + 1);

        CHECK(frame->tag == ENG_TAG_KEY);
        memcpy(&key_bytes, key, sizeof key_bytes);
        CHECK(key_bytes <= size_bytes);
        gather->keys[n] = key + 8;
        gather->key_sizes[n] = (uint32_t)key_bytes;
        gather->records[n] = key + 8 + ((key_bytes + 7) & ~(uint64_t)7);
        gather->hashes[n] = frame->hash;
        gather->times_us[n] = frame->time_us;
        gather->rows[n] = frame->row;
        n++;
        at += size_bytes;
    }
    *count = n;
    return at;
}

static uint64_t chain_gather_batch(struct eng_chain *chain, struct eng_input *input,
                                   const char *frames, uint64_t bytes, uint32_t *count)
{
    const struct eng_stream_kind *stream = &chain->contexts[0]->node->ports[input->port].stream;
    struct eng_gather *gather = &chain->gather;

    if (input->keys_travel) return chain_gather_keys(gather, frames, bytes, count);
    if (stream->timed && stream->updating)
        return chain_gather(gather, frames, bytes, true, true, count);
    if (stream->timed) return chain_gather(gather, frames, bytes, true, false, count);
    if (stream->updating) return chain_gather(gather, frames, bytes, false, true, count);
    const struct eng_layout *layout = chain->contexts[0]->node->ports[input->port].layout;
    if (layout->text_count == 0)
        return chain_gather_alike(gather, frames, bytes,
                                  (uint32_t)sizeof(struct shm_frame) + layout->fixed_bytes, count);
    return chain_gather(gather, frames, bytes, false, false, count);
}

static void chain_hand_down(struct eng_chain *chain, struct eng_input *input, uint32_t count)
{
    pen_context *head = chain->contexts[0];
    const struct eng_stream_kind *stream = &head->node->ports[input->port].stream;
    struct eng_gather *gather = &chain->gather;
    struct eng_batch batch = {
        .count = count,
        .port = input->port,
        .records = gather->records,
        .times_us = stream->timed ? gather->times_us : NULL,
        .rows = stream->updating ? gather->rows : NULL,
        .hashes = gather->hashes,
        .keys = input->keys_travel ? gather->keys : NULL,
        .key_sizes = input->keys_travel ? gather->key_sizes : NULL,
    };

    eng_context_take(head, &batch);
}

/* ---- Frames of other kinds ------------------------------------------------------------------- */

static void chain_tell_watermark(struct eng_chain *chain, int64_t before_us)
{
    pen_context *head = chain->contexts[0];

    if (chain->watermark.watermark_us > before_us)
        eng_context_hear(head, chain->watermark.watermark_us);
    if (chain->watermark.idle) eng_context_hear(head, ENG_WATERMARK_IDLE);
}

static void chain_on_watermark(struct eng_chain *chain, uint32_t input, int64_t watermark_us)
{
    int64_t before_us = chain->watermark.watermark_us;
    bool was_idle = chain->watermark.idle;

    if (!eng_watermark_hear(&chain->watermark, input, watermark_us)) return;
    chain_tell_watermark(chain, before_us);
    /* Back from being idle with no higher watermark: say the old one again. */
    if (was_idle && !chain->watermark.idle && before_us == chain->watermark.watermark_us)
        eng_context_hear(chain->contexts[0], before_us);
}

static void chain_on_end(struct eng_chain *chain, struct eng_input *input)
{
    int64_t before_us = chain->watermark.watermark_us;

    CHECK(!input->ended);
    CHECK(chain->inputs_open > 0);
    input->ended = true;
    input->readable = false;
    chain->inputs_open--;
    if (eng_watermark_end(&chain->watermark, (uint32_t)(input - chain->inputs)))
        chain_tell_watermark(chain, before_us);
}

static void chain_on_fragment(struct eng_chain *chain, struct eng_input *input,
                              const struct shm_frame *frame, uint32_t size_bytes)
{
    uint64_t whole_bytes = (uint64_t)frame->time_us;
    uint64_t piece_bytes = size_bytes - sizeof *frame;

    CHECK(frame->hash == input->pieces_bytes);
    CHECK(whole_bytes <= UINT32_MAX);
    CHECK(input->pieces_bytes + piece_bytes <= whole_bytes);
    if (input->pieces_room < whole_bytes) {
        input->pieces = realloc(input->pieces, whole_bytes);
        CHECK(input->pieces != NULL);
        input->pieces_room = whole_bytes;
    }
    memcpy(input->pieces + input->pieces_bytes, frame + 1, piece_bytes);
    input->pieces_bytes += piece_bytes;
    if (input->pieces_bytes < whole_bytes) return;

    uint32_t count;
    uint64_t gathered = chain_gather_batch(chain, input, input->pieces, whole_bytes, &count);
    CHECK(gathered == whole_bytes);
    CHECK(count == 1);
    chain_hand_down(chain, input, 1);
    input->pieces_bytes = 0;
}

/* One frame that is no record. */
static uint64_t chain_on_frame(struct eng_chain *chain, struct eng_input *input,
                               const struct shm_frame *frame, uint64_t readable)
{
    uint32_t size_bytes = shm_frame_size(frame, readable);

    switch (frame->kind) {
    case SHM_FRAME_SKIP:
        break;
    case ENG_FRAME_FRAGMENT:
        CHECK(size_bytes > sizeof *frame);
        chain_on_fragment(chain, input, frame, size_bytes);
        break;
    case ENG_FRAME_WATERMARK:
        chain_on_watermark(chain, (uint32_t)(input - chain->inputs), frame->time_us);
        break;
    case ENG_FRAME_END:
        chain_on_end(chain, input);
        break;
    default:
        CHECK(false); /* no producer writes any other kind */
    }
    return size_bytes;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static uint64_t input_peek(struct eng_input *input, const char **frames)
{
    if (input->lane) return eng_queue_peek(eng_lane_queue(input->lane), frames);
    return shm_ring_peek(&input->reader, frames);
}

static void input_advance(struct eng_input *input, uint64_t size_bytes)
{
    if (input->lane) {
        eng_lane_queue_read(input->lane, size_bytes);
    } else {
        shm_ring_advance(&input->reader, size_bytes);
        shm_ring_release(&input->reader);
    }
}

static bool chain_must_wait(const struct eng_chain *chain)
{
    for (uint32_t i = 0; i < chain->exchange_count; i++)
        if (eng_exchange_is_blocked(chain->exchanges[i])) return true;
    for (uint32_t i = 0; i < chain->context_count; i++) {
        pen_context *ctx = chain->contexts[i];
        if (ctx->class->waits && ctx->class->waits(ctx)) return true;
    }
    return false;
}

static bool chain_is_firing(const struct eng_chain *chain)
{
    for (uint32_t i = 0; i < chain->context_count; i++)
        if (chain->contexts[i]->firing) return true;
    return false;
}

/* From the end of the chain: what lies behind has done with a watermark before anything new reaches
 * it. */
static unsigned chain_fire(struct eng_chain *chain)
{
    unsigned work = 0;

    for (uint32_t i = chain->context_count; i-- > 0 && !chain->worker->failed;) {
        pen_context *ctx = chain->contexts[i];
        if (!ctx->class->fire) continue;
        shm_slot_enter(chain->worker->slot, ctx->node->number,
                       shm_load_own(&ctx->board->records_in), chain->worker->now_ns);
        work += ctx->class->fire(ctx);
        shm_slot_leave(chain->worker->slot);
        if (ctx->firing) break;
    }
    return work;
}

static unsigned chain_read(struct eng_chain *chain, struct eng_input *input)
{
    uint32_t batches = input->lane ? CHAIN_LOCAL_BATCHES_MAX : CHAIN_BATCHES_MAX;
    uint32_t left = batches * (ENG_BATCH_RECORDS_MAX + CHAIN_BATCH_COST);
    unsigned work = 0;

    while (left > 0 && !input->ended) {
        const char *frames;
        uint32_t count;
        uint64_t bytes = input_peek(input, &frames);

        if (bytes == 0) {
            input->readable = input->lane != NULL;
            return work;
        }
        uint64_t done = chain_gather_batch(chain, input, frames, bytes, &count);
        if (count > 0)
            chain_hand_down(chain, input, count);
        else
            done =
                chain_on_frame(chain, input, (const struct shm_frame *)(const void *)frames, bytes);
        input_advance(input, done);
        work += count + 1;
        uint32_t cost = count + CHAIN_BATCH_COST;
        left = left > cost ? left - cost : 0;
        if (chain->worker->failed) return work;
        if (chain_is_firing(chain)) return work;
        if (left > 0 && chain_must_wait(chain)) return work;
    }
    return work;
}

/* ---- The end --------------------------------------------------------------------------------- */

/* One after the other, each when what came before it has emitted its last. */
static void chain_finish(struct eng_chain *chain)
{
    while (chain->end_next < chain->context_count && !chain->worker->failed) {
        pen_context *ctx = chain->contexts[chain->end_next++];
        if (!ctx->class->end) continue;
        ctx->class->end(ctx);
        eng_context_deliver(ctx);
        if (chain_is_firing(chain) || chain_must_wait(chain)) return;
    }
    if (chain->worker->failed || chain_must_wait(chain)) return; /* a sink holds something back */
    for (uint32_t i = 0; i < chain->context_count && !chain->worker->failed; i++)
        eng_context_finish(chain->contexts[i]);
    if (chain->worker->failed) return;
    for (uint32_t i = 0; i < chain->exchange_count; i++)
        eng_exchange_end(chain->exchanges[i]);
    chain->ended = true;
}

/* ---- A turn ---------------------------------------------------------------------------------- */

unsigned eng_chain_step(struct eng_chain *chain)
{
    unsigned work = 0;

    if (chain->ended || chain->worker->failed) return 0;
    for (uint32_t i = 0; i < chain->exchange_count; i++)
        if (eng_exchange_is_blocked(chain->exchanges[i]))
            eng_exchange_flush(chain->exchanges[i], chain->worker->now_ns);
    for (uint32_t i = chain->is_source ? 1 : 0; i < chain->context_count; i++)
        if (chain->contexts[i]->class->step)
            work += chain->contexts[i]->class->step(chain->contexts[i]);
    chain->blocked = chain_must_wait(chain);
    if (chain->blocked) return work;
    work += chain_fire(chain);
    if (chain->worker->failed || chain_is_firing(chain)) return work;
    if (work > 0 && chain_must_wait(chain)) return work;

    if (chain->is_source) {
        pen_context *head = chain->contexts[0];
        chain->blocked = chain->worker->saves && !head->is_ended;
        if (chain->blocked) return work;
        if (!head->is_ended) {
            shm_slot_enter(chain->worker->slot, head->node->number,
                           shm_load_own(&head->board->records_out), chain->worker->now_ns);
            work += head->class->step(head);
            shm_slot_leave(chain->worker->slot);
        }
        if (head->is_ended) {
            chain_finish(chain);
            work++;
        }
        return work;
    }
    for (uint32_t i = 0; i < chain->input_count; i++) {
        struct eng_input *input = &chain->inputs[i];
        if (!input->readable || input->ended) continue;
        work += chain_read(chain, input);
        if (chain->worker->failed || chain_is_firing(chain) || chain_must_wait(chain)) return work;
    }
    if (chain->inputs_open == 0) {
        chain_finish(chain);
        work++;
    }
    return work;
}

bool eng_chain_flush(struct eng_chain *chain, uint64_t now_ns)
{
    bool dirty = false;
    for (uint32_t i = 0; i < chain->exchange_count; i++) {
        if (!chain->exchanges[i]->dirty) continue;
        dirty = true;
        eng_exchange_flush(chain->exchanges[i], now_ns);
    }
    return dirty;
}

bool eng_chain_is_blocked(const struct eng_chain *chain)
{
    return chain_must_wait(chain);
}

bool eng_chain_must_look_again(const struct eng_chain *chain)
{
    bool any_waits = false;

    if (!chain->blocked) return false;
    for (uint32_t i = 0; i < chain->exchange_count; i++)
        if (eng_exchange_is_blocked(chain->exchanges[i])) return true;
    for (uint32_t i = 0; i < chain->context_count; i++) {
        pen_context *ctx = chain->contexts[i];
        any_waits |= ctx->class->waits && ctx->class->waits(ctx);
    }
    return !any_waits;
}

bool eng_chain_has_work(const struct eng_chain *chain)
{
    if (chain->ended || chain->blocked) return false;
    if (chain_is_firing(chain)) return true;
    for (uint32_t i = 0; i < chain->input_count; i++) {
        const struct eng_input *input = &chain->inputs[i];
        if (input->ended || !input->readable) continue;
        if (!input->lane) return true;
        eng_lane_queue(input->lane);
        if (!eng_queue_is_empty(&input->lane->queue)) return true;
    }
    return false;
}
