#include "engine/control/autopsy.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/control/figure.h"
#include "shm/clock.h"
#include "shm/counter.h"

enum {
    AUTOPSY_FRAMES_MAX = 32, /* that are printed */
    AUTOPSY_LINE_BYTES = 512,
    AUTOPSY_SECONDS = 10, /* that addr2line may take: debug information can be large */
};

/* ---- The sentence ---------------------------------------------------------------------------- */

static void autopsy_where(const struct eng_board *board, const struct shm_slot *slot,
                          struct eng_node *const *nodes, FILE *out)
{
    uint64_t operator_id = shm_counter_get(&slot->operator_id);

    if (operator_id >= board->counts.nodes) {
        fputs(", in no operator", out);
        return;
    }
    if (nodes)
        fprintf(out, ", in operator %s (%s:%u)", nodes[operator_id]->title,
                nodes[operator_id]->file ? nodes[operator_id]->file : "?",
                nodes[operator_id]->line);
    else
        fprintf(out, ", in operator %s", eng_board_node(board, (uint32_t)operator_id)->title);
    /* A caught signal left the very record, any other end the beginning of its batch. */
    fprintf(out,
            shm_counter_get(&slot->signal) ? ", at its record %llu"
                                           : ", in a batch that begins at its record %llu",
            (unsigned long long)shm_counter_get(&slot->position));
}

static void autopsy_signal(const struct shm_slot *slot, int signal_number, FILE *out)
{
    char text[ENG_FIGURE_BYTES];
    bool has_address = shm_counter_get(&slot->signal) == (uint64_t)signal_number &&
                       (int64_t)slot->signal_code > 0 && signal_number != SIGABRT;

    fprintf(out, " died of %s", eng_figure_signal(text, signal_number));
    if (has_address) fprintf(out, " at address 0x%llx", (unsigned long long)slot->fault_address);
}

void eng_autopsy_sentence(const struct eng_board *board, uint32_t worker,
                          const struct shm_ending *ending, struct eng_node *const *nodes, FILE *out)
{
    const struct eng_board_worker *place = eng_board_worker(board, worker);
    const struct shm_slot *slot = &place->slot;
    bool has_slot = shm_load_acquire(&slot->pid) != 0; /* pairs with [slot.opened] */

    if (shm_load_acquire(&place->state) == ENG_WORKER_FAILED && /* pairs with [worker.state] */
        place->failure[0]) {
        fprintf(out, "%.*s", ENG_BOARD_FAILURE_BYTES, place->failure);
        return;
    }
    fprintf(out, "worker %u", worker);
    if (ending->signal != 0)
        autopsy_signal(slot, ending->signal, out);
    else
        fprintf(out, " exited with status %d, though nobody told it to", ending->status);
    if (has_slot) autopsy_where(board, slot, nodes, out);
    if (has_slot && shm_load_acquire(&slot->words_size) > 0) /* pairs with [slot.words] */
        fprintf(out, ": %.*s", SHM_SLOT_WORDS_BYTES, slot->words);
    else if (ending->signal == SIGKILL)
        fputs(": somebody killed it, or the kernel did for lack of memory (see dmesg)", out);
    else if (ending->signal == 0)
        fputs(": the job must not call exit(); to give up it calls pen_fail", out);
}

/* ---- Addresses ------------------------------------------------------------------------------- */

struct autopsy_frame {
    const char *object;            /* NULL: unknown */
    const char *symbol;            /* NULL: none that is exported */
    uint64_t address;              /* in this process */
    uint64_t in_object;            /* as the object's own tables count */
    char line[AUTOPSY_LINE_BYTES]; /* by addr2line; "": it does not know */
};

/* A program that is not position independent counts addresses as they are, others from their base.
 */
static bool autopsy_is_absolute(const Dl_info *info)
{
    const ElfW(Ehdr) *header = info->dli_fbase;
    return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_type == ET_EXEC;
}

static void autopsy_locate(struct autopsy_frame *frame, uint64_t address, bool is_return)
{
    /* A return address may be that of the next function: the call is before it. */
    uint64_t at = is_return && address > 0 ? address - 1 : address;
    Dl_info info;

    *frame = (struct autopsy_frame){.address = address, .in_object = at};
    if (!dladdr((const void *)(uintptr_t)at, &info) || !info.dli_fname) return;
    frame->object = info.dli_fname;
    frame->symbol = info.dli_sname;
    if (!autopsy_is_absolute(&info)) frame->in_object = at - (uint64_t)(uintptr_t)info.dli_fbase;
}

/* ---- addr2line ------------------------------------------------------------------------------- */

/* Runs it with its output in a pipe. The pid, or -1: there is none, and then there are no lines. */
static pid_t autopsy_spawn(char *const *arguments, int *fd)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int ends[2];
    pid_t pid = -1;

    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawnattr_init(&attributes) == 0);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments, environ) != 0) pid = -1;
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    if (pid < 0)
        close(ends[0]);
    else
        *fd = ends[0];
    return pid;
}

/* All it says, until it ends or the time is over. */
static char *autopsy_read(int fd, pid_t pid)
{
    uint64_t deadline_ns = shm_clock_ns() + (uint64_t)AUTOPSY_SECONDS * 1000000000;
    char *text = NULL;
    size_t text_bytes = 0;
    FILE *out = open_memstream(&text, &text_bytes);

    CHECK(out != NULL);
    for (;;) {
        char bytes[4096];
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        uint64_t now_ns = shm_clock_ns();
        int left_ms = now_ns < deadline_ns ? (int)((deadline_ns - now_ns) / 1000000) + 1 : 0;
        if (poll(&wait, 1, left_ms) == 0) {
            kill(pid, SIGKILL);
            break;
        }
        ssize_t size = read(fd, bytes, sizeof bytes);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) break;
        fwrite(bytes, 1, (size_t)size, out);
    }
    CHECK(fclose(out) == 0);
    close(fd);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    return text;
}

/* " (discriminator 3)": of interest to compilers. */
static void autopsy_strip(char *line)
{
    char *behind = strstr(line, " (discriminator ");
    if (behind) *behind = 0;
}

/* One line for each address that was asked for, in order, then those of inlined callers. */
static void autopsy_take_lines(struct autopsy_frame *frames, uint32_t count, const char *object,
                               char *text)
{
    struct autopsy_frame *frame = NULL;
    uint32_t next = 0;
    char *rest;

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        static const char inlined[] = " (inlined by) ";
        autopsy_strip(line);
        if (strncmp(line, inlined, sizeof inlined - 1) == 0) {
            if (!frame) continue;
            size_t used = strlen(frame->line);
            snprintf(frame->line + used, sizeof frame->line - used, "\n        %s",
                     line + sizeof inlined - 1);
            continue;
        }
        while (next < count && (!frames[next].object || strcmp(frames[next].object, object) != 0))
            next++;
        if (next == count) return;
        frame = &frames[next++];
        if (strncmp(line, "?? ", 3) == 0) line[0] = 0;
        /* The name without the line is known: the line is not. */
        char *unknown = strstr(line, " at ??:");
        if (unknown) *unknown = 0;
        snprintf(frame->line, sizeof frame->line, "%s", line);
    }
}

static void autopsy_ask(struct autopsy_frame *frames, uint32_t count, uint32_t first)
{
    char addresses[AUTOPSY_FRAMES_MAX][24];
    char *arguments[AUTOPSY_FRAMES_MAX + 8];
    const char *object = frames[first].object;
    uint32_t used = 0;
    int fd = -1;

    arguments[used++] = (char *)(uintptr_t) "addr2line";
    arguments[used++] = (char *)(uintptr_t) "-fipCs";
    arguments[used++] = (char *)(uintptr_t) "-e";
    arguments[used++] = (char *)(uintptr_t)object;
    for (uint32_t i = first; i < count; i++) {
        if (!frames[i].object || strcmp(frames[i].object, object) != 0) continue;
        snprintf(addresses[i], sizeof addresses[i], "0x%llx",
                 (unsigned long long)frames[i].in_object);
        arguments[used++] = addresses[i];
    }
    arguments[used] = NULL;
    pid_t pid = autopsy_spawn(arguments, &fd);
    if (pid < 0) return;
    char *text = autopsy_read(fd, pid);
    autopsy_take_lines(frames + first, count - first, object, text);
    free(text);
}

bool eng_autopsy_backtrace(const struct shm_slot *slot, FILE *out)
{
    struct autopsy_frame frames[AUTOPSY_FRAMES_MAX];
    uint64_t known = shm_load_acquire(&slot->frame_count); /* pairs with [slot.frames] */
    uint32_t count = known < AUTOPSY_FRAMES_MAX ? (uint32_t)known : AUTOPSY_FRAMES_MAX;

    for (uint32_t i = 0; i < count; i++)
        autopsy_locate(&frames[i], slot->frames[i], i > 0);
    for (uint32_t i = 0; i < count; i++) {
        bool asked = !frames[i].object;
        for (uint32_t j = 0; j < i && !asked; j++)
            asked = frames[j].object && strcmp(frames[j].object, frames[i].object) == 0;
        if (!asked) autopsy_ask(frames, count, i);
    }
    for (uint32_t i = 0; i < count; i++) {
        /* From here on it is the way on which every worker comes to life. */
        if (strncmp(frames[i].line, "worker_main at ", 15) == 0) break;
        if (frames[i].line[0])
            fprintf(out, "    %s\n", frames[i].line);
        else if (frames[i].object)
            fprintf(out, "    %s (%s+0x%llx)\n", frames[i].symbol ? frames[i].symbol : "?",
                    frames[i].object, (unsigned long long)frames[i].in_object);
        else
            fprintf(out, "    0x%llx\n", (unsigned long long)frames[i].address);
    }
    return count > 0;
}
