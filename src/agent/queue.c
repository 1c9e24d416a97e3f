/*
 * queue.c — a ring of messages (agent/queue.h).
 *
 *      head ──► tail                 tail < head: two parts, the newer one below
 *   ┌──┬────────┬───────┐           ┌───────┬───────┬────────┬───┐
 *   │  │messages│       │           │ newer │       │ older  │   │
 *   └──┴────────┴───────┘           └───────┴───────┴────────┴───┘
 *      head     tail    capacity            tail    head     end
 *
 * Uses: libc.  Used by: client_messages.c, client_run.c.
 * Never: splits a message; drops one that was not released; passes its maximum, but for a single
 * message that is longer than that.
 */
#include "agent/queue.h"

#include <stdlib.h>
#include <string.h>

enum {
    QUEUE_FIRST_BYTES = 64 * 1024,
    QUEUE_HEADER_BYTES = sizeof(uint32_t),
    QUEUE_COST_BYTES = 64
};

void queue_init(struct queue *queue, uint64_t max_cost_bytes)
{
    *queue = (struct queue){.max_cost_bytes = max_cost_bytes};
}

void queue_free(struct queue *queue)
{
    free(queue->memory);
    queue_init(queue, queue->max_cost_bytes);
}

bool queue_has_room(const struct queue *queue, size_t length)
{
    return queue->count == 0 ||
           queue->cost_bytes + length + QUEUE_COST_BYTES <= queue->max_cost_bytes;
}

static uint32_t queue_length_at(const struct queue *queue, size_t offset)
{
    uint32_t length = 0;
    memcpy(&length, queue->memory + offset, sizeof length);
    return length;
}

static bool queue_is_wrapped(const struct queue *queue)
{
    return queue->count > 0 && queue->tail <= queue->head;
}

/* The offset behind the message at `offset`. */
static size_t queue_after(const struct queue *queue, size_t offset)
{
    size_t next = offset + QUEUE_HEADER_BYTES + queue_length_at(queue, offset);
    bool in_older_part = queue_is_wrapped(queue) && offset >= queue->head;
    return in_older_part && next == queue->end ? 0 : next;
}

/* Finds `needed` contiguous bytes behind the newest message; wraps if that gives them. */
static bool queue_find_place(struct queue *queue, size_t needed)
{
    if (queue->count == 0)
        queue->head = queue->tail = queue->cursor_offset = 0;
    if (queue_is_wrapped(queue))
        return queue->head - queue->tail >= needed;
    if (queue->capacity - queue->tail >= needed)
        return true;
    if (queue->head < needed || queue->count == 0)
        return false;
    queue->end = queue->tail;
    queue->tail = 0;
    return true;
}

/* A larger ring with the messages in one part, from offset 0 on. */
static enum certpost_status queue_grow(struct queue *queue, size_t needed)
{
    size_t used = queue_is_wrapped(queue) ? queue->end - queue->head + queue->tail
                                          : queue->tail - queue->head;
    size_t capacity = queue->capacity < QUEUE_FIRST_BYTES ? QUEUE_FIRST_BYTES : queue->capacity * 2;
    while (capacity < used + needed)
        capacity *= 2;
    unsigned char *memory = malloc(capacity);
    if (memory == NULL)
        return CERTPOST_NO_MEMORY;
    size_t older = queue_is_wrapped(queue) ? queue->end - queue->head : used;
    size_t cursor = queue->cursor_offset >= queue->head ? queue->cursor_offset - queue->head
                                                        : queue->cursor_offset + older;
    if (used > 0) {
        memcpy(memory, queue->memory + queue->head, older);
        memcpy(memory + older, queue->memory, used - older);
    }
    free(queue->memory);
    queue->memory = memory;
    queue->capacity = capacity;
    queue->head = 0;
    queue->tail = used;
    queue->cursor_offset = cursor;
    return CERTPOST_OK;
}

enum certpost_status queue_push(struct queue *queue, const void *bytes, size_t length)
{
    if (!queue_has_room(queue, length))
        return CERTPOST_WANT_WRITE;
    size_t needed = QUEUE_HEADER_BYTES + length;
    if (!queue_find_place(queue, needed)) {
        enum certpost_status status = queue_grow(queue, needed);
        if (status != CERTPOST_OK)
            return status;
    }
    uint32_t stored = (uint32_t)length;
    unsigned char *place = queue->memory + queue->tail;
    memcpy(place, &stored, sizeof stored);
    if (length > 0)
        memcpy(place + QUEUE_HEADER_BYTES, bytes, length);
    if (queue->count == 0) {
        queue->cursor = queue->first;
        queue->cursor_offset = queue->head;
    }
    queue->tail += needed;
    queue->count++;
    queue->cost_bytes += length + QUEUE_COST_BYTES;
    return CERTPOST_OK;
}

bool queue_get(struct queue *queue, uint64_t position, const unsigned char **ret_bytes,
               size_t *ret_length)
{
    if (position < queue->first || position - queue->first >= queue->count)
        return false;
    if (position < queue->cursor) {
        queue->cursor = queue->first;
        queue->cursor_offset = queue->head;
    }
    for (; queue->cursor < position; queue->cursor++)
        queue->cursor_offset = queue_after(queue, queue->cursor_offset);
    *ret_bytes = queue->memory + queue->cursor_offset + QUEUE_HEADER_BYTES;
    *ret_length = queue_length_at(queue, queue->cursor_offset);
    return true;
}

/* Memory that one large message needed is given back; that for many small ones is kept. */
static void queue_shrink(struct queue *queue)
{
    if (queue->count > 0 || queue->capacity <= 2 * queue->max_cost_bytes)
        return;
    free(queue->memory);
    queue->memory = NULL;
    queue->capacity = queue->head = queue->tail = queue->cursor_offset = 0;
}

void queue_release(struct queue *queue, uint64_t position)
{
    while (queue->first < position && queue->count > 0) {
        size_t next = queue_after(queue, queue->head);
        queue->cost_bytes -= queue_length_at(queue, queue->head) + QUEUE_COST_BYTES;
        /* Going below the older part's end: from here on the newer part is the only one. */
        queue->head = next;
        queue->first++;
        queue->count--;
    }
    if (queue->cursor < queue->first) {
        queue->cursor = queue->first;
        queue->cursor_offset = queue->head;
    }
    queue_shrink(queue);
}
