/* engine/record/limits.h: every bound of this layer. Each one sizes memory or ends a loop over
 * bytes that somebody else made; none is a tuning hint. */
#ifndef ENG_RECORD_LIMITS_H
#define ENG_RECORD_LIMITS_H

enum {
    /* One record with all its texts. Records of more than a quarter ring travel in fragments and
     * are put together in private memory; this bounds that memory. A multiple of 8. */
    ENG_RECORD_BYTES_MAX = 16 << 20,
    ENG_RECORD_FIXED_BYTES_MAX = 1 << 20, /* the struct alone */
    ENG_RECORD_ALIGN_BYTES = 8,           /* where records begin, everywhere; a power of two */

    ENG_FIELDS_MAX = 1024,               /* of a schema; sizes the bitmaps of decoders, 16 words */
    ENG_NAME_BYTES_MAX = 255,            /* of a schema or a field, without its terminator */
    ENG_KEY_FIELDS_MAX = 32,             /* of a key */
    ENG_CSV_COLUMNS_MAX = 4096,          /* of a line, those that are ignored included */
    ENG_JSON_DEPTH_MAX = 64,             /* objects and arrays within each other */
    ENG_SCHEMA_FILE_BYTES_MAX = 1 << 20, /* the header of a file of binary records */

    ENG_REASON_BYTES = 256,        /* a sentence for a person, its terminator included */
    ENG_REASON_TEXT_BYTES = 40,    /* of the offending text that is shown in it */
    ENG_NUMBER_TEXT_BYTES = 64,    /* any number, time or date as text, its terminator included */
    ENG_DECIMAL64_DIGITS_MAX = 18, /* what an int64 holds whatever the digits are */
    ENG_DECIMAL128_DIGITS_MAX = 38,
};

_Static_assert(ENG_RECORD_BYTES_MAX % ENG_RECORD_ALIGN_BYTES == 0, "a limit must be reachable");
/* Name, terminator and 16 bytes for each field, and the same for the schema. */
_Static_assert(ENG_SCHEMA_FILE_BYTES_MAX > (ENG_FIELDS_MAX + 2) * (ENG_NAME_BYTES_MAX + 17),
               "every schema must fit into a file");
_Static_assert(ENG_RECORD_FIXED_BYTES_MAX < ENG_RECORD_BYTES_MAX, "texts need room too");
_Static_assert(ENG_REASON_BYTES > 4 * ENG_REASON_TEXT_BYTES, "a reason must hold what it quotes");

#endif
