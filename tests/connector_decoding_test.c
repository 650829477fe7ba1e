/* Lines become records, in each format; headers reorder columns. */
#include "engine/connector/decoding.h"

#include <CUnit/Basic.h>
#include <errno.h>

#include "tests/connector_records.h"

struct trip {
    pen_code from;
    int32_t km;
    pen_opt_int32 late;
};
PEN_RECORD(trip, from, km, late);

static struct eng_layout trip_layout;

static int open_layout(void)
{
    char reason[256];
    return eng_layout_open(&trip_layout, &trip_schema, reason, sizeof reason);
}

static int close_layout(void)
{
    eng_layout_close(&trip_layout);
    return 0;
}

static enum eng_decoded decode(struct eng_decoding *decoding, const char *text, struct trip *trip,
                               struct eng_reason *reason)
{
    const void *record;
    enum eng_decoded decoded = eng_decoding_line(decoding, pen_view_from(text), &record, reason);

    if (decoded == ENG_DECODED_ONE) *trip = *(const struct trip *)record;
    return decoded;
}

static void columns_are_found_by_the_names_of_the_header(void)
{
    struct eng_decoding decoding;
    struct eng_reason reason;
    struct trip trip = {0};

    CU_ASSERT_EQUAL_FATAL(eng_decoding_open(&decoding, PEN_CSV, &trip_layout, 0, &reason), 0);
    CU_ASSERT_EQUAL(decode(&decoding, "EWR,10,3", &trip, &reason), ENG_DECODED_ONE);
    CU_ASSERT_EQUAL(trip.km, 10);
    CU_ASSERT_EQUAL(eng_decoding_header(&decoding, pen_view_from("late,extra,km,from"), &reason),
                    0);
    CU_ASSERT_EQUAL(decode(&decoding, ",what,11,JFK", &trip, &reason), ENG_DECODED_ONE);
    CU_ASSERT_EQUAL(trip.km, 11);
    CU_ASSERT_FALSE(trip.late.present);
    CU_ASSERT_TRUE(pen_code_equal(trip.from, pen_code_from("JFK")));
    /* The next file of a directory. */
    CU_ASSERT_EQUAL(eng_decoding_header(&decoding, pen_view_from("km,from"), &reason), 0);
    CU_ASSERT_EQUAL(decode(&decoding, "12,LGA", &trip, &reason), ENG_DECODED_ONE);
    CU_ASSERT_EQUAL(trip.km, 12);
    eng_decoding_close(&decoding);
}

static void a_header_without_a_needed_column_is_refused_by_name(void)
{
    struct eng_decoding decoding;
    struct eng_reason reason;

    CU_ASSERT_EQUAL_FATAL(eng_decoding_open(&decoding, PEN_CSV, &trip_layout, 0, &reason), 0);
    CU_ASSERT_EQUAL(eng_decoding_header(&decoding, pen_view_from("late,from"), &reason), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "km"));
    eng_decoding_close(&decoding);
}

static void what_is_no_record_says_why(void)
{
    struct eng_decoding decoding;
    struct eng_reason reason;
    struct trip trip = {0};

    CU_ASSERT_EQUAL_FATAL(eng_decoding_open(&decoding, PEN_CSV, &trip_layout, ';', &reason), 0);
    CU_ASSERT_EQUAL(decode(&decoding, "EWR;ten;3", &trip, &reason), ENG_DECODED_BAD);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason.text, "ten"));
    CU_ASSERT_EQUAL(decode(&decoding, "EWR;10", &trip, &reason), ENG_DECODED_BAD);
    CU_ASSERT_EQUAL(decode(&decoding, "EWR;;3", &trip, &reason), ENG_DECODED_BAD);
    CU_ASSERT_EQUAL(decode(&decoding, "\"EWR;10;3", &trip, &reason), ENG_DECODED_BAD);
    CU_ASSERT_EQUAL(decode(&decoding, "", &trip, &reason), ENG_DECODED_NOTHING);
    CU_ASSERT_EQUAL(decode(&decoding, "EWR;10;3", &trip, &reason), ENG_DECODED_ONE);
    eng_decoding_close(&decoding);

    CU_ASSERT_EQUAL_FATAL(eng_decoding_open(&decoding, PEN_JSON, &trip_layout, 0, &reason), 0);
    CU_ASSERT_EQUAL(decode(&decoding, "{\"from\":\"EWR\"}", &trip, &reason), ENG_DECODED_BAD);
    CU_ASSERT_EQUAL(decode(&decoding, "{\"km\":1,\"from\":", &trip, &reason), ENG_DECODED_BAD);
    CU_ASSERT_EQUAL(decode(&decoding, "", &trip, &reason), ENG_DECODED_NOTHING);
    CU_ASSERT_EQUAL(decode(&decoding, "{\"km\":1,\"from\":\"EWR\"}", &trip, &reason),
                    ENG_DECODED_ONE);
    eng_decoding_close(&decoding);
}

static void lines_are_records_with_their_text_behind(void)
{
    struct eng_layout layout;
    struct eng_decoding decoding;
    struct eng_reason reason;
    const void *record;
    char why[256];
    char *large = malloc(ENG_RECORD_BYTES_MAX);

    CHECK(large != NULL);
    memset(large, 'x', ENG_RECORD_BYTES_MAX);
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &pen_line_schema, why, sizeof why), 0);
    CU_ASSERT_EQUAL_FATAL(eng_decoding_open(&decoding, ENG_FORMAT_LINES, &layout, 0, &reason), 0);
    for (uint32_t bytes = 0; bytes < 100; bytes++) {
        CU_ASSERT_EQUAL_FATAL(
            eng_decoding_line(&decoding, (pen_view){large, bytes}, &record, &reason),
            ENG_DECODED_ONE);
        pen_view text = pen_view_of(&((const struct pen_line *)record)->text);
        CU_ASSERT_EQUAL(text.size_bytes, bytes);
        CU_ASSERT(memcmp(text.data, large, bytes) == 0);
    }
    pen_view longest = {large, ENG_RECORD_BYTES_MAX - (uint32_t)sizeof(struct pen_line)};
    CU_ASSERT_EQUAL(eng_decoding_line(&decoding, longest, &record, &reason), ENG_DECODED_ONE);
    CU_ASSERT_EQUAL(eng_record_bytes(&layout, record), ENG_RECORD_BYTES_MAX);
    longest.size_bytes++;
    CU_ASSERT_EQUAL(eng_decoding_line(&decoding, longest, &record, &reason), ENG_DECODED_BAD);
    eng_decoding_close(&decoding);
    eng_layout_close(&layout);
    free(large);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("connector/decoding", open_layout, close_layout);
    CU_ADD_TEST(suite, columns_are_found_by_the_names_of_the_header);
    CU_ADD_TEST(suite, a_header_without_a_needed_column_is_refused_by_name);
    CU_ADD_TEST(suite, what_is_no_record_says_why);
    CU_ADD_TEST(suite, lines_are_records_with_their_text_behind);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed ? 1 : 0;
}
