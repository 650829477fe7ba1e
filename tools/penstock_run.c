/* `penstock run` and `penstock check`: the engine does it all, for programs with pen_main as well.
 */
#include "engine/control/main.h"
#include "tools/penstock.h"

int penstock_run(int argc, char **argv)
{
    return eng_main("penstock run", argc, argv, NULL, false);
}

int penstock_check(int argc, char **argv)
{
    return eng_main("penstock check", argc, argv, NULL, true);
}
