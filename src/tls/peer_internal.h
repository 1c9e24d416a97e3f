/* tls/peer_internal.h — for those who verify (context_verify.c, context_pin.c) and explain. */
#ifndef TLS_PEER_INTERNAL_H
#define TLS_PEER_INTERNAL_H

#include "tls/peer.h"

#include <stdbool.h>

/*
 * Keeps the verdict: `code` is the X509_V_ERR_… that is true, whatever code chose the alert;
 * `words` go on from "the peer's certificate is refused: ", NULL leaves them to the code. Keeps a
 * reference to the certificate. False when memory runs out; the refusal stands all the same.
 */
bool tls_peer_refuse(SSL *ssl, X509 *certificate, int code, const char *words);

/* Takes over the identity of the verified certificate; false when memory runs out. */
CERTPOST_MUST_CHECK
bool tls_peer_admit(SSL *ssl, struct tls_identity *identity);

/* The words of the refusal, or NULL; and its true code, OpenSSL's own when nothing was kept. */
const char *tls_peer_refusal_words(const SSL *ssl);
long tls_peer_refusal_code(const SSL *ssl);

#endif
