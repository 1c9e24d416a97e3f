/* tls/rehearsal.h — a server's context is tried before anybody is served with it. */
#ifndef TLS_REHEARSAL_H
#define TLS_REHEARSAL_H

#include "tls/settings.h"

#include "certpost/error.h"

#include <openssl/ssl.h>

/*
 * One handshake in memory, with a client that has the same `settings`, verifies nothing and shows
 * no certificate. It has to complete on the client's side; whether the server would then accept
 * such a client is not asked. Any thread. Errors: NO_MEMORY; OWN_CERTIFICATE with words.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_rehearse(SSL_CTX *context, const struct tls_settings *settings,
                                  struct certpost_error *error);

#endif
