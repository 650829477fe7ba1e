#include "shm/sim.h"

#ifdef SHM_SIM /* the real build has no simulator */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "shm/check.h"
#include "shm/clock.h"
#include "shm/random.h"

#if defined(__has_feature)
#define SIM_HAS(feature) __has_feature(feature)
#else
#define SIM_HAS(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || SIM_HAS(address_sanitizer)
#define SIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if defined(__SANITIZE_THREAD__) || SIM_HAS(thread_sanitizer)
#define SIM_TSAN
#include <sanitizer/tsan_interface.h>
#endif

enum {
    SIM_STACK_BYTES = 1 << 18, /* taken as it is touched; a page without rights lies below */
    SIM_STORES_MAX = 16,
    SIM_NOT_LIVE = UINT32_MAX >> 1,
};
#define SIM_STEPS_MAX 200000000u

enum sim_state { SIM_RUNNABLE, SIM_WAITING, SIM_ENDED };

/* A coroutine's way in and out, with what the sanitizers want to know. */
struct sim_fiber {
    ucontext_t context;
    char *stack; /* NULL: that of the caller of shm_sim_try() */
    const void *bottom;
    size_t size_bytes;
    void *fake_stack;
    void *tsan;
};

struct sim_store {
    void *word;
    uint64_t value;
    uint32_t size_bytes;
};

struct sim_process {
    struct sim_fiber fiber;
    enum sim_state state;
    uint32_t number, parent;
    uint32_t live_index;
    void (*main)(void *arg);
    void *arg;
    void *local;
    int status, signal;

    /* WAITING: for an address, a condition, a time. */
    const void *address;
    bool (*ready)(void *arg);
    void *ready_arg;
    uint64_t deadline_ns;
    bool woken; /* not by the time */

    /* Stores that others do not see yet, oldest first. */
    struct sim_store stores[SIM_STORES_MAX];
    uint32_t store_count;
};

/* Yielding takes no argument, so there is one simulation in a program at a time. */
static struct {
    bool running, inside; /* inside: the scheduler calls a condition, which may not switch */
    bool catching;        /* failures are told, not fatal */
    uint64_t seed;
    struct shm_random_stream schedule, chance; /* who runs; what shm_sim_random() gives */
    struct sim_process **processes;            /* by number */
    struct sim_process **live;                 /* those that have not ended, in no order */
    uint32_t process_count, live_count, capacity;
    struct sim_process *current;
    struct sim_fiber home;
    char *spare[64]; /* stacks for the next processes */
    uint32_t spare_count;

    /* This run's habits. */
    uint64_t switch_every, drain_every, step_ns; /* drain_every 0: no store buffers */

    uint64_t now_ns, until_switch, steps_max, store_total;
    struct shm_sim_result result;
} sim;

bool shm_sim_running(void)
{
    return sim.running;
}

uint64_t shm_sim_random(void)
{
    return shm_random_next(&sim.chance);
}

uint64_t shm_sim_now_ns(void)
{
    return sim.now_ns;
}

/* ---- Coroutines ------------------------------------------------------------------------------ */

static char *sim_stack_take(void)
{
    if (sim.spare_count > 0) {
        char *stack = sim.spare[--sim.spare_count];
#ifdef SIM_ASAN
        __asan_unpoison_memory_region(stack, SIM_STACK_BYTES); /* of frames that were killed */
#endif
        return stack;
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, SIM_STACK_BYTES + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    CHECK(memory != MAP_FAILED);
    CHECK(mprotect(memory, page, PROT_NONE) == 0);
    return memory + page;
}

static void sim_stack_give(char *stack)
{
    if (sim.spare_count < sizeof sim.spare / sizeof *sim.spare) {
        sim.spare[sim.spare_count++] = stack;
        return;
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    CHECK(munmap(stack - page, SIM_STACK_BYTES + page) == 0);
}

/* Goes on in `to`; comes back when somebody goes on in `from`, for one that ended never. */
static void sim_switch(struct sim_fiber *from, struct sim_fiber *to, bool for_good)
{
    (void)for_good;
#ifdef SIM_ASAN
    __sanitizer_start_switch_fiber(for_good ? NULL : &from->fake_stack, to->bottom, to->size_bytes);
#endif
#ifdef SIM_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    CHECK(swapcontext(&from->context, &to->context) == 0);
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

static _Noreturn void sim_go_home(enum shm_sim_outcome outcome)
{
    sim.result.outcome = outcome;
    sim_switch(&sim.current->fiber, &sim.home, true);
    abort(); /* nobody switches to us again */
}

/* ---- Store buffers --------------------------------------------------------------------------- */

static void sim_drain_one(struct sim_process *process)
{
    CHECK(process->store_count > 0);
    struct sim_store *store = &process->stores[0];
    if (store->size_bytes == 8)
        *(volatile uint64_t *)store->word = store->value;
    else
        *(volatile uint32_t *)store->word = (uint32_t)store->value;
    process->store_count--;
    sim.store_total--;
    memmove(store, store + 1, process->store_count * sizeof *store);
}

static void sim_drain(struct sim_process *process)
{
    while (process->store_count > 0)
        sim_drain_one(process);
}

void shm_sim_flush(void)
{
    if (sim.running) sim_drain(sim.current);
}

bool shm_sim_store(void *word, uint64_t value, uint32_t size_bytes)
{
    CHECK(size_bytes == 8 || size_bytes == 4);
    if (!sim.running || sim.drain_every == 0) return false;
    struct sim_process *process = sim.current;
    if (process->store_count == SIM_STORES_MAX) sim_drain_one(process);
    process->stores[process->store_count++] = (struct sim_store){word, value, size_bytes};
    sim.store_total++;
    return true;
}

bool shm_sim_load(const void *word, uint64_t *value, uint32_t size_bytes)
{
    if (sim.store_total == 0 || !sim.running) return false;
    const struct sim_process *process = sim.current;
    for (uint32_t i = process->store_count; i-- > 0;) {
        const struct sim_store *store = &process->stores[i];
        if (store->word != word) continue;
        CHECK(store->size_bytes == size_bytes);
        *value = store->value;
        return true;
    }
    return false;
}

/* ---- The scheduler --------------------------------------------------------------------------- */

static bool sim_can_run(struct sim_process *process)
{
    if (process->state == SIM_RUNNABLE) return true;
    CHECK(process->state == SIM_WAITING);
    if (process->ready && process->ready(process->ready_arg)) process->woken = true;
    return process->woken || process->deadline_ns <= sim.now_ns;
}

/* Anyone who can run. Time jumps if nobody can; NULL if that does not help either. */
static struct sim_process *sim_pick(void)
{
    sim.inside = true;
    struct sim_process *picked = NULL;
    for (unsigned round = 0; round < 2 && !picked; round++) {
        uint64_t next_ns = SHM_CLOCK_NEVER;
        uint64_t first = shm_random_below(&sim.schedule, sim.live_count);
        for (uint64_t i = 0; i < sim.live_count && !picked; i++) {
            struct sim_process *process = sim.live[(first + i) % sim.live_count];
            if (sim_can_run(process)) picked = process;
            if (process->deadline_ns < next_ns) next_ns = process->deadline_ns;
        }
        if (!picked && next_ns == SHM_CLOCK_NEVER) break;
        if (!picked) sim.now_ns = next_ns;
    }
    sim.inside = false;
    return picked;
}

static void sim_say_stuck(void)
{
    snprintf(sim.result.failure, sizeof sim.result.failure,
             "stuck: all %u processes wait, and for no time", sim.live_count);
}

static _Noreturn void sim_fail(enum shm_sim_outcome outcome);

static void sim_switch_away(bool for_good)
{
    struct sim_process *from = sim.current;
    struct sim_process *to = sim_pick();
    if (!to) {
        sim_say_stuck();
        sim_fail(SHM_SIM_STUCK);
    }
    to->state = SIM_RUNNABLE;
    to->deadline_ns = SHM_CLOCK_NEVER;
    uint64_t habits = 2 * sim.switch_every - 1;
    sim.until_switch = 1 + shm_random_below(&sim.schedule, habits);
    uint64_t mixed = sim.result.trace ^ to->number ^ sim.now_ns << 16;
    sim.result.trace = shm_random_split(&mixed);
    if (to == from) return;
    CHECK(to->state != SIM_ENDED);
    sim.result.switches++;
    sim.current = to;
    sim_switch(&from->fiber, &to->fiber, for_good);
}

static void sim_drain_someone(void)
{
    uint64_t first = shm_random_below(&sim.schedule, sim.live_count);
    for (uint64_t i = 0; i < sim.live_count; i++) {
        struct sim_process *process = sim.live[(first + i) % sim.live_count];
        if (process->store_count == 0) continue;
        sim_drain_one(process);
        return;
    }
}

void shm_sim_yield(void)
{
    if (!sim.running || sim.inside) return;
    sim.now_ns += sim.step_ns;
    if (++sim.result.steps >= sim.steps_max) {
        snprintf(sim.result.failure, sizeof sim.result.failure, "endless: %llu steps",
                 (unsigned long long)sim.result.steps);
        sim_fail(SHM_SIM_ENDLESS);
    }
    if (sim.store_total > 0 && shm_random_below(&sim.schedule, sim.drain_every) == 0)
        sim_drain_someone();
    if (--sim.until_switch == 0) sim_switch_away(false);
}

static bool sim_wait(const void *address, bool (*ready)(void *arg), void *arg, uint64_t deadline_ns)
{
    struct sim_process *self = sim.current;
    sim_drain(self);
    self->state = SIM_WAITING;
    self->address = address;
    self->ready = ready;
    self->ready_arg = arg;
    self->deadline_ns = deadline_ns;
    self->woken = false;
    sim_switch_away(false);
    CHECK(self == sim.current);
    self->address = NULL;
    self->ready = NULL;
    return self->woken;
}

bool shm_sim_wait(uint64_t deadline_ns, bool (*ready)(void *arg), void *arg)
{
    CHECK(sim.running);
    CHECK(!sim.inside);
    shm_sim_yield();
    return sim_wait(NULL, ready, arg, deadline_ns);
}

/* No yield: what the caller found out about the word still holds when it sleeps. */
bool shm_sim_sleep(const void *address, uint64_t deadline_ns)
{
    CHECK(sim.running);
    CHECK(address);
    return sim_wait(address, NULL, NULL, deadline_ns);
}

void shm_sim_wake(const void *address)
{
    CHECK(sim.running);
    for (uint32_t i = 0; i < sim.live_count; i++) {
        struct sim_process *process = sim.live[i];
        if (process->state != SIM_WAITING || process->address != address) continue;
        process->woken = true;
        process->address = NULL;
        return;
    }
}

/* ---- Processes ------------------------------------------------------------------------------- */

static void sim_end(struct sim_process *process, int status, int signal)
{
    CHECK(process->state != SIM_ENDED);
    sim_drain(process); /* what a processor has executed becomes visible, whatever happens to it */
    process->state = SIM_ENDED;
    process->status = status;
    process->signal = signal;
    sim.live[process->live_index] = sim.live[--sim.live_count];
    sim.live[process->live_index]->live_index = process->live_index;
    process->live_index = SIM_NOT_LIVE;

    /* Children are younger: one pass over the numbers finds them, and sim_end() theirs. */
    for (uint32_t i = process->number + 1; i < sim.process_count; i++)
        if (sim.processes[i]->parent == process->number && sim.processes[i]->state != SIM_ENDED)
            sim_end(sim.processes[i], -1, SIGKILL);
}

static void sim_entry(void)
{
#ifdef SIM_ASAN
    const void *bottom;
    size_t size_bytes;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &size_bytes);
    if (sim.current->number == 0) {
        sim.home.bottom = bottom;
        sim.home.size_bytes = size_bytes;
    }
#endif
    sim.current->main(sim.current->arg);
    shm_sim_exit(0);
}

static void sim_make_room(void)
{
    if (sim.process_count < sim.capacity) return;
    sim.capacity = sim.capacity ? 2 * sim.capacity : 64;
    sim.processes = realloc(sim.processes, sim.capacity * sizeof *sim.processes);
    sim.live = realloc(sim.live, sim.capacity * sizeof *sim.live);
    CHECK(sim.processes);
    CHECK(sim.live);
}

uint32_t shm_sim_spawn(void (*main)(void *), void *arg)
{
    CHECK(sim.running);
    sim_make_room();
    if (sim.current) sim_drain(sim.current); /* a fork is a fence */
    struct sim_process *process = calloc(1, sizeof *process);
    CHECK(process);
    process->number = sim.process_count;
    process->parent = sim.current ? sim.current->number : UINT32_MAX;
    process->main = main;
    process->arg = arg;
    process->deadline_ns = SHM_CLOCK_NEVER;
    process->live_index = sim.live_count;
    sim.processes[sim.process_count++] = process;
    sim.live[sim.live_count++] = process;

    struct sim_fiber *fiber = &process->fiber;
    fiber->stack = sim_stack_take();
    fiber->bottom = fiber->stack;
    fiber->size_bytes = SIM_STACK_BYTES;
    CHECK(getcontext(&fiber->context) == 0);
    fiber->context.uc_stack.ss_sp = fiber->stack;
    fiber->context.uc_stack.ss_size = SIM_STACK_BYTES;
    fiber->context.uc_link = NULL;
    makecontext(&fiber->context, sim_entry, 0);
#ifdef SIM_TSAN
    fiber->tsan = __tsan_create_fiber(0);
#endif
    return process->number;
}

uint32_t shm_sim_self(void)
{
    return sim.running ? sim.current->number : 0;
}

void **shm_sim_local(void)
{
    static void *outside;
    return sim.running ? &sim.current->local : &outside;
}

bool shm_sim_ended(uint32_t number, int *status, int *signal)
{
    CHECK(number < sim.process_count);
    const struct sim_process *process = sim.processes[number];
    if (process->state != SIM_ENDED) return false;
    if (status) *status = process->status;
    if (signal) *signal = process->signal;
    return true;
}

_Noreturn void shm_sim_exit(int status)
{
    CHECK(sim.running);
    shm_sim_yield(); /* the last stores may stay unseen for a while, as those before them */
    sim_end(sim.current, status & 0xff, 0);
    if (sim.current->number == 0) sim_go_home(SHM_SIM_DONE);
    sim_switch_away(true);
    abort(); /* one that ended is not picked again */
}

void shm_sim_kill(uint32_t number, int signal)
{
    CHECK(number < sim.process_count);
    CHECK(signal > 0);
    CHECK(number != 0); /* that is the test itself */
    struct sim_process *process = sim.processes[number];
    if (process->state == SIM_ENDED) return;
    sim_end(process, -1, signal);
    if (sim.current->state == SIM_ENDED) sim_switch_away(true);
}

/* ---- Runs ------------------------------------------------------------------------------------ */

static void sim_print(void)
{
    fprintf(stderr, "simulation of seed %llu failed at step %llu, %llu ns: %s\n",
            (unsigned long long)sim.seed, (unsigned long long)sim.result.steps,
            (unsigned long long)sim.now_ns, sim.result.failure);
    for (uint32_t i = 0; i < sim.live_count; i++) {
        const struct sim_process *process = sim.live[i];
        fprintf(stderr, "    process %u %s%s\n", process->number,
                process->state == SIM_WAITING ? "waits" : "can run",
                process == sim.current ? ", and did" : "");
    }
}

/* Ends the run where it stands, so that a debugger shows the process that failed. */
static _Noreturn void sim_fail(enum shm_sim_outcome outcome)
{
    sim.inside = false;
    if (sim.catching) sim_go_home(outcome);
    sim_print();
    sim.running = false;
    abort();
}

_Noreturn void shm_sim_fail(const char *text)
{
    if (!sim.running) {
        fprintf(stderr, "%s\n", text);
        abort();
    }
    snprintf(sim.result.failure, sizeof sim.result.failure, "%s", text);
    sim_fail(SHM_SIM_FAILED);
}

/* A crash of simulated code does not come through here otherwise: the seed would be lost. */
static const int sim_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
enum { SIM_SIGNALS = sizeof sim_signals / sizeof *sim_signals };
static struct sigaction sim_signals_before[SIM_SIGNALS];

static void sim_on_signal(int signal_number)
{
    for (unsigned i = 0; i < SIM_SIGNALS; i++)
        if (sim_signals[i] == signal_number) sigaction(signal_number, &sim_signals_before[i], NULL);
    snprintf(sim.result.failure, sizeof sim.result.failure, "signal %d", signal_number);
    sim_print();
    raise(signal_number);
}

static void sim_signals_start(void)
{
    static char stack[64 * 1024];
    stack_t alternate;
    CHECK(sigaltstack(NULL, &alternate) == 0);
    if (alternate.ss_flags & SS_DISABLE) {
        alternate = (stack_t){.ss_sp = stack, .ss_size = sizeof stack};
        CHECK(sigaltstack(&alternate, NULL) == 0);
    }
    struct sigaction action = {.sa_handler = sim_on_signal, .sa_flags = SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < SIM_SIGNALS; i++)
        CHECK(sigaction(sim_signals[i], &action, &sim_signals_before[i]) == 0);
}

static void sim_signals_stop(void)
{
    for (unsigned i = 0; i < SIM_SIGNALS; i++)
        CHECK(sigaction(sim_signals[i], &sim_signals_before[i], NULL) == 0);
}

static void sim_open(uint64_t seed, uint64_t steps_max)
{
    static const uint64_t switches[] = {1, 1, 2, 4, 16, 64};
    static const uint64_t drains[] = {0, 1, 4, 16, 64};
    static const uint64_t steps[] = {5, 50, 500, 5000};
    sim.seed = seed;
    shm_random_seed(&sim.schedule, seed);
    shm_random_seed(&sim.chance, ~seed);
    sim.switch_every = switches[shm_random_below(&sim.schedule, 6)];
    sim.drain_every = drains[shm_random_below(&sim.schedule, 5)];
    sim.step_ns = steps[shm_random_below(&sim.schedule, 4)];
    sim.steps_max = steps_max ? steps_max : SIM_STEPS_MAX;
    sim.now_ns = 1000000000; /* 0 is a deadline that has passed */
    sim.until_switch = 1;
    sim.store_total = 0;
    sim.process_count = sim.live_count = 0;
    sim.current = NULL;
    sim.result = (struct shm_sim_result){.trace = seed};
    sim.running = true;
}

static void sim_close(void)
{
    sim.running = false;
    for (uint32_t i = 0; i < sim.process_count; i++) {
        struct sim_process *process = sim.processes[i];
#ifdef SIM_TSAN
        __tsan_destroy_fiber(process->fiber.tsan);
#endif
        sim_stack_give(process->fiber.stack);
        free(process);
    }
    free(sim.processes);
    free(sim.live);
    sim.processes = sim.live = NULL;
    sim.process_count = sim.live_count = sim.capacity = 0;
    sim.current = NULL;
}

static struct shm_sim_result sim_run(uint64_t seed, uint64_t steps_max, void (*main)(void *),
                                     void *arg)
{
    CHECK(!sim.running);
    sim_open(seed, steps_max);
    sim_signals_start();
#ifdef SIM_ASAN
    __lsan_disable(); /* who is killed frees nothing */
#endif
#ifdef SIM_TSAN
    sim.home.tsan = __tsan_get_current_fiber();
#endif
    shm_sim_spawn(main, arg);
    sim.current = sim.processes[0];
    sim_switch(&sim.home, &sim.current->fiber, false);
#ifdef SIM_ASAN
    __lsan_enable();
#endif
    sim_signals_stop();
    sim.result.end_ns = sim.now_ns;
    struct shm_sim_result result = sim.result;
    sim_close();
    return result;
}

void shm_sim_run(uint64_t seed, void (*main)(void *), void *arg)
{
    sim.catching = false;
    sim_run(seed, 0, main, arg);
}

struct shm_sim_result shm_sim_try(uint64_t seed, uint64_t steps_max, void (*main)(void *),
                                  void *arg)
{
    sim.catching = true;
    return sim_run(seed, steps_max, main, arg);
}

#endif
