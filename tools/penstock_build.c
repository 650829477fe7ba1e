/* `penstock build job.c [-o job.so] [--print]`: one line of the compiler, so that nobody has to
 * know it.
 *
 * The object is made beside its place and then renamed: a job that runs has the old one mapped, and
 * writing into that file would crash it. If this dies half-way, the old object is still there. */
#include "tools/penstock_build.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { BUILD_WORDS_MAX = 512 };

struct build {
    const char *words[BUILD_WORDS_MAX + 1]; /* the command line, ended by NULL */
    int word_count;
    const char *output; /* -o */
    const char *first;  /* source file */
    bool print, is_cxx;
    char include[PATH_MAX];
};

static const char build_usage[] =
    "usage: penstock build FILE.c ... [-o FILE.so] [--print] [compiler options]\n"
    "\n"
    "Compiles a job into an object for `penstock run`. The compiler is $CC, else cc, gcc or clang\n"
    "(for C++: $CXX, else c++, g++ or clang++).\n"
    "\n"
    "  -o FILE     where it goes (default: the first source, with .so for .c)\n"
    "  --print     print the compiler's command line and do nothing\n"
    "  -lNAME -DX  and other options that begin with -l -L -I -D -O -W -f -g -m -std are the "
    "compiler's\n";

static void build_add(struct build *build, const char *word)
{
    if (build->word_count < BUILD_WORDS_MAX) {
        build->words[build->word_count++] = word;
        return;
    }
    fprintf(stderr, "penstock build: more than %d words for the compiler\n", BUILD_WORDS_MAX);
    exit(EXIT_FAILURE);
}

static bool build_ends_with(const char *text, const char *end)
{
    size_t bytes = strlen(text), end_bytes = strlen(end);
    return bytes > end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

static bool build_is_cxx(const char *path)
{
    return build_ends_with(path, ".cc") || build_ends_with(path, ".cpp") ||
           build_ends_with(path, ".cxx");
}

/* ---- What is there --------------------------------------------------------------------------- */

static bool build_has_header(const char *folder)
{
    char path[2 * PATH_MAX];

    snprintf(path, sizeof path, "%s/penstock.h", folder);
    return access(path, R_OK) == 0;
}

/* Installed: PREFIX/bin/penstock and PREFIX/include. In its source tree: build/bin/penstock and
 * engine. */
static bool build_find_include(struct build *build)
{
    static const char *const beside[] = {"../include", "../../engine"};
    static const char *const usual[] = {"/usr/local/include", "/usr/include"};
    const char *said = getenv("PENSTOCK_INCLUDE");
    char program[PATH_MAX], folder[PATH_MAX + 16];

    if (said) {
        snprintf(build->include, sizeof build->include, "%s", said);
        if (build_has_header(said)) return true;
        fprintf(stderr, "penstock build: PENSTOCK_INCLUDE=%s: there is no penstock.h\n", said);
        return false;
    }
    ssize_t bytes = readlink("/proc/self/exe", program, sizeof program - 1);
    if (bytes > 0) {
        program[bytes] = '\0';
        *strrchr(program, '/') = '\0';
        for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
            snprintf(folder, sizeof folder, "%s/%s", program, beside[i]);
            if (build_has_header(folder) && realpath(folder, build->include)) return true;
        }
    }
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        if (!build_has_header(usual[i])) continue;
        snprintf(build->include, sizeof build->include, "%s", usual[i]);
        return true;
    }
    fprintf(stderr,
            "penstock build: penstock.h is neither beside this program nor in /usr/include: "
            "say where it is with PENSTOCK_INCLUDE=folder\n");
    return false;
}

static bool build_is_in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[PATH_MAX];

    if (strchr(program, '/')) return access(program, X_OK) == 0;
    for (path = path ? path : "/usr/bin:/bin"; *path;) {
        size_t bytes = strcspn(path, ":");
        snprintf(file, sizeof file, "%.*s/%s", (int)bytes, path, program);
        if (access(file, X_OK) == 0) return true;
        path += bytes + (path[bytes] == ':');
    }
    return false;
}

/* $CC may have words of its own: ccache gcc. */
static bool build_add_compiler(struct build *build)
{
    static const char *const c[] = {"cc", "gcc", "clang"}, *const cxx[] = {"c++", "g++", "clang++"};
    const char *variable = build->is_cxx ? "CXX" : "CC";
    const char *said = getenv(variable);

    if (said && *said) {
        char *words = strdup(said), *rest = words, *word; /* lives as long as the command line */
        if (!words) return false;
        while ((word = strsep(&rest, " \t")) != NULL)
            if (*word) build_add(build, word);
        if (build->word_count > 0 && build_is_in_path(build->words[0])) return true;
        fprintf(stderr, "penstock build: %s=%s: there is no such program\n", variable, said);
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        const char *name = build->is_cxx ? cxx[i] : c[i];
        if (!build_is_in_path(name)) continue;
        build_add(build, name);
        return true;
    }
    fprintf(stderr,
            "penstock build: there is no %s compiler: install %s, or say where one is with %s\n",
            build->is_cxx ? "C++" : "C", build->is_cxx ? "g++ or clang++" : "gcc or clang",
            variable);
    return false;
}

/* ---- The command line ------------------------------------------------------------------------ */

static bool build_is_for_compiler(const char *word)
{
    return word[0] == '-' && word[1] && strchr("lLIDUOWfgm", word[1]) != NULL;
}

/* Returns -1 to go on, else the exit status. */
static int build_parse(struct build *build, int argc, char **argv, const char **sources,
                       const char **options)
{
    int source_count = 0, option_count = 0;

    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            fputs(build_usage, stdout);
            return EXIT_SUCCESS;
        }
        if (strcmp(word, "--print") == 0) {
            build->print = true;
        } else if (strcmp(word, "-o") == 0) {
            if (i + 1 == argc) {
                fprintf(stderr, "penstock build: -o: a file's name is missing behind it\n");
                return 2;
            }
            build->output = argv[++i];
        } else if (build_is_for_compiler(word) || strncmp(word, "-std", 4) == 0) {
            options[option_count++] = word;
        } else if (word[0] == '-' && word[1]) {
            fprintf(stderr, "penstock build: %s: no such option\n%s", word, build_usage);
            return 2;
        } else {
            if (access(word, R_OK) != 0) {
                fprintf(stderr, "penstock build: %s: %s\n", word, strerror(errno));
                return EXIT_FAILURE;
            }
            build->is_cxx |= build_is_cxx(word);
            sources[source_count++] = word;
        }
    }
    build->first = sources[0];
    if (build->first) return -1;
    fputs(build_usage, stderr);
    return 2;
}

/* job.c -> job.so. */
static char *build_default_output(const char *source)
{
    const char *dot = strrchr(source, '.');
    const char *slash = strrchr(source, '/');
    size_t kept = dot && (!slash || dot > slash) ? (size_t)(dot - source) : strlen(source);
    char *output = malloc(kept + 4);

    if (!output) abort();
    memcpy(output, source, kept);
    memcpy(output + kept, ".so", 4);
    return output;
}

static bool build_compose(struct build *build, const char *output, const char **sources,
                          const char **options)
{
    static const char *const fixed[] = {
        "-D_GNU_SOURCE", "-O2",   "-g",      "-fPIC", "-fvisibility=hidden",
        "-shared",       "-Wall", "-Wextra", NULL};

    if (!build_add_compiler(build) || !build_find_include(build)) return false;
    build_add(build, build->is_cxx ? "-std=gnu++20" : "-std=gnu11");
    for (int i = 0; fixed[i]; i++)
        build_add(build, fixed[i]);
    build_add(build, "-I");
    build_add(build, build->include);
    for (int i = 0; sources[i]; i++)
        build_add(build, sources[i]);
    build_add(build, "-o");
    build_add(build, output);
    for (int i = 0; options[i]; i++)
        build_add(build, options[i]);
    return true;
}

/* As a shell would take it. */
static void build_print(const struct build *build)
{
    for (int i = 0; build->words[i]; i++) {
        const char *word = build->words[i];
        bool is_plain = *word && word[strcspn(word, " \t\n'\"\\$`*?[]<>|&;()#~!{}")] == '\0';
        if (i) putchar(' ');
        if (is_plain) {
            fputs(word, stdout);
            continue;
        }
        putchar('\'');
        for (; *word; word++)
            fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, stdout);
        putchar('\'');
    }
    putchar('\n');
}

static int build_run(const struct build *build, const char *made, const char *output)
{
    pid_t pid;
    int status;

    int error = posix_spawnp(&pid, build->words[0], NULL, NULL,
                             (char *const *)(uintptr_t)build->words, environ);
    if (error != 0) {
        fprintf(stderr, "penstock build: %s cannot be started: %s\n", build->words[0],
                strerror(error));
        return EXIT_FAILURE;
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return EXIT_FAILURE;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        unlink(made);
        fprintf(stderr, "penstock build: %s is not made: the compiler found what stands above\n",
                output);
        return EXIT_FAILURE;
    }
    if (rename(made, output) == 0) return EXIT_SUCCESS;
    fprintf(stderr, "penstock build: %s cannot be written: %s\n", output, strerror(errno));
    unlink(made);
    return EXIT_FAILURE;
}

int penstock_build(int argc, char **argv)
{
    struct build build = {.word_count = 0};
    const char **words = calloc(2 * (size_t)argc + 2, sizeof *words);
    const char **sources = words, **options = words + argc + 1;
    char *by_default = NULL, made[PATH_MAX];

    if (!words) abort();
    int status = build_parse(&build, argc, argv, sources, options);
    if (status < 0) {
        if (!build.output) build.output = by_default = build_default_output(build.first);
        snprintf(made, sizeof made, "%s.%d.tmp", build.output, (int)getpid());
        if (!build_compose(&build, build.print ? build.output : made, sources, options)) {
            status = EXIT_FAILURE;
        } else if (build.print) {
            build_print(&build);
            status = EXIT_SUCCESS;
        } else {
            status = build_run(&build, made, build.output);
        }
    }
    free(by_default);
    free(words);
    return status;
}
