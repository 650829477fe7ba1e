/* engine/control/figure.h: figures and words for people, and JSON for programs.
 *
 * What the summary, the progress line, `penstock top` and messages have in common. Pure but for the
 * stream that is written to. The eng_figure_ functions that return text write it into the caller's
 * buffer, of ENG_FIGURE_BYTES, and return that buffer, so that they can stand in an argument list.
 */
#ifndef ENG_CONTROL_FIGURE_H
#define ENG_CONTROL_FIGURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { ENG_FIGURE_BYTES = 32 };

const char *eng_figure_count(char *text, uint64_t count);   /* 1,234,567 */
const char *eng_figure_rate(char *text, double per_second); /* 12.3 M/s */
const char *eng_figure_bytes(char *text, uint64_t bytes);   /* 1.5 GiB */
const char *eng_figure_duration(char *text, uint64_t ns);   /* 12.3 ms, 1.234 s, 2 h 03 min */
const char *eng_figure_time(char *text, int64_t us);        /* 2013-01-01 05:17:00 UTC */
const char *eng_figure_signal(char *text, int signal);      /* SIGSEGV */

/* A JSON string with its quotes. What is not UTF-8 becomes the replacement character; at most
 * `bytes_max` bytes of `text` are read, so it need not be terminated. */
void eng_figure_json(FILE *out, const char *text, size_t bytes_max);

#endif
