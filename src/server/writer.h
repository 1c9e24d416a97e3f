/*
 * server/writer.h — the one thread that makes messages safe, and owns the store.
 *
 * Workers hand it batches of entries; it makes the messages of all that has arrived safe as one
 * group, and hands each batch back to the worker that it came from, with one outcome for each
 * stream in it. While it works on one group, the next gathers: the slower the medium, the larger
 * the groups. What it has to say without having been asked (a newer connection took a stream over,
 * the store failed) comes as a notice. These crossings, and the place of the unready code, are the
 * only ones at which threads of the server meet.
 *
 * What "safe" means: with a store on disk, committed; else handed on: the lines are written to
 * standard output, where printing is on (level `accepted`).
 *
 * Order in a group: streams are opened first, then messages are appended in the order of their
 * batches and committed, then streams are released. So a message that still waits when a newer
 * connection opens its stream is refused, and the head that the newer one gets is durable.
 *
 * A server inside another program has a judge: the program decides on each message just before it
 * is appended. What it answers comes back with the first batch of the group that is the worker's,
 * so that it is known before the commit is; what it rejects ends its stream there and then.
 *
 * Ownership: a batch belongs to whoever holds it: the worker, then the writer, then the worker
 * again. A writer_stream belongs to the worker; the writer may point to it from the moment at which
 * an entry for it is submitted until all of its entries have come back and, if it was opened, its
 * release has.
 */
#ifndef SERVER_WRITER_H
#define SERVER_WRITER_H

#include "base/buffer.h"
#include "base/committed.h"
#include "server/metrics.h"
#include "store/store.h"

#include "certpost/error.h"
#include "certpost/server.h"

#include <stdbool.h>

struct writer_batch;
struct writer_stream;

/* What the writer gives to a worker: a batch that is done, or a notice for a stream. */
struct writer_delivery {
    struct writer_delivery *next;
    struct writer_batch *batch;   /* one of these two; the other is NULL */
    struct writer_stream *stream; /* its `notice_code` says what happened */
};

/* Where deliveries go, in order. `deliver` is called on the writer's thread. */
struct writer_port {
    void (*deliver)(struct writer_port *port, struct writer_delivery *delivery);
};

/* A connection's stream as the writer knows it. All zero, then `port` and `owner` are set. */
struct writer_stream {
    struct writer_port *port;
    void *owner; /* the peer; the writer never looks inside */
    struct writer_delivery notice;
    uint16_t notice_code; /* good once the notice is delivered */

    /* The worker's: */
    size_t outcome;                     /* its place in the open batch */
    struct writer_stream *next_release; /* of the batch that releases it */
    struct writer_key *key; /* with a judge: from before its first message to its end; else NULL */

    /* The writer's: */
    struct store_lease lease;
    struct writer_stream *next_lease;
    struct writer_stream *previous_lease;
    struct writer_stream *next_touched; /* of the transaction */
    struct writer_stream *next_notice;
    struct committed news; /* what no outcome has told yet, if one of these says so: */
    bool was_opened;
    bool has_news;
    bool is_touched;
    bool is_rejected;   /* the judge has rejected a message, and an answer tells */
    uint16_t lost_code; /* nothing more of it is taken, and why (MESSAGE_CODE_…); 0: it is well */
    bool is_lost_told;
};

/* Whose stream it is and what it is called, for the judge. */
struct writer_key {
    size_t identity_length;
    size_t name_length;
    char bytes[]; /* identity, then name */
};

enum writer_entry_kind {
    WRITER_CONNECTED, /* the bytes are a peer's address */
    WRITER_OPEN,      /* the bytes are the stream's key */
    WRITER_MESSAGE,
};

/* One entry of a batch; `bytes` is borrowed from the batch. */
struct writer_entry {
    enum writer_entry_kind kind;
    struct writer_stream *stream;
    uint64_t seq; /* MESSAGE */
    unsigned char digest[CHAIN_DIGEST_BYTES];
    const unsigned char *bytes;
    size_t length;
    size_t identity_length; /* OPEN: the part of the key in front of the name */
    bool wants_reply;       /* MESSAGE: the judge's text for it is sent, if it is taken */
};

/* What the judge has said of a message, where that is news to the worker. */
struct writer_answer {
    struct writer_stream *stream;
    uint64_t seq;
    bool is_rejection; /* it and all after it are not taken; else `text` is the reply */
    struct certpost_answer said;
};

/* What became of all entries of one stream in one batch. The order of the fields is the order in
 * which things happened. */
struct writer_outcome {
    struct writer_stream *stream;
    size_t entry_count;
    size_t cost_bytes; /* of all of them */
    bool was_opened;
    bool is_committed;
    struct committed committed; /* the head, when it was opened; else everything up to it is safe */
    uint16_t lost_code; /* nothing later of the stream was or will be taken; 0: it is well */
};

struct writer_batch {
    struct writer_delivery delivery;
    struct writer_batch *next;
    struct writer_port *port;
    struct buffer entries;
    struct buffer outcomes; /* of struct writer_outcome, one for each stream with an entry */
    struct buffer answers;  /* of struct writer_answer, in the order of the messages */
    struct writer_stream *releases;
    size_t open_count;
    size_t message_count;
};

/* A batch is handed over at the latest when it holds so much; one message may pass it. */
enum { WRITER_BATCH_BYTES = 1024 * 1024 };

/* --- writer_batch.c: batches, on the thread that holds them --- */

/* An empty batch; NULL when there is no memory. Free with writer_batch_free. */
struct writer_batch *writer_batch_new(struct writer_port *port);
void writer_batch_free(struct writer_batch *batch);
void writer_batch_reset(struct writer_batch *batch);
bool writer_batch_is_empty(const struct writer_batch *batch);
bool writer_batch_is_full(const struct writer_batch *batch);

/*
 * What an entry occupies while it waits: more than its length, so that a bound of what waits also
 * holds for messages of a byte or none. Never more than message_cost_bytes, so that a client's
 * window is a bound of it; but with `wants_reply` the longest answer counts too.
 */
size_t writer_entry_cost_bytes(const struct writer_entry *entry);

/* Copies an entry into the batch. Errors: NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status writer_batch_add(struct writer_batch *batch, const struct writer_entry *entry);

/* Gives a stream back with this batch, after all of its entries. Cannot fail. */
void writer_batch_release(struct writer_batch *batch, struct writer_stream *stream);

/* Walks a batch: `*position` starts as 0; false at the end. */
CERTPOST_MUST_CHECK
bool writer_batch_next(const struct writer_batch *batch, size_t *position,
                       struct writer_entry *ret_entry);

/* The outcomes of a batch, as an array of `*ret_count`. */
struct writer_outcome *writer_batch_outcomes(const struct writer_batch *batch, size_t *ret_count);

/* The answers of a batch, as an array of `*ret_count`. */
const struct writer_answer *writer_batch_answers(const struct writer_batch *batch,
                                                 size_t *ret_count);

/*
 * The proof for a message where there is neither a store nor anybody to hand messages on to: then
 * having received it is all that its acknowledgement promises.
 */
struct committed writer_accepted(uint64_t seq);

/* --- writer.c --- */

struct writer;

/* Who decides on each message; all zero: nobody, all are taken. Called on the writer's thread. */
struct writer_judge {
    certpost_message_handler decide;
    void *context;
};

struct writer_setup {
    struct store *store; /* taken over, also on failure */
    struct writer_judge judge;
    bool print;
    int descriptor;                /* where lines go */
    struct metrics_block *metrics; /* of the writer's thread; NULL: nothing is counted */
};

/* Starts the thread. Errors: NO_MEMORY, SYSTEM. */
CERTPOST_MUST_CHECK
enum certpost_status writer_start(const struct writer_setup *setup, struct writer **ret_writer,
                                  struct certpost_error *error);

/* Hands a batch over. Any thread. */
void writer_submit(struct writer *writer, struct writer_batch *batch);

/* Why streams cannot be opened now (MESSAGE_CODE_…); 0 when they can. Any thread. */
uint16_t writer_unready_code(const struct writer *writer);

/*
 * Asks for a sign of life, which an idle writer gives at once and a busy one between two groups.
 * One thread asks, and the same asks for the answer.
 */
void writer_ask_pulse(struct writer *writer);

/*
 * Whether it has been given since. A writer that waits for its medium (a disk, or who reads
 * standard output) is well: to begin anew would not make that any faster. One that uses the
 * processor in there without end is not.
 */
CERTPOST_MUST_CHECK
bool writer_has_pulse(const struct writer *writer);

/* For how long the medium has been at work on the present group; 0: it is not. Any thread. */
int64_t writer_at_medium_ms(const struct writer *writer);

/*
 * Whether messages cannot be handed on because standard output takes no lines: nobody reads it any
 * more, or the last lines could not be written, a moment ago. After that moment it is worth another
 * try, which only a message can be. False with a store on disk, or without printing. Any thread.
 */
CERTPOST_MUST_CHECK
bool writer_output_fails(const struct writer *writer);

/* Since when streams cannot be opened, in ms since 1970; 0 when they can. Any thread. */
int64_t writer_failing_since_ms(const struct writer *writer);

/* What waits for the writer now. Any thread. */
void writer_queue(struct writer *writer, size_t *ret_batches, size_t *ret_bytes);

/* From now on the judge is not asked any more: what it has not decided on is not taken. For an end
 * that must not take longer. Any thread. */
void writer_stop_asking(struct writer *writer);

/* Completes everything that was submitted, ends the thread, closes the store. NULL does nothing. */
void writer_stop(struct writer *writer);

#endif
