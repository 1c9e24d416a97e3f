/*
 * client/check_link.h — a TLS connection of `certpost check`, and what was seen of its handshake
 * that OpenSSL does not keep.
 */
#ifndef CLIENT_CHECK_LINK_H
#define CLIENT_CHECK_LINK_H

#include "certpost/error.h"

#include <netdb.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Enough to tell what a peer speaks, and to show it. */
enum { CHECK_LINK_FIRST_BYTES = 80 };

struct check_link {
    SSL *ssl;
    int socket_fd;
    int64_t handshake_us;
    unsigned char first[CHECK_LINK_FIRST_BYTES]; /* the first bytes that the peer sent */
    size_t first_length;
    bool asked;       /* the peer asked for a certificate */
    bool sent;        /* ours was sent, and not an empty list */
    int alert;        /* the last fatal alert that came; -1: none */
    unsigned tickets; /* session tickets that came */
};

struct check_link_target {
    const struct addrinfo *address;
    const char *name;  /* for SNI, and of the certificate */
    const char *alpn;  /* NULL: offer none */
    bool wants_staple; /* ask for an OCSP response */
    int64_t timeout_ms;
};

/* No connection. */
void check_link_init(struct check_link *link);

/*
 * Completes a handshake. `*socket_fd` is a connection to the address, which the link takes over, or
 * -1: it makes one. What was seen stays in `link` also after a failure, and so may its SSL;
 * check_link_free ends it. Errors: CONNECT, TIMEOUT, HANDSHAKE (also where the connection ended
 * within the handshake), PEER_CERTIFICATE, CERTIFICATE_REFUSED, USAGE, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status check_link_open(struct check_link *link, SSL_CTX *context,
                                     const struct check_link_target *target, int *socket_fd,
                                     struct certpost_error *error);
void check_link_free(struct check_link *link);

/*
 * Ends the connection, with close_notify if it may. What was agreed on can still be asked: a server
 * that serves one client at a time has to be left before the next connection.
 */
void check_link_hang_up(struct check_link *link);

/* True when what the peer sent first is a TLS record, or nothing. */
bool check_link_may_be_tls(const struct check_link *link);

/* Whether `name` is what was agreed on by ALPN; with NULL: nothing was. */
bool check_link_chose(const struct check_link *link, const char *name);

#endif
