/* tls/context_verify.h — how a server's context judges its clients' certificates. */
#ifndef TLS_CONTEXT_VERIFY_H
#define TLS_CONTEXT_VERIFY_H

#include "tls/server_material_internal.h"

/*
 * Sets up the verification of clients that `material` asks for. To be called for every context that
 * may serve a connection, also for one that SNI switches to: OpenSSL takes store and callbacks from
 * the context that the SSL has at that moment. The material must outlive the context.
 *
 * A client is served when its chain is good (tls/trust.h), its certificate carries an identity
 * (tls/identity.h), and an allow list admits it (tls/allow.h); all of that is decided inside the
 * handshake. The identity is then in tls_peer_identity. Errors: CA_FILE, NO_MEMORY.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_context_verify_clients(const struct tls_server_material *material,
                                                SSL_CTX *context, struct certpost_error *error);

#endif
