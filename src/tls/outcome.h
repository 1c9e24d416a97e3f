/*
 * tls/outcome.h — what an SSL_* call came to, as one status.
 *
 * This is the only place that reads SSL_get_error and OpenSSL's error queue after I/O. Six outcomes
 * that look alike in other APIs are told apart here: data, clean end, truncation, reset, want, and
 * failure.
 */
#ifndef TLS_OUTCOME_H
#define TLS_OUTCOME_H

#include "certpost/error.h"

#include <openssl/ssl.h>

/*
 * `result` is what SSL_do_handshake, SSL_read_ex, SSL_write_ex or SSL_shutdown returned just now on
 * this thread, `system_errno` is errno right after it. The error queue must have been cleared
 * before the call (ERR_clear_error), and is empty again afterwards.
 *
 * CERTPOST_OK, WANT_READ, WANT_WRITE; CLOSED (close_notify came), TRUNCATED (end of stream without
 * it), RESET; HANDSHAKE, PEER_CERTIFICATE, CERTIFICATE_REFUSED, PROTOCOL (a fault in the TLS
 * records after the handshake); NO_MEMORY, NETWORK_IO, INTERNAL. Words for a person are recorded in
 * `error` for all but the first three.
 */
CERTPOST_MUST_CHECK
enum certpost_status tls_outcome(SSL *ssl, int result, int system_errno,
                                 struct certpost_error *error);

#endif
