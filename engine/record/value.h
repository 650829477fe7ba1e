/* engine/record/value.h: one value as text, and back.
 *
 * Used by CSV and JSON, by pen_print, and by the tools that show state. What is printed can be read
 * again and is then the same value, whatever it is:
 *
 *     bool           true, false                          read: also 1 and 0
 *     integers       -17
 *     float, double  0.1        shortest that reads back; nan, inf, -inf
 *     time           2013-01-01T10:15:00.5Z               outside years 1 to 9999: microseconds
 *     date           2013-01-01                           outside years 1 to 9999: days
 *     time of day    10:15:00.5                           outside one day: microseconds
 *     decimals       -12.50     as many digits behind the point as the field's scale says
 *     bytes          aGVsbG8=   base64
 *     texts          as they are
 *     arrays         1 2 3      elements with a space between
 *
 * Reading takes a number for a time, a date and a time of day too: microseconds, or days, since the
 * epoch or midnight. A text that is longer than its code or char[N] is refused, not cut, and so is
 * a decimal with more digits behind the point than there is room for, unless these are zeros.
 */
#ifndef ENG_RECORD_VALUE_H
#define ENG_RECORD_VALUE_H

#include "engine/record/layout.h"
#include "engine/record/out.h"

__extension__ typedef __int128 eng_int128; /* a decimal128; in records it is only 8-aligned */
__extension__ typedef unsigned __int128 eng_uint128;

/* ---- Numbers and times: bytes written, no terminator; `to` has ENG_NUMBER_TEXT_BYTES -----------
 * */

uint32_t eng_int_print(int64_t value, char *to);
uint32_t eng_uint_print(uint64_t value, char *to);
uint32_t eng_double_print(double value,
                          char *to); /* %.15g, %.16g or %.17g, the first that reads back */
uint32_t eng_float_print(float value, char *to);
uint32_t eng_time_print(pen_time time, char *to); /* RFC 3339, UTC, 0 to 6 digits of fraction */
uint32_t eng_date_print(pen_date date, char *to);
uint32_t eng_time_of_day_print(int64_t us, char *to);
uint32_t eng_decimal64_print(int64_t value, uint32_t scale, char *to);
uint32_t eng_decimal128_print(eng_int128 value, uint32_t scale, char *to);

/* Whole text only, like pen_parse_int. False leaves the target as it was. */
bool eng_uint_parse(pen_view text, uint64_t *value);
bool eng_date_parse(pen_view text, pen_date *date);     /* 2013-01-31 */
bool eng_time_of_day_parse(pen_view text, int64_t *us); /* 10:15:00, 10:15:00.5 */
bool eng_decimal_parse(pen_view text, uint32_t precision, uint32_t scale, eng_int128 *value);
bool eng_bool_parse(pen_view text, bool *value); /* true, false, 1, 0 */

/* Days since 1970-01-01 of a date of the Gregorian calendar, and back. Years 1 to 9999. */
int32_t eng_days_of_date(int32_t year, uint32_t month, uint32_t day);
void eng_date_of_days(int32_t days, int32_t *year, uint32_t *month, uint32_t *day);

/* Base64 with padding. Decoding gives the bytes written, at most size * 3 / 4, or -1. */
void eng_base64_put(struct eng_text_out *out, const void *bytes, uint32_t size_bytes);
int64_t eng_base64_decode(pen_view text, void *to);

/* ---- Fields and records ---------------------------------------------------------------------- */

/* Appends the value; nothing for null. */
void eng_value_print(const struct eng_field *field, const void *record, struct eng_text_out *out);

/* One element of an array, or the only one of a number; not for texts, bytes and nulls. */
void eng_value_print_element(const struct eng_field *field, uint32_t element, const void *record,
                             struct eng_text_out *out);

/* name=value name="a text" name=null: for people, one line without its end. Texts are quoted like
 * in JSON. */
void eng_record_print(const struct eng_layout *layout, const void *record,
                      struct eng_text_out *out);

/* Appends the text as a JSON string with its quotes; bytes that are not UTF-8 as U+FFFD. */
void eng_json_string_put(struct eng_text_out *out, pen_view text);

#endif
