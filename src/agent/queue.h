/*
 * agent/queue.h — messages in memory until they are acknowledged, in bounded memory.
 *
 * One ring of bytes; each message lies in it whole, behind its length, so that it can be hashed and
 * sent from where it is. Messages have positions 0, 1, 2 …; the oldest leave when they are
 * acknowledged. The ring grows by doubling while it is full, so nothing is allocated per message.
 *
 * A message counts as its length and 64 bytes, as in the server's window (docs/protocol.md, 6.2):
 * the 64 stand for what is kept of it besides its bytes, here and in the sender.
 */
#ifndef AGENT_QUEUE_H
#define AGENT_QUEUE_H

#include "certpost/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue {
    unsigned char *memory;
    size_t capacity;
    size_t head;         /* offset of the oldest message */
    size_t tail;         /* offset behind the newest */
    size_t end;          /* where the upper part ends while tail < head; else unused */
    uint64_t first;      /* position of the oldest */
    uint64_t count;      /* messages held */
    uint64_t cost_bytes; /* what they count for */
    uint64_t max_cost_bytes;
    uint64_t cursor; /* position of the message at `cursor_offset` */
    size_t cursor_offset;
};

/* Allocates nothing. */
void queue_init(struct queue *queue, uint64_t max_cost_bytes);
void queue_free(struct queue *queue);

/* Whether a message of `length` would be taken: there is room, or nothing else is held. */
bool queue_has_room(const struct queue *queue, size_t length);

/* Copies a message in; its position is first + count - 1. WANT_WRITE: no room. NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status queue_push(struct queue *queue, const void *bytes, size_t length);

/*
 * The message at `position`, false when it is not held. The bytes are good until the next push or
 * release. Asking for position after position costs the same each time; going back costs a walk.
 */
CERTPOST_MUST_CHECK
bool queue_get(struct queue *queue, uint64_t position, const unsigned char **ret_bytes,
               size_t *ret_length);

/* Drops the messages before `position`. */
void queue_release(struct queue *queue, uint64_t position);

#endif
