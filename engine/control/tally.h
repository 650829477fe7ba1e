/* engine/control/tally.h: a job's counters, summed up.
 *
 * The board has a block for each subtask and each worker; people ask about operators and about the
 * job. Used on the live board by the supervisor (summary, progress line) and on copies of it by
 * tools. Counters move while they are read: sums of one call may disagree by what happened
 * meanwhile.
 */
#ifndef ENG_CONTROL_TALLY_H
#define ENG_CONTROL_TALLY_H

#include "engine/flow/board.h"

/* One operator: all its subtasks. */
struct eng_tally_node {
    uint64_t records_in, records_out, rejected, bytes_in, state_bytes, keys;
    uint64_t counters[8];
    int64_t watermark_us; /* the smallest of its subtasks, ENG_WATERMARK_IDLE when all that have not
                             ended are idle; see engine/flow/watermark.h */
    uint32_t ended;       /* subtasks that have */
};

struct eng_tally_job {
    uint64_t records; /* that sources have given */
    uint64_t bytes_in, rejected;
    uint64_t busy_ns, blocked_ns, idle_ns; /* of the workers */
    uint64_t memory_bytes;
    int64_t watermark_us; /* the smallest that a sink has heard of; ENG_WATERMARK_NONE: none has */
};

struct eng_tally_node eng_tally_node(const struct eng_board *board, uint32_t node);
struct eng_tally_job eng_tally_job(const struct eng_board *board);

/* Is this a time, or one of the words of engine/flow/watermark.h? */
bool eng_tally_is_time(int64_t watermark_us);

#endif
