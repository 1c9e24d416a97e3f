/*
 * test_session_plain_answers.c — the plain exchange around a program that decides on each message:
 * replies of their own, and rejections.
 */
#include "support/plain_server.h"
#include "support/unit.h"

static void set_reply(struct plain_server *server, uint64_t seq, const char *text)
{
    assert_ok(plain_receiver_set_reply(&server->receiver, seq, text, &server->error));
}

static void test_replies_of_their_own_go_to_their_messages(void **state)
{
    (void)state;
    struct plain_server server;
    plain_server_init(&server, PLAIN_LINE);
    plain_server_feed(&server, "a\nb\nc\nd\n");
    plain_server_pull_all(&server);
    set_reply(&server, 2, "to b");
    plain_server_commit(&server, 2);
    plain_server_pull_all(&server);
    set_reply(&server, 4, "to d");
    plain_server_commit(&server, 4);
    plain_server_pull_all(&server);
    plain_server_assert_log(&server, "+a +b +c +d ok \nto b\nok \nto d\n");
    assert_int_equal(server.receiver.replies.length, 0);
    plain_server_free(&server);
}

static void test_a_reply_must_be_to_a_message_that_waits(void **state)
{
    (void)state;
    char longest[PLAIN_TEXT_MAX_BYTES + 2];
    struct plain_server server;
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    plain_server_init(&server, PLAIN_CHUNK);
    plain_server_feed(&server, "a");
    plain_server_pull_all(&server);
    assert_status(plain_receiver_set_reply(&server.receiver, 2, "x", NULL), CERTPOST_INTERNAL);
    assert_status(plain_receiver_set_reply(&server.receiver, 1, "", NULL), CERTPOST_INTERNAL);
    assert_status(plain_receiver_set_reply(&server.receiver, 1, longest, NULL), CERTPOST_INTERNAL);
    set_reply(&server, 1, longest + 1);
    plain_server_commit(&server, 1);
    assert_status(plain_receiver_set_reply(&server.receiver, 1, "x", NULL), CERTPOST_INTERNAL);
    plain_server_pull_all(&server);
    assert_int_equal(server.log_bytes, strlen("+a ") + PLAIN_TEXT_MAX_BYTES);
    plain_server_free(&server);
}

/* Known before the commit of what stands before it, as the writer tells it. */
static void test_a_rejection_waits_for_what_is_before_it(void **state)
{
    (void)state;
    struct plain_server server;
    plain_server_init(&server, PLAIN_LINE);
    plain_server_feed(&server, "a\nb\nc\nd\n");
    plain_server_pull_all(&server);
    set_reply(&server, 1, "to a");
    assert_ok(plain_receiver_reject(&server.receiver, 3, "not c", &server.error));
    plain_server_pull_all(&server);
    plain_server_assert_log(&server, "+a +b +c +d ");
    plain_server_commit(&server, 2);
    plain_server_pull_all(&server);
    plain_server_assert_log(&server, "+a +b +c +d to a\nok \nMessage refused: not c\n.");
    assert_string_equal(plain_receiver_refusal(&server.receiver), "not c");
    plain_server_free(&server);
}

static void test_a_rejection_whose_commit_fails_is_not_the_reason(void **state)
{
    (void)state;
    struct plain_server server;
    plain_server_init(&server, PLAIN_LINE);
    plain_server_feed(&server, "a\nb\nc\n");
    plain_server_pull_all(&server);
    assert_ok(plain_receiver_reject(&server.receiver, 2, "not b", &server.error));
    assert_ok(plain_receiver_store_failed(&server.receiver, "disk", &server.error));
    plain_server_pull_all(&server);
    plain_server_assert_log(&server, "+a +b +c Message refused: disk\n.");
    plain_server_free(&server);
}

static void test_what_was_not_given_out_cannot_be_rejected(void **state)
{
    (void)state;
    struct plain_server server;
    plain_server_init(&server, PLAIN_CHUNK);
    assert_status(plain_receiver_reject(&server.receiver, 1, "x", NULL), CERTPOST_INTERNAL);
    plain_server_feed(&server, "a");
    plain_server_pull_all(&server);
    plain_server_commit(&server, 1);
    assert_status(plain_receiver_reject(&server.receiver, 1, "x", NULL), CERTPOST_INTERNAL);
    plain_server_free(&server);
}

UNIT_MAIN(cmocka_unit_test(test_replies_of_their_own_go_to_their_messages),
          cmocka_unit_test(test_a_reply_must_be_to_a_message_that_waits),
          cmocka_unit_test(test_a_rejection_waits_for_what_is_before_it),
          cmocka_unit_test(test_a_rejection_whose_commit_fails_is_not_the_reason),
          cmocka_unit_test(test_what_was_not_given_out_cannot_be_rejected))
