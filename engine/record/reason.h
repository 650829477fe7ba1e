/* engine/record/reason.h: why something was refused, as one sentence for a person.
 *
 * Whoever refuses fills it, whoever shows it adds where it happened (file and line of the graph
 * call, or file and position of the record). It begins with a small letter and has no stop. What
 * comes from outside is quoted, cut and made printable, so that a reason can go into a log, a
 * terminal or a dead letter as it is. */
#ifndef ENG_RECORD_REASON_H
#define ENG_RECORD_REASON_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <penstock/record.h>

#include "engine/record/limits.h"

struct eng_reason {
    char text[ENG_REASON_BYTES]; /* terminated */
};

/* Cut where it does not fit. NULL is accepted: the caller does not want to know. */
void eng_reason_set(struct eng_reason *reason, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* `text` as it may stand in a reason: in double quotes, at most ENG_REASON_TEXT_BYTES of it with
 * "..." behind when it was cut (never inside a UTF-8 character), what does not print as '?'. */
struct eng_reason_quote {
    char text[ENG_REASON_TEXT_BYTES + 8];
};
struct eng_reason_quote eng_reason_quote(pen_view text);

#endif
