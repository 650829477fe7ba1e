/* engine/record/utf8.h: is it UTF-8? Strictly: no overlong forms, no surrogates, nothing above
 * U+10FFFF. JSON must be; texts of records may hold anything. */
#ifndef ENG_RECORD_UTF8_H
#define ENG_RECORD_UTF8_H

#include <stddef.h>

#include <penstock/record.h>

/* Bytes of the character at the front of `size_bytes` > 0 bytes: 1 to 4, or 0: it is none. */
static inline uint32_t eng_utf8_size(const char *text, size_t size_bytes)
{
    const uint8_t *c = (const uint8_t *)text;
    uint32_t size;

    if (c[0] < 0x80) return 1;
    if (c[0] < 0xc2 || c[0] > 0xf4) return 0;
    size = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    if (size > size_bytes) return 0;
    for (uint32_t i = 1; i < size; i++)
        if ((c[i] & 0xc0) != 0x80) return 0;
    if (c[0] == 0xe0 && c[1] < 0xa0) return 0; /* overlong */
    if (c[0] == 0xed && c[1] > 0x9f) return 0; /* surrogate */
    if (c[0] == 0xf0 && c[1] < 0x90) return 0; /* overlong */
    if (c[0] == 0xf4 && c[1] > 0x8f) return 0; /* above U+10FFFF */
    return size;
}

/* How many bytes from the front are UTF-8: all of them if it is. */
static inline uint32_t eng_utf8_good(pen_view text)
{
    uint32_t at = 0;

    while (at < text.size_bytes) {
        uint64_t word;
        uint32_t size;

        if (text.size_bytes - at >= sizeof word) {
            memcpy(&word, text.data + at, sizeof word);
            if ((word & 0x8080808080808080u) == 0) {
                at += (uint32_t)sizeof word;
                continue;
            }
        }
        size = eng_utf8_size(text.data + at, text.size_bytes - at);
        if (size == 0) break;
        at += size;
    }
    return at;
}

#endif
