/*
 * io.c — write all, read, handshake and close over an SSL (certpost/tls_io.h).
 *
 * Every call has the same shape: call OpenSSL, ask tls_outcome what it came to, wait with poll(2)
 * for what it wants, call again with the same arguments. Which way to wait is OpenSSL's to say: a
 * write may have to read first (a KeyUpdate, a renegotiation), and a read to write.
 *
 * A call is always tried once before the deadline counts, so that a timeout of 0 means "what can be
 * done now".
 *
 * Uses: base, tls/outcome, tls/socket_bio.  Used by: client; it is public.
 * Never: changes signal dispositions, closes descriptors, or logs.
 */
#include "base/clock.h"
#include "base/error.h"
#include "tls/outcome.h"
#include "tls/socket_bio.h"

#include "certpost/tls_io.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdbool.h>

/*
 * The most that one SSL_write is given. It is one TLS record, so that progress is counted, and the
 * deadline looked at, at least once a record, whatever the SSL's modes are.
 */
enum { IO_WRITE_MAX_BYTES = 16384 };

/* What close reads and drops at a time. */
enum { IO_DROP_BYTES = 4096 };

struct io_call {
    SSL *ssl;
    int64_t deadline_ms;
    struct certpost_error *error;
};

static struct io_call io_begin(SSL *ssl, int64_t timeout_ms, struct certpost_error *error)
{
    return (struct io_call){ssl, clock_deadline_ms(timeout_ms), error};
}

/* To be called right before each call into OpenSSL: tls_outcome needs clean evidence. */
static void io_clear_evidence(void)
{
    ERR_clear_error();
    errno = 0;
}

/* Waits until the descriptor is ready for what `want` names. TIMEOUT comes without words. */
static enum certpost_status io_wait(const struct io_call *call, enum certpost_status want)
{
    bool reading = want == CERTPOST_WANT_READ;
    struct pollfd waiting = {
        .fd = reading ? SSL_get_rfd(call->ssl) : SSL_get_wfd(call->ssl),
        .events = reading ? POLLIN : POLLOUT,
    };
    if (waiting.fd < 0)
        return error_set(call->error, CERTPOST_USAGE,
                         "the SSL has no descriptor to wait for; use certpost_tls_set_socket");
    for (;;) {
        /* Not polled once more at the end: a peer that always has a byte ready would win time. */
        int wait_ms = clock_poll_timeout_ms(call->deadline_ms);
        int ready = wait_ms == 0 ? 0 : poll(&waiting, 1, wait_ms);
        if (ready > 0)
            break;
        if (ready == 0)
            return CERTPOST_TIMEOUT;
        if (errno != EINTR)
            return error_set_errno(call->error, CERTPOST_SYSTEM, errno, "poll failed");
    }
    if ((waiting.revents & POLLNVAL) != 0)
        return error_set(call->error, CERTPOST_USAGE, "the SSL's descriptor %d is not open",
                         waiting.fd);
    return CERTPOST_OK;
}

/*
 * Judges `result` of a call into OpenSSL, which must have been the last thing that happened. OK:
 * done. WANT_READ, WANT_WRITE: the wait is over, make the same call again. Anything else: failed.
 */
static enum certpost_status io_settle(const struct io_call *call, int result)
{
    enum certpost_status status = tls_outcome(call->ssl, result, errno, call->error);
    if (certpost_status_group(status) != CERTPOST_GROUP_WAIT)
        return status;
    enum certpost_status waited = io_wait(call, status);
    return waited == CERTPOST_OK ? status : waited;
}

static bool io_wants_again(enum certpost_status status)
{
    return certpost_status_group(status) == CERTPOST_GROUP_WAIT;
}

enum certpost_status certpost_tls_set_socket(SSL *ssl, int socket_fd)
{
    BIO *bio = tls_socket_bio_new(socket_fd);
    if (bio == NULL) {
        ERR_clear_error();
        return CERTPOST_NO_MEMORY;
    }
    /* The same BIO both ways: SSL_set_bio then takes one reference only. */
    SSL_set_bio(ssl, bio, bio);
    return CERTPOST_OK;
}

enum certpost_status certpost_tls_handshake(SSL *ssl, int64_t timeout_ms,
                                            struct certpost_error *error)
{
    struct io_call call = io_begin(ssl, timeout_ms, error);
    enum certpost_status status = CERTPOST_OK;
    do {
        io_clear_evidence();
        status = io_settle(&call, SSL_do_handshake(ssl));
    } while (io_wants_again(status));
    if (status == CERTPOST_TIMEOUT)
        return error_set(error, status, "the TLS handshake did not complete in time");
    if (status == CERTPOST_CLOSED)
        return error_set(error, status, "the peer ended the connection during the TLS handshake");
    return status;
}

enum certpost_status certpost_tls_write_all(SSL *ssl, const void *bytes, size_t length,
                                            int64_t timeout_ms, size_t *ret_written,
                                            struct certpost_error *error)
{
    struct io_call call = io_begin(ssl, timeout_ms, error);
    const unsigned char *next = bytes;
    size_t written = 0;
    enum certpost_status status = CERTPOST_OK;
    while (written < length) {
        size_t left = length - written;
        size_t taken = 0;
        io_clear_evidence();
        status = io_settle(
            &call, SSL_write_ex(ssl, next + written,
                                left < IO_WRITE_MAX_BYTES ? left : IO_WRITE_MAX_BYTES, &taken));
        if (status == CERTPOST_OK) {
            written += taken;
            if (written < length && clock_poll_timeout_ms(call.deadline_ms) == 0)
                status = CERTPOST_TIMEOUT;
        }
        if (status != CERTPOST_OK && !io_wants_again(status))
            break;
    }
    if (ret_written != NULL)
        *ret_written = written;
    if (status == CERTPOST_TIMEOUT)
        return error_set(error, status, "the peer took only %zu of %zu bytes in time", written,
                         length);
    return status;
}

enum certpost_status certpost_tls_read(SSL *ssl, void *ret_bytes, size_t capacity,
                                       int64_t timeout_ms, size_t *ret_length,
                                       struct certpost_error *error)
{
    if (capacity == 0)
        return error_set(error, CERTPOST_USAGE, "a read needs room for at least one byte");
    struct io_call call = io_begin(ssl, timeout_ms, error);
    enum certpost_status status = CERTPOST_OK;
    size_t length = 0;
    do {
        io_clear_evidence();
        status = io_settle(&call, SSL_read_ex(ssl, ret_bytes, capacity, &length));
    } while (io_wants_again(status));
    if (status == CERTPOST_OK)
        *ret_length = length;
    if (status == CERTPOST_TIMEOUT)
        return error_set(error, status, "the peer sent nothing in time");
    return status;
}

/* Sends close_notify. `*ret_both` says whether the peer's had come before. */
static enum certpost_status io_send_close_notify(const struct io_call *call, bool *ret_both)
{
    for (;;) {
        io_clear_evidence();
        int result = SSL_shutdown(call->ssl);
        /* 0 is success half-way, and SSL_get_error does not know it. */
        if (result >= 0) {
            *ret_both = result == 1;
            return CERTPOST_OK;
        }
        enum certpost_status status = io_settle(call, result);
        if (!io_wants_again(status))
            return status;
    }
}

/* Reads and drops until the peer's close_notify, for which the status is CLOSED. */
static enum certpost_status io_await_close_notify(const struct io_call *call)
{
    for (;;) {
        unsigned char dropped[IO_DROP_BYTES];
        size_t length = 0;
        io_clear_evidence();
        enum certpost_status status =
            io_settle(call, SSL_read_ex(call->ssl, dropped, sizeof dropped, &length));
        if (status == CERTPOST_OK && clock_poll_timeout_ms(call->deadline_ms) == 0)
            return CERTPOST_TIMEOUT;
        if (status != CERTPOST_OK && !io_wants_again(status))
            return status;
    }
}

enum certpost_status certpost_tls_close(SSL *ssl, int64_t timeout_ms, struct certpost_error *error)
{
    /* CLOSED is success here, so its words must not reach the caller's error. */
    struct certpost_error found;
    certpost_error_clear(&found);
    struct io_call call = io_begin(ssl, timeout_ms, &found);
    bool both = false;
    enum certpost_status status = io_send_close_notify(&call, &both);
    if (status == CERTPOST_OK && !both)
        status = io_await_close_notify(&call);
    if (status == CERTPOST_OK || status == CERTPOST_CLOSED)
        return CERTPOST_OK;
    if (status == CERTPOST_TIMEOUT)
        return error_set(error, status, "the peer did not end the connection in time");
    return error_adopt(error, status, &found);
}
