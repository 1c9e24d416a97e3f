/* test_sender_resume.c — where the sender goes on, and what it checks: docs/protocol.md, 6.3. */
#include "support/sender_bench.h"

static void test_appending_goes_on_behind_what_is_there(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 7);
    assert_ok(bench_give(&bench, 2));
    assert_string_equal(bench_output(&bench), "MESSAGE 8 MESSAGE 9");
    assert_ok(bench_ack(&bench, 9));
    assert_int_equal(bench.acked.seq, 9);
    assert_int_equal(bench.acked.released_position, 2);
    assert_memory_equal(bench.acked.digest, bench.points[9].digest, CHAIN_DIGEST_BYTES);
    bench_end(&bench);
}

static void test_after_a_cut_the_rest_is_sent_again(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    for (uint64_t stored = 0; stored <= 5; stored++) {
        struct bench bench = bench_open(&config, 0);
        assert_ok(bench_give(&bench, 5));
        bench_disconnect(&bench);
        assert_state(&bench, "DISCONNECTED");
        bench_connect(&bench);
        assert_ok(bench_welcome(&bench, stored));
        assert_int_equal(sender_released_position(bench.sender), stored);
        bench.available = 6;
        assert_ok(bench_give(&bench, 100));
        char expected[200] = "HELLO";
        for (uint64_t i = stored + 1; i <= 6; i++)
            snprintf(expected + strlen(expected), sizeof expected - strlen(expected), " MESSAGE %u",
                     (unsigned)i);
        assert_string_equal(bench_output(&bench), expected);
        assert_ok(bench_ack(&bench, 6));
        bench_end(&bench);
    }
}

static void test_other_bytes_at_the_same_place_are_noticed(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 0);
    assert_ok(bench_give(&bench, 1));
    bench_disconnect(&bench);
    bench_connect(&bench);
    assert_ok(bench_welcome(&bench, 0));
    assert_status(sender_message(bench.sender, "xx", 2, &bench.output, 0, NULL), CERTPOST_INTERNAL);
    check_failed(&bench, CERTPOST_INTERNAL);
}

static void test_a_wrong_digest_in_an_ack(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 0);
    assert_ok(bench_give(&bench, 3));
    bench.points[2].digest[31] ^= 1;
    assert_status(bench_ack(&bench, 2), CERTPOST_DIGEST);
    assert_true(bench.closed);
    check_failed(&bench, CERTPOST_DIGEST);
}

static void test_a_wrong_digest_in_welcome(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    for (uint64_t stored = 1; stored <= 2; stored++) {
        struct bench bench = bench_open(&config, 0);
        assert_ok(bench_give(&bench, 2));
        bench_disconnect(&bench);
        bench_connect(&bench);
        bench.points[stored].digest[0] ^= 1;
        assert_status(bench_welcome(&bench, stored), CERTPOST_DIGEST);
        check_failed(&bench, CERTPOST_DIGEST);
    }
}

static void test_a_server_that_has_lost_messages(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 7);
    bench_disconnect(&bench);
    bench_connect(&bench);
    assert_status(bench_welcome(&bench, 6), CERTPOST_DIGEST);
    check_failed(&bench, CERTPOST_DIGEST);
}

static void test_a_server_that_has_more_than_was_sent(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 7);
    assert_ok(bench_give(&bench, 1));
    bench_disconnect(&bench);
    bench_connect(&bench);
    assert_status(bench_welcome(&bench, 9), CERTPOST_DIGEST);
    check_failed(&bench, CERTPOST_DIGEST);
}

static void test_another_stream_than_before(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    struct bench bench = bench_open(&config, 7);
    bench_disconnect(&bench);
    bench_connect(&bench);
    struct message_welcome terms = bench_terms(&bench);
    terms.origin[0] ^= 1;
    assert_status(bench_welcome_with(&bench, &bench.points[7], &terms), CERTPOST_DIGEST);
    check_failed(&bench, CERTPOST_DIGEST);
}

static void test_level_accepted_may_begin_anew(void **state)
{
    (void)state;
    struct sender_config config = bench_config();
    for (unsigned stored = 0; stored <= 1; stored++) {
        struct bench bench = bench_new(&config);
        struct message_welcome terms = bench_terms(&bench);
        terms.level = stored ? MESSAGE_LEVEL_STORED : MESSAGE_LEVEL_ACCEPTED;
        bench_connect(&bench);
        assert_ok(bench_welcome_with(&bench, &bench.points[0], &terms));
        assert_ok(bench_give(&bench, 3));
        assert_ok(bench_ack(&bench, 2));
        bench_disconnect(&bench);
        bench_connect(&bench);
        enum certpost_status status = bench_welcome_with(&bench, &bench.points[0], &terms);
        assert_status(status, stored ? CERTPOST_DIGEST : CERTPOST_OK);
        struct sender_want want = {0};
        assert_int_equal(sender_wants_message(bench.sender, &want), !stored);
        if (!stored) {
            assert_int_equal(want.position, 2);
            assert_int_equal(want.seq, 1);
        }
        bench_end(&bench);
    }
}

/* A spool: 3 messages acknowledged, 4 more in it. */
static struct bench bench_continue(uint64_t earlier_messages)
{
    struct sender_config config = bench_config();
    config.start = SENDER_CONTINUE;
    config.start_seq = 3;
    config.start_level = MESSAGE_LEVEL_STORED;
    config.earlier_messages = earlier_messages;
    struct bench known = bench_new(&config);
    memcpy(config.start_digest, known.points[3].digest, CHAIN_DIGEST_BYTES);
    bench_end(&known);
    struct bench bench = bench_new(&config);
    bench_connect(&bench);
    return bench;
}

static void test_a_spool_goes_on_where_the_server_is(void **state)
{
    (void)state;
    for (uint64_t stored = 3; stored <= 7; stored++) {
        struct bench bench = bench_continue(4);
        assert_ok(bench_welcome(&bench, stored));
        assert_state(&bench, stored == 3 ? "OPEN" : "SKIPPING");
        assert_int_equal(bench.acks, 0);
        assert_ok(bench_give(&bench, (unsigned)(stored - 3)));
        assert_state(&bench, "OPEN");
        assert_int_equal(bench.acks, stored > 3);
        assert_int_equal(sender_released_position(bench.sender), stored - 3);
        assert_ok(bench_give(&bench, 1));
        char expected[40];
        snprintf(expected, sizeof expected, "HELLO MESSAGE %u", (unsigned)stored + 1);
        assert_string_equal(bench_output(&bench), expected);
        bench_end(&bench);
    }
}

static void test_a_spool_against_a_server_that_lost(void **state)
{
    (void)state;
    struct bench bench = bench_continue(4);
    assert_status(bench_welcome(&bench, 2), CERTPOST_DIGEST);
    check_failed(&bench, CERTPOST_DIGEST);
}

static void test_a_spool_against_a_foreign_writer(void **state)
{
    (void)state;
    struct bench bench = bench_continue(4);
    assert_status(bench_welcome(&bench, 8), CERTPOST_DIGEST);
    check_failed(&bench, CERTPOST_DIGEST);
}

static void test_a_spool_with_other_messages_than_the_server(void **state)
{
    (void)state;
    struct bench bench = bench_continue(4);
    bench.points[5].digest[0] ^= 1;
    assert_ok(bench_welcome(&bench, 5));
    assert_ok(bench_give(&bench, 1));
    assert_status(bench_give(&bench, 1), CERTPOST_DIGEST);
    assert_int_equal(bench.acks, 0);
    check_failed(&bench, CERTPOST_DIGEST);
}

static struct sender_config bench_resume_config(uint64_t first)
{
    struct sender_config config = bench_config();
    config.start = SENDER_RESUME;
    config.start_seq = first - 1;
    return config;
}

static void test_resume_skips_what_is_stored(void **state)
{
    (void)state;
    struct sender_config config = bench_resume_config(1);
    struct bench bench = bench_open(&config, 30);
    struct sender_want want = {0};
    assert_true(sender_wants_message(bench.sender, &want));
    assert_true(want.skip);
    assert_ok(bench_give(&bench, 29));
    assert_int_equal(bench.acks, 0);
    bench_disconnect(&bench); /* what was read of the input need not be read again */
    bench_connect(&bench);
    assert_ok(bench_welcome(&bench, 30));
    assert_true(sender_wants_message(bench.sender, &want));
    assert_int_equal(want.position, 29);
    assert_ok(bench_give(&bench, 1));
    assert_int_equal(bench.acked.released_position, 30);
    assert_ok(sender_finish(bench.sender, 30, NULL));
    assert_string_equal(bench_output(&bench), "HELLO BYE");
    assert_state(&bench, "FINISHED");
    assert_true(bench.closed);
    assert_int_equal(sender_unchecked_messages(bench.sender), 0);
    bench_end(&bench);
}

static void test_resume_with_another_input(void **state)
{
    (void)state;
    struct sender_config config = bench_resume_config(1);
    struct bench bench = bench_open(&config, 2);
    assert_ok(sender_message(bench.sender, "other", 5, &bench.output, 0, NULL));
    assert_status(sender_message(bench.sender, "input", 5, &bench.output, 0, NULL),
                  CERTPOST_DIGEST);
    check_failed(&bench, CERTPOST_DIGEST);
}

static void test_resume_with_a_shorter_input(void **state)
{
    (void)state;
    struct sender_config config = bench_resume_config(1);
    struct bench bench = bench_open(&config, 5);
    assert_ok(bench_give(&bench, 4));
    assert_status(sender_finish(bench.sender, 4, NULL), CERTPOST_DIGEST);
    check_failed(&bench, CERTPOST_DIGEST);
    bench = bench_new(&config);
    assert_ok(sender_finish(bench.sender, 4, NULL));
    bench_connect(&bench);
    assert_status(bench_welcome(&bench, 5), CERTPOST_DIGEST);
    check_failed(&bench, CERTPOST_DIGEST);
}

static void test_resume_from_the_middle(void **state)
{
    (void)state;
    struct sender_config config = bench_resume_config(6);
    struct bench bench = bench_open(&config, 5);
    assert_ok(bench_give(&bench, 1));
    assert_string_equal(bench_output(&bench), "MESSAGE 6");
    assert_ok(bench_ack(&bench, 6));
    bench_end(&bench);
    bench = bench_open(&config, 8); /* 6 to 8 are skipped unchecked, 9 is checked again */
    assert_ok(bench_give(&bench, 4));
    assert_string_equal(bench_output(&bench), "MESSAGE 9");
    assert_ok(bench_ack(&bench, 9));
    assert_int_equal(bench.acked.released_position, 4);
    assert_int_equal(sender_unchecked_messages(bench.sender), 3);
    bench_disconnect(&bench);
    bench_connect(&bench);
    assert_ok(bench_welcome(&bench, 9));
    assert_int_equal(sender_unchecked_messages(bench.sender), 3);
    bench_end(&bench);
    bench = bench_new(&config);
    bench_connect(&bench);
    assert_status(bench_welcome(&bench, 4), CERTPOST_DIGEST); /* 5 is missing */
    check_failed(&bench, CERTPOST_DIGEST);
}

static void test_an_ack_after_goaway_while_skipping(void **state)
{
    (void)state;
    struct bench bench = bench_continue(4);
    assert_ok(bench_welcome(&bench, 3));
    assert_ok(bench_give(&bench, 2));
    bench_disconnect(&bench);
    bench_connect(&bench);
    assert_ok(bench_welcome(&bench, 7)); /* what was sent is now to be hashed again, up to 7 */
    assert_state(&bench, "SKIPPING");
    assert_ok(bench_goaway(&bench, MESSAGE_CODE_SHUTTING_DOWN));
    assert_status(bench_ack(&bench, 4), CERTPOST_PROTOCOL);
    check_failed(&bench, CERTPOST_PROTOCOL);
}

struct dice {
    uint32_t value;
};

static unsigned dice_throw(struct dice *dice, unsigned bound)
{
    dice->value = dice->value * 1664525U + 1013904223U;
    return (dice->value >> 16) % bound;
}

/* A frame that is well formed, from a server that has lost its mind. */
static void bench_mad_server(struct bench *bench, struct dice *dice)
{
    uint64_t seq = dice_throw(dice, 12);
    switch (dice_throw(dice, 8)) {
    case 0:
    case 1:
    case 2:
        (void)!bench_welcome(bench, seq);
        break;
    case 3:
    case 4:
    case 5:
        (void)!bench_ack(bench, seq);
        break;
    case 6:
        (void)!bench_reject(bench, seq);
        break;
    default:
        (void)!bench_goaway(bench, (uint16_t)dice_throw(dice, 12));
        break;
    }
}

static void bench_mad_step(struct bench *bench, struct dice *dice)
{
    enum sender_state before = sender_state(bench->sender);
    if (before == SENDER_DISCONNECTED) {
        bench_connect(bench);
        return;
    }
    switch (dice_throw(dice, 4)) {
    case 0:
        (void)!bench_give(bench, dice_throw(dice, 6));
        break;
    case 1:
        (void)bench_output(bench);
        break;
    case 2:
        bench_mad_server(bench, dice);
        break;
    default:
        if (dice_throw(dice, 3) == 0)
            bench_disconnect(bench);
        break;
    }
}

/* Whatever the order of whatever frames: no crash, and no release of what was not acknowledged. */
static void test_random_frames_in_any_order(void **state)
{
    (void)state;
    struct dice dice = {.value = 1};
    for (unsigned round = 0; round < 3000; round++) {
        struct sender_config config = bench_config();
        config.start = (enum sender_start)dice_throw(&dice, 3);
        config.start_seq = config.start == SENDER_RESUME ? dice_throw(&dice, 3) : 0;
        config.earlier_messages = dice_throw(&dice, 10);
        config.max_unacked_messages = 1 + dice_throw(&dice, 20);
        struct bench known = bench_new(&config);
        memcpy(config.start_digest, known.points[0].digest, CHAIN_DIGEST_BYTES);
        bench_end(&known);
        struct bench bench = bench_new(&config);
        if (dice_throw(&dice, 2) == 0)
            assert_ok(sender_finish(bench.sender, dice_throw(&dice, 12), NULL));
        for (unsigned step = 0; step < 60 && sender_state(bench.sender) < SENDER_FINISHED; step++)
            bench_mad_step(&bench, &dice);
        assert_true(sender_unacked_bytes(bench.sender) <= 100 * 65);
        assert_true(sender_released_position(bench.sender) <= 12);
        bench_end(&bench);
    }
}

UNIT_MAIN(cmocka_unit_test(test_appending_goes_on_behind_what_is_there),
          cmocka_unit_test(test_after_a_cut_the_rest_is_sent_again),
          cmocka_unit_test(test_other_bytes_at_the_same_place_are_noticed),
          cmocka_unit_test(test_a_wrong_digest_in_an_ack),
          cmocka_unit_test(test_a_wrong_digest_in_welcome),
          cmocka_unit_test(test_a_server_that_has_lost_messages),
          cmocka_unit_test(test_a_server_that_has_more_than_was_sent),
          cmocka_unit_test(test_another_stream_than_before),
          cmocka_unit_test(test_level_accepted_may_begin_anew),
          cmocka_unit_test(test_a_spool_goes_on_where_the_server_is),
          cmocka_unit_test(test_a_spool_against_a_server_that_lost),
          cmocka_unit_test(test_a_spool_against_a_foreign_writer),
          cmocka_unit_test(test_a_spool_with_other_messages_than_the_server),
          cmocka_unit_test(test_resume_skips_what_is_stored),
          cmocka_unit_test(test_resume_with_another_input),
          cmocka_unit_test(test_resume_with_a_shorter_input),
          cmocka_unit_test(test_resume_from_the_middle),
          cmocka_unit_test(test_an_ack_after_goaway_while_skipping),
          cmocka_unit_test(test_random_frames_in_any_order))
