/* client/resolve.h — names to addresses, with a deadline. */
#ifndef CLIENT_RESOLVE_H
#define CLIENT_RESOLVE_H

#include "certpost/error.h"

#include <netdb.h>
#include <stdint.h>

/*
 * The stream addresses of `host`, in the order in which they should be tried (RFC 6724). Addresses
 * in figures are not looked up. The list is the caller's: freeaddrinfo.
 *
 * Errors: RESOLVE, TIMEOUT, NO_MEMORY, SYSTEM. After TIMEOUT the lookup goes on in its own thread
 * until the system's resolver gives up, and cleans up after itself.
 */
CERTPOST_MUST_CHECK
enum certpost_status resolve_host(const char *host, uint16_t port, int64_t deadline_ms,
                                  struct addrinfo **ret_addresses, struct certpost_error *error);

#endif
