#include "engine/control/progress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/control/figure.h"
#include "shm/clock.h"

enum { PROGRESS_NS = 250 * 1000 * 1000 };

void eng_progress_open(struct eng_progress *progress, FILE *out, bool quiet)
{
    *progress = (struct eng_progress){0};
    if (!quiet && isatty(fileno(out))) progress->out = out;
}

uint64_t eng_progress_due_ns(const struct eng_progress *progress)
{
    return progress->out ? progress->shown_ns + PROGRESS_NS : SHM_CLOCK_NEVER;
}

void eng_progress_print(FILE *out, const struct eng_board *board,
                        const struct eng_tally_job *before, const struct eng_tally_job *now,
                        uint64_t passed_ns)
{
    char text[ENG_FIGURE_BYTES];
    uint64_t blocked_ns = now->blocked_ns - before->blocked_ns;
    uint64_t all_ns = now->busy_ns - before->busy_ns + blocked_ns + now->idle_ns - before->idle_ns;
    double seconds = (double)passed_ns / 1e9;

    fprintf(out, "%s  %s records", board->job, eng_figure_count(text, now->records));
    if (passed_ns > 0)
        fprintf(out, "  %s",
                eng_figure_rate(text, (double)(now->records - before->records) / seconds));
    if (eng_tally_is_time(now->watermark_us))
        fprintf(out, "  event time %s", eng_figure_time(text, now->watermark_us));
    fprintf(out, "  blocked %.0f %%", all_ns ? 100.0 * (double)blocked_ns / (double)all_ns : 0.0);
    if (board->input_bytes > 0) {
        double part = (double)now->bytes_in / (double)board->input_bytes;
        fprintf(out, "  read %.0f %%", 100.0 * (part > 1 ? 1 : part));
    } else if (now->bytes_in > 0) {
        fprintf(out, "  read %s", eng_figure_bytes(text, now->bytes_in));
    }
    if (now->rejected > 0) fprintf(out, "  %s rejected", eng_figure_count(text, now->rejected));
}

/* A line that is wider than the terminal would not be rewritten but repeated. */
static int progress_columns(FILE *out)
{
    struct winsize size;

    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 1) return size.ws_col - 1;
    return 79;
}

void eng_progress_step(struct eng_progress *progress, const struct eng_board *board,
                       uint64_t now_ns)
{
    if (!progress->out) return;
    if (progress->shown_ns != 0 && now_ns - progress->shown_ns < PROGRESS_NS) return;

    struct eng_tally_job now = eng_tally_job(board);
    uint64_t passed_ns = progress->shown_ns ? now_ns - progress->shown_ns : 0;
    if (progress->shown_ns != 0) { /* the first look only begins */
        char *text = NULL;
        size_t text_bytes = 0;
        FILE *line = open_memstream(&text, &text_bytes);
        CHECK(line != NULL);
        eng_progress_print(line, board, &progress->shown, &now, passed_ns);
        CHECK(fclose(line) == 0);
        fprintf(progress->out, "\r%.*s\033[K", progress_columns(progress->out), text);
        fflush(progress->out);
        free(text);
        progress->is_shown = true;
    }
    progress->shown = now;
    progress->shown_ns = now_ns;
}

void eng_progress_clear(struct eng_progress *progress)
{
    if (!progress->is_shown) return;
    fputs("\r\033[K", progress->out);
    fflush(progress->out);
    progress->is_shown = false;
}
