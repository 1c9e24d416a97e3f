/*
 * test_tls_settings.c — versions, groups, cipher suites and modes of a context.
 */
#include "support/memory_client.h"
#include "support/unit.h"
#include "tls/settings.h"

#include <openssl/err.h>
#include <stdbool.h>
#include <stdlib.h>

enum { LIST_BYTES = 1200 };

static SSL_CTX *new_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    assert_non_null(context);
    return context;
}

static enum certpost_status apply(struct tls_settings settings, struct certpost_error *error)
{
    SSL_CTX *context = new_context();
    certpost_error_clear(error);
    enum certpost_status status = tls_settings_apply(context, &settings, error);
    assert_int_equal(ERR_peek_error(), 0);
    SSL_CTX_free(context);
    return status;
}

static void test_versions(void **state)
{
    (void)state;
    int version = 77;
    struct certpost_error error = {0};
    static const char *const others[] = {"", "1.1", "1.4", "TLSv1.3", "1.30", " 1.3"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_status(tls_settings_parse_version(others[i], &version, &error), CERTPOST_USAGE);
    assert_int_equal(version, 77);
    assert_string_equal(error.text, "the lowest TLS version is 1.2 or 1.3");
    assert_ok(tls_settings_parse_version("1.2", &version, NULL));
    assert_int_equal(version, TLS1_2_VERSION);
    assert_ok(tls_settings_parse_version("1.3", &version, NULL));
    assert_int_equal(version, TLS1_3_VERSION);
}

static void test_lowest_version(void **state)
{
    (void)state;
    static const int wanted[] = {0, TLS1_2_VERSION, TLS1_3_VERSION};
    static const int lowest[] = {TLS1_3_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 3; i++) {
        SSL_CTX *context = new_context();
        struct tls_settings settings = {.min_version = wanted[i]};
        assert_ok(tls_settings_apply(context, &settings, NULL));
        assert_int_equal(SSL_CTX_get_min_proto_version(context), lowest[i]);
        assert_int_equal(SSL_CTX_get_max_proto_version(context), 0); /* the highest there is */
        SSL_CTX_free(context);
    }
}

static void test_options_and_modes(void **state)
{
    (void)state;
    SSL_CTX *context = new_context();
    struct tls_settings settings = {0};
    assert_ok(tls_settings_apply(context, &settings, NULL));
    uint64_t options = SSL_CTX_get_options(context);
    assert_true((options & SSL_OP_NO_COMPRESSION) != 0);
    assert_true((options & SSL_OP_NO_RENEGOTIATION) != 0);
    assert_true((options & SSL_OP_IGNORE_UNEXPECTED_EOF) == 0);
    assert_true((options & SSL_OP_LEGACY_SERVER_CONNECT) == 0 || OPENSSL_VERSION_MAJOR < 3);
    long modes = SSL_CTX_get_mode(context);
    assert_true((modes & SSL_MODE_ENABLE_PARTIAL_WRITE) != 0);
    assert_true((modes & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER) != 0);
    assert_true((modes & SSL_MODE_RELEASE_BUFFERS) != 0);
    SSL_CTX_free(context);
}

/* Whatever TLS 1.2 may use, it has ephemeral keys and authenticated encryption. */
static void test_suites_of_tls_1_2(void **state)
{
    (void)state;
    SSL_CTX *context = new_context();
    struct tls_settings settings = {.min_version = TLS1_2_VERSION};
    assert_ok(tls_settings_apply(context, &settings, NULL));
    const STACK_OF(SSL_CIPHER) *suites = SSL_CTX_get_ciphers(context);
    assert_true(sk_SSL_CIPHER_num(suites) > 3);
    for (int i = 0; i < sk_SSL_CIPHER_num(suites); i++) {
        const SSL_CIPHER *suite = sk_SSL_CIPHER_value(suites, i);
        int exchange = SSL_CIPHER_get_kx_nid(suite);
        assert_true(exchange == NID_kx_ecdhe || exchange == NID_kx_any);
        assert_int_equal(SSL_CIPHER_is_aead(suite), 1);
    }
    SSL_CTX_free(context);
}

static void test_default_groups_are_known(void **state)
{
    (void)state;
    struct certpost_error error;
    assert_ok(apply((struct tls_settings){0}, &error));
    assert_ok(apply((struct tls_settings){.groups = TLS_DEFAULT_GROUPS}, &error));
}

static void test_unknown_groups_are_skipped(void **state)
{
    (void)state;
    struct certpost_error error;
    static const char *const good[] = {"nonsense:X25519", "X25519:nonsense", "P-256",
                                       "::X25519::P-384:", "a:b:c:P-521:d"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_ok(apply((struct tls_settings){.groups = good[i]}, &error));
}

/* What a client then says: supported_groups (RFC 8446, 4.2.7) with P-384 and X25519, so ordered. */
static void test_groups_keep_their_order(void **state)
{
    (void)state;
    static const unsigned char expected[] = {0, 10, 0, 6, 0, 4, 0, 0x18, 0, 0x1d};
    unsigned char hello[2048];
    SSL_CTX *context = new_context();
    struct tls_settings settings = {.groups = "nonsense:P-384:other:X25519"};
    assert_ok(tls_settings_apply(context, &settings, NULL));
    struct memory_client client = memory_client_new(context);
    assert_int_equal(memory_client_handshake(&client), 0);
    size_t length = memory_client_take(&client, hello, sizeof hello);
    assert_non_null(memmem(hello, length, expected, sizeof expected));
    memory_client_free(&client);
    SSL_CTX_free(context);
}

static void test_no_known_group_is_a_usage_error(void **state)
{
    (void)state;
    struct certpost_error error;
    static const char *const bad[] = {"nonsense", "", ":", ":::", "a:b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_status(apply((struct tls_settings){.groups = bad[i]}, &error), CERTPOST_USAGE);
        assert_int_equal(strncmp(error.text, "no group of the list ", 21), 0);
        assert_non_null(strstr(error.text, "is known to this OpenSSL"));
    }
    assert_status(apply((struct tls_settings){.groups = "\x1b[2J"}, &error), CERTPOST_USAGE);
    assert_null(strchr(error.text, '\x1b'));
}

/* A group that is named twice is one group; OpenSSL refuses the list for it. */
static void test_a_group_may_be_named_twice(void **state)
{
    (void)state;
    struct certpost_error error;
    assert_ok(apply((struct tls_settings){.groups = "X25519:P-256:X25519"}, &error));
    assert_ok(apply((struct tls_settings){.groups = "P-256:prime256v1"}, &error));
}

static void test_a_long_list_is_refused(void **state)
{
    (void)state;
    char list[LIST_BYTES];
    struct certpost_error error;
    memset(list, ':', sizeof list);
    memcpy(list, "X25519", 6);
    list[1023] = '\0';
    assert_ok(apply((struct tls_settings){.groups = list}, &error));
    list[1023] = ':';
    list[1024] = '\0';
    assert_status(apply((struct tls_settings){.groups = list}, &error), CERTPOST_USAGE);
    assert_string_equal(error.text, "the list of groups is too long");
    memset(list, 'x', 1023);
    list[1023] = '\0';
    assert_status(apply((struct tls_settings){.groups = list}, &error), CERTPOST_USAGE);
}

static void test_cipher_suites(void **state)
{
    (void)state;
    struct certpost_error error;
    static const char *const bad[] = {"nonsense", "", "\x1b[2J"};
    assert_ok(apply((struct tls_settings){.ciphersuites = "TLS_AES_256_GCM_SHA384"}, &error));
    assert_ok(
        apply((struct tls_settings){.ciphersuites =
                                        "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"},
              &error));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_status(apply((struct tls_settings){.ciphersuites = bad[i]}, &error), CERTPOST_USAGE);
        assert_int_equal(strncmp(error.text, "no TLS 1.3 cipher suite of the list ", 36), 0);
        assert_null(strchr(error.text, '\x1b'));
    }
}

UNIT_MAIN(cmocka_unit_test(test_versions), cmocka_unit_test(test_lowest_version),
          cmocka_unit_test(test_options_and_modes), cmocka_unit_test(test_suites_of_tls_1_2),
          cmocka_unit_test(test_default_groups_are_known),
          cmocka_unit_test(test_unknown_groups_are_skipped),
          cmocka_unit_test(test_groups_keep_their_order),
          cmocka_unit_test(test_no_known_group_is_a_usage_error),
          cmocka_unit_test(test_a_group_may_be_named_twice),
          cmocka_unit_test(test_a_long_list_is_refused), cmocka_unit_test(test_cipher_suites))
