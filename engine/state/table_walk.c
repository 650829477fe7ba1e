#include "engine/state/table_inside.h"

/* The hashes that directory entries first..last stand for, cut off at the table's own range. */
static void walk_bounds(const struct eng_table *table, uint64_t first, uint64_t last,
                        uint64_t *hash_first, uint64_t *hash_last)
{
    uint32_t shift = 64 - table->depth;
    uint64_t low = (first + table->directory_first) << shift;
    uint64_t high = ((last + table->directory_first) << shift) | (((uint64_t)1 << shift) - 1);
    *hash_first = low < table->hash_first ? table->hash_first : low;
    *hash_last = high > table->hash_last ? table->hash_last : high;
}

/* The run of entries that belongs to one segment, or of empty entries around an empty one. */
static void walk_run(const struct eng_table *table, uint64_t index, uint64_t *first, uint64_t *last)
{
    struct eng_table_entry entry = table->directory[index];
    if (entry.segment != 0) {
        eng_table_run(table, index, eng_table_segment(table, entry.segment)->depth, first, last);
        CHECK(table->directory[*first].segment == entry.segment); /* [T1] */
        CHECK(table->directory[*last].segment == entry.segment);
        return;
    }
    *first = *last = index;
    const struct eng_table_entry *entries = table->directory;
    while (*first > 0 && entries[*first - 1].segment == 0 &&
           entries[*first - 1].epoch == entry.epoch)
        --*first;
    while (*last + 1 < table->directory_count && entries[*last + 1].segment == 0 &&
           entries[*last + 1].epoch == entry.epoch)
        ++*last;
}

void eng_table_range_at(const struct eng_table *table, uint64_t hash, struct eng_table_range *range)
{
    uint64_t index = eng_table_index(table, hash), first, last;
    walk_run(table, index, &first, &last);
    *range = (struct eng_table_range){.epoch = table->directory[index].epoch};
    walk_bounds(table, first, last, &range->first, &range->last);
    for (uint32_t unit = table->directory[index].segment; unit != 0;) {
        const struct eng_segment *segment = eng_table_segment(table, unit);
        range->count += segment->count;
        range->bytes += table->layout.size_bytes;
        unit = segment->next;
    }
}

void eng_table_walk_all(struct eng_table_walk *walk, const struct eng_table *table)
{
    eng_table_walk_range(walk, table, table->hash_first, table->hash_last);
}

void eng_table_walk_range(struct eng_table_walk *walk, const struct eng_table *table, uint64_t from,
                          uint64_t last)
{
    *walk = (struct eng_table_walk){.table = table, .from = from, .last = last};
    if (walk->from < table->hash_first) walk->from = table->hash_first;
    if (walk->last > table->hash_last) walk->last = table->hash_last;
    /* A range apart from the table's has nothing in it. */
    walk->index =
        walk->from > walk->last ? table->directory_count : eng_table_index(table, walk->from);
}

/* Goes to the next segment that may have entries of the walk. False: there is none. */
static bool walk_advance(struct eng_table_walk *walk)
{
    const struct eng_table *table = walk->table;
    if (walk->segment != NULL) {
        uint32_t next = ((const struct eng_segment *)(const void *)walk->segment)->next;
        walk->segment = next == 0 ? NULL : (const char *)eng_table_segment(table, next);
        walk->slot = 0;
        if (next != 0) return true;
    }
    while (walk->index < table->directory_count) {
        uint32_t unit = table->directory[walk->index].segment;
        if (unit == 0) {
            walk->index++;
            continue;
        }
        uint64_t first, last, hash_first, hash_last;
        walk_run(table, walk->index, &first, &last);
        walk_bounds(table, first, last, &hash_first, &hash_last);
        if (hash_first > walk->last) break;
        walk->index = last + 1;
        walk->segment = (const char *)eng_table_segment(table, unit);
        walk->slot = 0;
        walk->whole = hash_first >= walk->from && hash_last <= walk->last;
        return true;
    }
    walk->index = table->directory_count;
    return false;
}

bool eng_table_walk_next(struct eng_table_walk *walk, uint64_t *hash, const void **key,
                         uint32_t *key_bytes, void **value)
{
    const struct eng_segment_layout *layout = &walk->table->layout;
    uint32_t slots = eng_segment_slots(layout), slot;
    const struct eng_segment *segment;
    uint64_t found;
    for (;;) {
        if (walk->segment == NULL || walk->slot == slots) {
            if (!walk_advance(walk)) return false;
            continue;
        }
        segment = (const struct eng_segment *)(const void *)walk->segment;
        slot = walk->slot++;
        if (!eng_segment_occupied(layout, segment, slot)) continue;
        if (walk->whole && hash == NULL) break;
        found = eng_segment_hash(layout, segment, slot);
        if (!walk->whole && (found < walk->from || found > walk->last)) continue;
        if (hash != NULL) *hash = found;
        break;
    }
    const char *body = eng_segment_body(layout, segment, slot);
    const struct eng_segment_text *text = (const struct eng_segment_text *)(const void *)body;
    if (key_bytes != NULL)
        *key_bytes = layout->key_bytes != 0 ? layout->key_bytes : text->size_bytes;
    if (key != NULL) {
        if (layout->narrow)
            *key = eng_segment_word(layout, segment, slot);
        else
            *key = layout->key_bytes != 0 ? body : eng_segment_text_bytes(text);
    }
    if (value != NULL) *value = (char *)body + layout->value_offset;
    return true;
}

bool eng_table_walk_step(struct eng_table_walk *walk, const struct eng_table *table,
                         struct eng_table_cursor *cursor)
{
    if (cursor->done) return false;
    uint64_t next = cursor->begun ? cursor->next : table->hash_first;
    uint64_t index = eng_table_index(table, next), first, last, hash_first, hash_last;
    walk_run(table, index, &first, &last);
    walk_bounds(table, first, last, &hash_first, &hash_last);
    eng_table_walk_range(walk, table, next, hash_last);
    cursor->begun = true;
    cursor->done = hash_last == table->hash_last;
    cursor->next = hash_last + 1;
    return true;
}
