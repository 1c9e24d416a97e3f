/*
 * fifo.c — the ring behind session/fifo.h.
 *
 * Uses: libc.  Used by: receiver, sender.
 * Never: holds more records than it was born for.
 */
#include "session/fifo.h"

#include <stdlib.h>
#include <string.h>

enum { FIFO_FIRST_RECORDS = 16 };

void fifo_init(struct fifo *fifo, size_t record_bytes, size_t max_count)
{
    *fifo = (struct fifo){.record_bytes = record_bytes, .max_count = max_count};
}

void fifo_free(struct fifo *fifo)
{
    if (fifo == NULL)
        return;
    free(fifo->memory);
    fifo_init(fifo, fifo->record_bytes, fifo->max_count);
}

static unsigned char *fifo_place(const struct fifo *fifo, size_t index)
{
    return fifo->memory + ((fifo->first + index) % fifo->capacity) * fifo->record_bytes;
}

static enum certpost_status fifo_grow(struct fifo *fifo)
{
    size_t capacity = fifo->capacity == 0 ? FIFO_FIRST_RECORDS : fifo->capacity * 2;
    unsigned char *memory = calloc(capacity, fifo->record_bytes);
    if (memory == NULL)
        return CERTPOST_NO_MEMORY;
    for (size_t i = 0; i < fifo->count; i++)
        memcpy(memory + i * fifo->record_bytes, fifo_place(fifo, i), fifo->record_bytes);
    free(fifo->memory);
    fifo->memory = memory;
    fifo->capacity = capacity;
    fifo->first = 0;
    return CERTPOST_OK;
}

enum certpost_status fifo_push(struct fifo *fifo, const void *record)
{
    if (fifo->count >= fifo->max_count)
        return CERTPOST_LIMIT;
    if (fifo->count == fifo->capacity) {
        enum certpost_status status = fifo_grow(fifo);
        if (status != CERTPOST_OK)
            return status;
    }
    memcpy(fifo_place(fifo, fifo->count), record, fifo->record_bytes);
    fifo->count++;
    return CERTPOST_OK;
}

const void *fifo_at(const struct fifo *fifo, size_t index)
{
    return fifo_place(fifo, index);
}

/* A small ring is kept: a connection that sends one message at a time need not allocate for each.
 */
static void fifo_release_if_empty(struct fifo *fifo)
{
    if (fifo->count > 0)
        return;
    fifo->first = 0;
    if (fifo->capacity > FIFO_FIRST_RECORDS)
        fifo_free(fifo);
}

void fifo_drop_oldest(struct fifo *fifo, size_t count)
{
    size_t dropped = count < fifo->count ? count : fifo->count;
    if (dropped == 0)
        return;
    fifo->first = (fifo->first + dropped) % fifo->capacity;
    fifo->count -= dropped;
    fifo_release_if_empty(fifo);
}

void fifo_drop_newest(struct fifo *fifo)
{
    if (fifo->count == 0)
        return;
    fifo->count--;
    fifo_release_if_empty(fifo);
}
