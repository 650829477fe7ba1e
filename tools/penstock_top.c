/* `penstock top`: what a job is doing, from its shared memory. Needs nothing from the job's
 * processes, so it shows a job that hangs or is stopped, and what a dead one has left. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "engine/control/inspect.h"
#include "engine/control/options.h"
#include "engine/control/view.h"
#include "shm/clock.h"
#include "tools/penstock.h"

enum {
    TOP_ONCE_NS = 250 * 1000 * 1000, /* between the two looks that rates are made of */
    TOP_EVERY_MS = 1000,
    TOP_REASON_BYTES = 1024,
};

struct top {
    const char *job; /* NULL: the only one */
    bool once, json, help;
    struct eng_inspect inspect;
    struct eng_snapshot before, now;
    struct termios terminal; /* as it was */
    int signal_fd;
};

static const char top_usage[] =
    "usage: penstock top [JOB] [--once] [--json]\n\n"
    "JOB is a name or the pid of a supervisor; it may be left out when there is only one.\n\n"
    "  --once   print the tables once (default when standard output is no terminal)\n"
    "  --json   the same for programs\n\n"
    "Without --once the tables are refreshed each second until q or Ctrl-C.\n";

static bool top_read_options(struct top *top, int argc, char **argv)
{
    static const struct option known[] = {
        {"once", no_argument, NULL, 'o'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const char *const words[] = {"once", "json", "help", NULL};
    char guess[128];
    int code;

    optind = 0;
    opterr = 0;
    while ((code = getopt_long(argc, argv, "h", known, NULL)) >= 0) {
        switch (code) {
        case 'o':
            top->once = true;
            break;
        case 'j':
            top->json = top->once = true;
            break;
        case 'h':
            top->help = true;
            break;
        default:
            fprintf(stderr,
                    "penstock top: there is no option %s.%s `penstock top --help` lists all\n",
                    argv[optind - 1],
                    eng_options_guess(guess, sizeof guess, argv[optind - 1] + 2, "--", words));
            return false;
        }
    }
    if (optind < argc) top->job = argv[optind++];
    if (optind < argc) {
        fprintf(stderr, "penstock top: '%s' is one word too many: it looks at one job\n",
                argv[optind]);
        return false;
    }
    return true;
}

/* The later of the last two looks becomes the earlier one. */
static bool top_take(struct top *top)
{
    eng_inspect_drop(&top->before);
    top->before = top->now;
    top->now = (struct eng_snapshot){.board = NULL};
    int result = eng_inspect_take(&top->inspect, &top->now);
    if (result < 0)
        fprintf(stderr,
                "penstock top: the job's shared memory is damaged, or of another version: %s\n",
                strerror(-result));
    return result == 0;
}

static int top_once(struct top *top)
{
    if (!top_take(top)) return ENG_EXIT_FAILED;
    shm_clock_sleep_until(shm_clock_ns() + TOP_ONCE_NS);
    if (!top_take(top)) return ENG_EXIT_FAILED;
    if (top->json)
        eng_view_write_json(&top->before, &top->now, stdout);
    else
        eng_view_print(&top->before, &top->now, UINT32_MAX, stdout);
    if (fflush(stdout) == 0) return ENG_EXIT_OK;
    fprintf(stderr, "penstock top: cannot write: %s\n", strerror(errno));
    return ENG_EXIT_FAILED;
}

/* ---- On a terminal --------------------------------------------------------------------------- */

/* Keys one by one and unseen; Ctrl-C is a key, other signals come through a descriptor, so that the
 * terminal is always given back. */
static void top_take_terminal(struct top *top)
{
    struct termios raw;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    top->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    CHECK(top->signal_fd >= 0);
    if (tcgetattr(STDIN_FILENO, &top->terminal) == 0) {
        raw = top->terminal;
        raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    fputs("\033[?1049h\033[?25l", stdout); /* another screen, no cursor */
}

static void top_give_terminal_back(struct top *top)
{
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSANOW, &top->terminal);
    close(top->signal_fd);
}

/* As many lines as there are, cut where the terminal ends: nothing may wrap or scroll. */
static void top_draw(const struct top *top)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    char *text = NULL;
    size_t text_bytes = 0;
    FILE *out = open_memstream(&text, &text_bytes);
    unsigned row = 0;
    char *rest;

    CHECK(out != NULL);
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    eng_view_print(&top->before, &top->now, size.ws_row, out);
    CHECK(fclose(out) == 0);
    fputs("\033[H", stdout);
    for (char *line = text; line && row + 1 < size.ws_row; line = rest, row++) {
        rest = strchr(line, '\n');
        if (rest) *rest++ = 0;
        printf("%.*s\033[K\n", (int)size.ws_col, line);
    }
    fputs("\033[J\033[7m q: quit \033[0m", stdout);
    fflush(stdout);
    free(text);
}

/* True: somebody wants to leave. */
static bool top_wait(const struct top *top)
{
    uint64_t deadline_ns = shm_clock_ns() + TOP_EVERY_MS * 1000000ull;
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = top->signal_fd, .events = POLLIN}};

    for (;;) {
        uint64_t now_ns = shm_clock_ns();
        if (now_ns >= deadline_ns) return false;
        if (poll(fds, 2, (int)((deadline_ns - now_ns) / 1000000) + 1) <= 0) return false;
        if (fds[1].revents) return true;
        char key;
        if (read(STDIN_FILENO, &key, 1) != 1) return true; /* the terminal has gone */
        if (key == 'q' || key == 3 || key == 4 || key == 27) return true;
    }
}

static int top_watch(struct top *top)
{
    bool good = top_take(top);

    if (!good) return ENG_EXIT_FAILED;
    top_take_terminal(top);
    do {
        good = top_take(top);
        if (good) top_draw(top);
    } while (good && top->now.supervisor_alive && !top_wait(top));
    top_give_terminal_back(top);
    /* The last picture of a job that has ended stays on the screen that one comes back to. */
    if (good && !top->now.supervisor_alive)
        eng_view_print(&top->before, &top->now, UINT32_MAX, stdout);
    return good ? ENG_EXIT_OK : ENG_EXIT_FAILED;
}

int penstock_top(int argc, char **argv)
{
    struct top top = {.job = NULL};
    char reason[TOP_REASON_BYTES] = "";

    if (!top_read_options(&top, argc, argv)) return ENG_EXIT_USAGE;
    if (top.help) {
        fputs(top_usage, stdout);
        return ENG_EXIT_OK;
    }
    if (eng_inspect_open(&top.inspect, top.job, reason, sizeof reason) < 0) {
        fprintf(stderr, "penstock top: %s\n", reason);
        return ENG_EXIT_FAILED;
    }
    bool on_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    int status = top.once || !on_terminal ? top_once(&top) : top_watch(&top);
    eng_inspect_drop(&top.before);
    eng_inspect_drop(&top.now);
    eng_inspect_close(&top.inspect);
    return status;
}
