/*
 * client_peer.c — looking at a client's inside (agent/client_peer.h).
 *
 * Uses: the client's memory.  Used by: client/send_certified.c.
 * Never: changes it.
 */
#include "agent/client_peer.h"

#include "agent/client_internal.h"

const SSL *client_peer_ssl(const struct certpost_client *client)
{
    return client->link.ssl;
}

uint64_t client_peer_unchecked(const struct certpost_client *client)
{
    return client->sender == NULL ? 0 : sender_unchecked_messages(client->sender);
}
