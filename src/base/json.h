/*
 * base/json.h — writing one JSON document (RFC 8259) into a buffer with a maximum.
 *
 * Values are appended in the order of the calls; commas and quotes are the writer's. Text from
 * elsewhere goes through text_escape first, so what a reader shows is what a person may see; the
 * document is valid UTF-8 whatever the bytes were.
 *
 * Errors are kept: after the first one nothing is appended any more, and json_finish tells it. What
 * is in the buffer then is no document. Threads: those of the buffer.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_writer {
    struct buffer *buffer;
    enum certpost_status status;
    bool needs_comma;
};

/* Appends to `buffer`, which is borrowed until json_finish. */
void json_start(struct json_writer *json, struct buffer *buffer);

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

#endif
