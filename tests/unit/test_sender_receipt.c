/* test_sender_receipt.c — the client's role: asking for a receipt (docs/protocol.md, 4.9). */
#include "support/sender_bench.h"

static struct sender_config receipt_config(void)
{
    struct sender_config config = bench_config();
    config.wants_receipt = true;
    return config;
}

static enum certpost_status receipt_welcome(struct bench *bench, uint64_t seq)
{
    struct message_welcome terms = bench_terms(bench);
    terms.receipts = true;
    return bench_welcome_with(bench, &bench->points[seq], &terms);
}

static enum certpost_status receipt_answer(struct bench *bench, const char *statement)
{
    struct buffer frames;
    buffer_init(&frames, 32768);
    struct message_receipt receipt = {{(const unsigned char *)statement, strlen(statement)},
                                      {(const unsigned char *)"sig", 3}};
    assert_ok(message_append_receipt(&frames, &receipt));
    return bench_input(bench, &frames);
}

/* A sender that has sent `count` messages, of which `acked` are acknowledged; the input is over. */
static struct bench receipt_bench(uint64_t count, uint64_t acked)
{
    struct sender_config config = receipt_config();
    struct bench bench = bench_new(&config);
    bench.available = count;
    bench_connect(&bench);
    assert_ok(receipt_welcome(&bench, 0));
    assert_ok(bench_give(&bench, (unsigned)count));
    assert_ok(sender_finish(bench.sender, count, NULL));
    (void)bench_output(&bench);
    if (acked > 0)
        assert_ok(bench_ack(&bench, acked));
    return bench;
}

static void test_a_receipt_is_asked_for_after_the_last_acknowledgement(void **state)
{
    (void)state;
    struct bench bench = receipt_bench(3, 2);
    assert_string_equal(bench_output(&bench), "");
    assert_state(&bench, "OPEN");
    assert_ok(bench_ack(&bench, 3));
    assert_string_equal(bench_output(&bench), "RECEIPT_REQUEST");
    assert_state(&bench, "PROVING");
    assert_null(sender_receipt(bench.sender));
    assert_ok(receipt_answer(&bench, "claim"));
    assert_int_equal(bench.receipts, 1);
    assert_int_equal(bench.proof.seq, 3);
    assert_memory_equal(bench.proof.digest, bench.points[3].digest, CHAIN_DIGEST_BYTES);
    const struct message_receipt *receipt = sender_receipt(bench.sender);
    assert_int_equal(receipt->statement.length, 5);
    assert_memory_equal(receipt->statement.bytes, "claim", 5);
    assert_memory_equal(receipt->signature.bytes, "sig", 3);
    assert_state(&bench, "PROVING");
    assert_string_equal(bench_output(&bench), "BYE");
    assert_state(&bench, "FINISHED");
    bench_end(&bench);
}

static void test_a_receipt_for_an_empty_stream(void **state)
{
    (void)state;
    struct bench bench = receipt_bench(0, 0);
    assert_state(&bench, "PROVING");
    assert_ok(receipt_answer(&bench, "claim"));
    assert_int_equal(bench.proof.seq, 0);
    assert_memory_equal(bench.proof.digest, bench.points[0].digest, CHAIN_DIGEST_BYTES);
    assert_string_equal(bench_output(&bench), "BYE");
    bench_end(&bench);
}

static void test_a_server_without_receipts_gets_no_message(void **state)
{
    (void)state;
    struct sender_config config = receipt_config();
    struct bench bench = bench_new(&config);
    struct sender_want want = {0};
    bench_connect(&bench);
    assert_status(bench_welcome(&bench, 0), CERTPOST_REFUSED);
    assert_false(sender_wants_message(bench.sender, &want));
    check_failed(&bench, CERTPOST_REFUSED);
}

static void test_all_was_there_and_a_receipt_is_asked_for(void **state)
{
    (void)state;
    struct sender_config config = receipt_config();
    config.start = SENDER_RESUME;
    struct bench bench = bench_new(&config);
    bench.available = 3;
    assert_ok(sender_finish(bench.sender, 3, NULL));
    bench_connect(&bench);
    assert_ok(receipt_welcome(&bench, 3));
    assert_state(&bench, "SKIPPING");
    assert_string_equal(bench_output(&bench), "HELLO");
    assert_ok(bench_give(&bench, 3));
    assert_string_equal(bench_output(&bench), "RECEIPT_REQUEST");
    assert_ok(receipt_answer(&bench, "claim"));
    assert_int_equal(bench.proof.seq, 3);
    assert_string_equal(bench_output(&bench), "BYE");
    bench_end(&bench);
}

static void test_a_lost_connection_is_asked_again_for_the_receipt_alone(void **state)
{
    (void)state;
    struct bench bench = receipt_bench(3, 3);
    assert_string_equal(bench_output(&bench), "RECEIPT_REQUEST");
    bench_disconnect(&bench);
    assert_state(&bench, "DISCONNECTED");
    bench_connect(&bench);
    assert_ok(receipt_welcome(&bench, 3));
    assert_string_equal(bench_output(&bench), "HELLO RECEIPT_REQUEST");
    assert_ok(bench_goaway(&bench, MESSAGE_CODE_INTERNAL));
    assert_state(&bench, "DRAINING");
    bench_disconnect(&bench);
    assert_state(&bench, "DISCONNECTED");
    bench_connect(&bench);
    assert_ok(receipt_welcome(&bench, 3));
    (void)bench_output(&bench);
    assert_ok(receipt_answer(&bench, "claim"));
    bench_disconnect(&bench);
    assert_state(&bench, "FINISHED");
    bench_end(&bench);
}

static void test_the_time_for_a_receipt(void **state)
{
    (void)state;
    struct bench bench = receipt_bench(1, 1);
    bench.now_ms = 100;
    assert_string_equal(bench_output(&bench), "RECEIPT_REQUEST");
    for (bench.now_ms = 3000; bench.now_ms < 9100; bench.now_ms += 1000) {
        struct buffer frames;
        buffer_init(&frames, 64);
        const unsigned char ping[MESSAGE_PING_BYTES] = {0};
        assert_ok(message_append_ping(&frames, FRAME_PONG, ping));
        assert_ok(bench_input(&bench, &frames)); /* the server lives, and does not sign */
        assert_ok(sender_tick(bench.sender, bench.now_ms, NULL));
        (void)bench_output(&bench);
    }
    bench.now_ms = 9099;
    assert_ok(sender_tick(bench.sender, bench.now_ms, NULL));
    bench.now_ms = 9100;
    struct certpost_error error = {.status = CERTPOST_OK};
    assert_status(sender_tick(bench.sender, bench.now_ms, &error), CERTPOST_TIMEOUT);
    assert_non_null(strstr(error.text, "receipt"));
    bench_end(&bench);
}

static void test_a_receipt_that_nobody_asked_for_breaks_the_protocol(void **state)
{
    (void)state;
    struct bench early = receipt_bench(2, 1);
    assert_status(receipt_answer(&early, "claim"), CERTPOST_PROTOCOL);
    bench_end(&early);
    struct bench twice = receipt_bench(1, 1);
    (void)bench_output(&twice);
    assert_ok(receipt_answer(&twice, "claim"));
    assert_status(receipt_answer(&twice, "claim"), CERTPOST_PROTOCOL);
    bench_end(&twice);
}

static void test_an_acknowledgement_in_place_of_the_receipt_breaks_the_protocol(void **state)
{
    (void)state;
    struct bench bench = receipt_bench(1, 1);
    (void)bench_output(&bench);
    assert_status(bench_ack(&bench, 1), CERTPOST_PROTOCOL);
    bench_end(&bench);
}

static void test_an_empty_receipt_breaks_the_protocol(void **state)
{
    (void)state;
    struct bench bench = receipt_bench(1, 1);
    (void)bench_output(&bench);
    struct buffer frames;
    buffer_init(&frames, 64);
    const unsigned char empty[] = {FRAME_RECEIPT, 0, 0, 4, 0, 0, 0, 0};
    assert_ok(buffer_append(&frames, empty, sizeof empty));
    assert_status(bench_input(&bench, &frames), CERTPOST_PROTOCOL);
    bench_end(&bench);
}

UNIT_MAIN(cmocka_unit_test(test_a_receipt_is_asked_for_after_the_last_acknowledgement),
          cmocka_unit_test(test_a_receipt_for_an_empty_stream),
          cmocka_unit_test(test_a_server_without_receipts_gets_no_message),
          cmocka_unit_test(test_all_was_there_and_a_receipt_is_asked_for),
          cmocka_unit_test(test_a_lost_connection_is_asked_again_for_the_receipt_alone),
          cmocka_unit_test(test_the_time_for_a_receipt),
          cmocka_unit_test(test_a_receipt_that_nobody_asked_for_breaks_the_protocol),
          cmocka_unit_test(test_an_acknowledgement_in_place_of_the_receipt_breaks_the_protocol),
          cmocka_unit_test(test_an_empty_receipt_breaks_the_protocol))
