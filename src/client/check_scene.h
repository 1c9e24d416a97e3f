/*
 * client/check_scene.h — the steps of `certpost check`, in their order, and what they share.
 *
 * Each step says what it finds with check_say and goes on as far as that is sensible; the fields
 * below that a step fills in are NULL or -1 when it did not get that far.
 */
#ifndef CLIENT_CHECK_SCENE_H
#define CLIENT_CHECK_SCENE_H

#include "client/check_link.h"
#include "client/check_report.h"

#include <netdb.h>
#include <openssl/ssl.h>
#include <stdio.h>

struct check_scene {
    const struct check_options *options; /* borrowed */
    struct check_report *report;         /* borrowed */
    SSL_CTX *context;                    /* as certpost send has it; NULL: the files are at fault */
    FILE *keylog;
    struct addrinfo *addresses;
    const struct addrinfo *address; /* the one whose TLS is looked at */
    X509 *certificate;              /* of the server there, once seen */
    int socket_fd;                  /* connected to it; until a link takes it */
};

/* Frees what the steps have left. */
void check_scene_free(struct check_scene *scene);

/* The name that the certificate must have: --servername, or the host. */
const char *check_expected_name(const struct check_scene *scene);

/* The client's own files (check_local.c). */
void check_local(struct check_scene *scene);

/* The name, and each of its addresses (check_network.c). True when there is a connection. */
CERTPOST_MUST_CHECK
bool check_network(struct check_scene *scene);

/* TLS and what comes with it (check_tls.c). */
void check_tls(struct check_scene *scene);

/* What the handshake of `link` agreed on. */
void check_agreed_of(const struct check_link *link, struct check_agreed *ret_agreed);

/* TLS with the other addresses, after check_tls (check_others.c). */
void check_others(struct check_scene *scene);

/*
 * The certificates of the server of `link`, whose handshake may have failed after they came: chain,
 * name, dates (check_chain.c). `judge` is an SSL with the rules of certpost send, or NULL: they are
 * only shown. A fault is a FAIL; with --insecure, which overlooks it, a warning. Returns the number
 * of faults.
 */
size_t check_certificates(struct check_scene *scene, const SSL *link, const SSL *judge);

/*
 * Warns of a certificate that ends soon (check_expiry.c). `whose` begins the text; `fault` is what
 * the warning makes of the exit status under --strict.
 */
void check_expiry(struct check_scene *scene, const X509 *certificate, enum certpost_status fault,
                  const char *whose);

/* Milliseconds until the certificate ends; below 0 when it has (check_expiry.c). */
int64_t check_left_ms(const X509 *certificate);

/* Whether the server asks for a certificate, after the handshake of `link` (check_client.c). */
void check_client_asked(struct check_scene *scene, const struct check_link *link);

/* How the server took ours: `status` is how waiting for WELCOME ended (check_client.c). */
void check_client_verdict(struct check_scene *scene, const struct check_link *link,
                          enum certpost_status status, const struct certpost_error *error);

/* HELLO and WELCOME, PING and PONG, over a link that has agreed on certpost/1 (check_exchange.c).
 */
void check_exchange(struct check_scene *scene, struct check_link *link);

/*
 * What a peer may be that answered a TLS handshake with these bytes, or with none: words that go on
 * from "the peer"; NULL when nothing is known (check_guess.c). `ret_text` may be what is returned.
 */
enum { CHECK_GUESS_BYTES = 512 };
const char *check_guess(const unsigned char *bytes, size_t length,
                        char ret_text[CHECK_GUESS_BYTES]);

#endif
