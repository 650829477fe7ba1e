#include "shm/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "shm/check.h"

bool shm_proc_read(pid_t pid, const char *name, char *text, size_t text_bytes)
{
    char path[64];

    CHECK(text_bytes > 0);
    text[0] = 0;
    int path_bytes = pid == 0 ? snprintf(path, sizeof path, "/proc/%s", name)
                              : snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    CHECK(path_bytes > 0 && path_bytes < (int)sizeof path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t size = read(fd, text, text_bytes - 1);
    close(fd);
    text[size > 0 ? size : 0] = 0;
    return size > 0;
}
