/* engine/state/arena: blocks and blobs, exact bytes, a budget, retirement while an image lives.
 * Method: a pattern in everything that is given out shows overlaps; counting by hand shows wrong
 * bytes; a fork shows that an image keeps what it saw. */
#include "engine/state/arena.h"

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define RANGE ((uint64_t)1 << 30)

static struct eng_arena *arena_new(uint64_t range, uint64_t budget)
{
    struct eng_arena *arena = NULL;
    CU_ASSERT_EQUAL_FATAL(eng_arena_open(&arena, range, budget), 0);
    return arena;
}

struct piece {
    unsigned char *bytes;
    uint64_t size_bytes;
    bool is_block;
    unsigned char pattern;
};

static bool piece_is_intact(const struct piece *piece)
{
    uint64_t step = piece->size_bytes > 4096 ? 61 : 1;
    for (uint64_t i = 0; i < piece->size_bytes; i += step)
        if (piece->bytes[i] != piece->pattern) return false;
    return piece->bytes[piece->size_bytes - 1] == piece->pattern;
}

static void pieces_are_apart_and_counted_to_the_byte(void)
{
    enum { PIECES = 3000, ROUNDS = 60000 };
    struct eng_arena *arena = arena_new(RANGE, 0);
    struct piece *pieces = calloc(PIECES, sizeof *pieces);
    uint64_t expected = 0, broken = 0, misaligned = 0;
    srandom(7);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct piece *piece = &pieces[random() % PIECES];
        if (piece->bytes != NULL) {
            broken += !piece_is_intact(piece);
            if (piece->is_block) {
                eng_arena_block_free(arena, piece->bytes, (uint32_t)piece->size_bytes);
                expected -= piece->size_bytes;
            } else {
                expected -= eng_arena_blob_bytes(piece->size_bytes);
                eng_arena_blob_free(arena, piece->bytes, piece->size_bytes);
            }
            piece->bytes = NULL;
        } else {
            piece->is_block = random() % 2 == 0;
            piece->pattern = (unsigned char)random();
            piece->size_bytes = piece->is_block
                                    ? (uint64_t)512 << random() % 8
                                    : 1 + (uint64_t)random() % (random() % 50 ? 300 : 99999);
            piece->bytes = piece->is_block ? eng_arena_block(arena, (uint32_t)piece->size_bytes)
                                           : eng_arena_blob(arena, piece->size_bytes);
            CU_ASSERT_PTR_NOT_NULL_FATAL(piece->bytes);
            misaligned += (uintptr_t)piece->bytes % (piece->is_block ? piece->size_bytes : 16) != 0;
            expected +=
                piece->is_block ? piece->size_bytes : eng_arena_blob_bytes(piece->size_bytes);
            memset(piece->bytes, piece->pattern, piece->size_bytes);
        }
        broken += eng_arena_bytes(arena) != expected;
    }
    CU_ASSERT_EQUAL(broken, 0);
    CU_ASSERT_EQUAL(misaligned, 0);
    CU_ASSERT_TRUE(eng_arena_touched_bytes(arena) >= expected);
    CU_ASSERT_TRUE(eng_arena_touched_bytes(arena) <= expected * 2 + (32 << 20));
    free(pieces);
    eng_arena_close(arena); /* whatever is still given out */
}

static void what_is_freed_is_used_again(void)
{
    struct eng_arena *arena = arena_new(RANGE, 0);
    enum { BLOCKS = 1000 };
    void *blocks[BLOCKS], *blobs[BLOCKS];
    uint64_t touched = 0;
    for (uint32_t round = 0; round < 50; round++) {
        for (uint32_t i = 0; i < BLOCKS; i++) {
            blocks[i] = eng_arena_block(arena, 16384 >> (round % 3));
            blobs[i] = eng_arena_blob(arena, 1000 + round * 20);
            memset(blocks[i], 1, 512);
            memset(blobs[i], 1, 1000);
        }
        for (uint32_t i = 0; i < BLOCKS; i++) {
            eng_arena_block_free(arena, blocks[i], 16384 >> (round % 3));
            eng_arena_blob_free(arena, blobs[i], 1000 + round * 20);
        }
        CU_ASSERT_EQUAL(eng_arena_bytes(arena), 0);
        if (round == 3) touched = eng_arena_touched_bytes(arena);
    }
    CU_ASSERT_TRUE(eng_arena_touched_bytes(arena) <= touched + (16 << 20));
    CU_ASSERT_TRUE(eng_arena_trim(arena) >= (uint64_t)2 << 20);
    unsigned char *block = eng_arena_block(arena, 16384);
    memset(block, 5, 16384);
    CU_ASSERT_EQUAL(block[16383], 5);
    eng_arena_close(arena);
}

static void a_budget_refuses_and_counts_nothing(void)
{
    struct eng_arena *arena = arena_new(RANGE, 100000);
    void *block = eng_arena_block(arena, 65536);
    CU_ASSERT_PTR_NOT_NULL_FATAL(block);
    CU_ASSERT_PTR_NULL(eng_arena_block(arena, 65536));
    CU_ASSERT_PTR_NULL(eng_arena_blob(arena, 40000));
    CU_ASSERT_PTR_NULL(eng_arena_blob(arena, UINT64_MAX));
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), 65536);
    void *blob = eng_arena_blob(arena, 30000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(blob);
    eng_arena_set_budget(arena, 50000); /* below what is given out: frees work, nothing else does */
    CU_ASSERT_PTR_NULL(eng_arena_block(arena, 512));
    eng_arena_block_free(arena, block, 65536);
    CU_ASSERT_PTR_NOT_NULL(eng_arena_block(arena, 512));
    eng_arena_blob_free(arena, blob, 30000);
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), 512);
    CU_ASSERT_EQUAL(eng_arena_budget(arena), 50000);
    eng_arena_close(arena);
}

static void an_exhausted_range_refuses(void)
{
    struct eng_arena *arena = arena_new((uint64_t)64 << 20, 0);
    uint64_t blocks = 0, blobs = 0;
    CU_ASSERT_PTR_NOT_NULL(eng_arena_blob(arena, 100));
    while (eng_arena_block(arena, 65536) != NULL)
        blocks++;
    CU_ASSERT_TRUE(blocks >= 25 * 32);
    CU_ASSERT_TRUE(blocks <= 31 * 32);
    while (blobs < 100000 && eng_arena_blob(arena, 65536) != NULL)
        blobs++;
    CU_ASSERT_TRUE(blobs < 1000);
    CU_ASSERT_PTR_NULL(eng_arena_block(arena, 65536));
    CU_ASSERT_TRUE(eng_arena_touched_bytes(arena) <= (uint64_t)64 << 20);
    eng_arena_close(arena);
}

/* In an image, since a limit cannot be taken back. The sanitizers need the address space
 * themselves. */
static void a_limit_on_addresses_makes_a_smaller_range(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {(rlim_t)4 << 30, (rlim_t)4 << 30};
        struct eng_arena *arena = NULL;
        if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
        if (eng_arena_open(&arena, 0, 0) != 0) _exit(3);
        char *block = eng_arena_block(arena, 512);
        if (block == NULL) _exit(4);
        *block = 1;
        eng_arena_close(arena);
        limit.rlim_cur = (rlim_t)64 << 20;
        if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(5);
        _exit(eng_arena_open(&arena, 0, 0) < 0 ? 0 : 6);
    }
    int status;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
#endif
}

static void a_frozen_arena_retires_and_takes_from_elsewhere(void)
{
    struct eng_arena *arena = arena_new(RANGE, 0);
    char *a = eng_arena_block(arena, 16384), *b = eng_arena_block(arena, 16384);
    memset(a, 'a', 16384);
    CU_ASSERT_EQUAL((uintptr_t)a >> 21, (uintptr_t)b >> 21);
    eng_arena_freeze(arena, 2);
    CU_ASSERT_EQUAL(eng_arena_frozen(arena), 2);
    char *c = eng_arena_block(arena, 16384);
    CU_ASSERT_NOT_EQUAL((uintptr_t)a >> 21, (uintptr_t)c >> 21); /* no image maps this huge page */
    eng_arena_block_free(arena, a, 16384);
    CU_ASSERT_EQUAL(eng_arena_retired_bytes(arena), 16384);
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), 3 * 16384);
    CU_ASSERT_EQUAL(a[0], 'a'); /* still readable, as it was */
    CU_ASSERT_EQUAL(a[16383], 'a');
    eng_arena_block_free(arena, c, 16384); /* young: at once */
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), 2 * 16384);
    CU_ASSERT_TRUE(eng_arena_thaw(arena, 2, 100)); /* an image of cut 2 lives on */
    CU_ASSERT_EQUAL(eng_arena_retired_bytes(arena), 16384);
    CU_ASSERT_EQUAL(eng_arena_frozen(arena), 2);
    CU_ASSERT_TRUE(eng_arena_thaw(arena, UINT64_MAX, 100));
    CU_ASSERT_EQUAL(eng_arena_retired_bytes(arena), 0);
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), 16384);
    CU_ASSERT_EQUAL(eng_arena_frozen(arena), 0);
    eng_arena_block_free(arena, b, 16384);
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), 0);
    eng_arena_close(arena);
}

/* Two images: the older goes first; what it alone saw comes back, what the newer sees does not. */
static void blocks_wait_for_the_last_image_that_sees_them(void)
{
    struct eng_arena *arena = arena_new(RANGE, 0);
    char *a = eng_arena_block(arena, 65536), *b = eng_arena_block(arena, 65536);
    eng_arena_freeze(arena, 5);
    eng_arena_block_free(arena, a, 65536); /* seen by image 5 */
    eng_arena_freeze(arena, 6);
    eng_arena_block_free(arena, b, 65536); /* seen by images 5 and 6 */
    char *c = eng_arena_block(arena, 65536);
    eng_arena_freeze(arena, 9);
    eng_arena_block_free(arena, c, 65536); /* seen by image 9 */
    CU_ASSERT_EQUAL(eng_arena_retired_bytes(arena), 3 * 65536);
    CU_ASSERT_TRUE(eng_arena_thaw(arena, 6, 100));
    CU_ASSERT_EQUAL(eng_arena_retired_bytes(arena), 2 * 65536);
    CU_ASSERT_TRUE(eng_arena_thaw(arena, 9, 100));
    CU_ASSERT_EQUAL(eng_arena_retired_bytes(arena), 65536);
    CU_ASSERT_TRUE(eng_arena_thaw(arena, UINT64_MAX, 100));
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), 0);
    eng_arena_close(arena);
}

/* Small blocks of a few runs, retired in any order over two epochs, so that runs change their place
 * in the line while others stand before and behind them. */
static void small_blocks_are_retired_in_any_order(void)
{
    enum { BLOCKS = 128 * 6 };
    struct eng_arena *arena = arena_new(RANGE, 0);
    void *blocks[BLOCKS];
    srandom(3);
    for (uint64_t epoch = 2; epoch < 40; epoch += 2) {
        for (uint32_t i = 0; i < BLOCKS; i++)
            blocks[i] = eng_arena_block(arena, 512);
        for (uint32_t i = BLOCKS - 1; i > 0; i--) {
            uint32_t j = (uint32_t)random() % (i + 1);
            void *block = blocks[i];
            blocks[i] = blocks[j];
            blocks[j] = block;
        }
        eng_arena_freeze(arena, epoch);
        for (uint32_t i = 0; i < BLOCKS / 2; i++)
            eng_arena_block_free(arena, blocks[i], 512);
        eng_arena_freeze(arena, epoch + 1);
        for (uint32_t i = BLOCKS / 2; i < BLOCKS; i++)
            eng_arena_block_free(arena, blocks[i], 512);
        CU_ASSERT_EQUAL(eng_arena_retired_bytes(arena), BLOCKS * 512);
        CU_ASSERT_TRUE(eng_arena_thaw(arena, UINT64_MAX, UINT32_MAX));
        CU_ASSERT_EQUAL(eng_arena_bytes(arena), 0);
    }
    eng_arena_close(arena);
}

static void thawing_is_bounded_and_gives_everything_back(void)
{
    enum { BLOCKS = 2000 };
    struct eng_arena *arena = arena_new(RANGE, 0);
    void *blocks[BLOCKS];
    uint64_t touched = 0;
    for (uint64_t epoch = 2; epoch < 20; epoch++) {
        for (uint32_t i = 0; i < BLOCKS; i++)
            blocks[i] = eng_arena_block(arena, 16384);
        eng_arena_freeze(arena, epoch);
        for (uint32_t i = 0; i < BLOCKS; i++)
            eng_arena_block_free(arena, blocks[i], 16384);
        uint32_t calls = 1;
        while (!eng_arena_thaw(arena, UINT64_MAX, 10))
            calls++;
        CU_ASSERT_TRUE(calls >= BLOCKS / 4 / 10);
        CU_ASSERT_EQUAL(eng_arena_bytes(arena), 0);
        if (epoch == 4) touched = eng_arena_touched_bytes(arena);
    }
    CU_ASSERT_EQUAL(eng_arena_touched_bytes(arena), touched);
    eng_arena_close(arena);
}

static void an_image_reads_what_was_there_at_the_cut(void)
{
    enum { BLOCKS = 500 };
    struct eng_arena *arena = arena_new(RANGE, 0);
    char *blocks[BLOCKS];
    for (uint32_t i = 0; i < BLOCKS; i++) {
        blocks[i] = eng_arena_block(arena, 16384);
        memset(blocks[i], (int)i, 16384);
    }
    int go[2];
    CU_ASSERT_EQUAL_FATAL(pipe(go), 0);
    eng_arena_freeze(arena, 2);
    pid_t image = fork();
    if (image == 0) {
        char byte;
        if (read(go[0], &byte, 1) != 1) _exit(2);
        for (uint32_t i = 0; i < BLOCKS; i++)
            if (blocks[i][0] != (char)i || blocks[i][16383] != (char)i) _exit(3);
        _exit(0);
    }
    for (uint32_t i = 0; i < BLOCKS; i++) {
        char *copy = eng_arena_block(arena, 16384);
        memset(copy, 'z', 16384);
        eng_arena_block_free(arena, blocks[i], 16384);
    }
    CU_ASSERT_EQUAL(write(go[1], "x", 1), 1);
    int status;
    CU_ASSERT_EQUAL(waitpid(image, &status, 0), image);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_TRUE(eng_arena_thaw(arena, UINT64_MAX, UINT32_MAX));
    CU_ASSERT_EQUAL(eng_arena_bytes(arena), BLOCKS * 16384);

    /* The empty slabs are left out of the next fork; taken again, they are part of the one after.
     */
    for (uint32_t i = 0; i < BLOCKS; i++) {
        blocks[i] = eng_arena_block(arena, 16384);
        memset(blocks[i], (int)i + 1, 16384);
    }
    eng_arena_freeze(arena, 3);
    image = fork();
    if (image == 0) {
        for (uint32_t i = 0; i < BLOCKS; i++)
            if (blocks[i][16383] != (char)(i + 1)) _exit(3);
        _exit(0);
    }
    CU_ASSERT_EQUAL(waitpid(image, &status, 0), image);
    CU_ASSERT_EQUAL(status, 0);
    close(go[0]);
    close(go[1]);
    eng_arena_close(arena);
}

static void many_arenas_live_side_by_side(void)
{
    enum { ARENAS = 40 };
    struct eng_arena *arenas[ARENAS];
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < ARENAS; i++) {
            arenas[i] = arena_new((uint64_t)64 << 20, 0);
            memset(eng_arena_blob(arenas[i], 5000), (int)i, 5000);
            memset(eng_arena_block(arenas[i], 512), (int)i, 512);
        }
        for (uint32_t i = 0; i < ARENAS; i++) {
            CU_ASSERT_EQUAL(eng_arena_bytes(arenas[i]), 512 + eng_arena_blob_bytes(5000));
            eng_arena_close(arenas[i]);
        }
    }
    eng_arena_close(NULL);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("state/arena", NULL, NULL);
    CU_ADD_TEST(suite, pieces_are_apart_and_counted_to_the_byte);
    CU_ADD_TEST(suite, what_is_freed_is_used_again);
    CU_ADD_TEST(suite, a_budget_refuses_and_counts_nothing);
    CU_ADD_TEST(suite, an_exhausted_range_refuses);
    CU_ADD_TEST(suite, a_limit_on_addresses_makes_a_smaller_range);
    CU_ADD_TEST(suite, a_frozen_arena_retires_and_takes_from_elsewhere);
    CU_ADD_TEST(suite, blocks_wait_for_the_last_image_that_sees_them);
    CU_ADD_TEST(suite, small_blocks_are_retired_in_any_order);
    CU_ADD_TEST(suite, thawing_is_bounded_and_gives_everything_back);
    CU_ADD_TEST(suite, an_image_reads_what_was_there_at_the_cut);
    CU_ADD_TEST(suite, many_arenas_live_side_by_side);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
