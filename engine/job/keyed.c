/* pen_process, pen_process_two, pen_process_broadcast. */
#include <string.h>

#include "engine/job/stream.h"
#include "engine/operator/operators.h"

/* What the three have in common, once the call is open. */
struct keyed_call {
    struct eng_call call;
    struct pen_process *options;
    struct eng_common common;
    const struct eng_layout *out;
};

static bool keyed_open(struct keyed_call *keyed, struct pen_graph *graph, const char *name,
                       const struct pen_process *given)
{
    keyed->options = eng_call_open(&keyed->call, graph, name, given, sizeof *given);
    if (!keyed->options) return false;
    keyed->common = ENG_COMMON_OF(keyed->options);
    keyed->out = NULL;
    eng_call_about(&keyed->call, keyed->options->on_left);
    return true;
}

static void keyed_check_rows(struct keyed_call *keyed, const struct graph_stream *stream,
                             const char *who)
{
    if (keyed->options->takes_updates) return;
    eng_call_inserts_only(&keyed->call, stream, who,
                          "write .takes_updates = true if it looks at pen_row");
}

/* The function about the records of the left stream, and the options of all. */
static void keyed_check_left(struct keyed_call *keyed, const struct graph_stream *stream)
{
    struct pen_process *options = keyed->options;
    struct eng_call *call = &keyed->call;

    options->on_left = eng_call_function(call, options->on_left, PEN_IS_PROCESS, NULL);
    if (options->on_left) {
        eng_call_fits(call, "it", options->on_left->in, stream->layout->schema);
        eng_call_layout(call, options->on_left->state, "its state");
        keyed->out = eng_call_layout(call, options->on_left->out, "its result");
    }
    keyed_check_rows(keyed, stream, "it");
    if (options->ttl < 0) eng_call_mistake(call, ".ttl is below zero");
    if (options->ttl > 0 && options->ttl_clock == PEN_EVENT_TIME && !stream->rows.timed)
        eng_call_mistake(call,
                         ".ttl is by event time, and its records have none: put pen_event_time "
                         "before it, or say .ttl_clock = PEN_CLOCK_TIME");
    if (options->no_before && !options->gives_updates)
        eng_call_mistake(call, ".no_before says something about .gives_updates, which is not set");
    if (!options->on_timer) return;
    options->on_timer = eng_call_function(call, options->on_timer, PEN_IS_TIMER, ".on_timer");
    if (options->on_timer && options->on_left)
        eng_call_same(call, options->on_left->state, options->on_timer->state, "it has the state",
                      ".on_timer");
}

static struct eng_stream_kind keyed_rows(const struct keyed_call *keyed, bool timed)
{
    const struct pen_process *options = keyed->options;
    return (struct eng_stream_kind){
        .timed = timed, .updating = options->gives_updates, .no_before = options->no_before};
}

static struct eng_node *keyed_node(struct keyed_call *keyed, const struct eng_class *class,
                                   bool timed)
{
    struct eng_node *node =
        eng_call_node(&keyed->call, class, keyed->options, &keyed->common, keyed->options->on_left,
                      keyed->out, keyed_rows(keyed, timed));
    eng_graph_node_of(node)->has_state = true;
    return node;
}

pen_stream pen_add_process(pen_keyed from, const struct pen_process *given)
{
    struct keyed_call keyed;

    if (!keyed_open(&keyed, from.stream.graph, "pen_process", given))
        return eng_graph_bad_stream(from.stream.graph);
    const struct graph_stream *stream = eng_call_keyed(&keyed.call, from);
    if (!stream) return eng_call_give_up(&keyed.call, &keyed.common);
    keyed_check_left(&keyed, stream);
    if (keyed.options->on_right)
        eng_call_mistake(&keyed.call, ".on_right is for pen_process_two, which has a right stream");
    eng_call_common(&keyed.call, &keyed.common);
    if (keyed.call.failed) return eng_call_give_up(&keyed.call, &keyed.common);

    struct eng_node *node = keyed_node(&keyed, &eng_process_class, stream->rows.timed);
    eng_stream_feed(&keyed.call, node, 0, stream, ENG_FORWARD);
    return eng_call_streams(&keyed.call, node, &keyed.common);
}

/* Two streams that share the state of a key: everything but the records is the same. */
static void keyed_check_two(struct keyed_call *keyed, const struct graph_stream *left,
                            const struct graph_stream *right)
{
    struct pen_process *options = keyed->options;
    struct eng_call *call = &keyed->call;
    struct eng_reason reason = {{0}};

    options->on_right = eng_call_function(call, options->on_right, PEN_IS_PROCESS, "on_right");
    if (options->on_right) {
        eng_call_fits(call, "on_right", options->on_right->in, right->layout->schema);
        eng_call_layout(call, options->on_right->state, "the state of on_right");
        eng_call_layout(call, options->on_right->out, "the result of on_right");
    }
    if (options->on_left && options->on_right && !call->failed) {
        eng_call_same(call, options->on_left->state, options->on_right->state,
                      "the two functions share a state: the left has", "the right");
        eng_call_same(call, options->on_left->out, options->on_right->out,
                      "the two functions give one type: the left gives", "the right");
    }
    keyed_check_rows(keyed, right, "on_right");
    if (eng_key_match(left->key, right->key, &reason) < 0)
        eng_call_mistake(call, "its streams are not keyed alike: %s", reason.text);
}

pen_stream pen_add_process_two(pen_keyed left_from, pen_keyed right_from,
                               const struct pen_process *given)
{
    struct keyed_call keyed;

    if (!keyed_open(&keyed, left_from.stream.graph, "pen_process_two", given))
        return eng_graph_bad_stream(left_from.stream.graph);
    const struct graph_stream *left = eng_call_keyed(&keyed.call, left_from);
    const struct graph_stream *right = eng_call_keyed(&keyed.call, right_from);
    if (!left || !right) return eng_call_give_up(&keyed.call, &keyed.common);
    keyed_check_left(&keyed, left);
    keyed_check_two(&keyed, left, right);
    eng_call_common(&keyed.call, &keyed.common);
    if (keyed.call.failed) return eng_call_give_up(&keyed.call, &keyed.common);

    /* Records without a time give results without one, so both must have it. */
    struct eng_node *node =
        keyed_node(&keyed, &eng_process_two_class, left->rows.timed && right->rows.timed);
    eng_stream_feed(&keyed.call, node, 0, left, ENG_FORWARD);
    eng_stream_feed(&keyed.call, node, 1, right, ENG_FORWARD);
    return eng_call_streams(&keyed.call, node, &keyed.common);
}

pen_stream pen_add_process_broadcast(pen_keyed from, pen_stream rules_from,
                                     const struct pen_process *given)
{
    struct keyed_call keyed;

    if (!keyed_open(&keyed, from.stream.graph, "pen_process_broadcast", given))
        return eng_graph_bad_stream(from.stream.graph);
    struct eng_call *call = &keyed.call;
    const struct graph_stream *stream = eng_call_keyed(call, from);
    const struct graph_stream *rules = eng_call_stream(call, rules_from);
    if (!stream || !rules) return eng_call_give_up(call, &keyed.common);
    keyed_check_left(&keyed, stream);
    struct pen_process *options = keyed.options;
    options->on_right = eng_call_function(call, options->on_right, PEN_IS_RULE, "on_rule");
    if (options->on_right)
        eng_call_fits(call, "on_rule", options->on_right->in, rules->layout->schema);
    eng_call_inserts_only(call, rules, "on_rule", NULL);
    eng_call_common(call, &keyed.common);
    if (call->failed) return eng_call_give_up(call, &keyed.common);

    rules = eng_stream_sequence(call, rules);
    struct eng_node *node = keyed_node(&keyed, &eng_process_two_class, stream->rows.timed);
    eng_stream_feed(call, node, 0, stream, ENG_FORWARD);
    eng_stream_feed(call, node, 1, rules, ENG_BROADCAST);
    return eng_call_streams(call, node, &keyed.common);
}
