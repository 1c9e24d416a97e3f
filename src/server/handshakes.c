/*
 * handshakes.c — the handshakes that a worker has under way (server/handshakes.h).
 *
 * Uses: nothing.  Used by: plain_peer.c, worker_accept.c.
 * Never: allocates.
 */
#include "server/handshakes.h"

void handshakes_join(struct handshakes *queue, struct handshake_node *node, void *owner)
{
    *node = (struct handshake_node){.older = queue->newest, .owner = owner, .queued = true};
    if (queue->newest != NULL)
        queue->newest->newer = node;
    else
        queue->oldest = node;
    queue->newest = node;
    queue->count++;
}

void handshakes_leave(struct handshakes *queue, struct handshake_node *node)
{
    if (!node->queued)
        return;
    node->queued = false;
    if (node->older != NULL)
        node->older->newer = node->newer;
    else
        queue->oldest = node->newer;
    if (node->newer != NULL)
        node->newer->older = node->older;
    else
        queue->newest = node->older;
    queue->count--;
}
