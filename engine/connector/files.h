/* engine/connector/files.h: what a path stands for: the files that a reader is to read.
 *
 *     a file       itself
 *     a directory  all regular files in it; not hidden ones, not those of directories in it
 *     a pattern    what the shell would make of it (* ? [a-z]), without directories
 *
 * Sorted by name, so every run sees them in the same order. A list of nothing is a failure with a
 * sentence for the person who wrote the path: reading nothing without a word is worse than not
 * starting. Called when a job is planned, in the supervisor; it asks the file system and changes
 * nothing.
 */
#ifndef ENG_CONNECTOR_FILES_H
#define ENG_CONNECTOR_FILES_H

#include "engine/record/reason.h"

struct eng_files_one {
    char *path;
    int64_t size_bytes;
};

struct eng_files {
    struct eng_files_one *files;
    uint32_t count, room;
    bool is_directory; /* the path was one */
};

/* 0, or -errno with a reason; then there is nothing to close. */
int eng_files_open(struct eng_files *files, const char *path, struct eng_reason *reason);
void eng_files_close(struct eng_files *files); /* accepts zeros */

/* Where a file is cut so that many can read it: ranges that begin with a line.
 *
 * Gives the first beginning of a line at or after `offset`, or size_bytes when no line begins there
 * any more. -errno with a reason. */
int64_t eng_files_line_begin(int fd, const char *path, int64_t offset, int64_t size_bytes,
                             struct eng_reason *reason);

#endif
