/*
 * client_messages.c — taking messages from the caller (certpost/client.h).
 *
 * Uses: mailbox, session/sender.  Used by: it is public.
 * Never: touches the network.
 */
#include "agent/client_internal.h"
#include "base/clock.h"
#include "base/error.h"

static enum certpost_status client_check_length(const struct certpost_client *client, size_t length,
                                                struct certpost_error *error)
{
    const struct message_welcome *welcome = sender_welcome(client->sender);
    size_t most = welcome == NULL ? CERTPOST_MESSAGE_MAX_BYTES : welcome->max_message_bytes;
    if (length <= most)
        return CERTPOST_OK;
    return error_set(error, CERTPOST_LIMIT, "the message has %zu bytes, and %s at most %zu", length,
                     welcome == NULL ? "certpost/1 carries" : "the server takes", most);
}

/* The spool is of no use after a failure; messages in memory are where they were. */
static enum certpost_status client_fail_store(struct certpost_client *client,
                                              enum certpost_status status,
                                              const struct certpost_error *cause,
                                              struct certpost_error *error)
{
    if (status == CERTPOST_OK || status == CERTPOST_WANT_WRITE)
        return status;
    if (client->mailbox.spool != NULL)
        (void)client_fail(client, status, cause);
    return error_adopt(error, status, cause);
}

enum certpost_status certpost_client_offer(struct certpost_client *client, const void *bytes,
                                           size_t length, uint64_t *ret_position,
                                           struct certpost_error *error)
{
    enum certpost_status status = client_check(client, error);
    if (status == CERTPOST_OK && client->finishing)
        status = error_set(error, CERTPOST_USAGE, "a message after the end of the messages");
    if (status == CERTPOST_OK)
        status = client_check_length(client, length, error);
    if (status != CERTPOST_OK)
        return status;
    uint64_t position = mailbox_total(&client->mailbox);
    struct certpost_error cause;
    cause.status = CERTPOST_OK; /* no more: this is on the path of each message */
    cause.system_errno = 0;
    cause.text[0] = '\0';
    status = mailbox_put(&client->mailbox, bytes, length, &cause);
    client->starving = status == CERTPOST_WANT_WRITE;
    client->starving_bytes = length;
    if (status != CERTPOST_OK)
        return client_fail_store(client, status, &cause, error);
    client->unprocessed = true;
    if (ret_position != NULL)
        *ret_position = position;
    return CERTPOST_OK;
}

enum certpost_status certpost_client_commit(struct certpost_client *client,
                                            struct certpost_error *error)
{
    enum certpost_status status = client_check(client, error);
    if (status != CERTPOST_OK)
        return status;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    status = mailbox_commit(&client->mailbox, &cause);
    return client_fail_store(client, status, &cause, error);
}

enum certpost_status certpost_client_finish(struct certpost_client *client,
                                            struct certpost_error *error)
{
    enum certpost_status status = client_check(client, error);
    if (status != CERTPOST_OK || client->finishing)
        return status;
    status = certpost_client_commit(client, error);
    if (status != CERTPOST_OK)
        return status;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    client->finishing = client->unprocessed = true;
    status = sender_finish(client->sender, mailbox_total(&client->mailbox), &cause);
    if (status == CERTPOST_OK)
        return status;
    (void)client_fail(client, status, &cause);
    return error_adopt(error, status, &cause);
}
