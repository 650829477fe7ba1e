/* engine/state/blob: memory of any size from extents of our own.
 * Method: a source that counts what it gives and can refuse; every blob must lie in what it gave,
 * and keeps a pattern that shows overlaps. What the kernel has resident shows that nothing is
 * purged. */
#include "engine/state/blob.h"

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RANGE ((size_t)1 << 30)

struct source {
    char *base;
    size_t taken_bytes;
    size_t limit_bytes;
    uint32_t given, refused;
};

static void source_open(struct source *source, size_t limit_bytes)
{
    *source = (struct source){.limit_bytes = limit_bytes};
    source->base = mmap(NULL, RANGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CU_ASSERT_TRUE_FATAL(source->base != MAP_FAILED);
    /* Pages as small as they are, so that what is resident is what was touched. */
    madvise(source->base, RANGE, MADV_NOHUGEPAGE);
}

static void source_close(struct source *source)
{
    munmap(source->base, RANGE);
}

static void *source_give(void *owner, size_t size_bytes, size_t alignment)
{
    struct source *source = owner;
    uintptr_t at = (uintptr_t)source->base + source->taken_bytes;
    size_t skip = (alignment - at % alignment) % alignment;

    if (size_bytes + skip > source->limit_bytes - source->taken_bytes) {
        source->refused++;
        return NULL;
    }
    source->taken_bytes += skip + size_bytes;
    source->given++;
    return (void *)(at + skip);
}

static bool source_has(const struct source *source, const void *blob, uint64_t size_bytes)
{
    uintptr_t at = (uintptr_t)blob, base = (uintptr_t)source->base;
    return at >= base && at + size_bytes <= base + source->taken_bytes;
}

struct piece {
    unsigned char *bytes;
    uint64_t size_bytes;
    unsigned char pattern;
};

static bool piece_is_intact(const struct piece *piece)
{
    for (uint64_t i = 0; i < piece->size_bytes; i++)
        if (piece->bytes[i] != piece->pattern) return false;
    return true;
}

static void blobs_lie_in_the_extents_and_apart(void)
{
    enum { PIECES = 1000, ROUNDS = 30000 };
    struct source source;
    struct eng_blobs blobs;
    static struct piece pieces[PIECES];
    uint32_t broken = 0, misaligned = 0, elsewhere = 0;

    memset(pieces, 0, sizeof pieces);
    srandom(11);
    source_open(&source, RANGE);
    eng_blobs_open(&blobs, source_give, &source);
    CU_ASSERT_EQUAL(source.given, 0); /* most states never want one */
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct piece *piece = &pieces[random() % PIECES];
        if (piece->bytes != NULL) {
            broken += !piece_is_intact(piece);
            eng_blobs_free(&blobs, piece->bytes, piece->size_bytes);
            piece->bytes = NULL;
            continue;
        }
        piece->size_bytes = 1 + (uint64_t)random() % (random() % 40 ? 500 : 100000);
        piece->pattern = (unsigned char)random();
        piece->bytes = eng_blobs_allocate(&blobs, piece->size_bytes);
        CU_ASSERT_PTR_NOT_NULL_FATAL(piece->bytes);
        misaligned += (uintptr_t)piece->bytes % 16 != 0;
        elsewhere += !source_has(&source, piece->bytes, piece->size_bytes);
        memset(piece->bytes, piece->pattern, piece->size_bytes);
    }
    for (uint32_t i = 0; i < PIECES; i++)
        if (pieces[i].bytes != NULL) broken += !piece_is_intact(&pieces[i]);
    CU_ASSERT_EQUAL(broken, 0);
    CU_ASSERT_EQUAL(misaligned, 0);
    CU_ASSERT_EQUAL(elsewhere, 0);
    eng_blobs_close(&blobs);
    eng_blobs_close(&blobs);
    source_close(&source);
}

static void what_is_freed_needs_no_new_extent(void)
{
    enum { COUNT = 2000, SIZE = 3000 };
    struct source source;
    struct eng_blobs blobs;
    static void *pieces[COUNT];
    size_t taken = 0;

    source_open(&source, RANGE);
    eng_blobs_open(&blobs, source_give, &source);
    for (uint32_t turn = 0; turn < 20; turn++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            pieces[i] = eng_blobs_allocate(&blobs, SIZE);
            CU_ASSERT_PTR_NOT_NULL_FATAL(pieces[i]);
        }
        if (turn == 0) taken = source.taken_bytes;
        for (uint32_t i = 0; i < COUNT; i++)
            eng_blobs_free(&blobs, pieces[i], SIZE);
    }
    CU_ASSERT_TRUE(taken >= (size_t)COUNT * SIZE);
    CU_ASSERT_EQUAL(source.taken_bytes, taken);
    eng_blobs_close(&blobs);
    source_close(&source);
}

static size_t resident_bytes(const struct source *source)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = source->taken_bytes / page, count = 0;
    unsigned char *seen = malloc(pages + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(seen);
    CU_ASSERT_EQUAL_FATAL(mincore(source->base, pages * page, seen), 0);
    for (size_t i = 0; i < pages; i++)
        count += seen[i] & 1;
    free(seen);
    return count * page;
}

static void nothing_is_purged(void)
{
    enum { SIZE = 1 << 20, COUNT = 32 };
    struct source source;
    struct eng_blobs blobs;
    void *pieces[COUNT];

    source_open(&source, RANGE);
    eng_blobs_open(&blobs, source_give, &source);
    for (uint32_t i = 0; i < COUNT; i++) {
        pieces[i] = eng_blobs_allocate(&blobs, SIZE);
        CU_ASSERT_PTR_NOT_NULL_FATAL(pieces[i]);
        memset(pieces[i], 1, SIZE);
    }
    size_t before = resident_bytes(&source);
    CU_ASSERT_TRUE(before >= (size_t)SIZE * COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        eng_blobs_free(&blobs, pieces[i], SIZE);
    for (uint32_t i = 0; i < 10000; i++) /* whatever ticks, ticks */
        eng_blobs_free(&blobs, eng_blobs_allocate(&blobs, 100), 100);
    CU_ASSERT_TRUE(resident_bytes(&source) >= before);
    eng_blobs_close(&blobs);
    source_close(&source);
}

static void a_source_that_refuses_makes_null_and_nothing_else(void)
{
    struct source source;
    struct eng_blobs blobs;
    uint32_t count = 0;
    struct piece first = {.size_bytes = 1000, .pattern = 5};

    source_open(&source, 0);
    eng_blobs_open(&blobs, source_give, &source);
    CU_ASSERT_PTR_NULL(eng_blobs_allocate(&blobs, 1000)); /* not even for jemalloc's own books */
    CU_ASSERT_TRUE(source.refused > 0);
    source.limit_bytes = 24 << 20;
    first.bytes = eng_blobs_allocate(&blobs, 1000); /* and later it has some */
    CU_ASSERT_PTR_NOT_NULL_FATAL(first.bytes);
    memset(first.bytes, first.pattern, 1000);
    while (eng_blobs_allocate(&blobs, 100000) != NULL) {
        count++;
        CU_ASSERT_TRUE_FATAL(count < 240);
    }
    CU_ASSERT_TRUE(count > 50);
    CU_ASSERT_PTR_NULL(eng_blobs_allocate(&blobs, RANGE));
    CU_ASSERT_TRUE(piece_is_intact(&first));
    eng_blobs_free(&blobs, first.bytes, 1000);
    CU_ASSERT_PTR_NOT_NULL(eng_blobs_allocate(&blobs, 1000));
    eng_blobs_close(&blobs); /* whatever is still given out */
    source_close(&source);
}

static void many_do_not_mix(void)
{
    enum { COUNT = 8, TURNS = 5 };
    struct source sources[COUNT];
    struct eng_blobs blobs[COUNT];
    uint32_t elsewhere = 0;

    for (uint32_t turn = 0; turn < TURNS; turn++) { /* jemalloc gives the numbers again */
        for (uint32_t i = 0; i < COUNT; i++) {
            source_open(&sources[i], RANGE);
            eng_blobs_open(&blobs[i], source_give, &sources[i]);
        }
        for (uint32_t n = 0; n < 500; n++)
            for (uint32_t i = 0; i < COUNT; i++) {
                uint64_t size_bytes = 1 + (n * 37 + i) % 3000;
                void *blob = eng_blobs_allocate(&blobs[i], size_bytes);
                CU_ASSERT_PTR_NOT_NULL_FATAL(blob);
                elsewhere += !source_has(&sources[i], blob, size_bytes);
                if (n % 3 == 0) eng_blobs_free(&blobs[i], blob, size_bytes);
            }
        for (uint32_t i = 0; i < COUNT; i++) {
            eng_blobs_close(&blobs[i]);
            source_close(&sources[i]);
        }
    }
    CU_ASSERT_EQUAL(elsewhere, 0);
}

static void classes_hold_what_they_are_for(void)
{
    uint64_t last = 0;
    for (uint64_t size_bytes = 1; size_bytes < 64 << 20; size_bytes += 1 + size_bytes / 50) {
        uint64_t class_bytes = eng_blobs_class_bytes(size_bytes);
        CU_ASSERT_TRUE(class_bytes >= size_bytes);
        CU_ASSERT_TRUE(class_bytes >= last);
        CU_ASSERT_TRUE(class_bytes <= 16 + size_bytes + size_bytes / 4);
        CU_ASSERT_EQUAL(eng_blobs_class_bytes(class_bytes), class_bytes);
        last = class_bytes;
    }
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("state/blob", NULL, NULL);
    CU_ADD_TEST(suite, blobs_lie_in_the_extents_and_apart);
    CU_ADD_TEST(suite, what_is_freed_needs_no_new_extent);
    CU_ADD_TEST(suite, nothing_is_purged);
    CU_ADD_TEST(suite, a_source_that_refuses_makes_null_and_nothing_else);
    CU_ADD_TEST(suite, many_do_not_mix);
    CU_ADD_TEST(suite, classes_hold_what_they_are_for);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
