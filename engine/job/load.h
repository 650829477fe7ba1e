/* engine/job/load.h: a job object, loaded: the shared object whose pen_job describes a graph.
 *
 * Loaded in the supervisor before anything is forked, so that every process of the job has the same
 * code at the same addresses. All its symbols are bound at once: a function that this Penstock does
 * not have is found here, not in the middle of a run. Loading runs the object's constructors:
 * whoever loads a job trusts it. */
#ifndef ENG_JOB_LOAD_H
#define ENG_JOB_LOAD_H

#include <stddef.h>

#include <penstock.h>

/* 0, or a reason that begins with the path and says what to do: -ENOENT (no such file), -EACCES,
 * -ENOEXEC (it is no shared object), -ELIBACC (something it needs is missing), -ENOSYS (it has no
 * pen_job). On failure *job and *handle are untouched. */
int eng_load(const char *path, void (**job)(struct pen_graph *), void **handle, char *reason,
             size_t reason_bytes);
void eng_load_close(void *handle); /* accepts NULL */

#endif
