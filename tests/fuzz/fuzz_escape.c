/*
 * fuzz_escape.c — bytes of a peer made safe to show (base/text.h), and log lines with them
 * (base/log.h): no control character comes out, a line in JSON is JSON, in every form a line is one
 * line of valid UTF-8.
 *
 * Script: u8 flags, u16 room; then fields, each a u16 length and the bytes.
 */
#include "base/log.h"
#include "base/text.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

/* Printable: valid UTF-8, no controls, nothing that is invisible in the way of U+202E. */
static void escape_check_printable(const char *text, size_t length)
{
    const unsigned char *next = (const unsigned char *)text;
    while (length > 0) {
        size_t taken = text_utf8_length(next, length);
        FUZZ_CHECK(taken > 0 && taken <= length);
        FUZZ_CHECK(*next >= ' ' && *next != 0x7f);
        FUZZ_CHECK(taken != 2 || next[0] != 0xc2 || next[1] >= 0xa0);
        FUZZ_CHECK(taken != 3 || memcmp(next, "\xe2\x80\xae", 3) != 0);
        next += taken;
        length -= taken;
    }
}

static size_t escape_hex_digit(char digit)
{
    const char digits[] = "0123456789abcdef";
    const char *found = strchr(digits, digit);
    FUZZ_CHECK(digit != '\0' && found != NULL);
    return (size_t)(found - digits);
}

/* Reads the escapes back: nothing of the input is lost, so no two inputs look the same. */
static void escape_check_reversible(const char *text, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)*text++;
        if (byte == '\\' && *text == 'x') {
            byte = (unsigned char)(escape_hex_digit(text[1]) * 16 + escape_hex_digit(text[2]));
            text += 3;
        } else if (byte == '\\') {
            static const char from[] = "nrt\\", to[] = "\n\r\t\\";
            const char *found = strchr(from, *text);
            FUZZ_CHECK(*text != '\0' && found != NULL);
            byte = (unsigned char)to[found - from];
            text++;
        }
        FUZZ_CHECK(byte == bytes[i]);
    }
    FUZZ_CHECK(*text == '\0');
}

static void escape_check_text(const uint8_t *bytes, size_t length, size_t room)
{
    size_t capacity = TEXT_ESCAPE_MAX * length + 1;
    char *all = malloc(capacity);
    char *cut = malloc(room + 1);
    FUZZ_CHECK(all != NULL && cut != NULL);
    size_t all_length = text_escape(bytes, length, all, capacity);
    FUZZ_CHECK(all_length == strlen(all) && all_length < capacity);
    escape_check_printable(all, all_length);
    escape_check_reversible(all, bytes, length);
    size_t cut_length = text_escape(bytes, length, cut, room + 1);
    FUZZ_CHECK(cut_length == strlen(cut) && cut_length <= room && cut_length <= all_length);
    FUZZ_CHECK(memcmp(cut, all, cut_length) == 0);
    FUZZ_CHECK(cut_length == all_length || cut_length + TEXT_ESCAPE_MAX > room);
    escape_check_printable(cut, cut_length);
    free(all);
    free(cut);
}

/* ---- JSON (RFC 8259), as far as a flat object goes ---- */

static const char *json_string(const char *next, const char *end)
{
    FUZZ_CHECK(next < end && *next == '"');
    for (next++; next < end && *next != '"'; next++) {
        if (*next != '\\')
            continue;
        next++;
        FUZZ_CHECK(next < end && *next != '\0' && strchr("\"\\/bfnrt", *next) != NULL);
    }
    FUZZ_CHECK(next < end);
    return next + 1;
}

static const char *json_value(const char *next, const char *end)
{
    if (*next == '"')
        return json_string(next, end);
    if (end - next > 4 && memcmp(next, "true", 4) == 0)
        return next + 4;
    FUZZ_CHECK(*next >= '0' && *next <= '9');
    while (next < end && *next >= '0' && *next <= '9')
        next++;
    return next;
}

static void json_check(const char *line, size_t length)
{
    const char *next = line, *end = line + length;
    FUZZ_CHECK(length > 2 && *next == '{' && end[-1] == '}');
    do {
        next = json_string(next + 1, end);
        FUZZ_CHECK(next < end && *next == ':');
        next = json_value(next + 1, end);
    } while (next < end && *next == ',');
    FUZZ_CHECK(next == end - 1);
}

/* ---- log lines ---- */

static void escape_check_line(struct cursor script, enum log_format format, enum log_level level)
{
    static struct log_line line;
    memset(&line, 0, sizeof line);
    log_configure(-1, format); /* the line is looked at where it was built */
    log_begin(&line, level, "something happened");
    log_u64(&line, "number", script.left_bytes);
    log_text(&line, "absent", NULL);
    while (script.left_bytes > 0) {
        const uint8_t *bytes = NULL;
        size_t length = fuzz_take(&script, fuzz_u16(&script), &bytes);
        uint8_t *copy = fuzz_copy(bytes, length);
        log_bytes(&line, "key", copy, length);
        log_u64(&line, "length", length);
        free(copy);
    }
    log_end(&line);
    if (!log_is_wanted(level))
        return;
    FUZZ_CHECK(line.length > 0 && line.length < LOG_LINE_BYTES);
    FUZZ_CHECK(line.text[line.length - 1] == '\n');
    escape_check_printable(line.text, line.length - 1);
    if (format == LOG_FORMAT_JSON)
        json_check(line.text, line.length - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor script = cursor_over(data, size);
    uint8_t flags = fuzz_u8(&script);
    uint16_t room = fuzz_u16(&script);
    uint8_t *copy = fuzz_copy(script.next, script.left_bytes);
    escape_check_text(copy, script.left_bytes, room);
    free(copy);
    log_set_level((enum log_level)(flags / 4 % 4));
    for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JOURNAL; format++)
        escape_check_line(script, (enum log_format)format, (enum log_level)(flags % 4));
    log_message(LOG_LEVEL_ERROR, "a line", "key", "value");
    return 0;
}
