/*
 * outcome.c — the one mapping from OpenSSL's I/O results to statuses (tls/outcome.h).
 *
 * An end of stream without close_notify has two faces in OpenSSL: since 3.0 it is a TLS error
 * (SSL_R_UNEXPECTED_EOF_WHILE_READING), and where the transport cannot tell it is a system error
 * without an errno. Both are TRUNCATED here, and never CLOSED.
 *
 * Uses: base, tls/explain.  Used by: tls/io.c, tls/stream.c.
 * Never: does I/O, waits, or leaves anything in the thread's error queue.
 */
#include "tls/outcome.h"

#include "base/error.h"
#include "tls/explain.h"

#include <errno.h>
#include <openssl/err.h>

static enum certpost_status outcome_of_errno(const SSL *ssl, int system_errno,
                                             struct certpost_error *error)
{
    switch (system_errno) {
    case 0:
        return tls_explain_truncation(ssl, error);
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
        return error_set(error, CERTPOST_RESET,
                         tls_explain_handshake_was_done(ssl)
                             ? "the peer broke the connection off (reset)"
                             : "the peer broke the connection off (reset) during the TLS "
                               "handshake; check that it speaks TLS on this port");
    case ENOMEM:
    case ENOBUFS:
        return error_set_errno(error, CERTPOST_NO_MEMORY, system_errno,
                               "the network code of this machine has no memory");
    default:
        return error_set_errno(error, CERTPOST_NETWORK_IO, system_errno,
                               "sending or receiving failed");
    }
}

enum certpost_status tls_outcome(SSL *ssl, int result, int system_errno,
                                 struct certpost_error *error)
{
    int reported = SSL_get_error(ssl, result);
    enum certpost_status status = CERTPOST_INTERNAL;
    switch (reported) {
    case SSL_ERROR_NONE:
        status = CERTPOST_OK;
        break;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_ACCEPT:
        status = CERTPOST_WANT_READ;
        break;
    case SSL_ERROR_WANT_WRITE:
    case SSL_ERROR_WANT_CONNECT:
        status = CERTPOST_WANT_WRITE;
        break;
    case SSL_ERROR_ZERO_RETURN:
        status = error_set(error, CERTPOST_CLOSED, "the peer ended the connection");
        break;
    case SSL_ERROR_SYSCALL:
        status = outcome_of_errno(ssl, system_errno, error);
        break;
    case SSL_ERROR_SSL:
        status = tls_explain_failure(ssl, error);
        break;
    default:
        /* A certificate callback, an asynchronous engine: nothing that certpost sets up. */
        status =
            error_set(error, CERTPOST_INTERNAL, "TLS waits for something unknown (%d)", reported);
        break;
    }
    ERR_clear_error();
    return status;
}
