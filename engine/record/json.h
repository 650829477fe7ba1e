/* engine/record/json.h: one JSON object a line.
 *
 * Members are found by the names of fields, in any order; a name with dots is a path, `person.id`
 * the member `id` of the object `person`. Members that are no field are skipped whatever they hold.
 * A member that comes twice counts the last time. Absent and null are null, and a bad record where
 * the field cannot be null.
 *
 *     field            takes
 *     integers         numbers without fraction or exponent, exactly, up to 2^64 - 1
 *     float, double    numbers
 *     bool             true, false
 *     decimals         numbers and strings, exactly, by their digits
 *     time             strings as in RFC 3339; integers: microseconds since the epoch
 *     date             strings 2013-01-31; integers: days since the epoch
 *     time of day      strings 10:15:00.5; integers: microseconds since midnight
 *     texts            strings; with escapes undone
 *     bytes            strings of base64
 *     arrays           arrays of as many numbers (or bools)
 *
 * Everything else is a bad record, and so are text that is not UTF-8, half a surrogate pair,
 * nesting deeper than ENG_JSON_DEPTH_MAX and anything but white space behind the object. The parser
 * is yajl.
 *
 * Encoding writes what decoding reads: times as strings, integers with all their digits (readers
 * that hold numbers as doubles lose some above 2^53), decimals as numbers, not-a-number and
 * infinities as null, null fields as null, an object whose fields are all null not at all. Bytes of
 * a text that are not UTF-8 become U+FFFD.
 */
#ifndef ENG_RECORD_JSON_H
#define ENG_RECORD_JSON_H

#include "engine/record/build.h"
#include "engine/record/layout.h"
#include "engine/record/out.h"
#include "engine/record/reason.h"

struct eng_json_member; /* see json_member.h */

struct eng_json {
    const struct eng_layout *layout;
    uint32_t member_count; /* fields and the objects that hold them; number 0 is the record */
    uint32_t table_mask;
    struct eng_json_member *members; /* an object stands before what it holds */
    uint32_t *table;                 /* (object, name) -> member, open addressing; 0 is empty */
    char *keys;                      /* names as they are written */
};

/* 0, -EINVAL with a reason (a field `a` beside a field `a.b`, an empty part of a path, too deep),
 * -ENOMEM. The layout must stay. */
int eng_json_open(struct eng_json *json, const struct eng_layout *layout,
                  struct eng_reason *reason);
void eng_json_close(struct eng_json *json); /* accepts zeros */

/* One object, with or without a line end. False: a bad record, and why. The builder is begun here
 * and must be of the same layout; the caller finishes it. */
bool eng_json_decode(const struct eng_json *json, pen_view text, struct eng_builder *builder,
                     struct eng_reason *reason);

/* The record as one object, without a line end. */
void eng_json_encode(const struct eng_json *json, const void *record, struct eng_text_out *out);

#endif
