/*
 * test_session_plain_answers.c — the plain exchange of a server inside a program: replies of their
 * own, and rejected messages.
 *
 * As in test_session_plain_receiver.c, `pull_all` carries out effects and writes them down as text:
 * "+hello " for a message to store, the reply for one to send, "." for the close.
 */
#include "session/plain_receiver.h"
#include "support/unit.h"

enum { LOG_BYTES = 1024 };

struct server {
    struct plain_receiver receiver;
    struct certpost_error error;
    char log[LOG_BYTES];
    size_t log_bytes;
};

static void server_log(struct server *server, const void *bytes, size_t length)
{
    assert_true(server->log_bytes + length < sizeof server->log);
    if (length > 0)
        memcpy(server->log + server->log_bytes, bytes, length);
    server->log_bytes += length;
    server->log[server->log_bytes] = '\0';
}

static void server_init(struct server *server, enum plain_framing framing)
{
    const struct plain_receiver_config config = {framing, 1000, "ok "};
    *server = (struct server){0};
    assert_ok(plain_receiver_init(&server->receiver, &config, &server->error));
}

static void server_free(struct server *server)
{
    plain_receiver_free(&server->receiver);
}

static void feed(struct server *server, const char *text)
{
    plain_receiver_feed(&server->receiver, (const unsigned char *)text, strlen(text));
}

static void commit(struct server *server, uint64_t seq)
{
    const struct committed committed = {.seq = seq};
    assert_ok(plain_receiver_committed(&server->receiver, &committed, &server->error));
}

static void pull_all(struct server *server)
{
    struct plain_effect effect = {0};
    while (plain_receiver_next(&server->receiver, &effect, &server->error) == CERTPOST_OK) {
        bool is_message = effect.kind == PLAIN_EFFECT_STORE;
        server_log(server, "+", is_message ? 1 : 0);
        server_log(server, effect.bytes, effect.length);
        server_log(server, " ", is_message ? 1 : 0);
        server_log(server, ".", effect.kind == PLAIN_EFFECT_CLOSE ? 1 : 0);
    }
}

static void assert_log(const struct server *server, const char *expected)
{
    assert_string_equal(server->log, expected);
}

static void set_reply(struct server *server, uint64_t seq, const char *text)
{
    assert_ok(plain_receiver_set_reply(&server->receiver, seq, text, &server->error));
}

static void test_replies_of_their_own_go_to_their_messages(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    feed(&server, "a\nb\nc\nd\n");
    pull_all(&server);
    set_reply(&server, 2, "to b");
    commit(&server, 2);
    pull_all(&server);
    set_reply(&server, 4, "to d");
    commit(&server, 4);
    pull_all(&server);
    assert_log(&server, "+a +b +c +d ok \nto b\nok \nto d\n");
    assert_int_equal(server.receiver.replies.length, 0);
    server_free(&server);
}

static void test_a_reply_must_be_to_a_message_that_waits(void **state)
{
    (void)state;
    char longest[PLAIN_TEXT_MAX_BYTES + 2];
    struct server server;
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    server_init(&server, PLAIN_CHUNK);
    feed(&server, "a");
    pull_all(&server);
    assert_status(plain_receiver_set_reply(&server.receiver, 2, "x", NULL), CERTPOST_INTERNAL);
    assert_status(plain_receiver_set_reply(&server.receiver, 1, "", NULL), CERTPOST_INTERNAL);
    assert_status(plain_receiver_set_reply(&server.receiver, 1, longest, NULL), CERTPOST_INTERNAL);
    set_reply(&server, 1, longest + 1);
    commit(&server, 1);
    assert_status(plain_receiver_set_reply(&server.receiver, 1, "x", NULL), CERTPOST_INTERNAL);
    pull_all(&server);
    assert_int_equal(server.log_bytes, strlen("+a ") + PLAIN_TEXT_MAX_BYTES);
    server_free(&server);
}

/* Known before the commit of what stands before it, as the writer tells it. */
static void test_a_rejection_waits_for_what_is_before_it(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    feed(&server, "a\nb\nc\nd\n");
    pull_all(&server);
    set_reply(&server, 1, "to a");
    assert_ok(plain_receiver_reject(&server.receiver, 3, "not c", &server.error));
    pull_all(&server);
    assert_log(&server, "+a +b +c +d ");
    commit(&server, 2);
    pull_all(&server);
    assert_log(&server, "+a +b +c +d to a\nok \nMessage refused: not c\n.");
    assert_string_equal(plain_receiver_refusal(&server.receiver), "not c");
    server_free(&server);
}

static void test_a_rejection_whose_commit_fails_is_not_the_reason(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    feed(&server, "a\nb\nc\n");
    pull_all(&server);
    assert_ok(plain_receiver_reject(&server.receiver, 2, "not b", &server.error));
    assert_ok(plain_receiver_store_failed(&server.receiver, "disk", &server.error));
    pull_all(&server);
    assert_log(&server, "+a +b +c Message refused: disk\n.");
    server_free(&server);
}

static void test_what_was_not_given_out_cannot_be_rejected(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_CHUNK);
    assert_status(plain_receiver_reject(&server.receiver, 1, "x", NULL), CERTPOST_INTERNAL);
    feed(&server, "a");
    pull_all(&server);
    commit(&server, 1);
    assert_status(plain_receiver_reject(&server.receiver, 1, "x", NULL), CERTPOST_INTERNAL);
    server_free(&server);
}

UNIT_MAIN(cmocka_unit_test(test_replies_of_their_own_go_to_their_messages),
          cmocka_unit_test(test_a_reply_must_be_to_a_message_that_waits),
          cmocka_unit_test(test_a_rejection_waits_for_what_is_before_it),
          cmocka_unit_test(test_a_rejection_whose_commit_fails_is_not_the_reason),
          cmocka_unit_test(test_what_was_not_given_out_cannot_be_rejected))
