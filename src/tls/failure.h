/*
 * tls/failure.h — why handshakes fail, as a short list that can be counted.
 *
 * The words of tls/explain.h are for a person and name what this peer did. A counter needs few
 * kinds, none of which is made of a peer's bytes.
 */
#ifndef TLS_FAILURE_H
#define TLS_FAILURE_H

#include <openssl/ssl.h>

/* X(constant, name): the only list. */
#define TLS_FAILURE_LIST(X)                                                                        \
    X(NOT_TLS, "not_tls")                                                                          \
    X(VERSION, "tls_version")                                                                      \
    X(CIPHER, "no_shared_cipher")                                                                  \
    X(GROUP, "no_shared_group")                                                                    \
    X(SIGNATURE, "no_shared_signature")                                                            \
    X(ALPN, "no_application_protocol")                                                             \
    X(NAME, "unknown_name")                                                                        \
    X(NO_CERTIFICATE, "no_certificate")                                                            \
    X(CERTIFICATE_EXPIRED, "certificate_expired")                                                  \
    X(CERTIFICATE_REVOKED, "certificate_revoked")                                                  \
    X(CERTIFICATE_UNKNOWN_CA, "certificate_unknown_ca")                                            \
    X(CERTIFICATE_NOT_ALLOWED, "certificate_not_allowed")                                          \
    X(CERTIFICATE, "certificate")                                                                  \
    X(REFUSED_BY_PEER, "refused_by_peer")                                                          \
    X(ALERT, "alert")                                                                              \
    X(OTHER, "tls")

enum tls_failure {
    TLS_FAILURE_NONE,
#define TLS_FAILURE_ENUM(constant, name) TLS_FAILURE_##constant,
    TLS_FAILURE_LIST(TLS_FAILURE_ENUM)
#undef TLS_FAILURE_ENUM
};

/* For tls/explain.c: remembers, with the SSL, what an entry of the error queue was about. */
void tls_failure_note(SSL *ssl, unsigned long code);

/* What was remembered; NONE when nothing was. */
enum tls_failure tls_failure_of(const SSL *ssl);

#endif
