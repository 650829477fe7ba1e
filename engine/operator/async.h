/* engine/operator/async.h: what the parts of pen_async share. The story is on top of async.c.
 *
 *     async.c           the operator: who is next, what may go on when, tries, dead letters
 *     async_crew.c      its helper processes, as the worker sees them
 *     async_nursery.c   what runs in those processes
 *     async_call.c      one call of the user's function, away from the worker's context
 *
 * Frames. What passes between a worker and a helper is a run of them, each a head and what it
 * announces, padded to 8 bytes. Both are the same program, so there is nothing to convert:
 *
 *     to a helper    ASK     a record                          one at a time, answered by DONE
 *     to the worker  READY   open has returned                 once, first of all
 *                    EMIT    a record for output `number`
 *                    REJECT  a reason, ended by NUL
 *                    COUNT   what to add to each counter
 *                    DONE    the call has returned; nothing follows before the next ASK
 *                    FAIL    why the job must fail, ended by NUL; nothing follows
 */
#ifndef ENG_OPERATOR_ASYNC_H
#define ENG_OPERATOR_ASYNC_H

#include <sched.h>

#include "engine/flow/worker.h"
#include "engine/record/out.h"
#include "shm/ending.h"

enum {
    ENG_IN_FLIGHT = 16,       /* where the job says nothing */
    ENG_IN_FLIGHT_MAX = 1024, /* processes for each worker: beyond it is a slip of the finger */
};

enum eng_async_kind {
    ENG_ASYNC_ASK = 1,
    ENG_ASYNC_READY,
    ENG_ASYNC_EMIT,
    ENG_ASYNC_REJECT,
    ENG_ASYNC_COUNT,
    ENG_ASYNC_DONE,
    ENG_ASYNC_FAIL,
};

struct eng_async_frame {
    uint32_t size_bytes; /* with this head; a multiple of 8 */
    uint32_t kind;
    uint32_t number; /* EMIT: of the output; ASK: enum pen_row */
    uint32_t reserved;
    int64_t time_us, watermark_us; /* ASK: of the record, and what pen_watermark says */
};
_Static_assert(sizeof(struct eng_async_frame) % 8 == 0, "records behind it are aligned");

/* What a node's options are. */
struct eng_async_options {
    struct pen_async given; /* with defaults filled in */
    const char *timeout;    /* as people write it */
};

/* A record that is looked up. Owned by the operator; the crew only has it meanwhile. */
struct eng_async_entry {
    struct eng_async_entry *next;         /* in its segment, in the order in which results go on */
    struct eng_async_entry *waiting_next; /* for a helper */
    struct eng_async_entry *all_next, *all_before; /* whatever the operator holds */
    struct async_segment *segment;
    struct eng_text_out result; /* frames */
    uint32_t tries;             /* that have failed */
    bool done;
    struct eng_async_frame ask; /* the record behind it */
};

/* ---- async.c, for the crew ------------------------------------------------------------------- */

/* The call has returned. The result's bytes are the entry's from now on. */
void eng_async_done(pen_context *ctx, struct eng_async_entry *entry, struct eng_text_out *result);
/* What was counted outside of calls, in open and close. */
void eng_async_count(pen_context *ctx, const struct eng_text_out *frames);
/* A try has come to nothing; ending: of the helper, NULL: it took too long. */
void eng_async_lost(pen_context *ctx, struct eng_async_entry *entry,
                    const struct shm_ending *ending);

/* ---- async_call.c ---------------------------------------------------------------------------- */

/* A context of its own for a node's function: what it emits, rejects and counts is written as
 * frames into `out`; nothing of it reaches the board or the streams. */
struct eng_async_call;

/* failed: what pen_fail was told, at that very place. */
struct eng_async_call *eng_async_call_open(const pen_context *of, struct eng_text_out *out,
                                           void (*failed)(void *self, const char *why), void *self);
void eng_async_call_start(struct eng_async_call *call); /* the user's open */
void eng_async_call_run(struct eng_async_call *call, const struct eng_async_frame *ask);
void eng_async_call_finish(struct eng_async_call *call); /* the user's close */
bool eng_async_call_has_failed(const struct eng_async_call *call);
void eng_async_call_close(struct eng_async_call *call); /* accepts NULL */

/* A new frame at the end of `out`, with room for size_bytes behind the head, zeroed. */
void *eng_async_put(struct eng_text_out *out, enum eng_async_kind kind, uint32_t number,
                    uint64_t size_bytes);

/* ---- async_crew.c ---------------------------------------------------------------------------- */

/* Helper processes of one subtask: made when they are first needed, replaced when they die. */
struct eng_crew;

/* False: no processes are made here, where time is virtual or all is simulated; the worker calls
 * the function itself. */
bool eng_crew_is_possible(const pen_context *ctx);
/* Forks the nursery. timeout_ns 0: none. NULL: the job has failed. */
struct eng_crew *eng_crew_open(pen_context *ctx, uint32_t helpers_max, uint64_t timeout_ns);
/* Whoever is left is killed, and has gone on return. Accepts NULL. */
void eng_crew_close(struct eng_crew *crew);

/* True: it went to a helper. False: none is free; more are asked for, as far as they may be and as
 * so many records that wait can use. */
bool eng_crew_give(struct eng_crew *crew, struct eng_async_entry *entry, uint32_t waiting);

/* Hears what the helpers say, calls eng_async_done and eng_async_lost, sees to deadlines, and that
 * the worker is woken for the next event. Returns how much there was. */
unsigned eng_crew_step(struct eng_crew *crew);

/* No more is given: helpers close and exit. Then the crew is gone. */
void eng_crew_end(struct eng_crew *crew);
bool eng_crew_is_gone(const struct eng_crew *crew);

/* ---- async_nursery.c ------------------------------------------------------------------------- */

/* What the worker and the nursery tell each other, a message each. */
enum eng_nursery_verb {
    ENG_NURSERY_SPAWN = 1, /* to the nursery: make this helper, which does not exist */
    ENG_NURSERY_KILL,      /* ... kill it, if it exists */
    ENG_NURSERY_EXIT,      /* ... kill all, and end */
    ENG_NURSERY_BORN,      /* to the worker: it exists; the message carries a descriptor */
    ENG_NURSERY_BARREN,    /* ... it cannot be made; status: errno */
    ENG_NURSERY_DEAD,      /* ... it has ended: status, signal. The last that is heard of it */
};

struct eng_nursery_word {
    uint32_t verb, helper;
    int32_t status, signal;
};

struct eng_nursery {
    const pen_context *ctx; /* the subtask's; as it was when the nursery was forked */
    int fd;                 /* to the worker */
    int worker_fds[2];      /* of the worker alone: closed first */
    uint32_t helpers_max;
    bool moves; /* the worker is pinned, and helpers are not: */
    cpu_set_t cpus;
};

void eng_nursery_main(void *nursery); /* of the process */

/* Sends a whole message. 0 or -errno; -EAGAIN only with MSG_DONTWAIT among the flags. */
int eng_nursery_send(int fd, const struct eng_nursery_word *word, int carried_fd, int flags);
/* 1: a message; 0: the other side has gone; -errno. *carried_fd is -1 where it carries none. */
int eng_nursery_receive(int fd, struct eng_nursery_word *word, int *carried_fd, int flags);

#endif
