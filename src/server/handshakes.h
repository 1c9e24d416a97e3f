/*
 * server/handshakes.h — the handshakes that a worker has under way, oldest first.
 *
 * A node lies inside whatever is shaking hands; the queue owns nothing. One thread.
 */
#ifndef SERVER_HANDSHAKES_H
#define SERVER_HANDSHAKES_H

#include <stdbool.h>
#include <stddef.h>

struct handshake_node {
    struct handshake_node *older;
    struct handshake_node *newer;
    void *owner;
    bool queued;
};

struct handshakes {
    struct handshake_node *oldest;
    struct handshake_node *newest;
    size_t count;
};

/* Puts the node at the young end. */
void handshakes_join(struct handshakes *queue, struct handshake_node *node, void *owner);

/* Takes the node out, if it is in. */
void handshakes_leave(struct handshakes *queue, struct handshake_node *node);

#endif
