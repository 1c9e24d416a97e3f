/*
 * test_tls_stream.c — the server's TLS stream against OpenSSL's client, all in memory.
 *
 * What is offered to the stream lies in a block of its own that is freed when it is kept or used
 * up, so that the address sanitizer sees a borrow that lasts too long. OpenSSL's allocations go
 * through hooks that can make the n-th of them fail (linked with --wrap=calloc for our own).
 */
#include "support/memory_client.h"
#include "support/test_pki.h"
#include "support/unit.h"
#include "tls/settings.h"
#include "tls/stream.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdlib.h>

enum { OUTPUT_MAX_BYTES = 4 * 1024 * 1024, DATA_BYTES = 100 * 1000, RECORD_MAX_BYTES = 16 * 1024 };

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

/* ------------------------------------------------------------------------------ both ends */

struct ends {
    struct test_pki pki;
    SSL_CTX *server_context;
    SSL_CTX *client_context;
    struct memory_client client;
    struct tls_stream *stream;
    struct buffer output;
    struct certpost_error error;
    unsigned char *offered;
};

static void ends_init_contexts(struct ends *ends, int version)
{
    *ends = (struct ends){0};
    ends->pki = test_pki_make((struct test_leaf){0});
    ends->server_context = test_pki_server_context(&ends->pki, version);
    ends->client_context = test_pki_client_context(&ends->pki, version);
    struct tls_settings settings = {.min_version = version};
    assert_ok(tls_settings_apply(ends->server_context, &settings, NULL));
    SSL_CTX_set_num_tickets(ends->server_context, 0);
    SSL_CTX_set_options(ends->server_context, SSL_OP_NO_TICKET);
}

static void ends_connect(struct ends *ends, size_t output_max_bytes)
{
    ends->client = memory_client_new(ends->client_context);
    buffer_init(&ends->output, output_max_bytes);
    assert_ok(tls_stream_new(ends->server_context, &ends->output, &ends->stream, &ends->error));
}

static void ends_disconnect(struct ends *ends)
{
    tls_stream_free(ends->stream);
    ends->stream = NULL;
    memory_client_free(&ends->client);
    buffer_free(&ends->output);
    free(ends->offered);
    ends->offered = NULL;
}

static void ends_free(struct ends *ends)
{
    ends_disconnect(ends);
    SSL_CTX_free(ends->server_context);
    SSL_CTX_free(ends->client_context);
    test_pki_free(&ends->pki);
}

/* Offers at most `most` bytes of what the client has sent; false when there was nothing. */
static bool ends_offer(struct ends *ends, size_t most)
{
    size_t waiting = memory_client_waiting(&ends->client);
    size_t length = waiting < most ? waiting : most;
    if (length == 0)
        return false;
    assert_false(tls_stream_has_input(ends->stream));
    free(ends->offered);
    ends->offered = malloc(length);
    assert_non_null(ends->offered);
    assert_int_equal(memory_client_take(&ends->client, ends->offered, length), length);
    tls_stream_offer(ends->stream, ends->offered, length);
    return true;
}

static void ends_offer_all(struct ends *ends)
{
    assert_true(ends_offer(ends, SIZE_MAX));
}

static void ends_offer_bytes(struct ends *ends, const void *bytes, size_t length)
{
    free(ends->offered);
    ends->offered = malloc(length);
    assert_non_null(ends->offered);
    memcpy(ends->offered, bytes, length);
    tls_stream_offer(ends->stream, ends->offered, length);
}

static void ends_keep(struct ends *ends)
{
    assert_ok(tls_stream_keep(ends->stream));
    free(ends->offered);
    ends->offered = NULL;
}

/* Hands the stream's output to the client, `piece` bytes at a time. */
static void ends_deliver(struct ends *ends, size_t piece)
{
    while (ends->output.length > 0) {
        size_t length = ends->output.length < piece ? ends->output.length : piece;
        memory_client_give(&ends->client, buffer_bytes(&ends->output), length);
        buffer_consume(&ends->output, length);
        (void)memory_client_handshake(&ends->client);
    }
}

/* The handshake in pieces; how the stream's side ended. */
static enum certpost_status ends_handshake(struct ends *ends, size_t piece)
{
    enum certpost_status status = CERTPOST_WANT_READ;
    (void)memory_client_handshake(&ends->client);
    while (status == CERTPOST_WANT_READ && ends_offer(ends, piece)) {
        status = tls_stream_handshake(ends->stream, &ends->error);
        ends_keep(ends);
        ends_deliver(ends, piece);
    }
    return status;
}

static void ends_open(struct ends *ends, int version)
{
    ends_init_contexts(ends, version);
    ends_connect(ends, OUTPUT_MAX_BYTES);
    assert_ok(ends_handshake(ends, SIZE_MAX));
    assert_int_equal(memory_client_handshake(&ends->client), 1);
}

static enum certpost_status ends_read(struct ends *ends, char *ret_text, size_t capacity)
{
    size_t length = 0;
    enum certpost_status status = tls_stream_read(ends->stream, (unsigned char *)ret_text,
                                                  capacity - 1, &length, &ends->error);
    ret_text[status == CERTPOST_OK ? length : 0] = '\0';
    return status;
}

static void assert_read(struct ends *ends, const char *expected)
{
    char text[64];
    assert_ok(ends_read(ends, text, sizeof text));
    assert_string_equal(text, expected);
}

static void assert_read_ends(struct ends *ends, enum certpost_status expected)
{
    char text[64];
    assert_status(ends_read(ends, text, sizeof text), expected);
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
enum { VERSIONS = sizeof versions / sizeof versions[0] };

/* ------------------------------------------------------------------------------ cases */

static void test_handshake_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < VERSIONS; i++) {
        struct ends ends;
        ends_init_contexts(&ends, versions[i]);
        ends_connect(&ends, OUTPUT_MAX_BYTES);
        assert_ok(ends_handshake(&ends, 1));
        assert_int_equal(memory_client_handshake(&ends.client), 1);
        assert_int_equal(SSL_version(tls_stream_ssl(ends.stream)), versions[i]);
        ends_free(&ends);
    }
}

static void test_handshake_waits_for_more(void **state)
{
    (void)state;
    struct ends ends;
    ends_init_contexts(&ends, TLS1_3_VERSION);
    ends_connect(&ends, OUTPUT_MAX_BYTES);
    assert_status(tls_stream_handshake(ends.stream, &ends.error), CERTPOST_WANT_READ);
    assert_int_equal(ends.output.length, 0);
    assert_int_equal(ends.error.status, CERTPOST_OK);
    ends_free(&ends);
}

static void test_data_to_the_server(void **state)
{
    (void)state;
    static unsigned char sent[DATA_BYTES];
    static unsigned char got[DATA_BYTES + 1];
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t piece = 1000; piece <= TLS_STREAM_INPUT_MAX_BYTES; piece *= 8) {
        struct ends ends;
        size_t total = 0;
        ends_open(&ends, TLS1_3_VERSION);
        memory_client_write(&ends.client, sent, sizeof sent);
        while (ends_offer(&ends, piece)) {
            size_t length = 0;
            while (tls_stream_read(ends.stream, got + total, sizeof got - total, &length,
                                   &ends.error) == CERTPOST_OK) {
                assert_in_range(length, 1, RECORD_MAX_BYTES);
                total += length;
            }
            assert_int_equal(ends.error.status, CERTPOST_OK);
            ends_keep(&ends);
        }
        assert_int_equal(total, sizeof sent);
        assert_memory_equal(got, sent, sizeof sent);
        ends_free(&ends);
    }
}

static void test_data_to_the_client(void **state)
{
    (void)state;
    static unsigned char sent[DATA_BYTES];
    static unsigned char got[DATA_BYTES + 1];
    memset(sent, 'r', sizeof sent);
    struct ends ends;
    int reason = 0;
    size_t total = 0;
    ends_open(&ends, TLS1_3_VERSION);
    assert_ok(tls_stream_write(ends.stream, sent, sizeof sent, &ends.error));
    ends_deliver(&ends, SIZE_MAX);
    for (int length = 0; length >= 0; total += (size_t)(length > 0 ? length : 0))
        length = memory_client_read(&ends.client, got + total, sizeof got - total, &reason);
    assert_int_equal(reason, SSL_ERROR_WANT_READ);
    assert_int_equal(total, sizeof sent);
    assert_memory_equal(got, sent, sizeof sent);
    ends_free(&ends);
}

static void test_write_of_nothing_sends_nothing(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends, TLS1_3_VERSION);
    assert_ok(tls_stream_write(ends.stream, (const unsigned char *)"", 0, &ends.error));
    assert_int_equal(ends.output.length, 0);
    ends_free(&ends);
}

static void test_keep_in_the_middle_of_a_record(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends, TLS1_3_VERSION);
    for (size_t cut = 0;; cut++) {
        char text[64];
        char all[128] = "";
        memory_client_write(&ends.client, "hello ", 6);
        memory_client_write(&ends.client, "world", 5);
        size_t whole = memory_client_waiting(&ends.client);
        bool first_is_kept_unread = cut % 2 == 0;
        (void)ends_offer(&ends, cut);
        if (first_is_kept_unread)
            ends_keep(&ends);
        while (ends_read(&ends, text, sizeof text) == CERTPOST_OK)
            strncat(all, text, sizeof all - strlen(all) - 1);
        ends_keep(&ends);
        (void)ends_offer(&ends, SIZE_MAX);
        while (ends_read(&ends, text, sizeof text) == CERTPOST_OK)
            strncat(all, text, sizeof all - strlen(all) - 1);
        assert_false(tls_stream_has_input(ends.stream));
        ends_keep(&ends);
        assert_string_equal(all, "hello world");
        if (cut == whole)
            break;
    }
    ends_free(&ends);
}

/* A paused owner reads one record, the rest is kept, and nothing of it is lost. */
static void test_keep_between_records(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends, TLS1_3_VERSION);
    memory_client_write(&ends.client, "one", 3);
    memory_client_write(&ends.client, "two", 3);
    memory_client_write(&ends.client, "three", 5);
    ends_offer_all(&ends);
    assert_read(&ends, "one");
    assert_true(tls_stream_has_input(ends.stream));
    ends_keep(&ends);
    assert_true(tls_stream_has_input(ends.stream));
    assert_read(&ends, "two");
    ends_keep(&ends);
    assert_read(&ends, "three");
    assert_read_ends(&ends, CERTPOST_WANT_READ);
    assert_false(tls_stream_has_input(ends.stream));
    ends_free(&ends);
}

static void test_keep_is_bounded(void **state)
{
    (void)state;
    static unsigned char input[TLS_STREAM_INPUT_MAX_BYTES];
    struct ends ends;
    ends_init_contexts(&ends, TLS1_3_VERSION);
    ends_connect(&ends, OUTPUT_MAX_BYTES);
    tls_stream_offer(ends.stream, input, sizeof input);
    assert_ok(tls_stream_keep(ends.stream));
    tls_stream_offer(ends.stream, input, 1);
    assert_status(tls_stream_keep(ends.stream), CERTPOST_LIMIT);
    ends_free(&ends);
}

static void test_small_reads_of_one_record(void **state)
{
    (void)state;
    struct ends ends;
    char text[4];
    ends_open(&ends, TLS1_3_VERSION);
    memory_client_write(&ends.client, "abcdefgh", 8);
    ends_offer_all(&ends);
    static const char *const pieces[] = {"abc", "def", "gh"};
    for (size_t i = 0; i < 3; i++) {
        assert_ok(ends_read(&ends, text, sizeof text));
        assert_string_equal(text, pieces[i]);
        ends_keep(&ends);
    }
    assert_read_ends(&ends, CERTPOST_WANT_READ);
    ends_free(&ends);
}

static void test_close_notify_is_a_clean_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < VERSIONS; i++) {
        struct ends ends;
        ends_open(&ends, versions[i]);
        memory_client_write(&ends.client, "last", 4);
        (void)SSL_shutdown(ends.client.ssl);
        ends_offer_all(&ends);
        tls_stream_end_input(ends.stream);
        assert_read(&ends, "last");
        assert_read_ends(&ends, CERTPOST_CLOSED);
        assert_read_ends(&ends, CERTPOST_CLOSED);
        ends_free(&ends);
    }
}

/* The peer has said all it had to say, and still waits for its replies. */
static void test_replies_can_follow_the_peers_close_notify(void **state)
{
    (void)state;
    struct ends ends;
    char reply[16] = "";
    int reason = 0;
    ends_open(&ends, TLS1_3_VERSION);
    (void)SSL_shutdown(ends.client.ssl);
    ends_offer_all(&ends);
    assert_read_ends(&ends, CERTPOST_CLOSED);
    assert_ok(tls_stream_write(ends.stream, (const unsigned char *)"reply", 5, &ends.error));
    tls_stream_close(ends.stream);
    ends_deliver(&ends, SIZE_MAX);
    assert_int_equal(memory_client_read(&ends.client, reply, sizeof reply, &reason), 5);
    assert_string_equal(reply, "reply");
    assert_int_equal(memory_client_read(&ends.client, reply, sizeof reply, &reason), -1);
    assert_int_equal(reason, SSL_ERROR_ZERO_RETURN);
    ends_free(&ends);
}

static void test_end_without_close_notify_is_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < VERSIONS; i++) {
        struct ends ends;
        ends_open(&ends, versions[i]);
        memory_client_write(&ends.client, "data", 4);
        ends_offer_all(&ends);
        tls_stream_end_input(ends.stream);
        assert_read(&ends, "data");
        assert_read_ends(&ends, CERTPOST_TRUNCATED);
        assert_int_equal(ends.error.status, CERTPOST_TRUNCATED);
        ends_free(&ends);
    }
}

static void test_end_inside_a_record_is_truncation(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends, TLS1_3_VERSION);
    memory_client_write(&ends.client, "never whole", 11);
    assert_true(ends_offer(&ends, 12));
    tls_stream_end_input(ends.stream);
    assert_read_ends(&ends, CERTPOST_TRUNCATED);
    ends_free(&ends);
}

static void test_end_inside_the_handshake_is_truncation(void **state)
{
    (void)state;
    struct ends ends;
    ends_init_contexts(&ends, TLS1_3_VERSION);
    ends_connect(&ends, OUTPUT_MAX_BYTES);
    (void)memory_client_handshake(&ends.client);
    assert_true(ends_offer(&ends, 20));
    tls_stream_end_input(ends.stream);
    assert_status(tls_stream_handshake(ends.stream, &ends.error), CERTPOST_TRUNCATED);
    assert_status(tls_stream_handshake(ends.stream, &ends.error), CERTPOST_INTERNAL);
    ends_free(&ends);
}

/* A record that carries no data must not hide the end that comes with it. */
static void test_end_after_a_record_without_data_is_seen(void **state)
{
    (void)state;
    struct ends ends;
    ends_open(&ends, TLS1_3_VERSION);
    assert_int_equal(SSL_key_update(ends.client.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    assert_int_equal(memory_client_handshake(&ends.client), 1);
    ends_offer_all(&ends);
    tls_stream_end_input(ends.stream);
    assert_read_ends(&ends, CERTPOST_TRUNCATED);
    ends_free(&ends);
}

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

static void test_close_notify_is_sent_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < VERSIONS; i++) {
        struct ends ends;
        char text[8];
        int reason = 0;
        ends_open(&ends, versions[i]);
        tls_stream_close(ends.stream);
        assert_true(ends.output.length > 0);
        ends_deliver(&ends, SIZE_MAX);
        assert_int_equal(memory_client_read(&ends.client, text, sizeof text, &reason), -1);
        assert_int_equal(reason, SSL_ERROR_ZERO_RETURN);
        tls_stream_close(ends.stream);
        assert_int_equal(ends.output.length, 0);
        ends_free(&ends);
    }
}

static void test_no_close_notify_before_the_handshake(void **state)
{
    (void)state;
    struct ends ends;
    ends_init_contexts(&ends, TLS1_3_VERSION);
    ends_connect(&ends, OUTPUT_MAX_BYTES);
    tls_stream_close(ends.stream);
    assert_int_equal(ends.output.length, 0);
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

UNIT_MAIN(cmocka_unit_test(test_handshake_byte_by_byte),
          cmocka_unit_test(test_handshake_waits_for_more),
          cmocka_unit_test(test_data_to_the_server), cmocka_unit_test(test_data_to_the_client),
          cmocka_unit_test(test_write_of_nothing_sends_nothing),
          cmocka_unit_test(test_keep_in_the_middle_of_a_record),
          cmocka_unit_test(test_keep_between_records), cmocka_unit_test(test_keep_is_bounded),
          cmocka_unit_test(test_small_reads_of_one_record),
          cmocka_unit_test(test_close_notify_is_a_clean_end),
          cmocka_unit_test(test_replies_can_follow_the_peers_close_notify),
          cmocka_unit_test(test_end_without_close_notify_is_truncation),
          cmocka_unit_test(test_end_inside_a_record_is_truncation),
          cmocka_unit_test(test_end_inside_the_handshake_is_truncation),
          cmocka_unit_test(test_end_after_a_record_without_data_is_seen),
          cmocka_unit_test(test_output_has_a_maximum),
          cmocka_unit_test(test_output_at_its_maximum_in_the_handshake),
          cmocka_unit_test(test_close_notify_is_sent_once),
          cmocka_unit_test(test_no_close_notify_before_the_handshake),
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
