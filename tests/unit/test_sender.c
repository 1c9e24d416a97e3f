/* test_sender.c — the client's role: window, endings, deadlines (docs/protocol.md). */
#include "support/protocol_doc.h"
#include "support/sender_bench.h"
#include "support/states.h"

static void test_states_of_the_document(void **state)
{
    (void)state;
    size_t count = 0;
    const struct machine_state *states = sender_states(&count);
    assert_int_equal(count, 9);
    assert_states_are_documented(states, count, "### 10.2");
}

static void test_conversation_of_the_document(void **state)
{
    (void)state;
    struct doc_block client = doc_block("conversation-client");
    struct doc_block server = doc_block("conversation-server");
    struct sender_config config = bench_config();
    for (size_t piece = 1; piece <= 200; piece += 199) {
        struct bench bench = bench_new(&config);
        bench_connect(&bench);
        size_t welcome_bytes = server.length - 44;
        for (size_t at = 0; at < welcome_bytes; at += piece) {
            size_t left = welcome_bytes - at;
            struct cursor input = cursor_over(server.bytes + at, piece < left ? piece : left);
            assert_ok(sender_input(bench.sender, &input, 0, NULL));
        }
        assert_ok(sender_message(bench.sender, "Hello, server!", 14, &bench.output, 0, NULL));
        assert_ok(sender_message(bench.sender, NULL, 0, &bench.output, 0, NULL));
        assert_ok(sender_finish(bench.sender, 2, NULL));
        assert_ok(sender_output(bench.sender, &bench.output, 0));
        assert_int_equal(bench.output.length, client.length);
        assert_memory_equal(buffer_bytes(&bench.output), client.bytes, client.length);
        struct cursor input = cursor_over(server.bytes + welcome_bytes, 44);
        assert_ok(sender_input(bench.sender, &input, 0, NULL));
        assert_state(&bench, "FINISHED");
        bench_effects(&bench);
        assert_true(bench.closed);
        assert_int_equal(bench.acked.released_position, 2);
        assert_int_equal(sender_welcome(bench.sender)->reply.length, 17);
        bench_end(&bench);
    }
}

static void test_messages_wait_for_welcome(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_new(&config);
    struct sender_want want = {0};
    assert_false(sender_wants_message(bench.sender, &want));
    bench_connect(&bench);
    assert_false(sender_wants_message(bench.sender, &want));
    assert_status(sender_message(bench.sender, "x", 1, &bench.output, 0, NULL), CERTPOST_USAGE);
    assert_ok(bench_welcome(&bench, 0));
    assert_true(sender_wants_message(bench.sender, &want));
    bench_end(&bench);
}

static void test_the_required_level(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    config.required_level = MESSAGE_LEVEL_REPLICATED;
    struct bench bench = bench_new(&config);
    bench_connect(&bench);
    assert_status(bench_welcome(&bench, 0), CERTPOST_REFUSED);
    check_failed(&bench, CERTPOST_REFUSED);
}

static void test_window_and_its_release(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_new(&config);
    struct message_welcome terms = bench_terms(&bench);
    terms.window_bytes = 3 * 65 + 64; /* three messages of one byte, and no fourth */
    bench_connect(&bench);
    assert_ok(bench_welcome_with(&bench, &bench.points[0], &terms));
    assert_status(bench_give(&bench, 100), CERTPOST_WANT_READ);
    struct sender_want want = {0};
    assert_false(sender_wants_message(bench.sender, &want));
    assert_int_equal(sender_unacked_messages(bench.sender), 3);
    assert_int_equal(sender_unacked_bytes(bench.sender), 3 * 65);
    assert_ok(bench_ack(&bench, 1));
    assert_true(sender_wants_message(bench.sender, &want));
    assert_status(bench_give(&bench, 100), CERTPOST_WANT_READ);
    assert_string_equal(bench_output(&bench), "HELLO MESSAGE 1 MESSAGE 2 MESSAGE 3 MESSAGE 4");
    bench_end(&bench);
}

static void test_the_bound_of_records(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    config.max_unacked_messages = 2;
    struct bench bench = bench_open(&config, 0);
    assert_ok(bench_give(&bench, 100));
    assert_int_equal(sender_unacked_messages(bench.sender), 2);
    assert_ok(bench_ack(&bench, 2));
    assert_ok(bench_give(&bench, 100));
    assert_string_equal(bench_output(&bench), "MESSAGE 1 MESSAGE 2 MESSAGE 3 MESSAGE 4");
    bench_end(&bench);
}

static void test_a_message_that_is_too_long_is_not_sent(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 0);
    unsigned char bytes[101] = {0};
    assert_ok(sender_message(bench.sender, bytes, 99, &bench.output, 0, NULL));
    assert_ok(sender_message(bench.sender, bytes, 100, &bench.output, 0, NULL));
    size_t before = bench.output.length;
    assert_status(sender_message(bench.sender, bytes, 101, &bench.output, 0, NULL), CERTPOST_LIMIT);
    assert_int_equal(bench.output.length, before);
    assert_state(&bench, "OPEN");
    bench_end(&bench);
}

static void test_a_full_output_takes_nothing(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 0);
    struct buffer small;
    buffer_init(&small, 8);
    assert_ok(sender_message(bench.sender, "\1", 1, &small, 0, NULL));
    assert_status(sender_message(bench.sender, "\2", 1, &small, 0, NULL), CERTPOST_WANT_WRITE);
    assert_int_equal(small.length, 5);
    buffer_clear(&small);
    assert_ok(sender_message(bench.sender, "\2", 1, &small, 0, NULL));
    assert_ok(bench_ack(&bench, 2));
    buffer_free(&small);
    bench_end(&bench);
}

static void test_the_last_number(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_new(&config);
    struct committed head = {.seq = MESSAGE_SEQ_MAX};
    struct message_welcome terms = bench_terms(&bench);
    bench_connect(&bench);
    assert_ok(bench_welcome_with(&bench, &head, &terms));
    assert_status(bench_give(&bench, 1), CERTPOST_LIMIT);
    bench_end(&bench);
}

static void test_acks_that_cannot_be(void **state)
{
    (void)state;
    static const uint64_t wrong[] = {0, 4, 6, 7};
    struct sender_config config = bench_config();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct bench bench = bench_open(&config, 4);
        assert_ok(bench_give(&bench, 1));
        if (wrong[i] == 7)
            bench.points[7].seq = UINT64_MAX;
        assert_status(bench_ack(&bench, wrong[i]), CERTPOST_PROTOCOL);
        check_failed(&bench, CERTPOST_PROTOCOL);
    }
}

static void test_goaway_that_passes(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 0);
    assert_ok(bench_give(&bench, 2));
    assert_ok(bench_goaway(&bench, MESSAGE_CODE_SHUTTING_DOWN));
    assert_state(&bench, "DRAINING");
    struct sender_want want = {0};
    assert_false(sender_wants_message(bench.sender, &want));
    assert_ok(bench_ack(&bench, 1));
    assert_int_equal(sender_refusal(bench.sender)->code, MESSAGE_CODE_SHUTTING_DOWN);
    bench_disconnect(&bench);
    assert_state(&bench, "DISCONNECTED");
    bench_connect(&bench);
    assert_ok(bench_welcome(&bench, 1));
    assert_ok(bench_give(&bench, 1));
    assert_string_equal(bench_output(&bench), "HELLO MESSAGE 2");
    bench_end(&bench);
}

static void test_goaway_that_stays(void **state)
{
    (void)state;
    static const struct {
        uint16_t code;
        enum certpost_status status;
    } cases[] = {{MESSAGE_CODE_SUPERSEDED, CERTPOST_SUPERSEDED},
                 {MESSAGE_CODE_PROTOCOL, CERTPOST_PROTOCOL},
                 {MESSAGE_CODE_NOT_ALLOWED, CERTPOST_REFUSED},
                 {MESSAGE_CODE_LEVEL_UNAVAILABLE, CERTPOST_REFUSED},
                 {MESSAGE_CODE_EXHAUSTED, CERTPOST_REFUSED}};
    struct sender_config config = bench_config();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench bench = bench_open(&config, 0);
        assert_ok(bench_give(&bench, 2));
        assert_ok(bench_goaway(&bench, cases[i].code));
        struct certpost_error error = {.status = CERTPOST_OK};
        assert_status(sender_failure(bench.sender, &error), cases[i].status);
        assert_non_null(strstr(error.text, "why\\n"));
        check_failed(&bench, cases[i].status);
    }
}

/* Section 6.4: an abandoned HELLO may overtake, once. */
static void test_superseded_by_an_own_abandoned_connection(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_new(&config);
    bench_connect(&bench);
    bench_disconnect(&bench);
    bench_connect(&bench);
    assert_ok(bench_welcome(&bench, 0));
    assert_ok(bench_goaway(&bench, MESSAGE_CODE_SUPERSEDED));
    bench_disconnect(&bench);
    assert_state(&bench, "DISCONNECTED");
    bench_connect(&bench);
    assert_ok(bench_welcome(&bench, 0));
    assert_ok(bench_goaway(&bench, MESSAGE_CODE_SUPERSEDED));
    check_failed(&bench, CERTPOST_SUPERSEDED);
}

static void test_goaway_after_the_last_ack_is_the_end(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 0);
    assert_ok(bench_give(&bench, 2));
    assert_ok(bench_goaway(&bench, MESSAGE_CODE_SHUTTING_DOWN));
    assert_ok(sender_finish(bench.sender, 2, NULL));
    assert_ok(bench_ack(&bench, 2));
    assert_state(&bench, "FINISHED");
    assert_true(bench.closed);
    bench_end(&bench);
}

static void test_reject_ends_it(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 0);
    assert_ok(bench_give(&bench, 3));
    assert_ok(bench_ack(&bench, 1));
    assert_ok(bench_reject(&bench, 2));
    assert_status(sender_failure(bench.sender, NULL), CERTPOST_REFUSED);
    assert_int_equal(sender_refusal(bench.sender)->seq, 2);
    assert_int_equal(sender_released_position(bench.sender), 1);
    assert_status(bench_ack(&bench, 2), CERTPOST_PROTOCOL); /* nothing comes after REJECT */
    bench_disconnect(&bench);
    assert_state(&bench, "FAILED");
    bench_end(&bench);
    for (uint64_t wrong = 0; wrong <= 4; wrong++) {
        if (wrong == 1)
            continue;
        bench = bench_open(&config, 0);
        assert_ok(bench_give(&bench, 3));
        assert_status(bench_reject(&bench, wrong), CERTPOST_PROTOCOL);
        check_failed(&bench, CERTPOST_PROTOCOL);
    }
}

static void test_a_second_welcome(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 0);
    assert_status(bench_welcome(&bench, 0), CERTPOST_PROTOCOL);
    check_failed(&bench, CERTPOST_PROTOCOL);
}

static void test_an_ack_before_welcome(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_new(&config);
    bench_connect(&bench);
    assert_status(bench_ack(&bench, 1), CERTPOST_PROTOCOL);
    check_failed(&bench, CERTPOST_PROTOCOL);
}

static void test_finishing(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 0);
    assert_ok(bench_give(&bench, 2));
    assert_status(sender_finish(bench.sender, 2, NULL), CERTPOST_OK);
    assert_status(sender_finish(bench.sender, 3, NULL), CERTPOST_USAGE);
    struct sender_want want = {0};
    assert_false(sender_wants_message(bench.sender, &want));
    assert_string_equal(bench_output(&bench), "MESSAGE 1 MESSAGE 2 BYE");
    assert_state(&bench, "LEAVING");
    bench_disconnect(&bench); /* the ACK was lost */
    assert_state(&bench, "DISCONNECTED");
    bench_connect(&bench);
    assert_ok(bench_welcome(&bench, 2));
    assert_string_equal(bench_output(&bench), "HELLO BYE");
    assert_state(&bench, "FINISHED");
    bench_end(&bench);
}

static void test_nothing_to_send_still_asks_the_server(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_new(&config);
    assert_ok(sender_finish(bench.sender, 0, NULL));
    assert_state(&bench, "DISCONNECTED");
    bench_connect(&bench);
    assert_ok(bench_welcome(&bench, 0));
    assert_string_equal(bench_output(&bench), "HELLO BYE");
    assert_state(&bench, "FINISHED");
    bench_end(&bench);
}

static void test_a_server_that_does_not_answer_hello(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_new(&config);
    bench_connect(&bench);
    assert_int_equal(sender_next_deadline_ms(bench.sender), 1000);
    assert_ok(sender_tick(bench.sender, 999, NULL));
    assert_status(sender_tick(bench.sender, 1000, NULL), CERTPOST_TIMEOUT);
    bench_effects(&bench);
    assert_true(bench.closed);
    bench_disconnect(&bench);
    assert_state(&bench, "DISCONNECTED");
    bench_end(&bench);
}

static void test_ping_and_its_answer(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 0);
    assert_int_equal(sender_next_deadline_ms(bench.sender), 3000);
    bench.now_ms = 3000;
    assert_ok(sender_tick(bench.sender, 3000, NULL));
    assert_string_equal(bench_output(&bench), "PING");
    assert_int_equal(sender_next_deadline_ms(bench.sender), 5000);
    sender_wrote(bench.sender, 4000); /* the network takes bytes: it lives */
    assert_int_equal(sender_next_deadline_ms(bench.sender), 6000);
    struct buffer frames;
    buffer_init(&frames, 100);
    bench.now_ms = 4500;
    assert_ok(message_append_ping(&frames, FRAME_PONG, (const unsigned char *)"12345678"));
    assert_ok(bench_input(&bench, &frames));
    assert_int_equal(sender_next_deadline_ms(bench.sender), 6000);
    assert_ok(sender_tick(bench.sender, 6000, NULL));
    assert_status(sender_tick(bench.sender, 8000, NULL), CERTPOST_TIMEOUT);
    bench_end(&bench);
}

static void test_the_servers_idle_timeout_shortens_the_ping_interval(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_new(&config);
    struct message_welcome terms = bench_terms(&bench);
    terms.idle_timeout_ms = 1500;
    bench_connect(&bench);
    assert_ok(bench_welcome_with(&bench, &bench.points[0], &terms));
    assert_int_equal(sender_next_deadline_ms(bench.sender), 500);
    bench_end(&bench);
}

static void test_a_ping_of_the_server_is_answered(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 0);
    struct buffer frames;
    buffer_init(&frames, 100);
    assert_ok(message_append_ping(&frames, FRAME_PING, (const unsigned char *)"12345678"));
    assert_ok(bench_input(&bench, &frames));
    assert_string_equal(bench_output(&bench), "PONG");
    bench_end(&bench);
}

static void test_acknowledgements_must_come_in_time(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    config.ping_interval_ms = 0;
    struct bench bench = bench_open(&config, 0);
    assert_true(sender_next_deadline_ms(bench.sender) == CLOCK_NEVER_MS);
    bench.now_ms = 1000;
    assert_ok(bench_give(&bench, 1));
    bench.now_ms = 2000;
    assert_ok(bench_give(&bench, 1));
    assert_int_equal(sender_next_deadline_ms(bench.sender), 10000);
    bench.now_ms = 5000;
    assert_ok(bench_ack(&bench, 1));
    assert_int_equal(sender_next_deadline_ms(bench.sender), 14000);
    assert_status(sender_tick(bench.sender, 14000, NULL), CERTPOST_TIMEOUT);
    bench_end(&bench);
}

static void test_names_that_no_stream_can_have(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct sender *sender = NULL;
    config.stream.length = 0;
    assert_status(sender_new(&config, NULL, &sender, NULL), CERTPOST_USAGE);
    config.stream = (struct message_span){(const unsigned char *)"a\nb", 3};
    assert_status(sender_new(&config, NULL, &sender, NULL), CERTPOST_USAGE);
    sender_free(NULL);
}

static void test_random_bytes_end_in_a_verdict(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    uint32_t random = 3;
    for (unsigned round = 0; round < 3000; round++) {
        struct bench bench = round % 2 == 0 ? bench_open(&config, 0) : bench_new(&config);
        if (round % 2 == 1)
            bench_connect(&bench);
        (void)bench_give(&bench, 5);
        unsigned char bytes[96];
        for (size_t i = 0; i < sizeof bytes; i++) {
            random = random * 1664525U + 1013904223U;
            bytes[i] = (unsigned char)(i % 4 == 0 ? (random >> 24) % 12 : (random >> 24) % 3);
        }
        struct cursor input = cursor_over(bytes, sizeof bytes);
        enum certpost_status status = sender_input(bench.sender, &input, 0, NULL);
        bench_effects(&bench);
        assert_true(status == CERTPOST_OK || bench.closed);
        assert_int_equal(bench.acks, 0);
        bench_disconnect(&bench);
        bench_end(&bench);
    }
}

UNIT_MAIN(cmocka_unit_test(test_states_of_the_document),
          cmocka_unit_test(test_conversation_of_the_document),
          cmocka_unit_test(test_messages_wait_for_welcome),
          cmocka_unit_test(test_the_required_level), cmocka_unit_test(test_window_and_its_release),
          cmocka_unit_test(test_the_bound_of_records),
          cmocka_unit_test(test_a_message_that_is_too_long_is_not_sent),
          cmocka_unit_test(test_a_full_output_takes_nothing),
          cmocka_unit_test(test_the_last_number), cmocka_unit_test(test_acks_that_cannot_be),
          cmocka_unit_test(test_goaway_that_passes), cmocka_unit_test(test_goaway_that_stays),
          cmocka_unit_test(test_superseded_by_an_own_abandoned_connection),
          cmocka_unit_test(test_goaway_after_the_last_ack_is_the_end),
          cmocka_unit_test(test_reject_ends_it), cmocka_unit_test(test_a_second_welcome),
          cmocka_unit_test(test_an_ack_before_welcome), cmocka_unit_test(test_finishing),
          cmocka_unit_test(test_nothing_to_send_still_asks_the_server),
          cmocka_unit_test(test_a_server_that_does_not_answer_hello),
          cmocka_unit_test(test_ping_and_its_answer),
          cmocka_unit_test(test_the_servers_idle_timeout_shortens_the_ping_interval),
          cmocka_unit_test(test_a_ping_of_the_server_is_answered),
          cmocka_unit_test(test_acknowledgements_must_come_in_time),
          cmocka_unit_test(test_names_that_no_stream_can_have),
          cmocka_unit_test(test_random_bytes_end_in_a_verdict))
