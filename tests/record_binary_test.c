/* engine/record/binary: files of records.
 * Method: random schemas and records written and read back in pieces; every byte of a file damaged,
 * and every length of it cut off. */
#include "engine/record/binary.h"

#include <errno.h>

#include "engine/record/key.h"
#include "tests/record_random.h"

static struct eng_reason reason;

static void files_are_read_back_without_the_schema(void)
{
    struct eng_text_out out = {0};

    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct random random = {seed}, again;
        struct random_schema s;
        struct eng_builder builder;
        struct eng_binary file;
        uint32_t count, bytes;
        int64_t at;
        size_t ends[30];

        random_schema_open(&random, &s, false);
        count = random_below(&random, 30);
        again = random;
        eng_builder_open(&builder, &s.layout, 0);
        eng_text_out_clear(&out);
        eng_binary_encode_header(&s.layout, &out);
        for (uint32_t i = 0; i < count; i++) {
            CU_ASSERT_TRUE(eng_binary_encode(
                &s.layout, random_record(&random, &builder, false, &bytes), &out));
            ends[i] = out.size_bytes;
        }
        at = eng_binary_open(&file, out.bytes, out.size_bytes, &reason);
        CU_ASSERT_TRUE_FATAL(at > 0 && at % 8 == 0);
        CU_ASSERT_TRUE(eng_schema_same(&file.schema, &s.schema));

        for (uint32_t i = 0; i < count; i++) {
            const void *record, *wanted = random_record(&again, &builder, false, &bytes);
            uint32_t found_bytes;
            int64_t step = eng_binary_next(&file, out.bytes + at, out.size_bytes - (size_t)at,
                                           &record, &found_bytes, &reason);

            CU_ASSERT_EQUAL_FATAL((size_t)(at + step), ends[i]);
            CU_ASSERT_EQUAL(found_bytes, bytes);
            CU_ASSERT_TRUE(eng_record_equal(&file.layout, record, wanted));
            for (int64_t cut = 0; cut < step; cut++)
                CU_ASSERT_EQUAL(eng_binary_next(&file, out.bytes + at, (size_t)cut, &record,
                                                &found_bytes, &reason),
                                -EAGAIN);
            at += step;
        }
        CU_ASSERT_EQUAL((size_t)at, out.size_bytes);
        eng_binary_close(&file);
        eng_binary_close(&file);
        eng_builder_close(&builder);
        eng_layout_close(&s.layout);
    }
    eng_text_out_close(&out);
}

struct note {
    int32_t number;
    pen_string text;
    pen_opt_double real;
};
PEN_RECORD(note, number, text, real);

static void write_note(struct eng_text_out *out, struct eng_layout *layout)
{
    struct eng_builder builder;

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(layout, &note_schema, NULL, 0), 0);
    eng_builder_open(&builder, layout, 0);
    CU_ASSERT_TRUE(eng_builder_set_int(&builder, 0, 7, NULL));
    CU_ASSERT_TRUE(eng_builder_set_text(&builder, 1, pen_view_from("hello"), NULL));
    eng_binary_encode_header(layout, out);
    CU_ASSERT_TRUE(eng_binary_encode(layout, eng_builder_finish(&builder, NULL), out));
    eng_builder_close(&builder);
}

static void a_damaged_byte_is_found_wherever_it_is(void)
{
    struct eng_text_out out = {0};
    struct eng_layout layout;
    struct eng_binary file;
    const void *record;
    uint32_t bytes;
    int64_t head;

    write_note(&out, &layout);
    head = eng_binary_open(&file, out.bytes, out.size_bytes, &reason);
    CU_ASSERT_TRUE_FATAL(head > 0);
    for (size_t i = 0; i < out.size_bytes; i++) {
        for (uint32_t bit = 0; bit < 8; bit++) {
            int64_t result;

            out.bytes[i] = (char)(out.bytes[i] ^ 1 << bit);
            if (i < (size_t)head) {
                struct eng_binary spoilt;
                result = eng_binary_open(&spoilt, out.bytes, out.size_bytes, &reason);
            } else {
                result = eng_binary_next(&file, out.bytes + head, out.size_bytes - (size_t)head,
                                         &record, &bytes, &reason);
            }
            /* A length that is too great by chance waits for bytes that never come. */
            CU_ASSERT_TRUE(result == -EBADMSG || result == -EAGAIN);
            out.bytes[i] = (char)(out.bytes[i] ^ 1 << bit);
        }
    }
    CU_ASSERT_TRUE(eng_binary_next(&file, out.bytes + head, out.size_bytes - (size_t)head, &record,
                                   &bytes, &reason) > 0);
    eng_binary_close(&file);
    eng_layout_close(&layout);
    eng_text_out_close(&out);
}

static void a_head_that_is_cut_off_waits_and_one_of_another_kind_does_not(void)
{
    struct eng_text_out out = {0};
    struct eng_layout layout;
    struct eng_binary file;
    int64_t head;

    write_note(&out, &layout);
    head = eng_binary_open(&file, out.bytes, out.size_bytes, &reason);
    eng_binary_close(&file);
    for (int64_t cut = 0; cut < head; cut++)
        CU_ASSERT_EQUAL(eng_binary_open(&file, out.bytes, (size_t)cut, &reason), -EAGAIN);
    CU_ASSERT_EQUAL(eng_binary_open(&file, "number,text", 11, &reason), -EBADMSG);
    CU_ASSERT_STRING_EQUAL(reason.text, "not a file of binary records");
    CU_ASSERT_EQUAL(eng_binary_open(&file, "PENX", 4, &reason), -EBADMSG);
    eng_layout_close(&layout);
    eng_text_out_close(&out);
}

/* A checksum only says that somebody meant it: a schema that lies is refused for what it is. */
static void a_schema_that_lies_is_refused(void)
{
    struct pen_field fields[] = {{"x", 0, 8, PEN_TYPE_INT64, 0, 0, 0},
                                 {"y", 8, 8, PEN_TYPE_INT64, 0, 0, 0}};
    struct pen_schema schema = {PEN_ABI, 16, 8, 2, "liar", fields, sizeof fields[0], 0};
    struct eng_text_out out = {0};
    struct eng_layout layout;
    struct eng_binary file;

    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&layout, &schema, NULL, 0), 0);
    fields[1].offset_bytes = 4096; /* the layout has seen another one */
    eng_binary_encode_header(&layout, &out);
    CU_ASSERT_EQUAL(eng_binary_open(&file, out.bytes, out.size_bytes, &reason), -EBADMSG);
    assert_says(reason.text, "liar: field y: bytes 4096 to 4104 are outside");
    CU_ASSERT_EQUAL(eng_binary_open(&file, out.bytes, out.size_bytes, NULL), -EBADMSG);
    eng_layout_close(&layout);
    eng_text_out_close(&out);
}

struct later {
    pen_opt_double real;
    pen_string text;
    int32_t number;
    pen_opt_int64 added;
};
PEN_RECORD(later, real, text, number, added);

static void a_struct_that_has_changed_reads_an_old_file_by_name(void)
{
    struct eng_text_out out = {0};
    struct eng_layout layout, now;
    struct eng_binary file;
    struct eng_copy_plan plan;
    struct eng_builder builder;
    const void *record;
    const struct later *later;
    uint32_t bytes;
    int64_t head;

    write_note(&out, &layout);
    CU_ASSERT_EQUAL_FATAL(eng_layout_open(&now, &later_schema, NULL, 0), 0);
    head = eng_binary_open(&file, out.bytes, out.size_bytes, &reason);
    CU_ASSERT_TRUE_FATAL(head > 0);
    CU_ASSERT_EQUAL_FATAL(eng_copy_plan_open(&plan, &file.layout, &now, true, &reason), 0);
    CU_ASSERT_TRUE_FATAL(eng_binary_next(&file, out.bytes + head, out.size_bytes - (size_t)head,
                                         &record, &bytes, &reason) > 0);
    eng_builder_open(&builder, &now, 0);
    CU_ASSERT_TRUE(eng_copy_plan_build(&plan, record, &builder, &reason));
    later = eng_builder_finish(&builder, NULL);
    CU_ASSERT_EQUAL(later->number, 7);
    CU_ASSERT_TRUE(pen_text_equal(&later->text, "hello"));
    CU_ASSERT_FALSE(later->real.present);
    CU_ASSERT_FALSE(later->added.present);
    eng_builder_close(&builder);
    eng_copy_plan_close(&plan);
    eng_binary_close(&file);
    eng_layout_close(&now);
    eng_layout_close(&layout);
    eng_text_out_close(&out);
}

static void records_are_written_wherever_the_output_stands(void)
{
    struct eng_text_out even = {0}, odd = {0};
    struct eng_layout layout;

    write_note(&even, &layout);
    eng_layout_close(&layout);
    eng_text_out_char(&odd, 'x');
    write_note(&odd, &layout);
    CU_ASSERT_EQUAL(odd.size_bytes, even.size_bytes + 1);
    CU_ASSERT_EQUAL(memcmp(odd.bytes + 1, even.bytes, even.size_bytes), 0);
    eng_layout_close(&layout);
    eng_text_out_close(&even);
    eng_text_out_close(&odd);
}

int main(void)
{
    static const struct record_test tests[] = {
        RECORD_TEST(files_are_read_back_without_the_schema),
        RECORD_TEST(a_damaged_byte_is_found_wherever_it_is),
        RECORD_TEST(a_head_that_is_cut_off_waits_and_one_of_another_kind_does_not),
        RECORD_TEST(a_schema_that_lies_is_refused),
        RECORD_TEST(a_struct_that_has_changed_reads_an_old_file_by_name),
        RECORD_TEST(records_are_written_wherever_the_output_stands),
    };
    return record_run("record/binary", tests, sizeof tests / sizeof tests[0]);
}
