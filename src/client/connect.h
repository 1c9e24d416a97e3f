/* client/connect.h — a TCP connection to the first of several addresses that answers. */
#ifndef CLIENT_CONNECT_H
#define CLIENT_CONNECT_H

#include "certpost/error.h"

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Connects to one address. Returns 0, or the errno of the failure, ETIMEDOUT also when the deadline
 * passes. The socket is as that of connect_any.
 */
int connect_one(const struct addrinfo *address, int64_t deadline_ms, int *ret_socket);

/* The deadline of the next of `left` addresses: an equal share of what is left for each. */
int64_t connect_share(int64_t deadline_ms, int64_t left);

/*
 * Tries the addresses in turn. Each gets an equal share of the time that is left, so that one that
 * swallows packets does not take the chance of those after it. The socket is non-blocking, with
 * TCP_NODELAY and SO_KEEPALIVE, and is the caller's to close. `verbose` notes each address tried.
 *
 * Errors: CONNECT (the words are those of the last address), TIMEOUT when every failure was one.
 */
CERTPOST_MUST_CHECK
enum certpost_status connect_any(const struct addrinfo *addresses, int64_t deadline_ms,
                                 bool verbose, int *ret_socket, struct certpost_error *error);

#endif
