/* agent/client_peer.h — more of a client than its library shows, for `certpost send`. */
#ifndef AGENT_CLIENT_PEER_H
#define AGENT_CLIENT_PEER_H

#include "certpost/client.h"

#include <openssl/ssl.h>

/* The connection's, until the next call that is given the client; NULL where there is none. */
const SSL *client_peer_ssl(const struct certpost_client *client);

/* Of those in certpost_client_facts.skipped, how many could not be compared. */
uint64_t client_peer_unchecked(const struct certpost_client *client);

#endif
