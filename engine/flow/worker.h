/* engine/flow/worker.h: one worker: chains, a bounded step, and how it idles.
 *
 * A step looks at the job's command, takes the bells that have rung, runs each chain for a few
 * batches, the ones furthest downstream first, and publishes what they sent. It never blocks.
 * eng_worker_run is the loop around it: it steps while there is work, spins for a little, then
 * parks until a bell rings, a descriptor is ready or a source wants to be called.
 *
 *     opened by the assembler (engine/control/assemble.h), in the worker's own process
 *     state STARTING -> OPENED -> RUNNING -> ENDED or FAILED, see engine/flow/board.h
 *
 * If it dies anywhere, nothing is repaired: the job's other workers are ended too.
 */
#ifndef ENG_FLOW_WORKER_H
#define ENG_FLOW_WORKER_H

#include <poll.h>

#include "engine/flow/chain.h"
#include "engine/state/arena.h"

/* Who looks on at a job that runs inside its own process: a test harness. Either may be NULL. */
struct eng_worker_witness {
    void (*rejected)(void *self, const char *reason); /* instead of a line on standard error */
    /* At the very place where the job fails, with the user's function still on the stack. */
    void (*failed)(void *self, const char *failure);
    void *self;
};

struct eng_worker_settings {
    enum pen_on_bad_record on_bad_record;
    const char *dead_letters; /* directory; NULL: none */
    uint64_t rejects_max;
    const char *run; /* what pen_run returns */
    bool spin;       /* has a core to itself: worth spinning before it parks */
    /* Virtual time: the wall clock stands here, at or after the epoch, and moves when somebody
     * writes to it. All time that a step knows is taken from it, and nothing is paced. NULL: real
     * clocks. */
    const int64_t *virtual_wall_us;
    const struct eng_worker_witness *witness; /* NULL: none */
};

/* Which input a bell belongs to. */
struct eng_worker_bell {
    struct eng_input *input;
};

struct eng_worker {
    uint32_t number;
    struct eng_board *board;
    struct eng_board_worker *place; /* its block of the board */
    struct shm_slot *slot;
    struct eng_worker_settings settings;
    struct eng_arena *arena; /* keyed state */

    struct eng_chain **chains; /* downstream first */
    uint32_t chain_count;
    struct eng_worker_bell *bells; /* by ready bit */
    uint32_t bell_count;

    uint64_t now_ns;  /* of this step */
    int64_t wall_us;  /* of this step; 0: not read yet */
    uint64_t wake_ns; /* the earliest that a source wishes to be called; 0: no wish */
    uint64_t command; /* the newest seen */
    bool failed, ended;
    bool saves;                    /* memory is short: sources wait, see memory.h */
    bool memory_refused;           /* and could not be had */
    uint64_t queues_granted_bytes; /* of the job's memory, for queues */
    struct pollfd *fds;            /* descriptors that sources and sinks wait for, while parked */
    uint32_t fd_count, fd_room;
    int dead_letter_fd; /* -1: not open yet */
    uint64_t rejected;
    uint64_t idle_since_ns, counted_ns; /* for the times on the board */
    bool has_worked, was_blocked;       /* the last step; decides whose the time since then is */
};

/* One turn. Returns how much it did. */
unsigned eng_worker_step(struct eng_worker *worker);

/* Waits for RUN, works until all chains have ended, waits for EXIT. */
void eng_worker_run(struct eng_worker *worker);

/* The same in pieces, for a harness that has its own loop. */
void eng_worker_start(struct eng_worker *worker); /* OPENED -> RUNNING */
bool eng_worker_is_done(const struct eng_worker *worker);
void eng_worker_park(struct eng_worker *worker); /* sleeps until there may be work */

/* For sources and sinks, within a step: call again at this time, or when fd is ready. */
void eng_worker_wake_at(struct eng_worker *worker, uint64_t ns);
/* The same by the wall clock. */
void eng_worker_wake_at_wall(struct eng_worker *worker, int64_t wall_us);
void eng_worker_wake_on(struct eng_worker *worker, int fd, short events);

int64_t eng_worker_wall_us(struct eng_worker *worker);
/* What measures time in steps: shm_clock_ns, or what stands for it when time is virtual. */
uint64_t eng_worker_clock_ns(const struct eng_worker_settings *settings);

/* True: a step now would find something to do, bells, frames, firing, without waiting for anything.
 * What a ring's other side has not published yet it cannot know. */
bool eng_worker_has_work(const struct eng_worker *worker);
/* True: something that was emitted waits for room, or a sink for whoever takes its records. */
bool eng_worker_is_blocked(const struct eng_worker *worker);

void eng_worker_set_state(struct eng_worker *worker, enum eng_worker_state state);

#endif
