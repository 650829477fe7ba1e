/* engine/record/reason.c: see reason.h. */
#include "engine/record/reason.h"

#include <stdio.h>
#include <string.h>

#include "engine/record/utf8.h"
#include "shm/check.h"

void eng_reason_set(struct eng_reason *reason, const char *format, ...)
{
    va_list arguments;
    int size;

    if (!reason) return;
    va_start(arguments, format);
    size = vsnprintf(reason->text, sizeof reason->text, format, arguments);
    va_end(arguments);
    CHECK(size >= 0);
}

struct eng_reason_quote eng_reason_quote(pen_view text)
{
    struct eng_reason_quote quote;
    uint32_t at = 0, written = 0;

    quote.text[written++] = '"';
    while (at < text.size_bytes) {
        uint32_t size = eng_utf8_size(text.data + at, text.size_bytes - at);
        uint8_t first = (uint8_t)text.data[at];
        /* 0xc2 0x80..0x9f are control characters as well: some terminals obey them. */
        bool prints = size > 1 ? !(first == 0xc2 && (uint8_t)text.data[at + 1] < 0xa0)
                               : size == 1 && first >= 0x20 && first != 0x7f;

        if (written - 1 + (prints ? size : 1) > ENG_REASON_TEXT_BYTES) break;
        if (prints) {
            memcpy(quote.text + written, text.data + at, size);
            written += size;
        } else {
            quote.text[written++] = '?';
        }
        at += size ? size : 1;
    }
    quote.text[written++] = '"';
    if (at < text.size_bytes) {
        memcpy(quote.text + written, "...", 3);
        written += 3;
    }
    quote.text[written++] = '\0';
    CHECK(written <= sizeof quote.text);
    return quote;
}
