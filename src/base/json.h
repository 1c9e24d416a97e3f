/*
 * base/json.h — writing one JSON document (RFC 8259) into a buffer with a maximum, or on a stream.
 *
 * Values are appended in the order of the calls; commas and quotes are the writer's. Bytes from
 * elsewhere are written in one of two ways, and the document is valid UTF-8 and safe on a terminal
 * with both: as text_escape shows them, for people (json_text, json_bytes); or so that a reader
 * gets back the very bytes (json_exact).
 *
 * Errors of a buffer are kept: after the first one nothing is appended any more, and json_finish
 * tells it. What is in the buffer then is no document. Those of a stream stay in the stream, for
 * ferror; nothing is allocated. Threads: those of the buffer or the stream.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_writer {
    struct buffer *buffer; /* or */
    FILE *stream;
    enum certpost_status status;
    bool needs_comma;
};

/* Appends to `buffer`, which is borrowed until json_finish. */
void json_start(struct json_writer *json, struct buffer *buffer);

/* Writes on `stream`, likewise; json_finish returns OK. */
void json_start_stream(struct json_writer *json, FILE *stream);

/* The same for a line that is one object, which json_end_line ends. */
void json_start_line(struct json_writer *json, FILE *stream);
void json_end_line(struct json_writer *json);

/* OK, or the first error: LIMIT (the buffer is full), NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status json_finish(const struct json_writer *json);

/* `key` is a literal of ours, of letters, digits and _; NULL for an element of an array. */
void json_object(struct json_writer *json, const char *key);
void json_end_object(struct json_writer *json);
void json_array(struct json_writer *json, const char *key);
void json_end_array(struct json_writer *json);

void json_null(struct json_writer *json, const char *key);
void json_bool(struct json_writer *json, const char *key, bool value);
void json_u64(struct json_writer *json, const char *key, uint64_t value);
void json_i64(struct json_writer *json, const char *key, int64_t value);

/* Any bytes, escaped as text_escape does. A NULL `value` becomes null. */
void json_text(struct json_writer *json, const char *key, const char *value);
void json_bytes(struct json_writer *json, const char *key, const void *bytes, size_t length);

/*
 * "KEY":"…" for valid UTF-8, else "KEY_base64":"…" (RFC 4648, section 4). What could lead a
 * terminal astray is written as \uXXXX, which a JSON reader turns into the same characters again.
 * `key` is not NULL.
 */
void json_exact(struct json_writer *json, const char *key, const void *bytes, size_t length);

/* The same of a string; a NULL `value` becomes null. */
void json_exact_text(struct json_writer *json, const char *key, const char *value);

/* Bytes in lower-case hex. */
void json_hex(struct json_writer *json, const char *key, const void *bytes, size_t length);

/* A number with three decimals: thousandths, such as microseconds as milliseconds. */
void json_thousandths(struct json_writer *json, const char *key, int64_t value);

#endif
