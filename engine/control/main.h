/* engine/control/main.h: a command line becomes a run: `penstock run`, and pen_main.
 *
 * pen_main is public and declared in <penstock/graph.h>; this is the same for a job object. */
#ifndef ENG_CONTROL_MAIN_H
#define ENG_CONTROL_MAIN_H

#include "engine/control/options.h"

/* argv[0] is not looked at. job: NULL: the first word is the job object. check: mistakes only.
 * The exit status. */
int eng_main(const char *program, int argc, char *const *argv, void (*job)(pen_graph *graph),
             bool check);

#endif
