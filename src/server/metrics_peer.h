/* server/metrics_peer.h — what is counted of one connection. On the worker's thread. */
#ifndef SERVER_METRICS_PEER_H
#define SERVER_METRICS_PEER_H

#include "net/conn.h"
#include "server/peer.h"

/* It was accepted; its handshake is complete. */
void metrics_count_begin(const struct peer *peer);
void metrics_count_open(const struct peer *peer);

/* Adds what has been received and acknowledged since the last call. Once in a wake-up. */
void metrics_count_work(struct peer *peer);

/* It has ended; before its session does. */
void metrics_count_end(struct peer *peer, const struct net_conn_result *result);

/* Reading stops for the limit that peer_must_wait has met; reading goes on. Again: nothing. */
void metrics_count_pause(struct peer *peer);
void metrics_count_resume(struct peer *peer);

#endif
