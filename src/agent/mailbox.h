/*
 * agent/mailbox.h — the messages of a client until they are acknowledged: in memory (queue.h), or
 * in a spool file (store/spool.h).
 *
 * Messages have positions: 0 is the first of those that the spool held at the start, then come
 * those that were put. Threads: one at a time.
 */
#ifndef AGENT_MAILBOX_H
#define AGENT_MAILBOX_H

#include "agent/queue.h"
#include "store/spool.h"

#include "certpost/error.h"

struct mailbox {
    struct spool *spool; /* owned; NULL: messages are in memory */
    struct queue queue;
    uint64_t inherited; /* were in the spool at the start */
    uint64_t put;       /* since then */
    uint64_t released;  /* messages before this position are acknowledged */
    uint64_t committed; /* messages before this position are or were safe in the spool */
    size_t uncommitted_bytes;
    uint64_t noted; /* acknowledged and not yet taken out of the file */
    int64_t noted_since_ms;
};

/* Allocates nothing. mailbox_free writes what is unwritten, as far as that is possible. */
void mailbox_init(struct mailbox *mailbox, uint64_t max_buffered_bytes);
void mailbox_free(struct mailbox *mailbox);

/* Takes over the spool, before the first message. */
void mailbox_use_spool(struct mailbox *mailbox, struct spool *spool);

/* Positions given out so far. */
static inline uint64_t mailbox_total(const struct mailbox *mailbox)
{
    return mailbox->inherited + mailbox->put;
}

/*
 * Takes a copy of a message; its position is the total before. WANT_WRITE: no room. NO_MEMORY: not
 * taken. With a spool: LOCAL_IO, NO_MEMORY, and nothing works any more.
 */
CERTPOST_MUST_CHECK
enum certpost_status mailbox_put(struct mailbox *mailbox, const void *bytes, size_t length,
                                 struct certpost_error *error);

/* Makes safe what was put. Nothing to do costs nothing. Errors: LOCAL_IO, NO_MEMORY. */
CERTPOST_MUST_CHECK
enum certpost_status mailbox_commit(struct mailbox *mailbox, struct certpost_error *error);

/*
 * The message at `position`, good until the next call. WANT_READ: there is none yet, or it is not
 * safe yet. Errors: LOCAL_IO, NO_MEMORY; INTERNAL: it has left.
 */
CERTPOST_MUST_CHECK
enum certpost_status mailbox_get(struct mailbox *mailbox, uint64_t position, const void **ret_bytes,
                                 size_t *ret_length, struct certpost_error *error);

/* Whether mailbox_get would give the message. */
bool mailbox_has(const struct mailbox *mailbox, uint64_t position);

/*
 * The first WELCOME says where a new spool's messages stand in the stream. Does nothing when that
 * is known, or without a spool. Errors: LOCAL_IO, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status mailbox_adopt(struct mailbox *mailbox, uint64_t seq,
                                   const unsigned char digest[CHAIN_DIGEST_BYTES],
                                   const char *server, struct certpost_error *error);

/*
 * Messages before `position` are acknowledged, up to number `seq` with `digest`. Memory is given
 * back at once, the spool's file when mailbox_tidy thinks it is time. Errors: LOCAL_IO, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status mailbox_acked(struct mailbox *mailbox, uint64_t position, uint64_t seq,
                                   const unsigned char digest[CHAIN_DIGEST_BYTES],
                                   const char *server, int64_t now_ms,
                                   struct certpost_error *error);

/* The server has the messages before `position`: those in memory are not wanted any more. */
void mailbox_forget(struct mailbox *mailbox, uint64_t position);

/* Takes acknowledged messages out of the file, if there are enough or it is `last_call`. */
CERTPOST_MUST_CHECK
enum certpost_status mailbox_tidy(struct mailbox *mailbox, int64_t now_ms, bool last_call,
                                  struct certpost_error *error);

/* When mailbox_tidy has something to do; CLOCK_NEVER_MS for never. */
int64_t mailbox_deadline_ms(const struct mailbox *mailbox);

#endif
