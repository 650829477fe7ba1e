/* pen_write_csv, pen_write_json, pen_write_binary: files as a sink.
 *
 *     path            what is written
 *     out             a directory, made if need be: part-SUBTASK-NUMBER.csv, one after the other.
 *                     A part that is there already is an earlier run's: the job fails
 *     out.csv         one file, by one subtask; it takes the place of an earlier one, whole. The
 *                     endings .csv, .json, .jsonl, .ndjson and .bin say so, unless a directory has
 *                     that name
 *     -               standard output, by one subtask, in a process that may block
 *
 * A file is hidden until it is whole. A new one is begun when it is large or old enough, which is
 * looked at when a record comes; a subtask that gets none makes no file. When the job fails, what
 * was not shown is gone.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/connector/encoding.h"
#include "engine/connector/intake.h"
#include "engine/connector/outfile.h"
#include "engine/connector/standard_output.h"
#include "engine/flow/context.h"
#include "engine/job/graph.h"
#include "shm/check.h"

#define WRITE_PART "part-"

enum {
    WRITE_ROLL_EVERY_US = 60 * 1000000,
    WRITE_ROLL_BYTES = 1 << 30,
    WRITE_RECORDS_TO_CLOCK = 64, /* how many records share a look at the age */
};

struct write_program {
    enum pen_format format;
    const char *path, *row_column;
    bool single;           /* the path is the file */
    const char *directory; /* where files go */
    const char *name;      /* single: of the file */
    pen_duration roll_every;
    int64_t roll_bytes;
};

struct write_local {
    struct eng_encoding encoding;
    struct eng_outfile file;
    struct pen_time opened_at;
    uint32_t number; /* of the next file */
};

/* ---- Opening --------------------------------------------------------------------------------- */

static bool write_open_encoding(pen_context *ctx, struct eng_encoding *encoding)
{
    const struct write_program *program = pen_user(ctx);
    struct eng_reason reason;

    if (eng_encoding_open(encoding, program->format, ctx->node->ports[0].layout,
                          program->row_column, NULL, &reason) == 0)
        return true;
    pen_fail(ctx, "%s", reason.text);
    return false;
}

static const char *write_name(pen_context *ctx, uint32_t number)
{
    const struct write_program *program = pen_user(ctx);

    if (program->single) return program->name;
    return pen_format(ctx, WRITE_PART "%u-%u%s", pen_subtask(ctx), number,
                      eng_format_extension(program->format));
}

/* Parts that are there already are of an earlier run: subtasks open before any of them writes. New
 * ones beside them would pass for one result. */
static bool write_directory_is_fresh(pen_context *ctx)
{
    const struct write_program *program = pen_user(ctx);
    DIR *directory = opendir(program->directory);
    struct dirent *entry;

    if (!directory) {
        pen_fail(ctx, "cannot list %s: %s", program->directory, strerror(errno));
        return false;
    }
    while ((entry = readdir(directory)) != NULL)
        if (strncmp(entry->d_name, WRITE_PART, sizeof WRITE_PART - 1) == 0) break;
    if (entry)
        pen_fail(ctx,
                 "%s/%s is there already, the result of an earlier run; remove the directory or "
                 "write elsewhere",
                 program->directory, entry->d_name);
    closedir(directory);
    return entry == NULL;
}

static bool write_make_directory(pen_context *ctx)
{
    const struct write_program *program = pen_user(ctx);

    if (mkdir(program->directory, 0777) == 0 || errno == EEXIST) return true;
    int error = errno;
    pen_fail(ctx, "cannot make the directory %s: %s%s", program->directory, strerror(error),
             error == ENOENT ? "; make the one it lies in first" : "");
    return false;
}

static bool write_open_file(pen_context *ctx, struct write_local *local)
{
    const struct write_program *program = pen_user(ctx);
    struct eng_reason reason;

    if (eng_outfile_open(&local->file, program->directory, write_name(ctx, local->number),
                         pen_run(ctx), program->single, &reason) < 0) {
        pen_fail(ctx, "%s", reason.text);
        return false;
    }
    local->number++;
    local->opened_at = pen_clock(ctx);
    eng_encoding_head(&local->encoding, &local->file.buffer);
    return true;
}

static void write_open(pen_context *ctx)
{
    const struct write_program *program = pen_user(ctx);
    struct write_local *local = pen_local(ctx, sizeof *local);

    if (!write_open_encoding(ctx, &local->encoding)) return;
    if (program->single) {
        write_open_file(ctx, local); /* even a stream of nothing makes the file */
        return;
    }
    if (write_make_directory(ctx)) write_directory_is_fresh(ctx);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void write_show_file(pen_context *ctx, struct write_local *local)
{
    struct eng_reason reason;

    if (!eng_outfile_is_open(&local->file)) return;
    if (eng_outfile_show(&local->file, &reason) == 0) return;
    pen_fail(ctx, "%s", reason.text);
    eng_outfile_discard(&local->file);
}

static bool write_is_due(pen_context *ctx, const struct write_local *local)
{
    const struct write_program *program = pen_user(ctx);

    if (program->single) return false;
    if (local->file.size_bytes >= program->roll_bytes) return true;
    return pen_time_since(pen_clock(ctx), local->opened_at) >= program->roll_every;
}

static bool write_record(pen_context *ctx, struct write_local *local, const void *record)
{
    struct eng_reason reason;

    if (!eng_outfile_is_open(&local->file) && !write_open_file(ctx, local)) return false;
    if (!eng_encoding_put(&local->encoding, record, pen_row(ctx), &local->file.buffer)) {
        pen_reject(ctx, "a record of more than %u bytes", ENG_RECORD_BYTES_MAX);
        return true;
    }
    if (eng_outfile_written(&local->file, &reason) == 0) return true;
    pen_fail(ctx, "%s", reason.text);
    eng_outfile_discard(&local->file);
    return false;
}

static void write_loop(pen_context *ctx, const struct pen_batch *batch)
{
    struct write_local *local = pen_local(ctx, sizeof *local);
    uint32_t i = 0;

    for (*batch->current = 0; i < batch->count; *batch->current = ++i) {
        if (i % WRITE_RECORDS_TO_CLOCK == 0 && eng_outfile_is_open(&local->file) &&
            write_is_due(ctx, local))
            write_show_file(ctx, local);
        if (eng_context_has_failed(ctx) || !write_record(ctx, local, batch->records[i])) return;
    }
}

static void write_flush(pen_context *ctx)
{
    write_show_file(ctx, pen_local(ctx, sizeof(struct write_local)));
}

static void write_close(pen_context *ctx)
{
    struct write_local *local = pen_local(ctx, sizeof *local);

    eng_outfile_discard(&local->file);
    eng_encoding_close(&local->encoding);
}

/* ---- Standard output ------------------------------------------------------------------------- */

static void write_stdout_open(pen_context *ctx)
{
    struct eng_standard_output *output = pen_local(ctx, sizeof *output);

    eng_standard_output_open(output);
    if (!write_open_encoding(ctx, &output->encoding)) return;
    eng_encoding_head(&output->encoding, &output->out);
    eng_standard_output_flush(ctx, output);
}

/* ---- The graph ------------------------------------------------------------------------------- */

static const char *write_call(enum pen_format format)
{
    return format == PEN_CSV    ? "pen_write_csv"
           : format == PEN_JSON ? "pen_write_json"
                                : "pen_write_binary";
}

static bool write_options_good(struct pen_graph *graph, const struct pen_write *write)
{
    const struct pen_origin *origin = &write->origin;
    const char *call = write_call(write->format);
    uint32_t mistakes = eng_graph_mistakes(graph);

    if (!write->path || write->path[0] == '\0') {
        if (!write->path || !eng_graph_is_missing(graph, write->path))
            eng_graph_mistake(graph, origin, "%s: the path is %s", call,
                              write->path ? "empty" : "NULL");
        return false;
    }
    if (write->format < PEN_CSV || write->format > PEN_BINARY) {
        eng_graph_mistake(graph, origin, "pen_write(%s): there is no format %d", write->path,
                          (int)write->format);
        return false;
    }
    if (write->upsert_key && write->upsert_key[0])
        eng_graph_mistake(graph, origin,
                          "%s(%s): this version of Penstock cannot do that yet: .upsert_key", call,
                          write->path);
    if (write->row_column && write->format == PEN_BINARY)
        eng_graph_mistake(
            graph, origin,
            "%s(%s): .row_column is for CSV and JSON; a binary file has the fields of "
            "its records only",
            call, write->path);
    if (write->row_column && write->row_column[0] == '\0')
        eng_graph_mistake(graph, origin, "%s(%s): .row_column is an empty name", call, write->path);
    if (write->roll_every < 0 || write->roll_bytes < 0)
        eng_graph_mistake(graph, origin, "%s(%s): .roll_every or .roll_bytes is negative", call,
                          write->path);
    if ((eng_name_is_gzip(write->path) || eng_name_is_zstd(write->path)))
        eng_graph_mistake(graph, origin,
                          "%s(%s): this version of Penstock cannot write compressed files yet",
                          call, write->path);
    return eng_graph_mistakes(graph) == mistakes;
}

/* Whether the path names a file rather than a directory. */
static bool write_is_single(const char *path)
{
    static const char *const endings[] = {".csv", ".json", ".jsonl", ".ndjson", ".bin"};
    struct stat about;
    size_t path_bytes = strlen(path);

    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode)) return false;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t bytes = strlen(endings[i]);
        if (path_bytes > bytes && strcmp(path + path_bytes - bytes, endings[i]) == 0) return true;
    }
    return false;
}

static struct write_program *write_program(struct pen_graph *graph, const struct pen_write *write)
{
    struct write_program *program = eng_graph_keep(graph, sizeof *program);

    *program = (struct write_program){
        .format = write->format,
        .path = eng_graph_keep_text(graph, write->path),
        .row_column = eng_graph_keep_text(graph, write->row_column),
        .single = write_is_single(write->path),
        .roll_every = write->roll_every ? write->roll_every : WRITE_ROLL_EVERY_US,
        .roll_bytes = write->roll_bytes ? write->roll_bytes : WRITE_ROLL_BYTES,
    };
    program->directory = program->path;
    if (!program->single) return program;
    const char *slash = strrchr(program->path, '/');
    program->name = slash ? slash + 1 : program->path;
    program->directory = ".";
    if (slash) {
        char *directory = eng_graph_keep(graph, (size_t)(slash - program->path) + 2);
        memcpy(directory, program->path, (size_t)(slash - program->path) + 1);
        if (slash > program->path) directory[slash - program->path] = '\0';
        program->directory = directory;
    }
    return program;
}

/* Rows without their kind would be read as so many results. */
static bool write_rows_good(pen_stream stream, const struct pen_write *write)
{
    if (write->row_column || !eng_graph_stream_kind(stream).updating) return true;
    eng_graph_mistake(stream.graph, &write->origin,
                      "%s(%s): the stream is an updating one (rows +I -U +U -D): %s",
                      write_call(write->format), write->path,
                      write->format == PEN_BINARY
                          ? "write CSV or JSON, with a .row_column for the kind of a row"
                          : "name a column for the kind of a row, .row_column = \"op\"");
    return false;
}

static bool write_single_good(struct pen_graph *graph, const struct pen_write *write,
                              const struct write_program *program, const struct eng_layout *layout)
{
    const char *call = write_call(write->format);
    uint32_t mistakes = eng_graph_mistakes(graph);
    bool one = program->single || strcmp(write->path, "-") == 0;

    if (one && write->parallelism > 1)
        eng_graph_mistake(graph, &write->origin,
                          "%s(%s): one file is written by one subtask, not %u; name a directory, "
                          "without an ending like .csv",
                          call, write->path, write->parallelism);
    if (one && (write->roll_every || write->roll_bytes))
        eng_graph_mistake(graph, &write->origin,
                          "%s(%s): .roll_every and .roll_bytes are for a directory of files; name "
                          "one, without an ending like .csv",
                          call, write->path);
    if (write->format == PEN_BINARY && strcmp(write->path, "-") == 0)
        eng_graph_mistake(graph, &write->origin, "%s(-): binary records go to files", call);
    if (write->row_column && layout && eng_layout_find(layout, write->row_column))
        eng_graph_mistake(graph, &write->origin,
                          "%s(%s): .row_column is \"%s\", which is a field of %s", call,
                          write->path, write->row_column, layout->schema->name);
    return eng_graph_mistakes(graph) == mistakes;
}

static const struct pen_function *
write_function(struct pen_graph *graph, const struct eng_layout *layout, const char *name,
               void (*loop)(pen_context *, const struct pen_batch *))
{
    struct pen_function *function = eng_graph_keep(graph, sizeof *function);

    *function = (struct pen_function){
        .abi = PEN_ABI,
        .size_bytes = sizeof *function,
        .kind = PEN_IS_SINK,
        .name = name,
        .in = layout->schema,
        .loop = loop,
    };
    return function;
}

void pen_add_write(pen_stream stream, const struct pen_write *given)
{
    struct pen_graph *graph = stream.graph;
    const struct pen_write *write = eng_graph_read(graph, "pen_write", given, sizeof *write);

    if (!write || !write_options_good(graph, write)) return;
    struct write_program *program = write_program(graph, write);
    const struct eng_layout *layout = eng_graph_stream_layout(stream);
    if (!write_single_good(graph, write, program, layout) || !layout) return;
    if (!write_rows_good(stream, write)) return;

    bool to_stdout = strcmp(write->path, "-") == 0;
    struct pen_sink sink = {
        .origin = write->origin,
        .write = write_function(graph, layout, program->path,
                                to_stdout ? eng_standard_output_loop : write_loop),
        .flush = to_stdout ? NULL : write_flush,
        .blocking = to_stdout,
        .takes_updates = write->row_column != NULL,
        .id = write->id,
        .parallelism = to_stdout || program->single ? 1 : write->parallelism,
        .user = program,
        .open = to_stdout ? write_stdout_open : write_open,
        .close = to_stdout ? eng_standard_output_close : write_close,
        .group = write->group,
    };
    sink.origin.size_bytes = sizeof sink;
    sink.origin.name = program->path;
    eng_graph_add_sink(stream, &sink, write_call(write->format));
}
