/*
 * json.c — writing a JSON document (base/json.h).
 *
 * Uses: buffer, text.  Used by: server/status.c.
 * Never: writes a byte of its caller's that it has not looked at, or more than the buffer may hold.
 */
#include "base/json.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* As much text is escaped at once; a multiple of no character's length has to fit. */
enum { JSON_PIECE_BYTES = 64 };

static void json_raw(struct json_writer *json, const char *text, size_t length)
{
    if (json->status == CERTPOST_OK)
        json->status = buffer_append(json->buffer, text, length);
}

/* What comes before a value: a comma, and in an object its key. */
static void json_begin_value(struct json_writer *json, const char *key)
{
    if (json->needs_comma)
        json_raw(json, ",", 1);
    json->needs_comma = true;
    if (key == NULL)
        return;
    json_raw(json, "\"", 1);
    json_raw(json, key, strlen(key));
    json_raw(json, "\":", 2);
}

static void json_open(struct json_writer *json, const char *key, const char *bracket)
{
    json_begin_value(json, key);
    json_raw(json, bracket, 1);
    json->needs_comma = false;
}

static void json_close(struct json_writer *json, const char *bracket)
{
    json_raw(json, bracket, 1);
    json->needs_comma = true;
}

void json_start(struct json_writer *json, struct buffer *buffer)
{
    *json = (struct json_writer){.buffer = buffer, .status = CERTPOST_OK};
}

enum certpost_status json_finish(const struct json_writer *json)
{
    return json->status;
}

void json_object(struct json_writer *json, const char *key)
{
    json_open(json, key, "{");
}

void json_end_object(struct json_writer *json)
{
    json_close(json, "}");
}

void json_array(struct json_writer *json, const char *key)
{
    json_open(json, key, "[");
}

void json_end_array(struct json_writer *json)
{
    json_close(json, "]");
}

static void json_word(struct json_writer *json, const char *key, const char *word)
{
    json_begin_value(json, key);
    json_raw(json, word, strlen(word));
}

void json_null(struct json_writer *json, const char *key)
{
    json_word(json, key, "null");
}

void json_bool(struct json_writer *json, const char *key, bool value)
{
    json_word(json, key, value ? "true" : "false");
}

void json_u64(struct json_writer *json, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    json_word(json, key, text);
}

void json_i64(struct json_writer *json, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    json_word(json, key, text);
}

void json_text(struct json_writer *json, const char *key, const char *value)
{
    if (value == NULL)
        json_null(json, key);
    else
        json_bytes(json, key, value, strlen(value));
}

/*
 * text_escape leaves the quote as it is, and of what JSON forbids nothing else but the backslashes
 * of its own escapes.
 */
static void json_piece(struct json_writer *json, const unsigned char *bytes, size_t length)
{
    char escaped[JSON_PIECE_BYTES * TEXT_ESCAPE_MAX + 1];
    char quoted[2 * sizeof escaped];
    size_t escaped_length = text_escape(bytes, length, escaped, sizeof escaped);
    size_t used = 0;
    for (size_t i = 0; i < escaped_length; i++) {
        if (escaped[i] == '"' || escaped[i] == '\\')
            quoted[used++] = '\\';
        quoted[used++] = escaped[i];
    }
    json_raw(json, quoted, used);
}

/* The bytes of as many whole characters as make a piece. */
static size_t json_piece_length(const unsigned char *bytes, size_t length)
{
    size_t used = 0;
    while (used < length) {
        size_t taken = text_utf8_length(bytes + used, length - used);
        taken = taken == 0 ? 1 : taken;
        if (used + taken > JSON_PIECE_BYTES)
            break;
        used += taken;
    }
    return used;
}

void json_bytes(struct json_writer *json, const char *key, const void *bytes, size_t length)
{
    const unsigned char *next = bytes;
    json_begin_value(json, key);
    json_raw(json, "\"", 1);
    while (length > 0 && json->status == CERTPOST_OK) {
        size_t taken = json_piece_length(next, length);
        json_piece(json, next, taken);
        next += taken;
        length -= taken;
    }
    json_raw(json, "\"", 1);
}
