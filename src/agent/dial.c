/*
 * dial.c — a TCP connection to one address, without waiting (agent/dial.h).
 *
 * Uses: base, sockets.  Used by: link.c, and client/connect.c, which waits.
 * Never: closes the socket.
 */
#include "agent/dial.h"

#include "base/error.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

int dial_begin(const struct addrinfo *address, int *ret_socket)
{
    int socket_fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                           address->ai_protocol);
    *ret_socket = socket_fd;
    if (socket_fd < 0)
        return errno;
    int on = 1;
    /* What is written is gathered before, or waits for its reply: Nagle's delay would only cost. */
    (void)setsockopt(socket_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(socket_fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (connect(socket_fd, address->ai_addr, address->ai_addrlen) == 0)
        return 0;
    return errno == EINTR ? EINPROGRESS : errno;
}

int dial_check(int socket_fd)
{
    struct pollfd waiting = {.fd = socket_fd, .events = POLLOUT};
    if (poll(&waiting, 1, 0) == 0)
        return EINPROGRESS;
    int failure = 0;
    socklen_t length = sizeof failure;
    if (getsockopt(socket_fd, SOL_SOCKET, SO_ERROR, &failure, &length) != 0)
        return errno;
    return failure;
}

enum certpost_status dial_failure(int failure, bool timed_out, struct certpost_error *error)
{
    if (timed_out)
        return error_set(error, CERTPOST_TIMEOUT,
                         "no TCP connection in time; check the address, and firewalls on the way");
    if (failure == ECONNREFUSED)
        return error_set(error, CERTPOST_CONNECT,
                         "connection refused; check that the server runs, and its port");
    return error_set(error, CERTPOST_CONNECT,
                     "cannot connect (%s); check the address and the network", strerror(failure));
}
