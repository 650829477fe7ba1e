/* The arguments of a job: pen_arg_ and --help.
 *
 * What was given is cut into words beforehand; which word is a value is only known when the job
 * asks, because a flag has none. What is left when the job has been built was asked for by nobody.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/job/duration.h"
#include "engine/job/graph_inside.h"
#include "engine/job/similar.h"
#include "shm/check.h"

void eng_graph_set_arguments(struct pen_graph *graph, int count, char *const *arguments)
{
    if (count <= 0) return;
    graph->given =
        realloc(graph->given, (graph->given_count + (size_t)count) * sizeof *graph->given);
    CHECK(graph->given != NULL);
    for (int i = 0; i < count; i++) {
        struct graph_given *given = &graph->given[graph->given_count++];
        *given = (struct graph_given){0};
        given->text = eng_graph_keep_text(graph, arguments[i]);
        if (strcmp(given->text, "--help") == 0 || strcmp(given->text, "-h") == 0) {
            graph->wants_help = true;
            given->used = true;
        } else if (strncmp(given->text, "--", 2) == 0 && given->text[2]) {
            const char *equals = strchr(given->text, '=');
            char *name = (char *)(uintptr_t)eng_graph_keep_text(graph, given->text + 2);
            name[strcspn(name, "=")] = '\0';
            given->name = name;
            given->value = equals ? equals + 1 : NULL;
        }
    }
}

bool eng_graph_wants_help(const struct pen_graph *graph)
{
    return graph->wants_help;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static const char *argument_kind_name(enum graph_argument_kind kind)
{
    static const char *const names[] = {NULL, "TEXT", "N", "X", NULL, "DURATION"};
    return names[kind];
}

static const char *argument_function(enum graph_argument_kind kind)
{
    static const char *const names[] = {
        NULL, "pen_arg_text", "pen_arg_int", "pen_arg_double", "pen_arg_flag", "pen_arg_duration"};
    return names[kind];
}

/* The value given for a name. False: none was given, or it was a mistake, which *wrong says. */
static bool argument_take(struct pen_graph *graph, const char *name, bool is_flag,
                          const char **value, bool *wrong)
{
    bool found = false;

    *wrong = false;
    for (uint32_t i = 0; i < graph->given_count; i++) {
        struct graph_given *given = &graph->given[i];
        if (given->used || !given->name || strcmp(given->name, name) != 0) continue;
        given->used = true;
        if (found) {
            eng_graph_mistake(graph, NULL, "--%s: it is given twice", name);
            *wrong = true;
        }
        found = true;
        *value = given->value;
        if (is_flag || given->value) continue;
        struct graph_given *next = i + 1 < graph->given_count ? given + 1 : NULL;
        if (next && !next->used && !next->name) {
            next->used = true;
            *value = next->text;
        } else {
            eng_graph_mistake(graph, NULL, "--%s: a value is missing behind it", name);
            *wrong = true;
        }
    }
    return found && !*wrong;
}

/* The argument of that name; *is_new: it has no answer yet. */
static struct graph_argument *argument_find(struct pen_graph *graph, enum graph_argument_kind kind,
                                            const char *name, const char *help, bool *is_new)
{
    struct graph_argument *argument;

    *is_new = false;
    for (uint32_t i = 0; i < graph->argument_count; i++) {
        argument = graph->arguments[i];
        if (strcmp(argument->name, name) != 0) continue;
        if (argument->kind != kind)
            eng_graph_mistake(graph, NULL, "--%s: the job asks for it with %s and with %s", name,
                              argument_function(argument->kind), argument_function(kind));
        return argument;
    }
    graph->arguments = eng_graph_grow(graph->arguments, graph->argument_count,
                                      &graph->argument_room, sizeof *graph->arguments);
    argument = eng_graph_keep(graph, sizeof *argument);
    argument->kind = kind;
    argument->name = eng_graph_keep_text(graph, name);
    argument->help = eng_graph_keep_text(graph, help ? help : "");
    graph->arguments[graph->argument_count++] = argument;
    *is_new = true;
    return argument;
}

/* Asks for an argument that has a value. The value, or NULL: the fallback holds. */
static const char *argument_ask(struct pen_graph *graph, struct graph_argument *argument)
{
    const char *value = NULL;
    bool wrong;

    if (argument_take(graph, argument->name, false, &value, &wrong)) return value;
    if (!wrong && !argument->fallback && !graph->wants_help)
        eng_graph_mistake(graph, NULL, "--%s: it is missing, and required%s%s", argument->name,
                          *argument->help ? ": " : "", argument->help);
    return NULL;
}

const char *pen_arg_text(struct pen_graph *graph, const char *name, const char *fallback,
                         const char *help)
{
    bool is_new;
    struct graph_argument *argument =
        argument_find(graph, GRAPH_ARGUMENT_TEXT, name, help, &is_new);

    if (!is_new) return argument->text ? argument->text : graph->missing;
    argument->fallback = eng_graph_keep_text(graph, fallback);
    argument->text = argument_ask(graph, argument);
    if (!argument->text) argument->text = fallback ? argument->fallback : graph->missing;
    return argument->text;
}

int64_t pen_arg_int(struct pen_graph *graph, const char *name, int64_t fallback, const char *help)
{
    bool is_new;
    struct graph_argument *argument = argument_find(graph, GRAPH_ARGUMENT_INT, name, help, &is_new);
    char text[32], *end;

    if (!is_new) return argument->number;
    snprintf(text, sizeof text, "%" PRId64, fallback);
    argument->fallback = eng_graph_keep_text(graph, text);
    argument->number = fallback;
    const char *value = argument_ask(graph, argument);
    if (!value) return fallback;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || *end || value[0] == ' ')
        eng_graph_mistake(graph, NULL, "--%s %s: not a whole number", name, value);
    else if (errno == ERANGE)
        eng_graph_mistake(graph, NULL, "--%s %s: larger than 64 bits hold", name, value);
    else
        argument->number = number;
    return argument->number;
}

double pen_arg_double(struct pen_graph *graph, const char *name, double fallback, const char *help)
{
    bool is_new;
    struct graph_argument *argument =
        argument_find(graph, GRAPH_ARGUMENT_DOUBLE, name, help, &is_new);
    char text[32], *end;

    if (!is_new) return argument->real;
    snprintf(text, sizeof text, "%g", fallback);
    argument->fallback = eng_graph_keep_text(graph, text);
    argument->real = fallback;
    const char *value = argument_ask(graph, argument);
    if (!value) return fallback;
    double real = strtod(value, &end);
    if (end == value || *end || value[0] == ' ' || !isfinite(real))
        eng_graph_mistake(graph, NULL, "--%s %s: not a number", name, value);
    else
        argument->real = real;
    return argument->real;
}

bool pen_arg_flag(struct pen_graph *graph, const char *name, const char *help)
{
    bool is_new, wrong;
    struct graph_argument *argument =
        argument_find(graph, GRAPH_ARGUMENT_FLAG, name, help, &is_new);
    const char *value = NULL;

    if (!is_new) return argument->number != 0;
    argument->fallback = "no";
    if (!argument_take(graph, name, true, &value, &wrong)) return false;
    if (value)
        eng_graph_mistake(graph, NULL, "--%s=%s: it is a switch and takes no value", name, value);
    argument->number = 1;
    return true;
}

pen_duration pen_arg_duration(struct pen_graph *graph, const char *name, pen_duration fallback,
                              const char *help)
{
    bool is_new;
    struct graph_argument *argument =
        argument_find(graph, GRAPH_ARGUMENT_DURATION, name, help, &is_new);
    char text[ENG_DURATION_BYTES];

    if (!is_new) return argument->number;
    argument->fallback = eng_graph_keep_text(graph, eng_duration_print(fallback, text));
    argument->number = fallback;
    const char *value = argument_ask(graph, argument);
    if (value && !eng_duration_parse(value, &argument->number))
        eng_graph_mistake(graph, NULL, "--%s %s: not a duration; write 30min, 500ms, 2h", name,
                          value);
    return argument->number;
}

/* ---- What is left ---------------------------------------------------------------------------- */

void eng_graph_check_arguments(struct pen_graph *graph)
{
    for (uint32_t i = 0; i < graph->given_count; i++) {
        const struct graph_given *given = &graph->given[i];
        struct eng_similar similar = {.wanted = given->name};

        if (given->used) continue;
        if (!given->name) {
            /* The value of an argument that is a mistake itself. */
            if (i > 0 && graph->given[i - 1].name && !graph->given[i - 1].used) continue;
            eng_graph_mistake(graph, NULL, "%s: arguments of a job begin with --", given->text);
            continue;
        }
        for (uint32_t j = 0; j < graph->argument_count; j++)
            eng_similar_offer(&similar, graph->arguments[j]->name);
        if (similar.best)
            eng_graph_mistake(graph, NULL, "--%s: the job has no such argument; did you mean --%s?",
                              given->name, similar.best);
        else
            eng_graph_mistake(graph, NULL,
                              "--%s: the job has no such argument; --help lists those it has",
                              given->name);
    }
}

void eng_graph_print_help(const struct pen_graph *graph, const char *job, FILE *out)
{
    int width = 0;

    if (graph->argument_count == 0) {
        fprintf(out, "%s takes no arguments.\n", job);
        return;
    }
    fprintf(out, "Arguments of %s:\n\n", job);
    for (uint32_t i = 0; i < graph->argument_count; i++) {
        const struct graph_argument *argument = graph->arguments[i];
        const char *kind = argument_kind_name(argument->kind);
        int wide = (int)strlen(argument->name) + (kind ? 1 + (int)strlen(kind) : 0);
        if (wide > width) width = wide;
    }
    for (uint32_t i = 0; i < graph->argument_count; i++) {
        const struct graph_argument *argument = graph->arguments[i];
        const char *kind = argument_kind_name(argument->kind);
        char left[256];

        snprintf(left, sizeof left, "%s%s%s", argument->name, kind ? " " : "", kind ? kind : "");
        fprintf(out, "  --%-*s  %s", width, left, argument->help);
        if (!argument->fallback)
            fprintf(out, "%s(required)", *argument->help ? " " : "");
        else if (argument->kind != GRAPH_ARGUMENT_FLAG)
            fprintf(out, "%s(default: %s)", *argument->help ? " " : "", argument->fallback);
        fprintf(out, "\n");
    }
}
