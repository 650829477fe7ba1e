/* The second half of a call: options that all operators have, and the node. */
#include <string.h>

#include "engine/flow/states.h"
#include "engine/job/call.h"
#include "engine/job/stream.h"
#include "shm/check.h"

/* ---- Options --------------------------------------------------------------------------------- */

const char *const *eng_call_names(struct eng_call *call, const char *const *names, uint32_t *count)
{
    uint32_t names_count = 0;

    *count = 0;
    if (!names) return NULL;
    while (names[names_count])
        names_count++;
    const char **copy = eng_graph_keep(call->graph, (names_count + 1) * sizeof *copy);
    for (uint32_t i = 0; i < names_count; i++)
        copy[i] = eng_graph_keep_text(call->graph, names[i]);
    *count = names_count;
    return copy;
}

static void call_check_id(struct eng_call *call, const char **id)
{
    if (!*id) return;
    *id = eng_graph_keep_text(call->graph, *id);
    if (!**id) eng_call_mistake(call, ".id is empty");
    if (strlen(*id) > ENG_ID_BYTES_MAX)
        eng_call_mistake(call, ".id has %zu bytes, and %d at most are allowed", strlen(*id),
                         ENG_ID_BYTES_MAX);
    for (const char *at = *id; *at; at++) {
        if ((unsigned char)*at >= ' ' && *at != 127) continue;
        eng_call_mistake(call, ".id has a character that cannot be shown");
        return;
    }
}

static void call_check_counters(struct eng_call *call, const char *const **counters)
{
    uint32_t count;

    *counters = eng_call_names(call, *counters, &count);
    if (count > ENG_COUNTERS_MAX)
        eng_call_mistake(call, ".counters has %u names, and %d at most are counted", count,
                         ENG_COUNTERS_MAX);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (strcmp((*counters)[i], (*counters)[j]) == 0)
                eng_call_mistake(call, ".counters has %s twice", (*counters)[i]);
}

static uint32_t call_side_count(const struct pen_side *side)
{
    uint32_t count = 0;

    while (side && (side[count].name || side[count].schema || side[count].stream))
        count++;
    return count;
}

static void call_check_sides(struct eng_call *call, const struct pen_side **side)
{
    uint32_t count = call_side_count(*side);

    if (!*side) return;
    struct pen_side *copy = eng_graph_keep(call->graph, (count + 1) * sizeof *copy);
    memcpy(copy, *side, count * sizeof *copy);
    *side = copy;
    if (count > ENG_SIDES_MAX)
        eng_call_mistake(call, ".side has %u outputs, and %d at most are allowed", count,
                         ENG_SIDES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (!copy[i].name || !*copy[i].name) {
            eng_call_mistake(call, "side output %u has no name", i + 1);
            copy[i].name = NULL;
            continue;
        }
        copy[i].name = eng_graph_keep_text(call->graph, copy[i].name);
        if (!copy[i].schema)
            eng_call_mistake(call, "side output %s has no type", copy[i].name);
        else
            eng_call_layout(call, copy[i].schema, "a side output");
        if (!copy[i].stream)
            eng_call_mistake(call, "side output %s has no stream to be set", copy[i].name);
        for (uint32_t j = 0; j < i; j++)
            if (copy[j].name && strcmp(copy[i].name, copy[j].name) == 0)
                eng_call_mistake(call, "two side outputs have the name %s", copy[i].name);
    }
}

static void call_check_state(struct eng_call *call, struct pen_state *state)
{
    struct pen_graph *graph = call->graph;

    if (state->size_bytes < offsetof(struct pen_state, slot)) {
        eng_call_mistake(call, ".uses a state that was not filled: its size_bytes is %u",
                         state->size_bytes);
        return;
    }
    const char *name = state->name ? state->name : "";
    if (!*name) eng_call_mistake(call, ".uses a state without a name");
    eng_call_layout(call, state->element, "an element of a state in .uses");
    for (uint32_t i = 0; i < graph->used_state_count; i++)
        if (graph->used_states[i].state == state)
            eng_call_mistake(call, ".uses %s, which %s uses: a state belongs to one operator", name,
                             graph->used_states[i].call);
    graph->used_states = eng_graph_grow(graph->used_states, graph->used_state_count,
                                        &graph->used_state_room, sizeof *graph->used_states);
    graph->used_states[graph->used_state_count++] = (struct graph_used_state){state, call->title};
}

static void call_check_uses(struct eng_call *call, struct pen_state *const **uses)
{
    uint32_t count = 0;

    if (!*uses) return;
    while ((*uses)[count])
        count++;
    if (count > ENG_USES_MAX)
        eng_call_mistake(call, ".uses has %u states, and %d at most are allowed", count,
                         ENG_USES_MAX);
    struct pen_state **copy = eng_graph_keep(call->graph, (count + 1) * sizeof(struct pen_state *));
    for (uint32_t i = 0; i < count; i++) {
        copy[i] = (*uses)[i];
        call_check_state(call, copy[i]);
        copy[i]->slot = i;
        for (uint32_t j = 0; j < i; j++)
            if (copy[i] != copy[j] && copy[i]->name && copy[j]->name &&
                strcmp(copy[i]->name, copy[j]->name) == 0)
                eng_call_mistake(call, ".uses two states with the name %s", copy[i]->name);
    }
    *uses = copy;
}

void eng_call_common(struct eng_call *call, const struct eng_common *common)
{
    if (common->id) call_check_id(call, common->id);
    if (common->parallelism && *common->parallelism > ENG_WORKERS_MAX)
        eng_call_mistake(call,
                         ".parallelism is %u, and %d workers at most are possible "
                         "(ENG_WORKERS_MAX)",
                         *common->parallelism, ENG_WORKERS_MAX);
    if (common->group) {
        *common->group = eng_graph_keep_text(call->graph, *common->group);
        if (*common->group && !**common->group) *common->group = NULL;
    }
    if (common->counters) call_check_counters(call, common->counters);
    if (common->side) call_check_sides(call, common->side);
    if (common->uses) call_check_uses(call, common->uses);
}

pen_stream eng_call_give_up(struct eng_call *call, const struct eng_common *common)
{
    pen_stream bad = eng_graph_bad_stream(call->graph);

    if (!common || !common->side) return bad;
    for (const struct pen_side *side = *common->side;
         side && (side->name || side->schema || side->stream); side++)
        if (side->stream) *side->stream = bad;
    return bad;
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static struct graph_node *call_new_node(struct eng_call *call)
{
    struct pen_graph *graph = call->graph;
    struct graph_node *made = eng_graph_keep(graph, sizeof *made);

    made->origin = call->origin;
    made->call = call->title;
    made->node.number = graph->node_count;
    graph->nodes =
        eng_graph_grow(graph->nodes, graph->node_count, &graph->node_room, sizeof *graph->nodes);
    graph->nodes[graph->node_count++] = &made->node;
    if (graph->node_count == ENG_NODES_MAX + 1)
        eng_call_mistake(call, "the job has more than %d operators; does a loop not end?",
                         ENG_NODES_MAX);
    return made;
}

static const char *call_default_id(const struct eng_call *call, const struct pen_function *function)
{
    if (call->origin->name && *call->origin->name) return call->origin->name;
    if (function && function->name && *function->name)
        return eng_graph_keep_text(call->graph, function->name);
    if (call->about) return call->about;
    return call->name + strlen("pen_");
}

static void call_add_outputs(struct eng_call *call, struct eng_node *node,
                             const struct pen_side *side, const struct eng_layout *out,
                             struct eng_stream_kind rows)
{
    uint32_t count = call_side_count(side);

    if (!out) return;
    node->outputs = eng_graph_keep(call->graph, (1 + count) * sizeof *node->outputs);
    node->output_count = 1 + count;
    node->outputs[0] = (struct eng_node_output){
        .name = "main", .schema = out->schema, .layout = *out, .stream = rows};
    for (uint32_t i = 0; i < count; i++) {
        const struct eng_layout *layout = eng_call_layout(call, side[i].schema, "a side output");
        CHECK(layout != NULL); /* a bad one has failed the call before */
        node->outputs[1 + i] = (struct eng_node_output){
            .name = side[i].name, .schema = side[i].schema, .layout = *layout, .stream = rows};
    }
}

static void *call_keep(void *graph, size_t size_bytes)
{
    return eng_graph_keep(graph, size_bytes);
}

/* The states of `.uses`, compiled. */
static void call_add_states(struct eng_call *call, struct eng_node *node,
                            struct pen_state *const *uses)
{
    const struct eng_layout *elements[ENG_USES_MAX];
    char reason[ENG_MISTAKE_BYTES];
    uint32_t count = 0;

    for (; uses[count]; count++) {
        elements[count] = eng_call_layout(call, uses[count]->element, "an element of a state");
        CHECK(elements[count] != NULL); /* a bad one has failed the call before */
    }
    if (count == 0) return;
    struct eng_states_plan *plan = eng_graph_keep(call->graph, sizeof *plan);
    if (eng_states_plan_open(plan, uses, elements, node->class->has_entries, call_keep, call->graph,
                             reason, sizeof reason))
        node->states = plan;
    else
        eng_call_mistake(call, "%s", reason);
}

struct eng_node *eng_call_node(struct eng_call *call, const struct eng_class *class,
                               const void *options, const struct eng_common *common,
                               const struct pen_function *function, const struct eng_layout *out,
                               struct eng_stream_kind rows)
{
    struct graph_node *made = call_new_node(call);
    struct eng_node *node = &made->node;

    CHECK(class->name != NULL);
    CHECK(strncmp(call->title, "pen_", strlen("pen_")) == 0);
    node->class = class;
    node->title = call->title + strlen("pen_");
    node->file = call->origin->file;
    node->line = call->origin->line;
    node->id = common->id ? *common->id : NULL;
    node->id_is_default = !node->id;
    if (!node->id) node->id = call_default_id(call, function);
    node->function = function;
    node->options = options;
    if (common->parallelism) made->wanted = *common->parallelism;
    if (common->user) node->user = *common->user;
    if (common->open) node->open = *common->open;
    if (common->close) node->close = *common->close;
    if (common->group) node->group = *common->group;
    if (common->counters) node->counters = *common->counters;
    while (node->counters && node->counters[node->counter_count])
        node->counter_count++;
    call_add_outputs(call, node, common->side ? *common->side : NULL, out, rows);
    if (common->uses && *common->uses) call_add_states(call, node, *common->uses);
    return node;
}

pen_stream eng_call_streams(struct eng_call *call, struct eng_node *node,
                            const struct eng_common *common)
{
    pen_stream main_stream = eng_graph_bad_stream(call->graph), handle;

    for (uint32_t i = 0; i < node->output_count; i++) {
        struct graph_stream *stream = eng_stream_new(call, GRAPH_STREAM_OUTPUT, &handle);
        stream->node = node->number;
        stream->output = i;
        stream->layout = &node->outputs[i].layout;
        stream->rows = node->outputs[i].stream;
        if (i == 0) {
            main_stream = handle;
            continue;
        }
        const struct pen_side *side = &(*common->side)[i - 1];
        stream->side = side->name;
        *side->stream = handle;
    }
    if (common->side && *common->side) {
        /* The caller's variables are gone when the graph is used. */
        struct pen_side *kept = (struct pen_side *)(uintptr_t)*common->side;
        for (; kept->name; kept++)
            kept->stream = NULL;
    }
    return main_stream;
}
