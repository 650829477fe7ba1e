/* engine/control/options.h: the command line of a run.
 *
 *     penstock run JOB.so [options] [-- arguments of the job]
 *     ./job               [options] [-- arguments of the job]        a job with pen_main
 *
 * Everything before `--` is ours, everything behind it is the job's. Parsing looks at nothing but
 * the words and the machine's cores; whether files exist is found out by the run. A mistake is told
 * in one message that says what to do; the caller then exits with ENG_EXIT_USAGE.
 */
#ifndef ENG_CONTROL_OPTIONS_H
#define ENG_CONTROL_OPTIONS_H

#include <penstock.h>

#include <stdio.h>

/* What a run tells its shell. */
enum eng_exit {
    ENG_EXIT_OK = 0,     /* ended, stopped or drained */
    ENG_EXIT_FAILED = 1, /* the job failed, or could not be run */
    ENG_EXIT_USAGE = 2,  /* command line, arguments or graph have mistakes; nothing was run */
    ENG_EXIT_INTERRUPTED = 130, /* killed by a second signal */
};

struct eng_run_options {
    const char *program; /* for messages: "penstock run" */
    const char *object;  /* path of the job object; NULL: `job` */
    void (*job)(pen_graph *graph);

    uint32_t parallelism; /* 0: not given */
    int *cores;           /* NULL: not given */
    uint32_t core_count;
    uint64_t memory_bytes; /* 0: not given */
    const char *name;      /* NULL: not given; so all that follow */
    const char *summary_json;
    const char *dead_letters;
    enum pen_on_bad_record on_bad_record;
    bool check; /* mistakes and warnings only: `penstock check` */
    bool explain, dry_run, drain, quiet, help;

    char *const *arguments; /* of the job: they lie in argv */
    int argument_count;
};

/* Reads argv[1] and on. job: NULL, and the first word that is no option is the job object. False: a
 * mistake has been told on `err`. Close in either case. */
bool eng_options_open(struct eng_run_options *options, const char *program,
                      void (*job)(pen_graph *graph), int argc, char *const *argv, FILE *err);
void eng_options_close(struct eng_run_options *options);

void eng_options_print_help(const struct eng_run_options *options, FILE *out);

/* Words that somebody may have meant, for messages: " Did you mean X?", or nothing. */
const char *eng_options_guess(char *text, size_t text_bytes, const char *word, const char *before,
                              const char *const *words);

#endif
