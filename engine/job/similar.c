#include "engine/job/similar.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { SIMILAR_BYTES_MAX = 63 };

static uint32_t similar_min(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static bool similar_equal(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* The usual table, a row at a time; three rows because a swap looks two back. */
uint32_t eng_similar_distance(const char *a, const char *b)
{
    size_t a_bytes = strlen(a), b_bytes = strlen(b);
    uint32_t rows[3][SIMILAR_BYTES_MAX + 1] = {{0}};

    if (a_bytes > SIMILAR_BYTES_MAX || b_bytes > SIMILAR_BYTES_MAX) return UINT32_MAX;
    for (uint32_t j = 0; j <= b_bytes; j++)
        rows[0][j] = j;
    for (uint32_t i = 1; i <= a_bytes; i++) {
        uint32_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (uint32_t j = 1; j <= b_bytes; j++) {
            uint32_t replaced = above[j - 1] + (similar_equal(a[i - 1], b[j - 1]) ? 0 : 1);
            row[j] = similar_min(replaced, similar_min(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && similar_equal(a[i - 1], b[j - 2]) &&
                similar_equal(a[i - 2], b[j - 1]))
                row[j] = similar_min(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

void eng_similar_offer(struct eng_similar *similar, const char *candidate)
{
    if (!similar->wanted || !candidate || !*candidate) return;
    uint32_t longest = (uint32_t)strlen(similar->wanted);
    if (strlen(candidate) > longest) longest = (uint32_t)strlen(candidate);
    uint32_t allowed = similar_min(longest / 3 > 0 ? longest / 3 : 1, 3);
    uint32_t distance = eng_similar_distance(similar->wanted, candidate);

    if (distance > allowed || distance >= longest) return;
    if (similar->best && distance >= similar->distance) return;
    similar->best = candidate;
    similar->distance = distance;
}
