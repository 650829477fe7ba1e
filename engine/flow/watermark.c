#include "engine/flow/watermark.h"

#include "shm/check.h"

void eng_watermark_open(struct eng_watermark *watermark, struct eng_watermark_input *inputs,
                        uint32_t input_count)
{
    for (uint32_t i = 0; i < input_count; i++)
        inputs[i] = (struct eng_watermark_input){.watermark_us = ENG_WATERMARK_NONE};
    *watermark = (struct eng_watermark){
        .inputs = inputs, .input_count = input_count, .watermark_us = ENG_WATERMARK_NONE};
}

/* The smallest of the inputs that count, or what was before where that is larger. The largest of
 * the idle ones, when no other is left. */
static bool watermark_combine(struct eng_watermark *watermark)
{
    int64_t smallest = ENG_WATERMARK_END;
    int64_t largest_ended = ENG_WATERMARK_NONE, largest_idle = ENG_WATERMARK_NONE;
    bool any = false, open = false;

    for (uint32_t i = 0; i < watermark->input_count; i++) {
        const struct eng_watermark_input *input = &watermark->inputs[i];
        if (input->ended) {
            if (input->watermark_us > largest_ended) largest_ended = input->watermark_us;
            continue;
        }
        open = true;
        if (input->idle) {
            if (input->watermark_us > largest_idle) largest_idle = input->watermark_us;
            continue;
        }
        any = true;
        if (input->watermark_us < smallest) smallest = input->watermark_us;
    }
    /* When all have ended, what the last of them said holds: infinity, unless they were stopped. */
    if (!any) smallest = open ? largest_idle : largest_ended;

    bool idle = open && !any;
    bool news = idle != watermark->idle;
    watermark->idle = idle;
    if (smallest > watermark->watermark_us) {
        watermark->watermark_us = smallest;
        news = true;
    }
    return news;
}

bool eng_watermark_hear(struct eng_watermark *watermark, uint32_t input, int64_t watermark_us)
{
    CHECK(input < watermark->input_count);
    struct eng_watermark_input *heard = &watermark->inputs[input];

    CHECK(!heard->ended);
    if (watermark_us == ENG_WATERMARK_IDLE) {
        heard->idle = true;
    } else {
        heard->idle = false;
        if (watermark_us > heard->watermark_us) heard->watermark_us = watermark_us;
    }
    return watermark_combine(watermark);
}

bool eng_watermark_end(struct eng_watermark *watermark, uint32_t input)
{
    CHECK(input < watermark->input_count);
    watermark->inputs[input].ended = true;
    return watermark_combine(watermark);
}
