/* penstock/graph.h: how a job is put together.
 *
 * A job is a function, pen_job, that the shared object exports. It runs once, in the supervisor,
 * before any worker exists. It describes the graph and starts nothing:
 *
 *     void pen_job(pen_graph *graph)
 *     {
 *         pen_stream lines = pen_read_lines(graph, "book.txt");
 *         pen_stream words = pen_map(lines, split);
 *         ...
 *     }
 *
 * Reading an operator. First what flows in, then your function, then options by name, where zero is
 * the default. What the function takes and gives was said in the line under it (function.h):
 *
 *     pen_map(lines, split, .id = "split", .parallelism = 4)
 *             stream function  options
 *
 * Where there is no function, the type of the results comes in its place: pen_aggregate(keyed,
 * tally, ...). Types are the tags of structs that have a PEN_RECORD. That a stream carries what a
 * function takes is checked when the graph is built. Fields are named by strings and checked then,
 * too; PEN_FIELD(bid, price) is the same string, checked by the compiler.
 *
 * Errors. Nothing here returns one. Every mistake is noted with the file and line of your call, the
 * bad stream absorbs what is built on it, and when pen_job returns all mistakes are printed at once
 * and nothing runs. `penstock check job.so` does only that.
 *
 * Ids. An operator's state is found again in a checkpoint by the operator's id. Give every operator
 * with state one, `.id = "hear"`. Without, it is the name of the function or else of the result's
 * type, and a job that writes checkpoints says so, each time it starts:
 *
 *     job.c:71: warning: pen_process(hear) keeps state under its function's name. Renaming the
 *     function would lose the state. Write .id = "hear" to keep it whatever happens to the name.
 *
 * Readers and writers are known by their path. Two operators with state and the same id are a
 * mistake. A savepoint with state that no operator asks for is refused, naming the id, unless
 * `--allow-dropped-state` is given.
 *
 * Binding from other languages. Every macro here fills a struct pen_<operator> and passes it to
 * one C function, pen_add_<operator>. Call those. Structs only grow at their end, by fields where
 * zero means what was before; `origin.size_bytes` says which of them the caller knew.
 *
 * Called in pen_job only, from its thread. Strings may be freed when the call has returned;
 * functions, schemas, states and `.user` must stay.
 */
#ifndef PENSTOCK_GRAPH_H
#define PENSTOCK_GRAPH_H

#include <penstock/window.h>

#ifdef __cplusplus
extern "C" {
#endif

PEN_API_BEGIN_

typedef struct pen_graph pen_graph;

/* Handles, passed by value and never freed. A keyed stream is another type, so that the compiler
 * refuses to aggregate what has no key. */
typedef struct pen_stream {
    pen_graph *graph;
    uint32_t node;
    uint32_t output;
} pen_stream;

typedef struct pen_keyed {
    pen_stream stream;
} pen_keyed;

/* The entry point. You write it. */
PEN_EXPORT void pen_job(pen_graph *graph);

/* Where a call was written, and for what version. Filled by the macros. */
struct pen_origin {
    uint32_t abi;        /* PEN_ABI */
    uint32_t size_bytes; /* of the struct that this one begins */
    uint32_t line;
    uint32_t reserved;
    const char *file;
    const char *name; /* the default id; NULL: the function's name */
};

#define PEN_ORIGIN_(type, name)                                                                    \
    {                                                                                              \
        PEN_ABI, sizeof(struct type), __LINE__, 0, __FILE__, name                                  \
    }
#define PEN_FIELD(tag, field) (sizeof(((struct tag *)0)->field) > 0 ? #field : "")

/* ---- Arguments and settings ------------------------------------------------------------------ */

/* `penstock run job.so -- --gap 30min`; `--help` lists them all. A text without a default (NULL)
 * is required. Asking twice for a name gives the same answer. The text lives as long as the job. */
const char *pen_arg_text(pen_graph *graph, const char *name, const char *fallback,
                         const char *help);
int64_t pen_arg_int(pen_graph *graph, const char *name, int64_t fallback, const char *help);
double pen_arg_double(pen_graph *graph, const char *name, double fallback, const char *help);
bool pen_arg_flag(pen_graph *graph, const char *name, const char *help);
pen_duration pen_arg_duration(pen_graph *graph, const char *name, pen_duration fallback,
                              const char *help);

enum pen_backend { PEN_BACKEND_MEMORY, PEN_BACKEND_DISK };
enum pen_delivery { PEN_EXACTLY_ONCE, PEN_AT_LEAST_ONCE };
enum pen_poison { PEN_POISON_FAIL, PEN_POISON_QUARANTINE };

enum pen_on_bad_record {
    PEN_BAD_DEFAULT,     /* PEN_BAD_DEAD_LETTER with a directory for them, else PEN_BAD_SKIP */
    PEN_BAD_FAIL,        /* the first one fails the job */
    PEN_BAD_SKIP,        /* counted and reported, no more */
    PEN_BAD_DEAD_LETTER, /* written down, too */
};

/* Bad records. One that pen_reject or a reader refuses is a dead letter: a line of JSON with time,
 * operator, reason and record, in a file of the directory `.dead_letters`, exactly once. Without
 * the directory it is counted and a few are shown by `penstock top`.
 * A poison record crashes its function. The job is restored and meets it again, and by default the
 * restart strategy gives up in the end. PEN_POISON_QUARANTINE: what kills a worker twice becomes a
 * dead letter too, with a backtrace, and the job goes on without it. pen_fail is no poison: it
 * blames the world, not the record. */
struct pen_settings {
    struct pen_origin origin;
    const char *job_name;          /* default: the file's name */
    pen_duration checkpoint_every; /* 0: only on request */
    uint32_t parallelism;          /* default: one worker for each core; any number, at any time */
    enum pen_backend backend;
    enum pen_delivery delivery; /* exactly-once, with checkpoints on, refuses a source that
                                   cannot be rewound */
    const char *dead_letters;
    uint64_t rejects_max; /* more dead letters fail the job; 0: any number */
    enum pen_poison poison;
    enum pen_on_bad_record on_bad_record;
};

/* What the job asks for. The command line has the last word. */
#define pen_configure(graph, ...)                                                                  \
    pen_set_settings(                                                                              \
        graph, PEN_REF_(pen_settings, .origin = PEN_ORIGIN_(pen_settings, NULL), __VA_ARGS__))
void pen_set_settings(pen_graph *graph, const struct pen_settings *settings);

/* Older state, and how it becomes today's. Without a word a field that is new starts as zero, one
 * that is gone is forgotten, and integers may grow wider; anything else is refused before the job
 * starts, naming state, field and both types. For the rest:
 *
 *     pen_evolve(graph, sensor, .was = "probe",
 *                .renamed = PEN_RENAMED({"last_at", "heard_at"}),   from what it was called then
 *                .added = PEN_DEFAULTS(sensor, .limit = 100))    where the field was not there yet
 */
#define pen_evolve(graph, tag, ...)                                                                \
    pen_add_evolution(graph, PEN_SPEC_(pen_evolution, #tag, .now = &tag##_schema, __VA_ARGS__))
#define PEN_DEFAULTS(tag, ...) PEN_REF_(tag, __VA_ARGS__)

struct pen_evolution {
    struct pen_origin origin;
    const struct pen_schema *now;
    const char *was;                   /* the record's former name */
    const struct pen_renamed *renamed; /* PEN_RENAMED({then, now}, ...) */
    const void *added;                 /* copied; its texts must be empty */
};

struct pen_renamed {
    const char *then, *now;
};
#define PEN_RENAMED(...)                                                                           \
    PEN_ARRAY_(struct pen_renamed, PEN_LITERAL_(pen_renamed, NULL, NULL), __VA_ARGS__)
void pen_add_evolution(pen_graph *graph, const struct pen_evolution *evolution);

/* ---- Options that every operator with a function has ------------------------------------------
 *
 *     .id           see above
 *     .parallelism  subtasks; 0 is the job's
 *     .user         what pen_user returns
 *     .open .close  called in each subtask before the first and after the last record
 *     .counters     names for pen_counter_add: PEN_COUNTERS("sent", "lost")
 *     .side         side outputs: PEN_SIDES(PEN_SIDE("late", flight, &late)); the first is number 1
 *     .uses         states: PEN_USES(&recent, &rules)
 *     .group        a name: operators of one group share cores of their own, one worker for each
 *                   subtask, apart from the rest of the job. NULL: the job's cores
 *
 * A list is written with its macro, which makes an array that ends with zero: so no list has a
 * limit, and a planner can fill one at run time.
 */
#define PEN_COUNTERS(...) PEN_ARRAY_(pen_name_, NULL, __VA_ARGS__)
#define PEN_SIDES(...)                                                                             \
    PEN_ARRAY_(struct pen_side, PEN_LITERAL_(pen_side, NULL, NULL, NULL), __VA_ARGS__)
#define PEN_USES(...) PEN_ARRAY_(pen_used_state_, NULL, __VA_ARGS__)
typedef const char *pen_name_;
typedef struct pen_state *pen_used_state_;

struct pen_side {
    const char *name;
    const struct pen_schema *schema;
    pen_stream *stream; /* set by the call */
};
#define PEN_SIDE(name, tag, stream)                                                                \
    {                                                                                              \
        name, &tag##_schema, stream                                                                \
    }

/* They begin the options of each operator below as plain members. */
#define PEN_OPTIONS_                                                                               \
    const char *id;                                                                                \
    uint32_t parallelism;                                                                          \
    const void *user;                                                                              \
    void (*open)(pen_context * ctx);                                                               \
    void (*close)(pen_context * ctx);                                                              \
    const char *const *counters;                                                                   \
    const struct pen_side *side;                                                                   \
    struct pen_state *const *uses;                                                                 \
    const char *group

/* A literal of an operator's struct: what the macro knows, then what the user wrote. */
#define PEN_SPEC_(type, name, ...) PEN_REF_(type, .origin = PEN_ORIGIN_(type, name), __VA_ARGS__)
#define PEN_CALL_(type, member, ...)                                                               \
    PEN_SPEC_(type, NULL, member = PEN_FN(PEN_FIRST_(__VA_ARGS__)), PEN_REST_(__VA_ARGS__))

/* ---- Stateless operators --------------------------------------------------------------------- */

/* pen_map(stream, fn, options...): calls a PEN_MAP function for each record; it emits none, one or
 * many.   void fn(pen_context *, const struct In *) */
#define pen_map(stream, ...) pen_add_map(stream, PEN_CALL_(pen_map, .each, __VA_ARGS__, ))

/* pen_map_broadcast(stream, fn, rules, on_rule, .uses = {&table}): a map that also sees a small
 * stream whole, to look things up in; see pen_process_broadcast, of which it is the keyless form.
 */
#define pen_map_broadcast(stream, fn, rules, ...)                                                  \
    pen_add_map_broadcast(stream, rules,                                                           \
                          PEN_SPEC_(pen_map, NULL, .each = PEN_FN(fn),                             \
                                    .on_rule = PEN_FN(PEN_FIRST_(__VA_ARGS__, )),                  \
                                    PEN_REST_(__VA_ARGS__, )))

struct pen_map {
    struct pen_origin origin;
    const struct pen_function *each, *on_rule;
    PEN_OPTIONS_;
};
pen_stream pen_add_map(pen_stream stream, const struct pen_map *map);
pen_stream pen_add_map_broadcast(pen_stream stream, pen_stream rules, const struct pen_map *map);

/* pen_async(stream, fn, options...): the same, but fn may block. It runs in helper processes,
 * `.in_flight` of them for each worker. A record in flight at a failure is looked up again; one
 * that runs into the timeout `.tries` times becomes a dead letter. */
#define pen_async(stream, ...) pen_add_async(stream, PEN_CALL_(pen_async, .each, __VA_ARGS__, ))

struct pen_async {
    struct pen_origin origin;
    const struct pen_function *each;
    uint32_t in_flight;   /* default 16 */
    bool ordered;         /* results in the order of the records; else as they come, but
                             never past a watermark */
    pen_duration timeout; /* then the helper is killed and replaced; 0: never */
    uint32_t tries;       /* default 1 */
    PEN_OPTIONS_;
};
pen_stream pen_add_async(pen_stream stream, const struct pen_async *async);

/* pen_filter(stream, fn): keeps the records for which a PEN_FILTER function is true. It is pure,
 * with no context: the engine may call it early, often, or not at all.
 * bool fn(const struct In *) */
#define pen_filter(stream, ...) pen_add_filter(stream, PEN_CALL_(pen_filter, .keep, __VA_ARGS__, ))

struct pen_filter {
    struct pen_origin origin;
    const struct pen_function *keep;
    const char *id;
    uint32_t parallelism;
    const char *group;
};
pen_stream pen_add_filter(pen_stream stream, const struct pen_filter *filter);

/* The fields of Out, copied from the fields of the same names. */
#define pen_project(stream, out_)                                                                  \
    pen_add_project(stream, PEN_SPEC_(pen_project, #out_, .out = &out_##_schema))

struct pen_project {
    struct pen_origin origin;
    const struct pen_schema *out;
    const char *id;
};
pen_stream pen_add_project(pen_stream stream, const struct pen_project *project);

/* From here on `field`, a pen_time, is the event time, and watermarks are derived from it. A
 * watermark W says: no record with a time at or below W will follow.
 *
 *     pen_event_time(bids, "at", .out_of_order = PEN_SECONDS(4), .idle_after = PEN_SECONDS(10))
 *
 * Right behind a source, with nothing but pen_map, pen_filter and pen_project in between, each
 * split has a watermark of its own: `.out_of_order` and a microsecond behind the largest time seen
 * in it. A subtask's watermark is the smallest of the splits that it is reading; one that has given
 * no record yet counts. Elsewhere the whole input of a subtask counts as one split. What follows
 * sees the smallest over the subtasks. Watermarks never fall. At the end of bounded input the
 * watermark goes to infinity: every window and timer fires.
 *
 * What of the splits that are still to be read? They are taken to be later than what has been read:
 * ranges of a sorted file are, and rotated logs. Where they are not (a file for each sensor, the
 * partitions of a log), `.splits_overlap`: the source's splits are read side by side, an even share
 * by each subtask, up to 256 at a time; and there is no watermark before each of them is being
 * read or has been. So no record is late because its split was read later.
 *
 * Any time will do, before the year 1 and behind the year 9999 too; near the ends of int64 a
 * watermark stays where it can be said. A record cannot say infinity. */
#define pen_event_time(stream, ...)                                                                \
    pen_add_event_time(stream, PEN_SPEC_(pen_event_time, "event_time", .field = __VA_ARGS__))

struct pen_event_time {
    struct pen_origin origin;
    const char *field;
    pen_duration out_of_order; /* the watermark stays this far behind the largest time seen */
    const char *watermark;     /* instead: a pen_opt_time field; where present, the watermark. One
                                  that is below an earlier one says nothing */
    pen_duration idle_after;   /* a split that has been asked for so long and gave nothing is left
                                  out of the smallest until its next record; 0: never. When all are
                                  silent, the largest holds. Time in which a split is not asked,
                                  because what follows is slow or it waits, does not count */
    pen_duration ahead_max;    /* alignment: a split waits when its watermark is so far ahead of the
                                  slowest of all splits that are being read by sources of the job
                                  with this option; 0: never. It is passed by what one call of poll
                                  emits, at most. A split that is silent for ever holds the others
                                  for ever, unless .idle_after leaves it out. Right behind a source
                                  only */
    const char *id;
    bool every_record;   /* the watermark rises after each record, not after each batch, and each
                            rise is sent on where it belongs: what is late is then the same in every
                            run, if one subtask reads one split. Costs speed, in the whole job */
    bool splits_overlap; /* see above. Right behind a source only */
};
pen_stream pen_add_event_time(pen_stream stream, const struct pen_event_time *event_time);

/* pen_union(a, b, c): all records of all of them, of one type, in no order between them. */
#define pen_union(...)                                                                             \
    pen_add_union(PEN_SPEC_(pen_union, "union",                                                    \
                            .streams = PEN_ARRAY_(pen_stream, PEN_NO_STREAM_, __VA_ARGS__)))
#define PEN_NO_STREAM_                                                                             \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

struct pen_union {
    struct pen_origin origin;
    const pen_stream *streams; /* up to one whose graph is NULL */
};
pen_stream pen_add_union(const struct pen_union *streams);

/* Deals records out evenly: after a filter that left some workers idle, or a skewed source. */
#define pen_rebalance(stream)                                                                      \
    pen_add_rebalance(stream, PEN_SPEC_(pen_rebalance, "rebalance", .id = NULL))

struct pen_rebalance {
    struct pen_origin origin;
    const char *id;
};
pen_stream pen_add_rebalance(pen_stream stream, const struct pen_rebalance *rebalance);

/* ---- Keys ------------------------------------------------------------------------------------ */

/* pen_key_by(flights, "origin", "dest"): records with equal fields meet on one worker, in the order
 * in which each sender sent them. Fields of any type but float and double, texts included. Null is
 * a key of its own. pen_key_all: one key for everything, and so one worker, unless what follows can
 * be computed in two phases.
 *
 * pen_key_with(flights, by_hour): the key is computed, by a PEN_KEY function, once, by the sender,
 * and travels with the record. Its fields are the key's fields, zero beforehand:
 *
 *     void by_hour(pen_context *, const struct flight *, struct hour_key *key)
 *
 * It depends on the record only; the context is for pen_put. */
#define pen_key_by(stream, ...)                                                                    \
    pen_add_key_by(stream, PEN_SPEC_(pen_key_by, "key_by", .fields = PEN_FIELDS(__VA_ARGS__)))
#define pen_key_with(stream, fn)                                                                   \
    pen_add_key_by(stream, PEN_SPEC_(pen_key_by, #fn, .compute = PEN_FN(fn)))
#define pen_key_all(stream) pen_add_key_by(stream, PEN_SPEC_(pen_key_by, "key_all", .fields = NULL))
#define PEN_FIELDS(...)     PEN_ARRAY_(pen_name_, NULL, __VA_ARGS__)

/* More than the macros say, for those who call pen_add_key_by:
 *
 *     placed_by   some of `fields`: records lie on the worker that these alone decide. Streams that
 *                 are keyed differently but placed alike meet without being moved again
 *     in_place    the stream already lies where its records' `placed_by` puts them, because its
 *                 operator was keyed so: no exchange. Checked for each record in debug builds */
struct pen_key_by {
    struct pen_origin origin;
    const char *const *fields;
    const struct pen_function *compute;
    const char *const *placed_by;
    bool in_place;
};
pen_keyed pen_add_key_by(pen_stream stream, const struct pen_key_by *key_by);

/* ---- Aggregates and other tables ------------------------------------------------------------- */

/* One result for each key (and window). The key's fields are copied to the fields of the same names
 * in Out; every other field of Out must be filled by an aggregate.
 *
 *     pen_aggregate(pen_key_by(bids, "auction"), auction_total,
 *                   .window = pen_tumbling(PEN_MINUTES(1)),
 *                   .aggregates = PEN_AGGREGATES(pen_count("bids"), pen_sum("price", "total")))
 *
 * With a window: a row when it fires, see window.h. Without one: an updating stream, a row whenever
 * the result has changed. Takes updating streams, unless an aggregate cannot take a row back. */
#define pen_aggregate(keyed, out_, ...)                                                            \
    pen_add_aggregate(keyed, PEN_SPEC_(pen_aggregation, #out_, .out = &out_##_schema, __VA_ARGS__))

struct pen_aggregation {
    struct pen_origin origin;
    const struct pen_schema *out;
    struct pen_window window;
    const struct pen_aggregate *aggregates; /* PEN_AGGREGATES(...) */
    PEN_FIRING_OPTIONS_;
    bool updating;    /* not a row for each window: one for each key, updated as windows pass and
                         deleted when they are empty */
    PEN_TTL_OPTIONS_; /* without a window: forgets a key that is silent so long */
    const char *id;
    uint32_t parallelism;
    const char *group;
    bool no_before;            /* the updating stream goes without PEN_UPDATE_BEFORE */
    pen_duration update_every; /* without a window: at most one row a key in so long; default: the
                                  changes of one step become one row */
};
pen_stream pen_add_aggregate(pen_keyed keyed, const struct pen_aggregation *aggregation);

/* The first `.limit` rows of each key in an order; an updating stream, because a
 * better row takes a worse one's place. With a window: the final ones of each window, not updating.
 * Out's fields are copied by name.
 *
 *     pen_top(pen_key_all(counts), busy_route, .order = PEN_ORDER({"flights", true}), .limit = 10,
 *             .rank = "rank") */
#define pen_top(keyed, out_, ...)                                                                  \
    pen_add_top(keyed, PEN_SPEC_(pen_top, #out_, .out = &out_##_schema, __VA_ARGS__))

/* Equal rows: 1 2 3 4, by arrival; 1 2 2 4; 1 2 2 3. */
enum pen_rank_kind { PEN_ROW_NUMBER, PEN_RANK, PEN_DENSE_RANK };

struct pen_top {
    struct pen_origin origin;
    const struct pen_schema *out;
    const struct pen_order *order; /* PEN_ORDER(...) */
    int64_t from, limit;           /* ranks from (default 1) .. from + limit - 1 */
    enum pen_rank_kind rank_kind;
    const char *rank; /* integer field of Out that receives the rank */
    struct pen_window window;
    PEN_TTL_OPTIONS_;
    const char *id;
    uint32_t parallelism;
    const char *group;
    bool no_before;
};
pen_stream pen_add_top(pen_keyed keyed, const struct pen_top *top);

/* pen_distinct(keyed): the first record of each key by arrival, others dropped. pen_latest(keyed,
 * "at"): the record of each key with the largest field, the later one among equals; an updating
 * stream, the table behind a changelog. pen_earliest(keyed, "at"): with the smallest, the earlier
 * one among equals. */
#define pen_distinct(...)                                                                          \
    pen_add_dedup(PEN_FIRST_(__VA_ARGS__, ),                                                       \
                  PEN_SPEC_(pen_dedup, "distinct", .keep_last = false, PEN_REST_(__VA_ARGS__, )))
#define pen_latest(keyed, ...)                                                                     \
    pen_add_dedup(keyed, PEN_SPEC_(pen_dedup, "latest", .keep_last = true, .by = __VA_ARGS__))
#define pen_earliest(keyed, ...)                                                                   \
    pen_add_dedup(keyed, PEN_SPEC_(pen_dedup, "earliest", .by = __VA_ARGS__))

struct pen_dedup {
    struct pen_origin origin;
    bool keep_last;
    const char *by; /* a field, ascending; or an order; or neither: by arrival */
    const struct pen_order *order;
    PEN_TTL_OPTIONS_;
    const char *id;
    uint32_t parallelism;
    const char *group;
    bool no_before;
};
pen_stream pen_add_dedup(pen_keyed keyed, const struct pen_dedup *dedup);

/* ---- Functions with state -------------------------------------------------------------------- */

/* Calls a PEN_PROCESS function with each record and the state of its key.
 *
 *     void fn(pen_context *, const struct In *, struct State *)
 *     void fn(pen_context *, struct State *)                        .on_timer = PEN_FN(fn)
 *
 *     pen_process(keyed, fn, options...)
 *     pen_process_two(left, on_left, right, on_right, options...)
 *         two streams keyed alike that share the state of a key: the same State, the same Out
 *     pen_process_broadcast(keyed, fn, rules, on_rule, options...)
 *         a keyed stream, and a small stream that every worker sees whole: rules, prices, switches
 *
 * State is a struct with a PEN_RECORD, all zeros for a key not seen before. Change it in place, its
 * texts with pen_keep; it is already in the cache.
 *
 * on_rule is a PEN_RULE function, void fn(pen_context *, const struct Rule *), and fills a
 * PEN_BROADCAST_DICT. It runs once on each worker for each rule, on all in the same order, which
 * one sequencing subtask settles. It has no key, emits nothing, and must do the same on every
 * worker. Between a rule and a record there is no order. */
#define pen_process(keyed, ...)                                                                    \
    pen_add_process(keyed, PEN_CALL_(pen_process, .on_left, __VA_ARGS__, ))
#define pen_process_two(left_keyed, on_left_, right_keyed, ...)                                    \
    pen_add_process_two(left_keyed, right_keyed,                                                   \
                        PEN_SPEC_(pen_process, NULL, .on_left = PEN_FN(on_left_),                  \
                                  .on_right = PEN_FN(PEN_FIRST_(__VA_ARGS__, )),                   \
                                  PEN_REST_(__VA_ARGS__, )))
#define pen_process_broadcast(keyed, on_record_, rules, ...)                                       \
    pen_add_process_broadcast(keyed, rules,                                                        \
                              PEN_SPEC_(pen_process, NULL, .on_left = PEN_FN(on_record_),          \
                                        .on_right = PEN_FN(PEN_FIRST_(__VA_ARGS__, )),             \
                                        PEN_REST_(__VA_ARGS__, )))

struct pen_process {
    struct pen_origin origin;
    const struct pen_function *on_left, *on_right, *on_timer;
    PEN_TTL_OPTIONS_;   /* of State: a silent key is forgotten, its timers too */
    bool takes_updates; /* fn looks at pen_row; without it an updating input is a mistake */
    bool gives_updates; /* fn uses pen_emit_as: the result is an updating stream */
    PEN_OPTIONS_;
    bool no_before; /* of .gives_updates: without PEN_UPDATE_BEFORE */
};
pen_stream pen_add_process(pen_keyed keyed, const struct pen_process *process);
pen_stream pen_add_process_two(pen_keyed left, pen_keyed right, const struct pen_process *process);
pen_stream pen_add_process_broadcast(pen_keyed keyed, pen_stream rules,
                                     const struct pen_process *process);

/* pen_process_window(keyed, fn, .window = ..., options...): a PEN_WINDOW function is called with
 * all records of a window, in the order of their event time (of arrival, in a counting window),
 * when the window fires. All are kept until then: where an aggregate will do it needs far less
 * memory.
 *
 *     static void median(pen_context *ctx, const struct pen_batch *records)
 *     {
 *         const struct reading *middle = pen_at(records, reading, records->count / 2);
 *         pen_emit(ctx, report, .sensor = middle->sensor, .from = pen_window_from(ctx));
 *     }
 *     PEN_WINDOW(median, reading, report); */
#define pen_process_window(keyed, ...)                                                             \
    pen_add_process_window(keyed, PEN_CALL_(pen_process_window, .fire, __VA_ARGS__, ))

struct pen_process_window {
    struct pen_origin origin;
    const struct pen_function *fire;
    struct pen_window window;
    PEN_FIRING_OPTIONS_;
    PEN_OPTIONS_;
};
pen_stream pen_add_process_window(pen_keyed keyed, const struct pen_process_window *process);

/* ---- Joins ----------------------------------------------------------------------------------- */

/* All joins take two streams keyed alike and call a PEN_JOIN function with a left and a right
 * record of one key; it emits what it likes, so it is also the condition. When a row of an updating
 * input is taken back, the function runs again for it and what it emits is taken back, so it must
 * depend on the two records only. Null is a key like others: two records without one meet.
 *
 *     void fn(pen_context *, const struct Left *, const struct Right *)
 *
 *     pen_join(left, right, fn, options...)
 *         every left with every right record of the key, as each arrives. Keeps both sides, for
 *         ever or for `.ttl`. With `.window`: those that fall into one window, when it ends.
 *     pen_interval_join(left, right, fn, .from = a, .to = b)
 *         right records whose event time lies in [left + a, left + b], both ends included; a <= b,
 *         and both may be negative. Keeps what can still match.
 *     pen_temporal_join(left, right, fn, .valid_for = d)
 *         each left record with the one right record that was valid at its event time: the latest
 *         at or before it, not older than d (0: however old), of two at one time the one that came
 *         later. Given when the watermark has passed it, in the order of their times within a key.
 *
 * `.outer`: records without a partner come, too, and the other one is NULL. A partner is a record
 * of the same key, and in reach, whether fn emits for the two or not.
 *
 *                 event time of a result   a record without a partner comes   rows of the result
 *     pen_join    the later of the two     at once; it is taken back when     updating, if an input
 *                                          one comes                          or .outer is
 *       .window   the window's last        when the window ends               inserts
 *                 instant: its end - 1 us
 *     interval    the later of the two     when none can come any more        inserts
 *     temporal    that of the left one     when its version is known to be    inserts
 *                                          none (left ones only)
 *
 * Updating inputs: both of pen_join without a window, where PEN_UPDATE_BEFORE and PEN_DELETE take
 * back the row that is equal in all fields (so an input with `.no_before` is a mistake), and the
 * right one of pen_temporal_join, where each PEN_INSERT and PEN_UPDATE_AFTER is a version and
 * PEN_DELETE the end of one.
 *
 * Late records. Nothing is late for pen_join. A window that has ended takes no more, and a record
 * that is late for all of its windows is dropped and counted as "late". In the others a late record
 * meets what is still kept and comes late itself; where partners of it have been dropped, it counts
 * as having none. Behind an outer interval join the watermark is as much later as records that turn
 * out to have no partner.
 *
 * `.ttl`: a row is over so long after its event time, or after it came (.ttl_clock =
 * PEN_CLOCK_TIME). It goes in silence: what it has given stays given.
 *
 * `.no_before`: PEN_UPDATE_BEFORE is left out. Only where updates of the inputs leave the key as it
 * is, and who reads the result knows by some field which row another one replaces. */
#define pen_join(left, right, ...)          PEN_JOIN_(PEN_JOIN_ALL, left, right, __VA_ARGS__, )
#define pen_interval_join(left, right, ...) PEN_JOIN_(PEN_JOIN_INTERVAL, left, right, __VA_ARGS__, )
#define pen_temporal_join(left, right, ...) PEN_JOIN_(PEN_JOIN_TEMPORAL, left, right, __VA_ARGS__, )
#define PEN_JOIN_(kind_, left, right, ...)                                                         \
    pen_add_join(left, right,                                                                      \
                 PEN_SPEC_(pen_join, NULL, .kind = kind_,                                          \
                           .match = PEN_FN(PEN_FIRST_(__VA_ARGS__)), PEN_REST_(__VA_ARGS__)))

enum pen_join_kind { PEN_JOIN_ALL = 1, PEN_JOIN_INTERVAL, PEN_JOIN_TEMPORAL };
enum pen_outer { PEN_OUTER_NONE, PEN_OUTER_LEFT, PEN_OUTER_RIGHT, PEN_OUTER_BOTH };

struct pen_join {
    struct pen_origin origin;
    enum pen_join_kind kind;
    const struct pen_function *match;
    enum pen_outer outer; /* also records without a partner: left joins emit them with right NULL */
    pen_duration from, to;    /* pen_interval_join */
    pen_duration valid_for;   /* pen_temporal_join */
    struct pen_window window; /* pen_join: tumbling, sliding, cumulating, calendar; attached, where
                                 both records carry it */
    PEN_TTL_OPTIONS_;         /* pen_join without a window; since the row came */
    PEN_OPTIONS_;
    bool no_before; /* an updating result goes without PEN_UPDATE_BEFORE */
};
pen_stream pen_add_join(pen_keyed left, pen_keyed right, const struct pen_join *join);

/* ---- A job as a program ---------------------------------------------------------------------- */

/* For `int main(int argc, char **argv) { return pen_main(argc, argv, pen_job); }`: the job as an
 * executable with the arguments of `penstock run`, one file to ship and to debug. */
int pen_main(int argc, char **argv, void (*job)(pen_graph *graph));

PEN_API_END_

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
