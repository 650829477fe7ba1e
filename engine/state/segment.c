#include "engine/state/segment.h"

#include <errno.h>

#include "engine/state/arena.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a narrow key lies first in its word");

enum {
    SEGMENT_FULL_BYTES = 16 << 10,
    SEGMENT_FULL_BLOCKS_MIN = 8, /* below, a segment is larger than that, up to 64 KiB */
};

static uint32_t segment_round_up(uint32_t bytes, uint32_t align)
{
    return (bytes + align - 1) / align * align;
}

static uint32_t segment_blocks_in(const struct eng_segment_layout *layout, uint32_t size_bytes)
{
    CHECK(size_bytes > ENG_SEGMENT_HEADER_BYTES);
    return (size_bytes - ENG_SEGMENT_HEADER_BYTES) / layout->block_bytes;
}

void eng_segment_layout_resize(struct eng_segment_layout *layout, uint32_t size_bytes)
{
    CHECK(size_bytes <= layout->full_bytes);
    layout->size_bytes = size_bytes;
    layout->blocks = segment_blocks_in(layout, size_bytes);
    layout->limit = layout->blocks * ENG_SEGMENT_SLOTS * 13 / 16;
    CHECK(layout->blocks <= ENG_SEGMENT_BLOCKS_MAX);
    CHECK(layout->limit > 0);
    CHECK(layout->limit < layout->blocks * ENG_SEGMENT_SLOTS);
}

int eng_segment_layout_init(struct eng_segment_layout *layout, uint32_t key_bytes,
                            uint32_t value_bytes, uint32_t value_align, bool hash_is_stored)
{
    if (value_align > 16) return -EINVAL;
    if ((value_align & (value_align - 1)) != 0) return -EINVAL;
    uint32_t align = value_align == 16 ? 16 : 8;
    if (key_bytes > ENG_SEGMENT_BODY_BYTES_MAX) return -EINVAL;
    if (value_bytes > ENG_SEGMENT_BODY_BYTES_MAX) return -EINVAL;

    *layout = (struct eng_segment_layout){
        .narrow = key_bytes > 0 && key_bytes <= 8 && !hash_is_stored &&
                  value_bytes <= ENG_SEGMENT_NARROW_VALUE_BYTES_MAX,
        .hash_is_stored = hash_is_stored,
        .key_bytes = key_bytes,
        .value_bytes = value_bytes,
    };
    if (!layout->narrow) {
        uint32_t key = key_bytes == 0 ? (uint32_t)sizeof(struct eng_segment_text) : key_bytes;
        layout->value_offset = segment_round_up(key, align);
    }
    layout->body_bytes = segment_round_up(layout->value_offset + value_bytes, align);
    layout->block_bytes = ENG_SEGMENT_WORDS_BYTES + ENG_SEGMENT_SLOTS * layout->body_bytes;
    if (layout->body_bytes > ENG_SEGMENT_BODY_BYTES_MAX) return -EINVAL;

    layout->full_bytes = SEGMENT_FULL_BYTES;
    while (layout->full_bytes < ENG_BLOCK_BYTES_MAX &&
           segment_blocks_in(layout, layout->full_bytes) < SEGMENT_FULL_BLOCKS_MIN)
        layout->full_bytes *= 2;
    layout->first_bytes = ENG_BLOCK_BYTES_MIN;
    while (segment_blocks_in(layout, layout->first_bytes) == 0)
        layout->first_bytes *= 2;
    eng_segment_layout_resize(layout, layout->first_bytes);
    return 0;
}

void eng_segment_init(const struct eng_segment_layout *layout, struct eng_segment *segment,
                      uint32_t depth)
{
    CHECK(depth <= 64);
    memset(segment, 0, layout->size_bytes);
    segment->depth = (uint8_t)depth;
}

static uint32_t segment_slot(uint32_t block, uint32_t index)
{
    return 1 + block * ENG_SEGMENT_SLOTS + index;
}

int32_t eng_segment_seek(const struct eng_segment_layout *layout, const struct eng_segment *segment,
                         const struct eng_segment_key *key)
{
    if (key->word == 0) return segment->zero_present ? 0 : -1;
    uint32_t block = eng_segment_home(key->hash, layout->blocks);
    for (uint32_t seen = 0; seen < layout->blocks; seen++) {
        const char *at = eng_segment_block(layout, segment, block);
        for (uint32_t hits = eng_segment_match(at, key->word); hits != 0; hits &= hits - 1) {
            uint32_t index = eng_segment_first(hits);
            if (layout->narrow || eng_segment_is_key(layout, eng_segment_body_of(layout, at, index),
                                                     key->bytes, key->size_bytes))
                return (int32_t)segment_slot(block, index);
        }
        if (eng_segment_match(at, 0) != 0) return -1; /* [S1] */
        block = block + 1 == layout->blocks ? 0 : block + 1;
    }
    CHECK(false); /* a segment is never quite full */
    return -1;
}

/* The first empty slot at or behind the home of a hash: its word is set, its body is not. */
static uint32_t segment_claim(const struct eng_segment_layout *layout, struct eng_segment *segment,
                              uint64_t hash, uint64_t word)
{
    if (word == 0) {
        CHECK(layout->narrow);
        CHECK(!segment->zero_present);
        segment->zero_present = 1;
        return 0;
    }
    uint32_t block = eng_segment_home(hash, layout->blocks);
    for (uint32_t seen = 0; seen < layout->blocks; seen++) {
        char *at = eng_segment_block(layout, segment, block);
        uint32_t empty = eng_segment_match(at, 0);
        if (empty != 0) {
            uint32_t index = eng_segment_first(empty);
            ((uint64_t *)(void *)at)[index] = word;
            return segment_slot(block, index);
        }
        block = block + 1 == layout->blocks ? 0 : block + 1;
    }
    CHECK(false); /* a segment is never quite full */
    return 0;
}

void *eng_segment_insert(const struct eng_segment_layout *layout, struct eng_segment *segment,
                         const struct eng_segment_key *key, const struct eng_segment_text *text)
{
    CHECK(segment->count < layout->limit);
    uint32_t slot = segment_claim(layout, segment, key->hash, key->word);
    char *body = eng_segment_body(layout, segment, slot);
    memset(body, 0, layout->body_bytes);
    if (text != NULL)
        memcpy(body, text, sizeof *text);
    else if (!layout->narrow)
        memcpy(body, key->bytes, layout->key_bytes);
    segment->count++;
    return body + layout->value_offset;
}

/* A hole in a full block breaks [S1] for entries that had to pass it. Fills it with one of them,
 * then the hole that this one leaves, until a hole is where nobody passes. */
static void segment_close_hole(const struct eng_segment_layout *layout, struct eng_segment *segment,
                               uint32_t block, uint32_t index)
{
    uint32_t hole_block = block, hole_index = index, blocks = layout->blocks;
    for (uint32_t seen = 0; seen < blocks; seen++) {
        block = block + 1 == blocks ? 0 : block + 1;
        char *at = eng_segment_block(layout, segment, block);
        bool was_full = eng_segment_match(at, 0) == 0;
        uint64_t *words = (uint64_t *)(void *)at;
        for (uint32_t i = 0; i < ENG_SEGMENT_SLOTS; i++) {
            if (words[i] == 0) continue;
            uint32_t home = eng_segment_home(eng_segment_word_hash(layout, words[i]), blocks);
            uint32_t from_home = block >= home ? block - home : block + blocks - home;
            uint32_t from_hole =
                block >= hole_block ? block - hole_block : block + blocks - hole_block;
            if (from_home < from_hole) continue;
            char *hole = eng_segment_block(layout, segment, hole_block);
            ((uint64_t *)(void *)hole)[hole_index] = words[i];
            memcpy(eng_segment_body_of(layout, hole, hole_index),
                   eng_segment_body_of(layout, at, i), layout->body_bytes);
            words[i] = 0;
            hole_block = block;
            hole_index = i;
            break;
        }
        if (!was_full) return;
    }
    CHECK(false); /* a segment is never quite full */
}

void eng_segment_remove(const struct eng_segment_layout *layout, struct eng_segment *segment,
                        uint32_t slot)
{
    CHECK(segment->count > 0);
    CHECK(eng_segment_occupied(layout, segment, slot));
    segment->count--;
    if (slot == 0) {
        segment->zero_present = 0;
        return;
    }
    uint32_t block = (slot - 1) / ENG_SEGMENT_SLOTS, index = (slot - 1) % ENG_SEGMENT_SLOTS;
    char *at = eng_segment_block(layout, segment, block);
    bool was_full = eng_segment_match(at, 0) == 0;
    ((uint64_t *)(void *)at)[index] = 0;
    if (was_full) segment_close_hole(layout, segment, block, index);
}

void eng_segment_copy_entry(const struct eng_segment_layout *from_layout,
                            const struct eng_segment *from, uint32_t slot,
                            const struct eng_segment_layout *to_layout, struct eng_segment *to)
{
    CHECK(to->count < to_layout->limit);
    uint64_t word = *eng_segment_word(from_layout, from, slot);
    uint64_t hash = eng_segment_word_hash(from_layout, word);
    uint32_t to_slot = segment_claim(to_layout, to, hash, word);
    memcpy(eng_segment_body(to_layout, to, to_slot), eng_segment_body(from_layout, from, slot),
           from_layout->value_offset + from_layout->value_bytes);
    to->count++;
}

/* What a split has of each half: [0] low, [1] high. */
struct segment_halves {
    char *blocks[2];
    uint8_t fill[2][ENG_SEGMENT_BLOCKS_MAX]; /* words in each block */
    uint32_t spilled_count;
    uint16_t spilled[ENG_SEGMENT_BLOCKS_MAX * ENG_SEGMENT_SLOTS]; /* slots of the source */
};

/* Puts each entry of the source into its home in one of the halves, in the order in which they lie
 * and without a look at what is there: the blocks were empty, and `fill` counts. */
static inline __attribute__((always_inline)) void
segment_part(const struct eng_segment_layout *layout, const struct eng_segment *source,
             struct segment_halves *halves, uint32_t bit)
{
    uint32_t block_bytes = layout->block_bytes, body_bytes = layout->body_bytes;
    const char *from = (const char *)source + ENG_SEGMENT_HEADER_BYTES;
    for (uint32_t block = 0; block < layout->blocks; block++, from += block_bytes) {
        const uint64_t *words = (const uint64_t *)(const void *)from;
        for (uint32_t i = 0; i < ENG_SEGMENT_SLOTS; i++) {
            uint64_t word = words[i];
            if (word == 0) continue;
            uint64_t hash = eng_segment_word_hash(layout, word);
            uint32_t half = (uint32_t)(hash >> bit & 1);
            uint32_t home = eng_segment_home(hash, layout->blocks);
            uint32_t index = halves->fill[half][home];
            if (__builtin_expect(index == ENG_SEGMENT_SLOTS, 0)) {
                halves->spilled[halves->spilled_count++] = (uint16_t)segment_slot(block, i);
                continue;
            }
            halves->fill[half][home] = (uint8_t)(index + 1);
            char *to = halves->blocks[half] + (uint64_t)home * block_bytes;
            ((uint64_t *)(void *)to)[index] = word;
            memcpy(to + ENG_SEGMENT_WORDS_BYTES + index * body_bytes,
                   from + ENG_SEGMENT_WORDS_BYTES + i * body_bytes, body_bytes);
        }
    }
}

/* One pass over a copy of the segment; both halves are made anew. The few entries whose home is
 * full by then come last and look for a place, so that [S1] holds. */
uint32_t eng_segment_split(const struct eng_segment_layout *layout, struct eng_segment *low,
                           struct eng_segment *high, uint32_t bit)
{
    CHECK(high->count == 0);
    CHECK(bit < 64);
    CHECK(layout->size_bytes <= ENG_BLOCK_BYTES_MAX);
    _Alignas(64) char copy[ENG_BLOCK_BYTES_MAX];
    memcpy(copy, low, layout->size_bytes);
    memset(eng_segment_block(layout, low, 0), 0, layout->size_bytes - ENG_SEGMENT_HEADER_BYTES);
    const struct eng_segment *source = (const struct eng_segment *)(const void *)copy;

    struct segment_halves halves;
    halves.blocks[0] = eng_segment_block(layout, low, 0);
    halves.blocks[1] = eng_segment_block(layout, high, 0);
    halves.spilled_count = 0;
    memset(halves.fill[0], 0, layout->blocks);
    memset(halves.fill[1], 0, layout->blocks);
    if (layout->narrow && layout->key_bytes == 8 && layout->body_bytes == 8) {
        struct eng_segment_layout line = *layout; /* the same, in constants */
        line.narrow = true;
        line.key_bytes = line.body_bytes = 8;
        line.block_bytes = ENG_SEGMENT_WORDS_BYTES + ENG_SEGMENT_SLOTS * 8;
        segment_part(&line, source, &halves, bit);
    } else {
        segment_part(layout, source, &halves, bit);
    }

    uint32_t moved = 0;
    for (uint32_t block = 0; block < layout->blocks; block++)
        moved += halves.fill[1][block];
    for (uint32_t i = 0; i < halves.spilled_count; i++) {
        uint64_t word = *eng_segment_word(layout, source, halves.spilled[i]);
        uint64_t hash = eng_segment_word_hash(layout, word);
        struct eng_segment *half = hash >> bit & 1 ? high : low;
        uint32_t slot = segment_claim(layout, half, hash, word);
        memcpy(eng_segment_body(layout, half, slot),
               eng_segment_body(layout, source, halves.spilled[i]), layout->body_bytes);
        moved += half == high;
    }
    if (low->zero_present && eng_segment_word_hash(layout, 0) >> bit & 1) {
        memcpy(high->zero_value, low->zero_value, sizeof high->zero_value);
        high->zero_present = 1;
        low->zero_present = 0;
        moved++;
    }
    CHECK(moved <= low->count);
    low->count -= moved;
    high->count = moved;
    return moved;
}
