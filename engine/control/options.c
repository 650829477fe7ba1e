#include "engine/control/options.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/job/limits.h"
#include "engine/job/similar.h"
#include "shm/check.h"
#include "shm/region.h"

enum options_code {
    OPTIONS_PARALLELISM = 256,
    OPTIONS_CORES,
    OPTIONS_NAME,
    OPTIONS_MEMORY,
    OPTIONS_EXPLAIN,
    OPTIONS_DRY_RUN,
    OPTIONS_DRAIN,
    OPTIONS_SUMMARY_JSON,
    OPTIONS_ON_BAD_RECORD,
    OPTIONS_DEAD_LETTERS,
    OPTIONS_QUIET,
    OPTIONS_HELP,
};

static const struct option options_known[] = {
    {"parallelism", required_argument, NULL, OPTIONS_PARALLELISM},
    {"cores", required_argument, NULL, OPTIONS_CORES},
    {"name", required_argument, NULL, OPTIONS_NAME},
    {"memory", required_argument, NULL, OPTIONS_MEMORY},
    {"explain", no_argument, NULL, OPTIONS_EXPLAIN},
    {"dry-run", no_argument, NULL, OPTIONS_DRY_RUN},
    {"drain", no_argument, NULL, OPTIONS_DRAIN},
    {"summary-json", required_argument, NULL, OPTIONS_SUMMARY_JSON},
    {"on-bad-record", required_argument, NULL, OPTIONS_ON_BAD_RECORD},
    {"dead-letters", required_argument, NULL, OPTIONS_DEAD_LETTERS},
    {"quiet", no_argument, NULL, OPTIONS_QUIET},
    {"help", no_argument, NULL, OPTIONS_HELP},
    {NULL, 0, NULL, 0},
};

static const char *const options_words[] = {
    "parallelism",  "cores",         "memory",       "name",  "explain", "dry-run", "drain",
    "summary-json", "on-bad-record", "dead-letters", "quiet", "help",    NULL};

void eng_options_print_help(const struct eng_run_options *options, FILE *out)
{
    fprintf(out, "usage: %s%s [options] [-- arguments of the job]\n\n", options->program,
            options->job ? "" : " JOB.so");
    fputs(
        "  --parallelism N        workers: processes with a core each (default: the job's, else\n"
        "                         one for each core)\n"
        "  --cores 0,2-5          the cores to use (default: all that this process may use)\n"
        "  --memory SIZE          all that the job may take: state, queues, rings; 512MiB, 20GiB\n"
        "                         (default: what the machine has)\n"
        "  --name NAME            what the job is called in `penstock top`; two jobs that run at\n"
        "                         the same time have two names (default: the job's, else the\n"
        "                         file's)\n"
        "  --explain              print the plan and run nothing\n"
        "  --dry-run              print the plan and every byte it takes, and run nothing\n"
        "  --drain                the first Ctrl-C ends the sources as at the end of their input,\n"
        "                         so that everything fires (default: they just stop)\n"
        "  --on-bad-record WHAT   fail, skip or dead-letter (default: the job's)\n"
        "  --dead-letters DIR     where bad records are written down\n"
        "  --summary-json FILE    write the figures of the run there\n"
        "  -q, --quiet            no progress, no summary\n"
        "  -h, --help\n\n"
        "What the job itself understands: write `-- --help`.\n"
        "The first Ctrl-C stops the job in order, the second one kills it.\n"
        "Exit status: 0 it ended or was stopped, 1 it failed, 2 a mistake in options, arguments "
        "or\n"
        "graph, 130 killed by the second Ctrl-C.\n",
        out);
}

const char *eng_options_guess(char *text, size_t text_bytes, const char *word, const char *before,
                              const char *const *words)
{
    struct eng_similar similar = {.wanted = word};

    text[0] = 0;
    for (; *words; words++)
        eng_similar_offer(&similar, *words);
    if (similar.best) snprintf(text, text_bytes, " Did you mean %s%s?", before, similar.best);
    return text;
}

/* What is being read, for messages. */
struct options_reader {
    struct eng_run_options *options;
    FILE *err;
    bool bad;
};

__attribute__((format(printf, 2, 3))) static void options_refuse(struct options_reader *reader,
                                                                 const char *format, ...)
{
    va_list arguments;

    if (reader->bad) return; /* one message: the others may follow from the first */
    reader->bad = true;
    fprintf(reader->err, "%s: ", reader->options->program);
    va_start(arguments, format);
    vfprintf(reader->err, format, arguments);
    va_end(arguments);
    fputc('\n', reader->err);
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* Decimal digits and nothing else, up to a limit that no number here exceeds. */
static bool options_number(const char *text, const char **end, uint32_t *number)
{
    uint32_t value = 0;

    if (*text < '0' || *text > '9') return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (value > 100000000) return false;
        value = value * 10 + (uint32_t)(*text - '0');
    }
    *end = text;
    *number = value;
    return true;
}

static void options_parallelism(struct options_reader *reader, const char *text)
{
    const char *end = text;
    uint32_t number;
    bool is_number = options_number(text, &end, &number) && *end == 0;

    if (!is_number || number == 0 || number > ENG_WORKERS_MAX)
        options_refuse(reader,
                       "--parallelism %s: a job has 1 to %d workers. This machine has %ld cores, "
                       "and more workers than cores make nothing faster",
                       text, ENG_WORKERS_MAX, sysconf(_SC_NPROCESSORS_ONLN));
    else
        reader->options->parallelism = number;
}

/* The cores that a process may run on, as a person would write them: 0-1,4. */
static void options_print_set(const cpu_set_t *set, char *text, size_t text_bytes)
{
    size_t used = 0;

    text[0] = 0;
    for (uint32_t core = 0; core < CPU_SETSIZE && used < text_bytes; core++) {
        if (!CPU_ISSET(core, set)) continue;
        uint32_t last = core;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
            last++;
        const char *comma = used ? "," : "";
        int size = last > core
                       ? snprintf(text + used, text_bytes - used, "%s%u-%u", comma, core, last)
                       : snprintf(text + used, text_bytes - used, "%s%u", comma, core);
        used += (size_t)size;
        core = last;
    }
}

static void options_add_core(struct options_reader *reader, const char *text, uint32_t core,
                             const cpu_set_t *allowed)
{
    struct eng_run_options *options = reader->options;

    if (core >= CPU_SETSIZE || !CPU_ISSET(core, allowed)) {
        char set[256];
        options_print_set(allowed, set, sizeof set);
        options_refuse(reader, "--cores %s: this process may not run on core %u, only on %s", text,
                       core, set);
        return;
    }
    for (uint32_t i = 0; i < options->core_count; i++)
        if (options->cores[i] == (int)core) {
            options_refuse(reader, "--cores %s names core %u twice", text, core);
            return;
        }
    CHECK(options->core_count < CPU_SETSIZE);
    options->cores[options->core_count++] = (int)core;
}

static void options_cores(struct options_reader *reader, const char *text)
{
    struct eng_run_options *options = reader->options;
    const char *at = text;
    cpu_set_t allowed;

    CPU_ZERO(&allowed);
    CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    free(options->cores);
    options->core_count = 0;
    options->cores = calloc(CPU_SETSIZE, sizeof *options->cores);
    CHECK(options->cores != NULL);
    do {
        uint32_t from, to;
        bool good = options_number(at, &at, &from);
        to = from;
        if (good && *at == '-') good = options_number(at + 1, &at, &to);
        if (!good || (*at != 0 && *at != ',') || to < from || to - from >= CPU_SETSIZE) {
            options_refuse(reader, "--cores %s: write numbers and ranges, such as 0,2-5", text);
            return;
        }
        for (uint32_t core = from; core <= to; core++)
            options_add_core(reader, text, core, &allowed);
    } while (!reader->bad && *at++ == ',');
}

static void options_memory(struct options_reader *reader, const char *text)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1},           {"B", 1},        {"KiB", 1u << 10}, {"MiB", 1u << 20},
                 {"GiB", 1u << 30}, {"TiB", 0x1p40}, {"K", 1u << 10},   {"M", 1u << 20},
                 {"G", 1u << 30},   {"T", 0x1p40},   {"kB", 1e3},       {"MB", 1e6},
                 {"GB", 1e9},       {"TB", 1e12}};
    char *unit = NULL;
    double number = *text >= '0' && *text <= '9' ? strtod(text, &unit) : 0;

    for (size_t i = 0; number > 0 && i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i].name) == 0 && number * units[i].bytes < 0x1p60) {
            reader->options->memory_bytes = (uint64_t)(number * units[i].bytes);
            if (reader->options->memory_bytes > 0) return;
        }
    options_refuse(reader, "--memory %s: write a number and a unit, such as 512MiB or 20GiB", text);
}

static void options_bad_record(struct options_reader *reader, const char *text)
{
    static const char *const words[] = {"fail", "skip", "dead-letter", NULL};
    static const enum pen_on_bad_record values[] = {PEN_BAD_FAIL, PEN_BAD_SKIP,
                                                    PEN_BAD_DEAD_LETTER};
    char guess[128];

    for (int i = 0; words[i]; i++)
        if (strcmp(text, words[i]) == 0) {
            reader->options->on_bad_record = values[i];
            return;
        }
    options_refuse(reader, "--on-bad-record %s: it is fail, skip or dead-letter.%s", text,
                   eng_options_guess(guess, sizeof guess, text, "", words));
}

static void options_name(struct options_reader *reader, const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t size = strlen(text);

    if (size == 0 || size >= SHM_REGION_JOB_BYTES || *text == '.' || strspn(text, allowed) != size)
        options_refuse(
            reader,
            "--name '%s': a name has 1 to %d letters, digits, '-', '_' and '.', and does "
            "not begin with '.'",
            text, SHM_REGION_JOB_BYTES - 1);
    else
        reader->options->name = text;
}

static void options_path(struct options_reader *reader, const char *option, const char *text,
                         const char **path)
{
    if (*text == 0)
        options_refuse(reader, "--%s: the path is empty", option);
    else
        *path = text;
}

/* ---- Words ----------------------------------------------------------------------------------- */

static void options_unknown(struct options_reader *reader, const char *word)
{
    char name[64], guess[128];

    if (word[0] != '-' || word[1] != '-') {
        options_refuse(reader,
                       "there is no option %s. `%s --help` lists all; arguments of the job "
                       "come behind --",
                       word, reader->options->program);
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    options_refuse(reader,
                   "there is no option --%s.%s `%s --help` lists all; arguments of the job "
                   "come behind --",
                   name, eng_options_guess(guess, sizeof guess, name, "--", options_words),
                   reader->options->program);
}

static void options_take(struct options_reader *reader, int code, const char *value,
                         const char *word)
{
    struct eng_run_options *options = reader->options;

    switch (code) {
    case OPTIONS_PARALLELISM:
        options_parallelism(reader, value);
        return;
    case OPTIONS_CORES:
        options_cores(reader, value);
        return;
    case OPTIONS_NAME:
        options_name(reader, value);
        return;
    case OPTIONS_MEMORY:
        options_memory(reader, value);
        return;
    case OPTIONS_EXPLAIN:
        options->explain = true;
        return;
    case OPTIONS_DRY_RUN:
        options->dry_run = true;
        return;
    case OPTIONS_DRAIN:
        options->drain = true;
        return;
    case OPTIONS_SUMMARY_JSON:
        options_path(reader, "summary-json", value, &options->summary_json);
        return;
    case OPTIONS_ON_BAD_RECORD:
        options_bad_record(reader, value);
        return;
    case OPTIONS_DEAD_LETTERS:
        options_path(reader, "dead-letters", value, &options->dead_letters);
        return;
    case 'q':
    case OPTIONS_QUIET:
        options->quiet = true;
        return;
    case 'h':
    case OPTIONS_HELP:
        options->help = true;
        return;
    case ':':
        options_refuse(reader, "%s needs a value", word);
        return;
    default:
        options_unknown(reader, word);
        return;
    }
}

/* getopt_long knows `--` as well, but moves words around it: afterwards nobody can tell a word
 * before it from one behind. So it gets to see ours only. Its state is the process's. */
static void options_read(struct options_reader *reader, int argc, char **argv)
{
    struct eng_run_options *options = reader->options;
    int code;

    optind = 0;
    opterr = 0;
    for (;;) {
        int at = optind ? optind : 1;
        code = getopt_long(argc, argv, ":qh", options_known, NULL);
        if (code < 0) break;
        char letter[3] = {'-', (char)optopt, 0};
        const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : argv[at];
        bool is_letter = code == '?' && optopt != 0 && strncmp(word, "--", 2) != 0;
        options_take(reader, code, optarg, is_letter ? letter : word);
    }
    for (; optind < argc; optind++) {
        if (!options->job && !options->object)
            options->object = argv[optind];
        else
            options_refuse(reader, "'%s' is one word too many: arguments of the job come behind --",
                           argv[optind]);
    }
}

bool eng_options_open(struct eng_run_options *options, const char *program,
                      void (*job)(pen_graph *graph), int argc, char *const *argv, FILE *err)
{
    struct options_reader reader = {options, err, false};
    int ours = 1;

    CHECK(argc >= 1);
    *options = (struct eng_run_options){.program = program, .job = job};
    while (ours < argc && strcmp(argv[ours], "--") != 0)
        ours++;
    if (ours < argc) {
        options->arguments = argv + ours + 1;
        options->argument_count = argc - ours - 1;
    }

    /* getopt_long sorts the words: in a copy. */
    char **words = calloc((size_t)ours + 1, sizeof *words);
    CHECK(words != NULL);
    memcpy(words, argv, (size_t)ours * sizeof *words);
    options_read(&reader, ours, words);
    free(words);
    if (!job && !options->object && !options->help)
        options_refuse(&reader, "which job? usage: %s JOB.so [options] [-- arguments of the job]",
                       program);
    return !reader.bad;
}

void eng_options_close(struct eng_run_options *options)
{
    free(options->cores);
    *options = (struct eng_run_options){0};
}
