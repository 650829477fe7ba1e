/* engine/record/binary.h: files of records as they are in memory.
 *
 * A file says in its head what its records are, so it can be read without the job that wrote it,
 * and by a job whose struct has changed since (eng_copy_plan finds fields by name). Little-endian;
 * all parts are multiples of 8, so a file that is mapped or read to a multiple of 8 is read in
 * place.
 *
 *   OFFSET  SIZE  FIELD
 *        0     8  magic "PENRECS1"
 *        8     4  version, 1
 *       12     4  bytes of the head, a multiple of 8
 *       16     4  bytes of the struct
 *       20     4  its alignment
 *       24     4  number of fields
 *       28     4  where the null words lie
 *       32     8  XXH3 of the head, with zeros in this place
 *       40     -  per field: offset 4, size 4, type 4, null bit 2, precision 1, scale 1
 *        -     -  names, terminated: the schema's, the fields'; zeros up to a multiple of 8
 *        -     -  records: size 4, the lower half of the XXH3 of the record 4, the record
 *
 * A record is padded with zeros up to a multiple of 8 and its size is what eng_record_bytes says. A
 * file that ends inside a record was not finished; what stands before is good.
 */
#ifndef ENG_RECORD_BINARY_H
#define ENG_RECORD_BINARY_H

#include "engine/record/layout.h"
#include "engine/record/out.h"

/* The records of a file: its schema, made when its head was read. Not to be moved: the layout
 * points to the schema. */
struct eng_binary {
    struct pen_schema schema;
    struct eng_layout layout;
    void *memory; /* fields and names of the schema */
};

void eng_binary_encode_header(const struct eng_layout *layout, struct eng_text_out *out);

/* False: the record is larger than ENG_RECORD_BYTES_MAX, and nothing is written. */
bool eng_binary_encode(const struct eng_layout *layout, const void *record,
                       struct eng_text_out *out);

/* Reads the head. Returns its bytes, -EAGAIN when there must be more of them (at most
 * ENG_SCHEMA_FILE_BYTES_MAX), -EBADMSG with a reason, -ENOMEM. Only after success a close is due.
 * */
int64_t eng_binary_open(struct eng_binary *binary, const void *bytes, size_t size_bytes,
                        struct eng_reason *reason);
void eng_binary_close(struct eng_binary *binary); /* accepts zeros */

/* The next record, checked, in place: bytes must begin at a multiple of 8. Returns what it takes up
 * in the file, -EAGAIN when there must be more bytes, -EBADMSG with a reason. */
int64_t eng_binary_next(const struct eng_binary *binary, const void *bytes, size_t size_bytes,
                        const void **record, uint32_t *record_bytes, struct eng_reason *reason);

#endif
