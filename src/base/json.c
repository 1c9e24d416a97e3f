/*
 * json.c — writing a JSON document (base/json.h).
 *
 * Uses: buffer, text, OpenSSL for base64.  Used by: server/status.c; client, for --json.
 * Never: writes a byte of its caller's that it has not looked at, or more than the buffer may hold.
 */
#include "base/json.h"

#include "base/text.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

enum {
    /* As much text is escaped at once; a multiple of no character's length has to fit. */
    JSON_PIECE_BYTES = 64,
    JSON_BASE64_BYTES = 3072, /* a multiple of 3: base64 in pieces is as in one */
    JSON_CHARACTER_BYTES = TEXT_ESCAPE_MAX * 4 + 1, /* one character of UTF-8, escaped */
};

static void json_raw(struct json_writer *json, const void *text, size_t length)
{
    if (json->stream != NULL)
        (void)fwrite(text, 1, length, json->stream);
    else if (json->status == CERTPOST_OK)
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

void json_start_stream(struct json_writer *json, FILE *stream)
{
    *json = (struct json_writer){.stream = stream, .status = CERTPOST_OK};
}

void json_start_line(struct json_writer *json, FILE *stream)
{
    json_start_stream(json, stream);
    json_object(json, NULL);
}

void json_end_line(struct json_writer *json)
{
    json_end_object(json);
    json_raw(json, "\n", 1);
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

/* ---- bytes that a reader gets back ---- */

static void json_base64(struct json_writer *json, const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        unsigned char text[JSON_BASE64_BYTES / 3 * 4 + 1];
        size_t taken = length < JSON_BASE64_BYTES ? length : JSON_BASE64_BYTES;
        int encoded = EVP_EncodeBlock(text, bytes, (int)taken);
        json_raw(json, text, (size_t)encoded);
        bytes += taken;
        length -= taken;
    }
}

/* One valid character that JSON or a terminal might take for something else. */
static void json_character(struct json_writer *json, const unsigned char *bytes, size_t length)
{
    char escaped[JSON_CHARACTER_BYTES];
    char text[16];
    (void)text_escape(bytes, length, escaped, sizeof escaped);
    uint32_t value = text_utf8_decode(bytes, length);
    if (value == '"' || value == '\\') {
        snprintf(text, sizeof text, "\\%c", (int)value);
    } else if (escaped[0] != '\\') {
        json_raw(json, bytes, length);
        return;
    } else if (value < 0x10000) {
        snprintf(text, sizeof text, "\\u%04x", (unsigned)value);
    } else {
        snprintf(text, sizeof text, "\\u%04x\\u%04x",
                 (unsigned)(0xd800 + ((value - 0x10000) >> 10)),
                 (unsigned)(0xdc00 + (value & 0x3ff)));
    }
    json_raw(json, text, strlen(text));
}

static void json_exact_bytes(struct json_writer *json, const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        size_t taken = text_plain_run(bytes, length);
        if (taken > 0) {
            json_raw(json, bytes, taken);
        } else {
            taken = text_utf8_length(bytes, length);
            json_character(json, bytes, taken);
        }
        bytes += taken;
        length -= taken;
    }
}

void json_exact(struct json_writer *json, const char *key, const void *bytes, size_t length)
{
    static const char suffix[] = "_base64";
    bool is_text = text_is_utf8(bytes, length);
    json_begin_value(json, NULL);
    json_raw(json, "\"", 1);
    json_raw(json, key, strlen(key));
    json_raw(json, suffix, is_text ? 0 : sizeof suffix - 1);
    json_raw(json, "\":\"", 3);
    if (is_text)
        json_exact_bytes(json, bytes, length);
    else
        json_base64(json, bytes, length);
    json_raw(json, "\"", 1);
}

void json_exact_text(struct json_writer *json, const char *key, const char *value)
{
    if (value == NULL)
        json_null(json, key);
    else
        json_exact(json, key, value, strlen(value));
}

void json_hex(struct json_writer *json, const char *key, const void *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *next = bytes;
    json_begin_value(json, key);
    json_raw(json, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        const char pair[2] = {digits[next[i] >> 4], digits[next[i] & 0xf]};
        json_raw(json, pair, sizeof pair);
    }
    json_raw(json, "\"", 1);
}

void json_thousandths(struct json_writer *json, const char *key, int64_t value)
{
    char text[32];
    int64_t rest = value % 1000;
    snprintf(text, sizeof text, "%s%" PRId64 ".%03" PRId64, value < 0 && value > -1000 ? "-" : "",
             value / 1000, rest < 0 ? -rest : rest);
    json_word(json, key, text);
}
