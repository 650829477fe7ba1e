/* engine/job/duration.h: durations as people write them: 30min, 500ms, 2h, 1h30min, 1.5s, -5s.
 *
 * Units: us, ms, s, min, h, d. 0 needs none. A plain number is refused, because nobody can tell
 * whether its writer meant seconds. */
#ifndef ENG_JOB_DURATION_H
#define ENG_JOB_DURATION_H

#include <penstock/record.h>

enum { ENG_DURATION_BYTES = 32 };

/* The whole text; false leaves the target as it was. */
bool eng_duration_parse(const char *text, pen_duration *duration);

/* With the largest unit that is exact: 90min, 1500ms. `to` has ENG_DURATION_BYTES. Returns it. */
const char *eng_duration_print(pen_duration duration, char *to);

#endif
