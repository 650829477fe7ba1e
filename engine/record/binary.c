/* engine/record/binary.c: see binary.h. */
#include "engine/record/binary.h"

#include <errno.h>
#include <stdlib.h>

#include "shm/check.h"
#include "shm/hash.h"

#define BINARY_MAGIC "PENRECS1"

enum { BINARY_VERSION = 1 };

/* The file's layout; see the table in the header. */
struct binary_head {
    char magic[8];
    uint32_t version;
    uint32_t head_bytes;
    uint32_t size_bytes;
    uint32_t align_bytes;
    uint32_t field_count;
    uint32_t null_offset_bytes;
    uint64_t hash;
};
_Static_assert(sizeof(struct binary_head) == 40, "on-disk format changed");

struct binary_field {
    uint32_t offset_bytes;
    uint32_t size_bytes;
    uint32_t type;
    uint16_t null_bit;
    uint8_t precision;
    uint8_t scale;
};
_Static_assert(sizeof(struct binary_field) == 16, "on-disk format changed");

struct binary_record {
    uint32_t size_bytes;
    uint32_t hash;
};
_Static_assert(sizeof(struct binary_record) == ENG_RECORD_ALIGN_BYTES, "records stay aligned");

/* ---- Encode ---------------------------------------------------------------------------------- */

static void binary_put_zeros(struct eng_text_out *out, size_t from)
{
    while ((out->size_bytes - from) % ENG_RECORD_ALIGN_BYTES != 0)
        eng_text_out_char(out, '\0');
}

void eng_binary_encode_header(const struct eng_layout *layout, struct eng_text_out *out)
{
    const struct pen_schema *schema = layout->schema;
    struct binary_head head = {.version = BINARY_VERSION,
                               .size_bytes = schema->size_bytes,
                               .align_bytes = schema->align_bytes,
                               .field_count = schema->field_count,
                               .null_offset_bytes = schema->null_offset_bytes};
    size_t from = out->size_bytes;

    memcpy(head.magic, BINARY_MAGIC, sizeof head.magic);
    eng_text_out_put(out, &head, sizeof head);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct pen_field *field = eng_schema_field(schema, i);
        struct binary_field put = {field->offset_bytes, field->size_bytes, field->type,
                                   field->null_bit,     field->precision,  field->scale};
        eng_text_out_put(out, &put, sizeof put);
    }
    eng_text_out_put(out, schema->name, strlen(schema->name) + 1);
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const char *name = eng_schema_field(schema, i)->name;
        eng_text_out_put(out, name, strlen(name) + 1);
    }
    binary_put_zeros(out, from);
    head.head_bytes = (uint32_t)(out->size_bytes - from);
    CHECK(head.head_bytes <= ENG_SCHEMA_FILE_BYTES_MAX);
    memcpy(out->bytes + from, &head, sizeof head);
    head.hash = shm_hash(out->bytes + from, head.head_bytes);
    memcpy(out->bytes + from, &head, sizeof head);
}

/* The output may lie anywhere, but a record is made at a multiple of 8: so it is made in a place of
 * its own where `out` is not aligned. Writers that write nothing but records are. */
bool eng_binary_encode(const struct eng_layout *layout, const void *record,
                       struct eng_text_out *out)
{
    uint32_t bytes = eng_record_bytes(layout, record);
    struct binary_record head = {.size_bytes = bytes};
    char *at, *to, *apart = NULL;

    if (bytes == 0) return false;
    at = eng_text_out_reserve(out, sizeof head + (size_t)bytes);
    to = at + sizeof head;
    if ((uintptr_t)to % ENG_RECORD_ALIGN_BYTES != 0) {
        apart = malloc(bytes);
        CHECK(apart);
    }
    CHECK(eng_record_copy(layout, apart ? apart : to, bytes, record) == bytes);
    if (apart) memcpy(to, apart, bytes);
    free(apart);
    head.hash = (uint32_t)shm_hash(to, bytes);
    memcpy(at, &head, sizeof head);
    out->size_bytes += sizeof head + bytes;
    return true;
}

/* ---- Decode ---------------------------------------------------------------------------------- */

static int binary_bad(struct eng_reason *reason, const char *why)
{
    eng_reason_set(reason, "%s", why);
    return -EBADMSG;
}

static bool binary_hash_good(const struct binary_head *head, const char *bytes, bool *memory)
{
    struct binary_head zeroed = *head;
    char *copy = malloc(head->head_bytes);
    uint64_t hash;

    *memory = copy != NULL;
    if (!copy) return false;
    zeroed.hash = 0;
    memcpy(copy, bytes, head->head_bytes);
    memcpy(copy, &zeroed, sizeof zeroed);
    hash = shm_hash(copy, head->head_bytes);
    free(copy);
    return hash == head->hash;
}

/* Fields and names to memory of our own. The hash is right, so the head is what somebody wrote;
 * whether it makes sense, eng_layout_open says. False: the names do not end. */
static bool binary_read_schema(struct eng_binary *binary, const struct binary_head *head,
                               const char *bytes)
{
    size_t fields_bytes = (size_t)head->field_count * sizeof(struct binary_field);
    size_t names_bytes = head->head_bytes - sizeof *head - fields_bytes;
    struct pen_field *fields = binary->memory;
    char *name = (char *)(fields + head->field_count);
    const char *end = name + names_bytes;

    memcpy(name, bytes + sizeof *head + fields_bytes, names_bytes);
    binary->schema = (struct pen_schema){.abi = PEN_ABI,
                                         .size_bytes = head->size_bytes,
                                         .align_bytes = head->align_bytes,
                                         .field_count = head->field_count,
                                         .fields = fields,
                                         .field_size_bytes = sizeof *fields,
                                         .null_offset_bytes = head->null_offset_bytes};
    for (uint32_t i = 0; i <= head->field_count; i++) {
        struct binary_field field;
        size_t size = strnlen(name, (size_t)(end - name));

        if (name + size == end) return false;
        if (i == 0) {
            binary->schema.name = name;
        } else {
            memcpy(&field, bytes + sizeof *head + (i - 1) * sizeof field, sizeof field);
            fields[i - 1] = (struct pen_field){.name = name,
                                               .offset_bytes = field.offset_bytes,
                                               .size_bytes = field.size_bytes,
                                               .type = field.type,
                                               .null_bit = field.null_bit,
                                               .precision = field.precision,
                                               .scale = field.scale};
        }
        name += size + 1;
    }
    return true;
}

int64_t eng_binary_open(struct eng_binary *binary, const void *bytes, size_t size_bytes,
                        struct eng_reason *reason)
{
    struct binary_head head;
    bool memory;
    int result;

    if (size_bytes < sizeof head) {
        size_t magic = size_bytes < sizeof head.magic ? size_bytes : sizeof head.magic;
        if (memcmp(bytes, BINARY_MAGIC, magic) == 0) return -EAGAIN;
        return binary_bad(reason, "not a file of binary records");
    }
    memcpy(&head, bytes, sizeof head);
    if (memcmp(head.magic, BINARY_MAGIC, sizeof head.magic) != 0)
        return binary_bad(reason, "not a file of binary records");
    if (head.version != BINARY_VERSION)
        return binary_bad(reason, "binary records of another version");
    if (head.field_count > ENG_FIELDS_MAX || head.head_bytes > ENG_SCHEMA_FILE_BYTES_MAX ||
        head.head_bytes % ENG_RECORD_ALIGN_BYTES != 0 ||
        head.head_bytes < sizeof head + head.field_count * sizeof(struct binary_field))
        return binary_bad(reason, "the head of the file is damaged");
    if (size_bytes < head.head_bytes) return -EAGAIN;
    if (!binary_hash_good(&head, bytes, &memory)) {
        if (memory) return binary_bad(reason, "the head of the file is damaged");
        eng_reason_set(reason, "out of memory");
        return -ENOMEM;
    }

    *binary = (struct eng_binary){
        .memory = malloc(head.field_count * sizeof(struct pen_field) + head.head_bytes)};
    if (!binary->memory) {
        eng_reason_set(reason, "out of memory");
        return -ENOMEM;
    }
    if (!binary_read_schema(binary, &head, bytes)) {
        result = binary_bad(reason, "the head of the file is damaged");
        goto fail;
    }
    result = eng_layout_open(&binary->layout, &binary->schema, reason ? reason->text : NULL,
                             reason ? sizeof reason->text : 0);
    if (result == -EINVAL) result = -EBADMSG;
    if (result) goto fail;
    return head.head_bytes;

fail:
    free(binary->memory);
    *binary = (struct eng_binary){0};
    return result;
}

void eng_binary_close(struct eng_binary *binary)
{
    eng_layout_close(&binary->layout);
    free(binary->memory);
    *binary = (struct eng_binary){0};
}

int64_t eng_binary_next(const struct eng_binary *binary, const void *bytes, size_t size_bytes,
                        const void **record, uint32_t *record_bytes, struct eng_reason *reason)
{
    struct binary_record head;
    const char *body = (const char *)bytes + sizeof head;

    CHECK((uintptr_t)bytes % ENG_RECORD_ALIGN_BYTES == 0);
    if (size_bytes < sizeof head) return -EAGAIN;
    memcpy(&head, bytes, sizeof head);
    if (head.size_bytes < binary->layout.fixed_bytes || head.size_bytes > ENG_RECORD_BYTES_MAX ||
        head.size_bytes % ENG_RECORD_ALIGN_BYTES != 0)
        return binary_bad(reason, "a record of an impossible size");
    if (size_bytes - sizeof head < head.size_bytes) return -EAGAIN;
    if ((uint32_t)shm_hash(body, head.size_bytes) != head.hash)
        return binary_bad(reason, "a record is damaged: its checksum is wrong");
    if (eng_record_verify(&binary->layout, body, head.size_bytes) != 0)
        return binary_bad(reason, "a record is damaged: a text lies outside of it");
    *record = body;
    *record_bytes = head.size_bytes;
    return (int64_t)sizeof head + head.size_bytes;
}
