/* Fuzzes the binary file reader: head and records. With the first byte odd the hash of the head is
 * made right first, so that what lies behind it is reached. What is read must verify, and be
 * written again as it was read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/record/binary.h"
#include "shm/check.h"
#include "shm/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The head's hash stands at byte 32, over the head with zeros there. */
static void fuzz_mend_hash(char *bytes, size_t size)
{
    uint32_t head_bytes;
    uint64_t hash = 0;

    if (size < 40) return;
    memcpy(&head_bytes, bytes + 12, sizeof head_bytes);
    if (head_bytes < 40 || head_bytes > size) return;
    memcpy(bytes + 32, &hash, sizeof hash);
    hash = shm_hash(bytes, head_bytes);
    memcpy(bytes + 32, &hash, sizeof hash);
}

static void fuzz_records(const struct eng_binary *binary, const char *bytes, size_t size)
{
    struct eng_text_out out = {0};
    struct eng_reason reason;
    size_t at = 0;

    for (;;) {
        const void *record;
        uint32_t record_bytes;
        int64_t taken =
            eng_binary_next(binary, bytes + at, size - at, &record, &record_bytes, &reason);
        if (taken < 0) {
            CHECK(taken == -EAGAIN || memchr(reason.text, 0, sizeof reason.text));
            break;
        }
        CHECK(taken > 0);
        CHECK((size_t)taken <= size - at);
        CHECK(eng_record_verify(&binary->layout, record, record_bytes) == 0);
        eng_text_out_clear(&out);
        if (eng_binary_encode(&binary->layout, record, &out)) CHECK(out.size_bytes >= 8);
        at += (size_t)taken;
    }
    eng_text_out_close(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct eng_binary binary;
    struct eng_reason reason;

    if (size < 1) return 0;
    size_t file_bytes = size - 1;
    char *bytes = aligned_alloc(8, (file_bytes + 15) & ~(size_t)7);
    CHECK(bytes != NULL);
    memcpy(bytes, data + 1, file_bytes);
    if (data[0] & 1) fuzz_mend_hash(bytes, file_bytes);
    int64_t head = eng_binary_open(&binary, bytes, file_bytes, &reason);
    if (head >= 0) {
        CHECK((size_t)head <= file_bytes);
        fuzz_records(&binary, bytes + head, file_bytes - (size_t)head);
        eng_binary_close(&binary);
    }
    free(bytes);
    return 0;
}
