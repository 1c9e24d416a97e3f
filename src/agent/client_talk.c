/*
 * client_talk.c — a conversation: between the link and the sender, for messages from the mailbox
 * (agent/client_internal.h).
 *
 * Frames are gathered in one buffer and go out as full TLS records while there are more of them;
 * what is left goes out as it is when there are no more. So many small messages share a record and
 * a send(2), and a single one does not wait for company.
 *
 * Uses: link, mailbox, session/sender.  Used by: client_run.c.
 * Never: waits; sends a message that the mailbox does not call safe.
 */
#include "agent/client_internal.h"
#include "base/clock.h"
#include "base/error.h"

#include <string.h>

enum {
    TALK_GATHER_BYTES = 64 * 1024,
    TALK_RECORD_BYTES = 16 * 1024,
    TALK_INPUT_BYTES = 16 * 1024,
    TALK_KEEP_BYTES = 256 * 1024,
    TALK_READS = 32, /* then others of the caller's loop have their turn */
};

enum certpost_status client_talk_begin(struct certpost_client *client, int64_t now_ms,
                                       struct certpost_error *error)
{
    buffer_clear(&client->output);
    client->welcomed = client->more_input = client->too_long = false;
    client->refusal_code = 0;
    client->refused_seq = 0;
    return sender_connected(client->sender, now_ms, error);
}

/* A spool is of no use after a failure. WANT_READ: there is no message, and nothing has failed. */
static enum certpost_status talk_judge_mailbox(struct certpost_client *client,
                                               enum certpost_status status)
{
    if (certpost_status_group(status) > CERTPOST_GROUP_WAIT && client->mailbox.spool != NULL)
        client->spool_failed = true;
    return status;
}

/* ---- what the sender wants done ---- */

static void talk_describe_tls(SSL *ssl, struct certpost_event *event)
{
    const char *group = SSL_group_to_name(ssl, (int)SSL_get_negotiated_group(ssl));
    snprintf(event->tls_version, sizeof event->tls_version, "%s", SSL_get_version(ssl));
    snprintf(event->tls_cipher, sizeof event->tls_cipher, "%s", SSL_get_cipher_name(ssl));
    snprintf(event->tls_group, sizeof event->tls_group, "%s", group == NULL ? "unknown" : group);
}

static enum certpost_status talk_welcomed(struct certpost_client *client,
                                          struct certpost_error *error)
{
    const struct message_welcome *welcome = sender_welcome(client->sender);
    struct certpost_event *event = events_add(&client->events, CERTPOST_EVENT_CONNECTED);
    event->level = (enum certpost_level)welcome->level;
    event->seq = welcome->head.last_seq;
    event->window_bytes = welcome->window_bytes;
    event->max_message_bytes = welcome->max_message_bytes;
    memcpy(event->digest, welcome->head.digest, sizeof event->digest);
    memcpy(event->endpoint, client->link.endpoint, sizeof client->link.endpoint);
    client_copy_span(event->server_name, &welcome->server_name);
    talk_describe_tls(client->link.ssl, event);
    client->welcomed = true;
    client->connections++;
    /* A server that answers and gives no receipt is not to be asked for ever. */
    bool waits_for_receipt =
        client->finishing && client->config.receipt_file != NULL && !client->has_receipt;
    if (mailbox_total(&client->mailbox) == client->mailbox.released && !waits_for_receipt)
        client_note_progress(client);
    if (client->last_seq == 0 && client->config.resume_from == 0) {
        client->last_seq = welcome->head.last_seq;
        memcpy(client->digest, welcome->head.digest, sizeof client->digest);
    }
    char server[CERTPOST_NAME_BYTES];
    client_copy_span(server, &welcome->server_name);
    return talk_judge_mailbox(client, mailbox_adopt(&client->mailbox, welcome->head.last_seq,
                                                    welcome->head.digest, server, error));
}

static enum certpost_status talk_acked(struct certpost_client *client,
                                       const struct sender_effect *effect, int64_t now_ms,
                                       struct certpost_error *error)
{
    const struct message_welcome *welcome = sender_welcome(client->sender);
    char server[CERTPOST_NAME_BYTES];
    client_copy_span(server, &welcome->server_name);
    enum certpost_status status = mailbox_acked(&client->mailbox, effect->released_position,
                                                effect->seq, effect->digest, server, now_ms, error);
    if (status != CERTPOST_OK)
        return status;
    client->last_seq = effect->seq;
    memcpy(client->digest, effect->digest, sizeof client->digest);
    if (effect->released_position >= client->skipping_end) {
        client->skipped += client->skipping;
        client->skipping = 0;
    }
    struct certpost_event *event = events_merge(&client->events, CERTPOST_EVENT_ACKED);
    event->seq = effect->seq;
    event->position = effect->released_position;
    event->level = (enum certpost_level)welcome->level;
    memcpy(event->digest, effect->digest, sizeof event->digest);
    client_note_progress(client);
    return CERTPOST_OK;
}

/* CLOSED: the sender wants the connection to end. */
static enum certpost_status talk_effects(struct certpost_client *client, int64_t now_ms,
                                         struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    struct sender_effect effect;
    while (status == CERTPOST_OK && sender_next_effect(client->sender, &effect) != SENDER_NONE) {
        if (effect.type == SENDER_WELCOMED)
            status = talk_welcomed(client, error);
        else if (effect.type == SENDER_ACKED)
            status = talk_acked(client, &effect, now_ms, error);
        else if (effect.type == SENDER_RECEIPT)
            status = client_keep_receipt(client, &effect, error);
        else
            status = CERTPOST_CLOSED;
    }
    return status;
}

/* ---- input ---- */

static enum certpost_status talk_input(struct certpost_client *client, int64_t now_ms,
                                       struct certpost_error *error)
{
    unsigned char bytes[TALK_INPUT_BYTES];
    client->more_input = false;
    for (int reads = 0; reads < TALK_READS; reads++) {
        size_t length = 0;
        struct certpost_error cause;
        certpost_error_clear(&cause);
        enum certpost_status status =
            link_read(&client->link, bytes, sizeof bytes, &length, &cause);
        if (certpost_status_group(status) == CERTPOST_GROUP_WAIT)
            return CERTPOST_OK;
        if (status != CERTPOST_OK)
            return error_adopt(error, status, &cause);
        struct cursor input = cursor_over(bytes, length);
        /* What the sender complains about is known to sender_failure, and CLOSE follows. */
        enum certpost_status taken = sender_input(client->sender, &input, now_ms, error);
        enum certpost_status effects = talk_effects(client, now_ms, error);
        status = effects == CERTPOST_CLOSED && taken != CERTPOST_OK ? taken : effects;
        if (status != CERTPOST_OK)
            return status;
    }
    client->more_input = true;
    return CERTPOST_OK;
}

/* ---- messages ---- */

bool client_can_send(const struct certpost_client *client)
{
    struct sender_want want;
    return !client->too_long && sender_wants_message(client->sender, &want) &&
           mailbox_has(&client->mailbox, want.position);
}

/* OK: taken; WANT_READ: no message or no window; WANT_WRITE: no room in the output. */
static enum certpost_status talk_one_message(struct certpost_client *client, int64_t now_ms,
                                             struct certpost_error *error)
{
    struct sender_want want;
    const void *bytes = NULL;
    size_t length = 0;
    if (client->too_long || !sender_wants_message(client->sender, &want))
        return CERTPOST_WANT_READ;
    enum certpost_status status =
        mailbox_get(&client->mailbox, want.position, &bytes, &length, error);
    if (status != CERTPOST_OK)
        return talk_judge_mailbox(client, status);
    status = sender_message(client->sender, bytes, length, &client->output, now_ms, error);
    if (status != CERTPOST_OK)
        return status;
    if (!want.skip) {
        client->sent++;
        return CERTPOST_OK;
    }
    client->skipping++;
    client->skipping_end = want.position + 1;
    mailbox_forget(&client->mailbox, want.position + 1);
    return CERTPOST_OK;
}

/* Gathers frames until there are enough for now. `*ret_more`: there would be more. */
static enum certpost_status talk_gather(struct certpost_client *client, int64_t now_ms,
                                        bool *ret_more, struct certpost_error *error)
{
    enum certpost_status status = CERTPOST_OK;
    while (status == CERTPOST_OK && client->output.length < TALK_GATHER_BYTES)
        status = talk_one_message(client, now_ms, error);
    *ret_more = status == CERTPOST_OK || status == CERTPOST_WANT_WRITE;
    if (status == CERTPOST_LIMIT) {
        client->too_long = true;
        client->too_long_error = *error;
        certpost_error_clear(error);
        status = CERTPOST_OK;
    }
    return certpost_status_group(status) == CERTPOST_GROUP_WAIT ? CERTPOST_OK : status;
}

/* Writes records while at least `least` bytes wait. WANT_READ, WANT_WRITE: TLS takes no more now.
 */
static enum certpost_status talk_write(struct certpost_client *client, size_t least, int64_t now_ms,
                                       struct certpost_error *error)
{
    struct buffer *output = &client->output;
    while (output->length >= least && output->length > 0) {
        size_t written = 0;
        enum certpost_status status =
            link_write(&client->link, buffer_bytes(output), output->length, &written, error);
        if (status != CERTPOST_OK)
            return status;
        buffer_consume(output, written);
        sender_wrote(client->sender, now_ms);
    }
    if (output->capacity > TALK_KEEP_BYTES)
        buffer_release_if_empty(output);
    return CERTPOST_OK;
}

enum certpost_status client_flush_output(struct certpost_client *client, int64_t now_ms,
                                         struct certpost_error *error)
{
    return talk_write(client, 0, now_ms, error);
}

static enum certpost_status talk_output(struct certpost_client *client, int64_t now_ms,
                                        struct certpost_error *error)
{
    bool more = true;
    enum certpost_status status = CERTPOST_OK;
    while (more && status == CERTPOST_OK) {
        status = talk_gather(client, now_ms, &more, error);
        if (status != CERTPOST_OK)
            return status;
        enum certpost_status put = sender_output(client->sender, &client->output, now_ms);
        if (put == CERTPOST_NO_MEMORY)
            return error_no_memory(error);
        /* LIMIT: what did not fit stays due, and there is room after writing. */
        status = talk_effects(client, now_ms, error);
        if (status == CERTPOST_OK)
            status = talk_write(client, more ? TALK_RECORD_BYTES : 0, now_ms, error);
        more = more || put == CERTPOST_LIMIT;
    }
    return certpost_status_group(status) == CERTPOST_GROUP_WAIT ? CERTPOST_OK : status;
}

/* ---- all of it ---- */

static enum certpost_status talk_check_too_long(struct certpost_client *client,
                                                struct certpost_error *error)
{
    if (!client->too_long || sender_unacked_messages(client->sender) > 0)
        return CERTPOST_OK;
    return error_adopt(error, CERTPOST_LIMIT, &client->too_long_error);
}

enum certpost_status client_talk(struct certpost_client *client, int64_t now_ms,
                                 struct certpost_error *error)
{
    enum certpost_status status = talk_input(client, now_ms, error);
    if (status == CERTPOST_OK)
        status = talk_output(client, now_ms, error);
    if (status == CERTPOST_OK)
        status = talk_check_too_long(client, error);
    if (status != CERTPOST_OK)
        return status;
    enum certpost_status ticked = sender_tick(client->sender, now_ms, error);
    status = talk_effects(client, now_ms, error);
    if (ticked != CERTPOST_OK && (status == CERTPOST_OK || status == CERTPOST_CLOSED))
        return ticked;
    /* A PING that has become due. */
    return status == CERTPOST_OK ? talk_output(client, now_ms, error) : status;
}
