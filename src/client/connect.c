/*
 * connect.c — the first address that answers, with a deadline (client/connect.h).
 *
 * Uses: agent/dial.  Used by: channel.c, check_network.c, check_link.c.  Never: leaves a socket
 * open on failure.
 */
#include "client/connect.h"

#include "agent/dial.h"
#include "base/clock.h"
#include "base/text.h"
#include "client/output.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void connect_note(const struct addrinfo *address, const char *what)
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    bool brackets = address->ai_family == AF_INET6;
    output_note("%s %s%s%s:%s", what, brackets ? "[" : "", host, brackets ? "]" : "", port);
}

/* Returns 0 or the errno of the connection attempt; ETIMEDOUT also when the deadline passes. */
static int connect_wait(int socket_fd, int64_t deadline_ms)
{
    struct pollfd waiting = {.fd = socket_fd, .events = POLLOUT};
    int ready = 0;
    do {
        ready = poll(&waiting, 1, clock_poll_timeout_ms(deadline_ms));
    } while (ready < 0 && errno == EINTR);
    if (ready < 0)
        return errno;
    return ready == 0 ? ETIMEDOUT : dial_check(socket_fd);
}

int connect_one(const struct addrinfo *address, int64_t deadline_ms, int *ret_socket)
{
    int socket_fd = -1;
    int failure = dial_begin(address, &socket_fd);
    if (failure == EINPROGRESS)
        failure = connect_wait(socket_fd, deadline_ms);
    if (failure == 0)
        *ret_socket = socket_fd;
    else if (socket_fd >= 0)
        close(socket_fd);
    return failure;
}

int64_t connect_share(int64_t deadline_ms, int64_t left)
{
    if (deadline_ms == CLOCK_NEVER_MS)
        return CLOCK_NEVER_MS;
    int64_t now_ms = clock_monotonic_ms();
    int64_t time_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    return now_ms + time_ms / left;
}

enum certpost_status connect_any(const struct addrinfo *addresses, int64_t deadline_ms,
                                 bool verbose, int *ret_socket, struct certpost_error *error)
{
    int64_t left = 0;
    for (const struct addrinfo *each = addresses; each != NULL; each = each->ai_next)
        left++;
    int failure = EADDRNOTAVAIL;
    bool all_timed_out = left > 0;
    for (const struct addrinfo *each = addresses; each != NULL; each = each->ai_next, left--) {
        if (verbose)
            connect_note(each, "trying");
        failure = connect_one(each, connect_share(deadline_ms, left), ret_socket);
        if (failure == 0)
            return CERTPOST_OK;
        if (verbose)
            output_note("that failed: %s", strerror(failure));
        all_timed_out = all_timed_out && failure == ETIMEDOUT;
    }
    return dial_failure(failure, all_timed_out, error);
}
