/*
 * base/text.h — text that people type and text that people see: numbers, sizes, durations, network
 * addresses, and the escaping of bytes that came from somewhere else.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "certpost/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decimal digits only, no sign, no space; false when it is anything else or above `max`. */
CERTPOST_MUST_CHECK
bool text_parse_u64(const char *text, uint64_t max, uint64_t *ret_value);

/*
 * A size in bytes: digits and an optional unit B, KiB, MiB, GiB, TiB (powers of 1024) or kB, MB,
 * GB, TB (powers of 1000); K, M and G alone mean the powers of 1024. A bare number is bytes. False
 * when it is anything else or above `max_bytes`.
 */
CERTPOST_MUST_CHECK
bool text_parse_size(const char *text, uint64_t max_bytes, uint64_t *ret_bytes);

/*
 * A duration: digits and a unit ms, s, m, h or d. A bare number is seconds. False when it is
 * anything else or above `max_ms`.
 */
CERTPOST_MUST_CHECK
bool text_parse_duration(const char *text, int64_t max_ms, int64_t *ret_ms);

/* Room for a DNS name (253 bytes), or an IPv6 address with a zone, and a NUL. */
#define TEXT_HOST_BYTES 256
/* "[" host "]" ":" port NUL */
#define TEXT_ENDPOINT_BYTES (TEXT_HOST_BYTES + 10)

/*
 * Splits HOST, HOST:PORT, [IPV6]:PORT, [IPV6], IPV6 and :PORT. A host that is left out comes back
 * as "", a port that is left out as `default_port`. False when the text is none of these.
 */
CERTPOST_MUST_CHECK
bool text_parse_endpoint(const char *text, uint16_t default_port, char ret_host[TEXT_HOST_BYTES],
                         uint16_t *ret_port);

/* HOST:PORT, or [HOST]:PORT when the host has a colon in it. */
void text_format_endpoint(const char *host, uint16_t port, char ret_text[TEXT_ENDPOINT_BYTES]);

/* The longest that one byte of input can become in text_escape. */
#define TEXT_ESCAPE_MAX 4

/*
 * Writes `bytes` so that a terminal, a log line or a JSON reader cannot be led astray by them:
 * control characters as \n, \r, \t or \xHH, a backslash doubled, bytes that are not valid UTF-8 as
 * \xHH, and the bytes of control and text-direction characters of Unicode as \xHH. The result is
 * NUL-terminated and cut at a whole escape when `capacity` is too small; returns its length.
 * `capacity` must be at least 1; TEXT_ESCAPE_MAX * length + 1 is always enough.
 */
size_t text_escape(const void *bytes, size_t length, char *ret_text, size_t capacity);

/* The same for a text in which some parts are escaped already: backslashes stay as they are. */
size_t text_escape_rest(const void *bytes, size_t length, char *ret_text, size_t capacity);

/*
 * How many of the first bytes are printable ASCII, quotes and backslashes left out: these stay as
 * they are in text, in JSON and on a terminal, and can be written in one go.
 */
size_t text_plain_run(const unsigned char *bytes, size_t length);

/* The number of bytes of the valid UTF-8 character at `bytes`, or 0 when there is none. */
size_t text_utf8_length(const unsigned char *bytes, size_t length);

/* The character of `length` bytes, as text_utf8_length has told them (1 to 4). */
uint32_t text_utf8_decode(const unsigned char *bytes, size_t length);

/* Whether all of it is valid UTF-8. No bytes at all are. */
bool text_is_utf8(const void *bytes, size_t length);

/* The entry of `names` (ended by NULL) that is nearest to `text`, or NULL if none is near. */
const char *text_nearest(const char *text, const char *const *names);

#endif
