#include "engine/job/stream.h"

#include <stdlib.h>
#include <string.h>

#include "engine/operator/operators.h"
#include "shm/check.h"

/* ---- Handles --------------------------------------------------------------------------------- */

struct graph_stream *eng_stream_new(struct eng_call *call, enum graph_stream_kind kind,
                                    pen_stream *handle)
{
    struct pen_graph *graph = call->graph;
    struct graph_stream *stream = eng_graph_keep(graph, sizeof *stream);

    stream->kind = kind;
    stream->origin = call->origin;
    stream->call = call->title;
    graph->streams = eng_graph_grow(graph->streams, graph->stream_count, &graph->stream_room,
                                    sizeof *graph->streams);
    *handle = (pen_stream){graph, graph->stream_count, 0};
    graph->streams[graph->stream_count++] = stream;
    return stream;
}

static struct graph_stream *stream_find(struct eng_call *call, pen_stream handle)
{
    struct pen_graph *graph = call->graph;

    if (handle.graph != graph) {
        if (!handle.graph)
            eng_call_mistake(call, "one of its streams was never set");
        else
            eng_call_mistake(call, "its streams are of different graphs");
        return NULL;
    }
    if (handle.node >= graph->stream_count) {
        eng_call_mistake(call, "its stream is none that a call of this graph returned");
        return NULL;
    }
    struct graph_stream *stream = graph->streams[handle.node];
    stream->read = true;
    if (stream->kind == GRAPH_STREAM_BAD) {
        call->failed = true;
        return NULL;
    }
    return stream;
}

const struct graph_stream *eng_call_stream(struct eng_call *call, pen_stream handle)
{
    const struct graph_stream *stream = stream_find(call, handle);

    if (stream && stream->kind == GRAPH_STREAM_KEYED) {
        eng_call_mistake(call,
                         "its stream is keyed, and it looks at no key: hand in the stream from "
                         "before %s",
                         stream->call);
        return NULL;
    }
    return stream;
}

const struct graph_stream *eng_call_keyed(struct eng_call *call, pen_keyed keyed)
{
    const struct graph_stream *stream = stream_find(call, keyed.stream);

    if (stream && stream->kind != GRAPH_STREAM_KEYED) {
        eng_call_mistake(call, "its stream has no key: pen_key_by comes before");
        return NULL;
    }
    return stream;
}

static const struct graph_stream *stream_of(pen_stream handle)
{
    if (!handle.graph || handle.node >= handle.graph->stream_count) return NULL;
    const struct graph_stream *stream = handle.graph->streams[handle.node];
    return stream->kind == GRAPH_STREAM_BAD ? NULL : stream;
}

const struct eng_layout *eng_graph_stream_layout(pen_stream handle)
{
    const struct graph_stream *stream = stream_of(handle);
    return stream ? stream->layout : NULL;
}

struct eng_stream_kind eng_graph_stream_kind(pen_stream handle)
{
    const struct graph_stream *stream = stream_of(handle);
    return stream ? stream->rows : (struct eng_stream_kind){0};
}

/* ---- Inputs ---------------------------------------------------------------------------------- */

static void stream_add_input(struct eng_call *call, struct eng_node *node,
                             struct eng_node_input input)
{
    uint32_t count = node->input_count;
    struct eng_node_input *inputs = eng_graph_keep(call->graph, (count + 1) * sizeof *inputs);

    CHECK(input.from_node < node->number);
    if (count > 0) memcpy(inputs, node->inputs, count * sizeof *inputs);
    inputs[count] = input;
    node->inputs = inputs;
    node->input_count = count + 1;
}

/* `input` says what the ways further out have decided. */
static void stream_resolve(struct eng_call *call, struct eng_node *node,
                           const struct graph_stream *stream, struct eng_node_input input)
{
    switch (stream->kind) {
    case GRAPH_STREAM_OUTPUT:
        CHECK(stream->node < call->graph->node_count);
        CHECK(stream->output < call->graph->nodes[stream->node]->output_count);
        CHECK((input.kind == ENG_KEYED) == (input.key != NULL));
        input.from_node = stream->node;
        input.from_output = stream->output;
        stream_add_input(call, node, input);
        return;
    case GRAPH_STREAM_KEYED:
        if (input.kind == ENG_FORWARD) {
            input.kind = ENG_KEYED;
            input.key = stream->key;
            input.key_function = stream->key_function;
        }
        break;
    case GRAPH_STREAM_REBALANCED:
        if (input.kind == ENG_FORWARD) input.kind = ENG_REBALANCE;
        break;
    case GRAPH_STREAM_UNION:
        break;
    case GRAPH_STREAM_BAD:
        CHECK(false); /* absorbed before */
    }
    for (uint32_t i = 0; i < stream->part_count; i++)
        stream_resolve(call, node, call->graph->streams[stream->parts[i]], input);
}

void eng_stream_feed(struct eng_call *call, struct eng_node *node, uint32_t port,
                     const struct graph_stream *stream, enum eng_exchange_kind kind)
{
    CHECK(port == node->port_count);
    CHECK(port < ENG_PORTS_MAX);
    CHECK(stream->layout != NULL);
    node->ports[port] = (struct eng_node_port){
        .layout = stream->layout,
        .stream = stream->rows,
        .key = kind == ENG_BROADCAST ? NULL : stream->key,
    };
    node->port_count++;
    stream_resolve(call, node, stream, (struct eng_node_input){.port = port, .kind = kind});
}

/* How many subtasks the stream comes from is only known for sure where the node says one. */
static bool stream_is_one(const struct eng_call *call, const struct graph_stream *stream)
{
    if (stream->kind != GRAPH_STREAM_OUTPUT) return false;
    return eng_graph_node_of(call->graph->nodes[stream->node])->wanted == 1;
}

const struct graph_stream *eng_stream_sequence(struct eng_call *call,
                                               const struct graph_stream *stream)
{
    struct eng_call sequence = *call;

    if (stream_is_one(call, stream)) return stream;
    sequence.name = "pen_sequence";
    sequence.title = "pen_sequence";
    const char *about = call->about;
    sequence.about = NULL;
    eng_call_about_name(&sequence, about);
    struct eng_node *node = eng_call_node(&sequence, &eng_pass_class, NULL, &(struct eng_common){0},
                                          NULL, stream->layout, stream->rows);
    eng_graph_node_of(node)->wanted = 1;
    node->id = node->title; /* the name is that of the operator which it is for */
    eng_stream_feed(&sequence, node, 0, stream, ENG_FORWARD);
    pen_stream handle = eng_call_streams(&sequence, node, &(struct eng_common){0});
    struct graph_stream *ordered = call->graph->streams[handle.node];
    ordered->read = true;
    return ordered;
}

void eng_call_inserts_only(struct eng_call *call, const struct graph_stream *stream,
                           const char *who, const char *hint)
{
    if (!stream->rows.updating) return;
    eng_call_mistake(call,
                     "the stream is an updating one (rows +I -U +U -D), and %s takes inserts "
                     "only%s%s",
                     who, hint ? ": " : "", hint ? hint : "");
}

/* ---- Ways to read streams -------------------------------------------------------------------- */

static void stream_add_part(struct eng_call *call, struct graph_stream *stream, uint32_t part)
{
    CHECK(part > 0);                             /* a bad stream is absorbed before */
    CHECK(part < call->graph->stream_count - 1); /* so that following parts ends */
    uint32_t *parts = eng_graph_keep(call->graph, (stream->part_count + 1) * sizeof *parts);

    if (stream->part_count > 0) memcpy(parts, stream->parts, stream->part_count * sizeof *parts);
    parts[stream->part_count++] = part;
    stream->parts = parts;
}

pen_stream pen_add_rebalance(pen_stream from, const struct pen_rebalance *given)
{
    struct eng_call call;
    pen_stream handle;

    if (!eng_call_open(&call, from.graph, "pen_rebalance", given, sizeof *given))
        return eng_graph_bad_stream(from.graph);
    const struct graph_stream *part = eng_call_stream(&call, from);
    if (!part) return eng_graph_bad_stream(from.graph);
    struct graph_stream *stream = eng_stream_new(&call, GRAPH_STREAM_REBALANCED, &handle);
    stream->layout = part->layout;
    stream->rows = part->rows;
    stream_add_part(&call, stream, from.node);
    return handle;
}

/* The rows of a union are all that any of them is; only a time must be in all of them. */
static void stream_unite(struct eng_stream_kind *rows, const struct eng_stream_kind *more)
{
    rows->timed &= more->timed;
    rows->updating |= more->updating;
    rows->no_before |= more->no_before;
}

pen_stream pen_add_union(const struct pen_union *given)
{
    struct pen_graph *graph = given->streams ? given->streams[0].graph : NULL;
    struct eng_call call;
    struct pen_union *options = eng_call_open(&call, graph, "pen_union", given, sizeof *options);
    const struct graph_stream *first = NULL;
    uint32_t timed = 0, count = 0;
    struct eng_stream_kind rows = {0};
    char words[64];

    if (!options) return eng_graph_bad_stream(graph);
    for (; options->streams[count].graph; count++) {
        const struct graph_stream *part = eng_call_stream(&call, options->streams[count]);
        if (!part) continue;
        timed += part->rows.timed;
        if (!first) {
            first = part;
            rows = part->rows;
            continue;
        }
        snprintf(words, sizeof words, "stream %u carries", count + 1);
        eng_call_same(&call, first->layout->schema, part->layout->schema,
                      "the first stream carries", words);
        stream_unite(&rows, &part->rows);
    }
    if (call.failed) return eng_graph_bad_stream(graph);
    if (timed > 0 && timed < count)
        eng_graph_warning(
            graph, call.origin,
            "pen_union: only some of its streams have an event time, so the result has "
            "none; call pen_event_time on all of them, or behind the union");
    pen_stream handle;
    struct graph_stream *stream = eng_stream_new(&call, GRAPH_STREAM_UNION, &handle);
    stream->layout = first->layout;
    stream->rows = rows;
    for (uint32_t i = 0; i < count; i++)
        stream_add_part(&call, stream, options->streams[i].node);
    return handle;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* Fields that make no key, told each by its name. */
static void stream_check_key_fields(struct eng_call *call, const struct eng_layout *layout,
                                    const char *const *names, uint32_t count)
{
    char type[48];

    if (count > ENG_KEY_FIELDS_MAX)
        eng_call_mistake(call, "a key has at most %d fields, this one has %u", ENG_KEY_FIELDS_MAX,
                         count);
    for (uint32_t i = 0; i < count; i++) {
        const struct eng_field *field = eng_call_field(call, layout, names[i], NULL);
        if (!field) continue;
        if (field->type == PEN_TYPE_FLOAT || field->type == PEN_TYPE_DOUBLE)
            eng_call_mistake(call,
                             "%s is %s, which makes no key, because equal sums need not be "
                             "equal bits; key by an integer or a text",
                             names[i], eng_call_type(field, type));
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(names[i], names[j]) == 0)
                eng_call_mistake(call, "%s is named twice", names[i]);
    }
}

static void stream_open_key(struct eng_call *call, struct graph_stream *stream,
                            const struct eng_layout *layout, const char *const *names,
                            uint32_t count)
{
    static const char *const none[] = {NULL};
    struct pen_graph *graph = call->graph;
    struct eng_reason reason = {{0}};
    struct eng_key *key = eng_graph_keep(graph, sizeof *key);

    /* NULL would mean all fields: right for a key that a function makes only. */
    if (!stream->key_function && !names) names = none;
    if (eng_key_open(key, layout, names, count, &reason) < 0) {
        eng_call_mistake(call, "%s", reason.text);
        return;
    }
    graph->keys =
        eng_graph_grow(graph->keys, graph->key_count, &graph->key_room, sizeof *graph->keys);
    graph->keys[graph->key_count++] = key;
    stream->key = key;
}

static const struct pen_function *stream_check_key_by(struct eng_call *call,
                                                      const struct pen_key_by *options,
                                                      const struct graph_stream *part)
{
    const struct pen_function *function = NULL;

    if (options->placed_by) eng_call_not_yet(call, ".placed_by");
    if (options->in_place) eng_call_not_yet(call, ".in_place");
    if (options->fields && options->compute)
        eng_call_mistake(call, "the key is made of fields or by a function, not both");
    if (!options->compute) return NULL;
    function = eng_call_function(call, options->compute, PEN_IS_KEY, NULL);
    if (!function) return NULL;
    eng_call_fits(call, "it", function->in, part->layout->schema);
    eng_call_layout(call, function->state, "its key");
    return function;
}

pen_keyed pen_add_key_by(pen_stream from, const struct pen_key_by *given)
{
    pen_keyed bad = {eng_graph_bad_stream(from.graph)}, keyed;
    const char *name = given->compute  ? "pen_key_with"
                       : given->fields ? "pen_key_by"
                                       : "pen_key_all";
    struct eng_call call;
    struct pen_key_by *options = eng_call_open(&call, from.graph, name, given, sizeof *options);
    uint32_t count = 0;

    if (!options) return bad;
    eng_call_about(&call, options->compute);
    const struct graph_stream *part = eng_call_stream(&call, from);
    if (!part) return bad;
    options->fields = eng_call_names(&call, options->fields, &count);
    const struct pen_function *function = stream_check_key_by(&call, options, part);
    stream_check_key_fields(&call, part->layout, options->fields, count);
    if (call.failed) return bad;

    struct graph_stream *stream = eng_stream_new(&call, GRAPH_STREAM_KEYED, &keyed.stream);
    stream->layout = part->layout;
    stream->rows = part->rows;
    stream->key_function = function;
    stream_add_part(&call, stream, from.node);
    if (function)
        stream_open_key(&call, stream, eng_call_layout(&call, function->state, "its key"), NULL, 0);
    else
        stream_open_key(&call, stream, part->layout, options->fields, count);
    if (call.failed) stream->kind = GRAPH_STREAM_BAD;
    return keyed;
}
