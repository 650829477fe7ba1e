/* engine/job/limits.h: every bound of the graph and the plan. Each one sizes memory, or is where a
 * number stops being a plan and becomes a slip of the finger; none is a tuning hint. A message that
 * refuses something names the limit, so that it can be found here. */
#ifndef ENG_JOB_LIMITS_H
#define ENG_JOB_LIMITS_H

#include "engine/record/limits.h"

enum {
    /* Processes that own a core. Rings of an all-to-all exchange grow with the square: 256 workers
     * and five such exchanges at the smallest ring are 5 GiB, which is a plan one may mean. */
    ENG_WORKERS_MAX = 256,
    /* Processes of chains that block. They share cores, but each has a stack, page tables and
       rings. */
    ENG_HELPERS_MAX = 256,

    ENG_NODES_MAX = 4096, /* operators; a graph made by a loop that does not end stops here */
    ENG_SIDES_MAX = 64,   /* side outputs of an operator; each has buffers in each subtask */
    ENG_COUNTERS_MAX = 8, /* of an operator; the board has a place for so many */
    ENG_USES_MAX = 64,    /* states of an operator */
    ENG_AGGREGATES_MAX = ENG_FIELDS_MAX, /* of an operator: each fills a field */
    ENG_ID_BYTES_MAX = 1024,             /* of an id; readers are known by their path */
    ENG_MISTAKES_MAX = 100,              /* that are kept: nobody reads more */
    ENG_MISTAKE_BYTES = 1024,            /* one of them, its terminator included */

    /* Rings. The memory a worker reads from should lie in its caches: about an L2 and its share of
     * the L3. A pair alone is fastest from 256 KiB on and gains nothing beyond a megabyte; an
     * all-to-all carries little in each ring and is content with the smallest. */
    ENG_RING_BUDGET_BYTES = 2 << 20, /* of the inbound rings of a worker */
    ENG_RING_BYTES_MIN = 16 << 10,
    ENG_RING_BYTES_MAX = 1 << 20,
};

_Static_assert((ENG_RING_BYTES_MIN & (ENG_RING_BYTES_MIN - 1)) == 0, "rings are powers of two");
_Static_assert((ENG_RING_BYTES_MAX & (ENG_RING_BYTES_MAX - 1)) == 0, "rings are powers of two");
_Static_assert(ENG_RING_BUDGET_BYTES >= ENG_RING_BYTES_MAX, "one ring must fit its budget");

#endif
