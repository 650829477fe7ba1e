/* engine/record/key.c: see key.h. */
#include "engine/record/key.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/record/schema.h"
#include "shm/check.h"
#include "shm/hash.h"

enum { KEY_SMALL_BYTES = 512 }; /* images up to here are hashed on the stack */

/* ---- Open ------------------------------------------------------------------------------------ */

static uint32_t key_round(uint32_t bytes, uint32_t align)
{
    return (bytes + align - 1) & ~(align - 1);
}

static const struct eng_field *key_field(const struct eng_layout *record, const char *const *names,
                                         uint32_t i, struct eng_reason *reason)
{
    const struct eng_field *field = names ? eng_layout_find(record, names[i]) : &record->fields[i];

    if (!field) {
        eng_reason_set(reason, "%s has no field %s", record->schema->name, names[i]);
        return NULL;
    }
    if (field->type == PEN_TYPE_FLOAT || field->type == PEN_TYPE_DOUBLE) {
        eng_reason_set(reason, "%s: field %s is %s, and numbers that are rounded are no key",
                       record->schema->name, field->name, eng_type_name(field->type));
        return NULL;
    }
    for (uint32_t k = 0; names && k < i; k++) {
        if (strcmp(names[k], names[i]) != 0) continue;
        eng_reason_set(reason, "%s: field %s is twice in the key", record->schema->name, names[i]);
        return NULL;
    }
    return field;
}

/* The image's schema: null words first, if there are null bits, then the fields one after the
 * other. fields[] has room for them. */
static int key_make_schema(struct eng_key *key, struct pen_field *fields, const char *const *names,
                           uint32_t count, struct eng_reason *reason)
{
    const struct pen_schema *from = key->record->schema;
    uint32_t end = 0, align = 1, bits = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct eng_field *field = key_field(key->record, names, i, reason);

        if (!field) return -EINVAL;
        fields[i] = *eng_schema_field(from, (uint32_t)(field - key->record->fields));
        if (fields[i].null_bit) fields[i].null_bit = (uint16_t)++bits;
    }
    if (bits) {
        end = (bits + 63) / 64 * 8;
        align = 8;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t own = eng_type_align(fields[i].type);

        fields[i].offset_bytes = key_round(end, own);
        end = fields[i].offset_bytes + fields[i].size_bytes;
        if (own > align) align = own;
    }
    key->schema = (struct pen_schema){.abi = PEN_ABI,
                                      .size_bytes = key_round(end, align),
                                      .align_bytes = align,
                                      .field_count = count,
                                      .name = "key",
                                      .fields = fields,
                                      .field_size_bytes = sizeof *fields};
    return 0;
}

/* Whether the image is a run of the record's own bytes, and where. */
static bool key_is_direct(const struct eng_key *key, uint32_t *offset)
{
    uint32_t bytes = 0;

    *offset = key->plan.step_count ? key->plan.steps[0].from_offset : 0;
    for (uint32_t i = 0; i < key->plan.step_count; i++) {
        const struct eng_copy_step *step = &key->plan.steps[i];

        if (step->is_text || step->to_mask) return false;
        if (step->from_offset - *offset != step->to_offset) return false;
        bytes += step->size_bytes;
    }
    return bytes == key->schema.size_bytes; /* no holes */
}

/* The plan copies record -> image, but the list of a key's fields is the key's. */
static int key_make_plan(struct eng_key *key, struct eng_reason *reason)
{
    struct eng_copy_plan plan = {.from = key->record, .to = &key->layout};

    plan.steps = malloc((key->schema.field_count + 1) * sizeof *plan.steps);
    if (!plan.steps) {
        eng_reason_set(reason, "out of memory");
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < key->layout.field_count; i++) {
        const struct eng_field *to = &key->layout.fields[i];
        const struct eng_field *from = eng_layout_find(key->record, to->name);

        CHECK(from);
        CHECK(from->size_bytes == to->size_bytes);
        CHECK((from->presence_mask != 0) == (to->presence_mask != 0));
        plan.steps[i] = eng_copy_step_of(from, to, i);
        plan.text_count += plan.steps[i].is_text;
    }
    plan.step_count = key->layout.field_count;
    key->plan = plan;
    return 0;
}

int eng_key_open(struct eng_key *key, const struct eng_layout *record, const char *const *names,
                 uint32_t name_count, struct eng_reason *reason)
{
    uint32_t count = names ? name_count : record->field_count;
    struct pen_field *fields = NULL;
    struct eng_reason why;
    int result;

    *key = (struct eng_key){.record = record};
    if (count > ENG_KEY_FIELDS_MAX) {
        eng_reason_set(reason, "%s: a key of %u fields; it can have %d", record->schema->name,
                       count, ENG_KEY_FIELDS_MAX);
        return -EINVAL;
    }
    fields = malloc((count + 1) * sizeof *fields);
    if (!fields) {
        eng_reason_set(reason, "out of memory");
        return -ENOMEM;
    }
    key->memory = fields;
    result = key_make_schema(key, fields, names, count, reason);
    if (result) goto fail;
    result = eng_layout_open(&key->layout, &key->schema, why.text, sizeof why.text);
    if (result) {
        eng_reason_set(reason, "%s", why.text);
        goto fail;
    }
    result = key_make_plan(key, reason);
    if (result) goto fail;

    key->has_text = key->layout.text_count > 0;
    key->size_bytes = key->has_text ? key->layout.fixed_bytes : key->schema.size_bytes;
    key->direct = key_is_direct(key, &key->direct_offset);
    return 0;

fail:
    eng_key_close(key);
    return result;
}

void eng_key_close(struct eng_key *key)
{
    if (key->record) {
        eng_copy_plan_close(&key->plan);
        eng_layout_close(&key->layout);
        free(key->memory);
    }
    *key = (struct eng_key){0};
}

int eng_key_match(const struct eng_key *a, const struct eng_key *b, struct eng_reason *reason)
{
    const struct pen_schema *x = &a->schema, *y = &b->schema;

    if (x->field_count != y->field_count) {
        eng_reason_set(reason, "one key has %u fields, the other %u", x->field_count,
                       y->field_count);
        return -EINVAL;
    }
    for (uint32_t i = 0; i < x->field_count; i++) {
        const struct pen_field *f = &x->fields[i], *g = &y->fields[i];

        if (f->type == g->type && f->size_bytes == g->size_bytes && f->precision == g->precision &&
            f->scale == g->scale && (f->null_bit != 0) == (g->null_bit != 0))
            continue;
        eng_reason_set(reason, "field %s is %s of %u bytes and field %s is %s of %u bytes%s",
                       f->name, eng_type_name(f->type), f->size_bytes, g->name,
                       eng_type_name(g->type), g->size_bytes,
                       f->type == g->type ? ", or they are null in different ways" : "");
        return -EINVAL;
    }
    return 0;
}

/* ---- Images ---------------------------------------------------------------------------------- */

static uint32_t key_image_bytes(const struct eng_key *key, const char *record)
{
    uint64_t bytes = key->size_bytes;

    if (!key->has_text) return key->size_bytes;
    for (uint32_t i = 0; i < key->plan.step_count; i++)
        if (key->plan.steps[i].is_text)
            bytes += eng_copy_step_text(&key->plan.steps[i], record).size_bytes;
    CHECK(bytes <= 2u * ENG_RECORD_BYTES_MAX); /* a record has no more texts than half of this */
    return eng_record_round((uint32_t)bytes);
}

/* Leaf: the fields of one record that are no texts. The image is zeros beforehand. */
static inline void key_gather(const struct eng_copy_step *restrict steps, uint32_t count,
                              const char *restrict record, char *restrict image)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct eng_copy_step *step = &steps[i];
        if (!eng_copy_step_is_null(step, record)) eng_copy_step_value(step, record, image);
    }
}

/* `image` has room for `bytes`, which key_image_bytes has said. */
static void key_write_image(const struct eng_key *key, const char *record, char *image,
                            uint32_t bytes)
{
    uint32_t at = key->size_bytes;

    memset(image, 0, key->size_bytes);
    key_gather(key->plan.steps, key->plan.step_count, record, image);
    if (!key->has_text) return;
    for (uint32_t i = 0; i < key->plan.step_count; i++) {
        const struct eng_copy_step *step = &key->plan.steps[i];
        pen_view text;
        pen_string string = {0, 0};

        if (!step->is_text) continue;
        text = eng_copy_step_text(step, record);
        if (text.size_bytes) {
            string = (pen_string){(int32_t)(at - step->to_offset), text.size_bytes};
            memcpy(image + at, text.data, text.size_bytes);
            at += text.size_bytes;
        }
        memcpy(image + step->to_offset, &string, sizeof string);
    }
    CHECK(eng_record_round(at) == bytes);
    memset(image + at, 0, bytes - at);
}

void eng_key_scratch_close(struct eng_key_scratch *scratch)
{
    free(scratch->bytes);
    *scratch = (struct eng_key_scratch){0};
}

static void key_scratch_room(struct eng_key_scratch *scratch, size_t bytes)
{
    if (bytes <= scratch->capacity_bytes) return;
    free(scratch->bytes);
    scratch->capacity_bytes = bytes + bytes / 2;
    scratch->bytes = malloc(scratch->capacity_bytes);
    CHECK(scratch->bytes);
}

void eng_key_images(const struct eng_key *key, const void *const *records, uint32_t count,
                    struct eng_key_scratch *scratch, const void **images, uint32_t *sizes)
{
    size_t bytes = 0;
    char *at;

    if (key->direct) {
        for (uint32_t i = 0; i < count; i++) {
            images[i] = (const char *)records[i] + key->direct_offset;
            sizes[i] = key->size_bytes;
        }
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        sizes[i] = key_image_bytes(key, records[i]);
        bytes += eng_record_round(sizes[i]);
    }
    key_scratch_room(scratch, bytes);
    at = scratch->bytes;
    for (uint32_t i = 0; i < count; i++) {
        key_write_image(key, records[i], at, sizes[i]);
        images[i] = at;
        at += eng_record_round(sizes[i]);
    }
}

/* ---- Hashes ---------------------------------------------------------------------------------- */

/* Leaves: with the size known, the hash is a handful of instructions without a branch. */
#define KEY_HASH_DIRECT(bytes_)                                                                    \
    static void key_hash_direct_##bytes_(const void *const *restrict records, uint32_t offset,     \
                                         uint32_t count, uint64_t *restrict hashes)                \
    {                                                                                              \
        for (uint32_t i = 0; i < count; i++)                                                       \
            hashes[i] = shm_hash((const char *)records[i] + offset, bytes_);                       \
    }
KEY_HASH_DIRECT(4)
KEY_HASH_DIRECT(8)
KEY_HASH_DIRECT(16)

static void key_hash_direct(const void *const *restrict records, uint32_t offset, uint32_t bytes,
                            uint32_t count, uint64_t *restrict hashes)
{
    for (uint32_t i = 0; i < count; i++)
        hashes[i] = shm_hash((const char *)records[i] + offset, bytes);
}

static void key_hash_gathered(const struct eng_key *key, const void *const *records, uint32_t count,
                              uint64_t *hashes)
{
    _Alignas(8) char small[KEY_SMALL_BYTES];

    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = key_image_bytes(key, records[i]);
        char *image = bytes <= sizeof small ? small : malloc(bytes);

        CHECK(image);
        key_write_image(key, records[i], image, bytes);
        hashes[i] = shm_hash(image, bytes);
        if (image != small) free(image);
    }
}

void eng_key_hashes(const struct eng_key *key, const void *const *records, uint32_t count,
                    uint64_t *hashes)
{
    if (!key->direct)
        key_hash_gathered(key, records, count, hashes);
    else if (key->size_bytes == 4)
        key_hash_direct_4(records, key->direct_offset, count, hashes);
    else if (key->size_bytes == 8)
        key_hash_direct_8(records, key->direct_offset, count, hashes);
    else if (key->size_bytes == 16)
        key_hash_direct_16(records, key->direct_offset, count, hashes);
    else
        key_hash_direct(records, key->direct_offset, key->size_bytes, count, hashes);
}
