/*
 * test_tls_io.c — write all, read, handshake and close, over real TLS on socket pairs.
 *
 * The peer is a thread with its own SSL on the other end. Nothing sleeps: where a test needs the
 * other thread to be blocked, it looks at that thread's state in /proc.
 */
#include "support/test_pki.h"
#include "support/unit.h"

#include "certpost/tls_io.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000, PAYLOAD_BYTES = 300000, SMALL_SOCKET_BYTES = 4096, SIGNALS = 50 };

struct pair;
typedef void (*peer_script)(struct pair *pair);

/* Both ends of a connection; `peer` runs in its own thread. */
struct pair {
    struct test_pki pki;
    SSL_CTX *client_context;
    SSL_CTX *server_context;
    SSL *ssl;  /* under test */
    SSL *peer; /* blocking, on its own socket BIO */
    int fd;
    int peer_fd;
    pthread_t thread;
    peer_script script;
    sem_t go; /* the script waits for it where it says so */
    pthread_t tester;
    pid_t tester_id;
    unsigned char *received;
    size_t received_length;
    size_t read_size;
};

static unsigned char *make_payload(size_t length)
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

static void pair_open(struct pair *pair, int version, peer_script script)
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

static void set_nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/* A connection whose handshake is done. */
static void pair_connect(struct pair *pair, int version, bool blocking, peer_script script)
{
    pair_open(pair, version, script);
    if (!blocking)
        set_nonblocking(pair->fd);
    assert_ok(certpost_tls_set_socket(pair->ssl, pair->fd));
    assert_ok(certpost_tls_handshake(pair->ssl, PATIENCE_MS, NULL));
}

static void pair_join(struct pair *pair)
{
    assert_int_equal(pthread_join(pair->thread, NULL), 0);
}

/* After pair_join. */
static void pair_free(struct pair *pair)
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
static void await_tester_blocked(const struct pair *pair)
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

/* Scripts of the peer. */

static void read_to_end(struct pair *pair)
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

static void read_to_end_when_told(struct pair *pair)
{
    sem_wait(&pair->go);
    read_to_end(pair);
}

static void say_goodbye(struct pair *pair)
{
    SSL_write(pair->peer, "last", 4);
    SSL_shutdown(pair->peer);
}

static void close_socket(struct pair *pair)
{
    close(pair->peer_fd);
    pair->peer_fd = -1;
}

static void vanish(struct pair *pair)
{
    SSL_write(pair->peer, "last", 4);
    close_socket(pair);
}

static void vanish_when_told(struct pair *pair)
{
    sem_wait(&pair->go);
    close_socket(pair);
}

static void do_nothing(struct pair *pair)
{
    sem_wait(&pair->go);
}

static void echo_once(struct pair *pair)
{
    size_t length = 0;
    if (SSL_read_ex(pair->peer, pair->received, 1000, &length) == 1)
        SSL_write(pair->peer, pair->received, (int)length);
    sem_wait(&pair->go);
}

static void update_keys_often(struct pair *pair)
{
    for (int i = 0; i < 5; i++) {
        SSL_key_update(pair->peer, SSL_KEY_UPDATE_REQUESTED);
        SSL_write(pair->peer, "x", 1);
    }
    read_to_end(pair);
}

static atomic_int signals_seen;

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals_seen, 1);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = count_signal}; /* no SA_RESTART: EINTR is wanted */
    atomic_store(&signals_seen, 0);
    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
}

static void interrupt_then_read(struct pair *pair)
{
    for (int i = 0; i < SIGNALS; i++) {
        await_tester_blocked(pair);
        pthread_kill(pair->tester, SIGUSR1);
        size_t length = 0;
        if (SSL_read_ex(pair->peer, pair->received + pair->received_length, 100, &length) != 1)
            return;
        pair->received_length += length;
    }
    read_to_end(pair);
}

static void interrupt_then_write(struct pair *pair)
{
    for (int i = 0; i < SIGNALS; i++) {
        await_tester_blocked(pair);
        pthread_kill(pair->tester, SIGUSR1);
    }
    SSL_write(pair->peer, "late", 4);
    SSL_shutdown(pair->peer);
}

/* Writes the payload, ends the connection, and compares what has arrived. */
static void check_payload_arrives(struct pair *pair)
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

static void test_write_all_reaches_a_slow_reader(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, TLS1_3_VERSION, false, read_to_end);
    check_payload_arrives(&pair);
}

static void test_write_all_reaches_a_reader_of_few_bytes(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, TLS1_3_VERSION, read_to_end);
    pair.read_size = 3;
    set_nonblocking(pair.fd);
    assert_ok(certpost_tls_set_socket(pair.ssl, pair.fd));
    assert_ok(certpost_tls_handshake(pair.ssl, PATIENCE_MS, NULL));
    check_payload_arrives(&pair);
}

static void test_write_all_works_with_tls_1_2(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, TLS1_2_VERSION, false, read_to_end);
    check_payload_arrives(&pair);
}

static void test_write_all_works_on_a_blocking_socket(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, TLS1_3_VERSION, true, read_to_end);
    check_payload_arrives(&pair);
}

static void test_write_all_works_without_partial_writes(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, TLS1_3_VERSION, false, read_to_end);
    SSL_clear_mode(pair.ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
    check_payload_arrives(&pair);
}

static void test_write_all_survives_signals(void **state)
{
    (void)state;
    struct pair pair;
    catch_signals();
    pair_connect(&pair, TLS1_3_VERSION, false, interrupt_then_read);
    check_payload_arrives(&pair);
    assert_true(atomic_load(&signals_seen) > 0);
}

static void test_write_all_survives_signals_on_a_blocking_socket(void **state)
{
    (void)state;
    struct pair pair;
    catch_signals();
    pair_connect(&pair, TLS1_3_VERSION, true, interrupt_then_read);
    check_payload_arrives(&pair);
    assert_true(atomic_load(&signals_seen) > 0);
}

static void check_read_survives_signals(bool blocking)
{
    struct pair pair;
    char bytes[16];
    size_t length = 0;
    catch_signals();
    pair_connect(&pair, TLS1_3_VERSION, blocking, interrupt_then_write);
    assert_ok(certpost_tls_read(pair.ssl, bytes, sizeof bytes, PATIENCE_MS, &length, NULL));
    assert_int_equal(length, 4);
    assert_memory_equal(bytes, "late", 4);
    assert_true(atomic_load(&signals_seen) > 0);
    pair_join(&pair);
    pair_free(&pair);
}

static void test_read_survives_signals(void **state)
{
    (void)state;
    check_read_survives_signals(false);
}

static void test_read_survives_signals_on_a_blocking_socket(void **state)
{
    (void)state;
    check_read_survives_signals(true);
}

static void test_write_all_that_timed_out_can_be_taken_up_again(void **state)
{
    (void)state;
    struct pair pair;
    unsigned char *payload = make_payload(PAYLOAD_BYTES);
    struct certpost_error error;
    size_t written = SIZE_MAX;
    certpost_error_clear(&error);
    pair_connect(&pair, TLS1_3_VERSION, false, read_to_end_when_told);
    assert_status(certpost_tls_write_all(pair.ssl, payload, PAYLOAD_BYTES, 20, &written, &error),
                  CERTPOST_TIMEOUT);
    assert_true(written < PAYLOAD_BYTES);
    char expected[100];
    snprintf(expected, sizeof expected, "the peer took only %zu of %d bytes in time", written,
             PAYLOAD_BYTES);
    assert_string_equal(error.text, expected);
    sem_post(&pair.go);
    /* Timeouts of 0 and 1 ms: many more interruptions, at every place where one can be. */
    int timeouts = 0;
    enum certpost_status status = CERTPOST_TIMEOUT;
    while (status == CERTPOST_TIMEOUT) {
        size_t more = 0;
        status = certpost_tls_write_all(pair.ssl, payload + written, PAYLOAD_BYTES - written,
                                        timeouts++ % 2, &more, NULL);
        written += more;
    }
    assert_ok(status);
    assert_true(timeouts > 1);
    assert_int_equal(written, PAYLOAD_BYTES);
    assert_ok(certpost_tls_close(pair.ssl, PATIENCE_MS, NULL));
    pair_join(&pair);
    assert_int_equal(pair.received_length, PAYLOAD_BYTES);
    assert_memory_equal(pair.received, payload, PAYLOAD_BYTES);
    free(payload);
    pair_free(&pair);
}

static void test_write_all_of_nothing_succeeds(void **state)
{
    (void)state;
    struct pair pair;
    size_t written = 99;
    pair_connect(&pair, TLS1_3_VERSION, false, read_to_end);
    assert_ok(certpost_tls_write_all(pair.ssl, NULL, 0, 0, &written, NULL));
    assert_int_equal(written, 0);
    assert_ok(certpost_tls_close(pair.ssl, PATIENCE_MS, NULL));
    pair_join(&pair);
    assert_int_equal(pair.received_length, 0);
    pair_free(&pair);
}

/* Runs in a child whose SIGPIPE has its default action, which is death. */
static int write_to_a_peer_that_is_gone(void)
{
    struct pair pair;
    size_t written = 0;
    signal(SIGPIPE, SIG_DFL);
    pair_connect(&pair, TLS1_3_VERSION, false, close_socket);
    pair_join(&pair);
    enum certpost_status status =
        certpost_tls_write_all(pair.ssl, "hello", 5, PATIENCE_MS, &written, NULL);
    pair_free(&pair);
    return status == CERTPOST_RESET && written == 0 ? 0 : 1;
}

static void test_write_all_to_a_peer_that_is_gone_raises_no_signal(void **state)
{
    (void)state;
    int result = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(write_to_a_peer_that_is_gone());
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), 0);
}

static void check_ending(int version, peer_script script, enum certpost_status expected)
{
    struct pair pair;
    char bytes[16];
    size_t length = 0;
    struct certpost_error error;
    certpost_error_clear(&error);
    pair_connect(&pair, version, false, script);
    assert_ok(certpost_tls_read(pair.ssl, bytes, sizeof bytes, PATIENCE_MS, &length, NULL));
    assert_int_equal(length, 4);
    length = 77;
    assert_status(certpost_tls_read(pair.ssl, bytes, sizeof bytes, PATIENCE_MS, &length, &error),
                  expected);
    assert_int_equal(length, 77);
    assert_int_equal(error.status, expected);
    assert_int_equal(ERR_peek_error(), 0);
    pair_join(&pair);
    pair_free(&pair);
}

static void test_read_tells_a_clean_end(void **state)
{
    (void)state;
    check_ending(TLS1_3_VERSION, say_goodbye, CERTPOST_CLOSED);
    check_ending(TLS1_2_VERSION, say_goodbye, CERTPOST_CLOSED);
}

static void test_read_tells_truncation(void **state)
{
    (void)state;
    check_ending(TLS1_3_VERSION, vanish, CERTPOST_TRUNCATED);
    check_ending(TLS1_2_VERSION, vanish, CERTPOST_TRUNCATED);
}

static void test_read_tells_a_reset(void **state)
{
    (void)state;
    struct pair pair;
    char bytes[16];
    size_t length = 0;
    pair_connect(&pair, TLS1_2_VERSION, false, vanish_when_told);
    /* Closing a socket with unread bytes in it is a reset. */
    assert_ok(certpost_tls_write_all(pair.ssl, "unread", 6, PATIENCE_MS, NULL, NULL));
    sem_post(&pair.go);
    assert_status(certpost_tls_read(pair.ssl, bytes, sizeof bytes, PATIENCE_MS, &length, NULL),
                  CERTPOST_RESET);
    pair_join(&pair);
    pair_free(&pair);
}

static void test_read_times_out_and_can_be_repeated(void **state)
{
    (void)state;
    struct pair pair;
    char bytes[16];
    size_t length = 0;
    pair_connect(&pair, TLS1_3_VERSION, false, echo_once);
    assert_status(certpost_tls_read(pair.ssl, bytes, sizeof bytes, 0, &length, NULL),
                  CERTPOST_TIMEOUT);
    assert_status(certpost_tls_read(pair.ssl, bytes, sizeof bytes, 5, &length, NULL),
                  CERTPOST_TIMEOUT);
    assert_ok(certpost_tls_write_all(pair.ssl, "echo", 4, PATIENCE_MS, NULL, NULL));
    assert_ok(certpost_tls_read(pair.ssl, bytes, sizeof bytes, CERTPOST_NO_TIMEOUT, &length, NULL));
    assert_int_equal(length, 4);
    assert_memory_equal(bytes, "echo", 4);
    sem_post(&pair.go);
    pair_join(&pair);
    pair_free(&pair);
}

static void test_read_without_room_is_a_usage_error(void **state)
{
    (void)state;
    struct pair pair;
    char bytes[1];
    size_t length = 5;
    pair_connect(&pair, TLS1_3_VERSION, false, do_nothing);
    assert_status(certpost_tls_read(pair.ssl, bytes, 0, 0, &length, NULL), CERTPOST_USAGE);
    assert_int_equal(length, 5);
    sem_post(&pair.go);
    pair_join(&pair);
    pair_free(&pair);
}

static void test_key_updates_of_the_peer_are_answered(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, TLS1_3_VERSION, false, update_keys_often);
    for (int i = 0; i < 5; i++) {
        char byte = 0;
        size_t length = 0;
        assert_ok(certpost_tls_read(pair.ssl, &byte, 1, PATIENCE_MS, &length, NULL));
        assert_int_equal(byte, 'x');
    }
    check_payload_arrives(&pair);
}

static void test_read_finds_what_came_together_with_a_ticket(void **state)
{
    (void)state;
    struct pair pair;
    char bytes[16];
    size_t length = 0;
    pair_open(&pair, TLS1_3_VERSION, say_goodbye);
    set_nonblocking(pair.fd);
    SSL_clear_mode(pair.ssl, SSL_MODE_AUTO_RETRY);
    SSL_set_read_ahead(pair.ssl, 1);
    assert_ok(certpost_tls_set_socket(pair.ssl, pair.fd));
    assert_ok(certpost_tls_handshake(pair.ssl, PATIENCE_MS, NULL));
    pair_join(&pair); /* tickets, data and close_notify are all in the socket now */
    assert_ok(certpost_tls_read(pair.ssl, bytes, sizeof bytes, PATIENCE_MS, &length, NULL));
    assert_int_equal(length, 4);
    assert_int_equal(SSL_get_mode(pair.ssl) & SSL_MODE_AUTO_RETRY, 0);
    pair_free(&pair);
}

static void test_close_waits_for_the_peer(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, TLS1_3_VERSION, false, do_nothing);
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(certpost_tls_close(pair.ssl, 5, &error), CERTPOST_TIMEOUT);
    assert_string_equal(error.text, "the peer did not end the connection in time");
    sem_post(&pair.go);
    pair_join(&pair);
    pair_free(&pair);
}

static void test_close_drops_what_still_comes(void **state)
{
    (void)state;
    struct pair pair;
    struct certpost_error error;
    certpost_error_clear(&error);
    pair_connect(&pair, TLS1_3_VERSION, false, say_goodbye);
    assert_ok(certpost_tls_close(pair.ssl, PATIENCE_MS, &error));
    assert_int_equal(error.status, CERTPOST_OK);
    pair_join(&pair);
    pair_free(&pair);
}

static void test_close_reports_a_peer_that_vanished(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, TLS1_3_VERSION, false, vanish_when_told);
    sem_post(&pair.go);
    pair_join(&pair);
    enum certpost_status status = certpost_tls_close(pair.ssl, PATIENCE_MS, NULL);
    assert_int_equal(certpost_status_group(status), CERTPOST_GROUP_ENDED);
    assert_true(status != CERTPOST_CLOSED);
    pair_free(&pair);
}

static void test_write_after_close_says_closed(void **state)
{
    (void)state;
    struct pair pair;
    size_t written = 7;
    pair_connect(&pair, TLS1_3_VERSION, false, say_goodbye);
    assert_ok(certpost_tls_close(pair.ssl, PATIENCE_MS, NULL));
    assert_status(certpost_tls_write_all(pair.ssl, "x", 1, PATIENCE_MS, &written, NULL),
                  CERTPOST_CLOSED);
    assert_int_equal(written, 0);
    pair_join(&pair);
    pair_free(&pair);
}

static void test_handshake_times_out_and_can_be_repeated(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair, TLS1_3_VERSION, read_to_end);
    int silent[2];
    /* First a connection on which nobody answers, then the real one. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, silent), 0);
    SSL *ssl = SSL_new(pair.client_context);
    SSL_set_connect_state(ssl);
    assert_ok(certpost_tls_set_socket(ssl, silent[0]));
    assert_status(certpost_tls_handshake(ssl, 5, NULL), CERTPOST_TIMEOUT);
    assert_status(certpost_tls_handshake(ssl, 0, NULL), CERTPOST_TIMEOUT);
    close(silent[1]);
    assert_status(certpost_tls_handshake(ssl, PATIENCE_MS, NULL), CERTPOST_RESET);
    SSL_free(ssl);
    close(silent[0]);
    set_nonblocking(pair.fd);
    assert_ok(certpost_tls_set_socket(pair.ssl, pair.fd));
    enum certpost_status status = CERTPOST_TIMEOUT;
    while (status == CERTPOST_TIMEOUT)
        status = certpost_tls_handshake(pair.ssl, 0, NULL);
    assert_ok(status);
    check_payload_arrives(&pair);
}

static void test_an_ssl_without_descriptor_is_a_usage_error(void **state)
{
    (void)state;
    struct test_pki pki = test_pki_make((struct test_leaf){0});
    SSL_CTX *context = test_pki_client_context(&pki, TLS1_3_VERSION);
    SSL *ssl = SSL_new(context);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    assert_status(certpost_tls_handshake(ssl, 5, NULL), CERTPOST_USAGE);
    SSL_set_connect_state(ssl);
    struct certpost_error error;
    certpost_error_clear(&error);
    assert_status(certpost_tls_handshake(ssl, 5, &error), CERTPOST_USAGE);
    assert_non_null(strstr(error.text, "no descriptor"));
    size_t written = 9;
    assert_status(certpost_tls_write_all(ssl, "x", 1, 5, &written, NULL), CERTPOST_USAGE);
    assert_int_equal(written, 0);
    SSL_free(ssl);
    SSL_CTX_free(context);
    test_pki_free(&pki);
}

/*
 * A transport that never does what it is asked at once. Each call goes through a cycle: "wait until
 * you can write", "wait until you can read", then one byte. The descriptor that it shows for
 * waiting is an eventfd, which is always ready for both.
 */
struct moody {
    int transport_fd;
    int ready_fd;
    int mood;
    long wants;
};

static int moody_turn(BIO *bio, struct moody *moody)
{
    BIO_clear_retry_flags(bio);
    int mood = moody->mood++ % 3;
    if (mood == 2)
        return 1;
    moody->wants++;
    if (mood == 0)
        BIO_set_retry_write(bio);
    else
        BIO_set_retry_read(bio);
    return 0;
}

static int moody_write(BIO *bio, const char *bytes, int length)
{
    struct moody *moody = BIO_get_data(bio);
    if (length < 1 || !moody_turn(bio, moody))
        return -1;
    return (int)send(moody->transport_fd, bytes, 1, MSG_NOSIGNAL);
}

static int moody_read(BIO *bio, char *bytes, int capacity)
{
    struct moody *moody = BIO_get_data(bio);
    if (capacity < 1 || !moody_turn(bio, moody))
        return -1;
    return (int)recv(moody->transport_fd, bytes, 1, 0);
}

static long moody_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const struct moody *moody = BIO_get_data(bio);
    (void)number;
    if (command == BIO_C_GET_FD) {
        if (pointer != NULL)
            *(int *)pointer = moody->ready_fd;
        return moody->ready_fd;
    }
    return command == BIO_CTRL_FLUSH;
}

static void test_write_all_over_a_transport_that_returns_every_want(void **state)
{
    (void)state;
    struct pair pair;
    struct moody moody = {.ready_fd = eventfd(1, EFD_CLOEXEC)};
    BIO_METHOD *method = BIO_meth_new(
        BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "moody transport");
    BIO_meth_set_write(method, moody_write);
    BIO_meth_set_read(method, moody_read);
    BIO_meth_set_ctrl(method, moody_ctrl);
    pair_open(&pair, TLS1_3_VERSION, echo_once);
    moody.transport_fd = pair.fd;
    BIO *bio = BIO_new(method);
    BIO_set_data(bio, &moody);
    BIO_set_init(bio, 1);
    SSL_set_bio(pair.ssl, bio, bio);
    assert_ok(certpost_tls_handshake(pair.ssl, PATIENCE_MS, NULL));
    char reply[1000];
    size_t length = 0;
    size_t written = 0;
    unsigned char *payload = make_payload(sizeof reply);
    assert_ok(certpost_tls_write_all(pair.ssl, payload, sizeof reply, PATIENCE_MS, &written, NULL));
    assert_int_equal(written, sizeof reply);
    assert_ok(certpost_tls_read(pair.ssl, reply, sizeof reply, PATIENCE_MS, &length, NULL));
    assert_int_equal(length, sizeof reply);
    assert_memory_equal(reply, payload, sizeof reply);
    assert_true(moody.wants > 2000);
    sem_post(&pair.go);
    pair_join(&pair);
    free(payload);
    pair_free(&pair);
    BIO_meth_free(method);
    close(moody.ready_fd);
}

static void test_set_socket_shows_the_descriptor(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, TLS1_3_VERSION, false, read_to_end);
    assert_int_equal(SSL_get_fd(pair.ssl), pair.fd);
    assert_int_equal(SSL_get_rfd(pair.ssl), pair.fd);
    assert_int_equal(SSL_get_wfd(pair.ssl), pair.fd);
    check_payload_arrives(&pair);
}

UNIT_MAIN(cmocka_unit_test(test_write_all_reaches_a_slow_reader),
          cmocka_unit_test(test_write_all_reaches_a_reader_of_few_bytes),
          cmocka_unit_test(test_write_all_works_with_tls_1_2),
          cmocka_unit_test(test_write_all_works_on_a_blocking_socket),
          cmocka_unit_test(test_write_all_works_without_partial_writes),
          cmocka_unit_test(test_write_all_survives_signals),
          cmocka_unit_test(test_write_all_survives_signals_on_a_blocking_socket),
          cmocka_unit_test(test_read_survives_signals),
          cmocka_unit_test(test_read_survives_signals_on_a_blocking_socket),
          cmocka_unit_test(test_write_all_that_timed_out_can_be_taken_up_again),
          cmocka_unit_test(test_write_all_of_nothing_succeeds),
          cmocka_unit_test(test_write_all_to_a_peer_that_is_gone_raises_no_signal),
          cmocka_unit_test(test_read_tells_a_clean_end),
          cmocka_unit_test(test_read_tells_truncation), cmocka_unit_test(test_read_tells_a_reset),
          cmocka_unit_test(test_read_times_out_and_can_be_repeated),
          cmocka_unit_test(test_read_without_room_is_a_usage_error),
          cmocka_unit_test(test_key_updates_of_the_peer_are_answered),
          cmocka_unit_test(test_read_finds_what_came_together_with_a_ticket),
          cmocka_unit_test(test_close_waits_for_the_peer),
          cmocka_unit_test(test_close_drops_what_still_comes),
          cmocka_unit_test(test_close_reports_a_peer_that_vanished),
          cmocka_unit_test(test_write_after_close_says_closed),
          cmocka_unit_test(test_handshake_times_out_and_can_be_repeated),
          cmocka_unit_test(test_an_ssl_without_descriptor_is_a_usage_error),
          cmocka_unit_test(test_write_all_over_a_transport_that_returns_every_want),
          cmocka_unit_test(test_set_socket_shows_the_descriptor))
