#include "engine/control/main.h"

#include <errno.h>

#include "engine/control/supervisor.h"

int eng_main(const char *program, int argc, char *const *argv, void (*job)(pen_graph *graph),
             bool check)
{
    struct eng_run_options options;
    enum eng_exit status = ENG_EXIT_USAGE;

    if (eng_options_open(&options, program, job, argc, argv, stderr)) {
        options.check = check;
        status = ENG_EXIT_OK;
        if (options.help)
            eng_options_print_help(&options, stdout);
        else
            status = eng_run(&options, stdout, stderr);
    }
    eng_options_close(&options);
    return (int)status;
}

int pen_main(int argc, char **argv, void (*job)(pen_graph *graph))
{
    return eng_main(program_invocation_short_name, argc, argv, job, false);
}
