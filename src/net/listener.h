/*
 * net/listener.h — listening sockets: one address, one socket for each worker.
 *
 * Every worker has its own socket on the same port (SO_REUSEPORT); the kernel spreads connections
 * over them, and no lock or shared queue stands between accept and the connection's thread.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/text.h"

#include "certpost/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* More addresses for one name than this are not listened on. */
enum { NET_LISTENER_ADDRESSES_MAX = 16 };

/* Room for a name that an operator gives a listener. */
enum { NET_LISTENER_NAME_BYTES = 64 + 1 };

struct net_listener {
    char name[NET_LISTENER_NAME_BYTES]; /* what its connections are told apart by; "": none */
    char text[TEXT_ENDPOINT_BYTES];     /* the address with the real port */
    int *sockets; /* one for each worker, bound and listening; -1 once handed over */
    size_t socket_count;
    bool is_shared; /* they are one socket, at which all workers wait */
};

struct net_listeners {
    struct net_listener *list;
    size_t count;
};

/*
 * Resolves `endpoint` (HOST:PORT) and binds every address that it stands for, each `worker_count`
 * times; port 0 takes a free one, the same for all addresses of the name where possible. Appends to
 * `listeners`, which starts as zeros; on failure nothing is appended. What is appended has no name.
 * Errors, with words that name the address: USAGE (not an endpoint), RESOLVE, SYSTEM (busy port, no
 * right to it, no such address), NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status net_listeners_add(struct net_listeners *listeners, const char *endpoint,
                                       uint16_t default_port, size_t worker_count,
                                       struct certpost_error *error);

/*
 * The same for a socket that somebody else has opened, and that listens: each worker gets a
 * descriptor of its own for it, and `descriptor` stays the caller's. Errors, with words that name
 * the descriptor: USAGE (no socket, not of TCP, does not listen), SYSTEM, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status net_listeners_add_passed(struct net_listeners *listeners, int descriptor,
                                              size_t worker_count, struct certpost_error *error);

/* Gives the socket of worker `worker` away; the caller closes it. */
int net_listener_take_socket(struct net_listener *listener, size_t worker);

/* Closes what was not taken. */
void net_listeners_free(struct net_listeners *listeners);

#endif
