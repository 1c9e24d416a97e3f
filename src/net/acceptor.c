/*
 * acceptor.c — takes connections off a listening socket (net/acceptor.h).
 *
 * Uses: libuv, sockets.  Used by: server/worker.
 * Never: spins. libuv's own listening handle would call accept again at once after ENOBUFS and
 * ENOMEM, and closes connections unseen after EMFILE; so the socket is polled here, and accept's
 * answers are dealt with one by one.
 */
#include "net/acceptor.h"

#include "base/error.h"
#include "net/address.h"

#include <errno.h>
#include <unistd.h>

/* Connections that wait for accept; the kernel cuts it to net.core.somaxconn. */
enum { NET_ACCEPTOR_BACKLOG = 4096 };

/* So many at once, so that a flood of new connections does not starve those that are served. */
enum { NET_ACCEPTOR_BATCH = 64 };

enum net_accept_outcome {
    NET_ACCEPT_TAKEN,
    NET_ACCEPT_LOST, /* one came and went: try the next */
    NET_ACCEPT_EMPTY,
    NET_ACCEPT_EXHAUSTED,
};

static void net_acceptor_on_readable(uv_poll_t *poll, int failed, int events);

static void net_acceptor_poll(struct net_acceptor *acceptor, bool wanted)
{
    if (wanted == acceptor->polling || uv_is_closing((uv_handle_t *)&acceptor->poll))
        return;
    acceptor->polling = wanted;
    if (wanted)
        (void)uv_poll_start(&acceptor->poll, UV_READABLE, net_acceptor_on_readable);
    else
        (void)uv_poll_stop(&acceptor->poll);
}

static void net_acceptor_on_rested(uv_timer_t *timer)
{
    struct net_acceptor *acceptor = timer->data;
    acceptor->resting = false;
    net_acceptor_poll(acceptor, true);
}

static void net_acceptor_rest(struct net_acceptor *acceptor, int system_errno)
{
    acceptor->resting = true;
    net_acceptor_poll(acceptor, false);
    (void)uv_timer_start(&acceptor->rest, net_acceptor_on_rested, NET_ACCEPTOR_REST_MS, 0);
    acceptor->handler->on_exhausted(acceptor->owner, system_errno);
}

static enum net_accept_outcome net_accept_one(struct net_acceptor *acceptor)
{
    struct sockaddr_storage peer = {0};
    socklen_t length = sizeof peer;
    int descriptor = accept4(acceptor->descriptor, (struct sockaddr *)&peer, &length,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
        net_address_unmap((struct sockaddr *)&peer);
        acceptor->handler->on_accepted(acceptor->owner, descriptor, (struct sockaddr *)&peer);
        return NET_ACCEPT_TAKEN;
    }
    switch (errno) {
    case EAGAIN:
        return NET_ACCEPT_EMPTY;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return NET_ACCEPT_EXHAUSTED;
    default:
        /* ECONNABORTED, EINTR, and the pending network errors that accept(2) passes on: they
         * concern one connection, which is gone. */
        return NET_ACCEPT_LOST;
    }
}

static void net_acceptor_on_readable(uv_poll_t *poll, int failed, int events)
{
    struct net_acceptor *acceptor = poll->data;
    (void)failed;
    (void)events;
    for (int taken = 0; taken < acceptor->batch; taken++) {
        if (uv_is_closing((uv_handle_t *)poll))
            return;
        if (!acceptor->handler->reserve(acceptor->owner)) {
            net_acceptor_poll(acceptor, false);
            return;
        }
        enum net_accept_outcome outcome = net_accept_one(acceptor);
        int system_errno = errno;
        if (outcome != NET_ACCEPT_TAKEN)
            acceptor->handler->release(acceptor->owner);
        if (outcome == NET_ACCEPT_EXHAUSTED)
            net_acceptor_rest(acceptor, system_errno);
        if (outcome == NET_ACCEPT_EXHAUSTED || outcome == NET_ACCEPT_EMPTY)
            return;
    }
}

/* Listening anew would put another bound in place of the one that whoever opened it has chosen. */
static int net_acceptor_listen(int descriptor)
{
    int listens = 0;
    socklen_t length = sizeof listens;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0)
        return 0;
    return listen(descriptor, NET_ACCEPTOR_BACKLOG) == 0 ? 0 : uv_translate_sys_error(errno);
}

enum certpost_status net_acceptor_start(struct net_acceptor *acceptor, uv_loop_t *loop,
                                        int descriptor, const struct net_acceptor_handler *handler,
                                        void *owner, struct certpost_error *error)
{
    *acceptor = (struct net_acceptor){
        .descriptor = descriptor,
        .batch = NET_ACCEPTOR_BATCH,
        .handler = handler,
        .owner = owner,
    };
    int failed = net_acceptor_listen(descriptor);
    if (failed == 0)
        failed = uv_poll_init(loop, &acceptor->poll, descriptor);
    if (failed != 0) {
        close(descriptor);
        return error_set(error, CERTPOST_SYSTEM, "cannot listen: %s", uv_strerror(failed));
    }
    (void)uv_timer_init(loop, &acceptor->rest);
    acceptor->poll.data = acceptor;
    acceptor->rest.data = acceptor;
    net_acceptor_poll(acceptor, true);
    return CERTPOST_OK;
}

void net_acceptor_share(struct net_acceptor *acceptor)
{
    acceptor->batch = 1;
}

void net_acceptor_resume(struct net_acceptor *acceptor)
{
    if (!acceptor->resting)
        net_acceptor_poll(acceptor, true);
}

static void net_acceptor_on_closed(uv_handle_t *handle)
{
    struct net_acceptor *acceptor = handle->data;
    close(acceptor->descriptor);
}

void net_acceptor_close(struct net_acceptor *acceptor)
{
    if (uv_is_closing((uv_handle_t *)&acceptor->poll))
        return;
    uv_close((uv_handle_t *)&acceptor->rest, NULL);
    uv_close((uv_handle_t *)&acceptor->poll, net_acceptor_on_closed);
}
