/* What can be checked only when all of the graph is there. */
#include <stdlib.h>
#include <string.h>

#include "engine/flow/class.h"
#include "engine/job/graph_inside.h"
#include "shm/check.h"

/* ---- Ids ------------------------------------------------------------------------------------- */

static bool finish_id_is_taken(const struct pen_graph *graph, const char *id, uint32_t but,
                               bool stateful_only, uint32_t before)
{
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const struct graph_node *node = eng_graph_node_of(graph->nodes[i]);
        if (i == but || strcmp(node->node.id, id) != 0) continue;
        if (node->has_state || (!stateful_only && i < before)) return true;
    }
    return false;
}

/* Operators with state are found by their id, so theirs must be said twice by nobody. */
static void finish_check_stateful_id(struct pen_graph *graph, uint32_t number)
{
    struct graph_node *made = eng_graph_node_of(graph->nodes[number]);

    for (uint32_t i = 0; i < number; i++) {
        const struct graph_node *other = eng_graph_node_of(graph->nodes[i]);
        if (!other->has_state || strcmp(other->node.id, made->node.id) != 0) continue;
        eng_graph_mistake(
            graph, made->origin,
            "%s: its id is \"%s\"%s, as that of %s in %s:%u; state is found by the id, "
            "so write another .id",
            made->call, made->node.id, made->node.id_is_default ? " by default" : "", other->call,
            other->node.file, other->node.line);
        return;
    }
}

/* Others get a number, so that tools can tell them apart. */
static void finish_number_id(struct pen_graph *graph, uint32_t number)
{
    struct eng_node *node = graph->nodes[number];
    const char *wanted = node->id;
    size_t bytes = strlen(wanted) + 16;

    for (uint32_t i = 2; finish_id_is_taken(graph, node->id, number, false, number); i++) {
        char *id = eng_graph_keep(graph, bytes);
        snprintf(id, bytes, "%s#%u", wanted, i);
        node->id = id;
    }
}

static void finish_ids(struct pen_graph *graph)
{
    for (uint32_t i = 0; i < graph->node_count; i++)
        if (eng_graph_node_of(graph->nodes[i])->has_state) finish_check_stateful_id(graph, i);
    for (uint32_t i = 0; i < graph->node_count; i++)
        if (!eng_graph_node_of(graph->nodes[i])->has_state) finish_number_id(graph, i);
}

/* ---- Warnings -------------------------------------------------------------------------------- */

static void finish_warn_of_unread(struct pen_graph *graph)
{
    for (uint32_t i = 1; i < graph->stream_count; i++) {
        const struct graph_stream *stream = graph->streams[i];
        if (stream->read || stream->kind == GRAPH_STREAM_BAD) continue;
        if (stream->side)
            eng_graph_warning(graph, stream->origin, "%s: nobody reads its side output %s",
                              stream->call, stream->side);
        else
            eng_graph_warning(graph, stream->origin, "%s: nobody reads its stream", stream->call);
    }
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void finish_check_ends(struct pen_graph *graph)
{
    if (eng_graph_mistakes(graph) > 0)
        return; /* what failed may have been the source or the sink */
    if (graph->source_calls == 0)
        eng_graph_mistake(graph, NULL,
                          "the job has no source: a graph begins with pen_read_lines, "
                          "pen_generate, pen_source ...");
    if (graph->sink_calls == 0)
        eng_graph_mistake(graph, NULL,
                          "the job has no sink, so nothing would come out of it: a "
                          "stream ends with pen_print, pen_write_csv, pen_sink ...");
}

/* One warning says it all. That default ids change with the names they are made of is not told: no
 * state outlives the job, so none is lost. */
static void finish_check_delivery(struct pen_graph *graph)
{
    if (graph->settings.checkpoint_every_us == 0) return;
    eng_graph_warning(graph, graph->settings_origin,
                      "pen_configure: this version of Penstock takes no checkpoints yet: after a "
                      "failure the job begins anew");
    if (graph->settings.delivery != PEN_EXACTLY_ONCE) return;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        const struct graph_node *made = eng_graph_node_of(graph->nodes[i]);
        if (!made->node.cannot_rewind) continue;
        eng_graph_mistake(
            graph, made->origin,
            "%s: it cannot give its records a second time, so with checkpoints it is not "
            "exactly-once; say .delivery = PEN_AT_LEAST_ONCE in pen_configure if that "
            "will do",
            made->call);
    }
}

/* Only a graph without mistakes is handed to the classes: they believe what was checked. */
static void finish_prepare(struct pen_graph *graph)
{
    char reason[ENG_MISTAKE_BYTES / 2];

    for (uint32_t i = 0; i < graph->node_count; i++) {
        struct graph_node *made = eng_graph_node_of(graph->nodes[i]);
        reason[0] = '\0';
        CHECK(made->node.compiled == NULL);
        CHECK(made->node.port_count > 0 || made->node.output_count > 0);
        if (!made->node.class->prepare) continue;
        if (made->node.class->prepare(&made->node, reason, sizeof reason)) continue;
        CHECK(reason[0] != '\0');
        eng_graph_mistake(graph, made->origin, "%s: %s", made->call, reason);
    }
}

bool eng_graph_finish(struct pen_graph *graph)
{
    CHECK(!graph->finished);
    eng_graph_check_arguments(graph);
    finish_ids(graph);
    finish_check_ends(graph);
    finish_check_delivery(graph);
    if (eng_graph_mistakes(graph) == 0) {
        finish_prepare(graph);
        finish_warn_of_unread(graph);
    }
    graph->finished = true;
    return eng_graph_mistakes(graph) == 0;
}
