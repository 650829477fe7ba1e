/* engine/control/view.h: two snapshots of a job, as tables for people or as JSON for programs.
 *
 * Counters since the start come from the later one, rates and shares from what lies between the
 * two. Three tables: workers (who does what, where the time goes), operators (how much, how fast),
 * rings (how full: a full one shows who is the bottleneck, namely whoever it leads to).
 */
#ifndef ENG_CONTROL_VIEW_H
#define ENG_CONTROL_VIEW_H

#include <stdio.h>

#include "engine/control/inspect.h"

/* rings_max: the fullest ones, in the order of their numbers. UINT32_MAX: all. */
void eng_view_print(const struct eng_snapshot *before, const struct eng_snapshot *now,
                    uint32_t rings_max, FILE *out);
void eng_view_write_json(const struct eng_snapshot *before, const struct eng_snapshot *now,
                         FILE *out);

#endif
