/* engine/operator/operators.h: the operator kinds that the graph knows, one class a file.
 *
 * What each finds in its node, besides what engine/flow/node.h says:
 *
 *     class                    function    options                 ports
 *     eng_map_class            each        struct pen_map          1
 *     eng_async_class          each        struct pen_async        1: see async.h
 *     eng_filter_class         keep        struct pen_filter       1
 *     eng_project_class        NULL        struct pen_project      1
 *     eng_event_time_class     NULL        struct pen_event_time   1
 *     eng_pass_class           NULL        NULL                    1: rebalance, sequencing
 *     eng_process_class        on_left     struct pen_process      1: keyed
 *     eng_aggregate_class      NULL        struct pen_aggregation  1: keyed, no window
 *     eng_slices_class         NULL        struct pen_aggregation  1: keyed, aligned window
 *     eng_map_broadcast_class  each        struct pen_map          2: the second has the rules
 *     eng_process_two_class    on_left     struct pen_process      2: keyed; or the second: rules
 *     eng_join_regular_class   match       struct pen_join         2: keyed, no window
 *     eng_join_interval_class  match       struct pen_join         2: keyed
 *     eng_join_temporal_class  match       struct pen_join         2: keyed
 *     eng_join_window_class    match       struct pen_join         2: keyed; aligned or attached
 *     eng_source_class         poll        struct pen_source       0
 *     eng_generate_class       make        struct pen_generate     0
 *     eng_sink_class           write       struct pen_sink         1, no output
 */
#ifndef ENG_OPERATOR_OPERATORS_H
#define ENG_OPERATOR_OPERATORS_H

#include "engine/flow/class.h"

extern const struct eng_class eng_map_class;
extern const struct eng_class eng_async_class;
extern const struct eng_class eng_filter_class;
extern const struct eng_class eng_project_class;
extern const struct eng_class eng_event_time_class;
extern const struct eng_class eng_pass_class;
extern const struct eng_class eng_process_class;
extern const struct eng_class eng_process_two_class;
extern const struct eng_class eng_map_broadcast_class;
extern const struct eng_class eng_aggregate_class;
extern const struct eng_class eng_slices_class;
extern const struct eng_class eng_join_regular_class;
extern const struct eng_class eng_join_interval_class;
extern const struct eng_class eng_join_temporal_class;
extern const struct eng_class eng_join_window_class;
extern const struct eng_class eng_source_class;
extern const struct eng_class eng_generate_class;
extern const struct eng_class eng_sink_class;

/* Calls a source's `plan` once, in the supervisor before any worker exists, and keeps the splits in
 * the node. False: pen_fail was called, reason says why. */
bool eng_source_plan(struct eng_node *node, char *reason, uint32_t reason_bytes);

#endif
