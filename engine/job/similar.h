/* engine/job/similar.h: "did you mean": which of some names somebody may have wanted to write. */
#ifndef ENG_JOB_SIMILAR_H
#define ENG_JOB_SIMILAR_H

#include <stdint.h>

/* Insertions, deletions, replacements and swaps of neighbours that make b of a; letters of either
 * case are equal. Names longer than 63 bytes are never similar: UINT32_MAX. */
uint32_t eng_similar_distance(const char *a, const char *b);

/* Offers one candidate after the other and keeps the nearest that is near enough: one slip in three
 * letters, three at most. Zeros begin; `best` is NULL as long as there is none. */
struct eng_similar {
    const char *wanted;
    const char *best;
    uint32_t distance;
};
void eng_similar_offer(struct eng_similar *similar, const char *candidate);

#endif
