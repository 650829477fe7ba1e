#include "engine/state/table_inside.h"

enum {
    GROW_ENTRIES_PER_SEGMENT = 16, /* how far the directory may run ahead of the segments */
    GROW_ENTRIES_MIN = 64,
    GROW_EMPTY_RUN_MAX = 1024,
};

/* ---- Memory ---------------------------------------------------------------------------------- */

static struct eng_segment *grow_take_segment(struct eng_table *table, uint32_t depth)
{
    struct eng_segment *segment = eng_arena_block(table->arena, table->layout.size_bytes);
    if (segment == NULL) return NULL;
    eng_segment_init(&table->layout, segment, depth);
    table->bytes += table->layout.size_bytes;
    return segment;
}

static void grow_give_segment(struct eng_table *table, struct eng_segment *segment)
{
    eng_arena_block_free(table->arena, segment, table->layout.size_bytes);
    table->bytes -= table->layout.size_bytes;
}

/* A directory of up to 64 KiB is a block, a larger one a blob. */
static uint32_t grow_directory_block_bytes(uint64_t entries)
{
    uint64_t bytes = entries * sizeof(struct eng_table_entry), block = ENG_BLOCK_BYTES_MIN;
    if (bytes > ENG_BLOCK_BYTES_MAX) return 0;
    while (block < bytes)
        block *= 2;
    return (uint32_t)block;
}

static uint64_t grow_directory_bytes(uint64_t entries)
{
    uint32_t block = grow_directory_block_bytes(entries);
    return block != 0 ? block : eng_arena_blob_bytes(entries * sizeof(struct eng_table_entry));
}

static struct eng_table_entry *grow_take_directory(struct eng_table *table, uint64_t entries)
{
    uint32_t block = grow_directory_block_bytes(entries);
    void *directory = block != 0
                          ? eng_arena_block(table->arena, block)
                          : eng_arena_blob(table->arena, entries * sizeof(struct eng_table_entry));
    if (directory != NULL) table->bytes += grow_directory_bytes(entries);
    return directory;
}

static void grow_give_directory(struct eng_table *table)
{
    if (table->directory == table->directory_inline) return;
    uint32_t block = grow_directory_block_bytes(table->directory_count);
    table->bytes -= grow_directory_bytes(table->directory_count);
    if (block != 0)
        eng_arena_block_free(table->arena, table->directory, block);
    else
        eng_arena_blob_free(table->arena, table->directory,
                            table->directory_count * sizeof(struct eng_table_entry));
    table->directory = NULL;
}

/* ---- The directory --------------------------------------------------------------------------- */

static uint64_t grow_entries_at(const struct eng_table *table, uint32_t depth)
{
    return (table->hash_last >> (64 - depth)) - (table->hash_first >> (64 - depth)) + 1;
}

void eng_table_start_directory(struct eng_table *table)
{
    uint64_t differ = table->hash_first ^ table->hash_last;
    uint32_t shared = differ == 0 ? 64 : (uint32_t)__builtin_clzll(differ);
    if (shared > ENG_TABLE_DEPTH_MAX) shared = ENG_TABLE_DEPTH_MAX;
    table->depth_first = shared;
    table->depth = shared == 0 ? 1 : shared;
    table->directory = table->directory_inline;
    table->directory_first = table->hash_first >> (64 - table->depth);
    table->directory_count = grow_entries_at(table, table->depth);
    CHECK(table->directory_count <= ENG_TABLE_INLINE_ENTRIES);
    for (uint64_t i = 0; i < table->directory_count; i++)
        table->directory[i] = (struct eng_table_entry){0, 0};
}

/* Copies every entry to where it stands with more bits. The only work that grows with the table:
 * 8 bytes for each few hundred keys, at most once each time the table has doubled. */
static bool grow_directory(struct eng_table *table, uint32_t depth)
{
    CHECK(depth > table->depth);
    CHECK(depth <= ENG_TABLE_DEPTH_MAX);
    uint64_t entries = grow_entries_at(table, depth), first = table->hash_first >> (64 - depth);
    struct eng_table_entry *directory = grow_take_directory(table, entries);
    if (directory == NULL) return false;
    uint32_t more = depth - table->depth;
    for (uint64_t i = 0; i < entries; i++)
        directory[i] = table->directory[((first + i) >> more) - table->directory_first];
    grow_give_directory(table);
    table->directory = directory;
    table->directory_count = entries;
    table->directory_first = first;
    table->depth = depth;
    return true;
}

void eng_table_run(const struct eng_table *table, uint64_t index, uint32_t depth, uint64_t *first,
                   uint64_t *last)
{
    CHECK(depth <= table->depth);
    uint64_t width = (uint64_t)1 << (table->depth - depth);
    uint64_t from = (index + table->directory_first) & ~(width - 1);
    uint64_t end = table->directory_first + table->directory_count;
    uint64_t to = from + width < end ? from + width : end;
    if (from < table->directory_first) from = table->directory_first;
    *first = from - table->directory_first;
    *last = to - table->directory_first - 1;
}

static void grow_set_run(struct eng_table *table, uint64_t first, uint64_t last, uint32_t unit)
{
    uint32_t epoch = (uint32_t)eng_arena_epoch(table->arena);
    for (uint64_t i = first; i <= last; i++)
        table->directory[i] = (struct eng_table_entry){unit, epoch};
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Copies a segment and its overflow. NULL: the budget does not allow it, then nothing is copied. */
static struct eng_segment *grow_relocate(struct eng_table *table, struct eng_segment *segment)
{
    struct eng_segment *first = NULL;
    uint32_t *link = NULL;
    for (struct eng_segment *from = segment;; from = eng_table_segment(table, from->next)) {
        struct eng_segment *to = eng_arena_block(table->arena, table->layout.size_bytes);
        if (to == NULL) break;
        memcpy(to, from, table->layout.size_bytes);
        to->next = 0;
        if (first == NULL)
            first = to;
        else
            *link = eng_table_unit(table, to);
        link = &to->next;
        if (from->next != 0) continue;

        for (uint32_t unit = eng_table_unit(table, segment), next; unit != 0; unit = next) {
            next = eng_table_segment(table, unit)->next;
            eng_arena_block_free(table->arena, eng_table_segment(table, unit),
                                 table->layout.size_bytes);
            table->statistics.relocated++;
        }
        return first;
    }
    for (uint32_t unit = first == NULL ? 0 : eng_table_unit(table, first), next; unit != 0;
         unit = next) {
        next = eng_table_segment(table, unit)->next;
        eng_arena_block_free(table->arena, eng_table_segment(table, unit),
                             table->layout.size_bytes);
    }
    table->statistics.refused++;
    return NULL;
}

void eng_table_writable(struct eng_table *table, uint64_t index)
{
    struct eng_table_entry entry = table->directory[index];
    CHECK(entry.epoch < eng_arena_epoch(table->arena));
    if (entry.segment == 0) return; /* an empty range becomes dirty when it gets a segment */
    struct eng_segment *segment = eng_table_segment(table, entry.segment);
    if (entry.epoch < eng_arena_frozen(table->arena)) {
        struct eng_segment *copy = grow_relocate(table, segment);
        if (copy != NULL) segment = copy;
    }
    uint64_t first, last;
    eng_table_run(table, index, segment->depth, &first, &last);
    grow_set_run(table, first, last, eng_table_unit(table, segment));
}

/* ---- New segments ---------------------------------------------------------------------------- */

static bool grow_is_empty(const struct eng_table *table, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++)
        if (table->directory[i].segment != 0) return false;
    return true;
}

/* The segment takes the largest aligned run of empty entries around the index, so that a table
 * that shrank and grows again does not get one segment for each directory entry. */
bool eng_table_create_segment(struct eng_table *table, uint64_t index)
{
    CHECK(table->directory[index].segment == 0);
    uint32_t depth = table->depth;
    uint64_t first = index, last = index;
    while (depth > table->depth_first) {
        uint64_t wider_first, wider_last;
        eng_table_run(table, index, depth - 1, &wider_first, &wider_last);
        if (wider_last - wider_first >= GROW_EMPTY_RUN_MAX) break;
        if (!grow_is_empty(table, wider_first, wider_last)) break;
        first = wider_first;
        last = wider_last;
        depth--;
    }
    struct eng_segment *segment = grow_take_segment(table, depth);
    if (segment == NULL) return false;
    grow_set_run(table, first, last, eng_table_unit(table, segment));
    table->statistics.segments++;
    return true;
}

/* ---- Growth ---------------------------------------------------------------------------------- */

static void grow_note_moves(struct eng_table *table, const struct eng_segment *from,
                            uint64_t from_bytes, uint64_t moved)
{
    table->moves++;
    table->moved_from = (const char *)from;
    table->moved_from_bytes = from_bytes;
    table->statistics.splits++;
    table->statistics.moved += moved;
    if (moved > table->statistics.moved_max) table->statistics.moved_max = moved;
}

/* The one segment of a small table becomes twice as large. */
static bool grow_double(struct eng_table *table, uint64_t index, struct eng_segment *old)
{
    CHECK(table->statistics.segments == 1); /* [T2] */
    CHECK(old->next == 0);
    struct eng_segment_layout old_layout = table->layout;
    eng_segment_layout_resize(&table->layout, old_layout.size_bytes * 2);
    struct eng_segment *larger = grow_take_segment(table, old->depth);
    if (larger == NULL) {
        table->layout = old_layout;
        return false;
    }
    for (uint32_t slot = 0; slot < eng_segment_slots(&old_layout); slot++)
        if (eng_segment_occupied(&old_layout, old, slot))
            eng_segment_copy_entry(&old_layout, old, slot, &table->layout, larger);
    CHECK(larger->count == old->count);

    uint64_t first, last;
    eng_table_run(table, index, larger->depth, &first, &last);
    grow_set_run(table, first, last, eng_table_unit(table, larger));
    grow_note_moves(table, old, old_layout.size_bytes, old->count);
    eng_arena_block_free(table->arena, old, old_layout.size_bytes);
    table->bytes -= old_layout.size_bytes;
    return true;
}

/* How many top bits are needed to tell the hashes of a chain, and one more, apart. 65: no number.
 */
static uint32_t grow_depth_needed(const struct eng_table *table, const struct eng_segment *segment,
                                  uint64_t hash)
{
    const struct eng_segment_layout *layout = &table->layout;
    uint64_t differ = 0;
    for (;; segment = eng_table_segment(table, segment->next)) {
        for (uint32_t slot = 0; slot < eng_segment_slots(layout); slot++) {
            if (!eng_segment_occupied(layout, segment, slot)) continue;
            differ |= eng_segment_hash(layout, segment, slot) ^ hash;
            /* The next bit is enough, and mostly one of the first few entries differs in it. */
            if (differ >> (64 - segment->depth - 1) != 0)
                return (uint32_t)__builtin_clzll(differ) + 1;
        }
        if (segment->next == 0) break;
    }
    return differ == 0 ? 65 : (uint32_t)__builtin_clzll(differ) + 1;
}

/* The directory must not be blown up by hashes that are all alike. */
static uint32_t grow_depth_allowed(const struct eng_table *table)
{
    uint64_t segments = table->statistics.segments + table->statistics.overflow_segments;
    uint64_t entries_max = segments * GROW_ENTRIES_PER_SEGMENT + GROW_ENTRIES_MIN;
    uint32_t depth = table->depth;
    while (depth < ENG_TABLE_DEPTH_MAX && grow_entries_at(table, depth + 1) <= entries_max)
        depth++;
    return depth;
}

/* Points the halves of a split at their segments; what else the old run covered is empty now. */
static void grow_set_halves(struct eng_table *table, uint64_t hash, uint32_t old_depth,
                            uint32_t depth, uint32_t low, uint32_t high)
{
    uint64_t index = eng_table_index(table, hash), first, last;
    eng_table_run(table, index, old_depth, &first, &last);
    grow_set_run(table, first, last, 0);
    eng_table_run(table, index, depth - 1, &first, &last);
    for (uint64_t i = first; i <= last; i++) {
        bool is_high = (i + table->directory_first) >> (table->depth - depth) & 1;
        grow_set_run(table, i, i, is_high ? high : low);
    }
}

static bool grow_split_one(struct eng_table *table, uint64_t hash, struct eng_segment *low,
                           uint32_t depth)
{
    uint32_t old_depth = low->depth;
    struct eng_segment *high = grow_take_segment(table, depth);
    if (high == NULL) return false;
    low->depth = (uint8_t)depth;
    uint32_t moved = eng_segment_split(&table->layout, low, high, 64 - depth);
    grow_set_halves(table, hash, old_depth, depth, eng_table_unit(table, low),
                    eng_table_unit(table, high));
    table->statistics.segments++;
    grow_note_moves(table, low, table->layout.size_bytes, moved);
    return true;
}

/* One side of a chain that is being split: segments taken in advance, filled one after another. */
struct grow_side {
    struct eng_segment *first, *filling;
    uint32_t segments;
};

static bool grow_side_take(struct eng_table *table, struct grow_side *side, uint64_t entries,
                           uint32_t depth)
{
    uint64_t segments =
        entries == 0 ? 1 : (entries + table->layout.limit - 1) / table->layout.limit;
    *side = (struct grow_side){0};
    for (uint64_t i = 0; i < segments; i++) {
        struct eng_segment *segment = grow_take_segment(table, depth);
        if (segment == NULL) return false;
        segment->next = side->first == NULL ? 0 : eng_table_unit(table, side->first);
        side->first = segment;
        side->segments++;
    }
    side->filling = side->first;
    return true;
}

static void grow_side_give(struct eng_table *table, struct grow_side *side)
{
    for (uint32_t unit = side->first == NULL ? 0 : eng_table_unit(table, side->first); unit != 0;) {
        struct eng_segment *segment = eng_table_segment(table, unit);
        unit = segment->next;
        grow_give_segment(table, segment);
    }
}

/* Splits a segment with overflow. As much work as the chain is long: only hashes made to collide
 * make chains, and each bit of the hash can do this to them once. */
static bool grow_split_chain(struct eng_table *table, uint64_t hash, struct eng_segment *chain,
                             uint32_t depth)
{
    const struct eng_segment_layout *layout = &table->layout;
    uint32_t old_depth = chain->depth, bit = 64 - depth, old_segments = 0;
    uint64_t counts[2] = {0, 0};
    for (struct eng_segment *from = chain;; from = eng_table_segment(table, from->next)) {
        old_segments++;
        for (uint32_t slot = 0; slot < eng_segment_slots(layout); slot++)
            if (eng_segment_occupied(layout, from, slot))
                counts[eng_segment_hash(layout, from, slot) >> bit & 1]++;
        if (from->next == 0) break;
    }
    struct grow_side sides[2] = {{0}, {0}};
    if (!grow_side_take(table, &sides[0], counts[0], depth) ||
        !grow_side_take(table, &sides[1], counts[1], depth)) {
        grow_side_give(table, &sides[0]);
        grow_side_give(table, &sides[1]);
        return false;
    }
    for (uint32_t unit = eng_table_unit(table, chain); unit != 0;) {
        struct eng_segment *from = eng_table_segment(table, unit);
        for (uint32_t slot = 0; slot < eng_segment_slots(layout); slot++) {
            if (!eng_segment_occupied(layout, from, slot)) continue;
            struct grow_side *side = &sides[eng_segment_hash(layout, from, slot) >> bit & 1];
            if (side->filling->count == layout->limit)
                side->filling = eng_table_segment(table, side->filling->next);
            eng_segment_copy_entry(layout, from, slot, layout, side->filling);
        }
        unit = from->next;
        grow_give_segment(table, from);
    }
    grow_set_halves(table, hash, old_depth, depth, eng_table_unit(table, sides[0].first),
                    eng_table_unit(table, sides[1].first));
    table->statistics.segments++;
    table->statistics.overflow_segments += sides[0].segments + sides[1].segments - 1;
    table->statistics.overflow_segments -= old_segments;
    grow_note_moves(table, chain, 0, counts[0] + counts[1]);
    table->moves++; /* entries were moved from more than one place */
    return true;
}

static bool grow_chain(struct eng_table *table, struct eng_segment *first)
{
    struct eng_segment *overflow = grow_take_segment(table, first->depth);
    if (overflow == NULL) return false;
    overflow->next = first->next;
    first->next = eng_table_unit(table, overflow);
    table->statistics.overflow_segments++;
    return true;
}

bool eng_table_grow(struct eng_table *table, uint64_t hash)
{
    uint64_t index = eng_table_index(table, hash);
    CHECK(table->directory[index].segment != 0);
    CHECK(table->directory[index].epoch == eng_arena_epoch(table->arena)); /* [T3] */
    struct eng_segment *segment = eng_table_segment(table, table->directory[index].segment);
    if (table->layout.size_bytes < table->layout.full_bytes)
        return grow_double(table, index, segment);

    uint32_t allowed = grow_depth_allowed(table);
    if (segment->depth < allowed) {
        uint32_t needed = grow_depth_needed(table, segment, hash);
        CHECK(needed > segment->depth);
        if (needed <= allowed) {
            if (needed > table->depth && !grow_directory(table, needed)) return false;
            return segment->next == 0 ? grow_split_one(table, hash, segment, needed)
                                      : grow_split_chain(table, hash, segment, needed);
        }
    }
    return grow_chain(table, segment);
}

/* ---- Giving back ----------------------------------------------------------------------------- */

void eng_table_drop_segment(struct eng_table *table, uint64_t index, struct eng_segment *segment)
{
    CHECK(segment->count == 0);
    struct eng_segment *first = eng_table_segment(table, table->directory[index].segment);
    uint64_t run_first, run_last;
    eng_table_run(table, index, first->depth, &run_first, &run_last);
    if (segment != first) {
        struct eng_segment *before = first;
        while (before->next != eng_table_unit(table, segment))
            before = eng_table_segment(table, before->next);
        before->next = segment->next;
        table->statistics.overflow_segments--;
    } else if (segment->next != 0) {
        grow_set_run(table, run_first, run_last, segment->next);
        table->statistics.overflow_segments--;
    } else {
        grow_set_run(table, run_first, run_last, 0);
        table->statistics.segments--;
    }
    grow_give_segment(table, segment);
    if (table->statistics.segments > 0) return;

    CHECK(table->count == 0);
    grow_give_directory(table);
    eng_table_start_directory(table);
    grow_set_run(table, 0, table->directory_count - 1, 0);
    eng_segment_layout_resize(&table->layout, table->layout.first_bytes);
}

void eng_table_drop_all(struct eng_table *table)
{
    for (uint64_t i = 0, first, last = 0; i < table->directory_count; i = last + 1) {
        last = i;
        if (table->directory[i].segment == 0) continue;
        struct eng_segment *segment = eng_table_segment(table, table->directory[i].segment);
        eng_table_run(table, i, segment->depth, &first, &last);
        CHECK(first == i);
        for (;;) {
            uint32_t next = segment->next;
            grow_give_segment(table, segment);
            if (next == 0) break;
            segment = eng_table_segment(table, next);
        }
    }
    grow_give_directory(table);
}
