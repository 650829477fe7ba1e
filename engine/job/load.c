#include "engine/job/load.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/check.h"

struct load {
    const char *path;
    char *reason;
    size_t reason_bytes;
};

static int load_refuse(struct load *load, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int load_refuse(struct load *load, int error, const char *format, ...)
{
    va_list args;
    int at = snprintf(load->reason, load->reason_bytes, "%s: ", load->path);

    CHECK(at > 0);
    if ((size_t)at >= load->reason_bytes) return error;
    va_start(args, format);
    vsnprintf(load->reason + at, load->reason_bytes - (size_t)at, format, args);
    va_end(args);
    return error;
}

static bool load_ends_with(const char *text, const char *end)
{
    size_t bytes = strlen(text), end_bytes = strlen(end);
    return bytes > end_bytes && strcmp(text + bytes - end_bytes, end) == 0;
}

/* What `penstock build` would be given for this object: its name with .c. */
static const char *load_source(const struct load *load, char *to, size_t bytes)
{
    size_t kept = strlen(load->path);

    if (load_ends_with(load->path, ".so")) kept -= 3;
    snprintf(to, bytes, "%.*s.c", (int)kept, load->path);
    return to;
}

/* Looks at the file itself: dlopen's words are for people who know what an ELF header is. */
static int load_look(struct load *load)
{
    Elf64_Ehdr header;
    struct stat status;

    int fd = open(load->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && load_ends_with(load->path, ".c"))
        return load_refuse(load, -ENOENT, "there is no such file");
    if (fd < 0 && errno == ENOENT) {
        char source[PATH_MAX];
        if (access(load_source(load, source, sizeof source), R_OK) == 0)
            return load_refuse(load, -ENOENT,
                               "there is no such file, but its source is there: "
                               "penstock build %s",
                               source);
        return load_refuse(load, -ENOENT, "there is no such file");
    }
    if (fd < 0) return load_refuse(load, -errno, "it cannot be read: %s", strerror(errno));
    bool is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    ssize_t bytes = is_file ? read(fd, &header, sizeof header) : 0;
    close(fd);
    if (!is_file)
        return load_refuse(load, -ENOEXEC,
                           "it is a directory or a device, and must be a "
                           "shared object that penstock build makes");
    if (load_ends_with(load->path, ".c"))
        return load_refuse(load, -ENOEXEC,
                           "it is a source file: penstock build %s, then run what "
                           "that makes",
                           load->path);
    if (bytes < (ssize_t)sizeof header || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return load_refuse(load, -ENOEXEC, "it is no shared object: make one with penstock build");
    if (header.e_type == ET_REL)
        return load_refuse(load, -ENOEXEC,
                           "it is compiled but not linked: make a shared object of its "
                           "source with penstock build");
    return 0;
}

/* dlerror says "PATH: undefined symbol: NAME", with a version behind it at times. */
static bool load_undefined(const char *error, char *name, size_t bytes)
{
    const char *at = strstr(error, "undefined symbol: ");

    if (!at) return false;
    at += strlen("undefined symbol: ");
    snprintf(name, bytes, "%.*s", (int)strcspn(at, " ,("), at);
    return true;
}

static int load_explain(struct load *load, const char *error)
{
    char name[128], source[PATH_MAX];

    if (load_undefined(error, name, sizeof name)) {
        if (strncmp(name, "pen_", 4) == 0)
            return load_refuse(
                load, -ELIBACC,
                "it calls %s, which this Penstock (" PEN_VERSION ") does not have: it was "
                "built with another version's headers. Build it again: penstock build %s",
                name, load_source(load, source, sizeof source));
        return load_refuse(load, -ELIBACC,
                           "it uses %s, which nobody defines: a source file or a "
                           "library (-l...) was left out when it was linked",
                           name);
    }
    if (strstr(error, "cannot open shared object file")) {
        const char *end = strchr(error, ':');
        return load_refuse(load, -ELIBACC, "it needs the library %.*s, which is not installed here",
                           end ? (int)(end - error) : 0, error);
    }
    if (strstr(error, "cannot dynamically load"))
        return load_refuse(load, -ENOEXEC,
                           "it is a program: start it by itself, or make a shared "
                           "object of its source with penstock build");
    const char *detail = strstr(error, ": ");
    return load_refuse(load, -ENOEXEC,
                       "it cannot be loaded: %s. Build it again on this machine with "
                       "penstock build",
                       detail ? detail + 2 : error);
}

int eng_load(const char *path, void (**job)(struct pen_graph *), void **handle, char *reason,
             size_t reason_bytes)
{
    struct load load = {path, reason, reason_bytes};
    char real[PATH_MAX];

    CHECK(reason_bytes > 0);
    int result = load_look(&load);
    if (result < 0) return result;
    /* dlopen would search for a name without a slash. */
    if (!realpath(path, real))
        return load_refuse(&load, -errno, "it cannot be found: %s", strerror(errno));
    void *opened = dlopen(real, RTLD_NOW | RTLD_LOCAL);
    if (!opened) return load_explain(&load, dlerror());
    void *symbol = dlsym(opened, "pen_job");
    if (!symbol) {
        dlclose(opened);
        return load_refuse(&load, -ENOSYS,
                           "it has no pen_job: a job is void pen_job(pen_graph *graph), "
                           "not static, in one of its source files");
    }
    memcpy(job, &symbol, sizeof symbol); /* ISO C has no cast from an object to a function */
    *handle = opened;
    return 0;
}

void eng_load_close(void *handle)
{
    if (handle) dlclose(handle);
}
