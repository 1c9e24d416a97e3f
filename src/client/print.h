/*
 * client/print.h — bytes of messages and names on a stream, escaped as text or as JSON.
 *
 * Failures stay in the stream: check ferror once per line. Nothing is allocated, however long the
 * bytes are.
 */
#ifndef CLIENT_PRINT_H
#define CLIENT_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* As text_escape writes it: no control character, no invalid UTF-8. */
void print_escaped(FILE *out, const void *bytes, size_t length);

/* Lower-case hex. */
void print_hex(FILE *out, const unsigned char *bytes, size_t length);

/*
 * "KEY":"…" for valid UTF-8, else "KEY_base64":"…" (RFC 4648, section 4). What could lead a
 * terminal astray is written as \uXXXX, which a JSON reader turns into the same characters again.
 */
void print_json_member(FILE *out, const char *key, const void *bytes, size_t length);

#endif
