/*
 * session/fifo.h — a bounded queue of small records of one size: what is known of the messages that
 * are on their way. It grows by doubling and gives its memory back when it runs empty.
 */
#ifndef SESSION_FIFO_H
#define SESSION_FIFO_H

#include "certpost/status.h"

#include <stddef.h>

struct fifo {
    unsigned char *memory;
    size_t record_bytes;
    size_t first; /* index of the oldest record in `memory`, which is a ring */
    size_t count;
    size_t capacity;
    size_t max_count;
};

/* Allocates nothing. */
void fifo_init(struct fifo *fifo, size_t record_bytes, size_t max_count);

/* Drops all records and gives the memory back. NULL does nothing. */
void fifo_free(struct fifo *fifo);

/* Copies `record` in behind the newest. CERTPOST_LIMIT at `max_count`, CERTPOST_NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status fifo_push(struct fifo *fifo, const void *record);

/* The record `index` places behind the oldest; `index` < count. Good until the next change. */
const void *fifo_at(const struct fifo *fifo, size_t index);

/* Drops the `count` oldest records, or the newest one. */
void fifo_drop_oldest(struct fifo *fifo, size_t count);
void fifo_drop_newest(struct fifo *fifo);

#endif
