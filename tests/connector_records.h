/* A record with a bit of everything, for the tests of connectors, and as many of them as wanted. */
#ifndef TESTS_CONNECTOR_RECORDS_H
#define TESTS_CONNECTOR_RECORDS_H

#include <penstock.h>

#include "engine/record/build.h"
#include "tests/connector_scratch.h"

struct thing {
    int64_t number;
    pen_string name;
    pen_opt_double weight;
    pen_time at;
    pen_code code;
    pen_opt_string note;
};
PEN_RECORD(thing, number, name, weight, at, code, note);

static inline struct eng_layout thing_layout(void)
{
    struct eng_layout layout;
    char reason[256];

    CHECK(eng_layout_open(&layout, &thing_schema, reason, sizeof reason) == 0);
    return layout;
}

/* The thing of a number: always the same one. Valid until the next one is built. */
static inline const void *thing_build(struct eng_builder *builder, uint64_t number)
{
    static const char *const names[] = {"plain", "with, comma", "with \"quotes\"", "", "\xc3\xa4"};
    uint64_t random = number;
    struct eng_reason reason;
    uint32_t size_bytes;

    eng_builder_begin(builder);
    CHECK(eng_builder_set_int(builder, 0, (int64_t)number, &reason));
    CHECK(eng_builder_set_text(builder, 1, pen_view_from(names[number % 5]), &reason));
    if (number % 3)
        CHECK(eng_builder_set_double(builder, 2, (double)(scratch_random(&random) % 1000) / 8,
                                     &reason));
    CHECK(eng_builder_set_time(builder, 3, (pen_time){(int64_t)number * 1000003}, &reason));
    CHECK(eng_builder_set_text(builder, 4, pen_view_from(number % 2 ? "EWR" : "JFK"), &reason));
    if (number % 4)
        CHECK(eng_builder_set_text(builder, 5, pen_view_from(names[number % 3]), &reason));
    return eng_builder_finish(builder, &size_bytes);
}

#endif
