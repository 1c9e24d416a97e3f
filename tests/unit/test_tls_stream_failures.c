/*
 * test_tls_stream_failures.c — what the server's TLS stream refuses and survives: limits, key
 * updates, other protocols and versions, no memory (support/stream_ends.h).
 *
 * OpenSSL's allocations go through hooks that can make the n-th of them fail (linked with
 * --wrap=calloc for our own).
 */
#include "support/stream_ends.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdlib.h>

static void test_output_has_a_maximum(void **state)
{
    (void)state;
    static unsigned char reply[3 * RECORD_MAX_BYTES];
    struct ends ends;
    ends_init_contexts(&ends, TLS1_3_VERSION);
    ends_connect(&ends, 2 * RECORD_MAX_BYTES);
    assert_ok(ends_handshake(&ends, SIZE_MAX));
    assert_status(tls_stream_write(ends.stream, reply, sizeof reply, &ends.error), CERTPOST_LIMIT);
    assert_string_equal(ends.error.text, "the peer does not take what it asked for");
    assert_true(ends.output.length <= 2 * RECORD_MAX_BYTES);
    size_t before = ends.output.length;
    assert_status(tls_stream_write(ends.stream, reply, 1, &ends.error), CERTPOST_INTERNAL);
    tls_stream_close(ends.stream);
    assert_int_equal(ends.output.length, before);
    ends_free(&ends);
}

static void test_output_at_its_maximum_in_the_handshake(void **state)
{
    (void)state;
    struct ends ends;
    ends_init_contexts(&ends, TLS1_3_VERSION);
    ends_connect(&ends, 64);
    (void)memory_client_handshake(&ends.client);
    ends_offer_all(&ends);
    assert_status(tls_stream_handshake(ends.stream, &ends.error), CERTPOST_LIMIT);
    ends_free(&ends);
}

static void test_calls_after_a_failure_are_refused(void **state)
{
    (void)state;
    struct ends ends;
    unsigned char text[8];
    size_t length = 77;
    size_t alert_bytes = 0;
    ends_open(&ends, TLS1_3_VERSION);
    tls_stream_end_input(ends.stream);
    assert_read_ends(&ends, CERTPOST_TRUNCATED);
    alert_bytes = ends.output.length;
    certpost_error_clear(&ends.error);
    assert_status(tls_stream_read(ends.stream, text, sizeof text, &length, &ends.error),
                  CERTPOST_INTERNAL);
    assert_int_equal(length, 77);
    assert_string_equal(ends.error.text, "the TLS connection has failed before");
    assert_status(tls_stream_write(ends.stream, text, 1, NULL), CERTPOST_INTERNAL);
    assert_status(tls_stream_handshake(ends.stream, NULL), CERTPOST_INTERNAL);
    tls_stream_close(ends.stream);
    assert_int_equal(ends.output.length, alert_bytes);
    ends_free(&ends);
}

static void send_key_updates(struct ends *ends, int count, int kind)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(SSL_key_update(ends->client.ssl, kind), 1);
        assert_int_equal(memory_client_handshake(&ends->client), 1);
    }
}

static void test_key_updates_without_data_are_limited(void **state)
{
    (void)state;
    static const int kinds[] = {SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED};
    for (size_t i = 0; i < 2; i++) {
        struct ends ends;
        ends_open(&ends, TLS1_3_VERSION);
        send_key_updates(&ends, TLS_STREAM_KEY_UPDATES_MAX, kinds[i]);
        ends_offer_all(&ends);
        assert_read_ends(&ends, CERTPOST_WANT_READ);
        ends_deliver(&ends, SIZE_MAX);
        send_key_updates(&ends, 1, kinds[i]);
        ends_offer_all(&ends);
        assert_read_ends(&ends, CERTPOST_PROTOCOL);
        assert_string_equal(ends.error.text, "more than 32 key updates without data");
        assert_read_ends(&ends, CERTPOST_INTERNAL);
        ends_free(&ends);
    }
}

static void test_a_flood_of_key_updates_stops_at_the_limit(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends, TLS1_3_VERSION);
    send_key_updates(&ends, 200, SSL_KEY_UPDATE_NOT_REQUESTED);
    ends_offer_all(&ends);
    assert_read_ends(&ends, CERTPOST_PROTOCOL);
    assert_true(tls_stream_has_input(ends.stream)); /* the rest was not worked on */
    ends_free(&ends);
}

static void test_data_resets_the_count_of_key_updates(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends, TLS1_3_VERSION);
    for (int round = 0; round < 3; round++) {
        send_key_updates(&ends, TLS_STREAM_KEY_UPDATES_MAX, SSL_KEY_UPDATE_NOT_REQUESTED);
        memory_client_write(&ends.client, "data", 4);
        ends_offer_all(&ends);
        assert_read(&ends, "data");
        assert_read_ends(&ends, CERTPOST_WANT_READ);
    }
    ends_free(&ends);
}

/* OpenSSL answers one update before it looks at the next record, which it holds meanwhile. */
static void test_data_behind_requested_key_updates_is_read(void **state)
{
    (void)state;
    for (int updates = 1; updates <= 4; updates++) {
        struct ends ends;
        ends_open(&ends, TLS1_3_VERSION);
        send_key_updates(&ends, updates, SSL_KEY_UPDATE_REQUESTED);
        memory_client_write(&ends.client, "data", 4);
        (void)SSL_shutdown(ends.client.ssl);
        ends_offer_all(&ends);
        assert_read(&ends, "data");
        assert_read_ends(&ends, CERTPOST_CLOSED);
        ends_free(&ends);
    }
}

static void check_refused_version(int server_min, int client_max)
{
    struct ends ends;
    ends_init_contexts(&ends, TLS1_3_VERSION);
    assert_int_equal(SSL_CTX_set_min_proto_version(ends.server_context, server_min), 1);
    assert_int_equal(SSL_CTX_set_min_proto_version(ends.client_context, TLS1_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(ends.client_context, client_max), 1);
    SSL_CTX_set_security_level(ends.client_context, 0);
    ends_connect(&ends, OUTPUT_MAX_BYTES);
    assert_status(ends_handshake(&ends, SIZE_MAX), CERTPOST_HANDSHAKE);
    assert_non_null(strstr(ends.error.text, "TLS"));
    assert_int_equal(memory_client_handshake(&ends.client), -1); /* it was told by an alert */
    ends_free(&ends);
}

static void test_old_versions_are_refused(void **state)
{
    (void)state;
    check_refused_version(TLS1_3_VERSION, TLS1_2_VERSION);
    check_refused_version(TLS1_2_VERSION, TLS1_1_VERSION);
}

static void test_another_protocol_is_refused(void **state)
{
    (void)state;
    static const char *const openings[] = {
        "GET / HTTP/1.0\r\n\r\n", "SSH-2.0-client\r\n", "\x16\x03\x01\xff\xff garbage",
        "\x80\x2e\x01\x00\x02",   "hello, server!\n",
    };
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++) {
        struct ends ends;
        ends_init_contexts(&ends, TLS1_3_VERSION);
        ends_connect(&ends, OUTPUT_MAX_BYTES);
        ends_offer_bytes(&ends, openings[i], strlen(openings[i]));
        tls_stream_end_input(ends.stream);
        enum certpost_status status = tls_stream_handshake(ends.stream, &ends.error);
        assert_int_equal(certpost_status_group(status) == CERTPOST_GROUP_PEER ||
                             status == CERTPOST_TRUNCATED,
                         true);
        assert_true(ends.error.text[0] != '\0');
        ends_free(&ends);
    }
}

static void test_garbage_after_the_handshake_is_a_protocol_error(void **state)
{
    (void)state;
    struct ends ends;
    static const unsigned char forged[] = {0x17, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8,
                                           9,    1, 2, 3, 4,  5, 6, 7, 8, 9, 0, 1};
    ends_open(&ends, TLS1_3_VERSION);
    ends_offer_bytes(&ends, forged, sizeof forged);
    assert_read_ends(&ends, CERTPOST_PROTOCOL);
    assert_true(ends.output.length > 0); /* the alert */
    assert_read_ends(&ends, CERTPOST_INTERNAL);
    ends_free(&ends);
}

/* ------------------------------------------------------------------------------ allocations */

static bool hooks_are_in;
static bool counting;
static long until_failure = -1; /* allocations until one fails; below 0: none does */
static bool failure_happened;
static bool calloc_fails;

static bool allocation_fails(void)
{
    if (!counting || until_failure < 0 || until_failure-- > 0)
        return false;
    failure_happened = true;
    return true;
}

static void *hook_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return allocation_fails() ? NULL : malloc(size);
}

static void *hook_realloc(void *memory, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return allocation_fails() ? NULL : realloc(memory, size);
}

static void hook_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

/* OpenSSL takes hooks only before its first allocation. */
__attribute__((constructor)) static void put_hooks_in(void)
{
    hooks_are_in = CRYPTO_set_mem_functions(hook_malloc, hook_realloc, hook_free) == 1;
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    return calloc_fails ? NULL : __real_calloc(count, size);
}

static void test_free_of_nothing(void **state)
{
    (void)state;
    tls_stream_free(NULL);
}

static void test_no_memory_for_the_stream(void **state)
{
    (void)state;
    struct ends ends;
    struct tls_stream *stream = NULL;
    ends_init_contexts(&ends, TLS1_3_VERSION);
    buffer_init(&ends.output, OUTPUT_MAX_BYTES);
    calloc_fails = true;
    assert_status(tls_stream_new(ends.server_context, &ends.output, &stream, &ends.error),
                  CERTPOST_NO_MEMORY);
    calloc_fails = false;
    assert_null(stream);
    assert_string_equal(ends.error.text, "out of memory");
    SSL_CTX_free(ends.server_context);
    SSL_CTX_free(ends.client_context);
    test_pki_free(&ends.pki);
}

/* One connection in which OpenSSL's allocation number `n` fails on the server's side. */
static void check_failing_allocation(struct ends *ends, long n)
{
    ends->client = memory_client_new(ends->client_context);
    buffer_init(&ends->output, OUTPUT_MAX_BYTES);
    certpost_error_clear(&ends->error);
    failure_happened = false;
    until_failure = n;
    counting = true;
    enum certpost_status status =
        tls_stream_new(ends->server_context, &ends->output, &ends->stream, &ends->error);
    counting = false;
    if (status != CERTPOST_OK) {
        assert_status(status, CERTPOST_NO_MEMORY);
        assert_null(ends->stream);
    }
    (void)memory_client_handshake(&ends->client);
    status = status == CERTPOST_OK ? CERTPOST_WANT_READ : status;
    while (status == CERTPOST_WANT_READ && ends_offer(ends, SIZE_MAX)) {
        counting = true;
        status = tls_stream_handshake(ends->stream, &ends->error);
        counting = false;
        ends_deliver(ends, SIZE_MAX);
    }
    until_failure = -1;
    assert_true(status == CERTPOST_OK || ends->error.text[0] != '\0' || failure_happened);
    assert_int_equal(ERR_peek_error(), 0);
    ends_disconnect(ends);
}

static void test_any_failing_allocation_is_survived(void **state)
{
    (void)state;
    assert_true(hooks_are_in);
    struct ends ends;
    ends_init_contexts(&ends, TLS1_3_VERSION);
    long n = 0;
    do {
        check_failing_allocation(&ends, n++);
    } while (failure_happened);
    assert_true(n > 100);
    ends_free(&ends);
}

UNIT_MAIN(cmocka_unit_test(test_output_has_a_maximum),
          cmocka_unit_test(test_output_at_its_maximum_in_the_handshake),
          cmocka_unit_test(test_calls_after_a_failure_are_refused),
          cmocka_unit_test(test_key_updates_without_data_are_limited),
          cmocka_unit_test(test_a_flood_of_key_updates_stops_at_the_limit),
          cmocka_unit_test(test_data_resets_the_count_of_key_updates),
          cmocka_unit_test(test_data_behind_requested_key_updates_is_read),
          cmocka_unit_test(test_old_versions_are_refused),
          cmocka_unit_test(test_another_protocol_is_refused),
          cmocka_unit_test(test_garbage_after_the_handshake_is_a_protocol_error),
          cmocka_unit_test(test_free_of_nothing), cmocka_unit_test(test_no_memory_for_the_stream),
          cmocka_unit_test(test_any_failing_allocation_is_survived))
