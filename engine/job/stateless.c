/* pen_map, pen_filter, pen_project, pen_event_time, pen_map_broadcast. They hand the row kind on.
 */
#include <string.h>

#include "engine/job/stream.h"
#include "engine/operator/operators.h"
#include "engine/operator/splits.h"

pen_stream pen_add_map(pen_stream from, const struct pen_map *given)
{
    struct eng_call call;
    struct pen_map *options = eng_call_open(&call, from.graph, "pen_map", given, sizeof *options);

    if (!options) return eng_graph_bad_stream(from.graph);
    struct eng_common common = ENG_COMMON_OF(options);
    eng_call_about(&call, options->each);
    const struct graph_stream *stream = eng_call_stream(&call, from);
    if (!stream) return eng_call_give_up(&call, &common);

    const struct eng_layout *out = eng_call_each(&call, &options->each, stream->layout);
    if (options->on_rule)
        eng_call_mistake(&call, ".on_rule is for pen_map_broadcast, which has a stream of rules");
    eng_call_common(&call, &common);
    if (call.failed) return eng_call_give_up(&call, &common);

    struct eng_node *node =
        eng_call_node(&call, &eng_map_class, options, &common, options->each, out, stream->rows);
    eng_stream_feed(&call, node, 0, stream, ENG_FORWARD);
    return eng_call_streams(&call, node, &common);
}

pen_stream pen_add_map_broadcast(pen_stream from, pen_stream rules_from,
                                 const struct pen_map *given)
{
    struct eng_call call;
    struct pen_map *options =
        eng_call_open(&call, from.graph, "pen_map_broadcast", given, sizeof *options);

    if (!options) return eng_graph_bad_stream(from.graph);
    struct eng_common common = ENG_COMMON_OF(options);
    eng_call_about(&call, options->each);
    const struct graph_stream *stream = eng_call_stream(&call, from);
    const struct graph_stream *rules = eng_call_stream(&call, rules_from);
    if (!stream || !rules) return eng_call_give_up(&call, &common);

    const struct eng_layout *out = eng_call_each(&call, &options->each, stream->layout);
    options->on_rule = eng_call_function(&call, options->on_rule, PEN_IS_RULE, "on_rule");
    if (options->on_rule)
        eng_call_fits(&call, "on_rule", options->on_rule->in, rules->layout->schema);
    eng_call_inserts_only(&call, rules, "on_rule", NULL);
    eng_call_common(&call, &common);
    if (call.failed) return eng_call_give_up(&call, &common);

    rules = eng_stream_sequence(&call, rules);
    struct eng_node *node = eng_call_node(&call, &eng_map_broadcast_class, options, &common,
                                          options->each, out, stream->rows);
    eng_stream_feed(&call, node, 0, stream, ENG_FORWARD);
    eng_stream_feed(&call, node, 1, rules, ENG_BROADCAST);
    return eng_call_streams(&call, node, &common);
}

pen_stream pen_add_filter(pen_stream from, const struct pen_filter *given)
{
    struct eng_call call;
    struct pen_filter *options =
        eng_call_open(&call, from.graph, "pen_filter", given, sizeof *options);

    if (!options) return eng_graph_bad_stream(from.graph);
    struct eng_common common = {
        .id = &options->id, .parallelism = &options->parallelism, .group = &options->group};
    eng_call_about(&call, options->keep);
    const struct graph_stream *stream = eng_call_stream(&call, from);
    if (!stream) return eng_call_give_up(&call, NULL);

    options->keep = eng_call_function(&call, options->keep, PEN_IS_FILTER, NULL);
    if (options->keep) eng_call_fits(&call, "it", options->keep->in, stream->layout->schema);
    eng_call_common(&call, &common);
    if (call.failed) return eng_call_give_up(&call, NULL);

    struct eng_node *node = eng_call_node(&call, &eng_filter_class, options, &common, options->keep,
                                          stream->layout, stream->rows);
    eng_stream_feed(&call, node, 0, stream, ENG_FORWARD);
    return eng_call_streams(&call, node, &common);
}

/* ---- Project --------------------------------------------------------------------------------- */

/* Each field of the result comes from the field of the same name and type. */
static void stateless_check_project(struct eng_call *call, const struct eng_layout *in,
                                    const struct eng_layout *out)
{
    char type_in[48], type_out[48];

    for (uint32_t i = 0; i < out->field_count; i++) {
        const struct eng_field *into = &out->fields[i];
        const struct eng_field *from = eng_call_field(call, in, into->name, NULL);
        if (!from) continue;
        if (!eng_call_types_equal(from, into))
            eng_call_mistake(call, "%s is %s in %s and %s in %s", into->name,
                             eng_call_type(from, type_in), in->schema->name,
                             eng_call_type(into, type_out), out->schema->name);
        else if (eng_field_nullable(from) && !eng_field_nullable(into))
            eng_call_mistake(call, "%s may be null in %s and cannot be in %s", into->name,
                             in->schema->name, out->schema->name);
    }
}

pen_stream pen_add_project(pen_stream from, const struct pen_project *given)
{
    struct eng_call call;
    struct pen_project *options =
        eng_call_open(&call, from.graph, "pen_project", given, sizeof *options);

    if (!options) return eng_graph_bad_stream(from.graph);
    struct eng_common common = {.id = &options->id};
    const struct graph_stream *stream = eng_call_stream(&call, from);
    if (!stream) return eng_call_give_up(&call, NULL);

    const struct eng_layout *out = eng_call_layout(&call, options->out, "its result");
    if (out) {
        eng_call_about_name(&call, out->schema->name);
        stateless_check_project(&call, stream->layout, out);
    }
    eng_call_common(&call, &common);
    if (call.failed) return eng_call_give_up(&call, NULL);

    struct eng_node *node =
        eng_call_node(&call, &eng_project_class, options, &common, NULL, out, stream->rows);
    eng_stream_feed(&call, node, 0, stream, ENG_FORWARD);
    return eng_call_streams(&call, node, &common);
}

/* ---- Event time ------------------------------------------------------------------------------ */

/* Whether nothing lies between a source and the stream that would mix up its splits. */
static bool stateless_is_of_source(const struct pen_graph *graph, const struct graph_stream *stream)
{
    if (stream->kind != GRAPH_STREAM_OUTPUT) return false;
    const struct eng_node *node = graph->nodes[stream->node];

    while (node->port_count > 0) {
        if (!eng_splits_pass(node->class) || node->input_count != 1) return false;
        if (node->inputs[0].kind != ENG_FORWARD) return false;
        node = graph->nodes[node->inputs[0].from_node];
    }
    return true;
}

static void stateless_check_splits(struct eng_call *call, const struct pen_event_time *options,
                                   const struct graph_stream *stream)
{
    if (options->ahead_max < 0) eng_call_mistake(call, ".ahead_max is negative");
    if (stateless_is_of_source(call->graph, stream)) return;
    const char *option = options->ahead_max > 0    ? ".ahead_max"
                         : options->splits_overlap ? ".splits_overlap"
                                                   : NULL;
    if (option)
        eng_call_mistake(call,
                         "%s is about the splits of a source: it works right behind one, with "
                         "nothing but pen_map, pen_filter and pen_project in between",
                         option);
}

static void stateless_check_times(struct eng_call *call, const struct pen_event_time *options,
                                  const struct eng_layout *layout)
{
    char type[48];

    const struct eng_field *field = eng_call_field(call, layout, options->field, NULL);
    if (field && field->type != PEN_TYPE_TIME)
        eng_call_mistake(call, "%s is %s; the event time is a pen_time", field->name,
                         eng_call_type(field, type));
    else if (field && eng_field_nullable(field))
        eng_call_mistake(call,
                         "%s may be null, and every record needs an event time: pen_filter or "
                         "pen_map comes before",
                         field->name);
    if (options->watermark) {
        field = eng_call_field(call, layout, options->watermark, ".watermark");
        if (field && field->type != PEN_TYPE_TIME)
            eng_call_mistake(call, ".watermark: %s is %s; it must be a pen_opt_time", field->name,
                             eng_call_type(field, type));
        if (options->out_of_order != 0)
            eng_call_mistake(call, ".watermark comes instead of .out_of_order, not with it");
    }
    if (options->out_of_order < 0) eng_call_mistake(call, ".out_of_order is negative");
    if (options->idle_after < 0) eng_call_mistake(call, ".idle_after is negative");
}

/* It is where its records come from, so that it sees them split by split: as many subtasks, in the
 * same group, and in the helper of a source that may block. */
static void stateless_stay(struct eng_node *node, const struct pen_graph *graph,
                           const struct graph_stream *stream)
{
    if (stream->kind != GRAPH_STREAM_OUTPUT) return;
    struct eng_node *from = graph->nodes[stream->node];

    eng_graph_node_of(node)->wanted = eng_graph_node_of(from)->wanted;
    node->group = from->group;
    if (from->port_count == 0 || from->class == &eng_event_time_class)
        node->blocking = from->blocking;
}

pen_stream pen_add_event_time(pen_stream from, const struct pen_event_time *given)
{
    struct eng_call call;
    struct pen_event_time *options =
        eng_call_open(&call, from.graph, "pen_event_time", given, sizeof *options);

    if (!options) return eng_graph_bad_stream(from.graph);
    struct eng_common common = {.id = &options->id};
    options->field = eng_graph_keep_text(from.graph, options->field);
    options->watermark = eng_graph_keep_text(from.graph, options->watermark);
    eng_call_about_name(&call, options->field);
    const struct graph_stream *stream = eng_call_stream(&call, from);
    if (!stream) return eng_call_give_up(&call, NULL);

    stateless_check_times(&call, options, stream->layout);
    stateless_check_splits(&call, options, stream);
    eng_call_common(&call, &common);
    if (call.failed) return eng_call_give_up(&call, NULL);

    struct eng_stream_kind rows = stream->rows;
    rows.timed = true;
    struct eng_node *node =
        eng_call_node(&call, &eng_event_time_class, options, &common, NULL, stream->layout, rows);
    stateless_stay(node, call.graph, stream);
    eng_stream_feed(&call, node, 0, stream, ENG_FORWARD);
    return eng_call_streams(&call, node, &common);
}
