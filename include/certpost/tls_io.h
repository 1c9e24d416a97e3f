/*
 * certpost/tls_io.h — write all, and read, over an OpenSSL connection.
 *
 * SSL_write and SSL_read may stop half-way for many reasons that are no failures: the socket is
 * full, the socket is empty, a signal came, TLS itself has to read before it can write or to write
 * before it can read. certpost_tls_write_all is to SSL_write what Python's sendall is to send: it
 * returns when everything is written, or says why not, and how much was. certpost_tls_read returns
 * with the first bytes that come, and tells five endings apart.
 *
 * The SSL may be on a blocking or on a non-blocking descriptor. On a non-blocking one every wait is
 * a poll(2) with a deadline; on a blocking one the deadline is looked at before each call into
 * OpenSSL and a wait inside the kernel can outlast it, so use non-blocking descriptors where
 * deadlines count. The SSL must have a descriptor (SSL_set_fd or certpost_tls_set_socket); without
 * one a wait is impossible and ends with CERTPOST_USAGE.
 *
 * SIGPIPE: OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE when the peer has
 * gone. Give the socket to the SSL with certpost_tls_set_socket, which never raises it, or ignore
 * the signal in the program.
 *
 * Threads: one thread at a time per SSL, as OpenSSL demands. The functions keep no state of their
 * own, and leave the thread's OpenSSL error queue empty.
 */
#ifndef CERTPOST_TLS_IO_H
#define CERTPOST_TLS_IO_H

#include "certpost/error.h"

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As `timeout_ms`: wait for ever. */
#define CERTPOST_NO_TIMEOUT (-1)

/*
 * Lets `ssl` talk over the connected socket `socket_fd`, without SIGPIPE. Like SSL_set_fd with
 * BIO_NOCLOSE: the descriptor stays the caller's and must outlive the SSL.
 * Errors: CERTPOST_NO_MEMORY.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_tls_set_socket(SSL *ssl, int socket_fd);

/*
 * Completes the handshake (SSL_connect or SSL_accept, as the SSL's state was set).
 *
 * Errors: TIMEOUT, TRUNCATED, RESET, NETWORK_IO, HANDSHAKE, PEER_CERTIFICATE, NO_MEMORY, USAGE, and
 * CERTIFICATE_REFUSED: the server refused the client's certificate, or misses it. With TLS 1.3 a
 * client hears of that only after its handshake, from its first read. The SSL is of no use after
 * any of them but TIMEOUT, after which the call may be repeated.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_tls_handshake(SSL *ssl, int64_t timeout_ms,
                                            struct certpost_error *error);

/*
 * Writes all `length` bytes of `bytes` within `timeout_ms`, also where the SSL writes partially
 * (SSL_MODE_ENABLE_PARTIAL_WRITE), wants to read first, or is interrupted by a signal.
 *
 * `*ret_written` is set whether the call succeeds or fails: that many bytes were handed to TLS in
 * full. It does not say that the peer has them: only an acknowledgement by the peer can say that.
 * `ret_written` may be NULL. Zero bytes succeed and send nothing.
 *
 * Errors: TIMEOUT: the SSL is intact, and the write may be taken up again at bytes + *ret_written
 * with the rest; nothing else may be written on it before. CLOSED (the peer had ended the
 * connection and this side has shut down too), TRUNCATED, RESET, NETWORK_IO, PROTOCOL, NO_MEMORY:
 * the connection is of no more use. USAGE: no descriptor, or the handshake's role was never set.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_tls_write_all(SSL *ssl, const void *bytes, size_t length,
                                            int64_t timeout_ms, size_t *ret_written,
                                            struct certpost_error *error);

/*
 * Reads what comes next, at least one byte and at most `capacity`, within `timeout_ms`.
 *
 * CERTPOST_OK: `*ret_length` bytes are in `ret_bytes`. CLOSED: the peer ended cleanly
 * (close_notify); all that it sent has been read. TRUNCATED: the connection ended without
 * close_notify, so what was read may not be all: an attacker can cause that, do not take it for the
 * end. TIMEOUT: nothing came; read again when you like. RESET, NETWORK_IO, PROTOCOL, HANDSHAKE,
 * PEER_CERTIFICATE, CERTIFICATE_REFUSED, NO_MEMORY, USAGE: as above. On failure `*ret_length` is
 * not touched.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_tls_read(SSL *ssl, void *ret_bytes, size_t capacity,
                                       int64_t timeout_ms, size_t *ret_length,
                                       struct certpost_error *error);

/*
 * Ends the connection cleanly: sends close_notify and waits up to `timeout_ms` for the peer's,
 * while data that still comes is dropped. The socket stays open. CERTPOST_OK when both have said
 * so; TIMEOUT, TRUNCATED or another of the above when only this side has.
 */
CERTPOST_API CERTPOST_MUST_CHECK
enum certpost_status certpost_tls_close(SSL *ssl, int64_t timeout_ms, struct certpost_error *error);

#ifdef __cplusplus
}
#endif
#endif
