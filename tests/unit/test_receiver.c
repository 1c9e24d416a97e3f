/* test_receiver.c — the server's role, frame by frame: docs/protocol.md, sections 6 to 10. */
#include "base/clock.h"
#include "support/protocol_doc.h"
#include "support/receiver_bench.h"
#include "support/states.h"

static void test_conversation_of_the_document(void **state)
{
    (void)state;
    struct doc_block client = doc_block("conversation-client");
    struct doc_block server = doc_block("conversation-server");
    for (size_t piece = 1; piece <= 9; piece += 4) {
        struct bench bench = bench_start();
        for (size_t at = 0; at < 9; at += piece) /* HELLO, and no more before WELCOME */
            bench_input(&bench, client.bytes + at, piece < 9 - at ? piece : 9 - at);
        assert_true(bench.open_asked);
        bench_opened(&bench, 0);
        for (size_t at = 9; at < client.length; at += piece)
            bench_input(&bench, client.bytes + at,
                        piece < client.length - at ? piece : client.length - at);
        assert_int_equal(bench.last_stored, 2);
        bench_commit(&bench, 2);
        assert_ok(receiver_output(bench.receiver, &bench.output));
        assert_int_equal(bench.output.length, server.length);
        assert_memory_equal(buffer_bytes(&bench.output), server.bytes, server.length);
        bench_effects(&bench);
        assert_true(bench.closed);
        bench_end(&bench);
    }
}

static void test_digests_of_the_document(void **state)
{
    (void)state;
    struct chain *chain = NULL;
    unsigned char digest[CHAIN_DIGEST_BYTES];
    assert_ok(chain_new(&chain, NULL));
    assert_ok(chain_first(chain, NULL, 0, "demo", 4, digest));
    assert_memory_equal(digest, doc_block("digest-0").bytes, sizeof digest);
    assert_ok(chain_next(chain, digest, "Hello, server!", 14, digest));
    assert_memory_equal(digest, doc_block("digest-1").bytes, sizeof digest);
    assert_ok(chain_next(chain, digest, NULL, 0, digest));
    assert_memory_equal(digest, doc_block("digest-2").bytes, sizeof digest);
    assert_ok(chain_first(chain, "dns:sensor-7.example", 20, "audit", 5, digest));
    assert_memory_equal(digest, doc_block("digest-identity-0").bytes, sizeof digest);
    assert_ok(chain_next(chain, digest, "x", 1, digest));
    assert_memory_equal(digest, doc_block("digest-identity-1").bytes, sizeof digest);
    chain_free(chain);
}

static void test_states_of_the_document(void **state)
{
    (void)state;
    size_t count = 0;
    const struct machine_state *states = receiver_states(&count);
    assert_int_equal(count, 6);
    assert_states_are_documented(states, count, "### 10.1");
}

static void test_nothing_is_acknowledged_before_it_is_committed(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    for (unsigned i = 0; i < 3; i++)
        bench_send_message(&bench, 5);
    assert_string_equal(bench_output(&bench), "");
    assert_false(receiver_has_output(bench.receiver));
    bench_commit(&bench, 1);
    bench_commit(&bench, 3);
    assert_string_equal(bench_output(&bench), "ACK 3");
    assert_string_equal(bench_output(&bench), "");
    assert_int_equal(receiver_unacked_bytes(bench.receiver), 0);
    bench_end(&bench);
}

static void test_numbers_go_on_from_the_head(void **state)
{
    (void)state;
    struct bench bench = bench_start();
    bench_send_hello(&bench);
    bench_opened(&bench, 41);
    bench_send_message(&bench, 0);
    assert_int_equal(bench.last_stored, 42);
    bench_end(&bench);
}

static void test_the_window_is_kept(void **state)
{
    (void)state;
    for (uint32_t less = 0; less <= 1; less++) {
        struct bench bench = bench_config();
        bench.config->max_message_bytes = 100;
        bench.config->window_bytes = 3 * (100 + MESSAGE_OVERHEAD_BYTES) - less;
        bench_start_with(&bench, (struct message_span){NULL, 0});
        bench_send_hello(&bench);
        bench_opened(&bench, 0);
        for (unsigned i = 0; i < 3; i++)
            bench_send_message(&bench, 100);
        assert_status(bench.input_status, less == 0 ? CERTPOST_OK : CERTPOST_PROTOCOL);
        assert_int_equal(receiver_unacked_messages(bench.receiver), 3 - less);
        bench_commit(&bench, 2);
        assert_string_equal(bench_output(&bench),
                            less == 0 ? "WELCOME ACK 2" : "WELCOME ACK 2 GOAWAY protocol");
        if (less == 0)
            bench_commit(&bench, 3);
        bench_end(&bench);
    }
}

static void test_a_too_long_message_is_refused_at_its_header(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    bench_send_message(&bench, 1);
    INPUT(&bench, 3, 0x10, 0, 1);
    assert_status(bench.input_status, CERTPOST_LIMIT);
    assert_string_equal(bench_output(&bench), "");
    bench_commit(&bench, 1);
    assert_string_equal(bench_output(&bench), "ACK 1 REJECT 2 too_large");
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_an_exhausted_stream(void **state)
{
    (void)state;
    struct bench bench = bench_start();
    bench_send_hello(&bench);
    bench_opened(&bench, MESSAGE_SEQ_MAX - 1);
    bench_send_message(&bench, 1);
    assert_true(bench.last_stored == MESSAGE_SEQ_MAX);
    bench_send_message(&bench, 1);
    assert_status(bench.input_status, CERTPOST_LIMIT);
    assert_string_equal(bench_output(&bench), "WELCOME GOAWAY exhausted");
    bench_end(&bench);
}

static void test_reject_waits_for_the_messages_before(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    for (unsigned i = 0; i < 4; i++)
        bench_send_message(&bench, 5);
    assert_status(receiver_reject(bench.receiver, 5, 33, "no", 0, NULL), CERTPOST_INTERNAL);
    assert_ok(receiver_reject(bench.receiver, 3, 300, "no", 0, NULL));
    assert_int_equal(receiver_unacked_messages(bench.receiver), 2);
    bench_commit(&bench, 1);
    assert_string_equal(bench_output(&bench), "ACK 1");
    assert_false(bench.closed);
    bench_commit(&bench, 2);
    assert_string_equal(bench_output(&bench), "ACK 2 REJECT 3 application");
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_reject_turns_into_goaway_when_the_store_fails(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    bench_send_message(&bench, 5);
    bench_send_message(&bench, 5);
    assert_ok(receiver_reject(bench.receiver, 2, 33, "no", 0, NULL));
    receiver_lost(bench.receiver, MESSAGE_CODE_STORE_FAILED, "the disk", 0);
    assert_string_equal(bench_output(&bench), "GOAWAY store_failed");
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_what_is_lost_is_never_acknowledged(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    for (unsigned i = 0; i < 3; i++)
        bench_send_message(&bench, 5);
    bench_commit(&bench, 1);
    receiver_lost(bench.receiver, MESSAGE_CODE_SUPERSEDED, "newer", 0);
    bench_send_message(&bench, 5);
    assert_int_equal(bench.last_stored, 3);
    assert_string_equal(bench_output(&bench), "ACK 1 GOAWAY superseded");
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_drain_acknowledges_what_is_pending(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    bench_send_message(&bench, 5);
    receiver_go_away(bench.receiver, MESSAGE_CODE_SHUTTING_DOWN, "restarting", 0);
    assert_string_equal(bench_output(&bench), "GOAWAY shutting_down");
    bench_send_message(&bench, 5);
    assert_int_equal(bench.last_stored, 1);
    assert_false(bench.closed);
    bench_commit(&bench, 1);
    assert_string_equal(bench_output(&bench), "ACK 1");
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_a_level_that_is_not_there(void **state)
{
    (void)state;
    struct bench bench = bench_start();
    INPUT(&bench, 1, 0, 0, 8, 4, 'd', 'e', 'm', 'o', 1, 1, 2);
    assert_false(bench.open_asked);
    assert_string_equal(bench_output(&bench), "GOAWAY level_unavailable");
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_a_stream_that_may_not_be_written(void **state)
{
    (void)state;
    struct bench bench = bench_start();
    bench_send_hello(&bench);
    receiver_lost(bench.receiver, MESSAGE_CODE_NOT_ALLOWED, "not yours", 0);
    struct committed head = {.seq = 0};
    assert_ok(receiver_opened(bench.receiver, &head, 0, NULL));
    assert_string_equal(bench_output(&bench), "GOAWAY not_allowed");
    bench_end(&bench);
}

static void check_broken(struct bench bench, const char *expected)
{
    assert_status(bench.input_status, CERTPOST_PROTOCOL);
    assert_string_equal(bench_output(&bench), expected);
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_frames_at_the_wrong_time(void **state)
{
    (void)state;
    struct bench bench = bench_start();
    bench_send_message(&bench, 1);
    check_broken(bench, "GOAWAY protocol");
    bench = bench_start();
    INPUT(&bench, 8, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8);
    check_broken(bench, "GOAWAY protocol");
    bench = bench_start();
    bench_send_hello(&bench);
    bench_send_message(&bench, 1);
    check_broken(bench, "GOAWAY protocol");
    bench = bench_open();
    bench_send_hello(&bench);
    check_broken(bench, "GOAWAY protocol");
    bench = bench_open();
    INPUT(&bench, 7, 0, 0, 0, 3, 0, 0, 0);
    check_broken(bench, "GOAWAY protocol");
    bench = bench_open();
    INPUT(&bench, 10, 0, 0, 0);
    check_broken(bench, "GOAWAY protocol");
    bench = bench_start();
    INPUT(&bench, 'G', 'E', 'T', ' ', '/');
    check_broken(bench, "GOAWAY protocol");
}

static void test_a_message_that_does_not_wait_for_welcome(void **state)
{
    (void)state;
    struct bench bench = bench_start();
    struct committed head = {.seq = 7};
    bench_send_hello(&bench);
    assert_ok(receiver_opened(bench.receiver, &head, 0, NULL));
    bench_send_message(&bench, 1);
    check_broken(bench, "WELCOME GOAWAY protocol");
}

static void test_the_last_ping_is_answered(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    INPUT(&bench, 8, 0, 0, 8, 1, 1, 1, 1, 1, 1, 1, 1, 8, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8);
    assert_ok(receiver_output(bench.receiver, &bench.output));
    struct doc_block pong = doc_block("pong");
    assert_int_equal(bench.output.length, pong.length);
    assert_memory_equal(buffer_bytes(&bench.output), pong.bytes, pong.length);
    bench_end(&bench);
}

static void test_close_notify_means_bye(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    bench_send_message(&bench, 5);
    assert_ok(receiver_input_ended(bench.receiver, true, 0));
    bench_effects(&bench);
    assert_false(bench.closed);
    bench_commit(&bench, 1);
    assert_string_equal(bench_output(&bench), "ACK 1");
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_close_notify_within_a_frame_drops_the_frame(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    bench_send_message(&bench, 5);
    INPUT(&bench, 3, 0, 0, 5, 'h', 'a', 'l', 'f');
    assert_status(receiver_input_ended(bench.receiver, true, 0), CERTPOST_TRUNCATED);
    bench_commit(&bench, 1);
    assert_string_equal(bench_output(&bench), "ACK 1");
    assert_int_equal(bench.last_stored, 1);
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_a_truncated_connection_ends_at_once(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    bench_send_message(&bench, 5);
    assert_status(receiver_input_ended(bench.receiver, false, 0), CERTPOST_TRUNCATED);
    bench_effects(&bench);
    assert_true(bench.closed);
    bench_commit(&bench, 1); /* it is stored all the same; nobody is there to be told */
    assert_string_equal(bench_output(&bench), "");
    bench_end(&bench);
}

static void bench_tick_at(struct bench *bench, int64_t now_ms, enum certpost_status expected)
{
    bench->now_ms = now_ms;
    assert_status(receiver_tick(bench->receiver, now_ms, NULL), expected);
}

static void test_hello_must_come_in_time(void **state)
{
    (void)state;
    struct bench bench = bench_start();
    assert_int_equal(receiver_next_deadline_ms(bench.receiver), 1000);
    bench.now_ms = 900;
    INPUT(&bench, 1, 0, 0, 5, 4, 'd'); /* a drop of bytes does not extend it */
    bench_tick_at(&bench, 999, CERTPOST_OK);
    bench_tick_at(&bench, 1000, CERTPOST_TIMEOUT);
    assert_string_equal(bench_output(&bench), "GOAWAY idle");
    bench_end(&bench);
}

static void test_idle_time_stands_still_while_the_store_works(void **state)
{
    (void)state;
    struct bench bench = bench_start();
    bench_send_hello(&bench);
    assert_true(receiver_next_deadline_ms(bench.receiver) == CLOCK_NEVER_MS);
    bench_opened(&bench, 0);
    assert_int_equal(receiver_next_deadline_ms(bench.receiver), 60000);
    bench_send_message(&bench, 1);
    assert_true(receiver_next_deadline_ms(bench.receiver) == CLOCK_NEVER_MS);
    bench.now_ms = 100000;
    bench_commit(&bench, 1);
    assert_int_equal(receiver_next_deadline_ms(bench.receiver), 160000);
    receiver_defer_idle(bench.receiver, 110000);
    assert_int_equal(receiver_next_deadline_ms(bench.receiver), 170000);
    bench_tick_at(&bench, 170000, CERTPOST_TIMEOUT);
    assert_string_equal(bench_output(&bench), "WELCOME ACK 1 GOAWAY idle");
    bench_end(&bench);
}

static void test_only_progress_extends_the_idle_time(void **state)
{
    (void)state;
    static const unsigned char zeros[16384];
    struct bench bench = bench_open();
    bench.now_ms = 10000;
    INPUT(&bench, 3, 0, 0xff, 0xff, 1, 2, 3);
    assert_int_equal(receiver_next_deadline_ms(bench.receiver), 60000);
    bench_input(&bench, zeros, 16384 - 8);
    assert_int_equal(receiver_next_deadline_ms(bench.receiver), 60000);
    bench_input(&bench, zeros, 1);
    assert_int_equal(receiver_next_deadline_ms(bench.receiver), 70000);
    bench_end(&bench);
}

static void test_drain_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    bench_send_message(&bench, 5);
    INPUT(&bench, 7, 0, 0, 0);
    assert_int_equal(receiver_next_deadline_ms(bench.receiver), 5000);
    bench_tick_at(&bench, 5000, CERTPOST_TIMEOUT);
    bench_effects(&bench);
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_a_store_that_lies_is_not_believed(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    bench_send_message(&bench, 5);
    struct committed wrong = bench.stored[1];
    wrong.digest[0] ^= 1;
    assert_status(receiver_committed(bench.receiver, &wrong, 0, NULL), CERTPOST_INTERNAL);
    assert_string_equal(bench_output(&bench), "GOAWAY internal");
    assert_true(bench.closed);
    bench_end(&bench);
    bench = bench_open();
    struct committed never = {.seq = 1};
    assert_status(receiver_committed(bench.receiver, &never, 0, NULL), CERTPOST_INTERNAL);
    bench_end(&bench);
    bench = bench_start();
    bench_send_hello(&bench);
    assert_status(receiver_opened(bench.receiver, &(struct committed){.seq = 0}, 0, NULL),
                  CERTPOST_INTERNAL);
    bench_end(&bench);
}

static void test_output_that_does_not_fit_stays_due(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    bench_send_message(&bench, 5);
    bench_commit(&bench, 1);
    struct buffer small;
    buffer_init(&small, 43);
    assert_status(receiver_output(bench.receiver, &small), CERTPOST_LIMIT);
    assert_int_equal(small.length, 0);
    assert_string_equal(bench_output(&bench), "ACK 1");
    buffer_free(&small);
    bench_end(&bench);
}

static void test_configs_that_contradict_themselves(void **state)
{
    (void)state;
    struct bench bench = bench_config();
    struct receiver *receiver = NULL;
    struct message_span nobody = {NULL, 0};
    bench.config->window_bytes = bench.config->max_message_bytes + MESSAGE_OVERHEAD_BYTES - 1;
    assert_status(receiver_new(bench.config, NULL, nobody, 0, &receiver, NULL), CERTPOST_USAGE);
    bench.config->window_bytes++;
    bench.config->idle_timeout_ms = (int64_t)UINT32_MAX + 1;
    assert_status(receiver_new(bench.config, NULL, nobody, 0, &receiver, NULL), CERTPOST_USAGE);
    receiver_free(NULL);
    free(bench.config);
}

/* Whole sessions of noise: a verdict, a bounded answer, an end; never a crash or a spin. */
static void test_random_bytes_end_in_a_verdict(void **state)
{
    (void)state;
    uint32_t random = 5;
    for (unsigned round = 0; round < 5000; round++) {
        struct bench bench = round % 2 == 0 ? bench_open() : bench_start();
        unsigned char bytes[96];
        for (size_t i = 0; i < sizeof bytes; i++) {
            random = random * 1664525U + 1013904223U;
            bytes[i] = (unsigned char)(i % 4 == 0 ? (random >> 24) % 12 : (random >> 24) % 3);
        }
        bench_input(&bench, bytes, sizeof bytes);
        (void)receiver_input_ended(bench.receiver, true, 0);
        if (receiver_unacked_messages(bench.receiver) > 0)
            bench_commit(&bench, bench.last_stored);
        receiver_lost(bench.receiver, MESSAGE_CODE_BUSY, "", 0);
        bench_output(&bench);
        assert_true(bench.closed);
        bench_end(&bench);
    }
}

UNIT_MAIN(cmocka_unit_test(test_conversation_of_the_document),
          cmocka_unit_test(test_digests_of_the_document),
          cmocka_unit_test(test_states_of_the_document),
          cmocka_unit_test(test_nothing_is_acknowledged_before_it_is_committed),
          cmocka_unit_test(test_numbers_go_on_from_the_head),
          cmocka_unit_test(test_the_window_is_kept),
          cmocka_unit_test(test_a_too_long_message_is_refused_at_its_header),
          cmocka_unit_test(test_an_exhausted_stream),
          cmocka_unit_test(test_reject_waits_for_the_messages_before),
          cmocka_unit_test(test_reject_turns_into_goaway_when_the_store_fails),
          cmocka_unit_test(test_what_is_lost_is_never_acknowledged),
          cmocka_unit_test(test_drain_acknowledges_what_is_pending),
          cmocka_unit_test(test_a_level_that_is_not_there),
          cmocka_unit_test(test_a_stream_that_may_not_be_written),
          cmocka_unit_test(test_frames_at_the_wrong_time),
          cmocka_unit_test(test_a_message_that_does_not_wait_for_welcome),
          cmocka_unit_test(test_the_last_ping_is_answered),
          cmocka_unit_test(test_close_notify_means_bye),
          cmocka_unit_test(test_close_notify_within_a_frame_drops_the_frame),
          cmocka_unit_test(test_a_truncated_connection_ends_at_once),
          cmocka_unit_test(test_hello_must_come_in_time),
          cmocka_unit_test(test_idle_time_stands_still_while_the_store_works),
          cmocka_unit_test(test_only_progress_extends_the_idle_time),
          cmocka_unit_test(test_drain_does_not_wait_for_ever),
          cmocka_unit_test(test_a_store_that_lies_is_not_believed),
          cmocka_unit_test(test_output_that_does_not_fit_stays_due),
          cmocka_unit_test(test_configs_that_contradict_themselves),
          cmocka_unit_test(test_random_bytes_end_in_a_verdict))
