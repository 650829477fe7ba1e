/* Lines of files: which they are, where each begins, and that a reader may stop anywhere and go on.
 * Method: files of random lines, of all lengths around the sizes of buffers, with every kind of
 * end, are read whole, by ranges, and from every position; the lines are compared with those
 * written. */
#include "engine/connector/lines.h"

#include <CUnit/Basic.h>

#include "engine/connector/files.h"
#include "tests/connector_scratch.h"

struct model { /* a text and the lines that are in it */
    char *text;
    size_t bytes;
    struct {
        size_t begin, bytes, with_end;
    } * lines;
    unsigned count;
};

static void model_line(struct model *model, const char *end, size_t bytes, uint64_t *random)
{
    model->text = realloc(model->text, model->bytes + bytes + 3);
    model->lines = realloc(model->lines, (model->count + 1) * sizeof *model->lines);
    CHECK(model->text != NULL);
    CHECK(model->lines != NULL);
    model->lines[model->count].begin = model->bytes;
    model->lines[model->count].bytes = bytes;
    model->lines[model->count++].with_end = bytes + strlen(end);
    for (size_t i = 0; i < bytes; i++)
        model->text[model->bytes++] = (char)('a' + scratch_random(random) % 26);
    memcpy(model->text + model->bytes, end, strlen(end));
    model->bytes += strlen(end);
}

static struct model model_make(unsigned count, size_t bytes_max, bool last_has_end, uint64_t seed)
{
    struct model model = {0};

    for (unsigned i = 0; i < count; i++) {
        size_t bytes = scratch_random(&seed) % (bytes_max + 1);
        bool bare = i + 1 == count && !last_has_end;
        const char *end = bare ? "" : scratch_random(&seed) % 2 ? "\n" : "\r\n";
        model_line(&model, end, bytes + bare, &seed);
    }
    return model;
}

static void model_free(struct model *model)
{
    free(model->text);
    free(model->lines);
}

/* The next line, however many calls that takes. */
static enum eng_lines_next next_line(struct eng_lines *lines, pen_view *line)
{
    struct eng_reason reason = {{0}};
    enum eng_lines_next next;

    do
        next = eng_lines_next(lines, line, &reason);
    while (next == ENG_LINES_MORE);
    if (next == ENG_LINES_FAILED) fprintf(stderr, "%s\n", reason.text);
    return next;
}

/* Reads [from, to) and compares with the model's lines from `index` on. Returns how many there
 * were. */
static unsigned read_range(const struct model *model, const char *path, int64_t from, int64_t to,
                           unsigned index)
{
    struct eng_lines_options options = {.end_offset = to, .line_number = from == 0};
    struct eng_intake intake;
    struct eng_lines lines;
    struct eng_reason reason;
    pen_view line;
    unsigned count = 0;

    CU_ASSERT_EQUAL_FATAL(eng_intake_open_file(&intake, path, from, &reason), 0);
    eng_lines_open(&lines, &intake, &options);
    while (next_line(&lines, &line) == ENG_LINES_ONE) {
        unsigned i = index + count++;
        CU_ASSERT_FATAL(i < model->count);
        CU_ASSERT_EQUAL(line.size_bytes, model->lines[i].bytes);
        CU_ASSERT(memcmp(line.data, model->text + model->lines[i].begin, line.size_bytes) == 0);
        CU_ASSERT_EQUAL(lines.offset, (int64_t)model->lines[i].begin);
        CU_ASSERT_EQUAL(lines.position,
                        (int64_t)(model->lines[i].begin + model->lines[i].with_end));
        CU_ASSERT_EQUAL(lines.number, from == 0 ? (int64_t)i + 1 : 0);
    }
    eng_intake_close(&intake);
    return count;
}

static void check_whole(const struct model *model, const char *path)
{
    CU_ASSERT_EQUAL(read_range(model, path, 0, INT64_MAX, 0), model->count);
}

static void lines_are_those_that_were_written(void)
{
    static const size_t longest[] = {0, 1, 7, 80, 5000, 300000, 700000};

    for (unsigned i = 0; i < sizeof longest / sizeof longest[0]; i++)
        for (unsigned end = 0; end < 2; end++) {
            struct model model = model_make(longest[i] > 10000 ? 30 : 3000, longest[i], end, i);
            const char *path = scratch_write_bytes("lines", model.text, model.bytes);
            check_whole(&model, path);
            unlink(scratch_name("lines.gz"));
            check_whole(&model, scratch_gzip("lines.gz", model.text, model.bytes));
            model_free(&model);
        }
}

static void a_reader_that_starts_where_another_stopped_gets_exactly_the_rest(void)
{
    struct model model = model_make(400, 3000, false, 3);
    const char *path = scratch_write_bytes("rest", model.text, model.bytes);
    const char *packed = scratch_gzip("rest.gz", model.text, model.bytes);

    for (unsigned i = 0; i < model.count; i += 7) {
        int64_t position = (int64_t)model.lines[i].begin;
        CU_ASSERT_EQUAL(read_range(&model, path, position, INT64_MAX, i), model.count - i);
        CU_ASSERT_EQUAL(read_range(&model, packed, position, INT64_MAX, i), model.count - i);
    }
    CU_ASSERT_EQUAL(read_range(&model, path, (int64_t)model.bytes, INT64_MAX, model.count), 0);
    model_free(&model);
}

/* Ranges as a plan makes them: each cut is moved to the next beginning of a line. */
static void ranges_together_give_every_line_once(void)
{
    static const int64_t steps[] = {1, 2, 13, 100, 5000, 65536, 200000};

    for (unsigned s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        struct model model = model_make(steps[s] < 100 ? 100 : 2000, 150, s % 2, s);
        const char *path = scratch_write_bytes("ranges", model.text, model.bytes);
        int64_t size = (int64_t)model.bytes, from = 0;
        struct eng_reason reason;
        unsigned done = 0;
        int fd = open(path, O_RDONLY);

        while (from < size) {
            int64_t to = from + steps[s] >= size
                             ? size
                             : eng_files_line_begin(fd, path, from + steps[s], size, &reason);
            CU_ASSERT_FATAL(to > from);
            done += read_range(&model, path, from, to, done);
            from = to;
        }
        CU_ASSERT_EQUAL(done, model.count);
        close(fd);
        model_free(&model);
    }
}

/* A range owns the lines that begin in it, wherever it ends. */
static void the_last_line_of_a_range_may_reach_beyond_it(void)
{
    struct model model = model_make(50, 40, true, 11);
    const char *path = scratch_write_bytes("beyond", model.text, model.bytes);

    for (int64_t to = 0; to <= (int64_t)model.bytes; to++) {
        unsigned wanted = 0;
        while (wanted < model.count && (int64_t)model.lines[wanted].begin < to)
            wanted++;
        CU_ASSERT_EQUAL(read_range(&model, path, 0, to, 0), wanted);
    }
    model_free(&model);
}

static void a_byte_order_mark_is_no_part_of_the_first_line(void)
{
    struct eng_lines_options options = {.end_offset = INT64_MAX, .line_number = 1};
    const char *path = scratch_write("bom", "\xef\xbb\xbf"
                                            "a,b\n\xef\xbb\xbf"
                                            "c\n");
    struct eng_intake intake;
    struct eng_lines lines;
    struct eng_reason reason;
    pen_view line;

    CU_ASSERT_EQUAL_FATAL(eng_intake_open_file(&intake, path, 0, &reason), 0);
    eng_lines_open(&lines, &intake, &options);
    CU_ASSERT_EQUAL_FATAL(next_line(&lines, &line), ENG_LINES_ONE);
    CU_ASSERT_EQUAL(line.size_bytes, 3);
    CU_ASSERT(memcmp(line.data, "a,b", 3) == 0);
    CU_ASSERT_EQUAL(lines.position, 7);
    CU_ASSERT_EQUAL_FATAL(next_line(&lines, &line), ENG_LINES_ONE);
    CU_ASSERT_EQUAL(line.size_bytes, 4); /* anywhere else it is text */
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_END);
    eng_intake_close(&intake);
}

static void write_long(const char *path, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    char *piece = malloc(1 << 20);

    CHECK(file != NULL);
    CHECK(piece != NULL);
    memset(piece, 'x', 1 << 20);
    fputs("before\n", file);
    for (size_t done = 0; done < bytes;) {
        size_t part = bytes - done < 1 << 20 ? bytes - done : 1 << 20;
        CHECK(fwrite(piece, 1, part, file) == part);
        done += part;
    }
    fputs("\nafter\n", file);
    CHECK(fclose(file) == 0);
    free(piece);
}

/* Reads such a file; the long line must be told with its size, and must not be held in memory. */
static void check_long(size_t bytes, enum eng_lines_next wanted)
{
    struct eng_lines_options options = {.end_offset = INT64_MAX, .line_number = 1};
    const char *path = scratch_name("long");
    struct eng_intake intake;
    struct eng_lines lines;
    struct eng_reason reason;
    pen_view line;

    write_long(path, bytes);
    CU_ASSERT_EQUAL_FATAL(eng_intake_open_file(&intake, path, 0, &reason), 0);
    eng_lines_open(&lines, &intake, &options);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_ONE);
    CU_ASSERT_EQUAL(lines.position, 7);

    enum eng_lines_next next;
    unsigned calls = 0;
    while ((next = eng_lines_next(&lines, &line, &reason)) == ENG_LINES_MORE) {
        CU_ASSERT_EQUAL(lines.position, 7); /* whoever starts again starts at its beginning */
        calls++;
    }
    CU_ASSERT(calls > 2);
    CU_ASSERT_EQUAL(next, wanted);
    CU_ASSERT_EQUAL(lines.bytes, bytes + 1);
    CU_ASSERT_EQUAL(lines.number, 2);
    CU_ASSERT(intake.capacity_bytes <= 2 * (size_t)ENG_INTAKE_WINDOW_BYTES_MAX);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_ONE);
    CU_ASSERT_EQUAL(line.size_bytes, 5);
    CU_ASSERT_EQUAL(lines.number, 3);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_END);
    eng_intake_close(&intake);
    unlink(path);
}

static void a_line_that_no_record_holds_is_passed_over(void)
{
    check_long(ENG_RECORD_BYTES_MAX, ENG_LINES_ONE);
    check_long(ENG_RECORD_BYTES_MAX + 1, ENG_LINES_LONG);
    check_long(ENG_RECORD_BYTES_MAX + 3, ENG_LINES_LONG);
    check_long(100 * 1000 * 1000, ENG_LINES_LONG);
}

static void a_long_last_line_without_an_end_is_told_too(void)
{
    struct eng_lines_options options = {.end_offset = INT64_MAX, .line_number = 1};
    const char *path = scratch_name("endless");
    struct eng_intake intake;
    struct eng_lines lines;
    struct eng_reason reason;
    pen_view line;

    write_long(path, 40 * 1000 * 1000);
    CU_ASSERT_EQUAL_FATAL(truncate(path, 30 * 1000 * 1000), 0);
    CU_ASSERT_EQUAL_FATAL(eng_intake_open_file(&intake, path, 0, &reason), 0);
    eng_lines_open(&lines, &intake, &options);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_ONE);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_LONG);
    CU_ASSERT_EQUAL(lines.bytes, 30 * 1000 * 1000 - 7);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_END);
    eng_intake_close(&intake);
    unlink(path);
}

static void quoted_columns_hold_line_ends_when_asked(void)
{
    static const char text[] =
        "a,\"two\nlines\",b\r\nplain,\"with \"\" and\r\nend\"\nlast,\"open\n";
    static const unsigned wanted[2] = {5, 3};

    for (unsigned multiline = 0; multiline < 2; multiline++) {
        struct eng_lines_options options = {
            .end_offset = INT64_MAX, .line_number = 1, .multiline = multiline};
        const char *path = scratch_write("quotes", text);
        struct eng_intake intake;
        struct eng_lines lines;
        struct eng_reason reason;
        pen_view line;
        unsigned count = 0;

        CU_ASSERT_EQUAL_FATAL(eng_intake_open_file(&intake, path, 0, &reason), 0);
        eng_lines_open(&lines, &intake, &options);
        while (next_line(&lines, &line) == ENG_LINES_ONE)
            count++;
        CU_ASSERT_EQUAL(lines.position, (int64_t)sizeof text - 1);
        CU_ASSERT_EQUAL(count, wanted[multiline]);
        eng_intake_close(&intake);
    }
}

static void lines_of_a_pipe_come_as_they_are_complete(void)
{
    struct eng_lines_options options = {.end_offset = INT64_MAX, .line_number = 1};
    struct eng_intake intake;
    struct eng_lines lines;
    pen_view line;
    int ends[2];

    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    eng_intake_open_descriptor(&intake, ends[0], "a pipe");
    eng_lines_open(&lines, &intake, &options);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_LATER);
    CU_ASSERT_EQUAL(write(ends[1], "on", 2), 2);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_LATER);
    CU_ASSERT_EQUAL(write(ends[1], "e\r\nt", 4), 4);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_ONE);
    CU_ASSERT(line.size_bytes == 3 && memcmp(line.data, "one", 3) == 0);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_LATER);
    close(ends[1]);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_ONE);
    CU_ASSERT(line.size_bytes == 1 && line.data[0] == 't');
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_END);
    eng_intake_close(&intake);
    close(ends[0]);
}

static void a_file_that_is_followed_waits_for_whole_lines(void)
{
    struct eng_lines_options options = {.end_offset = INT64_MAX, .line_number = 1, .follow = true};
    const char *path = scratch_write("grows", "one\ntw");
    struct eng_intake intake;
    struct eng_lines lines;
    struct eng_reason reason;
    pen_view line;

    CU_ASSERT_EQUAL_FATAL(eng_intake_open_file(&intake, path, 0, &reason), 0);
    eng_lines_open(&lines, &intake, &options);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_ONE);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_LATER);
    CU_ASSERT_EQUAL(lines.position, 4);
    int fd = open(path, O_WRONLY | O_APPEND);
    CU_ASSERT_EQUAL(write(fd, "o\n", 2), 2);
    close(fd);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_ONE);
    CU_ASSERT(line.size_bytes == 3 && memcmp(line.data, "two", 3) == 0);
    CU_ASSERT_EQUAL(next_line(&lines, &line), ENG_LINES_LATER);
    eng_intake_close(&intake);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/lines", scratch_open, scratch_close);
    CU_ADD_TEST(suite, lines_are_those_that_were_written);
    CU_ADD_TEST(suite, a_reader_that_starts_where_another_stopped_gets_exactly_the_rest);
    CU_ADD_TEST(suite, ranges_together_give_every_line_once);
    CU_ADD_TEST(suite, the_last_line_of_a_range_may_reach_beyond_it);
    CU_ADD_TEST(suite, a_byte_order_mark_is_no_part_of_the_first_line);
    CU_ADD_TEST(suite, a_line_that_no_record_holds_is_passed_over);
    CU_ADD_TEST(suite, a_long_last_line_without_an_end_is_told_too);
    CU_ADD_TEST(suite, quoted_columns_hold_line_ends_when_asked);
    CU_ADD_TEST(suite, lines_of_a_pipe_come_as_they_are_complete);
    CU_ADD_TEST(suite, a_file_that_is_followed_waits_for_whole_lines);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
