/* test_receiver_receipt.c — the server's role: receipts (docs/protocol.md, section 4.9). */
#include "base/clock.h"
#include "support/receiver_bench.h"

/* A receiver that gives receipts, behind WELCOME for an empty stream. */
static struct bench bench_proving(void)
{
    struct bench bench = bench_config();
    bench.config->receipts = true;
    bench_start_with(&bench, (struct message_span){NULL, 0});
    bench_send_hello(&bench);
    bench_opened(&bench, 0);
    assert_string_equal(bench_output(&bench), "WELCOME");
    return bench;
}

static void bench_request(struct bench *bench)
{
    INPUT(bench, 10, 0, 0, 0);
}

static void bench_sign(struct bench *bench)
{
    struct message_receipt receipt = {{(const unsigned char *)"claim", 5},
                                      {(const unsigned char *)"sig", 3}};
    assert_ok(receiver_append_receipt(bench->receiver, &bench->output, &receipt));
}

static void test_a_receipt_comes_after_its_acknowledgement(void **state)
{
    (void)state;
    struct bench bench = bench_config();
    bench.config->receipts = true;
    bench_start_with(&bench, (struct message_span){NULL, 0});
    bench_send_hello(&bench);
    bench_opened(&bench, 0);
    assert_string_equal(bench_output(&bench), "WELCOME");
    bench_send_message(&bench, 5);
    INPUT(&bench, 10, 0, 0, 0, 7, 0, 0, 0);
    assert_false(bench.receipt_asked);
    bench_commit(&bench, 1);
    bench_effects(&bench);
    assert_true(bench.receipt_asked);
    struct message_receipt receipt = {{(const unsigned char *)"claim", 5},
                                      {(const unsigned char *)"sig", 3}};
    assert_ok(receiver_append_receipt(bench.receiver, &bench.output, &receipt));
    assert_string_equal(bench_output(&bench), "ACK 1 RECEIPT");
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_a_second_receipt_request_breaks_the_protocol(void **state)
{
    (void)state;
    struct bench bench = bench_config();
    bench.config->receipts = true;
    bench_start_with(&bench, (struct message_span){NULL, 0});
    bench_send_hello(&bench);
    bench_opened(&bench, 0);
    bench_send_message(&bench, 5);
    INPUT(&bench, 10, 0, 0, 0, 10, 0, 0, 0);
    assert_status(bench.input_status, CERTPOST_PROTOCOL);
    bench_end(&bench);
}

static void test_a_receipt_for_an_empty_stream(void **state)
{
    (void)state;
    struct bench bench = bench_proving();
    bench_request(&bench);
    assert_true(bench.receipt_asked);
    assert_int_equal(bench.receipt_head.seq, 0);
    bench_sign(&bench);
    assert_string_equal(bench_output(&bench), "RECEIPT");
    bench_end(&bench);
}

static void test_one_receipt_after_the_other(void **state)
{
    (void)state;
    struct bench bench = bench_proving();
    for (unsigned round = 1; round <= 3; round++) {
        bench_send_message(&bench, 5);
        bench_request(&bench);
        bench_commit(&bench, round);
        bench_effects(&bench);
        assert_true(bench.receipt_asked);
        assert_int_equal(bench.receipt_head.seq, round);
        bench.receipt_asked = false;
        bench_sign(&bench);
        assert_memory_equal(bench_output(&bench), "ACK", 3);
    }
    bench_end(&bench);
}

static void test_messages_go_on_while_a_receipt_is_signed(void **state)
{
    (void)state;
    struct bench bench = bench_proving();
    bench_request(&bench);
    bench_send_message(&bench, 5);
    bench_commit(&bench, 1);
    assert_string_equal(bench_output(&bench), "ACK 1");
    assert_int_equal(bench.receipt_head.seq, 0);
    assert_int_equal(receiver_next_deadline_ms(bench.receiver), CLOCK_NEVER_MS);
    bench_sign(&bench);
    assert_string_equal(bench_output(&bench), "RECEIPT");
    bench_end(&bench);
}

static void test_without_receipts_a_request_breaks_the_protocol(void **state)
{
    (void)state;
    struct bench bench = bench_open();
    bench_request(&bench);
    assert_status(bench.input_status, CERTPOST_PROTOCOL);
    assert_string_equal(bench_output(&bench), "GOAWAY protocol");
    bench_end(&bench);
}

static void test_a_drain_waits_for_the_receipt(void **state)
{
    (void)state;
    struct bench bench = bench_proving();
    bench_send_message(&bench, 5);
    bench_request(&bench);
    receiver_go_away(bench.receiver, MESSAGE_CODE_SHUTTING_DOWN, "", 0);
    assert_string_equal(bench_output(&bench), "");
    bench_commit(&bench, 1);
    assert_string_equal(bench_output(&bench), "ACK 1");
    assert_true(bench.receipt_asked);
    assert_false(bench.closed);
    receiver_go_away(bench.receiver, MESSAGE_CODE_BUSY, "", 0); /* said once is enough */
    bench_sign(&bench);
    assert_string_equal(bench_output(&bench), "RECEIPT GOAWAY shutting_down");
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_a_drain_does_not_wait_for_ever(void **state)
{
    (void)state;
    struct bench bench = bench_proving();
    bench_request(&bench);
    receiver_go_away(bench.receiver, MESSAGE_CODE_SHUTTING_DOWN, "", 0);
    assert_int_equal(receiver_next_deadline_ms(bench.receiver), 5000);
    assert_status(receiver_tick(bench.receiver, 5000, NULL), CERTPOST_TIMEOUT);
    bench_effects(&bench);
    assert_true(bench.closed);
    bench_sign(&bench); /* too late */
    assert_int_equal(bench.output.length, 0);
    bench_end(&bench);
}

static void test_what_cannot_be_signed_is_said(void **state)
{
    (void)state;
    struct bench bench = bench_proving();
    bench_request(&bench);
    bench_send_message(&bench, 5);
    receiver_refuse_receipt(bench.receiver, MESSAGE_CODE_INTERNAL, "no receipt", 0);
    assert_string_equal(bench_output(&bench), "GOAWAY internal");
    bench_commit(&bench, 1);
    assert_string_equal(bench_output(&bench), "ACK 1");
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_a_receipt_that_fails_while_draining(void **state)
{
    (void)state;
    struct bench bench = bench_proving();
    bench_request(&bench);
    receiver_go_away(bench.receiver, MESSAGE_CODE_SHUTTING_DOWN, "", 0);
    receiver_refuse_receipt(bench.receiver, MESSAGE_CODE_INTERNAL, "", 0);
    assert_string_equal(bench_output(&bench), "GOAWAY shutting_down");
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_a_lost_stream_has_no_receipt(void **state)
{
    (void)state;
    for (unsigned draining = 0; draining < 2; draining++) {
        struct bench bench = bench_proving();
        bench_send_message(&bench, 5);
        bench_request(&bench);
        if (draining == 1)
            receiver_go_away(bench.receiver, MESSAGE_CODE_SHUTTING_DOWN, "", 0);
        receiver_lost(bench.receiver, MESSAGE_CODE_STORE_FAILED, "", 0);
        assert_memory_equal(bench_output(&bench), "GOAWAY", 6);
        assert_false(bench.receipt_asked);
        assert_true(bench.closed);
        bench_end(&bench);
    }
}

static void test_a_drain_does_not_wait_for_a_receipt_behind_a_refused_message(void **state)
{
    (void)state;
    struct bench bench = bench_proving();
    bench_send_message(&bench, 5);
    bench_send_message(&bench, 5);
    bench_request(&bench);
    receiver_go_away(bench.receiver, MESSAGE_CODE_SHUTTING_DOWN, "", 0);
    assert_ok(receiver_reject(bench.receiver, 2, MESSAGE_CODE_REFUSED, "", 0, NULL));
    bench_commit(&bench, 1);
    assert_string_equal(bench_output(&bench), "ACK 1 GOAWAY shutting_down");
    assert_false(bench.receipt_asked);
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_after_a_broken_rule_no_receipt_comes(void **state)
{
    (void)state;
    struct bench bench = bench_proving();
    bench_request(&bench);
    INPUT(&bench, 99, 0, 0, 0);
    assert_string_equal(bench_output(&bench), "GOAWAY protocol");
    bench_sign(&bench);
    assert_int_equal(bench.output.length, 0);
    bench_end(&bench);
}

UNIT_MAIN(cmocka_unit_test(test_a_receipt_comes_after_its_acknowledgement),
          cmocka_unit_test(test_a_second_receipt_request_breaks_the_protocol),
          cmocka_unit_test(test_a_receipt_for_an_empty_stream),
          cmocka_unit_test(test_one_receipt_after_the_other),
          cmocka_unit_test(test_messages_go_on_while_a_receipt_is_signed),
          cmocka_unit_test(test_without_receipts_a_request_breaks_the_protocol),
          cmocka_unit_test(test_a_drain_waits_for_the_receipt),
          cmocka_unit_test(test_a_drain_does_not_wait_for_ever),
          cmocka_unit_test(test_what_cannot_be_signed_is_said),
          cmocka_unit_test(test_a_receipt_that_fails_while_draining),
          cmocka_unit_test(test_a_lost_stream_has_no_receipt),
          cmocka_unit_test(test_a_drain_does_not_wait_for_a_receipt_behind_a_refused_message),
          cmocka_unit_test(test_after_a_broken_rule_no_receipt_comes))
