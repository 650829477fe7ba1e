/* shm/slot.h: what is known about one process, also after its death.
 *
 * Each process of a job has a slot in shared memory. It says there who it is, that it lives, and
 * what it is doing; when it dies, its last words, the signal, the address and the backtrace stay
 * there for the supervisor and for tools.
 *
 *     opened:   shm_slot_open()                      by the process itself, after the fork
 *     working:  shm_slot_beat(), shm_slot_enter()    plain stores, once a step or a batch
 *     dying:    CHECK, or shm_slot_say() before an exit, or a signal caught by
 *               shm_slot_install_handlers(): all of them safe in a broken process
 *     dead:     shm_slot_report()                    by anyone who maps the memory
 *
 * One writer, the process; everything else reads. A reader sees a word whole, but words of
 * different moments; text may be half written while `words_size` is 0, never after. SIGKILL leaves
 * no last words: then operator, position and heartbeat are what is known.
 *
 * Which slot is this process's own is remembered in one word of the process (shm_process_local()).
 * A child does not inherit it: a CHECK in a child that has no slot only prints.
 */
#ifndef SHM_SLOT_H
#define SHM_SLOT_H

#include <stdio.h>

#include "shm/atomic.h"

enum {
    SHM_SLOT_ROLE_BYTES = 32,
    SHM_SLOT_WORDS_BYTES = 512,
    SHM_SLOT_FRAMES_MAX = 48,
};
#define SHM_SLOT_NO_OPERATOR UINT32_MAX

struct shm_slot {
    /* Written by shm_slot_open(), pid last. */
    _Alignas(SHM_CACHELINE) _Atomic uint64_t pid; /* 0: never opened */
    uint64_t start_ticks; /* of the process, as /proc/PID/stat has it: tells a recycled pid */
    uint64_t started_ns;
    char role[SHM_SLOT_ROLE_BYTES]; /* "worker 3", "supervisor", "image of worker 3" */

    /* Written all the time. */
    _Alignas(SHM_CACHELINE) _Atomic uint64_t heartbeat_ns;
    _Atomic uint64_t state;       /* the owner's own numbering */
    _Atomic uint64_t operator_id; /* in which operator, SHM_SLOT_NO_OPERATOR: in none */
    _Atomic uint64_t position;    /* of the record, as its source counts */
    _Atomic uint64_t since_ns;    /* since when */
    _Atomic uint64_t cpu_ns;

    /* Written once, when dying. */
    _Alignas(SHM_CACHELINE) _Atomic uint64_t signal; /* 0: none was caught */
    uint64_t signal_code;                            /* si_code: why */
    uint64_t fault_address;
    uint64_t instruction;         /* where the program stood */
    _Atomic uint64_t frame_count; /* of the backtrace; stored after the frames */
    uint64_t frames[SHM_SLOT_FRAMES_MAX];
    _Atomic uint64_t words_size; /* stored after the words */
    char words[SHM_SLOT_WORDS_BYTES];
};

/* Clears the slot and makes it this process's own. */
void shm_slot_open(struct shm_slot *slot, const char *role);

/* The process goes on without a slot; the slot stays readable. */
void shm_slot_close(struct shm_slot *slot);

/* This process's own, or NULL. */
struct shm_slot *shm_slot_own(void);

/* Alive: called at least once a step. cpu_ns: shm_clock_cpu_ns(), which the caller reads when it
   likes. */
static inline void shm_slot_beat(struct shm_slot *slot, uint64_t now_ns)
{
    shm_store_own(&slot->heartbeat_ns, now_ns);
}

/* From now on in this operator, at this record. */
static inline void shm_slot_enter(struct shm_slot *slot, uint32_t operator_id, uint64_t position,
                                  uint64_t now_ns)
{
    shm_store_own(&slot->operator_id, operator_id);
    shm_store_own(&slot->position, position);
    shm_store_own(&slot->since_ns, now_ns);
}

/* The record within the run that shm_slot_enter() told of: read by the handler when this process
 * dies, so that last words name the very record. NULL: none. Of the process, not of the slot.
 * Returns what was watched before. */
const uint32_t *shm_slot_watch(const uint32_t *index);

static inline void shm_slot_leave(struct shm_slot *slot)
{
    shm_store_own(&slot->operator_id, SHM_SLOT_NO_OPERATOR);
}

/* Last words: what went wrong, in a sentence. The last ones said count. slot may be NULL: then this
 * process's own, and nothing happens if there is none. */
void shm_slot_say(struct shm_slot *slot, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for broken processes and signal handlers: pieces of text, ended by NULL. */
void shm_slot_say_pieces(struct shm_slot *slot, const char *const *pieces);

/* Catches SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT on a stack of its own, fills this process's
 * slot and dies by the same signal. Once in a process; children inherit it. 0 or -errno. */
int shm_slot_install_handlers(void);

/* Whether the process of the slot still runs: its pid exists and started when the slot says. */
bool shm_slot_alive(const struct shm_slot *slot);

/* For people: who, doing what, how it died, where. Names of functions are those of the calling
 * process, right for its forked children. */
void shm_slot_report(const struct shm_slot *slot, FILE *out);

#endif
