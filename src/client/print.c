/*
 * print.c — bytes on a stream, escaped (client/print.h).
 *
 * Uses: base/text, OpenSSL for base64.  Used by: read, verify.
 * Never: allocates, or writes a byte of a message as it is, except what is safe everywhere.
 */
#include "client/print.h"

#include "base/text.h"

#include <openssl/evp.h>
#include <stdint.h>

enum {
    PRINT_PIECE_BYTES = 3072, /* a multiple of 3: base64 in pieces is as in one */
    PRINT_CHARACTER_BYTES = TEXT_ESCAPE_MAX * 4 + 1, /* one character of UTF-8, escaped */
};

static size_t print_smaller(size_t one, size_t other)
{
    return one < other ? one : other;
}

static size_t print_plain_run(const unsigned char *bytes, size_t length, unsigned char excluded)
{
    size_t run = 0;
    while (run < length && bytes[run] >= ' ' && bytes[run] < 0x7f && bytes[run] != excluded &&
           bytes[run] != '\\')
        run++;
    return run;
}

void print_escaped(FILE *out, const void *bytes, size_t length)
{
    const unsigned char *next = bytes;
    while (length > 0) {
        size_t taken = print_plain_run(next, length, '\\');
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

static bool print_is_utf8(const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        size_t taken = text_utf8_length(bytes, length);
        if (taken == 0)
            return false;
        bytes += taken;
        length -= taken;
    }
    return true;
}

static void print_base64(FILE *out, const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        unsigned char text[PRINT_PIECE_BYTES / 3 * 4 + 1];
        size_t taken = print_smaller(length, PRINT_PIECE_BYTES);
        int encoded = EVP_EncodeBlock(text, bytes, (int)taken);
        (void)fwrite(text, 1, (size_t)encoded, out);
        bytes += taken;
        length -= taken;
    }
}

static uint32_t print_decode(const unsigned char *bytes, size_t length)
{
    if (length == 1)
        return bytes[0];
    uint32_t value = bytes[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++)
        value = value << 6 | (bytes[i] & 0x3fU);
    return value;
}

/* One valid character that JSON or a terminal might take for something else. */
static void print_json_character(FILE *out, const unsigned char *bytes, size_t length)
{
    char escaped[PRINT_CHARACTER_BYTES];
    (void)text_escape(bytes, length, escaped, sizeof escaped);
    uint32_t value = print_decode(bytes, length);
    if (value == '"' || value == '\\')
        fprintf(out, "\\%c", (int)value);
    else if (escaped[0] != '\\')
        (void)fwrite(bytes, 1, length, out);
    else if (value < 0x10000)
        fprintf(out, "\\u%04x", (unsigned)value);
    else
        fprintf(out, "\\u%04x\\u%04x", (unsigned)(0xd800 + ((value - 0x10000) >> 10)),
                (unsigned)(0xdc00 + (value & 0x3ff)));
}

static void print_json_text(FILE *out, const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        size_t taken = print_plain_run(bytes, length, '"');
        if (taken > 0) {
            (void)fwrite(bytes, 1, taken, out);
        } else {
            taken = text_utf8_length(bytes, length);
            print_json_character(out, bytes, taken);
        }
        bytes += taken;
        length -= taken;
    }
}

void print_json_member(FILE *out, const char *key, const void *bytes, size_t length)
{
    bool is_text = print_is_utf8(bytes, length);
    fprintf(out, "\"%s%s\":\"", key, is_text ? "" : "_base64");
    if (is_text)
        print_json_text(out, bytes, length);
    else
        print_base64(out, bytes, length);
    fputc('"', out);
}
