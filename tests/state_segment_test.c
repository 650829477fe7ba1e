/* engine/state/segment: a small hash table in one block of memory.
 * Method: every kind of segment against an array by id, with hashes as they come and with hashes
 * that crowd into few homes. After each change [S1] is looked at by itself: between an entry's home
 * and its place every block is full. */
#include "engine/state/segment.h"

#include <CUnit/Basic.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/state/arena.h"

enum { IDS = 4096, KEY_BYTES = 64 };

struct kind {
    uint32_t key_bytes, value_bytes, value_align;
    bool hash_is_stored; /* then hashes crowd */
};

static const struct kind kinds[] = {
    {8, 8, 0, false},  {8, 40, 0, false},   {4, 16, 0, false},  {1, 1, 0, false},
    {8, 0, 0, false},  {8, 32, 16, false},  {16, 8, 0, false},  {24, 100, 0, false},
    {8, 48, 0, false}, {0, 8, 0, false},    {0, 20, 16, false}, {8, 8, 0, true},
    {0, 8, 0, true},   {16, 1000, 0, true},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

struct world {
    struct kind kind;
    struct eng_segment_layout layout;
    struct eng_segment *segment;
    uint64_t random;
    uint32_t ids;
    uint8_t version[IDS]; /* 0: not there */
    char keys[IDS][KEY_BYTES];
    struct eng_segment_key key[IDS];
};

static uint64_t world_random(struct world *world, uint64_t below)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return (world->random * 0x9e3779b97f4a7c15u >> 11) % below;
}

static struct eng_segment *segment_new(const struct eng_segment_layout *layout, uint32_t depth)
{
    struct eng_segment *segment = aligned_alloc(64, layout->size_bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(segment);
    memset(segment, 0xa5, layout->size_bytes); /* init has to clear it */
    eng_segment_init(layout, segment, depth);
    return segment;
}

/* Key 0 is all zeros, or empty. */
static void world_key(struct world *world, uint32_t id)
{
    uint32_t bytes = world->kind.key_bytes != 0 ? world->kind.key_bytes : id % 40;
    uint64_t number = (uint64_t)id * (world->kind.key_bytes == 8 ? 0x9e3779b97f4a7c15u : 1);
    char *key = world->keys[id];

    if (world->kind.key_bytes == 0 && id > 0 && bytes < 2) bytes = 40;
    memset(key, id == 0 ? 0 : 'k', bytes);
    memcpy(key, &number, bytes < 8 ? bytes : 8);
    uint64_t hash = shm_hash(key, bytes);
    if (world->kind.hash_is_stored) hash = (uint64_t)(id % 5) * 0x30000000u | (uint64_t)id << 40;
    world->key[id] = (struct eng_segment_key){
        .hash = hash,
        .word = world->layout.narrow ? eng_segment_narrow_word(key, bytes)
                                     : eng_segment_wide_word(hash),
        .bytes = key,
        .size_bytes = bytes,
    };
}

static void world_open(struct world *world, struct kind kind, uint64_t seed, bool full)
{
    *world = (struct world){.kind = kind, .random = seed * 2654435761u + 1};
    CU_ASSERT_EQUAL_FATAL(eng_segment_layout_init(&world->layout, kind.key_bytes, kind.value_bytes,
                                                  kind.value_align, kind.hash_is_stored),
                          0);
    if (full) eng_segment_layout_resize(&world->layout, world->layout.full_bytes);
    world->ids = world->layout.limit + world->layout.limit / 2 + 2;
    if (kind.key_bytes == 1 && world->ids > 256) world->ids = 256;
    CU_ASSERT_TRUE_FATAL(world->ids <= IDS);
    for (uint32_t id = 0; id < world->ids; id++)
        world_key(world, id);
    world->segment = segment_new(&world->layout, 3);
}

static void fill(const struct world *world, uint32_t id, uint32_t version, char *value)
{
    for (uint32_t i = 0; i < world->kind.value_bytes; i++)
        value[i] = (char)(id * 7 + version * 13 + i);
}

static void *world_insert(struct world *world, struct eng_segment *segment, uint32_t id)
{
    const struct eng_segment_key *key = &world->key[id];
    struct eng_segment_text text = {.size_bytes = key->size_bytes};
    char value[1000];

    if (key->size_bytes <= ENG_SEGMENT_TEXT_INLINE_BYTES)
        memcpy((char *)&text + 4, key->bytes, key->size_bytes);
    else {
        memcpy(text.prefix, key->bytes, sizeof text.prefix);
        text.blob = world->keys[id];
    }
    char *to =
        eng_segment_insert(&world->layout, segment, key, world->kind.key_bytes == 0 ? &text : NULL);
    for (uint32_t i = 0; i < world->kind.value_bytes; i++)
        CU_ASSERT_EQUAL_FATAL(to[i], 0);
    if (world->kind.value_align == 16) CU_ASSERT_EQUAL((uintptr_t)to % 16, 0);
    fill(world, id, world->version[id], value);
    memcpy(to, value, world->kind.value_bytes);
    return to;
}

/* Where is it, and is it what it was? -1: not there. */
static int32_t world_seek(const struct world *world, const struct eng_segment *segment, uint32_t id)
{
    char value[1000];
    int32_t slot = eng_segment_seek(&world->layout, segment, &world->key[id]);

    if (slot < 0) return -1;
    fill(world, id, world->version[id], value);
    CU_ASSERT_TRUE(eng_segment_occupied(&world->layout, segment, (uint32_t)slot));
    CU_ASSERT_EQUAL(memcmp(eng_segment_value(&world->layout, segment, (uint32_t)slot), value,
                           world->kind.value_bytes),
                    0);
    return slot;
}

/* [S1], and the count. Returns the entries that are not in their home block. */
static uint32_t segment_check(const struct eng_segment_layout *layout,
                              const struct eng_segment *segment)
{
    uint32_t count = 0, away = 0, broken = 0;

    for (uint32_t slot = 0; slot < eng_segment_slots(layout); slot++) {
        if (!eng_segment_occupied(layout, segment, slot)) continue;
        count++;
        if (slot == 0) continue;
        uint32_t block = (slot - 1) / ENG_SEGMENT_SLOTS;
        uint32_t home = eng_segment_home(eng_segment_hash(layout, segment, slot), layout->blocks);
        away += home != block;
        for (; home != block; home = (home + 1) % layout->blocks)
            for (uint32_t i = 0; i < ENG_SEGMENT_SLOTS; i++)
                broken += !eng_segment_occupied(layout, segment, 1 + home * ENG_SEGMENT_SLOTS + i);
    }
    CU_ASSERT_EQUAL(broken, 0);
    CU_ASSERT_EQUAL(count, segment->count);
    CU_ASSERT_EQUAL(segment->zero_word, 0);
    return away;
}

static uint32_t world_check(const struct world *world)
{
    uint32_t wrong = 0;
    for (uint32_t id = 0; id < world->ids; id++)
        wrong += (world_seek(world, world->segment, id) >= 0) != (world->version[id] != 0);
    CU_ASSERT_EQUAL(wrong, 0);
    return segment_check(&world->layout, world->segment);
}

static void every_kind_behaves_like_a_map(void)
{
    static struct world world;
    uint64_t away = 0;

    for (uint32_t k = 0; k < KINDS; k++) {
        for (uint32_t full = 0; full < 2; full++) {
            world_open(&world, kinds[k], k + 1, full != 0);
            uint32_t rounds = 6 * world.ids < 400 ? 400 : 6 * world.ids, step = rounds / 100;
            bool filling = true;
            for (uint32_t round = 0; round < rounds; round++) {
                uint32_t id = (uint32_t)world_random(&world, world.ids);
                int32_t slot = world_seek(&world, world.segment, id);
                CU_ASSERT_EQUAL((slot >= 0), (world.version[id] != 0));
                if (world.segment->count == world.layout.limit) filling = false;
                if (world.segment->count < world.layout.limit / 2) filling = true;
                bool rather = world_random(&world, 4) != 0;
                if (slot < 0 && world.segment->count < world.layout.limit && filling == rather) {
                    world.version[id] = (uint8_t)(1 + world_random(&world, 200));
                    world_insert(&world, world.segment, id);
                } else if (slot >= 0 && filling != rather) {
                    eng_segment_remove(&world.layout, world.segment, (uint32_t)slot);
                    world.version[id] = 0;
                }
                if (round % step == 0) away += world_check(&world);
            }
            away += world_check(&world);
            free(world.segment);
        }
    }
    CU_ASSERT_TRUE(away > 1000); /* entries had to go past full blocks, or nothing was tested */
}

static void a_removal_never_hides_another(void)
{
    static struct world world;

    for (uint32_t k = 0; k < KINDS; k++) {
        world_open(&world, kinds[k], k + 100, false);
        for (uint32_t turn = 0; turn < 20; turn++) {
            for (uint32_t id = 0; id < world.ids; id++) {
                if (world.segment->count == world.layout.limit) break;
                if (world.version[id] != 0) continue;
                world.version[id] = 9;
                world_insert(&world, world.segment, id);
            }
            CU_ASSERT_TRUE(world.segment->count > 0);
            while (world.segment->count > 0) { /* in any order, to the last */
                uint32_t id = (uint32_t)world_random(&world, world.ids);
                int32_t slot = world_seek(&world, world.segment, id);
                if (slot < 0) continue;
                eng_segment_remove(&world.layout, world.segment, (uint32_t)slot);
                world.version[id] = 0;
                world_check(&world);
            }
        }
        free(world.segment);
    }
}

static void a_split_parts_by_one_bit_and_loses_nothing(void)
{
    static struct world world;

    for (uint32_t k = 0; k < KINDS; k++) {
        for (uint32_t bit = 38; bit < 64; bit += 5) {
            world_open(&world, kinds[k], k * 64 + bit, true);
            while (world.segment->count < world.layout.limit) {
                uint32_t id = (uint32_t)world_random(&world, world.ids), seen = 0;
                for (; world.version[id] != 0 && seen < world.ids; seen++)
                    id = (id + 1) % world.ids;
                if (seen == world.ids) break;
                world.version[id] = (uint8_t)(1 + id % 200);
                world_insert(&world, world.segment, id);
            }
            struct eng_segment *high = segment_new(&world.layout, 4);
            uint32_t before = world.segment->count, wrong = 0;
            uint32_t moved = eng_segment_split(&world.layout, world.segment, high, bit);
            CU_ASSERT_EQUAL(moved, high->count);
            CU_ASSERT_EQUAL(world.segment->count + high->count, before);
            for (uint32_t id = 0; id < world.ids; id++) {
                bool is_high = world.key[id].hash >> bit & 1, there = world.version[id] != 0;
                wrong += (world_seek(&world, world.segment, id) >= 0) != (there && !is_high);
                wrong += (world_seek(&world, high, id) >= 0) != (there && is_high);
            }
            CU_ASSERT_EQUAL(wrong, 0);
            segment_check(&world.layout, world.segment);
            segment_check(&world.layout, high);
            free(high);
            free(world.segment);
        }
    }
}

static void entries_go_into_a_segment_of_another_size(void)
{
    static struct world world;

    for (uint32_t k = 0; k < KINDS; k++) {
        world_open(&world, kinds[k], k + 200, false);
        for (uint32_t id = 0; world.segment->count < world.layout.limit; id++) {
            world.version[id] = 3;
            world_insert(&world, world.segment, id);
        }
        struct eng_segment_layout small = world.layout;
        struct eng_segment *from = world.segment;
        eng_segment_layout_resize(&world.layout, world.layout.full_bytes);
        CU_ASSERT_TRUE(world.layout.limit > small.limit);
        world.segment = segment_new(&world.layout, 3);
        for (uint32_t slot = 0; slot < eng_segment_slots(&small); slot++)
            if (eng_segment_occupied(&small, from, slot))
                eng_segment_copy_entry(&small, from, slot, &world.layout, world.segment);
        CU_ASSERT_EQUAL(world.segment->count, from->count);
        world_check(&world);
        free(from);
        free(world.segment);
    }
}

static void layouts_are_what_the_drawing_says(void)
{
    struct eng_segment_layout layout;

    CU_ASSERT_EQUAL(eng_segment_layout_init(&layout, 8, 8, 0, false), 0);
    CU_ASSERT_TRUE(layout.narrow);
    CU_ASSERT_EQUAL(layout.block_bytes, 64); /* one cache line */
    CU_ASSERT_EQUAL(layout.first_bytes, 512);
    CU_ASSERT_EQUAL(layout.full_bytes, 16384);
    CU_ASSERT_EQUAL(eng_segment_layout_init(&layout, 8, 41, 0, false), 0);
    CU_ASSERT_FALSE(layout.narrow);
    CU_ASSERT_EQUAL(eng_segment_layout_init(&layout, 8, 8, 0, true), 0);
    CU_ASSERT_FALSE(layout.narrow);
    CU_ASSERT_EQUAL(eng_segment_layout_init(&layout, 9, 8, 0, false), 0);
    CU_ASSERT_FALSE(layout.narrow);
    CU_ASSERT_EQUAL(layout.value_offset, 16);
    CU_ASSERT_EQUAL(eng_segment_layout_init(&layout, 16, 4080, 0, false), 0);
    CU_ASSERT_EQUAL(layout.full_bytes, ENG_BLOCK_BYTES_MAX);
    CU_ASSERT_TRUE(layout.limit > 0);

    /* Whatever the sizes: an entry fits, and a search has an empty slot to end at. */
    for (uint32_t key = 0; key <= 4096; key += 1 + key / 9)
        for (uint32_t value = 0; value <= 4096; value += 1 + value / 9) {
            int status = eng_segment_layout_init(&layout, key, value, 0, false);
            uint32_t body = (key == 0 ? 16 : (key + 7) / 8 * 8) + (value + 7) / 8 * 8;
            if (status == 0) {
                CU_ASSERT_TRUE(layout.limit < layout.blocks * ENG_SEGMENT_SLOTS);
                CU_ASSERT_TRUE(layout.narrow || layout.body_bytes == body);
                CU_ASSERT_TRUE(layout.full_bytes <= ENG_BLOCK_BYTES_MAX);
                CU_ASSERT_TRUE(ENG_SEGMENT_HEADER_BYTES + layout.blocks * layout.block_bytes <=
                               layout.size_bytes);
            } else {
                CU_ASSERT_TRUE(status == -EINVAL && body > ENG_SEGMENT_BODY_BYTES_MAX);
            }
        }
    CU_ASSERT_EQUAL(eng_segment_layout_init(&layout, 8, 4097, 0, false), -EINVAL);
    CU_ASSERT_EQUAL(eng_segment_layout_init(&layout, 4097, 0, 0, false), -EINVAL);
    CU_ASSERT_EQUAL(eng_segment_layout_init(&layout, UINT32_MAX, UINT32_MAX, 0, false), -EINVAL);
    CU_ASSERT_EQUAL(eng_segment_layout_init(&layout, 8, 8, 32, false), -EINVAL);
    CU_ASSERT_EQUAL(eng_segment_layout_init(&layout, 8, 8, 12, false), -EINVAL);
}

static void four_words_are_compared_at_once(void)
{
    _Alignas(16) uint64_t block[4];
    static const uint64_t words[] = {
        0,          1,          (uint64_t)1 << 32,    ((uint64_t)1 << 32) + 1,
        UINT64_MAX, UINT32_MAX, ~(uint64_t)UINT32_MAX};
    enum { WORDS = sizeof words / sizeof words[0] };

    for (uint32_t i = 0; i < WORDS * WORDS * WORDS * WORDS; i++) {
        for (uint32_t k = 0, rest = i; k < 4; k++, rest /= WORDS)
            block[k] = words[rest % WORDS];
        for (uint32_t w = 0; w < WORDS; w++) {
            uint32_t wanted = 0;
            for (uint32_t k = 0; k < 4; k++)
                wanted |= (uint32_t)(block[k] == words[w]) << k;
            CU_ASSERT_EQUAL(eng_segment_match((const char *)block, words[w]), wanted);
        }
    }
}

static void a_narrow_key_is_padded_with_zeros(void)
{
    static const unsigned char key[8] = {0x81, 0x02, 0xfd, 0x40, 0xff, 0x60, 0x07, 0xc8};

    for (uint32_t bytes = 1; bytes <= 8; bytes++) {
        char *exact = malloc(bytes); /* nothing behind it is read */
        uint64_t expected = 0;
        CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
        memcpy(exact, key, bytes);
        memcpy(&expected, key, bytes);
        CU_ASSERT_EQUAL(eng_segment_narrow_word(exact, bytes), expected);
        free(exact);
    }
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("state/segment", NULL, NULL);
    CU_ADD_TEST(suite, every_kind_behaves_like_a_map);
    CU_ADD_TEST(suite, a_removal_never_hides_another);
    CU_ADD_TEST(suite, a_split_parts_by_one_bit_and_loses_nothing);
    CU_ADD_TEST(suite, entries_go_into_a_segment_of_another_size);
    CU_ADD_TEST(suite, layouts_are_what_the_drawing_says);
    CU_ADD_TEST(suite, four_words_are_compared_at_once);
    CU_ADD_TEST(suite, a_narrow_key_is_padded_with_zeros);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
