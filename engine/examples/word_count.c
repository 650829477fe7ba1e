/* word_count: how often has each word been seen?
 *
 *   penstock run ./word_count.so -- --input book.txt
 *
 * Words with the same text meet on one worker, whichever read them, and are counted there. The
 * counts are an updating stream: +I is a word's first count, -U takes a count back, +U is the one
 * that takes its place.
 *
 * What lies between source and sink is a function of streams, so that word_count_test.c can test
 * it.
 */
#include <penstock.h>

struct word {
    pen_string text;
};
PEN_RECORD(word, text);

struct tally {
    pen_string text;
    int64_t count;
};
PEN_RECORD(tally, text, count);

static void split(pen_context *ctx, const struct pen_line *line)
{
    pen_view rest = pen_view_of(&line->text);
    pen_view text;

    while (pen_view_word(&rest, " \t", &text))
        pen_emit(ctx, word, .text = pen_put(ctx, text));
}
PEN_MAP(split, pen_line, word);

static pen_stream count_words(pen_stream lines)
{
    pen_stream words = pen_map(lines, split);

    return pen_aggregate(pen_key_by(words, "text"), tally, .id = "tallies",
                         .aggregates = PEN_AGGREGATES(pen_count("count")));
}

void pen_job(pen_graph *graph)
{
    const char *input = pen_arg_text(graph, "input", "-", "file to read; - is standard input");

    pen_print(count_words(pen_read_lines(graph, input)));
}
