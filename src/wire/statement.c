/*
 * statement.c — the text of a receipt (wire/statement.h).
 *
 * The parser reads line by line what the builder writes, then builds again and compares: whatever
 * it let through by being lenient somewhere, a text that is not canonical fails there.
 *
 * Uses: base.  Used by: receipt, client; the fuzzers.
 * Never: signs, verifies, or looks at a clock.
 */
#include "wire/statement.h"

#include "base/clock.h"
#include "base/cursor.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STATEMENT_HEADER  "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
#define STATEMENT_VERSION "1"

/* "2026-11-22T13:21:17.123Z" */
enum { STATEMENT_TIME_BYTES = 24 };

/* ------------------------------------------------------------------------------ build */

/* Appends until something fails, then does nothing more; the caller looks at `status` once. */
struct statement_writer {
    struct buffer *buffer;
    enum certpost_status status;
};

static void statement_write(struct statement_writer *writer, const void *bytes, size_t length)
{
    if (writer->status == CERTPOST_OK)
        writer->status = buffer_append(writer->buffer, bytes, length);
}

static void statement_write_text(struct statement_writer *writer, const char *text)
{
    statement_write(writer, text, strlen(text));
}

static bool statement_is_plain(const unsigned char *value, size_t length, size_t at)
{
    unsigned char byte = value[at];
    if (byte < 0x20 || byte > 0x7e || byte == '\\')
        return false;
    if (byte == ' ')
        return at > 0 && at + 1 < length;
    return byte != '-' || at == 0 || value[at - 1] != '-';
}

/* "key: value" and the end of the line; no space after the colon of an empty value. */
static void statement_write_bytes(struct statement_writer *writer, const char *key,
                                  const unsigned char *value, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    statement_write_text(writer, key);
    statement_write_text(writer, length > 0 ? ": " : ":");
    for (size_t i = 0; i < length; i++) {
        const char escape[4] = {'\\', 'x', digits[value[i] >> 4], digits[value[i] & 0x0f]};
        if (statement_is_plain(value, length, i))
            statement_write(writer, &value[i], 1);
        else
            statement_write(writer, escape, sizeof escape);
    }
    statement_write_text(writer, "\r\n");
}

static void statement_write_value(struct statement_writer *writer, const char *key,
                                  const char *value)
{
    statement_write_text(writer, key);
    statement_write_text(writer, ": ");
    statement_write_text(writer, value);
    statement_write_text(writer, "\r\n");
}

static void statement_write_numbers(struct statement_writer *writer,
                                    const struct statement *statement)
{
    static const char digits[] = "0123456789abcdef";
    char number[24];
    char hex[CHAIN_DIGEST_BYTES * 2 + 1] = "";
    char time[CLOCK_UTC_TEXT_BYTES];
    snprintf(number, sizeof number, "%" PRIu64, statement->seq);
    for (size_t i = 0; i < CHAIN_DIGEST_BYTES; i++) {
        hex[2 * i] = digits[statement->digest[i] >> 4];
        hex[2 * i + 1] = digits[statement->digest[i] & 0x0f];
    }
    clock_format_utc(statement->time_ms, time);
    statement_write_value(writer, "seq", number);
    statement_write_value(writer, "digest", hex);
    statement_write_value(writer, "time", time);
}

enum certpost_status statement_append(struct buffer *buffer, const struct statement *statement)
{
    if (statement->server_length > STATEMENT_SERVER_MAX_BYTES ||
        statement->identity_length > STATEMENT_IDENTITY_MAX_BYTES ||
        statement->stream_length > STATEMENT_STREAM_MAX_BYTES || statement->seq > INT64_MAX ||
        statement->time_ms < 0 || statement->time_ms > STATEMENT_TIME_MAX_MS)
        return CERTPOST_USAGE;
    struct buffer text;
    buffer_init(&text, STATEMENT_TEXT_MAX_BYTES);
    struct statement_writer writer = {&text, CERTPOST_OK};
    statement_write_text(&writer, STATEMENT_HEADER);
    statement_write_value(&writer, "certpost-receipt", STATEMENT_VERSION);
    statement_write_bytes(&writer, "server", statement->server, statement->server_length);
    statement_write_bytes(&writer, "identity", statement->identity, statement->identity_length);
    statement_write_bytes(&writer, "stream", statement->stream, statement->stream_length);
    statement_write_numbers(&writer, statement);
    if (writer.status == CERTPOST_OK)
        writer.status = buffer_append(buffer, buffer_bytes(&text), text.length);
    buffer_free(&text);
    return writer.status;
}

/* ------------------------------------------------------------------------------ parse */

/* A line's value, between "key:" and the end of the line, without the one space. */
static enum certpost_status statement_take(struct cursor *text, const char *key,
                                           struct cursor *ret_value, struct certpost_error *error)
{
    size_t key_length = strlen(key);
    size_t length = 0;
    const unsigned char *line = NULL;
    if (!cursor_find(text, '\n', &length) || !cursor_take(text, length + 1, &line))
        return error_set(error, CERTPOST_PROTOCOL, "ends before its line \"%s\"", key);
    if (length <= key_length || memcmp(line, key, key_length) != 0 || line[key_length] != ':')
        return error_set(error, CERTPOST_PROTOCOL, "has another line where \"%s\" belongs", key);
    size_t start = key_length + 1;
    start += start < length && line[start] == ' ';
    if (line[length - 1] != '\r' || start >= length)
        return error_set(error, CERTPOST_PROTOCOL, "has a line \"%s\" that does not end in CR LF",
                         key);
    *ret_value = cursor_over(line + start, length - 1 - start);
    return CERTPOST_OK;
}

static bool statement_hex_digit(unsigned char letter, unsigned *ret_value)
{
    if (letter >= '0' && letter <= '9')
        *ret_value = letter - (unsigned)'0';
    else if (letter >= 'a' && letter <= 'f')
        *ret_value = letter - (unsigned)'a' + 10;
    else
        return false;
    return true;
}

static bool statement_hex_byte(struct cursor *value, unsigned char *ret_byte)
{
    const unsigned char *digits = NULL;
    unsigned high = 0;
    unsigned low = 0;
    if (!cursor_take(value, 2, &digits) || !statement_hex_digit(digits[0], &high) ||
        !statement_hex_digit(digits[1], &low))
        return false;
    *ret_byte = (unsigned char)(high << 4 | low);
    return true;
}

/* One byte of a value, unescaped. Which bytes must be escaped is checked by building again. */
static bool statement_unescape(struct cursor *value, unsigned char *ret_byte)
{
    const unsigned char *next = NULL;
    if (!cursor_take(value, 1, &next))
        return false;
    *ret_byte = *next;
    if (*next != '\\')
        return true;
    return cursor_take(value, 1, &next) && *next == 'x' && statement_hex_byte(value, ret_byte);
}

static enum certpost_status statement_take_bytes(struct cursor *text, const char *key,
                                                 size_t max_bytes, unsigned char *ret_bytes,
                                                 size_t *ret_length, struct certpost_error *error)
{
    struct cursor value = {0};
    size_t length = 0;
    enum certpost_status status = statement_take(text, key, &value, error);
    while (status == CERTPOST_OK && value.left_bytes > 0) {
        if (length == max_bytes)
            status = error_set(error, CERTPOST_PROTOCOL, "has a \"%s\" of more than %zu bytes", key,
                               max_bytes);
        else if (!statement_unescape(&value, &ret_bytes[length++]))
            status = error_set(error, CERTPOST_PROTOCOL, "has a \"%s\" with a wrong escape", key);
    }
    *ret_length = length;
    return status;
}

/* Digits to a number; false for anything else, and for numbers that need more than 64 bits. */
static bool statement_number(struct cursor *digits, size_t count, uint64_t *ret_number)
{
    const unsigned char *next = NULL;
    uint64_t number = 0;
    if (count == 0 || !cursor_take(digits, count, &next))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (next[i] < '0' || next[i] > '9' || number > (UINT64_MAX - 9) / 10)
            return false;
        number = number * 10 + (uint64_t)(next[i] - '0');
    }
    *ret_number = number;
    return true;
}

static enum certpost_status statement_take_seq(struct cursor *text, uint64_t *ret_seq,
                                               struct certpost_error *error)
{
    struct cursor value = {0};
    enum certpost_status status = statement_take(text, "seq", &value, error);
    if (status != CERTPOST_OK)
        return status;
    if (!statement_number(&value, value.left_bytes, ret_seq) || *ret_seq > INT64_MAX)
        return error_set(error, CERTPOST_PROTOCOL, "has a \"seq\" that is no message's number");
    return CERTPOST_OK;
}

static enum certpost_status statement_take_digest(struct cursor *text,
                                                  unsigned char ret_digest[CHAIN_DIGEST_BYTES],
                                                  struct certpost_error *error)
{
    struct cursor value = {0};
    enum certpost_status status = statement_take(text, "digest", &value, error);
    if (status != CERTPOST_OK)
        return status;
    bool good = value.left_bytes == (size_t)CHAIN_DIGEST_BYTES * 2;
    for (size_t i = 0; good && i < CHAIN_DIGEST_BYTES; i++)
        good = statement_hex_byte(&value, &ret_digest[i]);
    return good ? CERTPOST_OK
                : error_set(error, CERTPOST_PROTOCOL,
                            "has a \"digest\" that is not 64 hexadecimal digits");
}

/* Days from 1970-01-01 to a date of the Gregorian calendar; a date that is none gives some other
 * date's days, which building again shows. */
static int64_t statement_days(int64_t year, int64_t month, int64_t day)
{
    int64_t shifted = month <= 2 ? year - 1 : year; /* a year that begins in March */
    int64_t month_from_march = month <= 2 ? month + 9 : month - 3;
    int64_t leap_days = shifted / 4 - shifted / 100 + shifted / 400;
    int64_t days_to_month = (153 * month_from_march + 2) / 5;
    return 365 * shifted + leap_days + days_to_month + day - 1 - 719468;
}

/* Takes the letter that must come next. */
static bool statement_expect(struct cursor *value, unsigned char letter)
{
    const unsigned char *next = NULL;
    return cursor_take(value, 1, &next) && *next == letter;
}

static bool statement_parse_time(struct cursor value, int64_t *ret_time_ms)
{
    /* What follows each number: YYYY-MM-DDTHH:MM:SS.mmmZ */
    static const char marks[] = "--T::.Z";
    static const size_t widths[] = {4, 2, 2, 2, 2, 2, 3};
    uint64_t parts[7] = {0};
    if (value.left_bytes != STATEMENT_TIME_BYTES)
        return false;
    for (size_t i = 0; i < 7; i++) {
        if (!statement_number(&value, widths[i], &parts[i]) ||
            !statement_expect(&value, (unsigned char)marks[i]))
            return false;
    }
    if (parts[0] < 1970 || parts[1] < 1 || parts[1] > 12 || parts[2] < 1)
        return false;
    int64_t days = statement_days((int64_t)parts[0], (int64_t)parts[1], (int64_t)parts[2]);
    int64_t seconds = days * 86400 + (int64_t)(parts[3] * 3600 + parts[4] * 60 + parts[5]);
    *ret_time_ms = seconds * 1000 + (int64_t)parts[6];
    return *ret_time_ms <= STATEMENT_TIME_MAX_MS;
}

static enum certpost_status statement_take_time(struct cursor *text, int64_t *ret_time_ms,
                                                struct certpost_error *error)
{
    struct cursor value = {0};
    enum certpost_status status = statement_take(text, "time", &value, error);
    if (status == CERTPOST_OK && !statement_parse_time(value, ret_time_ms))
        status = error_set(error, CERTPOST_PROTOCOL,
                           "has a \"time\" that is not a time in UTC with milliseconds");
    return status;
}

static enum certpost_status statement_take_head(struct cursor *text, struct certpost_error *error)
{
    const unsigned char *header = NULL;
    size_t header_length = strlen(STATEMENT_HEADER);
    struct cursor version = {0};
    if (!cursor_take(text, header_length, &header) ||
        memcmp(header, STATEMENT_HEADER, header_length) != 0)
        return error_set(error, CERTPOST_PROTOCOL, "does not begin as a receipt does");
    enum certpost_status status = statement_take(text, "certpost-receipt", &version, error);
    if (status == CERTPOST_OK &&
        (version.left_bytes != 1 || memcmp(version.next, STATEMENT_VERSION, 1) != 0))
        status =
            error_set(error, CERTPOST_PROTOCOL, "is of a version that this program does not know");
    return status;
}

static enum certpost_status statement_take_all(struct cursor *text, struct statement *statement,
                                               struct certpost_error *error)
{
    enum certpost_status status = statement_take_head(text, error);
    if (status == CERTPOST_OK)
        status = statement_take_bytes(text, "server", STATEMENT_SERVER_MAX_BYTES, statement->server,
                                      &statement->server_length, error);
    if (status == CERTPOST_OK)
        status = statement_take_bytes(text, "identity", STATEMENT_IDENTITY_MAX_BYTES,
                                      statement->identity, &statement->identity_length, error);
    if (status == CERTPOST_OK)
        status = statement_take_bytes(text, "stream", STATEMENT_STREAM_MAX_BYTES, statement->stream,
                                      &statement->stream_length, error);
    if (status == CERTPOST_OK)
        status = statement_take_seq(text, &statement->seq, error);
    if (status == CERTPOST_OK)
        status = statement_take_digest(text, statement->digest, error);
    if (status == CERTPOST_OK)
        status = statement_take_time(text, &statement->time_ms, error);
    if (status == CERTPOST_OK && text->left_bytes > 0)
        status = error_set(error, CERTPOST_PROTOCOL, "goes on after its last line");
    return status;
}

static enum certpost_status statement_compare(const struct statement *statement, const void *text,
                                              size_t length, struct certpost_error *error)
{
    struct buffer again;
    buffer_init(&again, STATEMENT_TEXT_MAX_BYTES);
    enum certpost_status status = statement_append(&again, statement);
    if (status != CERTPOST_OK)
        status =
            error_set(error, status, "cannot be checked: %s", certpost_status_sentence(status));
    else if (again.length != length || memcmp(buffer_bytes(&again), text, length) != 0)
        status = error_set(error, CERTPOST_PROTOCOL,
                           "is not in its canonical form: a value is written in another way");
    buffer_free(&again);
    return status;
}

enum certpost_status statement_parse(const void *text, size_t length,
                                     struct statement *ret_statement, struct certpost_error *error)
{
    struct statement statement = {0};
    struct cursor cursor = cursor_over(text, length);
    if (length > STATEMENT_TEXT_MAX_BYTES)
        return error_set(error, CERTPOST_PROTOCOL, "is longer than a receipt can be");
    enum certpost_status status = statement_take_all(&cursor, &statement, error);
    if (status == CERTPOST_OK)
        status = statement_compare(&statement, text, length, error);
    if (status == CERTPOST_OK)
        *ret_statement = statement;
    return status;
}
