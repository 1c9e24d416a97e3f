/*
 * tls/explain.h — OpenSSL's failures in words that name the check, the peer and what to do.
 *
 * Texts never contain OpenSSL's own error strings with their hexadecimal codes, and everything that
 * came out of a peer's certificate is escaped.
 */
#ifndef TLS_EXPLAIN_H
#define TLS_EXPLAIN_H

#include "certpost/error.h"

#include <openssl/ssl.h>

/*
 * Turns the earliest entry of this thread's error queue (then cleared), together with what `ssl`
 * knows about its handshake, into a status and words: HANDSHAKE, PEER_CERTIFICATE, PROTOCOL,
 * TRUNCATED, NO_MEMORY or INTERNAL.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_explain_failure(SSL *ssl, struct certpost_error *error);

/*
 * Words for a failure of local set-up (a file, a name of a cipher): the reason text of the earliest
 * entry of the error queue, which is then cleared; "unknown reason" if there is none. Static or
 * OpenSSL's own; valid until the thread's next OpenSSL call.
 */
const char *tls_explain_local(void);

#endif
