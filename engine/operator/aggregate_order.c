/* Values as numbers, or as bytes, of the order of their type. */
#include <math.h>
#include <string.h>

#include "engine/operator/aggregate_inside.h"

bool eng_aggregate_has_rank(const struct eng_field *field)
{
    return !eng_type_is_text(field->type) && field->type != PEN_TYPE_CHARS &&
           field->type != PEN_TYPE_DECIMAL128;
}

/* ---- Ranks ----------------------------------------------------------------------------------- */

#define ORDER_TOP ((uint64_t)1 << 63)

/* The bits of a double, as an integer, are in its order above zero and against it below. */
static inline int64_t order_of_double(double value)
{
    int64_t bits;

    if (value != value) value = NAN; /* all of them alike, and above infinity */
    memcpy(&bits, &value, sizeof bits);
    return bits < 0 ? bits ^ INT64_MAX : bits;
}

static double order_to_double(int64_t rank)
{
    int64_t bits = rank < 0 ? rank ^ INT64_MAX : rank;
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A code's first byte counts most. */
static inline int64_t order_of_code(uint64_t bits)
{
    return (int64_t)(__builtin_bswap64(bits) ^ ORDER_TOP);
}

#define ORDER_RANKS(type, rank)                                                                    \
    do {                                                                                           \
        for (uint32_t i_ = 0; i_ < batch->count; i_++) {                                           \
            type value;                                                                            \
            memcpy(&value, (const char *)batch->records[i_] + offset_bytes, sizeof value);         \
            ranks[i_] = (rank);                                                                    \
        }                                                                                          \
        return;                                                                                    \
    } while (0)

void eng_aggregate_ranks(const struct eng_field *field, const struct eng_batch *batch,
                         int64_t *ranks)
{
    uint32_t offset_bytes = field->offset_bytes;

    switch (field->type) {
    case PEN_TYPE_BOOL:
    case PEN_TYPE_UINT8:
        ORDER_RANKS(uint8_t, value);
    case PEN_TYPE_INT8:
        ORDER_RANKS(int8_t, value);
    case PEN_TYPE_INT16:
        ORDER_RANKS(int16_t, value);
    case PEN_TYPE_UINT16:
        ORDER_RANKS(uint16_t, value);
    case PEN_TYPE_INT32:
    case PEN_TYPE_DATE:
        ORDER_RANKS(int32_t, value);
    case PEN_TYPE_UINT32:
        ORDER_RANKS(uint32_t, value);
    case PEN_TYPE_INT64:
    case PEN_TYPE_TIME:
    case PEN_TYPE_TIME_OF_DAY:
    case PEN_TYPE_DECIMAL64:
        ORDER_RANKS(int64_t, value);
    case PEN_TYPE_UINT64:
        ORDER_RANKS(uint64_t, (int64_t)(value ^ ORDER_TOP));
    case PEN_TYPE_FLOAT:
        ORDER_RANKS(float, order_of_double((double)value));
    case PEN_TYPE_DOUBLE:
        ORDER_RANKS(double, order_of_double(value));
    case PEN_TYPE_CODE:
        ORDER_RANKS(uint64_t, order_of_code(value));
    default:
        CHECK(false); /* it has no rank */
    }
}

void eng_aggregate_set_rank(const struct eng_aggregate_step *step, int64_t rank,
                            struct eng_builder *result)
{
    void *record = eng_builder_record(result), *at = eng_field_at(step->into, record);
    uint32_t size_bytes = step->into->size_bytes;
    uint64_t bits = (uint64_t)rank;

    switch (step->into->type) {
    case PEN_TYPE_UINT64:
        bits ^= ORDER_TOP;
        break;
    case PEN_TYPE_CODE:
        bits = __builtin_bswap64(bits ^ ORDER_TOP);
        break;
    case PEN_TYPE_DOUBLE:
        bits = rank < 0 ? bits ^ (uint64_t)INT64_MAX : bits;
        break;
    case PEN_TYPE_FLOAT: {
        float value = (float)order_to_double(rank);
        uint32_t low;
        memcpy(&low, &value, sizeof low);
        bits = low;
        break;
    }
    default:
        break;
    }
    CHECK(size_bytes <= sizeof bits);
    memcpy(at, &bits, size_bytes); /* the low bytes come first */
    eng_field_set_present(step->into, record);
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

pen_view eng_aggregate_bytes(const struct eng_field *field, const void *record, char *wide)
{
    uint64_t words[2];

    if (field->type != PEN_TYPE_DECIMAL128) return eng_field_text(field, record);
    memcpy(words, eng_field_of(field, record), sizeof words);
    uint64_t high = __builtin_bswap64(words[1] ^ ORDER_TOP), low = __builtin_bswap64(words[0]);
    memcpy(wide, &high, sizeof high);
    memcpy(wide + sizeof high, &low, sizeof low);
    return pen_view_sized(wide, ENG_AGGREGATE_WIDE_BYTES);
}

bool eng_aggregate_set_bytes(pen_context *ctx, const struct eng_aggregate_step *step,
                             pen_view bytes, struct eng_builder *result)
{
    uint64_t words[2];

    if (step->into->type != PEN_TYPE_DECIMAL128)
        return eng_aggregate_set_text(ctx, step, bytes, result);
    CHECK(bytes.size_bytes == ENG_AGGREGATE_WIDE_BYTES);
    memcpy(&words[1], bytes.data, sizeof words[1]);
    memcpy(&words[0], bytes.data + sizeof words[1], sizeof words[0]);
    words[1] = __builtin_bswap64(words[1]) ^ ORDER_TOP;
    words[0] = __builtin_bswap64(words[0]);
    memcpy(eng_field_at(step->into, eng_builder_record(result)), words, sizeof words);
    eng_field_set_present(step->into, eng_builder_record(result));
    return true;
}

int eng_aggregate_compare(pen_view a, pen_view b)
{
    uint32_t both = a.size_bytes < b.size_bytes ? a.size_bytes : b.size_bytes;
    int order = both ? memcmp(a.data, b.data, both) : 0;

    if (order != 0) return order;
    return (a.size_bytes > b.size_bytes) - (a.size_bytes < b.size_bytes);
}

/* ---- Numbers --------------------------------------------------------------------------------- */

#define ORDER_DOUBLES(type, number)                                                                \
    do {                                                                                           \
        for (uint32_t i_ = 0; i_ < batch->count; i_++) {                                           \
            type value;                                                                            \
            memcpy(&value, (const char *)batch->records[i_] + offset_bytes, sizeof value);         \
            doubles[i_] = (number);                                                                \
        }                                                                                          \
        return;                                                                                    \
    } while (0)

void eng_aggregate_doubles(const struct eng_aggregate_step *step, const struct eng_batch *batch,
                           double *doubles)
{
    uint32_t offset_bytes = step->from->offset_bytes;
    double scale = step->scale;

    switch (step->from->type) {
    case PEN_TYPE_BOOL:
    case PEN_TYPE_UINT8:
        ORDER_DOUBLES(uint8_t, value);
    case PEN_TYPE_INT8:
        ORDER_DOUBLES(int8_t, value);
    case PEN_TYPE_INT16:
        ORDER_DOUBLES(int16_t, value);
    case PEN_TYPE_UINT16:
        ORDER_DOUBLES(uint16_t, value);
    case PEN_TYPE_INT32:
        ORDER_DOUBLES(int32_t, value);
    case PEN_TYPE_UINT32:
        ORDER_DOUBLES(uint32_t, value);
    case PEN_TYPE_INT64:
        ORDER_DOUBLES(int64_t, (double)value);
    case PEN_TYPE_UINT64:
        ORDER_DOUBLES(uint64_t, (double)value);
    case PEN_TYPE_FLOAT:
        ORDER_DOUBLES(float, (double)value);
    case PEN_TYPE_DOUBLE:
        ORDER_DOUBLES(double, value);
    case PEN_TYPE_DECIMAL64:
        ORDER_DOUBLES(int64_t, (double)value / scale);
    case PEN_TYPE_DECIMAL128:
        ORDER_DOUBLES(eng_int128, (double)value / scale);
    default:
        CHECK(false); /* no number */
    }
}
