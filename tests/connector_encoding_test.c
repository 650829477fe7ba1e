/* Records as text: what is written can be read again, and is then the same record. */
#include "engine/connector/encoding.h"

#include <CUnit/Basic.h>

#include "engine/connector/decoding.h"
#include "engine/record/binary.h"
#include "tests/connector_records.h"

struct pair {
    int64_t a;
    pen_string b;
};
PEN_RECORD(pair, a, b);

static const struct eng_layout *pair_layout(void)
{
    static struct eng_layout layout;
    char reason[256];

    if (!layout.schema) CHECK(eng_layout_open(&layout, &pair_schema, reason, sizeof reason) == 0);
    return &layout;
}

/* {number, text} in some format, as text; NULL row column: none. */
static const char *encoded(enum pen_format format, const char *row_column, const char *prefix,
                           enum pen_row row, bool head)
{
    static struct eng_text_out out;
    struct eng_encoding encoding;
    struct eng_reason reason;
    struct {
        struct pair pair;
        char text[8];
    } record = {.pair = {.a = -7, .b = {8, 3}}, .text = "x,y"};

    eng_text_out_clear(&out);
    CHECK(eng_encoding_open(&encoding, format, pair_layout(), row_column, prefix, &reason) == 0);
    if (head) eng_encoding_head(&encoding, &out);
    CHECK(eng_encoding_put(&encoding, &record, row, &out));
    eng_text_out_char(&out, '\0');
    eng_encoding_close(&encoding);
    return out.bytes;
}

static void csv_has_a_line_of_names_and_a_line_for_each_record(void)
{
    CU_ASSERT_STRING_EQUAL(encoded(PEN_CSV, NULL, NULL, PEN_INSERT, true), "a,b\n-7,\"x,y\"\n");
    CU_ASSERT_STRING_EQUAL(encoded(PEN_CSV, NULL, "> ", PEN_INSERT, true), "> a,b\n> -7,\"x,y\"\n");
}

static void json_is_an_object_a_line(void)
{
    CU_ASSERT_STRING_EQUAL(encoded(PEN_JSON, NULL, NULL, PEN_INSERT, true),
                           "{\"a\":-7,\"b\":\"x,y\"}\n");
}

static void people_get_names_and_values(void)
{
    CU_ASSERT_STRING_EQUAL(encoded(ENG_FORMAT_PEOPLE, NULL, NULL, PEN_INSERT, true),
                           "a=-7 b=\"x,y\"\n");
    CU_ASSERT_STRING_EQUAL(encoded(ENG_FORMAT_PEOPLE, "", "top: ", PEN_DELETE, false),
                           "top: -D a=-7 b=\"x,y\"\n");
}

static void the_kind_of_a_row_is_the_first_column(void)
{
    CU_ASSERT_STRING_EQUAL(encoded(PEN_CSV, "op", NULL, PEN_UPDATE_BEFORE, true),
                           "op,a,b\n-U,-7,\"x,y\"\n");
    CU_ASSERT_STRING_EQUAL(encoded(PEN_CSV, "a \"b\", c", NULL, PEN_UPDATE_AFTER, true),
                           "\"a \"\"b\"\", c\",a,b\n+U,-7,\"x,y\"\n");
    CU_ASSERT_STRING_EQUAL(encoded(PEN_JSON, "o\"p", NULL, PEN_INSERT, true),
                           "{\"o\\\"p\":\"+I\",\"a\":-7,\"b\":\"x,y\"}\n");
}

static void things_come_back_from(enum pen_format format)
{
    struct eng_layout layout = thing_layout();
    struct eng_encoding encoding;
    struct eng_decoding decoding;
    struct eng_builder builder;
    struct eng_text_out out = {0};
    struct eng_reason reason = {{0}};

    eng_builder_open(&builder, &layout, 0);
    CU_ASSERT_EQUAL_FATAL(eng_encoding_open(&encoding, format, &layout, NULL, NULL, &reason), 0);
    CU_ASSERT_EQUAL_FATAL(eng_decoding_open(&decoding, format, &layout, 0, &reason), 0);
    for (uint64_t i = 0; i < 1000; i++) {
        const void *record, *thing = thing_build(&builder, i);
        eng_text_out_clear(&out);
        CU_ASSERT_TRUE(eng_encoding_put(&encoding, thing, PEN_INSERT, &out));
        CU_ASSERT_EQUAL(out.bytes[out.size_bytes - 1], '\n');
        pen_view line = {out.bytes, (uint32_t)out.size_bytes - 1};
        if (eng_decoding_line(&decoding, line, &record, &reason) != ENG_DECODED_ONE) {
            fprintf(stderr, "%.*s: %s\n", (int)line.size_bytes, line.data, reason.text);
            CU_FAIL_FATAL("cannot be read again");
        }
        CU_ASSERT_TRUE(eng_record_equal(&layout, record, thing));
    }
    eng_encoding_close(&encoding);
    eng_decoding_close(&decoding);
    eng_builder_close(&builder);
    eng_text_out_close(&out);
    eng_layout_close(&layout);
}

static void csv_and_json_can_be_read_again(void)
{
    things_come_back_from(PEN_CSV);
    things_come_back_from(PEN_JSON);
}

static void rows_have_names(void)
{
    CU_ASSERT_STRING_EQUAL(eng_row_name(PEN_INSERT), "+I");
    CU_ASSERT_STRING_EQUAL(eng_row_name(PEN_UPDATE_BEFORE), "-U");
    CU_ASSERT_STRING_EQUAL(eng_row_name(PEN_UPDATE_AFTER), "+U");
    CU_ASSERT_STRING_EQUAL(eng_row_name(PEN_DELETE), "-D");
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/encoding", NULL, NULL);
    CU_ADD_TEST(suite, csv_has_a_line_of_names_and_a_line_for_each_record);
    CU_ADD_TEST(suite, json_is_an_object_a_line);
    CU_ADD_TEST(suite, people_get_names_and_values);
    CU_ADD_TEST(suite, the_kind_of_a_row_is_the_first_column);
    CU_ADD_TEST(suite, csv_and_json_can_be_read_again);
    CU_ADD_TEST(suite, rows_have_names);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    eng_layout_close((struct eng_layout *)(uintptr_t)pair_layout());
    return failed ? 1 : 0;
}
