/*
 * test_tls_io.c — write all and handshake, over real TLS on socket pairs (support/tls_pair.h).
 */
#include "support/tls_pair.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void read_to_end_when_told(struct pair *pair)
{
    sem_wait(&pair->go);
    read_to_end(pair);
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
          cmocka_unit_test(test_write_all_that_timed_out_can_be_taken_up_again),
          cmocka_unit_test(test_write_all_of_nothing_succeeds),
          cmocka_unit_test(test_write_all_to_a_peer_that_is_gone_raises_no_signal),
          cmocka_unit_test(test_handshake_times_out_and_can_be_repeated),
          cmocka_unit_test(test_an_ssl_without_descriptor_is_a_usage_error),
          cmocka_unit_test(test_write_all_over_a_transport_that_returns_every_want),
          cmocka_unit_test(test_set_socket_shows_the_descriptor))
