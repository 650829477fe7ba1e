/* tools/penstock.h: the commands of the program `penstock`. Each is handed the words from its own
 * name on and returns the program's exit status (see engine/control/options.h for what those mean).
 */
#ifndef TOOLS_PENSTOCK_H
#define TOOLS_PENSTOCK_H

int penstock_run(int argc, char **argv);
int penstock_check(int argc, char **argv);
int penstock_top(int argc, char **argv);

#endif
