#include "engine/flow/worker.h"

#include <stdlib.h>

#include "engine/flow/memory.h"
#include "shm/clock.h"
#include "shm/counter.h"

enum {
    WORKER_SPIN_NS = 50 * 1000,             /* a park and its wake-up cost about as much */
    WORKER_PARK_NS_MAX = 100 * 1000 * 1000, /* heartbeats go on */
    WORKER_LOOK_AGAIN_NS = 50 * 1000,       /* nobody rings when a ring has room again */
    WORKER_VIRTUAL_NS = 1000 * 1000 * 1000, /* virtual time at the epoch */
};

void eng_worker_set_state(struct eng_worker *worker, enum eng_worker_state state)
{
    shm_store_own(&worker->slot->state, state);
    eng_board_set_state(worker->board, worker->number, state);
}

int64_t eng_worker_wall_us(struct eng_worker *worker)
{
    if (worker->wall_us == 0)
        worker->wall_us = worker->settings.virtual_wall_us ? *worker->settings.virtual_wall_us
                                                           : shm_clock_wall_us();
    return worker->wall_us;
}

/* Virtual nanoseconds do not begin at 0, which means `never` in many places, and stand still when
 * the clock is so far that they could not be counted (in the year 2262). */
uint64_t eng_worker_clock_ns(const struct eng_worker_settings *settings)
{
    if (!settings->virtual_wall_us) return shm_clock_ns();
    uint64_t wall_us = (uint64_t)*settings->virtual_wall_us;
    CHECK(*settings->virtual_wall_us >= 0);
    if (wall_us > INT64_MAX / 1000) wall_us = INT64_MAX / 1000;
    return WORKER_VIRTUAL_NS + wall_us * 1000;
}

void eng_worker_wake_at(struct eng_worker *worker, uint64_t ns)
{
    if (worker->wake_ns == 0 || ns < worker->wake_ns) worker->wake_ns = ns;
}

void eng_worker_wake_at_wall(struct eng_worker *worker, int64_t wall_us)
{
    int64_t left_us;

    if (__builtin_sub_overflow(wall_us, eng_worker_wall_us(worker), &left_us)) return;
    if (left_us < 0) left_us = 0;
    if (left_us > WORKER_PARK_NS_MAX / 1000) return; /* it does not sleep so long */
    eng_worker_wake_at(worker, worker->now_ns + (uint64_t)left_us * 1000);
}

void eng_worker_wake_on(struct eng_worker *worker, int fd, short events)
{
    if (worker->fd_count == worker->fd_room) {
        worker->fd_room = worker->fd_room ? 2 * worker->fd_room : 8;
        worker->fds = realloc(worker->fds, worker->fd_room * sizeof *worker->fds);
        CHECK(worker->fds != NULL);
    }
    worker->fds[worker->fd_count++] = (struct pollfd){.fd = fd, .events = events};
}

/* ---- A step ---------------------------------------------------------------------------------- */

static _Atomic uint64_t *worker_ready_words(const struct eng_worker *worker)
{
    return eng_board_at(worker->board, worker->place->ready);
}

static void worker_take_bells(struct eng_worker *worker)
{
    _Atomic uint64_t *words = worker_ready_words(worker);

    for (uint32_t word = 0; word < worker->place->ready_words; word++) {
        if (shm_load_own(&words[word]) == 0) continue;
        uint64_t bits = shm_take(&words[word]); /* pairs with [worker.ready] */
        while (bits) {
            uint32_t bell = word * 64 + (uint32_t)__builtin_ctzll(bits);
            bits &= bits - 1;
            CHECK(bell < worker->bell_count);
            worker->bells[bell].input->readable = true;
        }
    }
}

/* Publishes what the chains have sent: all rings, one fence, then the bells. */
static void worker_flush(struct eng_worker *worker, uint64_t now_ns)
{
    bool dirty = false;

    for (uint32_t i = 0; i < worker->chain_count; i++)
        dirty |= eng_chain_flush(worker->chains[i], now_ns);
    if (!dirty) return;
    shm_fence();
    for (uint32_t i = 0; i < worker->chain_count; i++)
        for (uint32_t e = 0; e < worker->chains[i]->exchange_count; e++)
            eng_exchange_ring_bells(worker->chains[i]->exchanges[e]);
}

static bool worker_all_ended(const struct eng_worker *worker)
{
    for (uint32_t i = 0; i < worker->chain_count; i++) {
        if (!worker->chains[i]->ended) return false;
        for (uint32_t e = 0; e < worker->chains[i]->exchange_count; e++)
            if (eng_exchange_is_blocked(worker->chains[i]->exchanges[e])) return false;
    }
    return true;
}

/* Where the time since the last step began went, told by what that one did: it worked, stood still
 * for room, or had none, and then waited. `work` is what the step at hand has done. */
static void worker_account(struct eng_worker *worker, unsigned work, uint64_t now_ns)
{
    struct eng_board_worker *place = worker->place;
    uint64_t passed_ns = now_ns - worker->counted_ns;

    worker->counted_ns = now_ns;
    if (worker->has_worked)
        shm_counter_add(&place->busy_ns, passed_ns);
    else if (worker->was_blocked)
        shm_counter_add(&place->blocked_ns, passed_ns);
    else
        shm_counter_add(&place->idle_ns, passed_ns);
    worker->has_worked = work > 0;
    worker->was_blocked = false;
    for (uint32_t i = 0; i < worker->chain_count; i++)
        worker->was_blocked |= worker->chains[i]->blocked;
}

static uint64_t worker_memory_bytes(const struct eng_worker *worker)
{
    uint64_t bytes = eng_arena_bytes(worker->arena);
    for (uint32_t i = 0; i < worker->chain_count; i++)
        for (uint32_t e = 0; e < worker->chains[i]->exchange_count; e++)
            bytes += worker->chains[i]->exchanges[e]->memory_bytes;
    return bytes;
}

unsigned eng_worker_step(struct eng_worker *worker)
{
    struct eng_board_worker *place = worker->place;
    unsigned work = 0;

    worker->now_ns = eng_worker_clock_ns(&worker->settings);
    worker->wall_us = 0;
    worker->wake_ns = 0;
    worker->fd_count = 0;
    shm_slot_beat(worker->slot, worker->now_ns);
    worker->command = shm_load_acquire(&worker->board->command); /* pairs with [board.command] */
    worker_take_bells(worker);
    for (uint32_t i = 0; i < worker->chain_count; i++)
        work += eng_chain_step(worker->chains[i]);
    /* Virtual time stands still within a step: no watermark may wait for it to pass. */
    worker_flush(worker, worker->settings.virtual_wall_us ? ENG_FLUSH_ALL : worker->now_ns);
    shm_counter_add(&place->steps, 1);
    if (work == 0) shm_counter_add(&place->steps_idle, 1);
    if ((shm_load_own(&place->steps) & 255) == 0)
        shm_store_own(&place->memory_bytes, worker_memory_bytes(worker));
    worker_account(worker, work, worker->now_ns);
    if (worker->failed) {
        eng_worker_set_state(worker, ENG_WORKER_FAILED);
    } else if (!worker->ended && worker_all_ended(worker)) {
        worker->ended = true;
        shm_store_own(&place->memory_bytes, worker_memory_bytes(worker));
        shm_store_own(&worker->slot->cpu_ns, shm_clock_cpu_ns());
        eng_worker_set_state(worker, ENG_WORKER_ENDED);
    }
    return work;
}

/* ---- Idling ---------------------------------------------------------------------------------- */

bool eng_worker_has_work(const struct eng_worker *worker)
{
    _Atomic uint64_t *words = worker_ready_words(worker);

    for (uint32_t word = 0; word < worker->place->ready_words; word++)
        if (shm_load_acquire(&words[word]) != 0) return true; /* pairs with [worker.ready] */
    if (shm_load_acquire(&worker->board->command) != worker->command) return true;
    for (uint32_t i = 0; i < worker->chain_count; i++)
        if (eng_chain_has_work(worker->chains[i])) return true;
    return false;
}

static bool worker_has_work(void *arg)
{
    return eng_worker_has_work(arg);
}

bool eng_worker_is_blocked(const struct eng_worker *worker)
{
    for (uint32_t i = 0; i < worker->chain_count; i++)
        if (eng_chain_is_blocked(worker->chains[i])) return true;
    return false;
}

void eng_worker_park(struct eng_worker *worker)
{
    uint64_t now_ns = shm_clock_ns();
    uint64_t deadline_ns = now_ns + WORKER_PARK_NS_MAX;
    bool looks_again = false;

    /* Watermarks that were held back for their pace go now. */
    worker_flush(worker, ENG_FLUSH_ALL);
    for (uint32_t i = 0; i < worker->chain_count; i++)
        looks_again |= eng_chain_must_look_again(worker->chains[i]);
    if (looks_again) deadline_ns = now_ns + WORKER_LOOK_AGAIN_NS;
    if (worker->wake_ns != 0 && worker->wake_ns < deadline_ns) deadline_ns = worker->wake_ns;
    if (deadline_ns <= now_ns) return;
    shm_counter_add(&worker->place->parks, 1);
    if (worker->fd_count > 0 && !worker->ended)
        shm_park_poll(&worker->place->doorbell, deadline_ns, worker_has_work, worker, worker->fds,
                      worker->fd_count);
    else
        shm_park(&worker->place->doorbell, deadline_ns, worker_has_work, worker);
}

static void worker_idle(struct eng_worker *worker)
{
    uint64_t now_ns = worker->now_ns;

    if (worker->idle_since_ns == 0) worker->idle_since_ns = now_ns;
    if (worker->settings.spin && !worker->ended && worker->fd_count == 0 &&
        now_ns - worker->idle_since_ns < WORKER_SPIN_NS)
        return;
    /* A source that wants to be called within the time of a wake-up is waited for awake. */
    if (worker->settings.spin && worker->wake_ns != 0 && worker->wake_ns < now_ns + WORKER_SPIN_NS)
        return;
    shm_store_own(&worker->slot->cpu_ns, shm_clock_cpu_ns());
    eng_worker_park(worker);
}

bool eng_worker_is_done(const struct eng_worker *worker)
{
    return worker->failed || worker->ended;
}

void eng_worker_start(struct eng_worker *worker)
{
    worker->counted_ns = eng_worker_clock_ns(&worker->settings);
    eng_worker_set_state(worker, ENG_WORKER_RUNNING);
}

static bool worker_hears_command(void *arg)
{
    struct eng_worker *worker = arg;
    return shm_load_acquire(&worker->board->command) != worker->command;
}

static void worker_wait_for_command(struct eng_worker *worker)
{
    worker->command = shm_load_acquire(&worker->board->command); /* pairs with [board.command] */
    shm_slot_beat(worker->slot, shm_clock_ns());
}

void eng_worker_run(struct eng_worker *worker)
{
    eng_worker_set_state(worker, ENG_WORKER_OPENED);
    worker_wait_for_command(worker);
    while (worker->command < ENG_COMMAND_RUN) {
        shm_park(&worker->place->doorbell, shm_clock_ns() + WORKER_PARK_NS_MAX,
                 worker_hears_command, worker);
        worker_wait_for_command(worker);
    }
    eng_worker_start(worker);
    while (!worker->failed && !worker->ended && worker->command < ENG_COMMAND_EXIT) {
        if (eng_worker_step(worker) > 0)
            worker->idle_since_ns = 0;
        else
            worker_idle(worker);
    }
    while (worker->command < ENG_COMMAND_EXIT) {
        shm_park(&worker->place->doorbell, shm_clock_ns() + WORKER_PARK_NS_MAX,
                 worker_hears_command, worker);
        worker_wait_for_command(worker);
    }
}
