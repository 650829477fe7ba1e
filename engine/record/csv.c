/* engine/record/csv.c: lines of CSV into records; csv_encode.c is the other way.
 *
 * Most lines have no quote. Such a line is cut at its separators with a bit mask for each 64 bytes,
 * and most columns are then read by short loops that are chosen when the reader is opened.
 * Everything else (a quote, a sign, an empty column, a mistake, a rare type) takes the long way,
 * which knows all types and gives the reasons. The short loops may refuse whatever they like: the
 * long way decides.
 */
#include "engine/record/csv.h"

#include <errno.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "engine/record/value.h"
#include "shm/check.h"

/* How a column is read. */
enum {
    CSV_LONG, /* the long way */
    CSV_SKIP,
    CSV_INT32,
    CSV_INT64,
    CSV_TIME,
    CSV_CODE,
    CSV_STRING,
};

enum { CSV_UNQUOTED_BYTES = 1024, CSV_DIGITS_SHORT = 9 };

/* ---- Open ------------------------------------------------------------------------------------ */

static uint8_t csv_how(const struct eng_field *field)
{
    if (field->element_count > 1) return CSV_LONG;
    switch (field->type) {
    case PEN_TYPE_INT32:
        return CSV_INT32;
    case PEN_TYPE_INT64:
        return CSV_INT64;
    case PEN_TYPE_TIME:
        return CSV_TIME;
    case PEN_TYPE_CODE:
        return CSV_CODE;
    case PEN_TYPE_STRING:
        return CSV_STRING;
    default:
        return CSV_LONG;
    }
}

static struct eng_csv_column csv_column(const struct eng_layout *layout, uint32_t field)
{
    struct eng_csv_column column = {&layout->fields[field], field, csv_how(&layout->fields[field])};
    return column;
}

/* Copies the name in column `text`, which may be quoted, to `name`. False: it cannot be a field's.
 */
static bool csv_header_name(pen_view text, bool quoted, char name[ENG_NAME_BYTES_MAX + 1])
{
    uint32_t size = 0;

    for (uint32_t i = 0; i < text.size_bytes; i++) {
        if (size == ENG_NAME_BYTES_MAX || text.data[i] == '\0') return false;
        name[size++] = text.data[i];
        i += quoted && text.data[i] == '"';
    }
    name[size] = '\0';
    return true;
}

static pen_view csv_without_end(pen_view line)
{
    if (line.size_bytes && line.data[line.size_bytes - 1] == '\n') line.size_bytes--;
    if (line.size_bytes && line.data[line.size_bytes - 1] == '\r') line.size_bytes--;
    return line;
}

/* Where a column lies in a line. */
struct csv_piece {
    pen_view text; /* between the quotes, if quoted; then two quotes stand for one */
    bool quoted;
    bool doubled; /* there are two quotes */
};

/* Cuts a column off the front of *rest, which has no data after the last one. False: a quote that
 * does not end, or something behind one that does. */
static bool csv_cut(pen_view *rest, char separator, struct csv_piece *piece)
{
    const char *at = rest->data, *end = at + rest->size_bytes, *from = at;
    const char *next;

    *piece = (struct csv_piece){.quoted = at < end && *at == '"'};
    if (!piece->quoted) {
        next = at < end ? memchr(at, separator, (size_t)(end - at)) : NULL;
        at = next ? next : end;
        piece->text = pen_view_sized(from, (uint32_t)(at - from));
    } else {
        for (from = ++at;; at += 2, piece->doubled = true) {
            next = at < end ? memchr(at, '"', (size_t)(end - at)) : NULL;
            if (!next) return false;
            at = next;
            if (at + 1 == end || at[1] != '"') break;
        }
        piece->text = pen_view_sized(from, (uint32_t)(at - from));
        at++;
        if (at < end && *at != separator) return false;
    }
    *rest = at == end ? pen_view_sized(NULL, 0) : pen_view_sized(at + 1, (uint32_t)(end - at - 1));
    return true;
}

static int csv_read_header(struct eng_csv *csv, pen_view header, struct eng_reason *reason)
{
    uint64_t named[ENG_FIELDS_MAX / 64] = {0};
    char name[ENG_NAME_BYTES_MAX + 1];
    struct csv_piece piece;

    header = csv_without_end(header);
    if (header.size_bytes >= 3 && memcmp(header.data, "\xef\xbb\xbf", 3) == 0)
        header = pen_view_sized(header.data + 3, header.size_bytes - 3);

    while (header.data) {
        const struct eng_field *field = NULL;
        struct eng_csv_column *column = &csv->columns[csv->column_count];
        uint32_t index;

        if (csv->column_count == ENG_CSV_COLUMNS_MAX) {
            eng_reason_set(reason, "the first line has more than %d columns", ENG_CSV_COLUMNS_MAX);
            return -EINVAL;
        }
        if (!csv_cut(&header, csv->separator, &piece)) {
            eng_reason_set(reason, "the first line: column %u is quoted, but does not end well",
                           csv->column_count + 1);
            return -EINVAL;
        }
        csv->column_count++;
        *column = (struct eng_csv_column){NULL, ENG_CSV_SKIPPED, CSV_SKIP};
        if (csv_header_name(piece.text, piece.quoted, name))
            field = eng_layout_find(csv->layout, name);
        if (!field) continue;
        index = (uint32_t)(field - csv->layout->fields);
        if (named[index / 64] >> index % 64 & 1) {
            eng_reason_set(reason, "the first line names column %s twice", name);
            return -EINVAL;
        }
        named[index / 64] |= (uint64_t)1 << index % 64;
        *column = csv_column(csv->layout, index);
    }
    for (uint32_t i = 0; i < csv->layout->field_count; i++) {
        const struct eng_field *field = &csv->layout->fields[i];

        if (named[i / 64] >> i % 64 & 1 || eng_field_nullable(field)) continue;
        eng_reason_set(reason, "there is no column %s, and the field cannot be null", field->name);
        return -EINVAL;
    }
    return 0;
}

int eng_csv_open(struct eng_csv *csv, const struct eng_layout *layout, char separator,
                 pen_view header, struct eng_reason *reason)
{
    struct eng_csv opened = {
        .layout = layout, .separator = separator ? separator : ',', .named = header.data != NULL};
    int result = 0;

    if (opened.separator == '"' || opened.separator == '\n' || opened.separator == '\r' ||
        (uint8_t)opened.separator > 127) {
        eng_reason_set(reason, "a quote, a line end or half a character cannot separate columns");
        return -EINVAL;
    }
    opened.columns = malloc(sizeof *opened.columns *
                            (opened.named ? ENG_CSV_COLUMNS_MAX : layout->field_count + 1));
    if (!opened.columns) {
        eng_reason_set(reason, "out of memory");
        return -ENOMEM;
    }
    if (opened.named)
        result = csv_read_header(&opened, header, reason);
    else
        for (; opened.column_count < layout->field_count; opened.column_count++)
            opened.columns[opened.column_count] = csv_column(layout, opened.column_count);
    if (result) {
        free(opened.columns);
        return result;
    }
    *csv = opened;
    return 0;
}

void eng_csv_close(struct eng_csv *csv)
{
    free(csv->columns);
    *csv = (struct eng_csv){0};
}

/* ---- The long way ---------------------------------------------------------------------------- */

static bool csv_bad_column(uint32_t column, const struct eng_reason *why, struct eng_reason *reason)
{
    eng_reason_set(reason, "column %u, %s", column + 1, why->text);
    return false;
}

static bool csv_unquote(const struct eng_csv_column *column, pen_view text,
                        struct eng_builder *builder, struct eng_reason *reason)
{
    char small[CSV_UNQUOTED_BYTES], *plain = small;
    uint32_t size = 0;
    bool good;

    /* What is more than twice the largest record does not fit when all of it are doubled quotes. */
    if (text.size_bytes > 2u * ENG_RECORD_BYTES_MAX) {
        eng_reason_set(reason, "field %s: a text of %u bytes is larger than a record can be",
                       column->to->name, text.size_bytes);
        return false;
    }
    if (text.size_bytes > sizeof small) plain = malloc(text.size_bytes);
    CHECK(plain);
    for (uint32_t i = 0; i < text.size_bytes; i++) {
        plain[size++] = text.data[i];
        i += text.data[i] == '"';
    }
    good = eng_builder_parse(builder, column->field, pen_view_sized(plain, size), reason);
    if (plain != small) free(plain);
    return good;
}

static bool csv_decode_long(const struct eng_csv *csv, uint32_t index,
                            const struct csv_piece *piece, struct eng_builder *builder,
                            struct eng_reason *reason)
{
    const struct eng_csv_column *column = &csv->columns[index];
    struct eng_reason why;
    bool good;

    if (!column->to) return true;
    if (piece->text.size_bytes == 0 && !piece->quoted && eng_field_nullable(column->to))
        return true;
    if (piece->doubled)
        good = csv_unquote(column, piece->text, builder, &why);
    else
        good = eng_builder_parse(builder, column->field, piece->text, &why);
    return good || csv_bad_column(index, &why, reason);
}

static bool csv_bad_count(const struct eng_csv *csv, uint32_t found, struct eng_reason *reason)
{
    if (found > csv->column_count)
        eng_reason_set(reason, "more than %u columns", csv->column_count);
    else
        eng_reason_set(reason, "%u columns, not %u: none for %s", found, csv->column_count,
                       csv->columns[found].to ? csv->columns[found].to->name : "the last");
    return false;
}

/* ---- The short way --------------------------------------------------------------------------- */

/* A bit for each of 64 bytes that is the separator. */
static inline uint64_t csv_mask(const char *bytes, char separator)
{
    uint64_t mask = 0;

#ifdef __SSE2__
    const __m128i wanted = _mm_set1_epi8(separator);
    for (uint32_t i = 0; i < 4; i++) {
        __m128i chunk = _mm_loadu_si128((const __m128i *)(const void *)(bytes + 16 * i));
        uint32_t bits = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(chunk, wanted));
        mask |= (uint64_t)bits << 16 * i;
    }
#else
    for (uint32_t i = 0; i < 64; i++)
        mask |= (uint64_t)(bytes[i] == separator) << i;
#endif
    return mask;
}

/* Up to nine digits, with a minus before them. */
static inline bool csv_short_int(const char *text, uint32_t size, int32_t *value)
{
    uint32_t negative = size > 0 && text[0] == '-', sum = 0;

    if (size - negative - 1 >= CSV_DIGITS_SHORT) return false; /* none, or too many */
    for (uint32_t i = negative; i < size; i++) {
        uint32_t digit = (uint32_t)(uint8_t)text[i] - '0';
        if (digit > 9) return false;
        sum = sum * 10 + digit;
    }
    *value = negative ? -(int32_t)sum : (int32_t)sum;
    return true;
}

static inline bool csv_short_code(const char *text, uint32_t size, char *at)
{
    if (size == 0 || size > sizeof(pen_code)) return false;
    for (uint32_t i = 0; i < size; i++) {
        if (text[i] == '\0') return false;
        at[i] = text[i];
    }
    return true;
}

/* False: the long way must look at it. */
static inline bool csv_decode_short(const struct eng_csv_column *column, const char *text,
                                    uint32_t size, struct eng_builder *builder)
{
    const struct eng_field *field = column->to;
    int32_t small;
    int64_t large;
    pen_time time;

    switch (column->how) {
    case CSV_SKIP:
        return true;
    case CSV_INT32:
        if (!csv_short_int(text, size, &small)) return false;
        memcpy(builder->bytes + field->offset_bytes, &small, sizeof small);
        break;
    case CSV_INT64:
        if (!csv_short_int(text, size, &small)) return false;
        large = small;
        memcpy(builder->bytes + field->offset_bytes, &large, sizeof large);
        break;
    case CSV_TIME:
        if (!pen_parse_time(pen_view_sized(text, size), &time)) return false;
        memcpy(builder->bytes + field->offset_bytes, &time, sizeof time);
        break;
    case CSV_CODE:
        if (!csv_short_code(text, size, builder->bytes + field->offset_bytes)) return false;
        break;
    case CSV_STRING:
        if (size == 0) return false;
        return eng_builder_set_text(builder, column->field, pen_view_sized(text, size), NULL);
    default:
        return false;
    }
    eng_field_set_present(field, builder->bytes);
    return true;
}

/* The column, by the short way or by the long one. */
static inline bool csv_decode_column(const struct eng_csv *csv, uint32_t index, const char *text,
                                     uint32_t size, struct eng_builder *builder,
                                     struct eng_reason *reason)
{
    struct csv_piece piece;

    if (__builtin_expect(csv_decode_short(&csv->columns[index], text, size, builder), 1))
        return true;
    piece = (struct csv_piece){.text = pen_view_sized(text, size)};
    return csv_decode_long(csv, index, &piece, builder, reason);
}

/* A line with quotes in it. */
static bool csv_decode_quoted(const struct eng_csv *csv, pen_view line, struct eng_builder *builder,
                              struct eng_reason *reason)
{
    struct csv_piece piece;
    uint32_t index = 0;

    for (; line.data; index++) {
        if (index == csv->column_count) return csv_bad_count(csv, index + 1, reason);
        if (!csv_cut(&line, csv->separator, &piece)) {
            eng_reason_set(reason, "column %u is quoted, but does not end well: %s", index + 1,
                           eng_reason_quote(line).text);
            return false;
        }
        if (!(piece.quoted ? csv_decode_long(csv, index, &piece, builder, reason)
                           : csv_decode_column(csv, index, piece.text.data, piece.text.size_bytes,
                                               builder, reason)))
            return false;
    }
    return index == csv->column_count || csv_bad_count(csv, index, reason);
}

static bool csv_decode_plain(const struct eng_csv *csv, pen_view line, struct eng_builder *builder,
                             struct eng_reason *reason)
{
    uint32_t index = 0, from = 0, last = csv->column_count - 1;
    char tail[64];

    for (uint32_t block = 0; block < line.size_bytes; block += 64) {
        const char *bytes = line.data + block;
        uint32_t left = line.size_bytes - block;
        uint64_t mask;

        if (left < 64) {
            memcpy(tail, bytes, left); /* what lies behind the line is not ours to read */
            bytes = tail;
        }
        mask = csv_mask(bytes, csv->separator);
        if (left < 64) mask &= ((uint64_t)1 << left) - 1;
        for (; mask; mask &= mask - 1) {
            uint32_t at = block + (uint32_t)__builtin_ctzll(mask);

            if (index == last) return csv_bad_count(csv, index + 2, reason);
            if (!csv_decode_column(csv, index, line.data + from, at - from, builder, reason))
                return false;
            from = at + 1;
            index++;
        }
    }
    if (index != last) return csv_bad_count(csv, index + 1, reason);
    return csv_decode_column(csv, index, line.data + from, line.size_bytes - from, builder, reason);
}

bool eng_csv_decode(const struct eng_csv *csv, pen_view line, struct eng_builder *builder,
                    struct eng_reason *reason)
{
    CHECK(builder->layout == csv->layout);
    eng_builder_begin(builder);
    if (!line.data) line = pen_view_sized("", 0);
    line = csv_without_end(line);
    if (csv->column_count == 0) {
        if (line.size_bytes == 0) return true;
        return csv_bad_count(csv, 1, reason);
    }
    if (line.size_bytes && memchr(line.data, '"', line.size_bytes))
        return csv_decode_quoted(csv, line, builder, reason);
    return csv_decode_plain(csv, line, builder, reason);
}
