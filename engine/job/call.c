#include "engine/job/call.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/job/similar.h"
#include "shm/check.h"

/* ---- Mistakes -------------------------------------------------------------------------------- */

void eng_call_mistake(struct eng_call *call, const char *format, ...)
{
    char text[ENG_MISTAKE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    eng_graph_mistake(call->graph, call->origin, "%s: %s", call->title, text);
    call->failed = true;
}

void eng_call_not_yet(struct eng_call *call, const char *what)
{
    eng_call_mistake(call, "this version of Penstock cannot do %s yet", what ? what : "that");
}

/* ---- The struct ------------------------------------------------------------------------------ */

static bool call_is_zero(const void *bytes_, size_t from, size_t to)
{
    const char *bytes = bytes_;

    for (; from < to; from++)
        if (bytes[from] != 0) return false;
    return true;
}

/* As much of a struct as its maker knew. NULL: it is larger than ours, and what we do not know is
 * in use. */
static void *call_copy(struct pen_graph *graph, const void *given, size_t given_bytes,
                       size_t known_bytes)
{
    if (given_bytes > known_bytes && !call_is_zero(given, known_bytes, given_bytes)) return NULL;
    void *copy = eng_graph_keep(graph, known_bytes);
    return memcpy(copy, given, given_bytes < known_bytes ? given_bytes : known_bytes);
}

/* Nothing can be noted here, and going on would drop a piece of the job in silence. */
static _Noreturn void call_stop(const struct pen_origin *origin, const char *name, const char *why)
{
    fprintf(stderr, "%s:%u: %s: %s\n", origin->file ? origin->file : "job", origin->line, name,
            why);
    exit(EXIT_FAILURE);
}

void *eng_call_open(struct eng_call *call, struct pen_graph *graph, const char *name,
                    const void *given, size_t known_bytes)
{
    const struct pen_origin *origin = given;
    struct pen_origin *kept;

    CHECK(given != NULL);
    if (!graph) call_stop(origin, name, "the stream was never set");
    if (graph->finished) call_stop(origin, name, "graphs are built in pen_job, which has returned");
    kept = eng_graph_keep(graph, sizeof *kept);
    *kept = *origin;
    kept->file = eng_graph_keep_text(graph, origin->file ? origin->file : "job");
    kept->name = eng_graph_keep_text(graph, origin->name);
    *call = (struct eng_call){.graph = graph, .origin = kept, .name = name, .title = name};
    if (origin->abi != PEN_ABI) {
        eng_call_mistake(call,
                         "the job was built for ABI %u of Penstock, and this one has %u: build "
                         "it again with this version's headers",
                         origin->abi, PEN_ABI);
        return NULL;
    }
    if (origin->size_bytes < sizeof *origin) {
        eng_call_mistake(call, "its struct was not filled: origin.size_bytes is %u",
                         origin->size_bytes);
        return NULL;
    }
    void *copy = call_copy(graph, given, origin->size_bytes, known_bytes);
    if (!copy) {
        eng_call_mistake(call, "the job was built with a newer header and uses an option that this "
                               "Penstock (" PEN_VERSION ") does not know: use a newer Penstock");
        return NULL;
    }
    eng_call_about_name(call, kept->name);
    memcpy(copy, kept, sizeof *kept);
    return copy;
}

void eng_call_about_name(struct eng_call *call, const char *name)
{
    if (!name || !*name || call->about) return;
    if (strcmp(name, call->name + strlen("pen_")) == 0) return; /* pen_union(union) says it twice */
    size_t bytes = strlen(call->name) + strlen(name) + 3;
    char *title = eng_graph_keep(call->graph, bytes);

    snprintf(title, bytes, "%s(%s)", call->name, name);
    call->about = eng_graph_keep_text(call->graph, name);
    call->title = title;
}

void eng_call_about(struct eng_call *call, const struct pen_function *function)
{
    if (function && function->abi == PEN_ABI) eng_call_about_name(call, function->name);
}

/* ---- Functions ------------------------------------------------------------------------------- */

/* What a function of each kind must have. */
enum { NEEDS_IN = 1, NEEDS_OTHER = 2, NEEDS_STATE = 4, NEEDS_OUT = 8, NEEDS_LOOP = 16 };

static const struct {
    const char *name;
    unsigned needs;
} call_kinds[] = {
    [PEN_IS_MAP] = {"PEN_MAP", NEEDS_IN | NEEDS_OUT | NEEDS_LOOP},
    [PEN_IS_FILTER] = {"PEN_FILTER", NEEDS_IN | NEEDS_LOOP},
    [PEN_IS_KEY] = {"PEN_KEY", NEEDS_IN | NEEDS_STATE | NEEDS_LOOP},
    [PEN_IS_PROCESS] = {"PEN_PROCESS", NEEDS_IN | NEEDS_STATE | NEEDS_OUT | NEEDS_LOOP},
    [PEN_IS_TIMER] = {"PEN_TIMER", NEEDS_STATE | NEEDS_LOOP},
    [PEN_IS_RULE] = {"PEN_RULE", NEEDS_IN | NEEDS_LOOP},
    [PEN_IS_JOIN] = {"PEN_JOIN", NEEDS_IN | NEEDS_OTHER | NEEDS_OUT | NEEDS_LOOP},
    [PEN_IS_WINDOW] = {"PEN_WINDOW", NEEDS_IN | NEEDS_OUT | NEEDS_LOOP},
    [PEN_IS_TRIGGER] = {"PEN_TRIGGER", NEEDS_IN | NEEDS_STATE | NEEDS_LOOP},
    [PEN_IS_AGGREGATE] = {"PEN_AGGREGATE", NEEDS_IN | NEEDS_STATE | NEEDS_OUT | NEEDS_LOOP},
    [PEN_IS_SOURCE] = {"PEN_SOURCE", NEEDS_STATE | NEEDS_OUT},
    [PEN_IS_SINK] = {"PEN_SINK", NEEDS_IN | NEEDS_LOOP},
    [PEN_IS_GENERATE] = {"PEN_GENERATE", NEEDS_OUT},
};
enum { CALL_KINDS = sizeof call_kinds / sizeof call_kinds[0] };

/* The member that a function of its kind lacks; NULL: none. */
static const char *call_lack(const struct pen_function *function)
{
    unsigned needs = call_kinds[function->kind].needs;

    if (needs & NEEDS_IN && !function->in) return "in";
    if (needs & NEEDS_OTHER && !function->other) return "other";
    if (needs & NEEDS_STATE && !function->state) return "state";
    if (needs & NEEDS_OUT && !function->out) return "out";
    if (needs & NEEDS_LOOP && !function->loop) return "loop";
    if (function->kind == PEN_IS_SOURCE && !function->poll) return "poll";
    if (function->kind == PEN_IS_GENERATE && !function->generate) return "generate";
    if (function->kind == PEN_IS_AGGREGATE && !function->merge) return "merge";
    if (function->kind == PEN_IS_AGGREGATE && !function->finish) return "finish";
    return NULL;
}

const struct pen_function *eng_call_function(struct eng_call *call,
                                             const struct pen_function *given, enum pen_kind kind,
                                             const char *option)
{
    const struct pen_function *function = given;
    const char *separator = option ? " " : "", *where = option ? option : "";

    if (!given) {
        eng_call_mistake(call, "%s%sa %s function is missing", where, option ? ": " : "",
                         call_kinds[kind].name);
        return NULL;
    }
    if (given->abi != PEN_ABI || given->size_bytes < offsetof(struct pen_function, name)) {
        eng_call_mistake(call,
                         "%s%sits function was built for ABI %u of Penstock, and this one has "
                         "%u: build it again with this version's headers",
                         where, option ? ": " : "", given->abi, PEN_ABI);
        return NULL;
    }
    if (given->size_bytes != sizeof *given) {
        function = call_copy(call->graph, given, given->size_bytes, sizeof *given);
        if (!function) {
            eng_call_mistake(call,
                             "%s%s%s was built with a newer header and uses what this Penstock "
                             "(" PEN_VERSION ") does not know: use a newer Penstock",
                             where, separator, given->name);
            return NULL;
        }
    }
    const char *name = function->name ? function->name : "the function";
    if (function->kind != kind) {
        bool is_known = (unsigned)function->kind < CALL_KINDS && function->kind > 0;
        eng_call_mistake(call, "%s%s%s is %s%s%s, and it must be a %s function", where, separator,
                         name, is_known ? "a " : "of a kind that nobody knows",
                         is_known ? call_kinds[function->kind].name : "",
                         is_known ? " function" : "", call_kinds[kind].name);
        return NULL;
    }
    const char *lack = call_lack(function);
    if (lack) {
        eng_call_mistake(call, "%s%s%s was filled without `%s`, which a %s function needs", where,
                         separator, name, lack, call_kinds[kind].name);
        return NULL;
    }
    return function;
}

/* ---- Types ----------------------------------------------------------------------------------- */

const struct eng_layout *eng_call_layout(struct eng_call *call, const struct pen_schema *schema,
                                         const char *what)
{
    char reason[ENG_REASON_BYTES];

    if (!schema) {
        eng_call_mistake(call, "%s has no type", what);
        return NULL;
    }
    const struct eng_layout *layout = eng_graph_layout(call->graph, schema, reason, sizeof reason);
    if (layout) return layout;
    if (*reason) eng_call_mistake(call, "%s", reason);
    call->failed = true; /* told when the schema was first met */
    return NULL;
}

const char *eng_call_type(const struct eng_field *field, char *to)
{
    uint32_t type = field->type;

    if (type == PEN_TYPE_CHARS)
        snprintf(to, 48, "char[%u]", field->size_bytes);
    else if (type == PEN_TYPE_DECIMAL64 || type == PEN_TYPE_DECIMAL128)
        snprintf(to, 48, "%sdecimal(%u, %u)", eng_field_nullable(field) ? "optional " : "",
                 field->precision, field->scale);
    else
        snprintf(to, 48, "%s%s%s", eng_field_nullable(field) ? "optional " : "",
                 field->element_count > 1 ? "array of " : "", eng_type_name(type));
    return to;
}

bool eng_call_types_equal(const struct eng_field *a, const struct eng_field *b)
{
    return a->type == b->type && a->size_bytes == b->size_bytes &&
           a->element_count == b->element_count && a->precision == b->precision &&
           a->scale == b->scale;
}

/* Two types of one name: where they part. */
static void call_difference(struct eng_call *call, const struct pen_schema *a,
                            const struct pen_schema *b, char *to, size_t bytes)
{
    char reason[ENG_REASON_BYTES], type_a[48], type_b[48];
    const struct eng_layout *layout_a = eng_graph_layout(call->graph, a, reason, sizeof reason);
    const struct eng_layout *layout_b = eng_graph_layout(call->graph, b, reason, sizeof reason);

    snprintf(to, bytes, "their fields lie in other places");
    if (!layout_a || !layout_b) return;
    for (uint32_t i = 0; i < layout_a->field_count; i++) {
        const struct eng_field *field = &layout_a->fields[i];
        const struct eng_field *other = eng_layout_find(layout_b, field->name);
        if (!other) {
            snprintf(to, bytes, "only the first has a field %s", field->name);
            return;
        }
        if (!eng_call_types_equal(field, other) ||
            eng_field_nullable(field) != eng_field_nullable(other)) {
            snprintf(to, bytes, "%s is %s in the first and %s in the second", field->name,
                     eng_call_type(field, type_a), eng_call_type(other, type_b));
            return;
        }
    }
    for (uint32_t i = 0; i < layout_b->field_count; i++)
        if (!eng_layout_find(layout_a, layout_b->fields[i].name))
            snprintf(to, bytes, "only the second has a field %s", layout_b->fields[i].name);
}

bool eng_call_same(struct eng_call *call, const struct pen_schema *a, const struct pen_schema *b,
                   const char *words_a, const char *words_b)
{
    char difference[256];

    if (eng_schema_same(a, b)) return true;
    if (strcmp(a->name, b->name) != 0) {
        eng_call_mistake(call, "%s %s, %s %s", words_a, a->name, words_b, b->name);
        return false;
    }
    call_difference(call, a, b, difference, sizeof difference);
    eng_call_mistake(call, "%s %s, %s another %s: %s", words_a, a->name, words_b, b->name,
                     difference);
    return false;
}

void eng_call_fits(struct eng_call *call, const char *subject, const struct pen_schema *wanted,
                   const struct pen_schema *carried)
{
    char words[128];

    if (!eng_call_layout(call, wanted, "its input")) return;
    snprintf(words, sizeof words, "%s takes", subject);
    eng_call_same(call, wanted, carried, words, "the stream carries");
}

const struct eng_layout *eng_call_each(struct eng_call *call, const struct pen_function **each,
                                       const struct eng_layout *records)
{
    *each = eng_call_function(call, *each, PEN_IS_MAP, NULL);
    if (!*each) return NULL;
    eng_call_fits(call, "it", (*each)->in, records->schema);
    return eng_call_layout(call, (*each)->out, "its result");
}

const struct eng_field *eng_call_field(struct eng_call *call, const struct eng_layout *layout,
                                       const char *name, const char *option)
{
    struct eng_similar similar = {.wanted = name};
    const char *separator = option ? ": " : "", *where = option ? option : "";

    if (!name) {
        eng_call_mistake(call, "%s%sa field's name is missing", where, separator);
        return NULL;
    }
    const struct eng_field *field = eng_layout_find(layout, name);
    if (field) return field;
    for (uint32_t i = 0; i < layout->field_count; i++)
        eng_similar_offer(&similar, layout->fields[i].name);
    if (similar.best) {
        eng_call_mistake(call, "%s%s%s has no field %s; did you mean %s?", where, separator,
                         layout->schema->name, name, similar.best);
        return NULL;
    }
    char list[256];
    size_t at = 0;
    list[0] = '\0';
    for (uint32_t i = 0; i < layout->field_count && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "",
                               layout->fields[i].name);
    eng_call_mistake(call, "%s%s%s has no field %s; it has %s%s", where, separator,
                     layout->schema->name, name, list, at >= sizeof list ? "..." : "");
    return NULL;
}

const void *eng_graph_read(struct pen_graph *graph, const char *call_name, const void *given,
                           size_t known_bytes)
{
    struct eng_call call;
    return eng_call_open(&call, graph, call_name, given, known_bytes);
}
