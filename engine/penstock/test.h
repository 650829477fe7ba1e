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
 * The program is linked with libpenstock and nothing else of ours:
 *
 *     cc sensor_test.c $(pkg-config --cflags --libs penstock) -lcunit
 *
 * Failures of the job (pen_fail, mistakes in the graph, a record of another type) print what
 * `penstock run` would print, behind the file and line of the call that brought them about, and
 * abort the test program at that place, with the function that failed still on the stack. So do
 * mistakes in the use of these functions. A crash is a crash of the test program.
 *
 * A test may have any number of these at once; all calls come from one thread.
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
/* Frees everything, records and states included. `.close` of an operator is called by pen_test_end,
 * not here. Accepts NULL. */
void pen_test_close(pen_test *test);

/* ---- Before the start: build a graph between inputs and outputs ------------------------------ */

pen_graph *pen_test_graph(pen_test *test);

/* A stream of records that the test pushes. With a time field, a pen_time of the record, they have
 * that event time, and watermarks are those that the test says; with NULL they have none, and a
 * pen_event_time that follows derives it. The second form is an updating stream: its records have
 * row kinds, see pen_test_push_as. */
#define pen_test_input(test, tag, time_field) pen_test_add_input(test, &tag##_schema, time_field)
#define pen_test_updating_input(test, tag, time_field)                                             \
    pen_test_add_updating_input(test, &tag##_schema, time_field)
pen_stream pen_test_add_input(pen_test *test, const struct pen_schema *schema,
                              const char *time_field); /* NULL: no event time */
pen_stream pen_test_add_updating_input(pen_test *test, const struct pen_schema *schema,
                                       const char *time_field);

/* Collects the records of a stream. Returns the stream. */
pen_stream pen_test_output(pen_test *test, pen_stream stream);

/* An argument of the job, as `-- --name text` on the command line; text NULL: a flag. Comes before
 * the job asks for it; one that it never asks for is a mistake. */
void pen_test_arg(pen_test *test, const char *name, const char *text);

/* How many workers the job runs on, each with its part of the keys and rings between them: it may
 * make no difference to what comes out, but for the order of records that took different ways.
 * Default: what the job asks for with pen_configure, else one. */
void pen_test_parallelism(pen_test *test, uint32_t parallelism);

void pen_test_start(pen_test *test);

/* ---- Moving ----------------------------------------------------------------------------------
 *
 * Each of these, and the start, runs the job until it has nothing more to do: all that follows from
 * it has been done when it returns. A source of the job's own gives all it has at the start; one
 * without end would never come to rest, unless it has a rate, by the virtual clock. A sink that
 * says PEN_AGAIN is waited for, up to a minute. */

/* A record, written as the fields that are not zero; copied, texts included. Its time may lie
 * behind the watermark: then it is late. pen_test_push_record also takes a record that
 * pen_test_next or pen_test_state returned. */
#define pen_test_push(test, input, tag, ...)                                                       \
    pen_test_push_record(test, input, PEN_INSERT, &tag##_schema, PEN_REF_(tag, __VA_ARGS__))
#define pen_test_push_as(test, input, row, tag, ...)                                               \
    pen_test_push_record(test, input, row, &tag##_schema, PEN_REF_(tag, __VA_ARGS__))
void pen_test_push_record(pen_test *test, pen_stream input, enum pen_row row,
                          const struct pen_schema *schema, const void *record);

/* No record at or before it follows on this input. What several inputs feed sees the smallest of
 * theirs. One that is not above the last is no news. */
void pen_test_watermark(pen_test *test, pen_stream input, pen_time watermark);

/* The wall clock, as pen_clock, timers and windows by the clock see it. It begins at
 * 1970-01-01T00:00:00Z and never goes back. What was due on the way is done in order, by functions
 * that all see the new time. */
void pen_test_clock(pen_test *test, pen_time now);

/* All inputs have ended: the watermark goes to infinity, and operators close. Outputs and states
 * can be read on. */
void pen_test_end(pen_test *test);

/* ---- Looking ---------------------------------------------------------------------------------
 *
 * What is returned is valid until the next call with the same output, whatever is pushed. */

/* The next record of an output, in the order of emission; NULL: no more for now. */
#define pen_test_next(test, output, tag)                                                           \
    ((const struct tag *)pen_test_next_record(test, output, &tag##_schema))
const void *pen_test_next_record(pen_test *test, pen_stream output,
                                 const struct pen_schema *schema);
enum pen_row pen_test_row(pen_test *test, pen_stream output);     /* of the record just returned */
pen_time pen_test_record_time(pen_test *test, pen_stream output); /* of the record just returned */

/* The state argument of a key, as it is now: pen_test_state(test, "hear", sensor, pen_int(7)). By
 * the operator's id; the key's first field, a time as its microseconds; NULL: the key is not known.
 * A key of several fields is found by the first one if no other key has the same there. With
 * pen_key_all any key will do. Valid until the next push. */
#define pen_test_state(test, id, tag, key)                                                         \
    ((const struct tag *)pen_test_state_of(test, id, &tag##_schema, key))
const void *pen_test_state_of(pen_test *test, const char *id, const struct pen_schema *schema,
                              pen_dict_key key);

/* The reason of the next dead letter, in the order of pen_reject; NULL: no more for now. Valid
 * until the next call. They are not shown on standard error. */
const char *pen_test_next_reject(pen_test *test);

/* A checkpoint; and the loss of every worker, followed by a restore from it. Records that were
 * pushed in between are pushed again by the harness, as a source would. This version of Penstock
 * cannot do either yet: they say so and abort. */
void pen_test_checkpoint(pen_test *test);
void pen_test_crash(pen_test *test);

/* For texts: pen_test_push(test, lines, pen_line, .text = pen_put(pen_test_context(test), "a b")).
 * A text that was put is part of the record that is pushed next. pen_format and pen_cstr work too;
 * what they return stays until the close. */
pen_context *pen_test_context(pen_test *test);

/* A whole bounded job, sources and sinks included, to its end, by real clocks. arguments: those of
 * the job, "--name", "text" ..., ended by NULL; or NULL for none. */
void pen_test_run(void (*job)(pen_graph *graph), const char *const *arguments);

/* ---- Where it was called ---------------------------------------------------------------------
 *
 * The functions above, each noting file and line for messages. */
pen_test *pen_test_here(pen_test *test, const char *file, uint32_t line); /* returns the test */
#ifndef PEN_TEST_PLAIN_
#define PEN_HERE_(test)                 pen_test_here(test, __FILE__, __LINE__)
#define pen_test_add_input(test, ...)   pen_test_add_input(PEN_HERE_(test), __VA_ARGS__)
#define pen_test_output(test, ...)      pen_test_output(PEN_HERE_(test), __VA_ARGS__)
#define pen_test_arg(test, ...)         pen_test_arg(PEN_HERE_(test), __VA_ARGS__)
#define pen_test_parallelism(test, ...) pen_test_parallelism(PEN_HERE_(test), __VA_ARGS__)
#define pen_test_start(test)            pen_test_start(PEN_HERE_(test))
#define pen_test_push_record(test, ...) pen_test_push_record(PEN_HERE_(test), __VA_ARGS__)
#define pen_test_watermark(test, ...)   pen_test_watermark(PEN_HERE_(test), __VA_ARGS__)
#define pen_test_clock(test, ...)       pen_test_clock(PEN_HERE_(test), __VA_ARGS__)
#define pen_test_end(test)              pen_test_end(PEN_HERE_(test))
#define pen_test_next_record(test, ...) pen_test_next_record(PEN_HERE_(test), __VA_ARGS__)
#define pen_test_row(test, ...)         pen_test_row(PEN_HERE_(test), __VA_ARGS__)
#define pen_test_record_time(test, ...) pen_test_record_time(PEN_HERE_(test), __VA_ARGS__)
#define pen_test_state_of(test, ...)    pen_test_state_of(PEN_HERE_(test), __VA_ARGS__)
#define pen_test_checkpoint(test)       pen_test_checkpoint(PEN_HERE_(test))
#define pen_test_crash(test)            pen_test_crash(PEN_HERE_(test))
#define pen_test_add_updating_input(test, ...)                                                     \
    pen_test_add_updating_input(PEN_HERE_(test), __VA_ARGS__)
#endif

PEN_API_END_

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
