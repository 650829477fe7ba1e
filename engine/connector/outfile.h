/* engine/connector/outfile.h: a file that is written hidden and shown when it is whole.
 *
 *     open ---> write ... write ---> show        the file appears under its name, durable
 *        \________________________-> discard     nothing was there
 *
 * Where the file system can (ext4, xfs, btrfs, tmpfs ...), the file has no name at all while it is
 * written, so that a process that dies in any way leaves nothing behind; elsewhere it is named
 * .NAME.RUN.tmp, which discard removes and a kill leaves. Either way readers who list the directory
 * or match a pattern never see a part of a file.
 *
 * Bytes are gathered and written in pieces of ENG_OUTFILE_BUFFER_BYTES. The kernel is asked early
 * to carry them to the disk, so the sync in show has little left to wait for. All functions may
 * wait for the disk; a worker that writes waits there for no more than a copy into the page cache,
 * mostly.
 *
 * Errors are the world's: -errno with a reason that names the path and says what to do. After one
 * the file can only be discarded: an error of a sync is told once, and the bytes are lost.
 */
#ifndef ENG_CONNECTOR_OUTFILE_H
#define ENG_CONNECTOR_OUTFILE_H

#include "engine/record/out.h"
#include "engine/record/reason.h"

enum { ENG_OUTFILE_BUFFER_BYTES = 256 * 1024 };

struct eng_outfile {
    char *directory, *name;     /* it will be directory/name */
    char *hidden;               /* its name until then; NULL: it has none */
    int directory_fd, fd;       /* fd -1: closed */
    bool replaces;              /* takes the place of a file of that name; else that is an error */
    int error;                  /* the first one, as -errno */
    struct eng_text_out buffer; /* encoders append here; see eng_outfile_written */
    int64_t size_bytes;         /* of all that was given */
    int64_t file_bytes;         /* of these, in the file */
};

/* run: letters and digits that no other writer to this directory uses. */
int eng_outfile_open(struct eng_outfile *file, const char *directory, const char *name,
                     const char *run, bool replaces, struct eng_reason *reason);

/* Whoever encodes appends to file->buffer and then calls this. */
int eng_outfile_written(struct eng_outfile *file, struct eng_reason *reason);

int eng_outfile_show(struct eng_outfile *file, struct eng_reason *reason); /* closes on success */
void eng_outfile_discard(struct eng_outfile *file);                        /* accepts zeros */

static inline bool eng_outfile_is_open(const struct eng_outfile *file)
{
    return file->directory != NULL;
}

#endif
