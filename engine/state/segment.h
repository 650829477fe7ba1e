/* engine/state/segment.h: one segment of a table: a small hash table in one block of memory.
 *
 *      0      64                                                                     size
 *      [header][ block 0 ][ block 1 ][ block 2 ] ...
 *
 *      header:  count, overflow link, depth; and the value of key 0 in narrow tables
 *      block:   [ word ][ word ][ word ][ word ][ body ][ body ][ body ][ body ]       32 + 4
 * bodies
 *
 * A word of 0 is an empty slot. There are two kinds of tables:
 *
 *      narrow   keys of at most 8 bytes, values of at most 40: the word is the key itself, padded
 *               with zeros, the body is the value. With 8-byte values a block is one cache line,
 * and a hit touches that line and nothing else. Key 0 has its place in the header. wide     all
 * else: the word is the hash (0 counts as 1), the body is the key, then the value. A key of
 * variable size is 16 bytes: its size and the key itself up to 12 bytes, or 4 bytes of it and a
 * pointer to a blob.
 *
 * So comparing four words is both the tag comparison of other tables and, in a narrow one, the
 * whole comparison. An entry belongs into its home block, chosen by the low half of the hash, or
 * into the first block after it that had room: whoever looks for it goes on from block to block
 * until one has an empty slot. [S1] Between an entry's home and its place every block is full.
 * Removal moves entries back to keep that; there are no tombstones. A segment is never filled
 * beyond 13/16, so every search ends.
 *
 * Directory and home use different bits of the hash: when a segment splits, an entry keeps its
 * home.
 *
 * Nothing here allocates, and nothing knows about tables, epochs or other segments.
 */
#ifndef ENG_STATE_SEGMENT_H
#define ENG_STATE_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "shm/check.h"
#include "shm/hash.h"

enum {
    ENG_SEGMENT_SLOTS = 4, /* words in a block */
    ENG_SEGMENT_WORDS_BYTES = 8 * ENG_SEGMENT_SLOTS,
    ENG_SEGMENT_HEADER_BYTES = 64,
    ENG_SEGMENT_NARROW_VALUE_BYTES_MAX = 40,
    ENG_SEGMENT_TEXT_INLINE_BYTES = 12,
    ENG_SEGMENT_BODY_BYTES_MAX = 4096,
    ENG_SEGMENT_BLOCKS_MAX = 512,
};

struct eng_segment {
    uint32_t count;     /* entries here, key 0 included */
    uint32_t next;      /* overflow segment, as a unit of the arena; 0 none */
    uint64_t zero_word; /* always 0: the key that zero_value belongs to */
    char zero_value[ENG_SEGMENT_NARROW_VALUE_BYTES_MAX];
    uint8_t zero_present;
    uint8_t depth; /* how many top bits of the hash are equal in all of it, and in its overflow */
    uint8_t reserved[6];
};
_Static_assert(sizeof(struct eng_segment) == ENG_SEGMENT_HEADER_BYTES, "header");

/* A key of variable size as a body has it. */
struct eng_segment_text {
    uint32_t size_bytes;
    char prefix[4];
    union {
        char rest[8]; /* a key of at most 12 bytes goes on here */
        char *blob;   /* all of a longer one */
    };
};
_Static_assert(sizeof(struct eng_segment_text) == 16, "text");

/* What all segments of a table have in common. */
struct eng_segment_layout {
    bool narrow;
    bool hash_is_stored;
    uint32_t key_bytes; /* 0: struct eng_segment_text */
    uint32_t value_bytes;
    uint32_t body_bytes;
    uint32_t value_offset; /* in the body */
    uint32_t block_bytes;
    uint32_t first_bytes; /* of a table's first segment */
    uint32_t full_bytes;  /* of a segment that splits rather than doubles */

    uint32_t size_bytes; /* of every segment now; less than full_bytes only while there is one */
    uint32_t blocks;
    uint32_t limit; /* entries at which it is full */
};

/* A key as searches want it. */
struct eng_segment_key {
    uint64_t hash;
    uint64_t word;
    const void *bytes;
    uint32_t size_bytes;
};

/* -EINVAL for sizes that cannot be. */
int eng_segment_layout_init(struct eng_segment_layout *layout, uint32_t key_bytes,
                            uint32_t value_bytes, uint32_t value_align, bool hash_is_stored);
void eng_segment_layout_resize(struct eng_segment_layout *layout, uint32_t size_bytes);

void eng_segment_init(const struct eng_segment_layout *layout, struct eng_segment *segment,
                      uint32_t depth);

/* Slots are numbered: 0 is key 0 of a narrow table, 1 + 4 * block + i all others. */
static inline uint32_t eng_segment_slots(const struct eng_segment_layout *layout)
{
    return 1 + layout->blocks * ENG_SEGMENT_SLOTS;
}

/* The slot of a key, or -1. */
int32_t eng_segment_seek(const struct eng_segment_layout *layout, const struct eng_segment *segment,
                         const struct eng_segment_key *key);

/* Puts a new key into a segment that is not full, its value zeroed: returns the value. `text` is
 * the key of a table with keys of variable size. */
void *eng_segment_insert(const struct eng_segment_layout *layout, struct eng_segment *segment,
                         const struct eng_segment_key *key, const struct eng_segment_text *text);

/* Empties a slot. The key's blob is the caller's. */
void eng_segment_remove(const struct eng_segment_layout *layout, struct eng_segment *segment,
                        uint32_t slot);

/* Copies an entry of one segment into another that is not full, perhaps of another size. */
void eng_segment_copy_entry(const struct eng_segment_layout *from_layout,
                            const struct eng_segment *from, uint32_t slot,
                            const struct eng_segment_layout *to_layout, struct eng_segment *to);

/* Moves the entries whose hash has `bit` from low to high, which is empty; those that stay may
 * change places. Returns how many moved. */
uint32_t eng_segment_split(const struct eng_segment_layout *layout, struct eng_segment *low,
                           struct eng_segment *high, uint32_t bit);

/* ---- Inline: what the table's loops are made of ---------------------------------------------- */

static inline uint32_t eng_segment_home(uint64_t hash, uint32_t blocks)
{
    return (uint32_t)((uint64_t)(uint32_t)hash * blocks >> 32);
}

static inline char *eng_segment_block(const struct eng_segment_layout *layout,
                                      const struct eng_segment *segment, uint32_t block)
{
    return (char *)segment + ENG_SEGMENT_HEADER_BYTES + (uint64_t)block * layout->block_bytes;
}

static inline char *eng_segment_body_of(const struct eng_segment_layout *layout, const char *block,
                                        uint32_t index)
{
    return (char *)block + ENG_SEGMENT_WORDS_BYTES + (uint64_t)index * layout->body_bytes;
}

/* Which of a block's four words are equal to this one: bits 0 to 3. */
static inline uint32_t eng_segment_match(const char *block, uint64_t word)
{
#if defined(__SSE2__)
    __m128i wanted = _mm_set1_epi64x((long long)word);
    __m128i low = _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)(const void *)block), wanted);
    __m128i high =
        _mm_cmpeq_epi32(_mm_load_si128((const __m128i *)(const void *)(block + 16)), wanted);
    __m128 a = _mm_castsi128_ps(low), b = _mm_castsi128_ps(high);
    __m128 firsts = _mm_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0)); /* halves of each word */
    __m128 seconds = _mm_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1));
    return (uint32_t)_mm_movemask_ps(_mm_and_ps(firsts, seconds));
#else
    const uint64_t *words = (const uint64_t *)(const void *)block;
    return (uint32_t)(words[0] == word) | (uint32_t)(words[1] == word) << 1 |
           (uint32_t)(words[2] == word) << 2 | (uint32_t)(words[3] == word) << 3;
#endif
}

/* The first of the words that a match, which is not 0, has found. */
static inline uint32_t eng_segment_first(uint32_t match)
{
    return (uint32_t)__builtin_ctz(match);
}

static inline const char *eng_segment_text_bytes(const struct eng_segment_text *text)
{
    return text->size_bytes <= ENG_SEGMENT_TEXT_INLINE_BYTES ? text->prefix : text->blob;
}

/* Is this the body of that key? The words are known to be equal. */
static inline bool eng_segment_is_key(const struct eng_segment_layout *layout, const char *body,
                                      const void *bytes, uint32_t size_bytes)
{
    if (layout->key_bytes == 16) {
        uint64_t a[2], b[2];
        memcpy(a, body, 16);
        memcpy(b, bytes, 16);
        return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
    }
    if (layout->key_bytes != 0) return memcmp(body, bytes, layout->key_bytes) == 0;
    const struct eng_segment_text *text = (const struct eng_segment_text *)(const void *)body;
    if (text->size_bytes != size_bytes) return false;
    return size_bytes == 0 || memcmp(eng_segment_text_bytes(text), bytes, size_bytes) == 0;
}

static inline bool eng_segment_occupied(const struct eng_segment_layout *layout,
                                        const struct eng_segment *segment, uint32_t slot)
{
    if (slot == 0) return segment->zero_present != 0;
    const char *block = eng_segment_block(layout, segment, (slot - 1) / ENG_SEGMENT_SLOTS);
    return ((const uint64_t *)(const void *)block)[(slot - 1) % ENG_SEGMENT_SLOTS] != 0;
}

static inline uint64_t *eng_segment_word(const struct eng_segment_layout *layout,
                                         const struct eng_segment *segment, uint32_t slot)
{
    if (slot == 0) return (uint64_t *)&segment->zero_word;
    char *block = eng_segment_block(layout, segment, (slot - 1) / ENG_SEGMENT_SLOTS);
    return (uint64_t *)(void *)block + (slot - 1) % ENG_SEGMENT_SLOTS;
}

static inline char *eng_segment_body(const struct eng_segment_layout *layout,
                                     const struct eng_segment *segment, uint32_t slot)
{
    if (slot == 0) return (char *)segment->zero_value;
    char *block = eng_segment_block(layout, segment, (slot - 1) / ENG_SEGMENT_SLOTS);
    return eng_segment_body_of(layout, block, (slot - 1) % ENG_SEGMENT_SLOTS);
}

static inline void *eng_segment_value(const struct eng_segment_layout *layout,
                                      const struct eng_segment *segment, uint32_t slot)
{
    return eng_segment_body(layout, segment, slot) + layout->value_offset;
}

static inline uint64_t eng_segment_word_hash(const struct eng_segment_layout *layout, uint64_t word)
{
    if (!layout->narrow) return word;
    if (layout->key_bytes == 8) return shm_hash(&word, 8);
    if (layout->key_bytes > 8) __builtin_unreachable(); /* a narrow key; spares a lot of code */
    return shm_hash(&word, layout->key_bytes);
}

static inline uint64_t eng_segment_hash(const struct eng_segment_layout *layout,
                                        const struct eng_segment *segment, uint32_t slot)
{
    return eng_segment_word_hash(layout, *eng_segment_word(layout, segment, slot));
}

/* Made of loads that may overlap: bytes copied into a word one way and read another stall. */
static inline uint64_t eng_segment_narrow_word(const void *key, uint32_t key_bytes)
{
    const unsigned char *bytes = key;
    uint64_t word;
    uint32_t first, last;
    if (key_bytes == 8) {
        memcpy(&word, bytes, 8);
        return word;
    }
    if (key_bytes >= 4) {
        memcpy(&first, bytes, 4);
        memcpy(&last, bytes + key_bytes - 4, 4);
        return first | (uint64_t)last << 8 * (key_bytes - 4);
    }
    uint32_t middle = key_bytes / 2, end = key_bytes - 1; /* of 1 to 3 bytes */
    return bytes[0] | (uint64_t)bytes[middle] << 8 * middle | (uint64_t)bytes[end] << 8 * end;
}

static inline uint64_t eng_segment_wide_word(uint64_t hash)
{
    return hash + (hash == 0);
}

#endif
