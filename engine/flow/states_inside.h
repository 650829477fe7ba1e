/* engine/flow/states_inside.h: heads and elements, for states.c and state_call.c. */
#ifndef ENG_FLOW_STATES_INSIDE_H
#define ENG_FLOW_STATES_INSIDE_H

#include "engine/flow/states.h"

static inline uint64_t *eng_state_present(char *head)
{
    return (uint64_t *)(void *)head;
}
static inline struct eng_list *eng_state_list(char *head)
{
    return (struct eng_list *)(void *)head;
}
static inline struct eng_dict *eng_state_dict(char *head)
{
    return (struct eng_dict *)(void *)head;
}
/* Of an element in a value's head or in a dict, where the state has a .ttl. */
static inline int64_t *eng_state_stamp(char *element)
{
    return (int64_t *)(void *)element;
}

/* The record of an element; NULL: a blob that is not there yet, all zeros. */
void *eng_state_record(const struct eng_state_plan *plan, char *element);

/* Where a record of so many bytes is to be laid; what was there is gone. NULL: refused. */
void *eng_state_make_room(struct eng_states *states, const struct eng_state_plan *plan,
                          char *element, uint64_t size_bytes);

/* Frees what an element owns. */
void eng_state_free_element(struct eng_states *states, const struct eng_state_plan *plan,
                            char *element);

/* All elements of one head. */
void eng_state_clear(struct eng_states *states, const struct eng_state_plan *plan, char *head);

/* Removes what is over from one head of a state with a .ttl. */
void eng_state_sweep(struct eng_states *states, const struct eng_state_plan *plan, char *head,
                     int64_t now_us);

#endif
