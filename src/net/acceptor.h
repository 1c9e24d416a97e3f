/*
 * net/acceptor.h — takes connections off a listening socket, as fast as its owner allows and never
 * faster than the machine can hold them.
 *
 * A connection that may not be taken now stays in the kernel's queue, and costs nothing. When the
 * machine runs out of descriptors or memory, accepting pauses and is tried again a moment later: no
 * spin, and no end of service either.
 *
 * Threads: the loop's only.
 */
#ifndef NET_ACCEPTOR_H
#define NET_ACCEPTOR_H

#include "certpost/error.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>

/* How long accepting rests after the machine ran out of something. */
enum { NET_ACCEPTOR_REST_MS = 100 };

struct net_acceptor_handler {
    /* Keeps a place for one connection. With `false`, accepting stops until net_acceptor_resume. */
    bool (*reserve)(void *owner);
    /* None came: the place that was kept is free again. */
    void (*release)(void *owner);
    /* One came: its socket, which the owner now has to close, and its peer's address. */
    void (*on_accepted)(void *owner, int descriptor, const struct sockaddr *peer);
    /* The machine is out of descriptors or memory (an errno of accept(2)). */
    void (*on_exhausted)(void *owner, int system_errno);
};

struct net_acceptor {
    uv_poll_t poll;
    uv_timer_t rest;
    int descriptor;
    bool polling;
    bool resting;
    int batch; /* so many at once */
    const struct net_acceptor_handler *handler;
    void *owner;
};

/*
 * Listens on `descriptor` (bound, non-blocking; taken over also on failure), unless it does
 * already, and starts to accept once the loop runs. `acceptor` must stay where it is until the loop
 * has ended. Errors: SYSTEM.
 */
CERTPOST_MUST_CHECK
enum certpost_status net_acceptor_start(struct net_acceptor *acceptor, uv_loop_t *loop,
                                        int descriptor, const struct net_acceptor_handler *handler,
                                        void *owner, struct certpost_error *error);

/*
 * For a socket at which other threads wait too: one connection for each turn of the loop, so that
 * whoever has the least to do gets the most.
 */
void net_acceptor_share(struct net_acceptor *acceptor);

/* Goes on after `reserve` has said no; does nothing otherwise. */
void net_acceptor_resume(struct net_acceptor *acceptor);

/* Stops for good and closes the socket. */
void net_acceptor_close(struct net_acceptor *acceptor);

#endif
