/*
 * server/admin_address.h — where the admin endpoint may be, and which hosts a request may name.
 * Pure.
 *
 * The endpoint has neither TLS nor passwords, so it can only be where nobody but the machine's own
 * users gets: a Unix socket, or a loopback address.
 */
#ifndef SERVER_ADMIN_ADDRESS_H
#define SERVER_ADMIN_ADDRESS_H

#include "certpost/error.h"

#include <stdbool.h>
#include <sys/socket.h>

/* In front of a path. */
#define ADMIN_UNIX_PREFIX "unix:"

struct admin_address {
    struct sockaddr_storage socket; /* AF_UNIX, AF_INET or AF_INET6 */
    socklen_t length;
};

/*
 * Reads unix:PATH, 127.x.y.z:PORT, [::1]:PORT or localhost:PORT (which is 127.0.0.1; no name is
 * looked up). Errors: USAGE, with words, for anything else.
 */
CERTPOST_MUST_CHECK
enum certpost_status admin_address_parse(const char *text, struct admin_address *ret_address,
                                         struct certpost_error *error);

/*
 * Whether a request over TCP may name this host (the header Host): localhost or a loopback address,
 * with any port or none. A browser that was led here by a page's own name which resolves to
 * 127.0.0.1 (DNS rebinding) names that, and gets nothing. `host` may be NULL: no header, no answer.
 */
bool admin_host_is_allowed(const char *host);

#endif
