/* test_tls_outcome.c — every value of SSL_get_error that can be produced, and alerts in words. */
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/outcome.h"

#include <errno.h>
#include <openssl/err.h>

/* A transport whose every call fails in the way that `failure` says. */
enum failure { FAIL_HARD, FAIL_WANT_READ, FAIL_WANT_WRITE, FAIL_WANT_CONNECT, FAIL_WANT_ACCEPT };

static int failing_call(BIO *bio)
{
    const enum failure *failure = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (*failure == FAIL_WANT_READ)
        BIO_set_retry_read(bio);
    if (*failure == FAIL_WANT_WRITE)
        BIO_set_retry_write(bio);
    if (*failure == FAIL_WANT_CONNECT || *failure == FAIL_WANT_ACCEPT) {
        BIO_set_retry_special(bio);
        BIO_set_retry_reason(bio, *failure == FAIL_WANT_CONNECT ? BIO_RR_CONNECT : BIO_RR_ACCEPT);
    }
    return -1;
}

static int failing_write(BIO *bio, const char *bytes, int length)
{
    (void)bytes;
    (void)length;
    return failing_call(bio);
}

static int failing_read(BIO *bio, char *bytes, int capacity)
{
    (void)bytes;
    (void)capacity;
    return failing_call(bio);
}

static long failing_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static enum certpost_status outcome_of(enum failure failure, int system_errno)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 100, "failing transport");
    BIO_meth_set_write(method, failing_write);
    BIO_meth_set_read(method, failing_read);
    BIO_meth_set_ctrl(method, failing_ctrl);
    BIO *bio = BIO_new(method);
    BIO_set_data(bio, &failure);
    BIO_set_init(bio, 1);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_connect_state(ssl);
    ERR_clear_error();
    enum certpost_status status = tls_outcome(ssl, SSL_do_handshake(ssl), system_errno, NULL);
    assert_int_equal(ERR_peek_error(), 0);
    SSL_free(ssl);
    SSL_CTX_free(context);
    BIO_meth_free(method);
    return status;
}

static void test_system_errors(void **state)
{
    (void)state;
    assert_status(outcome_of(FAIL_HARD, 0), CERTPOST_TRUNCATED);
    assert_status(outcome_of(FAIL_HARD, ECONNRESET), CERTPOST_RESET);
    assert_status(outcome_of(FAIL_HARD, EPIPE), CERTPOST_RESET);
    assert_status(outcome_of(FAIL_HARD, ECONNABORTED), CERTPOST_RESET);
    assert_status(outcome_of(FAIL_HARD, ETIMEDOUT), CERTPOST_NETWORK_IO);
    assert_status(outcome_of(FAIL_HARD, EHOSTUNREACH), CERTPOST_NETWORK_IO);
    assert_status(outcome_of(FAIL_HARD, ENOMEM), CERTPOST_NO_MEMORY);
}

static void test_wants(void **state)
{
    (void)state;
    assert_status(outcome_of(FAIL_WANT_READ, EAGAIN), CERTPOST_WANT_READ);
    assert_status(outcome_of(FAIL_WANT_WRITE, EAGAIN), CERTPOST_WANT_WRITE);
    assert_status(outcome_of(FAIL_WANT_CONNECT, EAGAIN), CERTPOST_WANT_WRITE);
    assert_status(outcome_of(FAIL_WANT_ACCEPT, EAGAIN), CERTPOST_WANT_READ);
}

static void test_success(void **state)
{
    (void)state;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    assert_status(tls_outcome(ssl, 1, 0, NULL), CERTPOST_OK);
    SSL_free(ssl);
    SSL_CTX_free(context);
}

/* What a handshake comes to when `bytes` are all that the peer ever says. */
static enum certpost_status outcome_of_bytes(int as_server, const void *bytes, size_t length,
                                             struct certpost_error *error)
{
    struct test_pki pki = test_pki_make((struct test_leaf){0});
    SSL_CTX *context = as_server ? test_pki_server_context(&pki, TLS1_3_VERSION)
                                 : test_pki_client_context(&pki, TLS1_3_VERSION);
    SSL *ssl = SSL_new(context);
    BIO *incoming = BIO_new_mem_buf(bytes, (int)length);
    SSL_set_bio(ssl, incoming, BIO_new(BIO_s_mem()));
    if (as_server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    certpost_error_clear(error);
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(ssl);
    enum certpost_status status = tls_outcome(ssl, result, errno, error);
    assert_int_equal(ERR_peek_error(), 0);
    SSL_free(ssl);
    SSL_CTX_free(context);
    test_pki_free(&pki);
    return status;
}

static void test_alerts_are_told_in_words(void **state)
{
    (void)state;
    static const struct {
        unsigned char alert;
        const char *words;
    } rows[] = {
        {40, "alert handshake_failure"},
        {42, "alert bad_certificate"},
        {46, "allow list"},
        {43, "clientAuth"},
        {44, "it is revoked"},
        {45, "it has expired"},
        {47, "alert illegal_parameter"},
        {48, "its CA is not known"},
        {49, "it is not admitted"},
        {51, "alert decrypt_error"},
        {70, "refused the TLS version"},
        {71, "stronger cipher suites"},
        {80, "alert internal_error"},
        {112, "does not know the name"},
        {116, "requires a certificate"},
        {120, "does not offer the exchange"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const unsigned char record[] = {21, 3, 3, 0, 2, 2, rows[i].alert};
        struct certpost_error error;
        enum certpost_status status = outcome_of_bytes(0, record, sizeof record, &error);
        assert_int_equal(certpost_status_group(status), CERTPOST_GROUP_PEER);
        assert_non_null(strstr(error.text, rows[i].words));
        assert_null(strstr(error.text, "error:"));
    }
}

static void check_bytes(int as_server, const char *bytes, enum certpost_status expected,
                        const char *words)
{
    struct certpost_error error;
    assert_status(outcome_of_bytes(as_server, bytes, strlen(bytes), &error), expected);
    assert_non_null(strstr(error.text, words));
}

static void test_peers_that_do_not_speak_tls(void **state)
{
    (void)state;
    check_bytes(1, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", CERTPOST_HANDSHAKE, "plain HTTP");
    check_bytes(1, "CONNECT x:1 HTTP/1.1\r\n\r\n", CERTPOST_HANDSHAKE, "HTTP proxy");
    check_bytes(1, "Hello, server! Are you there?", CERTPOST_HANDSHAKE, "does not speak TLS");
    check_bytes(0, "HTTP/1.1 400 Bad Request\r\n\r\n", CERTPOST_HANDSHAKE, "does not speak TLS");
    check_bytes(0, "SSH-2.0-OpenSSH_9.2\r\n", CERTPOST_HANDSHAKE, "does not speak TLS");
    check_bytes(0, "", CERTPOST_TRUNCATED, "during the TLS handshake");
}

static void test_a_client_hello_of_tls_1_1_is_told(void **state)
{
    (void)state;
    /* Version 3.2, no session, one cipher suite, no compression, no extensions. */
    unsigned char hello[5 + 4 + 2 + 32 + 1 + 4 + 2] = {22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2};
    hello[5 + 4 + 2 + 32 + 1 + 1] = 2;
    hello[5 + 4 + 2 + 32 + 1 + 2] = 0xc0;
    hello[5 + 4 + 2 + 32 + 1 + 3] = 0x13;
    hello[5 + 4 + 2 + 32 + 1 + 4] = 1;
    struct certpost_error error;
    assert_status(outcome_of_bytes(1, hello, sizeof hello, &error), CERTPOST_HANDSHAKE);
    assert_non_null(strstr(error.text, "TLS version is too old"));
}

/* OpenSSL gives it the reason of a write that was taken up again with fewer bytes. */
static void test_a_server_hello_of_a_wrong_length_is_the_peers(void **state)
{
    (void)state;
    /* Version 3.3, no session, TLS_AES_128_GCM_SHA256, no compression, half a length. */
    unsigned char hello[5 + 4 + 2 + 32 + 1 + 3 + 1] = {22, 3, 3, 0, 43, 2, 0, 0, 39, 3, 3};
    hello[5 + 4 + 2 + 32 + 1] = 0x13;
    hello[5 + 4 + 2 + 32 + 1 + 1] = 1;
    struct certpost_error error;
    assert_status(outcome_of_bytes(0, hello, sizeof hello, &error), CERTPOST_HANDSHAKE);
    assert_non_null(strstr(error.text, "not as long as it says"));
}

UNIT_MAIN(cmocka_unit_test(test_system_errors), cmocka_unit_test(test_wants),
          cmocka_unit_test(test_success), cmocka_unit_test(test_alerts_are_told_in_words),
          cmocka_unit_test(test_peers_that_do_not_speak_tls),
          cmocka_unit_test(test_a_client_hello_of_tls_1_1_is_told),
          cmocka_unit_test(test_a_server_hello_of_a_wrong_length_is_the_peers))
