#include "engine/control/tally.h"

#include "engine/flow/watermark.h"
#include "shm/counter.h"

bool eng_tally_is_time(int64_t watermark_us)
{
    return watermark_us != ENG_WATERMARK_NONE && watermark_us != ENG_WATERMARK_IDLE &&
           watermark_us != ENG_WATERMARK_END;
}

struct eng_tally_node eng_tally_node(const struct eng_board *board, uint32_t node)
{
    const struct eng_board_node *shown = eng_board_node(board, node);
    struct eng_tally_node tally = {.watermark_us = ENG_WATERMARK_END};
    uint32_t idle = 0;

    for (uint32_t s = 0; s < shown->parallelism; s++) {
        const struct eng_board_subtask *subtask =
            eng_board_subtask(board, shown->first_subtask + s);
        tally.records_in += shm_counter_get(&subtask->records_in);
        tally.records_out += shm_counter_get(&subtask->records_out);
        tally.rejected += shm_counter_get(&subtask->rejected);
        tally.bytes_in += shm_counter_get(&subtask->bytes_in);
        tally.state_bytes += shm_counter_get(&subtask->state_bytes);
        tally.keys += shm_counter_get(&subtask->keys);
        for (uint32_t c = 0; c < sizeof tally.counters / sizeof *tally.counters; c++)
            tally.counters[c] += shm_counter_get(&subtask->counters[c]);
        tally.ended += shm_counter_get(&subtask->ended) != 0;

        /* Who is idle is left out of the smallest, as the operators themselves do it. */
        int64_t watermark_us = (int64_t)shm_counter_get(&subtask->watermark_us);
        if (watermark_us == ENG_WATERMARK_IDLE)
            idle++;
        else if (watermark_us < tally.watermark_us)
            tally.watermark_us = watermark_us;
    }
    if (idle > 0 && tally.watermark_us == ENG_WATERMARK_END)
        tally.watermark_us = ENG_WATERMARK_IDLE;
    return tally;
}

struct eng_tally_job eng_tally_job(const struct eng_board *board)
{
    struct eng_tally_job job = {.watermark_us = ENG_WATERMARK_END};

    for (uint32_t n = 0; n < board->counts.nodes; n++) {
        const struct eng_board_node *shown = eng_board_node(board, n);
        struct eng_tally_node node = eng_tally_node(board, n);
        job.rejected += node.rejected;
        if (shown->is_source) {
            job.records += node.records_out;
            job.bytes_in += node.bytes_in;
        }
        /* A sink that never hears of time has nothing to say about it, nor has an idle one. */
        if (shown->is_sink && node.watermark_us > ENG_WATERMARK_NONE &&
            node.watermark_us < job.watermark_us)
            job.watermark_us = node.watermark_us;
    }
    if (job.watermark_us == ENG_WATERMARK_END) job.watermark_us = ENG_WATERMARK_NONE;
    for (uint32_t w = 0; w < board->counts.workers; w++) {
        const struct eng_board_worker *worker = eng_board_worker(board, w);
        job.busy_ns += shm_counter_get(&worker->busy_ns);
        job.blocked_ns += shm_counter_get(&worker->blocked_ns);
        job.idle_ns += shm_counter_get(&worker->idle_ns);
        job.memory_bytes += shm_counter_get(&worker->memory_bytes);
    }
    return job;
}
