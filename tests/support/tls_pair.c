#include "support/tls_pair.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

atomic_int signals_seen;

unsigned char *make_payload(size_t length)
{
    unsigned char *payload = malloc(length);
    assert_non_null(payload);
    for (size_t i = 0; i < length; i++)
        payload[i] = (unsigned char)(i * 7 + i / 251);
    return payload;
}

static void *peer_main(void *argument)
{
    struct pair *pair = argument;
    if (SSL_accept(pair->peer) == 1)
        pair->script(pair);
    ERR_clear_error();
    return NULL;
}

void pair_open(struct pair *pair, int version, peer_script script)
{
    int fds[2];
    *pair = (struct pair){.pki = test_pki_make((struct test_leaf){0}), .script = script};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pair->fd = fds[0];
    pair->peer_fd = fds[1];
    int small = SMALL_SOCKET_BYTES;
    for (int i = 0; i < 2; i++) {
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    }
    pair->client_context = test_pki_client_context(&pair->pki, version);
    pair->server_context = test_pki_server_context(&pair->pki, version);
    pair->ssl = SSL_new(pair->client_context);
    pair->peer = SSL_new(pair->server_context);
    SSL_set_connect_state(pair->ssl);
    SSL_set_mode(pair->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    assert_ok(certpost_tls_set_socket(pair->peer, pair->peer_fd));
    SSL_set_accept_state(pair->peer);
    sem_init(&pair->go, 0, 0);
    pair->tester = pthread_self();
    pair->tester_id = (pid_t)syscall(SYS_gettid);
    pair->received = malloc(PAYLOAD_BYTES * 2);
    pair->read_size = 1000;
    assert_int_equal(pthread_create(&pair->thread, NULL, peer_main, pair), 0);
}

void set_nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/* A connection whose handshake is done. */
void pair_connect(struct pair *pair, int version, bool blocking, peer_script script)
{
    pair_open(pair, version, script);
    if (!blocking)
        set_nonblocking(pair->fd);
    assert_ok(certpost_tls_set_socket(pair->ssl, pair->fd));
    assert_ok(certpost_tls_handshake(pair->ssl, PATIENCE_MS, NULL));
}

void pair_join(struct pair *pair)
{
    assert_int_equal(pthread_join(pair->thread, NULL), 0);
}

/* After pair_join. */
void pair_free(struct pair *pair)
{
    SSL_free(pair->ssl);
    SSL_free(pair->peer);
    SSL_CTX_free(pair->client_context);
    SSL_CTX_free(pair->server_context);
    close(pair->fd);
    if (pair->peer_fd >= 0)
        close(pair->peer_fd);
    sem_destroy(&pair->go);
    free(pair->received);
    test_pki_free(&pair->pki);
    assert_int_equal(ERR_peek_error(), 0);
}

/* Spins (giving the processor away) until the tester's thread is blocked in the kernel. */
void await_tester_blocked(const struct pair *pair)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)pair->tester_id);
    for (;;) {
        char line[256] = {0};
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t length = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
        close(fd);
        const char *end = length > 0 ? strrchr(line, ')') : NULL;
        if (end == NULL || end[1] == '\0' || end[2] == 'S')
            return;
        sched_yield();
    }
}

void read_to_end(struct pair *pair)
{
    for (;;) {
        size_t length = 0;
        if (SSL_read_ex(pair->peer, pair->received + pair->received_length, pair->read_size,
                        &length) != 1)
            break;
        pair->received_length += length;
    }
    SSL_shutdown(pair->peer);
}

void close_socket(struct pair *pair)
{
    close(pair->peer_fd);
    pair->peer_fd = -1;
}

void echo_once(struct pair *pair)
{
    size_t length = 0;
    if (SSL_read_ex(pair->peer, pair->received, 1000, &length) == 1)
        SSL_write(pair->peer, pair->received, (int)length);
    sem_wait(&pair->go);
}

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals_seen, 1);
}

void catch_signals(void)
{
    struct sigaction action = {.sa_handler = count_signal}; /* no SA_RESTART: EINTR is wanted */
    atomic_store(&signals_seen, 0);
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
}

/* Writes the payload, ends the connection, and compares what has arrived. */
void check_payload_arrives(struct pair *pair)
{
    unsigned char *payload = make_payload(PAYLOAD_BYTES);
    size_t written = 0;
    assert_ok(
        certpost_tls_write_all(pair->ssl, payload, PAYLOAD_BYTES, PATIENCE_MS, &written, NULL));
    assert_int_equal(written, PAYLOAD_BYTES);
    assert_ok(certpost_tls_close(pair->ssl, PATIENCE_MS, NULL));
    pair_join(pair);
    assert_int_equal(pair->received_length, PAYLOAD_BYTES);
    assert_memory_equal(pair->received, payload, PAYLOAD_BYTES);
    free(payload);
    pair_free(pair);
}
