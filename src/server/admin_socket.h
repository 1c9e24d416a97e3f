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
    dev_t device; /* of a Unix socket's file */
    ino_t inode;
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

/*
 * Removes the file of a Unix socket, if it is still the one that was made. To be called while the
 * socket listens: nobody else takes its place then. That it may not be removed is no error; the
 * next start replaces it.
 */
void admin_socket_remove(const struct admin_socket *made);

/*
 * The folder of an option's Unix socket, if nothing else is in it; false for a TCP address, and
 * where that cannot be told.
 */
CERTPOST_MUST_CHECK
bool admin_socket_own_folder(const char *address, char ret_folder[sizeof(struct sockaddr_un)]);

#endif
