#include "shm/slot.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "shm/check.h"
#include "shm/clock.h"
#include "shm/counter.h"
#include "shm/spawn.h"

enum {
    SLOT_STACK_BYTES = 128 * 1024, /* of the handlers: backtrace() of a deep stack needs some */
    SLOT_HANDLER_SECONDS = 5,
};

void shm_slot_open(struct shm_slot *slot, const char *role)
{
    CHECK(strlen(role) < sizeof slot->role);
    shm_store_release(&slot->pid, 0);
    shm_store_own(&slot->signal, 0);
    shm_store_own(&slot->frame_count, 0);
    shm_store_own(&slot->words_size, 0);
    shm_store_own(&slot->state, 0);
    shm_store_own(&slot->position, 0);
    shm_store_own(&slot->since_ns, 0);
    shm_store_own(&slot->cpu_ns, 0);
    shm_slot_leave(slot);

    pid_t self = shm_process_self();
    slot->start_ticks = shm_process_start_ticks(self);
    slot->started_ns = shm_clock_ns();
    shm_slot_beat(slot, slot->started_ns);
    memset(slot->role, 0, sizeof slot->role);
    memcpy(slot->role, role, strlen(role));
    *shm_process_local() = slot;
    shm_store_release(&slot->pid, (uint64_t)self); /* [slot.opened] */
}

void shm_slot_close(struct shm_slot *slot)
{
    CHECK(shm_slot_own() == slot);
    *shm_process_local() = NULL;
}

struct shm_slot *shm_slot_own(void)
{
    return *shm_process_local();
}

/* ---- Last words ------------------------------------------------------------------------------ */

void shm_slot_say_pieces(struct shm_slot *slot, const char *const *pieces)
{
    if (!slot) slot = shm_slot_own();
    if (!slot) return;
    shm_store_release(&slot->words_size, 0);
    size_t used = 0;
    for (; *pieces; pieces++)
        for (const char *at = *pieces; *at && used < sizeof slot->words - 1; at++)
            slot->words[used++] = *at;
    slot->words[used] = 0;
    shm_store_release(&slot->words_size, used); /* [slot.words] */
}

void shm_slot_say(struct shm_slot *slot, const char *format, ...)
{
    char text[SHM_SLOT_WORDS_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    shm_slot_say_pieces(slot, (const char *const[]){text, NULL});
}

/* ---- Signals --------------------------------------------------------------------------------- */

static uint64_t slot_instruction(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return context->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

/* The frames from the broken function on: those of the handler itself tell nobody anything. */
static void slot_fill_frames(struct shm_slot *slot)
{
    void *frames[SHM_SLOT_FRAMES_MAX];
    int count = backtrace(frames, SHM_SLOT_FRAMES_MAX);
    int first = 0;
    for (int i = 0; i < count && first == 0; i++)
        if ((uint64_t)(uintptr_t)frames[i] == slot->instruction) first = i;
    for (int i = first; i < count; i++)
        slot->frames[i - first] = (uint64_t)(uintptr_t)frames[i];
    shm_store_release(&slot->frame_count, (uint64_t)(count - first)); /* [slot.frames] */
}

/* Volatile, since a handler reads what a loop was doing when it was broken off. */
static const volatile uint32_t *slot_watched;

const uint32_t *shm_slot_watch(const uint32_t *index)
{
    const uint32_t *before = (const uint32_t *)slot_watched;
    slot_watched = index;
    return before;
}

/* Only what is safe in a broken process: stores, and a backtrace whose library is loaded already.
 * If the backtrace faults, the signal is blocked and the kernel kills us; if it hangs, the alarm
 * does. By then the signal and the address are in the slot. */
static void slot_on_signal(int signal_number, siginfo_t *info, void *context)
{
    struct shm_slot *slot = shm_slot_own();
    signal(signal_number, SIG_DFL);
    if (slot && shm_load_own(&slot->signal) == 0) {
        slot->signal_code = (uint64_t)(int64_t)info->si_code;
        /* A signal that somebody sent has a sender in the place of the address. */
        slot->fault_address = info->si_code > 0 ? (uint64_t)(uintptr_t)info->si_addr : 0;
        slot->instruction = slot_instruction(context);
        shm_store_release(&slot->signal, (uint64_t)signal_number); /* [slot.signal] */
        signal(SIGALRM, SIG_DFL);
        alarm(SLOT_HANDLER_SECONDS);
        if (slot_watched)
            shm_store_own(&slot->position, shm_load_own(&slot->position) + *slot_watched);
        slot_fill_frames(slot);
        alarm(0);
    }
    raise(signal_number); /* is delivered when we return, where it happened */
}

int shm_slot_install_handlers(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

    /* The first call loads a library and allocates: not in the handler. */
    void *frame;
    backtrace(&frame, 1);

    /* A page without rights below the stack, since a handler may overflow it as well. */
    char *stack = mmap(NULL, SLOT_STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return -errno;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    CHECK(mprotect(stack, page, PROT_NONE) == 0);
    stack_t alternate = {.ss_sp = stack + page, .ss_size = SLOT_STACK_BYTES - page};
    CHECK(sigaltstack(&alternate, NULL) == 0);

    struct sigaction action = {.sa_sigaction = slot_on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        CHECK(sigaction(signals[i], &action, NULL) == 0);
    return 0;
}

/* ---- Readers --------------------------------------------------------------------------------- */

bool shm_slot_alive(const struct shm_slot *slot)
{
    uint64_t pid = shm_load_acquire(&slot->pid); /* pairs with [slot.opened] */
    if (pid == 0 || pid > INT32_MAX) return false;
    return slot->start_ticks != 0 && shm_process_start_ticks((pid_t)pid) == slot->start_ticks;
}

static void slot_report_frames(const struct shm_slot *slot, FILE *out)
{
    uint64_t count = shm_load_acquire(&slot->frame_count);        /* pairs with [slot.frames] */
    if (count > SHM_SLOT_FRAMES_MAX) count = SHM_SLOT_FRAMES_MAX; /* a stranger's number */
    for (uint64_t i = 0; i < count; i++) {
        uint64_t address = slot->frames[i];
        Dl_info info;
        fprintf(out, "    #%-2llu 0x%llx", (unsigned long long)i, (unsigned long long)address);
        if (!dladdr((const void *)(uintptr_t)address, &info) || !info.dli_fname) {
            fprintf(out, "\n");
            continue;
        }
        if (info.dli_sname)
            fprintf(out, " %s+0x%llx", info.dli_sname,
                    (unsigned long long)(address - (uint64_t)(uintptr_t)info.dli_saddr));
        fprintf(out, " (%s+0x%llx)\n", info.dli_fname,
                (unsigned long long)(address - (uint64_t)(uintptr_t)info.dli_fbase));
    }
}

void shm_slot_report(const struct shm_slot *slot, FILE *out)
{
    uint64_t pid = shm_load_acquire(&slot->pid); /* pairs with [slot.opened] */
    if (pid == 0) {
        fprintf(out, "never started\n");
        return;
    }
    fprintf(out, "%.*s, process %llu", SHM_SLOT_ROLE_BYTES, slot->role, (unsigned long long)pid);

    uint64_t number = shm_load_acquire(&slot->signal); /* pairs with [slot.signal] */
    if (number != 0) {
        const char *name = sigdescr_np((int)number);
        fprintf(out, ", died of signal %llu (%s)", (unsigned long long)number,
                name ? name : "unknown");
        if (slot->fault_address != 0 || (int64_t)slot->signal_code > 0)
            fprintf(out, " at address 0x%llx", (unsigned long long)slot->fault_address);
    } else {
        fprintf(out, ", %s", shm_slot_alive(slot) ? "alive" : "gone");
    }

    uint64_t operator_id = shm_counter_get(&slot->operator_id);
    uint64_t heartbeat_ns = shm_counter_get(&slot->heartbeat_ns);
    if (operator_id != SHM_SLOT_NO_OPERATOR) {
        uint64_t since_ns = shm_counter_get(&slot->since_ns);
        fprintf(out, ", in operator %llu at record %llu", (unsigned long long)operator_id,
                (unsigned long long)shm_counter_get(&slot->position));
        if (heartbeat_ns > since_ns)
            fprintf(out, " for %.3f ms", (double)(heartbeat_ns - since_ns) / 1e6);
    }
    fprintf(out, "\n");
    if (shm_load_acquire(&slot->words_size) > 0) /* pairs with [slot.words] */
        fprintf(out, "    %.*s\n", SHM_SLOT_WORDS_BYTES, slot->words);
    slot_report_frames(slot, out);
}
