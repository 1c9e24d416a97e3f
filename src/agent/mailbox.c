/*
 * mailbox.c — messages in memory or in a spool (agent/mailbox.h).
 *
 * With a spool, what is acknowledged leaves the file in batches: to note it costs a transaction,
 * and to lose the note in a crash costs nothing, because the next WELCOME says it again.
 *
 * Uses: queue, store/spool.  Used by: client*.c.
 * Never: hands out a message that is not safe where safety was asked for.
 */
#include "agent/mailbox.h"

#include "base/clock.h"
#include "base/error.h"

enum {
    /* A transaction of this size is as cheap per byte as a larger one, and bounds memory. */
    MAILBOX_COMMIT_BYTES = 1024 * 1024,
    MAILBOX_TIDY_MESSAGES = 4096,
    MAILBOX_TIDY_MS = 1000,
};

void mailbox_init(struct mailbox *mailbox, uint64_t max_buffered_bytes)
{
    *mailbox = (struct mailbox){.spool = NULL};
    queue_init(&mailbox->queue, max_buffered_bytes);
}

void mailbox_free(struct mailbox *mailbox)
{
    if (mailbox->spool != NULL) {
        /* A failure here was told before, or loses nothing that was promised. */
        enum certpost_status status = spool_commit(mailbox->spool, NULL);
        (void)status;
    }
    spool_close(mailbox->spool);
    mailbox->spool = NULL;
    queue_free(&mailbox->queue);
}

void mailbox_use_spool(struct mailbox *mailbox, struct spool *spool)
{
    const struct spool_state *state = spool_state(spool);
    mailbox->spool = spool;
    mailbox->inherited = mailbox->committed = state->last_seq - state->acked_seq;
}

/* What was put, and what was noted as acknowledged, in one transaction. */
static enum certpost_status mailbox_commit_spool(struct mailbox *mailbox,
                                                 struct certpost_error *error)
{
    enum certpost_status status = spool_commit(mailbox->spool, error);
    if (status != CERTPOST_OK)
        return status;
    mailbox->committed = mailbox_total(mailbox);
    mailbox->uncommitted_bytes = 0;
    mailbox->noted = 0;
    return CERTPOST_OK;
}

enum certpost_status mailbox_commit(struct mailbox *mailbox, struct certpost_error *error)
{
    if (mailbox->spool == NULL || mailbox->committed == mailbox_total(mailbox))
        return CERTPOST_OK;
    return mailbox_commit_spool(mailbox, error);
}

enum certpost_status mailbox_put(struct mailbox *mailbox, const void *bytes, size_t length,
                                 struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    if (mailbox->spool == NULL) {
        status = queue_push(&mailbox->queue, bytes, length);
        if (status == CERTPOST_NO_MEMORY)
            return error_no_memory(error);
    } else {
        if (mailbox->uncommitted_bytes >= MAILBOX_COMMIT_BYTES)
            status = mailbox_commit(mailbox, error);
        if (status == CERTPOST_OK)
            status = spool_put(mailbox->spool, bytes, length, error);
        mailbox->uncommitted_bytes += length;
    }
    if (status == CERTPOST_OK)
        mailbox->put++;
    return status;
}

bool mailbox_has(const struct mailbox *mailbox, uint64_t position)
{
    if (mailbox->spool != NULL)
        return position >= mailbox->released && position < mailbox->committed;
    return position >= mailbox->queue.first &&
           position - mailbox->queue.first < mailbox->queue.count;
}

enum certpost_status mailbox_get(struct mailbox *mailbox, uint64_t position, const void **ret_bytes,
                                 size_t *ret_length, struct certpost_error *error)
{
    if (!mailbox_has(mailbox, position)) {
        if (position >= mailbox->released)
            return CERTPOST_WANT_READ;
        return error_set(error, CERTPOST_INTERNAL, "message %llu is not here any more",
                         (unsigned long long)position);
    }
    if (mailbox->spool != NULL) {
        uint64_t acked_seq = spool_state(mailbox->spool)->acked_seq;
        return spool_get(mailbox->spool, acked_seq + 1 + (position - mailbox->released), ret_bytes,
                         ret_length, error);
    }
    const unsigned char *bytes = NULL;
    if (!queue_get(&mailbox->queue, position, &bytes, ret_length))
        return CERTPOST_WANT_READ;
    *ret_bytes = bytes;
    return CERTPOST_OK;
}

enum certpost_status mailbox_adopt(struct mailbox *mailbox, uint64_t seq,
                                   const unsigned char digest[CHAIN_DIGEST_BYTES],
                                   const char *server, struct certpost_error *error)
{
    if (mailbox->spool == NULL || spool_state(mailbox->spool)->is_adopted)
        return CERTPOST_OK;
    enum certpost_status status = mailbox_commit(mailbox, error);
    if (status == CERTPOST_OK)
        status = spool_adopt(mailbox->spool, seq, digest, server, error);
    return status;
}

void mailbox_forget(struct mailbox *mailbox, uint64_t position)
{
    queue_release(&mailbox->queue, position);
}

enum certpost_status mailbox_acked(struct mailbox *mailbox, uint64_t position, uint64_t seq,
                                   const unsigned char digest[CHAIN_DIGEST_BYTES],
                                   const char *server, int64_t now_ms, struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    if (mailbox->spool == NULL)
        queue_release(&mailbox->queue, position);
    else
        status = spool_acked(mailbox->spool, seq, digest, server, error);
    if (status != CERTPOST_OK)
        return status;
    if (mailbox->spool != NULL) {
        if (mailbox->noted == 0)
            mailbox->noted_since_ms = now_ms;
        mailbox->noted += position - mailbox->released;
    }
    mailbox->released = position;
    return CERTPOST_OK;
}

enum certpost_status mailbox_tidy(struct mailbox *mailbox, int64_t now_ms, bool last_call,
                                  struct certpost_error *error)
{
    bool due = mailbox->noted >= MAILBOX_TIDY_MESSAGES || now_ms >= mailbox_deadline_ms(mailbox);
    if (mailbox->noted == 0 || !(due || last_call))
        return CERTPOST_OK;
    return mailbox_commit_spool(mailbox, error);
}

int64_t mailbox_deadline_ms(const struct mailbox *mailbox)
{
    return mailbox->noted == 0 ? CLOCK_NEVER_MS : mailbox->noted_since_ms + MAILBOX_TIDY_MS;
}
