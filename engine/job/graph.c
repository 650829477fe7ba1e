#include "engine/job/graph.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/class.h"
#include "engine/flow/class.h"
#include "engine/job/graph_inside.h"
#include "shm/check.h"

/* ---- Memory ---------------------------------------------------------------------------------- */

struct pen_graph *eng_graph_open(void)
{
    struct pen_graph *graph = calloc(1, sizeof *graph);
    CHECK(graph != NULL);
    graph->missing = eng_graph_keep_text(graph, "");

    /* Stream 0 is the one that absorbs. */
    graph->streams = eng_graph_grow(NULL, 0, &graph->stream_room, sizeof *graph->streams);
    graph->streams[graph->stream_count++] = eng_graph_keep(graph, sizeof **graph->streams);
    return graph;
}

void eng_graph_close(struct pen_graph *graph)
{
    if (!graph) return;
    for (uint32_t i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->class->release) graph->nodes[i]->class->release(graph->nodes[i]);
    for (uint32_t i = 0; i < graph->key_count; i++)
        eng_key_close(graph->keys[i]);
    for (uint32_t i = 0; i < graph->layout_count; i++)
        eng_layout_close(&graph->layouts[i]->layout);
    free(graph->mistakes.notes);
    free(graph->warnings.notes);
    free(graph->given);
    free(graph->arguments);
    free(graph->evolutions);
    free(graph->layouts);
    free(graph->keys);
    free(graph->streams);
    free(graph->nodes);
    free(graph->used_states);
    while (graph->blocks) {
        struct graph_block *next = graph->blocks->next;
        free(graph->blocks);
        graph->blocks = next;
    }
    free(graph);
}

void *eng_graph_keep(struct pen_graph *graph, size_t size_bytes)
{
    struct graph_block *block = calloc(1, sizeof *block + size_bytes);
    CHECK(block != NULL);
    block->next = graph->blocks;
    graph->blocks = block;
    return block->bytes;
}

const char *eng_graph_keep_text(struct pen_graph *graph, const char *text)
{
    if (!text) return NULL;
    size_t bytes = strlen(text) + 1;
    return memcpy(eng_graph_keep(graph, bytes), text, bytes);
}

void *eng_graph_grow(void *array, uint32_t count, uint32_t *room, size_t element_bytes)
{
    if (count < *room) return array;
    *room = *room ? 2 * *room : 16;
    CHECK(count < *room);
    array = realloc(array, *room * element_bytes);
    CHECK(array != NULL);
    return array;
}

const struct eng_layout *eng_graph_layout(struct pen_graph *graph, const struct pen_schema *schema,
                                          char *reason, size_t reason_bytes)
{
    struct graph_layout *found;

    *reason = '\0';
    for (uint32_t i = 0; i < graph->layout_count; i++) {
        found = graph->layouts[i];
        if (found->schema == schema) return found->good ? &found->layout : NULL;
    }
    graph->layouts = eng_graph_grow(graph->layouts, graph->layout_count, &graph->layout_room,
                                    sizeof *graph->layouts);
    found = eng_graph_keep(graph, sizeof *found);
    found->schema = schema;
    found->good = eng_layout_open(&found->layout, schema, reason, reason_bytes) == 0;
    if (!found->good) memset(&found->layout, 0, sizeof found->layout);
    graph->layouts[graph->layout_count++] = found;
    return found->good ? &found->layout : NULL;
}

/* ---- Mistakes -------------------------------------------------------------------------------- */

static bool graph_notes_have(const struct graph_notes *notes, const struct pen_origin *origin,
                             const char *text)
{
    for (uint32_t i = 0; i < notes->count; i++) {
        const struct graph_note *note = &notes->notes[i];
        const char *file = origin ? origin->file : NULL;
        if (note->line != (origin ? origin->line : 0)) continue;
        if ((note->file == NULL) != (file == NULL)) continue;
        if (file && strcmp(note->file, file) != 0) continue;
        if (strcmp(note->text, text) == 0) return true;
    }
    return false;
}

/* A call in a loop makes the same mistake each time: it is kept once. */
static void graph_note(struct pen_graph *graph, struct graph_notes *notes,
                       const struct pen_origin *origin, const char *format, va_list args)
{
    char text[ENG_MISTAKE_BYTES];

    vsnprintf(text, sizeof text, format, args);
    if (graph_notes_have(notes, origin, text)) return;
    if (notes->count == ENG_MISTAKES_MAX) {
        notes->untold++;
        return;
    }
    notes->notes = eng_graph_grow(notes->notes, notes->count, &notes->room, sizeof *notes->notes);
    notes->notes[notes->count] = (struct graph_note){
        .file = origin ? eng_graph_keep_text(graph, origin->file) : NULL,
        .line = origin ? origin->line : 0,
        .number = notes->count,
        .text = eng_graph_keep_text(graph, text),
    };
    notes->count++;
}

void eng_graph_mistake(struct pen_graph *graph, const struct pen_origin *origin, const char *format,
                       ...)
{
    va_list args;

    va_start(args, format);
    graph_note(graph, &graph->mistakes, origin, format, args);
    va_end(args);
}

void eng_graph_warning(struct pen_graph *graph, const struct pen_origin *origin, const char *format,
                       ...)
{
    va_list args;

    va_start(args, format);
    graph_note(graph, &graph->warnings, origin, format, args);
    va_end(args);
}

uint32_t eng_graph_mistakes(const struct pen_graph *graph)
{
    return graph->mistakes.count + graph->mistakes.untold;
}

uint32_t eng_graph_warnings(const struct pen_graph *graph)
{
    return graph->warnings.count + graph->warnings.untold;
}

static int graph_note_order(const void *a_, const void *b_)
{
    const struct graph_note *a = a_, *b = b_;
    int order;

    if (!a->file || !b->file) {
        if (a->file != b->file) return a->file ? 1 : -1;
    } else if ((order = strcmp(a->file, b->file)) != 0) {
        return order;
    }
    if (a->line != b->line) return a->line < b->line ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

static void graph_print_notes(const struct graph_notes *notes, const char *kind, FILE *out)
{
    struct graph_note *sorted;

    if (notes->count == 0) return;
    sorted = malloc(notes->count * sizeof *sorted);
    CHECK(sorted != NULL);
    memcpy(sorted, notes->notes, notes->count * sizeof *sorted);
    qsort(sorted, notes->count, sizeof *sorted, graph_note_order);
    for (uint32_t i = 0; i < notes->count; i++) {
        if (sorted[i].file) fprintf(out, "%s:%u: ", sorted[i].file, sorted[i].line);
        fprintf(out, "%s%s\n", kind, sorted[i].text);
    }
    if (notes->untold > 0) fprintf(out, "%s... and %u more\n", kind, notes->untold);
    free(sorted);
}

void eng_graph_print_mistakes(const struct pen_graph *graph, FILE *out)
{
    graph_print_notes(&graph->mistakes, "", out);
}

void eng_graph_print_warnings(const struct pen_graph *graph, FILE *out)
{
    graph_print_notes(&graph->warnings, "warning: ", out);
}

/* ---- What is in it --------------------------------------------------------------------------- */

const struct eng_graph_settings *eng_graph_settings(const struct pen_graph *graph)
{
    return &graph->settings;
}

struct eng_node **eng_graph_nodes(struct pen_graph *graph, uint32_t *count)
{
    *count = graph->node_count;
    return graph->nodes;
}

const struct pen_evolution *eng_graph_evolution(const struct pen_graph *graph, uint32_t index)
{
    return index < graph->evolution_count ? graph->evolutions[index] : NULL;
}

pen_stream eng_graph_bad_stream(struct pen_graph *graph)
{
    return (pen_stream){graph, 0, 0};
}

bool eng_graph_is_missing(const struct pen_graph *graph, const char *text)
{
    return text == graph->missing;
}
