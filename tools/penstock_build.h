/* tools/penstock_build.h: `penstock build`: a job's source, compiled into an object that runs. */
#ifndef TOOLS_PENSTOCK_BUILD_H
#define TOOLS_PENSTOCK_BUILD_H

/* argv[0] is the name of the command. Returns the exit status of the program. */
int penstock_build(int argc, char **argv);

#endif
