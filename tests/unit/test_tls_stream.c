/*
 * test_tls_stream.c — the server's TLS stream against OpenSSL's client (support/stream_ends.h):
 * handshake, data, what is kept, and how a connection ends.
 */
#include "support/stream_ends.h"

enum { DATA_BYTES = 100 * 1000 };

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
enum { VERSIONS = sizeof versions / sizeof versions[0] };

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
          cmocka_unit_test(test_close_notify_is_sent_once),
          cmocka_unit_test(test_no_close_notify_before_the_handshake))
