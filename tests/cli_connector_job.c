/* The job of the cli_connector_ tests: records from anywhere to anywhere, as the arguments say.
 *
 *   --read PATH     what pen_read_... takes, or host:port
 *   --from FORMAT   lines, csv, json, binary, tcp (lines), tcp-csv
 *   --type TYPE     flight, note; lines are pen_line
 *   --write PATH    what pen_write_... takes, or host:port; without one they are printed
 *   --to FORMAT     csv, json, binary, tcp, nowhere
 *   --count         records by their first letter instead: an updating stream
 */
#include <penstock.h>

#include <string.h>

#include "engine/examples/flight.h"

struct note {
    int64_t number;
    pen_string text;
    pen_opt_string remark;
    pen_opt_double share;
};
PEN_RECORD(note, number, text, remark, share);

struct tally {
    pen_code letter;
    int64_t count;
};
PEN_RECORD(tally, letter, count);

struct lettered {
    pen_code letter;
};
PEN_RECORD(lettered, letter);

static void letter_of(pen_context *ctx, const struct pen_line *line)
{
    struct lettered out = {.letter = {{'-'}}};
    pen_view text = pen_view_of(&line->text);

    if (text.size_bytes > 0) out.letter.text[0] = text.data[0];
    pen_send(ctx, lettered, &out);
}
PEN_MAP(letter_of, pen_line, lettered);

struct wish {
    const char *read, *from, *type, *write, *to, *row_column;
    bool multiline, no_header, reconnect;
    char separator;
    pen_duration roll_every;
    int64_t roll_bytes;
};

static bool is(const char *word, const char *other)
{
    return strcmp(word, other) == 0;
}

static pen_stream add_read(pen_graph *graph, const struct wish *wish)
{
    bool notes = is(wish->type, "note");

    if (is(wish->from, "tcp")) return pen_read_tcp(graph, wish->read, .reconnect = wish->reconnect);
    if (is(wish->from, "tcp-csv"))
        return pen_read_tcp(graph, wish->read, .format = PEN_CSV, .out = &note_schema);
    if (is(wish->from, "json"))
        return notes ? pen_read_json(graph, note, wish->read)
                     : pen_read_json(graph, flight, wish->read);
    if (is(wish->from, "binary"))
        return notes ? pen_read_binary(graph, note, wish->read)
                     : pen_read_binary(graph, flight, wish->read);
    if (is(wish->from, "lines")) return pen_read_lines(graph, wish->read);
    return notes ? pen_read_csv(graph, note, wish->read, .multiline = wish->multiline,
                                .no_header = wish->no_header, .separator = wish->separator)
                 : pen_read_csv(graph, flight, wish->read, .multiline = wish->multiline,
                                .no_header = wish->no_header, .separator = wish->separator);
}

static void add_write(pen_stream stream, const struct wish *wish)
{
    if (is(wish->to, "nowhere"))
        pen_discard(stream);
    else if (is(wish->to, "tcp"))
        pen_write_tcp(stream, wish->write, .format = PEN_CSV, .reconnect = wish->reconnect);
    else if (wish->write[0] == '\0')
        pen_print(stream);
    else if (is(wish->to, "json"))
        pen_write_json(stream, wish->write, .row_column = wish->row_column,
                       .roll_every = wish->roll_every, .roll_bytes = wish->roll_bytes);
    else if (is(wish->to, "binary"))
        pen_write_binary(stream, wish->write, .roll_every = wish->roll_every,
                         .roll_bytes = wish->roll_bytes);
    else
        pen_write_csv(stream, wish->write, .row_column = wish->row_column,
                      .roll_every = wish->roll_every, .roll_bytes = wish->roll_bytes);
}

void pen_job(pen_graph *graph)
{
    struct wish wish = {
        .read = pen_arg_text(graph, "read", "-", "path or address"),
        .from = pen_arg_text(graph, "from", "csv", "format"),
        .type = pen_arg_text(graph, "type", "flight", "flight, note"),
        .write = pen_arg_text(graph, "write", "", "path or address"),
        .to = pen_arg_text(graph, "to", "csv", "format"),
        .multiline = pen_arg_flag(graph, "multiline", "CSV: columns with line ends"),
        .no_header = pen_arg_flag(graph, "no-header", "CSV: no names"),
        .reconnect = pen_arg_flag(graph, "reconnect", "TCP"),
        .separator = pen_arg_text(graph, "separator", "", "CSV")[0],
        .row_column = pen_arg_text(graph, "row-column", "", "column of the row kind"),
        .roll_every = pen_arg_duration(graph, "roll-every", 0, "a new file"),
        .roll_bytes = pen_arg_int(graph, "roll-bytes", 0, "a new file"),
    };

    if (wish.row_column[0] == '\0') wish.row_column = NULL;
    pen_stream stream = add_read(graph, &wish);
    if (pen_arg_flag(graph, "count", "an updating stream"))
        stream = pen_aggregate(pen_key_by(pen_map(stream, letter_of), "letter"), tally,
                               .id = "tallies", .aggregates = PEN_AGGREGATES(pen_count("count")));
    add_write(stream, &wish);
}
