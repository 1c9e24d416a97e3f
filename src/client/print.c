/*
 * print.c — bytes on a stream, escaped (client/print.h).
 *
 * Uses: base/text.  Used by: read, receipt_command.
 * Never: allocates, or writes a byte of a message as it is, except what is safe everywhere.
 */
#include "client/print.h"

#include "base/text.h"

/* One character of UTF-8, escaped. */
enum { PRINT_CHARACTER_BYTES = TEXT_ESCAPE_MAX * 4 + 1 };

void print_escaped(FILE *out, const void *bytes, size_t length)
{
    const unsigned char *next = bytes;
    while (length > 0) {
        size_t taken = text_plain_run(next, length);
        if (taken > 0) {
            (void)fwrite(next, 1, taken, out);
        } else {
            char text[PRINT_CHARACTER_BYTES];
            taken = text_utf8_length(next, length);
            taken = taken == 0 ? 1 : taken;
            (void)fwrite(text, 1, text_escape(next, taken, text, sizeof text), out);
        }
        next += taken;
        length -= taken;
    }
}

void print_hex(FILE *out, const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        fprintf(out, "%02x", (unsigned)bytes[i]);
}
