/* pen_aggregate: whether the list of aggregates can fill the result, told field by field.
 *
 * Every field of the result comes from the key or from one aggregate. What an aggregate needs and
 * gives stands in one table, the one in penstock/window.h. Whether this version's operator can
 * compute it is the class's to say, in its `prepare`. */
#include <string.h>

#include "engine/job/window_check.h"
#include "engine/operator/operators.h"
#include "engine/operator/window_span.h"
#include "shm/check.h"

/* What the field that an aggregate reads may be. */
enum aggregate_takes { TAKES_NOTHING, TAKES_ANY, TAKES_NUMBER, TAKES_SCALAR, TAKES_TEXT };
/* What the field that it writes must be. */
enum aggregate_gives { GIVES_COUNT, GIVES_SUM, GIVES_DOUBLE, GIVES_SAME, GIVES_TEXT, GIVES_TIME };

static const struct {
    const char *name;
    enum aggregate_takes takes;
    enum aggregate_gives gives;
    bool takes_back; /* a row of an updating stream */
} aggregate_kinds[] = {
    [PEN_AGGREGATE_COUNT] = {"pen_count", TAKES_NOTHING, GIVES_COUNT, true},
    [PEN_AGGREGATE_COUNT_OF] = {"pen_count_of", TAKES_ANY, GIVES_COUNT, true},
    [PEN_AGGREGATE_COUNT_DISTINCT] = {"pen_count_distinct", TAKES_ANY, GIVES_COUNT, true},
    [PEN_AGGREGATE_COUNT_ABOUT] = {"pen_count_about", TAKES_ANY, GIVES_COUNT, false},
    [PEN_AGGREGATE_SUM] = {"pen_sum", TAKES_NUMBER, GIVES_SUM, true},
    [PEN_AGGREGATE_MIN] = {"pen_min", TAKES_SCALAR, GIVES_SAME, true},
    [PEN_AGGREGATE_MAX] = {"pen_max", TAKES_SCALAR, GIVES_SAME, true},
    [PEN_AGGREGATE_MEAN] = {"pen_mean", TAKES_NUMBER, GIVES_DOUBLE, true},
    [PEN_AGGREGATE_VARIANCE] = {"pen_variance", TAKES_NUMBER, GIVES_DOUBLE, true},
    [PEN_AGGREGATE_DEVIATION] = {"pen_deviation", TAKES_NUMBER, GIVES_DOUBLE, true},
    [PEN_AGGREGATE_QUANTILE] = {"pen_quantile", TAKES_NUMBER, GIVES_DOUBLE, false},
    [PEN_AGGREGATE_FIRST] = {"pen_first", TAKES_SCALAR, GIVES_SAME, false},
    [PEN_AGGREGATE_LAST] = {"pen_last", TAKES_SCALAR, GIVES_SAME, false},
    [PEN_AGGREGATE_CONCAT] = {"pen_concat", TAKES_TEXT, GIVES_TEXT, false},
    [PEN_AGGREGATE_WINDOW_START] = {"pen_window_start", TAKES_NOTHING, GIVES_TIME, true},
    [PEN_AGGREGATE_WINDOW_END] = {"pen_window_end", TAKES_NOTHING, GIVES_TIME, true},
    [PEN_AGGREGATE_CUSTOM] = {"pen_custom", TAKES_NOTHING, GIVES_SAME, true},
};
enum { AGGREGATE_KINDS = sizeof aggregate_kinds / sizeof aggregate_kinds[0] };

struct aggregate_check {
    struct eng_call *call;
    const struct pen_aggregation *options;
    const struct eng_layout *in, *out, *key;
    const struct graph_stream *stream;
    const char **filled; /* for each field of the result: by what */
    bool has_custom;
};

/* ---- Types ----------------------------------------------------------------------------------- */

static bool aggregate_is_number(uint32_t type)
{
    return eng_type_is_integer(type) || type == PEN_TYPE_BOOL || type == PEN_TYPE_FLOAT ||
           type == PEN_TYPE_DOUBLE || type == PEN_TYPE_DECIMAL64 || type == PEN_TYPE_DECIMAL128;
}

static bool aggregate_is_text(uint32_t type)
{
    return type == PEN_TYPE_STRING || type == PEN_TYPE_CODE || type == PEN_TYPE_CHARS;
}

static void aggregate_check_from(struct aggregate_check *check, const struct pen_aggregate *wish,
                                 const struct eng_field *from)
{
    const char *wanted = NULL;
    char type[48];

    switch (aggregate_kinds[wish->kind].takes) {
    case TAKES_NOTHING:
        return;
    case TAKES_NUMBER:
        if (!aggregate_is_number(from->type)) wanted = "a number";
        break;
    case TAKES_TEXT:
        if (!aggregate_is_text(from->type)) wanted = "a text";
        break;
    case TAKES_ANY:
    case TAKES_SCALAR:
        break;
    }
    if (!wanted && from->element_count > 1) wanted = "one value, not an array";
    if (!wanted) return;
    eng_call_mistake(check->call, "%s takes %s, and %s is %s", aggregate_kinds[wish->kind].name,
                     wanted, from->name, eng_call_type(from, type));
}

/* The type that the result's field must have, in the words of eng_call_type; `to` has 48 bytes. */
static bool aggregate_gives(const struct pen_aggregate *wish, const struct eng_field *from,
                            const struct eng_field *into, char *to)
{
    struct eng_field bare;
    uint32_t type = 0;

    switch (aggregate_kinds[wish->kind].gives) {
    case GIVES_SAME:
        bare = *from;
        bare.presence_mask = 0;
        eng_call_type(&bare, to);
        return eng_call_types_equal(from, into);
    case GIVES_COUNT:
        type = PEN_TYPE_INT64;
        break;
    case GIVES_SUM:
        type = eng_type_is_integer(from->type) || from->type == PEN_TYPE_BOOL ? PEN_TYPE_INT64
                                                                              : PEN_TYPE_DOUBLE;
        break;
    case GIVES_DOUBLE:
        type = PEN_TYPE_DOUBLE;
        break;
    case GIVES_TEXT:
        type = PEN_TYPE_STRING;
        break;
    case GIVES_TIME:
        type = PEN_TYPE_TIME;
        break;
    }
    snprintf(to, 48, "%s", eng_type_name(type));
    return into->type == type && into->element_count == 1;
}

/* Whether there may be nothing to give: all values null, or all records left out by pen_where. */
static bool aggregate_may_be_null(const struct pen_aggregate *wish, const struct eng_field *from)
{
    enum aggregate_gives gives = aggregate_kinds[wish->kind].gives;

    if (gives == GIVES_COUNT || gives == GIVES_TIME) return false;
    return wish->only || (from && eng_field_nullable(from));
}

static void aggregate_check_into(struct aggregate_check *check, const struct pen_aggregate *wish,
                                 const struct eng_field *from)
{
    const char *name = aggregate_kinds[wish->kind].name;
    const struct eng_field *into = eng_call_field(check->call, check->out, wish->into, name);
    char gives[48], type[48];

    if (!into) return;
    const char **filled = &check->filled[into - check->out->fields];
    if (*filled)
        eng_call_mistake(check->call, "%s is filled twice, by %s and by %s", into->name, *filled,
                         name);
    *filled = name;
    if (aggregate_kinds[wish->kind].takes != TAKES_NOTHING && !from) return;
    if (!aggregate_gives(wish, from, into, gives))
        eng_call_mistake(check->call, "%s gives %s, and %s of %s is %s", name, gives, into->name,
                         check->out->schema->name, eng_call_type(into, type));
    else if (aggregate_may_be_null(wish, from) && !eng_field_nullable(into))
        eng_call_mistake(check->call,
                         "%s of %s may have nothing to give, so %s of %s must be a pen_opt_", name,
                         from ? from->name : wish->only, into->name, check->out->schema->name);
}

/* ---- One aggregate --------------------------------------------------------------------------- */

/* Returns the function as it can be called, for the copy of the list. */
static const struct pen_function *aggregate_check_custom(struct aggregate_check *check,
                                                         const struct pen_aggregate *wish)
{
    struct eng_call *call = check->call;
    const struct pen_function *custom =
        eng_call_function(call, wish->custom, PEN_IS_AGGREGATE, "pen_custom");

    check->has_custom = true;
    if (!custom) return NULL;
    eng_call_fits(call, custom->name, custom->in, check->in->schema);
    eng_call_layout(call, custom->state, "its accumulator");
    if (eng_call_layout(call, custom->out, "what it fills"))
        eng_call_same(call, custom->out, check->out->schema, "pen_custom fills", "the result is");
    if (check->stream->rows.updating && !custom->retract)
        eng_call_mistake(call,
                         "pen_custom %s cannot take a row back, and the stream is an updating "
                         "one: declare it with PEN_AGGREGATE_RETRACTING",
                         custom->name);
    return custom;
}

static void aggregate_check_wish(struct aggregate_check *check, struct pen_aggregate *wish)
{
    struct eng_call *call = check->call;
    const struct eng_field *from = NULL, *only;
    char type[48];

    if ((unsigned)wish->kind >= AGGREGATE_KINDS) {
        eng_call_mistake(
            call, "an aggregate is of kind %u, which this Penstock (" PEN_VERSION ") does not know",
            (unsigned)wish->kind);
        return;
    }
    const char *name = aggregate_kinds[wish->kind].name;
    if (wish->only) {
        only = eng_call_field(call, check->in, wish->only, "pen_where");
        if (only && only->type != PEN_TYPE_BOOL)
            eng_call_mistake(call, "pen_where takes a bool, and %s is %s", only->name,
                             eng_call_type(only, type));
    }
    if (wish->kind == PEN_AGGREGATE_CUSTOM) {
        wish->custom = aggregate_check_custom(check, wish);
        return;
    }
    if (aggregate_kinds[wish->kind].takes != TAKES_NOTHING) {
        from = eng_call_field(call, check->in, wish->from, name);
        if (from) aggregate_check_from(check, wish, from);
    }
    if (aggregate_kinds[wish->kind].gives == GIVES_TIME &&
        check->options->window.kind == PEN_WINDOW_NONE)
        eng_call_mistake(call, "%s needs a .window", name);
    if (wish->kind == PEN_AGGREGATE_QUANTILE && !(wish->parameter >= 0 && wish->parameter <= 1))
        eng_call_mistake(call, "%s: %g is not between 0 and 1", name, wish->parameter);
    if (check->stream->rows.updating && !aggregate_kinds[wish->kind].takes_back)
        eng_call_mistake(call, "%s cannot take a row back, and the stream is an updating one",
                         name);
    aggregate_check_into(check, wish, from);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void aggregate_keep_list(struct eng_call *call, struct pen_aggregation *options)
{
    const struct pen_aggregate *list = options->aggregates;
    uint32_t count = 0;

    while (list && list[count].kind != 0 && count <= ENG_AGGREGATES_MAX)
        count++;
    struct pen_aggregate *copy = eng_graph_keep(call->graph, (count + 1) * sizeof *copy);
    for (uint32_t i = 0; i < count; i++) {
        copy[i] = list[i];
        copy[i].from = eng_graph_keep_text(call->graph, list[i].from);
        copy[i].into = eng_graph_keep_text(call->graph, list[i].into);
        copy[i].only = eng_graph_keep_text(call->graph, list[i].only);
        copy[i].separator = eng_graph_keep_text(call->graph, list[i].separator);
    }
    if (count > ENG_AGGREGATES_MAX)
        eng_call_mistake(call, ".aggregates has more than %d entries; does its list end?",
                         ENG_AGGREGATES_MAX);
    options->aggregates = copy;
}

/* The key's fields go into the fields of the same names, where there are such. */
static void aggregate_check_key(struct aggregate_check *check)
{
    char type_key[48], type_out[48];

    for (uint32_t i = 0; i < check->key->field_count; i++) {
        const struct eng_field *from = &check->key->fields[i];
        const struct eng_field *into = eng_layout_find(check->out, from->name);
        if (!into) continue;
        if (!eng_call_types_equal(from, into)) {
            /* The name may be an aggregate's by chance; then its type is that one's business. */
            bool is_aggregates = false;
            for (const struct pen_aggregate *wish = check->options->aggregates; wish->kind; wish++)
                is_aggregates |= wish->into && strcmp(wish->into, into->name) == 0;
            if (is_aggregates) continue;
            eng_call_mistake(check->call, "%s is %s in the key and %s in %s", into->name,
                             eng_call_type(from, type_key), eng_call_type(into, type_out),
                             check->out->schema->name);
        } else if (eng_field_nullable(from) && !eng_field_nullable(into)) {
            eng_call_mistake(check->call, "%s may be null in the key and cannot be in %s",
                             into->name, check->out->schema->name);
        }
        check->filled[into - check->out->fields] = "the key";
    }
}

static void aggregate_check_forgotten(struct aggregate_check *check)
{
    if (check->has_custom) return; /* it fills what it likes */
    for (uint32_t i = 0; i < check->out->field_count; i++)
        if (!check->filled[i])
            eng_call_mistake(check->call,
                             "%s of %s is filled by no aggregate and is no field of the "
                             "key",
                             check->out->fields[i].name, check->out->schema->name);
}

/* Options that say something about windows, without one. */
static void aggregate_check_without(struct eng_call *call, const struct pen_aggregation *options)
{
    if (options->early_every || options->early_count || options->trigger || options->purge)
        eng_call_mistake(call, "when it fires is said without a .window that could fire");
    if (options->allowed_lateness || options->late)
        eng_call_mistake(call, "late records are spoken of without a .window to be late for");
    if (options->updating)
        eng_call_mistake(call, ".updating is about windows; without one the result always is");
    if (options->ttl != 0) eng_call_not_yet(call, ".ttl");
    if (options->update_every != 0) eng_call_not_yet(call, ".update_every");
}

/* The window, when it fires, and what is said about aggregates without one. */
static void aggregate_check_with(struct eng_call *call, struct pen_aggregation *options,
                                 const struct graph_stream *stream)
{
    struct eng_firing firing = ENG_FIRING_OF(options);

    eng_call_window(call, &options->window, stream);
    eng_call_firing(call, &firing, &options->window, stream, options->late != NULL);
    if (options->ttl != 0)
        eng_call_mistake(call, ".ttl is for an aggregate without a window; a window forgets its "
                               "keys when it is over");
    if (options->update_every != 0)
        eng_call_mistake(call, ".update_every is for an aggregate without a window");
    if (options->no_before && options->allowed_lateness == 0 && !options->updating)
        eng_call_mistake(call, ".no_before says something about an updating result, and this one "
                               "has inserts only: there is no .allowed_lateness");
    if (!eng_window_is_aligned(options->window.kind))
        eng_call_not_yet(call, ".window of this kind");
    if (options->early_every || options->early_count) eng_call_not_yet(call, "early firings");
    if (options->trigger) eng_call_not_yet(call, ".trigger");
    if (options->purge) eng_call_not_yet(call, ".purge");
    if (options->updating) eng_call_not_yet(call, ".updating");
}

/* What the rows of the result are. By the clock they have times of its own. */
static struct eng_stream_kind aggregate_rows(const struct pen_aggregation *options,
                                             const struct graph_stream *stream)
{
    bool has_window = options->window.kind != PEN_WINDOW_NONE;
    bool by_clock = has_window && options->window.clock == PEN_CLOCK_TIME;

    return (struct eng_stream_kind){.timed = stream->rows.timed || by_clock,
                                    .updating = !has_window || options->allowed_lateness > 0,
                                    .no_before = options->no_before};
}

static void aggregate_check(struct eng_call *call, struct pen_aggregation *options,
                            const struct graph_stream *stream, const struct eng_layout *out)
{
    struct aggregate_check check = {
        .call = call,
        .options = options,
        .in = stream->layout,
        .out = out,
        .key = &stream->key->layout,
        .stream = stream,
        .filled = eng_graph_keep(call->graph, out->field_count * sizeof(char *)),
    };

    eng_call_about_name(call, out->schema->name);
    aggregate_check_key(&check);
    for (uint32_t i = 0; options->aggregates[i].kind; i++)
        aggregate_check_wish(&check, (struct pen_aggregate *)(uintptr_t)&options->aggregates[i]);
    aggregate_check_forgotten(&check);
}

pen_stream pen_add_aggregate(pen_keyed from, const struct pen_aggregation *given)
{
    static const char *const counters[] = {"late", NULL};
    struct pen_graph *graph = from.stream.graph;
    struct eng_call call;
    struct pen_aggregation *options =
        eng_call_open(&call, graph, "pen_aggregate", given, sizeof *options);
    const struct pen_side *side = NULL;

    if (!options) return eng_graph_bad_stream(graph);
    struct eng_common common = {.id = &options->id,
                                .parallelism = &options->parallelism,
                                .side = &side,
                                .group = &options->group};
    bool has_window = options->window.kind != PEN_WINDOW_NONE;
    aggregate_keep_list(&call, options);
    if (options->late) *options->late = eng_graph_bad_stream(graph);
    const struct graph_stream *stream = eng_call_keyed(&call, from);
    if (!stream) return eng_graph_bad_stream(graph);

    const struct eng_layout *out = eng_call_layout(&call, options->out, "its result");
    if (out) aggregate_check(&call, options, stream, out);
    if (stream->rows.no_before)
        eng_call_mistake(&call, "the stream goes without PEN_UPDATE_BEFORE (.no_before), and an "
                                "aggregate needs it to take rows back");
    if (has_window)
        aggregate_check_with(&call, options, stream);
    else
        aggregate_check_without(&call, options);
    side = eng_call_add_late(&call, side, options->late, stream);
    options->late = NULL; /* the caller's variable is gone when the graph is used */
    eng_call_common(&call, &common);
    if (call.failed) return eng_call_give_up(&call, &common);

    struct eng_node *node =
        eng_call_node(&call, has_window ? &eng_slices_class : &eng_aggregate_class, options,
                      &common, NULL, out, aggregate_rows(options, stream));
    if (side) eng_call_late_rows(node, stream);
    if (has_window) {
        node->counters = counters;
        node->counter_count = 1;
    }
    eng_graph_node_of(node)->has_state = true;
    eng_stream_feed(&call, node, 0, stream, ENG_FORWARD);
    return eng_call_streams(&call, node, &common);
}
