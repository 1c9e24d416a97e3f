/* agent/dial.h — a TCP connection to one address, without waiting. */
#ifndef AGENT_DIAL_H
#define AGENT_DIAL_H

#include "certpost/error.h"

#include <netdb.h>
#include <stdbool.h>

/*
 * Begins to connect a non-blocking socket, with TCP_NODELAY and SO_KEEPALIVE. Returns 0 (it is
 * connected), EINPROGRESS (poll for POLLOUT, then dial_check) or the errno of the failure.
 * `*ret_socket` is the caller's to close; -1 when there is none.
 */
int dial_begin(const struct addrinfo *address, int *ret_socket);

/* What came of it, as dial_begin; EINPROGRESS: nothing yet. */
int dial_check(int socket_fd);

/* The words for a failure, and CONNECT; TIMEOUT if it was time that ran out everywhere. */
CERTPOST_MUST_CHECK
enum certpost_status dial_failure(int failure, bool timed_out, struct certpost_error *error);

#endif
