#include "engine/job/window_check.h"

#include <string.h>

#include "engine/operator/window_span.h"
#include "shm/check.h"

/* ---- The window ------------------------------------------------------------------------------ */

static void window_check_field(struct eng_call *call, const struct graph_stream *stream,
                               const char *name, const char *option, uint32_t type)
{
    const struct eng_field *field = eng_call_field(call, stream->layout, name, option);
    char is[48];

    if (field && (field->type != type || field->element_count > 1 || eng_field_nullable(field)))
        eng_call_mistake(call, "%s takes a field of type %s, and %s is %s", option,
                         eng_type_name(type), field->name, eng_call_type(field, is));
}

void eng_call_window(struct eng_call *call, struct pen_window *window,
                     const struct graph_stream *stream)
{
    struct eng_reason why = {{0}};

    CHECK(window->kind != PEN_WINDOW_NONE);
    window->gap_field = eng_graph_keep_text(call->graph, window->gap_field);
    window->zone = eng_graph_keep_text(call->graph, window->zone);
    window->start_field = eng_graph_keep_text(call->graph, window->start_field);
    window->end_field = eng_graph_keep_text(call->graph, window->end_field);
    if (!eng_window_check(window, &why)) {
        eng_call_mistake(call, ".window: %s", why.text);
        return;
    }
    if (window->kind == PEN_WINDOW_SESSION && window->gap_field)
        window_check_field(call, stream, window->gap_field, "pen_session_by", PEN_TYPE_INT64);
    if (window->kind == PEN_WINDOW_ATTACHED) {
        window_check_field(call, stream, window->start_field, "pen_attached", PEN_TYPE_TIME);
        window_check_field(call, stream, window->end_field, "pen_attached", PEN_TYPE_TIME);
    }
    bool needs_time = window->kind != PEN_WINDOW_COUNT && window->kind != PEN_WINDOW_GLOBAL;
    if (needs_time && window->clock == PEN_EVENT_TIME && !stream->rows.timed)
        eng_call_mistake(call, "its window goes by event time, and the stream has none: put "
                               "pen_event_time before it, or write pen_by_clock(...)");
}

/* ---- When it fires --------------------------------------------------------------------------- */

void eng_call_firing(struct eng_call *call, const struct eng_firing *firing,
                     const struct pen_window *window, const struct graph_stream *stream,
                     bool has_late)
{
    bool is_late = firing->allowed_lateness != 0 || has_late;

    if (firing->early_every < 0) eng_call_mistake(call, ".early_every is less than 0");
    if (firing->early_count < 0) eng_call_mistake(call, ".early_count is less than 0");
    if (firing->allowed_lateness < 0) eng_call_mistake(call, ".allowed_lateness is less than 0");
    if (is_late && window->clock == PEN_CLOCK_TIME)
        eng_call_mistake(call, "late records are spoken of, and by the clock none is late");
    else if (is_late && (window->kind == PEN_WINDOW_COUNT || window->kind == PEN_WINDOW_GLOBAL))
        eng_call_mistake(call, "late records are spoken of, and its window is never over before "
                               "the input is");
    if (!*firing->trigger) return;
    *firing->trigger = eng_call_function(call, *firing->trigger, PEN_IS_TRIGGER, ".trigger");
    if (!*firing->trigger) return;
    eng_call_fits(call, ".trigger", (*firing->trigger)->in, stream->layout->schema);
    eng_call_layout(call, (*firing->trigger)->state, "the state of .trigger");
}

/* ---- Late records ---------------------------------------------------------------------------- */

const struct pen_side *eng_call_add_late(struct eng_call *call, const struct pen_side *side,
                                         pen_stream *late, const struct graph_stream *stream)
{
    uint32_t count = 0;

    if (!late) return side;
    while (side && (side[count].name || side[count].schema || side[count].stream))
        count++;
    struct pen_side *list = eng_graph_keep(call->graph, (count + 2) * sizeof *list);
    if (count > 0) memcpy(list, side, count * sizeof *list);
    list[count] = (struct pen_side){"late", stream->layout->schema, late};
    return list;
}

void eng_call_late_rows(struct eng_node *node, const struct graph_stream *stream)
{
    CHECK(node->output_count > 1);
    node->outputs[node->output_count - 1].stream = stream->rows;
}
