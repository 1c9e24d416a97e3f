/*
 * server/certpost_peer.h — the exchange certpost/1 of a peer (docs/protocol.md): chosen by clients
 * that offer `certpost/1`.
 */
#ifndef SERVER_CERTPOST_PEER_H
#define SERVER_CERTPOST_PEER_H

#include "server/peer.h"
#include "session/receiver.h"

extern const struct peer_exchange certpost_peer_exchange;

/*
 * What a server with this configuration and this name announces, receipts left out. Both are
 * borrowed, and must outlive what is returned.
 */
struct receiver_config certpost_peer_terms(const struct server_config *config, const char *name,
                                           enum store_level level);

#endif
