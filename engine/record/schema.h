/* engine/record/schema.h: the checking of schemas, for layout.c. What others need of it is in
 * layout.h.
 */
#ifndef ENG_RECORD_SCHEMA_H
#define ENG_RECORD_SCHEMA_H

#include "engine/record/layout.h"

/* Believes nothing but that the pointers in it can be read. */
bool eng_schema_verify(const struct pen_schema *schema, struct eng_reason *reason);

/* Bytes of a field of the type, `present` included; of one element for an array. 0 for chars. */
uint32_t eng_field_expected_bytes(uint32_t type);

#endif
