/* engine/job/window_check.h: what every pen_add_ call with a `.window` checks.
 *
 *     eng_call_window     the window itself: sizes, fields of the records, event time
 *     eng_call_firing     the options of PEN_FIRING_OPTIONS_
 *     eng_call_add_late   `.late` as one more side output, behind the user's own: before
 *                         eng_call_common, which copies and checks the list
 *     eng_call_node ...
 *     eng_call_late_rows  what flows out of it: records as they came
 */
#ifndef ENG_JOB_WINDOW_CHECK_H
#define ENG_JOB_WINDOW_CHECK_H

#include "engine/job/stream.h"

/* Pointers to the options in the copied struct. */
struct eng_firing {
    pen_duration early_every;
    int64_t early_count;
    const struct pen_function **trigger;
    bool purge;
    pen_duration allowed_lateness;
};

#define ENG_FIRING_OF(options)                                                                     \
    (struct eng_firing)                                                                            \
    {                                                                                              \
        (options)->early_every, (options)->early_count, &(options)->trigger, (options)->purge,     \
            (options)->allowed_lateness                                                            \
    }

/* Copies what the window points to. Its kind is not PEN_WINDOW_NONE. */
void eng_call_window(struct eng_call *call, struct pen_window *window,
                     const struct graph_stream *stream);

void eng_call_firing(struct eng_call *call, const struct eng_firing *firing,
                     const struct pen_window *window, const struct graph_stream *stream,
                     bool has_late);

/* NULL stays NULL. Returns the new list, for common->side to point to. */
const struct pen_side *eng_call_add_late(struct eng_call *call, const struct pen_side *side,
                                         pen_stream *late, const struct graph_stream *stream);
/* The last output is that of late records. */
void eng_call_late_rows(struct eng_node *node, const struct graph_stream *stream);

#endif
