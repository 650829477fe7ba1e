/* engine/control/test.h: the inside of penstock/test.h: a job in a test program, moved by hand.
 *
 *     test.c          the job's life: open, start, settle, end; virtual time; failures
 *     test_ends.c     inputs and outputs: a source that is fed, a sink that keeps
 *     test_state.c    the state of a key
 *
 * The workers are those of engine/control/local.h, stepped in turn. An input is a source of one
 * subtask with a queue of frames that pen_test_push and its like append to; an output is a sink
 * that copies what it takes into another queue. Everything is private memory of the test's process,
 * and the only thing that moves by itself is a sink of the job's own that waits for the world.
 *
 * Settling. The job is at rest when a whole round of steps has done nothing and nothing is left to
 * be done: no bell has rung, no chain has frames to read or something to fire, no exchange
 * overflows, no sink holds records, nobody asked to be called at a time that has come. That is a
 * state, not a number of idle rounds: it cannot end by itself, since time stands still.
 *
 * Failing. Every way out is eng_test_abort: standard output is flushed, so that what the test has
 * said is seen, the message follows, and the program aborts. The engine's witness calls it within
 * pen_fail, so a debugger shows the function that failed.
 */
#ifndef ENG_CONTROL_TEST_H
#define ENG_CONTROL_TEST_H

#define PEN_TEST_PLAIN_
#include <penstock/test.h>

#include "engine/control/local.h"

struct test_gather { /* records at the front of a queue, as a batch has them */
    const void *records[ENG_BATCH_RECORDS_MAX];
    int64_t times_us[ENG_BATCH_RECORDS_MAX];
    uint8_t rows[ENG_BATCH_RECORDS_MAX];
};

struct test_input {
    struct test_input *next;
    pen_stream stream;
    const struct eng_layout *layout;
    const struct eng_field *time; /* NULL: no event time */
    bool updating;
    int64_t watermark_us;    /* the last that was said */
    struct eng_queue pushed; /* what its source has not emitted yet */
    struct test_gather gather;
    struct pen_function poll; /* its source's */
};

struct test_output {
    struct test_output *next;
    pen_stream stream;
    const struct eng_layout *layout;
    struct pen_function write;
    struct eng_queue records;
    const struct shm_frame *at_hand; /* the first of them, returned last; NULL: none */
};

/* Where texts are put: a context of no operator, in a worker of no job. */
struct test_desk {
    pen_context ctx;
    struct eng_node node;
    struct eng_worker worker;
    struct eng_board_subtask board;
    struct eng_worker_witness witness;
};

struct pen_test {
    struct pen_graph *graph; /* of local, once it has started */
    struct eng_local local;
    bool started, ended;
    uint32_t parallelism; /* 0: the job's, else 1 */
    int64_t wall_us;      /* the virtual clock */
    struct eng_worker_witness witness;

    struct test_input *inputs;
    struct test_output *outputs;
    struct test_desk *desk;

    struct eng_queue rejects;               /* frames with a reason each, ended by NUL */
    const struct shm_frame *reject_at_hand; /* the first of them, returned last; NULL: none */

    void *looked_at;  /* a copy that pen_test_state returned last */
    const char *file; /* of the call at hand, for messages */
    uint32_t line;
};

/* Prints where the test stands and why it cannot go on, and aborts. */
_Noreturn void eng_test_abort(const struct pen_test *test, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Aborts when the job has started, or has not. call: "pen_test_push". */
void eng_test_must_be_building(const struct pen_test *test, const char *call);
void eng_test_must_be_running(const struct pen_test *test, const char *call);

/* Of a public struct of so many bytes that is filled for the call at hand. */
struct pen_origin eng_test_origin(const struct pen_test *test, uint32_t size_bytes);

/* Steps the workers until the job is at rest. */
void eng_test_settle(struct pen_test *test);

/* ---- test_ends.c ----------------------------------------------------------------------------- */

void eng_test_end_inputs(struct pen_test *test);
void eng_test_close_ends(struct pen_test *test);
/* True: it is a record that was returned to the test, so its texts are in place. */
bool eng_test_has_returned(const struct pen_test *test, const void *record);

#endif
