/*
 * listener_passed.c — a listening socket that somebody else has opened (net/listener.h).
 *
 * Uses: base, sockets.  Used by: server/activation.
 * Never: binds; changes what whoever opened the socket has set, but that it does not block.
 *
 * A port cannot be shared by SO_REUSEPORT with a socket of another user, and one below 1024 not
 * opened at all, so all workers wait at the one socket, each by a descriptor of its own.
 */
#include "base/error.h"
#include "net/address.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int net_socket_option(int descriptor, int name)
{
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : -1;
}

static bool net_is_tcp(int descriptor)
{
    int domain = net_socket_option(descriptor, SO_DOMAIN);
    int protocol = net_socket_option(descriptor, SO_PROTOCOL);
    return (domain == AF_INET || domain == AF_INET6) &&
           net_socket_option(descriptor, SO_TYPE) == SOCK_STREAM &&
           (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

static enum certpost_status net_passed_check(int descriptor, struct certpost_error *error)
{
    struct stat found;
    if (fstat(descriptor, &found) != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "descriptor %d", descriptor);
    if (!S_ISSOCK(found.st_mode))
        return error_set(error, CERTPOST_USAGE, "descriptor %d is no socket", descriptor);
    if (!net_is_tcp(descriptor))
        return error_set(error, CERTPOST_USAGE, "descriptor %d is no TCP socket", descriptor);
    if (net_socket_option(descriptor, SO_ACCEPTCONN) != 1)
        return error_set(error, CERTPOST_USAGE,
                         "descriptor %d does not listen (a socket unit needs Accept=no)",
                         descriptor);
    return CERTPOST_OK;
}

static enum certpost_status net_passed_prepare(int descriptor, struct net_listener *listener,
                                               struct certpost_error *error)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    int flags = fcntl(descriptor, F_GETFL);
    /* Several workers wake up for one connection, and all but one find none. */
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0 ||
        getsockname(descriptor, (struct sockaddr *)&address, &length) != 0)
        return error_set_errno(error, CERTPOST_SYSTEM, errno, "descriptor %d", descriptor);
    net_address_format((struct sockaddr *)&address, listener->text);
    return CERTPOST_OK;
}

static enum certpost_status net_passed_share(int descriptor, size_t worker_count,
                                             struct net_listener *listener,
                                             struct certpost_error *error)
{
    listener->is_shared = true;
    listener->sockets = calloc(worker_count, sizeof *listener->sockets);
    if (listener->sockets == NULL)
        return error_no_memory(error);
    for (; listener->socket_count < worker_count; listener->socket_count++) {
        int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
            return error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot share descriptor %d",
                                   descriptor);
        listener->sockets[listener->socket_count] = copy;
    }
    return CERTPOST_OK;
}

enum certpost_status net_listeners_add_passed(struct net_listeners *listeners, int descriptor,
                                              size_t worker_count, struct certpost_error *error)
{
    enum certpost_status status = net_passed_check(descriptor, error);
    if (status != CERTPOST_OK)
        return status;
    struct net_listener *list =
        realloc(listeners->list, (listeners->count + 1) * sizeof *listeners->list);
    if (list == NULL)
        return error_no_memory(error);
    listeners->list = list;
    struct net_listener *listener = &list[listeners->count++];
    *listener = (struct net_listener){0};
    status = net_passed_prepare(descriptor, listener, error);
    if (status == CERTPOST_OK)
        status = net_passed_share(descriptor, worker_count, listener, error);
    return status;
}
