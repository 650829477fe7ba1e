/* Where a test's job begins and ends: what pen_test_push appends to, and what pen_test_next reads.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/control/test.h"
#include "engine/job/call.h"
#include "engine/job/stream.h"
#include "engine/operator/operators.h"

/* ---- The source of an input ------------------------------------------------------------------ */

/* An input is read as one split, which is that it is there. */
struct test_split {
    bool there;
};
PEN_RECORD(test_split, there);

static void ends_plan(pen_context *ctx)
{
    pen_add_split(ctx, test_split, .there = true);
}

/* The records at the front, as a batch. Returns their bytes; 0: the first frame is none. */
static uint64_t ends_gather(struct test_gather *gather, const char *frames, uint64_t bytes,
                            struct eng_batch *batch)
{
    uint64_t at = 0;
    uint32_t count = 0;

    while (at < bytes && count < ENG_BATCH_RECORDS_MAX) {
        const struct shm_frame *frame = (const struct shm_frame *)(const void *)(frames + at);
        if (frame->kind != ENG_FRAME_RECORD) break;
        gather->records[count] = frame + 1;
        gather->times_us[count] = frame->time_us;
        gather->rows[count] = frame->row;
        count++;
        at += frame->size_bytes;
    }
    batch->count = count;
    batch->records = gather->records;
    return at;
}

/* Records go on as they lie in the queue. They have times and row kinds already, which no pen_emit
 * could give them. */
static int ends_poll(pen_context *ctx, void *split)
{
    struct test_input *input = (struct test_input *)(uintptr_t)pen_user(ctx);
    struct eng_batch batch = {0};
    const char *frames;
    uint64_t bytes = eng_queue_peek(&input->pushed, &frames);

    (void)split;
    if (bytes == 0) return PEN_IDLE;
    const struct shm_frame *frame = (const struct shm_frame *)(const void *)frames;
    if (frame->kind == ENG_FRAME_END) return PEN_END;
    uint64_t done = ends_gather(&input->gather, frames, bytes, &batch);
    if (batch.count > 0) {
        if (input->time) batch.times_us = input->gather.times_us;
        if (input->updating) batch.rows = input->gather.rows;
        eng_context_pass(ctx, 0, &batch);
    } else {
        CHECK(frame->kind == ENG_FRAME_WATERMARK);
        eng_context_hear(ctx, frame->time_us);
        done = frame->size_bytes;
    }
    eng_queue_advance(&input->pushed, done);
    return PEN_MORE;
}

/* ---- Making inputs --------------------------------------------------------------------------- */

static const struct eng_field *ends_time_field(struct pen_test *test,
                                               const struct eng_layout *layout, const char *name)
{
    const struct eng_field *field = eng_layout_find(layout, name);

    if (!field)
        eng_test_abort(test, "pen_test_input: %s has no field %s", layout->schema->name, name);
    if (field->type != PEN_TYPE_TIME || eng_field_nullable(field) || field->element_count != 1)
        eng_test_abort(test, "pen_test_input: %s of %s is %s%s, and must be a pen_time", name,
                       layout->schema->name, eng_field_nullable(field) ? "optional " : "",
                       eng_type_name(field->type));
    return field;
}

/* The node of the input, and its stream. */
static pen_stream ends_make_source(struct pen_test *test, struct test_input *input)
{
    struct pen_source options = {.origin = eng_test_origin(test, sizeof options),
                                 .poll = &input->poll,
                                 .plan = ends_plan,
                                 .parallelism = 1,
                                 .user = input};
    struct eng_call call;

    struct pen_source *kept =
        eng_call_open(&call, test->graph, "pen_test_input", &options, sizeof options);
    CHECK(kept != NULL);
    struct eng_common common = ENG_COMMON_OF(kept);
    test->graph->source_calls++;
    eng_call_about(&call, kept->poll);
    eng_call_common(&call, &common);
    CHECK(!call.failed);
    const struct eng_stream_kind rows = {.timed = input->time != NULL, .updating = input->updating};
    struct eng_node *node =
        eng_call_node(&call, &eng_source_class, kept, &common, kept->poll, input->layout, rows);
    return eng_call_streams(&call, node, &common);
}

static pen_stream ends_add_input(struct pen_test *test, const struct pen_schema *schema,
                                 const char *time_field, bool updating)
{
    struct test_input *input = calloc(1, sizeof *input);
    char reason[ENG_REASON_BYTES];

    eng_test_must_be_building(test, "pen_test_input");
    CHECK(input != NULL);
    input->layout = eng_graph_layout(test->graph, schema, reason, sizeof reason);
    if (!input->layout) eng_test_abort(test, "pen_test_input: %s", reason);
    if (time_field) input->time = ends_time_field(test, input->layout, time_field);
    input->updating = updating;
    input->watermark_us = ENG_WATERMARK_NONE;
    input->poll = (struct pen_function){
        .abi = PEN_ABI,
        .size_bytes = sizeof input->poll,
        .kind = PEN_IS_SOURCE,
        .name = schema->name,
        .state = &test_split_schema,
        .out = schema,
        .poll = ends_poll,
    };
    eng_queue_open(&input->pushed);
    input->stream = ends_make_source(test, input);
    input->next = test->inputs;
    test->inputs = input;
    return input->stream;
}

pen_stream pen_test_add_input(pen_test *test, const struct pen_schema *schema,
                              const char *time_field)
{
    return ends_add_input(test, schema, time_field, false);
}

pen_stream pen_test_add_updating_input(pen_test *test, const struct pen_schema *schema,
                                       const char *time_field)
{
    return ends_add_input(test, schema, time_field, true);
}

/* ---- Pushing --------------------------------------------------------------------------------- */

static struct test_input *ends_input(struct pen_test *test, pen_stream stream, const char *call)
{
    eng_test_must_be_running(test, call);
    if (test->ended) eng_test_abort(test, "%s: the inputs have ended", call);
    for (struct test_input *input = test->inputs; input; input = input->next)
        if (input->stream.graph == stream.graph && input->stream.node == stream.node) return input;
    eng_test_abort(test, "%s: the stream is no pen_test_input of this test", call);
}

static void *ends_append(struct test_input *input, enum eng_frame_kind kind, enum pen_row row,
                         int64_t time_us, uint32_t bytes)
{
    struct shm_frame *frame = eng_queue_claim(&input->pushed, sizeof *frame + bytes);

    *frame = (struct shm_frame){.size_bytes = (uint32_t)sizeof *frame + bytes,
                                .kind = (uint8_t)kind,
                                .row = (uint8_t)row,
                                .time_us = time_us};
    return frame + 1;
}

void pen_test_push_record(pen_test *test, pen_stream stream, enum pen_row row,
                          const struct pen_schema *schema, const void *record)
{
    struct test_input *input = ends_input(test, stream, "pen_test_push");
    pen_context *ctx = &test->desk->ctx;
    uint32_t bytes;

    if (!eng_schema_same(schema, input->layout->schema))
        eng_test_abort(test, "pen_test_push: a record of %s, and the input has %s", schema->name,
                       input->layout->schema->name);
    if ((unsigned)row > PEN_DELETE)
        eng_test_abort(test, "pen_test_push_as: there is no row kind %u", (unsigned)row);
    if (row != PEN_INSERT && !input->updating)
        eng_test_abort(test,
                       "pen_test_push_as: the input has inserts only; pen_test_updating_input "
                       "makes one that is an updating stream");
    if (eng_test_has_returned(test, record)) ctx->copied = record;
    void *copy = eng_context_lay(ctx, input->layout, record, &bytes);
    CHECK(copy != NULL); /* a mistake has aborted */
    ctx->copied = NULL;
    const pen_time *time = input->time ? eng_field_of(input->time, copy) : NULL;
    memcpy(ends_append(input, ENG_FRAME_RECORD, row, time ? time->us : 0, bytes), copy, bytes);
    free(copy);
    eng_test_settle(test);
}

void pen_test_watermark(pen_test *test, pen_stream stream, pen_time watermark)
{
    struct test_input *input = ends_input(test, stream, "pen_test_watermark");

    if (!input->time)
        eng_test_abort(test,
                       "pen_test_watermark: the input of %s has no event time, so no "
                       "watermark; name its field in pen_test_input",
                       input->layout->schema->name);
    if (watermark.us <= input->watermark_us) return;
    input->watermark_us = watermark.us;
    ends_append(input, ENG_FRAME_WATERMARK, PEN_INSERT, watermark.us, 0);
    eng_test_settle(test);
}

void eng_test_end_inputs(struct pen_test *test)
{
    for (struct test_input *input = test->inputs; input; input = input->next)
        ends_append(input, ENG_FRAME_END, PEN_INSERT, 0, 0);
}

/* ---- Outputs --------------------------------------------------------------------------------- */

static void ends_take(pen_context *ctx, const struct pen_batch *batch)
{
    struct test_output *output = (struct test_output *)(uintptr_t)pen_user(ctx);

    for (*batch->current = 0; *batch->current < batch->count; ++*batch->current) {
        const void *record = batch->records[*batch->current];
        uint32_t bytes = eng_record_bytes(output->layout, record);
        struct shm_frame *frame = eng_queue_claim(&output->records, sizeof *frame + bytes);
        *frame = (struct shm_frame){.size_bytes = (uint32_t)sizeof *frame + bytes,
                                    .kind = ENG_FRAME_RECORD,
                                    .row = (uint8_t)pen_row(ctx),
                                    .time_us = pen_record_time(ctx).us};
        memcpy(frame + 1, record, bytes);
    }
}

static struct test_output *ends_find_output(const struct pen_test *test, pen_stream stream)
{
    for (struct test_output *output = test->outputs; output; output = output->next)
        if (output->stream.graph == stream.graph && output->stream.node == stream.node)
            return output;
    return NULL;
}

pen_stream pen_test_output(pen_test *test, pen_stream stream)
{
    eng_test_must_be_building(test, "pen_test_output");
    if (stream.graph != test->graph)
        eng_test_abort(test, "pen_test_output: the stream is of another graph");
    if (ends_find_output(test, stream)) return stream;
    const struct eng_layout *layout = eng_graph_stream_layout(stream);
    struct test_output *output = calloc(1, sizeof *output);
    CHECK(output != NULL);
    output->stream = stream;
    output->layout = layout;
    output->next = test->outputs;
    test->outputs = output;
    eng_queue_open(&output->records);
    if (!layout) return stream; /* a mistake, which the start tells */
    output->write = (struct pen_function){
        .abi = PEN_ABI,
        .size_bytes = sizeof output->write,
        .kind = PEN_IS_SINK,
        .name = layout->schema->name,
        .in = layout->schema,
        .loop = ends_take,
    };
    const struct pen_sink sink = {
        .origin = eng_test_origin(test, sizeof sink),
        .write = &output->write,
        .takes_updates = true,
        .parallelism = 1,
        .user = output,
    };
    eng_graph_add_sink(stream, &sink, "pen_test_output");
    return stream;
}

static struct test_output *ends_output(struct pen_test *test, pen_stream stream, const char *call)
{
    struct test_output *output = ends_find_output(test, stream);

    eng_test_must_be_running(test, call);
    if (!output) eng_test_abort(test, "%s: the stream is no pen_test_output of this test", call);
    return output;
}

const void *pen_test_next_record(pen_test *test, pen_stream stream, const struct pen_schema *schema)
{
    struct test_output *output = ends_output(test, stream, "pen_test_next");
    const char *frames;

    if (!eng_schema_same(schema, output->layout->schema))
        eng_test_abort(test, "pen_test_next: it asks for %s, and the output has %s", schema->name,
                       output->layout->schema->name);
    if (output->at_hand) eng_queue_advance(&output->records, output->at_hand->size_bytes);
    output->at_hand = NULL;
    if (eng_queue_peek(&output->records, &frames) == 0) return NULL;
    output->at_hand = (const struct shm_frame *)(const void *)frames;
    return output->at_hand + 1;
}

static const struct shm_frame *ends_at_hand(struct pen_test *test, pen_stream stream,
                                            const char *call)
{
    struct test_output *output = ends_output(test, stream, call);

    if (!output->at_hand) eng_test_abort(test, "%s: pen_test_next has returned no record", call);
    return output->at_hand;
}

enum pen_row pen_test_row(pen_test *test, pen_stream stream)
{
    return (enum pen_row)ends_at_hand(test, stream, "pen_test_row")->row;
}

pen_time pen_test_record_time(pen_test *test, pen_stream stream)
{
    return (pen_time){ends_at_hand(test, stream, "pen_test_record_time")->time_us};
}

bool eng_test_has_returned(const struct pen_test *test, const void *record)
{
    for (const struct test_output *output = test->outputs; output; output = output->next)
        if (output->at_hand && record == output->at_hand + 1) return true;
    return test->looked_at && record == test->looked_at;
}

void eng_test_close_ends(struct pen_test *test)
{
    while (test->inputs) {
        struct test_input *input = test->inputs;
        test->inputs = input->next;
        eng_queue_close(&input->pushed);
        free(input);
    }
    while (test->outputs) {
        struct test_output *output = test->outputs;
        test->outputs = output->next;
        eng_queue_close(&output->records);
        free(output);
    }
}
