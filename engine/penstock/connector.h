/* penstock/connector.h: where records come from and where they go.
 *
 * The first half is the connectors that come with Penstock. The second half is for writing one:
 * they are written against it too.
 *
 * Delivery. Every source below but standard input can be rewound and every sink below is
 * exactly-once: a file shows a record only when the checkpoint that covers it is complete.
 * pen_print is for people and repeats itself after a failure.
 */
#ifndef PENSTOCK_CONNECTOR_H
#define PENSTOCK_CONNECTOR_H

#include <penstock/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

PEN_API_BEGIN_

/* ---- Reading files --------------------------------------------------------------------------- */

/* One line, without its end. */
struct pen_line {
    pen_string text;
};
PEN_RECORD(pen_line, text);

/* pen_read_lines(graph, path, options...)      struct pen_line
 * pen_read_csv(graph, Out, path, options...)   struct Out, from the columns named like its fields
 * pen_read_json(graph, Out, path, options...)  struct Out, from the members named like its fields
 * pen_read_binary(graph, Out, path, ...)       struct Out, as pen_write_binary wrote it
 *
 * CSV has names in its first line, JSON one object a line. What Out does not name is ignored. An
 * empty column and a missing member are null, or a dead letter where the field cannot be null.
 *
 * path: a file, a directory (all files in it), a pattern (*.csv), or - for standard input, which
 * cannot be rewound and so not exactly-once. Names that end in .gz or .zst are decompressed. NULL
 * is a mistake. */
#define pen_read_lines(graph, ...)                                                                 \
    pen_add_read(graph, PEN_SPEC_(pen_read, NULL, .out = &pen_line_schema, .path = __VA_ARGS__))
#define pen_read_csv(graph, out_, ...)                                                             \
    pen_add_read(graph, PEN_SPEC_(pen_read, NULL, .format = PEN_CSV, .out = &out_##_schema,        \
                                  .path = __VA_ARGS__))
#define pen_read_json(graph, out_, ...)                                                            \
    pen_add_read(graph, PEN_SPEC_(pen_read, NULL, .format = PEN_JSON, .out = &out_##_schema,       \
                                  .path = __VA_ARGS__))

#define pen_read_binary(graph, out_, ...)                                                          \
    pen_add_read(graph, PEN_SPEC_(pen_read, NULL, .format = PEN_BINARY, .out = &out_##_schema,     \
                                  .path = __VA_ARGS__))

struct pen_read {
    struct pen_origin origin;
    enum pen_format format; /* 0: lines */
    const struct pen_schema *out;
    const char *path;
    bool follow;    /* at the end, wait for more; also for new files of a directory */
    bool no_header; /* CSV: columns in the order of the fields */
    char separator; /* CSV: default ',' */
    bool multiline; /* CSV: quoted fields may hold line ends. A file is then read by one subtask;
                       without it large files are shared out in ranges, and such a field is a bad
                       record */
    const char *id;
    uint32_t parallelism;
    const char *group;
};
pen_stream pen_add_read(pen_graph *graph, const struct pen_read *read);

/* ---- Writing --------------------------------------------------------------------------------- */

/* pen_write_csv(stream, path, options...), pen_write_json: a directory of files. A file is written
 * hidden, through many checkpoints, and shown whole when one has covered its end. An updating
 * stream is a mistake, unless `.row_column` names a column for the row kind (+I -U +U -D).
 * pen_print: standard output. pen_discard: nowhere, for measurements. */
#define pen_write_csv(stream, ...)                                                                 \
    pen_add_write(stream, PEN_SPEC_(pen_write, NULL, .format = PEN_CSV, .path = __VA_ARGS__))
#define pen_write_json(stream, ...)                                                                \
    pen_add_write(stream, PEN_SPEC_(pen_write, NULL, .format = PEN_JSON, .path = __VA_ARGS__))
#define pen_write_binary(stream, ...)                                                              \
    pen_add_write(stream, PEN_SPEC_(pen_write, NULL, .format = PEN_BINARY, .path = __VA_ARGS__))

struct pen_write {
    struct pen_origin origin;
    enum pen_format format;
    const char *path;
    const char *row_column;
    pen_duration roll_every; /* a new file after so long, or so much; default: a minute, 1 GiB */
    int64_t roll_bytes;
    const char *id;
    uint32_t parallelism;
    const char *group;
    const char *const *upsert_key; /* PEN_FIELDS(...): the rows of an updating stream replace each
                                      other by these fields */
};
void pen_add_write(pen_stream stream, const struct pen_write *write);

#define pen_print(...)                                                                             \
    pen_add_print(PEN_FIRST_(__VA_ARGS__, ),                                                       \
                  PEN_SPEC_(pen_print, "print", .to_nowhere = false, PEN_REST_(__VA_ARGS__, )))
#define pen_discard(stream)                                                                        \
    pen_add_print(stream, PEN_SPEC_(pen_print, "discard", .to_nowhere = true))

struct pen_print {
    struct pen_origin origin;
    bool to_nowhere;
    const char *prefix; /* before each line */
    const char *id;
    enum pen_format format; /* default: name=value, for people */
};
void pen_add_print(pen_stream stream, const struct pen_print *print);

/* ---- Lines over TCP -------------------------------------------------------------------------- */

/* pen_read_tcp(graph, "127.0.0.1:9999", options...): connects and reads lines (struct pen_line),
 * or, with `.format`, records of `.out`. At the end of the connection the stream ends, with
 * `.reconnect` it connects again. It cannot be rewound. pen_write_tcp(stream, address, .format =
 * ...): connects and writes a line for each record; records wait while the other side does not
 * read. */
#define pen_read_tcp(graph, ...)                                                                   \
    pen_add_read_tcp(graph, PEN_SPEC_(pen_tcp, NULL, .address = __VA_ARGS__))
#define pen_write_tcp(stream, ...)                                                                 \
    pen_add_write_tcp(stream, PEN_SPEC_(pen_tcp, NULL, .address = __VA_ARGS__))

struct pen_tcp {
    struct pen_origin origin;
    enum pen_format format;       /* reading: 0 is lines; writing: default JSON */
    const struct pen_schema *out; /* NULL: pen_line, when there is no format */
    const char *address;          /* host:port; [::1]:port */
    bool reconnect;
    const char *id;
    const char *group;
};
pen_stream pen_add_read_tcp(pen_graph *graph, const struct pen_tcp *tcp);
void pen_add_write_tcp(pen_stream stream, const struct pen_tcp *tcp);

/* ---- Generated records ----------------------------------------------------------------------- */

/* pen_generate(graph, fn, .count = N, .rate = R), where PEN_GENERATE(fn, Out) stands under
 *
 *     void fn(pen_context *, uint64_t index)
 *
 * Calls fn for each index from 0 to count - 1, shared out between the subtasks in interleaved
 * blocks, so that all are at about the same index; fn emits the record of that index, or none, or
 * many. With a rate (records a second, of all subtasks together) index i is due at i / rate seconds
 * after the start, and is never generated before; a generator that was held up catches up. Can be
 * rewound. */
#define PEN_GENERATE(fn, out_)                                                                     \
    PEN_SIGNATURE_(fn, void, (pen_context *, uint64_t));                                           \
    PEN_UNUSED_ static void fn##_generate_(pen_context *ctx_, uint64_t from_, uint64_t to_)        \
    {                                                                                              \
        for (uint64_t i_ = from_; i_ < to_; i_++)                                                  \
            fn(ctx_, i_);                                                                          \
    }                                                                                              \
    PEN_FUNCTION_(fn, GENERATE, .out = &out_##_schema, .generate = fn##_generate_)
#define pen_generate(graph, ...)                                                                   \
    pen_add_generate(graph, PEN_CALL_(pen_generate, .make, __VA_ARGS__, ))

struct pen_generate {
    struct pen_origin origin;
    const struct pen_function *make;
    uint64_t count; /* 0: without end */
    double rate;    /* records a second; 0: as fast as it goes */
    PEN_OPTIONS_;
};
pen_stream pen_add_generate(pen_graph *graph, const struct pen_generate *generate);

/* The moment at which index i is due: the start of the job plus i / rate. In a generator. */
pen_time pen_generate_due(pen_context *ctx, uint64_t index);

/* ---- A source of your own -------------------------------------------------------------------- */

/* pen_source(graph, poll, .plan = plan, options...), where PEN_SOURCE(poll, Split, Out) stands
 * under
 *
 *     enum pen_poll poll(pen_context *, struct Split *)  emits some records, moves the position
 *
 * A split is a part of the input: a file, a partition, a range. Its struct says where it is and how
 * far it has been read. It is saved at every cut, and a cut is never taken inside poll: so what
 * poll has emitted and what the struct says agree, which is all that exactly-once asks for. Splits
 * are given out on demand to the subtasks, and pen_local is per split. Texts in a split are set by
 * pen_add_split and stay.
 *
 * poll must not block, unless `.blocking`, and should return after some hundred records. */
enum pen_poll {
    PEN_MORE, /* call again soon */
    PEN_IDLE, /* nothing now: call again in a while, or when `.wake_fd` is readable */
    PEN_END,  /* this split is finished */
};

#define PEN_SOURCE(fn, split_, out_)                                                               \
    PEN_SIGNATURE_(fn, enum pen_poll, (pen_context *, struct split_ *));                           \
    PEN_UNUSED_ static int fn##_poll_(pen_context *ctx_, void *of_)                                \
    {                                                                                              \
        return (int)fn(ctx_, (struct split_ *)of_);                                                \
    }                                                                                              \
    PEN_FUNCTION_(fn, SOURCE, .state = &split_##_schema, .out = &out_##_schema, .poll = fn##_poll_)
#define pen_source(graph, ...) pen_add_source(graph, PEN_CALL_(pen_source, .poll, __VA_ARGS__, ))

struct pen_source {
    struct pen_origin origin;
    const struct pen_function *poll;
    void (*plan)(pen_context *ctx); /* calls pen_add_split; first when the job first starts */
    pen_duration plan_every;        /* then again and again; 0: once */
    void (*acknowledge)(pen_context *ctx); /* the checkpoint that holds pen_split is complete: what
                                              lies before its position may be deleted outside */
    int (*wake_fd)(pen_context *ctx);
    bool blocking;  /* poll may block: it runs in a helper process */
    bool no_rewind; /* cannot give records a second time: exactly-once is refused */
    PEN_OPTIONS_;   /* open and close are called for each split */
};
pen_stream pen_add_source(pen_graph *graph, const struct pen_source *source);

/* A new split, in plan. Splits are told apart by the first field: one that is known is ignored. */
#define pen_add_split(ctx, tag, ...)                                                               \
    pen_add_split_record(ctx, &tag##_schema, PEN_REF_(tag, __VA_ARGS__))
void pen_add_split_record(pen_context *ctx, const struct pen_schema *schema, const void *split);

/* The split at hand, in open, close and acknowledge (there as the checkpoint has it). */
#define pen_split(ctx, tag) ((const struct tag *)pen_split_record(ctx, &tag##_schema))
const void *pen_split_record(pen_context *ctx, const struct pen_schema *schema);

/* ---- A sink of your own ---------------------------------------------------------------------- */

/* pen_sink(stream, write, options...), where one of two lines stands under
 *
 *     enum pen_taken write(pen_context *, const struct In *)
 *
 * PEN_AGAIN: it cannot be taken now; it is handed in again when `.wake_fd` is writable, or in a
 * while, and until then nothing else is. A client that can only block: `.blocking = true`.
 *
 * PEN_SINK(write, In): at-least-once; exactly-once if writing the same record twice does no harm.
 * `.flush` makes durable what was written, at every checkpoint.
 *
 * PEN_TWO_PHASE(write, In, Pending): exactly-once. Pending is a struct that says what was written
 * and how to show it; the functions begin with its name:
 *
 *     bool Pending_seal(pen_context *, struct Pending *)
 *         at the cut: what is written from now on is another pending. In memory only, microseconds,
 *         because the worker waits. Fills the struct; false: there is nothing
 *     void Pending_flush(pen_context *, const struct Pending *)
 *         right after the cut, while write goes on: makes it durable. The checkpoint waits for it
 *     void Pending_commit(pen_context *, const struct Pending *)
 *         the checkpoint is complete: shows it. Durable when it returns. It may be called again
 *         after it has succeeded, so it must see what is done already and tell it from what is lost
 *     void Pending_abort(pen_context *)
 *         after a failure, once, when all that counts is committed and nothing is written yet: what
 *         this run (pen_run) has hidden and not shown is void
 *
 * flush, commit and abort may block: they run in a helper process. Pending, saved in the checkpoint
 * until commit has returned, is all that they and write share: pen_local there is the helper's own.
 * With `.blocking` all five run in the helper and share it.
 *
 * Only what becomes durable seals and commits, a checkpoint or a savepoint; a live query, which
 * cuts the job as well, does not. A checkpoint that fails aborts nothing: what was sealed for it is
 * committed with the next one. pen_fail in flush fails that checkpoint; in commit it restarts the
 * job, which commits again. */
enum pen_taken { PEN_TAKEN, PEN_AGAIN };

#define PEN_SINK(fn, in_)                                                                          \
    PEN_WRITE_LOOP_(fn, in_)                                                                       \
    PEN_FUNCTION_(fn, SINK, .in = &in_##_schema, .loop = fn##_loop_)
#define PEN_TWO_PHASE(fn, in_, pending_)                                                           \
    PEN_WRITE_LOOP_(fn, in_)                                                                       \
    PEN_SIGNATURE_(pending_##_seal, bool, (pen_context *, struct pending_ *));                     \
    PEN_SIGNATURE_(pending_##_flush, void, (pen_context *, const struct pending_ *));              \
    PEN_SIGNATURE_(pending_##_commit, void, (pen_context *, const struct pending_ *));             \
    PEN_SIGNATURE_(pending_##_abort, void, (pen_context *));                                       \
    PEN_UNUSED_ static bool pending_##_seal_(pen_context *ctx_, void *of_)                         \
    {                                                                                              \
        return pending_##_seal(ctx_, (struct pending_ *)of_);                                      \
    }                                                                                              \
    PEN_UNUSED_ static void pending_##_flush_(pen_context *ctx_, const void *of_)                  \
    {                                                                                              \
        pending_##_flush(ctx_, (const struct pending_ *)of_);                                      \
    }                                                                                              \
    PEN_UNUSED_ static void pending_##_commit_(pen_context *ctx_, const void *of_)                 \
    {                                                                                              \
        pending_##_commit(ctx_, (const struct pending_ *)of_);                                     \
    }                                                                                              \
    PEN_FUNCTION_(fn, SINK, .in = &in_##_schema, .state = &pending_##_schema, .loop = fn##_loop_,  \
                  .seal = pending_##_seal_, .flush = pending_##_flush_,                            \
                  .commit = pending_##_commit_, .abort = pending_##_abort)
#define PEN_WRITE_LOOP_(fn, in_)                                                                   \
    PEN_SIGNATURE_(fn, enum pen_taken, (pen_context *, const struct in_ *));                       \
    PEN_UNUSED_ static void fn##_loop_(pen_context *ctx_, const struct pen_batch *batch_)          \
    {                                                                                              \
        uint32_t i_ = 0;                                                                           \
                                                                                                   \
        for (*batch_->current = 0; i_ < batch_->count; *batch_->current = ++i_)                    \
            if (fn(ctx_, (const struct in_ *)batch_->records[i_]) == PEN_AGAIN) return;            \
    }
#define pen_sink(stream, ...) pen_add_sink(stream, PEN_CALL_(pen_sink, .write, __VA_ARGS__, ))

struct pen_sink {
    struct pen_origin origin;
    const struct pen_function *write;
    void (*flush)(pen_context *ctx); /* PEN_SINK */
    int (*wake_fd)(pen_context *ctx);
    bool blocking;      /* write may block: it runs in a helper process */
    bool takes_updates; /* write looks at pen_row */
    PEN_OPTIONS_;
};
void pen_add_sink(pen_stream stream, const struct pen_sink *sink);

PEN_API_END_

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
