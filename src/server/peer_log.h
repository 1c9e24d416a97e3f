/* server/peer_log.h — the line of a connection's end: who the peer was, what it did, and why it
 * ended. */
#ifndef SERVER_PEER_LOG_H
#define SERVER_PEER_LOG_H

#include "server/peer.h"

/*
 * Writes the line, within the bounds of server/log_limit.h. In on_closed, before the session ends.
 *
 * `identity` is there where clients are verified ("anonymous" for one that gave no certificate,
 * which no identity can be: each begins with its kind and a colon); for one whose certificate was
 * refused, its `subject`, `issuer` and `serial` instead.
 */
void peer_log_end(const struct peer *peer, struct net_conn *conn,
                  const struct net_conn_result *result);

#endif
