/*
 * socket_bio.c — a BIO that sends with MSG_NOSIGNAL (tls/socket_bio.h).
 *
 * Uses: send(2), recv(2).  Used by: tls/io.c.
 * Never: closes the descriptor, waits, or retries by itself: SSL_get_error must see every EAGAIN.
 */
#include "tls/socket_bio.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

struct socket_bio {
    int fd;
    bool end_of_stream; /* OpenSSL asks with BIO_CTRL_EOF, to tell truncation from an error */
};

static BIO_METHOD *_Atomic socket_bio_method;
static pthread_mutex_t socket_bio_mutex = PTHREAD_MUTEX_INITIALIZER;

static bool socket_bio_is_retry(int system_errno)
{
    return system_errno == EAGAIN || system_errno == EINTR;
}

static int socket_bio_write(BIO *bio, const char *bytes, size_t length, size_t *ret_written)
{
    const struct socket_bio *state = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    errno = 0;
    ssize_t sent = send(state->fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0) {
        if (socket_bio_is_retry(errno))
            BIO_set_retry_write(bio);
        return -1;
    }
    *ret_written = (size_t)sent;
    return 1;
}

static int socket_bio_read(BIO *bio, char *ret_bytes, size_t capacity, size_t *ret_length)
{
    struct socket_bio *state = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    errno = 0;
    ssize_t received = recv(state->fd, ret_bytes, capacity, 0);
    if (received > 0) {
        *ret_length = (size_t)received;
        return 1;
    }
    if (received == 0) {
        state->end_of_stream = true;
        return 0;
    }
    if (socket_bio_is_retry(errno))
        BIO_set_retry_read(bio);
    return -1;
}

static int socket_bio_puts(BIO *bio, const char *text)
{
    return BIO_write(bio, text, (int)strlen(text));
}

static long socket_bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    struct socket_bio *state = BIO_get_data(bio);
    switch (command) {
    case BIO_C_SET_FD:
        state->fd = *(const int *)pointer;
        state->end_of_stream = false;
        BIO_set_init(bio, 1);
        return 1;
    case BIO_C_GET_FD:
        if (!BIO_get_init(bio))
            return -1;
        if (pointer != NULL)
            *(int *)pointer = state->fd;
        return state->fd;
    case BIO_CTRL_GET_CLOSE:
        return BIO_NOCLOSE;
    case BIO_CTRL_SET_CLOSE:
        return number == BIO_NOCLOSE;
    case BIO_CTRL_EOF:
        return state->end_of_stream;
    case BIO_CTRL_DUP:
    case BIO_CTRL_FLUSH:
        return 1;
    default:
        return 0;
    }
}

static int socket_bio_create(BIO *bio)
{
    struct socket_bio *state = OPENSSL_zalloc(sizeof *state);
    if (state == NULL)
        return 0;
    state->fd = -1;
    BIO_set_data(bio, state);
    return 1;
}

static int socket_bio_destroy(BIO *bio)
{
    if (bio == NULL)
        return 0;
    OPENSSL_free(BIO_get_data(bio));
    BIO_set_data(bio, NULL);
    BIO_set_init(bio, 0);
    return 1;
}

static void socket_bio_make_method(void)
{
    int index = BIO_get_new_index();
    if (index < 0)
        return;
    BIO_METHOD *method =
        BIO_meth_new(index | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "certpost socket");
    if (method == NULL)
        return;
    if (BIO_meth_set_write_ex(method, socket_bio_write) != 1 ||
        BIO_meth_set_read_ex(method, socket_bio_read) != 1 ||
        BIO_meth_set_puts(method, socket_bio_puts) != 1 ||
        BIO_meth_set_ctrl(method, socket_bio_ctrl) != 1 ||
        BIO_meth_set_create(method, socket_bio_create) != 1 ||
        BIO_meth_set_destroy(method, socket_bio_destroy) != 1) {
        BIO_meth_free(method);
        return;
    }
    /* Lives as long as the process: a BIO may outlive any moment that we could choose. */
    atomic_store(&socket_bio_method, method);
}

/* Tried again where memory was lacking: a run-once would not. */
static BIO_METHOD *socket_bio_get_method(void)
{
    BIO_METHOD *method = atomic_load(&socket_bio_method);
    if (method != NULL)
        return method;
    (void)pthread_mutex_lock(&socket_bio_mutex);
    if (atomic_load(&socket_bio_method) == NULL)
        socket_bio_make_method();
    (void)pthread_mutex_unlock(&socket_bio_mutex);
    return atomic_load(&socket_bio_method);
}

BIO *tls_socket_bio_new(int socket_fd)
{
    BIO_METHOD *method = socket_bio_get_method();
    BIO *bio = method == NULL ? NULL : BIO_new(method);
    if (bio != NULL)
        BIO_set_fd(bio, socket_fd, BIO_NOCLOSE);
    return bio;
}
