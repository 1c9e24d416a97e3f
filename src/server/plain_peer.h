/*
 * server/plain_peer.h — a client in the plain exchange: the glue between connection, session and
 * writer. It knows all three, and holds no protocol of its own.
 */
#ifndef SERVER_PLAIN_PEER_H
#define SERVER_PLAIN_PEER_H

#include "server/worker.h"

struct plain_peer;

/*
 * Serves an accepted socket, which is taken over also on failure. With success the places that the
 * connection takes (server/limits.h; its address's, unless the PROXY protocol is expected) are the
 * peer's to return. Errors: NO_MEMORY, SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status plain_peer_serve(struct worker *worker, const struct net_conn_origin *origin,
                                      struct certpost_error *error);

/*
 * An entry of the peer has come back from the writer. The peer may be gone afterwards. What it
 * wants to send is gathered: net_scratch_flush after the last entry of a batch.
 */
void plain_peer_complete(struct plain_peer *peer, const struct writer_batch *batch,
                         const struct writer_entry *entry);

/* Take nothing more from the client, answer what was taken, close. */
void plain_peer_drain(struct plain_peer *peer);

/* Close at once: its handshake has to give way to newer ones. */
void plain_peer_evict(struct plain_peer *peer);

/* A limit that the peer may have waited for has room again. */
void plain_peer_resume(struct plain_peer *peer);

/* Close at once: the time for draining is over. */
void plain_peer_cut(struct plain_peer *peer);

/* The worker's list of its peers. */
void plain_peer_link(struct plain_peer **list, struct plain_peer *peer);
void plain_peer_unlink(struct plain_peer **list, struct plain_peer *peer);
struct plain_peer *plain_peer_next(const struct plain_peer *peer);

#endif
