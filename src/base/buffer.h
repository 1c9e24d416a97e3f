/*
 * base/buffer.h — a growable run of bytes that is born with its maximum.
 *
 * Bytes are appended at the end and consumed at the front. Nothing is allocated until the first
 * byte is appended, and everything is given back when the last byte is consumed through
 * buffer_release_if_empty, so that an idle connection holds no memory for its buffers.
 *
 * Pointers into a buffer are good until the next call that is not const.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "certpost/status.h"

#include <stddef.h>
#include <stdint.h>

struct buffer {
    unsigned char *memory;
    size_t start;     /* offset of the first unconsumed byte */
    size_t length;    /* unconsumed bytes */
    size_t capacity;  /* bytes allocated */
    size_t max_bytes; /* `length` never passes this */
};

/* Makes an empty buffer; allocates nothing. */
void buffer_init(struct buffer *buffer, size_t max_bytes);

/* Gives the memory back; the buffer is then empty and can be used again. NULL does nothing. */
void buffer_free(struct buffer *buffer);

/* The same for contents that are secret: the memory is overwritten first. */
void buffer_wipe_free(struct buffer *buffer);

/* The unconsumed bytes. NULL when nothing was ever appended. */
const unsigned char *buffer_bytes(const struct buffer *buffer);

/* How much may be appended until the maximum. */
size_t buffer_room(const struct buffer *buffer);

/*
 * Appends. CERTPOST_LIMIT when the maximum would be passed (nothing is appended then),
 * CERTPOST_NO_MEMORY when the memory cannot be had.
 */
CERTPOST_MUST_CHECK
enum certpost_status buffer_append(struct buffer *buffer, const void *bytes, size_t length);

/*
 * Makes room for `length` more bytes, to be written at `*ret_tail` and then counted in by
 * buffer_commit. `*ret_tail` is NULL when `length` is 0 and nothing is allocated. Errors as
 * buffer_append.
 */
CERTPOST_MUST_CHECK
enum certpost_status buffer_reserve(struct buffer *buffer, size_t length, unsigned char **ret_tail);
void buffer_commit(struct buffer *buffer, size_t length);

/* Appends big-endian integers; errors as buffer_append. `value` must fit. */
CERTPOST_MUST_CHECK
enum certpost_status buffer_append_u8(struct buffer *buffer, uint8_t value);
CERTPOST_MUST_CHECK
enum certpost_status buffer_append_u16(struct buffer *buffer, uint16_t value);
CERTPOST_MUST_CHECK
enum certpost_status buffer_append_u24(struct buffer *buffer, uint32_t value);
CERTPOST_MUST_CHECK
enum certpost_status buffer_append_u32(struct buffer *buffer, uint32_t value);
CERTPOST_MUST_CHECK
enum certpost_status buffer_append_u64(struct buffer *buffer, uint64_t value);

/* Drops `length` bytes at the front (all, if there are fewer). Moves nothing. */
void buffer_consume(struct buffer *buffer, size_t length);

/* Drops everything and keeps the memory. */
void buffer_clear(struct buffer *buffer);

/* Gives the memory back if nothing is in the buffer. */
void buffer_release_if_empty(struct buffer *buffer);

#endif
