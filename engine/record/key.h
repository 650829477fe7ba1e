/* engine/record/key.h: what two records must have in common to meet.
 *
 * A key is some fields of a record, in the order in which they were named. Its image is the one way
 * to write it as bytes: the fields at their natural alignment, zeros between them and in what is
 * null, texts behind in order, zeros up to a multiple of 8 behind texts. So two keys are equal when
 * memcmp says so, whatever padding their records carry, and the hash of a key is shm_hash of its
 * image. The image is a record of eng_key_schema, and is what a state table stores.
 *
 *     struct flight { pen_time at; pen_code origin; pen_code dest; int32_t number; ... }
 *
 *     key (origin, dest)       image = 16 bytes of the record itself: direct
 *     key (dest, number)       image = | dest 8 | number 4 | 0000 |: gathered
 *
 * A key is direct when its image already lies in the record: no texts, no nulls, no holes. Most
 * keys are, and nothing is copied for them.
 *
 * Keys of two streams that are to meet need the same types in the same order, not the same names. A
 * key that a user's function computes is a record of its own schema: all its fields are the key.
 *
 * Compiled once, before the fork; read by all. The layout must stay and the key must not be moved.
 */
#ifndef ENG_RECORD_KEY_H
#define ENG_RECORD_KEY_H

#include "engine/record/build.h"
#include "engine/record/layout.h"
#include "engine/record/reason.h"

/* ---- Copying fields of the same name --------------------------------------------------------- */

struct eng_copy_step {
    uint32_t from_offset; /* of the value */
    uint32_t to_offset;
    uint32_t size_bytes;
    uint32_t from_presence; /* byte, where from_mask is not 0 */
    uint32_t to_presence;
    uint8_t from_mask;
    uint8_t to_mask;
    bool is_text;
    uint32_t to_field; /* index in the target's layout */
};

struct eng_copy_plan {
    struct eng_copy_step *steps;
    uint32_t step_count;
    uint32_t text_count;
    const struct eng_layout *from;
    const struct eng_layout *to;
};

/* For each field of `from` the field of the same name in `to`. The types must be the same: nothing
 * is widened; a field that cannot be null may go into one that can, not the other way round. A
 * field that `to` has not is left out when `missing_ok`, else a mistake. 0, -EINVAL with a reason,
 * -ENOMEM. Both layouts must stay. */
int eng_copy_plan_open(struct eng_copy_plan *plan, const struct eng_layout *from,
                       const struct eng_layout *to, bool missing_ok, struct eng_reason *reason);
void eng_copy_plan_close(struct eng_copy_plan *plan); /* accepts zeros */

/* Plans without texts: straight into a record of `to`. */
void eng_copy_plan_fixed(const struct eng_copy_plan *plan, const void *from, void *to);
/* All plans: into the record that is being built. False: it does not fit. */
bool eng_copy_plan_build(const struct eng_copy_plan *plan, const void *from, struct eng_builder *to,
                         struct eng_reason *reason);

/* What copy.c and key.c do with a step, in their loops. */

static inline struct eng_copy_step eng_copy_step_of(const struct eng_field *from,
                                                    const struct eng_field *to, uint32_t to_field)
{
    return (struct eng_copy_step){.from_offset = from->offset_bytes,
                                  .to_offset = to->offset_bytes,
                                  .size_bytes = from->size_bytes,
                                  .from_presence = from->presence_offset,
                                  .to_presence = to->presence_offset,
                                  .from_mask = from->presence_mask,
                                  .to_mask = to->presence_mask,
                                  .is_text = eng_type_is_text(from->type),
                                  .to_field = to_field};
}

static inline bool eng_copy_step_is_null(const struct eng_copy_step *step, const char *from)
{
    return step->from_mask && !((uint8_t)from[step->from_presence] & step->from_mask);
}

/* The value, which is not null, is there. Most are of 4 or 8 bytes: one move each. */
static inline void eng_copy_step_value(const struct eng_copy_step *step, const char *restrict from,
                                       char *restrict to)
{
    if (step->to_mask)
        to[step->to_presence] = (char)((uint8_t)to[step->to_presence] | step->to_mask);
    switch (step->size_bytes) {
    case 4:
        memcpy(to + step->to_offset, from + step->from_offset, 4);
        break;
    case 8:
        memcpy(to + step->to_offset, from + step->from_offset, 8);
        break;
    default:
        memcpy(to + step->to_offset, from + step->from_offset, step->size_bytes);
        break;
    }
}

/* The text of a step with one; empty where it is null. */
static inline pen_view eng_copy_step_text(const struct eng_copy_step *step, const char *from)
{
    const char *at = from + step->from_offset;
    pen_string string;

    if (eng_copy_step_is_null(step, from)) return pen_view_sized(at, 0);
    memcpy(&string, at, sizeof string);
    return pen_view_sized(string.size_bytes ? at + string.offset_bytes : at, string.size_bytes);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

struct eng_key {
    bool direct;
    bool has_text;
    uint32_t direct_offset; /* direct: where the image lies in the record */
    uint32_t size_bytes; /* of the image; of its fixed part (a multiple of 8) when it has texts */
    const struct eng_layout *record;
    struct eng_layout layout;  /* of the image */
    struct eng_copy_plan plan; /* record -> image */
    struct pen_schema schema;  /* of the image */
    void *memory;              /* its fields and names */
};

/* names: field_count of them. No name at all is a key too, the one key of everything. NULL: all
 * fields of the layout, for a key that a function computes. float and double are refused. 0,
 * -EINVAL with a reason, -ENOMEM. */
int eng_key_open(struct eng_key *key, const struct eng_layout *record, const char *const *names,
                 uint32_t name_count, struct eng_reason *reason);
void eng_key_close(struct eng_key *key); /* accepts zeros */

/* All images are of size_bytes, which is not 0: tables need not be told their sizes. */
static inline bool eng_key_is_fixed(const struct eng_key *key)
{
    return !key->has_text && key->size_bytes > 0;
}

/* The schema "key" of the image: its fields have their names from the record. */
static inline const struct pen_schema *eng_key_schema(const struct eng_key *key)
{
    return &key->schema;
}

/* Whether records keyed by a and records keyed by b can meet: else -EINVAL and why. */
int eng_key_match(const struct eng_key *a, const struct eng_key *b, struct eng_reason *reason);

/* hashes[i] = shm_hash(image of records[i]). */
void eng_key_hashes(const struct eng_key *key, const void *const *records, uint32_t count,
                    uint64_t *hashes);

/* Memory for images that do not lie in their records. Zeros are an empty one; it grows and is used
 * again. Running out of memory aborts. */
struct eng_key_scratch {
    char *bytes;
    size_t capacity_bytes;
};
void eng_key_scratch_close(struct eng_key_scratch *scratch);

/* images[i], sizes[i]: valid as long as the records and until the scratch is used again. Images of
 * keys that are not direct begin at multiples of 8, direct ones where their fields lie. */
void eng_key_images(const struct eng_key *key, const void *const *records, uint32_t count,
                    struct eng_key_scratch *scratch, const void **images, uint32_t *sizes);

#endif
