/*
 * server/writer.h — the one thread that makes messages safe.
 *
 * Workers hand it batches of messages; it makes them safe, all that has arrived as one group, and
 * hands each batch back to the worker it came from. While it works on one group, the next gathers:
 * the slower the medium, the larger the groups. These two crossings (submit and complete) are the
 * only places where threads of the server meet.
 *
 * Where no store is configured, "safe" means handed on: the lines have been written to standard
 * output (level `accepted`).
 *
 * Ownership: a batch belongs to whoever holds it: the worker, then the writer, then the worker
 * again.
 */
#ifndef SERVER_WRITER_H
#define SERVER_WRITER_H

#include "base/buffer.h"
#include "base/committed.h"

#include "certpost/error.h"

#include <stdbool.h>

enum writer_entry_kind {
    WRITER_CONNECTED, /* the bytes are a peer's address */
    WRITER_MESSAGE,
};

/* One entry of a batch; `bytes` is borrowed from the batch. */
struct writer_entry {
    enum writer_entry_kind kind;
    void *owner; /* the peer that waits for it; the writer never looks inside */
    uint64_t seq;
    const unsigned char *bytes;
    size_t length;
};

struct writer_batch {
    struct writer_batch *next;
    /* Called on the writer's thread with the batch, whose `status` then says how it went. */
    void (*complete)(struct writer_batch *batch);
    void *origin; /* the worker, for `complete` */
    struct buffer entries;
    enum certpost_status status;
};

/* A batch is handed over at the latest when it holds so much; one message may pass it. */
enum { WRITER_BATCH_BYTES = 1024 * 1024 };

/* An empty batch; NULL when there is no memory. Free with writer_batch_free. */
struct writer_batch *writer_batch_new(void (*complete)(struct writer_batch *batch), void *origin);
void writer_batch_free(struct writer_batch *batch);
void writer_batch_reset(struct writer_batch *batch);
bool writer_batch_is_empty(const struct writer_batch *batch);
bool writer_batch_is_full(const struct writer_batch *batch);

/*
 * What an entry of `length` bytes occupies while it waits: more than `length`, so that a bound of
 * what waits also holds for messages of a byte or none.
 */
size_t writer_entry_cost_bytes(size_t length);

/* Copies an entry into the batch. Errors: NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status writer_batch_add(struct writer_batch *batch, const struct writer_entry *entry);

/* Walks a batch: `*position` starts as 0; false at the end. */
CERTPOST_MUST_CHECK
bool writer_batch_next(const struct writer_batch *batch, size_t *position,
                       struct writer_entry *ret_entry);

/* The proof that an entry of a completed batch is safe; false when it is not. */
CERTPOST_MUST_CHECK
bool writer_committed(const struct writer_batch *batch, const struct writer_entry *entry,
                      struct committed *ret_committed);

/*
 * The same where there is neither a store nor anybody to hand messages on to: then having received
 * a message is all that its acknowledgement promises.
 */
struct committed writer_accepted(uint64_t seq);

struct writer;

/* Starts the thread, which writes lines to `descriptor`. Errors: NO_MEMORY, SYSTEM. */
CERTPOST_MUST_CHECK
enum certpost_status writer_start(int descriptor, struct writer **ret_writer,
                                  struct certpost_error *error);

/* Hands a batch over. Any thread. */
void writer_submit(struct writer *writer, struct writer_batch *batch);

/* Completes everything that was submitted, ends the thread and frees the writer. */
void writer_stop(struct writer *writer);

#endif
