/* shm/proc.h: what the kernel says of processes and of the machine, as text.
 *
 * Short files below /proc are read whole, in one call, so that what they say is of one moment.
 * Whoever asks takes what it wants from the text; a process may be gone by then. */
#ifndef SHM_PROC_H
#define SHM_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* /proc/PID/NAME, or /proc/NAME where pid is 0: as much as there is room for, ended by a zero.
 * False: there is nothing to read, and the text is empty. */
bool shm_proc_read(pid_t pid, const char *name, char *text, size_t text_bytes);

#endif
