/* engine/connector/intake.h: bytes from outside, through a window.
 *
 * A plain file, a gzip file or a descriptor (standard input, a socket) as one run of bytes. Readers
 * look at the window, take what they can use from its front, and ask for more:
 *
 *     open -> fill, look, take, take, fill ... -> close
 *
 *               taken             the window             not yet read
 *     |-----------------------|==================|-------------------------->
 *                             ^ offset           ^ offset + window
 *
 * `offset` counts the bytes as they are read: of a compressed file those that came out. A plain
 * file can be entered at any offset; a gzip file too, by decompressing from its start and dropping
 * what lies before; a descriptor only where it is.
 *
 * A fill is bounded and asks the kernel once or not at all. A file never waits but for its disk; a
 * descriptor is asked first whether it has something, so it never blocks. Errors are the world's:
 * the reason says which file and why, and the intake gives nothing more.
 *
 * The window begins at a multiple of 8 in memory whenever `offset` is a multiple of 8 and
 * everything has been taken in multiples of 8: files of binary records are read in place.
 *
 * Private memory of the process that reads; nothing of it is saved. Whoever restores opens another
 * one at the offset that was saved.
 */
#ifndef ENG_CONNECTOR_INTAKE_H
#define ENG_CONNECTOR_INTAKE_H

#include <stddef.h>

#include "engine/record/reason.h"

enum {
    ENG_INTAKE_FILL_BYTES = 256 * 1024, /* asked for at once */
    ENG_INTAKE_TAIL_BYTES = 4096,       /* behind the hint */
    /* The largest window: a line of the longest record, and another fill. */
    ENG_INTAKE_WINDOW_BYTES_MAX = ENG_RECORD_BYTES_MAX + 2 * ENG_INTAKE_FILL_BYTES,
};

enum eng_filled {
    ENG_FILLED_MORE,   /* something was read, though perhaps nothing that can be seen yet */
    ENG_FILLED_LATER,  /* nothing for now: a descriptor without input */
    ENG_FILLED_END,    /* no more bytes; a file that grows may have some later */
    ENG_FILLED_FAILED, /* reason says why */
};

struct z_stream_s;

struct eng_intake {
    const char *name; /* for reasons; the caller's, stays */
    int fd;
    bool is_file; /* has offsets; else whatever comes */
    bool is_own;  /* to be closed */
    char *buffer; /* the window is [from, to) */
    size_t capacity_bytes, from, to;
    int64_t offset;      /* of the front of the window */
    int64_t file_offset; /* of the next byte to read from the file */
    int64_t end_hint;    /* not much will be wanted behind this offset; 0: no idea */

    /* gzip */
    struct z_stream_s *inflater; /* NULL: not compressed */
    char *packed;                /* [packed_from, packed_to) is read and not yet decompressed */
    size_t packed_from, packed_to;
    int64_t drop_bytes; /* decompressed bytes before the offset that was asked for */
    bool between_members;
    bool holds_back; /* the decompressor had no room for all it has */

    uint64_t consumed_bytes; /* of the input as it lies there, since eng_intake_consumed asked */
};

/* 0, or -errno with a reason that names the file and says what to do. A name that ends in .gz is
 * decompressed. On failure nothing is open. The path must stay. */
int eng_intake_open_file(struct eng_intake *intake, const char *path, int64_t offset,
                         struct eng_reason *reason);
/* The descriptor is the caller's, and so is the name. */
void eng_intake_open_descriptor(struct eng_intake *intake, int fd, const char *name);
void eng_intake_close(struct eng_intake *intake); /* accepts zeros */

enum eng_filled eng_intake_fill(struct eng_intake *intake, struct eng_reason *reason);

static inline const char *eng_intake_window(const struct eng_intake *intake, size_t *size_bytes)
{
    *size_bytes = intake->to - intake->from;
    return intake->buffer + intake->from;
}

/* The first bytes of the window are done with. They stay where they are until the next fill. */
void eng_intake_take(struct eng_intake *intake, size_t size_bytes);

/* Bytes of the input that were taken since the last call, of a compressed file the compressed ones.
 * For progress. */
uint64_t eng_intake_consumed(struct eng_intake *intake);

bool eng_name_is_gzip(const char *path); /* ends in .gz */
bool eng_name_is_zstd(const char *path); /* ends in .zst */

#endif
