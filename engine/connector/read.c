/* pen_read_lines, pen_read_csv, pen_read_json, pen_read_binary: files as a source.
 *
 * The plan lists the files and cuts the large ones into ranges; each is a split:
 *
 *     flights.csv   |-- header --|- lines -|- lines -|- lines -|
 *                   0                      ^ a range begins with a line
 *     splits        |======================|=========|=========|
 *
 * Compressed files, CSV with line ends in columns and binary files have no places to enter: one
 * split a file. A split is taken up where its `position` says, so a job that is restored goes on
 * there.
 *
 * Ranges are claimed in order, so that at any moment the subtasks read neighbouring parts of a
 * file.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/connector/files.h"
#include "engine/connector/reading.h"
#include "engine/flow/context.h"
#include "engine/job/graph.h"
#include "shm/check.h"

enum {
    /* A range costs an open and a look at the header, some 50 us; a megabyte of lines takes 10 ms.
     * Files are cut into many more ranges than there are subtasks, because these are not equally
     * fast. */
    READ_RANGE_BYTES_MIN = 1 << 20,
    READ_RANGE_BYTES_MAX = 64 << 20,
    READ_RANGES = 256, /* of one file, where the bounds allow */
};

struct read_split {
    pen_string name; /* the path and where the range begins: tells splits apart */
    pen_string path;
    int64_t from, to; /* bytes of the file; `to` INT64_MAX: all */
    int64_t position; /* the next line or record begins here */
    int64_t line;     /* its number in the file; 0: not known */
};
PEN_RECORD(read_split, name, path, from, to, position, line);

/* What the poll function is for: made when the graph is built, the same in all processes. */
struct read_program {
    const char *path;
    const struct pen_schema *out;
    struct eng_reading_options reading; /* without the layout, which the node has */
};

static struct eng_reading_options read_options(pen_context *ctx)
{
    const struct read_program *program = pen_user(ctx);
    struct eng_reading_options options = program->reading;

    options.layout = &ctx->node->outputs[0].layout;
    return options;
}

/* ---- Planning -------------------------------------------------------------------------------- */

static void read_add_split(pen_context *ctx, const char *path, int64_t from, int64_t to)
{
    pen_add_split(ctx, read_split, .name = pen_putf(ctx, "%s:%lld", path, (long long)from),
                  .path = pen_put(ctx, path), .from = from, .to = to, .position = from,
                  .line = from == 0);
}

static int64_t read_range_bytes(int64_t file_bytes)
{
    int64_t bytes = file_bytes / READ_RANGES;

    if (bytes < READ_RANGE_BYTES_MIN) bytes = READ_RANGE_BYTES_MIN;
    return bytes < READ_RANGE_BYTES_MAX ? bytes : READ_RANGE_BYTES_MAX;
}

/* Ranges that begin with a line. A line longer than a range makes a long range. */
static bool read_add_ranges(pen_context *ctx, const struct eng_files_one *file,
                            struct eng_reason *reason)
{
    int64_t range_bytes = read_range_bytes(file->size_bytes);
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        eng_reason_set(reason, "cannot open %s: %s", file->path, strerror(errno));
        return false;
    }
    for (int64_t from = 0, to; from < file->size_bytes; from = to) {
        to = INT64_MAX; /* the last one reads on if the file has grown by then */
        if (file->size_bytes - from >= 2 * range_bytes)
            to = eng_files_line_begin(fd, file->path, from + range_bytes, file->size_bytes, reason);
        if (to < 0) {
            close(fd);
            return false;
        }
        if (to >= file->size_bytes) to = INT64_MAX;
        read_add_split(ctx, file->path, from, to);
        if (to == INT64_MAX) break;
        CHECK(to > from);
    }
    close(fd);
    return true;
}

static bool read_is_cut(const struct read_program *program, const char *path)
{
    if (program->reading.format == PEN_BINARY) return false;
    if (program->reading.multiline || program->reading.follow) return false;
    return !eng_name_is_gzip(path);
}

static bool read_plan_file(pen_context *ctx, const struct eng_files_one *file,
                           struct eng_reason *reason)
{
    const struct read_program *program = pen_user(ctx);
    struct eng_reading_options options = read_options(ctx);

    if (eng_name_is_zstd(file->path)) {
        eng_reason_set(reason, "cannot read %s yet: .zst is not supported; .gz is", file->path);
        return false;
    }
    if (program->reading.follow && eng_name_is_gzip(file->path)) {
        eng_reason_set(reason, "cannot follow %s: a compressed file does not grow", file->path);
        return false;
    }
    if (eng_reading_check_file(&options, file->path, reason) < 0) return false;
    if (read_is_cut(program, file->path)) return read_add_ranges(ctx, file, reason);
    read_add_split(ctx, file->path, 0, INT64_MAX);
    return true;
}

static void read_plan(pen_context *ctx)
{
    const struct read_program *program = pen_user(ctx);
    struct eng_reason reason = {{0}};
    struct eng_files files;

    if (eng_files_open(&files, program->path, &reason) < 0) {
        pen_fail(ctx, "%s", reason.text);
        return;
    }
    if (program->reading.follow && files.is_directory) {
        pen_fail(ctx, "cannot follow the directory %s yet; a file can be followed", program->path);
        eng_files_close(&files);
        return;
    }
    for (uint32_t i = 0; i < files.count; i++) {
        if (read_plan_file(ctx, &files.files[i], &reason)) continue;
        pen_fail(ctx, "%s", reason.text);
        break;
    }
    eng_files_close(&files);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void read_open(pen_context *ctx)
{
    struct eng_reading *reading = pen_local(ctx, sizeof *reading);
    const struct read_split *split = pen_split(ctx, read_split);
    struct eng_reading_options options = read_options(ctx);
    struct eng_reading_place place = {split->position, split->to, split->line};
    struct eng_reason reason;

    if (eng_reading_open_file(reading, &options, pen_cstr(ctx, &split->path), &place, &reason) < 0)
        pen_fail(ctx, "%s", reason.text);
}

static int read_poll(pen_context *ctx, void *split_)
{
    struct eng_reading *reading = pen_local(ctx, sizeof *reading);
    struct read_split *split = split_;
    enum pen_poll result = eng_reading_poll(ctx, reading);

    split->position = eng_reading_position(reading);
    split->line = eng_reading_line_number(reading);
    return (int)result;
}

static void read_close(pen_context *ctx)
{
    eng_reading_close(pen_local(ctx, sizeof(struct eng_reading)));
}

/* ---- Standard input -------------------------------------------------------------------------- */

/* It cannot be rewound, and what was read of it is gone: the split says only that there is one. */
struct read_stdin_split {
    pen_string name;
};
PEN_RECORD(read_stdin_split, name);

static void read_stdin_plan(pen_context *ctx)
{
    pen_add_split(ctx, read_stdin_split, .name = pen_put(ctx, "standard input"));
}

static void read_stdin_open(pen_context *ctx)
{
    struct eng_reading *reading = pen_local(ctx, sizeof *reading);
    struct eng_reading_options options = read_options(ctx);
    struct eng_reason reason;

    if (eng_reading_open_descriptor(reading, &options, STDIN_FILENO, "standard input", &reason) < 0)
        pen_fail(ctx, "%s", reason.text);
}

/* An intake asks whether there is something before it reads, so nothing blocks here; the process is
 * one of its own all the same, because another program may read from the same pipe and be faster.
 */
static int read_stdin_poll(pen_context *ctx, void *split)
{
    (void)split;
    return (int)eng_reading_poll(ctx, pen_local(ctx, sizeof(struct eng_reading)));
}

static int read_stdin_wake_fd(pen_context *ctx)
{
    (void)ctx;
    return STDIN_FILENO;
}

/* ---- The graph ------------------------------------------------------------------------------- */

static const char *read_call(enum pen_format format)
{
    switch (format) {
    case PEN_CSV:
        return "pen_read_csv";
    case PEN_JSON:
        return "pen_read_json";
    case PEN_BINARY:
        return "pen_read_binary";
    }
    return "pen_read_lines";
}

static bool read_options_good(struct pen_graph *graph, const struct pen_read *read)
{
    const struct pen_origin *origin = &read->origin;
    const char *call = read_call(read->format);
    bool csv = read->format == PEN_CSV, good = true;

    if (!read->path || read->path[0] == '\0') {
        if (!read->path || !eng_graph_is_missing(graph, read->path))
            eng_graph_mistake(graph, origin, "%s: the path is %s", call,
                              read->path ? "empty" : "NULL");
        return false;
    }
    if ((unsigned)read->format > PEN_BINARY) {
        eng_graph_mistake(graph, origin, "pen_read: there is no format %d", (int)read->format);
        return false;
    }
    if (!read->out) {
        eng_graph_mistake(graph, origin, "%s: .out is missing", call);
        return false;
    }
    if (!csv && (read->no_header || read->multiline || read->separator)) {
        eng_graph_mistake(graph, origin,
                          "%s(%s): .no_header, .multiline and .separator are for CSV", call,
                          read->path);
        good = false;
    }
    if (read->format == ENG_FORMAT_LINES && !eng_schema_same(read->out, &pen_line_schema)) {
        eng_graph_mistake(graph, origin, "%s(%s): lines are records of pen_line, not of %s", call,
                          read->path, read->out->name);
        good = false;
    }
    if (eng_name_is_zstd(read->path)) {
        eng_graph_mistake(graph, origin,
                          "%s(%s): this version of Penstock cannot read .zst yet; .gz it can", call,
                          read->path);
        good = false;
    }
    return good;
}

static struct pen_function *read_function(struct pen_graph *graph, const struct pen_schema *split,
                                          const struct pen_read *read,
                                          int (*poll)(pen_context *, void *))
{
    struct pen_function *function = eng_graph_keep(graph, sizeof *function);

    *function = (struct pen_function){
        .abi = PEN_ABI,
        .size_bytes = sizeof *function,
        .kind = PEN_IS_SOURCE,
        .name = eng_graph_keep_text(graph, read->path),
        .state = split,
        .out = read->out,
        .poll = poll,
    };
    return function;
}

static pen_stream read_add_stdin(struct pen_graph *graph, const struct pen_read *read,
                                 const struct read_program *program,
                                 const struct pen_origin *origin)
{
    struct pen_source source = {
        .origin = *origin,
        .poll = read_function(graph, &read_stdin_split_schema, read, read_stdin_poll),
        .plan = read_stdin_plan,
        .wake_fd = read_stdin_wake_fd,
        .blocking = true,
        .no_rewind = true,
        .id = read->id,
        .parallelism = 1,
        .user = program,
        .open = read_stdin_open,
        .close = read_close,
        .group = read->group,
    };

    if (read->parallelism > 1)
        eng_graph_mistake(graph, &read->origin,
                          "%s(-): standard input is read by one subtask, not %u",
                          read_call(read->format), read->parallelism);
    return eng_graph_add_source(graph, &source, read_call(read->format));
}

pen_stream pen_add_read(pen_graph *graph, const struct pen_read *given)
{
    const struct pen_read *read = eng_graph_read(graph, "pen_read", given, sizeof *read);

    if (!read || !read_options_good(graph, read)) return eng_graph_bad_stream(graph);
    struct read_program *program = eng_graph_keep(graph, sizeof *program);
    *program = (struct read_program){
        .path = eng_graph_keep_text(graph, read->path),
        .out = read->out,
        .reading = {.format = read->format,
                    .separator = read->separator,
                    .multiline = read->multiline,
                    .no_header = read->no_header,
                    .follow = read->follow},
    };
    struct pen_origin origin = read->origin;
    origin.size_bytes = sizeof(struct pen_source);
    origin.name = program->path;
    if (strcmp(read->path, "-") == 0) {
        program->reading.follow = false; /* it is followed anyway, until whoever writes ends it */
        return read_add_stdin(graph, read, program, &origin);
    }
    struct pen_source source = {
        .origin = origin,
        .poll = read_function(graph, &read_split_schema, read, read_poll),
        .plan = read_plan,
        .id = read->id,
        .parallelism = read->parallelism,
        .user = program,
        .open = read_open,
        .close = read_close,
        .group = read->group,
    };
    return eng_graph_add_source(graph, &source, read_call(read->format));
}
