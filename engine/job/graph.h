/* engine/job/graph.h: the graph that pen_job describes.
 *
 * Opened by whoever runs a job (the supervisor, `penstock check`, a test), filled by pen_job
 * through the public pen_add_ functions, then closed to mistakes by eng_graph_finish. Every mistake
 * is kept with the file and line of the user's call; a stream that cannot be made absorbs what is
 * built on it, so that one mistake is told once.
 *
 *     open -> set_arguments -> pen_job: pen_add_... -> finish -> print mistakes, or plan -> close
 *
 * Arguments of the job (`--name value` behind `--`) are given beforehand. An argument that nobody
 * asked for is a mistake as well; `--help` makes eng_graph_wants_help true, and the list is printed
 * then, whatever else is wrong.
 *
 * A graph is private memory of one process and one thread. Nothing in it is shared: workers, forked
 * later, have it as a private copy. So nothing happens to it on a crash.
 */
#ifndef ENG_JOB_GRAPH_H
#define ENG_JOB_GRAPH_H

#include <stdio.h>

#include "engine/flow/node.h"

/* What the job asked for with pen_configure. The command line has the last word: whoever runs the
 * job looks there first. */
struct eng_graph_settings {
    const char *job_name; /* NULL: not set by the job */
    uint32_t parallelism; /* 0: not set */
    pen_duration checkpoint_every_us;
    enum pen_delivery delivery;
    enum pen_backend backend;
    const char *dead_letters;
    uint64_t rejects_max;
    enum pen_poison poison;
    enum pen_on_bad_record on_bad_record;
};

struct pen_graph *eng_graph_open(void);
void eng_graph_close(struct pen_graph *graph); /* accepts NULL */

/* Those of the job only, without the `--` before them. Copied. Called again, it adds to them. */
void eng_graph_set_arguments(struct pen_graph *graph, int count, char *const *arguments);

/* After pen_job: checks the whole, prepares the nodes. False: there are mistakes. */
bool eng_graph_finish(struct pen_graph *graph);

uint32_t eng_graph_mistakes(const struct pen_graph *graph);
uint32_t eng_graph_warnings(const struct pen_graph *graph);
/* One a line, sorted by file and line; those about arguments and the whole come first. */
void eng_graph_print_mistakes(const struct pen_graph *graph, FILE *out);
void eng_graph_print_warnings(const struct pen_graph *graph, FILE *out);

bool eng_graph_wants_help(const struct pen_graph *graph);
void eng_graph_print_help(const struct pen_graph *graph, const char *job, FILE *out);

const struct eng_graph_settings *eng_graph_settings(const struct pen_graph *graph);

/* Inputs of a node have lower numbers than the node. */
struct eng_node **eng_graph_nodes(struct pen_graph *graph, uint32_t *count);

/* What pen_evolve said, in the order of the calls, as deep copies; NULL after the last. */
const struct pen_evolution *eng_graph_evolution(const struct pen_graph *graph, uint32_t index);

/* ---- For connectors --------------------------------------------------------------------------
 *
 * The pen_add_ functions of built-in connectors are made of the same parts as a user's: they fill a
 * struct pen_source or pen_sink, with the origin of the struct they were handed (and its size_bytes
 * that of the struct they fill), and call one of these. `call` is the public name, "pen_read_csv":
 * it stands before every mistake and makes the title. `origin.name` says of what: "flights.csv".
 * Without an
 * `.id` it is the id as well. */
pen_stream eng_graph_add_source(struct pen_graph *graph, const struct pen_source *source,
                                const char *call);
void eng_graph_add_sink(pen_stream stream, const struct pen_sink *sink, const char *call);

/* Reads a public struct as eng_graph_add_source does: as much of it as its maker knew, zeros
 * behind, in memory of the graph. NULL: the struct is of another ABI or uses an option that this
 * version does not know, which has been noted as a mistake. */
const void *eng_graph_read(struct pen_graph *graph, const char *call, const void *given,
                           size_t known_bytes);

/* What a stream carries. NULL: the stream is a mistake that has been told. For sinks that need a
 * schema before they can make their function; checking is still eng_graph_add_sink's. */
const struct eng_layout *eng_graph_stream_layout(pen_stream stream);
struct eng_stream_kind eng_graph_stream_kind(pen_stream stream);

/* A mistake at `origin`; the format is a sentence without its end. */
void eng_graph_mistake(struct pen_graph *graph, const struct pen_origin *origin, const char *format,
                       ...) __attribute__((format(printf, 3, 4)));
void eng_graph_warning(struct pen_graph *graph, const struct pen_origin *origin, const char *format,
                       ...) __attribute__((format(printf, 3, 4)));

/* The stream that a call returns which has made a mistake: it absorbs what is built on it. */
pen_stream eng_graph_bad_stream(struct pen_graph *graph);

/* What pen_arg_text returned for an argument that is required and missing. That has been told, so
 * whoever is handed the text need not complain about it. */
bool eng_graph_is_missing(const struct pen_graph *graph, const char *text);

/* Memory that lives as long as the graph: zeroed, freed with it. Copies of text likewise (NULL
 * stays NULL). */
void *eng_graph_keep(struct pen_graph *graph, size_t size_bytes);
const char *eng_graph_keep_text(struct pen_graph *graph, const char *text);

#endif
