/*
 * server/plain_peer.h — the plain exchange of a peer: chosen by clients without ALPN or with
 * `certpost-plain`.
 */
#ifndef SERVER_PLAIN_PEER_H
#define SERVER_PLAIN_PEER_H

#include "server/peer.h"

extern const struct peer_exchange plain_peer_exchange;

#endif
