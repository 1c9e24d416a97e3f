/*
 * buffer.c — the bounded buffer of base/buffer.h.
 *
 * Uses: libc.  Used by: every layer.
 * Never: grows past its maximum, whatever a peer sends.
 * Growth doubles, so appending n bytes costs O(n); consuming at the front only moves an offset, and
 * the bytes are moved down when the room at the end is needed again.
 */
#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

enum { BUFFER_FIRST_BYTES = 256 };

void buffer_init(struct buffer *buffer, size_t max_bytes)
{
    *buffer = (struct buffer){.max_bytes = max_bytes};
}

void buffer_free(struct buffer *buffer)
{
    if (buffer == NULL)
        return;
    free(buffer->memory);
    buffer_init(buffer, buffer->max_bytes);
}

void buffer_wipe_free(struct buffer *buffer)
{
    if (buffer == NULL)
        return;
    if (buffer->memory != NULL)
        explicit_bzero(buffer->memory, buffer->capacity);
    buffer_free(buffer);
}

const unsigned char *buffer_bytes(const struct buffer *buffer)
{
    return buffer->memory == NULL ? NULL : buffer->memory + buffer->start;
}

size_t buffer_room(const struct buffer *buffer)
{
    return buffer->max_bytes - buffer->length;
}

static size_t buffer_grown_capacity(const struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity < BUFFER_FIRST_BYTES ? BUFFER_FIRST_BYTES : buffer->capacity;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    return capacity > buffer->max_bytes ? buffer->max_bytes : capacity;
}

/* A fresh block instead of realloc: a secret must not be left behind in memory that was freed. */
static enum certpost_status buffer_grow(struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer_grown_capacity(buffer, needed);
    unsigned char *memory = malloc(capacity);
    if (memory == NULL)
        return CERTPOST_NO_MEMORY;
    if (buffer->length > 0)
        memcpy(memory, buffer->memory + buffer->start, buffer->length);
    if (buffer->memory != NULL)
        explicit_bzero(buffer->memory, buffer->capacity);
    free(buffer->memory);
    buffer->memory = memory;
    buffer->capacity = capacity;
    buffer->start = 0;
    return CERTPOST_OK;
}

enum certpost_status buffer_reserve(struct buffer *buffer, size_t length, unsigned char **ret_tail)
{
    if (length > buffer_room(buffer))
        return CERTPOST_LIMIT;
    if (length == 0 && buffer->memory == NULL) {
        /* Not even an offset of 0 may be added to NULL. */
        *ret_tail = NULL;
        return CERTPOST_OK;
    }
    size_t needed = buffer->length + length;
    if (needed > buffer->capacity) {
        enum certpost_status status = buffer_grow(buffer, needed);
        if (status != CERTPOST_OK)
            return status;
    } else if (buffer->start + needed > buffer->capacity) {
        memmove(buffer->memory, buffer->memory + buffer->start, buffer->length);
        buffer->start = 0;
    }
    *ret_tail = buffer->memory + buffer->start + buffer->length;
    return CERTPOST_OK;
}

void buffer_commit(struct buffer *buffer, size_t length)
{
    size_t reserved = buffer->capacity - buffer->start - buffer->length;
    buffer->length += length > reserved ? reserved : length;
}

enum certpost_status buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    if (length == 0)
        return CERTPOST_OK;
    unsigned char *tail = NULL;
    enum certpost_status status = buffer_reserve(buffer, length, &tail);
    if (status != CERTPOST_OK)
        return status;
    memcpy(tail, bytes, length);
    buffer->length += length;
    return CERTPOST_OK;
}

static enum certpost_status buffer_append_big_endian(struct buffer *buffer, uint64_t value,
                                                     size_t width)
{
    unsigned char bytes[sizeof value];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (unsigned char)(value >> (8 * (width - 1 - i)));
    return buffer_append(buffer, bytes, width);
}

enum certpost_status buffer_append_u8(struct buffer *buffer, uint8_t value)
{
    return buffer_append_big_endian(buffer, value, 1);
}

enum certpost_status buffer_append_u16(struct buffer *buffer, uint16_t value)
{
    return buffer_append_big_endian(buffer, value, 2);
}

enum certpost_status buffer_append_u24(struct buffer *buffer, uint32_t value)
{
    return buffer_append_big_endian(buffer, value, 3);
}

enum certpost_status buffer_append_u32(struct buffer *buffer, uint32_t value)
{
    return buffer_append_big_endian(buffer, value, 4);
}

enum certpost_status buffer_append_u64(struct buffer *buffer, uint64_t value)
{
    return buffer_append_big_endian(buffer, value, 8);
}

void buffer_consume(struct buffer *buffer, size_t length)
{
    if (length >= buffer->length) {
        buffer_clear(buffer);
        return;
    }
    buffer->start += length;
    buffer->length -= length;
}

void buffer_clear(struct buffer *buffer)
{
    buffer->start = 0;
    buffer->length = 0;
}

void buffer_release_if_empty(struct buffer *buffer)
{
    if (buffer->length == 0)
        buffer_free(buffer);
}
