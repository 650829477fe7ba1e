/* journal_source: a source of our own that reads binary journals and can be rewound.
 *
 *   penstock run ./journal_source.so -- --dir /var/journal
 *
 * A source divides its input into splits. A split is a struct of ours: the engine hands it to the
 * worker that reads it, saves it at every cut, and gives it back as it was after a failure, perhaps
 * to another worker. So the position simply lives in the split and no callback saves anything.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <penstock.h>

struct event {
    pen_time at;
    int64_t user;
    int64_t amount;
};
PEN_RECORD(event, at, user, amount);

struct journal {
    pen_string path;
    int64_t position; /* bytes consumed */
};
PEN_RECORD(journal, path, position);

/* One split a file, before anything runs. */
static void list_journals(pen_context *ctx)
{
    const char *dir = pen_user(ctx);
    DIR *files = opendir(dir);

    if (!files) {
        pen_fail(ctx, "cannot list %s: %s", dir, strerror(errno));
        return;
    }
    for (struct dirent *file; (file = readdir(files)) != NULL;)
        if (file->d_name[0] != '.')
            pen_add_split(ctx, journal, .path = pen_putf(ctx, "%s/%s", dir, file->d_name));
    closedir(files);
}

/* Memory of the split while it is read: neither saved nor restored. */
struct reader {
    int fd;
    struct event events[512];
};

static void open_journal(pen_context *ctx)
{
    struct reader *reader = pen_local(ctx, sizeof *reader);
    const char *path = pen_cstr(ctx, &pen_split(ctx, journal)->path);

    reader->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0) pen_fail(ctx, "cannot open %s: %s", path, strerror(errno));
}

static enum pen_poll read_journal(pen_context *ctx, struct journal *journal)
{
    struct reader *reader = pen_local(ctx, sizeof *reader);
    ssize_t bytes = pread(reader->fd, reader->events, sizeof reader->events, journal->position);

    if (bytes < 0) {
        pen_fail(ctx, "cannot read: %s", strerror(errno));
        return PEN_END;
    }
    size_t count = (size_t)bytes / sizeof(struct event);
    for (size_t i = 0; i < count; i++)
        pen_send(ctx, event, &reader->events[i]);
    journal->position += (int64_t)(count * sizeof(struct event));
    return count > 0 ? PEN_MORE : PEN_END;
}
PEN_SOURCE(read_journal, journal, event);

static void close_journal(pen_context *ctx)
{
    struct reader *reader = pen_local(ctx, sizeof *reader);

    if (reader->fd >= 0) close(reader->fd);
}

void pen_job(pen_graph *graph)
{
    const char *dir = pen_arg_text(graph, "dir", "/var/journal", "directory of journals");

    pen_stream events = pen_source(graph, read_journal, .id = "journals", .plan = list_journals,
                                   .open = open_journal, .close = close_journal, .user = dir);
    pen_print(events);
}
