/*
 * listener.c — listening sockets for all workers (net/listener.h).
 *
 * Uses: base, sockets.  Used by: server.
 * Never: shares a port with another program. SO_REUSEPORT alone would let two servers of one user
 * split the connections between them unnoticed, so a socket without it probes the port first.
 */
#include "net/listener.h"

#include "base/error.h"
#include "net/address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *net_bind_advice(int system_errno)
{
    switch (system_errno) {
    case EADDRINUSE:
        return " (another program listens there; choose another port)";
    case EACCES:
        return " (ports below 1024 need root or CAP_NET_BIND_SERVICE)";
    case EADDRNOTAVAIL:
        return " (this machine does not have that address)";
    default:
        return "";
    }
}

static int net_socket_open(const struct sockaddr *address, socklen_t length, bool shared)
{
    int one = 1;
    int descriptor = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return -1;
    /* SO_REUSEADDR: a restart must not wait for connections in TIME_WAIT. */
    bool ok = setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0;
    if (ok && shared)
        ok = setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0;
    if (ok && address->sa_family == AF_INET6)
        ok = setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0;
    if (ok && bind(descriptor, address, length) == 0)
        return descriptor;
    int saved_errno = errno;
    close(descriptor);
    errno = saved_errno;
    return -1;
}

/* Finds out whether the port is free, and which one a port of 0 became. */
static enum certpost_status net_probe(struct sockaddr *address, socklen_t length,
                                      struct certpost_error *error)
{
    char text[TEXT_ENDPOINT_BYTES];
    net_address_format(address, text);
    int probe = net_socket_open(address, length, false);
    struct sockaddr_storage bound = {0};
    socklen_t bound_length = sizeof bound;
    bool ok = probe >= 0 && listen(probe, 1) == 0 &&
              getsockname(probe, (struct sockaddr *)&bound, &bound_length) == 0;
    int saved_errno = errno;
    if (probe >= 0)
        close(probe);
    if (!ok)
        return error_set_errno(error, CERTPOST_SYSTEM, saved_errno, "cannot listen on %s%s", text,
                               net_bind_advice(saved_errno));
    net_address_set_port(address, net_address_port((struct sockaddr *)&bound));
    return CERTPOST_OK;
}

static enum certpost_status net_listener_open(struct net_listener *listener,
                                              struct sockaddr *address, socklen_t length,
                                              struct certpost_error *error)
{
    enum certpost_status status = net_probe(address, length, error);
    if (status != CERTPOST_OK)
        return status;
    net_address_format(address, listener->text);
    for (size_t i = 0; i < listener->socket_count; i++) {
        listener->sockets[i] = net_socket_open(address, length, true);
        /* Listening already, so that the next probe, ours or another server's, finds it busy. */
        if (listener->sockets[i] < 0 || listen(listener->sockets[i], SOMAXCONN) != 0)
            return error_set_errno(error, CERTPOST_SYSTEM, errno, "cannot listen on %s%s",
                                   listener->text, net_bind_advice(errno));
    }
    return CERTPOST_OK;
}

static void net_listener_close(struct net_listener *listener)
{
    for (size_t i = 0; listener->sockets != NULL && i < listener->socket_count; i++) {
        if (listener->sockets[i] >= 0)
            close(listener->sockets[i]);
    }
    free(listener->sockets);
    listener->sockets = NULL;
}

static enum certpost_status net_listener_init(struct net_listener *listener, size_t worker_count,
                                              struct certpost_error *error)
{
    *listener = (struct net_listener){.socket_count = worker_count};
    listener->sockets = calloc(worker_count, sizeof *listener->sockets);
    if (listener->sockets == NULL)
        return error_no_memory(error);
    for (size_t i = 0; i < worker_count; i++)
        listener->sockets[i] = -1;
    return CERTPOST_OK;
}

static enum certpost_status net_listeners_append(struct net_listeners *listeners,
                                                 struct sockaddr *address, socklen_t length,
                                                 size_t worker_count, struct certpost_error *error)
{
    struct net_listener *list =
        realloc(listeners->list, (listeners->count + 1) * sizeof *listeners->list);
    if (list == NULL)
        return error_no_memory(error);
    listeners->list = list;
    struct net_listener *listener = &list[listeners->count];
    enum certpost_status status = net_listener_init(listener, worker_count, error);
    if (status == CERTPOST_OK)
        status = net_listener_open(listener, address, length, error);
    if (status == CERTPOST_OK)
        listeners->count++;
    else
        net_listener_close(listener);
    return status;
}

/* The same host, whatever the ports; IPv6 addresses of two zones differ. */
static bool net_address_differs(const struct sockaddr *left, const struct sockaddr *right)
{
    if (left->sa_family != right->sa_family)
        return true;
    if (left->sa_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)left)->sin_addr.s_addr !=
               ((const struct sockaddr_in *)(const void *)right)->sin_addr.s_addr;
    const struct sockaddr_in6 *left6 = (const void *)left;
    const struct sockaddr_in6 *right6 = (const void *)right;
    return left6->sin6_scope_id != right6->sin6_scope_id ||
           memcmp(&left6->sin6_addr, &right6->sin6_addr, sizeof left6->sin6_addr) != 0;
}

/* A hosts file often has one address twice for a name. */
static bool net_address_came_before(const struct addrinfo *addresses,
                                    const struct addrinfo *address)
{
    const struct addrinfo *at = addresses;
    while (at != address && net_address_differs(at->ai_addr, address->ai_addr))
        at = at->ai_next;
    return at != address;
}

/*
 * One address of a name: on the port that the first one got (`chosen_port`), or, where that is busy
 * and no certain port was asked for, on one of its own.
 */
static enum certpost_status net_listeners_add_one(struct net_listeners *listeners,
                                                  const struct addrinfo *at, uint16_t port,
                                                  uint16_t *chosen_port, size_t worker_count,
                                                  struct certpost_error *error)
{
    struct certpost_error ignored;
    certpost_error_clear(&ignored);
    enum certpost_status status = CERTPOST_SYSTEM;
    if (*chosen_port != port) {
        net_address_set_port(at->ai_addr, *chosen_port);
        status =
            net_listeners_append(listeners, at->ai_addr, at->ai_addrlen, worker_count, &ignored);
    }
    if (status != CERTPOST_OK) {
        net_address_set_port(at->ai_addr, port);
        status = net_listeners_append(listeners, at->ai_addr, at->ai_addrlen, worker_count, error);
    }
    if (status == CERTPOST_OK)
        *chosen_port = net_address_port(at->ai_addr);
    return status;
}

/* The machine has no such addresses at all: `localhost` is ::1 too where IPv6 is switched off. */
static bool net_family_is_missing(const struct certpost_error *error)
{
    return error->system_errno == EAFNOSUPPORT || error->system_errno == EADDRNOTAVAIL;
}

static enum certpost_status net_listeners_add_all(struct net_listeners *listeners,
                                                  const struct addrinfo *addresses, uint16_t port,
                                                  size_t worker_count, struct certpost_error *error)
{
    uint16_t chosen_port = port;
    size_t added = 0;
    struct certpost_error missing;
    certpost_error_clear(&missing);
    for (const struct addrinfo *at = addresses; at != NULL && added < NET_LISTENER_ADDRESSES_MAX;
         at = at->ai_next) {
        if (net_address_came_before(addresses, at))
            continue;
        struct certpost_error cause;
        certpost_error_clear(&cause);
        enum certpost_status status =
            net_listeners_add_one(listeners, at, port, &chosen_port, worker_count, &cause);
        if (status == CERTPOST_OK)
            added++;
        else if (net_family_is_missing(&cause))
            missing = cause;
        else
            return error_adopt(error, status, &cause);
    }
    if (added > 0)
        return CERTPOST_OK;
    return error_adopt(error, CERTPOST_SYSTEM, &missing);
}

static enum certpost_status net_listeners_resolve(const char *endpoint, const char *host,
                                                  struct addrinfo **ret_addresses,
                                                  struct certpost_error *error)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
    };
    int failed = getaddrinfo(host[0] == '\0' ? NULL : host, "0", &hints, ret_addresses);
    if (failed != 0)
        return error_set(error, CERTPOST_RESOLVE,
                         "cannot listen on %s: the name has no address (%s)", endpoint,
                         gai_strerror(failed));
    return CERTPOST_OK;
}

enum certpost_status net_listeners_add(struct net_listeners *listeners, const char *endpoint,
                                       uint16_t default_port, size_t worker_count,
                                       struct certpost_error *error)
{
    char host[TEXT_HOST_BYTES];
    uint16_t port = 0;
    struct addrinfo *addresses = NULL;
    if (!text_parse_endpoint(endpoint, default_port, host, &port)) {
        char safe[TEXT_ENDPOINT_BYTES];
        text_escape(endpoint, strlen(endpoint), safe, sizeof safe);
        return error_set(error, CERTPOST_USAGE,
                         "cannot listen on %s: an address is HOST:PORT or [IPV6]:PORT", safe);
    }
    enum certpost_status status = net_listeners_resolve(endpoint, host, &addresses, error);
    if (status != CERTPOST_OK)
        return status;
    size_t count_before = listeners->count;
    status = net_listeners_add_all(listeners, addresses, port, worker_count, error);
    freeaddrinfo(addresses);
    while (status != CERTPOST_OK && listeners->count > count_before)
        net_listener_close(&listeners->list[--listeners->count]);
    return status;
}

int net_listener_take_socket(struct net_listener *listener, size_t worker)
{
    int descriptor = listener->sockets[worker];
    listener->sockets[worker] = -1;
    return descriptor;
}

void net_listeners_free(struct net_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++)
        net_listener_close(&listeners->list[i]);
    free(listeners->list);
    *listeners = (struct net_listeners){0};
}
