/* engine/flow/watermark.h: how far event time has come, over several inputs.
 *
 * A watermark W says: no record with an event time at or below W will follow on this input. A
 * chain's watermark is the smallest of its inputs, without those that are idle or have ended. When
 * all are idle nobody holds anybody back, and it is the largest: so it does not matter who became
 * idle first. It never falls: an input that comes back from being idle with a smaller one does not
 * lower it.
 *
 *     ENG_WATERMARK_NONE   nothing is known yet
 *     ENG_WATERMARK_IDLE   what an input says when it is left out of the smallest; as the result:
 *                          all inputs are idle
 *     ENG_WATERMARK_END    infinity: every window and timer fires
 */
#ifndef ENG_FLOW_WATERMARK_H
#define ENG_FLOW_WATERMARK_H

#include <stdbool.h>
#include <stdint.h>

#define ENG_WATERMARK_IDLE INT64_MIN
#define ENG_WATERMARK_NONE (INT64_MIN + 1)
#define ENG_WATERMARK_END  INT64_MAX

struct eng_watermark_input {
    int64_t watermark_us; /* the highest it said */
    bool idle, ended;
};

struct eng_watermark {
    struct eng_watermark_input *inputs; /* the owner's */
    uint32_t input_count;
    int64_t watermark_us; /* of all; never falls */
    bool idle;            /* all that have not ended are idle */
};

void eng_watermark_open(struct eng_watermark *watermark, struct eng_watermark_input *inputs,
                        uint32_t input_count);

/* An input said something: a watermark, or ENG_WATERMARK_IDLE. True: there is news, `watermark_us`
 * or `idle` has changed. */
bool eng_watermark_hear(struct eng_watermark *watermark, uint32_t input, int64_t watermark_us);

/* An input will say no more and is left out. True: there is news. */
bool eng_watermark_end(struct eng_watermark *watermark, uint32_t input);

#endif
