/* agent/client_peer.h — the TLS connection of a client, to be looked at (`certpost send -v`). */
#ifndef AGENT_CLIENT_PEER_H
#define AGENT_CLIENT_PEER_H

#include "certpost/client.h"

#include <openssl/ssl.h>

/* The connection's, until the next call that is given the client; NULL where there is none. */
const SSL *client_peer_ssl(const struct certpost_client *client);

#endif
