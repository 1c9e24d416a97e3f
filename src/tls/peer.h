/*
 * tls/peer.h — what the verification of a peer's certificate came to, kept with its SSL.
 *
 * The verification itself happens inside the handshake (context_verify.c, context_pin.c), so that a
 * peer that is refused never gets to send data, and hears the alert that fits. OpenSSL forgets a
 * refused certificate; here it is kept for the log, and so are the words.
 *
 * Threads: those of the SSL. Everything returned is borrowed and lives as long as the SSL.
 */
#ifndef TLS_PEER_H
#define TLS_PEER_H

#include "tls/identity.h"

#include "certpost/error.h"

#include <openssl/ssl.h>

/* Who the peer is. Never NULL; of kind NONE for a peer without a verified certificate. */
const struct tls_identity *tls_peer_identity(const SSL *ssl);

/* The certificate that was refused, or NULL when none was. */
X509 *tls_peer_refused_certificate(const SSL *ssl);

/*
 * To be called once the handshake is complete. A resumed session brings its certificate along
 * without a verification: its identity is taken here, and a certificate that has expired since is
 * refused. Errors: PEER_CERTIFICATE, NO_MEMORY, with words.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_peer_complete(SSL *ssl, struct certpost_error *error);

#endif
