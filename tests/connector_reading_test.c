/* Records of files in every format; stopping after any record and going on from the saved position.
 * Method: a thousand records are written by the encoders. A reading is closed after k of them and
 * another one opened at its position: it must give the rest, no more, no less. */
#include "engine/connector/reading.h"

#include <CUnit/Basic.h>

#include "engine/connector/encoding.h"
#include "tests/connector_records.h"

enum { THINGS = 1000 };

static struct eng_layout layout;
static const enum pen_format formats[] = {PEN_CSV, PEN_JSON, PEN_BINARY};
static const char *const names[] = {"things.csv", "things.jsonl", "things.bin"};

static int open_all(void)
{
    struct eng_builder builder;

    if (scratch_open()) return 1;
    layout = thing_layout();
    eng_builder_open(&builder, &layout, 0);
    for (unsigned f = 0; f < 3; f++) {
        struct eng_encoding encoding;
        struct eng_text_out out = {0};
        struct eng_reason reason;
        char packed[64];

        if (eng_encoding_open(&encoding, formats[f], &layout, NULL, NULL, &reason) < 0) return 1;
        eng_encoding_head(&encoding, &out);
        for (uint64_t i = 0; i < THINGS; i++)
            if (!eng_encoding_put(&encoding, thing_build(&builder, i), PEN_INSERT, &out)) return 1;
        scratch_write_bytes(names[f], out.bytes, out.size_bytes);
        snprintf(packed, sizeof packed, "%s.gz", names[f]);
        scratch_gzip(packed, out.bytes, out.size_bytes);
        eng_text_out_close(&out);
        eng_encoding_close(&encoding);
    }
    eng_builder_close(&builder);
    return 0;
}

static int close_all(void)
{
    eng_layout_close(&layout);
    return scratch_close();
}

static void open_at(struct eng_reading *reading, unsigned format, const char *path,
                    const struct eng_reading_place *place)
{
    struct eng_reading_options options = {.format = formats[format], .layout = &layout};
    struct eng_reason reason;

    if (eng_reading_open_file(reading, &options, path, place, &reason) < 0) {
        fprintf(stderr, "%s\n", reason.text);
        CU_FAIL_FATAL("cannot be opened");
    }
}

static enum eng_read_step next_record(struct eng_reading *reading, const void **record,
                                      struct eng_reason *reason)
{
    enum eng_read_step step;
    pen_view line;

    do
        step = eng_reading_step(reading, record, &line, reason);
    while (step == ENG_READ_MORE);
    return step;
}

/* Reads `count` things from number `first` on, or to the end, and compares. Returns how many. */
static unsigned read_things(struct eng_reading *reading, unsigned first, unsigned count)
{
    struct eng_builder builder;
    struct eng_reason reason = {{0}};
    const void *record;
    unsigned done = 0;

    eng_builder_open(&builder, &layout, 0);
    while (done < count && next_record(reading, &record, &reason) == ENG_READ_ONE) {
        CU_ASSERT_FATAL(eng_record_equal(&layout, record, thing_build(&builder, first + done)));
        done++;
    }
    eng_builder_close(&builder);
    return done;
}

static void stop_and_go(unsigned format, const char *path)
{
    for (unsigned stop = 0; stop <= THINGS; stop += stop < 5 || stop > THINGS - 6 ? 1 : 83) {
        struct eng_reading_place place = {.end_offset = INT64_MAX, .line_number = 1};
        struct eng_reading reading;
        open_at(&reading, format, path, &place);

        CU_ASSERT_EQUAL(read_things(&reading, 0, stop), stop);
        place.position = eng_reading_position(&reading);
        place.line_number = eng_reading_line_number(&reading);
        eng_reading_close(&reading);

        open_at(&reading, format, path, &place);
        CU_ASSERT_EQUAL(read_things(&reading, stop, THINGS + 1), THINGS - stop);
        eng_reading_close(&reading);
    }
}

static void a_reading_can_be_stopped_anywhere_and_gives_the_rest(void)
{
    for (unsigned f = 0; f < 3; f++) {
        char packed[64];
        stop_and_go(f, scratch_name(names[f]));
        snprintf(packed, sizeof packed, "%s.gz", names[f]);
        stop_and_go(f, scratch_name(packed));
    }
}

static void bad_records_are_told_with_file_and_line(void)
{
    const char *path = scratch_write("bad.csv", "number,name,weight,at,code,note\n"
                                                "1,a,,2013-01-01T00:00:00Z,X,\n"
                                                "oops,a,,2013-01-01T00:00:00Z,X,\n"
                                                "\n"
                                                "3,a,,2013-01-01T00:00:00Z,X,\n"
                                                "4,a\n");
    struct eng_reading_place place = {.end_offset = INT64_MAX, .line_number = 1};
    struct eng_reading reading;
    open_at(&reading, 0, path, &place);
    struct eng_reason reason;
    const void *record;
    char wanted[128];

    CU_ASSERT_EQUAL(next_record(&reading, &record, &reason), ENG_READ_ONE);
    CU_ASSERT_EQUAL(next_record(&reading, &record, &reason), ENG_READ_BAD);
    snprintf(wanted, sizeof wanted, "%s:3: ", path);
    CU_ASSERT_EQUAL(strncmp(reason.text, wanted, strlen(wanted)), 0);
    int64_t position = eng_reading_position(&reading);
    CU_ASSERT_EQUAL(next_record(&reading, &record, &reason),
                    ENG_READ_ONE); /* an empty line is none */
    CU_ASSERT_EQUAL(next_record(&reading, &record, &reason), ENG_READ_BAD);
    snprintf(wanted, sizeof wanted, "%s:6: ", path);
    CU_ASSERT_EQUAL(strncmp(reason.text, wanted, strlen(wanted)), 0);
    CU_ASSERT_EQUAL(next_record(&reading, &record, &reason), ENG_READ_END);
    eng_reading_close(&reading);

    /* In the middle of a file nobody has counted lines. */
    place = (struct eng_reading_place){.position = position, .end_offset = INT64_MAX};
    open_at(&reading, 0, path, &place);
    CU_ASSERT_EQUAL(next_record(&reading, &record, &reason), ENG_READ_ONE);
    CU_ASSERT_EQUAL(next_record(&reading, &record, &reason), ENG_READ_BAD);
    snprintf(wanted, sizeof wanted, "%s, byte ", path);
    CU_ASSERT_EQUAL(strncmp(reason.text, wanted, strlen(wanted)), 0);
    eng_reading_close(&reading);
}

static void a_head_that_does_not_fit_is_found_without_reading_on(void)
{
    struct eng_reading_options options = {.format = PEN_CSV, .layout = &layout};
    struct eng_reason reason;

    CU_ASSERT_EQUAL(eng_reading_check_file(&options, scratch_name(names[0]), &reason), 0);
    const char *path = scratch_write("other.csv", "number,weight\n1,2\n");
    CU_ASSERT(eng_reading_check_file(&options, path, &reason) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "other.csv"));
    options.no_header = true;
    CU_ASSERT_EQUAL(eng_reading_check_file(&options, path, &reason), 0);
    options = (struct eng_reading_options){.format = PEN_BINARY, .layout = &layout};
    CU_ASSERT_EQUAL(eng_reading_check_file(&options, scratch_name(names[2]), &reason), 0);
    CU_ASSERT(eng_reading_check_file(&options, path, &reason) < 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "other.csv"));
    CU_ASSERT_EQUAL(eng_reading_check_file(&options, scratch_write("none", ""), &reason), 0);
}

static void empty_files_are_read_at_once(void)
{
    const char *path = scratch_write("none", "");
    struct eng_reading_place place = {.end_offset = INT64_MAX, .line_number = 1};
    struct eng_reason reason;
    const void *record;

    for (unsigned f = 0; f < 3; f++) {
        struct eng_reading reading;
        open_at(&reading, f, path, &place);
        CU_ASSERT_EQUAL(next_record(&reading, &record, &reason), ENG_READ_END);
        eng_reading_close(&reading);
    }
}

static void a_binary_file_that_was_cut_gives_what_is_whole(void)
{
    struct eng_reading_place place = {.end_offset = INT64_MAX};
    struct eng_reason reason;
    const void *record;
    size_t size_bytes = 0;
    char *bytes = scratch_read(scratch_name(names[2]), &size_bytes);

    CU_ASSERT_FATAL(bytes != NULL);
    const char *path = scratch_write_bytes("cut.bin", bytes, size_bytes - 20);
    struct eng_reading reading;
    open_at(&reading, 2, path, &place);
    CU_ASSERT_EQUAL(read_things(&reading, 0, THINGS - 1), THINGS - 1);
    CU_ASSERT_EQUAL(next_record(&reading, &record, &reason), ENG_READ_BAD);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "middle of a record"));
    CU_ASSERT_EQUAL(next_record(&reading, &record, &reason), ENG_READ_END);
    eng_reading_close(&reading);

    bytes[size_bytes / 2 & ~(size_t)7] ^= 1;
    path = scratch_write_bytes("bad.bin", bytes, size_bytes);
    open_at(&reading, 2, path, &place);
    enum eng_read_step step;
    unsigned good = 0;
    while ((step = next_record(&reading, &record, &reason)) == ENG_READ_ONE)
        good++;
    CU_ASSERT_EQUAL(step, ENG_READ_FAILED);
    CU_ASSERT(good > 0 && good < THINGS);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "bad.bin"));
    eng_reading_close(&reading);
    free(bytes);
}

/* A job whose record has changed since the file was written: fields are found by name. */
struct thing_later {
    pen_opt_string note;
    int64_t number;
    pen_opt_int64 added;
};
PEN_RECORD(thing_later, note, number, added);

static void binary_records_of_an_older_type_are_read_by_name(void)
{
    struct eng_layout later;
    struct eng_reading reading;
    struct eng_reason reason;
    const void *record;
    char why[256];
    unsigned count = 0;

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&later, &thing_later_schema, why, sizeof why), 0);
    struct eng_reading_options options = {.format = PEN_BINARY, .layout = &later};
    struct eng_reading_place place = {.end_offset = INT64_MAX};
    CU_ASSERT_EQUAL_FATAL(
        eng_reading_open_file(&reading, &options, scratch_name(names[2]), &place, &reason), 0);
    for (; next_record(&reading, &record, &reason) == ENG_READ_ONE; count++) {
        const struct thing_later *thing = record;
        CU_ASSERT_EQUAL(thing->number, (int64_t)count);
        CU_ASSERT_EQUAL(thing->note.present, count % 4 != 0);
        CU_ASSERT_FALSE(thing->added.present);
    }
    CU_ASSERT_EQUAL(count, THINGS);
    eng_reading_close(&reading);
    eng_layout_close(&later);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/reading", open_all, close_all);
    CU_ADD_TEST(suite, a_reading_can_be_stopped_anywhere_and_gives_the_rest);
    CU_ADD_TEST(suite, bad_records_are_told_with_file_and_line);
    CU_ADD_TEST(suite, a_head_that_does_not_fit_is_found_without_reading_on);
    CU_ADD_TEST(suite, empty_files_are_read_at_once);
    CU_ADD_TEST(suite, a_binary_file_that_was_cut_gives_what_is_whole);
    CU_ADD_TEST(suite, binary_records_of_an_older_type_are_read_by_name);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
