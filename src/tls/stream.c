/*
 * stream.c — TLS between bytes in memory (tls/stream.h).
 *
 * Uses: base, outcome, OpenSSL.  Used by: net/conn.
 * Never: touches a descriptor or the clock, and never blocks.
 *
 * Under the SSL lies one BIO of our own. Reading from it takes what was kept of earlier ciphertext,
 * then what was offered last; when both are used up it asks for more, or reports the end if the
 * network has ended. Writing to it appends to the worker's output buffer, and fails only when that
 * buffer's maximum or the memory is exhausted.
 */
#include "tls/stream.h"

#include "base/error.h"
#include "tls/outcome.h"
#include "tls/peer.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct tls_stream {
    SSL *ssl;
    const unsigned char *offered;
    size_t offered_bytes;
    struct buffer kept;
    struct buffer *output;
    enum certpost_status output_status; /* why the last write to the BIO failed */
    bool input_ended;
    bool input_was_short; /* the call that ran last asked for more than there was */
    bool failed;          /* OpenSSL forbids further calls after a fatal error */
    unsigned key_updates_without_data;
};

static BIO_METHOD *_Atomic stream_bio_method;
static pthread_mutex_t stream_bio_mutex = PTHREAD_MUTEX_INITIALIZER;

static int stream_bio_read(BIO *bio, char *ret_bytes, int capacity)
{
    struct tls_stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t wanted = capacity < 0 ? 0 : (size_t)capacity;
    if (stream->kept.length > 0) {
        size_t taken = wanted < stream->kept.length ? wanted : stream->kept.length;
        memcpy(ret_bytes, buffer_bytes(&stream->kept), taken);
        buffer_consume(&stream->kept, taken);
        return (int)taken;
    }
    if (stream->offered_bytes > 0) {
        size_t taken = wanted < stream->offered_bytes ? wanted : stream->offered_bytes;
        memcpy(ret_bytes, stream->offered, taken);
        stream->offered += taken;
        stream->offered_bytes -= taken;
        return (int)taken;
    }
    if (stream->input_ended)
        return 0;
    stream->input_was_short = true;
    BIO_set_retry_read(bio);
    return -1;
}

static int stream_bio_write(BIO *bio, const char *bytes, int length)
{
    struct tls_stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (length <= 0)
        return 0;
    stream->output_status = buffer_append(stream->output, bytes, (size_t)length);
    return stream->output_status == CERTPOST_OK ? length : -1;
}

static long stream_bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    const struct tls_stream *stream = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return stream != NULL && stream->input_ended && !tls_stream_has_input(stream);
    default:
        return 0;
    }
}

static void stream_bio_make_method(void)
{
    int type = BIO_get_new_index();
    BIO_METHOD *method = BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "certpost stream");
    if (method == NULL)
        return;
    if (BIO_meth_set_read(method, stream_bio_read) != 1 ||
        BIO_meth_set_write(method, stream_bio_write) != 1 ||
        BIO_meth_set_ctrl(method, stream_bio_control) != 1) {
        BIO_meth_free(method);
        return;
    }
    atomic_store(&stream_bio_method, method);
}

/* Tried again by the next connection where memory was lacking: a pthread_once would not. */
static BIO_METHOD *stream_bio_get_method(void)
{
    BIO_METHOD *method = atomic_load(&stream_bio_method);
    if (method != NULL)
        return method;
    (void)pthread_mutex_lock(&stream_bio_mutex);
    if (atomic_load(&stream_bio_method) == NULL)
        stream_bio_make_method();
    (void)pthread_mutex_unlock(&stream_bio_mutex);
    return atomic_load(&stream_bio_method);
}

/* Counts key updates of the peer; see TLS_STREAM_KEY_UPDATES_MAX. */
static void stream_on_message(int written, int version, int content_type, const void *bytes,
                              size_t length, SSL *ssl, void *argument)
{
    (void)version;
    (void)ssl;
    struct tls_stream *stream = argument;
    const unsigned char *message = bytes;
    if (written == 0 && content_type == SSL3_RT_HANDSHAKE && length > 0 &&
        message[0] == SSL3_MT_KEY_UPDATE)
        stream->key_updates_without_data++;
}

static enum certpost_status stream_set_up(struct tls_stream *stream, SSL_CTX *context)
{
    BIO_METHOD *method = stream_bio_get_method();
    BIO *bio = method == NULL ? NULL : BIO_new(method);
    if (bio == NULL)
        return CERTPOST_NO_MEMORY;
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    stream->ssl = SSL_new(context);
    if (stream->ssl == NULL) {
        BIO_free(bio);
        return CERTPOST_NO_MEMORY;
    }
    SSL_set_bio(stream->ssl, bio, bio);
    SSL_set_accept_state(stream->ssl);
    /* One record a call, so that key updates are counted before the next one is worked on. */
    SSL_clear_mode(stream->ssl, SSL_MODE_AUTO_RETRY);
    SSL_set_msg_callback(stream->ssl, stream_on_message);
    SSL_set_msg_callback_arg(stream->ssl, stream);
    return CERTPOST_OK;
}

enum certpost_status tls_stream_new(SSL_CTX *context, struct buffer *output,
                                    struct tls_stream **ret_stream, struct certpost_error *error)
{
    struct tls_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return error_no_memory(error);
    buffer_init(&stream->kept, TLS_STREAM_INPUT_MAX_BYTES);
    stream->output = output;
    ERR_clear_error();
    if (stream_set_up(stream, context) != CERTPOST_OK) {
        ERR_clear_error();
        tls_stream_free(stream);
        return error_no_memory(error);
    }
    *ret_stream = stream;
    return CERTPOST_OK;
}

void tls_stream_free(struct tls_stream *stream)
{
    if (stream == NULL)
        return;
    SSL_free(stream->ssl);
    buffer_free(&stream->kept);
    free(stream);
}

void tls_stream_offer(struct tls_stream *stream, const unsigned char *bytes, size_t length)
{
    stream->offered = bytes;
    stream->offered_bytes = length;
}

void tls_stream_end_input(struct tls_stream *stream)
{
    stream->input_ended = true;
}

enum certpost_status tls_stream_keep(struct tls_stream *stream)
{
    enum certpost_status status =
        buffer_append(&stream->kept, stream->offered, stream->offered_bytes);
    stream->offered = NULL;
    stream->offered_bytes = 0;
    buffer_release_if_empty(&stream->kept);
    return status;
}

bool tls_stream_has_input(const struct tls_stream *stream)
{
    return stream->kept.length > 0 || stream->offered_bytes > 0;
}

/* One exit for every SSL_* call: what it came to, and what our own BIO knows better. */
static enum certpost_status stream_outcome(struct tls_stream *stream, int result,
                                           struct certpost_error *error)
{
    int system_errno = errno;
    if (stream->output_status != CERTPOST_OK) {
        ERR_clear_error();
        stream->failed = true;
        return error_set(error, stream->output_status,
                         stream->output_status == CERTPOST_LIMIT
                             ? "the peer does not take what it asked for"
                             : "out of memory");
    }
    enum certpost_status status = tls_outcome(stream->ssl, result, system_errno, error);
    if (status != CERTPOST_OK && certpost_status_group(status) != CERTPOST_GROUP_WAIT &&
        status != CERTPOST_CLOSED)
        stream->failed = true;
    return status;
}

static void stream_prepare_call(struct tls_stream *stream)
{
    ERR_clear_error();
    errno = 0;
    stream->input_was_short = false;
}

static enum certpost_status stream_refuse_call(struct certpost_error *error)
{
    return error_set(error, CERTPOST_INTERNAL, "the TLS connection has failed before");
}

enum certpost_status tls_stream_handshake(struct tls_stream *stream, struct certpost_error *error)
{
    if (stream->failed)
        return stream_refuse_call(error);
    stream_prepare_call(stream);
    int result = SSL_do_handshake(stream->ssl);
    enum certpost_status status = stream_outcome(stream, result, error);
    return status == CERTPOST_OK ? tls_peer_complete(stream->ssl, error) : status;
}

enum certpost_status tls_stream_read(struct tls_stream *stream, unsigned char *ret_bytes,
                                     size_t capacity, size_t *ret_length,
                                     struct certpost_error *error)
{
    for (;;) {
        if (stream->failed)
            return stream_refuse_call(error);
        stream_prepare_call(stream);
        size_t length = 0;
        int result = SSL_read_ex(stream->ssl, ret_bytes, capacity, &length);
        enum certpost_status status = stream_outcome(stream, result, error);
        if (status == CERTPOST_OK) {
            stream->key_updates_without_data = 0;
            *ret_length = length;
        }
        if (status != CERTPOST_WANT_READ)
            return status;
        if (stream->key_updates_without_data > TLS_STREAM_KEY_UPDATES_MAX) {
            stream->failed = true;
            return error_set(error, CERTPOST_PROTOCOL, "more than %d key updates without data",
                             TLS_STREAM_KEY_UPDATES_MAX);
        }
        /* Else OpenSSL stopped at a record that is no data; it may hold the next one already. */
        if (stream->input_was_short)
            return status;
    }
}

enum certpost_status tls_stream_write(struct tls_stream *stream, const unsigned char *bytes,
                                      size_t length, struct certpost_error *error)
{
    while (length > 0) {
        if (stream->failed)
            return stream_refuse_call(error);
        stream_prepare_call(stream);
        size_t written = 0;
        int result = SSL_write_ex(stream->ssl, bytes, length, &written);
        enum certpost_status status = stream_outcome(stream, result, error);
        if (status != CERTPOST_OK)
            return status;
        bytes += written;
        length -= written;
    }
    return CERTPOST_OK;
}

void tls_stream_close(struct tls_stream *stream)
{
    bool sent = (SSL_get_shutdown(stream->ssl) & SSL_SENT_SHUTDOWN) != 0;
    if (stream->failed || sent || !SSL_is_init_finished(stream->ssl))
        return;
    ERR_clear_error();
    /* 0 (sent, the peer's is still to come) is what we want; a failure has no one left to tell. */
    (void)SSL_shutdown(stream->ssl);
    ERR_clear_error();
}

SSL *tls_stream_ssl(struct tls_stream *stream)
{
    return stream->ssl;
}
