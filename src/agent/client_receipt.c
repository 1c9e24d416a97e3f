/*
 * client_receipt.c — the receipt that a client asked for: checked, then kept
 * (agent/client_internal.h).
 *
 * The server's word is compared with all that this side knows: whose certificate the connection
 * has, what was sent, and who sent it.
 *
 * Uses: receipt/save, tls/identity, session/sender.  Used by: client_talk.c.
 * Never: keeps a receipt that is for something else.
 */
#include "agent/client_internal.h"
#include "base/error.h"
#include "receipt/save.h"
#include "tls/identity.h"

#include <string.h>

/* What the server knows this client by, if it looks at certificates. None is no error: a server
 * that looked would have refused. */
static enum certpost_status client_own_identity(const struct certpost_client *client,
                                                struct tls_identity *ret_identity,
                                                struct certpost_error *error)
{
    const X509 *own = SSL_get_certificate(client->link.ssl);
    struct tls_names names = {0};
    if (own == NULL)
        return CERTPOST_OK;
    struct certpost_error cause;
    certpost_error_clear(&cause);
    enum certpost_status status = tls_names_read(own, &names, &cause);
    if (status == CERTPOST_OK)
        status = tls_identity_from(&names, ret_identity, &cause);
    tls_names_free(&names);
    return status == CERTPOST_NO_MEMORY ? error_no_memory(error) : CERTPOST_OK;
}

static void client_tell_of_receipt(struct certpost_client *client,
                                   const struct sender_effect *effect)
{
    struct certpost_event *event = events_add(&client->events, CERTPOST_EVENT_RECEIPT);
    event->seq = effect->seq;
    memcpy(event->digest, effect->digest, sizeof event->digest);
    event->level = (enum certpost_level)sender_welcome(client->sender)->level;
    client->has_receipt = true;
}

enum certpost_status client_keep_receipt(struct certpost_client *client,
                                         const struct sender_effect *effect,
                                         struct certpost_error *error)
{
    const struct message_welcome *welcome = sender_welcome(client->sender);
    struct tls_identity identity = {0};
    enum certpost_status status = client_own_identity(client, &identity, error);
    X509 *server = SSL_get1_peer_certificate(client->link.ssl);
    struct receipt_expectation expected = {
        .server_certificate = server,
        .stream = client->stream,
        .stream_length = strlen(client->stream),
        .head = {.seq = effect->seq},
        .identity = identity.bytes,
        .identity_length = identity.length,
        .origin = welcome->has_origin ? welcome->origin : NULL,
    };
    memcpy(expected.head.digest, effect->digest, sizeof expected.head.digest);
    if (status == CERTPOST_OK)
        status = receipt_save(client->config.receipt_file, sender_receipt(client->sender),
                              &expected, error);
    X509_free(server);
    tls_identity_free(&identity);
    if (status == CERTPOST_OK)
        client_tell_of_receipt(client, effect);
    else
        client->receipt_failed = true;
    return status;
}
