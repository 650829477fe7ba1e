/* engine/operator/aggregate_inside.h: what the files aggregate_*.c share. Nobody else includes it.
 */
#ifndef ENG_OPERATOR_AGGREGATE_INSIDE_H
#define ENG_OPERATOR_AGGREGATE_INSIDE_H

#include "engine/operator/aggregate.h"

struct eng_aggregate_step {
    enum pen_aggregate_kind kind;
    uint32_t offset_bytes; /* of the accumulator in the entry */
    uint32_t size_bytes;
    const struct eng_field *from; /* of the records; NULL: none needed */
    const struct eng_field *into; /* of the result; NULL: the custom one fills what it likes */
    const struct eng_field *only; /* a bool: others are not looked at */
    const struct pen_function *custom;
};

#endif
