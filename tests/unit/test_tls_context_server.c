/*
 * test_tls_context_server.c — the server's context: what it negotiates, and what it never gives.
 */
#include "support/memory_client.h"
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/context.h"
#include "tls/server_material.h"
#include "tls/stream.h"

#include <stdlib.h>
#include <unistd.h>

enum { OUTPUT_MAX_BYTES = 1024 * 1024, BLOCK_BYTES = 64 * 1024 };

struct ends {
    struct test_pki pki;
    struct tls_server_setup setup;
    struct tls_server_material *material;
    SSL_CTX *server_context;
    SSL_CTX *client_context;
    struct memory_client client;
    struct tls_stream *stream;
    struct buffer output;
    struct certpost_error error;
    size_t sent_after_handshake;
};

static void load_material(struct ends *ends, int version)
{
    static const struct options_spec file_option = {.max = 1};
    char certificate[] = "/tmp/certpost-cert-XXXXXX";
    char key[] = "/tmp/certpost-key-XXXXXX";
    int files[] = {mkstemp(certificate), mkstemp(key)};
    assert_true(files[0] >= 0 && files[1] >= 0);
    test_pki_write_certificate(ends->pki.leaf, certificate);
    test_pki_write_key(ends->pki.leaf_key, key);
    ends->setup.settings.min_version = version;
    assert_ok(options_take_list(&file_option, &ends->setup.certificates, certificate, NULL));
    assert_ok(options_take_list(&file_option, &ends->setup.keys, key, NULL));
    assert_ok(tls_server_material_load(&ends->setup, &ends->material, &ends->error));
    close(files[0]);
    close(files[1]);
    unlink(certificate);
    unlink(key);
}

static void ends_init(struct ends *ends, int version)
{
    *ends = (struct ends){0};
    ends->pki = test_pki_make((struct test_leaf){0});
    load_material(ends, version);
    assert_ok(tls_context_server(ends->material, &ends->server_context, &ends->error));
    ends->client_context = test_pki_client_context(&ends->pki, version);
}

static void ends_connect(struct ends *ends)
{
    ends->client = memory_client_new(ends->client_context);
    buffer_init(&ends->output, OUTPUT_MAX_BYTES);
    assert_ok(tls_stream_new(ends->server_context, &ends->output, &ends->stream, NULL));
}

static void ends_disconnect(struct ends *ends)
{
    tls_stream_free(ends->stream);
    memory_client_free(&ends->client);
    buffer_free(&ends->output);
}

static void ends_free(struct ends *ends)
{
    ends_disconnect(ends);
    SSL_CTX_free(ends->server_context);
    SSL_CTX_free(ends->client_context);
    tls_server_material_free(ends->material);
    options_list_free(&ends->setup.certificates);
    options_list_free(&ends->setup.keys);
    test_pki_free(&ends->pki);
}

/* The whole handshake; the server's status, and in `*ret_client` what the client makes of it. */
static enum certpost_status ends_handshake(struct ends *ends, int *ret_client)
{
    static unsigned char block[BLOCK_BYTES];
    enum certpost_status status = CERTPOST_WANT_READ;
    certpost_error_clear(&ends->error);
    *ret_client = memory_client_handshake(&ends->client);
    size_t length = 0;
    while (status == CERTPOST_WANT_READ &&
           (length = memory_client_take(&ends->client, block, sizeof block)) > 0) {
        tls_stream_offer(ends->stream, block, length);
        status = tls_stream_handshake(ends->stream, &ends->error);
        assert_ok(tls_stream_keep(ends->stream));
        if (*ret_client == 1)
            ends->sent_after_handshake += ends->output.length;
        memory_client_give(&ends->client, buffer_bytes(&ends->output), ends->output.length);
        buffer_clear(&ends->output);
        *ret_client = memory_client_handshake(&ends->client);
    }
    return status;
}

/* `alpn` is the list as it is sent; NULL: the client offers none. */
static void check_alpn(const char *alpn, const char *selected)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        struct ends ends;
        int client = 0;
        const unsigned char *name = NULL;
        unsigned int length = 0;
        ends_init(&ends, versions[i]);
        ends_connect(&ends);
        if (alpn != NULL)
            assert_int_equal(SSL_set_alpn_protos(ends.client.ssl, (const unsigned char *)alpn,
                                                 (unsigned int)strlen(alpn)),
                             0);
        assert_ok(ends_handshake(&ends, &client));
        assert_int_equal(client, 1);
        SSL_get0_alpn_selected(ends.client.ssl, &name, &length);
        assert_int_equal(length, strlen(selected));
        if (length > 0)
            assert_memory_equal(name, selected, length);
        ends_free(&ends);
    }
}

static void test_alpn_is_not_needed(void **state)
{
    (void)state;
    check_alpn(NULL, "");
}

static void test_alpn_plain_is_selected(void **state)
{
    (void)state;
    check_alpn("\x0e"
               "certpost-plain",
               "certpost-plain");
    check_alpn("\x02"
               "h2"
               "\x0e"
               "certpost-plain"
               "\x08"
               "http/1.1",
               "certpost-plain");
}

static void check_alpn_refused(const char *alpn)
{
    struct ends ends;
    int client = 0;
    ends_init(&ends, TLS1_3_VERSION);
    ends_connect(&ends);
    assert_int_equal(SSL_set_alpn_protos(ends.client.ssl, (const unsigned char *)alpn,
                                         (unsigned int)strlen(alpn)),
                     0);
    assert_status(ends_handshake(&ends, &client), CERTPOST_HANDSHAKE);
    assert_int_equal(client, -1);
    assert_true(ends.error.text[0] != '\0');
    ends_free(&ends);
}

/* RFC 7301, section 3.2: a server that speaks none of the client's protocols says so and ends. */
static void test_alpn_of_others_is_refused(void **state)
{
    (void)state;
    check_alpn_refused("\x02"
                       "h2");
    check_alpn_refused("\x0d"
                       "certpost-plai");
    check_alpn_refused("\x0f"
                       "certpost-plainx");
    check_alpn_refused("\x0e"
                       "certpost-PLAIN");
    check_alpn_refused("\x0f"
                       "\x0e"
                       "certpost-plain"); /* the name inside another name */
}

/* A list whose lengths do not add up: OpenSSL's own client does not send such a one. */
static int add_bad_alpn(SSL *ssl, unsigned int type, unsigned int context,
                        const unsigned char **ret_bytes, size_t *ret_length, X509 *certificate,
                        size_t index, int *ret_alert, void *argument)
{
    (void)ssl;
    (void)type;
    (void)context;
    (void)certificate;
    (void)index;
    (void)ret_alert;
    const struct buffer *list = argument;
    *ret_bytes = buffer_bytes(list);
    *ret_length = list->length;
    return 1;
}

static void test_malformed_alpn_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } lists[] = {
        {"\x00\x02\x05h", 4}, /* the name is longer than the list */
        {"\x00\x00", 2},      /* an empty list */
        {"\x00\x01\x00", 3},  /* an empty name */
        {"\x00\x10\x0e"
         "certpost-plain",
         17}, /* the list is longer than the extension */
        {"\x00", 1},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct ends ends;
        struct buffer list;
        int client = 0;
        ends_init(&ends, TLS1_3_VERSION);
        buffer_init(&list, 64);
        assert_ok(buffer_append(&list, lists[i].bytes, lists[i].length));
        /* The number of ALPN is taken by OpenSSL itself, so it is added under its neighbour's and
         * renamed on its way. */
        assert_int_equal(SSL_CTX_add_custom_ext(ends.client_context, 0xfa10, SSL_EXT_CLIENT_HELLO,
                                                add_bad_alpn, NULL, &list, NULL, NULL),
                         1);
        ends_connect(&ends);
        (void)memory_client_handshake(&ends.client);
        unsigned char hello[2048];
        size_t length = memory_client_take(&ends.client, hello, sizeof hello);
        unsigned char *at = memmem(hello, length, "\xfa\x10", 2);
        assert_non_null(at);
        at[0] = 0;
        at[1] = TLSEXT_TYPE_application_layer_protocol_negotiation;
        tls_stream_offer(ends.stream, hello, length);
        assert_status(tls_stream_handshake(ends.stream, &ends.error), CERTPOST_HANDSHAKE);
        memory_client_give(&ends.client, buffer_bytes(&ends.output), ends.output.length);
        client = memory_client_handshake(&ends.client);
        assert_int_equal(client, -1);
        ends_free(&ends);
        buffer_free(&list);
    }
}

static int count_session(SSL *ssl, SSL_SESSION *session)
{
    (void)session;
    (*(unsigned *)SSL_get_app_data(ssl))++;
    return 0;
}

/* A ticket on its way to a client that has closed already would cost its message (see context). */
static void test_no_ticket_in_any_version(void **state)
{
    (void)state;
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        struct ends ends;
        int client = 0;
        int reason = 0;
        char text[8];
        unsigned sessions = 0;
        ends_init(&ends, versions[i]);
        SSL_CTX_set_session_cache_mode(ends.client_context, SSL_SESS_CACHE_CLIENT);
        SSL_CTX_sess_set_new_cb(ends.client_context, count_session);
        ends_connect(&ends);
        SSL_set_app_data(ends.client.ssl, &sessions);
        assert_ok(ends_handshake(&ends, &client));
        assert_int_equal(client, 1);
        assert_int_equal(memory_client_read(&ends.client, text, sizeof text, &reason), -1);
        assert_int_equal(reason, SSL_ERROR_WANT_READ);
        assert_int_equal(SSL_SESSION_has_ticket(SSL_get_session(ends.client.ssl)), 0);
        if (versions[i] == TLS1_3_VERSION) {
            assert_int_equal(ends.sent_after_handshake, 0);
            assert_int_equal(sessions, 0);
        }
        SSL_SESSION *session = SSL_get1_session(ends.client.ssl);
        ends_disconnect(&ends);
        ends_connect(&ends);
        SSL_set_app_data(ends.client.ssl, &sessions);
        (void)SSL_set_session(ends.client.ssl, session);
        assert_ok(ends_handshake(&ends, &client));
        assert_int_equal(SSL_session_reused(ends.client.ssl), 0);
        SSL_SESSION_free(session);
        ends_free(&ends);
    }
}

static void test_bad_settings_give_no_context(void **state)
{
    (void)state;
    struct ends ends;
    ends_init(&ends, TLS1_3_VERSION);
    ends_connect(&ends);
    SSL_CTX *context = NULL;
    ends.setup.settings.groups = "nonsense";
    assert_status(tls_context_server(ends.material, &context, &ends.error), CERTPOST_USAGE);
    ends.setup.settings.groups = NULL;
    ends.setup.settings.ciphersuites = "nonsense";
    assert_status(tls_context_server(ends.material, &context, NULL), CERTPOST_USAGE);
    assert_null(context);
    ends_free(&ends);
}

UNIT_MAIN(cmocka_unit_test(test_alpn_is_not_needed), cmocka_unit_test(test_alpn_plain_is_selected),
          cmocka_unit_test(test_alpn_of_others_is_refused),
          cmocka_unit_test(test_malformed_alpn_is_refused),
          cmocka_unit_test(test_no_ticket_in_any_version),
          cmocka_unit_test(test_bad_settings_give_no_context))
