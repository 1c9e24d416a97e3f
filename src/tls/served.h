/*
 * tls/served.h — the certificate pairs of one context, each connection's choice among them, and
 * the OCSP responses stapled to them.
 *
 * There is one SSL_CTX. A connection that asks for another name than the context's own pairs are
 * for gets its pairs put into its SSL; SSL_set_SSL_CTX, the other way, changes half of a
 * connection's settings (ALPN, stapling, the CA store, the names of client CAs) and keeps the other
 * half (options, verification, tickets), so that each of them would have to hold twice.
 */
#ifndef TLS_SERVED_H
#define TLS_SERVED_H

#include "tls/server_material.h"

#include "certpost/error.h"

#include <openssl/ssl.h>

/*
 * Gives `context` the default pairs and the callbacks that serve the others. What is made for that
 * is freed with the context. Errors: OWN_CERTIFICATE, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_served_install(const struct tls_server_material *material,
                                        SSL_CTX *context, struct certpost_error *error);

/* The material that the context of `ssl` was given. */
const struct tls_server_material *tls_served_material(const SSL *ssl);

#endif
