/* pen_configure and pen_evolve. */
#include <string.h>

#include "engine/job/call.h"

static void settings_check(struct eng_call *call, const struct pen_settings *settings)
{
    struct pen_graph *graph = call->graph;

    if (graph->settings_origin)
        eng_call_mistake(call, "it is called twice; the first time was %s:%u",
                         graph->settings_origin->file, graph->settings_origin->line);
    if (settings->parallelism > ENG_WORKERS_MAX)
        eng_call_mistake(call,
                         ".parallelism is %u, and %d workers at most are possible "
                         "(ENG_WORKERS_MAX)",
                         settings->parallelism, ENG_WORKERS_MAX);
    if (settings->checkpoint_every < 0) eng_call_mistake(call, ".checkpoint_every is negative");
    if (settings->backend == PEN_BACKEND_DISK)
        eng_call_not_yet(call, ".backend = PEN_BACKEND_DISK");
    else if (settings->backend != PEN_BACKEND_MEMORY)
        eng_call_mistake(call, ".backend is none of enum pen_backend");
    if (settings->poison == PEN_POISON_QUARANTINE)
        eng_call_not_yet(call, ".poison = PEN_POISON_QUARANTINE");
    if (settings->on_bad_record == PEN_BAD_DEAD_LETTER && !settings->dead_letters)
        eng_call_mistake(call, ".on_bad_record = PEN_BAD_DEAD_LETTER needs a directory for them: "
                               ".dead_letters");
    if (settings->on_bad_record == PEN_BAD_FAIL && settings->rejects_max > 0)
        eng_call_mistake(call, ".rejects_max allows some and .on_bad_record = PEN_BAD_FAIL none");
}

void pen_set_settings(struct pen_graph *graph, const struct pen_settings *given)
{
    struct eng_call call;
    struct pen_settings *settings =
        eng_call_open(&call, graph, "pen_configure", given, sizeof *settings);

    if (!settings) return;
    settings_check(&call, settings);
    graph->settings_origin = call.origin;
    graph->settings = (struct eng_graph_settings){
        .job_name = eng_graph_keep_text(graph, settings->job_name),
        .parallelism = settings->parallelism,
        .checkpoint_every_us = settings->checkpoint_every,
        .delivery = settings->delivery,
        .backend = settings->backend,
        .dead_letters = eng_graph_keep_text(graph, settings->dead_letters),
        .rejects_max = settings->rejects_max,
        .poison = settings->poison,
        .on_bad_record = settings->on_bad_record,
    };
}

/* ---- Evolution ------------------------------------------------------------------------------- */

static const struct pen_renamed *settings_keep_renamed(struct eng_call *call,
                                                       const struct pen_renamed *renamed,
                                                       const struct eng_layout *now)
{
    uint32_t count = 0;

    if (!renamed) return NULL;
    while (renamed[count].then || renamed[count].now)
        count++;
    struct pen_renamed *copy = eng_graph_keep(call->graph, (count + 1) * sizeof *copy);
    for (uint32_t i = 0; i < count; i++) {
        copy[i].then = eng_graph_keep_text(call->graph, renamed[i].then);
        copy[i].now = eng_graph_keep_text(call->graph, renamed[i].now);
        if (!copy[i].then || !copy[i].now)
            eng_call_mistake(call, ".renamed: pair %u has one name only", i + 1);
        else
            eng_call_field(call, now, copy[i].now, ".renamed");
        for (uint32_t j = 0; j < i; j++)
            if (copy[i].then && copy[j].then && strcmp(copy[i].then, copy[j].then) == 0)
                eng_call_mistake(call, ".renamed: %s is renamed twice", copy[i].then);
    }
    return copy;
}

/* A text of the caller's lies anywhere, and would point into nothing once copied. */
static const void *settings_keep_added(struct eng_call *call, const void *added,
                                       const struct eng_layout *now)
{
    if (!added) return NULL;
    void *copy = eng_graph_keep(call->graph, now->fixed_bytes);
    memcpy(copy, added, now->schema->size_bytes);
    for (uint32_t i = 0; i < now->text_count; i++) {
        const pen_string *text = eng_field_of(now->texts[i], copy);
        if (text->size_bytes > 0)
            eng_call_mistake(call, ".added: %s is a text, and a default text must be empty",
                             now->texts[i]->name);
    }
    return copy;
}

void pen_add_evolution(struct pen_graph *graph, const struct pen_evolution *given)
{
    struct eng_call call;
    struct pen_evolution *evolution =
        eng_call_open(&call, graph, "pen_evolve", given, sizeof *evolution);

    if (!evolution) return;
    const struct eng_layout *now = eng_call_layout(&call, evolution->now, "the record");
    if (!now) return;
    evolution->was = eng_graph_keep_text(graph, evolution->was);
    evolution->renamed = settings_keep_renamed(&call, evolution->renamed, now);
    evolution->added = settings_keep_added(&call, evolution->added, now);
    for (uint32_t i = 0; i < graph->evolution_count; i++)
        if (eng_schema_same(graph->evolutions[i]->now, evolution->now))
            eng_call_mistake(&call, "it is called twice for %s", evolution->now->name);
    if (call.failed) return;
    graph->evolutions = eng_graph_grow(graph->evolutions, graph->evolution_count,
                                       &graph->evolution_room, sizeof *graph->evolutions);
    graph->evolutions[graph->evolution_count++] = evolution;
}
