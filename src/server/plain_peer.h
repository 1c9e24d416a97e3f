/*
 * server/plain_peer.h — a client in the plain exchange: the glue between connection, session and
 * writer. It knows all three, and holds no protocol of its own.
 */
#ifndef SERVER_PLAIN_PEER_H
#define SERVER_PLAIN_PEER_H

#include "server/worker.h"

struct plain_peer;

/* Accepts the connection that waits at `listener`. Errors: NO_MEMORY, SYSTEM. */
CERTPOST_MUST_CHECK
enum certpost_status plain_peer_accept(struct worker *worker, uv_stream_t *listener,
                                       struct certpost_error *error);

/*
 * An entry of the peer has come back from the writer. The peer may be gone afterwards. What it
 * wants to send is gathered: net_scratch_flush after the last entry of a batch.
 */
void plain_peer_complete(struct plain_peer *peer, const struct writer_batch *batch,
                         const struct writer_entry *entry);

/* Take nothing more from the client, answer what was taken, close. */
void plain_peer_drain(struct plain_peer *peer);

/* Close at once: the time for draining is over. */
void plain_peer_cut(struct plain_peer *peer);

/* The worker's list of its peers. */
void plain_peer_link(struct plain_peer **list, struct plain_peer *peer);
void plain_peer_unlink(struct plain_peer **list, struct plain_peer *peer);
struct plain_peer *plain_peer_next(const struct plain_peer *peer);

#endif
