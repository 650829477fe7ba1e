/* engine/job/call.h: one pen_add_ call, from the user's struct to a node.
 *
 * Every pen_add_ function has the same shape:
 *
 *     eng_call_open        the struct is copied as far as its maker knew it; origin and ABI checked
 *     eng_call_stream      what flows in
 *     eng_call_function    functions, of which kind, filled or not
 *     eng_call_common      options that all have: copied deeply, checked
 *     ...                  its own checks, each an eng_call_mistake
 *     call.failed?         eng_call_give_up: a bad stream, bad side streams
 *     eng_call_node        else the node, its inputs, its outputs
 *
 * Mistakes do not end a call: a user wants to hear of all of them at once. A mistake reads
 *
 *     job.c:71: pen_map(split): it takes word, the stream carries pen_line
 */
#ifndef ENG_JOB_CALL_H
#define ENG_JOB_CALL_H

#include "engine/flow/class.h"
#include "engine/job/graph_inside.h"

struct eng_call {
    struct pen_graph *graph;
    const struct pen_origin *origin; /* a copy */
    const char *name;                /* pen_map */
    const char *title;               /* pen_map(split) */
    const char *about;               /* split; NULL: nothing stands between the parentheses */
    bool failed;
};

/* Returns a copy of the struct `given`, whose first member is its origin, with zeros where its
 * maker knew less than we do. NULL: it cannot be read, which has been told. */
void *eng_call_open(struct eng_call *call, struct pen_graph *graph, const char *name,
                    const void *given, size_t known_bytes);

/* What stands in the parentheses: the origin's name, else that of the function. */
void eng_call_about(struct eng_call *call, const struct pen_function *function);
void eng_call_about_name(struct eng_call *call, const char *name);

void eng_call_mistake(struct eng_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "this version of Penstock cannot do that yet", with what cannot be done: ".on_timer"; NULL: the
 * operator as a whole. */
void eng_call_not_yet(struct eng_call *call, const char *what);

/* A function of the kind, filled as its kind needs it, with zeros where its maker knew less; NULL:
 * a mistake. option: ".on_timer", or NULL for the function that the operator is about. */
const struct pen_function *eng_call_function(struct eng_call *call,
                                             const struct pen_function *given, enum pen_kind kind,
                                             const char *option);

/* NULL: the schema is a mistake. what: "its result", for a schema that is missing. */
const struct eng_layout *eng_call_layout(struct eng_call *call, const struct pen_schema *schema,
                                         const char *what);

/* Whether a function that takes records of `wanted` can have those of a stream. subject: "it",
 * "on_rule learn". */
void eng_call_fits(struct eng_call *call, const char *subject, const struct pen_schema *wanted,
                   const struct pen_schema *carried);
/* The PEN_MAP function of an operator about the records of a stream: filled in *each. The layout of
 * what it gives, or NULL: a mistake. */
const struct eng_layout *eng_call_each(struct eng_call *call, const struct pen_function **each,
                                       const struct eng_layout *records);
/* Two schemas that must be the same for another reason: told in these words. */
bool eng_call_same(struct eng_call *call, const struct pen_schema *a, const struct pen_schema *b,
                   const char *words_a, const char *words_b);

/* A field by name; NULL: told, with what may have been meant. option: ".watermark" or NULL. */
const struct eng_field *eng_call_field(struct eng_call *call, const struct eng_layout *layout,
                                       const char *name, const char *option);

/* "optional int32", "time": a field's type for people; `to` has 48 bytes. */
const char *eng_call_type(const struct eng_field *field, char *to);
/* Whether a value of one field can go into another as it is, null aside. */
bool eng_call_types_equal(const struct eng_field *a, const struct eng_field *b);

/* Pointers to the options in the copied struct; NULL where an operator has no such option. */
struct eng_common {
    const char **id;
    uint32_t *parallelism;
    const void **user;
    void (**open)(pen_context *ctx);
    void (**close)(pen_context *ctx);
    const char *const **counters;
    const struct pen_side **side;
    struct pen_state *const **uses;
    const char **group;
};

/* For a struct with PEN_OPTIONS_. */
#define ENG_COMMON_OF(options)                                                                     \
    (struct eng_common)                                                                            \
    {                                                                                              \
        &(options)->id, &(options)->parallelism, &(options)->user, &(options)->open,               \
            &(options)->close, &(options)->counters, &(options)->side, &(options)->uses,           \
            &(options)->group                                                                      \
    }

void eng_call_common(struct eng_call *call, const struct eng_common *common);

/* A bad stream; the side streams of the call are bad as well. */
pen_stream eng_call_give_up(struct eng_call *call, const struct eng_common *common);

/* The node; with the main output, if it has one, and the side outputs. */
struct eng_node *eng_call_node(struct eng_call *call, const struct eng_class *class,
                               const void *options, const struct eng_common *common,
                               const struct pen_function *function, const struct eng_layout *out,
                               struct eng_stream_kind rows);
/* Its main output as a stream. Sets the streams of its sides, too. */
pen_stream eng_call_streams(struct eng_call *call, struct eng_node *node,
                            const struct eng_common *common);

/* Lists that end with zeros, copied into the graph. NULL stays NULL. */
const char *const *eng_call_names(struct eng_call *call, const char *const *names, uint32_t *count);

#endif
