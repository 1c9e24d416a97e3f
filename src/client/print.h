/*
 * client/print.h — bytes of messages and names on a stream, escaped as text.
 *
 * Failures stay in the stream: check ferror once per line. Nothing is allocated, however long the
 * bytes are.
 */
#ifndef CLIENT_PRINT_H
#define CLIENT_PRINT_H

#include <stddef.h>
#include <stdio.h>

/* As text_escape writes it: no control character, no invalid UTF-8. */
void print_escaped(FILE *out, const void *bytes, size_t length);

/* Lower-case hex. */
void print_hex(FILE *out, const unsigned char *bytes, size_t length);

#endif
