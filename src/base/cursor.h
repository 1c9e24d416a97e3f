/*
 * base/cursor.h — the bounded cursor through which all bytes from a peer are read.
 *
 * A cursor borrows the bytes; it never writes, copies or allocates. Every read either takes all
 * that it needs or takes nothing and returns false; the caller then waits for more bytes or
 * reports a short body. After a failed read the cursor is where it was.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "certpost/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
    const unsigned char *next;
    size_t left_bytes;
};

static inline struct cursor cursor_over(const void *bytes, size_t length)
{
    return (struct cursor){bytes, length};
}

/* Takes `length` bytes; `*ret_bytes` points at them and lives as long as what the cursor is over.
 */
CERTPOST_MUST_CHECK
static inline bool cursor_take(struct cursor *cursor, size_t length,
                               const unsigned char **ret_bytes)
{
    if (length > cursor->left_bytes)
        return false;
    *ret_bytes = cursor->next;
    if (length > 0) {
        cursor->next += length;
        cursor->left_bytes -= length;
    }
    return true;
}

/* Big-endian unsigned integers of 1, 2, 3, 4 and 8 bytes. */
CERTPOST_MUST_CHECK
bool cursor_read_u8(struct cursor *cursor, uint8_t *ret_value);
CERTPOST_MUST_CHECK
bool cursor_read_u16(struct cursor *cursor, uint16_t *ret_value);
CERTPOST_MUST_CHECK
bool cursor_read_u24(struct cursor *cursor, uint32_t *ret_value);
CERTPOST_MUST_CHECK
bool cursor_read_u32(struct cursor *cursor, uint32_t *ret_value);
CERTPOST_MUST_CHECK
bool cursor_read_u64(struct cursor *cursor, uint64_t *ret_value);

/* A length byte and that many bytes. */
CERTPOST_MUST_CHECK
bool cursor_read_str8(struct cursor *cursor, const unsigned char **ret_bytes, size_t *ret_length);

/* How many bytes come before the next `byte`, not counting it; false when there is none. */
CERTPOST_MUST_CHECK
bool cursor_find(const struct cursor *cursor, unsigned char byte, size_t *ret_offset);

#endif
