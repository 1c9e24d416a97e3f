/*
 * test_tls_io_read.c — read and close, over real TLS on socket pairs (support/tls_pair.h): data,
 * and each way in which a connection ends.
 */
#include "support/tls_pair.h"

#include <openssl/err.h>
#include <pthread.h>
#include <signal.h>

static void say_goodbye(struct pair *pair)
{
    SSL_write(pair->peer, "last", 4);
    SSL_shutdown(pair->peer);
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

static void update_keys_often(struct pair *pair)
{
    for (int i = 0; i < 5; i++) {
        SSL_key_update(pair->peer, SSL_KEY_UPDATE_REQUESTED);
        SSL_write(pair->peer, "x", 1);
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

UNIT_MAIN(cmocka_unit_test(test_read_survives_signals),
          cmocka_unit_test(test_read_survives_signals_on_a_blocking_socket),
          cmocka_unit_test(test_read_tells_a_clean_end),
          cmocka_unit_test(test_read_tells_truncation), cmocka_unit_test(test_read_tells_a_reset),
          cmocka_unit_test(test_read_times_out_and_can_be_repeated),
          cmocka_unit_test(test_read_without_room_is_a_usage_error),
          cmocka_unit_test(test_key_updates_of_the_peer_are_answered),
          cmocka_unit_test(test_read_finds_what_came_together_with_a_ticket),
          cmocka_unit_test(test_close_waits_for_the_peer),
          cmocka_unit_test(test_close_drops_what_still_comes),
          cmocka_unit_test(test_close_reports_a_peer_that_vanished),
          cmocka_unit_test(test_write_after_close_says_closed))
