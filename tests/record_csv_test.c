/* engine/record/csv: lines into records and back.
 * Method: a second reader, byte by byte and obviously right, cuts the same random lines; random
 * records are encoded and decoded; every reason is looked at. The last tests are about size. */
#include "engine/record/csv.h"

#include <errno.h>

#include "engine/record/value.h"
#include "tests/record_random.h"

struct flight {
    pen_time scheduled_at;
    pen_code carrier;
    int32_t number;
    pen_opt_code tail;
    pen_opt_int32 delay;
    pen_string note;
    pen_opt_string more;
};
PEN_RECORD(flight, scheduled_at, carrier, number, tail, delay, note, more);

static struct eng_layout layout;
static struct eng_csv csv;
static struct eng_builder builder;
static struct eng_reason reason;

static void open_flights(const char *header)
{
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &flight_schema, NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_csv_open(&csv, &layout, 0,
                                       header ? pen_view_from(header) : pen_view_sized(NULL, 0),
                                       &reason),
                          0);
    eng_builder_open(&builder, &layout, 0);
}

static void close_flights(void)
{
    eng_builder_close(&builder);
    eng_csv_close(&csv);
    eng_layout_close(&layout);
}

static const struct flight *decode(const char *line)
{
    uint32_t bytes;
    const struct flight *flight;

    if (!eng_csv_decode(&csv, pen_view_from(line), &builder, &reason)) return NULL;
    flight = eng_builder_finish(&builder, &bytes);
    CU_ASSERT_EQUAL_FATAL(eng_record_verify(&layout, flight, bytes), 0);
    return flight;
}

static void columns_come_in_the_order_of_the_fields(void)
{
    const struct flight *flight;

    open_flights(NULL);
    flight = decode("2013-01-01T10:15:00Z,UA,1545,N14228,-2,on time,\r\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(flight);
    CU_ASSERT_EQUAL(flight->scheduled_at.us, 1357035300000000);
    CU_ASSERT_TRUE(pen_text_equal(&flight->carrier, "UA"));
    CU_ASSERT_EQUAL(flight->number, 1545);
    CU_ASSERT_TRUE(flight->tail.present && pen_text_equal(&flight->tail.value, "N14228"));
    CU_ASSERT_TRUE(flight->delay.present && flight->delay.value == -2);
    CU_ASSERT_TRUE(pen_text_equal(&flight->note, "on time"));
    CU_ASSERT_FALSE(flight->more.present);

    flight = decode("2013-01-01T10:15:00Z,,+7,,,,\"\"");
    CU_ASSERT_PTR_NOT_NULL_FATAL(flight);
    CU_ASSERT_EQUAL(flight->carrier.text[0], 0);
    CU_ASSERT_EQUAL(flight->number, 7);
    CU_ASSERT_FALSE(flight->tail.present);
    CU_ASSERT_FALSE(flight->delay.present);
    CU_ASSERT_EQUAL(flight->note.size_bytes, 0);
    CU_ASSERT_TRUE(flight->more.present && flight->more.value.size_bytes == 0);

    flight = decode("\"0\",\"A\"\"B\",\"5\",\"\",6,\"a,\nb \"\"c\"\"\",x\"y");
    CU_ASSERT_PTR_NOT_NULL_FATAL(flight);
    CU_ASSERT_EQUAL(flight->scheduled_at.us, 0);
    CU_ASSERT_TRUE(pen_text_equal(&flight->carrier, "A\"B"));
    CU_ASSERT_TRUE(flight->tail.present && flight->tail.value.text[0] == 0);
    CU_ASSERT_TRUE(pen_text_equal(&flight->note, "a,\nb \"c\""));
    CU_ASSERT_TRUE(pen_text_equal(&flight->more.value, "x\"y"));
    close_flights();
}

static void a_header_says_where_the_fields_are(void)
{
    const struct flight *flight;

    open_flights("\xef\xbb\xbfnote,other,\"number\",carrier,scheduled_at,another\r\n");
    CU_ASSERT_EQUAL(csv.column_count, 6);
    flight = decode("hello,\"a,b\",12,AA,1970-01-01T00:00:00Z,");
    CU_ASSERT_PTR_NOT_NULL_FATAL(flight);
    CU_ASSERT_EQUAL(flight->number, 12);
    CU_ASSERT_TRUE(pen_text_equal(&flight->note, "hello"));
    CU_ASSERT_FALSE(flight->tail.present);
    CU_ASSERT_NOT_EQUAL(decode("hello,,12,AA,1970-01-01T00:00:00Z,"), NULL);
    CU_ASSERT_PTR_NULL(decode("hello,,12,AA,1970-01-01T00:00:00Z"));
    CU_ASSERT_STRING_EQUAL(reason.text, "5 columns, not 6: none for the last");
    close_flights();
}

static void a_header_that_cannot_be_is_refused(void)
{
    static const struct {
        const char *header, *reason;
    } bad[] = {
        {"number,carrier,note", "no column scheduled_at"},
        {"number,carrier,note,scheduled_at,number", "names column number twice"},
        {"number,carrier,\"note,scheduled_at", "column 3 is quoted, but does not end well"},
        {"number,\"carrier\"x,note,scheduled_at", "column 2 is quoted, but does not end well"},
        {"", "no column scheduled_at"},
    };
    struct eng_csv none = {0};
    char *wide = malloc(2 * ENG_CSV_COLUMNS_MAX);

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &flight_schema, NULL, 0), 0);
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_EQUAL(eng_csv_open(&none, &layout, 0, pen_view_from(bad[i].header), &reason),
                        -EINVAL);
        assert_says(reason.text, bad[i].reason);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(wide);
    memset(wide, ',', 2 * ENG_CSV_COLUMNS_MAX);
    CU_ASSERT_EQUAL(
        eng_csv_open(&none, &layout, 0, pen_view_sized(wide, ENG_CSV_COLUMNS_MAX), &reason),
        -EINVAL);
    assert_says(reason.text, "more than 4096 columns");
    free(wide);
    CU_ASSERT_EQUAL(eng_csv_open(&none, &layout, '"', pen_view_sized(NULL, 0), &reason), -EINVAL);
    CU_ASSERT_EQUAL(eng_csv_open(&none, &layout, '\n', pen_view_sized(NULL, 0), &reason), -EINVAL);
    CU_ASSERT_EQUAL(eng_csv_open(&none, &layout, '\xe9', pen_view_sized(NULL, 0), &reason),
                    -EINVAL);
    eng_csv_close(&none);
    eng_layout_close(&layout);
}

static void bad_records_say_what_is_wrong(void)
{
    static const struct {
        const char *line, *reason;
    } bad[] = {
        {"2013-01-01T10:15:00Z,UA,15x5,,,,", "column 3, field number: \"15x5\" is no int32"},
        {"2013-01-01T10:15:00Z,UA,,,,,", "column 3, field number: \"\" is no int32"},
        {"2013-01-01T10:15:00Z,UA,\"\",,,,", "column 3, field number: \"\" is no int32"},
        {",UA,1,,,,", "column 1, field scheduled_at: \"\" is no time"},
        {"2013-01-01T10:15:00Z,UA,3000000000,,,,",
         "column 3, field number: \"3000000000\" does not fit into int32"},
        {"2013-01-01T10:15:00Z,UA,1,,soon,,",
         "column 5, field delay: \"soon\" is no optional int32"},
        {"2013-01-01T10:15:00Z,UA,1,N123456789,,,",
         "column 4, field tail: \"N123456789\" is longer than its 8 bytes"},
        {"2013-01-01 10:15,UA,1,,,,", "\"2013-01-01 10:15\" is no time"},
        {"2013-01-01T10:15:00Z,UA,1,,,", "6 columns, not 7: none for more"},
        {"2013-01-01T10:15:00Z", "1 columns, not 7: none for carrier"},
        {"2013-01-01T10:15:00Z,UA,1,,,,,", "more than 7 columns"},
        {"2013-01-01T10:15:00Z,UA,1,,,\"\",,", "more than 7 columns"},
        {"2013-01-01T10:15:00Z,UA,1,,,\"", "column 6 is quoted, but does not end well: \"\""},
        {"2013-01-01T10:15:00Z,UA,1,,,\"a\"b,", "column 6 is quoted, but does not end well"},
        {"", "1 columns, not 7: none for carrier"},
        {"2013-01-01T10:15:00Z,UA,1234567890123456789012345678901234567890123456,,,,",
         "\"1234567890123456789012345678901234567890\"... is no int32"},
    };

    open_flights(NULL);
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_PTR_NULL(decode(bad[i].line));
        assert_says(reason.text, bad[i].reason);
    }
    CU_ASSERT_FALSE(eng_csv_decode(&csv, pen_view_sized(NULL, 0), &builder, &reason));
    CU_ASSERT_FALSE(eng_csv_decode(&csv, pen_view_from("x"), &builder, NULL));
    close_flights();
}

static void random_records_come_back(void)
{
    static const char separators[] = ",;\t| -0x";
    struct eng_text_out out = {0};

    for (uint64_t seed = 1; seed <= 600; seed++) {
        struct random random = {seed};
        char separator = separators[random_below(&random, sizeof separators - 1)];
        struct random_schema s;
        struct eng_csv plain, named;
        struct eng_builder from, to;
        uint32_t bytes;

        random_schema_open(&random, &s, false);
        CU_ASSERT_EQUAL_FATAL(
            eng_csv_open(&plain, &s.layout, separator, pen_view_sized(NULL, 0), &reason), 0);
        eng_text_out_clear(&out);
        eng_csv_encode_header(&plain, &out);
        CU_ASSERT_EQUAL_FATAL(
            eng_csv_open(&named, &s.layout, separator, eng_text_out_view(&out), &reason), 0);
        eng_builder_open(&from, &s.layout, 0);
        eng_builder_open(&to, &s.layout, 0);
        for (uint32_t i = 0; i < 20; i++) {
            const void *record = random_record(&random, &from, false, &bytes), *back;
            struct eng_csv_scan scan = {.separator = separator, .multiline = true};

            eng_text_out_clear(&out);
            eng_csv_encode(&plain, record, &out);
            CU_ASSERT_TRUE(out.size_bytes > 1 || eng_field_is_null(&s.layout.fields[0], record));
            CU_ASSERT_EQUAL(eng_csv_line_end(&scan, out.bytes, out.size_bytes), out.size_bytes);
            if (!eng_csv_decode(i % 2 ? &plain : &named, eng_text_out_view(&out), &to, &reason)) {
                printf("\n  seed %u: %s\n", (unsigned)seed, reason.text);
                CU_FAIL("what was encoded was refused");
                continue;
            }
            back = eng_builder_finish(&to, &bytes);
            CU_ASSERT_EQUAL(eng_record_verify(&s.layout, back, bytes), 0);
            CU_ASSERT_TRUE(eng_record_equal(&s.layout, record, back));
        }
        eng_builder_close(&from);
        eng_builder_close(&to);
        eng_csv_close(&plain);
        eng_csv_close(&named);
        eng_layout_close(&s.layout);
    }
    eng_text_out_close(&out);
}

/* ---- Against a reader that is obviously right -------------------------------------------------
 */

enum { COLUMNS = 3, TEXT_MAX = 512 };

struct columns {
    pen_opt_string a, b, c;
};
PEN_RECORD(columns, a, b, c);

struct model {
    bool good;
    uint32_t count;
    bool null[COLUMNS + 1];
    uint32_t size[COLUMNS + 1];
    char text[COLUMNS + 1][TEXT_MAX];
};

/* RFC 4180, one byte at a time; the line is without its end. */
static void model_read(const char *line, uint32_t size, struct model *model)
{
    uint32_t i = 0;

    memset(model, 0, sizeof *model);
    model->good = true;
    for (;;) {
        uint32_t c = model->count < COLUMNS ? model->count : COLUMNS;

        model->null[c] = i == size || line[i] == ',';
        model->size[c] = 0;
        if (i < size && line[i] == '"') {
            for (i++;; i++) {
                if (i == size) {
                    model->good = false;
                    return;
                }
                if (line[i] == '"') {
                    if (i + 1 < size && line[i + 1] == '"')
                        i++;
                    else
                        break;
                }
                model->text[c][model->size[c]++] = line[i];
            }
            i++;
            if (i < size && line[i] != ',') {
                model->good = false;
                return;
            }
        } else {
            while (i < size && line[i] != ',')
                model->text[c][model->size[c]++] = line[i++];
        }
        model->count++;
        if (i == size) break;
        i++;
    }
    model->good = model->count == COLUMNS;
}

static void nasty_lines_are_cut_like_an_obvious_reader_cuts_them(void)
{
    static const char *const pieces[] = {",",
                                         ",",
                                         ",",
                                         "\"",
                                         "\"",
                                         "\"\"",
                                         "a",
                                         "bc",
                                         "\n",
                                         "\r\n",
                                         "\r",
                                         ";",
                                         " ",
                                         "\0",
                                         "\xff",
                                         "\",\"",
                                         "0123456789012345678901234567890123456789"};
    struct random random = {11};
    struct eng_layout columns;
    struct eng_csv reader;
    struct eng_builder to;
    static struct model model;
    char line[TEXT_MAX];
    uint32_t good = 0;

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&columns, &columns_schema, NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_csv_open(&reader, &columns, 0, pen_view_sized(NULL, 0), &reason), 0);
    eng_builder_open(&to, &columns, 0);
    for (uint32_t round = 0; round < 300000; round++) {
        uint32_t size = 0, pieces_count = random_below(&random, 13);
        bool accepted;

        for (uint32_t i = 0; i < pieces_count; i++) {
            uint32_t which = random_below(&random, sizeof pieces / sizeof pieces[0]);
            uint32_t bytes = which == 13 ? 1 : (uint32_t)strlen(pieces[which]);
            memcpy(line + size, pieces[which], bytes);
            size += bytes;
        }
        /* What stands at the end as a line end is one: the model gets the line without it. */
        accepted = eng_csv_decode(&reader, pen_view_sized(line, size), &to, &reason);
        if (size && line[size - 1] == '\n') size--;
        if (size && line[size - 1] == '\r') size--;
        model_read(line, size, &model);
        CU_ASSERT_EQUAL(accepted, model.good);
        if (accepted != model.good) printf("\n  %.*s\n", (int)size, line);
        if (!accepted || !model.good) continue;
        good++;
        for (uint32_t c = 0; c < COLUMNS; c++) {
            const struct eng_field *field = &columns.fields[c];
            const void *record = eng_builder_record(&to);

            CU_ASSERT_EQUAL(eng_field_is_null(field, record), model.null[c]);
            CU_ASSERT_TRUE(pen_view_equal_views(eng_field_text(field, record),
                                                pen_view_sized(model.text[c], model.size[c])));
        }
    }
    CU_ASSERT_TRUE(good > 10000);
    eng_builder_close(&to);
    eng_csv_close(&reader);
    eng_layout_close(&columns);
}

/* Every line ends where a reader of single bytes ends it, in whatever pieces the bytes come. */
static void line_ends_are_found_in_pieces(void)
{
    static const char *const pieces[] = {",", "\"", "\"", "\"\"", "a", "\n", "\r\n", "bcd"};
    struct random random = {12};
    char text[TEXT_MAX];

    for (uint32_t round = 0; round < 100000; round++) {
        uint32_t size = 0, count = random_below(&random, 30), end = 0, at = 0;
        bool multiline = random_below(&random, 2), quoted = false, begins = true, closing = false;
        struct eng_csv_scan scan = {.multiline = multiline};
        size_t found = 0;

        for (uint32_t i = 0; i < count; i++) {
            const char *piece = pieces[random_below(&random, sizeof pieces / sizeof pieces[0])];
            memcpy(text + size, piece, strlen(piece));
            size += (uint32_t)strlen(piece);
        }
        for (; end < size; end++) {
            char c = text[end];

            if (quoted) {
                if (c == '"') {
                    quoted = false;
                    closing = true;
                }
                continue;
            }
            if (c == '\n') break;
            if (c == '"' && (begins || closing) && multiline) quoted = true;
            begins = c == ',';
            closing = false;
        }
        while (at < size && found == 0) {
            uint32_t piece = 1 + random_below(&random, 9);

            if (piece > size - at) piece = size - at;
            found = eng_csv_line_end(&scan, text + at, piece);
            at += found ? (uint32_t)found : piece;
        }
        if (end < size) {
            CU_ASSERT_EQUAL(at, end + 1);
            CU_ASSERT_NOT_EQUAL(found, 0);
            CU_ASSERT_EQUAL(scan.state, 0);
        } else {
            CU_ASSERT_EQUAL(found, 0);
        }
    }
}

/* ---- Size ------------------------------------------------------------------------------------ */

static void a_record_of_the_limit_is_read_and_one_byte_more_is_not(void)
{
    struct eng_layout columns;
    struct eng_csv reader;
    struct eng_builder to;
    uint32_t room, bytes;
    char *line = malloc(2 * ENG_RECORD_BYTES_MAX + 16);

    CU_ASSERT_PTR_NOT_NULL_FATAL(line);
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&columns, &columns_schema, NULL, 0), 0);
    CU_ASSERT_EQUAL_FATAL(eng_csv_open(&reader, &columns, 0, pen_view_sized(NULL, 0), &reason), 0);
    eng_builder_open(&to, &columns, 0);
    room = ENG_RECORD_BYTES_MAX - columns.fixed_bytes;
    memset(line, 'x', room + 16);
    memcpy(line, "b,,", 3);
    CU_ASSERT_TRUE(eng_csv_decode(&reader, pen_view_sized(line, 3 + room - 1), &to, &reason));
    eng_builder_finish(&to, &bytes);
    CU_ASSERT_EQUAL(bytes, ENG_RECORD_BYTES_MAX);
    CU_ASSERT_FALSE(eng_csv_decode(&reader, pen_view_sized(line, 3 + room), &to, &reason));
    assert_says(reason.text, "column 3, field c: with its");

    /* The same, written with twice as many quotes. */
    line[0] = '"';
    memset(line + 1, '"', 2 * room);
    memcpy(line + 1 + 2 * room, "\",,", 3);
    CU_ASSERT_TRUE(eng_csv_decode(&reader, pen_view_sized(line, 2 * room + 4), &to, &reason));
    eng_builder_finish(&to, &bytes);
    CU_ASSERT_EQUAL(bytes, ENG_RECORD_BYTES_MAX);
    free(line);
    eng_builder_close(&to);
    eng_csv_close(&reader);
    eng_layout_close(&columns);
}

static void a_line_of_100_megabytes_is_refused_or_skipped(void)
{
    enum { SIZE = 100 << 20 };
    char *line = malloc(SIZE);
    const char header[] = "note,number,carrier,scheduled_at,long";
    uint32_t prefix;

    CU_ASSERT_PTR_NOT_NULL_FATAL(line);
    memset(line, 'y', SIZE);
    open_flights(NULL);
    CU_ASSERT_FALSE(eng_csv_decode(&csv, pen_view_sized(line, SIZE), &builder, &reason));
    assert_says(reason.text, "1 columns, not 7");
    memset(line, ',', SIZE);
    CU_ASSERT_FALSE(eng_csv_decode(&csv, pen_view_sized(line, SIZE), &builder, &reason));
    memset(line, '"', SIZE);
    CU_ASSERT_FALSE(eng_csv_decode(&csv, pen_view_sized(line, SIZE), &builder, &reason));
    close_flights();

    /* A column that nobody wants may be as long as it likes. */
    open_flights(header);
    prefix = (uint32_t)snprintf(line, 64, "n,1,AA,1970-01-01T00:00:00Z,");
    memset(line + prefix, 'z', SIZE - prefix);
    CU_ASSERT_TRUE(eng_csv_decode(&csv, pen_view_sized(line, SIZE), &builder, &reason));
    close_flights();
    free(line);
}

int main(void)
{
    static const struct record_test tests[] = {
        RECORD_TEST(columns_come_in_the_order_of_the_fields),
        RECORD_TEST(a_header_says_where_the_fields_are),
        RECORD_TEST(a_header_that_cannot_be_is_refused),
        RECORD_TEST(bad_records_say_what_is_wrong),
        RECORD_TEST(random_records_come_back),
        RECORD_TEST(nasty_lines_are_cut_like_an_obvious_reader_cuts_them),
        RECORD_TEST(line_ends_are_found_in_pieces),
        RECORD_TEST(a_record_of_the_limit_is_read_and_one_byte_more_is_not),
        RECORD_TEST(a_line_of_100_megabytes_is_refused_or_skipped),
    };
    return record_run("record/csv", tests, sizeof tests / sizeof tests[0]);
}
