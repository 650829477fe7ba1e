/* penstock/function.h: functions, and what they may do while records flow.
 *
 * You write an ordinary function about one record, and under it one line that says what it is:
 *
 *     static void split(pen_context *ctx, const struct pen_line *line)
 *     {
 *         ...
 *     }
 *     PEN_MAP(split, pen_line, word);      from pen_line to word: for pen_map(lines, split)
 *
 * The line checks the function's type where you wrote it, and makes a loop that calls it for a run
 * of records. The engine calls the loop: your function is inlined in it, state and records of the
 * whole run are already in cache, and nothing is called through a pointer of another type.
 *
 * A function is called in a worker process, one call at a time, so it needs no locks. It is given
 * a context: the engine's view of this one call. The functions below say in brackets where they
 * may be called:
 *
 *     [any]     wherever there is a context
 *     [record]  while there is a current record or timer: map, process, join, window, timer, poll
 *     [keyed]   in the functions of pen_process and its relatives, and in triggers
 *
 * Lifetimes. The context, every record handed in, every view and every pointer into state are valid
 * until the function returns, and no longer. What must live longer goes into state. Plain C memory
 * (statics, malloc) belongs to one process and is neither saved nor restored; what pen_job left in
 * memory before the workers were forked is there in each of them, as a private copy.
 *
 * A function must not block: a worker that waits holds up its share of every operator. What must
 * block runs in a helper process: pen_async, a sink with `.blocking`, flush, commit and abort of a
 * two-phase sink. open and close may block. No function may create threads.
 */
#ifndef PENSTOCK_FUNCTION_H
#define PENSTOCK_FUNCTION_H

#include <penstock/record.h>

#ifdef __cplusplus
extern "C" {
#endif

PEN_API_BEGIN_

typedef struct pen_context pen_context;

/* ---- Declaring functions --------------------------------------------------------------------- */

/* At file scope, under the function. Types are tags of structs with a PEN_RECORD; ctx stands for
 * pen_context *.
 *
 *     PEN_MAP(fn, In, Out)             void fn(ctx, const struct In *)
 *     PEN_FILTER(fn, In)               bool fn(const struct In *)
 *     PEN_KEY(fn, In, Key)             void fn(ctx, const struct In *, struct Key *)
 *     PEN_PROCESS(fn, In, State, Out)  void fn(ctx, const struct In *, struct State *)
 *     PEN_TIMER(fn, State)             void fn(ctx, struct State *)
 *     PEN_RULE(fn, Rule)               void fn(ctx, const struct Rule *)
 *     PEN_JOIN(fn, Left, Right, Out)   void fn(ctx, const struct Left *, const struct Right *)
 *     PEN_WINDOW(fn, In, Out)          void fn(ctx, const struct pen_batch *)
 *     PEN_TRIGGER(fn, In, State)       bool fn(ctx, const struct In *, struct State *)
 *     PEN_AGGREGATE(tag, In, Out)      functions tag_add, tag_merge, tag_finish; see window.h
 *     PEN_GENERATE(fn, Out)            see connector.h
 *     PEN_SOURCE(fn, Split, Out)       see connector.h
 *     PEN_SINK(fn, In)                 see connector.h
 *     PEN_TWO_PHASE(fn, In, Pending)   see connector.h
 *
 * What each is for is told where it is used, in graph.h. Where an option wants a declared function,
 * write PEN_FN(fn): `.on_timer = PEN_FN(miss)`. An error about `miss_PEN_` means that there is no
 * such line under miss. A function of the wrong kind is a mistake that the graph reports.
 *
 * PEN_MAP_BATCH(fn, In, Out) and PEN_PROCESS_BATCH(fn, In, State, Out) declare a function that is
 * its own loop, void fn(pen_context *, const struct pen_batch *): for what pays once for many. */
#define PEN_MAP(fn, in_, out_)                                                                     \
    PEN_SIGNATURE_(fn, void, (pen_context *, const struct in_ *));                                 \
    PEN_LOOP_(fn, fn(ctx_, (const struct in_ *)batch_->records[i_]))                               \
    PEN_FUNCTION_(fn, MAP, .in = &in_##_schema, .out = &out_##_schema, .loop = fn##_loop_)
#define PEN_MAP_BATCH(fn, in_, out_)                                                               \
    PEN_SIGNATURE_(fn, void, (pen_context *, const struct pen_batch *));                           \
    PEN_FUNCTION_(fn, MAP, .in = &in_##_schema, .out = &out_##_schema, .loop = fn)
#define PEN_FILTER(fn, in_)                                                                        \
    PEN_SIGNATURE_(fn, bool, (const struct in_ *));                                                \
    PEN_LOOP_(fn, batch_->results[i_] = fn((const struct in_ *)batch_->records[i_]))               \
    PEN_FUNCTION_(fn, FILTER, .in = &in_##_schema, .loop = fn##_loop_)
#define PEN_KEY(fn, in_, key_)                                                                     \
    PEN_SIGNATURE_(fn, void, (pen_context *, const struct in_ *, struct key_ *));                  \
    PEN_LOOP_(                                                                                     \
        fn, fn(ctx_, (const struct in_ *)batch_->records[i_], (struct key_ *)batch_->states[i_]))  \
    PEN_FUNCTION_(fn, KEY, .in = &in_##_schema, .state = &key_##_schema, .loop = fn##_loop_)
#define PEN_PROCESS(fn, in_, state_, out_)                                                         \
    PEN_SIGNATURE_(fn, void, (pen_context *, const struct in_ *, struct state_ *));                \
    PEN_LOOP_(fn, fn(ctx_, (const struct in_ *)batch_->records[i_],                                \
                     (struct state_ *)batch_->states[i_]))                                         \
    PEN_FUNCTION_(fn, PROCESS, .in = &in_##_schema, .state = &state_##_schema,                     \
                  .out = &out_##_schema, .loop = fn##_loop_)
#define PEN_PROCESS_BATCH(fn, in_, state_, out_)                                                   \
    PEN_SIGNATURE_(fn, void, (pen_context *, const struct pen_batch *));                           \
    PEN_FUNCTION_(fn, PROCESS, .in = &in_##_schema, .state = &state_##_schema,                     \
                  .out = &out_##_schema, .loop = fn)
#define PEN_TIMER(fn, state_)                                                                      \
    PEN_SIGNATURE_(fn, void, (pen_context *, struct state_ *));                                    \
    PEN_LOOP_(fn, fn(ctx_, (struct state_ *)batch_->states[i_]))                                   \
    PEN_FUNCTION_(fn, TIMER, .state = &state_##_schema, .loop = fn##_loop_)
#define PEN_RULE(fn, rule_)                                                                        \
    PEN_SIGNATURE_(fn, void, (pen_context *, const struct rule_ *));                               \
    PEN_LOOP_(fn, fn(ctx_, (const struct rule_ *)batch_->records[i_]))                             \
    PEN_FUNCTION_(fn, RULE, .in = &rule_##_schema, .loop = fn##_loop_)
#define PEN_JOIN(fn, left_, right_, out_)                                                          \
    PEN_SIGNATURE_(fn, void, (pen_context *, const struct left_ *, const struct right_ *));        \
    PEN_LOOP_(fn, fn(ctx_, (const struct left_ *)batch_->records[i_],                              \
                     (const struct right_ *)batch_->others[i_]))                                   \
    PEN_FUNCTION_(fn, JOIN, .in = &left_##_schema, .other = &right_##_schema,                      \
                  .out = &out_##_schema, .loop = fn##_loop_)
#define PEN_WINDOW(fn, in_, out_)                                                                  \
    PEN_SIGNATURE_(fn, void, (pen_context *, const struct pen_batch *));                           \
    PEN_FUNCTION_(fn, WINDOW, .in = &in_##_schema, .out = &out_##_schema, .loop = fn)
#define PEN_TRIGGER(fn, in_, state_)                                                               \
    PEN_SIGNATURE_(fn, bool, (pen_context *, const struct in_ *, struct state_ *));                \
    PEN_LOOP_(fn, batch_->results[i_] = fn(ctx_, (const struct in_ *)batch_->records[i_],          \
                                           (struct state_ *)batch_->states[i_]))                   \
    PEN_FUNCTION_(fn, TRIGGER, .in = &in_##_schema, .state = &state_##_schema, .loop = fn##_loop_)

/* A run of records, as the loops see it. */
struct pen_batch {
    uint32_t count;    /* read it in every turn: the engine lowers it to stop the loop early */
    uint32_t *current; /* the loop says here which record it is at: its time, row kind and key */
    const void *const *records; /* triggers: NULL when a timer fired */
    const void *const *others;  /* joins: the right records; either may be NULL in an outer join */
    void *const *states;        /* of each record's key; keys: where the key goes */
    uint8_t *results;           /* filters, triggers: what the function returned */
};

/* The index-th record of a batch, which now is the current one. */
#define pen_at(batch, tag, index) ((const struct tag *)pen_batch_at(batch, index))
static inline const void *pen_batch_at(const struct pen_batch *batch, uint32_t index)
{
    *batch->current = index;
    return batch->records[index];
}

/* What those lines define, and what other languages fill. Unused members are NULL. */
enum pen_kind {
    PEN_IS_MAP = 1,
    PEN_IS_FILTER,
    PEN_IS_KEY,
    PEN_IS_PROCESS,
    PEN_IS_TIMER,
    PEN_IS_RULE,
    PEN_IS_JOIN,
    PEN_IS_WINDOW,
    PEN_IS_TRIGGER,
    PEN_IS_AGGREGATE,
    PEN_IS_SOURCE,
    PEN_IS_SINK,
    PEN_IS_GENERATE,
};

struct pen_function {
    uint32_t abi;        /* PEN_ABI */
    uint32_t size_bytes; /* of this struct */
    enum pen_kind kind;
    const char *name; /* for people, and the default id */
    const struct pen_schema *in, *other, *state, *out;
    void (*loop)(pen_context *ctx, const struct pen_batch *batch); /* aggregates: add */
    void (*retract)(pen_context *ctx, const struct pen_batch *batch);
    void (*merge)(pen_context *ctx, void *accumulator, const void *other);
    void (*finish)(pen_context *ctx, const void *accumulator, void *out);
    int (*poll)(pen_context *ctx, void *split);
    bool (*seal)(pen_context *ctx, void *pending);
    void (*flush)(pen_context *ctx, const void *pending);
    void (*commit)(pen_context *ctx, const void *pending);
    void (*abort)(pen_context *ctx);
    void (*generate)(pen_context *ctx, uint64_t from, uint64_t to);
    const void *closure; /* what pen_closure returns: one loop can serve many programs */
};

#define PEN_FN(fn) (&PEN_PASTE_(fn, _PEN_))
/* clang-format off */
#define PEN_FUNCTION_(fn, kind_, ...)                                                              \
    static const struct pen_function fn##_PEN_ PEN_UNUSED_ = {                                     \
        .abi = PEN_ABI, .size_bytes = sizeof(struct pen_function), .kind = PEN_IS_##kind_,         \
        .name = #fn, __VA_ARGS__}
/* clang-format on */
#define PEN_LOOP_(fn, ...)                                                                         \
    PEN_UNUSED_ static void fn##_loop_(pen_context *ctx_, const struct pen_batch *batch_)          \
    {                                                                                              \
        (void)ctx_;                                                                                \
        for (uint32_t i_ = 0; i_ < batch_->count; i_++) {                                          \
            *batch_->current = i_;                                                                 \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    }

/* ---- Emitting -------------------------------------------------------------------------------- */

/* What a row of an updating stream means. A stream that is not updating has inserts only. */
enum pen_row {
    PEN_INSERT,
    PEN_UPDATE_BEFORE, /* takes a row back; a PEN_UPDATE_AFTER follows */
    PEN_UPDATE_AFTER,
    PEN_DELETE,
    PEN_SAME, /* when emitting: the row kind of the current record */
};

enum { PEN_MAIN = 0 }; /* the main output; side outputs are numbered from 1 */

/* Emits a record, written as the fields that are not zero. [record]
 *
 *     pen_emit(ctx, word, .text = pen_put(ctx, text), .count = 1);
 *
 * The record has the event time and the row kind of the current record or timer, so a stateless
 * function is right on an updating stream without knowing of it. Records of the type that the
 * operator declared only: anything else fails the job. Never blocks; backpressure is the engine's.
 */
#define pen_emit(ctx, tag, ...)                                                                    \
    do {                                                                                           \
        struct pen_room_ *const room_ = pen_room_of_(ctx);                                         \
        if (PEN_LIKELY_(pen_room_is_for_(room_, &tag##_schema))) {                                 \
            *(struct tag *)(void *)room_->at = PEN_LITERAL_(tag, __VA_ARGS__);                     \
            pen_room_taken_(room_, sizeof(struct tag));                                            \
        } else {                                                                                   \
            pen_emit_record(ctx, PEN_MAIN, PEN_SAME, &tag##_schema, PEN_REF_(tag, __VA_ARGS__));   \
        }                                                                                          \
    } while (0)

/* The same to a side output. */
#define pen_emit_to(ctx, output, tag, ...)                                                         \
    pen_emit_record(ctx, output, PEN_SAME, &tag##_schema, PEN_REF_(tag, __VA_ARGS__))

/* The same with a row kind, in an operator with `.gives_updates`. */
#define pen_emit_as(ctx, row, tag, ...)                                                            \
    pen_emit_record(ctx, PEN_MAIN, row, &tag##_schema, PEN_REF_(tag, __VA_ARGS__))

/* Emits a record that already exists: one that was handed in (all of it goes, texts included), one
 * in state, or a struct you have filled. [record] */
#define pen_send(ctx, tag, pointer)                                                                \
    pen_send_quick_(ctx, &tag##_schema, PEN_POINTER_TO_(tag, pointer), sizeof(struct tag))
#define pen_send_to(ctx, output, tag, pointer)                                                     \
    pen_emit_record(ctx, output, PEN_SAME, &tag##_schema, PEN_POINTER_TO_(tag, pointer))

void pen_emit_record(pen_context *ctx, uint32_t output, enum pen_row row,
                     const struct pen_schema *schema, const void *record);

/* Emits many, for a function that is its own loop: record i has the event time and, where `rows` is
 * NULL, the row kind of the from[i]-th record of the batch at hand (`from` NULL: of the current
 * one). A record may be one that was handed in: it is passed on without a copy. [record] */
void pen_emit_batch(pen_context *ctx, uint32_t output, const struct pen_schema *schema,
                    const void *const *records, const uint32_t *from, const uint8_t *rows,
                    uint32_t count);

/* What a context begins with, so that emitting a record of fixed size is a store and no call: the
 * literal is built where the next operator reads it. The engine sets schema to NULL where there is
 * no such short way: records with texts, a row kind to write down, nobody downstream. */
struct pen_room_ {
    const struct pen_schema *schema;
    char *at, *limit;
    uint32_t *from;   /* for each record emitted: the index of the record it came from; NULL where
                         nobody asks */
    uint32_t current; /* the index of the record at hand */
    uint32_t reserved;
};

static inline struct pen_room_ *pen_room_of_(pen_context *ctx)
{
    return (struct pen_room_ *)(void *)ctx;
}

static inline bool pen_room_is_for_(const struct pen_room_ *room, const struct pen_schema *schema)
{
    return room->schema == schema && room->at != room->limit;
}

static inline void pen_room_taken_(struct pen_room_ *room, size_t size_bytes)
{
    room->at += (size_bytes + 7) & ~(size_t)7;
    if (room->from) *room->from++ = room->current;
}

static inline void pen_send_quick_(pen_context *ctx, const struct pen_schema *schema,
                                   const void *record, size_t size_bytes)
{
    struct pen_room_ *room = pen_room_of_(ctx);

    if (PEN_LIKELY_(pen_room_is_for_(room, schema))) {
        memcpy(room->at, record, size_bytes);
        pen_room_taken_(room, size_bytes);
    } else {
        pen_emit_record(ctx, PEN_MAIN, PEN_SAME, schema, record);
    }
}

/* A copy of a record that was handed in, texts included, to be changed and sent. [record]
 *
 *     struct bid *euro = pen_copy(ctx, bid, bid);
 *     euro->price = euro->price * 908 / 1000;
 *     pen_send(ctx, bid, euro);
 *
 * Needed for records with texts only; without texts `struct bid euro = *bid;` does it. */
#define pen_copy(ctx, tag, pointer)                                                                \
    ((struct tag *)pen_copy_record(ctx, &tag##_schema, PEN_POINTER_TO_(tag, pointer)))
void *pen_copy_record(pen_context *ctx, const struct pen_schema *schema, const void *record);

/* Puts text (of any kind, see pen_view_of) behind the record that is emitted or stored next, and
 * returns the field for it, which cannot be read before that. Allocates nothing. A field that is
 * not used by then is void, and using it later fails the job. [record], and in keys, plan, seal and
 * finish. */
#define pen_put(ctx, text) pen_put_view(ctx, pen_view_of(text))
pen_string pen_put_view(pen_context *ctx, pen_view text);
pen_string pen_putf(pen_context *ctx, const char *format, ...) PEN_PRINTF_(2, 3);
pen_bytes pen_put_bytes(pen_context *ctx, const void *bytes, uint32_t size_bytes);

/* Decodes one line of CSV (columns in the order of the fields) or one JSON object (by name) and
 * emits the record. What cannot be decoded is rejected, see pen_reject. [record] */
#define pen_emit_csv(ctx, output, tag, text)                                                       \
    pen_emit_decoded(ctx, output, PEN_CSV, &tag##_schema, pen_view_of(text))
#define pen_emit_json(ctx, output, tag, text)                                                      \
    pen_emit_decoded(ctx, output, PEN_JSON, &tag##_schema, pen_view_of(text))
enum pen_format { PEN_CSV = 1, PEN_JSON, PEN_BINARY };
bool pen_emit_decoded(pen_context *ctx, uint32_t output, enum pen_format format,
                      const struct pen_schema *schema, pen_view text);

/* NUL-terminated texts, valid until the function returns: a copy; a formatted one. [any] */
#define pen_cstr(ctx, text) pen_cstr_of_view(ctx, pen_view_of(text))
const char *pen_cstr_of_view(pen_context *ctx, pen_view text);
const char *pen_format(pen_context *ctx, const char *format, ...) PEN_PRINTF_(2, 3);

/* ---- Time ------------------------------------------------------------------------------------ */

pen_time pen_record_time(pen_context *ctx); /* event time of the current record or timer [record] */
pen_time pen_watermark(pen_context *ctx);   /* no record at or before it will follow [any] */
pen_time pen_clock(pen_context *ctx); /* wall clock, read once per batch; virtual in tests [any] */
enum pen_row pen_row(pen_context *ctx); /* row kind of the current record [record] */

/* The window at hand, in window functions and triggers. The end does not belong to it. */
pen_time pen_window_from(pen_context *ctx);
pen_time pen_window_to(pen_context *ctx);

/* ---- Keyed functions ------------------------------------------------------------------------- */

/* The current key: the value of the index-th field that pen_key_by named. A field of another type
 * fails the job. Functions with a record at hand read it there; timers need this. [keyed] */
int64_t pen_key_int(pen_context *ctx, uint32_t index);
pen_code pen_key_code(pen_context *ctx, uint32_t index);
pen_view pen_key_text(pen_context *ctx, uint32_t index);

/* Timers belong to the current key and are called by a number of your choice: an enum when you have
 * a few, a time or an id when you have many. Setting a timer that is set moves it, which is cheap.
 * It fires once the watermark (or the clock) has reached `at`; in the past means at once. Saved at
 * cuts.
 *
 * Timers fire in order of their times, after all records that came before the watermark that made
 * them due and before any that came after it: no record comes between the timers of one watermark,
 * however many there are. One that a timer's function sets in the past fires in the same turn. A
 * number is one timer: setting it by the clock when it was set by event time moves it there. At the
 * end of the input the watermark passes everything, so all timers by event time fire; those by the
 * clock that are still waiting are dropped. A job that is stopped fires nothing.
 *
 * What a timer's function emits has the time `at`; by the clock it has, on a stream with event
 * time, the first time that no watermark has passed. pen_timer_set needs a stream with event time,
 * both need an `.on_timer`: else the job fails and says so. [keyed] */
void pen_timer_set(pen_context *ctx, uint64_t timer, pen_time at);
void pen_timer_set_clock(pen_context *ctx, uint64_t timer, pen_time at);
void pen_timer_clear(pen_context *ctx, uint64_t timer);
uint64_t pen_timer(pen_context *ctx); /* in the timer function: which one fired */

/* Drops the key's states and timers when the function returns. [keyed] */
void pen_forget(pen_context *ctx);

/* The state of a function that needs no struct, because its states are all declared below. */
struct pen_none {
    bool nothing;
};
PEN_RECORD(pen_none, nothing);

/* Sets a text of a state: of the state argument, of what pen_value_at and pen_dict_at return, of an
 * accumulator. At once readable there; any size, but a state with texts is read and written whole,
 * so what is large and changes in parts belongs into a list or a dict. [keyed], aggregates
 *
 *     pen_keep(ctx, &customer->city, &order->city);
 *     pen_keep(ctx, &customer->note.value, "new");      a pen_opt_string: set `present` as well
 */
#define pen_keep(ctx, field, text) pen_keep_view(ctx, field, pen_view_of(text))
void pen_keep_view(pen_context *ctx, pen_string *field, pen_view text);
void pen_keep_bytes(pen_context *ctx, pen_bytes *field, const void *bytes, uint32_t size_bytes);

/* ---- State beyond the struct ----------------------------------------------------------------- */

/* Most keyed functions need one struct for each key, and are handed it. For more there are states,
 * declared at file scope and listed in the operator's `.uses`:
 *
 *     static struct pen_state recent = PEN_KEYED_LIST("recent", reading, .ttl = PEN_HOURS(1));
 *
 * An element is a record, texts included. A state belongs to one operator and is known by its
 * operator's id and its name, in checkpoints and in tools. Pointers it returns are good until the
 * function returns or changes that state in another way than through them.
 *
 * Keyed states belong to the current key. SUBTASK: each subtask has some of the elements, dealt out
 * anew when the parallelism changes. UNION: after a restore every subtask has those of all. A
 * broadcast dict is the same on every subtask and is changed in the PEN_RULE function only.
 *
 * An element may be as large as a record (16 MiB), a key may have any number of them: beyond a few
 * a dict is a hash table, a list is chunks that are appended to. Memory that cannot be had fails
 * the job and names the state; see `penstock run --memory`. */
enum pen_clock_kind { PEN_EVENT_TIME, PEN_CLOCK_TIME };
enum pen_ttl_start { PEN_SINCE_WRITE, PEN_SINCE_READ };

/* State that may expire has these options. An expired value is never seen again: it is over when
 * `ttl` has passed since it was last written (PEN_SINCE_READ: or read), by the wall clock, or by
 * event time: the watermark, or the time of the record at hand where that is later. So by event
 * time a silent stream keeps what it has. What is over and asked for by nobody leaves memory by and
 * by, a quarter of its time later at most, in small pieces between the records.
 *
 * Of a state argument (`.ttl` of the operator) every record of the key counts as a write, a timer
 * does not. When it is over the key is forgotten, with its timers and all of its states. */
#define PEN_TTL_OPTIONS_                                                                           \
    pen_duration ttl;              /* 0: never */                                                  \
    enum pen_clock_kind ttl_clock; /* default: event time */                                       \
    enum pen_ttl_start ttl_since   /* default: the last write */

enum pen_scope { PEN_SCOPE_KEY = 1, PEN_SCOPE_SUBTASK, PEN_SCOPE_UNION, PEN_SCOPE_BROADCAST };
enum pen_shape { PEN_SHAPE_VALUE = 1, PEN_SHAPE_LIST, PEN_SHAPE_DICT };

struct pen_state {
    uint32_t size_bytes;
    enum pen_scope scope;
    enum pen_shape shape;
    const char *name;
    const struct pen_schema *element;
    PEN_TTL_OPTIONS_;
    uint32_t slot; /* the engine's */
    uint32_t reserved[7];
};

#define PEN_KEYED_VALUE(name, ...)    PEN_STATE_(KEY, VALUE, name, __VA_ARGS__, )
#define PEN_KEYED_LIST(name, ...)     PEN_STATE_(KEY, LIST, name, __VA_ARGS__, )
#define PEN_KEYED_DICT(name, ...)     PEN_STATE_(KEY, DICT, name, __VA_ARGS__, )
#define PEN_SUBTASK_LIST(name, ...)   PEN_STATE_(SUBTASK, LIST, name, __VA_ARGS__, )
#define PEN_UNION_LIST(name, ...)     PEN_STATE_(UNION, LIST, name, __VA_ARGS__, )
#define PEN_BROADCAST_DICT(name, ...) PEN_STATE_(BROADCAST, DICT, name, __VA_ARGS__, )
#define PEN_STATE_(scope_, shape_, name_, ...)                                                     \
    {                                                                                              \
        .size_bytes = sizeof(struct pen_state), .scope = PEN_SCOPE_##scope_,                       \
        .shape = PEN_SHAPE_##shape_, .name = name_,                                                \
        .element = &PEN_SCHEMA_OF_(PEN_FIRST_(__VA_ARGS__)), PEN_REST_(__VA_ARGS__)                \
    }

/* tag is the type of the elements; another one fails the job. Storing is writing a literal, as in
 * pen_emit, or copying a record that exists, as in pen_send; texts go with it:
 *
 *     pen_list_append(ctx, &visited, page, .url = pen_put(ctx, &click->url));
 *     pen_dict_store(ctx, &rules, rule, pen_int(rule->id), rule);
 *
 * _get returns NULL where there is nothing. _at makes an element of zeros where there is none, and
 * it may be changed in place: pen_dict_at(ctx, &counts, tally, pen_text("red"))->count++.
 * _next: the first element after NULL, NULL after the last; a list in the order of appending, a
 * dict in none. Removing the element at hand is allowed. */
#define pen_value_get(ctx, state, tag)         pen_dict_get(ctx, state, tag, pen_int(0))
#define pen_value_at(ctx, state, tag)          pen_dict_at(ctx, state, tag, pen_int(0))
#define pen_value_store(ctx, state, tag, from) pen_dict_store(ctx, state, tag, pen_int(0), from)

#define pen_value_set(ctx, state, tag, ...) pen_dict_set(ctx, state, tag, pen_int(0), __VA_ARGS__)

#define pen_list_append(ctx, state, tag, ...)                                                      \
    pen_list_append_record(ctx, state, &tag##_schema, PEN_REF_(tag, __VA_ARGS__))
#define pen_list_store(ctx, state, tag, from)                                                      \
    pen_list_append_record(ctx, state, &tag##_schema, PEN_POINTER_TO_(tag, from))
#define pen_list_next(ctx, state, tag, previous)                                                   \
    ((const struct tag *)pen_state_next(ctx, state, &tag##_schema, previous))

#define pen_dict_get(ctx, state, tag, key)                                                         \
    ((const struct tag *)pen_dict_find(ctx, state, &tag##_schema, key, false))
#define pen_dict_at(ctx, state, tag, key)                                                          \
    ((struct tag *)pen_dict_find(ctx, state, &tag##_schema, key, true))
#define pen_dict_set(ctx, state, tag, key, ...)                                                    \
    pen_dict_set_record(ctx, state, &tag##_schema, key, PEN_REF_(tag, __VA_ARGS__))
#define pen_dict_store(ctx, state, tag, key, from)                                                 \
    pen_dict_set_record(ctx, state, &tag##_schema, key, PEN_POINTER_TO_(tag, from))
#define pen_dict_next(ctx, state, tag, previous)                                                   \
    ((const struct tag *)pen_state_next(ctx, state, &tag##_schema, previous))

uint64_t pen_state_count(pen_context *ctx, struct pen_state *state); /* elements of this key */
void pen_state_remove(pen_context *ctx, struct pen_state *state, const void *element);
void pen_state_clear(pen_context *ctx, struct pen_state *state); /* all elements of this key */

/* A key of a dict: pen_int(rule->id), or pen_text(&click->page), text of any kind and size. */
typedef struct pen_dict_key {
    int64_t number;
    pen_view text; /* data NULL: the number */
} pen_dict_key;

static inline pen_dict_key pen_int(int64_t number)
{
    pen_dict_key key = {number, {NULL, 0}};
    return key;
}

#define pen_text(text) pen_text_key(pen_view_of(text))
static inline pen_dict_key pen_text_key(pen_view text)
{
    pen_dict_key key = {0, text};
    return key;
}

void pen_dict_remove(pen_context *ctx, struct pen_state *state, pen_dict_key key);
pen_dict_key pen_dict_key_of(pen_context *ctx, struct pen_state *state, const void *element);

/* What the macros above call. */
void *pen_dict_find(pen_context *ctx, struct pen_state *state, const struct pen_schema *schema,
                    pen_dict_key key, bool create);
void pen_dict_set_record(pen_context *ctx, struct pen_state *state, const struct pen_schema *schema,
                         pen_dict_key key, const void *record);
void pen_list_append_record(pen_context *ctx, struct pen_state *state,
                            const struct pen_schema *schema, const void *record);
const void *pen_state_next(pen_context *ctx, struct pen_state *state,
                           const struct pen_schema *schema, const void *previous);

/* ---- The rest of the world ------------------------------------------------------------------- */

/* The operator's `.user` pointer: what pen_job prepared, for reading. [any] */
const void *pen_user(pen_context *ctx);

/* The closure of the function at hand: of the pen_function that the engine is calling. [any] */
const void *pen_closure(pen_context *ctx);

/* Memory of this subtask (of this split, in a source), zeroed when first asked for: connections,
 * buffers, tables. Neither saved nor restored. `.open` fills it, `.close` empties it. A helper
 * process has its own. [any] */
void *pen_local(pen_context *ctx, size_t size_bytes);

uint32_t pen_subtask(pen_context *ctx);     /* 0 .. pen_parallelism - 1 [any] */
uint32_t pen_parallelism(pen_context *ctx); /* of this operator [any] */

/* For names that nobody else uses, together with pen_subtask. The run is a text of letters and
 * digits: the same through all restarts of this job, never that of another, nor of a second job
 * from the same savepoint. The epoch is the one being filled; within a run none is ever used
 * twice, not even after a failure. [any] */
const char *pen_run(pen_context *ctx);
uint64_t pen_epoch(pen_context *ctx);

/* The function cannot go on: says why; then return. No function of this attempt is called again,
 * and the job is restored from its last checkpoint by its restart strategy. For what may be better
 * next time: a full disk, a lost connection. [any] */
void pen_fail(pen_context *ctx, const char *format, ...) PEN_PRINTF_(2, 3);

/* This record can never be processed: it goes with the reason to the job's dead letters (see
 * pen_configure), counted, and the job goes on. Look before you emit or change state: what this
 * call has done by then stays done. In a timer it fails the job. [record] */
void pen_reject(pen_context *ctx, const char *format, ...) PEN_PRINTF_(2, 3);

/* A line for people, at most a few a second for each place in the code. [any] */
void pen_log(pen_context *ctx, const char *format, ...) PEN_PRINTF_(2, 3);

/* Adds to the index-th name of the operator's `.counters`, shown beside the engine's own. [any] */
void pen_counter_add(pen_context *ctx, uint32_t index, int64_t amount);

PEN_API_END_

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif
