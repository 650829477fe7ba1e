/* A subtask that is nothing but accumulators: a context with an arena, a plan, and the records of
 * struct sample, which has a field of every type. Two of its fields are decimals, which PEN_RECORD
 * does not know: their types are set in a copy of the schema. */
#ifndef TESTS_OPERATOR_AGGREGATE_H
#define TESTS_OPERATOR_AGGREGATE_H

#include <CUnit/Basic.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/flow/worker.h"
#include "engine/operator/aggregate.h"
#include "engine/record/value.h"
#include "shm/random.h"

struct sample {
    pen_time at;
    bool cheap;
    int8_t tiny;
    int32_t whole;
    int64_t large;
    uint64_t natural;
    float ratio;
    double price;
    pen_opt_int64 maybe;
    pen_opt_double level;
    pen_code code;
    pen_date day;
    char tag[12];
    pen_string name;
    pen_opt_string note;
    int64_t cents;    /* decimal64, 2 digits behind the point */
    uint64_t wide[2]; /* decimal128, 3 digits */
};
PEN_RECORD(sample, at, cheap, tiny, whole, large, natural, ratio, price, maybe, level, code, day,
           tag, name, note, cents, wide);

struct bench {
    pen_context ctx;
    struct eng_worker worker;
    struct eng_board_worker place;
    struct eng_node node;
    struct eng_arena *arena;
    struct eng_layout in, out;
    struct eng_aggregate_plan compiled, plan;
    struct eng_aggregate_self self;
    struct eng_builder builder;
    char reason[512];
};

static inline void bench_decimal(struct pen_field *fields, uint32_t count, const char *name,
                                 uint32_t type, uint8_t precision, uint8_t scale)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) != 0) continue;
        fields[i].type = type;
        fields[i].precision = precision;
        fields[i].scale = scale;
    }
}

static inline const struct pen_schema *bench_sample_schema(void)
{
    enum { FIELDS = sizeof sample_fields / sizeof *sample_fields };
    static struct pen_field fields[FIELDS];
    static struct pen_schema schema;

    memcpy(fields, sample_fields, sizeof fields);
    bench_decimal(fields, FIELDS, "cents", PEN_TYPE_DECIMAL64, 18, 2);
    bench_decimal(fields, FIELDS, "wide", PEN_TYPE_DECIMAL128, 38, 3);
    schema = sample_schema;
    schema.fields = fields;
    return &schema;
}

/* False: the plan was refused, and bench->reason says why. */
static inline bool bench_open(struct bench *bench, const struct pen_schema *in,
                              const struct pen_schema *out, const struct pen_aggregate *list,
                              bool updating, bool windowed)
{
    memset(bench, 0, sizeof *bench);
    CU_ASSERT_FATAL(eng_arena_open(&bench->arena, 0, 0) == 0);
    CU_ASSERT_FATAL(eng_layout_open(&bench->in, in, bench->reason, sizeof bench->reason) == 0);
    CU_ASSERT_FATAL(eng_layout_open(&bench->out, out, bench->reason, sizeof bench->reason) == 0);
    bench->node.title = "aggregate(sample)";
    bench->worker.arena = bench->arena;
    bench->worker.place = &bench->place;
    bench->ctx.worker = &bench->worker;
    bench->ctx.node = &bench->node;
    bench->ctx.phase = ENG_PHASE_RECORD;
    eng_builder_open(&bench->builder, &bench->out, 0);
    bool good = eng_aggregate_plan_open(&bench->compiled, list, &bench->in, &bench->out, updating,
                                        windowed, bench->reason, sizeof bench->reason);
    bench->plan = bench->compiled;
    bench->plan.self = &bench->self;
    return good;
}

static inline void bench_close(struct bench *bench)
{
    CU_ASSERT_EQUAL(bench->self.owned_bytes, 0);
    CU_ASSERT_EQUAL(eng_arena_bytes(bench->arena), 0);
    eng_aggregate_plan_close(&bench->compiled);
    eng_aggregate_self_close(&bench->self);
    eng_builder_close(&bench->builder);
    eng_layout_close(&bench->in);
    eng_layout_close(&bench->out);
    eng_arena_close(bench->arena);
    free(bench->ctx.put.bytes);
}

static inline void *bench_value(const struct bench *bench)
{
    void *value = calloc(1, bench->plan.value_bytes + 8);
    CU_ASSERT_FATAL(value != NULL);
    return value;
}

static inline void bench_drop(struct bench *bench, void *value)
{
    eng_aggregate_free(&bench->ctx, &bench->plan, value);
    for (uint32_t i = 0; i < bench->plan.value_bytes; i++)
        if (((char *)value)[i] != 0) CU_FAIL_FATAL("a freed value is not zeros");
    free(value);
}

static inline const void *bench_finish(struct bench *bench, const void *value, int64_t from_us,
                                       int64_t to_us)
{
    eng_builder_begin(&bench->builder);
    if (!eng_aggregate_finish(&bench->ctx, &bench->plan, value, from_us, to_us, &bench->builder))
        return NULL;
    return eng_builder_finish(&bench->builder, NULL);
}

/* Adds one record, or takes it back. */
static inline bool bench_add(struct bench *bench, void *value, const void *record, enum pen_row row)
{
    uint8_t rows[1] = {(uint8_t)row};
    struct eng_batch batch = {.count = 1, .records = &record, .rows = rows};

    return eng_aggregate_add(&bench->ctx, &bench->plan, &batch, &value);
}

/* What the job says when it has failed; and it has not any more. */
static inline const char *bench_failure(struct bench *bench)
{
    const char *text = strstr(bench->place.failure, "): ");

    CU_ASSERT(bench->worker.failed);
    bench->worker.failed = false;
    return text ? text + 3 : bench->place.failure;
}

/* Lays a struct and two texts out as one run of bytes; free it. */
static inline struct sample *bench_lay(const struct sample *sample, const char *name,
                                       const char *note)
{
    size_t name_bytes = strlen(name), note_bytes = note ? strlen(note) : 0;
    struct sample *record = calloc(1, (sizeof *record + 8 + name_bytes + note_bytes + 8) & ~7ul);
    char *at = (char *)(record + 1);

    CU_ASSERT_FATAL(record != NULL);
    *record = *sample;
    memcpy(at, name, name_bytes);
    record->name = (pen_string){(int32_t)(at - (char *)&record->name), (uint32_t)name_bytes};
    record->note.present = note != NULL;
    record->note.value = (pen_string){0, 0};
    if (note) {
        memcpy(at + name_bytes, note, note_bytes);
        record->note.value = (pen_string){(int32_t)(at + name_bytes - (char *)&record->note.value),
                                          (uint32_t)note_bytes};
    }
    return record;
}

#endif
