#include "engine/operator/alignment.h"

#include "shm/counter.h"

static uint64_t alignment_word(int64_t slowest_us)
{
    CHECK(slowest_us >= ENG_WATERMARK_NONE);
    return (uint64_t)slowest_us - (uint64_t)ENG_WATERMARK_NONE;
}

static int64_t alignment_time(uint64_t word)
{
    return (int64_t)(word + (uint64_t)ENG_WATERMARK_NONE);
}

void eng_alignment_open(struct eng_alignment *alignment, struct eng_board *board,
                        struct eng_board_subtask *own, int64_t ahead_max_us)
{
    CHECK(ahead_max_us > 0);
    *alignment = (struct eng_alignment){
        .board = board, .own = own, .ahead_max_us = ahead_max_us, .allowed_us = INT64_MIN};
}

void eng_alignment_say(struct eng_alignment *alignment, int64_t slowest_us)
{
    uint64_t word = alignment_word(slowest_us);

    if (word < shm_counter_get(&alignment->own->slowest)) alignment->allowed_us = INT64_MIN;
    shm_counter_set(&alignment->own->slowest, word);
}

/* As words, whose order is that of the times. */
static int64_t alignment_slowest(const struct eng_board *board)
{
    uint64_t slowest = alignment_word(ENG_WATERMARK_END);

    for (uint32_t n = 0; n < board->counts.nodes; n++) {
        const struct eng_board_node *node = eng_board_node(board, n);
        for (uint32_t s = 0; s < node->parallelism && node->is_aligned; s++) {
            const struct eng_board_subtask *subtask =
                eng_board_subtask(board, node->first_subtask + s);
            uint64_t word = shm_counter_get(&subtask->slowest);
            if (word < slowest) slowest = word;
        }
    }
    return alignment_time(slowest);
}

bool eng_alignment_must_wait(struct eng_alignment *alignment, int64_t watermark_us)
{
    if (watermark_us == ENG_WATERMARK_NONE || watermark_us <= alignment->allowed_us) return false;
    int64_t slowest_us = alignment_slowest(alignment->board);
    if (__builtin_add_overflow(slowest_us, alignment->ahead_max_us, &alignment->allowed_us))
        alignment->allowed_us = INT64_MAX;
    return watermark_us > alignment->allowed_us;
}
