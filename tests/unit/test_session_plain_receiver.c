/*
 * test_session_plain_receiver.c — the plain exchange without I/O: what is stored, what is answered,
 * and in which order.
 *
 * `pull` carries out effects as a server would and writes them down as text: "+hello " for a
 * message to store, the reply for one to send, "." for the close. So an expectation reads like the
 * exchange itself.
 */
#include "session/plain_receiver.h"
#include "support/unit.h"

#include <stdbool.h>
#include <stdlib.h>

enum { LOG_BYTES = 16 * 1024, LIMIT_BYTES = 16 };

struct server {
    struct plain_receiver receiver;
    struct certpost_error error;
    unsigned char *fed;
    char log[LOG_BYTES];
    size_t log_bytes;
    uint64_t stored_seq;
    unsigned closes;
    bool commit_at_once;
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
    *server = (struct server){0};
    struct plain_receiver_config config = {framing, LIMIT_BYTES, "ok "};
    assert_ok(plain_receiver_init(&server->receiver, &config, &server->error));
}

static void server_free(struct server *server)
{
    plain_receiver_free(&server->receiver);
    free(server->fed);
}

/* Each read has a block of its own, so that the address sanitizer sees a borrow that is too long.
 */
static void feed_bytes(struct server *server, const void *bytes, size_t length)
{
    free(server->fed);
    server->fed = malloc(length + 1);
    assert_non_null(server->fed);
    memcpy(server->fed, bytes, length);
    plain_receiver_feed(&server->receiver, server->fed, length);
}

static void feed(struct server *server, const char *text)
{
    feed_bytes(server, text, strlen(text));
}

static void keep(struct server *server)
{
    assert_ok(plain_receiver_keep(&server->receiver));
    free(server->fed);
    server->fed = NULL;
}

static void commit(struct server *server, uint64_t seq)
{
    struct committed committed = {.seq = seq};
    assert_ok(plain_receiver_committed(&server->receiver, &committed, &server->error));
}

static void carry_out(struct server *server, const struct plain_effect *effect)
{
    switch (effect->kind) {
    case PLAIN_EFFECT_STORE:
        assert_int_equal(effect->seq, ++server->stored_seq);
        server_log(server, "+", 1);
        server_log(server, effect->bytes, effect->length);
        server_log(server, " ", 1);
        if (server->commit_at_once)
            commit(server, effect->seq);
        break;
    case PLAIN_EFFECT_SEND:
        server_log(server, effect->bytes, effect->length);
        break;
    case PLAIN_EFFECT_CLOSE:
        server->closes++;
        server_log(server, ".", 1);
        break;
    }
}

/* Carries out at most `count` effects; true when the receiver has no more for now. */
static bool pull(struct server *server, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct plain_effect effect = {0};
        enum certpost_status status =
            plain_receiver_next(&server->receiver, &effect, &server->error);
        if (status == CERTPOST_WANT_READ)
            return true;
        assert_ok(status);
        carry_out(server, &effect);
    }
    return false;
}

static void pull_all(struct server *server)
{
    assert_true(pull(server, SIZE_MAX));
}

static void end_input(struct server *server, bool clean)
{
    assert_ok(plain_receiver_input_ended(&server->receiver, clean, &server->error));
}

static void assert_log(struct server *server, const char *expected)
{
    assert_string_equal(server->log, expected);
}

static void test_chunk_is_stored_then_answered_once(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_CHUNK);
    feed(&server, "hello\n");
    pull_all(&server);
    assert_log(&server, "+hello ");
    assert_int_equal(plain_receiver_uncommitted(&server.receiver), 1);
    commit(&server, 1);
    pull_all(&server);
    assert_log(&server, "+hello ok ");
    assert_int_equal(plain_receiver_uncommitted(&server.receiver), 0);
    server_free(&server);
}

static void test_no_reply_before_committed(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    feed(&server, "a\nb\nc\n");
    pull_all(&server);
    assert_log(&server, "+a +b +c ");
    end_input(&server, true);
    pull_all(&server);
    assert_log(&server, "+a +b +c ");
    commit(&server, 2);
    pull_all(&server);
    assert_log(&server, "+a +b +c ok \nok \n");
    commit(&server, 3);
    pull_all(&server);
    assert_log(&server, "+a +b +c ok \nok \nok \n.");
    server_free(&server);
}

static void test_line_replies_are_lines(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    server.commit_at_once = true;
    feed(&server, "a\r\nb\n");
    pull_all(&server);
    assert_log(&server, "+a ok \n+b ok \n");
    server_free(&server);
}

/* Earned replies come before the next message, so that a slow store does not hold them back. */
static void test_earned_replies_come_first(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    feed(&server, "a\nb\nc\n");
    assert_false(pull(&server, 2));
    commit(&server, 2);
    pull_all(&server);
    assert_log(&server, "+a +b ok \nok \n+c ");
    server_free(&server);
}

static void test_overlong_line_is_refused_after_earned_replies(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    feed(&server, "a\nb\n0123456789abcdefg\nnever\n");
    pull_all(&server);
    assert_log(&server, "+a +b ");
    feed(&server, "ignored\n");
    commit(&server, 1);
    pull_all(&server);
    assert_log(&server, "+a +b ok \n");
    commit(&server, 2);
    pull_all(&server);
    assert_log(&server, "+a +b ok \nok \n"
                        "Message refused: a line has at most 16 bytes here\n.");
    server_free(&server);
}

static void test_overlong_line_at_the_end_is_refused(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    server.commit_at_once = true;
    feed(&server, "0123456789abcdefg");
    keep(&server);
    end_input(&server, true);
    pull_all(&server);
    assert_log(&server, "Message refused: a line has at most 16 bytes here\n.");
    assert_string_equal(server.receiver.refusal, "Message refused: a line has at most 16 bytes "
                                                 "here\n");
    server_free(&server);
}

static void test_store_failure_is_told_and_ends(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    feed(&server, "a\nb\nc\n");
    pull_all(&server);
    commit(&server, 1);
    assert_ok(plain_receiver_store_failed(&server.receiver, "disk full", &server.error));
    assert_int_equal(plain_receiver_uncommitted(&server.receiver), 0);
    feed(&server, "d\n");
    pull_all(&server);
    assert_log(&server, "+a +b +c ok \nMessage refused: disk full\n.");
    server_free(&server);
}

static void test_store_failure_drops_what_was_not_taken(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    feed(&server, "a\nb\nlast");
    assert_false(pull(&server, 1));
    keep(&server);
    end_input(&server, true);
    assert_ok(plain_receiver_store_failed(&server.receiver, "disk full", &server.error));
    pull_all(&server);
    assert_log(&server, "+a Message refused: disk full\n.");
    server_free(&server);
}

/* A commit that arrives after the failure would answer a message that was given up. */
static void test_commit_after_store_failure_is_internal(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_CHUNK);
    feed(&server, "a");
    pull_all(&server);
    assert_ok(plain_receiver_store_failed(&server.receiver, "disk full", &server.error));
    struct committed committed = {.seq = 1};
    assert_status(plain_receiver_committed(&server.receiver, &committed, &server.error),
                  CERTPOST_INTERNAL);
    pull_all(&server);
    assert_log(&server, "+a Message refused: disk full.");
    server_free(&server);
}

static void test_first_refusal_wins(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    feed(&server, "a\n0123456789abcdefg\n");
    pull_all(&server);
    assert_ok(plain_receiver_store_failed(&server.receiver, "disk full", &server.error));
    pull_all(&server);
    assert_log(&server, "+a Message refused: a line has at most 16 bytes here\n.");
    server_free(&server);
}

static void test_drain_takes_whole_messages_that_were_fed(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    server.commit_at_once = true;
    feed(&server, "a\nb\nunfinished");
    assert_false(pull(&server, 2));
    keep(&server);
    assert_ok(plain_receiver_drain(&server.receiver, &server.error));
    feed(&server, "too late\n");
    pull_all(&server);
    assert_log(&server, "+a ok \n+b ok \n.");
    assert_int_equal(plain_decoder_unfinished_bytes(&server.receiver.decoder), 10);
    server_free(&server);
}

static void test_drain_takes_a_kept_chunk(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_CHUNK);
    server.commit_at_once = true;
    feed(&server, "waiting\n");
    keep(&server);
    assert_ok(plain_receiver_drain(&server.receiver, &server.error));
    pull_all(&server);
    assert_log(&server, "+waiting ok .");
    server_free(&server);
}

static void test_clean_end_takes_the_last_line(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    feed(&server, "a\nlast");
    pull_all(&server);
    end_input(&server, true);
    pull_all(&server);
    assert_log(&server, "+a +last ");
    commit(&server, 2);
    pull_all(&server);
    assert_log(&server, "+a +last ok \nok \n.");
    server_free(&server);
}

static void test_truncated_end_drops_the_last_line(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_LINE);
    server.commit_at_once = true;
    feed(&server, "a\nb\nla");
    assert_false(pull(&server, 2));
    keep(&server);
    end_input(&server, false);
    pull_all(&server);
    assert_log(&server, "+a ok \n+b ok \n.");
    server_free(&server);
}

static void test_end_without_a_message_just_closes(void **state)
{
    (void)state;
    for (int clean = 0; clean <= 1; clean++) {
        for (int framing = PLAIN_CHUNK; framing <= PLAIN_LINE; framing++) {
            struct server server;
            server_init(&server, (enum plain_framing)framing);
            pull_all(&server);
            end_input(&server, clean != 0);
            pull_all(&server);
            pull_all(&server);
            assert_log(&server, ".");
            server_free(&server);
        }
    }
}

static void test_commits_must_be_news_of_what_was_given_out(void **state)
{
    (void)state;
    static const uint64_t wrong[] = {0, 1, 4, UINT64_MAX};
    struct server server;
    server_init(&server, PLAIN_LINE);
    feed(&server, "a\nb\nc\n");
    pull_all(&server);
    commit(&server, 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct committed committed = {.seq = wrong[i]};
        certpost_error_clear(&server.error);
        assert_status(plain_receiver_committed(&server.receiver, &committed, &server.error),
                      CERTPOST_INTERNAL);
        assert_string_equal(server.error.text, "a commit for a message that was not given out");
    }
    pull_all(&server);
    assert_log(&server, "+a +b +c ok \n");
    server_free(&server);
}

static void test_reply_length_is_bounded(void **state)
{
    (void)state;
    char reply[PLAIN_REPLY_MAX_BYTES + 2];
    memset(reply, 'r', sizeof reply);
    struct plain_receiver receiver;
    struct certpost_error error = {0};
    struct plain_receiver_config config = {PLAIN_LINE, LIMIT_BYTES, reply};
    reply[PLAIN_REPLY_MAX_BYTES + 1] = '\0';
    assert_status(plain_receiver_init(&receiver, &config, &error), CERTPOST_USAGE);
    assert_string_equal(error.text, "a reply has at most 1024 bytes");
    reply[PLAIN_REPLY_MAX_BYTES] = '\0';
    assert_ok(plain_receiver_init(&receiver, &config, NULL));
    assert_int_equal(receiver.reply_bytes, PLAIN_REPLY_MAX_BYTES + 1);
    assert_int_equal(receiver.reply[PLAIN_REPLY_MAX_BYTES], '\n');
    plain_receiver_free(&receiver);
}

/* The reply is copied: the caller's string may change, as a reload would do. */
static void test_reply_is_sent_as_it_is(void **state)
{
    (void)state;
    struct plain_receiver receiver;
    struct plain_effect effect = {0};
    struct plain_receiver_config config = {PLAIN_CHUNK, LIMIT_BYTES, "Message received!"};
    assert_ok(plain_receiver_init(&receiver, &config, NULL));
    plain_receiver_feed(&receiver, (const unsigned char *)"x", 1);
    assert_ok(plain_receiver_next(&receiver, &effect, NULL));
    struct committed committed = {.seq = 1};
    assert_ok(plain_receiver_committed(&receiver, &committed, NULL));
    assert_ok(plain_receiver_next(&receiver, &effect, NULL));
    assert_int_equal(effect.kind, PLAIN_EFFECT_SEND);
    assert_int_equal(effect.length, 17);
    assert_memory_equal(effect.bytes, "Message received!", 17);
    plain_receiver_free(&receiver);
}

static void test_states_follow_the_diagram(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_CHUNK);
    assert_string_equal(machine_state_name(&server.receiver.machine), "open");
    feed(&server, "a");
    pull_all(&server);
    end_input(&server, true);
    assert_string_equal(machine_state_name(&server.receiver.machine), "finishing");
    end_input(&server, false);
    assert_ok(plain_receiver_drain(&server.receiver, &server.error));
    commit(&server, 1);
    pull_all(&server);
    assert_string_equal(machine_state_name(&server.receiver.machine), "closed");
    end_input(&server, true);
    feed(&server, "late");
    pull_all(&server);
    assert_ok(plain_receiver_store_failed(&server.receiver, "late", &server.error));
    pull_all(&server);
    assert_log(&server, "+a ok .");
    server_free(&server);
}

/* Back-pressure: the caller stops asking in every place, reads are kept, and it goes on later. */
static void test_a_paused_caller_goes_on_where_it_was(void **state)
{
    (void)state;
    for (size_t before = 0; before <= 6; before++) {
        struct server server;
        server_init(&server, PLAIN_LINE);
        server.commit_at_once = true;
        feed(&server, "a\nb\nc");
        (void)pull(&server, before);
        keep(&server);
        (void)pull(&server, before / 2);
        pull_all(&server);
        feed(&server, "d\n");
        (void)pull(&server, before % 2);
        keep(&server);
        pull_all(&server);
        assert_log(&server, "+a ok \n+b ok \n+cd ok \n");
        server_free(&server);
    }
}

static void test_a_chunk_survives_a_pause(void **state)
{
    (void)state;
    struct server server;
    server_init(&server, PLAIN_CHUNK);
    server.commit_at_once = true;
    feed(&server, "one\n");
    keep(&server);
    pull_all(&server);
    feed(&server, "two");
    assert_false(pull(&server, 1));
    keep(&server);
    pull_all(&server);
    assert_log(&server, "+one ok +two ok ");
    server_free(&server);
}

/* ------------------------------------------------------------------------------ random schedules
 */

static uint32_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state = random_state * 1664525U + 1013904223U;
    return (random_state >> 8) % bound;
}

struct schedule {
    struct plain_receiver receiver;
    unsigned char *fed;
    enum plain_framing framing;
    uint64_t fed_messages;
    uint64_t stored;
    uint64_t committed;
    uint64_t replies;
    unsigned closes;
    bool may_feed;
};

/* Message n is its own number, so that a lost, doubled or torn one cannot look right. */
static void schedule_feed(struct schedule *schedule)
{
    char text[64];
    size_t length = 0;
    size_t count = schedule->framing == PLAIN_CHUNK ? 1 : 1 + random_below(3);
    for (size_t i = 0; i < count; i++) {
        int written = snprintf(text + length, sizeof text - length, "m%llu\n",
                               (unsigned long long)++schedule->fed_messages);
        assert_true(written > 0);
        length += (size_t)written;
    }
    free(schedule->fed);
    schedule->fed = malloc(length);
    assert_non_null(schedule->fed);
    memcpy(schedule->fed, text, length);
    plain_receiver_feed(&schedule->receiver, schedule->fed, length);
    schedule->may_feed = false;
}

static void schedule_carry_out(struct schedule *schedule, const struct plain_effect *effect)
{
    char expected[32];
    assert_int_equal(schedule->closes, 0);
    switch (effect->kind) {
    case PLAIN_EFFECT_STORE:
        snprintf(expected, sizeof expected, "m%llu", (unsigned long long)++schedule->stored);
        assert_int_equal(effect->seq, schedule->stored);
        assert_int_equal(effect->length, strlen(expected));
        assert_memory_equal(effect->bytes, expected, effect->length);
        break;
    case PLAIN_EFFECT_SEND:
        assert_true(++schedule->replies <= schedule->committed);
        break;
    case PLAIN_EFFECT_CLOSE:
        schedule->closes++;
        assert_int_equal(schedule->replies, schedule->stored);
        break;
    }
}

static void schedule_pull(struct schedule *schedule, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct plain_effect effect = {0};
        enum certpost_status status = plain_receiver_next(&schedule->receiver, &effect, NULL);
        if (status == CERTPOST_WANT_READ) {
            schedule->may_feed = true;
            return;
        }
        assert_ok(status);
        schedule_carry_out(schedule, &effect);
    }
}

static void schedule_commit(struct schedule *schedule)
{
    uint64_t open = schedule->stored - schedule->committed;
    if (open == 0)
        return;
    schedule->committed += 1 + random_below((uint32_t)open);
    struct committed committed = {.seq = schedule->committed};
    assert_ok(plain_receiver_committed(&schedule->receiver, &committed, NULL));
}

static void schedule_keep(struct schedule *schedule)
{
    assert_ok(plain_receiver_keep(&schedule->receiver));
    free(schedule->fed);
    schedule->fed = NULL;
    schedule->may_feed = true;
}

static void check_schedule(uint32_t seed)
{
    random_state = seed;
    struct schedule schedule = {.may_feed = true, .framing = (enum plain_framing)(seed % 2)};
    struct plain_receiver_config config = {schedule.framing, 64, "ok"};
    assert_ok(plain_receiver_init(&schedule.receiver, &config, NULL));
    for (unsigned step = 0; step < 60; step++) {
        uint32_t choice = random_below(4);
        if (choice == 0 && schedule.may_feed)
            schedule_feed(&schedule);
        else if (choice == 1)
            schedule_pull(&schedule, random_below(5));
        else if (choice == 2)
            schedule_commit(&schedule);
        else if (choice == 3)
            schedule_keep(&schedule);
    }
    schedule_keep(&schedule);
    assert_ok(seed % 3 == 0 ? plain_receiver_drain(&schedule.receiver, NULL)
                            : plain_receiver_input_ended(&schedule.receiver, seed % 3 == 1, NULL));
    while (schedule.closes == 0) {
        schedule_pull(&schedule, SIZE_MAX);
        schedule_commit(&schedule);
    }
    assert_int_equal(schedule.stored, schedule.fed_messages);
    assert_int_equal(schedule.replies, schedule.fed_messages);
    plain_receiver_free(&schedule.receiver);
    free(schedule.fed);
}

static void test_every_schedule_answers_every_message_in_order(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 5000; seed++)
        check_schedule(seed);
}

UNIT_MAIN(cmocka_unit_test(test_chunk_is_stored_then_answered_once),
          cmocka_unit_test(test_no_reply_before_committed),
          cmocka_unit_test(test_line_replies_are_lines),
          cmocka_unit_test(test_earned_replies_come_first),
          cmocka_unit_test(test_overlong_line_is_refused_after_earned_replies),
          cmocka_unit_test(test_overlong_line_at_the_end_is_refused),
          cmocka_unit_test(test_store_failure_is_told_and_ends),
          cmocka_unit_test(test_store_failure_drops_what_was_not_taken),
          cmocka_unit_test(test_commit_after_store_failure_is_internal),
          cmocka_unit_test(test_first_refusal_wins),
          cmocka_unit_test(test_drain_takes_whole_messages_that_were_fed),
          cmocka_unit_test(test_drain_takes_a_kept_chunk),
          cmocka_unit_test(test_clean_end_takes_the_last_line),
          cmocka_unit_test(test_truncated_end_drops_the_last_line),
          cmocka_unit_test(test_end_without_a_message_just_closes),
          cmocka_unit_test(test_commits_must_be_news_of_what_was_given_out),
          cmocka_unit_test(test_reply_length_is_bounded),
          cmocka_unit_test(test_reply_is_sent_as_it_is),
          cmocka_unit_test(test_states_follow_the_diagram),
          cmocka_unit_test(test_a_paused_caller_goes_on_where_it_was),
          cmocka_unit_test(test_a_chunk_survives_a_pause),
          cmocka_unit_test(test_every_schedule_answers_every_message_in_order))
