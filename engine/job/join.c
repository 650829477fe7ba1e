/* pen_join, pen_interval_join, pen_temporal_join: whether the two streams can be joined so, and
 * what the rows of the result are. What each join does stands on top of engine/operator/join_*.c.
 */
#include <string.h>

#include "engine/job/window_check.h"
#include "engine/operator/operators.h"
#include "engine/operator/window_span.h"

struct join_call {
    struct eng_call call;
    struct pen_join *options;
    const struct graph_stream *left, *right;
};

/* ---- Streams --------------------------------------------------------------------------------- */

static void join_check_times(struct join_call *join, const char *why)
{
    const struct graph_stream *streams[] = {join->left, join->right};

    for (uint32_t i = 0; i < 2; i++)
        if (!streams[i]->rows.timed)
            eng_call_mistake(&join->call,
                             "%s, and the %s stream has no event time: put pen_event_time before "
                             "it",
                             why, i == 0 ? "left" : "right");
}

static void join_check_inserts(struct join_call *join, const struct graph_stream *stream,
                               const char *side)
{
    if (stream->rows.updating)
        eng_call_mistake(&join->call,
                         "the %s stream is an updating one (rows +I -U +U -D), and %s takes "
                         "inserts only there",
                         side, join->options->window.kind ? "a join with a window" : "this join");
}

static void join_check_before(struct join_call *join, const struct graph_stream *stream,
                              const char *side)
{
    if (stream->rows.no_before)
        eng_call_mistake(&join->call,
                         "the %s stream goes without PEN_UPDATE_BEFORE (.no_before), and the join "
                         "needs it to know which row an update replaces",
                         side);
}

/* ---- Kinds ----------------------------------------------------------------------------------- */

/* Options that belong to other kinds. */
static void join_check_strange(struct join_call *join)
{
    const struct pen_join *options = join->options;
    bool regular = options->kind == PEN_JOIN_ALL;

    if (options->kind != PEN_JOIN_INTERVAL && (options->from != 0 || options->to != 0))
        eng_call_mistake(&join->call, ".from and .to are for pen_interval_join");
    if (options->kind != PEN_JOIN_TEMPORAL && options->valid_for != 0)
        eng_call_mistake(&join->call, ".valid_for is for pen_temporal_join");
    if (!regular && options->window.kind != PEN_WINDOW_NONE)
        eng_call_mistake(&join->call, ".window is for pen_join");
    if (options->ttl < 0) eng_call_mistake(&join->call, ".ttl is less than 0");
    if (options->ttl != 0 && (!regular || options->window.kind != PEN_WINDOW_NONE))
        eng_call_mistake(&join->call, ".ttl is for pen_join without a .window; %s",
                         regular ? "a window forgets its records when it is over"
                                 : "this join forgets by itself what is over");
    if (options->ttl == 0 && options->ttl_clock != 0)
        eng_call_mistake(&join->call, ".ttl_clock says something about .ttl, which is not set");
    if (options->ttl_since != PEN_SINCE_WRITE)
        eng_call_mistake(&join->call, ".ttl_since: rows of a join live since they came, whoever "
                                      "reads them");
    if (options->uses && options->uses[0])
        eng_call_mistake(&join->call, ".uses: what a join's function gives depends on the two "
                                      "records only, so that it can be taken back");
    if (options->outer > PEN_OUTER_BOTH)
        eng_call_mistake(&join->call, ".outer is %u, and none of PEN_OUTER_",
                         (unsigned)options->outer);
}

static struct eng_stream_kind join_regular(struct join_call *join)
{
    const struct pen_join *options = join->options;
    struct eng_stream_kind rows = {
        .timed = join->left->rows.timed && join->right->rows.timed,
        .updating = join->left->rows.updating || join->right->rows.updating ||
                    options->outer != PEN_OUTER_NONE,
        .no_before = options->no_before,
    };

    join_check_before(join, join->left, "left");
    join_check_before(join, join->right, "right");
    if (options->ttl > 0 && options->ttl_clock == PEN_EVENT_TIME)
        join_check_times(join, ".ttl goes by event time (else write .ttl_clock = PEN_CLOCK_TIME)");
    if (options->no_before && !rows.updating)
        eng_call_mistake(&join->call, ".no_before says something about an updating result, and "
                                      "this one has inserts only");
    return rows;
}

static struct eng_stream_kind join_window(struct join_call *join)
{
    struct pen_window *window = &join->options->window;

    eng_call_window(&join->call, window, join->left);
    if (window->kind == PEN_WINDOW_ATTACHED ||
        (window->clock == PEN_EVENT_TIME && !join->right->rows.timed && join->left->rows.timed))
        eng_call_window(&join->call, window, join->right);
    if (!join->call.failed && !eng_window_is_aligned(window->kind) &&
        window->kind != PEN_WINDOW_ATTACHED)
        eng_call_mistake(&join->call, "its .window is none that both streams share: a join takes "
                                      "tumbling, sliding, cumulating, calendar and attached "
                                      "windows");
    if (window->kind == PEN_WINDOW_ATTACHED && window->clock == PEN_CLOCK_TIME)
        eng_call_mistake(&join->call, ".window: an attached window goes by event time");
    join_check_inserts(join, join->left, "left");
    join_check_inserts(join, join->right, "right");
    return (struct eng_stream_kind){.timed = true};
}

static struct eng_stream_kind join_interval(struct join_call *join)
{
    join_check_times(join, "partners are found by their event times");
    join_check_inserts(join, join->left, "left");
    join_check_inserts(join, join->right, "right");
    if (join->options->from > join->options->to)
        eng_call_mistake(&join->call, ".from is larger than .to, so nothing lies between them");
    return (struct eng_stream_kind){.timed = true};
}

static struct eng_stream_kind join_temporal(struct join_call *join)
{
    const struct pen_join *options = join->options;

    join_check_times(join, "versions are found by their event times");
    join_check_inserts(join, join->left, "left");
    if (options->valid_for < 0) eng_call_mistake(&join->call, ".valid_for is less than 0");
    if (options->outer == PEN_OUTER_RIGHT || options->outer == PEN_OUTER_BOTH)
        eng_call_mistake(&join->call, ".outer: versions that no record asks for are not given; "
                                      "only PEN_OUTER_LEFT has a meaning here");
    return (struct eng_stream_kind){.timed = true};
}

static const struct eng_class *join_check_kind(struct join_call *join, struct eng_stream_kind *rows)
{
    const struct pen_join *options = join->options;
    bool updating = options->kind == PEN_JOIN_ALL && options->window.kind == PEN_WINDOW_NONE;

    if (options->no_before && !updating)
        eng_call_mistake(&join->call, ".no_before says something about an updating result, and "
                                      "this one has inserts only");
    switch (options->kind) {
    case PEN_JOIN_INTERVAL:
        *rows = join_interval(join);
        return &eng_join_interval_class;
    case PEN_JOIN_TEMPORAL:
        *rows = join_temporal(join);
        return &eng_join_temporal_class;
    case PEN_JOIN_ALL:
        *rows = updating ? join_regular(join) : join_window(join);
        return updating ? &eng_join_regular_class : &eng_join_window_class;
    }
    eng_call_mistake(&join->call, "its .kind is %u, and none of PEN_JOIN_",
                     (unsigned)options->kind);
    return NULL;
}

/* ---- The call -------------------------------------------------------------------------------- */

/* Late records of windows are counted, behind the counters of the user, if there is room. */
static void join_count_late(struct eng_call *call, struct eng_node *node)
{
    uint32_t count = node->counter_count;

    for (uint32_t i = 0; i < count; i++)
        if (strcmp(node->counters[i], "late") == 0) return; /* it is the user's word */
    if (count >= ENG_COUNTERS_MAX) return;
    const char **names = eng_graph_keep(call->graph, (count + 2) * sizeof *names);
    if (count > 0) memcpy(names, node->counters, count * sizeof *names);
    names[count] = "late";
    node->counters = names;
    node->counter_count = count + 1;
}

pen_stream pen_add_join(pen_keyed left_from, pen_keyed right_from, const struct pen_join *given)
{
    struct pen_graph *graph = left_from.stream.graph;
    const char *name = given->kind == PEN_JOIN_INTERVAL   ? "pen_interval_join"
                       : given->kind == PEN_JOIN_TEMPORAL ? "pen_temporal_join"
                                                          : "pen_join";
    struct join_call join = {0};
    struct eng_call *call = &join.call;
    struct eng_reason reason = {{0}};
    struct pen_join *options = eng_call_open(call, graph, name, given, sizeof *options);

    if (!options) return eng_graph_bad_stream(graph);
    struct eng_common common = ENG_COMMON_OF(options);
    eng_call_about(call, options->match);
    join.options = options;
    join.left = eng_call_keyed(call, left_from);
    join.right = eng_call_keyed(call, right_from);
    if (!join.left || !join.right) return eng_call_give_up(call, &common);
    const struct pen_function *match = eng_call_function(call, options->match, PEN_IS_JOIN, NULL);
    const struct eng_layout *out = match ? eng_call_layout(call, match->out, "its result") : NULL;
    if (match) {
        eng_call_fits(call, "on the left it", match->in, join.left->layout->schema);
        eng_call_fits(call, "on the right it", match->other, join.right->layout->schema);
    }
    if (eng_key_match(join.left->key, join.right->key, &reason) < 0)
        eng_call_mistake(call, "its streams are not keyed alike: %s", reason.text);
    join_check_strange(&join);
    struct eng_stream_kind rows = {0};
    const struct eng_class *class = join_check_kind(&join, &rows);
    eng_call_common(call, &common);
    if (call->failed) return eng_call_give_up(call, &common);

    struct eng_node *node = eng_call_node(call, class, options, &common, match, out, rows);
    eng_graph_node_of(node)->has_state = true;
    if (options->window.kind != PEN_WINDOW_NONE) join_count_late(call, node);
    eng_stream_feed(call, node, 0, join.left, ENG_FORWARD);
    eng_stream_feed(call, node, 1, join.right, ENG_FORWARD);
    return eng_call_streams(call, node, &common);
}
