/* engine/job/load and `penstock build`: from a source file to a pen_job that can be called, and
 * every way in which that goes wrong. Method: real files in a folder of their own, the real
 * compiler, the real dlopen. This program exports no pen_ functions, so an object that calls one is
 * to it what a newer object is to an old Penstock. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/job/load.h"
#include "tests/job_graph.h"
#include "tools/penstock_build.c" /* a part of the program `penstock`, which is no library */

static char folder[] = "/tmp/penstock_load_XXXXXX";

/* A build tree that does not lie in the source tree cannot find the headers beside itself. */
static void use_headers(void)
{
    struct build build = {.word_count = 0};
    const char *source = getenv("PENSTOCK_SOURCE");
    char path[PATH_MAX];

    unsetenv("PENSTOCK_INCLUDE");
    if (build_find_include(&build) || !source) return;
    snprintf(path, sizeof path, "%s/engine", source);
    setenv("PENSTOCK_INCLUDE", path, 1);
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
}

/* In a process of its own, so that what it prints can be read. Returns its exit status. */
static int build(char *text, size_t bytes, const char *a, const char *b, const char *c,
                 const char *d)
{
    const char *words[] = {"build", a, b, c, d, NULL};
    int argc = 0, status, fds[2];
    size_t at = 0;
    ssize_t got;

    while (words[argc])
        argc++;
    CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        int result = penstock_build(argc, (char **)(uintptr_t)words);
        fflush(NULL);
        _exit(result);
    }
    close(fds[1]);
    while (at + 1 < bytes && (got = read(fds[0], text + at, bytes - at - 1)) > 0)
        at += (size_t)got;
    text[at] = '\0';
    close(fds[0]);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_TRUE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int load(const char *path, char *reason)
{
    void (*job)(struct pen_graph *) = NULL;
    void *handle = NULL;
    int result = eng_load(path, &job, &handle, reason, 512);

    CU_ASSERT_EQUAL(result == 0, job != NULL);
    CU_ASSERT_EQUAL(result == 0, handle != NULL);
    eng_load_close(handle);
    return result;
}

/* ---- What cannot be loaded ------------------------------------------------------------------- */

static void files_that_are_not_there_or_are_something_else(void)
{
    char reason[512];

    CU_ASSERT_EQUAL(load("nothing.so", reason), -ENOENT);
    EXPECT_TEXT(reason, "nothing.so: there is no such file");
    write_file("waiting.c", "int x;\n");
    CU_ASSERT_EQUAL(load("waiting.so", reason), -ENOENT);
    EXPECT_TEXT(
        reason,
        "waiting.so: there is no such file, but its source is there: penstock build waiting.c");
    CU_ASSERT_EQUAL(load("waiting.c", reason), -ENOEXEC);
    EXPECT_TEXT(
        reason,
        "waiting.c: it is a source file: penstock build waiting.c, then run what that makes");
    write_file("text.so",
               "this is text, and more of it, so that it is longer than an ELF header is ......\n");
    CU_ASSERT_EQUAL(load("text.so", reason), -ENOEXEC);
    EXPECT_TEXT(reason, "text.so: it is no shared object: make one with penstock build");
    write_file("empty.so", "");
    CU_ASSERT_EQUAL(load("empty.so", reason), -ENOEXEC);
    CU_ASSERT_EQUAL(mkdir("folder.so", 0700), 0);
    CU_ASSERT_EQUAL(load("folder.so", reason), -ENOEXEC);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason, "it is a directory or a device"));
    CU_ASSERT_EQUAL(load("/proc/self/exe", reason), -ENOEXEC);
    EXPECT_TEXT(
        reason,
        "/proc/self/exe: it is a program: start it by itself, or make a shared object of its "
        "source with penstock build");
}

static void compile(const char *command)
{
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
}

static void objects_that_lack_something(void)
{
    char reason[512];

    write_file("newer.c", "void pen_from_the_future(void);\nvoid pen_job(void *g) { (void)g; "
                          "pen_from_the_future(); }\n");
    compile("cc -shared -fPIC -o newer.so newer.c");
    CU_ASSERT_EQUAL(load("newer.so", reason), -ELIBACC);
    EXPECT_TEXT(
        reason,
        "newer.so: it calls pen_from_the_future, which this Penstock (0.1.0) does not have: "
        "it was built with another version's headers. Build it again: penstock build "
        "newer.c");
    write_file("half.c", "int helper(void);\nvoid pen_job(void *g) { (void)g; helper(); }\n");
    compile("cc -shared -fPIC -o half.so half.c");
    CU_ASSERT_EQUAL(load("half.so", reason), -ELIBACC);
    EXPECT_TEXT(reason,
                "half.so: it uses helper, which nobody defines: a source file or a library (-l...) "
                "was left out when it was linked");
    write_file("static.c",
               "static void pen_job(void *g) { (void)g; }\nvoid *use = (void *)pen_job;\n");
    compile("cc -shared -fPIC -o static.so static.c");
    CU_ASSERT_EQUAL(load("static.so", reason), -ENOSYS);
    EXPECT_TEXT(
        reason,
        "static.so: it has no pen_job: a job is void pen_job(pen_graph *graph), not static, "
        "in one of its source files");
    compile("cc -c -fPIC -o loose.so static.c");
    CU_ASSERT_EQUAL(load("loose.so", reason), -ENOEXEC);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason, "compiled but not linked"));
    compile("cc -shared -fPIC -o libgone.so static.c && cc -shared -fPIC -o needs.so static.c "
            "-Wl,--no-as-needed "
            "-L. -lgone && rm libgone.so");
    CU_ASSERT_EQUAL(load("needs.so", reason), -ELIBACC);
    EXPECT_TEXT(reason, "needs.so: it needs the library libgone.so, which is not installed here");
}

/* ---- Building -------------------------------------------------------------------------------- */

static const char good_job[] = "#include <penstock.h>\n"
                               "struct word { pen_string text; };\n"
                               "PEN_RECORD(word, text);\n"
                               "void pen_job(pen_graph *graph) { (void)graph; }\n";

static void a_source_becomes_an_object_that_loads(void)
{
    char text[4096], reason[512] = "";

    write_file("good.c", good_job);
    CU_ASSERT_EQUAL(build(text, sizeof text, "good.c", NULL, NULL, NULL), 0);
    EXPECT_TEXT(text, "");
    CU_ASSERT_EQUAL(load("good.so", reason), 0);
    CU_ASSERT_EQUAL(build(text, sizeof text, "good.c", "-o", "other.so", "-DX=1"), 0);
    CU_ASSERT_EQUAL(load("./other.so", reason), 0);
    CU_ASSERT_EQUAL(access("good.so", R_OK), 0);
}

/* A job that runs has the old object mapped: it must not be written into. */
static void building_again_replaces_the_file(void)
{
    struct stat before, after;
    char text[4096];

    CU_ASSERT_EQUAL_FATAL(stat("good.so", &before), 0);
    int held = open("good.so", O_RDONLY);
    CU_ASSERT_EQUAL(build(text, sizeof text, "good.c", NULL, NULL, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(stat("good.so", &after), 0);
    CU_ASSERT_NOT_EQUAL(before.st_ino, after.st_ino);
    close(held);
    write_file("good.c", "#include <penstock.h>\nthis is no C\n");
    CU_ASSERT_EQUAL(build(text, sizeof text, "good.c", NULL, NULL, NULL), 1);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "good.so is not made: the compiler found what stands above"));
    CU_ASSERT_EQUAL_FATAL(stat("good.so", &before), 0);
    CU_ASSERT_EQUAL(before.st_ino, after.st_ino); /* the old one is still there */
}

static void the_command_line_is_printed(void)
{
    char text[4096];

    write_file("a job.c", good_job);
    CU_ASSERT_EQUAL(build(text, sizeof text, "--print", "a job.c", "-lm", NULL), 0);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "cc -std=gnu11 -D_GNU_SOURCE -O2 -g -fPIC -fvisibility=hidden -shared "
                     "-Wall -Wextra -I "));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, " 'a job.c' -o 'a job.so' -lm\n"));
    CU_ASSERT_EQUAL(access("a job.so", F_OK), -1);
}

static void mistakes_of_the_command_line(void)
{
    char text[4096];

    CU_ASSERT_EQUAL(build(text, sizeof text, NULL, NULL, NULL, NULL), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "usage: penstock build"));
    CU_ASSERT_EQUAL(build(text, sizeof text, "--help", NULL, NULL, NULL), 0);
    CU_ASSERT_EQUAL(build(text, sizeof text, "nothing.c", NULL, NULL, NULL), 1);
    EXPECT_TEXT(text, "penstock build: nothing.c: No such file or directory\n");
    CU_ASSERT_EQUAL(build(text, sizeof text, "good.c", "-o", NULL, NULL), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "-o: a file's name is missing"));
    CU_ASSERT_EQUAL(build(text, sizeof text, "good.c", "--fast", NULL, NULL), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "--fast: no such option"));
    setenv("CC", "no-such-compiler -x", 1);
    CU_ASSERT_EQUAL(build(text, sizeof text, "good.c", NULL, NULL, NULL), 1);
    EXPECT_TEXT(text, "penstock build: CC=no-such-compiler -x: there is no such program\n");
    setenv("CC", "gcc -DEXTRA", 1);
    CU_ASSERT_EQUAL(build(text, sizeof text, "good.c", "--print", NULL, NULL), 0);
    CU_ASSERT_EQUAL(strncmp(text, "gcc -DEXTRA -std=gnu11 ", 23), 0);
    unsetenv("CC");
    setenv("PENSTOCK_INCLUDE", "/nowhere", 1);
    CU_ASSERT_EQUAL(build(text, sizeof text, "good.c", NULL, NULL, NULL), 1);
    EXPECT_TEXT(text, "penstock build: PENSTOCK_INCLUDE=/nowhere: there is no penstock.h\n");
    use_headers();
    char *path = strdup(getenv("PATH"));
    setenv("PATH", folder, 1);
    CU_ASSERT_EQUAL(build(text, sizeof text, "good.c", NULL, NULL, NULL), 1);
    EXPECT_TEXT(
        text,
        "penstock build: there is no C compiler: install gcc or clang, or say where one is with "
        "CC\n");
    setenv("PATH", path, 1);
    free(path);
}

/* ---- The folder ------------------------------------------------------------------------------ */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)status, (void)kind, (void)ftw;
    return remove(path);
}

static int enter_folder(void)
{
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : 1;
}

static int leave_folder(void)
{
    return chdir("/") == 0 ? nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) : 1;
}

#define TEST(name) CU_add_test(suite, #name, name)

int main(void)
{
    if (CU_initialize_registry() != CUE_SUCCESS) return 1;
    CU_pSuite suite = CU_add_suite("job/load", enter_folder, leave_folder);
    unsetenv("CC");
    use_headers();
    TEST(files_that_are_not_there_or_are_something_else);
    TEST(objects_that_lack_something);
    TEST(a_source_becomes_an_object_that_loads);
    TEST(building_again_replaces_the_file);
    TEST(the_command_line_is_printed);
    TEST(mistakes_of_the_command_line);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures ? 1 : 0;
}
