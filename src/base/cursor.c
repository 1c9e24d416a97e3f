/*
 * cursor.c — the bounded cursor of base/cursor.h.
 *
 * Uses: libc.  Used by: wire, and whatever else parses bytes of a peer.
 * Never: reads past what it was given.
 */
#include "base/cursor.h"

#include <string.h>

static bool cursor_read_big_endian(struct cursor *cursor, size_t width, uint64_t *ret_value)
{
    const unsigned char *bytes = NULL;
    if (!cursor_take(cursor, width, &bytes))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | bytes[i];
    *ret_value = value;
    return true;
}

bool cursor_read_u8(struct cursor *cursor, uint8_t *ret_value)
{
    uint64_t value = 0;
    if (!cursor_read_big_endian(cursor, 1, &value))
        return false;
    *ret_value = (uint8_t)value;
    return true;
}

bool cursor_read_u16(struct cursor *cursor, uint16_t *ret_value)
{
    uint64_t value = 0;
    if (!cursor_read_big_endian(cursor, 2, &value))
        return false;
    *ret_value = (uint16_t)value;
    return true;
}

bool cursor_read_u24(struct cursor *cursor, uint32_t *ret_value)
{
    uint64_t value = 0;
    if (!cursor_read_big_endian(cursor, 3, &value))
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

bool cursor_read_u32(struct cursor *cursor, uint32_t *ret_value)
{
    uint64_t value = 0;
    if (!cursor_read_big_endian(cursor, 4, &value))
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

bool cursor_read_u64(struct cursor *cursor, uint64_t *ret_value)
{
    return cursor_read_big_endian(cursor, 8, ret_value);
}

bool cursor_read_str8(struct cursor *cursor, const unsigned char **ret_bytes, size_t *ret_length)
{
    struct cursor start = *cursor;
    uint8_t length = 0;
    if (!cursor_read_u8(cursor, &length))
        return false;
    if (!cursor_take(cursor, length, ret_bytes)) {
        *cursor = start;
        return false;
    }
    *ret_length = length;
    return true;
}

bool cursor_find(const struct cursor *cursor, unsigned char byte, size_t *ret_offset)
{
    if (cursor->left_bytes == 0)
        return false;
    const unsigned char *found = memchr(cursor->next, byte, cursor->left_bytes);
    if (found == NULL)
        return false;
    *ret_offset = (size_t)(found - cursor->next);
    return true;
}
