/* The program `penstock`: finds the command. */
#include "tools/penstock.h"

#include <stdio.h>
#include <string.h>

#include <penstock.h>

#include "engine/control/options.h"
#include "tools/penstock_build.h"

static int penstock_help(int argc, char **argv);
static int penstock_version(int argc, char **argv);

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} penstock_commands[] = {
    {"build", penstock_build, "FILE.c [-o FILE.so]    compile a job"},
    {"check", penstock_check, "JOB.so [-- arguments]  tell its mistakes, run nothing"},
    {"run", penstock_run, "JOB.so [options] [-- arguments]"},
    {"top", penstock_top, "[JOB] [--once] [--json]  look at a job: workers, operators, rings"},
    {"version", penstock_version, ""},
    {"help", penstock_help, ""},
};
enum { PENSTOCK_COMMANDS = sizeof penstock_commands / sizeof *penstock_commands };

static void penstock_usage(FILE *out)
{
    fputs("usage: penstock COMMAND\n\n", out);
    for (int i = 0; i < PENSTOCK_COMMANDS; i++)
        fprintf(out, "  penstock %-8s%s\n", penstock_commands[i].name, penstock_commands[i].help);
    fputs("\n`penstock COMMAND --help` says more.\n", out);
}

static int penstock_help(int argc, char **argv)
{
    (void)argc, (void)argv;
    penstock_usage(stdout);
    return ENG_EXIT_OK;
}

static int penstock_version(int argc, char **argv)
{
    (void)argc, (void)argv;
    printf("penstock " PEN_VERSION ", ABI %u\n", PEN_ABI);
    return ENG_EXIT_OK;
}

static int penstock_unknown(const char *word)
{
    const char *words[PENSTOCK_COMMANDS + 1] = {NULL};
    char guess[128];

    for (int i = 0; i < PENSTOCK_COMMANDS; i++)
        words[i] = penstock_commands[i].name;
    fprintf(stderr, "penstock: there is no command %s.%s `penstock help` lists all\n", word,
            eng_options_guess(guess, sizeof guess, word, "", words));
    return ENG_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        penstock_usage(stderr);
        return ENG_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) word = "help";
    if (strcmp(word, "--version") == 0) word = "version";
    for (int i = 0; i < PENSTOCK_COMMANDS; i++)
        if (strcmp(word, penstock_commands[i].name) == 0)
            return penstock_commands[i].run(argc - 1, argv + 1);
    return penstock_unknown(word);
}
