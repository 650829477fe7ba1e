/* penstock/test.h: a job, or a part of one, inside a unit test.
 *
 * A test runs the real engine in one process, with one worker unless it asks for more, under
 * virtual time. Nothing moves but what the test pushes: neither the wall clock nor the watermark.
 * So a test of an hour's silence takes microseconds and ends the same way every time. Parts of
 * a job that are functions of streams, `static pen_stream watch(pen_stream readings)`, are tested
 * like this:
 *
 *     pen_test *test = pen_test_open();
 *     pen_stream readings = pen_test_input(test, reading, "at");
 *     pen_stream alerts = pen_test_output(test, watch(readings));
 *     pen_test_start(test);
 *
 *     pen_test_push(test, readings, reading, .at = minute(0), .sensor = 7);
 *     pen_test_watermark(test, readings, minute(6));
 *     const struct alert *alert = pen_test_next(test, alerts, alert);
 *
 * Failures of the job (pen_fail, mistakes in the graph, a record of another type) print what
 * `penstock run` would print and abort the test program.
 */
#ifndef PENSTOCK_TEST_H
#define PENSTOCK_TEST_H

#include <penstock.h>

#ifdef __cplusplus
extern "C" {
#endif

PEN_API_BEGIN_

typedef struct pen_test pen_test;

pen_test *pen_test_open(void);
void pen_test_close(pen_test *test); /* accepts NULL */

/* Before the start: build a graph between inputs and outputs. */
pen_graph *pen_test_graph(pen_test *test);
#define pen_test_input(test, tag, time_field) pen_test_add_input(test, &tag##_schema, time_field)
pen_stream pen_test_add_input(pen_test *test, const struct pen_schema *schema,
                              const char *time_field);                 /* NULL: no event time */
pen_stream pen_test_output(pen_test *test, pen_stream stream);         /* returns the stream */
void pen_test_arg(pen_test *test, const char *name, const char *text); /* as `-- --name text` */
void pen_test_start(pen_test *test);

/* Each of these runs the job until it has nothing more to do. */
#define pen_test_push(test, input, tag, ...)                                                       \
    pen_test_push_record(test, input, PEN_INSERT, &tag##_schema, PEN_REF_(tag, __VA_ARGS__))
#define pen_test_push_as(test, input, row, tag, ...)                                               \
    pen_test_push_record(test, input, row, &tag##_schema, PEN_REF_(tag, __VA_ARGS__))
void pen_test_push_record(pen_test *test, pen_stream input, enum pen_row row,
                          const struct pen_schema *schema, const void *record);
void pen_test_watermark(pen_test *test, pen_stream input, pen_time watermark);
void pen_test_clock(pen_test *test, pen_time now);
void pen_test_end(pen_test *test); /* all inputs have ended */

/* The next record of an output, in the order of emission; NULL: no more for now. Valid until the
 * next call with the same output. */
#define pen_test_next(test, output, tag)                                                           \
    ((const struct tag *)pen_test_next_record(test, output, &tag##_schema))
const void *pen_test_next_record(pen_test *test, pen_stream output,
                                 const struct pen_schema *schema);
enum pen_row pen_test_row(pen_test *test, pen_stream output);     /* of the record just returned */
pen_time pen_test_record_time(pen_test *test, pen_stream output); /* of the record just returned */

/* The state argument of a key, as it is now: pen_test_state(test, "hear", sensor, pen_int(7)). By
 * the operator's id; the key's first field; NULL: the key is not known. Valid until the next push.
 */
#define pen_test_state(test, id, tag, key)                                                         \
    ((const struct tag *)pen_test_state_of(test, id, &tag##_schema, key))
const void *pen_test_state_of(pen_test *test, const char *id, const struct pen_schema *schema,
                              pen_dict_key key);

/* The reason of the next dead letter, in the order of pen_reject; NULL: no more for now. */
const char *pen_test_next_reject(pen_test *test);

/* A checkpoint; and the loss of every worker, followed by a restore from it. Records that were
 * pushed in between are pushed again by the harness, as a source would. */
void pen_test_checkpoint(pen_test *test);
void pen_test_crash(pen_test *test);

/* For texts: pen_test_push(test, lines, pen_line, .text = pen_put(pen_test_context(test), "a b"))
 */
pen_context *pen_test_context(pen_test *test);

/* A whole bounded job, sources and sinks included, to its end. arguments ends with NULL. */
void pen_test_run(void (*job)(pen_graph *graph), const char *const *arguments);

PEN_API_END_

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
