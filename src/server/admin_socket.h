/* server/admin_socket.h — the socket at which the admin endpoint listens. */
#ifndef SERVER_ADMIN_SOCKET_H
#define SERVER_ADMIN_SOCKET_H

#include "base/text.h"

#include "certpost/error.h"

#include <sys/types.h>
#include <sys/un.h>

/* "unix:" PATH, or an endpoint. */
#define ADMIN_SOCKET_TEXT_BYTES (TEXT_ENDPOINT_BYTES + sizeof(struct sockaddr_un))

struct admin_socket {
    int descriptor; /* listens, does not block */
    bool is_unix;
    char text[ADMIN_SOCKET_TEXT_BYTES]; /* where: with the port that was found for port 0 */
};

/*
 * Opens the socket for an option's value. A Unix socket gets mode 0660 and, if `owner` is not NULL,
 * that user and group; one that was left behind there is replaced, but only if it is a socket, and
 * nobody answers at it. Errors: USAGE (admin_address_parse), SYSTEM, with words.
 */
struct admin_socket_owner {
    uid_t uid;
    gid_t gid;
};
CERTPOST_MUST_CHECK
enum certpost_status admin_socket_open(const char *address, const struct admin_socket_owner *owner,
                                       struct admin_socket *ret_socket,
                                       struct certpost_error *error);

/*
 * Says what is wrong with the place of a Unix socket as admin_socket_open would, without making or
 * asking anything: a server that runs may have it. A TCP address is only read. Errors: USAGE,
 * SYSTEM, with words.
 */
CERTPOST_MUST_CHECK
enum certpost_status admin_socket_check(const char *address, struct certpost_error *error);

#endif
