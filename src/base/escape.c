/*
 * escape.c — text_escape and UTF-8 of base/text.h: bytes from elsewhere, made safe to show.
 *
 * Uses: libc.  Used by: whoever prints what a peer sent.
 * Never: lets a control character, an invalid byte, or a character that is invisible or turns the
 * direction of text through: any of them can falsify what an operator sees (CVE-2021-42574).
 */
#include "base/text.h"

#include <string.h>

uint32_t text_utf8_decode(const unsigned char *bytes, size_t length)
{
    static const unsigned char lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t value = bytes[0] & lead_mask[length];
    for (size_t i = 1; i < length; i++)
        value = value << 6 | (bytes[i] & 0x3fU);
    return value;
}

/* RFC 3629, section 4: how many bytes a lead byte announces. */
static size_t escape_announced(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    if (lead >= 0xf0 && lead <= 0xf4)
        return 4;
    return 0;
}

size_t text_utf8_length(const unsigned char *bytes, size_t length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (length == 0)
        return 0;
    size_t announced = escape_announced(bytes[0]);
    if (announced == 0 || announced > length)
        return 0;
    for (size_t i = 1; i < announced; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    }
    uint32_t value = text_utf8_decode(bytes, announced);
    bool surrogate = value >= 0xd800 && value <= 0xdfff;
    return value < least[announced] || surrogate || value > 0x10ffff ? 0 : announced;
}

bool text_is_utf8(const void *bytes, size_t length)
{
    const unsigned char *next = bytes;
    while (length > 0) {
        size_t taken = text_utf8_length(next, length);
        if (taken == 0)
            return false;
        next += taken;
        length -= taken;
    }
    return true;
}

size_t text_plain_run(const unsigned char *bytes, size_t length)
{
    size_t run = 0;
    while (run < length && bytes[run] >= ' ' && bytes[run] < 0x7f && bytes[run] != '"' &&
           bytes[run] != '\\')
        run++;
    return run;
}

/* Characters that are valid but must not reach a terminal or a log as themselves. */
static bool escape_is_unsafe(uint32_t character)
{
    static const struct {
        uint32_t first, last;
    } unsafe[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},       {0x061c, 0x061c},
        {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };
    for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++) {
        if (character >= unsafe[i].first && character <= unsafe[i].last)
            return true;
    }
    return false;
}

/* Writes the escape of one byte to `out` (TEXT_ESCAPE_MAX bytes) and returns its length. */
static size_t escape_byte(unsigned char byte, char *out)
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\n\r\t\\";
    static const char to[] = "nrt\\";
    const char *named = byte == 0 ? NULL : strchr(from, byte);
    out[0] = '\\';
    if (named != NULL) {
        out[1] = to[named - from];
        return 2;
    }
    out[1] = 'x';
    out[2] = hex[byte >> 4];
    out[3] = hex[byte & 0x0f];
    return 4;
}

static size_t escape_text(const void *bytes, size_t length, bool doubles_backslash, char *ret_text,
                          size_t capacity)
{
    const unsigned char *next = bytes;
    size_t used = 0;
    while (length > 0) {
        char piece[TEXT_ESCAPE_MAX];
        size_t piece_length = text_utf8_length(next, length);
        size_t taken = piece_length;
        bool doubled = *next == '\\' && doubles_backslash;
        if (taken == 0 || doubled || escape_is_unsafe(text_utf8_decode(next, taken))) {
            piece_length = escape_byte(*next, piece);
            taken = 1;
        } else {
            memcpy(piece, next, taken);
        }
        if (used + piece_length >= capacity)
            break;
        memcpy(ret_text + used, piece, piece_length);
        used += piece_length;
        next += taken;
        length -= taken;
    }
    ret_text[used] = '\0';
    return used;
}

size_t text_escape(const void *bytes, size_t length, char *ret_text, size_t capacity)
{
    return escape_text(bytes, length, true, ret_text, capacity);
}

size_t text_escape_rest(const void *bytes, size_t length, char *ret_text, size_t capacity)
{
    return escape_text(bytes, length, false, ret_text, capacity);
}
