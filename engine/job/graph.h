/* engine/job/graph.h: the graph that pen_job describes.
 *
 * Opened by whoever runs a job (the supervisor, `penstock check`, a test), filled by pen_job through the
 * public pen_add_ functions, then closed to mistakes by eng_graph_finish. Every mistake is kept with
 * the file and line of the user's call; a stream that cannot be made absorbs what is built on it, so
 * that one mistake is told once.
 *
 * Arguments of the job (`--name value` behind `--`) are given beforehand. An argument that nobody asked
 * for is a mistake as well; `--help` makes eng_graph_wants_help true, and the list is printed then.
 */
#ifndef ENG_JOB_GRAPH_H
#define ENG_JOB_GRAPH_H

#include <stdio.h>

#include "engine/flow/node.h"



struct eng_graph_settings {
    const char *job_name; /* NULL: not set by the job */
    uint32_t parallelism;
    pen_duration checkpoint_every_us;
    enum pen_delivery delivery;
    enum pen_backend backend;
    const char *dead_letters;
    uint64_t rejects_max;
    enum pen_poison poison;
    enum pen_on_bad_record on_bad_record;
};

struct pen_graph *eng_graph_open(void);
void eng_graph_close(struct pen_graph *graph);
void eng_graph_set_arguments(struct pen_graph *graph, int count, char *const *arguments);

/* After pen_job: checks the whole, prepares the nodes. False: there are mistakes. */
bool eng_graph_finish(struct pen_graph *graph);
uint32_t eng_graph_mistakes(const struct pen_graph *graph);
void eng_graph_print_mistakes(const struct pen_graph *graph, FILE *out); /* sorted by file and line */
void eng_graph_print_warnings(const struct pen_graph *graph, FILE *out);
bool eng_graph_wants_help(const struct pen_graph *graph);
void eng_graph_print_help(const struct pen_graph *graph, const char *job, FILE *out);

const struct eng_graph_settings *eng_graph_settings(const struct pen_graph *graph);
struct eng_node **eng_graph_nodes(struct pen_graph *graph, uint32_t *count);

/* For the pen_add_ functions of built-in connectors, which are made of the same parts. A mistake at
 * `origin`; the format is a sentence without its end. */
void eng_graph_mistake(struct pen_graph *graph, const struct pen_origin *origin, const char *format,
                       ...) __attribute__((format(printf, 3, 4)));

/* Memory that lives as long as the graph: zeroed, freed with it. Copies of text likewise. */
void *eng_graph_keep(struct pen_graph *graph, size_t size_bytes);
const char *eng_graph_keep_text(struct pen_graph *graph, const char *text);

#endif
